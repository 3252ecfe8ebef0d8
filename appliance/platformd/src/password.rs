//! The administrator's password: how it must be, its hash, the file that OpenSSH reads it from.

use std::time::Duration;

use admin_api::refusal::{Refusal, RefusalCode};
use admin_api::secret::Secret;
use sha_crypt::{Params, PasswordHasher as _, PasswordVerifier as _, ShaCrypt};
use tokio::time::Instant;

use crate::config::Config;
use crate::file::{self, WriteFailure};

/// The least and the most octets of a password.
const LENGTH: std::ops::RangeInclusive<usize> = 8..=512;
/// Rounds of SHA-512: some hundred milliseconds on a server of the MCS era.
const ROUNDS: u32 = 50_000;
/// After so many wrong passwords every further one waits, longer and longer, up to this.
const FREE_ATTEMPTS: u32 = 2;
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Refuses a password that must not be.
pub(crate) fn check(password: &Secret) -> Result<(), Refusal> {
    let text = password.expose();
    let what = if !LENGTH.contains(&text.len()) {
        format!("a password has {} to {} characters", LENGTH.start(), LENGTH.end())
    } else if text.chars().any(char::is_control) {
        "a password has no control characters".to_owned()
    } else if text.chars().all(|c| text.starts_with(c)) {
        "a password has more than one character".to_owned()
    } else {
        return Ok(());
    };
    Err(Refusal::new(
        RefusalCode::UnacceptablePassword,
        what,
        "password",
        "choose another password",
    ))
}

/// The hash of a password, as crypt(5) writes it. Takes its time.
pub(crate) fn hash(password: &Secret) -> Result<String, Refusal> {
    hash_with_rounds(password, ROUNDS)
}

fn hash_with_rounds(password: &Secret, rounds: u32) -> Result<String, Refusal> {
    let failed = || {
        Refusal::new(
            RefusalCode::PlatformFailed,
            "the password cannot be hashed",
            "password",
            "try again; report this if it happens again",
        )
    };
    let mut salt = [0; 12];
    getrandom::fill(&mut salt).map_err(|_| failed())?;
    let params = Params::new(rounds).map_err(|_| failed())?;
    let hasher = ShaCrypt::new(sha_crypt::Algorithm::Sha512Crypt, params);
    hasher
        .hash_password_with_salt(password.expose().as_bytes(), &salt)
        .map(|hash| hash.as_str().to_owned())
        .map_err(|_| failed())
}

/// Whether a password belongs to a hash. Takes its time.
pub(crate) fn verify(password: &Secret, hash: &str) -> bool {
    ShaCrypt::default().verify_password(password.expose().as_bytes(), hash).is_ok()
}

/// Writes the file of passwords: the administrator's, or none that would do.
pub(crate) fn write(config: &Config, hash: Option<&str>) -> Result<(), WriteFailure> {
    let hash = hash.unwrap_or("!");
    let text = format!("root:!:1::::::\nadmin:{hash}:1::::::\n");
    file::replace(&config.shadow(), text.as_bytes(), 0o600)
}

/// The hash of the administrator's password; none while there is none.
pub(crate) fn stored(config: &Config) -> Option<String> {
    let text = std::fs::read_to_string(config.shadow()).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("admin:"))?;
    let hash = line.split(':').next()?;
    hash.starts_with("$6$").then(|| hash.to_owned())
}

/// Makes guessing slow: wrong passwords are answered later and later.
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    wrong: u32,
    not_before: Option<Instant>,
}

impl Throttle {
    /// How long an attempt must wait.
    pub(crate) fn wait(&self, now: Instant) -> Duration {
        self.not_before.map_or(Duration::ZERO, |at| at.saturating_duration_since(now))
    }

    /// Takes note of an attempt.
    pub(crate) fn note(&mut self, was_right: bool, now: Instant) {
        if was_right {
            *self = Self::default();
            return;
        }
        self.wrong = self.wrong.saturating_add(1);
        let doublings = self.wrong.saturating_sub(FREE_ATTEMPTS).min(5);
        if self.wrong > FREE_ATTEMPTS {
            let wait = Duration::from_secs(1_u64 << doublings).min(LONGEST_WAIT);
            self.not_before = Some(now + wait);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use admin_api::secret::Secret;
    use tokio::time::Instant;

    use super::{Throttle, check, hash_with_rounds, verify};

    fn secret(text: &str) -> Secret {
        Secret::new(text.to_owned())
    }

    #[test]
    fn a_hash_belongs_to_its_password_only() {
        let hash = hash_with_rounds(&secret("correct horse"), 1_000).unwrap();
        assert!(hash.starts_with("$6$rounds=1000$"), "{hash}");
        assert!(verify(&secret("correct horse"), &hash));
        assert!(!verify(&secret("correct hors"), &hash));
        assert!(!verify(&secret(""), "!"));
    }

    #[test]
    fn a_hash_that_openssl_made_is_understood() {
        // openssl passwd -6 -salt saltsalt password
        let hash = "$6$saltsalt$qFmFH.bQmmtXzyBY0s9v7Oicd2z4XSIecDzlB5KiA2/jctKu9YterLp8wwnSq.qc.eoxqOmSuNp2xS0ktL3nh/";
        assert!(verify(&secret("password"), hash));
        assert!(!verify(&secret("Password"), hash));
    }

    #[test]
    fn passwords_that_are_none_are_refused() {
        for wrong in ["", "1234567", "aaaaaaaaaa", "abcdefg\n", &"x1".repeat(300)] {
            assert!(check(&secret(wrong)).is_err(), "{wrong:?}");
        }
        assert!(check(&secret("abcdefgh")).is_ok());
    }

    #[test]
    fn guessing_gets_slower_and_a_right_password_ends_that() {
        let mut throttle = Throttle::default();
        let now = Instant::now();
        throttle.note(false, now);
        throttle.note(false, now);
        assert_eq!(throttle.wait(now), Duration::ZERO);
        throttle.note(false, now);
        assert_eq!(throttle.wait(now), Duration::from_secs(2));
        for _ in 0..100 {
            throttle.note(false, now);
        }
        assert_eq!(throttle.wait(now), Duration::from_secs(30));
        throttle.note(true, now);
        assert_eq!(throttle.wait(now), Duration::ZERO);
    }
}
