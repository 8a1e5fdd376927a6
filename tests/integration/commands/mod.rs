//! The program as people use it: commands, examples, pictures, and what is shipped.

mod array_commands;
mod bench_command;
mod compare;
mod earlier_files;
mod examples;
mod named_twice;
mod newcomer;
mod picture_commands;
mod preview;
mod requests;
mod supply_chain;
