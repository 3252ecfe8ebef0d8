//! §10: registrations.

use lamplight_tests::node::Node;
use lamplight_tests::wire::message::{param, uri_of};
use lamplight_tests::wire::{Client, Message, Request};

fn with_alice() -> (Node, Client) {
    let node = Node::start_new();
    let [alice] = node.clients(["alice"]);
    (node, alice)
}

fn bind(client: &Client, contact: &str) -> Request {
    client.registration().header("Contact", contact).header("Expires", 3600)
}

fn fetch(client: &Client) -> Message {
    client.request(client.registration()).expect_status(200)
}

fn uris(answer: &Message) -> Vec<String> {
    let mut uris: Vec<String> =
        answer.all("Contact").iter().map(|c| uri_of(c).to_owned()).collect();
    uris.sort();
    uris
}

#[test]
fn s10_2_1_adding_a_binding_returns_it_with_its_life() {
    let (_node, alice) = with_alice();
    let answer = alice.register();
    let contacts = answer.all("Contact");
    assert_eq!(contacts.len(), 1, "{answer}");
    assert_eq!(uri_of(&contacts[0]), alice.contact());
    let expires: u32 = param(&contacts[0], "expires").expect("expires").parse().expect("number");
    assert!((1..=3600).contains(&expires), "{answer}");
}

#[test]
fn s10_2_3_a_register_without_contact_fetches_and_changes_nothing() {
    let (_node, alice) = with_alice();
    assert!(fetch(&alice).all("Contact").is_empty());
    alice.register();
    assert_eq!(uris(&fetch(&alice)), [alice.contact()]);
    assert_eq!(uris(&fetch(&alice)), [alice.contact()]);
}

#[test]
fn s10_2_1_several_devices_are_bound_side_by_side() {
    let (_node, alice) = with_alice();
    alice.request(bind(&alice, "<sip:alice@192.0.2.1:5060>;q=0.5")).expect_status(200);
    let both = alice.request(bind(&alice, "<sip:alice@192.0.2.2>;q=1.0")).expect_status(200);
    assert_eq!(uris(&both), ["sip:alice@192.0.2.1:5060", "sip:alice@192.0.2.2"]);
    for contact in both.all("Contact") {
        let wanted = if contact.contains("192.0.2.1") { ["0.5", "0.500"] } else { ["1.0", "1"] };
        let q = param(&contact, "q").expect("q is kept");
        assert!(wanted.contains(&q) || q.starts_with("1.0"), "{contact}");
    }
}

#[test]
fn s10_2_1_several_contacts_in_one_request_are_all_bound() {
    let (_node, alice) = with_alice();
    let contacts = "<sip:alice@192.0.2.1>;expires=600, \"A, B\" <sip:alice@192.0.2.2>";
    let answer = alice.request(bind(&alice, contacts)).expect_status(200);
    assert_eq!(uris(&answer), ["sip:alice@192.0.2.1", "sip:alice@192.0.2.2"]);
}

#[test]
fn s10_2_1_1_the_contact_s_expires_outranks_the_header() {
    let (_node, alice) = with_alice();
    let answer = alice.request(bind(&alice, "<sip:alice@192.0.2.1>;expires=600"));
    let contacts = answer.expect_status(200).all("Contact");
    let expires: u32 = param(&contacts[0], "expires").expect("expires").parse().expect("number");
    assert!(expires <= 600, "{contacts:?}");
}

#[test]
fn s10_2_2_expires_zero_removes_one_binding() {
    let (_node, alice) = with_alice();
    alice.request(bind(&alice, "<sip:alice@192.0.2.1>")).expect_status(200);
    alice.request(bind(&alice, "<sip:alice@192.0.2.2>")).expect_status(200);
    let answer = alice.request(bind(&alice, "<sip:alice@192.0.2.1>;expires=0"));
    assert_eq!(uris(&answer.expect_status(200)), ["sip:alice@192.0.2.2"]);
}

#[test]
fn s10_2_2_star_removes_all_bindings() {
    let (_node, alice) = with_alice();
    alice.request(bind(&alice, "<sip:alice@192.0.2.1>")).expect_status(200);
    alice.request(bind(&alice, "<sip:alice@192.0.2.2>")).expect_status(200);
    assert!(alice.unregister().all("Contact").is_empty());
    assert!(fetch(&alice).all("Contact").is_empty());
}

#[test]
fn s10_3_step_6_star_needs_expires_zero_and_no_company() {
    let (_node, alice) = with_alice();
    alice.register();
    alice.request(alice.registration().header("Contact", "*")).expect_status(400);
    alice.request(bind(&alice, "*")).expect_status(400);
    let both = alice.registration().header("Contact", "*").header("Expires", 0);
    alice.request(both.header("Contact", "<sip:alice@192.0.2.2>")).expect_status(400);
    assert_eq!(uris(&fetch(&alice)), [alice.contact()]);
}

#[test]
fn s10_3_step_7_too_brief_is_423_with_min_expires() {
    let (_node, alice) = with_alice();
    let refused = alice.request(bind(&alice, "<sip:alice@192.0.2.1>;expires=1")).expect_status(423);
    let least: u32 = refused.expect_header("Min-Expires").parse().expect("a number");
    assert!(least > 1 && least <= 3600, "{refused}");
    assert!(fetch(&alice).all("Contact").is_empty());
    let contact = format!("<sip:alice@192.0.2.1>;expires={least}");
    alice.request(bind(&alice, &contact)).expect_status(200);
}

#[test]
fn s10_3_step_7_equivalent_uris_are_one_binding() {
    let (_node, alice) = with_alice();
    alice.request(bind(&alice, "<sip:alice@Phone.Example.test;transport=udp>")).expect_status(200);
    // §19.1.4: the host is compared without case, escapes by what they mean.
    let again = bind(&alice, "<sip:%61lice@phone.example.TEST;transport=UDP>");
    assert_eq!(alice.request(again).expect_status(200).all("Contact").len(), 1);
    let other = bind(&alice, "<sip:ALICE@phone.example.test;transport=udp>");
    assert_eq!(alice.request(other).expect_status(200).all("Contact").len(), 2);
}

#[test]
fn s10_3_step_7_an_older_cseq_of_the_same_call_changes_nothing() {
    let (_node, alice) = with_alice();
    let in_call = |number: u32, expires: u32| {
        let request = bind(&alice, "<sip:alice@192.0.2.1>").set("Expires", expires);
        request.header("Call-ID", "one-boot@test").header("CSeq", format!("{number} REGISTER"))
    };
    // The answer to the challenge takes the next number.
    alice.request(in_call(10, 3600)).expect_status(200);
    let old = alice.request(in_call(5, 0));
    assert!(old.status().is_some_and(|s| s >= 400), "out of order: {old}");
    assert_eq!(uris(&fetch(&alice)), ["sip:alice@192.0.2.1"]);
    assert!(alice.request(in_call(20, 0)).expect_status(200).all("Contact").is_empty());
}

#[test]
fn s10_3_step_7_all_contacts_are_bound_or_none() {
    let (_node, alice) = with_alice();
    let contacts = "<sip:alice@192.0.2.1>;expires=600, <sip:alice@192.0.2.2>;expires=1";
    alice.request(bind(&alice, contacts)).expect_status(423);
    assert!(fetch(&alice).all("Contact").is_empty());
}

#[test]
fn s10_3_step_4_registering_for_another_user_is_forbidden() {
    let node = Node::start_new();
    let [alice, bob] = node.clients(["alice", "bob"]);
    let request = bind(&alice, "<sip:mallory@192.0.2.66>").header("To", format!("<{}>", bob.aor()));
    alice.request(request).expect_status(403);
    assert!(fetch(&bob).all("Contact").is_empty());
}

#[test]
fn s10_3_step_5_an_unknown_address_of_record_is_refused() {
    let (_node, alice) = with_alice();
    let to = format!("<sip:nobody@{}>", alice.domain);
    alice.request(bind(&alice, "<sip:x@192.0.2.1>").header("To", to)).expect_one_of(&[403, 404]);
}

#[test]
fn s10_3_step_8_a_malformed_contact_is_a_bad_request() {
    let (_node, alice) = with_alice();
    for contact in ["<sip:>", "<not a uri>", "<sip:alice@192.0.2.1", ""] {
        let answer = alice.request(bind(&alice, contact));
        assert!(
            matches!(answer.status(), Some(400 | 416)) || contact.is_empty(),
            "{contact:?}: {answer}"
        );
    }
    assert!(fetch(&alice).all("Contact").is_empty());
}

#[test]
fn s10_2_4_a_refresh_renews_the_same_binding() {
    let (_node, alice) = with_alice();
    alice.request(bind(&alice, "<sip:alice@192.0.2.1>;expires=120")).expect_status(200);
    let answer = alice.request(bind(&alice, "<sip:alice@192.0.2.1>;expires=3000"));
    let contacts = answer.expect_status(200).all("Contact");
    assert_eq!(contacts.len(), 1);
    let expires: u32 = param(&contacts[0], "expires").expect("expires").parse().expect("number");
    assert!(expires > 120, "{contacts:?}");
}

#[test]
fn s10_2_users_with_dots_and_escapes_are_addresses_like_any() {
    let node = Node::start_new();
    let [john] = node.clients(["john.doe"]);
    john.register();
    assert_eq!(uris(&fetch(&john)), [john.contact()]);
}
