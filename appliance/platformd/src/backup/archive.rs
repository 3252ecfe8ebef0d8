//! What a backup is: a tar archive, compressed with Zstandard, encrypted with a passphrase in the
//! age format (age-encryption.org/v1), so that the tools of others can open it too.
//!
//! ```text
//! backup.json            which version made it, when, where
//! settings.toml          the machine's settings
//! presence/snapshot      users and all they have (crate store, snapshot)
//! presence/node.key      the presence server's secret
//! presence/certificate.… its certificate and key
//! ```

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write as _};
use std::iter;
use std::path::{Component, Path, PathBuf};

use admin_api::secret::Secret;
use age::secrecy::SecretString;
use serde::{Deserialize, Serialize};

/// The layout above.
const FORMAT: u32 = 1;
/// How hard a passphrase is to guess: scrypt with 2^16 rounds takes 64 MiB.
const WORK_FACTOR: u8 = 16;
/// The hardest that is tried here.
const MOST_WORK: u8 = 18;
const COMPRESSION: i32 = 6;
/// The largest content that is unpacked.
const MOST_BYTES: u64 = 8 << 30;
/// What a presence server keeps beside its store.
const BESIDE: [&str; 3] = ["node.key", "certificate.pem", "certificate.key"];
const MANIFEST: &str = "backup.json";
pub(super) const SETTINGS: &str = "settings.toml";
pub(super) const SNAPSHOT: &str = "presence/snapshot";

/// What a backup says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    format: u32,
    /// The version that made it.
    pub(super) version: String,
    /// When.
    pub(super) created_unix_ms: u64,
    /// Of which machine.
    pub(super) host_name: String,
    /// For which domain.
    pub(super) domain: String,
}

impl Manifest {
    pub(super) const fn new(
        version: String,
        created_unix_ms: u64,
        host_name: String,
        domain: String,
    ) -> Self {
        Self { format: FORMAT, version, created_unix_ms, host_name, domain }
    }
}

/// Writes a backup of the settings and of a presence server's data, and waits until the disk has
/// it.
///
/// # Errors
/// In words for an administrator; what was begun is removed.
pub(super) fn write(
    path: &Path,
    manifest: &Manifest,
    settings: &str,
    data_dir: &Path,
    passphrase: &Secret,
) -> Result<(), String> {
    let part = path.with_extension("part");
    let written = write_part(&part, manifest, settings, data_dir, passphrase)
        .and_then(|()| fs::rename(&part, path))
        .and_then(|()| File::open(path.parent().unwrap_or_else(|| Path::new("/")))?.sync_all());
    written.map_err(|error| {
        // There may be none.
        let _ = fs::remove_file(&part);
        format!("the backup cannot be written: {error}")
    })
}

fn write_part(
    part: &Path,
    manifest: &Manifest,
    settings: &str,
    data_dir: &Path,
    passphrase: &Secret,
) -> io::Result<()> {
    let mut recipient = age::scrypt::Recipient::new(secret(passphrase));
    recipient.set_work_factor(WORK_FACTOR);
    let encryptor = age::Encryptor::with_recipients(iter::once(&recipient as &dyn age::Recipient))
        .map_err(io::Error::other)?;
    let file = File::create(part)?;
    let encrypted = encryptor.wrap_output(BufWriter::new(file)).map_err(io::Error::other)?;
    let compressed = zstd::Encoder::new(encrypted, COMPRESSION)?;
    let mut archive = tar::Builder::new(compressed);
    append(&mut archive, MANIFEST, &serde_json::to_vec_pretty(manifest)?)?;
    append(&mut archive, SETTINGS, settings.as_bytes())?;
    for name in BESIDE {
        match File::open(data_dir.join(name)) {
            Ok(mut file) => archive.append_file(format!("presence/{name}"), &mut file)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    archive.append_file(SNAPSHOT, &mut File::open(newest_snapshot(data_dir)?)?)?;
    let encrypted = archive.into_inner()?.finish()?;
    let mut file = encrypted.finish()?;
    file.flush()?;
    file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
}

fn append<W: io::Write>(archive: &mut tar::Builder<W>, name: &str, text: &[u8]) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(u64::try_from(text.len()).unwrap_or(u64::MAX));
    header.set_mode(0o600);
    header.set_cksum();
    archive.append_data(&mut header, name, text)
}

/// Where a presence server's newest snapshot is.
fn newest_snapshot(data_dir: &Path) -> io::Result<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(data_dir.join("store"))?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            // Its number has a fixed width, in hexadecimal.
            name.strip_prefix("snapshot-").is_some_and(|n| u64::from_str_radix(n, 16).is_ok())
        })
        .collect();
    found.sort();
    found.pop().ok_or_else(|| io::Error::other("the store has no snapshot"))
}

/// Unpacks a backup into a directory, which is made anew; whatever is wrong with any part of it
/// shows before the end.
///
/// # Errors
/// In words for an administrator; nothing is left behind.
pub(super) fn unpack(path: &Path, to: &Path, passphrase: &Secret) -> Result<Manifest, String> {
    let unpacked = unpack_into(path, Some(to), passphrase);
    if unpacked.is_err() {
        // There may be none.
        let _ = fs::remove_dir_all(to);
    }
    unpacked
}

/// Reads a backup to its end.
///
/// # Errors
/// In words for an administrator.
pub(super) fn verify(path: &Path, passphrase: &Secret) -> Result<Manifest, String> {
    unpack_into(path, None, passphrase)
}

fn unpack_into(path: &Path, to: Option<&Path>, passphrase: &Secret) -> Result<Manifest, String> {
    let words = |error: io::Error| format!("the backup cannot be read: {error}");
    if let Some(to) = to {
        match fs::remove_dir_all(to) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(words(error)),
            _ => {}
        }
        fs::create_dir_all(to.join("presence")).map_err(words)?;
    }
    let file = BufReader::new(File::open(path).map_err(words)?);
    let decryptor = age::Decryptor::new(file).map_err(|_| "this is no backup".to_owned())?;
    let mut identity = age::scrypt::Identity::new(secret(passphrase));
    identity.set_max_work_factor(MOST_WORK);
    let decrypted = decryptor.decrypt(iter::once(&identity as &dyn age::Identity)).map_err(
        |error| match error {
            age::DecryptError::DecryptionFailed | age::DecryptError::NoMatchingKeys => {
                "the passphrase is not the one of this backup".to_owned()
            }
            other => format!("this is no backup: {other}"),
        },
    )?;
    let plain = zstd::Decoder::new(decrypted).map_err(words)?.take(MOST_BYTES);
    let mut archive = tar::Archive::new(plain);
    let mut manifest = None;
    let mut found = Vec::new();
    for entry in archive.entries().map_err(words)? {
        let mut entry = entry.map_err(words)?;
        let name = entry.path().map_err(words)?.into_owned();
        if !is_expected(&name) || !entry.header().entry_type().is_file() {
            return Err(format!("the backup holds what does not belong into one: {name:?}"));
        }
        if name == Path::new(MANIFEST) {
            let mut text = Vec::new();
            entry.by_ref().take(1 << 20).read_to_end(&mut text).map_err(words)?;
            manifest = Some(
                serde_json::from_slice::<Manifest>(&text)
                    .map_err(|error| format!("this is no backup: {error}"))?,
            );
        } else if let Some(to) = to {
            let mut file = File::create_new(to.join(&name)).map_err(words)?;
            io::copy(&mut entry, &mut file).map_err(words)?;
            file.sync_all().map_err(words)?;
        } else {
            io::copy(&mut entry, &mut io::sink()).map_err(words)?;
        }
        found.push(name);
    }
    // What follows the archive is read too: the last of it proves the whole.
    io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(words)?;
    for needed in [SETTINGS, SNAPSHOT] {
        if !found.iter().any(|name| name == Path::new(needed)) {
            return Err(format!("the backup lacks {needed}"));
        }
    }
    let manifest = manifest.ok_or("the backup does not say what it is")?;
    if manifest.format > FORMAT {
        return Err(format!(
            "the backup is of a later kind ({}), made by version {}",
            manifest.format, manifest.version
        ));
    }
    Ok(manifest)
}

fn is_expected(name: &Path) -> bool {
    let is_plain = name.components().all(|part| matches!(part, Component::Normal(_)));
    let Some(name) = name.to_str().filter(|_| is_plain) else { return false };
    [MANIFEST, SETTINGS, SNAPSHOT].contains(&name)
        || name.strip_prefix("presence/").is_some_and(|name| BESIDE.contains(&name))
}

fn secret(passphrase: &Secret) -> SecretString {
    SecretString::from(passphrase.expose().to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use admin_api::secret::Secret;

    use super::{Manifest, unpack, verify, write};

    fn data(dir: &Path) -> std::path::PathBuf {
        let data = dir.join("data");
        fs::create_dir_all(data.join("store")).unwrap();
        fs::write(data.join("node.key"), "secret").unwrap();
        fs::write(data.join("store/snapshot-0000000000000009"), "older").unwrap();
        fs::write(data.join("store/snapshot-000000000000000a"), "newest".repeat(9_999)).unwrap();
        fs::write(data.join("store/snapshot.new"), "torn").unwrap();
        data
    }

    fn manifest() -> Manifest {
        Manifest::new("1.2.3".to_owned(), 7, "lamp".to_owned(), "example.org".to_owned())
    }

    #[test]
    fn what_was_put_in_comes_out_for_the_right_passphrase_only() {
        let dir = tempfile::tempdir().unwrap();
        let (backup, out) = (dir.path().join("b.age"), dir.path().join("out"));
        let passphrase = Secret::new("correct horse battery".to_owned());
        write(&backup, &manifest(), "domain = 1\n", &data(dir.path()), &passphrase).unwrap();
        assert_eq!(verify(&backup, &passphrase).unwrap(), manifest());
        assert_eq!(unpack(&backup, &out, &passphrase).unwrap(), manifest());
        assert_eq!(fs::read(out.join("settings.toml")).unwrap(), b"domain = 1\n");
        assert_eq!(fs::read(out.join("presence/node.key")).unwrap(), b"secret");
        let snapshot = fs::read_to_string(out.join("presence/snapshot")).unwrap();
        assert_eq!(snapshot, "newest".repeat(9_999));
        let wrong = verify(&backup, &Secret::new("wrong".to_owned())).unwrap_err();
        assert!(wrong.contains("passphrase"), "{wrong}");
    }

    #[test]
    fn damage_anywhere_shows_and_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (backup, out) = (dir.path().join("b.age"), dir.path().join("out"));
        let passphrase = Secret::new("correct horse battery".to_owned());
        write(&backup, &manifest(), "x = 1\n", &data(dir.path()), &passphrase).unwrap();
        let whole = fs::read(&backup).unwrap();
        for i in 0..8 {
            let mut damaged = whole.clone();
            damaged[(whole.len() - 1) * i / 7] ^= 1;
            fs::write(&backup, &damaged).unwrap();
            assert!(unpack(&backup, &out, &passphrase).is_err(), "{i}");
            assert!(!out.exists());
        }
        fs::write(&backup, &whole[..whole.len() - 1]).unwrap();
        assert!(unpack(&backup, &out, &passphrase).is_err());
        fs::write(&backup, "nonsense").unwrap();
        assert!(verify(&backup, &passphrase).unwrap_err().contains("no backup"));
    }
}
