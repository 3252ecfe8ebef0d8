//! Tokens that lead straight to a slot: eight hexadecimal digits of slot, sixteen of nonce.
//!
//! Branches and tags made so are found without a map; the nonce keeps them unguessable and tells
//! a slot's former owner from its present one.

/// The text of such a token.
pub type Digits = [u8; 24];

/// The token of `slot` and `nonce`.
#[must_use]
pub fn digits(slot: u32, nonce: u64) -> Digits {
    let mut digits = [0; 24];
    let number = (u128::from(slot) << 64) | u128::from(nonce);
    for (place, digit) in digits.iter_mut().rev().enumerate() {
        let nibble = ((number >> (4 * place)) & 15) as u8;
        *digit = if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 };
    }
    digits
}

/// The token as text.
#[must_use]
pub fn text(slot: u32, nonce: u64) -> String {
    digits(slot, nonce).iter().map(|digit| char::from(*digit)).collect()
}

/// The slot and nonce of a token.
#[must_use]
pub fn parse(token: &str) -> Option<(u32, u64)> {
    if token.len() != 24 || !token.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let (slot, nonce) = token.split_at_checked(8)?;
    Some((u32::from_str_radix(slot, 16).ok()?, u64::from_str_radix(nonce, 16).ok()?))
}

#[cfg(test)]
mod tests {
    #[test]
    fn reads_back_what_it_wrote() {
        for (slot, nonce) in [(0, 0), (1, u64::MAX), (u32::MAX, 0x0123_4567_89ab_cdef)] {
            assert_eq!(super::parse(&super::text(slot, nonce)), Some((slot, nonce)));
        }
        assert_eq!(super::parse("+0000000000000000000000a"), None);
        assert_eq!(super::parse("00"), None);
    }
}
