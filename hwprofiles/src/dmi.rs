//! What the firmware says of the machine (SMBIOS, as the kernel shows it under
//! `/sys/class/dmi/id`). Every field may be absent, unreadable or nonsense.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// The fields that are read.
const FIELDS: [&str; 11] = [
    "sys_vendor",
    "product_name",
    "product_version",
    "product_family",
    "product_sku",
    "product_serial",
    "board_vendor",
    "board_name",
    "bios_vendor",
    "bios_version",
    "bios_date",
];

/// Where a model's name may stand, the likeliest first.
const NAMES: [&str; 5] =
    ["product_name", "product_family", "product_sku", "product_version", "board_name"];

/// The longest value that is taken from a field.
const FIELD_BYTES: u64 = 256;

/// Values that mean that nobody filled the field in.
const PLACEHOLDERS: [&str; 18] = [
    "to be filled by o.e.m.",
    "to be filled by o.e.m",
    "o.e.m.",
    "oem",
    "default string",
    "system product name",
    "system manufacturer",
    "system version",
    "system serial number",
    "not specified",
    "not applicable",
    "not available",
    "unknown",
    "none",
    "n/a",
    "empty",
    "0123456789",
    "123456789",
];

/// One field of the firmware's description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// The file that was read.
    pub source: PathBuf,
    /// What stood there, trimmed; `None` when there was nothing or it could not be read.
    pub value: Option<String>,
    name: &'static str,
}

/// What the firmware says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Dmi {
    readings: Vec<Reading>,
}

impl Dmi {
    /// Reads what there is in a directory like `/sys/class/dmi/id`.
    #[must_use]
    pub fn read(dir: &Path) -> Self {
        let readings = FIELDS
            .into_iter()
            .map(|name| {
                let source = dir.join(name);
                let value = read_field(&source);
                Reading { source, value, name }
            })
            .collect();
        Self { readings }
    }

    /// Every field with its source.
    #[must_use]
    pub fn readings(&self) -> &[Reading] {
        &self.readings
    }

    /// What a field says, unless it is a placeholder.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        let reading = self.readings.iter().find(|reading| reading.name == name)?;
        let value = reading.value.as_deref()?;
        let lower = value.to_ascii_lowercase();
        let says_nothing = lower.chars().all(|c| matches!(c, 'x' | '0' | '.' | '-' | ' '));
        (!says_nothing && !PLACEHOLDERS.contains(&lower.as_str())).then_some(value)
    }

    /// Who made the machine, or else its board.
    #[must_use]
    pub fn vendor(&self) -> Option<&str> {
        self.field("sys_vendor").or_else(|| self.field("board_vendor"))
    }

    /// What the machine is called.
    #[must_use]
    pub fn product(&self) -> Option<&str> {
        self.field("product_name")
    }

    /// The machine's serial number; only root may read it.
    #[must_use]
    pub fn serial(&self) -> Option<&str> {
        self.field("product_serial")
    }

    /// The firmware's maker, version and date.
    #[must_use]
    pub fn firmware(&self) -> Option<String> {
        let fields = ["bios_vendor", "bios_version", "bios_date"];
        let said: Vec<&str> = fields.iter().filter_map(|name| self.field(name)).collect();
        (!said.is_empty()).then(|| said.join(" "))
    }

    /// The fields in which a model may be named, with what they say.
    pub fn names(&self) -> impl Iterator<Item = (&'static str, &str)> {
        NAMES.into_iter().filter_map(|name| Some((name, self.field(name)?)))
    }
}

fn read_field(path: &Path) -> Option<String> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(FIELD_BYTES).read_to_end(&mut bytes).ok()?;
    let text: String = String::from_utf8_lossy(&bytes)
        .chars()
        .map(|c| if c.is_control() || c.is_whitespace() { ' ' } else { c })
        .collect();
    let words: Vec<&str> = text.split_whitespace().collect();
    (!words.is_empty()).then(|| words.join(" "))
}

/// Who makes machines that were sold as MCS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vendor {
    /// Hewlett-Packard.
    Hp,
    /// IBM.
    Ibm,
}

impl Vendor {
    /// The vendor by what the firmware calls it.
    #[must_use]
    pub fn recognise(text: &str) -> Option<Self> {
        let first = text.split([' ', ',']).next().unwrap_or_default();
        match first.to_ascii_lowercase().as_str() {
            "hp" | "hpe" | "hewlett-packard" | "hewlett" | "compaq" => Some(Self::Hp),
            "ibm" => Some(Self::Ibm),
            _ => None,
        }
    }

    /// The name that everyone uses.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hp => "HP",
            Self::Ibm => "IBM",
        }
    }
}

/// A model's name reduced to what tells it from others, and the machine type that IBM appends.
///
/// `IBM System x3650 M2 -[7947AC1]-`, `System x3650 M2` and `x3650 m2` have the same name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachineName {
    name: String,
    machine_type: Option<String>,
}

impl MachineName {
    /// Takes a product string apart.
    #[must_use]
    pub fn new(product: &str) -> Self {
        const MAKES: [&str; 8] =
            ["hp", "hpe", "ibm", "proliant", "eserver", "system", "xseries", "server"];
        let lower = product.to_ascii_lowercase();
        let (name, machine_type) = match lower.split_once("-[") {
            Some((name, rest)) => {
                let of = rest.split("]").next().unwrap_or_default();
                (name, of.get(..4).filter(|t| t.is_ascii()).map(str::to_owned))
            }
            None => (lower.as_str(), None),
        };
        let words: Vec<&str> = name
            .split_whitespace()
            .filter(|word| !MAKES.contains(word))
            // IBM called the same line `xSeries 346`, `eServer 306m` and `System x3250`.
            .map(|word| match word.strip_prefix('x') {
                Some(number) if number.starts_with(|c: char| c.is_ascii_digit()) => number,
                _ => word,
            })
            .collect();
        Self { name: words.join(" "), machine_type }
    }

    /// Whether the names are the same.
    #[must_use]
    pub fn is_named_as(&self, other: &Self) -> bool {
        !self.name.is_empty() && self.name == other.name
    }

    /// The first four characters of what stands in `-[7979XXX]-`.
    #[must_use]
    pub fn machine_type(&self) -> Option<&str> {
        self.machine_type.as_deref()
    }
}

/// A Cisco model found in a product string: `MCS-7845-I3-IPC2`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct McsModel {
    /// The four digits.
    pub number: String,
    /// The make and its generation: `I3`.
    pub generation: Option<String>,
}

impl McsModel {
    /// Finds `MCS-78nn` with what follows, in any of its spellings.
    #[must_use]
    pub fn find(text: &str) -> Option<Self> {
        let upper = text.to_ascii_uppercase();
        let (before, after) = upper.split_once("MCS")?;
        if before.ends_with(|c: char| c.is_ascii_alphanumeric()) {
            return None;
        }
        let rest = skip_separator(after);
        let number = rest.get(..4)?;
        if !number.starts_with("78") || !number.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let rest = rest.get(4..)?;
        if rest.starts_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        let mut tail = skip_separator(rest).chars();
        let generation = match (tail.next(), tail.next()) {
            (Some(make @ ('H' | 'I')), Some(digit)) if digit.is_ascii_digit() => {
                Some(format!("{make}{digit}"))
            }
            _ => None,
        };
        Some(Self { number: number.to_owned(), generation })
    }

    /// The model as Cisco writes it: `MCS-7845-I3`.
    #[must_use]
    pub fn model(&self) -> String {
        match &self.generation {
            Some(generation) => format!("MCS-{}-{generation}", self.number),
            None => format!("MCS-{}", self.number),
        }
    }
}

fn skip_separator(text: &str) -> &str {
    text.strip_prefix(['-', ' ', '_']).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mcs_models_are_found_in_every_spelling() {
        let model = |text: &str| McsModel::find(text).map(|found| found.model());
        assert_eq!(model("MCS-7845-I3-IPC2").as_deref(), Some("MCS-7845-I3"));
        assert_eq!(model("MCS7835H2").as_deref(), Some("MCS-7835-H2"));
        assert_eq!(model("Cisco MCS 7825-H4-IPC1").as_deref(), Some("MCS-7825-H4"));
        assert_eq!(model("mcs-7816").as_deref(), Some("MCS-7816"));
        assert_eq!(model("MCS-7845-X9").as_deref(), Some("MCS-7845"));
        for other in ["MCS-9999", "MCS-78", "MCS-78455", "OEMCS-7845", "ProLiant DL380 G5", ""] {
            assert_eq!(model(other), None, "{other}");
        }
    }

    #[test]
    fn product_names_are_compared_without_their_makers_prefixes() {
        let same = |a: &str, b: &str| MachineName::new(a).is_named_as(&MachineName::new(b));
        assert!(same("IBM System x3650 -[7979AC1]-", "System x3650"));
        assert!(same("IBM eServer xSeries 346-[8840XXX]-", "eServer xSeries 346"));
        assert!(same("IBM eServer 306m -[8849]-", "eServer xSeries 306m"));
        assert!(same("IBM 3250 -[4364XXX]-", "System x3250"));
        assert!(same("ProLiant DL380  G5 ", "proliant dl380 g5"));
        assert!(!same("ProLiant DL320 G5p", "ProLiant DL320 G5"));
        assert!(!same("IBM System x3650 M2 -[7947XXX]-", "System x3650"));
        assert!(!same("IBM System -[]-", "Server"), "nothing left to compare");
        let machine_type = |s: &str| MachineName::new(s).machine_type().map(str::to_owned);
        assert_eq!(machine_type("System x3650 -[7979XXX]-").as_deref(), Some("7979"));
        assert_eq!(machine_type("System x3650 -[79").as_deref(), None);
        assert_eq!(machine_type("System x3650 -[ä7979]-").as_deref(), None);
    }

    #[test]
    fn vendors_are_recognised_in_their_spellings() {
        for hp in ["HP", "Hewlett-Packard", "Hewlett-Packard Company", "HPE", "hp"] {
            assert_eq!(Vendor::recognise(hp), Some(Vendor::Hp), "{hp}");
        }
        for ibm in ["IBM", "IBM Corporation", "ibm"] {
            assert_eq!(Vendor::recognise(ibm), Some(Vendor::Ibm), "{ibm}");
        }
        for other in ["VMware, Inc.", "QEMU", "", "HPX", "Dell Inc."] {
            assert_eq!(Vendor::recognise(other), None, "{other}");
        }
    }

    #[test]
    fn odd_content_is_tolerated() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| std::fs::write(dir.path().join(name), bytes);
        write("sys_vendor", b"  HP \t\n\n").unwrap();
        write("product_name", b"ProLiant\xff DL380\0 G5\n").unwrap();
        write("product_family", b"To Be Filled By O.E.M.\n").unwrap();
        write("product_version", b"\n").unwrap();
        write("product_serial", b"XXXX-0000\n").unwrap();
        write("board_name", &[b'a'; 10_000]).unwrap();
        std::fs::create_dir(dir.path().join("bios_vendor")).unwrap();
        let dmi = Dmi::read(dir.path());
        assert_eq!(dmi.vendor(), Some("HP"));
        assert_eq!(dmi.product(), Some("ProLiant\u{fffd} DL380 G5"));
        assert_eq!(dmi.field("product_family"), None);
        assert_eq!(dmi.field("product_version"), None);
        assert_eq!(dmi.serial(), None);
        assert_eq!(dmi.field("board_name").unwrap().len(), 256);
        assert_eq!(dmi.firmware(), None);
        let family = dmi.readings().iter().find(|r| r.source.ends_with("product_family")).unwrap();
        assert_eq!(family.value.as_deref(), Some("To Be Filled By O.E.M."), "shown as read");
    }

    #[test]
    fn a_missing_directory_says_nothing() {
        let dmi = Dmi::read(Path::new("/nonexistent/dmi"));
        assert_eq!(dmi.vendor(), None);
        assert_eq!(dmi.names().count(), 0);
        assert!(dmi.readings().iter().all(|r| r.value.is_none()));
    }
}
