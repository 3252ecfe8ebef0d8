//! RFC 8760 and RFC 7616: digest with SHA-256 first, and MD5 for old phones.

use lamplight_tests::node::Node;
use lamplight_tests::wire::Client;
use lamplight_tests::wire::client::challenges;

fn alice() -> (Node, Client) {
    let node = Node::start_new();
    let [alice] = node.clients(["alice"]);
    (node, alice)
}

#[test]
fn s2_3_the_strongest_algorithm_is_offered_first() {
    let (_node, alice) = alice();
    let refused = alice.transact(alice.registration()).expect_status(401);
    let offered: Vec<String> = challenges(&refused).into_iter().map(|c| c.algorithm).collect();
    assert_eq!(offered, ["SHA-256", "MD5"], "{refused}");
}

#[test]
fn s2_3_each_challenge_is_a_header_of_its_own() {
    let (_node, alice) = alice();
    let refused = alice.transact(alice.registration()).expect_status(401);
    let lines =
        refused.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case("WWW-Authenticate")).count();
    assert_eq!(lines, 2, "{refused}");
}

#[test]
fn s2_4_either_algorithm_is_accepted() {
    let (_node, alice) = alice();
    for algorithm in ["SHA-256", "MD5"] {
        let sent = alice.send(alice.registration());
        let refused = alice.final_answer(&sent).expect_status(401);
        let again = alice.with_credentials(&sent.request, &refused, Some(algorithm));
        alice.transact(again).expect_status(200);
    }
}

#[test]
fn rfc7616_s3_4_credentials_without_qop_are_taken_from_old_phones() {
    let (_node, alice) = alice();
    let sent = alice.send(alice.registration());
    let refused = alice.final_answer(&sent).expect_status(401);
    let mut challenge = challenges(&refused).remove(1);
    challenge.qop.clear();
    let again = alice.with_challenge(&sent.request, &challenge, false);
    // RFC 3261 §22.4 lets a server insist on qop; then it challenges, and never errs otherwise.
    alice.transact(again).expect_one_of(&[200, 401]);
}

#[test]
fn s2_6_an_unknown_algorithm_is_challenged_anew() {
    let (_node, alice) = alice();
    let sent = alice.send(alice.registration());
    let refused = alice.final_answer(&sent).expect_status(401);
    let mut challenge = challenges(&refused).remove(0);
    challenge.algorithm = "SHA3-1024".to_owned();
    let again = alice.with_challenge(&sent.request, &challenge, false);
    let refused = alice.transact(again).expect_one_of(&[400, 401]);
    assert!(refused.status() == Some(400) || !challenges(&refused).is_empty(), "{refused}");
}

#[test]
fn r13_a_nonce_not_of_ours_is_challenged_with_stale() {
    let (_node, alice) = alice();
    let sent = alice.send(alice.registration());
    let refused = alice.final_answer(&sent).expect_status(401);
    let mut challenge = challenges(&refused).remove(0);
    challenge.nonce = "dcd98b7102dd2f0e8b11d0f600bfb0c093".to_owned();
    let again = alice.with_challenge(&sent.request, &challenge, false);
    let refused = alice.transact(again).expect_status(401);
    let offered = challenges(&refused);
    assert_eq!(offered.len(), 2, "always a challenge: {refused}");
    // The password was right, only the nonce was not: the user need not be asked again.
    assert!(offered.iter().all(|c| c.stale), "{refused}");
}

#[test]
fn r13_a_wrong_password_is_not_stale() {
    let (node, alice) = alice();
    let server = node.ready.address("udp");
    let thief = Client::new(alice.via, server, &alice.domain, "alice", "wrong-password");
    let sent = thief.send(thief.registration());
    let refused = thief.final_answer(&sent).expect_status(401);
    let again = thief.with_credentials(&sent.request, &refused, None);
    let refused = thief.transact(again).expect_one_of(&[401, 403]);
    assert!(challenges(&refused).iter().all(|c| !c.stale), "{refused}");
}

#[test]
fn r13_a_nonce_from_before_a_restart_is_taken_or_challenged_with_stale() {
    let (mut node, alice) = alice();
    let sent = alice.send(alice.registration());
    let refused = alice.final_answer(&sent).expect_status(401);
    let challenge = challenges(&refused).remove(0);
    node.crash_and_restart();
    let again = alice.with_challenge(&sent.request, &challenge, false);
    let answer = alice.transact(again).expect_one_of(&[200, 401]);
    if answer.status() == Some(401) {
        assert!(challenges(&answer).iter().all(|c| c.stale), "{answer}");
    }
    alice.register();
}

#[test]
fn r16_malformed_credentials_are_refused_and_harm_nothing() {
    let (_node, alice) = alice();
    let values = [
        "Digest",
        "Digest ",
        "Digest ,,,,",
        "Basic YWxpY2U6eA==",
        "Digest username=",
        "Digest username=\"alice\", realm=\"example.test\", nonce=\"\", uri=\"\", response=\"\"",
        "Digest username=\"alice\"; realm=\"example.test\"",
        "\"",
        "Digest username=\"\\\"",
        "Digest response=\"zz\", nc=99999999999999999999, qop=auth, cnonce=\"\"",
    ];
    for value in values {
        let answer = alice.transact(alice.registration().header("Authorization", value));
        let answer = answer.expect_one_of(&[400, 401]);
        assert!(answer.status() == Some(400) || !challenges(&answer).is_empty(), "{answer}");
    }
    let huge = format!("Digest username=\"{}\"", "a".repeat(5_000));
    alice.transact(alice.registration().header("Authorization", huge));
    alice.register();
}
