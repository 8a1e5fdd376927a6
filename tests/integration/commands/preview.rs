//! Looking on changes nothing: with and without previews the same weights come out, bit for bit, on both
//! engines.

use std::path::Path;
use unheat::engine::{Device, DeviceChoice};
use unheat::io::arrays::weights;
use unheat::io::tables::metrics::MetricsRow;
use unheat::model::UNetConfig;
use unheat::train::{Preview, Progress, Size, TrainConfig, train};

/// Asks for a preview after every step, or never.
struct Onlooker {
    curious: bool,
    seen: Vec<Vec<f32>>,
    truth: Option<Vec<f32>>,
}

impl Progress for Onlooker {
    fn step(&mut self, _: &MetricsRow, _: u64) {}

    fn wants_preview(&mut self) -> bool {
        self.curious
    }

    fn preview(&mut self, preview: &Preview) {
        assert_eq!(preview.observation.len(), preview.nx * preview.ny);
        self.truth = preview.truth.map(<[f32]>::to_vec);
        self.seen.push(preview.prediction.clone());
    }
}

fn trained(device: &Device, curious: bool, folder: &Path) -> (Vec<f32>, Onlooker) {
    let config = TrainConfig {
        steps: 4,
        batch: 2,
        size: Size { nx: 16, ny: 8 },
        levels: 2,
        net: UNetConfig { filters: vec![8], ..Default::default() },
        ..TrainConfig::default()
    };
    let mut onlooker = Onlooker { curious, seen: Vec::new(), truth: None };
    train(&config, config.plan().unwrap(), device, Some(folder), &mut onlooker).unwrap();
    let (_, state) = weights::read(&folder.join("weights.safetensors")).unwrap();
    ([state.params, state.buffers].concat(), onlooker)
}

#[test]
fn previews_do_not_change_the_training() {
    let gpu = Device::open(&DeviceChoice::Index(0)).expect("no adapter: run scripts/setup");
    for device in [Device::Cpu, gpu] {
        let folder = tempfile::tempdir().unwrap();
        let (with, onlooker) = trained(&device, true, &folder.path().join("with"));
        let (without, nobody) = trained(&device, false, &folder.path().join("without"));
        assert_eq!(with, without, "{}", device.describe());
        assert_eq!((onlooker.seen.len(), nobody.seen.len()), (4, 0));
        assert!(onlooker.seen.windows(2).all(|pair| pair[0] != pair[1]), "the network learns");
        // Rectangles have heat somewhere; and diffusion, as the mean shift, keeps how much.
        let total = |field: &[f32]| field.iter().map(|&v| f64::from(v)).sum::<f64>();
        let truth = total(&onlooker.truth.unwrap());
        assert!(truth > 0.0 && (total(&onlooker.seen[3]) - truth).abs() < 1e-3 * truth);
    }
}
