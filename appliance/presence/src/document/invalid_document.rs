//! Why a presence document is refused (RFC 3863 §4.1 and §4.4, RFC 4479 §7).

use std::fmt;

use super::guard;

/// Why a published body is refused; the text of it fits a SIP reason phrase or warning text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDocument {
    /// Refused before parsing.
    #[error(transparent)]
    Refused(#[from] guard::Refused),
    /// Not well-formed, or namespaces used wrongly.
    #[error("not well-formed XML at line {line}, column {column}")]
    Malformed {
        /// The line of the first error, from 1.
        line: u32,
        /// The column of the first error, from 1.
        column: u32,
    },
    /// More nodes than allowed.
    #[error("the document has too many elements")]
    TooManyNodes,
    /// Few octets that become many when each element declares the namespaces that it uses.
    #[error("the document is larger than {limit} octets when its elements stand alone")]
    TooLarge {
        /// The limit passed.
        limit: usize,
    },
    /// The root element is not a PIDF `presence`.
    #[error("the root element is not presence of urn:ietf:params:xml:ns:pidf but {found}")]
    NotPresence {
        /// The local name of the root element.
        found: Excerpt,
    },
    /// An attribute that the schema requires is absent or empty.
    #[error("{element} lacks its {attribute} attribute")]
    MissingAttribute {
        /// The element.
        element: &'static str,
        /// The attribute.
        attribute: &'static str,
    },
    /// An element that the schema requires is absent.
    #[error("{parent} {id} lacks {element}")]
    MissingElement {
        /// The element around it.
        parent: &'static str,
        /// The id of that element.
        id: Excerpt,
        /// The element that is absent.
        element: &'static str,
    },
    /// An element that may occur once occurs again.
    #[error("{parent} {id} has more than one {element}")]
    RepeatedElement {
        /// The element around it.
        parent: &'static str,
        /// The id of that element.
        id: Excerpt,
        /// The element that is repeated.
        element: &'static str,
    },
    /// An element of PIDF, or of no namespace, where none may stand.
    #[error("{element} may not stand in {parent}")]
    MisplacedElement {
        /// The element around it.
        parent: &'static str,
        /// The local name of the element.
        element: Excerpt,
    },
    /// Characters between elements.
    #[error("{parent} holds characters outside its elements")]
    StrayText {
        /// The element around them.
        parent: &'static str,
    },
    /// Elements inside an element that holds only characters.
    #[error("{element} holds elements")]
    ElementInText {
        /// The element around them.
        element: &'static str,
    },
    /// Two tuples, two devices or two persons have the same id.
    #[error("two {element} elements have the id {id}")]
    RepeatedId {
        /// The element.
        element: &'static str,
        /// The id.
        id: Excerpt,
    },
    /// A basic status other than open and closed.
    #[error("basic is {found}, neither open nor closed")]
    Basic {
        /// What stands there.
        found: Excerpt,
    },
    /// A contact priority that is not a number from 0 to 1 with at most three decimals.
    #[error("contact priority {found} is not from 0 to 1 with at most three decimals")]
    Priority {
        /// What stands there.
        found: Excerpt,
    },
    /// A timestamp that is not a date and time with a zone.
    #[error("timestamp {found} is not a date and time with a zone")]
    Timestamp {
        /// What stands there.
        found: Excerpt,
    },
    /// A `mustUnderstand` that is not a boolean.
    #[error("mustUnderstand is {found}, not a boolean")]
    MustUnderstand {
        /// What stands there.
        found: Excerpt,
    },
}

/// A piece of what the publisher sent: short, on one line and without quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt(Box<str>);

impl Excerpt {
    const LONGEST: usize = 40;

    /// Takes the beginning of `text`.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let text = text.trim_ascii();
        let mut kept: String =
            text.chars()
                .take(Self::LONGEST)
                .map(|c| {
                    if (c.is_ascii_graphic() && !"\"\\<>".contains(c)) || c == ' ' {
                        c
                    } else {
                        '?'
                    }
                })
                .collect();
        if text.chars().nth(Self::LONGEST).is_some() {
            kept.push_str("...");
        }
        if kept.is_empty() {
            kept.push_str("empty");
        }
        Self(kept.into())
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_cannot_break_a_header() {
        let text = Excerpt::of("a\"b\\c\r\nVia: x\u{e9}<").to_string();
        assert_eq!(text, "a?b?c??Via: x??");
        assert_eq!(Excerpt::of(&"x".repeat(50)).to_string(), format!("{}...", "x".repeat(40)));
        assert_eq!(Excerpt::of("  ").to_string(), "empty");
    }
}
