//! `/api/v1/…`: what users and their programs ask over HTTPS. Who asks signs in with the user's id
//! and password (RFC 7617), local or of a directory, or with the token of a session.

mod presence;
mod sessions;
mod sign_in;

use std::sync::Arc;

use admin_api::directory::{PeopleQuery, Person};
use admin_api::refusal::{Refusal, RefusalCode};
use axum::Json;
use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use directory::failure::Failure;
use serde::{Deserialize, Serialize};

use self::sessions::Sessions;
use self::sign_in::{Caller, Guesses};
use crate::node::Node;

/// The description of the API (OpenAPI 3.1).
const DESCRIPTION: &str = include_str!("api/openapi.json");
/// People on a page, where nobody says how many.
const USUAL_LIMIT: u32 = 25;

/// What the handlers share.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    pub(crate) node: Node,
    sessions: Sessions,
    guesses: Guesses,
}

/// The routes.
pub(crate) fn routes(api: Api) -> Router {
    Router::new()
        .route("/api/v1/openapi.json", get(description))
        .route("/api/v1/session", post(begin_session).delete(end_session))
        .route("/api/v1/directory", get(search))
        .route("/api/v1/directory/{id}", get(person))
        .route("/api/v1/directory/{id}/photo", get(photo))
        .route(
            "/api/v1/users/{id}/presence",
            get(presence::show).put(presence::set).delete(presence::unset),
        )
        .with_state(api)
}

/// Why something was not done, in the form of RFC 9457.
#[derive(Debug, Serialize)]
struct Problem {
    title: &'static str,
    status: u16,
    detail: String,
}

/// A refusal as an answer.
#[derive(Debug)]
pub(crate) struct Refused {
    status: StatusCode,
    detail: String,
}

impl Refused {
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into() }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let problem = Problem {
            title: self.status.canonical_reason().unwrap_or("refused"),
            status: self.status.as_u16(),
            detail: self.detail,
        };
        let kind = [(header::CONTENT_TYPE, "application/problem+json")];
        let body = serde_json::to_string(&problem).unwrap_or_default();
        let mut response = (self.status, kind, body).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            let challenge =
                header::HeaderValue::from_static("Basic realm=\"Lamplight\", charset=\"UTF-8\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        if self.status == StatusCode::TOO_MANY_REQUESTS {
            let pause = header::HeaderValue::from_static(sign_in::RETRY_AFTER);
            response.headers_mut().insert(header::RETRY_AFTER, pause);
        }
        response
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        let status = match refusal.code {
            RefusalCode::UnknownUser | RefusalCode::NotFound => StatusCode::NOT_FOUND,
            RefusalCode::InvalidValue | RefusalCode::InvalidId => StatusCode::BAD_REQUEST,
            RefusalCode::Busy | RefusalCode::Stopping | RefusalCode::DirectoryFailed => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, refusal.what)
    }
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        tracing::warn!(%failure, "a directory was asked in vain");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "the directory does not answer")
    }
}

async fn description() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], DESCRIPTION)
}

#[derive(Debug, Serialize)]
struct Session {
    id: String,
    token: String,
    expires_in_s: u64,
}

async fn begin_session(
    State(api): State<Api>,
    headers: HeaderMap,
) -> Result<(StatusCode, Json<Session>), Refused> {
    let caller = api.caller(&headers).await?;
    let (token, lasts) = api.sessions.begin(&caller.id)?;
    let session = Session { id: caller.id, token, expires_in_s: lasts.as_secs() };
    Ok((StatusCode::CREATED, Json(session)))
}

async fn end_session(State(api): State<Api>, headers: HeaderMap) -> Result<StatusCode, Refused> {
    api.caller(&headers).await?;
    if let Some(token) = sign_in::token(&headers) {
        api.sessions.end(token);
    }
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Search {
    q: String,
    field: Option<String>,
    offset: Option<u32>,
    limit: Option<u32>,
}

#[derive(Debug, Serialize)]
struct Found {
    total: u64,
    people: Vec<Person>,
}

async fn search(
    State(api): State<Api>,
    headers: HeaderMap,
    query: Result<Query<Search>, QueryRejection>,
) -> Result<Json<Found>, Refused> {
    api.caller(&headers).await?;
    let Query(search) =
        query.map_err(|wrong| Refused::new(StatusCode::BAD_REQUEST, wrong.body_text()))?;
    let query = PeopleQuery {
        text: search.q,
        field: search.field,
        offset: search.offset.unwrap_or(0),
        limit: search.limit.unwrap_or(USUAL_LIMIT),
    };
    let page = api.node.directories.find(&api.node, &query).await?;
    Ok(Json(Found { total: page.total, people: page.people }))
}

async fn person(
    State(api): State<Api>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Json<Person>, Refused> {
    api.caller(&headers).await?;
    Ok(Json(api.node.directories.person(&api.node, &id.as_str().into()).await?))
}

async fn photo(
    State(api): State<Api>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Response, Refused> {
    api.caller(&headers).await?;
    let picture = api.node.directories.photo(id).await?;
    let nothing = || Refused::new(StatusCode::NOT_FOUND, "there is no picture");
    let picture = picture.ok_or_else(nothing)?;
    let kind = kind_of(&picture).ok_or_else(nothing)?;
    let headers = [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "private, max-age=3600")];
    Ok((headers, picture).into_response())
}

/// What a picture is; a browser is not left to guess.
fn kind_of(picture: &[u8]) -> Option<&'static str> {
    match picture {
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [0x89, b'P', b'N', b'G', ..] => Some("image/png"),
        [b'G', b'I', b'F', b'8', ..] => Some("image/gif"),
        _ => None,
    }
}

impl Api {
    /// Nobody has signed in yet.
    pub(crate) fn new(node: Node) -> Self {
        Self { node, sessions: Sessions::default(), guesses: Guesses::default() }
    }

    pub(crate) async fn caller(&self, headers: &HeaderMap) -> Result<Caller, Refused> {
        sign_in::caller(&self.node, &self.sessions, &self.guesses, headers).await
    }
}

/// Handles of what the handlers share are cheap to clone.
type Shared<T> = Arc<std::sync::Mutex<T>>;
