//! `--device`, where it is no setting of a training.

use crate::Result;
use crate::cli::terminal::messages::note;
use crate::engine::{Device, DeviceChoice, known_devices, operators};
use crate::model::DType;
use crate::trust;
use clap::Args;

/// Opens a device, with the remedies that are known to be necessary for it; where there was a choice between
/// GPUs, says what was taken.
pub(crate) fn open(choice: &DeviceChoice) -> Result<Device> {
    let (device, reason) = Device::open_with_reason(choice)?;
    if let Some(reason) = reason {
        note!("{reason}; --device takes another one");
    }
    if let Device::Gpu(gpu) = &device {
        trust::recall(gpu, known_devices::path().as_deref());
    }
    Ok(device)
}

#[derive(Args)]
pub(crate) struct DeviceFlag {
    /// auto, cpu, an adapter's number in `unheat devices`, or any part of its name with a letter
    #[arg(id = "device", long, default_value = "auto", value_name = "auto|cpu|INDEX|NAME")]
    choice: DeviceChoice,
}

impl DeviceFlag {
    /// Opens the device.
    pub(crate) fn open(&self) -> Result<Device> {
        open(&self.choice)
    }

    /// Opens the device for physics in `precision`; where it cannot compute in that, the CPU twins, with a
    /// line that says so.
    pub(crate) fn open_for(&self, precision: DType) -> Result<Device> {
        let (device, note) = operators::device_for(self.open()?, precision);
        if let Some(note) = note {
            note!("{note}");
        }
        Ok(device)
    }
}
