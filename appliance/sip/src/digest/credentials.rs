//! What a client sends to prove that it knows a password: Authorization, Proxy-Authorization
//! (RFC 7616 §3.4).

use std::borrow::Cow;

use super::{Algorithm, Ha1, same_secret};
use crate::header::{is_blank, split_list, unquote};

/// The credentials of one header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Who the client says it is.
    pub username: String,
    /// Whether `username` is a hash of the name (RFC 7616 §3.4.4).
    pub userhash: bool,
    /// The realm whose password was used.
    pub realm: String,
    /// The nonce that was given out.
    pub nonce: String,
    /// The URI as received, which need not be the Request-URI.
    pub uri: String,
    /// The proof, in hexadecimal digits.
    pub response: String,
    /// The hash function; MD5 when the header names none.
    pub algorithm: Algorithm,
    /// Whether the hash of the password is mixed with the nonces once a session (`-sess`).
    pub is_session: bool,
    /// The client's nonce.
    pub cnonce: Option<String>,
    /// How often the nonce has been used.
    pub nc: Option<u32>,
    /// The quality of protection.
    pub qop: Option<Qop>,
    /// What the challenge gave to be returned.
    pub opaque: Option<String>,
    /// The count as it was written, which is what was hashed.
    nc_text: String,
}

/// What the proof covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Qop {
    /// Method and URI.
    Auth,
    /// The body too.
    AuthInt,
}

impl Qop {
    const fn token(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::AuthInt => "auth-int",
        }
    }
}

/// Why a header holds no credentials that can be checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CredentialsError {
    /// It is of another scheme.
    #[error("the scheme is not Digest")]
    Scheme,
    /// It breaks the grammar or says a thing twice.
    #[error("the credentials are malformed")]
    Malformed,
    /// A parameter that the proof needs is missing.
    #[error("the credentials lack {0}")]
    Missing(&'static str),
    /// The hash function is none that is offered.
    #[error("the algorithm is not offered")]
    Algorithm,
    /// The quality of protection is none that there is.
    #[error("the quality of protection is not offered")]
    Qop,
}

impl Credentials {
    /// Reads a header's value.
    pub fn parse(text: &str) -> Result<Self, CredentialsError> {
        let text = text.trim_start_matches(is_blank);
        let (scheme, rest) = text.split_once(is_blank).ok_or(CredentialsError::Scheme)?;
        if !scheme.eq_ignore_ascii_case("Digest") {
            return Err(CredentialsError::Scheme);
        }
        let given = Given::read(rest)?;
        let needed = |name| given.text(name).ok_or(CredentialsError::Missing(name));
        let (algorithm, is_session) = algorithm(given.text("algorithm").as_deref())?;
        let qop = match given.text("qop").as_deref() {
            None => None,
            Some(name) if name.eq_ignore_ascii_case("auth") => Some(Qop::Auth),
            Some(name) if name.eq_ignore_ascii_case("auth-int") => Some(Qop::AuthInt),
            Some(_) => return Err(CredentialsError::Qop),
        };
        let nc_text = given.text("nc").unwrap_or_default().into_owned();
        let nc = match (qop, &*nc_text) {
            (None, _) => None,
            (Some(_), "") => return Err(CredentialsError::Missing("nc")),
            (Some(_), text) => Some(count(text).ok_or(CredentialsError::Malformed)?),
        };
        let cnonce = given.text("cnonce").map(Cow::into_owned);
        if cnonce.is_none() && (qop.is_some() || is_session) {
            return Err(CredentialsError::Missing("cnonce"));
        }
        Ok(Self {
            username: match given.raw("username*") {
                Some(extended) => extended_text(extended).ok_or(CredentialsError::Malformed)?,
                None => needed("username")?.into_owned(),
            },
            userhash: given.text("userhash").is_some_and(|v| v.eq_ignore_ascii_case("true")),
            realm: needed("realm")?.into_owned(),
            nonce: needed("nonce")?.into_owned(),
            uri: needed("uri")?.into_owned(),
            response: needed("response")?.into_owned(),
            algorithm,
            is_session,
            cnonce,
            nc,
            qop,
            opaque: given.text("opaque").map(Cow::into_owned),
            nc_text,
        })
    }

    /// Whether the proof was made with the password behind `ha1`.
    #[must_use]
    pub fn verify(&self, ha1: &Ha1, method: &str, body: &[u8]) -> bool {
        let algorithm = self.algorithm;
        let cnonce = self.cnonce.as_deref().unwrap_or_default();
        let (nonce, uri) = (self.nonce.as_bytes(), self.uri.as_bytes());
        let mut secret = ha1.hex(algorithm);
        if self.is_session {
            secret = algorithm.hash(&[secret.as_bytes(), nonce, cnonce.as_bytes()]);
        }
        let request = match self.qop {
            Some(Qop::AuthInt) => {
                let body = algorithm.hash(&[body]);
                algorithm.hash(&[method.as_bytes(), uri, body.as_bytes()])
            }
            Some(Qop::Auth) | None => algorithm.hash(&[method.as_bytes(), uri]),
        };
        let (secret, request) = (secret.as_bytes(), request.as_bytes());
        let expected = match self.qop {
            None => algorithm.hash(&[secret, nonce, request]),
            Some(qop) => {
                let count = self.nc_text.as_bytes();
                let qop = qop.token().as_bytes();
                algorithm.hash(&[secret, nonce, count, cnonce.as_bytes(), qop, request])
            }
        };
        same_secret(&expected, &self.response.to_ascii_lowercase())
    }
}

/// The parameters as written, each once.
struct Given<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Given<'a> {
    /// More than any header has; what comes with more is no client's.
    const LIMIT: usize = 24;

    fn read(text: &'a str) -> Result<Self, CredentialsError> {
        let mut all: Vec<(&str, &str)> = Vec::with_capacity(12);
        for param in split_list(text).filter(|param| !param.is_empty()) {
            let (name, value) = param.split_once('=').ok_or(CredentialsError::Malformed)?;
            let (name, value) = (name.trim_end_matches(is_blank), value.trim_matches(is_blank));
            let is_whole = !value.starts_with('"') || (value.len() > 1 && value.ends_with('"'));
            if !is_whole
                || all.len() >= Self::LIMIT
                || all.iter().any(|(other, _)| other.eq_ignore_ascii_case(name))
            {
                return Err(CredentialsError::Malformed);
            }
            all.push((name, value));
        }
        Ok(Self(all))
    }

    fn raw(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
    }

    fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        self.raw(name).map(unquote)
    }
}

fn algorithm(name: Option<&str>) -> Result<(Algorithm, bool), CredentialsError> {
    let is = |other| name.is_some_and(|name| name.eq_ignore_ascii_case(other));
    if name.is_none() || is("MD5") {
        Ok((Algorithm::Md5, false))
    } else if is("SHA-256") {
        Ok((Algorithm::Sha256, false))
    } else if is("MD5-sess") {
        Ok((Algorithm::Md5, true))
    } else if is("SHA-256-sess") {
        Ok((Algorithm::Sha256, true))
    } else {
        Err(CredentialsError::Algorithm)
    }
}

/// Eight hexadecimal digits by the book; some phones leave out zeros.
fn count(text: &str) -> Option<u32> {
    let is_count = text.len() <= 8 && text.bytes().all(|b| b.is_ascii_hexdigit());
    is_count.then(|| u32::from_str_radix(text, 16).ok()).flatten()
}

/// A name that is not ASCII (RFC 8187): `UTF-8''` and percent escapes.
fn extended_text(text: &str) -> Option<String> {
    let (charset, rest) = text.split_once('\'')?;
    let (_language, value) = rest.split_once('\'')?;
    if !charset.eq_ignore_ascii_case("UTF-8") {
        return None;
    }
    let mut bytes = Vec::with_capacity(value.len());
    let mut parts = value.split('%');
    bytes.extend_from_slice(parts.next()?.as_bytes());
    for part in parts {
        let (digits, plain) = part.split_at_checked(2)?;
        if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend_from_slice(plain.as_bytes());
    }
    String::from_utf8(bytes).ok()
}
