//! RFC 6665: SIP-specific event notification, the notifier's side.

use lamplight_tests::node::{Node, eventually, member};
use lamplight_tests::pidf::{self, Presence};
use lamplight_tests::wire::client::Reply;
use lamplight_tests::wire::message::param;
use lamplight_tests::wire::{Client, Message, Request, Via};

fn pair() -> (Node, Client, Client) {
    let node = Node::start_new();
    let [alice, bob] = node.clients(["alice", "bob"]);
    (node, alice, bob)
}

/// The state and the parameters of Subscription-State.
fn state(notify: &Message) -> (String, Option<u32>, Option<String>) {
    let value = notify.expect_header("Subscription-State");
    let state = value.split(';').next().unwrap_or_default().trim().to_owned();
    let expires = param(value, "expires").and_then(|e| e.parse().ok());
    (state, expires, param(value, "reason").map(str::to_owned))
}

/// The briefest subscription that the server grants.
fn briefest(client: &Client, aor: &str) -> u32 {
    let refused = client.request(client.subscription(aor).set("Expires", 1)).expect_status(423);
    refused.expect_header("Min-Expires").parse().expect("a number")
}

#[test]
fn s4_1_2_2_refresh_extends_and_is_answered_by_full_state() {
    let (_node, alice, bob) = pair();
    alice.publish(&pidf::open(&alice.aor(), "here"));
    let mut watch = bob.subscribe(&alice.aor());
    let first = watch.notify(&bob);
    let answer = watch.refresh(&bob, 1800).expect_status(200);
    assert_eq!(answer.to_tag(), Some(watch.dialog.remote_tag()), "the dialog stays: {answer}");
    assert_eq!(answer.expect_header("Expires"), "1800");
    let second = watch.notify(&bob);
    assert!(second.cseq().0 > first.cseq().0, "{second}");
    assert!(second.text().contains("here"), "{second}");
    let left = state(&second).1.expect("expires");
    assert!((1..=1800).contains(&left), "{second}");
}

#[test]
fn s4_1_2_3_unsubscribing_ends_with_a_terminated_notify() {
    let (_node, alice, bob) = pair();
    alice.publish(&pidf::open(&alice.aor(), "here"));
    let mut watch = bob.subscribe(&alice.aor());
    watch.notify(&bob);
    let answer = watch.refresh(&bob, 0).expect_status(200);
    assert_eq!(answer.expect_header("Expires"), "0", "{answer}");
    let last = watch.notify(&bob);
    assert_eq!(state(&last).0, "terminated", "{last}");
    watch.refresh(&bob, 600).expect_status(481);
    alice.publish(&pidf::open(&alice.aor(), "later"));
    bob.barrier();
    assert!(bob.take(|m| watch.is_notify(m)).is_none(), "a NOTIFY after the end");
}

#[test]
fn s4_2_1_1_unknown_package_is_489_with_allow_events() {
    let (_node, alice, bob) = pair();
    let request = bob.subscription(&alice.aor());
    let unknown = bob.request(request.clone().set("Event", "weather")).expect_status(489);
    assert!(unknown.expect_header("Allow-Events").contains("presence"), "{unknown}");
    // §8.2.1: an absent Event is an unknown package as well.
    let absent = bob.request(request.without("Event")).expect_one_of(&[400, 489]);
    assert!(absent.status() != Some(489) || absent.header("Allow-Events").is_some(), "{absent}");
}

#[test]
fn s4_2_1_1_package_names_are_compared_with_case_and_without_templates() {
    let (_node, alice, bob) = pair();
    // §8.4: event-type tokens; a template makes another package.
    let request = bob.subscription(&alice.aor()).set("Event", "presence.unheardof");
    bob.request(request).expect_status(489);
}

#[test]
fn s4_2_1_1_too_brief_is_423_with_min_expires() {
    let (_node, alice, bob) = pair();
    let least = briefest(&bob, &alice.aor());
    assert!(least > 1);
    let granted = bob.request(bob.subscription(&alice.aor()).set("Expires", least));
    assert_eq!(granted.expect_status(200).expect_header("Expires"), least.to_string());
}

#[test]
fn s4_2_1_1_longer_than_allowed_is_shortened() {
    let (_node, alice, bob) = pair();
    let request = bob.subscription(&alice.aor()).set("Expires", u32::MAX);
    let answer = bob.request(request).expect_status(200);
    let expires: u32 = answer.expect_header("Expires").parse().expect("a number");
    assert!((60..u32::MAX).contains(&expires), "{answer}");
}

#[test]
fn s4_2_1_1_without_expires_the_package_default_holds() {
    let (_node, alice, bob) = pair();
    let answer = bob.request(bob.subscription(&alice.aor()).without("Expires")).expect_status(200);
    // RFC 3856 §6.4.
    assert_eq!(answer.expect_header("Expires"), "3600", "{answer}");
}

#[test]
fn s4_2_1_2_answer_makes_a_dialog_and_states_its_life() {
    let (_node, alice, bob) = pair();
    let answer = bob.subscribe(&alice.aor()).answer;
    assert!(answer.to_tag().is_some_and(|t| !t.is_empty()), "{answer}");
    assert!(answer.header("Contact").is_some(), "{answer}");
    assert_eq!(answer.expect_header("Expires"), "3600", "{answer}");
}

#[test]
fn s4_2_1_3_subscribing_without_credentials_is_challenged() {
    let (_node, alice, bob) = pair();
    let refused = bob.transact(bob.subscription(&alice.aor())).expect_status(401);
    assert!(refused.header("WWW-Authenticate").is_some(), "{refused}");
}

#[test]
fn s4_2_1_4_refresh_with_an_older_cseq_is_refused_and_harmless() {
    let (_node, alice, bob) = pair();
    let mut watch = bob.subscribe(&alice.aor());
    watch.notify(&bob);
    watch.dialog.cseq = 0;
    // RFC 3261 §12.2.2: a lower number is out of order: 500.
    let stale = watch.next(0).set("CSeq", "0 SUBSCRIBE");
    let first = bob.send(stale);
    let challenged = bob.final_answer(&first);
    if challenged.status() == Some(401) {
        let again = bob.with_credentials(&first.request, &challenged, None);
        let again = again.set("CSeq", "0 SUBSCRIBE");
        bob.transact(again).expect_status(500);
    } else {
        challenged.expect_status(500);
    }
    alice.publish(&pidf::open(&alice.aor(), "still watched"));
    watch.notify_with(&bob, "as before", |m| m.text().contains("still watched"));
}

#[test]
fn s4_2_1_4_refresh_of_an_unknown_dialog_is_481() {
    let (_node, alice, bob) = pair();
    let request =
        bob.subscription(&alice.aor()).header("To", format!("<{}>;tag=never-given", alice.aor()));
    bob.request(request).expect_status(481);
}

#[test]
fn s4_2_2_first_notify_follows_at_once_even_without_state() {
    let (_node, alice, bob) = pair();
    let watch = bob.subscribe(&alice.aor());
    let notify = watch.notify(&bob);
    let (state, expires, _) = state(&notify);
    assert_eq!(state, "active", "{notify}");
    assert!((1..=3600).contains(&expires.expect("expires")), "{notify}");
    assert_eq!(notify.expect_header("Event").split(';').next(), Some("presence"), "{notify}");
    if !notify.body.is_empty() {
        assert!(!Presence::of(&notify).is_open(), "nobody signed in: {notify}");
    }
}

#[test]
fn s4_2_2_notify_comes_within_the_dialog_to_the_contact() {
    let (_node, alice, bob) = pair();
    let watch = bob.subscribe(&alice.aor());
    let notify = watch.notify(&bob);
    assert_eq!(notify.request_uri(), bob.contact(), "{notify}");
    assert!(notify.header("Max-Forwards").is_some(), "{notify}");
    assert!(notify.branch().is_some_and(|b| b.starts_with("z9hG4bK")), "{notify}");
    assert!(notify.header("Contact").is_some(), "a target refresh request: {notify}");
}

#[test]
fn s4_2_2_notify_numbers_rise_by_one() {
    let (_node, alice, bob) = pair();
    let watch = bob.subscribe(&alice.aor());
    let mut last = watch.notify(&bob).cseq().0;
    for i in 0..5 {
        let note = format!("change {i}");
        alice.publish_again(&pidf::open(&alice.aor(), &note));
        let next = watch.notify_with(&bob, &note, |m| m.text().contains(&note)).cseq().0;
        assert_eq!(next, last + 1);
        last = next;
    }
}

#[test]
fn s4_2_2_notify_answered_481_ends_the_subscription() {
    ends_the_subscription(481);
}

#[test]
fn s4_2_2_notify_answered_404_ends_the_subscription() {
    // RFC 5057 §5.1: 404, 410, 416, 480-485, 489, 501 and 604 end the usage.
    ends_the_subscription(404);
}

fn ends_the_subscription(status: u16) {
    let (_node, alice, bob) = pair();
    let mut watch = bob.subscribe(&alice.aor());
    watch.notify(&bob);
    bob.answer_with(move |_| Reply::Status(status));
    alice.publish_again(&pidf::open(&alice.aor(), "last one"));
    watch.notify_with(&bob, "that is refused", |m| m.text().contains("last one"));
    bob.barrier();
    watch.refresh(&bob, 600).expect_status(481);
    alice.publish_again(&pidf::open(&alice.aor(), "unseen"));
    bob.barrier();
    assert_eq!(bob.count(|m| m.text().contains("unseen")), 0);
}

#[test]
fn s4_2_2_notify_answered_by_nobody_is_repeated_and_ends_the_subscription() {
    let (node, alice, bob) = pair();
    let mut watch = bob.subscribe(&alice.aor());
    watch.notify(&bob);
    bob.answer_with(|_| Reply::Nothing);
    alice.publish(&pidf::open(&alice.aor(), "anybody?"));
    // RFC 3261 §17.1.2.2: E after 0.5, 1, 2, 4, 4 … s until F at 32 s, eleven sendings.
    let unanswered = |m: &Message| m.text().contains("anybody?");
    bob.expect_count("retransmissions of the NOTIFY", 11, unanswered);
    // The timeout is the server's own event, and the administrator's view shows it.
    eventually("the subscription to end", || {
        let told = node.appliance(&["--json", "show", "subscriptions"]).json();
        (member(&told, "total").and_then(|t| t.as_u64()) == Some(0)).then_some(())
    });
    bob.answer_as_usual();
    watch.refresh(&bob, 600).expect_status(481);
}

#[test]
fn s4_2_2_notify_answered_500_with_retry_after_keeps_the_subscription() {
    let (_node, alice, bob) = pair();
    let watch = bob.subscribe(&alice.aor());
    watch.notify(&bob);
    bob.answer_with(|_| Reply::Nothing);
    alice.publish_again(&pidf::open(&alice.aor(), "not now"));
    let notify = watch.notify_with(&bob, "refused for now", |m| m.text().contains("not now"));
    bob.respond_with(&notify, 500, &[("Retry-After", "1")], b"");
    bob.answer_as_usual();
    alice.publish_again(&pidf::open(&alice.aor(), "now then"));
    watch.notify_with(&bob, "after Retry-After", |m| m.text().contains("now then"));
}

#[test]
fn s4_2_2_expired_subscription_is_terminated_for_timeout() {
    let (_node, alice, bob) = pair();
    let least = briefest(&bob, &alice.aor());
    let watch = bob.subscribe_with(bob.subscription(&alice.aor()).set("Expires", least));
    let last =
        watch.notify_after(&bob, u64::from(least), "that ends it", |m| state(m).0 == "terminated");
    assert_eq!(state(&last).2.as_deref(), Some("timeout"), "{last}");
    alice.publish(&pidf::open(&alice.aor(), "unseen"));
    bob.barrier();
    assert_eq!(bob.count(|m| m.text().contains("unseen")), 0);
}

#[test]
fn s4_4_1_forks_of_one_subscribe_make_separate_dialogs() {
    let (_node, alice, bob) = pair();
    let one = bob.subscribe(&alice.aor());
    let two = bob.subscribe(&alice.aor());
    one.notify(&bob);
    two.notify(&bob);
    assert_ne!(one.dialog.remote_tag(), two.dialog.remote_tag());
    alice.publish(&pidf::open(&alice.aor(), "to both"));
    one.notify_with(&bob, "on the first", |m| m.text().contains("to both"));
    two.notify_with(&bob, "on the second", |m| m.text().contains("to both"));
}

#[test]
fn s4_4_1_one_device_of_a_watcher_ending_leaves_the_other() {
    let (node, alice, bob) = pair();
    let other = node.client_over(Via::Tcp, "bob");
    let mut one = bob.subscribe(&alice.aor());
    let two = other.subscribe(&alice.aor());
    one.notify(&bob);
    two.notify(&other);
    one.refresh(&bob, 0).expect_status(200);
    alice.publish(&pidf::open(&alice.aor(), "to one"));
    two.notify_with(&other, "on the other device", |m| m.text().contains("to one"));
}

#[test]
fn s4_4_3_polling_by_expires_zero_gives_one_notify() {
    let (_node, alice, bob) = pair();
    alice.publish(&pidf::open(&alice.aor(), "peek"));
    let watch = bob.subscribe_with(bob.subscription(&alice.aor()).set("Expires", 0));
    assert_eq!(watch.answer.expect_header("Expires"), "0");
    let notify = watch.notify(&bob);
    assert_eq!(state(&notify).0, "terminated", "{notify}");
    assert!(notify.text().contains("peek"), "{notify}");
    alice.publish(&pidf::open(&alice.aor(), "unseen"));
    bob.barrier();
    assert_eq!(bob.count(|m| m.text().contains("unseen")), 0);
}

#[test]
fn s8_2_1_event_id_is_returned_and_tells_subscriptions_apart() {
    let (_node, alice, bob) = pair();
    let request = bob.subscription(&alice.aor()).set("Event", "presence;id=7");
    let watch = bob.subscribe_with(request);
    let notify = watch.notify(&bob);
    assert_eq!(param(notify.expect_header("Event"), "id"), Some("7"), "{notify}");
    // The id belongs to the identity of the subscription: another id is another subscription.
    let mut other = watch;
    other.event = "presence;id=8".to_owned();
    other.refresh(&bob, 600).expect_one_of(&[200, 403, 481]);
}

#[test]
fn s7_2_subscribe_without_a_contact_is_a_bad_request() {
    let (_node, alice, bob) = pair();
    let request: Request = bob.subscription(&alice.aor()).without("Contact");
    bob.request(request).expect_status(400);
}

#[test]
fn s3_1_2_refused_accept_is_406() {
    let (_node, alice, bob) = pair();
    let request = bob.subscription(&alice.aor()).set("Accept", "text/plain");
    bob.request(request.clone()).expect_status(406);
    let wide = bob.request(request.clone().set("Accept", "text/plain, application/*;q=0.5"));
    wide.expect_status(200);
    // An absent Accept means the package's default, RFC 3856 §6.5.
    bob.request(request.without("Accept")).expect_status(200);
}

#[test]
fn s4_2_1_1_subscribe_with_route_set_and_record_route_keeps_the_route() {
    let (_node, alice, bob) = pair();
    let path = format!("<sip:{};lr>", bob.local);
    let request = bob.subscription(&alice.aor()).header("Record-Route", &path);
    let watch = bob.subscribe_with(request);
    let routes = watch.answer.all("Record-Route");
    assert!(routes.iter().any(|r| r == &path), "returned in the answer: {}", watch.answer);
    let notify = watch.notify(&bob);
    assert!(notify.all("Route").iter().any(|r| r == &path), "{notify}");
}

#[test]
fn s4_1_3_out_of_dialog_notify_is_refused() {
    let (_node, alice, bob) = pair();
    let notify = Request::new("NOTIFY", &alice.aor())
        .header("Event", "presence")
        .header("Subscription-State", "active;expires=600");
    // 480: passed on like any request to a user, who has no device.
    bob.request(notify).expect_one_of(&[405, 480, 481, 489]);
}
