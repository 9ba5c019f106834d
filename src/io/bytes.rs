//! Voxels from bytes and back.

use crate::volume::VoxelData;

/// Voxels of one type from bytes in either order.
pub(crate) trait FromBytes: Sized {
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
