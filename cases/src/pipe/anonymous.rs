//! Anonymous pipes: end of life, blocking, atomicity, capacity.

use std::io::IoSlice;

use libc::SOCK_STREAM;
use nix::fcntl::{FdFlag, open};
use nix::sys::signal::SigSet;
use nix::sys::stat::Mode;
use nix::sys::uio::{pread, pwrite, writev};
use nix::unistd::{Uid, Whence, lseek, pause, setresuid};

use ipcspec_harness::worker_id;

use crate::prelude::*;
use crate::sys::pipes::{
    DescriptorLimit, Fifo, MAX_SIZE, PACKET_MODE, PIDFD_GETFD, PIPE_BUF, SOFT_LIMIT, capacity,
    closed_fd, fill_pipe, foreign_fd, lent, nice, page, pipe_into, read_all, read_to_nowhere, say,
    set_capacity, set_nonblocking, signal_input, text, unread, write_from_nowhere,
};
use crate::sys::signals::{block, catch, handled, ignore, pending};
use crate::sys::sockets::Socket;
use crate::sys::sysctl::sysctl;

/// The cases of this module.
pub const CASES: &[Case] = &[
    each_end_works_one_way,
    two_pipes_carry_both_directions,
    one_pipe_gives_a_process_its_own_bytes,
    reads_know_no_message_boundaries,
    bytes_come_in_the_order_of_the_writes,
    data_outlives_its_writer,
    writing_needs_no_reader_at_work,
    child_inherits_both_ends,
    stranger_gets_it_over_a_socket,
    stranger_opens_it_under_proc,
    another_user_may_not_open_it_under_proc,
    stranger_takes_it_with_pidfd_getfd,
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
    read_of_empty_pipe_blocks_until_data,
    write_to_full_pipe_blocks_until_room,
    nonblocking_ends_give_eagain,
    signal_before_data_gives_eintr,
    signal_after_some_data_gives_a_short_write,
    small_writes_do_not_interleave,
    small_write_waits_for_room_for_all_of_it,
    small_nonblocking_write_is_all_or_nothing,
    large_write_returns_when_all_is_written,
    large_nonblocking_write_takes_what_fits,
    capacity_and_unread_tell_the_room,
    new_pipe_has_sixteen_pages,
    capacity_is_rounded_up,
    capacity_set_is_capacity_had,
    capacity_below_the_data_is_busy,
    capacity_above_the_maximum_needs_privilege,
    privilege_overrides_the_maximum,
    soft_limit_makes_small_pipes,
    packets_keep_their_boundaries,
    packet_longer_than_the_read_is_cut,
    packet_above_pipe_buf_is_split,
    pipe_takes_two_descriptors,
    flags_apply_to_both_ends,
    bad_address_leaves_no_descriptor,
    seeking_is_refused,
    bad_buffer_moves_nothing,
    new_input_raises_sigio,
    unknown_flag_is_refused,
];

/// What the pipes of one user may hold before new ones are small, in bytes.
fn soft_limit() -> Verdict<usize> {
    match sysctl("fs/pipe-user-pages-soft")? as usize {
        0 => Err(Failure::skipped(vec!["a soft limit".to_owned()])),
        pages => Ok(pages * page()),
    }
}

/// Gives up root for a user who has no pipe, for what is counted by user.
fn become_lone_user(number: u32) -> Verdict {
    let user = Uid::from_raw(40_000 + 4 * (worker_id() as u32 % 5_000) + number);
    Ok(setresuid(user, user, user)?)
}

/// So many bytes of which no two neighbouring stretches are alike.
fn pattern(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|index| (index % 251) as u8).collect()
}

/// Data goes in at the write end and out at the read end; reading the one and writing the other is refused.
#[case(PIPE_7, "DESCRIPTION", settles = ["A01", "read.2 EBADF", "write.2 EBADF"])]
fn each_end_works_one_way() -> Verdict {
    let (r, w) = pipe()?;
    check!(write(&w, b"there") == Ok(5));
    check!(write(&r, b"back") == Err(EBADF));
    check!(text(&w, 8) == Err(EBADF));
    check!(text(&r, 8).as_deref() == Ok("there"));
    check!(write(closed_fd(), b"gone") == Err(EBADF));
    check!(text(closed_fd(), 8) == Err(EBADF));
    Ok(())
}

/// Two pipes carry two directions at once, and neither sees the other's data.
#[case(PIPE_7, "DESCRIPTION", settles = ["A02"])]
fn two_pipes_carry_both_directions() -> Verdict {
    let (down_r, down_w) = pipe()?;
    let (up_r, up_w) = pipe()?;
    let both_said = Latch::new()?;
    let peer = Child::spawn(|| {
        write(&up_w, b"pong")?;
        both_said.wait()?;
        check!(text(&down_r, 8).as_deref() == Ok("ping"));
        Ok(())
    })?;
    write(&down_w, b"ping")?;
    both_said.open();
    check!(text(&up_r, 8).as_deref() == Ok("pong"));
    peer.join()
}

/// A process that holds both ends of one pipe reads its own bytes, so one pipe is no conversation.
#[case(PIPE_7, "DESCRIPTION", settles = ["A02"])]
fn one_pipe_gives_a_process_its_own_bytes() -> Verdict {
    let (r, w) = pipe()?;
    write(&w, b"question ")?;
    Child::spawn(|| say(&w, "answer"))?.join()?;
    check!(text(&r, 32).as_deref() == Ok("question answer"));
    Ok(())
}

/// A pipe is a stream: reads are cut as the reader asks, not as the writes were.
#[case(PIPE_7, "I/O on pipes and FIFOs", settles = ["B01"])]
fn reads_know_no_message_boundaries() -> Verdict {
    let (r, w) = pipe()?;
    for part in ["ab", "cd", "efgh"] {
        write(&w, part.as_bytes())?;
    }
    check!(text(&r, 3).as_deref() == Ok("abc"));
    check!(text(&r, 1).as_deref() == Ok("d"));
    check!(text(&r, 32).as_deref() == Ok("efgh"));
    Ok(())
}

/// What is written first is read first, whoever wrote it and with whatever priority.
#[case(PIPE_7, "DESCRIPTION", settles = ["B02"])]
fn bytes_come_in_the_order_of_the_writes() -> Verdict {
    let (r, w) = pipe()?;
    for (name, priority) in [("low ", 19), ("high ", 0), ("low again", 10)] {
        let writer = || {
            nice(priority)?;
            say(&w, name)
        };
        Child::spawn(writer)?.join()?;
    }
    check!(text(&r, 64).as_deref() == Ok("low high low again"));
    Ok(())
}

/// What a process wrote is still in the pipe when that process has exited.
#[case(PIPE_2, "DESCRIPTION", settles = ["A03"])]
fn data_outlives_its_writer() -> Verdict {
    let (r, w) = pipe()?;
    Child::spawn(move || say(&w, "legacy"))?.join()?;
    check!(text(&r, 16).as_deref() == Ok("legacy"));
    check!(text(&r, 16).as_deref() == Ok(""));
    Ok(())
}

/// A write returns once the data is buffered, up to the whole capacity, though nobody reads.
#[case(PIPE_2, "DESCRIPTION", also = [(PIPE_7, "Pipe capacity")], settles = ["A07"])]
fn writing_needs_no_reader_at_work() -> Verdict {
    let (r, w) = pipe()?;
    let all = capacity(&w)?;
    let writer = Child::spawn(move || {
        check!(write(&w, &vec![b'x'; all]) == Ok(all));
        Ok(())
    })?;
    writer.join()?;
    check!(unread(&r) == Ok(all));
    Ok(())
}

/// A child inherits both ends, and either process can be at either end.
#[case(PIPE_7, "DESCRIPTION", also = [(PIPE_2, "DESCRIPTION")], settles = ["A05"])]
fn child_inherits_both_ends() -> Verdict {
    let (r, w) = pipe()?;
    Child::spawn(|| say(&w, "child"))?.join()?;
    check!(text(&r, 8).as_deref() == Ok("child"));
    write(&w, b"parent")?;
    let reader = Child::spawn(|| {
        check!(text(&r, 8).as_deref() == Ok("parent"));
        Ok(())
    })?;
    reader.join()
}

/// A process that was there before the pipe was made gets an end of it over a UNIX domain socket.
#[case(UNIX_7, "Ancillary messages", settles = ["A05"])]
fn stranger_gets_it_over_a_socket() -> Verdict {
    let (here, there) = Socket::pair(SOCK_STREAM)?;
    let stranger = Child::spawn(move || {
        let passed = there.recv_message(1, 64, 0)?.descriptors;
        check!(passed.len() == 1);
        say(&passed[0], "hello")
    })?;
    let (r, w) = pipe()?;
    here.send_descriptors(b"!", &[w.as_raw_fd()])?;
    drop(w);
    check!(text(&r, 8).as_deref() == Ok("hello"));
    stranger.join()?;
    check!(text(&r, 8).as_deref() == Ok(""));
    Ok(())
}

/// A process that did not inherit a pipe opens it through /proc/PID/fd.
#[case(PROC_PID_FD_5, "DESCRIPTION", settles = ["A05"], needs = [Need::Proc])]
fn stranger_opens_it_under_proc() -> Verdict {
    let (number, made, done) = (Counter::new()?, Latch::new()?, Latch::new()?);
    let holder = Child::spawn(|| {
        let (r, w) = pipe()?;
        write(&w, b"mine")?;
        number.set(r.as_raw_fd() as u64);
        made.open();
        done.wait()
    })?;
    holder.reaches(made)?;
    let path = format!("/proc/{}/fd/{}", holder.pid(), number.get());
    let r = open(path.as_str(), OFlag::O_RDONLY, Mode::empty())?;
    check!(text(&r, 8).as_deref() == Ok("mine"));
    done.open();
    holder.join()
}

/// Another user who holds an end of a pipe uses it but may not open it anew: its inode is its maker's.
#[case(PROC_PID_FD_5, "DESCRIPTION", needs = [Need::Proc, Need::OtherUsers])]
fn another_user_may_not_open_it_under_proc() -> Verdict {
    let (r, w) = pipe()?;
    become_lone_user(0)?;
    let path = format!("/proc/self/fd/{}", r.as_raw_fd());
    check!(open(path.as_str(), OFlag::O_RDONLY, Mode::empty()).map(drop) == Err(EACCES));
    check!(write(&w, b"held") == Ok(4));
    check!(text(&r, 8).as_deref() == Ok("held"));
    Ok(())
}

/// A process that did not inherit a pipe takes a copy of an end with pidfd_getfd.
#[case(PIDFD_GETFD_2, "DESCRIPTION", settles = ["A05"], needs = [Need::Facility(PIDFD_GETFD)])]
fn stranger_takes_it_with_pidfd_getfd() -> Verdict {
    let (number, made, done) = (Counter::new()?, Latch::new()?, Latch::new()?);
    let holder = Child::spawn(|| {
        let (r, w) = pipe()?;
        number.set(w.as_raw_fd() as u64);
        made.open();
        check!(text(&r, 8).as_deref() == Ok("yours"));
        done.wait()
    })?;
    holder.reaches(made)?;
    let w = foreign_fd(holder.pid().as_raw(), number.get() as i32)?;
    check!(write(&w, b"yours") == Ok(5));
    done.open();
    holder.join()
}

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
        check!(text(&r, 8).as_deref() == Ok("open"));
        check!(text(&r, 8).as_deref() == Ok(""));
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
    check!(text(&r, 8).as_deref() == Ok(""));
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
    check!(text(&r, 32).as_deref() == Ok("last words"));
    check!(text(&r, 32).as_deref() == Ok(""));
    Ok(())
}

/// A write that sleeps keeps its end open though another thread closes the descriptor: the end comes after it.
#[case(CLOSE_2, "Multithreaded processes and close()", settles = ["B08"])]
fn closing_under_a_sleeping_write_lets_it_finish() -> Verdict {
    let (r, w) = pipe()?;
    let all = fill_pipe(&w)?;
    let end = lent(&w);
    let writer = Thread::spawn(move || {
        check!(write(end, b"late") == Ok(4));
        Ok(())
    })?;
    writer.blocked_in(WRITE)?;
    drop(w);
    check!(read_all(&r, all)?.len() == all);
    check!(text(&r, 8).as_deref() == Ok("late"));
    check!(text(&r, 8).as_deref() == Ok(""));
    writer.join()
}

/// When the last write end is closed, every process that sleeps in a read wakes and sees the end.
#[case(PIPE_7, "I/O on pipes and FIFOs")]
fn last_writers_end_wakes_every_reader() -> Verdict {
    let (r, w) = pipe()?;
    let mut readers = vec![];
    for _ in 0..3 {
        readers.push(Child::spawn(|| {
            close_copy(&w)?;
            check!(text(&r, 8).as_deref() == Ok(""));
            Ok(())
        })?);
    }
    for reader in &readers {
        reader.blocked_in(READ)?;
    }
    drop(w);
    readers.into_iter().try_for_each(Child::join)
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
    check!(text(&afresh, 8).as_deref() == Ok(""));
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
    let mut writers = vec![];
    for _ in 0..3 {
        writers.push(Child::spawn(|| {
            close_copy(&r)?;
            write(&w, b"too late")?;
            Ok(())
        })?);
    }
    for writer in &writers {
        writer.blocked_in(WRITE)?;
    }
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

/// A read of an empty pipe sleeps until there is data, and takes what is there.
#[case(PIPE_7, "I/O on pipes and FIFOs", settles = ["B03"])]
fn read_of_empty_pipe_blocks_until_data() -> Verdict {
    let (r, w) = pipe()?;
    let reader = Child::spawn(|| {
        check!(text(&r, 64).as_deref() == Ok("data"));
        Ok(())
    })?;
    reader.blocked_in(READ)?;
    write(&w, b"data")?;
    reader.join()
}

/// A write to a full pipe sleeps until enough has been read for it.
#[case(PIPE_7, "I/O on pipes and FIFOs", also = [(PIPE_7, "Pipe capacity")], settles = ["A07", "B03"])]
fn write_to_full_pipe_blocks_until_room() -> Verdict {
    let (r, w) = pipe()?;
    let all = fill_pipe(&w)?;
    let writer = Child::spawn(|| {
        check!(write(&w, b"more") == Ok(4));
        Ok(())
    })?;
    writer.blocked_in(WRITE)?;
    check!(unread(&r) == Ok(all));
    check!(read_all(&r, all)?.len() == all);
    writer.join()?;
    check!(text(&r, 64).as_deref() == Ok("more"));
    Ok(())
}

/// With O_NONBLOCK, reading an empty pipe and writing to a full one fail with EAGAIN.
#[case(PIPE_7, "I/O on pipes and FIFOs", also = [(READ_2, "ERRORS"), (WRITE_2, "ERRORS")], settles = ["read.2 EAGAIN 1", "write.2 EAGAIN 1"])]
fn nonblocking_ends_give_eagain() -> Verdict {
    let (r, w) = pipe2(OFlag::O_NONBLOCK)?;
    check!(text(&r, 8) == Err(EAGAIN));
    let all = fill_pipe(&w)?;
    set_nonblocking(&w, true)?;
    check!(write(&w, b"x") == Err(EAGAIN));
    check!(read_all(&r, all)?.len() == all);
    check!(text(&r, 8) == Err(EAGAIN));
    check!(write(&w, b"x") == Ok(1));
    Ok(())
}

/// A handler that runs before any byte has moved makes a read or a write fail with EINTR.
#[case(READ_2, "ERRORS", also = [(WRITE_2, "ERRORS")], settles = ["read.2 EINTR", "write.2 EINTR"])]
fn signal_before_data_gives_eintr() -> Verdict {
    catch(SIGUSR1)?;
    let ((empty, w), (_r, full)) = (pipe()?, pipe()?);
    fill_pipe(&full)?;
    let reader = Child::spawn(|| {
        check!(text(&empty, 8) == Err(EINTR));
        Ok(())
    })?;
    reader.interrupt_in(READ, SIGUSR1)?;
    let writer = Child::spawn(|| {
        check!(write(&full, b"x") == Err(EINTR));
        Ok(())
    })?;
    writer.interrupt_in(WRITE, SIGUSR1)?;
    check!(unread(&w) == Ok(0));
    Ok(())
}

/// A handler that runs after some bytes were written makes the write return their number.
#[case(WRITE_2, "RETURN VALUE")]
fn signal_after_some_data_gives_a_short_write() -> Verdict {
    catch(SIGUSR1)?;
    let (r, w) = pipe()?;
    let all = capacity(&w)?;
    let writer = Child::spawn(|| {
        check!(write(&w, &vec![b'x'; 2 * all]) == Ok(all));
        Ok(())
    })?;
    writer.interrupt_in(WRITE, SIGUSR1)?;
    check!(unread(&r) == Ok(all));
    Ok(())
}

/// Writes of at most PIPE_BUF bytes by several processes come out whole, each in one piece.
#[case(PIPE_7, "PIPE_BUF", settles = ["pipe.7 O_NONBLOCK 1", "pipe.7 PIPE_BUF 1"])]
fn small_writes_do_not_interleave() -> Verdict {
    // Records of the other lengths cross the borders of pages.
    for length in [PIPE_BUF, PIPE_BUF - 1, PIPE_BUF / 3 * 2] {
        let (r, w) = pipe()?;
        let mut writers = vec![];
        for name in b"abc" {
            let record = vec![*name; length];
            writers.push(Child::spawn(|| {
                (0..100).try_for_each(|_| {
                    check!(write(&w, &record) == Ok(length));
                    Ok(())
                })
            })?);
        }
        drop(w);
        for round in 0..300 {
            let record = read_all(&r, length)?;
            check!(record.len() == length, "record {round}");
            check!(record.iter().all(|byte| *byte == record[0]), "record {round} of {length}");
        }
        writers.into_iter().try_for_each(Child::join)?;
    }
    Ok(())
}

/// A blocking write of at most PIPE_BUF bytes that has not room for all of it puts none of it in the pipe yet.
#[case(PIPE_7, "PIPE_BUF", settles = ["pipe.7 O_NONBLOCK 1", "pipe.7 PIPE_BUF 1"])]
fn small_write_waits_for_room_for_all_of_it() -> Verdict {
    let (r, w) = pipe()?;
    let before = capacity(&w)? - PIPE_BUF + 1;
    write(&w, &vec![b'.'; before])?;
    let writer = Child::spawn(|| {
        check!(write(&w, &[b'x'; PIPE_BUF]) == Ok(PIPE_BUF));
        Ok(())
    })?;
    writer.blocked_in(WRITE)?;
    check!(unread(&r) == Ok(before));
    read_all(&r, before)?;
    writer.join()?;
    check!(unread(&r) == Ok(PIPE_BUF));
    Ok(())
}

/// A nonblocking write of at most PIPE_BUF bytes writes all or, where there is not room for all, nothing.
#[case(PIPE_7, "PIPE_BUF", settles = ["B04", "pipe.7 O_NONBLOCK 2", "pipe.7 PIPE_BUF 2"])]
fn small_nonblocking_write_is_all_or_nothing() -> Verdict {
    let (r, w) = pipe2(OFlag::O_NONBLOCK)?;
    for room in [1, PIPE_BUF / 2, PIPE_BUF - 1] {
        let before = capacity(&w)? - room;
        check!(write(&w, &vec![b'.'; before]) == Ok(before));
        check!(write(&w, &vec![b'x'; room + 1]) == Err(EAGAIN), "room for {room}");
        check!(unread(&r) == Ok(before), "room for {room}");
        read_all(&r, before)?;
    }
    check!(write(&w, &[b'x'; PIPE_BUF]) == Ok(PIPE_BUF));
    check!(unread(&r) == Ok(PIPE_BUF));
    Ok(())
}

/// A blocking write above PIPE_BUF returns only when all of it is written, however often it had to wait.
#[case(PIPE_7, "PIPE_BUF", settles = ["pipe.7 O_NONBLOCK 3", "pipe.7 PIPE_BUF 3"])]
fn large_write_returns_when_all_is_written() -> Verdict {
    let (r, w) = pipe()?;
    let all = 3 * capacity(&w)? + 1;
    let data = pattern(all);
    let writer = Child::spawn(|| {
        check!(write(&w, &data) == Ok(all));
        Ok(())
    })?;
    for piece in data.chunks(capacity(&w)?).take(2) {
        writer.blocked_in(WRITE)?;
        check!(read_all(&r, piece.len())? == piece);
    }
    check!(read_all(&r, capacity(&w)? + 1)? == data[2 * capacity(&w)?..]);
    writer.join()
}

/// A nonblocking write above PIPE_BUF writes the part that fits, and fails with EAGAIN on a full pipe.
#[case(PIPE_7, "PIPE_BUF", settles = ["B04", "pipe.7 O_NONBLOCK 4", "pipe.7 PIPE_BUF 4"])]
fn large_nonblocking_write_takes_what_fits() -> Verdict {
    let (r, w) = pipe2(OFlag::O_NONBLOCK)?;
    let all = capacity(&w)?;
    let data = pattern(2 * all);
    let written = write(&w, &data)?;
    check!(written >= 1);
    check!(written <= all);
    check!(unread(&r) == Ok(written));
    fill_pipe(&w)?;
    set_nonblocking(&w, true)?;
    check!(write(&w, &data) == Err(EAGAIN));
    check!(read_all(&r, written)? == data[..written]);
    Ok(())
}

/// F_GETPIPE_SZ and FIONREAD, on either end, tell how much more a pipe takes: so much and not a byte more.
#[case(F_GETPIPE_SZ_2CONST, "DESCRIPTION", also = [(PIPE_7, "Pipe capacity")], settles = ["B05", "F_GETPIPE_SZ.2const F_GETPIPE_SZ"])]
fn capacity_and_unread_tell_the_room() -> Verdict {
    let (r, w) = pipe2(OFlag::O_NONBLOCK)?;
    check!(unread(&r) == Ok(0));
    write(&w, &vec![b'x'; capacity(&w)? / 2])?;
    let room = capacity(&w)? - unread(&w)?;
    check!(capacity(&r)? - unread(&r)? == room);
    check!(write(&w, &vec![b'x'; room]) == Ok(room));
    check!(write(&w, b"x") == Err(EAGAIN));
    check!(unread(&r) == capacity(&r));
    Ok(())
}

/// A new pipe has room for 16 pages, or for /proc/sys/fs/pipe-max-size where that is less.
#[case(PIPE_7, "Pipe capacity", also = [(PIPE_7, "/proc files")], needs = [Need::OtherUsers, Need::Facility(MAX_SIZE)])]
fn new_pipe_has_sixteen_pages() -> Verdict {
    become_lone_user(3)?;
    let (_r, w) = pipe()?;
    let ceiling = sysctl("fs/pipe-max-size")? as usize;
    check!(capacity(&w) == Ok(ceiling.min(16 * page())));
    check!(fill_pipe(&w) == capacity(&w));
    Ok(())
}

/// F_SETPIPE_SZ rounds up to a power of two of pages, at least one, and returns what it set.
#[case(F_GETPIPE_SZ_2CONST, "DESCRIPTION", settles = ["F_GETPIPE_SZ.2const F_SETPIPE_SZ"])]
fn capacity_is_rounded_up() -> Verdict {
    let (r, w) = pipe()?;
    let page = page();
    for (asked, given) in
        [(0, 1), (1, 1), (page, 1), (page + 1, 2), (3 * page, 4), (4 * page, 4), (5 * page, 8)]
    {
        check!(set_capacity(&w, asked) == Ok(given * page), "for {asked} bytes");
        check!(capacity(&r) == Ok(given * page), "for {asked} bytes");
    }
    Ok(())
}

/// A pipe holds just as much as F_SETPIPE_SZ said, set at either end, when it is made larger or smaller.
#[case(F_GETPIPE_SZ_2CONST, "DESCRIPTION", settles = ["F_GETPIPE_SZ.2const F_SETPIPE_SZ"])]
fn capacity_set_is_capacity_had() -> Verdict {
    let (r, w) = pipe()?;
    for (end, pages) in [(&w, 2), (&r, 32), (&r, 1), (&w, 4)] {
        let set = set_capacity(end, pages * page())?;
        check!(set >= pages * page());
        check!(fill_pipe(&w) == Ok(set), "{pages} pages");
        check!(read_all(&r, set)?.len() == set);
    }
    Ok(())
}

/// A capacity smaller than what is stored gives EBUSY and changes neither capacity nor data.
#[case(F_GETPIPE_SZ_2CONST, "ERRORS", settles = ["F_GETPIPE_SZ.2const EBUSY"])]
fn capacity_below_the_data_is_busy() -> Verdict {
    let (r, w) = pipe()?;
    set_capacity(&w, 8 * page())?;
    write(&w, &vec![b'x'; 4 * page() + 1])?;
    check!(set_capacity(&w, 4 * page()) == Err(EBUSY));
    check!(capacity(&w) == Ok(8 * page()));
    check!(unread(&r) == Ok(4 * page() + 1));
    read_all(&r, page() + 1)?;
    check!(set_capacity(&w, 4 * page()) == Ok(4 * page()));
    check!(read_all(&r, 3 * page())? == vec![b'x'; 3 * page()]);
    Ok(())
}

/// Without privilege a capacity may be raised to /proc/sys/fs/pipe-max-size and no further.
#[case(PIPE_7, "/proc files", also = [(F_GETPIPE_SZ_2CONST, "DESCRIPTION")], settles = ["pipe.7 /proc/sys/fs/pipe-max-size"], needs = [Need::Unprivileged, Need::Facility(MAX_SIZE)])]
fn capacity_above_the_maximum_needs_privilege() -> Verdict {
    let (_r, w) = pipe()?;
    let most = sysctl("fs/pipe-max-size")? as usize;
    check!(set_capacity(&w, most) == Ok(most));
    check!(set_capacity(&w, most + 1) == Err(EPERM));
    check!(capacity(&w) == Ok(most));
    check!(fill_pipe(&w) == Ok(most));
    Ok(())
}

/// CAP_SYS_RESOURCE lets a capacity exceed /proc/sys/fs/pipe-max-size.
#[case(F_GETPIPE_SZ_2CONST, "DESCRIPTION", needs = [Need::Cap(Cap::SysResource), Need::Facility(MAX_SIZE)])]
fn privilege_overrides_the_maximum() -> Verdict {
    let (_r, w) = pipe()?;
    let most = sysctl("fs/pipe-max-size")? as usize;
    let more = set_capacity(&w, most + 1)?;
    check!(more > most);
    check!(fill_pipe(&w) == Ok(more));
    Ok(())
}

/// At the soft limit a user's new pipes have two pages, none may grow, and those there were go on working.
#[case(PIPE_7, "/proc files", also = [(F_GETPIPE_SZ_2CONST, "ERRORS")], settles = ["pipe.7 /proc/sys/fs/pipe-user-pages-soft"], needs = [Need::OtherUsers, Need::Facility(SOFT_LIMIT)])]
fn soft_limit_makes_small_pipes() -> Verdict {
    become_lone_user(2)?;
    let (r, w) = pipe()?;
    let (usual, largest) = (capacity(&r)?, sysctl("fs/pipe-max-size")? as usize);
    write(&w, b"before")?;
    let mut newest = pipe()?.0;
    let mut hoard = vec![];
    // Large pipes come near the limit, and usual ones take what is left.
    for _ in 0..=soft_limit()? / largest + largest / usual {
        if capacity(&newest)? < usual {
            break;
        }
        let _as_far_as_it_may = set_capacity(&newest, largest);
        hoard.push(std::mem::replace(&mut newest, pipe()?.0));
    }
    check!(capacity(&newest) == Ok(2 * page()));
    check!(set_capacity(&newest, 4 * page()) == Err(EPERM));
    check!(set_capacity(&newest, page()) == Ok(page()));
    check!(text(&r, 16).as_deref() == Ok("before"));
    check!(write(&w, b"after") == Ok(5));
    Ok(())
}

/// In packet mode each read gives one packet: the data of one write.
#[case(PIPE_2, "DESCRIPTION", settles = ["B01", "pipe.2 O_DIRECT"], needs = [Need::Facility(PACKET_MODE)])]
fn packets_keep_their_boundaries() -> Verdict {
    let (r, w) = pipe2(OFlag::O_DIRECT)?;
    for packet in ["one", "two", "three"] {
        write(&w, packet.as_bytes())?;
    }
    for packet in ["one", "two", "three"] {
        check!(text(&r, PIPE_BUF).as_deref() == Ok(packet));
    }
    Ok(())
}

/// In packet mode a read that is smaller than the packet gets its head, and the rest is lost.
#[case(PIPE_2, "DESCRIPTION", settles = ["pipe.2 O_DIRECT"], needs = [Need::Facility(PACKET_MODE)])]
fn packet_longer_than_the_read_is_cut() -> Verdict {
    let (r, w) = pipe2(OFlag::O_DIRECT)?;
    write(&w, b"abcdef")?;
    write(&w, b"next")?;
    check!(text(&r, 0).as_deref() == Ok(""));
    check!(text(&r, 3).as_deref() == Ok("abc"));
    check!(text(&r, 16).as_deref() == Ok("next"));
    Ok(())
}

/// In packet mode a write above PIPE_BUF is split into packets of at most PIPE_BUF bytes.
#[case(PIPE_2, "DESCRIPTION", settles = ["pipe.2 O_DIRECT"], needs = [Need::Facility(PACKET_MODE)])]
fn packet_above_pipe_buf_is_split() -> Verdict {
    let (r, w) = pipe2(OFlag::O_DIRECT)?;
    let data = pattern(2 * PIPE_BUF + 1);
    check!(write(&w, &data) == Ok(data.len()));
    let mut buf = [0; 3 * PIPE_BUF];
    for packet in data.chunks(PIPE_BUF) {
        check!(read(&r, &mut buf) == Ok(packet.len()));
        check!(buf[..packet.len()] == *packet);
    }
    Ok(())
}

/// A pipe takes two descriptors, and with fewer to spare fails with EMFILE and takes none.
#[case(PIPE_2, "ERRORS", also = [(PIPE_2, "RETURN VALUE")], settles = ["B06", "pipe.2 EMFILE"])]
fn pipe_takes_two_descriptors() -> Verdict {
    let _limit = DescriptorLimit::leave(3)?;
    let (r, _w) = pipe()?;
    let mut place = [-7, -7];
    check!(pipe_into(Some(&mut place), 0) == Err(EMFILE));
    check!(place == [-7, -7]);
    let last = dup(&r)?;
    check!(dup(&last).map(drop) == Err(EMFILE));
    Ok(())
}

/// O_NONBLOCK and O_CLOEXEC of pipe2 hold for both ends, and neither is set without being asked for.
#[case(PIPE_2, "DESCRIPTION", settles = ["pipe.2 O_CLOEXEC", "pipe.2 O_NONBLOCK"])]
fn flags_apply_to_both_ends() -> Verdict {
    for flags in
        [OFlag::empty(), OFlag::O_NONBLOCK, OFlag::O_CLOEXEC, OFlag::O_NONBLOCK | OFlag::O_CLOEXEC]
    {
        let (r, w) = pipe2(flags)?;
        for end in [&r, &w] {
            let status = OFlag::from_bits_retain(fcntl(end, FcntlArg::F_GETFL)?);
            let own = FdFlag::from_bits_retain(fcntl(end, FcntlArg::F_GETFD)?);
            check!(status & OFlag::O_NONBLOCK == flags & OFlag::O_NONBLOCK, "{flags:?}");
            check!(
                own.contains(FdFlag::FD_CLOEXEC) == flags.contains(OFlag::O_CLOEXEC),
                "{flags:?}"
            );
        }
    }
    Ok(())
}

/// A bad address gives EFAULT, and the call leaves no descriptor open.
#[case(PIPE_2, "ERRORS", settles = ["pipe.2 EFAULT"])]
fn bad_address_leaves_no_descriptor() -> Verdict {
    let before = pipe()?.0.as_raw_fd();
    check!(pipe_into(None, 0) == Err(EFAULT));
    check!(pipe()?.0.as_raw_fd() == before);
    Ok(())
}

/// A pipe, a FIFO and a socket have no offset: lseek, pread and pwrite fail with ESPIPE and move nothing.
#[case(LSEEK_2, "ERRORS", also = [(PIPE_7, "I/O on pipes and FIFOs")], settles = ["B07", "lseek.2 ESPIPE"])]
fn seeking_is_refused() -> Verdict {
    let ((r, w), (fifo_r, fifo_w)) = (pipe()?, Fifo::new("fifo")?.ends()?);
    let (near, far) = Socket::pair(SOCK_STREAM)?;
    let ends =
        [(r.as_fd(), w.as_fd()), (fifo_r.as_fd(), fifo_w.as_fd()), (near.as_fd(), far.as_fd())];
    for (from, to) in ends {
        write(to, b"kept")?;
        for whence in [Whence::SeekSet, Whence::SeekCur, Whence::SeekEnd] {
            check!(lseek(from, 0, whence) == Err(ESPIPE));
            check!(lseek(to, 0, whence) == Err(ESPIPE));
        }
        check!(pread(from, &mut [0; 4], 0) == Err(ESPIPE));
        check!(pwrite(to, b"lost", 0) == Err(ESPIPE));
        check!(text(from, 16).as_deref() == Ok("kept"));
    }
    Ok(())
}

/// A buffer outside the address space gives EFAULT; nothing is written, and nothing that was there is lost.
#[case(READ_2, "ERRORS", also = [(WRITE_2, "ERRORS")], settles = ["read.2 EFAULT", "write.2 EFAULT"])]
fn bad_buffer_moves_nothing() -> Verdict {
    let (r, w) = pipe()?;
    check!(write_from_nowhere(&w, 4) == Err(EFAULT));
    check!(unread(&r) == Ok(0));
    check!(write(&w, b"kept") == Ok(4));
    check!(read_to_nowhere(&r, 4) == Err(EFAULT));
    check!(text(&r, 16).as_deref() == Ok("kept"));
    Ok(())
}

/// With O_ASYNC on the read end, new input raises SIGIO for the owner that F_SETOWN set.
#[case(PIPE_7, "Open file status flags")]
fn new_input_raises_sigio() -> Verdict {
    let (r, w) = pipe()?;
    block(SIGIO)?;
    signal_input(&r)?;
    check!(!pending()?.has(SIGIO));
    Child::spawn(|| say(&w, "x"))?.join()?;
    check!(pending()?.has(SIGIO));
    Ok(())
}

refusals! {
    PIPE_2, "ERRORS";

    /// A flag that pipe2 does not know is refused.
    ["pipe.2 EINVAL"] unknown_flag_is_refused => EINVAL: pipe2(OFlag::O_APPEND);
}
