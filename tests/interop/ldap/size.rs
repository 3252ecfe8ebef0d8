//! Directories as large as the largest machine carries, and far larger.

use lamplight_tests::ldap::{BASE, Certificates, Options, Slapd, people};
use lamplight_tests::node::{Setup, member};

use super::{alarms, counted, is, set_up, shown, sync, tls_server};

/// Of a directory that is larger than any machine; `LAMPLIGHT_PEOPLE` asks for another number.
const MANY: usize = 100_000;

#[test]
fn as_many_as_the_machine_carries_become_users_in_a_stable_order() {
    let certificates = Certificates::default();
    let options = Options { has_sync: true, ..Options::default() };
    let slapd = Slapd::start(&certificates, &options, &people(6_000));
    let node = Setup::default().start();
    set_up(&node, &certificates, &tls_server(&slapd), &[]);
    let told = node.appliance(&["--json", "show", "capacity"]).json();
    let carried = member(&told, "capacity").expect("capacity")["max_users"].as_u64();
    let carried = carried.expect("a number");
    let first = sync(&node, &[]);
    eprintln!("{} ms for {carried} users of 6,000 entries", first["took_ms"]);
    assert_eq!(counted(&first, "added").0, carried);
    let (refused, names) = counted(&first, "refused");
    assert_eq!(refused, 6_000 - carried);
    assert!(names[0].starts_with(&format!("uid=p{carried:05},")), "{}", names[0]);
    assert!(alarms(&node).contains("ldap-users-waiting"));
    let nothing = sync(&node, &[]);
    eprintln!("{} ms for nothing", nothing["took_ms"]);
    is(&nothing, "added", &[]);

    // Who leaves makes room for the first who waits.
    slapd.modify(&format!("dn: uid=p00007,{BASE}\nchangetype: delete\n"));
    let second = sync(&node, &[]);
    is(&second, "disabled", &["p00007"]);
    is(&second, "added", &[&format!("p{carried:05}")]);
    let found = node.appliance(&["directory", "search", "PERSON 0599", "limit", "3"]).expect_done();
    // Ten begin so, and p00599 has it within.
    assert!(found.contains("3 of 11 people") && found.contains("no user"), "{found}");
}

#[test]
fn a_directory_larger_than_any_machine_is_read_and_the_rest_is_told() {
    let wanted = std::env::var("LAMPLIGHT_PEOPLE").ok().and_then(|text| text.parse().ok());
    let count: usize = wanted.unwrap_or(MANY);
    let certificates = Certificates::default();
    let slapd = Slapd::start(&certificates, &Options::default(), &people(count));
    let mut node = Setup::default().machine("MCS-7816-I4").start();
    set_up(&node, &certificates, &tls_server(&slapd), &[]);
    let first = sync(&node, &[]);
    let (added, refused) = (counted(&first, "added").0, counted(&first, "refused").0);
    assert_eq!((added, added + refused), (500, u64::try_from(count).expect("a number")));
    eprintln!("{} ms for {count} entries, {} KiB", first["took_ms"], node.resident());
    node.crash_and_restart();
    let told = shown(&node);
    assert_eq!((&told["users"], &told["waiting"]), (&500.into(), &refused.into()));
    let last = format!("person {:05}", count - 1);
    let asked = std::time::Instant::now();
    let found = node.appliance(&["directory", "search", &last]).expect_done();
    eprintln!("{:?} for a search, with the start of a command", asked.elapsed());
    assert!(found.contains("1 of 1 people"), "{found}");
}
