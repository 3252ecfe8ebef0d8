//! The console: first start, login, sign-out, lost password. A pseudo-terminal and real keys.

use admin_api::platform::request::Request;
use admin_api::platform::settings::{Ipv4Settings, Ipv6Settings};

use crate::platform::{Platform, State};
use crate::server::Server;
use crate::terminal::{CTRL_C, CTRL_D, PROMPT, Terminal};

const LOGIN: &str = "lamp1 login: ";

fn console(platform: &Platform, server: &Server, more: &str) -> Terminal {
    console_on("vt220", platform, server, more)
}

fn console_on(kind: &str, platform: &Platform, server: &Server, more: &str) -> Terminal {
    let (presence, platform) = (server.socket.display(), platform.socket.display());
    Terminal::run_on(
        kind,
        &format!("--console --socket {presence} --platform-socket {platform} {more}"),
    )
}

/// Answers a question.
fn answer(terminal: &mut Terminal, question: &str, line: &str) -> String {
    let before = terminal.expect(question);
    terminal.send(line);
    terminal.send("\r");
    before
}

fn sign_in(terminal: &mut Terminal) {
    answer(terminal, LOGIN, "admin");
    answer(terminal, "Password: ", "open sesame");
    terminal.expect(PROMPT);
}

#[test]
fn the_first_start_asks_explains_and_begins_again() {
    let platform = Platform::start(State::default());
    let server = Server::with_users(0);
    platform.change(|state| state.refuses_set_up = true);
    let mut terminal = console(&platform, &server, "");
    let banner = answer(&mut terminal, "Host name [lamplight]: ", "-wrong-");
    assert!(banner.contains("Lamplight 0.1.0, slot A"), "{banner}");
    assert!(banner.contains("Warning: no \\u{1b}[2Jfan"), "{banner}");
    let why = answer(&mut terminal, "Host name [lamplight]: ", "lamx\x7f1");
    assert!(why.contains("A host name has letters"), "{why}");
    let domain = "SIP domain (what stands behind the @): ";
    answer(&mut terminal, domain, "");
    let why = answer(&mut terminal, domain, "Example.test");
    assert!(why.contains("Give the part behind the @"), "{why}");
    answer(&mut terminal, "IPv4: dhcp or static [dhcp]: ", "st");
    let address = "IPv4 address and prefix length: ";
    answer(&mut terminal, address, "192.0.2.5");
    let why = answer(&mut terminal, address, "192.0.2.5/24");
    assert!(why.contains("The prefix length is missing"), "{why}");
    answer(&mut terminal, "IPv4 gateway, or none [none]: ", "192.0.2.1");
    answer(&mut terminal, "IPv6: automatic, static or off [automatic]: ", "");
    let servers = "Name servers, up to three, or automatic [automatic]: ";
    answer(&mut terminal, servers, "192.0.2.53, 192.0.2.54");
    answer(&mut terminal, "Time zone [UTC]: ", "berlin");
    let why = answer(&mut terminal, "Time zone [UTC]: ", "europe/berlin");
    assert!(why.contains("Is one of these meant: Europe/Berlin?"), "{why}");
    answer(&mut terminal, "Time servers, up to four, or automatic [automatic]: ", "");
    let password = "Password of the account \"admin\", 8 characters or more: ";
    answer(&mut terminal, password, "short");
    let mut seen = answer(&mut terminal, password, "open sesame");
    assert!(seen.contains("8 to 512"), "{seen}");
    seen += &answer(&mut terminal, "The same again: ", "open sesamE");
    seen += &answer(&mut terminal, password, "open sesame");
    seen += &answer(&mut terminal, "The same again: ", "open sesame");
    let confirm = "Set the appliance up like this? yes or no [yes]: ";
    let summary = answer(&mut terminal, confirm, "maybe");
    for part in ["192.0.2.5/24, gateway 192.0.2.1", "Europe/Berlin", "example.test"] {
        assert!(summary.contains(part), "{part}: {summary}");
    }
    assert!(!(seen + &summary).contains("sesam"));
    // The platform refuses once; then every answer is there as a default.
    answer(&mut terminal, confirm, "yes");
    let refusal = answer(&mut terminal, "Host name [lam1]: ", "lamp1");
    assert!(refusal.contains("not like this"), "{refusal}");
    // Ctrl-C begins again.
    terminal.expect("SIP domain (what stands behind the @) [example.test]: ");
    terminal.send(CTRL_C);
    answer(&mut terminal, "Host name [lamp1]: ", "");
    answer(&mut terminal, "SIP domain (what stands behind the @) [example.test]: ", "");
    answer(&mut terminal, "IPv4: dhcp or static [static]: ", "");
    answer(&mut terminal, "IPv4 address and prefix length [192.0.2.5/24]: ", "");
    answer(&mut terminal, "IPv4 gateway, or none [192.0.2.1]: ", "");
    answer(&mut terminal, "IPv6: automatic, static or off [automatic]: ", "off");
    answer(&mut terminal, "Name servers, up to three, or automatic [192.0.2.53, 192.0.2.54]: ", "");
    answer(&mut terminal, "Time zone [Europe/Berlin]: ", "");
    answer(&mut terminal, "Time servers, up to four, or automatic [automatic]: ", "");
    answer(&mut terminal, password, "open sesame");
    answer(&mut terminal, "The same again: ", "open sesame");
    answer(&mut terminal, confirm, "");
    terminal.expect("The appliance is set up.");
    let set_up = platform.change(|state| state.set_up.clone().unwrap());
    assert_eq!(set_up.host_name, "lamp1");
    assert_eq!(set_up.ipv6, Ipv6Settings::Off);
    assert_eq!(
        set_up.ipv4,
        Ipv4Settings::Static {
            address: "192.0.2.5".parse().unwrap(),
            prefix_length: 24,
            gateway: Some("192.0.2.1".parse().unwrap()),
        }
    );
    assert_eq!(set_up.name_servers.len(), 2);
    sign_in(&mut terminal);
}

#[test]
fn questions_end_when_somebody_else_has_answered_them() {
    let platform = Platform::start(State::default());
    let server = Server::with_users(0);
    let mut terminal = console(&platform, &server, "");
    terminal.expect("Host name [lamplight]: ");
    platform.change(|state| state.answer_file_fault = Some("line 3\u{7}".to_owned()));
    terminal.expect("The answer file is not followed: line 3\\u{7}");
    terminal.expect("Host name [lamplight]: ");
    terminal.send("half a na");
    platform.change(|state| state.set_up = Some(crate::platform_answers::set_up()));
    terminal.expect("The appliance was set up meanwhile.");
    terminal.expect(LOGIN);
}

#[test]
fn only_the_administrator_with_the_password_comes_in() {
    let platform = Platform::set_up();
    let server = Server::with_users(0);
    platform.change(|state| state.kernel_to_sip_ms = Some(12_345));
    let mut terminal = console(&platform, &server, "");
    let banner = answer(&mut terminal, LOGIN, "root");
    assert!(banner.contains("SIP: answered since 12.3 s after the kernel's start"), "{banner}");
    assert!(banner.contains("Address: 192.0.2.5"), "{banner}");
    assert!(banner.contains("Alarm: capacity-exceeded"), "{banner}");
    answer(&mut terminal, "Password: ", "open sesame");
    terminal.expect("Login incorrect");
    answer(&mut terminal, LOGIN, "admin");
    answer(&mut terminal, "Password: ", "wrong");
    terminal.expect("Login incorrect");
    answer(&mut terminal, LOGIN, "");
    sign_in(&mut terminal);
    assert!(terminal.run("show version").contains("Lamplight"));
    terminal.send("exit\r");
    terminal.expect(LOGIN);
}

#[test]
fn no_key_leaves_the_console() {
    let platform = Platform::set_up();
    let server = Server::with_users(0);
    for kind in ["vt220", "linux", "''", "dumb"] {
        let mut terminal = console_on(kind, &platform, &server, "");
        let first = terminal.expect(LOGIN);
        assert!(!first.contains('\u{1b}'), "{first:?}");
        for key in [CTRL_C, CTRL_D, "\x1a", "\x1c", "\x1b[A", "\x15", "\x7f"] {
            terminal.send(key);
            terminal.send("admin\r");
            terminal.expect("Password: ");
            terminal.send(key);
            terminal.send(CTRL_C);
            terminal.expect(LOGIN);
        }
        terminal.send("\r");
        sign_in(&mut terminal);
        terminal.send("\x1a\x1c");
        terminal.send(CTRL_C);
        terminal.send("\r");
        terminal.expect(PROMPT);
        terminal.send(CTRL_D);
        sign_in(&mut terminal);
    }
}

#[test]
fn whoever_leaves_the_console_is_signed_out() {
    let platform = Platform::set_up();
    let server = Server::with_users(60);
    let mut terminal = console(&platform, &server, "--idle 1");
    sign_in(&mut terminal);
    terminal.send("show user half-ty");
    terminal.expect("you are signed out");
    // Also in the pager, and where a password is asked for.
    sign_in(&mut terminal);
    terminal.send("show users\r");
    terminal.expect("Press <enter>");
    terminal.expect("you are signed out");
    sign_in(&mut terminal);
    terminal.send("user password anna\r");
    terminal.expect("New password");
    terminal.expect("you are signed out");
    // A command that works is not idle, and nothing is left of the session before.
    sign_in(&mut terminal);
    terminal.send("\x1b[A\x1b[Ashow version\r");
    let shown = terminal.expect(PROMPT);
    assert!(!shown.contains("show user"), "{shown}");
}

#[test]
fn the_console_tells_when_sip_is_answered() {
    let platform = Platform::set_up();
    let server = Server::with_users(0);
    let mut terminal = console(&platform, &server, "");
    let banner = terminal.expect(LOGIN);
    assert!(banner.contains("SIP: not answered yet"), "{banner}");
    platform.change(|state| state.kernel_to_sip_ms = Some(7_000));
    let told = terminal.expect(LOGIN);
    assert!(told.contains("SIP: answered since 7.0 s"), "{told}");
    assert!(told.contains("up to 500 users"), "{told}");
}

#[test]
fn a_lost_password_is_replaced_by_who_can_attach_a_disk() {
    let platform = Platform::set_up();
    let server = Server::with_users(0);
    let mut terminal = console(&platform, &server, "");
    answer(&mut terminal, LOGIN, "pwrecovery");
    answer(&mut terminal, "Begin? yes or no [no]: ", "");
    answer(&mut terminal, LOGIN, "pwrecovery");
    answer(&mut terminal, "Begin? yes or no [no]: ", "yes");
    terminal.expect("Attach the disk now.");
    terminal.expect("300 s are left");
    terminal.send(CTRL_C);
    answer(&mut terminal, LOGIN, "pwrecovery");
    answer(&mut terminal, "Begin? yes or no [no]: ", "yes");
    terminal.expect("300 s are left");
    platform.change(|state| state.is_proven = true);
    terminal.expect("A disk was attached.");
    answer(&mut terminal, "New password of \"admin\": ", "new password");
    answer(&mut terminal, "The same again: ", "new password");
    terminal.expect("The password is replaced");
    answer(&mut terminal, LOGIN, "admin");
    answer(&mut terminal, "Password: ", "new password");
    terminal.expect(PROMPT);
    let is_finish = |request: &Request| matches!(request, Request::FinishRecovery { .. });
    assert!(platform.change(|state| state.asked.iter().any(is_finish)));
}

#[test]
fn the_console_waits_for_the_platform() {
    let platform = Platform::set_up();
    let server = Server::with_users(0);
    let hidden = platform.socket.with_extension("hidden");
    std::fs::rename(&platform.socket, &hidden).unwrap();
    let mut terminal = console(&platform, &server, "");
    terminal.expect("Waiting for the platform service.");
    std::fs::rename(&hidden, &platform.socket).unwrap();
    sign_in(&mut terminal);
}
