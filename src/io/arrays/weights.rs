//! A network's weights as a safetensors file with PyTorch's names and shapes (method §8).

use crate::io::arrays::tensors::{self, Data, Tensor, TensorsAndMetadata};
use crate::io::arrays::{checkpoint, checksum};
use crate::io::{atomic, contents};
use crate::model::operator::tikhonov;
use crate::model::unet::init::State;
use crate::model::unet::{Entry, Place};
use crate::model::{Activation, Padding, TrainedFor, UNet, UNetConfig};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Mutex;
use toml::Table;

/// The metadata under the key `unheat`: what names and shapes do not tell.
#[derive(Serialize, Deserialize)]
struct About {
    padding: Padding,
    #[serde(default, skip_serializing_if = "is_default")]
    activation: Activation,
    /// For whoever reads the file; the shapes decide.
    #[serde(default)]
    filters: Vec<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trained_for: Option<TrainedFor>,
}

/// Choices that are those of the reference are not written.
fn is_default<T: Default + PartialEq>(choice: &T) -> bool {
    *choice == T::default()
}

const KEY: &str = checksum::METADATA;

/// Writes every tensor of the state dict, as of [`to_bytes`].
///
/// # Errors
/// [`Error::Io`] when the file cannot be written.
pub fn write(path: &Path, net: &UNet, state: &State, trained_for: Option<&TrainedFor>) -> Result<()> {
    let bytes = to_bytes(path, net, state, trained_for)?;
    atomic::write(path, |out| out.write_all(&bytes))
}

/// The bytes of a file, called `path`, with every tensor of the state dict. The metadata's key `unheat`
/// holds a JSON text: the padding, the activation if it is not ReLU, the filters, what they were trained
/// for, and a checksum. The bytes depend on these alone.
///
/// # Errors
/// [`Error::File`] where they cannot be encoded.
pub fn to_bytes(path: &Path, net: &UNet, state: &State, trained_for: Option<&TrainedFor>) -> Result<Vec<u8>> {
    let tensors: Vec<Tensor> = net
        .entries
        .iter()
        .map(|entry| match entry.place {
            Place::Param(offset) => tensor(entry, &state.params[offset..]),
            Place::Buffer(offset) => tensor(entry, &state.buffers[offset..]),
            Place::BatchesTracked => Tensor {
                name: entry.name.clone(),
                shape: entry.shape.clone(),
                data: Data::I64(vec![state.batches_tracked]),
            },
        })
        .collect();
    let UNetConfig { filters, padding, activation, .. } = net.config.clone();
    let about = About { padding, activation, filters, trained_for: trained_for.cloned() };
    let about = checksum::with_checksum(path, &about, &tensors)?;
    tensors::to_bytes(path, &tensors, Some((KEY, &about)))
}

/// Writes the flat `gradients`, one tensor for each parameter and named like it, with a checksum in the
/// metadata.
///
/// # Errors
/// [`Error::Io`] when the file cannot be written.
pub fn write_gradients(path: &Path, net: &UNet, gradients: &[f32]) -> Result<()> {
    let params = net.entries.iter().filter_map(|entry| match entry.place {
        Place::Param(offset) => Some(tensor(entry, &gradients[offset..])),
        Place::Buffer(_) | Place::BatchesTracked => None,
    });
    let params: Vec<Tensor> = params.collect();
    let about = checksum::with_checksum(path, &BTreeMap::<String, String>::new(), &params)?;
    tensors::write(path, &params, Some((KEY, &about)))
}

fn tensor(entry: &Entry, values: &[f32]) -> Tensor {
    let data = Data::F32(values[..entry.len()].to_vec());
    Tensor { name: entry.name.clone(), shape: entry.shape.clone(), data }
}

/// Reads a state dict of unheat, PyTorch or PhiFlow. Names and shapes tell levels, filters, blocks and
/// whether there is batch norm. The padding and the activation are in the metadata that [`write()`] leaves; a
/// file without it is taken to have circular padding and ReLU. Names may have a prefix in common, as that of
/// a compiled or a wrapped module. Numbers of other types are taken in 32 bits. Of a checkpoint its weights
/// are read. What was done is told in the log.
///
/// PyTorch counts batches per layer: where the counts differ, the largest is returned.
///
/// # Errors
/// [`Error::Io`] when the file cannot be read; [`Error::File`] when it is damaged, is not the state dict of a
/// network with one channel in and out, has a tensor missing or too many, of the wrong shape or type, or
/// holds a number that is not finite, or when its checksum is wrong. The error names the tensor.
/// [`Error::File`] for a network that does not see observations as they are, too: [`read_all`] tells what it
/// is to be shown.
pub fn read(path: &Path) -> Result<(UNet, State)> {
    let (net, state, trained_for) = read_all(path)?;
    match trained_for.and_then(|trained_for| trained_for.tikhonov) {
        None => Ok((net, state)),
        Some(lambda) => {
            let what = format!("its network sees the Tikhonov inverse with λ = {lambda} of an observation");
            Err(Error::file(path, format!("{what}, and would be shown the observation itself")))
        }
    }
}

/// The same, and what the network was trained for, if the file says so.
///
/// # Errors
/// Those of [`read`], and [`Error::File`] where that is damaged.
pub fn read_all(path: &Path) -> Result<(UNet, State, Option<TrainedFor>)> {
    of_bytes(path, &tensors::read_bytes(path)?)
}

/// As [`read_all`], of the bytes of a file that is called `path`.
///
/// # Errors
/// [`Error::File`], as there.
pub fn of_bytes(path: &Path, bytes: &[u8]) -> Result<(UNet, State, Option<TrainedFor>)> {
    let file = tensors::of_bytes(path, bytes)?;
    if file.1.contains_key(checkpoint::KEY) {
        let (net, state) = of_checkpoint(path, file)?;
        return Ok((net, state, None));
    }
    let (mut tensors, metadata) = file;
    // Without its key the metadata would pass for that of others, and zero padding for circular.
    if !metadata.contains_key(KEY) && metadata.values().any(|text| text.contains("\"padding\"")) {
        return Err(Error::file(path, format!("metadata `{KEY}` has lost its name: this file is damaged")));
    }
    checksum::check(path, &metadata, &tensors)?;
    if let Some(found) = contents::of_start(path, bytes).filter(|found| found.contains("--save-")) {
        return Err(Error::file(path, format!("{found}, not a network's weights; name another file")));
    }
    strip_prefix(path, &mut tensors);
    narrow(path, &mut tensors);
    let tensors: BTreeMap<&str, &Tensor> = tensors.iter().map(|t| (t.name.as_str(), t)).collect();
    let about = match metadata.get(KEY) {
        None => About {
            padding: Padding::Circular,
            activation: Activation::Relu,
            filters: Vec::new(),
            trained_for: None,
        },
        Some(text) => serde_json::from_str(text).map_err(|e| {
            let what = format!("metadata `{KEY}` ({e}) must be like {{\"padding\":\"circular\"}}");
            Error::file(path, what)
        })?,
    };
    let (net, state) = state(&tensors, &about).map_err(|what| Error::file(path, what))?;
    if let Some(lambda) = about.trained_for.as_ref().and_then(|trained_for| trained_for.tikhonov) {
        tikhonov::check(lambda).map_err(|error| Error::file(path, format!("metadata `{KEY}`: {error}")))?;
    }
    Ok((net, state, about.trained_for))
}

/// The network of a run's checkpoint, which its settings describe.
fn of_checkpoint(path: &Path, file: TensorsAndMetadata) -> Result<(UNet, State)> {
    let checkpoint = checkpoint::of_tensors(path, file)?;
    let damaged = || Error::file(path, "its settings describe no network: this checkpoint is damaged");
    let settings: Table = checkpoint.settings.parse().map_err(|_| damaged())?;
    if settings.contains_key("tikhonov") {
        let what = "a checkpoint whose network sees Tikhonov inverses, which its weights alone do not tell; \
                    name the run's weights.safetensors";
        return Err(Error::file(path, what));
    }
    let levels = settings.get("levels").and_then(|levels| usize::try_from(levels.as_integer()?).ok());
    let config: UNetConfig = settings.try_into().map_err(|_| damaged())?;
    let net = UNet::new(&config.with_levels(levels.ok_or_else(damaged)?).map_err(|_| damaged())?);
    let state = checkpoint.snapshot.state;
    if (state.params.len(), state.buffers.len()) != (net.param_count, net.buffer_count) || !state.is_finite()
    {
        return Err(damaged());
    }
    tell(
        path,
        &format!(
            "a checkpoint; its weights after {} steps are taken, but not the scale of their training",
            checkpoint.step
        ),
    );
    Ok((net, state))
}

/// Takes off what stands before every name, such as `module.` or `_orig_mod.`
fn strip_prefix(path: &Path, tensors: &mut [Tensor]) {
    let first = |tensor: &Tensor| tensor.name.find("inc.").map(|at| tensor.name[..at].to_owned());
    let Some(prefix) = tensors.iter().find_map(first).filter(|prefix| !prefix.is_empty()) else { return };
    if tensors.iter().all(|tensor| tensor.name.starts_with(&prefix)) {
        tensors.iter_mut().for_each(|tensor| drop(tensor.name.drain(..prefix.len())));
        tell(path, &format!("every name begins with `{prefix}`, which is taken off"));
    }
}

/// Rounds numbers of 64 bits to the 32 that networks have.
fn narrow(path: &Path, tensors: &mut [Tensor]) {
    let mut is_rounded = false;
    for tensor in tensors {
        if let Data::F64(values) = &tensor.data {
            is_rounded |= values.iter().any(|&value| f64::from(value as f32) != value);
            tensor.data = Data::F32(values.iter().map(|&value| value as f32).collect());
        }
    }
    if is_rounded {
        tell(path, "holds numbers of 64 bits, which are rounded to 32");
    }
}

/// Logs a line about a file, once in a process: settings and plans read it several times.
fn tell(path: &Path, what: &str) {
    static TOLD: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let line = format!("{}: {what}", path.display());
    if TOLD.lock().is_ok_and(|mut told| told.insert(line.clone())) {
        log::warn!("{line}");
    }
}

fn state(tensors: &BTreeMap<&str, &Tensor>, about: &About) -> std::result::Result<(UNet, State), String> {
    let filters = filters(tensors)?;
    let config = UNetConfig::new(filters.len(), &filters, about.padding).map_err(|e| e.to_string())?;
    let res_blocks = tensors.contains_key(RES_BLOCKS);
    let first_norm = if res_blocks { "inc.bn1.weight" } else { "inc.double_conv.1.weight" };
    let (activation, batch_norm) = (about.activation, tensors.contains_key(first_norm));
    let config = UNetConfig { activation, batch_norm, res_blocks, ..config };
    let net = UNet::new(&config);
    if let Some(extra) = tensors.keys().find(|&&name| net.entries.iter().all(|e| e.name != name)) {
        return Err(format!("tensor `{extra}` does not belong to a U-Net of {}", describe(&filters)));
    }
    let mut state = State {
        params: vec![0.0; net.param_count],
        buffers: vec![0.0; net.buffer_count],
        batches_tracked: 0,
    };
    for entry in &net.entries {
        let missing = || format!("tensor `{}` of a U-Net of {} is missing", entry.name, describe(&filters));
        let tensor = tensors.get(entry.name.as_str()).ok_or_else(missing)?;
        if tensor.shape != entry.shape {
            let (found, wanted) = (&tensor.shape, &entry.shape);
            return Err(format!(
                "tensor `{}` has the shape {found:?}; a U-Net of {} needs {wanted:?}",
                entry.name,
                describe(&filters)
            ));
        }
        match (entry.place, &tensor.data) {
            (Place::Param(offset), Data::F32(values)) => {
                state.params[offset..][..values.len()].copy_from_slice(values);
            }
            (Place::Buffer(offset), Data::F32(values)) => {
                if let Some(bad) = values.iter().find(|v| entry.name.ends_with("running_var") && **v < 0.0) {
                    return Err(format!("tensor `{}` holds {bad}, which is no variance", entry.name));
                }
                state.buffers[offset..][..values.len()].copy_from_slice(values);
            }
            (Place::BatchesTracked, Data::I64(values)) => {
                state.batches_tracked = state.batches_tracked.max(values[0]);
            }
            (place, data) => {
                let wanted = if place == Place::BatchesTracked { "I64" } else { "F32" };
                let found = data.type_name();
                return Err(format!("tensor `{}` is {found}; it must be {wanted}", entry.name));
            }
        }
        if let Data::F32(values) = &tensor.data
            && let Some(bad) = values.iter().find(|value| !value.is_finite())
        {
            return Err(format!("tensor `{}` holds {bad}; these weights are of no use", entry.name));
        }
    }
    Ok((net, state))
}

/// A tensor that networks of residual blocks have, and no others.
const RES_BLOCKS: &str = "inc.conv1.weight";

/// Filters per level, from the last convolution of every encoder block.
fn filters(tensors: &BTreeMap<&str, &Tensor>) -> std::result::Result<Vec<usize>, String> {
    let level = |name: &str| name.strip_prefix("down")?.split_once('.')?.0.parse::<usize>().ok();
    let levels = 1 + tensors.keys().filter_map(|name| level(name)).max().unwrap_or(0);
    if levels > 6 {
        return Err(format!("has down{}: a U-Net of more than 6 levels is not supported", levels - 1));
    }
    let blocks = (0..levels).map(|i| if i == 0 { "inc".to_owned() } else { format!("down{i}.conv") });
    let last = if tensors.contains_key(RES_BLOCKS) { "conv2" } else { "double_conv.3" };
    let width = |block: String| {
        let name = format!("{block}.{last}.weight");
        match tensors.get(name.as_str()).map(|tensor| tensor.shape.as_slice()) {
            Some(&[c_out, _, 3, 3]) => Ok(c_out),
            Some(shape) => {
                Err(format!("tensor `{name}` has the shape {shape:?}, not [filters, filters, 3, 3]"))
            }
            None => Err(format!("tensor `{name}` is missing; is this the state dict of a U-Net?")),
        }
    };
    blocks.map(width).collect()
}

/// `4 levels with 16, 16, 16, 16 filters`
fn describe(filters: &[usize]) -> String {
    let list: Vec<String> = filters.iter().map(usize::to_string).collect();
    format!("{} levels with {} filters", filters.len(), list.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Operator, UNetConfig};

    fn saved(net: &UNet, folder: &Path) -> (std::path::PathBuf, State) {
        let state = State { batches_tracked: 7, ..State::new(net, 3) };
        let path = folder.join("w.safetensors");
        write(&path, net, &state, None).unwrap();
        (path, state)
    }

    #[test]
    fn a_file_remembers_what_its_network_was_trained_for() {
        let net = UNet::new(&UNetConfig::new(2, &[8, 8], Padding::Circular).unwrap());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w");
        let trained_for = TrainedFor::of(&[0.1, 0.3].repeat(32), &Operator::heat(8, 8, 8.0).unwrap(), 1e-3);
        write(&path, &net, &State::new(&net, 0), Some(&trained_for)).unwrap();
        assert_eq!(read_all(&path).unwrap().2, Some(trained_for));
        write(&path, &net, &State::new(&net, 0), None).unwrap();
        assert_eq!(read_all(&path).unwrap().2, None);
    }

    #[test]
    fn a_file_holds_the_whole_state_dict_and_equal_states_make_equal_bytes() {
        let net = UNet::new(&UNetConfig::default());
        let folder = tempfile::tempdir().unwrap();
        let paths = ["a", "b"].map(|name| folder.path().join(name));
        for path in &paths {
            write(path, &net, &State::new(&net, 0), None).unwrap();
        }
        assert_eq!(std::fs::read(&paths[0]).unwrap(), std::fs::read(&paths[1]).unwrap());
        let (tensors, metadata) = tensors::read(&paths[0]).unwrap();
        assert_eq!(tensors.len(), 100);
        let about = &metadata["unheat"];
        assert!(
            about.contains("\"padding\":\"circular\"") && about.contains("\"filters\":[16,16,16,16]"),
            "{about}"
        );
        let find = |name: &str| tensors.iter().find(|t| t.name == name).unwrap();
        assert_eq!(find("up3.conv.double_conv.0.weight").shape, [16, 32, 3, 3]);
        assert_eq!(find("inc.double_conv.1.num_batches_tracked").data, Data::I64(vec![0]));
    }

    #[test]
    fn every_architecture_round_trips_to_the_same_bytes() {
        let folder = tempfile::tempdir().unwrap();
        use Activation::{Relu, Sigmoid, Silu, Tanh};
        for (filters, padding, activation, batch_norm, res_blocks) in [
            (vec![8], Padding::Zero, Sigmoid, true, false),
            (vec![8, 16, 24], Padding::Circular, Silu, false, false),
            (vec![16; 4], Padding::Circular, Relu, true, false),
            (vec![16, 8, 32, 8, 16, 8], Padding::Zero, Tanh, false, false),
            (vec![8], Padding::Zero, Silu, false, true),
            (vec![8, 8, 16], Padding::Circular, Relu, true, true),
        ] {
            let net = UNet::new(&UNetConfig { filters, padding, activation, batch_norm, res_blocks });
            let (path, mut state) = saved(&net, folder.path());
            state.batches_tracked *= i64::from(batch_norm); // only batch norms count
            let (found, again) = read(&path).unwrap();
            assert_eq!(found.config, net.config);
            assert_eq!(again, state);
            let copy = folder.path().join("copy");
            write(&copy, &found, &again, None).unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), std::fs::read(&copy).unwrap());
        }
    }

    #[test]
    fn damage_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let net =
            UNet::new(&UNetConfig { filters: vec![8, 16], padding: Padding::Zero, ..Default::default() });
        let (path, _) = saved(&net, folder.path());
        let (good, _) = tensors::read(&path).unwrap();
        let complain = |metadata: Option<(&str, &str)>, change: &dyn Fn(&mut Vec<Tensor>)| {
            let mut tensors = good.clone();
            change(&mut tensors);
            tensors::write(&path, &tensors, metadata).unwrap();
            let error = read(&path).unwrap_err();
            assert!(matches!(error, Error::File { .. }), "{error}");
            assert!(!error.to_string().contains('\n'), "{error}");
            error.to_string()
        };
        let at = |tensors: &Vec<Tensor>, name: &str| tensors.iter().position(|t| t.name == name).unwrap();
        for name in ["outc.bias", "inc.double_conv.3.weight", "up1.conv.double_conv.4.num_batches_tracked"] {
            let message = complain(None, &|t| drop(t.remove(at(t, name))));
            assert!(message.contains(name) && message.contains("missing"), "{message}");
        }
        for name in ["extra", "down3.conv.double_conv.0.bias", "up2.conv.double_conv.0.weight"] {
            let zero = Tensor { name: name.to_owned(), shape: vec![1], data: Data::F32(vec![0.0]) };
            let message = complain(None, &|t| t.push(zero.clone()));
            assert!(message.contains("does not belong") || message.contains("down2"), "{message}");
        }
        let reshape = |t: &mut Vec<Tensor>| {
            let i = at(t, "down1.conv.double_conv.0.weight");
            t[i].shape.swap(0, 1);
        };
        let message = complain(None, &reshape);
        assert!(message.contains("down1.conv.double_conv.0.weight") && message.contains("[16, 8, 3, 3]"));
        let retype = |t: &mut Vec<Tensor>| {
            let i = at(t, "outc.bias");
            t[i].data = Data::I32(vec![0]);
        };
        assert!(complain(None, &retype).contains("`outc.bias` is I32; it must be F32"));
        let retype = |t: &mut Vec<Tensor>| {
            let i = at(t, "inc.double_conv.1.num_batches_tracked");
            t[i].data = Data::I32(vec![0]);
        };
        assert!(complain(None, &retype).contains("must be I64"));
        for (name, value, complaint) in
            [("outc.bias", f32::NAN, "NaN"), ("inc.double_conv.1.running_var", -1.0, "no variance")]
        {
            let spoil = |t: &mut Vec<Tensor>| {
                let i = at(t, name);
                t[i].data = Data::F32(vec![value; t[i].data.len()]);
            };
            assert!(complain(None, &spoil).contains(complaint));
        }
        for metadata in
            ["", "{}", "{\"padding\":\"mirror\"}", "{\"padding\":\"zero\",\"activation\":\"gelu\"}"]
        {
            assert!(complain(Some((KEY, metadata)), &|_| ()).contains("metadata `unheat`"));
        }
    }

    /// What other programs do to names and types, each alone.
    #[test]
    fn prefixes_are_taken_off_and_other_types_read_in_32_bits() {
        let folder = tempfile::tempdir().unwrap();
        let net = UNet::new(&UNetConfig { filters: vec![8, 16], ..Default::default() });
        let (path, state) = saved(&net, folder.path());
        let (good, _) = tensors::read(&path).unwrap();
        let read_as = |change: &dyn Fn(&mut Tensor)| {
            let mut tensors = good.clone();
            tensors.iter_mut().for_each(change);
            tensors::write(&path, &tensors, None).unwrap();
            read(&path).map(|(_, state)| state)
        };
        for prefix in ["module.", "_orig_mod.", "model._orig_mod.", "net.unet.", "a"] {
            let renamed = read_as(&|t| t.name = format!("{prefix}{}", t.name));
            assert_eq!(renamed.unwrap(), state, "{prefix}");
        }
        let some = read_as(&|t| {
            if t.name.starts_with("inc") {
                t.name = format!("module.{}", t.name);
            }
        });
        assert!(some.unwrap_err().to_string().contains("tensor"), "not every name has it");
        let widened = |by: f64| {
            read_as(&|t| {
                if let Data::F32(values) = &t.data {
                    t.data = Data::F64(values.iter().map(|&v| f64::from(v) * by).collect());
                }
            })
        };
        assert_eq!(widened(1.0).unwrap(), state);
        assert_ne!(widened(1.0 + 1e-3).unwrap(), state);
        assert!(widened(1e300).unwrap_err().to_string().contains("of no use"));
    }

    #[test]
    fn a_changed_number_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let net = UNet::new(&UNetConfig { filters: vec![8], padding: Padding::Zero, ..Default::default() });
        let (path, _) = saved(&net, folder.path());
        let (mut tensors, metadata) = tensors::read(&path).unwrap();
        let Data::F32(values) = &mut tensors[0].data else { panic!() };
        values[0] += 1e-6;
        tensors::write(&path, &tensors, Some((KEY, &metadata[KEY]))).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("the checksum is wrong"));
        tensors::write(&path, &tensors, Some(("unheaf", &metadata[KEY]))).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("metadata `unheat` has lost its name"));
        // A program that changes numbers and drops the checksum is believed.
        tensors::write(&path, &tensors, Some((KEY, "{\"padding\":\"zero\"}"))).unwrap();
        assert_eq!(read(&path).unwrap().0.config.padding, Padding::Zero);
    }

    #[test]
    fn metadata_of_others_and_none_mean_circular_padding() {
        let folder = tempfile::tempdir().unwrap();
        let net = UNet::new(&UNetConfig { filters: vec![8], padding: Padding::Zero, ..Default::default() });
        let (path, _) = saved(&net, folder.path());
        let (tensors, _) = tensors::read(&path).unwrap();
        for metadata in [None, Some(("format", "pt"))] {
            tensors::write(&path, &tensors, metadata).unwrap();
            assert_eq!(read(&path).unwrap().0.config.padding, Padding::Circular);
        }
    }
}
