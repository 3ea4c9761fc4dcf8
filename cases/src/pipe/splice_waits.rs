//! splice that sleeps, and those who sleep until a splice has moved something.

use std::fs::{self, File};

use libc::SOCK_STREAM;
use nix::fcntl::splice;
use nix::poll::PollTimeout;

use crate::prelude::*;
use crate::sys::descriptors::{pattern, read_all, unread};
use crate::sys::files::file;
use crate::sys::memory::page_size;
use crate::sys::pipes::{fill_pipe, set_capacity};
use crate::sys::poll;
use crate::sys::signals::{Action, catch, handled, ignore};
use crate::sys::sockets::Socket;
use crate::sys::splice::{NONBLOCK, NONE, splice_all};

/// The cases of this module.
pub const CASES: &[Case] = &[
    splice_of_empty_pipe_blocks_until_data,
    splice_of_a_file_blocks_until_room,
    splice_of_a_socket_blocks_until_data,
    last_writers_end_wakes_every_splice,
    data_for_two_wakes_two,
    room_for_two_wakes_two,
    two_splices_share_a_source,
    two_splices_share_a_target,
    spliced_data_wakes_who_waits_for_it,
    room_made_by_a_splice_wakes_who_waits_for_it,
    splice_without_reader_raises_sigpipe,
    splice_to_a_shut_socket_raises_sigpipe,
    last_readers_end_kills_every_sleeping_splice,
    interrupted_splice_loses_nothing,
    splice_cut_short_by_a_signal_tells_how_much,
    stopped_splice_sleeps_on,
    killed_splice_loses_nothing,
];

/// From an empty pipe that has a writer, splice sleeps until there is data; into a full one, until there is room.
#[case(SPLICE_2, "RETURN VALUE", also = [(PIPE_7, "I/O on pipes and FIFOs")])]
fn splice_of_empty_pipe_blocks_until_data() -> Verdict {
    let ((from, w), (r, to)) = (pipe()?, pipe()?);
    let all = fill_pipe(&to)?;
    let mover = Child::spawn(|| holds!(splice(&from, None, &to, None, 64, NONE) == Ok(4)))?;
    mover.blocked_in(SPLICE)?;
    write(&w, b"data")?;
    mover.blocked_in(SPLICE)?;
    check!(read_all(&r, all)?.len() == all);
    mover.join()?;
    check!(text(&r, 16) == Ok("data"));
    Ok(())
}

/// From a file into a full pipe, splice sleeps until there is room, and only then moves data and offset.
#[case(SPLICE_2, "ERRORS", also = [(PIPE_7, "I/O on pipes and FIFOs")])]
fn splice_of_a_file_blocks_until_room() -> Verdict {
    let (file, (r, w)) = (file("content")?, pipe()?);
    let all = fill_pipe(&w)?;
    let mover = Child::spawn(|| {
        let mut offset = 3;
        check!(splice(&file, Some(&mut offset), &w, None, 64, NONE) == Ok(4));
        check!(offset == 7);
        Ok(())
    })?;
    mover.blocked_in(SPLICE)?;
    check!(unread(&r) == Ok(all));
    check!(read_all(&r, all)?.len() == all);
    mover.join()?;
    check!(text(&r, 16) == Ok("tent"));
    Ok(())
}

/// From a socket without data, splice sleeps until some comes, and gives 0 when the other side is closed.
#[case(SPLICE_2, "RETURN VALUE")]
fn splice_of_a_socket_blocks_until_data() -> Verdict {
    let ((near, far), (r, w)) = (Socket::pair(SOCK_STREAM)?, pipe()?);
    let mover = Child::spawn(|| holds!(splice(&near, None, &w, None, 64, NONE) == Ok(4)))?;
    mover.blocked_in(SPLICE)?;
    write(&far, b"data")?;
    mover.join()?;
    check!(text(&r, 16) == Ok("data"));
    let mover = Child::spawn(|| {
        close_copy(&far)?;
        holds!(splice(&near, None, &w, None, 64, NONE) == Ok(0))
    })?;
    mover.blocked_in(SPLICE)?;
    drop(far);
    mover.join()
}

/// When the last writer goes, every splice that sleeps for data wakes and returns 0.
#[case(SPLICE_2, "RETURN VALUE")]
fn last_writers_end_wakes_every_splice() -> Verdict {
    let ((from, w), (_r, to), file) = (pipe()?, pipe()?, file("")?);
    let targets = [to.as_fd(), to.as_fd(), file.as_fd()];
    let movers = Children::spawn(3, |which| {
        close_copy(&w)?;
        holds!(splice(&from, None, targets[which], None, 64, NONE) == Ok(0))
    })?;
    movers.blocked_in(SPLICE)?;
    drop(w);
    movers.join()
}

/// One write with data enough for two splices that sleep for it wakes both, and each byte goes to one of them.
#[case(SPLICE_2, "RETURN VALUE")]
fn data_for_two_wakes_two() -> Verdict {
    let ((from, w), (r, to)) = (pipe()?, pipe()?);
    let movers = Children::spawn(2, |_| holds!(splice(&from, None, &to, None, 4, NONE) == Ok(4)))?;
    movers.blocked_in(SPLICE)?;
    write(&w, b"dataMORE")?;
    movers.join()?;
    let came = read_all(&r, 8)?;
    check!(came == b"dataMORE" || came == b"MOREdata");
    check!(unread(&from) == Ok(0));
    Ok(())
}

/// Two splices that sleep for room in one pipe both wake when it is emptied.
#[case(SPLICE_2, "ERRORS")]
fn room_for_two_wakes_two() -> Verdict {
    let ((from, w), (r, to), file) = (pipe()?, pipe()?, file("MORE")?);
    write(&w, b"data")?;
    let all = fill_pipe(&to)?;
    let sources = [from.as_fd(), file.as_fd()];
    let movers = Children::spawn(2, |which| {
        holds!(splice(sources[which], None, &to, None, 4, NONE) == Ok(4))
    })?;
    movers.blocked_in(SPLICE)?;
    check!(read_all(&r, all)?.len() == all);
    movers.join()?;
    let came = read_all(&r, 8)?;
    check!(came == b"dataMORE" || came == b"MOREdata");
    Ok(())
}

/// Of two processes that splice from one pipe at once, each byte goes to one, and what each gets is in order.
#[case(SPLICE_2, "DESCRIPTION")]
fn two_splices_share_a_source() -> Verdict {
    let (from, w) = pipe()?;
    let movers = Children::spawn(2, |which| {
        close_copy(&w)?;
        let file = File::create(which.to_string())?;
        while splice(&from, None, &file, None, 177, NONE)? > 0 {}
        Ok(())
    })?;
    let data: Vec<u8> = (0..=250).flat_map(|byte| [byte; 300]).collect();
    check!(write(&w, &data) == Ok(data.len()));
    drop(w);
    movers.join()?;
    let (one, two) = (fs::read("0")?, fs::read("1")?);
    check!(one.is_sorted() && two.is_sorted());
    let mut all = [one, two].concat();
    all.sort_unstable();
    check!(all == data);
    Ok(())
}

/// What two processes splice into one pipe at once comes out whole, and what each put in is in order.
#[case(SPLICE_2, "DESCRIPTION")]
fn two_splices_share_a_target() -> Verdict {
    const HALF: usize = 120 * 300;
    let (r, to) = pipe()?;
    let data: Vec<u8> = (0..240).flat_map(|byte| [byte; 300]).collect();
    let file = file(&data)?;
    let movers = Children::spawn(2, |which| {
        let (mut offset, end) = ((which * HALF) as i64, ((which + 1) * HALF) as i64);
        while offset < end {
            let size = 177.min(end - offset) as usize;
            splice(&file, Some(&mut offset), &to, None, size, NONE)?;
        }
        Ok(())
    })?;
    drop(to);
    let came = read_all(&r, data.len() + 1)?;
    movers.join()?;
    let (one, two): (Vec<u8>, Vec<u8>) = came.iter().partition(|byte| **byte < 120);
    check!(one == data[..HALF]);
    check!(two == data[HALF..]);
    Ok(())
}

/// Data that is spliced into a pipe, from a file or from a pipe, wakes who sleeps in a read, a poll or a splice of it.
#[case(PIPE_7, "I/O on pipes and FIFOs", also = [(POLL_2, "DESCRIPTION")])]
fn spliced_data_wakes_who_waits_for_it() -> Verdict {
    let (file, (from, w), (r, to), (end, next)) = (file("datadata")?, pipe()?, pipe()?, pipe()?);
    write(&w, b"datadata")?;
    for source in [file.as_fd(), from.as_fd()] {
        let poller =
            Child::spawn(|| holds!(poll::wait(&r, poll::IN, PollTimeout::NONE) == Ok(poll::IN)))?;
        poller.blocked_in(POLL)?;
        check!(splice(source, None, &to, None, 3, NONE) == Ok(3));
        poller.join()?;
        check!(text(&r, 16) == Ok("dat"));

        let reader = Child::spawn(|| holds!(text(&r, 16) == Ok("a")))?;
        reader.blocked_in(READ)?;
        check!(splice(source, None, &to, None, 1, NONE) == Ok(1));
        reader.join()?;

        let mover = Child::spawn(|| holds!(splice(&r, None, &next, None, 16, NONE) == Ok(4)))?;
        mover.blocked_in(SPLICE)?;
        check!(splice(source, None, &to, None, 4, NONE) == Ok(4));
        mover.join()?;
        check!(text(&end, 16) == Ok("data"));
    }
    Ok(())
}

/// Room that a splice makes in a full pipe, into a file or a pipe, wakes who sleeps in a write or a poll for it.
#[case(PIPE_7, "I/O on pipes and FIFOs", also = [(POLL_2, "DESCRIPTION")])]
fn room_made_by_a_splice_wakes_who_waits_for_it() -> Verdict {
    let (file, (r, w), (_end, to)) = (file("")?, pipe()?, pipe()?);
    for target in [file.as_fd(), to.as_fd()] {
        let all = fill_pipe(&w)?;
        let writer = Child::spawn(|| holds!(write(&w, b"late") == Ok(4)))?;
        writer.blocked_in(WRITE)?;
        let poller =
            Child::spawn(|| holds!(poll::wait(&w, poll::OUT, PollTimeout::NONE) == Ok(poll::OUT)))?;
        poller.blocked_in(POLL)?;
        check!(splice_all(&r, target, all) == Ok(all));
        writer.join()?;
        poller.join()?;
        check!(text(&r, 16) == Ok("late"));
    }
    Ok(())
}

/// Into a pipe without a reader, splice fails with EPIPE and raises SIGPIPE, and its source keeps data and offset.
#[case(PIPE_7, "I/O on pipes and FIFOs", also = [(SIGNAL_7, "Standard signals")])]
fn splice_without_reader_raises_sigpipe() -> Verdict {
    catch(SIGPIPE)?;
    let (file, (from, w), (r, to)) = (file("content")?, pipe()?, pipe()?);
    write(&w, b"kept")?;
    drop(r);
    let mut offset = 2;
    check!(splice(&from, None, &to, None, 4, NONE) == Err(EPIPE));
    check!(handled() == 1);
    check!(splice(&file, Some(&mut offset), &to, None, 4, NONE) == Err(EPIPE));
    check!(handled() == 2);
    check!(splice(&from, None, &to, None, 4, NONBLOCK) == Err(EPIPE));
    check!(handled() == 3);
    check!((offset, text(&from, 16)) == (2, Ok("kept")));
    Ok(())
}

/// To a socket whose other side is closed, splice fails with EPIPE and raises SIGPIPE, and the pipe keeps its data.
#[case(WRITE_2, "ERRORS", also = [(SIGNAL_7, "Standard signals")])]
fn splice_to_a_shut_socket_raises_sigpipe() -> Verdict {
    catch(SIGPIPE)?;
    let ((r, w), (near, far)) = (pipe()?, Socket::pair(SOCK_STREAM)?);
    write(&w, b"kept")?;
    drop(far);
    check!(splice(&r, None, &near, None, 4, NONE) == Err(EPIPE));
    check!(handled() == 1);
    check!(text(&r, 16) == Ok("kept"));
    Ok(())
}

/// When the last reader goes, every splice that sleeps for room gets SIGPIPE, and its source keeps data and offset.
#[case(PIPE_7, "I/O on pipes and FIFOs", also = [(SIGNAL_7, "Standard signals")])]
fn last_readers_end_kills_every_sleeping_splice() -> Verdict {
    let (file, (from, w), (r, to)) = (file("content")?, pipe()?, pipe()?);
    write(&w, b"kept")?;
    fill_pipe(&to)?;
    let sources = [from.as_fd(), file.as_fd()];
    let movers = Children::spawn(2, |which| {
        close_copy(&r)?;
        splice(sources[which], None, &to, None, 4, NONE)?;
        Ok(())
    })?;
    movers.blocked_in(SPLICE)?;
    drop(r);
    for mover in movers {
        check!(mover.wait()? == End::Killed(libc::SIGPIPE));
    }
    check!((text(&from, 16), text(&file, 16)) == (Ok("kept"), Ok("content")));
    Ok(())
}

/// A splice whose sleep, for data or for room, a handler interrupts is restarted or fails with EINTR, and nothing is lost.
#[case(SIGNAL_7, "Interruption of system calls and library functions by signal handlers")]
fn interrupted_splice_loses_nothing() -> Verdict {
    for flags in [0, libc::SA_RESTART] {
        let (first, second) = (Latch::new()?, Latch::new()?);
        Action::run(move |_| first.open()).flags(flags).on(SIGUSR1)?;
        Action::run(move |_| second.open()).flags(flags).on(SIGUSR2)?;
        let ((from, w), (r, to)) = (pipe()?, pipe()?);
        let all = fill_pipe(&to)?;
        let mover = Child::spawn(|| {
            loop {
                match splice(&from, None, &to, None, 64, NONE) {
                    Err(EINTR) => {}
                    answer => return holds!(answer == Ok(4)),
                }
            }
        })?;
        mover.sleeps_on_in(SPLICE, SIGUSR1, first)?;
        write(&w, b"data")?;
        mover.sleeps_on_in(SPLICE, SIGUSR2, second)?;
        check!(unread(&from) == Ok(4));
        check!(read_all(&r, all)?.len() == all);
        mover.join()?;
        check!((text(&r, 16), unread(&from)) == (Ok("data"), Ok(0)));
    }
    Ok(())
}

/// A splice that a signal cuts short tells how much it moved: just that has arrived, and the rest is still in the pipe.
#[case(SPLICE_2, "RETURN VALUE")]
fn splice_cut_short_by_a_signal_tells_how_much() -> Verdict {
    catch(SIGUSR1)?;
    let ((from, w), (near, far)) = (pipe()?, Socket::pair(SOCK_STREAM)?);
    near.set_option(libc::SOL_SOCKET, libc::SO_SNDBUF, 1)?;
    let filler = near.fill(&[b'.'; 512])? + near.fill(b".")?;
    // The usual 16 pages could go in a single message, whatever its size.
    let data = pattern(set_capacity(&w, 64 * page_size())?);
    write(&w, &data)?;
    let (source, bytes, moved) = (&from, data.len(), Counter::new()?);
    let mover = Child::spawn(move || {
        let answer = splice(source, None, &near, None, bytes, NONE);
        check!(answer.is_ok() || answer == Err(EINTR));
        moved.set(answer.unwrap_or(0) as u64);
        Ok(())
    })?;
    mover.blocked_in(SPLICE)?;
    // With one byte behind the filler, a part has moved.
    let mut arrived = read_all(&far, filler + 1)?.split_off(filler);
    mover.kill(SIGUSR1)?;
    arrived.extend(read_all(&far, data.len())?);
    mover.join()?;
    let moved = moved.get() as usize;
    check!(arrived == data[..moved]);
    check!(read_all(&from, data.len() - moved)? == data[moved..]);
    Ok(())
}

/// A splice that is stopped and continued while it sleeps, for data or for room, sleeps on.
#[case(SIGNAL_7, "Interruption of system calls and library functions by stop signals")]
fn stopped_splice_sleeps_on() -> Verdict {
    let ((from, w), (r, to)) = (pipe()?, pipe()?);
    let all = fill_pipe(&to)?;
    let mover = Child::spawn(|| holds!(splice(&from, None, &to, None, 64, NONE) == Ok(4)))?;
    mover.blocked_in(SPLICE)?;
    mover.stop_and_continue()?;
    mover.blocked_in(SPLICE)?;
    write(&w, b"data")?;
    mover.blocked_in(SPLICE)?;
    mover.stop_and_continue()?;
    mover.blocked_in(SPLICE)?;
    check!(read_all(&r, all)?.len() == all);
    mover.join()
}

/// A process that is killed while its splice sleeps for room leaves source and target as they were.
#[case(SPLICE_2, "DESCRIPTION")]
fn killed_splice_loses_nothing() -> Verdict {
    ignore(SIGPIPE)?;
    let ((from, w), (r, to), file) = (pipe()?, pipe()?, file("content")?);
    write(&w, b"kept")?;
    let all = fill_pipe(&to)?;
    let sources = [from.as_fd(), file.as_fd()];
    let movers = Children::spawn(2, |which| {
        splice(sources[which], None, &to, None, 4, NONE)?;
        Ok(())
    })?;
    movers.blocked_in(SPLICE)?;
    for mover in movers {
        mover.kill(SIGKILL)?;
        check!(mover.wait()? == End::Killed(libc::SIGKILL));
    }
    check!((text(&from, 16), text(&file, 16)) == (Ok("kept"), Ok("content")));
    check!((read_all(&r, all)?.len(), unread(&r)) == (all, Ok(0)));
    check!(fs::read_to_string("file")? == "content");
    Ok(())
}
