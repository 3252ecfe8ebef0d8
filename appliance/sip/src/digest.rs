//! Digest authentication (RFC 7616, RFC 8760; RFC 2617 and RFC 2069 for old phones).
//!
//! SHA-256 and MD5, plain and `-sess`, with `auth`, `auth-int` or no quality of protection. What a
//! client hashed is hashed as received: URI, count and cnonce are never written anew.

use std::fmt;
use std::fmt::Write;

use md5::Md5;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::header::write_quoted;

mod credentials;
mod nonce;

pub use credentials::{Credentials, CredentialsError, Qop};
pub use nonce::{NonceMint, NonceVerdict};

/// A hash function of digest authentication.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// MD5, for phones that know no better.
    Md5,
    /// SHA-256.
    Sha256,
}

impl Algorithm {
    /// The name in a header.
    #[must_use]
    pub const fn token(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha256 => "SHA-256",
        }
    }

    /// The hash of the parts, joined by colons, in hexadecimal digits.
    fn hash(self, parts: &[&[u8]]) -> String {
        match self {
            Self::Md5 => hex(&joined::<Md5>(parts)),
            Self::Sha256 => hex(&joined::<Sha256>(parts)),
        }
    }
}

fn joined<D: Digest>(parts: &[&[u8]]) -> Vec<u8> {
    let mut hash = D::new();
    for (place, part) in parts.iter().enumerate() {
        if place > 0 {
            hash.update(b":");
        }
        hash.update(part);
    }
    hash.finalize().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a String does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// What is kept of a password: the hash of user, realm and password under both algorithms.
#[derive(Clone, PartialEq, Eq)]
pub struct Ha1 {
    /// Under MD5.
    pub md5: [u8; 16],
    /// Under SHA-256.
    pub sha256: [u8; 32],
}

impl Ha1 {
    /// The hashes of a password.
    #[must_use]
    pub fn from_password(user: &str, realm: &str, password: &str) -> Self {
        let text = format!("{user}:{realm}:{password}");
        Self { md5: Md5::digest(&text).into(), sha256: Sha256::digest(&text).into() }
    }

    fn hex(&self, algorithm: Algorithm) -> String {
        match algorithm {
            Algorithm::Md5 => hex(&self.md5),
            Algorithm::Sha256 => hex(&self.sha256),
        }
    }
}

impl fmt::Debug for Ha1 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ha1")
    }
}

/// The value of a WWW-Authenticate or Proxy-Authenticate header.
#[must_use]
pub fn challenge(realm: &str, nonce: &str, algorithm: Algorithm, stale: bool) -> String {
    let mut value = String::with_capacity(160);
    value.push_str("Digest realm=");
    // Writing to a String does not fail.
    let _ = write_quoted(realm, &mut value);
    value.push_str(", nonce=");
    let _ = write_quoted(nonce, &mut value);
    let _ = write!(value, ", algorithm={}, qop=\"auth\"", algorithm.token());
    if stale {
        value.push_str(", stale=true");
    }
    value
}

/// Whether two texts are equal, in a time that does not tell where they differ.
fn same_secret(a: &str, b: &str) -> bool {
    a.as_bytes().ct_eq(b.as_bytes()).into()
}

#[cfg(test)]
mod tests;
