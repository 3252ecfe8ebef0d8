//! Passwords: what is acceptable, and the hashes that stand for them, made off the event loop.

use admin_api::refusal::{Refusal, RefusalCode};
use admin_api::secret::Secret;
use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use presence::command::Credentials;
use sip::digest::Ha1;

/// The shortest password.
const MIN_CHARACTERS: usize = 6;
/// The longest password.
const MAX_CHARACTERS: usize = 128;

/// Checks a password before time is spent on it.
pub(crate) fn check(password: &Secret) -> Result<(), Refusal> {
    let length = password.expose().chars().count();
    let is_printable = !password.expose().chars().any(char::is_control);
    if (MIN_CHARACTERS..=MAX_CHARACTERS).contains(&length) && is_printable {
        return Ok(());
    }
    Err(Refusal::new(
        RefusalCode::UnacceptablePassword,
        "the password is not acceptable",
        "password",
        format!(
            "choose {MIN_CHARACTERS} to {MAX_CHARACTERS} characters, none of them control characters"
        ),
    ))
}

/// Hashes a password for sign-in and for digest; takes tens of milliseconds of a core.
pub(crate) fn hash(id: &str, realm: &str, password: &Secret) -> Result<Credentials, Refusal> {
    let hash: PasswordHash =
        Argon2::default().hash_password(password.expose().as_bytes()).map_err(|_| internal())?;
    Ok(Credentials {
        password_hash: hash.to_string(),
        ha1: Ha1::from_password(id, realm, password.expose()),
    })
}

/// The same, away from the event loop.
pub(crate) async fn hash_elsewhere(
    id: String,
    realm: String,
    password: Secret,
) -> Result<Credentials, Refusal> {
    check(&password)?;
    tokio::task::spawn_blocking(move || hash(&id, &realm, &password))
        .await
        .unwrap_or_else(|_| Err(internal()))
}

/// A password for a device: 20 characters that are not mistaken for each other, of 32, which is
/// 100 bits.
pub(crate) fn device_password() -> Result<Secret, Refusal> {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let octets: [u8; 20] = crate::node_key::random().map_err(|_| internal())?;
    let letter = |octet: u8| LETTERS.get(usize::from(octet & 31)).copied().map_or('a', char::from);
    Ok(Secret::new(octets.into_iter().map(letter).collect()))
}

/// Whether a password is the one of a hash; takes tens of milliseconds of a core.
pub(crate) fn verify(hash: &str, password: &str) -> bool {
    PasswordHash::new(hash)
        .is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
}

fn internal() -> Refusal {
    Refusal::new(
        RefusalCode::Internal,
        "the password could not be hashed",
        "password",
        "report this with the output of \"show tech-support\"",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_hashed_with_a_salt_and_can_be_verified() {
        let password = Secret::new("correct horse".to_owned());
        let one = hash("anna", "example.test", &password).unwrap();
        let two = hash("anna", "example.test", &password).unwrap();
        assert!(one.password_hash.starts_with("$argon2id$"));
        assert_ne!(one.password_hash, two.password_hash);
        assert!(verify(&one.password_hash, "correct horse"));
        assert!(!verify(&one.password_hash, "correct house"));
        assert!(!verify("", "") && !verify("nonsense", "correct horse"));
    }

    #[test]
    fn passwords_of_devices_are_acceptable_and_differ() {
        let (one, two) = (device_password().unwrap(), device_password().unwrap());
        assert_ne!(one, two);
        check(&one).unwrap();
        assert_eq!(one.expose().chars().count(), 20);
    }

    #[test]
    fn short_long_and_unprintable_passwords_are_refused_without_being_repeated() {
        for bad in ["", "12345", "abc\ndefg", &"x".repeat(129)] {
            let refusal = check(&Secret::new(bad.to_owned())).unwrap_err();
            assert_eq!(refusal.code, RefusalCode::UnacceptablePassword);
            assert!(bad.is_empty() || !refusal.to_string().contains(bad));
        }
        assert!(check(&Secret::new("secret".to_owned())).is_ok());
    }
}
