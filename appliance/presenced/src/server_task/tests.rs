//! The server task on a loopback socket, with a disk that moves only when told to.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Instant as StdInstant;

use presence::command::UserDraft;
use presence::config::{AddressBlock, Config, Limits};
use sip::digest::Algorithm;
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;
use crate::admission::Admission;
use crate::certificate::Tls;
use crate::flow::ConnectionIds;
use crate::listener::tcp::Streams;
use crate::settings::TlsSettings;
use crate::store_task::{Batch, Disk};

/// How long what has to come may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

struct Fixture {
    inputs: mpsc::Sender<Input>,
    address: SocketAddr,
    alarms: Alarms,
    store: StoreQueue,
    /// Each message lets one write go on.
    gate: SyncSender<()>,
    task: JoinHandle<()>,
    _dir: tempfile::TempDir,
}

fn start() -> Fixture {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let dir = tempfile::tempdir().unwrap();
    let alarms = Alarms::default();
    let listener = UdpListener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local();
    let block = AddressBlock { address: Ipv4Addr::LOCALHOST.into(), prefix: 32 };
    let config = Config {
        domain: "example.test".to_owned(),
        listeners: vec![(Transport::Udp, address)],
        trusted: vec![block],
        digest: vec![Algorithm::Sha256],
        limits: Limits::default(),
        secret: [1; 32],
        product: "Lamplight".to_owned(),
    };
    let (inputs, queue) = mpsc::channel(INPUT_QUEUE);
    let store = StoreQueue::new(alarms.clone());
    let (gate, permits) = sync_channel(64);
    {
        let (store, events) = (store.clone(), inputs.clone());
        std::thread::spawn(move || {
            let write = |_: &Batch| {
                let _ = permits.recv();
                Ok::<_, Infallible>(())
            };
            let snapshot = || Ok::<_, Infallible>(true);
            store.run(Disk { write, settle: |_| Ok(false), snapshot }, &events)
        });
    }
    let streams = Streams {
        inputs: inputs.clone(),
        admission: Admission::new(8, 8, vec![block], alarms.clone()),
        ids: ConnectionIds::start(1),
        tls: Tls::load(&TlsSettings::default(), dir.path(), "example.test", &[]).unwrap(),
        limits: sip::parse::Limits::default(),
    };
    let (resolver, _) = mpsc::channel(1);
    let parts = Parts {
        server: Server::new(config, [2; 32]),
        clock: Clock::start(),
        udp: vec![listener],
        inputs: queue,
        connector: Connector::new(streams, tokio::runtime::Handle::current()),
        resolver,
        store: store.clone(),
        alarms: alarms.clone(),
    };
    let task = tokio::spawn(run(parts));
    Fixture { inputs, address, alarms, store, gate, task, _dir: dir }
}

impl Fixture {
    async fn peer(&self) -> UdpSocket {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.connect(self.address).await.unwrap();
        socket
    }

    async fn add_user(&self, id: &str) -> Answer {
        let (answer, answered) = oneshot::channel();
        let command = Command::AddUser(UserDraft { id: id.to_owned(), ..UserDraft::default() });
        self.inputs.send(Input::Command { command, answer }).await.unwrap();
        self.gate.send(()).unwrap();
        timeout(PATIENCE, answered).await.unwrap().unwrap()
    }

    async fn observe(&self) -> Observation {
        let (observer, observed) = oneshot::channel();
        self.inputs.send(Input::Observe(observer)).await.unwrap();
        timeout(PATIENCE, observed).await.unwrap().unwrap()
    }
}

fn request(method: &str, peer: &UdpSocket, more: &str) -> String {
    let from = peer.local_addr().unwrap();
    format!(
        "{method} sip:example.test SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bK{method}\r\n\
         From: <sip:anna@example.test>;tag=1\r\nTo: <sip:anna@example.test>\r\n\
         Call-ID: {from}\r\nCSeq: 1 {method}\r\nMax-Forwards: 70\r\n{more}Content-Length: 0\r\n\r\n"
    )
}

async fn status_line(peer: &UdpSocket) -> String {
    let mut buffer = vec![0; DATAGRAM_BYTES];
    let length = timeout(PATIENCE, peer.recv(&mut buffer)).await.unwrap().unwrap();
    let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
    text.lines().next().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn datagrams_are_answered_and_keep_alives_are_not() {
    let fixture = start();
    let peer = fixture.peer().await;
    for keep_alive in [b"\r\n\r\n".as_slice(), b"\0\0\0\0"] {
        peer.send(keep_alive).await.unwrap();
    }
    peer.send(request("OPTIONS", &peer, "").as_bytes()).await.unwrap();
    assert_eq!(status_line(&peer).await, "SIP/2.0 200 OK");
    let observation = fixture.observe().await;
    assert_eq!(observation.edge.datagrams_in, 3);
    assert_eq!(observation.edge.datagrams_out, 1);
    assert_eq!(observation.server.malformed_dropped, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_waits_for_the_disk_but_not_for_a_slow_one() {
    let fixture = start();
    assert!(matches!(fixture.add_user("anna").await, Answer::Done));
    let peer = fixture.peer().await;
    let contact = format!("Contact: <sip:anna@{}>\r\n", peer.local_addr().unwrap());
    let begin = StdInstant::now();
    peer.send(request("REGISTER", &peer, &contact).as_bytes()).await.unwrap();
    assert_eq!(status_line(&peer).await, "SIP/2.0 200 OK");
    assert!(begin.elapsed() >= STORE_WITHIN, "the answer did not wait for the disk");
    assert!(fixture.alarms.is_raised(AlarmKind::StoreSlow));
    assert_eq!(fixture.observe().await.edge.released_early, 1);

    fixture.gate.send(()).unwrap();
    timeout(PATIENCE, async {
        while fixture.alarms.is_raised(AlarmKind::StoreSlow) {
            fixture.observe().await;
        }
    })
    .await
    .unwrap();
    // With the disk at work again, answers come as soon as it has written.
    fixture.gate.send(()).unwrap();
    let refresh = request("REGISTER", &peer, &contact).replace("CSeq: 1", "CSeq: 2");
    let refresh = refresh.replace("z9hG4bKREGISTER", "z9hG4bKagain");
    peer.send(refresh.as_bytes()).await.unwrap();
    assert_eq!(status_line(&peer).await, "SIP/2.0 200 OK");
    assert_eq!(fixture.observe().await.edge.released_early, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopping_waits_until_everything_is_written() {
    let fixture = start();
    assert!(matches!(fixture.add_user("anna").await, Answer::Done));
    let peer = fixture.peer().await;
    let contact = format!("Contact: <sip:anna@{}>\r\n", peer.local_addr().unwrap());
    peer.send(request("REGISTER", &peer, &contact).as_bytes()).await.unwrap();
    assert_eq!(status_line(&peer).await, "SIP/2.0 200 OK");
    fixture.inputs.send(Input::Stop).await.unwrap();
    fixture.gate.send(()).unwrap();
    timeout(PATIENCE, fixture.task).await.unwrap().unwrap();
    assert_eq!(fixture.store.counters().waiting_changes, 0);
}

#[test]
fn answers_to_challenges_are_left_out_of_the_log() {
    let text =
        sending::shown(b"REGISTER sip:a SIP/2.0\r\nAuthorization: Digest response=\"1\"\r\n");
    assert_eq!(text, "REGISTER sip:a SIP/2.0\nAuthorization: (left out)");
}
