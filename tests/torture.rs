//! What befalls a run from outside: it is killed, the disk is full, its folder is read-only or gone. Nothing
//! is lost but the steps since the last checkpoint, and those are computed again, byte for byte.
//!
//! Short versions; `scripts/torture` asks for long ones through the variables named below.

mod support;

use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};
use support::runs::{TINY, assert_same, files, rows, run, said, start, succeed, wait_for_rows};
use tempfile::tempdir;
use unheat::io::arrays::checkpoint;
use unheat::model::rng::{Purpose, Random};

const CHECKPOINTS: [&str; 2] = ["checkpoint.safetensors", "checkpoint.previous.safetensors"];

/// A count from the environment.
fn count(variable: &str, usual: u64) -> u64 {
    std::env::var(variable).map_or(usual, |text| text.parse().expect("a number"))
}

/// Kills runs at random moments until there were `kills`; whoever has a folder goes on, who has none starts
/// again.
fn killed_at_random(device: &str, steps: u64, kills: u64) {
    let root = tempdir().unwrap();
    let whole = root.path().join("whole");
    let flags =
        format!("{TINY} --device {device} --steps {steps} --checkpoint-every 1 --validate-every 7 --jsonl");
    let began = Instant::now();
    succeed(&format!("{flags} -o {}", whole.display()));
    let duration = began.elapsed();

    let mut random = Random::new(Purpose::Cases, kills, 0, 0);
    let (mut done, mut read, mut without_folder, mut runs) = (0, 0, 0, 0);
    while done < kills {
        let folder = root.path().join(format!("broken-{runs}"));
        runs += 1;
        let mut child = start(&format!("{flags} -o {}", folder.display()));
        loop {
            let pause = duration.mul_f64(0.7 * random.uniform());
            let began = Instant::now();
            while done < kills && began.elapsed() < pause && child.try_wait().unwrap().is_none() {
                std::thread::sleep(Duration::from_micros(300));
            }
            if done == kills || child.try_wait().unwrap().is_some() {
                break;
            }
            child.kill().unwrap(); // SIGKILL where there are signals
            child.wait().unwrap();
            done += 1;
            for path in CHECKPOINTS.map(|name| folder.join(name)).iter().filter(|path| path.exists()) {
                checkpoint::read(path).unwrap_or_else(|error| panic!("kill {done}: {error}"));
                read += 1;
            }
            without_folder += u64::from(!folder.exists());
            let target = folder.display();
            child = match folder.exists() {
                true => start(&format!("--resume {target} --no-tune --no-self-test")),
                false => start(&format!("{flags} -o {target}")),
            };
        }
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "after kill {done}: {}", said(&output));
        assert_same(&whole, &folder);
        std::fs::remove_dir_all(&folder).unwrap();
    }
    println!(
        "torture: {device}: {kills} kills in {runs} runs of {steps} steps \
         ({without_folder} before there was a folder): \
         {read} checkpoints read, 0 unreadable, final files byte-identical"
    );
}

#[test]
fn kills_at_random_moments_cost_nothing_on_the_cpu() {
    killed_at_random("cpu", count("UNHEAT_KILL_STEPS", 40), count("UNHEAT_KILLS", 5));
}

#[test]
fn kills_at_random_moments_cost_nothing_on_a_gpu() {
    killed_at_random("0", count("UNHEAT_KILL_STEPS", 40), count("UNHEAT_KILLS_GPU", 2));
}

/// One line that says what and, where the folder is still there, how to go on; exit code 1; and a good
/// checkpoint.
#[track_caller]
fn assert_stopped(output: &Output, folder: &Path, step: Option<u64>, expected: &str) {
    let said = said(output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let lines: Vec<&str> = said.lines().filter(|line| line.starts_with("unheat: ")).collect();
    assert!(lines.len() == 1 && lines[0].contains(expected), "{said}");
    let Some(step) = step else { return };
    assert!(lines[0].contains(&format!("unheat train --resume {}", folder.display())), "{said}");
    let found = CHECKPOINTS.map(|name| checkpoint::read(&folder.join(name)).map(|found| found.step));
    assert!(found.iter().flatten().any(|&found| found >= step), "{found:?}");
}

/// A limit on the size of files stands for a full disk: both make a write fail in the middle.
#[cfg(unix)]
#[test]
fn a_disk_that_fills_up_loses_nothing() {
    let root = tempdir().unwrap();
    let [whole, broken] = ["whole", "broken"].map(|name| root.path().join(name));
    let flags = format!("{TINY} --device cpu --checkpoint-every 2");
    succeed(&format!("{flags} --steps 12 -o {}", whole.display()));
    succeed(&format!("{flags} --steps 4 -o {}", broken.display()));
    let size = std::fs::metadata(broken.join(CHECKPOINTS[0])).unwrap().len();
    for blocks in [1, size / 1024] {
        let limited = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" train \"$@\"");
        let output = std::process::Command::new("sh")
            .args(["-c", &limited, env!("CARGO_BIN_EXE_unheat"), "--resume"])
            .arg(&broken)
            .args(["--steps", "12"])
            .output()
            .unwrap();
        // With the smaller limit it cannot even begin.
        assert_stopped(&output, &broken, Some(4).filter(|_| blocks > 1), "cannot write");
    }
    succeed(&format!("--resume {} --steps 12", broken.display()));
    assert_same(&whole, &broken);
}

/// A real full disk: a small file system in memory, which only root can mount.
#[cfg(target_os = "linux")]
#[test]
#[ignore = "mounts a tmpfs, which needs root: scripts/torture runs it"]
fn a_full_file_system_loses_nothing() {
    let root = tempdir().unwrap();
    let [whole, small] = ["whole", "small"].map(|name| root.path().join(name));
    let flags = format!("{TINY} --device cpu --steps 40 --checkpoint-every 1");
    succeed(&format!("{flags} -o {}", whole.display()));
    std::fs::create_dir(&small).unwrap();
    let run = |program: &str, arguments: &[&str]| {
        let status = std::process::Command::new(program).args(arguments).arg(&small).status().unwrap();
        assert!(status.success(), "{program} {arguments:?}");
    };
    run("mount", &["-t", "tmpfs", "-o", "size=2m", "tmpfs"]);
    struct Unmount<'a>(&'a Path);
    impl Drop for Unmount<'_> {
        fn drop(&mut self) {
            let _ = std::process::Command::new("umount").arg(self.0).status();
        }
    }
    let _unmount = Unmount(&small);
    let folder = small.join("run");
    let size: u64 = CHECKPOINTS[..1].iter().map(|name| whole.join(name).metadata().unwrap().len()).sum();
    // Room for two checkpoints, but not for a third beside them.
    let filler = small.join("filler");
    std::fs::write(&filler, vec![1; ((2 << 20) - 5 * size / 2 - (60 << 10)) as usize]).unwrap();
    let output = self::run(&format!("{flags} -o {}", folder.display()));
    assert_stopped(&output, &folder, Some(1), "cannot write");
    assert!(said(&output).contains("No space left"), "{}", said(&output));
    let output = self::run(&format!("--resume {}", folder.display()));
    assert_stopped(&output, &folder, Some(1), "cannot write");
    std::fs::remove_file(&filler).unwrap();
    succeed(&format!("--resume {}", folder.display()));
    assert_same(&whole, &folder);
    println!("torture: full tmpfs: 2 runs stopped by it, the third ended byte-identical");
}

#[cfg(unix)]
#[test]
fn a_read_only_folder_gets_one_line_and_stays_as_it_is() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::os::unix::process::CommandExt;
    let root = tempdir().unwrap();
    let [whole, broken, program] = ["whole", "broken", "unheat"].map(|name| root.path().join(name));
    let flags = format!("{TINY} --device cpu");
    succeed(&format!("{flags} --steps 6 -o {}", whole.display()));
    succeed(&format!("{flags} --steps 3 -o {}", broken.display()));
    let before = files(&broken);
    let allow = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    std::fs::copy(env!("CARGO_BIN_EXE_unheat"), &program).unwrap(); // where everybody may run it
    allow(root.path(), 0o755);
    allow(&broken, 0o555);
    let is_root = root.path().metadata().unwrap().uid() == 0;
    for arguments in
        [format!("--resume {} --steps 6", broken.display()), format!("{flags} -o {}/new", broken.display())]
    {
        let mut command = std::process::Command::new(&program);
        command.arg("train").args(arguments.split(' '));
        if is_root {
            command.uid(65534).gid(65534); // nobody: permissions do not hold root back
        }
        let output = command.output().unwrap();
        assert_stopped(&output, &broken, None, "Permission denied");
    }
    allow(&broken, 0o755);
    assert!(files(&broken) == before);
    succeed(&format!("--resume {} --steps 6", broken.display()));
    assert_same(&whole, &broken);
}

#[test]
fn a_folder_deleted_under_the_run_gets_one_line() {
    let root = tempdir().unwrap();
    let folder = root.path().join("run");
    let flags = format!("{TINY} --device cpu --steps 1000000 --checkpoint-every 10");
    let mut child = start(&format!("{flags} -o {}", folder.display()));
    wait_for_rows(&mut child, &folder, 15);
    let began = Instant::now();
    while std::fs::remove_dir_all(&folder).is_err() && folder.exists() {
        assert!(began.elapsed() < Duration::from_secs(20), "the folder cannot be deleted");
    }
    let output = child.wait_with_output().unwrap();
    assert_stopped(&output, &folder, None, "checkpoint.safetensors");
    assert!(!folder.exists(), "what was deleted does not come back");
}

/// Resident memory of a process in KiB, where the system tells.
#[cfg(target_os = "linux")]
fn resident(id: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    text.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.trim().parse().ok())
}

/// Memory after a tenth of the run and at its end; and what a step takes in the second and the last tenth:
/// the lower quartile, which other work on the machine changes least.
#[cfg(target_os = "linux")]
fn long_run(device: &str, steps: u64) {
    let root = tempdir().unwrap();
    let folder = root.path().join("run");
    let flags = format!("{TINY} --device {device} --steps {steps} --checkpoint-every {}", steps / 20);
    let mut child = start(&format!("{flags} -o {}", folder.display()));
    let (mut early, mut late) = (None, 0);
    while child.try_wait().unwrap().is_none() {
        let done = rows(&folder) as u64;
        if let Some(memory) = resident(child.id()).filter(|_| done >= steps / 10 && done < steps) {
            early.get_or_insert(memory);
            late = memory;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(child.wait_with_output().unwrap().status.success());
    let seconds: Vec<f64> = unheat::io::tables::metrics::read(&folder.join("metrics.csv"))
        .unwrap()
        .windows(2)
        .map(|pair| pair[1].seconds - pair[0].seconds)
        .collect();
    let tenth = seconds.len() / 10;
    let quartile = |part: &[f64]| {
        let mut part = part.to_vec();
        part.sort_by(f64::total_cmp);
        part[part.len() / 4]
    };
    let (first, last) = (quartile(&seconds[tenth..2 * tenth]), quartile(&seconds[9 * tenth..]));
    let early = early.expect("the run was seen");
    println!(
        "torture: {device}: {steps} steps: resident memory {early} KiB after a tenth, {late} KiB at the end; \
         {:.3} ms per step in the second tenth, {:.3} ms in the last",
        1e3 * first,
        1e3 * last
    );
    // A byte per step and sample would show: rows are kept for the curves, 64 bytes a step.
    assert!(late <= early + 2048 + steps / 8, "{early} KiB became {late} KiB");
    // Losses of a GPU come many at a time, microseconds apart: only more than that is a step's own time.
    assert!(last < 2.0 * first + 1e-4, "steps slow down: {first} s, {last} s");
}

#[cfg(target_os = "linux")]
#[test]
fn a_long_run_neither_grows_nor_slows_down() {
    long_run("cpu", count("UNHEAT_LONG_STEPS", 300));
    long_run("0", count("UNHEAT_LONG_STEPS", 300));
}
