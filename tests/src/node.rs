//! Runs the built daemon in a directory of its own, and the command that administers it.

pub mod build;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::program::Lines;
use crate::wire::{Client, PATIENCE, Via};

/// The domain that nodes serve unless told otherwise.
pub const DOMAIN: &str = "example.test";

/// The password of every user that `Node::client` makes.
pub const PASSWORD: &str = "correct-horse-7845";

/// How a node is to be set up.
#[derive(Debug, Clone)]
pub struct Setup {
    /// What `[sip] listen` says.
    pub listen: Vec<String>,
    /// What `[sip] trusted` says.
    pub trusted: Vec<String>,
    /// What `[sip] digest` says, when it says anything.
    pub digest: Vec<String>,
    /// The DMI vendor and product that detection reads.
    pub machine: (String, String),
    /// Where the store lies, when not in the node's own directory.
    pub data_dir: Option<PathBuf>,
    /// More environment for the daemon.
    pub environment: Vec<(String, String)>,
}

impl Default for Setup {
    fn default() -> Self {
        let listen = ["udp:127.0.0.1:0", "tcp:127.0.0.1:0", "tls:127.0.0.1:0"];
        Self {
            listen: listen.map(str::to_owned).to_vec(),
            trusted: Vec::new(),
            digest: Vec::new(),
            machine: ("Cisco Systems, Inc.".to_owned(), "MCS-7845-H2".to_owned()),
            data_dir: None,
            environment: Vec::new(),
        }
    }
}

impl Setup {
    /// Exempts the machine itself from digest.
    #[must_use]
    pub fn trusting(mut self) -> Self {
        self.trusted = vec!["127.0.0.1/32".to_owned(), "::1/128".to_owned()];
        self
    }

    /// Pretends to be that machine.
    #[must_use]
    pub fn machine(mut self, product: &str) -> Self {
        product.clone_into(&mut self.machine.1);
        self
    }

    /// Listens there too.
    #[must_use]
    pub fn listening(mut self, listener: &str) -> Self {
        self.listen.push(listener.to_owned());
        self
    }

    /// Keeps its store there.
    #[must_use]
    pub fn storing_in(mut self, dir: &Path) -> Self {
        self.data_dir = Some(dir.to_owned());
        self
    }

    /// Starts the daemon and waits until it serves.
    #[track_caller]
    pub fn start(self) -> Node {
        let mut node = Node::prepare(self);
        node.start();
        node
    }
}

/// What the ready line says, several addresses a transport when there are several listeners.
#[derive(Debug, Clone, Default)]
pub struct Ready {
    /// Addresses by transport token: `udp`, `tcp`, `tls`, `ws`, `http`.
    pub addresses: BTreeMap<String, Vec<SocketAddr>>,
    /// The control socket.
    pub control: PathBuf,
}

impl Ready {
    fn parse(line: &str) -> Option<Self> {
        let mut ready = Self::default();
        for word in line.strip_prefix("presenced ready:")?.split_whitespace() {
            let (name, value) = word.split_once(':')?;
            match name {
                "control" => ready.control = PathBuf::from(value),
                _ => ready.addresses.entry(name.to_owned()).or_default().push(value.parse().ok()?),
            }
        }
        Some(ready)
    }

    /// The first address of a transport.
    #[track_caller]
    pub fn address(&self, transport: &str) -> SocketAddr {
        let of = self.addresses.get(transport).and_then(|a| a.first());
        *of.unwrap_or_else(|| panic!("no {transport} listener in {self:?}"))
    }
}

/// A node: its directory, its settings, and its process while it runs.
#[derive(Debug)]
pub struct Node {
    /// Its directory: configuration, store, control socket, fake DMI.
    pub dir: TempDir,
    /// How it was set up.
    pub setup: Setup,
    /// What its ready line said last.
    pub ready: Ready,
    process: Option<(Child, Arc<Lines>)>,
    earlier: String,
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some((child, _)) = &mut self.process {
            // It may have ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            eprintln!("---- the daemon wrote:\n{}", self.output());
        }
    }
}

impl Node {
    /// Writes directory and configuration without starting anything.
    #[track_caller]
    pub fn prepare(setup: Setup) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let dmi = dir.path().join("dmi");
        std::fs::create_dir(&dmi).expect("make dmi");
        for (name, value) in [("sys_vendor", &setup.machine.0), ("product_name", &setup.machine.1)]
        {
            std::fs::write(dmi.join(name), format!("{value}\n")).expect("write dmi");
        }
        let node =
            Self { dir, setup, ready: Ready::default(), process: None, earlier: String::new() };
        let listen = node.setup.listen.clone();
        node.write_config(&node.config_text(&listen, "127.0.0.1:0"));
        node
    }

    /// A node with everything as usual.
    #[track_caller]
    pub fn start_new() -> Self {
        Setup::default().start()
    }

    /// Its configuration file.
    pub fn config_path(&self) -> PathBuf {
        self.dir.path().join("presenced.toml")
    }

    /// Where it keeps its store.
    pub fn data_dir(&self) -> PathBuf {
        self.setup.data_dir.clone().unwrap_or_else(|| self.dir.path().join("data"))
    }

    /// The configuration with these listeners.
    pub fn config_text(&self, listen: &[String], http: &str) -> String {
        let quote = |items: &[String]| {
            let quoted: Vec<String> = items.iter().map(|i| format!("{i:?}")).collect();
            quoted.join(", ")
        };
        let digest = match self.setup.digest.as_slice() {
            [] => String::new(),
            algorithms => format!("digest = [{}]\n", quote(algorithms)),
        };
        format!(
            "domain = \"{DOMAIN}\"\ndata_dir = {:?}\n[sip]\nlisten = [{}]\ntrusted = [{}]\n{digest}\
             [http]\nlisten = {http:?}\n[control]\nsocket = {:?}\n[platform]\ndmi_dir = {:?}\n",
            self.data_dir(),
            quote(listen),
            quote(&self.setup.trusted),
            self.dir.path().join("control.sock"),
            self.dir.path().join("dmi"),
        )
    }

    /// Replaces the configuration file.
    #[track_caller]
    pub fn write_config(&self, text: &str) {
        std::fs::write(self.config_path(), text).expect("write the configuration");
    }

    /// Starts the daemon and waits until it serves; afterwards its ports stay the same.
    #[track_caller]
    pub fn start(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        while let Err(text) = self.try_start() {
            // While it was down another test may have been given one of its ports.
            let is_again = !self.ready.addresses.is_empty() && Instant::now() < deadline;
            assert!(
                is_again && text.contains("in use"),
                "presenced did not become ready; it wrote:\n{text}"
            );
            self.wait();
        }
        let mut listen = Vec::new();
        for (transport, addresses) in &self.ready.addresses {
            if transport != "http" {
                listen.extend(addresses.iter().map(|a| format!("{transport}:{a}")));
            }
        }
        let http = self.ready.address("http").to_string();
        self.write_config(&self.config_text(&listen, &http));
    }

    /// Starts the daemon; what it wrote when it does not become ready.
    #[track_caller]
    pub fn try_start(&mut self) -> Result<(), String> {
        let binary = build::binary("presenced");
        let mut child = Command::new(&binary)
            .arg("--config")
            .arg(self.config_path())
            .envs(self.setup.environment.iter().map(|(k, v)| (k, v)))
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("cannot run {}: {e}", binary.display()));
        let lines = Arc::new(Lines::default());
        lines.follow(child.stdout.take().expect("piped"));
        lines.follow(child.stderr.take().expect("piped"));
        let ready = lines.wait(Ready::parse);
        self.process = Some((child, Arc::clone(&lines)));
        match ready {
            Some(ready) => {
                self.ready = ready;
                Ok(())
            }
            None => Err(lines.text()),
        }
    }

    /// Starts the daemon in the expectation that it refuses; its exit status and what it wrote.
    #[track_caller]
    pub fn start_refused(&mut self) -> (ExitStatus, String) {
        if self.try_start().is_ok() {
            panic!("presenced became ready where it should have refused:\n{}", self.output());
        }
        let text = self.output();
        (self.wait(), text)
    }

    /// The process id.
    #[track_caller]
    pub fn pid(&self) -> u32 {
        self.process.as_ref().expect("running").0.id()
    }

    /// Ends it as a power cut would: no chance to tidy up.
    #[track_caller]
    pub fn kill(&mut self) {
        let (child, _) = self.process.as_mut().expect("running");
        child.kill().expect("kill -9");
        self.wait();
    }

    /// Asks it to stop, as the service manager does.
    #[track_caller]
    pub fn terminate(&mut self) -> ExitStatus {
        let pid = i32::try_from(self.pid()).expect("a pid");
        kill(Pid::from_raw(pid), Signal::SIGTERM).expect("SIGTERM");
        self.wait()
    }

    fn wait(&mut self) -> ExitStatus {
        let (mut child, lines) = self.process.take().expect("running");
        let (done, waited) = std::sync::mpsc::sync_channel(1);
        let pid = child.id();
        std::thread::spawn(move || {
            let _ = done.send(child.wait());
        });
        let status = waited.recv_timeout(PATIENCE);
        self.earlier.push_str(&lines.text());
        match status {
            Ok(status) => status.expect("an exit status"),
            Err(_) => {
                let _ = kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL);
                panic!("presenced did not end within {PATIENCE:?}");
            }
        }
    }

    /// Kills it and starts it again on the same store and ports.
    #[track_caller]
    pub fn crash_and_restart(&mut self) {
        self.kill();
        self.start();
    }

    /// Everything that all its runs wrote.
    pub fn output(&self) -> String {
        let now = self.process.as_ref().map(|(_, lines)| lines.text()).unwrap_or_default();
        format!("{}{now}", self.earlier)
    }

    /// Waits for a line of its output.
    #[track_caller]
    pub fn expect_line(&self, what: &str, fits: impl Fn(&str) -> bool) -> String {
        let lines = &self.process.as_ref().expect("running").1;
        let found = lines.wait(|l| fits(l).then(|| l.to_owned()));
        found.unwrap_or_else(|| panic!("no line with {what} in:\n{}", self.output()))
    }

    /// Runs one administration command.
    #[track_caller]
    pub fn appliance(&self, arguments: &[&str]) -> Told {
        self.appliance_with(arguments, "")
    }

    /// Runs one administration command with something on its standard input.
    #[track_caller]
    pub fn appliance_with(&self, arguments: &[&str], input: &str) -> Told {
        let binary = build::binary("appliance");
        let mut child = Command::new(&binary)
            .arg("--socket")
            .arg(&self.ready.control)
            .args(arguments)
            .current_dir(self.dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("cannot run {}: {e}", binary.display()));
        // A command that does not read its input may have ended before it is written.
        let _ = child.stdin.take().expect("piped").write_all(input.as_bytes());
        Told::from(child.wait_with_output().expect("appliance runs"))
    }

    /// Adds a user with the usual password.
    #[track_caller]
    pub fn add_user(&self, user: &str) {
        let input = format!("{PASSWORD}\n");
        self.appliance_with(&["user", "add", user, "password-stdin"], &input).expect_done();
    }

    /// Adds many users at once, with the usual password.
    #[track_caller]
    pub fn import_users<'a>(&self, users: impl IntoIterator<Item = &'a str>) -> Told {
        let mut csv = "id,display-name,password\n".to_owned();
        for user in users {
            csv.push_str(&format!("{user},{user} of the test,{PASSWORD}\n"));
        }
        let path = self.dir.path().join("users.csv");
        std::fs::write(&path, csv).expect("write users.csv");
        self.appliance(&["user", "import", path.to_str().expect("a plain path")])
    }

    /// A client for a user who exists, over that transport.
    #[track_caller]
    pub fn client_over(&self, via: Via, user: &str) -> Client {
        let token = via.token().to_ascii_lowercase();
        Client::new(via, self.ready.address(&token), DOMAIN, user, PASSWORD)
    }

    /// A client over UDP for a user who exists.
    #[track_caller]
    pub fn client(&self, user: &str) -> Client {
        self.client_over(Via::Udp, user)
    }

    /// Adds users and makes a client over UDP for each.
    #[track_caller]
    pub fn clients<const N: usize>(&self, users: [&str; N]) -> [Client; N] {
        if N == 1 {
            users.iter().for_each(|u| self.add_user(u));
        } else {
            self.import_users(users).expect_done();
        }
        users.map(|u| self.client(u))
    }

    /// Resident memory in KiB.
    #[track_caller]
    pub fn resident(&self) -> u64 {
        let path = format!("/proc/{}/status", self.pid());
        let status = std::fs::read_to_string(path).expect("a process status");
        let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).expect("VmRSS");
        line.trim().trim_end_matches(" kB").trim().parse().expect("a number")
    }
}

/// What a command said.
#[derive(Debug, Clone)]
pub struct Told {
    /// 0, 1 or 2: done, refused or failed, misused.
    pub code: Option<i32>,
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub err: String,
}

impl From<Output> for Told {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Told {
    /// Fails the test unless the command was carried out; its output.
    #[track_caller]
    pub fn expect_done(self) -> String {
        assert_eq!(self.code, Some(0), "{}{}", self.out, self.err);
        self.out
    }

    /// Fails the test unless the command was refused; what it said on both outputs.
    #[track_caller]
    pub fn expect_refused(self) -> String {
        assert_eq!(self.code, Some(1), "{}{}", self.out, self.err);
        self.out + &self.err
    }

    /// Its output as JSON.
    #[track_caller]
    pub fn json(self) -> serde_json::Value {
        let text = self.expect_done();
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("not JSON: {e}\n{text}"))
    }
}

/// Asks again until the answer fits; for states that become true without an event to wait for.
#[track_caller]
pub fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = ask() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} in vain for {what}");
        std::thread::park_timeout(Duration::from_millis(100));
    }
}

/// The first member of that name, however deep it lies.
pub fn member<'a>(value: &'a serde_json::Value, name: &str) -> Option<&'a serde_json::Value> {
    match value {
        serde_json::Value::Object(map) => {
            map.get(name).or_else(|| map.values().find_map(|v| member(v, name)))
        }
        serde_json::Value::Array(items) => items.iter().find_map(|v| member(v, name)),
        _ => None,
    }
}
