//! Memory that is limited (`ulimit -v`): whatever the limit, a command does its work or says in one line that
//! it cannot, before it begins. It never aborts.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Output};
use tempfile::tempdir;
use unheat::io::arrays::npy::{self, FieldData, Fields};

const NET: &str = "--batch 2 --size 16x16 --levels 2 --filters 8 --device cpu --steps 1";

/// Runs with this many KiB of addresses.
fn limited(root: &Path, kib: u64, arguments: &str) -> Output {
    let line = format!("ulimit -v {kib}; exec {} {arguments}", env!("CARGO_BIN_EXE_unheat"));
    let mut command = Command::new("sh");
    // What threads and their arenas reserve differs from machine to machine.
    command.args(["-c", &line]).env("RAYON_NUM_THREADS", "1").env("MALLOC_ARENA_MAX", "1");
    command.current_dir(root).output().unwrap()
}

/// The least limit in MiB, of steps of 8, with which this succeeds.
fn least(root: &Path, arguments: &str) -> u64 {
    let (mut low, mut high) = (1, 128);
    while low + 1 < high {
        let middle = (low + high) / 2;
        let does = limited(root, middle << 13, arguments).status.success();
        (low, high) = if does { (low, middle) } else { (middle, high) };
    }
    8 * high
}

#[test]
fn a_limit_on_memory_gets_a_line_and_never_an_abort() {
    let root = tempdir().unwrap();
    let root = root.path();
    let draw = |name: &str, width: u32, height: u32| {
        let pixel = |x: u32, y: u32| image::Rgb([(x * 7 + y) as u8, (y * 5) as u8, (x * y % 251) as u8]);
        image::RgbImage::from_fn(width, height, pixel).save(root.join(name)).unwrap();
    };
    for folder in ["small", "large"] {
        std::fs::create_dir(root.join(folder)).unwrap();
    }
    draw("small.png", 16, 16);
    draw("large.png", 700, 600);
    draw("large.webp", 700, 600);
    draw("large.tif", 700, 600);
    let grey = image::GrayImage::from_fn(500, 400, |x, y| image::Luma([(x * y % 251) as u8]));
    grey.save(root.join("grey.png")).unwrap();
    for i in 0..4 {
        draw(&format!("small/{i}.png"), 16, 16);
        draw(&format!("large/{i}.png"), 1200, 1000);
    }
    for (name, count) in [("small.npy", 2), ("some.npy", 2000), ("large.npy", 20_000)] {
        let data = FieldData::F32((0..count * 256).map(|i| (i % 97) as f32 / 97.0).collect());
        npy::write(&root.join(name), &Fields { shape: [count, 16, 16], data, rank2: false }).unwrap();
    }
    assert!(limited(root, 4 << 20, &format!("train {NET} --no-self-test -o run")).status.success());
    for (command, sizes) in [
        ("diffuse -o y.png --device cpu -i", ["small.png", "large.png"]),
        ("diffuse -o y.png --device cpu -i", ["small.png", "large.webp"]),
        ("restore --method wiener -o y.png --device cpu -i", ["small.png", "large.tif"]),
        ("restore --method tv --iterations 1 -o y.png --device cpu -i", ["small.png", "grey.png"]),
        ("reconstruct --weights run/weights.safetensors -o y.png --device cpu -i", ["small.png", "grey.png"]),
        ("diffuse -o y.npy --device cpu -i", ["small.npy", "large.npy"]),
        ("restore --method one-shot -o y.npy --device cpu -i", ["small.npy", "large.npy"]),
        ("invert -o y.npy --device cpu -i", ["small.npy", "large.npy"]),
        (
            "reconstruct --batch 9 --weights run/weights.safetensors -o y.npy --device cpu -i",
            ["small.npy", "some.npy"],
        ),
        ("generate --size 64x64 -o y.npy --device cpu --count", ["2", "2000"]),
        ("bench --device cpu --steps 1 --batch", ["1", "100"]),
        ("train {NET} -o RUN --data", ["small", "large"]),
        ("train {NET} -o RUN --data", ["small.npy", "large.npy"]),
        ("train {NET} -o RUN --observations", ["small.npy", "large.npy"]),
        ("train {NET} -o RUN --validate-every 1 --validation-data", ["small.npy", "some.npy"]),
    ] {
        // A folder for each try.
        let with =
            |size: &str| format!("{} {size}", command.replace("{NET}", NET).replace("RUN", "limited-$$"));
        let [small, large] = sizes;
        let base = least(root, &with(small));
        let (mut refused, mut done) = (0, 0);
        // In ever longer steps from what the program itself takes.
        for extra in [0, 8, 24, 60, 120, 800] {
            let output = limited(root, (base + extra) << 10, &with(large));
            let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.signal(), None, "{command} {large}, {base} + {extra} MiB: {stderr}");
            if output.status.success() {
                done += 1;
                continue;
            }
            refused += 1;
            let code = output.status.code();
            // Of a folder it may leave out only those for which there is no room, and say so of each.
            let is_expected = matches!(code, Some(1 | 2)) || (large == "large" && code == Some(4));
            assert!(is_expected, "{command} {large}, {base} + {extra} MiB: {code:?} {stderr}");
            let lines: Vec<_> = stderr.lines().filter(|line| line.starts_with("unheat: ")).collect();
            let line = lines.last().copied().unwrap_or_default();
            assert!(line.contains("available") || line.contains("are free"), "{command} {large}: {stderr}");
        }
        assert!(refused > 0 && done > 0, "{command} {large} from {base} MiB: {refused} refused, {done} done");
        println!("torture: limited memory: {command} {large}: {refused} refused, {done} done");
    }
}
