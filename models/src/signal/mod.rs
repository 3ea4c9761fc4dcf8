//! Signals between processes.
//!
//! Every model plays in their company: an operation about signals can stand
//! in any program. The programs of this mechanism consist of nothing else.
//!
//! A signal that is sent is pending for its process, or for its thread, until
//! it is delivered (its action happens) or taken (by who waits for it). Who
//! blocks it puts delivery off. Actors have one thread each.

use nix::errno::Errno;
use serde::{Deserialize, Serialize};

use crate::model::{ACTORS, DIRECTOR};
use crate::world::Seen;
use crate::{Actor, Answer, Cast, Cut, Step, rules};

mod alone;
mod canaries;
mod op;
pub use alone::Alone;
pub use op::{Action, How, Op, Patience, Set, Sig};
pub mod sys;

rules! {
    /// A signal can be sent to a process, one that waits to be reaped too.
    SENDS = KILL_2, "DESCRIPTION";
    /// Signal 0 is not sent: the call tells whether there is such a process, if only a zombie.
    EXISTS = KILL_2, "DESCRIPTION";
    /// A number that no signal has is refused.
    NO_SUCH_SIGNAL = KILL_2, "ERRORS";
    /// A signal can be queued with a value.
    QUEUES = SIGQUEUE_3, "DESCRIPTION";
    /// A signal can be sent to one thread.
    SENDS_TO_THREAD = TKILL_2, "DESCRIPTION";
    /// The action for a signal can be set.
    ACTS = SIGACTION_2, "DESCRIPTION";
    /// A pending signal is discarded when it is to be ignored from now on, blocked or not.
    DISCARDS = POSIX_SIGNALS, "2.4.3 Signal Actions";
    /// The action for SIGKILL and SIGSTOP cannot be changed.
    UNCHANGEABLE = SIGACTION_2, "ERRORS";
    /// Signals can be added to the mask; the mask as it was is told.
    BLOCKS = SIGPROCMASK_2, "DESCRIPTION";
    /// Signals can be removed from the mask, also those that it does not have.
    UNBLOCKS = SIGPROCMASK_2, "DESCRIPTION";
    /// The mask can be set.
    SETS_MASK = SIGPROCMASK_2, "DESCRIPTION";
    /// A mask cannot be changed in a way that is none of the three.
    NO_SUCH_WAY = SIGPROCMASK_2, "ERRORS";
    /// The pending signals are those of the thread and those of its process.
    PENDS = SIGPENDING_2, "NOTES";
    /// A pending signal of the set is removed from those that are pending, and told of.
    TAKES = SIGWAITINFO_2, "DESCRIPTION";
    /// Real-time signals are taken in order: the lowest number first, and of one number the first.
    TAKES_IN_ORDER = SIGNAL_7, "Real-time signals";
    /// Who waits sleeps until a signal of the set is pending.
    WAITS = SIGWAITINFO_2, "DESCRIPTION";
    /// With a time of 0, the wait fails at once when no signal of the set is pending.
    POLLS = SIGWAITINFO_2, "DESCRIPTION";
    /// The wait fails when its time is over and no signal of the set became pending.
    TIME_IS_UP = SIGWAITINFO_2, "ERRORS";
    /// The wait is interrupted by a handler for a signal that is not in the set, and never
    /// restarted.
    WAIT_INTERRUPTED = SIGWAITINFO_2, "ERRORS";
    /// The wait is interrupted by a stop, when the process is continued.
    WAIT_STOPPED = SIGNAL_7, "Interruption of system calls and library functions by stop signals";
    /// The mask is replaced until a handler has run, and the caller sleeps until then.
    SUSPENDS = SIGSUSPEND_2, "DESCRIPTION";
    /// sigsuspend fails after the handler, whatever its flags, and the mask is again as it was.
    RESUMES = SIGSUSPEND_2, "DESCRIPTION";
    /// pause sleeps until a handler runs.
    PAUSES = PAUSE_2, "DESCRIPTION";
    /// pause fails after the handler, whatever its flags.
    PAUSE_ENDS = PAUSE_2, "RETURN VALUE";
    /// While sigsuspend is out for a stop, Linux has the old mask for a moment, though no handler
    /// ran. Who sleeps then sleeps on.
    LETS_THROUGH = KERNEL_SIGNAL_C, "restore_saved_sigmask";
    /// sigsuspend and pause go on after a stop.
    GOES_ON = SIGNAL_7, "Interruption of system calls and library functions by stop signals";
}

/// Every operation, with all that it can come to.
pub const OUTCOMES: &[(&str, &[&str])] = &[
    ("kill", &["ok", "EINVAL"]),
    ("sigqueue", &["ok"]),
    ("tgkill", &["ok"]),
    ("sigaction", &["ok", "EINVAL"]),
    ("sigprocmask", &["ok", "EINVAL"]),
    ("sigpending", &["ok"]),
    ("sigtimedwait of no time", &["ok", "EAGAIN"]),
    ("sigtimedwait", &["ok", "EAGAIN"]),
    ("sigwaitinfo", &["ok", "EINTR", "sleeps"]),
    ("sigsuspend", &["EINTR", "sleeps"]),
    ("pause", &["EINTR", "sleeps"]),
];

/// What the operations need in a C program, after the part that is the same
/// in every one.
pub const C: &str = include_str!("helpers.c");

/// What comes with a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Info {
    /// The signal's number.
    pub signal: i32,
    /// `si_code`.
    pub code: i32,
    /// The actor that sent it, or [`Cast::NOBODY`].
    pub from: i64,
    /// The value that came with it; 0 without one.
    pub value: i64,
}

impl Info {
    /// The code of a signal of which code and sender are not asserted.
    const ANY_CODE: i32 = i32::MIN;

    /// What comes with a signal that the kernel sends to the caller of a
    /// system call. Where the pages promise SI_KERNEL, Linux gives SIGPIPE the
    /// code SI_USER and the process's own id (docs/findings.md): neither is
    /// asserted.
    pub fn by_kernel(signal: i32) -> Self {
        Self { signal, code: Self::ANY_CODE, from: Cast::NOBODY, value: 0 }
    }

    /// Whether this, which a model wants, can be seen as that.
    pub fn allows(&self, seen: &Self) -> bool {
        match self.code {
            Self::ANY_CODE => self.signal == seen.signal,
            _ => self == seen,
        }
    }

    /// As who waited for it is told, where this was `seen`.
    pub fn answer(&self, seen: Option<&Answer>) -> Answer {
        match seen {
            Some(seen) if self.code == Self::ANY_CODE && seen.result == Ok(self.signal.into()) => {
                seen.clone()
            }
            _ => {
                Answer::number(self.signal.into()).with(&[self.code.into(), self.from, self.value])
            }
        }
    }
}

/// What a signal does to a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// Nothing at all.
    Nothing,
    /// Runs its handler.
    Handler {
        /// Set with SA_RESTART.
        restart: bool,
    },
    /// Stops it.
    Stop,
    /// Ends it.
    End,
}

/// A signal that was sent, and neither delivered nor taken yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Pending {
    signal: Sig,
    info: Info,
    /// Sent to the thread rather than to its process.
    to_thread: bool,
}

/// What one process has to do with signals.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Process {
    /// By place in [`Sig::ALL`].
    actions: [Action; Sig::ALL.len()],
    blocked: Set,
    /// The mask that sigsuspend has replaced.
    replaced: Option<Set>,
    /// Whether it has left sigsuspend for a stop, and not yet begun it anew.
    out: bool,
    /// Whether the handler that ran last was for a signal that the mask of
    /// sigsuspend blocks.
    let_through: bool,
    /// In the order in which they were sent.
    pending: Vec<Pending>,
    stopped: bool,
    alive: bool,
}

/// The signals of all actors.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Signals {
    processes: [Process; ACTORS],
}

/// It is not possible to block SIGKILL or SIGSTOP, nor to wait for them;
/// attempts are silently ignored: sigprocmask(2), sigsuspend(2),
/// sigwaitinfo(2).
const UNBLOCKABLE: Set = Set::of(&[Sig::Kill, Sig::Stop]);

impl Signals {
    /// Nothing pending, blocked or stopped, every action as at the start, for
    /// so many actors.
    pub fn new(actors: usize) -> Self {
        Self {
            processes: std::array::from_fn(|actor| Process {
                actions: Sig::ALL.map(Sig::action_at_start),
                blocked: Set::NONE,
                replaced: None,
                out: false,
                let_through: false,
                pending: Vec::new(),
                stopped: false,
                alive: actor < actors,
            }),
        }
    }

    /// `actor` makes this call, or has made it and slept.
    pub fn attempt(&mut self, actor: Actor, op: &Op, seen: Option<&Answer>) -> Step {
        let info = |signal: Sig, code, value| Info {
            signal: signal.number(),
            code,
            from: if actor == DIRECTOR { Cast::NOBODY } else { actor as i64 },
            value,
        };
        match *op {
            Op::Kill { to, signal } => {
                self.send(to.into(), info(signal, libc::SI_USER, 0));
                SENDS.succeeds()
            }
            Op::Check { number: 0, .. } => EXISTS.succeeds(),
            Op::Check { .. } => NO_SUCH_SIGNAL.fails(Errno::EINVAL),
            Op::Queue { to, signal, value } => {
                self.send(to.into(), info(signal, libc::SI_QUEUE, value.into()));
                QUEUES.succeeds()
            }
            Op::Thread { to, signal } => {
                self.send_to_thread(to.into(), info(signal, libc::SI_TKILL, 0));
                SENDS_TO_THREAD.succeeds()
            }
            Op::Act { signal: Sig::Kill | Sig::Stop, .. } => UNCHANGEABLE.fails(Errno::EINVAL),
            Op::Act { signal, action } => self.processes[actor].act(signal, action),
            Op::Mask { how, set } => self.processes[actor].mask(how, set.but(UNBLOCKABLE)),
            Op::Pending => {
                PENDS.returns(Answer::number(self.processes[actor].all_pending().0.into()))
            }
            Op::Wait { set, patience } => {
                self.processes[actor].wait(set.but(UNBLOCKABLE), patience, seen)
            }
            Op::Suspend { mask } => {
                let process = &mut self.processes[actor];
                process.out = false;
                if process.replaced.is_none() {
                    process.replaced = Some(process.blocked);
                    process.blocked = mask.but(UNBLOCKABLE);
                }
                SUSPENDS.sleeps()
            }
            Op::Pause => PAUSES.sleeps(),
        }
    }

    /// The call in which `actor` sleeps is cut short.
    pub fn cut(&mut self, actor: Actor, op: &Op, by: Cut) -> Step {
        match (op, by) {
            (Op::Wait { .. }, Cut::Handler { .. }) => WAIT_INTERRUPTED.fails(Errno::EINTR),
            (Op::Wait { .. }, Cut::Stop) => WAIT_STOPPED.fails(Errno::EINTR),
            (Op::Wait { .. }, Cut::Time) => TIME_IS_UP.fails(Errno::EAGAIN),
            (Op::Suspend { .. }, Cut::Handler { .. }) => {
                let process = &mut self.processes[actor];
                if std::mem::take(&mut process.let_through) {
                    return LETS_THROUGH.restarts();
                }
                process.out = false;
                if let Some(mask) = process.replaced.take() {
                    process.blocked = mask;
                }
                RESUMES.fails(Errno::EINTR)
            }
            (Op::Suspend { .. }, Cut::Stop) => {
                self.processes[actor].out = true;
                GOES_ON.restarts()
            }
            (_, Cut::Handler { .. }) => PAUSE_ENDS.fails(Errno::EINTR),
            _ => GOES_ON.restarts(),
        }
    }

    /// The kernel, or an actor, sends a signal to a process.
    pub fn send(&mut self, to: Actor, info: Info) {
        self.processes[to].receive(info, false);
    }

    /// As above, to its thread.
    pub fn send_to_thread(&mut self, to: Actor, info: Info) {
        self.processes[to].receive(info, true);
    }

    /// The next signal that `actor` gets, and what it does; none when there is
    /// none that it does not block, or when it is stopped: only SIGKILL comes
    /// through then. `seen` is what is still to come of it.
    pub fn deliver(&mut self, actor: Actor, seen: Seen<'_>) -> Option<(Info, Delivery)> {
        let process = &mut self.processes[actor];
        let is_seen = |pending: &Pending| match (seen.handled.first(), seen.killed_by) {
            (Some(next), _) => pending.info == *next && process.handles(pending.signal),
            (None, Some(signal)) => pending.info.signal == signal,
            (None, None) => !process.handles(pending.signal),
        };
        let deliverable = |pending: &Pending| match pending.signal {
            Sig::Kill => true,
            _ if process.stopped => false,
            signal if process.blocked.has(signal) => {
                let told = seen.killed_by.is_some() || !seen.handled.is_empty();
                process.may_let_through(signal) && told && is_seen(pending)
            }
            _ => true,
        };
        // One that does nothing shows nowhere: it goes in the usual order, in
        // which "Linux, like many other implementations, gives priority to
        // standard signals" (signal(7), Real-time signals).
        let usual = process.next(deliverable, |_| false)?;
        let place = match process.would(process.pending[usual].signal) {
            Delivery::Nothing => usual,
            _ => process.next(deliverable, is_seen)?,
        };
        let Pending { signal, info, .. } = process.pending.remove(place);
        let delivery = process.would(signal);
        process.let_through = process.blocked.has(signal);
        process.stopped |= delivery == Delivery::Stop;
        Some((info, delivery))
    }

    /// Whether signals are to be delivered to `actor`.
    pub fn is_pending(&self, actor: Actor) -> bool {
        let process = &self.processes[actor];
        process.pending.iter().any(|pending| !process.blocked.has(pending.signal))
    }

    /// Whether this would send a signal that does nothing at all.
    pub fn is_idle(&self, op: &Op) -> bool {
        let (Op::Kill { to, signal } | Op::Queue { to, signal, .. } | Op::Thread { to, signal }) =
            op
        else {
            return false;
        };
        let process = &self.processes[usize::from(*to)];
        process.alive && !process.stopped && process.would(*signal) == Delivery::Nothing
    }

    /// Whether it is stopped.
    pub fn is_stopped(&self, actor: Actor) -> bool {
        self.processes[actor].stopped
    }

    /// A signal that ends the sleep of `actor`, with its life if need be.
    pub fn that_wakes(&self, actor: Actor) -> Sig {
        let process = &self.processes[actor];
        [Sig::Usr1, Sig::Usr2, Sig::Rt0, Sig::Rt1]
            .into_iter()
            .find(|signal| process.handles(*signal) && !process.blocked.has(*signal))
            .unwrap_or(Sig::Kill)
    }

    /// An actor was forked by another one: it has its actions and its mask
    /// (sigaction(2), sigprocmask(2)), and nothing pending (sigpending(2)).
    pub fn forked(&mut self, parent: Actor, child: Actor) {
        self.processes[child] = Process { pending: Vec::new(), ..self.processes[parent].clone() };
    }

    /// An actor has ended.
    pub fn ended(&mut self, actor: Actor) {
        self.processes[actor].alive = false;
        self.processes[actor].stopped = false;
        self.processes[actor].pending.clear();
    }
}

impl Process {
    /// A signal is generated for it.
    fn receive(&mut self, info: Info, to_thread: bool) {
        let Some(signal) = Sig::of(info.signal) else { return };
        if !self.alive {
            return;
        }
        // SIGCONT continues, blocked or ignored or not, and no stop stays
        // pending; nor does SIGCONT when a stop comes (POSIX, 2.4.1).
        match signal {
            Sig::Cont => {
                self.stopped = false;
                self.discard(Sig::Stop);
            }
            Sig::Stop => self.discard(Sig::Cont),
            _ => {}
        }
        // "Blocked signals are never ignored, since the signal handler may
        // change by the time it is unblocked" (kernel/signal.c), as POSIX
        // leaves it open, and not as sigpending(2) has it.
        if self.would(signal) == Delivery::Nothing && !self.blocked.has(signal) {
            return;
        }
        // Standard signals do not queue: the first one's siginfo_t stays
        // (signal(7), Queueing and delivery semantics for standard signals).
        let same = |old: &Pending| old.signal == signal && old.to_thread == to_thread;
        if !signal.is_real_time() && self.pending.iter().any(same) {
            return;
        }
        self.pending.push(Pending { signal, info, to_thread });
    }

    fn discard(&mut self, signal: Sig) {
        self.pending.retain(|pending| pending.signal != signal);
    }

    fn act(&mut self, signal: Sig, action: Action) -> Step {
        self.actions[signal as usize] = action;
        if self.would(signal) == Delivery::Nothing {
            self.discard(signal);
            return DISCARDS.succeeds();
        }
        ACTS.succeeds()
    }

    fn mask(&mut self, how: How, set: Set) -> Step {
        let before = Answer::number(self.blocked.0.into());
        let (blocked, rule) = match how {
            How::Block => (self.blocked.and(set), BLOCKS),
            How::Unblock => (self.blocked.but(set), UNBLOCKS),
            How::Set => (set, SETS_MASK),
            How::Unknown => return NO_SUCH_WAY.fails(Errno::EINVAL),
        };
        self.blocked = blocked;
        rule.returns(before)
    }

    fn all_pending(&self) -> Set {
        let add = |set: Set, pending: &Pending| set.and(Set::of(&[pending.signal]));
        self.pending.iter().fold(Set::NONE, add)
    }

    /// Takes a pending signal of this set, or waits for one.
    fn wait(&mut self, set: Set, patience: Patience, seen: Option<&Answer>) -> Step {
        let is_seen = |pending: &Pending| seen == Some(&pending.info.answer(seen));
        // POSIX (sigtimedwait) leaves it undefined what becomes of a signal
        // that is waited for and not blocked. One that would end the process
        // may do so.
        let place = self.next(
            |pending| {
                set.has(pending.signal)
                    && (self.blocked.has(pending.signal)
                        || self.handles(pending.signal)
                        || is_seen(pending))
            },
            is_seen,
        );
        match (place, patience) {
            (Some(place), _) => {
                let Pending { signal, info, .. } = self.pending.remove(place);
                let rule = if signal.is_real_time() { TAKES_IN_ORDER } else { TAKES };
                rule.returns(info.answer(seen))
            }
            (None, Patience::None) => POLLS.fails(Errno::EAGAIN),
            (None, _) => WAITS.sleeps(),
        }
    }

    /// The place of the signal that is next among the pending ones that are
    /// `wanted`. The order of different standard signals is unspecified, and
    /// so is that of what is pending for the thread and for its process
    /// (signal(7)): where one was `seen` to be next it is.
    fn next(
        &self,
        wanted: impl Fn(&Pending) -> bool,
        seen: impl Fn(&Pending) -> bool,
    ) -> Option<usize> {
        // A process that is killed does nothing any more.
        let rank = |pending: &Pending| {
            (pending.signal != Sig::Kill, !pending.to_thread, pending.info.signal)
        };
        let wanted = || self.pending.iter().enumerate().filter(|(_, pending)| wanted(pending));
        // Of several of one number the first.
        let (usual, first) = wanted().min_by_key(|(_, pending)| rank(pending))?;
        if first.signal == Sig::Kill {
            return Some(usual);
        }
        // Standard signals come before real-time ones, and of these the
        // lowest number, and of one number the first: signal(7), Real-time
        // signals.
        let may_be_next = |(place, pending): &(usize, &Pending)| {
            !pending.signal.is_real_time()
                || wanted()
                    .filter(|(_, other)| other.to_thread == pending.to_thread)
                    .min_by_key(|(_, other)| other.info.signal)
                    .is_some_and(|(lowest, _)| lowest == *place)
        };
        let was_next = wanted().filter(may_be_next).find(|(_, pending)| seen(pending));
        Some(was_next.map_or(usual, |(place, _)| place))
    }

    /// Whether a signal that is blocked by the mask of sigsuspend may be
    /// delivered all the same, for a stop.
    fn may_let_through(&self, signal: Sig) -> bool {
        self.out && self.replaced.is_some_and(|mask| !mask.has(signal))
    }

    fn handles(&self, signal: Sig) -> bool {
        matches!(self.would(signal), Delivery::Handler { .. })
    }

    /// What this signal would do, were it delivered: signal(7), Signal
    /// dispositions.
    fn would(&self, signal: Sig) -> Delivery {
        match (signal, self.actions[signal as usize]) {
            (Sig::Stop, _) => Delivery::Stop,
            (Sig::Kill, _) => Delivery::End,
            (Sig::Urg | Sig::Cont, Action::Default) | (_, Action::Ignore) => Delivery::Nothing,
            (_, Action::Default) => Delivery::End,
            (_, Action::Handle { restart }) => Delivery::Handler { restart },
        }
    }
}
