//! `platformd`: the one privileged program of the appliance. It writes what other programs read
//! at every start, and does what the administrator asks of the machine: network, time, passwords,
//! logs, power. It serves the requests of `admin_api::platform` and nothing else.

mod answer_file;
mod backup;
mod boot_slots;
mod clock;
mod config;
mod control;
mod disk;
mod file;
mod files;
mod health;
mod journal;
mod machine;
mod mounts;
mod network;
mod password;
mod platform;
mod rauc;
mod recovery;
mod remote;
mod reset;
mod settings;
mod slot;
mod ssh_keys;
mod syslog;
mod tools;
mod twins;
mod units;
mod upgrade;
mod written;

use std::io::Write as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;
use sd_notify::NotifyState;
use tokio::signal::unix::{SignalKind, signal};

use crate::config::Config;
use crate::platform::Platform;
use crate::remote::sftp;
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
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).without_time().init();
    let mut words = std::env::args();
    let name = words.next().unwrap_or_default();
    let ran = if Path::new(&name).ends_with(boot_slots::NAME) {
        boot_slots::answer(&words.collect::<Vec<_>>()).map(|answer| {
            if let Some(answer) = answer {
                // RAUC reads it; when it is gone nobody does.
                let _ = writeln!(std::io::stdout(), "{answer}");
            }
        })
    } else if Path::new(&name).ends_with(sftp::ASKPASS) {
        // OpenSSH reads it; when it is gone nobody does.
        let _ =
            writeln!(std::io::stdout(), "{}", std::env::var(sftp::PASSWORD).unwrap_or_default());
        Ok(())
    } else {
        Config::read(&Arguments::parse().config).and_then(run)
    };
    match ran {
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
    reset::finish(&config).context("the settings and data cannot be erased")?;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&config.state_dir);
    if let Err(error) = made {
        tracing::error!(directory = %config.state_dir.display(), %error, "nothing can be kept");
    }
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
    tokio::spawn(backup::follow(Arc::clone(&platform)));
    tokio::spawn(follow_name_servers(Arc::clone(&platform)));
    if let Some(slot) = platform.config().slot {
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
