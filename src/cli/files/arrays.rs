//! What the commands on arrays share: reading fields, writing them back in the same dtype and rank.

use crate::cli::files::input::Input;
use crate::cli::files::output;
use crate::cli::findings::Findings;
use crate::io::arrays::npy::{FieldData, Fields};
use crate::model::{DType, operator};
use crate::restore::measurement::edges::not_periodic;
use crate::{Error, Result};
use std::path::Path;

/// Doubts that fields `[batch, nx, ny]` are periodic, where their opposite edges do not fit together.
pub(crate) fn doubt_edges(findings: &mut Findings, fields: &[f64], nx: usize, ny: usize) {
    let worst = fields
        .chunks_exact(nx * ny)
        .filter_map(|field| not_periodic(field, nx, ny))
        .max_by(|a, b| a.1.total_cmp(&b.1));
    findings.doubts(worst.map(|(axis, ratio)| {
        format!(
            "opposite edges along {axis} differ {ratio:.1} times as much as neighbours inside: if the field \
             is not periodic, use --edges insulated (--edges periodic says that it is)"
        )
    }));
}

/// "1 field of 32x32 cells", "3 fields of 32x32 cells".
pub(crate) fn counted([count, nx, ny]: [usize; 3]) -> String {
    format!("{count} field{} of {nx}x{ny} cells", if count == 1 { "" } else { "s" })
}

/// Doubts that an array is one of fields `[batch, x, y]`, where its last axis is that of colours.
pub(crate) fn doubt_axes(findings: &mut Findings, [count, nx, ny]: [usize; 3]) {
    let has_colours_last = (3..=4).contains(&ny) && count.min(nx) >= 32;
    findings.doubts(has_colours_last.then(|| {
        format!(
            "{count} fields of {nx}x{ny} cells were taken, which looks like one of {count}x{nx} cells with \
             {ny} colours last; bring the colours to the front: numpy.moveaxis(a, -1, 0)"
        )
    }));
}

/// Reads fields and checks that the reference system's operators work on their grid.
pub(crate) fn read_on_grid(input: &Input) -> Result<Fields> {
    let fields = input.array(16)?;
    let [_, nx, ny] = fields.shape;
    operator::check_size(nx, ny).map_err(|error| Error::file(&input.name, error.to_string()))?;
    Ok(fields)
}

/// The numbers in 64 bits.
pub(crate) fn widen(data: &FieldData) -> Vec<f64> {
    match data {
        FieldData::F32(values) => values.iter().map(|&v| f64::from(v)).collect(),
        FieldData::F64(values) => values.clone(),
    }
}

/// The width of the numbers in a file.
pub(crate) fn precision(data: &FieldData) -> DType {
    match data {
        FieldData::F32(_) => DType::F32,
        FieldData::F64(_) => DType::F64,
    }
}

/// `values` in this dtype, to be written to `path`; an error if one of them is not a finite number there.
pub(crate) fn narrow(path: &Path, values: Vec<f64>, dtype: DType) -> Result<FieldData> {
    let data = match dtype {
        DType::F16 | DType::F32 => FieldData::F32(values.into_iter().map(|v| v as f32).collect()),
        DType::F64 => FieldData::F64(values),
    };
    let finite = match &data {
        FieldData::F32(values) => values.iter().all(|v| v.is_finite()),
        FieldData::F64(values) => values.iter().all(|v| v.is_finite()),
    };
    if !finite {
        return Err(Error::file(
            path,
            "not written: a result is not finite; the input is too large (try --physics f64)",
        ));
    }
    Ok(data)
}

/// Writes `values` in the dtype, shape and rank of `like`.
pub(crate) fn write_like(path: &Path, values: Vec<f64>, like: &Fields) -> Result<()> {
    let data = narrow(path, values, precision(&like.data))?;
    output::array(path, &Fields { shape: like.shape, data, rank2: like.rank2 })
}
