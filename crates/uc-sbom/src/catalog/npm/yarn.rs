//! Yarn's `yarn.lock`, of Yarn 1 and of Berry: entries that begin at the margin, each with an indented version.

use super::named;
use crate::catalog::Found;

/// Lines beyond this many are not looked at.
const LINES: usize = 2_000_000;

/// Reads a lock file: every package it pins, except the project's own workspaces.
pub fn read(bytes: &[u8]) -> Found {
    let text = String::from_utf8_lossy(bytes);
    let mut found = Found::default();
    let mut name: Option<&str> = None;
    for line in text.lines().take(LINES) {
        if !line.starts_with([' ', '\t', '#']) {
            name = line.trim_end().strip_suffix(':').and_then(key_name);
            continue;
        }
        let line = line.trim();
        let version = line
            .strip_prefix("version:")
            .or_else(|| line.strip_prefix("version "));
        let Some(version) = version.map(|text| text.trim().trim_matches('"')) else {
            continue;
        };
        // The first version belongs to the entry; a dependency may be called so too.
        if let Some(package) = name.take().and_then(|name| named(name, version))
            && version != "0.0.0-use.local"
            && !found.push(package)
        {
            break;
        }
    }
    found
}

/// `"@a/b@npm:^1", "@a/b@^2"` to `@a/b`.
fn key_name(key: &str) -> Option<&str> {
    let first = key.split(',').next()?.trim().trim_matches('"');
    let at = first.get(1..)?.find('@')? + 1;
    first.get(..at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_generations() {
        let text = "# yarn lockfile v1\n\n\"@a/b@^1.0.0\", \"@a/b@^1.1.0\":\n  version \"1.2.3\"\n  dependencies:\n    version \"9\"\n\nplain@^2:\n  version \"2.0.0\"\n\n__metadata:\n  version: 8\n\n\"berry@npm:^3\":\n  version: 3.1.0\n\n\"root@workspace:.\":\n  version: 0.0.0-use.local\n";
        let list: Vec<_> = read(text.as_bytes()).packages;
        let names: Vec<_> = list
            .iter()
            .map(|one| format!("{}@{}", one.name, one.version))
            .collect();
        assert_eq!(names, ["@a/b@1.2.3", "plain@2.0.0", "berry@3.1.0"]);
    }
}
