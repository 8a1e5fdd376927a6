//! What unheat is built from, and what its package holds. `cargo deny check` also looks for advisories; these
//! tests need nothing but cargo.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

fn cargo(arguments: &[&str]) -> String {
    let output =
        Command::new(env!("CARGO")).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The licences that deny.toml allows.
fn allowed() -> Vec<String> {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("deny.toml")).unwrap();
    let table: toml::Table = text.parse().unwrap();
    let names = table["licenses"]["allow"].as_array().unwrap().iter();
    names.map(|name| name.as_str().unwrap().to_owned()).collect()
}

/// Whether an SPDX expression can be met: of alternatives one, of demands all.
fn is_met(expression: &str, allowed: &[String]) -> bool {
    let plain = expression.replace(['(', ')'], " ").replace('/', " OR ");
    let met = |demand: &str| allowed.iter().any(|name| name == demand.trim());
    // Without brackets AND binds tighter; with them, as in `(A OR B) AND C`, the parts are alternatives and
    // one demand.
    if expression.contains('(') {
        return plain.split(" AND ").all(|part| part.split(" OR ").any(met));
    }
    plain.split(" OR ").any(|part| part.split(" AND ").all(met))
}

#[test]
fn expressions_are_read_as_spdx_says() {
    let allowed = ["MIT", "Zlib", "Apache-2.0 WITH LLVM-exception"].map(str::to_owned);
    for good in [
        "MIT",
        "GPL-3.0 OR MIT",
        "MIT AND Zlib",
        "(GPL-2.0 OR MIT) AND Zlib",
        "Apache-2.0 WITH LLVM-exception",
        "GPL-2.0/MIT",
    ] {
        assert!(is_met(good, &allowed), "{good}");
    }
    for bad in ["GPL-3.0", "MIT AND GPL-3.0", "Apache-2.0", "(MIT OR Zlib) AND GPL-2.0", ""] {
        assert!(!is_met(bad, &allowed), "{bad}");
    }
}

#[test]
fn every_dependency_has_a_licence_that_is_allowed_and_comes_from_crates_io() {
    let metadata: Value =
        serde_json::from_str(&cargo(&["metadata", "--format-version", "1", "--locked"])).unwrap();
    let allowed = allowed();
    let mut versions: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let packages = metadata["packages"].as_array().unwrap();
    for package in packages {
        let (name, version) = (package["name"].as_str().unwrap(), package["version"].as_str().unwrap());
        let licence = package["license"].as_str().unwrap_or_default();
        assert!(is_met(licence, &allowed), "{name} {version}: licence {licence:?}");
        let source =
            package["source"].as_str().unwrap_or("registry+https://github.com/rust-lang/crates.io-index");
        let is_own = ["unheat", "unheat-web", "unheat-bindgen"].contains(&name);
        assert!(
            source.starts_with("registry+") && (package["source"].is_string() || is_own),
            "{name}: {source}"
        );
        versions.entry(name.to_owned()).or_default().push(version.to_owned());
    }
    let twice: Vec<_> = versions.iter().filter(|(_, versions)| versions.len() > 1).collect();
    println!(
        "torture: {} packages with allowed licences, all from the registry; in two versions: {twice:?}",
        packages.len()
    );
}

/// What a program that depends on the library alone has to build, on the system that runs this test.
#[test]
fn the_library_alone_is_built_from_few_packages() {
    let tree = |features: &[&str]| -> BTreeSet<String> {
        let arguments = ["tree", "--locked", "-e", "normal", "--no-default-features", "--prefix", "none"];
        let lines = cargo(&[&arguments, features].concat());
        lines.lines().map(|line| line.trim_end_matches(" (*)").to_owned()).collect()
    };
    let packages = tree(&[]);
    println!("torture: the library alone is built from {} packages", packages.len());
    assert!(packages.len() <= 97, "{}: {packages:#?}", packages.len());
    let has = |packages: &BTreeSet<String>, name: &str| {
        packages.iter().any(|package| package.split(' ').next() == Some(name))
    };
    for forbidden in ["clap", "ratatui", "indicatif", "image", "plotters", "npyz", "getrandom", "tempfile"] {
        assert!(!has(&packages, forbidden), "{forbidden}: put it behind a feature");
    }
    let asked_for = ["wgpu", "pollster", "bytemuck", "naga", "rand", "half"];
    assert!(asked_for.iter().all(|name| has(&packages, name)), "{packages:#?}");
    // The same look must find what the features add.
    let whole = tree(&["--features", "cli"]);
    assert!(["clap", "ratatui", "image", "npyz", "env_logger"].iter().all(|name| has(&whole, name)));
}

/// The largest package, in bytes, compressed; about two and a half megabytes are the networks of
/// `assets/weights/`.
const MOST_BYTES: u64 = 4 << 20;

/// Whoever installs the package has everything to build it, and nothing of the workshop.
#[test]
fn the_package_holds_what_building_needs() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().to_str().unwrap();
    let flags = ["--no-verify", "--allow-dirty", "--offline", "--target-dir", target];
    cargo(&[&["package"], &flags[..]].concat());
    let package = format!("package/unheat-{}.crate", env!("CARGO_PKG_VERSION"));
    let size = folder.path().join(package).metadata().unwrap().len();
    assert!(size <= MOST_BYTES, "the package has {size} bytes; exclude what building does not need");

    let list = cargo(&["package", "--list", "--allow-dirty", "--offline"]);
    let files: Vec<&str> = list.lines().collect();
    for needed in [
        "Cargo.toml",
        "Cargo.lock",
        "README.md",
        "CHANGELOG.md",
        "build.rs",
        "LICENSE-MIT",
        "LICENSE-APACHE",
        "src/lib.rs",
        "src/main.rs",
        "docs/reliability.md",
        "examples/train_and_plot.rs",
    ] {
        assert!(files.contains(&needed), "{needed} is missing");
    }
    for (room, fewest) in [("shaders", 25), ("src", 25), ("assets/weights", 10)] {
        let inside = walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join(room));
        assert!(inside.len() >= fewest);
        for path in &inside {
            assert!(files.iter().any(|file| path.ends_with(file)), "{} is missing", path.display());
        }
    }
    for file in &files {
        let first = file.split('/').next().unwrap();
        let workshop = [
            "fuzz",
            "target",
            "runs",
            "peers",
            "tests",
            "assets",
            "scripts",
            ".ci",
            ".github",
            ".dockerignore",
            "Dockerfile",
            "pyproject.toml",
        ];
        let is_workshop = workshop.contains(&first) && !file.starts_with("assets/weights/");
        assert!(!is_workshop, "{file}");
    }
    println!("torture: the package holds {} files in {} KiB", files.len(), size >> 10);
}

fn walk(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

/// Unsafe code stands in two audited places.
#[test]
fn unsafe_code_is_where_it_is_said_to_be() {
    let mut places = Vec::new();
    for path in walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")) {
        let text = std::fs::read_to_string(&path).unwrap();
        if text.contains("unsafe {")
            || text.contains("allow(unsafe_code")
            || text.contains("expect(unsafe_code")
        {
            places.push(path.file_name().unwrap().to_str().unwrap().to_owned());
        }
    }
    places.sort();
    assert_eq!(
        places,
        ["kernel.rs", "main.rs"],
        "list a new place in docs/reliability.md, with its safety argument"
    );
}
