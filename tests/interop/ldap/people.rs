//! People of an OpenLDAP directory as users: import, changes, sign-in, search, groups.

use lamplight_tests::ldap::{BASE, Certificates, Options, SECRET, Slapd, person};
use lamplight_tests::node::{DOMAIN, Node, Setup, member};
use lamplight_tests::rlmi::ListNotice;
use lamplight_tests::wire::{Client, Via};
use serde_json::Value;

use super::{alarms, api, is, report, set_up, shown, sync, tls_server};

/// A picture, as far as anybody looks.
const PICTURE: &str = "/9j/4AAQSkZJRg==";

fn entries() -> String {
    let photo = format!("jpegPhoto:: {PICTURE}\n");
    [
        person("anna", "Anna Müller", &format!("telephoneNumber: +49 30 1234\n{photo}")),
        person("bert", "Bert Berg", "mail: second@example.test\nmanager: uid=anna\n"),
        person("o'neil", "Nell O'Neil", ""),
        format!(
            "dn: cn=Comma\\, Carl,{BASE}\nobjectClass: inetOrgPerson\ncn: Comma, Carl\nsn: Comma\n\
             uid: carl\nuserPassword: {SECRET}\n\n"
        ),
        format!(
            "dn: cn=pilots,{BASE}\nobjectClass: groupOfNames\ncn: pilots\n\
             member: UID=Anna, {BASE}\nmember: cn=crew,{BASE}\n\n"
        ),
        format!(
            "dn: cn=crew,{BASE}\nobjectClass: groupOfNames\ncn: crew\n\
             member: cn=Comma\\2C Carl,{BASE}\nmember: cn=pilots,{BASE}\n\n"
        ),
    ]
    .concat()
}

struct Office {
    certificates: Certificates,
    slapd: Slapd,
    node: Node,
}

fn office(has_sync: bool) -> Office {
    let certificates = Certificates::default();
    let options = Options { has_sync, ..Options::default() };
    let slapd = Slapd::start(&certificates, &options, &entries());
    let node = Setup::default().start();
    let groups = ["groups", "(objectClass=groupOfNames)"];
    set_up(&node, &certificates, &tls_server(&slapd), &groups);
    Office { certificates, slapd, node }
}

#[test]
fn what_happens_in_the_directory_happens_to_the_users_by_content_synchronization() {
    follows(office(true), "RFC 4533");
}

#[test]
fn what_happens_in_the_directory_happens_to_the_users_by_time_of_modification() {
    follows(office(false), "modifyTimestamp");
}

fn follows(office: Office, method: &str) {
    let Office { slapd, mut node, certificates: _kept } = office;
    node.add_user("bert");
    let before = report(node.appliance(&["--json", "utils", "ldap", "preview", "office"]));
    is(&before, "added", &["anna", "carl"]);
    is(&before, "adopted", &["bert"]);
    node.appliance(&["show", "user", "anna"]).expect_refused();

    let first = sync(&node, &[]);
    is(&first, "added", &["anna", "carl"]);
    is(&first, "adopted", &["bert"]);
    assert!(first["refused"]["names"][0].as_str().expect("a reason").contains("o'neil"));
    assert!(alarms(&node).contains("ldap-users-waiting"));
    let anna = node.appliance(&["show", "user", "anna"]).expect_done();
    assert!(anna.contains("Anna Müller") && anna.contains("+49 30 1234"), "{anna}");
    assert!(shown(&node)["method"].as_str().expect("text").contains(method), "{method}");
    let nothing = sync(&node, &[]);
    assert_eq!(nothing["is_full"], false, "{nothing}");
    for what in ["added", "adopted", "changed", "renamed", "disabled", "deleted"] {
        is(&nothing, what, &[]);
    }

    // Changed, renamed, moved in the tree, gone, new.
    slapd.modify(&format!(
        "dn: uid=anna,{BASE}\nchangetype: modify\nreplace: telephoneNumber\n\
         telephoneNumber: 99\n\ndn: uid=bert,{BASE}\nchangetype: modrdn\nnewrdn: uid=bertram\n\
         deleteoldrdn: 1\n\ndn: cn=Comma\\, Carl,{BASE}\nchangetype: delete\n\n\
         dn: uid=dora,{BASE}\nchangetype: add\nobjectClass: inetOrgPerson\nuid: dora\ncn: Dora\n\
         sn: D\nuserPassword: {SECRET}\n"
    ));
    let second = sync(&node, &[]);
    assert_eq!(second["is_full"], false, "{second}");
    is(&second, "added", &["dora"]);
    is(&second, "changed", &["anna"]);
    is(&second, "renamed", &["bert to bertram"]);
    is(&second, "disabled", &["carl"]);
    node.appliance(&["show", "user", "bert"]).expect_refused();
    let user = |id: &str| {
        let told = node.appliance(&["--json", "show", "user", id]).json();
        member(&told, "user").expect("a user").clone()
    };
    assert_eq!(user("anna")["telephone"], "99");
    assert_eq!(user("carl")["is_enabled"], false);
    assert_eq!(user("bertram")["directory"], "office");

    // Back within the grace period, and gone for good once it is over.
    let carl = format!(
        "dn: cn=Comma\\, Carl,{BASE}\nchangetype: add\nobjectClass: inetOrgPerson\n\
         cn: Comma, Carl\nsn: Comma\nuid: carl\n"
    );
    slapd.modify(&carl);
    // Another entry of the same id, with a key of its own: the id is taken until the user of the
    // old one is deleted.
    let third = sync(&node, &[]);
    assert!(third["refused"].to_string().contains("its id carl belongs to"), "{third}");
    node.appliance(&["set", "ldap", "office", "grace", "0"]).expect_done();
    let fourth = sync(&node, &[]);
    is(&fourth, "deleted", &["carl"]);
    is(&fourth, "added", &["carl"]);

    // All of it survives a crash, and goes on where it was.
    node.crash_and_restart();
    let after = sync(&node, &[]);
    assert_eq!(after["is_full"], false, "{after}");
    is(&after, "added", &[]);
    assert_eq!(shown(&node)["users"], 4);
}

#[test]
fn people_sign_in_by_the_directory_and_their_phones_by_credentials_of_their_own() {
    let Office { mut slapd, node, certificates: _kept } = office(true);
    node.add_user("local");
    sync(&node, &[]);
    let path = "/api/v1/directory?q=muller";
    let (status, body) = api(&node, &format!("anna:{SECRET}"), path);
    let found: Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!((status, &found["total"]), (200, &1.into()), "{found}");
    assert_eq!(found["people"][0]["id"], "anna");
    assert_eq!(api(&node, &format!("carl@{DOMAIN}:{SECRET}"), path).0, 200);
    assert_eq!(api(&node, &format!("local:{}", lamplight_tests::node::PASSWORD), path).0, 200);
    for wrong in ["anna:wrong", "anna:", "nobody:x", "local:wrong", "local:"] {
        assert_eq!(api(&node, wrong, path).0, 401, "{wrong}");
    }
    let (status, picture) = api(
        &node,
        &format!("local:{}", lamplight_tests::node::PASSWORD),
        "/api/v1/directory/anna/photo",
    );
    assert_eq!((status, &picture[..3]), (200, [0xff, 0xd8, 0xff].as_slice()));

    // A phone: credentials of its own, which end with it.
    let told = node.appliance(&["--json", "user", "device", "add", "anna", "desk"]).json();
    let device = member(&told, "device").expect("credentials");
    let password = device["password"].as_str().expect("a password");
    let server = node.ready.address("udp");
    let phone = Client::new(Via::Udp, server, DOMAIN, "anna", password);
    phone.register().expect_status(200);
    let stranger = Client::new(Via::Udp, server, DOMAIN, "anna", SECRET);
    let registration = stranger.registration();
    stranger.request(registration).expect_status(401);
    let shown = node.appliance(&["directory", "search", "müller"]).expect_done();
    assert!(shown.contains("1 of 1 people") && shown.contains("anna"), "{shown}");
    node.appliance(&["user", "device", "delete", "anna", "desk"]).expect_done();
    let registration = phone.registration();
    phone.request(registration).expect_status(401);

    // Without the directory nobody is let in by guess, and presence goes on.
    let told = node.appliance(&["--json", "user", "device", "add", "carl", "desk"]).json();
    let password = member(&told, "device").expect("credentials")["password"].clone();
    slapd.stop();
    assert_eq!(api(&node, &format!("carl:{SECRET}"), path).0, 503);
    assert_eq!(api(&node, &format!("local:{}", lamplight_tests::node::PASSWORD), path).0, 200);
    let carl = Client::new(Via::Udp, server, DOMAIN, "carl", password.as_str().expect("text"));
    carl.register().expect_status(200);
    let told = node.appliance(&["utils", "ldap", "sync", "office"]).expect_refused();
    assert!(told.contains("not reached"), "{told}");
    assert!(alarms(&node).contains("ldap-failed"));
    slapd.resume();
    sync(&node, &[]);
    assert!(!alarms(&node).contains("critical  ldap-failed"));
    assert_eq!(api(&node, &format!("carl:{SECRET}"), path).0, 200);
}

#[test]
fn guesses_are_held_back_and_sessions_stand_for_the_password() {
    let Office { node, slapd: _runs, certificates: _kept } = office(true);
    sync(&node, &[]);
    for _ in 0..5 {
        assert_eq!(api(&node, "anna:wrong", "/api/v1/directory?q=x").0, 401);
    }
    assert_eq!(api(&node, &format!("anna:{SECRET}"), "/api/v1/directory?q=x").0, 429);
    assert_eq!(api(&node, &format!("carl:{SECRET}"), "/api/v1/directory?q=x").0, 200);

    let url = |path: &str| format!("https://{}{path}", node.ready.address("http"));
    let curl = |words: &[&str]| {
        let mut command = std::process::Command::new("curl");
        let got = command.arg("-sk").args(words).output().expect("curl");
        String::from_utf8(got.stdout).expect("text")
    };
    let user = format!("carl:{SECRET}");
    let session = curl(&["-X", "POST", "-u", &user, &url("/api/v1/session")]);
    let session: Value = serde_json::from_str(&session).expect("JSON");
    let bearer = format!("Authorization: Bearer {}", session["token"].as_str().expect("a token"));
    let search = |field: &str| {
        let path = url(&format!("/api/v1/directory?q=berg&field={field}"));
        curl(&["-H", &bearer, "-w", "%{http_code}", &path])
    };
    assert!(search("surname").contains("\"total\":1"), "{}", search("surname"));
    assert!(search("mail").contains("\"total\":0"), "{}", search("mail"));
    assert!(search("shoe-size").ends_with("400"), "{}", search("shoe-size"));
    // Who is disabled is out at once.
    node.appliance(&["user", "disable", "carl"]).expect_done();
    assert!(search("mail").ends_with("401"));
    node.appliance(&["user", "enable", "carl"]).expect_done();
    assert!(search("mail").ends_with("200"));
    curl(&["-X", "DELETE", "-H", &bearer, &url("/api/v1/session")]);
    assert!(search("mail").ends_with("401"));
    let described = curl(&[&url("/api/v1/openapi.json")]);
    assert_eq!(serde_json::from_str::<Value>(&described).expect("JSON")["openapi"], "3.1.0");
}

#[test]
fn groups_follow_the_directory_through_each_other() {
    let Office { slapd, node, certificates: _kept } = office(true);
    sync(&node, &[]);
    let groups = || {
        let told = node.appliance(&["--json", "show", "ldap-groups"]).json();
        let groups = member(&told, "groups").expect("groups").as_array().expect("groups").clone();
        groups
            .iter()
            .map(|group| (group["name"].clone(), group["members"].to_string()))
            .collect::<Vec<_>>()
    };
    let both = "[\"anna\",\"carl\"]".to_owned();
    assert_eq!(groups(), [("crew".into(), both.clone()), ("pilots".into(), both)]);
    // A group is a list that somebody can subscribe to.
    node.add_user("desk");
    let desk = node.client("desk");
    let list = desk.subscription("sip:group.pilots@example.test").header("Supported", "eventlist");
    let watch = desk.subscribe_with(list);
    let on_it = |notice: ListNotice| notice.members.into_keys().collect::<Vec<_>>();
    let first = ListNotice::of(&watch.notify(&desk));
    assert_eq!(first.names, ["pilots"]);
    assert_eq!(on_it(first), ["sip:anna@example.test", "sip:carl@example.test"]);
    slapd.modify(&format!(
        "dn: cn=pilots,{BASE}\nchangetype: modify\nadd: member\nmember: uid=bert,{BASE}\n\n\
         dn: cn=crew,{BASE}\nchangetype: modify\ndelete: member\nmember: cn=pilots,{BASE}\n"
    ));
    sync(&node, &[]);
    let all = "[\"anna\",\"bert\",\"carl\"]".to_owned();
    assert_eq!(groups(), [("crew".into(), "[\"carl\"]".to_owned()), ("pilots".into(), all)]);
    let now = on_it(ListNotice::of(&watch.notify(&desk)));
    assert_eq!(now, ["sip:anna@example.test", "sip:bert@example.test", "sip:carl@example.test"]);
}

#[test]
fn the_schedule_brings_changes_by_itself_and_secrets_are_kept_sealed() {
    let Office { node, slapd: _runs, certificates: _kept } = office(true);
    node.appliance(&["set", "ldap", "office", "schedule", "1"]).expect_done();
    lamplight_tests::node::eventually("a user", || {
        node.appliance(&["show", "user", "anna"]).code.filter(|code| *code == 0)
    });
    let told = node.appliance(&["show", "ldap"]).expect_done();
    assert!(!told.contains(SECRET) && told.contains("every 1 minutes"), "{told}");
    let found = std::process::Command::new("grep")
        .args(["-rlF", SECRET])
        .arg(node.data_dir())
        .output()
        .expect("grep");
    assert_eq!(String::from_utf8_lossy(&found.stdout), "");
    // Forgotten, it leaves its users as local ones.
    node.appliance(&["unset", "ldap", "office", "force"]).expect_done();
    let anna = node.appliance(&["show", "user", "anna"]).expect_done();
    assert!(anna.contains("none: cannot sign in"), "{anna}");
    let told = node.appliance(&["show", "ldap"]).expect_done();
    assert!(told.contains("No directory is set"), "{told}");
}
