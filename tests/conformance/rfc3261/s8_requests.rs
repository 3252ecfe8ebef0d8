//! §7 and §8: the form of messages, and what every user agent server does with a request.

use lamplight_tests::node::{Node, Setup};
use lamplight_tests::pidf;
use lamplight_tests::wire::message::param;
use lamplight_tests::wire::{Client, Message, Request};

fn trusted() -> (Node, Client) {
    let node = Setup::default().trusting().start();
    let [alice] = node.clients(["alice"]);
    (node, alice)
}

fn options(client: &Client) -> Request {
    Request::new("OPTIONS", &format!("sip:{}", client.domain))
}

/// Sends octets with `BRANCH` filled in and waits for the answer with that branch.
fn exchange(client: &Client, lines: &[&str]) -> Message {
    let branch = lamplight_tests::wire::client::unique("z9hG4bK");
    let text = lines.join("\r\n").replace("BRANCH", &branch);
    let text = text.replace("LOCAL", &client.local.to_string());
    client.write(text.as_bytes());
    let fits = |m: &Message| {
        m.status().is_some_and(|s| s >= 200) && m.branch().as_deref() == Some(&branch)
    };
    client.expect("an answer", fits)
}

#[test]
fn s7_3_1_folded_headers_and_blanks_before_the_colon_are_read() {
    let (_node, alice) = trusted();
    let answer = exchange(
        &alice,
        &[
            "OPTIONS sip:example.test SIP/2.0",
            "Via  :  SIP/2.0/UDP",
            "    LOCAL;rport",
            "\t;branch=BRANCH",
            "MAX-FORWARDS:   70",
            "from: \"A, <Quoted> \\\" Name\"",
            "   <sip:alice@example.test>",
            "  ;tag=folded",
            "TO\t:<sip:example.test>",
            "call-id: folded@test",
            "CSeq: 00007",
            "   OPTIONS",
            "Content-Length: 0",
            "",
            "",
        ],
    );
    let answer = answer.expect_status(200);
    assert_eq!(answer.from_tag(), Some("folded"), "{answer}");
    assert_eq!(answer.cseq(), (7, "OPTIONS".to_owned()));
}

#[test]
fn s7_3_3_compact_header_names_are_read() {
    let (_node, alice) = trusted();
    let body = pidf::open("sip:alice@example.test", "compact");
    let length = format!("l: {}", body.len());
    let answer = exchange(
        &alice,
        &[
            "PUBLISH sip:alice@example.test SIP/2.0",
            "v: SIP/2.0/UDP LOCAL;rport;branch=BRANCH",
            "Max-Forwards: 70",
            "f: <sip:alice@example.test>;tag=compact",
            "t: <sip:alice@example.test>",
            "i: compact@test",
            "CSeq: 1 PUBLISH",
            "o: presence",
            "c: application/pidf+xml",
            &length,
            "",
            &body,
        ],
    );
    answer.expect_status(200).expect_header("SIP-ETag");
}

#[test]
fn s7_1_another_version_is_505() {
    let (_node, alice) = trusted();
    let answer = exchange(
        &alice,
        &[
            "OPTIONS sip:example.test SIP/7.0",
            "Via: SIP/2.0/UDP LOCAL;rport;branch=BRANCH",
            "Max-Forwards: 70",
            "From: <sip:alice@example.test>;tag=v7",
            "To: <sip:example.test>",
            "Call-ID: version@test",
            "CSeq: 1 OPTIONS",
            "Content-Length: 0",
            "",
            "",
        ],
    );
    answer.expect_status(505);
}

#[test]
fn s8_1_1_a_missing_mandatory_header_is_a_bad_request() {
    let (_node, alice) = trusted();
    for name in ["From", "To", "Call-ID", "CSeq"] {
        let sent = alice.send(options(&alice).without(name));
        let branch = sent.branch.clone();
        let answer = alice.expect(&format!("400 for a missing {name}"), |m| {
            m.status().is_some() && m.branch().as_deref() == Some(&branch)
        });
        answer.expect_status(400);
    }
}

#[test]
fn s8_1_1_5_cseq_must_name_the_method() {
    let (_node, alice) = trusted();
    let sent = alice.send(options(&alice).header("CSeq", "1 INVITE"));
    let answer = alice.expect("400 for the CSeq", |m| m.branch() == Some(sent.branch.clone()));
    answer.expect_status(400);
}

#[test]
fn s8_1_1_5_cseq_beyond_31_bits_is_a_bad_request() {
    let (_node, alice) = trusted();
    let sent = alice.send(options(&alice).header("CSeq", "36893488147419103232 OPTIONS"));
    let answer = alice.expect("400 for the CSeq", |m| m.branch() == Some(sent.branch.clone()));
    answer.expect_status(400);
}

#[test]
fn s8_2_1_a_method_not_known_is_refused_with_allow() {
    let (_node, alice) = trusted();
    let request = Request::new("DANCE", &format!("sip:{}", alice.domain));
    let answer = alice.transact(request).expect_one_of(&[405, 501]);
    if answer.status() == Some(405) {
        assert!(answer.all("Allow").iter().any(|m| m == "REGISTER"), "{answer}");
    }
}

#[test]
fn s8_2_1_a_method_not_for_us_is_405_with_allow() {
    let (_node, alice) = trusted();
    let request = Request::new("INFO", &format!("sip:{}", alice.domain));
    let answer = alice.transact(request).expect_one_of(&[405, 481]);
    if answer.status() == Some(405) {
        let allow = answer.all("Allow");
        for method in ["OPTIONS", "REGISTER", "PUBLISH", "SUBSCRIBE"] {
            assert!(allow.iter().any(|m| m == method), "{method} is allowed: {answer}");
        }
    }
}

#[test]
fn s8_2_1_methods_are_compared_with_case() {
    let (_node, alice) = trusted();
    let document = pidf::open(&alice.aor(), "x");
    let request = Request::new("publish", &alice.aor()).header("Event", "presence");
    let request = request.body("application/pidf+xml", document);
    let answer = alice.transact(request);
    assert_ne!(answer.status(), Some(200), "{answer}");
}

#[test]
fn s8_2_2_1_an_unknown_uri_scheme_is_416() {
    let (_node, alice) = trusted();
    let request = Request::new("OPTIONS", "nobodyknowsthisscheme:totallyopaquecontent");
    let request = request.header("To", format!("<sip:{}>", alice.domain));
    alice.transact(request).expect_status(416);
}

#[test]
fn s8_2_2_2_a_merged_request_is_482() {
    let (_node, alice) = trusted();
    let document = pidf::open(&alice.aor(), "once");
    let request = alice.publication().body("application/pidf+xml", document);
    let request = alice.complete(request).without("Via");
    let fresh = |request: &Request| Request { left_out: Vec::new(), ..request.clone() };
    alice.transact(fresh(&request)).expect_status(200);
    // Same From tag, Call-ID and CSeq by another branch: another path of one request.
    alice.transact(fresh(&request)).expect_status(482);
}

#[test]
fn s8_2_2_3_an_unknown_extension_required_is_420_with_unsupported() {
    let (_node, alice) = trusted();
    for method in ["OPTIONS", "REGISTER", "PUBLISH", "SUBSCRIBE"] {
        let ours = matches!(method, "REGISTER" | "OPTIONS");
        let uri = if ours { format!("sip:{}", alice.domain) } else { alice.aor() };
        let request = Request::new(method, &uri)
            .header("Require", "no-such-extension, nor-this")
            .header("Event", "presence");
        let answer = alice.transact(request).expect_status(420);
        let unsupported = answer.all("Unsupported");
        assert!(unsupported.contains(&"no-such-extension".to_owned()), "{answer}");
        assert!(unsupported.contains(&"nor-this".to_owned()), "{answer}");
    }
}

#[test]
fn s8_2_3_an_unknown_content_encoding_is_415_with_accept_encoding() {
    let (_node, alice) = trusted();
    let document = pidf::open(&alice.aor(), "x");
    let request = alice.publication().body("application/pidf+xml", document);
    let answer = alice.transact(request.header("Content-Encoding", "no-such-coding"));
    let answer = answer.expect_status(415);
    assert!(answer.header("Accept-Encoding").is_some(), "{answer}");
}

#[test]
fn s8_2_6_2_an_answer_repeats_the_request_s_headers_and_adds_a_tag() {
    let (_node, alice) = trusted();
    let lower = "SIP/2.0/UDP 192.0.2.7:5070;branch=z9hG4bKlower;x=\"y,z\"";
    let request = alice.complete(options(&alice)).header("Via", lower);
    let sent = alice.send(request);
    let answer = alice.final_answer(&sent).expect_status(200);
    let vias = answer.all("Via");
    assert_eq!(vias.len(), 2, "{answer}");
    assert_eq!(vias[1], lower, "Vias below the top are untouched");
    for name in ["From", "Call-ID", "CSeq"] {
        assert_eq!(answer.header(name), sent.request.value(name), "{answer}");
    }
    let to = sent.request.value("To").unwrap_or_default();
    assert!(answer.expect_header("To").starts_with(to), "{answer}");
    assert!(answer.to_tag().is_some_and(|t| !t.is_empty()), "{answer}");
}

#[test]
fn s8_2_6_2_a_tag_in_to_is_kept() {
    let (_node, alice) = trusted();
    let request = options(&alice).header("To", "<sip:example.test>;tag=given;x=1");
    let answer = alice.transact(request);
    assert_eq!(answer.to_tag(), Some("given"), "{answer}");
}

#[test]
fn s8_2_7_an_ack_is_never_answered() {
    let (_node, alice) = trusted();
    let ack = alice.send(Request::new("ACK", &format!("sip:{}", alice.domain)));
    alice.barrier();
    assert!(alice.take(|m| m.branch() == Some(ack.branch.clone())).is_none());
}

#[test]
fn s12_2_2_a_request_of_an_unknown_dialog_is_481() {
    let (_node, alice) = trusted();
    let request = Request::new("BYE", &format!("sip:{}", alice.domain))
        .header("To", format!("<sip:{}>;tag=unknown", alice.domain));
    alice.transact(request).expect_one_of(&[405, 481]);
}

#[test]
fn s9_2_a_cancel_of_nothing_is_481() {
    let (_node, alice) = trusted();
    let cancel = alice.send(Request::new("CANCEL", &alice.aor()));
    alice.final_answer(&cancel).expect_status(481);
}

#[test]
fn s20_14_a_negative_or_senseless_content_length_is_a_bad_request() {
    let (_node, alice) = trusted();
    for length in ["-999", "12x"] {
        let sent = alice.send(options(&alice).header("Content-Length", length));
        let answer = alice.expect("an answer", |m| m.branch() == Some(sent.branch.clone()));
        answer.expect_status(400);
    }
}

#[test]
fn s25_1_unusual_but_valid_texts_survive() {
    let (_node, alice) = trusted();
    // RFC 4475 §3.1.1.1: odd Call-ID, long and quoted values, unknown headers and parameters.
    let request = options(&alice)
        .header("Call-ID", "a84b4c76e66710@pc33.(){}<>\\\"/[]?~%!`*-_+'.x")
        .header("X-Unknown", "\u{e4}\u{f6}\u{fc} \u{65e5}\u{672c}; a=\"b\\\"c\"")
        .header("Subject", "");
    let answer = alice.transact(request).expect_status(200);
    assert!(answer.expect_header("Call-ID").ends_with("'.x"), "{answer}");
    assert!(param(answer.expect_header("From"), "tag").is_some());
}
