//! The one place that reads clocks: monotonic time since the process began, and civil time.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sip::clock::{Instant, Now, WallTime};

/// Turns readings of the machine's clocks into the values that the pure crates take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    base: tokio::time::Instant,
}

impl Clock {
    /// A clock that begins now.
    pub(crate) fn start() -> Self {
        Self { base: tokio::time::Instant::now() }
    }

    /// Both clocks.
    pub(crate) fn now(self) -> Now {
        let micros = u64::try_from(self.base.elapsed().as_micros()).unwrap_or(u64::MAX);
        Now { monotonic: Instant::from_micros(micros), wall: WallTime::from_millis(unix_millis()) }
    }

    /// The runtime's instant for one of ours.
    pub(crate) fn runtime_instant(self, instant: Instant) -> tokio::time::Instant {
        // A deadline beyond what the runtime can add is a deadline that is not waited for.
        let far = Duration::from_secs(86_400);
        self.base
            .checked_add(Duration::from_micros(instant.as_micros()))
            .unwrap_or_else(|| tokio::time::Instant::now() + far)
    }
}

/// How long ago the kernel began to run, if it says.
pub(crate) fn since_kernel_start() -> Option<Duration> {
    nix::time::clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME).ok().map(Duration::from)
}

/// Milliseconds since 1970; zero before.
pub(crate) fn unix_millis() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
}
