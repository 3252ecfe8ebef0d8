//! Black-box, simulated-world and interoperability tests.
