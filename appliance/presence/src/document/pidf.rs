//! A published presence document, checked and ready to be composed (RFC 3863 §4).
//!
//! The order of elements is not checked: many clients get it wrong, and what is composed has the
//! order of the schema in any case. `status` may be empty, which the schema allows.

mod tuple;

use std::sync::Arc;

use roxmltree::{Document, Node, ParsingOptions};

pub(crate) use self::tuple::read_timestamp;
pub use self::tuple::{Basic, Contact, Priority, Tuple};
use super::caps;
use super::data_model::{Device, Person};
use super::fragment::{Fragment, Renderer, attribute_of, elements, text_of};
use super::guard::{self, Limits};
use super::invalid_document::{Excerpt, InvalidDocument};
use super::namespace::{self, Known};

/// A presence document as one publisher sent it.
///
/// Two are equal when their publisher sent the same octets.
#[derive(Debug, Clone)]
pub struct PublishedDocument {
    source: Arc<[u8]>,
    entity: Box<str>,
    tuples: Vec<Tuple>,
    devices: Vec<Device>,
    persons: Vec<Person>,
    notes: Vec<Note>,
    extensions: Vec<Fragment>,
    is_understood: bool,
}

impl PartialEq for PublishedDocument {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Eq for PublishedDocument {}

impl PublishedDocument {
    /// Reads and checks the body of a publication.
    ///
    /// # Errors
    /// The first reason for which the document as a whole is refused.
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, InvalidDocument> {
        let source = guard::check(bytes, limits)?;
        let options = ParsingOptions { nodes_limit: limits.nodes, ..ParsingOptions::default() };
        let tree = Document::parse_with_options(source, options).map_err(malformed)?;
        let root = tree.root_element();
        if !root.has_tag_name((Known::Pidf.name(), "presence")) {
            let found = Excerpt::of(root.tag_name().name());
            return Err(InvalidDocument::NotPresence { found });
        }
        let entity = required_attribute(root, "presence", "entity")?;
        let mut document = Self {
            source: bytes.into(),
            entity: entity.into(),
            tuples: Vec::new(),
            devices: Vec::new(),
            persons: Vec::new(),
            notes: Vec::new(),
            extensions: Vec::new(),
            is_understood: true,
        };
        refuse_stray_text(root, "presence")?;
        let language = root.attribute((namespace::XML, "lang"));
        let mut renderer = Renderer::new(source, language, limits.bytes.saturating_mul(2));
        for child in elements(root) {
            document.add(child, language, &mut renderer)?;
            if renderer.is_exhausted() {
                return Err(InvalidDocument::TooLarge { limit: limits.bytes.saturating_mul(2) });
            }
        }
        // Documents are kept by the ten thousand.
        document.tuples.shrink_to_fit();
        document.devices.shrink_to_fit();
        document.persons.shrink_to_fit();
        document.notes.shrink_to_fit();
        document.extensions.shrink_to_fit();
        refuse_repeated_ids("tuple", document.tuples.iter().map(Tuple::id))?;
        refuse_repeated_ids("device", document.devices.iter().map(Device::id))?;
        refuse_repeated_ids("person", document.persons.iter().map(Person::id))?;
        Ok(document)
    }

    fn add<'a>(
        &mut self,
        child: Node<'_, 'a>,
        language: Option<&str>,
        renderer: &mut Renderer<'a>,
    ) -> Result<(), InvalidDocument> {
        let local = child.tag_name().name();
        match (Known::of(child.tag_name().namespace()), local) {
            (Some(Known::Pidf), "tuple") => self.tuples.push(Tuple::read(child, renderer)?),
            (Some(Known::Pidf), "note") => self.notes.push(Note::read(child, language, renderer)?),
            (Some(Known::DataModel), "device") => {
                self.devices.push(Device::read(child, renderer)?);
            }
            (Some(Known::DataModel), "person") => {
                self.persons.push(Person::read(child, language, renderer)?);
            }
            _ => {
                self.is_understood &= is_understood_extension(child, "presence")?;
                renderer.element(child);
                self.extensions.push(renderer.take());
            }
        }
        Ok(())
    }

    /// The octets that the publisher sent; parsing them again gives an equal document.
    #[must_use]
    pub const fn source(&self) -> &Arc<[u8]> {
        &self.source
    }

    /// Whose presence the publisher says this is: a URI, as it was written.
    #[must_use]
    pub fn entity(&self) -> &str {
        &self.entity
    }

    /// The services, in the order of the document.
    #[must_use]
    pub fn tuples(&self) -> &[Tuple] {
        &self.tuples
    }

    /// The devices, in the order of the document.
    #[must_use]
    pub fn devices(&self) -> &[Device] {
        &self.devices
    }

    /// The persons, in the order of the document; more than one is a conflict (RFC 4479 §3.1).
    #[must_use]
    pub fn persons(&self) -> &[Person] {
        &self.persons
    }

    /// The notes on the document as a whole.
    #[must_use]
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// Whether every extension of the whole document that must be understood is.
    ///
    /// A document that is not is composed like any other, for watchers that know more; only what
    /// is said of it here, as in a summary, leaves it out (RFC 3863 §4.2).
    #[must_use]
    pub const fn is_understood(&self) -> bool {
        self.is_understood
    }

    /// The rendered elements at the top that are neither tuple, note, device nor person.
    pub(crate) fn extensions(&self) -> &[Fragment] {
        &self.extensions
    }
}

/// A note and its language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    text: Box<str>,
    language: Option<Box<str>>,
    fragment: Fragment,
}

impl Note {
    /// Reads a `note` of PIDF or of the data model.
    pub(crate) fn read<'a>(
        element: Node<'_, 'a>,
        inherited: Option<&str>,
        renderer: &mut Renderer<'a>,
    ) -> Result<Self, InvalidDocument> {
        let text = text_of(element).ok_or(InvalidDocument::ElementInText { element: "note" })?;
        let known = Known::of(element.tag_name().namespace()).unwrap_or(Known::Pidf);
        renderer.simple(element, known, &text);
        let language = element.attribute((namespace::XML, "lang")).or(inherited);
        Ok(Self {
            text: text.trim_ascii().into(),
            language: language.map(Into::into),
            fragment: renderer.take(),
        })
    }

    /// What it says.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The language tag, if there is one.
    #[must_use]
    pub fn language(&self) -> Option<&str> {
        self.language.as_deref()
    }

    /// The rendered element.
    pub(crate) const fn fragment(&self) -> &Fragment {
        &self.fragment
    }
}

fn malformed(error: roxmltree::Error) -> InvalidDocument {
    match error {
        roxmltree::Error::NodesLimitReached => InvalidDocument::TooManyNodes,
        other => {
            let position = other.pos();
            InvalidDocument::Malformed { line: position.row, column: position.col }
        }
    }
}

/// The value of an attribute that must be there, without white space around it.
pub(crate) fn required_attribute<'a>(
    element: Node<'a, '_>,
    name: &'static str,
    attribute: &'static str,
) -> Result<&'a str, InvalidDocument> {
    let value = attribute_of(element, attribute).map(str::trim_ascii);
    let value = value.filter(|value| !value.is_empty());
    value.ok_or(InvalidDocument::MissingAttribute { element: name, attribute })
}

/// Refuses characters between the elements of `parent`.
pub(crate) fn refuse_stray_text(
    parent: Node<'_, '_>,
    name: &'static str,
) -> Result<(), InvalidDocument> {
    let is_stray = |node: Node<'_, '_>| {
        node.is_text() && node.text().is_some_and(|text| !text.trim_ascii().is_empty())
    };
    if parent.children().any(is_stray) {
        return Err(InvalidDocument::StrayText { parent: name });
    }
    Ok(())
}

/// Refuses an element of PIDF, or of no namespace, where only extensions may stand; says whether
/// the extension is one that is understood or need not be.
pub(crate) fn is_understood_extension(
    element: Node<'_, '_>,
    parent: &'static str,
) -> Result<bool, InvalidDocument> {
    let known = Known::of(element.tag_name().namespace());
    if known == Some(Known::Pidf) || element.tag_name().namespace().is_none_or(str::is_empty) {
        let element = Excerpt::of(element.tag_name().name());
        return Err(InvalidDocument::MisplacedElement { parent, element });
    }
    let Some(value) = element.attribute((Known::Pidf.name(), "mustUnderstand")) else {
        return Ok(true);
    };
    let must = caps::boolean(value)
        .ok_or_else(|| InvalidDocument::MustUnderstand { found: Excerpt::of(value) })?;
    Ok(known.is_some() || !must)
}

fn refuse_repeated_ids<'a>(
    element: &'static str,
    ids: impl Iterator<Item = &'a str>,
) -> Result<(), InvalidDocument> {
    let mut ids: Vec<&str> = ids.collect();
    ids.sort_unstable();
    let mut following = ids.iter().skip(1);
    match ids.iter().find(|id| following.next() == Some(id)) {
        Some(id) => Err(InvalidDocument::RepeatedId { element, id: Excerpt::of(id) }),
        None => Ok(()),
    }
}
