//! Training fields cut out of pictures.

use crate::io::arrays::fingerprint::{Fingerprint, Item, Kind};
use crate::io::arrays::npy::{FieldData, Fields};
use crate::io::images::format::{has_picture_name, list};
use crate::model::rng::{Purpose, Random};
use crate::{Error, Result};
use std::path::{Path, PathBuf};

/// Pictures in memory, every colour channel by itself.
pub struct Pictures {
    planes: Vec<Plane>,
    /// Of all channels, picture by picture.
    pub(crate) fingerprint: Fingerprint,
}

struct Plane {
    nx: usize,
    ny: usize,
    /// `[nx, ny]`, 0 to 1.
    values: Vec<f32>,
}

/// Whether a path names pictures and not an array: a folder, or a picture.
pub fn is_pictures(path: &Path) -> bool {
    path.is_dir() || has_picture_name(path)
}

impl Pictures {
    /// Reads a picture, or all pictures of a folder, each at least `nx` × `ny` pixels large.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::File`] for files that cannot be read, are smaller, or of which there is
    /// none; [`Error::File`] for all of them in a build without the feature `pictures`.
    pub fn read(path: &Path, nx: usize, ny: usize) -> Result<Self> {
        let (mut planes, mut items) = (Vec::new(), Vec::new());
        for file in files(path)? {
            let channels = channels(&file)?;
            items.extend(channels.first().map(|first| {
                let values = channels.iter().flat_map(|plane| &plane.values);
                Item::new([first.nx, first.ny], values.map(|&v| f64::from(v)))
            }));
            if let Some(Plane { nx: width, ny: height, .. }) =
                channels.iter().find(|plane| plane.nx < nx || plane.ny < ny)
            {
                return Err(Error::file(
                    &file,
                    format!(
                        "{width}x{height} pixels are fewer than the fields of {nx}x{ny}; choose a smaller \
                         --size"
                    ),
                ));
            }
            planes.extend(channels);
        }
        Ok(Self { planes, fingerprint: Fingerprint::new(Kind::Picture, &items) })
    }

    /// The fingerprint that [`Pictures::whole`] would have, of whatever sizes they are.
    pub(crate) fn fingerprint_as_fields(&self) -> Fingerprint {
        let item = |plane: &Plane| {
            Item::new([plane.nx, plane.ny], plane.values.iter().map(|&value| f64::from(value)))
        };
        let items: Vec<Item> = self.planes.iter().map(item).collect();
        Fingerprint::new(Kind::Field, &items)
    }

    /// A random piece of `nx` × `ny` pixels, mirrored or not along either axis. Every channel of every
    /// picture is as likely; the stream is keyed by (purpose, seed, step, sample).
    pub fn crop(
        &self,
        purpose: Purpose,
        seed: u64,
        step: u64,
        sample: u64,
        nx: usize,
        ny: usize,
    ) -> impl Iterator<Item = f64> {
        let mut random = Random::new(purpose, seed, step, sample);
        let mut below = |count: usize| (random.uniform() * count as f64) as usize;
        let plane = &self.planes[below(self.planes.len())];
        let (x0, y0) = (below(plane.nx - nx + 1), below(plane.ny - ny + 1));
        let [mirror_x, mirror_y] = [below(2) == 1, below(2) == 1];
        (0..nx * ny).map(move |i| {
            let (x, y) = (i / ny, i % ny);
            let (x, y) = (if mirror_x { nx - 1 - x } else { x }, if mirror_y { ny - 1 - y } else { y });
            f64::from(plane.values[(x0 + x) * plane.ny + y0 + y])
        })
    }

    /// The pictures as they are, `[count, nx, ny]`: for observations, of which a piece would lack what its
    /// surroundings have given it.
    ///
    /// # Errors
    /// [`Error::File`] when a picture has another size.
    pub fn whole(path: &Path, nx: usize, ny: usize) -> Result<Fields> {
        let pictures = Self::read(path, nx, ny)?;
        if let Some(plane) = pictures.planes.iter().find(|plane| (plane.nx, plane.ny) != (nx, ny)) {
            let (width, height) = (plane.nx, plane.ny);
            return Err(Error::file(
                path,
                format!(
                    "observed pictures must be as large as the fields, {nx}x{ny}; found {width}x{height}: \
                     choose another --size"
                ),
            ));
        }
        let count = pictures.planes.len();
        let values = pictures.planes.into_iter().flat_map(|plane| plane.values).collect();
        Ok(Fields { shape: [count, nx, ny], data: FieldData::F32(values), rank2: false })
    }
}

/// The colour channels of a picture.
#[cfg(feature = "pictures")]
fn channels(path: &Path) -> Result<Vec<Plane>> {
    let picture = crate::io::images::photo::read(path)?;
    let (nx, ny) = (picture.nx, picture.ny);
    let narrow = |plane: &[f64]| plane.iter().map(|&v| v as f32).collect();
    Ok(picture.planes.chunks_exact(nx * ny).map(|plane| Plane { nx, ny, values: narrow(plane) }).collect())
}

#[cfg(not(feature = "pictures"))]
fn channels(path: &Path) -> Result<Vec<Plane>> {
    let what = "a picture, which this build of unheat cannot read; build it with the feature `pictures`";
    Err(Error::file(path, what))
}

fn files(path: &Path) -> Result<Vec<PathBuf>> {
    if path.is_dir() { list(path) } else { Ok(vec![path.to_owned()]) }
}

#[cfg(all(test, feature = "pictures"))]
mod tests {
    use super::*;
    use crate::io::images::photo::{Depth, Photo};

    /// A picture whose every pixel tells where it is.
    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let values = (0..12 * 20).map(|i| f64::from(i) / 65535.0).collect();
        Photo::new(12, 20, values, Depth::Sixteen).write(&folder.path().join("a.png")).unwrap();
        folder
    }

    #[test]
    fn crops_are_pieces_of_the_picture_mirrored_or_not() {
        let folder = folder();
        let pictures = Pictures::read(folder.path(), 8, 8).unwrap();
        let mut kinds = std::collections::HashSet::new();
        for sample in 0..100 {
            let crop: Vec<i64> = pictures
                .crop(Purpose::Cases, 0, 0, sample, 8, 8)
                .map(|v| (v * 65535.0).round() as i64)
                .collect();
            let (along_y, along_x) = (crop[1] - crop[0], crop[8] - crop[0]);
            assert!(along_y.abs() == 1 && along_x.abs() == 20, "{along_x} {along_y}");
            for (i, &value) in crop.iter().enumerate() {
                assert_eq!(value, crop[0] + along_x * (i as i64 / 8) + along_y * (i as i64 % 8));
            }
            kinds.insert((along_x, along_y));
        }
        assert_eq!(kinds.len(), 4);
        let again = |sample| pictures.crop(Purpose::Cases, 1, 2, sample, 8, 8).collect::<Vec<_>>();
        assert_eq!(again(3), again(3));
        assert_ne!(again(3), again(4));
    }

    #[test]
    fn pictures_of_the_wrong_size_are_refused_by_name() {
        let folder = folder();
        let message = |result: Result<()>| result.unwrap_err().to_string();
        let small = message(Pictures::read(folder.path(), 16, 8).map(|_| ()));
        assert!(small.contains("a.png") && small.contains("smaller --size"), "{small}");
        let other = message(Pictures::whole(folder.path(), 8, 8).map(|_| ()));
        assert!(other.contains("12x20"), "{other}");
        assert_eq!(Pictures::whole(folder.path(), 12, 20).unwrap().shape, [1, 12, 20]);
        let empty = tempfile::tempdir().unwrap();
        assert!(message(Pictures::read(empty.path(), 8, 8).map(|_| ())).contains("no picture"));
    }
}
