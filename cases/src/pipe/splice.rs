//! Moving data between a pipe and something else without reading it.

use std::fs::{self, File, OpenOptions};
use std::io::{Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;

use libc::{AF_INET, SOCK_STREAM};
use nix::fcntl::{SealFlag, splice};
use nix::sys::epoll::{Epoll, EpollCreateFlags};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::uio::{pread, pwrite};

use crate::prelude::*;
use crate::sys::descriptors::{closed_fd, pattern, read_all, set_nonblocking, unread};
use crate::sys::files::file;
use crate::sys::memory::page_size;
use crate::sys::pipes::{Fifo, capacity, fill_pipe, set_capacity};
use crate::sys::shm::{memory_file, seal};
use crate::sys::signals::{catch, handled};
use crate::sys::sockets::{Socket, tcp_pair};
use crate::sys::splice::{
    HINTS, MORE, NONBLOCK, NONE, SPLICE_FROM_ZERO, SPLICE_TO_NULL, SPLICE_TO_ZERO, splice_all,
};

/// The cases of this module.
pub const CASES: &[Case] = &[
    spliced_file_advances_its_own_offset,
    given_offset_spares_that_of_the_file,
    offset_at_or_behind_the_end_is_end_of_input,
    pipe_to_file_writes_where_the_offset_says,
    data_spliced_behind_the_end_leaves_a_hole,
    page_edges_lose_and_change_no_byte,
    pipe_to_pipe_moves_as_much_as_asked,
    full_target_leaves_the_rest_in_the_source,
    file_larger_than_the_pipe_is_read_as_far_as_there_is_room,
    splice_of_nothing_moves_nothing,
    every_source_gives_its_bytes,
    every_target_gets_the_bytes,
    nonblocking_socket_gives_eagain,
    socket_gets_and_gives_a_stream_in_order,
    null_takes_all,
    zero_takes_all,
    zero_gives_zeros,
    full_device_takes_nothing,
    hints_change_nothing,
    hint_of_more_holds_nothing_back_for_good,
    splice_without_data_or_writer_gives_zero,
    either_end_nonblocking_gives_eagain,
    nonblock_is_for_the_one_call,
    failed_splice_moves_neither_data_nor_offset,
    file_size_limit_stops_a_splice,
    seals_stop_a_splice,
    pipe_opened_anew_is_the_same_pipe,
    splice_is_told_to_who_watches_the_names,
    offset_for_a_pipe_is_refused,
    offset_for_a_socket_is_refused,
    splice_needs_a_pipe,
    what_cannot_be_spliced_is_refused,
    splice_into_the_same_pipe_is_refused,
    splice_to_an_appending_file_is_refused,
    wrong_direction_is_refused,
];

/// Without an offset, splice reads a file from where its own offset stands and moves that on.
#[case(SPLICE_2, "DESCRIPTION")]
fn spliced_file_advances_its_own_offset() -> Verdict {
    let mut file = file("abcdefgh")?;
    let (r, w) = pipe()?;
    file.seek(SeekFrom::Start(2))?;
    check!(splice(&file, None, &w, None, 3, NONE) == Ok(3));
    check!(text(&r, 16) == Ok("cde"));
    check!(file.stream_position()? == 5);
    check!(splice(&file, None, &w, None, 64, NONE) == Ok(3));
    check!(splice(&file, None, &w, None, 64, NONE) == Ok(0));
    check!(text(&r, 16) == Ok("fgh"));
    Ok(())
}

/// With an offset, splice reads a file from there, moves that on and leaves the file's own where it was.
#[case(SPLICE_2, "DESCRIPTION")]
fn given_offset_spares_that_of_the_file() -> Verdict {
    let mut file = file("abcdefgh")?;
    let (r, w) = pipe()?;
    file.seek(SeekFrom::Start(1))?;
    let mut offset = 4;
    check!(splice(&file, Some(&mut offset), &w, None, 3, NONE) == Ok(3));
    check!(text(&r, 16) == Ok("efg"));
    check!((offset, file.stream_position()?) == (7, 1));
    Ok(())
}

/// At the end of a file and behind it, splice returns 0, for the file's own offset as for a given one, and moves neither.
#[case(SPLICE_2, "RETURN VALUE")]
fn offset_at_or_behind_the_end_is_end_of_input() -> Verdict {
    let mut file = file("abcdefgh")?;
    let (r, w) = pipe()?;
    for end in [8, 9, 5_000_000_000] {
        let mut offset = end;
        check!(splice(&file, Some(&mut offset), &w, None, 4, NONE) == Ok(0), "at {end}");
        check!((offset, file.stream_position()?) == (end, 0));
        file.seek(SeekFrom::Start(end as u64))?;
        check!(splice(&file, None, &w, None, 4, NONE) == Ok(0), "at {end}");
        check!(file.stream_position()? == end as u64);
        file.rewind()?;
    }
    check!(unread(&r) == Ok(0));
    Ok(())
}

/// From a pipe, splice writes to a file at its own offset or at the given one, and the pipe has the data no more.
#[case(SPLICE_2, "DESCRIPTION")]
fn pipe_to_file_writes_where_the_offset_says() -> Verdict {
    let mut file = file("abcdefgh")?;
    let (r, w) = pipe()?;
    write(&w, b"XYZ")?;
    check!(splice(&r, None, &file, None, 2, NONE) == Ok(2));
    let mut offset = 7;
    check!(splice(&r, None, &file, Some(&mut offset), 64, NONE) == Ok(1));
    check!((offset, file.stream_position()?) == (8, 2));
    check!(fs::read_to_string("file")? == "XYcdefgZ");
    check!(unread(&r) == Ok(0));
    Ok(())
}

/// Spliced to an offset behind the end, data lands there, and what lies between reads as zeros.
#[case(SPLICE_2, "EXAMPLES", also = [(LSEEK_2, "DESCRIPTION")])]
fn data_spliced_behind_the_end_leaves_a_hole() -> Verdict {
    let (file, (r, w)) = (file("")?, pipe()?);
    write(&w, b"Hello, world")?;
    drop(w);
    let mut offset = 10;
    check!(splice(&r, None, &file, Some(&mut offset), 12, NONE) == Ok(12));
    check!(offset == 22);
    check!(fs::read("file")? == b"\0\0\0\0\0\0\0\0\0\0Hello, world");
    Ok(())
}

/// Stretches that begin, end or cross anywhere in a page go from a file into another byte for byte, and change nothing beside.
#[case(SPLICE_2, "DESCRIPTION")]
fn page_edges_lose_and_change_no_byte() -> Verdict {
    let page = page_size();
    let data = pattern(4 * page);
    let (source, (r, w)) = (file(&data)?, pipe()?);
    for from in [0, 1, page - 1, page, page + 1] {
        for (to, bytes) in [(0, 1), (page - 1, 2), (1, page), (page, page + 1), (3, 2 * page)] {
            let target = memory_file(4 * page)?;
            let (mut read_at, mut write_at) = (from as i64, to as i64);
            while read_at < (from + bytes) as i64 {
                let rest = from + bytes - read_at as usize;
                let n = splice(&source, Some(&mut read_at), &w, None, rest, NONE)?;
                check!(splice(&r, None, &target, Some(&mut write_at), n, NONE) == Ok(n));
            }
            let mut wanted = vec![0; 4 * page];
            wanted[to..to + bytes].copy_from_slice(&data[from..from + bytes]);
            let mut came = vec![1; 4 * page];
            check!(pread(&target, &mut came, 0) == Ok(4 * page));
            check!(came == wanted, "{bytes} bytes from {from} to {to}");
        }
    }
    Ok(())
}

/// From pipe to pipe, splice moves as much as asked, in order, and leaves the rest, which what is written to either does not touch.
#[case(SPLICE_2, "DESCRIPTION")]
fn pipe_to_pipe_moves_as_much_as_asked() -> Verdict {
    let ((from, w), (r, to)) = (pipe()?, pipe()?);
    write(&w, b"abc")?;
    write(&w, b"def")?;
    write(&to, b"_")?;
    check!(splice(&from, None, &to, None, 4, NONE) == Ok(4));
    write(&to, b"XYZ")?;
    write(&w, b"ghi")?;
    check!(text(&r, 16) == Ok("_abcdXYZ"));
    check!(text(&from, 16) == Ok("efghi"));
    Ok(())
}

/// A splice that may not sleep moves what the target has room for, tells how much, and leaves the rest in the source, in order.
#[case(SPLICE_2, "RETURN VALUE", also = [(SPLICE_2, "DESCRIPTION")])]
fn full_target_leaves_the_rest_in_the_source() -> Verdict {
    let ((from, w), (r, to)) = (pipe()?, pipe()?);
    set_capacity(&to, page_size())?;
    let data = pattern(capacity(&w)?);
    check!(write(&w, &data) == Ok(data.len()));
    let mut came = vec![];
    while came.len() < data.len() {
        let moved = splice(&from, None, &to, None, data.len(), NONBLOCK)?;
        check!(unread(&from) == Ok(data.len() - came.len() - moved));
        check!(unread(&r) == Ok(moved));
        came.extend(read_all(&r, moved)?);
    }
    check!(came == data);
    check!(splice(&from, None, &to, None, 1, NONBLOCK) == Err(EAGAIN));
    Ok(())
}

/// From a file that is larger than the pipe, splice moves what there is room for, and the offset stands behind that.
#[case(SPLICE_2, "DESCRIPTION")]
fn file_larger_than_the_pipe_is_read_as_far_as_there_is_room() -> Verdict {
    let (r, w) = pipe()?;
    let data = pattern(2 * capacity(&w)?);
    let (mut file, mut moved) = (file(&data)?, 0);
    let answer = loop {
        match splice(&file, None, &w, None, data.len(), NONBLOCK) {
            Ok(more) => moved += more,
            answer => break answer,
        }
        check!((unread(&r)?, file.stream_position()? as usize) == (moved, moved));
    };
    check!(answer == Err(EAGAIN));
    check!((1..=capacity(&w)?).contains(&moved), "{moved} bytes moved");
    check!(read_all(&r, moved)? == data[..moved]);
    check!(splice(&file, None, &w, None, 16, NONE) == Ok(16));
    check!(read_all(&r, 16)? == data[moved..moved + 16]);
    Ok(())
}

/// Asked for no bytes, splice moves none, whatever there is to move.
#[case(SPLICE_2, "DESCRIPTION")]
fn splice_of_nothing_moves_nothing() -> Verdict {
    let (mut file, (from, w), (r, to)) = (file("content")?, pipe()?, pipe()?);
    write(&w, b"data")?;
    check!(splice(&file, None, &to, None, 0, NONE) == Ok(0));
    check!(splice(&from, None, &to, None, 0, NONE) == Ok(0));
    check!(splice(&from, None, &file, None, 0, NONE) == Ok(0));
    check!((unread(&from)?, unread(&r)?, file.stream_position()?) == (4, 0, 0));
    check!(fs::read_to_string("file")? == "content");
    Ok(())
}

/// A file, a memory file, a FIFO, a local socket and a TCP socket are sources, and give a pipe their bytes.
#[case(SPLICE_2, "DESCRIPTION")]
fn every_source_gives_its_bytes() -> Verdict {
    let (file, memory, (r, w)) = (file("content")?, memory_file(0)?, pipe()?);
    let (fifo, filler) = Fifo::new("fifo")?.ends()?;
    let (local, peer) = Socket::pair(SOCK_STREAM)?;
    let (tcp, remote) = tcp_pair(AF_INET)?;
    pwrite(&memory, b"content", 0)?;
    for far in [filler.as_fd(), peer.as_fd(), remote.as_fd()] {
        write(far, b"content")?;
    }
    let sources = [file.as_fd(), memory.as_fd(), fifo.as_fd(), local.as_fd(), tcp.as_fd()];
    for (name, from) in ["file", "memory file", "FIFO", "local", "TCP"].iter().zip(sources) {
        check!(splice(from, None, &w, None, 7, NONE) == Ok(7), "{name}");
        check!(text(&r, 16) == Ok("content"), "{name}");
    }
    Ok(())
}

/// A file, a FIFO, a local socket and a TCP socket are targets, and get the bytes of a pipe, which has them no more.
#[case(SPLICE_2, "DESCRIPTION")]
fn every_target_gets_the_bytes() -> Verdict {
    let (file, (r, w)) = (file("")?, pipe()?);
    let reader = File::open("file")?;
    let (drain, fifo) = Fifo::new("fifo")?.ends()?;
    let (local, peer) = Socket::pair(SOCK_STREAM)?;
    let (tcp, remote) = tcp_pair(AF_INET)?;
    let targets = [
        ("file", file.as_fd(), reader.as_fd()),
        ("FIFO", fifo.as_fd(), drain.as_fd()),
        ("local", local.as_fd(), peer.as_fd()),
        ("TCP", tcp.as_fd(), remote.as_fd()),
    ];
    for (name, to, far) in targets {
        write(&w, b"content")?;
        check!(splice(&r, None, to, None, 64, NONE) == Ok(7), "{name}");
        check!(unread(&r) == Ok(0), "{name}");
        check!(text(far, 16) == Ok("content"), "{name}");
    }
    Ok(())
}

/// From an empty socket and into a full one that are nonblocking, splice fails with EAGAIN and the pipe keeps its data.
#[case(SPLICE_2, "ERRORS")]
fn nonblocking_socket_gives_eagain() -> Verdict {
    let ((r, w), (near, _far)) = (pipe()?, Socket::pair(SOCK_STREAM)?);
    set_nonblocking(&near, true)?;
    check!(splice(&near, None, &w, None, 4, NONE) == Err(EAGAIN));
    near.fill(&[b'.'; 512])?;
    // What send finds full may have room for a splice, which needs no copy.
    let answer = loop {
        write(&w, b"data")?;
        match splice(&r, None, &near, None, 4, NONE) {
            Ok(4) => {}
            answer => break answer,
        }
    };
    check!(answer == Err(EAGAIN));
    check!(text(&r, 16) == Ok("data"));
    Ok(())
}

/// More than pipe and socket hold at once goes from a file through a pipe and a socket into another pipe and file, whole and in order.
#[case(SPLICE_2, "DESCRIPTION")]
fn socket_gets_and_gives_a_stream_in_order() -> Verdict {
    let data = pattern(1_000_003);
    let file = file(&data)?;
    for (near, far) in [Socket::pair(SOCK_STREAM)?, tcp_pair(AF_INET)?] {
        let sender = Child::spawn(|| {
            let ((r, w), mut offset) = (pipe()?, 0);
            while splice(&file, Some(&mut offset), &w, None, data.len(), NONE)? > 0 {
                let bytes = unread(&r)?;
                check!(splice_all(&r, &near, bytes) == Ok(bytes));
            }
            Ok(())
        })?;
        let ((r, w), copy) = (pipe()?, File::create("copy")?);
        let mut came = 0;
        while came < data.len() {
            let bytes = splice(&far, None, &w, None, data.len() - came, NONE)?;
            check!(bytes > 0, "the end after {came} bytes");
            check!(splice_all(&r, &copy, bytes) == Ok(bytes));
            came += bytes;
        }
        sender.join()?;
        check!(fs::read("copy")? == data);
    }
    Ok(())
}

/// /dev/null takes all that a pipe has.
#[case(NULL_4, "DESCRIPTION", needs = [Need::File("/dev/null"), Need::Facility(SPLICE_TO_NULL)])]
fn null_takes_all() -> Verdict {
    takes_all("/dev/null")
}

/// /dev/zero takes all that a pipe has.
#[case(NULL_4, "DESCRIPTION", needs = [Need::File("/dev/zero"), Need::Facility(SPLICE_TO_ZERO)])]
fn zero_takes_all() -> Verdict {
    takes_all("/dev/zero")
}

fn takes_all(device: &str) -> Verdict {
    let (r, w) = pipe()?;
    let all = fill_pipe(&w)?;
    let sink = OpenOptions::new().write(true).open(device)?;
    check!(splice_all(&r, &sink, all) == Ok(all));
    check!(unread(&r) == Ok(0));
    Ok(())
}

/// From /dev/zero, splice gives zeros.
#[case(NULL_4, "DESCRIPTION", needs = [Need::File("/dev/zero"), Need::Facility(SPLICE_FROM_ZERO)])]
fn zero_gives_zeros() -> Verdict {
    let (r, w) = pipe()?;
    let zero = File::open("/dev/zero")?;
    write(&w, b"data")?;
    check!(splice(&zero, None, &w, None, 100, NONE) == Ok(100));
    check!(read_all(&r, 4)? == b"data");
    check!(read_all(&r, 100)? == [0; 100]);
    Ok(())
}

/// A splice to /dev/full fails, and the pipe keeps its data.
#[case(FULL_4, "DESCRIPTION", needs = [Need::File("/dev/full")])]
fn full_device_takes_nothing() -> Verdict {
    let (r, w) = pipe()?;
    write(&w, b"kept")?;
    let full = OpenOptions::new().write(true).open("/dev/full")?;
    // Its own ENOSPC, or EINVAL where it does not support splicing.
    check!(splice(&r, None, &full, None, 4, NONE).is_err());
    check!(text(&r, 16) == Ok("kept"));
    Ok(())
}

/// SPLICE_F_MOVE, SPLICE_F_MORE and SPLICE_F_GIFT are allowed and change nothing of what is moved, or of where it came from.
#[case(SPLICE_2, "DESCRIPTION", settles = ["splice.2 SPLICE_F_MOVE", "splice.2 SPLICE_F_GIFT"])]
fn hints_change_nothing() -> Verdict {
    let data = pattern(2 * page_size());
    for flags in HINTS {
        let (source, copy, (r, w), (middle, to)) =
            (file(&data)?, memory_file(0)?, pipe()?, pipe()?);
        for (start, bytes) in [(0, page_size()), (page_size(), 100), (page_size() + 100, 3)] {
            let (mut offset, mut end) = (start as i64, start as i64);
            check!(splice(&source, Some(&mut offset), &w, None, bytes, flags) == Ok(bytes));
            check!(splice(&r, None, &to, None, bytes, flags) == Ok(bytes));
            check!(splice(&middle, None, &copy, Some(&mut end), bytes, flags) == Ok(bytes));
        }
        let mut came = vec![0; page_size() + 103];
        check!(pread(&copy, &mut came, 0) == Ok(came.len()));
        check!(came == data[..came.len()], "{flags:?}");
        // A page that had gone from one file to the other would show this.
        pwrite(&copy, b"CHANGED", 0)?;
        check!(fs::read("file")? == data, "{flags:?}");
    }
    Ok(())
}

/// What goes to a socket with SPLICE_F_MORE arrives ahead of what follows, and arrives when nothing follows.
#[case(SPLICE_2, "DESCRIPTION", settles = ["splice.2 SPLICE_F_MORE"])]
fn hint_of_more_holds_nothing_back_for_good() -> Verdict {
    for (near, far) in [tcp_pair(AF_INET)?, Socket::pair(SOCK_STREAM)?] {
        let (r, w) = pipe()?;
        write(&w, b"abcdef")?;
        check!(splice(&r, None, &near, None, 2, MORE) == Ok(2));
        check!(splice(&r, None, &near, None, 2, NONE) == Ok(2));
        check!(read_all(&far, 4)? == b"abcd");
        check!(splice(&r, None, &near, None, 2, MORE) == Ok(2));
        near.shutdown(libc::SHUT_WR)?;
        check!(read_all(&far, 4)? == b"ef");
    }
    Ok(())
}

/// From an empty pipe without a writer, and from a FIFO that never had one, splice returns 0: the end of the input.
#[case(SPLICE_2, "RETURN VALUE")]
fn splice_without_data_or_writer_gives_zero() -> Verdict {
    let ((from, w), (_r, to), file) = (pipe()?, pipe()?, file("")?);
    let fifo = Fifo::new("fifo")?.early_reader()?;
    write(&w, b"last")?;
    drop(w);
    check!(splice(&from, None, &to, None, 64, NONE) == Ok(4));
    for (source, target) in [(&from, to.as_fd()), (&from, file.as_fd()), (&fifo, to.as_fd())] {
        check!(splice(source, None, target, None, 64, NONE) == Ok(0));
        check!(splice(source, None, target, None, 64, NONBLOCK) == Ok(0));
    }
    Ok(())
}

/// Where it would block, splice fails with EAGAIN if told SPLICE_F_NONBLOCK or if either descriptor is nonblocking.
#[case(SPLICE_2, "ERRORS", settles = ["splice.2 EAGAIN", "splice.2 SPLICE_F_NONBLOCK"])]
fn either_end_nonblocking_gives_eagain() -> Verdict {
    // In a child, so that one that sleeps all the same is seen to sleep.
    let mover = Child::spawn(|| {
        let ((from, w), (_r, to), file) = (pipe()?, pipe()?, file("content")?);
        for target in [to.as_fd(), file.as_fd()] {
            check!(splice(&from, None, target, None, 64, NONBLOCK) == Err(EAGAIN));
            set_nonblocking(&from, true)?;
            check!(splice(&from, None, target, None, 64, NONE) == Err(EAGAIN));
            set_nonblocking(&from, false)?;
        }
        write(&w, b"data")?;
        fill_pipe(&to)?;
        for source in [from.as_fd(), file.as_fd()] {
            check!(splice(source, None, &to, None, 64, NONBLOCK) == Err(EAGAIN));
            set_nonblocking(&to, true)?;
            check!(splice(source, None, &to, None, 64, NONE) == Err(EAGAIN));
            set_nonblocking(&to, false)?;
        }
        check!(unread(&from) == Ok(4));
        Ok(())
    })?;
    mover.join()
}

/// SPLICE_F_NONBLOCK counts for its own call: the descriptors stay as they were, and the next call sleeps.
#[case(SPLICE_2, "DESCRIPTION", settles = ["splice.2 SPLICE_F_NONBLOCK"])]
fn nonblock_is_for_the_one_call() -> Verdict {
    let ((from, w), (r, to)) = (pipe()?, pipe()?);
    check!(splice(&from, None, &to, None, 4, NONBLOCK) == Err(EAGAIN));
    for end in [&from, &to] {
        let flags = OFlag::from_bits_retain(fcntl(end, FcntlArg::F_GETFL)?);
        check!(!flags.contains(OFlag::O_NONBLOCK));
    }
    let mover = Child::spawn(|| holds!(splice(&from, None, &to, None, 4, NONE) == Ok(4)))?;
    mover.blocked_in(SPLICE)?;
    write(&w, b"data")?;
    mover.join()?;
    check!(text(&r, 16) == Ok("data"));
    Ok(())
}

/// A splice that fails, for whatever reason, leaves pipe, file and offsets as they were.
#[case(SPLICE_2, "RETURN VALUE")]
fn failed_splice_moves_neither_data_nor_offset() -> Verdict {
    let (mut file, (r, w), (empty, _w)) = (file("content")?, pipe()?, pipe()?);
    write(&w, b"kept")?;
    let mut before_the_start = -1;
    check!(splice(&file, Some(&mut before_the_start), &w, None, 4, NONE).is_err());
    check!(splice(&r, None, &file, Some(&mut before_the_start), 4, NONE).is_err());
    check!(before_the_start == -1);
    let mut offset = 2;
    check!(splice(&empty, None, &file, Some(&mut offset), 4, NONBLOCK) == Err(EAGAIN));
    check!(splice(&file, Some(&mut offset), &r, None, 4, NONE) == Err(EBADF));
    check!((offset, file.stream_position()?) == (2, 0));
    check!(text(&r, 16) == Ok("kept"));
    check!(fs::read_to_string("file")? == "content");
    Ok(())
}

/// Splice takes a file no further than RLIMIT_FSIZE: then it fails with EFBIG and raises SIGXFSZ, and no data is lost.
#[case(GETRLIMIT_2, "DESCRIPTION", also = [(SPLICE_2, "RETURN VALUE")])]
fn file_size_limit_stops_a_splice() -> Verdict {
    catch(SIGXFSZ)?;
    let (file, (r, w)) = (file("")?, pipe()?);
    write(&w, b"abcd")?;
    write(&w, b"efghijkl")?;
    let (_, hard) = getrlimit(Resource::RLIMIT_FSIZE)?;
    setrlimit(Resource::RLIMIT_FSIZE, 6, hard)?;
    check!(splice_all(&r, &file, 6) == Ok(6));
    check!(handled() == 0);
    check!(splice(&r, None, &file, None, 4, NONE) == Err(EFBIG));
    check!(handled() == 1);
    check!(fs::read_to_string("file")? == "abcdef");
    check!(text(&r, 16) == Ok("ghijkl"));
    Ok(())
}

/// Splice does not get past a seal: a memory file sealed against writing or growth stays as it is, and the pipe keeps its data.
#[case(F_ADD_SEALS_2CONST, "DESCRIPTION")]
fn seals_stop_a_splice() -> Verdict {
    let (r, w) = pipe()?;
    write(&w, b"kept")?;
    for (seals, at) in [
        (SealFlag::F_SEAL_WRITE, 0),
        (SealFlag::F_SEAL_FUTURE_WRITE, 0),
        (SealFlag::F_SEAL_GROW, page_size()),
    ] {
        let memory = memory_file(page_size())?;
        seal(&memory, seals)?;
        let mut offset = at as i64;
        check!(splice(&r, None, &memory, Some(&mut offset), 4, NONE) == Err(EPERM), "{seals:?}");
        check!(offset == at as i64);
        let mut came = vec![1; page_size() + 4];
        check!(pread(&memory, &mut came, 0) == Ok(page_size()));
        check!(came[..page_size()] == vec![0; page_size()]);
    }
    check!(text(&r, 16) == Ok("kept"));
    Ok(())
}

/// A pipe that is opened anew through /proc is the same pipe, and splice refuses to move it into itself.
#[case(SPLICE_2, "ERRORS", settles = ["splice.2 EINVAL 5"], needs = [Need::Proc])]
fn pipe_opened_anew_is_the_same_pipe() -> Verdict {
    let (r, w) = pipe()?;
    write(&w, b"round")?;
    let again = OpenOptions::new().write(true).open(format!("/proc/self/fd/{}", w.as_raw_fd()))?;
    check!(splice(&r, None, &again, None, 4, NONE) == Err(EINVAL));
    check!(text(&r, 16) == Ok("round"));
    Ok(())
}

/// A splice is an access to the FIFO that it reads and a change of the one that it writes, for who watches their names.
#[case(INOTIFY_7, "inotify events")]
fn splice_is_told_to_who_watches_the_names() -> Verdict {
    let [from, to] = [Fifo::new("from")?, Fifo::new("to")?];
    let ((from_r, from_w), (_to_r, to_w)) = (from.ends()?, to.ends()?);
    say(&from_w, "told")?;
    let watch = Inotify::init(InitFlags::IN_NONBLOCK)?;
    let source = watch.add_watch(from.name, AddWatchFlags::IN_ALL_EVENTS)?;
    let target = watch.add_watch(to.name, AddWatchFlags::IN_ALL_EVENTS)?;
    let told = || {
        watch.read_events().map(|events| {
            let mut told: Vec<_> = events.iter().map(|event| (event.wd, event.mask)).collect();
            told.sort();
            told
        })
    };
    check!(splice(&from_r, None, &to_w, None, 4, NONE) == Ok(4));
    check!(
        told() == Ok(vec![(source, AddWatchFlags::IN_ACCESS), (target, AddWatchFlags::IN_MODIFY)])
    );
    Ok(())
}

refusals! {
    SPLICE_2, "ERRORS";

    /// An offset for a descriptor that is a pipe or a FIFO is refused, and nothing moves.
    ["splice.2 ESPIPE"] offset_for_a_pipe_is_refused => ESPIPE: {
        let ((r, w), (fifo, _fifo), file, mut offset) =
            (pipe()?, Fifo::new("fifo")?.ends()?, file("content")?, 0);
        check!(splice(&file, None, &w, Some(&mut offset), 4, NONE) == Err(ESPIPE));
        write(&w, b"kept")?;
        check!(splice(&r, Some(&mut offset), &file, None, 4, NONE) == Err(ESPIPE));
        check!(splice(&fifo, Some(&mut offset), &w, None, 4, NONE) == Err(ESPIPE));
        check!(text(&r, 16) == Ok("kept"));
        check!(fs::read_to_string("file")? == "content");
        splice(&r, Some(&mut offset), pipe()?.1, None, 4, NONE)
    };

    /// An offset for a socket, which has none, is refused, and nothing moves.
    ["splice.2 EINVAL 4"] offset_for_a_socket_is_refused => EINVAL: {
        let ((r, w), mut offset) = (pipe()?, 0);
        let (near, far) = Socket::pair(SOCK_STREAM)?;
        write(&far, b"stay")?;
        check!(splice(&near, Some(&mut offset), &w, None, 4, NONE) == Err(EINVAL));
        check!((unread(&near)?, unread(&r)?) == (4, 0));
        write(&w, b"kept")?;
        check!(splice(&r, None, &near, Some(&mut offset), 4, NONE) == Err(EINVAL));
        check!(unread(&r) == Ok(4));
        splice(&r, None, &near, Some(&mut offset), 4, NONE)
    };

    /// Two descriptors of which neither is a pipe are refused.
    ["splice.2 EINVAL 3"] splice_needs_a_pipe => EINVAL: {
        let (file, (near, far)) = (file("content")?, Socket::pair(SOCK_STREAM)?);
        write(&far, b"data")?;
        check!(splice(&file, None, &near, None, 4, NONE) == Err(EINVAL));
        check!(splice(&near, None, &file, None, 4, NONE) == Err(EINVAL));
        check!(fs::read_to_string("file")? == "content");
        splice(&file, None, File::create("other")?, None, 4, NONE)
    };

    /// What can be neither read nor written, an epoll instance, is refused as a source and as a target, and the pipe keeps its data.
    ["splice.2 EINVAL 1"] what_cannot_be_spliced_is_refused => EINVAL: {
        let ((r, w), epoll) = (pipe()?, Epoll::new(EpollCreateFlags::empty())?);
        check!(splice(&epoll.0, None, &w, None, 4, NONE) == Err(EINVAL));
        write(&w, b"kept")?;
        check!(splice(&r, None, &epoll.0, None, 4, NONE) == Err(EINVAL));
        check!(text(&r, 16) == Ok("kept"));
        splice(&epoll.0, None, &w, None, 4, NONE)
    };

    /// The two ends of one pipe are refused, whichever copies or openings of them are given, and the data stays.
    ["splice.2 EINVAL 5"] splice_into_the_same_pipe_is_refused => EINVAL: {
        let ((r, w), (fifo, _w)) = (pipe()?, Fifo::new("fifo")?.ends()?);
        write(&w, b"round")?;
        check!(splice(&r, None, dup(&w)?, None, 4, NONE) == Err(EINVAL));
        check!(splice(&r, None, &w, None, 4, NONBLOCK) == Err(EINVAL));
        let again = Fifo { name: "fifo" }.writer()?;
        write(&again, b"trip")?;
        check!(splice(&fifo, None, &again, None, 4, NONE) == Err(EINVAL));
        check!((text(&fifo, 16), unread(&r)) == (Ok("trip"), Ok(5)));
        splice(&r, None, &w, None, 4, NONE)
    };

    /// A target that is open for appending, or was made so, is refused; nothing is written and nothing lost.
    ["splice.2 EINVAL 2"] splice_to_an_appending_file_is_refused => EINVAL: {
        let ((r, w), file) = (pipe()?, file("content")?);
        write(&w, b"more")?;
        fcntl(&file, FcntlArg::F_SETFL(OFlag::O_APPEND))?;
        let mut offset = 0;
        check!(splice(&r, None, &file, None, 4, NONE) == Err(EINVAL));
        check!(splice(&r, None, &file, Some(&mut offset), 4, NONE) == Err(EINVAL));
        check!(fs::read_to_string("file")? == "content");
        check!(unread(&r) == Ok(4));
        splice(&r, None, OpenOptions::new().append(true).open("file")?, None, 4, NONE)
    };

    /// A number that is no descriptor, an end or a file that is not for reading, and one that is not for writing are refused.
    ["splice.2 EBADF"] wrong_direction_is_refused => EBADF: {
        let ((r, w), (other_r, other_w)) = (pipe()?, pipe()?);
        let (write_only, read_only) = (File::create("file")?, File::open("file")?);
        let path_only = OpenOptions::new().read(true).custom_flags(libc::O_PATH).open("file")?;
        write(&w, b"kept")?;
        for no_source in [closed_fd(), w.as_fd(), write_only.as_fd(), path_only.as_fd()] {
            check!(splice(no_source, None, &other_w, None, 4, NONE) == Err(EBADF));
        }
        for no_target in [closed_fd(), other_r.as_fd(), read_only.as_fd(), path_only.as_fd()] {
            check!(splice(&r, None, no_target, None, 4, NONE) == Err(EBADF));
        }
        check!((text(&r, 16), unread(&other_r)) == (Ok("kept"), Ok(0)));
        splice(&r, None, &other_r, None, 4, NONE)
    };
}
