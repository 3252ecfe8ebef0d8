//! A disk that lost power, rebuilt from the log of what was done to it.
//!
//! Durable is what was synced: the data and size of a file by its own sync, the entries of a
//! directory by the directory's. Of everything later the disk has an arbitrary part: of a file
//! nothing, a beginning of the later changes, or each 4 KiB page as of a moment of its own (and
//! the size as of another); of the directory entries a beginning, as a journal would, or any
//! selection.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use rand_chacha::ChaCha8Rng;

use crate::workload::below;

const PAGE: usize = 4096;
const ROOT: usize = 0;

/// What was done to a disk, as `interpose.c` logs it.
#[derive(Debug)]
pub(crate) enum Event {
    Open { handle: u64, truncated: bool, path: String },
    Write { handle: u64, offset: usize, bytes: Vec<u8> },
    Truncate { handle: u64, size: usize },
    Sync { handle: u64 },
    Rename { from: String, to: String },
    Unlink { path: String },
    MakeDir { path: String },
}

/// Reads a log; paths become relative to the root.
pub(crate) fn parse(mut log: &[u8], root: &str) -> Vec<Event> {
    let mut events = Vec::new();
    while let Some(end) = log.iter().position(|&byte| byte == b'\n') {
        let line = std::str::from_utf8(&log[..end]).unwrap();
        log = &log[end + 1..];
        let fields: Vec<_> = line.split('\t').collect();
        let number = |field: usize| fields[field].parse::<u64>().unwrap();
        let path = |field: usize| {
            fields[field].strip_prefix(root).unwrap().trim_start_matches('/').to_owned()
        };
        events.push(match fields[0] {
            "O" => Event::Open { handle: number(1), truncated: number(2) != 0, path: path(3) },
            "W" => {
                let (bytes, rest) = log.split_at(number(3) as usize);
                log = rest;
                let offset = number(2) as usize;
                Event::Write { handle: number(1), offset, bytes: bytes.to_vec() }
            }
            "T" => Event::Truncate { handle: number(1), size: number(2) as usize },
            "S" => Event::Sync { handle: number(1) },
            "R" => Event::Rename { from: path(1), to: path(2) },
            "U" => Event::Unlink { path: path(1) },
            "M" => Event::MakeDir { path: path(1) },
            other => panic!("event {other} in {line}"),
        });
    }
    events
}

#[derive(Debug, Clone)]
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Resize(usize),
}

#[derive(Debug)]
enum Node {
    File { durable: Vec<u8>, pending: Vec<Change> },
    Dir { durable: Entries, current: Entries },
}

type Entries = BTreeMap<String, usize>;

/// One operation on directory entries: all of it happens or nothing.
type EntryChange = Vec<(usize, String, Option<usize>)>;

/// A disk: what is durable, and what is not yet.
#[derive(Debug)]
pub(crate) struct Disk {
    nodes: Vec<Node>,
    pending_entries: Vec<EntryChange>,
    handles: HashMap<u64, (usize, String)>,
}

impl Disk {
    /// A disk with nothing on it.
    pub(crate) fn new() -> Self {
        let root = Node::Dir { durable: Entries::new(), current: Entries::new() };
        Self { nodes: vec![root], pending_entries: Vec::new(), handles: HashMap::new() }
    }

    /// The path under which a handle was opened.
    pub(crate) fn path_of(&self, handle: u64) -> &str {
        &self.handles[&handle].1
    }

    /// Does what was done.
    pub(crate) fn replay(&mut self, event: &Event) {
        match event {
            Event::Open { handle, truncated, path } => {
                let node = self.look_up(path).unwrap_or_else(|| {
                    self.add(path, Node::File { durable: Vec::new(), pending: Vec::new() })
                });
                self.handles.insert(*handle, (node, path.clone()));
                if *truncated {
                    self.change(*handle, Change::Resize(0));
                }
            }
            Event::Write { handle, offset, bytes } => {
                self.change(*handle, Change::Write { offset: *offset, bytes: bytes.clone() });
            }
            Event::Truncate { handle, size } => self.change(*handle, Change::Resize(*size)),
            Event::Sync { handle } => self.sync(self.handles[handle].0),
            Event::Rename { from, to } => {
                let node = self.look_up(from).expect("what is renamed is there");
                let (from, to) = (self.entry(from), self.entry(to));
                self.change_entries(vec![(from.0, from.1, None), (to.0, to.1, Some(node))]);
            }
            Event::Unlink { path } => {
                let (dir, name) = self.entry(path);
                self.change_entries(vec![(dir, name, None)]);
            }
            Event::MakeDir { path } => {
                let dir = Node::Dir { durable: Entries::new(), current: Entries::new() };
                self.add(path, dir);
            }
        }
    }

    /// What is on the disk while it has power: every file by its path.
    pub(crate) fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut found = BTreeMap::new();
        let mut dirs = vec![(PathBuf::new(), ROOT)];
        while let Some((path, node)) = dirs.pop() {
            match &self.nodes[node] {
                Node::Dir { current, .. } => {
                    dirs.extend(current.iter().map(|(name, &node)| (path.join(name), node)));
                }
                Node::File { durable, pending } => {
                    found.insert(path, content(durable, pending, |_| pending.len()));
                }
            }
        }
        found
    }

    fn look_up(&self, path: &str) -> Option<usize> {
        let mut node = ROOT;
        for name in path.split('/').filter(|name| !name.is_empty()) {
            let Node::Dir { current, .. } = &self.nodes[node] else { return None };
            node = *current.get(name)?;
        }
        Some(node)
    }

    fn entry(&self, path: &str) -> (usize, String) {
        let (dir, name) = path.rsplit_once('/').unwrap_or(("", path));
        (self.look_up(dir).expect("the directory is there"), name.to_owned())
    }

    fn add(&mut self, path: &str, node: Node) -> usize {
        let (dir, name) = self.entry(path);
        self.nodes.push(node);
        let added = self.nodes.len() - 1;
        self.change_entries(vec![(dir, name, Some(added))]);
        added
    }

    fn change(&mut self, handle: u64, change: Change) {
        match &mut self.nodes[self.handles[&handle].0] {
            Node::File { pending, .. } => pending.push(change),
            Node::Dir { .. } => panic!("a directory is written to"),
        }
    }

    fn change_entries(&mut self, change: EntryChange) {
        for (dir, name, node) in &change {
            let Node::Dir { current, .. } = &mut self.nodes[*dir] else { panic!("no directory") };
            set(current, name, *node);
        }
        self.pending_entries.push(change);
    }

    fn sync(&mut self, node: usize) {
        match &mut self.nodes[node] {
            Node::File { durable, pending } => {
                let changes = pending.len();
                *durable = content(durable, pending, |_| changes);
                pending.clear();
            }
            Node::Dir { .. } => {
                let (done, left) = std::mem::take(&mut self.pending_entries)
                    .into_iter()
                    .partition(|change: &EntryChange| change.iter().any(|(dir, ..)| *dir == node));
                self.pending_entries = left;
                for (dir, name, node) in Vec::<EntryChange>::into_iter(done).flatten() {
                    let Node::Dir { durable, .. } = &mut self.nodes[dir] else { continue };
                    set(durable, &name, node);
                }
            }
        }
    }

    /// Writes one of the states that a power loss may leave into an empty directory.
    pub(crate) fn lose_power(&self, random: &mut ChaCha8Rng, into: &Path) {
        let mut entries: HashMap<usize, Entries> = HashMap::new();
        for (number, node) in self.nodes.iter().enumerate() {
            if let Node::Dir { durable, .. } = node {
                entries.insert(number, durable.clone());
            }
        }
        let is_journal = below(random, 2) == 0;
        let kept = below(random, self.pending_entries.len() as u64 + 1) as usize;
        for (number, change) in self.pending_entries.iter().enumerate() {
            let survives = if is_journal { number < kept } else { below(random, 2) == 0 };
            for (dir, name, node) in change.iter().filter(|_| survives) {
                set(entries.entry(*dir).or_default(), name, *node);
            }
        }
        self.write(ROOT, &entries, random, into);
    }

    fn write(
        &self,
        dir: usize,
        entries: &HashMap<usize, Entries>,
        random: &mut ChaCha8Rng,
        into: &Path,
    ) {
        for (name, &node) in &entries[&dir] {
            let path = into.join(name);
            match &self.nodes[node] {
                Node::Dir { .. } => {
                    fs::create_dir(&path).unwrap();
                    self.write(node, entries, random, &path);
                }
                Node::File { durable, pending } => {
                    let changes = pending.len() as u64;
                    let cut = below(random, changes + 1) as usize;
                    let survivor = match below(random, 3) {
                        0 => durable.clone(),
                        1 => content(durable, pending, |_| cut),
                        _ => {
                            let mut cuts = HashMap::new();
                            content(durable, pending, |page| {
                                *cuts
                                    .entry(page)
                                    .or_insert_with(|| below(random, changes + 1) as usize)
                            })
                        }
                    };
                    fs::write(&path, survivor).unwrap();
                }
            }
        }
    }
}

fn set(entries: &mut Entries, name: &str, node: Option<usize>) {
    match node {
        Some(node) => entries.insert(name.to_owned(), node),
        None => entries.remove(name),
    };
}

/// A file's content when each page has seen so many of the changes; the size is asked for as the
/// page `None`.
fn content(
    durable: &[u8],
    changes: &[Change],
    mut seen: impl FnMut(Option<usize>) -> usize,
) -> Vec<u8> {
    let mut size = durable.len();
    let mut longest = size;
    let seen_by_size = seen(None);
    for (number, change) in changes.iter().enumerate() {
        let next = match change {
            Change::Write { offset, bytes } => size.max(offset + bytes.len()),
            Change::Resize(size) => *size,
        };
        longest = longest.max(next);
        if number < seen_by_size {
            size = next;
        }
    }
    let mut bytes = durable.to_vec();
    bytes.resize(longest, 0);
    for (number, change) in changes.iter().enumerate() {
        let (start, end) = match change {
            Change::Write { offset, bytes } => (*offset, offset + bytes.len()),
            Change::Resize(size) => (*size, longest),
        };
        let mut at = start;
        while at < end {
            let page = at / PAGE;
            let stop = end.min((page + 1) * PAGE);
            if number < seen(Some(page)) {
                match change {
                    Change::Write { offset, bytes: from } => {
                        bytes[at..stop].copy_from_slice(&from[at - offset..stop - offset]);
                    }
                    Change::Resize(_) => bytes[at..stop].fill(0),
                }
            }
            at = stop;
        }
    }
    bytes.truncate(size);
    bytes.resize(size, 0);
    bytes
}

#[test]
fn what_was_synced_survives_and_the_rest_may_not() {
    let log = b"M\t/r/d\nO\t1\t0\t/r\nS\t1\nO\t2\t0\t/r/d/a\nW\t2\t0\t3\noneS\t2\nW\t2\t0\t3\ntwo\
        O\t3\t0\t/r/d\nS\t3\nR\t/r/d/a\t/r/d/b\n";
    let events = parse(log, "/r");
    let mut disk = Disk::new();
    events.iter().for_each(|event| disk.replay(event));
    let mut random = rand_chacha::rand_core::SeedableRng::seed_from_u64(1);
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..100 {
        let dir = tempfile::tempdir().unwrap();
        disk.lose_power(&mut random, dir.path());
        for entry in fs::read_dir(dir.path().join("d")).unwrap() {
            let entry = entry.unwrap();
            seen.insert((
                entry.file_name().into_string().unwrap(),
                fs::read(entry.path()).unwrap(),
            ));
        }
    }
    let names = ["a", "a", "b", "b"];
    let bytes = [b"one", b"two", b"one", b"two"];
    let all = names.iter().zip(bytes).map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec()));
    assert_eq!(seen, all.collect());
}
