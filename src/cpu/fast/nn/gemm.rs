//! Products of small matrices whose blocks stay in registers: what every convolution comes down to.
//!
//! Rows are cells or tiles, columns are channels, side by side in memory. Each element of a product is one
//! sum in the order of k, whatever the width of the machine's registers: all machines with fused
//! multiply-adds round alike.

use fearless_simd::{Simd, SimdBase, SimdFloat, f32x8, f32x16};

/// Channels side by side that one block of a product has.
pub(crate) const COLUMNS: usize = 16;

/// Repeats an expression for each row: with constant indices the sums stay in registers, where a loop would
/// keep them in memory.
macro_rules! unrolled {
    ($rows:expr, $r:ident => $each:expr) => {
        unrolled!(@ $rows, $r, $each, 0 1 2 3 4 5 6 7 8 9 10 11)
    };
    (@ $rows:expr, $r:ident, $each:expr, $($row:literal)*) => {
        const { assert!($rows <= 12) };
        $(if const { $row < $rows } {
            let $r = const { if $row < $rows { $row } else { 0 } };
            $each;
        })*
    };
}

/// The left side of a product, `[rows, ks]`.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    pub(crate) values: &'a [f32],
    /// From a row to the next.
    pub(crate) pitch: usize,
    /// So many of a row lie side by side, at most,
    pub(crate) abreast: usize,
    /// and the next ones so far from these.
    pub(crate) stride: usize,
}

impl<'a> Rows<'a> {
    /// Rows that lie so far apart, each in one piece.
    pub(crate) fn plain(values: &'a [f32], pitch: usize) -> Self {
        Self { values, pitch, abreast: usize::MAX, stride: 0 }
    }

    #[inline(always)]
    fn skip(self, rows: usize) -> Self {
        Self { values: &self.values[rows * self.pitch..], ..self }
    }
}

/// C = A B, or C += A B where `add`, for A `[rows, ks]`, B `[ks][COLUMNS]` and the first `columns` of C
/// `[rows, columns]` with rows `c_pitch` apart.
pub(crate) fn gemm<S: Simd>(
    simd: S,
    a: Rows,
    b: &[[f32; COLUMNS]],
    c: (&mut [f32], usize),
    rows: usize,
    columns: usize,
    add: bool,
) {
    // A function of its own: every convolution calls the same code.
    simd.vectorize(
        #[inline(always)]
        || match const { S::f32s::LEN } {
            _ if columns != COLUMNS => gemm_by::<S, f32x8<S>, 6>(simd, a, b, c, rows, add),
            16 => gemm_by::<S, f32x16<S>, 12>(simd, a, b, c, rows, add),
            8 => gemm_by::<S, f32x16<S>, 6>(simd, a, b, c, rows, add),
            _ => gemm_by::<S, f32x16<S>, 3>(simd, a, b, c, rows, add),
        },
    )
}

#[inline(always)]
fn gemm_by<S: Simd, V: SimdFloat<S, Element = f32>, const R: usize>(
    simd: S,
    a: Rows,
    b: &[[f32; COLUMNS]],
    (c, c_pitch): (&mut [f32], usize),
    rows: usize,
    add: bool,
) {
    let mut row = 0;
    while row + R <= rows {
        gemm_rows::<S, V, R>(simd, a.skip(row), b, &mut c[row * c_pitch..], c_pitch, add);
        row += R;
    }
    while row + 4 <= rows {
        gemm_rows::<S, V, 4>(simd, a.skip(row), b, &mut c[row * c_pitch..], c_pitch, add);
        row += 4;
    }
    while row < rows {
        gemm_rows::<S, V, 1>(simd, a.skip(row), b, &mut c[row * c_pitch..], c_pitch, add);
        row += 1;
    }
}

#[inline(always)]
fn gemm_rows<S: Simd, V: SimdFloat<S, Element = f32>, const R: usize>(
    simd: S,
    a: Rows,
    b: &[[f32; COLUMNS]],
    c: &mut [f32],
    c_pitch: usize,
    add: bool,
) {
    let mut sums = [V::splat(simd, 0.0); R];
    for (piece, b) in b.chunks(a.abreast).enumerate() {
        let mut lines: [&[f32]; R] = [&[]; R];
        for r in 0..R {
            lines[r] = &a.values[piece * a.stride + r * a.pitch..][..b.len()];
        }
        for (k, b) in b.iter().enumerate() {
            let b = V::from_slice(simd, &b[..V::LEN]);
            unrolled!(R, r => sums[r] = V::splat(simd, lines[r][k]).mul_add(b, sums[r]));
        }
    }
    for r in 0..R {
        let c = &mut c[r * c_pitch..][..V::LEN];
        let sum = if add { V::from_slice(simd, c) + sums[r] } else { sums[r] };
        sum.store_slice(c);
    }
}

/// C += Aᵀ B for A `[ks, rows]` and B `[ks, columns]` with rows that lie `a_pitch` and `b_pitch` apart, and C
/// `[rows][COLUMNS]`, of which `columns` are touched.
pub(crate) fn gemm_transposed<S: Simd>(
    simd: S,
    a: (&[f32], usize),
    b: (&[f32], usize),
    c: &mut [[f32; COLUMNS]],
    ks: usize,
    columns: usize,
) {
    // A function of its own: every convolution calls the same code.
    simd.vectorize(
        #[inline(always)]
        || match const { S::f32s::LEN } {
            _ if columns != COLUMNS => transposed_by::<S, f32x8<S>, 6>(simd, a, b, c, ks),
            16 => transposed_by::<S, f32x16<S>, 8>(simd, a, b, c, ks),
            8 => transposed_by::<S, f32x16<S>, 6>(simd, a, b, c, ks),
            _ => transposed_by::<S, f32x16<S>, 3>(simd, a, b, c, ks),
        },
    )
}

#[inline(always)]
fn transposed_by<S: Simd, V: SimdFloat<S, Element = f32>, const R: usize>(
    simd: S,
    (a, a_pitch): (&[f32], usize),
    (b, b_pitch): (&[f32], usize),
    c: &mut [[f32; COLUMNS]],
    ks: usize,
) {
    let rows = c.len();
    let mut row = 0;
    while row + R <= rows {
        transposed_rows::<S, V, R>(simd, &a[row..], a_pitch, b, b_pitch, &mut c[row..row + R], ks);
        row += R;
    }
    while row + 4 <= rows {
        transposed_rows::<S, V, 4>(simd, &a[row..], a_pitch, b, b_pitch, &mut c[row..row + 4], ks);
        row += 4;
    }
    while row + 3 <= rows {
        // The three taps of a row of one channel.
        transposed_rows::<S, V, 3>(simd, &a[row..], a_pitch, b, b_pitch, &mut c[row..row + 3], ks);
        row += 3;
    }
    while row < rows {
        transposed_rows::<S, V, 1>(simd, &a[row..], a_pitch, b, b_pitch, &mut c[row..row + 1], ks);
        row += 1;
    }
}

#[inline(always)]
fn transposed_rows<S: Simd, V: SimdFloat<S, Element = f32>, const R: usize>(
    simd: S,
    a: &[f32],
    a_pitch: usize,
    b: &[f32],
    b_pitch: usize,
    c: &mut [[f32; COLUMNS]],
    ks: usize,
) {
    let mut sums = [V::splat(simd, 0.0); R];
    for k in 0..ks {
        let a: &[f32; R] = a[k * a_pitch..].first_chunk().unwrap();
        let b = V::from_slice(simd, &b[k * b_pitch..k * b_pitch + V::LEN]);
        unrolled!(R, r => sums[r] = V::splat(simd, a[r]).mul_add(b, sums[r]));
    }
    for r in 0..R {
        let c = &mut c[r][..V::LEN];
        (V::from_slice(simd, c) + sums[r]).store_slice(c);
    }
}
