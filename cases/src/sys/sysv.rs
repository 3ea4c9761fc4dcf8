//! What message queues, semaphore sets and segments of System V have in
//! common: keys, identifiers, owners and permissions.

use ipcspec_harness::remember;
use libc::{c_int, key_t};
use nix::{NixPath, Result};

use super::answer;

#[cfg(not(target_arch = "x86"))]
pub(super) use libc::{SYS_semctl as SEMCTL, SYS_shmctl as SHMCTL};
#[cfg(target_arch = "x86")]
pub(super) use of_i386::*;

/// i386 has had calls of its own beside ipc(2) since Linux 5.1, though none
/// for a `semtimedop` with times of 32 bits.
#[cfg(target_arch = "x86")]
mod of_i386 {
    use libc::{c_int, c_long};

    pub const SEMCTL: c_long = 394;
    pub const SHMCTL: c_long = 396;
    /// Of ipc(2).
    pub const IPC_SEMTIMEDOP: c_int = 4;
}

/// A kind of System V object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Message queues.
    Msg,
    /// Semaphore sets.
    Sem,
    /// Shared memory segments.
    Shm,
}

/// A System V object. It is removed when the case is over, not when this
/// value is dropped: removal is what some cases are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Object {
    /// What it is.
    pub kind: Kind,
    /// The identifier that the kernel gave.
    pub id: c_int,
}

/// Who may do what with an object: `struct ipc_perm`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permissions {
    /// The key under which it was made; 0 for a private one.
    pub key: key_t,
    /// User that owns it.
    pub user: u32,
    /// Group that owns it.
    pub group: u32,
    /// User that created it.
    pub creator: u32,
    /// Group that created it.
    pub creator_group: u32,
    /// Nine bits of permissions, and what the kernel notes above them.
    pub mode: u32,
}

/// The status structure of any kind: all begin with the permissions.
#[repr(C)]
struct Status {
    permissions: libc::ipc_perm,
    rest: [u64; 64],
}

impl Kind {
    /// All three.
    pub const ALL: [Self; 3] = [Self::Msg, Self::Sem, Self::Shm];

    /// `msgget`, `semget` for one semaphore or `shmget` for one byte; the
    /// object is removed when the case is over.
    pub fn get(self, key: key_t, flags: c_int) -> Result<Object> {
        // SAFETY: these calls take no pointer.
        let id = answer(unsafe {
            match self {
                Self::Msg => libc::msgget(key, flags),
                Self::Sem => libc::semget(key, 1, flags),
                Self::Shm => libc::shmget(key, 1, flags),
            }
        })?;
        let object = Object { kind: self, id };
        let _ = remember(self.remover(), id.into());
        Ok(object)
    }

    /// A new private object with these permissions.
    pub fn private(self, mode: c_int) -> Result<Object> {
        self.get(libc::IPC_PRIVATE, mode)
    }

    /// A new object under this key with these permissions.
    pub fn create(self, key: key_t, mode: c_int) -> Result<Object> {
        self.get(key, libc::IPC_CREAT | libc::IPC_EXCL | mode)
    }

    /// The object under this key, without asking for any permission.
    pub fn find(self, key: key_t) -> Result<Object> {
        self.get(key, 0)
    }

    fn remover(self) -> fn(i64) {
        match self {
            Self::Msg => |id| Self::Msg.remove(id),
            Self::Sem => |id| Self::Sem.remove(id),
            Self::Shm => |id| Self::Shm.remove(id),
        }
    }

    fn remove(self, id: i64) {
        let _ = Object { kind: self, id: id as c_int }.remove();
    }
}

impl Object {
    /// `IPC_STAT`: its permissions.
    pub fn stat(self) -> Result<Permissions> {
        let mut status = Status::empty();
        self.control(libc::IPC_STAT, &mut status)?;
        let got = &status.permissions;
        Ok(Permissions {
            // SAFETY: the key is the first field, by whatever name.
            key: unsafe { std::ptr::from_ref(got).cast::<key_t>().read() },
            user: got.uid,
            group: got.gid,
            creator: got.cuid,
            creator_group: got.cgid,
            mode: got.mode.into(),
        })
    }

    /// `IPC_SET` with all of `wanted` but the key in the structure; what else
    /// the structure has is as `IPC_STAT` tells, or 0 where that is refused.
    pub fn set(self, wanted: Permissions) -> Result<()> {
        let mut status = Status::empty();
        let _ = self.control(libc::IPC_STAT, &mut status);
        let set = &mut status.permissions;
        (set.uid, set.gid) = (wanted.user, wanted.group);
        (set.cuid, set.cgid) = (wanted.creator, wanted.creator_group);
        set.mode = wanted.mode as _;
        self.control(libc::IPC_SET, &mut status)
    }

    /// `IPC_RMID`.
    pub fn remove(self) -> Result<()> {
        self.control(libc::IPC_RMID, &mut Status::empty())
    }

    fn control(self, command: c_int, status: &mut Status) -> Result<()> {
        let status = &raw mut *status;
        // SAFETY: the buffer is larger than any of the three structures.
        answer(unsafe {
            match self.kind {
                Kind::Msg => libc::msgctl(self.id, command, status.cast()),
                Kind::Sem => libc::semctl(self.id, 0, command, status),
                Kind::Shm => libc::shmctl(self.id, command, status.cast()),
            }
        })
        .map(drop)
    }
}

impl Status {
    fn empty() -> Self {
        // SAFETY: plain numbers.
        unsafe { std::mem::zeroed() }
    }
}

/// `ftok(path, project)`.
pub fn ftok(path: &str, project: c_int) -> Result<key_t> {
    // SAFETY: the path ends with a null byte while ftok looks at it.
    answer(path.with_nix_path(|path| unsafe { libc::ftok(path.as_ptr(), project) })?)
}
