//! The checksum that safetensors files of unheat carry, so that any changed bit of what counts is noticed.
//!
//! It is a number called `checksum` in the JSON text that stands in the file's metadata: under the key
//! `unheat` in files of weights, gradients and rectangles, under `unheat checkpoint` in checkpoints. It is
//! the CRC-32 of a text about the file and then, tensor by tensor in the order of their names, of each one's
//! name, shape, type and little-endian bytes. For the key `unheat` that text is the JSON itself without
//! `checksum`.

use crate::io::arrays::tensors::Tensor;
use crate::{Error, Result};
use serde::Serialize;
use serde_json::Value;
use std::collections::HashMap;
use std::path::Path;

/// The metadata's key in every file but checkpoints.
pub(crate) const METADATA: &str = "unheat";

/// The checksum's name in the JSON.
const KEY: &str = "checksum";

/// `about`, which must be a struct, as JSON with the checksum in it.
pub(crate) fn with_checksum(path: &Path, about: &impl Serialize, tensors: &[Tensor]) -> Result<String> {
    let mut about = serde_json::to_value(about).map_err(|e| Error::file(path, e.to_string()))?;
    about[KEY] = of(&about.to_string(), tensors).into();
    Ok(about.to_string())
}

/// Refuses a file whose checksum is wrong. Files of other programs have none.
pub(crate) fn check(path: &Path, metadata: &HashMap<String, String>, tensors: &[Tensor]) -> Result<()> {
    let text = metadata.get(METADATA).filter(|text| text.contains(&format!("\"{KEY}\"")));
    if text.is_none_or(|text| holds(text, tensors)) {
        return Ok(());
    }
    let what = "the checksum is wrong: this file is damaged, or was changed by a program that kept the \
                metadata; write it anew";
    Err(Error::file(path, what))
}

fn holds(text: &str, tensors: &[Tensor]) -> bool {
    let Ok(Value::Object(mut about)) = serde_json::from_str(text) else { return false };
    about.remove(KEY).is_none_or(|found| found == of(&Value::Object(about).to_string(), tensors))
}

/// The checksum of a text about a file and of its tensors, in whatever order they come.
pub(crate) fn of(about: &str, tensors: &[Tensor]) -> u32 {
    let mut sorted: Vec<&Tensor> = tensors.iter().collect();
    sorted.sort_by(|a, b| a.name.cmp(&b.name));
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(about.as_bytes());
    for Tensor { name, shape, data } in sorted {
        hasher.update(format!("{name:?} {shape:?} {}", data.type_name()).as_bytes());
        hasher.update(&data.to_le_bytes());
    }
    hasher.finalize()
}
