//! Whether the store keeps what it acknowledged: killed, without power, damaged, on a bad disk.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::unwrap_in_result,
    reason = "a test fails by panicking"
)]

mod bad_disk;
mod child;
mod corruption;
mod crash_state;
mod kill;
mod model;
mod power_loss;
mod workload;
