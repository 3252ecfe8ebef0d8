//! Which owner a request belongs to; no rule of any owner stands here.

use std::net::IpAddr;
use std::time::Duration;

use sip::aor::{AorError, Named};
use sip::clock::Now;
use sip::header::{expires, max_forwards, name_addr, options};
use sip::message::{HeaderAccess, Method, Request, Uri, response_to};
use sip::uri;

use crate::rejection::{ALLOW, ALLOW_EVENTS, PIDF, Rejection};
use crate::resource_list::EVENTLIST;
use crate::server::{Incoming, Server};
use crate::user::UserSlot;

/// Option tags we understand.
const EXTENSIONS: [&str; 3] = ["path", EVENTLIST, "recipient-list-subscribe"];

/// Whom a request is for.
enum Target {
    /// This node itself.
    Node,
    /// A user of this node.
    User(UserSlot),
    /// An AoR of our domain that nobody has.
    Nobody,
    /// Somebody elsewhere.
    Elsewhere,
}

impl Server {
    /// Gives a new request to its owner.
    pub(crate) fn dispatch(
        &mut self,
        now: Now,
        incoming: &Incoming,
        merged: bool,
    ) -> Result<(), Rejection> {
        let request = &incoming.request;
        let hops = request.headers.value("Max-Forwards").map(max_forwards::parse);
        let hops = match hops {
            None => 70,
            Some(Ok(hops)) => hops,
            Some(Err(_)) => return Err(Rejection::Malformed("Bad Max-Forwards")),
        };
        if self.is_routed(incoming) {
            return self.forward_along_route(now, incoming, hops);
        }
        let target = self.target(&request.uri)?;
        let is_ours = matches!(
            (request.method, &target),
            (Method::Register | Method::Publish | Method::Subscribe, _)
                | (Method::Options, Target::Node)
        );
        if !is_ours {
            return match target {
                Target::User(slot) => self.forward_to_user(now, incoming, slot, hops),
                Target::Nobody => {
                    self.identify_for_routing(now, incoming)?;
                    Err(Rejection::NotFound)
                }
                Target::Node => {
                    self.identify_for_routing(now, incoming)?;
                    Err(self.unfit_for_node(request))
                }
                Target::Elsewhere => self.forward_elsewhere(now, incoming, hops),
            };
        }
        check_extensions(request)?;
        if merged {
            return Err(Rejection::Merged);
        }
        if request.method == Method::Options {
            self.answer_options(now, incoming);
            return Ok(());
        }
        let identity = self.authentication.authenticate(
            now,
            &incoming.flow,
            request,
            false,
            &self.users,
            &mut self.counters,
        )?;
        let in_dialog = to_tag(request);
        match (request.method, in_dialog) {
            (Method::Register, _) => match target {
                Target::Elsewhere => Err(Rejection::NotFound),
                _ => self.register(now, incoming, identity),
            },
            (Method::Subscribe, Some(tag)) => self.refresh(now, incoming, tag, identity),
            (Method::Subscribe, None) => match target {
                Target::User(slot) => self.subscribe(now, incoming, slot, identity),
                Target::Node | Target::Nobody => self.subscribe_list(now, incoming, identity),
                Target::Elsewhere => Err(Rejection::NotFound),
            },
            _ => match target {
                Target::User(slot) => self.publish(now, incoming, slot, identity),
                Target::Node | Target::Nobody | Target::Elsewhere => Err(Rejection::NotFound),
            },
        }
    }

    /// Whether a request goes on by what stands in its Route headers: further hops of others, or
    /// the far side of a dialog that we record-routed.
    fn is_routed(&self, incoming: &Incoming) -> bool {
        incoming.request.headers.value("Route").is_some()
            || (incoming.own_routes.far_side.is_some() && to_tag(&incoming.request).is_some())
    }

    fn target(&self, target: &Uri) -> Result<Target, Rejection> {
        let named = match Named::by_uri(target) {
            Ok(named) => Some(named),
            Err(AorError::NoUser) => None,
            Err(AorError::Scheme | AorError::Uri(_)) => return Err(Rejection::UnsupportedScheme),
        };
        if !self.is_our_host(target) {
            return Ok(Target::Elsewhere);
        }
        let Some(named) = named else { return Ok(Target::Node) };
        Ok(match self.users.find(&named.user).filter(|slot| self.is_served(*slot)) {
            Some(slot) => Target::User(slot),
            None => Target::Nobody,
        })
    }

    fn is_served(&self, slot: UserSlot) -> bool {
        self.users.get(slot).is_some_and(|user| user.is_served)
    }

    /// Whether a host is our domain, or an address of ours: phones that are given an address
    /// for a domain mean the same users.
    pub(crate) fn is_our_domain(&self, host: &str) -> bool {
        host.eq_ignore_ascii_case(self.users.domain())
            || uri::host_address(host).is_some_and(|ip| {
                self.config.listeners.iter().any(|(_, a)| a.ip().to_canonical() == ip)
            })
    }

    /// Whether a URI leads to this node: its host is our domain, or it is an address and port
    /// that we listen on.
    pub(crate) fn is_our_host(&self, target: &Uri) -> bool {
        let port = uri::port(target);
        let listens = |ip: IpAddr| {
            self.config.listeners.iter().any(|(transport, address)| {
                address.ip().to_canonical() == ip
                    && address.port() == port.unwrap_or_else(|| transport.default_port())
            })
        };
        uri::address(target).is_some_and(listens)
            || uri::host(target).eq_ignore_ascii_case(self.users.domain())
    }

    /// A request to the node itself that it has no use for.
    fn unfit_for_node(&self, request: &Request) -> Rejection {
        if to_tag(request).is_some() {
            Rejection::UnknownDialog
        } else {
            Rejection::MethodNotAllowed
        }
    }

    fn answer_options(&mut self, now: Now, incoming: &Incoming) {
        let tag = self.entropy.token();
        let mut response = response_to(&incoming.request, 200, None, Some(&tag));
        response.headers.append("Allow", ALLOW);
        response.headers.append("Allow-Events", ALLOW_EVENTS);
        response.headers.append("Accept", PIDF);
        response.headers.append("Accept-Encoding", "identity");
        response.headers.append("Accept-Language", "en");
        response.headers.append("Supported", &EXTENSIONS.join(", "));
        self.answer(now, incoming, response);
    }

    /// The Expires header of a request, if it has one that can be read.
    pub(crate) fn header_expires(&self, request: &Request) -> Option<Duration> {
        let seconds = expires::parse(request.headers.value("Expires")?).ok()?;
        Some(Duration::from_secs(u64::from(seconds)))
    }

    /// The expiry that a PUBLISH or SUBSCRIBE gets; zero when it asks for an end.
    pub(crate) fn granted_expires(&self, request: &Request) -> Result<Duration, Rejection> {
        let limits = &self.config.limits;
        let Some(value) = request.headers.value("Expires") else {
            return Ok(limits.default_expires);
        };
        let seconds = expires::parse(value).map_err(|_| Rejection::Malformed("Bad Expires"))?;
        match Duration::from_secs(u64::from(seconds)) {
            Duration::ZERO => Ok(Duration::ZERO),
            brief if brief < limits.min_expires => Err(Rejection::IntervalTooBrief),
            long => Ok(long.min(limits.max_expires)),
        }
    }
}

/// Refuses what must be understood and is not (RFC 3261 §8.2.2.3).
fn check_extensions(request: &Request) -> Result<(), Rejection> {
    let unknown: Vec<String> = options::tags(request.headers.values("Require"))
        .filter(|tag| !EXTENSIONS.iter().any(|known| known.eq_ignore_ascii_case(tag)))
        .map(str::to_owned)
        .collect();
    if unknown.is_empty() { Ok(()) } else { Err(Rejection::UnknownExtensions(unknown)) }
}

/// The tag of To: the request is inside a dialog.
pub(crate) fn to_tag(request: &Request) -> Option<&str> {
    name_addr::tag_of(request.headers.value("To")?)
}
