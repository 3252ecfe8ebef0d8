//! What the console says before anyone signs in.

use std::time::Duration;

use admin_api::answer::Answer;
use admin_api::platform::answer::Platform;
use admin_api::request::Request;

use crate::render::text::safe;
use crate::session::Session;

/// Everything.
pub(super) fn lines(session: &Session, facts: &Platform) -> Vec<String> {
    let slot = facts.slot.as_ref().map(|slot| format!(", slot {}", safe(slot)));
    let mut lines = vec![
        String::new(),
        format!("Lamplight {}{}", safe(&facts.version), slot.unwrap_or_default()),
    ];
    let hardware = &facts.hardware;
    let names = [&hardware.vendor, &hardware.product].map(|name| name.as_deref().unwrap_or("?"));
    lines.push(format!("Machine: {}, profile {}", safe(&names.join(" ")), safe(&hardware.profile)));
    lines.push(format!("  {}", safe(&hardware.explanation)));
    if hardware.class.is_none() {
        lines.push("  This machine is too small: SIP is not served.".to_owned());
    }
    if facts.is_set_up {
        lines.extend(reach(session, facts));
    }
    for warning in &facts.warnings {
        lines.push(format!("Warning: {}", safe(warning)));
    }
    if facts.is_set_up
        && let Ok(Answer::Alarms(alarms)) = brief(session, &Request::ShowAlarms)
    {
        let standing = alarms.iter().filter(|alarm| alarm.cleared_unix_ms.is_none());
        lines.extend(standing.map(|a| format!("Alarm: {}: {}", safe(&a.name), safe(&a.what))));
    }
    lines.push(String::new());
    lines
}

/// Where and how the machine is reached.
pub(super) fn reach(session: &Session, facts: &Platform) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(class) = &facts.hardware.class {
        let limit = match brief(session, &Request::ShowCapacity) {
            Ok(Answer::Capacity(capacity)) => format!(", up to {} users", capacity.max_users),
            _ => String::new(),
        };
        lines.push(format!("Class: {}{limit}", safe(class)));
    }
    let addresses: Vec<String> = facts.addresses.iter().map(ToString::to_string).collect();
    lines.push(if addresses.is_empty() {
        "Address: none yet".to_owned()
    } else {
        format!("Address: {}", addresses.join(", "))
    });
    if let Some(domain) = &facts.domain {
        lines.push(format!("Domain: {}", safe(domain)));
    }
    lines.push(match facts.kernel_to_sip_ms {
        Some(ms) => format!(
            "SIP: answered since {}.{} s after the kernel's start",
            ms / 1_000,
            ms % 1_000 / 100
        ),
        None => "SIP: not answered yet".to_owned(),
    });
    lines
}

/// Asks the presence service, which may be starting or hung: the prompt must come all the same.
fn brief(session: &Session, request: &Request) -> Result<Answer, crate::failure::Failure> {
    session.ask_within(request, Duration::from_secs(2))
}
