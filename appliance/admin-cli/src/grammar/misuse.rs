//! Why a line is no command: where reading stopped, and what could stand there.

use unicode_width::UnicodeWidthStr;

use super::lexer::Token;
use super::{Expected, Mismatch};
use crate::render::text::safe;

/// How many words a hint names.
const HINTS: usize = 12;

/// A line that is no command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Misuse {
    /// What is wrong, as administrators know it.
    pub(crate) headline: &'static str,
    /// The line.
    line: String,
    /// Where reading stopped, in bytes of the line.
    at: usize,
    /// What is wrong there.
    pub(crate) why: String,
    /// What to do next.
    pub(crate) next: String,
}

impl Misuse {
    /// A word does not fit.
    pub(crate) fn at(line: &str, token: &Token, mismatch: Mismatch, before: &Expected) -> Self {
        let head = line.get(..token.start).unwrap_or_default();
        let word = safe(&token.text);
        let (headline, why) = match mismatch {
            Mismatch::Unknown => {
                let near = nearest(&token.text, before);
                let hint = if near.is_empty() { listed(before) } else { near.join(", ") };
                let lead = if near.is_empty() { "possible here" } else { "nearest" };
                (
                    "No valid command entered",
                    format!("\"{word}\" is not known here; {lead}: {hint}"),
                )
            }
            Mismatch::Ambiguous(candidates) => {
                ("Ambiguous command", format!("\"{word}\" could be {}", candidates.join(", ")))
            }
            Mismatch::BadValue(why) => ("No valid command entered", why),
            Mismatch::NothingMore => (
                "No valid command entered",
                format!("\"{word}\" is too much: the command ends before"),
            ),
        };
        Self {
            headline,
            line: line.to_owned(),
            at: token.start,
            why,
            next: format!("\"{}?\" lists what may stand there", safe(head)),
        }
    }

    /// The line ends too early.
    pub(crate) fn incomplete(line: &str, expected: &Expected) -> Self {
        let line = line.trim_end();
        Self {
            headline: "Incomplete command",
            line: line.to_owned(),
            at: line.len() + 1,
            why: format!("more must follow: {}", listed(expected)),
            next: format!("\"{} ?\" explains what may follow", safe(line)),
        }
    }

    /// The line ends inside quotes.
    pub(crate) fn open_quote(line: &str) -> Self {
        Self {
            headline: "No valid command entered",
            line: line.to_owned(),
            at: line.len(),
            why: "a quote is not closed".to_owned(),
            next: "close the quote, or put a backslash before a quote that belongs to the text"
                .to_owned(),
        }
    }

    /// The line is longer than lines may be.
    pub(crate) fn too_long(limit: usize) -> Self {
        Self {
            headline: "No valid command entered",
            line: String::new(),
            at: 0,
            why: format!("the line is longer than {limit} bytes"),
            next: "shorten it; many users are added by \"user import\"".to_owned(),
        }
    }

    /// The part of the line before which reading stopped, for programs.
    pub(crate) fn place(&self) -> String {
        match self.line.get(self.at..) {
            Some(rest) if !rest.is_empty() => format!("before \"{}\"", safe(rest)),
            _ => "at the end of the line".to_owned(),
        }
    }

    /// The explanation as lines of text.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines = vec![self.headline.to_owned()];
        let head = safe(self.line.get(..self.at).unwrap_or(&self.line));
        let column = head.width() + usize::from(self.at > self.line.len());
        if !self.line.is_empty() {
            lines.push(format!("  {}", safe(&self.line)));
            lines.push(format!("  {:column$}^ {}", "", self.why));
        } else {
            lines.push(format!("  {}", self.why));
        }
        lines.push(format!("  {}", self.next));
        lines
    }
}

/// What may stand there, in words.
fn listed(expected: &Expected) -> String {
    let words = expected.words.iter().map(|(word, _)| *word);
    let mut names: Vec<&str> =
        expected.value.map(|slot| slot.name).into_iter().chain(words).collect();
    let more = names.len() > HINTS;
    names.truncate(HINTS);
    let mut list = names.join(", ");
    if more {
        list.push_str(", …");
    }
    list
}

/// The words that someone may have meant, the nearest first.
fn nearest(typed: &str, expected: &Expected) -> Vec<&'static str> {
    let typed = typed.to_lowercase();
    let allowed = typed.chars().count().div_ceil(3).min(3);
    let mut near: Vec<(usize, &'static str)> = expected
        .words
        .iter()
        .map(|(word, _)| (distance(&typed, word), *word))
        .filter(|(distance, word)| *distance <= allowed || typed.starts_with(word))
        .collect();
    near.sort_unstable();
    near.into_iter().take(3).map(|(_, word)| word).collect()
}

/// How many letters must be put in, left out, replaced or swapped to make one word of the other
/// (optimal string alignment).
fn distance(left: &str, right: &str) -> usize {
    let left: Vec<char> = left.chars().take(64).collect();
    let right: Vec<char> = right.chars().collect();
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=right.len()).collect();
    let cell = |row: &[usize], column: usize| row.get(column).copied().unwrap_or(usize::MAX / 2);
    for (i, a) in left.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in right.iter().enumerate() {
            let mut best = cell(&last, j) + usize::from(a != b);
            best = best.min(cell(&last, j + 1) + 1).min(cell(&row, j) + 1);
            let is_swap =
                i > 0 && j > 0 && left.get(i - 1) == Some(b) && right.get(j - 1) == Some(a);
            if is_swap {
                best = best.min(cell(&before_last, j - 1) + 1);
            }
            row.push(best);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    cell(&last, right.len())
}

#[cfg(test)]
mod tests {
    use super::distance;

    #[test]
    fn distance_counts_edits() {
        for (left, right, edits) in [
            ("status", "status", 0),
            ("statsu", "status", 1),
            ("sttus", "status", 1),
            ("statuss", "status", 1),
            ("", "log", 3),
            ("log", "", 3),
            ("user", "show", 4),
        ] {
            assert_eq!(distance(left, right), edits, "{left} {right}");
        }
    }
}
