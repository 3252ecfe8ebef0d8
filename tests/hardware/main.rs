//! Machines as they are found: what firmware and kernel say of each, and what must come of it.
//!
//! Every file under `machines/` is one machine. Its description is laid out as the kernel shows
//! it, under a `dmi` and a `proc` directory, and recognised from there.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use hwprofiles::{Detection, Profile, Resources, Rule, detect};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Machine {
    dmi: BTreeMap<String, String>,
    has: Has,
    expect: Expect,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Has {
    sockets: usize,
    /// In all sockets together.
    cores: usize,
    /// In all cores together.
    threads: usize,
    processor: String,
    memory_kib: u64,
    /// Size of the file system that holds the data.
    disk_gb: u64,
    #[serde(default)]
    hypervisor: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expect {
    rule: String,
    profile: String,
    max_users: u32,
    /// What the explanation must say.
    #[serde(default)]
    says: Vec<String>,
    /// What the warnings must say; none may be given otherwise.
    #[serde(default)]
    warns: Vec<String>,
}

fn machines() -> BTreeMap<String, Machine> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("hardware/machines");
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).expect("read a machine");
        let machine = toml::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        (path.file_stem().expect("a name").to_str().expect("in UTF-8").to_owned(), machine)
    };
    let entries = std::fs::read_dir(dir).expect("the machines");
    entries.map(|entry| read(entry.expect("an entry").path())).collect()
}

/// `/proc/cpuinfo` of a machine, idle: its cores run at half their clock.
fn cpuinfo(has: &Has) -> String {
    let mut text = String::new();
    let flags = if has.hypervisor { "fpu vme hypervisor" } else { "fpu vme" };
    for thread in 0..has.threads {
        let core = thread % has.cores;
        let (socket, core) = (core % has.sockets, core / has.sockets);
        writeln!(
            text,
            "processor\t: {thread}\nvendor_id\t: GenuineIntel\nmodel name\t: {}\n\
             cpu MHz\t\t: 1200.000\nphysical id\t: {}\nsiblings\t: {}\ncore id\t\t: {core}\n\
             cpu cores\t: {}\nflags\t\t: {flags}\n",
            has.processor,
            socket * 3,
            has.threads / has.sockets,
            has.cores / has.sockets,
        )
        .expect("to a string");
    }
    // A processor that names no clock is taken at what it runs at.
    if has.processor.contains("Hz") { text } else { text.replace("1200.000", "2595.124") }
}

fn recognise(machine: &Machine) -> Detection {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (dmi, proc) = (dir.path().join("dmi"), dir.path().join("proc"));
    for made in [&dmi, &proc] {
        std::fs::create_dir(made).expect("make a directory");
    }
    for (name, value) in &machine.dmi {
        std::fs::write(dmi.join(name), format!("{value}\n")).expect("write dmi");
    }
    let has = &machine.has;
    let meminfo = format!("MemTotal:       {} kB\nMemFree:          1024 kB\n", has.memory_kib);
    // A core of 700 MHz is no faster than that when idle, either.
    let cpuinfo = match has.processor.contains("700MHz") {
        true => cpuinfo(has).replace("1200.000", "350.000"),
        false => cpuinfo(has),
    };
    std::fs::write(proc.join("cpuinfo"), cpuinfo).expect("write cpuinfo");
    std::fs::write(proc.join("meminfo"), meminfo).expect("write meminfo");
    let mut resources = Resources::read(&proc, dir.path()).expect("readable resources");
    resources.disk_bytes = has.disk_gb * 1_000_000_000;
    detect(&dmi, &resources)
}

/// What is wrong with the outcome, or nothing.
fn complaints(expect: &Expect, found: &Detection) -> Vec<String> {
    let mut wrong = Vec::new();
    let rule = match found.rule {
        Rule::Mcs => "mcs",
        Rule::OemEquivalent => "oem",
        Rule::BySize => "size",
    };
    let outcome = (rule, found.profile.as_str(), found.max_users());
    let expected = (expect.rule.as_str(), expect.profile.as_str(), expect.max_users);
    if outcome != expected {
        wrong.push(format!("{outcome:?} instead of {expected:?}"));
    }
    if found.capacity.is_err() != (expect.max_users == 0) {
        wrong.push(format!("capacity {:?}", found.capacity));
    }
    for words in &expect.says {
        if !found.explanation.contains(words) {
            wrong.push(format!("does not say {words:?}"));
        }
    }
    let warnings: Vec<String> = found.warnings.iter().map(ToString::to_string).collect();
    for words in &expect.warns {
        if !warnings.iter().any(|warning| warning.contains(words)) {
            wrong.push(format!("does not warn {words:?}"));
        }
    }
    if expect.warns.is_empty() && !warnings.is_empty() {
        wrong.push("warns".to_owned());
    }
    if !wrong.is_empty() {
        wrong.push(format!("it said: {} {warnings:?}", found.explanation));
    }
    wrong
}

fn assert_all(wrong: BTreeMap<String, Vec<String>>) {
    let wrong: BTreeMap<_, _> = wrong.into_iter().filter(|(_, said)| !said.is_empty()).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_machine_is_recognised_for_what_it_is() {
    let outcome = |(name, machine): (String, Machine)| {
        let wrong = complaints(&machine.expect, &recognise(&machine));
        (name, wrong)
    };
    assert_all(machines().into_iter().map(outcome).collect());
}

#[test]
fn every_profile_has_its_machine() {
    let profiles = Profile::read_all().expect("valid profiles");
    let listed: BTreeSet<&str> = profiles.iter().map(|profile| profile.id).collect();
    let machines = machines();
    let missing: Vec<&&str> = listed.iter().filter(|id| !machines.contains_key(**id)).collect();
    assert!(missing.is_empty(), "no machine for {missing:?}");
    for id in listed {
        assert_eq!(machines[id].expect.profile, id);
        assert_eq!(machines[id].expect.rule, "oem", "{id}: as the manufacturer names it");
    }
}

#[test]
fn every_mcs_is_recognised_by_the_name_that_cisco_gave_it() {
    let mut wrong = BTreeMap::new();
    let profiles = Profile::read_all().expect("valid profiles");
    let mut machines = machines();
    for profile in profiles.iter().filter(|profile| profile.id.starts_with("mcs-")) {
        let machine = machines.get_mut(profile.id).expect("a machine for every profile");
        machine.expect.rule = "mcs".to_owned();
        let model = &profile.model;
        for name in [model.clone(), format!("{model}-IPC1"), model.replace('-', "")] {
            machine.dmi = BTreeMap::from([
                ("sys_vendor".to_owned(), "Cisco Systems, Inc.".to_owned()),
                ("product_name".to_owned(), name.clone()),
            ]);
            wrong.insert(name, complaints(&machine.expect, &recognise(machine)));
        }
    }
    assert_all(wrong);
}

#[test]
fn the_description_lists_what_was_read_and_where() {
    let machines = machines();
    let found = recognise(&machines["dl380-g5-two-sockets"]);
    let product = found.dmi.readings().iter().find(|r| r.source.ends_with("dmi/product_name"));
    assert_eq!(product.expect("read").value.as_deref(), Some("ProLiant DL380 G5"));
    assert_eq!(found.dmi.firmware().as_deref(), Some("HP P56"));
    assert_eq!(found.resources.sockets, Some(2));
    assert_eq!(found.resources.cores, 4);
    assert_eq!(found.resources.clock_mhz, Some(2330));
}
