//! The protocol between the CLI and `platformd`, the one privileged program: what is asked and
//! what is answered. Lines, versions and refusals are those of [`wire`](crate::wire).

pub mod answer;
pub mod backup;
pub mod request;
pub mod settings;
pub mod tool;
pub mod upgrade;
