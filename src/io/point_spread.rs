//! Point spread functions from files.

use crate::io::arrays::npy;
use crate::io::images::format::has_picture_name;
use crate::model::operator::amounts::Amounts;
use crate::model::operator::factor::Factor;
use crate::model::operator::formula::Formula;
use crate::model::operator::point_spread::PointSpread;
use crate::{Error, Result};
use std::path::Path;

/// The factors of an operator in words, with the files that it names.
///
/// # Errors
/// Those of [`read`]; [`Error::Usage`] for amounts out of range.
pub fn factors(formula: &Formula, amounts: Amounts) -> Result<Vec<Factor>> {
    formula.factors(amounts, read)
}

/// Reads a point spread function: an array `[x, y]`, or a picture, whose colours are averaged.
///
/// # Errors
/// [`Error::Io`] and [`Error::File`] for a file that cannot be read, for several fields or pages, and for
/// values whose sum is not positive.
pub fn read(path: &Path) -> Result<PointSpread> {
    if path.is_dir() {
        return Err(Error::file(path, "a folder; a point spread function is one .npy array or picture"));
    }
    let (nx, ny, values) = if has_picture_name(path) { picture(path)? } else { array(path)? };
    PointSpread::new(nx, ny, values).map_err(|error| Error::file(path, error.to_string()))
}

fn array(path: &Path) -> Result<(usize, usize, Vec<f64>)> {
    let fields = npy::read(path)?;
    let [count, nx, ny] = fields.shape;
    if count > 1 {
        let what = format!("holds {count} fields; a point spread function is one, [x, y]");
        return Err(Error::file(path, what));
    }
    Ok((nx, ny, fields.data.into_f64()))
}

#[cfg(feature = "pictures")]
fn picture(path: &Path) -> Result<(usize, usize, Vec<f64>)> {
    let photo = crate::io::images::photo::read(path)?;
    if photo.pages > 1 {
        let what = format!("holds {} pages; name a file with the one that is in focus", photo.pages);
        return Err(Error::file(path, what));
    }
    let (cells, channels) = (photo.nx * photo.ny, photo.channels());
    let mean = |cell: usize| photo.planes.iter().skip(cell).step_by(cells).sum::<f64>() / channels as f64;
    Ok((photo.nx, photo.ny, (0..cells).map(mean).collect()))
}

#[cfg(not(feature = "pictures"))]
fn picture(path: &Path) -> Result<(usize, usize, Vec<f64>)> {
    Err(Error::file(path, "this build of unheat knows no pictures; build it with the feature `pictures`"))
}
