//! Pictures as measurements: PNG, JPEG and TIFF in and out. Without the feature `pictures` only their names
//! are known.

#[cfg(feature = "pictures")]
mod decode;
pub mod format;
#[cfg(feature = "pictures")]
pub mod photo;
