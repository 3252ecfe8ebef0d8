//! The running daemon and its command as an administrator and a power cut meet them.

mod capacity;
mod cli;
mod disk;
mod http;
mod load;
mod measuring;
mod older;
mod reload;
mod restart;
mod secrets;
mod service;
mod settings;
mod status;
mod users;
