//! Undoing the compression of kernels and modules.

use std::io::{self, Read};

use ruzstd::decoding::{FrameDecoder, StreamingDecoder};
use uc_model::{Problem, Result};

use super::elf::{Elf, u32_at};

/// The largest window of zstd: kernels are compressed with the longest that its levels have.
const ZSTD_WINDOW_BYTES: u64 = 128 << 20;
/// Memory that XZ may take, in KiB.
const XZ_MEMORY_KIB: u32 = 160 << 10;
/// Blocks of the older frame of LZ4, which `lz4 -l` writes, hold this much.
const LZ4_BLOCK_BYTES: usize = 8 << 20;
/// At most this much more than the data itself can a block of LZ4 be.
const LZ4_BLOCK_BOUND: usize = LZ4_BLOCK_BYTES + LZ4_BLOCK_BYTES / 255 + 16;

/// How something is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    Gzip,
    Zstd,
    Lz4,
    Xz,
    Bzip2,
    Lzma,
    Lzo,
    Plain,
}

impl Compression {
    /// By the first bytes (kernel: lib/decompress.c).
    fn of(bytes: &[u8]) -> Option<Self> {
        const MAGICS: [(&[u8], Compression); 7] = [
            (&[0x1f, 0x8b], Compression::Gzip),
            (&[0x28, 0xb5, 0x2f, 0xfd], Compression::Zstd),
            (&[0x02, 0x21, 0x4c, 0x18], Compression::Lz4),
            (&[0xfd, b'7', b'z', b'X', b'Z', 0], Compression::Xz),
            (b"BZh", Compression::Bzip2),
            (&[0x5d, 0, 0], Compression::Lzma),
            (&[0x89, b'L', b'Z', b'O'], Compression::Lzo),
        ];
        if Elf::is(bytes) {
            return Some(Self::Plain);
        }
        let found = MAGICS.iter().find(|(magic, _)| bytes.starts_with(magic));
        found.map(|(_, compression)| *compression)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Lz4 => "LZ4",
            Self::Xz => "XZ",
            Self::Bzip2 => "bzip2",
            Self::Lzma => "LZMA",
            Self::Lzo => "LZO",
            Self::Plain => "no compression",
        }
    }
}

/// The payload of a bzImage. Behind all but gzip, which has it itself, its build puts the size of what was compressed.
///
/// # Errors
/// As for [`super::bzimage::unpack`].
pub(super) fn decompress(payload: &[u8], limit: u64) -> Result<Vec<u8>> {
    let compression = compression_of(payload)?;
    let stream = match compression {
        Compression::Plain => return Ok(payload.to_vec()),
        Compression::Gzip => payload,
        _ => &payload[..payload.len().saturating_sub(4)],
    };
    let announced = u32_at(payload, payload.len().saturating_sub(4)).unwrap_or_default();
    let out = decode(compression, stream, limit, announced as usize)?;
    if out.len() != announced as usize {
        return Err(Problem::invalid("the kernel is not as long as it says")
            .limit(format!("{announced} bytes"))
            .found(format!("{} bytes", out.len())));
    }
    Ok(out)
}

/// A file that may be compressed as a whole.
///
/// # Errors
/// As for [`decompress`].
pub(super) fn decompress_file(bytes: Vec<u8>, limit: u64) -> Result<Vec<u8>> {
    match compression_of(&bytes)? {
        Compression::Plain => Ok(bytes),
        compression => decode(compression, &bytes, limit, 0),
    }
}

fn compression_of(bytes: &[u8]) -> Result<Compression> {
    Compression::of(bytes).ok_or_else(|| {
        Problem::invalid("neither an ELF file nor compressed in a known way")
            .found(format!("first bytes {:02x?}", &bytes[..bytes.len().min(6)]))
    })
}

fn decode(compression: Compression, stream: &[u8], limit: u64, expected: usize) -> Result<Vec<u8>> {
    let failed = |error: io::Error| {
        Problem::invalid("the compressed data are damaged or truncated")
            .found(compression.name())
            .caused_by(error)
    };
    match compression {
        Compression::Gzip => read(flate2::read::GzDecoder::new(stream), limit, expected, failed),
        Compression::Zstd => {
            let mut decoder = FrameDecoder::new();
            decoder.set_max_window_size(ZSTD_WINDOW_BYTES);
            let decoder = StreamingDecoder::new_with_decoder(stream, decoder)
                .map_err(|error| failed(io::Error::other(error)))?;
            read(decoder, limit, expected, failed)
        }
        Compression::Xz => {
            let decoder = lzma_rust2::XzReader::new_mem_limit(stream, false, XZ_MEMORY_KIB);
            read(decoder, limit, expected, failed)
        }
        Compression::Lz4 => lz4(stream, limit, expected).map_err(|error| match error {
            Lz4Error::TooLarge => too_large(limit),
            Lz4Error::Damaged => failed(io::ErrorKind::InvalidData.into()),
        }),
        Compression::Bzip2 | Compression::Lzma | Compression::Lzo => Err(Problem::host(
            "the kernel is compressed in a way that is not supported",
        )
        .limit("gzip, zstd, LZ4, XZ")
        .found(compression.name())
        .remedy("unpack it with extract-vmlinux of the kernel's sources, and name the result with --kernel")),
        Compression::Plain => Ok(stream.to_vec()),
    }
}

fn read(
    reader: impl Read,
    limit: u64,
    expected: usize,
    failed: impl Fn(io::Error) -> Problem,
) -> Result<Vec<u8>> {
    let limit_here = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut out = Vec::with_capacity(expected.min(limit_here));
    reader
        .take(limit.saturating_add(1))
        .read_to_end(&mut out)
        .map_err(failed)?;
    if out.len() > limit_here {
        return Err(too_large(limit));
    }
    Ok(out)
}

fn too_large(limit: u64) -> Problem {
    Problem::refused("what is compressed is too large").limit(format!("{limit} bytes"))
}

enum Lz4Error {
    TooLarge,
    Damaged,
}

/// The older frame: a magic number, then blocks, each behind its length.
fn lz4(stream: &[u8], limit: u64, expected: usize) -> Result<Vec<u8>, Lz4Error> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut out = Vec::with_capacity(expected.min(limit));
    let mut block = vec![0; LZ4_BLOCK_BYTES];
    let mut rest = stream.get(4..).unwrap_or_default();
    while !rest.is_empty() {
        let length = u32_at(rest, 0).ok_or(Lz4Error::Damaged)? as usize;
        if length > LZ4_BLOCK_BOUND {
            return Err(Lz4Error::Damaged);
        }
        let data = rest.get(4..4 + length).ok_or(Lz4Error::Damaged)?;
        let count =
            lz4_flex::block::decompress_into(data, &mut block).map_err(|_| Lz4Error::Damaged)?;
        if out.len() + count > limit {
            return Err(Lz4Error::TooLarge);
        }
        out.extend_from_slice(&block[..count]);
        rest = &rest[4 + length..];
    }
    Ok(out)
}
