//! Which of several persons a watcher is shown.

use std::cmp::Reverse;

use super::{Input, MANUAL, Order, State};
use crate::document::data_model::Person;
use crate::document::pidf::{Basic, PublishedDocument};

/// The person chosen, and the key of the publication that it is from.
#[derive(Debug, Clone, Copy)]
pub struct Chosen<'a> {
    /// The person.
    pub person: &'a Person,
    /// The key of its publication.
    pub key: u64,
    /// How it is.
    pub state: State,
}

/// Chooses one person out of all that are published; `None` when there is none.
///
/// What the user has set by hand decides. Else the one whose state comes first in `order`; of those
/// with the same state one that is in use before one that is idle, then the most recent. Of several
/// persons in one document the same, then the first.
#[must_use]
pub fn choose<'a>(inputs: &[Input<'a>], order: &Order) -> Option<Chosen<'a>> {
    let persons = inputs
        .iter()
        .flat_map(|input| input.document.persons().iter().map(move |person| (*input, person)));
    let rank = |(input, person): &(Input<'a>, &'a Person)| {
        let is_by_hand = input.key == MANUAL;
        let state = state_of(input.document, person, order);
        let is_idle = is_idle(input.document, person);
        (!is_by_hand, order.rank(state), is_idle, Reverse((input.published, input.key)))
    };
    let (input, person) = persons.min_by_key(rank)?;
    let state = state_of(input.document, person, order);
    Some(Chosen { person, key: input.key, state })
}

/// How a person is, as one publication has it.
fn state_of(document: &PublishedDocument, person: &Person, order: &Order) -> State {
    if has_signed_off(document, person) {
        return State::Offline;
    }
    let activities = person.activities().iter().filter_map(State::of_activity);
    match order.first(activities) {
        Some(state) => state,
        None if is_idle(document, person) => State::Away,
        None => State::Available,
    }
}

/// Whether a publication says no more than that its device is gone: every tuple is closed, and
/// the person does nothing that needs somebody there. (A telephone may well be closed because
/// the person is talking on it.)
fn has_signed_off(document: &PublishedDocument, person: &Person) -> bool {
    let tuples = document.tuples();
    !tuples.is_empty()
        && tuples.iter().all(|tuple| tuple.basic() == Some(Basic::Closed))
        && person.activities().iter().all(|activity| activity.is_absence())
}

/// Whether what the person is seen by is idle: the person's own input says so, or, where it says
/// nothing, some of the devices and services do and none says the contrary.
fn is_idle(document: &PublishedDocument, person: &Person) -> bool {
    if let Some(input) = person.user_input() {
        return input.is_idle;
    }
    let devices = document.devices().iter().map(|device| device.user_input());
    let tuples = document.tuples().iter().map(|tuple| tuple.user_input());
    let mut inputs = devices.chain(tuples).flatten().peekable();
    inputs.peek().is_some() && inputs.all(|input| input.is_idle)
}
