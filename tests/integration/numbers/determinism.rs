//! The same run gives the same bytes: across processes, thread counts, storages, and whoever watches. And a
//! kernel with a race, which shows that comparing bytes can fail.

use crate::support::runs::{SMALL, assert_same, command, said};
use crate::support::{adapters, devices};
use std::fs;
use std::path::Path;
use tempfile::tempdir;
use unheat::blocking::block_on;
use unheat::engine::{Device, DeviceChoice};
use unheat::io::tables::metrics::MetricsRow;
use unheat::model::{DType, UNetConfig};
use unheat::train::{Progress, Size, TrainConfig, train};

fn trained(folder: &Path, flags: &str, environment: &[(&str, &str)]) {
    let arguments = format!("{SMALL} --steps 12 --jsonl {flags} -o {}", folder.display());
    let output = command(&arguments).envs(environment.iter().copied()).output().unwrap();
    assert!(output.status.success(), "{arguments}: {}", said(&output));
}

#[test]
fn threads_and_processes_change_nothing() {
    let root = tempdir().unwrap();
    let mut runs = 0;
    for device in devices() {
        let mut storages = vec![""];
        if let Ok(index) = device.parse() {
            let Ok(Device::Gpu(gpu)) = Device::open(&DeviceChoice::Index(index)) else { panic!("{device}") };
            if gpu.stores_in(DType::F16) {
                storages.push("--activations f16");
            }
        }
        for (i, storage) in storages.iter().enumerate() {
            let flags = format!("--device {device} {storage}").trim_end().to_owned();
            let first = root.path().join(format!("{device}-{i}"));
            trained(&first, &flags, &[]);
            // lavapipe's threads and the CPU engine's; other adapters pass over the former.
            for threads in ["1", "2", "3"] {
                let again = root.path().join(format!("{device}-{i}-{threads}"));
                trained(&again, &flags, &[("LP_NUM_THREADS", threads), ("RAYON_NUM_THREADS", threads)]);
                // config.toml names the device, the CPU engine with its threads.
                fs::copy(first.join("config.toml"), again.join("config.toml")).unwrap();
                assert_same(&first, &again);
                runs += 1;
            }
        }
    }
    println!("torture: {runs} processes with 1 to 3 threads: byte-identical to the first");
}

/// Says nothing, or asks for everything.
struct Watcher {
    rows: usize,
}

impl Progress for Watcher {
    fn step(&mut self, row: &MetricsRow, _: u64) {
        assert_eq!(row.step as usize, self.rows);
        self.rows += 1;
        std::thread::sleep(std::time::Duration::from_millis(self.rows as u64 % 3 * 20));
    }
}

/// The library with a slow onlooker, and the command line: the losses come to the host in another rhythm.
#[test]
fn whoever_watches_changes_nothing() {
    let root = tempdir().unwrap();
    for device in devices() {
        let [command_line, library] =
            ["command", "library"].map(|name| root.path().join(format!("{name}-{device}")));
        trained(&command_line, &format!("--device {device}"), &[]);
        let config = TrainConfig {
            steps: 12,
            batch: 2,
            size: Size { nx: 16, ny: 16 },
            levels: 2,
            net: UNetConfig { filters: vec![8], ..Default::default() },
            seed: 3,
            jsonl: true,
            device: device.clone(),
            ..TrainConfig::default()
        };
        let Ok(choice) = device.parse::<DeviceChoice>();
        let device = Device::open(&choice).unwrap();
        let mut watcher = Watcher { rows: 0 };
        train(&config, config.plan().unwrap(), &device, Some(&library), &mut watcher).unwrap();
        assert_eq!(watcher.rows, 12);
        assert_same(&command_line, &library);
    }
}

/// Every workgroup takes the next place in a list, whoever comes first: what the house's rules forbid.
const RACE: &str = "
@group(0) @binding(0) var<storage, read_write> taken: atomic<u32>;
@group(0) @binding(1) var<storage, read_write> order: array<u32>;

@compute @workgroup_size(1)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>) {
    var x = workgroup.x;
    for (var i = 0u; i < 100000u + workgroup.x % 7u * 20000u; i++) {
        x = x * 1664525u + 1013904223u;
    }
    let place = atomicAdd(&taken, 1u);
    order[place] = workgroup.x + select(0u, 1u, x == 7u); // so that the loop is not left out
}
";

const WORKGROUPS: u32 = 256;

fn raced(device: &wgpu::Device, queue: &wgpu::Queue, pipeline: &wgpu::ComputePipeline) -> Vec<u32> {
    let buffer = |size: u32, usage| {
        let size = 4 * u64::from(size);
        device.create_buffer(&wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false })
    };
    let storage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC;
    let (taken, order) = (buffer(1, storage), buffer(WORKGROUPS, storage));
    let staging = buffer(WORKGROUPS, wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST);
    let resources = [taken.as_entire_binding(), order.as_entire_binding()];
    let entries: Vec<_> =
        (0..).zip(resources).map(|(binding, resource)| wgpu::BindGroupEntry { binding, resource }).collect();
    let group = device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: None,
        layout: &pipeline.get_bind_group_layout(0),
        entries: &entries,
    });
    let mut encoder = device.create_command_encoder(&Default::default());
    let mut pass = encoder.begin_compute_pass(&Default::default());
    pass.set_pipeline(pipeline);
    pass.set_bind_group(0, &group, &[]);
    pass.dispatch_workgroups(WORKGROUPS, 1, 1);
    drop(pass);
    encoder.copy_buffer_to_buffer(&order, 0, &staging, 0, staging.size());
    queue.submit([encoder.finish()]);
    staging.map_async(wgpu::MapMode::Read, .., |result| result.unwrap());
    device.poll(wgpu::PollType::wait_indefinitely()).unwrap();
    bytemuck::pod_collect_to_vec(&staging.get_mapped_range(..).unwrap())
}

#[test]
fn a_racy_kernel_is_caught_by_comparing_bytes() {
    const TRIES: usize = 100;
    for adapter in adapters() {
        let (device, queue) = block_on(adapter.request_device(&Default::default())).unwrap();
        let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: None,
            source: wgpu::ShaderSource::Wgsl(RACE.into()),
        });
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: None,
            layout: None,
            module: &module,
            entry_point: None,
            compilation_options: Default::default(),
            cache: None,
        });
        let first = raced(&device, &queue, &pipeline);
        let mut sorted = first.clone();
        sorted.sort_unstable();
        assert!(sorted.into_iter().eq(0..WORKGROUPS), "every workgroup takes one place");
        let caught = (1..TRIES).find(|_| raced(&device, &queue, &pipeline) != first);
        let name = adapter.get_info().name;
        let caught = caught.unwrap_or_else(|| panic!("{name}: a race came out the same {TRIES} times"));
        println!("torture: racy kernel on {name}: other bytes in run {caught}");
    }
}
