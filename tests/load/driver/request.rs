//! Requests: what each operation sends.

use std::io::Write as _;
use std::time::Instant;

use super::{Driver, EXPIRES, Operation, T1, Transaction};
use crate::message::{self, Start};
use crate::network::Transport;

impl Driver {
    /// Sends the request of an operation, after so many challenges.
    pub(super) fn ask(&mut self, operation: Operation, now: Instant, challenges: u8) {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.transactions.push(Transaction {
                operation,
                serial: 0,
                is_free: true,
                text: Vec::with_capacity(1_500),
                link: 0,
                challenges: 0,
                sent: now,
                resend: now,
                interval: T1,
            });
            (self.transactions.len() - 1) as u32
        });
        self.serial = self.serial.wrapping_add(1);
        let serial = self.serial;
        let mut text = std::mem::take(&mut self.transactions[slot as usize].text);
        let link = self.write(operation, slot, serial, &mut text);
        self.send(link, &text);
        // What cannot get lost is not repeated.
        let is_reliable = self.network.transport() != Transport::Udp;
        let first = if is_reliable { self.patience * 2 } else { T1 };
        self.transactions[slot as usize] = Transaction {
            operation,
            serial,
            is_free: false,
            text,
            link,
            challenges,
            sent: now,
            resend: now + first,
            interval: first,
        };
    }

    /// Writes a request; the link that it leaves by.
    fn write(&mut self, operation: Operation, slot: u32, serial: u32, text: &mut Vec<u8>) -> usize {
        let server = self.server;
        let (from, to) = match operation {
            Operation::Register(user) | Operation::Publish(user) => (user, user),
            Operation::Subscribe(d) | Operation::Refresh(d) | Operation::Unsubscribe(d) => {
                self.size.ends(d)
            }
        };
        let link = from as usize % self.network.count();
        let local = self.network.local(link);
        let transport = self.network.transport().parameter();
        let start = Start {
            method: "",
            user: None,
            server,
            local,
            transport: self.network.transport(),
            slot,
            serial,
            from,
            from_tag: "g",
            to,
            to_tag: "",
            call: "",
            cseq: 1,
        };
        match operation {
            Operation::Register(user) => {
                let cseq = self.presentities[user as usize].registrations;
                let call = format!("r{user:08x}@{local}");
                let start = Start { method: "REGISTER", call: &call, cseq, ..start };
                message::begin(text, &start);
                self.authorize(text, from, "REGISTER");
                let contact = format!("<sip:u{user:06}@{local}{transport}>");
                write!(text, "Contact: {contact}\r\nExpires: {EXPIRES}\r\n")
                    .expect("memory takes it");
                message::end(text);
            }
            Operation::Publish(user) => {
                let presentity = &self.presentities[user as usize];
                let change = presentity.change;
                let call = format!("p{user:08x}{change:08x}@{local}");
                let cseq = presentity.publications;
                let user = Some(user);
                let start = Start { method: "PUBLISH", user, call: &call, cseq, ..start };
                message::begin(text, &start);
                self.authorize(text, from, "PUBLISH");
                let presentity = &self.presentities[from as usize];
                write!(text, "Event: presence\r\nExpires: {EXPIRES}\r\n").expect("memory takes it");
                if !presentity.entity_tag.is_empty() {
                    write!(text, "SIP-If-Match: {}\r\n", presentity.entity_tag)
                        .expect("memory takes it");
                }
                message::end_with_document(text, &mut self.document, from, change);
            }
            Operation::Subscribe(index)
            | Operation::Refresh(index)
            | Operation::Unsubscribe(index) => {
                let dialog = &self.dialogs[index as usize];
                let call = format!("d{index:08x}.{}@{local}", dialog.generation);
                let is_first = matches!(operation, Operation::Subscribe(_));
                let start = Start {
                    method: "SUBSCRIBE",
                    user: is_first.then_some(to),
                    from_tag: &format!("d{index:x}.{}", dialog.generation),
                    to_tag: &dialog.tag,
                    call: &call,
                    cseq: dialog.cseq,
                    ..start
                };
                message::begin(text, &start);
                let expires = match self.brief {
                    _ if dialog.is_last => 0,
                    Some(brief) if brief.includes(index) => brief.expires,
                    Some(_) | None => EXPIRES,
                };
                self.authorize(text, from, "SUBSCRIBE");
                write!(
                    text,
                    "Contact: <sip:d{index:08x}@{local}{transport}>\r\nEvent: presence\r\n\
                     Accept: application/pidf+xml\r\nExpires: {expires}\r\n"
                )
                .expect("memory takes it");
                message::end(text);
            }
        }
        link
    }

    fn authorize(&mut self, text: &mut Vec<u8>, from: u32, method: &str) {
        if let Some(accounts) = &mut self.accounts {
            accounts.authorize(text, from, method);
        }
    }

    pub(super) fn send(&mut self, link: usize, bytes: &[u8]) {
        self.statistics.datagrams += 1;
        if !self.network.send(link, bytes) {
            self.statistics.fail("not sent");
        }
    }
}
