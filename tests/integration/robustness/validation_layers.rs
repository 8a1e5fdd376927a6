//! Khronos' validation layers watch a training run, and have nothing to say. Where they are not installed
//! nothing is watched, and said so; CI sets UNHEAT_NEEDS_VALIDATION, so that they cannot be missing there.
#![cfg(target_os = "linux")]

use crate::support::precisions;
use crate::support::runs::{SMALL, command, said};
use tempfile::tempdir;

const LAYER: &str = "VK_LAYER_KHRONOS_validation";

#[test]
fn the_validation_layers_have_nothing_to_say() {
    let root = tempdir().unwrap();
    let mut messages = 0;
    let mut of_gpu = precisions().into_iter().filter(|(device, _)| device == "0");
    let other = format!("--padding zero --physics {}", of_gpu.next_back().unwrap().1);
    for (i, flags) in ["".to_owned(), "--method gd --noise 1e-3".to_owned(), other].iter().enumerate() {
        let folder = root.path().join(i.to_string());
        let arguments = format!("{SMALL} --device 0 --steps 3 {flags} -o {}", folder.display());
        let output = command(arguments.replace("  ", " ").trim())
            .envs([
                ("WGPU_VALIDATION", "1"),
                ("WGPU_DEBUG", "1"),
                ("VK_INSTANCE_LAYERS", LAYER),
                ("VK_LOADER_DEBUG", "layer"),
            ])
            .output()
            .unwrap();
        let said = said(&output);
        assert!(output.status.success(), "{said}");
        if !said.contains(&format!("Insert instance layer {LAYER}"))
            && !said.contains(&format!("Insert instance layer \"{LAYER}"))
        {
            let needed = std::env::var_os("UNHEAT_NEEDS_VALIDATION").is_some();
            assert!(!needed, "{LAYER} is not there: apt install vulkan-validationlayers\n{said}");
            eprintln!(
                "\n*** {LAYER} is NOT INSTALLED: nothing was validated; apt install vulkan-validationlayers\n"
            );
            return;
        }
        let lines: Vec<&str> = said.lines().collect();
        for (line, next) in lines.iter().zip(&lines[1..]).filter(|(line, _)| line.contains("VALIDATION [")) {
            // Layers from before 2023 do not know that shaders can be written in WGSL, which debug builds
            // note in them.
            assert!(next.contains("Invalid source language operand: 10"), "{line}\n{next}");
        }
        messages += lines.iter().filter(|line| line.contains("VALIDATION [")).count();
    }
    println!(
        "torture: validation layers: 3 runs, 0 messages \
         ({messages} about WGSL as a source language, from an old layer)"
    );
}
