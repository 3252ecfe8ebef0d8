//! Idle connections: what each takes of the node's memory, and how much of that is TLS itself.

use std::error::Error;
use std::time::{Duration, Instant};

use lamplight_tests::wire::tls;

use crate::goal;
use crate::message;
use crate::network::stream::Stream;
use crate::network::{Transport, allow_descriptors};
use crate::server::{Kind, Server, Setup};

/// RFC 3261 gives transactions over connections no afterlife; this is for the tidying up.
const SETTLING: Duration = Duration::from_millis(500);
const PATIENCE: Duration = Duration::from_secs(10);
/// Connections that are there before the first measurement, so that what is made once is made.
const FIRST: u32 = 20;

/// Measures so many connections of each kind; whether all were served.
pub fn run(connections: u32) -> Result<bool, Box<dyn Error>> {
    allow_descriptors();
    let mut of_tls = Vec::new();
    for transport in [Transport::Tcp, Transport::Tls] {
        let setup = Setup::with(10, 0);
        let node = Server::start(Kind::Lamplight, &setup)?;
        let bare = Server::start_bare(&setup, &node, transport)?;
        for (name, server) in [("lamplight", &node), ("bare", &bare)] {
            let bytes = bytes_a_connection(server, transport, connections)?;
            println!("{name:<10} {}: {bytes:.0} bytes of PSS a connection", transport.token());
            if transport == Transport::Tls {
                of_tls.push(bytes);
            }
        }
    }
    goal::head();
    let added = of_tls.first().zip(of_tls.last()).map(|(ours, bare)| ours - bare);
    goal::tell("idle TLS connection, PSS beyond that of rustls", 8_192.0, "bytes", added);
    Ok(true)
}

fn bytes_a_connection(
    server: &Server,
    transport: Transport,
    connections: u32,
) -> Result<f64, Box<dyn Error>> {
    let address = server.address(transport)?;
    let config = (transport == Transport::Tls).then(|| tls::config().0);
    let mut scratch = vec![0; 65_536];
    let mut held = Vec::new();
    let mut open = |count: u32| -> Result<(), Box<dyn Error>> {
        for number in 0..count {
            let (mut stream, local) = Stream::connect(address, config.as_ref())?;
            let text = message::options(address, local, number);
            let via = format!("SIP/2.0/{} ", transport.token());
            stream.send(text.replacen("SIP/2.0/UDP ", &via, 1).as_bytes())?;
            let began = Instant::now();
            while stream.receive(&mut scratch, &mut [0; 4_096]).is_none() {
                if stream.has_closed() || began.elapsed() > PATIENCE {
                    return Err("a connection was not served".into());
                }
                std::thread::sleep(Duration::from_micros(50));
            }
            held.push(stream);
        }
        std::thread::sleep(SETTLING);
        Ok(())
    };
    open(FIRST)?;
    let before = server.memory().pss;
    open(connections)?;
    let after = server.memory().pss;
    Ok((after as f64 - before as f64) * 1_024.0 / f64::from(connections))
}
