//! A server that only shakes hands and holds: what a connection costs by itself, so that it can be
//! told from what Lamplight adds to it.

use std::error::Error;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection};

const ANSWER: &[u8] = b"SIP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n";

/// A connection, and its TLS where there is any.
type Held = (TcpStream, Option<Box<ServerConnection>>);

/// Serves for ever; under TLS with the certificate of a node when its data directory is given.
pub fn run(data: Option<&Path>) -> Result<bool, Box<dyn Error>> {
    let tls = data.map(config).transpose()?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let name = if tls.is_some() { "tls" } else { "tcp" };
    println!("bare ready: {name}:{}", listener.local_addr()?);
    let mut held = Vec::new();
    loop {
        let (socket, _) = listener.accept()?;
        held.push(hold(socket, tls.as_ref())?);
    }
}

/// The configuration of the node's own listener.
fn config(data: &Path) -> Result<Arc<ServerConfig>, Box<dyn Error>> {
    let chain = CertificateDer::pem_file_iter(data.join("certificate.pem"))?;
    let chain = chain.collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_file(data.join("certificate.key"))?;
    let mut config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key)?;
    config.send_tls13_tickets = 1;
    Ok(Arc::new(config))
}

/// A connection that has had one message and its answer.
fn hold(mut socket: TcpStream, tls: Option<&Arc<ServerConfig>>) -> Result<Held, Box<dyn Error>> {
    let mut buffer = [0; 4_096];
    let Some(tls) = tls else {
        let _ = socket.read(&mut buffer)?;
        socket.write_all(ANSWER)?;
        return Ok((socket, None));
    };
    let mut session = Box::new(ServerConnection::new(Arc::clone(tls))?);
    let mut stream = rustls::Stream::new(&mut *session, &mut socket);
    let _ = stream.read(&mut buffer)?;
    stream.write_all(ANSWER)?;
    stream.flush()?;
    Ok((socket, Some(session)))
}
