//! What the command line asks for.

use std::collections::BTreeMap;
use std::error::Error;
use std::str::FromStr;

/// Options that stand alone.
const SWITCHES: [&str; 2] = ["large", "memory"];

/// The options given, by name.
pub struct Options {
    given: BTreeMap<String, String>,
    usage: &'static str,
}

impl Options {
    /// Reads `--name value` and `--name`.
    pub fn read(
        arguments: impl Iterator<Item = String>,
        usage: &'static str,
    ) -> Result<Self, Box<dyn Error>> {
        let mut given = BTreeMap::new();
        let mut arguments = arguments;
        while let Some(name) = arguments.next() {
            let name = name.strip_prefix("--").ok_or(usage)?.to_owned();
            let value = if SWITCHES.contains(&name.as_str()) {
                String::new()
            } else {
                arguments.next().ok_or(usage)?
            };
            given.insert(name, value);
        }
        Ok(Self { given, usage })
    }

    /// The value of an option, or the usual one.
    pub fn take<T: FromStr>(&mut self, name: &str, usual: T) -> Result<T, Box<dyn Error>> {
        match self.given.remove(name) {
            Some(text) => {
                text.parse().map_err(|_| format!("--{name} {text}?\n{}", self.usage).into())
            }
            None => Ok(usual),
        }
    }

    /// The value of an option that need not be there.
    pub fn text(&mut self, name: &str) -> Option<String> {
        self.given.remove(name)
    }

    /// Whether an option that has no value is given.
    pub fn has(&mut self, name: &str) -> bool {
        self.given.remove(name).is_some()
    }

    /// Refuses what nobody has taken.
    pub fn end(self) -> Result<(), Box<dyn Error>> {
        match self.given.keys().next() {
            Some(name) => Err(format!("--{name}?\n{}", self.usage).into()),
            None => Ok(()),
        }
    }
}
