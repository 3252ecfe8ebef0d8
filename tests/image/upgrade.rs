//! Upgrades: a bundle is installed beside what runs, started, left again, and refused where it is
//! not ours or not whole.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use lamplight_tests::machine::bundle::{self, Signer};
use lamplight_tests::machine::ssh::Key;
use lamplight_tests::machine::{Hardware, Machine, Ports, START_WITHIN, image, run};
use lamplight_tests::node::{Told, member};
use lamplight_tests::pidf;
use lamplight_tests::wire::{Client, Subscription, Via};

use crate::start::{answers, until_serving};

/// Places at which a bundle is damaged in every run; `LAMPLIGHT_DAMAGE` asks for more.
const DAMAGES: usize = 6;
/// Cuts in every run of the tests; `LAMPLIGHT_CUTS` asks for more.
const CUTS: u32 = 2;

struct Lamp {
    machine: Machine,
    key: Key,
}

impl Lamp {
    fn start() -> Self {
        let key = Key::new();
        let text = format!("{}trusted = [\"10.0.2.2/32\"]\n", answers(&key));
        let machine = Machine::start(Hardware::default(), Some(&text));
        until_serving(&machine);
        Self { machine, key }
    }

    fn ssh(&self, line: &str) -> Told {
        self.machine.ssh(&self.key, line)
    }

    /// Installs a bundle from the disk.
    fn install(&self, bundle: &[u8]) -> Told {
        self.machine.put_on_disk("lamp.raucb", bundle);
        self.ssh("utils system upgrade install disk")
    }

    /// Switches over, and waits until the other slot serves.
    fn switch(&self, to: &str) {
        while self.machine.serial.has_printed("Lamplight: slot") {}
        self.ssh("utils system switch-version force").expect_done();
        self.machine.serial.expect(&format!("Lamplight: slot {to}, attempt 1"), START_WITHIN);
        until_serving(&self.machine);
    }

    /// What is said of a slot.
    fn slot(&self, name: &str) -> serde_json::Value {
        let shown = self.ssh("show upgrade --json").json();
        let slots = member(&shown, "slots").and_then(|slots| slots.as_array()).expect("slots");
        slots.iter().find(|slot| slot["name"] == name).expect("a slot").clone()
    }

    fn is(&self, name: &str, fact: &str) -> bool {
        self.slot(name)[fact].as_bool().expect("a fact")
    }
}

#[test]
fn what_is_not_ours_or_not_whole_is_refused_and_nothing_is_changed() {
    let lamp = Lamp::start();
    let dir = tempfile::tempdir().expect("a directory");
    let ours = Signer::ours();
    lamp.machine.serial.expect("Lamplight: slot A, attempt 1", START_WITHIN);
    let told = lamp.ssh("utils system switch-version force").expect_refused();
    assert!(told.contains("nothing to start in slot B"), "{told}");

    let whole = bundle::whole();
    let edited = |from: &str, to: &str| {
        bundle::resigned(dir.path(), &ours, |manifest| {
            assert!(manifest.contains(from), "{manifest}");
            manifest.replace(from, to)
        })
    };
    let version = concat!("version=", env!("CARGO_PKG_VERSION"));
    let stranger = Signer::stranger(dir.path());
    for (what, bundle, reason) in [
        ("cut short", whole[..whole.len() / 2].to_vec(), "Signature size"),
        ("no bundle at all", b"hello".to_vec(), "is not installed"),
        ("foreign", bundle::resigned(dir.path(), &stranger, |same| same), "signature"),
        (
            "of another product",
            edited("compatible=lamplight", "compatible=other"),
            "another product",
        ),
        ("older than the floor", edited(version, "version=0.0.9"), "older"),
        ("for a larger machine", edited("memory-mib=1536", "memory-mib=99999"), "99999 MiB"),
    ] {
        let told = lamp.install(&bundle);
        assert!(told.code == Some(1) && told.err.contains(reason), "{what}: {told:?}");
        assert!(!lamp.is("B", "is_installed"), "{what} can be started");
    }
    let wanted = std::env::var("LAMPLIGHT_DAMAGE").ok().and_then(|text| text.parse().ok());
    let wanted: usize = wanted.unwrap_or(DAMAGES);
    for i in 0..wanted {
        // From the first octet to the last.
        let at = (whole.len() - 1) * i / (wanted - 1).max(1);
        let mut damaged = whole.clone();
        damaged[at] ^= 0x40;
        let told = lamp.install(&damaged);
        assert_eq!(told.code, Some(1), "damaged at {at}: {told:?}");
        assert!(!lamp.is("B", "is_installed"), "damaged at {at}");
    }
    // Beyond the life of the certificate, twenty years from when it was made.
    lamp.ssh("set time clock '2060-01-02 00:00:00'").expect_done();
    let told = lamp.install(&whole);
    assert!(told.code == Some(1) && told.err.contains("it is 2060-01-01"), "{told:?}");
    assert!(!lamp.is("B", "is_installed"));

    let told = lamp.ssh("utils system upgrade install url http://127.0.0.1:9/x.raucb");
    assert!(told.code == Some(1) && told.err.contains("cannot be reached"), "{told:?}");

    // A second disk with the appliance: whoever would write to it does not.
    let twin = lamp_disk(dir.path());
    lamp.machine.qmp.plug_disk(&twin);
    let deadline = std::time::Instant::now() + START_WITHIN;
    while !lamp.ssh("show status").out.contains("2 disks carry Lamplight") {
        assert!(std::time::Instant::now() < deadline, "the second disk is not noticed");
    }
    let told = lamp.install(&whole);
    assert!(told.code == Some(1) && told.err.contains("2 disks carry"), "{told:?}");
}

/// A disk like the machine's own.
fn lamp_disk(dir: &Path) -> std::path::PathBuf {
    let twin = dir.join("twin.img");
    run(Command::new("qemu-img").args(["convert", "-O", "raw"]).arg(image()).arg(&twin));
    twin
}

#[test]
fn an_upgrade_takes_everything_along_and_one_that_fails_is_left_again() {
    let lamp = Lamp::start();
    lamp.ssh("user add anna").expect_done();
    let mut phone = Phone::start(&lamp.machine);

    // Fetched, with the connection breaking off on the way.
    let server = Server::start(bundle::whole());
    let line = format!("utils system upgrade install url http://10.0.2.2:{}/l.raucb", server.port);
    let told = lamp.ssh(&line);
    assert!(told.code == Some(1) && told.err.contains("broke off"), "{told:?}");
    let told = lamp.ssh(&line);
    assert_eq!(told.code, Some(0), "{told:?}");
    let asked = server.asked();
    assert!(asked[0].is_none() && asked[1].is_some_and(|from| from > 0), "{asked:?}");

    lamp.switch("B");
    assert!(lamp.is("B", "is_running") && lamp.is("A", "is_installed"));
    let shown = lamp.ssh("show upgrade").expect_done();
    assert!(shown.contains("A to B") && shown.contains("SIP was not answered for"), "{shown}");
    lamp.ssh("user add berta").expect_done();
    phone.is_known();

    // Sent over SSH, into the slot that was flashed: it makes the next key known.
    let dir = tempfile::tempdir().expect("a directory");
    let next = Signer::stranger(dir.path());
    let rotating = bundle::release(dir.path(), &Signer::ours(), "0.1.1", |root, _| {
        let keyring = root.join("usr/lib/lamplight/keyring.pem");
        let known = fs::read_to_string(&keyring).expect("a keyring");
        fs::write(keyring, format!("{known}{}", next.certificate())).expect("a keyring");
    });
    lamp.machine.ssh_input(&lamp.key, "file put upload next.raucb", &rotating).expect_done();
    lamp.ssh("utils system upgrade install upload next.raucb").expect_done();
    lamp.switch("A");
    let version = lamp.ssh("show version active").expect_done();
    assert!(version.contains("0.1.1"), "{version}");
    lamp.ssh("show user berta").expect_done();
    phone.is_known();

    // Signed with the next key: a version whose presence server does not start.
    let broken = bundle::release(dir.path(), &next, "0.2.0", |root, _| {
        let unit = root.join("usr/lib/systemd/system/presenced.service");
        let text = fs::read_to_string(&unit).expect("a unit");
        let broken = text.replace("--config /run/platformd/presenced.toml", "--config /absent");
        fs::write(unit, broken).expect("a unit");
    });
    fails_and_is_left(&lamp, &broken, "0.2.0");
    let failure = lamp.slot("B")["failure"].clone();
    assert!(failure["lines"].to_string().contains("/absent"), "{failure}");
    lamp.ssh("user add clara").expect_done();
    phone.is_known();

    // One whose kernel panics.
    let panics = bundle::release(dir.path(), &next, "0.3.0", |_, boot| {
        let settings = "set cmdline=\"rdinit=/none panic=1 console=ttyS0\"\n";
        fs::write(boot.join("slot.cfg"), settings).expect("a file");
    });
    fails_and_is_left(&lamp, &panics, "0.3.0");
    for user in ["anna", "berta", "clara"] {
        lamp.ssh(&format!("show user {user}")).expect_done();
    }
}

#[test]
fn the_power_goes_out_while_it_installs_or_switches() {
    let cuts = std::env::var("LAMPLIGHT_CUTS").ok().and_then(|text| text.parse().ok());
    let cuts: u32 = cuts.unwrap_or(CUTS);
    let mut lamp = Lamp::start();
    lamp.ssh("user add anna").expect_done();
    let whole = bundle::whole();
    for cut in 0..cuts {
        lamp.ssh(&format!("user add cut{cut}")).expect_done();
        let is_switch = cut % 2 == 1;
        let (line, spread) = if is_switch {
            lamp.install(&whole).expect_done();
            ("utils system switch-version force", 431)
        } else {
            lamp.machine.put_on_disk("lamp.raucb", &whole);
            ("utils system upgrade install disk", 613)
        };
        let mut asked = lamp.machine.ssh_session(&lamp.key);
        asked.arg(line).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut asked = asked.spawn().expect("ssh");
        std::thread::park_timeout(Duration::from_millis(spread * u64::from(1 + cut % 20)));
        lamp.machine.cut();
        let _ = asked.kill();
        let _ = asked.wait();
        lamp.machine.switch_on();
        until_serving(&lamp.machine);
        for user in ["anna".to_owned(), format!("cut{cut}")] {
            lamp.ssh(&format!("show user {user}")).expect_done();
        }
        let running: Vec<_> =
            ["A", "B"].into_iter().filter(|name| lamp.is(name, "is_running")).collect();
        assert_eq!(running.len(), 1, "cut {cut}");
        eprintln!("cut {cut}: slot {} runs", running[0]);
    }
    // Nothing is left behind that keeps it from being upgraded.
    lamp.install(&whole).expect_done();
}

/// Installs into B, switches, and finds A again after three starts.
fn fails_and_is_left(lamp: &Lamp, bundle: &[u8], version: &str) {
    lamp.machine.put_on_disk("lamp.raucb", bundle);
    while lamp.machine.serial.has_printed("Lamplight: slot") {}
    lamp.ssh("utils system upgrade install disk switch force").expect_done();
    for attempt in 1..=3 {
        let line = format!("Lamplight: slot B, attempt {attempt}");
        lamp.machine.serial.expect_through_panic(&line, START_WITHIN * 2);
    }
    lamp.machine.serial.expect_through_panic("Lamplight: slot A, attempt 1", START_WITHIN * 2);
    until_serving(&lamp.machine);
    let deadline = std::time::Instant::now() + START_WITHIN;
    while lamp.slot("B")["failure"].is_null() {
        assert!(std::time::Instant::now() < deadline, "the failure is not noted");
    }
    let failure = lamp.slot("B")["failure"].clone();
    assert_eq!((&failure["version"], &failure["starts"]), (&version.into(), &3.into()));
    let shown = lamp.ssh("show upgrade").expect_done();
    assert!(shown.contains("Slot B was left on") && shown.contains("slot A runs again"), "{shown}");
}

/// A phone that has registered, published and subscribed.
struct Phone {
    client: Client,
    etag: String,
    subscription: Subscription,
}

impl Phone {
    fn start(machine: &Machine) -> Self {
        let server = Ports::at(machine.ports.sip);
        let client = Client::new(Via::Udp, server, "example.test", "anna", "");
        // As the machine reaches it.
        let contact = client.contact().replace("127.0.0.1", "10.0.2.2");
        let registration = client.registration().set("Contact", format!("<{contact}>"));
        client.request(registration.set("Expires", 3_600)).expect_status(200);
        let etag = client.publish(&pidf::open(&client.aor(), "at work"));
        let subscription = client.subscription(&client.aor());
        let subscription = subscription.set("Contact", format!("<{contact}>"));
        let subscription = client.subscribe_with(subscription.set("Expires", 3_600));
        Self { client, etag, subscription }
    }

    /// Whether everything is as it was, without beginning anew.
    fn is_known(&mut self) {
        let asked = self.client.registration().without("Contact").without("Expires");
        let answer = self.client.request(asked).expect_status(200);
        assert!(answer.expect_header("Contact").contains("10.0.2.2"), "the registration is gone");
        let answer = self.client.republish(&self.etag, None, 3_600).expect_status(200);
        self.etag = answer.expect_header("SIP-ETag").to_owned();
        self.subscription.refresh(&self.client, 3_600).expect_status(200);
    }
}

/// An HTTP server that breaks off the first time, and goes on where it is asked to.
struct Server {
    port: u16,
    thread: JoinHandle<Vec<Option<usize>>>,
}

impl Server {
    fn start(content: Vec<u8>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let thread = std::thread::spawn(move || {
            let mut asked = Vec::new();
            while asked.len() < 2 {
                let (mut stream, _) = listener.accept().expect("a client");
                let mut from = None;
                for line in BufReader::new(&stream).lines() {
                    let line = line.expect("a line").to_lowercase();
                    if let Some(range) = line.strip_prefix("range: bytes=") {
                        from = range.strip_suffix('-').and_then(|from| from.parse().ok());
                    }
                    if line.is_empty() {
                        break;
                    }
                }
                let start = from.unwrap_or(0);
                let status = from.map_or_else(
                    || "200 OK\r\n".to_owned(),
                    |from| {
                        let (last, size) = (content.len() - 1, content.len());
                        format!(
                            "206 Partial Content\r\nContent-Range: bytes {from}-{last}/{size}\r\n"
                        )
                    },
                );
                let head = format!(
                    "HTTP/1.1 {status}ETag: \"one\"\r\nContent-Length: {}\r\n\r\n",
                    content.len() - start
                );
                let end = if asked.is_empty() { content.len() / 2 } else { content.len() };
                asked.push(from);
                stream.write_all(head.as_bytes()).expect("a client");
                stream.write_all(&content[start..end]).expect("a client");
                stream.shutdown(std::net::Shutdown::Write).expect("a client");
                // Until whoever asked has gone.
                let _ = stream.read_to_end(&mut Vec::new());
            }
            asked
        });
        Self { port, thread }
    }

    /// From where it was asked, time after time.
    fn asked(self) -> Vec<Option<usize>> {
        self.thread.join().expect("a server")
    }
}
