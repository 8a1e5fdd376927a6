//! `unheat --version`.

use crate::gpu::adapters::compiled_in;
use std::sync::LazyLock;

/// What `--version` says behind the name; `-V` says the number alone. build.rs finds out commit and features.
pub(crate) static LONG: LazyLock<String> = LazyLock::new(|| {
    let back_ends = compiled_in().map(wgpu::Backend::to_str).collect::<Vec<_>>().join(" ");
    format!(
        "{}\ncommit: {}\nfeatures: {}\nback ends: {back_ends}",
        env!("CARGO_PKG_VERSION"),
        env!("UNHEAT_COMMIT"),
        env!("UNHEAT_FEATURES"),
    )
});
