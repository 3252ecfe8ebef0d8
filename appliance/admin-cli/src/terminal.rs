//! The terminal itself: keys, passwords without echo, Ctrl-C.

use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd as _;
use std::time::Duration;

use admin_api::secret::Secret;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::termios::{self, LocalFlags, SetArg, Termios};
use zeroize::{Zeroize, Zeroizing};

use crate::idle;

pub(crate) mod line;

/// Longer passwords are refused by every daemon; this only bounds the input.
const MAX_PASSWORD_BYTES: usize = 4_096;

const CTRL_C: u8 = 0x03;
const CTRL_D: u8 = 0x04;
const BACKSPACE: u8 = 0x08;
const CTRL_U: u8 = 0x15;
const DELETE: u8 = 0x7f;

/// How long is waited at once for someone who may take any time.
const LONG: Duration = Duration::from_secs(60);

/// What came of waiting for a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key {
    /// A byte of one.
    Byte(u8),
    /// Nothing yet.
    None,
    /// The terminal is gone.
    Gone,
}

/// Whether a person can be asked.
pub(crate) fn is_interactive() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// Keys come one by one, unseen, while this lives.
pub(crate) struct KeyMode {
    before: Termios,
}

impl KeyMode {
    /// Switches the terminal over; with `discard`, what was typed before is forgotten.
    pub(crate) fn enter(discard: bool) -> io::Result<Self> {
        let before = termios::tcgetattr(io::stdin())?;
        let mut keys = before.clone();
        keys.local_flags -=
            LocalFlags::ECHO | LocalFlags::ICANON | LocalFlags::ISIG | LocalFlags::IEXTEN;
        let when = if discard { SetArg::TCSAFLUSH } else { SetArg::TCSADRAIN };
        termios::tcsetattr(io::stdin(), when, &keys)?;
        Ok(Self { before })
    }

    /// Waits for a key; nothing when the terminal is gone.
    pub(crate) fn key(&self) -> io::Result<Option<u8>> {
        let _waiting = idle::Waiting::begin();
        loop {
            match self.key_within(LONG)? {
                Key::Byte(key) => return Ok(Some(key)),
                Key::Gone => return Ok(None),
                Key::None => {}
            }
        }
    }

    /// Waits for a key this long.
    pub(crate) fn key_within(&self, within: Duration) -> io::Result<Key> {
        let stdin = io::stdin();
        let milliseconds = u16::try_from(within.as_millis()).unwrap_or(u16::MAX);
        let mut wanted = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
        match poll(&mut wanted, milliseconds) {
            Ok(0) | Err(Errno::EINTR) => return Ok(Key::None),
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        let mut byte = [0];
        match nix::unistd::read(&stdin, &mut byte) {
            Ok(0) | Err(Errno::EIO) => Ok(Key::Gone),
            Ok(_) => {
                idle::touch();
                Ok(byte.first().map_or(Key::None, |byte| Key::Byte(*byte)))
            }
            Err(Errno::EINTR) => Ok(Key::None),
            Err(error) => Err(error.into()),
        }
    }
}

impl Drop for KeyMode {
    fn drop(&mut self) {
        // Nothing better can be done when even this fails: the terminal is gone.
        let _ = termios::tcsetattr(io::stdin(), SetArg::TCSADRAIN, &self.before);
    }
}

/// Whether the pager is to go on after this key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PagerKey {
    /// One more line.
    Line,
    /// One more page.
    Page,
    /// No more.
    Quit,
}

/// Waits for one of the pager's keys.
pub(crate) fn pager_key() -> io::Result<PagerKey> {
    let mode = KeyMode::enter(false)?;
    loop {
        match mode.key()? {
            Some(b'\n' | b'\r') => return Ok(PagerKey::Line),
            Some(b' ') => return Ok(PagerKey::Page),
            None | Some(b'q' | b'Q' | CTRL_C | CTRL_D) => return Ok(PagerKey::Quit),
            Some(_) => {}
        }
    }
}

/// Asks for a password, which is not shown. Nothing when the person gave up.
pub(crate) fn password(prompt: &str) -> io::Result<Option<Secret>> {
    let mode = KeyMode::enter(true)?;
    let mut screen = io::stdout();
    write!(screen, "{prompt}")?;
    screen.flush()?;
    let mut typed = Zeroizing::new(Vec::with_capacity(MAX_PASSWORD_BYTES));
    let is_done = loop {
        match mode.key()? {
            Some(b'\n' | b'\r') => break true,
            None | Some(CTRL_C | CTRL_D) => break false,
            Some(CTRL_U) => typed.zeroize(),
            Some(BACKSPACE | DELETE) => drop_character(&mut typed),
            Some(byte) if typed.len() < MAX_PASSWORD_BYTES => typed.push(byte),
            Some(_) => {}
        }
    };
    writeln!(screen)?;
    if !is_done {
        return Ok(None);
    }
    let text = std::str::from_utf8(&typed)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "the password is not UTF-8"))?;
    Ok(Some(Secret::new(text.to_owned())))
}

/// Takes the last character off, all of its bytes.
fn drop_character(typed: &mut Vec<u8>) {
    while let Some(byte) = typed.pop() {
        if byte & 0b1100_0000 != 0b1000_0000 {
            break;
        }
    }
}

/// Ctrl-C as something to ask for instead of the end of the program.
#[derive(Debug)]
pub(crate) struct Interrupt(SignalFd);

impl Interrupt {
    /// From now on Ctrl-C is asked for here, and the other keys that would end or halt the
    /// program do nothing.
    pub(crate) fn take_over() -> io::Result<Self> {
        let mut asked = SigSet::empty();
        asked.add(Signal::SIGINT);
        let mut blocked = asked;
        blocked.add(Signal::SIGQUIT);
        blocked.add(Signal::SIGTSTP);
        blocked.add(Signal::SIGTTIN);
        blocked.add(Signal::SIGTTOU);
        blocked.thread_block()?;
        let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
        Ok(Self(SignalFd::with_flags(&asked, flags)?))
    }

    /// Whether Ctrl-C was pressed since the last question.
    pub(crate) fn was_pressed(&self) -> bool {
        matches!(self.0.read_signal(), Ok(Some(_)))
    }
}

#[cfg(test)]
mod tests {
    use super::drop_character;

    #[test]
    fn a_backspace_takes_a_whole_character() {
        let mut typed = "aäΩ€".as_bytes().to_vec();
        for left in ["aäΩ", "aä", "a", "", ""] {
            drop_character(&mut typed);
            assert_eq!(typed, left.as_bytes());
        }
    }
}
