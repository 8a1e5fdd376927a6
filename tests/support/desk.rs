//! A folder to run the program in.

use std::path::PathBuf;
use std::process::Command;
use unheat::io::arrays::npy::{self, FieldData, Fields};

pub struct Desk(tempfile::TempDir);

impl Desk {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Fields in 64 bits.
    pub fn save(&self, name: &str, shape: [usize; 3], values: &[f64]) {
        let data = FieldData::F64(values.to_vec());
        npy::write(&self.path(name), &Fields { shape, data, rank2: false }).unwrap();
    }

    pub fn load(&self, name: &str) -> Vec<f64> {
        npy::read(&self.path(name)).unwrap().data.into_f64()
    }

    /// Runs `unheat` here, which ends with this code; returns all that it says.
    #[track_caller]
    pub fn run(&self, arguments: &str, code: i32) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_unheat"));
        let output = command.args(arguments.split_whitespace()).current_dir(self.0.path()).output().unwrap();
        let said = String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned();
        assert_eq!(output.status.code(), Some(code), "{arguments}: {said}");
        said
    }
}
