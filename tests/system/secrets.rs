//! Passwords are on no command line, in no log, in no answer and not in the store.

use std::path::Path;

use lamplight_tests::node::{Node, PASSWORD};
use lamplight_tests::wire::message::find;

/// Every file under a directory that holds the text.
fn holders(dir: &Path, text: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in dir.read_dir().expect("a directory").flatten() {
        let path = entry.path();
        let kind = entry.file_type().expect("a kind");
        if kind.is_dir() {
            found.extend(holders(&path, text));
        } else if kind.is_file() {
            let bytes = std::fs::read(&path).unwrap_or_default();
            if find(&bytes, text).is_some() {
                found.push(path.display().to_string());
            }
        }
    }
    found
}

#[test]
fn a_password_is_nowhere_to_be_read() {
    let mut node = Node::start_new();
    let levels = node.appliance(&["show", "log"]);
    drop(levels);
    node.add_user("alice");
    let told = node.import_users(["bob", "carol"]).expect_done();
    assert!(!told.contains(PASSWORD), "{told}");
    std::fs::remove_file(node.dir.path().join("users.csv")).expect("remove the import");
    let alice = node.client("alice");
    alice.register();
    for command in ["show tech-support", "show users", "show user alice", "show alarms"] {
        let arguments: Vec<&str> = command.split(' ').collect();
        let said = node.appliance(&arguments).expect_done();
        assert!(!said.contains(PASSWORD), "{command}: {said}");
        let said = node.appliance(&[&["--json"], arguments.as_slice()].concat()).expect_done();
        assert!(!said.contains(PASSWORD), "--json {command}: {said}");
    }
    assert!(node.terminate().success());
    assert!(!node.output().contains(PASSWORD), "{}", node.output());
    assert!(!node.output().to_lowercase().contains("response=\""), "no digest in the log");
    assert_eq!(holders(node.dir.path(), PASSWORD.as_bytes()), Vec::<String>::new());
}

#[test]
fn a_password_on_the_command_line_is_misuse() {
    let node = Node::start_new();
    let told = node.appliance(&["user", "password", "alice", "on-the-command-line"]);
    assert_eq!(told.code, Some(2), "{}{}", told.out, told.err);
    let told = node.appliance(&["user", "add", "alice", "password", "on-the-command-line"]);
    assert_eq!(told.code, Some(2), "{}{}", told.out, told.err);
}

#[test]
fn the_store_and_the_control_socket_are_the_owner_s_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let node = Node::start_new();
    let mode = |path: &Path| path.metadata().expect("exists").permissions().mode() & 0o777;
    assert_eq!(mode(&node.data_dir()) & 0o007, 0, "others cannot read the store");
    assert_eq!(mode(&node.ready.control) & 0o007, 0, "others cannot administer");
}
