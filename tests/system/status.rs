//! How a user is over all, what decides it, and what a user says by hand (`/api/v1/users/…`).

use lamplight_tests::http::{self, Answer};
use lamplight_tests::node::{Node, member};
use lamplight_tests::pidf;
use lamplight_tests::wire::Client;
use lamplight_tests::xcap::{Tree, rule};

fn setup() -> (Node, [Client; 3]) {
    let node = Node::start_new();
    let clients = node.clients(["alice", "bob", "carol"]);
    (node, clients)
}

fn ask(node: &Node, user: &Client, method: &str, id: &str, body: &str) -> Answer {
    let authorization = lamplight_tests::xcap::basic(user);
    let headers = [("Authorization", authorization.as_str()), ("Content-Type", "application/json")];
    let path = format!("/api/v1/users/{id}/presence");
    http::send(node.ready.address("http"), method, &path, &headers, body)
}

/// A device of a user, whose person does this.
fn device(user: &Client, id: &str, basic: &str, activity: &str) -> String {
    format!(
        "<presence xmlns=\"urn:ietf:params:xml:ns:pidf\" \
         xmlns:d=\"urn:ietf:params:xml:ns:pidf:data-model\" \
         xmlns:r=\"urn:ietf:params:xml:ns:pidf:rpid\" entity=\"{}\">\
         <tuple id=\"{id}\"><status><basic>{basic}</basic></status>\
         <d:deviceID>urn:x:{id}</d:deviceID></tuple>\
         <d:person id=\"p-{id}\"><r:activities>{activity}</r:activities></d:person></presence>",
        user.aor()
    )
}

fn state(node: &Node, id: &str) -> (String, String) {
    let shown = node.appliance(&["--json", "show", "presence", id]).json();
    let text = |name: &str| {
        member(&shown, name).and_then(|value| value.as_str()).unwrap_or_default().to_owned()
    };
    (text("state"), text("decided_by"))
}

#[test]
fn the_state_that_stands_first_wins_and_show_presence_says_which_source_decided() {
    let (node, [alice, ..]) = setup();
    let phone = node.client("alice");
    assert_eq!(state(&node, "alice").0, "offline");
    let publish = |from: &Client, id: &str, basic: &str, activity: &str| {
        let document = device(&alice, id, basic, activity);
        from.request(
            from.publication().header("User-Agent", id).body("application/pidf+xml", document),
        )
        .expect_status(200);
    };
    publish(&alice, "laptop", "open", "<r:away/>");
    assert_eq!(state(&node, "alice").0, "away");
    publish(&phone, "desk", "open", "");
    assert_eq!(state(&node, "alice").0, "available");
    publish(&phone, "desk", "closed", "<r:on-the-phone/>");
    let (phone_state, by) = state(&node, "alice");
    assert_eq!(phone_state, "phone");
    assert!(by.contains("desk"), "{by}");
    publish(&alice, "laptop", "open", "<r:busy/><r:other>dnd</r:other>");
    let (dnd, by) = state(&node, "alice");
    assert_eq!(dnd, "dnd");
    assert!(by.contains("laptop"), "{by}");
    // An administrator sees it otherwise.
    let order = "phone,dnd,meeting,busy,available,away,out-of-office";
    node.appliance(&["set", "policy", "composition", order]).expect_done();
    assert_eq!(state(&node, "alice").0, "phone");
    node.appliance(&["set", "policy", "composition", "phone,dnd"]).expect_refused();
}

#[test]
fn what_a_user_says_wins_until_it_is_taken_back_and_survives_a_restart() {
    let (mut node, [alice, bob, _]) = setup();
    alice.publish(&pidf::open(&alice.aor(), "at my desk"));
    let watch = bob.subscribe(&alice.aor());
    watch.notify(&bob);
    let busy = "{\"state\":\"busy\",\"note\":\"writing a book & more\"}";
    assert_eq!(ask(&node, &alice, "PUT", "alice", busy).status, 204);
    let told = watch.notify_with(&bob, "the status", |m| m.text().contains("writing a book"));
    assert!(told.text().contains(":busy/>"), "{told}");
    node.crash_and_restart();
    let seen = ask(&node, &bob, "GET", "alice", "");
    assert_eq!(seen.status, 200, "{seen:?}");
    assert!(seen.body.contains("\"state\":\"busy\"") && seen.body.contains("\"open\""), "{seen:?}");
    assert!(state(&node, "alice").1.contains("set"));
    let invisible = ask(&node, &alice, "PUT", "alice", "{\"state\":\"offline\"}");
    assert_eq!(invisible.status, 204);
    let hidden = ask(&node, &bob, "GET", "alice", "");
    assert!(hidden.body.contains("\"basic\":\"closed\""), "{hidden:?}");
    assert!(!hidden.body.contains("at my desk"), "{hidden:?}");
    assert_eq!(ask(&node, &alice, "DELETE", "alice", "").status, 204);
    let back = ask(&node, &bob, "GET", "alice", "");
    assert!(back.body.contains("\"state\":\"available\""), "{back:?}");
}

#[test]
fn a_status_ends_when_its_time_is_over() {
    let (node, [alice, bob, _]) = setup();
    alice.publish(&pidf::open(&alice.aor(), "at my desk"));
    let watch = bob.subscribe(&alice.aor());
    watch.notify(&bob);
    let away = "{\"state\":\"away\",\"note\":\"at lunch\",\"expires_in_s\":2}";
    assert_eq!(ask(&node, &alice, "PUT", "alice", away).status, 204);
    watch.notify_with(&bob, "the status", |m| m.text().contains("at lunch"));
    watch.notify_with(&bob, "its end", |m| !m.text().contains("at lunch"));
}

#[test]
fn who_may_not_see_does_not_and_nobody_speaks_for_another() {
    let (node, [alice, bob, carol]) = setup();
    alice.publish(&pidf::open(&alice.aor(), "secret"));
    Tree::of(&node, &alice).put_rules(&format!(
        "{}{}",
        rule("b", &bob.aor(), "confirm", ""),
        rule("c", &carol.aor(), "block", "")
    ));
    let pending = ask(&node, &bob, "GET", "alice", "");
    assert!(pending.status == 200 && pending.body.contains("\"pending\""), "{pending:?}");
    assert!(!pending.body.contains("secret"), "{pending:?}");
    assert_eq!(ask(&node, &carol, "GET", "alice", "").status, 403);
    assert_eq!(ask(&node, &bob, "PUT", "alice", "{\"state\":\"busy\"}").status, 403);
    for wrong in ["{\"state\":\"bored\"}", "{}", "{\"state\":\"busy\",\"expires_in_s\":0}", "busy"]
    {
        assert_eq!(ask(&node, &alice, "PUT", "alice", wrong).status, 400, "{wrong}");
    }
    assert_eq!(ask(&node, &bob, "GET", "nobody", "").status, 404);
}
