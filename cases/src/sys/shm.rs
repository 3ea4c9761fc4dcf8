//! System V shared memory and memory files.
