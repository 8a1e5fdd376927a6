//! The `unheat` program; everything is in the library's `cli`.

fn main() -> std::process::ExitCode {
    unheat::cli::main()
}
