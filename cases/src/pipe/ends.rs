//! Making pipes, and how several processes come to hold their ends.

use libc::SOCK_STREAM;
use nix::fcntl::{FdFlag, open, readlink};
use nix::sys::stat::{Mode, fstat};
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_gettime};
use nix::unistd::{Gid, Uid, setegid, seteuid};

use crate::prelude::*;
use crate::sys::descriptors::{
    CLOSE_RANGE_CLOEXEC, DescriptorLimit, PIDFD_GETFD, close_on_exec_from, closed_fd, foreign_fd,
    reopen, set_nonblocking,
};
use crate::sys::memory::{Memory, page_size};
use crate::sys::pipes::{
    KNOWN_NOTIFICATIONS, NOTIFICATIONS, pipe_at, pipe_into, set_notifications,
};
use crate::sys::privilege::become_lone_user;
use crate::sys::program::{A_PROGRAM, Program};
use crate::sys::signals::ignore;
use crate::sys::sockets::Socket;

/// The cases of this module.
pub const CASES: &[Case] = &[
    each_end_works_one_way,
    two_pipes_carry_both_directions,
    one_pipe_gives_a_process_its_own_bytes,
    child_inherits_both_ends,
    stranger_gets_it_over_a_socket,
    stranger_opens_it_under_proc,
    another_user_may_not_open_it_under_proc,
    stranger_takes_it_with_pidfd_getfd,
    pipe_takes_two_descriptors,
    flags_apply_to_both_ends,
    executed_program_holds_what_is_not_close_on_exec,
    copy_of_a_close_on_exec_end_survives_exec,
    range_of_ends_is_marked_to_close_on_exec,
    bad_address_leaves_no_descriptor,
    unknown_flag_is_refused,
    notifications_need_the_kernels_support,
    each_end_tells_its_access_mode,
    both_ends_are_one_inode,
    pipe_takes_the_lowest_descriptors,
    pipe_belongs_to_its_maker,
    new_pipe_bears_the_time_of_its_making,
];

/// Data goes in at the write end and out at the read end; reading the one and writing the other is refused.
#[case(PIPE_7, "DESCRIPTION", settles = ["A01", "read.2 EBADF", "write.2 EBADF"])]
fn each_end_works_one_way() -> Verdict {
    let (r, w) = pipe()?;
    check!(write(&w, b"there") == Ok(5));
    check!(write(&r, b"back") == Err(EBADF));
    check!(text(&w, 8) == Err(EBADF));
    check!(text(&r, 8) == Ok("there"));
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
        check!(text(&down_r, 8) == Ok("ping"));
        Ok(())
    })?;
    write(&down_w, b"ping")?;
    both_said.open();
    check!(text(&up_r, 8) == Ok("pong"));
    peer.join()
}

/// A process that holds both ends of one pipe reads its own bytes, so one pipe is no conversation.
#[case(PIPE_7, "DESCRIPTION", settles = ["A02"])]
fn one_pipe_gives_a_process_its_own_bytes() -> Verdict {
    let (r, w) = pipe()?;
    write(&w, b"question ")?;
    Child::spawn(|| say(&w, "answer"))?.join()?;
    check!(text(&r, 32) == Ok("question answer"));
    Ok(())
}

/// A child inherits both ends, and either process can be at either end.
#[case(PIPE_7, "DESCRIPTION", also = [(PIPE_2, "DESCRIPTION")], settles = ["A05"])]
fn child_inherits_both_ends() -> Verdict {
    let (r, w) = pipe()?;
    Child::spawn(|| say(&w, "child"))?.join()?;
    check!(text(&r, 8) == Ok("child"));
    write(&w, b"parent")?;
    let reader = Child::spawn(|| holds!(text(&r, 8) == Ok("parent")))?;
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
    check!(text(&r, 8) == Ok("hello"));
    stranger.join()?;
    check!(text(&r, 8) == Ok(""));
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
    check!(text(&r, 8) == Ok("mine"));
    done.open();
    holder.join()
}

/// Another user who holds an end of a pipe uses it but may not open it anew: its inode is its maker's.
#[case(PROC_PID_FD_5, "DESCRIPTION", needs = [Need::Proc, Need::OtherUsers])]
fn another_user_may_not_open_it_under_proc() -> Verdict {
    let (r, w) = pipe()?;
    become_lone_user(0)?;
    check!(reopen(&r, OFlag::O_RDONLY).map(drop) == Err(EACCES));
    check!(write(&w, b"held") == Ok(4));
    check!(text(&r, 8) == Ok("held"));
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
        check!(text(&r, 8) == Ok("yours"));
        done.wait()
    })?;
    holder.reaches(made)?;
    let w = foreign_fd(holder.pid().as_raw(), number.get() as i32)?;
    check!(write(&w, b"yours") == Ok(5));
    done.open();
    holder.join()
}

/// A pipe takes two descriptors, and with fewer to spare fails with EMFILE and takes none.
#[case(PIPE_2, "ERRORS", also = [(PIPE_2, "RETURN VALUE")], settles = ["B06", "pipe.2 EMFILE"])]
fn pipe_takes_two_descriptors() -> Verdict {
    let _limit = DescriptorLimit::leave(3)?;
    let (r, _w) = pipe()?;
    let mut place = [-7, -7];
    check!(pipe_into(Some(&mut place), 0) == Err(EMFILE));
    check!(place == [-7, -7]);
    let last = dup(&r);
    check!(last.is_ok());
    check!(dup(&r).map(drop) == Err(EMFILE));
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

/// A program that was executed keeps the ends that it inherited open, and has none that was made with O_CLOEXEC.
#[case(EXECVE_2, "DESCRIPTION", also = [(PIPE_2, "DESCRIPTION")], settles = ["pipe.2 O_CLOEXEC"], needs = [A_PROGRAM])]
fn executed_program_holds_what_is_not_close_on_exec() -> Verdict {
    ignore(SIGPIPE)?;
    let rows = [(OFlag::empty(), Err(EAGAIN), Ok(1)), (OFlag::O_CLOEXEC, Ok(""), Err(EPIPE))];
    for (flags, seen_by_reader, seen_by_writer) in rows {
        let ((r, its_w), (its_r, w)) = (pipe2(flags)?, pipe2(flags)?);
        set_nonblocking(&r, true)?;
        let program = Program::start(|| Ok(()))?;
        drop((its_w, its_r));
        check!(text(&r, 8) == seen_by_reader, "{flags:?}");
        check!(write(&w, b"x") == seen_by_writer, "{flags:?}");
        program.finish()?;
        check!(text(&r, 8) == Ok(""), "{flags:?}");
        check!(write(&w, b"x") == Err(EPIPE), "{flags:?}");
    }
    Ok(())
}

/// A copy of a close-on-exec end survives exec and keeps the end open, unless it is marked itself.
#[case(DUP_2, "DESCRIPTION", also = [(F_GETFD_2CONST, "DESCRIPTION")], needs = [A_PROGRAM])]
fn copy_of_a_close_on_exec_end_survives_exec() -> Verdict {
    for (mark, seen) in [(FdFlag::empty(), Err(EAGAIN)), (FdFlag::FD_CLOEXEC, Ok(""))] {
        let (r, w) = pipe2(OFlag::O_CLOEXEC)?;
        set_nonblocking(&r, true)?;
        let copy = dup(&w)?;
        if mark.contains(FdFlag::FD_CLOEXEC) {
            fcntl(&copy, FcntlArg::F_SETFD(mark))?;
        }
        let program = Program::start(|| Ok(()))?;
        drop((w, copy));
        check!(text(&r, 8) == seen, "{mark:?}");
        program.finish()?;
        check!(text(&r, 8) == Ok(""), "{mark:?}");
    }
    Ok(())
}

/// CLOSE_RANGE_CLOEXEC closes nothing now, and marks every end in the range and none before it to be closed by exec.
#[case(CLOSE_RANGE_2, "DESCRIPTION", needs = [Need::Facility(CLOSE_RANGE_CLOEXEC)])]
fn range_of_ends_is_marked_to_close_on_exec() -> Verdict {
    let [(r, w), (later_r, later_w)] = [pipe()?, pipe()?];
    check!(close_on_exec_from(&w) == Ok(()));
    let closes = |end: &OwnedFd| fcntl(end, FcntlArg::F_GETFD);
    let marked = FdFlag::FD_CLOEXEC.bits();
    check!(closes(&r) == Ok(0));
    for end in [&w, &later_r, &later_w] {
        check!(closes(end) == Ok(marked));
    }
    check!(write(&w, b"open") == Ok(4));
    check!(text(&r, 8) == Ok("open"));
    Ok(())
}

/// A place that is not writable, or not all of it, gives EFAULT, and no descriptor stays open.
#[case(PIPE_2, "ERRORS", settles = ["pipe.2 EFAULT"])]
fn bad_address_leaves_no_descriptor() -> Verdict {
    let before = pipe()?.0.as_raw_fd();
    check!(pipe_into(None, 0) == Err(EFAULT));
    for room in [1, 4, 7] {
        check!(pipe_at(Memory::guarded(room)?) == Err(EFAULT), "room for {room} bytes");
    }
    let place = Memory::guarded(page_size())?;
    place.protect(libc::PROT_READ)?;
    check!(pipe_at(place) == Err(EFAULT));
    check!(pipe()?.0.as_raw_fd() == before);
    Ok(())
}

/// A flag that is not pipe2's is refused, alone and beside one that is, and no descriptor stays open.
#[case(PIPE_2, "ERRORS", settles = ["pipe.2 EINVAL"])]
fn unknown_flag_is_refused() -> Verdict {
    let before = pipe()?.0.as_raw_fd();
    let others = OFlag::O_WRONLY
        | OFlag::O_RDWR
        | OFlag::O_CREAT
        | OFlag::O_NOCTTY
        | OFlag::O_TRUNC
        | OFlag::O_APPEND
        | OFlag::O_ASYNC
        | OFlag::O_DIRECTORY
        | OFlag::O_NOFOLLOW
        | OFlag::O_NOATIME
        | OFlag::O_PATH;
    for flag in others.iter() {
        check!(pipe2(flag).map(drop) == Err(EINVAL), "{flag:?}");
        check!(pipe2(flag | OFlag::O_CLOEXEC).map(drop) == Err(EINVAL), "{flag:?}");
    }
    check!(pipe()?.0.as_raw_fd() == before);
    Ok(())
}

/// A pipe for notifications takes some, and where the kernel has none to send it is refused with ENOPKG.
#[case(PIPE_2, "ERRORS", settles = ["pipe.2 ENOPKG"], needs = [Need::Facility(KNOWN_NOTIFICATIONS)])]
fn notifications_need_the_kernels_support() -> Verdict {
    let before = pipe()?.0.as_raw_fd();
    match pipe2(NOTIFICATIONS) {
        Ok((r, _w)) => holds!(set_notifications(&r, 8) == Ok(())),
        Err(errno) => {
            check!(errno == ENOPKG);
            holds!(pipe()?.0.as_raw_fd() == before)
        }
    }
}

/// The one end says that it is open for reading only, the other for writing only.
#[case(F_GETFL_2CONST, "DESCRIPTION", also = [(PIPE_2, "DESCRIPTION")])]
fn each_end_tells_its_access_mode() -> Verdict {
    let (r, w) = pipe()?;
    check!(fcntl(&r, FcntlArg::F_GETFL)? & libc::O_ACCMODE == libc::O_RDONLY);
    check!(fcntl(&w, FcntlArg::F_GETFL)? & libc::O_ACCMODE == libc::O_WRONLY);
    Ok(())
}

/// Both ends are one FIFO with one inode number, under which /proc names them, and another pipe has another.
#[case(PROC_PID_FD_5, "DESCRIPTION", also = [(INODE_7, "The file type and mode")], needs = [Need::Proc])]
fn both_ends_are_one_inode() -> Verdict {
    let ((r, w), (other, _)) = (pipe()?, pipe()?);
    let inode = fstat(&r)?.st_ino;
    for end in [&r, &w] {
        let stat = fstat(end)?;
        check!(stat.st_mode & libc::S_IFMT == libc::S_IFIFO);
        check!(stat.st_ino == inode);
        let name = readlink(format!("/proc/self/fd/{}", end.as_raw_fd()).as_str())?;
        check!(name.to_string_lossy() == format!("pipe:[{inode}]"));
    }
    check!(fstat(&other)?.st_ino != inode);
    Ok(())
}

/// A pipe gets the two lowest numbers that are free, wherever they lie.
#[case(POSIX_PIPE, "DESCRIPTION")]
fn pipe_takes_the_lowest_descriptors() -> Verdict {
    let (r, w) = pipe()?;
    let [_kept, low, _between, high] = [dup(&r)?, dup(&r)?, dup(&r)?, dup(&r)?];
    let mut free = [low.as_raw_fd(), high.as_raw_fd()];
    drop((low, high));
    let (new_r, new_w) = pipe()?;
    let mut taken = [new_r.as_raw_fd(), new_w.as_raw_fd()];
    free.sort_unstable();
    taken.sort_unstable();
    check!(taken == free);
    check!(write(&w, b"x") == Ok(1));
    Ok(())
}

/// A pipe belongs to the effective user and group of its maker.
#[case(POSIX_PIPE, "DESCRIPTION", needs = [Need::OtherUsers])]
fn pipe_belongs_to_its_maker() -> Verdict {
    setegid(Gid::from_raw(40_001))?;
    seteuid(Uid::from_raw(40_002))?;
    let (r, w) = pipe()?;
    for end in [&r, &w] {
        let stat = fstat(end)?;
        check!((stat.st_uid, stat.st_gid) == (40_002, 40_001));
    }
    Ok(())
}

/// The three timestamps of a new pipe are the time at which it was made.
#[case(POSIX_PIPE, "DESCRIPTION", also = [(INODE_7, "DESCRIPTION")])]
fn new_pipe_bears_the_time_of_its_making() -> Verdict {
    // Files are stamped with the coarse clock, which lags behind the other.
    let before = clock_gettime(ClockId::CLOCK_REALTIME_COARSE)?;
    let (r, _w) = pipe()?;
    let after = clock_gettime(ClockId::CLOCK_REALTIME)?;
    let stat = fstat(&r)?;
    let stamps = [
        (stat.st_atime, stat.st_atime_nsec),
        (stat.st_mtime, stat.st_mtime_nsec),
        (stat.st_ctime, stat.st_ctime_nsec),
    ];
    for (seconds, nanoseconds) in stamps {
        let stamp = TimeSpec::new(seconds, nanoseconds);
        check!(stamp >= before);
        check!(stamp <= after);
    }
    Ok(())
}
