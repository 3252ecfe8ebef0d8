//! What the tests of machines share: answers to the first start's questions, waiting until it
//! serves.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use lamplight_tests::http;
use lamplight_tests::machine::ssh::Key;
use lamplight_tests::machine::{Machine, Ports, START_WITHIN};

/// The administrator's password in these tests.
pub(crate) const PASSWORD: &str = "correct horse battery";

/// Answers that let an administrator in by password and by key.
pub(crate) fn answers(key: &Key) -> String {
    format!(
        "domain = \"example.test\"\nhost-name = \"lamp1\"\npassword = \"{PASSWORD}\"\n\
         ssh-keys = [\"{}\"]\ntime-zone = \"Europe/Berlin\"\n",
        key.public()
    )
}

/// Waits until the presence server answers over HTTPS.
#[track_caller]
pub(crate) fn until_serving(machine: &Machine) {
    let deadline = Instant::now() + START_WITHIN;
    let server: SocketAddr = Ports::at(machine.ports.https);
    while !std::panic::catch_unwind(|| http::get(server, "/healthz").status == 200).unwrap_or(false)
    {
        assert!(Instant::now() < deadline, "it does not serve:\n{}", machine.serial.tail(3_000));
        std::thread::park_timeout(Duration::from_millis(500));
    }
}
