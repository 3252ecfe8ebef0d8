//! What is in the image: every file, without starting anything.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use lamplight_tests::machine::{built, run};
use lamplight_tests::program::installed;

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Names of programs that would open the box.
const FORBIDDEN: &[&str] = &[
    "sh",
    "bash",
    "dash",
    "ash",
    "zsh",
    "ksh",
    "csh",
    "fish",
    "busybox",
    "toybox",
    "perl",
    "python",
    "python3",
    "ruby",
    "lua",
    "tclsh",
    "node",
    "awk",
    "gawk",
    "mawk",
    "sed",
    "find",
    "xargs",
    "env",
    "vi",
    "vim",
    "nano",
    "ed",
    "less",
    "more",
    "apt",
    "apt-get",
    "dpkg",
    "rpm",
    "su",
    "sudo",
    "login",
    "agetty",
    "getty",
    "passwd",
    "chsh",
    "chroot",
    "nsenter",
    "unshare",
    "gdb",
    "strace",
    "scp",
    "sftp-server",
    "curl",
    "wget",
    "nc",
    "socat",
    "kexec",
    "insmod",
    "dd",
    "cp",
    "mv",
    "rm",
    "chmod",
    "tar",
    "cpio",
    "systemd-run",
    "systemd-nspawn",
    "machinectl",
    "run0",
    "crontab",
    "at",
];

/// Sizes of the partitions in MiB, by name, as the build has them.
fn layout(name: &str) -> u64 {
    let text = include_str!("../../image/layout.toml");
    let table: toml::Table = text.parse().expect("TOML");
    u64::try_from(table[name].as_integer().expect("a number")).expect("a size")
}

/// Where a partition begins, in MiB.
fn begin_of(partition: &str) -> u64 {
    let mut at = layout("start");
    for name in ["bios", "esp", "boot-a", "boot-b", "root-a", "root-b"] {
        if name == partition {
            return at;
        }
        at += layout(name.split('-').next().expect("a name"));
    }
    panic!("there is no partition {partition}")
}

/// A partition of the disk, as a file.
fn partition(name: &str, into: &Path) -> PathBuf {
    let mut disk = fs::File::open(built(&format!("lamplight-{VERSION}.img"))).expect("the image");
    disk.seek(SeekFrom::Start(begin_of(name) << 20)).expect("a place");
    let path = into.join(name);
    let size = layout(name.split('-').next().expect("a name")) << 20;
    let mut file = fs::File::create(&path).expect("a file");
    std::io::copy(&mut disk.take(size), &mut file).expect("a copy");
    path
}

/// The files of a squashed partition.
fn unsquashed(name: &str, into: &Path) -> PathBuf {
    let root = into.join(format!("{name}.d"));
    run(Command::new(installed("unsquashfs", "squashfs-tools"))
        .args(["-q", "-n", "-no-xattrs", "-d"])
        .arg(&root)
        .arg(partition(name, into)));
    root
}

/// The first root, unpacked.
fn first_root(boot: &Path, into: &Path) -> PathBuf {
    let root = into.join("initrd.d");
    fs::create_dir(&root).expect("a directory");
    let archive = into.join("initrd.cpio");
    run(Command::new(installed("zstd", "zstd"))
        .args(["-q", "-d", "-f", "-o"])
        .arg(&archive)
        .arg(boot.join("initrd")));
    run(Command::new(installed("cpio", "cpio"))
        .args(["--quiet", "-idm", "--no-absolute-filenames", "-F"])
        .arg(&archive)
        .current_dir(&root));
    root
}

fn walk(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("a directory") {
        let entry = entry.expect("an entry");
        let kind = entry.file_type().expect("a kind");
        found.push(entry.path());
        if kind.is_dir() {
            walk(&entry.path(), found);
        }
    }
}

/// Everything that must hold of each root.
fn check(root: &Path) {
    let mut paths = Vec::new();
    walk(root, &mut paths);
    assert!(paths.len() > 100, "{} is not unpacked", root.display());
    for path in &paths {
        let name = path.file_name().expect("a name").to_string_lossy();
        let facts = fs::symlink_metadata(path).expect("facts");
        let mode = facts.permissions().mode();
        if facts.is_symlink() || facts.is_file() && mode & 0o111 != 0 {
            assert!(!FORBIDDEN.contains(&name.as_ref()), "{} is there", path.display());
        }
        if facts.is_symlink() {
            continue;
        }
        assert_eq!(mode & 0o6000, 0, "{} is setuid or setgid", path.display());
        assert_eq!(mode & 0o002, 0, "{} can be written by all", path.display());
        if facts.is_file() {
            let mut start = [0; 2];
            let count = fs::File::open(path).expect("a file").read(&mut start).expect("a file");
            assert_ne!(&start[..count], b"#!", "{} is a script", path.display());
        }
        assert!(facts.is_file() || facts.is_dir(), "{} is a device or so", path.display());
    }
}

/// Programs of a root: whatever can be executed and is no library.
fn programs(root: &Path) -> BTreeSet<String> {
    let mut paths = Vec::new();
    walk(root, &mut paths);
    let is_program = |path: &&PathBuf| {
        let facts = fs::symlink_metadata(path).expect("facts");
        let name = path.file_name().expect("a name").to_string_lossy();
        facts.is_file() && facts.permissions().mode() & 0o111 != 0 && !name.contains(".so")
    };
    let inside =
        |path: &PathBuf| format!("/{}", path.strip_prefix(root).expect("inside").display());
    paths.iter().filter(is_program).map(inside).collect()
}

fn listed(text: &str) -> BTreeSet<String> {
    let lines = text.lines().filter(|line| line.starts_with('/'));
    lines.map(ToOwned::to_owned).collect()
}

#[test]
fn nothing_in_it_opens_the_box_and_every_program_is_on_the_list() {
    let dir = tempfile::tempdir().unwrap();
    let root = unsquashed("root-a", dir.path());
    let boot = unsquashed("boot-a", dir.path());
    let initrd = first_root(&boot, dir.path());
    check(&root);
    check(&initrd);

    let mut allowed = listed(include_str!("../../image/lists/root"));
    for ours in ["appliance", "platformd", "presenced"] {
        allowed.insert(format!("/usr/bin/{ours}"));
    }
    let strangers: Vec<_> = programs(&root).difference(&allowed).cloned().collect();
    assert!(strangers.is_empty(), "on no list: {strangers:?}");
    let allowed = listed(include_str!("../../image/lists/initrd"));
    let strangers: Vec<_> = programs(&initrd).difference(&allowed).cloned().collect();
    assert!(strangers.is_empty(), "on no list of the first root: {strangers:?}");

    // What fetches bundles and leaves backups is not for whoever signs in.
    for client in ["usr/bin/sftp", "usr/bin/ssh"] {
        let facts = fs::metadata(root.join(client)).unwrap();
        assert_eq!(facts.permissions().mode() & 0o777, 0o700, "{client}");
    }

    // One account has a program, and no password is in the image.
    let accounts = fs::read_to_string(root.join("etc/passwd")).unwrap();
    for line in accounts.lines() {
        let shell = line.rsplit(':').next().unwrap();
        let is_admin = line.starts_with("admin:");
        assert_eq!(shell == "/usr/bin/appliance", is_admin, "{line}");
        assert_eq!(root.join(shell.trim_start_matches('/')).exists(), is_admin, "{line}");
    }
    assert_eq!(fs::read_link(root.join("etc/shadow")).unwrap(), Path::new("/config/shadow"));
    assert!(!root.join("config/shadow").exists());

    // What systemd would open by default.
    let units = root.join("usr/lib/systemd/system");
    for masked in ["ctrl-alt-del.target", "debug-shell.service", "rescue.service"] {
        assert_eq!(fs::read_link(units.join(masked)).unwrap(), Path::new("/dev/null"), "{masked}");
    }
    let generators = fs::read_dir(root.join("usr/lib/systemd/system-generators")).unwrap();
    let names: Vec<_> = generators.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["systemd-fstab-generator"]);

    // Drivers of the machines that this is for.
    let drivers = [
        "hpsa",
        "aacraid",
        "megaraid_sas",
        "mptsas",
        "bnx2",
        "tg3",
        "e1000e",
        "virtio_net",
        "vmxnet3",
        "vmw_pvscsi",
        "hv_storvsc",
        "hv_netvsc",
    ];
    let mut paths = Vec::new();
    walk(&root.join("usr/lib/modules"), &mut paths);
    for driver in drivers {
        let file = format!("{driver}.ko");
        assert!(paths.iter().any(|path| path.ends_with(&file)), "no driver {driver}");
    }
    assert!(root.join("usr/lib/firmware/bnx2").is_dir());
}

#[test]
fn a_slot_names_the_hash_of_its_own_root_and_a_sealed_command_line() {
    let dir = tempfile::tempdir().unwrap();
    let boot = unsquashed("boot-a", dir.path());
    let command_line = fs::read_to_string(boot.join("slot.cfg")).unwrap();
    for needed in [
        "panic-on-corruption",
        "lockdown=integrity",
        "module.sig_enforce=1",
        "sysctl.kernel.sysrq=0",
        "sysctl.kernel.kexec_load_disabled=1",
        "systemd.import_credentials=no",
    ] {
        assert!(command_line.contains(needed), "{needed} is missing");
    }
    let value = |name: &str| {
        let from = command_line.find(name).unwrap_or_else(|| panic!("no {name}")) + name.len();
        let rest = &command_line[from..];
        rest[..rest.find([' ', ',', '"']).unwrap()].to_owned()
    };
    let root = partition("root-a", dir.path());
    let sbin = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap());
    run(Command::new("veritysetup")
        .env("PATH", sbin)
        .arg("verify")
        .args([&root, &root])
        .arg(value(" roothash="))
        .arg(format!("--hash-offset={}", value("hash-offset="))));
}

#[test]
fn everything_that_is_shipped_is_there_and_small_enough() {
    let sums = fs::read_to_string(built(&format!("lamplight-{VERSION}.sha256"))).unwrap();
    for kind in ["img.zst", "qcow2", "ova", "raucb", "spdx.json"] {
        let name = format!("lamplight-{VERSION}.{kind}");
        assert!(sums.contains(&name), "{name} has no checksum");
        let size = fs::metadata(built(&name)).unwrap().len();
        assert!(size < 120 * 1_000_000, "{name} has {size} bytes");
    }
    let text = fs::read_to_string(built(&format!("lamplight-{VERSION}.spdx.json"))).unwrap();
    let materials: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(materials["spdxVersion"], "SPDX-2.3");
    let packages = materials["packages"].as_array().unwrap();
    for name in ["systemd", "openssh-server", "tokio", "sled", "rsip"] {
        assert!(packages.iter().any(|package| package["name"] == name), "{name} is not listed");
    }
    let kernel = |package: &serde_json::Value| {
        package["name"].as_str().is_some_and(|name| name.starts_with("linux-image-"))
    };
    assert!(packages.iter().any(kernel), "the kernel is not listed");

    let listing = Command::new("tar")
        .arg("-tf")
        .arg(built(&format!("lamplight-{VERSION}.ova")))
        .output()
        .unwrap();
    let names = String::from_utf8(listing.stdout).unwrap();
    let kinds: Vec<_> = names.lines().filter_map(|name| name.rsplit('.').next()).collect();
    assert_eq!(kinds, ["ovf", "mf", "vmdk"], "DSP0243 wants this order");
}
