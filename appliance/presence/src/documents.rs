//! The documents that users keep here by XCAP (RFC 4825): which there are, who may touch them, and
//! what follows from a change.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sip::clock::Now;

use crate::administration::Undo;
use crate::command::{Answer, XcapMethod, XcapReply, XcapRequest};
use crate::document::guard::Limits;
use crate::document::pidf::PublishedDocument;
use crate::node_policy::Item;
use crate::output::Ticket;
use crate::policy::Ruleset;
use crate::record::{Change, DocumentRecord, Table, encode};
use crate::server::{Pending, Server};
use crate::user::{User, UserSlot};
use crate::xcap::edit::{self, ATTRIBUTE, ELEMENT};
use crate::xcap::list::{self, List, Member, Reference, Source};
use crate::xcap::schema::{self, Meaning};
use crate::xcap::selector::{Selector, Terminal, percent_decoded};
use crate::xcap::usage::capabilities;
use crate::xcap::{Conflict, Usage};

/// Documents that one user may keep.
const DOCUMENTS: usize = 32;
/// The longest name of a document.
const NAME_LIMIT: usize = 64;
/// How deep references between lists are followed.
const DEPTH: usize = 8;

/// What may be in a document.
const LIMITS: Limits =
    Limits { bytes: 512 * 1024, depth: 32, namespaces: 2048, attributes: 64, nodes: 128 * 1024 };

/// One document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredDocument {
    pub(crate) text: Arc<str>,
    /// Another one at every change.
    pub(crate) etag: u64,
}

/// A document's name among those of a user.
pub(crate) type Key = (Usage, Box<str>);

/// What a user keeps, and what is read from it once.
#[derive(Debug, Default)]
pub(crate) struct Documents {
    pub(crate) all: BTreeMap<Key, StoredDocument>,
    /// The rules of all documents of rules; none without such a document.
    pub(crate) rules: Option<Box<Ruleset>>,
    /// Presence that holds until it is changed (RFC 4827).
    pub(crate) hard_state: Vec<PublishedDocument>,
}

impl Documents {
    fn read(&mut self) {
        let mut rules: Option<Ruleset> = None;
        self.hard_state.clear();
        for ((usage, _), document) in &self.all {
            match usage {
                Usage::PresRules | Usage::OmaPresRules => {
                    let read = Ruleset::parse(document.text.as_bytes(), &LIMITS);
                    // What cannot be read grants nothing.
                    rules.get_or_insert_default().add(read.unwrap_or_default());
                }
                Usage::PidfManipulation => {
                    let read = PublishedDocument::parse(document.text.as_bytes(), &LIMITS);
                    self.hard_state.extend(read);
                }
                Usage::XcapCaps | Usage::ResourceLists | Usage::RlsServices => {}
            }
        }
        self.rules = rules.map(Box::new);
    }
}

/// What a path leads to.
enum Place {
    Capabilities,
    /// A document in the tree of a user.
    Own {
        slot: UserSlot,
        key: Key,
        node: Option<String>,
    },
}

impl Server {
    /// Does what a client asks by XCAP.
    pub(crate) fn xcap(
        &mut self,
        now: Now,
        ticket: Ticket,
        request: &XcapRequest,
    ) -> Option<Answer> {
        let place = match self.place(request) {
            Ok(place) => place,
            Err(status) => return Some(reply(XcapReply::status(status))),
        };
        let (slot, key, node) = match place {
            Place::Capabilities => return Some(reply(answer_capabilities(request))),
            Place::Own { slot, key, node } => (slot, key, node),
        };
        let selector = match node
            .map(|node| Selector::parse(&node, request.query.as_deref(), key.0.default_namespace()))
        {
            None => None,
            Some(Ok(selector)) => Some(selector),
            Some(Err(_)) => return Some(reply(XcapReply::status(400))),
        };
        let user = self.users.get(slot)?;
        let present = user.documents.all.get(&key).cloned();
        let etag = present.as_ref().map(|document| document.etag);
        if let Some(status) = precondition(request, etag) {
            return Some(reply(XcapReply { etag: etag.map(quoted), ..XcapReply::status(status) }));
        }
        if request.method == XcapMethod::Get {
            return Some(reply(get(key.0, present.as_ref(), selector.as_ref())));
        }
        if selector.as_ref().is_some_and(|selector| selector.terminal == Terminal::Namespaces) {
            return Some(reply(XcapReply { allow: Some("GET"), ..XcapReply::status(405) }));
        }
        let outcome = self.edited(slot, &key, present.as_ref(), selector.as_ref(), request);
        let (text, status) = match outcome {
            Ok(outcome) => outcome,
            Err(refusal) => return Some(reply(refusal)),
        };
        let etag = self.entropy.next_u64();
        let document = text.map(|text| StoredDocument { text: text.into(), etag });
        let changes = vec![self.document_change(now, slot, &key, document.as_ref())?];
        let answer = XcapReply {
            etag: document.as_ref().map(|document| quoted(document.etag)),
            ..XcapReply::status(status)
        };
        self.put_document(now, slot, key.clone(), document);
        let undo = Undo::Document(Box::new((slot, key, present)));
        self.commit(changes, Pending::Command(Box::new((ticket, undo, reply(answer)))));
        None
    }

    /// What a path means to who asks (RFC 4825 §6.2).
    fn place(&self, request: &XcapRequest) -> Result<Place, u16> {
        let path = request.path.trim_start_matches('/');
        let (document, node) = match path.split_once("/~~/") {
            Some((document, node)) => (document, Some(node.to_owned())),
            None => (path, None),
        };
        let segments: Vec<String> =
            document.split('/').map(percent_decoded).collect::<Option<_>>().ok_or(400_u16)?;
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let (auid, rest) = segments.split_first().ok_or(404_u16)?;
        let usage = Usage::of(auid).ok_or(404_u16)?;
        match rest {
            ["global", "index"] if usage == Usage::XcapCaps => Ok(Place::Capabilities),
            ["global", ..] => Err(if request.method == XcapMethod::Get { 404 } else { 403 }),
            ["users", xui, names @ ..] => {
                let (slot, caller) = self.known(&request.caller).map_err(|_| 404_u16)?;
                if !schema::is_user(xui, caller.aor.as_str()) {
                    // Whether there is such a user is nobody's business.
                    return Err(403);
                }
                match names {
                    [name] if is_name(name) && usage != Usage::XcapCaps => {
                        Ok(Place::Own { slot, key: (usage, (*name).into()), node })
                    }
                    [_, _, ..] if request.method == XcapMethod::Put => Err(409),
                    _ => Err(404),
                }
            }
            _ => Err(404),
        }
    }

    /// The text of a document after what is asked; none where it is deleted.
    fn edited(
        &self,
        slot: UserSlot,
        key: &Key,
        present: Option<&StoredDocument>,
        selector: Option<&Selector>,
        request: &XcapRequest,
    ) -> Result<(Option<String>, u16), XcapReply> {
        let not_found = || XcapReply::status(404);
        let (text, status) = match (request.method, selector, present) {
            (XcapMethod::Get, ..) => return Err(not_found()),
            (XcapMethod::Delete, _, None) => return Err(not_found()),
            (XcapMethod::Delete, None, Some(_)) => return Ok((None, 200)),
            (XcapMethod::Delete, Some(selector), Some(present)) => {
                let text = edit::delete(&present.text, selector).map_err(conflict)?;
                (text.ok_or_else(not_found)?, 200)
            }
            (XcapMethod::Put, None, present) => {
                check_type(request, key.0.media_type())?;
                let text =
                    std::str::from_utf8(&request.body).map_err(|_| conflict(Conflict::NotUtf8))?;
                (text.to_owned(), if present.is_some() { 200 } else { 201 })
            }
            (XcapMethod::Put, Some(selector), present) => {
                let is_attribute = matches!(selector.terminal, Terminal::Attribute(_));
                check_type(request, if is_attribute { ATTRIBUTE } else { ELEMENT })?;
                let present = present.ok_or_else(|| conflict(Conflict::NoParent))?;
                let edited =
                    edit::put(&present.text, selector, &request.body, &LIMITS).map_err(conflict)?;
                (edited.text, if edited.is_new { 201 } else { 200 })
            }
        };
        self.check_document(slot, key, &text).map_err(conflict)?;
        Ok((Some(text), status))
    }

    /// Everything that a document must be before it is kept (RFC 4825 §8.2.5).
    fn check_document(&self, slot: UserSlot, key: &Key, text: &str) -> Result<(), Conflict> {
        let user = self.users.get(slot).ok_or(Conflict::NoParent)?;
        let (text, tree) = edit::check(text.as_bytes(), &LIMITS)?;
        if !user.documents.all.contains_key(key) && user.documents.all.len() >= DOCUMENTS {
            return Err(Conflict::Constraint(format!("a user may keep {DOCUMENTS} documents")));
        }
        match schema::check(key.0, user.aor.as_str(), text, &tree, &LIMITS)? {
            Meaning::Lists(lists) => {
                let limit = self.policy.value(Item::Contacts) as usize;
                let others = user
                    .documents
                    .all
                    .iter()
                    .filter(|(other, _)| other.0 == Usage::ResourceLists && *other != key)
                    .flat_map(|(_, document)| list::lists(&document.text));
                let mut uris = BTreeSet::new();
                for list in lists.iter().cloned().chain(others) {
                    collect_uris(&list, &mut uris);
                }
                if uris.len() > limit {
                    let what =
                        format!("a user may have {limit} contacts, these are {}", uris.len());
                    return Err(Conflict::Constraint(what));
                }
                Ok(())
            }
            Meaning::Services(services) => {
                let is_taken = |uri: &str| self.is_service_taken(slot, key, uri);
                if services.iter().any(|service| is_taken(&service.uri)) {
                    return Err(Conflict::NotUnique("rls-services/service/@uri".to_owned()));
                }
                Ok(())
            }
            Meaning::Presence(document) => {
                if document.tuples().is_empty() && document.persons().is_empty() {
                    let what = "a document needs a tuple or a person".to_owned();
                    return Err(Conflict::Constraint(what));
                }
                Ok(())
            }
            Meaning::Rules(_) => Ok(()),
        }
    }

    /// Whether a URI names something else already (RFC 4826 §4.4.5).
    fn is_service_taken(&self, slot: UserSlot, key: &Key, uri: &str) -> bool {
        let Some(aor) = crate::policy::condition::identity(uri) else { return true };
        if aor.domain() != self.users.domain() {
            return true;
        }
        self.users.find(aor.user()).is_some()
            || self
                .services
                .get(&aor)
                .is_some_and(|(owner, name)| (*owner, &**name) != (slot, &*key.1))
    }

    /// Puts a document in place, or removes it, and does what follows.
    pub(crate) fn put_document(
        &mut self,
        now: Now,
        slot: UserSlot,
        key: Key,
        document: Option<StoredDocument>,
    ) {
        let Some(user) = self.users.get_mut(slot) else { return };
        let usage = key.0;
        let before = match document {
            Some(document) => user.documents.all.insert(key.clone(), document),
            None => user.documents.all.remove(&key),
        };
        user.documents.read();
        if usage == Usage::PidfManipulation {
            user.is_stale = true;
        }
        if usage == Usage::RlsServices {
            self.index_services(slot, &key, before.as_ref());
        }
        match usage {
            Usage::PresRules | Usage::OmaPresRules => self.review(now, slot),
            Usage::ResourceLists => {
                self.reload_lists_of(now, slot);
                let depends = |user: &User| {
                    user.documents.rules.as_ref().is_some_and(|rules| rules.depends_on_lists())
                };
                if self.users.get(slot).is_some_and(depends) {
                    self.review(now, slot);
                }
            }
            Usage::PidfManipulation => self.tell_watchers(now, slot),
            Usage::RlsServices => self.reload_lists_of(now, slot),
            Usage::XcapCaps => {}
        }
    }

    /// The lists that a user made services of.
    fn reload_lists_of(&mut self, now: Now, slot: UserSlot) {
        let services = &self.services;
        let is_known = |aor: &sip::aor::Aor| services.get(aor).map(|(owner, _)| *owner);
        let concerned: BTreeSet<sip::aor::Aor> = self
            .list_subscriptions
            .iter()
            .filter_map(|id| crate::resource_list::list_of(&self.subscriptions, *id))
            .filter_map(|list| match &list.source {
                // One that is gone has no owner any longer.
                crate::resource_list::Source::Service(aor) => {
                    is_known(aor).is_none_or(|owner| owner == slot).then(|| aor.clone())
                }
                _ => None,
            })
            .collect();
        self.reload_lists(now, |source| {
            matches!(source, crate::resource_list::Source::Service(aor) if concerned.contains(aor))
        });
    }

    /// Brings the index of services up to date with one document.
    fn index_services(&mut self, slot: UserSlot, key: &Key, before: Option<&StoredDocument>) {
        if &*key.1 != "index" {
            return;
        }
        let gone = before.map(|document| list::services(&document.text)).unwrap_or_default();
        for service in gone {
            if let Some(aor) = crate::policy::condition::identity(&service.uri) {
                self.services.remove(&aor);
            }
        }
        let user = self.users.get(slot);
        let document = user.and_then(|user| user.documents.all.get(key));
        let present = document.map(|document| list::services(&document.text)).unwrap_or_default();
        for service in present {
            if let Some(aor) = crate::policy::condition::identity(&service.uri) {
                self.services.insert(aor, (slot, key.1.clone()));
            }
        }
    }

    /// What is indexed for one user is another's again.
    pub(crate) fn index_again(&mut self, owner: UserSlot, not: UserSlot) {
        self.services.retain(|_, (slot, _)| *slot != not);
        let keys: Vec<Key> = self
            .users
            .get(owner)
            .map(|user| user.documents.all.keys().cloned().collect())
            .unwrap_or_default();
        for key in keys.iter().filter(|key| key.0 == Usage::RlsServices) {
            self.index_services(owner, key, None);
        }
    }

    /// Takes up a document that the store kept.
    pub(crate) fn restore_document(&mut self, slot: UserSlot, key: Key, record: DocumentRecord) {
        let Some(user) = self.users.get_mut(slot) else { return };
        let document = StoredDocument { text: record.text.into(), etag: record.etag };
        user.documents.all.insert(key.clone(), document);
        user.documents.read();
        self.index_services(slot, &key, None);
    }

    /// What one user keeps is another's from now on, who is the same person: what is to be stored.
    pub(crate) fn move_documents(&mut self, now: Now, from: UserSlot, to: UserSlot) -> Vec<Change> {
        let all = self.users.get(from).map(|user| user.documents.all.clone()).unwrap_or_default();
        let mut changes = Vec::with_capacity(all.len());
        for (key, document) in all {
            changes.extend(self.document_change(now, to, &key, Some(&document)));
            self.put_document(now, to, key, Some(document));
        }
        changes
    }

    fn document_change(
        &self,
        now: Now,
        slot: UserSlot,
        key: &Key,
        document: Option<&StoredDocument>,
    ) -> Option<Change> {
        let user = self.users.get(slot)?;
        let value = document.map(|document| {
            encode(&DocumentRecord {
                etag: document.etag,
                changed_millis: now.wall.as_millis(),
                text: document.text.to_string(),
            })
        });
        Some(Change { key: record_key(&user.id, key), value })
    }

    /// The URIs of a list with everything that it refers to, each once, in order, with the names
    /// that the owner gave them.
    pub(crate) fn flattened(&self, list: &List) -> Vec<(String, Option<String>)> {
        let mut found = Vec::new();
        let mut seen = BTreeSet::new();
        self.flatten(list, 0, &mut seen, &mut found);
        found
    }

    fn flatten(
        &self,
        list: &List,
        depth: usize,
        seen: &mut BTreeSet<String>,
        found: &mut Vec<(String, Option<String>)>,
    ) {
        if depth >= DEPTH {
            return;
        }
        for member in &list.members {
            match member {
                Member::Entry { uri, display_name } => {
                    if seen.insert(uri.clone()) {
                        found.push((uri.clone(), display_name.clone()));
                    }
                }
                Member::List(list) => self.flatten(list, depth + 1, seen, found),
                Member::EntryRef(uri) | Member::External(uri) => {
                    let Some(member) = Reference::parse(uri).and_then(|r| self.resolve(&r)) else {
                        continue;
                    };
                    let inner = List { members: vec![member], ..List::default() };
                    self.flatten(&inner, depth + 1, seen, found);
                }
            }
        }
    }

    /// What a reference leads to in the documents of this node.
    pub(crate) fn resolve(&self, reference: &Reference) -> Option<Member> {
        if reference.usage != Usage::ResourceLists {
            return None;
        }
        let xui = reference.user.as_deref()?;
        let bare = xui.trim_start_matches("sip:");
        let id = match bare.rsplit_once('@') {
            Some((id, domain)) if domain.eq_ignore_ascii_case(self.users.domain()) => id,
            Some(_) => return None,
            None => bare,
        };
        let user = self.users.get(self.users.find(id)?)?;
        let key = (reference.usage, reference.document.as_str().into());
        let document = user.documents.all.get(&key)?;
        match &reference.selector {
            Some(selector) => list::member_at(&document.text, selector),
            None => Some(Member::List(List {
                members: list::lists(&document.text).into_iter().map(Member::List).collect(),
                ..List::default()
            })),
        }
    }

    /// The list of a service, by its URI, and the packages that it serves.
    pub(crate) fn service(&self, aor: &sip::aor::Aor) -> Option<(UserSlot, List, Vec<String>)> {
        let (slot, name) = self.services.get(aor)?;
        let user = self.users.get(*slot)?;
        let document = user.documents.all.get(&(Usage::RlsServices, name.clone()))?;
        let service = list::services(&document.text).into_iter().find(|service| {
            crate::policy::condition::identity(&service.uri).as_ref() == Some(aor)
        })?;
        let list = match service.source {
            Source::Here(list) => list,
            Source::ResourceList(uri) => match self.resolve(&Reference::parse(&uri)?) {
                Some(Member::List(list)) => list,
                _ => List::default(),
            },
        };
        Some((*slot, list, service.packages))
    }

    /// Whether a list of a user has a member, for rules that ask.
    pub(crate) fn is_listed(&self, uri: &str, watcher: &sip::aor::Aor) -> bool {
        let Some(member) = Reference::parse(uri).and_then(|reference| self.resolve(&reference))
        else {
            return false;
        };
        let list = List { members: vec![member], ..List::default() };
        self.flattened(&list)
            .iter()
            .any(|(uri, _)| crate::policy::condition::identity(uri).as_ref() == Some(watcher))
    }
}

/// The key of a document's record.
pub(crate) fn record_key(user_id: &str, key: &Key) -> Vec<u8> {
    Table::Document.key(&[user_id.as_bytes(), &[key.0.letter()], key.1.as_bytes()])
}

fn collect_uris(list: &List, into: &mut BTreeSet<String>) {
    for member in &list.members {
        match member {
            Member::Entry { uri, .. } => drop(into.insert(uri.clone())),
            Member::List(list) => collect_uris(list, into),
            Member::EntryRef(_) | Member::External(_) => {}
        }
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= NAME_LIMIT
        && !name.starts_with('.')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c))
}

fn check_type(request: &XcapRequest, expected: &str) -> Result<(), XcapReply> {
    let given = request.content_type.as_deref().unwrap_or_default();
    let given = given.split(';').next().unwrap_or_default().trim();
    if given.eq_ignore_ascii_case(expected) { Ok(()) } else { Err(XcapReply::status(415)) }
}

fn conflict(conflict: Conflict) -> XcapReply {
    XcapReply {
        content_type: Some("application/xcap-error+xml"),
        body: conflict.document(),
        ..XcapReply::status(409)
    }
}

fn get(usage: Usage, present: Option<&StoredDocument>, selector: Option<&Selector>) -> XcapReply {
    let Some(present) = present else { return XcapReply::status(404) };
    let etag = Some(quoted(present.etag));
    match selector {
        None => XcapReply {
            content_type: Some(usage.media_type()),
            etag,
            body: present.text.to_string(),
            ..XcapReply::status(200)
        },
        Some(selector) => match edit::get(&present.text, selector) {
            None => XcapReply::status(404),
            Some(part) => XcapReply {
                content_type: Some(part.media_type()),
                etag,
                body: part.text().to_owned(),
                ..XcapReply::status(200)
            },
        },
    }
}

fn answer_capabilities(request: &XcapRequest) -> XcapReply {
    if request.method != XcapMethod::Get {
        return XcapReply { allow: Some("GET"), ..XcapReply::status(405) };
    }
    XcapReply {
        content_type: Some(Usage::XcapCaps.media_type()),
        etag: Some("\"1\"".to_owned()),
        body: capabilities(),
        ..XcapReply::status(200)
    }
}

/// What If-Match and If-None-Match ask for (RFC 9110 §13): the status when it is not so.
fn precondition(request: &XcapRequest, etag: Option<u64>) -> Option<u16> {
    let etag = etag.map(quoted);
    let names = |list: &str| {
        list.split(',').map(str::trim).any(|one| match &etag {
            Some(etag) => one == "*" || one.trim_start_matches("W/") == etag,
            None => false,
        })
    };
    if request.if_match.as_deref().is_some_and(|list| !names(list)) {
        return Some(412);
    }
    if request.if_none_match.as_deref().is_some_and(names) {
        return Some(if request.method == XcapMethod::Get { 304 } else { 412 });
    }
    None
}

fn quoted(etag: u64) -> String {
    format!("\"{etag:016x}\"")
}

const fn reply(reply: XcapReply) -> Answer {
    Answer::Xcap(reply)
}
