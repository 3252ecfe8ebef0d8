//! What the tests of machines share: answers to the first start's questions, waiting until it
//! serves.

use std::io::{self, Read as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use lamplight_tests::http;
use lamplight_tests::machine::ssh::Key;
use lamplight_tests::machine::{Machine, Ports, START_WITHIN};

/// The administrator's password in these tests.
pub(crate) const PASSWORD: &str = "correct horse battery";

/// How long one look may take whether it serves: QEMU accepts for a machine that is not there yet.
const LOOK: Duration = Duration::from_secs(5);

/// What the boot loader prints.
const STARTING: &str = "Lamplight: slot A, attempt";

/// Answers that let an administrator in by password and by key.
pub(crate) fn answers(key: &Key) -> String {
    format!(
        "domain = \"example.test\"\nhost-name = \"lamp1\"\npassword = \"{PASSWORD}\"\n\
         ssh-keys = [\"{}\"]\ntime-zone = \"Europe/Berlin\"\n",
        key.public()
    )
}

/// Waits until the presence server answers over HTTPS, and sshd after it.
#[track_caller]
pub(crate) fn until_serving(machine: &Machine) {
    let deadline = Instant::now() + START_WITHIN;
    let server: SocketAddr = Ports::at(machine.ports.https);
    let ssh = Ports::at(machine.ports.ssh);
    while !http::try_get(server, "/healthz", LOOK).is_ok_and(|answer| answer.status == 200)
        || !greets(ssh).is_ok_and(|is_there| is_there)
    {
        assert!(Instant::now() < deadline, "it does not serve:\n{}", machine.serial.tail(3_000));
        std::thread::park_timeout(Duration::from_millis(500));
    }
}

/// Restarts the machine by the CLI, and waits until it serves again.
#[track_caller]
pub(crate) fn restart(machine: &Machine, key: &Key) {
    // Whatever was printed so far is of the earlier start.
    while machine.serial.has_printed(STARTING) {}
    machine.ssh(key, "utils system restart force").expect_done();
    machine.serial.expect(STARTING, START_WITHIN);
    until_serving(machine);
}

/// Whether an SSH server says who it is.
fn greets(server: SocketAddr) -> io::Result<bool> {
    let mut stream = TcpStream::connect(server)?;
    stream.set_read_timeout(Some(LOOK))?;
    let mut greeting = [0; 4];
    stream.read_exact(&mut greeting)?;
    Ok(&greeting == b"SSH-")
}
