//! Finds the built programs beside the running test, and has cargo build what is missing or old.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::SystemTime;

/// The package of each program.
const PROGRAMS: [(&str, &str); 2] = [("presenced", "presenced"), ("appliance", "admin-cli")];

/// The path of a program, built when need be.
#[track_caller]
pub fn binary(name: &str) -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT
        .get_or_init(|| profile_dir().inspect(|dir| build_once(dir)).expect("a target directory"))
        .join(name)
}

/// `target/PROFILE`, from the path of the running test `target/PROFILE/deps/NAME`.
fn profile_dir() -> Option<PathBuf> {
    let test = std::env::current_exe().ok()?;
    Some(test.parent()?.parent()?.to_owned())
}

/// The root of the workspace.
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests has a parent").to_owned()
}

/// Builds under a lock, so that tests in other processes wait and then find the work done.
fn build_once(dir: &Path) {
    let lock_path = dir.join("lamplight-tests.lock");
    let lock = OpenOptions::new().create(true).truncate(false).write(true).open(&lock_path);
    let lock = lock.unwrap_or_else(|e| panic!("{}: {e}", lock_path.display()));
    lock.lock().expect("lock the build");
    let run = std::env::var("NEXTEST_RUN_ID").unwrap_or_default();
    let marker = dir.join("lamplight-tests.run");
    let seen = std::fs::read_to_string(&marker).unwrap_or_default();
    if !run.is_empty() && seen == run {
        return;
    }
    if is_stale(dir) {
        build(dir);
    }
    std::fs::write(&marker, run).expect("write the marker");
    drop::<File>(lock);
}

/// Whether a program is missing or older than a source file.
fn is_stale(dir: &Path) -> bool {
    let modified = |path: &Path| path.metadata().and_then(|m| m.modified()).ok();
    let oldest = PROGRAMS.iter().map(|(name, _)| modified(&dir.join(name))).min().flatten();
    let Some(oldest) = oldest else { return true };
    let root = workspace();
    let mut newest = modified(&root.join("Cargo.lock")).unwrap_or(SystemTime::UNIX_EPOCH);
    let mut dirs = vec![root.join("appliance"), root.join("hwprofiles")];
    while let Some(dir) = dirs.pop() {
        let Ok(entries) = dir.read_dir() else { continue };
        for entry in entries.flatten() {
            let path = entry.path();
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => dirs.push(path),
                Ok(_) => newest = newest.max(modified(&path).unwrap_or(newest)),
                Err(_) => {}
            }
        }
    }
    newest > oldest
}

fn build(dir: &Path) {
    let profile = match dir.file_name().and_then(|n| n.to_str()) {
        Some("debug") | None => "dev",
        Some(other) => other,
    };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(workspace()).args(["build", "--quiet", "--bins", "--profile", profile]);
    command.arg("--target-dir").arg(dir.parent().expect("a target directory"));
    for (_, package) in PROGRAMS {
        command.args(["--package", package]);
    }
    let status = command.status().expect("run cargo");
    assert!(status.success(), "cargo could not build the programs under test");
}
