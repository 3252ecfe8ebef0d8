//! Samba as a domain controller of an Active Directory, with nothing but LDAP running.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::{Certificates, fed};
use crate::machine::run;
use crate::node::eventually;
use crate::program::{Program, installed};

/// Where its entries are.
pub const BASE: &str = "DC=ad,DC=example,DC=test";
/// Who may do everything.
pub const ADMIN: &str = "Administrator@ad.example.test";
/// The password of that one, and of every person.
pub const SECRET: &str = "Open-Sesame-7845";

/// A running domain controller.
#[derive(Debug)]
pub struct Samba {
    dir: TempDir,
    /// An address of its own: its ports are the usual ones.
    pub address: String,
    _program: Program,
}

impl Samba {
    /// Makes a domain and starts it.
    #[track_caller]
    pub fn start(certificates: &Certificates) -> Self {
        assert!(nix::unistd::geteuid().is_root(), "samba takes port 389: only root can test it");
        let dir = tempfile::tempdir().expect("a directory");
        let tool = installed("samba-tool", "samba");
        run(Command::new(&tool)
            .args(["domain", "provision", "--realm=AD.EXAMPLE.TEST", "--domain=ADTEST"])
            .args(["--server-role=dc", "--dns-backend=NONE", "--host-name=dc1"])
            .arg(format!("--adminpass={SECRET}"))
            .arg("--option=interfaces=lo")
            .arg("--option=bind interfaces only=yes")
            .arg(format!("--targetdir={}", dir.path().display())));
        let id = std::process::id();
        let address = format!("127.77.{}.{}", (id >> 8) & 0xff, (id & 0xff).clamp(1, 254));
        let option = |name: &str, value: &str| format!("--option={name}={value}");
        let at = |name: &str| certificates.path(name).display().to_string();
        let mut command = Command::new("/usr/sbin/samba");
        command
            .args(["-i", "--debug-stdout", "-s"])
            .arg(configuration(dir.path()))
            .arg(option("server services", "ldap"))
            .arg(option("interfaces", &format!("{address}/8")))
            .arg(option("pid directory", &dir.path().display().to_string()))
            .arg(option("tls cafile", &at("ca.pem")))
            .arg(option("tls certfile", &at("server.pem")))
            .arg(option("tls keyfile", &at("server.key")));
        let program = Program::start(&mut command);
        eventually("samba", || TcpStream::connect((address.as_str(), 636)).ok());
        Self { dir, address, _program: program }
    }

    /// Runs a command of `samba-tool` on the domain.
    #[track_caller]
    pub fn tool(&self, arguments: &[&str]) {
        run(Command::new(installed("samba-tool", "samba"))
            .args(arguments)
            .arg("-s")
            .arg(configuration(self.dir.path())));
    }

    /// Changes entries; LDIF with `changetype`.
    #[track_caller]
    pub fn modify(&self, ldif: &str) {
        let store = self.dir.path().join("private/sam.ldb").display().to_string();
        fed(&installed("ldbmodify", "ldb-tools"), &["-H", &store], ldif);
    }

    /// Adds entries; LDIF.
    #[track_caller]
    pub fn add(&self, ldif: &str) {
        let store = self.dir.path().join("private/sam.ldb").display().to_string();
        fed(&installed("ldbadd", "ldb-tools"), &["-H", &store], ldif);
    }
}

fn configuration(dir: &Path) -> PathBuf {
    dir.join("etc/smb.conf")
}
