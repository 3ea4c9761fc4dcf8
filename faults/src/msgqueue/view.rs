//! What a fault sees of calls on message queues.

use libc::{IPC_NOWAIT, MSG_COPY};

use crate::prelude::*;

/// The type stands in front of the body.
pub(crate) const TYPE: u64 = 8;

impl Call {
    /// The queue that a msgsnd, a msgrcv or a msgctl names.
    pub(crate) fn queue(&self) -> u64 {
        self.argument(0)
    }

    /// Where the flags of a msgsnd or a msgrcv stand among its arguments.
    pub(crate) fn flags_at(&self) -> usize {
        if self.number() == libc::SYS_msgsnd { 3 } else { 4 }
    }

    /// Whether a msgsnd or a msgrcv has one of these flags.
    pub(crate) fn has_flag(&self, flags: i32) -> bool {
        self.argument(self.flags_at()) as i32 & flags != 0
    }

    /// A msgsnd or a msgrcv without these flags.
    pub(crate) fn clear_flags(&mut self, flags: i32) {
        let at = self.flags_at();
        self.set_argument(at, (self.argument(at) as i32 & !flags) as u64);
    }

    /// A msgsnd or a msgrcv happens; `look` is told whether it could not go on
    /// at once.
    pub(crate) fn message_telling_sleep(
        &mut self,
        look: impl FnOnce(&mut Self, bool) -> Result<Effect> + 'static,
    ) -> Result<Effect> {
        let (mut arguments, at) = (self.arguments(), self.flags_at());
        if self.has_flag(IPC_NOWAIT | MSG_COPY) {
            return self.then(|call| look(call, false));
        }
        arguments[at] |= IPC_NOWAIT as u64;
        self.instead(self.number(), arguments, |call| {
            if [EAGAIN, ENOMSG].map(|errno| -(errno as i64)).contains(&call.result()) {
                call.once_more(move |call| look(call, true))
            } else {
                look(call, false)
            }
        })
    }

    /// An mq_timedsend or mq_timedreceive happens; `look` is told whether it
    /// could not go on at once.
    pub(crate) fn mq_telling_sleep(
        &mut self,
        look: impl FnOnce(&mut Self, bool) -> Result<Effect> + 'static,
    ) -> Result<Effect> {
        let mut arguments = self.arguments();
        if arguments[4] != 0 {
            return self.then(|call| look(call, false));
        }
        arguments[4] = self.scratch(&[0; 16])?;
        self.instead(self.number(), arguments, |call| {
            if call.result() == -(ETIMEDOUT as i64) {
                call.once_more(move |call| look(call, true))
            } else {
                look(call, false)
            }
        })
    }
}
