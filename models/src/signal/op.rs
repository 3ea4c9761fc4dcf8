//! What programs do with signals, and with which.

use std::time::Duration;

use ipcspec_cases::sys::calls::{PAUSE, SIGSUSPEND, SIGTIMEDWAIT};
use ipcspec_harness::{Syscalls, show};
use serde::{Deserialize, Serialize};

use super::sys;
use crate::{Answer, Cast, Seed};

/// The signals of programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Sig {
    /// Ends a process by default; at the start handled, without SA_RESTART.
    Usr1,
    /// Ends a process by default; at the start handled, with SA_RESTART.
    Usr2,
    /// Is ignored by default.
    Urg,
    /// The first of the real-time signals; at the start handled, without
    /// SA_RESTART.
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
            Self::Usr1 | Self::Rt0 => Action::Handle { restart: false },
            Self::Usr2 => Action::Handle { restart: true },
            _ => Action::Default,
        }
    }

    /// Whether it is a real-time signal.
    pub fn is_real_time(self) -> bool {
        matches!(self, Self::Rt0 | Self::Rt1)
    }

    /// As an expression of cases.
    fn rust(self) -> String {
        match self {
            Self::Rt0 => "Sig::rt(0)".to_owned(),
            Self::Rt1 => "Sig::rt(1)".to_owned(),
            _ => show::signal(self.number()),
        }
    }

    /// Its name in C.
    fn c(self) -> String {
        show::signal(self.number())
    }
}

/// A set of signals, by place in [`Sig::ALL`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Set(pub u16);

impl Set {
    /// No signal.
    pub const NONE: Self = Self(0);
    /// Every signal of programs.
    pub const ALL: Self = Self::of(&Sig::ALL);

    /// These signals.
    pub const fn of(signals: &[Sig]) -> Self {
        let (mut bits, mut at) = (0, 0);
        while at < signals.len() {
            bits |= 1 << signals[at] as u16;
            at += 1;
        }
        Self(bits)
    }

    /// Whether this one is in it.
    pub fn has(self, signal: Sig) -> bool {
        self.0 & (1 << signal as u16) != 0
    }

    /// What is in either.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is not in the other.
    #[must_use]
    pub fn but(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    fn decode(seed: &mut Seed) -> Self {
        const SETS: [Set; 16] = [
            Set::of(&[Sig::Usr1]),
            Set::of(&[Sig::Usr2]),
            Set::of(&[Sig::Rt0]),
            Set::of(&[Sig::Usr1, Sig::Usr2]),
            Set::of(&[Sig::Rt0, Sig::Rt1]),
            Set::of(&[Sig::Usr1, Sig::Rt0]),
            Set::of(&[Sig::Cont]),
            Set::of(&[Sig::Usr1, Sig::Cont]),
            Set::of(&[Sig::Urg, Sig::Usr2]),
            Set::of(&[Sig::Pipe, Sig::Rt1]),
            Set::of(&[Sig::Usr1, Sig::Stop, Sig::Kill]),
            Set::of(&[Sig::Usr1, Sig::Usr2, Sig::Cont]),
            Set::of(&[Sig::Usr1, Sig::Usr2, Sig::Rt0, Sig::Rt1]),
            Set::of(&[Sig::Usr1, Sig::Rt0, Sig::Rt1, Sig::Cont]),
            Set::NONE,
            Set::ALL,
        ];
        seed.one_of(&SETS)
    }

    /// As an expression in C.
    fn c(self) -> String {
        let names: String = self.signals().map(|signal| format!("{}, ", signal.c())).collect();
        format!("set_of({names}0)")
    }

    /// As an expression of cases.
    fn rust(self) -> String {
        match self {
            Self::NONE => return "Signals::NONE".to_owned(),
            Self::ALL => return "Signals::ALL".to_owned(),
            _ => {}
        }
        let names: String =
            self.signals().map(|signal| format!(".and({})", signal.rust())).collect();
        format!("Signals::NONE{names}")
    }

    /// What is in it.
    pub fn signals(self) -> impl Iterator<Item = Sig> {
        Sig::ALL.into_iter().filter(move |signal| self.has(*signal))
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

/// How a mask is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum How {
    /// SIG_BLOCK.
    Block,
    /// SIG_UNBLOCK.
    Unblock,
    /// SIG_SETMASK.
    Set,
    /// In no way that there is.
    Unknown,
}

/// How long a signal is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Patience {
    /// Not at all: a time of 0.
    None,
    /// 2 ms.
    Little,
    /// For ever.
    Endless,
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
    /// `kill` with a number that is no signal; who was never there is asked
    /// for by the caller's own id.
    Check {
        /// Whom.
        to: u8,
        /// 0, which asks whether there is such a process, or a wrong one.
        number: i32,
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
    /// `tgkill`.
    Thread {
        /// Whose only thread.
        to: u8,
        /// With what.
        signal: Sig,
    },
    /// `sigaction`.
    Act {
        /// On what.
        signal: Sig,
        /// How.
        action: Action,
    },
    /// `sigprocmask`, which answers with the set that was blocked before.
    Mask {
        /// How.
        how: How,
        /// With which signals.
        set: Set,
    },
    /// `sigpending`, which answers with the set.
    Pending,
    /// `sigtimedwait`.
    Wait {
        /// For one of these.
        set: Set,
        /// How long.
        patience: Patience,
    },
    /// `sigsuspend`.
    Suspend {
        /// With these blocked.
        mask: Set,
    },
    /// `pause`.
    Pause,
}

/// What company mostly does: actors that wait for ever, or block what would
/// wake them, make poor programs for other mechanisms.
const COMPANY: [Kind; 32] = {
    let mut kinds = [Kind::Kill; 32];
    kinds[17] = Kind::Thread;
    kinds[18] = Kind::Check;
    kinds[19] = Kind::Mask;
    kinds[20] = Kind::Unmask;
    kinds[21] = Kind::Unmask;
    kinds[22] = Kind::Wait;
    kinds[23] = Kind::Queue;
    kinds[24] = Kind::Queue;
    let mut at = 25;
    while at < 32 {
        kinds[at] = Kind::Act;
        at += 1;
    }
    kinds
};

/// What programs of nothing but signals do.
const ALONE: [Kind; 32] = {
    use Kind::{Act, Check, Kill, Mask, Pending, Queue, Suspend, Thread, Unmask, Wait};
    [
        Kill, Kill, Kill, Kill, Kill, Kill, Kill, Kill, Queue, Queue, Queue, Queue, Thread, Thread,
        Thread, Act, Act, Act, Mask, Mask, Mask, Mask, Mask, Unmask, Unmask, Unmask, Pending,
        Pending, Wait, Wait, Suspend, Check,
    ]
};

#[derive(Debug, Clone, Copy)]
enum Kind {
    Kill,
    Queue,
    Thread,
    Act,
    Mask,
    Unmask,
    Pending,
    Wait,
    Suspend,
    Check,
}

impl Op {
    /// Any bytes are something to do with signals; `alone`, where programs do
    /// nothing else.
    pub fn of(seed: &mut Seed, alone: bool) -> Self {
        // Most programs have two actors.
        let to = seed.one_of(&[0, 1, 0, 1, 0, 1, 2, 3]);
        match seed.one_of(if alone { &ALONE } else { &COMPANY }) {
            Kind::Kill => Self::Kill {
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
                    Sig::Usr1,
                    Sig::Usr2,
                    Sig::Stop,
                    Sig::Kill,
                ]),
            },
            Kind::Check => Self::Check { to, number: seed.one_of(&[0, 0, 65, -1]) },
            Kind::Queue => Self::Queue {
                to,
                signal: seed.one_of(&[Sig::Rt0, Sig::Rt0, Sig::Usr1, Sig::Rt1, Sig::Rt0]),
                value: seed.below(4) as u8,
            },
            Kind::Thread => Self::Thread {
                to,
                signal: seed.one_of(&[Sig::Usr1, Sig::Usr2, Sig::Rt0, Sig::Cont, Sig::Stop]),
            },
            Kind::Act => Self::Act {
                signal: seed.one_of(&[
                    Sig::Usr1,
                    Sig::Usr2,
                    Sig::Rt0,
                    Sig::Rt1,
                    Sig::Pipe,
                    Sig::Cont,
                    Sig::Urg,
                    Sig::Rt0,
                    Sig::Rt1,
                    Sig::Usr1,
                    Sig::Usr2,
                    Sig::Stop,
                    Sig::Rt0,
                    Sig::Kill,
                ]),
                action: seed.one_of(&[
                    Action::Handle { restart: false },
                    Action::Handle { restart: true },
                    Action::Handle { restart: false },
                    Action::Ignore,
                    Action::Handle { restart: true },
                    Action::Default,
                ]),
            },
            Kind::Mask => Self::Mask {
                how: seed.one_of(&[How::Block, How::Block, How::Set, How::Unblock, How::Unknown]),
                set: Set::decode(seed),
            },
            Kind::Unmask => Self::Mask { how: How::Set, set: Set::NONE },
            Kind::Pending => Self::Pending,
            Kind::Wait => {
                use Patience::{Endless, Little, None};
                let patience = seed.one_of(&[None, None, None, Endless, Endless, Endless, Little]);
                Self::Wait { set: Set::decode(seed), patience }
            }
            Kind::Suspend if seed.rarely(3) => Self::Pause,
            Kind::Suspend => Self::Suspend { mask: Set::decode(seed) },
        }
    }

    /// Whether it is over at one moment where every signal is blocked.
    pub fn races(&self) -> bool {
        match self {
            Self::Kill { signal, .. }
            | Self::Queue { signal, .. }
            | Self::Thread { signal, .. } => !matches!(signal, Sig::Stop | Sig::Kill),
            Self::Mask { how, .. } => matches!(how, How::Block | How::Unknown),
            Self::Wait { patience, .. } => *patience != Patience::Little,
            Self::Suspend { .. } | Self::Pause => false,
            Self::Check { .. } | Self::Act { .. } | Self::Pending => true,
        }
    }

    /// Whom it sends something, or asks for.
    pub fn receiver(&self) -> Option<u8> {
        match *self {
            Self::Kill { to, .. }
            | Self::Check { to, .. }
            | Self::Queue { to, .. }
            | Self::Thread { to, .. } => Some(to),
            _ => None,
        }
    }
}

impl crate::Op for Op {
    type Hands = ();

    fn decode(seed: &mut Seed) -> Self {
        Self::of(seed, false)
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Kill { .. } | Self::Check { .. } => "kill",
            Self::Queue { .. } => "sigqueue",
            Self::Thread { .. } => "tgkill",
            Self::Act { .. } => "sigaction",
            Self::Mask { .. } => "sigprocmask",
            Self::Pending => "sigpending",
            Self::Wait { patience: Patience::None, .. } => "sigtimedwait of no time",
            Self::Wait { patience: Patience::Little, .. } => "sigtimedwait",
            Self::Wait { patience: Patience::Endless, .. } => "sigwaitinfo",
            Self::Suspend { .. } => "sigsuspend",
            Self::Pause => "pause",
        }
    }

    fn perform(&self, (): &mut (), cast: &Cast) -> Answer {
        let pid = self.receiver().and_then(|to| cast.pid(to.into()));
        match (*self, pid) {
            (Self::Check { number, .. }, pid) => {
                sys::kill(pid.unwrap_or_else(nix::unistd::Pid::this), number).into()
            }
            // To an actor that never was, nothing is sent.
            (Self::Kill { .. } | Self::Queue { .. } | Self::Thread { .. }, None) => Answer::zero(),
            (Self::Kill { signal, .. }, Some(pid)) => sys::kill(pid, signal.number()).into(),
            (Self::Queue { signal, value, .. }, Some(pid)) => {
                sys::queue(pid, signal.number(), value.into()).into()
            }
            (Self::Thread { signal, .. }, Some(pid)) => sys::tgkill(pid, signal.number()).into(),
            (Self::Act { signal, action }, _) => sys::act(signal.number(), action).into(),
            (Self::Mask { how, set }, _) => sys::mask(how, set).map(|old| i64::from(old.0)).into(),
            (Self::Pending, _) => sys::pending().map(|set| i64::from(set.0)).into(),
            (Self::Wait { set, .. }, _) => {
                sys::wait(set, self.patience()).map_or_else(Answer::error, |info| info.answer(None))
            }
            (Self::Suspend { mask }, _) => sys::suspend(mask).into(),
            (Self::Pause, _) => sys::pause().into(),
        }
    }

    fn sleeps_in(&self) -> Syscalls {
        match self {
            Self::Wait { .. } => SIGTIMEDWAIT,
            Self::Suspend { .. } => SIGSUSPEND,
            Self::Pause => PAUSE,
            _ => Syscalls { name: "nothing", numbers: &[] },
        }
    }

    fn timeout(&self) -> Option<Duration> {
        self.patience().filter(|time| !time.is_zero())
    }

    fn c(&self) -> String {
        match self {
            Self::Kill { to, signal } => format!("send_signal({to}, {})", signal.c()),
            Self::Check { to, number } => format!("check_signal({to}, {number})"),
            Self::Queue { to, signal, value } => {
                format!("queue_signal({to}, {}, {value})", signal.c())
            }
            Self::Thread { to, signal } => format!("send_to_thread({to}, {})", signal.c()),
            Self::Act { signal, action } => {
                format!(
                    "act_on({}, {})",
                    signal.c(),
                    match action {
                        Action::Default => "SIG_DFL, 0",
                        Action::Ignore => "SIG_IGN, 0",
                        Action::Handle { restart: false } => "handle, 0",
                        Action::Handle { restart: true } => "handle, SA_RESTART",
                    }
                )
            }
            Self::Mask { how, set } => {
                let how = match how {
                    How::Block => "SIG_BLOCK",
                    How::Unblock => "SIG_UNBLOCK",
                    How::Set => "SIG_SETMASK",
                    How::Unknown => "99",
                };
                format!("change_mask({how}, {})", set.c())
            }
            Self::Pending => "pending_signals()".to_owned(),
            Self::Wait { set, .. } => {
                let time = self.patience().map_or(-1, |time| time.as_millis() as i64);
                format!("wait_for_signal({}, {time})", set.c())
            }
            Self::Suspend { mask } => format!("suspend({})", mask.c()),
            Self::Pause => "pause()".to_owned(),
        }
    }

    fn rust(&self) -> String {
        match self {
            Self::Kill { to, signal } => format!("send(actor_{to}.pid(), {})", signal.rust()),
            Self::Check { to, number } => format!("send(actor_{to}.pid(), Sig({number}))"),
            Self::Queue { to, signal, value } => {
                format!("signals::queue(actor_{to}.pid(), {}, {value})", signal.rust())
            }
            Self::Thread { to, signal } => {
                format!("send_thread(actor_{to}.pid(), actor_{to}.pid(), {})", signal.rust())
            }
            Self::Act { signal, action } => {
                let action = match action {
                    Action::Default => "default()",
                    Action::Ignore => "ignore()",
                    Action::Handle { restart: false } => "record().mask(Signals::ALL)",
                    Action::Handle { restart: true } => {
                        "record().mask(Signals::ALL).flags(libc::SA_RESTART)"
                    }
                };
                format!("Action::{action}.on({})", signal.rust())
            }
            Self::Mask { how: How::Unknown, .. } => "change_mask_in_no_known_way()".to_owned(),
            Self::Mask { how, set } => {
                let call = match how {
                    How::Block => "block",
                    How::Unblock => "unblock",
                    _ => "set_mask",
                };
                format!("{call}({})", set.rust())
            }
            Self::Pending => "pending()".to_owned(),
            Self::Wait { set, .. } => {
                let limit = match self.patience() {
                    Some(Duration::ZERO) => "Some(Duration::ZERO)".to_owned(),
                    Some(time) => format!("Some(Duration::from_millis({}))", time.as_millis()),
                    None => "None".to_owned(),
                };
                format!("accept({}, {limit})", set.rust())
            }
            Self::Suspend { mask } => format!("suspend({})", mask.rust()),
            Self::Pause => "pause()".to_owned(),
        }
    }

    fn rust_gives(&self, answer: &Answer) -> Option<(String, String)> {
        let told = answer.result.ok()?;
        match self {
            Self::Pending => Some((self.rust(), Set(told as u16).rust())),
            Self::Wait { .. } => {
                let signal = Sig::of(told as i32)?;
                let value = match signal {
                    Sig::Rt0 | Sig::Rt1 => signal.rust(),
                    _ => format!("Sig::from({})", signal.rust()),
                };
                Some((format!("{}.map(|told| told.signal)", self.rust()), value))
            }
            _ => None,
        }
    }
}

impl Op {
    /// How long it waits for a signal; none for ever.
    fn patience(self) -> Option<Duration> {
        match self {
            Self::Wait { patience: Patience::None, .. } => Some(Duration::ZERO),
            Self::Wait { patience: Patience::Little, .. } => Some(Duration::from_millis(2)),
            _ => None,
        }
    }
}
