//! Training that stops and goes on: whatever ends a run, the same files come out of it, byte for byte.

use crate::support::runs::{
    LONG, SMALL, assert_same, files, refused, rows, run, said, start, succeed, wait_for_rows,
};
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};
use tempfile::tempdir;

/// The seconds of metrics.csv only grow.
fn assert_time_goes_on(folder: &Path) {
    let rows = unheat::io::tables::metrics::read(&folder.join("metrics.csv")).unwrap();
    assert!(rows.windows(2).all(|pair| pair[0].seconds <= pair[1].seconds));
    assert!(rows.iter().enumerate().all(|(i, row)| row.step == i as u64));
}

/// metrics.jsonl says what metrics.csv says.
#[track_caller]
fn assert_json_is_the_table(folder: &Path) {
    let rows = unheat::io::tables::metrics::read(&folder.join("metrics.csv")).unwrap();
    let text = std::fs::read_to_string(folder.join("metrics.jsonl")).unwrap();
    let expected: String = rows.iter().map(|row| serde_json::to_string(row).unwrap() + "\n").collect();
    assert_eq!(text, expected);
}

/// Asked for late, it holds the steps before as well; then it stays.
#[test]
fn json_lines_hold_every_step_once() {
    let root = tempdir().unwrap();
    let folder = root.path().join("run");
    succeed(&format!("{SMALL} --device cpu --steps 2 -o {}", folder.display()));
    assert!(!folder.join("metrics.jsonl").exists());
    for (flags, steps) in [("--steps 4 --jsonl", 4), ("--steps 5", 5)] {
        succeed(&format!("--resume {} --no-tune --no-self-test {flags}", folder.display()));
        assert_eq!(rows(&folder), steps);
        assert_json_is_the_table(&folder);
    }
}

fn killed_and_resumed(device: &str, steps: u64) {
    let root = tempdir().unwrap();
    let (whole, broken) = (root.path().join("whole"), root.path().join("broken"));
    let flags = format!(
        "{SMALL} --device {device} --steps {steps} --checkpoint-every 4 --validate-every 3 \
         --lr-schedule cosine --jsonl"
    );
    succeed(&format!("{flags} -o {}", whole.display()));

    let mut child = start(&format!("{flags} -o {}", broken.display()));
    for kill in 0..3 {
        wait_for_rows(&mut child, &broken, rows(&broken).max(kill * 2) + 5);
        child.kill().unwrap(); // SIGKILL where there are signals
        child.wait().unwrap();
        std::fs::write(broken.join(".unheat-leftover.part"), "half a file").unwrap();
        child = start(&format!("--resume {} --no-tune --no-self-test", broken.display()));
    }
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("going on after step"), "{}", said(&output));
    assert_same(&whole, &broken);
    assert_time_goes_on(&broken);
    assert_json_is_the_table(&broken);
}

#[test]
fn a_killed_run_goes_on_as_if_nothing_had_happened_on_the_cpu() {
    killed_and_resumed("cpu", 400);
}

#[test]
fn a_killed_run_goes_on_as_if_nothing_had_happened_on_a_gpu() {
    killed_and_resumed("0", 100);
}

/// In 16 bits the stored activations have pivots that follow the running statistics; they too must be
/// restored.
#[test]
fn every_storage_and_method_goes_on() {
    let root = tempdir().unwrap();
    for (i, flags) in ["--device 0 --activations f16", "--device 0 --method gd", "--device cpu --physics f64"]
        .iter()
        .enumerate()
    {
        let (whole, extended) =
            (root.path().join(format!("whole-{i}")), root.path().join(format!("extended-{i}")));
        let output = run(&format!("{SMALL} {flags} --steps 7 -o {}", whole.display()));
        if !output.status.success() && said(&output).contains("--activations f32") {
            continue; // this adapter has no 16-bit floats
        }
        assert!(output.status.success(), "{}", said(&output));
        succeed(&format!("{SMALL} {flags} --steps 3 -o {}", extended.display()));
        succeed(&format!("--resume {} --steps 7 --no-tune --no-self-test", extended.display()));
        assert_same(&whole, &extended);
    }
}

#[test]
fn data_goes_on_where_it_was() {
    let root = tempdir().unwrap();
    let data = root.path().join("x.npy");
    let fields = (0..7 * 256).map(|i| f64::from(i % 97) / 97.0).collect();
    let fields = unheat::io::arrays::npy::FieldData::F64(fields);
    unheat::io::arrays::npy::write(
        &data,
        &unheat::io::arrays::npy::Fields { shape: [7, 16, 16], data: fields, rank2: false },
    )
    .unwrap();
    let flags = format!("{SMALL} --device cpu --data {} --shuffle", data.display());
    let (whole, extended) = (root.path().join("whole"), root.path().join("extended"));
    succeed(&format!("{flags} --steps 9 -o {}", whole.display()));
    succeed(&format!("{flags} --steps 5 -o {}", extended.display()));
    succeed(&format!("--resume {} --steps 9", extended.display()));
    assert_same(&whole, &extended);
}

#[test]
fn validation_changes_nothing_in_training_and_keeps_the_best() {
    let root = tempdir().unwrap();
    let mut firsts = Vec::new();
    for device in ["cpu", "0"] {
        let (without, with) =
            (root.path().join(format!("{device}-a")), root.path().join(format!("{device}-b")));
        let flags = format!("{SMALL} --device {device} --steps 9 --lr 0.01");
        succeed(&format!("{flags} -o {}", without.display()));
        let said = succeed(&format!("{flags} --validate-every 2 -o {}", with.display()));
        assert!(said.contains("held-out fields after 8 steps"), "{said}");
        for name in ["metrics.csv", "weights.safetensors", "reconstruction.png"] {
            let content = |folder| files(folder).into_iter().find(|file| file.0 == name).unwrap().1;
            assert!(content(&without) == content(&with), "{name}");
        }
        let rows = unheat::io::tables::validation::read(&with.join("validation.csv")).unwrap();
        assert_eq!(rows.iter().map(|row| row.step).collect::<Vec<_>>(), [2, 4, 6, 8]);
        assert!(rows.iter().all(|row| row.x_l2_mean > row.y_l2_mean && row.y_l2_mean > 0.0), "P contracts");
        firsts.push(rows[0]);
        let best = rows.iter().min_by(|a, b| a.x_l2_mean.total_cmp(&b.x_l2_mean)).unwrap();
        let (_, state) = unheat::io::arrays::weights::read(&with.join("weights.best.safetensors")).unwrap();
        assert_eq!(state.batches_tracked as u64, best.step);
    }
    let relative = |a: f64, b: f64| (a / b - 1.0).abs();
    assert!(relative(firsts[0].x_l2_mean, firsts[1].x_l2_mean) < 1e-3, "{firsts:?}");
    assert!(relative(firsts[0].y_l2_mean, firsts[1].y_l2_mean) < 1e-3, "{firsts:?}");

    let x = root.path().join("x.npy");
    let fields = unheat::io::arrays::npy::FieldData::F64((0..3 * 256).map(|i| f64::from(i % 7)).collect());
    unheat::io::arrays::npy::write(
        &x,
        &unheat::io::arrays::npy::Fields { shape: [3, 16, 16], data: fields, rank2: false },
    )
    .unwrap();
    let flags = format!("{SMALL} --device cpu --steps 2 --validate-every 1 --data {}", x.display());
    let folder = root.path().join("file");
    refused(&format!("{flags} -o {}", folder.display()), 2, "--validation-data");
    succeed(&format!("{flags} --validation-data {} -o {}", x.display(), folder.display()));
    assert!(folder.join("weights.best.safetensors").exists());
}

#[cfg(unix)]
fn interrupt(child: &Child, signal: &str) {
    assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
}

#[cfg(unix)]
#[test]
fn a_signal_saves_and_says_how_to_go_on() {
    let root = tempdir().unwrap();
    let (whole, broken) = (root.path().join("whole"), root.path().join("broken"));
    let flags = format!("{SMALL} --device cpu --steps {LONG} --checkpoint-every 0");
    succeed(&format!("{flags} -o {}", whole.display()));
    let mut child = start(&format!("{flags} -o {}", broken.display()));
    for (signal, count) in [("-INT", 3), ("-TERM", 40)] {
        wait_for_rows(&mut child, &broken, count);
        interrupt(&child, signal);
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(130), "{}", said(&output));
        assert!(said(&output).contains(&format!("unheat train --resume {}", broken.display())));
        assert!(broken.join("weights.safetensors").exists() && rows(&broken) < LONG);
        child = start(&format!("--resume {}", broken.display()));
    }
    assert!(child.wait().unwrap().success());
    assert_same(&whole, &broken);
}

#[cfg(unix)]
#[test]
fn a_second_signal_ends_at_once() {
    // Steps of a second or more: the first signal, in the middle of one, would wait for its end. On a GPU
    // none is so long.
    let flags = "--batch 4 --no-tune --no-self-test --steps 5";
    let mut slow = vec!["--device cpu --size 512x512"];
    let is_software = crate::support::adapters()[0].get_info().device_type == wgpu::DeviceType::Cpu;
    slow.extend(is_software.then_some("--device 0 --size 128x128"));
    for device in slow {
        let root = tempdir().unwrap();
        let folder = root.path().join("run");
        let mut child = start(&format!("{flags} {device} -o {}", folder.display()));
        wait_for_rows(&mut child, &folder, 1);
        std::thread::sleep(Duration::from_millis(100));
        interrupt(&child, "-INT");
        std::thread::sleep(Duration::from_millis(50));
        let start = Instant::now();
        interrupt(&child, "-INT");
        assert_eq!(child.wait().unwrap().code(), Some(130), "{device}");
        // The system may let threads of llvmpipe end what they compute.
        let limit = Duration::from_secs(if device.contains("cpu") { 1 } else { 10 });
        assert!(start.elapsed() < limit, "{device}: {:?}", start.elapsed());
        let saved = unheat::io::arrays::checkpoint::read(&folder.join("checkpoint.safetensors")).unwrap();
        assert_eq!(saved.step, 0, "{device}: ended, not finished");
    }
}

#[test]
fn a_finished_run_says_so_and_a_folder_without_checkpoint_starts_again() {
    let root = tempdir().unwrap();
    let folder = root.path().join("run");
    succeed(&format!("{SMALL} --device cpu --steps 3 -o {}", folder.display()));
    let before = files(&folder);
    let resume = format!("--resume {}", folder.display());
    let said = succeed(&resume);
    assert!(said.lines().count() == 1 && said.contains("all 3 steps are done"), "{said}");
    succeed(&format!("{resume} --steps 3 --seed 3 --lr 1e-3"));
    assert!(files(&folder) == before);

    std::fs::remove_file(folder.join("checkpoint.safetensors")).unwrap();
    std::fs::write(folder.join("metrics.csv"), "rubbish").unwrap();
    succeed(&resume);
    assert!(files(&folder) == before);
}

#[test]
fn contradictions_and_damage_get_one_line_and_lose_nothing() {
    let root = tempdir().unwrap();
    let folder = root.path().join("run");
    succeed(&format!("{SMALL} --device cpu --steps 6 --checkpoint-every 2 -o {}", folder.display()));
    let before = files(&folder);
    let resume = format!("--resume {}", folder.display());
    for (flags, expected) in [
        ("--lr 0.01", "lr 0.01: the run in"),
        ("--lr-decay 0.5", "has none"),
        ("--batch 3 --steps 9", "leave --batch out"),
        ("--method gd", "method \"gd\""),
        ("--validate-every 3", "validate-every 3"),
        ("--steps 5", "has done 6 already"),
    ] {
        refused(&format!("{resume} {flags}"), 2, expected);
    }
    refused(&format!("--resume {}", root.path().display()), 2, "no config.toml");
    assert_eq!(run(&format!("{resume} -o elsewhere")).status.code(), Some(2));

    let path = folder.join("config.toml");
    let config = std::fs::read_to_string(&path).unwrap();
    let more = format!("{resume} --steps 9");
    std::fs::write(&path, config.replace("lr = 0.001", "lr = 0.002")).unwrap();
    refused(&more, 1, "lr is 0.002, but the checkpoint was made with 0.001");
    std::fs::write(&path, config.replace("steps = 6", "stepps = 6")).unwrap();
    refused(&more, 1, "do you mean `steps`");
    std::fs::write(&path, &config).unwrap();

    let metrics = folder.join("metrics.csv");
    let text = std::fs::read_to_string(&metrics).unwrap();
    std::fs::write(&metrics, text.replace("\n3,", "\n33,")).unwrap();
    refused(&more, 1, "metrics.csv: step 3");
    std::fs::write(&metrics, &text).unwrap();

    let checkpoint = folder.join("checkpoint.safetensors");
    let mut bytes = std::fs::read(&checkpoint).unwrap();
    *bytes.last_mut().unwrap() ^= 4;
    std::fs::write(&checkpoint, &bytes).unwrap();
    refused(&more, 1, "the checksum is wrong");
    *bytes.last_mut().unwrap() ^= 4;
    std::fs::write(&checkpoint, &bytes).unwrap();
    assert!(files(&folder) == before);
}

#[test]
fn a_damaged_checkpoint_costs_one_interval() {
    let root = tempdir().unwrap();
    let (whole, broken) = (root.path().join("whole"), root.path().join("broken"));
    let flags = format!("{SMALL} --device cpu --checkpoint-every 100 --steps {LONG}");
    succeed(&format!("{flags} -o {}", whole.display()));
    let mut child = start(&format!("{flags} -o {}", broken.display()));
    wait_for_rows(&mut child, &broken, 250);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(broken.join("checkpoint.previous.safetensors").exists());
    let checkpoint = broken.join("checkpoint.safetensors");
    let bytes = std::fs::read(&checkpoint).unwrap();
    std::fs::write(&checkpoint, &bytes[..bytes.len() / 2]).unwrap();
    let said = succeed(&format!("--resume {}", broken.display()));
    assert!(said.contains("going on from") && said.contains("previous"), "{said}");
    assert_same(&whole, &broken);
}

/// The checkpoint holds weights whose loss is not finite, which nobody knows yet; and the last good ones.
#[test]
fn a_run_that_fails_after_its_checkpoint_leaves_the_same_good_weights() {
    let root = tempdir().unwrap();
    for device in ["cpu", "0"] {
        let [whole, resumed] = ["whole", "resumed"].map(|name| root.path().join(format!("{name}-{device}")));
        for (folder, every) in [(&whole, 0), (&resumed, 1)] {
            let flags = format!("--device {device} --steps 5 --lr 1e30 --checkpoint-every {every}");
            refused(&format!("{SMALL} {flags} -o {}", folder.display()), 5, "not finite");
        }
        let weights = |folder: &Path| std::fs::read(folder.join("weights.safetensors")).unwrap();
        assert!(resumed.join("checkpoint.safetensors").exists());
        std::fs::remove_file(resumed.join("weights.safetensors")).unwrap();
        refused(&format!("--resume {} --no-tune --no-self-test", resumed.display()), 5, "not finite");
        assert!(weights(&whole) == weights(&resumed));
        assert_eq!(rows(&whole), rows(&resumed));
    }
}

#[test]
fn one_process_owns_a_folder() {
    let root = tempdir().unwrap();
    let folder = root.path().join("run");
    let mut child = start(&format!("{SMALL} --device cpu --steps 1000000 -o {}", folder.display()));
    wait_for_rows(&mut child, &folder, 1);
    refused(&format!("--resume {}", folder.display()), 2, "another process");
    child.kill().unwrap();
    child.wait().unwrap();
    // The dead process has left no lock: this is refused for another reason.
    refused(&format!("--resume {} --lr 7", folder.display()), 2, "lr 7");
}

#[test]
fn a_run_is_reproduced_by_the_file_it_leaves() {
    let root = tempdir().unwrap();
    let (first, second, third) = (root.path().join("1"), root.path().join("2"), root.path().join("3"));
    let flags =
        "--steps 4 --lr 0.002 --lr-schedule step --lr-decay-every 2 --amount 2 --padding zero --device cpu";
    succeed(&format!("{SMALL} {flags} -o {}", first.display()));
    let config = first.join("config.toml");
    succeed(&format!("--config {} -o {}", config.display(), second.display()));
    assert_same(&first, &second);

    // A flag comes before the file, the file before the default.
    let mut text = std::fs::read_to_string(&config).unwrap();
    text.push_str(&format!("output = {:?}\nno_tune = true\n", third.to_str().unwrap()));
    let file = root.path().join("run.toml");
    std::fs::write(&file, &text).unwrap();
    succeed(&format!("--config {} --lr 0.004", file.display()));
    let third = std::fs::read_to_string(third.join("config.toml")).unwrap();
    assert_eq!(third, std::fs::read_to_string(&config).unwrap().replace("lr = 0.002", "lr = 0.004"));

    std::fs::write(&file, "lr_sched = \"step\"").unwrap();
    refused(&format!("--config {}", file.display()), 1, "do you mean `lr_schedule`?");
    std::fs::write(&file, "no_tune = 3").unwrap();
    refused(&format!("--config {}", file.display()), 1, "must be true or false");
    refused("--config none.toml", 1, "cannot read");
}
