//! What the service manager and peers see of the process: sd_notify, signals, certificate.

use std::os::unix::net::UnixDatagram;

use lamplight_tests::node::{Node, Setup};
use lamplight_tests::wire::tls::certificate_of;
use lamplight_tests::wire::{PATIENCE, Via};

#[test]
fn the_service_manager_is_told_ready_and_stopping() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("notify");
    let socket = UnixDatagram::bind(&path).expect("a socket");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let environment = vec![("NOTIFY_SOCKET".to_owned(), path.display().to_string())];
    let mut node = Setup { environment, ..Setup::default() }.start();
    let wait_for = |wanted: &str| {
        let mut heard = String::new();
        let mut buffer = [0; 4096];
        while !heard.contains(wanted) {
            let length = socket.recv(&mut buffer).unwrap_or_else(|e| {
                panic!("no {wanted} from the daemon, only {heard:?}: {e}");
            });
            heard.push_str(&String::from_utf8_lossy(&buffer[..length]));
            heard.push('\n');
        }
    };
    wait_for("READY=1");
    assert!(node.terminate().success());
    wait_for("STOPPING=1");
}

#[test]
fn the_certificate_stays_the_same_over_restarts() {
    let mut node = Node::start_new();
    let before = certificate_of(node.ready.address("tls"));
    assert_eq!(certificate_of(node.ready.address("http")), before, "one certificate for both");
    node.crash_and_restart();
    assert_eq!(certificate_of(node.ready.address("tls")), before);
}

#[test]
fn sigterm_is_obeyed_while_peers_are_connected() {
    let mut node = Setup::default().trusting().start();
    let [alice] = node.clients(["alice"]);
    let tcp = node.client_over(Via::Tcp, "alice");
    let tls = node.client_over(Via::Tls, "alice");
    for client in [&alice, &tcp, &tls] {
        client.register();
        client.subscribe(&alice.aor()).notify(client);
    }
    let silent = std::net::TcpStream::connect(node.ready.address("tls")).expect("a connection");
    assert!(node.terminate().success());
    tcp.expect_closed();
    tls.expect_closed();
    drop(silent);
}
