//! Cures that work: every command that is printed or written down is one that the tool has, and following a cure ends the
//! finding.

mod cases;
mod command_lines;
mod followed;
mod spelled;
