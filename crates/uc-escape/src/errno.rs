//! Error numbers of the kernel, by name.

use std::{fmt, io};

use serde::{Deserialize, Serialize};

/// An error number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Errno(pub(crate) i32);

macro_rules! names {
    ($($name:ident),* $(,)?) => {
        $(pub(crate) const $name: Errno = Errno(libc::$name);)*

        impl fmt::Display for Errno {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match *self {
                    $($name => f.write_str(stringify!($name)),)*
                    Self(number) => write!(f, "errno {number}"),
                }
            }
        }
    };
}

names! {
    E2BIG, EACCES, EAFNOSUPPORT, EAGAIN, EBADF, EBUSY, ECONNREFUSED, EDOM, EEXIST, EFAULT, EINVAL, EIO, EISDIR, ELOOP,
    EMFILE, ENFILE, ENODEV, ENOENT, ENOMEM, ENOPKG, ENOSPC, ENOSYS, ENOTBLK, ENOTDIR, ENOTTY, ENXIO, EOPNOTSUPP,
    EPERM, EPROTONOSUPPORT, ERANGE, EROFS, ESOCKTNOSUPPORT, ESRCH, ESTALE, ETXTBSY, EUSERS,
}

impl Errno {
    /// The error of the last call of this thread.
    pub(crate) fn last() -> Self {
        io::Error::last_os_error().into()
    }
}

impl From<io::Error> for Errno {
    fn from(error: io::Error) -> Self {
        // What has no number did not come from the kernel; EIO says as little as can be said.
        Self(error.raw_os_error().unwrap_or(libc::EIO))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_kernels_names() {
        assert_eq!(Errno(1).to_string(), "EPERM");
        assert_eq!(Errno(4095).to_string(), "errno 4095");
        let missing = std::fs::File::open("/no/such/file").expect_err("is missing");
        assert_eq!(Errno::from(missing), ENOENT);
    }
}
