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
    let numbers = [slot, (nonce >> 32) as u32, (nonce & 0xffff_ffff) as u32];
    for (place, number) in digits.chunks_exact_mut(8).zip(numbers) {
        place.copy_from_slice(&eight_digits(number));
    }
    digits
}

/// The digits of a number, all eight at once.
const fn eight_digits(number: u32) -> [u8; 8] {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let mut nibbles = number as u64;
    nibbles = (nibbles | nibbles << 16) & 0x0000_ffff_0000_ffff;
    nibbles = (nibbles | nibbles << 8) & 0x00ff_00ff_00ff_00ff;
    nibbles = (nibbles | nibbles << 4) & (0x0f * ONES);
    // Six more carries a nibble above nine into the bit above.
    let is_letter = ((nibbles + 6 * ONES) >> 4) & ONES;
    (nibbles + (b'0' as u64) * ONES + ((b'a' - b'0' - 10) as u64) * is_letter).to_be_bytes()
}

/// The token as text.
#[must_use]
pub fn text(slot: u32, nonce: u64) -> String {
    digits(slot, nonce).iter().map(|digit| char::from(*digit)).collect()
}

/// The slot and nonce of a token.
#[must_use]
pub fn parse(token: &[u8]) -> Option<(u32, u64)> {
    let digits: &Digits = token.try_into().ok()?;
    let (slot, nonce) = digits.split_at(8);
    Some((u32::try_from(number(slot)?).ok()?, number(nonce)?))
}

fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |number, digit| {
        let nibble = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            b'A'..=b'F' => digit - b'A' + 10,
            _ => return None,
        };
        Some(number << 4 | u64::from(nibble))
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn reads_back_what_it_wrote() {
        for (slot, nonce) in [(0, 0), (1, u64::MAX), (u32::MAX, 0x0123_4567_89ab_cdef)] {
            let text = super::text(slot, nonce);
            assert_eq!(text, format!("{slot:08x}{nonce:016x}"));
            assert_eq!(super::parse(text.as_bytes()), Some((slot, nonce)));
            assert_eq!(super::parse(text.to_uppercase().as_bytes()), Some((slot, nonce)));
        }
        assert_eq!(super::parse(b"+0000000000000000000000a"), None);
        assert_eq!(super::parse(b"00"), None);
    }
}
