//! What becomes of one end when the last copy of the other is closed.

use std::io::IoSlice;

use libc::SOCK_STREAM;
use nix::fcntl::readlink;
use nix::sys::signal::SigSet;
use nix::sys::stat::stat;
use nix::sys::uio::writev;
use nix::unistd::{dup2, gettid, pause};

use crate::prelude::*;
use crate::sys::descriptors::{lent, pattern, read_all, reopen, set_nonblocking, unread};
use crate::sys::pipes::{SOFT_LIMIT, capacity, fill_pipe, set_capacity, soft_limit};
use crate::sys::privilege::become_lone_user;
use crate::sys::signals::{Action, accept_pending, block, catch, handled, ignore, pending};
use crate::sys::sockets::Socket;
use crate::sys::sysctl::sysctl;

/// The cases of this module.
pub const CASES: &[Case] = &[
    eof_after_last_writer_closes,
    eof_waits_for_the_last_copy,
    own_write_end_holds_off_eof,
    dup2_over_the_last_write_end_closes_it,
    write_end_in_flight_holds_off_eof,
    read_end_in_flight_takes_what_is_written,
    end_opened_under_proc_holds_off_eof,
    looking_at_an_end_holds_nothing_open,
    reopened_read_end_finds_what_is_buffered,
    reopened_end_has_flags_of_its_own,
    killed_writer_leaves_eof,
    closing_under_a_sleeping_write_lets_it_finish,
    closing_under_a_sleeping_read_lets_it_finish,
    last_writers_end_wakes_every_reader,
    last_close_discards_what_is_unread,
    closed_pipes_stop_counting,
    write_without_reader_kills,
    sigpipe_waits_for_the_last_reader,
    last_readers_end_reaches_every_blocked_writer,
    ignored_sigpipe_leaves_epipe,
    sigpipe_comes_for_each_write,
    lost_reader_is_epipe_for_pipe_and_socket,
    blocked_sigpipe_stays_pending,
    sigpipe_is_pending_for_the_writing_thread_alone,
    sigpipe_handler_runs_in_the_writing_thread,
    write_cut_short_by_the_readers_end_tells_how_much,
    reader_killed_in_the_middle_leaves_a_true_count,
];

/// Once every write end is closed, a read drains the pipe and then returns 0.
#[case(PIPE_7, "I/O on pipes and FIFOs", settles = ["A03", "A14"])]
fn eof_after_last_writer_closes() -> Verdict {
    let (r, w) = pipe()?;
    write(&w, b"tail")?;
    drop(w);

    let mut buf = [0; 8];
    check!(read(&r, &mut buf) == Ok(4));
    check!(buf[..4] == *b"tail");
    check!(read(&r, &mut buf) == Ok(0));
    Ok(())
}

/// A reader sleeps on while any process has a copy of the write end, and sees the end when the last is closed.
#[case(PIPE_7, "I/O on pipes and FIFOs", settles = ["B08"])]
fn eof_waits_for_the_last_copy() -> Verdict {
    let (r, w) = pipe()?;
    let speak = Latch::new()?;
    let reader = Child::spawn(|| {
        close_copy(&w)?;
        check!(text(&r, 8) == Ok("open"));
        check!(text(&r, 8) == Ok(""));
        Ok(())
    })?;
    let holder = Child::spawn(|| {
        speak.wait()?;
        say(&w, "open")
    })?;
    drop(w);
    reader.blocked_in(READ)?;
    speak.open();
    holder.join()?;
    reader.join()
}

/// A reader that keeps a write end of its own never sees the end of file.
#[case(PIPE_7, "I/O on pipes and FIFOs", settles = ["B08"])]
fn own_write_end_holds_off_eof() -> Verdict {
    let (r, w) = pipe()?;
    set_nonblocking(&r, true)?;
    let copy = dup(&w)?;
    drop(w);
    check!(text(&r, 8) == Err(EAGAIN));
    drop(copy);
    check!(text(&r, 8) == Ok(""));
    Ok(())
}

/// dup2 onto the descriptor of the last write end closes that end, and the reader sees the end of file.
#[case(DUP_2, "DESCRIPTION", also = [(PIPE_7, "I/O on pipes and FIFOs")], settles = ["B08"])]
fn dup2_over_the_last_write_end_closes_it() -> Verdict {
    let ((r, mut w), (other_r, other_w)) = (pipe()?, pipe()?);
    let reader = Child::spawn(|| {
        close_copy(&w)?;
        holds!(text(&r, 8) == Ok(""))
    })?;
    reader.blocked_in(READ)?;
    dup2(&other_w, &mut w)?;
    reader.join()?;
    check!(write(&w, b"elsewhere") == Ok(9));
    check!(text(&other_r, 16) == Ok("elsewhere"));
    Ok(())
}

/// A write end that lies unread in a socket holds off the end of file, until it is taken out and closed or the socket is.
#[case(UNIX_7, "Ancillary messages", also = [(PIPE_7, "I/O on pipes and FIFOs")], settles = ["B08"])]
fn write_end_in_flight_holds_off_eof() -> Verdict {
    for taken in [false, true] {
        let ((r, w), (here, there)) = (pipe()?, Socket::pair(SOCK_STREAM)?);
        set_nonblocking(&r, true)?;
        here.send_descriptors(b"!", &[w.as_raw_fd()])?;
        drop((w, here));
        check!(text(&r, 8) == Err(EAGAIN));
        if taken {
            let passed = there.recv_message(1, 64, 0)?.descriptors;
            check!(text(&r, 8) == Err(EAGAIN));
            drop(passed);
            check!(text(&r, 8) == Ok(""), "taken out and closed");
        }
        drop(there);
        check!(text(&r, 8) == Ok(""), "taken out: {taken}");
    }
    Ok(())
}

/// While the only read end lies unread in a socket a write succeeds, and when the socket is closed a sleeping one gets EPIPE.
#[case(UNIX_7, "Ancillary messages", also = [(PIPE_7, "I/O on pipes and FIFOs")], settles = ["B08"])]
fn read_end_in_flight_takes_what_is_written() -> Verdict {
    ignore(SIGPIPE)?;
    let ((r, w), (here, there)) = (pipe()?, Socket::pair(SOCK_STREAM)?);
    here.send_descriptors(b"!", &[r.as_raw_fd()])?;
    drop((r, here));
    check!(write(&w, b"x") == Ok(1));
    fill_pipe(&w)?;
    let writer = Child::spawn(|| {
        close_copy(&there)?;
        holds!(write(&w, b"x") == Err(EPIPE))
    })?;
    writer.blocked_in(WRITE)?;
    drop(there);
    writer.join()
}

/// A write end that was opened under /proc/self/fd is one more, and holds off the end of file when the others are closed.
#[case(PIPE_7, "I/O on pipes and FIFOs", also = [(PROC_PID_FD_5, "DESCRIPTION")], settles = ["B08"], needs = [Need::Proc])]
fn end_opened_under_proc_holds_off_eof() -> Verdict {
    let (r, w) = pipe()?;
    set_nonblocking(&r, true)?;
    let another = reopen(&w, OFlag::O_WRONLY)?;
    drop(w);
    check!(text(&r, 8) == Err(EAGAIN));
    check!(write(&another, b"late") == Ok(4));
    drop(another);
    check!(text(&r, 8) == Ok("late"));
    check!(text(&r, 8) == Ok(""));
    Ok(())
}

/// Reading the link of an end under /proc/self/fd, its status, or a descriptor with O_PATH does not hold it open.
#[case(OPEN_2, "DESCRIPTION", also = [(PROC_PID_FD_5, "DESCRIPTION")], settles = ["B08"], needs = [Need::Proc])]
fn looking_at_an_end_holds_nothing_open() -> Verdict {
    ignore(SIGPIPE)?;
    let ((r, its_w), (its_r, w)) = (pipe()?, pipe()?);
    set_nonblocking(&r, true)?;
    for end in [&its_w, &its_r] {
        let name = format!("/proc/self/fd/{}", end.as_raw_fd());
        readlink(name.as_str())?;
        stat(name.as_str())?;
    }
    let paths = (reopen(&its_w, OFlag::O_PATH)?, reopen(&its_r, OFlag::O_PATH)?);
    check!(text(&r, 8) == Err(EAGAIN));
    check!(write(&w, b"x") == Ok(1));
    drop((its_w, its_r));
    check!(text(&r, 8) == Ok(""));
    check!(write(&w, b"x") == Err(EPIPE));
    drop(paths);
    Ok(())
}

/// A read end that is opened under /proc/self/fd when every writer is gone finds what is buffered, and then the end.
#[case(PIPE_7, "I/O on pipes and FIFOs", also = [(PROC_PID_FD_5, "DESCRIPTION")], needs = [Need::Proc])]
fn reopened_read_end_finds_what_is_buffered() -> Verdict {
    let (r, w) = pipe()?;
    write(&w, b"legacy")?;
    drop(w);
    let again = reopen(&r, OFlag::O_RDONLY | OFlag::O_NONBLOCK)?;
    drop(r);
    check!(text(&again, 3) == Ok("leg"));
    check!(text(&again, 8) == Ok("acy"));
    check!(text(&again, 8) == Ok(""));
    Ok(())
}

/// An end that is opened under /proc/self/fd is a description of its own: O_NONBLOCK of the one is not the other's.
#[case(OPEN_2, "DESCRIPTION", also = [(PROC_PID_FD_5, "DESCRIPTION")], needs = [Need::Proc])]
fn reopened_end_has_flags_of_its_own() -> Verdict {
    let (r, w) = pipe()?;
    let again = reopen(&r, OFlag::O_RDONLY | OFlag::O_NONBLOCK)?;
    check!(text(&again, 8) == Err(EAGAIN));
    let reader = Child::spawn(|| holds!(text(&r, 8) == Ok("data")))?;
    reader.blocked_in(READ)?;
    check!(text(&again, 8) == Err(EAGAIN));
    write(&w, b"data")?;
    reader.join()
}

/// A writer that is killed closes its end as surely as one that exits.
#[case(PIPE_7, "I/O on pipes and FIFOs", settles = ["A14"])]
fn killed_writer_leaves_eof() -> Verdict {
    let (r, w) = pipe()?;
    let said = Latch::new()?;
    let writer = Child::spawn(move || {
        write(&w, b"last words")?;
        said.open();
        pause();
        Ok(())
    })?;
    writer.reaches(said)?;
    writer.kill(SIGKILL)?;
    check!(writer.wait()? == End::Killed(libc::SIGKILL));
    check!(text(&r, 32) == Ok("last words"));
    check!(text(&r, 32) == Ok(""));
    Ok(())
}

/// A write that sleeps keeps its end open though another thread closes the descriptor: the end comes after it.
#[case(CLOSE_2, "Multithreaded processes and close()", settles = ["B08"])]
fn closing_under_a_sleeping_write_lets_it_finish() -> Verdict {
    let (r, w) = pipe()?;
    let all = fill_pipe(&w)?;
    let end = lent(&w);
    let writer = Thread::spawn(move || holds!(write(end, b"late") == Ok(4)))?;
    writer.blocked_in(WRITE)?;
    drop(w);
    check!(read_all(&r, all)?.len() == all);
    check!(text(&r, 8) == Ok("late"));
    check!(text(&r, 8) == Ok(""));
    writer.join()
}

/// A read that sleeps keeps its end open though another thread closes the descriptor: it gets what is written, then EPIPE comes.
#[case(CLOSE_2, "Multithreaded processes and close()", settles = ["B08"])]
fn closing_under_a_sleeping_read_lets_it_finish() -> Verdict {
    ignore(SIGPIPE)?;
    let (r, w) = pipe()?;
    let end = lent(&r);
    let reader = Thread::spawn(move || holds!(text(end, 8) == Ok("late")))?;
    reader.blocked_in(READ)?;
    drop(r);
    reader.blocked_in(READ)?;
    check!(write(&w, b"late") == Ok(4));
    reader.join()?;
    check!(write(&w, b"x") == Err(EPIPE));
    Ok(())
}

/// When the last write end is closed, every process that sleeps in a read wakes and sees the end.
#[case(PIPE_7, "I/O on pipes and FIFOs")]
fn last_writers_end_wakes_every_reader() -> Verdict {
    let (r, w) = pipe()?;
    let readers = Children::spawn(3, |_| {
        close_copy(&w)?;
        check!(text(&r, 8) == Ok(""));
        Ok(())
    })?;
    readers.blocked_in(READ)?;
    drop(w);
    readers.join()
}

/// With the last descriptor the pipe goes, and what was unread with it.
#[case(PIPE_7, "I/O on pipes and FIFOs", also = [(OPEN_2, "DESCRIPTION")], settles = ["A14"], needs = [Need::Proc])]
fn last_close_discards_what_is_unread() -> Verdict {
    let (r, w) = pipe()?;
    write(&w, b"unread")?;
    // It names the pipe's inode without having the pipe open.
    let inode = reopen(&r, OFlag::O_PATH)?;
    let again = reopen(&inode, OFlag::O_RDONLY)?;
    drop((r, w));
    check!(unread(&again) == Ok(6));
    drop(again);
    let afresh = reopen(&inode, OFlag::O_RDONLY)?;
    check!(unread(&afresh) == Ok(0));
    check!(text(&afresh, 8) == Ok(""));
    Ok(())
}

/// Pipes that ended with their process no longer count towards their user's limit.
#[case(PIPE_7, "/proc files", settles = ["A14"], needs = [Need::OtherUsers, Need::Facility(SOFT_LIMIT)])]
fn closed_pipes_stop_counting() -> Verdict {
    become_lone_user(1)?;
    let usual = capacity(&pipe()?.0)?;
    let largest = sysctl("fs/pipe-max-size")? as usize;
    let hoard = || {
        let pipes: Vec<_> = (0..8).map(|_| pipe()).collect::<Result<_, _>>()?;
        for (r, _w) in &pipes {
            check!(set_capacity(r, largest) == Ok(largest));
        }
        // The end of the process is to close them.
        pipes.leak();
        Ok(())
    };
    for _ in 0..=soft_limit()? / (8 * largest) {
        Child::spawn(hoard)?.join()?;
    }
    check!(capacity(&pipe()?.0) == Ok(usual));
    Ok(())
}

/// A write to a pipe without a reader ends a process that does nothing about SIGPIPE.
#[case(PIPE_7, "I/O on pipes and FIFOs", settles = ["A34"])]
fn write_without_reader_kills() -> Verdict {
    let (r, w) = pipe()?;
    drop(r);
    let survived = Latch::new()?;
    let writer = Child::spawn(move || {
        write(&w, b"x")?;
        survived.open();
        Ok(())
    })?;
    check!(writer.wait()? == End::Killed(libc::SIGPIPE));
    check!(!survived.is_open());
    Ok(())
}

/// SIGPIPE comes only when the last copy of the read end is closed, in whatever process that is.
#[case(PIPE_7, "I/O on pipes and FIFOs", settles = ["A34", "B08"])]
fn sigpipe_waits_for_the_last_reader() -> Verdict {
    let (r, w) = pipe()?;
    catch(SIGPIPE)?;
    let leave = Latch::new()?;
    let reader = Child::spawn(|| {
        close_copy(&w)?;
        leave.wait()
    })?;
    drop(r);
    check!(write(&w, b"x") == Ok(1));
    check!(handled() == 0);
    leave.open();
    reader.join()?;
    check!(write(&w, b"x") == Err(EPIPE));
    check!(handled() == 1);
    Ok(())
}

/// When the last reader goes, every sleeping write ends: SIGPIPE kills, runs its handler once, or EPIPE alone is left.
#[case(PIPE_7, "I/O on pipes and FIFOs", also = [(WRITE_2, "ERRORS")], settles = ["A34"])]
fn last_readers_end_reaches_every_blocked_writer() -> Verdict {
    let (r, w) = pipe()?;
    fill_pipe(&w)?;
    let writer = |action: fn() -> Action, handlers: usize| {
        let writer = Child::spawn(|| {
            close_copy(&r)?;
            action().on(SIGPIPE)?;
            check!(write(&w, b"too late") == Err(EPIPE));
            holds!(handled() == handlers)
        })?;
        writer.blocked_in(WRITE)?;
        Verdict::Ok(writer)
    };
    let killed = [writer(Action::default, 0)?, writer(Action::default, 0)?];
    let told = [
        writer(Action::record, 1)?,
        writer(Action::ignore, 0)?,
        writer(Action::record, 1)?,
        writer(Action::ignore, 0)?,
    ];
    drop(r);
    Children::from(told).join()?;
    for writer in killed {
        check!(writer.wait()? == End::Killed(libc::SIGPIPE));
    }
    Ok(())
}

/// Where SIGPIPE is ignored, a write without a reader fails with EPIPE, whether or not it would have blocked.
#[case(PIPE_7, "I/O on pipes and FIFOs", also = [(WRITE_2, "ERRORS")])]
fn ignored_sigpipe_leaves_epipe() -> Verdict {
    ignore(SIGPIPE)?;
    let (r, w) = pipe()?;
    fill_pipe(&w)?;
    drop(r);
    let survivor = Child::spawn(|| holds!(write(&w, b"x") == Err(EPIPE)))?;
    check!(survivor.wait()? == End::Exited(0));
    check!(write(&w, b"x") == Err(EPIPE));
    set_nonblocking(&w, true)?;
    check!(write(&w, b"x") == Err(EPIPE));
    Ok(())
}

/// Each write without a reader raises SIGPIPE anew and fails with EPIPE, and so does each writev.
#[case(PIPE_7, "I/O on pipes and FIFOs", also = [(READV_2, "ERRORS")], settles = ["A34"])]
fn sigpipe_comes_for_each_write() -> Verdict {
    catch(SIGPIPE)?;
    let (r, w) = pipe()?;
    drop(r);
    for round in 1..4 {
        check!(write(&w, b"x") == Err(EPIPE));
        check!(handled() == 2 * round - 1);
        check!(writev(&w, &[IoSlice::new(b"x"), IoSlice::new(b"y")]) == Err(EPIPE));
        check!(handled() == 2 * round);
    }
    Ok(())
}

/// A write to a pipe or a socket whose reading end is closed fails with EPIPE and raises SIGPIPE.
#[case(WRITE_2, "ERRORS", settles = ["write.2 EPIPE"])]
fn lost_reader_is_epipe_for_pipe_and_socket() -> Verdict {
    catch(SIGPIPE)?;
    let (r, w) = pipe()?;
    let (near, far) = Socket::pair(SOCK_STREAM)?;
    drop((r, far));
    check!(write(&w, b"x") == Err(EPIPE));
    check!(handled() == 1);
    check!(write(&near, b"x") == Err(EPIPE));
    check!(handled() == 2);
    Ok(())
}

/// A blocked SIGPIPE stays pending after the write has failed with EPIPE, and strikes when it is unblocked.
#[case(WRITE_2, "ERRORS", settles = ["A34"])]
fn blocked_sigpipe_stays_pending() -> Verdict {
    let (r, w) = pipe()?;
    drop(r);
    let writer = Child::spawn(move || {
        block(SIGPIPE)?;
        check!(write(&w, b"x") == Err(EPIPE));
        check!(pending()?.has(SIGPIPE));
        SigSet::from(SIGPIPE).thread_unblock()?;
        Err("it went on")?
    })?;
    check!(writer.wait()? == End::Killed(libc::SIGPIPE));
    Ok(())
}

/// SIGPIPE goes to the thread that wrote: where that thread blocks it, it stays pending for it and no other thread gets it.
#[case(POSIX_WRITE, "ERRORS")]
fn sigpipe_is_pending_for_the_writing_thread_alone() -> Verdict {
    catch(SIGPIPE)?;
    let (r, w) = pipe()?;
    drop(r);
    let (written, looked) = (Latch::new()?, Latch::new()?);
    let writer = Thread::spawn(move || {
        block(SIGPIPE)?;
        check!(write(&w, b"x") == Err(EPIPE));
        check!(pending()?.has(SIGPIPE));
        written.open();
        looked.wait()?;
        holds!(accept_pending(SIGPIPE)?.signal == SIGPIPE)
    })?;
    written.wait()?;
    check!(handled() == 0);
    block(SIGPIPE)?;
    check!(!pending()?.has(SIGPIPE));
    looked.open();
    writer.join()?;
    check!(handled() == 0);
    Ok(())
}

/// The handler of SIGPIPE runs in the thread that wrote, before its write returns, though other threads could take the signal.
#[case(POSIX_WRITE, "ERRORS")]
fn sigpipe_handler_runs_in_the_writing_thread() -> Verdict {
    let (ran, stay) = (Counter::new()?, Latch::new()?);
    Action::run(move |_| ran.set(gettid().as_raw() as u64)).on(SIGPIPE)?;
    let bystander = Thread::spawn(move || stay.wait())?;
    let (r, w) = pipe()?;
    drop(r);
    let writer = Thread::spawn(move || {
        check!(write(&w, b"x") == Err(EPIPE));
        holds!(ran.get() == gettid().as_raw() as u64)
    })?;
    writer.join()?;
    check!(handled() == 1);
    stay.open();
    bystander.join()
}

/// A write that has room for a part only tells how much it wrote when the reader goes, and the next one fails.
#[case(WRITE_2, "RETURN VALUE")]
fn write_cut_short_by_the_readers_end_tells_how_much() -> Verdict {
    ignore(SIGPIPE)?;
    let (r, w) = pipe()?;
    let all = capacity(&w)?;
    let writer = Child::spawn(|| {
        close_copy(&r)?;
        check!(write(&w, &vec![b'x'; 2 * all]) == Ok(all));
        check!(write(&w, b"x") == Err(EPIPE));
        Ok(())
    })?;
    writer.blocked_in(WRITE)?;
    drop(r);
    writer.join()
}

/// When the reader is killed in the middle of a large write, the write tells what was read and what is left, and the next fails.
#[case(WRITE_2, "RETURN VALUE", also = [(PIPE_7, "I/O on pipes and FIFOs")])]
fn reader_killed_in_the_middle_leaves_a_true_count() -> Verdict {
    ignore(SIGPIPE)?;
    let (r, w) = pipe()?;
    let all = capacity(&w)?;
    let (told, read_on) = (Counter::new()?, Latch::new()?);
    let writer = Child::spawn(|| {
        close_copy(&r)?;
        let count = write(&w, &pattern(4 * all));
        check!(matches!(count, Ok(1..)), "{count:?}");
        told.set(count? as u64);
        holds!(write(&w, b"x") == Err(EPIPE))
    })?;
    writer.blocked_in(WRITE)?;
    let reader = Child::spawn(|| {
        check!(read_all(&r, all + 1)? == pattern(all + 1));
        read_on.open();
        pause();
        Ok(())
    })?;
    drop(r);
    reader.reaches(read_on)?;
    writer.blocked_in(WRITE)?;
    drop(reader);
    writer.join()?;
    // Either end tells what nobody will read any more.
    check!(told.get() as usize == all + 1 + unread(&w)?);
    Ok(())
}
