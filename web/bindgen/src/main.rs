//! `unheat-bindgen IN.wasm OUT_FOLDER`: what `wasm-bindgen --target web` does, of the version in
//! Cargo.lock. It builds in a minute where wasm-bindgen's own program takes four.

use std::process::ExitCode;
use wasm_bindgen_cli_support::Bindgen;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [wasm, folder] = arguments.as_slice() else {
        eprintln!("unheat-bindgen: name a .wasm file and a folder (scripts/web does)");
        return ExitCode::from(2);
    };
    let mut bindgen = Bindgen::new();
    bindgen.input_path(wasm).typescript(false).omit_default_module_path(false);
    bindgen.remove_name_section(true).remove_producers_section(true);
    match bindgen.web(true).and_then(|bindgen| bindgen.generate(folder)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("unheat-bindgen: {wasm}: {error:#}");
            ExitCode::FAILURE
        }
    }
}
