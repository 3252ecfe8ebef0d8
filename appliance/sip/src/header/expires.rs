//! Expires and Min-Expires: delta-seconds (RFC 3261 §20.19, §20.23).

use super::{HeaderError, decimal, is_blank};

/// The seconds of a value; what is larger than 2^32 - 1 counts as that.
pub fn parse(text: &str) -> Result<u32, HeaderError> {
    decimal(text.trim_matches(is_blank))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn larger_numbers_count_as_the_largest() {
        assert_eq!(parse(" 3600 "), Ok(3600));
        assert_eq!(parse("100000000000000000000000000000000"), Ok(u32::MAX));
        for text in ["", "-1", "1.5", "Thu, 01 Dec 1994 16:00:00 GMT"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
