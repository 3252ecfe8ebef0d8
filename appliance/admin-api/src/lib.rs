//! The control protocol between the admin CLI and the daemons.
//!
//! A client opens the daemon's Unix stream socket and sends one JSON object per line; the daemon
//! answers each line with one line, in order:
//!
//! ```text
//! {"v":1,"request":{"show_user":{"id":"anna"}}}
//! {"v":1,"answer":{"user":{...}}}     or     {"v":1,"refusal":{"code":"unknown_user",...}}
//! ```
//!
//! - [`request`] and [`answer`] hold every question to `presenced` and every answer as one enum
//!   each, [`platform`] those to `platformd`, [`refusal`] what a daemon says when it will not or
//!   cannot.
//! - [`wire`] turns them into lines and back, [`framing`] cuts a byte stream into lines; both
//!   sides use both, with whatever input and output they have.
//! - [`client`] is the blocking client of the CLI and of tests.
//!
//! Fields carry their unit in the name: `_s` seconds, `_ms` milliseconds, `_bytes`, `_unix_ms`
//! milliseconds since 1970-01-01T00:00:00Z.

pub mod answer;
pub mod client;
pub mod directory;
pub mod framing;
pub mod page;
pub mod platform;
pub mod refusal;
pub mod request;
pub mod secret;
pub mod user_id;
pub mod wire;
