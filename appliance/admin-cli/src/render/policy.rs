//! What is decided for the whole node as text.

use admin_api::answer::PolicyItem;

use super::Table;
use super::text::safe;

/// Everything there is to decide.
pub(crate) fn items(items: &[PolicyItem]) -> Vec<String> {
    let mut table = Table::new(&["POLICY", "VALUE", "USUAL", "MEANING", "ALLOWED"]);
    for item in items {
        let cells = [&item.name, &item.value, &item.usual, &item.meaning, &item.allowed];
        table.row(cells.map(|cell| safe(cell)));
    }
    table.lines()
}
