//! Event: the event package of a subscription or publication (RFC 6665 §8.2.1).

use std::fmt;

use super::params::Params;
use super::{HeaderError, is_blank, is_token};

/// An event package with the subscription's id; both compare byte by byte.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Event {
    /// The package with its templates, `presence` or `presence.winfo`.
    pub package: String,
    /// What tells apart subscriptions of one dialog.
    pub id: Option<String>,
    /// The other parameters.
    pub params: Params,
}

impl Event {
    /// Reads a value.
    pub fn parse(text: &str) -> Result<Self, HeaderError> {
        let (package, params) = match text.find(';').and_then(|at| text.split_at_checked(at)) {
            Some(parts) => parts,
            None => (text, ""),
        };
        let package = package.trim_matches(is_blank);
        if !is_token(package) {
            return Err(HeaderError::Token);
        }
        let mut params = Params::parse(params)?;
        let id = params.get("id").flatten().map(str::to_owned);
        params.remove("id");
        Ok(Self { package: package.to_owned(), id, params })
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.package)?;
        if let Some(id) = &self.id {
            write!(f, ";id={id}")?;
        }
        write!(f, "{}", self.params)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn package_and_id() {
        let event = Event::parse("presence.winfo ; id=a1; x=y").unwrap();
        assert_eq!((&*event.package, event.id.as_deref()), ("presence.winfo", Some("a1")));
        assert_eq!(event.to_string(), "presence.winfo;id=a1;x=y");
        assert!(Event::parse("").is_err());
        assert!(Event::parse("a b").is_err());
    }
}
