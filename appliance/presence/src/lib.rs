//! What the appliance does: register, publish, subscribe, compose, route; pure, one Server object per node.

pub mod compositor;
pub mod document;
