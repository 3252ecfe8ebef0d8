//! A small server on the real protocol: it keeps users, log levels and a log.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use admin_api::answer::Answer;
use admin_api::answer::log::{AreaLevel, LogLevel, LogLevels, LogLine, LogLines};
use admin_api::answer::presence::Basic;
use admin_api::answer::user::{
    ImportReport, RefusedLine, UserChange, UserChanged, UserDetail, UserSummary,
};
use admin_api::framing::LineFramer;
use admin_api::page::{Page, PageRequest};
use admin_api::refusal::{Refusal, RefusalCode};
use admin_api::request::{LogQuery, Request};
use admin_api::user_id::UserId;
use admin_api::wire::{decode_request, encode_reply};

use crate::{directory, sample};

/// How long anything may take that must happen.
pub(crate) const WITHIN: Duration = Duration::from_secs(30);

#[derive(Debug, Default, Clone)]
pub(crate) struct User {
    pub(crate) display_name: Option<String>,
    pub(crate) password: Option<String>,
    pub(crate) is_disabled: bool,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) users: BTreeMap<String, User>,
    pub(crate) levels: BTreeMap<String, LogLevel>,
    pub(crate) log: Vec<LogLine>,
    /// Requests of this kind get no answer.
    pub(crate) silent_for: Option<Request>,
    /// How many such requests have come.
    pub(crate) unanswered: usize,
    /// The daemon's own limit of a page; 0 for none.
    pub(crate) page_limit: usize,
    /// List pages after this many fail; 0 for never.
    pub(crate) fail_after_pages: usize,
    pub(crate) pages: usize,
    /// The latest question about directories and what is in them.
    pub(crate) about_directories: Option<Request>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

pub(crate) struct Server {
    _dir: tempfile::TempDir,
    pub(crate) socket: PathBuf,
    shared: Arc<Shared>,
}

impl Server {
    pub(crate) fn start(state: State) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("presence.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let theirs = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let shared = Arc::clone(&theirs);
                thread::spawn(move || serve(stream.unwrap(), &shared));
            }
        });
        Self { _dir: dir, socket, shared }
    }

    /// With `count` users `user000`, `user001` and so on, after anna and bert.
    pub(crate) fn with_users(count: usize) -> Self {
        let names = (0..count).map(|number| format!("user{number:03}"));
        let names = names.chain(["anna".to_owned(), "bert".to_owned()]);
        let users = names.map(|name| (name, User::default())).collect();
        Self::start(State { users, ..State::default() })
    }

    pub(crate) fn last_about_directories(&self) -> Option<Request> {
        self.change(|state| state.about_directories.clone())
    }

    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.shared.state.lock().unwrap());
        self.shared.changed.notify_all();
        result
    }

    /// Waits until the state is so.
    pub(crate) fn wait(&self, is_so: impl Fn(&State) -> bool) {
        let state = self.shared.state.lock().unwrap();
        let (_state, timeout) =
            self.shared.changed.wait_timeout_while(state, WITHIN, |state| !is_so(state)).unwrap();
        assert!(!timeout.timed_out(), "it did not come to be");
    }
}

fn serve(mut stream: UnixStream, shared: &Shared) {
    let mut framer = LineFramer::new();
    let mut chunk = vec![0; 65_536];
    loop {
        while let Some(line) = framer.next_line().unwrap() {
            let reply = match decode_request(&line) {
                Ok(request) => match answer(request, shared) {
                    Some(reply) => reply,
                    None => continue,
                },
                Err(failure) => Err(failure.into()),
            };
            if stream.write_all(&encode_reply(&reply)).is_err() {
                return;
            }
        }
        match stream.read(&mut chunk) {
            Ok(0) | Err(_) => return,
            Ok(count) => framer.push(&chunk[..count]),
        }
    }
}

fn answer(request: Request, shared: &Shared) -> Option<Result<Answer, Refusal>> {
    let mut state = shared.state.lock().unwrap();
    if state.silent_for.as_ref() == Some(&request) {
        state.unanswered += 1;
        shared.changed.notify_all();
        return None;
    }
    if let Request::ReadLog(query) = &request {
        let wait = Duration::from_millis(query.wait_ms);
        let is_empty = |state: &mut State| lines(state, query).lines.is_empty();
        let (state, _) = shared.changed.wait_timeout_while(state, wait, is_empty).unwrap();
        return Some(Ok(Answer::LogLines(lines(&state, query))));
    }
    let reply = state.answer(request);
    shared.changed.notify_all();
    Some(reply)
}

fn lines(state: &State, query: &LogQuery) -> LogLines {
    let after = query.after_sequence.unwrap_or(0);
    let matches = |line: &&LogLine| {
        line.sequence > after
            && query.contains.as_ref().is_none_or(|text| line.text.contains(text.as_str()))
            && query.minimum_level.is_none_or(|level| line.level <= level)
            && query.area.as_ref().is_none_or(|area| line.area == *area)
    };
    let mut found: Vec<LogLine> = state.log.iter().filter(matches).cloned().collect();
    let limit = usize::try_from(query.limit).unwrap();
    if query.after_sequence.is_none() {
        found.drain(..found.len().saturating_sub(limit));
    }
    let more = found.len() > limit;
    found.truncate(limit);
    let newest = state.log.last().map_or(0, |line| line.sequence);
    let next_after_sequence =
        if more { found.last().map_or(after, |line| line.sequence) } else { newest.max(after) };
    LogLines { lines: found, next_after_sequence, more, lost_lines: 0 }
}

fn unknown(id: &UserId) -> Refusal {
    Refusal::new(
        RefusalCode::UnknownUser,
        format!("there is no user \"{id}\""),
        "ID",
        "\"show users\" lists the users",
    )
}

impl State {
    fn answer(&mut self, request: Request) -> Result<Answer, Refusal> {
        Ok(match request {
            Request::ShowStatus => Answer::Status(Box::new(sample::status())),
            Request::ShowVersion => Answer::Version(sample::version()),
            Request::ShowHardware => Answer::Hardware(Box::new(sample::hardware())),
            Request::ShowCapacity => Answer::Capacity(sample::capacity()),
            Request::ShowUsers { page, id_prefix } => {
                let prefix = id_prefix.unwrap_or_default();
                let all: Vec<(String, UserSummary)> = self
                    .users
                    .iter()
                    .filter(|(id, _)| id.starts_with(&prefix))
                    .map(|(id, user)| (id.clone(), summary(id, user)))
                    .collect();
                Answer::Users(self.page(all, &page)?)
            }
            Request::ShowUser { id } => {
                let user = self.users.get(id.as_str()).ok_or_else(|| unknown(&id))?;
                Answer::User(Box::new(detail(id.as_str(), user)))
            }
            Request::ShowPresence { id } => {
                self.users.get(id.as_str()).ok_or_else(|| unknown(&id))?;
                Answer::Presence(Box::new(sample::presence(&id)))
            }
            Request::ShowWatchers { id, page } => {
                self.users.get(id.as_str()).ok_or_else(|| unknown(&id))?;
                let all = vec![("1".to_owned(), sample::subscription(id.as_str()))];
                Answer::Subscriptions(self.page(all, &page)?)
            }
            Request::ShowSubscriptions { page } => {
                let all = self.users.keys().map(|id| (id.clone(), sample::subscription(id)));
                let all = all.collect();
                Answer::Subscriptions(self.page(all, &page)?)
            }
            Request::ShowRegistrations { page } => {
                let all = self.users.keys().map(|id| (id.clone(), sample::registration(id)));
                let all = all.collect();
                Answer::Registrations(self.page(all, &page)?)
            }
            Request::TakeSnapshot => Answer::SnapshotTaken,
            Request::ShowAlarms => Answer::Alarms(sample::alarms()),
            Request::ShowTechSupport => Answer::TechSupport(Box::new(sample::tech_support(
                self.log_levels(),
                self.log.clone(),
            ))),
            Request::ShowSettings => Answer::Settings(sample::settings()),
            Request::ShowSip => Answer::Sip(sample::sip()),
            Request::ShowDomain => Answer::Domain(sample::domain()),
            Request::ListServices => Answer::Services(sample::services()),
            Request::ListLogs => Answer::Logs(sample::inventory(&self.log)),
            Request::ReadLog(query) => Answer::LogLines(lines(self, &query)),
            Request::ShowLogLevels => Answer::LogLevels(self.log_levels()),
            Request::SetLogLevel { area, level } => {
                self.levels.insert(area, level);
                Answer::LogLevels(self.log_levels())
            }
            Request::UnsetLogLevel { area } => {
                self.levels.remove(&area);
                Answer::LogLevels(self.log_levels())
            }
            Request::AddUser(new) => {
                if self.users.contains_key(new.id.as_str()) {
                    return Err(Refusal::new(
                        RefusalCode::UserExists,
                        format!("there is a user \"{}\" already", new.id),
                        "ID",
                        "choose another id",
                    ));
                }
                let user = User {
                    display_name: new.display_name,
                    password: new.password.map(|password| password.expose().to_owned()),
                    is_disabled: false,
                };
                self.users.insert(new.id.to_string(), user);
                changed(new.id, UserChange::Added)
            }
            Request::DeleteUser { id } => {
                self.users.remove(id.as_str()).ok_or_else(|| unknown(&id))?;
                changed(id, UserChange::Deleted)
            }
            Request::EnableUser { id } => {
                self.user(&id)?.is_disabled = false;
                changed(id, UserChange::Enabled)
            }
            Request::DisableUser { id } => {
                self.user(&id)?.is_disabled = true;
                changed(id, UserChange::Disabled)
            }
            Request::SetUserPassword { id, password } => {
                self.user(&id)?.password = Some(password.expose().to_owned());
                changed(id, UserChange::PasswordSet)
            }
            Request::ImportUsers { csv } => Answer::Imported(self.import(csv.expose())?),
            Request::ShowPolicy
            | Request::SetPolicy { .. }
            | Request::ShowDirectories
            | Request::SetDirectory { .. }
            | Request::UnsetDirectory { .. }
            | Request::TestDirectory { .. }
            | Request::SyncDirectory { .. }
            | Request::FindPeople(_)
            | Request::ShowPerson { .. }
            | Request::ShowGroups
            | Request::SetDevice { .. } => {
                let answer = directory::answer(&request);
                self.about_directories = Some(request);
                answer
            }
            Request::DeleteDevice { ref id, .. } => {
                let answer = changed(id.clone(), UserChange::DeviceDeleted);
                self.about_directories = Some(request);
                answer
            }
        })
    }

    fn user(&mut self, id: &UserId) -> Result<&mut User, Refusal> {
        self.users.get_mut(id.as_str()).ok_or_else(|| unknown(id))
    }

    fn page<T>(
        &mut self,
        all: Vec<(String, T)>,
        request: &PageRequest,
    ) -> Result<Page<T>, Refusal> {
        self.pages += 1;
        if self.fail_after_pages > 0 && self.pages > self.fail_after_pages {
            return Err(Refusal::new(RefusalCode::Busy, "too busy", "the list", "try again"));
        }
        let total = u64::try_from(all.len()).unwrap();
        let limit = match self.page_limit {
            0 => request.effective_limit(),
            limit => limit.min(request.effective_limit()),
        };
        let after = request.after.clone().unwrap_or_default();
        let mut rest = all.into_iter().filter(|(key, _)| *key > after).collect::<Vec<_>>();
        let has_more = rest.len() > limit;
        rest.truncate(limit);
        let next = rest.last().filter(|_| has_more).map(|(key, _)| key.clone());
        Ok(Page { total, items: rest.into_iter().map(|(_, item)| item).collect(), next })
    }

    fn log_levels(&self) -> LogLevels {
        let area = |area: &str| AreaLevel {
            area: area.to_owned(),
            level: self.levels.get(area).copied().unwrap_or(LogLevel::Info),
            is_set: self.levels.contains_key(area),
        };
        LogLevels { default: LogLevel::Info, areas: vec![area("store"), area("subscription")] }
    }

    /// One column, `id`; an id that holds a blank is refused.
    fn import(&mut self, csv: &str) -> Result<ImportReport, Refusal> {
        let mut report = ImportReport { created: 0, updated: 0, refused: Vec::new() };
        let mut lines = csv.lines().zip(1..);
        if lines.next().is_none_or(|(head, _)| head != "id") {
            return Err(Refusal::new(
                RefusalCode::UnreadableImport,
                "the first line does not name a column id",
                "line 1",
                "name the columns there",
            ));
        }
        for (id, line) in lines {
            if id.contains(' ') {
                report.refused.push(RefusedLine {
                    line,
                    id: Some(id.to_owned()),
                    refusal: Refusal::new(
                        RefusalCode::InvalidId,
                        "an id holds no blanks",
                        "column id",
                        "take the blank out",
                    ),
                });
            } else if self.users.insert(id.to_owned(), User::default()).is_some() {
                report.updated += 1;
            } else {
                report.created += 1;
            }
        }
        Ok(report)
    }
}

fn changed(id: UserId, change: UserChange) -> Answer {
    Answer::UserChanged(UserChanged { id, change })
}

fn summary(id: &str, user: &User) -> UserSummary {
    UserSummary {
        id: UserId::from(id),
        display_name: user.display_name.clone(),
        is_enabled: !user.is_disabled,
        has_password: user.password.is_some(),
        is_served: !user.is_disabled,
        registrations: 0,
        basic: Some(Basic::Closed),
    }
}

fn detail(id: &str, user: &User) -> UserDetail {
    UserDetail {
        summary: summary(id, user),
        aor: format!("sip:{id}@example.test"),
        given_name: None,
        surname: None,
        mail: None,
        telephone: None,
        created_unix_ms: 0,
        changed_unix_ms: 0,
        directory: None,
        devices: Vec::new(),
        bindings: vec![sample::registration(id)],
        publications: Vec::new(),
        watchers: 1,
        watching: 0,
    }
}
