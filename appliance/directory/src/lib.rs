//! LDAP directories (RFC 4510 and those it names): reading the people of one, what has changed
//! since, what that means for the users of a node, sign-in by bind, groups, and the index by which
//! people are found. Nothing here keeps anything: the caller holds entries and cursors.

pub mod attribute;
pub mod connection;
pub mod distinguished_name;
mod entry;
pub mod failure;
pub mod group;
pub mod index;
pub mod person;
pub mod plan;
pub mod read;
pub mod settings;
pub mod sign_in;
