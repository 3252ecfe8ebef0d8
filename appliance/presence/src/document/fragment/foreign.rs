//! What must be known of an element's text to copy it out of its document unread.

/// Whether `prefix:` stands in `raw`, as part of a name or of a value that may be a name.
pub(super) fn mentions(raw: &str, prefix: &str) -> bool {
    let octets = raw.as_bytes();
    raw.match_indices(prefix).any(|(at, _)| {
        let follows = octets.get(at + prefix.len()) == Some(&b':');
        let before = at.checked_sub(1).and_then(|before| octets.get(before));
        let begins = before.is_none_or(|&octet| {
            octet.is_ascii() && !octet.is_ascii_alphanumeric() && !b"_-.:".contains(&octet)
        });
        follows && begins
    })
}

/// Whether an element without a prefix begins in `raw`; comments may make it say so wrongly.
pub(super) fn has_unprefixed_element(raw: &str) -> bool {
    raw.split('<').skip(1).any(|tag| {
        let name = tag.split(['>', '/', ' ', '\t', '\r', '\n']).next().unwrap_or_default();
        !name.is_empty() && !name.starts_with(['!', '?']) && !name.contains(':')
    })
}

/// What a copied element's start tag declares itself.
pub(super) struct ForeignTag<'a> {
    /// Where the name ends.
    pub(super) name_end: usize,
    declared: Vec<&'a str>,
}

impl<'a> ForeignTag<'a> {
    /// Reads a well-formed start tag.
    pub(super) fn read(raw: &'a str) -> Self {
        let is_end = |c: char| c.is_ascii_whitespace() || c == '/' || c == '>';
        let name_end = raw.find(is_end).unwrap_or(raw.len());
        let mut declared = Vec::new();
        let mut rest = raw.get(name_end..).unwrap_or_default().trim_ascii_start();
        while !rest.starts_with(['/', '>'])
            && let Some((name, value)) = rest.split_once('=')
        {
            let name = name.trim_ascii_end();
            if name == "xmlns" {
                declared.push("");
            } else if let Some(prefix) = name.strip_prefix("xmlns:") {
                declared.push(prefix);
            }
            let value = value.trim_ascii_start();
            let mut quoted = value.chars();
            let Some(quote) = quoted.next() else { break };
            let Some((_, after)) = quoted.as_str().split_once(quote) else { break };
            rest = after.trim_ascii_start();
        }
        Self { name_end, declared }
    }

    /// Whether it declares this prefix, or, for an empty one, the default namespace.
    pub(super) fn declares(&self, prefix: &str) -> bool {
        self.declared.contains(&prefix)
    }
}
