//! Damaged files, many of them: no reader panics, none takes more memory than its file justifies, and where a
//! format carries a checksum no changed bit passes. `UNHEAT_MUTATIONS` asks for more per kind.

use peak_alloc::PeakAlloc;
use std::fmt::Debug;
use std::fs;
use std::path::Path;
use unheat::engine::Device;
use unheat::io::arrays::checkpoint::{self, Checkpoint};
use unheat::io::arrays::fingerprint::{Fingerprint, Fingerprints, Item, Kind};
use unheat::io::arrays::npy::{self, FieldData, Fields};
use unheat::io::arrays::rectangles::{self, Rectangles};
use unheat::io::arrays::{tensors, weights};
use unheat::io::images::photo::{self, Depth, Photo};
use unheat::io::tables::metrics;
use unheat::model::rectangles::{PER_SAMPLE, draw_batch};
use unheat::model::rng::{Purpose, Random};
use unheat::model::unet::init::State;
use unheat::model::{Padding, Snapshot, UNet, UNetConfig};
use unheat::train::config::file;
use unheat::train::{Progress, Resumed, Size, TrainConfig, resume, train};
use unheat::{Error, Result};

/// Counts what this process has allocated.
#[global_allocator]
static ALLOCATED: PeakAlloc = PeakAlloc;

/// Bytes that reading a damaged file of some kilobytes may take.
const MOST: usize = 1 << 20;

/// Those for pictures, which may be packed a thousand times denser than fields.
const MOST_OF_PICTURES: usize = 64 << 20;

/// Damaged files per kind.
fn mutations() -> u64 {
    std::env::var("UNHEAT_MUTATIONS").map_or(1000, |text| text.parse().expect("a number"))
}

/// `whole` with one kind of damage; the same for the same number.
fn mutated(whole: &[u8], seed: u64) -> Vec<u8> {
    let mut random = Random::new(Purpose::Cases, 6, seed, whole.len() as u64);
    let mut below = |n: usize| (random.uniform() * n as f64) as usize;
    let mut bytes = whole.to_vec();
    let at = below(bytes.len());
    // Headers are short and matter most.
    let at = if below(2) == 0 { at % 200.min(bytes.len()) } else { at };
    match seed % 10 {
        0..=3 => bytes[at] ^= 1 << below(8),
        4 => bytes.truncate(at),
        5 => {
            let inserted: Vec<u8> = (0..1 + below(40)).map(|_| below(256) as u8).collect();
            bytes.splice(at..at, inserted);
        }
        6 => drop(bytes.drain(at..(at + 1 + below(40)).min(whole.len()))),
        7 => {
            // A length field that lies, in any of the usual widths and orders.
            let huge = [1u64 << 40, u64::MAX, u64::from(u32::MAX), 1 << 31, 0, 65535][below(6)];
            let width = [2, 4, 8][below(3)];
            let field = if below(2) == 0 { huge.to_le_bytes() } else { huge.to_be_bytes() };
            let field = if field[0] == 0 { &field[8 - width..] } else { &field[..width] };
            let end = (at + width).min(bytes.len());
            bytes[at..end].copy_from_slice(&field[..end - at]);
        }
        8 => {
            // A number in the text that claims a terabyte.
            let digits: Vec<usize> =
                (0..bytes.len().min(4000)).filter(|&i| bytes[i].is_ascii_digit()).collect();
            match digits.get(below(digits.len().max(1))) {
                Some(&digit) => drop(bytes.splice(digit..=digit, *b"1099511627776")),
                None => bytes.truncate(bytes.len() / 2),
            }
        }
        _ => {
            // A block in another's place.
            let (from, length) = (below(bytes.len()), 1 + below(64));
            let block: Vec<u8> = bytes[from..(from + length).min(whole.len())].to_vec();
            let end = (at + block.len()).min(bytes.len());
            bytes[at..end].copy_from_slice(&block[..end - at]);
        }
    }
    bytes
}

#[derive(Default)]
struct Tally {
    files: u64,
    refused: u64,
    same: u64,
    other: u64,
    most: usize,
}

/// Reads damaged copies of the file at `path`. With `has_checksum` nothing but the content that was written
/// is accepted.
fn damage<T: PartialEq + Debug>(
    what: &str,
    path: &Path,
    has_checksum: bool,
    read: impl Fn(&Path) -> Result<T>,
) -> Tally {
    let whole = fs::read(path).unwrap();
    let content = read(path).unwrap();
    let mut tally = Tally::default();
    for seed in 0..mutations() {
        let bytes = mutated(&whole, seed);
        fs::write(path, &bytes).unwrap();
        ALLOCATED.reset_peak_usage();
        let before = ALLOCATED.current_usage();
        let found = read(path);
        let taken = ALLOCATED.peak_usage_as_kb() * 1024.0 - before as f32;
        let limit = if what.starts_with("p.") { MOST_OF_PICTURES } else { MOST };
        assert!(taken <= limit as f32, "{what} {seed}: {taken} bytes for a file of {}", bytes.len());
        tally.most = tally.most.max(taken.max(0.0) as usize);
        tally.files += 1;
        match found {
            Ok(found) if found == content => tally.same += 1,
            Ok(_) if !has_checksum => tally.other += 1,
            Ok(found) => panic!("{what} {seed}: passes for {:.200}", format!("{found:?}")),
            Err(error) => {
                assert!(
                    matches!(error, Error::File { .. } | Error::Usage(_) | Error::Io { .. }),
                    "{what} {seed}: {error}"
                );
                assert!(!error.to_string().contains('\n'), "{what} {seed}: {error}");
                tally.refused += 1;
            }
        }
    }
    fs::write(path, whole).unwrap();
    let Tally { files, refused, same, other, most } = &tally;
    println!(
        "torture: {what}: {files} damaged files: {refused} refused, {same} unharmed, {other} other content, \
         at most {} KiB taken",
        most >> 10
    );
    tally
}

struct Quiet;

impl Progress for Quiet {
    fn step(&mut self, _: &metrics::MetricsRow, _: u64) {}
}

/// One test, since the allocator counts for the whole process.
#[test]
fn damaged_files_are_refused_or_unharmed() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    let numbers = |count: usize| (0..count).map(|i| (i as f64 * 0.37).sin()).collect::<Vec<f64>>();
    let mut tallies = Vec::new();

    for (name, data) in [
        ("npy of 32 bits", FieldData::F32(numbers(3 * 64).iter().map(|&v| v as f32).collect())),
        ("npy of 64 bits", FieldData::F64(numbers(3 * 64))),
    ] {
        let path = place("x.npy");
        npy::write(&path, &Fields { shape: [3, 8, 8], data, rank2: false }).unwrap();
        tallies.push(damage(name, &path, false, npy::read));
    }

    let net = UNet::new(&UNetConfig { filters: vec![8], padding: Padding::Zero, ..Default::default() });
    let state = State { batches_tracked: 7, ..State::new(&net, 3) };
    let path = place("w.safetensors");
    weights::write(&path, &net, &state, None).unwrap();
    let config = |path: &Path| weights::read(path).map(|(net, state)| (net.config, state));
    tallies.push(damage("weights", &path, true, config));
    let path_of_rectangles = place("r.safetensors");
    let list = draw_batch(Purpose::Rectangles, 0, 0, 2, 8, 8);
    rectangles::write(&path_of_rectangles, &Rectangles { list, per_sample: PER_SAMPLE }).unwrap();
    tallies.push(damage("rectangles", &path_of_rectangles, true, rectangles::read));
    tallies.push(damage("safetensors", &path, false, |path| {
        tensors::read(path).map(|(tensors, _)| format!("{tensors:?}"))
    }));

    let path = place("c.safetensors");
    let snapshot = Snapshot { updates: 5, ..Snapshot::before(state) };
    let settings_text = file::table(&TrainConfig::default()).unwrap().to_string();
    let item = Item::new([8, 8], numbers(64).into_iter());
    let data = ("data".to_owned(), Fingerprint::new(Kind::Field, &[item]));
    let fingerprints = Some(Fingerprints::from([data]));
    checkpoint::write(&path, &Checkpoint { step: 5, settings: settings_text, fingerprints, snapshot })
        .unwrap();
    tallies.push(damage("checkpoint", &path, true, checkpoint::read));

    let path = place("config.toml");
    fs::write(&path, file::table(&TrainConfig::default()).unwrap().to_string()).unwrap();
    tallies.push(damage("settings", &path, false, |path| file::config(&file::read(path, &[])?, path)));

    for (name, has_checksum) in [("p.png", true), ("p.tiff", false), ("p.jpg", false)] {
        for (planes, depth) in
            [(1, Depth::Eight), (3, Depth::Sixteen), (1, Depth::Float32), (3, Depth::Float64)]
        {
            let holds = match name {
                "p.tiff" => true,
                "p.png" => depth.is_intensity(),
                _ => depth == Depth::Eight,
            };
            if !holds {
                continue;
            }
            let path = place(name);
            let values = numbers(planes * 24 * 20).iter().map(|v| v * 0.5 + 0.5).collect();
            Photo::new(24, 20, values, depth).write(&path).unwrap();
            tallies.push(damage(&format!("{name} {depth:?}"), &path, has_checksum, photo::read));
        }
    }

    // What is read and not written, as the crate image writes it.
    let pixel = |x: u32, y: u32| image::Rgb([(x * 9 + y) as u8, (y * 13) as u8, (x * y % 251) as u8]);
    let picture = image::RgbImage::from_fn(24, 20, pixel);
    for name in ["p.gif", "p.webp", "p.bmp"] {
        let path = place(name);
        picture.save(&path).unwrap();
        tallies.push(damage(name, &path, false, photo::read));
    }

    let (files, other): (u64, u64) = tallies.iter().fold((0, 0), |sum, t| (sum.0 + t.files, sum.1 + t.other));
    println!("torture: {files} damaged files in all: 0 panics, 0 wrong acceptances of files with a checksum");
    assert!(files >= 10_000, "{files}");
    assert!(
        other > 0,
        "formats without a checksum cannot notice everything, and the comparison would show it"
    );
    claims(folder.path());
    runs(folder.path());
}

/// Headers that promise a terabyte of data.
fn claims(folder: &Path) {
    let refused = |name: &str, bytes: &[u8], read: &dyn Fn(&Path) -> bool| {
        let path = folder.join(name);
        fs::write(&path, bytes).unwrap();
        ALLOCATED.reset_peak_usage();
        let before = ALLOCATED.current_usage() as f32;
        assert!(!read(&path), "{name} was accepted");
        let taken = ALLOCATED.peak_usage_as_kb() * 1024.0 - before;
        assert!(taken < (1 << 20) as f32, "{name}: {taken} bytes");
    };
    let npy = |header: &str| {
        [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), &[0; 64]].concat()
    };
    refused(
        "t.npy",
        &npy("{'descr': '<f4', 'fortran_order': False, 'shape': (262144, 1024, 1024), }\n"),
        &|path| npy::read(path).is_ok(),
    );
    refused("h.npy", &[b"\x93NUMPY\x02\x00", &u32::MAX.to_le_bytes()[..], &[b' '; 64]].concat(), &|path| {
        npy::read(path).is_ok()
    });
    let header = r#"{"a":{"dtype":"F32","shape":[274877906944],"data_offsets":[0,1099511627776]}}"#;
    let bytes = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &[0; 64]].concat();
    refused("t.safetensors", &bytes, &|path| tensors::read(path).is_ok());
    refused("t.safetensors", &bytes, &|path| rectangles::read(path).is_ok());
    refused("h.safetensors", &[&(1u64 << 40).to_le_bytes()[..], &[b' '; 64]].concat(), &|path| {
        tensors::read(path).is_ok()
    });
    // 1,000,000 x 1,000,000 pixels, with the right checksum of the chunk.
    let mut chunk = b"IHDR".to_vec();
    chunk.extend([1_000_000u32.to_be_bytes(), 1_000_000u32.to_be_bytes()].concat());
    chunk.extend([8, 0, 0, 0, 0]);
    let sum = crc32fast::hash(&chunk).to_be_bytes();
    let png = [b"\x89PNG\r\n\x1a\n", &13u32.to_be_bytes()[..], &chunk, &sum, &[0; 64]].concat();
    refused("t.png", &png, &|path| photo::read(path).is_ok());
}

/// A run's folder whose settings or metrics are damaged: it goes on with the numbers that it began with, or
/// not at all.
fn runs(root: &Path) {
    let folder = root.join("run");
    let config = TrainConfig {
        steps: 3,
        batch: 2,
        size: Size { nx: 8, ny: 8 },
        levels: 1,
        net: UNetConfig { filters: vec![8], ..Default::default() },
        ..TrainConfig::default()
    };
    train(&config, config.plan().unwrap(), &Device::Cpu, Some(&folder), &mut Quiet).unwrap();
    let path = folder.join("config.toml");
    let changeable = |config: &TrainConfig| TrainConfig {
        steps: 0,
        max_dispatch_ms: 0,
        checkpoint_every: 0,
        jsonl: false,
        save_gradients: None,
        strict: false,
        device: String::new(),
        weights: None,
        data: None,
        observations: None,
        validation_data: None,
        ..config.clone()
    };
    let tally = damage("settings of a run", &path, true, |_| {
        let run = Resumed::open(&folder)?;
        Ok((changeable(&run.config), run.step()))
    });
    assert!(tally.same > 0, "the order of keys, and what is a matter of taste, may change");
    let run = Resumed::open(&folder).unwrap();
    let config = TrainConfig { steps: 4, ..config };
    let plan = run.plan(&config).unwrap();
    resume(run, &config, plan, &Device::Cpu, &mut Quiet).unwrap();
}
