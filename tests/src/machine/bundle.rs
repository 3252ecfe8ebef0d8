//! Bundles other than the one that was built: with another manifest, another signature, another
//! content.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{built, run};
use crate::program::installed;

/// The bundle that was built.
pub fn whole() -> Vec<u8> {
    let name = concat!("lamplight-", env!("CARGO_PKG_VERSION"), ".raucb");
    fs::read(built(name)).expect("the bundle")
}

/// Whoever signs.
#[derive(Debug)]
pub struct Signer {
    key: PathBuf,
    certificate: PathBuf,
}

impl Signer {
    /// The one whom the image trusts.
    pub fn ours() -> Self {
        let keys = std::env::var_os("LAMPLIGHT_KEYS").map_or_else(|| built("keys"), PathBuf::from);
        Self { key: keys.join("signing.key"), certificate: keys.join("signing.crt") }
    }

    /// One whom nobody knows.
    pub fn stranger(dir: &Path) -> Self {
        let (key, certificate) = (dir.join("stranger.key"), dir.join("stranger.crt"));
        run(Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"])
            .args(["-nodes", "-days", "2", "-subj", "/CN=a stranger"])
            .args(["-addext", "keyUsage=digitalSignature"])
            .args(["-addext", "extendedKeyUsage=codeSigning", "-keyout"])
            .arg(&key)
            .arg("-out")
            .arg(&certificate));
        Self { key, certificate }
    }

    /// The certificate by which this one is known.
    pub fn certificate(&self) -> String {
        fs::read_to_string(&self.certificate).expect("a certificate")
    }
}

/// The bundle that was built, with a changed manifest, signed by `signer`.
///
/// A bundle ends in its signature (CMS), which holds the manifest, and the eight octets of that
/// one's length.
pub fn resigned(dir: &Path, signer: &Signer, change: impl FnOnce(String) -> String) -> Vec<u8> {
    let whole = whole();
    let (rest, length) = whole.split_at(whole.len() - 8);
    let length = u64::from_be_bytes(length.try_into().expect("8 octets"));
    let signed = rest.len() - usize::try_from(length).expect("a length");
    let (old, manifest, new) = (dir.join("old"), dir.join("manifest"), dir.join("new"));
    fs::write(&old, &rest[signed..]).expect("a file");
    run(Command::new("openssl")
        .args(["cms", "-verify", "-noverify", "-inform", "DER", "-binary", "-in"])
        .arg(&old)
        .arg("-out")
        .arg(&manifest));
    let text = fs::read_to_string(&manifest).expect("a manifest");
    fs::write(&manifest, change(text)).expect("a file");
    run(Command::new("openssl")
        .args(["cms", "-sign", "-nodetach", "-binary", "-outform", "DER", "-in"])
        .arg(&manifest)
        .arg("-signer")
        .arg(&signer.certificate)
        .arg("-inkey")
        .arg(&signer.key)
        .arg("-out")
        .arg(&new));
    let fresh = fs::read(new).expect("a signature");
    let mut bundle = rest[..signed].to_vec();
    bundle.extend_from_slice(&fresh);
    bundle.extend_from_slice(&u64::try_from(fresh.len()).expect("a length").to_be_bytes());
    bundle
}

/// A release with something in it changed: the closure gets what the two partitions hold, the root
/// and the boot partition.
pub fn release(
    dir: &Path,
    signer: &Signer,
    version: &str,
    change: impl FnOnce(&Path, &Path),
) -> Vec<u8> {
    let dir = &dir.join(version);
    fs::create_dir(dir).expect("a directory");
    let at = |name: &str| dir.join(name);
    let original = built(concat!("lamplight-", env!("CARGO_PKG_VERSION"), ".raucb"));
    let unpack = |from: &Path, to: &str| {
        run(Command::new(installed("unsquashfs", "squashfs-tools"))
            .args(["-n", "-q", "-f", "-d"])
            .arg(at(to))
            .arg(from));
    };
    unpack(&original, "slot");
    unpack(&at("slot/root.img"), "root");
    unpack(&at("slot/boot.img"), "boot");
    let release = at("root/usr/lib/os-release");
    let text = fs::read_to_string(&release).expect("a release");
    let text = text.replace(
        concat!("VERSION_ID=", env!("CARGO_PKG_VERSION")),
        &format!("VERSION_ID={version}"),
    );
    fs::write(&release, text).expect("a file");
    change(&at("root"), &at("boot"));
    pack_root(dir);
    pack(&at("boot"), &at("slot/boot.img"), &["-noI", "-noD", "-noF", "-no-fragments"]);
    fs::write(
        at("slot/manifest.raucm"),
        format!(
            "[update]\ncompatible=lamplight-x86_64\nversion={version}\n\n[bundle]\nformat=verity\n\n\
             [image.rootfs]\nfilename=root.img\n\n[image.boot]\nfilename=boot.img\n"
        ),
    )
    .expect("a file");
    let bundle = at("release.raucb");
    run(Command::new(installed("rauc", "rauc"))
        .arg("--cert")
        .arg(&signer.certificate)
        .arg("--key")
        .arg(&signer.key)
        .arg("bundle")
        .arg(at("slot"))
        .arg(&bundle));
    fs::read(bundle).expect("a bundle")
}

/// The root, with its hash tree behind it, and the root of that in `boot`.
fn pack_root(dir: &Path) {
    let root = dir.join("slot/root.img");
    pack(&dir.join("root"), &root, &["-comp", "zstd", "-Xcompression-level", "1", "-b", "256K"]);
    let size = fs::metadata(&root).expect("a root").len().next_multiple_of(4_096);
    let file = fs::OpenOptions::new().write(true).open(&root).expect("a root");
    file.set_len(size).expect("a root");
    let formatted = Command::new(installed("veritysetup", "cryptsetup-bin"))
        .args(["format", "--salt", "00", "--data-blocks", &(size / 4_096).to_string()])
        .args(["--hash-offset", &size.to_string()])
        .args([&root, &root])
        .output()
        .expect("veritysetup");
    let said = String::from_utf8(formatted.stdout).expect("text");
    let hash =
        said.lines().find_map(|line| line.strip_prefix("Root hash:")).expect("a hash").trim();
    let settings = dir.join("boot/slot.cfg");
    let words = fs::read_to_string(&settings).expect("settings");
    let words: Vec<String> = words
        .split(' ')
        .map(|word| match word.split_once('=') {
            Some(("roothash", _)) => format!("roothash={hash}"),
            Some(("systemd.verity_root_options", _)) => {
                format!("systemd.verity_root_options=hash-offset={size},panic-on-corruption")
            }
            _ => word.to_owned(),
        })
        .collect();
    fs::write(settings, words.join(" ")).expect("a file");
}

fn pack(tree: &Path, image: &Path, options: &[&str]) {
    let _ = fs::remove_file(image);
    run(Command::new(installed("mksquashfs", "squashfs-tools"))
        .arg(tree)
        .arg(image)
        .args(options)
        .args(["-noappend", "-no-xattrs", "-all-root", "-no-progress", "-quiet"]));
}
