//! YAML text to a bounded tree whose every node knows its line and column.
//!
//! The tree is built from parser events, not by a recursive loader, so that depth, node count and the expansion of
//! aliases are bounded while reading. Mapping keys are strings, as in JSON; duplicates are errors; `<<` merges.

use std::{borrow::Cow, collections::HashMap, collections::HashSet};

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, Tag};
use uc_model::{Bytes, Problem, Result};

/// Longest text that is read, in bytes.
pub(crate) const MAX_TEXT: usize = 1 << 20;
/// Deepest nesting of mappings and sequences.
pub(crate) const MAX_DEPTH: usize = 64;
/// Most nodes, those made by aliases included.
pub(crate) const MAX_NODES: usize = 100_000;
/// Most bytes of scalars, those made by aliases included.
pub(crate) const MAX_SCALAR_BYTES: usize = 4 << 20;

/// A position in the file, counted from 1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

impl Place {
    /// `file:line:column`.
    pub(crate) fn in_file(self, file: &str) -> String {
        format!("{file}:{}:{}", self.line, self.column)
    }
}

impl From<Span> for Place {
    fn from(span: Span) -> Self {
        Self {
            line: span.start.line(),
            column: span.start.col() + 1,
        }
    }
}

/// A value with its position.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) value: Value,
    pub(crate) place: Place,
}

/// What a node holds.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Scalar { text: String, kind: ScalarKind },
    Sequence(Vec<Node>),
    Mapping(Vec<Entry>),
}

/// One entry of a mapping.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_place: Place,
    pub(crate) value: Node,
}

/// How Kubernetes' YAML reader types a scalar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ScalarKind {
    Null,
    Boolean,
    Integer,
    Float,
    Text,
}

impl Node {
    /// Whether the node is absent for Kubernetes.
    pub(crate) fn is_null(&self) -> bool {
        matches!(
            &self.value,
            Value::Scalar {
                kind: ScalarKind::Null,
                ..
            }
        )
    }

    /// The entry of a mapping.
    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        match &self.value {
            Value::Mapping(entries) => entries.iter().find(|entry| entry.key == key),
            _ => None,
        }
    }

    /// The text of a scalar that is not null.
    pub(crate) fn scalar(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar { text, kind } if *kind != ScalarKind::Null => Some(text),
            _ => None,
        }
    }

    /// What the node is, for messages.
    pub(crate) fn describe(&self) -> String {
        match &self.value {
            Value::Sequence(_) => "a list".into(),
            Value::Mapping(_) => "a mapping".into(),
            Value::Scalar { text, kind } => {
                let short: String = text.chars().take(60).collect();
                match kind {
                    ScalarKind::Null => "nothing".into(),
                    ScalarKind::Boolean => format!("the boolean {short}"),
                    ScalarKind::Integer | ScalarKind::Float => format!("the number {short}"),
                    ScalarKind::Text => format!("the string {short:?}"),
                }
            }
        }
    }
}

/// Reads all documents of a text.
pub(crate) fn read(text: &str, file: &str) -> Result<Vec<Node>> {
    if text.len() > MAX_TEXT {
        return Err(Problem::invalid("the file is too long")
            .at(file)
            .limit(Bytes(MAX_TEXT as u64))
            .found(Bytes(text.len() as u64))
            .remedy("move large data out of the manifest into a hostPath volume"));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut builder = Builder::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| malformed(&error, text, file))?;
        let place = Place::from(span);
        builder
            .accept(event, place)
            .map_err(|problem| problem.at(place.in_file(file)))?;
    }
    Ok(builder.documents)
}

fn malformed(error: &ScanError, text: &str, file: &str) -> Problem {
    let place = Place {
        line: error.marker().line(),
        column: error.marker().col() + 1,
    };
    let problem = Problem::invalid(format!("malformed YAML: {}", error.info()));
    let line = text
        .lines()
        .nth(place.line.saturating_sub(1))
        .unwrap_or_default();
    let indent = &line[..line.len() - line.trim_start().len()];
    let problem = if indent.contains('\t') {
        problem.remedy("the line is indented with a tab: indent with spaces")
    } else {
        problem.remedy("mend the syntax near this place; colons in plain text need quotes")
    };
    problem.at(place.in_file(file))
}

/// A collection that is being filled.
struct Open {
    place: Place,
    anchor: usize,
    content: Content,
}

enum Content {
    Sequence(Vec<Node>),
    Mapping {
        entries: Vec<Entry>,
        keys: HashSet<String>,
        pending: Option<(String, Place)>,
        merges: Vec<Node>,
    },
}

#[derive(Default)]
struct Builder {
    documents: Vec<Node>,
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    scalar_bytes: usize,
}

impl Builder {
    fn accept(&mut self, event: Event<'_>, place: Place) -> Result<()> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let kind = scalar_kind(&text, style, tag.as_deref())?;
                let text = text.into_owned();
                let node = Node {
                    value: Value::Scalar { text, kind },
                    place,
                };
                self.charge(&node, self.open.len())?;
                self.insert(node, anchor)
            }
            Event::SequenceStart(anchor, tag) => {
                self.begin(place, anchor, tag, Content::Sequence(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                let content = Content::Mapping {
                    entries: Vec::new(),
                    keys: HashSet::new(),
                    pending: None,
                    merges: Vec::new(),
                };
                self.begin(place, anchor, tag, content)
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(id) => {
                let Some(target) = self.anchors.get(&id) else {
                    return Err(Problem::invalid(
                        "the alias refers to a node that is not complete here",
                    ));
                };
                let mut copy = target.clone();
                copy.place = place;
                self.charge(&copy, self.open.len())?;
                self.insert(copy, 0)
            }
            Event::DocumentStart(_) => {
                self.anchors.clear();
                Ok(())
            }
            Event::DocumentEnd | Event::StreamStart | Event::StreamEnd | Event::Nothing => Ok(()),
        }
    }

    /// Counts a node and what is below it against the bounds.
    fn charge(&mut self, node: &Node, depth: usize) -> Result<()> {
        bound("nesting", depth, MAX_DEPTH)?;
        self.nodes += 1;
        bound("number of nodes, aliases expanded,", self.nodes, MAX_NODES)?;
        match &node.value {
            Value::Scalar { text, .. } => self.charge_text(text.len()),
            Value::Sequence(items) => items
                .iter()
                .try_for_each(|item| self.charge(item, depth + 1)),
            Value::Mapping(entries) => entries.iter().try_for_each(|entry| {
                self.charge_text(entry.key.len())?;
                self.charge(&entry.value, depth + 1)
            }),
        }
    }

    fn charge_text(&mut self, length: usize) -> Result<()> {
        self.scalar_bytes += length;
        bound(
            "total size of values, aliases expanded,",
            self.scalar_bytes,
            MAX_SCALAR_BYTES,
        )
    }

    fn begin(
        &mut self,
        place: Place,
        anchor: usize,
        tag: Option<Cow<'_, Tag>>,
        content: Content,
    ) -> Result<()> {
        if let Some(tag) = tag.filter(|tag| !tag.is_yaml_core_schema()) {
            return Err(unsupported_tag(&tag));
        }
        self.nodes += 1;
        bound("number of nodes, aliases expanded,", self.nodes, MAX_NODES)?;
        bound("nesting", self.open.len() + 1, MAX_DEPTH)?;
        self.open.push(Open {
            place,
            anchor,
            content,
        });
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        let Some(open) = self.open.pop() else {
            return Err(Problem::internal(
                "the YAML parser closed what was not open",
            ));
        };
        let value = match open.content {
            Content::Sequence(items) => Value::Sequence(items),
            Content::Mapping {
                mut entries,
                mut keys,
                merges,
                ..
            } => {
                for merged in merges {
                    merge(&mut entries, &mut keys, merged)?;
                }
                Value::Mapping(entries)
            }
        };
        let node = Node {
            value,
            place: open.place,
        };
        self.insert(node, open.anchor)
    }

    fn insert(&mut self, node: Node, anchor: usize) -> Result<()> {
        if anchor > 0 {
            // Nested anchors are copied once per level, so the copies count too.
            self.charge(&node, self.open.len())?;
            self.anchors.insert(anchor, node.clone());
        }
        let Some(parent) = self.open.last_mut() else {
            self.documents.push(node);
            return Ok(());
        };
        match &mut parent.content {
            Content::Sequence(items) => items.push(node),
            Content::Mapping {
                entries,
                keys,
                pending,
                merges,
            } => match pending.take() {
                None => {
                    let key = key_of(&node)?;
                    if key != "<<" && !keys.insert(key.clone()) {
                        return Err(Problem::invalid(format!("duplicate key {key:?}"))
                            .remedy("keep one of the two"));
                    }
                    *pending = Some((key, node.place));
                }
                Some((key, _)) if key == "<<" => merges.push(node),
                Some((key, key_place)) => entries.push(Entry {
                    key,
                    key_place,
                    value: node,
                }),
            },
        }
        Ok(())
    }
}

fn bound(what: &str, found: usize, limit: usize) -> Result<()> {
    if found <= limit {
        return Ok(());
    }
    Err(Problem::invalid(format!("the {what} is beyond the limit"))
        .limit(format!("at most {limit}"))
        .found(format!("at least {found}")))
}

fn key_of(node: &Node) -> Result<String> {
    node.scalar()
        .map(str::to_owned)
        .ok_or_else(|| Problem::invalid("a mapping key must be a string").found(node.describe()))
}

/// Adds the entries of a `<<` value whose keys are not there yet.
fn merge(entries: &mut Vec<Entry>, keys: &mut HashSet<String>, merged: Node) -> Result<()> {
    match merged.value {
        Value::Mapping(others) => {
            for other in others {
                if keys.insert(other.key.clone()) {
                    entries.push(other);
                }
            }
            Ok(())
        }
        Value::Sequence(items)
            if items
                .iter()
                .all(|item| matches!(item.value, Value::Mapping(_))) =>
        {
            items
                .into_iter()
                .try_for_each(|item| merge(entries, keys, item))
        }
        _ => Err(Problem::invalid("`<<` merges mappings only").found(merged.describe())),
    }
}

fn unsupported_tag(tag: &Tag) -> Problem {
    Problem::invalid("YAML tags beyond the core schema are not read")
        .found(format!("{tag}"))
        .remedy("remove the tag")
}

fn scalar_kind(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Result<ScalarKind> {
    if let Some(tag) = tag {
        if !tag.is_yaml_core_schema() {
            return Err(unsupported_tag(tag));
        }
        match tag.suffix.as_str() {
            "str" => return Ok(ScalarKind::Text),
            "null" | "bool" | "int" | "float" => {}
            _ => return Err(unsupported_tag(tag)),
        }
    }
    if style != ScalarStyle::Plain {
        return Ok(ScalarKind::Text);
    }
    Ok(plain_kind(text))
}

/// The type of a plain scalar. Kubernetes reads YAML 1.1, where `yes` and `on` are booleans too.
fn plain_kind(text: &str) -> ScalarKind {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return ScalarKind::Null,
        _ if as_boolean(text).is_some() => return ScalarKind::Boolean,
        ".inf" | "-.inf" | ".nan" | ".NaN" => return ScalarKind::Float,
        _ => {}
    }
    if as_integer(text).is_some() {
        return ScalarKind::Integer;
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let digits_only = unsigned.bytes().all(|byte| byte.is_ascii_digit());
    let numeric = unsigned
        .strip_prefix('.')
        .unwrap_or(unsigned)
        .starts_with(|first: char| first.is_ascii_digit())
        && text.parse::<f64>().is_ok();
    if digits_only || numeric {
        ScalarKind::Float
    } else {
        ScalarKind::Text
    }
}

/// The boolean that a plain scalar stands for.
pub(crate) fn as_boolean(text: &str) -> Option<bool> {
    match text {
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Some(true),
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => Some(false),
        _ => None,
    }
}

/// The integer that a plain scalar stands for: decimal, `0x…`, and octal as `0o644` or, as YAML 1.1 has it, `0644`.
pub(crate) fn as_integer(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if !digits.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    let magnitude = if let Some(hex) = digits.strip_prefix("0x") {
        i64::from_str_radix(hex, 16)
    } else if let Some(octal) = digits.strip_prefix("0o") {
        i64::from_str_radix(octal, 8)
    } else if digits.len() > 1 && digits.starts_with('0') {
        i64::from_str_radix(digits, 8)
    } else {
        digits.parse()
    };
    magnitude
        .ok()
        .filter(|value| *value >= 0)
        .map(|value| if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fails(text: &str) -> String {
        read(text, "f.yaml").expect_err("must fail").to_string()
    }

    #[test]
    fn plain_scalars_are_typed_as_kubernetes_types_them() {
        for (text, kind) in [
            ("~", ScalarKind::Null),
            ("true", ScalarKind::Boolean),
            ("yes", ScalarKind::Boolean),
            ("12", ScalarKind::Integer),
            ("-0644", ScalarKind::Integer),
            ("0x1f", ScalarKind::Integer),
            ("1.5", ScalarKind::Float),
            ("1e3", ScalarKind::Float),
            ("128Mi", ScalarKind::Text),
            ("1.2.3", ScalarKind::Text),
            ("inf", ScalarKind::Text),
            ("99999999999999999999", ScalarKind::Float),
        ] {
            assert_eq!(plain_kind(text), kind, "{text}");
        }
        assert_eq!(as_integer("0644"), Some(0o644));
        assert_eq!(as_integer("0o644"), Some(0o644));
        assert_eq!(as_integer("0x-5"), None);
    }

    #[test]
    fn errors_carry_the_position() {
        assert_eq!(
            fails("a: 1\nb: 2\na: 3\n"),
            "f.yaml:3:1: duplicate key \"a\""
        );
        assert!(fails("a:\n\tb: 1\n").starts_with("f.yaml:2:"));
        assert!(fails("a: [1\n").starts_with("f.yaml:"));
        assert!(fails("a: !!binary aGk=\n").contains("tags"));
        assert!(fails("[a]: 1\n").contains("must be a string"));
    }

    #[test]
    fn bombs_are_defused() {
        let mut laughs = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x]\n");
        for level in 1..9 {
            let before = level - 1;
            let row = format!("*a{before},").repeat(9);
            laughs.push_str(&format!("a{level}: &a{level} [{row}]\n"));
        }
        assert!(fails(&laughs).contains("beyond the limit"));
        let big = "x".repeat(500_000);
        let copies = "- *big\n".repeat(100);
        assert!(fails(&format!("- &big {big}\n{copies}")).contains("total size"));
        assert!(fails(&"[".repeat(5000)).contains("f.yaml:1:"));
        assert!(fails(&"a: {".repeat(100)).contains("f.yaml:1:"));
        assert!(fails(&"x".repeat(MAX_TEXT + 1)).contains("too long"));
        assert!(fails("a: &a [*a]\n").contains("not complete"));
    }

    #[test]
    fn merge_keys_add_what_is_missing() {
        let text = "base: &b {x: 1, y: 2}\nuse:\n  <<: *b\n  y: 3\n";
        let documents = read(text, "f.yaml").expect("reads");
        let used = &documents[0].entry("use").expect("there").value;
        assert_eq!(used.entry("x").and_then(|e| e.value.scalar()), Some("1"));
        assert_eq!(used.entry("y").and_then(|e| e.value.scalar()), Some("3"));
        assert!(fails("a: {<<: 3}\n").contains("merges mappings"));
    }
}
