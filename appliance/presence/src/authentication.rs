//! Who is asking: digest (RFC 8760), replay, trusted peers, and penalties for guessing.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::time::Duration;

use foldhash::quality::FixedState;
use sip::aor::Named;
use sip::clock::{Instant, Now};
use sip::digest::{Algorithm, Credentials, NonceMint, NonceVerdict, challenge};
use sip::entropy::Entropy;
use sip::flow::Flow;
use sip::message::{HeaderAccess, Request, method};

use crate::command::DigestQuestion;
use crate::config::{AddressBlock, Config};
use crate::counters::Counters;
use crate::rejection::Rejection;
use crate::user::{UserSlot, Users};

/// Who sent a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Identity {
    /// A peer that is believed by its address.
    Trusted,
    /// A user who knew the password.
    User(UserSlot),
}

/// What a digest is computed over, and who asks.
#[derive(Clone, Copy)]
struct Asked<'a> {
    peer: IpAddr,
    method: &'a str,
    body: &'a [u8],
    proxy: bool,
}

const NONCE_LIFETIME: Duration = Duration::from_secs(24 * 3600);
const NONCES_KEPT: usize = 65_536;
const FAILURES_BEFORE_PENALTY: u32 = 20;
const PENALTY_WINDOW: Duration = Duration::from_secs(10);
const SOURCES_KEPT: usize = 4096;

/// The nonces given out, and what has been done with them.
#[derive(Debug)]
pub(crate) struct Authentication {
    mint: NonceMint,
    realm: String,
    trusted: Vec<AddressBlock>,
    algorithms: Vec<Algorithm>,
    /// The upper half of every salt: nonces of an earlier life are told by it and found stale,
    /// since what was done with them is forgotten.
    life: u32,
    next_salt: u32,
    /// Salts below this have been forgotten.
    floor: u32,
    used: BTreeMap<u32, CountWindow>,
    sources: HashMap<IpAddr, Failures, FixedState>,
}

#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    since: Instant,
}

impl Authentication {
    pub(crate) fn new(config: &Config, entropy: &mut Entropy) -> Self {
        Self {
            mint: NonceMint::new(config.secret),
            realm: config.domain.clone(),
            trusted: config.trusted.clone(),
            algorithms: config.digest.clone(),
            life: (entropy.next_u64() >> 32) as u32,
            next_salt: 1,
            floor: 0,
            used: BTreeMap::new(),
            sources: HashMap::with_hasher(FixedState::with_seed(entropy.next_u64())),
        }
    }

    /// Changes who is exempt and which algorithms are offered; nonces given out stay good.
    pub(crate) fn set_terms(&mut self, trusted: Vec<AddressBlock>, algorithms: Vec<Algorithm>) {
        self.trusted = trusted;
        self.algorithms = algorithms;
    }

    pub(crate) fn is_trusted(&self, peer: IpAddr) -> bool {
        self.trusted.iter().any(|block| block.contains(peer))
    }

    /// Who sent `request`, or the challenge to answer it with. There is always a challenge: a
    /// refusal without one makes phones ask for ever.
    pub(crate) fn authenticate(
        &mut self,
        now: Now,
        flow: &Flow,
        request: &Request,
        proxy: bool,
        users: &Users,
        counters: &mut Counters,
    ) -> Result<Identity, Rejection> {
        let peer = flow.peer.ip().to_canonical();
        if self.is_trusted(peer) {
            return Ok(Identity::Trusted);
        }
        let name = if proxy { "Proxy-Authorization" } else { "Authorization" };
        let offered = request
            .headers
            .values(name)
            .filter_map(|value| Credentials::parse(value).ok())
            .find(|credentials| credentials.realm == self.realm);
        let asked = Asked { peer, method: method(request.method), body: &request.body, proxy };
        self.verify(now, &asked, offered, users, counters).map(Identity::User)
    }

    /// Who sent a request over HTTP, or the challenges to answer it with.
    pub(crate) fn authenticate_http(
        &mut self,
        now: Now,
        question: &DigestQuestion,
        users: &Users,
        counters: &mut Counters,
    ) -> Result<UserSlot, Rejection> {
        let offered = question
            .authorization
            .as_deref()
            .and_then(|value| Credentials::parse(value).ok())
            .filter(|credentials| credentials.realm == self.realm)
            // RFC 7616 §3.4.6: what was signed must be what is asked for.
            .filter(|credentials| credentials.uri == question.uri);
        let peer = question.peer.to_canonical();
        let (method, body) = (question.method.as_str(), question.body.as_slice());
        let asked = Asked { peer, method, body, proxy: false };
        self.verify(now, &asked, offered, users, counters)
    }

    fn verify(
        &mut self,
        now: Now,
        asked: &Asked<'_>,
        offered: Option<Credentials>,
        users: &Users,
        counters: &mut Counters,
    ) -> Result<UserSlot, Rejection> {
        let Asked { peer, method, body, proxy } = *asked;
        let Some(credentials) = offered else {
            return Err(self.challenge(now, proxy, false, counters));
        };
        if self.is_penalised(now.monotonic, peer) {
            return Err(Rejection::Penalty);
        }
        let verdict = self.mint.check(&credentials.nonce, now.wall, NONCE_LIFETIME);
        if matches!(verdict, NonceVerdict::Stale) {
            return Err(self.challenge(now, proxy, true, counters));
        }
        let known = self.find_user(users, &credentials.username).and_then(|slot| {
            let user = users.get(slot).filter(|user| user.is_served)?;
            Some((slot, user))
        });
        let verified =
            known.filter(|(_, user)| user.ha1s().any(|ha1| credentials.verify(&ha1, method, body)));
        let Some((slot, _)) = verified else {
            counters.authentication_failures += 1;
            self.note_failure(now.monotonic, peer);
            return Err(self.challenge(now, proxy, false, counters));
        };
        // Right but for a nonce that another node made: nobody need be asked for a password
        // (RFC 7616 §3.3).
        let NonceVerdict::Fresh { id: salt } = verdict else {
            return Err(self.challenge(now, proxy, true, counters));
        };
        let (life, number) = ((salt >> 32) as u32, (salt & 0xffff_ffff) as u32);
        if life != self.life || number < self.floor {
            return Err(self.challenge(now, proxy, true, counters));
        }
        // Without qop there is no count, so such a nonce is good for one request.
        let count = credentials.nc.unwrap_or(1);
        if !self.used.entry(number).or_default().accept(count) {
            counters.replays += 1;
            return Err(self.challenge(now, proxy, true, counters));
        }
        if self.used.len() > NONCES_KEPT
            && let Some((oldest, _)) = self.used.pop_first()
        {
            self.floor = oldest + 1;
        }
        self.sources.remove(&peer);
        Ok(slot)
    }

    fn find_user(&self, users: &Users, username: &str) -> Option<UserSlot> {
        let id = match username.rsplit_once('@') {
            Some((id, domain)) if domain.eq_ignore_ascii_case(users.domain()) => id,
            _ => username,
        };
        users.find(id)
    }

    fn challenge(
        &mut self,
        now: Now,
        proxy: bool,
        stale: bool,
        counters: &mut Counters,
    ) -> Rejection {
        counters.challenges += 1;
        let salt = (u64::from(self.life) << 32) | u64::from(self.next_salt);
        self.next_salt = self.next_salt.wrapping_add(1);
        let nonce = self.mint.mint(now.wall, salt);
        let challenges = self
            .algorithms
            .iter()
            .map(|algorithm| challenge(&self.realm, &nonce, *algorithm, stale))
            .collect();
        Rejection::Unauthenticated { challenges, proxy }
    }

    fn is_penalised(&self, now: Instant, peer: IpAddr) -> bool {
        self.sources.get(&peer).is_some_and(|failures| {
            failures.count >= FAILURES_BEFORE_PENALTY && now.since(failures.since) < PENALTY_WINDOW
        })
    }

    fn note_failure(&mut self, now: Instant, peer: IpAddr) {
        if self.sources.len() >= SOURCES_KEPT && !self.sources.contains_key(&peer) {
            self.sources.retain(|_, failures| now.since(failures.since) < PENALTY_WINDOW);
            if self.sources.len() >= SOURCES_KEPT {
                return;
            }
        }
        let failures = self.sources.entry(peer).or_insert(Failures { count: 0, since: now });
        if now.since(failures.since) >= PENALTY_WINDOW {
            *failures = Failures { count: 0, since: now };
        }
        failures.count += 1;
        if failures.count == FAILURES_BEFORE_PENALTY {
            failures.since = now;
        }
    }
}

/// The counts (`nc`) seen of one nonce: datagrams may overtake each other, but none counts twice.
#[derive(Debug, Default, Clone, Copy)]
struct CountWindow {
    highest: u32,
    /// Bit n: `highest - n` has been seen.
    seen: u64,
}

impl CountWindow {
    fn accept(&mut self, count: u32) -> bool {
        if count == 0 {
            return false;
        }
        if count > self.highest {
            let shift = count - self.highest;
            self.seen = self.seen.checked_shl(shift).unwrap_or(0) | 1;
            self.highest = count;
            return true;
        }
        let behind = self.highest - count;
        let Some(bit) = 1_u64.checked_shl(behind) else { return false };
        let is_new = self.seen & bit == 0;
        self.seen |= bit;
        is_new
    }
}

/// Whom a From, To or P-Asserted-Identity header names.
pub(crate) fn aor_of(value: Option<&str>) -> Option<Named<'_>> {
    Named::by_header(value?).ok()
}

#[cfg(test)]
mod tests {
    use super::CountWindow;

    #[test]
    fn a_count_is_good_once_in_any_order() {
        let mut window = CountWindow::default();
        assert!(window.accept(1) && window.accept(3) && window.accept(2));
        assert!(!window.accept(2) && !window.accept(3) && !window.accept(1) && !window.accept(0));
        assert!(window.accept(200));
        assert!(!window.accept(100), "too far back to be known");
        assert!(window.accept(199));
    }
}
