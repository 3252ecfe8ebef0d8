//! Entity-tags of published state: SIP-ETag and SIP-If-Match (RFC 3903 §11.3).

use std::fmt;

use super::{HeaderError, is_blank, is_token};

/// An entity-tag.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntityTag(Box<str>);

impl EntityTag {
    /// Reads a value: one token.
    pub fn parse(text: &str) -> Result<Self, HeaderError> {
        let text = text.trim_matches(is_blank);
        if is_token(text) { Ok(Self(text.into())) } else { Err(HeaderError::Token) }
    }

    /// The tag as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EntityTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entity_tag_is_one_token() {
        assert_eq!(EntityTag::parse(" dx200xyz ").map(|t| t.to_string()), Ok("dx200xyz".into()));
        assert!(EntityTag::parse("").is_err());
        assert!(EntityTag::parse("a, b").is_err());
    }
}
