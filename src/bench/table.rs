//! Benchmarks as text for people.

use crate::bench::compare::{Change, Comparison};
use crate::bench::measurement::{By, DispatchGroup, Kind, Measurement};
use crate::gpu::Timing;
use crate::train::TrainConfig;

/// The table, then a summary of the step and its memory.
pub fn measurement(measured: &Measurement, by: By) -> String {
    let mut lines = vec![title(measured)];
    if let Some(c) = &measured.ceilings {
        let copies = match (c.copy_kernel, c.copy_command) {
            (Some(kernel), Some(command)) => {
                format!("copy: {} by a shader, {} by the driver", number(kernel), number(command))
            }
            _ => "copy by all threads".to_owned(),
        };
        lines.push(format!(
            "at most {} GFLOP/s (multiply-adds in registers) and {} GB/s ({copies}); both meet at {} FLOP \
             per byte",
            number(c.gflops),
            number(c.gbytes_per_second),
            number(c.ridge())
        ));
    }
    let (rows, total) = (measured.groups(by), measured.total());
    let width = width(rows.iter().map(|row| row.name.as_str()));
    lines.push(String::new());
    lines.push(format!(
        "{:<width$} {:>5} {:>10} {:>7} {:>9} {:>9} {:>9}",
        by.name(),
        "count",
        "ms",
        "share",
        "GFLOP/s",
        "GB/s",
        "roofline"
    ));
    lines.extend(rows.iter().chain([&total]).map(|row| line(row, &total, width)));
    lines.push(String::new());
    lines.extend(summary(measured));
    lines.join("\n")
}

/// The table of ratios.
pub fn comparison(comparison: &Comparison) -> String {
    let mut lines: Vec<String> = comparison.differences.iter().map(|d| format!("not the same {d}")).collect();
    let width = width(comparison.rows.iter().map(|row| row.name.as_str()));
    lines.push(format!(
        "{:<width$} {:>10} {:>10} {:>9}",
        comparison.by.name(),
        "ms before",
        "ms now",
        "speed-up"
    ));
    let line = |change: &Change| {
        let ms = |ms: Option<f64>| ms.map_or("-".to_owned(), number);
        let ratio = change.speed_up.map_or("-".to_owned(), |ratio| format!("{ratio:.2}x"));
        let (before, now) = (ms(change.before_ms), ms(change.now_ms));
        format!("{:<width$} {before:>10} {now:>10} {ratio:>9}", change.name)
    };
    lines.extend(comparison.rows.iter().chain([&comparison.step]).map(line));
    lines.join("\n")
}

fn title(measured: &Measurement) -> String {
    let TrainConfig { method, batch, size, net, physics, activations, levels, .. } = &measured.settings;
    let filters = &net.filters;
    let filters = match filters.iter().all(|f| *f == filters[0]) {
        true => format!("{levels} levels of {} filters", filters[0]),
        false => format!("filters {}", filters.iter().map(usize::to_string).collect::<Vec<_>>().join(",")),
    };
    let method = method.name().to_uppercase();
    format!(
        "{}: {method}, batch {batch}, {size}, {filters}, physics in {physics}, activations in {activations}",
        measured.device
    )
}

/// The first column's width: the longest name, but the last row's too.
fn width<'a>(names: impl Iterator<Item = &'a str>) -> usize {
    names.map(|name| name.chars().count()).fold("together".len(), usize::max)
}

fn line(row: &DispatchGroup, total: &DispatchGroup, width: usize) -> String {
    let known = |amount: u64, rate: f64| match amount {
        0 => "-".to_owned(),
        _ => number(rate),
    };
    let percent = |share: f64| if share.is_finite() { format!("{:.1} %", 100.0 * share) } else { "-".into() };
    format!(
        "{:<width$} {:>5} {:>10} {:>7} {:>9} {:>9} {:>9}",
        row.name,
        row.count,
        number(row.ms),
        percent(row.ms / total.ms),
        known(row.flops, row.gflops()),
        known(row.bytes, row.gbytes_per_second()),
        row.roofline().map_or("-".to_owned(), percent)
    )
}

fn summary(measured: &Measurement) -> Vec<String> {
    let step = &measured.step;
    let per_second = 1e3 * measured.settings.batch as f64 / step.ms;
    let mut lines = vec![format!(
        "whole step   {} ms, median of {} steps ({} to {}); {} samples/s",
        number(step.ms),
        step.timed,
        number(step.fastest_ms),
        number(step.slowest_ms),
        number(per_second)
    )];
    let rate = |amount: u64| number(1e-6 * amount as f64 / step.ms);
    let giga = |amount: u64| number(1e-9 * amount as f64);
    let mut work = Vec::new();
    if step.flops > 0 {
        work.push(format!("{} GFLOP ({} GFLOP/s)", giga(step.flops), rate(step.flops)));
    }
    if step.bytes > 0 {
        work.push(format!("{} GB ({} GB/s)", giga(step.bytes), rate(step.bytes)));
    }
    // Winograd's F(4×4, 3×3) multiplies a quarter as often as a plain convolution.
    let note = match measured.kind {
        Kind::Cpu => ": that of plain convolutions, of which the engine multiplies about a quarter",
        Kind::Gpu | Kind::Software => "",
    };
    lines.push(format!("work         {}, as declared{note}", work.join(" and ")));
    if let Some(timing) = measured.timing {
        let how = match timing {
            Timing::Timestamps => "by the device's clock (timestamps)",
            Timing::Submissions => "by the host's clock, each alone in a submission (submissions)",
        };
        lines.push(format!("timing       of the dispatches: {how}"));
    }
    if let Some(encode) = step.encode_ms {
        let (encode, dispatches) = (number(encode), step.dispatches);
        lines.push(format!("host         {encode} ms to encode the {dispatches} dispatches of a step"));
    }
    if let Some(submit) = step.submit_ms {
        let note = match measured.kind {
            Kind::Software => " (a software adapter may compute in the meantime)",
            Kind::Gpu | Kind::Cpu => "",
        };
        lines.push(format!("             {} ms to upload, encode and submit a step{note}", number(submit)));
    }
    if !measured.memory.is_empty() {
        let mib = |bytes: u64| format!("{} MiB", number(bytes as f64 / f64::from(1 << 20)));
        let all: u64 = measured.memory.iter().map(|memory| memory.bytes).sum();
        let parts: Vec<String> = measured
            .memory
            .iter()
            .map(|memory| format!("{} {}", memory.used_for, mib(memory.bytes)))
            .collect();
        lines.push(format!("memory       {}: {}", mib(all), parts.join(", ")));
    }
    lines
}

/// Three or four significant digits, never an exponent.
fn number(value: f64) -> String {
    let decimals = match value.abs() {
        v if v < 10.0 => 3,
        v if v < 100.0 => 2,
        v if v < 1000.0 => 1,
        _ => 0,
    };
    format!("{value:.decimals$}")
}
