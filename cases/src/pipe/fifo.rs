//! FIFOs: the rules of opening, the name and the pipe behind it.

use std::fs::{
    Permissions, create_dir, hard_link, remove_file, set_permissions, write as write_file,
};
use std::os::unix::fs::{PermissionsExt, symlink};

use nix::sys::stat::{Mode, SFlag, fstat, stat, umask};
use nix::unistd::{PathconfVar, mkfifo, mkfifoat, pathconf};

use crate::prelude::*;
use crate::sys::descriptors::{closed_fd, unread};
use crate::sys::memory::page_size;
use crate::sys::pipes::{Fifo, capacity, set_capacity};
use crate::sys::signals::{catch, handled};

/// The cases of this module.
pub const CASES: &[Case] = &[
    strangers_meet_at_a_path,
    nothing_is_stored_in_the_file,
    data_waits_for_a_reader_that_opens_late,
    opening_to_read_waits_for_a_writer,
    opening_to_write_waits_for_a_reader,
    one_writer_releases_every_waiting_reader,
    nonblocking_open_to_read_succeeds_alone,
    nonblocking_open_to_write_needs_a_reader,
    opening_for_both_never_waits,
    permissions_decide_who_opens,
    signal_ends_the_wait_for_the_other_end,
    every_name_of_an_inode_leads_to_one_pipe,
    removed_fifo_serves_those_who_have_it_open,
    unread_data_is_gone_after_the_last_close,
    capacity_is_forgotten_after_the_last_close,
    nonblocking_read_tells_whether_there_is_a_writer,
    new_writer_revives_a_fifo_that_had_ended,
    write_without_reader_kills,
    truncation_is_ignored,
    umask_cuts_the_mode,
    existing_name_is_refused,
    missing_directory_is_refused,
    file_as_directory_is_refused,
    long_name_is_refused,
    locked_directory_is_refused,
    relative_to_no_descriptor_is_refused,
    relative_to_a_file_is_refused,
];

const ANYONE: Mode = Mode::from_bits_truncate(0o666);

/// Two processes that share no descriptor talk through a name whose file type is FIFO.
#[case(FIFO_7, "DESCRIPTION", also = [(PIPE_7, "DESCRIPTION")], settles = ["A06"])]
fn strangers_meet_at_a_path() -> Verdict {
    let fifo = Fifo::new("meeting")?;
    check!(SFlag::from_bits_truncate(fifo.stat()?.st_mode) & SFlag::S_IFMT == SFlag::S_IFIFO);
    let writer = Child::spawn(|| say(fifo.writer()?, "hello"))?;
    let reader = Child::spawn(|| {
        let r = fifo.reader()?;
        check!(text(&r, 16) == Ok("hello"));
        check!(text(&r, 16) == Ok(""));
        Ok(())
    })?;
    writer.join()?;
    reader.join()
}

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

/// Opening to read sleeps until some process opens to write.
#[case(FIFO_7, "DESCRIPTION", also = [(OPEN_2, "FIFOs"), (MKFIFO_3, "DESCRIPTION")], settles = ["B09"])]
fn opening_to_read_waits_for_a_writer() -> Verdict {
    let fifo = Fifo::new("fifo")?;
    let reader = Child::spawn(|| holds!(text(fifo.reader()?, 8) == Ok("hello")))?;
    reader.blocked_in(OPEN)?;
    say(fifo.writer()?, "hello")?;
    reader.join()
}

/// Opening to write sleeps until some process opens to read.
#[case(FIFO_7, "DESCRIPTION", also = [(OPEN_2, "FIFOs"), (MKFIFO_3, "DESCRIPTION")], settles = ["B09"])]
fn opening_to_write_waits_for_a_reader() -> Verdict {
    let fifo = Fifo::new("fifo")?;
    let writer = Child::spawn(|| say(fifo.writer()?, "hello"))?;
    writer.blocked_in(OPEN)?;
    let r = fifo.reader()?;
    writer.join()?;
    check!(text(r, 8) == Ok("hello"));
    Ok(())
}

/// One writer releases all readers that sleep in open, though it is gone again before they run.
#[case(FIFO_7, "DESCRIPTION")]
fn one_writer_releases_every_waiting_reader() -> Verdict {
    let fifo = Fifo::new("fifo")?;
    let readers = Children::spawn(3, |_| holds!(text(fifo.reader()?, 8) == Ok("")))?;
    readers.blocked_in(OPEN)?;
    drop(fifo.writer()?);
    readers.join()
}

/// A nonblocking open to read succeeds though no one has the write side open.
#[case(FIFO_7, "DESCRIPTION", settles = ["B09"])]
fn nonblocking_open_to_read_succeeds_alone() -> Verdict {
    let fifo = Fifo::new("fifo")?;
    let r = fifo.early_reader();
    check!(r.is_ok());
    check!(fifo.early_writer().is_ok());
    Ok(())
}

/// A nonblocking open to write fails with ENXIO while no process has the read side open.
#[case(FIFO_7, "DESCRIPTION", also = [(OPEN_2, "ERRORS")], settles = ["B09"])]
fn nonblocking_open_to_write_needs_a_reader() -> Verdict {
    let fifo = Fifo::new("fifo")?;
    check!(fifo.early_writer().map(drop) == Err(ENXIO));
    let r = fifo.early_reader()?;
    check!(fifo.early_writer().map(drop) == Ok(()));
    drop(r);
    check!(fifo.early_writer().map(drop) == Err(ENXIO));
    Ok(())
}

/// Opening to read and write never sleeps, and makes one descriptor that is both ends.
#[case(FIFO_7, "DESCRIPTION", settles = ["B09"])]
fn opening_for_both_never_waits() -> Verdict {
    let fifo = Fifo::new("fifo")?;
    for flags in [OFlag::O_RDWR, OFlag::O_RDWR | OFlag::O_NONBLOCK] {
        let opened = Latch::new()?;
        let both = Child::spawn(|| {
            let end = fifo.open(flags)?;
            opened.open();
            check!(write(&end, b"self") == Ok(4));
            check!(text(&end, 8) == Ok("self"));
            Ok(())
        })?;
        both.reaches(opened)?;
        both.join()?;
    }
    Ok(())
}

/// The permissions of the file decide which end a process may open.
#[case(PIPE_7, "DESCRIPTION", settles = ["A06"], needs = [Need::Unprivileged])]
fn permissions_decide_who_opens() -> Verdict {
    mkfifo("read-only", Mode::S_IRUSR)?;
    mkfifo("write-only", Mode::S_IWUSR)?;
    let (read_only, write_only) = (Fifo { name: "read-only" }, Fifo { name: "write-only" });
    check!(read_only.early_reader().map(drop) == Ok(()));
    check!(read_only.early_writer().map(drop) == Err(EACCES));
    check!(read_only.open(OFlag::O_RDWR).map(drop) == Err(EACCES));
    check!(write_only.early_reader().map(drop) == Err(EACCES));
    check!(write_only.early_writer().map(drop) == Err(ENXIO));
    Ok(())
}

/// A handler that runs while open waits for the other end makes it fail with EINTR, and nothing stays open.
#[case(OPEN_2, "ERRORS")]
fn signal_ends_the_wait_for_the_other_end() -> Verdict {
    let fifo = Fifo::new("fifo")?;
    catch(SIGUSR1)?;
    for flags in [OFlag::O_RDONLY, OFlag::O_WRONLY] {
        let tried = Latch::new()?;
        let opener = Child::spawn(|| {
            check!(fifo.open(flags).map(drop) == Err(EINTR));
            check!(handled() == 1);
            tried.wait()
        })?;
        opener.blocked_in(OPEN)?;
        opener.kill(SIGUSR1)?;
        tried.open();
        opener.join()?;
        check!(fifo.early_writer().map(drop) == Err(ENXIO));
    }
    Ok(())
}

/// A FIFO has an inode before it is open, and all that open it, by whatever name, share one pipe.
#[case(FIFO_7, "DESCRIPTION", settles = ["B10"])]
fn every_name_of_an_inode_leads_to_one_pipe() -> Verdict {
    let fifo = Fifo::new("first")?;
    hard_link("first", "second")?;
    let inode = fifo.stat()?.st_ino;
    let (r, w) = (fifo.early_reader()?, Fifo { name: "second" }.writer()?);
    write(&w, b"through")?;
    check!(text(&r, 16) == Ok("through"));
    check!((fstat(&r)?.st_ino, fstat(&w)?.st_ino) == (inode, inode));
    Ok(())
}

/// A FIFO that was removed works on for those who have it open, and a new one of its name is another.
#[case(UNLINK_2, "DESCRIPTION", also = [(FIFO_7, "DESCRIPTION")])]
fn removed_fifo_serves_those_who_have_it_open() -> Verdict {
    let (r, w) = Fifo::new("fifo")?.ends()?;
    remove_file("fifo")?;
    let (new_r, new_w) = Fifo::new("fifo")?.ends()?;
    write(&w, b"old")?;
    write(&new_w, b"new")?;
    check!(text(&r, 8) == Ok("old"));
    check!(text(&new_r, 8) == Ok("new"));
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

/// O_TRUNC is ignored for a FIFO: what is in it stays.
#[case(OPEN_2, "DESCRIPTION")]
fn truncation_is_ignored() -> Verdict {
    let fifo = Fifo::new("fifo")?;
    let (r, w) = fifo.ends()?;
    write(&w, b"kept")?;
    check!(fifo.open(OFlag::O_WRONLY | OFlag::O_TRUNC).map(drop) == Ok(()));
    check!(text(&r, 8) == Ok("kept"));
    Ok(())
}

/// The permissions of a new FIFO are its mode without the bits of the umask.
#[case(MKFIFO_3, "DESCRIPTION")]
fn umask_cuts_the_mode() -> Verdict {
    umask(Mode::from_bits_truncate(0o035));
    mkfifo("fifo", ANYONE)?;
    check!(stat("fifo")?.st_mode & 0o7777 == 0o642);
    Ok(())
}

refusals! {
    MKFIFO_3, "ERRORS";

    /// A name that exists is refused, though it be a symbolic link that leads nowhere.
    ["mkfifo.3 EEXIST"] existing_name_is_refused => EEXIST: {
        symlink("nowhere", "dangling")?;
        write_file("file", "")?;
        check!(mkfifo("file", ANYONE) == Err(EEXIST));
        mkfifo("dangling", ANYONE)
    };

    /// A directory of the path that does not exist, or is a symbolic link that leads nowhere, is refused.
    ["mkfifo.3 ENOENT"] missing_directory_is_refused => ENOENT: {
        symlink("nowhere", "dangling")?;
        check!(mkfifo("missing/fifo", ANYONE) == Err(ENOENT));
        mkfifo("dangling/fifo", ANYONE)
    };

    /// A file where the path has a directory is refused.
    ["mkfifo.3 ENOTDIR 1"] file_as_directory_is_refused => ENOTDIR: {
        write_file("file", "")?;
        mkfifo("file/fifo", ANYONE)
    };

    /// A name longer than NAME_MAX is refused, and so is a path longer than PATH_MAX.
    ["mkfifo.3 ENAMETOOLONG"] long_name_is_refused => ENAMETOOLONG: {
        let path = "./".repeat(libc::PATH_MAX as usize / 2) + "fifo";
        check!(mkfifo(path.as_str(), ANYONE) == Err(ENAMETOOLONG));
        let most = pathconf(".", PathconfVar::NAME_MAX)?.unwrap_or(255) as usize;
        check!(mkfifo("n".repeat(most).as_str(), ANYONE) == Ok(()));
        mkfifo("n".repeat(most + 1).as_str(), ANYONE)
    };

    /// A relative path and a number that is no descriptor are refused.
    ["mkfifo.3 EBADF"] relative_to_no_descriptor_is_refused => EBADF: mkfifoat(closed_fd(), "fifo", ANYONE);

    /// A relative path and a descriptor that is no directory are refused.
    ["mkfifo.3 ENOTDIR 2"] relative_to_a_file_is_refused => ENOTDIR: mkfifoat(pipe()?.0, "fifo", ANYONE);
}

refusals! {
    MKFIFO_3, "ERRORS", needs = [Need::Unprivileged];

    /// A directory that may not be searched is refused.
    ["mkfifo.3 EACCES"] locked_directory_is_refused => EACCES: {
        create_dir("locked")?;
        set_permissions("locked", Permissions::from_mode(0o600))?;
        mkfifo("locked/fifo", ANYONE)
    };
}
