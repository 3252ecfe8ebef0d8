//! RFC 3857 and RFC 3858: watcher information.

use lamplight_tests::node::Node;
use lamplight_tests::pidf;
use lamplight_tests::wire::message::Message;
use lamplight_tests::wire::{Client, Subscription};
use lamplight_tests::xcap::{EVERYTHING, Tree, rule};

/// What one NOTIFY says of the watchers.
struct Notice {
    version: u32,
    is_full: bool,
    /// URI, status, event, id.
    watchers: Vec<[String; 4]>,
}

impl Notice {
    #[track_caller]
    fn of(notify: &Message) -> Self {
        assert_eq!(notify.expect_header("Content-Type"), "application/watcherinfo+xml");
        assert_eq!(notify.expect_header("Event"), "presence.winfo");
        let text = notify.text();
        let tree = roxmltree::Document::parse(&text).expect("watcherinfo");
        let root = tree.root_element();
        assert!(root.has_tag_name(("urn:ietf:params:xml:ns:watcherinfo", "watcherinfo")));
        let list = root.first_element_child().expect("a watcher-list");
        assert_eq!(list.attribute("package"), Some("presence"));
        assert_eq!(list.attribute("resource"), Some("sip:alice@example.test"));
        let watchers = list.children().filter(roxmltree::Node::is_element).map(|watcher| {
            let attribute = |name| watcher.attribute(name).expect(name).to_owned();
            let uri = watcher.text().expect("a URI").to_owned();
            [uri, attribute("status"), attribute("event"), attribute("id")]
        });
        Self {
            version: root.attribute("version").expect("version").parse().expect("a number"),
            is_full: root.attribute("state") == Some("full"),
            watchers: watchers.collect(),
        }
    }

    #[track_caller]
    fn only(&self) -> [&str; 3] {
        assert_eq!(self.watchers.len(), 1, "{:?}", self.watchers);
        let [uri, status, event, _] = &self.watchers[0];
        [uri, status, event]
    }
}

fn setup() -> (Node, [Client; 3]) {
    let node = Node::start_new();
    let clients = node.clients(["alice", "bob", "carol"]);
    (node, clients)
}

fn watch_watchers(alice: &Client) -> Subscription {
    let request = alice.subscription(&alice.aor()).set("Event", "presence.winfo");
    alice.subscribe_with(request.set("Accept", "application/watcherinfo+xml"))
}

#[test]
fn s4_watchers_come_wait_are_approved_and_go() {
    let (node, [alice, bob, _]) = setup();
    let tree = Tree::of(&node, &alice);
    tree.put_rules(&rule("b", &bob.aor(), "confirm", EVERYTHING));
    let winfo = watch_watchers(&alice);
    let first = Notice::of(&winfo.notify(&alice));
    assert_eq!((first.version, first.is_full, first.watchers.len()), (0, true, 0));
    let mut watch = bob.subscribe(&alice.aor());
    watch.notify(&bob);
    let pending = Notice::of(&winfo.notify(&alice));
    assert_eq!((pending.version, pending.is_full), (1, false));
    assert_eq!(pending.only(), [&bob.aor(), "pending", "subscribe"]);
    tree.put_rules(&rule("b", &bob.aor(), "allow", EVERYTHING));
    let approved = Notice::of(&winfo.notify(&alice));
    assert_eq!(approved.only(), [&bob.aor(), "active", "approved"]);
    assert_eq!(approved.watchers[0][3], pending.watchers[0][3], "the same watcher");
    watch.notify(&bob);
    watch.refresh(&bob, 0).expect_status(200);
    let gone = Notice::of(&winfo.notify(&alice));
    assert_eq!(gone.only(), [&bob.aor(), "terminated", "timeout"]);
    assert_eq!(gone.version, 3);
}

#[test]
fn s4_7_1_who_was_not_decided_about_waits() {
    let (node, [alice, bob, _]) = setup();
    let tree = Tree::of(&node, &alice);
    tree.put_rules(&rule("b", &bob.aor(), "confirm", EVERYTHING));
    let mut watch = bob.subscribe(&alice.aor());
    watch.notify(&bob);
    watch.refresh(&bob, 0).expect_status(200);
    let full = Notice::of(&watch_watchers(&alice).notify(&alice));
    assert_eq!(full.only(), [&bob.aor(), "waiting", "timeout"]);
}

#[test]
fn s4_9_rejected_watchers_are_told_of() {
    let (node, [alice, bob, carol]) = setup();
    bob.subscribe(&alice.aor()).notify(&bob);
    carol.subscribe(&alice.aor()).notify(&carol);
    let winfo = watch_watchers(&alice);
    assert_eq!(Notice::of(&winfo.notify(&alice)).watchers.len(), 2);
    Tree::of(&node, &alice).put_rules(&rule("c", &carol.aor(), "allow", EVERYTHING));
    let rejected = Notice::of(&winfo.notify(&alice));
    assert_eq!(rejected.only(), [&bob.aor(), "terminated", "rejected"]);
}

#[test]
fn s4_4_only_the_presentity_learns_who_watches() {
    let (_node, [alice, bob, _]) = setup();
    let request = bob.subscription(&alice.aor()).set("Event", "presence.winfo");
    bob.request(request.set("Accept", "application/watcherinfo+xml")).expect_status(403);
    let wrong = alice.subscription(&alice.aor()).set("Event", "presence.winfo");
    alice.request(wrong.set("Accept", "application/pidf+xml")).expect_status(406);
}

#[test]
fn rfc3858_s3_a_refresh_is_full_and_versions_never_repeat() {
    let (mut node, [alice, bob, _]) = setup();
    let mut winfo = watch_watchers(&alice);
    winfo.notify(&alice);
    bob.subscribe(&alice.aor()).notify(&bob);
    assert_eq!(Notice::of(&winfo.notify(&alice)).version, 1);
    winfo.refresh(&alice, 3600).expect_status(200);
    let refreshed = Notice::of(&winfo.notify(&alice));
    assert_eq!((refreshed.version, refreshed.is_full, refreshed.watchers.len()), (2, true, 1));
    node.crash_and_restart();
    let after = Notice::of(&winfo.notify(&alice));
    assert!(after.is_full && after.version > 2 && after.watchers.len() == 1);
}

#[test]
fn watchers_through_lists_are_watchers() {
    let (node, [alice, bob, _]) = setup();
    alice.publish(&pidf::open(&alice.aor(), "x"));
    let winfo = watch_watchers(&alice);
    winfo.notify(&alice);
    let body = format!(
        "<resource-lists xmlns=\"urn:ietf:params:xml:ns:resource-lists\"><list>\
         <entry uri=\"{}\"/></list></resource-lists>",
        alice.aor()
    );
    let request = bob.subscription("sip:rls@example.test").header("Supported", "eventlist");
    let watch = bob.subscribe_with(request.body("application/resource-lists+xml", body));
    watch.notify(&bob);
    let notice = Notice::of(&winfo.notify(&alice));
    assert_eq!(notice.only(), [&bob.aor(), "active", "subscribe"]);
    Tree::of(&node, &alice).put_rules(&rule("b", &bob.aor(), "block", ""));
    let notice = Notice::of(&winfo.notify(&alice));
    assert_eq!(notice.only(), [&bob.aor(), "terminated", "rejected"]);
}
