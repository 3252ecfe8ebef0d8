//! `pwrecovery`: replacing a lost password by proving to stand at the machine.

use std::io;

use admin_api::platform::answer::{Answer, Recovery};
use admin_api::platform::request::Request;

use super::{MAX_LINE_BYTES, Step, Stop, ask, new_password, print};
use crate::session::Session;
use crate::terminal::line::{Reading, Typed};

/// How often is said how long there is left.
const SAY_EVERY_S: u64 = 60;

/// The whole procedure. Every way out leads back to the login prompt.
pub(super) fn run(session: &Session) -> Step<()> {
    print(
        [
            "",
            "Replacing the lost password of \"admin\". All data and settings stay.",
            "To prove that you stand at this machine, or at its hypervisor, you attach a disk, CD",
            "or USB stick to it within 5 minutes. What is on it does not matter and is not read.",
            "Take it off first where it is attached already. Ctrl-C ends this at any time.",
        ]
        .map(str::to_owned),
    )?;
    let shown = Reading { is_shown: true, is_fresh: true, limit: MAX_LINE_BYTES, silence: None };
    match ask("Begin? yes or no [no]: ", shown, &mut |_| Ok(true))? {
        Typed::Line(line) if line.trim().eq_ignore_ascii_case("yes") => {}
        _ => return Ok(()),
    }
    session.is_interrupted();
    if let Err(failure) = session.ask_platform(&Request::StartRecovery) {
        return print(failure.lines());
    }
    match wait_for_disk(session)? {
        Some(true) => {}
        Some(false) => return print(["The time is over.".to_owned()]),
        None => return Ok(()),
    }
    print(["A disk was attached.".to_owned()])?;
    loop {
        let Ok(new) = new_password("New password of \"admin\": ", &mut |_| Ok(true))? else {
            return Ok(());
        };
        match session.ask_platform(&Request::FinishRecovery { new }) {
            Ok(_) => {
                return print(["The password is replaced: sign in with it.".to_owned()]);
            }
            Err(failure) => {
                print(failure.lines())?;
                if !matches!(state(session), Some(recovery) if recovery.is_proven) {
                    return Ok(());
                }
            }
        }
    }
}

fn state(session: &Session) -> Option<Recovery> {
    match session.ask_platform(&Request::ShowRecovery) {
        Ok(Answer::Recovery(recovery)) => Some(recovery),
        _ => None,
    }
}

/// Whether a disk came in time; nothing when whoever stands there gave up.
fn wait_for_disk(session: &Session) -> Step<Option<bool>> {
    let mut is_proven = false;
    let mut said = u64::MAX;
    let mut look = |_| -> io::Result<bool> {
        let Some(recovery) = state(session) else { return Ok(false) };
        is_proven = recovery.is_proven;
        if recovery.remaining_s / SAY_EVERY_S < said && !is_proven {
            said = recovery.remaining_s / SAY_EVERY_S;
            print([format!("  {} s are left.", recovery.remaining_s)]).map_err(
                |stop| match stop {
                    Stop::Failed(error) => error,
                    Stop::Gone => io::ErrorKind::UnexpectedEof.into(),
                },
            )?;
        }
        Ok(!is_proven)
    };
    let unseen = Reading { is_shown: false, is_fresh: true, limit: MAX_LINE_BYTES, silence: None };
    loop {
        match ask("Attach the disk now.\n", unseen, &mut look)? {
            Typed::GivenUp => return Ok(None),
            Typed::Line(_) => {}
            _ => return Ok(Some(is_proven)),
        }
    }
}
