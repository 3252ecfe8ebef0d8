//! RFC 4475 §3.1.1: valid messages, with the values that the RFC states.

use sip::header::contact::Contact;
use sip::header::cseq::CSeq;
use sip::header::max_forwards;
use sip::header::media_type::Accept;
use sip::header::name_addr::NameAddr;
use sip::header::via::Via;
use sip::message::{HeaderAccess, Message, Method, reason_of};
use sip::parse::{Framing, Limits, message};
use sip::{uri, write};

use crate::{messages, refusal, request, response};

fn contacts(headers: &sip::message::Headers) -> Vec<NameAddr> {
    match Contact::from_values(headers.values("Contact")).unwrap() {
        Contact::List(list) => list,
        Contact::Star => panic!("a star"),
    }
}

#[test]
fn s3_1_1_1_wsinv() {
    let request = request("wsinv");
    assert_eq!(request.method, Method::Invite);
    assert_eq!(uri::to_string(&request.uri), "sip:vivekg@chair-dnrc.example.com;unknownparam");
    let headers = &request.headers;
    let to = NameAddr::parse(headers.value("To").unwrap()).unwrap();
    assert_eq!(
        (uri::to_string(&to.uri).as_str(), to.tag()),
        ("sip:vivekg@chair-dnrc.example.com", Some("1918181833n"))
    );
    let from = NameAddr::parse(headers.value("From").unwrap()).unwrap();
    assert_eq!(from.display_name.as_deref(), Some(r#"J Rosenberg \""#));
    assert_eq!(from.tag(), Some("98asjd8"));
    assert_eq!(headers.value("Max-Forwards").map(max_forwards::parse), Some(Ok(68)));
    let cseq = CSeq::parse(headers.value("CSeq").unwrap()).unwrap();
    assert_eq!((cseq.number, &*cseq.method), (9, "INVITE"));
    let vias: Vec<String> =
        headers.values("Via").map(|via| Via::parse(via).unwrap().to_string()).collect();
    assert_eq!(
        vias,
        [
            "SIP/2.0/UDP 192.0.2.2;branch=390skdjuw",
            "SIP/2.0/TCP spindle.example.com;branch=z9hG4bK9ikj8",
            "SIP/2.0/UDP 192.168.255.111;branch=z9hG4bK30239"
        ]
    );
    assert_eq!(headers.value("Subject"), Some(""));
    assert_eq!(
        headers.value("NewFangledHeader"),
        Some("newfangled value continued newfangled value")
    );
    assert_eq!(headers.value("UnknownHeaderWithUnusualValue"), Some(";;,,;;,;"));
    let route = NameAddr::parse(headers.value("Route").unwrap()).unwrap();
    assert_eq!(uri::param(&route.uri, "lr"), Some(None));
    assert_eq!(uri::param(&route.uri, "unknownwith"), Some(Some("value")));
    let contacts = contacts(headers);
    assert_eq!(contacts.len(), 1);
    assert_eq!(contacts[0].display_name.as_deref(), Some("Quoted string \"\""));
    assert_eq!(contacts[0].param("newparam"), Some(Some("newvalue")));
    assert_eq!(contacts[0].param("secondparam"), Some(None));
    assert_eq!(contacts[0].q(), Some(330));
    assert_eq!(request.body.len(), 150);
}

#[test]
fn s3_1_1_2_intmeth_is_well_formed_but_not_implemented() {
    let answer = refusal("intmeth");
    assert_eq!(answer.status_code.code(), 501);
    let headers = &answer.headers;
    let to = NameAddr::parse(headers.value("To").unwrap()).unwrap();
    assert_eq!(to.display_name.as_deref(), Some("BEL:\u{7} NUL:\0 DEL:\u{7f}"));
    assert_eq!(to.uri.user(), Some("1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*"));
    let from = NameAddr::parse(headers.value("From").unwrap()).unwrap();
    assert_eq!(from.display_name.as_deref(), Some("token1~` token2'+_ token3*%!.-"));
    assert_eq!(from.tag(), Some("_token~1'+`*%!-."));
    assert!(from.params.text("fromParam''~+*_!.-%").unwrap().starts_with('\u{440}'));
    assert_eq!(headers.value("Call-ID"), Some("intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{"));
    assert_eq!(
        headers.value("CSeq"),
        Some("139122385 !interesting-Method0123456789_*+`.%indeed'~")
    );
    let via = Via::parse(headers.value("Via").unwrap()).unwrap();
    assert_eq!(via.branch.as_deref(), Some("z9hG4bK-.!%66*_+`'~"));
    // The Request-URI of the same message, under a method that there is.
    let text = String::from_utf8(messages::named("intmeth")).unwrap();
    let text = text.replace("!interesting-Method0123456789_*+`.%indeed'~", "OPTIONS");
    let Ok(Message::Request(known)) =
        message(text.as_bytes(), Framing::Datagram, &Limits::default())
    else {
        panic!("refused");
    };
    assert_eq!(known.uri.user(), Some("1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*"));
    let password = known.uri.auth.as_ref().and_then(|auth| auth.password.as_deref());
    assert_eq!(password, Some("&it+has=1,weird!*pas$wo~d_too.(doesn't-it)"));
    assert_eq!(known.headers.value("extensionHeader-!.%*+_`'~"), Some("\u{5927}\u{505c}\u{96fb}"));
}

#[test]
fn s3_1_1_3_esc01() {
    let request = request("esc01");
    assert_eq!(request.uri.scheme, Some(sip::message::Scheme::Sip));
    assert_eq!(request.uri.user(), Some("sips%3Auser%40example.com"));
    assert_eq!(uri::host(&request.uri), "example.net");
    let to = NameAddr::parse(request.headers.value("To").unwrap()).unwrap();
    let plain = uri::parse("sip:user@example.com").unwrap();
    assert!(uri::equivalent(&to.uri, &plain));
    let contacts = contacts(&request.headers);
    let plain = uri::parse("sip:caller@host5.example.net;%6C%72;n%61me=v%61lue%25%34%31").unwrap();
    assert!(uri::equivalent(&contacts[0].uri, &plain));
    assert_eq!(uri::param(&contacts[0].uri, "lr"), None, "escaped names are other names here");
    assert_eq!(request.headers.value("Content-Type"), Some("application/sdp"));
}

#[test]
fn s3_1_1_4_escnull() {
    let request = request("escnull");
    let contacts = contacts(&request.headers);
    assert_eq!(contacts.len(), 2);
    assert_eq!(contacts[0].uri.user(), Some("%00"));
    assert_eq!(contacts[1].uri.user(), Some("%00%00"));
    assert!(!uri::equivalent(&contacts[0].uri, &contacts[1].uri));
    let to = NameAddr::parse(request.headers.value("To").unwrap()).unwrap();
    let aor = sip::aor::Aor::from_uri(&to.uri).unwrap();
    assert_eq!(aor.as_str(), "sip:null-%00-null@example.com");
}

#[test]
fn s3_1_1_5_esc02_is_not_a_register() {
    let answer = refusal("esc02");
    assert_eq!(answer.status_code.code(), 501);
    let to = NameAddr::parse(answer.headers.value("To").unwrap()).unwrap();
    assert_eq!(to.display_name.as_deref(), Some("%Z%45"));
    let text = String::from_utf8(messages::named("esc02")).unwrap();
    let text = text.replace("RE%47IST%45R", "REGISTER");
    let Ok(Message::Request(known)) =
        message(text.as_bytes(), Framing::Datagram, &Limits::default())
    else {
        panic!("refused");
    };
    let hosts: Vec<_> =
        contacts(&known.headers).iter().map(|c| uri::host(&c.uri).into_owned()).collect();
    assert_eq!(hosts, ["host1.example.com", "host3.example.com"]);
    assert!(known.headers.has("C%6Fntact"));
}

#[test]
fn s3_1_1_6_lwsdisp() {
    let request = request("lwsdisp");
    let from = NameAddr::parse(request.headers.value("From").unwrap()).unwrap();
    assert_eq!(from.display_name.as_deref(), Some("caller"));
    assert_eq!(from.tag(), Some("323"));
}

/// §3.1.1.7: long values in every place, and 34 Via headers under all spellings of the name.
#[test]
fn s3_1_1_7_longreq() {
    let long = |part: &str, count: usize| part.repeat(count);
    let names = ["Via", "v", "V", "Via ", "ViA", "VIa", "VIA", "via", "viA", "vIa", "vIA", "V  "];
    let mut text = format!(
        "INVITE sip:user@example.com SIP/2.0\r\n\
         To: \"I have a user name of {} proportion\"<sip:user@example.com:6000;unknownparam1=\
         very{}value;longparam{}=shortvalue;very{}ParameterNameWithNoValue>\r\n\
         F: sip:{}@example.net;tag=12{}424;unknownheaderparam{}=unknowheaderparam{};\
         unknownValueless{}\r\n\
         Call-ID: longreq.one{}longcallid\r\nCSeq: 3882340 INVITE\r\n\
         Unknown-{}-Name: unknown-{}-value; unknown-{}-parameter-name = unknown-{}-value\r\n",
        long("extreme", 10),
        long("long", 20),
        long("name", 25),
        long("long", 27),
        long("amazinglylongcallername", 5),
        long("982", 50),
        long("name", 20),
        long("value", 15),
        long("paramname", 10),
        long("really", 20),
        long("Long", 20),
        long("long", 20),
        long("long", 20),
        long("long", 20),
    );
    for number in (1..=33).rev() {
        let name = names[number % names.len()];
        text.push_str(&format!("{name}: SIP/2.0/TCP sip{number}.example.com\r\n"));
    }
    text.push_str(&format!(
        "Via: SIP/2.0/TCP host.example.com;received=192.0.2.5;branch=very{}branchvalue\r\n\
         Max-Forwards: 70\r\nContact: <sip:{}@host5.example.net>\r\n\
         Content-Type: application/sdp\r\nl: 3\r\n\r\nv=0",
        long("long", 50),
        long("amazinglylongcallername", 5)
    ));
    let Ok(Message::Request(request)) =
        message(text.as_bytes(), Framing::Datagram, &Limits::default())
    else {
        panic!("refused");
    };
    assert_eq!(request.headers.values("Via").count(), 34);
    let last = request.headers.values("Via").last().unwrap();
    assert_eq!(Via::parse(last).unwrap().branch.map(|b| b.len()), Some(4 + 200 + 11));
    let to = NameAddr::parse(request.headers.value("To").unwrap()).unwrap();
    assert_eq!(uri::port(&to.uri), Some(6000));
    assert_eq!(to.uri.params.len(), 3);
    let from = NameAddr::parse(request.headers.value("From").unwrap()).unwrap();
    assert_eq!(from.tag().map(str::len), Some(2 + 150 + 3));
    assert_eq!(contacts(&request.headers)[0].uri.user().map(str::len), Some(23 * 5));
}

#[test]
fn s3_1_1_8_dblreq_trailing_octets_are_ignored() {
    let request = request("dblreq");
    assert_eq!(request.method, Method::Register);
    assert_eq!(request.body, b"");
    assert_eq!(request.headers.value("Call-ID"), Some("dblreq.0ha0isndaksdj99sdfafnl3lk233412"));
}

#[test]
fn s3_1_1_9_semiuri() {
    let request = request("semiuri");
    assert_eq!(request.uri.user(), Some("user;par=u%40example.net"));
    assert_eq!(request.uri.params, []);
    let accept = Accept::from_values(request.headers.values("Accept")).unwrap();
    assert!(accept.names("message", "sipfrag") && accept.names("multipart", "signed"));
    assert!(!accept.names("application", "pidf+xml"));
}

#[test]
fn s3_1_1_10_transports() {
    let request = request("transports");
    let transports: Vec<String> =
        request.headers.values("Via").map(|via| Via::parse(via).unwrap().transport).collect();
    assert_eq!(transports, ["UDP", "SCTP", "TLS", "UNKNOWN", "TCP"]);
}

#[test]
fn s3_1_1_11_mpart01_keeps_every_octet() {
    let request = request("mpart01");
    let wire = messages::named("mpart01");
    assert!(wire.ends_with(&request.body));
    assert_eq!(request.body.len(), 465);
    assert!(request.body.windows(256).any(|w| w.iter().copied().eq(0..=255)));
    let mut written = Vec::new();
    write::request(&request, &mut written);
    assert!(written.ends_with(&request.body));
}

#[test]
fn s3_1_1_12_unreason() {
    let response = response("unreason");
    assert_eq!(response.status_code.code(), 200);
    assert!(reason_of(&response.status_code).starts_with("= 2**3 * 5**2 \u{43d}"));
    assert_eq!(response.body.len(), 154);
}

#[test]
fn s3_1_1_13_noreason() {
    let response = response("noreason");
    assert_eq!(response.status_code.code(), 100);
    assert_eq!(reason_of(&response.status_code), "");
    let mut written = Vec::new();
    write::response(&response, &mut written);
    assert!(written.starts_with(b"SIP/2.0 100 \r\n"));
}
