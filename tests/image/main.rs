//! The firmware image: what is in it, and how it behaves in a machine as its administrators, its
//! users and its enemies meet it.
//!
//! A start costs the better part of a minute of one processor, so each machine serves many checks.

mod administration;
mod backup;
mod console;
mod contents;
mod full;
mod installer;
mod loader;
mod operation;
mod power;
mod profiles;
mod start;
mod upgrade;
