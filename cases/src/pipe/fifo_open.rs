//! FIFOs: who waits for whom at open, and who may open.

use std::fs::{self, Permissions, set_permissions};
use std::os::unix::fs::{PermissionsExt, chown};

use nix::sys::stat::{Mode, fstat};
use nix::unistd::{Gid, Uid, mkfifo, setgroups, setresgid, setresuid};

use crate::prelude::*;
use crate::sys::descriptors::reopen;
use crate::sys::pipes::Fifo;
use crate::sys::poll::{self, ERR, HUP, IN, OUT};
use crate::sys::privilege::become_lone_user;
use crate::sys::signals::{catch, handled, restart};
use crate::sys::sysctl::sysctl;

/// The cases of this module.
pub const CASES: &[Case] = &[
    opening_to_read_waits_for_a_writer,
    opening_to_write_waits_for_a_reader,
    one_writer_releases_every_waiting_reader,
    one_reader_releases_every_waiting_writer,
    opener_for_both_releases_both_sides,
    nonblocking_open_to_read_succeeds_alone,
    nonblocking_open_to_write_needs_a_reader,
    nonblocking_mode_is_each_openers_own,
    opening_for_both_never_waits,
    holder_of_both_ends_stands_for_both,
    signal_ends_the_wait_for_the_other_end,
    restarted_open_goes_on_waiting,
    stopped_opener_goes_on_waiting,
    killed_opener_leaves_nothing_open,
    permissions_decide_who_opens,
    permissions_are_by_owner_group_and_others,
    refused_opener_releases_nobody,
    path_descriptor_is_neither_end,
    descriptor_leads_to_its_fifo_again,
    flags_that_cannot_be_met_do_not_wait,
    close_on_exec_is_as_asked,
    protected_fifos_keep_creators_off,
];

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

/// One reader releases all writers that sleep in open, though it is gone again before they run.
#[case(FIFO_7, "DESCRIPTION")]
fn one_reader_releases_every_waiting_writer() -> Verdict {
    let fifo = Fifo::new("fifo")?;
    let writers = Children::spawn(3, |_| holds!(fifo.writer().map(drop) == Ok(())))?;
    writers.blocked_in(OPEN)?;
    drop(fifo.reader()?);
    writers.join()
}

/// Who opens for both is a reader to the writers that wait and a writer to the readers that wait.
#[case(FIFO_7, "DESCRIPTION")]
fn opener_for_both_releases_both_sides() -> Verdict {
    for flags in [OFlag::O_RDONLY, OFlag::O_WRONLY] {
        let fifo = Fifo { name: if flags == OFlag::O_RDONLY { "readers" } else { "writers" } };
        mkfifo(fifo.name, Mode::S_IRWXU)?;
        let waiting = Children::spawn(2, |_| holds!(fifo.open(flags).map(drop) == Ok(())))?;
        waiting.blocked_in(OPEN)?;
        drop(fifo.open(OFlag::O_RDWR)?);
        waiting.join()?;
    }
    Ok(())
}

/// A nonblocking open to read succeeds though nobody has the write side open, and releases a writer that waits.
#[case(FIFO_7, "DESCRIPTION", settles = ["B09"])]
fn nonblocking_open_to_read_succeeds_alone() -> Verdict {
    let fifo = Fifo::new("fifo")?;
    let opened = Latch::new()?;
    let alone = Child::spawn(|| {
        check!(fifo.early_reader().map(drop) == Ok(()));
        opened.open();
        Ok(())
    })?;
    alone.reaches(opened)?;
    alone.join()?;
    let writer = Child::spawn(|| say(fifo.writer()?, "waited"))?;
    writer.blocked_in(OPEN)?;
    let r = fifo.early_reader()?;
    writer.join()?;
    check!(text(&r, 8) == Ok("waited"));
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

/// Of two that opened one FIFO to read, the nonblocking one gets EAGAIN and the other sleeps.
#[case(PIPE_7, "I/O on pipes and FIFOs", also = [(OPEN_2, "Open file descriptions")])]
fn nonblocking_mode_is_each_openers_own() -> Verdict {
    let fifo = Fifo::new("fifo")?;
    let (r, w) = fifo.ends()?;
    let early = fifo.early_reader()?;
    let sleeper = Child::spawn(|| holds!(text(&r, 8) == Ok("x")))?;
    sleeper.blocked_in(READ)?;
    check!(text(&early, 8) == Err(EAGAIN));
    write(&w, b"x")?;
    sleeper.join()?;
    check!(text(&early, 8) == Err(EAGAIN));
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

/// Who has both ends open keeps readers from the end of file and writers from SIGPIPE, whoever else comes and goes.
#[case(FIFO_7, "DESCRIPTION")]
fn holder_of_both_ends_stands_for_both() -> Verdict {
    let fifo = Fifo::new("fifo")?;
    let both = fifo.open(OFlag::O_RDWR)?;
    check!(poll::now(&both, IN | OUT | ERR | HUP) == Ok(OUT));
    drop((fifo.reader()?, fifo.writer()?));
    check!(write(&both, b"x") == Ok(1));
    check!(poll::now(&both, IN | OUT | ERR | HUP) == Ok(IN | OUT));
    check!(text(&both, 8) == Ok("x"));
    check!(poll::now(&both, IN | OUT | ERR | HUP) == Ok(OUT));
    let reader = Child::spawn(|| holds!(text(&both, 8) == Ok("late")))?;
    reader.blocked_in(READ)?;
    drop(fifo.writer()?);
    reader.blocked_in(READ)?;
    say(fifo.early_writer()?, "late")?;
    reader.join()
}

/// A handler that runs while open waits for the other end makes it fail with EINTR, and nothing stays open.
#[case(OPEN_2, "ERRORS")]
fn signal_ends_the_wait_for_the_other_end() -> Verdict {
    let fifo = Fifo::new("fifo")?;
    catch(SIGUSR1)?;
    for flags in [OFlag::O_RDONLY, OFlag::O_WRONLY] {
        let (tried, looked) = (Latch::new()?, Latch::new()?);
        let opener = Child::spawn(|| {
            check!(fifo.open(flags).map(drop) == Err(EINTR));
            check!(handled() == 1);
            tried.open();
            looked.wait()
        })?;
        opener.blocked_in(OPEN)?;
        opener.kill(SIGUSR1)?;
        opener.reaches(tried)?;
        nobody_has_it_open(fifo)?;
        looked.open();
        opener.join()?;
    }
    Ok(())
}

/// An open that waits goes on waiting after a handler with SA_RESTART, and is released as if nothing had been.
#[case(SIGNAL_7, "Interruption of system calls and library functions by signal handlers")]
fn restarted_open_goes_on_waiting() -> Verdict {
    let fifo = Fifo::new("fifo")?;
    for (flags, others) in [(OFlag::O_RDONLY, OFlag::O_WRONLY), (OFlag::O_WRONLY, OFlag::O_RDONLY)]
    {
        let restarted = restart(SIGUSR1)?;
        let opener = Child::spawn(|| holds!(fifo.open(flags).map(drop) == Ok(())))?;
        opener.sleeps_on_in(OPEN, SIGUSR1, restarted)?;
        drop(fifo.open(others)?);
        opener.join()?;
    }
    Ok(())
}

/// An open that waits goes on waiting when its process was stopped and continued.
#[case(SIGNAL_7, "Interruption of system calls and library functions by stop signals")]
fn stopped_opener_goes_on_waiting() -> Verdict {
    let fifo = Fifo::new("fifo")?;
    for (flags, others) in [(OFlag::O_RDONLY, OFlag::O_WRONLY), (OFlag::O_WRONLY, OFlag::O_RDONLY)]
    {
        let opener = Child::spawn(|| holds!(fifo.open(flags).map(drop) == Ok(())))?;
        opener.blocked_in(OPEN)?;
        opener.stop_and_continue()?;
        opener.blocked_in(OPEN)?;
        drop(fifo.open(others)?);
        opener.join()?;
    }
    Ok(())
}

/// A process that is killed while it waits in open counts for nothing from then on: the next one waits anew.
#[case(FIFO_7, "DESCRIPTION")]
fn killed_opener_leaves_nothing_open() -> Verdict {
    let fifo = Fifo::new("fifo")?;
    for (flags, others) in [(OFlag::O_RDONLY, OFlag::O_WRONLY), (OFlag::O_WRONLY, OFlag::O_RDONLY)]
    {
        let victim = Child::spawn(|| Ok(fifo.open(flags).map(drop)?))?;
        victim.blocked_in(OPEN)?;
        victim.kill(SIGKILL)?;
        check!(victim.wait()? == End::Killed(libc::SIGKILL));
        nobody_has_it_open(fifo)?;
        let next = Child::spawn(|| holds!(fifo.open(others).map(drop) == Ok(())))?;
        next.blocked_in(OPEN)?;
        drop(fifo.open(flags)?);
        next.join()?;
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

/// The owner opens by the owner's bits, the group by the group's and others by theirs, though another set allowed more.
#[case(PIPE_7, "DESCRIPTION", also = [(PATH_RESOLUTION_7, "Permissions")], needs = [Need::OtherUsers])]
fn permissions_are_by_owner_group_and_others() -> Verdict {
    const ALICE: u32 = 40_001;
    let fifo = Fifo::new("fifo")?;
    chown("fifo", Some(ALICE), Some(ALICE))?;
    // user, group; by mode 0204, 0420, 0042: may read, may write
    let table = [
        (ALICE, ALICE, [(false, true), (true, false), (false, false)]),
        (ALICE + 1, ALICE, [(false, false), (false, true), (true, false)]),
        (ALICE + 1, ALICE + 1, [(true, false), (false, false), (false, true)]),
    ];
    for (column, mode) in [0o204, 0o420, 0o042].into_iter().enumerate() {
        set_permissions("fifo", Permissions::from_mode(mode))?;
        for (user, group, rights) in table {
            Child::spawn(|| {
                setgroups(&[])?;
                let (user, group) = (Uid::from_raw(user), Gid::from_raw(group));
                setresgid(group, group, group)?;
                setresuid(user, user, user)?;
                let (reads, writes) = rights[column];
                let read = if reads { Ok(()) } else { Err(EACCES) };
                let write = if writes { Err(ENXIO) } else { Err(EACCES) };
                check!(fifo.early_reader().map(drop) == read, "{mode:o} for {user}, {group}");
                check!(fifo.early_writer().map(drop) == write, "{mode:o} for {user}, {group}");
                check!(fifo.open(OFlag::O_RDWR).map(drop) == Err(EACCES), "{mode:o}");
                Ok(())
            })?
            .join()?;
        }
    }
    Ok(())
}

/// An open that is refused for want of permission releases nobody who waits.
#[case(FIFO_7, "DESCRIPTION", also = [(OPEN_2, "ERRORS")], needs = [Need::Unprivileged])]
fn refused_opener_releases_nobody() -> Verdict {
    let fifo = Fifo::new("fifo")?;
    for (mode, flags, others) in
        [(0o400, OFlag::O_RDONLY, OFlag::O_WRONLY), (0o200, OFlag::O_WRONLY, OFlag::O_RDONLY)]
    {
        set_permissions("fifo", Permissions::from_mode(mode))?;
        let waiting = Child::spawn(|| holds!(fifo.open(flags).map(drop) == Ok(())))?;
        waiting.blocked_in(OPEN)?;
        check!(fifo.open(others).map(drop) == Err(EACCES));
        check!(fifo.open(OFlag::O_RDWR).map(drop) == Err(EACCES));
        waiting.blocked_in(OPEN)?;
        set_permissions("fifo", Permissions::from_mode(0o600))?;
        drop(fifo.open(others)?);
        waiting.join()?;
    }
    Ok(())
}

/// O_PATH opens at once a descriptor that is neither end: no reader, no writer, and nothing that keeps the data.
#[case(OPEN_2, "DESCRIPTION")]
fn path_descriptor_is_neither_end() -> Verdict {
    let fifo = Fifo::new("fifo")?;
    let path = fifo.open(OFlag::O_PATH)?;
    nobody_has_it_open(fifo)?;
    check!(text(&path, 8) == Err(EBADF));
    check!(write(&path, b"x") == Err(EBADF));
    check!(fstat(&path)?.st_ino == fifo.stat()?.st_ino);
    let (r, w) = fifo.ends()?;
    write(&w, b"lost")?;
    drop((r, w));
    check!(text(fifo.early_reader()?, 8) == Ok(""));
    Ok(())
}

/// A descriptor's name under /proc/self/fd opens the same FIFO anew, in the other direction too and when its name is gone.
#[case(PROC_PID_FD_5, "DESCRIPTION", also = [(UNLINK_2, "DESCRIPTION")], needs = [Need::Proc])]
fn descriptor_leads_to_its_fifo_again() -> Verdict {
    let fifo = Fifo::new("fifo")?;
    for start in [OFlag::O_RDONLY | OFlag::O_NONBLOCK, OFlag::O_PATH] {
        let first = fifo.open(start)?;
        if start == OFlag::O_PATH {
            fs::remove_file("fifo")?;
        }
        check!(
            reopen(&first, OFlag::O_WRONLY | OFlag::O_NONBLOCK).is_ok() == (start != OFlag::O_PATH)
        );
        let writer = Child::spawn(|| say(reopen(&first, OFlag::O_WRONLY)?, "again"))?;
        if start == OFlag::O_PATH {
            writer.blocked_in(OPEN)?;
        }
        let r = reopen(&first, OFlag::O_RDONLY | OFlag::O_NONBLOCK)?;
        writer.join()?;
        check!(text(&r, 8) == Ok("again"));
    }
    Ok(())
}

/// O_DIRECTORY, and O_CREAT with O_EXCL, fail at once where open would have waited; O_CREAT alone waits, and makes nothing.
#[case(OPEN_2, "DESCRIPTION", also = [(OPEN_2, "ERRORS")])]
fn flags_that_cannot_be_met_do_not_wait() -> Verdict {
    let fifo = Fifo::new("fifo")?;
    let inode = fifo.stat()?.st_ino;
    let refused = Latch::new()?;
    let opener = Child::spawn(|| {
        check!(fifo.open(OFlag::O_RDONLY | OFlag::O_DIRECTORY).map(drop) == Err(ENOTDIR));
        check!(
            fifo.open(OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL).map(drop) == Err(EEXIST)
        );
        refused.open();
        say(fifo.open(OFlag::O_WRONLY | OFlag::O_CREAT)?, "x")
    })?;
    opener.reaches(refused)?;
    opener.blocked_in(OPEN)?;
    let r = fifo.reader()?;
    opener.join()?;
    check!(text(&r, 8) == Ok("x"));
    check!(fifo.stat()?.st_ino == inode);
    Ok(())
}

/// An end of a FIFO is closed at exec if O_CLOEXEC asked for it, and not otherwise.
#[case(OPEN_2, "DESCRIPTION")]
fn close_on_exec_is_as_asked() -> Verdict {
    let fifo = Fifo::new("fifo")?;
    let _both = fifo.open(OFlag::O_RDWR)?;
    for flags in [OFlag::O_RDONLY, OFlag::O_WRONLY, OFlag::O_RDWR] {
        let (plain, closed) = (fifo.open(flags)?, fifo.open(flags | OFlag::O_CLOEXEC)?);
        check!(fcntl(&plain, FcntlArg::F_GETFD) == Ok(0), "{flags:?}");
        check!(fcntl(&closed, FcntlArg::F_GETFD) == Ok(libc::FD_CLOEXEC), "{flags:?}");
        check!(fcntl(&closed, FcntlArg::F_GETFL)? & libc::O_ACCMODE == flags.bits());
    }
    Ok(())
}

/// Where protected_fifos is set, and only there, O_CREAT is refused for another user's FIFO in a sticky directory that all may write.
#[case(PROC_SYS_FS_5, "DESCRIPTION", also = [(OPEN_2, "ERRORS")], needs = [Need::OtherUsers])]
fn protected_fifos_keep_creators_off() -> Verdict {
    let protected = sysctl("fs/protected_fifos")? > 0;
    fs::create_dir("public")?;
    set_permissions("public", Permissions::from_mode(0o1777))?;
    let (foreign, owners) = (Fifo::new("public/foreign")?, Fifo::new("public/owners")?);
    chown(foreign.name, Some(40_001), None)?;
    for fifo in [foreign, owners] {
        set_permissions(fifo.name, Permissions::from_mode(0o666))?;
        let _r = fifo.early_reader()?;
        let wanted = if protected && fifo == foreign { Err(EACCES) } else { Ok(()) };
        Child::spawn(|| {
            become_lone_user(0)?;
            let create = fifo.open(OFlag::O_WRONLY | OFlag::O_CREAT).map(drop);
            check!(create == wanted, "{fifo:?}");
            check!(fifo.writer().map(drop) == Ok(()), "{fifo:?}");
            Ok(())
        })?
        .join()?;
    }
    Ok(())
}

/// Violated unless the FIFO has neither a reader nor a writer.
fn nobody_has_it_open(fifo: Fifo) -> Verdict {
    check!(fifo.early_writer().map(drop) == Err(ENXIO));
    check!(text(fifo.early_reader()?, 8) == Ok(""));
    Ok(())
}
