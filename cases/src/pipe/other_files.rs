//! What read(2) and write(2) answer where the other side is no pipe.

use std::fs::File;

use libc::{AF_INET, SOCK_DGRAM, SOCK_STREAM};
use nix::fcntl::{SealFlag, open};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::epoll::{Epoll, EpollCreateFlags};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::stat::Mode;
use nix::sys::timerfd::{ClockId, TimerFd, TimerFlags};
use nix::unistd::{mkdir, setpgid};

use crate::prelude::*;
use crate::sys::descriptors::{read_all, set_nonblocking};
use crate::sys::files::file;
use crate::sys::memory::page_size;
use crate::sys::pipes::PIPE_BUF;
use crate::sys::signals::{block, catch, delivered, handled, ignore};
use crate::sys::sockets::Socket;
use crate::sys::terminal::Terminal;

/// The cases of this module.
pub const CASES: &[Case] = &[
    size_limit_stops_files_and_not_pipes,
    full_filesystem_takes_no_more,
    nonblocking_sockets_give_eagain,
    background_read_without_sigttin_fails,
    reading_an_epoll_instance_is_refused,
    timer_is_read_in_eight_bytes,
    directory_is_not_read,
    writing_to_an_epoll_instance_is_refused,
    sealed_file_is_not_written,
    writing_to_a_socket_needs_a_peer,
];

/// RLIMIT_FSIZE cuts a write to a file short and refuses the next with EFBIG and SIGXFSZ; a pipe it does not concern.
#[case(WRITE_2, "ERRORS", also = [(WRITE_2, "DESCRIPTION"), (GETRLIMIT_2, "DESCRIPTION")], settles = ["write.2 EFBIG"])]
fn size_limit_stops_files_and_not_pipes() -> Verdict {
    catch(SIGXFSZ)?;
    let ((r, w), file) = (pipe()?, file("")?);
    setrlimit(Resource::RLIMIT_FSIZE, 4, 4)?;
    check!(write(&file, b"limited") == Ok(4));
    check!(handled() == 0);
    check!(write(&file, b"x") == Err(EFBIG));
    check!(delivered() == [SIGXFSZ]);
    check!(write(&w, b"unlimited") == Ok(9));
    check!(text(&r, 16) == Ok("unlimited"));
    check!(delivered() == [SIGXFSZ]);
    Ok(())
}

/// A write to a filesystem that has room for a part only tells how much that was, and the next fails with ENOSPC.
#[case(WRITE_2, "ERRORS", also = [(WRITE_2, "RETURN VALUE")], settles = ["write.2 ENOSPC"], needs = [Need::Own(Namespaces::MOUNT), Need::CanUnshare(Namespaces::MOUNT)])]
fn full_filesystem_takes_no_more() -> Verdict {
    unshare(CloneFlags::CLONE_NEWNS)?;
    mkdir("small", Mode::S_IRWXU)?;
    // One byte is rounded up to a page.
    mount(Some("none"), "small", Some("tmpfs"), MsFlags::empty(), Some("size=1"))?;
    let file = File::create("small/file")?;
    check!(write(&file, &vec![b'x'; page_size() + 1]) == Ok(page_size()));
    check!(write(&file, b"x") == Err(ENOSPC));
    check!(file.metadata()?.len() == page_size() as u64);
    Ok(())
}

/// With O_NONBLOCK, reading a socket that has nothing and writing to one that is full fail with EAGAIN, and move nothing.
#[case(READ_2, "ERRORS", also = [(WRITE_2, "ERRORS")], settles = [
    "read.2 EAGAIN 2", "read.2 EWOULDBLOCK", "write.2 EAGAIN 2", "write.2 EWOULDBLOCK",
])]
fn nonblocking_sockets_give_eagain() -> Verdict {
    let (near, far) = Socket::pair(SOCK_STREAM)?;
    set_nonblocking(&near, true)?;
    set_nonblocking(&far, true)?;
    check!(text(&near, 8) == Err(EAGAIN));
    let mut all = 0;
    while let Ok(bytes) = write(&near, &[b'x'; PIPE_BUF]) {
        all += bytes;
    }
    check!(write(&near, &[b'x'; PIPE_BUF]) == Err(EAGAIN));
    check!(read_all(&far, all)?.len() == all);
    check!(text(&far, 8) == Err(EAGAIN));
    check!(write(&near, b"x") == Ok(1));
    Ok(())
}

/// A background process that ignores or blocks SIGTTIN is not stopped when it reads from its terminal: it gets EIO.
#[case(READ_2, "ERRORS", settles = ["read.2 EIO"], needs = [Need::File("/dev/ptmx")])]
fn background_read_without_sigttin_fails() -> Verdict {
    let terminal = Terminal::controlling()?;
    write(&terminal.master, b"line\n")?;
    for blocked in [true, false] {
        let reader = Child::spawn(|| {
            setpgid(getpid(), getpid())?;
            if blocked {
                block(SIGTTIN)?;
            } else {
                ignore(SIGTTIN)?;
            }
            holds!(text(&terminal.slave, 8) == Err(EIO), "blocked: {blocked}")
        })?;
        reader.join()?;
    }
    check!(text(&terminal.slave, 8) == Ok("line\n"));
    Ok(())
}

refusals! {
    READ_2, "ERRORS";

    /// What cannot be read, such as an epoll instance, refuses it with EINVAL.
    ["read.2 EINVAL 1"] reading_an_epoll_instance_is_refused => EINVAL: read(epoll()?, &mut [0; 8]);
    /// A timer refuses a read of fewer bytes than its counter has.
    ["read.2 EINVAL 2"] timer_is_read_in_eight_bytes => EINVAL: read(timer()?, &mut [0; 7]);
    /// A directory refuses a read.
    ["read.2 EISDIR"] directory_is_not_read => EISDIR: read(open(".", OFlag::O_RDONLY, Mode::empty())?, &mut [0; 8]);
}

refusals! {
    WRITE_2, "ERRORS";

    /// What cannot be written to, such as an epoll instance, refuses it with EINVAL.
    ["write.2 EINVAL"] writing_to_an_epoll_instance_is_refused => EINVAL: write(epoll()?, b"12345678");
    /// A memory file with F_SEAL_WRITE refuses a write.
    ["write.2 EPERM"] sealed_file_is_not_written => EPERM: write(sealed()?, b"x");
    /// A datagram socket without a peer refuses a write.
    ["write.2 EDESTADDRREQ"] writing_to_a_socket_needs_a_peer => EDESTADDRREQ: write(Socket::new(AF_INET, SOCK_DGRAM, 0)?, b"x");
}

fn epoll() -> nix::Result<OwnedFd> {
    Epoll::new(EpollCreateFlags::empty()).map(|epoll| epoll.0)
}

/// A timer that has not expired; nonblocking, so that a read of the right
/// size would say EAGAIN.
fn timer() -> nix::Result<TimerFd> {
    TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK)
}

fn sealed() -> nix::Result<OwnedFd> {
    let file = memfd_create(c"sealed", MFdFlags::MFD_ALLOW_SEALING)?;
    fcntl(&file, FcntlArg::F_ADD_SEALS(SealFlag::F_SEAL_WRITE))?;
    Ok(file)
}
