//! An XCAP client (RFC 4825): one user's tree on a node.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::http::{self, Answer};
use crate::node::Node;
use crate::wire::Client;

/// The media type of rules.
pub const RULES: &str = "application/auth-policy+xml";
/// The media type of lists.
pub const LISTS: &str = "application/resource-lists+xml";
/// The media type of services.
pub const SERVICES: &str = "application/rls-services+xml";
/// The media type of a single element.
pub const ELEMENT: &str = "application/xcap-el+xml";

/// A user's way to its documents.
#[derive(Debug)]
pub struct Tree<'a> {
    node: &'a Node,
    aor: String,
    authorization: String,
}

impl<'a> Tree<'a> {
    /// The tree of this user.
    pub fn of(node: &'a Node, user: &Client) -> Self {
        Self { node, aor: user.aor(), authorization: basic(user) }
    }

    /// Sends a request about a document of the user, or a part of it: `pres-rules`, `index/~~/…`.
    #[track_caller]
    pub fn send(
        &self,
        method: &str,
        auid: &str,
        rest: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let path = format!("/xcap/{auid}/users/{}/{rest}", self.aor);
        self.send_to(method, &path, headers, body)
    }

    /// Sends a request about anything.
    #[track_caller]
    pub fn send_to(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let mut all = vec![("Authorization", self.authorization.as_str())];
        all.extend_from_slice(headers);
        http::send(self.node.ready.address("http"), method, path, &all, body)
    }

    /// Puts a whole document, which must be taken.
    #[track_caller]
    pub fn put(&self, auid: &str, media_type: &str, document: &str) {
        let answer = self.send("PUT", auid, "index", &[("Content-Type", media_type)], document);
        assert!(matches!(answer.status, 200 | 201), "{answer:?}");
    }

    /// Puts rules (RFC 5025); the root element is put around them.
    #[track_caller]
    pub fn put_rules(&self, rules: &str) {
        self.put("pres-rules", RULES, &ruleset(rules));
    }
}

/// The credentials of a user for HTTP (RFC 7617).
pub fn basic(user: &Client) -> String {
    format!("Basic {}", STANDARD.encode(format!("{}:{}", user.user, user.password)))
}

/// A document of rules.
pub fn ruleset(rules: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <ruleset xmlns=\"urn:ietf:params:xml:ns:common-policy\" \
         xmlns:pr=\"urn:ietf:params:xml:ns:pres-rules\">{rules}</ruleset>"
    )
}

/// One rule for one watcher.
pub fn rule(id: &str, watcher: &str, handling: &str, transformations: &str) -> String {
    format!(
        "<rule id=\"{id}\"><conditions><identity><one id=\"{watcher}\"/></identity></conditions>\
         <actions><pr:sub-handling>{handling}</pr:sub-handling></actions>\
         <transformations>{transformations}</transformations></rule>"
    )
}

/// Transformations that show everything.
pub const EVERYTHING: &str = "<pr:provide-services><pr:all-services/></pr:provide-services>\
     <pr:provide-persons><pr:all-persons/></pr:provide-persons>\
     <pr:provide-devices><pr:all-devices/></pr:provide-devices><pr:provide-all-attributes/>";
