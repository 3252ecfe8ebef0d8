//! What the RFCs demand of the running daemon: one file an RFC, one function a section.

mod packages;
mod rfc3261;
mod rfc3311;
mod rfc3327;
mod rfc3428;
mod rfc3581;
mod rfc3840;
mod rfc3856;
mod rfc3857;
mod rfc3863;
mod rfc3903;
mod rfc4479;
mod rfc4662;
mod rfc4825;
mod rfc5025;
mod rfc5626;
mod rfc5839;
mod rfc6026;
mod rfc6665;
mod rfc7118;
mod rfc8760;
mod robustness;
