//! A sample as bytes: a version, flags, then what is there, little-endian.

use uc_foresight::Sample;

/// The form written now. A later form gets the next number, and both are read.
const VERSION: u8 = 1;
/// The largest sample, in bytes.
pub(super) const SAMPLE_BYTES: usize = 46;

const HAS_LIMIT: u8 = 1;
const HAS_OOM_KILLS: u8 = 2;
const HAS_PRESSURE: u8 = 4;
const FLAGS: u8 = HAS_LIMIT | HAS_OOM_KILLS | HAS_PRESSURE;

/// Appends a sample.
pub(super) fn encode(sample: &Sample, bytes: &mut Vec<u8>) {
    let flag = |is_there: bool, flag: u8| if is_there { flag } else { 0 };
    bytes.push(VERSION);
    bytes.push(
        flag(sample.limit_bytes.is_some(), HAS_LIMIT)
            | flag(sample.oom_kills.is_some(), HAS_OOM_KILLS)
            | flag(sample.pressure.is_some(), HAS_PRESSURE),
    );
    bytes.extend(sample.t_s.to_le_bytes());
    bytes.extend(sample.rss_bytes.to_le_bytes());
    bytes.extend(sample.life.to_le_bytes());
    for number in [sample.limit_bytes, sample.oom_kills].into_iter().flatten() {
        bytes.extend(number.to_le_bytes());
    }
    if let Some(pressure) = sample.pressure {
        bytes.extend(pressure.to_le_bytes());
    }
}

/// Takes one sample off the front; nothing where the bytes are none of this form.
pub(super) fn decode(bytes: &mut &[u8]) -> Option<Sample> {
    let [version, flags] = take(bytes)?;
    if version != VERSION || flags & !FLAGS != 0 {
        return None;
    }
    let t_s = f64::from_le_bytes(take(bytes)?);
    let rss_bytes = number(bytes)?;
    let life = number(bytes)?;
    let mut optional = |flag: u8| match flags & flag {
        0 => Some(None),
        _ => number(bytes).map(Some),
    };
    let limit_bytes = optional(HAS_LIMIT)?;
    let oom_kills = optional(HAS_OOM_KILLS)?;
    let pressure = match flags & HAS_PRESSURE {
        0 => None,
        _ => Some(f32::from_le_bytes(take(bytes)?)),
    };
    Some(Sample {
        t_s,
        rss_bytes,
        limit_bytes,
        life,
        oom_kills,
        pressure,
    })
}

/// Every sample of a chunk.
pub(super) fn decode_all(mut bytes: &[u8]) -> Option<Vec<Sample>> {
    let mut samples = Vec::new();
    while !bytes.is_empty() {
        samples.push(decode(&mut bytes)?);
    }
    Some(samples)
}

/// Takes a constant number of bytes off the front.
pub(super) fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*head)
}

fn number(bytes: &mut &[u8]) -> Option<u64> {
    take(bytes).map(u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(
            t_s in -1e12..1e12_f64,
            rss_bytes: u64,
            life: u64,
            limit_bytes: Option<u64>,
            oom_kills: Option<u64>,
            pressure in proptest::option::of(0.0..1.0_f32),
        ) {
            let sample = Sample { t_s, rss_bytes, limit_bytes, life, oom_kills, pressure };
            let mut bytes = Vec::new();
            encode(&sample, &mut bytes);
            prop_assert!(bytes.len() <= SAMPLE_BYTES);
            encode(&sample, &mut bytes);
            prop_assert_eq!(decode_all(&bytes), Some(vec![sample, sample]));
            bytes.pop();
            prop_assert_eq!(decode_all(&bytes), None);
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            decode_all(&bytes);
        }
    }

    #[test]
    fn a_later_form_is_not_guessed_at() {
        let mut bytes = Vec::new();
        encode(&Sample::new(1.0, 2, None), &mut bytes);
        for (place, value) in [(0, 2), (1, 8)] {
            let mut later = bytes.clone();
            later[place] = value;
            assert_eq!(decode_all(&later), None);
        }
    }
}
