//! `help` and `exit`.

use serde_json::json;

use crate::grammar::{Arguments, manual};
use crate::session::{Ending, Outcome, Session};

pub(crate) fn help(session: &mut Session, arguments: &Arguments) -> Outcome {
    let lines = if arguments.has(manual::MARKDOWN) {
        manual::markdown()
    } else {
        let path: Vec<&str> =
            arguments.text("COMMAND").unwrap_or_default().split_whitespace().collect();
        manual::manual(&path)
    };
    if session.is_json {
        session.print_json(&json!({ "help": lines }))?;
    } else {
        session.print(lines)?;
    }
    Ok(Ending::Done)
}

pub(crate) fn exit(_: &mut Session, _: &Arguments) -> Outcome {
    Ok(Ending::Leave)
}
