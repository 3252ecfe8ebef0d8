//! `make run`: a node on this machine with two demo users, a status change that travels between
//! them, and how to connect a phone. Stays until Ctrl-C; without a terminal it ends
//! after the demonstration. It needs no root and keeps its files under `build/run/`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, IsTerminal as _, Read as _, Write as _, stdin, stdout};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use lamplight_tests::wire::{Client, Message, Request, Subscription, Via};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::Pid;

const DOMAIN: &str = "lamplight.test";

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

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let asked = Arguments::read()?;
    // Before any thread is started, so that all of them leave the signals to `sigwait`.
    let ending = ending();
    ending.thread_block().context("cannot block signals")?;

    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("no workspace")?;
    std::env::set_current_dir(root).with_context(|| format!("cannot enter {}", root.display()))?;
    std::fs::create_dir_all(DIRECTORY).with_context(|| format!("cannot make {DIRECTORY}"))?;

    let mut node = Node::start(asked.address)?;
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

/// The signals that end the program.
fn ending() -> SigSet {
    SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP])
}

/// What was asked for.
struct Arguments {
    address: IpAddr,
}

impl Arguments {
    fn read() -> Result<Self> {
        let mut asked = Self { address: Ipv4Addr::LOCALHOST.into() };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--address" => {
                    let text = arguments.next().context("--address needs an address")?;
                    let address: IpAddr =
                        text.parse().with_context(|| format!("{text} is no IP address"))?;
                    ensure!(!address.is_unspecified(), "name one address of this machine");
                    asked.address = address;
                }
                other => bail!("{other} is unknown; there is --address ADDRESS"),
            }
        }
        Ok(asked)
    }
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

/// Ben subscribes, Anna's status changes, and Ben is told.
fn demonstrate(anna: &Client, ben: &Client) -> Result<Subscription> {
    anna.register();
    ben.register();
    println!("Anna and Ben have registered over UDP, with digest authentication.\n");
    let watch = ben.subscribe(&anna.aor());
    println!("Ben watches Anna: she is {}.", seen(&watch.notify(ben)));

    let mut tag = None;
    for (said, basic, activity) in [
        ("is at her desk", "open", None),
        ("takes a call", "open", Some("on-the-phone")),
        ("goes to a meeting", "closed", Some("meeting")),
    ] {
        let mut request = anna.publication();
        if let Some(tag) = &tag {
            request = request.header("SIP-If-Match", tag);
        }
        let document = document(&anna.aor(), basic, activity);
        let request = request.body("application/pidf+xml", document);
        let (answer, notify, took) = timed(anna, request, ben, &watch)?;
        tag = answer.header("SIP-ETag").map(str::to_owned);
        println!("Anna {said}; {} later Ben sees: {}.", milliseconds(took), seen(&notify));
    }
    let tag = tag.context("the answer to PUBLISH has no SIP-ETag")?;
    let leave = anna.publication().set("Expires", 0).header("SIP-If-Match", tag);
    let (_, notify, took) = timed(anna, leave, ben, &watch)?;
    println!("Anna signs off; {} later Ben sees: {}.", milliseconds(took), seen(&notify));
    Ok(watch)
}

/// Publishes and waits for the watcher to be told: from the PUBLISH that carries the credentials
/// to the arrival of the NOTIFY.
fn timed(
    from: &Client,
    request: Request,
    watcher: &Client,
    watch: &Subscription,
) -> Result<(Message, Message, Duration)> {
    let first = from.send(request);
    let challenge = from.final_answer(&first);
    ensure!(challenge.status() == Some(401), "no challenge, but:\n{challenge}");
    let request = from.with_credentials(&first.request, &challenge, None);
    let started = Instant::now();
    let sent = from.send(request);
    let notify = watch.notify(watcher);
    let took = started.elapsed();
    let answer = from.final_answer(&sent);
    ensure!(answer.status() == Some(200), "PUBLISH was answered:\n{answer}");
    Ok((answer, notify, took))
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

/// A presence document (RFC 3863) with what the person does (RFC 4479, 4480).
fn document(aor: &str, basic: &str, activity: Option<&str>) -> String {
    let person = activity.map_or_else(String::new, |activity| {
        format!(
            "<dm:person id=\"p1\"><rpid:activities><rpid:{activity}/></rpid:activities></dm:person>"
        )
    });
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <presence xmlns=\"urn:ietf:params:xml:ns:pidf\" \
         xmlns:dm=\"urn:ietf:params:xml:ns:pidf:data-model\" \
         xmlns:rpid=\"urn:ietf:params:xml:ns:pidf:rpid\" entity=\"{aor}\">\
         <tuple id=\"desk\"><status><basic>{basic}</basic></status>\
         <contact>{aor}</contact></tuple>{person}</presence>"
    )
}

/// What a NOTIFY tells of a person, in words.
fn seen(notify: &Message) -> String {
    let text = notify.text();
    let Ok(document) = roxmltree::Document::parse(&text) else {
        return "unknown".to_owned();
    };
    let nodes = || document.descendants();
    let is_open = nodes()
        .filter(|node| node.tag_name().name() == "basic")
        .any(|node| node.text().is_some_and(|text| text.trim() == "open"));
    let mut words = if is_open { "available" } else { "not available" }.to_owned();
    let activities = nodes().filter(|node| node.tag_name().name() == "activities");
    for activity in activities.flat_map(|node| node.children().filter(|c| c.is_element())) {
        words.push_str(", ");
        words.push_str(&activity.tag_name().name().replace('-', " "));
    }
    for note in nodes().filter(|node| node.tag_name().name() == "note") {
        if let Some(text) = note.text() {
            words.push_str(&format!(", \"{}\"", text.trim()));
        }
    }
    words
}

fn milliseconds(took: Duration) -> String {
    format!("{:.1} ms", took.as_secs_f64() * 1_000.0)
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

/// Sixteen characters that cannot be mistaken for one another: 80 bits.
fn password() -> Result<String> {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut random = [0; 16];
    File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut random))
        .context("no random numbers")?;
    Ok(random.iter().map(|byte| char::from(LETTERS[usize::from(byte % 32)])).collect())
}

fn last_lines(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(12)..].join("\n")
}
