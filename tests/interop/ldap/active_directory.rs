//! An Active Directory: Samba's domain controller, which has Microsoft's schema, controls and
//! habits.

use lamplight_tests::ldap::Certificates;
use lamplight_tests::ldap::samba::{ADMIN, BASE, SECRET, Samba};
use lamplight_tests::node::{Setup, member};

use super::{api, is, shown, sync};

/// More than a server sends of one attribute at a time (MaxValRange).
const MANY: usize = 1_600;

#[test]
fn people_groups_and_sign_in_of_an_active_directory() {
    let certificates = Certificates::default();
    let samba = Samba::start(&certificates);
    for (id, name) in [("anna", "Anna"), ("bert", "Bert"), ("carl", "Carl")] {
        let given = format!("--given-name={name}");
        let mail = format!("--mail-address={id}@example.test");
        samba.tool(&["user", "create", id, SECRET, "--surname=Berg", &given, &mail]);
    }
    samba.tool(&["user", "disable", "carl"]);
    let node = Setup::default().start();
    // Its certificate does not name this address: it is known by its fingerprint.
    let pin = certificates.fingerprint();
    let words = ["set", "ldap", "office", "type", "ad", "servers", &samba.address, "pin", &pin];
    let account = ["bind-dn", ADMIN, "password", "base", BASE, "groups", "(objectClass=group)"];
    node.appliance_with(&[words.as_slice(), &account].concat(), &format!("{SECRET}\n"))
        .expect_done();

    // Administrator is a person to the directory, disabled accounts and computers are not.
    let first = sync(&node, &[]);
    is(&first, "added", &["administrator", "anna", "bert", "dns-dc1"]);
    assert!(shown(&node)["method"].as_str().expect("text").contains("uSNChanged"));
    let anna = node.appliance(&["show", "user", "anna"]).expect_done();
    assert!(anna.contains("Anna Berg") && anna.contains("anna@example.test"), "{anna}");
    let nothing = sync(&node, &[]);
    assert_eq!((&nothing["is_full"], &nothing["read"]), (&false.into(), &0.into()), "{nothing}");

    assert_eq!(api(&node, &format!("anna:{SECRET}"), "/api/v1/directory?q=berg").0, 200);
    assert_eq!(api(&node, "anna:wrong", "/api/v1/directory?q=berg").0, 401);

    samba.tool(&["user", "disable", "anna"]);
    samba.tool(&["user", "enable", "carl"]);
    samba.tool(&["user", "rename", "bert", "--samaccountname=bertram", "--force-new-cn=Bertram"]);
    let second = sync(&node, &[]);
    assert_eq!(second["is_full"], false, "{second}");
    is(&second, "added", &["carl"]);
    is(&second, "renamed", &["bert to bertram"]);
    is(&second, "disabled", &["anna"]);
    assert_eq!(api(&node, &format!("anna:{SECRET}"), "/api/v1/directory?q=berg").0, 401);
    assert_eq!(api(&node, &format!("bertram:{SECRET}"), "/api/v1/directory?q=berg").0, 200);

    // A group in a group, and one with more members than come at a time.
    let mut ldif = String::new();
    for number in 0..MANY {
        ldif.push_str(&format!(
            "dn: CN=m{number:04},CN=Users,{BASE}\nobjectClass: user\nsAMAccountName: m{number:04}\n\
             userAccountControl: 544\n\n"
        ));
    }
    samba.add(&ldif);
    let mut ldif =
        format!("dn: CN=crowd,CN=Users,{BASE}\nobjectClass: group\nsAMAccountName: crowd\n");
    for number in 0..MANY {
        ldif.push_str(&format!("member: CN=m{number:04},CN=Users,{BASE}\n"));
    }
    samba.add(&ldif);
    samba.tool(&["group", "add", "everybody"]);
    samba.tool(&["group", "addmembers", "everybody", "crowd,carl"]);
    let third = sync(&node, &[]);
    assert_eq!(third["added"]["count"], MANY, "{third}");
    let told = node.appliance(&["--json", "show", "ldap-groups"]).json();
    let groups = member(&told, "groups").expect("groups").as_array().expect("groups").clone();
    let size = |name: &str| {
        let group = groups.iter().find(|group| group["name"] == name).expect("a group");
        group["members"].as_array().expect("members").len()
    };
    assert_eq!((size("crowd"), size("everybody")), (MANY, MANY + 1));
}
