//! Where the voxels of a file lie: what was read, what was guessed, and what is missing.

use super::source::Parsed;
use crate::volume::Geometry;

/// A part of a file's geometry.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Known<T> {
    /// The file gives it.
    Read(T),
    /// The file gives nothing that can be used, and this is taken; the text is the warning.
    Guessed(T, &'static str),
    /// The file cannot do without it: the field that must be corrected.
    Missing(&'static str),
}

impl<T: Copy> Known<T> {
    fn value(self, doubts: &mut Vec<String>) -> Parsed<T> {
        match self {
            Known::Read(value) => Ok(value),
            Known::Guessed(value, why) => {
                doubts.push(why.into());
                Ok(value)
            }
            Known::Missing(field) => Err(format!("its voxels have no place: {field}; correct it").into()),
        }
    }
}

/// The geometry of a file, in LPS and mm.
#[derive(Debug, Clone)]
pub(crate) struct Placement {
    /// Distance of neighbouring voxels along depth, height and width.
    pub spacing: [Known<f64>; 3],
    /// Position of voxel [0, 0, 0].
    pub origin: Known<[f64; 3]>,
    /// Unit vectors of depth, height and width.
    pub direction: Known<[[f64; 3]; 3]>,
    /// What else a user should know.
    pub doubts: Vec<String>,
}

impl Placement {
    /// The geometry; `doubts` receives what was guessed or is unusual.
    pub fn geometry(mut self, doubts: &mut Vec<String>) -> Parsed<Geometry> {
        doubts.append(&mut self.doubts);
        let mut geometry = Geometry { direction: self.direction.value(doubts)?, ..Geometry::default() };
        let mut guessed = Vec::new();
        for (mm, known) in geometry.spacing_mm.iter_mut().zip(self.spacing) {
            *mm = known.value(&mut guessed)?;
        }
        guessed.dedup();
        doubts.append(&mut guessed);
        geometry.origin_mm = self.origin.value(doubts)?;
        geometry.check()?;
        doubts.extend(geometry.doubts());
        Ok(geometry)
    }
}

/// Reason of a guessed orientation.
pub(crate) const NO_ORIENTATION: &str = "the file has no orientation: it is laid as ITK and 3D Slicer lay it (width to \
    the left, height to the back, from 0 0 0), but its left and right are not known";

/// A matrix from voxel index to mm, in LPS.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Matrix {
    /// Step of depth, height and width.
    pub axes: [[f64; 3]; 3],
    /// Position of voxel [0, 0, 0].
    pub origin: [f64; 3],
}

impl Matrix {
    /// Length of the steps.
    pub fn lengths(&self) -> [f64; 3] {
        self.axes.map(|v| v.iter().map(|c| c * c).sum::<f64>().sqrt())
    }

    /// With the matrix's own distances, or others.
    fn geometry(&self, spacing_mm: [f64; 3]) -> Geometry {
        let lengths = self.lengths();
        let direction = [0, 1, 2].map(|a| self.axes[a].map(|c| c / lengths[a]));
        Geometry { spacing_mm, origin_mm: self.origin, direction }
    }
}

/// One of the two matrices of a NIfTI.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Form {
    /// Its code is 0.
    Absent,
    /// Its code announces it, but it cannot be used: the reason.
    Broken(String),
    Good(Matrix),
}

impl Form {
    /// Good where every voxel gets a place.
    pub fn new(name: &str, matrix: Matrix) -> Form {
        let numbers = || matrix.axes.iter().flatten().chain(&matrix.origin);
        if numbers().any(|v| !v.is_finite()) {
            return Form::Broken(format!("its {name} holds NaN or infinity"));
        }
        let lengths = matrix.lengths();
        if lengths.contains(&0.0) {
            return Form::Broken(format!("its {name} has a column of zeros"));
        }
        match matrix.geometry(lengths).check() {
            Ok(()) => Form::Good(matrix),
            Err(_) => Form::Broken(format!("its {name} lays voxels on one another")),
        }
    }

    fn good(&self) -> Option<&Matrix> {
        if let Form::Good(matrix) = self { Some(matrix) } else { None }
    }
}

/// All that a NIfTI gives of its geometry.
#[derive(Debug)]
pub(crate) struct Forms {
    pub sform: Form,
    pub sform_code: i16,
    pub qform: Form,
    /// Distances along depth, height and width by `pixdim`, where they can be used.
    pub spacing: [Option<f64>; 3],
    /// Axes whose distance in `pixdim` is negative.
    pub turned: [bool; 3],
    pub shape: [usize; 3],
}

/// Forms that differ by less than this share of the finest distance between voxels are the same. Chosen.
const SAME_FORM: f64 = 0.05;

/// The place of a NIfTI, as ITK 5.4 finds it: the sform where it equals the qform, is the only one, or is marked as the
/// scanner's (code 1), else the qform; distances by `pixdim`.
pub(crate) fn of_forms(forms: Forms, mut doubts: Vec<String>) -> Parsed<Placement> {
    let broken: Vec<&str> = [&forms.sform, &forms.qform]
        .into_iter()
        .filter_map(|form| if let Form::Broken(why) = form { Some(why.as_str()) } else { None })
        .collect();
    // The qform has no distances of its own.
    let needs_sform = (0..3).any(|axis| forms.spacing[axis].is_none() && forms.shape[axis] > 1);
    let (matrix, name) = match (forms.sform.good(), forms.qform.good()) {
        (Some(s), _) if needs_sform => (Some(s), "sform"),
        (Some(s), Some(q)) if prefers_sform(s, q, &forms) => (Some(s), "sform"),
        (_, Some(q)) => (Some(q), "qform"),
        (Some(s), None) => (Some(s), "sform"),
        (None, None) => (None, "pixdim"),
    };
    if !broken.is_empty() {
        doubts.push(format!("{}; its {name} is taken", broken.join(" and ")));
    }
    if forms.turned.contains(&true) {
        doubts.push(
            "field \"pixdim\" holds a negative distance: its axis is turned round, as by ITK and 3D Slicer, which \
             other programs do not do; correct the header"
                .into(),
        );
    }
    let turn =
        |direction: [[f64; 3]; 3]| [0, 1, 2].map(|a| direction[a].map(|c| if forms.turned[a] { 0.0 - c } else { c }));
    // Axes of one voxel need no distance.
    let spacing = [0, 1, 2].map(|axis| match (forms.spacing[axis], matrix) {
        (Some(mm), _) => Known::Read(mm),
        (None, Some(m)) if name == "sform" => Known::Guessed(
            m.lengths()[axis],
            "a distance in \"pixdim\" cannot be used; that of its sform is taken, where ITK takes 1 mm",
        ),
        (None, _) if forms.shape[axis] == 1 => {
            Known::Guessed(1.0, "the thickness of its one slice is not known (\"pixdim\"); 1 mm is taken")
        }
        (None, _) => Known::Missing("\"pixdim\" holds no distance between voxels, and no sform does"),
    });
    let Some(matrix) = matrix else {
        let default = Geometry::default();
        let direction = Known::Guessed(turn(default.direction), NO_ORIENTATION);
        return Ok(Placement { spacing, origin: Known::Read(default.origin_mm), direction, doubts });
    };
    let mm = [0, 1, 2].map(|a| if let Known::Read(mm) | Known::Guessed(mm, _) = spacing[a] { mm } else { 1.0 });
    let mut taken = matrix.geometry(mm);
    taken.direction = turn(taken.direction);
    for (form, form_name) in [(&forms.sform, "sform"), (&forms.qform, "qform")] {
        let Some(other) = form.good() else { continue };
        let apart = other.geometry(other.lengths()).apart(&taken, forms.shape);
        if apart > SAME_FORM * taken.finest_mm() {
            doubts.push(format!(
                "its {form_name} lays voxels up to {apart:.2} mm from where they are taken to be, by its {name} with \
                 the distances of \"pixdim\", as ITK and 3D Slicer take them; correct the header where that is wrong"
            ));
        }
    }
    Ok(Placement { spacing, origin: Known::Read(taken.origin_mm), direction: Known::Read(taken.direction), doubts })
}

/// Whether ITK takes the sform `s` before the qform `q`.
fn prefers_sform(s: &Matrix, q: &Matrix, forms: &Forms) -> bool {
    let (s, q) = (s.geometry(s.lengths()), q.geometry(q.lengths()));
    let skewed = s.doubts().iter().any(|doubt| doubt.contains("right angles"));
    let same = s.apart(&q, forms.shape) <= SAME_FORM * q.finest_mm();
    !skewed && (same || forms.sform_code == 1)
}
