//! QEMU's monitor: power, keyboard, devices that are plugged in.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

/// The monitor.
#[derive(Debug)]
pub struct Qmp(Mutex<BufReader<UnixStream>>);

impl Qmp {
    /// Connects.
    ///
    /// # Panics
    /// When nobody answers.
    #[track_caller]
    pub fn connect(path: &Path) -> Option<Self> {
        let stream = crate::node::eventually("the monitor", || UnixStream::connect(path).ok());
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a socket");
        let qmp = Self(Mutex::new(BufReader::new(stream)));
        qmp.try_command("qmp_capabilities", &json!({})).ok()?;
        Some(qmp)
    }

    /// Gives a command and waits for its answer.
    #[track_caller]
    pub fn command(&self, name: &str, arguments: &Value) -> Value {
        self.try_command(name, arguments).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn try_command(&self, name: &str, arguments: &Value) -> io::Result<Value> {
        let mut stream = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let line = json!({ "execute": name, "arguments": arguments }).to_string();
        stream.get_mut().write_all(format!("{line}\n").as_bytes())?;
        loop {
            let mut line = String::new();
            stream.read_line(&mut line)?;
            let answer: Value = serde_json::from_str(&line)?;
            if let Some(error) = answer.get("error") {
                return Err(io::Error::other(error.to_string()));
            }
            if let Some(value) = answer.get("return") {
                return Ok(value.clone());
            }
        }
    }

    /// Presses the power button.
    pub fn press_power(&self) {
        self.command("system_powerdown", &json!({}));
    }

    /// Presses keys together: `ctrl`, `alt`, `delete`.
    pub fn press(&self, keys: &[&str]) {
        let keys: Vec<_> = keys.iter().map(|k| json!({ "type": "qcode", "data": k })).collect();
        self.command("send-key", &json!({ "keys": keys }));
    }

    /// Plugs in a disk.
    pub fn plug_disk(&self, file: &Path) {
        let node = json!({
            "driver": "raw", "node-name": "plugged",
            "file": { "driver": "file", "filename": file }
        });
        self.command("blockdev-add", &node);
        let device =
            json!({ "driver": "virtio-blk-pci", "drive": "plugged", "bus": "hot", "id": "plug" });
        self.command("device_add", &device);
    }
}
