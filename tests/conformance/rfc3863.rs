//! RFC 3863: presence documents in and out.

use lamplight_tests::node::{Node, Setup};
use lamplight_tests::pidf::{self, Presence};
use lamplight_tests::wire::{Client, Message};

fn pair() -> (Node, Client, Client) {
    let node = Setup::default().trusting().start();
    let [alice, bob] = node.clients(["alice", "bob"]);
    (node, alice, bob)
}

/// Publishes for alice; what bob is shown.
fn shown(alice: &Client, bob: &Client, document: &str) -> Message {
    alice.publish(document);
    bob.subscribe(&alice.aor()).notify(bob)
}

#[test]
fn s4_1_2_tuples_keep_id_status_contact_note_and_timestamp() {
    let (_node, alice, bob) = pair();
    let document = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
        <presence xmlns=\"urn:ietf:params:xml:ns:pidf\" entity=\"sip:alice@example.test\">\
        <tuple id=\"bs35r9\"><status><basic>open</basic></status>\
        <contact priority=\"0.8\">im:alice@mobilecarrier.test</contact>\
        <note xml:lang=\"en\">Don't Disturb Please!</note>\
        <note xml:lang=\"fr\">Ne d\u{e9}rangez pas, s'il vous pla\u{ee}t</note>\
        <timestamp>2001-10-27T16:49:29Z</timestamp></tuple></presence>";
    let notify = shown(&alice, &bob, document);
    let read = Presence::of(&notify);
    let tuple = &read.tuples[0];
    assert_eq!(tuple.basic.as_deref(), Some("open"));
    assert_eq!(tuple.contact.as_deref(), Some("im:alice@mobilecarrier.test"));
    assert_eq!(
        tuple.notes,
        ["Don't Disturb Please!", "Ne d\u{e9}rangez pas, s'il vous pla\u{ee}t"]
    );
    for part in ["0.8", "xml:lang=\"fr\"", "2001-10-27T16:49:29Z"] {
        assert!(read.text.contains(part), "{part}: {notify}");
    }
}

#[test]
fn s4_2_elements_of_unknown_namespaces_survive() {
    let (_node, alice, bob) = pair();
    let document = "<?xml version=\"1.0\"?>\
        <p:presence xmlns:p=\"urn:ietf:params:xml:ns:pidf\" xmlns:im=\"urn:example:im\" \
        xmlns:l=\"urn:example:location\" entity=\"sip:alice@example.test\">\
        <p:tuple id=\"eg92n8\"><p:status><p:basic>open</p:basic><im:im>busy</im:im>\
        <l:location l:certainty=\"high\">home &amp; garden</l:location></p:status></p:tuple>\
        <l:whereabouts><l:deep><l:deeper/></l:deep></l:whereabouts></p:presence>";
    let notify = shown(&alice, &bob, document);
    let text = notify.text();
    let read = roxmltree::Document::parse(&text).expect("well-formed");
    let find = |namespace: &str, name: &str| {
        let found = read.descendants().find(|n| n.has_tag_name((namespace, name)));
        found.unwrap_or_else(|| panic!("{name} of {namespace} is lost:\n{text}"))
    };
    assert_eq!(find("urn:example:im", "im").text(), Some("busy"));
    let location = find("urn:example:location", "location");
    assert_eq!(location.text(), Some("home & garden"));
    assert_eq!(location.attribute(("urn:example:location", "certainty")), Some("high"));
    find("urn:example:location", "deeper");
}

#[test]
fn s4_1_any_prefix_and_encoding_declaration_does() {
    let (_node, alice, bob) = pair();
    let document = "\u{feff}<x:presence xmlns:x='urn:ietf:params:xml:ns:pidf' \
        entity='pres:alice@example.test'><!-- a comment --><x:tuple id='_1'>\
        <x:status><x:basic>\n open \n</x:basic></x:status></x:tuple></x:presence>";
    let notify = shown(&alice, &bob, document);
    assert!(Presence::of(&notify).is_open(), "{notify}");
}

#[test]
fn s4_1_4_a_tuple_without_basic_is_valid() {
    let (_node, alice, bob) = pair();
    let document = "<presence xmlns=\"urn:ietf:params:xml:ns:pidf\" \
        entity=\"sip:alice@example.test\"><tuple id=\"t\"><status/></tuple></presence>";
    let notify = shown(&alice, &bob, document);
    let read = Presence::of(&notify);
    assert!(read.tuples.iter().all(|t| t.basic.as_deref() != Some("open")), "{notify}");
}

#[test]
fn s4_1_1_a_document_without_tuples_is_valid() {
    let (_node, alice, bob) = pair();
    let document = "<presence xmlns=\"urn:ietf:params:xml:ns:pidf\" \
        entity=\"sip:alice@example.test\"><note>nothing more</note></presence>";
    let notify = shown(&alice, &bob, document);
    assert!(!Presence::of(&notify).is_open());
    assert!(notify.text().contains("nothing more"), "{notify}");
}

#[test]
fn s4_bodies_that_are_no_presence_documents_are_refused_whole() {
    let (_node, alice, bob) = pair();
    let kept = alice.publish(&pidf::open(&alice.aor(), "kept"));
    let whole = pidf::open(&alice.aor(), "broken");
    let nested = "<a>".repeat(10_000);
    let entity = "entity=\"sip:alice@example.test\"";
    let namespace = "xmlns=\"urn:ietf:params:xml:ns:pidf\"";
    let bad = [
        "not XML at all".to_owned(),
        whole[..whole.len() / 2].to_owned(),
        whole.replace("</note>", "</nota>"),
        whole.replace("urn:ietf:params:xml:ns:pidf", "urn:something:else"),
        whole.replace("<presence ", "<absence ").replace("</presence>", "</absence>"),
        format!("{whole}<presence {namespace} {entity}/>"),
        format!(
            "<!DOCTYPE presence [<!ENTITY x SYSTEM \"file:///etc/passwd\">]>\
                 <presence {namespace} {entity}><note>&x;</note></presence>"
        ),
        format!(
            "<!DOCTYPE p [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;&a;\">]>\
                 <presence {namespace} {entity}><note>&b;</note></presence>"
        ),
        format!("<presence {namespace} {entity}><note>&undefined;</note></presence>"),
        format!("<presence {namespace} {entity}><x:y/></presence>"),
        format!("<presence {namespace} {entity}>{nested}</presence>"),
        format!("<presence {namespace} {entity}><note>\u{1}</note></presence>"),
    ];
    let stream = lamplight_tests::wire::Via::Tcp;
    let server = _node.ready.address("tcp");
    let poster = Client::new(stream, server, &alice.domain, "alice", "");
    for body in &bad {
        let request = poster.publication().body("application/pidf+xml", body.as_str());
        let answer = poster.request(request);
        let shown: String = body.chars().take(300).collect();
        assert!(
            matches!(answer.status(), Some(400 | 413)),
            "expected 400 for {shown}\ngot {answer}"
        );
        let change = poster.republish(&kept, Some(body), 3600);
        assert!(matches!(change.status(), Some(400 | 413)), "as a modification: {change}");
    }
    let notify = bob.subscribe(&alice.aor()).notify(&bob);
    let read = Presence::of(&notify);
    assert_eq!(read.tuples.len(), 1, "{notify}");
    assert!(read.text.contains("kept") && !read.text.contains("broken"), "{notify}");
    alice.republish(&kept, None, 3600).expect_status(200);
}

#[test]
fn s4_1_2_two_publications_with_the_same_tuple_id_make_a_valid_document() {
    let (_node, alice, bob) = pair();
    // xs:ID: unique within a document, whatever the devices chose.
    alice.publish(&pidf::document(&alice.aor(), "same", "open", "one"));
    alice.publish(&pidf::document(&alice.aor(), "same", "open", "two"));
    let notify = bob.subscribe(&alice.aor()).notify(&bob);
    let read = Presence::of(&notify);
    let mut ids: Vec<&str> = read.tuples.iter().map(|t| t.id.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), read.tuples.len(), "ids are unique: {notify}");
}
