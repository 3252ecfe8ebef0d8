//! Reading the people of a directory: all of them, or what has changed since the last time.

use std::collections::BTreeSet;
use std::sync::Arc;

use ldap3::Scope;
use ldap3::controls::{
    Control, ControlType, EntryState, MakeCritical as _, RefreshMode, SyncDone, SyncInfo,
    SyncRequest, SyncState, parse_syncinfo,
};
use rustls::ClientConfig;
use serde::{Deserialize, Serialize};

use crate::attribute::AttributeMap;
use crate::connection::{Connection, Returned, Search};
use crate::entry::Entry;
use crate::failure::{Failure, FailureKind};
use crate::person::{self, Key, Person, Unusable};
use crate::settings::{Directory, Kind};

/// The Sync Request control (RFC 4533 §2.2).
const SYNC_REQUEST: &str = "1.3.6.1.4.1.4203.1.9.1.1";
/// unavailableCriticalExtension (RFC 4511 §4.1.11): the database behind the server has no such
/// control, though the server knows it.
const UNAVAILABLE_EXTENSION: &str = "result 12";
const TIMESTAMP: &str = "modifyTimestamp";

/// Where a reading ended; the next one begins there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cursor {
    /// Nothing was read yet: everything is.
    #[default]
    Start,
    /// A cookie (RFC 4533 §2.1.2).
    Cookie(Vec<u8>),
    /// The highest change number of one domain controller.
    ChangeNumber {
        /// Which one counts so (dsServiceName).
        controller: String,
        /// How far.
        highest: u64,
    },
    /// The latest modification that was seen, as the server writes it.
    Modified(String),
}

impl Cursor {
    /// How the next reading will find what has changed, in words.
    #[must_use]
    pub const fn method(&self) -> &'static str {
        match self {
            Self::Start => "everything is read",
            Self::Cookie(_) => "by content synchronization (RFC 4533)",
            Self::ChangeNumber { .. } => "by change number (uSNChanged)",
            Self::Modified(_) => "by time of modification (modifyTimestamp)",
        }
    }
}

/// What was read.
#[derive(Debug, Default)]
pub struct Reading {
    /// Whether these are all people, not only the changed ones.
    pub is_full: bool,
    /// People, in the order of the server.
    pub people: Vec<Person>,
    /// Those who were known and are there no longer.
    pub gone: Vec<Key>,
    /// Entries that match the filter and cannot be users.
    pub unusable: Vec<Unusable>,
    /// References to other servers, which are not followed.
    pub references: usize,
    /// Where the next reading begins.
    pub cursor: Cursor,
    /// The server that was read.
    pub server: String,
}

/// Reads what has changed since `cursor`, or everything at its start.
///
/// # Errors
/// Nobody answers, or the answer is not whole: nothing is known then.
pub async fn read(
    directory: &Directory,
    tls: Option<&Arc<ClientConfig>>,
    cursor: &Cursor,
    known: &BTreeSet<Key>,
) -> Result<Reading, Failure> {
    let mut reader = Reader {
        connection: Connection::open(directory, tls).await?,
        directory,
        map: directory.map(),
        known,
    };
    let read = match directory.kind {
        Kind::OpenLdap => reader.by_cookie(cursor).await,
        Kind::ActiveDirectory | Kind::AdLds => reader.by_change_number(cursor).await,
        Kind::Ds389 => reader.by_modification(cursor).await,
    };
    let mut reading = match read {
        Err(failure) if failure.kind == FailureKind::StartAnew => {
            tracing::info!(directory = directory.name, "the server wants to start anew");
            reader.by_cookie(&Cursor::Start).await?
        }
        read => read?,
    };
    reader.connection.server().clone_into(&mut reading.server);
    Ok(reading)
}

struct Reader<'a> {
    connection: Connection,
    directory: &'a Directory,
    map: AttributeMap,
    known: &'a BTreeSet<Key>,
}

/// What is found on the way.
struct Finding {
    kind: Kind,
    people: Vec<Person>,
    unusable: Vec<Unusable>,
    /// Entries that are there, people or not.
    unusable_keys: Vec<Key>,
    /// The latest modification.
    latest: String,
}

impl Finding {
    const fn new(kind: Kind) -> Self {
        Self {
            kind,
            people: Vec::new(),
            unusable: Vec::new(),
            unusable_keys: Vec::new(),
            latest: String::new(),
        }
    }

    fn take(&mut self, map: &AttributeMap, entry: &Entry) {
        if let Some(modified) = entry.text(TIMESTAMP)
            && modified > self.latest.as_str()
        {
            modified.clone_into(&mut self.latest);
        }
        match Person::read(self.kind, map, entry) {
            Ok(person) => self.people.push(person),
            Err(unusable) => {
                self.unusable.push(unusable);
                self.unusable_keys.extend(person::key(self.kind, entry));
            }
        }
    }

    /// Of those who were known, the ones that cannot be used any longer.
    fn lost(&self, known: &BTreeSet<Key>) -> Vec<Key> {
        self.unusable_keys.iter().filter(|key| known.contains(*key)).copied().collect()
    }
}

impl Reader<'_> {
    fn scope(&self) -> Scope {
        if self.directory.is_one_level { Scope::OneLevel } else { Scope::Subtree }
    }

    async fn by_cookie(&mut self, cursor: &Cursor) -> Result<Reading, Failure> {
        let root = self.connection.root(&["supportedControl"]).await?;
        if !root.texts("supportedControl").any(|control| control == SYNC_REQUEST) {
            return self.by_modification(cursor).await;
        }
        let cookie = match cursor {
            Cursor::Cookie(cookie) => Some(cookie.clone()),
            _ => None,
        };
        match self.synchronize(cookie).await {
            Err(failure)
                if failure.kind == FailureKind::Refused
                    && failure.what.contains(UNAVAILABLE_EXTENSION) =>
            {
                self.by_modification(cursor).await
            }
            read => read,
        }
    }

    /// Content synchronization, in the mode that ends (RFC 4533 §3.3).
    async fn synchronize(&mut self, cookie: Option<Vec<u8>>) -> Result<Reading, Failure> {
        let is_full = cookie.is_none();
        let mut next = cookie.clone();
        let control =
            SyncRequest { mode: RefreshMode::RefreshOnly, cookie, reload_hint: false }.critical();
        let attributes = person::attributes(self.directory.kind, &self.map);
        let search = Search {
            base: &self.directory.base,
            scope: self.scope(),
            filter: self.directory.people(),
            attributes: &attributes,
        };
        let map = &self.map;
        let mut finding = Finding::new(self.directory.kind);
        let (mut present, mut gone) = (BTreeSet::new(), Vec::new());
        let searched = self
            .connection
            .search_once(search, vec![control.into()], |returned| {
                match returned {
                    Returned::Entry(entry, controls) => {
                        let state = sync_state(&controls);
                        let uuid = state.as_ref().and_then(|state| uuid(&state.entry_uuid));
                        match (state.map(|state| state.state), uuid) {
                            (Some(EntryState::Delete), Some(uuid)) => gone.push(uuid),
                            (Some(EntryState::Present), Some(uuid)) => {
                                present.insert(uuid);
                            }
                            _ => {
                                finding.take(map, &entry);
                                present.extend(uuid);
                            }
                        }
                    }
                    Returned::Intermediate(found) => match parse_syncinfo(found) {
                        SyncInfo::NewCookie(cookie) => next = Some(cookie),
                        SyncInfo::RefreshDelete { cookie, .. }
                        | SyncInfo::RefreshPresent { cookie, .. } => {
                            next = cookie.or_else(|| next.take());
                        }
                        SyncInfo::SyncIdSet { cookie, refresh_deletes, sync_uuids } => {
                            next = cookie.or_else(|| next.take());
                            let uuids = sync_uuids.iter().filter_map(|octets| uuid(octets));
                            if refresh_deletes { gone.extend(uuids) } else { present.extend(uuids) }
                        }
                    },
                }
                Ok(())
            })
            .await?;
        let done = sync_done(&searched.controls);
        let are_deletes_told = done.as_ref().is_some_and(|done| done.refresh_deletes);
        next = done.and_then(|done| done.cookie).or(next);
        if !are_deletes_told {
            // Whoever was neither sent nor called present is not there (RFC 4533 §3.3.2).
            gone = self.known.difference(&present).copied().collect();
        }
        gone.extend(finding.lost(self.known));
        gone.retain(|key| self.known.contains(key));
        Ok(Reading {
            is_full,
            people: finding.people,
            gone,
            unusable: finding.unusable,
            references: searched.references,
            cursor: next.map_or(Cursor::Start, Cursor::Cookie),
            server: String::new(),
        })
    }

    /// Active Directory: each domain controller numbers the changes that it has taken.
    async fn by_change_number(&mut self, cursor: &Cursor) -> Result<Reading, Failure> {
        let root = self.connection.root(&["highestCommittedUSN", "dsServiceName"]).await?;
        let now = root.text("highestCommittedUSN").and_then(|number| number.parse::<u64>().ok());
        let (Some(now), Some(controller)) = (now, root.text("dsServiceName")) else {
            return self.by_modification(cursor).await;
        };
        let next = Cursor::ChangeNumber { controller: controller.to_owned(), highest: now };
        match cursor {
            Cursor::ChangeNumber { controller: before, highest }
                if before == controller && *highest <= now =>
            {
                if *highest == now {
                    return Ok(Reading { cursor: next, ..Reading::default() });
                }
                let changed = format!("(uSNChanged>={})", highest.saturating_add(1));
                self.changed(&changed, |_| next).await
            }
            _ => self.everything(|_| next).await,
        }
    }

    /// Any other server: what was modified since, and a list of who is there.
    async fn by_modification(&mut self, cursor: &Cursor) -> Result<Reading, Failure> {
        match cursor {
            Cursor::Modified(since) => {
                let changed = format!("({TIMESTAMP}>={since})");
                let since = since.clone();
                self.changed(&changed, |latest| {
                    Cursor::Modified(if latest.is_empty() { since } else { latest })
                })
                .await
            }
            _ => {
                self.everything(|latest| {
                    if latest.is_empty() { Cursor::Start } else { Cursor::Modified(latest) }
                })
                .await
            }
        }
    }

    async fn everything(
        &mut self,
        cursor: impl FnOnce(String) -> Cursor,
    ) -> Result<Reading, Failure> {
        let (finding, references) = self.find(self.directory.people()).await?;
        let people: BTreeSet<Key> = finding.people.iter().map(|person| person.key).collect();
        Ok(Reading {
            is_full: true,
            gone: self.known.difference(&people).copied().collect(),
            people: finding.people,
            unusable: finding.unusable,
            references,
            cursor: cursor(finding.latest),
            server: String::new(),
        })
    }

    async fn changed(
        &mut self,
        changed: &str,
        cursor: impl FnOnce(String) -> Cursor,
    ) -> Result<Reading, Failure> {
        let filter = format!("(&{}{changed})", self.directory.people());
        let (finding, references) = self.find(&filter).await?;
        let lost = finding.lost(self.known);
        let Finding { people, unusable, latest, .. } = finding;
        let there = self.keys().await?;
        let mut gone: Vec<_> = self.known.difference(&there).copied().collect();
        gone.extend(lost.into_iter().filter(|key| there.contains(key)));
        Ok(Reading {
            is_full: false,
            people,
            gone,
            unusable,
            references,
            cursor: cursor(latest),
            server: String::new(),
        })
    }

    async fn find(&mut self, filter: &str) -> Result<(Finding, usize), Failure> {
        let mut attributes = person::attributes(self.directory.kind, &self.map);
        attributes.push(TIMESTAMP);
        let search = Search {
            base: &self.directory.base,
            scope: if self.directory.is_one_level { Scope::OneLevel } else { Scope::Subtree },
            filter,
            attributes: &attributes,
        };
        let map = &self.map;
        let mut finding = Finding::new(self.directory.kind);
        let references = self
            .connection
            .search_pages(search, &[], |entry| {
                finding.take(map, &entry);
                Ok(())
            })
            .await?;
        Ok((finding, references))
    }

    /// Who is there.
    async fn keys(&mut self) -> Result<BTreeSet<Key>, Failure> {
        let kind = self.directory.kind;
        let search = Search {
            base: &self.directory.base,
            scope: self.scope(),
            filter: self.directory.people(),
            attributes: &[kind.key_attribute()],
        };
        let mut keys = BTreeSet::new();
        self.connection
            .search_pages(search, &[], |entry| {
                keys.extend(person::key(kind, &entry));
                Ok(())
            })
            .await?;
        Ok(keys)
    }
}

fn uuid(octets: &[u8]) -> Option<Key> {
    Key::try_from(octets).ok()
}

fn sync_state(controls: &[Control]) -> Option<SyncState> {
    let control = controls.iter().find(|c| matches!(c.0, Some(ControlType::SyncState)))?;
    control.1.val.is_some().then(|| control.1.parse())
}

fn sync_done(controls: &[Control]) -> Option<SyncDone> {
    let control = controls.iter().find(|c| matches!(c.0, Some(ControlType::SyncDone)))?;
    control.1.val.is_some().then(|| control.1.parse())
}

/// What a trial of one server came to.
#[derive(Debug)]
pub struct Trial {
    /// The server.
    pub server: String,
    /// What it said: how many people are on its first page, and the first of them.
    pub outcome: Result<Sample, Failure>,
}

/// A few people.
#[derive(Debug, Default)]
pub struct Sample {
    /// People on the first page.
    pub people: usize,
    /// Entries there that cannot be users.
    pub unusable: Vec<Unusable>,
    /// Whether there is more than the first page.
    pub is_more: bool,
    /// One of them.
    pub person: Option<Person>,
    /// Fields that none of them has.
    pub absent: Vec<crate::attribute::Field>,
}

/// Tries each server by itself.
///
/// # Errors
/// The settings lack something.
pub async fn test(
    directory: &Directory,
    tls: Option<&Arc<ClientConfig>>,
) -> Result<Vec<Trial>, Failure> {
    directory.check()?;
    let mut trials = Vec::new();
    for server in &directory.servers {
        let alone = Directory { servers: vec![server.clone()], ..directory.clone() };
        let outcome = sample(&alone, tls).await;
        trials.push(Trial { server: server.clone(), outcome });
    }
    Ok(trials)
}

async fn sample(directory: &Directory, tls: Option<&Arc<ClientConfig>>) -> Result<Sample, Failure> {
    const ENOUGH: usize = 500;
    let mut connection = Connection::open(directory, tls).await?;
    let map = &directory.map();
    let mut finding = Finding::new(directory.kind);
    let attributes = person::attributes(directory.kind, map);
    let search = Search {
        base: &directory.base,
        scope: if directory.is_one_level { Scope::OneLevel } else { Scope::Subtree },
        filter: directory.people(),
        attributes: &attributes,
    };
    // The end of the first page is no failure, but ends the search.
    let page = Failure::new(FailureKind::Incomplete, "", "enough");
    let mut count = 0;
    let searched = connection
        .search_pages(search, &[], |entry| {
            count += 1;
            finding.take(map, &entry);
            if count < ENOUGH { Ok(()) } else { Err(page.clone()) }
        })
        .await;
    let is_more = match searched {
        Ok(_) => false,
        Err(failure) if failure == page => true,
        Err(failure) => return Err(failure),
    };
    let absent = map
        .iter()
        .map(|(field, _)| field)
        .filter(|field| {
            !matches!(field, crate::attribute::Field::Id | crate::attribute::Field::Photo)
        })
        .filter(|field| finding.people.iter().all(|person| person.first(*field).is_none()))
        .collect();
    if finding.people.is_empty() {
        return Err(match finding.unusable.first() {
            Some(first) => Failure::new(FailureKind::Attribute, &*first.dn, first.why.clone()),
            None => Failure::new(
                FailureKind::Filter,
                &*directory.base,
                format!("no entry matches {}, or the account may not see it", directory.people()),
            ),
        });
    }
    Ok(Sample {
        people: finding.people.len(),
        is_more,
        absent,
        person: finding.people.into_iter().next(),
        unusable: finding.unusable,
    })
}

/// The picture of a person: the octets as the directory has them.
///
/// # Errors
/// The directory cannot be read.
pub async fn photo(
    directory: &Directory,
    tls: Option<&Arc<ClientConfig>>,
    dn: &str,
) -> Result<Option<Vec<u8>>, Failure> {
    let map = directory.map();
    let Some(attribute) = map.of(crate::attribute::Field::Photo) else { return Ok(None) };
    let mut connection = Connection::open(directory, tls).await?;
    let entry = connection.entry(dn, &[attribute]).await?;
    Ok(entry.and_then(|entry| entry.octets(attribute).next().map(<[u8]>::to_vec)))
}
