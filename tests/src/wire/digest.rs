//! The client's side of digest authentication (RFC 7616, RFC 8760), written apart from the product.

use md5::Md5;
use sha2::{Digest as _, Sha256};

use super::message::split_list;

/// A challenge, as one WWW-Authenticate or Proxy-Authenticate value carries it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// The realm.
    pub realm: String,
    /// The nonce.
    pub nonce: String,
    /// The algorithm token; `MD5` when the challenge names none.
    pub algorithm: String,
    /// The qop options, empty when there are none.
    pub qop: Vec<String>,
    /// To be returned unchanged.
    pub opaque: Option<String>,
    /// Whether only the nonce was too old.
    pub stale: bool,
}

impl Challenge {
    /// Reads a header value.
    pub fn parse(value: &str) -> Option<Self> {
        let (scheme, rest) = value.trim().split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("Digest") {
            return None;
        }
        let params = split_list(rest);
        let get = |name: &str| {
            params.iter().find_map(|p| {
                let (n, v) = p.split_once('=')?;
                let same = n.trim().eq_ignore_ascii_case(name);
                same.then(|| v.trim().trim_matches('"').to_owned())
            })
        };
        let qop = get("qop").unwrap_or_default();
        Some(Self {
            realm: get("realm")?,
            nonce: get("nonce")?,
            algorithm: get("algorithm").unwrap_or_else(|| "MD5".to_owned()),
            qop: qop.split(',').map(|q| q.trim().to_owned()).filter(|q| !q.is_empty()).collect(),
            opaque: get("opaque"),
            stale: get("stale").is_some_and(|s| s.eq_ignore_ascii_case("true")),
        })
    }

    fn hash(&self, text: &str) -> String {
        if self.algorithm.eq_ignore_ascii_case("SHA-256") {
            hex(&Sha256::digest(text.as_bytes()))
        } else {
            hex(&Md5::digest(text.as_bytes()))
        }
    }

    /// The response for `qop=auth`, or for no qop when `count` is `None`.
    pub fn response(
        &self,
        user: &str,
        password: &str,
        method: &str,
        uri: &str,
        count: Option<(u32, &str)>,
    ) -> String {
        let ha1 = self.hash(&format!("{user}:{}:{password}", self.realm));
        let ha2 = self.hash(&format!("{method}:{uri}"));
        match count {
            Some((nc, cnonce)) => {
                self.hash(&format!("{ha1}:{}:{nc:08x}:{cnonce}:auth:{ha2}", self.nonce))
            }
            None => self.hash(&format!("{ha1}:{}:{ha2}", self.nonce)),
        }
    }

    /// The Authorization value for a request; `count` is the number of uses of this nonce.
    pub fn authorization(
        &self,
        user: &str,
        password: &str,
        method: &str,
        uri: &str,
        count: u32,
    ) -> String {
        let cnonce = format!("c{count:x}f00d");
        let with_qop = self.qop.iter().any(|q| q.eq_ignore_ascii_case("auth"));
        let counted = with_qop.then_some((count, cnonce.as_str()));
        let response = self.response(user, password, method, uri, counted);
        let mut value = format!(
            "Digest username=\"{user}\", realm=\"{}\", nonce=\"{}\", uri=\"{uri}\", \
             response=\"{response}\", algorithm={}",
            self.realm, self.nonce, self.algorithm
        );
        if with_qop {
            value.push_str(&format!(", qop=auth, nc={count:08x}, cnonce=\"{cnonce}\""));
        }
        if let Some(opaque) = &self.opaque {
            value.push_str(&format!(", opaque=\"{opaque}\""));
        }
        value
    }
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 7616 §3.9.1.
    fn example(algorithm: &str) -> Challenge {
        Challenge {
            realm: "http-auth@example.org".to_owned(),
            nonce: "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v".to_owned(),
            algorithm: algorithm.to_owned(),
            qop: vec!["auth".to_owned()],
            opaque: None,
            stale: false,
        }
    }

    const CNONCE: &str = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";

    #[test]
    fn computes_the_example_of_rfc_7616_with_both_algorithms() {
        let answer = |algorithm| {
            example(algorithm).response(
                "Mufasa",
                "Circle of Life",
                "GET",
                "/dir/index.html",
                Some((1, CNONCE)),
            )
        };
        assert_eq!(answer("MD5"), "8ca523f5e9506fed4657c9700eebdbec");
        assert_eq!(
            answer("SHA-256"),
            "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"
        );
    }

    #[test]
    fn reads_a_challenge_with_several_qop_options() {
        let value = "Digest realm=\"a.test\", nonce=\"n,1\", algorithm=SHA-256, \
                     qop=\"auth,auth-int\", stale=TRUE";
        let challenge = Challenge::parse(value).unwrap();
        assert_eq!(challenge.nonce, "n,1");
        assert_eq!(challenge.qop, ["auth", "auth-int"]);
        assert!(challenge.stale);
    }
}
