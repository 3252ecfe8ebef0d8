//! The parameters behind a header value: `;name=value` (RFC 3261 §25.1, generic-param).

use std::borrow::Cow;
use std::fmt;

use super::{HeaderError, is_blank, is_token_byte, split_quoted, unquote, write_quoted};

/// Parameters in their order, as received but for white space.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Params(String);

impl Params {
    /// Reads what stands behind a value: nothing, or a semicolon and parameters.
    pub fn parse(text: &str) -> Result<Self, HeaderError> {
        let mut own = Self(String::with_capacity(text.len()));
        for param in Scan::new(text) {
            let (name, value) = param?;
            own.push(name, value);
        }
        Ok(own)
    }

    /// The parameters as they go behind a value.
    #[must_use]
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Names and values as written, quotes included.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        Scan::new(&self.0).map_while(Result::ok)
    }

    /// The value of `name` as written, quotes included: `Some(None)` for a name alone.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Option<&str>> {
        self.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The value of `name` without quotes and escapes.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<Cow<'_, str>> {
        self.get(name).flatten().map(unquote)
    }

    /// Gives `name` a value, quoted where it has to be, in the place of any it had.
    pub fn set(&mut self, name: &str, value: Option<&str>) {
        self.remove(name);
        self.0.push(';');
        self.0.push_str(name);
        let Some(value) = value else { return };
        self.0.push('=');
        if !value.is_empty() && value.bytes().all(is_value_byte) {
            self.0.push_str(value);
        } else {
            // Writing to a String does not fail.
            let _ = write_quoted(value, &mut self.0);
        }
    }

    /// Takes `name` away.
    pub fn remove(&mut self, name: &str) {
        if self.get(name).is_none() {
            return;
        }
        let mut kept = Self(String::with_capacity(self.0.len()));
        for (other, value) in self.iter().filter(|(n, _)| !n.eq_ignore_ascii_case(name)) {
            kept.push(other, value);
        }
        *self = kept;
    }

    /// Adds a parameter as it was written.
    pub(crate) fn push(&mut self, name: &str, value: Option<&str>) {
        self.0.push(';');
        self.0.push_str(name);
        if let Some(value) = value {
            self.0.push('=');
            self.0.push_str(value);
        }
    }
}

impl fmt::Display for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Reads parameters one by one without keeping them.
#[derive(Debug, Clone)]
pub(crate) struct Scan<'a> {
    rest: &'a str,
}

impl<'a> Scan<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { rest: text.trim_matches(is_blank) }
    }

    fn read(&mut self, text: &'a str) -> Result<(&'a str, Option<&'a str>), HeaderError> {
        let text = text.strip_prefix(';').ok_or(HeaderError::Param)?.trim_start_matches(is_blank);
        let (name, rest) = split_while(text, is_name_byte);
        if name.is_empty() {
            return Err(HeaderError::Param);
        }
        let rest = rest.trim_start_matches(is_blank);
        let Some(text) = rest.strip_prefix('=') else {
            self.rest = rest;
            return Ok((name, None));
        };
        let text = text.trim_start_matches(is_blank);
        let (value, rest) = if text.starts_with('"') {
            split_quoted(text)?
        } else {
            split_while(text, is_value_byte)
        };
        self.rest = rest.trim_start_matches(is_blank);
        Ok((name, Some(value)))
    }
}

impl<'a> Iterator for Scan<'a> {
    type Item = Result<(&'a str, Option<&'a str>), HeaderError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let text = std::mem::take(&mut self.rest);
        Some(self.read(text))
    }
}

fn split_while(text: &str, holds: impl Fn(u8) -> bool) -> (&str, &str) {
    let end = text.bytes().position(|b| !holds(b)).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

/// What a name is made of; beside tokens, the brackets and colons that some peers write.
const fn is_name_byte(byte: u8) -> bool {
    is_token_byte(byte) || matches!(byte, b'[' | b']' | b':' | b'/' | b'&' | b'$')
}

/// What an unquoted value is made of: all that parts nothing.
const fn is_value_byte(byte: u8) -> bool {
    !matches!(byte, 0..=b' ' | b';' | b',' | b'"' | b'<' | b'>' | 0x7f)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_around_separators_goes() {
        let params = Params::parse(" ;  tag  =  98asjd8 ; lr;x = \"a ; b\" ").unwrap();
        assert_eq!(params.to_string(), ";tag=98asjd8;lr;x=\"a ; b\"");
        assert_eq!(params.get("TAG"), Some(Some("98asjd8")));
        assert_eq!(params.get("lr"), Some(None));
        assert_eq!(params.text("x").as_deref(), Some("a ; b"));
        assert_eq!(params.get("none"), None);
    }

    #[test]
    fn malformed_parameters_are_refused() {
        for text in [";", ";;a", ";a;;b", "a", ";a=\"b", ";a b", ";=c", ";a=b c", ";a=b,c"] {
            assert_eq!(
                Params::parse(text),
                Err(if text.contains('"') { HeaderError::Quote } else { HeaderError::Param }),
                "{text}"
            );
        }
    }

    #[test]
    fn set_replaces_and_quotes() {
        let mut params = Params::parse(";a=1;B=2").unwrap();
        params.set("b", Some("two words"));
        params.set("c", None);
        params.remove("A");
        assert_eq!(params.to_string(), ";b=\"two words\";c");
        assert_eq!(params.text("b").as_deref(), Some("two words"));
    }

    #[test]
    fn escapes_in_quotes_are_undone() {
        let params = Params::parse(r#";x="a \"b\" \\ c""#).unwrap();
        assert_eq!(params.text("x").as_deref(), Some(r#"a "b" \ c"#));
    }
}
