//! Max-Forwards: how many more hops a request may take (RFC 3261 §20.22).

use super::{HeaderError, decimal, is_blank};

/// The hops left: 0 to 255.
pub fn parse(text: &str) -> Result<u8, HeaderError> {
    u8::try_from(decimal(text.trim_matches(is_blank))?).map_err(|_| HeaderError::Number)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn hops_are_0_to_255() {
        assert_eq!(parse("70"), Ok(70));
        assert_eq!(parse("0068"), Ok(68));
        assert_eq!(parse("255"), Ok(255));
        for text in ["", "256", "300", "-1", "a"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
