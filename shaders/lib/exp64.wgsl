// exp(x) in 64 bits, which SPIR-V does not have: GLSL.std.450's Exp stops at 32 bits, though naga lets it
// pass.
//
// x = n·ln 2 + r with |r| ≤ ½ ln 2, so exp(x) = 2ⁿ·exp(r). ln 2 comes in two parts, the first so short that
// n·EXP_LN2_HIGH is exact; exp(r) is its Taylor series to r¹³/13!, whose remainder is below 5e-18. Error: at
// most 2e-15 relative on [-708, 709]. Results below 2.3e-308 may come out as 0, since many GPUs flush
// subnormal numbers; below -745.2 the result is 0. Above 709.7 it stays at exp(709.7): never infinite.

const EXP_LN2_HIGH: f64 = 0.693147180369123816490;
const EXP_LN2_LOW: f64 = 1.90821492927058770002e-10;
const EXP_LOG2_E: f64 = 1.44269504088896340736;

// 2ⁿ for |n| ≤ 1023, by squaring: WGSL has no way to write the exponent bits of an f64.
fn power_of_two(n: i32) -> f64 {
    var power = select(2.0lf, 0.5lf, n < 0);
    var result = 1.0lf;
    var bits = u32(abs(n));
    for (var i = 0u; i < 10u; i++) {
        if (bits & 1u) == 1u {
            result *= power;
        }
        bits >>= 1u;
        if bits != 0u {
            power *= power;
        }
    }
    return result;
}

fn exp64(x: f64) -> f64 {
    if x < -745.2lf {
        return 0.0lf;
    }
    let bounded = min(x, 709.7lf);
    let whole = floor(bounded * EXP_LOG2_E + 0.5lf);
    let r = (bounded - whole * EXP_LN2_HIGH) - whole * EXP_LN2_LOW;
    var series = 1.0lf / 6227020800.0lf;
    series = series * r + 1.0lf / 479001600.0lf;
    series = series * r + 1.0lf / 39916800.0lf;
    series = series * r + 1.0lf / 3628800.0lf;
    series = series * r + 1.0lf / 362880.0lf;
    series = series * r + 1.0lf / 40320.0lf;
    series = series * r + 1.0lf / 5040.0lf;
    series = series * r + 1.0lf / 720.0lf;
    series = series * r + 1.0lf / 120.0lf;
    series = series * r + 1.0lf / 24.0lf;
    series = series * r + 1.0lf / 6.0lf;
    series = series * r + 0.5lf;
    series = series * r + 1.0lf;
    series = series * r + 1.0lf;
    // In two halves: 2ⁿ alone may lie outside the normal numbers where the product does not.
    let n = i32(whole);
    let half = n / 2;
    return series * power_of_two(half) * power_of_two(n - half);
}
