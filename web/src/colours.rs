//! The colours of temperatures: inferno, as in the pictures of the command line.

use wasm_bindgen::prelude::wasm_bindgen;

/// Entries of the table.
pub(crate) const COUNT: usize = 256;

/// The temperature that has the last colour: where two rectangles overlap it is often above 1.
pub(crate) const HOTTEST: f32 = 1.5;

/// [`HOTTEST`], for the page.
#[wasm_bindgen]
pub fn hottest() -> f32 {
    HOTTEST
}

/// Red, green and blue of temperatures from 0 to the hottest, [`COUNT`] of them.
#[wasm_bindgen]
pub fn colours() -> Vec<u8> {
    let colour = |i: usize| colorous::INFERNO.eval_rational(i, COUNT).into_array();
    (0..COUNT).flat_map(colour).collect()
}

/// The same as one number each, red in the lowest byte, opaque: what the shader reads.
pub(crate) fn packed() -> Vec<u32> {
    colours().as_chunks::<3>().0.iter().map(|&[r, g, b]| u32::from_le_bytes([r, g, b, 255])).collect()
}

/// Bytes of red, green, blue and opacity for temperatures, as a canvas takes them.
pub(crate) fn rgba(values: impl Iterator<Item = f32>) -> Vec<u8> {
    let table = packed();
    // As in the shader: what is not a number is the coldest.
    let place = |value: f32| ((value / HOTTEST).clamp(0.0, 1.0) * (COUNT - 1) as f32 + 0.5) as usize;
    values.flat_map(|value| table[place(value)].to_le_bytes()).collect()
}
