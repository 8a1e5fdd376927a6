//! What is written takes the place of what was there, and nothing else of it: not its permissions, its
//! owner, its links; and the name says what is in it.
#![cfg(unix)]

use crate::support::desk::Desk;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::{Command, Output};

/// Lines that write a file `out` with the ending beside them.
const LINES: [(&str, &str); 7] = [
    ("generate --count 1 --size 16x16 --output", "npy"),
    ("generate --count 1 --size 16x16 -o other.npy --save-rectangles", "safetensors"),
    ("diffuse -i x.npy --device cpu -o", "npy"),
    ("diffuse -i a.png --device cpu -o", "png"),
    ("restore -i a.png --device cpu --output", "tiff"),
    ("restore -i x.npy -o other.npy --method wiener --device cpu --uncertainty-map", "npy"),
    ("invert -i x.npy -o other.npy --device cpu --diagnostics", "safetensors"),
];

fn desk() -> Desk {
    let desk = Desk::new();
    let values: Vec<f64> = (0..256).map(|i| f64::from(i).sin().abs()).collect();
    desk.save("x.npy", [1, 16, 16], &values);
    image::GrayImage::from_fn(24, 16, |x, y| image::Luma([(7 * x + 5 * y) as u8]))
        .save(desk.path("a.png"))
        .unwrap();
    desk
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

/// What each line writes where nothing was.
fn fresh(desk: &Desk, line: &str, ending: &str) -> Vec<u8> {
    desk.run(&format!("{line} fresh.{ending}"), 0);
    fs::read(desk.path(&format!("fresh.{ending}"))).unwrap()
}

#[test]
fn permissions_owner_and_attributes_stay() {
    let mut tried = 0;
    for (line, ending) in LINES {
        let desk = desk();
        let (expected, path) = (fresh(&desk, line, ending), desk.path(&format!("out.{ending}")));
        for kept in [0o600, 0o640, 0o666, 0o755, 0o2670] {
            fs::write(&path, "old").unwrap();
            fs::set_permissions(&path, Permissions::from_mode(kept)).unwrap();
            let is_root = fs::metadata(&path).unwrap().uid() == 0;
            if is_root {
                chown(&path, Some(1234), Some(4321)).unwrap();
                fs::set_permissions(&path, Permissions::from_mode(kept)).unwrap();
            }
            let has_attributes = xattr::set(&path, "user.note", b"mine").is_ok();
            desk.run(&format!("{line} {}", path.display()), 0);
            assert!(fs::read(&path).unwrap() == expected, "{line}");
            assert_eq!(mode(&path), kept, "{line}");
            let found = fs::metadata(&path).unwrap();
            assert!(!is_root || (found.uid(), found.gid()) == (1234, 4321), "{line}");
            if has_attributes {
                assert_eq!(xattr::get(&path, "user.note").unwrap().as_deref(), Some(&b"mine"[..]), "{line}");
            }
            tried += 1;
            fs::remove_file(&path).unwrap();
        }
    }
    println!("torture: {tried} replaced files keep permissions, owner and attributes");
}

#[test]
fn links_stay_and_lead_to_the_new_file() {
    for (line, ending) in LINES {
        let desk = desk();
        let (expected, name) = (fresh(&desk, line, ending), format!("out.{ending}"));
        fs::create_dir(desk.path("deep")).unwrap();
        let link = |to: &str, from: &str| symlink(to, desk.path(&format!("{from}.{ending}"))).unwrap();
        fs::write(desk.path(&name), "old").unwrap();
        fs::set_permissions(desk.path(&name), Permissions::from_mode(0o604)).unwrap();
        link(&name, "near");
        link(&format!("../near.{ending}"), "deep/chain");
        link(&format!("deep/none.{ending}"), "dangling");
        for (from, to) in [("near", "out"), ("deep/chain", "out"), ("dangling", "deep/none")] {
            let [from, to] = [from, to].map(|name| desk.path(&format!("{name}.{ending}")));
            desk.run(&format!("{line} {}", from.display()), 0);
            assert!(from.symlink_metadata().unwrap().is_symlink(), "{line}");
            assert!(
                fs::read(&to).unwrap() == expected && !to.symlink_metadata().unwrap().is_symlink(),
                "{line}"
            );
        }
        assert_eq!(mode(&desk.path(&name)), 0o604);
        link(&format!("round.{ending}"), "round");
        let said = desk.run(&format!("{line} round.{ending}"), 1);
        assert!(said.contains("too many symbolic links"), "{said}");
    }
}

#[test]
fn files_that_are_read_only_are_left_alone() {
    for (line, ending) in LINES {
        let desk = desk();
        let path = desk.path(&format!("out.{ending}"));
        fs::write(&path, "old").unwrap();
        symlink(&path, desk.path(&format!("link.{ending}"))).unwrap();
        for kept in [0o400, 0o444, 0o555] {
            fs::set_permissions(&path, Permissions::from_mode(kept)).unwrap();
            for name in ["out", "link"] {
                let said = desk.run(&format!("{line} {name}.{ending}"), 1);
                assert!(said.contains("read-only; make it writable"), "{said}");
                assert!(fs::read(&path).unwrap() == b"old" && !desk.path("other.npy").exists());
            }
        }
    }
}

/// The program for another user than root, whom permissions hold back; of root alone there is one.
fn as_nobody(desk: &Desk, line: &str) -> Output {
    use std::os::unix::process::CommandExt;
    let program = desk.path("unheat");
    if !program.exists() {
        fs::copy(env!("CARGO_BIN_EXE_unheat"), &program).unwrap(); // where everybody may run it
    }
    let mut command = Command::new(program);
    command.args(line.split(' ')).current_dir(desk.path("")).env("UNHEAT_CACHE_DIR", desk.path("cache"));
    if fs::metadata(desk.path("x.npy")).unwrap().uid() == 0 {
        command.uid(65534).gid(65534);
    }
    // A process that another test starts meanwhile may have the copy open for a moment.
    let busy = std::io::ErrorKind::ExecutableFileBusy;
    let mut tries = std::iter::repeat_with(|| command.output());
    tries.find(|output| output.as_ref().map_err(std::io::Error::kind) != Err(busy)).unwrap().unwrap()
}

#[test]
fn a_file_that_can_be_written_in_a_folder_that_cannot_is_written_in_place() {
    let desk = desk();
    fs::set_permissions(desk.path(""), Permissions::from_mode(0o755)).unwrap();
    let line = "generate --count 1 --size 16x16 -o";
    let expected = fresh(&desk, line, "npy");
    fs::create_dir(desk.path("shut")).unwrap();
    for old in [&b""[..], b"short", &[7; 100_000]] {
        let path = desk.path("shut/out.npy");
        fs::write(&path, old).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
        fs::set_permissions(desk.path("shut"), Permissions::from_mode(0o555)).unwrap();
        let before = fs::metadata(&path).unwrap().ino();
        let output = as_nobody(&desk, &format!("{line} shut/out.npy"));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && said.contains("written in place"), "{said}");
        assert!(fs::read(&path).unwrap() == expected);
        assert_eq!(fs::metadata(&path).unwrap().ino(), before);
        // Nothing new can be made there, and what is somebody else's is not touched.
        let output = as_nobody(&desk, &format!("{line} shut/new.npy"));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(1) && said.contains("is the folder writable?"), "{said}");
        fs::set_permissions(desk.path("shut"), Permissions::from_mode(0o777)).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        if fs::metadata(&path).unwrap().uid() == 0 {
            let said = as_nobody(&desk, &format!("{line} shut/out.npy"));
            let said = String::from_utf8_lossy(&said.stderr).into_owned();
            assert!(said.contains("out.npy: cannot write: Permission denied"), "{said}");
            assert!(fs::read(&path).unwrap() == expected);
        }
    }
}

/// As containers mount single files.
#[cfg(target_os = "linux")]
#[test]
fn a_file_that_is_a_mount_is_written_in_place() {
    let desk = desk();
    let line = "diffuse -i a.png --device cpu -o";
    let expected = fresh(&desk, line, "png");
    for name in ["host.png", "inside.png"] {
        fs::write(desk.path(name), "old").unwrap();
    }
    let [host, inside] = ["host.png", "inside.png"].map(|name| desk.path(name));
    let mounted = Command::new("mount").arg("--bind").args([&host, &inside]).output();
    if !mounted.is_ok_and(|output| output.status.success()) {
        println!("NOT TESTED: a file that is a mount: only root can make one");
        return;
    }
    let said = desk.run(&format!("{line} inside.png"), 0);
    let found = fs::read(&host).unwrap();
    assert!(Command::new("umount").arg(&inside).status().unwrap().success());
    assert!(said.contains("inside.png: cannot be replaced in one step"), "{said}");
    assert!(found == expected && fs::read(&inside).unwrap() == b"old");
}

#[test]
fn names_are_held_to() {
    let desk = desk();
    desk.run("train --steps 1 --batch 2 --size 16x16 --levels 1 --filters 8 --device cpu -o run", 0);
    fs::copy(desk.path("run/weights.safetensors"), desk.path("w.safetensors")).unwrap();
    let train = "train --steps 1 --batch 2 --size 16x16 --device cpu -o new";
    let reconstruct = "reconstruct --weights w.safetensors --amount 1 --device cpu -o y";
    let mut tried = 0;
    for (line, names, expected, code) in [
        ("generate --count 1 --size 16x16 -o", "x.png x.tif x.txt x x.npz x.npy.gz .npy", ".npy file", 1),
        ("generate --count 1 -o y.npy --save-rectangles", "r.npy r r.json", ".safetensors file", 1),
        ("diffuse -i x.npy --device cpu -o", "y.png y.jpg y.csv y", ".npy file", 1),
        ("restore -i x.npy --device cpu -o", "y.tiff y.mat y", ".npy file", 1),
        (
            "restore -i x.npy -o y.npy --method wiener --device cpu --uncertainty-map",
            "m.png m.tif m",
            ".npy file",
            1,
        ),
        ("diffuse -i a.png --device cpu -o", "y.npy y.gif y.webp y.bmp y.pdf y", ".png", 1),
        ("invert -i x.npy --device cpu -o", "y.png y.safetensors y", ".npy file", 1),
        ("invert -i x.npy -o y.npy --device cpu --diagnostics", "d.npy d.png d", ".safetensors file", 1),
        (&format!("{reconstruct}.npy -i x.npy --report"), "r.jpg r.pdf r.npy r.svg r", ".png file", 1),
        (&format!("{reconstruct}.png -i a.png --report"), "r.jpg r.tif r", ".png file", 1),
        (&format!("{train} --save-gradients"), "g.npy g.pt g", "safetensors", 2),
        ("bench --batch 2 --size 16x16 --device cpu -o", "r.svg r.jpg r", ".png file", 1),
        // Standard output is for results alone.
        ("generate --count 1 -o y.npy --save-rectangles", "-", "name a file", 2),
        ("reconstruct -i x.npy -o y.npy --weights", "-", "cannot be read from standard input", 2),
        (&format!("{reconstruct}.npy -i x.npy --report"), "-", "cannot be written to standard output", 2),
        ("train --device cpu --data", "-", "cannot be read from standard input", 2),
        ("train --device cpu -o", "-", "cannot be written to standard output", 2),
        ("bench --device cpu -o", "-", "cannot be written to standard output", 2),
    ] {
        for name in names.split(' ') {
            let said = desk.run(&format!("{line} {name}"), code);
            assert!(said.contains(expected), "{line} {name}: {said}");
            assert!(!desk.path(name).is_file() && !desk.path("new").exists(), "{line} {name}");
            tried += 1;
        }
    }
    desk.run("generate --count 1 --size 16x16 -o UPPER.NPY", 0);
    println!("torture: {tried} names that say something else than is written are refused");
}
