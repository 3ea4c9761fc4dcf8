//! What actors do with a pipe, and how it is made.

use std::ffi::CString;
use std::fmt;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use ipcspec_cases::sys::calls::{OPEN, READ, WRITE};
use ipcspec_cases::sys::descriptors::{closed_fd, set_nonblocking, unread};
use ipcspec_cases::sys::memory::page_size;
use ipcspec_cases::sys::pipes::{PIPE_BUF, capacity, set_capacity};
use ipcspec_cases::sys::poll;
use ipcspec_harness::Syscalls;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::unistd::{read, write};
use serde::{Deserialize, Serialize};

use super::buffer::byte;
use crate::replay::poll_in_rust;
use crate::{Answer, Cast, Seed};

/// One of the two ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum End {
    /// Where it is read.
    Reading,
    /// Where it is written.
    Writing,
}

/// What a FIFO is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Access {
    /// O_RDONLY.
    Reading,
    /// O_WRONLY.
    Writing,
    /// O_RDWR: one description that is both ends.
    Both,
}

impl Access {
    /// Whether it is for this end.
    pub fn includes(self, end: End) -> bool {
        match self {
            Self::Reading => end == End::Reading,
            Self::Writing => end == End::Writing,
            Self::Both => true,
        }
    }

    fn flag(self) -> (OFlag, &'static str) {
        match self {
            Self::Reading => (OFlag::O_RDONLY, "O_RDONLY"),
            Self::Writing => (OFlag::O_WRONLY, "O_WRONLY"),
            Self::Both => (OFlag::O_RDWR, "O_RDWR"),
        }
    }
}

/// What actors do with a pipe. Each has at most one descriptor of each end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Op {
    /// `write`.
    Write {
        /// Where; the end for reading refuses it.
        end: End,
        /// How much.
        bytes: u32,
        /// Tells the data from that of other writes.
        tag: u8,
    },
    /// `read`.
    Read {
        /// Where; the end for writing refuses it.
        end: End,
        /// At most so much.
        bytes: u32,
    },
    /// `close` of the actor's own descriptor.
    Close(End),
    /// `open` of the FIFO by its name, where the actor has none of these ends
    /// yet.
    Open {
        /// For what.
        access: Access,
        /// With O_NONBLOCK.
        nonblocking: bool,
    },
    /// O_NONBLOCK, on or off.
    Nonblocking {
        /// Of which description.
        end: End,
        /// On.
        on: bool,
    },
    /// FIONREAD.
    Unread(End),
    /// `poll` for POLLIN and POLLOUT with a timeout of 0.
    Poll(End),
    /// F_GETPIPE_SZ.
    Capacity(End),
    /// F_SETPIPE_SZ.
    SetCapacity {
        /// By which descriptor.
        end: End,
        /// At least so much.
        bytes: u32,
    },
}

/// What an actor has in hand.
#[derive(Debug)]
pub struct Hands {
    /// A descriptor of each end, while it is open.
    pub ends: [Option<OwnedFd>; 2],
    /// The name of the FIFO, or one that there is not.
    pub name: CString,
    /// Room for data.
    pub data: Vec<u8>,
}

impl Hands {
    fn end(&self, end: End) -> BorrowedFd<'_> {
        match &self.ends[end as usize] {
            Some(end) => end.as_fd(),
            None => closed_fd(),
        }
    }

    fn open(&mut self, access: Access, nonblocking: bool) -> Answer {
        let taken = |end: End| access.includes(end) && self.ends[end as usize].is_some();
        if taken(End::Reading) || taken(End::Writing) {
            return Answer::number(Op::HAS_IT);
        }
        let mut flags = access.flag().0 | OFlag::O_CLOEXEC;
        flags.set(OFlag::O_NONBLOCK, nonblocking);
        let opened = match open(self.name.as_c_str(), flags, Mode::empty()) {
            Ok(opened) => opened,
            Err(errno) => return Answer::error(errno),
        };
        match access {
            Access::Reading => self.ends[0] = Some(opened),
            Access::Writing => self.ends[1] = Some(opened),
            Access::Both => self.ends = [opened.try_clone().ok(), Some(opened)],
        }
        Answer::zero()
    }
}

impl Op {
    /// What stands for the answer of an `open` that was not made, because the
    /// actor has such an end.
    pub(super) const HAS_IT: i64 = 1;
}

impl crate::Op for Op {
    type Hands = Hands;

    fn decode(seed: &mut Seed) -> Self {
        let turn = seed.below(32);
        let rarely_other = |seed: &mut Seed, usual, other| {
            if seed.rarely(32) { other } else { usual }
        };
        let either = |seed: &mut Seed| seed.one_of(&[End::Reading, End::Writing]);
        match turn {
            0..11 => Self::Write {
                end: rarely_other(seed, End::Writing, End::Reading),
                bytes: written(seed),
                tag: seed.below(256) as u8,
            },
            11..19 => Self::Read {
                end: rarely_other(seed, End::Reading, End::Writing),
                bytes: wanted(seed),
            },
            19..21 => Self::Poll(either(seed)),
            21 => Self::Unread(either(seed)),
            22..24 => Self::Nonblocking { end: either(seed), on: seed.rarely(2) },
            24 => Self::Capacity(either(seed)),
            25 => {
                let page = page_size() as u32;
                let bytes = seed.one_of(&[page, 2 * page, 0, page + 1, 3 * page, 4 * page]);
                Self::SetCapacity { end: either(seed), bytes }
            }
            26..28 => Self::Close(either(seed)),
            _ => Self::Open {
                access: seed.one_of(&[
                    Access::Reading,
                    Access::Writing,
                    Access::Reading,
                    Access::Writing,
                    Access::Both,
                ]),
                nonblocking: seed.rarely(3),
            },
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Write { .. } => "write",
            Self::Read { .. } => "read",
            Self::Close(_) => "close",
            Self::Open { .. } => "open",
            Self::Nonblocking { .. } => "O_NONBLOCK",
            Self::Unread(_) => "FIONREAD",
            Self::Poll(_) => "poll",
            Self::Capacity(_) => "F_GETPIPE_SZ",
            Self::SetCapacity { .. } => "F_SETPIPE_SZ",
        }
    }

    fn perform(&self, hands: &mut Hands, _: &Cast) -> Answer {
        let number = |bytes: usize| bytes as i64;
        match *self {
            Self::Write { end, bytes, tag } => {
                hands.data.clear();
                hands.data.extend((0..bytes as usize).map(|place| byte(tag, place)));
                write(hands.end(end), &hands.data).map(number).into()
            }
            Self::Read { end, bytes } => {
                let mut data = std::mem::take(&mut hands.data);
                data.resize(bytes as usize, 0);
                let got = read(hands.end(end), &mut data);
                let body = &data[..got.unwrap_or(0)];
                let answer = Answer::from(got.map(number)).carrying(body);
                hands.data = data;
                answer
            }
            Self::Close(end) => match hands.ends[end as usize].take() {
                Some(end) => nix::unistd::close(end).into(),
                None => nix::unistd::close(closed_fd().as_raw_fd()).into(),
            },
            Self::Open { access, nonblocking } => hands.open(access, nonblocking),
            Self::Nonblocking { end, on } => set_nonblocking(hands.end(end), on).into(),
            Self::Unread(end) => unread(hands.end(end)).map(number).into(),
            Self::Poll(end) => {
                let told = poll::now(hands.end(end), poll::IN | poll::OUT);
                told.map(|flags| i64::from(flags.bits())).into()
            }
            Self::Capacity(end) => capacity(hands.end(end)).map(number).into(),
            Self::SetCapacity { end, bytes } => {
                set_capacity(hands.end(end), bytes as usize).map(number).into()
            }
        }
    }

    fn sleeps_in(&self) -> Syscalls {
        match self {
            Self::Write { .. } => WRITE,
            Self::Open { .. } => OPEN,
            _ => READ,
        }
    }

    fn may_end(&self) -> bool {
        matches!(self, Self::Write { .. })
    }

    fn looks(&self) -> bool {
        matches!(self, Self::Poll(_))
    }

    fn c(&self) -> String {
        match *self {
            Self::Write { end, bytes, tag } => {
                format!("put({}, {bytes}, {tag})", end as usize)
            }
            Self::Read { end, bytes } => format!("get({}, {bytes})", end as usize),
            Self::Close(end) => format!("close_end({})", end as usize),
            Self::Open { access, nonblocking } => {
                let flag = if nonblocking { " | O_NONBLOCK" } else { "" };
                format!("open_fifo({}{flag})", access.flag().1)
            }
            Self::Nonblocking { end, on } => {
                format!("nonblocking({}, {})", end as usize, u8::from(on))
            }
            Self::Unread(end) => format!("unread({})", end as usize),
            Self::Poll(end) => format!("ready({})", end as usize),
            Self::Capacity(end) => format!("(long)fcntl(ends[{}], F_GETPIPE_SZ)", end as usize),
            Self::SetCapacity { end, bytes } => {
                format!("(long)fcntl(ends[{}], F_SETPIPE_SZ, {bytes})", end as usize)
            }
        }
    }

    fn rust(&self) -> String {
        let name = |end| match end {
            End::Reading => "r",
            End::Writing => "w",
        };
        match *self {
            Self::Write { end, bytes, tag } => {
                format!("write(&{}, &data({tag}, {bytes}))", name(end))
            }
            Self::Read { end, bytes } => format!("read_once(&{}, {bytes})", name(end)),
            Self::Close(end) => format!("close({}.as_raw_fd())", name(end)),
            Self::Open { access, nonblocking } => {
                format!("{}.map(drop)", opens_in_rust(access, nonblocking))
            }
            Self::Nonblocking { end, on } => format!("set_nonblocking(&{}, {on})", name(end)),
            Self::Unread(end) => format!("unread(&{})", name(end)),
            Self::Poll(end) => format!("poll::now(&{}, poll::IN | poll::OUT)", name(end)),
            Self::Capacity(end) => format!("capacity(&{})", name(end)),
            Self::SetCapacity { end, bytes } => format!("set_capacity(&{}, {bytes})", name(end)),
        }
    }

    fn rust_gives(&self, answer: &Answer) -> Option<(String, String)> {
        let told = answer.result.ok()?;
        let call = self.rust();
        match self {
            Self::Write { .. } | Self::Unread(_) | Self::Capacity(_) | Self::SetCapacity { .. } => {
                Some((call, told.to_string()))
            }
            Self::Poll(_) => Some((call, poll_in_rust(told))),
            Self::Read { .. } if told as usize == answer.body.len() && told <= 32 => {
                Some((call, format!("vec!{:?}", &answer.body[..])))
            }
            Self::Read { .. } => Some((format!("{call}.map(|got| got.len())"), told.to_string())),
            Self::Close(_) | Self::Nonblocking { .. } | Self::Open { .. } => None,
        }
    }

    fn rust_succeeds(&self, answer: &Answer) -> Option<String> {
        let Self::Open { access, nonblocking } = *self else { return None };
        if answer.result == Ok(Self::HAS_IT) {
            return Some("// It has this end open already.".to_owned());
        }
        // From here on the actor uses what it has opened; its own close is the
        // only one.
        let kept = |end: &str, call: &str| format!("let {end} = Box::leak(Box::new({call}?));");
        let call = opens_in_rust(access, nonblocking);
        Some(match access {
            Access::Reading => kept("r", &call),
            Access::Writing => kept("w", &call),
            Access::Both => format!("{}\n        {}", kept("r", &call), kept("w", "dup(&r)")),
        })
    }

    fn flaw(&self) -> Option<String> {
        match *self {
            Self::Write { bytes, .. }
            | Self::Read { bytes, .. }
            | Self::SetCapacity { bytes, .. }
                if bytes > MOST =>
            {
                Some(format!("{bytes} bytes, where {MOST} can be"))
            }
            _ => None,
        }
    }
}

/// The call that opens the FIFO, in a case.
fn opens_in_rust(access: Access, nonblocking: bool) -> String {
    let flag = if nonblocking { " | OFlag::O_NONBLOCK" } else { "" };
    format!("fifo.open(OFlag::{}{flag})", access.flag().1)
}

/// Most bytes of one operation: what one answer can hold.
const MOST: u32 = 1 << 19;

/// How much is written: around what matters.
fn written(seed: &mut Seed) -> u32 {
    let (atomic, page) = (PIPE_BUF as u32, page_size() as u32);
    match seed.below(16) {
        0..5 => 1 + seed.below(8) as u32,
        5 => 0,
        6 => 100 + 500 * seed.below(8) as u32,
        7 => atomic - 1,
        8..10 => atomic,
        10 => atomic + 1,
        11 => 2 * page,
        12 => 2 * page + 1 + seed.below(8) as u32,
        13 => 3 * page - 1,
        14 => 5 * page,
        _ => 16 * page + seed.below(2) as u32,
    }
}

/// How much is asked for.
fn wanted(seed: &mut Seed) -> u32 {
    let page = page_size() as u32;
    match seed.below(12) {
        0..3 => 1 + seed.below(8) as u32,
        3 => 0,
        4..6 => page,
        6 => page - 1,
        7 => 100 + 500 * seed.below(8) as u32,
        8 => 2 * page,
        _ => 32 * page,
    }
}

/// How a pipe is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Shape {
    /// With a name or without.
    pub kind: Kind,
    /// Pages that it is given room for; with 0, it has what a new one has.
    pub pages: u8,
    /// O_NONBLOCK of both ends at the start.
    pub nonblocking: bool,
}

/// With a name or without, and what actors have of it at the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// A pipe; every actor has copies of both ends.
    Pipe,
    /// A pipe with O_DIRECT.
    Packets,
    /// A FIFO; every actor has copies of both ends, each opened once.
    Fifo,
    /// A FIFO; every actor has two copies of one descriptor with O_RDWR.
    FifoBoth,
    /// A FIFO that nobody has open.
    FifoClosed,
}

impl Kind {
    /// Whether it has a name.
    pub fn is_fifo(self) -> bool {
        matches!(self, Self::Fifo | Self::FifoBoth | Self::FifoClosed)
    }
}

impl crate::Shape for Shape {
    fn decode(seed: &mut Seed) -> Self {
        Self {
            kind: seed.one_of(&[
                Kind::Pipe,
                Kind::Packets,
                Kind::Pipe,
                Kind::Fifo,
                Kind::FifoClosed,
                Kind::Packets,
                Kind::Fifo,
                Kind::FifoBoth,
            ]),
            pages: seed.one_of(&[1, 2, 1, 4, 2, 0]),
            nonblocking: seed.rarely(4),
        }
    }

    fn c(&self) -> String {
        let kind = match self.kind {
            Kind::Pipe => "PIPE",
            Kind::Packets => "PACKETS",
            Kind::Fifo => "FIFO",
            Kind::FifoBoth => "FIFO_BOTH",
            Kind::FifoClosed => "FIFO_CLOSED",
        };
        let flag = if self.nonblocking { "O_NONBLOCK" } else { "0" };
        format!(
            "enum {{ PIPE, PACKETS, FIFO, FIFO_BOTH, FIFO_CLOSED }};\n#define KIND {kind}\n#define PAGES {}\n#define FLAGS {flag}",
            self.pages
        )
    }

    fn rust(&self) -> [String; 2] {
        let fifo = "let fifo = Fifo::new(\"fifo\")?;\n";
        let mut made = match self.kind {
            Kind::Pipe => "let (r, w) = pipe()?;".to_owned(),
            Kind::Packets => "let (r, w) = pipe2(OFlag::O_DIRECT)?;".to_owned(),
            Kind::Fifo => format!("{fifo}let (r, w) = fifo.ends()?;"),
            Kind::FifoBoth => {
                format!("{fifo}let r = fifo.open(OFlag::O_RDWR)?;\nlet w = dup(&r)?;")
            }
            Kind::FifoClosed => {
                return [format!("{fifo}let (r, w) = (closed_fd(), closed_fd());"), String::new()];
            }
        };
        match self.pages {
            0 => {}
            1 => made += "\nset_capacity(&w, page_size())?;",
            pages => made += &format!("\nset_capacity(&w, {pages} * page_size())?;"),
        }
        if self.nonblocking {
            made += "\nset_nonblocking(&r, true)?;\nset_nonblocking(&w, true)?;";
        }
        [made, "drop((r, w));".to_owned()]
    }

    fn flaw(&self) -> Option<String> {
        let fits = self.pages == 0 || (self.pages.is_power_of_two() && self.pages <= 16);
        (!fits).then(|| format!("{} pages, where 0, 1, 2, 4, 8 or 16 can be", self.pages))
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            Kind::Pipe => "pipe",
            Kind::Packets => "pipe in packet mode",
            Kind::Fifo => "FIFO with both ends open",
            Kind::FifoBoth => "FIFO opened with O_RDWR",
            Kind::FifoClosed => "FIFO that nobody has open",
        })?;
        if self.pages != 0 && self.kind != Kind::FifoClosed {
            write!(f, ", {} pages", self.pages)?;
        }
        f.write_str(if self.nonblocking { ", O_NONBLOCK" } else { "" })
    }
}
