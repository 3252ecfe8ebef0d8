//! Folds what a presentity's publishers sent into one presence document (RFC 3863, RFC 4479).
//!
//! A pure function of its inputs: the same publications give the same octets, whatever the order
//! they are passed in, so that equal octets mean that there is nothing to tell. Every element is
//! rendered when it is published; here they are only put in order and joined.
//!
//! - Tuples: all of them, open before undecided before closed, then by contact priority (the
//!   lowest when absent, RFC 3863 §4.1.5), then the most recent publication first.
//! - Devices, notes and extensions: all of them, the most recent publication first; a note that
//!   says the same in the same language as another once.
//! - Person: one at most, chosen by [`person::choose`], with the notes of the others. `order` says
//!   which overall state wins.
//! - Ids: unique in the document. Where two publications use one id, the older keeps it and the
//!   newer's is followed by its key, so that recomposing changes no id that need not change.

mod identity;
pub mod person;
pub mod state;
pub mod summary;

use std::borrow::Cow;
use std::cmp::Reverse;

use sip::clock::WallTime;

use self::identity::{Claim, Sort};
pub use self::state::{Order, State};
pub use self::summary::{Availability, DeviceLine, Summary, summary};
use crate::document::fragment::{Fragment, Identified, push_attribute};
use crate::document::namespace::{Known, Needed};
use crate::document::pidf::{Basic, Note, PublishedDocument, Tuple};

/// One live publication.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// What was published.
    pub document: &'a PublishedDocument,
    /// When its present body arrived; a refresh or an equal body leaves it as it was.
    pub published: WallTime,
    /// Names the publication among those of its presentity for as long as it lives, through
    /// modification and restart; a later publication has a higher one.
    pub key: u64,
}

/// The key of what a user has set by hand: it decides over everything.
pub const MANUAL: u64 = 0xffff_ffff;

/// One document for all of a presentity's publications, in UTF-8.
///
/// `entity` is the URI of the presentity. With no tuple in any publication the document has one
/// closed tuple: some clients take a document without a tuple for no news.
#[must_use]
pub fn compose(entity: &str, inputs: &[Input<'_>], order: &Order) -> Vec<u8> {
    let inputs = in_order(inputs);
    let tuples = tuples_in_order(&inputs);
    let devices: Vec<_> = each(&inputs, PublishedDocument::devices).collect();
    let person = person::choose(&inputs, order);
    let claims: Vec<Claim<'_>> = (tuples.iter())
        .map(|(from, tuple)| Claim { sort: Sort::Tuple, key: from.key, element: tuple.rendered() })
        .chain(devices.iter().map(|(from, device)| Claim {
            sort: Sort::Device,
            key: from.key,
            element: device.rendered(),
        }))
        .chain(person.iter().map(|chosen| Claim {
            sort: Sort::Person,
            key: chosen.key,
            element: chosen.person.rendered(),
        }))
        .collect();
    let ids = identity::unique(&claims);
    let mut identified = claims.iter().map(|claim| claim.element).zip(&ids);

    let mut document = Writer::default();
    if tuples.is_empty() {
        document.offline(&ids);
    }
    for (element, id) in identified.by_ref().take(tuples.len()) {
        document.identified("<tuple id=\"", element, id);
    }
    for note in distinct(inputs.iter().flat_map(|input| input.document.notes())) {
        document.fragment(note.fragment());
    }
    for (element, id) in identified.by_ref().take(devices.len()) {
        document.identified("<dm:device id=\"", element, id);
    }
    if let Some(chosen) = &person {
        for (element, id) in identified {
            document.identified("<dm:person id=\"", element, id);
        }
        let others = inputs.iter().flat_map(|input| input.document.persons());
        let notes = chosen.person.notes().iter().chain(others.flat_map(|other| other.notes()));
        for note in distinct(notes) {
            document.fragment(note.fragment());
        }
        if let Some(timestamp) = chosen.person.rendered_timestamp() {
            document.fragment(timestamp);
        }
        document.body.push_str("</dm:person>");
    }
    for input in &inputs {
        for extension in input.document.extensions() {
            document.fragment(extension);
        }
    }
    document.finish(entity).into_bytes()
}

/// The most recent first; of two that came at the same time the younger publication.
fn in_order<'a>(inputs: &[Input<'a>]) -> Vec<Input<'a>> {
    let mut inputs = inputs.to_vec();
    inputs.sort_by_key(|input| Reverse((input.published, input.key)));
    inputs
}

/// Something of every publication, each with the publication.
fn each<'i, 'a: 'i, T: 'a>(
    inputs: &'i [Input<'a>],
    part: impl Fn(&'a PublishedDocument) -> &'a [T] + 'i,
) -> impl Iterator<Item = (Input<'a>, &'a T)> + 'i {
    inputs.iter().flat_map(move |input| part(input.document).iter().map(|item| (*input, item)))
}

/// All tuples in the order in which a watcher should try them, each with its publication.
fn tuples_in_order<'a>(inputs: &[Input<'a>]) -> Vec<(Input<'a>, &'a Tuple)> {
    let mut tuples: Vec<_> = each(inputs, PublishedDocument::tuples).collect();
    tuples.sort_by_key(|(_, tuple)| {
        let rank = match tuple.basic() {
            Some(Basic::Open) => 0_u8,
            None => 1,
            Some(Basic::Closed) => 2,
        };
        let priority = tuple.contact().and_then(|contact| contact.priority);
        (rank, Reverse(priority))
    });
    tuples
}

/// Notes without those that repeat an earlier one.
fn distinct<'a>(notes: impl Iterator<Item = &'a Note>) -> Vec<&'a Note> {
    let mut kept: Vec<&Note> = Vec::new();
    for note in notes {
        if !kept.iter().any(|other| other.fragment().xml == note.fragment().xml) {
            kept.push(note);
        }
    }
    kept
}

/// The document being written: what is inside the root, and what that needs declared on it.
#[derive(Default)]
struct Writer {
    body: String,
    needed: Needed,
}

impl Writer {
    /// One closed tuple that stands for nobody being there.
    fn offline(&mut self, taken: &[Cow<'_, str>]) {
        let mut id = String::from("offline");
        while taken.iter().any(|taken| *taken == id) {
            id.push('_');
        }
        self.body.push_str("<tuple id=\"");
        self.body.push_str(&id);
        self.body.push_str("\"><status><basic>closed</basic></status></tuple>");
    }

    fn identified(&mut self, opening: &str, element: &Identified, id: &str) {
        self.body.push_str(opening);
        self.body.push_str(id);
        self.body.push('"');
        self.fragment(&element.rest);
    }

    fn fragment(&mut self, fragment: &Fragment) {
        self.needed.join(fragment.needed);
        self.body.push_str(&fragment.xml);
    }

    fn finish(self, entity: &str) -> String {
        let mut document = String::with_capacity(self.body.len() + entity.len() + 360);
        document.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<presence");
        push_attribute(&mut document, "xmlns", Known::Pidf.name());
        for known in Known::PREFIXED.into_iter().filter(|known| self.needed.has(*known)) {
            document.push_str(" xmlns:");
            document.push_str(known.prefix());
            document.push_str("=\"");
            document.push_str(known.name());
            document.push('"');
        }
        push_attribute(&mut document, "entity", entity);
        document.push('>');
        document.push_str(&self.body);
        document.push_str("</presence>");
        document
    }
}
