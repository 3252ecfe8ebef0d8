//! Linphone (Debian package linphone-cli): another vendor's client, fed through its standard input.

use std::process::Command;

use lamplight_tests::node::{DOMAIN, Node, PASSWORD};
use lamplight_tests::pidf::{self, Presence};
use lamplight_tests::program::{Program, installed};

use crate::baresip::Baresip;
use crate::old_phones;

/// Starts linphonec for `user` with `friend` on its list.
#[track_caller]
fn linphone(node: &Node, user: &str, friend: &str, transport: &str) -> Program {
    let home = node.dir.path().join(format!("linphone-{user}"));
    for dir in [".local/share/linphone", ".config/linphone"] {
        std::fs::create_dir_all(home.join(dir)).expect("a directory");
    }
    let server = format!("<sip:{};transport={transport};lr>", node.ready.address(transport));
    let text = format!(
        "[sip]\nsip_port=-1\nsip_tcp_port=-1\nsip_tls_port=-1\ndefault_proxy=0\n\
         use_ipv6=0\npublish_presence=1\nverify_server_certs=0\nverify_server_cn=0\n\
         [proxy_0]\nreg_proxy={server}\nreg_route={server}\nreg_identity=<sip:{user}@{DOMAIN}>\n\
         reg_expires=600\nreg_sendregister=1\npublish=1\n\
         [auth_info_0]\nusername={user}\npasswd={PASSWORD}\nrealm=\"{DOMAIN}\"\ndomain={DOMAIN}\n\
         [friend_0]\nurl=\"{friend}\" <sip:{friend}@{DOMAIN}>\npol=accept\nsubscribe=1\n"
    );
    let file = home.join("linphonerc");
    std::fs::write(&file, text).expect("write linphonerc");
    let mut command = Command::new(installed("linphonec", "linphone-cli"));
    command.env("HOME", &home).current_dir(&home).args(["-d", "0", "-c"]).arg(&file);
    Program::start(&mut command)
}

#[test]
fn linphone_registers_publishes_and_is_seen() {
    for transport in ["udp", "tcp", "tls"] {
        let node = Node::start_new();
        let [_carol, bob] = node.clients(["carol", "bob"]);
        let watch = bob.subscribe("sip:carol@example.test");
        watch.notify(&bob);
        let mut carol = linphone(&node, "carol", "bob", transport);
        watch.notify_with(&bob, "of an open Linphone", |m| Presence::of(m).is_open());
        let listed = node.appliance(&["show", "registrations"]).expect_done();
        assert!(listed.contains("carol"), "{listed}");
        // An exchange with it, so that it has seen the answer to its PUBLISH.
        bob.message("sip:carol@example.test", "time to go").expect_status(200);
        carol.expect("time to go");
        carol.tell("quit");
        watch.notify_with(&bob, "of Linphone's end", |m| !Presence::of(m).is_open());
    }
}

#[test]
fn linphone_sends_and_receives_messages() {
    let node = Node::start_new();
    let [_carol, bob] = node.clients(["carol", "bob"]);
    bob.register();
    let watch = bob.subscribe("sip:carol@example.test");
    let mut carol = linphone(&node, "carol", "bob", "udp");
    watch.notify_with(&bob, "of an open Linphone", |m| Presence::of(m).is_open());
    carol.tell("chat sip:bob@example.test hello from linphone");
    let message = bob.expect("Linphone's MESSAGE", |m| {
        m.method() == Some("MESSAGE") && m.text().contains("hello from linphone")
    });
    assert!(message.from_tag().is_some(), "{message}");
    bob.message("sip:carol@example.test", "hello Linphone").expect_status(200);
    carol.expect("hello Linphone");
}

#[test]
fn linphone_sees_its_friend_s_presence() {
    let node = Node::start_new();
    let [_carol, bob] = node.clients(["carol", "bob"]);
    bob.publish_again(&pidf::open(&bob.aor(), "here"));
    let mut carol = linphone(&node, "carol", "bob", "udp");
    let listed = lamplight_tests::node::eventually("Linphone's subscription", || {
        let listed = node.appliance(&["show", "watchers", "bob"]).expect_done();
        listed.contains("carol").then_some(listed)
    });
    assert!(listed.contains("carol"));
    carol.expect("bob");
    carol.tell("quit");
    carol.wait();
}

#[test]
fn linphone_and_baresip_see_and_write_each_other() {
    let node = old_phones();
    let [_alice, _carol] = node.clients(["alice", "carol"]);
    let alice = Baresip::start(&node, "alice", "carol", "udp");
    alice.program.expect("200 OK");
    let mut carol = linphone(&node, "carol", "alice", "udp");
    lamplight_tests::node::eventually("carol to be online in baresip", || {
        alice.order("contacts", "").contains("Online").then_some(())
    });
    carol.expect("alice");
    carol.tell("chat sip:alice@example.test across vendors");
    alice.expect_told("across vendors");
}
