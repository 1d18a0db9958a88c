//! Retention, atomicity and bounds; crashes and damage are in `tests/history_crash.rs`.

use uc_model::ProblemKind;

use super::*;

fn bounds(samples_per_series: usize, series: usize) -> Bounds {
    Bounds {
        samples_per_series,
        series,
        states: 3,
        state_bytes: 10,
    }
}

fn begin(bounds: Bounds) -> (tempfile::TempDir, History) {
    let directory = tempfile::tempdir().expect("a directory");
    let history = open(&directory, bounds);
    (directory, history)
}

fn open(directory: &tempfile::TempDir, bounds: Bounds) -> History {
    let (history, moved) = History::open(directory.path().join("history"), bounds).expect("opened");
    assert!(moved.is_none(), "{moved:?}");
    history
}

fn sample(t_s: f64) -> Sample {
    Sample {
        life: 3,
        oom_kills: Some(1),
        pressure: Some(0.5),
        ..Sample::new(t_s, 1 << 20, Some(1 << 30))
    }
}

fn times(history: &History, key: &str, since_s: f64) -> Vec<f64> {
    let samples = history.recent(key, since_s).expect("readable");
    samples.iter().map(|sample| sample.t_s).collect()
}

#[test]
fn samples_come_back_by_key_and_time() {
    let (directory, history) = begin(bounds(1000, 10));
    history
        .append(&[("a", sample(1.0)), ("b", sample(2.0)), ("a", sample(0.5))])
        .expect("written");
    history.append(&[("a", sample(3.0))]).expect("written");
    let check = |history: &History| {
        assert_eq!(history.keys().expect("readable"), ["a", "b"]);
        assert_eq!(times(history, "a", 0.0), [0.5, 1.0, 3.0]);
        assert_eq!(times(history, "a", 1.0), [1.0, 3.0]);
        assert_eq!(history.recent("b", 0.0).expect("readable"), [sample(2.0)]);
        assert!(times(history, "unknown", 0.0).is_empty());
    };
    check(&history);
    drop(history);
    check(&open(&directory, bounds(1000, 10)));
}

#[test]
fn a_series_is_a_ring_across_chunks_and_restarts() {
    let (directory, mut history) = begin(bounds(200, 10));
    for t in 0..1000_u32 {
        history
            .append(&[("a", sample(f64::from(t)))])
            .expect("written");
        if t % 130 == 0 {
            drop(history);
            history = open(&directory, bounds(200, 10));
        }
        let found = times(&history, "a", f64::NEG_INFINITY);
        let first = (t + 1).saturating_sub(200);
        let expected: Vec<f64> = (first..=t).map(f64::from).collect();
        assert_eq!(found, expected);
    }
}

#[test]
fn a_batch_larger_than_the_head_is_kept_whole() {
    let (directory, history) = begin(bounds(200_000, 10));
    let batch: Vec<_> = (0..150_000_u32)
        .map(|t| ("a", sample(f64::from(t))))
        .collect();
    history.append(&batch).expect("written");
    assert_eq!(times(&history, "a", 0.0).len(), 150_000);
    drop(history);
    let history = open(&directory, bounds(100, 10));
    assert_eq!(times(&history, "a", 0.0).len(), 100);
}

#[test]
fn the_least_recently_written_series_makes_room() {
    let (directory, history) = begin(bounds(100, 3));
    for (t, key) in [(1.0, "a"), (2.0, "b"), (3.0, "c"), (4.0, "a"), (5.0, "d")] {
        history.append(&[(key, sample(t))]).expect("written");
    }
    assert_eq!(history.keys().expect("readable"), ["a", "c", "d"]);
    drop(history);
    let history = open(&directory, bounds(100, 3));
    history.append(&[("b", sample(6.0))]).expect("written");
    assert_eq!(history.keys().expect("readable"), ["a", "b", "d"]);
    // What it had before it made room does not come back.
    assert_eq!(times(&history, "b", 0.0), [6.0]);
    // More series at once than there is room for.
    let keys: Vec<String> = (0..10).map(|number| format!("n{number}")).collect();
    let batch: Vec<_> = keys.iter().map(|key| (key.as_str(), sample(7.0))).collect();
    history.append(&batch).expect("written");
    assert_eq!(history.keys().expect("readable"), ["n7", "n8", "n9"]);
    drop(history);
    // A smaller bound than before.
    let history = open(&directory, bounds(100, 1));
    history.append(&[("z", sample(8.0))]).expect("written");
    assert_eq!(history.keys().expect("readable"), ["z"]);
}

#[test]
fn states_and_samples_are_committed_together() {
    let (directory, history) = begin(bounds(100, 10));
    history
        .commit(
            &[("a", sample(1.0))],
            &[("x", Some(b"1")), ("y", Some(b""))],
        )
        .expect("written");
    history.put_state("x", b"2").expect("written");
    drop(history);
    let history = open(&directory, bounds(100, 10));
    let states = history.states().expect("readable");
    assert_eq!(states["x"], b"2");
    assert_eq!(states["y"], b"");
    history.remove_state("y").expect("written");
    history.remove_state("unknown").expect("no problem");
    assert_eq!(history.states().expect("readable").len(), 1);
    // One too many: then the sample beside it is not written either.
    let many: [(&str, Option<&[u8]>); 3] = [("1", Some(b"")), ("2", Some(b"")), ("3", Some(b""))];
    let problem = history
        .commit(&[("a", sample(2.0))], &many)
        .expect_err("too many");
    assert_eq!(problem.kind(), ProblemKind::Refused);
    assert_eq!(times(&history, "a", 0.0), [1.0]);
    assert_eq!(history.states().expect("readable").len(), 1);
    history.put_state("1", b"").expect("there is room");
}

#[test]
fn what_cannot_be_kept_is_refused() {
    let (_directory, history) = begin(bounds(100, 10));
    let long = "k".repeat(KEY_BYTES + 1);
    for (key, t_s) in [("", 0.0), (long.as_str(), 0.0), ("a", f64::NAN)] {
        let problem = history
            .append(&[("b", sample(0.0)), (key, sample(t_s))])
            .expect_err("refused");
        assert_eq!(problem.kind(), ProblemKind::Invalid);
    }
    assert!(history.put_state("s", &[0; 11]).is_err());
    assert!(history.keys().expect("readable").is_empty());
}

#[test]
fn a_second_opening_is_told_that_the_file_is_in_use() {
    let (directory, _history) = begin(bounds(100, 10));
    let problem =
        History::open(directory.path().join("history"), bounds(1, 1)).expect_err("is open already");
    assert!(problem.to_string().contains("in use"), "{problem}");
    assert_eq!(problem.kind(), ProblemKind::Storage);
}

#[test]
fn a_foreign_database_is_left_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("history");
    let foreign: redb::TableDefinition<'_, u64, u64> = redb::TableDefinition::new("theirs");
    let database = redb::Database::create(&path).expect("made");
    let write = database.begin_write().expect("begun");
    write.open_table(foreign).expect("made");
    write.commit().expect("written");
    drop(database);
    let problem = History::open(&path, Bounds::default()).expect_err("is foreign");
    assert!(problem.to_string().contains("no history"), "{problem}");
    assert!(path.exists());
}

#[test]
fn a_directory_that_is_absent_is_a_problem_with_a_remedy() {
    let problem = History::open("/nonexistent/history", Bounds::default()).expect_err("absent");
    assert_eq!(problem.kind(), ProblemKind::Storage);
    assert!(problem.remedy_text().is_some());
}

#[test]
fn the_file_stays_bounded_however_much_is_written() {
    let few = bounds(500, 20);
    let (directory, history) = begin(few);
    let keys: Vec<String> = (0..40).map(|number| format!("series-{number}")).collect();
    let mut sizes = Vec::new();
    for t in 0..10_000_u32 {
        // Half of the series change every thousand batches.
        let shift = 10 * (t as usize / 1000 % 3);
        let batch: Vec<_> = keys[shift..shift + 20]
            .iter()
            .map(|key| (key.as_str(), sample(f64::from(t))))
            .collect();
        history
            .commit(&batch, &[("machine", Some(&t.to_le_bytes()))])
            .expect("written");
        if t % 1000 == 999 {
            sizes.push(
                directory
                    .path()
                    .join("history")
                    .metadata()
                    .expect("there")
                    .len(),
            );
        }
    }
    let samples = (few.samples_per_series * few.series * codec::SAMPLE_BYTES) as u64;
    assert!(
        sizes.iter().all(|size| *size <= 4 * samples),
        "{sizes:?} for {samples} bytes of samples"
    );
    assert!(4 * samples < few.file_bytes());
}
