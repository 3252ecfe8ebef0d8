//! The registrar (RFC 3261 §10.3, RFC 3327): which contacts an AoR can be reached at.

use std::time::Duration;

use sip::clock::{Instant, Now, WallTime};
use sip::flow::Flow;
use sip::header::contact::Contact;
use sip::header::cseq::CSeq;
use sip::header::name_addr::NameAddr;
use sip::header::options;
use sip::message::{HeaderAccess, Request, Uri};
use sip::uri;

use crate::authentication::{Identity, aor_of};
use crate::command::BindingView;
use crate::event_state::Package;
use crate::reach::{self, Reach};
use crate::record::{BindingRecord, FlowRecord, Table, encode};
use crate::rejection::Rejection;
use crate::server::{Incoming, Server};
use crate::user::{User, UserSlot};

/// One contact of an AoR.
#[derive(Debug)]
pub(crate) struct Binding {
    /// The contact URI as registered.
    pub(crate) contact: String,
    pub(crate) target: Uri,
    /// Contact parameters but `expires`: q, +sip.instance, capabilities (RFC 3840).
    pub(crate) parameters: String,
    /// In thousandths.
    pub(crate) q: u16,
    pub(crate) expires: Instant,
    pub(crate) expires_wall: WallTime,
    pub(crate) call_id: String,
    pub(crate) cseq: u32,
    /// Proxies on the way to the contact (RFC 3327), first hop first.
    pub(crate) path: Vec<String>,
    pub(crate) flow: Flow,
    pub(crate) is_direct: bool,
    pub(crate) user_agent: String,
    /// Came from the store and has not been refreshed since.
    pub(crate) is_restored: bool,
}

impl Binding {
    /// The next hop towards this contact.
    pub(crate) fn reach(&self) -> Reach {
        match self.path.first().map(|path| NameAddr::parse(path)) {
            Some(Ok(path)) => reach::away_from_flow(&path.uri, Some(&self.flow)),
            Some(Err(_)) => Reach::Nowhere,
            None => reach::towards(&self.target, &self.flow, self.is_direct),
        }
    }

    fn record(&self) -> BindingRecord {
        BindingRecord {
            contact: self.contact.clone(),
            parameters: self.parameters.clone(),
            q: self.q,
            expires_millis: self.expires_wall.as_millis(),
            call_id: self.call_id.clone(),
            cseq: self.cseq,
            path: self.path.clone(),
            flow: FlowRecord::from(&self.flow),
            is_direct: self.is_direct,
            user_agent: self.user_agent.clone(),
        }
    }

    /// The binding of a record; `None` when it cannot be used.
    pub(crate) fn restore(record: BindingRecord, now: Now) -> Option<Self> {
        let expires_wall = WallTime::from_millis(record.expires_millis);
        Some(Self {
            target: uri::parse(&record.contact).ok()?,
            flow: record.flow.flow()?,
            contact: record.contact,
            parameters: record.parameters,
            q: record.q,
            expires: now.monotonic + expires_wall.since(now.wall),
            expires_wall,
            call_id: record.call_id,
            cseq: record.cseq,
            path: record.path,
            is_direct: record.is_direct,
            user_agent: record.user_agent,
            is_restored: true,
        })
    }

    /// The binding as an administrator sees it.
    pub(crate) fn view(&self, user: &User, now: Now) -> BindingView {
        BindingView {
            aor: user.aor.clone(),
            contact: self.contact.clone(),
            q: self.q,
            expires_in: self.expires.since(now.monotonic),
            transport: self.flow.transport.uri_token(),
            source: self.flow.peer,
            user_agent: self.user_agent.clone(),
            parameters: self.parameters.clone(),
            path: self.path.clone(),
        }
    }

    fn key(&self, user_id: &str) -> Vec<u8> {
        Table::Binding.key(&[user_id.as_bytes(), self.contact.as_bytes()])
    }
}

/// The parameter by which a device is known over restarts and changes of address (RFC 5626 §4.1).
fn instance(contact: &NameAddr) -> Option<&str> {
    contact.param("+sip.instance").flatten()
}

struct Change {
    contact: NameAddr,
    expires: Duration,
    /// The binding that it replaces or removes.
    place: Option<usize>,
}

impl Server {
    /// REGISTER.
    pub(crate) fn register(
        &mut self,
        now: Now,
        incoming: &Incoming,
        identity: Identity,
    ) -> Result<(), Rejection> {
        let request = &incoming.request;
        let slot = self.registrant(request, identity)?;
        let contacts = Contact::from_values(request.headers.values("Contact"))
            .map_err(|_| Rejection::Malformed("Bad Contact"))?;
        let cseq = request
            .headers
            .value("CSeq")
            .and_then(|value| CSeq::parse(value).ok())
            .ok_or(Rejection::Malformed("Bad CSeq"))?;
        if request.headers.values("Path").any(|path| NameAddr::parse(path).is_err()) {
            return Err(Rejection::Malformed("Bad Path"));
        }
        let call_id = request.headers.value("Call-ID").unwrap_or_default();
        match contacts {
            Contact::Star => {
                if request.headers.value("Expires").map(str::trim) != Some("0") {
                    return Err(Rejection::Malformed("Contact * Needs Expires 0"));
                }
                self.check_order(slot, call_id, cseq.number, None)?;
                self.remove_bindings(slot, |_| true);
            }
            Contact::List(list) => {
                let changes = self.judge(slot, request, list)?;
                for change in &changes {
                    self.check_order(slot, call_id, cseq.number, change.place)?;
                }
                self.apply_bindings(now, slot, incoming, changes, cseq.number);
            }
        }
        self.answer_register(now, slot, incoming);
        self.state_changed(now, slot, Package::Reg);
        self.deliver_messages(now, slot);
        Ok(())
    }

    fn registrant(&self, request: &Request, identity: Identity) -> Result<UserSlot, Rejection> {
        let aor = aor_of(request.headers.value("To")).ok_or(Rejection::Malformed("Bad To"))?;
        let slot = self.served_user(&aor).ok_or(Rejection::NotFound)?;
        match identity {
            Identity::User(user) if user != slot => {
                Err(Rejection::Forbidden("Not Your Address Of Record"))
            }
            Identity::User(_) | Identity::Trusted => Ok(slot),
        }
    }

    /// RFC 3261 §10.3 step 7: all changes are possible, or none is made.
    fn judge(
        &self,
        slot: UserSlot,
        request: &Request,
        list: Vec<NameAddr>,
    ) -> Result<Vec<Change>, Rejection> {
        let limits = &self.config.limits;
        let user = self.users.get(slot).ok_or(Rejection::NotFound)?;
        let header = self.header_expires(request);
        let mut changes = Vec::with_capacity(list.len());
        let mut added = 0;
        for contact in list {
            if matches!(reach::away_from_flow(&contact.uri, None), Reach::Nowhere) {
                return Err(Rejection::Malformed("Contact Is No SIP URI"));
            }
            let asked = match contact.expires() {
                Some(seconds) => Some(Duration::from_secs(u64::from(seconds))),
                None => header,
            };
            let expires = match asked {
                None => limits.default_expires,
                Some(Duration::ZERO) => Duration::ZERO,
                Some(brief) if brief < limits.min_expires => {
                    return Err(Rejection::IntervalTooBrief);
                }
                Some(long) => long.min(limits.max_expires),
            };
            let text = uri::to_string(&contact.uri);
            let device = instance(&contact);
            let place = user.bindings.iter().position(|binding| {
                binding.contact == text
                    || uri::equivalent(&binding.target, &contact.uri)
                    || device.is_some_and(|device| binding.parameters.contains(device))
            });
            added += usize::from(place.is_none() && !expires.is_zero());
            changes.push(Change { contact, expires, place });
        }
        if user.bindings.len() + added > limits.bindings_per_user {
            return Err(Rejection::LimitReached("Too Many Bindings"));
        }
        Ok(changes)
    }

    /// A request of the same registering client must be newer than what it did before.
    fn check_order(
        &self,
        slot: UserSlot,
        call_id: &str,
        cseq: u32,
        place: Option<usize>,
    ) -> Result<(), Rejection> {
        let Some(user) = self.users.get(slot) else { return Err(Rejection::NotFound) };
        let is_old = |binding: &Binding| {
            // An equal number repeats a request whose answer a restart swallowed.
            let is_repeated = binding.cseq == cseq && binding.is_restored;
            binding.call_id == call_id && binding.cseq >= cseq && !is_repeated
        };
        let is_out_of_order = match place {
            Some(place) => user.bindings.get(place).is_some_and(is_old),
            None => user.bindings.iter().any(is_old),
        };
        if is_out_of_order { Err(Rejection::OutOfOrder) } else { Ok(()) }
    }

    fn apply_bindings(
        &mut self,
        now: Now,
        slot: UserSlot,
        incoming: &Incoming,
        changes: Vec<Change>,
        cseq: u32,
    ) {
        let request = &incoming.request;
        let mut gone = Vec::new();
        for change in changes {
            let text = uri::to_string(&change.contact.uri);
            let Some(user) = self.users.get_mut(slot) else { return };
            let old = change.place.and_then(|place| user.bindings.get(place));
            let old_key = old.map(|binding| binding.key(&user.id));
            if change.expires.is_zero() {
                gone.extend(change.place);
                continue;
            }
            let binding = Binding {
                target: change.contact.uri.clone(),
                parameters: parameters_without_expires(&change.contact),
                q: change.contact.q().unwrap_or(1000),
                expires: now.monotonic + change.expires,
                expires_wall: now.wall + change.expires,
                call_id: request.headers.value("Call-ID").unwrap_or_default().to_owned(),
                cseq,
                path: request.headers.values("Path").map(str::to_owned).collect(),
                flow: incoming.flow,
                is_direct: reach::is_direct(request),
                user_agent: request.headers.value("User-Agent").unwrap_or_default().to_owned(),
                is_restored: false,
                contact: text,
            };
            let (key, value, expires) =
                (binding.key(&user.id), encode(&binding.record()), binding.expires);
            match change.place.and_then(|place| user.bindings.get_mut(place)) {
                Some(place) => *place = binding,
                None => user.bindings.push(binding),
            }
            if let Some(old_key) = old_key
                && old_key != key
            {
                self.save(old_key, None);
            }
            self.save(key, Some(value));
            self.arm_user(slot, expires);
            self.note_connection(&incoming.flow, slot);
        }
        let removed: Vec<String> = gone
            .into_iter()
            .filter_map(|place| Some(self.users.get(slot)?.bindings.get(place)?.contact.clone()))
            .collect();
        self.remove_bindings(slot, |binding| removed.contains(&binding.contact));
    }

    /// Forgets bindings, in memory and on disk.
    pub(crate) fn remove_bindings(&mut self, slot: UserSlot, which: impl Fn(&Binding) -> bool) {
        let Some(user) = self.users.get_mut(slot) else { return };
        let (gone, kept) = std::mem::take(&mut user.bindings).into_iter().partition(|b| which(b));
        user.bindings = kept;
        let gone: Vec<Binding> = gone;
        let keys: Vec<Vec<u8>> = gone.iter().map(|binding| binding.key(&user.id)).collect();
        for key in keys {
            self.save(key, None);
        }
    }

    fn answer_register(&mut self, now: Now, slot: UserSlot, incoming: &Incoming) {
        let request = &incoming.request;
        let tag = self.entropy.token();
        let Some(user) = self.users.get(slot) else { return };
        let contacts: Vec<String> = user
            .bindings
            .iter()
            .map(|binding| {
                let left = binding.expires.since(now.monotonic).as_secs();
                format!("<{}>{};expires={left}", binding.contact, binding.parameters)
            })
            .collect();
        let mut headers: Vec<_> =
            contacts.iter().map(|value| ("Contact", value.as_str())).collect();
        let takes_path = options::tags(request.headers.values("Supported"))
            .any(|tag| tag.eq_ignore_ascii_case("path"));
        if takes_path {
            headers.extend(request.headers.values("Path").map(|path| ("Path", path)));
        }
        self.accept(now, incoming, &tag, &headers);
    }

    /// Where the contacts of a user are reached, best first (RFC 3261 §16.6).
    pub(crate) fn destinations(&self, slot: UserSlot) -> Vec<(Uri, Vec<String>, Reach)> {
        let Some(user) = self.users.get(slot) else { return Vec::new() };
        let mut bindings: Vec<&Binding> = user.bindings.iter().collect();
        bindings.sort_by_key(|binding| std::cmp::Reverse(binding.q));
        bindings.iter().map(|b| (b.target.clone(), b.path.clone(), b.reach())).collect()
    }
}

fn parameters_without_expires(contact: &NameAddr) -> String {
    let mut text = String::new();
    for (name, value) in contact.params.iter() {
        if !name.eq_ignore_ascii_case("expires") {
            text.push(';');
            text.push_str(name);
            if let Some(value) = value {
                text.push('=');
                text.push_str(value);
            }
        }
    }
    text
}
