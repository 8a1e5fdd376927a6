//! How a stage is added: a shader (`explicit_step.wgsl`), its host function, its CPU twin, and the case that
//! holds the one against the other.
//!
//! `cargo run --release --example add_kernel`

use unheat::cases::{garbage, noise, recorded, widen};
use unheat::engine::{Device, DeviceChoice};
use unheat::gpu::{Recorder, Tensor, flat_workgroups};
use unheat::{Error, Result};

/// The host function: which kernel, on which buffers, with how many workgroups. Names and types are checked
/// against WGSL.
fn explicit_step(
    recorder: &mut Recorder,
    field: &Tensor,
    next: &Tensor,
    [nx, ny]: [usize; 2],
    rate: f32,
) -> Result<()> {
    let wgsl = include_str!("explicit_step.wgsl"); // it says that it needs lib/grid
    let params = [("count", field.len().into()), ("nx", nx.into()), ("ny", ny.into()), ("rate", rate.into())];
    let buffers = [("field", field, field.len()), ("next", next, field.len())];
    recorder.call_source("explicit_step", wgsl, &params, &buffers, flat_workgroups(field.len()))?;
    recorder.declare_flops(6 * field.len()); // for `unheat bench`
    Ok(())
}

/// The twin: the same formula, plainly.
fn twin(field: &[f64], [nx, ny]: [usize; 2], rate: f64) -> Vec<f64> {
    let step = |u: &[f64], x: usize, y: usize| {
        let at = |x: usize, y: usize| u[x % nx * ny + y % ny];
        let around = at(x + nx - 1, y) + at(x + 1, y) + at(x, y + ny - 1) + at(x, y + 1);
        at(x, y) + rate * (around - 4.0 * at(x, y))
    };
    field.chunks_exact(nx * ny).flat_map(|u| (0..nx * ny).map(move |i| step(u, i / ny, i % ny))).collect()
}

fn main() -> Result<()> {
    let Device::Gpu(gpu) = Device::open(&DeviceChoice::Index(0))? else {
        return Err(Error::Device("no GPU found; run scripts/setup".to_owned()));
    };
    let (sides, rate) = ([16, 24], 0.2);
    let field = || noise(0, 3 * 16 * 24);
    let prepare = move |recorder: &mut Recorder| {
        let input = recorder.gpu.tensor_from("field", &field())?;
        let next = garbage(recorder.gpu, "next", input.len())?; // a cell that nobody writes shows
        explicit_step(recorder, &input, &next, sides, rate)?;
        Ok(vec![next])
    };
    let reference = move || vec![twin(&widen(&field()), sides, f64::from(rate))];
    // In the crate this line would stand in src/cases, and tests, `unheat check` and `unheat bench` would all
    // run it.
    let case = recorded("explicit_step", "3 x 16 x 24".to_owned(), 1e-6, prepare, reference);

    let (error, spoiled) = (gpu.block_on(case.error(&gpu, false))?, gpu.block_on(case.error(&gpu, true))?);
    println!("relative error {error:.1e}, limit {:.0e}; spoiled on purpose {spoiled:.1e}", case.tolerance);
    if case.passes(error) && !case.passes(spoiled) {
        return Ok(());
    }
    Err(Error::Device("the kernel and its twin disagree".to_owned()))
}
