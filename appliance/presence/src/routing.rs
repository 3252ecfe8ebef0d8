//! Requests that are not for us: a stateful, record-routing proxy (RFC 3261 §16).

pub(crate) mod flow_token;
pub(crate) mod response_context;

use std::collections::VecDeque;
use std::time::Duration;

use sip::clock::Now;
use sip::flow::{Destination, Flow, Hop};
use sip::header::name_addr::NameAddr;
use sip::header::options;
use sip::message::{HeaderAccess, Method, Request, Uri, response_to};
use sip::transaction::{HoldMark, ServerId};

use crate::authentication::{Identity, aor_of};
use crate::engine::to_tag;
use crate::node_policy::Item;
use crate::output::{Output, SaveSequence, Transmit};
use crate::reach::{self, Reach};
use crate::rejection::Rejection;
use crate::server::{Incoming, Pending, Purpose, Server};
use crate::stored_message::OFF;
use crate::user::UserSlot;

pub(crate) use response_context::{Branch, BranchId, Context, Routing};

/// How long a forwarded INVITE may ring (timer C, RFC 3261 §16.6 step 11).
pub(crate) const RINGING: Duration = Duration::from_secs(200);

/// Our own Route entries at the top of a request, taken off before anything else is decided.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct OwnRoutes {
    /// Where the last of them leads, when we made it ourselves: the far side of the dialog.
    pub(crate) far_side: Option<Destination>,
}

impl Server {
    /// Takes our own Route entries off a request (RFC 3261 §16.4).
    pub(crate) fn strip_own_routes(&self, request: &mut Request) -> OwnRoutes {
        let mut own = OwnRoutes::default();
        while let Some(Ok(route)) = request.headers.value("Route").map(NameAddr::parse) {
            if !self.is_our_host(&route.uri) {
                break;
            }
            request.headers.remove_first("Route");
            own.far_side = route.uri.user().and_then(|token| self.routing.tokens.open(token));
        }
        own
    }

    /// Who sends a request that is to be passed on.
    pub(crate) fn identify_for_routing(
        &mut self,
        now: Now,
        incoming: &Incoming,
    ) -> Result<Identity, Rejection> {
        let identity = self.authentication.authenticate(
            now,
            &incoming.flow,
            &incoming.request,
            true,
            &self.users,
            &mut self.counters,
        )?;
        if let Identity::User(slot) = identity {
            let from = aor_of(incoming.request.headers.value("From"));
            let named = from.and_then(|aor| self.served_user(&aor));
            if named != Some(slot) {
                return Err(Rejection::Forbidden("From Is Not You"));
            }
        }
        Ok(identity)
    }

    /// A request inside a dialog that we record-routed, or one for somewhere else by a Route.
    pub(crate) fn forward_along_route(
        &mut self,
        now: Now,
        incoming: &Incoming,
        hops: u8,
    ) -> Result<(), Rejection> {
        let known = incoming.own_routes.far_side.filter(|_| to_tag(&incoming.request).is_some());
        if known.is_none() {
            return self.forward_elsewhere(now, incoming, hops);
        }
        check_forwardable(&incoming.request, hops)?;
        let next = next_target(&incoming.request);
        let branch = Branch::new(incoming.request.uri.clone(), Vec::new());
        let way = self.way(&next, known, &incoming.flow);
        self.start(now, incoming, vec![(branch, way)], None);
        Ok(())
    }

    /// The way to the far side of a dialog: its flow, or where its target lies when a Route of
    /// others stands before it.
    fn way(&self, next: &Uri, known: Option<Destination>, flow: &Flow) -> Reach {
        known.map_or_else(|| reach::away_from_flow(next, Some(flow)), Reach::At)
    }

    /// A request for one of our users: to all of its contacts at once.
    pub(crate) fn forward_to_user(
        &mut self,
        now: Now,
        incoming: &Incoming,
        slot: UserSlot,
        hops: u8,
    ) -> Result<(), Rejection> {
        self.identify_for_routing(now, incoming)?;
        check_forwardable(&incoming.request, hops)?;
        self.check_messages(&incoming.request)?;
        let branches: Vec<(Branch, Reach)> = self
            .destinations(slot)
            .into_iter()
            .map(|(target, path, reach)| (Branch::new(target, path), reach))
            .collect();
        if branches.is_empty() {
            if self.store_message(now, incoming.id, &incoming.request, slot) {
                return Ok(());
            }
            return Err(Rejection::NobodyThere);
        }
        self.start(now, incoming, branches, Some(slot));
        Ok(())
    }

    /// A request for another domain: found by RFC 3263.
    pub(crate) fn forward_elsewhere(
        &mut self,
        now: Now,
        incoming: &Incoming,
        hops: u8,
    ) -> Result<(), Rejection> {
        self.identify_for_routing(now, incoming)?;
        check_forwardable(&incoming.request, hops)?;
        self.check_messages(&incoming.request)?;
        let next = next_target(&incoming.request);
        let reach = reach::away_from_flow(&next, Some(&incoming.flow));
        if matches!(reach, Reach::Nowhere) {
            return Err(Rejection::UnsupportedScheme);
        }
        let branch = Branch::new(incoming.request.uri.clone(), Vec::new());
        self.start(now, incoming, vec![(branch, reach)], None);
        Ok(())
    }

    /// The ACK of a 2xx goes to the far side of its dialog, without a transaction.
    pub(crate) fn forward_acknowledgement(&mut self, mut request: Request, own: OwnRoutes) {
        let Some(destination) = own.far_side else {
            self.counters.malformed_dropped += 1;
            return;
        };
        let hops = request.headers.value("Max-Forwards").map(sip::header::max_forwards::parse);
        let Some(hops) = hops.unwrap_or(Ok(70)).ok().filter(|hops| *hops > 0) else {
            self.counters.malformed_dropped += 1;
            return;
        };
        request.headers.set("Max-Forwards", &(hops - 1).to_string());
        let sent_by = self.layer.sent_by(&destination);
        let digits = sip::slot_token::digits(0, self.entropy.next_u64());
        let via = sip::transaction::client::via_value(destination.transport(), sent_by, &digits);
        request.headers.prepend("Via", &via);
        let mut bytes = Vec::with_capacity(1024);
        sip::write::request(&request, &mut bytes);
        self.push_output(Output::Transmit(Transmit {
            destination,
            payload: crate::output::Payload::whole(&bytes),
            after: SaveSequence::default(),
            on_failure: None,
        }));
    }

    /// CANCEL (RFC 3261 §16.10): answered here, and passed to every branch that still rings.
    pub(crate) fn cancel(&mut self, now: Now, incoming: &Incoming, invite: Option<ServerId>) {
        let Some(invite) = invite else {
            self.refuse(now, incoming, &Rejection::UnknownDialog);
            return;
        };
        let tag = self.entropy.token();
        let response = response_to(&incoming.request, 200, None, Some(&tag));
        self.answer(now, incoming, response);
        self.cancel_branches(now, invite);
    }

    /// Refuses messages where an administrator will have none.
    fn check_messages(&self, request: &Request) -> Result<(), Rejection> {
        if request.method == Method::Message && self.policy.value(Item::Messages) == OFF {
            return Err(Rejection::Forbidden("Instant Messages Are Off"));
        }
        Ok(())
    }

    fn start(
        &mut self,
        now: Now,
        incoming: &Incoming,
        branches: Vec<(Branch, Reach)>,
        user: Option<UserSlot>,
    ) {
        if incoming.request.method == Method::Invite {
            let trying = response_to(&incoming.request, 100, None, None);
            self.layer.respond(now.monotonic, incoming.id, &trying, HoldMark::default());
        }
        let mut request = incoming.request.clone();
        self.remove_own_credentials(&mut request);
        let (branches, ways): (Vec<Branch>, Vec<Reach>) = branches.into_iter().unzip();
        let context = Context::new(incoming.id, incoming.flow, request, branches, user);
        let id = self.routing.insert(context);
        for (index, way) in ways.into_iter().enumerate() {
            let Ok(index) = u16::try_from(index) else { break };
            let branch = id.sibling(index);
            match way {
                Reach::At(destination) => self.send_branch(now, branch, destination),
                Reach::Named(target) => self.locate(target, Pending::Forward(branch)),
                Reach::Nowhere => self.forward_failed(now, branch, 404),
            }
        }
    }

    /// The next hops of a branch have been located, or none.
    pub(crate) fn forward_located(&mut self, now: Now, id: BranchId, hops: Vec<Hop>) {
        let Some((_, flow)) = self.routing.origin(id) else { return };
        let Some(branch) = self.routing.branch_mut(id) else { return };
        branch.hops = VecDeque::from(hops);
        match branch.hops.pop_front() {
            Some(hop) => self.send_branch(now, id, reach::at_hop(hop, Some(&flow))),
            None => self.forward_failed(now, id, 404),
        }
    }

    /// Sends a branch (RFC 3261 §16.6).
    pub(crate) fn send_branch(&mut self, now: Now, id: BranchId, destination: Destination) {
        let Some((request, flow)) = self.routing.origin(id) else { return };
        let mut request = request.clone();
        let caller = Destination::Flow(flow);
        let Some(branch) = self.routing.branch_mut(id) else { return };
        request.uri = branch.target.clone();
        for path in branch.path.iter().rev() {
            request.headers.prepend("Route", path);
        }
        let hops = request.headers.value("Max-Forwards").map(sip::header::max_forwards::parse);
        // RFC 3261 §16.6 step 3: one less, or 70 where there was none.
        let hops = hops.and_then(Result::ok).map_or(70, |hops| hops.saturating_sub(1));
        request.headers.set("Max-Forwards", &hops.to_string());
        if matches!(request.method, Method::Invite | Method::Refer | Method::Subscribe) {
            // One entry for each side, so that each side reaches us by its own transport
            // (RFC 5658), and so that both flows are known to later requests (RFC 5626 §5.3).
            for side in [caller, destination] {
                let entry = self.record_route(&side);
                request.headers.prepend("Record-Route", &entry);
            }
        }
        let is_invite = request.method == Method::Invite;
        let purpose = Purpose::Forward(id);
        let sent =
            self.layer.send(now.monotonic, destination, request, purpose, HoldMark::default());
        match sent {
            Some(client) => {
                if let Some(branch) = self.routing.branch_mut(id) {
                    branch.client = Some(client);
                }
                if is_invite {
                    self.keep_ringing(now, id);
                }
            }
            None => self.forward_failed(now, id, 503),
        }
    }

    fn record_route(&self, side: &Destination) -> String {
        let sent_by = self.layer.sent_by(side);
        let token = self.routing.tokens.seal(side, sent_by);
        let transport = side.transport();
        if transport == sip::flow::Transport::Udp {
            format!("<sip:{token}@{sent_by};lr>")
        } else {
            format!("<sip:{token}@{sent_by};transport={};lr>", transport.uri_token())
        }
    }

    /// Credentials for our realm are nobody else's business; asserted identities of untrusted
    /// peers are nobody's (RFC 3325 §5).
    fn remove_own_credentials(&self, request: &mut Request) {
        let realm = format!("realm=\"{}\"", self.config.domain);
        let foreign: Vec<String> = request
            .headers
            .values("Proxy-Authorization")
            .filter(|value| !value.contains(&realm))
            .map(str::to_owned)
            .collect();
        request.headers.remove_all("Proxy-Authorization");
        for value in foreign {
            request.headers.append("Proxy-Authorization", &value);
        }
        request.headers.remove_all("P-Asserted-Identity");
    }
}

/// What must hold before a request is passed on (RFC 3261 §16.3).
fn check_forwardable(request: &Request, hops: u8) -> Result<(), Rejection> {
    if hops == 0 {
        return Err(Rejection::TooManyHops);
    }
    let unknown: Vec<String> =
        options::tags(request.headers.values("Proxy-Require")).map(str::to_owned).collect();
    if unknown.is_empty() { Ok(()) } else { Err(Rejection::UnknownExtensions(unknown)) }
}

/// Where a request goes next: its first Route, or its R-URI.
fn next_target(request: &Request) -> Uri {
    match request.headers.value("Route").map(NameAddr::parse) {
        Some(Ok(route)) => route.uri,
        _ => request.uri.clone(),
    }
}
