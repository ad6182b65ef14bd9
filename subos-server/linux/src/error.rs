//! Error numbers, as a type of their own: an [`Errno`] is what a program can act on.

use linux_raw_sys::errno;

/// A Linux error number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Errno(u16);

/// What most of the personality's functions answer.
pub type Result<T> = core::result::Result<T, Errno>;

macro_rules! errnos {
    ($($name:ident)*) => {
        #[allow(missing_docs, reason = "errno(3) documents them")]
        impl Errno {
            $(
                #[allow(clippy::cast_possible_truncation, reason = "error numbers are below 134")]
                pub const $name: Self = Self(errno::$name as u16);
            )*
        }

        impl core::fmt::Debug for Errno {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                match *self {
                    $(Self::$name => f.write_str(stringify!($name)),)*
                    Self(other) => write!(f, "errno {other}"),
                }
            }
        }
    };
}

errnos! {
    EPERM ENOENT ESRCH EINTR EIO ENXIO E2BIG ENOEXEC EBADF ECHILD EAGAIN ENOMEM EACCES EFAULT EBUSY
    EEXIST EXDEV ENODEV ENOTDIR EISDIR EINVAL ENFILE EMFILE ENOTTY EFBIG ENOSPC ESPIPE EROFS EMLINK
    EPIPE EDOM ERANGE EDEADLK ENAMETOOLONG ENOSYS ENOTEMPTY ELOOP ENODATA EOVERFLOW EAFNOSUPPORT
    EOPNOTSUPP ENOTSOCK ETIMEDOUT
}

impl Errno {
    /// The value that the program finds in RAX: the number, negated.
    #[must_use]
    pub const fn to_return_value(self) -> u64 {
        (-(self.0 as i64)).cast_unsigned()
    }
}
