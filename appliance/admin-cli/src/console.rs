//! `appliance --console`: the only program on a terminal of the sealed appliance. It says what
//! the machine is, asks the questions of the first start, asks who is there, and runs the shell.

use std::io::{self, Write as _};
use std::thread;
use std::time::{Duration, Instant};

use admin_api::client::AskFailure;
use admin_api::platform::answer::{Answer, Platform};
use admin_api::platform::request::Request;
use admin_api::refusal::RefusalCode;
use admin_api::secret::Secret;
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::session::Session;
use crate::terminal::line::{self, Reading, Typed};
use crate::{answers, idle, shell};

mod banner;
mod recovery;
mod sign_out;
mod wizard;

/// The one account.
const ACCOUNT: &str = "admin";

/// The name that begins the replacement of a lost password.
const RECOVERY: &str = "pwrecovery";

/// A password must come within this.
const PASSWORD_WITHIN: Duration = Duration::from_secs(60);

/// The longest line that answers a question.
const MAX_LINE_BYTES: usize = 512;

/// How long a starting presence service is looked after from the prompt.
const FOLLOW_START: Duration = Duration::from_secs(600);

/// Why the console ends.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The terminal is gone.
    Gone,
    /// It cannot be used.
    Failed(io::Error),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

type Step<T> = Result<T, Stop>;

/// Runs until the terminal is gone.
pub(crate) fn run(session: &mut Session, idle_limit: Duration) -> Result<(), Failure> {
    session.outlive_interrupts()?;
    sign_out::watch(idle_limit)?;
    match serve(session) {
        Ok(()) | Err(Stop::Gone) => Ok(()),
        Err(Stop::Failed(error)) => Err(error.into()),
    }
}

fn serve(session: &mut Session) -> Step<()> {
    loop {
        let facts = wait_for_platform(session)?;
        session.begin();
        print(banner::lines(session, &facts))?;
        if !facts.is_set_up {
            wizard::run(session, &facts)?;
            continue;
        }
        while !login(session)? {}
        session.begin();
        idle::arm(true);
        let ended = shell::interactive(session);
        idle::arm(false);
        match ended {
            Ok(_) => {}
            Err(Failure::Output(error)) => return Err(error.into()),
            Err(failure) => print(failure.lines())?,
        }
    }
}

/// The platform service is up before the console as a rule.
fn wait_for_platform(session: &Session) -> Step<Box<Platform>> {
    const SAY_AFTER: Duration = Duration::from_secs(3);
    const LOOK_EVERY: Duration = Duration::from_millis(100);
    const REPEAT_EVERY: Duration = Duration::from_secs(60);
    let since = Instant::now();
    let mut said: Option<Instant> = None;
    loop {
        let failure = match session.ask_platform(&Request::ShowPlatform) {
            Ok(Answer::Platform(facts)) => return Ok(facts),
            Ok(_) => None,
            Err(failure) => Some(failure),
        };
        let is_due = match said {
            Some(at) => at.elapsed() >= REPEAT_EVERY,
            None => since.elapsed() >= SAY_AFTER,
        };
        if is_due {
            print(["Waiting for the platform service.".to_owned()])?;
            if let (Some(failure), true) = (failure, said.is_some()) {
                print(failure.lines())?;
            }
            said = Some(Instant::now());
        }
        thread::sleep(LOOK_EVERY);
    }
}

/// Asks who is there. Says whether it is the administrator.
fn login(session: &Session) -> Step<bool> {
    let facts = wait_for_platform(session)?;
    let prompt = format!("{} login: ", crate::render::text::safe(&facts.host_name));
    let mut watch = Watch::new(session, &facts);
    let shown = Reading { is_shown: true, is_fresh: false, limit: MAX_LINE_BYTES, silence: None };
    let look = &mut |is_empty| watch.look(is_empty, &prompt);
    let Typed::Line(name) = ask(&prompt, shown, look)? else { return Ok(false) };
    match name.trim() {
        "" => return Ok(false),
        RECOVERY => {
            recovery::run(session)?;
            return Ok(false);
        }
        _ => {}
    }
    let hidden = Reading { is_shown: false, silence: Some(PASSWORD_WITHIN), ..shown };
    let Typed::Line(mut password) = ask("Password: ", hidden, &mut |_| Ok(true))? else {
        return Ok(false);
    };
    let password = Secret::new(std::mem::take(&mut *password));
    session.is_interrupted();
    // A wrong name takes as long as a wrong password.
    let checked = session.ask_platform(&Request::CheckPassword { password });
    match checked {
        Ok(_) if name.trim() == ACCOUNT => return Ok(true),
        Ok(_) => print(["Login incorrect".to_owned()])?,
        Err(Failure::Ask(_, AskFailure::Refused(refusal)))
            if refusal.code == RefusalCode::NotPermitted =>
        {
            print(["Login incorrect".to_owned()])?;
        }
        Err(failure) => print(failure.lines())?,
    }
    Ok(false)
}

/// Looks after a starting presence service while nobody signs in, and says when SIP is answered.
struct Watch<'a> {
    session: &'a Session,
    until: Option<Instant>,
}

impl<'a> Watch<'a> {
    fn new(session: &'a Session, facts: &Platform) -> Self {
        let is_starting = facts.kernel_to_sip_ms.is_none();
        Self { session, until: is_starting.then(|| Instant::now() + FOLLOW_START) }
    }

    fn look(&mut self, is_empty: bool, prompt: &str) -> io::Result<bool> {
        let is_over = self.until.is_none_or(|until| Instant::now() > until);
        if is_over || !is_empty {
            return Ok(true);
        }
        if let Ok(Answer::Platform(facts)) = self.session.ask_platform(&Request::ShowPlatform)
            && facts.kernel_to_sip_ms.is_some()
        {
            self.until = None;
            let mut screen = io::stdout();
            writeln!(screen)?;
            for line in banner::reach(self.session, &facts) {
                writeln!(screen, "{line}")?;
            }
            write!(screen, "{prompt}")?;
            screen.flush()?;
        }
        Ok(true)
    }
}

/// Asks a question. That the terminal is gone ends the console.
fn ask(
    prompt: &str,
    reading: Reading,
    is_wanted: &mut dyn FnMut(bool) -> io::Result<bool>,
) -> Step<Typed> {
    let mut screen = io::stdout();
    write!(screen, "{prompt}")?;
    screen.flush()?;
    match line::read(reading, is_wanted)? {
        Typed::Gone => Err(Stop::Gone),
        typed => Ok(typed),
    }
}

/// What a new password is, typed twice; nothing when whoever types gave up.
fn new_password(
    prompt: &str,
    is_wanted: &mut dyn FnMut(bool) -> io::Result<bool>,
) -> Step<Result<Secret, Typed>> {
    let hidden = Reading {
        is_shown: false,
        is_fresh: true,
        limit: answers::MAX_PASSWORD_BYTES,
        silence: None,
    };
    loop {
        let mut first: Zeroizing<String> = match ask(prompt, hidden, is_wanted)? {
            Typed::Line(line) => line,
            other => return Ok(Err(other)),
        };
        if let Err(why) = answers::check_password(&first) {
            print([format!("  {why}")])?;
            continue;
        }
        match ask("The same again: ", hidden, is_wanted)? {
            Typed::Line(second) if second == first => {
                return Ok(Ok(Secret::new(std::mem::take(&mut *first))));
            }
            Typed::Line(_) => print(["  The two passwords differ: type them again.".to_owned()])?,
            other => return Ok(Err(other)),
        }
    }
}

/// Prints lines, which must be free of control characters.
fn print(lines: impl IntoIterator<Item = String>) -> Step<()> {
    let mut screen = io::stdout();
    for line in lines {
        writeln!(screen, "{line}")?;
    }
    Ok(screen.flush()?)
}
