//! `user …`

use std::io::{self, Read};

use admin_api::answer::Answer;
use admin_api::framing::MAX_LINE_BYTES;
use admin_api::request::{NewUser, Request};
use admin_api::secret::Secret;
use admin_api::user_id::UserId;
use zeroize::Zeroizing;

use crate::command::platform;
use crate::failure::{Failure, Problem};
use crate::grammar::Arguments;
use crate::session::{Ending, Outcome, Session, input_line};
use crate::terminal;

const MAX_PASSWORD_BYTES: usize = 4_096;

fn id(arguments: &Arguments) -> UserId {
    UserId::from(arguments.required("ID"))
}

pub(crate) fn add(session: &mut Session, arguments: &Arguments) -> Outcome {
    let text = |name: &str| arguments.text(name).map(str::to_owned);
    let new = NewUser {
        id: id(arguments),
        display_name: text("display-name"),
        given_name: text("given-name"),
        surname: text("surname"),
        mail: text("mail"),
        telephone: text("telephone"),
        password: new_password(session, arguments, "empty: cannot sign in")?
            .filter(|password| !password.is_empty()),
    };
    session.show(&Request::AddUser(new))
}

pub(crate) fn password(session: &mut Session, arguments: &Arguments) -> Outcome {
    match new_password(session, arguments, "not empty")? {
        Some(password) if !password.is_empty() => {
            session.show(&Request::SetUserPassword { id: id(arguments), password })
        }
        Some(_) => Err(refused_password("the password is empty").into()),
        None => Err(Problem {
            code: "no_terminal",
            what: "there is no terminal to ask for the password".to_owned(),
            place: "standard input".to_owned(),
            next: "add password-stdin and send the password there".to_owned(),
        }
        .into()),
    }
}

fn refused_password(what: &str) -> Problem {
    Problem {
        code: "unacceptable_password",
        what: what.to_owned(),
        place: "the new password".to_owned(),
        next: "give the command again".to_owned(),
    }
}

/// The new password: from a person, who types it twice, or from standard input. Nothing when
/// there is no person and standard input is not to be read.
fn new_password(
    session: &mut Session,
    arguments: &Arguments,
    remark: &str,
) -> Result<Option<Secret>, Failure> {
    if !terminal::is_interactive() {
        if !arguments.has("password-stdin") {
            return Ok(None);
        }
        let line = input_line(MAX_PASSWORD_BYTES)?;
        let Some(mut line) = line else {
            return Err(refused_password("standard input holds no password").into());
        };
        return Ok(Some(Secret::new(std::mem::take(&mut *line))));
    }
    session.has_stale_input = true;
    let first = asked(&format!("New password ({remark}): "))?;
    let second = asked("The same again: ")?;
    if first != second {
        return Err(refused_password("the two passwords differ").into());
    }
    Ok(Some(first))
}

/// The password in force and the one to come: from a person, or from standard input.
pub(crate) fn both_passwords(
    session: &mut Session,
    arguments: &Arguments,
) -> Result<(Secret, Secret), Failure> {
    if terminal::is_interactive() {
        session.has_stale_input = true;
        let current = asked("Present password: ")?;
        let first = asked("New password: ")?;
        if first != asked("The same again: ")? {
            return Err(refused_password("the two passwords differ").into());
        }
        return Ok((current, first));
    }
    if !arguments.has("password-stdin") {
        return Err(Problem {
            code: "no_terminal",
            what: "there is no terminal to ask for the passwords".to_owned(),
            place: "standard input".to_owned(),
            next: "add password-stdin and send the present and the new one there, a line each"
                .to_owned(),
        }
        .into());
    }
    let line = || {
        input_line(MAX_PASSWORD_BYTES)?
            .map(platform::secret)
            .ok_or_else(|| refused_password("standard input holds no two lines").into())
    };
    let current: Result<Secret, Failure> = line();
    Ok((current?, line()?))
}

/// A secret: from a person, or the next line of standard input.
pub(crate) fn secret(session: &mut Session, prompt: &str) -> Result<Secret, Failure> {
    if terminal::is_interactive() {
        session.has_stale_input = true;
        return asked(prompt);
    }
    match input_line(MAX_PASSWORD_BYTES)? {
        Some(line) => Ok(platform::secret(line)),
        None => Err(refused_password("standard input holds no line for it").into()),
    }
}

/// The password of a user on another machine, where the word `password` says that there is one.
pub(crate) fn password_of_another(
    session: &mut Session,
    arguments: &Arguments,
) -> Result<Option<Secret>, Failure> {
    if arguments.has("password") { secret(session, "Password: ").map(Some) } else { Ok(None) }
}

/// A passphrase to come: from a person, who types it twice, or from standard input.
pub(crate) fn new_passphrase(session: &mut Session) -> Result<Secret, Failure> {
    let first = secret(session, "New passphrase: ")?;
    if terminal::is_interactive() && first != secret(session, "The same again: ")? {
        return Err(refused_password("the two passphrases differ").into());
    }
    Ok(first)
}

fn asked(prompt: &str) -> Result<Secret, Failure> {
    let unreadable =
        |error: io::Error| refused_password(&format!("the password cannot be read: {error}"));
    terminal::password(prompt).map_err(unreadable)?.ok_or_else(|| Problem::cancelled().into())
}

pub(crate) fn delete(session: &mut Session, arguments: &Arguments) -> Outcome {
    session.show(&Request::DeleteUser { id: id(arguments) })
}

pub(crate) fn enable(session: &mut Session, arguments: &Arguments) -> Outcome {
    session.show(&Request::EnableUser { id: id(arguments) })
}

pub(crate) fn disable(session: &mut Session, arguments: &Arguments) -> Outcome {
    session.show(&Request::DisableUser { id: id(arguments) })
}

pub(crate) fn import(session: &mut Session, arguments: &Arguments) -> Outcome {
    let csv = csv(session, arguments.required("FILE"))?;
    let answer = session.ask(&Request::ImportUsers { csv })?;
    session.present(&answer)?;
    match answer {
        Answer::Imported(report) if !report.refused.is_empty() => Ok(Ending::DoneInPart),
        _ => Ok(Ending::Done),
    }
}

/// Reads the file, or standard input for `-`. A login shell opens no files: who signs in there
/// sees what commands show, and nothing else of the machine.
fn csv(session: &mut Session, name: &str) -> Result<Secret, Failure> {
    let unreadable = |what: String, next: &str| Problem {
        code: "file",
        what,
        place: name.to_owned(),
        next: next.to_owned(),
    };
    let check = "check the name and who may read the file";
    let failed = |error: io::Error| unreadable(format!("the file cannot be read: {error}"), check);
    let mut bytes = Zeroizing::new(Vec::new());
    let limit = u64::try_from(MAX_LINE_BYTES).unwrap_or(u64::MAX);
    if name != "-" && !session.may_read_files() {
        let what = "the shell opens no files of this machine".to_owned();
        let next = "send it to standard input, ssh admin@HOST user import - < FILE, or paste it \
                    behind \"user import -\"";
        return Err(unreadable(what, next).into());
    }
    if name == "-" && terminal::is_interactive() {
        session.has_stale_input = true;
        // Not shown: there may be passwords in it.
        let what = "Paste the lines of the CSV file; they are not shown.";
        bytes = terminal::line::block(what, false, MAX_LINE_BYTES)
            .map_err(failed)?
            .ok_or_else(Problem::cancelled)?;
    } else if name == "-" {
        io::stdin().lock().take(limit).read_to_end(&mut bytes).map_err(failed)?;
    } else {
        if !std::fs::metadata(name).map_err(failed)?.is_file() {
            return Err(unreadable("this is no file".to_owned(), check).into());
        }
        let file = std::fs::File::open(name).map_err(failed)?;
        file.take(limit).read_to_end(&mut bytes).map_err(failed)?;
    }
    if bytes.len() >= MAX_LINE_BYTES {
        let what = format!("the file has {MAX_LINE_BYTES} bytes or more");
        return Err(unreadable(what, "split the file; each part needs the header line").into());
    }
    match std::str::from_utf8(&bytes) {
        // Spreadsheets write a byte order mark, which belongs to no column's name.
        Ok(text) => Ok(Secret::new(text.trim_start_matches('\u{feff}').to_owned())),
        Err(error) => {
            let head = bytes.get(..error.valid_up_to()).unwrap_or_default();
            let line = head.iter().filter(|byte| **byte == b'\n').count() + 1;
            let what = format!("line {line} is not UTF-8");
            Err(unreadable(what, "save the file as UTF-8").into())
        }
    }
}
