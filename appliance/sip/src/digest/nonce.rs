//! Nonces that need no memory: time, salt, and a keyed hash of both (RFC 7616 §3.3).

use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::hex;
use crate::clock::WallTime;

/// Makes nonces and knows its own again, also after a restart with the same key.
#[derive(Clone)]
pub struct NonceMint {
    key: [u8; 32],
}

/// What a nonce that came back is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NonceVerdict {
    /// One of ours, and good.
    Fresh {
        /// The salt that it was made with.
        id: u64,
    },
    /// One of ours, and too old: the client may try again with a new one.
    Stale,
    /// None of ours.
    Foreign,
}

/// Bytes of time and salt, and of the keyed hash behind them.
const TOLD: usize = 16;
const PROOF: usize = 16;

impl NonceMint {
    /// A mint; who knows the key can make nonces.
    #[must_use]
    pub const fn new(key: [u8; 32]) -> Self {
        Self { key }
    }

    /// A nonce of this time; no two may have the same salt.
    #[must_use]
    pub fn mint(&self, wall: WallTime, salt: u64) -> String {
        let mut nonce = Vec::with_capacity(TOLD + PROOF);
        nonce.extend_from_slice(&wall.as_millis().to_be_bytes());
        nonce.extend_from_slice(&salt.to_be_bytes());
        let proof = self.proof(&nonce);
        nonce.extend_from_slice(&proof);
        hex(&nonce)
    }

    /// What a nonce is worth at this time. One from the future is good for no longer than its
    /// lifetime either, so that a clock set back lets no nonce live on.
    #[must_use]
    pub fn check(&self, nonce: &str, wall: WallTime, lifetime: Duration) -> NonceVerdict {
        let Some(bytes) = unhex(nonce) else { return NonceVerdict::Foreign };
        let Some((told, proof)) = bytes.split_first_chunk::<TOLD>() else {
            return NonceVerdict::Foreign;
        };
        if !bool::from(self.proof(told).ct_eq(proof)) {
            return NonceVerdict::Foreign;
        }
        let (minted, id) = halves(*told);
        let minted = WallTime::from_millis(minted);
        if wall.since(minted) > lifetime || minted.since(wall) > lifetime {
            NonceVerdict::Stale
        } else {
            NonceVerdict::Fresh { id }
        }
    }

    fn proof(&self, told: &[u8]) -> [u8; PROOF] {
        let mut proof = [0; PROOF];
        // A key of 32 bytes fits every block size, so there always is a proof.
        if let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.key) {
            mac.update(told);
            for (to, from) in proof.iter_mut().zip(mac.finalize().into_bytes()) {
                *to = from;
            }
        }
        proof
    }
}

impl std::fmt::Debug for NonceMint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NonceMint")
    }
}

fn halves(told: [u8; TOLD]) -> (u64, u64) {
    let half = |bytes: &[u8]| bytes.iter().fold(0, |number, b| (number << 8) | u64::from(*b));
    let (first, second) = told.split_at(TOLD / 2);
    (half(first), half(second))
}

fn unhex(text: &str) -> Option<[u8; TOLD + PROOF]> {
    let mut bytes = [0; TOLD + PROOF];
    if text.len() != 2 * bytes.len() {
        return None;
    }
    let mut digits = text.bytes().map(|b| char::from(b).to_digit(16));
    for byte in &mut bytes {
        let (high, low) = (digits.next()??, digits.next()??);
        *byte = u8::try_from(high * 16 + low).ok()?;
    }
    Some(bytes)
}
