//! sipsak: OPTIONS, and the registration of a contact.

use std::process::{Command, Output};

use lamplight_tests::node::{Node, PASSWORD};
use lamplight_tests::program::installed;

use crate::old_phones;

fn sipsak(node: &Node, arguments: &[&str]) -> Output {
    let mut command = Command::new(installed("sipsak", "sipsak"));
    let proxy = node.ready.address("udp").to_string();
    command.args(["-vv", "-i", "-p", &proxy, "-u", "caller", "-a", PASSWORD]);
    command.args(arguments).output().expect("sipsak runs")
}

#[test]
fn sipsak_s_options_are_answered() {
    let node = old_phones();
    node.add_user("caller");
    // sipsak's From is its own: to a user it would be refused, to the domain it is nobody's.
    let output = sipsak(&node, &["-s", "sip:example.test"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}: {said}", output.status);
    assert!(said.contains("200 OK"), "{said}");
}

#[test]
fn sipsak_registers_a_contact() {
    let node = old_phones();
    node.add_user("caller");
    let output = sipsak(
        &node,
        &["-s", "sip:caller@example.test", "-U", "-C", "sip:caller@127.0.0.1:5099", "-x", "600"],
    );
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}: {said}", output.status);
    let listed = node.appliance(&["show", "registrations"]).expect_done();
    assert!(listed.contains("caller"), "{listed}");
}
