//! Wrong packets: boundaries lost, heads and rests mixed up.

use std::fs::File;

use nix::fcntl::{FcntlArg, OFlag, fcntl};

use super::buffers::{content, put, take};
use crate::prelude::*;

/// The faults of this module.
pub const FAULTS: &[Fault] = &[
    packet_mode_is_ignored,
    rest_of_a_cut_packet_stays,
    two_small_packets_become_one,
    full_packet_runs_into_the_next,
    write_of_nothing_is_a_packet,
    room_of_a_cut_packet_wakes_no_writer,
    packet_mode_is_for_life,
];

fn has_packets(end: Fd) -> Result<Fd> {
    if end.flags & libc::O_DIRECT != 0 { Ok(end) } else { Err(EOPNOTSUPP) }
}

/// The whole pipe, for packets to be taken out and put back.
fn whole(call: &Call, end: Fd) -> Result<File> {
    let pipe = call.reopen(end.number)?;
    fcntl(&pipe, FcntlArg::F_SETFL(OFlag::O_DIRECT | OFlag::O_NONBLOCK))?;
    Ok(pipe)
}

/// How much a read, readv, write or writev asks for.
fn length(call: &Call) -> Result<u64> {
    Ok(match call.number() {
        libc::SYS_read | libc::SYS_write => call.argument(2),
        _ => call.ranges()?.iter().map(|range| range.length).sum(),
    })
}

/// O_DIRECT is accepted by pipe2, and the pipe is a stream.
#[fault(PIPE_2, "DESCRIPTION", on = [PIPE])]
fn packet_mode_is_ignored(call: &mut Call) -> Result<Effect> {
    call.set_argument(1, call.argument(1) & !(libc::O_DIRECT as u64));
    call.proceed()
}

/// What a short read leaves of a packet is read next.
#[fault(PIPE_2, "DESCRIPTION", on = [READ, READV])]
fn rest_of_a_cut_packet_stays(call: &mut Call) -> Result<Effect> {
    let (pipe, asked) = (call.pipe(0)?, length(call)? as usize);
    let mut pipe = whole(call, pipe)?;
    let packets = content(&pipe)?;
    let all: usize = packets.iter().map(Vec::len).sum();
    if packets.first().is_none_or(|packet| packet.len() <= asked) {
        return call.proceed();
    }
    call.then(move |call| {
        let left = all.checked_sub(call.result().max(0) as usize).ok_or(EAGAIN)?;
        if asked == 0 || unread(&pipe)? >= left {
            return call.proceed();
        }
        let rest = packets[0][asked..].to_vec();
        let others = take(&mut pipe);
        for packet in [rest].iter().chain(&others) {
            put(&mut pipe, packet);
        }
        call.proceed()
    })
}

/// A packet that is small goes into the page of the one before it, and they are read as one.
#[fault(PIPE_2, "DESCRIPTION", on = [WRITE, WRITEV])]
fn two_small_packets_become_one(call: &mut Call) -> Result<Effect> {
    let pipe = has_packets(call.pipe(0)?)?;
    if call.reports_nothing(pipe, poll::OUT) || length(call)? == 0 {
        return call.proceed();
    }
    call.then(move |call| {
        let mut pipe = whole(call, pipe)?;
        let mut packets = take(&mut pipe);
        if let [.., before, last] = &mut packets[..]
            && before.len() + last.len() <= PIPE_BUF
        {
            before.append(last);
        }
        for packet in packets {
            put(&mut pipe, &packet);
        }
        call.proceed()
    })
}

/// A packet of PIPE_BUF bytes does not end a read that has room for more.
#[fault(PIPE_2, "DESCRIPTION", on = [READ])]
fn full_packet_runs_into_the_next(call: &mut Call) -> Result<Effect> {
    let (pipe, [fd, buffer, length, ..]) = (call.pipe(0)?, call.arguments());
    call.then(move |call| {
        let whole = PIPE_BUF as u64;
        let ended = call.result() != whole as i64 || length == whole;
        if ended || unread(call.copy(pipe.number)?)? == 0 {
            return call.proceed();
        }
        let rest = [fd, buffer + whole, length - whole, 0, 0, 0];
        call.instead(libc::SYS_read, rest, move |call| call.give(whole as i64 + call.result()))
    })
}

/// A write of nothing in packet mode is read like an end of file.
#[fault(PIPE_2, "DESCRIPTION", on = [READ, WRITE, WRITEV])]
fn write_of_nothing_is_a_packet(call: &mut Call) -> Result<Effect> {
    let pipe = call.pipe(0)?;
    let nothing = if call.number() == libc::SYS_read {
        call.notes().of(pipe.inode).take().is_some()
    } else {
        if length(call)? == 0 && has_packets(pipe).is_ok() {
            call.notes().count(pipe.inode);
        }
        false
    };
    if nothing { call.give(0) } else { call.proceed() }
}

/// A writer that waits for the room of a packet that was read in part is not woken.
#[fault(PIPE_7, "I/O on pipes and FIFOs", on = [READ, WRITE])]
fn room_of_a_cut_packet_wakes_no_writer(call: &mut Call) -> Result<Effect> {
    let (pipe, asked) = (call.pipe(0)?, call.argument(2) as usize);
    if call.number() == libc::SYS_read {
        let packets = content(&call.reopen(pipe.number)?)?;
        if asked > 0 && packets.first().is_some_and(|packet| packet.len() > asked) {
            call.notes().count(pipe.inode);
        }
        return call.proceed();
    }
    has_packets(pipe)?;
    if !call.reports_nothing(pipe, poll::OUT) || call.notes().has(pipe.inode) {
        return call.proceed();
    }
    call.then(move |call| {
        let was_cut = call.result() > 0 && call.notes().has(pipe.inode);
        if was_cut { call.sleep() } else { call.proceed() }
    })
}

/// F_SETFL with or without O_DIRECT succeeds, and a pipe is in packet mode as when it was made.
#[fault(PIPE_2, "DESCRIPTION", on = [FCNTL])]
fn packet_mode_is_for_life(call: &mut Call) -> Result<Effect> {
    let (pipe, [_, op, flags, ..]) = (call.pipe(0)?, call.arguments());
    if op as i32 == libc::F_SETFL {
        let direct = libc::O_DIRECT;
        call.set_argument(2, (flags as i32 & !direct | pipe.flags & direct) as u64);
    }
    call.proceed()
}
