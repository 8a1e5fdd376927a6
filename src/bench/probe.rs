//! Measures what a device can do at most, with kernels that do nothing else.

use crate::bench::ceilings::Ceilings;
use crate::gpu::probes::copy::copy;
use crate::gpu::probes::multiply_add::{CHAINS, ITERATIONS, MAX_ROUNDS, multiply_add};
use crate::gpu::{Gpu, Recorder, Tensor};
use crate::{Error, Result};
use std::time::Instant;

/// Each measurement is made this long, so that submitting weighs nothing: far from any driver's watchdog.
const SECONDS: f64 = 0.03;

/// Measurements, of which the fastest counts.
const REPEATS: usize = 4;

/// Bytes of the copied array: more than any cache.
const COPY_BYTES: u64 = 256 << 20;

/// The smallest piece of arithmetic: enough rounds that starting an invocation weighs nothing.
const ROUNDS: usize = 256;
const INVOCATIONS: usize = 1 << 15;

/// Pieces that run side by side, as far as a large GPU needs them; more go into longer loops.
const SIDE_BY_SIDE: usize = 64;

pub(super) fn measure(gpu: &Gpu) -> Result<Ceilings> {
    let (from, to) = copy_buffers(gpu)?;
    let moved = 2.0 * from.bytes() as f64;
    let mut recorder = Recorder::new(gpu);
    copy(&mut recorder, &from, &to)?;
    let recording = recorder.finish();
    let by_kernel = fastest(gpu, usize::MAX, |times, encoder| {
        (0..times).for_each(|_| recording.encode(encoder));
        Ok(times as f64)
    })?;
    let by_command = fastest(gpu, usize::MAX, |times, encoder| {
        (0..times).for_each(|_| encoder.copy_buffer_to_buffer(&from.buffer, 0, &to.buffer, 0, from.bytes()));
        Ok(times as f64)
    })?;
    drop((from, to, recording));

    let sums = gpu.tensor("sums", SIDE_BY_SIDE * INVOCATIONS)?;
    let most = SIDE_BY_SIDE * (MAX_ROUNDS / ROUNDS);
    let piece = fastest(gpu, most, |pieces, encoder| {
        let (wide, long) = (pieces.min(SIDE_BY_SIDE), pieces.div_ceil(SIDE_BY_SIDE));
        let mut recorder = Recorder::new(gpu);
        multiply_add(&mut recorder, &sums, wide * INVOCATIONS, long * ROUNDS)?;
        recorder.finish().encode(encoder);
        Ok((wide * long) as f64)
    })?;
    let flops_per_piece = (2 * CHAINS * ITERATIONS * ROUNDS * INVOCATIONS) as f64;
    let (copy_kernel, copy_command) = (1e-9 * moved / by_kernel, 1e-9 * moved / by_command);
    Ok(Ceilings {
        gflops: 1e-9 * flops_per_piece / piece,
        gbytes_per_second: copy_kernel.max(copy_command),
        copy_kernel: Some(copy_kernel),
        copy_command: Some(copy_command),
    })
}

/// Two arrays, as large as the device allows.
fn copy_buffers(gpu: &Gpu) -> Result<(Tensor, Tensor)> {
    let mut bytes = COPY_BYTES.min(gpu.max_tensor_bytes());
    loop {
        let len = (bytes / 16 * 4) as usize;
        let both = gpu.tensor("original", len).and_then(|from| Ok((from, gpu.tensor("duplicate", len)?)));
        match both {
            Err(Error::OutOfMemory(_)) if bytes > 1 << 20 => bytes /= 2,
            both => return both,
        }
    }
}

/// Seconds per repetition of what `encode(n, …)` writes for about n repetitions, at most `most`; it returns
/// how many.
fn fastest(
    gpu: &Gpu,
    most: usize,
    encode: impl Fn(usize, &mut wgpu::CommandEncoder) -> Result<f64>,
) -> Result<f64> {
    // Seconds of a submission and of a repetition.
    let time = |wanted: usize| -> Result<(f64, f64)> {
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        let times = encode(wanted, &mut encoder)?;
        let commands = encoder.finish();
        gpu.wait()?;
        let start = Instant::now();
        gpu.queue.submit([commands]);
        gpu.wait()?;
        let seconds = start.elapsed().as_secs_f64();
        Ok((seconds, seconds / times))
    };
    time(1)?; // the first use of an array clears it
    let mut times = 1;
    loop {
        let (seconds, _) = time(times)?;
        if seconds >= 0.7 * SECONDS || times >= most {
            break;
        }
        // Never more than fourfold: a first guess may be far too short.
        let wanted = times as f64 * (SECONDS / seconds).clamp(1.5, 4.0);
        times = (wanted.ceil() as usize).min(most);
    }
    let mut best = f64::INFINITY;
    for _ in 0..REPEATS {
        best = best.min(time(times)?.1);
    }
    Ok(best)
}
