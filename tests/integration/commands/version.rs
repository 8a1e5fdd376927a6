//! `unheat --version`: which build this is, and that it is never an older one.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use tempfile::tempdir;

fn said(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn unheat(line: &str) -> String {
    said(&Command::new(env!("CARGO_BIN_EXE_unheat")).args(line.split(' ')).output().unwrap())
}

#[test]
fn the_long_version_tells_the_build_and_the_short_one_does_not() {
    const VERSION: &str = env!("CARGO_PKG_VERSION");
    assert_eq!(unheat("-V"), format!("unheat {VERSION}\n"));
    assert_eq!(unheat("train -V"), format!("unheat-train {VERSION}\n"));
    let long = unheat("--version");
    assert_eq!(unheat("train --version"), long.replacen("unheat", "unheat-train", 1));

    let lines: Vec<&str> = long.lines().collect();
    let [name, commit, features, back_ends] = lines[..] else { panic!("{long}") };
    assert_eq!(name, format!("unheat {VERSION}"));
    assert_eq!(commit, concat!("commit: ", env!("UNHEAT_COMMIT")));
    let features: Vec<&str> = features.strip_prefix("features: ").unwrap().split(' ').collect();
    for (feature, is_on) in
        [("cli", true), ("mpi", cfg!(feature = "mpi")), ("npy", true), ("pictures", true), ("default", false)]
    {
        assert_eq!(features.contains(&feature), is_on, "{feature}: {features:?}");
    }
    let expected = match std::env::consts::OS {
        "macos" => "metal",
        "windows" => "vulkan dx12",
        _ => "vulkan",
    };
    assert_eq!(back_ends, format!("back ends: {expected}"));
}

/// A package of one line with the build.rs of this one.
struct Package<'a>(&'a Path);

impl Package<'_> {
    fn new(root: &Path) -> Package<'_> {
        fs::create_dir_all(root.join("src")).unwrap();
        let manifest = "[package]\nname = \"one\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[workspace]\n\
                        [features]\ndefault = [\"cli\"]\ncli = [\"npy\"]\nnpy = []\nmpi = []\n";
        fs::write(root.join("Cargo.toml"), manifest).unwrap();
        fs::write(root.join("build.rs"), include_str!("../../../build.rs")).unwrap();
        fs::write(root.join(".gitignore"), "target\n").unwrap();
        let package = Package(root);
        package.write("src/main.rs", "fn main() { print!(env!(\"UNHEAT_COMMIT\")) }");
        package.cargo("generate-lockfile", "");
        package
    }

    fn write(&self, path: &str, text: &str) {
        fs::write(self.0.join(path), text).unwrap();
    }

    fn cargo(&self, command: &str, commit: &str) -> Output {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(command.split(' ')).arg("--offline").current_dir(self.0);
        cargo.env("CARGO_TARGET_DIR", self.0.join("target")).env("UNHEAT_COMMIT", commit).output().unwrap()
    }

    fn git(&self, arguments: &[&str]) -> String {
        let who = ["-c", "user.name=one", "-c", "user.email=one@example.org"];
        let output = Command::new("git").args(who).args(arguments).current_dir(self.0).output();
        said(&output.unwrap()).trim().to_owned()
    }

    fn commit(&self) -> String {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", "one"]);
        self.git(&["rev-parse", "--short=12", "HEAD"])
    }

    /// The commit that the program names; building it once more builds nothing.
    #[track_caller]
    fn named(&self) -> String {
        let named = said(&self.cargo("run --quiet", ""));
        let again = self.cargo("build --verbose", "");
        let again = String::from_utf8(again.stderr).unwrap();
        assert!(again.contains("Fresh one"), "{named}: {again}");
        named
    }
}

#[test]
fn the_commit_is_never_an_older_one() {
    let folder = tempdir().unwrap();
    let package = Package::new(folder.path());
    assert_eq!(package.named(), "unknown");
    assert_eq!(said(&package.cargo("run --quiet", "told")), "told");

    package.git(&["init", "--quiet"]);
    let first = package.commit();
    package.write("src/main.rs", "fn main() { print!(env!(\"UNHEAT_COMMIT\")); }");
    assert_eq!(package.named(), format!("{first}-dirty"));
    package.git(&["checkout", "--quiet", "src"]);
    assert_eq!(package.named(), first);
    package.write("src/notes", ""); // unknown to git, and perhaps built all the same
    assert_eq!(package.named(), format!("{first}-dirty"));
    let second = package.commit();
    assert_ne!(first, second);
    assert_eq!(package.named(), second);
    package.write("notes.md", "nothing that is built");
    assert_eq!(package.named(), second);

    // Wherever git keeps the branch.
    package.git(&["pack-refs", "--all"]);
    assert_eq!(package.named(), second);
    let third = package.commit();
    assert_eq!(package.named(), third);
    package.git(&["checkout", "--quiet", "--detach", "HEAD^"]);
    assert_eq!(package.named(), second);
    let fourth = package.commit();
    assert_eq!(package.named(), fourth);
    let beside = tempdir().unwrap();
    let beside = beside.path().join("tree");
    package.git(&["worktree", "add", "--quiet", beside.to_str().unwrap(), &first]);
    assert_eq!(Package(&beside).named(), first);

    // Somebody else's checkout says nothing of what lies in it.
    let inside = folder.path().join("vendored");
    assert_eq!(Package::new(&inside).named(), "unknown");
}

#[test]
fn the_library_alone_is_not_built_anew_by_commits() {
    let folder = tempdir().unwrap();
    let package = Package::new(folder.path());
    package.write("src/main.rs", "fn main() {}");
    package.git(&["init", "--quiet"]);
    package.commit();
    let build = || package.cargo("build --verbose --no-default-features --features npy", "");
    said(&build());
    package.commit();
    assert!(String::from_utf8(build().stderr).unwrap().contains("Fresh one"));
}
