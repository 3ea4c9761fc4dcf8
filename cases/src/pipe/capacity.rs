//! How much a pipe holds, and what limits that.

use nix::fcntl::open;
use nix::poll::PollTimeout;
use nix::sys::stat::Mode;

use crate::prelude::*;
use crate::sys::descriptors::{pattern, read_all, unread};
use crate::sys::memory::page_size;
use crate::sys::pipes::{
    HARD_LIMIT, Hoard, MAX_SIZE, SOFT_LIMIT, capacity, fill_pipe, hard_limit, pipe_into,
    set_capacity, soft_limit,
};
use crate::sys::poll;
use crate::sys::privilege::{become_lone_user, give_up, leave_root_for, lone_user, return_to_root};
use crate::sys::sysctl::sysctl;

/// The cases of this module.
pub const CASES: &[Case] = &[
    capacity_and_unread_tell_the_room,
    unread_counts_bytes_wherever_they_lie,
    new_pipe_has_sixteen_pages,
    capacity_is_rounded_up,
    capacity_set_is_capacity_had,
    capacity_is_the_pipes_not_the_descriptors,
    small_writes_never_exceed_the_capacity,
    capacity_below_the_data_is_busy,
    data_survives_every_change_of_capacity,
    growing_wakes_every_blocked_writer,
    growing_makes_a_full_pipe_writable,
    blocked_write_survives_changes_of_capacity,
    capacity_above_the_maximum_needs_privilege,
    only_cap_sys_resource_overrides_the_maximum,
    privilege_overrides_the_maximum,
    oversized_pipe_may_shrink_without_privilege,
    new_pipes_at_the_soft_limit_have_two_pages,
    pipes_at_the_soft_limit_may_not_grow,
    growth_must_fit_below_the_soft_limit,
    pipes_of_all_processes_of_a_user_count,
    pipes_of_another_user_do_not_count,
    cap_sys_admin_lifts_the_soft_limit,
    no_pipe_is_made_at_the_hard_limit,
    pipes_at_the_hard_limit_may_not_grow,
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

/// FIONREAD counts the unread bytes, on either end and in any process, in whatever pieces they came and went.
#[case(PIPE_7, "Pipe capacity")]
fn unread_counts_bytes_wherever_they_lie() -> Verdict {
    let (r, w) = pipe()?;
    let mut left = 0;
    for (put, taken) in [(page_size() - 1, 0), (2, 1), (page_size() + 1, page_size()), (1, 2)] {
        write(&w, &vec![b'x'; put])?;
        read_all(&r, taken)?;
        left = left + put - taken;
        check!(unread(&r) == Ok(left), "after {put} and {taken}");
        Child::spawn(|| holds!(unread(&w) == Ok(left)))?.join()?;
    }
    read_all(&r, left)?;
    check!(unread(&w) == Ok(0));
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
    // A new pipe has 16 pages: so many are within any limit.
    for pages in 0..=9 {
        for asked in [(pages * page).saturating_sub(1), pages * page, pages * page + 1] {
            let given = asked.div_ceil(page).max(1).next_power_of_two() * page;
            check!(set_capacity(&w, asked) == Ok(given), "for {asked} bytes");
            check!(capacity(&r) == Ok(given), "for {asked} bytes");
        }
    }
    Ok(())
}

/// A pipe holds just as much as F_SETPIPE_SZ said, set at either end, when it is made larger or smaller.
#[case(F_GETPIPE_SZ_2CONST, "DESCRIPTION", settles = ["F_GETPIPE_SZ.2const F_SETPIPE_SZ"])]
fn capacity_set_is_capacity_had() -> Verdict {
    let (r, w) = pipe()?;
    for (end, pages) in [(&w, 2), (&r, 16), (&r, 1), (&w, 4)] {
        let set = set_capacity(end, pages * page_size())?;
        check!(set >= pages * page_size());
        check!(fill_pipe(&w) == Ok(set), "{pages} pages");
        check!(read_all(&r, set)?.len() == set);
    }
    Ok(())
}

/// The capacity is that of the pipe: set by one descriptor, it is seen by every other, copied, inherited or opened anew.
#[case(F_GETPIPE_SZ_2CONST, "DESCRIPTION", needs = [Need::Proc])]
fn capacity_is_the_pipes_not_the_descriptors() -> Verdict {
    let (r, w) = pipe()?;
    let path = format!("/proc/self/fd/{}", w.as_raw_fd());
    let again = open(path.as_str(), OFlag::O_WRONLY, Mode::empty())?;
    let copy = dup(&r)?;
    let ends = [&r, &w, &copy, &again];
    for (end, pages) in ends.into_iter().zip([1, 2, 4, 8]) {
        let set = pages * page_size();
        Child::spawn(|| holds!(set_capacity(end, set) == Ok(set)))?.join()?;
        for other in ends {
            check!(capacity(other) == Ok(set));
        }
    }
    Ok(())
}

/// Small writes may fill a pipe before its capacity is reached, never beyond it, and all that went in comes out.
#[case(F_GETPIPE_SZ_2CONST, "DESCRIPTION")]
fn small_writes_never_exceed_the_capacity() -> Verdict {
    let (r, w) = pipe2(OFlag::O_NONBLOCK)?;
    let most = set_capacity(&w, 2 * page_size())?;
    for size in [1, 7, page_size() / 2 + 1, page_size() - 1] {
        let mut record = pattern(size);
        let mut sent = vec![];
        while write(&w, &record) == Ok(size) {
            sent.extend_from_slice(&record);
            record.rotate_left(1);
        }
        check!(write(&w, &record) == Err(EAGAIN), "writes of {size}");
        check!(sent.len() <= most, "writes of {size}");
        check!(unread(&r) == Ok(sent.len()), "writes of {size}");
        check!(read_all(&r, sent.len())? == sent, "writes of {size}");
    }
    Ok(())
}

/// A capacity smaller than what is stored gives EBUSY and changes neither capacity nor data.
#[case(F_GETPIPE_SZ_2CONST, "ERRORS", settles = ["F_GETPIPE_SZ.2const EBUSY"])]
fn capacity_below_the_data_is_busy() -> Verdict {
    let (r, w) = pipe()?;
    let page = page_size();
    set_capacity(&w, 8 * page)?;
    let data = pattern(4 * page + 1);
    write(&w, &data)?;
    for asked in [0, page, 4 * page] {
        check!(set_capacity(&r, asked) == Err(EBUSY), "for {asked} bytes");
        check!(capacity(&w) == Ok(8 * page));
        check!(unread(&r) == Ok(4 * page + 1));
    }
    check!(read_all(&r, page + 1)? == data[..=page]);
    check!(set_capacity(&w, 4 * page) == Ok(4 * page));
    check!(set_capacity(&w, 2 * page) == Err(EBUSY));
    check!(read_all(&r, 3 * page)? == data[page + 1..]);
    Ok(())
}

/// Whatever part of its buffer the data lies in, a pipe that is made larger or smaller keeps every byte in order.
#[case(F_GETPIPE_SZ_2CONST, "DESCRIPTION", settles = ["F_GETPIPE_SZ.2const F_SETPIPE_SZ"])]
fn data_survives_every_change_of_capacity() -> Verdict {
    let (r, w) = pipe()?;
    // Two of these do not fit in a page: each moves on by a page of its own.
    let record = pattern(page_size() / 4 * 3);
    for (from, to) in [(4, 4), (4, 8), (8, 4), (4, 16), (16, 4)] {
        for turns in 0..from {
            set_capacity(&w, from * page_size())?;
            for _ in 0..turns {
                write(&w, &record)?;
                check!(read_all(&r, record.len())? == record);
            }
            for _ in 0..3 {
                write(&w, &record)?;
            }
            let head = read_all(&r, record.len() / 2)?;
            check!(set_capacity(&w, to * page_size()) == Ok(to * page_size()));
            write(&w, b"more")?;
            let tail = read_all(&r, unread(&r)?)?;
            let all = [&*record, &record, &record, b"more"].concat();
            check!([head, tail].concat() == all, "from {from} to {to} after {turns}");
        }
    }
    Ok(())
}

/// Writers that sleep for want of room go on when the pipe is made larger, every one for whom there is room now.
#[case(PIPE_7, "PIPE_BUF", also = [(PIPE_7, "Pipe capacity")])]
fn growing_wakes_every_blocked_writer() -> Verdict {
    let (r, w) = pipe()?;
    let before = set_capacity(&w, page_size())?;
    fill_pipe(&w)?;
    let writers = Children::spawn(3, |_| holds!(write(&w, b"late") == Ok(4)))?;
    writers.blocked_in(WRITE)?;
    set_capacity(&r, 4 * before)?;
    writers.join()?;
    read_all(&r, before)?;
    check!(text(&r, 64) == Ok("latelatelate"));
    Ok(())
}

/// A full pipe that is made larger can be written to, and poll, asleep already, says so.
#[case(POLL_2, "DESCRIPTION", also = [(PIPE_7, "Pipe capacity")])]
fn growing_makes_a_full_pipe_writable() -> Verdict {
    let (_r, w) = pipe()?;
    let before = set_capacity(&w, page_size())?;
    fill_pipe(&w)?;
    check!(poll::now(&w, poll::OUT) == Ok(poll::NONE));
    let watcher =
        Child::spawn(|| holds!(poll::wait(&w, poll::OUT, PollTimeout::NONE) == Ok(poll::OUT)))?;
    watcher.blocked_in(POLL)?;
    set_capacity(&w, 2 * before)?;
    watcher.join()?;
    check!(fill_pipe(&w) == Ok(before));
    Ok(())
}

/// A write that sleeps in the middle loses no byte when others try to make the pipe smaller and make it larger.
#[case(F_GETPIPE_SZ_2CONST, "DESCRIPTION", settles = ["F_GETPIPE_SZ.2const EBUSY"])]
fn blocked_write_survives_changes_of_capacity() -> Verdict {
    let (r, w) = pipe()?;
    let before = set_capacity(&w, 4 * page_size())?;
    let data = pattern(5 * before + 7);
    let writer = Child::spawn(|| holds!(write(&w, &data) == Ok(data.len())))?;
    writer.blocked_in(WRITE)?;
    check!(set_capacity(&r, before / 2) == Err(EBUSY));
    check!(read_all(&r, before / 2)? == data[..before / 2]);
    check!(set_capacity(&r, 2 * before) == Ok(2 * before));
    writer.blocked_in(WRITE)?;
    check!(unread(&r) == Ok(2 * before));
    check!(set_capacity(&r, before) == Err(EBUSY));
    check!(read_all(&r, data.len() - before / 2)? == data[before / 2..]);
    writer.join()
}

/// Without privilege a capacity may be raised to /proc/sys/fs/pipe-max-size and no further.
#[case(PIPE_7, "/proc files", also = [(F_GETPIPE_SZ_2CONST, "DESCRIPTION")], settles = ["pipe.7 /proc/sys/fs/pipe-max-size"], needs = [Need::Unprivileged, Need::Facility(MAX_SIZE)])]
fn capacity_above_the_maximum_needs_privilege() -> Verdict {
    let (_r, w) = pipe()?;
    let most = sysctl("fs/pipe-max-size")? as usize;
    check!(set_capacity(&w, most) == Ok(most));
    for asked in [most + 1, 2 * most, 4 * most, i32::MAX as usize] {
        check!(set_capacity(&w, asked) == Err(EPERM), "for {asked} bytes");
        check!(capacity(&w) == Ok(most));
    }
    check!(fill_pipe(&w) == Ok(most));
    Ok(())
}

/// Root that lacks CAP_SYS_RESOURCE alone may not exceed /proc/sys/fs/pipe-max-size.
#[case(F_GETPIPE_SZ_2CONST, "DESCRIPTION", settles = ["pipe.7 /proc/sys/fs/pipe-max-size"], needs = [Need::Root, Need::Facility(MAX_SIZE)])]
fn only_cap_sys_resource_overrides_the_maximum() -> Verdict {
    give_up(Cap::SysResource)?;
    let (_r, w) = pipe()?;
    let most = sysctl("fs/pipe-max-size")? as usize;
    check!(set_capacity(&w, most) == Ok(most));
    check!(set_capacity(&w, most + 1) == Err(EPERM));
    check!(capacity(&w) == Ok(most));
    Ok(())
}

/// CAP_SYS_RESOURCE lets a capacity exceed /proc/sys/fs/pipe-max-size.
#[case(F_GETPIPE_SZ_2CONST, "DESCRIPTION", settles = ["pipe.7 /proc/sys/fs/pipe-max-size"], needs = [Need::Cap(Cap::SysResource), Need::Facility(MAX_SIZE)])]
fn privilege_overrides_the_maximum() -> Verdict {
    let (_r, w) = pipe()?;
    let most = sysctl("fs/pipe-max-size")? as usize;
    check!(set_capacity(&w, most + 1) == Ok(2 * most));
    check!(fill_pipe(&w) == Ok(2 * most));
    Ok(())
}

/// A pipe that privilege made larger than /proc/sys/fs/pipe-max-size may shrink without it, and not grow again.
#[case(PIPE_7, "BUGS", needs = [Need::Cap(Cap::SysResource), Need::Facility(MAX_SIZE)])]
fn oversized_pipe_may_shrink_without_privilege() -> Verdict {
    let (_r, w) = pipe()?;
    let most = sysctl("fs/pipe-max-size")? as usize;
    check!(set_capacity(&w, 4 * most) == Ok(4 * most));
    give_up(Cap::SysResource)?;
    check!(set_capacity(&w, 2 * most) == Ok(2 * most));
    check!(set_capacity(&w, 4 * most) == Err(EPERM));
    check!(capacity(&w) == Ok(2 * most));
    Ok(())
}

/// A user whose pipes are at the soft limit gets new ones of two pages, and the old ones go on working.
#[case(PIPE_7, "/proc files", also = [(PIPE_7, "Pipe capacity")], settles = ["pipe.7 /proc/sys/fs/pipe-user-pages-soft"], needs = [Need::OtherUsers, Need::Facility(SOFT_LIMIT)])]
fn new_pipes_at_the_soft_limit_have_two_pages() -> Verdict {
    become_lone_user(2)?;
    let usual = capacity(pipe()?.0)?;
    let _hoard = Hoard::of(soft_limit()? - usual)?;
    let (last_r, last_w) = pipe()?;
    check!(capacity(&last_r) == Ok(usual));
    let (small_r, small_w) = pipe()?;
    check!(capacity(&small_r) == Ok(2 * page_size()));
    check!(fill_pipe(&small_w) == Ok(2 * page_size()));
    check!(fill_pipe(&last_w) == Ok(usual));
    check!(read_all(&last_r, usual)?.len() == usual);
    drop((last_r, last_w, small_r, small_w));
    check!(capacity(pipe()?.0) == Ok(usual));
    Ok(())
}

/// A pipe of a user at the soft limit may not grow, may shrink, and may have again what it gave back.
#[case(F_GETPIPE_SZ_2CONST, "ERRORS", also = [(PIPE_7, "/proc files"), (PIPE_7, "BUGS")], settles = ["pipe.7 /proc/sys/fs/pipe-user-pages-soft", "F_GETPIPE_SZ.2const EPERM"], needs = [Need::OtherUsers, Need::Facility(SOFT_LIMIT)])]
fn pipes_at_the_soft_limit_may_not_grow() -> Verdict {
    become_lone_user(2)?;
    let (_r, w) = pipe()?;
    let now = set_capacity(&w, 8 * page_size())?;
    let _hoard = Hoard::of(soft_limit()? - now)?;
    check!(set_capacity(&w, 2 * now) == Err(EPERM));
    check!(capacity(&w) == Ok(now));
    check!(set_capacity(&w, page_size()) == Ok(page_size()));
    check!(set_capacity(&w, now) == Ok(now));
    check!(set_capacity(&w, 2 * now) == Err(EPERM));
    check!(fill_pipe(&w) == Ok(now));
    Ok(())
}

/// A growth that would lead beyond the soft limit is refused, one up to it is not, and what was refused is not counted.
#[case(PIPE_7, "BUGS", also = [(F_GETPIPE_SZ_2CONST, "ERRORS")], settles = ["pipe.7 /proc/sys/fs/pipe-user-pages-soft", "F_GETPIPE_SZ.2const EPERM"], needs = [Need::OtherUsers, Need::Facility(SOFT_LIMIT)])]
fn growth_must_fit_below_the_soft_limit() -> Verdict {
    become_lone_user(2)?;
    let (_r, w) = pipe()?;
    let now = set_capacity(&w, 4 * page_size())?;
    let _hoard = Hoard::of(soft_limit()? - 2 * now)?;
    for _ in 0..3 {
        check!(set_capacity(&w, 4 * now) == Err(EPERM));
        check!(capacity(&w) == Ok(now));
    }
    check!(set_capacity(&w, 2 * now) == Ok(2 * now));
    Ok(())
}

/// The pipes of all processes of a user count together, and count no more when their process has ended.
#[case(PIPE_7, "/proc files", settles = ["pipe.7 /proc/sys/fs/pipe-user-pages-soft"], needs = [Need::OtherUsers, Need::Facility(SOFT_LIMIT)])]
fn pipes_of_all_processes_of_a_user_count() -> Verdict {
    become_lone_user(2)?;
    let usual = capacity(pipe()?.0)?;
    let half = soft_limit()? / page_size() / 2 * page_size();
    let (hoarded, done) = (Latch::new()?, Latch::new()?);
    let other = Child::spawn(|| {
        let _hoard = Hoard::of(half)?;
        hoarded.open();
        done.wait()
    })?;
    other.reaches(hoarded)?;
    let _hoard = Hoard::of(soft_limit()? - half)?;
    check!(capacity(pipe()?.0) == Ok(2 * page_size()));
    done.open();
    other.join()?;
    check!(capacity(pipe()?.0) == Ok(usual));
    Ok(())
}

/// What one user's pipes hold does not count against another user.
#[case(PIPE_7, "/proc files", settles = ["pipe.7 /proc/sys/fs/pipe-user-pages-soft"], needs = [Need::OtherUsers, Need::Facility(SOFT_LIMIT)])]
fn pipes_of_another_user_do_not_count() -> Verdict {
    let (hoarded, done) = (Latch::new()?, Latch::new()?);
    let other = Child::spawn(|| {
        become_lone_user(1)?;
        let _hoard = Hoard::of(soft_limit()?)?;
        check!(capacity(pipe()?.0) == Ok(2 * page_size()));
        hoarded.open();
        done.wait()
    })?;
    become_lone_user(2)?;
    let usual = capacity(pipe()?.0)?;
    other.reaches(hoarded)?;
    let (_r, w) = pipe()?;
    check!(capacity(&w) == Ok(usual));
    check!(set_capacity(&w, 2 * page_size()) == Ok(2 * page_size()));
    check!(set_capacity(&w, usual) == Ok(usual));
    done.open();
    other.join()
}

/// CAP_SYS_ADMIN lets a pipe grow though the soft limit of the user who made it is reached.
#[case(PIPE_7, "/proc files", settles = ["pipe.7 /proc/sys/fs/pipe-user-pages-soft"], needs = [Need::OtherUsers, Need::Cap(Cap::SysAdmin), Need::Facility(SOFT_LIMIT)])]
fn cap_sys_admin_lifts_the_soft_limit() -> Verdict {
    give_up(Cap::SysResource)?;
    leave_root_for(lone_user(2))?;
    let (_r, w) = pipe()?;
    let usual = capacity(&w)?;
    set_capacity(&w, page_size())?;
    let _hoard = Hoard::of(soft_limit()? - page_size())?;
    check!(set_capacity(&w, usual) == Err(EPERM));
    return_to_root()?;
    check!(set_capacity(&w, usual) == Ok(usual));
    check!(fill_pipe(&w) == Ok(usual));
    Ok(())
}

/// A user whose pipes are at the hard limit gets no further one: ENFILE, and no descriptor is taken.
#[case(PIPE_2, "ERRORS", also = [(PIPE_7, "/proc files"), (PIPE_2, "RETURN VALUE")], settles = ["pipe.2 ENFILE 2", "pipe.7 /proc/sys/fs/pipe-user-pages-hard"], needs = [Need::OtherUsers, Need::Facility(HARD_LIMIT)])]
fn no_pipe_is_made_at_the_hard_limit() -> Verdict {
    become_lone_user(2)?;
    let lowest = pipe()?.0.as_raw_fd();
    let hoard = Hoard::of(hard_limit()?)?;
    let next = dup(std::io::stdin())?.as_raw_fd();
    let mut place = [-7, -7];
    check!(pipe_into(Some(&mut place), 0) == Err(ENFILE));
    check!(place == [-7, -7]);
    check!(dup(std::io::stdin())?.as_raw_fd() == next);
    drop(hoard);
    check!(pipe()?.0.as_raw_fd() == lowest);
    Ok(())
}

/// A pipe of a user at the hard limit may not grow, holds what it held, may shrink, and may have again what it gave back.
#[case(F_GETPIPE_SZ_2CONST, "ERRORS", also = [(PIPE_7, "/proc files"), (PIPE_7, "BUGS")], settles = ["F_GETPIPE_SZ.2const EPERM", "pipe.7 /proc/sys/fs/pipe-user-pages-hard"], needs = [Need::OtherUsers, Need::Facility(HARD_LIMIT)])]
fn pipes_at_the_hard_limit_may_not_grow() -> Verdict {
    become_lone_user(2)?;
    let (r, w) = pipe()?;
    let now = set_capacity(&w, 8 * page_size())?;
    let _hoard = Hoard::of(hard_limit()? - now)?;
    check!(set_capacity(&w, 2 * now) == Err(EPERM));
    check!(capacity(&w) == Ok(now));
    check!(fill_pipe(&w) == Ok(now));
    check!(read_all(&r, now)?.len() == now);
    check!(set_capacity(&w, page_size()) == Ok(page_size()));
    check!(set_capacity(&w, now) == Ok(now));
    check!(set_capacity(&w, 2 * now) == Err(EPERM));
    Ok(())
}
