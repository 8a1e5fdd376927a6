//! Tells `unheat --version` which commit the program is built from, and with which features.

use std::path::Path;
use std::process::Command;

/// What the program is made of: a change of anything else neither makes it dirty nor asks this script again.
const SOURCES: [&str; 5] = ["Cargo.toml", "Cargo.lock", "build.rs", "shaders", "src"];

/// Names the commit where no checkout can, as in a container; where it is set, git is not asked.
const COMMIT: &str = "UNHEAT_COMMIT";

fn main() {
    if std::env::var_os("CARGO_FEATURE_CLI").is_none() {
        println!("cargo::rerun-if-changed=build.rs"); // the library alone is not asked
        return;
    }
    println!("cargo::rerun-if-env-changed={COMMIT}");
    watch(SOURCES);
    let commit = std::env::var(COMMIT).ok().filter(|commit| !commit.is_empty()).or_else(commit);
    println!("cargo::rustc-env={COMMIT}={}", commit.as_deref().unwrap_or("unknown"));

    let features = std::env::var("CARGO_CFG_FEATURE").unwrap_or_default();
    let features: Vec<&str> = features.split(',').filter(|&feature| feature != "default").collect();
    println!("cargo::rustc-env=UNHEAT_FEATURES={}", features.join(" "));
}

/// Runs this script again where one of these changes. A file that is not there would run it at every build.
fn watch<'a>(paths: impl IntoIterator<Item = &'a str>) {
    for path in paths.into_iter().filter(|path| Path::new(path).exists()) {
        println!("cargo::rerun-if-changed={path}");
    }
}

/// The commit of this checkout, with `-dirty` where the sources are not those of the commit.
fn commit() -> Option<String> {
    // A package that was unpacked within somebody else's checkout is not of that one's commits.
    Path::new(".git").exists().then_some(())?;
    let commit = git(&["rev-parse", "--short=12", "HEAD"])?;
    // A commit moves the branch that HEAD names, and the first one after `git pack-refs` makes its file anew,
    // which only the log tells.
    let branch = git(&["rev-parse", "--symbolic-full-name", "HEAD"])?;
    let names = ["HEAD", &branch, "packed-refs", "logs/HEAD"].map(|name| ["--git-path", name]);
    watch(git(&[&["rev-parse"], names.as_flattened()].concat())?.lines());
    // Without the lock that would get into the way of whoever commits meanwhile.
    let changes = git(&[&["--no-optional-locks", "status", "--porcelain", "--"][..], &SOURCES].concat())?;
    Some(if changes.is_empty() { commit } else { commit + "-dirty" })
}

/// What git says; none where there is no git, or it refuses.
fn git(arguments: &[&str]) -> Option<String> {
    let output =
        Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
    String::from_utf8(output.stdout).ok().map(|said| said.trim_end().to_owned())
}
