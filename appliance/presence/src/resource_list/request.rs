//! SUBSCRIBE to a list.

use sip::aor::Aor;
use sip::clock::Now;
use sip::header::media_type::MediaType;
use sip::header::options;
use sip::message::{HeaderAccess, Request};

use super::{ListState, Listed, Source, list_of_mut};
use crate::authentication::{Identity, aor_of};
use crate::authorization::View;
use crate::document::guard::Limits;
use crate::publication::check_event;
use crate::rejection::Rejection;
use crate::server::{Incoming, Server};
use crate::subscription::{Beginning, Kind, SubscriptionSlot};
use crate::user::UserSlot;
use crate::xcap::list::List;
use crate::xcap::{Usage, edit, schema};

/// The option tag of lists (RFC 4662 §4.1).
pub(crate) const EVENTLIST: &str = "eventlist";

/// What a list in a SUBSCRIBE may be.
const LIMITS: Limits =
    Limits { bytes: 256 * 1024, depth: 16, namespaces: 64, attributes: 32, nodes: 32 * 1024 };

impl Server {
    /// SUBSCRIBE to something in our domain that is no user: a list, or nothing.
    pub(crate) fn subscribe_list(
        &mut self,
        now: Now,
        incoming: &Incoming,
        identity: Identity,
    ) -> Result<(), Rejection> {
        let request = &incoming.request;
        if let Some(tag) = self.repeated(request) {
            return self.refresh(now, incoming, &tag, identity);
        }
        let watcher = self.watcher(request, identity)?;
        let (source, brought) = self.list_source(request, watcher, identity)?;
        let event = check_event(request)?;
        if let Source::Service(aor) = &source
            && let Some((_, _, packages)) = self.service(aor)
            && !packages.is_empty()
            && !packages.contains(&event.package)
        {
            return Err(Rejection::UnknownEventPackage);
        }
        let takes_lists = options::tags(request.headers.values("Supported"))
            .any(|tag| tag.eq_ignore_ascii_case(EVENTLIST));
        if !takes_lists {
            return Err(Rejection::ExtensionRequired(EVENTLIST));
        }
        let from = aor_of(request.headers.value("From")).map(|named| named.aor());
        let (name, members) =
            self.members_of(now, &source, brought, from.as_ref()).ok_or(Rejection::NotFound)?;
        let list = ListState {
            source,
            uri: sip::uri::to_string(&request.uri),
            name,
            members,
            is_full_due: true,
            is_rest_due: false,
            quiet_until: now.monotonic,
            is_armed: false,
            takes_deflate: takes_deflate(request),
        };
        let beginning = Beginning {
            presentity: UserSlot(u32::MAX),
            kind: Kind::List(Box::new(list)),
            view: View::ALL,
            is_pending: false,
        };
        self.begin(now, incoming, &event, watcher, beginning)
    }

    /// Which list is meant.
    fn list_source(
        &self,
        request: &Request,
        watcher: Option<UserSlot>,
        identity: Identity,
    ) -> Result<(Source, Listed), Rejection> {
        if let Some(listed) = self.list_in(request)? {
            return Ok((Source::Request, listed));
        }
        let aor = Aor::from_uri(&request.uri).map_err(|_| Rejection::NotFound)?;
        if let Some((owner, _)) = self.services.get(&aor) {
            // Who is on a list is its owner's business.
            return match identity {
                Identity::User(user) if user != *owner => {
                    Err(Rejection::Forbidden("Not Your List"))
                }
                Identity::Trusted if watcher.is_some_and(|watcher| watcher != *owner) => {
                    Err(Rejection::Forbidden("Not Your List"))
                }
                _ => Ok((Source::Service(aor), Vec::new())),
            };
        }
        if self.groups.contains_key(&aor) && watcher.is_some() {
            return Ok((Source::Group(aor), Vec::new()));
        }
        Err(Rejection::NotFound)
    }

    /// The list that a SUBSCRIBE brings in its body (RFC 5367 §4).
    pub(crate) fn list_in(&self, request: &Request) -> Result<Option<Listed>, Rejection> {
        let is_list = request
            .headers
            .value("Content-Type")
            .and_then(|value| MediaType::parse(value).ok())
            .is_some_and(|media| media.is("application", "resource-lists+xml"));
        if !is_list || request.body.is_empty() {
            return Ok(None);
        }
        let encoding = request.headers.value("Content-Encoding").map(str::trim);
        let body = match encoding {
            Some(deflate) if deflate.eq_ignore_ascii_case("deflate") => {
                miniz_oxide::inflate::decompress_to_vec_zlib_with_limit(&request.body, LIMITS.bytes)
                    .map_err(|_| Rejection::BadDocument("the body cannot be inflated".to_owned()))?
            }
            None => request.body.clone(),
            Some(identity) if identity.eq_ignore_ascii_case("identity") => request.body.clone(),
            Some(_) => return Err(Rejection::UnsupportedEncoding),
        };
        let refused =
            |conflict: crate::xcap::Conflict| Rejection::BadDocument(format!("{conflict:?}"));
        let (text, tree) = edit::check(&body, &LIMITS).map_err(refused)?;
        let meaning = schema::check(Usage::ResourceLists, "", text, &tree, &LIMITS);
        let schema::Meaning::Lists(lists) = meaning.map_err(refused)? else { return Ok(None) };
        let all = List {
            members: lists.into_iter().map(crate::xcap::list::Member::List).collect(),
            ..List::default()
        };
        Ok(Some(self.flattened(&all)))
    }
}

impl Server {
    /// A list is told whole at every refresh, as it is then; the SUBSCRIBE may bring another.
    /// Whether the subscription is to a list.
    pub(crate) fn refresh_list(
        &mut self,
        now: Now,
        incoming: &Incoming,
        id: SubscriptionSlot,
    ) -> bool {
        let request = &incoming.request;
        let brought = self.list_in(request).ok().flatten();
        let Some(list) = list_of_mut(&mut self.subscriptions, id) else { return false };
        list.takes_deflate = takes_deflate(request);
        match brought.filter(|_| list.source == Source::Request) {
            Some(brought) => self.reload_with(now, id, brought),
            None => self.reload_list(now, id),
        }
        self.store_subscription(now, id);
        true
    }
}

/// Whether the watcher takes deflated bodies (RFC 3261 §20.2).
pub(crate) fn takes_deflate(request: &Request) -> bool {
    request.headers.values("Accept-Encoding").flat_map(|value| value.split(',')).any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let is_deflate = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("deflate"));
        is_deflate && !parts.any(|part| matches!(part, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
    })
}
