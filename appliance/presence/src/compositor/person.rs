//! Which of several persons a watcher is shown.

use std::cmp::Reverse;

use super::Input;
use crate::document::data_model::Person;
use crate::document::pidf::{Basic, PublishedDocument};

/// The person chosen, and the key of the publication that it is from.
#[derive(Debug, Clone, Copy)]
pub struct Chosen<'a> {
    /// The person.
    pub person: &'a Person,
    /// The key of its publication.
    pub key: u64,
}

/// Chooses one person out of all that are published; `None` when there is none.
///
/// In this order: a publication that has not signed off before one that has, one that is in use
/// before one that is idle, the most recent before the older. Of several persons in one document
/// the same, then the first.
#[must_use]
pub fn choose<'a>(inputs: &[Input<'a>]) -> Option<Chosen<'a>> {
    let persons = inputs
        .iter()
        .flat_map(|input| input.document.persons().iter().map(move |person| (*input, person)));
    let rank = |(input, person): &(Input<'a>, &'a Person)| {
        let has_signed_off = has_signed_off(input.document, person);
        let is_idle = is_idle(input.document, person);
        (has_signed_off, is_idle, Reverse((input.published, input.key)))
    };
    let (input, person) = persons.min_by_key(rank)?;
    Some(Chosen { person, key: input.key })
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
