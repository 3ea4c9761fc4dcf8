//! Pipes and FIFOs.
//!
//! A pipe is a buffer between open file descriptions, of which actors
//! have descriptors. An anonymous pipe has two descriptions, and every actor
//! has a copy of a descriptor of each; so O_NONBLOCK, which belongs to the
//! description, is everybody's, and an end is gone when the last copy is. Who
//! opens a FIFO by its name gets a description of its own.
//!
//! How much fits is documented in two ways. The capacity is a number of
//! bytes, and more than that never fits; but "because of the way the pages of
//! the pipe buffer are employed", less may. The model goes by both: what fits
//! by the pages, as described at `has_free_page` and
//! `fits_behind`, must go in; what does not fit by the bytes must
//! not; and in between the kernel may do either.

use std::ffi::CString;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

use ipcspec_cases::sys::descriptors::set_nonblocking;
use ipcspec_cases::sys::memory::page_size;
use ipcspec_cases::sys::pipes::{PIPE_BUF, set_capacity};
use ipcspec_cases::sys::sysctl::sysctl;
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::poll::PollFlags;
use nix::sys::stat::Mode;
use nix::unistd::{mkfifo, pipe2, unlink};

use crate::model::{ACTORS, Part};
use crate::{Actor, Answer, Body, Canary, Cut, Model, Props, Rule, Step, rules};

mod buffer;
mod canaries;
mod op;

use buffer::{Buffer, DATA_IN_RUST};
pub use op::{Access, End, Hands, Kind, Op, Shape};

rules! {
    /// A descriptor that is not open, or open for the other direction, is EBADF.
    NO_SUCH_END = WRITE_2, "ERRORS";
    /// What has been written is read in the same order, every byte once; a read gives as many
    /// bytes as there are, and at most as many as it asks for.
    READS = READ_2, "RETURN VALUE";
    /// In packet mode a read gives one packet, and discards what of it does not fit.
    READS_PACKET = PIPE_2, "DESCRIPTION";
    /// A read of no bytes returns 0.
    READS_NOTHING = READ_2, "DESCRIPTION";
    /// A read of an empty pipe sleeps while any descriptor of the write end is open.
    READ_SLEEPS = PIPE_7, "I/O on pipes and FIFOs";
    /// A nonblocking read of an empty pipe fails while any descriptor of the write end is open.
    READ_WOULD_SLEEP = PIPE_7, "I/O on pipes and FIFOs";
    /// Once all descriptors of the write end are closed and nothing is unread, a read returns 0.
    END_OF_FILE = PIPE_7, "I/O on pipes and FIFOs";
    /// A write of no bytes puts nothing into a pipe; what it returns is not specified.
    WRITES_NOTHING = WRITE_2, "RETURN VALUE";
    /// A write of at most PIPE_BUF bytes puts all of them into the pipe, in one piece. It has to
    /// succeed where a page of the pipe is free, or where the last page that was written to has
    /// room behind what it holds; it cannot where its bytes would exceed the capacity.
    WRITES_WHOLE = PIPE_7, "PIPE_BUF";
    /// A write of at most PIPE_BUF bytes sleeps until there is room for all of it. It need not go
    /// on before a page is free: the bytes that fit depend on how the pages are used, and Linux
    /// does not wake every writer for room in a page that is in use (docs/findings.md).
    WRITE_SLEEPS = F_GETPIPE_SZ_2CONST, "DESCRIPTION";
    /// A nonblocking write of at most PIPE_BUF bytes fails where there is not room for all of it.
    WRITE_WOULD_SLEEP = PIPE_7, "PIPE_BUF";
    /// A write of more than PIPE_BUF bytes returns when all of them are written; others may
    /// write in between.
    WRITES_ALL = PIPE_7, "PIPE_BUF";
    /// A write of more than PIPE_BUF bytes sleeps until the last of them is written.
    LARGE_WRITE_SLEEPS = PIPE_7, "PIPE_BUF";
    /// A nonblocking write of more than PIPE_BUF bytes writes from 1 byte to all of them.
    WRITES_SOME = PIPE_7, "PIPE_BUF";
    /// A nonblocking write of more than PIPE_BUF bytes fails where the pipe is full.
    LARGE_WRITE_WOULD_SLEEP = PIPE_7, "PIPE_BUF";
    /// Once all descriptors of the read end are closed, a write raises SIGPIPE, and fails if it
    /// has written nothing.
    NO_READER = PIPE_7, "I/O on pipes and FIFOs";
    /// A write or read that sleeps is restarted after a handler that was set with SA_RESTART.
    RESTARTS = SIGNAL_7, "Interruption of system calls and library functions by signal handlers";
    /// A write or read that sleeps is interrupted by a handler that was set without SA_RESTART.
    INTERRUPTED = SIGNAL_7, "Interruption of system calls and library functions by signal handlers";
    /// Where O_NONBLOCK was set while the call slept, it may take note of that when a handler or
    /// a stop interrupts it, and fail, instead of going on.
    INTERRUPTED_OR_NOT = WRITE_2, "ERRORS";
    /// A write that has written something tells how much when a handler runs.
    TELLS_HOW_MUCH = SIGNAL_7, "Interruption of system calls and library functions by signal handlers";
    /// A write, read or open goes on after a stop.
    GOES_ON = SIGNAL_7, "Interruption of system calls and library functions by stop signals";
    /// A write that was stopped when it had written something may tell how much instead of
    /// going on: Linux does (docs/findings.md).
    STOP_CUTS = WRITE_2, "RETURN VALUE";
    /// An end is closed when its last descriptor is. With the last descriptor of all goes what is
    /// unread; POSIX says so without an exception, and Linux keeps it for who waits to open the
    /// FIFO, which is then not closed by everybody (docs/findings.md).
    CLOSES = CLOSE_2, "DESCRIPTION";
    /// There is nothing of this name.
    NO_SUCH_NAME = OPEN_2, "ERRORS";
    /// An end that the actor has open is left as it is.
    HAS_IT = OPEN_2, "DESCRIPTION";
    /// A FIFO opens when it is open for the other direction, or being opened for it.
    OPENS = FIFO_7, "DESCRIPTION";
    /// To open a FIFO for one direction sleeps until it is opened for the other.
    OPEN_SLEEPS = FIFO_7, "DESCRIPTION";
    /// To open a FIFO for reading with O_NONBLOCK succeeds in any case.
    OPENS_EARLY = FIFO_7, "DESCRIPTION";
    /// To open a FIFO for writing with O_NONBLOCK fails where nobody has it open for reading; one
    /// that is still being opened for reading may count or not.
    NO_READER_YET = FIFO_7, "DESCRIPTION";
    /// To open a FIFO for both directions succeeds in any case.
    OPENS_BOTH = FIFO_7, "DESCRIPTION";
    /// O_NONBLOCK belongs to the open file description, which copies of a descriptor share.
    SETS_FLAG = FCNTL_2, "DESCRIPTION";
    /// FIONREAD tells how many bytes are unread, on either end.
    COUNTS = PIPE_7, "Pipe capacity";
    /// There is POLLIN where something is unread, POLLHUP where every writer is gone, POLLERR
    /// where every reader is gone, and POLLOUT where something can be written.
    POLLS = POLL_2, "DESCRIPTION";
    /// Poll tells what is so when it is called, and that may be in the middle of a read, of which
    /// some is taken and some not; who reads or writes does not come in between.
    SEEN_IN_PART = POLL_2, "DESCRIPTION";
    /// A descriptor that is not open is told as POLLNVAL.
    POLLS_NOTHING = POLL_2, "DESCRIPTION";
    /// F_GETPIPE_SZ tells the capacity in bytes.
    TELLS_CAPACITY = F_GETPIPE_SZ_2CONST, "DESCRIPTION";
    /// F_SETPIPE_SZ sets a capacity that is at least as large as asked for, and at most rounded
    /// up to a power of two of pages.
    SETS_CAPACITY = F_GETPIPE_SZ_2CONST, "DESCRIPTION";
    /// A capacity below the buffer space that is in use gives EBUSY: if the bytes that are unread
    /// do not fit it must, if the pages that hold them do it must not.
    CAPACITY_IN_USE = F_GETPIPE_SZ_2CONST, "ERRORS";
}

/// One pipe and who has which end of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pipe {
    kind: Kind,
    capacity: usize,
    buffer: Buffer,
    descriptions: [Option<Description>; 2 * ACTORS],
    /// By actor and end, the description that its descriptor refers to.
    hands: [[Option<u8>; 2]; ACTORS],
    calls: [Call; ACTORS],
}

/// An open file description.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Description {
    access: Access,
    nonblocking: bool,
    /// Whether there has been a writer since it was opened.
    met_writer: bool,
}

/// What a write is to put into the pipe.
#[derive(Debug, Clone, Copy)]
struct Data {
    bytes: usize,
    /// Tells it from that of other writes.
    tag: u8,
}

/// What is to be known of a call that sleeps, or that is done in part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Call {
    /// There is none.
    None,
    /// It was cut short, once or several times, with O_NONBLOCK set at one of
    /// them or not, and begins anew.
    BeginsAnew { nonblocking: bool },
    /// A read.
    Reads,
    /// A read that has so many bytes, and will take more before others read
    /// or write.
    ReadsOn { done: usize },
    /// A write, of which so many bytes are in the pipe.
    Writes { done: usize, pace: Pace },
    /// Waits for the other direction to be opened.
    Opens(Access),
}

/// How a write comes to be asked about again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Pace {
    /// It has not slept since it was called.
    Runs,
    /// It sleeps.
    Sleeps,
    /// It was stopped while it slept.
    Stopped,
}

/// What a new pipe has room for.
fn default_capacity() -> usize {
    static CAPACITY: OnceLock<usize> = OnceLock::new();
    *CAPACITY.get_or_init(|| {
        let most = sysctl("fs/pipe-max-size").ok().and_then(|most| most.try_into().ok());
        (16 * page_size()).min(most.unwrap_or(usize::MAX))
    })
}

/// The number that an answer of success told.
fn told(seen: Option<&Answer>) -> Option<usize> {
    seen?.result.ok()?.try_into().ok()
}

/// Whether it failed with this error.
fn failed(seen: Option<&Answer>, errno: Errno) -> bool {
    seen.is_some_and(|seen| seen.result == Err(errno as i32))
}

fn number(bytes: usize) -> Answer {
    Answer::number(bytes as i64)
}

impl Pipe {
    /// The number of the description that an actor has of this end.
    fn held(&self, actor: Actor, end: End) -> Option<usize> {
        self.hands[actor][end as usize].map(usize::from)
    }

    fn description(&self, actor: Actor, end: End) -> Option<Description> {
        self.descriptions[self.held(actor, end)?]
    }

    /// Whether the description by which an actor reads or writes has
    /// O_NONBLOCK.
    fn is_nonblocking(&self, actor: Actor, op: Op) -> bool {
        let (Op::Read { end, .. } | Op::Write { end, .. }) = op else { return false };
        self.description(actor, end).is_some_and(|open| open.nonblocking)
    }

    /// Whether anybody has it open for this end.
    fn is_open(&self, end: End) -> bool {
        self.descriptions.iter().flatten().any(|open| open.access.includes(end))
    }

    /// Whether anybody waits for the other direction, to open it for this end.
    fn is_being_opened(&self, end: End) -> bool {
        let waits = |call: &Call| matches!(call, Call::Opens(access) if access.includes(end));
        self.calls.iter().any(waits)
    }

    /// Whether it has fewer pages in use than fit in its capacity. A page is
    /// in use from the first byte that is written to it until the last byte
    /// in it is read.
    fn has_free_page(&self) -> bool {
        (self.buffer.pages + 1) * page_size() <= self.capacity
    }

    /// Whether so many bytes fit into the last page behind what was written
    /// to it. A packet shares its page with nothing.
    fn fits_behind(&self, bytes: usize) -> bool {
        let pages = self.buffer.pages;
        self.kind != Kind::Packets && pages > 0 && self.buffer.filled + bytes <= page_size()
    }

    /// Whether so many bytes would not exceed the capacity.
    fn may_hold(&self, bytes: usize) -> bool {
        self.buffer.unread + bytes <= self.capacity
    }

    fn write(&mut self, actor: Actor, end: End, data: Data, seen: Option<&Answer>) -> Step {
        let Some(open) = self.description(actor, end).filter(|o| o.access.includes(End::Writing))
        else {
            return NO_SUCH_END.fails(Errno::EBADF);
        };
        if data.bytes == 0 {
            let odd = failed(seen, Errno::EPIPE) || failed(seen, Errno::EAGAIN);
            return WRITES_NOTHING.returns(seen.filter(|_| odd).cloned().unwrap_or(number(0)));
        }
        let (done, pace) = self.written(actor);
        let asleep = pace != Pace::Runs;
        self.calls[actor] = Call::None;
        if pace == Pace::Stopped && done > 0 && told(seen) == Some(done) {
            return STOP_CUTS.returns(number(done));
        }
        if !self.is_open(End::Reading) {
            let answer = if done > 0 { number(done) } else { Answer::error(Errno::EPIPE) };
            return Step::Raises(answer, libc::SIGPIPE, NO_READER);
        }
        if data.bytes <= PIPE_BUF {
            return self.write_whole(actor, data, open.nonblocking, asleep, seen);
        }
        if open.nonblocking && !asleep {
            return self.write_some(done, data, seen);
        }
        self.write_all(actor, done, data, open.nonblocking, asleep, seen)
    }

    /// How much of the write that an actor is in is in the pipe.
    fn written(&self, actor: Actor) -> (usize, Pace) {
        match self.calls[actor] {
            Call::Writes { done, pace } => (done, pace),
            _ => (0, Pace::Runs),
        }
    }

    /// One page of a write of more than PIPE_BUF bytes, if it is not the last
    /// of those that it is going to tell of.
    fn write_part(
        &mut self,
        actor: Actor,
        end: End,
        data: Data,
        seen: Option<&Answer>,
    ) -> Option<Part> {
        let may_write = self.description(actor, end)?.access.includes(End::Writing);
        if !may_write || data.bytes <= PIPE_BUF || !self.is_open(End::Reading) {
            return None;
        }
        let most = if seen.is_some() { told(seen)? } else { data.bytes };
        let (begun, pace) = self.written(actor);
        let done = self.put_page(begun, data, pace == Pace::Runs)?;
        self.calls[actor] = Call::Writes { done, pace };
        (done < most).then_some(Part::Open(WRITES_ALL))
    }

    /// A write of at most PIPE_BUF bytes.
    fn write_whole(
        &mut self,
        actor: Actor,
        Data { bytes, tag }: Data,
        nonblocking: bool,
        asleep: bool,
        seen: Option<&Answer>,
    ) -> Step {
        if !asleep && self.fits_behind(bytes) {
            self.buffer.put_behind(tag, bytes);
            return WRITES_WHOLE.returns(number(bytes));
        }
        let let_in = self.may_hold(bytes) && told(seen) == Some(bytes);
        if self.has_free_page() || let_in {
            self.buffer.put_in_new_page(tag, 0, bytes);
            return WRITES_WHOLE.returns(number(bytes));
        }
        if nonblocking && (!asleep || failed(seen, Errno::EAGAIN)) {
            return WRITE_WOULD_SLEEP.fails(Errno::EAGAIN);
        }
        self.calls[actor] = Call::Writes { done: 0, pace: Pace::Sleeps };
        WRITE_SLEEPS.sleeps()
    }

    /// A nonblocking write of more than PIPE_BUF bytes, of which a part may
    /// be in the pipe.
    fn write_some(&mut self, begun: usize, data: Data, seen: Option<&Answer>) -> Step {
        let Data { bytes, tag } = data;
        let mut next = self.clone();
        let done = next.put_pages(begun, data, true);
        let other = told(seen).filter(|told| *told != done);
        if let Some(told) = other
            && (begun.max(1)..=bytes).contains(&told)
            && self.may_hold(told - begun)
        {
            self.put_anyhow(begun, told, tag);
            return WRITES_SOME.returns(number(told));
        }
        let may_be_full = !self.has_free_page();
        if done == 0 || may_be_full && failed(seen, Errno::EAGAIN) {
            return LARGE_WRITE_WOULD_SLEEP.fails(Errno::EAGAIN);
        }
        *self = next;
        WRITES_SOME.returns(number(done))
    }

    /// A write of more than PIPE_BUF bytes that sleeps where it has to, and
    /// of which a part may be in the pipe.
    fn write_all(
        &mut self,
        actor: Actor,
        begun: usize,
        data: Data,
        nonblocking: bool,
        asleep: bool,
        seen: Option<&Answer>,
    ) -> Step {
        let Data { bytes, tag } = data;
        let mut done = self.put_pages(begun, data, !asleep);
        if done < bytes && told(seen) == Some(bytes) && self.may_hold(bytes - done) {
            self.put_anyhow(done, bytes, tag);
            done = bytes;
        }
        if done == bytes {
            return WRITES_ALL.returns(number(bytes));
        }
        // Somebody has set O_NONBLOCK meanwhile.
        if nonblocking && done > 0 && told(seen) == Some(done) {
            return WRITES_SOME.returns(number(done));
        }
        if nonblocking && done == 0 && failed(seen, Errno::EAGAIN) {
            return LARGE_WRITE_WOULD_SLEEP.fails(Errno::EAGAIN);
        }
        self.calls[actor] = Call::Writes { done, pace: Pace::Sleeps };
        if done > begun { Step::Moves(LARGE_WRITE_SLEEPS) } else { LARGE_WRITE_SLEEPS.sleeps() }
    }

    /// Puts as much of a write as there are free pages for, from this place
    /// on. How much is in the pipe then.
    fn put_pages(&mut self, begun: usize, data: Data, fresh: bool) -> usize {
        let mut done = begun;
        while let Some(next) = self.put_page(done, data, fresh) {
            done = next;
        }
        done
    }

    /// Puts a page of a write, from this place on; first, where it is fresh,
    /// what is no whole page behind what is there. How much is in the pipe
    /// then; nothing if there is no more, or no room for it.
    fn put_page(&mut self, done: usize, data: Data, fresh: bool) -> Option<usize> {
        let Data { bytes, tag } = data;
        let odd = bytes % page_size();
        if done == 0 && fresh && odd > 0 && self.fits_behind(odd) {
            self.buffer.put_behind(tag, odd);
            return Some(odd);
        }
        let next = bytes.min(done + self.piece());
        (done < bytes && self.has_free_page()).then(|| {
            self.buffer.put_in_new_page(tag, done, next);
            next
        })
    }

    /// Most bytes that a write puts into one page.
    fn piece(&self) -> usize {
        if self.kind == Kind::Packets { PIPE_BUF } else { page_size() }
    }

    /// Puts a part of a write that the kernel found room for.
    fn put_anyhow(&mut self, from: usize, to: usize, tag: u8) {
        let mut done = from;
        while done < to {
            let next = to.min(done + self.piece());
            self.buffer.put_in_new_page(tag, done, next);
            done = next;
        }
    }

    fn read(&mut self, actor: Actor, end: End, bytes: usize, seen: Option<&Answer>) -> Step {
        let Some(open) = self.description(actor, end).filter(|o| o.access.includes(End::Reading))
        else {
            return NO_SUCH_END.fails(Errno::EBADF);
        };
        let call = std::mem::replace(&mut self.calls[actor], Call::None);
        if bytes == 0 {
            return READS_NOTHING.succeeds();
        }
        if let (Call::ReadsOn { done }, Some(seen)) = (call, seen) {
            let mut body = Body::from_slice(&seen.body[..done]);
            body.extend(self.buffer.take(bytes - done));
            return READS.returns(Answer { body, ..number(0) }.counted());
        }
        if self.buffer.unread > 0 {
            let (body, rule): (_, &Rule) = match self.kind {
                Kind::Packets => (self.buffer.take_packet(bytes), READS_PACKET),
                _ => (self.buffer.take(bytes), READS),
            };
            return rule.returns(Answer { body, ..number(0) }.counted());
        }
        if !self.is_open(End::Writing) {
            return END_OF_FILE.succeeds();
        }
        if open.nonblocking && (call != Call::Reads || failed(seen, Errno::EAGAIN)) {
            return READ_WOULD_SLEEP.fails(Errno::EAGAIN);
        }
        self.calls[actor] = Call::Reads;
        READ_SLEEPS.sleeps()
    }

    /// What a read takes of one page, if it is going to tell of more.
    fn read_part(
        &mut self,
        actor: Actor,
        end: End,
        bytes: usize,
        seen: Option<&Answer>,
    ) -> Option<Part> {
        let seen = &seen?.body;
        let may_read = self.description(actor, end)?.access.includes(End::Reading);
        if !may_read || self.kind == Kind::Packets || self.buffer.unread == 0 {
            return None;
        }
        let begun = if let Call::ReadsOn { done } = self.calls[actor] { done } else { 0 };
        let body = self.buffer.take(self.buffer.first_page().min(bytes - begun));
        let done = begun + body.len();
        self.calls[actor] = Call::ReadsOn { done };
        let told = done < seen.len() && seen[begun..done] == body[..];
        told.then_some(Part::Shut(SEEN_IN_PART))
    }

    fn open(
        &mut self,
        actor: Actor,
        access: Access,
        nonblocking: bool,
        seen: Option<&Answer>,
    ) -> Step {
        let has = |end: End| access.includes(end) && self.held(actor, end).is_some();
        if has(End::Reading) || has(End::Writing) {
            return HAS_IT.returns(Answer::number(Op::HAS_IT));
        }
        if !self.kind.is_fifo() {
            return NO_SUCH_NAME.fails(Errno::ENOENT);
        }
        self.calls[actor] = Call::None;
        let other = match access {
            Access::Both => {
                self.opened(actor, access, nonblocking);
                return OPENS_BOTH.succeeds();
            }
            Access::Reading => End::Writing,
            Access::Writing => End::Reading,
        };
        let (there, coming) = (self.is_open(other), self.is_being_opened(other));
        match (access, nonblocking) {
            (Access::Reading, true) => {
                self.opened(actor, access, nonblocking);
                OPENS_EARLY.succeeds()
            }
            (_, true) if !there && (!coming || failed(seen, Errno::ENXIO)) => {
                NO_READER_YET.fails(Errno::ENXIO)
            }
            _ if there || coming => {
                self.opened(actor, access, nonblocking);
                OPENS.succeeds()
            }
            _ => {
                self.calls[actor] = Call::Opens(access);
                OPEN_SLEEPS.sleeps()
            }
        }
    }

    /// An actor has opened it.
    fn opened(&mut self, actor: Actor, access: Access, nonblocking: bool) {
        if access.includes(End::Writing) {
            for open in self.descriptions.iter_mut().flatten() {
                open.met_writer = true;
            }
        }
        let met_writer = access.includes(End::Writing) || self.is_open(End::Writing);
        let free = self.descriptions.iter().position(Option::is_none);
        let free = free.expect("no more descriptions than descriptors");
        self.descriptions[free] = Some(Description { access, nonblocking, met_writer });
        for end in [End::Reading, End::Writing] {
            if access.includes(end) {
                self.hands[actor][end as usize] = Some(free as u8);
            }
        }
    }

    /// Closes descriptions without a descriptor. A FIFO that nobody has open,
    /// or waits to open, is as it was at first: "The kernel maintains exactly
    /// one pipe object for each FIFO special file that is opened by at least
    /// one process" (fifo(7)).
    fn tidy(&mut self) {
        for (place, description) in self.descriptions.iter_mut().enumerate() {
            let held = self.hands.as_flattened().contains(&Some(place as u8));
            if !held {
                *description = None;
            }
        }
        let waits = self.calls.iter().any(|call| matches!(call, Call::Opens(_)));
        if self.descriptions.iter().all(Option::is_none) && !waits {
            self.buffer = Buffer::default();
            self.capacity = default_capacity();
        }
    }

    fn poll(&self, actor: Actor, end: End, seen: Option<&Answer>) -> Step {
        let Some(open) = self.description(actor, end) else {
            return POLLS_NOTHING.returns(Answer::number(PollFlags::POLLNVAL.bits().into()));
        };
        let (mut must, mut may) = (PollFlags::empty(), PollFlags::empty());
        if open.access.includes(End::Reading) {
            must.set(PollFlags::POLLIN, self.buffer.unread > 0);
            let hung_up = !self.is_open(End::Writing);
            must.set(PollFlags::POLLHUP, hung_up && open.met_writer);
            // Nobody has hung up who was not there.
            may.set(PollFlags::POLLHUP, hung_up);
        }
        if open.access.includes(End::Writing) {
            let broken = !self.is_open(End::Reading);
            must.set(PollFlags::POLLERR, broken);
            must.set(PollFlags::POLLOUT, self.has_free_page() && !broken);
            // A write that fails does not block either.
            may.set(PollFlags::POLLOUT, self.may_hold(1) || broken);
        }
        let flags = told(seen).map_or(must, |told| PollFlags::from_bits_retain(told as i16));
        let allowed = flags.contains(must) && (must | may).contains(flags);
        let flags = if allowed { flags } else { must };
        POLLS.returns(Answer::number(flags.bits().into()))
    }

    fn set_capacity(&mut self, bytes: usize, seen: Option<&Answer>) -> Step {
        let page = page_size();
        let (least, most) = (bytes.max(page), bytes.max(page).next_power_of_two());
        let set = told(seen).filter(|told| (least..=most).contains(told)).unwrap_or(most);
        let (fits, surely) = (self.buffer.unread <= set, self.buffer.pages * page <= set);
        if !fits || !surely && failed(seen, Errno::EBUSY) {
            return CAPACITY_IN_USE.fails(Errno::EBUSY);
        }
        self.capacity = set;
        SETS_CAPACITY.returns(number(set))
    }
}

impl Answer {
    /// With the number of its bytes as the result.
    fn counted(mut self) -> Self {
        self.result = Ok(self.body.len() as i64);
        self
    }
}

/// The name of the FIFO of this number; of 0 there is none.
fn name(of: [i64; 4]) -> CString {
    let name = format!("ipcspec-fifo-{}-{}", of[0], of[1]);
    CString::new(name).expect("no byte of it is 0")
}

impl Model for Pipe {
    const NAME: &'static str = "pipe";
    const ABOUT: &'static str =
        "reads and writes of a pipe or FIFO, its ends, capacity, packets and polls";
    const OUTCOMES: &'static [(&'static str, &'static [&'static str])] = &[
        ("write", &["ok", "EAGAIN", "EBADF", "EINTR", "EPIPE", "sleeps"]),
        ("read", &["ok", "EAGAIN", "EBADF", "EINTR", "sleeps"]),
        ("close", &["ok", "EBADF"]),
        ("open", &["ok", "EINTR", "ENOENT", "ENXIO", "sleeps"]),
        ("O_NONBLOCK", &["ok", "EBADF"]),
        ("FIONREAD", &["ok", "EBADF"]),
        ("poll", &["ok"]),
        ("F_GETPIPE_SZ", &["ok", "EBADF"]),
        ("F_SETPIPE_SZ", &["ok", "EBADF", "EBUSY"]),
    ];
    const C: &'static str = r#"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>
static int ends[2] = {-1, -1};
static char name[64] = "ipcspec-no-fifo";
static void tear_down(void) { unlink(name); }
static void set_up(void) {
    if (KIND == PIPE || KIND == PACKETS) {
        if (pipe2(ends, FLAGS | (KIND == PACKETS ? O_DIRECT : 0)) < 0) { perror("pipe2"); exit(1); }
    } else {
        snprintf(name, sizeof name, "ipcspec-fifo-%d", (int)getpid());
        if (mkfifo(name, 0600) < 0) { perror("mkfifo"); exit(1); }
        if (KIND == FIFO) {
            ends[0] = open(name, O_RDONLY | O_NONBLOCK);
            ends[1] = open(name, O_WRONLY | O_NONBLOCK);
        } else if (KIND == FIFO_BOTH) {
            ends[0] = open(name, O_RDWR | O_NONBLOCK);
            ends[1] = dup(ends[0]);
        }
        for (int end = 0; end < 2; end++)
            if (ends[end] >= 0) fcntl(ends[end], F_SETFL, FLAGS);
    }
    if (PAGES > 0 && ends[1] >= 0) fcntl(ends[1], F_SETPIPE_SZ, PAGES * sysconf(_SC_PAGESIZE));
}
static long put(int end, size_t bytes, unsigned tag) {
    unsigned char *data = malloc(bytes + 1);
    for (size_t place = 0; place < bytes; place++)
        data[place] = tag ^ (unsigned char)(place * 0x9d) ^ (unsigned char)(place >> 8);
    long told = write(ends[end], data, bytes);
    int error = errno;
    free(data);
    errno = error;
    return told;
}
static long get(int end, size_t bytes) {
    unsigned char *data = malloc(bytes + 1);
    long told = read(ends[end], data, bytes);
    int error = errno;
    unsigned long sum = 0;
    for (long place = 0; place < told; place++) {
        sum = sum * 31 + data[place];
        if (place < 16) printf("%02x ", data[place]);
    }
    if (told > 0) printf("(sum %lu) ", sum);
    free(data);
    errno = error;
    return told;
}
static long close_end(int end) {
    long told = close(ends[end]);
    ends[end] = -1;
    return told;
}
static long open_fifo(int flags) {
    int access = flags & O_ACCMODE;
    if ((access != O_WRONLY && ends[0] >= 0) || (access != O_RDONLY && ends[1] >= 0)) return 1;
    int opened = open(name, flags);
    if (opened < 0) return -1;
    if (access == O_RDONLY) ends[0] = opened;
    else ends[1] = opened;
    if (access == O_RDWR) ends[0] = dup(opened);
    return 0;
}
static long nonblocking(int end, int on) {
    int flags = fcntl(ends[end], F_GETFL);
    if (flags < 0) return -1;
    return fcntl(ends[end], F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK);
}
static long unread(int end) {
    int bytes;
    return ioctl(ends[end], FIONREAD, &bytes) < 0 ? -1 : bytes;
}
static long ready(int end) {
    struct pollfd list = {ends[end] < 0 ? 0x7fffffff : ends[end], POLLIN | POLLOUT, 0};
    return poll(&list, 1, 0) < 0 ? -1 : list.revents;
}
"#;
    const RUST: &'static [(&'static str, &'static [&'static str])] = &[
        ("crate::sys", &["poll"]),
        ("crate::sys::descriptors", &["closed_fd", "read_once", "set_nonblocking", "unread"]),
        ("crate::sys::memory", &["page_size"]),
        ("crate::sys::pipes", &["Fifo", "capacity", "set_capacity"]),
    ];
    const RUST_HELPERS: &'static [(&'static str, &'static str)] =
        &[("data", DATA_IN_RUST), ("fifo", "let fifo = Fifo { name: \"none\" };")];
    const CANARIES: &'static [Canary<Self>] = canaries::CANARIES;
    type Shape = Shape;
    type Op = Op;
    type Hands = Hands;

    fn make(shape: &Shape) -> nix::Result<Props> {
        static MADE: AtomicI64 = AtomicI64::new(0);
        let mut numbers = [0; 4];
        let files = match shape.kind {
            Kind::Pipe | Kind::Packets => {
                let mut flags = OFlag::O_CLOEXEC;
                flags.set(OFlag::O_DIRECT, shape.kind == Kind::Packets);
                let (reading, writing) = pipe2(flags)?;
                vec![reading, writing]
            }
            _ => {
                numbers = [std::process::id().into(), MADE.fetch_add(1, Relaxed), 0, 0];
                let name = name(numbers);
                mkfifo(name.as_c_str(), Mode::S_IRUSR | Mode::S_IWUSR)?;
                let open = |access: OFlag| {
                    let flags = access | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
                    open(name.as_c_str(), flags, Mode::empty())
                };
                match shape.kind {
                    Kind::Fifo => vec![open(OFlag::O_RDONLY)?, open(OFlag::O_WRONLY)?],
                    Kind::FifoBoth => vec![open(OFlag::O_RDWR)?],
                    _ => vec![],
                }
            }
        };
        for end in &files {
            set_nonblocking(end, shape.nonblocking)?;
        }
        if let (Some(end), 1..) = (files.first(), shape.pages) {
            set_capacity(end, usize::from(shape.pages) * page_size())?;
        }
        Ok(Props { numbers, files })
    }

    fn remove(props: &Props) {
        if props.numbers[0] != 0 {
            let _ = unlink(name(props.numbers).as_c_str());
        }
    }

    fn take(props: Props) -> Hands {
        let mut files = props.files.into_iter();
        let reading = files.next();
        let writing = files.next().or_else(|| reading.as_ref()?.try_clone().ok());
        Hands { ends: [reading, writing], name: name(props.numbers), data: vec![] }
    }

    fn new(shape: &Shape) -> Self {
        let open = |access| {
            let nonblocking = shape.nonblocking;
            Some(Description { access, nonblocking, met_writer: true })
        };
        let mut descriptions = [None; 2 * ACTORS];
        let hand = match shape.kind {
            Kind::Pipe | Kind::Packets | Kind::Fifo => {
                descriptions[0] = open(Access::Reading);
                descriptions[1] = open(Access::Writing);
                [Some(0), Some(1)]
            }
            Kind::FifoBoth => {
                descriptions[0] = open(Access::Both);
                [Some(0), Some(0)]
            }
            Kind::FifoClosed => [None, None],
        };
        let capacity = match (shape.kind, shape.pages) {
            (Kind::FifoClosed, _) | (_, 0) => default_capacity(),
            (_, pages) => usize::from(pages) * page_size(),
        };
        let buffer = Buffer::default();
        let calls = [Call::None; ACTORS];
        Self { kind: shape.kind, capacity, buffer, descriptions, hands: [hand; ACTORS], calls }
    }

    fn attempt(&mut self, actor: Actor, op: &Op, seen: Option<&Answer>) -> Step {
        if let Call::BeginsAnew { nonblocking } = self.calls[actor] {
            self.calls[actor] = Call::None;
            if nonblocking && failed(seen, Errno::EAGAIN) {
                return INTERRUPTED_OR_NOT.fails(Errno::EAGAIN);
            }
        }
        match *op {
            Op::Write { end, bytes, tag } => {
                self.write(actor, end, Data { bytes: bytes as usize, tag }, seen)
            }
            Op::Read { end, bytes } => self.read(actor, end, bytes as usize, seen),
            Op::Open { access, nonblocking } => self.open(actor, access, nonblocking, seen),
            Op::Poll(end) => self.poll(actor, end, seen),
            Op::Close(end)
            | Op::Nonblocking { end, .. }
            | Op::Unread(end)
            | Op::Capacity(end)
            | Op::SetCapacity { end, .. }
                if self.held(actor, end).is_none() =>
            {
                NO_SUCH_END.fails(Errno::EBADF)
            }
            Op::Close(end) => {
                self.hands[actor][end as usize] = None;
                self.tidy();
                CLOSES.succeeds()
            }
            Op::Nonblocking { end, on } => {
                let held = self.held(actor, end).expect("asked above");
                if let Some(open) = &mut self.descriptions[held] {
                    open.nonblocking = on;
                }
                SETS_FLAG.succeeds()
            }
            Op::Unread(_) => COUNTS.returns(number(self.buffer.unread)),
            Op::Capacity(_) => TELLS_CAPACITY.returns(number(self.capacity)),
            Op::SetCapacity { bytes, .. } => self.set_capacity(bytes as usize, seen),
        }
    }

    fn part(&mut self, actor: Actor, op: &Op, seen: Option<&Answer>) -> Option<Part> {
        match *op {
            Op::Write { end, bytes, tag } => {
                self.write_part(actor, end, Data { bytes: bytes as usize, tag }, seen)
            }
            Op::Read { end, bytes } => self.read_part(actor, end, bytes as usize, seen),
            _ => None,
        }
    }

    fn cut(&mut self, actor: Actor, op: &Op, by: Cut) -> Step {
        let call = std::mem::replace(&mut self.calls[actor], Call::None);
        self.tidy();
        if let Call::Writes { done: done @ 1.., .. } = call {
            if matches!(by, Cut::Handler { .. }) {
                return TELLS_HOW_MUCH.returns(number(done));
            }
            self.calls[actor] = Call::Writes { done, pace: Pace::Stopped };
            return GOES_ON.restarts();
        }
        // What cut it short first may have decided how it ends.
        let nonblocking = self.is_nonblocking(actor, *op)
            || matches!(call, Call::BeginsAnew { nonblocking: true });
        let step = match by {
            Cut::Handler { restart: true } => RESTARTS.restarts(),
            Cut::Handler { restart: false } if nonblocking => {
                let either = [Errno::EINTR, Errno::EAGAIN].map(Answer::error);
                INTERRUPTED_OR_NOT.returns_one_of(either.to_vec())
            }
            Cut::Handler { restart: false } => INTERRUPTED.fails(Errno::EINTR),
            Cut::Stop | Cut::Time => GOES_ON.restarts(),
        };
        if matches!(step, Step::Restarts(_)) {
            self.calls[actor] = Call::BeginsAnew { nonblocking };
        }
        step
    }

    fn forked(&mut self, parent: Actor, child: Actor) {
        self.hands[child] = self.hands[parent];
        self.calls[child] = Call::None;
    }

    fn ended(&mut self, actor: Actor) {
        self.hands[actor] = [None; 2];
        self.calls[actor] = Call::None;
        self.tidy();
    }

    fn class(&self) -> u32 {
        let fill = match self.buffer.unread {
            0 => 0,
            _ if self.has_free_page() => 1,
            _ => 2,
        };
        let ends =
            u32::from(self.is_open(End::Reading)) + 2 * u32::from(self.is_open(End::Writing));
        fill + 3 * ends
    }
}
