//! cosign's encrypted key files: scrypt makes a key from the password, a NaCl secret box holds the private key.

use rand_core::CryptoRng;
use scrypt::Params;
use serde::Deserialize;
use uc_model::{Problem, Result};
use zeroize::Zeroizing;

use super::{Password, secretbox};
use crate::encoding;

/// The most memory that a key file may make scrypt use, in bytes: four times what cosign's files ask for.
pub const MAX_SCRYPT_MEMORY_BYTES: u64 = 256 * 1024 * 1024;
/// The most work that a key file may make scrypt do, as N × r × p: eight times what cosign's files ask for, about two
/// seconds.
pub const MAX_SCRYPT_BLOCKS: u64 = 1 << 22;

/// What cosign writes: N = 2^16, r = 8, p = 1, 64 MiB.
const LOG_N: u8 = 16;
const BLOCK_SIZE: u32 = 8;
const PARALLELISM: u32 = 1;
const SALT_BYTES: usize = 32;
const MAX_SALT_BYTES: usize = 1024;

#[derive(Deserialize)]
struct File<'a> {
    #[serde(borrow)]
    kdf: Kdf<'a>,
    #[serde(borrow)]
    cipher: Cipher<'a>,
    ciphertext: &'a str,
}

#[derive(Deserialize)]
struct Kdf<'a> {
    name: &'a str,
    params: ScryptParams,
    salt: &'a str,
}

#[derive(Deserialize)]
struct ScryptParams {
    #[serde(rename = "N")]
    cost: u64,
    r: u32,
    p: u32,
}

#[derive(Deserialize)]
struct Cipher<'a> {
    name: &'a str,
    nonce: &'a str,
}

/// A file whose form is right; opening it takes the password.
pub(super) struct Encrypted {
    params: Params,
    salt: Vec<u8>,
    nonce: [u8; secretbox::NONCE_BYTES],
    sealed: Vec<u8>,
}

impl Encrypted {
    /// Reads the JSON inside the PEM block, and refuses what is too expensive before any password is asked for.
    pub(super) fn parse(contents: &[u8]) -> Result<Self> {
        let bad = |found: &str| {
            Problem::invalid("not a key: the encrypted key file is malformed").found(found)
        };
        // The parser's own words could quote the file.
        let file: File<'_> = serde_json::from_slice(contents)
            .map_err(|error| bad(&format!("bad JSON in column {}", error.column())))?;
        if file.kdf.name != "scrypt" || file.cipher.name != "nacl/secretbox" {
            return Err(Problem::refused("the key file's encryption is not supported")
                .limit("scrypt with nacl/secretbox")
                .remedy("import the key with `cosign import-key-pair`, or make one with `uc key generate`"));
        }
        let salt = encoding::decode(file.kdf.salt)
            .filter(|salt| (1..=MAX_SALT_BYTES).contains(&salt.len()))
            .ok_or_else(|| bad("a bad salt"))?;
        let nonce = encoding::decode(file.cipher.nonce)
            .and_then(|nonce| nonce.try_into().ok())
            .ok_or_else(|| bad("a bad nonce"))?;
        let sealed = encoding::decode(file.ciphertext).ok_or_else(|| bad("a bad ciphertext"))?;
        Ok(Self {
            params: bounded_params(&file.kdf.params)?,
            salt,
            nonce,
            sealed,
        })
    }

    /// The PKCS#8 document inside.
    pub(super) fn open(&self, password: &Password) -> Result<Zeroizing<Vec<u8>>> {
        let key = derive(password, &self.salt, &self.params)?;
        secretbox::open(&key, &self.nonce, &self.sealed).ok_or_else(|| {
            Problem::refused("the password does not open the key").remedy(
                "give the password that the key was made with; a damaged file looks the same",
            )
        })
    }
}

fn bounded_params(params: &ScryptParams) -> Result<Params> {
    let ScryptParams { cost, r, p } = *params;
    let found = format!("N={cost}, r={r}, p={p}");
    let blocks = cost.checked_mul(r.into());
    let memory = blocks.and_then(|blocks| blocks.checked_mul(128));
    let work = blocks.and_then(|blocks| blocks.checked_mul(p.into()));
    let is_cheap = memory.is_some_and(|bytes| bytes <= MAX_SCRYPT_MEMORY_BYTES)
        && work.is_some_and(|blocks| blocks <= MAX_SCRYPT_BLOCKS);
    if !is_cheap {
        return Err(
            Problem::refused("opening the key would take too long or too much memory")
                .limit(format!(
                    "{} MiB and N·r·p at most {MAX_SCRYPT_BLOCKS}; cosign writes N=65536, r=8, p=1",
                    MAX_SCRYPT_MEMORY_BYTES >> 20
                ))
                .found(found),
        );
    }
    let log_n = u8::try_from(cost.checked_ilog2().unwrap_or(0)).unwrap_or(0);
    let bad = |found| {
        Problem::invalid("not a key: the scrypt parameters make no sense")
            .limit("N a power of two above 1, r and p above 0")
            .found(found)
    };
    if !cost.is_power_of_two() || log_n == 0 {
        return Err(bad(found));
    }
    Params::new(log_n, r, p).map_err(|_| bad(found))
}

fn derive(
    password: &Password,
    salt: &[u8],
    params: &Params,
) -> Result<Zeroizing<[u8; secretbox::KEY_BYTES]>> {
    let mut key = Zeroizing::new([0; secretbox::KEY_BYTES]);
    scrypt::scrypt(password.bytes(), salt, params, key.as_mut_slice())
        .map_err(|error| Problem::internal("scrypt failed").caused_by(error))?;
    Ok(key)
}

/// The JSON that cosign writes around a private key.
pub(super) fn seal(
    pkcs8: &[u8],
    password: &Password,
    random: &mut impl CryptoRng,
) -> Result<Vec<u8>> {
    let mut salt = [0; SALT_BYTES];
    random.fill_bytes(&mut salt);
    let mut nonce = [0; secretbox::NONCE_BYTES];
    random.fill_bytes(&mut nonce);
    let params = Params::new(LOG_N, BLOCK_SIZE, PARALLELISM)
        .map_err(|error| Problem::internal("scrypt refused its parameters").caused_by(error))?;
    let key = derive(password, &salt, &params)?;
    let sealed = secretbox::seal(&key, &nonce, pkcs8);
    let json = format!(
        concat!(
            r#"{{"kdf":{{"name":"scrypt","params":{{"N":{},"r":{},"p":{}}},"salt":"{}"}},"#,
            r#""cipher":{{"name":"nacl/secretbox","nonce":"{}"}},"ciphertext":"{}"}}"#
        ),
        1_u32 << LOG_N,
        BLOCK_SIZE,
        PARALLELISM,
        encoding::encode(&salt),
        encoding::encode(&nonce),
        encoding::encode(&sealed),
    );
    Ok(json.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(params: &str) -> Vec<u8> {
        format!(
            concat!(
                r#"{{"kdf":{{"name":"scrypt","params":{},"salt":"AAAA"}},"cipher":{{"name":"nacl/secretbox","#,
                r#""nonce":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}},"ciphertext":"AAAA"}}"#
            ),
            params
        )
        .into_bytes()
    }

    fn refusal(params: &str) -> String {
        match Encrypted::parse(&file(params)) {
            Ok(_) => String::new(),
            Err(problem) => problem.to_string(),
        }
    }

    #[test]
    fn what_cosign_writes_is_within_bounds() {
        assert_eq!(refusal(r#"{"N":65536,"r":8,"p":1}"#), "");
        assert_eq!(refusal(r#"{"N":32768,"r":8,"p":1}"#), "");
    }

    #[test]
    fn an_expensive_key_is_refused_unopened() {
        for params in [
            r#"{"N":1073741824,"r":8,"p":1}"#,
            r#"{"N":65536,"r":4294967295,"p":1}"#,
            r#"{"N":65536,"r":8,"p":4294967295}"#,
            r#"{"N":18446744073709551615,"r":8,"p":1}"#,
            r#"{"N":4194304,"r":1,"p":2}"#,
        ] {
            let found = refusal(params);
            assert!(found.contains("too long or too much memory"), "{found}");
        }
    }

    #[test]
    fn senseless_parameters_are_refused() {
        for params in [
            r#"{"N":0,"r":8,"p":1}"#,
            r#"{"N":1,"r":8,"p":1}"#,
            r#"{"N":65535,"r":8,"p":1}"#,
            r#"{"N":65536,"r":0,"p":1}"#,
            r#"{"N":65536,"r":8,"p":0}"#,
        ] {
            let found = refusal(params);
            assert!(found.contains("make no sense"), "{params}: {found}");
        }
    }
}
