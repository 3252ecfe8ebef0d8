//! What the commands do, one file a verb. The table in `grammar/table.rs` names each function.

pub(crate) mod backup;
pub(crate) mod directory;
pub(crate) mod file;
pub(crate) mod help;
pub(crate) mod network;
pub(crate) mod platform;
pub(crate) mod policy;
pub(crate) mod set;
pub(crate) mod show;
pub(crate) mod tool;
pub(crate) mod unset;
pub(crate) mod upgrade;
pub(crate) mod user;
pub(crate) mod utils;
