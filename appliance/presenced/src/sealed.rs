//! Secrets in the store: encrypted with a key that comes from the node's own, so that a copy of the
//! store alone does not tell them.

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hmac;

use crate::node_key;

/// Seals and opens secrets.
#[derive(Clone)]
pub(crate) struct Seal {
    key: [u8; 32],
}

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seal")
    }
}

impl Seal {
    /// A seal by the node's key, for one purpose.
    pub(crate) fn new(node_key: &[u8; 32], purpose: &str) -> Self {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, node_key), purpose.as_bytes());
        let mut key = [0; 32];
        key.copy_from_slice(tag.as_ref());
        Self { key }
    }

    fn cipher(&self) -> Option<LessSafeKey> {
        UnboundKey::new(&CHACHA20_POLY1305, &self.key).ok().map(LessSafeKey::new)
    }

    /// Seals a secret for a place, in which alone it can be opened; none when the machine gives no
    /// random numbers.
    pub(crate) fn close(&self, place: &str, secret: &str) -> Option<Vec<u8>> {
        let nonce = node_key::random::<NONCE_LEN>().ok()?;
        let mut octets = secret.as_bytes().to_vec();
        let aad = Aad::from(place.as_bytes());
        let nonce_value = Nonce::assume_unique_for_key(nonce);
        self.cipher()?.seal_in_place_append_tag(nonce_value, aad, &mut octets).ok()?;
        Some([nonce.as_slice(), &octets].concat())
    }

    /// Opens what was sealed; none when it was not sealed here and for this place.
    pub(crate) fn open(&self, place: &str, sealed: &[u8]) -> Option<String> {
        let (nonce, octets) = sealed.split_first_chunk::<NONCE_LEN>()?;
        let mut octets = octets.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let opened =
            self.cipher()?.open_in_place(nonce, Aad::from(place.as_bytes()), &mut octets).ok()?;
        String::from_utf8(opened.to_vec()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::Seal;

    #[test]
    fn a_secret_opens_only_where_it_was_sealed() {
        let seal = Seal::new(&[1; 32], "ldap");
        let sealed = seal.close("office", "open sesame").unwrap();
        assert!(!sealed.windows(6).any(|part| part == b"sesame"));
        assert_eq!(seal.open("office", &sealed).as_deref(), Some("open sesame"));
        assert_eq!(seal.open("home", &sealed), None);
        assert_eq!(Seal::new(&[2; 32], "ldap").open("office", &sealed), None);
        assert_eq!(Seal::new(&[1; 32], "other").open("office", &sealed), None);
        let mut damaged = sealed;
        damaged[20] ^= 1;
        assert_eq!(seal.open("office", &damaged), None);
        assert_eq!(seal.open("office", &[1, 2]), None);
    }
}
