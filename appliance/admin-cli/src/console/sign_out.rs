//! Signing out whoever has left the console: the program starts itself anew, so that nothing of
//! the session is left, neither in memory nor on the terminal.

use std::ffi::CString;
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStringExt as _;
use std::time::Duration;

use nix::sys::signal::{Signal, raise};
use nix::sys::termios::{self, SetArg};

use crate::idle;

/// This program, whatever happened to its file.
const MYSELF: &std::ffi::CStr = c"/proc/self/exe";

/// Watches from now on.
pub(super) fn watch(limit: Duration) -> io::Result<()> {
    let as_found = termios::tcgetattr(io::stdin())?;
    let arguments: Vec<CString> =
        std::env::args_os().filter_map(|argument| CString::new(argument.into_vec()).ok()).collect();
    idle::watch(limit, move || {
        // What cannot be said or put back is no reason to let someone else go on here.
        let _ = termios::tcsetattr(io::stdin(), SetArg::TCSAFLUSH, &as_found);
        let said = "\nNo key was pressed for a long time: you are signed out.\n\n";
        let _ = io::stdout().write_all(said.as_bytes());
        let _ = nix::unistd::execv(MYSELF, &arguments);
        // Whatever started the console starts it again.
        let _ = raise(Signal::SIGKILL);
    });
    Ok(())
}
