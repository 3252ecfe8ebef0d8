//! `platformd`: the one privileged program of the appliance. It writes what other programs read
//! at every start, and does what the administrator asks of the machine: network, time, passwords,
//! logs, power. It serves the requests of `admin_api::platform` and nothing else.

mod answer_file;
mod clock;
mod config;
mod control;
mod file;
mod files;
mod health;
mod journal;
mod machine;
mod mounts;
mod network;
mod password;
mod platform;
mod recovery;
mod settings;
mod slot;
mod ssh_keys;
mod syslog;
mod tools;
mod trust;
mod units;
mod written;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;
use sd_notify::NotifyState;
use tokio::signal::unix::{SignalKind, signal};

use crate::config::Config;
use crate::platform::Platform;
use crate::settings::Settings;

/// How often is looked whether name servers were learned.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// The privileged daemon of the appliance.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Where everything lies on this machine.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).without_time().init();
    match Config::read(&arguments.config).and_then(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(config: Config) -> anyhow::Result<()> {
    // One thread: nothing here is in a hurry but the start.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start")?;
    runtime.block_on(serve(config))
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let settings = Settings::load(&config.settings())?;
    match &settings {
        Some(settings) => written::write_all(&config, settings)?,
        None => written::write_unset(&config)?,
    }
    if settings.is_none() {
        password::write(&config, None)?;
        ssh_keys::make_host_key(&config).await.context("cannot make the host's SSH key")?;
    }
    let is_set_up = settings.is_some();
    let listener = control::bind(&config)?;
    let (platform, syslog) = Platform::new(config, settings);
    if let Err(error) = sd_notify::notify(&[NotifyState::Ready]) {
        tracing::warn!(%error, "the service manager could not be told");
    }
    tracing::info!(is_set_up, "ready");

    tokio::spawn(control::serve(listener, Arc::clone(&platform)));
    tokio::spawn(syslog::run(syslog, platform.forwarding(), platform.config().state_dir.clone()));
    tokio::spawn(follow_name_servers(Arc::clone(&platform)));
    if let Some(slot) = platform.slot() {
        tokio::spawn(health::follow(Arc::clone(&platform), slot));
    }
    if !is_set_up {
        tokio::spawn(follow_answer_file(Arc::clone(&platform)));
    }
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopped");
    Ok(())
}

async fn follow_name_servers(platform: Arc<Platform>) {
    loop {
        platform.follow_name_servers().await;
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn follow_answer_file(platform: Arc<Platform>) {
    let mount_on = platform.config().run_dir.join("answers");
    match answer_file::find(&mount_on).await {
        Ok(None) => {}
        Err(fault) => platform.note_answer_file(fault).await,
        Ok(Some(answers)) => {
            let done = platform.set_up(&answers.set_up, answers.password_hash).await;
            if let Err(refusal) = done {
                platform.note_answer_file(format!("{refusal}; {}", refusal.next)).await;
            }
        }
    }
}
