//! Other vendors' programs, as Debian ships them, against the running daemon.

mod baresip;
mod ldap;
mod linphone;
mod sipp;
mod sipsak;

use lamplight_tests::node::{Node, Setup};

/// A node for clients that know MD5 only and give up when they see another algorithm (baresip
/// 1.0, SIPp 3.6).
fn old_phones() -> Node {
    Setup { digest: vec!["MD5".to_owned()], ..Setup::default() }.start()
}
