//! tmp
use crate::alarm::Alarms;
use crate::settings::Settings;
use admin_api::answer::system::{Hardware, HardwareRule};
/// m
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) hardware: Hardware,
    pub(crate) max_users: u32,
}
impl Machine {
    pub(crate) fn is_sufficient(&self) -> bool {
        true
    }
    pub(crate) fn raise_alarms(&self, _: &Alarms) {}
}
pub(crate) fn detect(_: &Settings) -> Machine {
    Machine {
        max_users: 5000,
        hardware: Hardware {
            vendor: None,
            product: None,
            serial: None,
            firmware: None,
            kernel: None,
            processor: None,
            sockets: None,
            cores: 2,
            clock_mhz: None,
            memory_bytes: 0,
            disk_bytes: 0,
            profile: "generic".into(),
            class: Some("7845".into()),
            rule: HardwareRule::BySize,
            explanation: "temporary".into(),
            readings: vec![],
            warnings: vec![],
        },
    }
}
