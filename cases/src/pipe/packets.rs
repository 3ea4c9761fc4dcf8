//! Packet mode: O_DIRECT.

use crate::prelude::*;
use crate::sys::descriptors::pattern;
use crate::sys::pipes::{PACKET_MODE, PIPE_BUF};

/// The cases of this module.
pub const CASES: &[Case] = &[
    packets_keep_their_boundaries,
    packet_longer_than_the_read_is_cut,
    packet_above_pipe_buf_is_split,
];

/// In packet mode each read gives one packet: the data of one write.
#[case(PIPE_2, "DESCRIPTION", settles = ["B01", "pipe.2 O_DIRECT"], needs = [Need::Facility(PACKET_MODE)])]
fn packets_keep_their_boundaries() -> Verdict {
    let (r, w) = pipe2(OFlag::O_DIRECT)?;
    for packet in ["one", "two", "three"] {
        write(&w, packet.as_bytes())?;
    }
    for packet in ["one", "two", "three"] {
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

/// In packet mode a write above PIPE_BUF is split into packets of at most PIPE_BUF bytes.
#[case(PIPE_2, "DESCRIPTION", settles = ["pipe.2 O_DIRECT"], needs = [Need::Facility(PACKET_MODE)])]
fn packet_above_pipe_buf_is_split() -> Verdict {
    let (r, w) = pipe2(OFlag::O_DIRECT)?;
    let data = pattern(2 * PIPE_BUF + 1);
    check!(write(&w, &data) == Ok(data.len()));
    let mut buf = [0; 3 * PIPE_BUF];
    for packet in data.chunks(PIPE_BUF) {
        check!(read(&r, &mut buf) == Ok(packet.len()));
        check!(buf[..packet.len()] == *packet);
    }
    Ok(())
}
