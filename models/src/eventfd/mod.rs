//! Event counters: a model that fits on two pages.

use std::fmt;

use ipcspec_cases::sys::calls::{READ, WRITE};
use ipcspec_cases::sys::eventfd as sys;
use ipcspec_harness::Syscalls;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::EfdFlags;
use serde::{Deserialize, Serialize};
use std::os::fd::{AsFd, OwnedFd};

use crate::replay::poll_in_rust;
use crate::{Actor, Answer, Canary, Cast, Cut, Model, Props, Seed, Step, rules};

mod canaries;

rules! {
    /// A read of a count that is not 0 gives it, and sets it to 0.
    READS_ALL = EVENTFD_2, "DESCRIPTION";
    /// With EFD_SEMAPHORE, a read of a count that is not 0 gives 1, and takes 1 from it.
    READS_ONE = EVENTFD_2, "DESCRIPTION";
    /// A read of 0 sleeps until the count is something else.
    READ_SLEEPS = EVENTFD_2, "DESCRIPTION";
    /// A nonblocking read of 0 fails.
    READ_WOULD_SLEEP = EVENTFD_2, "DESCRIPTION";
    /// A write adds its value to the count.
    WRITES = EVENTFD_2, "DESCRIPTION";
    /// A write that would take the count above its maximum sleeps until a read makes room.
    WRITE_SLEEPS = EVENTFD_2, "DESCRIPTION";
    /// A nonblocking write that would take the count above its maximum fails.
    WRITE_WOULD_SLEEP = EVENTFD_2, "DESCRIPTION";
    /// The value of all ones cannot be written.
    NO_SUCH_VALUE = EVENTFD_2, "DESCRIPTION";
    /// Fewer than eight bytes are refused.
    TOO_FEW_BYTES = EVENTFD_2, "DESCRIPTION";
    /// It polls as readable when the count is above 0, and as writable when 1 can be added.
    POLLS = EVENTFD_2, "DESCRIPTION";
    /// A read or write that sleeps is restarted after a handler that was set with SA_RESTART.
    RESTARTS = SIGNAL_7, "Interruption of system calls and library functions by signal handlers";
    /// A read or write that sleeps is interrupted by a handler that was set without SA_RESTART.
    INTERRUPTED = SIGNAL_7, "Interruption of system calls and library functions by signal handlers";
    /// A read or write goes on after a stop.
    GOES_ON = SIGNAL_7, "Interruption of system calls and library functions by stop signals";
}

/// The highest count.
const MAXIMUM: u64 = u64::MAX - 1;

/// One event counter, which all actors share.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Event {
    shape: Shape,
    count: u64,
}

/// What actors do with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Op {
    /// A read of eight bytes.
    Read,
    /// A write of this value.
    Write(Value),
    /// A read of seven bytes.
    ReadSeven,
    /// Which of POLLIN and POLLOUT there are.
    Poll,
}

/// Values around those that matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Value {
    /// A small one.
    Small(u8),
    /// What is left below the maximum, less this.
    Highest(u8),
    /// All ones.
    Forbidden,
}

impl Value {
    fn number(self) -> u64 {
        match self {
            Self::Small(value) => value.into(),
            Self::Highest(less) => MAXIMUM - u64::from(less),
            Self::Forbidden => u64::MAX,
        }
    }
}

/// How the counter is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Shape {
    /// The count at the start.
    pub count: u8,
    /// EFD_SEMAPHORE.
    pub semaphore: bool,
    /// EFD_NONBLOCK.
    pub nonblocking: bool,
}

impl crate::Shape for Shape {
    fn decode(seed: &mut Seed) -> Self {
        Self { count: seed.below(3) as u8, semaphore: seed.rarely(2), nonblocking: seed.rarely(4) }
    }

    fn c(&self) -> String {
        format!("#define SHAPE {}, {}", self.count, flags_in_c(*self))
    }

    fn rust(&self) -> [String; 2] {
        let flags = match (self.semaphore, self.nonblocking) {
            (false, false) => "EfdFlags::empty()",
            (true, false) => "EfdFlags::EFD_SEMAPHORE",
            (false, true) => "EfdFlags::EFD_NONBLOCK",
            (true, true) => "EfdFlags::EFD_SEMAPHORE | EfdFlags::EFD_NONBLOCK",
        };
        [format!("let event = event({}, {flags})?;", self.count), String::new()]
    }
}

/// A value of the counter, as cases name it.
fn in_rust(value: u64) -> String {
    match MAXIMUM.checked_sub(value) {
        None => "u64::MAX".to_owned(),
        Some(0) => "MOST".to_owned(),
        Some(less @ ..256) => format!("MOST - {less}"),
        Some(_) => value.to_string(),
    }
}

fn flags_in_c(shape: Shape) -> String {
    let semaphore = if shape.semaphore { "EFD_SEMAPHORE" } else { "0" };
    let nonblocking = if shape.nonblocking { "EFD_NONBLOCK" } else { "0" };
    format!("{semaphore} | {nonblocking}")
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "eventfd({}, {})", self.count, flags_in_c(*self))
    }
}

impl crate::Op for Op {
    type Hands = OwnedFd;

    fn decode(seed: &mut Seed) -> Self {
        match seed.below(12) {
            0..4 => Self::Read,
            4..9 => Self::Write(match seed.below(8) {
                0..5 => Value::Small(seed.below(4) as u8),
                5..7 => Value::Highest(seed.below(3) as u8),
                _ => Value::Forbidden,
            }),
            9 => Self::ReadSeven,
            _ => Self::Poll,
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write(_) => "write",
            Self::ReadSeven => "read of 7 bytes",
            Self::Poll => "poll",
        }
    }

    fn perform(&self, event: &mut OwnedFd, _: &Cast) -> Answer {
        match self {
            Self::Read => sys::take(&event).map(|value| value as i64).into(),
            Self::Write(value) => sys::add(&event, value.number()).into(),
            Self::ReadSeven => {
                nix::unistd::read(&event, &mut [0; 7]).map(|bytes| bytes as i64).into()
            }
            Self::Poll => {
                let both = PollFlags::POLLIN | PollFlags::POLLOUT;
                let mut list = [PollFd::new(event.as_fd(), both)];
                let got = poll(&mut list, PollTimeout::ZERO);
                let ready = list[0].revents().map_or(0, |flags| flags.bits());
                got.map(|_| i64::from(ready)).into()
            }
        }
    }

    fn sleeps_in(&self) -> Syscalls {
        match self {
            Self::Write(_) => WRITE,
            _ => READ,
        }
    }

    fn c(&self) -> String {
        match self {
            Self::Read => "take()".to_owned(),
            Self::Write(value) => format!("add({}ULL)", value.number()),
            Self::ReadSeven => "read(event, &(uint64_t){0}, 7)".to_owned(),
            Self::Poll => "ready()".to_owned(),
        }
    }

    fn rust(&self) -> String {
        match self {
            Self::Read => "take(&event)".to_owned(),
            Self::Write(value) => format!("add(&event, {})", in_rust(value.number())),
            Self::ReadSeven => "read(&event, &mut [0; 7])".to_owned(),
            Self::Poll => "poll::now(&event, poll::IN | poll::OUT)".to_owned(),
        }
    }

    fn rust_gives(&self, answer: &Answer) -> Option<(String, String)> {
        let told = answer.result.ok()?;
        match self {
            Self::Write(_) => None,
            Self::Poll => Some((self.rust(), poll_in_rust(told))),
            _ => Some((self.rust(), in_rust(told as u64))),
        }
    }
}

impl Model for Event {
    const NAME: &'static str = "eventfd";
    const ABOUT: &'static str = "reads, writes and polls of one event counter";
    const OUTCOMES: &'static [(&'static str, &'static [&'static str])] = &[
        ("read", &["ok", "EAGAIN", "EINTR", "sleeps"]),
        ("write", &["ok", "EAGAIN", "EINTR", "EINVAL", "sleeps"]),
        ("read of 7 bytes", &["EINVAL"]),
        ("poll", &["ok"]),
    ];
    const C: &'static str = r"
#include <poll.h>
#include <stdint.h>
#include <sys/eventfd.h>
static int event;
static void set_up(void) { event = eventfd(SHAPE); }
static long take(void) { uint64_t value; return read(event, &value, 8) < 0 ? -1 : (long)value; }
static long add(uint64_t value) { return write(event, &value, 8) < 0 ? -1 : 0; }
static long ready(void) {
    struct pollfd list = {event, POLLIN | POLLOUT, 0};
    return poll(&list, 1, 0) < 0 ? -1 : list.revents;
}
";
    const RUST: &'static [(&'static str, &'static [&'static str])] = &[
        ("crate::sys", &["poll"]),
        ("crate::sys::eventfd", &["MOST", "add", "event", "take"]),
        ("nix::sys::eventfd", &["EfdFlags"]),
    ];
    const CANARIES: &'static [Canary<Self>] = canaries::CANARIES;
    type Shape = Shape;
    type Op = Op;
    type Hands = OwnedFd;

    fn make(shape: &Shape) -> nix::Result<Props> {
        let mut flags = EfdFlags::EFD_CLOEXEC;
        flags.set(EfdFlags::EFD_SEMAPHORE, shape.semaphore);
        flags.set(EfdFlags::EFD_NONBLOCK, shape.nonblocking);
        let event = nix::sys::eventfd::EventFd::from_value_and_flags(shape.count.into(), flags)?;
        Ok(Props { files: vec![event.into()], ..Props::default() })
    }

    fn remove(_: &Props) {}

    fn take(mut props: Props) -> OwnedFd {
        props.files.remove(0)
    }

    fn new(shape: &Shape) -> Self {
        Self { shape: *shape, count: shape.count.into() }
    }

    fn attempt(&mut self, _: Actor, op: &Op, _: Option<&Answer>) -> Step {
        match op {
            Op::Read if self.count == 0 && self.shape.nonblocking => {
                READ_WOULD_SLEEP.fails(Errno::EAGAIN)
            }
            Op::Read if self.count == 0 => READ_SLEEPS.sleeps(),
            Op::Read if self.shape.semaphore => {
                self.count -= 1;
                READS_ONE.returns(Answer::number(1))
            }
            Op::Read => READS_ALL.returns(Answer::number(std::mem::take(&mut self.count) as i64)),
            Op::Write(Value::Forbidden) => NO_SUCH_VALUE.fails(Errno::EINVAL),
            Op::Write(value) if value.number() > MAXIMUM - self.count => {
                if self.shape.nonblocking {
                    WRITE_WOULD_SLEEP.fails(Errno::EAGAIN)
                } else {
                    WRITE_SLEEPS.sleeps()
                }
            }
            Op::Write(value) => {
                self.count += value.number();
                WRITES.succeeds()
            }
            Op::ReadSeven => TOO_FEW_BYTES.fails(Errno::EINVAL),
            Op::Poll => {
                let mut ready = PollFlags::empty();
                ready.set(PollFlags::POLLIN, self.count > 0);
                ready.set(PollFlags::POLLOUT, self.count < MAXIMUM);
                POLLS.returns(Answer::number(ready.bits().into()))
            }
        }
    }

    fn cut(&mut self, _: Actor, _: &Op, by: Cut) -> Step {
        match by {
            Cut::Handler { restart: true } => RESTARTS.restarts(),
            Cut::Handler { restart: false } => INTERRUPTED.fails(Errno::EINTR),
            Cut::Stop | Cut::Time => GOES_ON.restarts(),
        }
    }

    fn forked(&mut self, _: Actor, _: Actor) {}

    fn ended(&mut self, _: Actor) {}

    fn class(&self) -> u32 {
        match self.count {
            0 => 0,
            1 => 1,
            MAXIMUM => 3,
            _ => 2,
        }
    }
}
