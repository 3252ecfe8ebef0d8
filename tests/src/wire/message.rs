//! A received message, cut into lines and nothing more (RFC 3261 §7).

use std::fmt;

/// The compact header names of RFC 3261 §20, RFC 6665 §8.2 and their likes.
const COMPACT: &[(&str, &str)] = &[
    ("v", "Via"),
    ("f", "From"),
    ("t", "To"),
    ("i", "Call-ID"),
    ("m", "Contact"),
    ("l", "Content-Length"),
    ("c", "Content-Type"),
    ("o", "Event"),
    ("s", "Subject"),
    ("k", "Supported"),
    ("e", "Content-Encoding"),
    ("u", "Allow-Events"),
    ("r", "Refer-To"),
];

/// The headers that a message may carry several times or as a list.
const LISTS: &[&str] =
    &["Via", "Route", "Record-Route", "Path", "Contact", "Allow", "Supported", "Unsupported"];

/// A received message.
#[derive(Clone)]
pub struct Message {
    /// The request or status line.
    pub start: String,
    /// Names and values as received, unfolded.
    pub headers: Vec<(String, String)>,
    /// The octets after the blank line.
    pub body: Vec<u8>,
    /// All octets, as received.
    pub raw: Vec<u8>,
}

impl Message {
    /// Cuts `raw`, which must be one whole message.
    pub fn cut(raw: &[u8]) -> Option<Self> {
        let end = find(raw, b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(raw.get(..end)?).into_owned();
        let mut lines = head.split("\r\n");
        let start = lines.next()?.to_owned();
        let mut headers: Vec<(String, String)> = Vec::new();
        for line in lines {
            if let (Some(rest), Some(last)) = (line.strip_prefix([' ', '\t']), headers.last_mut()) {
                last.1.push(' ');
                last.1.push_str(rest.trim());
                continue;
            }
            let (name, value) = line.split_once(':')?;
            headers.push((name.trim().to_owned(), value.trim().to_owned()));
        }
        let body = raw.get(end + 4..)?.to_vec();
        Some(Self { start, headers, body, raw: raw.to_vec() })
    }

    /// The length of the first whole message at the start of a stream, when it is there already.
    pub fn framed(stream: &[u8]) -> Option<usize> {
        let end = find(stream, b"\r\n\r\n")?;
        let head = Self::cut(stream.get(..end + 4)?)?;
        let body: usize = head.header("Content-Length")?.parse().ok()?;
        let total = end + 4 + body;
        (stream.len() >= total).then_some(total)
    }

    /// The status code of a response.
    pub fn status(&self) -> Option<u16> {
        self.start.strip_prefix("SIP/2.0 ")?.get(..3)?.parse().ok()
    }

    /// The method of a request.
    pub fn method(&self) -> Option<&str> {
        if self.status().is_some() { None } else { self.start.split(' ').next() }
    }

    /// The Request-URI of a request.
    pub fn request_uri(&self) -> &str {
        assert!(self.status().is_none(), "a response has no Request-URI: {self}");
        self.start.split(' ').nth(1).unwrap_or_default()
    }

    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| same_name(n, name)).map(|(_, v)| v.as_str())
    }

    /// The first value of a header that must be there.
    #[track_caller]
    pub fn expect_header(&self, name: &str) -> &str {
        match self.header(name) {
            Some(value) => value,
            None => panic!("no {name} header in:\n{self}"),
        }
    }

    /// All values of a header, lists taken apart at their commas.
    pub fn all(&self, name: &str) -> Vec<String> {
        let split = LISTS.iter().any(|l| l.eq_ignore_ascii_case(name));
        let values = self.headers.iter().filter(|(n, _)| same_name(n, name));
        values.flat_map(|(_, v)| if split { split_list(v) } else { vec![v.clone()] }).collect()
    }

    /// The number and method of CSeq.
    #[track_caller]
    pub fn cseq(&self) -> (u32, String) {
        let value = self.expect_header("CSeq");
        let (number, method) = value.split_once(' ').unwrap_or((value, ""));
        (number.parse().expect("CSeq number"), method.trim().to_owned())
    }

    /// The branch of the topmost Via.
    pub fn branch(&self) -> Option<String> {
        param(self.all("Via").first()?, "branch").map(str::to_owned)
    }

    /// The tag of From.
    pub fn from_tag(&self) -> Option<&str> {
        param(self.header("From")?, "tag")
    }

    /// The tag of To.
    pub fn to_tag(&self) -> Option<&str> {
        param(self.header("To")?, "tag")
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Fails the test unless this is a response with that status.
    #[track_caller]
    pub fn expect_status(self, status: u16) -> Self {
        assert_eq!(self.status(), Some(status), "expected {status}, got:\n{self}");
        self
    }

    /// Fails the test unless this is a response with one of those statuses.
    #[track_caller]
    pub fn expect_one_of(self, statuses: &[u16]) -> Self {
        let status = self.status().unwrap_or_default();
        assert!(statuses.contains(&status), "expected one of {statuses:?}, got:\n{self}");
        self
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.raw))
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Whether two header names are the same, compact form and case aside.
fn same_name(a: &str, b: &str) -> bool {
    fn long(name: &str) -> &str {
        let full = COMPACT.iter().find(|(c, _)| c.eq_ignore_ascii_case(name));
        full.map_or(name, |(_, full)| full)
    }
    long(a).eq_ignore_ascii_case(long(b))
}

/// The value of a parameter of a header value or URI, quotes removed, `""` for a flag.
pub fn param<'a>(value: &'a str, name: &str) -> Option<&'a str> {
    let after = match value.rfind('>') {
        Some(end) => &value[end + 1..],
        None => value,
    };
    after.split(';').skip(1).find_map(|p| {
        let (n, v) = p.split_once('=').unwrap_or((p, ""));
        n.trim().eq_ignore_ascii_case(name).then(|| v.trim().trim_matches('"'))
    })
}

/// The URI of a name-addr or addr-spec header value.
pub fn uri_of(value: &str) -> &str {
    if let Some(open) = value.find('<') {
        let rest = &value[open + 1..];
        return &rest[..rest.find('>').unwrap_or(rest.len())];
    }
    value.split(';').next().unwrap_or(value).trim()
}

/// Cuts a list at the commas outside quotes and angle brackets.
pub fn split_list(value: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let (mut quoted, mut angle) = (false, false);
    for c in value.chars() {
        match c {
            '"' => quoted = !quoted,
            '<' if !quoted => angle = true,
            '>' if !quoted => angle = false,
            ',' if !quoted && !angle => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(last) = parts.last_mut() {
            last.push(c);
        }
    }
    parts.into_iter().map(|p| p.trim().to_owned()).filter(|p| !p.is_empty()).collect()
}

/// Where `needle` begins in `hay`.
pub fn find(hay: &[u8], needle: &[u8]) -> Option<usize> {
    hay.windows(needle.len()).position(|w| w == needle)
}
