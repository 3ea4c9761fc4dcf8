//! System V message queues.
//!
//! A queue is a list of messages, each with a type and a body. What makes it
//! more than that is who sleeps: a sender until its message fits, a receiver
//! until a message of its kind is there. The documentation promises no order
//! among those who sleep, so the model keeps none: whoever can go on may.

use std::fmt;
use std::sync::OnceLock;

use ipcspec_cases::sys::calls::{MSGRCV, MSGSND};
use ipcspec_cases::sys::msg as sys;
use ipcspec_harness::{Need, Syscalls};
use libc::{IPC_NOWAIT, MSG_COPY, MSG_EXCEPT, MSG_NOERROR, c_int, c_long};
use nix::errno::Errno;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::answer::Body;
use crate::model::ACTORS;
use crate::{Actor, Answer, Canary, Cast, Cut, Model, Props, Seed, Step, rules};

mod canaries;

rules! {
    /// A send appends its message to the queue, and succeeds at once when there is room.
    SENDS = MSGOP_2, "msgsnd()";
    /// A queue is full for a message that would take it above msg_qbytes bytes or msg_qbytes messages; its sender sleeps until there is room.
    SENDER_SLEEPS = MSGOP_2, "msgsnd()";
    /// With IPC_NOWAIT, a send to a queue without room for it fails.
    SENDER_WOULD_SLEEP = MSGOP_2, "msgsnd()";
    /// A type is above 0.
    TYPE_IS_POSITIVE = MSGOP_2, "ERRORS";
    /// A body is not shorter than nothing, and not longer than MSGMAX.
    BODY_HAS_LIMITS = MSGOP_2, "ERRORS";
    /// A receive takes the first message of those that its type and flags mean: of any, of that type, of any but that with MSG_EXCEPT, or with a negative type of the lowest type up to its absolute value.
    RECEIVES = MSGOP_2, "msgrcv()";
    /// With MSG_NOERROR, as much of a message as there is room for is received, and the rest is lost.
    TRUNCATES = MSGOP_2, "msgrcv()";
    /// A message that is longer than the room for it stays in the queue, and the receive fails.
    TOO_BIG_STAYS = MSGOP_2, "msgrcv()";
    /// A receiver sleeps until a message of its kind is placed in the queue.
    RECEIVER_SLEEPS = MSGOP_2, "msgrcv()";
    /// With IPC_NOWAIT, a receive of what is not there fails.
    RECEIVER_WOULD_SLEEP = MSGOP_2, "msgrcv()";
    /// There is no room of less than nothing.
    ROOM_HAS_A_LIMIT = MSGOP_2, "ERRORS";
    /// With MSG_COPY, the message at a place, counted from 0, is fetched and stays.
    COPIES = MSGOP_2, "msgrcv()";
    /// With MSG_COPY and MSG_NOERROR, a copy of a message that is longer than the room for it is truncated; Linux refuses to make it.
    COPY_OF_TOO_BIG = MSGOP_2, "msgrcv()";
    /// With MSG_COPY, a receive from a place where no message is fails.
    NOTHING_TO_COPY = MSGOP_2, "msgrcv()";
    /// MSG_COPY is given with IPC_NOWAIT and without MSG_EXCEPT.
    COPY_HAS_COMPANY = MSGOP_2, "ERRORS";
    /// A kernel that was built without copies has none.
    NO_COPIES = MSGOP_2, "ERRORS";
    /// IPC_STAT tells how many messages and bytes there are and may be, and who sent and received last; until somebody did, that and the time are 0.
    TELLS = MSGCTL_2, "DESCRIPTION";
    /// IPC_SET sets msg_qbytes, also below what the queue holds.
    SETS = MSGCTL_2, "DESCRIPTION";
    /// IPC_RMID removes the queue at once.
    REMOVES = MSGCTL_2, "DESCRIPTION";
    /// A removal wakes every sender and receiver that sleeps, with an error.
    REMOVAL_WAKES = MSGCTL_2, "DESCRIPTION";
    /// The identifier of a removed queue is invalid.
    IS_GONE = MSGOP_2, "ERRORS";
    /// A number that no queue has is invalid.
    NO_SUCH_QUEUE = MSGOP_2, "ERRORS";
    /// A number that no operation of msgctl has is invalid.
    NO_SUCH_COMMAND = MSGCTL_2, "ERRORS";
    /// A send or receive that sleeps is interrupted by any handler, set with SA_RESTART or without.
    INTERRUPTED = SIGNAL_7, "Interruption of system calls and library functions by signal handlers";
    /// A send or receive goes on after a stop.
    GOES_ON = SIGNAL_7, "Interruption of system calls and library functions by stop signals";
}

/// One queue, which all actors share.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Queue {
    /// The oldest first.
    messages: SmallVec<[Sent; 8]>,
    /// msg_qbytes: the most bytes, and the most messages.
    capacity: u64,
    last_sender: Option<Actor>,
    last_receiver: Option<Actor>,
    removed: bool,
    /// Who sleeps in a send or receive.
    asleep: [bool; ACTORS],
}

/// A message, as it was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Sent {
    kind: c_long,
    length: u16,
    mark: u8,
    from: u8,
}

/// What actors do with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Op {
    /// `msgsnd`.
    Send {
        /// The type, valid or not.
        kind: c_long,
        /// How long the body is.
        length: Length,
        /// Without IPC_NOWAIT.
        wait: bool,
        /// Tells bodies apart that are alike otherwise; a letter.
        mark: u8,
    },
    /// `msgrcv`.
    Receive {
        /// The type that is asked for.
        kind: c_long,
        /// Room for so many bytes of body; may be negative.
        room: i16,
        /// The flags.
        flags: Flags,
    },
    /// `msgrcv` with MSG_COPY.
    Copy {
        /// Which message, counted from 0; may be negative.
        place: c_long,
        /// As above.
        room: i16,
        /// The other flags.
        flags: Flags,
    },
    /// IPC_STAT.
    Stat,
    /// IPC_SET of msg_qbytes.
    Set(u16),
    /// IPC_RMID.
    Remove,
    /// A call for a queue that never was.
    Nowhere(Call),
    /// An operation that msgctl does not have.
    Unknown,
}

/// How long a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Length {
    /// So many bytes.
    Bytes(u16),
    /// One more than MSGMAX.
    AboveMaximum,
    /// -1.
    Negative,
}

/// Flags of a receive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Flags {
    /// Without IPC_NOWAIT.
    pub wait: bool,
    /// MSG_NOERROR.
    pub truncate: bool,
    /// MSG_EXCEPT.
    pub except: bool,
}

/// Which call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum Call {
    Send,
    Receive,
    Stat,
    Remove,
}

/// How the queue is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Shape {
    /// What msg_qbytes is set to; MSGMNB without.
    pub capacity: Option<u8>,
}

/// What an actor has in hand.
#[derive(Debug)]
pub struct Hands {
    queue: sys::Queue,
    /// Memory for messages.
    message: sys::Message,
}

/// What the target allows.
struct Limits {
    /// MSGMAX: the most bytes of one body.
    body: usize,
    /// MSGMNB: the msg_qbytes of a new queue.
    capacity: u64,
    /// Whether it has MSG_COPY.
    copies: bool,
}

/// The limits of the target, read once. Where it does not tell, those that
/// msgop(2) gives as defaults.
fn limits() -> &'static Limits {
    static LIMITS: OnceLock<Limits> = OnceLock::new();
    LIMITS.get_or_init(|| {
        let told = sys::Queue::info(libc::IPC_INFO);
        let (body, capacity) = told.map_or((8192, 16384), |info| (info.msgmax, info.msgmnb));
        let copies = match sys::COPIES {
            Need::Facility(facility) => (facility.probe)().is_ok(),
            _ => false,
        };
        Limits { body: body as usize, capacity: capacity as u64, copies }
    })
}

impl Sent {
    /// The first bytes of its body: they tell mark, type and sender, as far as
    /// there is room, and then go on through the alphabet.
    fn body(self, length: usize) -> Body {
        let mut body = Body::from_elem(0, length);
        for (place, byte) in body.iter_mut().enumerate() {
            *byte = match place {
                0 => b'a' + self.mark,
                1 => b'0'.wrapping_add(self.kind as u8),
                2 => b'0' + self.from,
                _ => b'A' + ((usize::from(self.mark) + place) % 26) as u8,
            };
        }
        body
    }
}

impl crate::Shape for Shape {
    fn decode(seed: &mut Seed) -> Self {
        Self { capacity: seed.one_of(&[Some(8), Some(16), Some(8), Some(3), Some(64), None]) }
    }

    fn c(&self) -> String {
        format!("#define CAPACITY {}", self.capacity.map_or(-1, i32::from))
    }

    fn rust(&self) -> [String; 2] {
        let made = match self.capacity {
            Some(capacity) => format!("let queue = Queue::with_qbytes({capacity})?;"),
            None => "let queue = Queue::private()?;".to_owned(),
        };
        [made, String::new()]
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.capacity {
            Some(capacity) => write!(f, "a queue with a msg_qbytes of {capacity}"),
            None => f.write_str("a queue"),
        }
    }
}

impl Flags {
    fn decode(seed: &mut Seed, waits: usize) -> Self {
        let wait = seed.below(4) < waits;
        let (truncate, except) = seed.one_of(&[
            (false, false),
            (false, false),
            (true, false),
            (false, true),
            (true, true),
            (false, false),
        ]);
        Self { wait, truncate, except }
    }

    fn suit_a_copy(self) -> bool {
        !self.wait && !self.except
    }

    fn bits(self) -> c_int {
        let mut bits = 0;
        for (set, bit) in
            [(!self.wait, IPC_NOWAIT), (self.truncate, MSG_NOERROR), (self.except, MSG_EXCEPT)]
        {
            bits |= if set { bit } else { 0 };
        }
        bits
    }

    fn in_c(self) -> String {
        let mut names = vec![];
        for (set, name) in [
            (!self.wait, "IPC_NOWAIT"),
            (self.truncate, "MSG_NOERROR"),
            (self.except, "MSG_EXCEPT"),
        ] {
            if set {
                names.push(name);
            }
        }
        if names.is_empty() { "0".to_owned() } else { names.join(" | ") }
    }
}

/// Types of messages: few, so that some are alike; two are not valid.
const KINDS: &[c_long] = &[
    1,
    2,
    3,
    1,
    4,
    2,
    1,
    3,
    2,
    4,
    3,
    1,
    2,
    4,
    1,
    2,
    3,
    1,
    2,
    3,
    4,
    1,
    2,
    0,
    3,
    -1,
    4,
    c_long::MAX,
];
/// Lengths of bodies, of which most queues can hold a few.
const LENGTHS: &[u16] = &[1, 0, 4, 2, 8, 3, 5, 1, 6, 0, 7, 4, 9, 2, 12, 0];
/// The length of a body that no page holds: Linux keeps it in pieces.
const LONG: u16 = 5000;
/// Types that receivers ask for.
const WANTED: &[c_long] =
    &[0, 1, 2, -2, 3, -3, 0, 4, 1, -4, 0, 2, -1, 3, 0, -c_long::MAX, c_long::MIN, c_long::MAX];
/// Places to copy from.
const PLACES: &[c_long] = &[0, 1, 0, 2, 1, 3, 0, -1];
/// Rooms for a body.
const ROOMS: &[i16] = &[12, 12, 0, 4, 8, 2, 12, 1, 12, 100, 6, LONG as i16, 12, 3, 12, -1];

impl crate::Op for Op {
    type Hands = Hands;

    fn decode(seed: &mut Seed) -> Self {
        match seed.below(32) {
            0..12 => {
                let kind = seed.one_of(KINDS);
                let length = match seed.below(32) {
                    31 => Length::Negative,
                    30 => Length::AboveMaximum,
                    29 => Length::Bytes(100),
                    28 => Length::Bytes(LONG),
                    any => Length::Bytes(LENGTHS[any % LENGTHS.len()]),
                };
                let wait = seed.below(4) < 3;
                Self::Send { kind, length, wait, mark: seed.below(26) as u8 }
            }
            12..22 => {
                let (kind, room) = (seed.one_of(WANTED), seed.one_of(ROOMS));
                Self::Receive { kind, room, flags: Flags::decode(seed, 3) }
            }
            22..25 => {
                let (place, room) = (seed.one_of(PLACES), seed.one_of(ROOMS));
                let mut flags = Flags::decode(seed, 1);
                flags.except &= seed.rarely(3);
                Self::Copy { place, room, flags }
            }
            25..28 => Self::Stat,
            28..30 => Self::Set(seed.one_of(&[16, 8, 4, 12, 1, 2, 0, 32])),
            30 if seed.rarely(3) => Self::Unknown,
            30 => {
                Self::Nowhere(seed.one_of(&[Call::Send, Call::Receive, Call::Stat, Call::Remove]))
            }
            _ if seed.rarely(4) => Self::Remove,
            _ => Self::Stat,
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Send { .. } => "msgsnd",
            Self::Receive { .. } => "msgrcv",
            Self::Copy { .. } => "msgrcv with MSG_COPY",
            Self::Stat => "IPC_STAT",
            Self::Set(_) => "IPC_SET",
            Self::Remove => "IPC_RMID",
            Self::Nowhere(_) => "a call for no queue",
            Self::Unknown => "an unknown msgctl",
        }
    }

    fn perform(&self, hands: &mut Hands, cast: &Cast) -> Answer {
        let queue = hands.queue;
        match *self {
            Self::Send { kind, length, wait, mark } => {
                let flags = if wait { 0 } else { IPC_NOWAIT };
                let size = match length {
                    Length::Bytes(length) => {
                        let sent = Sent { kind, length, mark, from: cast.me as u8 };
                        hands.message.set(kind, &sent.body(length.into()));
                        length as isize
                    }
                    Length::AboveMaximum => {
                        let body = vec![b'a'; limits().body + 1];
                        return queue.send(kind, &body, flags).into();
                    }
                    Length::Negative => {
                        hands.message.set(kind, b"");
                        -1
                    }
                };
                queue.send_message(&hands.message, size, flags).into()
            }
            Self::Receive { kind, room, flags } => {
                receive(queue, &mut hands.message, room, kind, flags.bits())
            }
            Self::Copy { place, room, flags } => {
                receive(queue, &mut hands.message, room, place, flags.bits() | MSG_COPY)
            }
            Self::Stat => queue.stat().map_or_else(Answer::error, |stat| {
                Answer::zero().with(&[
                    stat.qnum as i64,
                    stat.cbytes as i64,
                    stat.qbytes as i64,
                    cast.actor(stat.lspid),
                    cast.actor(stat.lrpid),
                    (stat.stime != 0).into(),
                    (stat.rtime != 0).into(),
                ])
            }),
            Self::Set(capacity) => queue.set_qbytes(capacity.into()).into(),
            Self::Remove => queue.remove().into(),
            Self::Nowhere(call) => {
                let nowhere = sys::Queue { id: -1 };
                match call {
                    Call::Send => nowhere.send(1, b"", IPC_NOWAIT).into(),
                    Call::Receive => receive(nowhere, &mut hands.message, 8, 0, IPC_NOWAIT),
                    Call::Stat => nowhere.stat().map(|_| ()).into(),
                    Call::Remove => nowhere.remove().into(),
                }
            }
            Self::Unknown => queue.ctl_without_buffer(UNKNOWN).into(),
        }
    }

    fn sleeps_in(&self) -> Syscalls {
        match self {
            Self::Send { .. } => MSGSND,
            _ => MSGRCV,
        }
    }

    fn c(&self) -> String {
        match *self {
            Self::Send { kind, length, wait, mark } => {
                let length = match length {
                    Length::Bytes(length) => length.to_string(),
                    Length::AboveMaximum => "above_maximum()".to_owned(),
                    Length::Negative => "-1".to_owned(),
                };
                let flags = if wait { "0" } else { "IPC_NOWAIT" };
                format!("give('{}', {}, {length}, {flags})", char::from(b'a' + mark), in_c(kind))
            }
            Self::Receive { kind, room, flags } => {
                format!("take({room}, {}, {})", in_c(kind), flags.in_c())
            }
            Self::Copy { place, room, flags } => {
                format!("take({room}, {place}, MSG_COPY | {})", flags.in_c())
            }
            Self::Stat => "tell()".to_owned(),
            Self::Set(capacity) => format!("set_capacity({capacity})"),
            Self::Remove => "msgctl(queue, IPC_RMID, NULL)".to_owned(),
            Self::Nowhere(Call::Send) => "msgsnd(-1, &(long[2]){1}, 0, IPC_NOWAIT)".to_owned(),
            Self::Nowhere(Call::Receive) => {
                "msgrcv(-1, &(long[2]){0}, 8, 0, IPC_NOWAIT)".to_owned()
            }
            Self::Nowhere(Call::Stat) => "msgctl(-1, IPC_STAT, &(struct msqid_ds){0})".to_owned(),
            Self::Nowhere(Call::Remove) => "msgctl(-1, IPC_RMID, NULL)".to_owned(),
            Self::Unknown => format!("msgctl(queue, {UNKNOWN}, NULL)"),
        }
    }

    fn rust(&self) -> String {
        match *self {
            Self::Send { kind, length: Length::Bytes(length), wait, mark } => {
                let flags = if wait { "0" } else { "IPC_NOWAIT" };
                let letter = char::from(b'a' + mark);
                format!("queue.send({}, &[b'{letter}'; {length}], {flags})", in_rust(kind))
            }
            Self::Send { kind, length: Length::AboveMaximum, .. } => {
                let maximum = "sysctl(\"kernel/msgmax\")? as usize";
                format!("queue.send({}, &vec![b'a'; {maximum} + 1], IPC_NOWAIT)", in_rust(kind))
            }
            Self::Send { kind, length: Length::Negative, .. } => {
                let message = format!("&Message::new({}, b\"\")", in_rust(kind));
                format!("queue.send_message({message}, -1, IPC_NOWAIT)")
            }
            Self::Receive { kind: place, room, flags } | Self::Copy { place, room, flags } => {
                let copy = if matches!(self, Self::Copy { .. }) { "MSG_COPY | " } else { "" };
                let rest = format!("{}, {copy}{}", in_rust(place), flags.in_c());
                if room < 0 {
                    format!("queue.receive_into(&mut Message::room(0), {room}, {rest})")
                } else {
                    format!("queue.receive({room}, {rest})")
                }
            }
            Self::Stat => "queue.stat()".to_owned(),
            Self::Set(capacity) => format!("queue.set_qbytes({capacity})"),
            Self::Remove => "queue.remove()".to_owned(),
            Self::Nowhere(Call::Send) => "Queue { id: -1 }.send(1, b\"\", IPC_NOWAIT)".to_owned(),
            Self::Nowhere(Call::Receive) => "Queue { id: -1 }.receive(8, 0, IPC_NOWAIT)".to_owned(),
            Self::Nowhere(Call::Stat) => "Queue { id: -1 }.stat()".to_owned(),
            Self::Nowhere(Call::Remove) => "Queue { id: -1 }.remove()".to_owned(),
            Self::Unknown => format!("queue.ctl_without_buffer({UNKNOWN})"),
        }
    }

    fn rust_gives(&self, answer: &Answer) -> Option<(String, String)> {
        let facts = &answer.facts;
        match self {
            Self::Receive { .. } | Self::Copy { .. } if !facts.is_empty() => {
                let call = self.rust();
                let call = format!("{call}.map(|got| (got.kind(), got.body().to_vec()))");
                // A case sends bodies of one letter.
                let body = match &answer.body[..] {
                    [] => "vec![]".to_owned(),
                    [mark, ..] => format!("vec![b'{}'; {}]", char::from(*mark), answer.body.len()),
                };
                Some((call, format!("({}, {body})", facts[0])))
            }
            Self::Stat if !facts.is_empty() => {
                let call = "queue.stat().map(|stat| (stat.qnum, stat.cbytes, stat.qbytes))";
                Some((call.to_owned(), format!("({}, {}, {})", facts[0], facts[1], facts[2])))
            }
            _ => None,
        }
    }

    fn flaw(&self) -> Option<String> {
        match *self {
            Self::Send { mark: 26.., .. } => Some("a mark above 25, which is z".to_owned()),
            Self::Send { length: Length::Bytes(length), .. } if usize::from(length) > LONGEST => {
                Some(format!("a body of {length} bytes, where {LONGEST} can be"))
            }
            Self::Receive { room, .. } | Self::Copy { room, .. }
                if usize::try_from(room).is_ok_and(|room| room > LONGEST) =>
            {
                Some(format!("room for {room} bytes, where {LONGEST} can be"))
            }
            _ => None,
        }
    }
}

/// Most bytes of a body that is received.
const LONGEST: usize = 8192;

/// No operation of msgctl.
const UNKNOWN: c_int = 99;

/// A type, as answers tell it.
// No conversion where a long has 64 bits.
#[allow(clippy::useless_conversion)]
fn number(kind: c_long) -> i64 {
    kind.into()
}

/// A type in C: the most negative has no literal.
fn in_c(kind: c_long) -> String {
    if kind == c_long::MIN { "LONG_MIN".to_owned() } else { kind.to_string() }
}

fn in_rust(kind: c_long) -> String {
    match kind {
        c_long::MIN => "c_long::MIN".to_owned(),
        c_long::MAX => "c_long::MAX".to_owned(),
        kind if kind == -c_long::MAX => "-c_long::MAX".to_owned(),
        kind => kind.to_string(),
    }
}

/// Receives, and tells the type and how many bytes behind the room for the
/// body are other than before.
fn receive(
    queue: sys::Queue,
    message: &mut sys::Message,
    room: i16,
    kind: c_long,
    flags: c_int,
) -> Answer {
    let size = usize::try_from(room).unwrap_or(0);
    message.set_room(size);
    match queue.receive_into(message, room.into(), kind, flags) {
        Ok(length) => {
            let behind = &message.bytes()[size..];
            let touched = behind.iter().filter(|byte| **byte != sys::POISON).count();
            let facts = [number(message.kind()), touched as i64];
            Answer::number(length as i64).with(&facts).carrying(message.body())
        }
        Err(errno) => Answer::error(errno),
    }
}

impl Queue {
    /// Bytes of all bodies.
    fn bytes(&self) -> u64 {
        self.messages.iter().map(|sent| u64::from(sent.length)).sum()
    }

    fn has_room_for(&self, length: u16) -> bool {
        self.bytes() + u64::from(length) <= self.capacity
            && (self.messages.len() as u64) < self.capacity
    }

    fn send(&mut self, actor: Actor, kind: c_long, length: Length, wait: bool, mark: u8) -> Step {
        let length = match length {
            Length::Bytes(length) if usize::from(length) <= limits().body => length,
            _ => return BODY_HAS_LIMITS.fails(Errno::EINVAL),
        };
        if kind < 1 {
            return TYPE_IS_POSITIVE.fails(Errno::EINVAL);
        }
        if self.has_room_for(length) {
            self.messages.push(Sent { kind, length, mark, from: actor as u8 });
            self.last_sender = Some(actor);
            SENDS.succeeds()
        } else if wait {
            SENDER_SLEEPS.sleeps()
        } else {
            SENDER_WOULD_SLEEP.fails(Errno::EAGAIN)
        }
    }

    /// Where the message is that a receive means.
    fn find(&self, kind: c_long, except: bool) -> Option<usize> {
        let mut places = 0..self.messages.len();
        let kind_of = |place: &usize| self.messages[*place].kind;
        match kind {
            0 => places.next(),
            1.. if except => places.find(|place| kind_of(place) != kind),
            1.. => places.find(|place| kind_of(place) == kind),
            // Of equal ones, the first is the least.
            _ => places
                .filter(|place| kind_of(place).unsigned_abs() <= kind.unsigned_abs())
                .min_by_key(kind_of),
        }
    }

    fn receive(&mut self, actor: Actor, kind: c_long, room: i16, flags: Flags) -> Step {
        let Ok(room) = u16::try_from(room) else { return ROOM_HAS_A_LIMIT.fails(Errno::EINVAL) };
        let Some(place) = self.find(kind, flags.except) else {
            return if flags.wait {
                RECEIVER_SLEEPS.sleeps()
            } else {
                RECEIVER_WOULD_SLEEP.fails(Errno::ENOMSG)
            };
        };
        let fits = self.messages[place].length <= room;
        if !fits && !flags.truncate {
            return TOO_BIG_STAYS.fails(Errno::E2BIG);
        }
        let sent = self.messages.remove(place);
        self.last_receiver = Some(actor);
        if fits {
            RECEIVES.returns(received(sent, room))
        } else {
            TRUNCATES.returns(received(sent, room))
        }
    }

    fn copy(&self, place: c_long, room: i16, flags: Flags, seen: Option<&Answer>) -> Step {
        let Ok(room) = u16::try_from(room) else { return ROOM_HAS_A_LIMIT.fails(Errno::EINVAL) };
        if !flags.suit_a_copy() {
            return COPY_HAS_COMPANY.fails(Errno::EINVAL);
        }
        let found = usize::try_from(place).ok().and_then(|place| self.messages.get(place));
        let Some(sent) = found else { return NOTHING_TO_COPY.fails(Errno::ENOMSG) };
        if sent.length <= room {
            return COPIES.returns(received(*sent, room));
        }
        if !flags.truncate {
            return TOO_BIG_STAYS.fails(Errno::E2BIG);
        }
        let refused = Answer::error(Errno::EINVAL);
        let truncated = received(*sent, room);
        COPY_OF_TOO_BIG.returns(if seen == Some(&refused) { refused } else { truncated })
    }

    /// What a call comes to once the queue is removed. Pages differ in whether
    /// later calls have EINVAL or EIDRM.
    fn gone(&self, actor: Actor, seen: Option<&Answer>) -> Step {
        if self.asleep[actor] {
            return REMOVAL_WAKES.fails(Errno::EIDRM);
        }
        let removed = Answer::error(Errno::EIDRM);
        IS_GONE.returns(if seen == Some(&removed) { removed } else { Answer::error(Errno::EINVAL) })
    }
}

/// What a receiver with so much room gets of a message.
fn received(sent: Sent, room: u16) -> Answer {
    let length = sent.length.min(room);
    let facts = [number(sent.kind), 0];
    let mut answer = Answer::number(length.into()).with(&facts);
    answer.body = sent.body(length.into());
    answer
}

/// An actor, as answers tell it.
fn told(actor: Option<Actor>) -> i64 {
    actor.map_or(Cast::NOBODY, |actor| actor as i64)
}

impl Model for Queue {
    const NAME: &'static str = "msgqueue";
    const ABOUT: &'static str = "sends to and receives from one System V message queue";
    const OUTCOMES: &'static [(&'static str, &'static [&'static str])] = &[
        ("msgsnd", &["ok", "EAGAIN", "EIDRM", "EINTR", "EINVAL", "sleeps"]),
        ("msgrcv", &["ok", "E2BIG", "EIDRM", "EINTR", "EINVAL", "ENOMSG", "sleeps"]),
        ("msgrcv with MSG_COPY", &["ok", "E2BIG", "EINVAL", "ENOMSG"]),
        ("IPC_STAT", &["ok", "EINVAL"]),
        ("IPC_SET", &["ok", "EINVAL"]),
        ("IPC_RMID", &["ok", "EINVAL"]),
        ("a call for no queue", &["EINVAL"]),
        ("an unknown msgctl", &["EINVAL"]),
    ];
    const C: &'static str = r#"
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <unistd.h>
static int queue;
static long set_capacity(unsigned long bytes) {
    struct msqid_ds about;
    if (msgctl(queue, IPC_STAT, &about) < 0) return -1;
    about.msg_qbytes = bytes;
    return msgctl(queue, IPC_SET, &about);
}
static void set_up(void) {
    queue = msgget(IPC_PRIVATE, 0600);
    if (CAPACITY >= 0) set_capacity(CAPACITY);
}
static void tear_down(void) { msgctl(queue, IPC_RMID, NULL); }
static long above_maximum(void) {
    struct msginfo limits;
    return msgctl(0, IPC_INFO, (struct msqid_ds *)&limits) < 0 ? -1 : limits.msgmax + 1L;
}
/* The third byte of a body tells its sender, by its process id. */
static long give(char mark, long type, long length, int flags) {
    long space = length < 0 ? 0 : length;
    struct { long type; char body[]; } *message = malloc(sizeof *message + space + 3);
    message->type = type;
    for (long at = 0; at < space; at++) message->body[at] = 'A' + (mark - 'a' + at) % 26;
    if (space > 0) message->body[0] = mark;
    if (space > 1) message->body[1] = '0' + type;
    if (space > 2) message->body[2] = '0' + getpid() % 10;
    long result = msgsnd(queue, message, length, flags);
    int error = errno;
    free(message);
    errno = error;
    return result;
}
static long take(long room, long type, int flags) {
    struct { long type; char body[8192]; } message;
    long length = msgrcv(queue, &message, room, type, flags);
    if (length >= 0) printf("[type %ld, \"%.*s\"] ", message.type, (int)length, message.body);
    return length;
}
static long tell(void) {
    struct msqid_ds about;
    if (msgctl(queue, IPC_STAT, &about) < 0) return -1;
    printf("[%lu messages, %lu of %lu bytes, sent by %d (%s), received by %d (%s)] ",
        (unsigned long)about.msg_qnum, (unsigned long)about.__msg_cbytes,
        (unsigned long)about.msg_qbytes, (int)about.msg_lspid, about.msg_stime ? "once" : "never",
        (int)about.msg_lrpid, about.msg_rtime ? "once" : "never");
    return 0;
}
"#;
    const RUST: &'static [(&'static str, &'static [&'static str])] = &[
        ("crate::sys::msg", &["Message", "Queue"]),
        ("crate::sys::sysctl", &["sysctl"]),
        ("libc", &["IPC_NOWAIT", "MSG_COPY", "MSG_EXCEPT", "MSG_NOERROR", "c_long"]),
    ];
    const CANARIES: &'static [Canary<Self>] = canaries::CANARIES;
    type Shape = Shape;
    type Op = Op;
    type Hands = Hands;

    fn make(shape: &Shape) -> nix::Result<Props> {
        let queue = sys::Queue::unremembered()?;
        if let Some(capacity) = shape.capacity {
            queue.set_qbytes(capacity.into())?;
        }
        Ok(Props { numbers: [queue.id.into(), 0, 0, 0], ..Props::default() })
    }

    fn remove(props: &Props) {
        let _ = sys::Queue { id: props.numbers[0] as i32 }.remove();
    }

    fn take(props: Props) -> Hands {
        // Asked for now, no operation has to.
        limits();
        let queue = sys::Queue { id: props.numbers[0] as i32 };
        Hands { queue, message: sys::Message::room(0) }
    }

    fn new(shape: &Shape) -> Self {
        Self {
            messages: SmallVec::new(),
            capacity: shape.capacity.map_or_else(|| limits().capacity, u64::from),
            last_sender: None,
            last_receiver: None,
            removed: false,
            asleep: [false; ACTORS],
        }
    }

    fn attempt(&mut self, actor: Actor, op: &Op, seen: Option<&Answer>) -> Step {
        let step = match *op {
            Op::Nowhere(_) => NO_SUCH_QUEUE.fails(Errno::EINVAL),
            // What a kernel does not have it does not have for any queue.
            Op::Copy { room, flags, .. }
                if room >= 0 && flags.suit_a_copy() && !limits().copies =>
            {
                NO_COPIES.fails(Errno::ENOSYS)
            }
            _ if self.removed => self.gone(actor, seen),
            Op::Send { kind, length, wait, mark } => self.send(actor, kind, length, wait, mark),
            Op::Receive { kind, room, flags } => self.receive(actor, kind, room, flags),
            Op::Copy { place, room, flags } => self.copy(place, room, flags, seen),
            Op::Stat => TELLS.returns(Answer::zero().with(&[
                self.messages.len() as i64,
                self.bytes() as i64,
                self.capacity as i64,
                told(self.last_sender),
                told(self.last_receiver),
                self.last_sender.is_some().into(),
                self.last_receiver.is_some().into(),
            ])),
            Op::Set(capacity) => {
                self.capacity = capacity.into();
                SETS.succeeds()
            }
            Op::Remove => {
                self.removed = true;
                REMOVES.succeeds()
            }
            Op::Unknown => NO_SUCH_COMMAND.fails(Errno::EINVAL),
        };
        self.asleep[actor] = matches!(step, Step::Sleeps(_));
        step
    }

    fn cut(&mut self, actor: Actor, _: &Op, by: Cut) -> Step {
        self.asleep[actor] = false;
        match by {
            Cut::Handler { .. } => INTERRUPTED.fails(Errno::EINTR),
            Cut::Stop | Cut::Time => GOES_ON.restarts(),
        }
    }

    fn forked(&mut self, _: Actor, _: Actor) {}

    fn ended(&mut self, actor: Actor) {
        self.asleep[actor] = false;
    }

    fn class(&self) -> u32 {
        let fill = match self.messages.len() {
            _ if self.removed => return 9,
            0 => 0,
            1 => 1,
            _ => 2,
        };
        let full = match self.has_room_for(0) {
            _ if self.bytes() > self.capacity => 2,
            true if self.has_room_for(1) => 0,
            _ => 1,
        };
        fill * 3 + full
    }
}
