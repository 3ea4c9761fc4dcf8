//! The thin layer over system calls that nix does not wrap, and the nouns
//! (`Sem`, `Queue`, `Segment`) that cases speak in. All unsafe code of the
//! cases is here.
#![allow(unsafe_code)]

pub mod calls;
pub mod descriptors;
pub mod epoll;
pub mod eventfd;
pub mod files;
pub mod memory;
pub mod mq;
pub mod msg;
pub mod pidfd;
pub mod pipes;
pub mod poll;
pub mod posix_sem;
pub mod privilege;
pub mod program;
pub mod select;
pub mod sem;
pub mod shm;
pub mod sigio;
pub mod signals;
pub mod sockets;
pub mod splice;
pub mod sysctl;
pub mod sysv;
pub mod terminal;
pub mod vectors;

use ipcspec_harness::{Verdict, remember, worker_id};
use nix::errno::Errno;

/// The answer of a system call that gives -1 and errno, as a `Result`.
pub fn answer<T: nix::errno::ErrnoSentinel + PartialEq>(value: T) -> nix::Result<T> {
    Errno::result(value)
}

/// A name for a POSIX object (`/ipcspec-812-3`) that nothing else on this
/// machine uses. `remove` is called with its number when the case is over;
/// [`name_of`] makes the name of the number again.
pub fn unique_name(remove: fn(i64)) -> Verdict<String> {
    let number = next_number();
    remember(remove, number)?;
    Ok(name_of(number))
}

/// The name that [`unique_name`] gave to this number.
pub fn name_of(number: i64) -> String {
    format!("/ipcspec-{}-{number}", worker_id())
}

/// A System V key that nothing else on this machine is likely to use.
pub fn unique_key() -> libc::key_t {
    // Key 0 is IPC_PRIVATE; the worker's number keeps two of them apart.
    0x1bc0_0000 ^ (worker_id() << 8) ^ (next_number() as i32 & 0xff) | 1 << 28
}

/// 1, 2, 3 … within one process of a case. A child counts on from where its
/// parent was, apart from it.
fn next_number() -> i64 {
    use std::sync::atomic::{AtomicI64, Ordering::SeqCst};
    static NEXT: AtomicI64 = AtomicI64::new(0);
    static OWNER: AtomicI64 = AtomicI64::new(0);
    let me = i64::from(std::process::id());
    if OWNER.swap(me, SeqCst) != me {
        NEXT.store(me % 10_000 * 100, SeqCst);
    }
    NEXT.fetch_add(1, SeqCst) + 1
}
