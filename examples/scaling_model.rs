//! Fits the model of docs/scaling.md to measured steps, and says what it makes of many GPUs.
//!
//! `cargo run --release --example scaling_model -- measured.csv --cores 2 --gflops 2000`
//!
//! The file is what `scripts/scaling` writes. The other flags are `--part-us`, `--latency-us`,
//! `--link-gb` and `--memory-gb`; the constants below are their defaults.

use std::path::Path;
use std::process::ExitCode;
use unheat::model::{Padding, UNet, UNetConfig};
use unheat::train::Size;
use unheat::{Error, Result};

/// Cores of the machine that the file was measured on.
const CORES: f64 = 2.0;
/// Assumed: billions of flops per second that a GPU sustains in a whole step.
const GFLOPS: f64 = 2000.0;
/// Assumed: τ, microseconds that a part takes however small it is, to submit and to start some hundred
/// kernels.
const PART_US: f64 = 500.0;
/// Assumed: α, microseconds of a message between two GPUs.
const LATENCY_US: f64 = 5.0;
/// Assumed: 1/β, billions of bytes per second between two GPUs.
const LINK_GB: f64 = 25.0;
/// Assumed: billions of bytes per second between a GPU and its memory.
const MEMORY_GB: f64 = 1000.0;

/// Samples per GPU where the batch grows with their number, and in all where it does not.
const WEAK: usize = 32;
const STRONG: usize = 1024;

/// Bytes that move per parameter to add gradients: the sum and what is added are read, the sum is written.
const ADD_BYTES: f64 = 12.0;
/// An update, in such additions: Adam reads gradient, weight and two moments, and writes all but the first.
const UPDATE: f64 = 28.0 / ADD_BYTES;

const HEADER: &str = "ranks,threads,batch,micro_batch,filters,size,seconds_per_step";

/// How many parts, flops, cells, messages, bytes and additions are one after the other in a step, or what one
/// of each costs in seconds.
type Six = [f64; 6];

/// Seconds of computing, exchanging and adding.
fn seconds(counts: Six, costs: Six) -> [f64; 3] {
    let [parts, flops, cells, messages, bytes, additions] = std::array::from_fn(|i| counts[i] * costs[i]);
    [parts + flops + cells, messages + bytes, additions]
}

fn total(counts: Six, costs: Six) -> f64 {
    seconds(counts, costs).iter().sum()
}

/// What a network computes for a sample, and what it has to tell of a micro-batch.
#[derive(Clone, Copy)]
struct Network {
    flops: f64,
    cells: f64,
    parameters: f64,
    /// Running means and variances.
    statistics: f64,
    /// Batch norms, and their channels in all.
    norms: f64,
    channels: f64,
}

impl Network {
    fn new(filters: usize, size: Size) -> Result<Self> {
        let config = UNetConfig::new(UNetConfig::default().levels(), &[filters], Padding::Circular)?;
        config.check_input(2, size.nx, size.ny)?;
        let net = UNet::new(&config);
        let normalised = net.convs.iter().filter(|conv| conv.norm.is_some());
        Ok(Self {
            // Forward and backward take three times the forward pass, a multiply-add is two flops.
            flops: 6.0 * net.forward_macs(size.nx, size.ny) as f64,
            cells: (size.nx * size.ny) as f64,
            parameters: net.param_count as f64,
            statistics: net.buffer_count as f64,
            norms: normalised.clone().count() as f64,
            channels: normalised.map(|conv| conv.c_out as f64).sum(),
        })
    }
}

/// How a step is dealt out.
#[derive(Clone, Copy)]
struct Deal {
    ranks: usize,
    batch: usize,
    micro_batch: usize,
}

impl Deal {
    fn weak(ranks: usize) -> Self {
        Self { ranks, batch: WEAK * ranks, micro_batch: WEAK }
    }

    fn strong(ranks: usize) -> Self {
        Self { ranks, batch: STRONG, micro_batch: (STRONG / ranks).max(1) }
    }

    /// N ranks, M parts of b samples, and R = ⌈M / N⌉ rounds.
    fn numbers(self) -> [f64; 4] {
        let parts = self.batch / self.micro_batch;
        [self.ranks, parts, self.micro_batch, parts.div_ceil(self.ranks)].map(|number| number as f64)
    }

    /// Everybody gathers and adds the gradients of all parts, as unheat does:
    /// T = R·(compute(b) + (N − 1)·(α + β·bytes)) + γ·P·(M + 7/3), bytes = 4·(P + B) + 24·b,
    /// compute(b) = τ + b·(φ·flops + κ·cells).
    fn gathered(self, net: &Network) -> Six {
        let [n, m, b, r] = self.numbers();
        let bytes = 4.0 * (net.parameters + net.statistics) + 24.0 * b;
        let messages = r * (n - 1.0);
        let additions = (m + UPDATE) * net.parameters;
        [r, r * b * net.flops, r * b * net.cells, messages, messages * bytes, additions]
    }

    /// Everybody gets one N-th of the gradients of all parts, adds it, updates it, and gathers the weights:
    /// T = R·(compute(b) + (N − 1)·(α + β·(4·P/N + 4·B + 24·b))) + (N − 1)·(α + β·4·P/N)
    /// + γ·P/N·(M + 7/3).
    fn sliced(self, net: &Network) -> Six {
        let [n, m, b, r] = self.numbers();
        let slice = 4.0 * net.parameters / n;
        let bytes = r * (slice + 4.0 * net.statistics + 24.0 * b) + slice;
        let [_, flops, cells, ..] = self.gathered(net);
        [r, flops, cells, (r + 1.0) * (n - 1.0), (n - 1.0) * bytes, (m + UPDATE) * net.parameters / n]
    }

    /// What batch norms add that know the whole batch: each gathers three floats per channel and part, once
    /// on the way forward and once on the way back. With L norms of c channels,
    /// T = Σ over L of 2·(N − 1)·(α + β·12·c·R).
    fn norms(self, net: &Network) -> Six {
        let [n, _, _, r] = self.numbers();
        [0.0, 0.0, 0.0, 2.0 * net.norms * (n - 1.0), 2.0 * (n - 1.0) * 12.0 * net.channels * r, 0.0]
    }

    /// What it says beside `one` rank: samples per second and rank, in shares of what that one does.
    fn efficiency(self, seconds: f64, one: Self, seconds_of_one: f64) -> f64 {
        self.batch as f64 / (self.ranks as f64 * seconds) / (one.batch as f64 / seconds_of_one)
    }
}

/// A line of the file without its time, and the median of the times of all such lines.
struct Row {
    said: String,
    deal: Deal,
    threads: usize,
    net: Network,
    seconds: f64,
}

impl Row {
    /// Where ranks share cores, each computes and adds as much slower. Threads share what a rank computes.
    fn counts(&self, cores: f64) -> Six {
        let [parts, flops, cells, messages, bytes, additions] = self.deal.gathered(&self.net);
        let ([n, m, ..], threads) = (self.deal.numbers(), self.threads as f64);
        let crowded = (n.min(m) * threads / cores).max(1.0);
        let [flops, cells] = [flops, cells].map(|count| count * crowded / threads);
        [parts * crowded, flops, cells, messages, bytes, additions * (n / cores).max(1.0)]
    }

    fn fits(&self, cores: f64) -> bool {
        (self.deal.ranks * self.threads) as f64 <= cores
    }
}

/// The rows of a file, those that differ by their times alone as one.
fn parse(path: &Path, text: &str) -> Result<Vec<Row>> {
    let wrong = |number: usize, what: &str| Error::file(path, format!("line {number}: {what}"));
    let mut lines = (1..).zip(text.lines());
    if lines.next().map(|(_, header)| header.trim()) != Some(HEADER) {
        return Err(wrong(1, &format!("is not {HEADER}; scripts/scaling writes such a file")));
    }
    let mut found: Vec<(Row, Vec<f64>)> = Vec::new();
    for (number, line) in lines {
        let (said, time) = line.rsplit_once(',').unwrap_or_default();
        let columns: Vec<&str> = said.split(',').collect();
        let [ranks, threads, batch, micro_batch, filters, size] = columns[..] else {
            return Err(wrong(number, "does not hold seven columns"));
        };
        let count = |name: &str, text: &str| {
            let value = text.parse().ok().filter(|value: &usize| (1..=1 << 20).contains(value));
            value.ok_or_else(|| wrong(number, &format!("{name} '{text}' is no number from 1 to 1048576")))
        };
        let [ranks, threads] = [count("ranks", ranks)?, count("threads", threads)?];
        let [batch, micro_batch] = [count("batch", batch)?, count("micro_batch", micro_batch)?];
        if !batch.is_multiple_of(micro_batch) {
            return Err(wrong(number, &format!("micro_batch {micro_batch} does not divide batch {batch}")));
        }
        let size: Size = size.parse().map_err(|what: String| wrong(number, &what))?;
        if size.nx.max(size.ny) > 1 << 20 {
            return Err(wrong(number, &format!("size {size} has a side above 1048576")));
        }
        let net = Network::new(count("filters", filters)?, size)
            .map_err(|error| wrong(number, &error.to_string()))?;
        let seconds = time.trim().parse().ok().filter(|time: &f64| time.is_finite() && *time > 0.0);
        let seconds = seconds.ok_or_else(|| wrong(number, &format!("'{time}' is no time above 0")))?;
        match found.iter_mut().find(|(row, _)| row.said == said) {
            Some((_, times)) => times.push(seconds),
            None => {
                let deal = Deal { ranks, batch, micro_batch };
                found.push((Row { said: said.to_owned(), deal, threads, net, seconds }, vec![seconds]));
            }
        }
    }
    let median = |(row, mut times): (Row, Vec<f64>)| {
        times.sort_by(f64::total_cmp);
        Row { seconds: times[times.len() / 2], ..row }
    };
    Ok(found.into_iter().map(median).collect())
}

/// The costs, none below 0, with the least squares of relative errors, Σ (counts·costs / seconds − 1)²: one
/// cost after the other takes its best value beside the others, until none moves.
fn fit(rows: &[(Six, f64)]) -> Six {
    let shares: Vec<Six> = rows.iter().map(|(counts, seconds)| counts.map(|count| count / seconds)).collect();
    let product = |j: usize, k: usize| -> f64 { shares.iter().map(|share| share[j] * share[k]).sum() };
    let products: [Six; 6] = std::array::from_fn(|j| std::array::from_fn(|k| product(j, k)));
    let sums: Six = std::array::from_fn(|j| shares.iter().map(|share| share[j]).sum());
    let mut costs = [0.0; 6];
    for _ in 0..1_000_000 {
        let before = costs;
        for j in (0..6).filter(|&j| products[j][j] > 0.0) {
            let slope = sums[j] - (0..6).map(|k| products[j][k] * costs[k]).sum::<f64>();
            costs[j] = (costs[j] + slope / products[j][j]).max(0.0);
        }
        if (0..6).all(|j| (costs[j] - before[j]).abs() <= 1e-14 * costs[j]) {
            break;
        }
    }
    costs
}

/// Prints what the file says and what the model makes of it.
fn measured(path: &Path, cores: f64) -> Result<()> {
    let text = std::fs::read_to_string(path).map_err(Error::io(path, "cannot read"))?;
    let (fitting, crowded): (Vec<Row>, Vec<Row>) =
        parse(path, &text)?.into_iter().partition(|row| row.fits(cores));
    if [true, false].iter().any(|&alone| !fitting.iter().any(|row| (row.deal.ranks == 1) == alone)) {
        let what = format!("wants steps of one rank and of several on no more than {cores} cores");
        return Err(Error::file(path, what));
    }
    let rows: Vec<_> = fitting.iter().map(|row| (row.counts(cores), row.seconds)).collect();
    let costs = fit(&rows);
    println!("Fitted to {} settings on {cores} cores:\n\n| cost of a | ns |\n|---|---|", rows.len());
    let names = [
        "part, τ",
        "flop of a core, φ",
        "cell of a sample, κ",
        "message, α",
        "byte, β",
        "parameter to add, γ",
    ];
    names.iter().zip(costs).for_each(|(name, cost)| println!("| {name} | {:.4} |", 1e9 * cost));
    for (title, rows) in
        [("Fitted, no more ranks than cores:", &fitting), ("Not fitted, more ranks than cores:", &crowded)]
    {
        if rows.is_empty() {
            continue;
        }
        let settings = HEADER.replace(",seconds_per_step", "");
        println!(
            "\n{title}\n\n| {settings} | ms | model | left over | model is off |\n|---|---|---|---|---|"
        );
        let (mut sum, mut largest) = (0.0, 0.0_f64);
        for row in rows {
            let (ms, model) = (1e3 * row.seconds, 1e3 * total(row.counts(cores), costs));
            let off = 100.0 * (model / ms - 1.0);
            println!("| {} | {ms:.3} | {model:.3} | {:.3} | {off:+.1} % |", row.said, ms - model);
            sum += off.abs();
            largest = largest.max(off.abs());
        }
        println!(
            "\nThe model is off by {:.1} % in the mean, {largest:.1} % at most.",
            sum / rows.len() as f64
        );
    }
    Ok(())
}

/// Prints what the model makes of many GPUs.
fn predicted(networks: &[(&str, Network)], costs: Six) {
    for (name, net) in networks {
        println!(
            "\n{name}: {} parameters\n\n| GPUs | {WEAK} samples each: ms | efficiency | synced norms | \
             {STRONG} in all: ms | efficiency | synced norms |\n|---|---|---|---|---|---|---|",
            net.parameters
        );
        // The step's counts, without and with what batch norms add; and its efficiency.
        let step = |deal: Deal, synced: bool| {
            let (plain, norms) = (deal.gathered(net), deal.norms(net));
            std::array::from_fn(|i| plain[i] + if synced { norms[i] } else { 0.0 })
        };
        let efficiency = |deals: fn(usize) -> Deal, ranks: usize, synced: bool| {
            let time = |ranks| total(step(deals(ranks), synced), costs);
            deals(ranks).efficiency(time(ranks), deals(1), time(1))
        };
        for ranks in (0..=10).map(|i| 1 << i).filter(|&ranks| ranks == 1 || ranks >= 8) {
            let cells = [Deal::weak, Deal::strong].map(|deals: fn(usize) -> Deal| {
                let [computing, exchanging, adding] =
                    seconds(step(deals(ranks), false), costs).map(|part| 1e3 * part);
                let [plain, synced] = [false, true].map(|synced| efficiency(deals, ranks, synced));
                format!("{computing:.2} + {exchanging:.2} + {adding:.2} | {plain:.2} | {synced:.2}")
            });
            println!("| {ranks} | {} |", cells.join(" | "));
        }
        println!();
        for (what, deals) in [("each", Deal::weak as fn(usize) -> Deal), ("in all", Deal::strong)] {
            let below_half = [false, true].map(|synced| {
                let ranks = (1..=20).map(|i| 1 << i).find(|&ranks| efficiency(deals, ranks, synced) < 0.5);
                ranks.map_or("nowhere".to_owned(), |ranks: usize| format!("from {ranks} GPUs on"))
            });
            let [plain, synced] = below_half;
            println!("Samples {what}: efficiency is under 1/2 {plain}; with synced norms {synced}.");
        }
    }
}

/// The parameters above which slices are faster. Both times are straight lines over them.
fn slices_pay_above(ranks: usize, net: Network, costs: Six) -> Option<f64> {
    let gain = |parameters: f64| {
        let (deal, net) = (Deal::weak(ranks), Network { parameters, ..net });
        total(deal.gathered(&net), costs) - total(deal.sliced(&net), costs)
    };
    let slope = (gain(1e6) - gain(0.0)) / 1e6;
    (slope > 0.0).then(|| -gain(0.0) / slope)
}

/// Prints where slices of the gradients would pay.
fn alternative(networks: &[(&str, Network)], costs: Six) {
    let names: Vec<&str> = networks.iter().map(|(name, _)| *name).collect();
    println!(
        "\n| GPUs | slices pay above | {} |\n|---|---|{}",
        names.join(" | "),
        "---|".repeat(names.len())
    );
    for ranks in [8, 64, 1024] {
        let times = networks.iter().map(|(_, net)| {
            let deal = Deal::weak(ranks);
            let shared = |counts: Six| 1e3 * seconds(counts, costs)[1..].iter().sum::<f64>();
            format!("{:.2} → {:.2} ms", shared(deal.gathered(net)), shared(deal.sliced(net)))
        });
        let above = slices_pay_above(ranks, networks[0].1, costs);
        let above = above.map_or("never".to_owned(), |above| format!("{above:.0} parameters"));
        println!("| {ranks} | {above} | {} |", times.collect::<Vec<_>>().join(" | "));
    }
}

fn run(mut arguments: impl Iterator<Item = String>) -> Result<()> {
    let mut file = "docs/scaling/measured.csv".to_owned();
    let mut flags = [
        ("--cores", CORES),
        ("--gflops", GFLOPS),
        ("--part-us", PART_US),
        ("--latency-us", LATENCY_US),
        ("--link-gb", LINK_GB),
        ("--memory-gb", MEMORY_GB),
    ];
    while let Some(argument) = arguments.next() {
        if !argument.starts_with('-') {
            file = argument;
            continue;
        }
        let names = flags.map(|(name, _)| name).join(", ");
        let Some(flag) = flags.iter_mut().find(|(name, _)| *name == argument) else {
            return Err(Error::usage(format!("{argument}: is none of {names}")));
        };
        let value = arguments.next().and_then(|text| text.parse().ok());
        let above_0 = value.filter(|value: &f64| value.is_finite() && *value > 0.0);
        flag.1 = above_0.ok_or_else(|| Error::usage(format!("{argument}: wants a number above 0")))?;
    }
    let [cores, gflops, part_us, latency_us, link_gb, memory_gb] = flags.map(|(_, value)| value);
    measured(Path::new(&file), cores)?;

    println!(
        "\nNot measured, but assumed: GPUs of {gflops} GFLOP/s and {memory_gb} GB/s of memory, {part_us} µs \
         for a part however small, {latency_us} µs and {link_gb} GB/s between GPUs. Milliseconds are \
         computing + exchanging + adding."
    );
    // Whatever goes by cells is in the flops per second that are sustained.
    let costs =
        [1e-6 * part_us, 1e-9 / gflops, 0.0, 1e-6 * latency_us, 1e-9 / link_gb, ADD_BYTES * 1e-9 / memory_gb];
    let network = |filters, side| Network::new(filters, Size { nx: side, ny: side });
    let filters = UNetConfig::default().filters[0];
    let networks = [
        ("default network, 64x64", network(filters, 64)?),
        ("64 filters, 64x64", network(64, 64)?),
        ("default network, 512x512", network(filters, 512)?),
    ];
    predicted(&networks, costs);
    alternative(&networks, costs);
    Ok(())
}

fn main() -> ExitCode {
    let arguments = std::env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned());
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("scaling_model: {error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GPU: Six = [5e-4, 5e-13, 0.0, 5e-6, 4e-11, 1.2e-11];

    fn network() -> Network {
        Network::new(16, Size { nx: 64, ny: 64 }).unwrap()
    }

    #[test]
    fn the_network_is_that_of_the_book() {
        let net = network();
        assert_eq!((net.parameters, net.norms, net.cells), (37697.0, 14.0, 4096.0));
        assert_eq!(net.statistics, 2.0 * net.channels);
    }

    #[test]
    fn a_fit_finds_the_costs_again() {
        let mut rows = Vec::new();
        for (filters, side, batch, micro_batch) in [
            (16, 64, 64, 16),
            (8, 64, 64, 16),
            (16, 16, 16, 4),
            (64, 16, 16, 8),
            (64, 8, 16, 2),
            (8, 8, 64, 2),
        ] {
            let net = Network::new(filters, Size { nx: side, ny: side }).unwrap();
            rows.extend([1, 2].map(|ranks| Deal { ranks, batch, micro_batch }.gathered(&net)));
        }
        for costs in [[1e-4, 2.5e-11, 3e-8, 4e-6, 2e-10, 1e-9], [0.0, 2.5e-11, 0.0, 0.0, 2e-10, 1e-9]] {
            let timed: Vec<_> = rows.iter().map(|&counts| (counts, total(counts, costs))).collect();
            let found = fit(&timed);
            for (found, cost) in found.iter().zip(costs) {
                assert!((found - cost).abs() <= 1e-4 * cost.max(1e-12), "{found} for {cost}");
            }
        }
    }

    #[test]
    fn more_gpus_are_faster_while_computing_dominates() {
        let net = network();
        let time = |ranks| total(Deal::strong(ranks).gathered(&net), GPU);
        assert!([1, 2, 4, 8].windows(2).all(|pair| time(pair[1]) < time(pair[0])));
        for deals in [Deal::weak as fn(usize) -> Deal, Deal::strong] {
            let time = |ranks| total(deals(ranks).gathered(&net), GPU);
            let efficiency = |ranks| deals(ranks).efficiency(time(ranks), deals(1), time(1));
            assert_eq!(efficiency(1), 1.0);
            let all: Vec<f64> = (0..=10).map(|i| efficiency(1 << i)).collect();
            assert!(all.windows(2).all(|pair| 0.0 < pair[1] && pair[1] <= pair[0]), "{all:?}");
        }
    }

    #[test]
    fn slices_and_gathering_meet_where_slices_begin_to_pay() {
        for ranks in [8, 64, 1024] {
            let parameters = slices_pay_above(ranks, network(), GPU).unwrap();
            let net = Network { parameters, ..network() };
            let [gathered, sliced] =
                [Deal::gathered, Deal::sliced].map(|step| total(step(Deal::weak(ranks), &net), GPU));
            assert!((gathered / sliced - 1.0).abs() <= 1e-9);
            // With a part for each, (N − 1)·α = P·((N − 1)·(1 − 2/N)·4·β + (N + 7/3)·(1 − 1/N)·γ).
            let (n, [_, _, _, alpha, beta, gamma]) = (ranks as f64, GPU);
            let exchanging = (n - 1.0) * (1.0 - 2.0 / n) * 4.0 * beta;
            let expected = (n - 1.0) * alpha / (exchanging + (n + UPDATE) * (1.0 - 1.0 / n) * gamma);
            assert!((parameters / expected - 1.0).abs() <= 1e-6, "{parameters} {expected}");
        }
    }

    #[test]
    fn lines_become_medians_and_damage_is_named() {
        let path = Path::new("m.csv");
        let parse = |lines: &str| parse(path, &format!("{HEADER}\n{lines}"));
        let rows = parse("2,1,64,16,16,64x64,3\n2,1,64,16,16,64x64,1\n2,1,64,16,16,64x64,2\n").unwrap();
        assert_eq!((rows.len(), rows[0].seconds, rows[0].deal.numbers()), (1, 2.0, [2.0, 4.0, 16.0, 2.0]));
        let good = "2,1,64,16,16,64x64,3\n";
        for bad in [
            "",
            "2,1,64,16,16,64x64",
            "2,1,64,16,16,64x64,3,4",
            "0,1,64,16,16,64x64,3",
            "2,1,64,24,16,64x64,3",
            "2,1,64,16,17,64x64,3",
            "2,1,64,16,16,64,3",
            "2,1,64,16,16,63x64,3",
            "2,1,64,16,16,99999999999x64,3",
            "2,1,64,16,16,64x64,NaN",
            "2,1,64,16,16,64x64,-1",
        ] {
            let said = parse(&format!("{good}{bad}\n")).err().unwrap().to_string();
            assert!(said.starts_with("m.csv: line 3: "), "{bad}: {said}");
        }
        assert!(super::parse(path, "").err().unwrap().to_string().contains("line 1"));
    }
}
