//! `/api/v1/users/{id}/presence`: how a user is, as the one who asks may see it, and how a user says
//! to be.

use std::time::Duration;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use presence::command::{Answer, Command, Refusal, Seen, StatusDraft};
use presence::compositor::{self, Availability, Input, Order};
use presence::document::guard::Limits;
use presence::document::pidf::PublishedDocument;
use serde::{Deserialize, Serialize};
use sip::clock::WallTime;

use super::{Api, Refused};
use crate::administration::{refusal_of, unanswered};

/// How a user is.
#[derive(Debug, Serialize)]
struct Presence {
    id: String,
    /// `active`, or `pending` while the user has not decided about who asks.
    standing: &'static str,
    /// Whether the user can be reached; absent while pending.
    basic: Option<&'static str>,
    state: Option<&'static str>,
    activities: Vec<String>,
    note: Option<String>,
    devices: Vec<Device>,
}

#[derive(Debug, Serialize)]
struct Device {
    id: String,
    basic: Option<&'static str>,
    contact: Option<String>,
    audio: Option<bool>,
    video: Option<bool>,
    text: Option<bool>,
    idle: Option<bool>,
    note: Option<String>,
}

/// What a user says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Status {
    state: String,
    note: Option<String>,
    expires_in_s: Option<u64>,
}

pub(super) async fn show(
    State(api): State<Api>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Response, Refused> {
    let caller = api.caller(&headers).await?;
    let command = Command::ShowSeen { watcher: caller.id, id: id.clone() };
    let seen = match api.node.command(command).await.map_err(unanswered)? {
        Answer::Seen(seen) => seen,
        Answer::Refused(refusal) => return Err(refusal_of(refusal).into()),
        _ => return Err(Refused::new(StatusCode::INTERNAL_SERVER_ERROR, "no presence")),
    };
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    match (seen.standing, accept) {
        ("rejected", _) => {
            Err(Refused::new(StatusCode::FORBIDDEN, "the user does not let you see"))
        }
        (_, Some("application/pidf+xml")) => {
            let document = seen.document.map(|document| document.to_vec()).unwrap_or_default();
            let status = if document.is_empty() { StatusCode::NO_CONTENT } else { StatusCode::OK };
            let kind = [(header::CONTENT_TYPE, "application/pidf+xml")];
            Ok((status, kind, document).into_response())
        }
        _ => Ok(Json(presence(id, &seen)).into_response()),
    }
}

fn presence(id: String, seen: &Seen) -> Presence {
    // Composed of several documents, each within the limits of one.
    let limits = Limits { bytes: usize::MAX, nodes: u32::MAX, ..Limits::default() };
    let document = seen.document.as_ref();
    let document = document.and_then(|bytes| PublishedDocument::parse(bytes, &limits).ok());
    let summary = document.as_ref().map(|document| {
        let input = Input { document, published: WallTime::from_millis(0), key: 1 };
        compositor::summary(&[input], &Order::default())
    });
    let Some(summary) = summary else {
        return Presence {
            id,
            standing: seen.standing,
            basic: None,
            state: None,
            activities: Vec::new(),
            note: None,
            devices: Vec::new(),
        };
    };
    let devices = summary.devices.into_iter().map(|device| Device {
        id: device.tuple_id,
        basic: device.basic.map(|basic| match basic {
            presence::document::pidf::Basic::Open => "open",
            presence::document::pidf::Basic::Closed => "closed",
        }),
        contact: device.contact,
        audio: device.capabilities.audio,
        video: device.capabilities.video,
        text: device.capabilities.text.max(device.capabilities.message),
        idle: device.user_input.map(|input| input.is_idle),
        note: device.note,
    });
    Presence {
        id,
        standing: seen.standing,
        basic: Some(match summary.availability {
            Availability::Open => "open",
            Availability::Closed => "closed",
        }),
        state: Some(summary.state.token()),
        activities: summary.activities.iter().map(ToString::to_string).collect(),
        note: summary.note,
        devices: devices.collect(),
    }
}

pub(super) async fn set(
    State(api): State<Api>,
    headers: HeaderMap,
    Path(id): Path<String>,
    status: Result<Json<Status>, JsonRejection>,
) -> Result<StatusCode, Refused> {
    own(&api, &headers, &id).await?;
    let wrong = |what: String| Refused::new(StatusCode::BAD_REQUEST, what);
    let Json(status) = status.map_err(|why| wrong(why.body_text()))?;
    let state = compositor::State::of(&status.state).ok_or_else(|| {
        let known: Vec<_> = compositor::State::ALL.iter().map(|state| state.token()).collect();
        wrong(format!("state is one of {}", known.join(", ")))
    })?;
    if status.expires_in_s == Some(0) {
        return Err(wrong("expires_in_s is at least 1".to_owned()));
    }
    let lasts = status.expires_in_s.map(Duration::from_secs);
    put(&api, id, Some(StatusDraft { state, note: status.note, lasts })).await
}

pub(super) async fn unset(
    State(api): State<Api>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<StatusCode, Refused> {
    own(&api, &headers, &id).await?;
    put(&api, id, None).await
}

async fn put(api: &Api, id: String, status: Option<StatusDraft>) -> Result<StatusCode, Refused> {
    let command = Command::SetStatus { id, status };
    match api.node.command(command).await.map_err(unanswered)? {
        Answer::Done => Ok(StatusCode::NO_CONTENT),
        Answer::Refused(refusal @ Refusal::BadField { .. }) => {
            Err(Refused::new(StatusCode::BAD_REQUEST, refusal.to_string()))
        }
        Answer::Refused(refusal) => Err(refusal_of(refusal).into()),
        _ => Err(Refused::new(StatusCode::INTERNAL_SERVER_ERROR, "the status was not set")),
    }
}

async fn own(api: &Api, headers: &HeaderMap, id: &str) -> Result<(), Refused> {
    let caller = api.caller(headers).await?;
    if caller.id == id {
        return Ok(());
    }
    Err(Refused::new(StatusCode::FORBIDDEN, "a user says only how that user is"))
}
