//! Detection of the machine's MCS class and the capacity that it carries.
//!
//! [`Resources::read`] measures the machine, [`detect()`] reads what its firmware says and decides;
//! the [`Detection`] explains itself. Models are data: one file each under `profiles/`.

pub mod capacity;
pub mod detect;
pub mod dmi;
pub mod matching;
pub mod profile;

pub use capacity::{Class, TooSmall};
pub use detect::{Resources, ResourcesUnreadable, detect};
pub use dmi::Dmi;
pub use matching::{Detection, Rule, Warning};
pub use profile::Profile;
