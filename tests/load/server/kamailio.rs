//! The peer: Debian's Kamailio with its presence modules.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::net::UdpSocket;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;

use super::{Server, Setup};
use crate::message;
use crate::network::Transport;

/// Its program, as Debian installs it.
const PROGRAM: &str = "/usr/sbin/kamailio";

/// Whether it can be measured here.
pub(super) fn is_installed() -> bool {
    Path::new(PROGRAM).exists()
}

/// Starts it and waits until it answers.
pub(super) fn start(dir: TempDir, setup: &Setup) -> Result<Server, Box<dyn Error>> {
    // It cannot choose a port by itself, so it gets one that was free a moment before.
    let address = UdpSocket::bind("127.0.0.1:0")?.local_addr()?;
    let config = dir.path().join("kamailio.cfg");
    fs::write(&config, include_str!("kamailio.cfg").replace("ADDRESS", &address.to_string()))?;
    let mut command = setup.command(Path::new(PROGRAM));
    // Shared memory is taken from the system as it is used: too much costs nothing.
    let megabytes = (1_024 + setup.subscriptions / 128).to_string();
    // Its usual allocator, qm, searches long lists: with fm the whole server takes half the time.
    let allocator = setup.peer_allocator.as_str();
    command.args(["-DD", "-E", "-x", allocator, "-X", allocator, "-m", &megabytes, "-M", "64"]);
    command.arg("-f").arg(config).arg("-Y").arg(dir.path()).arg("-w").arg(dir.path());
    let log = fs::File::create(dir.path().join("errors"))?;
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn()?;
    let addresses = BTreeMap::from([(Transport::Udp.name().to_owned(), address)]);
    let mut server = Server::new(setup, child, addresses, dir);
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.connect(address)?;
    socket.set_read_timeout(Some(Duration::from_millis(200)))?;
    let text = message::options(address, socket.local_addr()?, 1);
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
    let errors = fs::read_to_string(server.dir.path().join("errors")).unwrap_or_default();
    Err(format!("Kamailio did not become ready: {errors}").into())
}
