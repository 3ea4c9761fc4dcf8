//! Mappings and buffers that end at a guard page.

use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::ptr::with_exposed_provenance_mut;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::SeqCst};

use libc::{c_int, off_t};
use nix::Result;

use super::answer;

/// Loads and stores.
pub const READ_WRITE: c_int = libc::PROT_READ | libc::PROT_WRITE;

/// Bytes in a page of this machine.
pub fn page_size() -> usize {
    // SAFETY: a plain question.
    (unsafe { libc::sysconf(libc::_SC_PAGESIZE) }) as usize
}

/// A piece of address space that a case asked for. It stays what the kernel
/// makes of it until the case unmaps it or the process ends; dropping this
/// value does nothing. A forked child has it at the same addresses.
///
/// Loads and stores really happen, in order. Where nothing is mapped, or not
/// for this kind of access, they end the process with SIGSEGV or SIGBUS: that
/// is what some cases are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// Where it begins.
    pub address: usize,
    /// Its length in bytes.
    pub length: usize,
}

impl Memory {
    /// `mmap`; the answer is where the mapping came to lie. Address 0 leaves
    /// the choice to the kernel, and without `fd` the call gets -1.
    pub fn map(
        address: usize,
        length: usize,
        protection: c_int,
        flags: c_int,
        fd: Option<BorrowedFd<'_>>,
        offset: off_t,
    ) -> Result<Self> {
        let address = with_exposed_provenance_mut(address);
        let fd = fd.map_or(-1, |fd| fd.as_raw_fd());
        // SAFETY: a case maps over nothing but what it mapped itself.
        let at = answer(unsafe { libc::mmap(address, length, protection, flags, fd, offset) })?;
        Ok(Self { address: at.expose_provenance(), length })
    }

    /// A new mapping of no file, to load from and store to. `flags` is
    /// `MAP_SHARED` or `MAP_PRIVATE`.
    pub fn anonymous(length: usize, flags: c_int) -> Result<Self> {
        Self::map(0, length, READ_WRITE, flags | libc::MAP_ANONYMOUS, None, 0)
    }

    /// A shared mapping of the file from its beginning, to load from and
    /// store to.
    pub fn shared(fd: &impl AsFd, length: usize) -> Result<Self> {
        Self::map(0, length, READ_WRITE, libc::MAP_SHARED, Some(fd.as_fd()), 0)
    }

    /// Addresses at which nothing is mapped, with room around them, so that
    /// the kernel would not choose them by itself; no other thread may map
    /// meanwhile. `length` is a multiple of the page size.
    pub fn free(length: usize) -> Result<Self> {
        let memory = Self::anonymous(3 * length, libc::MAP_PRIVATE)?;
        memory.unmap()?;
        Ok(memory.part(length..2 * length))
    }

    /// A zeroed buffer whose first byte behind the end cannot be accessed.
    pub fn guarded(length: usize) -> Result<Self> {
        let pages = length.next_multiple_of(page_size());
        let all = Self::anonymous(pages + page_size(), libc::MAP_PRIVATE)?;
        all.part(pages..all.length).protect(libc::PROT_NONE)?;
        Ok(all.part(pages - length..pages))
    }

    /// Zeroed whole pages between two that cannot be accessed.
    pub fn walled(pages: usize) -> Result<Self> {
        let length = pages * page_size();
        let all = Self::anonymous(length + 2 * page_size(), libc::MAP_PRIVATE)?;
        let within = all.part(page_size()..page_size() + length);
        all.protect(libc::PROT_NONE)?;
        within.protect(READ_WRITE)?;
        Ok(within)
    }

    /// A copy of these bytes, to read and write, that ends at a guard page.
    pub fn holding(bytes: &[u8]) -> Result<Self> {
        let memory = Self::guarded(bytes.len())?;
        memory.fill(bytes);
        Ok(memory)
    }

    /// A part of it, in bytes from its beginning.
    ///
    /// # Panics
    /// When it is not within.
    #[must_use]
    pub fn part(self, bytes: Range<usize>) -> Self {
        assert!(bytes.start <= bytes.end && bytes.end <= self.length, "{bytes:?} of {self:?}");
        Self { address: self.address + bytes.start, length: bytes.len() }
    }

    /// `munmap`.
    pub fn unmap(self) -> Result<()> {
        // SAFETY: nobody but the case refers to these addresses.
        answer(unsafe { libc::munmap(self.pointer(), self.length) }).map(drop)
    }

    /// `mprotect`.
    pub fn protect(self, protection: c_int) -> Result<()> {
        // SAFETY: nobody but the case refers to these addresses.
        answer(unsafe { libc::mprotect(self.pointer(), self.length, protection) }).map(drop)
    }

    /// `mremap` to `length` bytes; where it lies now. `address` counts with
    /// `MREMAP_FIXED` only.
    pub fn remap(self, length: usize, flags: c_int, address: usize) -> Result<Self> {
        let to = with_exposed_provenance_mut::<libc::c_void>(address);
        // SAFETY: a case moves over nothing but what it mapped itself.
        let at = answer(unsafe { libc::mremap(self.pointer(), self.length, length, flags, to) })?;
        Ok(Self { address: at.expose_provenance(), length })
    }

    /// `msync`.
    pub fn sync(self, flags: c_int) -> Result<()> {
        // SAFETY: follows no pointer of ours.
        answer(unsafe { libc::msync(self.pointer(), self.length, flags) }).map(drop)
    }

    /// `mlock`.
    pub fn lock(self) -> Result<()> {
        // SAFETY: follows no pointer of ours.
        answer(unsafe { libc::mlock(self.pointer(), self.length) }).map(drop)
    }

    /// `mincore`: which of its pages are in memory.
    pub fn resident(self) -> Result<Vec<bool>> {
        let mut pages = vec![0_u8; self.length.div_ceil(page_size())];
        // SAFETY: a byte for every page.
        answer(unsafe { libc::mincore(self.pointer(), self.length, pages.as_mut_ptr()) })?;
        Ok(pages.iter().map(|page| page & 1 == 1).collect())
    }

    /// Loads the byte at `offset`.
    pub fn get(self, offset: usize) -> u8 {
        // SAFETY: within a mapping of the case, or a fault that it asks for.
        unsafe { AtomicU8::from_ptr(self.part(offset..offset + 1).pointer()) }.load(SeqCst)
    }

    /// Loads the byte at `offset` and forgets it.
    pub fn touch(self, offset: usize) {
        let _ = self.get(offset);
    }

    /// Stores the byte at `offset`.
    pub fn set(self, offset: usize, byte: u8) {
        // SAFETY: as above.
        unsafe { AtomicU8::from_ptr(self.part(offset..offset + 1).pointer()) }.store(byte, SeqCst);
    }

    /// Stores these bytes, from its beginning on.
    pub fn fill(self, bytes: &[u8]) {
        for (offset, byte) in bytes.iter().enumerate() {
            self.set(offset, *byte);
        }
    }

    /// Loads all its bytes.
    pub fn bytes(self) -> Vec<u8> {
        (0..self.length).map(|offset| self.get(offset)).collect()
    }

    /// Loads the 64-bit number with which it begins.
    pub fn number(self) -> u64 {
        // SAFETY: as above; what is mapped begins with a page.
        unsafe { AtomicU64::from_ptr(self.part(0..8).pointer()) }.load(SeqCst)
    }

    /// Stores the 64-bit number with which it begins.
    pub fn set_number(self, number: u64) {
        // SAFETY: as above.
        unsafe { AtomicU64::from_ptr(self.part(0..8).pointer()) }.store(number, SeqCst);
    }

    /// Whether every byte of it is 0.
    pub fn is_zero(self) -> bool {
        (0..self.length).all(|offset| self.get(offset) == 0)
    }

    /// Where it begins, for the calls of this layer.
    pub(super) fn pointer<T>(self) -> *mut T {
        with_exposed_provenance_mut(self.address)
    }
}
