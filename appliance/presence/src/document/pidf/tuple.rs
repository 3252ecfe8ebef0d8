//! A service by which the presentity can be reached (RFC 3863 §4.1.2 to §4.1.7).

use roxmltree::Node;
use sip::clock::WallTime;

use super::super::caps::Capabilities;
use super::super::fragment::{Identified, Renderer, attribute_of, elements, text_of};
use super::super::invalid_document::{Excerpt, InvalidDocument};
use super::super::namespace::Known;
use super::super::rpid::UserInput;
use super::super::timestamp;
use super::{is_understood_extension, refuse_stray_text, required_attribute};

/// Whether a service accepts communication.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Basic {
    /// It does.
    Open,
    /// It does not.
    Closed,
}

/// How much one contact is preferred to others, from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Priority(u16);

impl Priority {
    /// In thousandths, from 0 to 1,000.
    #[must_use]
    pub const fn thousandths(self) -> u16 {
        self.0
    }

    /// Reads `0`, `0.75`, `1.000` and the like; at most three decimals.
    fn parse(text: &str) -> Option<Self> {
        let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
        if decimals.len() > 3 || !decimals.bytes().all(|octet| octet.is_ascii_digit()) {
            return None;
        }
        let decimals = decimals.bytes().chain(std::iter::repeat(b'0')).take(3);
        let fraction = decimals.fold(0, |value, digit| value * 10 + u16::from(digit - b'0'));
        match whole {
            "0" => Some(Self(fraction)),
            "1" if fraction == 0 => Some(Self(1_000)),
            _ => None,
        }
    }
}

/// Where a service is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contact {
    /// The URI as it was written; it may be empty or lack a scheme.
    pub uri: Box<str>,
    /// The lowest there is when absent.
    pub priority: Option<Priority>,
}

/// One service and what is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tuple {
    id: Box<str>,
    rendered: Identified,
    basic: Option<Basic>,
    contact: Option<Contact>,
    device_id: Option<Box<str>>,
    timestamp: Option<WallTime>,
    capabilities: Capabilities,
    user_input: Option<UserInput>,
    note: Option<Box<str>>,
    is_understood: bool,
}

impl Tuple {
    /// The id that the publisher gave it.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whether it is open; a publisher need not say.
    #[must_use]
    pub const fn basic(&self) -> Option<Basic> {
        self.basic
    }

    /// Where it is reached.
    #[must_use]
    pub const fn contact(&self) -> Option<&Contact> {
        self.contact.as_ref()
    }

    /// The device that it runs on (RFC 4479 §3.3).
    #[must_use]
    pub fn device_id(&self) -> Option<&str> {
        self.device_id.as_deref()
    }

    /// When its status last changed, says the publisher.
    #[must_use]
    pub const fn timestamp(&self) -> Option<WallTime> {
        self.timestamp
    }

    /// What it can carry.
    #[must_use]
    pub const fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    /// Whether it is in use.
    #[must_use]
    pub const fn user_input(&self) -> Option<UserInput> {
        self.user_input
    }

    /// Its first note.
    #[must_use]
    pub fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    /// Whether every extension in it that must be understood is.
    #[must_use]
    pub const fn is_understood(&self) -> bool {
        self.is_understood
    }

    /// The rendered element.
    pub(crate) const fn rendered(&self) -> &Identified {
        &self.rendered
    }

    /// Reads and renders a `tuple`.
    pub(crate) fn read<'a>(
        element: Node<'_, 'a>,
        renderer: &mut Renderer<'a>,
    ) -> Result<Self, InvalidDocument> {
        let id = required_attribute(element, "tuple", "id")?;
        refuse_stray_text(element, "tuple")?;
        let parts = Parts::sort(element, id)?;
        let mut tuple = Self {
            id: id.into(),
            rendered: Identified::default(),
            basic: None,
            contact: None,
            device_id: None,
            timestamp: None,
            capabilities: Capabilities::default(),
            user_input: None,
            note: None,
            is_understood: true,
        };
        renderer.attributes(element, Some("id"));
        renderer.markup(">");
        tuple.read_status(parts.status, renderer)?;
        for extension in parts.extensions {
            tuple.read_extension(extension, "tuple")?;
            renderer.element(extension);
        }
        if let Some(contact) = parts.contact {
            tuple.contact = Some(read_contact(contact, renderer)?);
        }
        for note in parts.notes {
            let text = text_of(note).ok_or(InvalidDocument::ElementInText { element: "note" })?;
            renderer.simple(note, Known::Pidf, &text);
            if tuple.note.is_none() {
                tuple.note = Some(text.trim_ascii().into());
            }
        }
        if let Some(element) = parts.timestamp {
            tuple.timestamp = Some(read_timestamp(element, Known::Pidf, renderer)?);
        }
        renderer.markup("</tuple>");
        tuple.rendered = Identified::new(id, renderer.take());
        Ok(tuple)
    }

    fn read_status<'a>(
        &mut self,
        status: Node<'_, 'a>,
        renderer: &mut Renderer<'a>,
    ) -> Result<(), InvalidDocument> {
        refuse_stray_text(status, "status")?;
        let is_basic = |child: &Node<'_, '_>| child.has_tag_name((Known::Pidf.name(), "basic"));
        let mut basics = elements(status).filter(is_basic);
        let basic = basics.next();
        if basics.next().is_some() {
            return Err(repeated(&self.id, "basic"));
        }
        renderer.start(status, Known::Pidf);
        if elements(status).next().is_none() {
            renderer.markup("/>");
            return Ok(());
        }
        renderer.markup(">");
        if let Some(element) = basic {
            let text =
                text_of(element).ok_or(InvalidDocument::ElementInText { element: "basic" })?;
            let text = text.trim_ascii();
            self.basic = match text {
                "open" => Some(Basic::Open),
                "closed" => Some(Basic::Closed),
                found => return Err(InvalidDocument::Basic { found: Excerpt::of(found) }),
            };
            renderer.simple(element, Known::Pidf, text);
        }
        for extension in elements(status).filter(|child| !is_basic(child)) {
            self.read_extension(extension, "status")?;
            renderer.element(extension);
        }
        renderer.end(status, Known::Pidf);
        Ok(())
    }

    fn read_extension(
        &mut self,
        extension: Node<'_, '_>,
        parent: &'static str,
    ) -> Result<(), InvalidDocument> {
        self.is_understood &= is_understood_extension(extension, parent)?;
        let known = Known::of(extension.tag_name().namespace());
        match (known, extension.tag_name().name()) {
            (Some(Known::DataModel), "deviceID") => {
                let text = text_of(extension)
                    .ok_or(InvalidDocument::ElementInText { element: "deviceID" })?;
                self.device_id = Some(text.trim_ascii().into());
            }
            (Some(Known::Caps), "servcaps") => self.capabilities = Capabilities::read(extension),
            (Some(Known::Rpid), "user-input") => self.user_input = UserInput::read(extension),
            _ => {}
        }
        Ok(())
    }
}

/// The children of a tuple in the order of the schema.
struct Parts<'n, 'a> {
    status: Node<'n, 'a>,
    extensions: Vec<Node<'n, 'a>>,
    contact: Option<Node<'n, 'a>>,
    notes: Vec<Node<'n, 'a>>,
    timestamp: Option<Node<'n, 'a>>,
}

impl<'n, 'a: 'n> Parts<'n, 'a> {
    fn sort(tuple: Node<'n, 'a>, id: &str) -> Result<Self, InvalidDocument> {
        let (mut status, mut contact, mut timestamp) = (None, None, None);
        let (mut extensions, mut notes) = (Vec::new(), Vec::new());
        for child in elements(tuple) {
            let known = Known::of(child.tag_name().namespace());
            let (slot, name) = match (known, child.tag_name().name()) {
                (Some(Known::Pidf), "status") => (&mut status, "status"),
                (Some(Known::Pidf), "contact") => (&mut contact, "contact"),
                (Some(Known::Pidf), "timestamp") => (&mut timestamp, "timestamp"),
                (Some(Known::Pidf), "note") => {
                    notes.push(child);
                    continue;
                }
                _ => {
                    extensions.push(child);
                    continue;
                }
            };
            if slot.replace(child).is_some() {
                return Err(repeated(id, name));
            }
        }
        let Some(status) = status else {
            let id = Excerpt::of(id);
            return Err(InvalidDocument::MissingElement { parent: "tuple", id, element: "status" });
        };
        Ok(Self { status, extensions, contact, notes, timestamp })
    }
}

fn repeated(id: &str, element: &'static str) -> InvalidDocument {
    InvalidDocument::RepeatedElement { parent: "tuple", id: Excerpt::of(id), element }
}

fn read_contact<'a>(
    element: Node<'_, 'a>,
    renderer: &mut Renderer<'a>,
) -> Result<Contact, InvalidDocument> {
    let text = text_of(element).ok_or(InvalidDocument::ElementInText { element: "contact" })?;
    let uri = text.trim_ascii();
    let priority = match attribute_of(element, "priority") {
        Some(value) => Some(
            Priority::parse(value.trim_ascii())
                .ok_or_else(|| InvalidDocument::Priority { found: Excerpt::of(value) })?,
        ),
        None => None,
    };
    renderer.simple(element, Known::Pidf, uri);
    Ok(Contact { uri: uri.into(), priority })
}

/// Reads and renders a `timestamp` of PIDF or of the data model.
pub(crate) fn read_timestamp<'a>(
    element: Node<'_, 'a>,
    known: Known,
    renderer: &mut Renderer<'a>,
) -> Result<WallTime, InvalidDocument> {
    let text = text_of(element).ok_or(InvalidDocument::ElementInText { element: "timestamp" })?;
    let text = text.trim_ascii();
    let time = timestamp::parse(text)
        .ok_or_else(|| InvalidDocument::Timestamp { found: Excerpt::of(text) })?;
    // The schema knows the letters of a date in upper case only.
    renderer.simple(element, known, &text.to_ascii_uppercase());
    Ok(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn priorities_are_thousandths() {
        let read = |text| Priority::parse(text).map(Priority::thousandths);
        assert_eq!(read("0"), Some(0));
        assert_eq!(read("0."), Some(0));
        assert_eq!(read("0.8"), Some(800));
        assert_eq!(read("0.075"), Some(75));
        assert_eq!(read("1.000"), Some(1_000));
        for text in ["", ".5", "1.001", "0.1234", "-0.5", "2", "0,5", "1e0", "00.5", "0.5 "] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
