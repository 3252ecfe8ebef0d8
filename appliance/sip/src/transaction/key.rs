//! What makes two requests the same transaction (RFC 3261 §17.2.3, and §17.2.3's RFC 2543 rules).

use rsip::Request;

use crate::header::cseq::CSeq;
use crate::header::name_addr;
use crate::header::via::Via;
use crate::message::HeaderAccess;

/// The mark of a branch that is unique in space and time (RFC 3261 §8.1.1.7).
pub const MAGIC_COOKIE: &str = "z9hG4bK";

/// Writes the key of a request's own transaction, or of the one that `method` had: an ACK belongs
/// to its INVITE, and a CANCEL looks for one.
pub fn push_server_key(request: &Request, via: &Via, method: &str, key: &mut Vec<u8>) {
    match via.branch.as_deref() {
        Some(branch) if has_magic_cookie(branch) => {
            push(key, branch);
            push_sent_by(key, via);
        }
        _ => {
            push_sent_by(key, via);
            push(key, via.branch.as_deref().unwrap_or_default());
            push(key, &crate::uri::to_string(&request.uri));
            push(key, from_tag(request));
            push(key, request.headers.value("Call-ID").unwrap_or_default());
            if let Some(Ok(cseq)) = request.headers.value("CSeq").map(CSeq::parse) {
                key.extend_from_slice(&cseq.number.to_be_bytes());
            }
        }
    }
    push(key, method);
}

/// Whether a branch carries the cookie; its case does not matter, as tokens go.
#[must_use]
pub fn has_magic_cookie(branch: &str) -> bool {
    branch.get(..MAGIC_COOKIE.len()).is_some_and(|start| start.eq_ignore_ascii_case(MAGIC_COOKIE))
}

/// Writes what tells that two requests outside a dialog are the same one that came by two ways
/// (RFC 3261 §8.2.2.2).
pub fn push_merge_key(request: &Request, key: &mut Vec<u8>) {
    push(key, from_tag(request));
    push(key, request.headers.value("Call-ID").unwrap_or_default());
    push(key, request.headers.value("CSeq").unwrap_or_default());
}

fn from_tag(request: &Request) -> &str {
    request.headers.value("From").and_then(name_addr::tag_of).unwrap_or_default()
}

fn push_sent_by(key: &mut Vec<u8>, via: &Via) {
    key.extend(via.host.bytes().map(|byte| byte.to_ascii_lowercase()));
    key.push(0);
    key.extend_from_slice(&via.port.unwrap_or(0).to_be_bytes());
}

fn push(key: &mut Vec<u8>, part: &str) {
    key.extend_from_slice(part.as_bytes());
    key.push(0);
}
