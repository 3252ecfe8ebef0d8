//! The ring of recent lines, paging through it, levels and areas.

use super::*;

fn query() -> LogQuery {
    LogQuery {
        log: LOG_NAME.to_owned(),
        after_sequence: None,
        limit: 10,
        minimum_level: None,
        area: None,
        contains: None,
        wait_ms: 0,
    }
}

fn kept(count: usize) -> Kept {
    let mut kept = Kept::default();
    for number in 1..=count {
        let level = if number % 2 == 0 { LogLevel::Info } else { LogLevel::Error };
        kept.push(level, "sip", format!("Line {number}"));
    }
    kept
}

fn sequences(lines: &LogLines) -> Vec<u64> {
    lines.lines.iter().map(|line| line.sequence).collect()
}

#[test]
fn the_ring_keeps_the_newest_lines() {
    let kept = kept(RING_LINES + 10);
    assert_eq!(kept.lines.len(), RING_LINES);
    assert_eq!(kept.lines.front().unwrap().sequence, 11);
    assert_eq!(kept.bytes, kept.lines.iter().map(|l| l.text.len()).sum::<usize>());
    let read = kept.read(&LogQuery { after_sequence: Some(0), limit: 2, ..query() });
    assert_eq!((sequences(&read), read.lost_lines), (vec![11, 12], 10));
}

#[test]
fn without_a_sequence_the_newest_matching_lines_come_oldest_first() {
    let read = kept(20).read(&LogQuery {
        limit: 3,
        minimum_level: Some(LogLevel::Error),
        contains: Some("line 1".to_owned()),
        ..query()
    });
    assert_eq!(sequences(&read), [15, 17, 19]);
    assert_eq!((read.next_after_sequence, read.more), (20, false));
}

#[test]
fn paging_forward_neither_repeats_nor_skips() {
    let kept = kept(5);
    let page = |after| kept.read(&LogQuery { after_sequence: Some(after), limit: 2, ..query() });
    let first = page(0);
    assert_eq!((sequences(&first), first.more), (vec![1, 2], true));
    let second = page(first.next_after_sequence);
    assert_eq!((sequences(&second), second.more), (vec![3, 4], true));
    let third = page(second.next_after_sequence);
    assert_eq!((sequences(&third), third.more), (vec![5], false));
    let end = page(third.next_after_sequence);
    assert_eq!((sequences(&end), end.next_after_sequence), (vec![], 5));
}

#[test]
fn a_stalled_standard_error_costs_lines_not_time() {
    let (queue, _lines) = sync_channel(1);
    let mut stderr = StderrQueue { queue, dropped: Arc::default() };
    for _ in 0..10 {
        stderr.write_all(b"line\n").unwrap();
    }
    assert_eq!(stderr.dropped.load(Ordering::Relaxed), 9);
}

#[test]
fn a_level_covers_its_area_only() {
    let mut levels =
        Levels { built_in: LogLevel::Info, default: LogLevel::Info, set: BTreeMap::new() };
    levels.set("store", Some(LogLevel::Trace)).unwrap();
    let targets = levels.targets();
    assert!(targets.would_enable("presenced::store_task", &tracing::Level::TRACE));
    assert!(targets.would_enable("store::snapshot", &tracing::Level::TRACE));
    assert!(!targets.would_enable("presenced::server_task", &tracing::Level::DEBUG));
    assert!(targets.would_enable("presenced", &tracing::Level::INFO));
    assert!(!targets.would_enable("hyper::proto", &tracing::Level::INFO));
    assert_eq!(levels.set("no", None), Err(UnknownLog::Area("no".to_owned())));
    levels.set("store", None).unwrap();
    levels.set("default", Some(LogLevel::Debug)).unwrap();
    assert_eq!(levels.of("store"), LogLevel::Debug);
}

#[test]
fn the_most_specific_module_names_the_area() {
    assert_eq!(area_of("presenced::listener::tls"), "tls");
    assert_eq!(area_of("presenced::listener::tcp"), "sip");
    assert_eq!(area_of("presence::server"), "presence");
    assert_eq!(area_of("presenced::main"), "system");
}
