//! URIs read, written and compared (RFC 3261 §19.1).

use super::*;

fn round_trip(text: &str) {
    assert_eq!(to_string(&parse(text).unwrap()), text);
}

#[test]
fn what_is_read_is_written_back() {
    for text in [
        "sip:john.doe@example.test",
        "sip:alice;day=tuesday@atlanta.test",
        "sip:user;par=u%40example.net@example.test",
        "sip:a:pass.word@b.test:5070;transport=tcp;lr;method=INVITE;maddr=239.255.255.1;ttl=15",
        "sip:+1-201-555-0123:x@gateway.test;user=phone",
        "sip:[2001:db8::10]:5070",
        "sips:1212@[2001:db8::10];transport=TLS;unknown=x%20y",
        "sip:a@b.test?Subject=hi&Route=%3Csip:c.test%3E",
        "sip:192.0.2.1",
        "sip:a&b=c+d$e,f;g?h/i@b.test",
        "sip:null-%00-null@example.test",
        "tel:+1-201-555-0123;phone-context=example.test",
        "pres:bob@example.test",
        "im:bob@example.test",
        "isbn:2983792873",
        "soap.beep://192.0.2.103:3002",
        "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
        "sip:*72#@b.test",
        "sip:host_name.test;lr=on",
    ] {
        round_trip(text);
    }
}

#[test]
fn parts_are_where_they_belong() {
    let uri = parse("SIP:john.doe;a=b:pw@Example.test:5070;Transport=TCP;lr?x=y").unwrap();
    assert_eq!(uri.scheme, Some(Scheme::Sip));
    assert_eq!(uri.user(), Some("john.doe;a=b"));
    assert_eq!(uri.auth.as_ref().and_then(|a| a.password.as_deref()), Some("pw"));
    assert_eq!(host_port(&uri), ("Example.test".into(), Some(5070)));
    assert_eq!(transport(&uri), Some(Ok(Transport::Tcp)));
    assert_eq!(param(&uri, "LR"), Some(None));
    assert_eq!(param(&uri, "maddr"), None);
    assert_eq!(headers(&uri).as_deref(), Some("x=y"));
    assert!(matches!(transport(&parse("sip:a;transport=smoke").unwrap()), Some(Err(_))));
    assert_eq!(transport(&parse("sip:a").unwrap()), None);
    let uri = parse("sip:a@[2001:DB8::1]:5060").unwrap();
    assert_eq!(uri.host_with_port.host, Host::Domain("[2001:DB8::1]".into()));
    assert_eq!(parse("sip:192.0.2.1").unwrap().host_with_port.host.to_string(), "192.0.2.1");
    assert_eq!(parse("tel:+1(2)").map(|u| host(&u).into_owned()), Ok("+1(2)".to_owned()));
}

#[test]
fn malformed_uris_are_refused_by_both_ways() {
    for (text, error) in [
        ("", UriError::Scheme),
        ("example.test", UriError::Scheme),
        ("<sip:a@b.test>", UriError::Scheme),
        ("1sip:a@b.test", UriError::Scheme),
        ("sip:", UriError::Host),
        ("sip:@b.test", UriError::User),
        ("sip:a@", UriError::Host),
        ("sip:a b@c.test", UriError::User),
        ("sip:a%4@c.test", UriError::User),
        ("sip:%%20@c.test", UriError::User),
        ("sip:a@b@c.test", UriError::Host),
        ("sip:a@ b.test", UriError::Host),
        ("sip:a@b.test ", UriError::Host),
        ("sip:a@b.test; lr", UriError::Param),
        ("sip:a@b.test;", UriError::Param),
        ("sip:a@b.test;;lr", UriError::Param),
        ("sip:a@b.test;=x", UriError::Param),
        ("sip:a@b.test:", UriError::Port),
        ("sip:a@b.test:65536", UriError::Port),
        ("sip:a@b.test:5o60", UriError::Port),
        ("sip:a@b.test:-1", UriError::Port),
        ("sip:a@[::g]", UriError::Host),
        ("sip:a@[::1", UriError::Host),
        ("sip:a@[::1]x", UriError::Host),
        ("sip:a@2001:db8::1", UriError::Port),
        ("sip:a@b!c", UriError::Host),
        ("sip:a@b.test?x y", UriError::Character),
        ("tel:", UriError::User),
        ("tel:+1 2", UriError::User),
        ("http:", UriError::Character),
    ] {
        assert_eq!(parse(text), Err(error), "{text}");
        assert_eq!(check(text), Err(error), "{text}");
    }
}

fn same(a: &str, b: &str) -> bool {
    let (a, b) = (parse(a).unwrap(), parse(b).unwrap());
    assert_eq!(equivalent(&a, &b), equivalent(&b, &a));
    equivalent(&a, &b)
}

#[test]
fn s19_1_4_equivalent_uris() {
    assert!(same("sip:%61lice@atlanta.test;transport=TCP", "sip:alice@AtLanTa.test;Transport=tcp"));
    assert!(same("sip:carol@chicago.test", "sip:carol@chicago.test;newparam=5"));
    assert!(same("sip:carol@chicago.test", "sip:carol@chicago.test;security=on"));
    assert!(same(
        "sip:biloxi.test;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.test",
        "sip:biloxi.test;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.test"
    ));
    assert!(same(
        "sip:alice@atlanta.test?subject=project%20x&priority=urgent",
        "sip:alice@atlanta.test?priority=urgent&subject=project%20x"
    ));
    assert!(same("tel:+1-201-555-0123", "tel:+12015550123"));
}

#[test]
fn s19_1_4_different_uris() {
    for (a, b) in [
        ("sip:ALICE@AtLanTa.test;Transport=udp", "sip:alice@AtLanTa.test;Transport=UDP"),
        ("sip:bob@biloxi.test", "sip:bob@biloxi.test:5060"),
        ("sip:bob@biloxi.test", "sip:bob@biloxi.test;transport=udp"),
        ("sip:bob@biloxi.test", "sip:bob@biloxi.test:6000;transport=tcp"),
        ("sip:carol@chicago.test", "sip:carol@chicago.test?Subject=next%20meeting"),
        ("sip:bob@phone21.boxesbybob.test", "sip:bob@192.0.2.4"),
        ("sip:carol@chicago.test;security=on", "sip:carol@chicago.test;security=off"),
        ("sip:a@b.test;maddr=c.test", "sip:a@b.test"),
        ("sip:a@b.test;user=phone", "sip:a@b.test"),
        ("sip:a@b.test", "sips:a@b.test"),
        ("sip:a@b.test", "sip:a:pw@b.test"),
        ("sip:a%3Bb@c.test", "sip:a;b@c.test"),
    ] {
        assert!(!same(a, b), "{a} {b}");
    }
}
