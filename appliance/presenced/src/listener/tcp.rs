//! SIP over TCP (RFC 3261 §18): accepting, and connecting to a hop that has no flow yet.

use std::io;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use sip::flow::{ConnectionId, Flow, Hop, Transport};
use sip::parse::Limits;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc};

use crate::admission::Admission;
use crate::certificate::Tls;
use crate::flow::{self, ConnectionIds, FlowHandle, FlowQueue};
use crate::listener::{tls, websocket};
use crate::server_task::Input;

/// Connections that the kernel may keep for us to accept.
const ACCEPT_BACKLOG: i32 = 1_024;
/// How long a connection that we make may take, TLS included.
const CONNECT_WITHIN: Duration = Duration::from_secs(8);
/// Connections that may be in the making at one time.
const CONNECTING: usize = 256;
/// Pause after the machine refused to accept: it is out of something.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What every stream connection needs.
#[derive(Debug, Clone)]
pub(crate) struct Streams {
    /// The server's inputs.
    pub(crate) inputs: mpsc::Sender<Input>,
    /// How many there may be.
    pub(crate) admission: Admission,
    /// Their numbers.
    pub(crate) ids: ConnectionIds,
    /// TLS both ways.
    pub(crate) tls: Tls,
    /// What a message may have.
    pub(crate) limits: Limits,
}

/// Binds a listening socket; call within the runtime that is to serve it.
pub(crate) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(ACCEPT_BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Accepts connections for ever.
pub(crate) async fn accept(listener: TcpListener, transport: Transport, streams: Streams) {
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Some(place) = streams.admission.admit(peer.ip()) else {
            tracing::debug!(%peer, "a connection was refused: too many are open");
            continue;
        };
        let Ok(local) = prepare(&stream) else { continue };
        let flow = Flow { transport, local, peer, connection: streams.ids.next() };
        let streams = streams.clone();
        tokio::spawn(async move {
            let _place = place;
            contained(pin!(serve_accepted(stream, flow, &streams))).await;
            let _ = streams.inputs.send(Input::Closed(flow.connection)).await;
        });
    }
}

async fn serve_accepted(stream: TcpStream, flow: Flow, streams: &Streams) {
    let stream = if flow.transport.is_secure() {
        let config = streams.tls.sip_server();
        let Some(stream) = tls::accept(stream, config, flow.peer).await else { return };
        if flow.transport == Transport::Tls {
            return serve_open(stream, flow, streams).await;
        }
        // Boxed: what a WebSocket needs would make every connection's task larger.
        return Box::pin(websocket::serve(stream, flow, streams)).await;
    } else {
        stream
    };
    if flow.transport == Transport::Ws {
        Box::pin(websocket::serve(stream, flow, streams)).await;
    } else {
        serve_open(stream, flow, streams).await;
    }
}

async fn serve_open<S>(stream: S, flow: Flow, streams: &Streams)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let (handle, mut queue) = flow::queue();
    if streams.inputs.send(Input::Opened { flow, handle }).await.is_ok() {
        flow::serve(stream, flow, &mut queue, streams.limits, &streams.inputs).await;
    }
}

/// Makes connections to hops.
#[derive(Debug, Clone)]
pub(crate) struct Connector {
    streams: Streams,
    connecting: Arc<Semaphore>,
    runtime: Handle,
}

impl Connector {
    /// Connections that it makes live on `runtime`.
    pub(crate) fn new(streams: Streams, runtime: Handle) -> Self {
        Self { streams, connecting: Arc::new(Semaphore::new(CONNECTING)), runtime }
    }

    /// Begins to connect; what is queued meanwhile is sent once connected, or its failure is
    /// reported. `None` when too much is going on already.
    pub(crate) fn connect(&self, hop: Hop) -> Option<(ConnectionId, FlowHandle)> {
        let place = self.streams.admission.admit(hop.address.ip())?;
        let connecting = Arc::clone(&self.connecting).try_acquire_owned().ok()?;
        let connection = self.streams.ids.next();
        let (handle, mut queue) = flow::queue();
        let streams = self.streams.clone();
        self.runtime.spawn(async move {
            let _place = place;
            contained(pin!(async {
                let connected =
                    tokio::time::timeout(CONNECT_WITHIN, TcpStream::connect(hop.address)).await;
                match connected {
                    Ok(Ok(stream)) => {
                        run(stream, hop, connection, &mut queue, &streams, connecting).await;
                    }
                    Ok(Err(error)) => {
                        tracing::debug!(peer = %hop.address, %error, "cannot connect");
                    }
                    Err(_) => tracing::debug!(peer = %hop.address, "connecting took too long"),
                }
            }))
            .await;
            let unsent = queue.close();
            if !unsent.is_empty() {
                let _ = streams.inputs.send(Input::Unsent(unsent)).await;
            }
            let _ = streams.inputs.send(Input::Closed(connection)).await;
        });
        Some((connection, handle))
    }
}

async fn run(
    stream: TcpStream,
    hop: Hop,
    connection: ConnectionId,
    queue: &mut FlowQueue,
    streams: &Streams,
    connecting: tokio::sync::OwnedSemaphorePermit,
) {
    let Ok(local) = prepare(&stream) else { return };
    let flow = Flow { transport: hop.transport, local, peer: hop.address, connection };
    let (limits, inputs) = (streams.limits, &streams.inputs);
    if hop.transport == Transport::Tls {
        let Some(stream) = tls::connect(stream, streams.tls.sip_client(), hop.address).await else {
            return;
        };
        drop(connecting);
        flow::serve(stream, flow, queue, limits, inputs).await;
    } else {
        drop(connecting);
        flow::serve(stream, flow, queue, limits, inputs).await;
    }
}

fn prepare(stream: &TcpStream) -> io::Result<SocketAddr> {
    stream.set_nodelay(true)?;
    // Finds dead peers behind flows that are rightly silent.
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(120))
        .with_interval(Duration::from_secs(20))
        .with_retries(4);
    SockRef::from(stream).set_tcp_keepalive(&keepalive)?;
    stream.local_addr()
}

/// Lets a panic end this connection only.
async fn contained(mut work: Pin<&mut impl Future<Output = ()>>) {
    std::future::poll_fn(|context| {
        let poll = std::panic::catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context)));
        // The panic hook has logged it and raised the alarm.
        poll.unwrap_or(std::task::Poll::Ready(()))
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alarm::Alarms;
    use crate::settings::TlsSettings;

    #[tokio::test]
    async fn a_connection_s_task_is_small() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let dir = tempfile::tempdir().unwrap();
        let (inputs, _queue) = mpsc::channel(1);
        let streams = Streams {
            inputs,
            admission: Admission::new(1, 1, Vec::new(), Alarms::default()),
            ids: ConnectionIds::start(1),
            tls: Tls::load(&TlsSettings::default(), dir.path(), "example.test", &[]).unwrap(),
            limits: Limits::default(),
        };
        let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let peer = listener.local_addr().unwrap();
        let stream = TcpStream::connect(peer).await.unwrap();
        let flow =
            Flow { transport: Transport::Tcp, local: peer, peer, connection: ConnectionId(1) };
        let task = serve_accepted(stream, flow, &streams);
        assert!(size_of_val(&task) < 2560, "{}", size_of_val(&task));
    }
}
