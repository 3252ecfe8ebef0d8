//! The control socket: who may use it, one request after another on each connection, bounded.

use std::io;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::sync::Arc;
use std::time::Duration;

use admin_api::framing::LineFramer;
use admin_api::platform::answer::Answer;
use admin_api::platform::request::Request;
use admin_api::platform::upgrade::UpgradeSource;
use admin_api::refusal::{Refusal, RefusalCode};
use admin_api::wire;
use anyhow::Context as _;
use nix::unistd::Group;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::config::Config;
use crate::platform::Platform;

/// Connections at one time.
const CONNECTIONS: usize = 32;
/// How long a connection may be silent between two requests.
const IDLE_FOR: Duration = Duration::from_secs(3_600);
/// How long a client may take to send the rest of a line, or to take an answer.
const LINE_WITHIN: Duration = Duration::from_secs(30);
/// Bytes taken by one read.
const READ_BYTES: usize = 16 * 1024;
/// Pause after the machine refused to accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Opens the socket for root and the members of its group.
///
/// # Errors
/// The file system refuses, or there is no such group.
pub(crate) fn bind(config: &Config) -> anyhow::Result<UnixListener> {
    let path = &config.socket;
    let context = || format!("cannot open the control socket {}", path.display());
    let group = Group::from_name(&config.socket_group)
        .ok()
        .flatten()
        .with_context(|| format!("there is no group {:?}", config.socket_group))?;
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).with_context(context)?;
    }
    // The service manager sees to it that there is one of us.
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(error).with_context(context);
        }
        _ => {}
    }
    // Made private first: nobody may slip in before the mode is set.
    let mask = nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o177));
    let listener = UnixListener::bind(path);
    nix::sys::stat::umask(mask);
    let listener = listener.with_context(context)?;
    chown(path, None, Some(group.gid.as_raw())).with_context(context)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660)).with_context(context)?;
    Ok(listener)
}

/// Serves for ever.
pub(crate) async fn serve(listener: UnixListener, platform: Arc<Platform>) {
    let connections = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&connections).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let platform = Arc::clone(&platform);
                tokio::spawn(async move {
                    let _place = place;
                    if let Err(error) = serve_connection(stream, &platform).await {
                        tracing::debug!(%error, "a control connection ended");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a control connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve_connection(mut stream: UnixStream, platform: &Arc<Platform>) -> io::Result<()> {
    // The kernel has checked the group at connect: the socket's mode is 0660.
    let peer = stream.peer_cred()?;
    let mut framer = LineFramer::new();
    // Lines may hold passwords.
    let mut chunk = Zeroizing::new(vec![0; READ_BYTES]);
    loop {
        match framer.next_line() {
            Ok(Some(line)) => {
                let reply = match wire::decode_request::<Request>(&line) {
                    Ok(request) => {
                        drop(line);
                        let what = change(&request);
                        let reply = Box::pin(platform.answer(request)).await;
                        if let Some(what) = what {
                            audit(peer.uid(), what, &reply);
                        }
                        reply
                    }
                    Err(failure) => Err(Refusal::from(failure)),
                };
                write(&mut stream, &Zeroizing::new(wire::encode_reply(&reply))).await?;
            }
            Ok(None) => {
                let within = if framer.is_mid_line() { LINE_WITHIN } else { IDLE_FOR };
                match timeout(within, stream.read(&mut chunk)).await?? {
                    0 => return Ok(()),
                    count => framer.push(chunk.get(..count).unwrap_or_default()),
                }
            }
            Err(too_long) => {
                let refusal = Refusal::new(
                    RefusalCode::TooLarge,
                    too_long.to_string(),
                    "control socket",
                    "send less at once",
                );
                return write(&mut stream, &wire::encode_reply::<Answer>(&Err(refusal))).await;
            }
        }
    }
}

/// What a request changes, without any of its secrets; none when it only looks.
fn change(request: &Request) -> Option<String> {
    Some(match request {
        Request::SetUp(_) => "set up".to_owned(),
        Request::SetPassword { .. } => "set password".to_owned(),
        Request::StartRecovery => "begin to replace a lost password".to_owned(),
        Request::FinishRecovery { .. } => "replace a lost password".to_owned(),
        Request::AddSshKey { .. } => "add an SSH key".to_owned(),
        Request::SetSyslog { syslog: None } => "send logs nowhere".to_owned(),
        Request::SetSyslog { syslog: Some(syslog) } => format!("send logs to {:?}", syslog.host),
        Request::SetTrust { pem: None } => "believe no certificate".to_owned(),
        Request::SetTrust { pem: Some(_) } => "believe certificates".to_owned(),
        // Somebody may have written a password into it.
        Request::InstallUpgrade(UpgradeSource::Url { url, .. }) => {
            format!("install an upgrade from {:?}", url.rsplit('@').next().unwrap_or_default())
        }
        Request::SetBackupPassphrase { passphrase: None } => "forget the passphrase".to_owned(),
        Request::SetBackupPassphrase { passphrase: Some(_) } => {
            "set the passphrase of backups".to_owned()
        }
        Request::SetBackupSchedule { schedule: None } => "make no backups by itself".to_owned(),
        Request::SetBackupSchedule { schedule: Some(_) } => "schedule backups".to_owned(),
        Request::CreateBackup(_) => "make a backup".to_owned(),
        Request::RestoreBackup { .. } => "restore a backup".to_owned(),
        Request::FactoryReset
        | Request::ForgetHost { .. }
        | Request::DeleteSshKey { .. }
        | Request::SetIpv4(_)
        | Request::SetIpv6(_)
        | Request::SetNameServers { .. }
        | Request::SetMtu { .. }
        | Request::ConfirmNetwork
        | Request::RevertNetwork
        | Request::SetHostName { .. }
        | Request::SetTimeZone { .. }
        | Request::SetTimeServers { .. }
        | Request::SetClock { .. }
        | Request::SetDomain { .. }
        | Request::SetSip(_)
        | Request::RestartService { .. }
        | Request::DeleteFile { .. }
        | Request::InstallUpgrade(_)
        | Request::CancelUpgrade
        | Request::SwitchVersion
        | Request::StartTool(_)
        | Request::Restart
        | Request::Shutdown => format!("{request:?}"),
        Request::WriteUpload { name, offset: 0, .. } => format!("write the upload {name:?}"),
        Request::WriteUpload { .. }
        | Request::ShowUpgrade
        | Request::ShowTrust
        | Request::ShowBackups
        | Request::ListBackups(_)
        | Request::ShowClientKey
        | Request::ShowPlatform
        | Request::CheckPassword { .. }
        | Request::ShowRecovery
        | Request::ListSshKeys
        | Request::ShowNetwork
        | Request::ShowTime
        | Request::ListTimeZones
        | Request::ShowSip
        | Request::ShowSyslog
        | Request::ListServices
        | Request::ListLogs
        | Request::ReadLog(_)
        | Request::ListFiles { .. }
        | Request::ReadFile { .. }
        | Request::ReadTool { .. }
        | Request::StopTool { .. } => return None,
    })
}

fn audit(uid: u32, what: String, reply: &Result<Answer, Refusal>) {
    match reply {
        Ok(_) => tracing::info!(target: "audit", uid, what, "done"),
        Err(refusal) => tracing::info!(target: "audit", uid, what, %refusal, "refused"),
    }
}

async fn write(stream: &mut UnixStream, bytes: &[u8]) -> io::Result<()> {
    timeout(LINE_WITHIN, stream.write_all(bytes)).await?
}
