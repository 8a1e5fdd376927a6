//! The kernels that measure what an adapter can do at most.

use crate::cases::{Case, garbage, noise, recorded, widen};
use crate::gpu::Recorder;
use crate::gpu::probes::copy::copy;
use crate::gpu::probes::multiply_add::{CHAINS, FACTOR, ITERATIONS, OFFSET, multiply_add};
use crate::gpu::runtime::spec::WORKGROUP;

pub(super) fn cases() -> Vec<Case> {
    vec![copy_case(), multiply_add_case()]
}

fn copy_case() -> Case {
    const LEN: usize = 10_004;
    let prepare = |r: &mut Recorder| {
        let original = r.gpu.tensor_from("original", &noise(60, LEN))?;
        let duplicate = garbage(r.gpu, "duplicate", LEN)?;
        copy(r, &original, &duplicate)?;
        Ok(vec![duplicate])
    };
    recorded("copy", format!("{LEN}"), 0.0, prepare, || vec![widen(&noise(60, LEN))])
}

fn multiply_add_case() -> Case {
    const LEN: usize = 3 * WORKGROUP as usize + 7;
    const ROUNDS: usize = 5;
    let prepare = |r: &mut Recorder| {
        let sums = garbage(r.gpu, "sums", LEN)?;
        multiply_add(r, &sums, LEN, ROUNDS)?;
        Ok(vec![sums])
    };
    let sum = |i: usize| -> f64 {
        let share = (i % WORKGROUP as usize) as f64 / f64::from(WORKGROUP);
        let chain = |c: usize| {
            let step = |x: f64, _| f64::from(FACTOR) * x + f64::from(OFFSET);
            (0..ROUNDS * ITERATIONS).fold(c as f64 + share, step)
        };
        (0..CHAINS).map(chain).sum()
    };
    recorded("multiply_add", format!("{LEN}"), 1e-5, prepare, move || vec![(0..LEN).map(sum).collect()])
}
