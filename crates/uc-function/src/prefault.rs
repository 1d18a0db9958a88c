//! Brings pages into memory and into this process before they are needed.
//!
//! Where the kernel cannot (before 5.14) they come when they are needed.
#![expect(
    unsafe_code,
    reason = "pages are named by address, and the program's own are listed by C"
)]

use std::ops::Range;

use rustix::mm::{Advice, madvise};

/// What segments begin and end at.
const PAGE_BYTES: usize = 4_096;

/// Those of a range that is mapped from a file.
pub(crate) fn range(pages: Range<*const u8>) {
    let start = pages.start.map_addr(|address| address & !(PAGE_BYTES - 1));
    let length = pages.end.addr().saturating_sub(start.addr());
    // SAFETY: this advice reads pages and changes nothing; of a range that is not mapped the kernel says so.
    let _ = unsafe { madvise(start.cast_mut().cast(), length, Advice::LinuxPopulateRead) };
}

/// Those of this program.
pub(crate) fn own_program() {
    // SAFETY: the function calls `segments` with a valid entry for each program that is loaded, before it returns.
    unsafe { libc::dl_iterate_phdr(Some(segments), std::ptr::null_mut()) };
}

/// Takes one loaded program; the whole is static, so it is this one.
// SAFETY: to be called with a valid entry, as `dl_iterate_phdr` does.
unsafe extern "C" fn segments(
    info: *mut libc::dl_phdr_info,
    _size: libc::size_t,
    _data: *mut libc::c_void,
) -> libc::c_int {
    // SAFETY: the caller hands in a valid entry.
    let info = unsafe { &*info };
    if info.dlpi_phdr.is_null() {
        return 0;
    }
    // SAFETY: the entry names its table of headers, which stays where it is.
    let headers = unsafe { std::slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum.into()) };
    for header in headers
        .iter()
        .filter(|header| header.p_type == libc::PT_LOAD)
    {
        // Both are addresses of this process.
        let start = info.dlpi_addr.wrapping_add(header.p_vaddr) as usize;
        let end = start.wrapping_add(header.p_memsz as usize);
        range(std::ptr::without_provenance(start)..std::ptr::without_provenance(end));
    }
    0
}
