//! Ruby's `specifications/*.gemspec`: Ruby programs in form, lists of assignments in fact.

use uc_model::Problem;

use super::Found;
use crate::{
    licence::Licence,
    package::{Package, PackageKind},
    text,
};

/// Lines beyond this many are not looked at.
const LINES: usize = 2_000;

/// Reads an installed gem's specification.
pub fn read(bytes: &[u8]) -> Found {
    let text = String::from_utf8_lossy(bytes);
    let (mut name, mut version) = (None, None);
    let mut package = Package::new(PackageKind::Gem, "", "");
    for line in text.lines().take(LINES) {
        let Some((field, value)) = assignment(line) else {
            continue;
        };
        let mut strings = strings(value);
        match field {
            "name" => name = name.or_else(|| strings.next()),
            "version" => version = version.or_else(|| strings.next()),
            "licenses" | "license" => {
                package.licences.extend(strings.filter_map(Licence::parse));
            }
            "homepage" => package.homepage = prose(strings.next()),
            "summary" => package.description = prose(strings.next()),
            "authors" | "author" => package.supplier = prose(strings.next()),
            _ => {}
        }
    }
    let word = |value: Option<&str>, what: &str| {
        let value = value
            .ok_or_else(|| Problem::invalid(format!("the gem specification has no {what}")))?;
        text::word(value.as_bytes(), &format!("the {what} of a gem"))
    };
    match (word(name, "name"), word(version, "version")) {
        (Ok(name), Ok(version)) => {
            (package.name, package.version) = (name, version);
            Found {
                packages: vec![package],
                warnings: Vec::new(),
            }
        }
        (Err(problem), _) | (_, Err(problem)) => Found::of(problem),
    }
}

fn prose(value: Option<&str>) -> Option<String> {
    value.and_then(|text| text::line(text.as_bytes()))
}

/// `s.name = …` to `name` and what is assigned.
fn assignment(line: &str) -> Option<(&str, &str)> {
    let (left, right) = line.trim_start().split_once('=')?;
    let (_, field) = left.trim_end().split_once('.')?;
    Some((field, right))
}

/// The quoted strings of an expression. `%q{}` and escapes are not worth a Ruby parser.
fn strings(expression: &str) -> impl Iterator<Item = &str> {
    let mut rest = expression;
    std::iter::from_fn(move || {
        let start = rest.find(['"', '\''])?;
        let quote = rest.as_bytes().get(start).copied().map(char::from)?;
        let inner = rest.get(start + 1..)?;
        let end = inner.find(quote)?;
        rest = inner.get(end + 1..)?;
        inner.get(..end)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assignments_with_and_without_freeze() {
        let text = "# -*- encoding: utf-8 -*-\n# stub: rack 2.2.6 ruby lib\nGem::Specification.new do |s|\n  s.name = \"rack\".freeze\n  s.version = Gem::Version.new(\"2.2.6.4\")\n\n  s.licenses = [\"MIT\".freeze, 'Ruby']\n  s.homepage = \"https://github.com/rack/rack\".freeze\nend\n";
        let found = read(text.as_bytes());
        let package = &found.packages[0];
        assert_eq!(
            (package.name.as_str(), package.version.as_str()),
            ("rack", "2.2.6.4")
        );
        assert_eq!(
            package.licences,
            [Licence::Spdx("MIT".into()), Licence::Spdx("Ruby".into())]
        );
        assert_eq!(read(b"s.name = \"x\"").warnings.len(), 1);
    }
}
