//! Signals: handlers, sets and what siginfo tells.
