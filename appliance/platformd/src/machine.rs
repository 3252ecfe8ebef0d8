//! The machine: how it was recognised, what it carries, who it is.

use std::net::IpAddr;
use std::path::Path;

use admin_api::answer::system::{Hardware, HardwareRule, Reading};
use hwprofiles::{Resources, Rule};

/// Where the firmware's words are.
const DMI: &str = "/sys/class/dmi/id";
/// The strings that the machine's maker left (SMBIOS type 11).
const OEM_STRINGS: &str = "/sys/firmware/dmi/entries/11-0/raw";

/// Measures and recognises the machine; `data_dir` must exist.
pub(crate) fn hardware(data_dir: &Path) -> Result<Hardware, hwprofiles::ResourcesUnreadable> {
    let resources = Resources::read(Path::new("/proc"), data_dir)?;
    let detection = hwprofiles::detect(Path::new(DMI), &resources);
    let dmi = &detection.dmi;
    let mut readings: Vec<_> = dmi
        .readings()
        .iter()
        .map(|reading| Reading {
            source: reading.source.display().to_string(),
            value: reading.value.clone(),
        })
        .collect();
    for text in oem_strings(&std::fs::read(OEM_STRINGS).unwrap_or_default()) {
        readings.push(Reading { source: OEM_STRINGS.to_owned(), value: Some(text) });
    }
    Ok(Hardware {
        vendor: dmi.vendor().map(ToOwned::to_owned),
        product: dmi.product().map(ToOwned::to_owned),
        serial: dmi.serial().map(ToOwned::to_owned),
        firmware: dmi.firmware(),
        kernel: kernel(),
        processor: detection.resources.processor.clone(),
        sockets: detection.resources.sockets,
        cores: detection.resources.cores,
        clock_mhz: detection.resources.clock_mhz,
        memory_bytes: detection.resources.memory_bytes,
        disk_bytes: detection.resources.disk_bytes,
        profile: detection.profile.clone(),
        rule: match (&detection.capacity, detection.rule) {
            (Err(_), _) => HardwareRule::TooSmall,
            (Ok(_), Rule::Mcs) => HardwareRule::Mcs,
            (Ok(_), Rule::OemEquivalent) => HardwareRule::OemEquivalent,
            (Ok(_), Rule::BySize) => HardwareRule::BySize,
        },
        class: detection.capacity.as_ref().ok().map(|class| class.number().to_owned()),
        explanation: detection.explanation.clone(),
        readings,
        warnings: detection
            .capacity
            .as_ref()
            .err()
            .map(ToString::to_string)
            .into_iter()
            .chain(detection.warnings.iter().map(ToString::to_string))
            .collect(),
    })
}

fn kernel() -> Option<String> {
    let read = |name: &str| std::fs::read_to_string(Path::new("/proc/sys/kernel").join(name)).ok();
    Some(format!("{} {}", read("ostype")?.trim(), read("osrelease")?.trim()))
}

/// The strings behind an SMBIOS structure (SMBIOS §6.1.3): NUL after each, one more at the end.
fn oem_strings(raw: &[u8]) -> Vec<String> {
    let Some(strings) = raw.get(1).and_then(|length| raw.get(usize::from(*length)..)) else {
        return Vec::new();
    };
    strings
        .split(|byte| *byte == 0)
        .take_while(|text| !text.is_empty())
        .map(|text| String::from_utf8_lossy(text).chars().filter(|c| !c.is_control()).collect())
        .collect()
}

/// The machine's UUID.
pub(crate) fn uuid() -> Option<String> {
    let text = std::fs::read_to_string(Path::new(DMI).join("product_uuid")).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// Addresses at which the machine can be reached.
pub(crate) fn addresses() -> Vec<IpAddr> {
    let Ok(found) = nix::ifaddrs::getifaddrs() else { return Vec::new() };
    found
        .filter_map(|interface| {
            let address = interface.address?;
            let v4 = address.as_sockaddr_in().map(|a| IpAddr::V4(a.ip()));
            v4.or_else(|| address.as_sockaddr_in6().map(|a| IpAddr::V6(a.ip())))
        })
        .filter(|address| match address {
            IpAddr::V4(v4) => !v4.is_loopback(),
            IpAddr::V6(v6) => !v6.is_loopback() && !v6.is_unicast_link_local(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::oem_strings;

    #[test]
    fn strings_of_the_maker_are_read_and_nonsense_is_not() {
        let raw = b"\x0b\x05\x00\x0b\x02MCS-7845-H2\0second\x1b\0\0";
        assert_eq!(oem_strings(raw), ["MCS-7845-H2", "second"]);
        for nonsense in [&b""[..], b"\x0b", b"\x0b\xff\x00", b"\x0b\x05\x00\x0b\x01"] {
            assert!(oem_strings(nonsense).is_empty());
        }
    }
}
