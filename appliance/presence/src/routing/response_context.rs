//! The response context of a forked request (RFC 3261 §16.7): which answer goes back.

use std::collections::{HashMap, VecDeque};

use foldhash::quality::FixedState;
use sip::clock::{Instant, Now};
use sip::flow::{Flow, Hop};
use sip::message::{HeaderAccess, Method, Request, Response, Uri, response_to};
use sip::transaction::{ClientId, HoldMark, ServerId, timer};
use slab::Slab;

use super::RINGING;
use super::flow_token::FlowTokens;
use crate::reach;
use crate::server::{Due, Server};
use crate::user::UserSlot;

/// Names a branch of a response context for as long as that lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct BranchId {
    context: u32,
    generation: u32,
    branch: u16,
}

impl BranchId {
    /// Another branch of the same context.
    pub(crate) const fn sibling(self, branch: u16) -> Self {
        Self { branch, ..self }
    }
}

/// One copy of a forked request.
#[derive(Debug)]
pub(crate) struct Branch {
    pub(crate) target: Uri,
    pub(crate) path: Vec<String>,
    /// Next hops that have not been tried.
    pub(crate) hops: VecDeque<Hop>,
    pub(crate) client: Option<ClientId>,
    is_over: bool,
    /// When it has rung long enough; `None` until it was sent.
    rings_until: Option<Instant>,
}

impl Branch {
    pub(crate) fn new(target: Uri, path: Vec<String>) -> Self {
        Self {
            target,
            path,
            hops: VecDeque::new(),
            client: None,
            is_over: false,
            rings_until: None,
        }
    }
}

/// A request that was passed on and the answers so far.
#[derive(Debug)]
pub(crate) struct Context {
    generation: u32,
    server: ServerId,
    flow: Flow,
    request: Request,
    /// The user that it is for.
    user: Option<UserSlot>,
    branches: Vec<Branch>,
    best: Option<Response>,
    is_answered: bool,
}

impl Context {
    pub(crate) const fn new(
        server: ServerId,
        flow: Flow,
        request: Request,
        branches: Vec<Branch>,
        user: Option<UserSlot>,
    ) -> Self {
        Self {
            generation: 0,
            server,
            flow,
            request,
            user,
            branches,
            best: None,
            is_answered: false,
        }
    }
}

/// The response contexts of a node.
#[derive(Debug)]
pub(crate) struct Routing {
    pub(crate) tokens: FlowTokens,
    contexts: Slab<Context>,
    by_server: HashMap<ServerId, BranchId, FixedState>,
    generation: u32,
}

impl Routing {
    pub(crate) fn new(secret: [u8; 32]) -> Self {
        Self {
            tokens: FlowTokens::new(secret),
            contexts: Slab::new(),
            by_server: HashMap::with_hasher(FixedState::default()),
            generation: 0,
        }
    }

    pub(crate) fn insert(&mut self, mut context: Context) -> BranchId {
        self.generation = self.generation.wrapping_add(1);
        context.generation = self.generation;
        let server = context.server;
        let slot = u32::try_from(self.contexts.insert(context)).unwrap_or(u32::MAX);
        let id = BranchId { context: slot, generation: self.generation, branch: 0 };
        self.by_server.insert(server, id);
        id
    }

    fn context_mut(&mut self, id: BranchId) -> Option<&mut Context> {
        self.contexts.get_mut(id.context as usize).filter(|c| c.generation == id.generation)
    }

    pub(crate) fn branch_mut(&mut self, id: BranchId) -> Option<&mut Branch> {
        self.context_mut(id)?.branches.get_mut(usize::from(id.branch))
    }

    /// The request of a branch's context, and the flow that it came over.
    pub(crate) fn origin(&self, id: BranchId) -> Option<(&Request, Flow)> {
        let context = self.contexts.get(id.context as usize)?;
        (context.generation == id.generation).then_some((&context.request, context.flow))
    }

    /// Calls that were passed on and have no final answer.
    pub(crate) fn ringing_calls(&self) -> usize {
        let is_ringing = |c: &Context| c.request.method == Method::Invite && !c.is_answered;
        self.contexts.iter().filter(|(_, context)| is_ringing(context)).count()
    }

    fn remove(&mut self, id: BranchId) -> Option<Context> {
        self.context_mut(id)?;
        let context = self.contexts.remove(id.context as usize);
        self.by_server.remove(&context.server);
        Some(context)
    }
}

impl Server {
    /// A branch has got a response.
    pub(crate) fn forward_answered(&mut self, now: Now, id: BranchId, mut response: Response) {
        response.headers.remove_first("Via");
        let status = response.status_code.code();
        let Some(context) = self.routing.context_mut(id) else { return };
        let is_invite = context.request.method == Method::Invite;
        match status {
            100 => {}
            101..200 => {
                if is_invite && !context.is_answered {
                    let server = context.server;
                    self.layer.respond(now.monotonic, server, &response, HoldMark::default());
                    self.keep_ringing(now, id);
                }
            }
            200..300 => {
                let first = !std::mem::replace(&mut context.is_answered, true);
                let server = context.server;
                if first || is_invite {
                    self.counters.count_response(status);
                    self.layer.respond(now.monotonic, server, &response, HoldMark::default());
                }
                self.branch_is_over(now, id);
                if is_invite && first {
                    self.cancel_branches(now, server);
                }
            }
            _ => {
                keep_better(&mut context.best, response);
                let server = context.server;
                if status >= 600 {
                    self.cancel_branches(now, server);
                }
                self.branch_is_over(now, id);
            }
        }
    }

    /// A branch came to nothing: not answered, not reachable, or not located.
    pub(crate) fn forward_failed(&mut self, now: Now, id: BranchId, status: u16) {
        let Some((_, flow)) = self.routing.origin(id) else { return };
        let Some(branch) = self.routing.branch_mut(id) else { return };
        if status == 503
            && !branch.is_over
            && let Some(hop) = branch.hops.pop_front()
        {
            self.send_branch(now, id, reach::at_hop(hop, Some(&flow)));
            return;
        }
        let tag = self.entropy.token();
        let Some((request, _)) = self.routing.origin(id) else { return };
        let response = response_to(request, status, None, Some(&tag));
        if let Some(context) = self.routing.context_mut(id) {
            keep_better(&mut context.best, response);
        }
        self.branch_is_over(now, id);
    }

    /// Lets an INVITE ring on (timer C starts anew with every provisional response).
    pub(crate) fn keep_ringing(&mut self, now: Now, id: BranchId) {
        let until = now.monotonic + RINGING;
        let Some(branch) = self.routing.branch_mut(id) else { return };
        // One deadline a branch: when it comes due too early, it is set anew then.
        if branch.rings_until.replace(until).is_none() {
            self.deadlines.insert(until, Due::Ringing(id));
        }
    }

    /// Timer C: nobody picks up.
    pub(crate) fn rung_too_long(&mut self, now: Now, id: BranchId) {
        let Some(branch) = self.routing.branch_mut(id) else { return };
        if branch.is_over {
            return;
        }
        if let Some(until) = branch.rings_until.filter(|until| *until > now.monotonic) {
            self.deadlines.insert(until, Due::Ringing(id));
            return;
        }
        if let Some(client) = branch.client {
            self.layer.cancel(now.monotonic, client);
        }
    }

    /// Cancels what still rings; what was not sent yet is over at once.
    pub(crate) fn cancel_branches(&mut self, now: Now, server: ServerId) {
        let Some(id) = self.routing.by_server.get(&server).copied() else { return };
        let Some(context) = self.routing.context_mut(id) else { return };
        let waiting: Vec<(u16, Option<ClientId>)> = (0_u16..)
            .zip(&context.branches)
            .filter(|(_, branch)| !branch.is_over)
            .map(|(index, branch)| (index, branch.client))
            .collect();
        for (branch, client) in waiting {
            let id = id.sibling(branch);
            match client {
                Some(client) => self.layer.cancel(now.monotonic, client),
                None => self.forward_failed(now, id, 487),
            }
        }
    }

    /// No answer to an INVITE is repeated any longer.
    pub(crate) fn forget_answered(&mut self, id: BranchId) {
        self.routing.remove(id);
    }

    fn branch_is_over(&mut self, now: Now, id: BranchId) {
        let Some(context) = self.routing.context_mut(id) else { return };
        if let Some(branch) = context.branches.get_mut(usize::from(id.branch))
            && std::mem::replace(&mut branch.is_over, true)
        {
            return;
        }
        if !context.branches.iter().all(|branch| branch.is_over) {
            return;
        }
        if context.is_answered && context.request.method == Method::Invite {
            // The callee may repeat its 2xx, each of which is passed on (RFC 6026 §8.4, timer M).
            self.deadlines.insert(now.monotonic + timer::GIVE_UP, Due::Answered(id));
            return;
        }
        let Some(context) = self.routing.remove(id) else { return };
        if context.is_answered {
            return;
        }
        let Some(mut response) = context.best else { return };
        // Nobody was there after all; after a silence the sender has given up by now.
        if matches!(response.status_code.code(), 404 | 430 | 480 | 503)
            && let Some(user) = context.user
            && self.store_message(now, context.server, &context.request, user)
        {
            return;
        }
        if response.status_code.code() == 503 {
            // A 503 from behind would make the sender give up on us (RFC 3261 §16.7 step 6).
            let tag = self.entropy.token();
            response = response_to(&context.request, 500, None, Some(&tag));
        }
        self.counters.count_response(response.status_code.code());
        self.layer.respond(now.monotonic, context.server, &response, HoldMark::default());
    }
}

/// RFC 3261 §16.7 step 6: a 6xx before all, else the lowest class, and in the 4xx class first
/// those that the sender can do something about.
fn keep_better(best: &mut Option<Response>, candidate: Response) {
    let rank = |response: &Response| {
        let status = response.status_code.code();
        match status {
            600.. => (0, 0, status),
            401 | 407 | 415 | 420 | 484 => (1, 4, 0),
            // A branch that we cancelled ourselves tells least.
            487 | 408 => (1, 4, 999),
            _ => (1, status / 100, status),
        }
    };
    if best.as_ref().is_none_or(|best| rank(&candidate) < rank(best)) {
        *best = Some(candidate);
    }
}
