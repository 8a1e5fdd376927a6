//! `unheat sweep`: what it leaves, and that nothing is computed twice or lost, whoever is killed.

use crate::support::runs::{LONG, TINY, assert_same, rows};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::tempdir;

fn unheat(line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_unheat"));
    command.args(line.split_whitespace()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}

#[track_caller]
fn run(line: &str, code: i32) -> String {
    let output = unheat(line).output().unwrap();
    let told = told(&output);
    assert_eq!(output.status.code(), Some(code), "{line}: {told}");
    told
}

/// Small, without the seed of [`TINY`].
fn tiny() -> String {
    format!("{} --device cpu", TINY.replace(" --seed 3", ""))
}

/// The cells of a line, of which some are in quotes.
fn cells(line: &str) -> Vec<String> {
    let (mut cells, mut quoted) = (vec![String::new()], false);
    for letter in line.chars() {
        match letter {
            '"' => quoted = !quoted,
            ',' if !quoted => cells.push(String::new()),
            letter => cells.last_mut().unwrap().push(letter),
        }
    }
    cells
}

/// The table, by column.
fn table(folder: &Path) -> BTreeMap<String, Vec<String>> {
    let text = std::fs::read_to_string(folder.join("sweep.csv")).unwrap();
    let mut lines = text.lines().map(cells);
    let names = lines.next().unwrap();
    let rows: Vec<Vec<String>> = lines.collect();
    let column = |i: usize| rows.iter().map(|row| row[i].clone()).collect();
    names.into_iter().enumerate().map(|(i, name)| (name, column(i))).collect()
}

fn without_times(folder: &Path) -> BTreeMap<String, Vec<String>> {
    let mut table = table(folder);
    table.remove("seconds");
    table
}

fn in_runs(folder: &Path, name: &str) -> PathBuf {
    folder.join("runs").join(name)
}

/// Waits until this holds.
#[track_caller]
fn wait(what: &str, is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(120), "{what} never came");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_sweep_trains_every_combination_as_train_does_and_reports() {
    let root = tempdir().unwrap();
    let folder = root.path().join("s");
    let settings = "--lr 1e-3,3e-3,1e-2 --method sip,gd,supervised --seed 0,1 --steps 12";
    let line = format!("sweep {} {settings} --jobs 2 -o {}", tiny(), folder.display());
    let said = run(&line, 0);
    assert!(said.contains("The best settings are ") && said.contains("18 done"), "{said}");

    let table = table(&folder);
    assert!(table["outcome"].iter().all(|outcome| outcome == "done"));
    assert!(table["steps_done"].iter().all(|steps| steps == "12"));
    assert_eq!(table["seed"], ["0", "1"].repeat(9));
    for (i, loss) in table["loss"].iter().enumerate() {
        let metrics =
            std::fs::read_to_string(in_runs(&folder, &format!("{:03}/metrics.csv", i + 1))).unwrap();
        let x_loss = |line: &str| line.split(',').nth(2).unwrap().parse::<f64>().unwrap();
        let last: Vec<f64> = metrics.lines().rev().take(2).map(x_loss).collect();
        let mean = 0.5 * (last[0] + last[1]);
        assert!((loss.parse::<f64>().unwrap() - mean).abs() <= 1e-12 * mean, "run {}: {loss}", i + 1);
    }
    let html = std::fs::read_to_string(folder.join("report.html")).unwrap();
    assert_eq!(html.matches("src=\"data:image/png;base64,").count(), 2);
    for words in ["method sip, lr 0.001", "over 2 seeds", "CPU engine", "<td>018</td>", "batch = 2"] {
        assert!(html.contains(words), "{words}");
    }

    // A run of it is the run that the same flags make.
    let alone = root.path().join("alone");
    let flags = "--lr 3e-3 --method gd --seed 1 --steps 12";
    // As two runs that share two cores: their file of settings says how many threads made it.
    let threads = std::thread::available_parallelism().map_or(1, |cores| (cores.get() / 2).max(1));
    let mut train = unheat(&format!("train {} {flags} -o {}", tiny(), alone.display()));
    assert!(train.env("RAYON_NUM_THREADS", threads.to_string()).output().unwrap().status.success());
    let at =
        (0..18).find(|&i| [&table["lr"][i], &table["method"][i], &table["seed"][i]] == ["0.003", "gd", "1"]);
    assert_same(&alone, &in_runs(&folder, &format!("{:03}", at.unwrap() + 1)));

    // Files that were tampered with are noticed.
    let tampered = in_runs(&folder, "002/config.toml");
    let settings = std::fs::read_to_string(&tampered).unwrap();
    std::fs::write(&tampered, settings.replace("seed = 1", "seed = 2")).unwrap();
    let resume = format!("sweep --resume {}", folder.display());
    assert!(run(&resume, 1).contains("002/config.toml: has seed 2, but the sweep's run has 1"));
    std::fs::write(&tampered, settings).unwrap();
    let metrics = in_runs(&folder, "003/metrics.csv");
    let whole = std::fs::read_to_string(&metrics).unwrap();
    std::fs::write(&metrics, &whole[..whole.len() / 2]).unwrap();
    assert!(run(&resume, 0).contains("run 003: metrics.csv holds"));
    assert_eq!(self::table(&folder)["loss"][2], "");
    std::fs::write(&metrics, whole).unwrap();
    std::fs::remove_dir_all(in_runs(&folder, "004")).unwrap();
    assert!(run(&resume, 0).contains("1 of them to train"));

    // Again: nothing is left to do, and nothing changes.
    let before = without_times(&folder);
    let said = run(&format!("sweep --resume {}", folder.display()), 0);
    assert!(said.contains("0 of them to train") && without_times(&folder) == before, "{said}");
}

/// Kills or stops a sweep in the middle, and goes on: the same table, and no finished run is touched.
#[cfg(unix)]
#[test]
fn a_sweep_goes_on_after_any_end_without_computing_anything_twice() {
    use rustix::process::{Pid, Signal, kill_process};
    let root = tempdir().unwrap();
    let line = |name: &str| {
        let folder = root.path().join(name);
        let settings = "--lr 1e-3..1e-2:3:log --filters 8,16,24 --seed 0..1 --steps 400";
        format!("sweep {} {settings} -o {}", tiny().replace(" --filters 8", ""), folder.display())
    };
    run(&line("whole"), 0);
    let whole = root.path().join("whole");
    for (name, signal) in [("killed", Signal::KILL), ("stopped", Signal::TERM), ("interrupted", Signal::INT)]
    {
        let folder = root.path().join(name);
        let mut sweep: Child = unheat(&line(name)).spawn().unwrap();
        wait("the fourth run", || rows(&in_runs(&folder, "004")) > 5);
        kill_process(Pid::from_child(&sweep), signal).unwrap();
        let status = sweep.wait().unwrap();
        if signal != Signal::KILL {
            assert_eq!(status.code(), Some(130));
            assert!(table(&folder)["outcome"].contains(&"stopped".to_owned()));
        }
        let done: Vec<PathBuf> = (1..=18)
            .filter(|number| in_runs(&folder, &format!("{number:03}.toml")).exists())
            .map(|number| in_runs(&folder, &format!("{number:03}.log")))
            .collect();
        assert!((3..18).contains(&done.len()), "{name}: {} runs were done", done.len());
        let logs = || done.iter().map(|log| std::fs::read(log).unwrap()).collect::<Vec<_>>();
        let before = logs();
        let said = run(&format!("sweep --resume {}", folder.display()), 0);
        assert!(said.contains(&format!("{} of them to train", 18 - done.len())), "{said}");
        assert_eq!(logs(), before, "{name}: a finished run was started again");
        assert_eq!(without_times(&folder), without_times(&whole), "{name}");
        let log = std::fs::read_to_string(in_runs(&folder, "004.log")).unwrap();
        assert!(log.contains("going on after step"), "{name}: the run began anew: {log}");
        for number in 1..=18 {
            let run = format!("{number:03}");
            assert_same(&in_runs(&folder, &run), &in_runs(&whole, &run));
        }
    }
}

/// A run that dies is one row, and is tried again; one that diverges is a result.
#[cfg(target_os = "linux")]
#[test]
fn a_run_that_dies_is_one_row() {
    use rustix::process::{Pid, Signal, kill_process};
    let root = tempdir().unwrap();
    let folder = root.path().join("s");
    let line = format!("sweep {} --lr 1e-3,1e30,2e-3 --steps {LONG} -o {}", tiny(), folder.display());
    let sweep = unheat(&line).spawn().unwrap();
    wait("the first run", || rows(&in_runs(&folder, "001")) > 5);
    let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", sweep.id())).unwrap();
    let child = children.split_whitespace().next().unwrap().parse().unwrap();
    kill_process(Pid::from_raw(child).unwrap(), Signal::KILL).unwrap();
    let output = sweep.wait_with_output().unwrap();
    let said = told(&output);
    assert_eq!(output.status.code(), Some(4), "{said}");
    assert_eq!(table(&folder)["outcome"], ["failed", "diverged", "done"], "{said}");
    assert!(said.contains("SIGKILL") && said.contains("at step 1 is not finite"), "{said}");
    let html = std::fs::read_to_string(folder.join("report.html")).unwrap();
    assert!(html.contains("1 done, 1 diverged, 1 failed") && html.contains("SIGKILL"));
    run(&format!("sweep --resume {}", folder.display()), 0);
    assert_eq!(table(&folder)["outcome"], ["done", "diverged", "done"]);
}

/// A run keeps its claim while it lives, though its folder is not there yet and its sweep is gone: none is
/// begun twice.
#[cfg(unix)]
#[test]
fn a_run_that_prepares_is_not_begun_again() {
    let root = tempdir().unwrap();
    let folder = root.path().join("s");
    // The self-test of a device that is new takes seconds.
    let small = "--batch 2 --size 16x16 --levels 2 --filters 8 --no-tune";
    let line = format!("sweep {small} --seed 0..1 --steps 3 --device llvmpipe -o {}", folder.display());
    let begin = |line: &str| unheat(line).env("UNHEAT_CACHE_DIR", root.path()).spawn().unwrap();
    let mut sweep = begin(&line);
    wait("the first run", || in_runs(&folder, "001.log").exists());
    std::thread::sleep(Duration::from_millis(100));
    sweep.kill().unwrap();
    sweep.wait().unwrap();
    assert!(!in_runs(&folder, "001").exists(), "the test came too late");
    let resumed: Vec<Child> =
        (0..2).map(|_| begin(&format!("sweep --resume {}", folder.display()))).collect();
    for sweep in resumed {
        let output = sweep.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", told(&output));
    }
    assert_eq!(table(&folder)["outcome"], ["done", "done"]);
    let logs = ["001.log", "002.log"].map(|log| std::fs::read_to_string(in_runs(&folder, log)).unwrap());
    assert!(
        logs[0].contains("stopped after 0 of 3") && logs[0].contains("going on after step 0"),
        "{logs:?}"
    );
    assert_eq!(logs[1].matches("training on").count(), 1, "{logs:?}");
}

/// The processes of mpirun share the runs, and the table is that of one process.
#[test]
fn ranks_share_a_sweep() {
    let root = tempdir().unwrap();
    let folder = |name: &str| root.path().join(name);
    let flags = format!("{} --lr 1e-3..1e-2:3:log --seed 0..2 --steps 30 --keep-best 0.5 --after 5", tiny());
    run(&format!("sweep {flags} -o {}", folder("alone").display()), 0);
    let ranks: Vec<Child> = (0..3)
        .map(|rank| {
            let mut sweep = unheat(&format!("sweep {flags} -o {}", folder("ranks").display()));
            sweep.env("OMPI_COMM_WORLD_RANK", rank.to_string()).env("OMPI_COMM_WORLD_SIZE", "3");
            sweep.spawn().unwrap()
        })
        .collect();
    for rank in ranks {
        let output = rank.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", told(&output));
    }
    assert_eq!(without_times(&folder("ranks")), without_times(&folder("alone")));
}

#[test]
fn the_best_alone_go_on() {
    let root = tempdir().unwrap();
    let folder = root.path().join("s");
    let settings = "--lr 1e-7,1e-6,1e-3,1e30 --seed 0,1 --keep-best 0.5 --after 10 --steps 40";
    run(&format!("sweep {} {settings} -o {}", tiny(), folder.display()), 0);
    let table = table(&folder);
    let steps: Vec<u64> = table["steps_done"].iter().map(|steps| steps.parse().unwrap()).collect();
    let mut sorted = steps.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, [1, 1, 10, 10, 20, 20, 40, 40], "{table:?}");
    assert!(table["outcome"][..6].chunks(2).all(|pair| pair[0] == pair[1]), "seeds stay together");
    // The steps before a rung are those of a run that never paused.
    let alone = root.path().join("alone");
    let best = steps.iter().position(|&steps| steps == 40).unwrap();
    let lr = &table["lr"][best];
    run(&format!("train {} --lr {lr} --steps 40 --seed 0 -o {}", tiny(), alone.display()), 0);
    assert_same(&alone, &in_runs(&folder, &format!("{:03}", best + 1)));
    let before = std::fs::read(folder.join("sweep.csv")).unwrap();
    run(&format!("sweep --resume {}", folder.display()), 0);
    assert_eq!(std::fs::read(folder.join("sweep.csv")).unwrap(), before);
}

/// The tasks of a job array, beside each other, and the commands of a list lead to the same table.
#[test]
fn tasks_and_listed_commands_do_what_a_sweep_does() {
    let root = tempdir().unwrap();
    let flags = format!("{} --lr 1e-3,2e-3 --seed 0,1 --res-blocks off,on --steps 4", tiny());
    let folder = |name: &str| root.path().join(name);
    run(&format!("sweep {flags} -o {}", folder("sweep").display()), 0);

    let tasks: Vec<Child> = (1..=8)
        .map(|task| unheat(&format!("sweep {flags} -o {} --task {task}", folder("tasks").display())))
        .map(|mut task| task.spawn().unwrap())
        .collect();
    for task in tasks {
        let output = task.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", told(&output));
    }
    let other = format!("sweep {} --lr 1 -o {} --task 1", tiny(), folder("tasks").display());
    assert!(run(&other, 2).contains("holds a sweep with other runs"));
    run(&format!("sweep --resume {}", folder("tasks").display()), 0);

    let listed = run(&format!("sweep {flags} -o {} --list", folder("listed").display()), 0);
    let commands: Vec<&str> = listed.lines().filter(|line| line.starts_with("unheat train ")).collect();
    assert_eq!(commands.len(), 8, "{listed}");
    for command in commands {
        run(command.strip_prefix("unheat ").unwrap(), 0);
    }
    run(&format!("sweep --resume {}", folder("listed").display()), 0);
    for name in ["tasks", "listed"] {
        assert_eq!(without_times(&folder(name)), without_times(&folder("sweep")), "{name}");
    }
    let left = run(&format!("sweep --resume {} --list", folder("listed").display()), 0);
    assert!(!left.contains("unheat train"), "{left}");
}

/// What a file says is what flags say, its paths count from its folder, and flags come before it.
#[test]
fn a_file_says_what_flags_say() {
    let root = tempdir().unwrap();
    let path = |name: &str| root.path().join(name);
    run(&format!("generate --count 3 --size 8x8 -o {}", path("x.npy").display()), 0);
    let text = "method = [\"sip\", \"gd\"]\nlr = \"1e-3..1e-2:3:log\"\nfilters = [8, [16, 24]]\nlevels = 2\n\
                seed = \"0..1\"\nshuffle = [false, true]\ndata = \"x.npy\"\nbatch = 2\nsteps = 1\n\
                device = \"cpu\"\nno_tune = true\noutput = \"by_file\"\n";
    std::fs::write(path("sweep.toml"), text).unwrap();
    run(&format!("sweep --config {} --steps 2 --method gd", path("sweep.toml").display()), 0);
    let flags = "--lr 1e-3..1e-2:3:log --filters 8,[16,24] --levels 2 --seed 0..1 --shuffle off,on --batch 2";
    let data = path("x.npy");
    let (data, output) = (data.display(), path("by_flags"));
    let line = format!(
        "sweep {flags} --method gd --steps 2 --data {data} --device cpu --no-tune -o {}",
        output.display()
    );
    run(&line, 0);
    let read = |name: &str| std::fs::read_to_string(path(name).join("sweep.toml")).unwrap();
    assert_eq!(read("by_file"), read("by_flags"));
    assert_eq!(without_times(&path("by_file")), without_times(&path("by_flags")));
    assert!(table(&path("by_flags"))["outcome"].len() == 24);
    for (text, said) in [
        ("lr = [1e-3, 2e-3]\nstepz = 3", "do you mean `steps`?"),
        ("lr = []", "holds no value"),
        ("jobs = \"many\"", "jobs = \"many\": must be a whole number"),
        ("keep_best = 0.5", "need each other"),
        ("lr = \"3..1\"", "begins with its lower end"),
        ("lr = [1e-3, true]", "lr = [0.001, true]: true must be a number"),
    ] {
        std::fs::write(path("bad.toml"), text).unwrap();
        let told = run(
            &format!("sweep --config {}", path("bad.toml").display()),
            if text.contains("keep") { 2 } else { 1 },
        );
        assert!(told.contains(said), "{text}: {told}");
    }
}

/// `--pause-at` stops where it says and changes nothing; `--stop-at-eof` stops when its parent is gone.
#[test]
fn a_run_stops_where_and_when_it_is_told() {
    let root = tempdir().unwrap();
    let path = |name: &str| root.path().join(name).display().to_string();
    let flags = format!("{} --steps 30 --lr-schedule cosine", tiny());
    run(&format!("train {flags} -o {}", path("whole")), 0);
    let said = run(&format!("train {flags} --pause-at 7 -o {}", path("paused")), 130);
    assert!(said.contains("stopped after 7 of 30 steps") && rows(&root.path().join("paused")) == 7, "{said}");
    run(&format!("train --resume {} --pause-at 7", path("paused")), 130);
    run(&format!("train --resume {}", path("paused")), 0);
    assert_same(&root.path().join("whole"), &root.path().join("paused"));

    let line = format!("train {} --steps 1000000 --stop-at-eof -o {}", tiny(), path("child"));
    let mut child = unheat(&line).stdin(Stdio::piped()).spawn().unwrap();
    wait("the child", || rows(&root.path().join("child")) > 3);
    assert!(child.try_wait().unwrap().is_none(), "input that is open stops nothing");
    drop(child.stdin.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", told(&output));
}

/// Without the feature `mpi` the processes of mpirun would train the same run side by side.
#[cfg(not(feature = "mpi"))]
#[test]
fn processes_that_cannot_share_a_training_say_so() {
    let root = tempdir().unwrap();
    let new = root.path().join("new");
    let said: Vec<String> = (0..2)
        .map(|rank: usize| {
            let mut train = unheat(&format!("train {} -o {}", tiny(), new.display()));
            train.env("OMPI_COMM_WORLD_RANK", rank.to_string()).env("OMPI_COMM_WORLD_SIZE", "2");
            let output = train.output().unwrap();
            // The first process fails for all.
            assert_eq!(output.status.code(), Some(if rank == 0 { 2 } else { 0 }));
            told(&output)
        })
        .collect();
    assert!(said[0].contains("build it with --features mpi") && said[1].is_empty(), "{said:?}");
    assert!(!new.exists());
}
