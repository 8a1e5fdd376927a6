//! The flags of `unheat reconstruct`.

use crate::cli::flags::device::DeviceFlag;
use crate::cli::flags::film::Animation;
use crate::cli::flags::measurement::{EdgesFlag, noise};
use crate::cli::flags::operator::OperatorFlags;
use crate::cli::flags::tuning::Preparation;
use crate::engine::Norm;
use crate::model::DType;
use crate::restore::measurement::NoiseLevel;
use clap::builder::PossibleValue;
use clap::{Args, ValueEnum};
use std::path::PathBuf;

#[derive(Args)]
pub(crate) struct Arguments {
    /// A trained network, unheat's or PyTorch's; given several times, the mean of what they predict [default:
    /// one that comes with unheat, for amounts of 2 and 8 cells²: of arrays that look like the experiment's
    /// fields the one for their noise, otherwise one for pictures]
    #[arg(long, value_name = "FILE.safetensors")]
    pub(crate) weights: Vec<PathBuf>,
    /// With several weights: also write the standard deviation of their predictions, [count, x, y] or
    /// [colour, x, y]: where networks disagree, none of them knows
    #[arg(long, value_name = "FILE.npy")]
    pub(crate) uncertainty_map: Option<PathBuf>,
    /// Observed fields, [count, x, y] or [x, y] in a .npy file; or a picture of any size (PNG, JPEG, TIFF,
    /// GIF, WebP, BMP; each colour by itself); or a folder of pictures
    #[arg(short, long, value_name = "FILE|DIR")]
    pub(crate) input: PathBuf,
    /// The predictions, of the input's shape and type or bit depth; replaced if it exists; - is standard
    /// output
    #[arg(short, long, value_name = "FILE|DIR")]
    pub(crate) output: PathBuf,
    /// Statistics of the batch norm: of the batch, as in training, or the running ones of the weights file
    /// [default: batch for periodic arrays with --weights; otherwise running, so that no field or tile
    /// depends on another]
    #[arg(long, value_enum)]
    pub(crate) norm: Option<Norm>,
    /// Fields (of a picture: tiles) at a time; with --norm batch each batch has its own statistics [default:
    /// all, with --norm batch]
    #[arg(long, value_name = "N")]
    pub(crate) batch: Option<usize>,
    /// The values are in the units of the training, such as other fields of `generate`: the networks see
    /// them as they are, not moved and stretched to the mean and the spread of their training
    #[arg(long, requires = "weights")]
    pub(crate) same_units: bool,
    #[command(flatten)]
    pub(crate) operator: OperatorFlags,
    #[command(flatten)]
    pub(crate) animation: Animation,
    /// Then update each prediction by up to N damped inverses of its misfit to the observation, which go by
    /// --amount or --operator; an update that would make the misfit worse is not made
    #[arg(long, value_name = "N")]
    pub(crate) refine: Option<usize>,
    /// Standard deviation of the observation's noise, for --refine, without --weights for the choice of the
    /// network, and with --edges open for what lies beyond them where a network sees an inverse; or auto,
    /// which reads it from the observation
    #[arg(long, value_name = "auto|SIGMA", value_parser = noise, default_value = "auto")]
    #[arg(allow_negative_numbers = true)]
    pub(crate) noise: NoiseLevel,
    #[command(flatten)]
    pub(crate) edges: EdgesFlag,
    /// End with exit code 3 where the result cannot be right; it is written all the same. Of a folder, stop
    /// before anything is computed where a member cannot be used; otherwise it is left out, a line says why,
    /// and the exit code is 4
    #[arg(long)]
    pub(crate) strict: bool,
    /// Draw observation, reconstruction, re-diffused reconstruction and residual with their numbers; of an
    /// array, the first four fields; of a folder, one report per picture in this folder. It goes by
    /// --amount or --operator
    #[arg(long, value_name = "FILE.png|DIR")]
    pub(crate) report: Option<PathBuf>,
    /// What there was before diffusion, to compare with in the report; of a folder, a folder with the same
    /// names
    #[arg(long, value_name = "FILE|DIR", requires = "report")]
    pub(crate) truth: Option<PathBuf>,
    /// What the shaders of a GPU compute the physics of --refine and --report in, and the inverse that some
    /// networks see; the CPU always computes in 64 bits
    #[arg(long, value_parser = DType::physics_parser(), default_value_t = DType::F64)]
    pub(crate) physics: DType,
    #[command(flatten)]
    pub(crate) preparation: Preparation,
    #[command(flatten)]
    pub(crate) device: DeviceFlag,
}

impl ValueEnum for Norm {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Batch, Self::Running]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(match self {
            Self::Batch => "batch",
            Self::Running => "running",
        }))
    }
}
