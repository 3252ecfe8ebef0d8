//! §22: digest, as the server asks for it; the algorithms are in rfc8760.rs.

use lamplight_tests::node::{Node, Setup};
use lamplight_tests::pidf;
use lamplight_tests::wire::client::challenges;
use lamplight_tests::wire::{Client, Request, Via};

fn pair() -> (Node, Client, Client) {
    let node = Node::start_new();
    let [alice, bob] = node.clients(["alice", "bob"]);
    (node, alice, bob)
}

#[test]
fn s22_1_a_challenge_names_realm_nonce_and_qop() {
    let (_node, alice, _bob) = pair();
    let refused = alice.transact(alice.registration()).expect_status(401);
    for challenge in challenges(&refused) {
        assert_eq!(challenge.realm, alice.domain, "{refused}");
        assert!(challenge.nonce.len() >= 16, "{refused}");
        assert!(challenge.qop.iter().any(|q| q == "auth"), "{refused}");
        assert!(!challenge.stale, "{refused}");
    }
}

#[test]
fn s22_2_a_wrong_password_is_refused_again() {
    let (node, alice, _bob) = pair();
    let server = node.ready.address("udp");
    let thief = Client::new(Via::Udp, server, &alice.domain, "alice", "wrong-password");
    thief.request(thief.registration()).expect_one_of(&[401, 403]);
}

#[test]
fn s22_2_an_unknown_user_is_refused_like_a_wrong_password() {
    let (node, alice, _bob) = pair();
    let server = node.ready.address("udp");
    let thief = Client::new(Via::Udp, server, &alice.domain, "alice", "wrong-password");
    let known = thief.request(thief.registration());
    let ghost = Client::new(Via::Udp, server, &alice.domain, "nobody", "wrong-password");
    let unknown = ghost.request(ghost.registration());
    // Nobody learns from the answer which users exist.
    assert_eq!(known.status(), unknown.status(), "{known}\n{unknown}");
}

#[test]
fn s22_4_the_digest_uri_may_differ_from_the_request_uri() {
    let (_node, alice, _bob) = pair();
    let sent = alice.send(alice.registration());
    let challenged = alice.final_answer(&sent).expect_status(401);
    // A proxy on the way may have changed the Request-URI; phones give the address of the server.
    let original = Request { uri: format!("sip:{}", alice.server), ..sent.request.clone() };
    let signed = alice.with_credentials(&original, &challenged, None);
    alice.transact(Request { uri: sent.request.uri, ..signed }).expect_status(200);
}

#[test]
fn s22_4_a_replayed_nonce_count_is_refused() {
    let (_node, alice, _bob) = pair();
    let sent = alice.send(alice.registration());
    let challenged = alice.final_answer(&sent).expect_status(401);
    let good = alice.with_credentials(&sent.request, &challenged, None);
    let fresh = |number: u32| {
        Request { left_out: Vec::new(), ..good.clone() }.set("CSeq", format!("{number} REGISTER"))
    };
    alice.transact(fresh(2)).expect_status(200);
    // The same credentials once more, as someone who listened would send them.
    let replayed = alice.transact(fresh(3)).expect_status(401);
    assert!(!challenges(&replayed).is_empty(), "{replayed}");
}

#[test]
fn s22_4_one_nonce_serves_several_requests_with_rising_counts() {
    let (_node, alice, _bob) = pair();
    let sent = alice.send(alice.registration());
    let challenged = alice.final_answer(&sent).expect_status(401);
    let challenge = challenges(&challenged).remove(0);
    let mut request = sent.request;
    for _ in 0..20 {
        // The count is hexadecimal: 0000000a and beyond must do.
        request = alice.with_challenge(&request, &challenge, false);
        alice.transact(request.clone()).expect_status(200);
    }
}

#[test]
fn s22_1_no_method_passes_without_credentials() {
    let (_node, alice, bob) = pair();
    bob.register();
    let document = pidf::open(&alice.aor(), "x");
    let requests = [
        alice.registration(),
        alice.publication().body("application/pidf+xml", document),
        alice.subscription(&bob.aor()),
        Request::new("MESSAGE", &bob.aor()).body("text/plain", "x"),
        alice.invitation(&bob.aor()),
        Request::new("INFO", &bob.aor()),
        Request::new("REFER", &bob.aor()).header("Refer-To", "<sip:x@example.test>"),
    ];
    for request in requests {
        let method = request.method.clone();
        let answer = alice.transact(request).expect_one_of(&[401, 407]);
        assert!(!challenges(&answer).is_empty(), "{method}: {answer}");
    }
    bob.barrier();
    let heard = |m: &lamplight_tests::wire::Message| m.method().is_some();
    assert_eq!(bob.count(heard), 0, "nothing was passed on");
}

#[test]
fn s22_3_a_proxied_request_is_challenged_by_407() {
    let (_node, alice, bob) = pair();
    bob.register();
    let refused = alice.transact(alice.invitation(&bob.aor())).expect_status(407);
    assert!(refused.header("Proxy-Authenticate").is_some(), "{refused}");
}

#[test]
fn s22_3_credentials_for_us_are_not_passed_on() {
    let (_node, alice, bob) = pair();
    bob.register();
    alice.message(&bob.aor(), "hello").expect_status(200);
    let received = bob.expect_request("MESSAGE");
    for name in ["Proxy-Authorization", "Authorization"] {
        assert_eq!(received.header(name), None, "consumed by the proxy: {received}");
    }
}

#[test]
fn s22_1_a_from_that_is_not_the_credentials_user_is_forbidden() {
    let (_node, alice, bob) = pair();
    let forged = format!("<{}>;tag=forged", bob.aor());
    let subscribe = alice.subscription(&bob.aor()).header("From", &forged);
    alice.request(subscribe).expect_status(403);
    bob.register();
    let message = Request::new("MESSAGE", &bob.aor()).header("From", &forged);
    alice.request(message.body("text/plain", "from yourself")).expect_status(403);
    bob.barrier();
    assert!(bob.take(|m| m.method() == Some("MESSAGE")).is_none());
}

#[test]
fn s22_trusted_peers_need_no_credentials() {
    let node = Setup::default().trusting().start();
    let [alice, bob] = node.clients(["alice", "bob"]);
    let document = pidf::open(&alice.aor(), "by a trunk");
    let request = alice.publication().body("application/pidf+xml", document);
    alice.transact(request).expect_status(200);
    bob.transact(bob.subscription(&alice.aor())).expect_status(200);
}

#[test]
fn s22_a_disabled_user_cannot_sign_in_and_an_enabled_one_can_again() {
    let (node, alice, _bob) = pair();
    alice.register();
    node.appliance(&["user", "disable", "alice"]).expect_done();
    alice.request(alice.registration()).expect_one_of(&[401, 403]);
    node.appliance(&["user", "enable", "alice"]).expect_done();
    alice.register();
}
