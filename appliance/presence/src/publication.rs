//! Event state published for a presentity (RFC 3903): initial, refresh, modify, remove.

use std::sync::Arc;
use std::time::Duration;

use sip::clock::{Instant, Now, WallTime};
use sip::flow::ConnectionId;
use sip::header::event::Event;
use sip::header::media_type::{Accept, MediaType};
use sip::message::{HeaderAccess, Request};

use crate::authentication::Identity;
use crate::command::PublicationView;
use crate::document::guard::Limits as DocumentLimits;
use crate::document::pidf::{PublishedDocument, Tuple};
use crate::event_state::Package;
use crate::reach;
use crate::record::{PublicationRecord, Table, encode};
use crate::rejection::{PIDF, Rejection};
use crate::server::{Incoming, Server};
use crate::status::hidden;
use crate::user::{User, UserSlot};

/// One piece of event state.
#[derive(Debug, Clone)]
pub(crate) struct Publication {
    /// Its key in the store, unique among the publications of its user.
    pub(crate) number: u32,
    pub(crate) entity_tag: String,
    pub(crate) document: PublishedDocument,
    pub(crate) modified: WallTime,
    pub(crate) expires: Instant,
    pub(crate) expires_wall: WallTime,
    pub(crate) origin: Origin,
    /// The connection that it came over, if it did.
    pub(crate) connection: Option<ConnectionId>,
}

/// By what a device is known when it publishes anew without its entity-tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin {
    call_id: String,
    user_agent: String,
    source: String,
}

impl Publication {
    pub(crate) fn record(&self) -> PublicationRecord {
        PublicationRecord {
            entity_tag: self.entity_tag.clone(),
            document: self.document.source().to_vec(),
            modified_millis: self.modified.as_millis(),
            expires_millis: self.expires_wall.as_millis(),
            call_id: self.origin.call_id.clone(),
            user_agent: self.origin.user_agent.clone(),
            source: self.origin.source.clone(),
        }
    }

    /// The publication of a record; `None` when its document is not accepted.
    pub(crate) fn restore(
        number: u32,
        record: PublicationRecord,
        now: Now,
        limits: &DocumentLimits,
    ) -> Option<Self> {
        let expires_wall = WallTime::from_millis(record.expires_millis);
        Some(Self {
            number,
            document: PublishedDocument::parse(&record.document, limits).ok()?,
            entity_tag: record.entity_tag,
            modified: WallTime::from_millis(record.modified_millis),
            expires: now.monotonic + expires_wall.since(now.wall),
            expires_wall,
            origin: Origin {
                call_id: record.call_id,
                user_agent: record.user_agent,
                source: record.source,
            },
            connection: None,
        })
    }

    /// The publication as an administrator sees it.
    pub(crate) fn view(&self, now: Now) -> PublicationView {
        PublicationView {
            entity_tag: self.entity_tag.clone(),
            modified: self.modified,
            expires_in: self.expires.since(now.monotonic),
            source: if self.origin.user_agent.is_empty() {
                self.origin.source.clone()
            } else {
                format!("{} at {}", self.origin.user_agent, self.origin.source)
            },
            document: Arc::clone(self.document.source()),
        }
    }

    pub(crate) fn key(&self, user_id: &str) -> Vec<u8> {
        Self::key_of(user_id, self.number)
    }

    /// The key of the publication of this number.
    pub(crate) fn key_of(user_id: &str, number: u32) -> Vec<u8> {
        Table::Publication.key(&[user_id.as_bytes(), &number.to_be_bytes()])
    }

    /// One that nobody published by SIP, and that nobody can refresh.
    pub(crate) fn made_here(
        number: u32,
        document: PublishedDocument,
        modified: WallTime,
        expires: Instant,
        expires_wall: WallTime,
    ) -> Self {
        Self {
            number,
            entity_tag: String::new(),
            document,
            modified,
            expires,
            expires_wall,
            origin: Origin {
                call_id: String::new(),
                user_agent: "set by hand".to_owned(),
                source: "the API".to_owned(),
            },
            connection: None,
        }
    }

    /// Whether a new document comes from the device that published this one: it continues the
    /// same call, names the same device (RFC 4479 §3.3), or is the same program at the same
    /// address with the same tuples. So a device that lost its entity-tag replaces what it said
    /// before, and two devices of one make do not replace each other.
    fn is_from(&self, origin: &Origin, document: &PublishedDocument) -> bool {
        if self.entity_tag.is_empty() {
            return false;
        }
        if self.origin.call_id == origin.call_id {
            return true;
        }
        let (ours, theirs) = (device_ids(&self.document), device_ids(document));
        if !ours.is_empty() && !theirs.is_empty() {
            return ours == theirs;
        }
        self.origin.source == origin.source
            && self.origin.user_agent == origin.user_agent
            && self
                .document
                .tuples()
                .iter()
                .map(Tuple::id)
                .eq(document.tuples().iter().map(Tuple::id))
    }
}

impl Server {
    /// PUBLISH, in the order of RFC 3903 §6.
    pub(crate) fn publish(
        &mut self,
        now: Now,
        incoming: &Incoming,
        slot: UserSlot,
        identity: Identity,
    ) -> Result<(), Rejection> {
        let request = &incoming.request;
        if let Some(package) = Package::of(&event_of(request)?.package) {
            return self.publish_state(now, incoming, slot, identity, package);
        }
        check_event(request)?;
        if let Identity::User(user) = identity
            && user != slot
        {
            return Err(Rejection::Forbidden("Not Your Presence"));
        }
        // RFC 3903 §6 step 3: which publication is meant.
        let place = match request.headers.value("SIP-If-Match") {
            None => None,
            Some(tag) => Some(self.find_publication(slot, tag).ok_or(Rejection::UnknownEntityTag)?),
        };
        // Step 4.
        let expires = self.granted_expires(request)?;
        // Steps 5 and 6.
        let document = self.published_document(request)?;
        let tag = self.entropy.token();
        match (place, document) {
            (None, None) => return Err(Rejection::Malformed("Initial PUBLISH Needs A Body")),
            (Some(place), _) if expires.is_zero() => {
                self.remove_publications(slot, |index, _| index == place);
            }
            (None, Some(_)) if expires.is_zero() => {}
            (Some(place), document) => {
                self.modify(now, incoming, slot, place, document, &tag, expires);
            }
            (None, Some(document)) => {
                self.add(now, incoming, slot, document, &tag, expires)?;
            }
        }
        let (to_tag, expires) = (self.entropy.token(), expires.as_secs().to_string());
        self.accept(now, incoming, &to_tag, &[("SIP-ETag", &tag), ("Expires", &expires)]);
        self.tell_watchers(now, slot);
        Ok(())
    }

    fn find_publication(&self, slot: UserSlot, tag: &str) -> Option<usize> {
        let tag = tag.trim();
        // What was not published by SIP has none.
        let publications = &self.users.get(slot)?.publications;
        publications.iter().position(|p| !tag.is_empty() && p.entity_tag == tag)
    }

    fn published_document(
        &mut self,
        request: &Request,
    ) -> Result<Option<PublishedDocument>, Rejection> {
        if request.body.is_empty() {
            return Ok(None);
        }
        let encoding = request.headers.value("Content-Encoding").map(str::trim);
        if encoding.is_some_and(|encoding| !encoding.eq_ignore_ascii_case("identity")) {
            return Err(Rejection::UnsupportedEncoding);
        }
        let is_pidf = request
            .headers
            .value("Content-Type")
            .and_then(|value| MediaType::parse(value).ok())
            .is_some_and(|media| media.is("application", "pidf+xml"));
        if !is_pidf {
            return Err(Rejection::UnsupportedMediaType);
        }
        if request.body.len() > self.config.limits.document_bytes {
            return Err(Rejection::TooLarge);
        }
        PublishedDocument::parse(&request.body, &self.document_limits).map(Some).map_err(|error| {
            self.counters.documents_refused += 1;
            Rejection::BadDocument(error.to_string())
        })
    }

    #[expect(clippy::too_many_arguments, reason = "each says another thing about one change")]
    fn modify(
        &mut self,
        now: Now,
        incoming: &Incoming,
        slot: UserSlot,
        place: usize,
        document: Option<PublishedDocument>,
        tag: &str,
        expires: Duration,
    ) {
        let Some(user) = self.users.get_mut(slot) else { return };
        let Some(publication) = user.publications.get_mut(place) else { return };
        tag.clone_into(&mut publication.entity_tag);
        publication.expires = now.monotonic + expires;
        publication.expires_wall = now.wall + expires;
        publication.connection = connection_of(incoming);
        if let Some(document) = document.filter(|document| *document != publication.document) {
            publication.document = document;
            publication.modified = now.wall;
            user.is_stale = true;
        }
        let due = publication.expires;
        let (key, value) = (publication.key(&user.id), encode(&publication.record()));
        self.save(key, Some(value));
        self.arm_user(slot, due);
    }

    fn add(
        &mut self,
        now: Now,
        incoming: &Incoming,
        slot: UserSlot,
        document: PublishedDocument,
        tag: &str,
        expires: Duration,
    ) -> Result<(), Rejection> {
        let headers = &incoming.request.headers;
        let origin = Origin {
            call_id: headers.value("Call-ID").unwrap_or_default().to_owned(),
            user_agent: headers.value("User-Agent").unwrap_or_default().to_owned(),
            source: incoming.flow.peer.ip().to_canonical().to_string(),
        };
        let limit = self.config.limits.publications_per_user;
        let Some(user) = self.users.get_mut(slot) else { return Err(Rejection::NotFound) };
        let place = user.publications.iter().position(|p| p.is_from(&origin, &document));
        let number = match place.and_then(|place| user.publications.get(place)) {
            Some(old) => old.number,
            None if user.publications.len() >= limit => {
                return Err(Rejection::LimitReached("Too Many Publications"));
            }
            None => {
                user.next_publication = user.next_publication.wrapping_add(1);
                user.next_publication
            }
        };
        let publication = Publication {
            number,
            entity_tag: tag.to_owned(),
            document,
            modified: now.wall,
            expires: now.monotonic + expires,
            expires_wall: now.wall + expires,
            origin,
            connection: connection_of(incoming),
        };
        let due = publication.expires;
        let (key, value) = (publication.key(&user.id), encode(&publication.record()));
        match place.and_then(|place| user.publications.get_mut(place)) {
            Some(place) => *place = publication,
            None => user.publications.push(publication),
        }
        user.is_stale = true;
        self.save(key, Some(value));
        self.arm_user(slot, due);
        Ok(())
    }

    /// Forgets publications, in memory and on disk.
    pub(crate) fn remove_publications(
        &mut self,
        slot: UserSlot,
        which: impl Fn(usize, &Publication) -> bool,
    ) {
        let Some(user) = self.users.get_mut(slot) else { return };
        let mut keys = Vec::new();
        let mut kept = Vec::with_capacity(user.publications.len());
        for (index, publication) in std::mem::take(&mut user.publications).into_iter().enumerate() {
            if which(index, &publication) {
                keys.push(publication.key(&user.id));
            } else {
                kept.push(publication);
            }
        }
        user.publications = kept;
        if !keys.is_empty() {
            user.is_stale = true;
        }
        for key in keys {
            self.save(key, None);
        }
    }
}

/// The connection that a publication stands and falls with.
fn connection_of(incoming: &Incoming) -> Option<ConnectionId> {
    let is_own = incoming.flow.transport.is_reliable() && reach::is_direct(&incoming.request);
    is_own.then_some(incoming.flow.connection)
}

fn device_ids(document: &PublishedDocument) -> Vec<&str> {
    let mut ids: Vec<&str> = document.tuples().iter().filter_map(Tuple::device_id).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// The publications of a user in the compositor's terms.
pub(crate) fn inputs(user: &User) -> Vec<crate::compositor::Input<'_>> {
    if let Some(hidden) = hidden(user) {
        let published = hidden.modified;
        return vec![crate::compositor::Input {
            document: &hidden.document,
            published,
            key: u64::from(hidden.number),
        }];
    }
    let published = user.publications.iter().map(|publication| crate::compositor::Input {
        document: &publication.document,
        published: publication.modified,
        key: u64::from(publication.number),
    });
    // Hard state is older than anything that was published (RFC 4827 §1).
    let hard_state = user.documents.hard_state.iter().map(|document| crate::compositor::Input {
        document,
        published: WallTime::from_millis(0),
        key: 0,
    });
    published.chain(hard_state).collect()
}

/// Refuses packages other than `presence` (RFC 3903 §6 step 2, RFC 6665 §4.2.1.1).
pub(crate) fn check_event(request: &Request) -> Result<Event, Rejection> {
    let event = event_of(request)?;
    if event.package == PRESENCE { Ok(event) } else { Err(Rejection::UnknownEventPackage) }
}

/// The event that a request is about.
pub(crate) fn event_of(request: &Request) -> Result<Event, Rejection> {
    let event = request.headers.value("Event").ok_or(Rejection::UnknownEventPackage)?;
    Event::parse(event).map_err(|_| Rejection::Malformed("Bad Event"))
}

/// The name of the package (RFC 3856 §6.1).
pub(crate) const PRESENCE: &str = "presence";

/// Whether the sender takes presence documents; absent, it does (RFC 3856 §6.6).
pub(crate) fn accepts_pidf(request: &Request) -> bool {
    let mut values = request.headers.values("Accept");
    if let (Some(PIDF), None) = (values.next(), values.next()) {
        return true;
    }
    Accept::from_values(request.headers.values("Accept"))
        .is_ok_and(|accept| accept.accepts("application", "pidf+xml"))
}
