//! Requests and replies as lines, with the version that they are in.

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::framing::MAX_LINE_BYTES;
use crate::refusal::{Refusal, RefusalCode};
use crate::{answer, platform, request};

/// The version of the protocol. Client and daemon come from the same image, so there is one.
pub const VERSION: u32 = 1;

/// What may be asked of one of the daemons.
pub trait Question: Serialize + DeserializeOwned {
    /// What that daemon answers.
    type Answer: Serialize + DeserializeOwned;

    /// How long a client should wait for the answer.
    fn answer_within(&self) -> Duration;
}

impl Question for request::Request {
    type Answer = answer::Answer;

    fn answer_within(&self) -> Duration {
        Self::answer_within(self)
    }
}

impl Question for platform::request::Request {
    type Answer = platform::answer::Answer;

    fn answer_within(&self) -> Duration {
        Self::answer_within(self)
    }
}

#[derive(Deserialize)]
struct AnyVersion {
    v: u32,
}

#[derive(Serialize)]
struct RequestLine<'a, Q> {
    v: u32,
    request: &'a Q,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OwnedRequestLine<Q> {
    #[serde(rename = "v")]
    _v: u32,
    request: Q,
}

#[derive(Serialize)]
struct AnswerLine<'a, A> {
    v: u32,
    answer: &'a A,
}

#[derive(Serialize)]
struct RefusalLine<'a> {
    v: u32,
    refusal: &'a Refusal,
}

#[derive(Deserialize)]
struct OwnedReplyLine<A> {
    #[serde(rename = "v")]
    _v: u32,
    answer: Option<A>,
    refusal: Option<Refusal>,
}

/// Why a line could not be read. Says where, never what stood there: it may have been a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeFailure {
    /// Not JSON, or not what this protocol puts there.
    #[error("the line is not of the control protocol from column {column} on")]
    Malformed {
        /// Where, counted in bytes from 1.
        column: usize,
    },
    /// In another version.
    #[error("the line is in version {version} of the control protocol, not {VERSION}")]
    Version {
        /// In which.
        version: u32,
    },
}

impl From<serde_json::Error> for DecodeFailure {
    fn from(error: serde_json::Error) -> Self {
        Self::Malformed { column: error.column() }
    }
}

impl From<DecodeFailure> for Refusal {
    fn from(failure: DecodeFailure) -> Self {
        let code = match failure {
            DecodeFailure::Malformed { .. } => RefusalCode::Malformed,
            DecodeFailure::Version { .. } => RefusalCode::UnsupportedVersion,
        };
        Self::new(
            code,
            failure.to_string(),
            "control socket",
            "use the \"appliance\" command of the same release",
        )
    }
}

/// The line for a request, line feed included.
///
/// # Errors
/// A refusal `too_large` when the line would be longer than the protocol allows.
pub fn encode_request<Q: Question>(request: &Q) -> Result<Zeroizing<Vec<u8>>, Refusal> {
    encode(&RequestLine { v: VERSION, request })
}

/// The line for an answer or a refusal, line feed included; an answer that cannot be put into a
/// line becomes a refusal.
#[must_use]
pub fn encode_reply<A: Serialize>(reply: &Result<A, Refusal>) -> Vec<u8> {
    let line = match reply {
        Ok(answer) => encode(&AnswerLine { v: VERSION, answer }),
        Err(refusal) => encode(&RefusalLine { v: VERSION, refusal }),
    };
    // The second attempt holds a few fixed sentences and cannot fail.
    line.or_else(|refusal| encode(&RefusalLine { v: VERSION, refusal: &refusal }))
        .map(|mut line| std::mem::take(&mut *line))
        .unwrap_or_default()
}

/// The request on a line.
///
/// # Errors
/// [`DecodeFailure`], which turns into the refusal to answer with.
pub fn decode_request<Q: Question>(line: &[u8]) -> Result<Q, DecodeFailure> {
    check_version(line)?;
    Ok(serde_json::from_slice::<OwnedRequestLine<Q>>(line)?.request)
}

/// The answer or refusal on a line.
///
/// # Errors
/// [`DecodeFailure`].
pub fn decode_reply<A: DeserializeOwned>(line: &[u8]) -> Result<Result<A, Refusal>, DecodeFailure> {
    check_version(line)?;
    let reply = serde_json::from_slice::<OwnedReplyLine<A>>(line)?;
    match (reply.answer, reply.refusal) {
        (Some(answer), None) => Ok(Ok(answer)),
        (None, Some(refusal)) => Ok(Err(refusal)),
        _ => Err(DecodeFailure::Malformed { column: line.len() }),
    }
}

fn check_version(line: &[u8]) -> Result<(), DecodeFailure> {
    match serde_json::from_slice::<AnyVersion>(line)?.v {
        VERSION => Ok(()),
        version => Err(DecodeFailure::Version { version }),
    }
}

fn encode<T: Serialize>(line: &T) -> Result<Zeroizing<Vec<u8>>, Refusal> {
    let mut bytes = Zeroizing::new(serde_json::to_vec(line).map_err(|_| {
        Refusal::new(
            RefusalCode::Internal,
            "the message cannot be written as JSON",
            "control socket",
            "report this with the output of \"show tech-support\"",
        )
    })?);
    bytes.push(b'\n');
    if bytes.len() > MAX_LINE_BYTES {
        return Err(Refusal::new(
            RefusalCode::TooLarge,
            format!(
                "the message has {} bytes; the control socket takes {MAX_LINE_BYTES}",
                bytes.len()
            ),
            "control socket",
            "ask for less at once",
        ));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests;
