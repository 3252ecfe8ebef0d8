//! Directories that cannot be used: each fault is named, and nobody is disabled for it.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use lamplight_tests::ldap::{BASE, Certificates, Options, SECRET, Slapd, people, person};
use lamplight_tests::node::{Node, Setup};
use lamplight_tests::program::free_port;

use super::{alarms, is, set_up, shown, sync, tls_server};

fn set(node: &Node, words: &[&str], input: &str) {
    let words = [["set", "ldap", "office"].as_slice(), words].concat();
    node.appliance_with(&words, input).expect_done();
}

#[test]
fn each_fault_says_what_to_mend() {
    let certificates = Certificates::default();
    let slapd = Slapd::start(&certificates, &Options::default(), &people(3));
    let node = Setup::default().start();
    let told = |words: &[&str], input: &str| {
        set(&node, words, input);
        let told = node.appliance(&["utils", "ldap", "test", "office"]);
        (told.code, told.out + &told.err)
    };
    let fails = |words: &[&str], input: &str, parts: &[&str]| {
        let (code, said) = told(words, input);
        assert_eq!(code, Some(1), "{words:?}: {said}");
        for part in parts {
            assert!(said.contains(part), "{words:?}: no {part:?} in {said}");
        }
    };
    let server = tls_server(&slapd);
    let plain = format!("localhost:{}", slapd.port);
    fails(&["servers", &server], "", &["no base is set"]);
    fails(&["base", BASE], "", &["no certificate is trusted"]);
    let other = Certificates::default().authority();
    fails(&["trust"], &other, &["UnknownIssuer", "set ldap NAME trust"]);
    set(&node, &["trust"], &certificates.authority());
    fails(&["servers", &format!("127.0.0.2:{}", slapd.tls_port)], "", &["not reached"]);
    fails(&["servers", &format!("localhost:{}", free_port())], "", &["not reached", "network"]);
    fails(&["servers", "nowhere.invalid"], "", &["not reached", "check the server's name"]);
    fails(&["servers", &plain], "", &[&plain]);
    fails(&["servers", &server, "bind-dn", "cn=nobody"], "", &["no password"]);
    let account = ["bind-dn", lamplight_tests::ldap::ADMIN, "password"];
    fails(&account, "wrong\n", &["the account or its password is wrong", "bind-dn"]);
    set(&node, &account, &format!("{SECRET}\n"));
    fails(&["base", "dc=other,dc=test"], "", &["no such entry", "set ldap NAME base"]);
    fails(&["base", "nonsense"], "", &["no distinguished name"]);
    fails(&["base", BASE, "filter", "(uid=zz*)"], "", &["no entry matches (uid=zz*)"]);
    fails(&["filter", "default", "attributes", "id=shoeSize"], "", &["it has no shoeSize"]);
    let (code, said) = told(&["attributes", "title=shoeSize"], "");
    assert!(code == Some(0) && said.contains("Nobody there has:"), "{said}");
    assert!(said.contains("title") && said.contains("telephone: +49 30 00000"), "{said}");
    for (words, part) in [
        (vec!["filter", "(uid="], "is no filter"),
        (vec!["servers", "ldap://x"], "is no server"),
        (vec!["servers", "a,b,c,d"], "3 servers at most"),
        (vec!["pin", "12:34"], "no SHA-256 fingerprint"),
        (vec!["attributes", "shoe-size=x"], "the fields are id"),
        (vec!["trust"], "no certificate in PEM form"),
    ] {
        let words = [["set", "ldap", "office"].as_slice(), &words].concat();
        let told = node.appliance_with(&words, "nonsense").expect_refused();
        assert!(told.contains(part), "{words:?}: {told}");
    }
    // StartTLS; a pinned certificate without its authority; the second server where the first is gone.
    let (code, said) = told(&["security", "starttls", "servers", &plain], "");
    assert_eq!(code, Some(0), "{said}");
    let pin = certificates.fingerprint();
    let (code, said) = told(&["no-trust", "pin", &pin], "");
    assert_eq!(code, Some(0), "{said}");
    let both = format!("localhost:{},{plain}", free_port());
    set(&node, &["servers", &both], "");
    is(&sync(&node, &[]), "added", &["p00000", "p00001", "p00002"]);
    // Nobody may read without an account.
    let strict = Options { database: "access to * by * none\n".to_owned(), ..Options::default() };
    let closed = Slapd::start(&certificates, &strict, &people(3));
    let server = format!("localhost:{}", closed.port);
    fails(&["servers", &server, "bind-dn", "none"], "", &["no such entry"]);
}

#[test]
fn a_directory_that_is_empty_cut_short_or_wrong_disables_nobody() {
    let certificates = Certificates::default();
    let whole = Slapd::start(&certificates, &Options::default(), &people(40));
    let node = Setup::default().start();
    set_up(&node, &certificates, &tls_server(&whole), &[]);
    assert_eq!(sync(&node, &[])["added"]["count"], 40);
    let users = || shown(&node)["users"].clone();

    let limited = Options {
        database: "limits dn.exact=\"cn=reader,dc=example,dc=test\" size=10\n".to_owned(),
        ..Options::default()
    };
    let reader = format!(
        "dn: cn=reader,{BASE}\nobjectClass: organizationalRole\nobjectClass: simpleSecurityObject\n\
         cn: reader\nuserPassword: {SECRET}\n\n"
    );
    let short = Slapd::start(&certificates, &limited, &(reader + &people(40)));
    let reader = format!("cn=reader,{BASE}");
    let server = tls_server(&short);
    set(&node, &["servers", &server, "bind-dn", &reader, "password"], &format!("{SECRET}\n"));
    let told = node.appliance(&["utils", "ldap", "sync", "office"]).expect_refused();
    assert!(told.contains("returns fewer entries"), "{told}");
    assert_eq!(users(), 40);

    let empty = Slapd::start(&certificates, &Options::default(), "");
    let account = ["bind-dn", lamplight_tests::ldap::ADMIN];
    set(&node, &[["servers", &tls_server(&empty)], account].concat(), "");
    let report = sync(&node, &[]);
    assert!(report["held_back"].as_str().expect("a reason").contains("40 of 40"), "{report}");
    assert_eq!((users(), report["disabled"]["count"].as_u64()), (40.into(), Some(0)));
    assert!(alarms(&node).contains("ldap-held-back"));
    // Half of them: no. Less than half: they are gone.
    let half = Slapd::start(&certificates, &Options::default(), &people(20));
    set(&node, &["servers", &tls_server(&half)], "");
    assert_eq!(sync(&node, &[])["disabled"]["count"], 0);
    set(&node, &["servers", &tls_server(&whole)], "");
    assert_eq!(sync(&node, &[])["held_back"], serde_json::Value::Null);
    whole.modify(&format!("dn: uid=p00039,{BASE}\nchangetype: delete\n"));
    is(&sync(&node, &[]), "disabled", &["p00039"]);
    // Whoever says force is believed.
    set(&node, &["servers", &tls_server(&empty)], "");
    assert_eq!(sync(&node, &["force"])["disabled"]["count"], 39);
}

#[test]
fn what_is_elsewhere_is_told_and_not_followed() {
    let certificates = Certificates::default();
    let mut slapd = Slapd::start(&certificates, &Options::default(), "");
    // A reference below the base, and one at it, which lead round in a circle.
    let url = format!("ldap://localhost:{}", slapd.port);
    let reference = |name: &str| {
        format!(
            "dn: ou={name},{BASE}\nobjectClass: referral\nobjectClass: extensibleObject\n\
             ou: {name}\nref: {url}/ou={name},{BASE}\n\n"
        )
    };
    slapd.stop();
    let slapd = Slapd::start(
        &certificates,
        &Options::default(),
        &(person("anna", "A B", "") + &reference("x")),
    );
    let node = Setup::default().start();
    set_up(&node, &certificates, &tls_server(&slapd), &[]);
    let report = sync(&node, &[]);
    is(&report, "added", &["anna"]);
    assert_eq!(report["references"], 1, "{report}");
    set(&node, &["base", &format!("ou=x,{BASE}")], "");
    let told = node.appliance(&["utils", "ldap", "sync", "office"]).expect_refused();
    assert!(told.contains("the entries are elsewhere: ldap://localhost"), "{told}");
}

#[test]
fn servers_that_speak_no_ldap_or_nothing_are_left_and_presence_goes_on() {
    let node = Setup::default().start();
    let server = |answer: &'static [u8]| {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                let mut asked = [0; 512];
                let _ = stream.read(&mut asked);
                let _ = stream.write_all(answer);
                if answer.is_empty() {
                    // Half open: it neither answers nor ends.
                    std::mem::forget(stream);
                }
            }
        });
        format!("127.0.0.1:{port}")
    };
    set(&node, &["base", BASE, "security", "plain", "servers", "localhost:1"], "");
    for (answer, parts) in [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n".as_slice(), ["", ""]),
        (b"\x30\x84\xff\xff\xff\xff", ["", ""]),
        // A bind response whose code is no number.
        (b"\x30\x0c\x02\x01\x01\x61\x07\x04\x01\x00\x04\x00\x04\x00", ["", ""]),
        (b"", ["does not answer in time", "check the server's name"]),
    ] {
        set(&node, &["servers", &server(answer)], "");
        let told = node.appliance(&["utils", "ldap", "sync", "office"]).expect_refused();
        for part in parts {
            assert!(told.contains(part), "{answer:?}: {told}");
        }
        node.appliance(&["show", "status"]).expect_done();
    }
    node.add_user("anna");
    node.client("anna").register().expect_status(200);
}
