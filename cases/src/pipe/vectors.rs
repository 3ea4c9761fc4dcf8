//! Vectors: readv and writev, and their forms with an offset and flags.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;

use nix::unistd::{Whence, lseek};

use super::atomicity::every_record_is_of_one_byte;
use crate::prelude::*;
use crate::sys::descriptors::{pattern, read_all, unread};
use crate::sys::files::file;
use crate::sys::memory::{Memory, page_size};
use crate::sys::pipes::{PIPE_BUF, capacity};
use crate::sys::poll;
use crate::sys::signals::{catch, ignore};
use crate::sys::vectors::{
    APPEND, APPEND_FLAG, DONTCACHE, NOAPPEND, NOAPPEND_FLAG, NOWAIT, NOWAIT_PIPES, OWN_OFFSET,
    PLAIN, UNKNOWN, iov_max, preadv2, pwritev2, readv, readv_of_fewer_than_none, writev,
    writev_of_fewer_than_none,
};

/// The cases of this module.
pub const CASES: &[Case] = &[
    writev_gathers_in_order,
    readv_fills_each_range_before_the_next,
    readv_sleeps_for_the_first_byte_only,
    ranges_are_filled_to_their_edges,
    small_writev_is_one_block,
    readv_takes_one_block,
    writev_needs_room_for_the_sum,
    large_writev_returns_when_all_is_written,
    signal_in_the_middle_gives_the_count,
    lost_reader_in_the_middle_gives_the_count,
    as_many_ranges_as_iov_max_are_taken,
    more_ranges_than_iov_max_are_refused,
    fewer_ranges_than_none_are_refused,
    lengths_beyond_ssize_max_are_refused,
    writev_tells_what_it_wrote_before_a_bad_range,
    bad_range_leaves_nothing_for_poll,
    readv_loses_nothing_to_a_bad_range,
    offset_is_refused_on_a_pipe,
    own_offset_makes_them_readv_and_writev,
    nowait_read_never_sleeps,
    append_flag_writes_at_the_end,
    noappend_flag_writes_at_the_offset,
    unknown_flag_of_a_vector_is_refused,
    uncached_io_is_refused_on_a_pipe,
];

/// writev writes its ranges in their order, whatever their lengths, as one write.
#[case(READV_2, "DESCRIPTION")]
fn writev_gathers_in_order() -> Verdict {
    let (r, w) = pipe()?;
    let parts = ["", "ab", "c", "", "defg", ""].map(|part| Memory::holding(part.as_bytes()));
    let parts = parts.into_iter().collect::<Result<Vec<_>, _>>()?;
    check!(writev(&w, &parts) == Ok(7));
    check!(text(&r, 16) == Ok("abcdefg"));
    check!(writev(&w, &parts[..1]) == Ok(0));
    check!(unread(&r) == Ok(0));
    Ok(())
}

/// readv fills each range before the next, takes no more than they hold, and leaves alone what it does not fill.
#[case(READV_2, "DESCRIPTION")]
fn readv_fills_each_range_before_the_next() -> Verdict {
    let (r, w) = pipe()?;
    write(&w, b"abcdefgh")?;
    let parts = [Memory::holding(b"..")?, Memory::holding(b"")?, Memory::holding(b"...")?];
    check!(readv(&r, &parts) == Ok(5));
    check!(parts.map(Memory::bytes) == [b"ab".to_vec(), vec![], b"cde".to_vec()]);
    check!(readv(&r, &parts) == Ok(3));
    check!(parts.map(Memory::bytes) == [b"fg".to_vec(), vec![], b"hde".to_vec()]);
    drop(w);
    check!(readv(&r, &parts) == Ok(0));
    Ok(())
}

/// readv sleeps while the pipe is empty, and not for more than came though ranges stay empty.
#[case(READV_2, "DESCRIPTION", also = [(PIPE_7, "I/O on pipes and FIFOs")])]
fn readv_sleeps_for_the_first_byte_only() -> Verdict {
    let (r, w) = pipe()?;
    let parts = [Memory::holding(b"..")?, Memory::holding(b"..")?];
    let reader = Child::spawn(|| {
        check!(readv(&r, &parts) == Ok(3));
        check!(parts.map(Memory::bytes) == [*b"ab", *b"c."]);
        Ok(())
    })?;
    reader.blocked_in(READV)?;
    write(&w, b"abc")?;
    reader.join()
}

/// Ranges of whole pages, with no access before and behind them, are read and written up to their edges.
#[case(READV_2, "DESCRIPTION")]
fn ranges_are_filled_to_their_edges() -> Verdict {
    let (r, w) = pipe()?;
    let data = pattern(4 * page_size());
    let from =
        [Memory::holding(&data[..3 * page_size()])?, Memory::holding(&data[3 * page_size()..])?];
    let to = [Memory::walled(1)?, Memory::walled(2)?, Memory::walled(1)?];
    // The first bytes lie across the pages of the pipe.
    write(&w, b"odd")?;
    check!(writev(&w, &from) == Ok(data.len()));
    check!(text(&r, 3) == Ok("odd"));
    check!(readv(&r, &to) == Ok(data.len()));
    check!(to.map(Memory::bytes).concat() == data);
    Ok(())
}

/// A writev of up to PIPE_BUF bytes in sum is one block, whatever other processes write at the same time.
#[case(READV_2, "DESCRIPTION", also = [(PIPE_7, "PIPE_BUF")], settles = ["pipe.7 O_NONBLOCK 1", "pipe.7 PIPE_BUF 1"])]
fn small_writev_is_one_block() -> Verdict {
    for length in [PIPE_BUF, PIPE_BUF / 4 * 3] {
        let (r, w) = pipe()?;
        let writers = Children::spawn(3, |name| {
            let record = Memory::holding(&vec![b'a' + name as u8; length])?;
            let parts = [1, length / 2, length / 2 + 1, length]
                .windows(2)
                .map(|cut| record.part(cut[0]..cut[1]))
                .chain([record.part(0..1)])
                .collect::<Vec<_>>();
            (0..100).try_for_each(|_| holds!(writev(&w, &parts) == Ok(length)))
        })?;
        drop(w);
        every_record_is_of_one_byte(&r, length, 300)?;
        writers.join()?;
    }
    Ok(())
}

/// A readv takes one block of the stream, whatever other processes read at the same time.
#[case(READV_2, "DESCRIPTION")]
fn readv_takes_one_block() -> Verdict {
    let (r, w) = pipe()?;
    let (records, taken) = (capacity(&w)? as u64 / 64, Counter::new()?);
    for record in 0..records {
        let stamp = record.to_ne_bytes().repeat(8);
        write(&w, &stamp)?;
    }
    drop(w);
    let readers = Children::spawn(3, |_| {
        let record = Memory::guarded(64)?;
        let parts = [record.part(0..1), record.part(1..40), record.part(40..64)];
        while readv(&r, &parts)? == 64 {
            taken.add(1);
            check!(record.bytes() == record.number().to_ne_bytes().repeat(8));
        }
        Ok(())
    })?;
    readers.join()?;
    check!(taken.get() == records);
    Ok(())
}

/// A nonblocking writev of up to PIPE_BUF bytes writes all its ranges or, without room for the sum, none.
#[case(PIPE_7, "PIPE_BUF", also = [(READV_2, "DESCRIPTION")], settles = ["pipe.7 O_NONBLOCK 2", "pipe.7 PIPE_BUF 2"])]
fn writev_needs_room_for_the_sum() -> Verdict {
    let (r, w) = pipe2(OFlag::O_NONBLOCK)?;
    let (first, second) = (Memory::holding(&[b'a'; 60])?, Memory::holding(&[b'b'; 60])?);
    let before = capacity(&w)? - 100;
    write(&w, &vec![b'.'; before])?;
    check!(writev(&w, &[first, second]) == Err(EAGAIN));
    check!(unread(&r) == Ok(before));
    check!(writev(&w, &[first, second.part(0..40)]) == Ok(100));
    check!(writev(&w, &[first.part(0..0), second]) == Err(EAGAIN));
    check!(unread(&r) == Ok(before + 100));
    Ok(())
}

/// A blocking writev above PIPE_BUF returns when all ranges are written, and every byte comes in their order.
#[case(PIPE_7, "PIPE_BUF", also = [(READV_2, "DESCRIPTION")], settles = ["pipe.7 O_NONBLOCK 3", "pipe.7 PIPE_BUF 3"])]
fn large_writev_returns_when_all_is_written() -> Verdict {
    let (r, w) = pipe()?;
    let all = capacity(&w)?;
    let data = pattern(3 * all + 1);
    let memory = Memory::holding(&data)?;
    let cuts = [0, 1, all - 7, all, 2 * all + 5, data.len()];
    let parts: Vec<_> = cuts.windows(2).map(|cut| memory.part(cut[0]..cut[1])).collect();
    let whole = data.len();
    let writer = Child::spawn(move || holds!(writev(&w, &parts) == Ok(whole)))?;
    for piece in data.chunks(all).take(2) {
        writer.blocked_in(WRITEV)?;
        check!(read_all(&r, piece.len())? == piece);
    }
    check!(read_all(&r, all + 1)? == data[2 * all..]);
    writer.join()
}

/// A handler that runs when part of the ranges is written makes writev return how much that is.
#[case(READV_2, "RETURN VALUE", also = [(WRITE_2, "RETURN VALUE")])]
fn signal_in_the_middle_gives_the_count() -> Verdict {
    catch(SIGUSR1)?;
    let (r, w) = pipe()?;
    let all = capacity(&w)?;
    let data = pattern(2 * all);
    let memory = Memory::holding(&data)?;
    let parts = [memory.part(0..all - 9), memory.part(all - 9..2 * all)];
    let writer = Child::spawn(|| holds!(writev(&w, &parts) == Ok(all)))?;
    writer.interrupt_in(WRITEV, SIGUSR1)?;
    check!(read_all(&r, all)? == data[..all]);
    check!(unread(&r) == Ok(0));
    Ok(())
}

/// When the last reader goes in the middle, writev returns how much it had written, and the next one fails with EPIPE.
#[case(READV_2, "RETURN VALUE", also = [(PIPE_7, "I/O on pipes and FIFOs")])]
fn lost_reader_in_the_middle_gives_the_count() -> Verdict {
    ignore(SIGPIPE)?;
    let (r, w) = pipe()?;
    let all = capacity(&w)?;
    let memory = Memory::guarded(2 * all)?;
    let parts = [memory.part(0..all - 9), memory.part(all - 9..2 * all)];
    let writer = Child::spawn(|| {
        close_copy(&r)?;
        check!(writev(&w, &parts) == Ok(all));
        check!(writev(&w, &parts) == Err(EPIPE));
        Ok(())
    })?;
    writer.blocked_in(WRITEV)?;
    drop(r);
    writer.join()
}

/// IOV_MAX ranges are written by one call and read by one.
#[case(READV_2, "NOTES", also = [(READV_2, "DESCRIPTION")])]
fn as_many_ranges_as_iov_max_are_taken() -> Verdict {
    let (r, w) = pipe()?;
    let most = iov_max()?;
    let data = pattern(most);
    let (from, to) = (Memory::holding(&data)?, Memory::guarded(most)?);
    let each = |memory: Memory| (0..most).map(|at| memory.part(at..at + 1)).collect::<Vec<_>>();
    check!(writev(&w, &each(from)) == Ok(most));
    check!(readv(&r, &each(to)) == Ok(most));
    check!(to.bytes() == data);
    Ok(())
}

/// A call with one range more than IOV_MAX fails with EINVAL, and moves nothing.
#[case(READV_2, "ERRORS", settles = ["readv.2 EINVAL 3"])]
fn more_ranges_than_iov_max_are_refused() -> Verdict {
    let (r, w) = pipe()?;
    write(&w, b"kept")?;
    let many = vec![Memory::holding(b"x")?; iov_max()? + 1];
    check!(writev(&w, &many) == Err(EINVAL));
    check!(readv(&r, &many) == Err(EINVAL));
    check!(pwritev2(&w, &many, OWN_OFFSET, PLAIN) == Err(EINVAL));
    check!(preadv2(&r, &many, OWN_OFFSET, PLAIN) == Err(EINVAL));
    check!(text(&r, 16) == Ok("kept"));
    Ok(())
}

/// A count of ranges below zero fails with EINVAL, and moves nothing.
#[case(READV_2, "ERRORS", settles = ["readv.2 EINVAL 3"])]
fn fewer_ranges_than_none_are_refused() -> Verdict {
    let (r, w) = pipe()?;
    write(&w, b"kept")?;
    check!(writev_of_fewer_than_none(&w) == Err(EINVAL));
    check!(readv_of_fewer_than_none(&r) == Err(EINVAL));
    check!(text(&r, 16) == Ok("kept"));
    Ok(())
}

/// Lengths that no ssize_t can count fail with EINVAL, behind a good range too, and nothing is moved.
#[case(READV_2, "ERRORS", settles = ["readv.2 EINVAL 1"])]
fn lengths_beyond_ssize_max_are_refused() -> Verdict {
    let (r, w) = pipe()?;
    write(&w, b"kept")?;
    let good = Memory::holding(b"....")?;
    for length in [isize::MAX as usize + 1, usize::MAX] {
        let endless = Memory { length, ..good };
        for ranges in [&[endless][..], &[good, endless], &[endless, good]] {
            check!(writev(&w, ranges) == Err(EINVAL), "{length:#x}");
            check!(readv(&r, ranges) == Err(EINVAL), "{length:#x}");
        }
    }
    check!(good.bytes() == b"....");
    check!(text(&r, 16) == Ok("kept"));
    Ok(())
}

/// A writev that comes to a bad range put into the pipe what it says, from its beginning; with EFAULT nothing.
#[case(READV_2, "RETURN VALUE", also = [(WRITE_2, "ERRORS")])]
fn writev_tells_what_it_wrote_before_a_bad_range() -> Verdict {
    let (r, w) = pipe()?;
    let bad = Memory::walled(1)?;
    bad.protect(libc::PROT_NONE)?;
    for length in [0, 4, page_size() - 1, page_size(), 2 * page_size() + 4] {
        write(&w, b"before")?;
        let data = pattern(length);
        let good = Memory::holding(&data)?;
        let written = match writev(&w, &[good, bad, good]) {
            Err(errno) => {
                check!(errno == EFAULT);
                0
            }
            Ok(written) => written,
        };
        check!(written <= length, "{length} good bytes");
        check!(unread(&r) == Ok(6 + written), "{length} good bytes");
        check!(text(&r, 6) == Ok("before"));
        check!(read_all(&r, written)? == data[..written], "{length} good bytes");
    }
    Ok(())
}

/// A writev that came to a bad range leaves a pipe that poll calls readable only as long as there are bytes in it.
#[case(POLL_2, "DESCRIPTION", also = [(READV_2, "RETURN VALUE")])]
fn bad_range_leaves_nothing_for_poll() -> Verdict {
    let (r, w) = pipe()?;
    let bad = Memory::walled(1)?;
    bad.protect(libc::PROT_NONE)?;
    for length in [0, 4, page_size()] {
        let _some_or_none = writev(&w, &[Memory::guarded(length)?, bad]);
        read_all(&r, unread(&r)?)?;
        check!(poll::now(&r, poll::IN) == Ok(poll::NONE), "{length} good bytes");
    }
    Ok(())
}

/// A readv that comes to a bad range takes out of the pipe what it says; with EFAULT nothing.
#[case(READV_2, "RETURN VALUE", also = [(READ_2, "ERRORS")])]
fn readv_loses_nothing_to_a_bad_range() -> Verdict {
    let (r, w) = pipe()?;
    let bad = Memory::walled(1)?;
    bad.protect(libc::PROT_NONE)?;
    let data = pattern(3 * page_size());
    for length in [4, page_size() - 1, page_size(), 2 * page_size() + 4] {
        write(&w, &data)?;
        let good = Memory::guarded(length)?;
        let taken = match readv(&r, &[good, bad]) {
            Err(errno) => {
                check!(errno == EFAULT);
                0
            }
            Ok(taken) => taken,
        };
        check!(taken <= length, "{length} good bytes");
        check!(good.part(0..taken).bytes() == data[..taken], "{length} good bytes");
        check!(unread(&r) == Ok(data.len() - taken), "{length} good bytes");
        check!(read_all(&r, data.len() - taken)? == data[taken..], "{length} good bytes");
    }
    Ok(())
}

/// A pipe takes no offset: preadv2 and pwritev2 with one fail with ESPIPE and move nothing.
#[case(READV_2, "ERRORS", also = [(LSEEK_2, "ERRORS"), (READV_2, "DESCRIPTION")], settles = ["lseek.2 ESPIPE"])]
fn offset_is_refused_on_a_pipe() -> Verdict {
    let (r, w) = pipe()?;
    write(&w, b"kept")?;
    let memory = Memory::holding(b"lost")?;
    for offset in [0, 1, i64::from(i32::MAX)] {
        check!(pwritev2(&w, &[memory], offset, PLAIN) == Err(ESPIPE));
        check!(preadv2(&r, &[memory], offset, PLAIN) == Err(ESPIPE));
    }
    check!(memory.bytes() == b"lost");
    check!(text(&r, 16) == Ok("kept"));
    Ok(())
}

/// With offset -1, pwritev2 and preadv2 are writev and readv, sleep included.
#[case(READV_2, "DESCRIPTION")]
fn own_offset_makes_them_readv_and_writev() -> Verdict {
    let (r, w) = pipe()?;
    let to = [Memory::holding(b"..")?, Memory::holding(b"....")?];
    let reader = Child::spawn(|| {
        check!(preadv2(&r, &to, OWN_OFFSET, PLAIN) == Ok(5));
        check!(to.map(Memory::bytes) == [b"ab".to_vec(), b"cde.".to_vec()]);
        Ok(())
    })?;
    reader.blocked_in(READV)?;
    let from = [Memory::holding(b"abc")?, Memory::holding(b"de")?];
    check!(pwritev2(&w, &from, OWN_OFFSET, PLAIN) == Ok(5));
    reader.join()
}

/// With RWF_NOWAIT preadv2 takes what is there, and of an empty pipe that has a writer gives EAGAIN, not sleep.
#[case(READV_2, "DESCRIPTION", settles = ["readv.2 RWF_NOWAIT"], needs = [Need::Facility(NOWAIT_PIPES)])]
fn nowait_read_never_sleeps() -> Verdict {
    let (r, w) = pipe()?;
    let to = [Memory::holding(b"..")?, Memory::holding(b"..")?];
    Child::spawn(|| holds!(preadv2(&r, &to, OWN_OFFSET, NOWAIT) == Err(EAGAIN)))?.join()?;
    write(&w, b"abc")?;
    check!(preadv2(&r, &to, OWN_OFFSET, NOWAIT) == Ok(3));
    check!(to.map(Memory::bytes) == [*b"ab", *b"c."]);
    check!(preadv2(&r, &to, OWN_OFFSET, NOWAIT) == Err(EAGAIN));
    // The flag was for those calls alone.
    let reader = Child::spawn(|| holds!(preadv2(&r, &to, OWN_OFFSET, PLAIN) == Ok(1)))?;
    reader.blocked_in(READV)?;
    write(&w, b"x")?;
    reader.join()?;
    drop(w);
    check!(preadv2(&r, &to, OWN_OFFSET, NOWAIT) == Ok(0));
    Ok(())
}

/// RWF_APPEND writes at the end whatever the offset says, moves the file's own offset only for -1, and holds for that call.
#[case(READV_2, "DESCRIPTION", settles = ["readv.2 RWF_APPEND"], needs = [Need::Facility(APPEND_FLAG)])]
fn append_flag_writes_at_the_end() -> Verdict {
    let file = file("0123456789")?;
    let memory = Memory::holding(b"ab")?;
    lseek(&file, 3, Whence::SeekSet)?;
    check!(pwritev2(&file, &[memory], 0, APPEND) == Ok(2));
    check!(lseek(&file, 0, Whence::SeekCur) == Ok(3));
    check!(pwritev2(&file, &[memory], OWN_OFFSET, APPEND) == Ok(2));
    check!(lseek(&file, 0, Whence::SeekCur) == Ok(14));
    check!(pwritev2(&file, &[memory], 5, PLAIN) == Ok(2));
    check!(std::fs::read("file")? == b"01234ab789abab");
    Ok(())
}

/// RWF_NOAPPEND writes at the offset though the file is open with O_APPEND, for that call alone.
#[case(READV_2, "DESCRIPTION", settles = ["readv.2 RWF_NOAPPEND"], needs = [Need::Facility(NOAPPEND_FLAG)])]
fn noappend_flag_writes_at_the_offset() -> Verdict {
    std::fs::write("file", "0123456789")?;
    let file = OpenOptions::new().write(true).custom_flags(libc::O_APPEND).open("file")?;
    let memory = Memory::holding(b"ab")?;
    check!(pwritev2(&file, &[memory], 5, NOAPPEND) == Ok(2));
    check!(std::fs::read("file")? == b"01234ab789");
    check!(write(&file, b"end") == Ok(3));
    check!(std::fs::read("file")? == b"01234ab789end");
    Ok(())
}

/// A flag that they do not know makes preadv2 and pwritev2 fail with EOPNOTSUPP, and nothing is moved.
#[case(READV_2, "ERRORS", settles = ["readv.2 EOPNOTSUPP 2"])]
fn unknown_flag_of_a_vector_is_refused() -> Verdict {
    let (r, w) = pipe()?;
    write(&w, b"kept")?;
    let (file, memory) = (file("content")?, Memory::holding(b"lost")?);
    check!(pwritev2(&w, &[memory], OWN_OFFSET, UNKNOWN) == Err(EOPNOTSUPP));
    check!(preadv2(&r, &[memory], OWN_OFFSET, UNKNOWN) == Err(EOPNOTSUPP));
    check!(pwritev2(&file, &[memory], 0, UNKNOWN | APPEND) == Err(EOPNOTSUPP));
    check!(preadv2(&file, &[memory], 0, UNKNOWN) == Err(EOPNOTSUPP));
    check!(memory.bytes() == b"lost");
    check!(text(&r, 16) == Ok("kept"));
    check!(std::fs::read("file")? == b"content");
    Ok(())
}

/// RWF_DONTCACHE is refused on a pipe, which has no cache, with EOPNOTSUPP, and nothing is moved.
#[case(READV_2, "ERRORS", settles = ["readv.2 EOPNOTSUPP 1"])]
fn uncached_io_is_refused_on_a_pipe() -> Verdict {
    let (r, w) = pipe()?;
    write(&w, b"kept")?;
    let memory = Memory::holding(b"lost")?;
    check!(pwritev2(&w, &[memory], OWN_OFFSET, DONTCACHE) == Err(EOPNOTSUPP));
    check!(preadv2(&r, &[memory], OWN_OFFSET, DONTCACHE) == Err(EOPNOTSUPP));
    check!(memory.bytes() == b"lost");
    check!(text(&r, 16) == Ok("kept"));
    Ok(())
}
