//! What a file says about a picture beside its samples, and what of it another format can say.

/// What is kept of a file for the one that is written.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Kept {
    /// The colour profile (ICC).
    pub(crate) profile: Option<Vec<u8>>,
    /// How large a pixel is.
    pub(crate) density: Option<Density>,
    /// PNG's chunks of text and colour as they are: their names and contents.
    pub(crate) chunks: Vec<([u8; 4], Vec<u8>)>,
    /// TIFF's description of the image, without the zero behind it.
    pub(crate) description: Option<Vec<u8>>,
    /// TIFF's name of the program that made the image.
    pub(crate) software: Option<Vec<u8>>,
    /// How TIFF's samples are packed.
    pub(crate) packing: Packing,
    /// Whether the file is a BigTIFF.
    pub(crate) is_big: bool,
    /// Whether the file shows its smallest sample as white.
    pub(crate) white_is_zero: bool,
    /// Whether the file's colours are multiplied by its alpha.
    pub(crate) is_premultiplied: bool,
    /// Whether the file has lost something to JPEG.
    pub(crate) is_lossy: bool,
    /// The standard deviation, in samples, of what JPEG has added to long waves by rounding them.
    pub(crate) lost: f64,
}

/// How TIFF packs samples, as far as it is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Packing {
    #[default]
    None,
    Lzw,
    Deflate,
    PackBits,
}

/// Pixels per unit of length, as fractions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Density {
    pub(crate) x: (u32, u32),
    pub(crate) y: (u32, u32),
    pub(crate) unit: Unit,
}

/// A unit of length. Without one a density tells the ratio of a pixel's sides alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Unknown,
    Inch,
    Centimetre,
    Metre,
}

impl Unit {
    pub(crate) fn metres(self) -> f64 {
        match self {
            Self::Inch => 0.0254,
            Self::Centimetre => 0.01,
            Self::Unknown | Self::Metre => 1.0,
        }
    }
}

impl Density {
    /// None where a denominator or a density is 0.
    pub(crate) fn new(x: (u32, u32), y: (u32, u32), unit: Unit) -> Option<Self> {
        [x.0, x.1, y.0, y.1].iter().all(|&n| n > 0).then_some(Self { x, y, unit })
    }

    /// That of the picture turned by a quarter.
    pub(crate) fn turned(self) -> Self {
        Self { x: self.y, y: self.x, ..self }
    }

    /// Whole numbers up to `most`: per metre, per inch, or the ratio of the sides alone. None where a number
    /// is too small or too large.
    pub(crate) fn whole(self, unit: Unit, most: u32) -> Option<(u32, u32)> {
        let fraction = |(n, d): (u32, u32)| f64::from(n) / f64::from(d);
        let scale = match self.unit {
            Unit::Unknown if [self.x.1, self.y.1] != [1, 1] => f64::from(self.x.1) * f64::from(self.y.1),
            _ => unit.metres() / self.unit.metres(),
        };
        let whole = |f| {
            let n = (fraction(f) * scale).round();
            (1.0..=f64::from(most)).contains(&n).then_some(n as u32)
        };
        Some((whole(self.x)?, whole(self.y)?))
    }

    /// Fractions per unit for TIFF, which knows no metres.
    pub(crate) fn fractions(self) -> Option<Self> {
        if self.unit != Unit::Metre {
            return Some(self);
        }
        let per_centimetre = |(n, d): (u32, u32)| Some((n, d.checked_mul(100)?));
        Some(Self { x: per_centimetre(self.x)?, y: per_centimetre(self.y)?, unit: Unit::Centimetre })
    }
}

impl Kept {
    /// The colour profile if it is one for `colours` colours (1 or 3). Another one, such as that of the inks
    /// that a picture was before, would spoil every colour.
    pub(crate) fn profile_for(&self, colours: usize) -> Option<&[u8]> {
        let profile = self.profile.as_deref()?;
        let space = profile.get(16..20).unwrap_or_default();
        let expected: &[u8] = if colours == 3 { b"RGB " } else { b"GRAY" };
        (space == expected).then_some(profile)
    }

    /// The description for TIFF: its own, or PNG's text of that name.
    pub(crate) fn description(&self) -> Option<Vec<u8>> {
        self.description.clone().or_else(|| self.text(b"Description"))
    }

    /// The program's name for TIFF: its own, or PNG's text of that name.
    pub(crate) fn software(&self) -> Option<Vec<u8>> {
        self.software.clone().or_else(|| self.text(b"Software"))
    }

    /// A text of PNG's that is not packed.
    fn text(&self, keyword: &[u8]) -> Option<Vec<u8>> {
        self.chunks.iter().find_map(|(name, content)| {
            let text = content.strip_prefix(keyword)?.strip_prefix(b"\0")?;
            match name {
                b"tEXt" => Some(text.iter().map(|&latin| char::from(latin)).collect::<String>().into_bytes()),
                // Two bytes say that it is not packed, then come a language and the keyword in it.
                b"iTXt" => {
                    text.strip_prefix(b"\0\0")?.splitn(3, |&byte| byte == 0).nth(2).map(<[u8]>::to_vec)
                }
                _ => None,
            }
        })
    }

    /// PNG's chunks of text and colour: its own, and TIFF's texts.
    pub(crate) fn chunks(&self) -> Vec<([u8; 4], Vec<u8>)> {
        let texts = [(&b"Description"[..], &self.description), (b"Software", &self.software)];
        let texts = texts.into_iter().filter_map(|(keyword, text)| Some((keyword, text.as_ref()?)));
        let texts = texts.map(|(keyword, text)| {
            let text = String::from_utf8(text.clone()).unwrap_or_else(|_| latin(text));
            (*b"iTXt", [keyword, &[0; 5][..], text.as_bytes()].concat())
        });
        self.chunks.iter().cloned().chain(texts).collect()
    }
}

/// Bytes of Latin-1 as text.
pub(crate) fn latin(text: &[u8]) -> String {
    text.iter().map(|&byte| char::from(byte)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn densities_come_through_every_format() {
        let inches = Density::new((300, 1), (150, 1), Unit::Inch).unwrap();
        assert_eq!(inches.whole(Unit::Metre, u32::MAX), Some((11811, 5906)));
        assert_eq!(inches.whole(Unit::Inch, 65535), Some((300, 150)));
        let metres = Density::new((11811, 1), (5906, 1), Unit::Metre).unwrap();
        assert_eq!(metres.whole(Unit::Inch, 65535), Some((300, 150)));
        let fractions = metres.fractions().unwrap();
        assert_eq!((fractions.x, fractions.unit), ((11811, 100), Unit::Centimetre));
        let ratio = Density::new((1, 2), (1, 3), Unit::Unknown).unwrap();
        assert_eq!(ratio.whole(Unit::Unknown, 65535), Some((3, 2)));
        assert_eq!(Density::new((0, 1), (1, 1), Unit::Inch), None);
        assert_eq!(inches.turned().x, (150, 1));
    }

    #[test]
    fn a_profile_for_other_colours_is_left_out() {
        let profile = |space: &[u8]| Kept {
            profile: Some([&[0; 16][..], space, &[0; 108]].concat()),
            ..Kept::default()
        };
        assert!(profile(b"RGB ").profile_for(3).is_some() && profile(b"GRAY").profile_for(1).is_some());
        assert!(profile(b"CMYK").profile_for(3).is_none() && profile(b"GRAY").profile_for(3).is_none());
        assert!(Kept { profile: Some(vec![1, 2]), ..Kept::default() }.profile_for(1).is_none());
    }

    #[test]
    fn texts_go_from_png_to_tiff_and_back() {
        let mut kept = Kept { description: Some("5 µm".into()), ..Kept::default() };
        let chunks = kept.chunks();
        kept = Kept { chunks, ..Kept::default() };
        assert_eq!(kept.description().unwrap(), "5 µm".as_bytes());
        assert_eq!(kept.software(), None);
        kept.chunks.push((*b"tEXt", b"Software\0sc\xb5pe".to_vec()));
        assert_eq!(kept.software().unwrap(), "scµpe".as_bytes());
    }
}
