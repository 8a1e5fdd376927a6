//! What unheat is built from, and what its package holds. `cargo deny check` asks more (advisories); this
//! needs nothing but cargo.

use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

fn cargo(arguments: &[&str]) -> String {
    let output =
        Command::new(env!("CARGO")).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The licences that deny.toml allows to everybody, and those to one crate.
fn allowed() -> (Vec<String>, BTreeMap<String, Vec<String>>) {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("deny.toml")).unwrap();
    let table: toml::Table = text.parse().unwrap();
    let names = |list: &toml::Value| -> Vec<String> {
        list.as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect()
    };
    let exceptions = table["licenses"]["exceptions"].as_array().unwrap();
    let exception = |one: &toml::Value| (one["crate"].as_str().unwrap().to_owned(), names(&one["allow"]));
    (names(&table["licenses"]["allow"]), exceptions.iter().map(exception).collect())
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
    let (allowed, exceptions) = allowed();
    let mut versions: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let packages = metadata["packages"].as_array().unwrap();
    for package in packages {
        let (name, version) = (package["name"].as_str().unwrap(), package["version"].as_str().unwrap());
        let licence = package["license"].as_str().unwrap_or_default();
        let exception = exceptions.get(name).is_some_and(|allowed| is_met(licence, allowed));
        assert!(exception || is_met(licence, &allowed), "{name} {version}: licence {licence:?}");
        let source =
            package["source"].as_str().unwrap_or("registry+https://github.com/rust-lang/crates.io-index");
        assert!(
            source.starts_with("registry+") && (package["source"].is_string() || name == "unheat"),
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

/// Whoever installs the package has everything to build it, and nothing of the workshop.
#[test]
fn the_package_holds_what_building_needs() {
    let list = cargo(&["package", "--list", "--allow-dirty", "--offline"]);
    let files: Vec<&str> = list.lines().collect();
    for needed in [
        "Cargo.toml",
        "Cargo.lock",
        "README.md",
        "CHANGELOG.md",
        "LICENSE-MIT",
        "LICENSE-APACHE",
        "src/lib.rs",
        "docs/reliability.md",
    ] {
        assert!(files.contains(&needed), "{needed} is missing");
    }
    let shaders = walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("shaders"));
    assert!(shaders.len() > 25);
    for shader in &shaders {
        assert!(files.iter().any(|file| shader.ends_with(file)), "{} is missing", shader.display());
    }
    for file in &files {
        assert!(
            !file.starts_with("fuzz/") && !file.starts_with("target/") && !file.starts_with("runs/"),
            "{file}"
        );
    }
    println!("torture: the package holds {} files, {} shaders among them", files.len(), shaders.len());
}

fn walk(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

/// Unsafe code stands in one audited place.
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
    assert_eq!(places, ["kernel.rs"], "list a new place in docs/reliability.md, with its safety argument");
}
