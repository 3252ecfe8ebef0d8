//! Reading single headers out of a message without reading the message.

use memchr::memchr;

/// The value of the first header of that name, spelt as given with its colon.
pub fn header<'a>(bytes: &'a [u8], name: &str) -> Option<&'a str> {
    headers(bytes, name).next()
}

/// The values of all headers of that name, spelt as given with its colon.
pub fn headers<'a>(bytes: &'a [u8], name: &str) -> impl Iterator<Item = &'a str> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        while let Some(end) = memchr(b'\n', rest) {
            let (line, next) = rest.split_at(end + 1);
            if line == b"\r\n" {
                return None;
            }
            rest = next;
            if let Some(value) = line.strip_prefix(name.as_bytes()) {
                return Some(std::str::from_utf8(value).unwrap_or_default().trim());
            }
        }
        None
    })
}

/// The tag of a From or To value.
pub fn tag(value: &str) -> Option<&str> {
    let (_, tag) = value.rsplit_once(";tag=")?;
    tag.split([';', ' ']).next()
}

/// The digits at the start.
pub fn decimal(text: &[u8]) -> Option<u32> {
    let digits = text.iter().take_while(|b| b.is_ascii_digit()).count();
    std::str::from_utf8(text.get(..digits)?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_headers_and_tags() {
        let text = b"X\r\nA: 1\r\nB: 2\r\nA: 3\r\n\r\nA: 4\r\n";
        assert_eq!(headers(text, "A:").collect::<Vec<_>>(), ["1", "3"]);
        let text = b"SIP/2.0 200 OK\r\nFrom: <sip:a@b>;tag=x;y\r\n\r\nTo: <sip:a@b>";
        assert_eq!(header(text, "From:").and_then(tag), Some("x"));
        assert_eq!(header(text, "To:"), None);
        assert_eq!(tag("<sip:a@b>"), None);
        assert_eq!(decimal(b"17 NOTIFY"), Some(17));
    }
}
