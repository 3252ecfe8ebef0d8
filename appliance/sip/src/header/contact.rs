//! Contact: where to reach somebody, or `*` for all of it (RFC 3261 §20.10).

use super::name_addr::NameAddr;
use super::{HeaderError, split_list};

/// What the Contact headers of a message say together.
#[derive(Debug, Clone, PartialEq)]
pub enum Contact {
    /// `*`: every binding (RFC 3261 §10.2.2).
    Star,
    /// The contacts in their order; none when there is no such header.
    List(Vec<NameAddr>),
}

impl Contact {
    /// Reads one header.
    pub fn parse(text: &str) -> Result<Self, HeaderError> {
        Self::from_values(std::iter::once(text))
    }

    /// Reads the Contact headers of a message.
    pub fn from_values<'a>(values: impl IntoIterator<Item = &'a str>) -> Result<Self, HeaderError> {
        let mut list = Vec::new();
        let mut has_star = false;
        for value in values.into_iter().flat_map(split_list) {
            if value == "*" {
                has_star = true;
            } else {
                list.push(NameAddr::parse(value)?);
            }
        }
        match (has_star, list.is_empty()) {
            (false, _) => Ok(Self::List(list)),
            (true, true) => Ok(Self::Star),
            (true, false) => Err(HeaderError::Star),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_in_quotes_and_brackets_part_nothing() {
        let text = "\"Doe, J\" <sip:a@b.test?x=1,2>;q=0.7, sip:c@d.test;expires=5 , <tel:+1>";
        let Ok(Contact::List(list)) = Contact::parse(text) else { panic!("not a list") };
        assert_eq!(list.len(), 3);
        assert_eq!(list.iter().map(NameAddr::q).collect::<Vec<_>>(), [Some(700), None, None]);
        assert_eq!(list.get(1).and_then(NameAddr::expires), Some(5));
    }

    #[test]
    fn a_star_stands_alone() {
        assert_eq!(Contact::parse(" * "), Ok(Contact::Star));
        assert_eq!(Contact::parse("*, <sip:a@b.test>"), Err(HeaderError::Star));
        assert_eq!(Contact::from_values([]), Ok(Contact::List(Vec::new())));
    }
}
