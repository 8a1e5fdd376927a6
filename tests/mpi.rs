//! One training that the processes of mpirun share. It wants Open MPI, and the feature `mpi`:
//! `cargo test --features mpi --test mpi`.

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::tempdir;

/// Twelve samples in four micro-batches.
const SMALL: &str =
    "--device cpu --size 16x16 --levels 2 --filters 8 --batch 12 --micro-batch 3 --lr-schedule step";

/// `unheat train` in so many processes; 0: without mpirun.
fn train(processes: usize, line: &str) -> Command {
    let program = env!("CARGO_BIN_EXE_unheat");
    let mut command = match processes {
        0 => Command::new(program),
        _ => {
            let mut command = Command::new("mpirun");
            // More of them than there are cores.
            command.args(["--oversubscribe", "-n", &processes.to_string(), program]);
            command.env("OMPI_ALLOW_RUN_AS_ROOT", "1").env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1");
            command
        }
    };
    command.arg("train").args(line.split_whitespace());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}

#[track_caller]
fn succeed(processes: usize, line: &str) -> String {
    let output = train(processes, line).output().expect("Open MPI is installed");
    let told = told(&output);
    assert!(output.status.success(), "{processes} processes, {line}: {told}");
    told
}

/// The files whose bytes say everything, the time left out.
fn bytes(folder: &Path) -> [Vec<u8>; 3] {
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
    let metrics = String::from_utf8(read("metrics.csv")).unwrap();
    let lines = metrics.lines().map(|line| line.rsplit_once(',').unwrap().0.to_owned() + "\n");
    [read("weights.safetensors"), read("checkpoint.safetensors"), lines.collect::<String>().into_bytes()]
}

fn rows(folder: &Path) -> usize {
    std::fs::read_to_string(folder.join("metrics.csv")).map_or(0, |text| text.lines().count())
}

fn wait_for_rows(child: &mut Child, folder: &Path, count: usize) {
    let start = Instant::now();
    while rows(folder) < count {
        assert!(start.elapsed() < Duration::from_secs(120), "{count} rows never came");
        assert!(child.try_wait().unwrap().is_none(), "the run ended before {count} rows");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn any_number_of_processes_ends_in_the_same_files() {
    let root = tempdir().unwrap();
    for (name, flags) in [
        ("sip", "--validate-every 2"),
        ("gd", "--method gd --noise 1e-2"),
        ("supervised", "--method supervised --physics f64 --res-blocks"),
        ("together", "--sync-batch-norm"),
    ] {
        let folder = |processes: usize| root.path().join(format!("{name}-{processes}"));
        let line = |n: usize| format!("{SMALL} {flags} --steps 6 -o {}", folder(n).display());
        for processes in 0..=4 {
            succeed(processes, &line(processes));
            assert!(bytes(&folder(processes)) == bytes(&folder(0)), "{name}: {processes} processes");
        }
    }
    // The shaders, in 32 bits and in 16.
    for (name, flags) in [
        ("shaders", "--noise 1e-2"),
        ("half", "--activations f16"),
        ("shaders-together", "--sync-batch-norm"),
    ] {
        let folder = |processes: usize| root.path().join(format!("{name}-{processes}"));
        let line = |n: usize| {
            let small = SMALL.replace("cpu", "0");
            format!("{small} --no-tune --no-self-test {flags} --steps 4 -o {}", folder(n).display())
        };
        for processes in [0, 2, 3] {
            succeed(processes, &line(processes));
            assert!(bytes(&folder(processes)) == bytes(&folder(0)), "{name}: {processes} processes");
        }
    }
    // Without a word about micro-batches each process takes its share.
    let folder = |processes: usize| root.path().join(format!("share-{processes}"));
    let flags = SMALL.replace(" --micro-batch 3", "");
    succeed(3, &format!("{flags} --steps 3 -o {}", folder(3).display()));
    succeed(0, &format!("{flags} --micro-batch 4 --steps 3 -o {}", folder(0).display()));
    assert!(bytes(&folder(3)) == bytes(&folder(0)));
}

/// A process that dies ends the run with a checkpoint behind it, from which any number of others goes on.
#[test]
fn a_run_goes_on_with_another_number_of_processes() {
    use rustix::process::{Pid, Signal, kill_process};
    let root = tempdir().unwrap();
    let folder = |name: &str| root.path().join(name);
    let line = |name: &str, steps: usize| {
        format!("{SMALL} --checkpoint-every 10 --steps {steps} -o {}", folder(name).display())
    };
    succeed(0, &line("whole", 300));
    succeed(3, &line("stopped", 120));
    succeed(2, &format!("--resume {} --steps 300", folder("stopped").display()));
    assert!(bytes(&folder("stopped")) == bytes(&folder("whole")));

    let mut mpirun = train(3, &line("killed", 300)).spawn().unwrap();
    wait_for_rows(&mut mpirun, &folder("killed"), 40);
    let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", mpirun.id())).unwrap();
    let last = children.split_whitespace().last().unwrap().parse().unwrap();
    kill_process(Pid::from_raw(last).unwrap(), Signal::KILL).unwrap();
    let output = mpirun.wait_with_output().unwrap();
    let told = told(&output);
    assert!(!output.status.success(), "{told}");
    let ours = told.lines().filter(|line| line.contains("goes on from the last checkpoint"));
    assert_eq!(ours.count(), 1, "{told}");
    assert!(rows(&folder("killed")) < 300, "the run ended before it was killed");
    succeed(4, &format!("--resume {}", folder("killed").display()));
    assert!(bytes(&folder("killed")) == bytes(&folder("whole")));
}

/// Whoever asks, or has nothing left to do, keeps no process waiting.
#[test]
fn the_first_process_alone_answers() {
    let root = tempdir().unwrap();
    let folder = root.path().join("done");
    succeed(2, &format!("{SMALL} --steps 2 -o {}", folder.display()));
    for (line, said) in [
        ("--help".to_owned(), "Train a network and draw"),
        ("--version".to_owned(), "unheat-train"),
        (format!("--resume {}", folder.display()), "all 2 steps are done"),
    ] {
        let mut mpirun = train(3, &line).spawn().unwrap();
        let start = Instant::now();
        while mpirun.try_wait().unwrap().is_none() {
            assert!(start.elapsed() < Duration::from_secs(60), "{line}: a process waits for ever");
            std::thread::sleep(Duration::from_millis(10));
        }
        let output = mpirun.wait_with_output().unwrap();
        let told = told(&output);
        assert!(output.status.success() && told.matches(said).count() == 1, "{line}: {told}");
    }
    // Each with arguments of its own, or of another build.
    let program = env!("CARGO_BIN_EXE_unheat");
    let other = root.path().join("unheat").display().to_string();
    let mut bytes = std::fs::read(program).unwrap();
    bytes.push(0);
    std::fs::copy(program, &other).unwrap(); // with its permissions
    std::fs::write(&other, bytes).unwrap();
    let new = root.path().join("new");
    for (second, seed, said) in [(program, "2", "different arguments"), (&other[..], "1", "different builds")]
    {
        let one = |program: &str, seed: &str| {
            let own = format!("-n 1 {program} train {SMALL} --seed {seed} -o {}", new.display());
            own.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
        };
        let mut mpirun = Command::new("mpirun");
        mpirun.arg("--oversubscribe").args(one(program, "1")).arg(":").args(one(second, seed));
        mpirun.env("OMPI_ALLOW_RUN_AS_ROOT", "1").env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1");
        let output = mpirun.stdin(Stdio::null()).output().unwrap();
        let told = told(&output);
        assert!(!output.status.success() && told.contains(said), "{told}");
        assert!(!new.exists());
    }
}

/// What cannot be shared is refused by one line of ours, and nobody waits for ever.
#[test]
fn impossible_requests_end_all_processes() {
    let root = tempdir().unwrap();
    let new = root.path().join("new");
    for (line, said) in [
        ("--batch 7 --device cpu", "batch 7: has no 2 equal shares for 2 processes"),
        ("--batch 8 --lr fast", "must be a number"),
        ("--batch 8 --size 60x60 --device cpu", "32 or 64 would do for 60"),
        ("--batch 8 --device nothing", "no such adapter"),
        ("--batch 8 --device cpu --sync-batch-norm --batch-norm off", "the network has no batch norm"),
        ("--batch 8 --device cpu --data missing.npy", "there is no such file"),
    ] {
        let output = train(2, &format!("{line} -o {}", new.display())).output().unwrap();
        let told = told(&output);
        assert!(!output.status.success() && told.contains(said), "{line}: {told}");
        let ours = told.lines().filter(|line| line.starts_with("unheat: ") || line.starts_with("error: "));
        assert_eq!(ours.count(), 1, "{line}: {told}");
        assert!(!new.exists());
    }
}
