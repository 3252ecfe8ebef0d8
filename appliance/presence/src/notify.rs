//! NOTIFY: one constant head per dialog, one body per view, and what the answers mean.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use sip::clock::Now;
use sip::flow::{Destination, Transport};
use sip::slot_token::Digits;
use sip::transaction::key::MAGIC_COOKIE;
use sip::transaction::{HoldMark, Payload};
use sip::uri;

use crate::reach::{self, Reach};
use crate::rejection::PIDF;
use crate::server::{Due, Purpose, Server};
use crate::subscription::{CSEQ_BLOCK, Reason, State, SubscriptionSlot};
use crate::user::UserSlot;

/// What a template is made of.
pub(crate) struct Parts<'a> {
    pub(crate) target: &'a str,
    pub(crate) transport: Transport,
    pub(crate) sent_by: SocketAddr,
    pub(crate) routes: &'a [String],
    pub(crate) local: &'a str,
    pub(crate) remote: &'a str,
    pub(crate) call_id: &'a str,
    pub(crate) event: &'a str,
}

/// The constant part of a dialog's NOTIFYs: up to the digits of the branch, and from there up to
/// the number of CSeq.
#[derive(Debug)]
pub(crate) struct Template {
    text: Box<str>,
    split: u32,
}

impl Template {
    pub(crate) fn new(parts: &Parts<'_>) -> Self {
        let mut rest = String::with_capacity(400);
        for route in parts.routes {
            push_line(&mut rest, "Route", route);
        }
        push_line(&mut rest, "Max-Forwards", "70");
        push_line(&mut rest, "From", parts.local);
        push_line(&mut rest, "To", parts.remote);
        push_line(&mut rest, "Call-ID", parts.call_id);
        push_line(&mut rest, "Event", parts.event);
        Self::assemble(parts.target, parts.transport, parts.sent_by, &rest)
    }

    fn assemble(target: &str, transport: Transport, sent_by: SocketAddr, rest: &str) -> Self {
        let via = transport.via_token();
        let mut text = format!(
            "NOTIFY {target} SIP/2.0\r\nVia: SIP/2.0/{via} {sent_by};branch={MAGIC_COOKIE}"
        );
        let split = u32::try_from(text.len()).unwrap_or(0);
        text.push_str("\r\n");
        text.push_str(rest);
        push_line(&mut text, "Contact", &contact(transport, sent_by));
        text.push_str("CSeq: ");
        Self { text: text.into_boxed_str(), split }
    }

    /// Takes a new remote target or way out; the dialog stays what it is.
    pub(crate) fn retarget(&mut self, target: &str, transport: Transport, sent_by: SocketAddr) {
        let tail = self.text.get(self.split as usize + 2..).unwrap_or_default();
        let rest = tail.split_once("\r\nContact: ").map_or(tail, |(rest, _)| rest);
        *self = Self::assemble(target, transport, sent_by, &format!("{rest}\r\n"));
    }

    /// The remote target.
    pub(crate) fn target(&self) -> &str {
        let line = self.text.split_once("\r\n").map_or("", |(line, _)| line);
        line.strip_prefix("NOTIFY ").and_then(|l| l.strip_suffix(" SIP/2.0")).unwrap_or_default()
    }

    /// The first value of a header, empty when it is not there.
    pub(crate) fn value(&self, name: &'static str) -> &str {
        self.values(name).next().unwrap_or_default()
    }

    /// The values of a header.
    pub(crate) fn values(&self, name: &'static str) -> impl Iterator<Item = &str> {
        let lines = self.text.get(self.split as usize..).unwrap_or_default().split("\r\n");
        lines.filter_map(move |line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    /// Writes the head of one NOTIFY in the place of what `head` holds.
    fn write_head(
        &self,
        digits: &Digits,
        cseq: u32,
        state: Wording,
        body: usize,
        head: &mut Vec<u8>,
    ) {
        head.clear();
        let (start, rest) = self.text.as_bytes().split_at(self.split as usize);
        head.extend_from_slice(start);
        head.extend_from_slice(digits);
        head.extend_from_slice(rest);
        sip::write::decimal(u64::from(cseq), head);
        head.extend_from_slice(b" NOTIFY\r\nSubscription-State: ");
        match state {
            Wording::Active { seconds } => {
                head.extend_from_slice(b"active;expires=");
                sip::write::decimal(seconds, head);
            }
            Wording::Terminated { reason } => {
                head.extend_from_slice(b"terminated;reason=");
                head.extend_from_slice(reason.as_bytes());
            }
        }
        if body > 0 {
            head.extend_from_slice(b"\r\nContent-Type: ");
            head.extend_from_slice(PIDF.as_bytes());
        }
        head.extend_from_slice(b"\r\n");
        sip::write::end_of_head(body, head);
    }
}

#[derive(Clone, Copy)]
enum Wording {
    Active { seconds: u64 },
    Terminated { reason: &'static str },
}

fn push_line(text: &mut String, name: &str, value: &str) {
    for part in [name, ": ", value, "\r\n"] {
        text.push_str(part);
    }
}

/// Our Contact on a transport.
pub(crate) fn contact(transport: Transport, sent_by: SocketAddr) -> String {
    match transport {
        Transport::Udp => format!("<sip:{sent_by}>"),
        Transport::Tcp | Transport::Tls | Transport::Ws | Transport::Wss => {
            format!("<sip:{sent_by};transport={}>", transport.uri_token())
        }
    }
}

impl Server {
    /// Something about a presentity may have changed: if its document has, its watchers hear.
    pub(crate) fn tell_watchers(&mut self, now: Now, slot: UserSlot) {
        let Some(user) = self.users.get(slot).filter(|user| user.is_stale) else { return };
        if user.watchers.is_empty() {
            return;
        }
        let before = user.document.clone();
        let after = self.document(slot);
        if after.is_some() && before == after {
            return;
        }
        let count = self.users.get(slot).map_or(0, |user| user.watchers.len());
        // A NOTIFY that ends a subscription takes it off the list, so go from the end.
        for position in (0..count).rev() {
            let watcher = self.users.get(slot).and_then(|u| u.watchers.get(position)).copied();
            if let Some(watcher) = watcher {
                self.notify_change(now, watcher);
            }
        }
    }

    /// The composed document of a user.
    pub(crate) fn document(&mut self, slot: UserSlot) -> Option<Arc<[u8]>> {
        let user = self.users.get_mut(slot)?;
        if user.is_stale {
            let composed =
                crate::compositor::compose(user.aor.as_str(), &crate::publication::inputs(user));
            if user.document.as_deref() != Some(composed.as_slice()) {
                user.document = Some(composed.into());
            }
            user.is_stale = false;
        }
        user.document.clone()
    }

    /// Tells a watcher about a change: now, or as soon as it has answered the NOTIFY before. So
    /// one slow watcher holds up nobody, and gets the latest state instead of a queue.
    pub(crate) fn notify_change(&mut self, now: Now, id: SubscriptionSlot) {
        let Some(subscription) = self.subscriptions.get_mut(id.0 as usize) else { return };
        if matches!(subscription.state, State::Ending(_)) {
            return;
        }
        let is_waiting = subscription.in_flight.is_some()
            || subscription.destination.is_none()
            || subscription.state == State::Suspended;
        if is_waiting {
            self.counters.notifies_coalesced += u64::from(subscription.is_behind);
            subscription.is_behind = true;
            return;
        }
        self.notify_now(now, id);
    }

    /// Sends full state to a watcher, instead of a NOTIFY that may still be under way.
    pub(crate) fn notify_now(&mut self, now: Now, id: SubscriptionSlot) {
        let Some(subscription) = self.subscriptions.get_mut(id.0 as usize) else { return };
        let Some(destination) = subscription.destination else { return };
        if let Some(client) = subscription.in_flight.take() {
            self.layer.abandon(client);
        }
        let presentity = subscription.presentity;
        let wording = match subscription.state {
            State::Active | State::Suspended => {
                Wording::Active { seconds: subscription.expires.since(now.monotonic).as_secs() }
            }
            State::Ending(Reason::Timeout) => Wording::Terminated { reason: "timeout" },
            State::Ending(Reason::NoResource) => Wording::Terminated { reason: "noresource" },
            State::Ending(Reason::Deactivated) => Wording::Terminated { reason: "deactivated" },
        };
        let gives_state =
            !matches!(subscription.state, State::Ending(Reason::NoResource | Reason::Deactivated));
        subscription.cseq += 1;
        if subscription.cseq > subscription.cseq_reserved {
            subscription.cseq_reserved = subscription.cseq.saturating_add(CSEQ_BLOCK);
            self.store_subscription(id);
        }
        let body = if gives_state { self.document(presentity) } else { None };
        let durable = self.durable;
        let Some(subscription) = self.subscriptions.get_mut(id.0 as usize) else { return };
        let after =
            if subscription.saved > durable { HoldMark(subscription.saved.0) } else { HoldMark(0) };
        let (cseq, template) = (subscription.cseq, &subscription.template);
        let purpose = Purpose::Notify(id, subscription.nonce);
        let scratch = &mut self.scratch;
        let sent = self.layer.send_lean(now.monotonic, destination, purpose, after, |digits| {
            let length = body.as_ref().map_or(0, |body| body.len());
            template.write_head(digits, cseq, wording, length, scratch);
            Payload { head: scratch.as_slice().into(), body }
        });
        subscription.in_flight = sent;
        subscription.is_behind = sent.is_none();
        if sent.is_some() {
            subscription.notifies = subscription.notifies.wrapping_add(1);
            self.counters.notifies += 1;
        } else {
            let at = now.monotonic + Duration::from_secs(1);
            let nonce = subscription.nonce;
            self.deadlines.insert(at, Due::Subscription(id, nonce));
        }
    }

    /// A watcher has answered.
    pub(crate) fn notify_answered(
        &mut self,
        now: Now,
        id: SubscriptionSlot,
        nonce: u64,
        status: u16,
        retry_after: Option<u32>,
    ) {
        let Some(subscription) =
            self.subscriptions.get_mut(id.0 as usize).filter(|s| s.nonce == nonce)
        else {
            return;
        };
        subscription.in_flight = None;
        let is_over = matches!(subscription.state, State::Ending(_)) || ends_subscription(status);
        if (200..300).contains(&status) {
            self.counters.notifies_confirmed += 1;
        } else {
            self.counters.notifies_failed += 1;
        }
        if is_over {
            self.detach(id);
        } else if let Some(seconds) = retry_after.filter(|_| status >= 300) {
            subscription.is_behind = true;
            let pause = Duration::from_secs(u64::from(seconds.clamp(1, 3600)));
            self.deadlines.insert(now.monotonic + pause, Due::Subscription(id, nonce));
        } else if subscription.is_behind {
            self.notify_now(now, id);
        }
    }

    /// A watcher has not answered in time (RFC 6665 §4.2.2): its subscription is over.
    pub(crate) fn notify_timed_out(&mut self, id: SubscriptionSlot, nonce: u64) {
        let current = self.subscriptions.get(id.0 as usize).is_some_and(|s| s.nonce == nonce);
        if current {
            self.counters.notifies_failed += 1;
            self.detach(id);
        }
    }

    /// A NOTIFY could not be sent: its flow is gone, or nobody listens at its address.
    pub(crate) fn notify_unreachable(&mut self, now: Now, id: SubscriptionSlot, nonce: u64) {
        let Some(subscription) =
            self.subscriptions.get_mut(id.0 as usize).filter(|s| s.nonce == nonce)
        else {
            return;
        };
        self.counters.notifies_failed += 1;
        subscription.in_flight = None;
        let was_flow = matches!(subscription.destination, Some(Destination::Flow(_)));
        let elsewhere = uri::parse(subscription.template.target())
            .map_or(Reach::Nowhere, |target| reach::away_from_flow(&target, None));
        match elsewhere {
            Reach::At(destination)
                if was_flow && subscription.template.value("Route").is_empty() =>
            {
                subscription.destination = Some(destination);
                self.notify_now(now, id);
            }
            _ => self.undeliverable(id),
        }
    }

    /// There is no way to a watcher for now: it keeps its subscription until that expires, and
    /// gets full state when it refreshes.
    pub(crate) fn undeliverable(&mut self, id: SubscriptionSlot) {
        let Some(subscription) = self.subscriptions.get_mut(id.0 as usize) else { return };
        if matches!(subscription.state, State::Ending(_)) {
            self.detach(id);
        } else {
            subscription.state = State::Suspended;
            subscription.is_behind = true;
        }
    }
}

/// Answers to a NOTIFY that end the subscription (RFC 6665 §4.2.2, RFC 5057 §5).
const fn ends_subscription(status: u16) -> bool {
    matches!(status, 404 | 405 | 408 | 410 | 416 | 480..=485 | 489 | 501 | 604)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template() -> Template {
        Template::new(&Parts {
            target: "sip:bob@192.0.2.4:5070",
            transport: Transport::Udp,
            sent_by: "192.0.2.1:5060".parse().unwrap(),
            routes: &["<sip:p1;lr>".to_owned(), "<sip:p2;lr>".to_owned()],
            local: "<sip:alice@example.test>;tag=ours",
            remote: "\"Bob\" <sip:bob@example.test>;tag=theirs",
            call_id: "c1@host",
            event: "presence;id=7",
        })
    }

    #[test]
    fn gives_back_what_it_was_made_of() {
        let template = template();
        assert_eq!(template.target(), "sip:bob@192.0.2.4:5070");
        assert_eq!(template.values("Route").collect::<Vec<_>>(), ["<sip:p1;lr>", "<sip:p2;lr>"]);
        assert_eq!(template.value("To"), "\"Bob\" <sip:bob@example.test>;tag=theirs");
        assert_eq!(template.value("Event"), "presence;id=7");
        assert_eq!(template.value("Contact"), "<sip:192.0.2.1:5060>");
    }

    #[test]
    fn a_new_target_changes_nothing_else() {
        let mut template = template();
        template.retarget("sip:bob@192.0.2.5", Transport::Tcp, "192.0.2.1:5062".parse().unwrap());
        assert_eq!(template.target(), "sip:bob@192.0.2.5");
        assert_eq!(template.value("Contact"), "<sip:192.0.2.1:5062;transport=tcp>");
        assert_eq!(template.value("Call-ID"), "c1@host");
        assert_eq!(template.values("Route").count(), 2);
        assert_eq!(template.values("Contact").count(), 1);
    }

    #[test]
    fn a_head_is_a_whole_notify() {
        let mut head = b"left over".to_vec();
        let wording = Wording::Active { seconds: 3599 };
        template().write_head(&[b'a'; 24], 41, wording, 12, &mut head);
        let text = std::str::from_utf8(&head).unwrap();
        assert!(text.starts_with("NOTIFY sip:bob@192.0.2.4:5070 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKaaaaaaaaaaaaaaaaaaaaaaaa\r\nRoute: <sip:p1;lr>\r\n"));
        assert!(
            text.contains("\r\nCSeq: 41 NOTIFY\r\nSubscription-State: active;expires=3599\r\n")
        );
        assert!(
            text.ends_with("\r\nContent-Type: application/pidf+xml\r\nContent-Length: 12\r\n\r\n")
        );
    }
}
