//! Checks a document against the field tables: unknown fields, wrong types, fields that cannot be honoured.
//!
//! After this pass every field has the shape its table says, so that reading it needs no further type errors.

use uc_model::{Problem, Result};

use crate::{
    context::Context,
    schema::{Fate, Field, Object, Refusal, Shape},
    yaml::{Entry, Node, ScalarKind, Value, as_boolean},
};

/// The path of a key below `parent`: `parent.key`, or `parent[key]` for keys that are not plain words.
pub(crate) fn key_path(parent: &str, key: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let key: String = key.chars().take(80).collect();
    if !key.bytes().all(plain) || key.is_empty() {
        format!("{parent}[{key}]")
    } else if parent.is_empty() {
        key
    } else {
        format!("{parent}.{key}")
    }
}

/// Checks a whole object; `path` is empty for a document.
pub(crate) fn check_object(
    context: &Context<'_>,
    node: &Node,
    object: &'static Object,
    path: &str,
) -> Result<()> {
    Check {
        context,
        muted: false,
    }
    .object(node, object, path)
}

struct Check<'a> {
    context: &'a Context<'a>,
    /// Below a field without effect only names and types are checked.
    muted: bool,
}

impl Check<'_> {
    fn object(&self, node: &Node, object: &'static Object, path: &str) -> Result<()> {
        let Value::Mapping(entries) = &node.value else {
            return Err(self.mismatch(node, path, &format!("a mapping ({})", object.name)));
        };
        entries.iter().try_for_each(|entry| {
            let path = key_path(path, &entry.key);
            match object.field(&entry.key) {
                Some(field) => self.field(entry, field, &path),
                None => Err(self.unknown(entry, object, &path)),
            }
        })
    }

    fn field(&self, entry: &Entry, field: &Field, path: &str) -> Result<()> {
        let node = &entry.value;
        if node.is_null() {
            return Ok(());
        }
        if self.muted {
            return self.shape(node, field.shape, path);
        }
        match field.fate {
            Fate::Used => self.shape(node, field.shape, path),
            Fate::Inert(why) => {
                Check {
                    context: self.context,
                    muted: true,
                }
                .shape(node, field.shape, path)?;
                let text = format!("{path} has no effect: {why}");
                self.context.note(entry.key_place, &text);
                Ok(())
            }
            Fate::Refused(refusal) => match &node.value {
                Value::Sequence(items) if items.is_empty() => Ok(()),
                _ => Err(self.refuse(entry, path, refusal)),
            },
            Fate::Only(values, refusal) => {
                self.shape(node, field.shape, path)?;
                if plain_text(node).is_some_and(|text| values.contains(&text)) {
                    return Ok(());
                }
                let found = node.describe();
                let accepted = values.join(" or ");
                Err(self
                    .refuse(entry, path, refusal)
                    .limit(accepted)
                    .found(found))
            }
        }
    }

    fn shape(&self, node: &Node, shape: Shape, path: &str) -> Result<()> {
        let expected = match shape {
            Shape::Object(object) => return self.object(node, object, path),
            Shape::List(item) => return self.list(node, *item, path),
            Shape::Map(value) => return self.map(node, *value, path),
            Shape::Any => return Ok(()),
            Shape::Text => "a string",
            Shape::Integer => "an integer",
            Shape::Boolean => "true or false",
            Shape::Quantity => "a quantity, such as 500m or 128Mi",
            Shape::IntOrText => "an integer or a string",
        };
        let Value::Scalar { kind, .. } = &node.value else {
            return Err(self.mismatch(node, path, expected));
        };
        let fits = match shape {
            Shape::Integer => *kind == ScalarKind::Integer,
            Shape::Boolean => *kind == ScalarKind::Boolean,
            Shape::Quantity => !matches!(kind, ScalarKind::Boolean | ScalarKind::Null),
            Shape::IntOrText => matches!(kind, ScalarKind::Integer | ScalarKind::Text),
            _ => *kind == ScalarKind::Text,
        };
        if fits {
            return Ok(());
        }
        let problem = self.mismatch(node, path, expected);
        Err(match (shape, kind) {
            (Shape::Text, ScalarKind::Null) => problem,
            (Shape::Text, _) => problem.remedy("put the value in quotes"),
            (Shape::Integer | Shape::Boolean, ScalarKind::Text) => {
                problem.remedy("write the value without quotes")
            }
            _ => problem,
        })
    }

    fn list(&self, node: &Node, item: Shape, path: &str) -> Result<()> {
        let Value::Sequence(items) = &node.value else {
            return Err(self.mismatch(node, path, "a list"));
        };
        items
            .iter()
            .enumerate()
            .try_for_each(|(index, node)| self.shape(node, item, &format!("{path}[{index}]")))
    }

    fn map(&self, node: &Node, value: Shape, path: &str) -> Result<()> {
        let Value::Mapping(entries) = &node.value else {
            return Err(self.mismatch(node, path, "a mapping"));
        };
        entries
            .iter()
            .try_for_each(|entry| self.shape(&entry.value, value, &key_path(path, &entry.key)))
    }

    fn mismatch(&self, node: &Node, path: &str, expected: &str) -> Problem {
        let what = if path.is_empty() {
            "wrong type of document".to_owned()
        } else {
            format!("{path} has the wrong type")
        };
        Problem::invalid(what)
            .at(node.place.in_file(self.context.file))
            .limit(expected)
            .found(node.describe())
    }

    fn refuse(&self, entry: &Entry, path: &str, refusal: Refusal) -> Problem {
        Problem::refused(format!("{path} is not supported by uc: {}", refusal.why))
            .at(entry.key_place.in_file(self.context.file))
            .remedy(refusal.remedy)
    }

    fn unknown(&self, entry: &Entry, object: &Object, path: &str) -> Problem {
        let problem = Problem::invalid(format!(
            "{path} is an unknown field: {} has no {:?}",
            object.name,
            entry.key.chars().take(80).collect::<String>()
        ))
        .at(entry.key_place.in_file(self.context.file));
        match nearest(&entry.key, object.fields.iter().map(|field| field.name)) {
            Some(name) => problem.remedy(format!("did you mean {name}?")),
            None => problem.remedy("remove it, or move it to the object that it belongs to"),
        }
    }
}

/// The text of a scalar, with booleans written as in JSON.
fn plain_text(node: &Node) -> Option<&str> {
    let Value::Scalar { text, kind } = &node.value else {
        return None;
    };
    match (kind, as_boolean(text)) {
        (ScalarKind::Boolean, Some(true)) => Some("true"),
        (ScalarKind::Boolean, Some(false)) => Some("false"),
        _ => Some(text),
    }
}

/// The name closest to a misspelt one, if any is close.
pub(crate) fn nearest<'n>(word: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    if word.len() > 64 {
        return None;
    }
    let lower = word.to_ascii_lowercase();
    let most = (word.chars().count() / 3).clamp(1, 3);
    names
        .map(|name| {
            (
                strsim::damerau_levenshtein(&lower, &name.to_ascii_lowercase()),
                name,
            )
        })
        .min()
        .filter(|(distance, _)| *distance <= most)
        .map(|(_, name)| name)
}
