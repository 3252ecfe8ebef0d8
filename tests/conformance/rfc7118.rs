//! RFC 7118: SIP over WebSocket, with the client of another library.

use std::net::TcpStream;

use lamplight_tests::node::{DOMAIN, Node, Setup};
use lamplight_tests::pidf;
use lamplight_tests::wire::PATIENCE;
use tungstenite::client::IntoClientRequest as _;
use tungstenite::http::HeaderValue;
use tungstenite::{Message, WebSocket};

struct Browser {
    socket: WebSocket<TcpStream>,
    count: u32,
}

/// A node that listens for WebSockets too, with a user.
fn node() -> Node {
    let setup = Setup {
        listen: vec!["udp:127.0.0.1:0".into(), "ws:127.0.0.1:0".into()],
        ..Setup::default()
    };
    setup.trusting().start()
}

impl Browser {
    fn open(node: &Node) -> Self {
        let (socket, answer) = Self::upgrade(node, Some("sip")).expect("the upgrade");
        assert_eq!(answer.as_deref(), Some("sip"));
        Self { socket, count: 0 }
    }

    fn upgrade(
        node: &Node,
        protocol: Option<&'static str>,
    ) -> Result<(WebSocket<TcpStream>, Option<String>), String> {
        let address = node.ready.address("ws");
        let stream = TcpStream::connect(address).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let mut request = format!("ws://{address}/").into_client_request().expect("a request");
        if let Some(protocol) = protocol {
            let value = HeaderValue::from_static(protocol);
            request.headers_mut().insert("Sec-WebSocket-Protocol", value);
        }
        let (socket, response) =
            tungstenite::client(request, stream).map_err(|error| error.to_string())?;
        let chosen = response.headers().get("Sec-WebSocket-Protocol");
        Ok((socket, chosen.and_then(|value| value.to_str().ok()).map(str::to_owned)))
    }

    fn send(&mut self, method: &str, target: &str, headers: &str, body: &str) {
        self.count += 1;
        let count = self.count;
        // As a browser does: an address that means nothing, and no Content-Length.
        let text = format!(
            "{method} {target} SIP/2.0\r\nVia: SIP/2.0/WS df7jal23ls0d.invalid;branch=z9hG4bK{count}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:alice@{DOMAIN}>;tag=w{count}\r\nTo: <sip:alice@{DOMAIN}>\r\n\
             Call-ID: ws-{method}\r\nCSeq: {count} {method}\r\n\
             Contact: <sip:alice@df7jal23ls0d.invalid;transport=ws>\r\n{headers}\r\n{body}"
        );
        self.socket.send(Message::text(text)).expect("sent");
    }

    fn next(&mut self) -> String {
        loop {
            if let Message::Text(text) = self.socket.read().expect("a message") {
                return text.to_string();
            }
        }
    }
}

fn answer_message(browser: &mut Browser) {
    let request = browser.next();
    assert!(request.starts_with("MESSAGE sip:alice@df7jal23ls0d.invalid"), "{request}");
    assert!(request.ends_with("over your WebSocket"), "{request}");
    let kept = |name: &str| {
        let lines = request.lines().filter(|line| line.starts_with(name));
        lines.fold(String::new(), |all, line| format!("{all}{line}\r\n"))
    };
    let ok = format!(
        "SIP/2.0 200 OK\r\n{}{}{};tag=b\r\n{}{}\r\n",
        kept("Via:"),
        kept("From:"),
        kept("To:").trim_end(),
        kept("Call-ID:"),
        kept("CSeq:")
    );
    browser.socket.send(Message::text(ok)).expect("sent");
}

#[test]
fn s5_a_browser_registers_publishes_and_is_called_over_its_connection() {
    let node = node();
    let [_alice, bob] = node.clients(["alice", "bob"]);
    let mut browser = Browser::open(&node);
    browser.send("REGISTER", &format!("sip:{DOMAIN}"), "Expires: 600\r\n", "");
    let answer = browser.next();
    assert!(answer.starts_with("SIP/2.0 200 "), "{answer}");
    assert!(answer.contains("Via: SIP/2.0/WS df7jal23ls0d.invalid"), "{answer}");
    let aor = format!("sip:alice@{DOMAIN}");
    let document = pidf::open(&aor, "in a browser");
    let headers = "Event: presence\r\nExpires: 600\r\nContent-Type: application/pidf+xml\r\n";
    browser.send("PUBLISH", &aor, headers, &document);
    let answer = browser.next();
    assert!(answer.starts_with("SIP/2.0 200 "), "{answer}");
    let watch = bob.subscribe(&aor);
    watch.notify_with(&bob, "the state", |m| m.text().contains("in a browser"));
    // A request to the browser comes over its connection.
    std::thread::scope(|scope| {
        let sender = scope.spawn(|| bob.message(&aor, "over your WebSocket").expect_status(200));
        answer_message(&mut browser);
        sender.join().expect("the answer");
    });
    // RFC 5626 §4.4.1 in RFC 7118 §6: a keep-alive is answered.
    browser.socket.send(Message::text("\r\n\r\n")).expect("sent");
    assert_eq!(browser.next(), "\r\n");
    // Closing the page signs off.
    drop(browser);
    let gone = watch.notify_with(&bob, "the end", |m| !m.text().contains("in a browser"));
    assert!(!pidf::Presence::of(&gone).is_open(), "{gone}");
}

#[test]
fn s4_who_does_not_speak_sip_is_refused() {
    let node = node();
    for protocol in [None, Some("chat")] {
        let refused = Browser::upgrade(&node, protocol).expect_err("a refusal");
        assert!(refused.contains("400"), "{refused}");
    }
    // And nothing is broken by that.
    node.add_user("alice");
    let mut browser = Browser::open(&node);
    browser.send("OPTIONS", &format!("sip:{DOMAIN}"), "", "");
    assert!(browser.next().starts_with("SIP/2.0 200 "));
    browser.socket.send(Message::text("this is no SIP\r\n\r\n")).expect("sent");
    browser.send("OPTIONS", &format!("sip:{DOMAIN}"), "", "");
    let answer = browser.next();
    assert!(answer.starts_with("SIP/2.0 "), "{answer}");
}
