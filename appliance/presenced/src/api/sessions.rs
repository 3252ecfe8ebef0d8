//! Sessions: a token in place of the password, for a working day; they do not outlive the daemon.

use std::collections::HashMap;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};

use super::{Refused, Shared};
use crate::node_key;

/// How long a session lasts.
const LASTS: Duration = Duration::from_secs(12 * 3_600);
/// Sessions there may be.
const MOST: usize = 20_000;

/// The sessions, by the digest of their token: what is in memory lets nobody in.
#[derive(Debug, Clone, Default)]
pub(super) struct Sessions(Shared<HashMap<[u8; 32], (String, Instant)>>);

fn key(token: &str) -> [u8; 32] {
    let mut key = [0; 32];
    key.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    key
}

impl Sessions {
    /// Begins a session.
    pub(super) fn begin(&self, id: &str) -> Result<(String, Duration), Refused> {
        let octets: [u8; 32] = node_key::random()
            .map_err(|_| Refused::new(StatusCode::INTERNAL_SERVER_ERROR, "no random numbers"))?;
        let token = URL_SAFE_NO_PAD.encode(octets);
        let now = Instant::now();
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if sessions.len() >= MOST {
            sessions.retain(|_, (_, ends)| *ends > now);
        }
        if sessions.len() >= MOST {
            return Err(Refused::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "there are too many sessions",
            ));
        }
        sessions.insert(key(&token), (id.to_owned(), now + LASTS));
        Ok((token, LASTS))
    }

    /// Whose session a token is.
    pub(super) fn of(&self, token: &str) -> Option<String> {
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = key(token);
        let (id, ends) = sessions.get(&key)?;
        if *ends > Instant::now() {
            return Some(id.clone());
        }
        sessions.remove(&key);
        None
    }

    /// Ends a session.
    pub(super) fn end(&self, token: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&key(token));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_lets_in_until_it_is_ended() {
        let sessions = Sessions::default();
        let (token, _) = sessions.begin("anna").unwrap();
        assert_eq!(sessions.of(&token).as_deref(), Some("anna"));
        assert_eq!(sessions.of("nonsense"), None);
        sessions.end(&token);
        assert_eq!(sessions.of(&token), None);
    }
}
