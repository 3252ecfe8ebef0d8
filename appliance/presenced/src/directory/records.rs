//! What is kept of directories in the store: settings, people, groups.

use std::collections::{BTreeMap, BTreeSet};

use directory::person::Key;
use directory::plan::Known;
use directory::read::Cursor;
use directory::settings::{Directory, Password};
use presence::record::{Change, decode, encode};
use serde::{Deserialize, Serialize};

use crate::sealed::Seal;

/// Tables, by letter; those of the server are in `presence::record`.
const DIRECTORY: u8 = b'l';
const PERSON: u8 = b'e';
const GROUP: u8 = b'g';

/// A directory as it is kept.
#[derive(Serialize, Deserialize)]
struct DirectoryRecord {
    directory: Directory,
    sealed_password: Vec<u8>,
    cursor: Cursor,
    read_unix_ms: u64,
    full_unix_ms: u64,
}

/// One directory, as it came from the store.
#[derive(Debug, Default)]
pub(crate) struct KeptDirectory {
    pub(super) settings: Option<Directory>,
    sealed_password: Vec<u8>,
    pub(super) cursor: Cursor,
    pub(super) read_unix_ms: u64,
    pub(super) full_unix_ms: u64,
    pub(super) known: BTreeMap<Key, Known>,
    pub(super) groups: BTreeMap<String, BTreeSet<String>>,
}

impl KeptDirectory {
    /// The settings with their password; it is not known where the node's key is another one.
    pub(super) fn opened(&mut self, seal: &Seal) -> Option<Directory> {
        let mut settings = self.settings.take()?;
        if !self.sealed_password.is_empty() {
            match seal.open(&settings.name, &self.sealed_password) {
                Some(password) => settings.password = Password::new(password),
                None => tracing::error!(
                    directory = settings.name,
                    "the password cannot be opened with this node's key: set it again"
                ),
            }
        }
        Some(settings)
    }
}

/// Everything about directories that the store holds.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    pub(super) directories: BTreeMap<String, KeptDirectory>,
    /// Records that could not be read.
    pub(crate) unreadable: usize,
}

impl Kept {
    /// Looks at a record of the store.
    pub(crate) fn take(&mut self, key: &[u8], value: &[u8]) {
        let Some((&table, rest)) = key.split_first() else { return };
        if ![DIRECTORY, PERSON, GROUP].contains(&table) {
            return;
        }
        if self.put(table, rest, value).is_none() {
            self.unreadable += 1;
        }
    }

    fn put(&mut self, table: u8, rest: &[u8], value: &[u8]) -> Option<()> {
        let (name, rest) = match rest.iter().position(|octet| *octet == 0) {
            Some(end) => (rest.get(..end)?, rest.get(end + 1..)?),
            None => (rest, [].as_slice()),
        };
        let name = std::str::from_utf8(name).ok()?;
        match table {
            DIRECTORY => {
                let record: DirectoryRecord = decode(value).ok()?;
                let kept = self.directories.entry(name.to_owned()).or_default();
                kept.settings = Some(record.directory);
                kept.sealed_password = record.sealed_password;
                kept.cursor = record.cursor;
                kept.read_unix_ms = record.read_unix_ms;
                kept.full_unix_ms = record.full_unix_ms;
            }
            PERSON => {
                let key = Key::try_from(rest).ok()?;
                let known = decode(value).ok()?;
                self.directories.entry(name.to_owned()).or_default().known.insert(key, known);
            }
            _ => {
                let group = std::str::from_utf8(rest).ok()?;
                let members = decode(value).ok()?;
                let groups = &mut self.directories.entry(name.to_owned()).or_default().groups;
                groups.insert(group.to_owned(), members);
            }
        }
        Some(())
    }
}

fn key(table: u8, name: &str, rest: &[u8]) -> Vec<u8> {
    [&[table], name.as_bytes(), &[0], rest].concat()
}

/// A directory's settings and how far it was read; none when its password cannot be sealed.
pub(super) fn directory(
    seal: &Seal,
    settings: &Directory,
    cursor: &Cursor,
    read_unix_ms: u64,
    full_unix_ms: u64,
) -> Option<Change> {
    let password = settings.password.expose();
    let sealed_password =
        if password.is_empty() { Vec::new() } else { seal.close(&settings.name, password)? };
    let record = DirectoryRecord {
        directory: settings.clone(),
        sealed_password,
        cursor: cursor.clone(),
        read_unix_ms,
        full_unix_ms,
    };
    Some(Change { key: key(DIRECTORY, &settings.name, &[]), value: Some(encode(&record)) })
}

pub(super) fn no_directory(name: &str) -> Change {
    Change { key: key(DIRECTORY, name, &[]), value: None }
}

pub(super) fn person(name: &str, at: &Key, known: Option<&Known>) -> Change {
    Change { key: key(PERSON, name, at), value: known.map(encode) }
}

pub(super) fn group(name: &str, group: &str, members: Option<&BTreeSet<String>>) -> Change {
    Change { key: key(GROUP, name, group.as_bytes()), value: members.map(encode) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_comes_back_and_the_password_only_with_the_key() {
        let seal = Seal::new(&[7; 32], "ldap");
        let mut settings = Directory::new("office");
        settings.password = Password::new("open sesame".to_owned());
        let cursor = Cursor::Cookie(vec![1]);
        let change = directory(&seal, &settings, &cursor, 5, 6).unwrap();
        let value = change.value.unwrap();
        assert!(!value.windows(6).any(|part| part == b"sesame"));
        let mut kept = Kept::default();
        kept.take(&change.key, &value);
        let members = BTreeSet::from(["anna".to_owned()]);
        let change = group("office", "pilots", Some(&members));
        kept.take(&change.key, &change.value.unwrap());
        kept.take(b"lbad", b"\x01");
        kept.take(b"uanna", b"not ours");
        assert_eq!(kept.unreadable, 1);
        let office = kept.directories.get_mut("office").unwrap();
        assert_eq!((&office.cursor, office.read_unix_ms), (&cursor, 5));
        assert_eq!(office.groups["pilots"], members);
        assert_eq!(office.opened(&seal).unwrap(), settings);
        kept.take(&key(DIRECTORY, "office", &[]), &value);
        let office = kept.directories.get_mut("office").unwrap();
        let other = office.opened(&Seal::new(&[8; 32], "ldap")).unwrap();
        assert!(other.password.expose().is_empty());
    }
}
