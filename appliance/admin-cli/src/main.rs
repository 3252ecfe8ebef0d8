//! The `appliance` command: the `admin:` shell, and its commands one at a time.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use crate::failure::Failure;
use crate::grammar::lexer::quote;
use crate::session::{Ending, Session};

mod command;
mod completion;
mod failure;
mod grammar;
mod pager;
mod render;
mod session;
mod shell;
mod terminal;

const SOCKET: &str = "/run/lamplight/presence.sock";

const USAGE: &str = "\
Usage: appliance [--socket PATH] [--json] [COMMAND…]

Without a command it is the interactive shell. Exit codes: 0 done, 1 refused or failed, 2 misused.

  --socket PATH   the control socket of the presence service [/run/lamplight/presence.sock]
  --json          print answers and errors as JSON, one document each, on standard output
  -c LINE         run the command on this line, as sshd asks login shells to
  --version       print the version
  --help          print this; \"appliance help\" explains the commands

Passwords are never arguments: a terminal is asked, or password-stdin reads standard input.
";

/// What the program was called with.
#[derive(Debug, PartialEq, Eq)]
enum Call {
    /// The shell, or the command on this line.
    Run { socket: PathBuf, is_json: bool, line: Option<String> },
    /// Print this and be done.
    Print(String),
    /// It was called wrongly.
    Misused(String),
}

fn read_call(arguments: impl Iterator<Item = OsString>) -> Call {
    let mut arguments = arguments;
    let mut socket = PathBuf::from(SOCKET);
    let mut is_json = false;
    let mut words: Vec<String> = Vec::new();
    while let Some(argument) = arguments.next() {
        let Ok(argument) = argument.into_string() else {
            return Call::Misused("an argument is not UTF-8".to_owned());
        };
        if !words.is_empty() {
            words.push(argument);
            continue;
        }
        match argument.as_str() {
            "--json" => is_json = true,
            "--socket" => match arguments.next() {
                Some(path) => socket = PathBuf::from(path),
                None => return Call::Misused("--socket needs a path".to_owned()),
            },
            "--help" | "-h" => return Call::Print(USAGE.to_owned()),
            "--version" | "-V" => {
                return Call::Print(format!("appliance {}\n", env!("CARGO_PKG_VERSION")));
            }
            "-c" => {
                let line = arguments.next().and_then(|line| line.into_string().ok());
                let (Some(line), None) = (line, arguments.next()) else {
                    return Call::Misused("-c needs one line of text, and nothing else".to_owned());
                };
                let rest = line
                    .trim_start()
                    .strip_prefix("--json")
                    .filter(|rest| rest.is_empty() || rest.starts_with([' ', '\t']));
                let line = rest.unwrap_or(&line).to_owned();
                return Call::Run { socket, is_json: is_json || rest.is_some(), line: Some(line) };
            }
            option if option.starts_with('-') => {
                return Call::Misused(format!("there is no option {}", quote(option)));
            }
            _ => words.push(argument),
        }
    }
    // A question mark at the end asks for help, even when the calling shell took its quotes off.
    let asks = words.pop_if(|word| word == "?").is_some();
    let mut line: String = words.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" ");
    if asks {
        line.push_str(" ?");
    }
    Call::Run { socket, is_json, line: Some(line).filter(|line| !line.is_empty()) }
}

fn run(socket: PathBuf, is_json: bool, line: Option<&str>) -> u8 {
    let mut session = Session::new(socket.clone(), is_json);
    let result = match line {
        Some(line) => shell::execute(&mut session, line).map(|ending| ending != Ending::DoneInPart),
        None => shell::run(&mut session, &socket),
    };
    match result {
        Ok(true) => 0,
        Ok(false) => 1,
        // Whoever reads the output has seen enough.
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => 0,
        Err(failure) => {
            // When even this cannot be written, the exit code has to tell.
            let _ = shell::report(&session, &failure);
            failure.exit_code()
        }
    }
}

fn main() -> ExitCode {
    let code = match read_call(std::env::args_os().skip(1)) {
        Call::Run { socket, is_json, line } => run(socket, is_json, line.as_deref()),
        Call::Print(text) => u8::from(io::stdout().write_all(text.as_bytes()).is_err()),
        Call::Misused(why) => {
            let _ = write!(io::stderr(), "appliance: {why}\n\n{USAGE}");
            2
        }
    };
    ExitCode::from(code)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::{Call, SOCKET, read_call};

    fn call(arguments: &[&str]) -> Call {
        read_call(arguments.iter().map(Into::into))
    }

    fn line(text: &str, is_json: bool) -> Call {
        Call::Run { socket: PathBuf::from(SOCKET), is_json, line: Some(text.to_owned()) }
    }

    #[test]
    fn arguments_become_one_line_that_means_the_same() {
        assert_eq!(
            call(&["user", "add", "anna", "display-name", "Anna \"A\" B"]),
            line(r#"user add anna display-name "Anna \"A\" B""#, false)
        );
        assert_eq!(call(&["--json", "show", "status"]), line("show status", true));
        assert_eq!(call(&["show", "?"]), line("show ?", false));
        assert_eq!(call(&["user", "add", "--json"]), line("user add --json", false));
    }

    #[test]
    fn a_login_shell_gets_its_line_whole() {
        assert_eq!(call(&["-c", "show user 'a b'"]), line("show user 'a b'", false));
        assert_eq!(call(&["-c", " --json show status"]), line(" show status", true));
        assert_eq!(call(&["-c", "--jsonx"]), line("--jsonx", false));
        assert!(matches!(call(&["-c"]), Call::Misused(_)));
        assert!(matches!(call(&["-c", "show status", "x"]), Call::Misused(_)));
    }

    #[test]
    fn options_stand_before_the_command() {
        let shell = call(&["--socket", "/tmp/x", "--json"]);
        assert_eq!(shell, Call::Run { socket: PathBuf::from("/tmp/x"), is_json: true, line: None });
        assert!(matches!(call(&["--help"]), Call::Print(_)));
        assert!(matches!(call(&["--nonsense"]), Call::Misused(_)));
        assert!(matches!(call(&["--socket"]), Call::Misused(_)));
    }
}
