//! HTTPS: `/healthz`, `/metrics` and the API, over TLS with the node's certificate.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Extension, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use serde::Serialize;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

use crate::alarm::AlarmKind;
use crate::api::{self, Api};
use crate::certificate::Tls;
use crate::node::Node;
use crate::xcap;

/// Connections at one time.
const CONNECTIONS: usize = 256;
/// How long a handshake may take.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(8);
/// How long a client may take to send a request's head.
const HEAD_WITHIN: Duration = Duration::from_secs(10);
/// How long one connection may last, busy or idle.
const CONNECTION_LASTS: Duration = Duration::from_secs(600);
/// Bytes that a connection buffers.
const BUFFER_BYTES: usize = 64 * 1024;
/// Pause after the machine refused to accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Where a request came from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// How the node is, for load balancers and for whoever decides on an upgrade.
#[derive(Debug, Serialize, PartialEq, Eq)]
struct Health {
    status: &'static str,
    reasons: Vec<String>,
}

/// Serves for ever.
pub(crate) async fn serve(listener: TcpListener, tls: Tls, node: Node) {
    let api = Api::new(node.clone());
    let router = Router::new()
        .route("/healthz", get(healthz))
        .route("/metrics", get(metrics))
        .with_state(node)
        .merge(api::routes(api.clone()))
        .merge(xcap::routes(api));
    let connections = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        // The kernel keeps who comes while all places are taken.
        let Ok(place) = Arc::clone(&connections).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, peer)) => {
                let acceptor = TlsAcceptor::from(tls.http_server());
                let router = router.clone().layer(Extension(Peer(peer)));
                tokio::spawn(async move {
                    let _place = place;
                    let connection = Box::pin(serve_connection(stream, peer, acceptor, router));
                    if tokio::time::timeout(CONNECTION_LASTS, connection).await.is_err() {
                        tracing::debug!(%peer, "an HTTP connection lasted too long");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "an HTTP connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve_connection(
    stream: TcpStream,
    peer: SocketAddr,
    acceptor: TlsAcceptor,
    router: Router,
) {
    let handshake = acceptor.accept(stream);
    let stream = match tokio::time::timeout(HANDSHAKE_WITHIN, handshake).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::debug!(%peer, %error, "a TLS handshake failed"),
        Err(_) => return tracing::debug!(%peer, "a TLS handshake took too long"),
    };
    let outcome = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .max_buf_size(BUFFER_BYTES)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
        .await;
    if let Err(error) = outcome {
        tracing::debug!(%peer, %error, "an HTTP connection ended");
    }
}

async fn healthz(State(node): State<Node>) -> Result<Response, Infallible> {
    let answers = node.observe().await.map(drop).map_err(|error| error.to_string());
    let standing = node.alarms.standing();
    let (status, health) = health(answers, &standing);
    Ok((status, Json(health)).into_response())
}

fn health(answers: Result<(), String>, standing: &[AlarmKind]) -> (StatusCode, Health) {
    let mut reasons: Vec<_> = standing.iter().map(|kind| kind.name().to_owned()).collect();
    let is_down = answers.is_err()
        || standing.contains(&AlarmKind::StoreFailed)
        || standing.contains(&AlarmKind::HardwareTooSmall);
    reasons.extend(answers.err());
    let (code, status) = if is_down {
        (StatusCode::SERVICE_UNAVAILABLE, "failing")
    } else if reasons.is_empty() {
        (StatusCode::OK, "ok")
    } else {
        (StatusCode::OK, "degraded")
    };
    (code, Health { status, reasons })
}

async fn metrics(State(node): State<Node>) -> Response {
    match node.reading().await {
        Ok(reading) => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(header::CONTENT_TYPE, kind)], reading.to_text()).into_response()
        }
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, error.to_string()).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_is_200_while_served_and_503_when_not() {
        assert_eq!(health(Ok(()), &[]).0, StatusCode::OK);
        let (code, body) = health(Ok(()), &[AlarmKind::StoreSlow]);
        assert_eq!((code, body.status), (StatusCode::OK, "degraded"));
        let (code, body) = health(Ok(()), &[AlarmKind::StoreFailed]);
        assert_eq!(code, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(body.reasons, ["store-failed"]);
        assert_eq!(health(Err("stuck".to_owned()), &[]).0, StatusCode::SERVICE_UNAVAILABLE);
    }
}
