//! Voxels from the bytes of a file, and as bytes for one.

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
    /// Where `data` is too short.
    pub fn decode(self, data: &[u8], count: usize, big_endian: bool) -> Result<VoxelData, String> {
        let wanted = count.checked_mul(self.bytes()).ok_or("the file announces too many voxels")?;
        let data = data.get(..wanted).ok_or_else(|| {
            format!("the file ends early: it announces {wanted} bytes of voxels and has {}; copy it again", data.len())
        })?;
        Ok(match self {
            Scalar::U8 => VoxelData::U8(u8::many(data, big_endian)),
            Scalar::I8 => VoxelData::I8(i8::many(data, big_endian)),
            Scalar::U16 => VoxelData::U16(u16::many(data, big_endian)),
            Scalar::I16 => VoxelData::I16(i16::many(data, big_endian)),
            Scalar::U32 => VoxelData::U32(u32::many(data, big_endian)),
            Scalar::I32 => VoxelData::I32(i32::many(data, big_endian)),
            Scalar::U64 => VoxelData::F64(u64::many(data, big_endian).into_iter().map(|v| v as f64).collect()),
            Scalar::I64 => VoxelData::F64(i64::many(data, big_endian).into_iter().map(|v| v as f64).collect()),
            Scalar::F32 => VoxelData::F32(f32::many(data, big_endian)),
            Scalar::F64 => VoxelData::F64(f64::many(data, big_endian)),
        })
    }
}

/// Values of one type from bytes in either order.
trait FromBytes: Sized {
    /// All of `bytes`, whose length is a multiple of the type's.
    fn many(bytes: &[u8], big_endian: bool) -> Vec<Self>;
}

macro_rules! from_bytes {
    ($($t:ty),*) => {$(
        impl FromBytes for $t {
            fn many(bytes: &[u8], big_endian: bool) -> Vec<Self> {
                bytes
                    .chunks_exact(size_of::<$t>())
                    .map(|b| {
                        let b = b.try_into().expect("chunks are exact");
                        if big_endian { <$t>::from_be_bytes(b) } else { <$t>::from_le_bytes(b) }
                    })
                    .collect()
            }
        }
    )*};
}
from_bytes!(u8, i8, u16, i16, u32, i32, f32, f64, u64, i64);

/// The voxels as little-endian bytes.
pub(crate) fn to_bytes(data: &VoxelData) -> Vec<u8> {
    crate::with_voxels!(data, v => v.iter().flat_map(|x| x.to_le_bytes()).collect())
}
