//! The presence daemon: reads its settings, joins store, server, sockets and control, serves
//! until told to stop, and leaves everything saved.

mod admin_socket;
mod administration;
mod admission;
mod alarm;
mod api;
mod audit;
mod certificate;
mod clock;
mod credentials;
mod directory;
mod flow;
mod hardware;
mod http;
mod import;
mod listener;
mod log;
mod metrics;
mod node;
mod node_key;
mod reload;
mod reserve;
mod resolver;
mod sealed;
mod server_task;
mod settings;
mod startup;
mod store_task;
mod watch;
mod xcap;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

/// The presence daemon of a Lamplight node.
#[derive(Debug, Parser)]
#[command(name = "presenced", version)]
struct Arguments {
    /// The settings file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match startup::run(&arguments.config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // The journal is told that it is an error (sd-daemon(3)); `{:#}` joins the causes into
            // one sentence.
            let mark = if std::env::var_os("JOURNAL_STREAM").is_some() { "<3>" } else { "" };
            let _ = writeln!(std::io::stderr(), "{mark}presenced: {failure:#}");
            ExitCode::FAILURE
        }
    }
}
