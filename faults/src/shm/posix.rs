//! Wrong POSIX shared memory objects, which the C library keeps as files.

use std::os::fd::AsFd;

use libc::{F_DUPFD_CLOEXEC, O_ACCMODE, O_CLOEXEC, O_CREAT, O_EXCL, O_RDONLY, O_RDWR, O_TRUNC};
use nix::sys::stat::fstat;
use nix::sys::uio::{pread, pwrite};

use crate::prelude::*;

/// The faults of this module.
pub const FAULTS: &[Fault] = &[
    truncation_is_forgotten,
    truncation_leaves_the_last_byte,
    descriptor_stays_open_on_exec,
    descriptor_is_not_the_lowest,
    umask_is_ignored,
    existing_object_takes_the_mode,
    existing_object_is_opened_exclusively,
    readonly_object_is_opened_for_both,
    missing_object_is_made,
    name_goes_when_nobody_has_it_open,
    unlink_empties_the_object,
    unlink_refuses_nothing,
    new_bytes_are_not_zero,
    byte_that_was_cut_off_comes_back,
    full_table_of_a_process_is_told_as_the_systems,
];

/// Where the flags of an openat stand.
const FLAGS: usize = 2;
/// Where the mode of an openat stands.
const MODE: usize = 3;

/// The flags of an openat that opens an object; else the fault has nothing to do here.
fn flags(call: &Call) -> Result<i32> {
    let is_object = call.text(call.argument(1))?.starts_with("/dev/shm/");
    if is_object { Ok(call.argument(FLAGS) as i32) } else { Err(ENOENT) }
}

fn set_flags(call: &mut Call, flags: i32) {
    call.set_argument(FLAGS, flags as u64);
}

/// It happens; if it fails with `errno`, it happens again with these flags.
fn on_error(call: &Call, errno: Errno, flags: i32) -> Result<Effect> {
    let mut arguments = call.arguments();
    arguments[FLAGS] = flags as u64;
    call.then(move |call| {
        if call.result() != -(errno as i64) {
            return call.proceed();
        }
        call.instead(call.number(), arguments, |call| call.proceed())
    })
}

/// O_TRUNC leaves an object as it is.
#[fault(SHM_OPEN_3, "DESCRIPTION", on = [OPEN])]
fn truncation_is_forgotten(call: &mut Call) -> Result<Effect> {
    let flags = flags(call)?;
    set_flags(call, flags & !O_TRUNC);
    call.proceed()
}

/// O_TRUNC cuts an object to one byte.
#[fault(SHM_OPEN_3, "DESCRIPTION", on = [OPEN])]
fn truncation_leaves_the_last_byte(call: &mut Call) -> Result<Effect> {
    let flags = flags(call)?;
    if flags & O_TRUNC == 0 {
        return call.proceed();
    }
    set_flags(call, flags & !O_TRUNC);
    call.then(|call| {
        let file = call.result();
        let to_one = [file as u64, 1, 0, 0, 0, 0];
        match file {
            0.. => call.instead(libc::SYS_ftruncate, to_one, move |call| call.give(file)),
            _ => call.proceed(),
        }
    })
}

/// The descriptor of an object stays open when a program is executed.
#[fault(SHM_OPEN_3, "DESCRIPTION", on = [OPEN])]
fn descriptor_stays_open_on_exec(call: &mut Call) -> Result<Effect> {
    let flags = flags(call)?;
    set_flags(call, flags & !O_CLOEXEC);
    call.proceed()
}

/// The descriptor of an object is the lowest but one that is free.
#[fault(SHM_OPEN_3, "DESCRIPTION", on = [OPEN])]
fn descriptor_is_not_the_lowest(call: &mut Call) -> Result<Effect> {
    flags(call)?;
    call.then(|call| {
        let low = call.result() as u64;
        if call.result() < 0 {
            return call.proceed();
        }
        let higher = [low, F_DUPFD_CLOEXEC as u64, low + 1, 0, 0, 0];
        call.instead(libc::SYS_fcntl, higher, move |call| {
            let high = call.result();
            call.instead(libc::SYS_close, [low, 0, 0, 0, 0, 0], move |call| call.give(high))
        })
    })
}

/// It happens; then a file that it opened gets this mode.
fn then_mode(call: &Call, mode: u64) -> Result<Effect> {
    call.then(move |call| {
        let file = call.result();
        let arguments = [file as u64, mode, 0, 0, 0, 0];
        match file {
            0.. => call.instead(libc::SYS_fchmod, arguments, move |call| call.give(file)),
            _ => call.proceed(),
        }
    })
}

/// A new object has the mode that was asked for, whatever the umask.
#[fault(SHM_OPEN_3, "DESCRIPTION", on = [OPEN])]
fn umask_is_ignored(call: &mut Call) -> Result<Effect> {
    let is_new = flags(call)? & (O_CREAT | O_EXCL) == O_CREAT | O_EXCL;
    if is_new { then_mode(call, call.argument(MODE)) } else { call.proceed() }
}

/// O_CREAT gives an object that exists the mode of a new one.
#[fault(SHM_OPEN_3, "DESCRIPTION", on = [OPEN])]
fn existing_object_takes_the_mode(call: &mut Call) -> Result<Effect> {
    let creates = flags(call)? & O_CREAT != 0;
    if creates { then_mode(call, call.argument(MODE) & !call.umask()?) } else { call.proceed() }
}

/// O_EXCL opens an object that exists.
#[fault(SHM_OPEN_3, "DESCRIPTION", on = [OPEN])]
fn existing_object_is_opened_exclusively(call: &mut Call) -> Result<Effect> {
    let flags = flags(call)?;
    on_error(call, EEXIST, flags & !O_EXCL)
}

/// An object that is opened for reading is open for writing too.
#[fault(SHM_OPEN_3, "DESCRIPTION", on = [OPEN])]
fn readonly_object_is_opened_for_both(call: &mut Call) -> Result<Effect> {
    let flags = flags(call)?;
    if flags & O_ACCMODE == O_RDONLY {
        set_flags(call, flags | O_RDWR);
    }
    call.proceed()
}

/// An object that does not exist is made without O_CREAT.
#[fault(SHM_OPEN_3, "ERRORS", on = [OPEN])]
fn missing_object_is_made(call: &mut Call) -> Result<Effect> {
    let flags = flags(call)?;
    on_error(call, ENOENT, flags | O_CREAT)
}

/// The path of an object that is unlinked; else the fault has nothing to do here.
fn unlinked(call: &Call) -> Result<String> {
    let path = call.text(path_of(call))?;
    if path.starts_with("/dev/shm/") { Ok(path) } else { Err(ENOENT) }
}

/// Where the path of an unlink is.
fn path_of(call: &Call) -> u64 {
    call.argument(usize::from(call.number() == libc::SYS_unlinkat))
}

/// The name of an object stays until nobody has it open.
#[fault(SHM_OPEN_3, "DESCRIPTION", on = [UNLINK])]
fn name_goes_when_nobody_has_it_open(call: &mut Call) -> Result<Effect> {
    let path = unlinked(call)?;
    let files = std::fs::read_dir(format!("/proc/{}/fd", call.thread())).map_err(|_| ESRCH)?;
    let links = files.flatten().map(|file| std::fs::read_link(file.path()));
    let is_open = links.flatten().any(|link| link.to_string_lossy() == path);
    if is_open { call.give(0) } else { call.proceed() }
}

/// An object that is unlinked loses what is in it at once.
#[fault(SHM_OPEN_3, "DESCRIPTION", on = [UNLINK])]
fn unlink_empties_the_object(call: &mut Call) -> Result<Effect> {
    unlinked(call)?;
    call.instead(libc::SYS_truncate, [path_of(call), 0, 0, 0, 0, 0], |call| {
        call.once_more(|call| call.proceed())
    })
}

/// shm_unlink says that all is well where it may not or cannot.
#[fault(SHM_OPEN_3, "ERRORS", on = [UNLINK])]
fn unlink_refuses_nothing(call: &mut Call) -> Result<Effect> {
    unlinked(call)?;
    call.then(|call| call.give(0))
}

/// The first byte that ftruncate adds is not zero.
#[fault(SHM_OPEN_3, "DESCRIPTION", on = [FTRUNCATE])]
fn new_bytes_are_not_zero(call: &mut Call) -> Result<Effect> {
    let (file, length) = (call.copy(call.argument(0) as i32)?, call.argument(1) as i64);
    let old = fstat(&file)?.st_size;
    call.then(move |call| {
        if call.result() == 0 && length > old {
            pwrite(file.as_fd(), b"x", old)?;
        }
        call.proceed()
    })
}

/// A byte that ftruncate cut off is there again when the file has grown again.
#[fault(TRUNCATE_2, "DESCRIPTION", on = [FTRUNCATE])]
fn byte_that_was_cut_off_comes_back(call: &mut Call) -> Result<Effect> {
    let (inode, length) = (call.fd(0)?.inode, call.argument(1) as i64);
    let file = call.copy(call.argument(0) as i32)?;
    let (old, mut byte) = (fstat(&file)?.st_size, [0]);
    if length < old {
        pread(file.as_fd(), &mut byte, length)?;
        *call.notes().of(inode) = Some(i64::from(byte[0]));
        return call.proceed();
    }
    let noted = call.notes().of(inode).take().ok_or(ENOENT)?;
    call.then(move |call| {
        if call.result() == 0 && length > old {
            pwrite(file.as_fd(), &[noted as u8], old)?;
        }
        call.proceed()
    })
}

/// A process that has all the descriptors it may have is told of the limit of the system.
#[fault(OPEN_2, "ERRORS", on = [OPEN, MEMFD_CREATE])]
fn full_table_of_a_process_is_told_as_the_systems(call: &mut Call) -> Result<Effect> {
    call.then(|call| match call.result() {
        full if full == -(EMFILE as i64) => call.fail(ENFILE),
        _ => call.proceed(),
    })
}
