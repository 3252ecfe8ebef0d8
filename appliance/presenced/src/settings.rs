//! The settings file: TOML read once at start, every key checked, every fault named with its line.

mod fault;

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use presence::config::AddressBlock;
use serde::Deserialize;
use sip::digest::Algorithm;
use sip::flow::Transport;
use toml::Spanned;
use toml::de::DeTable;

pub(crate) use self::fault::{Fault, SettingsError};

/// Every key that may stand in the file, by table; the first row is the top level.
const KEYS: &[(&str, &[&str])] = &[
    ("", &["domain", "data_dir", "sip", "tls", "http", "control", "platform", "log"]),
    ("sip", &["listen", "trusted", "digest", "max_connections", "max_connections_per_peer"]),
    ("tls", &["certificate", "key", "trust"]),
    ("http", &["listen"]),
    ("control", &["socket", "group"]),
    ("platform", &["dmi_dir"]),
    ("log", &["level", "format"]),
];

/// Listeners that there may be.
const MAX_LISTENERS: usize = 32;

/// What the daemon is told at start; whatever an administrator changes later lives in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settings {
    /// The SIP domain that this node serves.
    pub(crate) domain: String,
    /// Where the store, the snapshots and the certificate live.
    pub(crate) data_dir: PathBuf,
    /// SIP listeners and their limits.
    pub(crate) sip: SipSettings,
    /// The certificate of the TLS listeners and of HTTP.
    pub(crate) tls: TlsSettings,
    /// Where HTTP listens.
    pub(crate) http_listen: SocketAddr,
    /// The control socket.
    pub(crate) control: ControlSettings,
    /// Where hardware detection reads DMI.
    pub(crate) dmi_dir: PathBuf,
    /// Logging at start.
    pub(crate) log: LogSettings,
    /// The keys that the file has, as `table.key`; the others have their built-in value.
    pub(crate) written: BTreeSet<String>,
}

/// SIP listeners and their limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SipSettings {
    /// The listeners, in the order of the file.
    pub(crate) listen: Vec<ListenAddress>,
    /// Peers exempt from digest.
    pub(crate) trusted: Vec<AddressBlock>,
    /// Digest algorithms offered, most preferred first.
    pub(crate) digest: Vec<Algorithm>,
    /// Stream connections at one time, all peers together.
    pub(crate) max_connections: usize,
    /// Stream connections at one time from one address that is not trusted.
    pub(crate) max_connections_per_peer: usize,
}

/// One SIP listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ListenAddress {
    /// What it speaks.
    pub(crate) transport: Transport,
    /// Where.
    pub(crate) address: SocketAddr,
}

/// The certificate of the TLS listeners and of HTTP.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct TlsSettings {
    /// A PEM chain and its key; without them a self-signed certificate is made and kept.
    pub(crate) identity: Option<(PathBuf, PathBuf)>,
    /// PEM certificates of authorities whose peers we connect to over TLS.
    pub(crate) trust: Option<PathBuf>,
}

/// The control socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ControlSettings {
    /// Its path.
    pub(crate) socket: PathBuf,
    /// A group whose members may use it besides our own user and root.
    pub(crate) group: Option<String>,
}

/// Logging at start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LogSettings {
    /// The level of every area.
    pub(crate) level: tracing::Level,
    /// JSON lines instead of text.
    pub(crate) json: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSettings {
    domain: Option<Spanned<String>>,
    data_dir: Option<PathBuf>,
    #[serde(default)]
    sip: RawSip,
    #[serde(default)]
    tls: RawTls,
    #[serde(default)]
    http: RawHttp,
    #[serde(default)]
    control: RawControl,
    #[serde(default)]
    platform: RawPlatform,
    #[serde(default)]
    log: RawLog,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct RawSip {
    listen: Option<Spanned<Vec<Spanned<String>>>>,
    trusted: Option<Vec<Spanned<String>>>,
    digest: Option<Vec<Spanned<String>>>,
    max_connections: Option<Spanned<i64>>,
    max_connections_per_peer: Option<Spanned<i64>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct RawTls {
    certificate: Option<Spanned<PathBuf>>,
    key: Option<Spanned<PathBuf>>,
    trust: Option<PathBuf>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct RawHttp {
    listen: Option<Spanned<String>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct RawControl {
    socket: Option<PathBuf>,
    group: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct RawPlatform {
    dmi_dir: Option<PathBuf>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct RawLog {
    level: Option<Spanned<String>>,
    format: Option<Spanned<String>>,
}

impl Settings {
    /// Reads and checks the file.
    pub(crate) fn read(file: &Path) -> Result<Self, SettingsError> {
        let text = std::fs::read_to_string(file)
            .map_err(|source| SettingsError::Unreadable { file: file.to_owned(), source })?;
        Self::parse(&text).map_err(|(offset, fault)| SettingsError::Faulty {
            file: file.to_owned(),
            line: line_of(&text, offset),
            fault,
        })
    }

    /// What holds after the file was changed to `other`, and the keys whose change a restart has
    /// to bring.
    pub(crate) fn followed_by(&self, other: Self) -> (Self, Vec<&'static str>) {
        let mut waiting = Vec::new();
        let mut name = |key, is_changed: bool| {
            if is_changed {
                waiting.push(key);
            }
        };
        name("domain", self.domain != other.domain);
        name("data_dir", self.data_dir != other.data_dir);
        name("sip.listen", self.sip.listen != other.sip.listen);
        name("http.listen", self.http_listen != other.http_listen);
        name("control.socket", self.control.socket != other.control.socket);
        name("control.group", self.control.group != other.control.group);
        name("platform.dmi_dir", self.dmi_dir != other.dmi_dir);
        name("log.format", self.log.json != other.log.json);
        let settings = Self {
            sip: SipSettings { listen: self.sip.listen.clone(), ..other.sip },
            tls: other.tls,
            log: LogSettings { level: other.log.level, json: self.log.json },
            written: other.written,
            domain: self.domain.clone(),
            data_dir: self.data_dir.clone(),
            http_listen: self.http_listen,
            control: self.control.clone(),
            dmi_dir: self.dmi_dir.clone(),
        };
        (settings, waiting)
    }

    fn parse(text: &str) -> Result<Self, (usize, Fault)> {
        let syntax = |e: toml::de::Error| {
            let words = e.message().replace('\n', ", ");
            (e.span().map_or(0, |s| s.start), Fault::Syntax(words))
        };
        let table = DeTable::parse(text).map_err(syntax)?;
        let written = check_keys(table.get_ref())?;
        let raw: RawSettings = toml::from_str(text).map_err(|error| {
            let (offset, fault) = syntax(error);
            match (key_at(table.get_ref(), offset), fault) {
                (Some(key), Fault::Syntax(words)) => (offset, Fault::WrongType { key, words }),
                (_, fault) => (offset, fault),
            }
        })?;

        let domain = raw.domain.ok_or((0, Fault::Missing("domain")))?;
        if !is_domain(domain.get_ref()) {
            return Err(bad(&domain, "domain", "a domain name such as example.com"));
        }
        let sip = raw.sip.check()?;
        let tls = raw.tls.check()?;
        let http_listen = match raw.http.listen {
            None => SocketAddr::from(([127, 0, 0, 1], 8443)),
            Some(value) => value.get_ref().parse().map_err(|_| {
                bad(&value, "http.listen", "an address and port such as 127.0.0.1:8443")
            })?,
        };
        Ok(Self {
            domain: domain.into_inner().to_ascii_lowercase(),
            data_dir: raw.data_dir.unwrap_or_else(|| PathBuf::from("/var/lib/lamplight")),
            sip,
            tls,
            http_listen,
            control: ControlSettings {
                socket: raw
                    .control
                    .socket
                    .unwrap_or_else(|| PathBuf::from("/run/lamplight/presence.sock")),
                group: raw.control.group,
            },
            dmi_dir: raw.platform.dmi_dir.unwrap_or_else(|| PathBuf::from("/sys/class/dmi/id")),
            log: raw.log.check()?,
            written,
        })
    }
}

impl RawSip {
    fn check(self) -> Result<SipSettings, (usize, Fault)> {
        let listen = match self.listen {
            None => [(Transport::Udp, 5060), (Transport::Tcp, 5060), (Transport::Tls, 5061)]
                .map(|(transport, port)| ListenAddress {
                    transport,
                    address: SocketAddr::from(([0, 0, 0, 0], port)),
                })
                .to_vec(),
            Some(list) if !(1..=MAX_LISTENERS).contains(&list.get_ref().len()) => {
                let expected = "a list of 1 to 32 listeners such as \"udp:0.0.0.0:5060\"";
                let value = format!("{} listeners", list.get_ref().len());
                return Err((
                    list.span().start,
                    Fault::BadValue { key: "sip.listen", value, expected },
                ));
            }
            Some(list) => list.into_inner().iter().map(listen_address).collect::<Result<_, _>>()?,
        };
        let trusted =
            self.trusted.unwrap_or_default().iter().map(network).collect::<Result<_, _>>()?;
        let digest = match self.digest.filter(|list| !list.is_empty()) {
            None => vec![Algorithm::Sha256, Algorithm::Md5],
            Some(list) => list.iter().map(algorithm).collect::<Result<_, _>>()?,
        };
        Ok(SipSettings {
            listen,
            trusted,
            digest,
            max_connections: count(self.max_connections, "sip.max_connections", 20_000)?,
            max_connections_per_peer: count(
                self.max_connections_per_peer,
                "sip.max_connections_per_peer",
                512,
            )?,
        })
    }
}

impl RawTls {
    fn check(self) -> Result<TlsSettings, (usize, Fault)> {
        let identity = match (self.certificate, self.key) {
            (None, None) => None,
            (Some(certificate), Some(key)) => Some((certificate.into_inner(), key.into_inner())),
            (Some(certificate), None) => {
                let fault = Fault::Alone { given: "tls.certificate", needed: "tls.key" };
                return Err((certificate.span().start, fault));
            }
            (None, Some(key)) => {
                let fault = Fault::Alone { given: "tls.key", needed: "tls.certificate" };
                return Err((key.span().start, fault));
            }
        };
        Ok(TlsSettings { identity, trust: self.trust })
    }
}

impl RawLog {
    fn check(self) -> Result<LogSettings, (usize, Fault)> {
        let level = match self.level {
            None => tracing::Level::INFO,
            Some(value) => value
                .get_ref()
                .parse()
                .map_err(|_| bad(&value, "log.level", "one of error, warn, info, debug, trace"))?,
        };
        let json = match &self.format {
            None => false,
            Some(value) if value.get_ref() == "text" => false,
            Some(value) if value.get_ref() == "json" => true,
            Some(value) => return Err(bad(value, "log.format", "\"text\" or \"json\"")),
        };
        Ok(LogSettings { level, json })
    }
}

fn bad(value: &Spanned<String>, key: &'static str, expected: &'static str) -> (usize, Fault) {
    (value.span().start, Fault::BadValue { key, value: value.get_ref().clone(), expected })
}

fn count(
    value: Option<Spanned<i64>>,
    key: &'static str,
    default: usize,
) -> Result<usize, (usize, Fault)> {
    let Some(value) = value else { return Ok(default) };
    match usize::try_from(*value.get_ref()) {
        Ok(number @ 1..=1_000_000) => Ok(number),
        _ => {
            let written = value.get_ref().to_string();
            let expected = "a number from 1 to 1000000";
            Err((value.span().start, Fault::BadValue { key, value: written, expected }))
        }
    }
}

fn listen_address(value: &Spanned<String>) -> Result<ListenAddress, (usize, Fault)> {
    let expected = "a transport (udp, tcp, tls, ws, wss), an address and a port such as \
                    \"udp:192.0.2.1:5060\" or \"tls:[::]:5061\"";
    let fault = || bad(value, "sip.listen", expected);
    let (transport, address) = value.get_ref().split_once(':').ok_or_else(fault)?;
    let transport: Transport = transport.parse().map_err(|_| fault())?;
    Ok(ListenAddress { transport, address: address.parse().map_err(|_| fault())? })
}

fn algorithm(value: &Spanned<String>) -> Result<Algorithm, (usize, Fault)> {
    match value.get_ref().to_ascii_uppercase().as_str() {
        "SHA-256" => Ok(Algorithm::Sha256),
        "MD5" => Ok(Algorithm::Md5),
        _ => Err(bad(value, "sip.digest", "a list of \"SHA-256\" and \"MD5\"")),
    }
}

fn network(value: &Spanned<String>) -> Result<AddressBlock, (usize, Fault)> {
    let fault =
        || bad(value, "sip.trusted", "an address or a network such as 192.0.2.0/24 or ::1/128");
    let (address, length) = match value.get_ref().split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (value.get_ref().as_str(), None),
    };
    let address: IpAddr = address.parse().map_err(|_| fault())?;
    let longest = if address.is_ipv4() { 32 } else { 128 };
    let length = match length {
        None => longest,
        Some(length) => length.parse().map_err(|_| fault())?,
    };
    if length > longest { Err(fault()) } else { Ok(AddressBlock { address, prefix: length }) }
}

fn is_domain(name: &str) -> bool {
    if name.parse::<IpAddr>().is_ok() {
        return true;
    }
    !name.is_empty()
        && name.len() <= 253
        && name.split('.').all(|label| {
            !label.is_empty()
                && label.len() <= 63
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        })
}

fn check_keys(top: &DeTable<'_>) -> Result<BTreeSet<String>, (usize, Fault)> {
    let mut written = BTreeSet::new();
    for (table, valid) in KEYS {
        let keys = if table.is_empty() {
            Some(top)
        } else {
            top.get(*table).and_then(|value| value.get_ref().as_table())
        };
        for key in keys.into_iter().flat_map(|keys| keys.keys()) {
            let name: &str = key.get_ref();
            if !valid.contains(&name) {
                let nearest =
                    valid.iter().min_by_key(|v| edit_distance(v, name)).copied().unwrap_or("");
                let fault = Fault::UnknownKey { key: name.to_owned(), table, nearest };
                return Err((key.span().start, fault));
            }
            written.insert(if table.is_empty() {
                name.to_owned()
            } else {
                format!("{table}.{name}")
            });
        }
    }
    Ok(written)
}

/// The key whose value lies around a place in the file.
fn key_at(top: &DeTable<'_>, offset: usize) -> Option<String> {
    top.iter().find_map(|(key, value)| {
        let name: &str = key.get_ref();
        match value.get_ref().as_table() {
            Some(table) => key_at(table, offset).map(|inner| format!("{name}.{inner}")),
            None => value.span().contains(&offset).then(|| name.to_owned()),
        }
    })
}

fn edit_distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut next = vec![i + 1];
        for ((to, above), diagonal) in b.chars().zip(row.iter().skip(1)).zip(&row) {
            let left = next.last().copied().unwrap_or(usize::MAX);
            next.push((diagonal + usize::from(from != to)).min(above + 1).min(left + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|b| *b == b'\n').count() + 1
}

#[cfg(test)]
mod tests;
