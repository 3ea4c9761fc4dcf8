//! System calls in which processes sleep, each with all the numbers under
//! which a C library may enter it.
#![allow(missing_docs)]

use ipcspec_harness::Syscalls;
use libc::c_long;

macro_rules! calls {
    ($( $constant:ident = $name:literal: $( $(#[$only:meta])* $number:ident ),+; )+) => { $(
        pub const $constant: Syscalls = Syscalls {
            name: $name,
            numbers: &[$( $(#[$only])* (libc::$number as c_long) ),+],
        };
    )+ };
}

calls! {
    READ = "read": SYS_read;
    WRITE = "write": SYS_write;
    READV = "readv": SYS_readv, SYS_preadv2;
    WRITEV = "writev": SYS_writev, SYS_pwritev2;
    CLOSE = "close": SYS_close;
    EXIT_GROUP = "exit_group": SYS_exit_group;
    LSEEK = "lseek": SYS_lseek;
    OPEN = "open": SYS_openat, #[cfg(target_arch = "x86_64")] SYS_open;
    SPLICE = "splice": SYS_splice;
    TEE = "tee": SYS_tee;
    VMSPLICE = "vmsplice": SYS_vmsplice;
    SENDFILE = "sendfile": SYS_sendfile;
    POLL = "poll": SYS_ppoll, #[cfg(target_arch = "x86_64")] SYS_poll;
    POLL_AGAIN = "poll, restarted or not": SYS_restart_syscall, SYS_ppoll, #[cfg(target_arch = "x86_64")] SYS_poll;
    SELECT = "select": SYS_pselect6, #[cfg(target_arch = "x86_64")] SYS_select;
    EPOLL_WAIT = "epoll_wait": SYS_epoll_pwait, SYS_epoll_pwait2, #[cfg(target_arch = "x86_64")] SYS_epoll_wait;
    SEMOP = "semop": SYS_semop, SYS_semtimedop;
    MSGSND = "msgsnd": SYS_msgsnd;
    MSGRCV = "msgrcv": SYS_msgrcv;
    MQ_SEND = "mq_send": SYS_mq_timedsend;
    MQ_RECEIVE = "mq_receive": SYS_mq_timedreceive;
    FUTEX = "futex": SYS_futex;
    PAUSE = "pause": SYS_ppoll, #[cfg(target_arch = "x86_64")] SYS_pause;
    SIGSUSPEND = "sigsuspend": SYS_rt_sigsuspend;
    SIGTIMEDWAIT = "sigtimedwait": SYS_rt_sigtimedwait;
    NANOSLEEP = "nanosleep": SYS_nanosleep, SYS_clock_nanosleep;
    WAIT = "wait": SYS_wait4, SYS_waitid;
    ACCEPT = "accept": SYS_accept, SYS_accept4;
    CONNECT = "connect": SYS_connect;
    SEND = "send": SYS_sendto, SYS_sendmsg;
    RECV = "recv": SYS_recvfrom, SYS_recvmsg;
    SOCKET = "socket": SYS_socket;
    SOCKETPAIR = "socketpair": SYS_socketpair;
    BIND = "bind": SYS_bind;
    LISTEN = "listen": SYS_listen;
    SHUTDOWN = "shutdown": SYS_shutdown;
    GETSOCKNAME = "getsockname": SYS_getsockname;
    GETPEERNAME = "getpeername": SYS_getpeername;
    GETSOCKOPT = "getsockopt": SYS_getsockopt;
    SETSOCKOPT = "setsockopt": SYS_setsockopt;
    FLOCK = "flock": SYS_flock;
    FCNTL = "fcntl": SYS_fcntl;
}
