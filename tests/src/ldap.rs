//! Directory servers under test control: OpenLDAP's slapd, and Samba as an Active Directory.

pub mod samba;

use std::fs;
use std::io::Write as _;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::machine::run;
use crate::node::eventually;
use crate::program::{Program, free_port, installed};

/// Where slapd's people are.
pub const BASE: &str = "dc=example,dc=test";
/// Who may read everything.
pub const ADMIN: &str = "cn=admin,dc=example,dc=test";
/// The password of that one, and of every person.
pub const SECRET: &str = "open sesame";

/// An authority, and a certificate of it for servers on this machine.
#[derive(Debug)]
pub struct Certificates {
    dir: TempDir,
}

impl Default for Certificates {
    fn default() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let at = |name: &str| dir.path().join(name);
        let openssl = || Command::new(installed("openssl", "openssl"));
        let key = ["-newkey", "rsa:2048", "-nodes", "-days", "2"];
        let name = dir.path().file_name().expect("a name").to_string_lossy();
        run(openssl()
            .args(["req", "-x509", "-subj", &format!("/CN=authority of {name}")])
            .args(key)
            .args(["-addext", "keyUsage=critical,keyCertSign,cRLSign", "-keyout"])
            .arg(at("ca.key"))
            .arg("-out")
            .arg(at("ca.pem")));
        run(openssl()
            .args(["req", "-x509", "-subj", "/CN=localhost"])
            .args(key)
            .args(["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"])
            .args(["-addext", "basicConstraints=critical,CA:FALSE", "-CA"])
            .arg(at("ca.pem"))
            .arg("-CAkey")
            .arg(at("ca.key"))
            .arg("-keyout")
            .arg(at("server.key"))
            .arg("-out")
            .arg(at("server.pem")));
        Self { dir }
    }
}

impl Certificates {
    /// Where a file of them is: `ca.pem`, `server.pem`, `server.key`.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The authority's certificate.
    pub fn authority(&self) -> String {
        fs::read_to_string(self.path("ca.pem")).expect("a certificate")
    }

    /// The fingerprint of the server's certificate, as openssl prints it.
    pub fn fingerprint(&self) -> String {
        let said = Command::new(installed("openssl", "openssl"))
            .args(["x509", "-noout", "-fingerprint", "-sha256", "-in"])
            .arg(self.path("server.pem"))
            .output()
            .expect("openssl");
        let said = String::from_utf8(said.stdout).expect("text");
        said.trim().split_once('=').expect("a fingerprint").1.to_owned()
    }
}

/// A running slapd.
#[derive(Debug)]
pub struct Slapd {
    dir: TempDir,
    /// The port of LDAP.
    pub port: u16,
    /// The port of LDAP over TLS.
    pub tls_port: u16,
    program: Option<Program>,
}

/// How a slapd is to be set up.
#[derive(Debug, Default, Clone)]
pub struct Options {
    /// More lines for its database.
    pub database: String,
    /// Whether it offers content synchronization (RFC 4533).
    pub has_sync: bool,
}

impl Slapd {
    /// Starts one that holds these entries.
    #[track_caller]
    pub fn start(certificates: &Certificates, options: &Options, ldif: &str) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        fs::create_dir(dir.path().join("db")).expect("a directory");
        let schema = ["core", "cosine", "inetorgperson", "nis"];
        let mut text = String::new();
        for name in schema {
            text.push_str(&format!("include /etc/ldap/schema/{name}.schema\n"));
        }
        text.push_str("modulepath /usr/lib/ldap\nmoduleload back_mdb\nmoduleload syncprov\n");
        let at = |name: &str| certificates.path(name).display().to_string();
        text.push_str(&format!(
            "TLSCACertificateFile {}\nTLSCertificateFile {}\nTLSCertificateKeyFile {}\n\
             sizelimit unlimited\ndatabase mdb\nsuffix {BASE}\nrootdn {ADMIN}\n\
             rootpw \"{SECRET}\"\ndirectory {}\nmaxsize 2147483648\n\
             index objectClass,uid,entryUUID,entryCSN eq\n{}",
            at("ca.pem"),
            at("server.pem"),
            at("server.key"),
            dir.path().join("db").display(),
            options.database
        ));
        if options.has_sync {
            text.push_str("\noverlay syncprov\n");
        }
        fs::write(dir.path().join("slapd.conf"), text).expect("a file");
        let mut slapd = Self { dir, port: free_port(), tls_port: free_port(), program: None };
        slapd.load(ldif);
        slapd.resume();
        slapd
    }

    fn configuration(&self) -> PathBuf {
        self.dir.path().join("slapd.conf")
    }

    fn load(&self, ldif: &str) {
        let path = self.dir.path().join("entries.ldif");
        let root = format!(
            "dn: {BASE}\nobjectClass: organization\nobjectClass: dcObject\no: test\ndc: example\n\n"
        );
        fs::write(&path, root + ldif).expect("a file");
        run(Command::new("/usr/sbin/slapadd")
            .args(["-q", "-f"])
            .arg(self.configuration())
            .arg("-l")
            .arg(&path));
    }

    /// Starts it again.
    #[track_caller]
    pub fn resume(&mut self) {
        let urls = format!("ldap://127.0.0.1:{}/ ldaps://127.0.0.1:{}/", self.port, self.tls_port);
        let mut command = Command::new("/usr/sbin/slapd");
        command.args(["-d", "0", "-f"]).arg(self.configuration()).args(["-h", &urls]);
        self.program = Some(Program::start(&mut command));
        for port in [self.port, self.tls_port] {
            eventually("slapd", || TcpStream::connect(("127.0.0.1", port)).ok());
        }
    }

    /// Ends it.
    pub fn stop(&mut self) {
        self.program = None;
    }

    /// Changes entries while it runs; LDIF with `changetype`.
    #[track_caller]
    pub fn modify(&self, ldif: &str) {
        let url = format!("ldap://127.0.0.1:{}", self.port);
        let arguments = ["-x", "-H", &url, "-D", ADMIN, "-w", SECRET];
        fed(&installed("ldapmodify", "ldap-utils"), &arguments, ldif);
    }
}

/// Runs a program with something on its standard input.
#[track_caller]
pub(crate) fn fed(program: &Path, arguments: &[&str], input: &str) {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a program");
    child.stdin.take().expect("piped").write_all(input.as_bytes()).expect("input");
    let output = child.wait_with_output().expect("a program");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", program.display());
}

/// A person as LDIF; `more` are further lines.
pub fn person(id: &str, name: &str, more: &str) -> String {
    let surname = name.rsplit(' ').next().unwrap_or(name);
    format!(
        "dn: uid={id},{BASE}\nobjectClass: inetOrgPerson\nuid: {id}\ncn: {name}\nsn: {surname}\n\
         displayName: {name}\nmail: {id}@example.test\nuserPassword: {SECRET}\n{more}\n"
    )
}

/// Many people: `p00000`, `p00001` and so on.
pub fn people(count: usize) -> String {
    let one = |number: usize| {
        let more = format!("telephoneNumber: +49 30 {number:05}\ntitle: Number {number}\n");
        person(&format!("p{number:05}"), &format!("Person {number:05}"), &more)
    };
    (0..count).map(one).collect()
}
