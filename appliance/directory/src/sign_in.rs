//! Sign-in: whether a directory takes a person's password. It is not kept anywhere.

use std::sync::Arc;

use ldap3::{Scope, ldap_escape};
use rustls::ClientConfig;

use crate::attribute::Field;
use crate::connection::{Connection, Search};
use crate::failure::{Failure, FailureKind};
use crate::person::Person;
use crate::settings::Directory;

/// Whether the directory takes this password for this person.
///
/// # Errors
/// Nobody can tell: no server answers, or it refuses for another reason.
pub async fn sign_in(
    directory: &Directory,
    tls: Option<&Arc<ClientConfig>>,
    person: &Person,
    password: &str,
) -> Result<bool, Failure> {
    if password.is_empty() {
        return Ok(false);
    }
    let mut connection = Connection::open(directory, tls).await?;
    if is_taken(connection.bind(&person.dn, password).await)? {
        return Ok(true);
    }
    // The entry may have moved since it was read.
    let mut connection = Connection::open(directory, tls).await?;
    let Some(dn) = find(&mut connection, directory, person).await? else { return Ok(false) };
    if dn == person.dn {
        return Ok(false);
    }
    is_taken(connection.bind(&dn, password).await)
}

fn is_taken(bound: Result<(), Failure>) -> Result<bool, Failure> {
    match bound {
        Ok(()) => Ok(true),
        Err(failure) if matches!(failure.kind, FailureKind::Credentials | FailureKind::Base) => {
            Ok(false)
        }
        Err(failure) => Err(failure),
    }
}

async fn find(
    connection: &mut Connection,
    directory: &Directory,
    person: &Person,
) -> Result<Option<String>, Failure> {
    let map = directory.map();
    let attribute = map.of(Field::Id).unwrap_or_default();
    let filter =
        format!("(&{}({attribute}={}))", directory.people(), ldap_escape(person.id.as_str()));
    let wanted = [directory.kind.key_attribute()];
    let scope = if directory.is_one_level { Scope::OneLevel } else { Scope::Subtree };
    let search = Search { base: &directory.base, scope, filter: &filter, attributes: &wanted };
    let mut found = None;
    connection
        .search_pages(search, &[], |entry| {
            if crate::person::key(directory.kind, &entry) == Some(person.key) {
                found = Some(entry.dn);
            }
            Ok(())
        })
        .await?;
    Ok(found)
}
