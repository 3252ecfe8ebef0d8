//! A small platform service on the real protocol: it keeps what it is told and says it again.

use std::io::{Read, Write};
use std::net::IpAddr;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;

use admin_api::framing::LineFramer;
use admin_api::platform::answer::{Answer, File, Platform as Facts, Recovery, SshKey};
use admin_api::platform::request::Request;
use admin_api::platform::settings::SetUp;
use admin_api::refusal::{Refusal, RefusalCode};
use admin_api::wire::{decode_request, encode_reply};

use crate::platform_answers;
use crate::sample;

#[derive(Debug, Default)]
pub(crate) struct State {
    /// Everything that was asked, in order.
    pub(crate) asked: Vec<Request>,
    /// What it was set up with.
    pub(crate) set_up: Option<SetUp>,
    /// The administrator's password.
    pub(crate) password: String,
    pub(crate) answer_file_fault: Option<String>,
    pub(crate) kernel_to_sip_ms: Option<u64>,
    /// Refuses the next request to set it up.
    pub(crate) refuses_set_up: bool,
    pub(crate) is_proven: bool,
    pub(crate) is_recovering: bool,
    /// The captures.
    pub(crate) files: Vec<(String, Vec<u8>)>,
    /// Lines that a tool prints, one for each question, and whether it then goes on for ever.
    pub(crate) tool_lines: Vec<String>,
    pub(crate) is_endless: bool,
    pub(crate) is_stopped: bool,
}

type Shared = Mutex<State>;

pub(crate) struct Platform {
    _dir: tempfile::TempDir,
    pub(crate) socket: PathBuf,
    shared: Arc<Shared>,
}

impl Platform {
    pub(crate) fn start(state: State) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("platform.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let shared = Arc::new(Shared::new(state));
        let theirs = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let shared = Arc::clone(&theirs);
                thread::spawn(move || serve(stream.unwrap(), &shared));
            }
        });
        Self { _dir: dir, socket, shared }
    }

    /// One that was set up, and whose password is `open sesame`.
    pub(crate) fn set_up() -> Self {
        Self::start(State {
            set_up: Some(platform_answers::set_up()),
            password: "open sesame".to_owned(),
            ..State::default()
        })
    }

    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.shared.lock().unwrap())
    }
}

impl Platform {
    /// The last thing asked.
    pub(crate) fn last(&self) -> Option<Request> {
        self.change(|state| state.asked.last().cloned())
    }
}

fn serve(mut stream: UnixStream, shared: &Shared) {
    let mut framer = LineFramer::new();
    let mut chunk = vec![0; 65_536];
    loop {
        while let Some(line) = framer.next_line().unwrap() {
            let reply = match decode_request::<Request>(&line) {
                Ok(request) => {
                    let mut state = shared.lock().unwrap();
                    state.asked.push(request.clone());
                    state.answer(request)
                }
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

fn refusal(code: RefusalCode, what: &str) -> Refusal {
    Refusal::new(code, what, "here", "do something else")
}

impl State {
    fn facts(&self) -> Facts {
        let addresses: Vec<IpAddr> = vec!["192.0.2.5".parse().unwrap()];
        let name = self.set_up.as_ref().map(|set_up| set_up.host_name.clone());
        Facts {
            is_set_up: self.set_up.is_some(),
            answer_file_fault: self.answer_file_fault.clone(),
            host_name: name.unwrap_or_else(|| "lamplight".to_owned()),
            domain: self.set_up.as_ref().map(|set_up| set_up.domain.clone()),
            version: "0.1.0".to_owned(),
            slot: Some("A".to_owned()),
            hardware: sample::hardware(),
            uuid: None,
            kernel_to_sip_ms: self.kernel_to_sip_ms,
            addresses,
            warnings: vec!["no \u{1b}[2Jfan".to_owned()],
        }
    }

    fn answer(&mut self, request: Request) -> Result<Answer, Refusal> {
        Ok(match request {
            Request::ShowPlatform => Answer::Platform(Box::new(self.facts())),
            Request::SetUp(set_up) => {
                if std::mem::take(&mut self.refuses_set_up) {
                    return Err(refusal(RefusalCode::InvalidValue, "not like this"));
                }
                if self.set_up.is_some() {
                    return Err(refusal(RefusalCode::AlreadySetUp, "set up already"));
                }
                self.password = set_up.password.expose().to_owned();
                self.set_up = Some(*set_up);
                Answer::Done
            }
            Request::CheckPassword { password } => self.check(password.expose())?,
            Request::SetPassword { current, new } => {
                self.check(current.expose())?;
                self.password = new.expose().to_owned();
                Answer::Done
            }
            Request::StartRecovery => {
                self.is_recovering = true;
                Answer::Recovery(Recovery { is_proven: false, remaining_s: 300 })
            }
            Request::ShowRecovery if self.is_recovering => {
                Answer::Recovery(Recovery { is_proven: self.is_proven, remaining_s: 300 })
            }
            Request::FinishRecovery { new } if self.is_proven => {
                self.password = new.expose().to_owned();
                self.is_recovering = false;
                Answer::Done
            }
            Request::ShowRecovery | Request::FinishRecovery { .. } => {
                return Err(refusal(RefusalCode::NotNow, "nothing is being replaced"));
            }
            Request::ListSshKeys | Request::AddSshKey { .. } | Request::DeleteSshKey { .. } => {
                Answer::SshKeys(vec![SshKey {
                    algorithm: "ssh-ed25519".to_owned(),
                    fingerprint: "SHA256:abc".to_owned(),
                    comment: "anna\u{1b}[2J".to_owned(),
                }])
            }
            Request::ListTimeZones => {
                Answer::TimeZones(["Europe/Berlin", "UTC"].map(str::to_owned).to_vec())
            }
            Request::ListFiles { .. } => Answer::Files(
                self.files
                    .iter()
                    .map(|(name, bytes)| File {
                        name: name.clone(),
                        size_bytes: u64::try_from(bytes.len()).unwrap(),
                        modified_unix_ms: 0,
                    })
                    .collect(),
            ),
            other => platform_answers::answer(self, other)?,
        })
    }

    fn check(&self, password: &str) -> Result<Answer, Refusal> {
        if password == self.password {
            return Ok(Answer::Done);
        }
        Err(refusal(RefusalCode::NotPermitted, "the password is wrong"))
    }
}
