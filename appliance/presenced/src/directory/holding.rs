//! One directory as the task holds it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use admin_api::directory::{Directory as View, DirectoryChange, SyncReport};
use admin_api::refusal::{Refusal, RefusalCode};
use directory::attribute::Field;
use directory::failure::{Failure, FailureKind};
use directory::person::Key;
use directory::plan::{Known, Standing};
use directory::read::Cursor;
use directory::settings::{Directory, Kind, MOST_SERVERS, Password, Security, host_and_port};
use rustls::ClientConfig;
use tokio::time::Instant;

use super::records::KeptDirectory;
use super::{Reply, refusal, views};
use crate::sealed::Seal;

/// After a failure, the next reading comes no later than this.
const AGAIN_WITHIN: Duration = Duration::from_secs(300);
/// After the start, the first reading waits so long.
const FIRST_AFTER: Duration = Duration::from_secs(5);
/// Values that an administrator types are no longer than this.
const LONGEST: usize = 1_024;
const LONGEST_PEM: usize = 64 * 1_024;
const MOST_MINUTES: u32 = 60 * 24 * 7;
const MOST_HOURS: u32 = 24 * 365;

/// A directory: settings, people, and how it does.
pub(super) struct Holding {
    pub(super) settings: Directory,
    pub(super) cursor: Cursor,
    pub(super) known: BTreeMap<Key, Known>,
    pub(super) groups: BTreeMap<String, BTreeSet<String>>,
    pub(super) read_unix_ms: u64,
    /// When everything was last read.
    pub(super) full_unix_ms: u64,
    pub(super) failure: Option<Failure>,
    /// When it is read again.
    pub(super) due: Option<Instant>,
    pub(super) is_reading: bool,
    /// Why vanished people are not disabled.
    pub(super) held_back: Option<String>,
    /// Those who wait for the reading that goes on to end before theirs begins.
    pub(super) waiting: Vec<(super::Wish, Reply<Box<SyncReport>>)>,
}

impl std::fmt::Debug for Holding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Holding").field("name", &self.settings.name).finish_non_exhaustive()
    }
}

impl Holding {
    pub(super) fn new(name: &str) -> Self {
        Self::of(Directory::new(name), KeptDirectory::default())
    }

    pub(super) fn kept(mut kept: KeptDirectory, seal: &Seal) -> Option<Self> {
        let settings = kept.opened(seal)?;
        Some(Self::of(settings, kept))
    }

    fn of(settings: Directory, kept: KeptDirectory) -> Self {
        let mut holding = Self {
            settings,
            cursor: kept.cursor,
            known: kept.known,
            groups: kept.groups,
            read_unix_ms: kept.read_unix_ms,
            full_unix_ms: kept.full_unix_ms,
            failure: None,
            due: None,
            is_reading: false,
            held_back: None,
            waiting: Vec::new(),
        };
        if holding.is_scheduled() {
            holding.due = Some(Instant::now() + FIRST_AFTER);
        }
        holding
    }

    fn is_scheduled(&self) -> bool {
        self.settings.every_minutes > 0 && self.settings.check().is_ok()
    }

    /// Says when it is read next.
    pub(super) fn schedule(&mut self) {
        let every = Duration::from_secs(u64::from(self.settings.every_minutes) * 60);
        let pause = if self.failure.is_some() { every.min(AGAIN_WITHIN) } else { every };
        self.due = self.is_scheduled().then(|| Instant::now() + pause);
    }

    /// The TLS of its connections; none where it has none, or it cannot be made.
    pub(super) fn tls(&self) -> Option<Arc<ClientConfig>> {
        if self.settings.security == Security::Plain {
            return None;
        }
        let given = trust::certificates(&self.settings.trust_pem).unwrap_or_default();
        trust::client(given, self.settings.pins.clone()).map(Arc::new)
    }

    pub(super) fn keys(&self) -> BTreeSet<Key> {
        // Who has vanished is not known any longer: coming back is news.
        let is_there = |known: &Known| !matches!(known.standing, Standing::Gone { .. });
        self.known.iter().filter(|(_, known)| is_there(known)).map(|(key, _)| *key).collect()
    }

    /// Changes settings: all that is given, or nothing.
    pub(super) fn change(&mut self, change: &DirectoryChange) -> Result<(), Refusal> {
        let mut changed = self.settings.clone();
        apply(&mut changed, change)?;
        let is_other = (&changed.kind, &changed.base, &changed.filter, &changed.attributes)
            != (
                &self.settings.kind,
                &self.settings.base,
                &self.settings.filter,
                &self.settings.attributes,
            )
            || changed.is_one_level != self.settings.is_one_level
            || changed.servers != self.settings.servers;
        if is_other {
            self.cursor = Cursor::Start;
        }
        self.settings = changed;
        self.failure = None;
        self.due = self.is_scheduled().then(Instant::now);
        Ok(())
    }

    pub(super) fn view(&self) -> View {
        let count = |is: fn(&Standing) -> bool| {
            let counted = self.known.values().filter(|known| is(&known.standing)).count();
            u64::try_from(counted).unwrap_or(u64::MAX)
        };
        View {
            users: count(|standing| *standing == Standing::User),
            waiting: count(|standing| matches!(standing, Standing::Waiting(_))),
            gone: count(|standing| matches!(standing, Standing::Gone { .. })),
            groups: u64::try_from(self.groups.len()).unwrap_or(u64::MAX),
            is_reading: self.is_reading,
            method: self.cursor.method().to_owned(),
            read_unix_ms: (self.read_unix_ms > 0).then_some(self.read_unix_ms),
            failure: self.failure.as_ref().map(refusal),
            ..views::settings(&self.settings)
        }
    }
}

fn wrong(what: impl Into<String>, place: &str, next: &str) -> Refusal {
    Refusal::new(RefusalCode::InvalidValue, what, place, next)
}

fn apply(settings: &mut Directory, change: &DirectoryChange) -> Result<(), Refusal> {
    if let Some(kind) = &change.kind {
        settings.kind = Kind::named(kind).ok_or_else(|| {
            wrong(format!("{kind:?} is no type"), "type", "choose openldap, ad, adlds or 389")
        })?;
    }
    if let Some(security) = &change.security {
        settings.security = Security::named(security).ok_or_else(|| {
            wrong(format!("{security:?} is none"), "security", "choose ldaps, starttls or plain")
        })?;
    }
    if let Some(servers) = &change.servers {
        settings.servers = checked_servers(servers, settings.security)?;
    }
    if let Some(scope) = &change.scope {
        settings.is_one_level = match scope.as_str() {
            "subtree" => false,
            "one" => true,
            _ => return Err(wrong(format!("{scope:?} is none"), "scope", "choose subtree or one")),
        };
    }
    for (value, into, place) in [
        (&change.bind_dn, &mut settings.bind_dn, "bind-dn"),
        (&change.base, &mut settings.base, "base"),
        (&change.filter, &mut settings.filter, "filter"),
        (&change.group_filter, &mut settings.group_filter, "groups"),
    ] {
        if let Some(value) = value {
            if value.len() > LONGEST || value.chars().any(char::is_control) {
                return Err(wrong("the value is too long or no text", place, "shorten it"));
            }
            let is_filter = place == "filter" || place == "groups";
            if is_filter && !value.is_empty() && !directory::connection::is_filter(value) {
                let next = "write a filter as RFC 4515 has it: (objectClass=person)";
                return Err(wrong(format!("{value:?} is no filter"), place, next));
            }
            into.clone_from(value);
        }
    }
    if settings.bind_dn.is_empty() {
        settings.password = Password::default();
    } else if let Some(password) = &change.password {
        settings.password = Password::new(password.expose().to_owned());
    }
    if let Some(pem) = &change.trust_pem {
        let usable = trust::certificates(pem)
            .is_some_and(|given| trust::client(given, Vec::new()).is_some());
        if pem.len() > LONGEST_PEM || !(pem.is_empty() || usable) {
            return Err(wrong(
                "this is no certificate in PEM form",
                "trust",
                "send the certificate of the server or of its authority on standard input",
            ));
        }
        settings.trust_pem.clone_from(pem);
    }
    if let Some(pins) = &change.pins {
        let read = |pin: &String| {
            trust::fingerprint(pin).ok_or_else(|| {
                let next = "give 64 hexadecimal digits, as \"openssl x509 -fingerprint -sha256\" \
                            prints them";
                wrong(format!("{pin:?} is no SHA-256 fingerprint"), "pin", next)
            })
        };
        settings.pins = pins.iter().map(read).collect::<Result<_, _>>()?;
    }
    if let Some(attributes) = &change.attributes {
        settings.attributes = attributes.iter().map(attribute).collect::<Result<_, _>>()?;
    }
    if let Some(minutes) = change.every_minutes {
        if minutes > MOST_MINUTES {
            return Err(wrong("this is more than a week", "schedule", "choose fewer minutes"));
        }
        settings.every_minutes = minutes;
    }
    if let Some(hours) = change.grace_hours {
        if hours > MOST_HOURS {
            return Err(wrong("this is more than a year", "grace", "choose fewer hours"));
        }
        settings.grace_hours = hours;
    }
    Ok(())
}

fn checked_servers(servers: &[String], security: Security) -> Result<Vec<String>, Refusal> {
    if servers.len() > MOST_SERVERS {
        let what = format!("a directory has {MOST_SERVERS} servers at most");
        return Err(wrong(what, "servers", "name fewer, or make another directory"));
    }
    for server in servers {
        if host_and_port(server, security).is_none() {
            let what = format!("{server:?} is no server");
            return Err(wrong(what, "servers", "name a host, or HOST:PORT"));
        }
    }
    Ok(servers.to_vec())
}

/// `FIELD=ATTRIBUTE`.
fn attribute(text: &String) -> Result<(Field, String), Refusal> {
    let names = || Field::ALL.map(Field::name).join(", ");
    let no = || {
        wrong(
            format!("{text:?} is no field with its attribute"),
            "attributes",
            &format!("write FIELD=ATTRIBUTE; the fields are {}", names()),
        )
    };
    let (field, attribute) = text.split_once('=').ok_or_else(no)?;
    let is_attribute = attribute.len() <= 128
        && attribute.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-.;".contains(&octet));
    let field: Field = field.parse().map_err(|_| no())?;
    if is_attribute { Ok((field, attribute.to_owned())) } else { Err(no()) }
}

/// What a reading that takes too long comes to.
pub(super) fn too_long(name: &str) -> Failure {
    Failure::new(
        FailureKind::Incomplete,
        format!("ldap {name}"),
        "reading it took too long and was ended",
    )
}

/// What a reading that fell over comes to.
pub(super) fn fell_over(name: &str) -> Failure {
    Failure::new(
        FailureKind::Malformed,
        format!("ldap {name}"),
        "the server sent something that is no LDAP",
    )
}
