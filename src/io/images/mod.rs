//! Pictures as measurements: PNG, JPEG and TIFF in and out.

mod decode;
pub mod photo;
