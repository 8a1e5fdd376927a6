//! *What* is computed, on whichever engine: the heat equation, the random data, the network, the optimiser.
//! Nothing here knows of a GPU or of files.

pub mod activation;
pub mod adam;
pub mod batch;
pub mod dtype;
pub mod fourier;
pub mod inverse;
pub mod losses;
pub mod noise;
pub mod objective;
pub mod operator;
pub mod quality;
pub mod rectangles;
pub mod rng;
pub mod schedule;
pub mod settings;
pub mod snapshot;
pub mod step_spec;
pub mod unet;
pub mod units;

pub use activation::Activation;
pub use adam::Adam;
pub use batch::{Batch, Truth};
pub use dtype::DType;
pub use losses::Losses;
pub use objective::{Method, Objective};
pub use operator::Operator;
pub use rectangles::Rectangle;
pub use schedule::{Schedule, ScheduleName};
pub use snapshot::Snapshot;
pub use step_spec::StepSpec;
pub use unet::trained_for::TrainedFor;
pub use unet::{Padding, UNet, UNetConfig};
