//! CSeq: a request's place in its dialog, and its method (RFC 3261 §20.16, §8.1.1.5).

use std::fmt;

use super::{HeaderError, is_blank, is_token};

/// Number and method.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CSeq {
    /// The number, below 2^31.
    pub number: u32,
    /// The method's name.
    pub method: String,
}

impl CSeq {
    /// Reads a value.
    pub fn parse(text: &str) -> Result<Self, HeaderError> {
        let (number, method) = split(text)?;
        Ok(Self { number, method: method.to_owned() })
    }
}

impl fmt::Display for CSeq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.number, self.method)
    }
}

/// Number and method, in place.
pub(crate) fn split(text: &str) -> Result<(u32, &str), HeaderError> {
    let text = text.trim_matches(is_blank);
    let (number, method) = text.split_once(is_blank).ok_or(HeaderError::Number)?;
    let method = method.trim_start_matches(is_blank);
    if !is_token(method) {
        return Err(HeaderError::Token);
    }
    let number = super::decimal(number)?;
    if number >= 1 << 31 {
        return Err(HeaderError::Number);
    }
    Ok((number, method))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_below_two_to_the_31_pass() {
        let cseq = CSeq::parse("0009 \t INVITE").unwrap();
        assert_eq!((cseq.number, &*cseq.method), (9, "INVITE"));
        assert_eq!(cseq.to_string(), "9 INVITE");
        assert_eq!(CSeq::parse("2147483647 X").map(|c| c.number), Ok(2_147_483_647));
        for text in ["2147483648 X", "36893488147419103232 X", "-1 X", "1", "1 ", "X 1", "1 X Y"] {
            assert!(CSeq::parse(text).is_err(), "{text}");
        }
    }
}
