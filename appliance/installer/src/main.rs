//! `installer`: the one program of the installation medium. It shows the machine's disks, asks
//! which is to be written, writes the firmware onto it, reads it again, and restarts the machine.
//! It runs as the first process, out of memory.

mod console;
mod disk;
mod medium;
mod system;
mod write;

use std::collections::HashSet;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use crate::console::Console;
use crate::disk::Disk;
use crate::medium::{Answers, Found};

const SYS_BLOCK: &str = "/sys/block";
/// Beside the firmware there must be room for settings and data.
const LEAST_BEYOND_BYTES: u64 = 4 << 30;
/// How long devices may take to be found.
const FOUND_WITHIN: Duration = Duration::from_secs(90);
/// How long is waited for others once the medium and a disk are there.
const OTHERS_WITHIN: Duration = Duration::from_secs(3);
const LOOK_EVERY: Duration = Duration::from_millis(500);

fn main() {
    let prepared = system::prepare();
    let mut console = Console::open();
    let done = prepared.and_then(|()| install(&mut console));
    let is_restart = match done {
        Ok(is_restart) => is_restart,
        Err(error) => {
            console.say(&format!("\nNothing can be installed: {error:#}\n"));
            console.ask("Press Enter to restart. ");
            true
        }
    };
    let error = system::end(is_restart);
    console.say(&format!("The machine does not go down ({error}): switch it off.\n"));
    loop {
        std::thread::park();
    }
}

/// Everything until the machine goes down; whether it is to start again.
fn install(console: &mut Console) -> anyhow::Result<bool> {
    console.say("\nLamplight installer\nLooking for disks ...\n");
    let mut answers = None;
    let (found, disks) = find(&mut answers)?;
    let answers = answers.transpose().map_err(anyhow::Error::msg)?;
    console.say(&format!("Lamplight {}\n", found.firmware.version));
    say_machine(console);
    let disk = match &answers {
        Some(answers) => chosen(&disks, answers)?,
        None => ask(console, &disks),
    };
    console.say(&format!("\n{}\n", disk.told()));
    let mut tens = None;
    write::install(&found.packed, &found.firmware, &disk.device(), |what, percent| {
        let now = (what.to_owned(), percent / 10);
        if tens.as_ref() != Some(&now) {
            console.say(&format!("{what}: {percent} %\n"));
            tens = Some(now);
        }
    })
    .with_context(|| format!("{} was not written", disk.name))?;
    console.say("Done: the disk holds Lamplight.\n");
    match answers {
        Some(answers) => Ok(answers.restart),
        None => {
            console.ask("Remove the installation medium, and press Enter to restart. ");
            Ok(true)
        }
    }
}

/// Waits for the firmware and for disks.
fn find(answers: &mut Option<Result<Answers, String>>) -> anyhow::Result<(Found, Vec<Disk>)> {
    let begun = Instant::now();
    let mut known = HashSet::new();
    let mut found: Option<Found> = None;
    let mut complete: Option<Instant> = None;
    loop {
        system::load_drivers(&mut known);
        if found.is_none() {
            found = medium::look(Path::new(SYS_BLOCK), answers);
        }
        if let Some(firmware) = &found {
            let least = firmware.firmware.size_bytes.saturating_add(LEAST_BEYOND_BYTES);
            let disks = disk::list(Path::new(SYS_BLOCK), least, firmware.medium.as_deref());
            if !disks.is_empty() {
                let since = *complete.get_or_insert_with(Instant::now);
                if since.elapsed() >= OTHERS_WITHIN
                    && let Some(firmware) = found.take()
                {
                    if answers.is_none() {
                        // Answers may be on a disk that came later.
                        let _ = medium::look(Path::new(SYS_BLOCK), answers);
                    }
                    return Ok((firmware, disks));
                }
            }
        }
        if begun.elapsed() > FOUND_WITHIN {
            match found {
                Some(_) => bail!("no disk of {} GiB or more is there", LEAST_BEYOND_BYTES >> 30),
                None => bail!("the medium with the firmware is not there"),
            }
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

fn say_machine(console: &mut Console) {
    match hwprofiles::Resources::read(Path::new("/proc"), Path::new("/")) {
        Ok(resources) => {
            let detection = hwprofiles::detect(Path::new("/sys/class/dmi/id"), &resources);
            let dmi = &detection.dmi;
            let name = [dmi.vendor(), dmi.product()].into_iter().flatten().collect::<Vec<_>>();
            let name = if name.is_empty() { "unknown".to_owned() } else { name.join(" ") };
            console.say(&format!(
                "Machine: {name}, {} cores, {} MiB of memory\n",
                resources.cores,
                resources.memory_bytes >> 20
            ));
        }
        Err(error) => console.say(&format!("The machine cannot be measured: {error}\n")),
    }
}

/// The disk that the answers mean.
fn chosen(disks: &[Disk], answers: &Answers) -> anyhow::Result<Disk> {
    let meant: Vec<&Disk> = match &answers.disk {
        Some(wanted) => disks.iter().filter(|disk| disk.is_called(wanted)).collect(),
        None => disks.iter().collect(),
    };
    let all = || disks.iter().map(Disk::told).collect::<Vec<_>>().join("; ");
    match meant.as_slice() {
        [] => bail!("the answers mean a disk that is not there; there are: {}", all()),
        [disk] if disk.has_appliance() && !answers.overwrite => {
            bail!(
                "{} holds Lamplight already, and the answers do not say overwrite = true",
                disk.name
            )
        }
        [disk] => Ok((*disk).clone()),
        _ => bail!("the answers do not say which disk is meant; there are: {}", all()),
    }
}

/// The disk that somebody chooses.
fn ask(console: &mut Console, disks: &[Disk]) -> Disk {
    loop {
        console.say("\nDisks:\n");
        for (i, disk) in disks.iter().enumerate() {
            console.say(&format!("  {}  {}\n", i + 1, disk.told()));
        }
        let number = console.ask("\nNumber of the disk to write to: ");
        let disk = number.parse::<usize>().ok().and_then(|n| disks.get(n.checked_sub(1)?));
        let Some(disk) = disk else {
            console.say("There is no such number.\n");
            continue;
        };
        console.say(&format!("\nEverything on it is lost: {}\n", disk.told()));
        if console.ask("Type the word erase to go on: ").eq_ignore_ascii_case("erase") {
            return disk.clone();
        }
        console.say("Nothing was written.\n");
    }
}

#[cfg(test)]
mod tests {
    use super::chosen;
    use crate::disk::Disk;
    use crate::medium::Answers;

    fn disk(name: &str, serial: &str, holds: &str) -> Disk {
        Disk {
            name: name.to_owned(),
            model: "LOGICAL VOLUME".to_owned(),
            serial: serial.to_owned(),
            size_bytes: 146_000_000_000,
            holds: holds.to_owned(),
        }
    }

    fn answers(text: &str) -> Answers {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn answers_mean_one_disk_or_none() {
        let disks = [disk("sda", "A1", "no partitions"), disk("sdb", "B2", "holds Lamplight")];
        let named = |text: &str| chosen(&disks, &answers(text)).map(|disk| disk.name);
        assert_eq!(named("disk = \"a1\"").unwrap(), "sda");
        assert_eq!(named("disk = \"sdb\"\noverwrite = true").unwrap(), "sdb");
        for (text, why) in [
            ("", "which disk"),
            ("disk = \"LOGICAL VOLUME\"", "which disk"),
            ("disk = \"C3\"", "not there"),
            ("disk = \"B2\"", "already"),
        ] {
            let told = named(text).unwrap_err().to_string();
            assert!(told.contains(why), "{text}: {told}");
        }
        assert_eq!(chosen(&disks[..1], &answers("")).unwrap().name, "sda");
        assert!(toml::from_str::<Answers>("disc = \"x\"").is_err());
    }
}
