//! A machine in QEMU that runs the firmware image: its console, its ports, its power.
//!
//! Everything is emulated (`-accel tcg`), so a start takes the better part of a minute: tests share
//! machines where they can.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::program::{free_port, installed};

pub mod bundle;
pub mod qmp;
pub mod serial;
pub mod ssh;

use self::qmp::Qmp;
use self::serial::Serial;

/// How long a machine may take to start: emulated, beside other tests, on a busy host.
pub const START_WITHIN: Duration = Duration::from_secs(300);
/// How large the disk with the answers is: bundles fit onto it.
const DISK_BYTES: u64 = 300 << 20;
/// How often a start is tried when another program took one of its ports.
const ATTEMPTS: usize = 5;

/// The disk that the image was built into; `LAMPLIGHT_IMAGE` names another.
///
/// # Panics
/// When there is none.
#[track_caller]
pub fn image() -> PathBuf {
    if let Some(path) = std::env::var_os("LAMPLIGHT_IMAGE") {
        return path.into();
    }
    let path = built(concat!("lamplight-", env!("CARGO_PKG_VERSION"), ".qcow2"));
    assert!(path.is_file(), "{} is not built: run `make image`", path.display());
    path
}

/// A file that `make image` leaves.
pub fn built(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../build/image").join(name)
}

/// How a machine is made.
#[derive(Debug, Clone)]
pub struct Hardware {
    /// The processor's model.
    pub cpu: &'static str,
    /// Processors, and over how many sockets.
    pub processors: (u32, u32),
    /// Memory in MiB.
    pub memory_mib: u32,
    /// What hangs between the machine and its disk.
    pub disk: Disk,
    /// The serial number of its disk.
    pub disk_serial: Option<&'static str>,
    /// SMBIOS strings: `type=1,manufacturer=HP,product=…`.
    pub smbios: Vec<String>,
    /// UEFI in place of a BIOS.
    pub has_uefi: bool,
    /// What runs the processors: `tcg` emulates them.
    pub accelerator: String,
    /// Forwards the ports that an administrator expects, where they are free.
    pub has_usual_ports: bool,
    /// Anything else for QEMU.
    pub extra: Vec<String>,
}

/// What hangs between the machine and its disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disk {
    /// virtio.
    Virtio,
    /// A RAID controller of the LSI MegaRAID family (IBM ServeRAID M, Dell PERC).
    MegaRaid,
}

impl Default for Hardware {
    fn default() -> Self {
        Self {
            cpu: "qemu64",
            processors: (1, 1),
            memory_mib: 2_300,
            disk: Disk::Virtio,
            disk_serial: None,
            smbios: Vec::new(),
            has_uefi: false,
            accelerator: "tcg".to_owned(),
            has_usual_ports: false,
            extra: Vec::new(),
        }
    }
}

impl Hardware {
    /// An HP server that was sold as an MCS-7845-H2: a ProLiant DL380 G5 with two processors.
    pub fn mcs_7845() -> Self {
        Self {
            processors: (4, 2),
            memory_mib: 4_600,
            smbios: vec![
                "type=0,vendor=HP".to_owned(),
                "type=1,manufacturer=HP,product=ProLiant DL380 G5,serial=USE0001".to_owned(),
            ],
            ..Self::default()
        }
    }
}

/// Ports of the loopback interface that lead into a machine.
#[derive(Debug, Clone, Copy)]
pub struct Ports {
    /// SSH.
    pub ssh: u16,
    /// SIP over UDP and TCP.
    pub sip: u16,
    /// SIP over TLS.
    pub sips: u16,
    /// HTTPS.
    pub https: u16,
    /// A port of the machine that nothing should answer on.
    pub closed: u16,
}

impl Ports {
    fn free() -> Self {
        Self {
            ssh: free_port(),
            sip: free_port(),
            sips: free_port(),
            https: free_port(),
            closed: free_port(),
        }
    }

    fn usual() -> Self {
        let free = |port| free_for_all(port).unwrap_or_else(free_port);
        Self {
            ssh: free(2_222),
            sip: free(5_060),
            sips: free(5_061),
            https: free(8_443),
            ..Self::free()
        }
    }

    /// The address of one of them.
    pub fn at(port: u16) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, port).into()
    }

    fn forwards(&self) -> String {
        let mut text = String::new();
        for (transport, host, guest) in [
            ("tcp", self.ssh, 22),
            ("tcp", self.sip, 5060),
            ("udp", self.sip, 5060),
            ("tcp", self.sips, 5061),
            ("tcp", self.https, 8443),
            ("tcp", self.closed, 111),
        ] {
            let _ = write!(text, ",hostfwd={transport}:127.0.0.1:{host}-:{guest}");
        }
        text
    }
}

/// The port, when nothing has it for UDP or TCP.
fn free_for_all(port: u16) -> Option<u16> {
    let address = Ports::at(port);
    (UdpSocket::bind(address).is_ok() && TcpListener::bind(address).is_ok()).then_some(port)
}

/// What a machine would leave behind if its owner ended without dropping it.
#[derive(Debug)]
pub struct Remains {
    process: Pid,
    dir: PathBuf,
}

impl Remains {
    /// Ends it and removes its files.
    pub fn remove(&self) {
        // Both may be gone already.
        let _ = kill(self.process, Signal::SIGKILL);
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// A machine. Ends when dropped; its disk stays as long as [`Machine`] does.
#[derive(Debug)]
pub struct Machine {
    hardware: Hardware,
    dir: tempfile::TempDir,
    /// Its ports.
    pub ports: Ports,
    /// Its console on the serial line.
    pub serial: Serial,
    /// Its power, keyboard and slots.
    pub qmp: Qmp,
    child: Child,
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.cut();
        if std::thread::panicking() {
            eprintln!("---- the console:\n{}", self.serial.tail(6_000));
        }
    }
}

impl Machine {
    /// Starts a machine with a fresh disk, and with answers to the first start's questions where
    /// given (a `lamplight.toml`).
    #[track_caller]
    pub fn start(hardware: Hardware, answers: Option<&str>) -> Self {
        Self::start_with(hardware, answers, &image())
    }

    /// The same from another disk image, which is left as it is.
    #[track_caller]
    pub fn start_with(hardware: Hardware, answers: Option<&str>, image: &Path) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let format = if image.extension().is_some_and(|e| e == "qcow2") { "qcow2" } else { "raw" };
        run(Command::new(installed("qemu-img", "qemu-utils"))
            .args(["create", "-q", "-f", "qcow2", "-F", format, "-b"])
            .arg(std::fs::canonicalize(image).expect("the image"))
            .arg(dir.path().join("disk.qcow2"))
            .arg("20G"));
        if let Some(answers) = answers {
            write_answers(dir.path(), answers);
        }
        let (child, ports, serial, qmp) = power_on(&hardware, dir.path());
        Self { hardware, dir, ports, serial, qmp, child }
    }

    /// Cuts the power.
    pub fn cut(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Switches it on again after [`Machine::cut`], or after it went down by itself.
    #[track_caller]
    pub fn switch_on(&mut self) {
        (self.child, self.ports, self.serial, self.qmp) = power_on(&self.hardware, self.dir.path());
    }

    /// Waits until the machine has gone down.
    #[track_caller]
    pub fn wait_off(&mut self) {
        let deadline = Instant::now() + START_WITHIN;
        while self.child.try_wait().expect("a child").is_none() {
            assert!(Instant::now() < deadline, "it stays on:\n{}", self.serial.tail(2_000));
            std::thread::park_timeout(Duration::from_millis(100));
        }
    }

    /// Its address as others see it.
    pub fn host(&self) -> IpAddr {
        Ipv4Addr::LOCALHOST.into()
    }

    /// What is left to do for who ends the program at once.
    pub fn remains(&self) -> Remains {
        let process = Pid::from_raw(self.child.id().cast_signed());
        Remains { process, dir: self.dir.path().to_owned() }
    }

    /// Puts a file onto the disk with the answers, in the place of any that ends in the same way.
    #[track_caller]
    pub fn put_on_disk(&self, name: &str, content: &[u8]) {
        let (disk, file) = (self.dir.path().join("answers.img"), self.dir.path().join(name));
        std::fs::write(&file, content).expect("a file");
        let (_, ending) = name.rsplit_once('.').expect("an ending");
        // There may be none.
        let _ = Command::new("mdel").arg("-i").arg(&disk).arg(format!("::/*.{ending}")).output();
        run(Command::new("mcopy").arg("-i").arg(&disk).arg(&file).arg("::/"));
        std::fs::remove_file(file).expect("a file");
    }

    /// Where its disk is; it must be off.
    pub fn disk(&self) -> PathBuf {
        self.dir.path().join("disk.qcow2")
    }
}

/// Runs a program to its end.
#[track_caller]
pub fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|e| panic!("cannot run {command:?}: {e}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} ended with {}: {said}", output.status);
}

/// A disk labelled `LAMPLIGHT` with answers on it.
#[track_caller]
fn write_answers(dir: &Path, answers: &str) {
    let disk = dir.join("answers.img");
    let file = dir.join("lamplight.toml");
    std::fs::write(&file, answers).expect("a file");
    let image = std::fs::File::create(&disk).expect("a file");
    image.set_len(DISK_BYTES).expect("a file");
    let sbin = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    run(Command::new("mkfs.vfat").env("PATH", &sbin).args(["-n", "LAMPLIGHT"]).arg(&disk));
    run(Command::new("mcopy").arg("-i").arg(&disk).arg(&file).arg("::/"));
}

fn power_on(hardware: &Hardware, dir: &Path) -> (Child, Ports, Serial, Qmp) {
    for _ in 0..ATTEMPTS {
        let ports = if hardware.has_usual_ports { Ports::usual() } else { Ports::free() };
        let mut child = command(hardware, dir, &ports).spawn().expect("qemu");
        let log = dir.join("qemu.log");
        let Some(serial) = Serial::connect(&dir.join("serial.sock"), &mut child) else {
            let said = std::fs::read_to_string(&log).unwrap_or_default();
            assert!(said.contains("host forwarding"), "qemu ended: {said}");
            continue;
        };
        let Some(qmp) = Qmp::connect(&dir.join("qmp.sock")) else {
            panic!("qemu ended: {}", std::fs::read_to_string(&log).unwrap_or_default());
        };
        return (child, ports, serial, qmp);
    }
    panic!("no free ports in {ATTEMPTS} attempts");
}

fn command(hardware: &Hardware, dir: &Path, ports: &Ports) -> Command {
    let log = std::fs::File::create(dir.join("qemu.log")).expect("a file");
    let (processors, sockets) = hardware.processors;
    let mut command = Command::new(installed("qemu-system-x86_64", "qemu-system-x86"));
    command
        .args([
            "-nodefaults",
            "-accel",
            &hardware.accelerator,
            "-M",
            "q35",
            "-display",
            "none",
            "-vga",
            "std",
        ])
        .args(["-cpu", hardware.cpu, "-m", &hardware.memory_mib.to_string()])
        .args(["-smp", &format!("{processors},sockets={sockets}")])
        .args(["-uuid", "6c616d70-6c69-4768-8074-000000000001"])
        .arg("-chardev")
        .arg(format!("socket,id=s,server=on,wait=off,path={}", dir.join("serial.sock").display()))
        .args(["-serial", "chardev:s", "-qmp"])
        .arg(format!("unix:{},server=on,wait=off", dir.join("qmp.sock").display()))
        .arg("-drive")
        .arg(format!(
            "file={},format=qcow2,cache=writethrough,if=none,id=d0",
            dir.join("disk.qcow2").display()
        ))
        .arg("-netdev")
        .arg(format!("user,id=n0{}", ports.forwards()))
        .args(["-device", "e1000e,netdev=n0,romfile=", "-device", "virtio-rng-pci"])
        .args(["-device", "i6300esb", "-action", "watchdog=reset"])
        .args(["-device", "pcie-root-port,id=hot,chassis=1"]);
    let serial = hardware.disk_serial.map(|serial| format!(",serial={serial}"));
    let serial = serial.unwrap_or_default();
    match hardware.disk {
        Disk::Virtio => {
            command.args(["-device", &format!("virtio-blk-pci,drive=d0,bootindex=0{serial}")])
        }
        Disk::MegaRaid => command
            .args(["-device", "megasas,id=raid", "-device"])
            .arg(format!("scsi-hd,drive=d0,bus=raid.0,bootindex=0{serial}")),
    };
    for text in &hardware.smbios {
        command.args(["-smbios", text]);
    }
    if hardware.has_uefi {
        let firmware = "/usr/share/OVMF/OVMF_CODE.fd";
        assert!(Path::new(firmware).exists(), "this test needs the package ovmf");
        command.args(["-drive", &format!("if=pflash,format=raw,readonly=on,file={firmware}")]);
    }
    let answers = dir.join("answers.img");
    if answers.exists() {
        command
            .arg("-drive")
            .arg(format!("file={},format=raw,if=none,id=d1,readonly=on", answers.display()))
            .args(["-device", "virtio-blk-pci,drive=d1"]);
    }
    command.args(&hardware.extra);
    command.stdin(Stdio::null()).stdout(log.try_clone().expect("a file")).stderr(log);
    // Ctrl-C at a terminal is for us: the machine is switched off in its turn.
    command.process_group(0);
    command
}
