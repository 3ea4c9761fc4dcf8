//! Making pipes, and how several processes come to hold their ends.

use libc::SOCK_STREAM;
use nix::fcntl::{FdFlag, open};
use nix::sys::stat::Mode;

use crate::prelude::*;
use crate::sys::descriptors::{DescriptorLimit, PIDFD_GETFD, closed_fd, foreign_fd};
use crate::sys::pipes::pipe_into;
use crate::sys::privilege::become_lone_user;
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
    bad_address_leaves_no_descriptor,
    unknown_flag_is_refused,
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
    let path = format!("/proc/self/fd/{}", r.as_raw_fd());
    check!(open(path.as_str(), OFlag::O_RDONLY, Mode::empty()).map(drop) == Err(EACCES));
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

refusals! {
    PIPE_2, "ERRORS";

    /// A flag that pipe2 does not know is refused.
    ["pipe.2 EINVAL"] unknown_flag_is_refused => EINVAL: pipe2(OFlag::O_APPEND);
}
