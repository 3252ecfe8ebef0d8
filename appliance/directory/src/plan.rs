//! What a reading means for the users of a node: who is added, changed, renamed, disabled, deleted,
//! and who is not taken, and why. Pure: the same reading of the same state is the same plan.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::person::{Key, Person};
use crate::read::Reading;

/// When so many known people vanish at once, and at least a half of them, nobody is disabled: the
/// directory is more likely to be wrong than right.
const SUSPICIOUS: usize = 10;

/// What is kept of a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// The person, as last read.
    pub person: Person,
    /// What that means here.
    pub standing: Standing,
}

/// What a person of a directory is on this node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Standing {
    /// A user.
    User,
    /// No user, for a reason in words; tried again with each reading.
    Waiting(String),
    /// Vanished from the directory: a disabled user until the grace period is over.
    Gone {
        /// Since when.
        since_unix_ms: u64,
    },
}

/// What the node is like before.
#[derive(Debug, Clone, Copy)]
pub struct Before<'a> {
    /// The people of this directory.
    pub known: &'a BTreeMap<Key, Known>,
    /// Ids of users who are not of this directory: local ones (false), and those of others (true).
    pub others: &'a BTreeMap<String, bool>,
    /// How many more enabled users the machine carries.
    pub free: usize,
    /// The time.
    pub now_unix_ms: u64,
    /// How long the vanished are kept.
    pub grace_ms: u64,
    /// Whether suspicious readings are believed.
    pub is_forced: bool,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Vanished: keep the user out.
    Disable(Key),
    /// Vanished long enough: delete the user.
    Delete(Key),
    /// The id has changed: the user gets the new one.
    Rename {
        /// The id so far.
        from: String,
        /// The person, with the new id.
        person: Person,
    },
    /// Back again after having vanished.
    Return(Person),
    /// Something about the person has changed.
    Change(Person),
    /// A new user.
    Add(Person),
    /// A local user of this id becomes one of the directory.
    Adopt(Person),
    /// A person who is no user, and why.
    Refuse(Person, String),
}

/// What is to be done, in this order.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Step by step.
    pub steps: Vec<Step>,
    /// Why vanished people are not disabled, where they are not.
    pub held_back: Option<String>,
    /// People about whom nothing changes.
    pub unchanged: usize,
}

/// Makes the plan.
#[must_use]
pub fn plan(before: Before<'_>, reading: &Reading) -> Plan {
    let mut planning = Planning::new(before);
    planning.vanished(reading);
    planning.people(reading);
    planning.waiting();
    planning.finish()
}

struct Planning<'a> {
    before: Before<'a>,
    plan: Plan,
    free: usize,
    /// Ids by who has them from now on.
    ids: BTreeMap<String, Key>,
    /// Who is or may be added, in order of id.
    wanting: BTreeMap<String, Person>,
    /// Who is read now.
    seen: BTreeSet<Key>,
}

impl<'a> Planning<'a> {
    fn new(before: Before<'a>) -> Self {
        let ids = before
            .known
            .iter()
            .filter(|(_, known)| !matches!(known.standing, Standing::Waiting(_)))
            .map(|(key, known)| (known.person.id.clone(), *key))
            .collect();
        Self {
            before,
            plan: Plan::default(),
            free: before.free,
            ids,
            wanting: BTreeMap::new(),
            seen: BTreeSet::new(),
        }
    }

    fn vanished(&mut self, reading: &Reading) {
        let users = self.before.known.values().filter(|known| known.standing == Standing::User);
        let users = users.count();
        let mut going: Vec<Key> = Vec::new();
        for key in &reading.gone {
            match self.before.known.get(key).map(|known| &known.standing) {
                Some(Standing::User) => going.push(*key),
                Some(Standing::Waiting(_)) => self.plan.steps.push(Step::Delete(*key)),
                Some(Standing::Gone { .. }) | None => {}
            }
        }
        let is_all = going.len() == users && users > 0;
        let is_much = going.len() >= SUSPICIOUS && going.len() * 2 >= users;
        if (is_all || is_much) && !self.before.is_forced {
            self.plan.held_back =
                Some(format!("{} of {users} users have vanished at once", going.len()));
        } else {
            self.free += going.len();
            self.plan.steps.extend(going.into_iter().map(Step::Disable));
        }
        let back: BTreeSet<Key> = reading.people.iter().map(|person| person.key).collect();
        for (key, known) in self.before.known {
            if let Standing::Gone { since_unix_ms } = known.standing
                && self.before.now_unix_ms.saturating_sub(since_unix_ms) >= self.before.grace_ms
                && !back.contains(key)
            {
                self.ids.remove(&known.person.id);
                self.plan.steps.push(Step::Delete(*key));
            }
        }
    }

    fn people(&mut self, reading: &Reading) {
        for person in &reading.people {
            if !self.seen.insert(person.key) {
                continue;
            }
            match self.before.known.get(&person.key) {
                None => self.want(person.clone()),
                Some(Known { standing: Standing::Waiting(_), .. }) => self.want(person.clone()),
                Some(Known { standing: Standing::User, person: before }) => {
                    self.user(before, person);
                }
                Some(Known { standing: Standing::Gone { .. }, person: before }) => {
                    self.returned(before, person);
                }
            }
        }
    }

    fn user(&mut self, before: &Person, person: &Person) {
        if before.id != person.id {
            self.renamed(before, person);
        } else if before == person {
            self.plan.unchanged += 1;
        } else {
            self.plan.steps.push(Step::Change(person.clone()));
        }
    }

    fn renamed(&mut self, before: &Person, person: &Person) {
        let is_taken = self.ids.contains_key(&person.id)
            || self.before.others.contains_key(&person.id)
            || problem(&person.id).is_some();
        if is_taken {
            // The user stays as it is: better an old id than nobody.
            tracing::warn!(from = before.id, to = person.id, "the new id cannot be had");
            let kept = Person { id: before.id.clone(), ..person.clone() };
            self.user(before, &kept);
            return;
        }
        self.ids.remove(&before.id);
        self.ids.insert(person.id.clone(), person.key);
        self.plan.steps.push(Step::Rename { from: before.id.clone(), person: person.clone() });
    }

    fn returned(&mut self, before: &Person, person: &Person) {
        if self.free == 0 {
            let why = "this machine carries no more enabled users".to_owned();
            self.plan.steps.push(Step::Refuse(person.clone(), why));
            return;
        }
        self.free -= 1;
        if before.id != person.id {
            self.renamed(before, person);
        }
        let id = if self.ids.contains_key(&person.id) { &person.id } else { &before.id };
        self.plan.steps.push(Step::Return(Person { id: id.clone(), ..person.clone() }));
    }

    /// Somebody would like to be a user: decided in order of id once all are known.
    fn want(&mut self, person: Person) {
        let id = person.id.clone();
        let why = match (problem(&id), self.ids.get(&id), self.before.others.get(&id)) {
            (Some(problem), _, _) => Some(problem),
            (None, Some(key), _) if *key != person.key => {
                let holder = self.before.known.get(key).map(|known| known.person.dn.clone());
                let holder = holder.unwrap_or_else(|| "another entry".to_owned());
                Some(format!("its id {id} belongs to {holder}"))
            }
            (None, _, Some(true)) => Some(format!("its id {id} belongs to another directory")),
            (None, _, _) => None,
        };
        if let Some(why) = why {
            self.refuse(person, why);
            return;
        }
        if let Some(other) = self.wanting.get(&id)
            && other.key != person.key
        {
            // The same one of the two each time, whatever the order of the server.
            let (first, second) = if other.key < person.key {
                (other.clone(), person)
            } else {
                (person, other.clone())
            };
            let why = format!("its id {id} belongs to {}", first.dn);
            self.wanting.insert(id, first);
            self.refuse(second, why);
            return;
        }
        self.wanting.insert(id, person);
    }

    /// Those who waited are tried again.
    fn waiting(&mut self) {
        let gone: BTreeSet<Key> = self
            .plan
            .steps
            .iter()
            .filter_map(|step| if let Step::Delete(key) = step { Some(*key) } else { None })
            .collect();
        for (key, known) in self.before.known {
            if matches!(known.standing, Standing::Waiting(_))
                && !self.seen.contains(key)
                && !gone.contains(key)
            {
                self.want(known.person.clone());
            }
        }
    }

    fn refuse(&mut self, person: Person, why: String) {
        let standing = Standing::Waiting(why);
        let known = self.before.known.get(&person.key);
        if known.is_some_and(|known| known.person == person && known.standing == standing) {
            self.plan.unchanged += 1;
        } else if let Standing::Waiting(why) = standing {
            self.plan.steps.push(Step::Refuse(person, why));
        }
    }

    fn finish(mut self) -> Plan {
        for (id, person) in std::mem::take(&mut self.wanting) {
            let is_local = self.before.others.get(&id) == Some(&false);
            if is_local {
                self.plan.steps.push(Step::Adopt(person));
            } else if self.free > 0 {
                self.free -= 1;
                self.plan.steps.push(Step::Add(person));
            } else {
                let why = "this machine carries no more enabled users".to_owned();
                self.refuse(person, why);
            }
        }
        self.plan
    }
}

/// Why an id cannot be the user part of an address of record.
fn problem(id: &str) -> Option<String> {
    const LONGEST: usize = 64;
    let is_good = !id.is_empty()
        && id.len() <= LONGEST
        && id.chars().all(|c| c.is_ascii_alphanumeric() || "-._+".contains(c));
    (!is_good).then(|| {
        format!("{id:?} cannot be a user id: 1 to 64 letters, digits and - . _ + are allowed")
    })
}

#[cfg(test)]
mod tests;
