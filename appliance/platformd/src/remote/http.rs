//! HTTP and HTTPS (RFC 9110, RFC 9112): one request at a time, resumable where the server is.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_body_util::BodyExt as _;
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::header::{
    ACCEPT_RANGES, AUTHORIZATION, CONTENT_LENGTH, CONTENT_RANGE, ETAG, HOST, HeaderMap, IF_RANGE,
    LAST_MODIFIED, LOCATION, RANGE, USER_AGENT,
};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::fs::File;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::{CONNECT_WITHIN, Remote, SILENT_FOR, Scheme};

/// How often a server may say that something is elsewhere.
const MOST_REDIRECTS: u32 = 5;
const PART_BYTES: usize = 64 << 10;

/// Whose certificate is believed.
#[derive(Debug, Clone)]
pub(crate) enum Believed {
    /// Anybody's: what is fetched proves itself, and no password is sent.
    Anybody,
    /// Those in this PEM text, and what they have issued.
    Given(String),
}

/// A file that is being fetched.
#[derive(Debug)]
pub(crate) struct Fetched {
    /// Where the first octet that comes belongs: 0, or what was asked.
    pub(crate) offset: u64,
    /// How long the file is in all, where the server says so.
    pub(crate) size_bytes: Option<u64>,
    /// What says later that the file is the same: its entity-tag or its date (RFC 9110 §8.8).
    pub(crate) validator: Option<String>,
    body: Incoming,
}

impl Fetched {
    /// The next octets; none at the end.
    ///
    /// # Errors
    /// In words for an administrator.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, String> {
        loop {
            let frame = timeout(SILENT_FOR, self.body.frame())
                .await
                .map_err(|_| format!("the server was silent for {} s", SILENT_FOR.as_secs()))?;
            match frame {
                None => return Ok(None),
                Some(Err(error)) => return Err(format!("the connection broke off: {error}")),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
            }
        }
    }
}

/// Begins to fetch a file, from an offset on where what was fetched before is still the same.
///
/// # Errors
/// In words for an administrator.
pub(crate) async fn get(
    remote: &Remote,
    believed: &Believed,
    resume: Option<(u64, &str)>,
) -> Result<Fetched, String> {
    let mut remote = remote.clone();
    for _ in 0..=MOST_REDIRECTS {
        let mut fields = HeaderMap::new();
        if let Some((offset, validator)) = resume {
            fields.insert(RANGE, value(&format!("bytes={offset}-"))?);
            fields.insert(IF_RANGE, value(validator)?);
        }
        let answer = ask(&remote, believed, Method::GET, fields, FileBody::empty()).await?;
        let fields = answer.headers();
        let text = |name| fields.get(name).and_then(|value| value.to_str().ok());
        let length = text(CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok());
        let validator = text(ETAG)
            .filter(|tag| !tag.starts_with("W/"))
            .or_else(|| text(LAST_MODIFIED))
            .filter(|_| text(ACCEPT_RANGES) != Some("none"))
            .map(str::to_owned);
        match answer.status() {
            StatusCode::OK => {
                return Ok(Fetched {
                    offset: 0,
                    size_bytes: length,
                    validator,
                    body: answer.into_body(),
                });
            }
            StatusCode::PARTIAL_CONTENT => {
                let (offset, size) = text(CONTENT_RANGE)
                    .and_then(range)
                    .filter(|(offset, _)| resume.is_some_and(|(asked, _)| asked == *offset))
                    .ok_or("the server sent another part than was asked for")?;
                return Ok(Fetched {
                    offset,
                    size_bytes: size,
                    validator: validator.or_else(|| resume.map(|(_, known)| known.to_owned())),
                    body: answer.into_body(),
                });
            }
            StatusCode::RANGE_NOT_SATISFIABLE => {
                return Err("what was fetched before does not fit any more".to_owned());
            }
            status if status.is_redirection() => {
                let to = text(LOCATION).ok_or("the server names no place to look at instead")?;
                remote = elsewhere(&remote, to)?;
            }
            status => return Err(said(status)),
        }
    }
    Err(format!("the server sends us around in a circle: {remote}"))
}

/// Leaves a file.
///
/// # Errors
/// In words for an administrator.
pub(crate) async fn put(
    remote: &Remote,
    believed: &Believed,
    file: File,
    size_bytes: u64,
) -> Result<(), String> {
    let body = FileBody { file: Some(file), left: size_bytes };
    let answer = ask(remote, believed, Method::PUT, HeaderMap::new(), body).await?;
    let status = answer.status();
    if status.is_success() { Ok(()) } else { Err(said(status)) }
}

fn said(status: StatusCode) -> String {
    match status {
        StatusCode::UNAUTHORIZED => "the server wants a user and a password that it knows (401)",
        StatusCode::FORBIDDEN => "the server does not allow it (403)",
        StatusCode::NOT_FOUND => "the server has nothing at this address (404)",
        StatusCode::METHOD_NOT_ALLOWED => "the server does not take files at this address (405)",
        StatusCode::INSUFFICIENT_STORAGE => "the server is full (507)",
        other => return format!("the server answered {other}"),
    }
    .to_owned()
}

/// The first octet and the size in `bytes FIRST-LAST/SIZE` (RFC 9110 §14.4).
fn range(text: &str) -> Option<(u64, Option<u64>)> {
    let (span, size) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (first, _) = span.split_once('-')?;
    Some((first.parse().ok()?, size.parse().ok()))
}

/// Where a redirection leads; a password does not go along to another host.
fn elsewhere(from: &Remote, to: &str) -> Result<Remote, String> {
    let base = url::Url::parse(&from.to_string()).map_err(|error| error.to_string())?;
    let to = base.join(to).map_err(|error| format!("the server leads nowhere: {error}"))?;
    let mut remote = Remote::parse(to.as_str(), None)?;
    if from.scheme == Scheme::Https && remote.scheme != Scheme::Https {
        return Err("the server leads away from HTTPS".to_owned());
    }
    if remote.host == from.host && remote.port == from.port {
        remote.user.clone_from(&from.user);
        remote.password.clone_from(&from.password);
    }
    Ok(remote)
}

fn value(text: &str) -> Result<hyper::header::HeaderValue, String> {
    text.parse().map_err(|_| format!("{text:?} cannot be said in HTTP"))
}

async fn ask(
    remote: &Remote,
    believed: &Believed,
    method: Method,
    mut fields: HeaderMap,
    body: FileBody,
) -> Result<Response<Incoming>, String> {
    let host = remote.bracketed_host();
    let is_usual =
        matches!((remote.scheme, remote.port), (Scheme::Http, 80) | (Scheme::Https, 443));
    let authority = if is_usual { host } else { format!("{host}:{}", remote.port) };
    fields.insert(HOST, value(&authority)?);
    fields.insert(USER_AGENT, value(concat!("Lamplight/", env!("CARGO_PKG_VERSION")))?);
    if let (Some(user), Some(password)) = (&remote.user, &remote.password) {
        let pair = STANDARD.encode(format!("{user}:{}", password.expose()));
        let mut basic = value(&format!("Basic {pair}"))?;
        basic.set_sensitive(true);
        fields.insert(AUTHORIZATION, basic);
    }
    let mut request = Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() =
        remote.target.parse().map_err(|error| format!("{:?}: {error}", remote.target))?;
    *request.headers_mut() = fields;
    let stream = connect(remote, believed).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| format!("the server does not speak HTTP: {error}"))?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "an HTTP connection ended");
        }
    });
    timeout(SILENT_FOR.saturating_mul(10), sender.send_request(request))
        .await
        .map_err(|_| "the server does not answer".to_owned())?
        .map_err(|error| {
            format!("the server does not answer: {}", crate::platform::in_words(&error))
        })
}

/// A plain or a TLS connection.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

async fn connect(remote: &Remote, believed: &Believed) -> Result<Box<dyn Stream>, String> {
    let reach = TcpStream::connect((remote.host.as_str(), remote.port));
    let stream = timeout(CONNECT_WITHIN, reach)
        .await
        .map_err(|_| format!("{} does not answer on port {}", remote.host, remote.port))?
        .map_err(|error| format!("{} cannot be reached: {error}", remote.host))?;
    if remote.scheme != Scheme::Https {
        return Ok(Box::new(stream));
    }
    let config = match believed {
        Believed::Anybody => trust::anybody(),
        Believed::Given(pem) => {
            trust::certificates(pem).and_then(|given| trust::client(given, Vec::new()))
        }
    };
    let config = config.ok_or("the certificates that are trusted cannot be used")?;
    let name = ServerName::try_from(remote.host.clone())
        .map_err(|_| format!("{} is no host's name", remote.host))?;
    let greet = TlsConnector::from(Arc::new(config)).connect(name, stream);
    let stream = timeout(CONNECT_WITHIN, greet)
        .await
        .map_err(|_| format!("{} does not answer", remote.host))?
        .map_err(|error| format!("{} is not who it should be: {error}", remote.host))?;
    Ok(Box::new(stream))
}

/// A file as the body of a request.
#[derive(Debug)]
struct FileBody {
    file: Option<File>,
    left: u64,
}

impl FileBody {
    const fn empty() -> Self {
        Self { file: None, left: 0 }
    }
}

impl Body for FileBody {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let most = usize::try_from(self.left).unwrap_or(PART_BYTES).min(PART_BYTES);
        let Some(file) = self.file.as_mut().filter(|_| most > 0) else { return Poll::Ready(None) };
        let mut part = vec![0; most];
        let mut buffer = ReadBuf::new(&mut part);
        match Pin::new(file).poll_read(context, &mut buffer) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Err(error)) => Poll::Ready(Some(Err(error))),
            Poll::Ready(Ok(())) => {
                let length = buffer.filled().len();
                if length == 0 {
                    let short = std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
                    return Poll::Ready(Some(Err(short)));
                }
                part.truncate(length);
                self.left = self.left.saturating_sub(u64::try_from(length).unwrap_or(u64::MAX));
                Poll::Ready(Some(Ok(Frame::data(part.into()))))
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }
}
