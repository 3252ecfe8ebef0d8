//! The machine: measured and recognised once at the start.

use std::path::Path;

use admin_api::answer::system::{Hardware, HardwareRule, Reading};
use hwprofiles::{Detection, Resources, ResourcesUnreadable, Rule};

use crate::alarm::{AlarmKind, Alarms};

/// What the machine is and carries.
#[derive(Debug)]
pub(crate) struct Machine {
    /// As an administrator sees it.
    pub(crate) hardware: Hardware,
    /// How many enabled users there may be; none on a machine that is too small.
    pub(crate) max_users: u32,
    /// Why SIP is not served, when it is not.
    pub(crate) too_small: Option<String>,
}

impl Machine {
    /// Whether SIP may be served.
    pub(crate) fn is_sufficient(&self) -> bool {
        self.too_small.is_none()
    }

    /// Raises the alarms that the machine gives cause for.
    pub(crate) fn raise_alarms(&self, alarms: &Alarms) {
        if let Some(what) = &self.too_small {
            alarms.raise(AlarmKind::HardwareTooSmall, what.clone());
        }
        if !self.hardware.warnings.is_empty() {
            alarms.raise(AlarmKind::HardwareReduced, self.hardware.warnings.join("; "));
        }
    }
}

/// Measures this machine; `data_dir` must exist.
pub(crate) fn detect(dmi_dir: &Path, data_dir: &Path) -> Result<Machine, ResourcesUnreadable> {
    let resources = Resources::read(Path::new("/proc"), data_dir)?;
    let detection = hwprofiles::detect(dmi_dir, &resources);
    tracing::info!(
        profile = detection.profile,
        max_users = detection.max_users(),
        "{}",
        detection.explanation
    );
    Ok(machine(detection))
}

fn machine(detection: Detection) -> Machine {
    let max_users = detection.max_users();
    let too_small = detection.capacity.as_ref().err().map(ToString::to_string);
    let dmi = &detection.dmi;
    let readings = dmi.readings().iter().map(|reading| Reading {
        source: reading.source.display().to_string(),
        value: reading.value.clone(),
    });
    let hardware = Hardware {
        vendor: dmi.vendor().map(ToOwned::to_owned),
        product: dmi.product().map(ToOwned::to_owned),
        serial: dmi.serial().map(ToOwned::to_owned),
        firmware: dmi.firmware(),
        kernel: kernel(),
        readings: readings.collect(),
        sockets: detection.resources.sockets,
        cores: detection.resources.cores,
        clock_mhz: detection.resources.clock_mhz,
        memory_bytes: detection.resources.memory_bytes,
        disk_bytes: detection.resources.disk_bytes,
        processor: detection.resources.processor,
        profile: detection.profile,
        rule: match (&detection.capacity, detection.rule) {
            (Err(_), _) => HardwareRule::TooSmall,
            (Ok(_), Rule::Mcs) => HardwareRule::Mcs,
            (Ok(_), Rule::OemEquivalent) => HardwareRule::OemEquivalent,
            (Ok(_), Rule::BySize) => HardwareRule::BySize,
        },
        class: detection.capacity.ok().map(|class| class.number().to_owned()),
        explanation: detection.explanation,
        warnings: detection.warnings.iter().map(ToString::to_string).collect(),
    };
    Machine { hardware, max_users, too_small }
}

fn kernel() -> Option<String> {
    let read = |name: &str| std::fs::read_to_string(Path::new("/proc/sys/kernel").join(name)).ok();
    Some(format!("{} {}", read("ostype")?.trim(), read("osrelease")?.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    fn resources(memory_bytes: u64) -> Resources {
        Resources {
            cores: 2,
            sockets: Some(1),
            clock_mhz: Some(3_000),
            memory_bytes,
            disk_bytes: 200 * GIB,
            processor: None,
            is_virtual: true,
        }
    }

    #[test]
    fn a_machine_that_is_too_small_serves_nobody_and_says_why() {
        let dir = tempfile::tempdir().unwrap();
        let machine = machine(hwprofiles::detect(dir.path(), &resources(GIB / 2)));
        assert!(!machine.is_sufficient());
        assert_eq!(machine.max_users, 0);
        assert_eq!(machine.hardware.rule, HardwareRule::TooSmall);
        let alarms = Alarms::default();
        machine.raise_alarms(&alarms);
        assert!(alarms.is_raised(AlarmKind::HardwareTooSmall));
    }

    #[test]
    fn a_sufficient_machine_has_a_class_and_no_alarm() {
        let dir = tempfile::tempdir().unwrap();
        let machine = machine(hwprofiles::detect(dir.path(), &resources(8 * GIB)));
        assert!(machine.is_sufficient());
        assert_eq!(machine.hardware.rule, HardwareRule::BySize);
        assert!(machine.hardware.class.is_some() && machine.max_users > 0);
        assert!(!machine.hardware.readings.is_empty());
        let alarms = Alarms::default();
        machine.raise_alarms(&alarms);
        assert!(alarms.standing().is_empty());
    }
}
