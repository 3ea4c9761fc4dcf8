//! Giving a second pipe what is in the first.

use std::fs::{self, File, OpenOptions};

use libc::SOCK_STREAM;
use nix::fcntl::{splice, tee};
use nix::poll::PollTimeout;

use crate::prelude::*;
use crate::sys::descriptors::{pattern, read_all, set_nonblocking, unread};
use crate::sys::files::file;
use crate::sys::memory::page_size;
use crate::sys::pipes::{Fifo, capacity, fill_pipe, set_capacity};
use crate::sys::poll;
use crate::sys::signals::{Action, catch, handled};
use crate::sys::sockets::Socket;
use crate::sys::splice::{HINTS, MOVE, NONBLOCK, NONE};

/// The cases of this module.
pub const CASES: &[Case] = &[
    tee_leaves_the_source_as_it_was,
    tee_gives_the_same_each_time,
    tee_begins_where_reading_stopped,
    tee_of_any_length_gives_the_head,
    copies_are_read_apart,
    copy_outlives_its_source,
    tee_copies_between_fifos,
    full_target_gets_a_head_only,
    tee_of_nothing_copies_nothing,
    hints_change_no_tee,
    tee_and_splice_feed_pipe_and_file,
    tee_without_data_or_writer_gives_zero,
    nonblocking_tee_gives_eagain,
    nonblock_is_for_the_one_tee,
    tee_sleeps_for_data_and_for_room,
    last_writers_end_wakes_every_tee,
    data_wakes_every_tee,
    copied_data_wakes_who_waits_for_it,
    tee_makes_no_room,
    tee_without_reader_raises_sigpipe,
    last_readers_end_kills_a_sleeping_tee,
    interrupted_tee_loses_nothing,
    stopped_tee_sleeps_on,
    failed_tee_changes_neither_pipe,
    tee_to_itself_or_a_file_is_refused,
    tee_to_a_pipe_opened_anew_is_refused,
];

/// Tee gives a second pipe the data of the first, which keeps all of it; each is then read by itself.
#[case(TEE_2, "DESCRIPTION")]
fn tee_leaves_the_source_as_it_was() -> Verdict {
    let ((from, w), (r, to)) = (pipe()?, pipe()?);
    write(&w, b"abc")?;
    write(&w, b"def")?;
    check!(tee(&from, &to, 4, NONE) == Ok(4));
    check!((unread(&from)?, unread(&r)?) == (6, 4));
    check!(text(&r, 16) == Ok("abcd"));
    check!(tee(&from, &to, 64, NONE) == Ok(6));
    check!(text(&from, 16) == Ok("abcdef"));
    write(&to, b"!")?;
    check!(text(&r, 16) == Ok("abcdef!"));
    Ok(())
}

/// Tee consumes nothing: however often it is called, it gives the same bytes.
#[case(TEE_2, "DESCRIPTION")]
fn tee_gives_the_same_each_time() -> Verdict {
    let ((from, w), (r, to)) = (pipe()?, pipe()?);
    write(&w, b"abc")?;
    for _ in 0..5 {
        check!(tee(&from, &to, 2, NONE) == Ok(2));
    }
    check!(text(&r, 64) == Ok("ababababab"));
    write(&w, b"def")?;
    check!(tee(&from, &to, 64, NONE) == Ok(6));
    check!((text(&r, 64), text(&from, 64)) == (Ok("abcdef"), Ok("abcdef")));
    Ok(())
}

/// Tee copies what is still to be read, and no byte of what was read or spliced away before.
#[case(TEE_2, "DESCRIPTION")]
fn tee_begins_where_reading_stopped() -> Verdict {
    let ((from, w), (r, to), file) = (pipe()?, pipe()?, file("")?);
    write(&w, b"abcdef")?;
    check!(text(&from, 2) == Ok("ab"));
    check!(tee(&from, &to, 64, NONE) == Ok(4));
    check!(text(&r, 16) == Ok("cdef"));
    check!(splice(&from, None, &file, None, 1, NONE) == Ok(1));
    check!(tee(&from, &to, 2, NONE) == Ok(2));
    check!((text(&r, 16), text(&from, 16)) == (Ok("de"), Ok("def")));
    Ok(())
}

/// Whatever the length, within one write or across several and at page edges, tee gives the head of the data, and no byte is changed.
#[case(TEE_2, "DESCRIPTION")]
fn tee_of_any_length_gives_the_head() -> Verdict {
    let page = page_size();
    let data = pattern(2 * page + 10);
    for bytes in [1, 2, 9, 10, 11, page - 1, page, page + 1, page + 10, 2 * page, 2 * page + 10] {
        let ((from, w), (r, to)) = (pipe()?, pipe()?);
        for end in [&w, &to] {
            set_capacity(end, 4 * page)?;
        }
        write(&w, &data[..10])?;
        write(&w, &data[10..])?;
        check!(tee(&from, &to, bytes, NONE) == Ok(bytes));
        check!((unread(&r)?, unread(&from)?) == (bytes, data.len()));
        check!(read_all(&r, bytes)? == data[..bytes], "{bytes} bytes");
        check!(read_all(&from, data.len())? == data, "the source, after {bytes} bytes");
    }
    Ok(())
}

/// Reading the copy takes nothing from the source, reading the source nothing from the copy, and what is written to one is not in the other.
#[case(TEE_2, "DESCRIPTION")]
fn copies_are_read_apart() -> Verdict {
    for (bytes, rest) in [(4, "cdXYZ"), (6, "cdefXYZ")] {
        let ((from, w), (r, to)) = (pipe()?, pipe()?);
        write(&w, b"abcdef")?;
        check!(tee(&from, &to, bytes, NONE) == Ok(bytes));
        write(&to, b"XYZ")?;
        write(&w, b"ghi")?;
        check!((unread(&from)?, unread(&r)?) == (9, bytes + 3));
        check!(text(&r, 2) == Ok("ab"));
        check!((unread(&from)?, text(&from, 3)) == (9, Ok("abc")));
        check!((unread(&r)?, text(&r, 16)) == (bytes + 1, Ok(rest)));
        check!(text(&from, 16) == Ok("defghi"));
    }
    Ok(())
}

/// What tee copied is there when both ends of the source are closed, and so is the source's when those of the target are.
#[case(TEE_2, "DESCRIPTION")]
fn copy_outlives_its_source() -> Verdict {
    let ((from, w), (r, to), (last, third)) = (pipe()?, pipe()?, pipe()?);
    write(&w, b"data")?;
    check!(tee(&from, &to, 64, NONE) == Ok(4));
    check!(tee(&from, &third, 64, NONE) == Ok(4));
    drop((r, to));
    check!(tee(&from, &third, 64, NONE) == Ok(4));
    drop((from, w, third));
    check!(text(&last, 16) == Ok("datadata"));
    check!(text(&last, 16) == Ok(""));
    Ok(())
}

/// Tee copies from FIFO to FIFO as from pipe to pipe.
#[case(TEE_2, "DESCRIPTION", also = [(PIPE_7, "DESCRIPTION")])]
fn tee_copies_between_fifos() -> Verdict {
    let ((from, w), (r, to)) = (Fifo::new("one")?.ends()?, Fifo::new("two")?.ends()?);
    write(&w, b"data")?;
    check!(tee(&from, &to, 64, NONE) == Ok(4));
    check!((text(&from, 16), text(&r, 16)) == (Ok("data"), Ok("data")));
    Ok(())
}

/// A tee that may not sleep copies what the target has room for, tells how much, and the source has all of it still.
#[case(TEE_2, "RETURN VALUE")]
fn full_target_gets_a_head_only() -> Verdict {
    let ((from, w), (r, to)) = (pipe()?, pipe()?);
    let room = set_capacity(&to, page_size())?;
    let data = pattern(capacity(&w)?);
    write(&w, &data)?;
    let copied = tee(&from, &to, data.len(), NONBLOCK)?;
    check!(copied > 0 && copied <= room);
    check!((unread(&r)?, unread(&from)?) == (copied, data.len()));
    check!(read_all(&r, copied)? == data[..copied]);
    check!(read_all(&from, data.len())? == data);
    Ok(())
}

/// Asked for no bytes, tee copies none.
#[case(TEE_2, "DESCRIPTION")]
fn tee_of_nothing_copies_nothing() -> Verdict {
    let ((from, w), (r, to)) = (pipe()?, pipe()?);
    write(&w, b"data")?;
    check!(tee(&from, &to, 0, NONE) == Ok(0));
    check!((unread(&from)?, unread(&r)?) == (4, 0));
    Ok(())
}

/// SPLICE_F_MOVE, SPLICE_F_MORE and SPLICE_F_GIFT are allowed and have no effect: source and copy are as without them.
#[case(TEE_2, "DESCRIPTION", settles = ["tee.2 SPLICE_F_MOVE", "tee.2 SPLICE_F_MORE", "tee.2 SPLICE_F_GIFT"])]
fn hints_change_no_tee() -> Verdict {
    let file = file("content")?;
    for flags in HINTS {
        let ((from, w), (r, to), mut offset) = (pipe()?, pipe()?, 0);
        write(&w, b"my ")?;
        check!(splice(&file, Some(&mut offset), &w, None, 7, NONE) == Ok(7));
        check!(tee(&from, &to, 64, flags) == Ok(10), "{flags:?}");
        check!(unread(&from) == Ok(10), "{flags:?}");
        write(&to, b"!")?;
        write(&w, b"?")?;
        check!(read_all(&r, 11)? == b"my content!", "{flags:?}");
        check!(read_all(&from, 11)? == b"my content?", "{flags:?}");
        check!(fs::read_to_string("file")? == "content", "{flags:?}");
    }
    Ok(())
}

/// Tee and then splice of as many bytes give a whole stream to a pipe and to a file, as in the example of the page.
#[case(TEE_2, "EXAMPLES")]
fn tee_and_splice_feed_pipe_and_file() -> Verdict {
    let ((input, feed), (output, to), log) = (pipe()?, pipe()?, File::create("log")?);
    let data = pattern(300_007);
    let writer = Child::spawn(|| {
        check!(write(&feed, &data) == Ok(data.len()));
        Ok(())
    })?;
    drop(feed);
    let reader = Child::spawn(|| {
        close_copy(&to)?;
        check!(read_all(&output, data.len() + 1)? == data);
        Ok(())
    })?;
    loop {
        let mut size = match tee(&input, &to, i32::MAX as usize, NONE)? {
            0 => break,
            size => size,
        };
        while size > 0 {
            size -= splice(&input, None, &log, None, size, MOVE)?;
        }
    }
    drop(to);
    writer.join()?;
    reader.join()?;
    check!(fs::read("log")? == data);
    Ok(())
}

/// Without data and without a writer, from a FIFO that never had one too, tee returns 0.
#[case(TEE_2, "RETURN VALUE")]
fn tee_without_data_or_writer_gives_zero() -> Verdict {
    let ((from, w), (r, to)) = (pipe()?, pipe()?);
    write(&w, b"last")?;
    drop(w);
    check!(tee(&from, &to, 64, NONE) == Ok(4));
    check!(text(&from, 16) == Ok("last"));
    for source in [from, Fifo::new("fifo")?.early_reader()?] {
        check!(tee(&source, &to, 64, NONE) == Ok(0));
        check!(tee(&source, &to, 64, NONBLOCK) == Ok(0));
    }
    check!(text(&r, 16) == Ok("last"));
    Ok(())
}

/// Where it would block, for data or for room, tee fails with EAGAIN if told SPLICE_F_NONBLOCK or if that descriptor is nonblocking.
#[case(TEE_2, "ERRORS", settles = ["tee.2 EAGAIN", "tee.2 SPLICE_F_NONBLOCK"])]
fn nonblocking_tee_gives_eagain() -> Verdict {
    // In a child, so that one that sleeps all the same is seen to sleep.
    let copier = Child::spawn(|| {
        let ((from, w), (_r, to)) = (pipe()?, pipe()?);
        check!(tee(&from, &to, 64, NONBLOCK) == Err(EAGAIN));
        set_nonblocking(&from, true)?;
        check!(tee(&from, &to, 64, NONE) == Err(EAGAIN));
        write(&w, b"data")?;
        fill_pipe(&to)?;
        check!(tee(&from, &to, 64, NONBLOCK) == Err(EAGAIN));
        set_nonblocking(&to, true)?;
        check!(tee(&from, &to, 64, NONE) == Err(EAGAIN));
        check!(unread(&from) == Ok(4));
        Ok(())
    })?;
    copier.join()
}

/// SPLICE_F_NONBLOCK counts for its own call: the descriptors stay as they were, and the next tee sleeps.
#[case(TEE_2, "DESCRIPTION", settles = ["tee.2 SPLICE_F_NONBLOCK"])]
fn nonblock_is_for_the_one_tee() -> Verdict {
    let ((from, w), (r, to)) = (pipe()?, pipe()?);
    check!(tee(&from, &to, 4, NONBLOCK) == Err(EAGAIN));
    for end in [&from, &to] {
        let flags = OFlag::from_bits_retain(fcntl(end, FcntlArg::F_GETFL)?);
        check!(!flags.contains(OFlag::O_NONBLOCK));
    }
    let copier = Child::spawn(|| holds!(tee(&from, &to, 4, NONE) == Ok(4)))?;
    copier.blocked_in(TEE)?;
    write(&w, b"data")?;
    copier.join()?;
    check!(text(&r, 16) == Ok("data"));
    Ok(())
}

/// From an empty pipe that has a writer, tee sleeps until there is data; into a full one, until there is room.
#[case(TEE_2, "ERRORS", also = [(PIPE_7, "I/O on pipes and FIFOs")])]
fn tee_sleeps_for_data_and_for_room() -> Verdict {
    let ((from, w), (r, to)) = (pipe()?, pipe()?);
    let all = fill_pipe(&to)?;
    let copier = Child::spawn(|| holds!(tee(&from, &to, 64, NONE) == Ok(4)))?;
    copier.blocked_in(TEE)?;
    write(&w, b"data")?;
    copier.blocked_in(TEE)?;
    check!(read_all(&r, all)?.len() == all);
    copier.join()?;
    check!((text(&r, 16), text(&from, 16)) == (Ok("data"), Ok("data")));
    Ok(())
}

/// When the last writer goes, every tee that sleeps for data wakes and returns 0.
#[case(TEE_2, "RETURN VALUE")]
fn last_writers_end_wakes_every_tee() -> Verdict {
    let ((from, w), (_r, to)) = (pipe()?, pipe()?);
    let copiers = Children::spawn(3, |_| {
        close_copy(&w)?;
        holds!(tee(&from, &to, 64, NONE) == Ok(0))
    })?;
    copiers.blocked_in(TEE)?;
    drop(w);
    copiers.join()
}

/// Data that comes wakes every tee that sleeps for it, since none takes it away.
#[case(TEE_2, "DESCRIPTION")]
fn data_wakes_every_tee() -> Verdict {
    let ((from, w), (r, to)) = (pipe()?, pipe()?);
    let copiers = Children::spawn(3, |_| holds!(tee(&from, &to, 64, NONE) == Ok(4)))?;
    copiers.blocked_in(TEE)?;
    write(&w, b"data")?;
    copiers.join()?;
    check!((text(&r, 64), text(&from, 64)) == (Ok("datadatadata"), Ok("data")));
    Ok(())
}

/// Data that tee brings wakes who sleeps in a read or a poll of the target.
#[case(PIPE_7, "I/O on pipes and FIFOs", also = [(POLL_2, "DESCRIPTION")])]
fn copied_data_wakes_who_waits_for_it() -> Verdict {
    let ((from, w), (r, to)) = (pipe()?, pipe()?);
    write(&w, b"data")?;
    let poller =
        Child::spawn(|| holds!(poll::wait(&r, poll::IN, PollTimeout::NONE) == Ok(poll::IN)))?;
    poller.blocked_in(POLL)?;
    check!(tee(&from, &to, 64, NONE) == Ok(4));
    poller.join()?;
    check!(text(&r, 16) == Ok("data"));
    let reader = Child::spawn(|| holds!(text(&r, 16) == Ok("data")))?;
    reader.blocked_in(READ)?;
    check!(tee(&from, &to, 64, NONE) == Ok(4));
    reader.join()
}

/// Tee makes no room in its source: who sleeps in a write to it sleeps on until somebody reads.
#[case(TEE_2, "DESCRIPTION", also = [(PIPE_7, "I/O on pipes and FIFOs")])]
fn tee_makes_no_room() -> Verdict {
    let ((from, w), (r, to)) = (pipe()?, pipe()?);
    let all = fill_pipe(&w)?;
    let writer = Child::spawn(|| holds!(write(&w, b"late") == Ok(4)))?;
    writer.blocked_in(WRITE)?;
    let copied = tee(&from, &to, all, NONBLOCK)?;
    check!(read_all(&r, copied)?.len() == copied);
    writer.blocked_in(WRITE)?;
    check!(poll::now(&w, poll::OUT) == Ok(poll::NONE));
    check!(read_all(&from, all)?.len() == all);
    writer.join()?;
    check!(text(&from, 16) == Ok("late"));
    Ok(())
}

/// Into a pipe without a reader, tee fails with EPIPE and raises SIGPIPE, and the source keeps its data.
#[case(PIPE_7, "I/O on pipes and FIFOs", also = [(SIGNAL_7, "Standard signals")])]
fn tee_without_reader_raises_sigpipe() -> Verdict {
    catch(SIGPIPE)?;
    let ((from, w), (r, to)) = (pipe()?, pipe()?);
    write(&w, b"kept")?;
    drop(r);
    check!(tee(&from, &to, 64, NONE) == Err(EPIPE));
    check!(handled() == 1);
    check!(tee(&from, &to, 64, NONBLOCK) == Err(EPIPE));
    check!(handled() == 2);
    check!(text(&from, 16) == Ok("kept"));
    Ok(())
}

/// When the last reader goes, a tee that sleeps for room gets SIGPIPE.
#[case(PIPE_7, "I/O on pipes and FIFOs", also = [(SIGNAL_7, "Standard signals")])]
fn last_readers_end_kills_a_sleeping_tee() -> Verdict {
    let ((from, w), (r, to)) = (pipe()?, pipe()?);
    write(&w, b"kept")?;
    fill_pipe(&to)?;
    let copier = Child::spawn(|| {
        close_copy(&r)?;
        tee(&from, &to, 64, NONE)?;
        Ok(())
    })?;
    copier.blocked_in(TEE)?;
    drop(r);
    check!(copier.wait()? == End::Killed(libc::SIGPIPE));
    check!(text(&from, 16) == Ok("kept"));
    Ok(())
}

/// A tee whose sleep, for data or for room, a handler interrupts is restarted or fails with EINTR, and nothing is lost or copied twice.
#[case(SIGNAL_7, "Interruption of system calls and library functions by signal handlers")]
fn interrupted_tee_loses_nothing() -> Verdict {
    for flags in [0, libc::SA_RESTART] {
        let (first, second) = (Latch::new()?, Latch::new()?);
        Action::run(move |_| first.open()).flags(flags).on(SIGUSR1)?;
        Action::run(move |_| second.open()).flags(flags).on(SIGUSR2)?;
        let ((from, w), (r, to)) = (pipe()?, pipe()?);
        let all = fill_pipe(&to)?;
        let copier = Child::spawn(|| {
            loop {
                match tee(&from, &to, 64, NONE) {
                    Err(EINTR) => {}
                    answer => return holds!(answer == Ok(4)),
                }
            }
        })?;
        copier.sleeps_on_in(TEE, SIGUSR1, first)?;
        write(&w, b"data")?;
        copier.sleeps_on_in(TEE, SIGUSR2, second)?;
        check!(read_all(&r, all)?.len() == all);
        copier.join()?;
        check!((text(&r, 16), text(&from, 16)) == (Ok("data"), Ok("data")));
    }
    Ok(())
}

/// A tee that is stopped and continued while it sleeps, for data or for room, sleeps on.
#[case(SIGNAL_7, "Interruption of system calls and library functions by stop signals")]
fn stopped_tee_sleeps_on() -> Verdict {
    let ((from, w), (r, to)) = (pipe()?, pipe()?);
    let all = fill_pipe(&to)?;
    let copier = Child::spawn(|| holds!(tee(&from, &to, 64, NONE) == Ok(4)))?;
    copier.blocked_in(TEE)?;
    copier.stop_and_continue()?;
    copier.blocked_in(TEE)?;
    write(&w, b"data")?;
    copier.blocked_in(TEE)?;
    copier.stop_and_continue()?;
    copier.blocked_in(TEE)?;
    check!(read_all(&r, all)?.len() == all);
    copier.join()
}

/// From a write end or to a read end tee fails, and neither pipe is changed.
#[case(TEE_2, "DESCRIPTION", also = [(PIPE_2, "DESCRIPTION")])]
fn failed_tee_changes_neither_pipe() -> Verdict {
    let ((from, w), (r, to)) = (pipe()?, pipe()?);
    write(&w, b"one")?;
    write(&to, b"two")?;
    check!(tee(&w, &to, 4, NONE).is_err());
    check!(tee(&from, &r, 4, NONE).is_err());
    check!(tee(&w, &r, 4, NONE).is_err());
    check!((text(&from, 16), text(&r, 16)) == (Ok("one"), Ok("two")));
    Ok(())
}

refusals! {
    TEE_2, "ERRORS";

    /// The two ends of one pipe are refused, and so is what is not a pipe on either side; nothing is copied.
    ["tee.2 EINVAL"] tee_to_itself_or_a_file_is_refused => EINVAL: {
        let ((r, w), (fifo, _w), file) = (pipe()?, Fifo::new("fifo")?.ends()?, file("content")?);
        let (near, far) = Socket::pair(SOCK_STREAM)?;
        write(&w, b"data")?;
        write(&far, b"data")?;
        for no_pipe in [file.as_fd(), near.as_fd()] {
            check!(tee(&r, no_pipe, 4, NONE) == Err(EINVAL));
            check!(tee(no_pipe, &w, 4, NONE) == Err(EINVAL));
        }
        let again = Fifo { name: "fifo" }.writer()?;
        write(&again, b"trip")?;
        check!(tee(&fifo, &again, 4, NONE) == Err(EINVAL));
        check!(tee(&r, dup(&w)?, 4, NONE) == Err(EINVAL));
        check!((unread(&r)?, unread(&fifo)?) == (4, 4));
        check!(fs::read_to_string("file")? == "content");
        tee(&r, &w, 4, NONE)
    };
}

/// A pipe that is opened anew through /proc is the same pipe, and tee refuses to copy it into itself.
#[case(TEE_2, "ERRORS", settles = ["tee.2 EINVAL"], needs = [Need::Proc])]
fn tee_to_a_pipe_opened_anew_is_refused() -> Verdict {
    let (r, w) = pipe()?;
    write(&w, b"round")?;
    let again = OpenOptions::new().write(true).open(format!("/proc/self/fd/{}", w.as_raw_fd()))?;
    check!(tee(&r, &again, 4, NONE) == Err(EINVAL));
    check!(text(&r, 16) == Ok("round"));
    Ok(())
}
