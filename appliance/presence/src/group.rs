//! Groups of directories as lists that can be subscribed to; they follow the directory.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sip::aor::Aor;
use sip::clock::Now;

use crate::administration::Undo;
use crate::command::{Answer, GroupDraft};
use crate::output::Ticket;
use crate::record::{Change, Table, encode};
use crate::resource_list::Source;
use crate::server::{Pending, Server};

/// What the user part of a group's URI begins with.
const PREFIX: &str = "group.";

/// A group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Group {
    /// As the directory calls it.
    pub(crate) name: String,
    /// Ids of users, in order.
    pub(crate) members: Vec<String>,
}

/// The user part of the URI of a group: its name in letters that may stand there.
#[must_use]
pub fn user_part(name: &str) -> String {
    let mut part = String::from(PREFIX);
    for c in name.chars() {
        if c.is_ascii_alphanumeric() {
            part.push(c.to_ascii_lowercase());
        } else if !part.ends_with(['-', '.']) {
            part.push('-');
        }
    }
    part.trim_end_matches('-').to_owned()
}

impl Server {
    /// Replaces all groups; who watches one learns what has changed.
    pub(crate) fn set_groups(&mut self, now: Now, ticket: Ticket, drafts: Vec<GroupDraft>) {
        let mut groups: BTreeMap<Aor, Group> = BTreeMap::new();
        for draft in drafts {
            let Some(aor) = self.group_aor(&user_part(&draft.name)) else { continue };
            let group = groups
                .entry(aor)
                .or_insert_with(|| Group { name: draft.name.clone(), members: Vec::new() });
            // Two groups of the same name in two directories are one list.
            group.members.extend(draft.members);
            group.members.sort_unstable();
            group.members.dedup();
        }
        let mut changes = Vec::new();
        let mut changed = Vec::new();
        for (aor, group) in &groups {
            if self.groups.get(aor) != Some(group) {
                let key = Table::Group.key(&[aor.user().as_bytes()]);
                changes.push(Change { key, value: Some(encode(group)) });
                changed.push(aor.clone());
            }
        }
        for aor in self.groups.keys().filter(|aor| !groups.contains_key(*aor)) {
            let key = Table::Group.key(&[aor.user().as_bytes()]);
            changes.push(Change { key, value: None });
            changed.push(aor.clone());
        }
        self.groups.clear();
        self.groups.extend(groups);
        if changes.is_empty() {
            self.tell(ticket, Answer::Done);
        } else {
            // What the disk refuses is asked for again with the next synchronization.
            let pending = (ticket, Undo::Put(Vec::new()), Answer::Done);
            self.commit(changes, Pending::Command(Box::new(pending)));
        }
        self.reload_lists(
            now,
            |source| matches!(source, Source::Group(aor) if changed.contains(aor)),
        );
    }

    pub(crate) fn restore_group(&mut self, part: &str, group: Group) -> bool {
        match self.group_aor(part) {
            Some(aor) => {
                self.groups.insert(aor, group);
                true
            }
            None => false,
        }
    }

    fn group_aor(&self, part: &str) -> Option<Aor> {
        format!("sip:{part}@{}", self.users.domain()).parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::user_part;

    #[test]
    fn names_become_user_parts() {
        assert_eq!(user_part("Sales & Marketing"), "group.sales-marketing");
        assert_eq!(user_part("cn=All staff (Köln)"), "group.cn-all-staff-k-ln");
    }
}
