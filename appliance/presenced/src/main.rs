//! The presence daemon.
fn main() {}
