//! Messages for whom nobody answers: on disk before they are accepted with 202, and delivered in
//! order when a device registers (RFC 3428 §7, §8).

mod notification;

use std::collections::VecDeque;
use std::time::Duration;

use sip::clock::{Now, WallTime};
use sip::flow::{Destination, Hop};
use sip::header::media_type::MediaType;
use sip::message::{HeaderAccess, Method, Request, Response, Version, response_to};
use sip::transaction::{HoldMark, ServerId};

use self::notification::Outcome;
use crate::document::timestamp::{Civil, civil};
use crate::node_policy::Item;
use crate::reach::{self, Reach};
use crate::record::{Change, MessageRecord, Table, encode};
use crate::server::{Due, Pending, Purpose, Server};
use crate::user::UserSlot;

/// Octets of stored messages, all users together.
const OCTETS: usize = 256 * 1024 * 1024;
/// Octets of one stored message.
const MESSAGE_OCTETS: usize = 64 * 1024;
/// Headers that travel with the body, besides From.
const KEPT: [&str; 9] = [
    "Content-Type",
    "Content-Encoding",
    "Content-Disposition",
    "Content-Language",
    "Subject",
    "Date",
    "In-Reply-To",
    "Priority",
    "MIME-Version",
];

/// The messages that wait for a user.
#[derive(Debug, Default)]
pub(crate) struct Mailbox {
    pub(crate) messages: VecDeque<StoredMessage>,
    next: u64,
    /// One is on its way: its number, and the contact.
    under_way: Option<(u64, String)>,
}

/// One of them.
#[derive(Debug, Clone)]
pub(crate) struct StoredMessage {
    pub(crate) number: u64,
    pub(crate) record: MessageRecord,
}

/// A message that is accepted once the disk has it.
#[derive(Debug)]
pub(crate) struct Accepting {
    server: ServerId,
    request: Request,
    slot: UserSlot,
    message: StoredMessage,
}

impl Server {
    /// Keeps a message that nobody took. Whether it will be answered once it is on disk.
    pub(crate) fn store_message(
        &mut self,
        now: Now,
        server: ServerId,
        request: &Request,
        slot: UserSlot,
    ) -> bool {
        if request.method != Method::Message || self.policy.value(Item::Messages) != STORED {
            return false;
        }
        let is_passing = request
            .headers
            .value("Content-Type")
            .and_then(|value| MediaType::parse(value).ok())
            // Who was writing an hour ago is of no interest (RFC 3994).
            .is_some_and(|media| media.is("application", "im-iscomposing+xml"));
        let is_large = request.body.len() > MESSAGE_OCTETS;
        let limit = self.policy.value(Item::MessagesPerUser) as usize;
        let Some(user) = self.users.get_mut(slot) else { return false };
        let is_full = user.mailbox.messages.len() >= limit || self.message_octets >= OCTETS;
        if is_passing || is_large || is_full {
            self.counters.messages_not_stored += u64::from(!is_passing);
            return false;
        }
        let days = u64::from(self.policy.value(Item::MessagesDays));
        let most = Duration::from_secs(days * 24 * 3600);
        let asked = self.header_expires(request).filter(|asked| !asked.is_zero());
        let lasts = asked.map_or(most, |asked| asked.min(most));
        let from = request.headers.value("From").unwrap_or_default();
        let record = MessageRecord {
            from: without_tag(from),
            headers: kept_headers(request, now.wall),
            body: request.body.clone(),
            stored_millis: now.wall.as_millis(),
            expires_millis: (now.wall + lasts).as_millis(),
        };
        let Some(user) = self.users.get_mut(slot) else { return false };
        user.mailbox.next += 1;
        let message = StoredMessage { number: user.mailbox.next, record };
        let key = message_key(&user.id, message.number);
        let changes = vec![Change { key, value: Some(encode(&message.record)) }];
        let accepting = Accepting { server, request: request.clone(), slot, message };
        self.commit(changes, Pending::Message(Box::new(accepting)));
        true
    }

    /// The disk has a message, or not.
    pub(crate) fn message_committed(&mut self, now: Now, accepting: Accepting, stored: bool) {
        let Accepting { server, request, slot, message } = accepting;
        let tag = self.entropy.token();
        let status = if stored { 202 } else { 480 };
        let response = response_to(&request, status, None, Some(&tag));
        self.counters.count_response(status);
        self.layer.respond(now.monotonic, server, &response, HoldMark::default());
        if stored {
            self.counters.messages_stored += 1;
            self.notify_sender(now, slot, &message.record, Outcome::Stored);
            self.put_message(now, slot, message);
            self.deliver_messages(now, slot);
        }
    }

    /// Takes a message up, new or from the store.
    pub(crate) fn put_message(&mut self, now: Now, slot: UserSlot, message: StoredMessage) {
        let Some(user) = self.users.get_mut(slot) else { return };
        let expires = WallTime::from_millis(message.record.expires_millis);
        self.message_octets += message.record.body.len();
        self.deadlines
            .insert(now.monotonic + expires.since(now.wall), Due::Message(slot, message.number));
        user.mailbox.next = user.mailbox.next.max(message.number);
        user.mailbox.messages.push_back(message);
    }

    /// A message has waited long enough.
    pub(crate) fn message_due(&mut self, now: Now, slot: UserSlot, number: u64) {
        let Some(user) = self.users.get(slot) else { return };
        let due = user.mailbox.messages.iter().find(|message| {
            message.number == number && message.record.expires_millis <= now.wall.as_millis()
        });
        if let Some(record) = due.map(|message| message.record.clone()) {
            self.counters.messages_expired += 1;
            self.remove_message(slot, number);
            self.notify_sender(now, slot, &record, Outcome::Failed);
        }
    }

    fn remove_message(&mut self, slot: UserSlot, number: u64) {
        let Some(user) = self.users.get_mut(slot) else { return };
        let mailbox = &mut user.mailbox;
        let place = mailbox.messages.iter().position(|message| message.number == number);
        if let Some(message) = place.and_then(|place| mailbox.messages.remove(place)) {
            self.message_octets = self.message_octets.saturating_sub(message.record.body.len());
            let key = message_key(&user.id, number);
            self.save(key, None);
        }
    }

    /// Sends the first message that waits for a user, if there is a device and none is under way.
    pub(crate) fn deliver_messages(&mut self, now: Now, slot: UserSlot) {
        let Some(user) = self.users.get(slot) else { return };
        if user.mailbox.under_way.is_some() || user.mailbox.messages.is_empty() {
            return;
        }
        // The device that registered last is the one that is there.
        let Some(binding) = user.bindings.iter().max_by_key(|binding| binding.expires) else {
            return;
        };
        let contact = binding.contact.clone();
        match binding.reach() {
            Reach::At(destination) => self.deliver_to(now, slot, &contact, destination),
            Reach::Named(target) => {
                self.locate(target, Pending::Delivery(slot, contact));
            }
            Reach::Nowhere => {}
        }
    }

    /// A device that messages wait for has been located.
    pub(crate) fn delivery_located(
        &mut self,
        now: Now,
        slot: UserSlot,
        contact: &str,
        hops: &[Hop],
    ) {
        if let Some(hop) = hops.first() {
            self.deliver_to(now, slot, contact, reach::at_hop(*hop, None));
        }
    }

    fn deliver_to(&mut self, now: Now, slot: UserSlot, contact: &str, destination: Destination) {
        let Some(user) = self.users.get_mut(slot) else { return };
        if user.mailbox.under_way.is_some() {
            return;
        }
        let Some(message) = user.mailbox.messages.front() else { return };
        let number = message.number;
        let Some(binding) = user.bindings.iter().find(|binding| binding.contact == contact) else {
            return;
        };
        let record = &message.record;
        let mut request = Request {
            method: Method::Message,
            uri: binding.target.clone(),
            version: Version::V2,
            headers: sip::message::Headers::default(),
            body: record.body.clone(),
        };
        let headers = &mut request.headers;
        for path in &binding.path {
            headers.append("Route", path);
        }
        headers.append("Max-Forwards", "70");
        headers.append("From", &format!("{};tag={}", record.from, self.entropy.token()));
        headers.append("To", &format!("<{}>", user.aor));
        headers.append("Call-ID", &self.entropy.token());
        headers.append("CSeq", "1 MESSAGE");
        for (name, value) in &record.headers {
            headers.append(name, value);
        }
        user.mailbox.under_way = Some((number, contact.to_owned()));
        let purpose = Purpose::Deliver(slot, number);
        let sent =
            self.layer.send(now.monotonic, destination, request, purpose, HoldMark::default());
        if sent.is_none()
            && let Some(user) = self.users.get_mut(slot)
        {
            user.mailbox.under_way = None;
        }
    }

    /// A device has answered a stored message.
    pub(crate) fn delivery_answered(
        &mut self,
        now: Now,
        slot: UserSlot,
        number: u64,
        response: &Response,
    ) {
        let status = response.status_code.code();
        if status < 200 {
            return;
        }
        let Some(user) = self.users.get_mut(slot) else { return };
        if user.mailbox.under_way.as_ref().is_none_or(|(other, _)| *other != number) {
            return;
        }
        user.mailbox.under_way = None;
        let message = user.mailbox.messages.iter().find(|message| message.number == number);
        let record = message.map(|message| message.record.clone());
        match status {
            200..300 => {
                self.counters.messages_delivered += 1;
                self.remove_message(slot, number);
                self.deliver_messages(now, slot);
            }
            // Not now; a device that registers next may take it.
            401 | 403 | 407 | 408 | 480 | 481 | 486 | 487 | 491 | 500..600 => {}
            _ => {
                self.counters.messages_refused += 1;
                self.remove_message(slot, number);
                if let Some(record) = record {
                    self.notify_sender(now, slot, &record, Outcome::Failed);
                }
                self.deliver_messages(now, slot);
            }
        }
    }

    /// A device has not answered a stored message: it stays.
    pub(crate) fn delivery_failed(&mut self, slot: UserSlot, number: u64) {
        if let Some(user) = self.users.get_mut(slot)
            && user.mailbox.under_way.as_ref().is_some_and(|(other, _)| *other == number)
        {
            user.mailbox.under_way = None;
        }
    }

    /// The messages of one user are another's from now on, who is the same person.
    pub(crate) fn move_mailbox(&mut self, now: Now, from: UserSlot, to: UserSlot) -> Vec<Change> {
        let messages = self.users.get(from).map(|user| user.mailbox.messages.clone());
        let Some(id) = self.users.get(to).map(|user| user.id.clone()) else { return Vec::new() };
        let mut changes = Vec::new();
        for message in messages.unwrap_or_default() {
            let key = message_key(&id, message.number);
            changes.push(Change { key, value: Some(encode(&message.record)) });
            self.put_message(now, to, message);
        }
        changes
    }

    /// What removes all messages of a user from the store.
    pub(crate) fn mailbox_removed(&self, slot: UserSlot, id: &str) -> Vec<Change> {
        let Some(user) = self.users.get(slot) else { return Vec::new() };
        let messages = user.mailbox.messages.iter();
        messages
            .map(|message| Change { key: message_key(id, message.number), value: None })
            .collect()
    }
}

/// The value of [`Item::Messages`] for which messages are stored.
pub(crate) const STORED: u32 = 2;
/// The value for which there are none at all.
pub(crate) const OFF: u32 = 0;

/// The key of a message's record.
pub(crate) fn message_key(user_id: &str, number: u64) -> Vec<u8> {
    Table::Message.key(&[user_id.as_bytes(), &number.to_be_bytes()])
}

fn without_tag(from: &str) -> String {
    match sip::header::name_addr::NameAddr::parse(from) {
        Ok(named) => match named.display_name.as_deref().filter(|name| !name.is_empty()) {
            Some(name) => {
                let escaped = name.replace('\\', "\\\\").replace('"', "\\\"");
                format!("\"{escaped}\" <{}>", sip::uri::to_string(&named.uri))
            }
            None => format!("<{}>", sip::uri::to_string(&named.uri)),
        },
        Err(_) => "<sip:anonymous@anonymous.invalid>".to_owned(),
    }
}

fn kept_headers(request: &Request, now: WallTime) -> Vec<(String, String)> {
    let mut headers: Vec<(String, String)> = request
        .headers
        .pairs()
        .filter(|(name, _)| KEPT.iter().any(|kept| kept.eq_ignore_ascii_case(name)))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    if !request.headers.has("Date") {
        // RFC 3428 §8: when it was sent, not when it arrives.
        headers.push(("Date".to_owned(), date(now)));
    }
    headers
}

/// A date as SIP has it (RFC 3261 §20.17).
fn date(time: WallTime) -> String {
    const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let Civil { year, month, day, hour, minute, second, weekday } = civil(time);
    let name = |names: &[&'static str], index: u64| {
        usize::try_from(index).ok().and_then(|index| names.get(index).copied()).unwrap_or_default()
    };
    format!(
        "{}, {day:02} {} {year} {hour:02}:{minute:02}:{second:02} GMT",
        name(&DAYS, weekday),
        name(&MONTHS, month - 1)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_as_sip_has_them() {
        // The example of RFC 3261 §20.17.
        assert_eq!(date(WallTime::from_millis(1_289_690_940_000)), "Sat, 13 Nov 2010 23:29:00 GMT");
        assert_eq!(date(WallTime::from_millis(0)), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(date(WallTime::from_millis(1_709_164_799_000)), "Wed, 28 Feb 2024 23:59:59 GMT");
        assert_eq!(date(WallTime::from_millis(1_709_164_800_000)), "Thu, 29 Feb 2024 00:00:00 GMT");
    }

    #[test]
    fn senders_keep_their_name() {
        assert_eq!(without_tag("Bob <sip:bob@x>;tag=1"), "\"Bob\" <sip:bob@x>");
        assert_eq!(without_tag("\"B \\\"x\\\"\" <sip:bob@x>;tag=1"), "\"B \\\"x\\\"\" <sip:bob@x>");
        assert_eq!(without_tag("sip:bob@x;tag=1"), "<sip:bob@x>");
    }
}
