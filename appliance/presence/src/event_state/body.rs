//! What the NOTIFYs of these packages say; always the whole state.

use std::borrow::Cow;

use roxmltree::{Document, Node};
use sip::clock::Now;

use super::Package;
use crate::authorization::View;
use crate::document::fragment::{attribute_of, elements, push_attribute, push_text};
use crate::server::Server;
use crate::subscription::{Body, SubscriptionSlot};
use crate::user::User;

/// The namespace of dialog documents.
pub(super) const DIALOG_INFO: &str = "urn:ietf:params:xml:ns:dialog-info";

impl Server {
    /// The body of the next NOTIFY.
    pub(crate) fn state_body(
        &self,
        now: Now,
        id: SubscriptionSlot,
        package: Package,
    ) -> Option<Body> {
        let subscription = self.subscriptions.get(id.0 as usize)?;
        let version = subscription.cseq.saturating_sub(1);
        let user = self.users.get(subscription.presentity)?;
        let text = match package {
            Package::Dialog => dialogs(user, version, subscription.view == View::UNAVAILABLE),
            Package::MessageSummary => summary(user),
            Package::Reg => bindings(user, version, now),
        };
        let head = Cow::Borrowed(package.media_type());
        Some(Body { octets: text.into_bytes().into(), head, etag: None })
    }
}

/// By what a dialog is known whatever its publisher calls it.
pub(super) fn call_of(dialog: Node<'_, '_>) -> Option<String> {
    let call_id = attribute_of(dialog, "call-id")?;
    let tag = attribute_of(dialog, "local-tag").unwrap_or_default();
    Some(format!("{call_id} {tag}"))
}

/// All dialogs of all publications, the latest first; each call once, and an ended one as that.
fn dialogs(user: &User, version: u32, is_hidden: bool) -> String {
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<dialog-info");
    push_attribute(&mut text, "xmlns", DIALOG_INFO);
    push_attribute(&mut text, "version", &version.to_string());
    push_attribute(&mut text, "state", "full");
    push_attribute(&mut text, "entity", user.aor.as_str());
    text.push('>');
    let mut states: Vec<_> =
        user.event_states.iter().filter(|state| state.package == Package::Dialog).collect();
    states.sort_by_key(|state| std::cmp::Reverse((state.modified, state.number)));
    let (mut ids, mut calls) = (Vec::new(), Vec::new());
    for state in states.iter().filter(|_| !is_hidden) {
        let Ok(source) = std::str::from_utf8(&state.body) else { continue };
        let Ok(tree) = Document::parse(source) else { continue };
        for dialog in elements(tree.root_element()) {
            if !dialog.has_tag_name((DIALOG_INFO, "dialog")) {
                continue;
            }
            let call = call_of(dialog);
            let has_ended = elements(dialog)
                .find(|child| child.tag_name().name() == "state")
                .and_then(|state| state.text())
                .is_some_and(|state| state.trim() == "terminated");
            let is_over = call.as_ref().is_some_and(|call| user.ended_calls.contains(call));
            if (is_over && !has_ended) || call.as_ref().is_some_and(|call| calls.contains(call)) {
                continue;
            }
            let mut id = attribute_of(dialog, "id").unwrap_or_default().to_owned();
            while ids.contains(&id) {
                id.push('_');
            }
            push_dialog(&mut text, dialog, &id);
            ids.push(id);
            calls.extend(call);
        }
    }
    text.push_str("</dialog-info>");
    text
}

/// A dialog in the default namespace, whatever its publisher wrote it in.
fn push_dialog(out: &mut String, dialog: Node<'_, '_>, id: &str) {
    out.push_str("<dialog");
    push_attribute(out, "id", id);
    for attribute in dialog.attributes() {
        if attribute.namespace().is_none() && attribute.name() != "id" {
            push_attribute(out, attribute.name(), attribute.value());
        }
    }
    out.push('>');
    for child in elements(dialog) {
        push_element(out, child);
    }
    out.push_str("</dialog>");
}

fn push_element(out: &mut String, element: Node<'_, '_>) {
    if element.tag_name().namespace() != Some(DIALOG_INFO) {
        return;
    }
    let name = element.tag_name().name();
    out.push('<');
    out.push_str(name);
    for attribute in element.attributes().filter(|attribute| attribute.namespace().is_none()) {
        push_attribute(out, attribute.name(), attribute.value());
    }
    out.push('>');
    for child in element.children() {
        if child.is_element() {
            push_element(out, child);
        } else if let Some(characters) = child.text() {
            push_text(out, characters.trim());
        }
    }
    out.push_str("</");
    out.push_str(name);
    out.push('>');
}

/// The summary that was published last.
fn summary(user: &User) -> String {
    let latest = user
        .event_states
        .iter()
        .filter(|state| state.package == Package::MessageSummary)
        .max_by_key(|state| (state.modified, state.number));
    latest.map_or_else(
        || "Messages-Waiting: no\r\n".to_owned(),
        |state| String::from_utf8_lossy(&state.body).into_owned(),
    )
}

/// All bindings.
fn bindings(user: &User, version: u32, now: Now) -> String {
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<reginfo");
    push_attribute(&mut text, "xmlns", "urn:ietf:params:xml:ns:reginfo");
    push_attribute(&mut text, "version", &version.to_string());
    push_attribute(&mut text, "state", "full");
    text.push_str("><registration");
    push_attribute(&mut text, "aor", user.aor.as_str());
    push_attribute(&mut text, "id", "r");
    push_attribute(&mut text, "state", if user.bindings.is_empty() { "init" } else { "active" });
    text.push('>');
    for binding in &user.bindings {
        text.push_str("<contact");
        push_attribute(&mut text, "id", &contact_id(&binding.contact));
        push_attribute(&mut text, "state", "active");
        push_attribute(&mut text, "event", "registered");
        let left = binding.expires.since(now.monotonic).as_secs().to_string();
        push_attribute(&mut text, "expires", &left);
        push_attribute(&mut text, "q", &format!("{}.{:03}", binding.q / 1000, binding.q % 1000));
        text.push_str("><uri>");
        push_text(&mut text, &binding.contact);
        text.push_str("</uri></contact>");
    }
    text.push_str("</registration></reginfo>");
    text
}

/// The same for the same contact.
fn contact_id(contact: &str) -> String {
    let hash = contact.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("c{hash:016x}")
}
