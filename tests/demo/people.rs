//! Anna and Ben, two people whose phones are part of this program.

use std::fs::File;
use std::io::Read as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use lamplight_tests::wire::{Client, Message, Request, Subscription};

/// Ben subscribes, Anna's status changes, and Ben is told.
pub(crate) fn demonstrate(anna: &Client, ben: &Client) -> Result<Subscription> {
    anna.register();
    ben.register();
    println!("Anna and Ben have registered over UDP, with digest authentication.\n");
    let watch = ben.subscribe(&anna.aor());
    println!("Ben watches Anna: she is {}.", seen(&watch.notify(ben)));

    let mut tag = None;
    for (said, basic, activity) in [
        ("is at her desk", "open", None),
        ("takes a call", "open", Some("on-the-phone")),
        ("goes to a meeting", "closed", Some("meeting")),
    ] {
        let mut request = anna.publication();
        if let Some(tag) = &tag {
            request = request.header("SIP-If-Match", tag);
        }
        let document = document(&anna.aor(), basic, activity);
        let request = request.body("application/pidf+xml", document);
        let (answer, notify, took) = timed(anna, request, ben, &watch)?;
        tag = answer.header("SIP-ETag").map(str::to_owned);
        println!("Anna {said}; {} later Ben sees: {}.", milliseconds(took), seen(&notify));
    }
    let tag = tag.context("the answer to PUBLISH has no SIP-ETag")?;
    let leave = anna.publication().set("Expires", 0).header("SIP-If-Match", tag);
    let (_, notify, took) = timed(anna, leave, ben, &watch)?;
    println!("Anna signs off; {} later Ben sees: {}.", milliseconds(took), seen(&notify));
    Ok(watch)
}

/// Publishes and waits for the watcher to be told: from the PUBLISH that carries the credentials
/// to the arrival of the NOTIFY.
fn timed(
    from: &Client,
    request: Request,
    watcher: &Client,
    watch: &Subscription,
) -> Result<(Message, Message, Duration)> {
    let first = from.send(request);
    let challenge = from.final_answer(&first);
    ensure!(challenge.status() == Some(401), "no challenge, but:\n{challenge}");
    let request = from.with_credentials(&first.request, &challenge, None);
    let started = Instant::now();
    let sent = from.send(request);
    let notify = watch.notify(watcher);
    let took = started.elapsed();
    let answer = from.final_answer(&sent);
    ensure!(answer.status() == Some(200), "PUBLISH was answered:\n{answer}");
    Ok((answer, notify, took))
}

/// A presence document (RFC 3863) with what the person does (RFC 4479, 4480).
fn document(aor: &str, basic: &str, activity: Option<&str>) -> String {
    let person = activity.map_or_else(String::new, |activity| {
        format!(
            "<dm:person id=\"p1\"><rpid:activities><rpid:{activity}/></rpid:activities></dm:person>"
        )
    });
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <presence xmlns=\"urn:ietf:params:xml:ns:pidf\" \
         xmlns:dm=\"urn:ietf:params:xml:ns:pidf:data-model\" \
         xmlns:rpid=\"urn:ietf:params:xml:ns:pidf:rpid\" entity=\"{aor}\">\
         <tuple id=\"desk\"><status><basic>{basic}</basic></status>\
         <contact>{aor}</contact></tuple>{person}</presence>"
    )
}

/// What a NOTIFY tells of a person, in words.
pub(crate) fn seen(notify: &Message) -> String {
    let text = notify.text();
    let Ok(document) = roxmltree::Document::parse(&text) else {
        return "unknown".to_owned();
    };
    let nodes = || document.descendants();
    let is_open = nodes()
        .filter(|node| node.tag_name().name() == "basic")
        .any(|node| node.text().is_some_and(|text| text.trim() == "open"));
    let mut words = if is_open { "available" } else { "not available" }.to_owned();
    let activities = nodes().filter(|node| node.tag_name().name() == "activities");
    for activity in activities.flat_map(|node| node.children().filter(|c| c.is_element())) {
        words.push_str(", ");
        words.push_str(&activity.tag_name().name().replace('-', " "));
    }
    for note in nodes().filter(|node| node.tag_name().name() == "note") {
        if let Some(text) = note.text() {
            words.push_str(&format!(", \"{}\"", text.trim()));
        }
    }
    words
}

fn milliseconds(took: Duration) -> String {
    format!("{:.1} ms", took.as_secs_f64() * 1_000.0)
}

/// Sixteen characters that cannot be mistaken for one another: 80 bits.
pub(crate) fn password() -> Result<String> {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut random = [0; 16];
    File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut random))
        .context("no random numbers")?;
    Ok(random.iter().map(|byte| char::from(LETTERS[usize::from(byte % 32)])).collect())
}
