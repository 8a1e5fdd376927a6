//! A checksum inside the JSON that a safetensors file carries about itself: any changed bit of what counts is noticed.

use crate::io::arrays::tensors::Tensor;
use crate::{Error, Result};
use serde::Serialize;
use serde_json::Value;
use std::collections::HashMap;
use std::path::Path;

/// The metadata's key.
pub(crate) const METADATA: &str = "unheat";

/// The checksum's name in the JSON.
const KEY: &str = "checksum";

/// `about`, which must be a struct, as JSON, with a CRC-32 of itself and of the tensors.
pub(crate) fn sealed(path: &Path, about: &impl Serialize, tensors: &[Tensor]) -> Result<String> {
    let mut about = serde_json::to_value(about).map_err(|e| Error::file(path, e.to_string()))?;
    about[KEY] = checksum(&about, tensors).into();
    Ok(about.to_string())
}

/// Refuses a file whose checksum is wrong. Files of others have none.
pub(crate) fn check(path: &Path, metadata: &HashMap<String, String>, tensors: &[Tensor]) -> Result<()> {
    let text = metadata.get(METADATA).filter(|text| text.contains(&format!("\"{KEY}\"")));
    if text.is_none_or(|text| holds(text, tensors)) {
        return Ok(());
    }
    let what = "the checksum is wrong: this file is damaged, or was changed by a program that kept the metadata; write \
                it anew";
    Err(Error::file(path, what))
}

fn holds(text: &str, tensors: &[Tensor]) -> bool {
    let Ok(Value::Object(mut about)) = serde_json::from_str(text) else { return false };
    about.remove(KEY).is_none_or(|found| found == checksum(&Value::Object(about), tensors))
}

fn checksum(about: &Value, tensors: &[Tensor]) -> u32 {
    let mut sorted: Vec<&Tensor> = tensors.iter().collect();
    sorted.sort_by(|a, b| a.name.cmp(&b.name));
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(about.to_string().as_bytes());
    for Tensor { name, shape, data } in sorted {
        hasher.update(format!("{name:?} {shape:?} {}", data.type_name()).as_bytes());
        hasher.update(&data.to_le_bytes());
    }
    hasher.finalize()
}
