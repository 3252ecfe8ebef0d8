//! Headers by name, and answers made of requests.

use super::*;

fn headers() -> Headers {
    let mut headers = Headers::default();
    for (name, value) in [("v", "first"), ("Subject", "s"), ("VIA", "second"), ("X-Own", "x")] {
        headers.append(name, value);
    }
    headers
}

#[test]
fn names_match_in_any_case_and_keep_their_order() {
    let headers = headers();
    assert_eq!(headers.value("via"), Some("first"));
    assert_eq!(headers.values("Via").collect::<Vec<_>>(), ["first", "second"]);
    assert_eq!(headers.value("x-OWN"), Some("x"));
    assert!(!headers.has("To"));
    assert_eq!(
        headers.pairs().collect::<Vec<_>>(),
        [("Via", "first"), ("Subject", "s"), ("Via", "second"), ("X-Own", "x")]
    );
}

#[test]
fn headers_change_in_place() {
    let mut headers = headers();
    headers.prepend("Via", "top");
    headers.set("subject", "changed");
    headers.set("Expires", "5");
    assert_eq!(headers.remove_first("Via").as_deref(), Some("top"));
    assert_eq!(headers.remove_first("To"), None);
    headers.set("Via", "only");
    headers.remove_all("x-own");
    assert_eq!(
        headers.pairs().collect::<Vec<_>>(),
        [("Via", "only"), ("Subject", "changed"), ("Expires", "5")]
    );
}

#[test]
fn every_name_finds_its_kind() {
    for name in [
        "Accept",
        "Accept-Encoding",
        "Accept-Language",
        "Alert-Info",
        "Allow",
        "Authentication-Info",
        "Authorization",
        "CSeq",
        "Call-ID",
        "Call-Info",
        "Contact",
        "Content-Disposition",
        "Content-Encoding",
        "Content-Language",
        "Content-Length",
        "Content-Type",
        "Date",
        "Error-Info",
        "Event",
        "Expires",
        "From",
        "In-Reply-To",
        "Max-Forwards",
        "MIME-Version",
        "Min-Expires",
        "Organization",
        "Priority",
        "Proxy-Authenticate",
        "Proxy-Authorization",
        "Proxy-Require",
        "Record-Route",
        "Reply-To",
        "Require",
        "Retry-After",
        "Route",
        "Server",
        "Subject",
        "Subscription-State",
        "Supported",
        "Timestamp",
        "To",
        "Unsupported",
        "User-Agent",
        "Via",
        "Warning",
        "WWW-Authenticate",
    ] {
        let header = header(&name.to_ascii_uppercase(), "v".to_owned());
        assert!(!matches!(header, Header::Other(..)), "{name}");
        assert_eq!((header_name(&header), header_value(&header)), (name, "v"));
    }
}

#[test]
fn compact_names_expand() {
    for (compact, full) in [
        ("a", "Accept-Contact"),
        ("b", "Referred-By"),
        ("c", "Content-Type"),
        ("d", "Request-Disposition"),
        ("e", "Content-Encoding"),
        ("f", "From"),
        ("i", "Call-ID"),
        ("j", "Reject-Contact"),
        ("k", "Supported"),
        ("l", "Content-Length"),
        ("m", "Contact"),
        ("n", "Identity-Info"),
        ("o", "Event"),
        ("r", "Refer-To"),
        ("s", "Subject"),
        ("t", "To"),
        ("u", "Allow-Events"),
        ("v", "Via"),
        ("x", "Session-Expires"),
        ("y", "Identity"),
    ] {
        assert_eq!(header_name(&header(compact, String::new())), full);
        assert_eq!(header_name(&header(&compact.to_uppercase(), String::new())), full);
    }
    assert_eq!(header_name(&header("q", String::new())), "q");
}

#[test]
fn reasons_other_than_the_registered_ones_are_kept() {
    assert_eq!(status_code(200, None), StatusCode::OK);
    assert_eq!(status_code(200, Some("OK")), StatusCode::OK);
    let own = status_code(400, Some("Missing To"));
    assert_eq!((own.code(), reason_of(&own)), (400, "Missing To"));
    assert_eq!(reason_of(&status_code(202, None)), "Accepted");
    assert_eq!(reason_of(&status_code(299, None)), "Success");
    assert_eq!(reason_of(&StatusCode::ServerTimeOut), "Server Time-out");
}

#[test]
fn answers_copy_what_rfc_3261_says() {
    let mut request = Request {
        method: Method::Subscribe,
        uri: crate::uri::parse("sip:b@c.test").unwrap(),
        version: Version::V2,
        headers: Headers::default(),
        body: Vec::new(),
    };
    for (name, value) in [
        ("Via", "SIP/2.0/UDP a.test;branch=z9hG4bK1"),
        ("Via", "SIP/2.0/UDP b.test"),
        ("Record-Route", "<sip:p.test;lr>"),
        ("From", "<sip:a@b.test>;tag=f"),
        ("To", "sip:b@c.test"),
        ("Call-ID", "x"),
        ("CSeq", "1 SUBSCRIBE"),
        ("Timestamp", "5"),
        ("Subject", "no"),
    ] {
        request.headers.append(name, value);
    }
    let answer = response_to(&request, 202, None, Some("t"));
    assert_eq!(
        answer.headers.pairs().collect::<Vec<_>>(),
        [
            ("Via", "SIP/2.0/UDP a.test;branch=z9hG4bK1"),
            ("Via", "SIP/2.0/UDP b.test"),
            ("From", "<sip:a@b.test>;tag=f"),
            ("To", "sip:b@c.test;tag=t"),
            ("Call-ID", "x"),
            ("CSeq", "1 SUBSCRIBE"),
        ]
    );
    request.headers.set("To", "<sip:b@c.test>;tag=own");
    assert_eq!(
        response_to(&request, 200, None, Some("t")).headers.value("To"),
        Some("<sip:b@c.test>;tag=own")
    );
    assert!(response_to(&request, 100, None, None).headers.has("Timestamp"));
}

#[test]
fn method_names_are_case_sensitive() {
    for known in Method::all() {
        assert_eq!(method_named(method(known)), Some(known));
    }
    assert_eq!(method_named("publish"), None);
}
