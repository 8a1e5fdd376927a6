//! Runs a stage by the instructions that the machine has. Each set of instructions is one more copy of the
//! code, which takes its time to compile; so there are the baseline, AVX2, and AVX-512 where it gains.

/// Evaluates an expression of a token for instructions with registers of up to 256 bits; as `widest`, of any.
#[cfg(target_arch = "x86_64")]
macro_rules! vectorised {
    (widest $simd:ident => $each:expr) => {
        match ::fearless_simd::Level::new().as_avx512() {
            Some($simd) => ::fearless_simd::Simd::vectorize(
                $simd,
                #[inline(always)]
                || $each,
            ),
            None => vectorised!($simd => $each),
        }
    };
    ($simd:ident => $each:expr) => {
        match ::fearless_simd::Level::new().as_avx2() {
            Some($simd) => ::fearless_simd::Simd::vectorize(
                $simd,
                #[inline(always)]
                || $each,
            ),
            None => {
                let $simd = ::fearless_simd::Level::new().as_sse2().expect("every x86-64 has SSE2");
                ::fearless_simd::Simd::vectorize(
                    $simd,
                    #[inline(always)]
                    || $each,
                )
            }
        }
    };
}

#[cfg(not(target_arch = "x86_64"))]
macro_rules! vectorised {
    (widest $simd:ident => $each:expr) => {
        vectorised!($simd => $each)
    };
    ($simd:ident => $each:expr) => {
        ::fearless_simd::dispatch!(::fearless_simd::Level::new(), $simd => $each)
    };
}

pub(super) use vectorised;
