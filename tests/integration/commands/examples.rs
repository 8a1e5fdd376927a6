//! The examples of the library do what they say.

use crate::support::desk::Desk;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs an example, which `cargo test` has built next to the tests, and returns what it prints.
#[track_caller]
fn run(name: &str, arguments: &[&Path]) -> String {
    let tests = std::env::current_exe().unwrap();
    let built: PathBuf = tests.ancestors().nth(2).unwrap().join("examples").join(name);
    assert!(
        built.with_extension(std::env::consts::EXE_EXTENSION).exists(),
        "{name}: first cargo build --examples"
    );
    let output = Command::new(built).args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned();
    assert!(output.status.success(), "{name}: {said}");
    said
}

#[test]
fn a_kernel_is_added_with_its_twin_and_its_case() {
    assert!(run("add_kernel", &[]).contains("spoiled on purpose"));
}

#[test]
fn the_fft_finds_its_wave_alone() {
    let said = run("only_the_fft", &[]);
    assert!(said.contains("mode (3, 5)") && said.contains("mode (10, 0)"), "{said}");
}

/// Its settings are those of a training; a short one begins as the long one does.
#[test]
fn the_recipe_of_the_networks_in_assets_can_be_followed() {
    let recipe = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/record.toml");
    let desk = Desk::new();
    let flags = "--device cpu --steps 2 --batch 2 --filters 8 --size 16x16 --levels 2 -o run";
    desk.run(&format!("train --config {} {flags}", recipe.display()), 0);
    let settings = std::fs::read_to_string(desk.path("run/config.toml")).unwrap();
    for line in
        ["method = \"supervised\"", "tikhonov = 0.005", "lr_schedule = \"cosine\"", "validate_every = 1000"]
    {
        assert!(settings.contains(line), "{line} is not in {settings}");
    }
}

#[test]
fn what_one_example_trains_another_restores_pictures_with() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let (curve, weights) = (file("curve.png"), file("weights.safetensors"));
    let said = run("train_and_plot", &[&curve, &weights]);
    assert!(said.contains("x loss from") && curve.exists(), "{said}");

    let blurred = file("blurred.png");
    image::GrayImage::from_fn(40, 24, |x, y| image::Luma([(100 + x + 2 * y) as u8])).save(&blurred).unwrap();
    let restored = file("restored.png");
    let said = run("reconstruct_image", &[&weights, &blurred, Path::new("2"), &restored]);
    assert!(said.contains("plane 0: misfit"), "{said}");
    let restored = image::open(restored).unwrap();
    assert_eq!((restored.width(), restored.height()), (40, 24));
}
