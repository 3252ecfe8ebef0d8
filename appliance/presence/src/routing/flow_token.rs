//! Flow tokens (RFC 5626 §5.3): the far side of a dialog, sealed into our Record-Route entries.

use std::net::{IpAddr, SocketAddr};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use sip::flow::{ConnectionId, Destination, Flow, Hop, Transport};

const TRANSPORTS: [Transport; 5] =
    [Transport::Udp, Transport::Tcp, Transport::Tls, Transport::Ws, Transport::Wss];
const SEAL_BYTES: usize = 10;

/// Makes and opens tokens; nobody else can make one that opens.
pub(crate) struct FlowTokens {
    key: [u8; 32],
}

impl std::fmt::Debug for FlowTokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FlowTokens")
    }
}

impl FlowTokens {
    pub(crate) const fn new(key: [u8; 32]) -> Self {
        Self { key }
    }

    /// The token of one side of a dialog, which is reached from `local`.
    pub(crate) fn seal(&self, side: &Destination, local: SocketAddr) -> String {
        let (transport, peer, local, connection) = match side {
            Destination::Flow(flow) => (flow.transport, flow.peer, flow.local, flow.connection.0),
            Destination::Hop(hop) => (hop.transport, hop.address, local, 0),
        };
        let code = TRANSPORTS.iter().position(|t| *t == transport).unwrap_or(0);
        let mut bytes = vec![u8::try_from(code).unwrap_or(0)];
        bytes.extend_from_slice(&connection.to_be_bytes());
        push_address(&mut bytes, peer);
        push_address(&mut bytes, local);
        let seal = self.seal_of(&bytes);
        bytes.extend_from_slice(&seal);
        bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            for nibble in [byte >> 4, byte & 15] {
                text.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
            }
            text
        })
    }

    /// The side that a token of ours names.
    pub(crate) fn open(&self, token: &str) -> Option<Destination> {
        let bytes = unhex(token)?;
        let (body, seal) = bytes.split_at_checked(bytes.len().checked_sub(SEAL_BYTES)?)?;
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).ok()?;
        mac.update(body);
        mac.verify_truncated_left(seal).ok()?;
        let (code, rest) = body.split_first()?;
        let transport = *TRANSPORTS.get(usize::from(*code))?;
        let (connection, rest) = rest.split_first_chunk::<8>()?;
        let (peer, rest) = take_address(rest)?;
        let (local, _) = take_address(rest)?;
        let connection = u64::from_be_bytes(*connection);
        Some(if transport.is_reliable() && connection == 0 {
            Destination::Hop(Hop { transport, address: peer })
        } else {
            let connection = ConnectionId(connection);
            Destination::Flow(Flow { transport, local, peer, connection })
        })
    }

    fn seal_of(&self, body: &[u8]) -> Vec<u8> {
        // Every key length is good for HMAC.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.key) else { return Vec::new() };
        mac.update(body);
        mac.finalize().into_bytes().iter().take(SEAL_BYTES).copied().collect()
    }
}

fn push_address(bytes: &mut Vec<u8>, address: SocketAddr) {
    match address.ip() {
        IpAddr::V4(ip) => {
            bytes.push(4);
            bytes.extend_from_slice(&ip.octets());
        }
        IpAddr::V6(ip) => {
            bytes.push(16);
            bytes.extend_from_slice(&ip.octets());
        }
    }
    bytes.extend_from_slice(&address.port().to_be_bytes());
}

fn take_address(bytes: &[u8]) -> Option<(SocketAddr, &[u8])> {
    let (length, rest) = bytes.split_first()?;
    let (ip, rest) = match length {
        4 => rest.split_first_chunk::<4>().map(|(ip, rest)| (IpAddr::from(*ip), rest))?,
        16 => rest.split_first_chunk::<16>().map(|(ip, rest)| (IpAddr::from(*ip), rest))?,
        _ => return None,
    };
    let (port, rest) = rest.split_first_chunk::<2>()?;
    Some((SocketAddr::new(ip, u16::from_be_bytes(*port)), rest))
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> =
        text.chars().map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok())).collect();
    let digits = digits?;
    let (pairs, rest) = digits.as_chunks::<2>();
    rest.is_empty().then(|| pairs.iter().map(|[high, low]| (high << 4) | low).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_what_it_sealed_and_nothing_else() {
        let tokens = FlowTokens::new([7; 32]);
        let local: SocketAddr = "192.0.2.1:5060".parse().unwrap();
        for side in [
            Destination::Flow(Flow {
                transport: Transport::Udp,
                local,
                peer: "192.0.2.9:40000".parse().unwrap(),
                connection: ConnectionId(0),
            }),
            Destination::Flow(Flow {
                transport: Transport::Tls,
                local: "[2001:db8::1]:5061".parse().unwrap(),
                peer: "[2001:db8::9]:40000".parse().unwrap(),
                connection: ConnectionId(77),
            }),
            Destination::Hop(Hop {
                transport: Transport::Tcp,
                address: "192.0.2.9:5060".parse().unwrap(),
            }),
        ] {
            let token = tokens.seal(&side, local);
            assert_eq!(tokens.open(&token), Some(side));
            assert_eq!(FlowTokens::new([8; 32]).open(&token), None);
            for place in 0..token.len() {
                let mut forged = token.clone().into_bytes();
                forged[place] = if forged[place] == b'0' { b'1' } else { b'0' };
                assert_eq!(tokens.open(std::str::from_utf8(&forged).unwrap()), None);
            }
        }
        assert_eq!(tokens.open(""), None);
        assert_eq!(tokens.open("alice"), None);
    }
}
