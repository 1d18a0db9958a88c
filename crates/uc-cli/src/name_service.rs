//! Host names in a statically linked `uc`.

/// Keeps the C library from loading plug-ins to look names up: those on the host belong to the host's C library, not to
/// the one linked in. Files and DNS are built in, and systemd-resolved answers DNS.
#[cfg(all(target_feature = "crt-static", target_env = "gnu"))]
#[allow(unsafe_code, reason = "the C library has no safe interface for it")]
pub(crate) fn use_built_in() {
    // SAFETY: the declaration is that of <nss.h>.
    unsafe extern "C" {
        fn __nss_configure_lookup(
            database: *const std::ffi::c_char,
            services: *const std::ffi::c_char,
        ) -> std::ffi::c_int;
    }
    // SAFETY: both strings end with a zero byte and are only read; nothing looks names up yet. If it fails, for want of
    // memory, the host's configuration stays in force.
    unsafe { __nss_configure_lookup(c"hosts".as_ptr(), c"files dns".as_ptr()) };
}

/// A dynamically linked one uses the host's own C library, and whatever it is told to look names up with.
#[cfg(not(all(target_feature = "crt-static", target_env = "gnu")))]
pub(crate) fn use_built_in() {}
