//! How long a person at the console has pressed no key, and what then happens.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// When the last key was pressed, in milliseconds after [`START`].
static LAST_KEY_MS: AtomicU64 = AtomicU64::new(0);

/// How many prompts wait for a key. A command that works is not idle.
static WAITING: AtomicUsize = AtomicUsize::new(0);

/// Whether anyone is signed in at the console.
static IS_ARMED: AtomicBool = AtomicBool::new(false);

fn now_ms() -> u64 {
    u64::try_from(START.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// A key was pressed.
pub(crate) fn touch() {
    LAST_KEY_MS.store(now_ms(), Ordering::Relaxed);
}

/// From now on someone is signed in, or no longer.
pub(crate) fn arm(is_armed: bool) {
    touch();
    IS_ARMED.store(is_armed, Ordering::Relaxed);
}

/// A prompt waits for keys while this lives.
#[derive(Debug)]
pub(crate) struct Waiting(());

impl Waiting {
    /// From now on.
    pub(crate) fn begin() -> Self {
        touch();
        WAITING.fetch_add(1, Ordering::Relaxed);
        Self(())
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        WAITING.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Watches in a thread of its own: `leave` is called when whoever is signed in lets a prompt
/// wait for so long.
pub(crate) fn watch(limit: Duration, leave: impl FnOnce() + Send + 'static) {
    const LOOK_EVERY: Duration = Duration::from_secs(1);
    std::thread::spawn(move || {
        loop {
            let idle =
                Duration::from_millis(now_ms().saturating_sub(LAST_KEY_MS.load(Ordering::Relaxed)));
            let is_waiting =
                IS_ARMED.load(Ordering::Relaxed) && WAITING.load(Ordering::Relaxed) > 0;
            if is_waiting && idle >= limit {
                leave();
                return;
            }
            std::thread::sleep(LOOK_EVERY.min(limit));
        }
    });
}
