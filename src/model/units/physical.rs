//! Diffusion in metres and seconds, and what it is in cells.

use crate::model::units::pixel::PixelSize;
use crate::model::units::quantity::{Diffusivity, Length, Time, unit_of_length};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Digits of what is told of quantities in words.
const DIGITS: usize = 6;

/// How much a field has diffused, in the units of what it was measured on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Physical {
    /// How fast what is measured spreads.
    pub diffusivity: Diffusivity,
    /// For how long it has.
    pub time: Time,
    /// The sides of a cell along x and y.
    pub pixel: [Length; 2],
}

impl Physical {
    /// These quantities; none where neither how fast nor for how long is told.
    ///
    /// # Errors
    /// [`Error::Usage`] where only some of them are told.
    pub fn of(
        diffusivity: Option<Diffusivity>,
        time: Option<Time>,
        pixel: Option<[Length; 2]>,
    ) -> Result<Option<Self>> {
        match (diffusivity, time, pixel) {
            (None, None, _) => Ok(None),
            (Some(diffusivity), Some(time), Some(pixel)) => Ok(Some(Self { diffusivity, time, pixel })),
            _ => Err(Error::usage("diffusivity, time and pixel go together: give all three")),
        }
    }

    /// Diffusivity × time along x and along y, in cells². It is not finite where the quantities are absurd;
    /// [`Factor::heat`](crate::model::operator::factor::Factor::heat) refuses that, and what is too much.
    pub fn amounts(&self) -> [f64; 2] {
        let area = self.diffusivity.square_metres_per_second() * self.time.seconds();
        self.pixel.map(|side| area / (side.metres() * side.metres()))
    }

    /// Short words, such as "0.5 s at 110 mm²/s with pixels of 0.3 mm".
    pub fn describe(&self) -> String {
        let Self { diffusivity, time, pixel } = self;
        let pixel = PixelSize::Given(*pixel);
        format!("{time:.DIGITS$} at {diffusivity:.DIGITS$} with pixels of {pixel:.DIGITS$}")
    }
}

/// How large a field is, for the labels of its axes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Extent {
    /// Along x and y, in `unit`.
    pub sides: [f64; 2],
    /// The unit of both, such as "mm": the largest of m, mm, µm and nm that the longer side is at least a
    /// tenth of, or nm.
    pub unit: &'static str,
}

impl Extent {
    /// That of so many cells along x and y, with these sides.
    pub fn of(cells: [usize; 2], pixel: [Length; 2]) -> Self {
        let metres = [0, 1].map(|axis| cells[axis] as f64 * pixel[axis].metres());
        let (unit, size) = unit_of_length(metres[0].max(metres[1]));
        Self { sides: metres.map(|side| without_noise(side / size)), unit }
    }
}

impl fmt::Display for Extent {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Self { sides: [x, y], unit } = self;
        write!(f, "x: 0 to {x} {unit}, y: 0 to {y} {unit}")
    }
}

/// A number without the last digits, which are those of rounding: 64 × 0.3 is 19.2.
fn without_noise(value: f64) -> f64 {
    format!("{value:.11e}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn physical(pixel: &str) -> Physical {
        let pixel = pixel.parse::<PixelSize>().unwrap().given().unwrap();
        Physical { diffusivity: "110mm2/s".parse().unwrap(), time: "0.5".parse().unwrap(), pixel }
    }

    #[test]
    fn amounts_are_in_cells() {
        let [x, y] = physical("0.3x0.25mm").amounts();
        // 55 mm² over cells of 0.09 and of 0.0625 mm².
        assert!((x / (55.0 / 0.09) - 1.0).abs() <= 1e-14 && (y / 880.0 - 1.0).abs() <= 1e-14, "{x} {y}");
        let tiny = [Length::new(1e-200).unwrap(); 2];
        assert_eq!(Physical { pixel: tiny, ..physical("1mm") }.amounts(), [f64::INFINITY; 2]);
    }

    #[test]
    fn words_tell_all_of_it() {
        assert_eq!(physical("0.3mm").describe(), "0.5 s at 110 mm²/s with pixels of 0.3 mm");
        assert_eq!(physical("0.3x0.25mm").describe(), "0.5 s at 110 mm²/s with pixels of 0.3 mm x 0.25 mm");
        let scanned = Physical { pixel: [Length::new(0.0254 / 300.0).unwrap(); 2], ..physical("1mm") };
        assert!(scanned.describe().ends_with("pixels of 84.6667 µm"), "{}", scanned.describe());
    }

    #[test]
    fn an_extent_has_one_unit_for_both_axes() {
        let extent = |cells, pixel: &str| Extent::of(cells, physical(pixel).pixel);
        assert_eq!(extent([64, 64], "0.3mm"), Extent { sides: [19.2, 19.2], unit: "mm" });
        assert_eq!(extent([1000, 3], "1mm"), Extent { sides: [1.0, 0.003], unit: "m" });
        assert_eq!(extent([7, 3], "0.1x0.2um"), Extent { sides: [0.7, 0.6], unit: "µm" });
        assert_eq!(extent([1, 1], "1e-15"), Extent { sides: [1e-6, 1e-6], unit: "nm" });
        assert_eq!(extent([2, 1], "1e308").sides[1], 1e308);
        assert_eq!(extent([0, 0], "1mm").sides, [0.0, 0.0]);
    }

    #[test]
    fn files_hold_its_parts_as_text() {
        let stored = serde_json::to_string(&physical("0.3mm")).unwrap();
        assert!(stored.contains("\"diffusivity\":\"110 mm²/s\",\"time\":\"0.5 s\""), "{stored}");
        assert_eq!(serde_json::from_str::<Physical>(&stored).unwrap(), physical("0.3mm"));
    }
}
