//! The repository's own rules: what it cites exists, and its lines fit beside each other on a screen.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The longest line, in characters.
const WIDTH: usize = 110;

/// Every text file that git knows and has, with its content.
fn texts(endings: &[&str]) -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let git = Command::new("git").args(["ls-files", "-co", "--exclude-standard"]).current_dir(root).output();
    let listed = String::from_utf8(git.expect("git is installed").stdout).unwrap();
    let wanted = |path: &&str| {
        let ending = path.rsplit_once('.').map_or("", |(_, ending)| ending);
        endings.contains(&ending) && root.join(path).exists()
    };
    let found: Vec<_> = listed.lines().filter(wanted).map(PathBuf::from).collect();
    assert!(found.len() > 20, "git lists {} files: this test wants a checkout", found.len());
    found.into_iter().map(|path| (path.clone(), std::fs::read_to_string(root.join(path)).unwrap())).collect()
}

/// What stands behind `§` in every citation of the method: `method §3b` cites 3b.
fn cited(text: &str) -> impl Iterator<Item = &str> {
    let behind = text.match_indices("method §").map(|(at, mark)| &text[at + mark.len()..]);
    behind.map(|rest| &rest[..rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len())])
}

/// The sections of docs/method.md: headings such as `## 3. Damped inverse` and `### 3b. Fourier form`.
fn sections(method: &str) -> BTreeSet<&str> {
    let headings = method.lines().filter(|line| line.starts_with("##"));
    headings
        .filter_map(|line| line.trim_start_matches(['#', ' ']).split_once('.').map(|(number, _)| number))
        .collect()
}

#[test]
fn every_cited_section_of_the_method_exists() {
    let method = include_str!("../../docs/method.md");
    let sections = sections(method);
    let (mut citations, mut missing) = (0, Vec::new());
    for (path, text) in texts(&["rs", "wgsl", "md", "py"]) {
        for section in cited(&text) {
            citations += 1;
            if !sections.contains(section) && !path.ends_with("repository.rs") {
                missing.push(format!("{}: method §{section}", path.display()));
            }
        }
        let old = ["SPEC ", "SPEC.md", "HOUSE.md"].map(|name| ["", name].concat());
        if !path.ends_with("repository.rs") && old.iter().any(|name| text.contains(name.as_str())) {
            missing.push(format!("{}: cites a document that is not in the repository", path.display()));
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
    assert!(citations > 50, "{citations} citations");
}

#[test]
fn citations_and_sections_are_found() {
    assert_eq!(cited("as method §3b says, (method §4)").collect::<Vec<_>>(), ["3b", "4"]);
    assert!(sections("## 3. Inverse\n### 3b. Fourier\nnot ## 9. this").into_iter().eq(["3", "3b"]));
}

/// Tables and links cannot be wrapped, nor can a word that is longer than a line.
fn may_be_long(line: &str) -> bool {
    let start = line.trim_start();
    start.starts_with('|') || start.starts_with("![") || line.contains("](") || line.contains("https://")
}

#[test]
fn lines_fit() {
    let mut long = Vec::new();
    for (path, text) in texts(&["rs", "wgsl", "md", "toml", "py"]) {
        for (number, line) in text.lines().enumerate() {
            if line.chars().count() > WIDTH && !may_be_long(line) {
                long.push(format!("{}:{}", path.display(), number + 1));
            }
        }
    }
    assert!(long.is_empty(), "{} lines are longer than {WIDTH} characters:\n{}", long.len(), long.join("\n"));
}

#[test]
fn no_room_is_crowded() {
    /// Files of a folder, `mod.rs` not counted.
    const MOST: usize = 16;
    let mut rooms = std::collections::BTreeMap::<PathBuf, usize>::new();
    for (path, _) in texts(&["rs", "wgsl"]) {
        let room = path.parent().unwrap().to_owned();
        let counts = ["src", "shaders"].iter().any(|top| path.starts_with(top)) && !path.ends_with("mod.rs");
        *rooms.entry(room).or_default() += usize::from(counts);
    }
    let crowded: Vec<_> =
        rooms.iter().filter(|(room, files)| **files > MOST && !room.ends_with("cli")).collect();
    assert!(crowded.is_empty(), "{crowded:?}");
}

/// Every module of src/ with the modules whose names its own code takes, tests left out: both as
/// `gpu::nn::conv3x3`.
fn arrows() -> Vec<(String, BTreeSet<String>)> {
    let sources: Vec<_> = texts(&["rs"]).into_iter().filter(|(path, _)| path.starts_with("src")).collect();
    let module = |path: &Path| {
        let path = path.strip_prefix("src").unwrap().with_extension("");
        let names: Vec<_> = path.iter().map(|name| name.to_str().unwrap()).collect();
        names.join("::").trim_end_matches("::mod").to_owned()
    };
    let modules: BTreeSet<String> = sources.iter().map(|(path, _)| module(path)).collect();
    let targets = |text: &str| {
        let code: String = text
            .split("#[cfg(test)]\nmod tests")
            .next()
            .unwrap()
            .lines()
            .map(|line| line.split("//").next().unwrap().trim())
            .collect::<Vec<_>>()
            .join(" ")
            .replace("pub(in crate::", "pub(in ");
        let mut found = BTreeSet::new();
        for (at, mark) in code.match_indices("crate::") {
            let rest = &code[at + mark.len()..];
            let path = &rest
                [..rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).unwrap_or(rest.len())];
            let listed = rest[path.len()..].strip_prefix('{').filter(|_| path.ends_with("::"));
            let inside = listed.map_or("", |list| list.split(['}', ';']).next().unwrap());
            let path = path.trim_end_matches(':');
            let with_names =
                inside.split(',').map(|name| format!("{path}::{}", name.trim().split(' ').next().unwrap()));
            for full in with_names {
                let mut name = full.trim_end_matches("::").trim_end_matches("::self");
                while !modules.contains(name) {
                    match name.rsplit_once("::") {
                        Some((shorter, _)) => name = shorter,
                        None => break,
                    }
                }
                if modules.contains(name) {
                    found.insert(name.to_owned());
                }
            }
        }
        found
    };
    sources.iter().map(|(path, text)| (module(path), targets(text))).collect()
}

#[test]
fn rooms_use_only_those_below() {
    /// What each room may use besides itself and `error`.
    const MAY_USE: [(&str, &str); 11] = [
        ("model", ""),
        ("cpu", "model"),
        ("gpu", "model"),
        ("blocking", "gpu"),
        ("io", "model"),
        ("engine", "blocking cpu gpu io model"),
        ("restore", "engine model"),
        ("cases", "cpu gpu model"),
        ("train", "blocking cpu engine io model restore"),
        ("bench", "engine gpu io model train"),
        ("cli", "bench train restore engine cases io blocking gpu cpu model"),
    ];
    let mut wrong = Vec::new();
    let mut seen = 0;
    for (module, targets) in arrows() {
        let room = |name: &str| name.split("::").next().unwrap().to_owned();
        let own = room(&module);
        let Some((_, may)) = MAY_USE.iter().find(|(name, _)| *name == own) else { continue };
        for target in targets {
            let other = room(&target);
            seen += 1;
            if other != own && other != "error" && !may.split(' ').any(|name| name == other) {
                wrong.push(format!("{module} uses {target}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen > 300, "{seen} arrows");
}

#[test]
fn no_two_files_name_each_other_in_a_circle() {
    let arrows = arrows();
    // A module without an arrow to, or from, any that is left is on no circle; what remains at the end is, or
    // lies between two circles.
    let mut left: Vec<&(String, BTreeSet<String>)> = arrows.iter().collect();
    loop {
        let names: BTreeSet<&String> = left.iter().map(|(name, _)| name).collect();
        let (mut targets, mut sources) = (BTreeSet::new(), BTreeSet::new());
        for (name, used) in &left {
            for target in used.iter().filter(|target| *target != name && names.contains(target)) {
                targets.insert(target.clone());
                sources.insert(name.clone());
            }
        }
        let before = left.len();
        left.retain(|(name, _)| targets.contains(name) && sources.contains(name));
        if left.len() == before {
            break;
        }
    }
    let rest: Vec<_> = left.iter().map(|(name, targets)| format!("{name} -> {targets:?}")).collect();
    assert!(rest.is_empty(), "{}", rest.join("\n"));
}
