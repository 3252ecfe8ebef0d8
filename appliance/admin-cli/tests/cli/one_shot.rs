//! One command at a time: exit codes, text, JSON, standard input.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use admin_api::answer::log::LogLevel;
use serde_json::Value;

use crate::sample;
use crate::server::{Server, State, User};

pub(crate) fn appliance(server: &Server, arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_appliance"))
        .arg("--socket")
        .arg(&server.socket)
        // There is no platform service beside this one.
        .arg("--platform-socket")
        .arg(server.socket.with_extension("none"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The command may end without reading it all.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

pub(crate) fn text(output: &[u8]) -> &str {
    std::str::from_utf8(output).unwrap()
}

/// The one JSON document on standard output.
fn document(output: &Output) -> Value {
    assert_eq!(text(&output.stderr), "");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn with_log() -> Server {
    let server = Server::with_users(0);
    server.change(|state| {
        state.log = (1..=5).map(|number| sample::log_line(number, "a \u{1b}[31mline")).collect();
        state.log[3].text = "needle".to_owned();
    });
    server
}

/// Every command that only looks, with the member that its answer has and a text that it shows.
const LOOKS: &[(&str, &str, &str)] = &[
    ("show status", "status", "Uptime                 1d 1h"),
    ("show version", "version", "Lamplight"),
    ("show hardware", "hardware", "sold as MCS-7835-I3"),
    ("show capacity", "capacity", "    zoe"),
    ("show users", "users", "2 users"),
    ("user list", "users", "anna  -     yes"),
    ("show users prefix b", "users", "1 user\n"),
    ("show user anna", "user", "sip:anna@example.test"),
    ("show presence anna", "presence", "on-the-phone"),
    ("show presence anna document", "presence", "  <note>\\u{1b}[2J</note>\n"),
    ("show watchers anna", "subscriptions", "1 subscription\n"),
    ("show subscriptions", "subscriptions", "2 subscriptions"),
    ("show registrations", "registrations", "2 registrations"),
    ("show alarms", "alarms", "capacity-exceeded (major, stands)"),
    ("show log", "log_lines", "subscription: needle"),
    ("show log lines 2 at-least info area subscription", "log_lines", "needle"),
    ("show log level", "log_levels", "store         info   default"),
    ("show settings", "settings", "configuration file"),
    ("show sip", "sip", "192.0.2.0/24"),
    ("show domain", "domain", "example.test"),
    ("show tech-support", "tech_support", "sip_requests_total  42"),
    ("show cli pagination", "pagination", "Pagination is on."),
    ("utils service list", "services", "presence  running"),
    ("file list log", "logs", "presence  5"),
    ("file view log presence", "log_lines", "\\u{1b}[31mline"),
    ("file search log presence needle", "log_lines", "needle"),
    ("file get log presence", "log_lines", "needle"),
    ("help show log", "help", "Privilege: 0"),
];

#[test]
fn every_command_that_looks_shows_text_and_one_json_document() {
    let server = with_log();
    for (line, member, part) in LOOKS {
        let words: Vec<&str> = line.split(' ').collect();
        let output = appliance(&server, &words, "");
        assert!(text(&output.stdout).contains(part), "{line}: {}", text(&output.stdout));
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""), "{line}");

        let output = appliance(&server, &[&["--json"], words.as_slice()].concat(), "");
        assert_eq!(output.status.code(), Some(0), "{line}");
        let document = document(&output);
        let members: Vec<&String> = document.as_object().unwrap().keys().collect();
        assert_eq!(members, [member], "{line}");
    }
}

#[test]
fn nothing_that_steers_a_terminal_comes_out() {
    let server = with_log();
    let name = "An\u{1b}]0;x\u{7}na\u{9b}\u{202e}".to_owned();
    server.change(|state| state.users.get_mut("anna").unwrap().display_name = Some(name.clone()));
    for (line, ..) in LOOKS {
        let words: Vec<&str> = line.split(' ').collect();
        for words in [words.clone(), [&["--json"], words.as_slice()].concat()] {
            let output = appliance(&server, &words, "");
            let bad = |c: &char| (c.is_control() && *c != '\n') || *c == '\u{202e}';
            assert_eq!(text(&output.stdout).chars().find(bad), None, "{line}");
        }
    }
    let users = document(&appliance(&server, &["--json", "show", "users"], ""));
    assert_eq!(users["users"]["items"][0]["display_name"], name);
}

#[test]
fn a_list_over_many_pages_is_whole() {
    let server = Server::with_users(60);
    server.change(|state| state.page_limit = 7);
    let output = appliance(&server, &["show", "users"], "");
    let shown = text(&output.stdout);
    assert_eq!(shown.lines().count(), 1 + 62 + 1);
    assert_eq!(shown.matches("ENABLED").count(), 1);
    assert!(shown.ends_with("62 users\n"));

    let list = document(&appliance(&server, &["--json", "show", "users"], ""));
    assert_eq!(list["users"]["total"], 62);
    let ids: Vec<&str> = list["users"]["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|user| user["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids.len(), 62);
    assert!(ids.is_sorted());
}

#[test]
fn a_list_that_breaks_off_says_so_in_a_document_that_can_be_read() {
    let server = Server::with_users(60);
    server.change(|state| (state.page_limit, state.fail_after_pages) = (7, 2));
    let output = appliance(&server, &["--json", "show", "users"], "");
    assert_eq!(output.status.code(), Some(1));
    let list = document(&output);
    assert_eq!(list["users"]["items"].as_array().unwrap().len(), 14);
    assert_eq!(list["users"]["error"]["code"], "busy");
}

#[test]
fn users_are_added_and_changed() {
    let server = Server::with_users(0);
    let run = |words: &[&str], input: &str| {
        let output = appliance(&server, words, input);
        assert_eq!(text(&output.stderr), "");
        assert_eq!(output.status.code(), Some(0));
        text(&output.stdout).to_owned()
    };
    let name = "Carl \"C\" Ω";
    let words = ["user", "add", "carl", "display-name", name, "password-stdin"];
    assert_eq!(run(&words, "open sesame\r\nrest\n"), "User carl was added.\n");
    let carl = server.change(|state| state.users["carl"].clone());
    assert_eq!(carl.password.as_deref(), Some("open sesame"));
    assert_eq!(carl.display_name.as_deref(), Some(name));

    assert_eq!(run(&["user", "add", "dora"], ""), "User dora was added.\n");
    assert_eq!(server.change(|state| state.users["dora"].password.clone()), None);
    run(&["user", "password", "dora", "password-stdin"], "new one");
    let password = server.change(|state| state.users["dora"].password.clone());
    assert_eq!(password.as_deref(), Some("new one"));
    assert_eq!(run(&["us", "dis", "dora"], ""), "User dora is disabled.\n".to_owned());
}

#[test]
fn users_are_enabled_disabled_and_deleted() {
    let server = Server::with_users(0);
    for (verb, said) in
        [("disable", "is disabled"), ("enable", "is enabled"), ("delete", "was deleted")]
    {
        let output = appliance(&server, &["user", verb, "anna"], "");
        assert_eq!(text(&output.stdout), format!("User anna {said}.\n"));
    }
    assert!(server.change(|state| !state.users.contains_key("anna")));
}

#[test]
fn refusals_say_what_where_and_what_next() {
    let server = Server::with_users(0);
    let output = appliance(&server, &["user", "delete", "nobody"], "");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stdout), "");
    assert_eq!(
        text(&output.stderr),
        "Executed command unsuccessfully: there is no user \"nobody\"\n  Where: ID\n  \
         Next:  \"show users\" lists the users\n"
    );
    let output = appliance(&server, &["--json", "user", "delete", "nobody"], "");
    assert_eq!(output.status.code(), Some(1));
    let error = &document(&output)["error"];
    assert_eq!(error["code"], "unknown_user");
    assert_eq!(error["where"], "ID");
}

#[test]
fn misuse_is_code_2_as_text_and_as_json() {
    let server = Server::with_users(0);
    let output = appliance(&server, &["show", "statsu"], "");
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).starts_with("No valid command entered\n  show statsu\n"));
    let output = appliance(&server, &["--json", "show"], "");
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(document(&output)["error"]["code"], "misused");
    assert_eq!(appliance(&server, &["--nonsense"], "").status.code(), Some(2));
}

#[test]
fn passwords_need_a_terminal_or_standard_input() {
    let server = Server::with_users(0);
    let output = appliance(&server, &["--json", "user", "password", "anna"], "secret\n");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(document(&output)["error"]["code"], "no_terminal");
    for input in ["", "\n"] {
        let words = ["--json", "user", "password", "anna", "password-stdin"];
        let output = appliance(&server, &words, input);
        assert_eq!(document(&output)["error"]["code"], "unacceptable_password");
    }
    assert_eq!(server.change(|state| state.users["anna"].password.clone()), None);
}

#[test]
fn an_import_names_each_refused_line_and_fails_then() {
    let server = Server::with_users(0);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("staff.csv");
    std::fs::write(&path, "\u{feff}id\nanna\ncarl\nd d\ndora\ne e\n").unwrap();
    let file = path.to_str().unwrap();
    let output = appliance(&server, &["user", "import", file], "");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        text(&output.stdout),
        "line 4 (d d): an id holds no blanks [column id]\n    Next: take the blank out\n\
         line 6 (e e): an id holds no blanks [column id]\n    Next: take the blank out\n\
         2 users added, 1 updated, 2 lines refused.\n"
    );
    let output = appliance(&server, &["--json", "user", "import", "-"], "id\nfred\n");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(document(&output)["imported"]["created"], 1);

    let output = appliance(&server, &["--json", "user", "import", "-"], "name\nfred\n");
    assert_eq!(document(&output)["error"]["code"], "unreadable_import");
    for (bytes, what) in
        [(&b"id\nanna\nb\xffrt\n"[..], "line 3 is not UTF-8"), (&b"id\xff"[..], "line 1")]
    {
        std::fs::write(&path, bytes).unwrap();
        let output = appliance(&server, &["user", "import", file], "");
        assert_eq!(output.status.code(), Some(1));
        assert!(text(&output.stderr).contains(what), "{}", text(&output.stderr));
    }
    for name in ["/nonexistent/staff.csv", "/dev", "/dev/zero"] {
        let output = appliance(&server, &["--json", "user", "import", name], "");
        assert_eq!((document(&output)["error"]["where"].as_str()), Some(name));
    }
}

#[test]
fn log_levels_are_set_and_taken_back() {
    let server = Server::with_users(0);
    let output = appliance(&server, &["set", "log", "level", "store", "d"], "");
    assert!(text(&output.stdout).contains("store         debug  set for this area"));
    assert_eq!(server.change(|state| state.levels["store"]), LogLevel::Debug);
    appliance(&server, &["unset", "log", "level", "store"], "");
    assert!(server.change(|state| state.levels.is_empty()));
}

#[test]
fn without_a_daemon_the_error_says_what_to_do() {
    let server = Server::with_users(0);
    std::fs::remove_file(&server.socket).unwrap();
    let output = appliance(&server, &["show", "status"], "");
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains("the presence service cannot be reached"), "{said}");
    assert!(said.contains(server.socket.to_str().unwrap()), "{said}");
    assert!(said.contains("try again in a minute"), "{said}");
    let output = appliance(&server, &["--json", "show", "status"], "");
    assert_eq!(document(&output)["error"]["code"], "unreachable");
    assert_eq!(appliance(&server, &["help"], "").status.code(), Some(0));
}

#[test]
fn a_pipe_of_commands_is_run_line_by_line() {
    let server = Server::with_users(0);
    let input = "user add carl password-stdin\nopen sesame\n\nshow nonsense\nshow ?\n\
                 show users\nexit\nuser delete anna\n";
    let output = appliance(&server, &[], input);
    assert_eq!(output.status.code(), Some(0));
    let shown = text(&output.stdout);
    assert!(shown.starts_with("User carl was added.\n  status"), "{shown}");
    assert!(shown.ends_with("3 users\n"), "{shown}");
    assert!(text(&output.stderr).starts_with("No valid command entered\n"));
    let password = server.change(|state| state.users["carl"].password.clone());
    assert_eq!(password.as_deref(), Some("open sesame"));
    assert!(server.change(|state| state.users.contains_key("anna")));
    // The exit code is that of the last command.
    assert_eq!(appliance(&server, &[], "show status\nuser delete x\n").status.code(), Some(1));
    assert_eq!(appliance(&server, &[], "user delete x\nshow status\n").status.code(), Some(0));
    let long = format!("show user {}\n", "x".repeat(10_000));
    assert_eq!(appliance(&server, &[], &long).status.code(), Some(1));
}

#[test]
fn a_line_comes_whole_from_sshd() {
    let server = Server::with_users(0);
    let output = appliance(&server, &["-c", "--json show user 'anna'"], "");
    assert_eq!(document(&output)["user"]["id"], "anna");
    let output = appliance(&server, &["-c", "user add carl display-name 'C & D; $(x)'"], "");
    assert_eq!(output.status.code(), Some(0));
    let name = server.change(|state| state.users["carl"].display_name.clone());
    assert_eq!(name.as_deref(), Some("C & D; $(x)"));
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let server = Server::with_users(3_000);
    let mut child = Command::new(env!("CARGO_BIN_EXE_appliance"))
        .arg("--socket")
        .arg(&server.socket)
        .args(["show", "subscriptions"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
}

#[test]
fn five_thousand_users_come_in_pages() {
    let users = (0..5_000).map(|number| (format!("user{number:05}"), User::default())).collect();
    let server = Server::start(State { users, ..State::default() });
    let output = appliance(&server, &["--json", "show", "subscriptions"], "");
    let list = document(&output);
    assert_eq!(list["subscriptions"]["items"].as_array().unwrap().len(), 5_000);
    assert_eq!(list["subscriptions"]["total"], 5_000);
}
