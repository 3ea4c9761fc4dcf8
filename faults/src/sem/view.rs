//! What a fault sees of semop, semtimedop and semctl.

use ipcspec_cases::sys::sem::Op;
use libc::c_int;

use crate::prelude::*;

/// The size of `struct sembuf`.
const OP: usize = 6;
/// No call has more operations: SEMOPM.
const MOST: u64 = 500;

impl Call {
    /// The set that a semop or a semctl names.
    pub(crate) fn set(&self) -> u64 {
        self.argument(0)
    }

    /// The operations of a semop.
    pub(crate) fn ops(&self) -> Result<Vec<Op>> {
        let count = self.argument(2);
        if !(1..=MOST).contains(&count) {
            return Err(EINVAL);
        }
        let word = |op: &[u8], at| u16::from_ne_bytes([op[at], op[at + 1]]);
        let bytes = self.memory(self.argument(1), OP * count as usize)?;
        Ok(bytes
            .chunks(OP)
            .map(|op| Op {
                number: word(op, 0),
                change: word(op, 2) as i16,
                flags: i32::from(word(op, 4) as i16),
            })
            .collect())
    }

    fn put_ops(&mut self, ops: &[Op]) -> Result<u64> {
        let bytes: Vec<_> = ops
            .iter()
            .flat_map(|op| [op.number, op.change as u16, op.flags as u16])
            .flat_map(u16::to_ne_bytes)
            .collect();
        self.scratch(&bytes)
    }

    /// Changes the operations of a semop on the way in.
    pub(crate) fn set_ops(&mut self, ops: &[Op]) -> Result<()> {
        let address = self.put_ops(ops)?;
        self.set_argument(1, address);
        self.set_argument(2, ops.len() as u64);
        Ok(())
    }

    /// A semop on this set, to be made later.
    pub(crate) fn semop_on(&mut self, set: u64, ops: &[Op]) -> Result<(libc::c_long, [u64; 6])> {
        let address = self.put_ops(ops)?;
        Ok((libc::SYS_semop, [set, address, ops.len() as u64, 0, 0, 0]))
    }

    /// In its place, or after it: a semop on the same set.
    pub(crate) fn semop(
        &mut self,
        ops: &[Op],
        look: impl FnOnce(&mut Self) -> Result<Effect> + 'static,
    ) -> Result<Effect> {
        let (number, arguments) = self.semop_on(self.set(), ops)?;
        self.instead(number, arguments, look)
    }

    /// In its place, or after it: a semctl on the same set.
    pub(crate) fn semctl(
        &self,
        number: u16,
        command: c_int,
        argument: u64,
        look: impl FnOnce(&mut Self) -> Result<Effect> + 'static,
    ) -> Result<Effect> {
        let arguments = [self.set(), number.into(), command as u64, argument, 0, 0];
        self.instead(libc::SYS_semctl, arguments, look)
    }

    /// A semop happens; `look` is told whether it could not go on at once.
    pub(crate) fn semop_telling_sleep(
        &mut self,
        look: impl FnOnce(&mut Self, bool) -> Result<Effect> + 'static,
    ) -> Result<Effect> {
        let ops: Vec<_> = self.ops()?.into_iter().map(Op::nowait).collect();
        self.semop(&ops, |call| {
            if call.result() == -(EAGAIN as i64) {
                call.once_more(move |call| look(call, true))
            } else {
                look(call, false)
            }
        })
    }

    /// Whether the call is a semop or a semtimedop.
    pub(crate) fn is_semop(&self) -> bool {
        [libc::SYS_semop, libc::SYS_semtimedop].contains(&self.number())
    }

    /// The command of a semctl or a msgctl.
    pub(crate) fn command(&self) -> c_int {
        let command = if self.number() == libc::SYS_msgctl { 1 } else { 2 };
        self.argument(command) as c_int
    }
}

/// The key of a semaphore in a fault's notes.
pub(crate) fn key(set: u64, number: u16) -> u64 {
    set << 16 | u64::from(number)
}
