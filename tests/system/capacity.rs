//! The machine's profile says how many users it serves; the one over the limit is named.

use std::fmt::Write as _;

use lamplight_tests::node::{Node, PASSWORD, Setup, Told, member};
use lamplight_tests::pidf;

fn small() -> Node {
    Setup::default().machine("MCS-7816-H3").start()
}

/// Imports users without passwords, `from` to `to` inclusive; the first has one.
fn import(node: &Node, from: usize, to: usize) -> Told {
    let mut csv = "id,password\n".to_owned();
    for i in from..=to {
        let password = if i == 1 { PASSWORD } else { "" };
        writeln!(csv, "user{i:04},{password}").expect("to a string");
    }
    let path = node.dir.path().join("import.csv");
    std::fs::write(&path, csv).expect("write import.csv");
    node.appliance(&["user", "import", path.to_str().expect("a plain path")])
}

fn number(node: &Node, command: &[&str], name: &str) -> u64 {
    let command = [&["--json"], command].concat();
    let told = node.appliance(&command).json();
    member(&told, name).and_then(|v| v.as_u64()).unwrap_or_else(|| panic!("no {name} in {told}"))
}

#[test]
fn the_501st_user_of_a_7816_is_refused_by_name_and_the_others_work_on() {
    let node = small();
    assert_eq!(number(&node, &["show", "capacity"], "max_users"), 500);
    import(&node, 1, 500).expect_done();
    let said = node.appliance(&["user", "add", "onetoomany"]).expect_refused();
    assert!(said.contains("onetoomany"), "by name: {said}");
    assert!(said.contains("500"), "with the limit: {said}");
    let alarms = node.appliance(&["show", "alarms"]).expect_done();
    assert!(alarms.contains("capacity") || alarms.contains("500"), "{alarms}");
    let first = node.client("user0001");
    first.register();
    first.publish(&pidf::open(&first.aor(), "works on"));
    // Room is room again.
    node.appliance(&["user", "delete", "user0500"]).expect_done();
    node.appliance(&["user", "add", "onetoomany"]).expect_done();
    assert_eq!(number(&node, &["show", "capacity"], "users_enabled"), 500);
}

#[test]
fn an_import_of_600_takes_500_and_names_the_rest_line_by_line() {
    let node = small();
    let told = import(&node, 1, 600);
    assert_eq!(told.code, Some(1), "not all was done: {}{}", told.out, told.err);
    let said = told.out + &told.err;
    for refused in ["user0501", "user0555", "user0600"] {
        assert!(said.contains(refused), "{refused} is named");
    }
    assert!(!said.contains("user0500"), "the 500th is in");
    // Line 1 is the header, so user 501 stands in line 502.
    assert!(said.contains("502"), "with its line: {said}");
    assert_eq!(number(&node, &["show", "capacity"], "users_enabled"), 500);
    node.client("user0001").register();
}

#[test]
fn disabled_users_do_not_count_and_cannot_come_back_over_the_limit() {
    let node = small();
    import(&node, 1, 500).expect_done();
    node.appliance(&["user", "disable", "user0007"]).expect_done();
    node.appliance(&["user", "add", "newcomer"]).expect_done();
    let said = node.appliance(&["user", "enable", "user0007"]).expect_refused();
    assert!(said.contains("user0007"), "{said}");
}

#[test]
fn a_smaller_machine_serves_the_first_by_creation_and_lists_the_rest() {
    let mut node = Node::start_new();
    let most = number(&node, &["show", "capacity"], "max_users");
    if most <= 500 {
        eprintln!("this machine carries {most} users at most: no smaller one to move to");
        return;
    }
    import(&node, 1, 520).expect_done();
    node.terminate();
    std::fs::write(node.dir.path().join("dmi/product_name"), "MCS-7816-H3\n").expect("write");
    node.start();
    assert_eq!(number(&node, &["show", "capacity"], "max_users"), 500);
    assert_eq!(number(&node, &["show", "capacity"], "users_left_out_total"), 20);
    let said = node.appliance(&["show", "capacity"]).expect_done();
    assert!(said.contains("user0501") && !said.contains("user0500"), "{said}");
    node.client("user0001").register();
}

#[test]
fn show_hardware_says_what_was_read_and_which_rule_decided() {
    let node = small();
    let said = node.appliance(&["show", "hardware"]).expect_done();
    assert!(said.contains("MCS-7816-H3") && said.contains("7816"), "{said}");
    let told = node.appliance(&["--json", "show", "hardware"]).json();
    assert_eq!(member(&told, "rule").and_then(|r| r.as_str()), Some("mcs"), "{told}");
}

#[test]
fn an_unknown_machine_is_classed_by_its_size() {
    let machine = ("QEMU".to_owned(), "Standard PC (Q35 + ICH9, 2009)".to_owned());
    let node = Setup { machine, ..Setup::default() }.start();
    let told = node.appliance(&["--json", "show", "hardware"]).json();
    assert_eq!(member(&told, "rule").and_then(|r| r.as_str()), Some("by_size"), "{told}");
    assert!(number(&node, &["show", "capacity"], "max_users") >= 500);
}
