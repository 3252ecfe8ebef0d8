//! Lines typed at a terminal of which nothing is known: no size, no escape sequences. Prompts of
//! the console are answered here.

use std::io::{self, Write as _};
use std::time::{Duration, Instant};

use unicode_width::UnicodeWidthChar as _;
use zeroize::{Zeroize as _, Zeroizing};

use crate::idle;

use super::{BACKSPACE, CTRL_C, CTRL_D, CTRL_U, DELETE, Key, KeyMode, drop_character};

const ESCAPE: u8 = 0x1b;

/// What came of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Typed {
    /// A line, without its end.
    Line(Zeroizing<String>),
    /// Ctrl-C, or Ctrl-D where nothing was typed yet.
    GivenUp,
    /// Nobody typed for too long.
    Silence,
    /// What was asked is no longer wanted.
    Unwanted,
    /// The terminal is gone.
    Gone,
}

/// How a line is read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading {
    /// What is typed can be seen.
    pub(crate) is_shown: bool,
    /// What was typed before the question is forgotten.
    pub(crate) is_fresh: bool,
    /// The most bytes; what goes beyond is not taken.
    pub(crate) limit: usize,
    /// How long nobody may type.
    pub(crate) silence: Option<Duration>,
}

/// Part of an escape sequence, which nobody types on purpose here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Escape {
    None,
    Begun,
    Sequence,
}

/// Reads a line behind what is printed already. While nobody types, `is_wanted` is asked every
/// second whether the line is still wanted, and told whether anything stands there.
pub(crate) fn read(
    reading: Reading,
    is_wanted: &mut dyn FnMut(bool) -> io::Result<bool>,
) -> io::Result<Typed> {
    read_keys(&KeyMode::enter(reading.is_fresh)?, reading, is_wanted)
}

/// Asks for a yes; everything else but a no is asked again.
pub(crate) fn yes(what: &str) -> io::Result<bool> {
    let reading = Reading { is_shown: true, is_fresh: true, limit: 16, silence: None };
    loop {
        let mut screen = io::stdout();
        write!(screen, "{what} Go on? yes or no [no]: ")?;
        screen.flush()?;
        let Typed::Line(line) = read(reading, &mut |_| Ok(true))? else { return Ok(false) };
        match line.trim().to_ascii_lowercase().as_str() {
            "yes" | "y" => return Ok(true),
            "no" | "n" | "" => return Ok(false),
            _ => {}
        }
    }
}

/// Takes pasted lines up to one with only a dot. Nothing when whoever pastes gave up.
pub(crate) fn block(
    what: &str,
    is_shown: bool,
    limit: usize,
) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    const MAX_LINE_BYTES: usize = 4_096;
    let reading = Reading { is_shown, is_fresh: false, limit: MAX_LINE_BYTES, silence: None };
    let mode = KeyMode::enter(true)?;
    writeln!(io::stdout(), "{what} A line with only a dot ends it, Ctrl-C drops it.")?;
    let mut text = Zeroizing::new(Vec::with_capacity(limit));
    loop {
        let Typed::Line(line) = read_keys(&mode, reading, &mut |_| Ok(true))? else {
            return Ok(None);
        };
        if line.trim() == "." {
            return Ok(Some(text));
        }
        if text.len() + line.len() < limit {
            text.extend_from_slice(line.as_bytes());
            text.push(b'\n');
        } else {
            // Longer than it may be, which the caller says.
            text.resize(limit, b'\n');
        }
    }
}

fn read_keys(
    mode: &KeyMode,
    reading: Reading,
    is_wanted: &mut dyn FnMut(bool) -> io::Result<bool>,
) -> io::Result<Typed> {
    const LOOK_EVERY: Duration = Duration::from_secs(1);
    let _waiting = idle::Waiting::begin();
    let mut typed = Zeroizing::new(Vec::with_capacity(reading.limit));
    let mut escape = Escape::None;
    let mut last_key = Instant::now();
    loop {
        let key = match mode.key_within(LOOK_EVERY)? {
            Key::Byte(key) => key,
            Key::Gone => return Ok(Typed::Gone),
            Key::None => {
                if reading.silence.is_some_and(|limit| last_key.elapsed() >= limit) {
                    end_line()?;
                    return Ok(Typed::Silence);
                }
                if !is_wanted(typed.is_empty())? {
                    end_line()?;
                    return Ok(Typed::Unwanted);
                }
                continue;
            }
        };
        last_key = Instant::now();
        match (escape, key) {
            (Escape::Begun, b'[' | b'O') => {
                escape = Escape::Sequence;
                continue;
            }
            (Escape::Sequence, 0x20..=0x3f) => continue,
            (Escape::Sequence, 0x40..=0x7e) => {
                escape = Escape::None;
                continue;
            }
            _ => escape = Escape::None,
        }
        match key {
            b'\n' | b'\r' => break,
            ESCAPE => escape = Escape::Begun,
            CTRL_C => return give_up(),
            CTRL_D if typed.is_empty() => return give_up(),
            CTRL_U => {
                while !typed.is_empty() {
                    erase(&mut typed, reading.is_shown)?;
                }
            }
            BACKSPACE | DELETE => erase(&mut typed, reading.is_shown)?,
            0x20.. if typed.len() < reading.limit => {
                typed.push(key);
                if reading.is_shown {
                    show(&typed)?;
                }
            }
            _ => {}
        }
    }
    end_line()?;
    let text = String::from_utf8_lossy(&typed).into_owned();
    typed.zeroize();
    Ok(Typed::Line(Zeroizing::new(text)))
}

fn end_line() -> io::Result<()> {
    let mut screen = io::stdout();
    writeln!(screen)?;
    screen.flush()
}

fn give_up() -> io::Result<Typed> {
    end_line()?;
    Ok(Typed::GivenUp)
}

/// The character at the end, once all of its bytes are there.
fn last_character(typed: &[u8]) -> Option<char> {
    (1..=typed.len().min(4)).find_map(|length| {
        let tail = typed.get(typed.len() - length..)?;
        std::str::from_utf8(tail).ok()?.chars().next()
    })
}

/// Shows the character that was just completed; nothing that could steer the terminal.
fn show(typed: &[u8]) -> io::Result<()> {
    let Some(character) = last_character(typed).filter(|c| !c.is_control()) else {
        return Ok(());
    };
    let mut screen = io::stdout();
    write!(screen, "{character}")?;
    screen.flush()
}

fn erase(typed: &mut Vec<u8>, is_shown: bool) -> io::Result<()> {
    let character = last_character(typed).filter(|c| !c.is_control());
    drop_character(typed);
    let mut screen = io::stdout();
    if let (true, Some(character)) = (is_shown, character) {
        for _ in 0..character.width().unwrap_or(0) {
            write!(screen, "\u{8} \u{8}")?;
        }
    }
    screen.flush()
}

#[cfg(test)]
mod tests {
    use super::last_character;

    #[test]
    fn a_character_is_known_once_it_is_whole() {
        for (bytes, character) in [
            (&b""[..], None),
            (b"a", Some('a')),
            (b"a\xc3", None),
            (b"a\xc3\xa4", Some('ä')),
            (b"\xf0\x9f\x99", None),
            (b"\xf0\x9f\x99\x82", Some('🙂')),
            (b"\xff", None),
        ] {
            assert_eq!(last_character(bytes), character, "{bytes:?}");
        }
    }
}
