//! select: sets that come back with what is ready.

use std::fs::File;

use libc::{AF_INET, MSG_OOB};
use nix::fcntl::FcntlArg::F_DUPFD;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::time::TimeVal;

use super::states::{self, State};
use crate::prelude::*;
use crate::sys::descriptors::{just_closed, lent, read_all, set_nonblocking};
use crate::sys::memory::Memory;
use crate::sys::pipes::fill_pipe;
use crate::sys::poll::{ERR, HUP, IN, OUT, PRI, RDBAND, RDNORM, WRBAND, WRNORM, now, soon};
use crate::sys::select::{Sets, bytes_of_bits, select_memory};
use crate::sys::signals::{Action, catch};
use crate::sys::sockets::{Socket, tcp_pair};

/// The cases of this module.
pub const CASES: &[Case] = &[
    ready_is_what_does_not_block,
    select_says_of_pipes_what_poll_says,
    select_says_of_sockets_what_poll_says,
    nonblocking_descriptors_are_selected_no_sooner,
    end_of_file_counts_as_readable,
    sets_come_back_with_what_is_ready,
    descriptor_counts_once_for_each_set,
    files_are_always_readable_and_writable,
    descriptors_from_nfds_on_are_not_looked_at,
    set_is_no_longer_than_nfds_says,
    set_may_have_thousands_of_bits,
    write_wakes_every_sleeping_select,
    room_and_a_lost_reader_wake_a_sleeping_select,
    last_close_wakes_a_sleeping_select,
    close_of_a_copy_wakes_no_select,
    byte_that_a_handler_writes_is_there_after_the_interruption,
    closed_descriptor_is_refused_and_the_sets_stay,
    interrupted_select_leaves_the_sets,
    negative_nfds_is_refused_and_the_sets_stay,
];

/// Whether select, with a descriptor in all three sets, leaves it in each.
fn ready(fd: &OwnedFd) -> Verdict<[bool; 3]> {
    let mut sets = Sets::all(&[fd]);
    let count = sets.now()?;
    let there = Sets::all(&[fd]);
    let told = [
        sets.reads == there.reads,
        sets.writes == there.writes,
        sets.exceptions == there.exceptions,
    ];
    let total = told.iter().filter(|there| **there).count() as i32;
    check!(count == total, "the sets came back as {sets:?}");
    Ok(told)
}

/// Ready for reading is a read end with data or without writers, for writing a write end with room or without readers.
#[case(SELECT_2, "Arguments", also = [(PIPE_7, "I/O on pipes and FIFOs")])]
fn ready_is_what_does_not_block() -> Verdict {
    for State { name, fd, ready: flags, .. } in states::read_ends()? {
        // Whether a FIFO that never had a writer is at its end is left open:
        // a read does not block, yet nothing has come to an end.
        if name.ends_with("never had a writer") {
            continue;
        }
        check!(ready(&fd)?[0] == flags.intersects(IN | HUP), "{name}");
        check!(!ready(&fd)?[2], "{name}");
    }
    for State { name, fd, ready: flags, .. } in states::write_ends()? {
        check!(ready(&fd)?[1] == flags.intersects(OUT | ERR), "{name}");
        check!(!ready(&fd)?[2], "{name}");
    }
    Ok(())
}

/// What the three sets say of a descriptor, by what poll reports of it.
fn by_poll(fd: &OwnedFd) -> nix::Result<[bool; 3]> {
    let reads = RDNORM | RDBAND | IN | HUP | ERR;
    let writes = WRBAND | WRNORM | OUT | ERR;
    let told = now(fd, reads | writes | PRI)?;
    Ok([reads, writes, PRI].map(|flags| told.intersects(flags)))
}

/// Select tells of every end of a pipe or FIFO in every state what the flags of poll amount to.
#[case(SELECT_2, "Correspondence between select() and poll() notifications")]
fn select_says_of_pipes_what_poll_says() -> Verdict {
    for State { name, fd, .. } in states::all()? {
        check!(ready(&fd)? == by_poll(&fd)?, "{name}");
    }
    Ok(())
}

/// O_NONBLOCK changes nothing of what select tells.
#[case(SELECT_2, "NOTES")]
fn nonblocking_descriptors_are_selected_no_sooner() -> Verdict {
    for State { name, fd, .. } in states::all()? {
        set_nonblocking(&fd, false)?;
        let blocking = ready(&fd)?;
        set_nonblocking(&fd, true)?;
        check!(ready(&fd)? == blocking, "{name}");
    }
    Ok(())
}

/// Select tells of sockets what the flags of poll amount to: fresh, with data, full, with urgent data and left by the peer.
#[case(SELECT_2, "Correspondence between select() and poll() notifications")]
fn select_says_of_sockets_what_poll_says() -> Verdict {
    let [fresh, data, full, half, left] = [(); 5].map(|()| Socket::pair(libc::SOCK_STREAM));
    let (fresh, data, full, half, left) = (fresh?, data?, full?, half?, left?);
    data.1.send(b"x")?;
    full.0.fill(&[0; 512])?;
    half.1.shutdown(libc::SHUT_WR)?;
    drop(left.1);
    let (client, urgent) = tcp_pair(AF_INET)?;
    client.send_with(b"!", MSG_OOB)?;
    soon(&urgent, PRI)?;
    let sockets = [fresh.0, data.0, full.0, half.0, left.0, urgent].map(OwnedFd::from);
    let names = ["fresh", "data", "full", "peer that writes no more", "no peer", "urgent data"];
    for (name, socket) in names.iter().zip(&sockets) {
        check!(ready(socket)? == by_poll(socket)?, "{name}");
    }
    Ok(())
}

/// A read end is ready at the end of file too, and not while it is empty with a writer.
#[case(SELECT_2, "Arguments")]
fn end_of_file_counts_as_readable() -> Verdict {
    let (r, w) = pipe()?;
    check!(Sets::reads(&[&r]).now() == Ok(0));
    drop(w);
    for _ in 0..2 {
        check!(Sets::reads(&[&r]).now() == Ok(1));
        check!(text(&r, 8) == Ok(""));
    }
    Ok(())
}

/// Select clears the sets of all that is not ready and returns how many are left in all of them.
#[case(SELECT_2, "Arguments", also = [(SELECT_2, "RETURN VALUE")])]
fn sets_come_back_with_what_is_ready() -> Verdict {
    let ((r, w), (empty, _w), (_r, full)) = (pipe()?, pipe()?, pipe()?);
    fill_pipe(&full)?;
    write(&w, b"x")?;
    let mut sets = Sets::reads(&[&r, &empty]);
    sets.writes = Sets::writes(&[&w, &full]).writes;
    sets.exceptions = Sets::exceptions(&[&r, &w]).exceptions;
    check!(sets.now() == Ok(2));
    check!(sets.reads == Sets::reads(&[&r]).reads);
    check!(sets.writes == Sets::writes(&[&w]).writes);
    check!(sets.exceptions == Sets::exceptions(&[]).exceptions);
    // The next call looks only at what was left.
    read_all(&r, 1)?;
    check!(sets.now() == Ok(1));
    check!(sets.reads == Sets::reads(&[]).reads);
    Ok(())
}

/// A descriptor that is ready in all three ways counts three times, with urgent data for the third.
#[case(SELECT_2, "RETURN VALUE", also = [(TCP_7, "DESCRIPTION")])]
fn descriptor_counts_once_for_each_set() -> Verdict {
    let (client, server) = tcp_pair(AF_INET)?;
    let server = OwnedFd::from(server);
    check!(ready(&server)? == [false, true, false]);
    client.send(b"x")?;
    soon(&server, IN)?;
    check!(ready(&server)? == [true, true, false]);
    client.send_with(b"!", MSG_OOB)?;
    soon(&server, PRI)?;
    check!(Sets::all(&[&server]).now() == Ok(3));
    check!(ready(&server)? == [true, true, true]);
    Ok(())
}

/// A regular file is ready to read and to write, at its end too, and has no exceptional condition.
#[case(SELECT_2, "Arguments", also = [(POLL_2, "DESCRIPTION")])]
fn files_are_always_readable_and_writable() -> Verdict {
    let new = OwnedFd::from(File::create("file")?);
    check!(ready(&new)? == [true, true, false]);
    write(&new, b"x")?;
    check!(ready(&new)? == [true, true, false]);
    check!(ready(&File::open("file")?.into())? == [true, true, false]);
    Ok(())
}

/// Only descriptors below nfds are looked at: the one before it is, the one at it is neither reported nor refused.
#[case(SELECT_2, "Arguments")]
fn descriptors_from_nfds_on_are_not_looked_at() -> Verdict {
    let (r, w) = pipe()?;
    write(&w, b"x")?;
    let copies = [9, 63, 64, 65, 127, 128].map(|number| fcntl(&r, F_DUPFD(number)));
    for number in copies {
        let none = &mut TimeVal::new(0, 0);
        check!(Sets::reads(&[&number?]).select_below(number? + 1, Some(none)) == Ok(1));
        check!(Sets::reads(&[&number?]).select_below(number?, Some(none)) == Ok(0));
        close(number?)?;
        check!(Sets::reads(&[&number?]).select_below(number?, Some(none)) == Ok(0), "closed");
    }
    Ok(())
}

/// The kernel takes of a set no more words than nfds bits need: it may end right before inaccessible memory.
#[case(SELECT_2, "C library/kernel differences")]
fn set_is_no_longer_than_nfds_says() -> Verdict {
    for nfds in [1, 2, 64, 65, 200] {
        let memory = Memory::guarded(bytes_of_bits(nfds))?;
        check!(select_memory(nfds as i32, memory) == Ok(0), "nfds {nfds}");
    }
    Ok(())
}

/// The kernel has no limit of 1024 for a set: a descriptor above it is watched in a set that is long enough.
#[case(SELECT_2, "C library/kernel differences", also = [(SELECT_2, "BUGS")])]
fn set_may_have_thousands_of_bits() -> Verdict {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if hard < 2100 {
        return Err(Failure::skipped(vec!["2100 descriptors".to_owned()]));
    }
    setrlimit(Resource::RLIMIT_NOFILE, soft.max(2100), hard)?;
    let (r, w) = pipe()?;
    for number in [1023, 1024, 1500, 2047, 2048] {
        let high = fcntl(&r, F_DUPFD(number))?;
        check!(Sets::reads(&[&high]).now() == Ok(0), "descriptor {high}");
        write(&w, b"x")?;
        let mut sets = Sets::reads(&[&w, &high]);
        check!(sets.now() == Ok(1), "descriptor {high}");
        check!(sets == Sets::reads(&[&high]));
        read_all(&r, 1)?;
        close(high)?;
    }
    Ok(())
}

/// Without a timeout select sleeps until a write makes the read end ready, in every process and thread that waits.
#[case(SELECT_2, "Arguments")]
fn write_wakes_every_sleeping_select() -> Verdict {
    let ((r, w), (empty, _w)) = (pipe()?, pipe()?);
    let sleepers = Children::spawn(3, |_| {
        let mut sets = Sets::reads(&[&empty, &r]);
        check!(sets.select(None) == Ok(1));
        check!(sets == Sets::reads(&[&r]));
        Ok(())
    })?;
    sleepers.blocked_in(SELECT)?;
    let shared = lent(&r);
    let thread = Thread::spawn(move || holds!(Sets::reads(&[&shared]).select(None) == Ok(1)))?;
    thread.blocked_in(SELECT)?;
    write(&w, b"x")?;
    thread.join()?;
    sleepers.join()
}

/// Select for writing sleeps on a full pipe until it is emptied, or until its last reader has gone.
#[case(SELECT_2, "Arguments")]
fn room_and_a_lost_reader_wake_a_sleeping_select() -> Verdict {
    for drained in [true, false] {
        let (r, w) = pipe()?;
        let all = fill_pipe(&w)?;
        let sleepers = Children::spawn(2, |_| {
            close_copy(&r)?;
            holds!(Sets::writes(&[&w]).select(None) == Ok(1), "drained {drained}")
        })?;
        sleepers.blocked_in(SELECT)?;
        if drained {
            read_all(&r, all)?;
        } else {
            drop(r);
        }
        sleepers.join()?;
    }
    Ok(())
}

/// The last close of the write end wakes all who sleep in select for reading.
#[case(SELECT_2, "Arguments")]
fn last_close_wakes_a_sleeping_select() -> Verdict {
    let (r, w) = pipe()?;
    let sleepers = Children::spawn(2, |_| {
        close_copy(&w)?;
        check!(Sets::reads(&[&r]).select(None) == Ok(1));
        holds!(text(&r, 1) == Ok(""))
    })?;
    sleepers.blocked_in(SELECT)?;
    drop(w);
    sleepers.join()
}

/// Neither the close of a copy nor an event that the sets do not watch for ends the sleep of select.
#[case(SELECT_2, "Arguments")]
fn close_of_a_copy_wakes_no_select() -> Verdict {
    let (r, w) = pipe()?;
    let copy = dup(&w)?;
    catch(SIGUSR1)?;
    let deaf = Child::spawn(|| {
        let mut sets = Sets::reads(&[&w]);
        sets.exceptions = Sets::exceptions(&[&r]).exceptions;
        holds!(sets.select(None) == Err(EINTR))
    })?;
    let reader = Child::spawn(|| {
        close_copy(&w)?;
        close_copy(&copy)?;
        holds!(Sets::reads(&[&r]).select(None) == Ok(1))
    })?;
    reader.blocked_in(SELECT)?;
    drop(copy);
    reader.blocked_in(SELECT)?;
    write(&w, b"x")?;
    reader.join()?;
    deaf.interrupt_in(SELECT, SIGUSR1)?;
    check!(text(&r, 1) == Ok("x"));
    Ok(())
}

/// A byte that a signal handler writes to a pipe ends no select but the next: the interrupted one is EINTR.
#[case(SELECT_2, "The self-pipe trick", also = [(SELECT_TUT_2, "Combining signal and data events")])]
fn byte_that_a_handler_writes_is_there_after_the_interruption() -> Verdict {
    let (r, w) = pipe()?;
    let own = lent(&w);
    Action::run(move |_| {
        let _ = write(own, b"!");
    })
    .on(SIGUSR1)?;
    let sleeper = Child::spawn(|| {
        check!(Sets::reads(&[&r]).select(None) == Err(EINTR));
        check!(Sets::reads(&[&r]).select(None) == Ok(1));
        holds!(text(&r, 2) == Ok("!"))
    })?;
    sleeper.interrupt_in(SELECT, SIGUSR1)
}

/// A descriptor that is not open gives EBADF in each of the sets, though another is ready, and the sets are as they were.
#[case(SELECT_2, "ERRORS", also = [(SELECT_2, "RETURN VALUE")], settles = ["select.2 EBADF"])]
fn closed_descriptor_is_refused_and_the_sets_stay() -> Verdict {
    let (r, w) = pipe()?;
    let gone = just_closed(dup(&r)?);
    for make in [Sets::reads, Sets::writes, Sets::exceptions, Sets::all] {
        let mut sets = make(&[&r, &w, &gone]);
        check!(sets.now() == Err(EBADF));
        check!(sets == make(&[&r, &w, &gone]));
    }
    Ok(())
}

/// A signal handler that runs before anything is ready makes select and pselect fail with EINTR, the sets as they were.
#[case(SELECT_2, "ERRORS", also = [(SELECT_2, "RETURN VALUE")], settles = ["select.2 EINTR"])]
fn interrupted_select_leaves_the_sets() -> Verdict {
    let (r, w) = pipe()?;
    fill_pipe(&w)?;
    let (empty, _w) = pipe()?;
    catch(SIGUSR1)?;
    for call in [|sets: &mut Sets| sets.select(None), |sets: &mut Sets| sets.pselect(None, None)] {
        let sleeper = Child::spawn(|| {
            let mut sets = Sets::reads(&[&empty]);
            sets.writes = Sets::writes(&[&w]).writes;
            sets.exceptions = Sets::exceptions(&[&r]).exceptions;
            let before = sets.clone();
            check!(call(&mut sets) == Err(EINTR));
            holds!(sets == before)
        })?;
        sleeper.interrupt_in(SELECT, SIGUSR1)?;
    }
    Ok(())
}

/// A negative number of descriptors is refused, though what is in the sets is ready, and the sets are as they were.
#[case(SELECT_2, "ERRORS", also = [(SELECT_2, "RETURN VALUE")], settles = ["select.2 EINVAL 1"])]
fn negative_nfds_is_refused_and_the_sets_stay() -> Verdict {
    let (_r, w) = pipe()?;
    for nfds in [-1, -64, i32::MIN] {
        let mut sets = Sets::all(&[&w]);
        check!(
            sets.select_below(nfds, Some(&mut TimeVal::new(0, 0))) == Err(EINVAL),
            "nfds {nfds}"
        );
        check!(sets == Sets::all(&[&w]));
    }
    Ok(())
}
