//! `make run`: the firmware in an emulated MCS-7845. It is set up at its console as an
//! administrator does it, serves two people, and hands over its `admin:` prompt.

use std::io::{IsTerminal as _, stdin, stdout};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use lamplight_tests::http;
use lamplight_tests::machine::ssh::Key;
use lamplight_tests::machine::{Hardware, Machine, Ports, START_WITHIN};
use lamplight_tests::wire::{Client, Via};
use nix::sys::signal::SigSet;

use crate::people::{demonstrate, password};
use crate::{DOMAIN, ending};

/// How long the console may take for an answer.
const ANSWER: Duration = Duration::from_secs(60);

/// Boots the firmware, sets it up, shows it at work, and hands it over.
pub(crate) fn run(accelerator: String, ending: SigSet) -> Result<()> {
    let admin = password()?;
    let key = Key::new();
    let hardware = Hardware { accelerator, has_usual_ports: true, ..Hardware::mcs_7845() };
    println!(
        "Starting the firmware in a machine that says it is an MCS-7845: this is its console.\n"
    );
    let mut machine = Machine::start(hardware, None);
    stop_on_signal(&machine, ending);
    machine.serial.show();

    set_up(&machine, &admin);
    let [anna, ben] = people(&machine, &admin, &key)?;
    println!("\n\nIt is set up. Anna and Ben use it now.\n");
    demonstrate(&anna, &ben)?;
    if stdin().is_terminal() && stdout().is_terminal() {
        explain(&machine, &admin, &[&anna, &ben]);
        hand_over(&machine, &key)?;
    } else {
        println!("\nThere is no terminal, so that was all.");
    }
    println!("\nPressing the power button.");
    machine.qmp.press_power();
    machine.wait_off();
    println!("The machine is off; its disk is gone with it.");
    Ok(())
}

/// A signal switches the machine off at once.
fn stop_on_signal(machine: &Machine, ending: SigSet) {
    let remains = machine.remains();
    std::thread::spawn(move || {
        if ending.wait().is_ok() {
            println!("\nStopping.");
            remains.remove();
            std::process::exit(130);
        }
    });
}

/// Answers the questions of the first start, and signs in.
fn set_up(machine: &Machine, admin: &str) {
    let console = &machine.serial;
    console.expect("Host name [", START_WITHIN);
    console.expect(": ", ANSWER);
    console.enter("lamplight");
    console.expect("SIP domain", ANSWER);
    console.expect(": ", ANSWER);
    console.enter(DOMAIN);
    for question in ["IPv4: ", "IPv6: ", "Name servers", "Time zone", "Time servers"] {
        console.expect(question, ANSWER);
        console.expect("]: ", ANSWER);
        console.enter("");
    }
    console.expect("Password of the account", ANSWER);
    console.expect(": ", ANSWER);
    console.enter(admin);
    console.expect("again: ", ANSWER);
    console.enter(admin);
    console.expect("Set the appliance up", ANSWER);
    console.expect("]: ", ANSWER);
    console.enter("yes");
    console.expect("SIP: answered since", START_WITHIN);
    console.expect("login: ", ANSWER);
    console.enter("admin");
    console.expect("Password: ", ANSWER);
    console.enter(admin);
    console.expect_prompt(ANSWER);
}

/// Adds the key of this run, and two people.
fn people(machine: &Machine, admin: &str, key: &Key) -> Result<[Client; 2]> {
    let console = &machine.serial;
    let command = |line: &str| {
        console.enter(line);
        console.expect_prompt(ANSWER);
    };
    command("show hardware");
    command(&format!("set ssh key {}", key.public()));
    let mut clients = Vec::new();
    for (id, name) in [("anna", "Anna Berg"), ("ben", "Ben Castor")] {
        let password = password()?;
        ensure!(password != admin, "two passwords are the same");
        console.enter(&format!("user add {id} display-name \"{name}\""));
        console.expect("New password", ANSWER);
        console.expect("): ", ANSWER);
        console.enter(&password);
        console.expect("again: ", ANSWER);
        console.enter(&password);
        console.expect_prompt(ANSWER);
        let sip = Ports::at(machine.ports.sip);
        clients.push(Client::new(Via::Udp, sip, DOMAIN, id, &password));
    }
    command("show status");
    console.enter("exit");
    console.expect("login: ", ANSWER);
    console.hide();
    let server = Ports::at(machine.ports.https);
    ensure!(http::get(server, "/healthz").status == 200, "the health check says no");
    clients.try_into().ok().context("two people")
}

fn explain(machine: &Machine, admin: &str, users: &[&Client]) {
    let ports = machine.ports;
    println!("\nConnect a phone or softphone on this machine:");
    println!("  domain          {DOMAIN}");
    println!(
        "  outbound proxy  127.0.0.1, UDP and TCP port {}, TLS port {}",
        ports.sip, ports.sips
    );
    for user in users {
        println!("  user            {:<6} password {}", user.user, user.password);
    }
    println!("\nHealth check and metrics: https://127.0.0.1:{}/metrics", ports.https);
    println!("The account admin has the password {admin}; from another terminal:");
    println!("  ssh -p {} admin@127.0.0.1", ports.ssh);
    println!("\nThe appliance is yours. \"exit\" switches it off, \"?\" lists what can be done.\n");
}

/// The prompt, over SSH, as long as whoever sits there wants it.
fn hand_over(machine: &Machine, key: &Key) -> Result<()> {
    // What is blocked here would stay blocked in `ssh`.
    ending().thread_unblock().context("cannot unblock signals")?;
    let started = Instant::now();
    let spawned = machine.ssh_session(key).stdin(Stdio::inherit()).spawn();
    ending().thread_block().context("cannot block signals")?;
    let status = spawned.context("cannot run ssh")?.wait().context("cannot run ssh")?;
    let is_refused = status.code() == Some(255) && started.elapsed() < ANSWER;
    ensure!(!is_refused, "ssh ended with {status}");
    Ok(())
}
