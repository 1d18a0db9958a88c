//! The YAML that Chart.yaml files are written in, as JSON: block mappings and lists, plain and quoted text, literal and
//! folded blocks, and lists in brackets on one line.
//!
//! What is beyond that (anchors, tags, mappings in braces, text over several lines without a block) is refused with its
//! line, so that nothing is pushed that would mean something else to Helm. Every scalar is text, as Helm's fields are,
//! but for the few that are true or false.

use serde_json::{Map, Value};
use uc_model::{Problem, Result};

/// How deep a chart's description may nest.
const DEPTH: usize = 16;
/// The most lines.
const LINES: usize = 5000;
/// Fields of Helm that are true or false.
const BOOLEANS: [&str; 2] = ["deprecated", "enabled"];

/// Reads a document.
///
/// # Errors
/// Invalid, naming the line.
pub(super) fn to_json(text: &str) -> Result<Value> {
    if text.lines().count() > LINES {
        return Err(Problem::refused("Chart.yaml has too many lines").limit(LINES));
    }
    let mut reader = Reader {
        lines: text.trim_start_matches('\u{feff}').lines().collect(),
        at: 0,
    };
    if let Some((_, "---")) = reader.peek()? {
        reader.at += 1;
    }
    let value = match reader.peek()? {
        Some((indent, _)) => reader.node(indent, 0)?,
        None => Value::Null,
    };
    match reader.peek()? {
        None => Ok(value),
        Some(_) => Err(reader.wrong("one document, evenly indented")),
    }
}

struct Reader<'a> {
    lines: Vec<&'a str>,
    at: usize,
}

impl<'a> Reader<'a> {
    fn wrong(&self, expected: &str) -> Problem {
        let line = self.lines.get(self.at).copied().unwrap_or_default();
        Problem::invalid("the YAML cannot be read")
            .at(format!("line {}", self.at + 1))
            .limit(expected)
            .found(format!("{:?}", line.chars().take(80).collect::<String>()))
            .remedy("write it with plain block mappings and lists")
    }

    /// The next line with something on it: its indentation, and its text without that.
    fn peek(&mut self) -> Result<Option<(usize, &'a str)>> {
        while let Some(line) = self.lines.get(self.at) {
            let text = line.trim_start_matches(' ');
            if text.starts_with('\t') {
                return Err(self.wrong("indentation by spaces"));
            }
            if !text.trim().is_empty() && !text.starts_with('#') {
                return Ok(Some((line.len() - text.len(), text.trim_end())));
            }
            self.at += 1;
        }
        Ok(None)
    }

    /// A mapping or list whose lines are indented by `indent`.
    fn node(&mut self, indent: usize, depth: usize) -> Result<Value> {
        if depth > DEPTH {
            return Err(self.wrong("less nesting"));
        }
        match self.peek()? {
            Some((_, text)) if is_item(text) => self.list(indent, depth),
            _ => self.mapping(indent, depth),
        }
    }

    fn list(&mut self, indent: usize, depth: usize) -> Result<Value> {
        let mut items = Vec::new();
        while let Some((found, text)) = self.peek()? {
            if found < indent || (found == indent && !is_item(text)) {
                break;
            }
            if found > indent {
                return Err(self.wrong("even indentation"));
            }
            let rest = text[1..].trim_start();
            let inner = indent + text.len() - rest.len();
            if rest.is_empty() || rest.starts_with('#') {
                self.at += 1;
                items.push(self.below(indent + 1, "", depth)?);
            } else if is_item(rest) || key(rest).is_some() {
                // The item's first line is a line of the mapping or list within.
                let line = self.lines[self.at];
                let padded = format!("{}{}", " ".repeat(inner), &line[inner..]);
                items.push(self.with_line(&padded, |reader| reader.node(inner, depth + 1))?);
            } else {
                items.push(self.value(rest, indent, "", depth)?);
            }
        }
        Ok(Value::Array(items))
    }

    /// Reads on with the current line replaced.
    fn with_line(
        &mut self,
        line: &str,
        read: impl FnOnce(&mut Reader<'_>) -> Result<Value>,
    ) -> Result<Value> {
        let mut lines = self.lines.clone();
        lines[self.at] = line;
        let mut inner = Reader { lines, at: self.at };
        let value = read(&mut inner)?;
        self.at = inner.at;
        Ok(value)
    }

    fn mapping(&mut self, indent: usize, depth: usize) -> Result<Value> {
        let mut fields = Map::new();
        while let Some((found, text)) = self.peek()? {
            if found < indent {
                break;
            }
            if found > indent || is_item(text) {
                return Err(self.wrong("even indentation"));
            }
            let Some((name, rest)) = key(text) else {
                return Err(self.wrong("NAME: VALUE"));
            };
            if fields.contains_key(&name) {
                return Err(self.wrong("each name once"));
            }
            let value = if rest.is_empty() || rest.starts_with('#') {
                self.at += 1;
                self.below(indent, &name, depth)?
            } else {
                self.value(rest, indent, &name, depth)?
            };
            fields.insert(name, value);
        }
        Ok(Value::Object(fields))
    }

    /// What stands in the lines after `name:`: something deeper, or a list at the same depth, or nothing.
    fn below(&mut self, indent: usize, name: &str, depth: usize) -> Result<Value> {
        match self.peek()? {
            Some((found, text))
                if found > indent || (found == indent && !name.is_empty() && is_item(text)) =>
            {
                self.node(found, depth + 1)
            }
            _ => Ok(Value::Null),
        }
    }

    /// What stands on the line of its name.
    fn value(&mut self, text: &str, indent: usize, name: &str, depth: usize) -> Result<Value> {
        match text.as_bytes().first() {
            Some(b'|' | b'>') => self.block(text, indent),
            Some(b'[') if depth <= DEPTH => {
                let items = self.bracketed(text)?;
                self.ends_here(indent)?;
                Ok(items)
            }
            Some(b'{' | b'&' | b'*' | b'!' | b'%' | b'@' | b'`' | b'[') => {
                Err(self.wrong("text, a block, or a list in brackets on one line"))
            }
            _ => {
                let (scalar, rest) = self.scalar(text, false)?;
                if !rest.is_empty() && !rest.starts_with('#') {
                    return Err(self.wrong("nothing after the text"));
                }
                self.ends_here(indent)?;
                Ok(typed(name, scalar))
            }
        }
    }

    /// Goes to the next line, which must not go on with the value.
    fn ends_here(&mut self, indent: usize) -> Result<()> {
        self.at += 1;
        match self.peek()? {
            Some((found, _)) if found > indent => {
                Err(self.wrong("a value on one line, or a block after > or |"))
            }
            _ => Ok(()),
        }
    }

    /// A list in brackets.
    fn bracketed(&self, text: &str) -> Result<Value> {
        let mut items = Vec::new();
        let mut rest = text[1..].trim_start();
        loop {
            if let Some(after) = rest.strip_prefix(']') {
                let after = after.trim_start();
                if after.is_empty() || after.starts_with('#') {
                    return Ok(Value::Array(items));
                }
                return Err(self.wrong("nothing after the list"));
            }
            let (scalar, after) = self.scalar(rest, true)?;
            items.push(typed("", scalar));
            rest = after.strip_prefix(',').unwrap_or(after).trim_start();
            if !after.starts_with([',', ']']) {
                return Err(self.wrong("a list in brackets on one line"));
            }
        }
    }

    /// Text at the start of a line, and what follows it. Whether it was quoted decides what it can mean.
    fn scalar<'t>(&self, text: &'t str, in_brackets: bool) -> Result<(Scalar, &'t str)> {
        let Some(quote @ ('"' | '\'')) = text.chars().next() else {
            let mut end = text.find(" #").unwrap_or(text.len());
            if in_brackets {
                end = end.min(text.find([',', ']']).unwrap_or(end));
            }
            let plain = text[..end].trim();
            if plain.is_empty()
                || plain.contains(": ")
                || plain.ends_with(':')
                || plain.starts_with(['{', '[', '&', '*', '!'])
            {
                return Err(self.wrong("text, in quotes where it has a colon"));
            }
            return Ok((Scalar::Plain(plain.to_owned()), text[end..].trim_start()));
        };
        let mut out = String::new();
        let mut characters = text.char_indices().skip(1).peekable();
        while let Some((at, character)) = characters.next() {
            match character {
                '\'' if quote == '\'' && characters.peek().is_some_and(|next| next.1 == '\'') => {
                    characters.next();
                    out.push('\'');
                }
                end if end == quote => {
                    return Ok((Scalar::Quoted(out), text[at + 1..].trim_start()));
                }
                '\\' if quote == '"' => match characters.next().map(|next| next.1) {
                    Some('n') => out.push('\n'),
                    Some('t') => out.push('\t'),
                    Some(same @ ('"' | '\\' | '/')) => out.push(same),
                    _ => return Err(self.wrong("the escapes \\n \\t \\\" \\\\ \\/")),
                },
                other => out.push(other),
            }
        }
        Err(self.wrong("a closing quote on the same line"))
    }

    /// A literal (`|`) or folded (`>`) block, with `-`, `+` or nothing behind the sign.
    fn block(&mut self, header: &str, indent: usize) -> Result<Value> {
        let header = header.split(" #").next().unwrap_or_default().trim_end();
        let (folded, keep) = match header {
            "|" => (false, ""),
            "|-" => (false, "-"),
            "|+" => (false, "+"),
            ">" => (true, ""),
            ">-" => (true, "-"),
            ">+" => (true, "+"),
            _ => return Err(self.wrong("a block after |, |-, |+, >, >- or >+")),
        };
        self.at += 1;
        let mut lines: Vec<&str> = Vec::new();
        let mut inner = None;
        while let Some(line) = self.lines.get(self.at) {
            let text = line.trim_start_matches(' ');
            let own = line.len() - text.len();
            if text.trim().is_empty() {
                lines.push("");
            } else if own > indent {
                let inner = *inner.get_or_insert(own);
                if own < inner {
                    return Err(self.wrong("even indentation of the block"));
                }
                lines.push(line[inner..].trim_end());
            } else {
                break;
            }
            self.at += 1;
        }
        let blank = lines
            .iter()
            .rev()
            .take_while(|line| line.is_empty())
            .count();
        lines.truncate(lines.len() - blank);
        let mut text = if folded {
            fold(&lines)
        } else {
            lines.join("\n")
        };
        match keep {
            "-" => {}
            "+" => text.push_str(&"\n".repeat(blank + 1)),
            _ if text.is_empty() => {}
            _ => text.push('\n'),
        }
        Ok(Value::String(text))
    }
}

enum Scalar {
    Plain(String),
    Quoted(String),
}

/// Lines become one, except around empty lines and lines that are indented further.
fn fold(lines: &[&str]) -> String {
    let mut text = String::new();
    for (at, line) in lines.iter().enumerate() {
        if at > 0 {
            let before = lines[at - 1];
            let is_more = |line: &str| line.starts_with(' ');
            if line.is_empty() || is_more(line) || is_more(before) {
                text.push('\n');
            } else if !before.is_empty() {
                text.push(' ');
            }
        }
        text.push_str(line);
    }
    text
}

fn typed(name: &str, scalar: Scalar) -> Value {
    match scalar {
        Scalar::Quoted(text) => Value::String(text),
        Scalar::Plain(text) => match text.as_str() {
            "null" | "~" | "Null" | "NULL" => Value::Null,
            "true" | "True" if BOOLEANS.contains(&name) => Value::Bool(true),
            "false" | "False" if BOOLEANS.contains(&name) => Value::Bool(false),
            _ => Value::String(text),
        },
    }
}

fn is_item(text: &str) -> bool {
    text == "-" || text.starts_with("- ")
}

/// The name before a colon, and what follows it.
fn key(text: &str) -> Option<(String, &str)> {
    if let Some(quote @ ('"' | '\'')) = text.chars().next() {
        let end = text[1..].find(quote)? + 1;
        let rest = text[end + 1..].trim_start().strip_prefix(':')?;
        let is_key = rest.is_empty() || rest.starts_with(' ');
        return is_key.then(|| (text[1..end].to_owned(), rest.trim_start()));
    }
    if text.starts_with(['[', '{', '&', '*', '!', '|', '>', '#', '?', '%', '@', '`']) {
        return None;
    }
    let end = match text.find(": ") {
        Some(at) => at,
        None if text.ends_with(':') => text.len() - 1,
        None => return None,
    };
    let name = text[..end].trim();
    (!name.is_empty() && !name.contains(" #"))
        .then(|| (name.to_owned(), text[end + 1..].trim_start()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_charts_are_written_in_is_read() {
        let text = concat!(
            "# a comment\n---\n",
            "apiVersion: v2 # trailing\n",
            "name: \"web\"\n",
            "version: 1.10\n",
            "deprecated: false\n",
            "icon: https://example.org/a.png?x=1#part\n",
            "empty:\n",
            "keywords: [one, 'two, or', \"three\"]\n",
            "description: >\n  Folded\n  text\n\n  second\n",
            "dependencies:\n",
            "- name: db\n  version: \">= 1.0\"\n  tags:\n    - back\n    - end\n",
            "- name: cache\n  enabled: true\n",
            "annotations:\n",
            "  example.org/changes: |\n    - kind: added\n      what: \"x\"\n",
            "  'quoted: key': it''s\n",
        );
        let value = to_json(text).unwrap_or_else(|problem| panic!("{problem}"));
        assert_eq!(
            value,
            json!({
                "apiVersion": "v2", "name": "web", "version": "1.10", "deprecated": false,
                "icon": "https://example.org/a.png?x=1#part", "empty": null,
                "keywords": ["one", "two, or", "three"],
                "description": "Folded text\nsecond\n",
                "dependencies": [
                    { "name": "db", "version": ">= 1.0", "tags": ["back", "end"] },
                    { "name": "cache", "enabled": true },
                ],
                "annotations": {
                    "example.org/changes": "- kind: added\n  what: \"x\"\n",
                    "quoted: key": "it''s",
                },
            })
        );
    }

    #[test]
    fn what_is_beyond_that_is_refused_by_line() {
        for (text, line) in [
            ("a: &x 1", 1),
            ("a: {b: c}", 1),
            ("a: b\n  c: d", 2),
            ("a: one\n  two", 2),
            ("a: !!str 1", 1),
            ("a: 'open", 1),
            ("a: 1\na: 2", 2),
            ("a:\n\t- b", 2),
            ("a: [b", 1),
            ("a: b: c", 1),
            ("just text", 1),
            ("a: 1\n---\nb: 2", 2),
        ] {
            let problem = to_json(text).expect_err(text);
            assert!(
                problem.to_string().contains(&format!("line {line}")),
                "{text:?}: {problem}"
            );
        }
        let deep = (0..40)
            .map(|depth| format!("{}a:\n", " ".repeat(depth)))
            .collect::<String>();
        assert!(to_json(&deep).is_err());
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[-a:#'\"|>+\\[\\], \n\t\\\\é{&]{0,80}") {
            let _ = to_json(&text);
        }
    }
}
