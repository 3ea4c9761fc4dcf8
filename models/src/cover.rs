//! Which code of the kernel actors run: KCOV, where the kernel has it.
#![allow(unsafe_code)]

use std::fs::{File, OpenOptions};
use std::num::NonZero;
use std::os::fd::AsRawFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use nix::errno::Errno;
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

/// The device, below a debugfs at its usual place.
const DEVICE: &str = "/sys/kernel/debug/kcov";
/// Words of one actor's record, the number of addresses in the first. What
/// has no room is not recorded.
const WORDS: usize = 1 << 18;
const BYTES: NonZero<usize> = NonZero::new(WORDS * size_of::<u64>()).expect("there are words");
/// Addresses, each time one is passed (KCOV_TRACE_PC).
const ADDRESSES: i32 = 0;

mod ioctls {
    nix::ioctl_write_int_bad!(init_trace, nix::request_code_read!(b'c', 1, size_of::<usize>()));
    nix::ioctl_write_int_bad!(enable, nix::request_code_none!(b'c', 100));
}

/// What one actor runs of the kernel.
#[derive(Debug)]
pub(crate) struct Cover {
    device: File,
    words: NonNull<AtomicU64>,
}

impl Cover {
    /// A record that nothing is noted in yet. ENOENT where the kernel has
    /// none, or no debugfs is mounted.
    pub fn new() -> nix::Result<Self> {
        let errno =
            |error: std::io::Error| error.raw_os_error().map_or(Errno::EIO, Errno::from_raw);
        let device = OpenOptions::new().read(true).write(true).open(DEVICE).map_err(errno)?;
        // SAFETY: a fresh mapping, of words that the kernel writes.
        let words = unsafe {
            ioctls::init_trace(device.as_raw_fd(), WORDS as i32)?;
            let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
            mmap(None, BYTES, access, MapFlags::MAP_SHARED, &device, 0)?
        };
        Ok(Self { device, words: words.cast() })
    }

    /// Notes what this process runs from now on, until it ends.
    pub fn begin(&self) -> nix::Result<()> {
        // SAFETY: no memory is named.
        unsafe { ioctls::enable(self.device.as_raw_fd(), ADDRESSES) }.map(drop)
    }

    fn words(&self) -> &[AtomicU64] {
        // SAFETY: mapped as long as this lives.
        unsafe { std::slice::from_raw_parts(self.words.as_ptr(), WORDS) }
    }

    /// Forgets what was noted.
    pub fn clear(&self) {
        self.words()[0].store(0, Relaxed);
    }

    /// The addresses that were passed, in order.
    pub fn addresses(&self) -> impl Iterator<Item = u64> {
        let (count, words) = self.words().split_first().expect("there are words");
        words.iter().take(count.load(Relaxed) as usize).map(|word| word.load(Relaxed))
    }
}

impl Drop for Cover {
    fn drop(&mut self) {
        // SAFETY: nothing of it is referred to any more.
        let _ = unsafe { munmap(self.words.cast(), BYTES.get()) };
    }
}
