//! Output that stops at each page of a terminal.

use std::io::{self, Write};

use unicode_width::UnicodeWidthStr;

use crate::terminal::{self, PagerKey};

const PROMPT: &str = "Press <enter> for 1 line, <space> for one page, or <q> to quit";

/// Whether more output is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    /// Yes.
    Go,
    /// The reader has seen enough.
    Stop,
}

/// The size of the screen, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Screen {
    /// Width.
    pub(crate) columns: usize,
    /// Height.
    pub(crate) rows: usize,
}

impl Screen {
    /// How many rows of the screen a line takes.
    fn rows_of(self, line: &str) -> usize {
        line.width().div_ceil(self.columns.max(1)).max(1)
    }
}

/// Writes lines, and waits for a key whenever the screen is full.
pub(crate) struct Pager {
    screen: Option<Screen>,
    rows_left: usize,
    is_stopped: bool,
    out: io::BufWriter<io::Stdout>,
}

impl Pager {
    /// Without a screen it never waits.
    pub(crate) fn new(screen: Option<Screen>) -> Self {
        let screen = screen.filter(|screen| screen.rows > 1);
        Self {
            screen,
            rows_left: screen.map_or(0, |screen| screen.rows - 1),
            is_stopped: false,
            out: io::BufWriter::new(io::stdout()),
        }
    }

    /// Writes a line, which must be free of control characters.
    pub(crate) fn line(&mut self, line: &str) -> io::Result<Flow> {
        if self.is_stopped {
            return Ok(Flow::Stop);
        }
        if let Some(screen) = self.screen {
            let rows = screen.rows_of(line);
            if rows > self.rows_left && self.rows_left < screen.rows - 1 {
                self.wait(screen, rows)?;
                if self.is_stopped {
                    return Ok(Flow::Stop);
                }
            }
            self.rows_left = self.rows_left.saturating_sub(rows);
        }
        writeln!(self.out, "{line}")?;
        Ok(Flow::Go)
    }

    /// Writes lines until the reader has seen enough.
    pub(crate) fn lines<L: AsRef<str>>(
        &mut self,
        lines: impl IntoIterator<Item = L>,
    ) -> io::Result<Flow> {
        for line in lines {
            if self.line(line.as_ref())? == Flow::Stop {
                return Ok(Flow::Stop);
            }
        }
        Ok(Flow::Go)
    }

    /// Makes what was written appear.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn wait(&mut self, screen: Screen, rows: usize) -> io::Result<()> {
        write!(self.out, "{PROMPT}")?;
        self.out.flush()?;
        let key = terminal::pager_key()?;
        let blank = " ".repeat(PROMPT.len().min(screen.columns.saturating_sub(1)));
        write!(self.out, "\r{blank}\r")?;
        match key {
            PagerKey::Line => self.rows_left = rows,
            PagerKey::Page => self.rows_left = screen.rows - 1,
            PagerKey::Quit => self.is_stopped = true,
        }
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::Screen;

    #[test]
    fn a_long_line_takes_as_many_rows_as_it_wraps_to() {
        let screen = Screen { columns: 10, rows: 5 };
        for (line, rows) in [("", 1), ("123456789", 1), ("1234567890", 1), ("12345678901", 2)] {
            assert_eq!(screen.rows_of(line), rows, "{line}");
        }
        assert_eq!(screen.rows_of("漢字漢字漢字"), 2);
    }
}
