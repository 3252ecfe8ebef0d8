//! The servers under load: how each starts, where it listens, and which processes it is.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::driver::Size;
use crate::message::{DOMAIN, user};

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

/// The peer's program, as Debian installs it.
const KAMAILIO: &str = "/usr/sbin/kamailio";

impl Kind {
    /// All that can run here.
    pub fn all() -> Vec<Self> {
        let mut all = vec![Self::Floor, Self::Lamplight];
        if Path::new(KAMAILIO).exists() {
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
#[derive(Debug, Clone, Default)]
pub struct Setup {
    /// Users that there are.
    pub users: u32,
    /// Subscriptions that there will be.
    pub subscriptions: u32,
    /// What to start it under; nothing when empty.
    pub wrap: String,
}

impl Setup {
    /// For a load of that size.
    pub fn of(size: Size) -> Self {
        Self { users: size.users(), subscriptions: size.dialogs(), ..Self::default() }
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
    /// Where it takes SIP over UDP.
    pub address: SocketAddr,
    child: Child,
    _dir: TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = kill(self.pid(), Signal::SIGTERM);
        for _ in 0..100 {
            if matches!(self.child.try_wait(), Ok(Some(_)) | Err(_)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// Starts a server and waits until it serves its users.
    pub fn start(kind: Kind, setup: &Setup) -> Result<Self, Box<dyn Error>> {
        let dir = tempfile::Builder::new().prefix("lamplight-load-").tempdir()?;
        match kind {
            Kind::Floor => {
                let (child, line) = start(setup.command(&beside("floor")?), dir.path())?;
                let address = word(&line, "udp:").parse();
                Ok(Self { address: address?, child, _dir: dir })
            }
            Kind::Kamailio => start_kamailio(dir, setup),
            Kind::Lamplight => {
                let config = settle_lamplight(dir.path())?;
                let mut command = setup.command(&beside("presenced")?);
                command.arg("--config").arg(config);
                let (child, line) = start(command, dir.path())?;
                let server = Self { address: word(&line, "udp:").parse()?, child, _dir: dir };
                import(server._dir.path(), word(&line, "control:"), setup.users)?;
                Ok(server)
            }
        }
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

/// What follows a prefix in a ready line.
fn word<'a>(line: &'a str, prefix: &str) -> &'a str {
    line.split_whitespace().find_map(|word| word.strip_prefix(prefix)).unwrap_or_default()
}

/// Writes the settings of a node on the largest machine.
fn settle_lamplight(dir: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let dmi = dir.join("dmi");
    fs::create_dir(&dmi)?;
    fs::write(dmi.join("sys_vendor"), "Cisco Systems, Inc.\n")?;
    fs::write(dmi.join("product_name"), "MCS-7845-H2\n")?;
    let config = dir.join("presenced.toml");
    fs::write(
        &config,
        format!(
            "domain = \"{DOMAIN}\"\ndata_dir = {:?}\n\
             [sip]\nlisten = [\"udp:127.0.0.1:0\", \"tcp:127.0.0.1:0\"]\n\
             trusted = [\"127.0.0.1/32\"]\n\
             [http]\nlisten = \"127.0.0.1:0\"\n[control]\nsocket = {:?}\n\
             [platform]\ndmi_dir = {dmi:?}\n",
            dir.join("data"),
            dir.join("control.sock"),
        ),
    )?;
    Ok(config)
}

/// Starts the peer and waits until it answers.
fn start_kamailio(dir: TempDir, setup: &Setup) -> Result<Server, Box<dyn Error>> {
    // It cannot choose a port by itself, so it gets one that was free a moment before.
    let address = UdpSocket::bind("127.0.0.1:0")?.local_addr()?;
    let config = dir.path().join("kamailio.cfg");
    fs::write(&config, include_str!("kamailio.cfg").replace("ADDRESS", &address.to_string()))?;
    let mut command = setup.command(Path::new(KAMAILIO));
    // Shared memory is taken from the system as it is used: too much costs nothing.
    let megabytes = (1_024 + setup.subscriptions / 128).to_string();
    command.args(["-DD", "-E", "-m", &megabytes, "-M", "64", "-f"]).arg(config).arg("-Y");
    command.arg(dir.path()).arg("-w").arg(dir.path()).stdin(Stdio::null()).stdout(Stdio::null());
    let log = fs::File::create(dir.path().join("errors"))?;
    let child = command.stderr(log).spawn()?;
    let mut server = Server { address, child, _dir: dir };
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.connect(address)?;
    socket.set_read_timeout(Some(Duration::from_millis(200)))?;
    let local = socket.local_addr()?;
    let text = format!(
        "OPTIONS sip:{address} SIP/2.0\r\nVia: SIP/2.0/UDP {local};branch=z9hG4bKready\r\n\
         Max-Forwards: 70\r\nFrom: <sip:load@{DOMAIN}>;tag=o\r\nTo: <sip:{address}>\r\n\
         Call-ID: ready@{local}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
    );
    for _ in 0..100 {
        // While nobody listens sending fails, or receiving does at once.
        let is_sent = socket.send(text.as_bytes()).is_ok();
        if is_sent && socket.recv(&mut [0; 2_048]).is_ok() {
            return Ok(server);
        }
        if server.child.try_wait()?.is_some() {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let errors = fs::read_to_string(server._dir.path().join("errors")).unwrap_or_default();
    Err(format!("Kamailio did not become ready: {errors}").into())
}

fn import(dir: &Path, control: &str, users: u32) -> Result<(), Box<dyn Error>> {
    let mut csv = "id,display-name\n".to_owned();
    for index in 0..users {
        writeln!(csv, "{},User {index}", user(index))?;
    }
    let path = dir.join("users.csv");
    fs::write(&path, csv)?;
    let mut command = Command::new(beside("appliance")?);
    let output = command.args(["--socket", control, "user", "import"]).arg(path).output()?;
    if !output.status.success() {
        let told = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        return Err(format!("the users were not imported: {told}{errors}").into());
    }
    Ok(())
}
