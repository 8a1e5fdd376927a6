//! Who looks on never stops a run: terminals that go away, that nobody reads, that cannot be drawn on. The
//! run ends with the bytes of one that nobody watched, or stops with a checkpoint and goes on to them.
//! `UNHEAT_KILLS` asks for more.

use crate::support::runs::{LONG, TINY, assert_same, command, rows, said, succeed};
use rustix::fd::OwnedFd;
use rustix::fs::OFlags;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use tempfile::{TempDir, tempdir};
use unheat::model::rng::{Purpose, Random};

/// A terminal that this test holds the other end of; it goes away when that is dropped.
struct Terminal {
    ours: OwnedFd,
    theirs: File,
    name: String,
}

impl Terminal {
    fn new(columns: u16, rows: u16) -> Self {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        // Or the run itself would keep its terminal from going away.
        rustix::io::fcntl_setfd(&ours, rustix::io::FdFlags::CLOEXEC).unwrap();
        grantpt(&ours).unwrap();
        unlockpt(&ours).unwrap();
        let name = ptsname(&ours, Vec::new()).unwrap().into_string().unwrap();
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&ours, size).unwrap();
        rustix::io::ioctl_fionbio(&ours, true).unwrap();
        let theirs = Self::open(&name, OFlags::empty());
        Self { ours, theirs: theirs.into(), name }
    }

    fn open(name: &str, flags: OFlags) -> OwnedFd {
        let flags = flags | OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        rustix::fs::open(name, flags, rustix::fs::Mode::empty()).unwrap()
    }

    /// From now on the terminal takes nothing more.
    fn fill(&self) {
        let theirs = Self::open(&self.name, OFlags::NONBLOCK);
        while rustix::io::write(&theirs, &[b'.'; 64]).is_ok() {}
    }

    fn end(&self) -> Stdio {
        self.theirs.try_clone().unwrap().into()
    }

    /// What has been drawn since the last time.
    fn read(&self) -> String {
        let (mut all, mut part) = (Vec::new(), [0; 1 << 14]);
        while let Ok(count @ 1..) = rustix::io::read(&self.ours, &mut part) {
            all.extend(&part[..count]);
        }
        String::from_utf8_lossy(&all).into_owned()
    }

    fn press(&self, keys: &[u8]) {
        assert_eq!(rustix::io::write(&self.ours, keys).unwrap(), keys.len());
    }
}

/// A run in a session of its own.
struct Run {
    folder: PathBuf,
    child: Child,
    drawn: String,
}

impl Run {
    /// Starts a run of `LONG` steps, on this terminal where there is one; `prefix` is what starts it, such
    /// as `setsid --ctty`, which makes the terminal the one whose end is told by a signal.
    fn start(prefix: &str, flags: &str, root: &Path, terminal: Option<&Terminal>) -> Self {
        let folder = root.join(format!("run-{}", std::fs::read_dir(root).unwrap().count()));
        let train = command(
            &format!("{TINY} --device cpu --steps {LONG} {flags} -o {}", folder.display()).replace("  ", " "),
        );
        let mut words = prefix.split(' ');
        let mut child = Command::new(words.next().unwrap());
        child.args(words).arg(train.get_program()).args(train.get_args());
        child.env("TERM", "xterm-256color").current_dir(root); // where nohup leaves its file
        if let Some(terminal) = terminal {
            child.stdin(terminal.end()).stdout(terminal.end()).stderr(terminal.end());
        }
        Self { folder, child: child.spawn().unwrap(), drawn: String::new() }
    }

    /// Waits until this holds, while the terminal is read.
    #[track_caller]
    fn wait(&mut self, terminal: Option<&Terminal>, what: &str, is_so: impl Fn(&mut Self) -> bool) {
        let start = Instant::now();
        while !is_so(self) {
            assert!(start.elapsed() < Duration::from_secs(60), "{what} never came: {}", self.drawn);
            self.drawn += &terminal.map(Terminal::read).unwrap_or_default();
            std::thread::sleep(Duration::from_millis(1));
        }
        self.drawn += &terminal.map(Terminal::read).unwrap_or_default();
    }

    #[track_caller]
    fn wait_for_rows(&mut self, terminal: Option<&Terminal>, count: usize) {
        self.wait(terminal, "a row", |run| rows(&run.folder) >= count);
    }

    #[track_caller]
    fn wait_for_end(&mut self, terminal: Option<&Terminal>) -> ExitStatus {
        self.wait(terminal, "the end", |run| run.child.try_wait().unwrap().is_some());
        self.child.wait().unwrap()
    }

    #[track_caller]
    fn ends_like(&mut self, terminal: Option<&Terminal>, whole: &Path) {
        let status = self.wait_for_end(terminal);
        assert_eq!(status.code(), Some(0), "{}", self.drawn);
        assert_same(whole, &self.folder);
    }
}

/// How the line of the last step begins.
fn last_line() -> String {
    format!("step {} of {LONG}", LONG - 1)
}

/// A folder for runs, and one that nobody watched.
fn unwatched() -> (TempDir, PathBuf) {
    let root = tempdir().unwrap();
    let whole = root.path().join("whole");
    succeed(&format!("{TINY} --device cpu --steps {LONG} -o {}", whole.display()));
    (root, whole)
}

#[test]
fn a_terminal_that_goes_away_under_a_view_costs_nothing() {
    let kills = std::env::var("UNHEAT_KILLS").map_or(20, |text| text.parse().expect("a number"));
    let (root, whole) = unwatched();
    let mut random = Random::new(Purpose::Cases, 20, 0, 0);
    let (mut stopped, mut alone) = (0, 0);
    for kill in 0..kills {
        let is_told = kill % 2 == 0;
        let prefix = if is_told { "setsid --ctty" } else { "setsid" };
        let terminal = Terminal::new(100, 40);
        let mut run = Run::start(prefix, "--view", root.path(), Some(&terminal));
        run.wait_for_rows(Some(&terminal), 1 + (random.uniform() * LONG as f64 / 4.0) as usize);
        drop(terminal);
        let status = run.wait_for_end(None);
        match status.code() {
            Some(0) if !is_told => alone += 1,
            Some(130) if is_told => {
                stopped += 1;
                assert!(rows(&run.folder) < LONG);
                succeed(&format!("--resume {} --no-tune --no-self-test", run.folder.display()));
            }
            // The last steps may have been done before the signal came.
            Some(0) => {}
            other => panic!("kill {kill} (told: {is_told}): {other:?}"),
        }
        assert_same(&whole, &run.folder);
    }
    println!("torture: {kills} terminals gone: {stopped} runs stopped and resumed, {alone} went on alone");
    assert!(stopped > 0 && alone > 0);
}

#[test]
fn a_process_that_ignores_hang_ups_goes_on_without_its_terminal() {
    let (root, whole) = unwatched();
    for flags in ["--view", ""] {
        let terminal = Terminal::new(100, 40);
        let prefix = "setsid --ctty nohup";
        let mut run = Run::start(prefix, flags.trim(), root.path(), Some(&terminal));
        run.wait_for_rows(Some(&terminal), 20);
        drop(terminal);
        run.ends_like(None, &whole);
    }
}

#[test]
fn nobody_has_to_read_what_is_shown() {
    let (root, whole) = unwatched();
    for flags in ["--view", ""] {
        let terminal = Terminal::new(200, 60);
        let mut run = Run::start("setsid --ctty", flags, root.path(), Some(&terminal));
        run.wait_for_rows(None, 5);
        terminal.fill();
        run.ends_like(None, &whole);
    }
}

/// Plain lines are waited for at the end, but not by the training.
#[test]
fn a_pipe_that_nobody_reads_does_not_stop_the_training() {
    let root = tempdir().unwrap();
    let [whole, folder] = ["whole", "piped"].map(|name| root.path().join(name));
    // A line for every step: more than the pipe has room for.
    let flags = format!("{TINY} --device cpu --steps {LONG} --validate-every 1 -o");
    succeed(&format!("{flags} {}", whole.display()));
    let (mut reader, writer) = std::io::pipe().unwrap();
    rustix::io::ioctl_fionbio(&writer, true).unwrap();
    while rustix::io::write(&writer, &[b'.'; 4096]).is_ok() {}
    rustix::io::ioctl_fionbio(&writer, false).unwrap();
    // The command is dropped at once: it holds an end of the pipe.
    let flags = format!("{flags} {}", folder.display());
    let mut child = command(&flags).stdout(Stdio::null()).stderr(writer).spawn().unwrap();
    // What is said before the training begins would wait for a reader.
    reader.read_exact(&mut [0; 4096]).unwrap();
    let start = Instant::now();
    while !folder.join("weights.safetensors").exists() {
        assert!(start.elapsed() < Duration::from_secs(60), "training waits for a reader");
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(Duration::from_millis(300));
    assert!(child.try_wait().unwrap().is_none(), "lines are missing");
    let mut rest = String::new();
    reader.read_to_string(&mut rest).unwrap();
    assert!(child.wait().unwrap().success());
    assert!(
        rest.contains(&last_line()) && rest.contains(&format!("fields after {} steps", LONG - 1)),
        "{rest}"
    );
    assert_same(&whole, &folder);
}

#[test]
fn what_cannot_be_drawn_on_gets_lines_and_one_that_says_so() {
    let (root, whole) = unwatched();
    for (prefix, size, why) in [
        ("setsid --ctty", [0, 0], "does not say how large it is"),
        ("setsid --ctty", [0, 40], "does not say how large it is"),
        ("setsid --ctty env TERM=dumb", [100, 40], "TERM=dumb"),
    ] {
        let terminal = Terminal::new(size[0], size[1]);
        let mut run = Run::start(prefix, "--view", root.path(), Some(&terminal));
        run.ends_like(Some(&terminal), &whole);
        let told = run.drawn.lines().filter(|line| line.contains("unheat: --view: ")).collect::<Vec<_>>();
        assert!(told.len() == 1 && told[0].contains(why), "{}", run.drawn);
        assert!(run.drawn.contains(&last_line()) && !run.drawn.contains('\x1b'), "{}", run.drawn);
    }
    // One cell is a terminal, if no good one.
    let terminal = Terminal::new(1, 1);
    Run::start("setsid --ctty", "--view", root.path(), Some(&terminal)).ends_like(Some(&terminal), &whole);
}

#[test]
fn streams_that_are_closed_or_at_their_end_cost_nothing() {
    let (root, whole) = unwatched();
    for streams in ["2>&-", "<&-", "</dev/null", "2>/dev/full", "<&- >/dev/null 2>&-"] {
        let folder = root.path().join(format!("closed-{}", std::fs::read_dir(root.path()).unwrap().count()));
        let train = command(&format!("{TINY} --device cpu --steps {LONG} --view -o {}", folder.display()));
        let words = train.get_args().map(|word| word.to_str().unwrap()).collect::<Vec<_>>().join(" ");
        let line = format!("exec {} {words} {streams}", train.get_program().to_str().unwrap());
        // With a terminal at the other streams, as in a shell.
        let terminal = Terminal::new(100, 40);
        let mut child = Command::new("setsid");
        child.args(["--ctty", "sh", "-c", &line]).env("TERM", "xterm");
        child.stdin(terminal.end()).stdout(terminal.end()).stderr(terminal.end());
        let mut run = Run { folder, child: child.spawn().unwrap(), drawn: String::new() };
        run.ends_like(Some(&terminal), &whole);
    }
}

#[test]
fn keys_stop_with_a_checkpoint_and_arrows_do_not() {
    let (root, whole) = unwatched();
    for (keys, stops) in
        [(&b"q"[..], true), (b"\x1b", true), (b"\x03", true), (b"\x1b[A", false), (b"x\r", false)]
    {
        let terminal = Terminal::new(100, 40);
        let mut run = Run::start("setsid --ctty", "--view", root.path(), Some(&terminal));
        run.wait_for_rows(Some(&terminal), 5);
        terminal.press(keys);
        if !stops {
            run.ends_like(Some(&terminal), &whole);
            continue;
        }
        let status = run.wait_for_end(Some(&terminal));
        assert_eq!(status.code(), Some(130), "{keys:?}: {}", run.drawn);
        assert!(
            run.drawn.contains("--resume") && run.drawn.contains("\x1b[?1049l"),
            "{keys:?}: {}",
            run.drawn
        );
        succeed(&format!("--resume {} --no-tune --no-self-test", run.folder.display()));
        assert_same(&whole, &run.folder);
    }
}

#[test]
fn a_hang_up_stops_with_a_checkpoint_and_two_of_them_do_too() {
    let (root, whole) = unwatched();
    for signals in [&["HUP"][..], &["HUP", "HUP"], &["HUP", "TERM", "CONT"]] {
        let mut run = Run::start("setsid", "", root.path(), None);
        run.wait_for_rows(None, 5);
        for signal in signals {
            let pid = run.child.id().to_string();
            assert!(Command::new("kill").args(["-s", signal, &pid]).status().unwrap().success());
        }
        assert_eq!(run.wait_for_end(None).code(), Some(130), "{signals:?}");
        let output = command(&format!("--resume {}", run.folder.display())).output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        assert_same(&whole, &run.folder);
    }
}
