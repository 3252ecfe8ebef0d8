//! Asks the DNS what `sip::locate` wants to know (RFC 3263), a bounded number of targets at a
//! time, each within a time limit.

use std::net::IpAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{RData, RecordType};
use hickory_resolver::system_conf::parse_resolv_conf;
use sip::flow::Hop;
use sip::locate::{Answer, Locator, NaptrRecord, Question, SrvRecord, Target};
use tokio::sync::{Semaphore, mpsc};

use crate::server_task::{Input, Locate};

/// The machine's name servers.
const RESOLV_CONF: &str = "/etc/resolv.conf";
/// Targets that may wait to be located.
pub(crate) const QUEUE: usize = 1_024;
/// Targets located at one time.
const AT_ONCE: usize = 64;
/// How long one question may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// How long one target may take, however many questions it needs.
const LOCATE_WITHIN: Duration = Duration::from_secs(5);
/// Questions that one target may need.
const QUESTIONS: usize = 32;

/// Locates targets until the server ends.
pub(crate) async fn run(mut targets: mpsc::Receiver<Locate>, inputs: mpsc::Sender<Input>) {
    let mut servers = NameServers::of(PathBuf::from(RESOLV_CONF));
    let places = Arc::new(Semaphore::new(AT_ONCE));
    while let Some(Locate { ticket, target }) = targets.recv().await {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let (resolver, inputs) = (servers.resolver(), inputs.clone());
        tokio::spawn(async move {
            let _place = place;
            let hops = locate(resolver, target).await;
            let _ = inputs.send(Input::Located { ticket, hops }).await;
        });
    }
}

/// What is used of the name servers' file, and what the file looked like then. It may appear
/// after us, and changes with the network.
struct NameServers {
    file: PathBuf,
    seen: Option<Seen>,
    is_known: bool,
    resolver: Option<TokioResolver>,
    addresses: Vec<IpAddr>,
}

/// Tells one state of a file from another.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    inode: u64,
    length: u64,
    changed: (i64, i64),
}

impl Seen {
    fn look(file: &Path) -> Option<Self> {
        let data = std::fs::metadata(file).ok()?;
        let changed = (data.mtime(), data.mtime_nsec());
        Some(Self { inode: data.ino(), length: data.len(), changed })
    }
}

impl NameServers {
    const fn of(file: PathBuf) -> Self {
        Self { file, seen: None, is_known: false, resolver: None, addresses: Vec::new() }
    }

    /// A resolver that asks who stands in the file now.
    fn resolver(&mut self) -> Option<TokioResolver> {
        let seen = Seen::look(&self.file);
        if !self.is_known || seen != self.seen {
            (self.seen, self.is_known) = (seen, true);
            self.build();
        }
        self.resolver.clone()
    }

    fn build(&mut self) {
        self.addresses.clear();
        let built = std::fs::read(&self.file).map_err(NetError::from).and_then(|text| {
            let (config, mut options) = parse_resolv_conf(text)?;
            options.timeout = ANSWER_WITHIN;
            options.attempts = 1;
            self.addresses.extend(config.name_servers().iter().map(|server| server.ip));
            let provider = TokioRuntimeProvider::default();
            TokioResolver::builder_with_config(config, provider).with_options(options).build()
        });
        match &built {
            Ok(_) => tracing::info!(servers = ?self.addresses, "the name servers were read"),
            Err(error) => {
                tracing::warn!(%error, "there is no DNS; only numeric addresses can be reached");
            }
        }
        self.resolver = built.ok();
    }
}

async fn locate(resolver: Option<TokioResolver>, target: Target) -> Vec<Hop> {
    if let Some(hop) = target.numeric() {
        return vec![hop];
    }
    let Some(resolver) = resolver else { return Vec::new() };
    let random = crate::node_key::random().map_or(0, u64::from_le_bytes);
    let mut locator = Locator::new(target, random);
    let asking = async {
        for _ in 0..QUESTIONS {
            let Some(question) = locator.question() else { break };
            locator.answer(ask(&resolver, question).await);
        }
    };
    if tokio::time::timeout(LOCATE_WITHIN, asking).await.is_err() {
        tracing::debug!("the DNS took too long");
    }
    locator.into_hops()
}

async fn ask(resolver: &TokioResolver, question: Question) -> Answer {
    match question {
        Question::Naptr(name) => {
            let records = lookup(resolver, &name, RecordType::NAPTR).await;
            Answer::Naptr(records.into_iter().filter_map(naptr).collect())
        }
        Question::Srv(name) => {
            let records = lookup(resolver, &name, RecordType::SRV).await;
            Answer::Srv(records.into_iter().filter_map(srv).collect())
        }
        Question::Addresses(name) => match resolver.lookup_ip(absolute(&name)).await {
            Ok(addresses) => Answer::Addresses(addresses.iter().collect()),
            Err(error) => {
                tracing::debug!(name, %error, "no addresses");
                Answer::Addresses(Vec::new())
            }
        },
    }
}

async fn lookup(resolver: &TokioResolver, name: &str, kind: RecordType) -> Vec<RData> {
    match resolver.lookup(absolute(name), kind).await {
        Ok(found) => found.answers().iter().map(|record| record.data.clone()).collect(),
        Err(error) => {
            tracing::debug!(name, %kind, %error, "no records");
            Vec::new()
        }
    }
}

/// Names of SIP are whole; the search list of this machine has no say in them.
fn absolute(name: &str) -> String {
    format!("{}.", name.trim_end_matches('.'))
}

fn naptr(data: RData) -> Option<NaptrRecord> {
    let RData::NAPTR(record) = data else { return None };
    Some(NaptrRecord {
        order: record.order,
        preference: record.preference,
        flags: String::from_utf8_lossy(&record.flags).into_owned(),
        service: String::from_utf8_lossy(&record.services).into_owned(),
        replacement: record.replacement.to_string(),
    })
}

fn srv(data: RData) -> Option<SrvRecord> {
    let RData::SRV(record) = data else { return None };
    Some(SrvRecord {
        priority: record.priority,
        weight: record.weight,
        port: record.port,
        target: record.target.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use sip::flow::Transport;

    use super::*;

    #[tokio::test]
    async fn an_address_needs_no_dns() {
        let target = Target {
            host: "[2001:db8::1]".to_owned(),
            port: Some(5070),
            transport: Some(Transport::Tcp),
            secure: false,
        };
        let hops = locate(None, target).await;
        let address = "[2001:db8::1]:5070".parse().unwrap();
        assert_eq!(hops, [Hop { transport: Transport::Tcp, address }]);
    }

    #[tokio::test]
    async fn other_name_servers_are_asked_once_the_file_names_them() {
        let dir = tempfile::tempdir().unwrap();
        let (link, file) = (dir.path().join("link"), dir.path().join("resolv.conf"));
        std::os::unix::fs::symlink(&file, &link).unwrap();
        let mut servers = NameServers::of(link);
        assert!(servers.resolver().is_none(), "not there yet");
        for server in ["192.0.2.1", "192.0.2.2"] {
            let fresh = dir.path().join("fresh");
            std::fs::write(&fresh, format!("nameserver {server}\n")).unwrap();
            std::fs::rename(fresh, &file).unwrap();
            assert!(servers.resolver().is_some());
            assert_eq!(servers.addresses, [server.parse::<IpAddr>().unwrap()]);
        }
    }

    #[test]
    fn names_are_made_absolute_once() {
        assert_eq!(absolute("example.test"), "example.test.");
        assert_eq!(absolute("example.test."), "example.test.");
    }
}
