//! The decompressed form of a layer, by what its first bytes are and not by what somebody says they are.

use std::io::{self, BufRead, BufReader, Cursor, Read};

use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::{
    BlockDecodingStrategy, FrameDecoder,
    errors::{FrameDecoderError, ReadFrameHeaderError},
};
use uc_model::{Problem, Result};

use crate::{media::Compression, verify::problem_of};

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// Skippable frames (RFC 8878 3.1.2) have the magic numbers 0x184D2A50 to 0x184D2A5F, little endian.
const ZSTD_SKIPPABLE: [u8; 3] = [0x2a, 0x4d, 0x18];
/// The largest zstd window. RFC 8878 asks decoders for 8 MiB at least; compressors go beyond only on request.
const ZSTD_WINDOW_BYTES: u64 = 16 << 20;
const INPUT_BYTES: usize = 128 << 10;

/// Opens a layer's stream.
///
/// # Errors
/// Invalid where the stream is not compressed as announced, or not in a way we know.
pub(super) fn open<'a, R: Read + 'a>(
    mut reader: R,
    announced: Option<Compression>,
) -> Result<Box<dyn Read + 'a>> {
    let mut magic = [0; 4];
    let mut have = 0;
    while have < magic.len() {
        let count = reader.read(&mut magic[have..]).map_err(|error| {
            problem_of(error, |error| {
                Problem::unavailable("cannot read the layer").caused_by(error)
            })
        })?;
        if count == 0 {
            break;
        }
        have += count;
    }
    let found = detect(&magic[..have]);
    if let Some(announced) = announced
        && announced != found
    {
        return Err(
            Problem::invalid("the layer is not compressed as its media type says")
                .limit(announced.name())
                .found(found.name())
                .remedy("build or push the image again"),
        );
    }
    let whole = Cursor::new(magic[..have].to_vec()).chain(reader);
    let buffered = BufReader::with_capacity(INPUT_BYTES, whole);
    Ok(match found {
        Compression::Plain => Box::new(buffered),
        Compression::Gzip => Box::new(MultiGzDecoder::new(buffered)),
        Compression::Zstd => Box::new(ZstdFrames::new(buffered)),
    })
}

fn detect(magic: &[u8]) -> Compression {
    if magic.starts_with(&GZIP_MAGIC) {
        Compression::Gzip
    } else if magic == ZSTD_MAGIC
        || (magic.len() == 4 && magic[0] & 0xf0 == 0x50 && magic[1..] == ZSTD_SKIPPABLE)
    {
        Compression::Zstd
    } else {
        Compression::Plain
    }
}

/// A sequence of zstd frames. Skippable ones carry indexes of no interest to us; frame checksums are left to the diff id,
/// which covers the whole stream.
struct ZstdFrames<R> {
    source: R,
    decoder: FrameDecoder,
    in_frame: bool,
}

impl<R: BufRead> ZstdFrames<R> {
    fn new(source: R) -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(ZSTD_WINDOW_BYTES);
        Self {
            source,
            decoder,
            in_frame: false,
        }
    }

    /// Starts the next frame; `false` at the end of the stream.
    fn next_frame(&mut self) -> io::Result<bool> {
        loop {
            if self.source.fill_buf()?.is_empty() {
                return Ok(false);
            }
            match self.decoder.reset(&mut self.source) {
                Ok(()) => {
                    self.in_frame = true;
                    return Ok(true);
                }
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    let skipped = io::copy(
                        &mut self.source.by_ref().take(u64::from(length)),
                        &mut io::sink(),
                    )?;
                    if skipped < u64::from(length) {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
            }
        }
    }
}

impl<R: BufRead> Read for ZstdFrames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            if !self.in_frame && !self.next_frame()? {
                return Ok(0);
            }
            while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                self.decoder
                    .decode_blocks(&mut self.source, BlockDecodingStrategy::UptoBlocks(1))
                    .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            }
            let count = self.decoder.read(buffer)?;
            if count > 0 {
                return Ok(count);
            }
            self.in_frame = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn plain(bytes: &[u8], announced: Option<Compression>) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        open(bytes, announced)?
            .read_to_end(&mut out)
            .map_err(|error| Problem::invalid("stream").caused_by(error))?;
        Ok(out)
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).expect("writes");
        encoder.finish().expect("finishes")
    }

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
    }

    #[test]
    fn members_and_frames_follow_each_other() {
        let members = [gzip(b"one "), gzip(b"two")].concat();
        assert_eq!(
            plain(&members, Some(Compression::Gzip)).expect("reads"),
            b"one two"
        );
        let skippable = [0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 9, 9, 9].to_vec();
        let frames = [skippable.clone(), zstd(b"one "), skippable, zstd(b"two")].concat();
        assert_eq!(
            plain(&frames, Some(Compression::Zstd)).expect("reads"),
            b"one two"
        );
    }

    #[test]
    fn the_magic_must_be_what_was_announced() {
        let problem = plain(&gzip(b"x"), Some(Compression::Zstd)).expect_err("gzip is not zstd");
        assert!(
            problem.to_string().contains("expected: zstd; found: gzip"),
            "{problem}"
        );
    }

    #[test]
    fn truncation_is_an_error_at_every_length() {
        for whole in [gzip(&[7; 5000]), zstd(&[7; 5000])] {
            for length in 5..whole.len() {
                assert!(
                    plain(&whole[..length], None).is_err(),
                    "{length} of {}",
                    whole.len()
                );
            }
        }
    }
}
