//! RFC 4475 §3.2 to §3.4: what transactions, applications and old peers make of a message. The
//! syntax decides some; for the others it has to show what the decision needs.

use sip::aor::{Aor, AorError};
use sip::digest::{Credentials, CredentialsError};
use sip::header::contact::Contact;
use sip::header::media_type::{Accept, MediaType};
use sip::header::name_addr::NameAddr;
use sip::header::options;
use sip::header::via::Via;
use sip::message::{HeaderAccess, Method};
use sip::uri;

use crate::{refusal, refused, request, response};

fn contact(name: &str) -> NameAddr {
    let request = request(name);
    let Ok(Contact::List(mut list)) = Contact::from_values(request.headers.values("Contact"))
    else {
        panic!("{name}: no list");
    };
    assert_eq!(list.len(), 1);
    list.remove(0)
}

#[test]
fn s3_2_1_badbranch_shows_its_empty_branch() {
    let request = request("badbranch");
    let via = Via::parse(request.headers.value("Via").unwrap()).unwrap();
    assert_eq!(via.branch.as_deref(), Some("z9hG4bK"));
}

#[test]
fn s3_3_1_insuf_missing_headers() {
    assert_eq!(refused("insuf"), (400, "Missing From".to_owned()));
    let answer = refusal("insuf");
    let names: Vec<_> = answer.headers.pairs().map(|(name, _)| name).collect();
    assert_eq!(names, ["CSeq", "Via"], "only what the request had");
}

#[test]
fn s3_3_2_unkscm_and_s3_3_3_novelsc() {
    for name in ["unkscm", "novelsc"] {
        assert_eq!(refused(name), (416, "Unsupported URI Scheme".to_owned()));
    }
}

#[test]
fn s3_3_4_unksm2_unknown_schemes_in_headers() {
    let request = request("unksm2");
    let to = NameAddr::parse(request.headers.value("To").unwrap()).unwrap();
    assert_eq!(uri::to_string(&to.uri), "isbn:2983792873");
    assert_eq!(Aor::from_uri(&to.uri), Err(AorError::Scheme), "the registrar refuses");
    let from = NameAddr::parse(request.headers.value("From").unwrap()).unwrap();
    assert_eq!(uri::to_string(&from.uri), "http://www.example.com");
    assert_eq!(uri::to_string(&contact("unksm2").uri), "name:John_Smith");
}

#[test]
fn s3_3_5_bext01_shows_the_unknown_extensions() {
    let request = request("bext01");
    let required: Vec<_> = options::tags(request.headers.values("Require")).collect();
    assert_eq!(required, ["nothingSupportsThis", "nothingSupportsThisEither"]);
    let required: Vec<_> = options::tags(request.headers.values("Proxy-Require")).collect();
    assert_eq!(required, ["noProxiesSupportThis", "norDoAnyProxiesSupportThis"]);
}

#[test]
fn s3_3_6_invut_shows_the_unknown_type() {
    let request = request("invut");
    let media_type = MediaType::parse(request.headers.value("Content-Type").unwrap()).unwrap();
    assert!(media_type.is("application", "unknownformat"));
    assert_eq!(request.body.len(), 40);
}

#[test]
fn s3_3_7_regaut01_an_unknown_authorization_scheme() {
    let request = request("regaut01");
    let credentials = Credentials::parse(request.headers.value("Authorization").unwrap());
    assert_eq!(credentials, Err(CredentialsError::Scheme), "a challenge follows");
}

#[test]
fn s3_3_8_multi01_repeated_single_headers() {
    assert_eq!(refused("multi01"), (400, "Repeated CSeq".to_owned()));
}

#[test]
fn s3_3_9_mcl01_two_lengths() {
    assert_eq!(refused("mcl01"), (400, "Differing Content-Length Headers".to_owned()));
}

/// The client transaction finds no branch of its own and drops it; no second Via may lead it on.
#[test]
fn s3_3_10_bcast_shows_whose_response_it_is() {
    let response = response("bcast");
    let top = Via::parse(response.headers.value("Via").unwrap()).unwrap();
    assert_eq!(top.branch.as_deref(), Some("z9hG4bK1324923"));
    let wire = crate::messages::named("bcast");
    assert_eq!(sip::scan::response(&wire).unwrap().branch, b"z9hG4bK1324923");
}

#[test]
fn s3_3_11_zeromf() {
    let request = request("zeromf");
    assert_eq!(request.method, Method::Options);
    let hops = request.headers.value("Max-Forwards").map(sip::header::max_forwards::parse);
    assert_eq!(hops, Some(Ok(0)));
}

#[test]
fn s3_3_12_cparam01_the_parameter_is_the_contacts() {
    let contact = contact("cparam01");
    assert_eq!(uri::to_string(&contact.uri), "sip:+19725552222@gw1.example.net");
    assert_eq!(contact.param("unknownparam"), Some(None));
}

#[test]
fn s3_3_13_cparam02_the_parameter_is_the_uris() {
    let contact = contact("cparam02");
    assert_eq!(uri::to_string(&contact.uri), "sip:+19725552222@gw1.example.net;unknownparam");
    assert!(contact.params.is_empty());
}

#[test]
fn s3_3_14_regescrt_headers_stay_in_the_contact() {
    let contact = contact("regescrt");
    assert_eq!(uri::headers(&contact.uri).as_deref(), Some("Route=%3Csip:sip.example.com%3E"));
}

#[test]
fn s3_3_15_sdp01_shows_what_is_accepted() {
    let request = request("sdp01");
    let accept = Accept::from_values(request.headers.values("Accept")).unwrap();
    assert!(!accept.accepts("application", "sdp"));
    assert!(accept.accepts("text", "nobodyKnowsThis"));
}

#[test]
fn s3_4_1_inv2543_is_taken() {
    let request = request("inv2543");
    let via = Via::parse(request.headers.value("Via").unwrap()).unwrap();
    assert_eq!(via.branch, None);
    let from = NameAddr::parse(request.headers.value("From").unwrap()).unwrap();
    assert_eq!(from.tag(), None);
    assert_eq!(uri::param(&from.uri, "user"), Some(Some("phone")));
    let to = NameAddr::parse(request.headers.value("To").unwrap()).unwrap();
    assert_eq!(to.param("user"), Some(Some("phone")));
    assert_eq!(request.body.len(), 150);
    assert!(!request.headers.has("Max-Forwards"));
}
