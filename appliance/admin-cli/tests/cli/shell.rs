//! The shell at a terminal: a pseudo-terminal and real keys.

use admin_api::request::Request;

use crate::sample;
use crate::server::{Server, State, User};
use crate::terminal::{CTRL_C, CTRL_D, MORE, PROMPT, Terminal, UP};

#[test]
fn a_question_mark_lists_what_may_follow_and_keeps_the_line() {
    let server = Server::with_users(0);
    let mut terminal = Terminal::shell(&server);
    terminal.send("show ver?");
    terminal.expect("version  show what is installed");
    terminal.expect("admin: show ver");
    terminal.send("\r");
    terminal.expect("Lamplight");
    terminal.expect(PROMPT);
    terminal.send("?");
    terminal.expect("user       administer users");
    terminal.expect(PROMPT);
    terminal.send("user add carl ?");
    let shown = terminal.expect("admin: user add carl ");
    assert!(shown.contains("display-name    the name shown to others"), "{shown}");
    assert!(shown.contains("<enter>         add a user, enabled"), "{shown}");
    terminal.send(CTRL_C);
    terminal.expect(PROMPT);
    // In the middle of a line, what stands behind the cursor is kept as well.
    terminal.send("user anna\x1b[D\x1b[D\x1b[D\x1b[D?");
    terminal.expect("password");
    terminal.expect("admin: user anna");
    terminal.send("disable \r");
    terminal.expect("is disabled");
}

#[test]
fn a_question_mark_in_quotes_is_a_character() {
    let server = Server::with_users(0);
    let mut terminal = Terminal::shell(&server);
    terminal.run("user disable \"who?\"");
    let shown = terminal.run("show user 'who?'");
    assert!(shown.contains("there is no user \"who?\""), "{shown}");
}

#[test]
fn tab_completes_words_and_user_ids() {
    let server = Server::with_users(3);
    server.change(|state| state.users.insert("otto k".to_owned(), User::default()));
    let mut terminal = Terminal::shell(&server);
    terminal.send("sh\tver\t\r");
    terminal.expect("show version");
    terminal.expect("Lamplight");
    terminal.expect(PROMPT);
    terminal.send("show user an\t\r");
    terminal.expect("show user anna");
    terminal.expect("sip:anna@example.test");
    terminal.expect(PROMPT);
    terminal.send("show user u\t");
    terminal.expect("user000");
    terminal.expect("user002");
    terminal.expect("show user user00");
    terminal.send("1\r");
    terminal.expect("sip:user001@example.test");
    terminal.expect(PROMPT);
    // An id that needs quotes gets them.
    terminal.send("show user ot\t\r");
    terminal.expect("show user \"otto k\"");
    terminal.expect("sip:otto k@example.test");
    terminal.expect(PROMPT);
    terminal.send("set log level sub\tdeb\t\r");
    terminal.expect("subscription  debug  set for this area");
}

#[test]
fn prefixes_work_and_ambiguous_ones_are_explained() {
    let server = Server::with_users(0);
    let mut terminal = Terminal::shell(&server);
    assert!(terminal.run("sh v").contains("Lamplight"));
    let shown = terminal.run("sh us");
    assert!(shown.contains("Ambiguous command"), "{shown}");
    assert!(shown.contains("\"us\" could be users, user"), "{shown}");
    let shown = terminal.run("show statsu");
    assert!(shown.contains("No valid command entered"), "{shown}");
    assert!(shown.contains("nearest: status"), "{shown}");
}

#[test]
fn long_output_stops_at_each_page_until_told_otherwise() {
    let server = Server::with_users(60);
    let mut terminal = Terminal::shell(&server);
    terminal.send("show users\r");
    let page = terminal.expect(MORE);
    assert!(page.contains("user019") && !page.contains("user020"), "{page}");
    terminal.send("\r");
    let line = terminal.expect(MORE);
    assert!(line.contains("user020") && !line.contains("user021"), "{line}");
    terminal.send("x ");
    let page = terminal.expect(MORE);
    assert!(page.contains("user021") && page.contains("user043"), "{page}");
    assert!(!page.contains("user044"), "{page}");
    terminal.send("q");
    assert!(!terminal.expect(PROMPT).contains("user044"));

    terminal.send("show users\r");
    terminal.expect(MORE);
    terminal.send(CTRL_C);
    assert!(!terminal.expect(PROMPT).contains("user044"));

    assert!(terminal.run("set cli pagination off").contains("Pagination is off."));
    let shown = terminal.run("show users");
    assert!(shown.contains("user059") && shown.contains("62 users"), "{shown}");
    assert!(!shown.contains(MORE));
}

#[test]
fn one_shot_output_stops_at_pages_on_a_terminal_but_not_as_json() {
    let server = Server::with_users(60);
    let mut terminal = Terminal::start(&server, "show users");
    terminal.expect(MORE);
    terminal.send("q");
    terminal.ends();
    let mut terminal = Terminal::start(&server, "--json show users");
    assert!(!terminal.expect("user059").contains(MORE));
    terminal.ends();
}

#[test]
fn ctrl_c_drops_the_line() {
    let server = Server::with_users(0);
    let mut terminal = Terminal::shell(&server);
    terminal.send("user delete anna");
    terminal.expect("user delete anna");
    terminal.send(CTRL_C);
    terminal.expect(PROMPT);
    assert!(terminal.run("show version").contains("Lamplight"));
    assert!(server.change(|state| state.users.contains_key("anna")));
}

#[test]
fn ctrl_c_ends_a_command_and_not_the_shell() {
    let server = Server::with_users(0);
    server.change(|state| state.silent_for = Some(Request::ShowAlarms));
    let mut terminal = Terminal::shell(&server);
    terminal.send("show alarms\r");
    server.wait(|state| state.unanswered == 1);
    terminal.send(CTRL_C);
    terminal.expect("cancelled");
    terminal.expect(PROMPT);
    assert!(terminal.run("show version").contains("Lamplight"));
    // Ctrl-Z does nothing to the shell, Ctrl-\ no more than Ctrl-C.
    terminal.send("show\x1c");
    terminal.expect(PROMPT);
    terminal.send("\x1ash ver\x1a\r");
    terminal.expect("Lamplight");
    terminal.expect(PROMPT);
    terminal.send("show alarms\r");
    server.wait(|state| state.unanswered == 2);
    terminal.send("\x1a\x1c");
    terminal.send(CTRL_C);
    terminal.expect("cancelled");
    terminal.expect(PROMPT);
}

#[test]
fn passwords_are_asked_for_twice_and_never_shown_or_remembered() {
    let server = Server::with_users(0);
    let mut terminal = Terminal::shell(&server);
    let mut seen = String::new();
    terminal.send("user add carl\r");
    seen += &terminal.expect("New password (empty: cannot sign in): ");
    terminal.send("sesamX\x7fe\r");
    seen += &terminal.expect("The same again: ");
    terminal.send("sesame\r");
    seen += &terminal.expect("User carl was added.");
    seen += &terminal.expect(PROMPT);
    let password = server.change(|state| state.users["carl"].password.clone());
    assert_eq!(password.as_deref(), Some("sesame"));

    terminal.send(UP);
    seen += &terminal.expect("user add carl");
    terminal.send(CTRL_C);
    seen += &terminal.expect(PROMPT);
    terminal.send("user password carl\r");
    seen += &terminal.expect("New password (not empty): ");
    terminal.send("sesame2\r");
    seen += &terminal.expect("The same again: ");
    terminal.send("sesame3\r");
    seen += &terminal.expect("the two passwords differ");
    seen += &terminal.expect(PROMPT);
    terminal.send("user password carl\r");
    seen += &terminal.expect("New password (not empty): ");
    terminal.send(CTRL_C);
    seen += &terminal.expect("the command was cancelled");
    seen += &terminal.expect(PROMPT);
    let password = server.change(|state| state.users["carl"].password.clone());
    assert_eq!(password.as_deref(), Some("sesame"));
    assert!(!seen.contains("sesam"), "{seen}");
    // The terminal is as it was before.
    assert!(terminal.run("show version").contains("Lamplight"));
}

#[test]
fn what_is_typed_ahead_of_a_password_is_not_taken_for_commands() {
    let server = Server::with_users(0);
    let mut terminal = Terminal::shell(&server);
    // As one write, so that the editor has it all when it sees the first line.
    terminal.send("user add carl\rsesame\rsesame\r");
    let mut seen = terminal.expect("New password (empty: cannot sign in): ");
    terminal.send("\r");
    seen += &terminal.expect("The same again: ");
    terminal.send("\r");
    seen += &terminal.expect("User carl was added.");
    seen += &terminal.expect(PROMPT);
    seen += &terminal.run("show version");
    assert!(!seen.contains("sesame"), "{seen}");
}

#[test]
fn pasted_lines_are_all_run() {
    let server = Server::with_users(0);
    let mut terminal = Terminal::shell(&server);
    terminal.send("user disable anna\ruser add-nonsense\rshow version\rshow domain\r");
    terminal.expect("User anna is disabled.");
    terminal.expect("No valid command entered");
    terminal.expect("Lamplight");
    terminal.expect("configuration file");
    terminal.expect(PROMPT);
}

#[test]
fn the_tail_of_a_log_follows_until_ctrl_c() {
    let server = Server::with_users(0);
    server.change(|state| state.log.push(sample::log_line(1, "the first line")));
    let mut terminal = Terminal::shell(&server);
    terminal.send("file tail log presence\r");
    terminal.expect("the first line");
    server.change(|state| state.log.push(sample::log_line(2, "the second line")));
    terminal.expect("the second line");
    server.change(|state| state.log.push(sample::log_line(3, "the third line")));
    terminal.expect("the third line");
    terminal.send(CTRL_C);
    let shown = terminal.expect(PROMPT);
    assert!(!shown.contains("unsuccessfully"), "{shown}");
    assert!(terminal.run("show version").contains("Lamplight"));
}

#[test]
fn exit_and_ctrl_d_leave() {
    let server = Server::with_users(0);
    let mut terminal = Terminal::shell(&server);
    terminal.send("ex\r");
    terminal.ends();
    let mut terminal = Terminal::shell(&server);
    terminal.send(CTRL_D);
    terminal.ends();
}

#[test]
fn the_shell_works_without_a_daemon() {
    let server = Server::start(State::default());
    std::fs::remove_file(&server.socket).unwrap();
    let mut terminal = Terminal::shell(&server);
    let shown = terminal.run("show status");
    assert!(shown.contains("the presence service cannot be reached"), "{shown}");
    terminal.send("show user an\t?");
    terminal.expect("ID  the id of a user");
    terminal.expect("admin: show user an");
    terminal.send(CTRL_C);
    terminal.expect(PROMPT);
    assert!(terminal.run("help show domain").contains("Privilege: 0"));
}

#[test]
fn a_line_cannot_grow_without_end() {
    let server = Server::with_users(0);
    let mut terminal = Terminal::shell(&server);
    terminal.send("show user ");
    for _ in 0..10 {
        terminal.send(&"x".repeat(500));
    }
    terminal.send("\r");
    terminal.expect("there is no user");
    let shown = terminal.expect(PROMPT);
    assert!(!shown.contains("longer than"), "{shown}");
    assert!(terminal.run("show version").contains("Lamplight"));
}
