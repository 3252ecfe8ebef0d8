//! Backups: made, left elsewhere, opened by another program, and put back on another machine.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use expectrl::Expect as _;
use lamplight_tests::machine::ssh::Key;
use lamplight_tests::machine::{Hardware, Machine, START_WITHIN, run};
use lamplight_tests::node::member;
use lamplight_tests::program::{free_port, installed};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::start::{answers, until_serving};

const PASSPHRASE: &str = "five words are long enough";
/// More than the smaller machine serves.
const PEOPLE: usize = 520;
const SERVED: usize = 500;

#[test]
fn a_backup_is_left_elsewhere_and_restored_on_a_smaller_machine() {
    let dir = tempfile::tempdir().expect("a directory");
    let backup = make_and_leave(dir.path());
    opens_elsewhere(&backup, dir.path());
    restores(&fs::read(&backup).expect("a backup"));
}

/// Makes backups on one machine, and leaves them everywhere; gives one of them.
fn make_and_leave(dir: &Path) -> PathBuf {
    let key = Key::new();
    let machine = Machine::start(Hardware::default(), Some(&answers(&key)));
    until_serving(&machine);
    let csv: String = (0..PEOPLE).map(|i| format!("user{i:03},User {i}\n")).collect();
    let csv = format!("id,display-name\n{csv}");
    machine.ssh_input(&key, "user import -", csv.as_bytes()).expect_done();
    machine.ssh(&key, "set network hostname lighthouse").expect_done();

    let told = machine.ssh(&key, "utils backup create").expect_refused();
    assert!(told.contains("no passphrase"), "{told}");
    let told = machine.ssh_input(&key, "set backup passphrase", b"short\n").expect_refused();
    assert!(told.contains("12 characters"), "{told}");
    let line = format!("{PASSPHRASE}\n");
    machine.ssh_input(&key, "set backup passphrase", line.as_bytes()).expect_done();
    machine.ssh(&key, "utils backup create").expect_done();
    let listed = machine.ssh(&key, "file list backup --json").json();
    let files = member(&listed, "files").and_then(|files| files.as_array()).expect("files");
    let name = files[0]["name"].as_str().expect("a name").to_owned();
    assert!(name.starts_with("lamplight-lighthouse-"), "{name}");
    let backup = dir.join(&name);
    let content = machine.ssh_octets(&key, &format!("file get backup {name}"));
    fs::write(&backup, content).expect("a file");

    // Over SFTP, by the machine's own key, every day; one is kept.
    let server = Sftp::start(&machine.ssh(&key, "show ssh client key").expect_done());
    let now = Command::new("date")
        .env("TZ", "Europe/Berlin")
        .args(["-d", "+2 minutes", "+%H:%M"])
        .output()
        .expect("date");
    let at = String::from_utf8(now.stdout).expect("a time");
    let url = server.url();
    machine.ssh(&key, &format!("utils backup create url {url}")).expect_done();
    let first = server.files();
    assert_eq!(first.len(), 1, "{first:?}");
    let line = format!("utils backup schedule {} url {url} keep 1", at.trim());
    machine.ssh(&key, &line).expect_done();

    // By HTTPS, where the server's certificate is trusted.
    let (certificate, put) = take_a_file(dir);
    let url = format!("https://lamp@10.0.2.2:{}/backups", put.port);
    let create = format!("utils backup create url {url} password");
    let told = machine.ssh_input(&key, &create, b"sesame\n").expect_refused();
    assert!(told.contains("set trust"), "{told}");
    machine.ssh_input(&key, "set trust", &certificate).expect_done();
    machine.ssh_input(&key, &create, b"sesame\n").expect_done();
    let (head, body) = put.thread.join().expect("a server");
    assert!(head.starts_with("PUT /backups/lamplight-lighthouse-"), "{head}");
    // lamp:sesame
    assert!(head.to_lowercase().contains("authorization: basic bgftcdpzzxnhbwu="), "{head}");
    assert!(body.starts_with(b"age-encryption.org/v1"));

    let deadline = Instant::now() + START_WITHIN;
    while server.files() == first {
        assert!(Instant::now() < deadline, "{:?}", machine.ssh(&key, "show backup"));
        std::thread::park_timeout(Duration::from_secs(1));
    }
    let shown = machine.ssh(&key, "show backup").expect_done();
    assert!(shown.contains("every day at"), "{shown}");
    while server.files().len() != 1 {
        assert!(Instant::now() < deadline, "the older one stays: {:?}", server.files());
        std::thread::park_timeout(Duration::from_secs(1));
    }
    backup
}

/// The program that others wrote for this format opens it.
fn opens_elsewhere(backup: &Path, dir: &Path) {
    let opened = dir.join("opened.zst");
    let mut age = Command::new(installed("age", "age"));
    age.arg("-d").arg("-o").arg(&opened).arg(backup);
    let mut age = expectrl::Session::spawn(age).expect("age");
    age.set_expect_timeout(Some(START_WITHIN));
    age.expect("passphrase").expect("a question");
    age.send_line(PASSPHRASE).expect("age");
    age.expect(expectrl::Eof).expect("its end");
    let listed = Command::new("tar")
        .args(["--use-compress-program", "zstd", "-tf"])
        .arg(&opened)
        .output()
        .expect("tar");
    let listed = String::from_utf8(listed.stdout).expect("names");
    for name in ["backup.json", "settings.toml", "presence/snapshot", "presence/node.key"] {
        assert!(listed.lines().any(|line| line == name), "{name}: {listed}");
    }
}

/// Restores on a machine that serves fewer, and goes back to the first day there.
fn restores(backup: &[u8]) {
    let key = Key::new();
    let hardware = Hardware {
        smbios: vec!["type=1,manufacturer=HP,product=ProLiant DL320 G5".to_owned()],
        ..Hardware::default()
    };
    let machine = Machine::start(hardware, Some(&answers(&key)));
    until_serving(&machine);
    machine.ssh(&key, "user add fresh").expect_done();
    let restore = |name: &str, content: &[u8], passphrase: &str| {
        machine.ssh_input(&key, &format!("file put upload {name}"), content).expect_done();
        let line = format!("utils backup restore upload {name} force");
        machine.ssh_input(&key, &line, format!("{passphrase}\n").as_bytes())
    };
    let mut damaged = backup.to_vec();
    damaged[backup.len() / 2] ^= 1;
    for (what, content, passphrase, reason) in [
        ("another passphrase", backup, "six words are not the ones", "passphrase"),
        ("a damaged one", &damaged[..], PASSPHRASE, "cannot be read"),
        ("no backup", &b"hello"[..], PASSPHRASE, "no backup"),
    ] {
        let told = restore("wrong.age", content, passphrase).expect_refused();
        assert!(told.contains(reason), "{what}: {told}");
        machine.ssh(&key, "show user fresh").expect_done();
    }
    let told = restore("right.age", backup, PASSPHRASE).expect_done();
    assert!(told.contains("of lighthouse (example.test)"), "{told}");
    assert!(told.contains(&format!("user{SERVED:03}")), "the overflow is not named: {told}");
    let users = machine.ssh(&key, "show users --json").json();
    assert!(!users.to_string().contains("fresh"), "{users}");
    machine.ssh(&key, "show user user000").expect_done();
    let last = format!("show user user{:03}", PEOPLE - 1);
    assert!(machine.ssh(&key, &last).expect_done().contains("no"), "one too many is served");
    let alarms = machine.ssh(&key, "show alarms").expect_done();
    assert!(!alarms.contains("snapshot"), "{alarms}");
    let shown = machine.ssh(&key, "show network").expect_done();
    assert!(shown.contains("lighthouse"), "{shown}");

    // The first day again: who is asked what is to be is asked anew.
    while machine.serial.has_printed("Lamplight: slot") {}
    machine.ssh(&key, "utils system factory-reset force").expect_done();
    machine.serial.expect("Lamplight: slot A, attempt", START_WITHIN);
    until_serving(&machine);
    let told = machine.ssh(&key, "show user user000").expect_refused();
    assert!(told.contains("user000"), "{told}");
    let shown = machine.ssh(&key, "show backup").expect_done();
    assert!(shown.contains("not set"), "{shown}");
}

/// OpenSSH's server, for files only.
struct Sftp {
    child: Child,
    dir: tempfile::TempDir,
    port: u16,
    user: String,
}

impl Sftp {
    fn start(public_key: &str) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let at = |name: &str| dir.path().join(name);
        run(Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-f"])
            .arg(at("host")));
        fs::write(at("keys"), public_key).expect("a file");
        fs::create_dir(at("backups")).expect("a directory");
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("a directory");
        // Where sshd keeps nothing, as its package would make it.
        let _ = fs::create_dir_all("/run/sshd");
        let port = free_port();
        let config = format!(
            "ListenAddress 127.0.0.1:{port}\nHostKey {}\nAuthorizedKeysFile {}\nStrictModes no\n\
             PasswordAuthentication no\nPermitRootLogin yes\nPidFile none\n\
             Subsystem sftp internal-sftp\n",
            at("host").display(),
            at("keys").display()
        );
        fs::write(at("config"), config).expect("a file");
        let child = Command::new(installed("sshd", "openssh-server"))
            .arg("-D")
            .arg("-f")
            .arg(at("config"))
            .stderr(Stdio::null())
            .spawn()
            .expect("sshd");
        let user = Command::new("id").arg("-un").output().expect("id");
        let user = String::from_utf8(user.stdout).expect("a name").trim().to_owned();
        let deadline = Instant::now() + START_WITHIN;
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "sshd does not start");
            std::thread::park_timeout(Duration::from_millis(50));
        }
        Self { child, dir, port, user }
    }

    fn backups(&self) -> PathBuf {
        self.dir.path().join("backups")
    }

    fn url(&self) -> String {
        format!("sftp://{}@10.0.2.2:{}{}", self.user, self.port, self.backups().display())
    }

    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.backups()).expect("a directory");
        let mut names: Vec<String> = entries
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .filter(|name| name.ends_with(".age"))
            .collect();
        names.sort();
        names
    }
}

impl Drop for Sftp {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A web server that takes one file: its port, and what it was sent.
struct Put {
    port: u16,
    thread: JoinHandle<(String, Vec<u8>)>,
}

fn take_a_file(dir: &Path) -> (Vec<u8>, Put) {
    let (key, certificate) = (dir.join("web.key"), dir.join("web.crt"));
    run(Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"])
        .args(["-days", "2", "-subj", "/CN=backups", "-addext", "subjectAltName=IP:10.0.2.2"])
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&certificate));
    let pem = fs::read(&certificate).expect("a certificate");
    let chain = vec![CertificateDer::from_pem_slice(&pem).expect("a certificate")];
    let key = PrivateKeyDer::from_pem_file(&key).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("a certificate");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let thread = std::thread::spawn(move || {
        let (stream, _) = listener.accept().expect("a client");
        let connection = rustls::ServerConnection::new(Arc::new(config)).expect("a connection");
        let mut stream = rustls::StreamOwned::new(connection, stream);
        let mut got = Vec::new();
        let mut octet = [0];
        while !got.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut octet).expect("a head");
            got.push(octet[0]);
        }
        let head = String::from_utf8(got).expect("text");
        let length = head
            .lines()
            .find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok())
            .expect("a length");
        let mut body = vec![0; length];
        stream.read_exact(&mut body).expect("a body");
        let answer = b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n";
        stream.write_all(answer).expect("a client");
        stream.flush().expect("a client");
        // Until whoever asked has gone.
        let _ = stream.read(&mut octet);
        (head, body)
    });
    (pem, Put { port, thread })
}
