//! RFC 5025: presence authorization rules, as watchers meet them.

use lamplight_tests::node::{Node, Setup};
use lamplight_tests::pidf;
use lamplight_tests::wire::{Client, Request};
use lamplight_tests::xcap::{EVERYTHING, Tree, rule};

fn pair() -> (Node, Client, Client) {
    let node = Node::start_new();
    let [alice, bob] = node.clients(["alice", "bob"]);
    (node, alice, bob)
}

fn cli(node: &Node, line: &str) -> String {
    node.appliance(&line.split(' ').collect::<Vec<_>>()).expect_done()
}

fn state(notify: &lamplight_tests::wire::message::Message) -> &str {
    notify.header("Subscription-State").unwrap_or_default()
}

#[test]
fn s3_2_1_block_refuses_and_ends_what_runs() {
    let (node, alice, bob) = pair();
    let watch = bob.subscribe(&alice.aor());
    watch.notify(&bob);
    let tree = Tree::of(&node, &alice);
    tree.put_rules(&rule("b", &bob.aor(), "block", ""));
    let last = watch.notify_with(&bob, "the end", |m| state(m).contains("terminated"));
    assert!(last.expect_header("Subscription-State").contains("reason=rejected"), "{last}");
    assert!(last.body.is_empty(), "{last}");
    bob.request(bob.subscription(&alice.aor())).expect_status(403);
}

#[test]
fn s3_2_1_nobody_is_shown_anything_without_a_rule_that_says_so() {
    let (node, alice, bob) = pair();
    Tree::of(&node, &alice).put_rules("");
    bob.request(bob.subscription(&alice.aor())).expect_status(403);
    let own = alice.subscribe(&alice.aor());
    assert!(own.notify(&alice).text().contains("presence"), "one's own presence is always shown");
}

#[test]
fn s3_2_1_confirm_waits_and_shows_nothing_until_it_is_allowed() {
    let (node, alice, bob) = pair();
    alice.publish(&pidf::open(&alice.aor(), "secret"));
    let tree = Tree::of(&node, &alice);
    tree.put_rules(&rule("b", &bob.aor(), "confirm", EVERYTHING));
    let watch = bob.subscribe(&alice.aor());
    let pending = watch.notify(&bob);
    assert!(pending.expect_header("Subscription-State").starts_with("pending"), "{pending}");
    assert!(pending.body.is_empty(), "{pending}");
    alice.publish_again(&pidf::open(&alice.aor(), "still secret"));
    tree.put_rules(&rule("b", &bob.aor(), "allow", EVERYTHING));
    let active = watch.notify(&bob);
    assert!(active.expect_header("Subscription-State").starts_with("active"), "{active}");
    assert!(active.text().contains("still secret"), "{active}");
    tree.put_rules(&rule("b", &bob.aor(), "confirm", EVERYTHING));
    let again = watch.notify(&bob);
    assert!(again.expect_header("Subscription-State").starts_with("pending"), "{again}");
    assert!(again.body.is_empty(), "{again}");
}

#[test]
fn s3_2_1_polite_block_shows_somebody_who_is_never_there() {
    let (node, alice, bob) = pair();
    alice.publish(&pidf::open(&alice.aor(), "secret"));
    Tree::of(&node, &alice).put_rules(&rule("b", &bob.aor(), "polite-block", EVERYTHING));
    let watch = bob.subscribe(&alice.aor());
    let notify = watch.notify(&bob);
    assert!(notify.expect_header("Subscription-State").starts_with("active"), "{notify}");
    let shown = pidf::Presence::of(&notify);
    assert!(!shown.is_open() && !notify.text().contains("secret"), "{notify}");
    alice.publish_again(&pidf::open(&alice.aor(), "changed"));
    bob.barrier();
    assert_eq!(bob.count(|m| watch.is_notify(m)), 1, "changes are not shown either");
}

#[test]
fn s3_3_each_watcher_sees_what_is_granted() {
    let node = Node::start_new();
    let [alice, bob, carol] = node.clients(["alice", "bob", "carol"]);
    alice.publish(&pidf::open(&alice.aor(), "at my desk"));
    let services = "<pr:provide-services><pr:all-services/></pr:provide-services>";
    Tree::of(&node, &alice).put_rules(&format!(
        "{}{}",
        rule("b", &bob.aor(), "allow", services),
        rule("c", &carol.aor(), "allow", EVERYTHING)
    ));
    let (of_bob, of_carol) = (bob.subscribe(&alice.aor()), carol.subscribe(&alice.aor()));
    let (to_bob, to_carol) = (of_bob.notify(&bob), of_carol.notify(&carol));
    assert!(to_carol.text().contains("at my desk"), "{to_carol}");
    assert!(!to_bob.text().contains("at my desk"), "{to_bob}");
    assert!(pidf::Presence::of(&to_bob).is_open(), "{to_bob}");
    // A change that one of them cannot see is none for it.
    alice.publish_again(&pidf::open(&alice.aor(), "at lunch"));
    of_carol.notify_with(&carol, "the change", |m| m.text().contains("at lunch"));
    bob.barrier();
    assert_eq!(bob.count(|m| of_bob.is_notify(m)), 1);
}

#[test]
fn s9_7_all_documents_of_a_user_count_and_deleting_them_ends_it() {
    let (node, alice, bob) = pair();
    let tree = Tree::of(&node, &alice);
    tree.put_rules("");
    bob.request(bob.subscription(&alice.aor())).expect_status(403);
    let more = lamplight_tests::xcap::ruleset(&rule("b", &bob.aor(), "allow", EVERYTHING));
    let media = [("Content-Type", lamplight_tests::xcap::RULES)];
    assert_eq!(tree.send("PUT", "pres-rules", "more", &media, &more).status, 201);
    let watch = bob.subscribe(&alice.aor());
    watch.notify(&bob);
    assert_eq!(tree.send("DELETE", "pres-rules", "more", &[], "").status, 200);
    watch.notify_with(&bob, "the end", |m| state(m).contains("reason=rejected"));
    assert_eq!(tree.send("DELETE", "pres-rules", "index", &[], "").status, 200);
    bob.subscribe(&alice.aor()).notify(&bob);
}

#[test]
fn rules_survive_a_restart() {
    let (mut node, alice, bob) = pair();
    Tree::of(&node, &alice).put_rules(&rule("b", &bob.aor(), "block", ""));
    node.crash_and_restart();
    let bob = node.client("bob");
    bob.request(bob.subscription(&alice.aor())).expect_status(403);
}

#[test]
fn the_node_decides_for_users_without_rules() {
    let node = Setup::default().trusting().start();
    let [alice, bob] = node.clients(["alice", "bob"]);
    alice.publish(&pidf::open(&alice.aor(), "secret"));
    let stranger =
        Request { ..bob.subscription(&alice.aor()).set("From", "<sip:eve@elsewhere.test>;tag=e1") };
    let watch = bob.subscribe_with(stranger);
    let pending = watch.notify(&bob);
    assert!(pending.expect_header("Subscription-State").starts_with("pending"), "{pending}");
    cli(&node, "set policy outside allow");
    let allowed = watch.notify(&bob);
    assert!(allowed.text().contains("secret"), "{allowed}");
    let inside = bob.subscribe(&alice.aor());
    inside.notify(&bob);
    cli(&node, "set policy inside block");
    inside.notify_with(&bob, "the end", |m| state(m).contains("reason=rejected"));
    cli(&node, "unset policy inside");
    bob.subscribe(&alice.aor()).notify(&bob);
    assert!(cli(&node, "show policy").contains("outside"));
}
