//! RFC 3903: event state publication.

use std::collections::HashSet;

use lamplight_tests::node::Node;
use lamplight_tests::pidf::{self, Presence};
use lamplight_tests::wire::{Client, Message, Request};

fn with_alice() -> (Node, Client) {
    let node = Node::start_new();
    let [alice] = node.clients(["alice"]);
    (node, alice)
}

fn with_watched_alice() -> (Node, Client, Client) {
    let node = Node::start_new();
    let [alice, bob] = node.clients(["alice", "bob"]);
    (node, alice, bob)
}

fn shows(note: &'static str) -> impl Fn(&Message) -> bool {
    move |m| m.text().contains(note)
}

#[test]
fn s4_1_initial_publication_gets_an_entity_tag() {
    let (_node, alice) = with_alice();
    let document = pidf::open(&alice.aor(), "here");
    let answer = alice.request(alice.publication().body("application/pidf+xml", document));
    let answer = answer.expect_status(200);
    let etag = answer.expect_header("SIP-ETag");
    assert!(!etag.is_empty() && etag.chars().all(|c| c.is_ascii_graphic()), "a token: {etag}");
    let expires: u32 = answer.expect_header("Expires").parse().expect("a number");
    assert!((1..=3600).contains(&expires), "never longer than asked: {expires}");
}

#[test]
fn s4_2_publication_without_body_and_without_entity_tag_is_refused() {
    let (_node, alice) = with_alice();
    // §4.2: an initial publication carries a body; §6 has nothing to store without one.
    alice.request(alice.publication()).expect_status(400);
}

#[test]
fn s4_3_refresh_keeps_the_state_and_gives_a_new_entity_tag() {
    let (_node, alice, bob) = with_watched_alice();
    let first = alice.publish(&pidf::open(&alice.aor(), "still here"));
    let answer = alice.republish(&first, None, 3600).expect_status(200);
    let second = answer.expect_header("SIP-ETag").to_owned();
    // §6 step 6: every successful PUBLISH gets an entity-tag; the old one is void when it differs.
    let notify = bob.subscribe(&alice.aor()).notify(&bob);
    assert!(notify.text().contains("still here"), "{notify}");
    alice.republish(&second, None, 3600).expect_status(200);
    if first != second {
        alice.republish(&first, None, 3600).expect_status(412);
    }
}

#[test]
fn s4_4_modification_replaces_the_state() {
    let (_node, alice, bob) = with_watched_alice();
    let first = alice.publish(&pidf::open(&alice.aor(), "before"));
    let watch = bob.subscribe(&alice.aor());
    watch.notify_with(&bob, "with the first state", shows("before"));
    let changed = pidf::open(&alice.aor(), "after");
    alice.republish(&first, Some(&changed), 3600).expect_status(200);
    let notify = watch.notify_with(&bob, "with the second state", shows("after"));
    assert!(!notify.text().contains("before"), "replaced, not added: {notify}");
}

#[test]
fn s4_5_removal_ends_the_state_at_once() {
    let (_node, alice, bob) = with_watched_alice();
    let etag = alice.publish(&pidf::open(&alice.aor(), "short visit"));
    let watch = bob.subscribe(&alice.aor());
    watch.notify_with(&bob, "with the state", shows("short visit"));
    let answer = alice.republish(&etag, None, 0).expect_status(200);
    assert_eq!(answer.header("Expires"), Some("0"), "{answer}");
    watch.notify_with(&bob, "without the state", |m| !m.text().contains("short visit"));
    alice.republish(&etag, None, 3600).expect_status(412);
}

#[test]
fn s6_step_1_unknown_presentity_is_not_found() {
    let (_node, alice) = with_alice();
    // The identity that publishes must be the one published for; who does not exist is refused too.
    let uri = format!("sip:nobody@{}", alice.domain);
    let document = pidf::open(&uri, "ghost");
    let request = alice.publication().body("application/pidf+xml", document);
    let request = Request { uri: uri.clone(), ..request }.set("To", format!("<{uri}>"));
    alice.request(request).expect_one_of(&[403, 404]);
}

#[test]
fn s6_step_2_missing_or_unknown_event_is_489_with_allow_events() {
    let (_node, alice) = with_alice();
    let document = pidf::open(&alice.aor(), "x");
    let request = alice.publication().body("application/pidf+xml", document);
    let unknown = alice.request(request.clone().set("Event", "weather")).expect_status(489);
    assert!(unknown.expect_header("Allow-Events").contains("presence"), "{unknown}");
    let missing = alice.request(request.without("Event")).expect_status(489);
    assert!(missing.expect_header("Allow-Events").contains("presence"), "{missing}");
}

#[test]
fn s6_step_3_publishing_for_another_user_is_forbidden() {
    let (_node, alice, bob) = with_watched_alice();
    let document = pidf::open(&bob.aor(), "not by bob");
    let request = alice.publication().body("application/pidf+xml", document);
    let request = Request { uri: bob.aor(), ..request }.set("To", format!("<{}>", bob.aor()));
    alice.request(request).expect_status(403);
    let notify = alice.subscribe(&bob.aor()).notify(&alice);
    assert!(!notify.text().contains("not by bob"), "{notify}");
}

#[test]
fn s6_step_4_unknown_entity_tag_is_412_and_creates_nothing() {
    let (_node, alice, bob) = with_watched_alice();
    let document = pidf::open(&alice.aor(), "orphan");
    let refused = alice.republish("no-such-tag", Some(&document), 3600).expect_status(412);
    assert_eq!(refused.header("SIP-ETag"), None, "{refused}");
    alice.republish("no-such-tag", None, 3600).expect_status(412);
    alice.republish("no-such-tag", None, 0).expect_status(412);
    let notify = bob.subscribe(&alice.aor()).notify(&bob);
    assert!(!notify.text().contains("orphan"), "{notify}");
}

#[test]
fn s6_step_4_entity_tag_of_another_presentity_is_412() {
    let (_node, alice, bob) = with_watched_alice();
    let etag = alice.publish(&pidf::open(&alice.aor(), "alice's"));
    bob.republish(&etag, None, 0).expect_status(412);
    let notify = bob.subscribe(&alice.aor()).notify(&bob);
    assert!(notify.text().contains("alice's"), "{notify}");
}

#[test]
fn s6_step_4_several_entity_tags_are_refused() {
    let (_node, alice) = with_alice();
    let etag = alice.publish(&pidf::open(&alice.aor(), "x"));
    // §11.3.2: SIP-If-Match has one entity-tag; §6: more than one is a bad request.
    let both = alice.publication().header("SIP-If-Match", format!("{etag}, other"));
    alice.request(both).expect_one_of(&[400, 412]);
    alice.republish(&etag, None, 3600).expect_status(200);
}

#[test]
fn s6_step_5_too_brief_is_423_with_min_expires() {
    let (_node, alice) = with_alice();
    let document = pidf::open(&alice.aor(), "blink");
    let request = alice.publication().body("application/pidf+xml", document).set("Expires", 1);
    let refused = alice.request(request.clone()).expect_status(423);
    let least: u32 = refused.expect_header("Min-Expires").parse().expect("a number");
    assert!(least > 1, "{refused}");
    let granted = alice.request(request.set("Expires", least)).expect_status(200);
    assert_eq!(granted.expect_header("Expires"), least.to_string());
}

#[test]
fn s6_step_5_without_expires_the_server_chooses() {
    let (_node, alice) = with_alice();
    let document = pidf::open(&alice.aor(), "x");
    let request = alice.publication().without("Expires").body("application/pidf+xml", document);
    let answer = alice.request(request).expect_status(200);
    let expires: u32 = answer.expect_header("Expires").parse().expect("a number");
    // RFC 3856 §6.4 makes an hour the usual life of presence.
    assert!((60..=3600).contains(&expires), "{answer}");
}

#[test]
fn s6_step_5_a_longer_life_than_allowed_is_shortened() {
    let (_node, alice) = with_alice();
    let document = pidf::open(&alice.aor(), "x");
    let request = alice.publication().set("Expires", u32::MAX);
    let answer = alice.request(request.body("application/pidf+xml", document)).expect_status(200);
    let expires: u32 = answer.expect_header("Expires").parse().expect("a number");
    assert!((1..u32::MAX).contains(&expires), "{answer}");
}

#[test]
fn s6_step_6_unsupported_body_is_415_with_accept() {
    let (_node, alice) = with_alice();
    let refused = alice.request(alice.publication().body("text/plain", "here")).expect_status(415);
    assert!(refused.expect_header("Accept").contains("application/pidf+xml"), "{refused}");
}

#[test]
fn s6_step_6_unsupported_body_in_a_modification_leaves_the_state() {
    let (_node, alice, bob) = with_watched_alice();
    let etag = alice.publish(&pidf::open(&alice.aor(), "kept"));
    let request = alice.publication().header("SIP-If-Match", &etag).body("text/plain", "gone");
    alice.request(request).expect_status(415);
    let notify = bob.subscribe(&alice.aor()).notify(&bob);
    assert!(notify.text().contains("kept"), "{notify}");
    alice.republish(&etag, None, 3600).expect_status(200);
}

#[test]
fn s7_options_show_publish_and_allow_events() {
    let (_node, alice) = with_alice();
    let request = Request::new("OPTIONS", &format!("sip:{}", alice.domain));
    let answer = alice.request(request).expect_status(200);
    assert!(answer.all("Allow").iter().any(|m| m == "PUBLISH"), "{answer}");
    assert!(answer.expect_header("Allow-Events").contains("presence"), "{answer}");
}

#[test]
fn s8_3_entity_tags_differ_and_cannot_be_guessed() {
    let (_node, alice) = with_alice();
    let tags: Vec<String> =
        (0..8).map(|i| alice.publish(&pidf::open(&alice.aor(), &format!("{i}")))).collect();
    assert_eq!(tags.iter().collect::<HashSet<_>>().len(), tags.len(), "{tags:?}");
    for pair in tags.windows(2) {
        // A counter or a clock leaves most characters alone; 64 random bits do not.
        let same = pair[0].chars().zip(pair[1].chars()).filter(|(a, b)| a == b).count();
        assert!(pair[0].len() >= 11, "too short to be unguessable: {}", pair[0]);
        assert!(same * 2 < pair[0].len(), "too alike: {pair:?}");
    }
}

#[test]
fn s6_two_publications_of_one_user_live_side_by_side() {
    let (_node, alice, bob) = with_watched_alice();
    let desk = alice.publish(&pidf::document(&alice.aor(), "desk", "open", "at the desk"));
    let cell = alice.publish(&pidf::document(&alice.aor(), "cell", "open", "on the road"));
    assert_ne!(desk, cell);
    let watch = bob.subscribe(&alice.aor());
    let both = watch.notify_with(&bob, "with both", |m| {
        m.text().contains("at the desk") && m.text().contains("on the road")
    });
    assert_eq!(Presence::of(&both).entity, alice.aor());
    alice.republish(&cell, None, 0).expect_status(200);
    let one = watch.notify_with(&bob, "with one", |m| !m.text().contains("on the road"));
    assert!(one.text().contains("at the desk"), "{one}");
}

#[test]
fn s6_expired_publication_is_gone_and_watchers_learn_it() {
    let (_node, alice, bob) = with_watched_alice();
    let document = pidf::open(&alice.aor(), "passing");
    let request = alice.publication().body("application/pidf+xml", document).set("Expires", 1);
    let refused = alice.request(request.clone()).expect_status(423);
    let least: u64 = refused.expect_header("Min-Expires").parse().expect("a number");
    let granted = alice.request(request.set("Expires", least)).expect_status(200);
    let etag = granted.expect_header("SIP-ETag").to_owned();
    let watch = bob.subscribe(&alice.aor());
    watch.notify_with(&bob, "with the state", shows("passing"));
    watch.notify_after(&bob, least, "without the state", |m| !m.text().contains("passing"));
    alice.republish(&etag, None, 3600).expect_status(412);
}

#[test]
fn s10_a_body_of_another_entity_is_refused() {
    let (_node, alice, bob) = with_watched_alice();
    // RFC 3856 §6.5 and RFC 3863 §4.1.1: the document names the presentity.
    let document = pidf::open(&bob.aor(), "whose?");
    let request = alice.publication().body("application/pidf+xml", document);
    let answer = alice.request(request).expect_one_of(&[200, 400, 403]);
    let notify = bob.subscribe(&alice.aor()).notify(&bob);
    if answer.status() == Some(200) {
        assert_eq!(Presence::of(&notify).entity, alice.aor(), "{notify}");
    } else {
        assert!(!notify.text().contains("whose?"), "{notify}");
    }
}
