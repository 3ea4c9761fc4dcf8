//! What becomes of one end when the last copy of the other is closed.

use std::io::IoSlice;

use libc::SOCK_STREAM;
use nix::fcntl::open;
use nix::sys::signal::SigSet;
use nix::sys::stat::Mode;
use nix::sys::uio::writev;
use nix::unistd::pause;

use crate::prelude::*;
use crate::sys::descriptors::{lent, read_all, set_nonblocking, unread};
use crate::sys::pipes::{SOFT_LIMIT, capacity, fill_pipe, set_capacity, soft_limit};
use crate::sys::privilege::become_lone_user;
use crate::sys::signals::{block, catch, handled, ignore, pending};
use crate::sys::sockets::Socket;
use crate::sys::sysctl::sysctl;

/// The cases of this module.
pub const CASES: &[Case] = &[
    eof_after_last_writer_closes,
    eof_waits_for_the_last_copy,
    own_write_end_holds_off_eof,
    killed_writer_leaves_eof,
    closing_under_a_sleeping_write_lets_it_finish,
    last_writers_end_wakes_every_reader,
    last_close_discards_what_is_unread,
    closed_pipes_stop_counting,
    write_without_reader_kills,
    sigpipe_waits_for_the_last_reader,
    last_readers_end_kills_every_blocked_writer,
    ignored_sigpipe_leaves_epipe,
    sigpipe_comes_for_each_write,
    lost_reader_is_epipe_for_pipe_and_socket,
    blocked_sigpipe_stays_pending,
    write_cut_short_by_the_readers_end_tells_how_much,
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
    let inode =
        open(format!("/proc/self/fd/{}", r.as_raw_fd()).as_str(), OFlag::O_PATH, Mode::empty())?;
    let path = format!("/proc/self/fd/{}", inode.as_raw_fd());
    let again = open(path.as_str(), OFlag::O_RDONLY, Mode::empty())?;
    drop((r, w));
    check!(unread(&again) == Ok(6));
    drop(again);
    let afresh = open(path.as_str(), OFlag::O_RDONLY, Mode::empty())?;
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

/// When the last reader goes, every process that sleeps in a write to the full pipe gets SIGPIPE.
#[case(PIPE_7, "I/O on pipes and FIFOs", settles = ["A34"])]
fn last_readers_end_kills_every_blocked_writer() -> Verdict {
    let (r, w) = pipe()?;
    fill_pipe(&w)?;
    let writers = Children::spawn(3, |_| {
        close_copy(&r)?;
        write(&w, b"too late")?;
        Ok(())
    })?;
    writers.blocked_in(WRITE)?;
    drop(r);
    for writer in writers {
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
