//! Presence documents: what a publisher may send, and the facts in it that composition needs.
//!
//! A body is guarded, parsed and checked once, when it is published. What comes out holds each
//! element already rendered, so that composing a user's devices only joins strings. Elements of
//! namespaces that are unknown here travel on untouched.

pub mod caps;
pub mod data_model;
pub(crate) mod fragment;
pub mod guard;
pub mod invalid_document;
pub(crate) mod namespace;
pub mod pidf;
pub mod rpid;
pub mod timestamp;
