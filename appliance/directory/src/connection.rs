//! A connection to one of the servers of a directory: TLS, bind, and searches page by page.

use std::sync::Arc;
use std::time::Duration;

use ldap3::controls::{Control, ControlType, PagedResults, RawControl};
use ldap3::{Ldap, LdapConnAsync, LdapConnSettings, LdapResult, Scope, StdStream};
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::entry::Entry;
use crate::failure::{Failure, FailureKind};
use crate::settings::{Directory, Security, host_and_port};

/// How long a server may take to be reached, TLS included.
const CONNECT_WITHIN: Duration = Duration::from_secs(8);
/// How long a server may be silent.
const SILENT_FOR: Duration = Duration::from_secs(30);
/// Entries in a page.
const PAGE: i32 = 500;
/// The most entries that are read.
const MOST_ENTRIES: usize = 250_000;

/// A connection; it ends when it is dropped.
pub struct Connection {
    ldap: Ldap,
    server: String,
    driver: JoinHandle<()>,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("server", &self.server).finish_non_exhaustive()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// What a search came to, beside its entries.
#[derive(Debug, Default)]
pub(crate) struct Searched {
    /// References to other servers, which are not followed.
    pub(crate) references: usize,
    /// Controls of the final answer.
    pub(crate) controls: Vec<Control>,
}

/// One thing that a search returned.
#[derive(Debug)]
pub(crate) enum Returned {
    /// An entry, and what came with it.
    Entry(Entry, Vec<Control>),
    /// Something in between (RFC 4511 §4.13).
    Intermediate(ldap3::ResultEntry),
}

/// What is searched for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Search<'a> {
    pub(crate) base: &'a str,
    pub(crate) scope: Scope,
    pub(crate) filter: &'a str,
    pub(crate) attributes: &'a [&'a str],
}

impl Connection {
    /// Connects to the first server that can be reached, and binds with the directory's account.
    ///
    /// # Errors
    /// That of the first server, when none can be used, or what the bind says.
    pub async fn open(
        directory: &Directory,
        tls: Option<&Arc<ClientConfig>>,
    ) -> Result<Self, Failure> {
        directory.check()?;
        let mut first = None;
        for server in &directory.servers {
            let opened = match Self::connect(directory.security, server, tls).await {
                Ok(mut connection) => {
                    let bound =
                        connection.bind(&directory.bind_dn, directory.password.expose()).await;
                    bound.map(|()| connection)
                }
                Err(failure) => Err(failure),
            };
            match opened {
                Ok(connection) => return Ok(connection),
                Err(failure) if failure.is_of_one_server() => {
                    tracing::info!(%failure, "trying the next server");
                    first = first.or(Some(failure));
                }
                Err(failure) => return Err(failure),
            }
        }
        Err(first.unwrap_or_else(|| {
            Failure::new(FailureKind::Settings, &directory.name, "no server is set")
        }))
    }

    /// Connects to one server.
    ///
    /// # Errors
    /// It cannot be reached, or is not who it should be.
    pub async fn connect(
        security: Security,
        server: &str,
        tls: Option<&Arc<ClientConfig>>,
    ) -> Result<Self, Failure> {
        let failed = |kind, what: String| Failure::new(kind, server, what);
        let Some((host, port)) = host_and_port(server, security) else {
            return Err(failed(FailureKind::Settings, "this is no server's name".to_owned()));
        };
        let reach =
            async { TcpStream::connect((host.as_str(), port)).await.and_then(TcpStream::into_std) };
        let stream = timeout(CONNECT_WITHIN, reach)
            .await
            .map_err(|_| failed(FailureKind::Unreachable, "it does not answer".to_owned()))?
            .map_err(|error| failed(FailureKind::Unreachable, format!("not reached: {error}")))?;
        let mut settings = LdapConnSettings::new()
            .set_conn_timeout(CONNECT_WITHIN)
            .set_std_stream(StdStream::Tcp(stream));
        if security != Security::Plain {
            if host.contains(':') {
                let what = "a server with TLS is named, not given by its IPv6 address".to_owned();
                return Err(failed(FailureKind::Settings, what));
            }
            let Some(config) = tls else {
                return Err(failed(FailureKind::Settings, "no certificate is trusted".to_owned()));
            };
            settings = settings
                .set_config(Arc::clone(config))
                .set_starttls(security == Security::StartTls);
        }
        let scheme = if security == Security::Ldaps { "ldaps" } else { "ldap" };
        let shown = if host.contains(':') { format!("[{host}]") } else { host };
        let url = format!("{scheme}://{shown}:{port}");
        let (connection, ldap) = LdapConnAsync::with_settings(settings, &url)
            .await
            .map_err(|error| Failure::of_error(server, &error))?;
        // The library panics on some of what is no LDAP: a task of its own dies alone.
        let driver = tokio::spawn(async move {
            if let Err(error) = connection.drive().await {
                tracing::debug!(%error, "an LDAP connection ended");
            }
        });
        Ok(Self { ldap, server: server.to_owned(), driver })
    }

    /// The server at the other end.
    #[must_use]
    pub fn server(&self) -> &str {
        &self.server
    }

    /// Proves who we are (RFC 4513 §5.1); with an empty name, that we are nobody.
    ///
    /// # Errors
    /// The server does not believe it.
    pub async fn bind(&mut self, dn: &str, password: &str) -> Result<(), Failure> {
        if !dn.is_empty() && password.is_empty() {
            // Servers take a name without a password for nobody, and say that it is well.
            let what = "the account has no password";
            return Err(Failure::new(FailureKind::Credentials, &self.server, what));
        }
        let result = self.ldap.with_timeout(SILENT_FOR).simple_bind(dn, password).await;
        self.succeeded(result)
    }

    fn succeeded(&self, result: Result<LdapResult, ldap3::LdapError>) -> Result<(), Failure> {
        match result {
            Ok(result) if result.rc == 0 => Ok(()),
            Ok(result) => Err(Failure::of_result(&self.server, &result)),
            Err(error) => Err(Failure::of_error(&self.server, &error)),
        }
    }

    /// Searches page by page (RFC 2696).
    pub(crate) async fn search_pages(
        &mut self,
        search: Search<'_>,
        extra: &[RawControl],
        mut take: impl FnMut(Entry) -> Result<(), Failure>,
    ) -> Result<usize, Failure> {
        let (mut cookie, mut references, mut count) = (Vec::new(), 0, 0_usize);
        loop {
            let mut controls = vec![PagedResults { size: PAGE, cookie }.into()];
            controls.extend_from_slice(extra);
            let searched = self
                .search_once(search, controls, |returned| {
                    count += 1;
                    match returned {
                        Returned::Entry(entry, _) => take(entry),
                        Returned::Intermediate(_) => Ok(()),
                    }
                })
                .await?;
            if count > MOST_ENTRIES {
                let what = format!("there are more than {MOST_ENTRIES} entries");
                return Err(Failure::new(FailureKind::Incomplete, &self.server, what));
            }
            references += searched.references;
            cookie = next_page(&searched.controls);
            if cookie.is_empty() {
                return Ok(references);
            }
        }
    }

    /// Searches once, and hands over what comes as it comes.
    pub(crate) async fn search_once(
        &mut self,
        search: Search<'_>,
        controls: Vec<RawControl>,
        mut take: impl FnMut(Returned) -> Result<(), Failure>,
    ) -> Result<Searched, Failure> {
        let Self { ldap, server, .. } = self;
        let failed = |error: ldap3::LdapError| Failure::of_error(server, &error);
        ldap.with_timeout(SILENT_FOR);
        if !controls.is_empty() {
            ldap.with_controls(controls);
        }
        let mut stream = ldap
            .streaming_search(search.base, search.scope, search.filter, search.attributes)
            .await
            .map_err(failed)?;
        let mut references = 0;
        while let Some(found) = stream.next().await.map_err(failed)? {
            if found.is_ref() {
                references += 1;
            } else if found.is_intermediate() {
                take(Returned::Intermediate(found))?;
            } else {
                let controls = found.1.clone();
                let entry = Entry::read(found).ok_or_else(|| {
                    let what = "the server sent an entry that cannot be read";
                    Failure::new(FailureKind::Malformed, server.as_str(), what)
                })?;
                take(Returned::Entry(entry, controls))?;
            }
        }
        let result = stream.finish().await;
        if result.rc != 0 {
            let place = if search.base.is_empty() { server.as_str() } else { search.base };
            return Err(Failure::of_result(place, &result));
        }
        Ok(Searched { references, controls: result.ctrls })
    }

    /// One entry by its name; none when it is not there.
    pub(crate) async fn entry(
        &mut self,
        dn: &str,
        attributes: &[&str],
    ) -> Result<Option<Entry>, Failure> {
        let search = Search { base: dn, scope: Scope::Base, filter: "(objectClass=*)", attributes };
        let mut found = None;
        let searched = self
            .search_once(search, Vec::new(), |returned| {
                if let Returned::Entry(entry, _) = returned {
                    found = Some(entry);
                }
                Ok(())
            })
            .await;
        match searched {
            Ok(_) => Ok(found),
            Err(failure) if failure.kind == FailureKind::Base => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// What the server says of itself (RFC 4512 §5.1).
    pub(crate) async fn root(&mut self, attributes: &[&str]) -> Result<Entry, Failure> {
        let root = self.entry("", attributes).await?;
        root.ok_or_else(|| {
            let what = "the server says nothing of itself: the root DSE is not readable";
            Failure::new(FailureKind::Malformed, &self.server, what)
        })
    }
}

/// What continues a search on its next page; empty at the end.
fn next_page(controls: &[Control]) -> Vec<u8> {
    controls
        .iter()
        .find(|control| matches!(control.0, Some(ControlType::PagedResults)))
        .filter(|control| control.1.val.is_some())
        .map(|control| control.1.parse::<PagedResults>().cookie)
        .unwrap_or_default()
}

/// Whether a text is a filter (RFC 4515).
#[must_use]
pub fn is_filter(text: &str) -> bool {
    ldap3::parse_filter(text).is_ok()
}
