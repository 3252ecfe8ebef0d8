//! Directories: what the commands ask, and how the answers look.

use admin_api::answer::presence::Basic;
use admin_api::answer::{Answer, PolicyItem};
use admin_api::directory::{
    DeviceCredentials, Directory, DirectoryChange, Group, Names, People, PeopleQuery, Person,
    ServerTrial, SyncReport,
};
use admin_api::refusal::{Refusal, RefusalCode};
use admin_api::request::Request;
use admin_api::secret::Secret;
use admin_api::user_id::UserId;

use crate::one_shot::{appliance, text};
use crate::server::Server;

/// What steers a terminal, as a directory may hold it.
const BAD: &str = "Anna\u{1b}[2J";

fn failure() -> Refusal {
    let code = RefusalCode::DirectoryFailed;
    Refusal::new(code, "it does not answer", "ldap2.test", "check the network")
}

fn person() -> Person {
    Person {
        id: UserId::from("anna"),
        display_name: BAD.to_owned(),
        directory: Some("office".to_owned()),
        is_user: true,
        basic: Some(Basic::Open),
        fields: vec![("mail".to_owned(), vec!["anna@x".to_owned(), "a@x".to_owned()])],
    }
}

/// What the server answers to questions about directories.
pub(crate) fn answer(request: &Request) -> Answer {
    match request {
        Request::TestDirectory { .. } => Answer::DirectoryTested(vec![
            ServerTrial {
                server: "ldap1.test".to_owned(),
                refusal: None,
                people: 500,
                is_more: true,
                unusable: names(&[BAD]),
                sample: vec![("dn".to_owned(), BAD.to_owned())],
                absent: vec!["fax".to_owned()],
            },
            ServerTrial {
                server: "ldap2.test".to_owned(),
                refusal: Some(failure()),
                people: 0,
                is_more: false,
                unusable: Names::default(),
                sample: Vec::new(),
                absent: Vec::new(),
            },
        ]),
        Request::SyncDirectory { name, is_preview, .. } => {
            let mut added = names(&["anna"]);
            added.count = 3;
            Answer::DirectorySynced(Box::new(SyncReport {
                directory: name.clone(),
                is_preview: *is_preview,
                server: "ldap1.test".to_owned(),
                took_ms: 1_050,
                read: 9,
                added,
                held_back: Some("9 of 9 users have vanished at once".to_owned()),
                refused: names(&[BAD]),
                ..SyncReport::default()
            }))
        }
        Request::FindPeople(_) => Answer::People(People { total: 40, people: vec![person()] }),
        Request::ShowPerson { .. } => Answer::Person(Box::new(person())),
        Request::ShowGroups => Answer::Groups(vec![Group {
            name: BAD.to_owned(),
            uri: "sip:group.x@example.test".to_owned(),
            directory: "office".to_owned(),
            members: vec![UserId::from("anna"), UserId::from("bert")],
        }]),
        Request::ShowPolicy | Request::SetPolicy { .. } => Answer::Policy(vec![PolicyItem {
            name: "inside".to_owned(),
            value: "confirm".to_owned(),
            usual: "allow".to_owned(),
            allowed: "block, confirm, allow".to_owned(),
            meaning: BAD.to_owned(),
        }]),
        Request::SetDevice { id, device } => Answer::Device(DeviceCredentials {
            id: id.clone(),
            device: device.clone(),
            realm: "example.test".to_owned(),
            password: Secret::new("abcd".to_owned()),
        }),
        _ => Answer::Directories(vec![Directory {
            name: "office".to_owned(),
            kind: "ad".to_owned(),
            servers: vec!["ldap1.test".to_owned(), "ldap2.test".to_owned()],
            security: "ldaps".to_owned(),
            trusted: vec!["SHA-256 00:11".to_owned()],
            bind_dn: Some("cn=lamp".to_owned()),
            has_password: true,
            base: BAD.to_owned(),
            scope: "subtree".to_owned(),
            filter: "(objectClass=user)".to_owned(),
            attributes: vec![("id".to_owned(), "uid".to_owned())],
            group_filter: None,
            every_minutes: 15,
            grace_hours: 24,
            lacks: None,
            users: 7,
            waiting: 1,
            gone: 2,
            groups: 0,
            is_reading: false,
            method: "by change number (uSNChanged)".to_owned(),
            read_unix_ms: Some(0),
            failure: Some(failure()),
        }]),
    }
}

fn names(names: &[&str]) -> Names {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    Names { count: u64::try_from(names.len()).unwrap(), names }
}

#[test]
fn settings_are_asked_for_as_they_were_typed() {
    let server = Server::with_users(0);
    let pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let line = "set ldap office type ad servers dc1.test,dc2.test:3269 security starttls trust \
                pin 00:11,22 bind-dn cn=lamp password base dc=x scope one filter default \
                attributes mail=mail,fax= groups (objectClass=group) schedule 15 grace 0";
    let words: Vec<&str> = line.split_whitespace().collect();
    let output = appliance(&server, &words, &format!("open sesame\n{pem}"));
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
    let list = |items: &[&str]| Some(items.iter().map(|item| (*item).to_owned()).collect());
    let given = |text: &str| Some(text.to_owned());
    let change = DirectoryChange {
        kind: given("ad"),
        servers: list(&["dc1.test", "dc2.test:3269"]),
        security: given("starttls"),
        trust_pem: given(pem),
        pins: list(&["00:11", "22"]),
        bind_dn: given("cn=lamp"),
        password: Some(Secret::new("open sesame".to_owned())),
        base: given("dc=x"),
        scope: given("one"),
        filter: given(""),
        attributes: list(&["mail=mail", "fax="]),
        group_filter: given("(objectClass=group)"),
        every_minutes: Some(15),
        grace_hours: Some(0),
    };
    let asked = Request::SetDirectory { name: "office".to_owned(), change: Box::new(change) };
    assert_eq!(server.last_about_directories(), Some(asked));

    let words = ["set", "ldap", "office", "bind-dn", "none", "groups", "none", "no-trust"];
    appliance(&server, &words, "");
    let change = DirectoryChange {
        trust_pem: given(""),
        bind_dn: given(""),
        group_filter: given(""),
        ..DirectoryChange::default()
    };
    let asked = Request::SetDirectory { name: "office".to_owned(), change: Box::new(change) };
    assert_eq!(server.last_about_directories(), Some(asked));
}

#[test]
fn each_command_asks_what_it_says() {
    let server = Server::with_users(0);
    let name = || "office".to_owned();
    let sync = |is_full, is_forced, is_preview| Request::SyncDirectory {
        name: name(),
        is_full,
        is_forced,
        is_preview,
    };
    let query = |field: Option<&str>, offset, limit| {
        let field = field.map(str::to_owned);
        Request::FindPeople(PeopleQuery { text: "anna".to_owned(), field, offset, limit })
    };
    let (id, device) = (UserId::from("anna"), "desk".to_owned());
    let table = [
        ("show ldap", 0, Request::ShowDirectories),
        ("show ldap-groups", 0, Request::ShowGroups),
        ("show policy", 0, Request::ShowPolicy),
        (
            "set policy outside block",
            0,
            Request::SetPolicy { name: "outside".to_owned(), value: Some("block".to_owned()) },
        ),
        ("unset policy outside", 0, Request::SetPolicy { name: "outside".to_owned(), value: None }),
        ("unset ldap office force", 0, Request::UnsetDirectory { name: name() }),
        ("unset ldap office", 1, Request::UnsetDirectory { name: name() }),
        ("utils ldap test office", 1, Request::TestDirectory { name: name() }),
        ("utils ldap preview office", 0, sync(true, false, true)),
        ("utils ldap sync office", 0, sync(false, false, false)),
        ("utils ldap sync office full", 0, sync(true, false, false)),
        ("utils ldap sync office force", 0, sync(true, true, false)),
        ("directory search anna", 0, query(None, 0, 25)),
        ("directory search anna field mail offset 25 limit 5", 0, query(Some("mail"), 25, 5)),
        ("directory show anna", 0, Request::ShowPerson { id: id.clone() }),
        (
            "user device add anna desk",
            0,
            Request::SetDevice { id: id.clone(), device: device.clone() },
        ),
        ("user device delete anna desk", 0, Request::DeleteDevice { id, device }),
    ];
    for (line, code, request) in table {
        let words: Vec<&str> = line.split(' ').collect();
        let output = appliance(&server, &words, "");
        assert_eq!(output.status.code(), Some(code), "{line}: {}", text(&output.stderr));
        assert_eq!(server.last_about_directories(), Some(request), "{line}");
        let bad = |c: char| c.is_control() && c != '\n';
        assert!(!text(&output.stdout).contains(bad), "{line}");
    }
}

#[test]
fn answers_say_what_matters() {
    let server = Server::with_users(0);
    for (line, parts) in [
        ("show ldap", vec!["every 15 minutes", "it does not answer; check", "Vanished"]),
        ("utils ldap test office", vec!["500 or more people", "cannot be used", "has: fax"]),
        (
            "utils ldap sync office",
            vec!["1.050 s", "Added: 3", "… and 2 more", "Nobody is disabled: 9 of 9"],
        ),
        ("utils ldap preview office", vec!["nothing was"]),
        ("directory search anna", vec!["anna@x", "open", "1 of 40 people."]),
        ("directory show anna", vec!["anna@x, a@x"]),
        ("show ldap-groups", vec!["(office), 2", "anna bert"]),
        ("user device add anna desk", vec!["Password   abcd", "not shown again"]),
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        let output = appliance(&server, &words, "");
        let shown = text(&output.stdout);
        for part in parts {
            assert!(shown.contains(part), "{line}: {shown}");
        }
    }
}
