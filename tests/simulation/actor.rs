//! User agents of the simulated world: publishers and watchers with their own timers.

use std::net::SocketAddr;

use crate::text::{answer, body, cseq, document, header, parameter, status};

/// What an actor wants: send this, or be woken at that time (milliseconds).
pub enum Wish {
    Send(String),
    Wake(u64),
}

struct Attempt {
    text: String,
    pause: u64,
    due: u64,
    ends: u64,
}

impl Attempt {
    fn new(now: u64, text: String, wishes: &mut Vec<Wish>) -> Self {
        wishes.push(Wish::Send(text.clone()));
        wishes.push(Wish::Wake(now + 500));
        Self { text, pause: 500, due: now + 500, ends: now + 32_000 }
    }

    /// Sends again what is due; false when it is time to give up.
    fn tick(&mut self, now: u64, wishes: &mut Vec<Wish>) -> bool {
        if now >= self.ends {
            return false;
        }
        if now >= self.due {
            self.pause = (self.pause * 2).min(4000);
            self.due = now + self.pause;
            wishes.push(Wish::Send(self.text.clone()));
            wishes.push(Wish::Wake(self.due));
        }
        true
    }
}

/// Publishes one state after another, each when the one before is acknowledged.
pub struct Publisher {
    pub user: String,
    pub address: SocketAddr,
    pub acknowledged: u32,
    to_publish: u32,
    entity_tag: Option<String>,
    cseq: u32,
    attempt: Option<Attempt>,
    next_at: u64,
    pause: u64,
}

impl Publisher {
    pub fn new(user: &str, address: SocketAddr, states: u32, pause: u64) -> Self {
        Self {
            user: user.to_owned(),
            address,
            acknowledged: 0,
            to_publish: states,
            entity_tag: None,
            cseq: 0,
            attempt: None,
            next_at: pause,
            pause,
        }
    }

    pub fn is_done(&self) -> bool {
        self.acknowledged == self.to_publish
    }

    pub fn tick(&mut self, now: u64) -> Vec<Wish> {
        let mut wishes = Vec::new();
        match &mut self.attempt {
            Some(attempt) => {
                if !attempt.tick(now, &mut wishes) {
                    self.send(now, &mut wishes);
                }
            }
            None if self.acknowledged == self.to_publish => {}
            None if now >= self.next_at => self.send(now, &mut wishes),
            None => wishes.push(Wish::Wake(self.next_at)),
        }
        wishes
    }

    fn send(&mut self, now: u64, wishes: &mut Vec<Wish>) {
        self.cseq += 1;
        let (user, address, number) = (&self.user, self.address, self.cseq);
        let body = document(user, self.acknowledged + 1);
        let condition = self
            .entity_tag
            .as_ref()
            .map_or(String::new(), |tag| format!("SIP-If-Match: {tag}\r\n"));
        let text = format!(
            "PUBLISH sip:{user}@example.test SIP/2.0\r\n\
             Via: SIP/2.0/UDP {address};branch=z9hG4bKp{user}x{number}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:{user}@example.test>;tag=p{number}\r\n\
             To: <sip:{user}@example.test>\r\nCall-ID: pub-{user}-{number}\r\n\
             CSeq: {number} PUBLISH\r\nEvent: presence\r\nExpires: 3600\r\n{condition}\
             Content-Type: application/pidf+xml\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.attempt = Some(Attempt::new(now, text, wishes));
    }

    pub fn receive(&mut self, now: u64, message: &str) -> Vec<Wish> {
        let mut wishes = Vec::new();
        let Some(status) = status(message) else { return wishes };
        if self.attempt.is_none() || cseq(message) != self.cseq {
            return wishes;
        }
        self.attempt = None;
        match status {
            200 => {
                self.entity_tag = header(message, "SIP-ETag").map(str::to_owned);
                assert!(self.entity_tag.is_some(), "every 200 to PUBLISH has an entity-tag");
                self.acknowledged += 1;
                self.next_at = now + self.pause;
                wishes.push(Wish::Wake(self.next_at));
            }
            412 => {
                self.entity_tag = None;
                self.send(now, &mut wishes);
            }
            other => panic!("PUBLISH of {} answered {other}", self.user),
        }
        wishes
    }
}

/// Watches one presentity and keeps its subscription fresh.
pub struct Watcher {
    pub presentity: String,
    pub address: SocketAddr,
    pub seen: Option<String>,
    pub is_subscribed: bool,
    pub is_silent: bool,
    id: u32,
    remote_tag: Option<String>,
    cseq: u32,
    notify_cseq: u32,
    attempt: Option<Attempt>,
    next_at: u64,
}

const REFRESH: u64 = 7_000;

impl Watcher {
    pub fn new(id: u32, presentity: &str, address: SocketAddr) -> Self {
        Self {
            presentity: presentity.to_owned(),
            address,
            seen: None,
            is_subscribed: false,
            is_silent: false,
            id,
            remote_tag: None,
            cseq: 0,
            notify_cseq: 0,
            attempt: None,
            next_at: u64::from(id) * 10,
        }
    }

    pub fn tick(&mut self, now: u64) -> Vec<Wish> {
        let mut wishes = Vec::new();
        if self.is_silent {
            return wishes;
        }
        match &mut self.attempt {
            Some(attempt) => {
                if !attempt.tick(now, &mut wishes) {
                    self.send(now, &mut wishes);
                }
            }
            None if now >= self.next_at => self.send(now, &mut wishes),
            None => wishes.push(Wish::Wake(self.next_at)),
        }
        wishes
    }

    fn send(&mut self, now: u64, wishes: &mut Vec<Wish>) {
        self.cseq += 1;
        let (id, address, number, presentity) =
            (self.id, self.address, self.cseq, &self.presentity);
        let (target, to_tag) = match &self.remote_tag {
            Some(tag) => ("sip:192.0.2.1:5060".to_owned(), format!(";tag={tag}")),
            None => (format!("sip:{presentity}@example.test"), String::new()),
        };
        let text = format!(
            "SUBSCRIBE {target} SIP/2.0\r\n\
             Via: SIP/2.0/UDP {address};branch=z9hG4bKw{id}x{number}\r\nMax-Forwards: 70\r\n\
             From: <sip:watcher@example.test>;tag=w{id}\r\n\
             To: <sip:{presentity}@example.test>{to_tag}\r\nCall-ID: sub-{id}\r\n\
             CSeq: {number} SUBSCRIBE\r\nContact: <sip:w{id}@{address}>\r\nEvent: presence\r\n\
             Expires: 3600\r\nAccept: application/pidf+xml\r\nContent-Length: 0\r\n\r\n"
        );
        self.attempt = Some(Attempt::new(now, text, wishes));
    }

    pub fn receive(&mut self, now: u64, message: &str) -> Vec<Wish> {
        let mut wishes = Vec::new();
        if self.is_silent {
            return wishes;
        }
        match status(message) {
            None => self.notified(message, &mut wishes),
            Some(code) if self.attempt.is_some() && cseq(message) == self.cseq => {
                assert_eq!(code, 200, "watcher {} of {}", self.id, self.presentity);
                self.attempt = None;
                self.is_subscribed = true;
                let to = header(message, "To").unwrap_or_default();
                let tag = parameter(to, "tag").map(str::to_owned);
                assert!(self.remote_tag.is_none() || self.remote_tag == tag, "the tag stays");
                self.remote_tag = tag;
                self.next_at = now + REFRESH;
                wishes.push(Wish::Wake(self.next_at));
            }
            Some(_) => {}
        }
        wishes
    }

    fn notified(&mut self, message: &str, wishes: &mut Vec<Wish>) {
        assert!(message.starts_with("NOTIFY "), "{message}");
        let number = cseq(message);
        if number < self.notify_cseq {
            // RFC 3261 §12.2.2: an older request that was overtaken.
            wishes.push(Wish::Send(answer(message, "500 Out Of Order")));
            return;
        }
        if number > self.notify_cseq {
            self.notify_cseq = number;
            let state = header(message, "Subscription-State").unwrap_or_default();
            assert!(state.starts_with("active;expires="), "unexpected end: {message}");
            self.seen = Some(body(message).to_owned());
        }
        wishes.push(Wish::Send(answer(message, "200 OK")));
    }
}
