//! *What* is computed, wherever it runs: the heat equation, the random data, the network, the optimiser.
//! Nothing here knows of a GPU or of files.

pub mod adam;
pub mod batch;
pub mod fourier;
pub mod heat;
pub mod init;
pub mod losses;
pub mod precision;
pub mod quality;
pub mod rectangles;
pub mod rng;
pub mod storage;
pub mod unet;

pub use adam::Adam;
pub use batch::Batch;
pub use heat::{HeatEquation, Method};
pub use losses::Losses;
pub use precision::Precision;
pub use rectangles::Rectangle;
pub use storage::Storage;
pub use unet::{Padding, UNet, UNetConfig};
