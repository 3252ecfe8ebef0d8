//! /metrics and /healthz.

use lamplight_tests::http::get;
use lamplight_tests::node::Node;
use lamplight_tests::pidf;

#[test]
fn healthz_says_that_it_serves() {
    let node = Node::start_new();
    let answer = get(node.ready.address("http"), "/healthz");
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[test]
fn metrics_are_prometheus_text_and_move() {
    let node = Node::start_new();
    let [alice, bob] = node.clients(["alice", "bob"]);
    let before = get(node.ready.address("http"), "/metrics");
    assert_eq!(before.status, 200);
    assert!(before.body.contains("# TYPE "), "{}", before.body);
    alice.publish(&pidf::open(&alice.aor(), "measured"));
    bob.subscribe(&alice.aor()).notify(&bob);
    let after = get(node.ready.address("http"), "/metrics");
    let changed = after.body.lines().filter(|line| !before.body.contains(line)).count();
    assert!(changed > 3, "counters move:\n{}", after.body);
    for word in ["notify", "subscription", "publication", "registration"] {
        assert!(after.body.to_lowercase().contains(word), "{word} in\n{}", after.body);
    }
    assert!(!after.body.contains("alice"), "no user is a label: {}", after.body);
}

#[test]
fn an_unknown_path_is_404_and_harms_nothing() {
    let node = Node::start_new();
    assert_eq!(get(node.ready.address("http"), "/no/such/path").status, 404);
    assert_eq!(get(node.ready.address("http"), "/../../etc/passwd").status, 404);
    assert_eq!(get(node.ready.address("http"), "/healthz").status, 200);
}
