//! System calls in which processes sleep, each with all the numbers under
//! which a C library may enter it.
#![allow(missing_docs)]

use ipcspec_harness::Syscalls;

/// `older`: numbers that newer architectures lack. `split`: those that i386
/// lacks. `i386`: those that it has instead.
macro_rules! calls {
    ($(
        $constant:ident = $name:literal:
            $( $number:ident ),*
            $(/ older $( $older:ident ),+ )?
            $(/ split $( $split:ident ),+ )?
            $(/ i386 $( $i386:ident $( ($which:literal) )? ),+ )?;
    )+) => { $(
        pub const $constant: Syscalls = Syscalls {
            name: $name,
            numbers: &[
                $( (libc::$number), )*
                $($( #[cfg(not(target_arch = "aarch64"))] (libc::$older), )+)?
                $($( #[cfg(not(target_arch = "x86"))] (libc::$split), )+)?
                $($( #[cfg(target_arch = "x86")] (i386::$i386 $( ($which) )?), )+)?
            ],
        };
    )+ };
}

/// What i386 has of its own: the multiplexers ipc(2) and socketcall(2), and
/// calls with times of 64 bits, which libc does not number.
#[cfg(target_arch = "x86")]
#[allow(non_upper_case_globals)]
mod i386 {
    use ipcspec_harness::multiplexed;
    use libc::c_long;
    pub use libc::*;

    pub const fn ipc(which: c_long) -> c_long {
        multiplexed(libc::SYS_ipc, which)
    }

    pub const fn socketcall(which: c_long) -> c_long {
        multiplexed(libc::SYS_socketcall, which)
    }

    pub const SYS_clock_nanosleep_time64: c_long = 407;
    pub const SYS_timer_settime64: c_long = 409;
    pub const SYS_pselect6_time64: c_long = 413;
    pub const SYS_ppoll_time64: c_long = 414;
    pub const SYS_mq_timedsend_time64: c_long = 418;
    pub const SYS_mq_timedreceive_time64: c_long = 419;
    pub const SYS_semtimedop_time64: c_long = 420;
    pub const SYS_rt_sigtimedwait_time64: c_long = 421;
    pub const SYS_futex_time64: c_long = 422;
}

calls! {
    READ = "read": SYS_read;
    WRITE = "write": SYS_write;
    READV = "readv": SYS_readv, SYS_preadv2;
    WRITEV = "writev": SYS_writev, SYS_pwritev2;
    CLOSE = "close": SYS_close;
    EXIT_GROUP = "exit_group": SYS_exit_group;
    EXECVE = "execve": SYS_execve, SYS_execveat;
    LSEEK = "lseek": SYS_lseek / i386 SYS__llseek;
    OPEN = "open": SYS_openat / older SYS_open;
    SPLICE = "splice": SYS_splice;
    TEE = "tee": SYS_tee;
    VMSPLICE = "vmsplice": SYS_vmsplice;
    SENDFILE = "sendfile": SYS_sendfile / i386 SYS_sendfile64;
    POLL = "poll": SYS_ppoll / older SYS_poll / i386 SYS_ppoll_time64;
    POLL_AGAIN = "poll, restarted or not": SYS_restart_syscall, SYS_ppoll / older SYS_poll / i386 SYS_ppoll_time64;
    SELECT = "select": SYS_pselect6 / older SYS_select / i386 SYS__newselect, SYS_pselect6_time64;
    EPOLL_WAIT = "epoll_wait": SYS_epoll_pwait, SYS_epoll_pwait2 / older SYS_epoll_wait;
    EPOLL_CREATE = "epoll_create": SYS_epoll_create1 / older SYS_epoll_create;
    EPOLL_CTL = "epoll_ctl": SYS_epoll_ctl;
    EVENTFD = "eventfd": SYS_eventfd2 / older SYS_eventfd;
    SEMOP = "semop": / split SYS_semop, SYS_semtimedop / i386 ipc(1), ipc(4), SYS_semtimedop_time64;
    MSGSND = "msgsnd": / split SYS_msgsnd / i386 ipc(11);
    MSGRCV = "msgrcv": / split SYS_msgrcv / i386 ipc(12);
    MQ_SEND = "mq_send": SYS_mq_timedsend / i386 SYS_mq_timedsend_time64;
    MQ_RECEIVE = "mq_receive": SYS_mq_timedreceive / i386 SYS_mq_timedreceive_time64;
    FUTEX = "futex": SYS_futex / i386 SYS_futex_time64;
    PAUSE = "pause": SYS_ppoll, SYS_rt_sigsuspend / older SYS_pause / i386 SYS_ppoll_time64;
    SIGSUSPEND = "sigsuspend": SYS_rt_sigsuspend;
    SIGTIMEDWAIT = "sigtimedwait": SYS_rt_sigtimedwait / i386 SYS_rt_sigtimedwait_time64;
    NANOSLEEP = "nanosleep": SYS_nanosleep, SYS_clock_nanosleep / i386 SYS_clock_nanosleep_time64;
    WAIT = "wait": SYS_wait4, SYS_waitid / i386 SYS_waitpid;
    ACCEPT = "accept": SYS_accept4 / split SYS_accept / i386 socketcall(5), socketcall(18);
    CONNECT = "connect": SYS_connect / i386 socketcall(3);
    SEND = "send": SYS_sendto, SYS_sendmsg / i386 socketcall(9), socketcall(11), socketcall(16);
    RECV = "recv": SYS_recvfrom, SYS_recvmsg / i386 socketcall(10), socketcall(12), socketcall(17);
    SOCKET = "socket": SYS_socket / i386 socketcall(1);
    SOCKETPAIR = "socketpair": SYS_socketpair / i386 socketcall(8);
    BIND = "bind": SYS_bind / i386 socketcall(2);
    LISTEN = "listen": SYS_listen / i386 socketcall(4);
    SHUTDOWN = "shutdown": SYS_shutdown / i386 socketcall(13);
    GETSOCKNAME = "getsockname": SYS_getsockname / i386 socketcall(6);
    GETPEERNAME = "getpeername": SYS_getpeername / i386 socketcall(7);
    GETSOCKOPT = "getsockopt": SYS_getsockopt / i386 socketcall(15);
    SETSOCKOPT = "setsockopt": SYS_setsockopt / i386 socketcall(14);
    FLOCK = "flock": SYS_flock;
    FCNTL = "fcntl": SYS_fcntl / i386 SYS_fcntl64;
    SEMGET = "semget": / split SYS_semget / i386 ipc(2);
    SEMCTL = "semctl": / split SYS_semctl / i386 ipc(3);
    MSGGET = "msgget": / split SYS_msgget / i386 ipc(13);
    MSGCTL = "msgctl": / split SYS_msgctl / i386 ipc(14);
    MQ_OPEN = "mq_open": SYS_mq_open;
    MQ_UNLINK = "mq_unlink": SYS_mq_unlink;
    MQ_NOTIFY = "mq_notify": SYS_mq_notify;
    MQ_GETSETATTR = "mq_getsetattr": SYS_mq_getsetattr;
    KILL = "kill": SYS_kill;
    EXIT = "exit": SYS_exit;
    EXEC = "execve": SYS_execve, SYS_execveat;
    CLONE = "clone": SYS_clone;
    UNSHARE = "unshare": SYS_unshare;
    PRLIMIT = "prlimit": SYS_prlimit64 / older SYS_setrlimit;
    MMAP = "mmap": SYS_mmap / i386 SYS_mmap2;
    LINK = "link": SYS_linkat / older SYS_link;
    UNLINK = "unlink": SYS_unlinkat / older SYS_unlink;
    PIPE = "pipe": SYS_pipe2 / older SYS_pipe;
    DUP = "dup": SYS_dup;
    IOCTL = "ioctl": SYS_ioctl;
    MKNOD = "mknod": SYS_mknodat / older SYS_mknod;
    RENAME = "rename": SYS_renameat2 / older SYS_rename, SYS_renameat;
    STAT = "stat": SYS_fstat / older SYS_stat / split SYS_newfstatat / i386 SYS_fstatat64, SYS_fstat64, SYS_stat64;
    SHMGET = "shmget": / split SYS_shmget / i386 ipc(23);
    SHMAT = "shmat": / split SYS_shmat / i386 ipc(21);
    SHMDT = "shmdt": / split SYS_shmdt / i386 ipc(22);
    SHMCTL = "shmctl": / split SYS_shmctl / i386 ipc(24);
    MUNMAP = "munmap": SYS_munmap;
    MPROTECT = "mprotect": SYS_mprotect;
    MREMAP = "mremap": SYS_mremap;
    MSYNC = "msync": SYS_msync;
    MEMFD_CREATE = "memfd_create": SYS_memfd_create;
    SECRET_FILE = "memfd_secret": SYS_memfd_secret;
    INOTIFY_ADD_WATCH = "inotify_add_watch": SYS_inotify_add_watch;
    PIDFD_SEND_SIGNAL = "pidfd_send_signal": SYS_pidfd_send_signal;
    FTRUNCATE = "ftruncate": SYS_ftruncate / i386 SYS_ftruncate64;
    FALLOCATE = "fallocate": SYS_fallocate;
    FCHMOD = "fchmod": SYS_fchmod;
    PWRITE = "pwrite": SYS_pwrite64;
    TGKILL = "tgkill": SYS_tgkill, SYS_tkill;
    SIGQUEUE = "sigqueue": SYS_rt_sigqueueinfo;
    SIGACTION = "sigaction": SYS_rt_sigaction;
    SIGPROCMASK = "sigprocmask": SYS_rt_sigprocmask;
    SIGPENDING = "sigpending": SYS_rt_sigpending;
    SIGRETURN = "sigreturn": SYS_rt_sigreturn / i386 SYS_sigreturn;
    SIGALTSTACK = "sigaltstack": SYS_sigaltstack;
    SETITIMER = "setitimer": SYS_setitimer;
    TIMER_SETTIME = "timer_settime": SYS_timer_settime / i386 SYS_timer_settime64;
}
