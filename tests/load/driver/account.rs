//! Digest, as a sensible client does it: challenged once, then the same nonce with a growing count.

use std::io::Write as _;

use lamplight_tests::wire::digest::Challenge;

use crate::message;
use crate::text;

/// The password of every user.
pub const PASSWORD: &str = "correct-horse-battery";

/// What the users have been challenged with.
#[derive(Debug)]
pub struct Accounts {
    /// The only algorithm that is taken up; the first that we know when there is none.
    algorithm: Option<String>,
    challenges: Vec<Option<(Challenge, u32)>>,
}

impl Accounts {
    /// Of so many users, whom nobody has challenged.
    pub fn new(users: u32, algorithm: Option<String>) -> Self {
        Self { algorithm, challenges: (0..users).map(|_| None).collect() }
    }

    /// Takes up a challenge; false when it is none that can be answered, or the answer to the
    /// one before was not accepted.
    pub fn challenge(&mut self, user: u32, answer: &[u8]) -> bool {
        let is_ours = |challenge: &Challenge| match &self.algorithm {
            Some(only) => challenge.algorithm.eq_ignore_ascii_case(only),
            None => ["SHA-256", "MD5"].iter().any(|a| challenge.algorithm.eq_ignore_ascii_case(a)),
        };
        let challenges = text::headers(answer, "WWW-Authenticate:");
        let Some(challenge) = challenges.filter_map(Challenge::parse).find(is_ours) else {
            return false;
        };
        let place = &mut self.challenges[user as usize];
        let is_acceptable = place.is_none() || challenge.stale;
        *place = Some((challenge, 0));
        is_acceptable
    }

    /// Writes the credentials of a user into a request that has its start line.
    pub fn authorize(&mut self, text: &mut Vec<u8>, from: u32, method: &str) {
        let Some((challenge, count)) = &mut self.challenges[from as usize] else { return };
        *count += 1;
        let uri = text.split(|b| *b == b' ').nth(1).unwrap_or_default();
        let uri = String::from_utf8_lossy(uri);
        let user = message::user(from);
        let value = challenge.authorization(&user, PASSWORD, method, &uri, *count);
        write!(text, "Authorization: {value}\r\n").expect("memory takes it");
    }
}
