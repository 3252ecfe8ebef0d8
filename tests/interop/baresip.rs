//! baresip (Debian package baresip-core): configured by files, driven over its control port.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use lamplight_tests::node::{DOMAIN, Node, PASSWORD, eventually};
use lamplight_tests::pidf::{self, Presence};
use lamplight_tests::program::{Lines, Program, free_port, installed};
use lamplight_tests::wire::PATIENCE;

use crate::old_phones;

/// A running baresip of one user who watches another.
pub struct Baresip {
    pub program: Program,
    /// What it tells its user.
    pub console: Arc<Lines>,
    control: u16,
}

impl Baresip {
    /// Starts it for `user` with `friend` as its one contact.
    #[track_caller]
    pub fn start(node: &Node, user: &str, friend: &str, transport: &str) -> Self {
        let dir = node.dir.path().join(format!("baresip-{user}"));
        std::fs::create_dir(&dir).expect("a directory");
        let control = free_port();
        let server = node.ready.address(transport);
        let write = |name: &str, text: String| {
            std::fs::write(dir.join(name), text).expect("write a file");
        };
        let console_port = free_port();
        write("config", config(control, console_port));
        write(
            "accounts",
            format!(
                "<sip:{user}@{DOMAIN};transport={transport}>;auth_user={user};\
                 auth_pass={PASSWORD};outbound=\"sip:{server};transport={transport}\";\
                 regint=600;pubint=600\n"
            ),
        );
        write("contacts", format!("\"{friend}\" <sip:{friend}@{DOMAIN}>;presence=p2p\n"));
        let program = Program::start(&mut command(&dir));
        program.expect("baresip is ready");
        let stream = eventually("baresip's console", || {
            TcpStream::connect(("127.0.0.1", console_port)).ok()
        });
        let console = Arc::new(Lines::default());
        console.follow(stream);
        let baresip = Self { program, console, control };
        // Its answer shows that it has taken the console's connection, made before, as well.
        baresip.order("contacts", "");
        baresip
    }

    /// Waits for a text on its console.
    #[track_caller]
    pub fn expect_told(&self, text: &str) {
        let found = self.console.wait(|l| l.contains(text).then_some(()));
        assert!(found.is_some(), "baresip never told {text:?}, only {}", self.console.text());
    }

    /// Gives a command over the control port (netstrings of JSON); its answer.
    #[track_caller]
    pub fn order(&self, command: &str, params: &str) -> String {
        let mut stream = eventually("baresip's control port", || {
            TcpStream::connect(("127.0.0.1", self.control)).ok()
        });
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let order = serde_json::json!({"command": command, "params": params, "token": "t"});
        let order = order.to_string();
        let netstring = format!("{}:{order},", order.len());
        stream.write_all(netstring.as_bytes()).expect("give the order");
        let mut heard = String::new();
        let mut buffer = [0; 4096];
        while !heard.contains("\"response\":true") {
            let length = stream.read(&mut buffer).expect("an answer");
            assert!(length > 0, "baresip closed its control port after {heard}");
            heard.push_str(&String::from_utf8_lossy(&buffer[..length]));
        }
        heard
    }
}

fn command(dir: &Path) -> Command {
    let mut command = Command::new(installed("baresip", "baresip-core"));
    command.arg("-f").arg(dir).current_dir(dir);
    command
}

fn config(control: u16, console: u16) -> String {
    format!(
        "sip_listen 127.0.0.1:0\nrtp_ports 20000-30000\naudio_player aufile,/dev/null\n\
         audio_source ausine,400\naudio_alert aufile,/dev/null\n\
         module_path /usr/lib/baresip/modules\nmodule g711.so\nmodule ausine.so\n\
         module aufile.so\nmodule_tmp account.so\nmodule_app ctrl_tcp.so\n\
         module_app menu.so\nmodule_app contact.so\nmodule_app presence.so\n\
         module_app cons.so\nctrl_tcp_listen 127.0.0.1:{control}\n\
         cons_listen 127.0.0.1:{console}\n"
    )
}

#[test]
fn baresip_registers_and_receives_a_message() {
    for transport in ["udp", "tcp"] {
        let node = old_phones();
        let [_alice, bob] = node.clients(["alice", "bob"]);
        let alice = Baresip::start(&node, "alice", "bob", transport);
        alice.program.expect("200 OK");
        bob.message("sip:alice@example.test", "Watson, come here").expect_status(200);
        alice.expect_told("Watson, come here");
    }
}

#[test]
fn baresip_publishes_its_presence() {
    let node = old_phones();
    let [_alice, bob] = node.clients(["alice", "bob"]);
    let watch = bob.subscribe("sip:alice@example.test");
    assert!(!Presence::of(&watch.notify(&bob)).is_open());
    let alice = Baresip::start(&node, "alice", "bob", "udp");
    watch.notify_with(&bob, "of an open baresip", |m| Presence::of(m).is_open());
    alice.order("presence_offline", "");
    watch.notify_with(&bob, "of a closed baresip", |m| !Presence::of(m).is_open());
    alice.order("presence_online", "");
    watch.notify_with(&bob, "of an open baresip again", |m| Presence::of(m).is_open());
}

#[test]
fn baresip_sees_its_contact_s_presence_change() {
    let node = old_phones();
    let [_alice, bob] = node.clients(["alice", "bob"]);
    let alice = Baresip::start(&node, "alice", "bob", "udp");
    bob.publish_again(&pidf::open(&bob.aor(), "here"));
    eventually("bob to be online in baresip", || {
        alice.order("contacts", "").contains("Online").then_some(())
    });
    bob.publish_again(&pidf::document(&bob.aor(), "t1", "closed", "gone"));
    eventually("bob to be offline in baresip", || {
        alice.order("contacts", "").contains("Offline").then_some(())
    });
}
