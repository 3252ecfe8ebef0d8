//! The `appliance` command against a small server that speaks the real protocol.
#![expect(
    clippy::unwrap_used,
    clippy::unwrap_in_result,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that meets the unexpected is to stop there"
)]

mod console;
mod directory;
mod machine;
mod one_shot;
mod platform;
mod platform_answers;
mod sample;
mod server;
mod shell;
mod terminal;
