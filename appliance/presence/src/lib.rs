//! What the appliance does: register, publish, subscribe, compose, route; pure, one
//! [`server::Server`] object per node.

mod administration;
mod authentication;
mod authorization;
pub mod command;
pub mod compositor;
mod conditional;
pub mod config;
pub mod counters;
mod device;
mod dialog;
pub mod document;
mod documents;
mod engine;
mod event_state;
pub mod group;
mod node_policy;
mod notify;
pub mod output;
pub mod policy;
mod publication;
mod reach;
pub mod record;
mod registration;
mod rejection;
mod resource_list;
pub mod restore;
mod routing;
pub mod server;
mod sign_off;
mod status;
mod stored_message;
mod subscription;
mod user;
mod watcher_info;
pub mod xcap;
