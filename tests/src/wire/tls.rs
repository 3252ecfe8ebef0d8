//! TLS for the test client: any certificate is taken, and kept for the test to look at.

use std::sync::{Arc, Mutex};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};

/// Takes the self-signed certificate of a node, checks its signatures, and remembers it.
#[derive(Debug)]
pub struct Pin {
    provider: Arc<CryptoProvider>,
    seen: Mutex<Option<Vec<u8>>>,
}

impl Pin {
    /// The certificate that the server showed, in DER.
    pub fn seen(&self) -> Option<Vec<u8>> {
        self.seen.lock().ok()?.clone()
    }
}

impl ServerCertVerifier for Pin {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Ok(mut seen) = self.seen.lock() {
            *seen = Some(end_entity.as_ref().to_vec());
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// A client configuration and the pin that remembers what the server showed.
pub fn config() -> (Arc<ClientConfig>, Arc<Pin>) {
    let provider = Arc::new(ring::default_provider());
    let pin = Arc::new(Pin { provider: Arc::clone(&provider), seen: Mutex::new(None) });
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring speaks TLS 1.2 and 1.3")
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(&pin) as Arc<dyn ServerCertVerifier>)
        .with_no_client_auth();
    (Arc::new(config), pin)
}

/// The name to ask for; a node is reached by address.
pub fn server_name(address: std::net::SocketAddr) -> ServerName<'static> {
    ServerName::IpAddress(address.ip().into())
}

/// The certificate that a server shows, in DER.
///
/// # Panics
/// When there is no handshake.
#[track_caller]
pub fn certificate_of(server: std::net::SocketAddr) -> Vec<u8> {
    let (config, pin) = config();
    let mut session =
        rustls::ClientConnection::new(config, server_name(server)).expect("a TLS session");
    let mut stream = std::net::TcpStream::connect(server).expect("a connection");
    while session.is_handshaking() {
        session.complete_io(&mut stream).expect("a handshake");
    }
    pin.seen().expect("a certificate")
}
