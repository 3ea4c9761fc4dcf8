//! System V shared memory and memory files.

use std::ops::Deref;
use std::os::fd::{AsFd, FromRawFd, OwnedFd};

use ipcspec_harness::{Facility, Verdict, remember};
use libc::{c_int, c_ulong, shmid_ds};
use nix::Result;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};

use super::memory::Memory;
use super::sysv::SHMCTL;
use super::{answer, unique_key};

/// In the mode of a segment: it goes with its last attach.
pub const SHM_DEST: u32 = 0o1000;
/// In the mode of a segment: it is locked into memory.
pub const SHM_LOCKED: u32 = 0o2000;

const SHM_STAT: c_int = 13;
const SHM_INFO: c_int = 14;
const SHM_STAT_ANY: c_int = 15;

/// A System V shared memory segment. It is removed when the case is over, not
/// when this value is dropped: removal is what some cases are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// The identifier that `shmget` gave.
    pub id: c_int,
}

impl Segment {
    /// `shmget(key, size, flags)`, the size in bytes; the segment is removed
    /// when the case is over.
    pub fn open(key: libc::key_t, size: usize, flags: c_int) -> Result<Self> {
        // SAFETY: shmget takes no pointer.
        let id = answer(unsafe { libc::shmget(key, size, flags) })?;
        let _ = remember(remove, id.into());
        Ok(Self { id })
    }

    /// A new private segment of `size` bytes, for its owner.
    pub fn private(size: usize) -> Result<Self> {
        Self::open(libc::IPC_PRIVATE, size, 0o600)
    }

    /// A new segment of `size` bytes under a key of its own; the key.
    pub fn keyed(size: usize) -> Result<(Self, libc::key_t)> {
        let key = unique_key();
        Ok((Self::open(key, size, libc::IPC_CREAT | libc::IPC_EXCL | 0o600)?, key))
    }

    /// `shmat` where the kernel likes, to load from and store to.
    pub fn attach(self) -> Result<Attached> {
        self.attach_at(0, 0)
    }

    /// `shmat(address, flags)`; address 0 leaves the choice to the kernel.
    pub fn attach_at(self, address: usize, flags: c_int) -> Result<Attached> {
        let wanted = std::ptr::with_exposed_provenance(address);
        // SAFETY: a case attaches over nothing but what it mapped itself.
        let at = answer(unsafe { libc::shmat(self.id, wanted, flags) })?;
        // Without permission to read, the length stays unknown.
        let length = self.stat().map_or(0, |status| status.shm_segsz);
        Ok(Attached(Memory { address: at.expose_provenance(), length }))
    }

    /// `IPC_STAT`.
    pub fn stat(self) -> Result<shmid_ds> {
        status(self.id, libc::IPC_STAT).map(|(_, status)| status)
    }

    /// `IPC_STAT` into this piece of memory, past the C library, which may
    /// copy less.
    pub fn stat_into(self, memory: Memory) -> Result<()> {
        // SAFETY: what the kernel writes there is the case's.
        let at = memory.pointer::<libc::c_void>();
        answer(unsafe { libc::syscall(SHMCTL, self.id, libc::IPC_STAT, at) }).map(drop)
    }

    /// How often it is attached.
    pub fn attaches(self) -> Result<c_ulong> {
        self.stat().map(|status| status.shm_nattch)
    }

    /// The permissions, [`SHM_DEST`] and [`SHM_LOCKED`].
    pub fn mode(self) -> Result<u32> {
        self.stat().map(|status| status.shm_perm.mode.into())
    }

    /// `IPC_SET` with other permissions, owner and group as they were.
    pub fn set_mode(self, mode: u32) -> Result<()> {
        let mut status = self.stat()?;
        status.shm_perm.mode = mode as _;
        // SAFETY: the kernel reads one structure.
        answer(unsafe { libc::shmctl(self.id, libc::IPC_SET, &raw mut status) }).map(drop)
    }

    /// `SHM_LOCK`.
    pub fn lock(self) -> Result<()> {
        self.command(libc::SHM_LOCK)
    }

    /// `SHM_UNLOCK`.
    pub fn unlock(self) -> Result<()> {
        self.command(libc::SHM_UNLOCK)
    }

    /// `IPC_RMID`.
    pub fn remove(self) -> Result<()> {
        self.command(libc::IPC_RMID)
    }

    /// `shmctl` with a command that takes no buffer.
    pub fn command(self, command: c_int) -> Result<()> {
        // SAFETY: these commands ignore the pointer.
        answer(unsafe { libc::shmctl(self.id, command, std::ptr::null_mut()) }).map(drop)
    }
}

fn remove(id: i64) {
    let _ = Segment { id: id as i32 }.remove();
}

fn status(id: c_int, command: c_int) -> Result<(c_int, shmid_ds)> {
    // SAFETY: all-zero bytes are a shmid_ds, and the kernel writes one.
    unsafe {
        let mut status: shmid_ds = std::mem::zeroed();
        let got = answer(libc::shmctl(id, command, &raw mut status))?;
        Ok((got, status))
    }
}

/// `SHM_STAT`: the identifier of the segment at this index of the namespace.
pub fn id_at(index: c_int) -> Result<c_int> {
    status(index, SHM_STAT).map(|(id, _)| id)
}

/// `SHM_STAT_ANY`: as [`id_at`], without a look at the permissions.
pub fn id_of_any_at(index: c_int) -> Result<c_int> {
    status(index, SHM_STAT_ANY).map(|(id, _)| id)
}

/// What the segments of this namespace use: `struct shm_info`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Segments that exist.
    pub segments: c_int,
    /// Pages that they have in all.
    pub pages: c_ulong,
    /// Pages of them that are in memory.
    pub resident: c_ulong,
    /// Pages of them that are in swap.
    pub swapped: c_ulong,
    unused: [c_ulong; 2],
}

/// `SHM_INFO`: the highest index in use, and what is used.
pub fn usage() -> Result<(c_int, Usage)> {
    let mut usage = Usage::default();
    // SAFETY: the kernel writes one such structure.
    let highest = answer(unsafe { libc::shmctl(0, SHM_INFO, (&raw mut usage).cast()) })?;
    Ok((highest, usage))
}

/// The limits of this namespace: `struct shminfo`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the largest segment.
    pub max: c_ulong,
    /// Bytes of the smallest segment.
    pub min: c_ulong,
    /// Segments.
    pub segments: c_ulong,
    /// Segments that a process can attach; the kernel has no such limit.
    pub attaches: c_ulong,
    /// Pages of all segments.
    pub all: c_ulong,
    unused: [c_ulong; 4],
}

/// `IPC_INFO`.
pub fn limits() -> Result<Limits> {
    let mut limits = Limits::default();
    // SAFETY: the kernel writes one such structure.
    answer(unsafe { libc::shmctl(0, libc::IPC_INFO, (&raw mut limits).cast()) })?;
    Ok(limits)
}

/// A segment as this process has attached it; it stays so until `detach` or
/// the end of the process. A forked child has it at the same addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attached(Memory);

impl Attached {
    /// `shmdt`.
    pub fn detach(self) -> Result<()> {
        detach(self.address)
    }
}

impl Deref for Attached {
    type Target = Memory;

    fn deref(&self) -> &Memory {
        &self.0
    }
}

/// `shmdt` of whatever begins at this address.
pub fn detach(address: usize) -> Result<()> {
    // SAFETY: nobody but the case refers to what is attached there.
    answer(unsafe { libc::shmdt(std::ptr::with_exposed_provenance(address)) }).map(drop)
}

/// A new memory file of `size` bytes that can be sealed.
pub fn memory_file(size: usize) -> Verdict<OwnedFd> {
    let file = memfd_create("ipcspec", MFdFlags::MFD_ALLOW_SEALING | MFdFlags::MFD_CLOEXEC)?;
    nix::unistd::ftruncate(&file, size as libc::off_t)?;
    Ok(file)
}

/// `memfd_secret`, which is not in every kernel, and not switched on in all
/// that have it.
pub const MEMFD_SECRET: Facility =
    Facility { name: "memfd_secret", probe: || secret_file().map(drop) };

/// A new file of secret memory, of no size yet.
pub fn secret_file() -> Result<OwnedFd> {
    // SAFETY: takes a number; what it gives is ours alone.
    unsafe {
        let fd = answer(libc::syscall(libc::SYS_memfd_secret, 0))?;
        Ok(OwnedFd::from_raw_fd(fd as c_int))
    }
}

/// `F_ADD_SEALS`.
pub fn seal(file: &impl AsFd, seals: SealFlag) -> Result<()> {
    fcntl(file, FcntlArg::F_ADD_SEALS(seals)).map(drop)
}

/// `F_GET_SEALS`.
pub fn seals(file: &impl AsFd) -> Result<SealFlag> {
    fcntl(file, FcntlArg::F_GET_SEALS).map(SealFlag::from_bits_retain)
}
