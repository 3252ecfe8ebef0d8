//! Dialogs and subscriptions as the client sees them (RFC 3261 §12, RFC 6665 §4.1).

use std::time::Duration;

use super::client::{Client, PATIENCE, unique};
use super::message::{Message, param, uri_of};
use super::request::Request;

/// One side of a dialog.
#[derive(Debug, Clone)]
pub struct Dialog {
    /// Call-ID.
    pub call_id: String,
    /// Our From or To, with its tag.
    pub local: String,
    /// The other's.
    pub remote: String,
    /// Where requests go.
    pub target: String,
    /// Through which proxies.
    pub routes: Vec<String>,
    /// The number of our last request.
    pub cseq: u32,
}

impl Dialog {
    /// The dialog that an answer to our request makes.
    #[track_caller]
    pub fn from_answer(answer: &Message) -> Self {
        let mut routes = answer.all("Record-Route");
        routes.reverse();
        Self {
            call_id: answer.expect_header("Call-ID").to_owned(),
            local: answer.expect_header("From").to_owned(),
            remote: answer.expect_header("To").to_owned(),
            target: uri_of(answer.expect_header("Contact")).to_owned(),
            routes,
            cseq: answer.cseq().0,
        }
    }

    /// The dialog that our answer to a request, with this tag, makes.
    #[track_caller]
    pub fn from_request(request: &Message, tag: &str) -> Self {
        Self {
            call_id: request.expect_header("Call-ID").to_owned(),
            local: format!("{};tag={tag}", request.expect_header("To")),
            remote: request.expect_header("From").to_owned(),
            target: uri_of(request.expect_header("Contact")).to_owned(),
            routes: request.all("Record-Route"),
            cseq: 0,
        }
    }

    /// Our tag.
    pub fn local_tag(&self) -> &str {
        param(&self.local, "tag").unwrap_or_default()
    }

    /// The other's tag.
    pub fn remote_tag(&self) -> &str {
        param(&self.remote, "tag").unwrap_or_default()
    }

    /// The next request in the dialog; an ACK repeats the number of its INVITE.
    pub fn next(&mut self, method: &str) -> Request {
        if method != "ACK" {
            self.cseq += 1;
        }
        let mut request = Request::new(method, &self.target);
        for route in &self.routes {
            request = request.header("Route", route);
        }
        request
            .header("From", &self.local)
            .header("To", &self.remote)
            .header("Call-ID", &self.call_id)
            .header("CSeq", format!("{} {method}", self.cseq))
    }

    /// Whether a request from the other side belongs to the dialog.
    pub fn owns(&self, message: &Message) -> bool {
        message.header("Call-ID") == Some(&self.call_id)
            && message.to_tag() == Some(self.local_tag())
            && message.from_tag() == Some(self.remote_tag())
    }
}

/// A subscription of a client.
#[derive(Debug, Clone)]
pub struct Subscription {
    /// Its dialog.
    pub dialog: Dialog,
    /// The answer to the first SUBSCRIBE.
    pub answer: Message,
    /// The package.
    pub event: String,
}

impl Subscription {
    /// Waits for the next NOTIFY.
    #[track_caller]
    pub fn notify(&self, client: &Client) -> Message {
        client.expect("a NOTIFY of the subscription", |m| self.is_notify(m))
    }

    /// Waits for a NOTIFY that fits; earlier ones are let go.
    #[track_caller]
    pub fn notify_with(
        &self,
        client: &Client,
        what: &str,
        fits: impl Fn(&Message) -> bool,
    ) -> Message {
        self.notify_after(client, 0, what, fits)
    }

    /// The same when the event is to come only after so many seconds.
    #[track_caller]
    pub fn notify_after(
        &self,
        client: &Client,
        seconds: u64,
        what: &str,
        fits: impl Fn(&Message) -> bool,
    ) -> Message {
        let patience = PATIENCE + Duration::from_secs(seconds);
        let what = format!("a NOTIFY {what}");
        client.expect_latest(patience, &what, |m| self.is_notify(m), fits)
    }

    /// Whether this is a NOTIFY of the subscription.
    pub fn is_notify(&self, message: &Message) -> bool {
        message.method() == Some("NOTIFY") && self.dialog.owns(message)
    }

    /// A SUBSCRIBE in the dialog.
    #[track_caller]
    pub fn refresh(&mut self, client: &Client, expires: u32) -> Message {
        let request = self.next(expires);
        client.in_dialog(&mut self.dialog, request)
    }

    /// That SUBSCRIBE, not sent.
    pub fn next(&mut self, expires: u32) -> Request {
        self.dialog
            .next("SUBSCRIBE")
            .header("Event", &self.event)
            .header("Accept", "application/pidf+xml")
            .header("Expires", expires)
    }
}

impl Client {
    /// A request in a dialog, with credentials when challenged; keeps the dialog's CSeq in step.
    #[track_caller]
    pub fn in_dialog(&self, dialog: &mut Dialog, request: Request) -> Message {
        let answer = self.request(request);
        dialog.cseq = answer.cseq().0;
        answer
    }

    /// A REGISTER for the client's own address of record, without a Contact.
    pub fn registration(&self) -> Request {
        Request::new("REGISTER", &format!("sip:{}", self.domain))
    }

    /// Registers this client's contact.
    #[track_caller]
    pub fn register(&self) -> Message {
        let contact = format!("<{}>", self.contact());
        let request = self.registration().header("Contact", contact).header("Expires", 3600);
        self.request(request).expect_status(200)
    }

    /// Removes all contacts.
    #[track_caller]
    pub fn unregister(&self) -> Message {
        let request = self.registration().header("Contact", "*").header("Expires", 0);
        self.request(request).expect_status(200)
    }

    /// A PUBLISH of presence for the client's own address of record, without a body.
    pub fn publication(&self) -> Request {
        Request::new("PUBLISH", &self.aor()).header("Event", "presence").header("Expires", 3600)
    }

    /// Publishes a document; returns its entity-tag.
    #[track_caller]
    pub fn publish(&self, document: &str) -> String {
        let request = self.publication().body("application/pidf+xml", document);
        let answer = self.request(request).expect_status(200);
        answer.expect_header("SIP-ETag").to_owned()
    }

    /// Publishes a document in the place of what this client published before.
    #[track_caller]
    pub fn publish_again(&self, document: &str) {
        let mut request = self.publication().body("application/pidf+xml", document);
        if let Some(etag) = self.etag() {
            request = request.header("SIP-If-Match", etag);
        }
        let answer = self.request(request).expect_status(200);
        self.keep_etag(answer.expect_header("SIP-ETag"));
    }

    /// Replaces, refreshes (no document) or removes (no document, expires 0) a publication.
    #[track_caller]
    pub fn republish(&self, etag: &str, document: Option<&str>, expires: u32) -> Message {
        let mut request = self.publication().set("Expires", expires).header("SIP-If-Match", etag);
        if let Some(document) = document {
            request = request.body("application/pidf+xml", document);
        }
        self.request(request)
    }

    /// A SUBSCRIBE to somebody's presence.
    pub fn subscription(&self, aor: &str) -> Request {
        Request::new("SUBSCRIBE", aor)
            .header("Event", "presence")
            .header("Accept", "application/pidf+xml")
            .header("Expires", 3600)
    }

    /// Subscribes to somebody's presence.
    #[track_caller]
    pub fn subscribe(&self, aor: &str) -> Subscription {
        self.subscribe_with(self.subscription(aor))
    }

    /// Subscribes with a given request, which must succeed.
    #[track_caller]
    pub fn subscribe_with(&self, request: Request) -> Subscription {
        let event = request.value("Event").unwrap_or("presence").to_owned();
        let answer = self.request(request).expect_status(200);
        Subscription { dialog: Dialog::from_answer(&answer), answer, event }
    }

    /// Sends a text message; returns the final answer.
    #[track_caller]
    pub fn message(&self, aor: &str, text: &str) -> Message {
        self.request(Request::new("MESSAGE", aor).body("text/plain", text))
    }

    /// An INVITE with a session description.
    pub fn invitation(&self, aor: &str) -> Request {
        let from = format!("<{}>;tag={}", self.aor(), unique("t"));
        let sdp = offer(self.local.ip());
        Request::new("INVITE", aor).header("From", from).body("application/sdp", sdp)
    }
}

/// A session description that offers one audio stream.
pub fn offer(address: std::net::IpAddr) -> String {
    let family = if address.is_ipv4() { "IP4" } else { "IP6" };
    format!(
        "v=0\r\no=- 1 1 IN {family} {address}\r\ns=-\r\nc=IN {family} {address}\r\nt=0 0\r\n\
         m=audio 40000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
    )
}
