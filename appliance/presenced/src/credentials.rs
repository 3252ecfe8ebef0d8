//! Passwords: what is acceptable, and the hashes that stand for them, made off the event loop.

use admin_api::refusal::{Refusal, RefusalCode};
use admin_api::secret::Secret;
use argon2::Argon2;
use argon2::password_hash::PasswordHasher as _;
use argon2::password_hash::phc::PasswordHash;
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
    use argon2::password_hash::PasswordVerifier as _;

    use super::*;

    #[test]
    fn a_password_is_hashed_with_a_salt_and_can_be_verified() {
        let password = Secret::new("correct horse".to_owned());
        let one = hash("anna", "example.test", &password).unwrap();
        let two = hash("anna", "example.test", &password).unwrap();
        assert!(one.password_hash.starts_with("$argon2id$"));
        assert_ne!(one.password_hash, two.password_hash);
        let parsed = PasswordHash::new(&one.password_hash).unwrap();
        assert!(Argon2::default().verify_password(b"correct horse", &parsed).is_ok());
        assert!(Argon2::default().verify_password(b"correct house", &parsed).is_err());
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
