//! Signals between processes.
//!
//! Every model plays in their company: an operation about signals can stand
//! in any program. The programs of this mechanism consist of nothing else.

use std::collections::VecDeque;

use ipcspec_harness::Syscalls;
use nix::errno::Errno;
use serde::{Deserialize, Serialize};

use crate::model::{ACTORS, DIRECTOR};
use crate::{Actor, Answer, Cast, Cut, Seed, Step, rules};

mod alone;
mod canaries;
pub use alone::Alone;
pub mod sys;

rules! {
    /// A signal can be sent to any process of the same user, one that waits to be reaped too.
    SENDS = KILL_2, "DESCRIPTION";
    /// A signal can be queued with a value.
    QUEUES = SIGQUEUE_3, "DESCRIPTION";
    /// The action for a signal can be set.
    ACTS = SIGACTION_2, "DESCRIPTION";
    /// The action for SIGKILL and SIGSTOP cannot be changed.
    UNCHANGEABLE = SIGACTION_2, "ERRORS";
}

/// The signals of programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Sig {
    /// Ends a process by default; at the start handled, without SA_RESTART.
    Usr1,
    /// Ends a process by default; at the start handled, with SA_RESTART.
    Usr2,
    /// Is ignored by default.
    Urg,
    /// The first of the real-time signals.
    Rt0,
    /// The one after it.
    Rt1,
    /// Ends a process by default; a kernel sends it to who writes where
    /// nobody reads.
    Pipe,
    /// Continues a stopped process, whatever its action.
    Cont,
    /// Stops; neither caught nor ignored.
    Stop,
    /// Ends; neither caught nor ignored.
    Kill,
}

impl Sig {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Usr1,
        Self::Usr2,
        Self::Urg,
        Self::Rt0,
        Self::Rt1,
        Self::Pipe,
        Self::Cont,
        Self::Stop,
        Self::Kill,
    ];

    /// Its number on this target.
    pub fn number(self) -> i32 {
        match self {
            Self::Usr1 => libc::SIGUSR1,
            Self::Usr2 => libc::SIGUSR2,
            Self::Urg => libc::SIGURG,
            Self::Rt0 => libc::SIGRTMIN(),
            Self::Rt1 => libc::SIGRTMIN() + 1,
            Self::Pipe => libc::SIGPIPE,
            Self::Cont => libc::SIGCONT,
            Self::Stop => libc::SIGSTOP,
            Self::Kill => libc::SIGKILL,
        }
    }

    /// The one of this number.
    pub fn of(number: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|signal| signal.number() == number)
    }

    /// What an actor does with it at the start of a program: most programs
    /// would be over soon if every signal ended somebody.
    pub fn action_at_start(self) -> Action {
        match self {
            Self::Usr1 => Action::Handle { restart: false },
            Self::Usr2 => Action::Handle { restart: true },
            _ => Action::Default,
        }
    }

    fn is_real_time(self) -> bool {
        matches!(self, Self::Rt0 | Self::Rt1)
    }

    fn default(self) -> Delivery {
        match self {
            Self::Urg | Self::Cont => Delivery::Nothing,
            Self::Stop => Delivery::Stop,
            _ => Delivery::End,
        }
    }
}

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
}

/// What a process does with a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Action {
    /// SIG_DFL.
    Default,
    /// SIG_IGN.
    Ignore,
    /// A handler, with SA_RESTART or without, which blocks every signal while
    /// it runs.
    Handle {
        /// SA_RESTART.
        restart: bool,
    },
}

/// What actors do with signals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Op {
    /// `kill`.
    Kill {
        /// Whom.
        to: u8,
        /// With what.
        signal: Sig,
    },
    /// `sigqueue`.
    Queue {
        /// Whom.
        to: u8,
        /// With what.
        signal: Sig,
        /// And what value.
        value: u8,
    },
    /// `sigaction`.
    Act {
        /// On what.
        signal: Sig,
        /// How.
        action: Action,
    },
}

impl crate::Op for Op {
    type Hands = ();

    fn decode(seed: &mut Seed) -> Self {
        let to = seed.below(ACTORS) as u8;
        match seed.below(8) {
            0..3 => Self::Kill {
                to,
                signal: seed.one_of(&[
                    Sig::Usr1,
                    Sig::Usr2,
                    Sig::Usr1,
                    Sig::Usr2,
                    Sig::Stop,
                    Sig::Cont,
                    Sig::Cont,
                    Sig::Cont,
                    Sig::Urg,
                    Sig::Rt0,
                    Sig::Kill,
                ]),
            },
            3 => Self::Queue {
                to,
                signal: seed.one_of(&[Sig::Rt0, Sig::Rt1, Sig::Usr1]),
                value: seed.below(4) as u8,
            },
            _ => Self::Act {
                signal: seed.one_of(&[
                    Sig::Usr1,
                    Sig::Usr2,
                    Sig::Rt0,
                    Sig::Rt1,
                    Sig::Pipe,
                    Sig::Cont,
                    Sig::Stop,
                    Sig::Kill,
                ]),
                action: seed.one_of(&[
                    Action::Handle { restart: false },
                    Action::Handle { restart: true },
                    Action::Ignore,
                    Action::Default,
                ]),
            },
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Kill { .. } => "kill",
            Self::Queue { .. } => "sigqueue",
            Self::Act { .. } => "sigaction",
        }
    }

    fn perform(&self, (): &mut (), cast: &Cast) -> Answer {
        match *self {
            Self::Kill { to, signal } => match cast.pid(to.into()) {
                Some(pid) => sys::kill(pid, signal.number()).into(),
                None => Answer::zero(),
            },
            Self::Queue { to, signal, value } => match cast.pid(to.into()) {
                Some(pid) => sys::queue(pid, signal.number(), value.into()).into(),
                None => Answer::zero(),
            },
            Self::Act { signal, action } => sys::act(signal.number(), action).into(),
        }
    }

    fn sleeps_in(&self) -> Syscalls {
        Syscalls { name: "nothing", numbers: &[] }
    }

    fn c(&self) -> String {
        match self {
            Self::Kill { to, signal } => format!("send_signal({to}, {})", signal.number()),
            Self::Queue { to, signal, value } => {
                format!("queue_signal({to}, {}, {value})", signal.number())
            }
            Self::Act { signal, action } => {
                format!(
                    "act_on({}, {})",
                    signal.number(),
                    match action {
                        Action::Default => "SIG_DFL, 0",
                        Action::Ignore => "SIG_IGN, 0",
                        Action::Handle { restart: false } => "handle, 0",
                        Action::Handle { restart: true } => "handle, SA_RESTART",
                    }
                )
            }
        }
    }

    fn rust(&self) -> String {
        match self {
            Self::Kill { to, signal } => format!("kill(actors[{to}], Sig({}))", signal.number()),
            Self::Queue { to, signal, value } => {
                format!("queue(actors[{to}], Sig({}), {value})", signal.number())
            }
            Self::Act { signal, action } => format!("act(Sig({}), {action:?})", signal.number()),
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

/// What one process has to do with signals.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Process {
    /// By place in [`Sig::ALL`].
    actions: [Action; Sig::ALL.len()],
    pending: VecDeque<Info>,
    stopped: bool,
    alive: bool,
}

/// The signals of all actors.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Signals {
    processes: [Process; ACTORS],
}

impl Signals {
    /// Nothing pending, nothing stopped, every action as at the start, for so
    /// many actors.
    pub fn new(actors: usize) -> Self {
        Self {
            processes: std::array::from_fn(|actor| Process {
                actions: Sig::ALL.map(Sig::action_at_start),
                pending: VecDeque::new(),
                stopped: false,
                alive: actor < actors,
            }),
        }
    }

    /// `actor` makes this call, or has made it and slept.
    pub fn attempt(&mut self, actor: Actor, op: &Op, _seen: Option<&Answer>) -> Step {
        match *op {
            Op::Kill { to, signal } => {
                let info = Info {
                    signal: signal.number(),
                    code: libc::SI_USER,
                    from: from(actor),
                    value: 0,
                };
                self.send(to.into(), info);
                SENDS.succeeds()
            }
            Op::Queue { to, signal, value } => {
                let info = Info {
                    signal: signal.number(),
                    code: libc::SI_QUEUE,
                    from: from(actor),
                    value: value.into(),
                };
                self.send(to.into(), info);
                QUEUES.succeeds()
            }
            Op::Act { signal: Sig::Kill | Sig::Stop, .. } => UNCHANGEABLE.fails(Errno::EINVAL),
            Op::Act { signal, action } => {
                let process = &mut self.processes[actor];
                process.actions[signal as usize] = action;
                if process.would(signal) == Delivery::Nothing {
                    process.pending.retain(|info| info.signal != signal.number());
                }
                ACTS.succeeds()
            }
        }
    }

    /// The call in which `actor` sleeps is cut short.
    pub fn cut(&mut self, _actor: Actor, _op: &Op, _by: Cut) -> Step {
        ACTS.restarts()
    }

    /// The kernel, or an actor, sends a signal.
    pub fn send(&mut self, to: Actor, info: Info) {
        let process = &mut self.processes[to];
        let Some(signal) = Sig::of(info.signal) else { return };
        if !process.alive {
            return;
        }
        match signal {
            Sig::Cont => {
                process.stopped = false;
                process.pending.retain(|info| info.signal != libc::SIGSTOP);
            }
            Sig::Stop => process.pending.retain(|info| info.signal != libc::SIGCONT),
            _ => {}
        }
        if process.would(signal) == Delivery::Nothing {
            return;
        }
        if !signal.is_real_time() && process.pending.iter().any(|old| old.signal == info.signal) {
            return;
        }
        process.pending.push_back(info);
    }

    /// The next signal that `actor` takes, and what it does; none when there
    /// is none, or when it is stopped.
    pub fn deliver(&mut self, actor: Actor) -> Option<(Info, Delivery)> {
        let process = &mut self.processes[actor];
        if !process.alive {
            return None;
        }
        let first = |info: &&Info| (info.signal != libc::SIGKILL, info.signal);
        let next = process
            .pending
            .iter()
            .filter(|info| !process.stopped || info.signal == libc::SIGKILL)
            .min_by_key(first)?
            .signal;
        let place = process.pending.iter().position(|info| info.signal == next)?;
        let info = process.pending.remove(place)?;
        let delivery = process.would(Sig::of(info.signal)?);
        process.stopped |= delivery == Delivery::Stop;
        Some((info, delivery))
    }

    /// Whether signals wait for `actor` to take them.
    pub fn is_pending(&self, actor: Actor) -> bool {
        !self.processes[actor].pending.is_empty()
    }

    /// Whether this would send a signal that does nothing at all.
    pub fn is_idle(&self, op: &Op) -> bool {
        let (Op::Kill { to, signal } | Op::Queue { to, signal, .. }) = op else { return false };
        let process = &self.processes[usize::from(*to)];
        process.alive && !process.stopped && process.would(*signal) == Delivery::Nothing
    }

    /// Whether it is stopped.
    pub fn is_stopped(&self, actor: Actor) -> bool {
        self.processes[actor].stopped
    }

    /// An actor was forked by another one: it has its actions, and nothing
    /// pending.
    pub fn forked(&mut self, parent: Actor, child: Actor) {
        self.processes[child] =
            Process { pending: VecDeque::new(), alive: true, ..self.processes[parent].clone() };
    }

    /// An actor has ended.
    pub fn ended(&mut self, actor: Actor) {
        self.processes[actor].alive = false;
        self.processes[actor].stopped = false;
        self.processes[actor].pending.clear();
    }
}

/// The sender of a signal, as its receiver sees it.
fn from(actor: Actor) -> i64 {
    if actor == DIRECTOR { Cast::NOBODY } else { actor as i64 }
}

impl Process {
    /// What this signal would do, were it delivered.
    fn would(&self, signal: Sig) -> Delivery {
        match (signal, self.actions[signal as usize]) {
            (Sig::Kill | Sig::Stop, _) | (_, Action::Default) => signal.default(),
            (_, Action::Ignore) => Delivery::Nothing,
            (_, Action::Handle { restart }) => Delivery::Handler { restart },
        }
    }
}
