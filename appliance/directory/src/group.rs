//! Groups: whom they name, through other groups too.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ldap3::Scope;
use rustls::ClientConfig;

use crate::connection::{Connection, Search};
use crate::distinguished_name::normal;
use crate::entry::Entry;
use crate::failure::Failure;
use crate::settings::Directory;

/// The attributes that name members: by DN, by DN, by id.
const MEMBERS: [&str; 3] = ["member", "uniqueMember", "memberUid"];
/// The most groups that are read.
const MOST_GROUPS: usize = 10_000;

/// A group as it stands in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its name (cn).
    pub name: String,
    /// Its distinguished name.
    pub dn: String,
    /// Its members' distinguished names: people and groups.
    pub members: Vec<String>,
    /// Its members' ids, where it names them so.
    pub ids: Vec<String>,
}

/// Reads the groups of a directory; none where it is not to have any.
///
/// # Errors
/// The directory cannot be read.
pub async fn read(
    directory: &Directory,
    tls: Option<&Arc<ClientConfig>>,
) -> Result<Vec<Group>, Failure> {
    if directory.group_filter.is_empty() {
        return Ok(Vec::new());
    }
    let mut connection = Connection::open(directory, tls).await?;
    let search = Search {
        base: &directory.base,
        scope: Scope::Subtree,
        filter: &directory.group_filter,
        attributes: &["cn", MEMBERS[0], MEMBERS[1], MEMBERS[2]],
    };
    let mut entries = Vec::new();
    connection
        .search_pages(search, &[], |entry| {
            if entries.len() < MOST_GROUPS {
                entries.push(entry);
            }
            Ok(())
        })
        .await?;
    if entries.len() == MOST_GROUPS {
        tracing::warn!(directory = directory.name, "only the first {MOST_GROUPS} groups are read");
    }
    let mut groups = Vec::new();
    for entry in entries {
        groups.push(whole(&mut connection, &entry).await?);
    }
    Ok(groups)
}

/// A group with all its members: Active Directory sends them in parts of 1,500.
async fn whole(connection: &mut Connection, entry: &Entry) -> Result<Group, Failure> {
    let mut members: Vec<String> =
        MEMBERS.iter().take(2).flat_map(|name| entry.texts(name)).map(str::to_owned).collect();
    let mut next = entry.next_range(MEMBERS[0]);
    while let Some(start) = next {
        let wanted = format!("{};range={start}-*", MEMBERS[0]);
        let Some(part) = connection.entry(&entry.dn, &[&wanted]).await? else { break };
        members.extend(part.texts(MEMBERS[0]).map(str::to_owned));
        next = part.next_range(MEMBERS[0]).filter(|after| *after > start);
    }
    Ok(Group {
        name: entry.text("cn").unwrap_or(&entry.dn).to_owned(),
        dn: entry.dn.clone(),
        members,
        ids: entry.texts(MEMBERS[2]).map(str::to_ascii_lowercase).collect(),
    })
}

/// Who is in each group, by id: through other groups too, however they contain each other. `people`
/// gives the id of a person by [`normal`] name.
#[must_use]
pub fn members(
    groups: &[Group],
    people: &BTreeMap<String, String>,
) -> BTreeMap<String, BTreeSet<String>> {
    let ids: BTreeSet<&String> = people.values().collect();
    let by_dn: BTreeMap<String, &Group> =
        groups.iter().map(|group| (normal(&group.dn), group)).collect();
    let mut all = BTreeMap::new();
    for group in groups {
        let (mut seen, mut waiting, mut found) = (BTreeSet::new(), vec![group], BTreeSet::new());
        while let Some(group) = waiting.pop() {
            if !seen.insert(&group.dn) {
                continue;
            }
            found.extend(group.ids.iter().filter(|id| ids.contains(id)).cloned());
            for member in &group.members {
                let member = normal(member);
                match (people.get(&member), by_dn.get(&member)) {
                    (Some(id), _) => {
                        found.insert(id.clone());
                    }
                    (None, Some(group)) => waiting.push(group),
                    (None, None) => {}
                }
            }
        }
        all.entry(group.name.clone()).or_insert_with(BTreeSet::new).extend(found);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(name: &str, members: &[&str], ids: &[&str]) -> Group {
        Group {
            name: name.to_owned(),
            dn: format!("cn={name},dc=x"),
            members: members.iter().map(|dn| (*dn).to_owned()).collect(),
            ids: ids.iter().map(|id| (*id).to_owned()).collect(),
        }
    }

    #[test]
    fn groups_are_followed_through_each_other_and_round_in_circles() {
        let people = ["anna", "bert", "carl"];
        let people =
            people.iter().map(|id| (normal(&format!("uid={id},dc=x")), (*id).to_owned())).collect();
        let groups = [
            group("all", &["CN=Some, dc=x", "uid=carl,dc=x"], &[]),
            group("some", &["uid=ANNA,dc=x", "cn=all,dc=x", "uid=stranger,dc=x"], &[]),
            group("posix", &[], &["bert", "nobody"]),
        ];
        let found = members(&groups, &people);
        let is = |name: &str, ids: &[&str]| {
            assert_eq!(found[name].iter().collect::<Vec<_>>(), ids, "{name}");
        };
        is("all", &["anna", "carl"]);
        is("some", &["anna", "carl"]);
        is("posix", &["bert"]);
    }
}
