//! Packet mode: O_DIRECT.

use std::io::{IoSlice, IoSliceMut};

use nix::sys::uio::{readv, writev};

use crate::prelude::*;
use crate::sys::descriptors::{pattern, unread};
use crate::sys::memory::page_size;
use crate::sys::pipes::{PACKET_MODE, PIPE_BUF, fill_pipe, set_capacity};
use crate::sys::poll;

/// The cases of this module.
pub const CASES: &[Case] = &[
    packets_keep_their_boundaries,
    packet_longer_than_the_read_is_cut,
    cut_packet_leaves_nothing_behind,
    cut_packet_makes_room_for_a_whole_one,
    packet_above_pipe_buf_is_split,
    write_of_nothing_is_no_packet,
    several_writers_packets_stay_apart,
    vectors_carry_one_packet,
    vector_shorter_than_the_packet_cuts_it,
    packet_mode_is_switched_between_writes,
];

/// In packet mode each read gives one packet, the data of one write, and after the last comes the end of file.
#[case(PIPE_2, "DESCRIPTION", settles = ["B01", "pipe.2 O_DIRECT"], needs = [Need::Facility(PACKET_MODE)])]
fn packets_keep_their_boundaries() -> Verdict {
    let (r, w) = pipe2(OFlag::O_DIRECT)?;
    for packet in ["one", "two", "three"] {
        write(&w, packet.as_bytes())?;
    }
    drop(w);
    for packet in ["one", "two", "three", ""] {
        check!(text(&r, PIPE_BUF) == Ok(packet));
    }
    Ok(())
}

/// In packet mode a read that is smaller than the packet gets its head, and the rest is lost.
#[case(PIPE_2, "DESCRIPTION", settles = ["pipe.2 O_DIRECT"], needs = [Need::Facility(PACKET_MODE)])]
fn packet_longer_than_the_read_is_cut() -> Verdict {
    let (r, w) = pipe2(OFlag::O_DIRECT)?;
    write(&w, b"abcdef")?;
    write(&w, b"next")?;
    check!(text(&r, 0) == Ok(""));
    check!(text(&r, 3) == Ok("abc"));
    check!(text(&r, 16) == Ok("next"));
    Ok(())
}

/// What a short read cut off is gone for poll, FIONREAD and the next reader, who sleeps until the next packet.
#[case(PIPE_2, "DESCRIPTION", settles = ["pipe.2 O_DIRECT"], needs = [Need::Facility(PACKET_MODE)])]
fn cut_packet_leaves_nothing_behind() -> Verdict {
    let (r, w) = pipe2(OFlag::O_DIRECT)?;
    write(&w, b"abcdef")?;
    check!(poll::now(&r, poll::IN) == Ok(poll::IN));
    check!(text(&r, 1) == Ok("a"));
    check!(poll::now(&r, poll::IN) == Ok(poll::NONE));
    check!(unread(&r) == Ok(0));
    let reader = Child::spawn(|| holds!(text(&r, 16) == Ok("next")))?;
    reader.blocked_in(READ)?;
    write(&w, b"next")?;
    reader.join()
}

/// A short read of a packet makes room for a whole one: a writer that sleeps before a full pipe goes on.
#[case(PIPE_2, "DESCRIPTION", also = [(PIPE_7, "I/O on pipes and FIFOs")], settles = ["pipe.2 O_DIRECT"], needs = [Need::Facility(PACKET_MODE)])]
fn cut_packet_makes_room_for_a_whole_one() -> Verdict {
    let (r, w) = pipe2(OFlag::O_DIRECT)?;
    set_capacity(&w, page_size())?;
    write(&w, &[b'.'; PIPE_BUF])?;
    fill_pipe(&w)?;
    let writer = Child::spawn(|| holds!(write(&w, &[b'x'; PIPE_BUF]) == Ok(PIPE_BUF)))?;
    writer.blocked_in(WRITE)?;
    check!(text(&r, 1) == Ok("."));
    writer.join()
}

/// In packet mode a write of up to PIPE_BUF bytes is one packet, and a larger one several of at most PIPE_BUF bytes.
#[case(PIPE_2, "DESCRIPTION", settles = ["pipe.2 O_DIRECT"], needs = [Need::Facility(PACKET_MODE)])]
fn packet_above_pipe_buf_is_split() -> Verdict {
    let (r, w) = pipe2(OFlag::O_DIRECT)?;
    let mut buf = [0; 4 * PIPE_BUF];
    for length in [PIPE_BUF - 1, PIPE_BUF, PIPE_BUF + 1, 2 * PIPE_BUF, 3 * PIPE_BUF + 1] {
        let data = pattern(length);
        check!(write(&w, &data) == Ok(length));
        let mut rest = &*data;
        while !rest.is_empty() {
            let packet = read(&r, &mut buf)?;
            check!(packet == length || length > PIPE_BUF, "of {length} bytes");
            check!(packet <= PIPE_BUF, "of {length} bytes");
            check!(rest.starts_with(&buf[..packet]), "of {length} bytes");
            rest = &rest[packet..];
        }
    }
    Ok(())
}

/// Writing nothing in packet mode makes no packet, neither in an empty pipe nor between two packets.
#[case(PIPE_2, "DESCRIPTION", settles = ["pipe.2 O_DIRECT"], needs = [Need::Facility(PACKET_MODE)])]
fn write_of_nothing_is_no_packet() -> Verdict {
    let (r, w) = pipe2(OFlag::O_DIRECT | OFlag::O_NONBLOCK)?;
    check!(write(&w, b"") == Ok(0));
    check!(poll::now(&r, poll::IN) == Ok(poll::NONE));
    check!(text(&r, 16) == Err(EAGAIN));
    write(&w, b"one")?;
    check!(writev(&w, &[IoSlice::new(b""), IoSlice::new(b"")]) == Ok(0));
    write(&w, b"two")?;
    check!(text(&r, 16) == Ok("one"));
    check!(text(&r, 16) == Ok("two"));
    check!(text(&r, 16) == Err(EAGAIN));
    Ok(())
}

/// Packets of several processes that write at once stay apart and whole, each in the order of its writer.
#[case(PIPE_2, "DESCRIPTION", also = [(PIPE_7, "PIPE_BUF")], settles = ["pipe.2 O_DIRECT"], needs = [Need::Facility(PACKET_MODE)])]
fn several_writers_packets_stay_apart() -> Verdict {
    let (r, w) = pipe2(OFlag::O_DIRECT)?;
    let writers = Children::spawn(3, |name| {
        (1..=100).try_for_each(|length| holds!(write(&w, &vec![name as u8; length]) == Ok(length)))
    })?;
    drop(w);
    let (mut buf, mut last) = ([0; PIPE_BUF], [0; 3]);
    loop {
        match read(&r, &mut buf)? {
            0 => break,
            packet => {
                let name = buf[0] as usize;
                check!(buf[..packet] == vec![buf[0]; packet]);
                last[name] += 1;
                check!(packet == last[name], "writer {name}");
            }
        }
    }
    check!(last == [100; 3]);
    writers.join()
}

/// A writev is one packet, and a readv takes one, from range to range, and nothing of the next.
#[case(PIPE_2, "DESCRIPTION", also = [(READV_2, "DESCRIPTION")], settles = ["pipe.2 O_DIRECT"], needs = [Need::Facility(PACKET_MODE)])]
fn vectors_carry_one_packet() -> Verdict {
    let (r, w) = pipe2(OFlag::O_DIRECT)?;
    check!(writev(&w, &[IoSlice::new(b"abc"), IoSlice::new(b"de")]) == Ok(5));
    write(&w, b"next")?;
    let (mut first, mut second, mut third) = (*b"..", *b"..", *b"....");
    let mut ranges =
        [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second), IoSliceMut::new(&mut third)];
    check!(readv(&r, &mut ranges) == Ok(5));
    check!((first, second, third) == (*b"ab", *b"cd", *b"e..."));
    check!(text(&r, 16) == Ok("next"));
    Ok(())
}

/// A readv whose ranges together are smaller than the packet gets its head, and the rest is lost.
#[case(PIPE_2, "DESCRIPTION", also = [(READV_2, "DESCRIPTION")], settles = ["pipe.2 O_DIRECT"], needs = [Need::Facility(PACKET_MODE)])]
fn vector_shorter_than_the_packet_cuts_it() -> Verdict {
    let (r, w) = pipe2(OFlag::O_DIRECT)?;
    write(&w, b"abcdef")?;
    write(&w, b"next")?;
    let (mut first, mut second) = (*b"..", *b"..");
    let mut ranges = [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)];
    check!(readv(&r, &mut ranges) == Ok(4));
    check!((first, second) == (*b"ab", *b"cd"));
    check!(text(&r, 16) == Ok("next"));
    Ok(())
}

/// F_SETFL switches packet mode on and off for the writes that follow; what was a packet stays one.
#[case(PIPE_2, "DESCRIPTION", settles = ["pipe.2 O_DIRECT"], needs = [Need::Facility(PACKET_MODE)])]
fn packet_mode_is_switched_between_writes() -> Verdict {
    let (r, w) = pipe()?;
    let switch = |flags| {
        [&r, &w].into_iter().try_for_each(|end| fcntl(end, FcntlArg::F_SETFL(flags)).map(drop))
    };
    for _ in 0..2 {
        write(&w, b"ab")?;
        write(&w, b"cd")?;
        check!(text(&r, 16) == Ok("abcd"));
        check!(switch(OFlag::O_DIRECT) == Ok(()));
        write(&w, b"ef")?;
        write(&w, b"gh")?;
        check!(switch(OFlag::empty()) == Ok(()));
        write(&w, b"ij")?;
        write(&w, b"kl")?;
        check!(text(&r, 16) == Ok("ef"));
        check!(text(&r, 16) == Ok("gh"));
        check!(text(&r, 16) == Ok("ijkl"));
    }
    Ok(())
}
