//! Devices and persons (RFC 4479 §3.1, §3.3 and §7).

use roxmltree::Node;
use sip::clock::WallTime;

use super::caps::Capabilities;
use super::fragment::{Fragment, Identified, Renderer, elements, is_known, text_of};
use super::invalid_document::{Excerpt, InvalidDocument};
use super::namespace::Known;
use super::pidf::{Note, read_timestamp, refuse_stray_text, required_attribute};
use super::rpid::{Activity, UserInput, read_activities};

/// A piece of equipment that services run on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    id: Box<str>,
    rendered: Identified,
    device_id: Box<str>,
    capabilities: Capabilities,
    user_input: Option<UserInput>,
}

impl Device {
    /// The id of the element that the publisher gave it.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The URN that names the device.
    #[must_use]
    pub fn device_id(&self) -> &str {
        &self.device_id
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

    /// The rendered element.
    pub(crate) const fn rendered(&self) -> &Identified {
        &self.rendered
    }

    /// Reads and renders a `device`.
    pub(crate) fn read<'a>(
        element: Node<'_, 'a>,
        renderer: &mut Renderer<'a>,
    ) -> Result<Self, InvalidDocument> {
        let id = required_attribute(element, "device", "id")?;
        refuse_stray_text(element, "device")?;
        let mut device_id = None;
        let mut capabilities = Capabilities::default();
        let mut user_input = None;
        renderer.attributes(element, Some("id"));
        renderer.markup(">");
        for child in elements(element) {
            match (Known::of(child.tag_name().namespace()), child.tag_name().name()) {
                (Some(Known::DataModel), "deviceID") => {
                    let text = text_of(child)
                        .ok_or(InvalidDocument::ElementInText { element: "deviceID" })?;
                    if device_id.replace(text.trim_ascii().into()).is_some() {
                        let id = Excerpt::of(id);
                        let (parent, element) = ("device", "deviceID");
                        return Err(InvalidDocument::RepeatedElement { parent, id, element });
                    }
                }
                (Some(Known::DataModel), "timestamp") => {
                    read_timestamp(child, Known::DataModel, renderer)?;
                    continue;
                }
                (Some(Known::Caps), "devcaps") => capabilities = Capabilities::read(child),
                (Some(Known::Rpid), "user-input") => user_input = UserInput::read(child),
                _ => {}
            }
            renderer.element(child);
        }
        let Some(device_id) = device_id else {
            let (parent, element) = ("device", "deviceID");
            return Err(InvalidDocument::MissingElement { parent, id: Excerpt::of(id), element });
        };
        renderer.need(Known::DataModel);
        renderer.markup("</dm:device>");
        let rendered = Identified::new(id, renderer.take());
        Ok(Self { id: id.into(), rendered, device_id, capabilities, user_input })
    }
}

/// The human being, as one publisher sees them.
///
/// Rendered in pieces, so that the notes of several persons can be put together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    id: Box<str>,
    /// The attributes and all elements but notes and timestamp.
    rendered: Identified,
    notes: Vec<Note>,
    rendered_timestamp: Option<Fragment>,
    activities: Vec<Activity>,
    user_input: Option<UserInput>,
    timestamp: Option<WallTime>,
    display_name: Option<Box<str>>,
    sphere: Option<Box<str>>,
}

impl Person {
    /// The id that the publisher gave it.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What the person does, in the order of the document.
    #[must_use]
    pub fn activities(&self) -> &[Activity] {
        &self.activities
    }

    /// Whether the person uses anything.
    #[must_use]
    pub const fn user_input(&self) -> Option<UserInput> {
        self.user_input
    }

    /// The notes on the person.
    #[must_use]
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// When this last changed, says the publisher.
    #[must_use]
    pub const fn timestamp(&self) -> Option<WallTime> {
        self.timestamp
    }

    /// The name to show (RFC 4482 §3.2).
    #[must_use]
    pub fn display_name(&self) -> Option<&str> {
        self.display_name.as_deref()
    }

    /// Where the person is in life, such as at work (RFC 4480 §3.10).
    #[must_use]
    pub fn sphere(&self) -> Option<&str> {
        self.sphere.as_deref()
    }

    /// The rendered element up to its notes, with neither notes, timestamp nor end tag.
    pub(crate) const fn rendered(&self) -> &Identified {
        &self.rendered
    }

    /// The rendered timestamp.
    pub(crate) const fn rendered_timestamp(&self) -> Option<&Fragment> {
        self.rendered_timestamp.as_ref()
    }

    /// Reads and renders a `person`.
    pub(crate) fn read<'a>(
        element: Node<'_, 'a>,
        language: Option<&str>,
        renderer: &mut Renderer<'a>,
    ) -> Result<Self, InvalidDocument> {
        let id = required_attribute(element, "person", "id")?;
        refuse_stray_text(element, "person")?;
        let mut person = Self {
            id: id.into(),
            rendered: Identified::default(),
            notes: Vec::new(),
            rendered_timestamp: None,
            activities: Vec::new(),
            user_input: None,
            timestamp: None,
            display_name: None,
            sphere: None,
        };
        renderer.attributes(element, Some("id"));
        renderer.markup(">");
        renderer.need(Known::DataModel);
        let is_tail = |child: &Node<'_, '_>| {
            is_known(*child, Known::DataModel)
                && matches!(child.tag_name().name(), "note" | "timestamp")
        };
        for child in elements(element).filter(|child| !is_tail(child)) {
            match (Known::of(child.tag_name().namespace()), child.tag_name().name()) {
                (Some(Known::Rpid), "activities") => {
                    read_activities(child, &mut person.activities);
                }
                (Some(Known::Rpid), "user-input") => person.user_input = UserInput::read(child),
                (Some(Known::Rpid), "sphere") => person.sphere = read_sphere(child),
                (Some(Known::Cipid), "display-name") => {
                    person.display_name = text_of(child).map(|text| text.trim_ascii().into());
                }
                _ => {}
            }
            renderer.element(child);
        }
        person.rendered = Identified::new(id, renderer.take());
        for child in elements(element).filter(is_tail) {
            if child.tag_name().name() == "note" {
                person.notes.push(Note::read(child, language, renderer)?);
                continue;
            }
            person.timestamp = Some(read_timestamp(child, Known::DataModel, renderer)?);
            if person.rendered_timestamp.replace(renderer.take()).is_some() {
                let (parent, element) = ("person", "timestamp");
                let id = Excerpt::of(id);
                return Err(InvalidDocument::RepeatedElement { parent, id, element });
            }
        }
        person.notes.shrink_to_fit();
        person.activities.shrink_to_fit();
        Ok(person)
    }
}

/// The name of the element inside a `sphere`, or its text.
fn read_sphere(element: Node<'_, '_>) -> Option<Box<str>> {
    let child = elements(element).find(|child| child.tag_name().name() != "note");
    let value = match child {
        Some(child) if child.tag_name().name() != "other" => child.tag_name().name().to_owned(),
        Some(other) => text_of(other)?.trim_ascii().to_owned(),
        None => text_of(element)?.trim_ascii().to_owned(),
    };
    if value.is_empty() { None } else { Some(value.into()) }
}
