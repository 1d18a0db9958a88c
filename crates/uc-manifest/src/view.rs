//! Reading a checked object: a mapping together with its field table and its path.
//!
//! Only fields of the table can be asked for. In tests each access is recorded, so that a field which the table calls
//! used and nobody reads is found.

use std::{ops::RangeInclusive, str::FromStr};

use uc_model::{Problem, Result};

use crate::{
    check::key_path,
    context::Context,
    schema::{Object, Shape},
    yaml::{Node, Place, Value, as_boolean, as_integer},
};

/// One object of a file.
#[derive(Clone)]
pub(crate) struct View<'a> {
    pub(crate) context: &'a Context<'a>,
    pub(crate) path: String,
    node: &'a Node,
    object: &'static Object,
}

impl<'a> View<'a> {
    /// A view of a node that [`crate::check::check_object`] has passed.
    pub(crate) fn new(
        context: &'a Context<'a>,
        node: &'a Node,
        object: &'static Object,
        path: String,
    ) -> Self {
        Self {
            context,
            path,
            node,
            object,
        }
    }

    /// Where the object begins.
    pub(crate) fn place(&self) -> Place {
        self.node.place
    }

    fn value(&self, name: &str) -> Option<&'a Node> {
        debug_assert!(
            self.object.field(name).is_some(),
            "{} has no field {name}",
            self.object.name
        );
        #[cfg(test)]
        reads::record(self.object.name, name);
        self.node
            .entry(name)
            .map(|entry| &entry.value)
            .filter(|node| !node.is_null())
    }

    /// Whether the field is there.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.value(name).is_some()
    }

    /// The path of a field.
    pub(crate) fn path_of(&self, name: &str) -> String {
        key_path(&self.path, name)
    }

    /// Where a field is, or else its object.
    pub(crate) fn place_of(&self, name: &str) -> Place {
        self.node
            .entry(name)
            .map_or(self.node.place, |entry| entry.value.place)
    }

    /// A problem with a field.
    pub(crate) fn blame(&self, name: &str, problem: Problem) -> Problem {
        self.blame_path(self.place_of(name), &self.path_of(name), problem)
    }

    /// A problem with the object as a whole.
    pub(crate) fn blame_self(&self, problem: Problem) -> Problem {
        self.blame_path(self.node.place, &self.path, problem)
    }

    fn blame_path(&self, place: Place, path: &str, problem: Problem) -> Problem {
        let place = place.in_file(self.context.file);
        if path.is_empty() {
            problem.at(place)
        } else {
            problem.at(path).within(place)
        }
    }

    /// A problem with one key of a mapping.
    pub(crate) fn blame_item(&self, name: &str, item: &str, problem: Problem) -> Problem {
        let path = key_path(&self.path_of(name), item);
        let place = self
            .node
            .entry(name)
            .and_then(|entry| entry.value.entry(item))
            .map_or(self.place_of(name), |entry| entry.key_place);
        self.blame_path(place, &path, problem)
    }

    /// A problem with one item of a list.
    pub(crate) fn blame_index(&self, name: &str, index: usize, problem: Problem) -> Problem {
        let place = self.items(name).get(index).map(|node| node.place);
        let path = format!("{}[{index}]", self.path_of(name));
        self.blame_path(place.unwrap_or(self.place_of(name)), &path, problem)
    }

    /// A refusal of a field, in the words of the tables.
    pub(crate) fn refuse(&self, name: &str, why: &str, remedy: &str) -> Problem {
        let what = format!("{} is not supported by uc: {why}", self.path_of(name));
        Problem::refused(what)
            .at(self.place_of(name).in_file(self.context.file))
            .remedy(remedy)
    }

    /// Tells the user something about a field.
    pub(crate) fn note(&self, name: &str, text: &str) {
        let text = format!("{} {text}", self.path_of(name));
        self.context.note(self.place_of(name), &text);
    }

    /// A string, or the text of a quantity or port.
    pub(crate) fn text(&self, name: &str) -> Option<&'a str> {
        self.value(name).and_then(Node::scalar)
    }

    /// A string that must be there and not be empty.
    pub(crate) fn required(&self, name: &str) -> Result<&'a str> {
        self.text(name)
            .filter(|text| !text.is_empty())
            .ok_or_else(|| self.blame(name, Problem::invalid("the field is required")))
    }

    /// A boolean.
    pub(crate) fn boolean(&self, name: &str) -> Option<bool> {
        self.text(name).and_then(as_boolean)
    }

    /// An integer of a range.
    pub(crate) fn integer(&self, name: &str, range: RangeInclusive<i64>) -> Result<Option<i64>> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        match as_integer(text).filter(|value| range.contains(value)) {
            Some(value) => Ok(Some(value)),
            None => Err(self.blame(
                name,
                Problem::invalid("the number is out of range")
                    .limit(format!("{} to {}", range.start(), range.end()))
                    .found(text),
            )),
        }
    }

    /// An unsigned integer of a range within 32 bits.
    pub(crate) fn unsigned(&self, name: &str, range: RangeInclusive<u32>) -> Result<Option<u32>> {
        let range = i64::from(*range.start())..=i64::from(*range.end());
        Ok(self
            .integer(name, range)?
            .and_then(|value| u32::try_from(value).ok()))
    }

    /// A string that some type parses.
    pub(crate) fn parsed<T: FromStr<Err = Problem>>(&self, name: &str) -> Result<Option<T>> {
        self.text(name)
            .map(|text| text.parse().map_err(|problem| self.blame(name, problem)))
            .transpose()
    }

    /// One of a few words.
    pub(crate) fn choice<T: Copy>(&self, name: &str, choices: &[(&str, T)]) -> Result<Option<T>> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        match choices.iter().find(|(word, _)| *word == text) {
            Some((_, value)) => Ok(Some(*value)),
            None => {
                let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
                let problem = Problem::invalid("unknown value")
                    .limit(words.join(", "))
                    .found(format!("{text:?}"));
                Err(self.blame(name, problem))
            }
        }
    }

    /// An object below this one.
    pub(crate) fn object(&self, name: &str) -> Option<View<'a>> {
        let node = self.value(name)?;
        match self.object.field(name)?.shape {
            Shape::Object(object) => {
                Some(View::new(self.context, node, object, self.path_of(name)))
            }
            _ => None,
        }
    }

    /// A list of objects.
    pub(crate) fn objects(&self, name: &str) -> Vec<View<'a>> {
        let Some(Shape::List(Shape::Object(object))) =
            self.object.field(name).map(|field| field.shape)
        else {
            return Vec::new();
        };
        let path = self.path_of(name);
        self.items(name)
            .iter()
            .enumerate()
            .map(|(index, node)| View::new(self.context, node, object, format!("{path}[{index}]")))
            .collect()
    }

    /// The nodes of a list.
    pub(crate) fn items(&self, name: &str) -> &'a [Node] {
        match self.value(name).map(|node| &node.value) {
            Some(Value::Sequence(items)) => items,
            _ => &[],
        }
    }

    /// A list of strings; `None` where the field is absent.
    pub(crate) fn texts(&self, name: &str) -> Option<Vec<&'a str>> {
        self.value(name)?;
        let items = self.items(name).iter();
        Some(items.filter_map(Node::scalar).collect())
    }

    /// The entries of a mapping to scalars, in the order of the file; null values are empty strings.
    pub(crate) fn map(&self, name: &str) -> Vec<(&'a str, &'a str)> {
        match self.value(name).map(|node| &node.value) {
            Some(Value::Mapping(entries)) => entries
                .iter()
                .map(|entry| (entry.key.as_str(), entry.value.scalar().unwrap_or_default()))
                .collect(),
            _ => Vec::new(),
        }
    }
}

/// Which fields were read, for the test that compares them with the tables.
#[cfg(test)]
pub(crate) mod reads {
    use std::{cell::RefCell, collections::BTreeSet};

    thread_local! {
        static READS: RefCell<BTreeSet<(&'static str, String)>> = const { RefCell::new(BTreeSet::new()) };
    }

    pub(crate) fn record(object: &'static str, field: &str) {
        READS.with_borrow_mut(|reads| reads.insert((object, field.to_owned())));
    }

    pub(crate) fn all() -> BTreeSet<(&'static str, String)> {
        READS.with_borrow(Clone::clone)
    }
}
