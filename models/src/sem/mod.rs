//! System V semaphores: sets of values that processes raise, lower and wait
//! for, with lists of operations that are done whole or not at all.
//!
//! A call is judged as it would be done: its operations one after the other,
//! each on what the ones before it left. The first one that cannot be done
//! decides what becomes of the call. Who sleeps stands in a queue until the
//! whole list can be done; what is left undone by the dead is undone for them.

use std::fmt;
use std::sync::OnceLock;
use std::time::Duration;

use ipcspec_cases::sys::calls::SEMOP;
use ipcspec_cases::sys::sem as sys;
use ipcspec_harness::Syscalls;
use nix::errno::Errno;
use nix::sys::time::TimeSpec;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::model::ACTORS;
use crate::{Actor, Answer, Canary, Cast, Cut, Model, Props, Rule, Seed, Step, rules};

mod canaries;

rules! {
    /// Operations of a call are done in order, each on what the ones before it left, all or none.
    DOES_ALL = SEMOP_2, "DESCRIPTION";
    /// A decrement that would take the value below zero sleeps until it would not.
    TAKE_SLEEPS = SEMOP_2, "DESCRIPTION";
    /// A wait for zero sleeps until the value is zero.
    ZERO_SLEEPS = SEMOP_2, "DESCRIPTION";
    /// With IPC_NOWAIT, a decrement that would take the value below zero fails, and the call with it.
    TAKE_WOULD_SLEEP = SEMOP_2, "DESCRIPTION";
    /// With IPC_NOWAIT, a wait for zero fails at another value, and the call with it.
    ZERO_WOULD_SLEEP = SEMOP_2, "DESCRIPTION";
    /// An increment that would take the value above SEMVMX fails, and the call with it.
    TOO_HIGH = SEMOP_2, "ERRORS";
    /// An operation whose undo would be more than can be recorded fails, and the call with it.
    TOO_MUCH_TO_UNDO = SEMCTL_2, "DESCRIPTION";
    /// A call of no operations is refused.
    NO_OPERATIONS = SEMOP_2, "ERRORS";
    /// An operation on a semaphore that the set does not have is refused.
    BEYOND_THE_SET = SEMOP_2, "ERRORS";
    /// A time limit is seconds of 0 and more, and nanoseconds below 1,000 million.
    NO_TIME_LIMIT = TIMESPEC_3TYPE, "SYNOPSIS";
    /// When the time limit is reached the call fails, and none of its operations is done.
    TIME_IS_UP = SEMOP_2, "semtimedop()";
    /// Sleepers are served first come, first served, and before who comes later.
    FIRST_COME = IPC_SEM_C, "FIFO ordering for semop() operations";
    /// An operation that can no longer be done ends the sleep for a later one, at the latest when that can be done.
    NO_LONGER_DONE = SEMOP_2, "DESCRIPTION";
    /// A sleep ends when a handler runs, whatever SA_RESTART says.
    INTERRUPTED = SEMOP_2, "NOTES";
    /// A stop ends a sleep.
    STOPPED = SIGNAL_7, "Interruption of system calls and library functions by stop signals";
    /// Removal ends every sleep.
    REMOVED_ASLEEP = SEMCTL_2, "DESCRIPTION";
    /// A set that was removed is not there any more.
    NO_SET = SEMCTL_2, "ERRORS";
    /// A semaphore that the set does not have is refused.
    NO_SEMAPHORE = POSIX_SEMCTL, "ERRORS";
    /// Values are set from 0 to SEMVMX.
    NO_VALUE = SEMCTL_2, "ERRORS";
    /// SETVAL and SETALL set values, clear what is to be undone there for every process, and let sleepers go on.
    SETS = SEMCTL_2, "DESCRIPTION";
    /// GETVAL and GETALL tell the values.
    TELLS_VALUES = SEMCTL_2, "DESCRIPTION";
    /// A sleeper is counted at the semaphore of the first operation that cannot be done, and nowhere else.
    COUNTS = IPC_SEM_C, "the first semop that cannot proceed";
    /// When a process ends, what it did with SEM_UNDO is undone, and calls find the values after that.
    UNDONE = SEMOP_2, "DESCRIPTION";
    /// GETPID tells who last operated on it: by semop, SETVAL, SETALL, or by its end, which undid something.
    TELLS_LAST = SEMCTL_2, "The sempid value";
    /// IPC_STAT tells the number of semaphores, and the times of the last semop and of the last change or the making.
    TELLS_OF_SET = SEMCTL_2, "DESCRIPTION";
    /// IPC_RMID removes the set at once.
    REMOVES = SEMCTL_2, "DESCRIPTION";
}

/// Most semaphores of a set.
const MOST: usize = 4;
/// Most operations of a call.
const LONGEST: usize = 3;
/// A time limit that is short enough to be waited for.
const SHORT: Duration = Duration::from_millis(2);

/// One set, and who has to do with it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Set {
    count: usize,
    /// `semval`.
    values: [i32; MOST],
    /// `sempid`: the actor, or [`Cast::NOBODY`].
    last: [i8; MOST],
    /// `semadj`: what the end of an actor adds.
    adjustments: [[i32; MOST]; ACTORS],
    /// Where the value holds what the end of an actor undid.
    undone: [bool; MOST],
    /// Who ever asked for SEM_UNDO here.
    asked: [bool; ACTORS],
    /// Oldest first.
    asleep: SmallVec<[Sleeper; ACTORS]>,
    operated: Operated,
    removed: bool,
}

/// A call that sleeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Sleeper {
    actor: Actor,
    list: List,
    /// The furthest operation that it has come to sleep for.
    at: usize,
}

/// Whether there ever was a semop: whether `sem_otime` is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Operated {
    Never,
    /// Somebody ended who had asked for SEM_UNDO.
    Perhaps,
    Yes,
}

/// What actors do with a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Op {
    /// `semop`, or with a limit `semtimedop`.
    Operate(List, Limit),
    /// `SETVAL`.
    SetVal(u8, Value),
    /// `SETALL`; what is beyond the set does not count.
    SetAll([Value; MOST]),
    /// `GETVAL`.
    GetVal(u8),
    /// `GETALL`.
    GetAll,
    /// `GETNCNT`, or `GETZCNT`.
    Count(u8, Want),
    /// `GETPID`.
    GetPid(u8),
    /// `IPC_STAT`.
    Stat,
    /// `IPC_RMID`.
    Remove,
}

/// The operations of one call, at most three.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct List([Option<Buf>; LONGEST]);

/// One operation: a `struct sembuf`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Buf {
    /// The number of the semaphore.
    pub number: u8,
    /// What it does.
    pub change: Change,
    /// IPC_NOWAIT.
    pub nowait: bool,
    /// SEM_UNDO.
    pub undo: bool,
}

/// What an operation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Change {
    /// Waits for zero.
    Zero,
    /// Adds.
    Give(Value),
    /// Takes away.
    Take(Value),
}

/// Values around those that matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Value {
    /// A small one.
    Few(u8),
    /// SEMVMX, less this.
    Highest(u8),
    /// One more than SEMVMX.
    Beyond,
    /// -1; where there is no sign, the highest number of 16 bits.
    Negative,
}

/// How long a call may sleep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Limit {
    /// As long as it takes: `semop`.
    Forever,
    /// Not at all.
    Zero,
    /// 2 ms.
    Short,
    /// 1,000 million nanoseconds, which is no time.
    Bad,
}

/// What a sleeper waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Want {
    /// A higher value: `semncnt`.
    More,
    /// Zero: `semzcnt`.
    Zero,
}

/// SEMVMX and SEMAEM of this target.
fn limits() -> (i32, i32) {
    static LIMITS: OnceLock<(i32, i32)> = OnceLock::new();
    *LIMITS.get_or_init(|| {
        let (_, info) = sys::info(libc::IPC_INFO).expect("where there are sets, IPC_INFO tells");
        (info.vmx, info.aem)
    })
}

impl Value {
    fn number(self) -> i32 {
        match self {
            Self::Few(value) => value.into(),
            Self::Highest(less) => limits().0 - i32::from(less),
            Self::Beyond => limits().0 + 1,
            Self::Negative => -1,
        }
    }

    fn is_valid(self) -> bool {
        (0..=limits().0).contains(&self.number())
    }

    /// Mostly small ones, for SETVAL and SETALL.
    fn decode(seed: &mut Seed) -> Self {
        match seed.below(32) {
            few @ 0..4 => Self::Few(few as u8),
            4..16 => Self::Few(0),
            16..22 => Self::Few(1),
            22..25 => Self::Few(2),
            25..28 => Self::Highest(0),
            28..30 => Self::Highest(1),
            30 => Self::Beyond,
            _ => Self::Negative,
        }
    }
}

impl Buf {
    fn change(self) -> i32 {
        match self.change {
            Change::Zero => 0,
            Change::Give(value) => value.number(),
            Change::Take(value) => -value.number(),
        }
    }

    fn raw(self) -> sys::Op {
        let mut flags = if self.nowait { libc::IPC_NOWAIT } else { 0 };
        flags |= if self.undo { libc::SEM_UNDO } else { 0 };
        sys::Op { number: self.number.into(), change: self.change() as i16, flags }
    }

    /// Whether it sleeps for this at this semaphore, when it does.
    fn wants(self, number: u8, want: Want) -> bool {
        let zero = self.change == Change::Zero;
        self.number == number && !self.nowait && (want == Want::Zero) == zero
    }
}

impl List {
    /// The operations in order.
    pub fn iter(&self) -> impl Iterator<Item = &Buf> {
        self.0.iter().flatten()
    }

    fn alters(&self) -> bool {
        self.iter().any(|one| one.change != Change::Zero)
    }

    /// How many there are and what the limit is stand in one byte, each
    /// operation in one, and the flags of all in one.
    fn decode(seed: &mut Seed) -> (Self, Limit) {
        let head = seed.below(256);
        let mut flags = seed.below(256);
        let count = if head == 254 { 0 } else { [1, 1, 2, 1, 3, 2, 1, 2][head % 8] };
        let limit = match head {
            208..232 => Limit::Zero,
            232 | 233 => Limit::Bad,
            234 | 235 => Limit::Short,
            _ => Limit::Forever,
        };
        let mut list = [None; LONGEST];
        for place in list.iter_mut().take(count) {
            let byte = seed.below(256);
            *place = Some(Buf {
                number: [0, 1, 0, 1, 2, 0, 1, 2, 0, 1, 0, 0, 0, 1, 1, 3][byte % 16],
                change: match byte / 16 {
                    0..5 => Change::Give(Value::Few(1)),
                    5..8 => Change::Take(Value::Few(1)),
                    8..10 => Change::Zero,
                    10 => Change::Give(Value::Few(2)),
                    11 | 12 => Change::Take(Value::Few(2)),
                    13 => Change::Take(Value::Few(3)),
                    14 => Change::Give(Value::Highest((flags % 2) as u8)),
                    _ => Change::Take(Value::Highest((flags % 2) as u8)),
                },
                nowait: matches!(flags % 6, 4 | 5),
                undo: matches!(flags % 6, 2 | 3 | 5),
            });
            flags /= 6;
        }
        (Self(list), limit)
    }

    fn c(&self) -> String {
        let show = |one: &Buf| {
            let flags = match (one.nowait, one.undo) {
                (false, false) => "0",
                (true, false) => "IPC_NOWAIT",
                (false, true) => "SEM_UNDO",
                (true, true) => "IPC_NOWAIT | SEM_UNDO",
            };
            format!("{{{}, {}, {flags}}}", one.number, one.change())
        };
        let list: Vec<_> = self.iter().map(show).collect();
        if list.is_empty() {
            return "(struct sembuf[]){{0, 0, 0}}, 0".to_owned();
        }
        format!("(struct sembuf[]){{{}}}, {}", list.join(", "), list.len())
    }

    fn rust(&self) -> String {
        let show = |one: &Buf| {
            let undo = if one.undo { ".undo()" } else { "" };
            let nowait = if one.nowait { ".nowait()" } else { "" };
            format!("Op::new({}, {}){undo}{nowait}", one.number, one.change())
        };
        format!("&[{}]", self.iter().map(show).collect::<Vec<_>>().join(", "))
    }
}

impl Limit {
    fn nanoseconds(self) -> i64 {
        match self {
            Self::Forever | Self::Zero => 0,
            Self::Short => SHORT.as_nanos() as i64,
            Self::Bad => 1_000_000_000,
        }
    }
}

/// How a set is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Shape {
    /// How many semaphores it has.
    pub count: u8,
    /// Their values; what is beyond the set does not count.
    pub values: [Value; MOST],
}

impl Shape {
    fn values(&self) -> impl Iterator<Item = u16> {
        self.values[..self.count.into()].iter().map(|value| value.number() as u16)
    }

    fn list(&self) -> String {
        self.values().map(|value| value.to_string()).collect::<Vec<_>>().join(", ")
    }
}

impl crate::Shape for Shape {
    fn decode(seed: &mut Seed) -> Self {
        let count = seed.one_of(&[1, 3, 4, 3, 2, 4, 3, 3]);
        let value = |_| match seed.below(8) {
            few @ 0..3 => Value::Few(few as u8),
            3..6 => Value::Few(0),
            6 => Value::Few(1),
            _ => Value::Highest(seed.below(3) as u8),
        };
        Self { count, values: [0; MOST].map(value) }
    }

    fn c(&self) -> String {
        format!("#define COUNT {}\n#define VALUES {{{}}}", self.count, self.list())
    }

    fn rust(&self) -> [String; 2] {
        [format!("let sem = Sem::private(&[{}])?;", self.list()), String::new()]
    }

    fn flaw(&self) -> Option<String> {
        let there = &self.values[..usize::from(self.count).min(MOST)];
        if !(1..=MOST).contains(&self.count.into()) {
            return Some(format!("{} semaphores, where 1 to {MOST} can be", self.count));
        }
        let wrong = there.iter().find(|value| !value.is_valid())?;
        Some(format!("a semaphore cannot begin at {}", wrong.number()))
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "semaphores [{}]", self.list())
    }
}

/// A set, as an actor has it in hand.
#[derive(Debug)]
pub struct Hands {
    sem: sys::Sem,
    count: usize,
}

impl crate::Op for Op {
    type Hands = Hands;

    fn decode(seed: &mut Seed) -> Self {
        let number = |seed: &mut Seed| seed.one_of(&[0, 1, 2, 0, 1, 0, 1, 2, 0, 3, 1]);
        match seed.below(128) {
            0..84 => {
                let (list, limit) = List::decode(seed);
                Self::Operate(list, limit)
            }
            84..92 => Self::SetVal(number(seed), Value::decode(seed)),
            92..97 => Self::SetAll([0; MOST].map(|_| Value::decode(seed))),
            97..103 => Self::GetVal(number(seed)),
            103..109 => Self::GetAll,
            109..114 => Self::Count(number(seed), Want::More),
            114..118 => Self::Count(number(seed), Want::Zero),
            118..124 => Self::GetPid(number(seed)),
            124..127 => Self::Stat,
            _ => Self::Remove,
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Operate(_, Limit::Forever) => "semop",
            Self::Operate(..) => "semtimedop",
            Self::SetVal(..) => "SETVAL",
            Self::SetAll(_) => "SETALL",
            Self::GetVal(_) => "GETVAL",
            Self::GetAll => "GETALL",
            Self::Count(_, Want::More) => "GETNCNT",
            Self::Count(_, Want::Zero) => "GETZCNT",
            Self::GetPid(_) => "GETPID",
            Self::Stat => "IPC_STAT",
            Self::Remove => "IPC_RMID",
        }
    }

    fn perform(&self, Hands { sem, count }: &mut Hands, cast: &Cast) -> Answer {
        let number = |got: nix::Result<i32>| got.map(i64::from).into();
        match self {
            Self::Operate(list, limit) => {
                let mut ops = [sys::Op::new(0, 0); LONGEST];
                let mut length = 0;
                for one in list.iter() {
                    ops[length] = one.raw();
                    length += 1;
                }
                if *limit == Limit::Forever {
                    return sem.op(&ops[..length]).into();
                }
                let mut limit = TimeSpec::new(0, limit.nanoseconds() as _);
                sem.timed(&ops[..length], &mut limit).into()
            }
            Self::SetVal(at, value) => sem.set((*at).into(), value.number()).into(),
            Self::SetAll(values) => {
                sem.set_all(&values.map(|value| value.number() as u16)[..*count]).into()
            }
            Self::GetVal(at) => number(sem.get((*at).into())),
            Self::GetAll => {
                let mut values = [0; MOST];
                let got: Answer = sem.all_into(&mut values[..*count]).into();
                if got.result.is_err() { got } else { got.with(&values.map(i64::from)[..*count]) }
            }
            Self::Count(at, Want::More) => number(sem.wanting_more((*at).into())),
            Self::Count(at, Want::Zero) => number(sem.wanting_zero((*at).into())),
            Self::GetPid(at) => {
                sem.last_pid((*at).into()).map(|pid| cast.actor(pid.as_raw())).into()
            }
            Self::Stat => match sem.stat() {
                Ok(stat) => told_of_set(stat.nsems as usize, stat.otime != 0, stat.ctime != 0),
                Err(errno) => Answer::error(errno),
            },
            Self::Remove => sem.remove().into(),
        }
    }

    fn sleeps_in(&self) -> Syscalls {
        SEMOP
    }

    fn timeout(&self) -> Option<Duration> {
        match self {
            Self::Operate(_, Limit::Short) => Some(SHORT),
            // A kernel may go to sleep to find that its time is up.
            Self::Operate(_, Limit::Zero) => Some(Duration::ZERO),
            _ => None,
        }
    }

    fn c(&self) -> String {
        match self {
            Self::Operate(list, Limit::Forever) => format!("semop(set, {})", list.c()),
            Self::Operate(list, limit) => format!(
                "semtimedop(set, {}, &(struct timespec){{0, {}}})",
                list.c(),
                limit.nanoseconds()
            ),
            Self::SetVal(at, value) => {
                format!("semctl(set, {at}, SETVAL, (union semun){{.val = {}}})", value.number())
            }
            Self::SetAll(values) => {
                let [a, b, c, d] = values.map(|value| value.number() as u16);
                format!("set_all({a}, {b}, {c}, {d})")
            }
            Self::GetVal(at) => format!("semctl(set, {at}, GETVAL)"),
            Self::GetAll => "get_all()".to_owned(),
            Self::Count(at, Want::More) => format!("semctl(set, {at}, GETNCNT)"),
            Self::Count(at, Want::Zero) => format!("semctl(set, {at}, GETZCNT)"),
            Self::GetPid(at) => format!("semctl(set, {at}, GETPID)"),
            Self::Stat => "tell_of_set()".to_owned(),
            Self::Remove => "semctl(set, 0, IPC_RMID)".to_owned(),
        }
    }

    fn rust(&self) -> String {
        match self {
            Self::Operate(list, Limit::Forever) => format!("sem.op({})", list.rust()),
            Self::Operate(list, limit) => format!(
                "sem.timed({}, &mut TimeSpec::new(0, {}))",
                list.rust(),
                limit.nanoseconds()
            ),
            Self::SetVal(at, value) => format!("sem.set({at}, {})", value.number()),
            Self::SetAll(values) => {
                format!("sem.set_all(&{:?})", values.map(|value| value.number() as u16))
            }
            Self::GetVal(at) => format!("sem.get({at})"),
            Self::GetAll => "sem.all()".to_owned(),
            Self::Count(at, Want::More) => format!("sem.wanting_more({at})"),
            Self::Count(at, Want::Zero) => format!("sem.wanting_zero({at})"),
            Self::GetPid(at) => format!("sem.last_pid({at})"),
            Self::Stat => "sem.stat()".to_owned(),
            Self::Remove => "sem.remove()".to_owned(),
        }
    }

    fn rust_gives(&self, answer: &Answer) -> Option<(String, String)> {
        let facts = &answer.facts;
        match self {
            Self::GetVal(_) | Self::Count(..) => {
                Some((self.rust(), answer.result.ok()?.to_string()))
            }
            Self::GetAll if !facts.is_empty() => {
                Some((self.rust(), format!("vec!{:?}", &facts[..])))
            }
            Self::Stat if !facts.is_empty() => {
                let call = "sem.stat().map(|stat| (stat.nsems, stat.otime != 0))";
                Some((call.to_owned(), format!("({}, {})", facts[0], facts[1] != 0)))
            }
            // Who operated last is known by its number in programs.
            _ => None,
        }
    }
}

fn told_of_set(count: usize, operated: bool, changed: bool) -> Answer {
    Answer::zero().with(&[count as i64, operated.into(), changed.into()])
}

/// What a list of operations would leave.
struct After {
    values: [i32; MOST],
    adjustments: [i32; MOST],
}

/// The first operation of a list that cannot be done.
struct Obstacle {
    at: usize,
    /// None if it sleeps.
    errno: Option<Errno>,
    rule: &'static Rule,
}

impl Set {
    /// Does the operations of a list one after the other, on paper.
    fn try_all(&self, actor: Actor, list: &List) -> Result<After, Obstacle> {
        let mut after = After { values: self.values, adjustments: self.adjustments[actor] };
        for (at, one) in list.iter().enumerate() {
            let number = usize::from(one.number);
            let change = one.change();
            let value = after.values[number] + change;
            let stuck = |sleeps, would_sleep| {
                let (errno, rule) =
                    if one.nowait { (Some(Errno::EAGAIN), would_sleep) } else { (None, sleeps) };
                Err(Obstacle { at, errno, rule })
            };
            let refused = |rule| Err(Obstacle { at, errno: Some(Errno::ERANGE), rule });
            if one.change == Change::Zero && value != 0 {
                return stuck(ZERO_SLEEPS, ZERO_WOULD_SLEEP);
            }
            if value < 0 {
                return stuck(TAKE_SLEEPS, TAKE_WOULD_SLEEP);
            }
            let (highest, highest_adjustment) = limits();
            if value > highest {
                return refused(TOO_HIGH);
            }
            after.values[number] = value;
            if one.undo {
                let adjustment = &mut after.adjustments[number];
                *adjustment -= change;
                // It is kept as a number of two's complement.
                if !(-highest_adjustment - 1..=highest_adjustment).contains(adjustment) {
                    return refused(TOO_MUCH_TO_UNDO);
                }
            }
        }
        Ok(after)
    }

    /// Does the operations of a list.
    fn finish(&mut self, actor: Actor, list: &List, after: &After) -> Step {
        self.values = after.values;
        self.adjustments[actor] = after.adjustments;
        for one in list.iter() {
            self.last[usize::from(one.number)] = actor as i8;
        }
        self.operated = Operated::Yes;
        if list.alters() {
            self.changed();
        }
        let undone = list.iter().any(|one| self.undone[usize::from(one.number)]);
        if undone { UNDONE.succeeds() } else { DOES_ALL.succeeds() }
    }

    /// Takes note that values have changed: sleepers who are past the
    /// operation that they slept for sleep for a later one from now on.
    fn changed(&mut self) {
        for place in 0..self.asleep.len() {
            let Sleeper { actor, list, at } = self.asleep[place];
            if let Err(Obstacle { at: now, errno: None, .. }) = self.try_all(actor, &list) {
                self.asleep[place].at = at.max(now);
            }
        }
    }

    /// Whether the sleep of this one is over: all can be done, or it is past
    /// the operation that it slept for and fails at a later one.
    fn is_over(&self, sleeper: &Sleeper) -> bool {
        match self.try_all(sleeper.actor, &sleeper.list) {
            Ok(_) => true,
            Err(obstacle) => obstacle.errno.is_some() && obstacle.at >= sleeper.at,
        }
    }

    /// Whether anybody's sleep is over.
    fn somebody_is_next(&self) -> bool {
        self.asleep.iter().any(|sleeper| self.is_over(sleeper))
    }

    /// Whether this one is next of those whose sleep is over. Who only waits
    /// for zero goes on as soon as there is zero, and changes nothing for the
    /// others: of several, any may be first, which shows in GETPID alone
    /// (docs/findings.md). These others go on as they came.
    fn is_next(&self, sleeper: &Sleeper) -> bool {
        if !sleeper.list.alters() {
            return self.is_over(sleeper);
        }
        let mut over = self.asleep.iter().filter(|sleeper| self.is_over(sleeper));
        let oldest = over.clone().next() == Some(sleeper);
        oldest && over.all(|other| other.list.alters())
    }

    fn place_of(&self, actor: Actor) -> Option<usize> {
        self.asleep.iter().position(|sleeper| sleeper.actor == actor)
    }

    /// Takes an actor out of the queue, if it is there.
    fn leave(&mut self, actor: Actor) {
        self.asleep.retain(|sleeper| sleeper.actor != actor);
    }

    /// A call of semop or semtimedop by somebody who is awake.
    fn operate(&mut self, actor: Actor, list: &List, limit: Limit) -> Step {
        if limit == Limit::Bad {
            return NO_TIME_LIMIT.fails(Errno::EINVAL);
        }
        if list.iter().next().is_none() {
            return NO_OPERATIONS.fails(Errno::EINVAL);
        }
        if self.removed {
            return no_set();
        }
        self.asked[actor] |= list.iter().any(|one| one.undo);
        if list.iter().any(|one| usize::from(one.number) >= self.count) {
            return BEYOND_THE_SET.fails(Errno::EFBIG);
        }
        match self.try_all(actor, list) {
            Ok(after) => self.finish(actor, list, &after),
            Err(Obstacle { errno: Some(errno), rule, .. }) => rule.fails(errno),
            Err(_) if limit == Limit::Zero => TIME_IS_UP.fails(Errno::EAGAIN),
            Err(Obstacle { at, rule, .. }) => {
                self.asleep.push(Sleeper { actor, list: *list, at });
                rule.sleeps()
            }
        }
    }

    /// A sleeper tries again.
    fn go_on(&mut self, place: usize, seen: Option<&Answer>) -> Step {
        let Sleeper { actor, list, at } = self.asleep[place];
        if self.removed {
            self.leave(actor);
            return REMOVED_ASLEEP.fails(Errno::EIDRM);
        }
        match self.try_all(actor, &list) {
            // What came first can no longer be done, but that is not what it
            // sleeps for: the page does not say when it is noticed.
            Err(Obstacle { at: now, errno: Some(errno), .. })
                if now < at && seen == Some(&Answer::error(errno)) =>
            {
                self.leave(actor);
                NO_LONGER_DONE.fails(errno)
            }
            _ if !self.is_next(&self.asleep[place]) => FIRST_COME.sleeps(),
            Ok(after) => {
                self.leave(actor);
                self.finish(actor, &list, &after)
            }
            Err(Obstacle { errno: Some(errno), rule, .. }) => {
                self.leave(actor);
                rule.fails(errno)
            }
            Err(Obstacle { rule, .. }) => rule.sleeps(),
        }
    }

    /// SETVAL and SETALL: new values for some, where the values are valid.
    fn set(&mut self, actor: Actor, number: usize, values: &[Value]) -> Step {
        let valid = values.iter().all(|value| value.is_valid());
        let there = !self.removed && number < self.count;
        let missing = if self.removed { NO_SET } else { NO_SEMAPHORE };
        match (there, valid) {
            (false, true) if self.removed => return no_set(),
            (false, true) => return missing.fails(Errno::EINVAL),
            (true, false) => return NO_VALUE.fails(Errno::ERANGE),
            (false, false) => {
                let errors = [Errno::EINVAL, Errno::EIDRM, Errno::ERANGE];
                return missing.returns_one_of(errors.map(Answer::error).to_vec());
            }
            (true, true) => {}
        }
        for (at, value) in (number..).zip(values) {
            self.values[at] = value.number();
            self.last[at] = actor as i8;
            self.undone[at] = false;
            for adjustments in &mut self.adjustments {
                adjustments[at] = 0;
            }
        }
        self.changed();
        SETS.succeeds()
    }

    /// GETNCNT and GETZCNT. A sleeper that came to sleep for one operation,
    /// and for which an earlier one can no longer be done either, may be
    /// counted at any of those in between that cannot be done: the page has
    /// it counted where it came to sleep until it goes on.
    fn count(&self, number: u8, want: Want) -> Step {
        let (mut least, mut most) = (0, 0);
        for sleeper in &self.asleep {
            let now = self.try_all(sleeper.actor, &sleeper.list).map_or_else(|o| o.at, |_| 0);
            let mut wants = sleeper.list.iter().map(|one| one.wants(number, want));
            if now == sleeper.at {
                let here = i64::from(wants.nth(now) == Some(true));
                (least, most) = (least + here, most + here);
            } else {
                most += i64::from(wants.take(sleeper.at + 1).skip(now).any(|wants| wants));
            }
        }
        if least == most {
            COUNTS.returns(Answer::number(least))
        } else {
            COUNTS.returns_one_of((least..=most).map(Answer::number).collect())
        }
    }

    fn tell_of_set(&self) -> Step {
        match self.operated {
            Operated::Perhaps => TELLS_OF_SET.returns_one_of(vec![
                told_of_set(self.count, false, true),
                told_of_set(self.count, true, true),
            ]),
            operated => {
                TELLS_OF_SET.returns(told_of_set(self.count, operated == Operated::Yes, true))
            }
        }
    }

    /// What semctl answers to who asks about one semaphore.
    fn tell(&self, number: u8, rule: &'static Rule, what: impl FnOnce(usize) -> i64) -> Step {
        let number = usize::from(number);
        if number >= self.count {
            return NO_SEMAPHORE.fails(Errno::EINVAL);
        }
        rule.returns(Answer::number(what(number)))
    }
}

/// What a call gets that comes to a set which was removed, or is under way
/// when it is: semctl(2) documents either error.
fn no_set() -> Step {
    NO_SET.returns_one_of([Errno::EINVAL, Errno::EIDRM].map(Answer::error).to_vec())
}

impl Model for Set {
    const NAME: &'static str = "sem";
    const ABOUT: &'static str = "operations on a System V semaphore set, undo, and removal";
    const OUTCOMES: &'static [(&'static str, &'static [&'static str])] = &[
        ("semop", &["ok", "EAGAIN", "EFBIG", "EIDRM", "EINTR", "EINVAL", "ERANGE", "sleeps"]),
        ("semtimedop", &["ok", "EAGAIN", "EFBIG", "EINVAL", "ERANGE"]),
        ("SETVAL", &["ok", "EINVAL", "ERANGE"]),
        ("SETALL", &["ok", "EINVAL", "ERANGE"]),
        ("GETVAL", &["ok", "EINVAL"]),
        ("GETALL", &["ok", "EINVAL"]),
        ("GETNCNT", &["ok", "EINVAL"]),
        ("GETZCNT", &["ok", "EINVAL"]),
        ("GETPID", &["ok", "EINVAL"]),
        ("IPC_STAT", &["ok", "EINVAL"]),
        ("IPC_RMID", &["ok", "EINVAL"]),
    ];
    const C: &'static str = r#"
#include <stdio.h>
#include <sys/ipc.h>
#include <sys/sem.h>
#include <time.h>
union semun { int val; struct semid_ds *buf; unsigned short *array; };
static int set;
static void set_up(void) {
    unsigned short values[] = VALUES;
    set = semget(IPC_PRIVATE, COUNT, 0600);
    semctl(set, 0, SETALL, (union semun){.array = values});
}
static void tear_down(void) { semctl(set, 0, IPC_RMID); }
static long set_all(unsigned a, unsigned b, unsigned c, unsigned d) {
    unsigned short values[4] = {a, b, c, d};
    return semctl(set, 0, SETALL, (union semun){.array = values});
}
static long get_all(void) {
    unsigned short values[COUNT];
    if (semctl(set, 0, GETALL, (union semun){.array = values}) < 0) return -1;
    for (int i = 0; i < COUNT; i++) printf("%d ", values[i]);
    return 0;
}
static long tell_of_set(void) {
    struct semid_ds told;
    if (semctl(set, 0, IPC_STAT, (union semun){.buf = &told}) < 0) return -1;
    printf("%lu semaphores, operated %d, changed %d ", (unsigned long)told.sem_nsems,
           told.sem_otime != 0, told.sem_ctime != 0);
    return 0;
}
"#;
    const RUST: &'static [(&'static str, &'static [&'static str])] =
        &[("crate::sys::sem", &["Op", "Sem"]), ("nix::sys::time", &["TimeSpec"])];
    const CANARIES: &'static [Canary<Self>] = canaries::CANARIES;
    type Shape = Shape;
    type Op = Op;
    type Hands = Hands;

    fn make(shape: &Shape) -> nix::Result<Props> {
        let values: SmallVec<[u16; MOST]> = shape.values().collect();
        let sem = sys::Sem::make(&values)?;
        Ok(Props { numbers: [sem.id.into(), shape.count.into(), 0, 0], ..Props::default() })
    }

    fn remove(props: &Props) {
        // It may be gone already.
        let _ = Self::take(Props { numbers: props.numbers, files: vec![] }).sem.remove();
    }

    fn take(props: Props) -> Hands {
        let [id, count, ..] = props.numbers;
        Hands { sem: sys::Sem { id: id as i32 }, count: count as usize }
    }

    fn new(shape: &Shape) -> Self {
        Self {
            count: shape.count.into(),
            values: shape.values.map(Value::number),
            last: [Cast::NOBODY as i8; MOST],
            adjustments: [[0; MOST]; ACTORS],
            undone: [false; MOST],
            asked: [false; ACTORS],
            asleep: SmallVec::new(),
            operated: Operated::Never,
            removed: false,
        }
    }

    fn attempt(&mut self, actor: Actor, op: &Op, seen: Option<&Answer>) -> Step {
        if let Some(place) = self.place_of(actor) {
            return self.go_on(place, seen);
        }
        // Who changes a value has served whom that lets go on.
        if !self.removed && self.somebody_is_next() {
            return FIRST_COME.sleeps();
        }
        match *op {
            Op::Operate(ref list, limit) => self.operate(actor, list, limit),
            Op::SetVal(number, value) => self.set(actor, number.into(), &[value]),
            Op::SetAll(values) => self.set(actor, 0, &values[..self.count]),
            _ if self.removed => no_set(),
            Op::GetVal(number) => {
                let there = self.undone.get(usize::from(number));
                let rule = if there == Some(&true) { UNDONE } else { TELLS_VALUES };
                self.tell(number, rule, |at| self.values[at].into())
            }
            Op::GetAll => {
                let values = self.values.map(i64::from);
                let rule = if self.undone.contains(&true) { UNDONE } else { TELLS_VALUES };
                rule.returns(Answer::zero().with(&values[..self.count]))
            }
            Op::Count(number, _) if usize::from(number) >= self.count => {
                NO_SEMAPHORE.fails(Errno::EINVAL)
            }
            Op::Count(number, want) => self.count(number, want),
            Op::GetPid(number) => self.tell(number, TELLS_LAST, |at| self.last[at].into()),
            Op::Stat => self.tell_of_set(),
            Op::Remove => {
                self.removed = true;
                REMOVES.succeeds()
            }
        }
    }

    fn cut(&mut self, actor: Actor, _: &Op, by: Cut) -> Step {
        self.leave(actor);
        match by {
            Cut::Handler { .. } => INTERRUPTED.fails(Errno::EINTR),
            Cut::Stop => STOPPED.fails(Errno::EINTR),
            Cut::Time => TIME_IS_UP.fails(Errno::EAGAIN),
        }
    }

    /// What is to be undone is not inherited.
    fn forked(&mut self, _: Actor, child: Actor) {
        self.adjustments[child] = [0; MOST];
    }

    /// What the actor did with SEM_UNDO is undone, as far as values can go.
    fn ended(&mut self, actor: Actor) {
        self.leave(actor);
        for (number, adjustment) in self.adjustments[actor].into_iter().enumerate() {
            if adjustment != 0 {
                let value = self.values[number] + adjustment;
                self.values[number] = value.clamp(0, limits().0);
                self.last[number] = actor as i8;
                self.undone[number] = true;
            }
        }
        self.adjustments[actor] = [0; MOST];
        if self.asked[actor] && self.operated == Operated::Never {
            self.operated = Operated::Perhaps;
        }
        self.changed();
    }

    fn class(&self) -> u32 {
        let mut class = self.asleep.len() as u32;
        for value in &self.values[..self.count] {
            class = class * 4
                + match value {
                    0 => 0,
                    1 => 1,
                    2..100 => 2,
                    _ => 3,
                };
        }
        let undo = self.adjustments.iter().flatten().any(|adjustment| *adjustment != 0);
        class * 4 + u32::from(undo) * 2 + u32::from(self.removed)
    }
}
