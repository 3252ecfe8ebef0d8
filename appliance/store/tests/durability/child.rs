//! Tests that run themselves in a second process.

use std::env;
use std::process::{Command, Stdio};

const ROLE: &str = "LAMPLIGHT_STORE_TEST_ROLE";

/// A command that runs one test of this binary again, in a role.
pub(crate) fn command(test: &str, role: &str) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(ROLE, role)
        // sled runs `sync` when it opens; nothing here may be on disk but by its own syncs.
        .env("PATH", "/nonexistent")
        .stdin(Stdio::null());
    command
}

/// The role that this process runs in, if it was started by a test.
pub(crate) fn role() -> Option<String> {
    env::var(ROLE).ok()
}

/// Runs a test of this binary again, in a role, and passes its outcome on.
pub(crate) fn run(test: &str, role: &str) {
    let status = command(test, role).status().unwrap();
    assert!(status.success(), "{test} as {role}: {status}");
}
