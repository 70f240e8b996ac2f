//! Environment files, units and drop-ins: parse and render.

pub mod envfile;
