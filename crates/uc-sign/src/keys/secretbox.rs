//! NaCl's secret box (XSalsa20, Poly1305), in which cosign keeps private keys.

use poly1305::{
    Poly1305,
    universal_hash::{Key as PolyKey, KeyInit as _},
};
use salsa20::{
    XSalsa20,
    cipher::{KeyIvInit as _, StreamCipher as _},
};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

pub(super) const KEY_BYTES: usize = 32;
pub(super) const NONCE_BYTES: usize = 24;
const TAG_BYTES: usize = 16;

/// The contents of a box, or `None` where the key is wrong or the box was changed.
pub(super) fn open(
    key: &[u8; KEY_BYTES],
    nonce: &[u8; NONCE_BYTES],
    sealed: &[u8],
) -> Option<Zeroizing<Vec<u8>>> {
    let (tag, ciphertext) = sealed.split_at_checked(TAG_BYTES)?;
    let mut cipher = XSalsa20::new(key.into(), nonce.into());
    let expected = tag_of(&mut cipher, ciphertext);
    if !bool::from(expected.as_slice().ct_eq(tag)) {
        return None;
    }
    let mut contents = Zeroizing::new(ciphertext.to_vec());
    cipher.apply_keystream(&mut contents);
    Some(contents)
}

/// A box: the tag, then the ciphertext. A nonce must never be used twice with one key.
pub(super) fn seal(key: &[u8; KEY_BYTES], nonce: &[u8; NONCE_BYTES], contents: &[u8]) -> Vec<u8> {
    let mut cipher = XSalsa20::new(key.into(), nonce.into());
    let mut hash_key = Zeroizing::new([0; KEY_BYTES]);
    cipher.apply_keystream(hash_key.as_mut_slice());
    let mut sealed = vec![0; TAG_BYTES];
    sealed.extend_from_slice(contents);
    cipher.apply_keystream(&mut sealed[TAG_BYTES..]);
    let tag = authenticate(&hash_key, &sealed[TAG_BYTES..]);
    sealed[..TAG_BYTES].copy_from_slice(&tag);
    sealed
}

/// The first 32 bytes of the key stream authenticate; the cipher is left behind them.
fn tag_of(cipher: &mut XSalsa20, ciphertext: &[u8]) -> [u8; TAG_BYTES] {
    let mut hash_key = Zeroizing::new([0; KEY_BYTES]);
    cipher.apply_keystream(hash_key.as_mut_slice());
    authenticate(&hash_key, ciphertext)
}

fn authenticate(hash_key: &[u8; KEY_BYTES], ciphertext: &[u8]) -> [u8; TAG_BYTES] {
    let key: &PolyKey<Poly1305> = hash_key.into();
    Poly1305::new(key).compute_unpadded(ciphertext).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes<const N: usize>(hex: &str) -> [u8; N] {
        let mut out = [0; N];
        for (byte, pair) in out.iter_mut().zip(hex.as_bytes().chunks(2)) {
            let digits = str::from_utf8(pair).expect("ascii");
            *byte = u8::from_str_radix(digits, 16).expect("hex");
        }
        out
    }

    /// The sample of the NaCl library (`tests/secretbox.c`).
    #[test]
    fn the_sample_of_nacl() {
        let key = bytes("1b27556473e985d462cd51197a9a46c76009549eac6474f206c4ee0844f68389");
        let nonce = bytes("69696ee955b62b73cd62bda875fc73d68219e0036b7a0b37");
        let message: [u8; 131] = bytes(concat!(
            "be075fc53c81f2d5cf141316ebeb0c7b5228c52a4c62cbd44b66849b64244ffc",
            "e5ecbaaf33bd751a1ac728d45e6c61296cdc3c01233561f41db66cce314adb31",
            "0e3be8250c46f06dceea3a7fa1348057e2f6556ad6b1318a024a838f21af1fde",
            "048977eb48f59ffd4924ca1c60902e52f0a089bc76897040e082f93776384864",
            "5e0705"
        ));
        let sealed: [u8; 147] = bytes(concat!(
            "f3ffc7703f9400e52a7dfb4b3d3305d98e993b9f48681273c29650ba32fc76ce",
            "48332ea7164d96a4476fb8c531a1186ac0dfc17c98dce87b4da7f011ec48c972",
            "71d2c20f9b928fe2270d6fb863d51738b48eeee314a7cc8ab932164548e526ae",
            "90224368517acfeabd6bb3732bc0e9da99832b61ca01b6de56244a9e88d5f9b3",
            "7973f622a43d14a6599b1f654cb45a74e355a5"
        ));
        assert_eq!(seal(&key, &nonce, &message), sealed);
        assert_eq!(
            open(&key, &nonce, &sealed).as_deref().map(Vec::as_slice),
            Some(&message[..])
        );
    }

    #[test]
    fn a_changed_box_stays_shut() {
        let (key, nonce) = ([1; KEY_BYTES], [2; NONCE_BYTES]);
        let sealed = seal(&key, &nonce, b"secret");
        for bit in 0..sealed.len() * 8 {
            let mut changed = sealed.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(open(&key, &nonce, &changed).is_none(), "bit {bit}");
        }
        assert!(open(&[3; KEY_BYTES], &nonce, &sealed).is_none());
        assert!(open(&key, &nonce, &sealed[..TAG_BYTES - 1]).is_none());
        assert!(open(&key, &nonce, &[]).is_none());
    }
}
