//! The two halves of reading a layer: one thread reads, decompresses and hashes, the other takes what comes out.

use std::{
    cell::Cell,
    io::{self, Read},
    rc::Rc,
    sync::mpsc::{Receiver, SyncSender, channel, sync_channel},
    thread,
};

use uc_model::{Bytes, Digest, Problem, Result};

use super::{Limits, decompress};
use crate::{
    media::Compression,
    verify::{Hasher, problem_of},
};

/// Large enough that a system call per buffer costs nothing, small enough to stay in the second-level cache.
const CHUNK_BYTES: usize = 256 << 10;
/// Buffers in flight between the threads.
const CHUNKS: usize = 8;
/// What headers and padding may add to a stream, per entry: three headers of an entry with long names.
const OVERHEAD_BYTES_PER_ENTRY: u64 = 16 << 10;

/// Runs `consume` over the decompressed stream of `reader`; returns what it made, and the stream's digest.
pub(crate) fn run<R: Read + Send, T>(
    reader: R,
    announced: Option<Compression>,
    limits: Limits,
    consume: impl FnOnce(Chunks) -> Result<T>,
) -> Result<(T, Digest)> {
    thread::scope(|scope| {
        let (full_sender, full) = sync_channel(CHUNKS);
        let (empty, empty_receiver) = channel();
        let producer = thread::Builder::new()
            .name("inflate".into())
            .spawn_scoped(scope, move || {
                produce(reader, announced, limits, &full_sender, &empty_receiver)
            })
            .map_err(|error| Problem::host("cannot start a thread").caused_by(error))?;
        let consumed = consume(Chunks {
            full,
            empty,
            current: Vec::new(),
            position: 0,
            ended: false,
        });
        let produced = producer
            .join()
            .map_err(|_| Problem::internal("the decompressing thread panicked"))?;
        match (produced, consumed) {
            // A broken stream looks truncated to the consumer: the producer knows better why. Where it happened, the
            // consumer knows.
            (Err(problem), Err(seen)) => Err(match seen.place() {
                Some(place) => problem.within(place),
                None => problem,
            }),
            (Err(problem), Ok(_)) => Err(problem),
            (Ok(_), Err(problem)) => Err(problem),
            (Ok(None), Ok(_)) => Err(Problem::internal("the layer was not read to its end")),
            (Ok(Some(diff_id)), Ok(made)) => Ok((made, diff_id)),
        }
    })
}

/// Decompresses and hashes to the end. `None` when the consumer went away.
fn produce<R: Read>(
    reader: R,
    announced: Option<Compression>,
    limits: Limits,
    full: &SyncSender<Vec<u8>>,
    empty: &Receiver<Vec<u8>>,
) -> Result<Option<Digest>> {
    let compressed = Rc::new(Cell::new(0));
    let counting = Counting {
        inner: reader,
        count: Rc::clone(&compressed),
    };
    let mut plain = decompress::open(counting, announced)?;
    let mut hasher = Hasher::sha256();
    let mut total = 0;
    loop {
        let mut chunk = empty.try_recv().unwrap_or_default();
        chunk.resize(CHUNK_BYTES, 0);
        let count = fill(&mut plain, &mut chunk).map_err(|error| {
            problem_of(error, |error| {
                let what = match error.kind() {
                    io::ErrorKind::UnexpectedEof => "the layer is truncated",
                    _ => "the layer cannot be decompressed",
                };
                Problem::invalid(what)
                    .at(format!("byte {total} of the tar stream"))
                    .found(&error)
                    .remedy("remove the image and fetch it again")
                    .caused_by(error)
            })
        })?;
        if count == 0 {
            return hasher.finish().map(Some);
        }
        chunk.truncate(count);
        total += count as u64;
        check_size(total, compressed.get(), limits)?;
        hasher.update(&chunk);
        if full.send(chunk).is_err() {
            return Ok(None);
        }
    }
}

fn check_size(total: u64, compressed: u64, limits: Limits) -> Result<()> {
    let most = limits
        .bytes
        .saturating_add(limits.entries.saturating_mul(OVERHEAD_BYTES_PER_ENTRY));
    let bomb = |limit: String, found: String| {
        Err(
            Problem::refused("the layer grows beyond its limit when decompressed")
                .limit(limit)
                .found(found)
                .remedy("it looks like a decompression bomb: use an image you trust"),
        )
    };
    if total > most {
        return bomb(
            Bytes(most).to_string(),
            format!("more than {}", Bytes(most)),
        );
    }
    if total > limits.ratio_floor && total / limits.ratio > compressed {
        return bomb(
            format!("{} times its compressed size", limits.ratio),
            format!("{} from {}", Bytes(total), Bytes(compressed)),
        );
    }
    Ok(())
}

/// Reads until the buffer is full or the stream ends.
fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

struct Counting<R> {
    inner: R,
    count: Rc<Cell<u64>>,
}

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.count.set(self.count.get() + count as u64);
        Ok(count)
    }
}

/// The decompressed stream, as the consumer sees it.
pub(crate) struct Chunks {
    full: Receiver<Vec<u8>>,
    empty: std::sync::mpsc::Sender<Vec<u8>>,
    current: Vec<u8>,
    position: usize,
    ended: bool,
}

impl Chunks {
    /// What is there of the stream, without copying; empty at its end.
    pub(crate) fn peek(&mut self) -> &[u8] {
        if self.position == self.current.len() && !self.ended {
            let used = std::mem::take(&mut self.current);
            if used.capacity() > 0 {
                // The producer may have ended already; then nobody needs the buffer.
                let _ = self.empty.send(used);
            }
            self.position = 0;
            match self.full.recv() {
                Ok(chunk) => self.current = chunk,
                Err(_) => self.ended = true,
            }
        }
        &self.current[self.position..]
    }

    /// Moves past `count` bytes of what [`Self::peek`] showed.
    pub(crate) fn consume(&mut self, count: usize) {
        self.position = (self.position + count).min(self.current.len());
    }
}
