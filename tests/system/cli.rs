//! What an administrator types, and what comes back.

use expectrl::{Expect as _, Session};
use lamplight_tests::node::{Node, Setup, build, member};
use lamplight_tests::pidf;

fn run(node: &Node, line: &str) -> lamplight_tests::node::Told {
    let words: Vec<&str> = line.split(' ').collect();
    node.appliance(&words)
}

#[test]
fn users_are_added_shown_disabled_and_deleted() {
    let node = Node::start_new();
    let add = ["user", "add", "anna", "display-name", "Anna Lind", "password-stdin"];
    node.appliance_with(&add, "a-long-secret\n").expect_done();
    let said = run(&node, "show user anna").expect_done();
    assert!(said.contains("Anna Lind") && said.contains("sip:anna@example.test"), "{said}");
    assert!(run(&node, "user list").expect_done().contains("anna"));
    assert!(run(&node, "show users").expect_done().contains("anna"));
    let again = run(&node, "user add anna").expect_refused();
    assert!(again.contains("anna"), "{again}");
    run(&node, "user disable anna").expect_done();
    run(&node, "user enable anna").expect_done();
    run(&node, "user delete anna").expect_done();
    let gone = run(&node, "show user anna").expect_refused();
    assert!(gone.contains("anna"), "{gone}");
    assert!(!run(&node, "show users").expect_done().contains("anna"));
}

#[test]
fn exit_codes_tell_done_refused_and_misused_apart() {
    let node = Node::start_new();
    assert_eq!(run(&node, "show status").code, Some(0));
    for refused in ["show user nobody", "user delete nobody", "show presence nobody"] {
        assert_eq!(run(&node, refused).code, Some(1), "{refused}");
    }
    for misused in ["dance", "show nonsense", "user add", "user frobnicate x", "show status extra"]
    {
        let told = run(&node, misused);
        assert_eq!(told.code, Some(2), "{misused}: {}{}", told.out, told.err);
        assert!(!told.err.is_empty() || !told.out.is_empty(), "{misused} is explained");
    }
}

#[test]
fn without_a_daemon_the_command_says_so() {
    let mut node = Node::start_new();
    node.terminate();
    let told = run(&node, "show status");
    assert_eq!(told.code, Some(1), "{}{}", told.out, told.err);
    let socket = node.ready.control.to_str().expect("plain").to_owned();
    assert!(told.err.contains(&socket) || told.out.contains(&socket), "{}{}", told.out, told.err);
}

#[test]
fn unambiguous_prefixes_work_and_ambiguous_ones_are_explained() {
    let node = Node::start_new();
    node.add_user("anna");
    assert!(run(&node, "sh users").expect_done().contains("anna"));
    let told = run(&node, "show us anna");
    // "us" fits user and users.
    assert_eq!(told.code, Some(2), "{}{}", told.out, told.err);
    let said = told.out + &told.err;
    assert!(said.contains("user") && said.contains("users"), "{said}");
}

#[test]
fn every_show_command_answers_in_text_and_in_json() {
    let node = Setup::default().trusting().start();
    let [alice, bob] = node.clients(["alice", "bob"]);
    alice.register();
    alice.publish(&pidf::of_device(&alice.aor(), "desk", "open", "meeting"));
    bob.subscribe(&alice.aor()).notify(&bob);
    let commands = [
        ("show status", "example.test"),
        ("show version", ""),
        ("show hardware", "MCS-7845-H2"),
        ("show capacity", ""),
        ("show users", "alice"),
        ("show user alice", "sip:alice@example.test"),
        ("show presence alice", "meeting"),
        ("show watchers alice", "bob"),
        ("show subscriptions", "bob"),
        ("show registrations", "alice"),
        ("show alarms", ""),
        ("show tech-support", "example.test"),
    ];
    for (command, expected) in commands {
        let said = run(&node, command).expect_done();
        assert!(said.contains(expected), "{expected} in {command}: {said}");
        assert!(!said.trim().is_empty(), "{command} says something");
        let told = run(&node, &format!("--json {command}")).json();
        assert!(told.to_string().contains(expected), "{expected} in {command}: {told}");
    }
    let told = run(&node, "--json show watchers alice").json();
    assert_eq!(member(&told, "total").and_then(|t| t.as_u64()), Some(1), "{told}");
}

#[test]
fn refusals_in_json_say_what_where_and_next() {
    let node = Node::start_new();
    let told = run(&node, "--json show user nobody");
    assert_eq!(told.code, Some(1));
    let text = if told.out.trim().is_empty() { told.err } else { told.out };
    let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    for name in ["what", "where", "next"] {
        assert!(member(&value, name).is_some(), "{name} in {value}");
    }
}

#[test]
fn an_import_names_each_refused_line_and_takes_the_others() {
    let node = Node::start_new();
    let csv = "id,display-name,mail,password\n\
               anna,Anna Lind,anna@example.test,good-password-1\n\
               ,Nobody,,\n\
               be:rt,Bert,,\n\
               carl,\"Carl \"\"Calle\"\" Ek, jr\",,\n\
               anna,Anna Again,,\n\
               dora,Dora\n";
    let path = node.dir.path().join("some.csv");
    std::fs::write(&path, csv).expect("write");
    let told = node.appliance(&["user", "import", path.to_str().expect("plain")]);
    assert_eq!(told.code, Some(1), "{}{}", told.out, told.err);
    let said = told.out + &told.err;
    for line in ["3", "4"] {
        assert!(said.contains(&format!("line {line}")), "line {line} is named: {said}");
    }
    assert!(said.contains("be:rt"), "{said}");
    let users = run(&node, "show users").expect_done();
    assert!(users.contains("anna") && users.contains("carl"), "{users}");
    assert!(run(&node, "show user carl").expect_done().contains("Carl \"Calle\" Ek, jr"));
}

#[test]
fn an_import_that_cannot_be_read_is_refused_as_a_whole() {
    let node = Node::start_new();
    for (csv, named) in
        [("name,mail\nx,y\n", "id"), ("id,shoe-size\nx,44\n", "shoe-size"), ("", "")]
    {
        let path = node.dir.path().join("bad.csv");
        std::fs::write(&path, csv).expect("write");
        let told = node.appliance(&["user", "import", path.to_str().expect("plain")]);
        assert_eq!(told.code, Some(1), "{csv:?}: {}{}", told.out, told.err);
        let said = told.out + &told.err;
        assert!(said.contains(named), "{csv:?}: {said}");
    }
    let told = run(&node, "user import /no/such/file.csv");
    assert_ne!(told.code, Some(0));
    assert!((told.out + &told.err).contains("/no/such/file.csv"));
}

#[test]
fn help_lists_the_commands() {
    let node = Node::start_new();
    let said = run(&node, "help").expect_done();
    for word in ["show", "user", "utils", "help"] {
        assert!(said.contains(word), "{word}: {said}");
    }
    let said = run(&node, "help user add").expect_done();
    assert!(said.contains("display-name") && said.contains("password-stdin"), "{said}");
}

#[test]
fn log_levels_change_live_and_the_log_can_be_read() {
    let node = Setup::default().trusting().start();
    let [alice] = node.clients(["alice"]);
    run(&node, "set log level default debug").expect_done();
    assert!(run(&node, "show log level").expect_done().contains("debug"));
    alice.publish(&pidf::open(&alice.aor(), "logged"));
    let count = |line: &str| run(&node, line).expect_done().lines().count();
    let detailed = count("show log lines 1000");
    let severe = count("show log lines 1000 at-least warn");
    assert!(detailed > severe, "{detailed} lines, {severe} of them severe");
    run(&node, "unset log level default").expect_done();
    assert_eq!(run(&node, "set log level default loudly").code, Some(2));
    let unknown = run(&node, "set log level no-such-area debug");
    assert_ne!(unknown.code, Some(0), "{}{}", unknown.out, unknown.err);
    let logs = run(&node, "--json file list log").json();
    let name = member(&logs, "name").and_then(|n| n.as_str()).expect("a log").to_owned();
    assert!(!run(&node, &format!("file view log {name}")).expect_done().is_empty());
}

#[test]
fn the_shell_prompts_completes_lists_and_ends() {
    let node = Node::start_new();
    node.add_user("anna");
    let mut command = std::process::Command::new(build::binary("appliance"));
    command.arg("--socket").arg(&node.ready.control).env("TERM", "xterm");
    let mut shell = Session::spawn(command).expect("a terminal");
    shell.set_expect_timeout(Some(lamplight_tests::wire::PATIENCE));
    shell.expect("admin:").expect("the prompt");
    shell.send("set cli pagination off\r").expect("type");
    shell.expect("admin:").expect("the prompt after a command");
    shell.send("show us?").expect("type");
    shell.expect("users").expect("what may follow");
    shell.send("\x15show users\r").expect("type");
    shell.expect("anna").expect("the users");
    shell.expect("admin:").expect("the prompt again");
    shell.send("show sta\t\r").expect("type");
    shell.expect("example.test").expect("Tab completed show status");
    shell.expect("admin:").expect("the prompt again");
    shell.send("no such command\r").expect("type");
    shell.expect("admin:").expect("it goes on after a mistake");
    shell.send("exit\r").expect("type");
    shell.expect(expectrl::Eof).expect("the end");
}
