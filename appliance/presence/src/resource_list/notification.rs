//! What a NOTIFY of a list says: an RLMI document, and the documents that it names (RFC 4662 §5).

use std::sync::Arc;

use sip::clock::Now;

use super::{Member, list_of_mut, shown_view};
use crate::authorization::Standing;
use crate::conditional::{digest, tag_of};
use crate::document::fragment::{push_attribute, push_text};
use crate::rejection::PIDF;
use crate::server::Server;
use crate::subscription::{Body, SubscriptionSlot};

/// Octets of a body over datagrams; what is left follows in the next NOTIFY.
const DATAGRAM_OCTETS: usize = 48 * 1024;
/// The same over connections.
const STREAM_OCTETS: usize = 256 * 1024;
/// Bodies below this are not worth deflating.
const WORTH_DEFLATING: usize = 512;
/// zlib's usual level.
const LEVEL: u8 = 6;

impl Server {
    /// Makes the body of the next NOTIFY of a list, and counts it as told.
    pub(crate) fn list_body(&mut self, now: Now, id: SubscriptionSlot) -> Option<Body> {
        let subscription = self.subscriptions.get(id.0 as usize)?;
        let limit = match subscription.destination() {
            Some(destination) if destination.transport().is_reliable() => STREAM_OCTETS,
            _ => DATAGRAM_OCTETS,
        };
        let (version, nonce) = (subscription.cseq.saturating_sub(1), subscription.nonce);
        let interval = self.list_interval();
        let domain = self.users.domain().to_owned();
        let list = list_of_mut(&mut self.subscriptions, id)?;
        let is_full = std::mem::take(&mut list.is_full_due);
        list.is_armed = false;
        list.quiet_until = now.monotonic + interval;
        let mut members = std::mem::take(&mut list.members);
        let named = if is_full { members.len() } else { 2 };
        let mut rlmi = String::with_capacity(256 + named * 160);
        rlmi.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<list xmlns=\"urn:ietf:params:xml:ns:rlmi\"");
        push_attribute(&mut rlmi, "uri", &list.uri);
        push_attribute(&mut rlmi, "version", &version.to_string());
        push_attribute(&mut rlmi, "fullState", if is_full { "true" } else { "false" });
        rlmi.push('>');
        if let Some(name) = &list.name {
            push_name(&mut rlmi, name);
        }
        let mut parts: Vec<(usize, Arc<[u8]>)> = Vec::new();
        let mut octets = 0;
        let mut is_rest_due = false;
        for (index, member) in members.iter_mut().enumerate() {
            let is_due = is_full || member.is_due;
            if !is_due {
                continue;
            }
            let document = match (member.slot, shown_view(member.standing)) {
                (Some(slot), Some(view)) => self.shown(slot, view),
                _ => None,
            };
            let needed = document.as_ref().map_or(0, |document| document.len() + 256);
            let fits = octets + needed + rlmi.len() <= limit || octets == 0;
            if !fits {
                member.is_due = true;
                is_rest_due = true;
                if is_full {
                    push_resource(&mut rlmi, member, None);
                }
                continue;
            }
            octets += needed;
            member.is_due = false;
            member.told = digest(index, member, document.as_deref());
            let cid = document.is_some().then(|| content_id(index, nonce, version, &domain));
            push_resource(&mut rlmi, member, Some(cid));
            parts.extend(document.map(|document| (index, document)));
        }
        rlmi.push_str("</list>");
        let etag = tag_of(members.iter().map(|member| member.told));
        let list = list_of_mut(&mut self.subscriptions, id)?;
        list.members = members;
        list.is_rest_due = is_rest_due;
        let takes_deflate = list.takes_deflate;
        if let Some(subscription) = self.subscriptions.get_mut(id.0 as usize) {
            subscription.is_behind = is_rest_due;
        }
        let boundary = format!("lamp{:016x}", nonce ^ u64::from(version));
        let start = content_id(usize::MAX, nonce, version, &domain);
        let mut body = Vec::with_capacity(rlmi.len() + octets + 256);
        push_part(&mut body, &boundary, &start, "application/rlmi+xml", rlmi.as_bytes());
        for (index, document) in &parts {
            let cid = content_id(*index, nonce, version, &domain);
            push_part(&mut body, &boundary, &cid, PIDF, document);
        }
        body.extend_from_slice(b"--");
        body.extend_from_slice(boundary.as_bytes());
        body.extend_from_slice(b"--\r\n");
        let is_deflated = takes_deflate && body.len() >= WORTH_DEFLATING;
        if is_deflated {
            body = miniz_oxide::deflate::compress_to_vec_zlib(&body, LEVEL);
        }
        let encoding = if is_deflated { "\r\nContent-Encoding: deflate" } else { "" };
        Some(Body {
            etag: Some(etag),
            octets: body.into(),
            head: format!(
                "multipart/related;type=\"application/rlmi+xml\";start=\"<{start}>\";\
                 boundary=\"{boundary}\"{encoding}\r\nRequire: eventlist"
            )
            .into(),
        })
    }
}

fn content_id(index: usize, nonce: u64, version: u32, domain: &str) -> String {
    if index == usize::MAX {
        format!("list.{version}.{nonce:016x}@{domain}")
    } else {
        format!("{index}.{version}.{nonce:016x}@{domain}")
    }
}

fn push_name(out: &mut String, name: &str) {
    out.push_str("<name>");
    push_text(out, name);
    out.push_str("</name>");
}

/// One resource; `told` with the id of its document, where it has one.
fn push_resource(out: &mut String, member: &Member, told: Option<Option<String>>) {
    out.push_str("<resource");
    push_attribute(out, "uri", &member.uri);
    out.push('>');
    if let Some(name) = &member.name {
        push_name(out, name);
    }
    if let Some(cid) = told {
        let state = match (member.slot, member.standing) {
            (Some(_), Standing::Active(_)) => Some(("active", None)),
            (Some(_), Standing::Pending) => Some(("pending", None)),
            (Some(_), Standing::Rejected) => Some(("terminated", Some("rejected"))),
            (None, _) if member.is_ours => Some(("terminated", Some("noresource"))),
            // Somebody of another domain: nothing is known (RFC 4662 §5.5).
            (None, _) => None,
        };
        if let Some((state, reason)) = state {
            out.push_str("<instance");
            push_attribute(out, "id", &format!("i{}", member.instance));
            push_attribute(out, "state", state);
            if let Some(reason) = reason {
                push_attribute(out, "reason", reason);
            }
            if let Some(cid) = cid {
                push_attribute(out, "cid", &cid);
            }
            out.push_str("/>");
        }
    }
    out.push_str("</resource>");
}

fn push_part(out: &mut Vec<u8>, boundary: &str, cid: &str, media_type: &str, content: &[u8]) {
    let head = format!(
        "--{boundary}\r\nContent-Transfer-Encoding: binary\r\nContent-ID: <{cid}>\r\n\
         Content-Type: {media_type};charset=\"UTF-8\"\r\n\r\n"
    );
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(content);
    out.extend_from_slice(b"\r\n");
}
