//! Long lists, a page at a time.

use serde::{Deserialize, Serialize};

/// The most entries a daemon puts on one page; a larger `limit` is brought down to it.
pub const MAX_PAGE: u32 = 1_000;

/// Which part of a list is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PageRequest {
    /// The `next` of the page before; absent for the first page. Made and read by the daemon
    /// alone: usually the key of the last entry, so that a list which changes between two pages
    /// neither repeats nor breaks off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// How many entries at most, 1 to [`MAX_PAGE`].
    pub limit: u32,
}

impl PageRequest {
    /// The first page, as long as pages get.
    #[must_use]
    pub const fn first() -> Self {
        Self { after: None, limit: MAX_PAGE }
    }

    /// The limit as the daemon is to apply it.
    #[must_use]
    pub fn effective_limit(&self) -> usize {
        usize::try_from(self.limit.clamp(1, MAX_PAGE)).unwrap_or(1)
    }
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page<T> {
    /// How many entries the whole list has (those that match, where the request filters).
    pub total: u64,
    /// The entries of this page, in the list's order.
    pub items: Vec<T>,
    /// What to ask for next; absent on the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}
