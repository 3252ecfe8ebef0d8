//! Files on other machines, by HTTP, HTTPS and SFTP, named by a URL.

pub(crate) mod http;
pub(crate) mod sftp;

use std::fmt;
use std::time::Duration;

use admin_api::secret::Secret;
use url::Url;

use self::http::Believed;
use crate::config::Config;
use crate::settings::Settings;

/// How long a server may take to be reached.
const CONNECT_WITHIN: Duration = Duration::from_secs(20);
/// How long a server may be silent in between.
const SILENT_FOR: Duration = Duration::from_secs(60);

/// How it is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    Http,
    Https,
    Sftp,
}

/// A file, or a directory, on another machine.
#[derive(Clone)]
pub(crate) struct Remote {
    pub(crate) scheme: Scheme,
    /// A name, or an address without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// As the URL has it, with a query.
    pub(crate) target: String,
    /// Who signs in.
    pub(crate) user: Option<String>,
    pub(crate) password: Option<Secret>,
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
            Scheme::Sftp => "sftp",
        };
        write!(f, "{scheme}://{}:{}{}", self.bracketed_host(), self.port, self.target)
    }
}

impl Remote {
    /// Reads a URL.
    ///
    /// # Errors
    /// In words for an administrator.
    pub(crate) fn parse(url: &str, password: Option<Secret>) -> Result<Self, String> {
        let url = Url::parse(url).map_err(|error| format!("{url:?} is no URL: {error}"))?;
        let (scheme, port) = match url.scheme() {
            "http" => (Scheme::Http, 80),
            "https" => (Scheme::Https, 443),
            "sftp" => (Scheme::Sftp, 22),
            other => return Err(format!("{other} is not taken: use https, http or sftp")),
        };
        if url.password().is_some() {
            return Err("a password does not belong into a URL, where it is shown: \
                        leave it out and add the word \"password\""
                .to_owned());
        }
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or("the URL names no host")?;
        let user = Some(url.username()).filter(|user| !user.is_empty()).map(str::to_owned);
        if user.as_ref().is_some_and(|user| !user.bytes().all(is_plain)) {
            return Err("the user's name has characters that are not taken".to_owned());
        }
        if scheme == Scheme::Sftp && user.is_none() {
            return Err("the URL names no user: sftp://USER@HOST/PATH".to_owned());
        }
        if password.is_some() && user.is_none() {
            return Err("a password needs a user: https://USER@HOST/PATH".to_owned());
        }
        let target = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        Ok(Self {
            scheme,
            host: host.trim_matches(['[', ']']).to_owned(),
            port: url.port().unwrap_or(port),
            target,
            user,
            password,
        })
    }

    /// The host as a URL or a Host field has it.
    pub(crate) fn bracketed_host(&self) -> String {
        if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() }
    }

    /// A file in what is a directory.
    pub(crate) fn joined(&self, name: &str) -> Self {
        let target = format!("{}/{name}", self.target.trim_end_matches('/'));
        Self { target, ..self.clone() }
    }
}

/// Whose certificate is believed. What is fetched proves itself, by its signature or its
/// passphrase; a password is for nobody but the right server.
///
/// # Errors
/// In words for an administrator.
pub(crate) fn believed(config: &Config, remote: &Remote) -> Result<Believed, String> {
    let settings = Settings::load(&config.settings()).ok().flatten();
    let trusted = settings.map(|settings| settings.trust_pem).unwrap_or_default();
    if !trusted.is_empty() {
        return Ok(Believed::Given(trusted));
    }
    match (remote.scheme, &remote.password) {
        (Scheme::Https, Some(_)) => Err("no server's certificate is trusted, so that no password \
                                         is sent: \"set trust\" takes certificates"
            .to_owned()),
        (Scheme::Http, Some(_)) => {
            Err("a password is not sent without TLS: use https or sftp".to_owned())
        }
        _ => Ok(Believed::Anybody),
    }
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._+@=-".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::{Remote, Scheme};

    #[test]
    fn urls_are_read() {
        let remote = Remote::parse("https://files.example.org/l/a.raucb?x=1", None).unwrap();
        assert_eq!((remote.scheme, remote.port), (Scheme::Https, 443));
        assert_eq!(
            (remote.host.as_str(), remote.target.as_str()),
            ("files.example.org", "/l/a.raucb?x=1")
        );
        let remote = Remote::parse("sftp://anna@[2001:db8::1]:2022/home/anna/", None).unwrap();
        assert_eq!((remote.host.as_str(), remote.port), ("2001:db8::1", 2_022));
        assert_eq!(remote.bracketed_host(), "[2001:db8::1]");
        assert_eq!(remote.joined("x").target, "/home/anna/x");
        assert_eq!(remote.user.as_deref(), Some("anna"));
    }

    #[test]
    fn what_cannot_be_is_said() {
        for (url, why) in [
            ("nonsense", "no URL"),
            ("ftp://host/x", "not taken"),
            ("sftp://host/x", "names no user"),
            ("https://a:secret@host/x", "does not belong"),
            ("sftp://-oProxyCommand%3Dx@host/x", "not taken"),
            ("file:///etc/shadow", "not taken"),
        ] {
            let told = Remote::parse(url, None).unwrap_err();
            assert!(told.contains(why), "{url}: {told}");
        }
    }
}
