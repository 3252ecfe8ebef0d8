//! Unpredictable numbers from a seed that the edge gives: tags, branches, entity-tags.

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// A cryptographic generator; the same seed gives the same numbers.
#[derive(Clone)]
pub struct Entropy(ChaCha12Rng);

impl std::fmt::Debug for Entropy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Entropy")
    }
}

impl Entropy {
    /// The generator for `seed`; `stream` sets apart the owners that share a seed.
    #[must_use]
    pub fn new(seed: [u8; 32], stream: u64) -> Self {
        let mut rng = ChaCha12Rng::from_seed(seed);
        rng.set_stream(stream);
        Self(rng)
    }

    /// The next number.
    pub fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A token of 26 characters with 128 random bits, fit for tags and entity-tags.
    pub fn token(&mut self) -> String {
        let mut bits = (u128::from(self.next_u64()) << 64) | u128::from(self.next_u64());
        let mut token = String::with_capacity(26);
        for _ in 0..26 {
            let digit = (bits & 31) as u8;
            token.push(char::from(if digit < 10 { b'0' + digit } else { b'a' + digit - 10 }));
            bits >>= 5;
        }
        token
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_differ_between_seeds_streams_and_calls() {
        let mut a = Entropy::new([1; 32], 0);
        let mut b = Entropy::new([1; 32], 1);
        let mut c = Entropy::new([2; 32], 0);
        let mut all = vec![a.token(), a.token(), b.token(), c.token()];
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 4);
        assert!(all.iter().all(|t| t.len() == 26 && t.chars().all(|c| c.is_ascii_alphanumeric())));
    }
}
