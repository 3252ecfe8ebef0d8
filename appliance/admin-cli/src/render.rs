//! Answers as text for people.

use admin_api::answer::Answer;

mod directory;
pub(crate) mod log;
pub(crate) mod node;
pub(crate) mod people;
pub(crate) mod platform;
mod policy;
pub(crate) mod text;

pub(crate) use self::text::{Fields, Table, Zone};

/// An answer as lines, free of control characters.
pub(crate) fn answer(answer: &Answer, zone: &Zone) -> Vec<String> {
    match answer {
        Answer::Status(status) => node::status(status, zone),
        Answer::Version(version) => node::version(version),
        Answer::Hardware(hardware) => node::hardware(hardware),
        Answer::Capacity(capacity) => node::capacity(capacity),
        Answer::Users(_) | Answer::Subscriptions(_) | Answer::Registrations(_) => {
            ListTable::default().lines(answer, true)
        }
        Answer::User(user) => people::user(user, zone),
        Answer::Presence(presence) => people::presence(presence, zone),
        Answer::Alarms(alarms) => node::alarms(alarms, zone),
        Answer::TechSupport(report) => node::tech_support(report, zone),
        Answer::Settings(settings) => node::settings(settings),
        Answer::Sip(sip) => node::sip(sip),
        Answer::Domain(domain) => node::domain(domain),
        Answer::Services(services) => node::services(services, zone),
        Answer::Logs(logs) => log::inventory(logs, zone),
        Answer::LogLines(lines) => lines.lines.iter().map(|line| log::line(line, zone)).collect(),
        Answer::LogLevels(levels) => log::levels(levels),
        Answer::SnapshotTaken => vec!["A snapshot was made.".to_owned()],
        Answer::UserChanged(changed) => people::changed(changed),
        Answer::Imported(report) => people::imported(report),
        Answer::Policy(items) => policy::items(items),
        Answer::Directories(list) => directory::directories(list, zone),
        Answer::DirectoryTested(trials) => directory::trials(trials),
        Answer::DirectorySynced(report) => directory::report(report),
        Answer::People(found) => directory::people(found),
        Answer::Person(person) => directory::person(person),
        Answer::Groups(groups) => directory::groups(groups),
        Answer::Device(device) => directory::device(device),
    }
}

/// What to ask for after this page.
pub(crate) fn next_page(answer: &Answer) -> Option<&str> {
    match answer {
        Answer::Users(page) => page.next.as_deref(),
        Answer::Subscriptions(page) => page.next.as_deref(),
        Answer::Registrations(page) => page.next.as_deref(),
        _ => None,
    }
}

/// A list over several pages: one head, and columns as wide as the first page needs.
#[derive(Debug, Default)]
pub(crate) struct ListTable {
    widths: Option<Vec<usize>>,
}

impl ListTable {
    /// The lines of a page.
    pub(crate) fn lines(&mut self, answer: &Answer, is_last: bool) -> Vec<String> {
        let (table, total, one, many) = match answer {
            Answer::Users(page) => (people::users(&page.items), page.total, "user", "users"),
            Answer::Subscriptions(page) => {
                (people::subscriptions(&page.items), page.total, "subscription", "subscriptions")
            }
            Answer::Registrations(page) => {
                (people::registrations(&page.items), page.total, "registration", "registrations")
            }
            _ => return Vec::new(),
        };
        let mut lines = match &self.widths {
            Some(widths) => table.rows(widths),
            None => {
                let widths = table.widths();
                let lines = table.lines_within(&widths);
                self.widths = Some(widths);
                lines
            }
        };
        if is_last {
            lines.push(format!("{total} {}", if total == 1 { one } else { many }));
        }
        lines
    }
}
