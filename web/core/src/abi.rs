//! The three functions that a page calls. All of the crate's `unsafe` is here.
//!
//! Memory is handed over by address and length: `grail_alloc` makes room for a call,
//! `grail_call` takes it and gives an answer, `grail_free` wipes and frees the answer. A call and
//! an answer may hold the words of a wallet, so both are wiped.

use std::alloc::{Layout, alloc, dealloc};

use zeroize::Zeroize as _;

/// Room for `length` bytes; 0 if there is none.
#[unsafe(no_mangle)]
pub extern "C" fn grail_alloc(length: usize) -> usize {
    match layout(length) {
        // SAFETY: the layout's size is not zero.
        Some(layout) => unsafe { alloc(layout) as usize },
        None => 0,
    }
}

/// Answers the call of `length` bytes at `address`, which is wiped and freed. The answer's address
/// is in the upper 32 bits, its length in the lower.
///
/// # Safety
///
/// `address` is what `grail_alloc(length)` gave, filled, and used no more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn grail_call(address: usize, length: usize) -> u64 {
    // SAFETY: the caller's promise.
    let call = unsafe { std::slice::from_raw_parts(address as *const u8, length) };
    let mut answer = crate::answer(call);
    // SAFETY: the caller's promise; the slice above is not used any more.
    unsafe { grail_free(address, length) };
    let (to, size) = (grail_alloc(answer.len()), answer.len());
    if to == 0 {
        return 0;
    }
    // SAFETY: `to` has room for `size` bytes, and nobody else has it.
    unsafe { std::ptr::copy_nonoverlapping(answer.as_ptr(), to as *mut u8, size) };
    answer.zeroize();
    (to as u64) << 32 | size as u64
}

/// Wipes and frees what `grail_alloc` or `grail_call` gave.
///
/// # Safety
///
/// `address` and `length` belong together, come from these functions, and are used no more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn grail_free(address: usize, length: usize) {
    let Some(layout) = layout(length) else {
        return;
    };
    if address == 0 {
        return;
    }
    // SAFETY: the caller's promise.
    unsafe {
        std::slice::from_raw_parts_mut(address as *mut u8, length).zeroize();
        dealloc(address as *mut u8, layout);
    }
}

/// Of at least one byte, so that every call has an address of its own.
fn layout(length: usize) -> Option<Layout> {
    Layout::from_size_align(length.max(1), 1).ok()
}
