//! XCAP (RFC 4825): what a user keeps on the node as XML documents, and the editing of their parts.
//!
//! Everything here is a function of a document and a request; which documents there are, and that
//! they are on disk, is [`crate::documents`]' to know.

pub mod conflict;
pub mod edit;
pub mod list;
pub mod schema;
pub mod selector;
pub mod usage;

pub use self::conflict::Conflict;
pub use self::usage::Usage;
