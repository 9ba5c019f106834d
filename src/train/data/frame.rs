//! Where the slices of a clip lie in a scene.

/// Position of slices in a scene, voxels.
pub(crate) struct Frame {
    /// Centre of the block on plane 0.
    pub origin: [f32; 3],
    /// One native pixel down, one to the right, one plane on.
    pub row: [f32; 3],
    pub col: [f32; 3],
    pub plane: [f32; 3],
}

impl Frame {
    pub fn at(&self, plane: f32, row: f32, col: f32) -> [f32; 3] {
        std::array::from_fn(|i| self.origin[i] + plane * self.plane[i] + row * self.row[i] + col * self.col[i])
    }

    /// Coordinates of `p` along (plane, row, column); the three directions are perpendicular in space, not always in
    /// voxels.
    pub fn coordinates(&self, p: [f32; 3], spacing: [f32; 3]) -> [f32; 3] {
        let along = |d: [f32; 3]| {
            let (mut dot, mut length) = (0.0, 0.0);
            for i in 0..3 {
                let mm = d[i] * spacing[i];
                dot += (p[i] - self.origin[i]) * spacing[i] * mm;
                length += mm * mm;
            }
            dot / length
        };
        [along(self.plane), along(self.row), along(self.col)]
    }
}
