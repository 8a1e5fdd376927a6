//! What compilers other than naga say of the shaders, without a GPU: Microsoft's FXC and DXC of the HLSL that
//! DX12 gets, under Wine, and Chrome's Tint of the WGSL that a browser gets. `scripts/compilers/judge setup`
//! installs them. Where they are not installed nothing is judged, and said so; CI sets
//! UNHEAT_NEEDS_WINDOWS_COMPILERS and UNHEAT_NEEDS_TINT, so that they cannot be missing there.

use crate::support::kernels::{case_list, default_step, every_choice, every_variant, every_variant_with_fxc};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use unheat::gpu::translation::{Language, profile};
use unheat::gpu::{Checks, KernelSpec};
use unheat::model::DType;

/// A compiler that the script runs.
#[derive(Clone, Copy)]
struct Compiler {
    name: &'static str,
    language: Language,
    /// What makes its absence a failure.
    needed: &'static str,
}

const FXC: Compiler =
    Compiler { name: "fxc", language: Language::Hlsl, needed: "UNHEAT_NEEDS_WINDOWS_COMPILERS" };
const DXC: Compiler = Compiler { name: "dxc", ..FXC };
const TINT: Compiler = Compiler { name: "tint", language: Language::Wgsl, needed: "UNHEAT_NEEDS_TINT" };

/// What a compiler says of one kernel.
struct Verdict {
    kernel: String,
    seconds: f64,
    /// Why it is refused.
    refusal: Option<String>,
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/compilers/judge")
}

impl Compiler {
    /// Whether it is installed.
    fn is_there(self) -> bool {
        let found = Command::new(script()).arg(self.name).output().is_ok_and(|tried| tried.status.success());
        let is_needed = std::env::var_os(self.needed).is_some();
        assert!(found || !is_needed, "{} is not installed: scripts/compilers/judge setup", self.name);
        if !found {
            eprintln!(
                "\n*** {} is NOT INSTALLED: no shader went through it; scripts/compilers/judge setup\n",
                self.name
            );
        }
        found
    }

    /// Whether a device that uses it runs such kernels.
    fn takes(self, spec: &KernelSpec) -> bool {
        match self.name {
            "fxc" => self.language.has(spec) && profile(spec) == "cs_5_1",
            _ => spec.precision() != DType::F64,
        }
    }

    /// Its verdict on every kernel that it is for, from two processes at once.
    fn judge(self, specs: &[KernelSpec], checks: Checks) -> Vec<Verdict> {
        let sources = specs
            .iter()
            .filter(|spec| self.takes(spec))
            .map(|spec| (spec.name.clone(), self.language.write(spec, checks).unwrap()));
        self.judge_sources(sources.collect())
    }

    fn judge_sources(self, sources: Vec<(String, Vec<u8>)>) -> Vec<Verdict> {
        let folder = tempfile::tempdir().unwrap();
        let mut kernels = BTreeMap::new();
        for (number, (kernel, text)) in sources.into_iter().enumerate() {
            // Short names that Windows allows, which those of kernels are not.
            let file = format!("{number}.{}", self.language.ending());
            std::fs::write(folder.path().join(&file), text).unwrap();
            kernels.insert(file, kernel);
        }
        let files: Vec<&String> = kernels.keys().collect();
        let halves = [0, 1].map(|half| files.iter().skip(half).step_by(2).copied().collect::<Vec<_>>());
        let verdicts: Vec<(String, Verdict)> = std::thread::scope(|scope| {
            let run = |files: &[&String]| self.run(folder.path(), files);
            let threads = halves.each_ref().map(|half| scope.spawn(move || run(half)));
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        let mut found: BTreeMap<String, Verdict> = verdicts.into_iter().collect();
        let whole = |(file, kernel): (String, String)| match found.remove(&file) {
            Some(verdict) => Verdict { kernel, ..verdict },
            // It has crashed, or run into the limit of time, on this kernel or on one before it.
            None => Verdict { kernel, seconds: 0.0, refusal: Some("there is no verdict".to_owned()) },
        };
        kernels.into_iter().map(whole).collect()
    }

    /// What the script says of these files.
    fn run(self, folder: &Path, files: &[&String]) -> Vec<(String, Verdict)> {
        let run = Command::new(script()).arg(self.name).args(files).current_dir(folder).output().unwrap();
        String::from_utf8_lossy(&run.stdout).lines().filter_map(verdict).collect()
    }
}

/// Reads a line of the script.
fn verdict(line: &str) -> Option<(String, Verdict)> {
    let fields: Vec<&str> = line.trim_end_matches('\r').split('\t').collect();
    let &[outcome, ms, file, message] = &fields[..] else { return None };
    let refusal = (outcome != "ok").then(|| message.to_owned());
    let seconds = ms.parse::<f64>().ok()? / 1e3;
    Some((file.to_owned(), Verdict { kernel: String::new(), seconds, refusal }))
}

/// Demands that every kernel is taken, each within `most` seconds of processor time, and says what it took.
#[track_caller]
fn demand(compiler: Compiler, least: usize, most: f64, verdicts: &[Verdict]) {
    assert!(verdicts.len() >= least, "only {} kernels for {}", verdicts.len(), compiler.name);
    let refused: Vec<String> = verdicts
        .iter()
        .filter_map(|verdict| Some(format!("{}: {}", verdict.kernel, verdict.refusal.as_ref()?)))
        .collect();
    assert!(refused.is_empty(), "{} refuses {}:\n{}", compiler.name, refused.len(), refused.join("\n"));
    for Verdict { kernel, seconds, .. } in verdicts {
        assert!(*seconds <= most, "{kernel} takes {} {seconds} s", compiler.name);
    }
    println!("torture: {}", summary(compiler, verdicts));
}

/// Every kernel in one of its shapes: all shapes take half an hour.
fn one_of_each<'a>(specs: impl IntoIterator<Item = &'a KernelSpec>) -> Vec<KernelSpec> {
    let named: BTreeMap<_, _> =
        specs.into_iter().map(|spec| ((&spec.name, spec.subgroups()), spec.clone())).collect();
    named.into_values().collect()
}

fn summary(compiler: Compiler, verdicts: &[Verdict]) -> String {
    let passed = verdicts.iter().filter(|verdict| verdict.refusal.is_none()).count();
    let total: f64 = verdicts.iter().map(|verdict| verdict.seconds).sum();
    let slowest = verdicts.iter().max_by(|a, b| a.seconds.total_cmp(&b.seconds)).unwrap();
    format!(
        "{} takes {passed} of {} kernels in {total:.1} s, the slowest in {:.1} s ({})",
        compiler.name,
        verdicts.len(),
        slowest.seconds,
        slowest.kernel
    )
}

/// Windows has nothing else unless somebody installs it.
#[test]
fn fxc_takes_the_default_step() {
    if FXC.is_there() {
        demand(FXC, 30, 10.0, &FXC.judge(&default_step(), Checks::Trusted));
    }
}

#[test]
fn dxc_takes_every_kernel_in_some_shape() {
    if DXC.is_there() {
        demand(DXC, 80, 10.0, &DXC.judge(&default_step(), Checks::Trusted));
        demand(DXC, 100, 10.0, &DXC.judge(&one_of_each(every_choice().values()), Checks::Trusted));
    }
}

#[test]
fn tint_takes_every_kernel() {
    if TINT.is_there() {
        demand(TINT, 80, 10.0, &TINT.judge(&default_step(), Checks::Trusted));
        let specs: Vec<KernelSpec> = every_choice().values().cloned().collect();
        demand(TINT, 300, 10.0, &TINT.judge(&specs, Checks::Trusted));
    }
}

/// What is wrong is found, and what nobody has judged is not taken for good.
#[test]
fn every_compiler_refuses_a_spoiled_shader() {
    let specs = default_step();
    let adam = specs.iter().find(|spec| spec.name == "adam").unwrap();
    for compiler in [FXC, DXC, TINT] {
        if !compiler.is_there() {
            continue;
        }
        let good = String::from_utf8(compiler.language.write(adam, Checks::Trusted).unwrap()).unwrap();
        let renamed = good.replace("void main(", "void niam(").replace("fn main(", "fn niam(");
        let unknown = good.replacen("sqrt(", "square_root(", 1);
        assert!(renamed != good && unknown != good);
        let sources = [("good", good), ("renamed", renamed), ("unknown", unknown)];
        let sources = sources.map(|(name, text)| (name.to_owned(), text.into_bytes()));
        let verdicts = compiler.judge_sources(sources.to_vec());
        let refused: Vec<&str> = verdicts
            .iter()
            .filter(|verdict| verdict.refusal.is_some())
            .map(|verdict| verdict.kernel.as_str())
            .collect();
        assert_eq!(refused, ["renamed", "unknown"], "{}", compiler.name);
    }
    assert!(verdict("std::system_error").is_none(), "a crash is no verdict");
    assert!(verdict("FAIL\t7\t0.hlsl\terror").unwrap().1.refusal.is_some());
    assert!(verdict("ok\t7\t0.hlsl\t\r").unwrap().1.refusal.is_none());
}

/// The table of docs/portability.md: `cargo test --test integration compilers -- --ignored --nocapture`, with
/// UNHEAT_TABLE=fxc or dxc or tint for the rows of one compiler.
#[test]
#[ignore = "takes half an hour"]
fn table() {
    let choices = || one_of_each(every_choice().values());
    let cases = || one_of_each(&case_list());
    let sets: [(&str, &dyn Fn() -> Vec<KernelSpec>); 4] = [
        ("default step and inference", &default_step),
        ("every variant", &every_variant),
        ("every choice", &choices),
        ("case list", &cases),
    ];
    for checks in [Checks::Trusted, Checks::Checked] {
        for (set, specs) in sets {
            let specs = specs();
            let asked = std::env::var("UNHEAT_TABLE").unwrap_or_default();
            let is_asked = |compiler: &Compiler| compiler.name.contains(&asked) && compiler.is_there();
            for compiler in [TINT, DXC, FXC].into_iter().filter(is_asked) {
                let of_fxc = (compiler.name, set) == ("fxc", "every variant");
                let specs = if of_fxc { every_variant_with_fxc() } else { specs.clone() };
                if compiler.language == Language::Wgsl && checks == Checks::Checked {
                    continue; // wgpu has no say in a browser's checks
                }
                let verdicts = compiler.judge(&specs, checks);
                println!("{set}, {checks:?}: {}", summary(compiler, &verdicts));
                for Verdict { kernel, seconds, refusal } in &verdicts {
                    if refusal.is_some() || *seconds > 10.0 {
                        println!("    {kernel}: {seconds:.1} s {}", refusal.as_deref().unwrap_or_default());
                    }
                }
            }
        }
    }
}
