//! Values of the machine's settings as people type them, and why some cannot be.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::failure::Problem;

/// The longest password.
pub(crate) const MAX_PASSWORD_BYTES: usize = 512;

const MIN_PASSWORD_BYTES: usize = 8;

/// An answer, or why it cannot be.
pub(crate) type Checked<T> = Result<T, String>;

/// Why a command with this value is not done.
pub(crate) fn problem(why: String, place: &str) -> Problem {
    Problem {
        code: "invalid_value",
        what: why.trim_end_matches('.').to_owned(),
        place: place.to_owned(),
        next: "give the command again".to_owned(),
    }
}

fn is_label(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

fn is_name(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_label)
}

/// The host's name.
pub(crate) fn host_name(text: &str) -> Checked<String> {
    if is_label(text) {
        return Ok(text.to_owned());
    }
    Err("A host name has letters, digits and hyphens, 63 at most, no hyphen at an end, and no \
         domain."
        .to_owned())
}

/// The SIP domain.
pub(crate) fn domain(text: &str) -> Checked<String> {
    if is_name(text) && text.contains('.') && text.parse::<IpAddr>().is_err() {
        return Ok(text.to_ascii_lowercase());
    }
    Err("Give the part behind the @ of your SIP addresses, for example example.org.".to_owned())
}

/// One of a few words, or how it begins.
pub(crate) fn choice(words: &[&'static str], text: &str) -> Checked<&'static str> {
    let text = text.to_ascii_lowercase();
    let mut fitting = words.iter().filter(|word| !text.is_empty() && word.starts_with(&text));
    match (fitting.next(), fitting.next()) {
        (Some(word), None) => Ok(word),
        _ => Err(format!("Answer {}.", words.join(" or "))),
    }
}

/// An IPv4 address of a host with the length of its network's prefix.
pub(crate) fn ipv4(text: &str) -> Checked<(Ipv4Addr, u8)> {
    let wrong = |why: &str| Err(format!("{why} Write it like 192.0.2.5/24."));
    let Some((address, length)) = text.split_once('/') else {
        return wrong("The prefix length is missing (24 stands for the mask 255.255.255.0).");
    };
    let Ok(address) = address.trim().parse::<Ipv4Addr>() else {
        return wrong("This is no IPv4 address.");
    };
    let Some(length) = length.trim().parse::<u8>().ok().filter(|n| (1..=31).contains(n)) else {
        return wrong("The prefix length is a number from 1 to 31.");
    };
    let is_special = address.is_unspecified()
        || address.is_loopback()
        || address.is_multicast()
        || address.is_broadcast();
    let mask = u32::MAX >> length;
    let host = address.to_bits() & mask;
    if is_special || (length < 31 && (host == 0 || host == mask)) {
        return wrong("This is no address of a single host.");
    }
    Ok((address, length))
}

/// The way out of that network; none for an empty answer or `none`.
pub(crate) fn ipv4_gateway(text: &str, own: (Ipv4Addr, u8)) -> Checked<Option<Ipv4Addr>> {
    if is_none(text) {
        return Ok(None);
    }
    let Ok(gateway) = text.parse::<Ipv4Addr>() else {
        return Err("This is no IPv4 address. Write it like 192.0.2.1, or none.".to_owned());
    };
    let (address, length) = own;
    let mask = !(u32::MAX >> length);
    if gateway == address || gateway.to_bits() & mask != address.to_bits() & mask {
        return Err(format!("The gateway is another host of the network of {address}/{length}."));
    }
    Ok(Some(gateway))
}

/// An IPv6 address of a host with the length of its network's prefix.
pub(crate) fn ipv6(text: &str) -> Checked<(Ipv6Addr, u8)> {
    let wrong = |why: &str| Err(format!("{why} Write it like 2001:db8::5/64."));
    let Some((address, length)) = text.split_once('/') else {
        return wrong("The prefix length is missing.");
    };
    let Ok(address) = address.trim().parse::<Ipv6Addr>() else {
        return wrong("This is no IPv6 address.");
    };
    let Some(length) = length.trim().parse::<u8>().ok().filter(|n| (1..=127).contains(n)) else {
        return wrong("The prefix length is a number from 1 to 127.");
    };
    if address.is_multicast() || address.is_unspecified() || address.is_loopback() {
        return wrong("This is no address of a single host.");
    }
    Ok((address, length))
}

/// The way out; none for an empty answer or `none`.
pub(crate) fn ipv6_gateway(text: &str) -> Checked<Option<Ipv6Addr>> {
    if is_none(text) {
        return Ok(None);
    }
    match text.parse::<Ipv6Addr>() {
        Ok(gateway) if !gateway.is_multicast() && !gateway.is_unspecified() => Ok(Some(gateway)),
        _ => Err("This is no IPv6 address. Write it like fe80::1, or none.".to_owned()),
    }
}

/// Addresses of name servers.
pub(crate) fn name_servers(text: &str) -> Checked<Vec<IpAddr>> {
    let mut servers = Vec::new();
    for word in words(text) {
        match word.parse::<IpAddr>() {
            Ok(address) if !address.is_unspecified() && !address.is_multicast() => {
                servers.push(address);
            }
            _ => return Err(format!("{word} is no address. Write them like 192.0.2.53.")),
        }
    }
    if servers.len() > 3 {
        return Err("Three name servers at most.".to_owned());
    }
    Ok(servers)
}

/// Names or addresses of time servers.
pub(crate) fn time_servers(text: &str) -> Checked<Vec<String>> {
    let servers = words(text);
    if let Some(wrong) =
        servers.iter().find(|word| word.parse::<IpAddr>().is_err() && !is_name(word))
    {
        return Err(format!("{wrong} is neither a name nor an address."));
    }
    if servers.len() > 4 {
        return Err("Four time servers at most.".to_owned());
    }
    Ok(servers)
}

/// A time zone of those that there are; where they are not known, any.
pub(crate) fn time_zone(text: &str, zones: &[String]) -> Checked<String> {
    const HINTS: usize = 5;
    if text.is_empty() {
        return Err("Give a time zone, for example Europe/Berlin.".to_owned());
    }
    if zones.is_empty() {
        return Ok(text.to_owned());
    }
    if let Some(zone) = zones.iter().find(|zone| zone.eq_ignore_ascii_case(text)) {
        return Ok(zone.clone());
    }
    let wanted = text.to_ascii_lowercase().replace(' ', "_");
    let near: Vec<&str> = zones
        .iter()
        .filter(|zone| zone.to_ascii_lowercase().contains(&wanted))
        .map(String::as_str)
        .take(HINTS)
        .collect();
    if near.is_empty() {
        return Err("There is no such time zone. They are named like Europe/Berlin.".to_owned());
    }
    Err(format!("There is no such time zone. Is one of these meant: {}?", near.join(", ")))
}

/// Whether this can be a password.
pub(crate) fn check_password(text: &str) -> Checked<()> {
    if text.len() < MIN_PASSWORD_BYTES || text.len() > MAX_PASSWORD_BYTES {
        return Err(format!(
            "A password has {MIN_PASSWORD_BYTES} to {MAX_PASSWORD_BYTES} characters."
        ));
    }
    if text.chars().all(|character| text.starts_with(character)) {
        return Err("A password has more than one character.".to_owned());
    }
    Ok(())
}

/// Whether nothing is wanted.
fn is_none(text: &str) -> bool {
    text.is_empty() || text == "-" || text.eq_ignore_ascii_case("none")
}

/// The words of a list, parted by blanks or commas; none for `none` and `automatic`.
fn words(text: &str) -> Vec<String> {
    if is_none(text) || text.eq_ignore_ascii_case("automatic") {
        return Vec::new();
    }
    let is_end = |character: char| character == ',' || character.is_whitespace();
    text.split(is_end).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::{
        check_password, choice, domain, host_name, ipv4, ipv4_gateway, ipv6, ipv6_gateway,
        name_servers, time_servers, time_zone,
    };

    #[test]
    fn what_can_be_is_taken_and_everything_else_explained() {
        let zones = ["Europe/Berlin".to_owned(), "America/New_York".to_owned(), "UTC".to_owned()];
        let long = "x".repeat(600);
        let own = ("192.0.2.5".parse().unwrap(), 24);
        type Check<'a> = &'a dyn Fn(&str) -> Result<(), String>;
        let table: &[(Check<'_>, &[&str], &[&str])] = &[
            (&|t| host_name(t).map(drop), &["lamp", "a", "A-1"], &["", "-a", "a.b", "a b", "ä"]),
            (
                &|t| domain(t).map(drop),
                &["example.org", "A.b"],
                &["", "org", "a..b", "192.0.2.1", "a b.c", "a/b.c"],
            ),
            (
                &|t| ipv4(t).map(drop),
                &["192.0.2.5/24", "10.0.0.1/8", "192.0.2.0/31"],
                &[
                    "",
                    "192.0.2.5",
                    "192.0.2.5/0",
                    "192.0.2.5/32",
                    "192.0.2.5/-1",
                    "192.0.2.0/24",
                    "192.0.2.255/24",
                    "127.0.0.1/8",
                    "224.0.0.1/4",
                    "::1/64",
                    "dhcp",
                ],
            ),
            (
                &|t| ipv4_gateway(t, own).map(drop),
                &["", "none", "-", "192.0.2.1"],
                &["192.0.3.1", "192.0.2.5", "x"],
            ),
            (
                &|t| ipv6(t).map(drop),
                &["2001:db8::5/64"],
                &["", "2001:db8::5", "::1/64", "ff02::1/64", "::/64", "2001:db8::5/128"],
            ),
            (&|t| ipv6_gateway(t).map(drop), &["", "none", "fe80::1"], &["192.0.2.1", "::", "x"]),
            (
                &|t| name_servers(t).map(drop),
                &["", "automatic", "192.0.2.1, 2001:db8::1"],
                &["ns.example.org", "0.0.0.0", "1.1.1.1 1.1.1.2 1.1.1.3 1.1.1.4"],
            ),
            (
                &|t| time_servers(t).map(drop),
                &["", "none", "ntp.example.org 192.0.2.1"],
                &["a;b", "a b c d e", "-x"],
            ),
            (
                &|t| time_zone(t, &zones).map(drop),
                &["UTC", "europe/berlin"],
                &["", "Berlin", "../etc/passwd", "Mars/Base"],
            ),
            (&|t| check_password(t), &["correct horse"], &["", "seven77", "aaaaaaaaaa", &long]),
        ];
        for (check, good, bad) in table {
            for text in *good {
                assert_eq!(check(text), Ok(()), "{text:?}");
            }
            for text in *bad {
                let why = check(text).expect_err(text);
                assert!(why.ends_with(['.', '?']), "{text:?}: {why}");
            }
        }
        assert_eq!(
            time_zone("new york", &zones).unwrap_err().matches("America/New_York").count(),
            1
        );
    }

    #[test]
    fn words_may_be_cut_short() {
        let words = ["off", "automatic", "static"];
        assert_eq!(choice(&words, "A"), Ok("automatic"));
        assert_eq!(choice(&words, "static"), Ok("static"));
        assert!(choice(&words, "").is_err());
        assert!(choice(&words, "offx").is_err());
        assert!(choice(&["dhcp", "drop"], "d").is_err());
    }
}
