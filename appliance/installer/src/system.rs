//! What the first program of a machine has to do: file systems of the kernel, drivers, power.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Context as _;
use nix::mount::{MsFlags, mount};
use nix::sys::reboot::{RebootMode, reboot};

const MODPROBE: &str = "/usr/sbin/modprobe";
/// What no device asks for.
const ALWAYS: [&str; 6] = ["isofs", "vfat", "nls_ascii", "nls_cp437", "ext4", "sd_mod"];

/// Mounts what the kernel offers.
pub(crate) fn prepare() -> anyhow::Result<()> {
    for (kind, place) in [("proc", "/proc"), ("sysfs", "/sys"), ("devtmpfs", "/dev")] {
        fs::create_dir_all(place).with_context(|| format!("cannot make {place}"))?;
        let none = None::<&str>;
        match mount(Some(kind), place, Some(kind), MsFlags::empty(), none) {
            // The kernel has done it already.
            Ok(()) | Err(nix::Error::EBUSY) => {}
            Err(error) => return Err(error).with_context(|| format!("cannot mount {place}")),
        }
    }
    load(&ALWAYS.map(str::to_owned));
    Ok(())
}

/// Loads the drivers of what has been found since the last time.
pub(crate) fn load_drivers(known: &mut HashSet<String>) {
    let mut fresh = Vec::new();
    aliases(Path::new("/sys/devices"), 0, &mut |alias| {
        if known.insert(alias.to_owned()) {
            fresh.push(alias.to_owned());
        }
    });
    // A command line holds only so many.
    for some in fresh.chunks(100) {
        load(some);
    }
}

fn load(names: &[String]) {
    let loaded = Command::new(MODPROBE)
        .args(["-a", "-q", "-b"])
        .args(names)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    // Most devices have no driver here, which is no fault; without disks it shows.
    drop(loaded);
}

/// Every device says by what name its driver is found.
fn aliases(directory: &Path, depth: usize, found: &mut dyn FnMut(&str)) {
    // Deeper than any bus.
    if depth > 24 {
        return;
    }
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() {
            aliases(&entry.path(), depth + 1, found);
        } else if entry.file_name() == "modalias"
            && let Ok(alias) = fs::read_to_string(entry.path())
        {
            found(alias.trim());
        }
    }
}

/// Restarts the machine, or switches it off.
pub(crate) fn end(is_restart: bool) -> nix::Error {
    nix::unistd::sync();
    let mode = if is_restart { RebootMode::RB_AUTOBOOT } else { RebootMode::RB_POWER_OFF };
    match reboot(mode) {
        Ok(never) => match never {},
        Err(error) => error,
    }
}
