//! eventfd: a counter to wait for.

use std::fs;

use libc::SOCK_STREAM;
use nix::fcntl::FdFlag;
use nix::poll::{PollFlags, PollTimeout};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::EfdFlags;
use nix::sys::select::{FdSet, select};
use nix::sys::time::{TimeVal, TimeValLike};

use crate::prelude::*;
use crate::sys::descriptors::{
    DescriptorLimit, PIDFD_GETFD, foreign_fd, read_all, set_nonblocking,
};
use crate::sys::eventfd::{
    KERNEL_AIO, MOST, OLD_CALL, add, event, kernel_signals, old_event, take,
};
use crate::sys::files::file;
use crate::sys::poll::{self, ERR, IN, NONE, OUT, now};
use crate::sys::program::{A_PROGRAM, Program};
use crate::sys::signals::{catch, restart};
use crate::sys::sockets::Socket;

/// The cases of this module.
pub const CASES: &[Case] = &[
    counter_begins_at_the_given_value,
    read_takes_the_sum_of_the_writes,
    semaphore_read_takes_one,
    read_at_zero_sleeps_until_something_is_added,
    write_past_the_maximum_sleeps_until_a_read,
    semaphore_write_sleeps_until_its_value_fits,
    nonblocking_eventfd_gives_eagain,
    units_wake_as_many_semaphore_readers,
    one_sleeping_reader_takes_the_whole,
    one_read_wakes_every_writer,
    concurrent_writes_all_count,
    concurrent_semaphore_readers_share_the_units,
    signal_ends_a_sleep_and_changes_nothing,
    restarted_sleep_goes_on,
    stop_and_continue_leave_it_asleep,
    wrong_sizes_and_the_reserved_value_are_refused,
    read_gives_eight_bytes_whatever_the_room,
    every_copy_is_the_same_counter,
    close_on_exec_is_as_asked,
    program_keeps_it_unless_close_on_exec,
    old_call_knows_no_flags,
    readiness_is_as_the_counter_says,
    write_wakes_whoever_waits_for_input,
    read_wakes_whoever_waits_for_room,
    each_write_is_an_edge,
    kernel_adds_one_for_each_end_of_its_work,
    overflow_by_the_kernel_is_an_error,
    fdinfo_shows_the_counter,
    eventfd_takes_one_descriptor,
    unknown_flags_are_refused,
];

const PLAIN: EfdFlags = EfdFlags::empty();
const NONBLOCK: EfdFlags = EfdFlags::EFD_NONBLOCK;
const SEMAPHORE: EfdFlags = EfdFlags::EFD_SEMAPHORE;
const CLOEXEC: EfdFlags = EfdFlags::EFD_CLOEXEC;

/// A blocking eventfd at the maximum.
fn full(flags: EfdFlags) -> nix::Result<OwnedFd> {
    let event = event(0, flags)?;
    add(&event, MOST)?;
    Ok(event)
}

/// A set of this descriptor.
fn set(fd: &impl AsFd) -> FdSet<'_> {
    let mut set = FdSet::new();
    set.insert(fd.as_fd());
    set
}

/// What select tells now of input and output, in the events of poll.
fn selected(fd: &impl AsFd) -> nix::Result<PollFlags> {
    let (mut reads, mut writes) = (set(fd), set(fd));
    select(None, &mut reads, &mut writes, None, &mut TimeVal::zero())?;
    let ready = |set: FdSet<'_>, events| if set.contains(fd.as_fd()) { events } else { NONE };
    Ok(ready(reads, IN) | ready(writes, OUT))
}

/// An epoll instance that watches one descriptor.
fn watching(fd: impl AsFd, events: EpollFlags) -> nix::Result<Epoll> {
    let epoll = Epoll::new(EpollCreateFlags::empty())?;
    epoll.add(fd, EpollEvent::new(events, 0))?;
    Ok(epoll)
}

/// What epoll_wait tells of the only descriptor that it watches.
fn wait(epoll: &Epoll, timeout: EpollTimeout) -> nix::Result<EpollFlags> {
    let mut events = [EpollEvent::empty()];
    epoll.wait(&mut events, timeout)?;
    Ok(events[0].events())
}

/// Which of several children have been woken.
struct Woken(OwnedFd, OwnedFd);

impl Woken {
    fn new() -> Verdict<Self> {
        let (r, w) = pipe()?;
        Ok(Self(r, w))
    }

    /// Tells that this child has.
    fn tell(&self, which: usize) -> Verdict {
        Ok(write(&self.1, &[which as u8]).map(drop)?)
    }

    /// The sum of the numbers of the first so many, which a child waits for:
    /// that not enough are woken is then seen.
    fn sum_of(&self, count: usize) -> Verdict<usize> {
        let sum = Counter::new()?;
        Child::spawn(|| {
            sum.set(read_all(&self.0, count)?.iter().map(|which| u64::from(*which)).sum());
            Ok(())
        })?
        .join()?;
        Ok(sum.get() as usize)
    }
}

/// A read takes the value that the eventfd was made with, the largest too.
#[case(EVENTFD_2, "DESCRIPTION")]
fn counter_begins_at_the_given_value() -> Verdict {
    for value in [1, 0x0102_0304, u32::MAX] {
        check!(take(event(value, NONBLOCK)?) == Ok(value.into()));
    }
    check!(take(event(0, NONBLOCK)?) == Err(EAGAIN));
    Ok(())
}

/// A read takes all that was added to the value at the beginning, and leaves 0.
#[case(EVENTFD_2, "DESCRIPTION")]
fn read_takes_the_sum_of_the_writes() -> Verdict {
    let event = event(0x0a00, NONBLOCK)?;
    for value in [0x0b, 0, 0x0c_0000, 0x0d00_0000_0000_0000] {
        check!(add(&event, value) == Ok(()));
    }
    check!(take(&event) == Ok(0x0d00_0000_000c_0a0b));
    check!(take(&event) == Err(EAGAIN));
    add(&event, MOST)?;
    check!(take(&event) == Ok(MOST));
    Ok(())
}

/// With EFD_SEMAPHORE a read gives 1 and takes 1 off the counter, which stays at 0 when there is none to take.
#[case(EVENTFD_2, "DESCRIPTION", settles = ["eventfd.2 EFD_SEMAPHORE"])]
fn semaphore_read_takes_one() -> Verdict {
    let event = event(1, SEMAPHORE | NONBLOCK)?;
    add(&event, 2)?;
    for round in 0..3 {
        check!(now(&event, IN) == Ok(IN), "round {round}");
        check!(take(&event) == Ok(1), "round {round}");
    }
    check!(take(&event) == Err(EAGAIN));
    check!(now(&event, IN | OUT) == Ok(OUT));
    check!(add(&event, MOST) == Ok(()));
    Ok(())
}

/// A read of a counter that is 0 sleeps until something is added, which 0 is not.
#[case(EVENTFD_2, "DESCRIPTION")]
fn read_at_zero_sleeps_until_something_is_added() -> Verdict {
    for (flags, taken) in [(PLAIN, 7), (SEMAPHORE, 1)] {
        let event = event(0, flags)?;
        let reader = Child::spawn(|| holds!(take(&event) == Ok(taken), "{flags:?}"))?;
        reader.blocked_in(READ)?;
        check!(add(&event, 0) == Ok(()));
        reader.blocked_in(READ)?;
        add(&event, 7)?;
        reader.join()?;
    }
    Ok(())
}

/// A write that would pass the maximum sleeps and adds nothing until a read makes room; one that fits goes ahead of it.
#[case(EVENTFD_2, "DESCRIPTION")]
fn write_past_the_maximum_sleeps_until_a_read() -> Verdict {
    let event = event(0, PLAIN)?;
    add(&event, MOST - 4)?;
    let writer = Child::spawn(|| holds!(add(&event, 5) == Ok(())))?;
    writer.blocked_in(WRITE)?;
    Child::spawn(|| holds!(add(&event, 4) == Ok(())))?.join()?;
    writer.blocked_in(WRITE)?;
    check!(take(&event) == Ok(MOST));
    writer.join()?;
    check!(take(&event) == Ok(5));
    Ok(())
}

/// With EFD_SEMAPHORE a write that sleeps needs as many reads as make room for its value.
#[case(EVENTFD_2, "DESCRIPTION")]
fn semaphore_write_sleeps_until_its_value_fits() -> Verdict {
    let event = full(SEMAPHORE)?;
    let writer = Child::spawn(|| holds!(add(&event, 2) == Ok(())))?;
    writer.blocked_in(WRITE)?;
    check!(take(&event) == Ok(1));
    writer.blocked_in(WRITE)?;
    check!(take(&event) == Ok(1));
    writer.join()?;
    check!(now(&event, IN | OUT) == Ok(IN));
    Ok(())
}

/// EFD_NONBLOCK sets O_NONBLOCK, set at once or later a read of 0 and a write past the maximum fail with EAGAIN, and the counter stays.
#[case(EVENTFD_2, "DESCRIPTION", settles = ["eventfd.2 EFD_NONBLOCK"])]
fn nonblocking_eventfd_gives_eagain() -> Verdict {
    let (at_once, later) = (event(0, NONBLOCK)?, event(0, PLAIN)?);
    let flags = |event: &OwnedFd| fcntl(event, FcntlArg::F_GETFL).map(OFlag::from_bits_retain);
    check!(flags(&at_once)?.contains(OFlag::O_NONBLOCK));
    check!(!flags(&later)?.contains(OFlag::O_NONBLOCK));
    set_nonblocking(&later, true)?;
    for event in [at_once, later] {
        check!(take(&event) == Err(EAGAIN));
        add(&event, MOST - 1)?;
        check!(add(&event, 2) == Err(EAGAIN));
        check!(add(&event, 1) == Ok(()));
        check!(add(&event, 1) == Err(EAGAIN));
        check!(take(&event) == Ok(MOST));
    }
    Ok(())
}

/// With EFD_SEMAPHORE a write of 2 ends two of three sleeping reads, and the third sleeps on until there is one more.
#[case(EVENTFD_2, "DESCRIPTION")]
fn units_wake_as_many_semaphore_readers() -> Verdict {
    let (event, woken) = (event(0, SEMAPHORE)?, Woken::new()?);
    let readers = Children::spawn(3, |which| {
        check!(take(&event) == Ok(1));
        woken.tell(which)
    })?;
    readers.blocked_in(READ)?;
    add(&event, 2)?;
    // 0, 1 and 2 are 3.
    let third = 3 - woken.sum_of(2)?;
    readers[third].blocked_in(READ)?;
    add(&event, 1)?;
    readers.join()
}

/// Without EFD_SEMAPHORE one of several sleeping reads takes all that is written, and the others sleep on.
#[case(EVENTFD_2, "DESCRIPTION")]
fn one_sleeping_reader_takes_the_whole() -> Verdict {
    let (event, woken) = (event(0, PLAIN)?, Woken::new()?);
    let readers = Children::spawn(2, |which| {
        check!(take(&event) == Ok(5));
        woken.tell(which)
    })?;
    readers.blocked_in(READ)?;
    add(&event, 5)?;
    let first = woken.sum_of(1)?;
    readers[1 - first].blocked_in(READ)?;
    add(&event, 5)?;
    readers.join()
}

/// A read that makes room for all the writes that sleep ends all of them, and each has added its value.
#[case(EVENTFD_2, "DESCRIPTION")]
fn one_read_wakes_every_writer() -> Verdict {
    let event = full(PLAIN)?;
    let writers = Children::spawn(3, |which| holds!(add(&event, 1 << (8 * which)) == Ok(())))?;
    writers.blocked_in(WRITE)?;
    check!(take(&event) == Ok(MOST));
    writers.join()?;
    check!(take(&event) == Ok(0x01_0101));
    Ok(())
}

/// Of what several processes add at once nothing is lost.
#[case(EVENTFD_2, "DESCRIPTION")]
fn concurrent_writes_all_count() -> Verdict {
    let event = event(0, PLAIN)?;
    let writers = Children::spawn(3, |which| {
        for _ in 0..1000 {
            add(&event, 1 << (16 * which))?;
        }
        Ok(())
    })?;
    let reader = Child::spawn(|| {
        let mut sum = 0;
        while sum != 0x03e8_03e8_03e8 {
            sum += take(&event)?;
            check!(sum <= 0x03e8_03e8_03e8);
        }
        Ok(())
    })?;
    writers.join()?;
    reader.join()
}

/// Several processes that read at once with EFD_SEMAPHORE get as many units as there are, no more and no fewer.
#[case(EVENTFD_2, "DESCRIPTION")]
fn concurrent_semaphore_readers_share_the_units() -> Verdict {
    let (event, taken) = (event(3000, SEMAPHORE | NONBLOCK)?, Counter::new()?);
    let readers = Children::spawn(3, |_| {
        while let Ok(unit) = take(&event) {
            check!(unit == 1);
            check!(taken.add(1) < 3000);
        }
        holds!(take(&event) == Err(EAGAIN))
    })?;
    readers.join()?;
    check!(taken.get() == 3000);
    Ok(())
}

/// A signal without SA_RESTART ends the sleep of a read and of a write with EINTR, and the counter stays.
#[case(SIGNAL_7, "Interruption of system calls and library functions by signal handlers")]
fn signal_ends_a_sleep_and_changes_nothing() -> Verdict {
    catch(SIGUSR1)?;
    let (zero, full) = (event(0, PLAIN)?, full(PLAIN)?);
    Child::spawn(|| holds!(take(&zero) == Err(EINTR)))?.interrupt_in(READ, SIGUSR1)?;
    Child::spawn(|| holds!(add(&full, 1) == Err(EINTR)))?.interrupt_in(WRITE, SIGUSR1)?;
    check!(now(&zero, IN | OUT) == Ok(OUT));
    check!(take(&full) == Ok(MOST));
    Ok(())
}

/// After a handler with SA_RESTART a read and a write sleep on, and do in the end what they were called for.
#[case(SIGNAL_7, "Interruption of system calls and library functions by signal handlers")]
fn restarted_sleep_goes_on() -> Verdict {
    let (zero, full) = (event(0, PLAIN)?, full(PLAIN)?);
    let handled = restart(SIGUSR1)?;
    let reader = Child::spawn(|| holds!(take(&zero) == Ok(3)))?;
    reader.sleeps_on_in(READ, SIGUSR1, handled)?;
    add(&zero, 3)?;
    reader.join()?;
    let handled = restart(SIGUSR1)?;
    let writer = Child::spawn(|| holds!(add(&full, 4) == Ok(())))?;
    writer.sleeps_on_in(WRITE, SIGUSR1, handled)?;
    check!(take(&full) == Ok(MOST));
    writer.join()?;
    check!(take(&full) == Ok(4));
    Ok(())
}

/// A read and a write that sleep sleep on after their process was stopped and continued.
#[case(SIGNAL_7, "Interruption of system calls and library functions by stop signals")]
fn stop_and_continue_leave_it_asleep() -> Verdict {
    let (zero, full) = (event(0, PLAIN)?, full(PLAIN)?);
    let reader = Child::spawn(|| holds!(take(&zero) == Ok(3)))?;
    let writer = Child::spawn(|| holds!(add(&full, 4) == Ok(())))?;
    for (sleeper, call) in [(&reader, READ), (&writer, WRITE)] {
        sleeper.blocked_in(call)?;
        sleeper.stop_and_continue()?;
        sleeper.blocked_in(call)?;
    }
    add(&zero, 3)?;
    check!(take(&full) == Ok(MOST));
    reader.join()?;
    writer.join()
}

/// A buffer of less than 8 bytes is refused for reading and writing, and so is the value of all ones, which never blocks; the counter stays.
#[case(EVENTFD_2, "DESCRIPTION")]
fn wrong_sizes_and_the_reserved_value_are_refused() -> Verdict {
    let (some, full) = (event(9, PLAIN)?, full(PLAIN)?);
    for size in [1, 4, 7] {
        check!(write(&some, &[1; 8][..size]) == Err(EINVAL), "{size} bytes");
        check!(read(&some, &mut [0; 8][..size]) == Err(EINVAL), "{size} bytes");
    }
    check!(add(&some, u64::MAX) == Err(EINVAL));
    check!(add(&full, u64::MAX) == Err(EINVAL));
    check!((take(&some), take(&full)) == (Ok(9), Ok(MOST)));
    Ok(())
}

/// A read with room for more gives 8 bytes and touches nothing behind them.
#[case(EVENTFD_2, "DESCRIPTION")]
fn read_gives_eight_bytes_whatever_the_room() -> Verdict {
    let event = event(0, PLAIN)?;
    add(&event, 0x1122_3344_5566_7788)?;
    let mut buffer = [0xff; 24];
    check!(read(&event, &mut buffer) == Ok(8));
    check!(buffer[..8] == 0x1122_3344_5566_7788_u64.to_ne_bytes());
    check!(buffer[8..] == [0xff; 16]);
    Ok(())
}

/// A copy by dup, by fork or over a socket is the same counter, which lasts until the last of them is closed.
#[case(EVENTFD_2, "DESCRIPTION", also = [(UNIX_7, "Ancillary messages")])]
fn every_copy_is_the_same_counter() -> Verdict {
    let (here, there) = Socket::pair(SOCK_STREAM)?;
    let stranger = Child::spawn(move || {
        let passed = there.recv_message(1, 64, 0)?.descriptors;
        check!(passed.len() == 1);
        check!(take(&passed[0]) == Ok(0x111));
        Ok(add(&passed[0], 0x1000)?)
    })?;
    let event = event(0x001, PLAIN)?;
    let copy = dup(&event)?;
    Child::spawn(|| holds!(add(&event, 0x010) == Ok(())))?.join()?;
    check!(add(&copy, 0x100) == Ok(()));
    here.send_descriptors(b"!", &[event.as_raw_fd()])?;
    drop(event);
    stranger.join()?;
    check!(take(&copy) == Ok(0x1000));
    Ok(())
}

/// FD_CLOEXEC is set with EFD_CLOEXEC and not without.
#[case(EVENTFD_2, "DESCRIPTION", settles = ["eventfd.2 EFD_CLOEXEC"])]
fn close_on_exec_is_as_asked() -> Verdict {
    for (flags, wanted) in [(CLOEXEC, FdFlag::FD_CLOEXEC), (NONBLOCK, FdFlag::empty())] {
        let got = fcntl(event(0, flags)?, FcntlArg::F_GETFD).map(FdFlag::from_bits_retain);
        check!(got == Ok(wanted), "{flags:?}");
    }
    Ok(())
}

/// A program that is executed has the eventfd with its counter, unless that was made with EFD_CLOEXEC.
#[case(EVENTFD_2, "DESCRIPTION", settles = ["eventfd.2 EFD_CLOEXEC"], needs = [A_PROGRAM, Need::Facility(PIDFD_GETFD)])]
fn program_keeps_it_unless_close_on_exec() -> Verdict {
    let (kept, closed) = (event(0, NONBLOCK)?, event(0, CLOEXEC)?);
    let program = Program::start(|| {
        add(&kept, 5)?;
        Ok(add(&closed, 5)?)
    })?;
    let of_program = |event: &OwnedFd| foreign_fd(program.pid().as_raw(), event.as_raw_fd());
    check!(take(of_program(&kept)?) == Ok(5));
    check!(take(&kept) == Err(EAGAIN));
    check!(of_program(&closed).map(drop) == Err(EBADF));
    program.finish()
}

/// The older of the two system calls ignores what stands where the newer one has its flags.
#[case(EVENTFD_2, "C library/kernel differences", needs = [OLD_CALL])]
fn old_call_knows_no_flags() -> Verdict {
    let event = old_event(3)?;
    check!(fcntl(&event, FcntlArg::F_GETFD) == Ok(0));
    check!(fcntl(&event, FcntlArg::F_GETFL)? & OFlag::O_NONBLOCK.bits() == 0);
    check!(take(&event) == Ok(3));
    Ok(())
}

/// For poll, select and epoll it is ready for input while above 0, and for output while 1 can be added without blocking.
#[case(EVENTFD_2, "DESCRIPTION")]
fn readiness_is_as_the_counter_says() -> Verdict {
    for (added, ready) in [(0, OUT), (1, IN | OUT), (MOST - 1, IN | OUT), (MOST, IN)] {
        let event = event(0, PLAIN)?;
        let epoll = watching(&event, EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT)?;
        add(&event, added)?;
        check!(now(&event, IN | OUT) == Ok(ready), "at {added}");
        check!(selected(&event) == Ok(ready), "at {added}");
        let events = EpollFlags::from_bits_retain(ready.bits().into());
        check!(wait(&epoll, EpollTimeout::ZERO) == Ok(events), "at {added}");
        if added > 0 {
            take(&event)?;
            check!(now(&event, IN | OUT) == Ok(OUT), "after {added}");
        }
    }
    Ok(())
}

/// A write wakes every process that waits for input in poll, select and epoll_wait.
#[case(EVENTFD_2, "DESCRIPTION")]
fn write_wakes_whoever_waits_for_input() -> Verdict {
    let event = event(0, PLAIN)?;
    let poller = Child::spawn(|| holds!(poll::wait(&event, IN, PollTimeout::NONE) == Ok(IN)))?;
    let selector =
        Child::spawn(|| holds!(select(None, &mut set(&event), None, None, None) == Ok(1)))?;
    let waiter = Child::spawn(|| {
        let epoll = watching(&event, EpollFlags::EPOLLIN)?;
        holds!(wait(&epoll, EpollTimeout::NONE) == Ok(EpollFlags::EPOLLIN))
    })?;
    poller.blocked_in(POLL)?;
    selector.blocked_in(SELECT)?;
    waiter.blocked_in(EPOLL_WAIT)?;
    add(&event, 1)?;
    Children::from([poller, selector, waiter]).join()
}

/// A read wakes every process that waits for room in poll, select and epoll_wait.
#[case(EVENTFD_2, "DESCRIPTION")]
fn read_wakes_whoever_waits_for_room() -> Verdict {
    let event = full(SEMAPHORE)?;
    let poller = Child::spawn(|| holds!(poll::wait(&event, OUT, PollTimeout::NONE) == Ok(OUT)))?;
    let selector =
        Child::spawn(|| holds!(select(None, None, &mut set(&event), None, None) == Ok(1)))?;
    let waiter = Child::spawn(|| {
        let epoll = watching(&event, EpollFlags::EPOLLOUT)?;
        holds!(wait(&epoll, EpollTimeout::NONE) == Ok(EpollFlags::EPOLLOUT))
    })?;
    poller.blocked_in(POLL)?;
    selector.blocked_in(SELECT)?;
    waiter.blocked_in(EPOLL_WAIT)?;
    check!(take(&event) == Ok(1));
    Children::from([poller, selector, waiter]).join()
}

/// With EPOLLET each write is reported once, though nothing was read meanwhile.
#[case(EPOLL_7, "Level-triggered and edge-triggered")]
fn each_write_is_an_edge() -> Verdict {
    let event = event(0, PLAIN)?;
    let epoll = watching(&event, EpollFlags::EPOLLIN | EpollFlags::EPOLLET)?;
    for round in 0..3 {
        add(&event, 1)?;
        check!(wait(&epoll, EpollTimeout::ZERO) == Ok(EpollFlags::EPOLLIN), "round {round}");
        check!(wait(&epoll, EpollTimeout::ZERO) == Ok(EpollFlags::empty()), "round {round}");
    }
    check!(take(&event) == Ok(3));
    Ok(())
}

/// Each piece of work that the kernel finishes for an eventfd adds 1 and wakes who waits for it.
#[case(EVENTFD_2, "NOTES", also = [(IO_SUBMIT_2, "DESCRIPTION")], needs = [Need::Facility(KERNEL_AIO)])]
fn kernel_adds_one_for_each_end_of_its_work() -> Verdict {
    let (event, file) = (event(0, PLAIN)?, file("content")?);
    let reader = Child::spawn(|| holds!(take(&event) == Ok(1)))?;
    reader.blocked_in(READ)?;
    kernel_signals(&file, &event)?;
    reader.join()?;
    kernel_signals(&file, &event)?;
    kernel_signals(&file, &event)?;
    check!(take(&event) == Ok(2));
    Ok(())
}

/// Where the kernel goes past the maximum, poll tells POLLERR, select tells input and output, and a read gives all ones and leaves 0.
#[case(EVENTFD_2, "DESCRIPTION", needs = [Need::Facility(KERNEL_AIO)])]
fn overflow_by_the_kernel_is_an_error() -> Verdict {
    let (event, file) = (full(NONBLOCK)?, file("content")?);
    kernel_signals(&file, &event)?;
    check!(now(&event, NONE) == Ok(ERR));
    check!(selected(&event) == Ok(IN | OUT));
    check!(take(&event) == Ok(u64::MAX));
    check!(now(&event, IN | OUT) == Ok(OUT));
    check!(take(&event) == Err(EAGAIN));
    Ok(())
}

/// In /proc/PID/fdinfo, eventfd-count is the counter in hexadecimal.
#[case(PROC_PID_FDINFO_5, "DESCRIPTION", also = [(EVENTFD_2, "NOTES")], needs = [Need::Proc])]
fn fdinfo_shows_the_counter() -> Verdict {
    let event = event(0, PLAIN)?;
    for value in [0, 0x0123_4567_89ab_cdef, MOST] {
        add(&event, value)?;
        let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", event.as_raw_fd()))?;
        let count = info.lines().find_map(|line| line.strip_prefix("eventfd-count:"));
        let count = count.and_then(|count| u64::from_str_radix(count.trim(), 16).ok());
        check!(count == Some(value), "{info}");
        if value > 0 {
            take(&event)?;
        }
    }
    Ok(())
}

/// An eventfd takes one descriptor, and with none to spare fails with EMFILE.
#[case(EVENTFD_2, "ERRORS", settles = ["eventfd.2 EMFILE"])]
fn eventfd_takes_one_descriptor() -> Verdict {
    let _limit = DescriptorLimit::leave(1)?;
    let last = event(0, PLAIN)?;
    check!(event(0, PLAIN).map(drop) == Err(EMFILE));
    drop(last);
    check!(event(0, PLAIN).map(drop) == Ok(()));
    Ok(())
}

/// A flag that is none of the three is refused, whichever it is and whatever stands beside it.
#[case(EVENTFD_2, "ERRORS", settles = ["eventfd.2 EINVAL"])]
fn unknown_flags_are_refused() -> Verdict {
    let known = CLOEXEC | NONBLOCK | SEMAPHORE;
    check!(event(0, known).map(drop) == Ok(()));
    for flag in (0..32).map(|bit| EfdFlags::from_bits_retain(1 << bit)) {
        if !known.contains(flag) {
            check!(event(0, flag).map(drop) == Err(EINVAL), "{flag:?}");
            check!(event(0, known | flag).map(drop) == Err(EINVAL), "{flag:?}");
        }
    }
    Ok(())
}
