//! Option tags: Require, Supported, Proxy-Require, Unsupported (RFC 3261 §19.2).

use super::split_list;

/// The tags of several headers, in order.
pub fn tags<'a>(values: impl IntoIterator<Item = &'a str>) -> impl Iterator<Item = &'a str> {
    values.into_iter().flat_map(split_list).filter(|tag| !tag.is_empty())
}

#[cfg(test)]
mod tests {
    #[test]
    fn tags_come_one_by_one() {
        let tags: Vec<_> = super::tags(["eventlist , outbound", "", "path"]).collect();
        assert_eq!(tags, ["eventlist", "outbound", "path"]);
    }
}
