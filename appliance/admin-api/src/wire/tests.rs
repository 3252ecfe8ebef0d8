//! The lines as they stand on the socket.

use super::{DecodeFailure, decode_reply, decode_request, encode_reply, encode_request};
use crate::answer::Answer;
use crate::answer::log::LogLevel;
use crate::answer::user::{UserChange, UserChanged};
use crate::framing::MAX_LINE_BYTES;
use crate::page::PageRequest;
use crate::refusal::{Refusal, RefusalCode};
use crate::request::{LogQuery, NewUser, Request};
use crate::secret::Secret;
use crate::user_id::UserId;

fn new_user() -> NewUser {
    NewUser {
        id: UserId::from("anna"),
        display_name: Some("Anna \"A\" Ω".to_owned()),
        given_name: None,
        surname: None,
        mail: None,
        telephone: None,
        password: Some(Secret::new("open\nsesame".to_owned())),
    }
}

#[test]
fn requests_survive_the_way_and_are_one_line_each() {
    let id = UserId::from("anna");
    let page = PageRequest { after: Some("x".to_owned()), limit: 7 };
    let query = LogQuery {
        log: "presence".to_owned(),
        after_sequence: Some(0),
        limit: 10,
        minimum_level: Some(LogLevel::Warn),
        area: Some("store".to_owned()),
        contains: Some("slow".to_owned()),
        wait_ms: 5_000,
    };
    let requests = [
        Request::ShowStatus,
        Request::ShowUsers { page: page.clone(), id_prefix: Some("an".to_owned()) },
        Request::ShowWatchers { id: id.clone(), page },
        Request::ReadLog(query),
        Request::SetLogLevel { area: "store".to_owned(), level: LogLevel::Trace },
        Request::AddUser(new_user()),
        Request::SetUserPassword { id, password: Secret::new(String::new()) },
        Request::ImportUsers { csv: Secret::new("id\nanna\nbert\n".to_owned()) },
    ];
    for request in requests {
        let line = encode_request(&request).unwrap();
        assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
        let text = line.strip_suffix(b"\n").unwrap();
        assert_eq!(decode_request(text), Ok(request));
    }
}

#[test]
fn the_documented_form_is_the_form() {
    assert_eq!(
        decode_request(br#"{"v":1,"request":{"show_user":{"id":"anna"}}}"#),
        Ok(Request::ShowUser { id: UserId::from("anna") })
    );
    assert_eq!(decode_request(br#"{"v":1,"request":"show_status"}"#), Ok(Request::ShowStatus));
    let changed = UserChanged { id: UserId::from("anna"), change: UserChange::PasswordSet };
    assert_eq!(
        encode_reply(&Ok(Answer::UserChanged(changed))),
        b"{\"v\":1,\"answer\":{\"user_changed\":{\"id\":\"anna\",\"change\":\"password_set\"}}}\n"
    );
}

#[test]
fn replies_survive_the_way() {
    let refusal = Refusal::new(RefusalCode::UnknownUser, "no such user", "ID", "show users");
    let line = encode_reply::<Answer>(&Err(refusal.clone()));
    assert!(String::from_utf8_lossy(&line).contains(r#""where":"ID""#));
    assert_eq!(decode_reply::<Answer>(&line), Ok(Err(refusal)));
    let answer = Answer::Alarms(Vec::new());
    assert_eq!(decode_reply(&encode_reply(&Ok(answer.clone()))), Ok(Ok(answer)));
    assert!(decode_reply::<Answer>(br#"{"v":1}"#).is_err());
}

#[test]
fn another_version_is_told_from_nonsense() {
    assert_eq!(
        decode_request::<Request>(br#"{"v":2,"request":{"dance":{}}}"#),
        Err(DecodeFailure::Version { version: 2 })
    );
    for nonsense in [&b"GET / HTTP/1.1"[..], b"{}", b"", b"\xff", br#"{"v":1,"request":"dance"}"#] {
        assert!(matches!(
            decode_request::<Request>(nonsense),
            Err(DecodeFailure::Malformed { .. })
        ));
    }
    assert!(
        decode_request::<Request>(br#"{"v":1,"request":{"show_user":{"id":"a","x":1}}}"#).is_err()
    );
}

#[test]
fn a_failure_never_repeats_what_stood_on_the_line() {
    let line = br#"{"v":1,"request":{"set_user_password":{"id":"anna","password":12345678}}}"#;
    let failure = decode_request::<Request>(line).unwrap_err();
    let refusal = Refusal::from(failure);
    assert!(!format!("{failure} {failure:?} {refusal:?}").contains("12345678"));
}

#[test]
fn debug_of_a_request_shows_no_password() {
    let text = format!("{:?}", Request::AddUser(new_user()));
    assert!(text.contains("anna") && !text.contains("sesame"));
}

#[test]
fn what_is_too_long_for_a_line_is_refused_not_sent() {
    let csv = Secret::new("x".repeat(MAX_LINE_BYTES));
    let refusal = encode_request(&Request::ImportUsers { csv }).unwrap_err();
    assert_eq!(refusal.code, RefusalCode::TooLarge);
    let huge = Refusal::new(RefusalCode::Internal, "x".repeat(MAX_LINE_BYTES), "", "");
    let reply = decode_reply::<Answer>(&encode_reply::<Answer>(&Err(huge))).unwrap().unwrap_err();
    assert_eq!(reply.code, RefusalCode::TooLarge);
}
