//! FIFOs: what is in them, how long it stays, and who gets it.

use std::fs::metadata;
use std::os::unix::fs::MetadataExt;

use nix::sys::stat::{UtimensatFlags, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::ftruncate;

use crate::prelude::*;
use crate::sys::descriptors::{pattern, read_all, unread};
use crate::sys::memory::page_size;
use crate::sys::pipes::{Fifo, PIPE_BUF, capacity, set_capacity};

/// The cases of this module.
pub const CASES: &[Case] = &[
    nothing_is_stored_in_the_file,
    data_waits_for_a_reader_that_opens_late,
    fifos_share_nothing,
    unread_data_is_gone_after_the_last_close,
    capacity_is_forgotten_after_the_last_close,
    nonblocking_read_tells_whether_there_is_a_writer,
    new_writer_revives_a_fifo_that_had_ended,
    reader_sleeps_on_while_writers_come_and_go,
    last_writers_end_wakes_every_reader,
    each_byte_goes_to_one_reader,
    small_writes_of_strangers_do_not_mix,
    write_without_reader_kills,
    truncation_is_ignored,
    transfers_show_in_the_times,
];

/// What is in a FIFO is in the kernel: the file stays empty and takes no room.
#[case(FIFO_7, "DESCRIPTION", settles = ["A04"])]
fn nothing_is_stored_in_the_file() -> Verdict {
    let fifo = Fifo::new("fifo")?;
    let (r, w) = fifo.ends()?;
    write(&w, &vec![b'x'; 4 * page_size()])?;
    let file = fifo.stat()?;
    check!((file.st_size, file.st_blocks) == (0, 0));
    check!(unread(&r) == Ok(4 * page_size()));
    Ok(())
}

/// Data stays in a FIFO when its writer has exited, for a reader that comes while another has it open.
#[case(FIFO_7, "DESCRIPTION", settles = ["A04"])]
fn data_waits_for_a_reader_that_opens_late() -> Verdict {
    let fifo = Fifo::new("fifo")?;
    let keeper = fifo.early_reader()?;
    Child::spawn(|| say(fifo.writer()?, "legacy"))?.join()?;
    let late = fifo.early_reader()?;
    check!(text(&late, 16) == Ok("legacy"));
    check!(text(&keeper, 16) == Ok(""));
    Ok(())
}

/// Two FIFOs are two pipes: neither data nor capacity nor an end of the one is seen at the other.
#[case(FIFO_7, "DESCRIPTION")]
fn fifos_share_nothing() -> Verdict {
    let (one, other) = (Fifo::new("one")?, Fifo::new("other")?);
    let (r, w) = one.ends()?;
    check!(other.early_writer().map(drop) == Err(ENXIO));
    let (other_r, other_w) = other.ends()?;
    let usual = capacity(&other_r)?;
    set_capacity(&w, 2 * usual)?;
    write(&w, b"x")?;
    check!((capacity(&other_w), unread(&other_r)) == (Ok(usual), Ok(0)));
    drop(other_w);
    check!(text(&other_r, 8) == Ok(""));
    check!(text(&r, 8) == Ok("x"));
    check!(write(&w, b"y") == Ok(1));
    Ok(())
}

/// What was left unread when the last descriptor was closed is not there at the next open.
#[case(FIFO_7, "DESCRIPTION", settles = ["B10"])]
fn unread_data_is_gone_after_the_last_close() -> Verdict {
    let fifo = Fifo::new("fifo")?;
    let (r, w) = fifo.ends()?;
    write(&w, b"unread")?;
    drop(r);
    let again = fifo.early_reader()?;
    check!(unread(&again) == Ok(6));
    drop((again, w));
    let (r, w) = fifo.ends()?;
    check!(unread(&r) == Ok(0));
    write(&w, b"afresh")?;
    check!(text(&r, 16) == Ok("afresh"));
    Ok(())
}

/// The buffer is made at the first open: a capacity that was set lasts until the last close.
#[case(FIFO_7, "DESCRIPTION", settles = ["B10"])]
fn capacity_is_forgotten_after_the_last_close() -> Verdict {
    let fifo = Fifo::new("fifo")?;
    let (r, w) = fifo.ends()?;
    let usual = capacity(&r)?;
    let other = set_capacity(&w, 2 * usual)?;
    drop(w);
    check!(capacity(fifo.writer()?) == Ok(other));
    drop(r);
    check!(capacity(fifo.early_reader()?) == Ok(usual));
    Ok(())
}

/// A nonblocking read of an empty FIFO gives 0 without a writer and EAGAIN with one.
#[case(PIPE_7, "I/O on pipes and FIFOs", settles = ["B11"])]
fn nonblocking_read_tells_whether_there_is_a_writer() -> Verdict {
    let fifo = Fifo::new("fifo")?;
    let r = fifo.early_reader()?;
    check!(text(&r, 8) == Ok(""));
    let w = fifo.writer()?;
    check!(text(&r, 8) == Err(EAGAIN));
    write(&w, b"x")?;
    check!(text(&r, 8) == Ok("x"));
    check!(text(&r, 8) == Err(EAGAIN));
    drop(w);
    check!(text(&r, 8) == Ok(""));
    Ok(())
}

/// A reader that has seen the end of file reads on when a new writer comes.
#[case(PIPE_7, "I/O on pipes and FIFOs")]
fn new_writer_revives_a_fifo_that_had_ended() -> Verdict {
    let fifo = Fifo::new("fifo")?;
    let (r, w) = fifo.ends()?;
    drop(w);
    check!(text(&r, 8) == Ok(""));
    let w = fifo.writer()?;
    let reader = Child::spawn(|| {
        close_copy(&w)?;
        check!(text(&r, 8) == Ok("back"));
        check!(text(&r, 8) == Ok(""));
        Ok(())
    })?;
    reader.blocked_in(READ)?;
    write(&w, b"back")?;
    drop(w);
    reader.join()
}

/// A reader sleeps through the coming and going of writers while one stays, and sees the end when that one is killed.
#[case(PIPE_7, "I/O on pipes and FIFOs")]
fn reader_sleeps_on_while_writers_come_and_go() -> Verdict {
    let fifo = Fifo::new("fifo")?;
    let reader = Child::spawn(|| {
        let r = fifo.reader()?;
        check!(text(&r, 8) == Ok("x"));
        check!(text(&r, 8) == Ok(""));
        Ok(())
    })?;
    reader.blocked_in(OPEN)?;
    let opened = Latch::new()?;
    let keeper = Child::spawn(|| {
        let _w = fifo.writer()?;
        opened.open();
        Latch::new()?.wait()
    })?;
    keeper.reaches(opened)?;
    for passer_by in [OFlag::O_WRONLY, OFlag::O_WRONLY | OFlag::O_NONBLOCK] {
        reader.blocked_in(READ)?;
        drop(fifo.open(passer_by)?);
    }
    reader.blocked_in(READ)?;
    say(fifo.writer()?, "x")?;
    reader.blocked_in(READ)?;
    keeper.kill(SIGKILL)?;
    keeper.wait()?;
    reader.join()
}

/// When the last writer of a FIFO exits, every reader that sleeps wakes and sees the end.
#[case(PIPE_7, "I/O on pipes and FIFOs")]
fn last_writers_end_wakes_every_reader() -> Verdict {
    let fifo = Fifo::new("fifo")?;
    let readers = Children::spawn(3, |_| holds!(text(fifo.reader()?, 8) == Ok("")))?;
    readers.blocked_in(OPEN)?;
    let all_sleep = Latch::new()?;
    let writer = Child::spawn(|| {
        let _w = fifo.writer()?;
        all_sleep.wait()
    })?;
    readers.blocked_in(READ)?;
    all_sleep.open();
    writer.join()?;
    readers.join()
}

/// Of several readers of a FIFO each byte goes to exactly one.
#[case(FIFO_7, "DESCRIPTION", also = [(PIPE_7, "I/O on pipes and FIFOs")])]
fn each_byte_goes_to_one_reader() -> Verdict {
    let (fifo, results) = (Fifo::new("fifo")?, Fifo::new("results")?);
    let (gathered, result) = results.ends()?;
    let readers = Children::spawn(4, |_| {
        let r = fifo.reader()?;
        loop {
            let bytes = read_all(&r, 7)?;
            if bytes.is_empty() {
                return Ok(());
            }
            check!(write(&result, &bytes) == Ok(bytes.len()));
        }
    })?;
    readers.blocked_in(OPEN)?;
    let w = fifo.writer()?;
    readers.blocked_in(READ)?;
    let mut sent = pattern(page_size());
    check!(write(&w, &sent) == Ok(sent.len()));
    drop(w);
    readers.join()?;
    drop(result);
    let mut got = read_all(&gathered, sent.len() + 1)?;
    got.sort_unstable();
    sent.sort_unstable();
    check!(got.len() == sent.len());
    check!(got == sent);
    Ok(())
}

/// Writes of at most PIPE_BUF bytes by processes that opened the FIFO each for itself come out in one piece.
#[case(PIPE_7, "PIPE_BUF", also = [(PIPE_7, "I/O on pipes and FIFOs")])]
fn small_writes_of_strangers_do_not_mix() -> Verdict {
    let fifo = Fifo::new("fifo")?;
    let length = PIPE_BUF - 1;
    let writers = Children::spawn(3, |name| {
        let (w, record) = (fifo.writer()?, vec![b'a' + name as u8; length]);
        (0..50).try_for_each(|_| holds!(write(&w, &record) == Ok(length)))
    })?;
    writers.blocked_in(OPEN)?;
    let r = fifo.reader()?;
    for round in 0..150 {
        let record = read_all(&r, length)?;
        check!(record.len() == length, "record {round}");
        check!(record.iter().all(|byte| *byte == record[0]), "record {round}");
    }
    writers.join()?;
    check!(text(&r, 8) == Ok(""));
    Ok(())
}

/// A write to a FIFO that nobody has open for reading any more ends the process with SIGPIPE.
#[case(FIFO_7, "NOTES", settles = ["A34"])]
fn write_without_reader_kills() -> Verdict {
    let fifo = Fifo::new("fifo")?;
    let (r, w) = fifo.ends()?;
    drop(r);
    let writer = Child::spawn(|| say(&w, "x"))?;
    check!(writer.wait()? == End::Killed(libc::SIGPIPE));
    let _r = fifo.early_reader()?;
    check!(write(&w, b"x") == Ok(1));
    Ok(())
}

/// A FIFO has no length to be cut: O_TRUNC is ignored, ftruncate is refused, and what is in it stays.
#[case(OPEN_2, "DESCRIPTION", also = [(TRUNCATE_2, "ERRORS")])]
fn truncation_is_ignored() -> Verdict {
    let fifo = Fifo::new("fifo")?;
    let (r, w) = fifo.ends()?;
    write(&w, b"kept")?;
    check!(fifo.open(OFlag::O_WRONLY | OFlag::O_TRUNC).map(drop) == Ok(()));
    check!(fifo.open(OFlag::O_RDWR | OFlag::O_TRUNC | OFlag::O_CREAT).map(drop) == Ok(()));
    check!(ftruncate(&w, 0) == Err(EINVAL));
    check!(text(&r, 8) == Ok("kept"));
    Ok(())
}

/// A write of at least a byte moves the times of modification and change of a FIFO; one of none, and an open, do not.
#[case(INODE_7, "DESCRIPTION")]
fn transfers_show_in_the_times() -> Verdict {
    let fifo = Fifo::new("fifo")?;
    let (r, w) = fifo.ends()?;
    let long_ago = TimeSpec::new(1, 0);
    utimensat(
        nix::fcntl::AT_FDCWD,
        fifo.name,
        &long_ago,
        &long_ago,
        UtimensatFlags::FollowSymlink,
    )?;
    check!(write(&w, b"") == Ok(0));
    drop(fifo.writer()?);
    check!(metadata("fifo")?.mtime() == 1);
    write(&w, b"x")?;
    check!(metadata("fifo")?.mtime() > 1);
    check!(text(&r, 8) == Ok("x"));
    Ok(())
}
