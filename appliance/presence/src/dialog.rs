//! The notifier's half of a dialog (RFC 3261 §12), kept so that writing its next NOTIFY is copying.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{BufMut as _, BytesMut};
use foldhash::quality::FixedState;
use sip::flow::Transport;
use sip::slot_token::Digits;
use sip::transaction::key::MAGIC_COOKIE;

use crate::conditional::EntityTag;

/// What a dialog is made of.
pub(crate) struct Parts<'a> {
    /// The remote target.
    pub(crate) target: &'a str,
    /// Our own address, without the tag.
    pub(crate) local: &'a str,
    pub(crate) remote: &'a str,
    pub(crate) call_id: &'a str,
    /// The `id` of Event, if it has one.
    pub(crate) event_id: Option<&'a str>,
    pub(crate) routes: &'a [String],
}

/// The parts of a dialog in one allocation, without the words that all dialogs share.
#[derive(Debug)]
pub(crate) struct Dialog {
    /// Target, local address, remote address, Call-ID, id of the event, and the routes with a
    /// line end before each.
    text: Box<str>,
    /// Where each of the first five ends.
    ends: [u16; 5],
    has_event_id: bool,
    sent_by: Arc<SentBy>,
}

/// How this node names itself on one way out.
#[derive(Debug)]
pub(crate) struct SentBy {
    /// From behind the Request-URI up to the digits of the branch.
    opening: Box<str>,
    /// Contact, up to the number of CSeq.
    closing: Box<str>,
}

/// What a NOTIFY says of its subscription (RFC 6665 §4.1.3).
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wording {
    Active { seconds: u64 },
    Pending { seconds: u64 },
    Terminated { reason: &'static str },
}

/// What one NOTIFY has that the others of its dialog have not.
pub(crate) struct Varying<'a> {
    pub(crate) branch: &'a Digits,
    /// The tag of From, which is the same in all of them but is written from its number.
    pub(crate) tag: &'a Digits,
    pub(crate) cseq: u32,
    /// The event package.
    pub(crate) event: &'a str,
    pub(crate) wording: Wording,
    /// Names what is told (RFC 5839).
    pub(crate) etag: Option<EntityTag>,
    /// The media type of the body, and header lines that follow it.
    pub(crate) media: &'a str,
    /// Octets of the body.
    pub(crate) body: usize,
}

impl SentBy {
    /// The value of Contact.
    pub(crate) fn contact(&self) -> &str {
        self.closing
            .strip_prefix(BEFORE_CONTACT)
            .and_then(|rest| rest.strip_suffix(BEHIND_CONTACT))
            .unwrap_or_default()
    }
}

/// What stands around the value of Contact in a NOTIFY.
const BEFORE_CONTACT: &str = "\r\nContact: ";
const BEHIND_CONTACT: &str = "\r\nCSeq: ";

impl Dialog {
    /// A dialog of these parts; `None` when they are longer than any message may be.
    pub(crate) fn new(parts: &Parts<'_>, sent_by: Arc<SentBy>) -> Option<Self> {
        let id = parts.event_id.unwrap_or_default();
        let fixed = [parts.target, parts.local, parts.remote, parts.call_id, id];
        let routes = parts.routes.iter().map(|route| route.len() + 1).sum::<usize>();
        let mut text = String::with_capacity(fixed.iter().map(|p| p.len()).sum::<usize>() + routes);
        let mut ends = [0; 5];
        for (part, end) in fixed.iter().zip(&mut ends) {
            text.push_str(part);
            *end = u16::try_from(text.len()).ok()?;
        }
        for route in parts.routes {
            text.push('\n');
            text.push_str(route);
        }
        let has_event_id = parts.event_id.is_some();
        Some(Self { text: text.into_boxed_str(), ends, has_event_id, sent_by })
    }

    /// Takes a new remote target or way out; the dialog stays what it is. False when that makes it
    /// longer than any message may be.
    #[must_use]
    pub(crate) fn retarget(&mut self, target: &str, sent_by: Arc<SentBy>) -> bool {
        if self.target() == target {
            self.sent_by = sent_by;
            return true;
        }
        let routes: Vec<String> = self.routes().map(str::to_owned).collect();
        let parts = Parts {
            target,
            local: self.local(),
            remote: self.remote(),
            call_id: self.call_id(),
            event_id: self.event_id(),
            routes: &routes,
        };
        match Self::new(&parts, sent_by) {
            Some(dialog) => {
                *self = dialog;
                true
            }
            None => false,
        }
    }

    /// The remote target.
    pub(crate) fn target(&self) -> &str {
        self.part(0)
    }

    /// Our address, without the tag.
    pub(crate) fn local(&self) -> &str {
        self.part(1)
    }

    /// The watcher's address, with its tag.
    pub(crate) fn remote(&self) -> &str {
        self.part(2)
    }

    /// The Call-ID.
    pub(crate) fn call_id(&self) -> &str {
        self.part(3)
    }

    /// The `id` of Event.
    pub(crate) fn event_id(&self) -> Option<&str> {
        self.has_event_id.then(|| self.part(4))
    }

    /// The route set, first hop first.
    pub(crate) fn routes(&self) -> impl Iterator<Item = &str> {
        let [.., end] = self.ends;
        self.text.get(end.into()..).unwrap_or_default().split('\n').skip(1)
    }

    fn part(&self, index: usize) -> &str {
        let start = index.checked_sub(1).and_then(|before| self.ends.get(before));
        let (start, end) = (start.copied().unwrap_or(0), self.ends.get(index).copied());
        self.text.get(start.into()..end.unwrap_or(0).into()).unwrap_or_default()
    }

    /// Writes the head of one NOTIFY.
    pub(crate) fn write_head(&self, varying: &Varying<'_>, out: &mut BytesMut) {
        // The words below and the numbers fit into this; longer ones would only cost a move.
        const WORDS: usize = 256;
        let SentBy { opening, closing } = &*self.sent_by;
        out.reserve(self.text.len() + opening.len() + closing.len() + WORDS);
        put(out, &["NOTIFY ", self.target(), opening]);
        out.put_slice(varying.branch);
        for route in self.routes() {
            put(out, &["\r\nRoute: ", route]);
        }
        put(out, &["\r\nMax-Forwards: 70\r\nFrom: ", self.local(), ";tag="]);
        out.put_slice(varying.tag);
        put(out, &["\r\nTo: ", self.remote(), "\r\nCall-ID: ", self.call_id()]);
        put(out, &["\r\nEvent: ", varying.event]);
        if let Some(id) = self.event_id() {
            put(out, &[";id=", id]);
        }
        put(out, &[closing]);
        sip::write::decimal(varying.cseq.into(), out);
        put(out, &[" NOTIFY\r\nSubscription-State: "]);
        match varying.wording {
            Wording::Active { seconds } => {
                put(out, &["active;expires="]);
                sip::write::decimal(seconds, out);
            }
            Wording::Pending { seconds } => {
                put(out, &["pending;expires="]);
                sip::write::decimal(seconds, out);
            }
            Wording::Terminated { reason } => put(out, &["terminated;reason=", reason]),
        }
        if let Some(etag) = varying.etag {
            put(out, &["\r\nSIP-ETag: "]);
            out.put_slice(&etag.digits());
        }
        if varying.body > 0 {
            put(out, &["\r\nContent-Type: ", varying.media]);
        }
        put(out, &["\r\n"]);
        sip::write::end_of_head(varying.body, out);
    }
}

fn put(out: &mut BytesMut, texts: &[&str]) {
    for text in texts {
        out.put_slice(text.as_bytes());
    }
}

/// The ways out in use, each made once.
#[derive(Debug)]
pub(crate) struct WaysOut {
    known: HashMap<(Transport, SocketAddr), Arc<SentBy>, FixedState>,
    /// When the unused ones are looked for: connections that nobody could open to us have
    /// addresses of their own.
    full: usize,
}

impl WaysOut {
    const FEW: usize = 64;

    pub(crate) fn new(seed: u64) -> Self {
        Self { known: HashMap::with_hasher(FixedState::with_seed(seed)), full: Self::FEW }
    }

    /// The one with this address in Via and Contact.
    pub(crate) fn sent_by(&mut self, transport: Transport, address: SocketAddr) -> Arc<SentBy> {
        if let Some(known) = self.known.get(&(transport, address)) {
            return Arc::clone(known);
        }
        if self.known.len() >= self.full {
            self.known.retain(|_, sent_by| Arc::strong_count(sent_by) > 1);
            self.full = Self::FEW.max(2 * self.known.len());
        }
        let via = transport.via_token();
        let sent_by = Arc::new(SentBy {
            opening: format!(" SIP/2.0\r\nVia: SIP/2.0/{via} {address};branch={MAGIC_COOKIE}")
                .into(),
            closing: format!("{BEFORE_CONTACT}{}{BEHIND_CONTACT}", contact(transport, address))
                .into(),
        });
        self.known.insert((transport, address), Arc::clone(&sent_by));
        sent_by
    }
}

/// Our Contact on a transport.
fn contact(transport: Transport, sent_by: SocketAddr) -> String {
    match transport {
        Transport::Udp => format!("<sip:{sent_by}>"),
        Transport::Tcp | Transport::Tls | Transport::Ws | Transport::Wss => {
            format!("<sip:{sent_by};transport={}>", transport.uri_token())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent_by(transport: Transport, address: &str) -> Arc<SentBy> {
        WaysOut::new(1).sent_by(transport, address.parse().unwrap())
    }

    fn dialog() -> Dialog {
        let parts = Parts {
            target: "sip:bob@192.0.2.4:5070",
            routes: &["<sip:p1;lr>".to_owned(), "<sip:p2;lr>".to_owned()],
            local: "<sip:alice@example.test>",
            remote: "\"Bob\" <sip:bob@example.test>;tag=theirs",
            call_id: "c1@host",
            event_id: Some("7"),
        };
        Dialog::new(&parts, sent_by(Transport::Udp, "192.0.2.1:5060")).unwrap()
    }

    fn head(dialog: &Dialog, wording: Wording, body: usize) -> String {
        let mut out = BytesMut::new();
        let (branch, tag, media) = (&[b'a'; 24], &[b'7'; 24], "application/pidf+xml");
        let event = "presence";
        let etag = None;
        let varying = Varying { branch, tag, cseq: 41, event, wording, etag, media, body };
        dialog.write_head(&varying, &mut out);
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn gives_back_what_it_was_made_of() {
        let dialog = dialog();
        assert_eq!(dialog.target(), "sip:bob@192.0.2.4:5070");
        assert_eq!(dialog.local(), "<sip:alice@example.test>");
        assert_eq!(dialog.remote(), "\"Bob\" <sip:bob@example.test>;tag=theirs");
        assert_eq!(dialog.call_id(), "c1@host");
        assert_eq!(dialog.event_id(), Some("7"));
        assert_eq!(dialog.routes().collect::<Vec<_>>(), ["<sip:p1;lr>", "<sip:p2;lr>"]);
    }

    #[test]
    fn a_new_target_changes_nothing_else() {
        let mut dialog = dialog();
        assert!(dialog.retarget("sip:bob@192.0.2.5", sent_by(Transport::Tcp, "192.0.2.1:5062")));
        let text = head(&dialog, Wording::Terminated { reason: "timeout" }, 0);
        assert_eq!(
            text,
            "NOTIFY sip:bob@192.0.2.5 SIP/2.0\r\n\
             Via: SIP/2.0/TCP 192.0.2.1:5062;branch=z9hG4bKaaaaaaaaaaaaaaaaaaaaaaaa\r\n\
             Route: <sip:p1;lr>\r\nRoute: <sip:p2;lr>\r\nMax-Forwards: 70\r\n\
             From: <sip:alice@example.test>;tag=777777777777777777777777\r\n\
             To: \"Bob\" <sip:bob@example.test>;tag=theirs\r\nCall-ID: c1@host\r\n\
             Event: presence;id=7\r\nContact: <sip:192.0.2.1:5062;transport=tcp>\r\n\
             CSeq: 41 NOTIFY\r\nSubscription-State: terminated;reason=timeout\r\n\
             Content-Length: 0\r\n\r\n"
        );
    }

    #[test]
    fn a_body_has_its_type_and_length() {
        let text = head(&dialog(), Wording::Active { seconds: 3599 }, 12);
        assert!(text.ends_with(
            "\r\nContact: <sip:192.0.2.1:5060>\r\nCSeq: 41 NOTIFY\r\n\
             Subscription-State: active;expires=3599\r\n\
             Content-Type: application/pidf+xml\r\nContent-Length: 12\r\n\r\n"
        ));
    }

    #[test]
    fn without_id_and_routes_there_are_none() {
        let parts = Parts {
            target: "sip:b@h",
            routes: &[],
            local: "<sip:a@h>",
            remote: "<sip:b@h>;tag=1",
            call_id: "x",
            event_id: None,
        };
        let dialog = Dialog::new(&parts, sent_by(Transport::Udp, "192.0.2.1:5060")).unwrap();
        assert_eq!((dialog.event_id(), dialog.routes().count()), (None, 0));
        let text = head(&dialog, Wording::Active { seconds: 1 }, 0);
        assert!(text.contains("\r\nEvent: presence\r\nContact: "), "{text}");
        let long = "x".repeat(70_000);
        assert!(Dialog::new(&Parts { call_id: &long, ..parts }, dialog.sent_by).is_none());
    }

    #[test]
    fn ways_out_that_nobody_uses_are_forgotten() {
        let mut ways = WaysOut::new(1);
        let kept = ways.sent_by(Transport::Udp, "192.0.2.1:5060".parse().unwrap());
        for port in 1..=1_000 {
            ways.sent_by(Transport::Tcp, SocketAddr::from(([192, 0, 2, 1], port)));
        }
        assert!(ways.known.len() <= WaysOut::FEW, "{}", ways.known.len());
        assert_eq!(kept.contact(), "<sip:192.0.2.1:5060>");
        let again = ways.sent_by(Transport::Udp, "192.0.2.1:5060".parse().unwrap());
        assert!(Arc::ptr_eq(&kept, &again));
    }
}
