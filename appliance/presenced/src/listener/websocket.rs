//! SIP over WebSocket (RFC 7118): one SIP message a WebSocket message, and a connection that only
//! the client can make.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use presence::output::Ticket;
use sip::flow::Flow;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::{HeaderValue, StatusCode};
use tokio_tungstenite::tungstenite::protocol::{Message, WebSocketConfig};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async_with_config};

use super::tcp::Streams;
use crate::flow::{self, FlowQueue, Outgoing};
use crate::server_task::Input;

/// The subprotocol (RFC 7118 §4.1).
const SIP: &str = "sip";
/// How long the client may take to ask for the upgrade.
const UPGRADE_WITHIN: Duration = Duration::from_secs(8);
/// How long a client may take nothing of what is written to it.
const WRITE_WITHIN: Duration = Duration::from_secs(32);
/// How often a silent client is asked whether it is there.
const PING_EVERY: Duration = Duration::from_secs(60);
/// How long it may be silent.
const SILENT_FOR: Duration = Duration::from_secs(180);
/// Octets of one message.
const MESSAGE_OCTETS: usize = 256 * 1024;

/// Serves an accepted connection until it ends.
pub(crate) async fn serve<S>(stream: S, flow: Flow, streams: &Streams)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let config = WebSocketConfig::default()
        .max_message_size(Some(MESSAGE_OCTETS))
        .max_frame_size(Some(MESSAGE_OCTETS))
        .read_buffer_size(8 * 1024)
        .write_buffer_size(0);
    let upgrade = accept_hdr_async_with_config(stream, choose, Some(config));
    let mut socket = match tokio::time::timeout(UPGRADE_WITHIN, upgrade).await {
        Ok(Ok(socket)) => socket,
        Ok(Err(error)) => return tracing::debug!(%flow, %error, "a WebSocket was not opened"),
        Err(_) => return tracing::debug!(%flow, "a WebSocket took too long to open"),
    };
    let (handle, mut queue) = flow::queue();
    if streams.inputs.send(Input::Opened { flow, handle }).await.is_err() {
        return;
    }
    let mut lost = run(&mut socket, flow, &mut queue, streams).await;
    lost.extend(queue.close());
    if !lost.is_empty() {
        let _ = streams.inputs.send(Input::Unsent(lost)).await;
    }
    // The peer may be gone; saying good-bye must not take long.
    let _ = tokio::time::timeout(Duration::from_secs(1), socket.close(None)).await;
    tracing::debug!(%flow, "a WebSocket ended");
}

/// Takes the client up on the subprotocol, and refuses one that does not speak it.
#[expect(clippy::result_large_err, reason = "the library's own type of answer")]
fn choose(request: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
    let offers = request.headers().get_all("Sec-WebSocket-Protocol").iter();
    let speaks_sip = offers
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|token| token.trim().eq_ignore_ascii_case(SIP));
    if !speaks_sip {
        let what = "the WebSocket subprotocol sip is needed (RFC 7118)".to_owned();
        let mut refusal = ErrorResponse::new(Some(what));
        *refusal.status_mut() = StatusCode::BAD_REQUEST;
        return Err(refusal);
    }
    response.headers_mut().insert("Sec-WebSocket-Protocol", HeaderValue::from_static(SIP));
    Ok(response)
}

/// Carries messages both ways; the tickets of what could not be written.
async fn run<S>(
    socket: &mut WebSocketStream<S>,
    flow: Flow,
    queue: &mut FlowQueue,
    streams: &Streams,
) -> Vec<Ticket>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut heard = Instant::now();
    let mut pings = tokio::time::interval_at(heard + PING_EVERY, PING_EVERY);
    loop {
        tokio::select! {
            outgoing = queue.next() => {
                let Some(outgoing) = outgoing else { return Vec::new() };
                let ticket = outgoing.on_failure;
                if !written(socket, message(outgoing)).await {
                    return ticket.into_iter().collect();
                }
            }
            incoming = socket.next() => {
                heard = Instant::now();
                let bytes = match incoming {
                    Some(Ok(Message::Text(text))) => text.as_bytes().to_vec(),
                    Some(Ok(Message::Binary(bytes))) => bytes.to_vec(),
                    Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => continue,
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return Vec::new(),
                };
                if bytes.iter().all(|byte| matches!(byte, b'\r' | b'\n')) {
                    // The keep-alive of streams (RFC 5626 §4.4.1), which some clients use here too.
                    if bytes.len() >= 4 && !written(socket, Message::text("\r\n")).await {
                        return Vec::new();
                    }
                    continue;
                }
                if streams.inputs.send(Input::Message { flow, bytes }).await.is_err() {
                    return Vec::new();
                }
            }
            _ = pings.tick() => {
                if heard.elapsed() > SILENT_FOR
                    || !written(socket, Message::Ping(Vec::new().into())).await
                {
                    return Vec::new();
                }
            }
        }
    }
}

fn message(outgoing: Outgoing) -> Message {
    let mut bytes = outgoing.payload.head.to_vec();
    if let Some(body) = &outgoing.payload.body {
        bytes.extend_from_slice(body);
    }
    // RFC 7118 §5: text where it is UTF-8.
    match String::from_utf8(bytes) {
        Ok(text) => Message::text(text),
        Err(error) => Message::binary(error.into_bytes()),
    }
}

async fn written<S>(socket: &mut WebSocketStream<S>, message: Message) -> bool
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    matches!(tokio::time::timeout(WRITE_WITHIN, socket.send(message)).await, Ok(Ok(())))
}
