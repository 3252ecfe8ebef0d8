//! Retry-After: when to ask again (RFC 3261 §20.33).

use super::{HeaderError, decimal, is_blank};

/// The seconds of a value; a comment and parameters behind them are left alone.
pub fn parse(text: &str) -> Result<u32, HeaderError> {
    let text = text.trim_start_matches(is_blank);
    let end = text.find(['(', ';', ' ', '\t']).unwrap_or(text.len());
    decimal(text.get(..end).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn comments_and_parameters_do_not_matter() {
        assert_eq!(parse("18000;duration=3600"), Ok(18_000));
        assert_eq!(parse("120 (I'm in a meeting)"), Ok(120));
        assert_eq!(parse("949302838503028349304023988"), Ok(u32::MAX));
        assert!(parse("soon").is_err());
    }
}
