//! Draws `assets/scene.png`, a photograph that nobody owns: spheres and a column on a tiled floor, under a
//! cloudy sky, with soft shadows, gloss and grain. Run it with `cargo run --release --example scene
//! assets/scene.png`.

use unheat::io::images::photo::{Depth, Photo};

type Vector = [f64; 3];

const WIDTH: usize = 512;
const HEIGHT: usize = 256;
/// Rays per pixel along each axis.
const RAYS: usize = 3;
const SUN: Vector = [-0.55, 0.62, -0.56];
const SPHERES: [(Vector, f64); 5] = [
    ([-2.3, 1.0, 5.2], 1.0),
    ([0.1, 0.75, 4.2], 0.75),
    ([1.25, 0.4, 3.3], 0.4),
    ([-0.85, 0.3, 3.0], 0.3),
    ([2.9, 1.2, 6.0], 1.2),
];

fn add(a: Vector, b: Vector, s: f64) -> Vector {
    [0, 1, 2].map(|i| a[i] + s * b[i])
}

fn dot(a: Vector, b: Vector) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn unit(a: Vector) -> Vector {
    a.map(|v| v / dot(a, a).sqrt())
}

fn mix(a: Vector, b: Vector, t: f64) -> Vector {
    [0, 1, 2].map(|i| a[i] + t.clamp(0.0, 1.0) * (b[i] - a[i]))
}

/// A number from 0 to 1 for every lattice point, always the same one.
fn lattice(x: i64, y: i64) -> f64 {
    let mut h =
        (x as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (y as u64).wrapping_mul(0xC2B2_AE3D_27D4_EB4F);
    h = (h ^ h >> 29).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    ((h ^ h >> 32) & 0xFFFF_FFFF) as f64 / 4_294_967_295.0
}

/// Smooth noise in `octaves` sizes, 0 to 1.
fn noise(x: f64, y: f64, octaves: u32) -> f64 {
    let (mut sum, mut weight, mut scale) = (0.0, 0.5, 1.0);
    for _ in 0..octaves {
        let (u, v) = (scale * x, scale * y);
        let smooth = |t: f64| (t - t.floor()).powi(2) * (3.0 - 2.0 * (t - t.floor()));
        let (i, j) = (u.floor() as i64, v.floor() as i64);
        let row = |j| lattice(i, j) + smooth(u) * (lattice(i + 1, j) - lattice(i, j));
        sum += weight * (row(j) + smooth(v) * (row(j + 1) - row(j)));
        (weight, scale) = (0.5 * weight, 2.03 * scale);
    }
    sum
}

/// Distance to the nearest surface and which one: 0 floor, 1 column, from 2 the spheres.
fn scene(p: Vector) -> (f64, usize) {
    let around = ((p[0] - 1.2).hypot(p[2] - 7.6)) - 0.55;
    let flutes = 0.035 * (12.0 * (p[2] - 7.6).atan2(p[0] - 1.2)).cos();
    let mut nearest = (p[1], 0);
    let spheres = SPHERES.iter().map(|&(centre, radius)| {
        let away = add(p, centre, -1.0);
        dot(away, away).sqrt() - radius
    });
    for (kind, distance) in std::iter::once(0.7 * (around + flutes)).chain(spheres).enumerate() {
        if distance < nearest.0 {
            nearest = (distance, kind + 1);
        }
    }
    nearest
}

fn march(from: Vector, along: Vector) -> Option<(Vector, usize)> {
    let mut way = 0.02;
    for _ in 0..200 {
        let p = add(from, along, way);
        let (distance, kind) = scene(p);
        if distance < 4e-4 * way.max(1.0) {
            return Some((p, kind));
        }
        way += distance;
        if way > 40.0 {
            break;
        }
    }
    None
}

/// How much of the sun is seen: less where a ray to it passes close to something.
fn sunlight(from: Vector) -> f64 {
    let (mut way, mut seen) = (0.03, 1.0f64);
    while way < 12.0 && seen > 0.0 {
        let distance = scene(add(from, unit(SUN), way)).0;
        seen = seen.min(14.0 * distance / way);
        way += distance.clamp(0.02, 0.4);
    }
    seen.clamp(0.0, 1.0)
}

fn sky(along: Vector) -> Vector {
    let height = along[1].max(0.02);
    let cloud = noise(1.3 * along[0] / height + 5.0, 1.3 * along[2] / height, 6);
    let blue = mix([0.80, 0.86, 0.92], [0.22, 0.42, 0.72], 1.8 * along[1]);
    mix(blue, [0.97, 0.96, 0.94], (3.2 * (cloud - 0.47)) * (6.0 * along[1]).min(1.0))
}

/// The surface's own colour, and how much it mirrors.
fn material(p: Vector, kind: usize) -> (Vector, f64) {
    match kind {
        0 => {
            let dark = (p[0].floor() + p[2].floor()).rem_euclid(2.0);
            let grain = noise(7.0 * p[0], 7.0 * p[2], 5) - 0.5;
            (mix([0.86, 0.80, 0.70], [0.30, 0.22, 0.20], dark).map(|v| v * (1.0 + 0.5 * grain)), 0.08)
        }
        1 => (
            [0.78, 0.75, 0.70].map(|v| v * (0.75 + 0.5 * noise(4.0 * p[0] + 9.0 * p[1], 6.0 * p[1], 5))),
            0.0,
        ),
        2 => {
            let rings = (14.0 * (p[1] + 0.25 * noise(2.0 * p[0], 2.0 * p[2], 4)) + 3.0 * p[0]).sin();
            (mix([0.55, 0.30, 0.14], [0.80, 0.54, 0.28], 0.5 + 0.5 * rings), 0.05)
        }
        3 => ([0.75, 0.76, 0.78], 0.65),
        4 => {
            let stripe = (9.0 * (p[0] + p[1])).sin() > 0.0;
            (if stripe { [0.90, 0.88, 0.84] } else { [0.70, 0.10, 0.12] }, 0.1)
        }
        5 => ([0.12, 0.38, 0.62], 0.25),
        _ => ([0.25, 0.42, 0.20].map(|v| v * (0.5 + noise(9.0 * p[0], 9.0 * p[1], 4))), 0.0),
    }
}

fn colour(from: Vector, along: Vector, mirrors: u32) -> Vector {
    let Some((p, kind)) = march(from, along) else { return sky(along) };
    let slope = |axis: usize| {
        let step = [0, 1, 2].map(|i| if i == axis { 1e-4 } else { 0.0 });
        scene(add(p, step, 1.0)).0 - scene(add(p, step, -1.0)).0
    };
    let normal = unit([slope(0), slope(1), slope(2)]);
    let (own, mirroring) = material(p, kind);
    let sun = dot(normal, unit(SUN)).max(0.0) * sunlight(add(p, normal, 2e-3));
    let open = (scene(add(p, normal, 0.25)).0 / 0.25).clamp(0.2, 1.0);
    let light = [1.05, 0.98, 0.86].map(|v| 0.95 * v * sun);
    let mut seen =
        [0, 1, 2].map(|i| own[i] * (light[i] + [0.24, 0.28, 0.34][i] * open * (0.6 + 0.4 * normal[1])));
    let bounced = add(along, normal, -2.0 * dot(along, normal));
    if mirroring > 0.0 && mirrors > 0 {
        seen = mix(seen, colour(add(p, normal, 2e-3), bounced, mirrors - 1), mirroring);
    }
    if kind > 1 {
        let gloss = dot(bounced, unit(SUN)).max(0.0).powi(60) * sun;
        seen = seen.map(|v| v + 0.6 * gloss);
    }
    let far = 1.0 - (-0.004 * dot(add(p, from, -1.0), add(p, from, -1.0))).exp();
    mix(seen, [0.80, 0.86, 0.92], far)
}

fn main() -> unheat::Result<()> {
    let path = std::env::args().nth(1).unwrap_or_else(|| "scene.png".into());
    let mut planes = vec![0.0; 3 * WIDTH * HEIGHT];
    for x in 0..WIDTH {
        for y in 0..HEIGHT {
            let mut sum = [0.0; 3];
            for ray in 0..RAYS * RAYS {
                let sub = |i: usize| (i as f64 + 0.5) / RAYS as f64;
                let u = (x as f64 + sub(ray % RAYS) - 0.5 * WIDTH as f64) / HEIGHT as f64;
                let v = (y as f64 + sub(ray / RAYS) - 0.5 * HEIGHT as f64) / HEIGHT as f64;
                sum = add(sum, colour([0.2, 1.25, -1.2], unit([u, v - 0.04, 1.35]), 2), 1.0);
            }
            for (plane, value) in sum.iter().enumerate() {
                // A display's gamma curve, as a camera applies it.
                let value = (value / (RAYS * RAYS) as f64).clamp(0.0, 1.0).powf(1.0 / 2.2);
                planes[(plane * WIDTH + x) * HEIGHT + y] = value;
            }
        }
    }
    Photo::new(WIDTH, HEIGHT, planes, Depth::Eight).write(path.as_ref())
}
