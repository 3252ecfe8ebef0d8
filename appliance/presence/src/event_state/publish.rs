//! PUBLISH of dialogs and message summaries (RFC 3903 §6).

use std::sync::Arc;
use std::time::Duration;

use roxmltree::Document;
use sip::clock::{Instant, Now, WallTime};
use sip::header::media_type::MediaType;
use sip::message::HeaderAccess;

use super::Package;
use crate::authentication::Identity;
use crate::document::fragment::{attribute_of, elements};
use crate::document::guard;
use crate::record::{EventStateRecord, Table, encode};
use crate::rejection::Rejection;
use crate::server::{Incoming, Server};
use crate::user::UserSlot;

/// Publications of one user to these packages.
const STATES: usize = 64;
/// Octets of one of them.
const OCTETS: usize = 32 * 1024;
/// Calls of a user that are known to have ended, in case somebody says otherwise later.
const ENDED: usize = 64;

/// One piece of event state.
#[derive(Debug, Clone)]
pub(crate) struct EventState {
    pub(crate) number: u32,
    pub(crate) package: Package,
    pub(crate) entity_tag: String,
    pub(crate) body: Arc<[u8]>,
    pub(crate) modified: WallTime,
    pub(crate) expires: Instant,
    pub(crate) expires_wall: WallTime,
    pub(crate) call_id: String,
}

impl EventState {
    fn record(&self) -> EventStateRecord {
        EventStateRecord {
            package: self.package.token().to_owned(),
            entity_tag: self.entity_tag.clone(),
            body: self.body.to_vec(),
            modified_millis: self.modified.as_millis(),
            expires_millis: self.expires_wall.as_millis(),
            call_id: self.call_id.clone(),
        }
    }

    pub(crate) fn restore(number: u32, record: EventStateRecord, now: Now) -> Option<Self> {
        let expires_wall = WallTime::from_millis(record.expires_millis);
        Some(Self {
            number,
            package: Package::of(&record.package)?,
            entity_tag: record.entity_tag,
            body: record.body.into(),
            modified: WallTime::from_millis(record.modified_millis),
            expires: now.monotonic + expires_wall.since(now.wall),
            expires_wall,
            call_id: record.call_id,
        })
    }

    fn key(&self, user_id: &str) -> Vec<u8> {
        Table::EventState.key(&[user_id.as_bytes(), &self.number.to_be_bytes()])
    }
}

impl Server {
    /// PUBLISH to one of these packages.
    pub(crate) fn publish_state(
        &mut self,
        now: Now,
        incoming: &Incoming,
        slot: UserSlot,
        identity: Identity,
        package: Package,
    ) -> Result<(), Rejection> {
        let request = &incoming.request;
        if package == Package::Reg {
            // What is bound is said by REGISTER.
            return Err(Rejection::UnknownEventPackage);
        }
        if let Identity::User(user) = identity
            && user != slot
        {
            return Err(Rejection::Forbidden("Not Your State"));
        }
        let user = self.users.get(slot).ok_or(Rejection::NotFound)?;
        let place = match request.headers.value("SIP-If-Match").map(str::trim) {
            None => None,
            Some(tag) => {
                let place = user
                    .event_states
                    .iter()
                    .position(|state| state.package == package && state.entity_tag == tag);
                Some(place.ok_or(Rejection::UnknownEntityTag)?)
            }
        };
        let expires = self.granted_expires(request)?;
        let body = state_body(request, package)?;
        let tag = self.entropy.token();
        match (place, body) {
            (None, None) => return Err(Rejection::Malformed("Initial PUBLISH Needs A Body")),
            (Some(place), body) if expires.is_zero() => {
                // What is taken back has ended, whatever it says.
                self.note_ended(slot, place, body.as_deref());
                self.remove_states(slot, |index, _| index == place);
            }
            (None, Some(_)) if expires.is_zero() => {}
            (place, body) => {
                self.put_state(now, incoming, slot, package, place, body, &tag, expires)?
            }
        }
        let (to_tag, expires) = (self.entropy.token(), expires.as_secs().to_string());
        self.accept(now, incoming, &to_tag, &[("SIP-ETag", &tag), ("Expires", &expires)]);
        self.state_changed(now, slot, package);
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "each says another thing about one change")]
    fn put_state(
        &mut self,
        now: Now,
        incoming: &Incoming,
        slot: UserSlot,
        package: Package,
        place: Option<usize>,
        body: Option<Arc<[u8]>>,
        tag: &str,
        expires: Duration,
    ) -> Result<(), Rejection> {
        let call_id = incoming.request.headers.value("Call-ID").unwrap_or_default();
        if let Some(body) = &body {
            self.note_ended_in(slot, package, body);
        }
        let Some(user) = self.users.get_mut(slot) else { return Err(Rejection::NotFound) };
        // A publisher that lost its entity-tag goes on under the same Call-ID.
        let place = place.or_else(|| {
            user.event_states
                .iter()
                .position(|state| state.package == package && state.call_id == call_id)
        });
        let old = place.and_then(|place| user.event_states.get(place)).cloned();
        if old.is_none() && user.event_states.len() >= STATES {
            return Err(Rejection::LimitReached("Too Many Publications"));
        }
        let number = match &old {
            Some(old) => old.number,
            None => {
                user.next_state = user.next_state.wrapping_add(1);
                user.next_state
            }
        };
        let is_changed = body.is_some();
        let state = EventState {
            number,
            package,
            entity_tag: tag.to_owned(),
            body: body
                .or_else(|| old.as_ref().map(|old| Arc::clone(&old.body)))
                .unwrap_or_default(),
            modified: match &old {
                Some(old) if !is_changed => old.modified,
                _ => now.wall,
            },
            expires: now.monotonic + expires,
            expires_wall: now.wall + expires,
            call_id: call_id.to_owned(),
        };
        let (due, key, value) = (state.expires, state.key(&user.id), encode(&state.record()));
        match place.and_then(|place| user.event_states.get_mut(place)) {
            Some(place) => *place = state,
            None => user.event_states.push(state),
        }
        self.save(key, Some(value));
        self.arm_user(slot, due);
        Ok(())
    }

    /// Forgets states, in memory and on disk; the packages that they were of.
    pub(crate) fn remove_states(
        &mut self,
        slot: UserSlot,
        which: impl Fn(usize, &EventState) -> bool,
    ) -> Vec<Package> {
        let Some(user) = self.users.get_mut(slot) else { return Vec::new() };
        let mut gone = Vec::new();
        let mut kept = Vec::with_capacity(user.event_states.len());
        for (index, state) in std::mem::take(&mut user.event_states).into_iter().enumerate() {
            if which(index, &state) {
                gone.push((state.key(&user.id), state.package));
            } else {
                kept.push(state);
            }
        }
        user.event_states = kept;
        let mut packages = Vec::new();
        for (key, package) in gone {
            self.save(key, None);
            if !packages.contains(&package) {
                packages.push(package);
            }
        }
        packages
    }

    fn note_ended(&mut self, slot: UserSlot, place: usize, body: Option<&[u8]>) {
        let Some(user) = self.users.get(slot) else { return };
        let Some(state) = user.event_states.get(place).filter(|s| s.package == Package::Dialog)
        else {
            return;
        };
        let mut ended = calls(&state.body, |_| true);
        ended.extend(body.map(|body| calls(body, |_| true)).unwrap_or_default());
        self.remember_ended(slot, ended);
    }

    fn note_ended_in(&mut self, slot: UserSlot, package: Package, body: &[u8]) {
        if package == Package::Dialog {
            let ended = calls(body, |state| state == "terminated");
            self.remember_ended(slot, ended);
        }
    }

    fn remember_ended(&mut self, slot: UserSlot, ended: Vec<String>) {
        let Some(user) = self.users.get_mut(slot) else { return };
        for call in ended {
            if !user.ended_calls.contains(&call) {
                if user.ended_calls.len() >= ENDED {
                    user.ended_calls.pop_front();
                }
                user.ended_calls.push_back(call);
            }
        }
    }
}

/// By what the calls of a document in these states are known: Call-ID and local tag.
fn calls(body: &[u8], is: impl Fn(&str) -> bool) -> Vec<String> {
    let Ok(text) = std::str::from_utf8(body) else { return Vec::new() };
    let Ok(tree) = Document::parse(text) else { return Vec::new() };
    elements(tree.root_element())
        .filter(|dialog| {
            let state = elements(*dialog).find(|child| child.tag_name().name() == "state");
            is(state.and_then(|state| state.text()).unwrap_or_default().trim())
        })
        .filter_map(super::body::call_of)
        .collect()
}

/// The body of a PUBLISH, checked.
fn state_body(
    request: &sip::message::Request,
    package: Package,
) -> Result<Option<Arc<[u8]>>, Rejection> {
    if request.body.is_empty() {
        return Ok(None);
    }
    let is_right = request
        .headers
        .value("Content-Type")
        .and_then(|value| MediaType::parse(value).ok())
        .is_some_and(|media| media.is("application", package.subtype()));
    if !is_right {
        return Err(Rejection::UnsupportedStateType(package.media_type()));
    }
    if request.body.len() > OCTETS {
        return Err(Rejection::TooLarge);
    }
    let refused = |what: &str| Rejection::BadDocument(what.to_owned());
    match package {
        Package::Dialog => {
            let limits = guard::Limits { bytes: OCTETS, ..guard::Limits::default() };
            let text = guard::check(&request.body, &limits)
                .map_err(|error| Rejection::BadDocument(error.to_string()))?;
            let tree =
                Document::parse(text).map_err(|error| Rejection::BadDocument(error.to_string()))?;
            if !tree.root_element().has_tag_name((super::body::DIALOG_INFO, "dialog-info")) {
                return Err(refused("the document is no dialog-info"));
            }
            let mut dialogs = elements(tree.root_element());
            if dialogs.any(|dialog| {
                dialog.has_tag_name((super::body::DIALOG_INFO, "dialog"))
                    && attribute_of(dialog, "id").is_none()
            }) {
                return Err(refused("a dialog needs an id"));
            }
        }
        Package::MessageSummary => {
            let text = std::str::from_utf8(&request.body).map_err(|_| refused("not UTF-8"))?;
            let first = text.lines().next().unwrap_or_default().to_ascii_lowercase();
            if !first.starts_with("messages-waiting:") {
                return Err(refused("a summary begins with Messages-Waiting"));
            }
        }
        Package::Reg => {}
    }
    Ok(Some(request.body.clone().into()))
}
