//! RFC 4662, with RFC 4826 and RFC 5367: subscriptions to lists.

use lamplight_tests::node::{DOMAIN, Node, Setup};
use lamplight_tests::pidf;
use lamplight_tests::rlmi::ListNotice;
use lamplight_tests::wire::{Client, Request, Subscription};
use lamplight_tests::xcap::{EVERYTHING, LISTS, SERVICES, Tree, rule};

const TEAM: &str = "sip:team@example.test";

fn cli(node: &Node, line: &str) -> String {
    node.appliance(&line.split(' ').collect::<Vec<_>>()).expect_done()
}

fn lists(entries: &str) -> String {
    format!(
        "<resource-lists xmlns=\"urn:ietf:params:xml:ns:resource-lists\"><list name=\"team\">\
         <display-name>The Team</display-name>{entries}</list></resource-lists>"
    )
}

fn entry(uri: &str) -> String {
    format!("<entry uri=\"{uri}\"><display-name>{} here</display-name></entry>", &uri[4..])
}

/// Lets a user have a list with these members, as a service.
fn define(node: &Node, owner: &Client, members: &[&str]) {
    let tree = Tree::of(node, owner);
    let entries: String = members.iter().map(|uri| entry(uri)).collect();
    tree.put("resource-lists", LISTS, &lists(&entries));
    let list = format!(
        "https://{}/xcap/resource-lists/users/{}/index/~~/resource-lists/list%5b@name=%22team%22%5d",
        node.ready.address("http"),
        owner.aor()
    );
    let services = format!(
        "<rls-services xmlns=\"urn:ietf:params:xml:ns:rls-services\"><service uri=\"{TEAM}\">\
         <resource-list>{list}</resource-list><packages><package>presence</package></packages>\
         </service></rls-services>"
    );
    tree.put("rls-services", SERVICES, &services);
}

fn list_request(client: &Client, uri: &str) -> Request {
    client
        .subscription(uri)
        .header("Supported", "eventlist")
        .set("Accept", "application/pidf+xml, application/rlmi+xml, multipart/related")
}

fn subscribe(client: &Client) -> Subscription {
    client.subscribe_with(list_request(client, TEAM))
}

fn setup() -> (Node, [Client; 4]) {
    let node = Node::start_new();
    let clients = node.clients(["alice", "bob", "carol", "dave"]);
    (node, clients)
}

#[test]
fn s4_a_list_tells_of_everybody_as_each_has_it() {
    let (node, [alice, bob, carol, dave]) = setup();
    bob.publish(&pidf::open(&bob.aor(), "bob is here"));
    Tree::of(&node, &carol).put_rules(&rule("a", &alice.aor(), "confirm", EVERYTHING));
    Tree::of(&node, &dave).put_rules(&rule("a", &alice.aor(), "block", ""));
    let (nobody, elsewhere) = ("sip:nobody@example.test", "sip:eve@elsewhere.test");
    let (b, c, d) = (bob.aor(), carol.aor(), dave.aor());
    let members = [b.as_str(), &c, &d, nobody, elsewhere];
    define(&node, &alice, &members);
    let watch = subscribe(&alice);
    assert_eq!(watch.answer.expect_header("Require"), "eventlist");
    let first = watch.notify(&alice);
    assert_eq!(first.expect_header("Require"), "eventlist");
    let notice = ListNotice::of(&first);
    assert_eq!((notice.uri.as_str(), notice.version, notice.is_full), (TEAM, 0, true));
    assert_eq!(notice.names, ["The Team"]);
    assert_eq!(notice.member(&bob.aor()).state, "active");
    assert_eq!(notice.member(&bob.aor()).name.as_deref(), Some("bob@example.test here"));
    assert!(notice.document(&bob.aor()).contains("bob is here"));
    assert_eq!(notice.member(&carol.aor()).state, "pending");
    assert!(notice.member(&carol.aor()).document.is_none());
    let rejected = notice.member(&dave.aor());
    assert_eq!(
        (rejected.state.as_str(), rejected.reason.as_deref()),
        ("terminated", Some("rejected"))
    );
    assert_eq!(notice.member(nobody).reason.as_deref(), Some("noresource"));
    assert_eq!(notice.member(elsewhere).state, "");
    // Carol decides.
    Tree::of(&node, &carol).put_rules(&rule("a", &alice.aor(), "allow", EVERYTHING));
    let notice = ListNotice::of(&watch.notify(&alice));
    assert!(!notice.is_full && notice.members.len() == 1, "{notice:?}");
    assert_eq!(notice.member(&carol.aor()).state, "active");
}

#[test]
fn s5_2_changes_are_partial_and_a_refresh_is_full() {
    let (node, [alice, bob, carol, _]) = setup();
    cli(&node, "set policy list-interval 0");
    define(&node, &alice, &[&bob.aor(), &carol.aor()]);
    let mut watch = subscribe(&alice);
    watch.notify(&alice);
    bob.publish(&pidf::open(&bob.aor(), "one"));
    let partial = ListNotice::of(&watch.notify(&alice));
    assert_eq!((partial.version, partial.is_full, partial.members.len()), (1, false, 1));
    assert!(partial.document(&bob.aor()).contains("one"));
    let refresh = watch.next(3600).header("Supported", "eventlist");
    alice.request(refresh.header("Accept-Encoding", "deflate")).expect_status(200);
    let full = watch.notify(&alice);
    let notice = ListNotice::of(&full);
    assert_eq!((notice.version, notice.is_full, notice.members.len()), (2, true, 2));
    assert_eq!(full.header("Content-Encoding"), Some("deflate"), "who takes it gets it");
}

#[test]
fn rfc3856_s6_10_changes_are_gathered() {
    let (node, [alice, bob, carol, dave]) = setup();
    cli(&node, "set policy list-interval 3");
    define(&node, &alice, &[&bob.aor(), &carol.aor(), &dave.aor()]);
    let watch = subscribe(&alice);
    watch.notify(&alice);
    for (client, note) in [(&bob, "b"), (&carol, "c"), (&dave, "d")] {
        client.publish(&pidf::open(&client.aor(), note));
    }
    bob.publish_again(&pidf::open(&bob.aor(), "b at last"));
    let gathered = ListNotice::of(&watch.notify(&alice));
    assert_eq!((gathered.version, gathered.members.len()), (1, 3), "{gathered:#?}");
    assert!(gathered.document(&bob.aor()).contains("b at last"));
}

#[test]
fn s4_1_who_does_not_take_lists_is_told_so() {
    let (node, [alice, bob, ..]) = setup();
    define(&node, &alice, &[&bob.aor()]);
    let answer = alice.request(alice.subscription(TEAM)).expect_status(421);
    assert_eq!(answer.expect_header("Require"), "eventlist");
    bob.request(list_request(&bob, TEAM)).expect_status(403);
    bob.request(list_request(&bob, "sip:other@example.test")).expect_status(404);
    let wrong = list_request(&alice, TEAM).set("Event", "dialog");
    alice.request(wrong).expect_status(489);
}

#[test]
fn rfc4826_a_list_that_changes_is_told_whole_and_one_that_goes_ends() {
    let (node, [alice, bob, carol, _]) = setup();
    define(&node, &alice, &[&bob.aor()]);
    let watch = subscribe(&alice);
    watch.notify(&alice);
    let tree = Tree::of(&node, &alice);
    let both = lists(&format!("{}{}", entry(&bob.aor()), entry(&carol.aor())));
    tree.put("resource-lists", LISTS, &both);
    let notice = ListNotice::of(&watch.notify(&alice));
    assert!(notice.is_full && notice.members.len() == 2, "{notice:?}");
    assert_eq!(tree.send("DELETE", "rls-services", "index", &[], "").status, 200);
    let last = watch.notify(&alice);
    assert!(last.expect_header("Subscription-State").contains("noresource"), "{last}");
}

#[test]
fn rfc4826_s3_1_nested_lists_and_references_are_followed_once() {
    let (node, [alice, bob, carol, dave]) = setup();
    let tree = Tree::of(&node, &alice);
    let entries = format!(
        "{}<list name=\"inner\">{}<external anchor=\"https://x/xcap/resource-lists/users/{a}/index/~~/resource-lists/list%5b@name=%22team%22%5d\"/></list>\
         <entry-ref ref=\"resource-lists/users/{a}/more/~~/resource-lists/list/entry%5b1%5d\"/>",
        entry(&bob.aor()),
        entry(&carol.aor()),
        a = alice.aor()
    );
    let more = lists(&entry(&dave.aor()));
    let media = [("Content-Type", LISTS)];
    assert_eq!(tree.send("PUT", "resource-lists", "more", &media, &more).status, 201);
    define(&node, &alice, &[]);
    tree.put("resource-lists", LISTS, &lists(&entries));
    let notice = ListNotice::of(&subscribe(&alice).notify(&alice));
    let mut expected = [bob.aor(), carol.aor(), dave.aor()];
    expected.sort();
    assert_eq!(notice.members.keys().cloned().collect::<Vec<_>>(), expected);
}

#[test]
fn rfc5367_s4_a_list_may_come_in_the_request() {
    let (_node, [alice, bob, carol, _]) = setup();
    bob.publish(&pidf::open(&bob.aor(), "in the list"));
    let body = lists(&format!("{}{}", entry(&bob.aor()), entry(&carol.aor())));
    let request = list_request(&alice, "sip:rls@example.test")
        .header("Require", "recipient-list-subscribe")
        .header("Content-Disposition", "recipient-list")
        .header("Accept-Encoding", "deflate, identity;q=0.5");
    let plain = request.clone().body("application/resource-lists+xml", body.as_str());
    let watch = alice.subscribe_with(plain);
    let notice = watch.notify(&alice);
    assert_eq!(notice.header("Content-Encoding"), Some("deflate"));
    let notice = ListNotice::of(&notice);
    assert!(notice.document(&bob.aor()).contains("in the list"));
    assert_eq!(notice.members.len(), 2);
    let broken = request.body("application/resource-lists+xml", "<resource-lists");
    alice.request(broken).expect_status(400);
}

#[test]
fn users_come_and_go_on_a_list() {
    let (node, [alice, bob, ..]) = setup();
    cli(&node, "set policy list-interval 0");
    let late = "sip:late@example.test";
    define(&node, &alice, &[&bob.aor(), late]);
    let watch = subscribe(&alice);
    let first = ListNotice::of(&watch.notify(&alice));
    assert_eq!(first.member(late).reason.as_deref(), Some("noresource"));
    node.add_user("late");
    let there = ListNotice::of(&watch.notify(&alice));
    assert_eq!(there.member(late).state, "active");
    cli(&node, "user delete late");
    let gone = ListNotice::of(&watch.notify(&alice));
    assert_eq!(gone.member(late).reason.as_deref(), Some("noresource"));
}

#[test]
fn a_list_goes_on_after_a_restart() {
    let (mut node, [alice, bob, ..]) = setup();
    define(&node, &alice, &[&bob.aor()]);
    let watch = subscribe(&alice);
    let before = watch.notify(&alice);
    bob.publish(&pidf::open(&bob.aor(), "before"));
    watch.notify(&alice);
    node.crash_and_restart();
    let after = watch.notify(&alice);
    assert!(after.cseq().0 > before.cseq().0, "{after}");
    let notice = ListNotice::of(&after);
    assert!(notice.is_full && notice.version > 1, "{notice:?}");
    assert!(notice.document(&bob.aor()).contains("before"));
    bob.publish_again(&pidf::open(&bob.aor(), "afterwards"));
    watch.notify_with(&alice, "a change", |m| m.text().contains("afterwards"));
}

#[test]
fn r11_a_list_that_does_not_fit_into_a_datagram_comes_in_pieces() {
    let node = Setup::default().trusting().start();
    let names: Vec<String> = (0..150).map(|n| format!("member{n}")).collect();
    let mut users: Vec<&str> = names.iter().map(String::as_str).collect();
    users.push("alice");
    node.import_users(users).expect_done();
    let alice = node.client("alice");
    let long = "x".repeat(600);
    for name in &names {
        let client = node.client(name);
        client.publish(&pidf::open(&client.aor(), &long));
    }
    let uris: Vec<String> = names.iter().map(|name| format!("sip:{name}@{DOMAIN}")).collect();
    define(&node, &alice, &uris.iter().map(String::as_str).collect::<Vec<_>>());
    let watch = subscribe(&alice);
    let first = ListNotice::of(&watch.notify(&alice));
    assert!(first.is_full && first.members.len() == 150, "everybody is named at once");
    let mut told: Vec<String> = Vec::new();
    let mut notice = first;
    let mut version = 0;
    loop {
        assert!(notice.octets <= 60_000, "{} octets", notice.octets);
        assert_eq!(notice.version, version);
        let documents = notice.members.iter().filter(|(_, member)| member.document.is_some());
        told.extend(documents.map(|(uri, _)| uri.clone()));
        if told.len() == 150 {
            break;
        }
        version += 1;
        notice = ListNotice::of(&watch.notify(&alice));
    }
    told.sort();
    told.dedup();
    assert_eq!(told.len(), 150, "nobody twice");
    assert!(version > 1, "that needed several");
}

#[test]
fn s4_6_a_fetch_gets_everybody_once() {
    let (node, [alice, bob, ..]) = setup();
    define(&node, &alice, &[&bob.aor()]);
    let watch = alice.subscribe_with(list_request(&alice, TEAM).set("Expires", "0"));
    let only = watch.notify(&alice);
    assert!(only.expect_header("Subscription-State").starts_with("terminated"), "{only}");
    assert!(ListNotice::of(&only).is_full);
}
