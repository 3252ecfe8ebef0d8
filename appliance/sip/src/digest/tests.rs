//! Digest against the examples of RFC 7616, and what is refused.

use std::time::Duration;

use super::*;
use crate::clock::WallTime;

/// RFC 7616 §3.9.1: one request under both algorithms.
fn rfc7616(algorithm: &str, response: &str) -> String {
    format!(
        "Digest username=\"Mufasa\",\
         realm=\"http-auth@example.org\",\
         uri=\"/dir/index.html\",\
         algorithm={algorithm},\
         nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\",\
         nc=00000001,\
         cnonce=\"f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ\",\
         qop=auth,\
         response=\"{response}\",\
         opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""
    )
}

fn mufasa() -> Ha1 {
    Ha1::from_password("Mufasa", "http-auth@example.org", "Circle of Life")
}

#[test]
fn rfc7616_s3_9_1_both_algorithms() {
    for (algorithm, response) in [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ] {
        let credentials = Credentials::parse(&rfc7616(algorithm, response)).unwrap();
        assert_eq!(credentials.username, "Mufasa");
        assert_eq!(credentials.nc, Some(1));
        assert!(credentials.verify(&mufasa(), "GET", b""), "{algorithm}");
        assert!(!credentials.verify(&mufasa(), "POST", b""), "{algorithm}");
        let other = Ha1::from_password("Mufasa", "http-auth@example.org", "Circle of life");
        assert!(!credentials.verify(&other, "GET", b""), "{algorithm}");
    }
}

#[test]
fn rfc7616_s3_9_2_an_algorithm_that_is_not_offered() {
    let value = rfc7616("SHA-512-256", "ae66e67d6b427bd3f120414a82e4acff");
    assert_eq!(Credentials::parse(&value), Err(CredentialsError::Algorithm));
}

#[test]
fn rfc2617_s3_5() {
    let credentials = Credentials::parse(
        "Digest username=\"Mufasa\", realm=\"testrealm@host.com\", \
         nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\", uri=\"/dir/index.html\", qop=auth, \
         nc=00000001, cnonce=\"0a4f113b\", response=\"6629fae49393a05397450978507c4ef1\", \
         opaque=\"5ccc069c403ebaf9f0171e9517f40e41\"",
    )
    .unwrap();
    let ha1 = Ha1::from_password("Mufasa", "testrealm@host.com", "Circle Of Life");
    assert_eq!(hex(&ha1.md5), "939e7578ed9e3c518a452acee763bce9");
    assert!(credentials.verify(&ha1, "GET", b"no matter"));
    assert_eq!(credentials.opaque.as_deref(), Some("5ccc069c403ebaf9f0171e9517f40e41"));
}

/// The values of RFC 2069 §2.4 as its errata (749) corrects them.
#[test]
fn rfc2069_without_qop() {
    let credentials = Credentials::parse(
        "Digest username=\"Mufasa\",realm=\"testrealm@host.com\",\
         nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\",uri=\"/dir/index.html\",\
         response=\"1949323746fe6a43ef61f9606e7febea\",\
         opaque=\"5ccc069c403ebaf9f0171e9517f40e41\"",
    )
    .unwrap();
    assert_eq!((credentials.qop, credentials.nc), (None, None));
    let ha1 = Ha1::from_password("Mufasa", "testrealm@host.com", "CircleOfLife");
    assert!(credentials.verify(&ha1, "GET", b""));
}

/// Computes a proof the long way round, from RFC 7616 §3.4.1 alone.
fn proof(md5: impl Fn(&str) -> String, a1: &str, a2: &str, middle: &str) -> String {
    md5(&format!("{}:{middle}:{}", md5(a1), md5(a2)))
}

fn md5_hex(text: &str) -> String {
    hex(&Md5::digest(text))
}

fn sha256_hex(text: &str) -> String {
    hex(&Sha256::digest(text))
}

#[test]
fn auth_int_covers_the_body() {
    let a2 = format!("PUBLISH:sip:alice@example.test:{}", sha256_hex("<presence/>"));
    let response = proof(sha256_hex, "alice:example.test:secret", &a2, "n:0000000a:c:auth-int");
    let credentials = Credentials::parse(&format!(
        "Digest username=\"alice\", realm=\"example.test\", nonce=\"n\", \
         uri=\"sip:alice@example.test\", algorithm=SHA-256, cnonce=\"c\", nc=0000000a, \
         qop=\"auth-int\", response=\"{response}\""
    ))
    .unwrap();
    let ha1 = Ha1::from_password("alice", "example.test", "secret");
    assert_eq!((credentials.qop, credentials.nc), (Some(Qop::AuthInt), Some(10)));
    assert!(credentials.verify(&ha1, "PUBLISH", b"<presence/>"));
    assert!(!credentials.verify(&ha1, "PUBLISH", b"<presence />"));
}

#[test]
fn session_algorithms_mix_in_both_nonces() {
    let a1 = format!("{}:n:c", md5_hex("alice:example.test:secret"));
    let response = proof(md5_hex, &a1, "REGISTER:sip:example.test", "n:00000001:c:auth");
    let credentials = Credentials::parse(&format!(
        "Digest username=\"alice\", realm=\"example.test\", nonce=\"n\", uri=\"sip:example.test\", \
         algorithm=MD5-sess, cnonce=\"c\", nc=00000001, qop=auth, response=\"{response}\""
    ))
    .unwrap();
    let ha1 = Ha1::from_password("alice", "example.test", "secret");
    assert!(credentials.verify(&ha1, "REGISTER", b""));
}

const BASE: &str = "Digest username=\"a\", realm=\"r\", nonce=\"n\", uri=\"sip:r\", response=\"0\"";

#[test]
fn odd_but_valid_credentials_are_read() {
    let credentials = Credentials::parse(
        "  digest  USERNAME = \"a \\\"b\\\", c\" ,realm=\"r\", , nonce=n, uri=\"sip:r;x=1,2\", \
         response=ABC, algorithm=md5, qop=\"auth\", nc=1f, cnonce=\"\"",
    )
    .unwrap();
    assert_eq!(credentials.username, "a \"b\", c");
    assert_eq!(credentials.uri, "sip:r;x=1,2");
    assert_eq!((credentials.nc, credentials.cnonce.as_deref()), (Some(31), Some("")));
    let named = BASE.replace("username=\"a\"", "username*=UTF-8''J%C3%A4s%C3%B8n");
    assert_eq!(Credentials::parse(&named).map(|c| c.username), Ok("J\u{e4}s\u{f8}n".to_owned()));
    assert!(Credentials::parse(&format!("{BASE}, userhash=true")).unwrap().userhash);
}

#[test]
fn malformed_credentials_are_refused() {
    use CredentialsError as E;
    assert!(Credentials::parse(BASE).is_ok());
    for (value, error) in [
        (String::new(), E::Scheme),
        ("Digest".to_owned(), E::Scheme),
        ("Basic dTpw".to_owned(), E::Scheme),
        ("NoOneKnowsThisScheme opaque-data=here".to_owned(), E::Scheme),
        ("Digest x".to_owned(), E::Malformed),
        (format!("{BASE}, realm=\"s\""), E::Malformed),
        (format!("{BASE}, opaque=\"s"), E::Malformed),
        (format!("{BASE}, qop=auth, cnonce=c"), E::Missing("nc")),
        (format!("{BASE}, qop=auth, nc=00000001"), E::Missing("cnonce")),
        (format!("{BASE}, qop=auth, nc=0000000g, cnonce=c"), E::Malformed),
        (format!("{BASE}, qop=auth, nc=+0000001, cnonce=c"), E::Malformed),
        (format!("{BASE}, qop=auth, nc=000000001, cnonce=c"), E::Malformed),
        (format!("{BASE}, qop=token"), E::Qop),
        (format!("{BASE}, algorithm=MD5-sess"), E::Missing("cnonce")),
        (format!("{BASE}, algorithm=SHA-1"), E::Algorithm),
        (BASE.replace("nonce=\"n\"", "x=y"), E::Missing("nonce")),
        (BASE.replace("username=\"a\"", "x=y"), E::Missing("username")),
        (BASE.replace("username=", "username*="), E::Malformed),
        (BASE.replace("username=\"a\"", "username*=UTF-8''%zz"), E::Malformed),
    ] {
        assert_eq!(Credentials::parse(&value), Err(error), "{value}");
    }
    let many: String = (0..30).map(|n| format!(", x{n}=1")).collect();
    assert_eq!(Credentials::parse(&format!("{BASE}{many}")), Err(E::Malformed));
}

#[test]
fn challenges_name_all_that_a_client_needs() {
    assert_eq!(
        challenge("example.test", "abc", Algorithm::Sha256, false),
        "Digest realm=\"example.test\", nonce=\"abc\", algorithm=SHA-256, qop=\"auth\""
    );
    assert_eq!(
        challenge("a\"b", "abc", Algorithm::Md5, true),
        "Digest realm=\"a\\\"b\", nonce=\"abc\", algorithm=MD5, qop=\"auth\", stale=true"
    );
}

#[test]
fn secrets_do_not_print() {
    assert_eq!(format!("{:?} {:?}", mufasa(), NonceMint::new([7; 32])), "Ha1 NonceMint");
}

#[test]
fn nonces_are_known_again_for_their_lifetime() {
    let mint = NonceMint::new([1; 32]);
    let at = WallTime::from_millis(1_800_000_000_000);
    let minute = Duration::from_secs(60);
    let nonce = mint.mint(at, 0xfedc_ba98_7654_3210);
    let fresh = NonceVerdict::Fresh { id: 0xfedc_ba98_7654_3210 };
    assert_eq!(mint.check(&nonce, at, minute), fresh);
    assert_eq!(mint.check(&nonce, at + minute, minute), fresh);
    assert_eq!(mint.check(&nonce, at + minute * 2, minute), NonceVerdict::Stale);
    assert_eq!(mint.check(&nonce, WallTime::from_millis(0), minute), NonceVerdict::Stale);
    assert_eq!(NonceMint::new([1; 32]).check(&nonce, at, minute), fresh, "after a restart");
    assert_eq!(NonceMint::new([2; 32]).check(&nonce, at, minute), NonceVerdict::Foreign);
    assert_ne!(nonce, mint.mint(at, 1));
}

#[test]
fn nonces_that_were_tampered_with_are_foreign() {
    let mint = NonceMint::new([1; 32]);
    let at = WallTime::from_millis(1_800_000_000_000);
    let nonce = mint.mint(at, 5);
    for place in 0..nonce.len() {
        let mut other = nonce.clone().into_bytes();
        other[place] = if other[place] == b'0' { b'1' } else { b'0' };
        let other = String::from_utf8(other).unwrap();
        assert_eq!(mint.check(&other, at, Duration::from_secs(60)), NonceVerdict::Foreign);
    }
    for other in ["", "x", &nonce[1..], &format!("{nonce}0"), &"\u{e9}".repeat(32)] {
        assert_eq!(mint.check(other, at, Duration::from_secs(60)), NonceVerdict::Foreign);
    }
}
