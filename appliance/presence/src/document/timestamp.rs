//! Dates and times as presence documents write them (RFC 3339, `xs:dateTime` with a zone).

use sip::clock::WallTime;

/// Reads a date and time with a zone; `None` when it is not one.
///
/// Times before 1970 read as 1970.
#[must_use]
pub fn parse(text: &str) -> Option<WallTime> {
    let mut rest = text.trim_ascii().as_bytes();
    let year = number(&mut rest, 4)?;
    literal(&mut rest, b'-')?;
    let month = number(&mut rest, 2)?;
    literal(&mut rest, b'-')?;
    let day = number(&mut rest, 2)?;
    literal(&mut rest, b'T').or_else(|| literal(&mut rest, b't'))?;
    let hour = number(&mut rest, 2)?;
    literal(&mut rest, b':')?;
    let minute = number(&mut rest, 2)?;
    literal(&mut rest, b':')?;
    let second = number(&mut rest, 2)?;
    let millis = fraction(&mut rest)?;
    let offset = zone(&mut rest)?;
    let is_date = (1..=12).contains(&month) && (1..=days_in_month(year, month)).contains(&day);
    // 60 is a leap second (RFC 3339 §5.7).
    if !rest.is_empty() || !is_date || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let seconds = days_since_epoch(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second;
    let total = (seconds - offset) * 1_000 + millis;
    Some(WallTime::from_millis(u64::try_from(total).unwrap_or(0)))
}

fn literal(rest: &mut &[u8], expected: u8) -> Option<()> {
    let (&first, after) = rest.split_first()?;
    (first == expected).then(|| *rest = after)
}

fn number(rest: &mut &[u8], digits: usize) -> Option<i64> {
    let (number, after) = rest.split_at_checked(digits)?;
    *rest = after;
    number.iter().try_fold(0_i64, |value, digit| {
        digit.is_ascii_digit().then(|| value * 10 + i64::from(digit - b'0'))
    })
}

/// Milliseconds after the decimal point, if there is one.
fn fraction(rest: &mut &[u8]) -> Option<i64> {
    if literal(rest, b'.').is_none() {
        return Some(0);
    }
    let digits = rest.iter().take_while(|octet| octet.is_ascii_digit()).count();
    let (fraction, after) = rest.split_at_checked(digits)?;
    *rest = after;
    let padded = fraction.iter().copied().chain(std::iter::repeat(b'0')).take(3);
    let millis = padded.fold(0, |value, digit| value * 10 + i64::from(digit - b'0'));
    (digits > 0).then_some(millis)
}

/// Seconds east of Greenwich.
fn zone(rest: &mut &[u8]) -> Option<i64> {
    let (&sign, after) = rest.split_first()?;
    *rest = after;
    let sign = match sign {
        b'Z' | b'z' => return Some(0),
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let hours = number(rest, 2)?;
    literal(rest, b':')?;
    let minutes = number(rest, 2)?;
    (hours <= 23 && minutes <= 59).then_some(sign * (hours * 3_600 + minutes * 60))
}

const fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

const fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to a date of the Gregorian calendar.
const fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    // Years are taken to begin in March, so that the leap day is the last of its year.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leap_days + (153 * month + 2) / 5 + day - 1 - 719_468
}

/// A moment by the calendar, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Civil {
    pub(crate) year: u64,
    /// From one.
    pub(crate) month: u64,
    pub(crate) day: u64,
    pub(crate) hour: u64,
    pub(crate) minute: u64,
    pub(crate) second: u64,
    /// From Monday, which is zero.
    pub(crate) weekday: u64,
}

/// A moment by the calendar.
pub(crate) const fn civil(time: WallTime) -> Civil {
    let seconds = time.as_millis() / 1000;
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Years that begin in March, so that the leap day is their last.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_of_year = (5 * day_of_year + 2) / 153;
    let month = if month_of_year < 10 { month_of_year + 3 } else { month_of_year - 9 };
    Civil {
        year: year_of_era + era * 400 + (month <= 2) as u64,
        month,
        day: day_of_year - (153 * month_of_year + 2) / 5 + 1,
        hour: rest / 3600,
        minute: rest / 60 % 60,
        second: rest % 60,
        weekday: (days + 3) % 7,
    }
}

/// A moment as `xs:dateTime`.
pub(crate) fn text(time: WallTime) -> String {
    let Civil { year, month, day, hour, minute, second, .. } = civil(time);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(text: &str) -> Option<u64> {
        parse(text).map(WallTime::as_millis)
    }

    #[test]
    fn dates_count_from_the_epoch() {
        assert_eq!(millis("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(millis("1970-01-01T00:00:01.5Z"), Some(1_500));
        assert_eq!(millis("2000-03-01T00:00:00Z"), Some(951_868_800_000));
        assert_eq!(millis("2001-10-27T16:49:29Z"), Some(1_004_201_369_000));
        assert_eq!(millis("2026-11-23T02:30:00Z"), Some(1_795_401_000_000));
    }

    #[test]
    fn zones_are_taken_off() {
        assert_eq!(millis("2005-05-30T16:09:44+05:00"), millis("2005-05-30T11:09:44Z"));
        assert_eq!(millis("2004-10-21T13:20:00-05:00"), millis("2004-10-21T18:20:00.000000Z"));
        assert_eq!(millis("2004-10-21t18:20:00z"), millis("2004-10-21T18:20:00Z"));
    }

    #[test]
    fn times_before_the_epoch_are_the_epoch() {
        assert_eq!(millis("1969-12-31T23:59:59Z"), Some(0));
        assert_eq!(millis("0001-01-01T00:00:00+23:59"), Some(0));
    }

    #[test]
    fn what_is_not_a_date_and_time_is_refused() {
        for text in [
            "",
            "now",
            "2001-10-27",
            "2001-10-27T16:49:29",
            "2001-10-27T16:49Z",
            "2001-10-27 16:49:29Z",
            "2001-13-27T16:49:29Z",
            "2001-02-29T16:49:29Z",
            "2001-00-10T16:49:29Z",
            "2001-10-27T24:49:29Z",
            "2001-10-27T16:60:29Z",
            "2001-10-27T16:49:61Z",
            "2001-10-27T16:49:29.Z",
            "2001-10-27T16:49:29+0500",
            "2001-10-27T16:49:29+05:60",
            "2001-10-27T16:49:29Zulu",
            "20011027T164929Z",
            "2001-10-27T16:49:29+24:00",
            "-001-10-27T16:49:29Z",
        ] {
            assert_eq!(millis(text), None, "{text}");
        }
    }

    #[test]
    fn the_leap_day_exists_where_it_should() {
        assert!(parse("2000-02-29T00:00:00Z").is_some());
        assert!(parse("2004-02-29T00:00:00Z").is_some());
        assert!(parse("1900-02-29T00:00:00Z").is_none());
    }
}
