//! Content-Type and Accept: media types (RFC 3261 §20.1, §20.15).

use std::fmt;

use super::name_addr::parse_q;
use super::params::Params;
use super::{HeaderError, is_blank, is_token, split_list};

/// A media type, or a range of them where a star stands for any.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MediaType {
    /// The type as written; compares without case.
    pub kind: String,
    /// The subtype as written; compares without case.
    pub subtype: String,
    /// The parameters.
    pub params: Params,
}

impl MediaType {
    /// Reads a value.
    pub fn parse(text: &str) -> Result<Self, HeaderError> {
        let (name, params) = match text.find(';').and_then(|at| text.split_at_checked(at)) {
            Some(parts) => parts,
            None => (text, ""),
        };
        let (kind, subtype) = name.split_once('/').ok_or(HeaderError::Token)?;
        let (kind, subtype) = (kind.trim_matches(is_blank), subtype.trim_matches(is_blank));
        if !is_token(kind) || !is_token(subtype) {
            return Err(HeaderError::Token);
        }
        Ok(Self {
            kind: kind.to_owned(),
            subtype: subtype.to_owned(),
            params: Params::parse(params)?,
        })
    }

    /// Whether it is this type; parameters do not matter.
    #[must_use]
    pub fn is(&self, kind: &str, subtype: &str) -> bool {
        self.kind.eq_ignore_ascii_case(kind) && self.subtype.eq_ignore_ascii_case(subtype)
    }

    /// Whether, read as a range, it covers this type.
    #[must_use]
    pub fn covers(&self, kind: &str, subtype: &str) -> bool {
        match (&*self.kind, &*self.subtype) {
            ("*", "*") => true,
            (own, "*") => own.eq_ignore_ascii_case(kind),
            _ => self.is(kind, subtype),
        }
    }

    /// How exactly a range names its types.
    fn exactness(&self) -> u8 {
        u8::from(self.kind != "*") + u8::from(self.subtype != "*")
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}{}", self.kind, self.subtype, self.params)
    }
}

/// What the Accept headers of a message say together.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Accept(Option<Vec<MediaType>>);

impl Accept {
    /// Reads one header.
    pub fn parse(text: &str) -> Result<Self, HeaderError> {
        Self::from_values(std::iter::once(text))
    }

    /// Reads the Accept headers of a message. No header is the method's or package's default; an
    /// empty one takes nothing.
    pub fn from_values<'a>(values: impl IntoIterator<Item = &'a str>) -> Result<Self, HeaderError> {
        let mut ranges = None;
        for value in values {
            let ranges = ranges.get_or_insert_with(Vec::new);
            for range in split_list(value).filter(|range| !range.is_empty()) {
                ranges.push(MediaType::parse(range)?);
            }
        }
        Ok(Self(ranges))
    }

    /// Whether there was no such header.
    #[must_use]
    pub const fn is_absent(&self) -> bool {
        self.0.is_none()
    }

    /// Whether the type is taken: the most exact range decides, and `q=0` refuses. Without the
    /// header everything passes, since the default type is what would be sent.
    #[must_use]
    pub fn accepts(&self, kind: &str, subtype: &str) -> bool {
        let Some(ranges) = &self.0 else { return true };
        let best = ranges.iter().filter(|r| r.covers(kind, subtype)).max_by_key(|r| r.exactness());
        best.is_some_and(|range| {
            range.params.get("q").flatten().and_then(parse_q).is_none_or(|q| q > 0)
        })
    }

    /// Whether the type is named or covered by a range; never by the header's absence.
    #[must_use]
    pub fn names(&self, kind: &str, subtype: &str) -> bool {
        !self.is_absent() && self.accepts(kind, subtype)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_cover() {
        let accept =
            Accept::from_values(["application/pidf+xml;q=0.5, text/*", "image/png;q=0"]).unwrap();
        assert!(accept.accepts("Application", "PIDF+xml"));
        assert!(accept.accepts("text", "plain"));
        assert!(!accept.accepts("image", "png"));
        assert!(!accept.accepts("application", "sdp"));
    }

    #[test]
    fn the_most_exact_range_decides() {
        let accept = Accept::parse("*/*, text/plain;q=0.0").unwrap();
        assert!(accept.accepts("application", "pidf+xml"));
        assert!(!accept.accepts("text", "plain"));
    }

    #[test]
    fn absent_is_not_empty() {
        assert!(Accept::from_values([]).unwrap().accepts("application", "pidf+xml"));
        assert!(!Accept::from_values([]).unwrap().names("application", "rlmi+xml"));
        assert!(!Accept::parse("").unwrap().accepts("application", "pidf+xml"));
    }

    #[test]
    fn content_types_keep_their_parameters() {
        let value = "multipart/related;type=\"application/rlmi+xml\";boundary=\"a;b\"";
        let media_type = MediaType::parse(value).unwrap();
        assert_eq!(media_type.params.text("boundary").as_deref(), Some("a;b"));
        assert_eq!(media_type.to_string(), value);
        for text in ["", "text", "/x", "text/", "a b/c"] {
            assert!(MediaType::parse(text).is_err(), "{text}");
        }
    }
}
