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
    EXECVE = "execve": SYS_execve, SYS_execveat;
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
    EPOLL_CREATE = "epoll_create": SYS_epoll_create1, #[cfg(target_arch = "x86_64")] SYS_epoll_create;
    EPOLL_CTL = "epoll_ctl": SYS_epoll_ctl;
    EVENTFD = "eventfd": SYS_eventfd2, #[cfg(target_arch = "x86_64")] SYS_eventfd;
    SEMOP = "semop": SYS_semop, SYS_semtimedop;
    MSGSND = "msgsnd": SYS_msgsnd;
    MSGRCV = "msgrcv": SYS_msgrcv;
    MQ_SEND = "mq_send": SYS_mq_timedsend;
    MQ_RECEIVE = "mq_receive": SYS_mq_timedreceive;
    FUTEX = "futex": SYS_futex;
    PAUSE = "pause": SYS_ppoll, SYS_rt_sigsuspend, #[cfg(target_arch = "x86_64")] SYS_pause;
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
    SEMGET = "semget": SYS_semget;
    SEMCTL = "semctl": SYS_semctl;
    MSGGET = "msgget": SYS_msgget;
    MSGCTL = "msgctl": SYS_msgctl;
    MQ_OPEN = "mq_open": SYS_mq_open;
    MQ_UNLINK = "mq_unlink": SYS_mq_unlink;
    MQ_NOTIFY = "mq_notify": SYS_mq_notify;
    MQ_GETSETATTR = "mq_getsetattr": SYS_mq_getsetattr;
    KILL = "kill": SYS_kill;
    EXIT = "exit": SYS_exit;
    EXEC = "execve": SYS_execve, SYS_execveat;
    CLONE = "clone": SYS_clone;
    UNSHARE = "unshare": SYS_unshare;
    PRLIMIT = "prlimit": SYS_prlimit64, #[cfg(target_arch = "x86_64")] SYS_setrlimit;
    MMAP = "mmap": SYS_mmap;
    LINK = "link": SYS_linkat, #[cfg(target_arch = "x86_64")] SYS_link;
    UNLINK = "unlink": SYS_unlinkat, #[cfg(target_arch = "x86_64")] SYS_unlink;
    PIPE = "pipe": SYS_pipe2, #[cfg(target_arch = "x86_64")] SYS_pipe;
    DUP = "dup": SYS_dup;
    IOCTL = "ioctl": SYS_ioctl;
    MKNOD = "mknod": SYS_mknodat, #[cfg(target_arch = "x86_64")] SYS_mknod;
    RENAME = "rename": SYS_renameat2, #[cfg(target_arch = "x86_64")] SYS_rename, #[cfg(target_arch = "x86_64")] SYS_renameat;
    STAT = "stat": SYS_newfstatat, SYS_fstat, #[cfg(target_arch = "x86_64")] SYS_stat;
    SHMGET = "shmget": SYS_shmget;
    SHMAT = "shmat": SYS_shmat;
    SHMDT = "shmdt": SYS_shmdt;
    SHMCTL = "shmctl": SYS_shmctl;
    MUNMAP = "munmap": SYS_munmap;
    MPROTECT = "mprotect": SYS_mprotect;
    MREMAP = "mremap": SYS_mremap;
    MSYNC = "msync": SYS_msync;
    MEMFD_CREATE = "memfd_create": SYS_memfd_create;
    FTRUNCATE = "ftruncate": SYS_ftruncate;
    FALLOCATE = "fallocate": SYS_fallocate;
    FCHMOD = "fchmod": SYS_fchmod;
    PWRITE = "pwrite": SYS_pwrite64;
    TGKILL = "tgkill": SYS_tgkill, SYS_tkill;
    SIGQUEUE = "sigqueue": SYS_rt_sigqueueinfo;
    SIGACTION = "sigaction": SYS_rt_sigaction;
    SIGPROCMASK = "sigprocmask": SYS_rt_sigprocmask;
    SIGPENDING = "sigpending": SYS_rt_sigpending;
    SIGRETURN = "sigreturn": SYS_rt_sigreturn;
    SIGALTSTACK = "sigaltstack": SYS_sigaltstack;
    SETITIMER = "setitimer": SYS_setitimer;
    TIMER_SETTIME = "timer_settime": SYS_timer_settime;
}
