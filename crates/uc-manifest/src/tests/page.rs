//! The page about the fields says what the tables say.

use crate::schema::{Fate, Field, Object, Shape, document};

const PAGE: &str = include_str!("../../../../docs/pod-fields.md");

/// Every object that a field of any fate leads to.
fn all_objects() -> Vec<&'static Object> {
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
            let mut shape = field.shape;
            while let Shape::List(inner) | Shape::Map(inner) = shape {
                shape = *inner;
            }
            if let Shape::Object(inner) = shape {
                pending.push(inner);
            }
        }
    }
    found
}

fn row(field: &Field) -> Option<String> {
    let row = |fate: &str, why: &str, instead: &str| {
        Some(format!("| `{}` | {fate} | {why} | {instead} |", field.name))
    };
    match field.fate {
        Fate::Used => None,
        Fate::Inert(why) => row("no effect", why, ""),
        Fate::Refused(refusal) => row("refused", refusal.why, refusal.remedy),
        Fate::Only(values, refusal) => {
            let values: Vec<String> = values.iter().map(|value| format!("`{value}`")).collect();
            row(
                &format!("only {}", values.join(", ")),
                refusal.why,
                refusal.remedy,
            )
        }
    }
}

#[test]
fn the_page_tells_the_fate_of_every_field() {
    let mut missing = Vec::new();
    for object in all_objects() {
        let heading = format!("\n## {}\n", object.name);
        let Some((_, after)) = PAGE.split_once(&heading) else {
            missing.push(heading);
            continue;
        };
        let section = after.split("\n## ").next().unwrap_or_default();
        for field in object.fields {
            let expected = row(field).unwrap_or_else(|| format!("`{}`", field.name));
            if !section.contains(&expected) {
                missing.push(format!("{}: {expected}", object.name));
            }
        }
    }
    assert!(
        missing.is_empty(),
        "not in docs/pod-fields.md: {missing:#?}"
    );
}
