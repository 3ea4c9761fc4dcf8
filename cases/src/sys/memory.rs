//! Mappings and buffers that end at a guard page.
