//! The repository's own rules: what it cites exists, and its lines fit beside each other on a screen.

use std::collections::{BTreeMap, BTreeSet};
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
    /// Files of a folder.
    const MOST: usize = 16;
    let mut rooms = BTreeMap::<PathBuf, usize>::new();
    for (path, _) in texts(&["rs", "wgsl"]) {
        let room = path.parent().unwrap().to_owned();
        let counts = ["src", "shaders"].iter().any(|top| path.starts_with(top));
        *rooms.entry(room).or_default() += usize::from(counts);
    }
    let crowded: Vec<_> = rooms.iter().filter(|(_, files)| **files > MOST).collect();
    assert!(crowded.is_empty(), "{crowded:?}");
}

/// The path that `text` begins with, such as `gpu::runtime::`, and what is listed in braces behind it.
fn path_and_list(text: &str) -> (&str, Vec<&str>) {
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).unwrap_or(text.len());
    let (path, rest) = text.split_at(end);
    let list = rest.strip_prefix('{').filter(|_| path.ends_with("::"));
    let names = list.map_or(vec![""], |list| list.split(['}', ';']).next().unwrap().split(',').collect());
    (
        path.trim_end_matches("::"),
        names.into_iter().map(|name| name.trim().split(' ').next().unwrap()).collect(),
    )
}

/// A file's own code on one line: without its tests and comments, and without the modules that visibilities
/// name.
fn code(text: &str) -> String {
    let own = text.split("\nmod tests {").next().unwrap();
    let lines: Vec<&str> = own.lines().map(|line| line.split("//").next().unwrap().trim()).collect();
    lines.join(" ").replace("pub(in crate::", "pub(in ")
}

/// Every module of src/ with the modules whose names its own code takes, tests left out: both as
/// `gpu::nn::conv3x3`. A name that a module hands on counts as taken from where it is defined.
fn arrows(sources: &[(PathBuf, String)]) -> Vec<(String, BTreeSet<String>)> {
    let module = |path: &Path| {
        let path = path.strip_prefix("src").unwrap().with_extension("");
        let names: Vec<_> = path.iter().map(|name| name.to_str().unwrap()).collect();
        names.join("::").trim_end_matches("::mod").to_owned()
    };
    let files: Vec<(String, String)> =
        sources.iter().map(|(path, text)| (module(path), code(text))).collect();
    let modules: BTreeSet<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    let mut handed_on: BTreeMap<String, String> = BTreeMap::new();
    for (name, code) in &files {
        for (at, mark) in code.match_indices("pub use ") {
            let (path, names) = path_and_list(&code[at + mark.len()..]);
            let path = path.strip_prefix("crate::").map_or_else(|| format!("{name}::{path}"), str::to_owned);
            for item in names {
                let full = format!("{path}::{item}");
                let full = full.trim_end_matches("::");
                let last = full.rsplit("::").next().unwrap();
                handed_on.insert(format!("{name}::{last}"), full.to_owned());
            }
        }
    }
    let defined_in = |path: &str| {
        let mut name = path.trim_end_matches("::").trim_end_matches("::self").to_owned();
        loop {
            if modules.contains(name.as_str()) {
                return Some(name);
            }
            name = match (handed_on.get(&name), name.rsplit_once("::")) {
                (Some(origin), _) if *origin != name => origin.clone(),
                (_, Some((shorter, _))) => shorter.to_owned(),
                (_, None) => return None,
            };
        }
    };
    let targets = |code: &str| {
        let mut found = BTreeSet::new();
        for (at, mark) in code.match_indices("crate::") {
            let (path, names) = path_and_list(&code[at + mark.len()..]);
            found.extend(names.iter().filter_map(|name| defined_in(&format!("{path}::{name}"))));
        }
        found
    };
    files.iter().map(|(name, code)| (name.clone(), targets(code))).collect()
}

/// The files of src/ with their texts, which take names by paths from the crate's root alone.
fn sources() -> Vec<(PathBuf, String)> {
    let sources: Vec<_> = texts(&["rs"]).into_iter().filter(|(path, _)| path.starts_with("src")).collect();
    for (path, text) in &sources {
        let code = code(text);
        let relative = code.contains("super::");
        let nested = code
            .split("use crate::")
            .skip(1)
            .any(|used| used.split(';').next().unwrap().matches('{').count() > 1);
        assert!(!relative && !nested, "{}: write paths from the crate's root, one list deep", path.display());
    }
    sources
}

/// The modules that are on circles, or between two.
fn on_circles(arrows: &[(String, BTreeSet<String>)]) -> Vec<String> {
    let mut left: Vec<&(String, BTreeSet<String>)> = arrows.iter().collect();
    loop {
        let names: BTreeSet<&String> = left.iter().map(|(name, _)| name).collect();
        let (mut targets, mut origins) = (BTreeSet::new(), BTreeSet::new());
        for (name, used) in &left {
            for target in used.iter().filter(|target| *target != name && names.contains(target)) {
                targets.insert(target.clone());
                origins.insert(name.clone());
            }
        }
        let before = left.len();
        left.retain(|(name, _)| targets.contains(name) && origins.contains(name));
        if left.len() == before {
            return left.iter().map(|(name, used)| format!("{name} -> {used:?}")).collect();
        }
    }
}

#[test]
fn circles_are_found_through_names_that_are_handed_on() {
    let file = |path: &str, text: &str| (PathBuf::from(path), text.to_owned());
    let mut files = vec![
        file("src/gpu/mod.rs", "pub use runtime::device::{Checks, Gpu};\npub use runtime::tensor::Tensor;"),
        file("src/gpu/runtime/device.rs", "use crate::gpu::runtime::memory;"),
        file("src/gpu/runtime/memory.rs", "use crate::Result; // crate::gpu::Gpu"),
        file("src/gpu/runtime/tensor.rs", "use crate::gpu::{Gpu, runtime::x};"),
    ];
    assert!(on_circles(&arrows(&files)).is_empty());
    files[1].1 = "fn f(tensor: &crate::gpu::Tensor) {}".to_owned();
    assert_eq!(on_circles(&arrows(&files)).len(), 2);
}

#[test]
fn rooms_use_only_those_below() {
    /// What each room may use besides itself and `error`.
    const MAY_USE: [(&str, &str); 13] = [
        ("model", ""),
        ("cpu", "model"),
        ("gpu", "model"),
        ("blocking", "gpu"),
        ("io", "model"),
        ("engine", "blocking cpu gpu io model"),
        ("restore", "cpu engine model"),
        ("cases", "cpu gpu model"),
        ("trust", "cases engine gpu model"),
        ("train", "blocking cpu engine io model restore"),
        ("bench", "cpu engine gpu io model train"),
        ("sweep", "engine io model train"),
        ("cli", "bench sweep train trust restore engine cases io blocking gpu cpu model"),
    ];
    let mut wrong = Vec::new();
    let mut seen = 0;
    for (module, targets) in arrows(&sources()) {
        let room = |name: &str| name.split("::").next().unwrap().to_owned();
        let own = room(&module);
        if ["lib", "main", "error"].contains(&own.as_str()) {
            continue;
        }
        let Some((_, may)) = MAY_USE.iter().find(|(name, _)| *name == own) else {
            wrong.push(format!("{module} is in a room that this test does not know"));
            continue;
        };
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
    let circles = on_circles(&arrows(&sources()));
    assert!(circles.is_empty(), "{}", circles.join("\n"));
}

/// The rooms of these modules with the rooms that they use, but for those around and inside of them.
fn room_arrows(arrows: &[(String, BTreeSet<String>)]) -> Vec<(String, BTreeSet<String>)> {
    let holds = |room: &str, name: &str| name.strip_prefix(room).is_some_and(|rest| rest.starts_with("::"));
    let room = |name: &str| match arrows.iter().any(|(other, _)| holds(name, other)) {
        true => name.to_owned(),
        false => name.rsplit_once("::").map_or(name, |(room, _)| room).to_owned(),
    };
    let mut rooms: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (name, used) in arrows {
        let own = room(name);
        let others = used.iter().map(|name| room(name));
        let apart = others.filter(|other| !holds(other, &own) && !holds(&own, other)).collect::<Vec<_>>();
        rooms.entry(own).or_default().extend(apart);
    }
    rooms.into_iter().collect()
}

#[test]
fn no_two_rooms_use_each_other() {
    let used =
        |name: &str, used: &[&str]| (name.to_owned(), used.iter().map(|&name| name.to_owned()).collect());
    let mut made_up = vec![
        used("gpu::nn::add", &[]),
        used("gpu::step::adam", &["gpu::nn::add"]),
        used("gpu::unet::block", &["gpu::nn::add"]),
        used("gpu::step", &["gpu::step::adam", "gpu::unet::block"]),
    ];
    assert!(on_circles(&room_arrows(&made_up)).is_empty());
    made_up[2] = used("gpu::unet::block", &["gpu::step::adam"]);
    assert_eq!(on_circles(&room_arrows(&made_up)).len(), 2, "no file is on a circle, but two rooms are");

    let circles = on_circles(&room_arrows(&arrows(&sources())));
    assert!(circles.is_empty(), "{}", circles.join("\n"));
}

/// Words that look like a path of this repository: `src/gpu/tune/mod.rs`.
fn paths(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|c: char| c.is_whitespace() || "`'\"()[],;:<>{}|*".contains(c));
    words.map(|word| word.trim_end_matches(['.', '/'])).filter(|word| {
        ["src/", "tests/", "shaders/", "docs/", "peers/", "scripts/"].iter().any(|top| word.starts_with(top))
            && word.rsplit_once('.').is_some_and(|(_, ending)| ["rs", "wgsl", "md", "py"].contains(&ending))
    })
}

#[test]
fn files_that_are_named_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut named, mut missing) = (0, Vec::new());
    for (file, text) in texts(&["rs", "wgsl", "md", "toml"]) {
        let by_example = ["CHANGELOG.md", "repository.rs"].iter().any(|name| file.ends_with(name));
        let made_up = |path: &str| by_example || path.contains("stage.") || path.contains("NAME");
        let outside_tests = text.split("\nmod tests {").next().unwrap();
        for path in paths(outside_tests).filter(|path| !made_up(path)) {
            named += 1;
            if !root.join(path).exists() {
                missing.push(format!("{} names {path}", file.display()));
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
    assert!(named > 60, "{named} paths");
}
