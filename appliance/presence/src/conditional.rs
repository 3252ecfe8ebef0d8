//! Conditional notification (RFC 5839): each NOTIFY names what it tells by an entity-tag, and a
//! watcher who has that already is not told again.

use std::hash::{BuildHasher as _, Hasher as _};

use foldhash::quality::FixedState;
use sip::message::{HeaderAccess, Request};

use crate::authorization::Standing;
use crate::resource_list::{Member, list_of_mut, shown_view};
use crate::server::Server;
use crate::subscription::{Kind, SubscriptionSlot};

/// The same for the same octets, over restarts too.
const SEED: u64 = 0x5839;

/// What a watcher has already (Suppress-If-Match).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Suppress(u64);

impl Suppress {
    /// Everything: nothing is to be told (`*`).
    const ALWAYS: Self = Self(u64::MAX);

    /// What a SUBSCRIBE says; nothing where it does not, or names a tag that is none of ours.
    pub(crate) fn of(request: &Request) -> Self {
        match request.headers.value("Suppress-If-Match").map(str::trim) {
            Some("*") => Self::ALWAYS,
            Some(tag) if tag.len() == DIGITS => {
                Self(u64::from_str_radix(tag, 16).unwrap_or_default())
            }
            _ => Self::default(),
        }
    }

    /// Whether the watcher has this.
    pub(crate) const fn covers(self, etag: EntityTag) -> bool {
        self.0 == Self::ALWAYS.0 || (self.0 != 0 && self.0 == etag.0)
    }
}

const DIGITS: usize = 16;

/// Names one version of what a watcher is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EntityTag(u64);

impl EntityTag {
    /// The tag of a document.
    pub(crate) fn of(octets: &[u8]) -> Self {
        let mut hasher = FixedState::with_seed(SEED).build_hasher();
        hasher.write(octets);
        Self::from_hash(hasher.finish())
    }

    /// Two values have a meaning of their own.
    const fn from_hash(hash: u64) -> Self {
        Self(if hash == 0 || hash == u64::MAX { 1 } else { hash })
    }

    /// As SIP-ETag has it.
    pub(crate) fn digits(self) -> [u8; DIGITS] {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let mut digits = [b'0'; DIGITS];
        for (place, digit) in digits.iter_mut().rev().enumerate() {
            let value = (self.0 >> (4 * place)) & 0xf;
            *digit = HEX.get(usize::try_from(value).unwrap_or(0)).copied().unwrap_or(b'0');
        }
        digits
    }
}

impl Server {
    /// The tag of what a watcher would be told in full; none for packages without one, and for
    /// who is told nothing.
    pub(crate) fn entity_tag(&mut self, id: SubscriptionSlot) -> Option<EntityTag> {
        let subscription = self.subscriptions.get(id.0 as usize)?;
        if subscription.is_pending {
            return None;
        }
        match subscription.kind {
            Kind::Presence => {
                let (slot, view) = (subscription.presentity, subscription.view);
                self.shown(slot, view).map(|document| EntityTag::of(&document))
            }
            Kind::List(_) => self.list_tag(id),
            Kind::Winfo(_) | Kind::State(_) => None,
        }
    }

    /// The tag of a list as it is now, told or not.
    fn list_tag(&mut self, id: SubscriptionSlot) -> Option<EntityTag> {
        let members = std::mem::take(&mut list_of_mut(&mut self.subscriptions, id)?.members);
        let digests: Vec<u64> = members
            .iter()
            .enumerate()
            .map(|(index, member)| {
                let document = match (member.slot, shown_view(member.standing)) {
                    (Some(slot), Some(view)) => self.shown(slot, view),
                    _ => None,
                };
                digest(index, member, document.as_deref())
            })
            .collect();
        list_of_mut(&mut self.subscriptions, id)?.members = members;
        Some(tag_of(digests.into_iter()))
    }
}

/// A digest of what is told of one member of a list.
pub(crate) fn digest(index: usize, member: &Member, document: Option<&[u8]>) -> u64 {
    let mut hasher = FixedState::with_seed(SEED).build_hasher();
    hasher.write_usize(index);
    hasher.write(member.uri.as_bytes());
    hasher.write(member.name.as_deref().unwrap_or_default().as_bytes());
    match (member.slot, member.standing) {
        (Some(_), Standing::Active(_)) => hasher.write(document.unwrap_or_default()),
        (Some(_), Standing::Pending) => hasher.write_u8(1),
        (Some(_), Standing::Rejected) => hasher.write_u8(2),
        (None, _) => hasher.write_u8(if member.is_ours { 3 } else { 4 }),
    }
    hasher.finish()
}

/// The tag of a list of members with these digests.
pub(crate) fn tag_of(digests: impl Iterator<Item = u64>) -> EntityTag {
    EntityTag::from_hash(digests.fold(SEED, |all, digest| all.rotate_left(1) ^ digest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_text_and_back() {
        let tag = EntityTag(0x0123_4567_89ab_cdef);
        assert_eq!(&tag.digits(), b"0123456789abcdef");
        assert!(Suppress(tag.0).covers(tag) && Suppress::ALWAYS.covers(tag));
        assert!(!Suppress::default().covers(tag) && !Suppress(7).covers(tag));
        assert_eq!(EntityTag::of(b"x"), EntityTag::of(b"x"));
        assert_ne!(EntityTag::of(b"x"), EntityTag::of(b"y"));
    }
}
