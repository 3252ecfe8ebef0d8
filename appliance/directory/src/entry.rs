//! An entry as a server returns it, taken apart without trusting that it is well formed.

use std::collections::BTreeMap;

use ldap3::ResultEntry;

/// An entry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Its distinguished name.
    pub(crate) dn: String,
    /// Its attributes; names are in lower case, and carry their options (RFC 4512 §2.5).
    attributes: BTreeMap<String, Vec<Vec<u8>>>,
}

impl Entry {
    /// What a search returned; none when it is no entry.
    pub(crate) fn read(found: ResultEntry) -> Option<Self> {
        const SEARCH_RESULT_ENTRY: u64 = 4;
        let parts = found.0.match_id(SEARCH_RESULT_ENTRY)?.expect_constructed()?;
        let mut parts = parts.into_iter();
        let dn = String::from_utf8(parts.next()?.expect_primitive()?).ok()?;
        let mut attributes = BTreeMap::new();
        for attribute in parts.next()?.expect_constructed()? {
            let mut halves = attribute.expect_constructed()?.into_iter();
            let name = String::from_utf8(halves.next()?.expect_primitive()?).ok()?;
            let values = halves.next()?.expect_constructed()?.into_iter();
            let values = values.map(lber_octets).collect::<Option<Vec<_>>>()?;
            attributes.insert(name.to_ascii_lowercase(), values);
        }
        Some(Self { dn, attributes })
    }

    /// The values of an attribute, whatever its options.
    pub(crate) fn octets(&self, attribute: &str) -> impl Iterator<Item = &[u8]> {
        let wanted = attribute.to_ascii_lowercase();
        self.attributes
            .iter()
            .filter(move |(name, _)| {
                let bare = name.split(';').next().unwrap_or_default();
                **name == wanted || bare == wanted
            })
            .flat_map(|(_, values)| values)
            .map(Vec::as_slice)
    }

    /// The values of an attribute that are text.
    pub(crate) fn texts(&self, attribute: &str) -> impl Iterator<Item = &str> {
        self.octets(attribute).filter_map(|value| std::str::from_utf8(value).ok())
    }

    /// The first of them.
    pub(crate) fn text(&self, attribute: &str) -> Option<&str> {
        self.texts(attribute).next()
    }

    /// An attribute that came in part (`member;range=0-1499`): where the next part begins.
    pub(crate) fn next_range(&self, attribute: &str) -> Option<u64> {
        let start = format!("{};range=", attribute.to_ascii_lowercase());
        let range = self.attributes.keys().find_map(|name| name.strip_prefix(&start))?;
        let (_, last) = range.split_once('-')?;
        last.parse::<u64>().ok()?.checked_add(1)
    }

    #[cfg(test)]
    pub(crate) fn of(dn: &str, attributes: &[(&str, &[&[u8]])]) -> Self {
        let attributes = attributes.iter().map(|(name, values)| {
            (name.to_ascii_lowercase(), values.iter().map(|value| value.to_vec()).collect())
        });
        Self { dn: dn.to_owned(), attributes: attributes.collect() }
    }
}

fn lber_octets(tag: ldap3::asn1::StructureTag) -> Option<Vec<u8>> {
    tag.expect_primitive()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_whatever_their_case_and_options() {
        let entry = Entry::of("cn=a", &[("CN;lang-de", &[b"A"]), ("member;range=0-1499", &[b"m"])]);
        assert_eq!(entry.text("cn"), Some("A"));
        assert_eq!(entry.texts("MEMBER").count(), 1);
        assert_eq!(entry.next_range("member"), Some(1500));
        assert_eq!(entry.next_range("cn"), None);
        let last = Entry::of("cn=a", &[("member;range=1500-*", &[b"m"])]);
        assert_eq!(last.next_range("member"), None);
    }
}
