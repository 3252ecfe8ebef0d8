//! The console: the questions of the first start, signing in, a network that was set wrong, and
//! the lost password.

use std::net::UdpSocket;
use std::time::Duration;

use lamplight_tests::machine::{Hardware, Machine, Ports, START_WITHIN};

use crate::start::{PASSWORD, until_serving};

/// How long the console may take for an answer.
const ANSWER: Duration = Duration::from_secs(120);

/// How long nothing is printed once all that was typed has had its effect.
const QUIET: Duration = Duration::from_secs(5);

/// What must not open anything at the prompt or before it.
const KEYS: &[&str] = &[
    "\u{3}",
    "\u{1a}",
    "\u{1c}",
    "\u{1b}[A",
    "\u{1b}OP",
    "\u{1b}!",
    "\u{14}",
    "\u{18}\u{5}",
    "\t\t",
];

#[test]
fn an_administrator_at_the_console_sets_it_up_and_stays_its_master() {
    let machine = Machine::start(Hardware::default(), None);
    first_start(&machine);
    sign_in(&machine);
    let console = &machine.serial;
    for keys in KEYS {
        console.type_in(keys);
    }
    console.enter("");
    console.settle(QUIET);
    // Ctrl-D on an empty line signs out, and no more than that.
    console.type_in("\u{4}");
    sign_in(&machine);
    until_serving(&machine);
    console.enter("user add anna");
    console.expect("New password", ANSWER);
    console.enter("");
    console.expect("again", ANSWER);
    console.enter("");
    console.expect("was added", ANSWER);
    console.expect_prompt(ANSWER);
    a_wrong_network_is_undone(&machine);
    console.enter("exit");
    a_lost_password_is_replaced(&machine);
    console.enter("show user anna");
    console.expect("anna", ANSWER);
    console.expect("sip:anna@example.test", ANSWER);
}

fn first_start(machine: &Machine) {
    let console = &machine.serial;
    console.expect("Host name [lamplight]: ", START_WITHIN);
    for keys in KEYS {
        console.type_in(keys);
    }
    console.enter("");
    console.settle(QUIET);
    // Ctrl-C begins again with the first question, whatever was typed.
    console.type_in("\u{3}");
    console.expect("Host name [", ANSWER);
    console.expect("]: ", ANSWER);
    console.enter("lamp 1");
    console.expect("Host name [", ANSWER);
    console.expect("]: ", ANSWER);
    console.enter("lamp1");
    let answer = |question: &str, answer: &str| {
        console.expect(question, ANSWER);
        console.expect(": ", ANSWER);
        console.enter(answer);
    };
    answer("SIP domain", "no domain");
    answer("SIP domain", "example.test");
    answer("IPv4: dhcp or static [dhcp]", "static");
    answer("IPv4 address and prefix length", "10.0.2.15/24");
    answer("IPv4 gateway", "192.0.2.1");
    answer("IPv4 gateway", "10.0.2.2");
    answer("IPv6: automatic, static or off", "off");
    answer("Name servers", "10.0.2.3");
    answer("Time zone", "Europe/Atlantis");
    answer("Time zone", "Europe/Berlin");
    answer("Time servers", "");
    answer("Password of the account", "short");
    answer("Password of the account", PASSWORD);
    answer("The same again", "not the same");
    answer("Password of the account", PASSWORD);
    answer("The same again", PASSWORD);
    let summary = console.expect("Set the appliance up like this?", ANSWER);
    let text = console.text();
    assert!(!text.contains("Warning"), "{text}");
    assert!(summary.contains("10.0.2.15/24, gateway 10.0.2.2"), "{summary}");
    console.expect("]: ", ANSWER);
    console.enter("yes");
    console.expect("The appliance is set up.", ANSWER);
}

fn sign_in(machine: &Machine) {
    let console = &machine.serial;
    console.expect("lamp1 login: ", ANSWER);
    console.enter("root");
    console.expect("Password: ", ANSWER);
    console.enter(PASSWORD);
    console.expect("Login incorrect", ANSWER);
    console.expect("login: ", ANSWER);
    console.enter("admin");
    console.expect("Password: ", ANSWER);
    console.enter(PASSWORD);
    console.expect_prompt(ANSWER);
}

/// Cut off by a mistake, one waits, and it is as before.
fn a_wrong_network_is_undone(machine: &Machine) {
    let console = &machine.serial;
    assert!(answers(machine), "SIP over UDP before");
    console.enter("set network ip static 10.0.2.77/24 gateway 10.0.2.2");
    console.expect("yes", ANSWER);
    console.enter("yes");
    console.expect("120", ANSWER);
    console.expect_prompt(ANSWER);
    console.enter("show network");
    console.expect("10.0.2.77/24", ANSWER);
    console.expect_prompt(ANSWER);
    assert!(!answers(machine), "the former address still answers");
    until_serving(machine);
    console.enter("show network");
    let shown = console.expect_prompt(ANSWER);
    assert!(shown.contains("10.0.2.15/24") && !shown.contains("10.0.2.77"), "{shown}");
}

/// Whether the machine answers an OPTIONS over UDP.
fn answers(machine: &Machine) -> bool {
    const REQUEST: &str = "OPTIONS sip:example.test SIP/2.0\r\n\
        Via: SIP/2.0/UDP 127.0.0.1:5062;rport;branch=z9hG4bK1\r\nMax-Forwards: 70\r\n\
        From: <sip:anna@example.test>;tag=1\r\nTo: <sip:example.test>\r\n\
        Call-ID: 1\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n";
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.set_read_timeout(Some(Duration::from_secs(2))).expect("a timeout");
    let mut octets = [0; 2_048];
    (0..3).any(|_| {
        socket.send_to(REQUEST.as_bytes(), Ports::at(machine.ports.sip)).expect("a datagram");
        socket.recv(&mut octets).is_ok_and(|count| octets[..count].starts_with(b"SIP/2.0 "))
    })
}

fn a_lost_password_is_replaced(machine: &Machine) {
    let console = &machine.serial;
    console.expect("login: ", ANSWER);
    console.enter("pwrecovery");
    console.expect("Begin?", ANSWER);
    console.expect("]: ", ANSWER);
    console.enter("yes");
    console.expect("Attach the disk now.", ANSWER);
    let disk = tempfile::NamedTempFile::new().expect("a file");
    disk.as_file().set_len(1 << 20).expect("a file");
    machine.qmp.plug_disk(disk.path());
    console.expect("A disk was attached.", ANSWER);
    console.expect("New password", ANSWER);
    console.expect(": ", ANSWER);
    console.enter("another battery");
    console.expect("again: ", ANSWER);
    console.enter("another battery");
    console.expect("The password is replaced", ANSWER);
    console.expect("login: ", ANSWER);
    console.enter("admin");
    console.expect("Password: ", ANSWER);
    console.enter(PASSWORD);
    console.expect("Login incorrect", ANSWER);
    console.expect("login: ", ANSWER);
    console.enter("admin");
    console.expect("Password: ", ANSWER);
    console.enter("another battery");
    console.expect_prompt(ANSWER);
}
