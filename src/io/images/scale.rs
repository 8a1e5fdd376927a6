//! How large a pixel is in metres, by what a file says of it: its density, or the words of ImageJ and
//! OME-TIFF in its description.

use crate::io::images::metadata::{Density, Kept, Unit, latin};
use std::ops::RangeInclusive;

/// Sides of pixels that are believed, in metres: from less than an atom to more than a country.
const BELIEVED: RangeInclusive<f64> = 1e-12..=1e6;

/// The sides of a pixel along x and y, in metres; none where the file tells none, or absurd ones.
pub(crate) fn pixel(kept: &Kept) -> Option<[f64; 2]> {
    let described = kept.description.as_deref();
    let sides = described
        .and_then(of_ome)
        .or_else(|| of_imagej(described?, kept.density?))
        .or_else(|| of_density(kept.density?))?;
    sides.iter().all(|side| BELIEVED.contains(side)).then_some(sides)
}

/// What is written where a format has a density alone: the file's own, or one per metre that says what the
/// description does.
pub(crate) fn density(kept: &Kept) -> Option<Density> {
    let own = kept.density.filter(|density| density.unit != Unit::Unknown);
    let per_metre = || {
        let counts = pixel(kept)?.map(|side| (1.0 / side).round());
        let fit = counts.iter().all(|count| (1.0..=f64::from(u32::MAX >> 1)).contains(count));
        let [x, y] = counts.map(|count| (count as u32, 1));
        Density::new(x, y, Unit::Metre).filter(|_| fit)
    };
    own.or_else(per_metre).or(kept.density)
}

/// The length of a pixel in the density's unit.
fn sides([x, y]: [(u32, u32); 2]) -> [f64; 2] {
    [x, y].map(|(pixels, lengths)| f64::from(lengths) / f64::from(pixels))
}

fn of_density(density: Density) -> Option<[f64; 2]> {
    let metres = Some(density.unit).filter(|&unit| unit != Unit::Unknown)?.metres();
    Some(sides([density.x, density.y]).map(|side| side * metres))
}

/// ImageJ tells in words what the unit of its density is, which the tag for it has no number for.
fn of_imagej(text: &[u8], density: Density) -> Option<[f64; 2]> {
    if !text.starts_with(b"ImageJ=") || density.unit != Unit::Unknown {
        return None;
    }
    let text = words(text);
    let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    let along_x = value("unit")?;
    let along_y = value("yunit").unwrap_or(along_x);
    let [x, y] = sides([density.x, density.y]);
    Some([x * metres(along_x)?, y * metres(along_y)?])
}

/// What OME-TIFF's XML tells of the pixels of its first image, as they are stored.
pub(crate) fn of_ome(text: &[u8]) -> Option<[f64; 2]> {
    let text = words(text);
    let (_, text) = text.split_once("<OME").or_else(|| text.split_once(":OME"))?;
    let (_, tag) = text.split_once("<Pixels").or_else(|| text.split_once(":Pixels"))?;
    let side = |axis: &str| {
        let name = format!("PhysicalSize{axis}");
        let unit = attribute(tag, &format!("{name}Unit")).unwrap_or("µm");
        Some(attribute(tag, &name)?.trim().parse::<f64>().ok()? * metres(unit)?)
    };
    Some([side("X")?, side("Y")?])
}

/// The value of an attribute of the tag that `rest` is inside of.
fn attribute<'a>(mut rest: &'a str, name: &str) -> Option<&'a str> {
    loop {
        let (found, value) = rest.split_once('=').filter(|(found, _)| !found.contains('>'))?;
        let value = value.trim_start();
        let quote = value.chars().next().filter(|quote| ['"', '\''].contains(quote))?;
        let (value, behind) = value[1..].split_once(quote)?;
        if found.trim() == name {
            return Some(value);
        }
        rest = behind;
    }
}

/// A description as text: of UTF-8, or of Latin-1, which ImageJ and microscopes once wrote.
fn words(text: &[u8]) -> String {
    String::from_utf8(text.to_vec()).unwrap_or_else(|_| latin(text))
}

/// A unit in metres; none for pixels and for what is unknown. ImageJ writes µ as an escape of Java's, XML may
/// have it as one of its own.
fn metres(unit: &str) -> Option<f64> {
    let micro = ["\\u00B5", "\\u00b5", "&#181;", "&#xB5;", "&#xb5;", "\u{b5}", "\u{3bc}"];
    let unit = micro.iter().fold(unit.trim().to_owned(), |unit, sign| unit.replace(sign, "u"));
    Some(match unit.as_str() {
        "m" | "meter" | "metre" => 1.0,
        "cm" => 1e-2,
        "mm" => 1e-3,
        "um" | "micron" | "microns" | "micrometer" => 1e-6,
        "nm" => 1e-9,
        "pm" => 1e-12,
        "inch" | "inches" | "in" => 0.0254,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use crate::io::images::depth::Depth;
    use crate::io::images::photo::{self, Photo};
    use std::io::Cursor;
    use std::path::Path;
    use tiff::encoder::colortype::Gray8;
    use tiff::encoder::{Rational, TiffEncoder};
    use tiff::tags::Tag;

    fn near(found: Option<[f64; 2]>, expected: Option<[f64; 2]>) -> bool {
        let close = |a: [f64; 2], b: [f64; 2]| a.iter().zip(b).all(|(a, b)| (a / b - 1.0).abs() <= 1e-12);
        found.is_none() && expected.is_none() || found.zip(expected).is_some_and(|(a, b)| close(a, b))
    }

    fn read(bytes: Vec<u8>) -> Photo {
        photo::from_bytes(Path::new("a picture"), bytes).unwrap()
    }

    fn png(dims: Option<png::PixelDimensions>) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, 3, 2);
        encoder.set_pixel_dims(dims);
        encoder.write_header().unwrap().write_image_data(&[7; 6]).unwrap();
        bytes
    }

    /// A TIFF file with these pixels per unit, this number of a unit, orientation and description.
    fn tif(density: [(u32, u32); 2], unit: u16, orientation: u16, text: &[u8]) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        let mut encoder = TiffEncoder::new(&mut bytes).unwrap();
        let mut image = encoder.new_image::<Gray8>(3, 2).unwrap();
        let tags = image.encoder();
        for (tag, (n, d)) in [Tag::XResolution, Tag::YResolution].into_iter().zip(density) {
            tags.write_tag(tag, Rational { n, d }).unwrap();
        }
        tags.write_tag(Tag::ResolutionUnit, unit).unwrap();
        tags.write_tag(Tag::Orientation, orientation).unwrap();
        if !text.is_empty() {
            tags.write_tag(Tag::ImageDescription, text).unwrap();
        }
        image.write_data(&[7; 6]).unwrap();
        bytes.into_inner()
    }

    #[test]
    fn png_tells_pixels_per_metre_or_nothing() {
        let of = |xppu, yppu, unit| read(png(Some(png::PixelDimensions { xppu, yppu, unit }))).pixel();
        assert!(near(of(4000, 8000, png::Unit::Meter), Some([2.5e-4, 1.25e-4])));
        assert_eq!(of(4000, 8000, png::Unit::Unspecified), None);
        assert_eq!(of(0, 8000, png::Unit::Meter), None);
        assert_eq!(read(png(None)).pixel(), None);
        assert_eq!(Photo::new(1, 1, vec![0.5], Depth::Eight).pixel(), None);
    }

    #[test]
    fn tiff_tells_pixels_per_inch_or_centimetre() {
        let of = |density, unit, orientation| read(tif(density, unit, orientation, b"")).pixel();
        let density = [(300, 1), (150, 1)];
        assert!(near(of(density, 2, 1), Some([0.0254 / 300.0, 0.0254 / 150.0])));
        assert!(near(of([(1000, 3), (72, 1)], 3, 1), Some([3e-5, 0.01 / 72.0])));
        assert_eq!(of(density, 1, 1), None);
        assert_eq!(of([(300, 0), (150, 1)], 2, 1), None);
        // A picture that lies on its side has its sides the other way round.
        assert!(near(of(density, 2, 6), Some([0.0254 / 150.0, 0.0254 / 300.0])));
    }

    #[test]
    fn imagej_tells_the_unit_in_words() {
        let of = |unit: &[u8], number| {
            let text = [b"ImageJ=1.53t\nslices=1\n", unit, b"\nloop=false\n"].concat();
            read(tif([(2_000_000, 100_000), (40, 1)], number, 1, &text)).pixel()
        };
        for unit in [&b"unit=micron"[..], b"unit=um", b"unit=\\u00B5m", "unit=µm".as_bytes(), b"unit=\xb5m"]
        {
            assert!(near(of(unit, 1), Some([5e-8, 2.5e-8])), "{}", String::from_utf8_lossy(unit));
        }
        assert!(near(of(b"unit=nm", 1), Some([5e-11, 2.5e-11])));
        assert!(near(of(b"unit=mm", 1), Some([5e-5, 2.5e-5])));
        assert!(near(of(b"unit=cm\nyunit=mm", 1), Some([5e-4, 2.5e-5])));
        assert!(near(of(b"unit=inch", 1), Some([0.0254 / 20.0, 0.0254 / 40.0])));
        // The number of the tag is an inch's, so that the words are not needed.
        assert!(near(of(b"unit=inch", 2), Some([0.0254 / 20.0, 0.0254 / 40.0])));
        for nothing in [&b"unit=pixel"[..], b"unit=", b"unit=parsec", b"min=0"] {
            assert_eq!(of(nothing, 1), None);
        }
        let foreign = tif([(20, 1), (40, 1)], 1, 1, b"unit=mm\nnot of ImageJ");
        assert_eq!(read(foreign).pixel(), None);
    }

    #[test]
    fn ome_tells_sizes_with_units() {
        let of =
            |text: &str, orientation| read(tif([(1, 1), (1, 1)], 1, orientation, text.as_bytes())).pixel();
        let head = "<?xml version=\"1.0\"?><!-- PhysicalSizeX=\"9\" --><OME xmlns=\"x\"><Image Name=\"a=b\">";
        let sizes =
            |sizes: &str| format!("{head}<Pixels\n ID='P:0' {sizes} SizeX=\"3\"><TiffData/></Pixels></OME>");
        let both = "PhysicalSizeX=\"0.5\" PhysicalSizeY = '0.25'";
        assert!(near(of(&sizes(both), 1), Some([5e-7, 2.5e-7])));
        let units = "PhysicalSizeXUnit=\"nm\" PhysicalSizeYUnit='&#181;m'";
        assert!(near(of(&sizes(&format!("{units} {both}")), 1), Some([5e-10, 2.5e-7])));
        let prefixed =
            "<o:OME><o:Image><o:Pixels PhysicalSizeX=\"2\" PhysicalSizeY=\"3\"/></o:Image></o:OME>";
        assert!(near(of(prefixed, 1), Some([2e-6, 3e-6])));
        for nothing in [
            &sizes("PhysicalSizeX=\"0.5\"")[..],
            &sizes("PhysicalSizeX=\"wide\" PhysicalSizeY=\"1\""),
            &sizes("PhysicalSizeX=\"1\" PhysicalSizeY=\"1\" PhysicalSizeXUnit=\"reference frame\""),
            &sizes("PhysicalSizeX=\"0\" PhysicalSizeY=\"1\""),
            &sizes("PhysicalSizeX=\"-1\" PhysicalSizeY=\"1\""),
            &sizes("PhysicalSizeX=\"NaN\" PhysicalSizeY=\"1\""),
            &sizes("PhysicalSizeX=\"1e300\" PhysicalSizeY=\"1\""),
            "<OME><Pixels></Pixels><Plane PhysicalSizeX=\"1\" PhysicalSizeY=\"1\"/></OME>",
            "<OME><Pixels PhysicalSizeX=\"1\" PhysicalSizeY=\"1",
            "<OME><Pixels PhysicalSizeX=\u{b5}",
            "<Pixels PhysicalSizeX=\"1\" PhysicalSizeY=\"1\"/>",
        ] {
            assert_eq!(of(nothing, 1), None, "{nothing}");
        }
        assert_eq!(of(&sizes(both), 6), None, "its words are about the picture before it was turned");
    }

    #[test]
    fn sizes_go_with_the_picture_from_format_to_format() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let text = b"ImageJ=1.53t\nunit=micron\n";
        let imagej = read(tif([(20, 2), (20, 2)], 1, 1, text));
        let ome = "<OME><Pixels PhysicalSizeX=\"0.1\" PhysicalSizeY=\"0.1\"/></OME>";
        let ome = read(tif([(1, 1), (1, 1)], 1, 1, ome.as_bytes()));
        for first in [imagej, ome] {
            let expected = Some([1e-7; 2]);
            assert!(near(first.pixel(), expected));
            for name in ["a.tif", "a.png", "b.tif", "b.png"] {
                first.write(&path(name)).unwrap();
                let read = photo::read(&path(name)).unwrap();
                assert!(near(read.pixel(), expected), "{name}: {:?}", read.pixel());
                read.with_planes(&read.planes).write(&path("again.tif")).unwrap();
                assert!(near(photo::read(&path("again.tif")).unwrap().pixel(), expected), "{name}");
            }
        }
    }
}
