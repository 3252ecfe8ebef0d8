//! Users, devices, presence and subscriptions as text.

use admin_api::answer::presence::{
    Basic, Presence, Publication, Registration, Subscription, SubscriptionState,
};
use admin_api::answer::user::{ImportReport, UserChange, UserChanged, UserDetail, UserSummary};

use super::text::{duration, or_dash, safe, size, yes};
use super::{Fields, Table, Zone};

const fn basic(basic: Basic) -> &'static str {
    match basic {
        Basic::Open => "open",
        Basic::Closed => "closed",
    }
}

const fn state(state: SubscriptionState) -> &'static str {
    match state {
        SubscriptionState::Active => "active",
        SubscriptionState::Pending => "pending",
        SubscriptionState::Terminated => "terminated",
    }
}

/// A list of users.
pub(crate) fn users(users: &[UserSummary]) -> Table {
    let mut table =
        Table::new(&["ID", "NAME", "ENABLED", "SERVED", "PASSWORD", "DEVICES", "PRESENCE"]);
    for user in users {
        table.row([
            user.id.to_string(),
            or_dash(user.display_name.clone()),
            yes(user.is_enabled).to_owned(),
            yes(user.is_served).to_owned(),
            yes(user.has_password).to_owned(),
            user.registrations.to_string(),
            or_dash(user.basic.map(|value| basic(value).to_owned())),
        ]);
    }
    table
}

/// A user.
pub(crate) fn user(user: &UserDetail, zone: &Zone) -> Vec<String> {
    let summary = &user.summary;
    let password = match (summary.has_password, &user.directory) {
        (true, _) => "set",
        (false, Some(_)) => "the directory knows it",
        (false, None) if user.devices.is_empty() => "none: cannot sign in",
        (false, None) => "none: only devices can sign in",
    };
    let left_out = summary.is_enabled && !summary.is_served;
    let mut lines = Fields::default()
        .add("ID", summary.id.as_str())
        .add("Address", &user.aor)
        .maybe("Display name", summary.display_name.as_deref())
        .maybe("Given name", user.given_name.as_deref())
        .maybe("Surname", user.surname.as_deref())
        .maybe("Mail", user.mail.as_deref())
        .maybe("Telephone", user.telephone.as_deref())
        .add("Enabled", yes(summary.is_enabled))
        .maybe("Served", left_out.then_some("no: beyond the capacity of this machine"))
        .add("Password", password)
        .maybe("Directory", user.directory.as_deref())
        .add("Added", zone.time(user.created_unix_ms))
        .add("Changed", zone.time(user.changed_unix_ms))
        .maybe("Presence", summary.basic.map(basic))
        .add("Watchers", user.watchers.to_string())
        .add("Watching", user.watching.to_string())
        .lines();
    let devices = user.devices.iter().map(|(name, at)| format!("{name}, since {}", zone.time(*at)));
    lines.extend(titled("Devices with credentials of their own", devices.collect()));
    for binding in &user.bindings {
        lines.extend(titled("Device", device(binding, zone)));
    }
    lines.extend(titled("Publications", publications(&user.publications, zone)));
    lines
}

/// Lines under a title; nothing when there are none.
fn titled(title: &str, lines: Vec<String>) -> Vec<String> {
    if lines.is_empty() {
        return lines;
    }
    [String::new(), title.to_owned()].into_iter().chain(lines).collect()
}

/// A list of bindings.
pub(crate) fn registrations(registrations: &[Registration]) -> Table {
    let mut table = Table::new(&["ID", "CONTACT", "EXPIRES IN", "FROM", "CLIENT"]);
    for binding in registrations {
        table.row([
            binding.id.to_string(),
            binding.contact.clone(),
            duration(binding.expires_in_s),
            or_dash(binding.source.clone()),
            or_dash(binding.user_agent.clone()),
        ]);
    }
    table
}

/// A binding with everything known.
fn device(binding: &Registration, zone: &Zone) -> Vec<String> {
    let q = binding.q_thousandths;
    Fields::default()
        .add("Contact", &binding.contact)
        .add("Preference", format!("{}.{:03}", q / 1_000, q % 1_000))
        .add("Expires in", duration(binding.expires_in_s))
        .maybe("Refreshed", binding.refreshed_unix_ms.map(|time| zone.time(time)))
        .maybe("From", binding.source.as_deref())
        .maybe("Client", binding.user_agent.as_deref())
        .maybe("Capabilities", joined(&binding.capabilities))
        .maybe("Path", joined(&binding.path))
        .lines()
}

fn joined(list: &[String]) -> Option<String> {
    if list.is_empty() { None } else { Some(list.join(", ")) }
}

fn publications(publications: &[Publication], zone: &Zone) -> Vec<String> {
    let mut table = Table::new(&["PACKAGE", "ENTITY-TAG", "EXPIRES IN", "SIZE", "CHANGED", "FROM"]);
    for publication in publications {
        table.row([
            publication.package.clone(),
            publication.entity_tag.clone(),
            duration(publication.expires_in_s),
            size(publication.size_bytes),
            or_dash(publication.changed_unix_ms.map(|time| zone.time(time))),
            or_dash(publication.source.clone()),
        ]);
    }
    table.lines()
}

/// A list of subscriptions.
pub(crate) fn subscriptions(subscriptions: &[Subscription]) -> Table {
    let mut table =
        Table::new(&["WATCHER", "WATCHED", "PACKAGE", "STATE", "EXPIRES IN", "TO", "CSEQ", "DUE"]);
    for subscription in subscriptions {
        table.row([
            subscription.watcher.clone(),
            subscription.presentity.clone(),
            subscription.package.clone(),
            state(subscription.state).to_owned(),
            duration(subscription.expires_in_s),
            or_dash(subscription.destination.clone()),
            subscription.notify_cseq.to_string(),
            yes(subscription.is_notify_due).to_owned(),
        ]);
    }
    table
}

/// What watchers are told.
pub(crate) fn presence(presence: &Presence, zone: &Zone) -> Vec<String> {
    let mut fields = Fields::default()
        .add("ID", presence.id.as_str())
        .add("Address", &presence.aor)
        .add("Presence", basic(presence.basic))
        .add("State", &presence.state)
        .maybe("Decided by", presence.decided_by.as_deref())
        .maybe("Activities", joined(&presence.activities));
    for note in &presence.notes {
        fields = fields.add("Note", note);
    }
    let mut lines = fields.lines();
    let mut table = Table::new(&["TUPLE", "DEVICE", "PRESENCE", "CONTACT", "MEANS", "NOTE"]);
    for device in &presence.devices {
        table.row([
            device.tuple.clone(),
            or_dash(device.device.clone()),
            basic(device.basic).to_owned(),
            or_dash(device.contact.clone()),
            or_dash(joined(&device.means)),
            or_dash(device.note.clone()),
        ]);
    }
    lines.extend(titled("Devices", table.lines()));
    lines.extend(titled("Publications", publications(&presence.publications, zone)));
    lines
}

/// That a user was changed.
pub(crate) fn changed(changed: &UserChanged) -> Vec<String> {
    let id = safe(changed.id.as_str());
    let done = match changed.change {
        UserChange::Added => "was added",
        UserChange::Deleted => "was deleted",
        UserChange::Enabled => "is enabled",
        UserChange::Disabled => "is disabled",
        UserChange::PasswordSet => "has a new password",
        UserChange::DeviceDeleted => "has no credentials for that device any longer",
    };
    vec![format!("User {id} {done}.")]
}

/// How an import went, with every line that was refused.
pub(crate) fn imported(report: &ImportReport) -> Vec<String> {
    let mut lines = Vec::new();
    for refused in &report.refused {
        let id = refused.id.as_ref().map(|id| format!(" ({})", safe(id))).unwrap_or_default();
        let refusal = &refused.refusal;
        let what = safe(&refusal.what);
        lines.push(format!("line {}{id}: {what} [{}]", refused.line, safe(&refusal.place)));
        lines.push(format!("    Next: {}", safe(&refusal.next)));
    }
    let plural =
        |count: u64, one: &str| format!("{count} {one}{}", if count == 1 { "" } else { "s" });
    let refused = u64::try_from(report.refused.len()).unwrap_or(u64::MAX);
    lines.push(format!(
        "{} added, {} updated, {} refused.",
        plural(report.created, "user"),
        report.updated,
        plural(refused, "line")
    ));
    lines
}
