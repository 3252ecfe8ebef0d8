//! Whether the peer of a TLS connection of ours is who the administrator meant: its certificate is
//! one of those that were given, or comes from one of them (RFC 5425 §5.1, §5.2).

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use sha2::{Digest as _, Sha256};

/// Those who are trusted.
#[derive(Debug)]
struct Trust {
    /// Certificates of peers, or of authorities.
    given: Vec<CertificateDer<'static>>,
    /// SHA-256 of peers' certificates.
    pinned: Vec<Fingerprint>,
    /// Checks those that come from an authority; none where none was given.
    authorities: Option<Arc<WebPkiServerVerifier>>,
    algorithms: WebPkiSupportedAlgorithms,
}

/// The SHA-256 digest of a certificate in DER form.
pub type Fingerprint = [u8; 32];

/// Reads a fingerprint as other tools print it: 64 hexadecimal digits, with colons or without.
#[must_use]
pub fn fingerprint(text: &str) -> Option<Fingerprint> {
    let digits: Vec<u8> = text.bytes().filter(|octet| !matches!(octet, b':' | b' ')).collect();
    let (pairs, rest) = digits.as_chunks::<2>();
    if pairs.len() != 32 || !rest.is_empty() {
        return None;
    }
    let mut fingerprint = [0; 32];
    for (octet, pair) in fingerprint.iter_mut().zip(pairs) {
        let pair = std::str::from_utf8(pair).ok()?;
        *octet = u8::from_str_radix(pair, 16).ok().filter(|_| !pair.starts_with('+'))?;
    }
    Some(fingerprint)
}

/// A fingerprint, as other tools print it.
#[must_use]
pub fn name(fingerprint: &Fingerprint) -> String {
    let octets: Vec<String> = fingerprint.iter().map(|octet| format!("{octet:02X}")).collect();
    format!("SHA-256 {}", octets.join(":"))
}

/// The certificates in a PEM text; none when there is none, or one cannot be read.
#[must_use]
pub fn certificates(pem: &str) -> Option<Vec<CertificateDer<'static>>> {
    let found: Vec<_> =
        CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<_, _>>().ok()?;
    (!found.is_empty()).then_some(found)
}

/// The certificates in a PEM text by their fingerprints, as other tools print them.
#[must_use]
pub fn named(pem: &str) -> Vec<String> {
    let name = |certificate: &CertificateDer<'_>| name(&Sha256::digest(certificate).into());
    certificates(pem).unwrap_or_default().iter().map(name).collect()
}

/// A client that trusts these certificates, those of these fingerprints, and nobody else; none when
/// they cannot be used.
#[must_use]
pub fn client(
    given: Vec<CertificateDer<'static>>,
    pinned: Vec<Fingerprint>,
) -> Option<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let algorithms = provider.signature_verification_algorithms;
    let mut roots = RootCertStore::empty();
    for certificate in &given {
        roots.add(certificate.clone()).ok()?;
    }
    let authorities = if given.is_empty() {
        None
    } else {
        let roots = Arc::new(roots);
        let builder = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider));
        Some(builder.build().ok()?)
    };
    let trust = Trust { given, pinned, authorities, algorithms };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .ok()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(trust))
        .with_no_client_auth();
    Some(config)
}

/// A client that talks to anybody: for what proves itself, and for nothing that is secret.
#[must_use]
pub fn anybody() -> Option<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let algorithms = provider.signature_verification_algorithms;
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .ok()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody(algorithms)))
        .with_no_client_auth();
    Some(config)
}

/// Takes any certificate, whose key must have signed the handshake.
#[derive(Debug)]
struct Anybody(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

impl ServerCertVerifier for Trust {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        // What was given by hand is this peer, whatever its names say, and whether it calls itself
        // an authority, as certificates do that sign themselves.
        if self.given.iter().any(|given| given == end_entity) {
            return Ok(ServerCertVerified::assertion());
        }
        let digest: Fingerprint = Sha256::digest(end_entity).into();
        if self.pinned.contains(&digest) {
            return Ok(ServerCertVerified::assertion());
        }
        let Some(authorities) = &self.authorities else {
            return Err(Error::InvalidCertificate(CertificateError::UnknownIssuer));
        };
        authorities.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_read_as_other_tools_print_it() {
        let plain = "00ff".repeat(16);
        let read = fingerprint(&plain).unwrap();
        assert_eq!(read[..2], [0, 255]);
        let shown = name(&read);
        assert_eq!(fingerprint(shown.strip_prefix("SHA-256 ").unwrap()), Some(read));
        for wrong in ["", "00", &plain[1..], &plain.replace('f', "g"), &plain.replace("0f", "+f")] {
            assert_eq!(fingerprint(wrong), None, "{wrong}");
        }
    }
}
