//! What a command works with: the daemon, the screen and how the answer is to look.

use std::io::{self, BufRead, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use admin_api::answer::Answer;
use admin_api::client::{AskFailure, Client};
use admin_api::page::{MAX_PAGE, PageRequest};
use admin_api::platform;
use admin_api::request::Request;
use admin_api::wire::Question;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::failure::{Daemon, Failure, Problem};
use crate::grammar::{Arguments, Level};
use crate::pager::{Flow, Pager, Screen};
use crate::render::{self, Zone, text};
use crate::terminal::{self, Interrupt};

/// How a command went that was run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It is done.
    Done,
    /// Some of it was refused, as was printed.
    DoneInPart,
    /// The shell is to be left.
    Leave,
}

/// How a command went.
pub(crate) type Outcome = Result<Ending, Failure>;

/// Where the daemons are asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sockets {
    /// `presenced`.
    pub(crate) presence: PathBuf,
    /// `platformd`.
    pub(crate) platform: PathBuf,
}

/// Where commands come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// The arguments of a program that somebody ran who may read files of this machine anyway.
    Arguments,
    /// The shell, which may be a login shell: nothing that is typed there names a file of this
    /// machine.
    Shell,
}

/// What a command works with.
#[derive(Debug)]
pub(crate) struct Session {
    source: Source,
    sockets: Sockets,
    /// Answers are printed as JSON.
    pub(crate) is_json: bool,
    /// Long output stops at each page, where there is a screen.
    pub(crate) is_paged: bool,
    /// A password was asked for: what was typed before is not to be taken for commands.
    pub(crate) has_stale_input: bool,
    /// What the person may do.
    pub(crate) level: Level,
    is_shell: bool,
    interrupt: Option<Interrupt>,
    zone: Zone,
}

impl Session {
    /// For commands to the daemons behind these sockets; each is connected when it is needed.
    pub(crate) fn new(sockets: Sockets, is_json: bool, source: Source) -> Self {
        Self {
            source,
            sockets,
            is_json,
            is_paged: true,
            has_stale_input: false,
            level: Level::Administrator,
            is_shell: false,
            interrupt: None,
            zone: Zone::of_this_machine(),
        }
    }

    /// From now on Ctrl-C ends a command, not the program.
    pub(crate) fn outlive_interrupts(&mut self) -> io::Result<()> {
        self.is_shell = true;
        self.hear_interrupts()
    }

    /// From now on Ctrl-C is asked for.
    pub(crate) fn hear_interrupts(&mut self) -> io::Result<()> {
        if self.interrupt.is_none() {
            self.interrupt = Some(Interrupt::take_over()?);
        }
        Ok(())
    }

    /// Whether a person works at the shell.
    pub(crate) const fn is_interactive(&self) -> bool {
        self.is_shell
    }

    /// Whether Ctrl-C was pressed.
    pub(crate) fn is_interrupted(&self) -> bool {
        self.interrupt.as_ref().is_some_and(Interrupt::was_pressed)
    }

    /// Whether a command may name a file of this machine.
    pub(crate) fn may_read_files(&self) -> bool {
        self.source == Source::Arguments
    }

    /// Where the daemons are asked.
    pub(crate) const fn sockets(&self) -> &Sockets {
        &self.sockets
    }

    /// Puts a question to the presence service. Each has its own connection: one may stay on a
    /// page for hours, and nobody should have to hold a connection for that.
    pub(crate) fn ask(&self, request: &Request) -> Result<Answer, Failure> {
        self.put(&self.sockets.presence, request).map_err(|e| Failure::Ask(Daemon::Presence, e))
    }

    /// Asks the presence service, but waits no longer than this.
    pub(crate) fn ask_within(
        &self,
        request: &Request,
        within: Duration,
    ) -> Result<Answer, Failure> {
        Client::connect(&self.sockets.presence)
            .and_then(|mut client| client.ask_while(request, within, &mut || true))
            .map_err(|failure| Failure::Ask(Daemon::Presence, failure))
    }

    /// Puts a question to the platform service.
    pub(crate) fn ask_platform(
        &self,
        request: &platform::request::Request,
    ) -> Result<platform::answer::Answer, Failure> {
        self.put(&self.sockets.platform, request).map_err(|e| Failure::Ask(Daemon::Platform, e))
    }

    /// Asks the platform service, Ctrl-C or not, but waits no longer than this.
    pub(crate) fn ask_platform_within(
        &self,
        request: &platform::request::Request,
        within: Duration,
    ) -> Result<platform::answer::Answer, Failure> {
        Client::connect(&self.sockets.platform)
            .and_then(|mut client| client.ask_while(request, within, &mut || true))
            .map_err(|failure| Failure::Ask(Daemon::Platform, failure))
    }

    fn put<Q: Question>(&self, socket: &Path, request: &Q) -> Result<Q::Answer, AskFailure> {
        let mut is_wanted = || !self.is_interrupted();
        let within = request.answer_within();
        Client::connect(socket)?.ask_while(request, within, &mut is_wanted)
    }

    /// Begins anew for whoever has signed in.
    pub(crate) fn begin(&mut self) {
        self.is_paged = true;
        self.has_stale_input = false;
        self.look_at_the_zone();
        self.is_interrupted();
    }

    /// Shows times in the machine's zone, which may have been changed.
    pub(crate) fn look_at_the_zone(&mut self) {
        self.zone = Zone::of_this_machine();
    }

    /// Asks, and prints the answer.
    pub(crate) fn show(&self, request: &Request) -> Outcome {
        let answer = self.ask(request)?;
        self.present(&answer)?;
        Ok(Ending::Done)
    }

    /// Prints an answer.
    pub(crate) fn present(&self, answer: &Answer) -> Result<(), Failure> {
        if self.is_json {
            return self.print_json(&serde_json::to_value(answer).unwrap_or_default());
        }
        self.print(render::answer(answer, &self.zone))
    }

    /// Asks the platform service, and prints the answer.
    pub(crate) fn show_platform(&self, request: &platform::request::Request) -> Outcome {
        let answer = self.ask_platform(request)?;
        self.present_platform(&answer)?;
        Ok(Ending::Done)
    }

    /// Prints an answer of the platform service.
    pub(crate) fn present_platform(
        &self,
        answer: &platform::answer::Answer,
    ) -> Result<(), Failure> {
        if self.is_json {
            let value = match answer {
                platform::answer::Answer::Done => json!({ "done": true }),
                answer => serde_json::to_value(answer).unwrap_or_default(),
            };
            return self.print_json(&value);
        }
        self.print(render::platform::answer(answer, &self.zone))
    }

    /// An answer of the platform service as JSON, without the member that names it.
    pub(crate) fn inner(answer: &platform::answer::Answer) -> Value {
        match serde_json::to_value(answer) {
            Ok(Value::Object(members)) => {
                members.into_iter().next().map(|(_, value)| value).unwrap_or_default()
            }
            _ => Value::Null,
        }
    }

    /// Asks whether something that cuts service is to be done; `force` answers yes.
    pub(crate) fn confirm(&mut self, what: &str, arguments: &Arguments) -> Result<(), Failure> {
        if arguments.has("force") {
            return Ok(());
        }
        if self.is_json || !terminal::is_interactive() {
            return Err(Problem {
                code: "not_confirmed",
                what: format!("nobody can be asked whether this is meant: {what}"),
                place: "this command".to_owned(),
                next: "add force".to_owned(),
            }
            .into());
        }
        self.has_stale_input = true;
        if terminal::line::yes(what)? { Ok(()) } else { Err(Problem::cancelled().into()) }
    }

    /// Prints lines, page by page.
    pub(crate) fn print<L: AsRef<str>>(
        &self,
        lines: impl IntoIterator<Item = L>,
    ) -> Result<(), Failure> {
        let mut pager = self.pager();
        pager.lines(lines)?;
        Ok(pager.flush()?)
    }

    /// Prints a JSON document.
    pub(crate) fn print_json(&self, value: &Value) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        writeln!(out, "{}", text::safe_json(&value.to_string()))?;
        Ok(out.flush()?)
    }

    /// A pager for output that comes bit by bit.
    pub(crate) fn pager(&self) -> Pager {
        let pages = self.is_paged && !self.is_json && terminal::is_interactive();
        Pager::new(if pages { screen() } else { None })
    }

    /// The zone that times are shown in.
    pub(crate) const fn zone(&self) -> &Zone {
        &self.zone
    }

    /// Prints a list that the daemon gives page by page. As JSON it is one document all the same;
    /// if the daemon fails on the way, the document says so after the entries.
    pub(crate) fn show_list(&self, request: impl Fn(PageRequest) -> Request) -> Outcome {
        let mut page = PageRequest { after: None, limit: MAX_PAGE };
        let mut answer = self.ask(&request(page.clone()))?;
        let mut printer = ListPrinter::new(self);
        loop {
            let next = render::next_page(&answer).map(str::to_owned);
            let flow = printer.page(&answer, next.is_none())?;
            let (Some(next), Flow::Go) = (next, flow) else { return Ok(Ending::Done) };
            if page.after.as_ref() == Some(&next) {
                return Ok(Ending::Done);
            }
            page.after = Some(next);
            answer = match self.ask(&request(page.clone())) {
                Ok(answer) => answer,
                Err(failure) => return printer.fail(failure),
            };
        }
    }
}

/// Prints the pages of a list.
struct ListPrinter<'a> {
    session: &'a Session,
    pager: Pager,
    table: render::ListTable,
    is_first: bool,
}

impl<'a> ListPrinter<'a> {
    fn new(session: &'a Session) -> Self {
        let pager = session.pager();
        Self { session, pager, table: render::ListTable::default(), is_first: true }
    }

    fn page(&mut self, answer: &Answer, is_last: bool) -> Result<Flow, Failure> {
        if self.session.is_json {
            return self.json_page(answer, is_last);
        }
        let lines = self.table.lines(answer, is_last);
        let flow = self.pager.lines(lines)?;
        self.pager.flush()?;
        self.is_first = false;
        Ok(flow)
    }

    fn json_page(&mut self, answer: &Answer, is_last: bool) -> Result<Flow, Failure> {
        let value = serde_json::to_value(answer).unwrap_or_default();
        let Some((name, list)) = value.as_object().and_then(|object| object.iter().next()) else {
            return Ok(Flow::Stop);
        };
        let mut text = String::new();
        if self.is_first {
            let total = list.get("total").cloned().unwrap_or_default();
            text.push_str(&format!("{{{}:{{\"total\":{total},\"items\":[", json!(name)));
        }
        for item in list.get("items").and_then(Value::as_array).into_iter().flatten() {
            if !std::mem::take(&mut self.is_first) {
                text.push(',');
            }
            text.push_str(&item.to_string());
        }
        if is_last {
            text.push_str("]}}\n");
        }
        let mut out = io::stdout().lock();
        out.write_all(text::safe_json(&text).as_bytes())?;
        out.flush()?;
        Ok(Flow::Go)
    }

    fn fail(self, failure: Failure) -> Outcome {
        if !self.session.is_json {
            return Err(failure);
        }
        let error = text::safe_json(&failure.json().to_string());
        writeln!(io::stdout().lock(), "],\"error\":{error}}}}}")?;
        Ok(Ending::DoneInPart)
    }
}

/// The size of the screen.
pub(crate) fn screen() -> Option<Screen> {
    let mut editor = rustyline::Editor::<(), rustyline::history::MemHistory>::with_history(
        rustyline::Config::default(),
        rustyline::history::MemHistory::new(),
    )
    .ok()?;
    let (columns, rows) = editor.dimensions()?;
    Some(Screen { columns: usize::from(columns), rows: usize::from(rows) })
}

/// Reads a line of standard input that is no terminal, without its line end; nothing at the end.
pub(crate) fn input_line(limit: usize) -> Result<Option<Zeroizing<String>>, Failure> {
    let unreadable = |what: String| Problem {
        code: "input",
        what,
        place: "standard input".to_owned(),
        next: "check what is sent there".to_owned(),
    };
    let mut line = Zeroizing::new(Vec::with_capacity(limit.min(4_096) + 2));
    let bound = u64::try_from(limit + 2).unwrap_or(u64::MAX);
    let count = io::stdin()
        .lock()
        .take(bound)
        .read_until(b'\n', &mut line)
        .map_err(|error| unreadable(format!("it cannot be read: {error}")))?;
    if count == 0 {
        return Ok(None);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    if line.len() > limit {
        return Err(unreadable(format!("a line is longer than {limit} bytes")).into());
    }
    match std::str::from_utf8(&line) {
        Ok(text) => Ok(Some(Zeroizing::new(text.to_owned()))),
        Err(_) => Err(unreadable("a line is not UTF-8".to_owned()).into()),
    }
}
