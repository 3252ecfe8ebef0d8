//! The `appliance` command: the `admin:` shell, and its commands one at a time.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use crate::failure::Failure;
use crate::grammar::lexer::{Token, lex, quote};
use crate::render::text::safe;
use crate::session::{Ending, Session, Sockets, Source};

mod answers;
mod command;
mod completion;
mod console;
mod failure;
mod grammar;
mod idle;
mod pager;
mod render;
mod session;
mod shell;
mod terminal;

const SOCKET: &str = "/run/lamplight/presence.sock";

const PLATFORM_SOCKET: &str = "/run/platformd/platform.sock";

/// How long a shell at the console may wait for a key.
const IDLE: Duration = Duration::from_secs(900);

const USAGE: &str = "\
Usage: appliance [--socket PATH] [--platform-socket PATH] [--json] [COMMAND…]

Without a command it is the interactive shell. Exit codes: 0 done, 1 refused or failed, 2 misused.

  --socket PATH           control socket of the presence service [/run/lamplight/presence.sock]
  --platform-socket PATH  control socket of the platform service [/run/platformd/platform.sock]
  --json                  print answers and errors as JSON, one document each, on standard output
  -c LINE                 run the command on this line, as sshd asks login shells to; it may
                          begin or end in --json
  --console               be the only program on this terminal: ask the questions of the first
                          start, ask for the password, then be the shell, over and over
  --idle SECONDS          how long a shell of --console may wait for a key [900]
  --version               print the version
  --help                  print this; \"appliance help\" explains the commands

Passwords are never arguments: a terminal is asked, or password-stdin reads standard input.
";

/// What the program was called with.
#[derive(Debug, PartialEq, Eq)]
enum Call {
    /// The shell, or the command on this line.
    Run { sockets: Sockets, is_json: bool, line: Option<String>, source: Source },
    /// The console.
    Console { sockets: Sockets, idle: Duration },
    /// Print this and be done.
    Print(String),
    /// It was called wrongly.
    Misused(String),
}

fn default_sockets() -> Sockets {
    Sockets { presence: PathBuf::from(SOCKET), platform: PathBuf::from(PLATFORM_SOCKET) }
}

/// A line that sshd got from afar, and whether its answer is to be JSON.
fn distant_line(line: &str, is_json: bool) -> (String, bool) {
    let tokens = lex(line).tokens;
    let is_json_word = |token: &&Token| !token.is_quoted && token.text == "--json";
    if let Some(token) = tokens.last().filter(is_json_word) {
        return (line.get(..token.start).unwrap_or_default().to_owned(), true);
    }
    if let Some(token) = tokens.first().filter(is_json_word) {
        let rest = line.get(token.start + token.text.len()..).unwrap_or_default();
        return (rest.to_owned(), true);
    }
    (line.to_owned(), is_json)
}

fn read_call(arguments: impl Iterator<Item = OsString>) -> Call {
    let mut arguments = arguments;
    let mut sockets = default_sockets();
    let mut is_json = false;
    let mut is_console = false;
    let mut idle = IDLE;
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
            "--console" => is_console = true,
            "--socket" | "--platform-socket" => match arguments.next() {
                Some(path) if argument == "--socket" => sockets.presence = PathBuf::from(path),
                Some(path) => sockets.platform = PathBuf::from(path),
                None => return Call::Misused(format!("{argument} needs a path")),
            },
            "--idle" => {
                let seconds = arguments.next().and_then(|text| text.into_string().ok());
                match seconds.and_then(|text| text.parse().ok()).filter(|count| *count > 0) {
                    Some(seconds) => idle = Duration::from_secs(seconds),
                    None => return Call::Misused("--idle needs a number of seconds".to_owned()),
                }
            }
            "--help" | "-h" => return Call::Print(USAGE.to_owned()),
            "--version" | "-V" => {
                return Call::Print(format!("appliance {}\n", env!("CARGO_PKG_VERSION")));
            }
            "-c" => {
                let line = arguments.next().and_then(|line| line.into_string().ok());
                let (Some(line), None) = (line, arguments.next()) else {
                    return Call::Misused("-c needs one line of text, and nothing else".to_owned());
                };
                let (line, is_json) = distant_line(&line, is_json);
                return Call::Run { sockets, is_json, line: Some(line), source: Source::Shell };
            }
            option if option.starts_with('-') => {
                return Call::Misused(format!("there is no option {}", quote(&safe(option))));
            }
            _ => words.push(argument),
        }
    }
    if is_console {
        return match words.first() {
            None => Call::Console { sockets, idle },
            Some(_) => Call::Misused("--console takes no command".to_owned()),
        };
    }
    // A question mark at the end asks for help, even when the calling shell took its quotes off.
    let asks = words.pop_if(|word| word == "?").is_some();
    let mut line: String = words.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" ");
    if asks {
        line.push_str(" ?");
    }
    let line = Some(line).filter(|line| !line.is_empty());
    let source = if line.is_some() { Source::Arguments } else { Source::Shell };
    Call::Run { sockets, is_json, line, source }
}

fn run(session: &mut Session, line: Option<&str>) -> u8 {
    let result = match line {
        Some(line) => shell::execute(session, line).map(|ending| ending != Ending::DoneInPart),
        None => shell::run(session),
    };
    match result {
        Ok(true) => 0,
        Ok(false) => 1,
        // Whoever reads the output has seen enough.
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => 0,
        Err(failure) => {
            // When even this cannot be written, the exit code has to tell.
            let _ = shell::report(session, &failure);
            failure.exit_code()
        }
    }
}

fn main() -> ExitCode {
    let code = match read_call(std::env::args_os().skip(1)) {
        Call::Run { sockets, is_json, line, source } => {
            run(&mut Session::new(sockets, is_json, source), line.as_deref())
        }
        Call::Console { sockets, idle } => {
            let mut session = Session::new(sockets, false, Source::Shell);
            match console::run(&mut session, idle) {
                Ok(()) => 0,
                Err(failure) => {
                    let _ = shell::report(&session, &failure);
                    failure.exit_code()
                }
            }
        }
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
    use std::time::Duration;

    use super::{Call, IDLE, Source, default_sockets, read_call};

    fn call(arguments: &[&str]) -> Call {
        read_call(arguments.iter().map(Into::into))
    }

    fn run(text: &str, is_json: bool, source: Source) -> Call {
        Call::Run { sockets: default_sockets(), is_json, line: Some(text.to_owned()), source }
    }

    fn line(text: &str, is_json: bool) -> Call {
        run(text, is_json, Source::Arguments)
    }

    fn distant(text: &str, is_json: bool) -> Call {
        run(text, is_json, Source::Shell)
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
        assert_eq!(call(&["-c", "show user 'a b'"]), distant("show user 'a b'", false));
        assert_eq!(call(&["-c", " --json show status"]), distant(" show status", true));
        assert_eq!(call(&["-c", "show status --json "]), distant("show status ", true));
        assert_eq!(call(&["-c", "--json"]), distant("", true));
        assert_eq!(call(&["-c", "--jsonx"]), distant("--jsonx", false));
        assert_eq!(call(&["-c", "show user '--json'"]), distant("show user '--json'", false));
        assert_eq!(call(&["-c", "show user \"--json"]), distant("show user \"--json", false));
        assert!(matches!(call(&["-c"]), Call::Misused(_)));
        assert!(matches!(call(&["-c", "show status", "x"]), Call::Misused(_)));
    }

    #[test]
    fn options_stand_before_the_command() {
        let shell = call(&["--socket", "/tmp/x", "--json", "--platform-socket", "/tmp/y"]);
        let Call::Run { sockets, is_json: true, line: None, source: Source::Shell } = shell else {
            panic!("{shell:?}");
        };
        assert_eq!(sockets.presence, PathBuf::from("/tmp/x"));
        assert_eq!(sockets.platform, PathBuf::from("/tmp/y"));
        assert!(matches!(call(&["--help"]), Call::Print(_)));
        assert!(matches!(call(&["--nonsense"]), Call::Misused(_)));
        assert!(matches!(call(&["--socket"]), Call::Misused(_)));
    }

    #[test]
    fn the_console_takes_no_command() {
        let sockets = default_sockets();
        assert_eq!(call(&["--console"]), Call::Console { sockets: sockets.clone(), idle: IDLE });
        let soon = Call::Console { sockets, idle: Duration::from_secs(5) };
        assert_eq!(call(&["--console", "--idle", "5"]), soon);
        for wrong in [&["--console", "show", "status"][..], &["--idle", "0"], &["--idle", "x"]] {
            assert!(matches!(call(wrong), Call::Misused(_)), "{wrong:?}");
        }
    }
}
