//! Winograd's minimal filtering F(4×4, 3×3): a tile of 4×4 outputs of a 3×3 convolution takes 36 products per
//! pair of channels in the place of 144 (Lavin and Gray, Fast algorithms for convolutional neural networks,
//! 2016; the points are 0, ±1, ±2 and ∞). Lanes are channels.
//!
//! The outputs are Aᵀ[(G w Gᵀ) ⊙ (Bᵀ d B)]A of the weights w and the inputs d, where
//!
//! ```text
//!      4  0 -5  0  1  0         1/4    0    0
//!      0 -4 -4  1  1  0        -1/6 -1/6 -1/6          1  1  1  1  1  0
//! Bᵀ = 0  4 -4 -1  1  0    G = -1/6  1/6 -1/6     Aᵀ = 0  1 -1  2 -2  0
//!      0 -2 -1  2  1  0        1/24 1/12  1/6          0  1  1  4  4  0
//!      0  2 -1 -2  1  0        1/24 -1/12 1/6          0  1 -1  8 -8  1
//!      0  4  0 -5  0  1           0    0    1
//! ```

use fearless_simd::{Simd, SimdFloat};

/// Outputs of a tile along each axis.
pub(crate) const TILE: usize = 4;
/// Inputs that a tile reads along each axis.
pub(crate) const SPAN: usize = 6;
/// Products of a tile per pair of channels.
pub(crate) const POINTS: usize = SPAN * SPAN;

/// factor·a + b.
#[inline(always)]
fn scaled<S: Simd, V: SimdFloat<S, Element = f32>>(simd: S, factor: f32, a: V, b: V) -> V {
    V::splat(simd, factor).mul_add(a, b)
}

/// A linear map from `N` to `M` numbers along one axis, for as many channels as `V` has. These are types
/// since closures would not be compiled for the instructions of their callers.
pub(crate) trait Transform<const N: usize, const M: usize> {
    fn along<S: Simd, V: SimdFloat<S, Element = f32>>(simd: S, values: [V; N]) -> [V; M];
}

/// Bᵀd of six inputs.
pub(crate) struct Input;

impl Transform<SPAN, SPAN> for Input {
    #[inline(always)]
    fn along<S: Simd, V: SimdFloat<S, Element = f32>>(simd: S, d: [V; SPAN]) -> [V; SPAN] {
        let a = scaled(simd, -4.0, d[2], d[4]);
        let b = scaled(simd, -4.0, d[1], d[3]);
        let c = d[4] - d[2];
        let e = d[3] - d[1];
        [
            scaled(simd, 4.0, d[0], scaled(simd, -5.0, d[2], d[4])),
            a + b,
            a - b,
            scaled(simd, 2.0, e, c),
            scaled(simd, -2.0, e, c),
            scaled(simd, 4.0, d[1], scaled(simd, -5.0, d[3], d[5])),
        ]
    }
}

/// Aᵀm, four outputs of six products.
pub(crate) struct Output;

impl Transform<SPAN, TILE> for Output {
    #[inline(always)]
    fn along<S: Simd, V: SimdFloat<S, Element = f32>>(simd: S, m: [V; SPAN]) -> [V; TILE] {
        let (s1, d1) = (m[1] + m[2], m[1] - m[2]);
        let (s2, d2) = (m[3] + m[4], m[3] - m[4]);
        [
            m[0] + (s1 + s2),
            scaled(simd, 2.0, d2, d1),
            scaled(simd, 4.0, s2, s1),
            scaled(simd, 8.0, d2, d1) + m[5],
        ]
    }
}

/// A g, the adjoint of [`Output`].
pub(crate) struct OutputAdjoint;

impl Transform<TILE, SPAN> for OutputAdjoint {
    #[inline(always)]
    fn along<S: Simd, V: SimdFloat<S, Element = f32>>(simd: S, g: [V; TILE]) -> [V; SPAN] {
        let (s, u) = (g[0] + g[2], g[1] + g[3]);
        let twice = g[1] + g[1];
        let (far_s, far_u) = (scaled(simd, 4.0, g[2], g[0]), scaled(simd, 8.0, g[3], twice));
        [g[0], s + u, s - u, far_s + far_u, far_s - far_u, g[3]]
    }
}

/// G w of three taps.
pub(crate) fn weights(w: [f64; 3]) -> [f64; SPAN] {
    let (even, odd) = (w[0] + w[2], w[1]);
    let (far_even, far_odd) = (w[0] / 24.0 + w[2] / 6.0, w[1] / 12.0);
    [w[0] / 4.0, -(even + odd) / 6.0, -(even - odd) / 6.0, far_even + far_odd, far_even - far_odd, w[2]]
}

/// Gᵀu, the adjoint of [`weights`].
pub(crate) struct WeightsAdjoint;

impl Transform<SPAN, 3> for WeightsAdjoint {
    #[inline(always)]
    fn along<S: Simd, V: SimdFloat<S, Element = f32>>(simd: S, u: [V; SPAN]) -> [V; 3] {
        let (near, far) = (u[1] + u[2], u[3] + u[4]);
        let zero = V::splat(simd, 0.0);
        let even = scaled(simd, -1.0 / 6.0, near, zero);
        let odd = scaled(simd, -1.0 / 6.0, u[1] - u[2], zero);
        [
            scaled(simd, 0.25, u[0], scaled(simd, 1.0 / 24.0, far, even)),
            scaled(simd, 1.0 / 12.0, u[3] - u[4], odd),
            scaled(simd, 1.0 / 6.0, far, even) + u[5],
        ]
    }
}

/// An array of what an expression is for each index, a constant: written out, since a loop over arrays of
/// vectors keeps them in memory that is filled with zeros first.
macro_rules! each {
    (3, $i:ident => $each:expr) => { each!(@ $i, $each, 0 1 2) };
    (4, $i:ident => $each:expr) => { each!(@ $i, $each, 0 1 2 3) };
    (6, $i:ident => $each:expr) => { each!(@ $i, $each, 0 1 2 3 4 5) };
    (@ $i:ident, $each:expr, $($index:literal)*) => {
        [$({
            const $i: usize = $index;
            $each
        }),*]
    };
}
pub(super) use each;
