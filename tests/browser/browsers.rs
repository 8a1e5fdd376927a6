//! Browsers without a window, with WebGPU on the processor.

use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A browser that is installed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Browser {
    /// Tint and SwiftShader.
    Chromium(&'static str),
    /// naga and Mesa's llvmpipe.
    Firefox(&'static str),
}

impl Browser {
    /// Those that are installed, of each kind one.
    pub(crate) fn installed() -> Vec<Self> {
        let first = |programs: &[&'static str]| {
            let is_there = |program: &&&str| {
                Command::new(program).arg("--version").output().is_ok_and(|said| said.status.success())
            };
            programs.iter().find(is_there).copied()
        };
        let chromium = first(&["chromium", "google-chrome", "chrome"]).map(Self::Chromium);
        let firefox = first(&["firefox-esr", "firefox"]).map(Self::Firefox);
        chromium.into_iter().chain(firefox).collect()
    }

    /// Its kind.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Chromium(_) => "Chromium",
            Self::Firefox(_) => "Firefox",
        }
    }

    /// Opens `address` with a new profile in `folder`.
    pub(crate) fn open(self, address: &str, folder: &Path) -> Running {
        let mut command = match self {
            Self::Chromium(program) => {
                let mut command = Command::new(program);
                command.args([
                    "--headless=new",
                    "--no-sandbox",
                    "--no-first-run",
                    "--enable-unsafe-webgpu",
                    "--ignore-gpu-blocklist",
                    "--enable-gpu",
                    "--enable-features=Vulkan",
                    "--use-vulkan=swiftshader",
                    "--use-angle=swiftshader",
                    "--enable-unsafe-swiftshader",
                ]);
                command.arg(format!("--user-data-dir={}", folder.display())).arg(address);
                command
            }
            Self::Firefox(program) => {
                let settings = "user_pref(\"dom.webgpu.enabled\", true);\n\
                    user_pref(\"gfx.webgpu.ignore-blocklist\", true);\n\
                    user_pref(\"datareporting.policy.dataSubmissionEnabled\", false);\n\
                    user_pref(\"browser.shell.checkDefaultBrowser\", false);\n";
                std::fs::write(folder.join("user.js"), settings).unwrap();
                let mut command = Command::new(program);
                command.args(["--headless", "--no-remote", "--profile"]).arg(folder).arg(address);
                command
            }
        };
        // A group of its own, so that all of it can be ended.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        Running(child)
    }
}

/// A browser that runs; it ends with this.
pub(crate) struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        #[cfg(unix)]
        if let Some(group) = rustix::process::Pid::from_raw(self.0.id() as i32) {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
