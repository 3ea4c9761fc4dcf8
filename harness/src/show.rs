//! How values, signals and errors are told: names instead of numbers, byte
//! strings shortened.

use std::fmt::Debug;

use nix::errno::Errno;
use nix::sys::signal::Signal;

/// Longest rendering of one value, in characters.
const LONGEST: usize = 400;
/// Bytes told of a long byte string, at its head and at its tail.
const ENDS: usize = 24;

/// A value about to be shown by [`ViaBytes`] or, failing that, [`ViaDebug`].
#[derive(Debug)]
pub struct Shown<'a, T: ?Sized>(pub &'a T);

/// Chosen for whatever can be seen as bytes.
pub trait ViaBytes {
    /// The byte string, shortened.
    fn shown(&self) -> String;
}

impl<T: AsRef<[u8]> + ?Sized> ViaBytes for Shown<'_, T> {
    fn shown(&self) -> String {
        bytes(self.0.as_ref())
    }
}

/// Chosen for everything else.
pub trait ViaDebug {
    /// The `Debug` form, shortened.
    fn shown(&self) -> String;
}

impl<T: Debug + ?Sized> ViaDebug for &Shown<'_, T> {
    fn shown(&self) -> String {
        shorten(&format!("{:?}", self.0), LONGEST)
    }
}

/// `b"tail"`, or head, tail and length of a long one.
pub fn bytes(bytes: &[u8]) -> String {
    if bytes.len() <= 3 * ENDS {
        format!("b\"{}\"", bytes.escape_ascii())
    } else {
        format!(
            "b\"{}\" … b\"{}\" ({} bytes)",
            bytes[..ENDS].escape_ascii(),
            bytes[bytes.len() - ENDS..].escape_ascii(),
            bytes.len()
        )
    }
}

/// The text, cut in the middle when it is longer than `limit` characters.
pub fn shorten(text: &str, limit: usize) -> String {
    let length = text.chars().count();
    if length <= limit {
        return text.to_owned();
    }
    let half = limit / 2;
    let head: String = text.chars().take(half).collect();
    let tail: String = text.chars().skip(length - half).collect();
    format!("{head} … {tail} ({length} characters)")
}

/// The page `pipe.7` as `pipe(7)`; what is no man page as it is.
pub fn page(name: &str) -> String {
    match name.rsplit_once('.') {
        Some((name, section)) if section.starts_with(|c: char| c.is_ascii_digit()) => {
            format!("{name}({section})")
        }
        _ => name.to_owned(),
    }
}

/// The name of a signal: `SIGPIPE`, `SIGRTMIN+3`, or `signal 99`.
pub fn signal(number: i32) -> String {
    if let Ok(signal) = Signal::try_from(number) {
        return signal.as_str().to_owned();
    }
    let (first, last) = (libc::SIGRTMIN(), libc::SIGRTMAX());
    match number {
        n if n == first => "SIGRTMIN".to_owned(),
        n if n > first && n <= last => format!("SIGRTMIN+{}", n - first),
        n => format!("signal {n}"),
    }
}

/// The name of an errno: `EAGAIN`, or `errno 4095` when it has none.
pub fn errno(errno: Errno) -> String {
    match errno {
        Errno::UnknownErrno => "an unknown errno".to_owned(),
        known => format!("{known:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn byte_strings_are_shortened_in_the_middle() {
        assert_eq!(bytes(b"a\0b"), "b\"a\\x00b\"");
        assert!(bytes(&[b'x'; 1000]).ends_with("(1000 bytes)"));
    }

    #[test]
    fn signals_have_names() {
        assert_eq!(signal(libc::SIGPIPE), "SIGPIPE");
        assert_eq!(signal(libc::SIGRTMIN() + 3), "SIGRTMIN+3");
        assert_eq!(signal(0), "signal 0");
    }

    #[test]
    #[allow(clippy::needless_borrow)]
    fn bytes_are_preferred_to_debug() {
        use super::{ViaBytes as _, ViaDebug as _};
        assert_eq!((&Shown(&b"ab".to_vec())).shown(), "b\"ab\"");
        assert_eq!((&Shown(&Err::<(), _>(Errno::EAGAIN))).shown(), "Err(EAGAIN)");
    }
}
