//! Reading presence documents: the examples of the RFCs, and bodies that must be refused whole.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::disallowed_methods, reason = "measures how long a hostile body takes")]

use std::time::{Duration, Instant};

use presence::document::guard::{Limits, Refused};
use presence::document::invalid_document::{Excerpt, InvalidDocument};
use presence::document::pidf::{Basic, PublishedDocument};
use presence::document::rpid::{Activity, Name};
use presence::document::timestamp;

fn parse(body: &str) -> Result<PublishedDocument, InvalidDocument> {
    PublishedDocument::parse(body.as_bytes(), &Limits::default())
}

/// A document with this inside a PIDF root that declares the usual prefixes.
fn inside(content: &str) -> String {
    format!(
        "<presence xmlns='urn:ietf:params:xml:ns:pidf' \
         xmlns:dm='urn:ietf:params:xml:ns:pidf:data-model' \
         xmlns:rpid='urn:ietf:params:xml:ns:pidf:rpid' \
         xmlns:caps='urn:ietf:params:xml:ns:pidf:caps' xmlns:x='urn:example:x' \
         entity='sip:bob@example.test'>{content}</presence>"
    )
}

fn refusal(content: &str) -> InvalidDocument {
    parse(&inside(content)).unwrap_err()
}

#[test]
fn rfc3863_s4_3_a_prefixed_document() {
    let document = parse(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<impp:presence xmlns:impp="urn:ietf:params:xml:ns:pidf"
    entity="pres:someone@example.com">
  <impp:tuple id="sg89ae">
    <impp:status>
      <impp:basic>open</impp:basic>
    </impp:status>
    <impp:contact priority="0.8">tel:+09012345678</impp:contact>
  </impp:tuple>
</impp:presence>"#,
    )
    .unwrap();
    assert_eq!(document.entity(), "pres:someone@example.com");
    let [tuple] = document.tuples() else { panic!("{:?}", document.tuples()) };
    assert_eq!(tuple.id(), "sg89ae");
    assert_eq!(tuple.basic(), Some(Basic::Open));
    let contact = tuple.contact().unwrap();
    assert_eq!(&*contact.uri, "tel:+09012345678");
    assert_eq!(contact.priority.unwrap().thousandths(), 800);
}

#[test]
fn rfc3863_s4_3_a_document_with_extensions_notes_and_timestamp() {
    let document = parse(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<presence xmlns="urn:ietf:params:xml:ns:pidf"
     xmlns:im="urn:ietf:params:xml:ns:pidf:im"
     xmlns:myex="http://id.example.com/presence/"
     entity="pres:someone@example.com">
  <tuple id="bs35r9">
    <status>
      <basic>open</basic>
      <im:im>busy</im:im>
      <myex:location>home</myex:location>
    </status>
    <contact priority="0.8">im:someone@mobilecarrier.net</contact>
    <note xml:lang="en">Don't Disturb Please!</note>
    <note xml:lang="fr">Ne derangez pas, s'il vous plait</note>
    <timestamp>2001-10-27T16:49:29Z</timestamp>
  </tuple>
  <tuple id="eg92n8">
    <status>
      <basic>open</basic>
    </status>
    <contact priority="1.0">mailto:someone@example.com</contact>
  </tuple>
  <note>I'll be in Tokyo next week</note>
</presence>"#,
    )
    .unwrap();
    let [first, second] = document.tuples() else { panic!("{:?}", document.tuples()) };
    assert_eq!(first.timestamp(), timestamp::parse("2001-10-27T16:49:29Z"));
    assert_eq!(first.note(), Some("Don't Disturb Please!"));
    assert_eq!(second.contact().unwrap().priority.unwrap().thousandths(), 1_000);
    let [note] = document.notes() else { panic!("{:?}", document.notes()) };
    assert_eq!((note.text(), note.language()), ("I'll be in Tokyo next week", None));
}

#[test]
fn rfc3863_s4_2_extensions_that_must_be_understood() {
    let must = |value: &str| {
        format!(
            "<p:presence xmlns:p='urn:ietf:params:xml:ns:pidf' xmlns:x='urn:x' entity='pres:a@b'>\
             <p:tuple id='a'><p:status><p:basic>open</p:basic>\
             <x:complex p:mustUnderstand='{value}'/></p:status></p:tuple></p:presence>"
        )
    };
    for (value, is_understood) in [("1", false), ("true", false), ("0", true), ("false", true)] {
        let document = parse(&must(value)).unwrap();
        assert_eq!(document.tuples().first().unwrap().is_understood(), is_understood, "{value}");
        assert!(document.is_understood());
    }
    assert_eq!(
        parse(&must("yes")).unwrap_err(),
        InvalidDocument::MustUnderstand { found: Excerpt::of("yes") }
    );
    let whole = inside("<x:a p:mustUnderstand='1' xmlns:p='urn:ietf:params:xml:ns:pidf'/>");
    assert!(!parse(&whole).unwrap().is_understood());
}

#[test]
fn rfc4479_s6_service_device_and_person() {
    let document = parse(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<presence xmlns="urn:ietf:params:xml:ns:pidf"
   xmlns:dm="urn:ietf:params:xml:ns:pidf:data-model"
   xmlns:rp="urn:ietf:params:xml:ns:pidf:rpid"
   xmlns:caps="urn:ietf:params:xml:ns:pidf:caps"
   entity="pres:someone@example.com">
  <tuple id="sg89ae">
    <status><basic>open</basic></status>
    <dm:deviceID>mac:8asd7d7d70</dm:deviceID>
    <caps:servcaps>
      <caps:extensions><caps:supported><caps:pref/></caps:supported></caps:extensions>
      <caps:methods>
        <caps:supported><caps:MESSAGE/><caps:OPTIONS/></caps:supported>
      </caps:methods>
    </caps:servcaps>
    <contact>sip:someone@example.com</contact>
  </tuple>
  <dm:person id="p1">
    <rp:activities><rp:on-the-phone/></rp:activities>
  </dm:person>
  <dm:device id="pc122">
    <rp:user-input>idle</rp:user-input>
    <dm:deviceID>mac:8asd7d7d70</dm:deviceID>
  </dm:device>
</presence>"#,
    )
    .unwrap();
    let tuple = document.tuples().first().unwrap();
    assert_eq!(tuple.device_id(), Some("mac:8asd7d7d70"));
    assert_eq!(tuple.contact().unwrap().priority, None);
    let [device] = document.devices() else { panic!("{:?}", document.devices()) };
    assert_eq!((device.id(), device.device_id()), ("pc122", "mac:8asd7d7d70"));
    assert!(device.user_input().unwrap().is_idle);
    let [person] = document.persons() else { panic!("{:?}", document.persons()) };
    assert_eq!(person.activities(), [Activity::Named(Name::OnThePhone)]);
}

#[test]
fn rfc4480_s5_rich_presence() {
    let document = parse(RICH).unwrap();
    assert_eq!(document.tuples().len(), 3);
    let device = document.devices().first().unwrap();
    let input = device.user_input().unwrap();
    assert!(input.is_idle);
    assert_eq!(input.last, timestamp::parse("2004-10-21T18:20:00Z"));
    let person = document.persons().first().unwrap();
    assert_eq!(person.activities(), [Activity::Named(Name::Away)]);
    assert_eq!(person.notes().first().unwrap().text(), "Scoring 120");
    assert_eq!(person.timestamp(), timestamp::parse("2005-05-30T11:09:44Z"));
}

/// After the example of RFC 4480 §5.
const RICH: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<presence xmlns="urn:ietf:params:xml:ns:pidf"
     xmlns:dm="urn:ietf:params:xml:ns:pidf:data-model"
     xmlns:lt="urn:ietf:params:xml:ns:location-type"
     xmlns:rpid="urn:ietf:params:xml:ns:pidf:rpid"
     entity="pres:someone@example.com">
  <tuple id="bs35r9">
    <status><basic>open</basic></status>
    <dm:deviceID>urn:device:0003ba4811e3</dm:deviceID>
    <rpid:relationship><rpid:self/></rpid:relationship>
    <rpid:service-class><rpid:electronic/></rpid:service-class>
    <contact priority="0.8">im:someone@mobile.example.net</contact>
    <note xml:lang="en">Don't Disturb Please!</note>
    <note xml:lang="fr">Ne derangez pas, s'il vous plait</note>
    <timestamp>2005-10-27T16:49:29Z</timestamp>
  </tuple>
  <tuple id="ty4658">
    <status><basic>open</basic></status>
    <rpid:relationship><rpid:assistant/></rpid:relationship>
    <contact priority="1.0">mailto:secretary@example.com</contact>
  </tuple>
  <tuple id="eg92n8">
    <status><basic>open</basic></status>
    <dm:deviceID>urn:x-mac:0003ba4811e3</dm:deviceID>
    <rpid:class>email</rpid:class>
    <rpid:service-class><rpid:electronic/></rpid:service-class>
    <rpid:status-icon>http://example.com/mail.png</rpid:status-icon>
    <contact priority="1.0">mailto:someone@example.com</contact>
  </tuple>
  <note>I'll be in Tokyo next week</note>
  <dm:device id="pc147">
    <rpid:user-input idle-threshold="600"
      last-input="2004-10-21T13:20:00-05:00">idle</rpid:user-input>
    <dm:deviceID>urn:device:0003ba4811e3</dm:deviceID>
    <dm:note>PC</dm:note>
  </dm:device>
  <dm:person id="p1">
    <rpid:activities from="2005-05-30T12:00:00+05:00" until="2005-05-30T17:00:00+05:00">
      <rpid:note>Far away</rpid:note>
      <rpid:away/>
    </rpid:activities>
    <rpid:class>calendar</rpid:class>
    <rpid:mood><rpid:angry/><rpid:other>brooding</rpid:other></rpid:mood>
    <rpid:place-is><rpid:audio><rpid:noisy/></rpid:audio></rpid:place-is>
    <rpid:place-type><lt:residence/></rpid:place-type>
    <rpid:privacy><rpid:unknown/></rpid:privacy>
    <rpid:sphere>bowling league</rpid:sphere>
    <rpid:status-icon>http://example.com/play.gif</rpid:status-icon>
    <rpid:time-offset>-240</rpid:time-offset>
    <dm:note>Scoring 120</dm:note>
    <dm:timestamp>2005-05-30T16:09:44+05:00</dm:timestamp>
  </dm:person>
</presence>"#;

#[test]
fn rfc4480_s3_2_activities_of_every_kind() {
    let document = parse(&inside(
        "<dm:person id='p'><rpid:activities><rpid:in-transit/><rpid:other> sailing </rpid:other>\
         <rpid:other/><x:dnd/><rpid:later/></rpid:activities></dm:person>",
    ))
    .unwrap();
    let activities: Vec<String> =
        document.persons().first().unwrap().activities().iter().map(ToString::to_string).collect();
    assert_eq!(activities, ["in-transit", "sailing", "other", "dnd", "later"]);
}

#[test]
fn rfc5196_s3_capabilities_of_services_and_devices() {
    let document = parse(&inside(
        "<tuple id='a'><status><basic>open</basic></status><caps:servcaps>\
         <caps:audio>true</caps:audio><caps:video>false</caps:video><caps:text>1</caps:text>\
         <caps:duplex><caps:supported><caps:full/></caps:supported></caps:duplex>\
         </caps:servcaps></tuple>\
         <dm:device id='d'><caps:devcaps><caps:video>true</caps:video>\
         <caps:mobility><caps:supported><caps:mobile/></caps:supported></caps:mobility>\
         </caps:devcaps><dm:deviceID>urn:uuid:1</dm:deviceID></dm:device>",
    ))
    .unwrap();
    let service = document.tuples().first().unwrap().capabilities();
    assert_eq!(service.audio, Some(true));
    assert_eq!(service.video, Some(false));
    assert_eq!(service.text, Some(true));
    assert_eq!(service.message, None);
    let device = document.devices().first().unwrap().capabilities();
    assert_eq!((device.audio, device.video), (None, Some(true)));
    assert_eq!(service.or(device).video, Some(true));
}

#[test]
fn rfc4482_display_name() {
    let document = parse(&inside(
        "<dm:person id='p' xmlns:c='urn:ietf:params:xml:ns:pidf:cipid'>\
         <c:display-name>Bob Example</c:display-name></dm:person>",
    ))
    .unwrap();
    assert_eq!(document.persons().first().unwrap().display_name(), Some("Bob Example"));
}

#[test]
fn a_publisher_need_not_say_whether_it_is_open() {
    for status in ["<status/>", "<status></status>", "<status><x:im>busy</x:im></status>"] {
        let document = parse(&inside(&format!("<tuple id='a'>{status}</tuple>"))).unwrap();
        assert_eq!(document.tuples().first().unwrap().basic(), None, "{status}");
    }
}

#[test]
fn the_order_of_elements_and_white_space_do_not_matter() {
    let document = parse(&inside(
        "<dm:person id='p'/><note/><tuple id=' a '><timestamp> 2001-10-27T16:49:29.5+01:00 \
         </timestamp><note>n</note><contact priority=' 0.5 '>\n sip:bob@h \n</contact>\
         <status><x:y/><basic>\n<!-- so -->open </basic></status></tuple>",
    ))
    .unwrap();
    let tuple = document.tuples().first().unwrap();
    assert_eq!(tuple.id(), "a");
    assert_eq!(tuple.basic(), Some(Basic::Open));
    assert_eq!(&*tuple.contact().unwrap().uri, "sip:bob@h");
    assert!(tuple.timestamp().is_some());
}

#[test]
fn contacts_of_any_shape_are_kept() {
    let long = format!("sip:{}@h", "a".repeat(60_000));
    for uri in ["", "bob", "sip:", &long] {
        let tuple = format!("<tuple id='a'><status/><contact>{uri}</contact></tuple>");
        let document = parse(&inside(&tuple)).unwrap();
        assert_eq!(&*document.tuples().first().unwrap().contact().unwrap().uri, uri);
    }
}

#[test]
fn the_source_is_kept_and_decides_equality() {
    let body = inside("<tuple id='a'><status/></tuple>");
    let document = parse(&body).unwrap();
    assert_eq!(&document.source()[..], body.as_bytes());
    let again = PublishedDocument::parse(document.source(), &Limits::default()).unwrap();
    assert_eq!(document, again);
    assert_ne!(document, parse(&inside("<tuple id='b'><status/></tuple>")).unwrap());
}

#[test]
fn bodies_that_are_no_document_are_refused() {
    for body in ["", "  \r\n", "\u{feff}"] {
        assert_eq!(parse(body).unwrap_err(), InvalidDocument::Refused(Refused::Empty));
    }
    let valid = inside("");
    for body in [
        "open",
        "<",
        "<presence",
        "<presence xmlns='urn:ietf:params:xml:ns:pidf' entity='sip:a@b'>",
        "<presence xmlns='urn:ietf:params:xml:ns:pidf' entity='sip:a@b'></Presence>",
        "<presence xmlns='urn:ietf:params:xml:ns:pidf' entity='sip:a@b' entity='sip:a@b'/>",
        "<p:presence entity='sip:a@b'/>",
        &format!("{valid}{valid}"),
        &format!("{valid}junk"),
        &inside("&nbsp;"),
        &inside("&#0;"),
        &inside("<note>\u{1}</note>"),
        &inside("<note a='<'/>"),
        &inside("<note><!-- -- --></note>"),
        &inside("<u:note/>"),
        &inside("<x:note xmlns:y='urn:example:x' x:a='1' y:a='2'/>"),
        &inside("<note>]]></note>"),
    ] {
        assert!(matches!(parse(body), Err(InvalidDocument::Malformed { .. })), "{body}");
    }
    assert_eq!(
        parse(&format!(" <?xml version='1.0'?>{valid}")).unwrap_err(),
        InvalidDocument::Refused(Refused::LateDeclaration)
    );
    let binary = PublishedDocument::parse(&[b'<', 0xff, b'>'], &Limits::default());
    assert_eq!(binary.unwrap_err(), InvalidDocument::Refused(Refused::NotUtf8));
}

#[test]
fn the_place_of_a_syntax_error_is_told() {
    assert_eq!(
        parse("<a>\n  <b></c></a>").unwrap_err().to_string(),
        "not well-formed XML at line 2, column 6"
    );
}

#[test]
fn document_types_are_refused_whatever_they_hold() {
    let laughs: String = (1..10)
        .map(|n| format!("<!ENTITY l{n} '{}'>", format!("&l{};", n - 1).repeat(10)))
        .collect();
    for body in [
        format!("<!DOCTYPE presence>{}", inside("")),
        format!("<!DOCTYPE p [<!ENTITY l0 'ha'>{laughs}]>{}", inside("<note>&l9;</note>")),
        format!(
            "<?xml version='1.0'?><!DOCTYPE p [<!ENTITY f SYSTEM 'file:///etc/passwd'>]>{}",
            inside("<note>&f;</note>")
        ),
        format!("<!DOCTYPE p SYSTEM 'http://example.test/evil.dtd'>{}", inside("")),
    ] {
        assert_eq!(
            parse(&body).unwrap_err(),
            InvalidDocument::Refused(Refused::DocumentType),
            "{body}"
        );
    }
}

#[test]
fn bodies_that_cost_too_much_are_refused_at_once() {
    let nested: String = (0..3_000).map(|n| format!("<a xmlns:n{n}='u{n}'>")).collect();
    let flat: String = (0..3_000).map(|n| format!("<a xmlns:n{n}='u'/>")).collect();
    let attributes: String = (0..5_000).map(|n| format!(" a{n}=''")).collect();
    let deep = "<x:a>".repeat(10_000);
    let roomy = Limits { bytes: 1 << 20, ..Limits::default() };
    let started = Instant::now();
    let refused =
        |content: &str| PublishedDocument::parse(inside(content).as_bytes(), &roomy).unwrap_err();
    for content in [nested, flat] {
        assert_eq!(
            refused(&content),
            InvalidDocument::Refused(Refused::TooManyNamespaces { limit: 64 })
        );
    }
    assert_eq!(
        refused(&format!("<x:a{attributes}/>")),
        InvalidDocument::Refused(Refused::TooManyAttributes { limit: 64 })
    );
    assert_eq!(refused(&deep), InvalidDocument::Refused(Refused::TooDeep { limit: 64 }));
    assert_eq!(refused(&"<x:a/>".repeat(20_000)), InvalidDocument::TooManyNodes);
    assert_eq!(
        parse(&inside(&" ".repeat(70_000))).unwrap_err(),
        InvalidDocument::Refused(Refused::TooLarge { limit: 65_536 })
    );
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
}

#[test]
fn a_body_that_would_swell_is_refused() {
    let name = "n".repeat(20_000);
    let started = Instant::now();
    for content in [
        format!("<dm:person id='p' xmlns:n='{name}'>{}</dm:person>", "<n:a/>".repeat(4_000)),
        format!(
            "<dm:person id='p' xmlns:n='{name}'>{}</dm:person>",
            "<dm:a n:b=''/>".repeat(2_000)
        ),
        format!(
            "<tuple id='a' xmlns:n='{name}'><status>{}</status></tuple>",
            "<n:a/>".repeat(4_000)
        ),
    ] {
        let refused = refusal(&content);
        assert_eq!(refused, InvalidDocument::TooLarge { limit: 131_072 });
    }
    let tuples: String =
        (0..1_000).map(|n| format!("<tuple id='t{n}'><status/><note/></tuple>")).collect();
    let notes = format!("<tuple id='t'><status/>{}</tuple>", "<note/>".repeat(4_000));
    for content in [tuples, notes] {
        let body = inside(&content).replacen("entity", &format!("xml:lang='{name}' entity"), 1);
        assert_eq!(parse(&body).unwrap_err(), InvalidDocument::TooLarge { limit: 131_072 });
    }
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
}

#[test]
fn the_worst_body_within_the_limits_is_read_soon() {
    let declarations: String = (0..58).map(|n| format!(" xmlns:n{n}='urn:{n}'")).collect();
    let elements = "<x:a b='1' c='2' d='3'/>".repeat(2_500);
    let started = Instant::now();
    parse(&inside(&format!("<x:a{declarations}>{elements}</x:a>"))).unwrap();
    parse(&inside(&"<tuple id='a'><status/></tuple>".repeat(2_000))).unwrap_err();
    let tuples: String =
        (0..1_500).map(|n| format!("<tuple id='t{n}'><status/></tuple>")).collect();
    parse(&inside(&tuples)).unwrap();
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
}

#[test]
fn the_root_must_be_presence_of_pidf_with_an_entity() {
    for body in [
        "<presence entity='sip:a@b'/>",
        "<presence xmlns='urn:ietf:params:xml:ns:pidf-diff' entity='sip:a@b'/>",
        "<tuple xmlns='urn:ietf:params:xml:ns:pidf' entity='sip:a@b'/>",
        "<x:presence xmlns='urn:ietf:params:xml:ns:pidf' xmlns:x='urn:x' entity='sip:a@b'/>",
    ] {
        assert!(matches!(parse(body), Err(InvalidDocument::NotPresence { .. })), "{body}");
    }
    for attributes in ["", "entity=''", "x:entity='sip:a@b' xmlns:x='urn:x'"] {
        let body = format!("<presence xmlns='urn:ietf:params:xml:ns:pidf' {attributes}/>");
        assert_eq!(
            parse(&body).unwrap_err(),
            InvalidDocument::MissingAttribute { element: "presence", attribute: "entity" }
        );
    }
}

#[test]
fn a_refusal_says_precisely_why() {
    let cases = [
        ("<tuple><status/></tuple>", "tuple lacks its id attribute"),
        ("<tuple id='a'/>", "tuple a lacks status"),
        ("<tuple id='a'><status/><status/></tuple>", "tuple a has more than one status"),
        (
            "<tuple id='a'><status><basic>open</basic><basic>open</basic></status></tuple>",
            "tuple a has more than one basic",
        ),
        (
            "<tuple id='a'><status/><contact>a</contact><contact>b</contact></tuple>",
            "tuple a has more than one contact",
        ),
        (
            "<tuple id='a'><status/></tuple><tuple id='b'><status/></tuple>\
             <tuple id='a'><status/></tuple>",
            "two tuple elements have the id a",
        ),
        ("<dm:person id='p'/><dm:person id='p'/>", "two person elements have the id p"),
        (
            "<tuple id='a'><status><basic>Open</basic></status></tuple>",
            "basic is Open, neither open nor closed",
        ),
        (
            "<tuple id='a'><status><basic/></status></tuple>",
            "basic is empty, neither open nor closed",
        ),
        (
            "<tuple id='a'><status><basic>open<x:y/></basic></status></tuple>",
            "basic holds elements",
        ),
        (
            "<tuple id='a'><status/><contact priority='2'>sip:a@b</contact></tuple>",
            "contact priority 2 is not from 0 to 1 with at most three decimals",
        ),
        (
            "<tuple id='a'><status/><contact priority='0.1234'>sip:a@b</contact></tuple>",
            "contact priority 0.1234 is not from 0 to 1 with at most three decimals",
        ),
        (
            "<tuple id='a'><status/><timestamp>2001-10-27T16:49:29</timestamp></tuple>",
            "timestamp 2001-10-27T16:49:29 is not a date and time with a zone",
        ),
        (
            "<dm:person id='p'><dm:timestamp>today</dm:timestamp></dm:person>",
            "timestamp today is not a date and time with a zone",
        ),
        ("<tuple id='a'><status/>here</tuple>", "tuple holds characters outside its elements"),
        ("here", "presence holds characters outside its elements"),
        ("<status/>", "status may not stand in presence"),
        ("<tuple id='a'><status/><basic>open</basic></tuple>", "basic may not stand in tuple"),
        ("<y xmlns=''/>", "y may not stand in presence"),
        ("<dm:person/>", "person lacks its id attribute"),
        ("<dm:device id='d'/>", "device d lacks deviceID"),
        ("<note>a<x:b/></note>", "note holds elements"),
    ];
    for (content, reason) in cases {
        assert_eq!(refusal(content).to_string(), reason, "{content}");
    }
}

#[test]
fn a_reason_fits_a_header_whatever_was_sent() {
    let hostile = "a&#10;&#13;Via: &quot;\\ \u{1f480}";
    for content in [
        format!("<tuple id='{hostile}'/>"),
        format!("<tuple id='a'><status><basic>{hostile}</basic></status></tuple>"),
        format!("<tuple id='a'><status/><timestamp>{}</timestamp></tuple>", "9".repeat(1_000)),
    ] {
        let reason = refusal(&content).to_string();
        assert!(reason.len() < 150, "{reason}");
        assert!(reason.chars().all(|c| (c.is_ascii_graphic() || c == ' ') && c != '"'), "{reason}");
    }
}

#[test]
fn bodies_changed_at_random_are_read_or_refused_without_panic() {
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        usize::try_from(random % u64::try_from(below).unwrap()).unwrap()
    };
    let pieces: [&[u8]; 12] = [
        b"<",
        b">",
        b"/>",
        b"'",
        b"\"",
        b"=",
        b"&",
        b"<!--",
        b"<![CDATA[",
        b"xmlns:q='u'",
        b":",
        b"\xc3",
    ];
    for _ in 0..4_000 {
        let mut body = RICH.as_bytes().to_vec();
        for _ in 0..=next(4) {
            let at = next(body.len());
            let end = (at + next(12)).min(body.len());
            match next(4) {
                0 => body.truncate(at.max(1)),
                1 => drop(body.drain(at..end)),
                2 => drop(body.splice(at..end, pieces[next(pieces.len())].iter().copied())),
                _ => {
                    let copy = body[at..end].to_vec();
                    let to = next(body.len());
                    drop(body.splice(to..to, copy));
                }
            }
        }
        if let Ok(document) = PublishedDocument::parse(&body, &Limits::default()) {
            let input = presence::compositor::Input {
                document: &document,
                published: sip::clock::WallTime::from_millis(1),
                key: 1,
            };
            let composed = presence::compositor::compose(
                "sip:bob@example.test",
                &[input],
                &presence::compositor::Order::default(),
            );
            let again = PublishedDocument::parse(&composed, &Limits::default());
            assert!(again.is_ok(), "{again:?}: {}", String::from_utf8_lossy(&body));
        }
    }
}
