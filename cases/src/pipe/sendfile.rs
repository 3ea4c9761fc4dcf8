//! Copying a file into a pipe, and into what else may be written to.

use std::fs::{self, File, OpenOptions};
use std::io::{Seek, SeekFrom};
use std::os::unix::fs::FileExt;

use libc::{MAP_PRIVATE, PROT_READ, SOCK_STREAM};
use nix::sys::sendfile::sendfile64 as sendfile;

use crate::prelude::*;
use crate::sys::descriptors::{closed_fd, pattern, read_all, set_nonblocking, unread};
use crate::sys::files::file;
use crate::sys::memory::{Memory, page_size};
use crate::sys::pipes::{capacity, fill_pipe};
use crate::sys::signals::{catch, handled};
use crate::sys::sockets::Socket;
use crate::sys::splice::{SOCKET_TO_PIPE, TERMINAL_TO_PIPE, sendfile_by};
use crate::sys::terminal::Terminal;

/// The cases of this module.
pub const CASES: &[Case] = &[
    given_offset_is_moved_and_that_of_the_file_is_not,
    without_offset_that_of_the_file_is_moved,
    sendfile_writes_where_the_target_stands,
    sendfile_ends_where_the_file_ends,
    all_comes_through_pages_and_holes,
    sendfile_to_full_pipe_sleeps_until_there_is_room,
    nonblocking_target_gives_eagain,
    sendfile_of_more_than_fits_tells_how_much,
    signal_ends_the_sleep_of_sendfile,
    signal_in_the_middle_leaves_what_was_sent,
    sendfile_without_reader_raises_sigpipe,
    last_readers_end_wakes_every_sendfile,
    writing_after_sendfile_leaves_the_file_alone,
    sent_data_outlives_its_file,
    socket_is_sent_to_a_pipe,
    offset_is_eight_bytes_and_no_more,
    bad_offset_pointer_is_refused,
    wrong_direction_is_refused,
    source_that_cannot_be_mapped_is_refused,
    appending_target_is_refused,
    offset_for_what_cannot_seek_is_refused,
    failing_source_gives_eio,
];

/// Sends so many bytes from an offset, in as many calls as it takes; fewer
/// when the file ends. The offset follows each call.
fn send_all(out: impl AsFd, file: &File, from: i64, bytes: usize) -> Verdict<usize> {
    let (mut offset, mut sent) = (from, 0);
    while sent < bytes {
        let more = sendfile(&out, file, Some(&mut offset), bytes - sent)?;
        sent += more;
        check!(offset == from + sent as i64);
        if more == 0 {
            break;
        }
    }
    Ok(sent)
}

/// With an offset, sendfile reads from there, moves that on to behind the last byte and leaves the file's own where it was.
#[case(SENDFILE_2, "DESCRIPTION")]
fn given_offset_is_moved_and_that_of_the_file_is_not() -> Verdict {
    let mut file = file("abcdefgh")?;
    let ((r, w), mut offset) = (pipe()?, 4);
    file.seek(SeekFrom::Start(1))?;
    check!(sendfile(&w, &file, Some(&mut offset), 3) == Ok(3));
    check!((offset, file.stream_position()?) == (7, 1));
    offset = 0;
    check!(sendfile(&w, &file, Some(&mut offset), 1) == Ok(1));
    check!((offset, file.stream_position()?) == (1, 1));
    check!(text(&r, 64) == Ok("efga"));
    Ok(())
}

/// Without an offset, sendfile reads from where the file's own stands and moves that on, for every copy of its descriptor.
#[case(SENDFILE_2, "DESCRIPTION")]
fn without_offset_that_of_the_file_is_moved() -> Verdict {
    let mut file = file("abcdefgh")?;
    let (r, w) = pipe()?;
    file.seek(SeekFrom::Start(2))?;
    check!(sendfile(&w, &file, None, 3) == Ok(3));
    check!(file.stream_position()? == 5);
    Child::spawn(|| holds!(sendfile(&w, &file, None, 2) == Ok(2)))?.join()?;
    check!(file.stream_position()? == 7);
    check!(text(&r, 64) == Ok("cdefg"));
    Ok(())
}

/// Into a file, sendfile writes where that file's offset stands, moves it on and leaves the rest of the content.
#[case(SENDFILE_2, "DESCRIPTION")]
fn sendfile_writes_where_the_target_stands() -> Verdict {
    let file = file("abcdefgh")?;
    fs::write("target", "0123456789")?;
    let mut target = OpenOptions::new().write(true).open("target")?;
    target.seek(SeekFrom::Start(3))?;
    let mut offset = 5;
    check!(sendfile(&target, &file, Some(&mut offset), 2) == Ok(2));
    check!(sendfile(&target, &file, None, 1) == Ok(1));
    check!((offset, target.stream_position()?) == (7, 6));
    check!(fs::read_to_string("target")? == "012fga6789");
    check!(fs::read_to_string("file")? == "abcdefgh");
    Ok(())
}

/// Sendfile sends what the file has at the time and then 0 bytes, until the file has more; of 0 bytes it sends none.
#[case(SENDFILE_2, "RETURN VALUE")]
fn sendfile_ends_where_the_file_ends() -> Verdict {
    let file = file("abcdefgh")?;
    let ((r, w), mut offset) = (pipe()?, 6);
    check!(sendfile(&w, &file, Some(&mut offset), 0) == Ok(0));
    check!(sendfile(&w, &file, Some(&mut offset), 64) == Ok(2));
    check!(sendfile(&w, &file, Some(&mut offset), 64) == Ok(0));
    check!(text(&r, 64) == Ok("gh"));
    file.set_len(4)?;
    check!(sendfile(&w, &file, Some(&mut offset), 64) == Ok(0));
    check!(offset == 8);
    file.write_all_at(b"ij", 8)?;
    check!(sendfile(&w, &file, Some(&mut offset), 64) == Ok(2));
    check!(sendfile(&w, &file, None, 64) == Ok(10));
    check!(text(&r, 64) == Ok("ijabcd\0\0\0\0ij"));
    Ok(())
}

/// To a pipe, a socket and a file, all bytes of a large file come in order, across its pages and with its holes as zeroes.
#[case(SENDFILE_2, "DESCRIPTION", also = [(SENDFILE_2, "RETURN VALUE")])]
fn all_comes_through_pages_and_holes() -> Verdict {
    let (page, begin) = (page_size(), 5);
    let mut content = pattern(64 * page + 9);
    let file = file(&content[..3 * page - 1])?;
    file.write_all_at(&content[40 * page + 1..], 40 * page as u64 + 1)?;
    content[3 * page - 1..=40 * page].fill(0);
    let wanted = &content[begin..];
    let ((r, w), (near, far)) = (pipe()?, Socket::pair(SOCK_STREAM)?);
    for (source, target) in [(r.as_fd(), w.as_fd()), (far.as_fd(), near.as_fd())] {
        let reader = Child::spawn(|| holds!(read_all(source, wanted.len())? == wanted))?;
        check!(send_all(target, &file, begin as i64, wanted.len())? == wanted.len());
        reader.join()?;
    }
    check!(send_all(File::create("copy")?, &file, begin as i64, content.len())? == wanted.len());
    check!(fs::read("copy")? == wanted);
    Ok(())
}

/// Into a full pipe, sendfile sleeps until there is room.
#[case(SENDFILE_2, "ERRORS")]
fn sendfile_to_full_pipe_sleeps_until_there_is_room() -> Verdict {
    let (file, (r, w)) = (file("more")?, pipe()?);
    let all = fill_pipe(&w)?;
    let sender = Child::spawn(|| holds!(sendfile(&w, &file, None, 4) == Ok(4)))?;
    sender.blocked_in(SENDFILE)?;
    check!(read_all(&r, all)?.len() == all);
    sender.join()?;
    check!(text(&r, 8) == Ok("more"));
    Ok(())
}

/// Where a full pipe or socket is nonblocking, sendfile fails with EAGAIN and moves no offset.
#[case(SENDFILE_2, "ERRORS", settles = ["sendfile.2 EAGAIN"])]
fn nonblocking_target_gives_eagain() -> Verdict {
    let (file, (r, w)) = (file("more")?, pipe()?);
    let (near, _far) = Socket::pair(SOCK_STREAM)?;
    let all = fill_pipe(&w)?;
    near.fill(&vec![b'.'; page_size()])?;
    set_nonblocking(&near, true)?;
    // What send finds full may have room for what comes without a copy.
    while sendfile(&near, &file, Some(&mut 1), 2).is_ok() {}
    for target in [w.as_fd(), near.as_fd()] {
        set_nonblocking(target, true)?;
        // In a child, so that a call that sleeps is seen.
        Child::spawn(|| {
            let mut offset = 1;
            check!(sendfile(target, &file, Some(&mut offset), 2) == Err(EAGAIN));
            check!(sendfile(target, &file, None, 2) == Err(EAGAIN));
            check!(offset == 1);
            Ok(())
        })?
        .join()?;
    }
    check!(read_all(&r, all)?.len() == all);
    check!(sendfile(&w, &file, None, 64) == Ok(4));
    check!(text(&r, 8) == Ok("more"));
    Ok(())
}

/// Where not all of it fits, sendfile to a nonblocking pipe tells how many bytes are in it, and moves the offset by as many.
#[case(SENDFILE_2, "RETURN VALUE")]
fn sendfile_of_more_than_fits_tells_how_much() -> Verdict {
    let (r, w) = pipe()?;
    let content = pattern(capacity(&w)? + 3 * page_size());
    let file = file(&content)?;
    set_nonblocking(&w, true)?;
    let mut offset = 7;
    let sent = sendfile(&w, &file, Some(&mut offset), content.len())?;
    check!(offset == 7 + sent as i64);
    check!(unread(&r) == Ok(sent));
    check!(sent > 0);
    check!(read_all(&r, sent)? == content[7..7 + sent]);
    Ok(())
}

/// A signal without SA_RESTART ends the sleep of sendfile before a full pipe with EINTR; nothing is sent and no offset moves.
#[case(SIGNAL_7, "Interruption of system calls and library functions by signal handlers")]
fn signal_ends_the_sleep_of_sendfile() -> Verdict {
    catch(SIGUSR1)?;
    let (mut file, (r, w)) = (file("more")?, pipe()?);
    let all = fill_pipe(&w)?;
    Child::spawn(|| {
        let mut offset = 1;
        check!(sendfile(&w, &file, Some(&mut offset), 2) == Err(EINTR));
        check!(offset == 1);
        Ok(())
    })?
    .interrupt_in(SENDFILE, SIGUSR1)?;
    Child::spawn(|| holds!(sendfile(&w, &file, None, 2) == Err(EINTR)))?
        .interrupt_in(SENDFILE, SIGUSR1)?;
    check!((unread(&r)?, file.stream_position()?) == (all, 0));
    Ok(())
}

/// A signal when a part was sent to a socket ends sendfile with that count; the offset moves by as much, and as much arrives.
#[case(SENDFILE_2, "RETURN VALUE", also = [(SIGNAL_7, "Interruption of system calls and library functions by signal handlers")])]
fn signal_in_the_middle_leaves_what_was_sent() -> Verdict {
    catch(SIGUSR1)?;
    let content = pattern(4 << 20);
    let (file, sent) = (file(&content)?, Counter::new()?);
    let (near, far) = Socket::pair(SOCK_STREAM)?;
    near.set_option(libc::SOL_SOCKET, libc::SO_SNDBUF, 1 << 16)?;
    let sender = Child::spawn(move || {
        let mut offset = 0;
        let bytes = sendfile(&near, &file, Some(&mut offset), 4 << 20)?;
        check!(offset == bytes as i64);
        sent.set(bytes as u64);
        Ok(())
    })?;
    sender.interrupt_in(SENDFILE, SIGUSR1)?;
    let arrived = read_all(&far, content.len())?;
    check!(!arrived.is_empty() && arrived.len() < content.len());
    check!(arrived.len() as u64 == sent.get());
    check!(arrived == content[..arrived.len()]);
    Ok(())
}

/// Into a pipe without a reader, sendfile fails with EPIPE and raises SIGPIPE, each time, and moves no offset.
#[case(PIPE_7, "I/O on pipes and FIFOs")]
fn sendfile_without_reader_raises_sigpipe() -> Verdict {
    catch(SIGPIPE)?;
    let (mut file, (r, w)) = (file("content")?, pipe()?);
    drop(r);
    for round in 1..3 {
        check!(sendfile(&w, &file, None, 4) == Err(EPIPE));
        check!(handled() == round);
    }
    check!(file.stream_position()? == 0);
    Ok(())
}

/// When the last reader goes, every sendfile that sleeps for room wakes and fails with EPIPE.
#[case(PIPE_7, "I/O on pipes and FIFOs")]
fn last_readers_end_wakes_every_sendfile() -> Verdict {
    catch(SIGPIPE)?;
    let (file, (r, w)) = (file("content")?, pipe()?);
    fill_pipe(&w)?;
    let senders = Children::spawn(3, |_| {
        close_copy(&r)?;
        let mut offset = 0;
        check!(sendfile(&w, &file, Some(&mut offset), 4) == Err(EPIPE));
        check!((handled(), offset) == (1, 0));
        Ok(())
    })?;
    senders.blocked_in(SENDFILE)?;
    drop(r);
    senders.join()
}

/// What is written to a pipe behind what sendfile put there does not get into the file.
#[case(SENDFILE_2, "DESCRIPTION")]
fn writing_after_sendfile_leaves_the_file_alone() -> Verdict {
    file("the file's own")?;
    let (r, w) = pipe()?;
    // Every buffer of the pipe has held data that was written.
    let all = fill_pipe(&w)?;
    check!(text(&r, all)?.len() == all);
    check!(sendfile(&w, File::open("file")?, None, 1) == Ok(1));
    check!(write(&w, b"INTRUDER") == Ok(8));
    check!(fs::read_to_string("file")? == "the file's own");
    check!(text(&r, 64) == Ok("tINTRUDER"));
    Ok(())
}

/// What was sent from a file to a pipe is there when the file is removed and closed and its sender gone.
#[case(SENDFILE_2, "DESCRIPTION", also = [(PIPE_7, "DESCRIPTION")])]
fn sent_data_outlives_its_file() -> Verdict {
    let (content, (r, w)) = (pattern(3 * page_size()), pipe()?);
    Child::spawn(|| holds!(send_all(&w, &file(&content)?, 0, content.len())? == content.len()))?
        .join()?;
    fs::remove_file("file")?;
    file(vec![b'x'; content.len()])?;
    check!(read_all(&r, content.len())? == content);
    Ok(())
}

/// From a socket to a pipe, sendfile moves what has come, like splice, and sleeps until something has.
#[case(SENDFILE_2, "DESCRIPTION", needs = [Need::Facility(SOCKET_TO_PIPE)])]
fn socket_is_sent_to_a_pipe() -> Verdict {
    let ((r, w), (near, far)) = (pipe()?, Socket::pair(SOCK_STREAM)?);
    let sender = Child::spawn(|| holds!(sendfile(&w, &near, None, 64) == Ok(4)))?;
    sender.blocked_in(SENDFILE)?;
    far.send(b"data")?;
    sender.join()?;
    far.send(b"abcdef")?;
    check!(sendfile(&w, &near, None, 3) == Ok(3));
    check!(text(&r, 64) == Ok("dataabc"));
    check!(near.recv(64) == Ok("def".to_owned()));
    Ok(())
}

/// The offset that is read and set is 8 bytes, and nothing behind it is needed.
#[case(SENDFILE_2, "DESCRIPTION")]
fn offset_is_eight_bytes_and_no_more() -> Verdict {
    let (file, (r, w)) = (file("content")?, pipe()?);
    let offset = Memory::guarded(8)?;
    offset.set_number(3);
    check!(sendfile_by(&w, &file, offset, 2) == Ok(2));
    check!(offset.number() == 5);
    check!(text(&r, 8) == Ok("te"));
    Ok(())
}

/// An offset that cannot be loaded is refused before anything is sent, and one that cannot be stored is refused.
#[case(SENDFILE_2, "ERRORS", settles = ["sendfile.2 EFAULT"])]
fn bad_offset_pointer_is_refused() -> Verdict {
    let (mut file, (r, w), page) = (file("content")?, pipe()?, page_size());
    let cut = Memory::guarded(4)?;
    for bad in [Memory::free(page)?, cut] {
        check!(sendfile_by(&w, &file, bad, 4) == Err(EFAULT), "{bad:?}");
    }
    check!((unread(&r)?, file.stream_position()?) == (0, 0));
    let fixed = Memory::anonymous(page, MAP_PRIVATE)?;
    fixed.protect(PROT_READ)?;
    check!(sendfile_by(&w, &file, fixed, 4) == Err(EFAULT));
    check!(fixed.is_zero());
    Ok(())
}

/// An input that is not open for reading, an output that is not open for writing and numbers that are no descriptors are refused.
#[case(SENDFILE_2, "ERRORS", settles = ["sendfile.2 EBADF"])]
fn wrong_direction_is_refused() -> Verdict {
    let (mut file, (r, w)) = (file("content")?, pipe()?);
    let (in_only, out_only) = (File::open("file")?, OpenOptions::new().write(true).open("file")?);
    check!(sendfile(&w, &out_only, None, 4) == Err(EBADF));
    check!(sendfile(&in_only, &file, None, 4) == Err(EBADF));
    check!(sendfile(&r, &file, None, 4) == Err(EBADF));
    check!(sendfile(closed_fd(), &file, None, 4) == Err(EBADF));
    check!(sendfile(&w, closed_fd(), None, 4) == Err(EBADF));
    check!((unread(&r)?, file.stream_position()?) == (0, 0));
    check!(fs::read_to_string("file")? == "content");
    Ok(())
}

/// From a socket or a pipe into a file nothing is sent, and of a negative count nothing either; the data stays where it is.
#[case(SENDFILE_2, "ERRORS", settles = ["sendfile.2 EINVAL 1"])]
fn source_that_cannot_be_mapped_is_refused() -> Verdict {
    let (mut file, (r, w), (near, far)) = (file("content")?, pipe()?, Socket::pair(SOCK_STREAM)?);
    write(&w, b"kept")?;
    far.send(b"kept")?;
    for source in [r.as_fd(), near.as_fd()] {
        check!(sendfile(&file, source, None, 4) == Err(EINVAL));
        check!(text(source, 8) == Ok("kept"));
    }
    check!(sendfile(&w, &file, None, isize::MIN as usize) == Err(EINVAL));
    check!(sendfile(&w, &file, None, -1_isize as usize) == Err(EINVAL));
    check!((unread(&r)?, file.stream_position()?) == (0, 0));
    Ok(())
}

/// A file that is open for appending is refused as a target, and neither file changes.
#[case(SENDFILE_2, "ERRORS", settles = ["sendfile.2 EINVAL 2"])]
fn appending_target_is_refused() -> Verdict {
    let mut file = file("content")?;
    fs::write("log", "first")?;
    let log = OpenOptions::new().append(true).open("log")?;
    check!(sendfile(&log, &file, None, 4) == Err(EINVAL));
    check!(file.stream_position()? == 0);
    check!(fs::read_to_string("log")? == "first");
    Ok(())
}

/// Into a pipe, an offset is refused where the input is a pipe or a socket, and the data stays where it is.
#[case(SENDFILE_2, "ERRORS", settles = ["sendfile.2 ESPIPE"])]
fn offset_for_what_cannot_seek_is_refused() -> Verdict {
    let ((r, w), (_other, to)) = (pipe()?, pipe()?);
    let (near, far) = Socket::pair(SOCK_STREAM)?;
    write(&w, b"kept")?;
    far.send(b"kept")?;
    for source in [r.as_fd(), near.as_fd()] {
        let mut offset = 0;
        check!(sendfile(&to, source, Some(&mut offset), 4) == Err(ESPIPE));
        check!((offset, text(source, 8)) == (0, Ok("kept")));
    }
    Ok(())
}

/// From a terminal that was hung up, reading which is EIO, sendfile fails with EIO.
#[case(SENDFILE_2, "ERRORS", settles = ["sendfile.2 EIO"], needs = [Need::File("/dev/ptmx"), Need::Facility(TERMINAL_TO_PIPE)])]
fn failing_source_gives_eio() -> Verdict {
    let Terminal { master, slave } = Terminal::controlling()?;
    drop(slave);
    check!(read(&master, &mut [0; 8]) == Err(EIO));
    check!(sendfile(pipe()?.1, &master, None, 4) == Err(EIO));
    Ok(())
}
