//! Mapping memory into a pipe, and a pipe into memory.

use std::fs::{self, File};
use std::io::IoSlice;

use libc::{MAP_ANONYMOUS, MAP_FIXED, MAP_PRIVATE, PROT_NONE, PROT_READ, SOCK_STREAM};
use nix::fcntl::{SpliceFFlags, splice, vmsplice};
use nix::unistd::{SysconfVar, sysconf};

use crate::prelude::*;
use crate::sys::descriptors::{closed_fd, pattern, read_all, unread};
use crate::sys::files::file;
use crate::sys::memory::{Memory, READ_WRITE, page_size};
use crate::sys::pipes::{capacity, fill_pipe};
use crate::sys::signals::{catch, handled};
use crate::sys::sockets::Socket;
use crate::sys::splice::{NONBLOCK, NONE, VMSPLICE_CALL, vmsplice_ranges};

/// The cases of this module.
pub const CASES: &[Case] = &[
    ranges_go_in_one_after_the_other,
    ranges_are_filled_one_after_the_other,
    range_lies_anywhere_in_its_pages,
    data_outlives_its_memory_and_its_process,
    reader_has_a_copy,
    writing_after_vmsplice_leaves_memory_and_file_alone,
    forked_processes_do_not_see_into_each_other,
    vmsplice_to_full_pipe_sleeps_until_there_is_room,
    vmsplice_from_empty_pipe_sleeps_until_data_or_end,
    vmsplice_gives_eagain_where_it_would_sleep,
    vmsplice_of_more_than_fits_tells_how_much,
    move_and_more_change_nothing,
    gift_arrives_in_a_file,
    unreadable_memory_gives_nothing,
    read_only_memory_is_a_source_and_no_target,
    vmsplice_without_reader_raises_sigpipe,
    last_readers_end_wakes_every_vmsplice,
    signal_ends_the_sleep_of_vmsplice,
    as_many_ranges_as_iov_max_and_no_more,
    vmsplice_needs_a_pipe,
];

const MOVE: SpliceFFlags = SpliceFFlags::SPLICE_F_MOVE;
const MORE: SpliceFFlags = SpliceFFlags::SPLICE_F_MORE;
const GIFT: SpliceFFlags = SpliceFFlags::SPLICE_F_GIFT;

/// Memory of the process's own that holds these bytes.
fn memory(bytes: &[u8]) -> nix::Result<Memory> {
    let memory = Memory::anonymous(bytes.len(), MAP_PRIVATE)?;
    memory.fill(bytes);
    Ok(memory)
}

/// So many zeroed bytes that may be loaded from and nothing else.
fn read_only(bytes: usize) -> nix::Result<Memory> {
    let memory = Memory::anonymous(bytes, MAP_PRIVATE)?;
    memory.protect(PROT_READ)?;
    Ok(memory)
}

/// By its write end, ranges of memory go into a pipe in their order; empty ones and none at all are no bytes.
#[case(VMSPLICE_2, "DESCRIPTION", needs = [Need::Facility(VMSPLICE_CALL)])]
fn ranges_go_in_one_after_the_other() -> Verdict {
    let (r, w) = pipe()?;
    write(&w, b"0")?;
    let ranges = ["ab", "", "c", "defg", ""].map(|text| IoSlice::new(text.as_bytes()));
    check!(vmsplice(&w, &ranges, NONE) == Ok(7));
    check!(vmsplice(&w, &[IoSlice::new(b"")], NONE) == Ok(0));
    check!(vmsplice(&w, &[], NONE) == Ok(0));
    write(&w, b"h")?;
    check!(text(&r, 4) == Ok("0abc"));
    check!(text(&r, 16) == Ok("defgh"));
    Ok(())
}

/// By its read end, ranges of memory are filled from a pipe in their order, as far as its data goes and no further.
#[case(VMSPLICE_2, "DESCRIPTION", needs = [Need::Facility(VMSPLICE_CALL)])]
fn ranges_are_filled_one_after_the_other() -> Verdict {
    let (r, w) = pipe()?;
    let memory = memory(b"................")?;
    let ranges = [memory.part(8..11), memory.part(0..0), memory.part(2..6)];
    write(&w, b"abcde")?;
    write(&w, b"fgh")?;
    check!(vmsplice_ranges(&r, &ranges, NONE) == Ok(7));
    check!(memory.bytes() == b"..defg..abc.....");
    check!(vmsplice_ranges(&r, &ranges, NONE) == Ok(1));
    check!(memory.bytes() == b"..defg..hbc.....");
    check!(unread(&r) == Ok(0));
    Ok(())
}

/// A range begins and ends anywhere in its pages: each of its bytes comes, into the pipe and out of it, and none beside it.
#[case(VMSPLICE_2, "DESCRIPTION", needs = [Need::Facility(VMSPLICE_CALL)])]
fn range_lies_anywhere_in_its_pages() -> Verdict {
    let ((r, w), page) = (pipe()?, page_size());
    let bytes = pattern(4 * page);
    let source = memory(&bytes)?;
    for range in [0..1, page - 1..page + 1, 1..page + 1, page - 3..3 * page + 3, 0..4 * page] {
        check!(vmsplice_ranges(&w, &[source.part(range.clone())], NONE) == Ok(range.len()));
        check!(read_all(&r, range.len())? == bytes[range.clone()], "{range:?}");
        let target = Memory::anonymous(4 * page, MAP_PRIVATE)?;
        write(&w, &bytes[range.clone()])?;
        check!(vmsplice_ranges(&r, &[target.part(range.clone())], NONE) == Ok(range.len()));
        check!(target.part(range.clone()).bytes() == bytes[range.clone()], "{range:?}");
        check!(target.part(0..range.start).is_zero(), "{range:?}");
        check!(target.part(range.end..4 * page).is_zero(), "{range:?}");
    }
    Ok(())
}

/// What is in the pipe stays there when its memory is unmapped and something else mapped there, and when its process is gone.
#[case(VMSPLICE_2, "DESCRIPTION", also = [(PIPE_7, "DESCRIPTION")], needs = [Need::Facility(VMSPLICE_CALL)])]
fn data_outlives_its_memory_and_its_process() -> Verdict {
    let ((r, w), page) = (pipe()?, page_size());
    Child::spawn(|| {
        let (first, second) = (memory(&vec![b'1'; page])?, memory(&vec![b'2'; page])?);
        check!(vmsplice_ranges(&w, &[first, second], NONE) == Ok(2 * page));
        first.unmap()?;
        let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
        Memory::map(first.address, page, READ_WRITE, flags, None, 0)?.fill(&vec![b'x'; page]);
        check!(read_all(&r, 9)? == b"111111111");
        Ok(())
    })?
    .join()?;
    // What takes the pages that the child has left, if any.
    memory(&vec![b'x'; 64 * page])?;
    check!(read_all(&r, 2 * page - 9)? == [vec![b'1'; page - 9], vec![b'2'; page]].concat());
    Ok(())
}

/// What has come out of a pipe into memory is a copy: it stays as it is when the memory that went in is changed.
#[case(VMSPLICE_2, "NOTES", needs = [Need::Facility(VMSPLICE_CALL)])]
fn reader_has_a_copy() -> Verdict {
    let ((r, w), page) = (pipe()?, page_size());
    let (source, target) = (memory(&vec![b'1'; page])?, Memory::anonymous(page, MAP_PRIVATE)?);
    check!(vmsplice_ranges(&w, &[source], NONE) == Ok(page));
    check!(vmsplice_ranges(&r, &[target], NONE) == Ok(page));
    source.fill(&vec![b'2'; page]);
    check!(target.bytes() == vec![b'1'; page]);
    target.fill(&vec![b'3'; page]);
    check!(source.bytes() == vec![b'2'; page]);
    Ok(())
}

/// What is written to a pipe behind vmspliced memory gets neither into that memory nor into the file that is mapped there.
#[case(VMSPLICE_2, "DESCRIPTION", needs = [Need::Facility(VMSPLICE_CALL)])]
fn writing_after_vmsplice_leaves_memory_and_file_alone() -> Verdict {
    let page = page_size();
    file("the file's own")?;
    let file = File::open("file")?;
    let mapped = Memory::map(0, page, PROT_READ, MAP_PRIVATE, Some(file.as_fd()), 0)?;
    for memory in [mapped, memory(b"the memory's own")?] {
        let ((r, w), before) = (pipe()?, memory.bytes());
        // Every buffer of the pipe has held data that was written.
        let all = fill_pipe(&w)?;
        check!(text(&r, all)?.len() == all);
        check!(vmsplice_ranges(&w, &[memory.part(0..1)], NONE) == Ok(1));
        check!(write(&w, b"INTRUDER") == Ok(8));
        check!(memory.bytes() == before);
        check!(fs::read_to_string("file")? == "the file's own");
        check!(text(&r, 64) == Ok("tINTRUDER"));
    }
    Ok(())
}

/// After a fork, what one process has vmspliced does not show what the other writes to its copy of that memory.
#[case(FORK_2, "DESCRIPTION", also = [(VMSPLICE_2, "DESCRIPTION")], needs = [Need::Facility(VMSPLICE_CALL)])]
fn forked_processes_do_not_see_into_each_other() -> Verdict {
    let ((r, w), page) = (pipe()?, page_size());
    let (spliced, written) = (Latch::new()?, Latch::new()?);
    let (own, inherited) = (memory(&vec![b'p'; page])?, memory(&vec![b'c'; page])?);
    check!(vmsplice_ranges(&w, &[own], NONE) == Ok(page));
    let child = Child::spawn(|| {
        own.fill(&vec![b'x'; page]);
        check!(vmsplice_ranges(&w, &[inherited], NONE) == Ok(page));
        // The parent is now the only one that has it mapped.
        inherited.unmap()?;
        spliced.open();
        written.wait()?;
        check!(read_all(&r, 2 * page)? == [vec![b'p'; page], vec![b'c'; page]].concat());
        Ok(())
    })?;
    child.reaches(spliced)?;
    inherited.fill(&vec![b'y'; page]);
    written.open();
    child.join()
}

/// Into a full pipe, vmsplice sleeps until there is room.
#[case(VMSPLICE_2, "ERRORS", needs = [Need::Facility(VMSPLICE_CALL)])]
fn vmsplice_to_full_pipe_sleeps_until_there_is_room() -> Verdict {
    let (r, w) = pipe()?;
    let all = fill_pipe(&w)?;
    let writer = Child::spawn(|| holds!(vmsplice(&w, &[IoSlice::new(b"more")], NONE) == Ok(4)))?;
    writer.blocked_in(VMSPLICE)?;
    check!(read_all(&r, all)?.len() == all);
    writer.join()?;
    check!(text(&r, 8) == Ok("more"));
    Ok(())
}

/// Out of an empty pipe, vmsplice sleeps until there is data; once the last writer has gone, it returns 0.
#[case(VMSPLICE_2, "ERRORS", also = [(PIPE_7, "I/O on pipes and FIFOs")], needs = [Need::Facility(VMSPLICE_CALL)])]
fn vmsplice_from_empty_pipe_sleeps_until_data_or_end() -> Verdict {
    let ((r, w), memory) = (pipe()?, memory(b"........")?);
    let reader = Child::spawn(|| {
        close_copy(&w)?;
        check!(vmsplice_ranges(&r, &[memory], NONE) == Ok(4));
        check!(memory.bytes() == b"data....");
        check!(vmsplice_ranges(&r, &[memory], NONE) == Ok(0));
        Ok(())
    })?;
    reader.blocked_in(VMSPLICE)?;
    write(&w, b"data")?;
    reader.blocked_in(VMSPLICE)?;
    drop(w);
    reader.join()
}

/// With SPLICE_F_NONBLOCK, vmsplice into a full pipe and out of an empty one fails with EAGAIN, and moves data as soon as it can.
#[case(VMSPLICE_2, "ERRORS", settles = ["vmsplice.2 EAGAIN", "vmsplice.2 SPLICE_F_NONBLOCK"], needs = [Need::Facility(VMSPLICE_CALL)])]
fn vmsplice_gives_eagain_where_it_would_sleep() -> Verdict {
    let ((r, w), memory) = (pipe()?, memory(b"more")?);
    // In a child, so that a call that sleeps is seen.
    Child::spawn(|| {
        check!(vmsplice_ranges(&r, &[memory], NONBLOCK) == Err(EAGAIN));
        let all = fill_pipe(&w)?;
        check!(vmsplice_ranges(&w, &[memory], NONBLOCK) == Err(EAGAIN));
        check!(read_all(&r, all)?.len() == all);
        check!(vmsplice_ranges(&w, &[memory], NONBLOCK) == Ok(4));
        check!(vmsplice_ranges(&r, &[memory], NONBLOCK) == Ok(4));
        holds!(vmsplice_ranges(&r, &[memory], NONBLOCK) == Err(EAGAIN))
    })?
    .join()
}

/// Where not all ranges fit, vmsplice with SPLICE_F_NONBLOCK tells how many bytes are in the pipe, which are the first ones.
#[case(VMSPLICE_2, "RETURN VALUE", needs = [Need::Facility(VMSPLICE_CALL)])]
fn vmsplice_of_more_than_fits_tells_how_much() -> Verdict {
    let ((r, w), page) = (pipe()?, page_size());
    let bytes = pattern(capacity(&w)? + 3 * page);
    let memory = memory(&bytes)?;
    let ranges =
        [memory.part(0..10), memory.part(10..2 * page), memory.part(2 * page..bytes.len())];
    let moved = vmsplice_ranges(&w, &ranges, NONBLOCK)?;
    check!(unread(&r) == Ok(moved));
    check!(moved > 0);
    check!(read_all(&r, moved)? == bytes[..moved]);
    Ok(())
}

/// SPLICE_F_MOVE and SPLICE_F_MORE are accepted and change nothing: data goes in and out as without them, and a full pipe still blocks.
#[case(VMSPLICE_2, "DESCRIPTION", settles = ["vmsplice.2 SPLICE_F_MOVE", "vmsplice.2 SPLICE_F_MORE"], needs = [Need::Facility(VMSPLICE_CALL)])]
fn move_and_more_change_nothing() -> Verdict {
    for flags in [MOVE, MORE, MOVE | MORE] {
        let ((r, w), source, target) = (pipe()?, memory(b"data")?, memory(b"....")?);
        check!(vmsplice_ranges(&w, &[source], flags) == Ok(4));
        check!(vmsplice_ranges(&r, &[target], flags) == Ok(4));
        check!((source.bytes(), target.bytes()) == (b"data".into(), b"data".into()));
        let all = fill_pipe(&w)?;
        let writer = Child::spawn(|| holds!(vmsplice_ranges(&w, &[source], flags) == Ok(4)))?;
        writer.blocked_in(VMSPLICE)?;
        check!(read_all(&r, all)?.len() == all);
        writer.join()?;
        check!(text(&r, 8) == Ok("data"));
    }
    Ok(())
}

/// Whole pages that are a gift arrive, and splice moves them on into a file, where they stay when their process is gone.
#[case(VMSPLICE_2, "DESCRIPTION", settles = ["vmsplice.2 SPLICE_F_GIFT"], needs = [Need::Facility(VMSPLICE_CALL)])]
fn gift_arrives_in_a_file() -> Verdict {
    let ((r, w), page) = (pipe()?, page_size());
    let bytes = pattern(3 * page);
    let target = File::create("target")?;
    Child::spawn(|| holds!(vmsplice_ranges(&w, &[memory(&bytes)?], GIFT) == Ok(3 * page)))?
        .join()?;
    let mut moved = 0;
    while moved < 2 * page {
        moved += splice(&r, None, &target, None, 2 * page - moved, MOVE)?;
    }
    check!(read_all(&r, page)? == bytes[2 * page..]);
    check!(fs::read("target")? == bytes[..2 * page]);
    Ok(())
}

/// Of memory that may not be loaded from nothing gets into the pipe; behind good ranges the answer tells what did.
#[case(VMSPLICE_2, "RETURN VALUE", needs = [Need::Facility(VMSPLICE_CALL)])]
fn unreadable_memory_gives_nothing() -> Verdict {
    let (bytes, page) = (pattern(2 * page_size()), page_size());
    let (good, hidden) = (memory(&bytes)?, Memory::anonymous(page, MAP_PRIVATE)?);
    hidden.protect(PROT_NONE)?;
    for bad in [hidden, Memory::free(page)?] {
        let (r, w) = pipe()?;
        check!(vmsplice_ranges(&w, &[bad.part(0..4)], NONE).is_err());
        check!(unread(&r) == Ok(0));
        let answer = vmsplice_ranges(&w, &[good, bad.part(0..4), good], NONE);
        let moved = unread(&r)?;
        check!(answer.unwrap_or(0) == moved);
        check!(moved <= bytes.len());
        check!(read_all(&r, moved)? == bytes[..moved]);
    }
    Ok(())
}

/// Memory that may only be loaded from goes into a pipe; it is no target, stays as it is, and no data is lost by trying.
#[case(VMSPLICE_2, "DESCRIPTION", also = [(VMSPLICE_2, "RETURN VALUE")], needs = [Need::Facility(VMSPLICE_CALL)])]
fn read_only_memory_is_a_source_and_no_target() -> Verdict {
    let ((r, w), good, fixed) = (pipe()?, memory(b"....")?, read_only(8)?);
    check!(vmsplice_ranges(&w, &[fixed], NONE) == Ok(8));
    check!(text(&r, 16) == Ok("\0\0\0\0\0\0\0\0"));
    write(&w, b"abcdefgh")?;
    check!(vmsplice_ranges(&r, &[fixed], NONE).is_err());
    check!(unread(&r) == Ok(8));
    let moved = vmsplice_ranges(&r, &[good, fixed], NONE).unwrap_or(0);
    check!(unread(&r) == Ok(8 - moved));
    check!(text(&r, 16) == Ok(&"abcdefgh"[moved..]));
    check!(good.bytes()[..moved] == b"abcdefgh"[..moved]);
    check!(fixed.is_zero());
    Ok(())
}

/// Into a pipe without a reader, vmsplice fails with EPIPE and raises SIGPIPE, each time.
#[case(PIPE_7, "I/O on pipes and FIFOs", needs = [Need::Facility(VMSPLICE_CALL)])]
fn vmsplice_without_reader_raises_sigpipe() -> Verdict {
    catch(SIGPIPE)?;
    let (r, w) = pipe()?;
    drop(r);
    for round in 1..3 {
        check!(vmsplice(&w, &[IoSlice::new(b"x")], NONE) == Err(EPIPE));
        check!(handled() == round);
    }
    Ok(())
}

/// When the last reader goes, every vmsplice that sleeps for room wakes and fails with EPIPE.
#[case(PIPE_7, "I/O on pipes and FIFOs", needs = [Need::Facility(VMSPLICE_CALL)])]
fn last_readers_end_wakes_every_vmsplice() -> Verdict {
    catch(SIGPIPE)?;
    let (r, w) = pipe()?;
    fill_pipe(&w)?;
    let writers = Children::spawn(3, |_| {
        close_copy(&r)?;
        check!(vmsplice(&w, &[IoSlice::new(b"x")], NONE) == Err(EPIPE));
        check!(handled() == 1);
        Ok(())
    })?;
    writers.blocked_in(VMSPLICE)?;
    drop(r);
    writers.join()
}

/// A signal without SA_RESTART ends the sleep of vmsplice with EINTR, in either direction, and nothing has moved.
#[case(SIGNAL_7, "Interruption of system calls and library functions by signal handlers", needs = [Need::Facility(VMSPLICE_CALL)])]
fn signal_ends_the_sleep_of_vmsplice() -> Verdict {
    catch(SIGUSR1)?;
    let ((r, w), memory) = (pipe()?, memory(b"more")?);
    let interrupted = |end: &OwnedFd| {
        Child::spawn(|| holds!(vmsplice_ranges(end, &[memory], NONE) == Err(EINTR)))?
            .interrupt_in(VMSPLICE, SIGUSR1)
    };
    interrupted(&r)?;
    let all = fill_pipe(&w)?;
    interrupted(&w)?;
    check!(unread(&r) == Ok(all));
    Ok(())
}

/// IOV_MAX ranges are accepted at either end, and one more is refused.
#[case(VMSPLICE_2, "ERRORS", also = [(VMSPLICE_2, "NOTES")], settles = ["vmsplice.2 EINVAL"], needs = [Need::Facility(VMSPLICE_CALL)])]
fn as_many_ranges_as_iov_max_and_no_more() -> Verdict {
    let most = sysconf(SysconfVar::IOV_MAX)?.ok_or("no IOV_MAX")? as usize;
    let ((r, w), memory) = (pipe()?, memory(b"x")?);
    let mut ranges = vec![memory.part(0..0); most - 1];
    ranges.push(memory);
    for end in [&w, &r] {
        check!(vmsplice_ranges(end, &[&[memory], &ranges[..]].concat(), NONBLOCK) == Err(EINVAL));
        check!(vmsplice_ranges(end, &ranges, NONBLOCK) == Ok(1));
    }
    Ok(())
}

refusals! {
    VMSPLICE_2, "ERRORS", needs = [Need::Facility(VMSPLICE_CALL)];

    /// A number that is no descriptor is refused, and so are a file and a socket.
    ["vmsplice.2 EBADF"] vmsplice_needs_a_pipe => EBADF: {
        check!(vmsplice(closed_fd(), &[IoSlice::new(b"x")], NONE) == Err(EBADF));
        check!(vmsplice(file("content")?, &[IoSlice::new(b"x")], NONE) == Err(EBADF));
        vmsplice(Socket::pair(SOCK_STREAM)?.0, &[IoSlice::new(b"x")], NONE)
    };
}
