//! What the data of a run turned out to be, for people who may have meant others.

/// How far from 1 the root mean square of values may be, as a factor: networks start as for values of about
/// 1, and a hundred times that is not learned in any number of steps.
const FAR: f64 = 30.0;

/// Fields and the values in them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found {
    /// Pictures that the fields are of; none: fields of an array.
    pub pictures: Option<usize>,
    /// Fields; of pictures: planes, one for each colour.
    pub fields: usize,
    /// The smallest value.
    pub low: f64,
    /// The largest value.
    pub high: f64,
    /// The root mean square.
    pub rms: f64,
}

impl Found {
    /// What `values` of so many fields are.
    pub fn new(pictures: Option<usize>, fields: usize, values: impl Iterator<Item = impl Into<f64>>) -> Self {
        let (mut low, mut high, mut squares, mut count) = (f64::INFINITY, f64::NEG_INFINITY, 0.0, 0u64);
        for value in values {
            let value = value.into();
            (low, high, count) = (low.min(value), high.max(value), count + 1);
            squares += value * value;
        }
        Self { pictures, fields, low, high, rms: (squares / count.max(1) as f64).sqrt() }
    }

    /// "12 pictures, 36 planes, values from 0 to 1, root mean square 0.47".
    pub fn describe(&self) -> String {
        let counted =
            |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
        let what = match self.pictures {
            Some(pictures) => format!("{}, {}", counted(pictures, "picture"), counted(self.fields, "plane")),
            None => counted(self.fields, "field"),
        };
        let [low, high, rms] = [self.low, self.high, self.rms].map(short);
        format!("{what}, values from {low} to {high}, root mean square {rms}")
    }

    /// What to do about values that a network that starts anew cannot learn, if they are so.
    pub fn warning(&self) -> Option<String> {
        if self.rms <= 0.0 || (1.0 / FAR..=FAR).contains(&self.rms) {
            return None;
        }
        // A power of ten, which nobody mistakes.
        let unit = 10f64.powf(self.rms.log10().round());
        Some(format!(
            "values with a root mean square of {} are far from 1, which networks are made for, and may not \
             be learned; divide them by {unit:e}",
            short(self.rms)
        ))
    }
}

/// Three digits: plain where that is short.
fn short(value: f64) -> String {
    if value == 0.0 || (1e-3..1e5).contains(&value.abs()) {
        let digits = (2 - value.abs().max(1e-3).log10().floor() as i32).clamp(0, 5) as usize;
        let text = format!("{value:.digits$}");
        return if text.contains('.') {
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        } else {
            text
        };
    }
    format!("{value:.2e}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_told_and_doubted_where_they_are_far_from_one() {
        let found = |values: [f64; 2]| Found::new(None, 2, values.into_iter());
        assert_eq!(found([0.0, 1.0]).describe(), "2 fields, values from 0 to 1, root mean square 0.707");
        assert_eq!(
            Found { pictures: Some(1), fields: 3, ..found([-2.0, 12345.6]) }.describe(),
            "1 picture, 3 planes, values from -2 to 12346, root mean square 8730"
        );
        for fine in [[0.05, 0.05], [0.0, 1.0], [-29.0, 29.0], [0.0, 0.0]] {
            assert_eq!(found(fine).warning(), None);
        }
        for (values, advice) in
            [([2e4, 2e4], "by 1e4"), ([0.02, 0.02], "by 1e-2"), ([300.0, 290.0], "by 1e2")]
        {
            assert!(found(values).warning().unwrap().contains(advice), "{:?}", found(values).warning());
        }
    }
}
