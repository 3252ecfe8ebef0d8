//! Profiles: one machine model each, read from the files under `profiles/`, which are part of the
//! program.

use serde::Deserialize;

use crate::capacity::{Class, Minimum};
use crate::dmi::{MachineName, Vendor};

/// One machine model that was sold for this work.
#[derive(Debug, Clone)]
pub struct Profile {
    /// The name of its file: `mcs-7845-i3`.
    pub id: &'static str,
    /// The model: `MCS-7845-I3`.
    pub model: String,
    /// The class that it was sold as.
    pub class: Class,
    /// How its firmware names it when it does not call itself an MCS.
    pub oem: Oem,
    /// The least with which it was sold.
    pub minimum: Minimum,
}

/// How the manufacturer names a model.
#[derive(Debug, Clone)]
pub struct Oem {
    /// The manufacturer.
    pub vendor: Vendor,
    /// The model's name.
    pub product: MachineName,
    /// The four characters that begin the machine type, as in `-[7979XXX]-`.
    pub machine_types: Vec<String>,
}

/// A file under `profiles/` that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InvalidProfile {
    /// Not TOML of the expected form.
    #[error("profile {id}: not of the expected form")]
    Form {
        /// The file.
        id: &'static str,
        /// What is wrong with it.
        #[source]
        source: toml::de::Error,
    },
    /// A number of users that no class has.
    #[error("profile {id}: no class has {max_users} users")]
    Class {
        /// The file.
        id: &'static str,
        /// The number.
        max_users: u32,
    },
    /// A manufacturer that is not known.
    #[error("profile {id}: vendor {vendor:?} is not known")]
    Vendor {
        /// The file.
        id: &'static str,
        /// The name.
        vendor: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    model: String,
    max_users: u32,
    r#match: Match,
    minimum: Minimum,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Match {
    vendor: String,
    product: String,
    #[serde(default)]
    machine_types: Vec<String>,
}

impl Profile {
    fn parse(id: &'static str, text: &str) -> Result<Self, InvalidProfile> {
        let file: File =
            toml::from_str(text).map_err(|source| InvalidProfile::Form { id, source })?;
        let max_users = file.max_users;
        let class =
            Class::from_max_users(max_users).ok_or(InvalidProfile::Class { id, max_users })?;
        let Some(vendor) = Vendor::recognise(&file.r#match.vendor) else {
            return Err(InvalidProfile::Vendor { id, vendor: file.r#match.vendor });
        };
        let product = MachineName::new(&file.r#match.product);
        let oem = Oem { vendor, product, machine_types: file.r#match.machine_types };
        Ok(Self { id, model: file.model, class, oem, minimum: file.minimum })
    }

    /// Reads every profile that is part of the program.
    ///
    /// # Errors
    /// The first that is invalid, which the tests rule out.
    pub fn read_all() -> Result<Vec<Self>, InvalidProfile> {
        FILES.iter().map(|(id, text)| Self::parse(id, text)).collect()
    }
}

/// Every file under `profiles/`, by name.
const FILES: &[(&str, &str)] = &[
    ("dl380-g6-e5504", include_str!("../profiles/dl380-g6-e5504.toml")),
    ("dl380-g6-e5540", include_str!("../profiles/dl380-g6-e5540.toml")),
    ("mcs-7816-h3", include_str!("../profiles/mcs-7816-h3.toml")),
    ("mcs-7816-i3", include_str!("../profiles/mcs-7816-i3.toml")),
    ("mcs-7816-i4", include_str!("../profiles/mcs-7816-i4.toml")),
    ("mcs-7816-i5", include_str!("../profiles/mcs-7816-i5.toml")),
    ("mcs-7825-h1", include_str!("../profiles/mcs-7825-h1.toml")),
    ("mcs-7825-h2", include_str!("../profiles/mcs-7825-h2.toml")),
    ("mcs-7825-h3", include_str!("../profiles/mcs-7825-h3.toml")),
    ("mcs-7825-h4", include_str!("../profiles/mcs-7825-h4.toml")),
    ("mcs-7825-i1", include_str!("../profiles/mcs-7825-i1.toml")),
    ("mcs-7825-i2", include_str!("../profiles/mcs-7825-i2.toml")),
    ("mcs-7825-i3", include_str!("../profiles/mcs-7825-i3.toml")),
    ("mcs-7825-i4", include_str!("../profiles/mcs-7825-i4.toml")),
    ("mcs-7825-i5", include_str!("../profiles/mcs-7825-i5.toml")),
    ("mcs-7825-i6", include_str!("../profiles/mcs-7825-i6.toml")),
    ("mcs-7835-h1", include_str!("../profiles/mcs-7835-h1.toml")),
    ("mcs-7835-h2", include_str!("../profiles/mcs-7835-h2.toml")),
    ("mcs-7835-i1", include_str!("../profiles/mcs-7835-i1.toml")),
    ("mcs-7835-i2", include_str!("../profiles/mcs-7835-i2.toml")),
    ("mcs-7835-i3", include_str!("../profiles/mcs-7835-i3.toml")),
    ("mcs-7845-h1", include_str!("../profiles/mcs-7845-h1.toml")),
    ("mcs-7845-h2", include_str!("../profiles/mcs-7845-h2.toml")),
    ("mcs-7845-i1", include_str!("../profiles/mcs-7845-i1.toml")),
    ("mcs-7845-i2", include_str!("../profiles/mcs-7845-i2.toml")),
    ("mcs-7845-i3", include_str!("../profiles/mcs-7845-i3.toml")),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_part_of_the_program() {
        let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/profiles");
        let mut on_disk: Vec<String> = std::fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        on_disk.sort();
        let embedded: Vec<String> = FILES.iter().map(|(id, _)| format!("{id}.toml")).collect();
        assert_eq!(embedded, on_disk);
    }

    #[test]
    fn every_profile_is_valid_and_named_as_its_file() {
        let profiles = Profile::read_all().unwrap();
        for profile in &profiles {
            assert_eq!(profile.model.to_ascii_lowercase(), profile.id);
            if let Some(rest) = profile.id.strip_prefix("mcs-") {
                assert!(rest.starts_with(profile.class.number()), "{}", profile.id);
            }
            for machine_type in &profile.oem.machine_types {
                assert_eq!(machine_type.len(), 4, "{}", profile.id);
            }
        }
    }

    #[test]
    fn every_profile_carries_the_smallest_class_at_least() {
        let smallest = Class::Mcs7816.minimum();
        for profile in Profile::read_all().unwrap() {
            let minimum = profile.minimum;
            assert!(minimum.cores >= smallest.cores, "{}", profile.id);
            assert!(minimum.memory_gb >= smallest.memory_gb, "{}", profile.id);
            assert!(minimum.disk_gb >= smallest.disk_gb, "{}", profile.id);
        }
    }

    #[test]
    fn unusable_files_are_named() {
        let bad = |text: &str| Profile::parse("mcs-x", text).unwrap_err().to_string();
        assert_eq!(bad("model = 1"), "profile mcs-x: not of the expected form");
        let text = FILES[0].1;
        let odd = text.replace("max_users = ", "max_users = 7");
        assert!(bad(&odd).contains("no class has"), "{}", bad(&odd));
        let odd = text.replace("vendor = \"HP\"", "vendor = \"Acme\"");
        assert!(bad(&odd).contains("Acme"), "{}", bad(&odd));
    }
}
