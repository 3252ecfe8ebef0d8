//! What holds for every input: round trips, canonical forms, bounds.

use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use proptest::prelude::*;
use sip::aor::Aor;
use sip::clock::WallTime;
use sip::digest::{Credentials, NonceMint, NonceVerdict, challenge};
use sip::framing::StreamFramer;
use sip::header::contact::Contact;
use sip::header::name_addr::NameAddr;
use sip::header::params::Params;
use sip::header::via::Via;
use sip::locate::{Answer, Locator, NaptrRecord, Question, SrvRecord, Target};
use sip::message::{HeaderAccess, Headers, Message, Method, Request, Version, response_to};
use sip::parse::{Framing, Limits, message};
use sip::{scan, uri, write};

fn host() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-zA-Z0-9][a-zA-Z0-9-]{0,8}(\\.[a-zA-Z0-9]{1,6}){0,3}",
        any::<std::net::Ipv4Addr>().prop_map(|a| a.to_string()),
        any::<std::net::Ipv6Addr>().prop_map(|a| format!("[{a}]")),
    ]
}

const USER: &str = "([a-zA-Z0-9_.!~*'()&=+$,;?/-]|%[0-9A-Fa-f]{2}){1,20}";
const PARAM: &str = "[a-zA-Z0-9_.!~*'()-]{1,8}(=([a-zA-Z0-9_.!~*'()/:&+$-]|%[0-9A-F]{2}){0,12})?";

prop_compose! {
    fn sip_uri()(
        scheme in prop_oneof![Just("sip"), Just("sips"), Just("pres"), Just("im")],
        user in proptest::option::of((USER, proptest::option::of(USER))),
        host in host(),
        port in proptest::option::of(any::<u16>()),
        params in proptest::collection::vec(PARAM, 0..4),
        headers in proptest::option::of("[a-zA-Z]{1,6}=([a-z0-9]|%[0-9A-F]{2}){1,6}"),
    ) -> String {
        let mut text = format!("{scheme}:");
        if let Some((user, password)) = user {
            text.push_str(&user);
            if let Some(password) = password {
                text.push_str(&format!(":{password}"));
            }
            text.push('@');
        }
        text.push_str(&host);
        if let Some(port) = port {
            text.push_str(&format!(":{port}"));
        }
        for param in params {
            text.push_str(&format!(";{param}"));
        }
        if let Some(headers) = headers {
            text.push_str(&format!("?{headers}"));
        }
        text
    }
}

/// Texts that come near to what the parsers look for.
fn near_syntax() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("sip:".to_owned()),
        Just("SIP/2.0/UDP ".to_owned()),
        Just("Digest ".to_owned()),
        Just("username=".to_owned()),
        Just(";branch=".to_owned()),
        Just(";tag=".to_owned()),
        Just("[::1]".to_owned()),
        "[;:,<>@?=%&\"\\\\ \t*/.]",
        "[a-z0-9]{1,4}",
        any::<char>().prop_map(|c| c.to_string()),
    ];
    proptest::collection::vec(piece, 0..16).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn uris_are_written_back_as_they_were_read(text in sip_uri()) {
        let parsed = uri::parse(&text).unwrap();
        prop_assert_eq!(uri::to_string(&parsed), text);
        prop_assert!(uri::equivalent(&parsed, &parsed));
    }

    #[test]
    fn equivalence_is_symmetric(a in sip_uri(), b in sip_uri()) {
        let (a, b) = (uri::parse(&a).unwrap(), uri::parse(&b).unwrap());
        prop_assert_eq!(uri::equivalent(&a, &b), uri::equivalent(&b, &a));
    }

    #[test]
    fn one_more_canonicalisation_changes_nothing(text in sip_uri()) {
        if let Ok(aor) = Aor::from_str(&text) {
            let again = Aor::from_str(aor.as_str()).unwrap();
            prop_assert_eq!(again.as_str(), aor.as_str());
            prop_assert_eq!(
                format!("sip:{}@{}", aor.user(), aor.domain()),
                aor.as_str().to_owned()
            );
        }
    }

    #[test]
    fn escapes_of_harmless_characters_do_not_tell_users_apart(user in "[a-zA-Z0-9_.-]{1,12}") {
        let escaped: String = user.bytes().map(|b| format!("%{b:02x}")).collect();
        let plain = uri::parse(&format!("sip:{user}@example.test")).unwrap();
        let escaped = uri::parse(&format!("sip:{escaped}@EXAMPLE.test")).unwrap();
        prop_assert!(uri::equivalent(&plain, &escaped));
        prop_assert_eq!(Aor::from_uri(&plain), Aor::from_uri(&escaped));
    }

    #[test]
    fn display_names_survive(name in "\\PC{0,30}", text in sip_uri(), tag in "[a-z0-9]{1,9}") {
        let mut address = NameAddr::new(uri::parse(&text).unwrap());
        address.display_name = Some(name);
        address.params.set("tag", Some(&tag));
        prop_assert_eq!(NameAddr::parse(&address.to_string()), Ok(address));
    }

    #[test]
    fn parameter_values_survive(value in "\\PC{0,30}") {
        let mut params = Params::default();
        params.set("+sip.instance", Some(&value));
        params.set("x", None);
        let again = Params::parse(&params.to_string()).unwrap();
        let text = again.text("+sip.instance").map(std::borrow::Cow::into_owned);
        prop_assert_eq!(text, Some(value));
        prop_assert_eq!(again, params);
    }

    #[test]
    fn no_text_is_too_odd(text in near_syntax()) {
        let _ = uri::parse(&text).map(|uri| (uri::to_string(&uri), Aor::from_uri(&uri)));
        let _ = Contact::parse(&text);
        let _ = Credentials::parse(&text);
        if let Ok(address) = NameAddr::parse(&text) {
            prop_assert_eq!(NameAddr::parse(&address.to_string()), Ok(address));
        }
        if let Ok(via) = Via::parse(&text) {
            prop_assert_eq!(Via::parse(&via.to_string()), Ok(via));
        }
        // What stands in a message passes the parser exactly when it passes its type.
        let head = |from: &str, via: &str| {
            format!(
                "OPTIONS sip:a@b.test SIP/2.0\r\nFrom: {from}\r\nTo: <sip:a@b.test>\r\n\
                 Via: {via}\r\nCall-ID: x\r\nCSeq: 1 OPTIONS\r\n\r\n"
            )
        };
        if !text.contains(['\r', '\n']) {
            let as_from = head(&text, "SIP/2.0/UDP a.test");
            let taken = message(as_from.as_bytes(), Framing::Datagram, &Limits::default());
            prop_assert_eq!(taken.is_ok(), NameAddr::parse(&text).is_ok());
            if !text.contains(',') {
                let as_via = head("<sip:a@b.test>", &text);
                let taken = message(as_via.as_bytes(), Framing::Datagram, &Limits::default());
                let trimmed = text.trim_matches([' ', '\t']);
                prop_assert_eq!(taken.is_ok(), Via::parse(trimmed).is_ok());
            }
        }
    }

    #[test]
    fn no_bytes_are_too_odd(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        for framing in [Framing::Datagram, Framing::Stream] {
            let _ = message(&bytes, framing, &Limits::default());
        }
        let _ = (scan::response(&bytes), scan::retry_after(&bytes));
        let mut framer = StreamFramer::new(Limits::default());
        framer.push(&bytes);
        while let Ok(Some(_)) = framer.next() {}
    }

    #[test]
    fn messages_are_read_as_they_were_written(
        target in sip_uri(),
        values in proptest::collection::vec(("X-[A-Za-z0-9]{1,9}", "[!-~]([ -~]{0,40}[!-~])?"), 0..8),
        body in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut uri = uri::parse(&target).unwrap();
        uri.headers.clear();
        let mut headers = Headers::default();
        headers.append("Via", "SIP/2.0/TCP [2001:db8::1]:5060;branch=z9hG4bK1");
        headers.append("From", &NameAddr::new(uri.clone()).to_string());
        headers.append("To", "<sip:a@b.test>");
        headers.append("Call-ID", "x");
        headers.append("CSeq", "1 MESSAGE");
        for (name, value) in &values {
            headers.append(name, value);
        }
        let request =
            Request { method: Method::Message, uri, version: Version::V2, headers, body };
        let mut wire = Vec::new();
        write::request(&request, &mut wire);
        let read = message(&wire, Framing::Stream, &Limits::default());
        prop_assert_eq!(read, Ok(Message::Request(request.clone())));
        let mut answer = response_to(&request, 200, None, Some("t"));
        answer.body.clone_from(&request.body);
        wire.clear();
        write::response(&answer, &mut wire);
        let scanned = scan::response(&wire).unwrap();
        prop_assert_eq!((scanned.status, scanned.branch), (200, &b"z9hG4bK1"[..]));
        let read = message(&wire, Framing::Stream, &Limits::default());
        prop_assert_eq!(read, Ok(Message::Response(answer)));
    }

    #[test]
    fn nonces_carry_their_salt(key: [u8; 32], time: u32, salt: u64, age in 0_u64..10_000) {
        let mint = NonceMint::new(key);
        let at = WallTime::from_millis(u64::from(time));
        let nonce = mint.mint(at, salt);
        let verdict =
            mint.check(&nonce, at + Duration::from_millis(age), Duration::from_millis(5_000));
        let expected =
            if age <= 5_000 { NonceVerdict::Fresh { id: salt } } else { NonceVerdict::Stale };
        prop_assert_eq!(verdict, expected);
    }

    #[test]
    fn a_challenge_reads_as_one_value(realm in "\\PC{0,20}") {
        let value = challenge(&realm, "n", sip::digest::Algorithm::Sha256, true);
        prop_assert!(!value.contains(['\r', '\n']));
        // The quoting of challenge and credentials is the same.
        let credentials = Credentials::parse(&format!(
            "{}, username=\"u\", uri=\"sip:x\", response=\"0\", nc=00000001, cnonce=\"c\"",
            value.replace(", stale=true", "")
        ));
        prop_assert_eq!(credentials.map(|c| c.realm), Ok(realm));
    }

    #[test]
    fn locating_ends_and_stays_bounded(
        random: u64,
        text in sip_uri(),
        naptr in proptest::collection::vec((any::<u16>(), any::<u16>(), 0_usize..4), 0..40),
        srv in proptest::collection::vec((any::<u16>(), any::<u16>(), any::<u16>()), 0..40),
        addresses in proptest::collection::vec(any::<IpAddr>(), 0..40),
    ) {
        let Ok(target) = Target::from_uri(&uri::parse(&text).unwrap()) else { return Ok(()) };
        let secure = target.secure;
        let mut locator = Locator::new(target, random);
        let mut asked = 0;
        while let Some(question) = locator.question() {
            asked += 1;
            prop_assert!(asked < 200, "{question:?}");
            locator.answer(match question {
                Question::Naptr(name) => Answer::Naptr(naptr.iter().map(|(order, preference, n)| {
                    let services = ["SIP+D2U", "SIP+D2T", "SIPS+D2T", "E2U+sip"];
                    NaptrRecord {
                        order: *order,
                        preference: *preference,
                        flags: "S".to_owned(),
                        service: services.get(*n).copied().unwrap_or_default().to_owned(),
                        replacement: name.clone(),
                    }
                }).collect()),
                Question::Srv(name) => Answer::Srv(srv.iter().map(|(priority, weight, port)| {
                    SrvRecord {
                        priority: *priority,
                        weight: *weight,
                        port: *port,
                        target: name.clone(),
                    }
                }).collect()),
                Question::Addresses(_) => Answer::Addresses(addresses.clone()),
            });
        }
        let hops = locator.into_hops();
        prop_assert!(hops.len() <= 16);
        prop_assert!(!secure || hops.iter().all(|hop| hop.transport.is_secure()));
    }
}
