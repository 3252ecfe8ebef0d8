//! Distinguished names (RFC 4514), as far as telling whether two are the same.

/// A form that is the same for names that differ only in case, blanks around values, and how
/// characters are escaped.
#[must_use]
pub fn normal(dn: &str) -> String {
    let mut normal = String::with_capacity(dn.len());
    for (index, part) in split(dn).into_iter().enumerate() {
        if index > 0 {
            normal.push(',');
        }
        let (name, value) = part.split_once('=').unwrap_or(("", part));
        normal.push_str(&name.trim().to_ascii_lowercase());
        normal.push('=');
        for c in unescaped(trimmed(value)).to_lowercase().chars() {
            if matches!(c, ',' | '+' | '\\') {
                normal.push('\\');
            }
            normal.push(c);
        }
    }
    normal
}

/// The parts between commas that are not escaped.
fn split(dn: &str) -> Vec<&str> {
    let (mut parts, mut start, mut is_escaped) = (Vec::new(), 0, false);
    for (index, c) in dn.char_indices() {
        if is_escaped {
            is_escaped = false;
        } else if c == '\\' {
            is_escaped = true;
        } else if c == ',' {
            parts.push(dn.get(start..index).unwrap_or_default());
            start = index + 1;
        }
    }
    parts.push(dn.get(start..).unwrap_or_default());
    parts
}

/// Without blanks around it, but with those that are escaped.
fn trimmed(value: &str) -> &str {
    let value = value.trim_start();
    let end = value.trim_end();
    let is_escaped = end.ends_with('\\') && !end.ends_with("\\\\");
    if is_escaped { value.get(..=end.len()).unwrap_or(value) } else { end }
}

fn unescaped(value: &str) -> String {
    let mut octets = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((&octet, after)) = rest.split_first() {
        let pair = after.first_chunk::<2>().and_then(|pair| std::str::from_utf8(pair).ok());
        let escaped = pair.and_then(|pair| u8::from_str_radix(pair, 16).ok());
        rest = match (octet, escaped, after.split_first()) {
            (b'\\', Some(value), _) => {
                octets.push(value);
                after.get(2..).unwrap_or_default()
            }
            (b'\\', None, Some((&next, after))) => {
                octets.push(next);
                after
            }
            _ => {
                octets.push(octet);
                after
            }
        };
    }
    String::from_utf8_lossy(&octets).into_owned()
}

#[cfg(test)]
mod tests {
    use super::normal;

    #[test]
    fn the_same_name_is_the_same_however_it_is_written() {
        let plain = normal("uid=anna,ou=People,dc=example,dc=org");
        assert_eq!(normal("UID=Anna, OU=people , DC=Example,dc=ORG"), plain);
        assert_eq!(normal(r"cn=Berg\2c Anna,dc=x"), normal(r"CN=berg\, anna,DC=X"));
        assert_eq!(normal(r"cn=M\C3\BCller"), normal("cn=müller"));
        assert_eq!(normal(r"cn=a\ "), normal(r"cn=a\20"));
        assert_eq!(normal(r"cn=a\\,dc=x"), normal(r"cn=a\5c,dc=x"));
    }

    #[test]
    fn other_names_are_not() {
        assert_ne!(normal(r"cn=a\,dc=x"), normal("cn=a,dc=x"));
        assert_ne!(normal("cn=a b"), normal("cn=ab"));
        assert_ne!(normal(r"cn=a\ "), normal("cn=a"));
    }
}
