//! The part of a composed document that a watcher may see (RFC 5025 §3.3).

use std::ops::Range;

use roxmltree::{Document, Node};

use super::permissions::{
    Attribute, Permissions, Selection, Selector, UserInputDetail, child_text, id_of,
};
use crate::document::fragment::{attribute_of, elements, is_known, text_of};
use crate::document::namespace::Known;

/// What `permissions` leave of a composed document. `None` when it is no document at all.
#[must_use]
pub fn filter(document: &[u8], permissions: &Permissions) -> Option<Vec<u8>> {
    let source = std::str::from_utf8(document).ok()?;
    let tree = Document::parse(source).ok()?;
    let root = tree.root_element();
    let mut view = View { source, permissions, out: String::with_capacity(source.len()) };
    view.out.push_str(source.get(..view.inside(root).start)?);
    for child in elements(root) {
        let name = child.tag_name().name();
        if is_known(child, Known::Pidf) && name == "tuple" {
            if view.shows(&permissions.services, child) {
                view.container(child);
            }
        } else if is_known(child, Known::DataModel) && name == "person" {
            if view.shows(&permissions.persons, child) {
                view.container(child);
            }
        } else if is_known(child, Known::DataModel) && name == "device" {
            if view.shows(&permissions.devices, child) {
                view.container(child);
            }
        } else if is_known(child, Known::Pidf) && name == "note" {
            if permissions.grants(Attribute::Note) {
                view.copy(child);
            }
        } else if permissions.all_attributes {
            view.copy(child);
        }
    }
    view.out.push_str(source.get(view.inside(root).end..)?);
    Some(view.out.into_bytes())
}

struct View<'a> {
    source: &'a str,
    permissions: &'a Permissions,
    out: String,
}

impl View<'_> {
    /// What stands between the tags of an element; empty at its end where it has only one tag.
    fn inside(&self, element: Node<'_, '_>) -> Range<usize> {
        match (element.first_child(), element.last_child()) {
            (Some(first), Some(last)) => first.range().start..last.range().end,
            _ => {
                let text = self.source.get(element.range()).unwrap_or_default();
                let at = match text.rfind("></") {
                    Some(at) => element.range().start + at + 1,
                    None => element.range().end,
                };
                at..at
            }
        }
    }

    fn copy(&mut self, node: Node<'_, '_>) {
        self.out.push_str(self.source.get(node.range()).unwrap_or_default());
    }

    fn container(&mut self, element: Node<'_, '_>) {
        let (whole, inside) = (element.range(), self.inside(element));
        self.out.push_str(self.source.get(whole.start..inside.start).unwrap_or_default());
        for child in elements(element) {
            self.attribute(child);
        }
        self.out.push_str(self.source.get(inside.end..whole.end).unwrap_or_default());
    }

    fn attribute(&mut self, child: Node<'_, '_>) {
        let name = child.tag_name().name();
        let in_tuple = child.parent().is_some_and(|parent| is_known(parent, Known::Pidf));
        let is_shown = if is_known(child, Known::Pidf) {
            match name {
                "contact" | "timestamp" => true,
                "status" => return self.status(child),
                "note" => self.permissions.grants(Attribute::Note),
                _ => self.permissions.all_attributes,
            }
        } else if is_known(child, Known::DataModel) {
            match name {
                "timestamp" => true,
                "deviceID" => !in_tuple || self.permissions.grants(Attribute::DeviceId),
                "note" => self.permissions.grants(Attribute::Note),
                _ => self.permissions.all_attributes,
            }
        } else if is_known(child, Known::Rpid) {
            match name {
                "service-class" => true,
                "user-input" => return self.user_input(child),
                _ => Attribute::of(name).map_or(self.permissions.all_attributes, |attribute| {
                    self.permissions.grants(attribute)
                }),
            }
        } else {
            self.is_unknown_shown(child)
        };
        if is_shown {
            self.copy(child);
        }
    }

    /// Basic is always shown; what else stands in a status is an attribute like any other.
    fn status(&mut self, status: Node<'_, '_>) {
        let (whole, inside) = (status.range(), self.inside(status));
        self.out.push_str(self.source.get(whole.start..inside.start).unwrap_or_default());
        for child in elements(status) {
            let is_basic = is_known(child, Known::Pidf) && child.tag_name().name() == "basic";
            if is_basic || self.is_unknown_shown(child) {
                self.copy(child);
            }
        }
        self.out.push_str(self.source.get(inside.end..whole.end).unwrap_or_default());
    }

    fn is_unknown_shown(&self, element: Node<'_, '_>) -> bool {
        let name = element.tag_name();
        self.permissions.all_attributes
            || self
                .permissions
                .unknown
                .iter()
                .any(|(ns, local)| name.namespace() == Some(ns.as_str()) && name.name() == local)
    }

    fn user_input(&mut self, element: Node<'_, '_>) {
        let detail = match self.permissions.user_input {
            _ if self.permissions.all_attributes => UserInputDetail::Full,
            detail => detail,
        };
        match detail {
            UserInputDetail::Hidden => {}
            UserInputDetail::Full => self.copy(element),
            UserInputDetail::Bare | UserInputDetail::Thresholds => {
                let text = self.source.get(element.range()).unwrap_or_default();
                let tag = text.trim_start_matches('<');
                let end = tag.find([' ', '>', '/', '\t', '\r', '\n']).unwrap_or(tag.len());
                let tag = tag.get(..end).unwrap_or_default();
                self.out.push('<');
                self.out.push_str(tag);
                if detail == UserInputDetail::Thresholds
                    && let Some(threshold) = attribute_of(element, "idle-threshold")
                {
                    crate::document::fragment::push_attribute(
                        &mut self.out,
                        "idle-threshold",
                        threshold,
                    );
                }
                self.out.push('>');
                self.out.push_str(text_of(element).unwrap_or_default().trim_ascii());
                self.out.push_str("</");
                self.out.push_str(tag);
                self.out.push('>');
            }
        }
    }

    fn shows(&self, selection: &Selection, element: Node<'_, '_>) -> bool {
        selection.all || selection.members.iter().any(|selector| names(selector, element))
    }
}

fn names(selector: &Selector, element: Node<'_, '_>) -> bool {
    let has = |name: &str, value: &str| child_text(element, name).as_deref() == Some(value);
    match selector {
        Selector::Class(class) => has("class", class),
        Selector::DeviceId(id) => has("deviceID", id),
        Selector::OccurrenceId(id) => id_of(element) == id,
        Selector::ServiceUri(uri) => child_text(element, "contact").is_some_and(|contact| {
            let same = || {
                let (one, other) = (sip::uri::parse(&contact).ok()?, sip::uri::parse(uri).ok()?);
                Some(sip::uri::equivalent(&one, &other))
            };
            contact == *uri || same().unwrap_or(false)
        }),
        Selector::ServiceUriScheme(scheme) => child_text(element, "contact")
            .and_then(|contact| contact.split_once(':').map(|(found, _)| found == scheme))
            .unwrap_or(false),
        Selector::ServiceId(id) => elements(element)
            .find(|child| child.tag_name().name() == "service-description")
            .and_then(|description| child_text(description, "service-id"))
            .is_some_and(|found| found == *id),
    }
}
