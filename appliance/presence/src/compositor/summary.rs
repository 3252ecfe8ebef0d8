//! The overall state of a presentity as typed values, for an administrator to read.

use sip::clock::WallTime;

use super::{Input, Order, State, in_order, person, tuples_in_order};
use crate::document::caps::Capabilities;
use crate::document::pidf::{Basic, Tuple};
use crate::document::rpid::{Activity, UserInput};

/// Whether a presentity can be reached at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Availability {
    /// By at least one service.
    Open,
    /// By none.
    Closed,
}

/// What the composed document says, in short.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Whether any service is open.
    pub availability: Availability,
    /// How the person is, over all.
    pub state: State,
    /// The key of the publication that decided, where one did.
    pub decided_by: Option<u64>,
    /// What the chosen person does.
    pub activities: Vec<Activity>,
    /// The first note: on the person, else on the document, else on a service.
    pub note: Option<String>,
    /// The services in the order of the document.
    pub devices: Vec<DeviceLine>,
}

/// One service of one device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceLine {
    /// The key of its publication.
    pub key: u64,
    /// The id that the publisher gave the tuple.
    pub tuple_id: String,
    /// The device, where the publisher names one.
    pub device_id: Option<String>,
    /// Whether it is open; `None` also where an extension that must be understood is not.
    pub basic: Option<Basic>,
    /// Where it is reached.
    pub contact: Option<String>,
    /// How much that is preferred, in thousandths.
    pub priority: Option<u16>,
    /// What it can carry.
    pub capabilities: Capabilities,
    /// Since when this is so: the tuple's timestamp, else when it was published.
    pub since: WallTime,
    /// Whether it is in use.
    pub user_input: Option<UserInput>,
    /// Its first note.
    pub note: Option<String>,
}

/// The overall state that [`super::compose`] renders from the same inputs.
#[must_use]
pub fn summary(inputs: &[Input<'_>], order: &Order) -> Summary {
    let inputs = in_order(inputs);
    let devices: Vec<DeviceLine> =
        tuples_in_order(&inputs).into_iter().map(|(input, tuple)| line(input, tuple)).collect();
    let is_open = devices.iter().any(|device| device.basic == Some(Basic::Open));
    let person = person::choose(&inputs, order);
    let of_person = person.iter().flat_map(|chosen| chosen.person.notes());
    let of_documents = inputs.iter().flat_map(|input| input.document.notes());
    let note = of_person
        .chain(of_documents)
        .map(|note| note.text().to_owned())
        .chain(devices.iter().filter_map(|device| device.note.clone()))
        .find(|note| !note.is_empty());
    Summary {
        state: match &person {
            Some(chosen) => chosen.state,
            None if is_open && !devices.iter().any(is_in_use) => State::Away,
            None if is_open => State::Available,
            None => State::Offline,
        },
        decided_by: person.map(|chosen| chosen.key),
        availability: if is_open { Availability::Open } else { Availability::Closed },
        activities: person.map(|chosen| chosen.person.activities().to_vec()).unwrap_or_default(),
        note,
        devices,
    }
}

/// Whether a service is open and not known to be idle.
fn is_in_use(device: &DeviceLine) -> bool {
    device.basic == Some(Basic::Open) && device.user_input.is_none_or(|input| !input.is_idle)
}

fn line(input: Input<'_>, tuple: &Tuple) -> DeviceLine {
    let document = input.document;
    let device = tuple
        .device_id()
        .and_then(|id| document.devices().iter().find(|device| device.device_id() == id));
    let of_person = || document.persons().iter().find_map(|person| person.user_input());
    let is_understood = document.is_understood() && tuple.is_understood();
    DeviceLine {
        key: input.key,
        tuple_id: tuple.id().to_owned(),
        device_id: tuple.device_id().map(str::to_owned),
        basic: tuple.basic().filter(|_| is_understood),
        contact: tuple
            .contact()
            .map(|contact| contact.uri.to_string())
            .filter(|contact| !contact.is_empty()),
        priority: tuple.contact().and_then(|contact| contact.priority).map(|p| p.thousandths()),
        capabilities: tuple
            .capabilities()
            .or(device.map(|device| device.capabilities()).unwrap_or_default()),
        since: tuple.timestamp().unwrap_or(input.published),
        user_input: tuple
            .user_input()
            .or_else(|| device.and_then(|device| device.user_input()))
            .or_else(of_person),
        note: tuple.note().map(str::to_owned),
    }
}
