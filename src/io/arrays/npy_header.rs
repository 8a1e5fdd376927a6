//! Headers of NumPy's .npy files, with a checksum of ours.
//!
//! The format has no room for a checksum, but its header ends in blanks that mean nothing: the first is a tab to say
//! so, and the last 32 spell the CRC-32 of everything else, a tab for 1 and a space for 0. Every reader of the format
//! skips them; this one checks them where there is a tab.
//!
//! The header is a Python dictionary literal, of which only the form that `numpy.save` writes for a plain array
//! is understood. A general literal parser would recurse as deep as a hostile header says.

use crc32fast::Hasher;
use std::io::Read;

/// What a .npy file begins with.
const MAGIC: &[u8] = b"\x93NUMPY";

/// The longest header that is parsed, in bytes. `numpy.save` writes 118 for a plain array.
const MAX_HEADER: usize = 10_000;

/// What is wrong where the checksum does not hold.
const DAMAGED: &str = "the checksum in its header is wrong: it is damaged; write it again";

/// The blanks of the checksum.
const SEAL: usize = 32;

/// All bytes before the data, little endian and in C order, of which `add_data` makes the checksum.
pub(crate) fn sealed(
    float: Float,
    [batch, nx, ny]: [usize; 3],
    rank2: bool,
    add_data: impl FnOnce(&mut Hasher),
) -> Vec<u8> {
    let descr = match float {
        Float::F32 => "<f4",
        Float::F64 => "<f8",
    };
    let shape = if rank2 { format!("({nx}, {ny})") } else { format!("({batch}, {nx}, {ny})") };
    let mut text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
    let mut hasher = Hasher::new();
    hasher.update(text.as_bytes());
    add_data(&mut hasher);
    // The format asks for data that start at a multiple of 64, after 10 bytes, this text and its newline.
    text.push('\t');
    let length = 10 + text.len() + SEAL + 1;
    text.extend(std::iter::repeat_n(' ', length.next_multiple_of(64) - length));
    let seal = hasher.finalize();
    text.extend((0..SEAL).map(|bit| if seal >> bit & 1 == 1 { '\t' } else { ' ' }));
    text.push('\n');
    let length = text.len() as u16; // below 200: three numbers of 20 digits at most
    [MAGIC, &[1, 0], &length.to_le_bytes(), text.as_bytes()].concat()
}

/// The checksum that the last blanks of a header spell.
fn spelled(blanks: &str) -> Option<u32> {
    let blanks = blanks.strip_suffix('\n')?.as_bytes().last_chunk::<SEAL>()?;
    let bit = |(i, byte): (usize, &u8)| match byte {
        b' ' => Some(0),
        b'\t' => Some(1 << i),
        _ => None,
    };
    blanks.iter().enumerate().map(bit).sum()
}

/// A reason, to which the caller adds the path.
pub(crate) type Checked<T> = std::result::Result<T, String>;

/// The text of the header, and the number of bytes before the data.
fn read_header(file: &mut impl Read) -> Checked<(String, u64)> {
    let mut start = Vec::new();
    // Less than that is still to be told from a text file.
    file.by_ref().take(8).read_to_end(&mut start).map_err(|error| error.to_string())?;
    let mut take = |n: usize| {
        let mut bytes = vec![0; n];
        file.read_exact(&mut bytes)
            .map(|()| bytes)
            .map_err(|_| "not a whole .npy file: its header is cut short; write it again")
    };
    if !MAGIC.starts_with(&start) && !start.starts_with(MAGIC) {
        return Err("not a .npy file; name one, such as numpy.save writes".into());
    }
    start.extend(take(8 - start.len())?);
    let (length, before) = match start[6] {
        1 => (take(2)?.iter().rev().fold(0, |n, &byte| n << 8 | usize::from(byte)), 10),
        2 | 3 => (take(4)?.iter().rev().fold(0, |n, &byte| n << 8 | usize::from(byte)), 12),
        version => {
            return Err(format!("version {version} of the .npy format is unknown; write it with numpy.save"));
        }
    };
    if length > MAX_HEADER {
        return Err(format!("a header of {length} bytes is not that of a plain array of floats"));
    }
    let text = String::from_utf8(take(length)?).map_err(|_| "its header is not text")?;
    Ok((text, before + length as u64))
}

/// What the elements are.
#[derive(Clone, Copy)]
pub(crate) enum Float {
    F32,
    F64,
}

/// What the header says.
pub(crate) struct Header {
    pub(crate) float: Float,
    pub(crate) big_endian: bool,
    fortran: bool,
    /// `[batch, x, y]`
    pub(crate) shape: [usize; 3],
    /// Without a batch axis.
    pub(crate) rank2: bool,
    /// Of the text without its blanks, to go on with the data.
    hasher: Hasher,
    /// The checksum, where the blanks spell one.
    seal: Option<u32>,
}

impl Header {
    /// The header at the start of `file`, and the number of bytes before the data.
    pub(crate) fn read(file: &mut impl Read) -> Checked<(Self, u64)> {
        let (text, start) = read_header(file)?;
        Ok((Self::parse(&text)?, start))
    }

    fn parse(text: &str) -> Checked<Self> {
        let descr = value_of(text, "descr")?;
        let descr = descr.strip_prefix(['\'', '"']).and_then(|rest| Some(rest.split_once(['\'', '"'])?.0));
        let (big_endian, float) = match descr {
            Some("<f4") => (false, Float::F32),
            Some(">f4") => (true, Float::F32),
            Some("<f8") => (false, Float::F64),
            Some(">f8") => (true, Float::F64),
            Some(other) => {
                return Err(format!(
                    "holds elements of type {other:?}; save it as numpy.float32 or numpy.float64"
                ));
            }
            None => return Err("holds records; save it as numpy.float32 or numpy.float64".into()),
        };
        let order = value_of(text, "fortran_order")?;
        let fortran = order.starts_with("True");
        if !fortran && !order.starts_with("False") {
            return Err("its header gives no order; write it with numpy.save".into());
        }
        let axes =
            axes(value_of(text, "shape")?).ok_or("its header gives no shape; write it with numpy.save")?;
        let (shape, rank2) = match axes[..] {
            [nx, ny] => ([1, nx, ny], true),
            [batch, nx, ny] => ([batch, nx, ny], false),
            _ => {
                return Err(format!("has {} axes; give it two, [x, y], or three, [batch, x, y]", axes.len()));
            }
        };
        if shape.contains(&0) {
            return Err(format!("is empty: its shape is {axes:?}"));
        }
        let (dictionary, blanks) = text.split_at(text.find('}').map_or(text.len(), |end| end + 1));
        if !dictionary.ends_with('}') || !blanks.trim_end().is_empty() {
            return Err("its header does not end as it should; write it with numpy.save".into());
        }
        let mut hasher = Hasher::new();
        hasher.update(dictionary.as_bytes());
        let seal = blanks.contains('\t').then(|| spelled(blanks).ok_or(DAMAGED)).transpose()?;
        Ok(Self { float, big_endian, fortran, shape, rank2, hasher, seal })
    }

    /// The number of elements, if they fill exactly the `available` bytes after the header.
    pub(crate) fn checked_count(&self, available: u64) -> Checked<usize> {
        let width = match self.float {
            Float::F32 => 4,
            Float::F64 => 8,
        };
        let count = self.shape.iter().try_fold(1usize, |n, &axis| n.checked_mul(axis));
        let bytes = count.and_then(|count| u64::try_from(count).ok()?.checked_mul(width));
        match (count, bytes) {
            (Some(count), Some(bytes)) if bytes == available => Ok(count),
            _ => Err(format!(
                "its shape {:?} with {width} bytes a number does not match the {available} bytes of data that \
                 follow; the file is cut short or damaged",
                self.shape
            )),
        }
    }

    /// A checksum to be taken of the data, in the file's order.
    pub(crate) fn hasher(&self) -> Hasher {
        self.hasher.clone()
    }

    /// Compares the data's checksum with what the blanks spell.
    pub(crate) fn check(&self, hasher: Hasher) -> Checked<()> {
        if self.seal.is_some_and(|seal| seal != hasher.finalize()) { Err(DAMAGED.into()) } else { Ok(()) }
    }

    /// The index `[batch, x, y]` of the element at `position` in the file.
    pub(crate) fn index(&self, position: usize) -> [usize; 3] {
        let [batch, nx, ny] = self.shape;
        if self.fortran {
            [position % batch, position / batch % nx, position / (batch * nx)]
        } else {
            [position / (nx * ny), position / ny % nx, position % ny]
        }
    }
}

/// What follows `'key':` in a dictionary literal.
fn value_of<'a>(text: &'a str, key: &str) -> Checked<&'a str> {
    let found = [format!("'{key}'"), format!("\"{key}\"")].iter().find_map(|quoted| {
        let rest = &text[text.find(quoted)? + quoted.len()..];
        Some(rest.trim_start().strip_prefix(':')?.trim_start())
    });
    found.ok_or_else(|| format!("its header has no {key}; write it with numpy.save"))
}

/// The numbers of a Python tuple such as `(64, 64)`; `None` if it is anything else.
fn axes(text: &str) -> Option<Vec<usize>> {
    let (inside, _) = text.strip_prefix('(')?.split_once(')')?;
    let inside = inside.trim().strip_suffix(',').unwrap_or(inside.trim());
    if inside.is_empty() {
        return Some(Vec::new());
    }
    inside.split(',').map(|axis| axis.trim().parse().ok()).collect()
}
