//! Strings in the form that system calls take, made before a clone.

use std::{ffi::CString, path::Path};

use libc::c_char;
use uc_model::{Problem, Result};

/// C strings and the null-terminated array of pointers to them that execve wants.
pub struct PointerArray {
    _strings: Vec<CString>,
    pointers: Vec<*const c_char>,
}

// SAFETY: the pointers point into `_strings`, whose heap buffers never move or change while this value lives.
unsafe impl Send for PointerArray {}
// SAFETY: as above; nothing is mutable.
unsafe impl Sync for PointerArray {}

impl PointerArray {
    /// Takes the strings.
    pub fn new(strings: Vec<CString>) -> Self {
        let pointers = strings
            .iter()
            .map(|string| string.as_ptr())
            .chain([std::ptr::null()])
            .collect();
        Self {
            _strings: strings,
            pointers,
        }
    }

    /// The array; it lives as long as this value.
    pub fn as_ptr(&self) -> *const *const c_char {
        self.pointers.as_ptr()
    }
}

/// A C string from text, which must not contain a zero byte.
///
/// # Errors
/// Invalid, where it does.
pub fn c_string(text: &str) -> Result<CString> {
    CString::new(text).map_err(|_| {
        Problem::invalid("a zero byte in a name, argument or variable").found(format!("{text:?}"))
    })
}

/// The same from a path.
///
/// # Errors
/// Invalid, where it contains one.
pub fn path_c_string(path: &Path) -> Result<CString> {
    use std::os::unix::ffi::OsStrExt as _;
    CString::new(path.as_os_str().as_bytes())
        .map_err(|_| Problem::invalid("a zero byte in a path").found(path.display()))
}
