//! `/xcap/…`: XCAP over HTTPS (RFC 4825). Who asks signs in by digest, as XCAP has it, or with id
//! and password or the token of a session, as the API does.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Extension, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use presence::command::{Answer, Command, DigestQuestion, XcapMethod, XcapReply, XcapRequest};

use crate::administration::unanswered;
use crate::api::{Api, Refused};
use crate::http::Peer;

/// Where the tree begins.
const ROOT: &str = "/xcap/";
/// Bytes of a body.
const BODY_BYTES: usize = 512 * 1024;

/// The routes.
pub(crate) fn routes(api: Api) -> Router {
    Router::new()
        .route("/xcap/{*path}", any(serve))
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .with_state(api)
}

async fn serve(
    State(api): State<Api>,
    Extension(peer): Extension<Peer>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Response> {
    let what = match method {
        Method::GET | Method::HEAD => XcapMethod::Get,
        Method::PUT => XcapMethod::Put,
        Method::DELETE => XcapMethod::Delete,
        _ => {
            let reply = XcapReply { allow: Some("GET, PUT, DELETE"), ..XcapReply::status(405) };
            return Ok(response(reply));
        }
    };
    let caller = caller(&api, peer, &method, &uri, &headers, &body).await?;
    let text = |name: HeaderName| {
        headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
    };
    let request = XcapRequest {
        caller,
        method: what,
        path: uri.path().strip_prefix(ROOT).unwrap_or_default().to_owned(),
        query: uri.query().map(str::to_owned),
        if_match: text(header::IF_MATCH),
        if_none_match: text(header::IF_NONE_MATCH),
        content_type: text(header::CONTENT_TYPE),
        body: body.to_vec(),
    };
    match api.node.command(Command::Xcap(request)).await {
        Ok(Answer::Xcap(reply)) => Ok(response(reply)),
        Ok(Answer::Refused(refusal)) => {
            tracing::warn!(%refusal, "a document was not kept");
            Err(Refused::new(StatusCode::SERVICE_UNAVAILABLE, refusal.to_string()).into_response())
        }
        Ok(_) => Err(StatusCode::INTERNAL_SERVER_ERROR.into_response()),
        Err(error) => Err(Refused::from(unanswered(error)).into_response()),
    }
}

async fn caller(
    api: &Api,
    Peer(peer): Peer,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<String, Response> {
    let offered = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let is_digest = |value: &str| value.get(..7).is_some_and(|s| s.eq_ignore_ascii_case("digest "));
    if offered.is_some_and(|value| !is_digest(value)) {
        return api.caller(headers).await.map(|caller| caller.id).map_err(Refused::into_response);
    }
    let question = DigestQuestion {
        peer: peer.ip(),
        authorization: offered.map(str::to_owned),
        method: method.to_string(),
        uri: uri.path_and_query().map_or("", |target| target.as_str()).to_owned(),
        body: body.to_vec(),
    };
    let answer = api.node.command(Command::CheckDigest(question)).await;
    match answer.map_err(|error| Refused::from(unanswered(error)).into_response())? {
        Answer::Digest(Ok(id)) => Ok(id),
        Answer::Digest(Err(challenges)) if challenges.is_empty() => {
            let what = "too many wrong answers: wait a little";
            Err(Refused::new(StatusCode::TOO_MANY_REQUESTS, what).into_response())
        }
        Answer::Digest(Err(challenges)) => {
            let what = "sign in with your id and password";
            let mut refused = Refused::new(StatusCode::UNAUTHORIZED, what).into_response();
            let basic = refused.headers_mut().remove(header::WWW_AUTHENTICATE);
            let digest = challenges.iter().filter_map(|one| HeaderValue::from_str(one).ok());
            for challenge in digest.chain(basic) {
                refused.headers_mut().append(header::WWW_AUTHENTICATE, challenge);
            }
            Err(refused)
        }
        _ => Err(StatusCode::INTERNAL_SERVER_ERROR.into_response()),
    }
}

fn response(reply: XcapReply) -> Response {
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, reply.body).into_response();
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_TYPE);
    let mut put = |name: HeaderName, value: Option<&str>| {
        if let Some(Ok(value)) = value.map(HeaderValue::from_str) {
            headers.insert(name, value);
        }
    };
    put(header::CONTENT_TYPE, reply.content_type);
    put(header::ETAG, reply.etag.as_deref());
    put(header::ALLOW, reply.allow);
    response
}
