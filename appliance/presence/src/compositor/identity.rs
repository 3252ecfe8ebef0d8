//! Ids that are unique in a composed document (`xs:ID`).

use std::borrow::Cow;
use std::collections::BTreeSet;

use crate::document::fragment::Identified;

/// What sort of element asks for an id; earlier sorts are served first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Sort {
    /// Watchers keep track of tuples by their id.
    Tuple,
    /// A device.
    Device,
    /// Changes with every change of person, so it must not take an id from anything else.
    Person,
}

/// An element that needs an id.
#[derive(Debug, Clone, Copy)]
pub(super) struct Claim<'a> {
    /// What it is.
    pub(super) sort: Sort,
    /// The key of its publication.
    pub(super) key: u64,
    /// The element.
    pub(super) element: &'a Identified,
}

/// An id for each claim, in the order of the claims.
pub(super) fn unique<'a>(claims: &[Claim<'a>]) -> Vec<Cow<'a, str>> {
    let mut order: Vec<(usize, &Claim<'a>)> = claims.iter().enumerate().collect();
    order.sort_by_key(|(_, claim)| {
        (claim.sort == Sort::Person, claim.key, claim.sort, &claim.element.id)
    });
    let mut taken: BTreeSet<Cow<'a, str>> = BTreeSet::new();
    let mut ids: Vec<(usize, Cow<'a, str>)> = Vec::with_capacity(claims.len());
    let mut refused = Vec::new();
    for (place, claim) in order {
        let wanted: &'a str = &claim.element.id;
        if taken.insert(Cow::Borrowed(wanted)) {
            ids.push((place, Cow::Borrowed(wanted)));
        } else {
            refused.push((place, claim));
        }
    }
    for (place, claim) in refused {
        let mut id = format!("{}-{}", claim.element.id, claim.key);
        while taken.contains(id.as_str()) {
            id.push('_');
        }
        taken.insert(Cow::Owned(id.clone()));
        ids.push((place, Cow::Owned(id)));
    }
    ids.sort_unstable_by_key(|(place, _)| *place);
    ids.into_iter().map(|(_, id)| id).collect()
}
