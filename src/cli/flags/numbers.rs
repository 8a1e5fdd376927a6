//! Numbers on the command line: what is none is answered in plain words instead of those of Rust's parser.

use clap::{Arg, Command};
use std::any::TypeId;
use std::str::FromStr;

/// Sees to every flag of every command that takes a number, so that no flag has to ask for it. A negative
/// number is not taken for a flag, whatever value is asked for, but refused with what it should be.
pub(crate) fn explained(command: Command) -> Command {
    command.mut_subcommands(number_args)
}

/// The same for the flags of one command.
pub(crate) fn number_args(command: Command) -> Command {
    command.mut_args(number)
}

fn number(argument: Arg) -> Arg {
    if !argument.get_action().takes_values() {
        return argument;
    }
    let taken = argument.get_value_parser().type_id();
    let argument = if taken == TypeId::of::<f64>() {
        argument.value_parser(real)
    } else if taken == TypeId::of::<usize>() {
        argument.value_parser(whole::<usize>)
    } else if taken == TypeId::of::<u64>() {
        argument.value_parser(whole::<u64>)
    } else {
        argument
    };
    argument.allow_negative_numbers(true)
}

/// Rust reads inf, nan and 1e999 as well, of which nothing can be computed.
pub(crate) fn real(text: &str) -> Result<f64, &'static str> {
    let number = text.parse().ok().filter(|number: &f64| number.is_finite());
    number.ok_or("must be a number, such as 0.5 or 1e-3")
}

fn whole<T: FromStr>(text: &str) -> Result<T, &'static str> {
    text.parse().map_err(|_| "must be a whole number from 0 on, such as 16")
}
