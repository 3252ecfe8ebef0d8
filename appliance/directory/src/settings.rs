//! A directory as an administrator describes it.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::attribute::{AttributeMap, Field};
use crate::failure::{Failure, FailureKind};

/// The most servers of one directory.
pub const MOST_SERVERS: usize = 3;

/// Whose product it is, which says what attributes and filters are usual.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Kind {
    /// OpenLDAP, and others with inetOrgPerson (RFC 2798).
    #[default]
    OpenLdap,
    /// Active Directory.
    ActiveDirectory,
    /// Active Directory Lightweight Directory Services.
    AdLds,
    /// 389 Directory Server and its relatives.
    Ds389,
}

impl Kind {
    /// All of them with their names in the CLI.
    pub const NAMES: [(Self, &'static str); 4] = [
        (Self::OpenLdap, "openldap"),
        (Self::ActiveDirectory, "ad"),
        (Self::AdLds, "adlds"),
        (Self::Ds389, "389"),
    ];

    /// Its name in the CLI.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(kind, _)| *kind == self).map_or("", |(_, name)| name)
    }

    /// The kind of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(_, known)| *known == name).map(|(kind, _)| *kind)
    }

    /// The filter that finds people who may be users.
    #[must_use]
    pub const fn usual_filter(self) -> &'static str {
        match self {
            Self::OpenLdap | Self::Ds389 => "(objectClass=inetOrgPerson)",
            Self::ActiveDirectory => {
                "(&(objectCategory=person)(objectClass=user)(!(objectClass=computer))\
                 (!(userAccountControl:1.2.840.113556.1.4.803:=2)))"
            }
            Self::AdLds => "(&(objectClass=user)(!(msDS-UserAccountDisabled=TRUE)))",
        }
    }

    /// The attribute whose value stays when an entry is renamed or moved.
    #[must_use]
    pub const fn key_attribute(self) -> &'static str {
        match self {
            Self::OpenLdap => "entryUUID",
            Self::ActiveDirectory | Self::AdLds => "objectGUID",
            Self::Ds389 => "nsUniqueId",
        }
    }

    /// Whether it numbers its changes (uSNChanged).
    #[must_use]
    pub const fn numbers_changes(self) -> bool {
        matches!(self, Self::ActiveDirectory | Self::AdLds)
    }
}

/// How the connection is kept from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Security {
    /// TLS from the first octet, port 636.
    #[default]
    Ldaps,
    /// TLS after StartTLS (RFC 4511 §4.14), port 389.
    StartTls,
    /// Not at all, port 389.
    Plain,
}

impl Security {
    /// All of them with their names in the CLI.
    pub const NAMES: [(Self, &'static str); 3] =
        [(Self::Ldaps, "ldaps"), (Self::StartTls, "starttls"), (Self::Plain, "plain")];

    /// Its name in the CLI.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(security, _)| *security == self).map_or("", |(_, name)| name)
    }

    /// The one of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(_, known)| *known == name).map(|(security, _)| *security)
    }

    pub(crate) const fn port(self) -> u16 {
        match self {
            Self::Ldaps => 636,
            Self::StartTls | Self::Plain => 389,
        }
    }
}

/// A password; it shows itself to nobody, and leaves memory when it is dropped.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Password(Zeroizing<String>);

impl Password {
    /// Takes a password.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The password.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password")
    }
}

/// A directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Directory {
    /// What the administrator calls it.
    pub name: String,
    /// Whose product it is.
    pub kind: Kind,
    /// Servers with the same content, `HOST` or `HOST:PORT`, tried in this order.
    pub servers: Vec<String>,
    /// How the connection is kept from others.
    pub security: Security,
    /// Certificates, PEM, of servers or of authorities that are believed.
    pub trust_pem: String,
    /// SHA-256 fingerprints of certificates that are believed.
    pub pins: Vec<[u8; 32]>,
    /// The account that reads; empty for none (anonymous).
    pub bind_dn: String,
    /// Its password; the caller keeps it.
    #[serde(skip)]
    pub password: Password,
    /// The entry below which people are.
    pub base: String,
    /// Whether only the entries directly below it count.
    pub is_one_level: bool,
    /// Which entries are people; empty for what is usual.
    pub filter: String,
    /// Attributes other than the usual ones.
    pub attributes: BTreeMap<Field, String>,
    /// Which entries are groups that become lists; empty for none.
    pub group_filter: String,
    /// Minutes from one synchronisation to the next; 0 for only when asked.
    pub every_minutes: u32,
    /// Hours from when an entry vanishes until its user is deleted.
    pub grace_hours: u32,
}

impl Directory {
    /// A directory of which nothing is known yet.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            kind: Kind::default(),
            servers: Vec::new(),
            security: Security::default(),
            trust_pem: String::new(),
            pins: Vec::new(),
            bind_dn: String::new(),
            password: Password::default(),
            base: String::new(),
            is_one_level: false,
            filter: String::new(),
            attributes: BTreeMap::new(),
            group_filter: String::new(),
            every_minutes: 0,
            grace_hours: 24,
        }
    }

    /// Which attribute holds which field.
    #[must_use]
    pub fn map(&self) -> AttributeMap {
        AttributeMap::new(self.kind, &self.attributes)
    }

    /// The filter that finds people.
    #[must_use]
    pub fn people(&self) -> &str {
        if self.filter.is_empty() { self.kind.usual_filter() } else { &self.filter }
    }

    /// # Errors
    /// Something that is needed is missing, or does not go together.
    pub fn check(&self) -> Result<(), Failure> {
        let missing = |what: &str| {
            let place = format!("ldap {}", self.name);
            Err(Failure::new(FailureKind::Settings, place, what))
        };
        if self.servers.is_empty() {
            return missing("no server is set: \"set ldap NAME servers HOST,HOST\"");
        }
        if self.base.is_empty() {
            return missing("no base is set: \"set ldap NAME base DN\"");
        }
        if self.security != Security::Plain && self.trust_pem.is_empty() && self.pins.is_empty() {
            return missing("no certificate is trusted: \"set ldap NAME trust\" or \"pin\"");
        }
        if self.map().of(Field::Id).is_none() {
            return missing("no attribute holds the id: \"set ldap NAME attributes id=uid\"");
        }
        Ok(())
    }
}

/// The host and the port of a server, where the text names one.
#[must_use]
pub fn host_and_port(server: &str, security: Security) -> Option<(String, u16)> {
    let usual = security.port();
    if let Some(rest) = server.strip_prefix('[') {
        let (host, port) = rest.split_once(']')?;
        host.parse::<std::net::Ipv6Addr>().ok()?;
        let port = match port.strip_prefix(':') {
            Some(port) => port.parse().ok()?,
            None if port.is_empty() => usual,
            None => return None,
        };
        return Some((host.to_owned(), port));
    }
    let (host, port) = match server.split_once(':') {
        Some((_, rest)) if rest.contains(':') => {
            server.parse::<std::net::Ipv6Addr>().ok()?;
            (server, usual)
        }
        Some((host, port)) => (host, port.parse().ok()?),
        None => (server, usual),
    };
    let is_name = !host.is_empty()
        && host.len() <= 253
        && host.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-._:".contains(&octet));
    (is_name && port != 0).then(|| (host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_have_the_port_of_their_security_unless_they_name_one() {
        let read = |text| host_and_port(text, Security::Ldaps);
        let is = |host: &str, port| Some((host.to_owned(), port));
        assert_eq!(read("ldap.example.org"), is("ldap.example.org", 636));
        assert_eq!(read("ldap.example.org:3269"), is("ldap.example.org", 3269));
        assert_eq!(read("192.0.2.1:389"), is("192.0.2.1", 389));
        assert_eq!(read("2001:db8::1"), is("2001:db8::1", 636));
        assert_eq!(read("[2001:db8::1]:389"), is("2001:db8::1", 389));
        assert_eq!(host_and_port("h", Security::StartTls), is("h", 389));
        for wrong in
            ["", ":389", "h:0", "h:x", "h:70000", "[::1", "[::1]x", "a b", "ldap://h", "::g"]
        {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let mut directory = Directory::new("office");
        let told = |directory: &Directory| directory.check().unwrap_err().what;
        assert!(told(&directory).contains("no server"));
        directory.servers.push("ldap.example.org".to_owned());
        assert!(told(&directory).contains("no base"));
        directory.base = "dc=example,dc=org".to_owned();
        assert!(told(&directory).contains("no certificate"));
        directory.pins.push([0; 32]);
        directory.attributes.insert(Field::Id, String::new());
        assert!(told(&directory).contains("no attribute holds the id"));
        directory.attributes.clear();
        directory.check().unwrap();
    }
}
