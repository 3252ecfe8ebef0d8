//! Composing the publications of one user into one document (RFC 4479, R-20).
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use presence::compositor::{Availability, Input, Order, compose, summary};
use presence::document::guard::Limits;
use presence::document::pidf::{Basic, PublishedDocument};
use presence::document::rpid::{Activity, Name};
use presence::document::timestamp;
use sip::clock::WallTime;

const ENTITY: &str = "sip:bob@example.test";
const HEAD: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
                    <presence xmlns=\"urn:ietf:params:xml:ns:pidf\"";
const DM: &str = "xmlns:dm=\"urn:ietf:params:xml:ns:pidf:data-model\"";
const RPID: &str = "xmlns:rpid=\"urn:ietf:params:xml:ns:pidf:rpid\"";

fn document(content: &str) -> PublishedDocument {
    let body = format!(
        "<presence xmlns='urn:ietf:params:xml:ns:pidf' \
         xmlns:d='urn:ietf:params:xml:ns:pidf:data-model' \
         xmlns:r='urn:ietf:params:xml:ns:pidf:rpid' xmlns:x='urn:example:x' \
         xmlns:c='urn:ietf:params:xml:ns:pidf:caps' \
         entity='sip:bob@example.test'>{content}</presence>"
    );
    PublishedDocument::parse(body.as_bytes(), &Limits::default()).unwrap()
}

fn tuple(id: &str, basic: &str, priority: &str) -> String {
    format!(
        "<tuple id='{id}'><status><basic>{basic}</basic></status>\
         <contact{priority}>sip:{id}@h</contact></tuple>"
    )
}

fn person(id: &str, content: &str) -> String {
    format!("<d:person id='{id}'>{content}</d:person>")
}

/// Publications in the order of their keys, each published a second after the one before.
fn composed(documents: &[&PublishedDocument]) -> String {
    String::from_utf8(compose(ENTITY, &inputs(documents), &Order::default())).unwrap()
}

fn inputs<'a>(documents: &[&'a PublishedDocument]) -> Vec<Input<'a>> {
    (1..).zip(documents).map(|(key, document)| input(document, key, key)).collect()
}

const fn input(document: &PublishedDocument, key: u64, second: u64) -> Input<'_> {
    Input { document, published: WallTime::from_millis(second * 1_000), key }
}

fn ids(composed: &str, element: &str) -> Vec<String> {
    let tree = roxmltree::Document::parse(composed).unwrap();
    tree.root_element()
        .children()
        .filter(|child| child.tag_name().name() == element)
        .map(|child| child.attribute("id").unwrap().to_owned())
        .collect()
}

#[test]
fn nobody_there_is_one_closed_tuple() {
    assert_eq!(
        String::from_utf8(compose("sip:o'b&\"<@h", &[], &Order::default())).unwrap(),
        format!(
            "{HEAD} entity=\"sip:o'b&amp;&quot;&lt;@h\"><tuple id=\"offline\"><status>\
             <basic>closed</basic></status></tuple></presence>"
        )
    );
}

#[test]
fn one_publication_keeps_all_it_says_in_the_order_of_the_schema() {
    let published = document(
        "<d:person id='p'><d:note>n</d:note><r:activities><r:away/></r:activities></d:person>\
         <note xml:lang='en'>hello</note><x:more/>\
         <tuple id='t'><timestamp>2001-10-27T16:49:29z</timestamp><note>m</note>\
         <contact priority='0.5'>sip:bob@h</contact><d:deviceID>urn:d</d:deviceID><x:y>1</x:y>\
         <status><x:z/><basic>open</basic></status></tuple>",
    );
    assert_eq!(
        composed(&[&published]),
        format!(
            "{HEAD} {DM} {RPID} entity=\"sip:bob@example.test\">\
             <tuple id=\"t\"><status><basic>open</basic><x:z xmlns:x=\"urn:example:x\"/></status>\
             <dm:deviceID>urn:d</dm:deviceID><x:y xmlns:x=\"urn:example:x\">1</x:y>\
             <contact priority=\"0.5\">sip:bob@h</contact><note>m</note>\
             <timestamp>2001-10-27T16:49:29Z</timestamp></tuple>\
             <note xml:lang=\"en\">hello</note>\
             <dm:person id=\"p\"><rpid:activities><rpid:away/></rpid:activities>\
             <dm:note>n</dm:note></dm:person>\
             <x:more xmlns:x=\"urn:example:x\"/></presence>"
        )
    );
}

#[test]
fn namespaces_are_declared_only_where_needed() {
    let plain = document(&tuple("a", "open", ""));
    assert!(composed(&[&plain]).contains(&format!("{HEAD} entity=")));
    let with_person = document(&person("p", ""));
    assert!(composed(&[&plain, &with_person]).contains(&format!("{HEAD} {DM} entity=")));
}

#[test]
fn the_order_of_the_inputs_does_not_matter() {
    let a = document(&(tuple("a", "open", "") + &person("p", "<d:note>x</d:note>")));
    let b = document(&(tuple("a", "open", "") + &person("p", "<d:note>y</d:note>")));
    let c = document(&tuple("c", "closed", ""));
    let forward = inputs(&[&a, &b, &c]);
    let mut backward = forward.clone();
    backward.reverse();
    assert_eq!(
        compose(ENTITY, &forward, &Order::default()),
        compose(ENTITY, &backward, &Order::default())
    );
    assert_eq!(summary(&forward, &Order::default()), summary(&backward, &Order::default()));
}

#[test]
fn tuples_are_open_first_then_by_priority_then_by_age() {
    let a = document(
        &(tuple("closed", "closed", " priority='1.0'")
            + &tuple("low", "open", " priority='0'")
            + &tuple("none", "open", "")),
    );
    let b = document(
        &(tuple("high", "open", " priority='0.9'")
            + "<tuple id='undecided'><status/></tuple>"
            + &tuple("newer", "open", "")),
    );
    assert_eq!(
        ids(&composed(&[&a, &b]), "tuple"),
        ["high", "low", "newer", "none", "undecided", "closed"]
    );
}

#[test]
fn one_device_signing_off_leaves_the_user_online() {
    let desk = document(&tuple("desk", "open", ""));
    let laptop = document(&(tuple("laptop", "open", "") + &person("p", "")));
    let laptop_off = document(&(tuple("laptop", "closed", "") + &person("p", "")));
    for remaining in [&[&desk, &laptop][..], &[&desk, &laptop_off], &[&desk]] {
        assert_eq!(summary(&inputs(remaining), &Order::default()).availability, Availability::Open);
    }
    assert_eq!(ids(&composed(&[&desk, &laptop]), "tuple"), ["laptop", "desk"]);
    assert_eq!(ids(&composed(&[&desk, &laptop_off]), "tuple"), ["desk", "laptop"]);
    assert_eq!(
        summary(&inputs(&[&laptop_off]), &Order::default()).availability,
        Availability::Closed
    );
    assert_eq!(summary(&[], &Order::default()).availability, Availability::Closed);
}

#[test]
fn devices_keep_their_tuples_across_publications() {
    let device = |urn: &str| {
        document(&format!(
            "<tuple id='t'><status><basic>open</basic></status><d:deviceID>{urn}</d:deviceID>\
             </tuple><d:device id='d'><d:deviceID>{urn}</d:deviceID></d:device>"
        ))
    };
    let (a, b) = (device("urn:a"), device("urn:b"));
    let text = composed(&[&a, &b]);
    assert_eq!(ids(&text, "tuple"), ["t-2", "t"]);
    assert_eq!(ids(&text, "device"), ["d-2", "d"]);
    let status = "<status><basic>open</basic></status>";
    for (id, urn) in [("", "urn:a"), ("-2", "urn:b")] {
        let service = format!("<tuple id=\"t{id}\">{status}<dm:deviceID>{urn}</dm:deviceID>");
        assert!(text.contains(&service), "{text}");
        let device = format!("<dm:device id=\"d{id}\"><dm:deviceID>{urn}</dm:deviceID>");
        assert!(text.contains(&device), "{text}");
    }
}

#[test]
fn ids_stay_when_something_else_changes() {
    let same = document(&tuple("t", "open", ""));
    let other = document(&tuple("t", "open", " priority='1'"));
    let first = compose(ENTITY, &[input(&same, 1, 1), input(&same, 2, 2)], &Order::default());
    assert_eq!(
        first,
        compose(ENTITY, &[input(&same, 1, 1), input(&same, 2, 2)], &Order::default())
    );
    // The older publishes again: it comes first in order, but nothing is renamed.
    let text = String::from_utf8(compose(
        ENTITY,
        &[input(&other, 1, 9), input(&same, 2, 2)],
        &Order::default(),
    ));
    assert_eq!(ids(&text.unwrap(), "tuple"), ["t", "t-2"]);
}

#[test]
fn ids_are_unique_and_valid_whatever_is_published() {
    let a =
        document(&(tuple("1", "open", "") + &tuple("_1", "open", "") + &tuple("a-2", "open", "")));
    let b = document(
        &(tuple("a b", "open", "")
            + &tuple("a_b", "open", "")
            + &tuple("t", "open", "")
            + &person("t", "")
            + "<d:device id='t'><d:deviceID>u</d:deviceID></d:device>"),
    );
    let c = document(&(tuple("a-2", "open", "") + &tuple("a-2-3", "open", "")));
    let text = composed(&[&a, &b, &c]);
    let mut all = [ids(&text, "tuple"), ids(&text, "device"), ids(&text, "person")].concat();
    assert_eq!(all.len(), 10);
    assert!(all.contains(&"t".to_owned()));
    for id in &all {
        assert!(!id.starts_with(|c: char| c.is_ascii_digit()), "{id}");
        assert!(id.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c)), "{id}");
    }
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 10, "{all:?}");
}

#[test]
fn the_stand_in_for_nobody_has_an_id_of_its_own() {
    let calendar = document(&person("offline", "<r:activities><r:meeting/></r:activities>"));
    let text = composed(&[&calendar]);
    assert_eq!(ids(&text, "tuple"), ["offline_"]);
    assert_eq!(ids(&text, "person"), ["offline"]);
}

#[test]
fn of_several_persons_the_most_recent_in_use_is_shown() {
    let busy = document(
        &(tuple("a", "open", "") + &person("busy", "<r:activities><r:busy/></r:activities>")),
    );
    let idle = document(
        &(tuple("b", "open", "")
            + &person(
                "idle",
                "<r:activities><r:away/></r:activities><r:user-input>idle</r:user-input>",
            )),
    );
    let idle_device = document(
        &(tuple("c", "open", "")
            + &person("pc", "")
            + "<d:device id='d'><r:user-input>idle</r:user-input><d:deviceID>u</d:deviceID></d:device>"),
    );
    let gone = document(
        &(tuple("e", "closed", "") + &person("gone", "<r:activities><r:unknown/></r:activities>")),
    );
    let in_call = document(
        &(tuple("f", "closed", "")
            + &person("call", "<r:activities><r:on-the-phone/></r:activities>")),
    );
    let shown = |documents: &[&PublishedDocument]| {
        let [id] = <[String; 1]>::try_from(ids(&composed(documents), "person")).unwrap();
        id
    };
    assert_eq!(shown(&[&busy, &idle]), "busy");
    assert_eq!(shown(&[&idle, &busy]), "busy");
    assert_eq!(shown(&[&busy, &idle_device]), "busy");
    assert_eq!(shown(&[&idle, &idle_device]), "pc");
    assert_eq!(shown(&[&busy, &gone]), "busy");
    assert_eq!(shown(&[&idle, &gone]), "idle");
    assert_eq!(shown(&[&gone]), "gone");
    assert_eq!(shown(&[&busy, &in_call]), "call");
    assert_eq!(
        summary(&inputs(&[&busy, &idle]), &Order::default()).activities,
        [Activity::Named(Name::Busy)],
        "the summary shows the same person"
    );
}

#[test]
fn notes_of_all_persons_are_kept_once_each() {
    let a = document(&person("a", "<d:note>lunch</d:note><d:note xml:lang='fr'>midi</d:note>"));
    let b = document(&person(
        "b",
        "<d:note>lunch</d:note><d:timestamp>2005-05-30T16:09:44+05:00</d:timestamp>\
         <d:note>back at two</d:note>",
    ));
    let text = composed(&[&a, &b]);
    assert!(
        text.ends_with(
            "<dm:person id=\"b\"><dm:note>lunch</dm:note><dm:note>back at two</dm:note>\
             <dm:note xml:lang=\"fr\">midi</dm:note>\
             <dm:timestamp>2005-05-30T16:09:44+05:00</dm:timestamp></dm:person></presence>"
        ),
        "{text}"
    );
}

#[test]
fn notes_on_the_document_are_kept_once_each() {
    let a = document("<note>x</note><note xml:lang='de'>x</note>");
    let b = document("<note>y</note><note>x</note>");
    let text = composed(&[&a, &b]);
    assert!(
        text.contains("</tuple><note>y</note><note>x</note><note xml:lang=\"de\">x</note></p"),
        "{text}"
    );
}

#[test]
fn only_the_same_octets_are_no_change() {
    let at = |time: &str| {
        document(&format!("<tuple id='t'><status/><timestamp>{time}</timestamp></tuple>"))
    };
    let (first, second) = (at("2001-10-27T16:49:29Z"), at("2001-10-27T16:49:30Z"));
    assert_ne!(composed(&[&first]), composed(&[&second]));
    assert_eq!(composed(&[&first]), composed(&[&at("2001-10-27T16:49:29Z")]));
}

#[test]
fn the_summary_says_what_an_administrator_asks() {
    let desk = document(
        "<tuple id='desk'><status><basic>open</basic></status><d:deviceID>urn:desk</d:deviceID>\
         <c:servcaps><c:audio>true</c:audio></c:servcaps><contact priority='0.8'>sip:d@h</contact>\
         <note>at the desk</note><timestamp>2005-10-27T16:49:29Z</timestamp></tuple>\
         <d:device id='d'><c:devcaps><c:video>true</c:video></c:devcaps>\
         <r:user-input last-input='2005-10-27T16:00:00Z'>idle</r:user-input>\
         <d:deviceID>urn:desk</d:deviceID></d:device>",
    );
    let mobile = document(
        "<tuple id='mobile'><status><basic>closed</basic></status><contact/></tuple>\
         <d:person id='p'><r:activities><r:lunch/></r:activities><d:note>fish</d:note></d:person>",
    );
    let summary = summary(&inputs(&[&desk, &mobile]), &Order::default());
    assert_eq!(summary.availability, Availability::Open);
    assert_eq!(summary.activities, [Activity::Named(Name::Lunch)]);
    assert_eq!(summary.note.as_deref(), Some("fish"));
    let [first, second] = &summary.devices[..] else { panic!("{:?}", summary.devices) };
    assert_eq!((first.key, first.tuple_id.as_str()), (1, "desk"));
    assert_eq!(first.device_id.as_deref(), Some("urn:desk"));
    assert_eq!(first.basic, Some(Basic::Open));
    assert_eq!(first.contact.as_deref(), Some("sip:d@h"));
    assert_eq!(first.priority, Some(800));
    assert_eq!((first.capabilities.audio, first.capabilities.video), (Some(true), Some(true)));
    assert_eq!(Some(first.since), timestamp::parse("2005-10-27T16:49:29Z"));
    let input = first.user_input.unwrap();
    assert!(input.is_idle);
    assert_eq!(input.last, timestamp::parse("2005-10-27T16:00:00Z"));
    assert_eq!(first.note.as_deref(), Some("at the desk"));
    assert_eq!((second.basic, second.contact.as_deref()), (Some(Basic::Closed), None));
    assert_eq!(second.since, WallTime::from_millis(2_000), "when it was published");
}

#[test]
fn a_tuple_that_cannot_be_understood_does_not_count_but_travels() {
    let published = document(
        "<tuple id='t'><status><basic>open</basic><x:riddle \
         xmlns:p='urn:ietf:params:xml:ns:pidf' p:mustUnderstand='1'/></status></tuple>",
    );
    assert_eq!(
        summary(&inputs(&[&published]), &Order::default()).availability,
        Availability::Closed
    );
    assert!(composed(&[&published]).contains(" p:mustUnderstand='1'/>"));
}
