//! What of a presence document a watcher is shown (RFC 5025 §3.3).

use std::collections::BTreeSet;

use roxmltree::Node;

use super::namespace;
use super::ruleset::InvalidRules;
use crate::document::caps::boolean;
use crate::document::fragment::{attribute_of, elements, text_of};

/// A permission that is a set; the union of two is what either grants.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Selection {
    /// Everything.
    pub all: bool,
    /// What these name.
    pub members: BTreeSet<Selector>,
}

/// A way to name persons, devices or services.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Selector {
    /// By `class`.
    Class(String),
    /// A device by its id.
    DeviceId(String),
    /// By the id of the element.
    OccurrenceId(String),
    /// A service by its contact.
    ServiceUri(String),
    /// A service by the scheme of its contact.
    ServiceUriScheme(String),
    /// A service by OMA's service id.
    ServiceId(String),
}

/// The attributes that have a permission of their own, but for user input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attribute {
    /// `activities`.
    Activities,
    /// `class`.
    Class,
    /// The device that a service runs on.
    DeviceId,
    /// `mood`.
    Mood,
    /// `place-is`.
    PlaceIs,
    /// `place-type`.
    PlaceType,
    /// `privacy`.
    Privacy,
    /// `relationship`.
    Relationship,
    /// `sphere`.
    Sphere,
    /// `status-icon`.
    StatusIcon,
    /// `time-offset`.
    TimeOffset,
    /// `note`.
    Note,
}

impl Attribute {
    const ALL: [(Self, &'static str); 12] = [
        (Self::Activities, "activities"),
        (Self::Class, "class"),
        (Self::DeviceId, "deviceID"),
        (Self::Mood, "mood"),
        (Self::PlaceIs, "place-is"),
        (Self::PlaceType, "place-type"),
        (Self::Privacy, "privacy"),
        (Self::Relationship, "relationship"),
        (Self::Sphere, "sphere"),
        (Self::StatusIcon, "status-icon"),
        (Self::TimeOffset, "time-offset"),
        (Self::Note, "note"),
    ];

    /// The attribute of an RPID element's name.
    pub(super) fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(_, known)| *known == name).map(|(attribute, _)| attribute)
    }

    const fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// How much of `user-input` is shown (RFC 5025 §3.3.2.12).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum UserInputDetail {
    /// Nothing.
    #[default]
    Hidden,
    /// Whether there is any.
    Bare,
    /// With the threshold.
    Thresholds,
    /// Everything.
    Full,
}

/// What a watcher is shown; nothing by default.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Permissions {
    /// Which devices.
    pub devices: Selection,
    /// Which persons.
    pub persons: Selection,
    /// Which services.
    pub services: Selection,
    attributes: u16,
    /// How much of the user's input.
    pub user_input: UserInputDetail,
    /// Elements of other namespaces: namespace and name.
    pub unknown: BTreeSet<(String, String)>,
    /// Every attribute, known or not.
    pub all_attributes: bool,
}

impl Permissions {
    /// Everything.
    #[must_use]
    pub fn all() -> Self {
        let everything = || Selection { all: true, members: BTreeSet::new() };
        Self {
            devices: everything(),
            persons: everything(),
            services: everything(),
            all_attributes: true,
            ..Self::default()
        }
    }

    /// Whether nothing is kept back.
    #[must_use]
    pub const fn is_all(&self) -> bool {
        self.devices.all && self.persons.all && self.services.all && self.all_attributes
    }

    /// Whether an attribute is shown.
    #[must_use]
    pub const fn grants(&self, attribute: Attribute) -> bool {
        self.all_attributes || self.attributes & attribute.bit() != 0
    }

    /// Adds what another rule grants (RFC 4745 §10.2).
    pub(super) fn join(&mut self, other: &Self) {
        for (own, added) in [
            (&mut self.devices, &other.devices),
            (&mut self.persons, &other.persons),
            (&mut self.services, &other.services),
        ] {
            own.all |= added.all;
            own.members.extend(added.members.iter().cloned());
        }
        self.attributes |= other.attributes;
        self.user_input = self.user_input.max(other.user_input);
        self.unknown.extend(other.unknown.iter().cloned());
        self.all_attributes |= other.all_attributes;
    }

    /// Reads `transformations`. What is not known grants nothing.
    pub(super) fn read(element: Node<'_, '_>) -> Result<Self, InvalidRules> {
        let mut permissions = Self::default();
        for child in elements(element) {
            match child.tag_name().namespace() {
                Some(namespace::PRES_RULES) => permissions.add(child)?,
                Some(namespace::OMA_RULES) => permissions.add_oma(child)?,
                _ => {}
            }
        }
        Ok(permissions)
    }

    fn add(&mut self, element: Node<'_, '_>) -> Result<(), InvalidRules> {
        let name = element.tag_name().name();
        match name {
            "provide-devices" => read_selection(element, "all-devices", &mut self.devices)?,
            "provide-persons" => read_selection(element, "all-persons", &mut self.persons)?,
            "provide-services" => read_selection(element, "all-services", &mut self.services)?,
            "provide-all-attributes" => self.all_attributes = true,
            "provide-user-input" => {
                let detail = match trimmed(element).as_str() {
                    "false" => UserInputDetail::Hidden,
                    "bare" => UserInputDetail::Bare,
                    "thresholds" => UserInputDetail::Thresholds,
                    "full" => UserInputDetail::Full,
                    _ => {
                        let what = "provide-user-input is false, bare, thresholds or full";
                        return Err(InvalidRules::new(what));
                    }
                };
                self.user_input = self.user_input.max(detail);
            }
            "provide-unknown-attribute" => {
                let name = super::condition::required(element, "name")?;
                let ns = super::condition::required(element, "ns")?;
                if granted(element)? {
                    self.unknown.insert((ns.to_owned(), name.to_owned()));
                }
            }
            _ => {
                if let Some(attribute) = name.strip_prefix("provide-").and_then(Attribute::of)
                    && granted(element)?
                {
                    self.attributes |= attribute.bit();
                }
            }
        }
        Ok(())
    }

    fn add_oma(&mut self, element: Node<'_, '_>) -> Result<(), InvalidRules> {
        let Some(name) = element.tag_name().name().strip_prefix("provide-") else { return Ok(()) };
        let elements: &[(&str, &str)] = match name {
            "willingness" => &[
                (namespace::OMA_PIDF, "willingness"),
                (namespace::OMA_PIDF, "overriding-willingness"),
            ],
            "registration-state" => &[(namespace::OMA_PIDF, "registration-state")],
            "barring-state" => &[(namespace::OMA_PIDF, "barring-state")],
            "session-participation" => &[(namespace::OMA_PIDF, "session-participation")],
            "network-availability" => &[(namespace::OMA_PIDF, "network-availability")],
            "geopriv" => {
                if trimmed(element) == "full" {
                    self.unknown.insert((namespace::GEOPRIV.to_owned(), "geopriv".to_owned()));
                }
                return Ok(());
            }
            _ => return Ok(()),
        };
        if granted(element)? {
            let owned = |(ns, name): &(&str, &str)| ((*ns).to_owned(), (*name).to_owned());
            self.unknown.extend(elements.iter().map(owned));
        }
        Ok(())
    }
}

fn read_selection(
    element: Node<'_, '_>,
    everything: &str,
    into: &mut Selection,
) -> Result<(), InvalidRules> {
    for child in elements(element) {
        let name = child.tag_name().name();
        let value = trimmed(child);
        let selector = match name {
            _ if name == everything => {
                into.all = true;
                continue;
            }
            "class" => Selector::Class(value),
            "deviceID" => Selector::DeviceId(value),
            "occurrence-id" => Selector::OccurrenceId(value),
            "service-uri" => Selector::ServiceUri(value),
            "service-uri-scheme" => Selector::ServiceUriScheme(value),
            "service-id" => Selector::ServiceId(value),
            // Another specification's way to name one grants nothing here.
            _ => continue,
        };
        if matches!(&selector, Selector::Class(value) | Selector::OccurrenceId(value) if value.is_empty())
        {
            return Err(InvalidRules::new(format!("{name} is empty")));
        }
        into.members.insert(selector);
    }
    Ok(())
}

fn granted(element: Node<'_, '_>) -> Result<bool, InvalidRules> {
    let name = element.tag_name().name();
    boolean(&trimmed(element))
        .ok_or_else(|| InvalidRules::new(format!("{name} is neither true nor false")))
}

fn trimmed(element: Node<'_, '_>) -> String {
    text_of(element).map(|text| text.trim_ascii().to_owned()).unwrap_or_default()
}

/// The trimmed text of the child of this name, in any namespace.
pub(super) fn child_text(element: Node<'_, '_>, name: &str) -> Option<String> {
    elements(element).find(|child| child.tag_name().name() == name).map(trimmed)
}

/// The `id` of an element.
pub(super) fn id_of<'a>(element: Node<'a, '_>) -> &'a str {
    attribute_of(element, "id").unwrap_or_default()
}
