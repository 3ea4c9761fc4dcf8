//! select and pselect: sets as the kernel takes them.

use std::fmt;
use std::os::fd::{AsRawFd, RawFd};

use libc::{c_int, c_ulong, fd_set};
use nix::Result;
use nix::sys::time::{TimeSpec, TimeVal};

use super::answer;
use super::memory::Memory;
use super::signals::Signals;

const BITS: usize = c_ulong::BITS as usize;

/// A set of descriptors: bit `fd` of an array of words, of any length. One
/// that was never made is the null pointer.
#[derive(Clone, Default)]
pub struct Set(Vec<c_ulong>);

impl Set {
    /// The set of these descriptors.
    pub fn of(fds: &[&dyn AsRawFd]) -> Self {
        fds.iter().fold(Self(vec![0; 1024 / BITS]), |set, fd| set.and(fd.as_raw_fd()))
    }

    /// With this number too.
    #[must_use]
    pub fn and(mut self, fd: RawFd) -> Self {
        let (word, bit) = (fd as usize / BITS, fd as usize % BITS);
        self.0.resize(self.0.len().max(word + 1), 0);
        self.0[word] |= 1 << bit;
        self
    }

    fn members(&self) -> impl Iterator<Item = usize> {
        let has = |fd: &usize| self.0[fd / BITS] >> (fd % BITS) & 1 == 1;
        (0..self.0.len() * BITS).filter(has)
    }

    fn pointer(&mut self) -> *mut fd_set {
        if self.0.is_empty() { std::ptr::null_mut() } else { self.0.as_mut_ptr().cast() }
    }
}

impl PartialEq for Set {
    fn eq(&self, other: &Self) -> bool {
        self.members().eq(other.members())
    }
}

impl fmt::Debug for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.members()).finish()
    }
}

/// The three sets of a call.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sets {
    /// `readfds`
    pub reads: Set,
    /// `writefds`
    pub writes: Set,
    /// `exceptfds`
    pub exceptions: Set,
}

impl Sets {
    /// Watches these for reading.
    pub fn reads(fds: &[&dyn AsRawFd]) -> Self {
        Self { reads: Set::of(fds), ..Self::default() }
    }

    /// Watches these for writing.
    pub fn writes(fds: &[&dyn AsRawFd]) -> Self {
        Self { writes: Set::of(fds), ..Self::default() }
    }

    /// Watches these for exceptional conditions.
    pub fn exceptions(fds: &[&dyn AsRawFd]) -> Self {
        Self { exceptions: Set::of(fds), ..Self::default() }
    }

    /// Watches these in all three ways.
    pub fn all(fds: &[&dyn AsRawFd]) -> Self {
        Self { reads: Set::of(fds), writes: Set::of(fds), exceptions: Set::of(fds) }
    }

    /// The highest number in any of them, plus 1.
    pub fn nfds(&self) -> c_int {
        let sets = [&self.reads, &self.writes, &self.exceptions];
        sets.iter().flat_map(|set| set.members()).max().map_or(0, |highest| highest as c_int + 1)
    }

    /// `select`; without a timeout, for ever. The timeout comes back as the
    /// call leaves it.
    pub fn select(&mut self, timeout: Option<&mut TimeVal>) -> Result<c_int> {
        self.select_below(self.nfds(), timeout)
    }

    /// `select` that returns at once.
    pub fn now(&mut self) -> Result<c_int> {
        self.select(Some(&mut TimeVal::new(0, 0)))
    }

    /// `select` with a `nfds` of the caller's, for which the sets have to be
    /// long enough.
    pub fn select_below(&mut self, nfds: c_int, timeout: Option<&mut TimeVal>) -> Result<c_int> {
        let timeout = timeout.map_or(std::ptr::null_mut(), |time| std::ptr::from_mut(time).cast());
        let Self { reads, writes, exceptions } = self;
        for set in [&mut *reads, writes, exceptions] {
            let words = usize::try_from(nfds).unwrap_or(0).div_ceil(BITS);
            if !set.0.is_empty() && set.0.len() < words {
                set.0.resize(words, 0);
            }
        }
        let (reads, writes) = (reads.pointer(), writes.pointer());
        // SAFETY: the sets have room for `nfds` bits; TimeVal is a timeval.
        answer(unsafe { libc::select(nfds, reads, writes, exceptions.pointer(), timeout) })
    }

    /// `pselect` of the C library.
    pub fn pselect(&mut self, timeout: Option<&TimeSpec>, mask: Option<Signals>) -> Result<c_int> {
        let nfds = self.nfds();
        let timeout = timeout.map_or(std::ptr::null(), |time| std::ptr::from_ref(time.as_ref()));
        let mask = mask.map(Signals::as_c);
        let mask = mask.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        let (reads, writes) = (self.reads.pointer(), self.writes.pointer());
        let exceptions = self.exceptions.pointer();
        // SAFETY: the sets have room for `nfds` bits; time and set are read.
        answer(unsafe { libc::pselect(nfds, reads, writes, exceptions, timeout, mask) })
    }
}

/// The system call `pselect6`, past the C library, of no descriptors and
/// without a mask. The timeout comes back as the call leaves it.
pub fn pselect_raw(timeout: &mut TimeSpec) -> Result<c_int> {
    let none = std::ptr::null_mut::<c_ulong>();
    let time = std::ptr::from_mut(timeout.as_mut());
    // SAFETY: no sets; the time is read and written.
    answer(unsafe { libc::syscall(libc::SYS_pselect6, 0, none, none, none, time, none) })
        .map(|count| count as c_int)
}

/// `select` for reading, of the set that lies in `memory`, whose bytes need
/// not be there beyond the words that `nfds` bits take; timeout 0.
pub fn select_memory(nfds: c_int, memory: Memory) -> Result<c_int> {
    let (none, mut timeout) = (std::ptr::null_mut(), libc::timeval { tv_sec: 0, tv_usec: 0 });
    // SAFETY: the kernel alone follows the pointer.
    answer(unsafe { libc::select(nfds, memory.pointer(), none, none, &raw mut timeout) })
}

/// Bytes of the words that so many bits take.
pub fn bytes_of_bits(bits: usize) -> usize {
    bits.div_ceil(BITS) * size_of::<c_ulong>()
}
