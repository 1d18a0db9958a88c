//! The index of the recordings says what lies beside it.
#![allow(
    clippy::expect_used,
    reason = "a test ends where the index is not what it should be"
)]

use std::{collections::BTreeSet, fs, path::PathBuf};

use xtask::record_programs;

#[derive(Debug)]
struct Entry {
    file: String,
    leaks: bool,
    limit_bytes: i64,
    split: String,
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../recordings")
}

fn index() -> Vec<Entry> {
    let text = fs::read_to_string(folder().join("index.toml")).expect("there is an index");
    let index: toml::Table = text.parse().expect("it is TOML");
    let entry = |value: &toml::Value| {
        assert_eq!(value.as_table().expect("a table").len(), 4, "{value:?}");
        Some(Entry {
            file: value.get("file")?.as_str()?.to_owned(),
            leaks: value.get("leaks")?.as_bool()?,
            limit_bytes: value.get("limit_bytes")?.as_integer()?,
            split: value.get("split")?.as_str()?.to_owned(),
        })
    };
    let entries = index["recording"].as_array().expect("a list");
    entries
        .iter()
        .map(|value| entry(value).expect("all four of the right kind"))
        .collect()
}

/// Seconds and bytes.
fn rows(file: &str) -> Vec<(u64, i64)> {
    let text = fs::read_to_string(folder().join(file)).expect("it can be read");
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("t_s,rss_bytes"), "{file}");
    lines
        .map(|line| {
            let (time, bytes) = line.split_once(',').expect("two fields");
            let time = time.parse().expect("seconds");
            (time, bytes.parse().expect("bytes"))
        })
        .collect()
}

#[test]
fn every_recording_is_listed_once_and_can_be_made_anew() {
    let entries = index();
    let listed: BTreeSet<String> = entries.iter().map(|one| one.file.clone()).collect();
    assert_eq!(listed.len(), entries.len(), "one is listed twice");
    let present: BTreeSet<String> = fs::read_dir(folder())
        .expect("the folder can be read")
        .map(|entry| entry.expect("and its entries").file_name())
        .filter_map(|name| name.into_string().ok())
        .filter(|name| name.ends_with(".csv"))
        .collect();
    assert_eq!(listed, present);
    let made: BTreeSet<String> = record_programs::files().into_iter().collect();
    assert_eq!(listed, made);
}

#[test]
fn leaks_cross_their_limit_and_the_others_stay_below() {
    for entry in index() {
        let rows = rows(&entry.file);
        assert!(rows.len() > 100, "{}", entry.file);
        assert!(
            rows.windows(2).all(|pair| pair[0].0 < pair[1].0),
            "time runs forward in {}",
            entry.file
        );
        let crosses = rows.iter().any(|&(_, bytes)| bytes > entry.limit_bytes);
        assert_eq!(crosses, entry.leaks, "{}", entry.file);
    }
}

#[test]
fn rules_are_not_judged_by_languages_that_they_were_tuned_on() {
    for entry in index() {
        let language = entry.file.split('-').next().expect("a language");
        let expected = match language {
            "c" | "java" | "python" => "tuning",
            _ => "held-out",
        };
        assert_eq!(entry.split, expected, "{}", entry.file);
    }
}
