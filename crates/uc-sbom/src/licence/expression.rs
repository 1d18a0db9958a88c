//! SPDX licence expressions out of statements in several dialects.

use spdx::{Expression, ParseMode};

use super::alias::{Dialect, identifier};

/// Deprecated identifiers stay as they are: what replaces them is a guess.
const MODE: ParseMode = ParseMode {
    allow_slash_as_or_operator: false,
    allow_imprecise_license_names: false,
    allow_postfix_plus_on_gpl: true,
    allow_deprecated: true,
    allow_unknown: false,
};

/// The deepest nesting of brackets: the parser's own stack is bounded with it.
const BRACKETS: usize = 32;

/// The statement as an SPDX expression, if each name in it is exact.
pub(super) fn normalise(statement: &str, dialect: Dialect) -> Option<String> {
    if let Some(id) = identifier(statement, dialect) {
        return Some(id.to_owned());
    }
    if statement.bytes().filter(|byte| *byte == b'(').count() > BRACKETS {
        return None;
    }
    let grouped = group_commas(statement, dialect);
    let written = rewrite(&grouped, dialect)?;
    Expression::parse_mode(&written, MODE)
        .is_ok()
        .then_some(written)
}

/// DEP-5 lets a comma bind weaker than `and` and `or`: what stands between commas is bracketed.
fn group_commas(statement: &str, dialect: Dialect) -> String {
    if dialect != Dialect::Debian || !statement.contains(',') {
        return statement.to_owned();
    }
    let mut grouped = String::new();
    for part in statement.split(',').map(str::trim) {
        let (operator, term) = ["and ", "or "]
            .into_iter()
            .find_map(|word| Some((word, part.strip_prefix(word)?)))
            .unwrap_or(("", part));
        let is_compound = term.contains(" and ") || term.contains(" or ");
        let separator = if grouped.is_empty() { "" } else { " " };
        let term = if is_compound {
            format!("({term})")
        } else {
            term.to_owned()
        };
        grouped.push_str(&format!("{separator}{operator}{term}"));
    }
    grouped
}

/// Replaces each name by its identifier and each operator by its upper-case form.
fn rewrite(statement: &str, dialect: Dialect) -> Option<String> {
    let mut out: Vec<String> = Vec::new();
    let mut name: Vec<&str> = Vec::new();
    let mut after_with = false;
    let spaced = statement
        .replace('(', " ( ")
        .replace(')', " ) ")
        .replace('/', " / ");
    for token in spaced.split_whitespace() {
        let operator = match token.to_ascii_lowercase().as_str() {
            "and" | "&" => "AND",
            "or" | "/" | "|" => "OR",
            "with" => "WITH",
            "(" => "(",
            ")" => ")",
            _ => {
                name.push(token);
                continue;
            }
        };
        flush(&mut name, &mut out, after_with, dialect)?;
        after_with = operator == "WITH";
        out.push(operator.to_owned());
    }
    flush(&mut name, &mut out, after_with, dialect)?;
    let joined = out.join(" ");
    Some(joined.replace("( ", "(").replace(" )", ")"))
}

/// Ends a name; `None` if it is not exact.
fn flush(
    name: &mut Vec<&str>,
    out: &mut Vec<String>,
    is_exception: bool,
    dialect: Dialect,
) -> Option<()> {
    if name.is_empty() {
        return Some(());
    }
    let whole = name.join(" ");
    name.clear();
    let written = if is_exception {
        spdx::exception_id(&whole)?.name.to_owned()
    } else if whole.starts_with("LicenseRef-") {
        return None;
    } else if let Some(id) = identifier(&whole, dialect) {
        id.to_owned()
    } else {
        // `X+` is X or any later version of it.
        let base = whole.strip_suffix('+')?;
        format!("{}+", identifier(base, dialect)?)
    };
    out.push(written);
    Some(())
}
