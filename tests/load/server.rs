//! The servers under load: how each starts and stops, where it listens, and what it uses.

mod kamailio;
mod lamplight;

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::driver::Size;
use crate::network::Transport;

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Receives, copies, sends; what others are measured by.
    Floor,
    /// Ours.
    Lamplight,
    /// A peer, where it is installed.
    Kamailio,
}

impl Kind {
    /// All that can run here.
    pub fn all() -> Vec<Self> {
        let mut all = vec![Self::Floor, Self::Lamplight];
        if kamailio::is_installed() {
            all.push(Self::Kamailio);
        }
        all
    }

    /// What the table calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::Lamplight => "lamplight",
            Self::Kamailio => "kamailio",
        }
    }
}

/// What a server is started for.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Users that there are.
    pub users: u32,
    /// Subscriptions that there will be.
    pub subscriptions: u32,
    /// Whether it asks for digest; otherwise it trusts this machine.
    pub asks: bool,
    /// The digest algorithms that it offers, as in its settings; its own choice when empty.
    pub digest: String,
    /// What Kamailio allocates with: fm, tlsf, or qm as Debian has it.
    pub peer_allocator: String,
    /// What to start it under; nothing when empty.
    pub wrap: String,
}

impl Setup {
    /// For a load of that size.
    pub fn of(size: Size) -> Self {
        Self::with(size.users(), size.dialogs())
    }

    /// For so many users with so many subscriptions.
    pub fn with(users: u32, subscriptions: u32) -> Self {
        Self {
            users,
            subscriptions,
            asks: false,
            digest: String::new(),
            peer_allocator: "fm".to_owned(),
            wrap: String::new(),
        }
    }

    /// The command that starts a program.
    fn command(&self, program: &Path) -> Command {
        let mut words = self.wrap.split_whitespace();
        let Some(first) = words.next() else { return Command::new(program) };
        let mut command = Command::new(first);
        command.args(words).arg(program);
        command
    }
}

/// Memory of all its processes, in KiB.
#[derive(Debug, Clone, Copy, Default)]
pub struct Memory {
    /// Resident.
    pub rss: u64,
    /// Resident, with what is shared counted in shares.
    pub pss: u64,
}

/// A running server.
pub struct Server {
    setup: Setup,
    addresses: BTreeMap<String, SocketAddr>,
    child: Child,
    dir: TempDir,
    /// How long the users took to be imported.
    pub imported: Duration,
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.stop(Signal::SIGTERM);
    }
}

impl Server {
    /// Starts a server and waits until it serves its users.
    pub fn start(kind: Kind, setup: &Setup) -> Result<Self, Box<dyn Error>> {
        let dir = tempfile::Builder::new().prefix("lamplight-load-").tempdir()?;
        match kind {
            Kind::Floor => {
                let (child, line) = start(setup.command(&beside("floor")?), dir.path())?;
                Ok(Self::new(setup, child, addresses(&line), dir))
            }
            Kind::Kamailio => kamailio::start(dir, setup),
            Kind::Lamplight => lamplight::start(dir, setup),
        }
    }

    /// Starts a server that only holds connections, with the certificate of a node.
    pub fn start_bare(
        setup: &Setup,
        node: &Self,
        transport: Transport,
    ) -> Result<Self, Box<dyn Error>> {
        let dir = tempfile::Builder::new().prefix("lamplight-load-").tempdir()?;
        let mut command = setup.command(&std::env::current_exe()?);
        command.arg("bare");
        if transport == Transport::Tls {
            command.arg("--data").arg(node.dir.path().join("data"));
        }
        let (child, line) = start(command, dir.path())?;
        Ok(Self::new(setup, child, addresses(&line), dir))
    }

    fn new(
        setup: &Setup,
        child: Child,
        addresses: BTreeMap<String, SocketAddr>,
        dir: TempDir,
    ) -> Self {
        Self { setup: setup.clone(), addresses, child, dir, imported: Duration::ZERO }
    }

    /// Where it takes SIP over that transport.
    pub fn address(&self, transport: Transport) -> Result<SocketAddr, Box<dyn Error>> {
        let found = self.addresses.get(transport.name()).copied();
        found.ok_or_else(|| format!("the server does not listen on {}", transport.name()).into())
    }

    /// Ends it; how long that took.
    pub fn stop(&mut self, signal: Signal) -> Result<Duration, Box<dyn Error>> {
        let began = Instant::now();
        let _ = kill(self.pid(), signal);
        for _ in 0..3_000 {
            if self.child.try_wait()?.is_some() {
                return Ok(began.elapsed());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        self.child.kill()?;
        self.child.wait()?;
        Err("the server did not end within 30 s".into())
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }

    /// The process and all that it started.
    fn pids(&self) -> Vec<Pid> {
        let mut pids = vec![self.pid()];
        let mut next = 0;
        while let Some(pid) = pids.get(next).copied() {
            next += 1;
            let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { continue };
            for task in tasks.flatten() {
                let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
                let children = children.split_whitespace().filter_map(|pid| pid.parse().ok());
                pids.extend(children.map(Pid::from_raw));
            }
        }
        pids
    }

    /// Processor time of all its processes and threads, those that have ended included.
    pub fn cpu(&self) -> Result<Duration, Box<dyn Error>> {
        let mut sum = Duration::ZERO;
        for pid in self.pids() {
            sum += Duration::from(clock_gettime(clock_getcpuclockid(pid)?)?);
        }
        Ok(sum)
    }

    /// Its memory.
    pub fn memory(&self) -> Memory {
        let mut memory = Memory::default();
        for pid in self.pids() {
            let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"));
            for line in rollup.unwrap_or_default().lines() {
                let mut words = line.split_whitespace();
                let sum = match words.next() {
                    Some("Rss:") => &mut memory.rss,
                    Some("Pss:") => &mut memory.pss,
                    _ => continue,
                };
                *sum += words.next().and_then(|kib| kib.parse::<u64>().ok()).unwrap_or_default();
            }
        }
        memory
    }

    /// Its process id, for a profiler.
    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

/// A program that was built together with this one.
fn beside(name: &str) -> Result<PathBuf, Box<dyn Error>> {
    let path = std::env::current_exe()?.with_file_name(name);
    if !path.exists() {
        return Err(format!("{} is missing: make build", path.display()).into());
    }
    Ok(path)
}

/// Starts a program and waits for its ready line.
fn start(mut command: Command, dir: &Path) -> Result<(Child, String), Box<dyn Error>> {
    let log = fs::File::create(dir.join("errors"))?;
    command.current_dir(dir).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
    let mut child = command.spawn()?;
    let mut output = BufReader::new(child.stdout.take().ok_or("no output")?);
    let mut line = String::new();
    loop {
        line.clear();
        if output.read_line(&mut line)? == 0 {
            let _ = child.kill();
            let status = child.wait()?;
            let errors = fs::read_to_string(dir.join("errors")).unwrap_or_default();
            return Err(format!("the server ended ({status}) before it was ready: {errors}").into());
        }
        if line.contains(" ready: ") {
            break;
        }
    }
    // A full pipe must not stop the server.
    std::thread::spawn(move || std::io::copy(&mut output, &mut std::io::sink()));
    Ok((child, line))
}

/// The addresses in a ready line, by transport.
fn addresses(line: &str) -> BTreeMap<String, SocketAddr> {
    let pairs = line.split_whitespace().filter_map(|word| word.split_once(':'));
    pairs.filter_map(|(name, address)| Some((name.to_owned(), address.parse().ok()?))).collect()
}
