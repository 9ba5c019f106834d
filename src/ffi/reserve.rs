//! Memory for the moment when there is none left. Rust ends the process when a small allocation fails; with a block
//! that is then given back, such allocations succeed, the call ends with the error of a larger one, and the next call
//! is refused with [`Error::OutOfMemory`] while the block cannot be had again.

use crate::error::{Error, Result};
use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering};

/// Size of the block: the small allocations of one call. Chosen. It is not touched and takes address space only.
const LAYOUT: Layout = match Layout::from_size_align(24 << 20, 16) {
    Ok(layout) => layout,
    Err(_) => panic!("a size and an alignment"),
};

static BLOCK: AtomicPtr<u8> = AtomicPtr::new(null_mut());

/// Takes the block, if it is not there.
///
/// # Errors
/// [`Error::OutOfMemory`] when it cannot be had.
pub(super) fn arm() -> Result<()> {
    if !BLOCK.load(Ordering::Relaxed).is_null() {
        return Ok(());
    }
    // SAFETY: the layout has a size.
    let block = unsafe { System.alloc(LAYOUT) };
    if block.is_null() {
        return Err(Error::OutOfMemory("not enough memory to go on; close other programs".into()));
    }
    if BLOCK.compare_exchange(null_mut(), block, Ordering::AcqRel, Ordering::Relaxed).is_err() {
        // SAFETY: another thread was quicker; this one was just allocated.
        unsafe { System.dealloc(block, LAYOUT) };
    }
    Ok(())
}

/// Gives the block back; false when it is not there.
fn release() -> bool {
    let block = BLOCK.swap(null_mut(), Ordering::AcqRel);
    if !block.is_null() {
        // SAFETY: allocated by `arm`, and taken by this thread alone.
        unsafe { System.dealloc(block, LAYOUT) };
    }
    !block.is_null()
}

/// The system's allocator, with the block.
struct WithReserve;

#[global_allocator]
static ALLOCATOR: WithReserve = WithReserve;

/// The first result that is not NULL, once more after the block was given back.
fn retried(allocate: impl Fn() -> *mut u8) -> *mut u8 {
    let memory = allocate();
    if memory.is_null() && release() { allocate() } else { memory }
}

// SAFETY: every call is the system allocator's own; a failed one may be repeated.
unsafe impl GlobalAlloc for WithReserve {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: by this function's contract.
        retried(|| unsafe { System.alloc(layout) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: by this function's contract.
        retried(|| unsafe { System.alloc_zeroed(layout) })
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: by this function's contract; a failed one leaves `memory` as it is.
        retried(|| unsafe { System.realloc(memory, layout, size) })
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: by this function's contract.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_block_is_given_back_once_and_taken_again() {
        arm().unwrap();
        arm().unwrap();
        // An allocation that fails gives the block back.
        assert!(Vec::<u8>::new().try_reserve_exact(isize::MAX as usize).is_err());
        assert!(!release());
        arm().unwrap();
        assert!(release());
    }
}
