//! The interactive shell `admin:`.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rustyline::config::{BellStyle, ColorMode, CompletionType, Configurer as _};
use rustyline::error::ReadlineError;
use rustyline::history::MemHistory;
use rustyline::{
    Cmd, ConditionalEventHandler, Config, Editor, Event, EventContext, EventHandler, KeyCode,
    KeyEvent, Modifiers, RepeatCount,
};

use serde_json::json;

use crate::completion::LineCompleter;
use crate::failure::Failure;
use crate::grammar::lexer::lex;
use crate::grammar::{self, Misuse, Slot};
use crate::idle;
use crate::session::{Ending, Outcome, Session, input_line};

const PROMPT: &str = "admin: ";

/// The longest line; longer matter comes from files.
const MAX_LINE_BYTES: usize = 4_096;

const HISTORY_LINES: usize = 500;

type LineEditor = Editor<LineCompleter, MemHistory>;

/// Runs commands until there are no more. Says whether the last one was done.
pub(crate) fn run(session: &mut Session) -> Result<bool, Failure> {
    if io::stdin().is_terminal() && io::stdout().is_terminal() {
        session.outlive_interrupts()?;
        interactive(session)
    } else {
        piped(session)
    }
}

/// Commands that come through a pipe: no prompt, no editing.
fn piped(session: &mut Session) -> Result<bool, Failure> {
    let mut is_done = true;
    while let Some(line) = input_line(MAX_LINE_BYTES)? {
        if line.trim().is_empty() {
            continue;
        }
        match execute(session, &line) {
            Ok(Ending::Leave) => break,
            Ok(ending) => is_done = ending == Ending::Done,
            Err(failure) => {
                report(session, &failure)?;
                is_done = false;
            }
        }
    }
    Ok(is_done)
}

/// The shell at a terminal, until it is left.
pub(crate) fn interactive(session: &mut Session) -> Result<bool, Failure> {
    let asked = Question::default();
    let mut editor = editor(session, MemHistory::new(), &asked)?;
    writeln!(io::stdout(), "Lamplight {}. \"?\" lists commands.", env!("CARGO_PKG_VERSION"))?;
    let mut kept = (String::new(), String::new());
    let mut is_done = true;
    loop {
        let (left, right) = std::mem::take(&mut kept);
        let waiting = idle::Waiting::begin();
        let line = editor.readline_with_initial(PROMPT, (&left, &right));
        drop(waiting);
        match line {
            Ok(line) if asked.take() => {
                let at = asked.at.load(Ordering::Relaxed);
                let (left, right) = line.split_at_checked(at).unwrap_or((&line, ""));
                explain(session, left)?;
                kept = (left.to_owned(), right.to_owned());
            }
            Ok(line) if line.trim().is_empty() => {}
            Ok(line) => {
                // Only fails for a history in a file, and there is none.
                let _ = editor.add_history_entry(&line);
                session.is_interrupted();
                match execute(session, &line) {
                    Ok(Ending::Leave) => return Ok(is_done),
                    Ok(ending) => is_done = ending == Ending::Done,
                    Err(failure) => {
                        report(session, &failure)?;
                        is_done = false;
                    }
                }
                if std::mem::take(&mut session.has_stale_input) {
                    let history = std::mem::take(editor.history_mut());
                    editor = self::editor(session, history, &asked)?;
                }
            }
            Err(ReadlineError::Interrupted) => {}
            Err(ReadlineError::Eof) => return Ok(is_done),
            Err(error) => return Err(io::Error::other(error).into()),
        }
    }
}

/// Runs a line.
pub(crate) fn execute(session: &mut Session, line: &str) -> Outcome {
    if line.len() > MAX_LINE_BYTES {
        return Err(Misuse::too_long(MAX_LINE_BYTES).into());
    }
    // Where keys are not seen one by one, a question mark comes with the line.
    let lexed = lex(line);
    let asks = lexed.tokens.last().is_some_and(|token| {
        !token.is_quoted && token.text.ends_with('?') && !line.ends_with("\\?")
    });
    if let (true, Some(left)) = (asks, line.trim_end().strip_suffix('?')) {
        explain(session, left)?;
        return Ok(Ending::Done);
    }
    let parsed = grammar::parse(line, session.level)?;
    (parsed.command.run)(session, &parsed.arguments)
}

/// Tells of a failure: on standard output as JSON or at the shell, else on standard error.
pub(crate) fn report(session: &Session, failure: &Failure) -> Result<(), Failure> {
    if session.is_json {
        return session.print_json(&json!({ "error": failure.json() }));
    }
    let text: String = failure.lines().iter().map(|line| format!("{line}\n")).collect();
    if session.is_interactive() {
        return Ok(io::stdout().write_all(text.as_bytes())?);
    }
    Ok(io::stderr().write_all(text.as_bytes())?)
}

/// Lists what may follow a line.
fn explain(session: &Session, left: &str) -> Result<(), Failure> {
    let expected = match grammar::what_follows(left, session.level) {
        Ok((expected, _)) => expected,
        Err(misuse) => return report(session, &misuse.into()),
    };
    let value = |slot: &Slot| (slot.name.to_owned(), slot.help.to_owned());
    let mut rows: Vec<(String, String)> = expected.value.map(value).into_iter().collect();
    rows.extend(expected.words.iter().map(|(word, help)| ((*word).to_owned(), (*help).to_owned())));
    if let Some(command) = expected.complete {
        rows.push(("<enter>".to_owned(), command.summary.to_owned()));
    }
    if session.is_json {
        let follows: Vec<_> =
            rows.iter().map(|(name, help)| json!({ "name": name, "help": help })).collect();
        return session.print_json(&json!({ "follows": follows }));
    }
    if rows.is_empty() {
        return session.print(["  Nothing that may stand here begins so."]);
    }
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    session.print(rows.iter().map(|(name, help)| format!("  {name:width$}  {help}")))
}

/// That `?` was pressed, and where in the line.
#[derive(Default, Clone)]
struct Question {
    is_asked: Arc<AtomicBool>,
    at: Arc<AtomicUsize>,
}

impl Question {
    fn take(&self) -> bool {
        self.is_asked.swap(false, Ordering::Relaxed)
    }
}

impl ConditionalEventHandler for Question {
    fn handle(
        &self,
        _: &Event,
        _: RepeatCount,
        _: bool,
        context: &EventContext<'_>,
    ) -> Option<Cmd> {
        let left = context.line().get(..context.pos())?;
        // Inside quotes, or after a backslash, it is a character like any other.
        if lex(left).is_open || left.ends_with('\\') {
            return None;
        }
        self.at.store(left.len(), Ordering::Relaxed);
        self.is_asked.store(true, Ordering::Relaxed);
        Some(Cmd::AcceptLine)
    }
}

/// Takes no more characters into a full line.
struct Brim;

impl ConditionalEventHandler for Brim {
    fn handle(
        &self,
        event: &Event,
        _: RepeatCount,
        _: bool,
        context: &EventContext<'_>,
    ) -> Option<Cmd> {
        idle::touch();
        let KeyEvent(code, modifiers) = event.get(0)?;
        let inserts = matches!(code, KeyCode::Char(_)) && *modifiers == Modifiers::NONE;
        (inserts && context.line().len() >= MAX_LINE_BYTES).then_some(Cmd::Noop)
    }
}

fn editor(session: &Session, history: MemHistory, asked: &Question) -> Result<LineEditor, Failure> {
    let config = Config::builder()
        .completion_type(CompletionType::List)
        .completion_show_all_if_ambiguous(true)
        .max_history_size(HISTORY_LINES)
        .and_then(|builder| builder.history_ignore_dups(true))
        .map_err(io::Error::other)?
        .color_mode(ColorMode::Disabled)
        .bell_style(BellStyle::None)
        // Pasted lines are run one by one, as if they were typed.
        .bracketed_paste(false)
        .build();
    let mut editor = LineEditor::with_history(config, history).map_err(io::Error::other)?;
    // Serial consoles may be terminals that do not know of it.
    editor.enable_synchronized_output(false);
    editor.set_helper(Some(LineCompleter {
        sockets: session.sockets().clone(),
        level: session.level,
    }));
    let question = EventHandler::Conditional(Box::new(asked.clone()));
    editor.bind_sequence(KeyEvent::from('?'), question);
    editor.bind_sequence(Event::Any, EventHandler::Conditional(Box::new(Brim)));
    editor.bind_sequence(KeyEvent::ctrl('Z'), Cmd::Noop);
    Ok(editor)
}
