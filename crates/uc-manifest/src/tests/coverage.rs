//! Every field of the tables has an effect: it is read, noted or refused. The manifest in `everything.yaml` holds every
//! field that is used, so this also shows that all of them can be used together.

use std::collections::BTreeSet;

use super::read;
use crate::{
    schema::{Fate, Object, Shape, document},
    view::reads,
    yaml::{Node, Value},
};

const EVERYTHING: &str = include_str!("everything.yaml");
const DOCUMENTS: [&Object; 5] = [
    &document::POD,
    &document::RUNTIME_CLASS,
    &document::CONFIG_MAP,
    &document::SECRET,
    &document::LIST,
];

/// Every object that is reached without passing an inert or refused field.
fn objects_in_use() -> Vec<&'static Object> {
    let mut found: Vec<&'static Object> = Vec::new();
    let mut pending: Vec<&'static Object> = vec![
        &document::POD,
        &document::RUNTIME_CLASS,
        &document::CONFIG_MAP,
        &document::SECRET,
        &document::LIST,
    ];
    while let Some(object) = pending.pop() {
        if found.iter().any(|known| std::ptr::eq(*known, object)) {
            continue;
        }
        found.push(object);
        for field in object.fields {
            match (field.fate, field.shape) {
                (Fate::Used, Shape::Object(inner)) => pending.push(inner),
                (Fate::Used, Shape::List(Shape::Object(inner))) => pending.push(inner),
                _ => {}
            }
        }
    }
    found
}

#[test]
fn every_field_is_read_noted_or_refused() {
    let manifest = read(EVERYTHING).unwrap_or_else(|problem| panic!("{problem}"));
    assert!(!manifest.workloads.is_empty());
    let reads = reads::all();
    // `kind` and `apiVersion` decide which table holds, before there is a view.
    let before = ["apiVersion", "kind"];
    let mut unread = Vec::new();
    for object in objects_in_use() {
        for field in object.fields {
            let read = reads.contains(&(object.name, field.name.to_owned()));
            let early =
                DOCUMENTS.iter().any(|d| std::ptr::eq(*d, object)) && before.contains(&field.name);
            if matches!(field.fate, Fate::Used) && !read && !early {
                unread.push(format!("{}.{}", object.name, field.name));
            }
        }
    }
    assert!(
        unread.is_empty(),
        "fields called used that nobody reads: {unread:?}"
    );
}

#[test]
fn no_table_lists_a_field_twice_and_every_reason_is_given() {
    for object in objects_in_use() {
        let names: BTreeSet<&str> = object.fields.iter().map(|field| field.name).collect();
        assert_eq!(names.len(), object.fields.len(), "{}", object.name);
        for field in object.fields {
            match field.fate {
                Fate::Used => {}
                Fate::Inert(why) => assert!(!why.is_empty()),
                Fate::Refused(refusal) | Fate::Only(_, refusal) => {
                    assert!(!refusal.why.is_empty() && !refusal.remedy.is_empty());
                }
            }
        }
    }
}

/// A value of a shape that no `Only` list holds.
fn sample(shape: Shape) -> String {
    match shape {
        Shape::Text | Shape::Any => "\"other\"".into(),
        Shape::Integer | Shape::Quantity | Shape::IntOrText => "7".into(),
        Shape::Boolean => "true".into(),
        Shape::Object(_) | Shape::Map(_) => "{}".into(),
        Shape::List(_) => "[]".into(),
    }
}

/// Puts each refused field into an otherwise sound object through the checker, and each inert one.
#[test]
fn every_refused_field_is_refused_and_every_inert_one_noted() {
    let mut refused = 0;
    let mut inert = 0;
    for object in objects_in_use() {
        for field in object.fields {
            let text = format!("{}: {}\n", field.name, sample(field.shape));
            let nodes = crate::yaml::read(&text, "f.yaml").expect("reads");
            assert!(matches!(
                nodes[0],
                Node {
                    value: Value::Mapping(_),
                    ..
                }
            ));
            let base = std::path::Path::new("");
            let context = crate::context::Context::new("f.yaml", base);
            let result = crate::check::check_object(&context, &nodes[0], object, "x");
            let place = format!("x.{}", field.name);
            match field.fate {
                Fate::Used => result.unwrap_or_else(|problem| panic!("{place}: {problem}")),
                Fate::Inert(_) => {
                    inert += 1;
                    result.unwrap_or_else(|problem| panic!("{place}: {problem}"));
                    let notes = context.into_notes();
                    assert!(notes[0].starts_with(&format!("f.yaml:1:1: {place} has no effect")));
                }
                Fate::Refused(_) | Fate::Only(..) => {
                    refused += 1;
                    let problem = result.expect_err(&place);
                    let expected = format!("f.yaml:1:1: {place} is not supported by uc: ");
                    assert!(problem.to_string().starts_with(&expected), "{problem}");
                    assert_eq!(problem.kind(), uc_model::ProblemKind::Refused);
                    assert!(problem.remedy_text().is_some());
                }
            }
            let typo = text.replacen(field.name, &format!("{}q", field.name), 1);
            let nodes = crate::yaml::read(&typo, "f.yaml").expect("reads");
            let problem = crate::check::check_object(&context_of(), &nodes[0], object, "x")
                .expect_err("a misspelt field");
            assert!(problem.to_string().contains("unknown field"), "{problem}");
            assert!(
                problem
                    .remedy_text()
                    .expect("hint")
                    .starts_with("did you mean")
            );
        }
    }
    assert!(
        refused > 60 && inert > 30,
        "{refused} refused, {inert} inert"
    );
}

fn context_of() -> crate::context::Context<'static> {
    crate::context::Context::new("f.yaml", std::path::Path::new(""))
}
