//! How much a pipe holds, and what limits that.

use crate::prelude::*;
use crate::sys::descriptors::{read_all, unread};
use crate::sys::memory::page_size;
use crate::sys::pipes::{MAX_SIZE, SOFT_LIMIT, capacity, fill_pipe, set_capacity, soft_limit};
use crate::sys::privilege::become_lone_user;
use crate::sys::sysctl::sysctl;

/// The cases of this module.
pub const CASES: &[Case] = &[
    capacity_and_unread_tell_the_room,
    new_pipe_has_sixteen_pages,
    capacity_is_rounded_up,
    capacity_set_is_capacity_had,
    capacity_below_the_data_is_busy,
    capacity_above_the_maximum_needs_privilege,
    privilege_overrides_the_maximum,
    soft_limit_makes_small_pipes,
];

/// F_GETPIPE_SZ and FIONREAD, on either end, tell how much more a pipe takes: so much and not a byte more.
#[case(F_GETPIPE_SZ_2CONST, "DESCRIPTION", also = [(PIPE_7, "Pipe capacity")], settles = ["B05", "F_GETPIPE_SZ.2const F_GETPIPE_SZ"])]
fn capacity_and_unread_tell_the_room() -> Verdict {
    let (r, w) = pipe2(OFlag::O_NONBLOCK)?;
    check!(unread(&r) == Ok(0));
    write(&w, &vec![b'x'; capacity(&w)? / 2])?;
    let room = capacity(&w)? - unread(&w)?;
    check!(capacity(&r)? - unread(&r)? == room);
    check!(write(&w, &vec![b'x'; room]) == Ok(room));
    check!(write(&w, b"x") == Err(EAGAIN));
    check!(unread(&r) == capacity(&r));
    Ok(())
}

/// A new pipe has room for 16 pages, or for /proc/sys/fs/pipe-max-size where that is less.
#[case(PIPE_7, "Pipe capacity", also = [(PIPE_7, "/proc files")], needs = [Need::OtherUsers, Need::Facility(MAX_SIZE)])]
fn new_pipe_has_sixteen_pages() -> Verdict {
    become_lone_user(3)?;
    let (_r, w) = pipe()?;
    let ceiling = sysctl("fs/pipe-max-size")? as usize;
    check!(capacity(&w) == Ok(ceiling.min(16 * page_size())));
    check!(fill_pipe(&w) == capacity(&w));
    Ok(())
}

/// F_SETPIPE_SZ rounds up to a power of two of pages, at least one, and returns what it set.
#[case(F_GETPIPE_SZ_2CONST, "DESCRIPTION", settles = ["F_GETPIPE_SZ.2const F_SETPIPE_SZ"])]
fn capacity_is_rounded_up() -> Verdict {
    let (r, w) = pipe()?;
    let page = page_size();
    for (asked, given) in
        [(0, 1), (1, 1), (page, 1), (page + 1, 2), (3 * page, 4), (4 * page, 4), (5 * page, 8)]
    {
        check!(set_capacity(&w, asked) == Ok(given * page), "for {asked} bytes");
        check!(capacity(&r) == Ok(given * page), "for {asked} bytes");
    }
    Ok(())
}

/// A pipe holds just as much as F_SETPIPE_SZ said, set at either end, when it is made larger or smaller.
#[case(F_GETPIPE_SZ_2CONST, "DESCRIPTION", settles = ["F_GETPIPE_SZ.2const F_SETPIPE_SZ"])]
fn capacity_set_is_capacity_had() -> Verdict {
    let (r, w) = pipe()?;
    for (end, pages) in [(&w, 2), (&r, 32), (&r, 1), (&w, 4)] {
        let set = set_capacity(end, pages * page_size())?;
        check!(set >= pages * page_size());
        check!(fill_pipe(&w) == Ok(set), "{pages} pages");
        check!(read_all(&r, set)?.len() == set);
    }
    Ok(())
}

/// A capacity smaller than what is stored gives EBUSY and changes neither capacity nor data.
#[case(F_GETPIPE_SZ_2CONST, "ERRORS", settles = ["F_GETPIPE_SZ.2const EBUSY"])]
fn capacity_below_the_data_is_busy() -> Verdict {
    let (r, w) = pipe()?;
    set_capacity(&w, 8 * page_size())?;
    write(&w, &vec![b'x'; 4 * page_size() + 1])?;
    check!(set_capacity(&w, 4 * page_size()) == Err(EBUSY));
    check!(capacity(&w) == Ok(8 * page_size()));
    check!(unread(&r) == Ok(4 * page_size() + 1));
    read_all(&r, page_size() + 1)?;
    check!(set_capacity(&w, 4 * page_size()) == Ok(4 * page_size()));
    check!(read_all(&r, 3 * page_size())? == vec![b'x'; 3 * page_size()]);
    Ok(())
}

/// Without privilege a capacity may be raised to /proc/sys/fs/pipe-max-size and no further.
#[case(PIPE_7, "/proc files", also = [(F_GETPIPE_SZ_2CONST, "DESCRIPTION")], settles = ["pipe.7 /proc/sys/fs/pipe-max-size"], needs = [Need::Unprivileged, Need::Facility(MAX_SIZE)])]
fn capacity_above_the_maximum_needs_privilege() -> Verdict {
    let (_r, w) = pipe()?;
    let most = sysctl("fs/pipe-max-size")? as usize;
    check!(set_capacity(&w, most) == Ok(most));
    check!(set_capacity(&w, most + 1) == Err(EPERM));
    check!(capacity(&w) == Ok(most));
    check!(fill_pipe(&w) == Ok(most));
    Ok(())
}

/// CAP_SYS_RESOURCE lets a capacity exceed /proc/sys/fs/pipe-max-size.
#[case(F_GETPIPE_SZ_2CONST, "DESCRIPTION", needs = [Need::Cap(Cap::SysResource), Need::Facility(MAX_SIZE)])]
fn privilege_overrides_the_maximum() -> Verdict {
    let (_r, w) = pipe()?;
    let most = sysctl("fs/pipe-max-size")? as usize;
    let more = set_capacity(&w, most + 1)?;
    check!(more > most);
    check!(fill_pipe(&w) == Ok(more));
    Ok(())
}

/// At the soft limit a user's new pipes have two pages, none may grow, and those there were go on working.
#[case(PIPE_7, "/proc files", also = [(F_GETPIPE_SZ_2CONST, "ERRORS")], settles = ["pipe.7 /proc/sys/fs/pipe-user-pages-soft"], needs = [Need::OtherUsers, Need::Facility(SOFT_LIMIT)])]
fn soft_limit_makes_small_pipes() -> Verdict {
    become_lone_user(2)?;
    let (r, w) = pipe()?;
    let (usual, largest) = (capacity(&r)?, sysctl("fs/pipe-max-size")? as usize);
    write(&w, b"before")?;
    let mut newest = pipe()?.0;
    let mut hoard = vec![];
    // Large pipes come near the limit, and usual ones take what is left.
    for _ in 0..=soft_limit()? / largest + largest / usual {
        if capacity(&newest)? < usual {
            break;
        }
        let _as_far_as_it_may = set_capacity(&newest, largest);
        hoard.push(std::mem::replace(&mut newest, pipe()?.0));
    }
    check!(capacity(&newest) == Ok(2 * page_size()));
    check!(set_capacity(&newest, 4 * page_size()) == Err(EPERM));
    check!(set_capacity(&newest, page_size()) == Ok(page_size()));
    check!(text(&r, 16) == Ok("before"));
    check!(write(&w, b"after") == Ok(5));
    Ok(())
}
