//! A network's weights as a safetensors file with PyTorch's names and shapes (SPEC 8).

use super::tensors::{self, Data, Tensor};
use crate::Result;
use crate::model::UNet;
use crate::model::init::State;
use crate::model::unet::Place;
use std::path::Path;

/// Writes every tensor of the state dict. The bytes are a function of weights and architecture alone.
pub fn write(path: &Path, net: &UNet, state: &State) -> Result<()> {
    let tensors: Vec<Tensor> = net
        .entries
        .iter()
        .map(|entry| Tensor {
            name: entry.name.clone(),
            shape: entry.shape.clone(),
            data: match entry.place {
                Place::Param(offset) => Data::F32(state.params[offset..][..entry.len()].to_vec()),
                Place::Buffer(offset) => Data::F32(state.buffers[offset..][..entry.len()].to_vec()),
                Place::BatchesTracked => Data::I64(vec![state.batches_tracked]),
            },
        })
        .collect();
    let filters: Vec<String> = net.config.filters.iter().map(usize::to_string).collect();
    let about = format!("{{\"padding\":\"circular\",\"filters\":[{}]}}", filters.join(","));
    tensors::write(path, &tensors, Some(("unheat", &about)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::UNetConfig;

    #[test]
    fn a_file_holds_the_whole_state_dict_and_equal_states_make_equal_bytes() {
        let net = UNet::new(&UNetConfig::default());
        let folder = tempfile::tempdir().unwrap();
        let paths = ["a", "b"].map(|name| folder.path().join(name));
        for path in &paths {
            write(path, &net, &State::new(&net, 0)).unwrap();
        }
        assert_eq!(std::fs::read(&paths[0]).unwrap(), std::fs::read(&paths[1]).unwrap());
        let (tensors, metadata) = tensors::read(&paths[0]).unwrap();
        assert_eq!(tensors.len(), 100);
        assert!(metadata["unheat"].contains("[16,16,16,16]"));
        let find = |name: &str| tensors.iter().find(|t| t.name == name).unwrap();
        assert_eq!(find("up3.conv.double_conv.0.weight").shape, [16, 32, 3, 3]);
        assert_eq!(find("inc.double_conv.1.num_batches_tracked").data, Data::I64(vec![0]));
    }
}
