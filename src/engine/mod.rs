//! The interactive loop: a session on one volume. Uses [`crate::nn`], [`crate::slice`] and [`crate::volume`]; knows no
//! file and no C. Slices are computed side by side on the CPU's threads through `torch::threads`.
//!
//! | stage | folder | input | output | paper |
//! |---|---|---|---|---|
//! | interact | [`interact`] | interactions on one slice, its previous mask | the slice's mask | §2.1, eq. 1 |
//! | propagate | [`propagate`] | annotated slices, memory bank | probabilities and quality of every slice | §2.2, eq. 2-7 |
//! | refine | `refine` | propagated probabilities, annotated masks, image | masks consistent in three dimensions | ours |
//! | quality, suggest | `suggest` | estimated quality and area of every slice | calibrated quality, the slice to correct next | §2.3, eq. 8 |
//! | compute | `compute` | slices and networks | features and regions of interest, kept from round to round | machinery |
//!
//! [`session`] holds the state, undo, and the options of all stages.

pub(crate) mod compute;
pub mod interact;
pub mod propagate;
pub(crate) mod refine;
pub mod session;
pub(crate) mod suggest;

pub use interact::interaction::{Interaction, Stroke};
pub use session::options::{Direction, PropagateOptions, SessionOptions};
pub use session::progress::{CancelToken, Progress};
pub use session::{MemoryUsage, SavedSession, Session, Suggestion};
