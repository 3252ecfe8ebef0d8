//! A person, as a directory describes one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::attribute::{AttributeMap, Field};
use crate::entry::Entry;
use crate::settings::Kind;

/// What stays the same when an entry is renamed or moved: entryUUID, objectGUID, nsUniqueId.
pub type Key = [u8; 16];

/// The longest value that is kept, in characters.
const LONGEST: usize = 256;
/// The most values of one field that are kept.
const MOST_VALUES: usize = 16;

/// A person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// What stays the same.
    pub key: Key,
    /// The distinguished name at present.
    pub dn: String,
    /// What is to be the user part of the address of record, in lower case.
    pub id: String,
    /// What else is known; no field without a value, no photo.
    pub fields: BTreeMap<Field, Vec<String>>,
}

/// Why an entry is no person that can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unusable {
    /// The entry.
    pub dn: String,
    /// In words for an administrator.
    pub why: String,
}

impl Person {
    /// The first value of a field.
    #[must_use]
    pub fn first(&self, field: Field) -> Option<&str> {
        self.fields.get(&field)?.first().map(String::as_str)
    }

    /// The name to show; there is always one.
    #[must_use]
    pub fn display_name(&self) -> &str {
        self.first(Field::DisplayName).unwrap_or(&self.id)
    }

    pub(crate) fn read(kind: Kind, map: &AttributeMap, entry: &Entry) -> Result<Self, Unusable> {
        let unusable = |why: String| Unusable { dn: entry.dn.clone(), why };
        let key = key(kind, entry)
            .ok_or_else(|| unusable(format!("it has no {}", kind.key_attribute())))?;
        let attribute = map.of(Field::Id).unwrap_or_default();
        let id = id(entry, attribute).ok_or_else(|| unusable(format!("it has no {attribute}")))?;
        let mut fields = BTreeMap::new();
        for (field, attribute) in map.iter() {
            if matches!(field, Field::Id | Field::Photo) {
                continue;
            }
            let values: Vec<_> =
                entry.texts(attribute).filter_map(tidy).take(MOST_VALUES).collect();
            if !values.is_empty() {
                fields.insert(field, values);
            }
        }
        if !fields.contains_key(&Field::DisplayName)
            && let Some(name) = entry.text("cn").and_then(tidy)
        {
            fields.insert(Field::DisplayName, vec![name]);
        }
        Ok(Self { key, dn: entry.dn.clone(), id, fields })
    }
}

/// The attributes that are asked of a server for [`Person::read`].
pub(crate) fn attributes<'a>(kind: Kind, map: &'a AttributeMap) -> Vec<&'a str> {
    let mapped = map.iter().filter(|(field, _)| *field != Field::Photo);
    let mut wanted: Vec<&'a str> = mapped.map(|(_, attribute)| attribute).collect();
    wanted.extend([kind.key_attribute(), "cn"]);
    wanted
}

/// What stays the same about an entry.
pub(crate) fn key(kind: Kind, entry: &Entry) -> Option<Key> {
    let value = entry.octets(kind.key_attribute()).next()?;
    if let Ok(octets) = Key::try_from(value) {
        return Some(octets);
    }
    let digits: Vec<u8> = value.iter().copied().filter(|octet| *octet != b'-').collect();
    let (pairs, rest) = digits.as_chunks::<2>();
    if pairs.len() != 16 || !rest.is_empty() {
        return None;
    }
    let mut key = [0; 16];
    for (octet, pair) in key.iter_mut().zip(pairs) {
        *octet = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(key)
}

/// The id: where an attribute has several values, the one that names the entry, else the first in
/// order, so that it is the same each time; of a mail address, what is before the "@".
fn id(entry: &Entry, attribute: &str) -> Option<String> {
    let local = |value: &str| {
        let local = value.trim().split('@').next().unwrap_or_default();
        local.to_ascii_lowercase()
    };
    let mut ids: Vec<_> = entry.texts(attribute).map(local).filter(|id| !id.is_empty()).collect();
    ids.sort();
    let start = format!("{}=", attribute.to_ascii_lowercase());
    let named = crate::distinguished_name::normal(&entry.dn);
    let named = named.split(',').next().and_then(|first| first.strip_prefix(&start));
    let naming = ids.iter().find(|id| Some(id.as_str()) == named).cloned();
    naming.or_else(|| ids.into_iter().next())
}

/// On one line, without blanks around it, not too long; none when nothing is left.
fn tidy(value: &str) -> Option<String> {
    let kept: String =
        value.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST).collect();
    let kept = kept.trim();
    (!kept.is_empty()).then(|| kept.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: &[u8] = b"6bf0c1b4-0001-4000-8000-0000000000ff";

    fn read(attributes: &[(&str, &[&[u8]])]) -> Result<Person, Unusable> {
        let map = AttributeMap::new(Kind::OpenLdap, &BTreeMap::new());
        Person::read(Kind::OpenLdap, &map, &Entry::of("uid=Anna,dc=x", attributes))
    }

    #[test]
    fn a_person_is_read_by_the_map() {
        let person = read(&[
            ("entryUUID", &[UUID]),
            ("uid", &[b"aaa", b"Anna"]),
            ("cn", &["Anna Bärg".as_bytes()]),
            ("mail", &[b"anna@x", b"a.berg@x"]),
            ("telephoneNumber", &[b" 12\n34 "]),
            ("title", &[b"  "]),
            ("description", &[b"not asked for"]),
        ])
        .unwrap();
        assert_eq!(person.key[..2], [0x6b, 0xf0]);
        assert_eq!(person.id, "anna");
        assert_eq!(person.display_name(), "Anna Bärg");
        assert_eq!(person.fields[&Field::Mail], ["anna@x", "a.berg@x"]);
        assert_eq!(person.first(Field::Telephone), Some("12 34"));
        assert_eq!(person.first(Field::Title), None);
    }

    #[test]
    fn what_cannot_be_used_says_why() {
        assert!(read(&[("uid", &[b"anna"])]).unwrap_err().why.contains("entryUUID"));
        assert!(read(&[("entryUUID", &[UUID])]).unwrap_err().why.contains("no uid"));
        assert!(read(&[("entryUUID", &[b"zz"]), ("uid", &[b"a"])]).is_err());
    }

    #[test]
    fn a_value_that_is_no_text_is_left_out() {
        let person = read(&[("entryUUID", &[UUID]), ("uid", &[b"a"]), ("sn", &[&[0xff, 0xfe]])]);
        assert_eq!(person.unwrap().first(Field::Surname), None);
    }
}
