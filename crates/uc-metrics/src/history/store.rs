//! The tables of the file, and what of them is kept in memory.
//!
//! What arrives together is written together: one row of the *head* per batch, whatever the number of series, so that a commit
//! touches a handful of pages. Every eighty batches the head is sorted into *chunks*, one row per series, and emptied.

use std::collections::BTreeMap;

use redb::{
    Database, Durability, ReadTransaction, ReadableDatabase, ReadableTable, Table, TableDefinition,
    WriteTransaction,
};
use uc_foresight::Sample;

use super::{Bounds, codec};

/// The layout of the tables.
const SCHEMA: u64 = 1;
/// Batches in the head. A chunk of as many samples fits a page of redb's.
pub(super) const HEAD_BATCHES: usize = 80;
/// Samples in the head, which is in memory as well.
pub(super) const HEAD_SAMPLES: usize = 1 << 16;
/// Samples in a chunk.
const CHUNK_SAMPLES: usize = HEAD_BATCHES;

const META: TableDefinition<&str, u64> = TableDefinition::new("meta");
/// Key to number, last batch, and how many samples have been sorted into chunks ever.
const SERIES: TableDefinition<&str, (u32, u64, u64)> = TableDefinition::new("series");
/// The number of a series and of the chunk's first sample, to samples.
const CHUNKS: TableDefinition<(u32, u64), &[u8]> = TableDefinition::new("chunks");
/// The number of a batch, to numbers of series with a sample each.
const HEAD: TableDefinition<u64, &[u8]> = TableDefinition::new("head");
const STATES: TableDefinition<&str, &[u8]> = TableDefinition::new("states");

const META_SCHEMA: &str = "schema";
const META_NEXT_SERIES: &str = "next-series";
const META_NEXT_BATCH: &str = "next-batch";

/// Why the file could not be used.
#[derive(Debug)]
pub(super) enum Fault {
    /// The database says so.
    Database(redb::Error),
    /// The tables contradict each other or hold what is no sample.
    Damaged(&'static str),
    /// The tables are laid out otherwise.
    Foreign(Option<u64>),
    /// The numbers of series are used up.
    Exhausted,
}

impl<E: Into<redb::Error>> From<E> for Fault {
    fn from(error: E) -> Self {
        Self::Database(error.into())
    }
}

type Outcome<T> = Result<T, Fault>;

/// One series, as far as it is in memory.
#[derive(Debug)]
struct Series {
    number: u32,
    last_batch: u64,
    sorted: u64,
    head: Vec<Sample>,
}

/// An open file.
#[derive(Debug)]
pub(super) struct Store {
    database: Database,
    series: BTreeMap<String, Series>,
    next_series: u32,
    next_batch: u64,
    head_batches: usize,
    head_samples: usize,
}

impl Store {
    /// Makes the tables where there are none, and reads the head.
    pub(super) fn load(database: Database) -> Outcome<Self> {
        make_tables(&database)?;
        let mut store = Self {
            database,
            series: BTreeMap::new(),
            next_series: 0,
            next_batch: 0,
            head_batches: 0,
            head_samples: 0,
        };
        let read = store.database.begin_read()?;
        let meta = read.open_table(META)?;
        let number =
            |name| -> Outcome<u64> { Ok(meta.get(name)?.map_or(0, |value| value.value())) };
        store.next_series = u32::try_from(number(META_NEXT_SERIES)?)
            .map_err(|_| Fault::Damaged("a number of a series is too large"))?;
        store.next_batch = number(META_NEXT_BATCH)?;
        let mut keys = BTreeMap::new();
        for row in read.open_table(SERIES)?.iter()? {
            let (key, value) = row?;
            let (number, last_batch, sorted) = value.value();
            keys.insert(number, key.value().to_owned());
            store.series.insert(
                key.value().to_owned(),
                Series {
                    number,
                    last_batch,
                    sorted,
                    head: Vec::new(),
                },
            );
        }
        store.load_head(&read, &keys)?;
        Ok(store)
    }

    fn load_head(&mut self, read: &ReadTransaction, keys: &BTreeMap<u32, String>) -> Outcome<()> {
        for row in read.open_table(HEAD)?.iter()? {
            let (batch, value) = row?;
            let batch = batch.value();
            self.next_batch = self.next_batch.max(batch.saturating_add(1));
            self.head_batches += 1;
            let mut bytes = value.value();
            while !bytes.is_empty() {
                let number = codec::take(&mut bytes).map(u32::from_le_bytes);
                let (Some(number), Some(sample)) = (number, codec::decode(&mut bytes)) else {
                    return Err(Fault::Damaged("the head holds what is no sample"));
                };
                self.head_samples += 1;
                // Series that had to make room leave their samples in the head until it is emptied.
                let key = keys.get(&number);
                if let Some(series) = key.and_then(|key| self.series.get_mut(key)) {
                    series.head.push(sample);
                    series.last_batch = series.last_batch.max(batch);
                }
            }
        }
        Ok(())
    }

    pub(super) fn keys(&self) -> Vec<String> {
        self.series.keys().cloned().collect()
    }

    /// The newest samples of a series, in the order in which they were written.
    pub(super) fn samples(&self, key: &str, at_most: usize) -> Outcome<Vec<Sample>> {
        let Some(series) = self.series.get(key) else {
            return Ok(Vec::new());
        };
        let mut samples = Vec::new();
        let chunks = self.database.begin_read()?.open_table(CHUNKS)?;
        for row in chunks.range((series.number, 0)..=(series.number, u64::MAX))? {
            let chunk = codec::decode_all(row?.1.value())
                .ok_or(Fault::Damaged("a chunk holds what is no sample"))?;
            samples.extend(chunk);
        }
        samples.extend(&series.head);
        samples.drain(..samples.len().saturating_sub(at_most));
        Ok(samples)
    }

    pub(super) fn states(&self) -> Outcome<BTreeMap<String, Vec<u8>>> {
        let states = self.database.begin_read()?.open_table(STATES)?;
        let mut found = BTreeMap::new();
        for row in states.iter()? {
            let (key, value) = row?;
            found.insert(key.value().to_owned(), value.value().to_vec());
        }
        Ok(found)
    }

    /// Writes samples and states, durably, both or neither. Returns the number of states there are then; the caller has not
    /// committed to them if it is too large, since nothing is written in that case.
    ///
    /// After a failure what is in memory is no longer what is in the file: the store must be loaded anew.
    pub(super) fn commit(
        &mut self,
        samples: &[(&str, Sample)],
        states: &[(&str, Option<&[u8]>)],
        bounds: &Bounds,
    ) -> Outcome<u64> {
        let mut write = self.database.begin_write()?;
        // One fsync, for about five pages: at one commit every 15 s nothing is gained by losing batches to a crash.
        write
            .set_durability(Durability::Immediate)
            .map_err(redb::Error::from)?;
        let mut tables = Tables::open(&write)?;
        let mut number_of_states = 0;
        for (key, value) in states {
            match value {
                Some(value) => tables.states.insert(*key, *value)?,
                None => tables.states.remove(*key)?,
            };
        }
        if !states.is_empty() {
            number_of_states = redb::ReadableTableMetadata::len(&tables.states)?;
            if number_of_states > bounds.states as u64 {
                drop(tables);
                write.abort()?;
                return Ok(number_of_states);
            }
        }
        for slice in samples.chunks(HEAD_SAMPLES) {
            self.write_batch(&mut tables, slice, bounds)?;
        }
        drop(tables);
        write.commit()?;
        Ok(number_of_states)
    }

    fn write_batch(
        &mut self,
        tables: &mut Tables<'_>,
        samples: &[(&str, Sample)],
        bounds: &Bounds,
    ) -> Outcome<()> {
        let batch = self.next_batch;
        let mut bytes = Vec::new();
        for (key, sample) in samples {
            if !self.series.contains_key(*key) {
                self.begin_series(tables, key, batch, bounds)?;
            }
            let Some(series) = self.series.get_mut(*key) else {
                return Err(Fault::Damaged("a series is gone that was just begun"));
            };
            series.last_batch = batch;
            series.head.push(*sample);
            bytes.extend(series.number.to_le_bytes());
            codec::encode(sample, &mut bytes);
        }
        tables.head.insert(batch, bytes.as_slice())?;
        self.next_batch = batch.saturating_add(1);
        self.head_batches += 1;
        self.head_samples += samples.len();
        if self.head_batches >= HEAD_BATCHES || self.head_samples >= HEAD_SAMPLES {
            self.sort_head(tables, bounds)?;
        }
        Ok(())
    }

    fn begin_series(
        &mut self,
        tables: &mut Tables<'_>,
        key: &str,
        batch: u64,
        bounds: &Bounds,
    ) -> Outcome<()> {
        // More than one where the bound is smaller than when the file was last written.
        while self.series.len() >= bounds.series.max(1) {
            self.drop_stalest(tables)?;
        }
        // A number is never given again: the head may still hold samples of the series that had it.
        let number = self.next_series;
        self.next_series = number.checked_add(1).ok_or(Fault::Exhausted)?;
        tables
            .meta
            .insert(META_NEXT_SERIES, u64::from(self.next_series))?;
        tables.series.insert(key, (number, batch, 0))?;
        self.series.insert(
            key.to_owned(),
            Series {
                number,
                last_batch: batch,
                sorted: 0,
                head: Vec::new(),
            },
        );
        Ok(())
    }

    /// Makes room by dropping the series that was written least recently.
    fn drop_stalest(&mut self, tables: &mut Tables<'_>) -> Outcome<()> {
        let stalest = self
            .series
            .iter()
            .min_by_key(|(_, series)| (series.last_batch, series.number));
        let Some((key, number)) = stalest.map(|(key, series)| (key.clone(), series.number)) else {
            return Ok(());
        };
        tables
            .chunks
            .retain_in((number, 0)..=(number, u64::MAX), |_, _| false)?;
        tables.series.remove(key.as_str())?;
        self.series.remove(&key);
        Ok(())
    }

    /// Empties the head into chunks, and drops the chunks that no bound leaves room for.
    fn sort_head(&mut self, tables: &mut Tables<'_>, bounds: &Bounds) -> Outcome<()> {
        let mut bytes = Vec::new();
        for (key, series) in &mut self.series {
            if series.head.is_empty() {
                continue;
            }
            for chunk in series.head.chunks(CHUNK_SAMPLES) {
                bytes.clear();
                for sample in chunk {
                    codec::encode(sample, &mut bytes);
                }
                tables
                    .chunks
                    .insert((series.number, series.sorted), bytes.as_slice())?;
                series.sorted = series.sorted.saturating_add(chunk.len() as u64);
            }
            series.head.clear();
            series.head.shrink_to(HEAD_BATCHES);
            tables.drop_old_chunks(series, bounds)?;
            let row = (series.number, series.last_batch, series.sorted);
            tables.series.insert(key.as_str(), row)?;
        }
        tables.head.retain(|_, _| false)?;
        tables.meta.insert(META_NEXT_BATCH, self.next_batch)?;
        self.head_batches = 0;
        self.head_samples = 0;
        Ok(())
    }
}

struct Tables<'t> {
    meta: Table<'t, &'static str, u64>,
    series: Table<'t, &'static str, (u32, u64, u64)>,
    chunks: Table<'t, (u32, u64), &'static [u8]>,
    head: Table<'t, u64, &'static [u8]>,
    states: Table<'t, &'static str, &'static [u8]>,
}

impl<'t> Tables<'t> {
    fn open(write: &'t WriteTransaction) -> Outcome<Self> {
        Ok(Self {
            meta: write.open_table(META)?,
            series: write.open_table(SERIES)?,
            chunks: write.open_table(CHUNKS)?,
            head: write.open_table(HEAD)?,
            states: write.open_table(STATES)?,
        })
    }

    /// A chunk goes when those behind it hold as many samples as a series may have.
    fn drop_old_chunks(&mut self, series: &Series, bounds: &Bounds) -> Outcome<()> {
        let kept = bounds.samples_per_series as u64;
        let Some(first_kept) = series.sorted.checked_sub(kept) else {
            return Ok(());
        };
        // The chunk that holds the first sample to keep.
        let boundary = {
            let mut before = self
                .chunks
                .range((series.number, 0)..=(series.number, first_kept))?;
            match before.next_back() {
                Some(row) => row?.0.value(),
                None => return Ok(()),
            }
        };
        self.chunks
            .retain_in((series.number, 0)..boundary, |_, _| false)?;
        Ok(())
    }
}

/// Makes the tables of an empty file; refuses those of another layout.
fn make_tables(database: &Database) -> Outcome<()> {
    let read = database.begin_read()?;
    let is_empty = read.list_tables()?.next().is_none();
    if !is_empty {
        let meta = match read.open_table(META) {
            Ok(meta) => meta,
            Err(redb::TableError::Storage(error)) => return Err(error.into()),
            Err(_) => return Err(Fault::Foreign(None)),
        };
        let schema = meta.get(META_SCHEMA)?.map(|schema| schema.value());
        return if schema == Some(SCHEMA) {
            Ok(())
        } else {
            Err(Fault::Foreign(schema))
        };
    }
    let write = database.begin_write()?;
    Tables::open(&write)?.meta.insert(META_SCHEMA, SCHEMA)?;
    write.commit()?;
    Ok(())
}
