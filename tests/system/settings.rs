//! Bad settings are refused with one clear sentence; good ones do what they say.

use lamplight_tests::node::{Node, Setup};
use lamplight_tests::wire::Request;

/// Starts with a changed configuration; what the daemon said when it refused.
fn refusal(change: impl Fn(&str) -> String) -> String {
    let mut node = Node::prepare(Setup::default());
    let text = node.config_text(&node.setup.listen, "127.0.0.1:0");
    node.write_config(&change(&text));
    let (status, said) = node.start_refused();
    assert!(!status.success(), "{said}");
    assert!(status.code().is_some(), "an exit status, not a signal: {status} {said}");
    assert!(!said.contains("panicked"), "{said}");
    let lines: Vec<&str> = said.lines().filter(|l| !l.trim().is_empty()).collect();
    assert_eq!(lines.len(), 1, "one sentence: {said}");
    said
}

#[test]
fn an_unknown_key_is_refused_with_file_line_and_the_nearest_key() {
    let said = refusal(|text| text.replace("trusted =", "trused ="));
    assert!(said.contains("presenced.toml"), "the file: {said}");
    assert!(said.contains("trused"), "what is wrong: {said}");
    assert!(said.contains("trusted"), "the nearest key: {said}");
    // domain, data_dir, [sip], listen, trused.
    assert!(said.contains(":5") || said.contains("line 5"), "the line: {said}");
}

#[test]
fn an_unknown_section_is_refused_with_the_nearest_one() {
    let said = refusal(|text| text.replace("[http]", "[htpp]"));
    assert!(said.contains("htpp") && said.contains("http"), "{said}");
    assert!(said.contains(":6") || said.contains("line 6"), "the line: {said}");
}

#[test]
fn text_that_is_no_toml_is_refused_with_its_line() {
    let said = refusal(|text| text.replace("domain = ", "domain = = "));
    assert!(said.contains("presenced.toml"), "{said}");
    assert!(said.contains(":1") || said.contains("line 1"), "{said}");
}

#[test]
fn values_that_cannot_be_are_refused_by_key() {
    let cases = [
        ("\"udp:127.0.0.1:0\"", "\"smoke:127.0.0.1:0\"", "smoke"),
        ("\"udp:127.0.0.1:0\"", "\"udp:127.0.0.1:99999\"", "99999"),
        ("\"udp:127.0.0.1:0\"", "17", "listen"),
        ("trusted = []", "trusted = [\"10.0.0.0/40\"]", "10.0.0.0/40"),
        ("trusted = []", "trusted = [\"everybody\"]", "everybody"),
        ("domain = \"example.test\"", "domain = \"not a domain\"", "domain"),
        ("domain = \"example.test\"", "domain = \"\"", "domain"),
        ("domain = \"example.test\"\n", "", "domain"),
    ];
    for (from, to, named) in cases {
        let said = refusal(|text| {
            assert!(text.contains(from), "{text}");
            text.replace(from, to)
        });
        assert!(said.contains(named), "{from} -> {to}: {said}");
    }
}

#[test]
fn a_missing_configuration_file_is_refused_by_name() {
    let mut node = Node::prepare(Setup::default());
    std::fs::remove_file(node.config_path()).expect("remove");
    let (status, said) = node.start_refused();
    assert!(!status.success());
    assert!(said.contains("presenced.toml"), "{said}");
}

#[test]
fn an_address_in_use_is_refused_by_name() {
    let first = Node::start_new();
    let taken = format!("tcp:{}", first.ready.address("tcp"));
    let mut setup = Setup::default();
    setup.listen.push(taken);
    let mut second = Node::prepare(setup);
    let (status, said) = second.start_refused();
    assert!(!status.success());
    assert!(said.contains(&first.ready.address("tcp").to_string()), "{said}");
}

#[test]
fn the_ready_line_names_every_listener() {
    let node = Setup::default().listening("tcp:127.0.0.1:0").start();
    for (transport, count) in [("udp", 1), ("tcp", 2), ("tls", 1), ("http", 1)] {
        let addresses = &node.ready.addresses[transport];
        assert_eq!(addresses.len(), count, "{:?}", node.ready);
        assert!(addresses.iter().all(|a| a.port() != 0), "real ports: {:?}", node.ready);
    }
    assert!(node.ready.control.exists());
}

#[test]
fn two_nodes_share_no_store() {
    let first = Node::start_new();
    let mut second = Node::prepare(Setup::default().storing_in(&first.data_dir()));
    let (status, said) = second.start_refused();
    assert!(!status.success());
    let dir = first.data_dir();
    assert!(said.contains(dir.to_str().expect("plain")), "names the directory: {said}");
    first.add_user("alice");
}

#[test]
fn trusted_networks_are_exempt_and_nobody_else() {
    let node = Setup { trusted: vec!["192.0.2.0/24".to_owned()], ..Setup::default() }.start();
    let [alice] = node.clients(["alice"]);
    alice.transact(alice.registration()).expect_status(401);
    let node = Setup { trusted: vec!["127.0.0.0/8".to_owned()], ..Setup::default() }.start();
    let [alice] = node.clients(["alice"]);
    alice.transact(alice.registration()).expect_status(200);
    alice.transact(Request::new("OPTIONS", "sip:example.test")).expect_status(200);
}

#[test]
fn the_command_line_explains_itself() {
    let binary = lamplight_tests::node::build::binary("presenced");
    let help = std::process::Command::new(&binary).arg("--help").output().expect("runs");
    let text = String::from_utf8_lossy(&help.stdout).into_owned();
    assert!(help.status.success() && text.contains("--config"), "{text}");
    let version = std::process::Command::new(&binary).arg("--version").output().expect("runs");
    assert!(version.status.success());
    let misused = std::process::Command::new(&binary).arg("--no-such").output().expect("runs");
    assert!(!misused.status.success());
}
