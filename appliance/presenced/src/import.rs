//! Bulk import of users from CSV (RFC 4180): every line is judged by itself, and each that is
//! refused is named.

use std::collections::VecDeque;
use std::num::NonZero;
use std::thread::available_parallelism;

use admin_api::answer::user::{ImportReport, RefusedLine};
use admin_api::refusal::{Refusal, RefusalCode};
use admin_api::request::MAX_IMPORT_LINES;
use admin_api::secret::Secret;
use csv::{ByteRecord, ReaderBuilder, Trim};
use presence::command::{Answer, Command, Imported, UserDraft};
use tokio::task::JoinHandle;
use zeroize::Zeroizing;

use crate::administration::{note_capacity, refusal_of, unanswered};
use crate::credentials;
use crate::node::Node;

/// Lines that go to the server together, which is also how often progress is on disk.
const LINES_A_BATCH: usize = 64;
/// Cores that hash at once: each needs some 19 MiB.
const MOST_CORES: usize = 8;
/// Characters of a refused id that are shown.
const SHOWN_ID: usize = 64;

/// The columns that there may be.
const COLUMNS: &[&str] =
    &["id", "display-name", "given-name", "surname", "mail", "telephone", "password"];

/// One line, read but not judged by the server.
#[derive(Debug)]
struct Line {
    number: u64,
    draft: UserDraft,
    password: Option<Secret>,
}

/// A line that cannot be a user.
type Refused = RefusedLine;

/// Lines whose passwords have been hashed: their numbers and users, in order, and who was refused.
#[derive(Debug, Default)]
struct Hashed {
    numbers: Vec<u64>,
    drafts: Vec<UserDraft>,
    refused: Vec<Refused>,
}

/// Imports a file; what was accepted is on disk when this returns.
pub(crate) async fn import(node: &Node, csv: Secret) -> Result<ImportReport, Refusal> {
    let (lines, mut refused) = tokio::task::spawn_blocking(move || read(csv.expose()))
        .await
        .map_err(|_| unreadable("the file could not be read", "line 1"))??;
    let mut lines = VecDeque::from(lines);
    let (mut created, mut updated) = (0, 0);
    let settings = node.settings();
    let realm = &settings.domain;
    let mut next = start_hashing(&mut lines, realm);
    while !next.is_empty() {
        let Hashed { numbers, drafts, refused: bad } = finish_hashing(next).await?;
        // Hashed while the server takes those before and writes them down.
        next = start_hashing(&mut lines, realm);
        refused.extend(bad);
        if drafts.is_empty() {
            continue;
        }
        let ids: Vec<_> = drafts.iter().map(|draft| draft.id.clone()).collect();
        let answer = node.command(Command::ImportUsers(drafts)).await.map_err(unanswered)?;
        let results = match answer {
            Answer::Imported(results) => results,
            Answer::Refused(refusal) => return Err(refusal_of(refusal)),
            other => {
                tracing::warn!(?other, "users were imported");
                Vec::new()
            }
        };
        for ((number, id), result) in numbers.into_iter().zip(ids).zip(results) {
            match result {
                Ok(Imported::Created) => created += 1,
                Ok(Imported::Updated) => updated += 1,
                Err(refusal) => {
                    note_capacity(node, &refusal);
                    refused.push(refuse(number, Some(&id), refusal_of(refusal)));
                }
            }
        }
    }
    refused.sort_by_key(|line| line.line);
    tracing::info!(created, updated, refused = refused.len(), "users were imported");
    Ok(ImportReport { created, updated, refused })
}

/// Takes a batch off the lines and has its passwords hashed on all cores; nothing when there are
/// no more lines.
fn start_hashing(lines: &mut VecDeque<Line>, realm: &str) -> Vec<JoinHandle<Hashed>> {
    let count = lines.len().min(LINES_A_BATCH);
    let cores = available_parallelism().map_or(1, NonZero::get).min(MOST_CORES);
    let share = count.div_ceil(cores).max(1);
    let mut tasks = Vec::with_capacity(cores);
    let mut left = count;
    while left > 0 {
        let part: Vec<_> = lines.drain(..left.min(share)).collect();
        left -= part.len();
        let realm = realm.to_owned();
        tasks.push(tokio::task::spawn_blocking(move || hash(part, &realm)));
    }
    tasks
}

/// The batch, in the order of its lines.
async fn finish_hashing(tasks: Vec<JoinHandle<Hashed>>) -> Result<Hashed, Refusal> {
    let mut all = Hashed::default();
    for task in tasks {
        let part =
            task.await.map_err(|_| unreadable("a password could not be hashed", "password"))?;
        all.numbers.extend(part.numbers);
        all.drafts.extend(part.drafts);
        all.refused.extend(part.refused);
    }
    Ok(all)
}

fn hash(lines: Vec<Line>, realm: &str) -> Hashed {
    let mut hashed = Hashed::default();
    for Line { number, mut draft, password } in lines {
        if let Some(password) = password {
            match credentials::hash(&draft.id, realm, &password) {
                Ok(credentials) => draft.credentials = Some(credentials),
                Err(refusal) => {
                    hashed.refused.push(refuse(number, Some(&draft.id), refusal));
                    continue;
                }
            }
        }
        hashed.numbers.push(number);
        hashed.drafts.push(draft);
    }
    hashed
}

fn read(text: &str) -> Result<(Vec<Line>, Vec<Refused>), Refusal> {
    // With a carriage return before it, a line feed would count to the line after it.
    let text = Zeroizing::new(text.replace("\r\n", "\n"));
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(Trim::All)
        .from_reader(text.as_bytes());
    let mut records = reader.byte_records();
    let Some(Ok(header)) = records.next() else {
        return Err(unreadable("the file is empty", "line 1"));
    };
    let columns = columns(&header)?;
    let (mut lines, mut refused) = (Vec::new(), Vec::new());
    for record in records {
        let record = record.map_err(|error| unreadable("the file is not CSV", &place(&error)))?;
        let number = record.position().map_or(0, csv::Position::line);
        if lines.len() + refused.len() + 1 >= MAX_IMPORT_LINES {
            return Err(Refusal::new(
                RefusalCode::TooLarge,
                format!("the file has more than {MAX_IMPORT_LINES} lines"),
                format!("line {number}"),
                "split it into several files",
            ));
        }
        match line(number, &columns, &record) {
            Ok(line) => lines.push(line),
            Err(line) => refused.push(*line),
        }
    }
    Ok((lines, refused))
}

fn columns(header: &ByteRecord) -> Result<Vec<&'static str>, Refusal> {
    let mut columns = Vec::new();
    for field in header {
        let name = String::from_utf8_lossy(field).to_ascii_lowercase();
        let Some(column) = COLUMNS.iter().find(|column| **column == name) else {
            let name: String = name.chars().take(SHOWN_ID).collect();
            return Err(unreadable(&format!("there is no column \"{name}\""), "line 1"));
        };
        if columns.contains(column) {
            return Err(unreadable(&format!("the column \"{column}\" is there twice"), "line 1"));
        }
        columns.push(*column);
    }
    if !columns.contains(&"id") {
        return Err(unreadable("the column \"id\" is missing", "line 1"));
    }
    Ok(columns)
}

fn line(number: u64, columns: &[&'static str], record: &ByteRecord) -> Result<Line, Box<Refused>> {
    let mut draft = UserDraft::default();
    let mut password = None;
    for (column, field) in columns.iter().zip(record) {
        let value = String::from_utf8_lossy(field).into_owned();
        let filled = (!value.is_empty()).then_some(value);
        match *column {
            "id" => draft.id = filled.unwrap_or_default(),
            "display-name" => draft.display_name = filled,
            "given-name" => draft.given_name = filled,
            "surname" => draft.surname = filled,
            "mail" => draft.mail = filled,
            "telephone" => draft.telephone = filled,
            _ => password = filled.map(Secret::new),
        }
    }
    if record.len() != columns.len() {
        let what = format!("the line has {} fields, not {}", record.len(), columns.len());
        let next = "put quotation marks around values with commas";
        let refusal = Refusal::new(RefusalCode::InvalidValue, what, format!("line {number}"), next);
        return Err(Box::new(refuse(number, Some(&draft.id), refusal)));
    }
    if draft.id.is_empty() {
        let refusal = Refusal::new(
            RefusalCode::InvalidId,
            "the id is empty",
            format!("line {number}"),
            "give every user an id",
        );
        return Err(Box::new(refuse(number, None, refusal)));
    }
    if let Some(password) = &password
        && let Err(refusal) = credentials::check(password)
    {
        return Err(Box::new(refuse(number, Some(&draft.id), refusal)));
    }
    Ok(Line { number, draft, password })
}

fn refuse(line: u64, id: Option<&str>, refusal: Refusal) -> Refused {
    let id = id.filter(|id| !id.is_empty()).map(|id| id.chars().take(SHOWN_ID).collect());
    RefusedLine { line, id, refusal }
}

fn unreadable(what: &str, place: &str) -> Refusal {
    let next = format!("begin with a line that names the columns, of {}", COLUMNS.join(", "));
    Refusal::new(RefusalCode::UnreadableImport, what, place, next)
}

fn place(error: &csv::Error) -> String {
    error.position().map_or_else(|| "file".to_owned(), |at| format!("line {}", at.line()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_come_in_any_order_and_quoted_fields_span_lines() {
        let (lines, refused) = read(
            "\u{feff}password,ID,display-name\r\nsecret1,anna,\"Anna, the \"\"first\"\"\"\r\n\
             ,bert,\"two\nlines\"\nlongenough,carl,\n",
        )
        .unwrap();
        assert!(refused.is_empty());
        assert_eq!(lines.iter().map(|l| l.number).collect::<Vec<_>>(), [2, 3, 5]);
        assert_eq!(lines[0].draft.display_name.as_deref(), Some("Anna, the \"first\""));
        assert_eq!(lines[0].password.as_ref().unwrap().expose(), "secret1");
        assert!(lines[1].password.is_none());
        assert_eq!(lines[2].draft.display_name, None);
    }

    #[test]
    fn each_bad_line_is_named_and_the_others_stay() {
        let (lines, refused) =
            read("id,password\nanna,secret1\nbert\n,secret1\ncarl,x\ndora,secret1\n").unwrap();
        assert_eq!(lines.len(), 2);
        let named: Vec<_> =
            refused.iter().map(|l| (l.line, l.id.as_deref(), l.refusal.code)).collect();
        assert_eq!(
            named,
            [
                (3, Some("bert"), RefusalCode::InvalidValue),
                (4, None, RefusalCode::InvalidId),
                (5, Some("carl"), RefusalCode::UnacceptablePassword),
            ]
        );
    }

    #[test]
    fn a_file_without_its_header_is_refused_whole() {
        for (text, words) in [
            ("", "empty"),
            ("anna,secret1\n", "there is no column \"anna\""),
            ("mail\na@b\n", "\"id\" is missing"),
            ("id,id\n", "twice"),
        ] {
            let refusal = read(text).unwrap_err();
            assert_eq!(refusal.code, RefusalCode::UnreadableImport);
            assert!(refusal.what.contains(words), "{}", refusal.what);
        }
        let long = format!("id\n{}", "a\n".repeat(MAX_IMPORT_LINES));
        assert_eq!(read(&long).unwrap_err().code, RefusalCode::TooLarge);
    }
}
