//! Kinds of interaction.

use crate::nn::InteractionKind;

/// What a user can draw, for #mem3d_interaction::kind.
#[repr(i32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum mem3d_interaction_kind {
    /// A free stroke: the line through the points, or the pixels of a raster.
    Scribble = 0,
    /// A rectangle around the target: two opposite corners.
    Box = 1,
    /// The outermost points of the target: four or more.
    ExtremePoints = 2,
    /// Single points: one or more.
    Click = 3,
}

/// Meaning of the numbers of a point, for #mem3d_interaction::coordinates.
#[repr(i32)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum mem3d_coordinates {
    /// Continuous voxel index, `[depth, height, width]`.
    VoxelIndex = 0,
    /// Position in millimetres, `[left, posterior, superior]`.
    LpsMm = 1,
}

/// The number of `kind` in C.
pub(super) fn number(kind: InteractionKind) -> i32 {
    match kind {
        InteractionKind::Scribble => mem3d_interaction_kind::Scribble as i32,
        InteractionKind::Box => mem3d_interaction_kind::Box as i32,
        InteractionKind::ExtremePoints => mem3d_interaction_kind::ExtremePoints as i32,
        InteractionKind::Click => mem3d_interaction_kind::Click as i32,
    }
}
