//! System V semaphores.

use ipcspec_harness::{Verdict, remember};
use nix::Result;

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
        let mut ops: Vec<libc::sembuf> = ops
            .iter()
            .map(|op| libc::sembuf {
                sem_num: op.number,
                sem_op: op.change,
                sem_flg: op.flags as i16,
            })
            .collect();
        // SAFETY: the array is as long as told.
        answer(unsafe { libc::semop(self.id, ops.as_mut_ptr(), ops.len()) }).map(drop)
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
        // SAFETY: the caller passes as many values as the set has.
        answer(unsafe { libc::semctl(self.id, 0, libc::SETALL, values.as_ptr()) }).map(drop)
    }

    /// `IPC_RMID`.
    pub fn remove(self) -> Result<()> {
        self.ctl(0, libc::IPC_RMID, 0).map(drop)
    }
}

fn remove(id: i64) {
    let _ = Sem { id: id as i32 }.remove();
}
