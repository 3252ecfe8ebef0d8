//! §11: asking for capabilities.

use lamplight_tests::node::Node;
use lamplight_tests::wire::Request;

#[test]
fn s11_2_the_server_tells_what_it_can() {
    let node = Node::start_new();
    let [alice] = node.clients(["alice"]);
    let request = Request::new("OPTIONS", &format!("sip:{}", alice.domain));
    let answer = alice.request(request).expect_status(200);
    let allow = answer.all("Allow");
    let expected = [
        "REGISTER",
        "PUBLISH",
        "SUBSCRIBE",
        "MESSAGE",
        "OPTIONS",
        "INVITE",
        "ACK",
        "CANCEL",
        "BYE",
    ];
    for method in expected {
        assert!(allow.iter().any(|m| m == method), "{method} in Allow: {answer}");
    }
    assert!(answer.expect_header("Accept").contains("application/pidf+xml"), "{answer}");
    assert!(answer.header("Supported").is_some(), "{answer}");
}

#[test]
fn s11_1_options_to_a_user_reaches_the_device() {
    let node = Node::start_new();
    let [alice, bob] = node.clients(["alice", "bob"]);
    bob.register();
    let answer = alice.request(Request::new("OPTIONS", &bob.aor())).expect_status(200);
    assert_eq!(bob.expect_request("OPTIONS").request_uri(), bob.contact());
    assert_eq!(answer.to_tag(), Some(bob.tag.as_str()), "answered by the device: {answer}");
}
