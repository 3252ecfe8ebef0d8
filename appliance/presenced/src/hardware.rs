//! The machine: detected once at the start.
use admin_api::answer::system::Hardware;
use crate::alarm::Alarms;
use crate::settings::Settings;

/// m
#[derive(Debug)]
pub(crate) struct Machine { pub(crate) hardware: Hardware, pub(crate) max_users: u32 }
impl Machine { pub(crate) fn is_sufficient(&self) -> bool { true } pub(crate) fn raise_alarms(&self, _: &Alarms) {} }
pub(crate) fn detect(_: &Settings) -> Machine { todo!() }
