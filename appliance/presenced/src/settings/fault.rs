//! What is wrong with a settings file, in words.

use std::path::PathBuf;

/// A setting that cannot be used: one sentence with file and line.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingsError {
    /// The file cannot be read.
    #[error("{}: cannot read the settings file", file.display())]
    Unreadable {
        /// The settings file.
        file: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A line of it is wrong.
    #[error("{}:{line}: {fault}", file.display())]
    Faulty {
        /// The settings file.
        file: PathBuf,
        /// The line, counted from one.
        line: usize,
        /// What is wrong with it.
        fault: Fault,
    },
}

/// What is wrong with one line of the settings file.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    /// Not TOML; the words are the TOML reader's.
    #[error("{0}")]
    Syntax(String),
    /// A value of the wrong type; the words are the TOML reader's.
    #[error("'{key}': {words}")]
    WrongType {
        /// The key, with its table.
        key: String,
        /// What is wrong.
        words: String,
    },
    /// A key that does not exist.
    #[error("unknown key '{key}'{}; the nearest valid key is '{nearest}'", place(table))]
    UnknownKey {
        /// The key.
        key: String,
        /// The table it stands in, empty at top level.
        table: &'static str,
        /// The valid key most like it.
        nearest: &'static str,
    },
    /// A key that must be there is not.
    #[error("'{0}' is missing")]
    Missing(&'static str),
    /// A key was given without the one it needs.
    #[error("'{given}' needs '{needed}' beside it")]
    Alone {
        /// The key that is there.
        given: &'static str,
        /// The key that is not.
        needed: &'static str,
    },
    /// A value that cannot be used.
    #[error("'{key}' is \"{value}\", but must be {expected}")]
    BadValue {
        /// The key.
        key: &'static str,
        /// The value as written.
        value: String,
        /// What would do.
        expected: &'static str,
    },
}

fn place(table: &str) -> String {
    if table.is_empty() { " at top level".to_owned() } else { format!(" in [{table}]") }
}
