//! SIP over TLS: the handshakes, each within a time limit (RFC 3261 §26.2.1, RFC 5922).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ServerConfig};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

/// How long a handshake may take.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(8);

/// The peer's handshake with us.
pub(crate) async fn accept(
    stream: TcpStream,
    config: Arc<ServerConfig>,
    peer: SocketAddr,
) -> Option<Box<server::TlsStream<TcpStream>>> {
    let handshake = Box::pin(TlsAcceptor::from(config).accept(stream));
    finished(tokio::time::timeout(HANDSHAKE_WITHIN, handshake).await, peer)
}

/// Our handshake with a hop, whose certificate must be for its address and by somebody we trust.
pub(crate) async fn connect(
    stream: TcpStream,
    config: Arc<ClientConfig>,
    peer: SocketAddr,
) -> Option<Box<client::TlsStream<TcpStream>>> {
    let name = ServerName::IpAddress(peer.ip().into());
    let handshake = Box::pin(TlsConnector::from(config).connect(name, stream));
    finished(tokio::time::timeout(HANDSHAKE_WITHIN, handshake).await, peer)
}

fn finished<S>(
    outcome: Result<std::io::Result<S>, tokio::time::error::Elapsed>,
    peer: SocketAddr,
) -> Option<Box<S>> {
    match outcome {
        // Its state is large: boxed, a task holds it once however often it is handed on.
        Ok(Ok(stream)) => Some(Box::new(stream)),
        Ok(Err(error)) => {
            tracing::debug!(%peer, %error, "a TLS handshake failed");
            None
        }
        Err(_) => {
            tracing::debug!(%peer, "a TLS handshake took too long");
            None
        }
    }
}
