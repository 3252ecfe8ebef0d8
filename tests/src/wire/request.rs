//! A request to be sent: what the test says, and what the client adds when it says nothing.

/// A request under construction.
#[derive(Debug, Clone)]
pub struct Request {
    /// The method.
    pub method: String,
    /// The Request-URI.
    pub uri: String,
    /// Headers that the test sets, in order.
    pub headers: Vec<(String, String)>,
    /// Headers that the client must not add.
    pub left_out: Vec<String>,
    /// The body.
    pub body: Vec<u8>,
}

impl Request {
    /// A request with nothing but a request line.
    pub fn new(method: &str, uri: &str) -> Self {
        Self {
            method: method.to_owned(),
            uri: uri.to_owned(),
            headers: Vec::new(),
            left_out: Vec::new(),
            body: Vec::new(),
        }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl ToString) -> Self {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }

    /// Replaces a header.
    #[must_use]
    pub fn set(mut self, name: &str, value: impl ToString) -> Self {
        self.headers.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
        self.header(name, value)
    }

    /// Leaves a header out that would be added otherwise.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
        self.left_out.push(name.to_owned());
        self
    }

    /// Adds a body and its type.
    #[must_use]
    pub fn body(mut self, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self.set("Content-Type", content_type)
    }

    /// The value of a header that the test set.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    /// Adds a header unless it is there or left out.
    pub fn fill(&mut self, name: &str, value: impl FnOnce() -> String) {
        let set = self.value(name).is_some();
        if !set && !self.left_out.iter().any(|l| l.eq_ignore_ascii_case(name)) {
            self.headers.push((name.to_owned(), value()));
        }
    }

    /// The octets to send.
    pub fn bytes(&self) -> Vec<u8> {
        let mut head = format!("{} {} SIP/2.0\r\n", self.method, self.uri);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }
}
