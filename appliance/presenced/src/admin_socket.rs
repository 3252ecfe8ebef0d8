//! The control socket: who may use it, one request after another on each connection, bounded.

use std::io;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use admin_api::answer::Answer;
use admin_api::framing::LineFramer;
use admin_api::refusal::{Refusal, RefusalCode};
use admin_api::wire;
use nix::unistd::{Group, Uid};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::node::Node;
use crate::settings::ControlSettings;
use crate::{administration, audit};

/// Connections at one time.
const CONNECTIONS: usize = 64;
/// How long a connection may be silent between two requests.
const IDLE_FOR: Duration = Duration::from_secs(3_600);
/// How long a client may take to send the rest of a line, or to take an answer.
const LINE_WITHIN: Duration = Duration::from_secs(30);
/// Bytes taken by one read.
const READ_BYTES: usize = 64 * 1024;
/// Pause after the machine refused to accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why the control socket cannot be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ControlFailure {
    /// Another daemon answers there.
    #[error("{}: another daemon is using this control socket", .0.display())]
    InUse(PathBuf),
    /// Something else is in its place.
    #[error("{}: this is not a socket; remove it", .0.display())]
    NotASocket(PathBuf),
    /// There is no such group.
    #[error("control.group: there is no group \"{0}\"")]
    UnknownGroup(String),
    /// The file system refuses.
    #[error("{}: cannot open the control socket", path.display())]
    Io {
        /// The socket.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// The socket's file; removed when dropped.
#[derive(Debug)]
pub(crate) struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.0) {
            tracing::debug!(%error, "the control socket could not be removed");
        }
    }
}

/// Opens the socket, replacing one that a dead daemon left behind.
pub(crate) fn bind(
    settings: &ControlSettings,
) -> Result<(UnixListener, SocketFile), ControlFailure> {
    let path = &settings.socket;
    let failure = |source| ControlFailure::Io { path: path.clone(), source };
    let group = match &settings.group {
        None => None,
        Some(name) => Some(
            Group::from_name(name)
                .ok()
                .flatten()
                .ok_or_else(|| ControlFailure::UnknownGroup(name.clone()))?,
        ),
    };
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(failure)?;
    }
    remove_stale(path)?;
    // Made private first: nobody may slip in before the mode is set.
    let mask = nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o177));
    let listener = UnixListener::bind(path);
    nix::sys::stat::umask(mask);
    let listener = listener.map_err(failure)?;
    let file = SocketFile(path.clone());
    if let Some(group) = group {
        chown(path, None, Some(group.gid.as_raw())).map_err(failure)?;
    }
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660)).map_err(failure)?;
    Ok((listener, file))
}

fn remove_stale(path: &Path) -> Result<(), ControlFailure> {
    let failure = |source| ControlFailure::Io { path: path.to_owned(), source };
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failure(error)),
        Ok(found) if !found.file_type().is_socket() => {
            Err(ControlFailure::NotASocket(path.to_owned()))
        }
        Ok(_) if std::os::unix::net::UnixStream::connect(path).is_ok() => {
            Err(ControlFailure::InUse(path.to_owned()))
        }
        Ok(_) => std::fs::remove_file(path).map_err(failure),
    }
}

/// Serves for ever.
pub(crate) async fn serve(listener: UnixListener, node: Node) {
    let connections = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        // The kernel keeps who comes while all places are taken.
        let Ok(place) = Arc::clone(&connections).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let node = node.clone();
                tokio::spawn(async move {
                    let _place = place;
                    if let Err(error) = serve_connection(stream, &node).await {
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

async fn serve_connection(mut stream: UnixStream, node: &Node) -> io::Result<()> {
    let peer = stream.peer_cred()?;
    // With a group the kernel has checked its members at connect: the socket's mode is 0660.
    let is_allowed = peer.uid() == 0
        || peer.uid() == Uid::effective().as_raw()
        || node.settings().control.group.is_some();
    if !is_allowed {
        tracing::warn!(uid = peer.uid(), "the control socket was refused to a user");
        let refusal = Refusal::new(
            RefusalCode::NotPermitted,
            "you may not administer this node",
            "control socket",
            "sign in as the administrator",
        );
        return write(&mut stream, &wire::encode_reply::<Answer>(&Err(refusal))).await;
    }
    let mut framer = LineFramer::new();
    // Lines may hold passwords.
    let mut chunk = Zeroizing::new(vec![0; READ_BYTES]);
    loop {
        match framer.next_line() {
            Ok(Some(line)) => {
                let reply = match wire::decode_request(&line) {
                    Ok(request) => {
                        drop(line);
                        let what = audit::change(&request);
                        let reply = Box::pin(administration::answer(node, request)).await;
                        if let Some(what) = what {
                            audit::write(peer.uid(), what, &reply);
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

async fn write(stream: &mut UnixStream, bytes: &[u8]) -> io::Result<()> {
    timeout(LINE_WITHIN, stream.write_all(bytes)).await?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(socket: PathBuf) -> ControlSettings {
        ControlSettings { socket, group: None }
    }

    #[tokio::test]
    async fn a_stale_socket_is_replaced_and_one_in_use_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run").join("control.sock");
        let (listener, file) = bind(&settings(path.clone())).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o660);
        assert!(matches!(bind(&settings(path.clone())), Err(ControlFailure::InUse(_))));
        drop(listener);
        std::mem::forget(file);
        let (_listener, file) = bind(&settings(path.clone())).unwrap();
        drop(file);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn other_files_are_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, "precious").unwrap();
        assert!(matches!(bind(&settings(path.clone())), Err(ControlFailure::NotASocket(_))));
        assert_eq!(std::fs::read(&path).unwrap(), b"precious");
        let unknown = ControlSettings { socket: path, group: Some("no-such-group".to_owned()) };
        assert!(matches!(bind(&unknown), Err(ControlFailure::UnknownGroup(_))));
    }
}
