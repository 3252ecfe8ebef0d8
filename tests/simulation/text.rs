//! Raw SIP text for the actors, read and written without the code under test.

/// The value of the first header of that name.
pub fn header<'a>(message: &'a str, name: &str) -> Option<&'a str> {
    let head = message.split("\r\n\r\n").next()?;
    head.lines().skip(1).find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.trim().eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// The body.
pub fn body(message: &str) -> &str {
    message.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}

/// The status code of a response; `None` for a request.
pub fn status(message: &str) -> Option<u16> {
    message.strip_prefix("SIP/2.0 ")?.get(..3)?.parse().ok()
}

/// A parameter of a header value.
pub fn parameter<'a>(value: &'a str, name: &str) -> Option<&'a str> {
    let start = value.find(&format!(";{name}="))? + name.len() + 2;
    let rest = &value[start..];
    Some(rest.split([';', '>', ',', ' ']).next().unwrap_or(rest))
}

/// The number of a CSeq header.
pub fn cseq(message: &str) -> u32 {
    let value = header(message, "CSeq").unwrap_or_default();
    value.split(' ').next().and_then(|n| n.parse().ok()).unwrap_or_default()
}

/// The branch of the top Via.
pub fn branch(message: &str) -> String {
    let via = header(message, "Via").unwrap_or_default();
    parameter(via, "branch").unwrap_or_default().to_owned()
}

/// An answer without a body.
pub fn answer(request: &str, status: &str) -> String {
    let mut text = format!("SIP/2.0 {status}\r\n");
    for name in ["Via", "From", "To", "Call-ID", "CSeq"] {
        text.push_str(&format!("{name}: {}\r\n", header(request, name).unwrap_or_default()));
    }
    text + "Content-Length: 0\r\n\r\n"
}

/// A presence document with `number` as its note.
pub fn document(user: &str, number: u32) -> String {
    format!(
        "<?xml version=\"1.0\"?><presence xmlns=\"urn:ietf:params:xml:ns:pidf\" \
         entity=\"sip:{user}@example.test\"><tuple id=\"d1\"><status><basic>open</basic></status>\
         <note>state-{number}.</note></tuple></presence>"
    )
}
