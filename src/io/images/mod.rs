//! Pictures as measurements: PNG, JPEG and TIFF in and out, GIF, WebP and BMP in. Without the feature
//! `pictures` only their names are known.

#[cfg(feature = "pictures")]
mod bmp;
#[cfg(feature = "pictures")]
mod decode;
#[cfg(feature = "pictures")]
mod depth;
pub mod folder;
pub mod format;
#[cfg(feature = "pictures")]
mod gif;
#[cfg(feature = "pictures")]
mod hidden;
#[cfg(feature = "pictures")]
mod jpeg;
#[cfg(feature = "pictures")]
mod metadata;
#[cfg(feature = "pictures")]
pub mod photo;
#[cfg(feature = "pictures")]
mod pixels;
#[cfg(feature = "pictures")]
mod png;
#[cfg(feature = "pictures")]
mod raster;
#[cfg(feature = "pictures")]
mod scale;
#[cfg(feature = "pictures")]
mod tiff;
#[cfg(feature = "pictures")]
mod webp;
