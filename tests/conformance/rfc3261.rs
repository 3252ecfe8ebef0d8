//! RFC 3261: SIP, by the part that it asks of a user agent server, registrar, proxy and transport.

mod s10_registrar;
mod s11_options;
mod s16_forking;
mod s16_proxy;
mod s17_transactions;
mod s18_transport;
mod s22_authentication;
mod s8_requests;
