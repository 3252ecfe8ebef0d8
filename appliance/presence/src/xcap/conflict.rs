//! Why a document was not changed: the bodies of 409 (RFC 4825 §11).

use crate::document::fragment::push_attribute;

/// A conflict with what is there, or with what may be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Conflict {
    /// The body is no XML document.
    NotWellFormed(String),
    /// The body is not one XML element.
    NotXmlFragment,
    /// The body is no value of an attribute.
    NotAttributeValue,
    /// The body is not UTF-8.
    NotUtf8,
    /// The document or element to put it into is not there.
    NoParent,
    /// The document would not be one of its usage.
    SchemaValidation(String),
    /// What is put would not be what the selector selects.
    CannotInsert,
    /// The selector would select another node once this one is gone.
    CannotDelete,
    /// A value that must be unique is not: the field, as a selector.
    NotUnique(String),
    /// A rule of the usage beyond its schema is broken.
    Constraint(String),
}

impl Conflict {
    /// The document that says so.
    #[must_use]
    pub fn document(&self) -> String {
        let (element, phrase) = match self {
            Self::NotWellFormed(why) => ("not-well-formed", Some(why.as_str())),
            Self::NotXmlFragment => ("not-xml-frag", None),
            Self::NotAttributeValue => ("not-xml-att-value", None),
            Self::NotUtf8 => ("not-utf-8", None),
            Self::NoParent => ("no-parent", None),
            Self::SchemaValidation(why) => ("schema-validation-error", Some(why.as_str())),
            Self::CannotInsert => ("cannot-insert", None),
            Self::CannotDelete => ("cannot-delete", None),
            Self::NotUnique(_) => ("uniqueness-failure", None),
            Self::Constraint(why) => ("constraint-failure", Some(why.as_str())),
        };
        let mut document = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <xcap-error xmlns=\"urn:ietf:params:xml:ns:xcap-error\"><{element}"
        );
        if let Some(phrase) = phrase {
            push_attribute(&mut document, "phrase", phrase);
        }
        if let Self::NotUnique(field) = self {
            document.push_str("><exists");
            push_attribute(&mut document, "field", field);
            document.push_str("/></uniqueness-failure>");
        } else {
            document.push_str("/>");
        }
        document.push_str("</xcap-error>");
        document
    }
}
