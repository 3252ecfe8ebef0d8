//! What RAUC asks about slots: `platformd`, called by the name `boot-slots`, is its boot loader
//! backend.

use std::path::Path;

use anyhow::{Context as _, bail};

use crate::config::Config;
use crate::slot::{self, Slot};

/// The name under which RAUC calls this program.
pub(crate) const NAME: &str = "boot-slots";

/// Where the sealed image has the settings of `platformd`.
const CONFIG: &str = "/usr/lib/lamplight/platformd.toml";

/// Answers one question, which stands in the arguments; the answer is what to print.
///
/// # Errors
/// The question is unknown, or the counters cannot be used.
pub(crate) fn answer(arguments: &[String]) -> anyhow::Result<Option<String>> {
    let config = Config::read(Path::new(CONFIG))?;
    let (device, directory) = (&config.efi_device, &config.efi_dir);
    let named = |name: &str| Slot::named(name).with_context(|| format!("no slot is named {name}"));
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    Ok(match words.as_slice() {
        ["get-primary"] => Some(slot::counters(device, directory)?.primary().name().to_owned()),
        ["get-current"] => {
            let line = std::fs::read_to_string("/proc/cmdline").context("cannot read /proc")?;
            Some(Slot::from_command_line(&line).context("no slot runs")?.name().to_owned())
        }
        ["set-primary", name] => {
            let slot = named(name)?;
            slot::change_counters(device, directory, |counters| counters.set_primary(slot))?;
            None
        }
        ["get-state", name] => {
            let slot = named(name)?;
            let is_good = slot::counters(device, directory)?.is_good(slot);
            Some(if is_good { "good" } else { "bad" }.to_owned())
        }
        ["set-state", name, state @ ("good" | "bad")] => {
            let slot = named(name)?;
            slot::change_counters(device, directory, |counters| {
                if *state == "good" {
                    counters.mark_good(slot);
                } else {
                    counters.mark_bad(slot);
                }
            })?;
            None
        }
        other => bail!("unknown: {}", other.join(" ")),
    })
}
