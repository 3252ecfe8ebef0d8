//! Who asks: a session's token, or an id and a password, which the node or a directory judges.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use directory::settings::Password;
use presence::command::{Answer, Command};
use tokio::sync::Semaphore;

use super::sessions::Sessions;
use super::{Refused, Shared};
use crate::administration::unanswered;
use crate::credentials;
use crate::directory::SignIn;
use crate::node::Node;

/// Wrong passwords of one user before it has to wait.
const GUESSES: u32 = 5;
/// How long it has to wait, and how long wrong passwords count.
const WAITS: Duration = Duration::from_secs(60);
/// The same as text, in seconds.
pub(super) const RETRY_AFTER: &str = "60";
/// Passwords that are hashed at one time: each takes 19 MiB and tens of milliseconds of a core.
const AT_ONCE: usize = 2;

/// Who asks.
#[derive(Debug)]
pub(crate) struct Caller {
    pub(crate) id: String,
}

/// Wrong passwords, by user: there are no more than users.
#[derive(Debug, Clone)]
pub(super) struct Guesses {
    wrong: Shared<HashMap<String, (u32, Instant)>>,
    places: Arc<Semaphore>,
}

impl Default for Guesses {
    fn default() -> Self {
        Self { wrong: Shared::default(), places: Arc::new(Semaphore::new(AT_ONCE)) }
    }
}

impl Guesses {
    fn must_wait(&self, id: &str) -> bool {
        let guesses = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        guesses.get(id).is_some_and(|(count, at)| *count >= GUESSES && at.elapsed() < WAITS)
    }

    fn wrong(&self, id: &str) {
        let mut guesses = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        let (count, at) = guesses.entry(id.to_owned()).or_insert_with(|| (0, Instant::now()));
        if at.elapsed() >= WAITS {
            *count = 0;
        }
        *count += 1;
        *at = Instant::now();
    }

    fn right(&self, id: &str) {
        self.wrong.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
    }
}

fn authorization<'a>(headers: &'a HeaderMap, scheme: &str) -> Option<&'a str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (offered, rest) = value.split_once(' ')?;
    offered.eq_ignore_ascii_case(scheme).then(|| rest.trim())
}

/// The token of a session (RFC 6750 §2.1).
pub(super) fn token(headers: &HeaderMap) -> Option<&str> {
    authorization(headers, "Bearer")
}

/// An id and a password (RFC 7617 §2).
fn pair(headers: &HeaderMap) -> Option<(String, Password)> {
    let octets = STANDARD.decode(authorization(headers, "Basic")?).ok()?;
    let text = zeroize::Zeroizing::new(String::from_utf8(octets).ok()?);
    let (id, password) = text.split_once(':')?;
    Some((id.to_owned(), Password::new(password.to_owned())))
}

/// Who asks.
pub(super) async fn caller(
    node: &Node,
    sessions: &Sessions,
    guesses: &Guesses,
    headers: &HeaderMap,
) -> Result<Caller, Refused> {
    let nobody = || Refused::new(StatusCode::UNAUTHORIZED, "sign in with your id and password");
    if let Some(token) = token(headers) {
        let id = sessions.of(token).ok_or_else(nobody)?;
        return if is_served(node, &id).await? { Ok(Caller { id }) } else { Err(nobody()) };
    }
    let (id, password) = pair(headers).ok_or_else(nobody)?;
    // With the domain or without.
    let domain = node.settings().domain.clone();
    let id = match id.rsplit_once('@') {
        Some((local, host)) if host.eq_ignore_ascii_case(&domain) => local.to_owned(),
        _ => id,
    };
    if guesses.must_wait(&id) {
        let what = "too many wrong passwords: wait a minute";
        return Err(Refused::new(StatusCode::TOO_MANY_REQUESTS, what));
    }
    if is_served(node, &id).await? {
        if is_password(node, guesses, &id, password).await? {
            guesses.right(&id);
            return Ok(Caller { id });
        }
        guesses.wrong(&id);
    }
    tracing::info!(target: "audit", id, "sign-in refused");
    Err(Refused::new(StatusCode::UNAUTHORIZED, "the id or the password is wrong"))
}

async fn is_served(node: &Node, id: &str) -> Result<bool, Refused> {
    match node.command(Command::ShowUser(id.to_owned())).await.map_err(unanswered)? {
        Answer::User(user) => Ok(user.is_served),
        _ => Ok(false),
    }
}

/// Who is of a directory is judged by it; everybody else by the password that is kept here.
async fn is_password(
    node: &Node,
    guesses: &Guesses,
    id: &str,
    password: Password,
) -> Result<bool, Refused> {
    match node.directories.sign_in(id.to_owned(), password.clone()).await {
        SignIn::Right => return Ok(true),
        SignIn::Wrong => return Ok(false),
        SignIn::Unknown(failure) => {
            tracing::warn!(id, %failure, "nobody could say whether the password is right");
            let what = "the directory that knows the password does not answer: try again later";
            return Err(Refused::new(StatusCode::SERVICE_UNAVAILABLE, what));
        }
        SignIn::NotMine => {}
    }
    let command = Command::ShowPasswordHash(id.to_owned());
    let Answer::PasswordHash(Some(hash)) = node.command(command).await.map_err(unanswered)? else {
        return Ok(false);
    };
    let place = Arc::clone(&guesses.places).acquire_owned().await;
    tokio::task::spawn_blocking(move || {
        let _place = place;
        credentials::verify(&hash, password.expose())
    })
    .await
    .map_err(|_| Refused::new(StatusCode::INTERNAL_SERVER_ERROR, "the password was not judged"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_waits_after_wrong_passwords_and_others_do_not() {
        let guesses = Guesses::default();
        for _ in 0..GUESSES {
            assert!(!guesses.must_wait("anna"));
            guesses.wrong("anna");
        }
        assert!(guesses.must_wait("anna") && !guesses.must_wait("bert"));
        guesses.right("anna");
        assert!(!guesses.must_wait("anna"));
    }

    #[test]
    fn credentials_are_read_from_the_header() {
        let headers =
            |value: &str| HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().unwrap())]);
        // "anna:open:sesame"
        let (id, password) = pair(&headers("basic YW5uYTpvcGVuOnNlc2FtZQ==")).unwrap();
        assert_eq!((id.as_str(), password.expose()), ("anna", "open:sesame"));
        assert_eq!(token(&headers("Bearer abc")), Some("abc"));
        for wrong in ["Basic", "Basic !", "Basic YW5uYQ==", "Digest x"] {
            assert!(pair(&headers(wrong)).is_none(), "{wrong}");
        }
    }
}
