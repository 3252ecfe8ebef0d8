//! The task that holds the directories. Reading them goes on beside it, in tasks of their own that
//! may fall over; what was read is applied here, one reading after the other.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use admin_api::directory::{Group as GroupView, SyncReport};
use admin_api::refusal::{Refusal, RefusalCode};
use directory::distinguished_name::normal;
use directory::failure::{Failure, FailureKind};
use directory::group::{self, Group};
use directory::person::Key;
use directory::plan::{self, Before, Known, Plan, Standing, Step};
use directory::read::{self, Cursor, Reading};
use directory::sign_in::sign_in;
use presence::command::{Command, GroupDraft, UserView};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, sleep_until, timeout};

use super::apply::{self, Applying};
use super::holding::{Holding, fell_over, too_long};
use super::people::People;
use super::records::{self, Kept};
use super::{Ask, Asked, Reply, SignIn, Wish, refusal, views};
use crate::alarm::AlarmKind;
use crate::clock::unix_millis;
use crate::node::Node;
use crate::sealed::Seal;

/// A reading that takes longer is ended.
const READ_WITHIN: Duration = Duration::from_secs(1_200);
/// A bind that takes longer is given up.
const SIGN_IN_WITHIN: Duration = Duration::from_secs(20);
/// Sign-ins and pictures that are asked for at one time.
const AT_ONCE: usize = 32;
/// Directories there may be.
const MOST_DIRECTORIES: usize = 8;
/// Those who may wait for a reading to begin.
const MOST_WAITING: usize = 8;
/// Where deletions and late changes can be missed, everything is read once a day.
const FULL_EVERY_MS: u64 = 24 * 3_600 * 1_000;
const EVENTS: usize = 16;

/// A reading has ended.
#[derive(Debug)]
struct Ended {
    name: String,
    wish: Wish,
    reply: Option<Reply<Box<SyncReport>>>,
    took: Duration,
    outcome: Result<(Reading, Vec<Group>), Failure>,
}

struct Task {
    node: Node,
    people: People,
    seal: Seal,
    holdings: BTreeMap<String, Holding>,
    ended: mpsc::Sender<Ended>,
    places: Arc<Semaphore>,
}

/// Serves for ever.
pub(crate) async fn run(asked: Asked, kept: Kept, seal: Seal, node: Node) {
    let Asked { mut asks, people } = asked;
    let (ended, mut endings) = mpsc::channel(EVENTS);
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut task = Task { node, people, seal, holdings: BTreeMap::new(), ended, places };
    task.take_up(kept);
    loop {
        let due = task.next_due();
        tokio::select! {
            ask = asks.recv() => match ask {
                Some(ask) => task.answer(ask).await,
                None => return,
            },
            Some(ended) = endings.recv() => task.take(ended).await,
            () = sleep_until(due) => task.begin_due(),
        }
    }
}

impl Task {
    fn take_up(&mut self, kept: Kept) {
        for (name, kept) in kept.directories {
            let Some(holding) = Holding::kept(kept, &self.seal) else { continue };
            for known in holding.known.values() {
                if !matches!(known.standing, Standing::Gone { .. }) {
                    self.people.put(&name, &known.person, known.standing == Standing::User);
                }
            }
            self.holdings.insert(name, holding);
        }
        self.alarms();
    }

    fn next_due(&self) -> Instant {
        let far = Instant::now() + Duration::from_secs(3_600);
        let waiting = self.holdings.values().filter(|holding| !holding.is_reading);
        waiting.filter_map(|holding| holding.due).min().unwrap_or(far)
    }

    fn begin_due(&mut self) {
        let now = Instant::now();
        let due: Vec<String> = self
            .holdings
            .iter()
            .filter(|(_, holding)| !holding.is_reading && holding.due.is_some_and(|due| due <= now))
            .map(|(name, _)| name.clone())
            .collect();
        for name in due {
            self.begin(&name, Wish::default(), None);
        }
    }

    async fn answer(&mut self, ask: Ask) {
        match ask {
            Ask::Show(reply) => {
                let _ = reply.send(Ok(self.holdings.values().map(Holding::view).collect()));
            }
            Ask::Set { name, change, reply } => {
                let changed = self.set(&name, &change).await;
                let _ = reply.send(changed.map(|()| self.views(&name)));
            }
            Ask::Unset { name, reply } => {
                let forgotten = self.unset(&name).await;
                let _ = reply
                    .send(forgotten.map(|()| self.holdings.values().map(Holding::view).collect()));
            }
            Ask::Test { name, reply } => self.test(&name, reply),
            Ask::Sync { name, wish, reply } => self.begin(&name, wish, Some(reply)),
            Ask::Groups(reply) => {
                let _ = reply.send(Ok(self.groups()));
            }
            Ask::Refresh(done) => {
                match apply::users(&self.node).await {
                    Ok(users) => self.people.set_local(&users),
                    Err(refusal) => tracing::debug!(%refusal, "local users are not looked at"),
                }
                let _ = done.send(());
            }
            Ask::SignIn { id, password, reply } => {
                let Some((holding, known)) = self.user(&id) else {
                    let _ = reply.send(SignIn::NotMine);
                    return;
                };
                let (settings, tls) = (holding.settings.clone(), holding.tls());
                let (person, places) = (known.person.clone(), Arc::clone(&self.places));
                tokio::spawn(async move {
                    let Ok(_place) = places.acquire_owned().await else { return };
                    let asked = sign_in(&settings, tls.as_ref(), &person, password.expose());
                    let told = match timeout(SIGN_IN_WITHIN, asked).await {
                        Ok(Ok(true)) => SignIn::Right,
                        Ok(Ok(false)) => SignIn::Wrong,
                        Ok(Err(failure)) => SignIn::Unknown(failure),
                        Err(_) => SignIn::Unknown(too_long(&settings.name)),
                    };
                    let _ = reply.send(told);
                });
            }
            Ask::Photo { id, reply } => {
                let Some((holding, known)) = self.user(&id) else {
                    let _ = reply.send(Ok(None));
                    return;
                };
                let (settings, tls) = (holding.settings.clone(), holding.tls());
                let (dn, places) = (known.person.dn.clone(), Arc::clone(&self.places));
                tokio::spawn(async move {
                    let Ok(_place) = places.acquire_owned().await else { return };
                    let asked = read::photo(&settings, tls.as_ref(), &dn);
                    let told = timeout(SIGN_IN_WITHIN, asked).await;
                    let _ = reply.send(told.unwrap_or_else(|_| Err(too_long(&settings.name))));
                });
            }
        }
    }

    /// A user of a directory.
    fn user(&self, id: &str) -> Option<(&Holding, &Known)> {
        self.holdings.values().find_map(|holding| {
            let mut known = holding.known.values();
            let known =
                known.find(|known| known.standing == Standing::User && known.person.id == id)?;
            Some((holding, known))
        })
    }

    fn views(&self, name: &str) -> Vec<admin_api::directory::Directory> {
        self.holdings.get(name).map(Holding::view).into_iter().collect()
    }

    fn holding(&mut self, name: &str) -> Result<&mut Holding, Refusal> {
        self.holdings.get_mut(name).ok_or_else(|| {
            Refusal::new(
                RefusalCode::NotFound,
                format!("there is no directory {name}"),
                "NAME",
                "\"show ldap\" lists the directories",
            )
        })
    }

    async fn set(
        &mut self,
        name: &str,
        change: &admin_api::directory::DirectoryChange,
    ) -> Result<(), Refusal> {
        check_name(name)?;
        let is_new = !self.holdings.contains_key(name);
        if is_new && self.holdings.len() >= MOST_DIRECTORIES {
            return Err(Refusal::new(
                RefusalCode::TooLarge,
                format!("there are {MOST_DIRECTORIES} directories already"),
                "NAME",
                "forget one first: \"unset ldap NAME\"",
            ));
        }
        let mut fresh = is_new.then(|| Holding::new(name));
        let holding = match &mut fresh {
            Some(fresh) => fresh,
            None => self.holding(name)?,
        };
        let before = (holding.settings.clone(), holding.cursor.clone());
        holding.change(change)?;
        let (settings, cursor) = (holding.settings.clone(), holding.cursor.clone());
        let (read, full) = (holding.read_unix_ms, holding.full_unix_ms);
        let record = records::directory(&self.seal, &settings, &cursor, read, full);
        let kept = match record {
            Some(record) => apply::keep(&self.node, vec![record]).await,
            None => Err(no_seal()),
        };
        if kept.is_err() {
            if let Ok(holding) = self.holding(name) {
                (holding.settings, holding.cursor) = before;
            }
            return kept;
        }
        if let Some(fresh) = fresh {
            self.holdings.insert(name.to_owned(), fresh);
        }
        self.alarms();
        Ok(())
    }

    async fn unset(&mut self, name: &str) -> Result<(), Refusal> {
        let holding = self.holding(name)?;
        if holding.is_reading {
            return Err(busy(name));
        }
        let mut changes = vec![records::no_directory(name)];
        changes.extend(holding.known.keys().map(|key| records::person(name, key, None)));
        changes.extend(holding.groups.keys().map(|group| records::group(name, group, None)));
        apply::keep(&self.node, changes).await?;
        if let Some(holding) = self.holdings.remove(name) {
            for known in holding.known.values() {
                self.people.remove(name, &known.person.id);
            }
        }
        self.publish_groups().await?;
        self.alarms();
        Ok(())
    }

    fn test(&mut self, name: &str, reply: Reply<Vec<admin_api::directory::ServerTrial>>) {
        let (settings, tls) = match self.holding(name) {
            Ok(holding) => (holding.settings.clone(), holding.tls()),
            Err(refusal) => {
                let _ = reply.send(Err(refusal));
                return;
            }
        };
        tokio::spawn(async move {
            let trial = {
                let settings = settings.clone();
                tokio::spawn(async move { read::test(&settings, tls.as_ref()).await })
            };
            let told = match trial.await {
                Ok(Ok(trials)) => Ok(trials.into_iter().map(views::trial).collect()),
                Ok(Err(failure)) => Err(refusal(&failure)),
                Err(_) => Err(refusal(&fell_over(&settings.name))),
            };
            let _ = reply.send(told);
        });
    }

    /// Begins to read a directory.
    fn begin(&mut self, name: &str, wish: Wish, reply: Option<Reply<Box<SyncReport>>>) {
        let ended = self.ended.clone();
        let holding = match self.holding(name) {
            Ok(holding) => holding,
            Err(refusal) => {
                tell(reply, Err(refusal));
                return;
            }
        };
        if holding.is_reading {
            match reply {
                Some(reply) if holding.waiting.len() < MOST_WAITING => {
                    holding.waiting.push((wish, reply));
                }
                reply => tell(reply, Err(busy(name))),
            }
            return;
        }
        if let Err(failure) = holding.settings.check() {
            tell(reply, Err(refusal(&failure)));
            return;
        }
        holding.is_reading = true;
        let is_late = matches!(holding.cursor, Cursor::Modified(_))
            && unix_millis().saturating_sub(holding.full_unix_ms) > FULL_EVERY_MS;
        let is_full = wish.is_full || wish.is_preview || is_late;
        let cursor = if is_full { Cursor::Start } else { holding.cursor.clone() };
        let (settings, tls, keys) = (holding.settings.clone(), holding.tls(), holding.keys());
        let name = name.to_owned();
        tokio::spawn(async move {
            let started = Instant::now();
            let reading = tokio::spawn(async move {
                let whole = async {
                    let reading = read::read(&settings, tls.as_ref(), &cursor, &keys).await?;
                    let groups = group::read(&settings, tls.as_ref()).await?;
                    Ok((reading, groups))
                };
                let limit = timeout(READ_WITHIN, whole).await;
                limit.unwrap_or_else(|_| Err(too_long(&settings.name)))
            });
            let outcome = reading.await.unwrap_or_else(|_| Err(fell_over(&name)));
            let took = started.elapsed();
            // Without the task there is nobody to tell.
            let _ = ended.send(Ended { name, wish, reply, took, outcome }).await;
        });
    }

    async fn take(&mut self, ended: Ended) {
        let Ended { name, wish, reply, took, outcome } = ended;
        let Ok(holding) = self.holding(&name) else { return };
        holding.is_reading = false;
        let applied = match outcome {
            Err(failure) => {
                tracing::warn!(directory = name, %failure, "the directory could not be read");
                let told = refusal(&failure);
                holding.failure = Some(failure);
                Err(told)
            }
            Ok((reading, groups)) => {
                holding.failure = None;
                self.apply(&name, wish, reading, &groups, took).await
            }
        };
        tell(reply, applied);
        if let Ok(holding) = self.holding(&name) {
            holding.schedule();
            if !holding.waiting.is_empty() {
                let (wish, reply) = holding.waiting.remove(0);
                self.begin(&name, wish, Some(reply));
            }
        }
        self.alarms();
    }

    async fn apply(
        &mut self,
        name: &str,
        wish: Wish,
        reading: Reading,
        groups: &[Group],
        took: Duration,
    ) -> Result<Box<SyncReport>, Refusal> {
        let users = apply::users(&self.node).await?;
        let plan = self.plan(name, wish, &reading, &users).await?;
        let mut report = SyncReport {
            directory: name.to_owned(),
            is_preview: wish.is_preview,
            server: reading.server,
            is_full: reading.is_full,
            read: u64::try_from(reading.people.len() + reading.unusable.len()).unwrap_or(u64::MAX),
            took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            unusable: views::unusable(&reading.unusable),
            unchanged: u64::try_from(plan.unchanged).unwrap_or(u64::MAX),
            references: u64::try_from(reading.references).unwrap_or(u64::MAX),
            held_back: plan.held_back.clone(),
            ..SyncReport::default()
        };
        if wish.is_preview {
            self.foresee(name, plan, &mut report);
            return Ok(Box::new(report));
        }
        let started = Instant::now();
        let is_held_back = plan.held_back.is_some();
        let holding = self.holdings.get_mut(name).ok_or_else(|| busy(name))?;
        holding.held_back.clone_from(&plan.held_back);
        let mut applying = Applying {
            node: &self.node,
            people: &self.people,
            name,
            known: &mut holding.known,
            report: &mut report,
            changes: Vec::new(),
        };
        applying.all(plan.steps).await?;
        let mut changes = groups_changed(name, holding, groups);
        // What is held back must be told again the next time.
        if !is_held_back {
            holding.cursor = reading.cursor;
        }
        holding.read_unix_ms = unix_millis();
        if reading.is_full {
            holding.full_unix_ms = holding.read_unix_ms;
        }
        let (read, full) = (holding.read_unix_ms, holding.full_unix_ms);
        let record = records::directory(&self.seal, &holding.settings, &holding.cursor, read, full);
        changes.push(record.ok_or_else(no_seal)?);
        apply::keep(&self.node, changes).await?;
        self.publish_groups().await?;
        let took = took + started.elapsed();
        report.took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        tracing::info!(
            directory = name,
            read = report.read,
            added = report.added.count,
            changed = report.changed.count,
            disabled = report.disabled.count,
            refused = report.refused.count,
            "synchronized"
        );
        Ok(Box::new(report))
    }

    async fn plan(
        &mut self,
        name: &str,
        wish: Wish,
        reading: &Reading,
        users: &[UserView],
    ) -> Result<Plan, Refusal> {
        let totals = self.node.totals().await.map_err(crate::administration::unanswered)?;
        let mut others: BTreeMap<String, bool> =
            users.iter().map(|user| (user.id.clone(), false)).collect();
        for (other, holding) in &self.holdings {
            for known in holding.known.values() {
                if matches!(known.standing, Standing::Waiting(_)) {
                    continue;
                }
                if other == name {
                    others.remove(&known.person.id);
                } else if let Some(is_of_other) = others.get_mut(&known.person.id) {
                    *is_of_other = true;
                }
            }
        }
        let there: std::collections::BTreeSet<&str> =
            users.iter().map(|user| user.id.as_str()).collect();
        let holding = self.holding(name)?;
        for known in holding.known.values_mut() {
            if known.standing == Standing::User && !there.contains(known.person.id.as_str()) {
                known.standing = Standing::Waiting("the user was deleted here".to_owned());
            }
        }
        Ok(plan::plan(
            Before {
                known: &holding.known,
                others: &others,
                free: totals.max_users.saturating_sub(totals.enabled_users) as usize,
                now_unix_ms: unix_millis(),
                grace_ms: u64::from(holding.settings.grace_hours) * 3_600_000,
                is_forced: wish.is_forced,
            },
            reading,
        ))
    }

    /// What a plan would do.
    fn foresee(&self, name: &str, plan: Plan, report: &mut SyncReport) {
        let known = |key: &Key| {
            let holding = self.holdings.get(name)?;
            holding.known.get(key).map(|known| known.person.id.clone())
        };
        for step in plan.steps {
            match step {
                Step::Disable(key) => report.disabled.add(known(&key).unwrap_or_default()),
                Step::Delete(key) => report.deleted.add(known(&key).unwrap_or_default()),
                Step::Rename { from, person } => {
                    report.renamed.add(format!("{from} to {}", person.id));
                }
                Step::Return(person) => report.returned.add(person.id),
                Step::Change(person) => report.changed.add(person.id),
                Step::Add(person) => report.added.add(person.id),
                Step::Adopt(person) => report.adopted.add(person.id),
                Step::Refuse(person, why) => {
                    report.refused.add(format!("{}: {why}", person.dn));
                }
            }
        }
    }

    fn groups(&self) -> Vec<GroupView> {
        let all = self.holdings.iter().flat_map(|(directory, holding)| {
            holding.groups.iter().map(|(name, members)| GroupView {
                name: name.clone(),
                uri: format!(
                    "sip:{}@{}",
                    presence::group::user_part(name),
                    self.node.settings().domain
                ),
                directory: directory.clone(),
                members: members.iter().map(|id| id.as_str().into()).collect(),
            })
        });
        let mut all: Vec<_> = all.collect();
        all.sort_by(|a, b| (&a.name, &a.directory).cmp(&(&b.name, &b.directory)));
        all
    }

    /// Makes lists of the groups of all directories.
    async fn publish_groups(&self) -> Result<(), Refusal> {
        let drafts = self.holdings.values().flat_map(|holding| {
            holding.groups.iter().map(|(name, members)| GroupDraft {
                name: name.clone(),
                members: members.iter().cloned().collect(),
            })
        });
        let command = Command::SetGroups(drafts.collect());
        self.node.command(command).await.map_err(crate::administration::unanswered)?;
        Ok(())
    }

    /// Raises and ends alarms by how the directories do.
    fn alarms(&self) {
        let joined = |what: &dyn Fn(&Holding) -> Option<String>| {
            let words: Vec<String> = self
                .holdings
                .values()
                .filter_map(|holding| {
                    Some(format!("{}: {}", holding.settings.name, what(holding)?))
                })
                .collect();
            (!words.is_empty()).then(|| words.join("; "))
        };
        let alarms = &self.node.alarms;
        alarms.set(
            AlarmKind::DirectoryFailed,
            joined(&|holding| holding.failure.as_ref().map(ToString::to_string)),
        );
        alarms.set(AlarmKind::DirectoryHeldBack, joined(&|holding| holding.held_back.clone()));
        alarms.set(AlarmKind::DirectoryOverflow, joined(&waiting));
    }
}

/// Who cannot be a user, in words.
fn waiting(holding: &Holding) -> Option<String> {
    const NAMED: usize = 5;
    let waiting = || {
        holding
            .known
            .values()
            .filter(|known| matches!(known.standing, Standing::Waiting(_)))
            .map(|known| known.person.id.as_str())
    };
    let count = waiting().count();
    if count == 0 {
        return None;
    }
    let named: Vec<_> = waiting().take(NAMED).collect();
    let more = if count > NAMED { ", …" } else { "" };
    Some(format!("{count} people are no users: {}{more}", named.join(", ")))
}

/// Brings the groups up to date: what is to be kept for that.
fn groups_changed(
    name: &str,
    holding: &mut Holding,
    groups: &[Group],
) -> Vec<presence::record::Change> {
    let users = holding.known.values().filter(|known| known.standing == Standing::User);
    let people = users
        .map(|known| (normal(&known.person.dn), known.person.id.clone()))
        .collect::<BTreeMap<_, _>>();
    let fresh = group::members(groups, &people);
    let mut changes = Vec::new();
    for (group, members) in &fresh {
        if holding.groups.get(group) != Some(members) {
            changes.push(records::group(name, group, Some(members)));
        }
    }
    for group in holding.groups.keys().filter(|group| !fresh.contains_key(*group)) {
        changes.push(records::group(name, group, None));
    }
    holding.groups = fresh;
    changes
}

fn tell(reply: Option<Reply<Box<SyncReport>>>, told: Result<Box<SyncReport>, Refusal>) {
    match (reply, told) {
        // Whoever asked may have given up.
        (Some(reply), told) => drop(reply.send(told)),
        (None, Err(refusal)) => tracing::warn!(%refusal, "a directory was not synchronized"),
        (None, Ok(_)) => {}
    }
}

fn busy(name: &str) -> Refusal {
    Refusal::new(
        RefusalCode::Busy,
        format!("the directory {name} is being read"),
        "NAME",
        "try again in a moment",
    )
}

fn no_seal() -> Refusal {
    refusal(&Failure::new(
        FailureKind::Settings,
        "presenced",
        "the password could not be encrypted: the machine gives no random numbers",
    ))
}

fn check_name(name: &str) -> Result<(), Refusal> {
    const LONGEST: usize = 40;
    let is_name = !name.is_empty()
        && name.len() <= LONGEST
        && name.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-_.".contains(&octet));
    if is_name {
        return Ok(());
    }
    Err(Refusal::new(
        RefusalCode::InvalidValue,
        format!("{name:?} cannot be the name of a directory"),
        "NAME",
        "choose 1 to 40 letters, digits and - _ .",
    ))
}
