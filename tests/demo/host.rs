//! `make run-host`: the daemon alone on this machine, without the firmware around it. It needs no
//! root and keeps its files under `build/run/`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, IsTerminal as _, Write as _, stdin, stdout};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use lamplight_tests::wire::{Client, Subscription, Via};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::Pid;

use crate::people::{demonstrate, password, seen};
use crate::{DOMAIN, ending};

/// Where the node lives, from the root of the workspace; relative, as a socket's path is short.
const DIRECTORY: &str = "build/run";

/// How long the node may take to start: its store may have much to read.
const START: Duration = Duration::from_secs(60);

/// How long the node may take to stop.
const STOP: Duration = Duration::from_secs(30);

/// How long a subscription is left alone.
const REFRESH: Duration = Duration::from_secs(1_200);

/// How often arrivals are looked for while a terminal shows them.
const LOOK: Duration = Duration::from_millis(100);

/// Starts a node, shows it at work, and stays until a signal comes.
pub(crate) fn run(address: IpAddr, ending: SigSet) -> Result<()> {
    std::fs::create_dir_all(DIRECTORY).with_context(|| format!("cannot make {DIRECTORY}"))?;
    let mut node = Node::start(address)?;
    println!("A node for {DOMAIN} runs here. Its files are in {DIRECTORY}/.");
    let anna = node.user("anna", "Anna Berg")?;
    let ben = node.user("ben", "Ben Castor")?;
    let mut watch = demonstrate(&anna, &ben)?;
    if !(stdin().is_terminal() && stdout().is_terminal()) {
        node.stop()?;
        println!("\nThere is no terminal, so that was all: everything is stopped.");
        return Ok(());
    }
    node.explain(&[&anna, &ben]);
    println!(
        "\nBen keeps watching Anna: what her phone publishes is shown here. Ctrl-C ends it.\n"
    );
    stay(&mut node, &ben, &mut watch, ending)?;
    println!("\nStopping.");
    node.stop()
}

/// The running daemon.
struct Node {
    process: Child,
    address: IpAddr,
    listeners: BTreeMap<String, SocketAddr>,
    control: PathBuf,
}

impl Drop for Node {
    fn drop(&mut self) {
        // Ended already when all went well.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Node {
    fn start(address: IpAddr) -> Result<Self> {
        let directory = Path::new(DIRECTORY);
        let control = directory.join("control.sock");
        let configuration = directory.join("presenced.toml");
        let (sip, tls) = (free_or_any(address, 5060), free_or_any(address, 5061));
        let http = free_or_any(Ipv4Addr::LOCALHOST.into(), 8443);
        let text = format!(
            "domain = \"{DOMAIN}\"\ndata_dir = \"{DIRECTORY}/data\"\n\
             [sip]\nlisten = [\"udp:{sip}\", \"tcp:{sip}\", \"tls:{tls}\"]\n\
             [http]\nlisten = \"{http}\"\n[control]\nsocket = \"{}\"\n",
            control.display()
        );
        std::fs::write(&configuration, text)
            .with_context(|| format!("cannot write {}", configuration.display()))?;
        let log_path = directory.join("presenced.log");
        let log = File::create(&log_path)
            .with_context(|| format!("cannot write {}", log_path.display()))?;
        let mut command = Command::new(beside("presenced")?);
        command
            .arg("--config")
            .arg(&configuration)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            // Ctrl-C is for us; the daemon is asked to stop in its turn.
            .process_group(0);
        // What is blocked here would stay blocked in the daemon.
        ending().thread_unblock().context("cannot unblock signals")?;
        let spawned = command.spawn().context("cannot run presenced");
        ending().thread_block().context("cannot block signals")?;
        let mut process = spawned?;
        let stdout = process.stdout.take().context("no output to read")?;
        let (ready, wait) = std::sync::mpsc::sync_channel(1);
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if let Some(words) = line.strip_prefix("presenced ready:") {
                    // Nobody waits any more when it comes too late.
                    let _ = ready.try_send(words.to_owned());
                }
            }
        });
        let mut node = Self { process, address, listeners: BTreeMap::new(), control };
        let Ok(words) = wait.recv_timeout(START) else {
            bail!("presenced did not start:\n{}", last_lines(&log_path));
        };
        for word in words.split_whitespace() {
            if let Some((name, value)) = word.split_once(':')
                && let Ok(address) = value.parse()
            {
                node.listeners.insert(name.to_owned(), address);
            }
        }
        if !node.listeners.contains_key("udp") {
            bail!("presenced does not serve SIP here:\n{}", last_lines(&log_path));
        }
        Ok(node)
    }

    /// Makes a user anew, with a password that nobody had before.
    fn user(&self, id: &str, name: &str) -> Result<Client> {
        let password = password()?;
        let known = self.appliance(&["user", "delete", id], "");
        drop(known); // Refused at the first run, when there is nobody to delete.
        let add = ["user", "add", id, "display-name", name, "password-stdin"];
        self.appliance(&add, &format!("{password}\n"))?;
        let server = self.listeners.get("udp").context("no UDP listener")?;
        Ok(Client::new(Via::Udp, *server, DOMAIN, id, &password))
    }

    fn appliance(&self, arguments: &[&str], input: &str) -> Result<()> {
        let mut command = Command::new(beside("appliance")?)
            .arg("--socket")
            .arg(&self.control)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot run appliance")?;
        if let Some(mut stdin) = command.stdin.take() {
            // One that reads nothing may have ended.
            let _ = stdin.write_all(input.as_bytes());
        }
        let said = command.wait_with_output().context("cannot run appliance")?;
        let words = arguments.join(" ");
        let error = String::from_utf8_lossy(&said.stderr);
        ensure!(said.status.success(), "appliance {words}: {}", error.trim());
        Ok(())
    }

    fn explain(&self, users: &[&Client]) {
        let port = |name: &str| self.listeners.get(name).map_or(0, SocketAddr::port);
        let control = self.control.display();
        let command = beside("appliance").unwrap_or_else(|_| PathBuf::from("appliance"));
        let here = std::env::current_dir().unwrap_or_default();
        let command = command.strip_prefix(here).unwrap_or(&command).display();
        println!("\nConnect a phone or softphone:");
        println!("  domain          {DOMAIN}");
        println!("  outbound proxy  {}", self.address);
        println!("  transports      UDP and TCP port {}, TLS port {}", port("udp"), port("tls"));
        for user in users {
            println!("  user            {:<6} password {}", user.user, user.password);
        }
        if self.address.is_loopback() {
            println!("  From another machine: make run ADDRESS=<an address of this machine>");
        }
        println!("\nAdminister it from another terminal:");
        println!("  {command} --socket {control}");
        println!("  {command} --socket {control} show status");
    }

    fn stop(mut self) -> Result<()> {
        let pid = i32::try_from(self.process.id()).context("an odd process id")?;
        kill(Pid::from_raw(pid), Signal::SIGTERM).context("cannot stop presenced")?;
        let deadline = Instant::now() + STOP;
        let status = loop {
            if let Some(status) = self.process.try_wait().context("cannot watch presenced")? {
                break status;
            }
            ensure!(Instant::now() < deadline, "presenced does not stop; it was killed");
            std::thread::sleep(LOOK);
        };
        ensure!(status.success(), "presenced ended with {status}");
        Ok(())
    }
}

/// Shows what Ben is told until a signal comes or the daemon ends.
fn stay(node: &mut Node, ben: &Client, watch: &mut Subscription, ending: SigSet) -> Result<()> {
    let (ended, end) = std::sync::mpsc::sync_channel(1);
    std::thread::spawn(move || ended.send(ending.wait()));
    let mut refreshed = Instant::now();
    while end.recv_timeout(LOOK).is_err() {
        while let Some(notify) = ben.take(|m| watch.is_notify(m)) {
            println!("Ben sees that Anna is {}.", seen(&notify));
        }
        if refreshed.elapsed() >= REFRESH {
            refreshed = Instant::now();
            watch.refresh(ben, 3_600);
            ben.register();
        }
        if let Some(status) = node.process.try_wait().context("cannot watch presenced")? {
            bail!("presenced ended with {status}; see {DIRECTORY}/presenced.log");
        }
    }
    Ok(())
}

/// The address with this port when UDP and TCP are free there, else with one that the kernel picks.
fn free_or_any(address: IpAddr, port: u16) -> SocketAddr {
    let wanted = SocketAddr::new(address, port);
    let is_free = UdpSocket::bind(wanted).is_ok() && TcpListener::bind(wanted).is_ok();
    if is_free { wanted } else { SocketAddr::new(address, 0) }
}

/// A program that was built with this one.
fn beside(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe().context("cannot tell where this program is")?;
    let path = own.with_file_name(name);
    ensure!(path.exists(), "{} is missing: run `make build`", path.display());
    Ok(path)
}

fn last_lines(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(12)..].join("\n")
}
