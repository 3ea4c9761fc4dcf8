//! Pipes, FIFOs and splicing.
