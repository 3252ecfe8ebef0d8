//! Brings the users of the node into line with a plan: through the same commands, and the same
//! check of capacity, as everybody else.

use std::collections::BTreeMap;

use admin_api::directory::SyncReport;
use admin_api::refusal::Refusal;
use directory::attribute::Field;
use directory::person::{Key, Person};
use directory::plan::{Known, Standing, Step};
use presence::command::{self, Answer, Command, Page, UserDraft, UserView};
use presence::record::Change;

use super::people::People;
use super::records;
use crate::administration::{note_capacity, refusal_of, unanswered};
use crate::clock::unix_millis;
use crate::node::Node;

/// Users that one command brings up to date.
const AT_ONCE: usize = 250;
/// The longest value of a user's field, in characters.
const LONGEST: usize = 128;

/// Applies steps to one directory.
pub(super) struct Applying<'a> {
    pub(super) node: &'a Node,
    pub(super) people: &'a People,
    pub(super) name: &'a str,
    pub(super) known: &'a mut BTreeMap<Key, Known>,
    pub(super) report: &'a mut SyncReport,
    /// What is to be kept, once the users are.
    pub(super) changes: Vec<Change>,
}

/// A user that is to be put, and how that is told.
struct Put {
    person: Person,
    told: fn(&mut SyncReport, String),
}

impl Applying<'_> {
    /// Does as the plan says. What fails for one user is told of that one; what fails for all ends
    /// it, and the next reading goes on from what was done.
    pub(super) async fn all(&mut self, steps: Vec<Step>) -> Result<(), Refusal> {
        let mut puts = Vec::new();
        for step in steps {
            match step {
                Step::Disable(key) => self.disable(key).await?,
                Step::Delete(key) => self.delete(key).await?,
                Step::Rename { from, person } => self.rename(&from, person).await?,
                Step::Return(person) => {
                    if self.enable(&person).await? {
                        puts.push(Put { person, told: |r, id| r.returned.add(id) });
                    }
                }
                Step::Change(person) => {
                    puts.push(Put { person, told: |r, id| r.changed.add(id) });
                }
                Step::Add(person) => puts.push(Put { person, told: |r, id| r.added.add(id) }),
                Step::Adopt(person) => puts.push(Put { person, told: |r, id| r.adopted.add(id) }),
                Step::Refuse(person, why) => self.wait(person, why),
            }
        }
        while !puts.is_empty() {
            let rest = puts.split_off(puts.len().min(AT_ONCE));
            self.put(std::mem::replace(&mut puts, rest)).await?;
        }
        self.keep().await
    }

    /// Writes what has gathered.
    pub(super) async fn keep(&mut self) -> Result<(), Refusal> {
        let changes = std::mem::take(&mut self.changes);
        keep(self.node, changes).await
    }

    async fn ask(&self, command: Command) -> Result<Result<Answer, command::Refusal>, Refusal> {
        match self.node.command(command).await.map_err(unanswered)? {
            Answer::Refused(command::Refusal::NotStored) => {
                Err(refusal_of(command::Refusal::NotStored))
            }
            Answer::Refused(refusal) => {
                note_capacity(self.node, &refusal);
                Ok(Err(refusal))
            }
            answer => Ok(Ok(answer)),
        }
    }

    fn note(&mut self, key: Key, known: Option<Known>) {
        self.changes.push(records::person(self.name, &key, known.as_ref()));
        if let Some(before) = self.known.get(&key)
            && known.as_ref().is_none_or(|known| known.person.id != before.person.id)
        {
            self.people.remove(self.name, &before.person.id);
        }
        match known {
            Some(known) => {
                if matches!(known.standing, Standing::Gone { .. }) {
                    self.people.remove(self.name, &known.person.id);
                } else {
                    let is_user = known.standing == Standing::User;
                    self.people.put(self.name, &known.person, is_user);
                }
                self.known.insert(key, known);
            }
            None => {
                self.known.remove(&key);
            }
        }
    }

    fn wait(&mut self, person: Person, why: String) {
        self.report.refused.add(format!("{}: {why}", person.dn));
        let standing = match self.known.get(&person.key) {
            Some(Known { standing: gone @ Standing::Gone { .. }, .. }) => gone.clone(),
            _ => Standing::Waiting(why),
        };
        self.note(person.key, Some(Known { person, standing }));
    }

    async fn disable(&mut self, key: Key) -> Result<(), Refusal> {
        let Some(known) = self.known.get(&key).cloned() else { return Ok(()) };
        let id = known.person.id.clone();
        // Whom somebody has deleted meanwhile needs no more.
        let _ = self.ask(Command::SetEnabled { id: id.clone(), enabled: false }).await?;
        let standing = Standing::Gone { since_unix_ms: unix_millis() };
        self.note(key, Some(Known { standing, ..known }));
        self.report.disabled.add(id);
        Ok(())
    }

    async fn delete(&mut self, key: Key) -> Result<(), Refusal> {
        let Some(known) = self.known.get(&key).cloned() else { return Ok(()) };
        if matches!(known.standing, Standing::Gone { .. }) {
            let id = known.person.id;
            let _ = self.ask(Command::DeleteUser(id.clone())).await?;
            self.report.deleted.add(id);
        }
        self.note(key, None);
        Ok(())
    }

    async fn rename(&mut self, from: &str, person: Person) -> Result<(), Refusal> {
        let to = person.id.clone();
        let command = Command::RenameUser { from: from.to_owned(), to: to.clone() };
        if let Err(refusal) = self.ask(command).await? {
            self.report.refused.add(format!("{}: {refusal}", person.dn));
            return Ok(());
        }
        self.report.renamed.add(format!("{from} to {to}"));
        let standing = self.known.get(&person.key).map(|known| known.standing.clone());
        let standing = standing.unwrap_or(Standing::User);
        self.note(person.key, Some(Known { person: person.clone(), standing }));
        self.put(vec![Put { person, told: |_, _| {} }]).await
    }

    async fn enable(&mut self, person: &Person) -> Result<bool, Refusal> {
        let command = Command::SetEnabled { id: person.id.clone(), enabled: true };
        match self.ask(command).await? {
            Ok(_) | Err(command::Refusal::UnknownUser(_)) => Ok(true),
            Err(refusal) => {
                self.report.refused.add(format!("{}: {refusal}", person.dn));
                Ok(false)
            }
        }
    }

    async fn put(&mut self, puts: Vec<Put>) -> Result<(), Refusal> {
        let drafts = puts.iter().map(|put| draft(&put.person)).collect();
        let answer = self.ask(Command::ImportUsers(drafts)).await?;
        let Ok(Answer::Imported(outcomes)) = answer else { return Ok(()) };
        for (Put { person, told }, outcome) in puts.into_iter().zip(outcomes) {
            match outcome {
                Ok(_) => {
                    told(self.report, person.id.clone());
                    self.note(person.key, Some(Known { person, standing: Standing::User }));
                }
                Err(refusal) => {
                    note_capacity(self.node, &refusal);
                    self.wait(person, refusal.to_string());
                }
            }
        }
        // A power cut finds the users and their entries together, or users to be adopted.
        self.keep().await
    }
}

/// Writes records.
pub(super) async fn keep(node: &Node, changes: Vec<Change>) -> Result<(), Refusal> {
    if changes.is_empty() {
        return Ok(());
    }
    match node.command(Command::Keep(changes)).await.map_err(unanswered)? {
        Answer::Refused(refusal) => Err(refusal_of(refusal)),
        _ => Ok(()),
    }
}

/// All users.
pub(super) async fn users(node: &Node) -> Result<Vec<UserView>, Refusal> {
    let mut users: Vec<UserView> = Vec::new();
    loop {
        let after = users.last().map(|user| user.id.clone()).unwrap_or_default();
        let page = Page { after, limit: 1_000 };
        match node.command(Command::ListUsers(page)).await.map_err(unanswered)? {
            Answer::Users(more, is_more) => {
                users.extend(more);
                if !is_more {
                    return Ok(users);
                }
            }
            other => {
                tracing::error!(?other, "the users were asked for");
                return Ok(users);
            }
        }
    }
}

fn draft(person: &Person) -> UserDraft {
    let value = |field: Field| {
        let text = person.first(field).unwrap_or_default();
        Some(text.chars().take(LONGEST).collect())
    };
    UserDraft {
        id: person.id.clone(),
        display_name: Some(person.display_name().chars().take(LONGEST).collect()),
        given_name: value(Field::GivenName),
        surname: value(Field::Surname),
        mail: value(Field::Mail),
        telephone: value(Field::Telephone),
        credentials: None,
    }
}
