//! Our own server: its settings, its users, and how it starts again.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use tempfile::TempDir;

use super::{Server, Setup, addresses, beside, start as start_command};
use crate::driver::account::PASSWORD;
use crate::message::{DOMAIN, user};

/// Starts a node on the largest machine, and imports its users.
pub(super) fn start(dir: TempDir, setup: &Setup) -> Result<Server, Box<dyn Error>> {
    let dmi = dir.path().join("dmi");
    fs::create_dir(&dmi)?;
    fs::write(dmi.join("sys_vendor"), "Cisco Systems, Inc.\n")?;
    fs::write(dmi.join("product_name"), "MCS-7845-H2\n")?;
    let anywhere = ["udp:127.0.0.1:0", "tcp:127.0.0.1:0", "tls:127.0.0.1:0"].map(String::from);
    let (child, line) = start_command(command(dir.path(), setup, &anywhere)?, dir.path())?;
    let mut server = Server::new(setup, child, addresses(&line), dir);
    let began = Instant::now();
    server.import()?;
    server.imported = began.elapsed();
    Ok(server)
}

/// Writes the settings; the command that starts the node with them.
fn command(dir: &Path, setup: &Setup, listen: &[String]) -> Result<Command, Box<dyn Error>> {
    let config = settle(dir, setup, listen)?;
    let mut command = setup.command(&beside("presenced")?);
    command.arg("--config").arg(config);
    Ok(command)
}

fn settle(dir: &Path, setup: &Setup, listen: &[String]) -> Result<PathBuf, Box<dyn Error>> {
    let config = dir.join("presenced.toml");
    let trusted = if setup.asks { "" } else { "\"127.0.0.1/32\"" };
    let digest = match setup.digest.as_str() {
        "" => String::new(),
        only => format!("digest = [{only:?}]\n"),
    };
    fs::write(
        &config,
        format!(
            "domain = \"{DOMAIN}\"\ndata_dir = {:?}\n[sip]\nlisten = {listen:?}\n\
             trusted = [{trusted}]\nmax_connections_per_peer = 20000\n{digest}\
             [http]\nlisten = \"127.0.0.1:0\"\n[control]\nsocket = {:?}\n\
             [platform]\ndmi_dir = {:?}\n",
            dir.join("data"),
            dir.join("control.sock"),
            dir.join("dmi"),
        ),
    )?;
    Ok(config)
}

impl Server {
    /// Starts a node that was stopped, on the same disk and ports. Returns as soon as there is a
    /// process.
    pub fn start_again(&mut self) -> Result<(), Box<dyn Error>> {
        let sip =
            self.addresses.iter().filter(|(name, _)| ["udp", "tcp", "tls"].contains(&&***name));
        let listen: Vec<_> = sip.map(|(name, address)| format!("{name}:{address}")).collect();
        let mut command = command(self.dir.path(), &self.setup, &listen)?;
        let log = fs::File::create(self.dir.path().join("errors"))?;
        command.current_dir(self.dir.path()).stdin(std::process::Stdio::null());
        self.child = command.stdout(std::process::Stdio::null()).stderr(log).spawn()?;
        Ok(())
    }

    /// Runs a command of an administrator.
    pub fn tell(&self, words: &[&str]) -> Result<(), Box<dyn Error>> {
        let mut command = Command::new(beside("appliance")?);
        command.arg("--socket").arg(self.dir.path().join("control.sock"));
        let output = command.args(words).output()?;
        if output.status.success() {
            return Ok(());
        }
        Err(format!("{words:?}: {}", String::from_utf8_lossy(&output.stderr)).into())
    }

    fn import(&self) -> Result<(), Box<dyn Error>> {
        let mut csv = "id,display-name,password\n".to_owned();
        let password = if self.setup.asks { PASSWORD } else { "" };
        for index in 0..self.setup.users {
            writeln!(csv, "{},User {index},{password}", user(index))?;
        }
        let path = self.dir.path().join("users.csv");
        fs::write(&path, csv)?;
        let mut command = Command::new(beside("appliance")?);
        command.arg("--socket").arg(self.dir.path().join("control.sock"));
        let output = command.args(["user", "import"]).arg(path).output()?;
        if !output.status.success() {
            let told = String::from_utf8_lossy(&output.stdout);
            let errors = String::from_utf8_lossy(&output.stderr);
            return Err(format!("the users were not imported: {told}{errors}").into());
        }
        Ok(())
    }
}
