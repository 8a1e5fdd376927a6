//! Applies a network to pictures of any size, in mirrored tiles that are blended without seams.

use crate::Result;
use crate::engine::device::Device;
use crate::engine::predictor::{Norm, Trained, predict};
use crate::restore::network::tiles::{Rules, Tiling};

/// The usual longest side of a tile. Deeper networks see farther and get larger tiles.
const LARGEST_TILE: usize = 256;

/// The network takes about this many cells at a time where the number of tiles does not affect the result.
const CHUNK: usize = 1 << 18;

/// Predicts x for observed `planes` `[planes, nx, ny]` of any size. Insulated diffusion preserves the mean,
/// so each prediction gets the mean of its plane.
///
/// With [`Norm::Running`] every tile is normalised by the same running statistics. With [`Norm::Batch`] all
/// tiles of all planes share their batch statistics, or `batch` tiles at a time do.
///
/// # Errors
/// Those of [`predict`]; [`Error::Usage`](crate::Error::Usage) for planes without cells.
pub fn reconstruct_planes(
    device: &Device,
    trained: Trained,
    batch: Option<usize>,
    planes: &[f64],
    nx: usize,
    ny: usize,
) -> Result<Vec<f64>> {
    // Two cells of the coarsest level, in cells of the picture: most of what a prediction depends on is
    // nearer.
    let guard = 2 << trained.net.config.levels();
    let rules = Rules { largest: LARGEST_TILE.max(8 * guard), guard, mirrored: false };
    let tiling = Tiling::new(nx, ny, rules)?;
    let [tx, ty] = tiling.tile();
    let mut tiles = Vec::new();
    for plane in planes.chunks_exact(nx * ny) {
        (0..tiling.count()).for_each(|index| tiling.cut(plane, index, &mut tiles));
    }
    let count = tiles.len() / (tx * ty);
    let batch = batch.unwrap_or(match trained.norm {
        Norm::Batch => count,
        Norm::Running => (CHUNK / (tx * ty)).max(1),
    });
    let observed: Vec<f32> = tiles.iter().map(|&v| v as f32).collect();
    let predicted = predict(device, trained, batch, &observed, tx, ty)?;
    let mut results = vec![0.0; planes.len()];
    for (tile, predicted) in predicted.chunks_exact(tx * ty).enumerate() {
        let (plane, index) = (tile / tiling.count(), tile % tiling.count());
        let predicted: Vec<f64> = predicted.iter().map(|&v| v.into()).collect();
        tiling.blend(&predicted, index, &mut results[plane * nx * ny..][..nx * ny]);
    }
    for (result, plane) in results.chunks_exact_mut(nx * ny).zip(planes.chunks_exact(nx * ny)) {
        let missing = (plane.iter().sum::<f64>() - result.iter().sum::<f64>()) / (nx * ny) as f64;
        result.iter_mut().for_each(|v| *v += missing);
    }
    Ok(results)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::unet::init::State;
    use crate::model::{Padding, UNet, UNetConfig};

    #[test]
    fn tiles_leave_no_seam() {
        let net = UNet::new(&UNetConfig::new(2, &[8], Padding::Circular).unwrap());
        let state = State::new(&net, 3);
        let (nx, ny) = (400, 30);
        let plane: Vec<f64> = (0..nx * ny)
            .map(|i| 0.5 + 0.4 * (0.05 * (i / ny) as f64).sin() * (0.2 * (i % ny) as f64).cos())
            .collect();
        let trained = Trained { net: &net, state: &state, norm: Norm::Running };
        let tiled = reconstruct_planes(&Device::Cpu, trained, None, &plane, nx, ny).unwrap();
        // In one piece, with mirror images all around.
        let whole = Tiling::new(nx, ny, Rules { largest: 512, guard: 16, mirrored: false }).unwrap();
        let [tx, ty] = whole.tile();
        let mut tile = Vec::new();
        whole.cut(&plane, 0, &mut tile);
        let tile: Vec<f32> = tile.iter().map(|&v| v as f32).collect();
        let one = predict(&Device::Cpu, trained, 1, &tile, tx, ty).unwrap();
        let one: Vec<f64> = one.into_iter().map(f64::from).collect();
        let mut reference = vec![0.0; nx * ny];
        whole.blend(&one, 0, &mut reference);
        let centred = |v: &[f64]| {
            let mean = v.iter().sum::<f64>() / v.len() as f64;
            v.iter().map(|v| v - mean).collect::<Vec<_>>()
        };
        let (tiled_mean, plane_mean) = (tiled.iter().sum::<f64>(), plane.iter().sum::<f64>());
        assert!((tiled_mean - plane_mean).abs() < 1e-6 * plane_mean);
        let (tiled, reference) = (centred(&tiled), centred(&reference));
        let range = crate::model::quality::range(&reference);
        // Tiles differ by their means, which go over into each other; a seam would be a jump between columns.
        let step = |v: &[f64], i: usize| v[i + ny] - v[i];
        let worst =
            (0..(nx - 1) * ny).map(|i| (step(&tiled, i) - step(&reference, i)).abs()).fold(0.0, f64::max);
        println!("range {range}, worst jump {worst}");
        assert!(range > 0.0 && worst <= 0.02 * range, "a jump of {worst} in a range of {range}");
    }

    #[test]
    fn a_picture_without_cells_is_refused() {
        let net = UNet::new(&UNetConfig::new(2, &[8], Padding::Circular).unwrap());
        let state = State::new(&net, 3);
        let trained = Trained { net: &net, state: &state, norm: Norm::Running };
        assert!(reconstruct_planes(&Device::Cpu, trained, None, &[], 0, 5).is_err());
    }
}
