//! Writing the firmware onto a disk, and reading it again.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use sha2::{Digest as _, Sha256};

const PART_BYTES: usize = 1 << 20;
/// The end of the disk, where an old partition table may have its copy.
const END_BYTES: u64 = 1 << 20;

/// What the firmware is: its size and its SHA-256, as they stand beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Firmware {
    pub(crate) size_bytes: u64,
    digest: String,
    pub(crate) version: String,
}

impl Firmware {
    /// Reads `SIZE DIGEST VERSION`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_whitespace();
        Some(Self {
            size_bytes: words.next()?.parse().ok()?,
            digest: words.next().filter(|digest| digest.len() == 64)?.to_ascii_lowercase(),
            version: words.next()?.to_owned(),
        })
    }
}

/// Writes the firmware onto a disk and reads it again; `progress` is told how far it is, in
/// percent of each.
///
/// # Errors
/// The medium or the disk fails, or one of them does not hold what it should.
pub(crate) fn install(
    packed: &Path,
    firmware: &Firmware,
    disk: &Path,
    mut progress: impl FnMut(&str, u64),
) -> io::Result<()> {
    let mut target = OpenOptions::new().read(true).write(true).open(disk)?;
    let end = target.seek(SeekFrom::End(0))?;
    if end < firmware.size_bytes.saturating_add(END_BYTES) {
        return Err(io::Error::other("the disk is too small"));
    }
    // What was there is gone first: a half written disk must not start.
    target.seek(SeekFrom::Start(0))?;
    target.write_all(&vec![0; PART_BYTES])?;
    target.seek(SeekFrom::Start(end.saturating_sub(END_BYTES)))?;
    target.write_all(&vec![0; PART_BYTES])?;
    target.sync_all()?;

    let mut source = zstd::Decoder::new(BufReader::new(File::open(packed)?))?;
    // The beginning goes last.
    let mut first = vec![0; PART_BYTES];
    source.read_exact(&mut first)?;
    let mut hash = Sha256::new();
    hash.update(&first);
    target.seek(SeekFrom::Start(u64::try_from(PART_BYTES).unwrap_or_default()))?;
    let rest = copy(
        &mut source,
        &mut hash,
        firmware,
        |part| target.write_all(part),
        |percent| {
            progress("Writing", percent);
        },
    )?;
    if rest.saturating_add(u64::try_from(PART_BYTES).unwrap_or_default()) != firmware.size_bytes
        || hex(&hash.finalize()) != firmware.digest
    {
        return Err(io::Error::other(
            "the medium is damaged: it holds other firmware than it says",
        ));
    }
    target.sync_all()?;
    target.seek(SeekFrom::Start(0))?;
    target.write_all(&first)?;
    target.sync_all()?;

    // What is read now comes from the disk. Where there is no such file it is not this kernel.
    let _ = fs::write("/proc/sys/vm/drop_caches", "1");
    target.seek(SeekFrom::Start(0))?;
    let mut hash = Sha256::new();
    let mut written = target.take(firmware.size_bytes);
    copy(
        &mut written,
        &mut hash,
        firmware,
        |_| Ok(()),
        |percent| progress("Reading again", percent),
    )?;
    if hex(&hash.finalize()) == firmware.digest {
        return Ok(());
    }
    Err(io::Error::other("the disk does not hold what was written: it is failing"))
}

fn copy(
    source: &mut impl Read,
    hash: &mut Sha256,
    firmware: &Firmware,
    mut write: impl FnMut(&[u8]) -> io::Result<()>,
    mut progress: impl FnMut(u64),
) -> io::Result<u64> {
    let mut part = vec![0; PART_BYTES];
    let mut done = 0_u64;
    let mut said = None;
    loop {
        let length = source.read(&mut part)?;
        let Some(part) = part.get(..length).filter(|part| !part.is_empty()) else {
            return Ok(done);
        };
        hash.update(part);
        write(part)?;
        done = done.saturating_add(u64::try_from(length).unwrap_or_default());
        let percent = done.saturating_mul(100) / firmware.size_bytes.max(1);
        if said != Some(percent) {
            said = Some(percent);
            progress(percent.min(100));
        }
    }
}

fn hex(digest: &[u8]) -> String {
    digest.iter().map(|octet| format!("{octet:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use sha2::{Digest as _, Sha256};

    use super::{Firmware, hex, install};

    struct Fixture {
        dir: tempfile::TempDir,
        image: Vec<u8>,
        firmware: Firmware,
    }

    impl Fixture {
        fn new() -> Self {
            let image: Vec<u8> =
                (0..5_000_000_u32).flat_map(|i| (i / 7).to_le_bytes()).take(5_000_000).collect();
            let line = format!("{} {} 1.2.3\n", image.len(), hex(&Sha256::digest(&image)));
            let fixture = Self {
                dir: tempfile::tempdir().unwrap(),
                firmware: Firmware::parse(&line).unwrap(),
                image,
            };
            fs::write(fixture.packed(), zstd::encode_all(&fixture.image[..], 1).unwrap()).unwrap();
            fs::write(fixture.disk(), vec![0xee; 8_000_000]).unwrap();
            fixture
        }

        fn packed(&self) -> PathBuf {
            self.dir.path().join("image.zst")
        }

        fn disk(&self) -> PathBuf {
            self.dir.path().join("disk")
        }
    }

    #[test]
    fn the_disk_then_holds_the_firmware_and_no_old_partition_table() {
        let fixture = Fixture::new();
        let mut last = String::new();
        install(&fixture.packed(), &fixture.firmware, &fixture.disk(), |what, percent| {
            last = format!("{what} {percent}");
        })
        .unwrap();
        assert_eq!(last, "Reading again 100");
        let disk = fs::read(fixture.disk()).unwrap();
        assert!(disk.starts_with(&fixture.image));
        assert!(disk[7_000_000..].iter().all(|octet| *octet == 0));
    }

    #[test]
    fn what_is_not_whole_is_said_and_does_not_start() {
        let fixture = Fixture::new();
        let mut other = fixture.image.clone();
        other[4_000_000] ^= 1;
        for bad in [
            zstd::encode_all(&other[..], 1).unwrap(),
            fs::read(fixture.packed()).unwrap()[..9_000].to_vec(),
        ] {
            fs::write(fixture.packed(), bad).unwrap();
            install(&fixture.packed(), &fixture.firmware, &fixture.disk(), |_, _| {}).unwrap_err();
            let disk = fs::read(fixture.disk()).unwrap();
            assert!(disk[..4_096].iter().all(|octet| *octet == 0));
        }
        fs::write(fixture.disk(), "small").unwrap();
        install(&fixture.packed(), &fixture.firmware, &fixture.disk(), |_, _| {}).unwrap_err();
    }

    #[test]
    fn what_the_firmware_is_stands_beside_it() {
        assert_eq!(Firmware::parse("12 abc 1.0"), None);
        assert_eq!(Firmware::parse(""), None);
    }
}
