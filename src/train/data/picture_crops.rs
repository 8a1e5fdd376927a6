//! Training fields cut out of pictures.

use crate::io::arrays::fingerprint::{Fingerprint, Item, Kind};
use crate::io::arrays::npy::{FieldData, Fields};
use crate::io::images::folder::{LeftOut, list};
use crate::model::rng::{Purpose, Random};
use crate::train::found::Found;
use crate::{Error, Result};
use std::path::{Path, PathBuf};

/// Pictures in memory, every colour channel by itself, in samples as their files have them.
pub struct Pictures {
    planes: Vec<Plane>,
    /// Of all channels, picture by picture.
    pub(crate) fingerprint: Fingerprint,
    /// How many there are.
    pub count: usize,
    /// Members of the folder that are not among them.
    pub left_out: Vec<LeftOut>,
}

struct Plane {
    nx: usize,
    ny: usize,
    /// `[nx, ny]`
    samples: Samples,
}

/// Values of a field: intensities as the samples that they were, others in 32 bits.
#[cfg_attr(not(feature = "pictures"), allow(dead_code))] // there is nothing that makes them
enum Samples {
    Eight(Vec<u8>),
    Sixteen(Vec<u16>),
    Float(Vec<f32>),
}

impl Samples {
    /// Values that may be samples over `white`. Where one is none, since what was hidden in the picture has
    /// been filled in, all stay what they are.
    #[cfg(feature = "pictures")]
    fn of(values: &[f64], white: f64) -> Self {
        let exact = |value: f64| {
            let sample = (value * white).round();
            ((sample / white) as f32 == value as f32).then_some(sample)
        };
        let eight = || values.iter().map(|&v| exact(v).map(|sample| sample as u8)).collect();
        let sixteen = || values.iter().map(|&v| exact(v).map(|sample| sample as u16)).collect();
        let samples = match white {
            255.0 => Option::map(eight(), Self::Eight),
            65535.0 => Option::map(sixteen(), Self::Sixteen),
            _ => None,
        };
        samples.unwrap_or_else(|| Self::Float(values.iter().map(|&v| v as f32).collect()))
    }

    fn at(&self, cell: usize) -> f32 {
        match self {
            Self::Eight(samples) => (f64::from(samples[cell]) / 255.0) as f32,
            Self::Sixteen(samples) => (f64::from(samples[cell]) / 65535.0) as f32,
            Self::Float(values) => values[cell],
        }
    }
}

impl Plane {
    fn values(&self) -> impl Iterator<Item = f32> {
        (0..self.nx * self.ny).map(|cell| self.samples.at(cell))
    }
}

impl Pictures {
    /// Reads a picture, or all pictures of a folder, each at least `nx` × `ny` pixels large. Members of a
    /// folder that cannot be used are left out, unless `strict` makes the first of them an error.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::File`] for a file that cannot be read or is smaller, for a folder without
    /// any that can be used, and where there is not enough memory; [`Error::File`] for all of them in a build
    /// without the feature `pictures`.
    pub fn read(path: &Path, nx: usize, ny: usize, strict: bool) -> Result<Self> {
        Self::read_those(path, strict, |width, height| {
            let fits = width >= nx && height >= ny;
            (!fits).then(|| {
                format!(
                    "{width}x{height} pixels are fewer than the fields of {nx}x{ny}; choose a smaller --size"
                )
            })
        })
    }

    /// Those pictures whose size `refused` has no words against.
    fn read_those(
        path: &Path,
        strict: bool,
        refused: impl Fn(usize, usize) -> Option<String>,
    ) -> Result<Self> {
        let one = |file: &Path| {
            let planes = channels(file)?;
            match planes.first().and_then(|plane| refused(plane.nx, plane.ny)) {
                None => Ok(planes),
                Some(why) => Err(Error::file(file, why)),
            }
        };
        if !path.is_dir() {
            return Ok(Self::of(vec![one(path)?], Vec::new()));
        }
        let listing = list(path)?;
        let (mut planes, mut left_out) = (Vec::new(), listing.left_out);
        if let Some(first) = left_out.iter().find(|left| strict && left.is_loss) {
            return Err(first.error());
        }
        check_room(path, &listing.pictures)?;
        for file in &listing.pictures {
            match one(file) {
                Ok(own) => planes.push(own),
                Err(error) if strict => return Err(error),
                Err(error) => left_out.push(LeftOut::of(file, error)?),
            }
        }
        if let (true, Some(last)) = (planes.is_empty(), left_out.iter().rfind(|left| left.is_loss)) {
            let count = listing.pictures.len();
            return Err(Error::file(path, format!("none of its {count} pictures can be used: {}", last.why)));
        }
        Ok(Self::of(planes, left_out))
    }

    /// How many there are, and what values they have.
    pub fn found(&self) -> Found {
        Found::new(Some(self.count), self.planes.len(), self.planes.iter().flat_map(Plane::values))
    }

    fn of(planes: Vec<Vec<Plane>>, left_out: Vec<LeftOut>) -> Self {
        let item = |channels: &Vec<Plane>| {
            let first = channels.first()?;
            Some(Item::new([first.nx, first.ny], channels.iter().flat_map(Plane::values).map(f64::from)))
        };
        let items: Vec<Item> = planes.iter().filter_map(item).collect();
        let (fingerprint, count) = (Fingerprint::new(Kind::Picture, &items), planes.len());
        Self { planes: planes.into_iter().flatten().collect(), fingerprint, count, left_out }
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
            f64::from(plane.samples.at((x0 + x) * plane.ny + y0 + y))
        })
    }

    /// The pictures as they are, `[count, nx, ny]`: for observations, of which a piece would lack what its
    /// surroundings have given it. Those of another size are left out.
    ///
    /// # Errors
    /// As [`Pictures::read`].
    pub fn whole(path: &Path, nx: usize, ny: usize, strict: bool) -> Result<(Fields, Self)> {
        let mut pictures = Self::read_those(path, strict, |width, height| {
            ((width, height) != (nx, ny)).then(|| {
                format!(
                    "observed pictures must be as large as the fields, {nx}x{ny}; found {width}x{height}: \
                     choose another --size"
                )
            })
        })?;
        let planes = std::mem::take(&mut pictures.planes);
        let shape = [planes.len(), nx, ny];
        let data = FieldData::F32(planes.iter().flat_map(Plane::values).collect());
        Ok((Fields { shape, data, rank2: false }, pictures))
    }
}

/// The colour channels of a picture.
#[cfg(feature = "pictures")]
fn channels(path: &Path) -> Result<Vec<Plane>> {
    let picture = crate::io::images::photo::read(path)?;
    let (nx, ny, white) = (picture.nx, picture.ny, picture.depth.white());
    let planes = picture.planes.chunks_exact(nx * ny);
    Ok(planes.map(|plane| Plane { nx, ny, samples: Samples::of(plane, white) }).collect())
}

#[cfg(not(feature = "pictures"))]
fn channels(path: &Path) -> Result<Vec<Plane>> {
    let what = "a picture, which this build of unheat cannot read; build it with the feature `pictures`";
    Err(Error::file(path, what))
}

/// Refuses the pictures of `path` where they do not fit into memory together, by what their files tell before
/// any is read: how many would, if they are much alike. That one is too large is told when it is read.
#[cfg(feature = "pictures")]
fn check_room(path: &Path, files: &[PathBuf]) -> Result<()> {
    use crate::io::images::photo::needed;
    use crate::io::memory;
    let all: Vec<_> = files.iter().filter_map(|file| needed(file)).collect();
    let kept = all.iter().fold(0u64, |sum, one| sum.saturating_add(one.kept));
    let reading = all.iter().map(|one| one.reading).max().unwrap_or(0);
    let Some(free) = memory::available().filter(|&free| all.len() > 1 && kept.saturating_add(reading) > free)
    else {
        return Ok(());
    };
    let (count, words) = (all.len() as u64, memory::words);
    let fits = free.saturating_sub(reading) / (kept / count).max(1);
    let (needed, free) = (words(kept.saturating_add(reading)), words(free));
    Err(Error::file(
        path,
        format!(
            "{count} pictures need {needed}, {free} are available; about {fits} of them fit: use smaller \
             pictures or a part of them"
        ),
    ))
}

#[cfg(not(feature = "pictures"))]
fn check_room(_: &Path, _: &[PathBuf]) -> Result<()> {
    Ok(())
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
        let pictures = Pictures::read(folder.path(), 8, 8, false).unwrap();
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
    fn values_are_those_of_the_file_whatever_they_are_kept_in() {
        for white in [255.0, 65535.0] {
            let values: Vec<f64> = (0..=white as usize).map(|sample| sample as f64 / white).collect();
            let samples = Samples::of(&values, white);
            assert!(!matches!(samples, Samples::Float(_)));
            for (cell, &value) in values.iter().enumerate() {
                assert_eq!(samples.at(cell), value as f32);
            }
        }
        // What was hidden in a picture has a colour between samples.
        for (values, white) in [([0.5, 0.3], 255.0), ([-0.1, 1.5], 255.0), ([300.25, -2.0], 1.0)] {
            let samples = Samples::of(&values, white);
            assert!(matches!(samples, Samples::Float(_)));
            assert_eq!([samples.at(0), samples.at(1)], values.map(|value| value as f32));
        }
    }

    #[test]
    fn pictures_of_the_wrong_size_are_refused_by_name() {
        let folder = folder();
        let message = |result: Result<()>| result.unwrap_err().to_string();
        let small = message(Pictures::read(folder.path(), 16, 8, false).map(|_| ()));
        assert!(small.contains("none of its 1 pictures") && small.contains("smaller --size"), "{small}");
        let other = message(Pictures::whole(folder.path(), 8, 8, false).map(|_| ()));
        assert!(other.contains("12x20"), "{other}");
        assert_eq!(Pictures::whole(folder.path(), 12, 20, false).unwrap().0.shape, [1, 12, 20]);
        let empty = tempfile::tempdir().unwrap();
        assert!(message(Pictures::read(empty.path(), 8, 8, false).map(|_| ())).contains("no picture"));
    }
}
