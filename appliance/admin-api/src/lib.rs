//! The control protocol between the admin CLI and the daemons.
