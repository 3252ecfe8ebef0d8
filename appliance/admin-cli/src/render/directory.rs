//! Directories and the people in them as text.

use admin_api::answer::presence::Basic;
use admin_api::directory::{
    DeviceCredentials, Directory, Group, Names, People, Person, ServerTrial, SyncReport,
};

use super::text::{or_dash, safe, yes};
use super::{Fields, Table, Zone};

/// The directories.
pub(crate) fn directories(directories: &[Directory], zone: &Zone) -> Vec<String> {
    if directories.is_empty() {
        return vec!["No directory is set: \"set ldap NAME …\" sets one up.".to_owned()];
    }
    let mut lines = Vec::new();
    for directory in directories {
        if !lines.is_empty() {
            lines.push(String::new());
        }
        lines.extend(one(directory, zone));
    }
    lines
}

fn one(directory: &Directory, zone: &Zone) -> Vec<String> {
    let schedule = match directory.every_minutes {
        0 => "only when asked".to_owned(),
        minutes => format!("every {minutes} minutes"),
    };
    let failure = directory
        .failure
        .as_ref()
        .map(|failure| format!("{}: {}; {}", failure.place, failure.what, failure.next));
    let attributes: Vec<_> =
        directory.attributes.iter().map(|(field, name)| format!("{field}={name}")).collect();
    let mut fields = Fields::default()
        .add("Name", &directory.name)
        .add("Type", &directory.kind)
        .add("Servers", directory.servers.join(", "))
        .add("Security", &directory.security);
    for trusted in &directory.trusted {
        fields = fields.add("Trusted", trusted);
    }
    fields
        .add("Account", directory.bind_dn.as_deref().unwrap_or("none: anonymous"))
        .maybe("Password", directory.bind_dn.is_some().then(|| yes(directory.has_password)))
        .add("Base", &directory.base)
        .add("Scope", &directory.scope)
        .add("Filter", &directory.filter)
        .add("Attributes", attributes.join(", "))
        .maybe("Groups filter", directory.group_filter.as_deref())
        .add("Schedule", schedule)
        .add("Grace", format!("{} hours", directory.grace_hours))
        .maybe("Missing", directory.lacks.as_deref())
        .add("Users", directory.users.to_string())
        .add("Waiting", directory.waiting.to_string())
        .add("Vanished", directory.gone.to_string())
        .add("Groups", directory.groups.to_string())
        .add("Read", or_dash(directory.read_unix_ms.map(|at| zone.time(at))))
        .add("Next time", &directory.method)
        .maybe("Now", directory.is_reading.then_some("being read"))
        .maybe("Failure", failure)
        .lines()
}

/// How the trial of each server went.
pub(crate) fn trials(trials: &[ServerTrial]) -> Vec<String> {
    let mut lines = Vec::new();
    for trial in trials {
        let server = safe(&trial.server);
        if let Some(refusal) = &trial.refusal {
            lines.push(format!("{server}: cannot be used"));
            lines.push(format!("  What:  {}", safe(&refusal.what)));
            lines.push(format!("  Where: {}", safe(&refusal.place)));
            lines.push(format!("  Next:  {}", safe(&refusal.next)));
            continue;
        }
        let more = if trial.is_more { " or more" } else { "" };
        lines.push(format!("{server}: {}{more} people", trial.people));
        for (field, value) in &trial.sample {
            lines.push(format!("  {field}: {}", safe(value)));
        }
        if !trial.absent.is_empty() {
            lines.push(format!("  Nobody there has: {}", trial.absent.join(", ")));
        }
        listed(&mut lines, "  Entries that cannot be users", &trial.unusable);
    }
    lines
}

fn listed(lines: &mut Vec<String>, title: &str, names: &Names) {
    if names.count == 0 {
        return;
    }
    lines.push(format!("{title}: {}", names.count));
    lines.extend(names.names.iter().map(|name| format!("  {}", safe(name))));
    let shown = u64::try_from(names.names.len()).unwrap_or(u64::MAX);
    if names.count > shown {
        lines.push(format!("  … and {} more", names.count - shown));
    }
}

/// What a synchronization did, or would do.
pub(crate) fn report(report: &SyncReport) -> Vec<String> {
    let how = if report.is_full { "everything" } else { "what has changed" };
    let mut lines = vec![format!(
        "{} was read from {}: {how}, {} entries, {}.{:03} s.",
        safe(&report.directory),
        safe(&report.server),
        report.read,
        report.took_ms / 1_000,
        report.took_ms % 1_000
    )];
    if report.is_preview {
        lines.push("This is what would be done; nothing was.".to_owned());
    }
    if let Some(why) = &report.held_back {
        lines.push(format!("Nobody is disabled: {}. If they are gone, add force.", safe(why)));
    }
    for (title, names) in [
        ("Added", &report.added),
        ("Local users adopted", &report.adopted),
        ("Changed", &report.changed),
        ("Renamed", &report.renamed),
        ("Back again", &report.returned),
        ("Disabled", &report.disabled),
        ("Deleted", &report.deleted),
        ("Not taken", &report.refused),
        ("Entries that cannot be users", &report.unusable),
    ] {
        listed(&mut lines, title, names);
    }
    lines.push(format!("Unchanged: {}", report.unchanged));
    if report.references > 0 {
        lines.push(format!("References to other servers, not followed: {}", report.references));
    }
    lines
}

const fn presence(basic: Option<Basic>) -> &'static str {
    match basic {
        Some(Basic::Open) => "open",
        Some(Basic::Closed) => "closed",
        None => "-",
    }
}

/// Who was found.
pub(crate) fn people(people: &People) -> Vec<String> {
    let mut table = Table::new(&["ID", "NAME", "MAIL", "TELEPHONE", "DIRECTORY", "PRESENCE"]);
    for person in &people.people {
        let first = |name: &str| {
            let mut fields = person.fields.iter();
            let values = fields.find(|(field, _)| field == name).map(|(_, values)| values);
            or_dash(values.and_then(|values| values.first()).cloned())
        };
        table.row([
            person.id.to_string(),
            person.display_name.clone(),
            first("mail"),
            first("telephone"),
            or_dash(person.directory.clone()),
            if person.is_user { presence(person.basic) } else { "no user" }.to_owned(),
        ]);
    }
    let mut lines = table.lines();
    lines.push(format!("{} of {} people.", people.people.len(), people.total));
    lines
}

/// One person.
pub(crate) fn person(person: &Person) -> Vec<String> {
    let mut fields = Fields::default()
        .add("ID", person.id.as_str())
        .add("Name", &person.display_name)
        .add("Directory", person.directory.as_deref().unwrap_or("none: a local user"))
        .add("User", yes(person.is_user))
        .add("Presence", presence(person.basic));
    for (field, values) in &person.fields {
        fields = fields.add(field, values.join(", "));
    }
    fields.lines()
}

/// Groups.
pub(crate) fn groups(groups: &[Group]) -> Vec<String> {
    if groups.is_empty() {
        return vec!["There are no groups: \"set ldap NAME groups FILTER\" reads some.".to_owned()];
    }
    let mut lines = Vec::new();
    for group in groups {
        let members: Vec<_> = group.members.iter().map(|id| safe(id.as_str())).collect();
        lines.push(format!(
            "{} ({}), {}",
            safe(&group.name),
            safe(&group.directory),
            members.len()
        ));
        lines.push(format!("  {}", safe(&group.uri)));
        lines.extend(members.chunks(8).map(|some| format!("  {}", some.join(" "))));
    }
    lines
}

/// Credentials, this once.
pub(crate) fn device(device: &DeviceCredentials) -> Vec<String> {
    let mut lines = Fields::default()
        .add("Device", &device.device)
        .add("User name", device.id.as_str())
        .add("Realm", &device.realm)
        .add("Password", device.password.expose())
        .lines();
    lines.push("Type it into the device now: it is not shown again.".to_owned());
    lines
}
