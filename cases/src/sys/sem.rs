//! System V semaphores.

use std::ptr;

use ipcspec_harness::{Verdict, remember};
use libc::{c_long, c_ulong};
use nix::Result;
use nix::sys::time::TimeSpec;
use nix::unistd::Pid;

use super::memory::Memory;
#[cfg(target_arch = "x86")]
use super::sysv::IPC_SEMTIMEDOP;
use super::sysv::SEMCTL;
use super::{answer, unique_key};

/// A System V semaphore set. It is removed when the case is over, not when
/// this value is dropped: removal is what some cases are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sem {
    /// The identifier that `semget` gave.
    pub id: i32,
}

/// One operation of a `semop` call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Op {
    /// Number of the semaphore in its set.
    pub number: u16,
    /// What is added; 0 waits for zero.
    pub change: i16,
    /// `IPC_NOWAIT`, `SEM_UNDO`.
    pub flags: i32,
}

impl Op {
    /// An operation without flags.
    pub const fn new(number: u16, change: i16) -> Self {
        Self { number, change, flags: 0 }
    }

    /// With `SEM_UNDO`.
    #[must_use]
    pub const fn undo(mut self) -> Self {
        self.flags |= libc::SEM_UNDO;
        self
    }

    /// With `IPC_NOWAIT`.
    #[must_use]
    pub const fn nowait(mut self) -> Self {
        self.flags |= libc::IPC_NOWAIT;
        self
    }
}

impl Sem {
    /// `semget(key, count, flags)`; the set is removed when the case is over.
    pub fn open(key: libc::key_t, count: i32, flags: i32) -> Result<Self> {
        // SAFETY: semget takes no pointer.
        let id = answer(unsafe { libc::semget(key, count, flags) })?;
        let _ = remember(remove, id.into());
        Ok(Self { id })
    }

    /// A new private set with these values, which stays until it is removed.
    pub fn make(values: &[u16]) -> Result<Self> {
        // SAFETY: semget takes no pointer.
        let id = answer(unsafe { libc::semget(libc::IPC_PRIVATE, values.len() as i32, 0o600) })?;
        let sem = Self { id };
        sem.set_all(values)?;
        Ok(sem)
    }

    /// A new private set with these values.
    pub fn private(values: &[u16]) -> Verdict<Self> {
        let sem = Self::open(libc::IPC_PRIVATE, values.len() as i32, 0o600)?;
        sem.set_all(values)?;
        Ok(sem)
    }

    /// A new set under a key of its own, with these values; the key.
    pub fn keyed(values: &[u16]) -> Verdict<(Self, libc::key_t)> {
        let key = unique_key();
        let sem = Self::open(key, values.len() as i32, libc::IPC_CREAT | libc::IPC_EXCL | 0o600)?;
        sem.set_all(values)?;
        Ok((sem, key))
    }

    /// `semop` with all of `ops` in one call.
    pub fn op(self, ops: &[Op]) -> Result<()> {
        let call = |list: *mut libc::sembuf, length: usize| {
            // SAFETY: the array is as long as told.
            answer(unsafe { libc::semop(self.id, list, length) }).map(drop)
        };
        with_list(ops, call)
    }

    /// `semtimedop`: as [`Sem::op`], but sleeps no longer than `timeout`,
    /// which the kernel is told to leave as it is.
    pub fn timed(self, ops: &[Op], timeout: &mut TimeSpec) -> Result<()> {
        let mut left = *timeout.as_ref();
        // SAFETY: the timeout is on this stack.
        let got = unsafe { semtimedop(self.id, ops, &raw mut left) };
        *timeout = left.into();
        got
    }

    /// `semop` with a list that is at no address of this process.
    pub fn op_nowhere(self) -> Result<()> {
        // SAFETY: the kernel finds nothing mapped at 0.
        answer(unsafe { libc::semop(self.id, ptr::null_mut(), 1) }).map(drop)
    }

    /// `semtimedop` with a timeout that is at no address of this process.
    pub fn timed_nowhere(self, ops: &[Op]) -> Result<()> {
        // SAFETY: the kernel finds nothing mapped at 1.
        unsafe { semtimedop(self.id, ops, ptr::without_provenance_mut(1)) }
    }

    /// P on semaphore 0: takes 1, or sleeps until it can.
    pub fn p(self) -> Result<()> {
        self.op(&[Op::new(0, -1)])
    }

    /// V on semaphore 0: gives 1.
    pub fn v(self) -> Result<()> {
        self.op(&[Op::new(0, 1)])
    }

    /// `semctl(number, command, argument)` for commands whose argument is an
    /// `int` or nothing.
    pub fn ctl(self, number: i32, command: i32, argument: i32) -> Result<i32> {
        // SAFETY: no command of this shape follows a pointer.
        answer(unsafe { libc::semctl(self.id, number, command, argument) })
    }

    /// A command that does not exist, past the C library, which refuses it
    /// by itself.
    pub fn unknown_command(self) -> Result<i32> {
        // SAFETY: there is no pointer to follow.
        let got = unsafe { libc::syscall(SEMCTL, self.id, 0, 99, 0) };
        answer(got).map(|got| got as i32)
    }

    /// `GETVAL`.
    pub fn get(self, number: i32) -> Result<i32> {
        self.ctl(number, libc::GETVAL, 0)
    }

    /// `SETVAL`.
    pub fn set(self, number: i32, value: i32) -> Result<()> {
        self.ctl(number, libc::SETVAL, value).map(drop)
    }

    /// `SETALL`; `values` is as long as the set.
    pub fn set_all(self, values: &[u16]) -> Result<()> {
        // A copy: that a constant does, which nobody may write, is a claim of its own.
        let mut values = values.to_vec();
        // SAFETY: the caller passes as many values as the set has.
        answer(unsafe { libc::semctl(self.id, 0, libc::SETALL, values.as_mut_ptr()) }).map(drop)
    }

    /// `SETALL` from memory of the caller's, which has as many values as the set.
    pub fn set_all_from(self, values: Memory) -> Result<()> {
        // SAFETY: the case mapped the memory.
        answer(unsafe { libc::semctl(self.id, 0, libc::SETALL, values.pointer::<u16>()) }).map(drop)
    }

    /// `GETALL`.
    pub fn all(self) -> Result<Vec<u16>> {
        // Who may not read the set is not told its size either; the buffer is
        // then as large as a set can be.
        let size = self.stat().map_or(1 << 16, |stat| stat.nsems as usize);
        let mut values = vec![0; size];
        self.all_into(&mut values)?;
        Ok(values)
    }

    /// `GETALL`; `values` is as long as the set.
    pub fn all_into(self, values: &mut [u16]) -> Result<()> {
        // SAFETY: the caller has room for as many values as the set has.
        answer(unsafe { libc::semctl(self.id, 0, libc::GETALL, values.as_mut_ptr()) }).map(drop)
    }

    /// `GETPID`: who last operated on it.
    pub fn last_pid(self, number: i32) -> Result<Pid> {
        self.ctl(number, libc::GETPID, 0).map(Pid::from_raw)
    }

    /// `GETNCNT`: how many sleep until the value increases.
    pub fn wanting_more(self, number: i32) -> Result<i32> {
        self.ctl(number, libc::GETNCNT, 0)
    }

    /// `GETZCNT`: how many sleep until the value is 0.
    pub fn wanting_zero(self, number: i32) -> Result<i32> {
        self.ctl(number, libc::GETZCNT, 0)
    }

    /// `IPC_STAT`.
    pub fn stat(self) -> Result<Stat> {
        self.stat_by(libc::IPC_STAT).map(|(_, stat)| stat)
    }

    /// `IPC_STAT`, or `SEM_STAT` and `SEM_STAT_ANY`, to which `id` is an
    /// index; what the call returned, and the description.
    pub fn stat_by(self, command: i32) -> Result<(i32, Stat)> {
        let mut stat = Stat::default();
        // SAFETY: `Stat` has the layout of the kernel's semid64_ds.
        let got = answer(unsafe { libc::semctl(self.id, 0, command, &raw mut stat) })?;
        Ok((got, stat))
    }

    /// `IPC_SET` of the 9 bits of the mode; owner and group stay.
    pub fn set_mode(self, mode: u32) -> Result<()> {
        let mut stat = self.stat()?;
        stat.mode = mode;
        // SAFETY: as in `stat_by`.
        answer(unsafe { libc::semctl(self.id, 0, libc::IPC_SET, &raw const stat) }).map(drop)
    }

    /// A command (`IPC_STAT`, `GETALL`, …) whose argument is at no address
    /// of this process, past the C library, which may look there by itself.
    pub fn ctl_nowhere(self, command: i32) -> Result<()> {
        // SAFETY: the kernel finds nothing mapped at 0.
        let nowhere = ptr::null_mut::<libc::c_void>();
        answer(unsafe { libc::syscall(SEMCTL, self.id, 0, command, nowhere) }).map(drop)
    }

    /// `IPC_RMID`.
    pub fn remove(self) -> Result<()> {
        self.ctl(0, libc::IPC_RMID, 0).map(drop)
    }
}

fn remove(id: i64) {
    let _ = Sem { id: id as i32 }.remove();
}

/// Has the call take these operations as the kernel wants them: short lists,
/// which are most, without a heap.
fn with_list<T>(ops: &[Op], call: impl FnOnce(*mut libc::sembuf, usize) -> T) -> T {
    let raw =
        |op: &Op| libc::sembuf { sem_num: op.number, sem_op: op.change, sem_flg: op.flags as i16 };
    let mut short = [raw(&Op::new(0, 0)); 4];
    if ops.len() <= short.len() {
        for (place, op) in short.iter_mut().zip(ops) {
            *place = raw(op);
        }
        call(short.as_mut_ptr(), ops.len())
    } else {
        let mut long: Vec<_> = ops.iter().map(raw).collect();
        call(long.as_mut_ptr(), long.len())
    }
}

/// libc does not declare it. `timeout` is readable, or no address at all.
unsafe fn semtimedop(id: i32, ops: &[Op], timeout: *mut libc::timespec) -> Result<()> {
    let call = |list: *mut libc::sembuf, length: usize| {
        // SAFETY: the array is as long as told; the caller answers for `timeout`.
        #[cfg(not(target_arch = "x86"))]
        let got = unsafe { libc::syscall(libc::SYS_semtimedop, id, list, length, timeout) };
        // SAFETY: as above. The direct call of i386 takes times of 64 bits alone.
        #[cfg(target_arch = "x86")]
        let got =
            unsafe { libc::syscall(libc::SYS_ipc, IPC_SEMTIMEDOP, id, length, 0, list, timeout) };
        answer(got).map(drop)
    };
    with_list(ops, call)
}

/// What `IPC_STAT` tells of a set: the kernel's `semid64_ds`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stat {
    /// The key, as `semget` had it.
    pub key: libc::key_t,
    /// Effective user of the owner.
    pub uid: u32,
    /// Effective group of the owner.
    pub gid: u32,
    /// Effective user of the creator.
    pub cuid: u32,
    /// Effective group of the creator.
    pub cgid: u32,
    /// Permissions: the low 9 bits.
    pub mode: u32,
    seq: u16,
    pad: u16,
    reserved: [c_ulong; 2],
    /// Time of the last `semop`, in seconds since the Epoch; 0 before it.
    pub otime: c_long,
    #[cfg(not(target_arch = "aarch64"))]
    reserved_after_otime: c_ulong,
    /// Time of creation or of the last change by `semctl`, in seconds since
    /// the Epoch.
    pub ctime: c_long,
    #[cfg(not(target_arch = "aarch64"))]
    reserved_after_ctime: c_ulong,
    /// Number of semaphores.
    pub nsems: c_ulong,
    reserved_at_end: [c_ulong; 2],
}

/// What `IPC_INFO` and `SEM_INFO` tell: the kernel's `seminfo`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Info {
    map: i32,
    /// Most sets.
    pub mni: i32,
    /// Most semaphores in all sets.
    pub mns: i32,
    mnu: i32,
    /// Most semaphores in a set.
    pub msl: i32,
    /// Most operations in a call.
    pub opm: i32,
    ume: i32,
    /// For `SEM_INFO`: the sets that there are.
    pub usz: i32,
    /// Highest value of a semaphore.
    pub vmx: i32,
    /// Highest value of an adjustment for exit; for `SEM_INFO`, the
    /// semaphores that there are.
    pub aem: i32,
}

/// `IPC_INFO` or `SEM_INFO`: the highest index that is in use, for
/// [`Sem::stat_by`], and what the call tells.
pub fn info(command: i32) -> Result<(i32, Info)> {
    let mut info = Info::default();
    // SAFETY: `Info` has the layout of the kernel's seminfo.
    let highest = answer(unsafe { libc::semctl(0, 0, command, &raw mut info) })?;
    Ok((highest, info))
}

/// `SEMVMX`, the highest value of a semaphore, as the target tells it.
pub fn highest_value() -> Result<u16> {
    info(libc::IPC_INFO).map(|(_, info)| info.vmx as u16)
}

/// Forks with `CLONE_SYSVSEM`, so that the child shares this process's list
/// of undo records. The child runs `body` and exits: with 0, or the errno.
pub fn fork_sharing_undo(body: impl FnOnce() -> Result<()>) -> Result<Pid> {
    let flags = libc::CLONE_SYSVSEM | libc::SIGCHLD;
    // SAFETY: as fork; the child makes system calls and ends.
    match answer(unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) })? {
        0 => {
            let status = body().map_or_else(|errno| errno as i32, |()| 0);
            // SAFETY: ends this process without running what is the parent's.
            unsafe { libc::_exit(status) }
        }
        child => Ok(Pid::from_raw(child as i32)),
    }
}
