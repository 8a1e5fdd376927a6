//! The program as people use it: commands, examples, pictures, and what is shipped.

mod array_commands;
mod bench_command;
mod compare;
mod earlier_files;
mod examples;
mod folders;
#[cfg(target_os = "linux")]
mod limits;
mod named_twice;
mod newcomer;
mod picture_commands;
mod preview;
mod requests;
mod supply_chain;
mod sweep;
mod version;
