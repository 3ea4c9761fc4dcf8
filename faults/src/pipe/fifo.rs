//! Wrong FIFOs: who waits at open, what is kept, and where names lead.

use std::fs::{self, OpenOptions, Permissions, set_permissions};
use std::mem::offset_of;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt, lchown};
use std::path::Path;

use nix::sys::stat::futimens;
use nix::sys::time::TimeSpec;

use crate::prelude::*;
use ipcspec_cases::sys::pipes::set_capacity;

/// The faults of this module.
pub const FAULTS: &[Fault] = &[
    second_waiting_opener_is_not_released,
    open_to_read_never_waits,
    open_to_write_never_waits,
    nonblocking_open_to_read_needs_a_writer,
    nonblocking_open_to_write_succeeds_alone,
    open_for_both_waits_for_a_reader,
    open_for_both_is_nonblocking,
    interrupted_opener_stays_counted,
    permission_is_asked_last,
    refused_opener_releases_who_waits,
    close_on_exec_is_forgotten_at_open,
    protected_fifos_forgets_the_directorys_owner,
    what_is_unread_is_the_size_of_the_file,
    late_reader_finds_nothing,
    what_is_unread_is_kept,
    what_is_unread_goes_with_the_last_reader,
    capacity_is_kept,
    truncation_empties_it,
    write_of_nothing_moves_the_times,
    link_is_a_fifo_of_its_own,
    rename_makes_it_another,
    removed_fifo_is_the_next_of_its_name,
    removed_fifo_has_a_link,
    fifo_belongs_to_a_daemon,
    every_directory_hands_down_its_group,
    umask_is_not_asked,
    directory_is_forgotten,
    directory_is_asked_for_an_absolute_path,
    refused_fifo_is_told_as_made,
];

fn inode(path: &Path) -> Result<u64> {
    fs::metadata(path).map(|file| file.ino()).map_err(|_| Errno::ENOENT)
}

/// Opens it for both ends, without waiting.
fn open_both(path: &Path) -> Result<fs::File> {
    let mut how = OpenOptions::new();
    how.read(true).write(true).custom_flags(libc::O_NONBLOCK);
    how.open(path).map_err(|_| Errno::EACCES)
}

/// Of several processes that wait at the same end in open only the first is released.
#[fault(FIFO_7, "DESCRIPTION", on = [OPEN])]
fn second_waiting_opener_is_not_released(call: &mut Call) -> Result<Effect> {
    let opening = call.opening()?;
    if !opening.waits() {
        return call.proceed();
    }
    let key = inode(&opening.path)? << 2 | opening.mode().unwrap_or(0) as u64;
    let before = call.notes().count(key);
    call.then_always(move |call| {
        *call.notes().of(key) = Some(before);
        if before > 0 && call.result() >= 0 { call.sleep() } else { call.proceed() }
    })
}

/// Opening to read does not wait for a writer.
#[fault(FIFO_7, "DESCRIPTION", on = [OPEN])]
fn open_to_read_never_waits(call: &mut Call) -> Result<Effect> {
    let opening = call.opening()?;
    if opening.waits() && opening.mode() == Some(libc::O_RDONLY) {
        // Its own writer for as long as it opens.
        let both = open_both(&opening.path)?;
        return call.then(move |call| {
            drop(both);
            call.proceed()
        });
    }
    call.proceed()
}

/// A nonblocking open to read fails with ENXIO where nobody has the write side open.
#[fault(FIFO_7, "DESCRIPTION", on = [OPEN])]
fn nonblocking_open_to_read_needs_a_writer(call: &mut Call) -> Result<Effect> {
    let opening = call.opening()?;
    let early = opening.mode() == Some(libc::O_RDONLY) && opening.has(libc::O_NONBLOCK);
    call.then(move |call| {
        let number = call.result();
        if number < 0 || !early {
            return call.proceed();
        }
        let end = call.copy(number as i32)?;
        if unread(&end)? > 0 || read_all(&end, 1) == Err(EAGAIN) {
            return call.proceed();
        }
        call.instead(libc::SYS_close, [number as u64, 0, 0, 0, 0, 0], |call| call.fail(ENXIO))
    })
}

/// Opening to write does not wait for a reader.
#[fault(FIFO_7, "DESCRIPTION", on = [OPEN])]
fn open_to_write_never_waits(call: &mut Call) -> Result<Effect> {
    let opening = call.opening()?;
    if opening.waits() && opening.mode() == Some(libc::O_WRONLY) {
        // Its own reader for as long as it opens.
        let both = open_both(&opening.path)?;
        return call.then(move |call| {
            drop(both);
            call.proceed()
        });
    }
    call.proceed()
}

/// A nonblocking open to write succeeds though there is no reader.
#[fault(FIFO_7, "DESCRIPTION", on = [OPEN])]
fn nonblocking_open_to_write_succeeds_alone(call: &mut Call) -> Result<Effect> {
    let opening = call.opening()?;
    call.then(move |call| {
        if call.result() != -(ENXIO as i64) {
            return call.proceed();
        }
        let mut arguments = call.arguments();
        arguments[opening.index] = (opening.flags & !libc::O_WRONLY | libc::O_RDWR) as u64;
        call.instead(call.number(), arguments, |call| call.proceed())
    })
}

/// Opening for both ends waits until somebody else reads.
#[fault(FIFO_7, "DESCRIPTION", on = [OPEN])]
fn open_for_both_waits_for_a_reader(call: &mut Call) -> Result<Effect> {
    let opening = call.opening()?;
    if opening.mode() == Some(libc::O_RDWR) && !opening.has(libc::O_NONBLOCK) {
        let flags = opening.flags & !libc::O_RDWR | libc::O_WRONLY;
        call.set_argument(opening.index, flags as u64);
    }
    call.proceed()
}

/// Opening for both ends makes the descriptor nonblocking.
#[fault(FIFO_7, "DESCRIPTION", on = [OPEN])]
fn open_for_both_is_nonblocking(call: &mut Call) -> Result<Effect> {
    let opening = call.opening()?;
    if opening.mode() == Some(libc::O_RDWR) {
        call.set_argument(opening.index, (opening.flags | libc::O_NONBLOCK) as u64);
    }
    call.proceed()
}

/// An open that a signal interrupts while it waits leaves both ends open.
#[fault(OPEN_2, "ERRORS", on = [OPEN])]
fn interrupted_opener_stays_counted(call: &mut Call) -> Result<Effect> {
    const INTERRUPTED: i64 = -512;
    let opening = call.opening()?;
    if !opening.waits() {
        return call.proceed();
    }
    call.then_always(move |call| {
        if call.result() == INTERRUPTED {
            let both = open_both(&opening.path)?;
            call.notes().hold(both.into());
        }
        call.proceed()
    })
}

/// Who may not write is told first that there is no reader.
#[fault(PIPE_7, "DESCRIPTION", on = [OPEN])]
fn permission_is_asked_last(call: &mut Call) -> Result<Effect> {
    let opening = call.opening()?;
    call.then(move |call| {
        let early = opening.has(libc::O_WRONLY | libc::O_NONBLOCK);
        if early && call.result() == -(EACCES as i64) { call.fail(ENXIO) } else { call.proceed() }
    })
}

/// An open that is refused for want of permission counts for the moment that it takes.
#[fault(FIFO_7, "DESCRIPTION", on = [OPEN])]
fn refused_opener_releases_who_waits(call: &mut Call) -> Result<Effect> {
    let opening = call.opening()?;
    call.then(move |call| {
        if call.result() == -(EACCES as i64) {
            let mode = fs::metadata(&opening.path).map_err(|_| ENOENT)?.permissions();
            set_permissions(&opening.path, Permissions::from_mode(0o666)).map_err(|_| EPERM)?;
            drop(open_both(&opening.path)?);
            set_permissions(&opening.path, mode).map_err(|_| EPERM)?;
        }
        call.proceed()
    })
}

/// O_CLOEXEC is forgotten where a FIFO is opened for both ends.
#[fault(OPEN_2, "DESCRIPTION", on = [OPEN])]
fn close_on_exec_is_forgotten_at_open(call: &mut Call) -> Result<Effect> {
    let opening = call.opening()?;
    if opening.mode() == Some(libc::O_RDWR) {
        call.set_argument(opening.index, (opening.flags & !libc::O_CLOEXEC) as u64);
    }
    call.proceed()
}

/// protected_fifos, set or not, keeps O_CREAT off every FIFO that is not the opener's, the directory's owner's too.
#[fault(PROC_SYS_FS_5, "DESCRIPTION", on = [OPEN])]
fn protected_fifos_forgets_the_directorys_owner(call: &mut Call) -> Result<Effect> {
    let opening = call.opening()?;
    let mode = |path| fs::metadata(path).map_or(0, |file: fs::Metadata| file.mode());
    let sticky = opening.path.parent().is_some_and(|parent| mode(parent) & libc::S_ISVTX != 0);
    let owner = fs::metadata(&opening.path).map_err(|_| ENOENT)?.uid();
    let foreign = owner != call.real_user()?;
    if sticky && foreign && opening.has(libc::O_CREAT) { call.fail(EACCES) } else { call.proceed() }
}

/// The size of the file is the number of bytes that are unread in the FIFO.
#[fault(FIFO_7, "DESCRIPTION", on = [STAT])]
fn what_is_unread_is_the_size_of_the_file(call: &mut Call) -> Result<Effect> {
    let path = call.fifo()?;
    call.then(move |call| {
        let place = call.status_of_fifo(offset_of!(libc::stat, st_size))?;
        let size = unread(open_both(&path)?)? as i64;
        call.set_number_at(place, size)?;
        call.proceed()
    })
}

/// Who opens a FIFO to read takes out of it what was written before.
#[fault(FIFO_7, "DESCRIPTION", on = [OPEN])]
fn late_reader_finds_nothing(call: &mut Call) -> Result<Effect> {
    let opening = call.opening()?;
    call.then(move |call| {
        let number = call.result() as i32;
        if opening.mode() == Some(libc::O_RDONLY) && number >= 0 {
            let end = call.opened_anew(number, false)?;
            read_all(&end, unread(&end)?)?;
        }
        call.proceed()
    })
}

/// What was unread at the last close is there at the next open.
#[fault(FIFO_7, "DESCRIPTION", on = [CLOSE])]
fn what_is_unread_is_kept(call: &mut Call) -> Result<Effect> {
    let pipe = call.pipe(0)?;
    if pipe.kind == Kind::Fifo && unread(call.copy(pipe.number)?)? > 0 {
        let again = call.opened_anew(pipe.number, false)?;
        call.notes().hold(again.into());
    }
    call.proceed()
}

/// What is unread is lost when the last reader goes, though a writer stays.
#[fault(FIFO_7, "DESCRIPTION", on = [CLOSE])]
fn what_is_unread_goes_with_the_last_reader(call: &mut Call) -> Result<Effect> {
    let pipe = call.pipe(0)?;
    let last = !pipe.is_write_end() && call.ends(&pipe, false).len() == 1;
    if pipe.kind == Kind::Fifo && last {
        let end = call.opened_anew(pipe.number, false)?;
        read_all(&end, unread(&end)?)?;
    }
    call.proceed()
}

/// The capacity that was set for a FIFO is there at the next open, after the last close.
#[fault(FIFO_7, "DESCRIPTION", on = [FCNTL, OPEN])]
fn capacity_is_kept(call: &mut Call) -> Result<Effect> {
    if call.number() == libc::SYS_fcntl {
        let pipe = call.pipe(0)?;
        if pipe.kind != Kind::Fifo || call.argument(1) as i32 != libc::F_SETPIPE_SZ {
            return call.proceed();
        }
        return call.then(move |call| {
            *call.notes().of(pipe.inode) = Some(call.result());
            call.proceed()
        });
    }
    let inode = inode(&call.opening()?.path)?;
    call.then(move |call| {
        let number = call.result() as i32;
        let kept = *call.notes().of(inode);
        if let Some(kept) = kept
            && number >= 0
        {
            set_capacity(call.copy(number)?, kept as usize)?;
        }
        call.proceed()
    })
}

/// Opening a FIFO with O_TRUNC empties it.
#[fault(OPEN_2, "DESCRIPTION", on = [OPEN])]
fn truncation_empties_it(call: &mut Call) -> Result<Effect> {
    let opening = call.opening()?;
    call.then(move |call| {
        if opening.has(libc::O_TRUNC) && call.result() >= 0 {
            let end = open_both(&opening.path)?;
            read_all(&end, unread(&end)?)?;
        }
        call.proceed()
    })
}

/// A write of no bytes moves the times of a FIFO.
#[fault(INODE_7, "DESCRIPTION", on = [WRITE])]
fn write_of_nothing_moves_the_times(call: &mut Call) -> Result<Effect> {
    let (pipe, length) = (call.pipe(0)?, call.argument(2));
    if pipe.kind == Kind::Fifo && length == 0 {
        futimens(call.copy(pipe.number)?, &TimeSpec::UTIME_NOW, &TimeSpec::UTIME_NOW)?;
    }
    call.proceed()
}

/// A second name of a FIFO leads to a FIFO of its own.
#[fault(FIFO_7, "DESCRIPTION", on = [LINK])]
fn link_is_a_fifo_of_its_own(call: &mut Call) -> Result<Effect> {
    call.fifo()?;
    let [_, two, three, four, ..] = call.arguments();
    let (directory, name) =
        if call.number() == libc::SYS_linkat { (three, four) } else { (HERE, two) };
    call.instead(libc::SYS_mknodat, [directory, name, MODE, 0, 0, 0], |call| call.proceed())
}

/// The working directory, as an argument.
const HERE: u64 = libc::AT_FDCWD as u64;
/// Some user, and no maker of files.
const DAEMON: u32 = 1;
/// The mode of a FIFO for its owner.
const MODE: u64 = (libc::S_IFIFO | 0o600) as u64;

/// Who opens a FIFO by its new name after it was renamed gets another pipe than those who had it open.
#[fault(RENAME_2, "DESCRIPTION", on = [RENAME])]
fn rename_makes_it_another(call: &mut Call) -> Result<Effect> {
    call.fifo()?;
    let [_, two, three, four, ..] = call.arguments();
    let at = call.number() == libc::SYS_renameat || call.number() == libc::SYS_renameat2;
    let (directory, name) = if at { (three, four) } else { (HERE, two) };
    call.then(move |call| {
        let calls = vec![
            (libc::SYS_unlinkat, [directory, name, 0, 0, 0, 0]),
            (libc::SYS_mknodat, [directory, name, MODE, 0, 0, 0]),
        ];
        if call.result() == 0 {
            call.instead_all(calls, |call| call.give(0))
        } else {
            call.proceed()
        }
    })
}

/// A FIFO that is made where one was removed is the removed one.
#[fault(UNLINK_2, "DESCRIPTION", on = [UNLINK, MKNOD])]
fn removed_fifo_is_the_next_of_its_name(call: &mut Call) -> Result<Effect> {
    let inode = inode(&call.fifo()?)?;
    let removed = call.notes().has(inode);
    match call.number() {
        libc::SYS_mknodat if removed => {
            *call.notes().of(inode) = None;
            call.give(0)
        }
        libc::SYS_mknodat => call.proceed(),
        _ => {
            call.notes().count(inode);
            call.give(0)
        }
    }
}

/// A FIFO that is open and has no name any more has one link.
#[fault(INODE_7, "DESCRIPTION", on = [STAT])]
fn removed_fifo_has_a_link(call: &mut Call) -> Result<Effect> {
    call.then(|call| {
        let place = call.status_of_fifo(offset_of!(libc::stat, st_nlink))?;
        if call.number_at::<u64>(place)? == 0 {
            call.set_number_at(place, 1_u64)?;
        }
        call.proceed()
    })
}

/// A FIFO belongs to user 1, whoever made it.
#[fault(INODE_7, "DESCRIPTION", on = [STAT])]
fn fifo_belongs_to_a_daemon(call: &mut Call) -> Result<Effect> {
    call.then(|call| {
        let place = call.status_of_fifo(offset_of!(libc::stat, st_uid))?;
        call.set_number_at(place, DAEMON)?;
        call.proceed()
    })
}

/// A FIFO gets the group of its directory, without a set-group-ID bit too.
#[fault(MKNOD_2, "DESCRIPTION", on = [MKNOD])]
fn every_directory_hands_down_its_group(call: &mut Call) -> Result<Effect> {
    let path = call.named_path()?;
    call.then(move |call| {
        let directory = path.parent().and_then(|parent| fs::metadata(parent).ok());
        let group = directory.ok_or(Errno::ENOENT)?.gid();
        if call.result() == 0 {
            lchown(&path, None, Some(group)).map_err(|_| EPERM)?;
        }
        call.proceed()
    })
}

/// A FIFO gets the mode that was asked for, and the umask takes nothing from it.
#[fault(MKFIFO_3, "DESCRIPTION", on = [MKNOD])]
fn umask_is_not_asked(call: &mut Call) -> Result<Effect> {
    let (path, mode) = (call.named_path()?, call.argument(call.flags_index()) as u32);
    call.then(move |call| {
        if call.result() == 0 && fs::metadata(&path).is_ok_and(|file| file.file_type().is_fifo()) {
            let mode = Permissions::from_mode(mode & 0o7777);
            set_permissions(&path, mode).map_err(|_| EPERM)?;
        }
        call.proceed()
    })
}

/// mkfifoat and mknodat start at the working directory, whatever directory they are given.
#[fault(MKFIFO_3, "mkfifoat()", on = [MKNOD])]
fn directory_is_forgotten(call: &mut Call) -> Result<Effect> {
    if call.number() == libc::SYS_mknodat {
        call.set_argument(0, HERE);
    }
    call.proceed()
}

/// mkfifoat and mknodat want a descriptor that is open beside an absolute path too.
#[fault(MKFIFO_3, "mkfifoat()", on = [MKNOD])]
fn directory_is_asked_for_an_absolute_path(call: &mut Call) -> Result<Effect> {
    let absolute = call.number() == libc::SYS_mknodat && call.own_path()?.starts_with('/');
    let closed = call.argument(0) as i32 != libc::AT_FDCWD && call.fd(0).is_err();
    if absolute && closed { call.fail(EBADF) } else { call.proceed() }
}

/// A FIFO that cannot be made is told as made.
#[fault(MKFIFO_3, "ERRORS", on = [MKNOD])]
fn refused_fifo_is_told_as_made(call: &mut Call) -> Result<Effect> {
    call.then(|call| if call.result() < 0 { call.give(0) } else { call.proceed() })
}
