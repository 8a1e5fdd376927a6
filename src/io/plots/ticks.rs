//! Round numbers for axes and colour bars, and how they are written.

/// The multiples of 1, 2 or 5 times a power of ten in `low..=high`, about `target` of them.
///
/// Empty when the range is, or is so narrow that its ends differ only in the last digits of an f64.
pub(crate) fn linear(low: f64, high: f64, target: usize) -> Vec<f64> {
    let rough = (high - low) / target.max(1) as f64;
    if !(rough.is_finite() && rough > 1e-12 * low.abs().max(high.abs()) && rough >= f64::MIN_POSITIVE) {
        return Vec::new();
    }
    let power = 10f64.powf(rough.log10().floor());
    let step =
        [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power).into_iter().find(|&step| step >= 0.7 * rough);
    let step = step.unwrap_or(10.0 * power);
    // A margin for rounding: the end of a range is often meant to be a tick.
    let (first, last) = ((low / step - 1e-6).ceil() as i64, (high / step + 1e-6).floor() as i64);
    (first..=last).map(|k| k as f64 * step).collect()
}

/// The labelled and the unlabelled ticks of a logarithmic axis over `low..=high`, both positive.
pub(crate) fn logarithmic(low: f64, high: f64) -> (Vec<f64>, Vec<f64>) {
    let (from, to) = (low.log10().floor() as i32, high.log10().ceil() as i32);
    let decades = to - from;
    let multiples = |factors: &[i32], stride: usize| -> Vec<f64> {
        let all = (from..=to)
            .step_by(stride)
            .flat_map(|k| factors.iter().map(move |&f| f64::from(f) * 10f64.powi(k)));
        all.filter(|tick| (low..=high).contains(tick)).collect()
    };
    let minor = if decades <= 8 { multiples(&[2, 3, 4, 5, 6, 7, 8, 9], 1) } else { Vec::new() };
    let stride = decades.div_euclid(8) as usize + 1;
    for labelled in [multiples(&[1], stride), multiples(&[1, 2, 5], 1)] {
        if labelled.len() >= 3 {
            return (labelled, minor);
        }
    }
    (linear(low, high, 5), minor)
}

/// A tick's number: plain where that is short, else as a power of ten.
pub(crate) fn label(value: f64) -> String {
    let value = round(value);
    if value == 0.0 {
        return "0".into();
    }
    if (1e-4..1e6).contains(&value.abs()) {
        return format!("{value}").replace('-', "−");
    }
    let text = format!("{value:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let power = format!("10{}", superscript(exponent));
    let mantissa = mantissa.replace('-', "−");
    match mantissa.as_str() {
        "1" => power,
        "−1" => format!("−{power}"),
        _ => format!("{mantissa}·{power}"),
    }
}

/// Twelve digits: enough for any tick, and 3 × 0.1 becomes 0.3 again.
fn round(value: f64) -> f64 {
    format!("{value:.11e}").parse().unwrap_or(value)
}

fn superscript(digits: &str) -> String {
    let raised = |c: char| match c {
        '-' => '⁻',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        _ => c.to_digit(10).and_then(|d| char::from_u32(0x2070 + d)).unwrap_or(c),
    };
    digits.chars().map(raised).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(ticks: &[f64]) -> Vec<String> {
        ticks.iter().map(|&tick| label(tick)).collect()
    }

    #[test]
    fn linear_ticks_are_round() {
        assert_eq!(labels(&linear(0.0, 1.0, 5)), ["0", "0.2", "0.4", "0.6", "0.8", "1"]);
        assert_eq!(labels(&linear(-3.2, 4.1, 4)), ["−2", "0", "2", "4"]);
        assert_eq!(labels(&linear(-0.2, 1.0, 5)), ["−0.2", "0", "0.2", "0.4", "0.6", "0.8", "1"]);
        assert_eq!(labels(&linear(0.0, 50.0, 5)), ["0", "10", "20", "30", "40", "50"]);
        assert_eq!(labels(&linear(0.0, 2e7, 4)), ["0", "5·10⁶", "10⁷", "1.5·10⁷", "2·10⁷"]);
    }

    #[test]
    fn logarithmic_ticks_suit_the_range() {
        assert_eq!(labels(&logarithmic(0.5, 2000.0).0), ["1", "10", "100", "1000"]);
        assert_eq!(labels(&logarithmic(15.0, 800.0).0), ["20", "50", "100", "200", "500"]);
        assert_eq!(labels(&logarithmic(12.0, 17.0).0), ["12", "13", "14", "15", "16", "17"]);
        let wide = logarithmic(1e-300, 1e300).0;
        assert!((5..=12).contains(&wide.len()), "{wide:?}");
        assert_eq!(labels(&logarithmic(1e-8, 1e-5).0), ["10⁻⁸", "10⁻⁷", "10⁻⁶", "10⁻⁵"]);
    }

    #[test]
    fn impossible_ranges_give_few_ticks_and_no_panic() {
        for (low, high) in [(1.0, 1.0), (2.0, 1.0), (f64::NAN, 1.0), (0.0, f64::INFINITY), (1e15, 1e15 + 1.0)]
        {
            assert!(linear(low, high, 5).len() < 20);
        }
        for (low, high) in
            [(f64::MIN_POSITIVE, f64::MAX), (5e-324, 1e-323), (1.0, 1.0), (-f64::MAX, f64::MAX)]
        {
            assert!(linear(low, high, 5).len() < 20);
            if low > 0.0 {
                assert!(logarithmic(low, high).0.len() < 20);
            }
        }
    }

    #[test]
    fn labels_of_extreme_numbers_are_short() {
        assert_eq!(label(-1e-9), "−10⁻⁹");
        assert_eq!(label(2.5e123), "2.5·10¹²³");
        assert_eq!(label(3.0 * 0.1), "0.3");
        assert_eq!(label(-0.0), "0");
    }
}
