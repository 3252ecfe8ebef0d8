//! The durations of RFC 3261 §17 (table 4) and RFC 6026, by meaning.

use std::time::Duration;

/// Round-trip estimate (T1).
pub const ROUND_TRIP: Duration = Duration::from_millis(500);
/// Longest pause between retransmissions (T2).
pub const LONGEST_PAUSE: Duration = Duration::from_secs(4);
/// When an unanswered transaction is given up: 64 × T1 (timers B, F, H, J, L and M).
pub const GIVE_UP: Duration = Duration::from_secs(32);
/// How long an INVITE client transaction absorbs repeated final responses (timer D).
pub const ABSORB_FINAL_RESPONSES: Duration = Duration::from_secs(32);
