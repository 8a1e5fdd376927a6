//! A kernel's uniform, filled by name: the shader alone says which fields there are, where they lie and of
//! which type.

use bytemuck::bytes_of;

/// A value for one field of a kernel's uniform: `("count", len.into())`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scalar {
    /// For a u32, which it must fit.
    Integer(u64),
    /// For an f32.
    Float(f32),
}

impl From<usize> for Scalar {
    fn from(value: usize) -> Self {
        Self::Integer(value as u64)
    }
}

impl From<u32> for Scalar {
    fn from(value: u32) -> Self {
        Self::Integer(value.into())
    }
}

/// 0 or 1: uniforms hold no bool.
impl From<bool> for Scalar {
    fn from(value: bool) -> Self {
        Self::Integer(value.into())
    }
}

impl From<f32> for Scalar {
    fn from(value: f32) -> Self {
        Self::Float(value)
    }
}

/// Rounded to the nearest f32.
impl From<f64> for Scalar {
    fn from(value: f64) -> Self {
        Self::Float(value as f32)
    }
}

/// The struct behind a shader's `var<uniform>`.
#[derive(Clone, Debug)]
pub(crate) struct Uniform {
    pub(crate) fields: Vec<Field>,
    /// Bytes of the whole struct.
    pub(crate) size: usize,
}

/// One field of a [`Uniform`].
#[derive(Clone, Debug)]
pub(crate) struct Field {
    pub(crate) name: String,
    /// Bytes from the start.
    pub(crate) offset: usize,
    /// Its WGSL type.
    pub(crate) kind: String,
}

/// The bytes of `uniform`, none where a kernel has no uniform, with each of its fields set to the value of
/// that name.
///
/// # Errors
/// A line that names the field that is missing, unknown, given twice, or of another type than its value.
pub(crate) fn bytes(uniform: Option<&Uniform>, values: &[(&str, Scalar)]) -> Result<Vec<u8>, String> {
    let (fields, size) = uniform.map_or((&[][..], 0), |uniform| (&uniform.fields[..], uniform.size));
    for (i, (name, _)) in values.iter().enumerate() {
        if values[..i].iter().any(|(other, _)| other == name) {
            return Err(format!("parameter {name} is given twice"));
        }
        if fields.iter().all(|field| field.name != *name) {
            let known: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            return Err(format!("has no parameter {name}; the shader's are {known}"));
        }
    }
    let mut bytes = vec![0; size];
    for field in fields {
        let Some((_, value)) = values.iter().find(|(name, _)| *name == field.name) else {
            return Err(format!("parameter {} is not given", field.name));
        };
        bytes[field.offset..][..4].copy_from_slice(&field.bytes(*value)?);
    }
    Ok(bytes)
}

impl Field {
    /// The four bytes of `value`.
    fn bytes(&self, value: Scalar) -> Result<[u8; 4], String> {
        let four = |bytes: &[u8]| <[u8; 4]>::try_from(bytes).expect("both types have four bytes");
        match (self.kind.as_str(), value) {
            ("u32", Scalar::Integer(integer)) => {
                let fitting = u32::try_from(integer);
                let integer = fitting.map_err(|_| format!("parameter {}: {integer} is no u32", self.name))?;
                Ok(four(bytes_of(&integer)))
            }
            ("f32", Scalar::Float(float)) => Ok(four(bytes_of(&float))),
            (kind, value) => Err(format!("parameter {} is of type {kind}, {value:?} is not", self.name)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uniform() -> Uniform {
        let field = |name: &str, offset, kind: &str| Field { name: name.into(), offset, kind: kind.into() };
        let fields = vec![
            field("count", 0, "u32"),
            field("rate", 4, "f32"),
            field("wide", 8, "u32"),
            field("vector", 16, "vec4<f32>"),
        ];
        Uniform { fields, size: 32 }
    }

    /// As [`uniform`], but for the field that no value fits.
    fn scalars() -> Uniform {
        let fields = uniform().fields;
        Uniform { fields: fields[..3].to_vec(), size: 12 }
    }

    fn filled(values: &[(&str, Scalar)]) -> Result<Vec<u8>, String> {
        bytes(Some(&scalars()), values)
    }

    #[test]
    fn values_lie_where_the_shader_has_their_fields() {
        let bytes = filled(&[("wide", true.into()), ("count", 7_usize.into()), ("rate", 0.1_f64.into())]);
        let numbers: Vec<u32> = bytemuck::pod_collect_to_vec(&bytes.unwrap());
        assert_eq!(numbers, [7, 0.1_f32.to_bits(), 1]);
        assert_eq!(Scalar::from(0.1_f32), Scalar::from(0.1_f64), "rounded once");
        assert_eq!(Scalar::from(7_u32), Scalar::from(7_usize));
        assert_eq!(super::bytes(None, &[]), Ok(Vec::new()));
    }

    #[test]
    fn every_mistake_is_named() {
        let (count, rate, wide) = (("count", 7_u32.into()), ("rate", 0.5_f32.into()), ("wide", 1_u32.into()));
        let message = |values: &[(&str, Scalar)]| filled(values).unwrap_err();
        assert_eq!(message(&[count, rate]), "parameter wide is not given");
        assert_eq!(message(&[count, rate, wide, rate]), "parameter rate is given twice");
        let unknown = message(&[count, rate, wide, ("height", 1_u32.into())]);
        assert_eq!(unknown, "has no parameter height; the shader's are count, rate, wide");
        assert_eq!(
            message(&[count, wide, ("rate", 1_u32.into())]),
            "parameter rate is of type f32, Integer(1) is not"
        );
        assert_eq!(
            message(&[rate, wide, ("count", 1.0_f32.into())]),
            "parameter count is of type u32, Float(1.0) is not"
        );
        let large = message(&[rate, wide, ("count", Scalar::Integer(1 << 32))]);
        assert_eq!(large, "parameter count: 4294967296 is no u32");
        assert_eq!(bytes(None, &[count]).unwrap_err(), "has no parameter count; the shader's are none");
        let vector = bytes(Some(&uniform()), &[count, rate, wide, ("vector", 1.0_f32.into())]).unwrap_err();
        assert_eq!(vector, "parameter vector is of type vec4<f32>, Float(1.0) is not");
    }
}
