//! Host structs that mirror a shader's `struct Params`: declared once here in Rust, checked against the WGSL
//! field by field when the kernel is built.

/// One field of a parameter struct.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name in both languages.
    pub name: &'static str,
    /// Bytes from the start.
    pub offset: u32,
    /// Its WGSL type.
    pub kind: &'static str,
}

/// A parameter struct with the layout of its WGSL twin; the macro `params!` makes them.
pub trait Params: bytemuck::Pod {
    /// Every field in order.
    const FIELDS: &'static [Field];
}

/// A Rust scalar with its WGSL name.
pub trait Scalar {
    /// The WGSL type.
    const KIND: &'static str;
}

impl Scalar for u32 {
    const KIND: &'static str = "u32";
}

impl Scalar for f32 {
    const KIND: &'static str = "f32";
}

/// Declares a `#[repr(C)]` struct of u32 and f32 fields that implements [`Params`](crate::gpu::runtime::params::Params). Where it
/// is used there must be a crate `bytemuck`, with its feature `derive`.
#[macro_export]
macro_rules! params {
    ($(#[$doc:meta])* $seen:vis struct $name:ident { $($field:ident: $kind:ty),* $(,)? }) => {
        $(#[$doc])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
        $seen struct $name { $($field: $kind),* }

        impl $crate::gpu::runtime::params::Params for $name {
            const FIELDS: &'static [$crate::gpu::runtime::params::Field] = &[$($crate::gpu::runtime::params::Field {
                name: stringify!($field),
                offset: std::mem::offset_of!($name, $field) as u32,
                kind: <$kind as $crate::gpu::runtime::params::Scalar>::KIND,
            }),*];
        }
    };
}
pub use crate::params;
