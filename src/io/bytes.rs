//! Voxels from the bytes of a file, and as bytes for one.

use super::source::{Parsed, Trouble, reserve};
use crate::volume::VoxelData;

/// Number type of the voxels in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scalar {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    F32,
    F64,
}

impl Scalar {
    /// Size of a voxel.
    pub fn bytes(self) -> usize {
        match self {
            Scalar::U8 | Scalar::I8 => 1,
            Scalar::U16 | Scalar::I16 => 2,
            Scalar::U32 | Scalar::I32 | Scalar::F32 => 4,
            Scalar::U64 | Scalar::I64 | Scalar::F64 => 8,
        }
    }

    /// The first `count` voxels of `data`; integers of 64 bits become f64.
    ///
    /// # Errors
    /// Where `data` is too short, or memory is.
    pub fn decode(self, data: &[u8], count: usize, big_endian: bool) -> Parsed<VoxelData> {
        let wanted = count.checked_mul(self.bytes()).ok_or("the file announces too many voxels")?;
        let data = data.get(..wanted).ok_or_else(|| {
            let has = data.len();
            Trouble::Damaged(format!(
                "the file ends early: it announces {wanted} bytes of voxels and has {has}; copy it again"
            ))
        })?;
        Ok(match self {
            Scalar::U8 => VoxelData::U8(many(data, u8::one, big_endian)?),
            Scalar::I8 => VoxelData::I8(many(data, i8::one, big_endian)?),
            Scalar::U16 => VoxelData::U16(many(data, u16::one, big_endian)?),
            Scalar::I16 => VoxelData::I16(many(data, i16::one, big_endian)?),
            Scalar::U32 => VoxelData::U32(many(data, u32::one, big_endian)?),
            Scalar::I32 => VoxelData::I32(many(data, i32::one, big_endian)?),
            Scalar::U64 => VoxelData::F64(many(data, |b, e| u64::one(b, e) as f64, big_endian)?),
            Scalar::I64 => VoxelData::F64(many(data, |b, e| i64::one(b, e) as f64, big_endian)?),
            Scalar::F32 => VoxelData::F32(many(data, f32::one, big_endian)?),
            Scalar::F64 => VoxelData::F64(many(data, f64::one, big_endian)?),
        })
    }
}

/// All of `bytes`, whose length is a multiple of `N`.
fn many<T, const N: usize>(bytes: &[u8], one: fn([u8; N], bool) -> T, big_endian: bool) -> Parsed<Vec<T>> {
    let mut values = reserve(bytes.len() / N)?;
    values.extend(bytes.chunks_exact(N).map(|b| one(b.try_into().expect("chunks are exact"), big_endian)));
    Ok(values)
}

/// A value from bytes in either order.
trait FromBytes<const N: usize> {
    fn one(bytes: [u8; N], big_endian: bool) -> Self;
}

macro_rules! from_bytes {
    ($($t:ty),*) => {$(
        impl FromBytes<{ size_of::<$t>() }> for $t {
            fn one(bytes: [u8; size_of::<$t>()], big_endian: bool) -> Self {
                if big_endian { <$t>::from_be_bytes(bytes) } else { <$t>::from_le_bytes(bytes) }
            }
        }
    )*};
}
from_bytes!(u8, i8, u16, i16, u32, i32, f32, f64, u64, i64);

/// The voxels as little-endian bytes.
pub(crate) fn to_bytes(data: &VoxelData) -> Vec<u8> {
    crate::with_voxels!(data, v => v.iter().flat_map(|x| x.to_le_bytes()).collect())
}
