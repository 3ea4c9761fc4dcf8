//! Wrong company of messages: descriptors and credentials.

use ipcspec_cases::sys::sockets::Socket;
use libc::{
    MSG_CMSG_CLOEXEC, MSG_CTRUNC, MSG_DONTWAIT, SCM_CREDENTIALS, SCM_RIGHTS, SO_PASSCRED,
    SO_PEERCRED, SOL_SOCKET,
};

use super::{MSG_CONTROLLEN, only};
use crate::prelude::*;

/// The faults of this module.
pub const FAULTS: &[Fault] = &[
    passed_file_is_opened_anew,
    passed_descriptors_are_lost,
    passed_descriptors_come_in_reverse_order,
    descriptors_on_their_way_leak,
    loss_of_descriptors_is_not_told,
    received_descriptor_is_not_closed_on_exec,
    descriptors_are_no_barrier,
    credentials_are_those_of_the_receiver,
    credentials_told_by_the_sender_are_ignored,
    credentials_come_unasked,
    peer_is_who_asks,
    credentials_are_believed,
];

/// The process id that this thread's process has for itself.
fn own_pid(call: &Call) -> Result<i32> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", call.thread()));
    let status = status.map_err(|_| ESRCH)?;
    let pids = status.lines().find_map(|line| line.strip_prefix("NStgid:")).ok_or(ESRCH)?;
    pids.split_whitespace().last().and_then(|pid| pid.parse().ok()).ok_or(ESRCH)
}

/// A file that is passed is opened anew by the receiver, with an offset of its own.
#[fault(UNIX_7, "Ancillary messages", on = [RECV])]
fn passed_file_is_opened_anew(call: &mut Call) -> Result<Effect> {
    call.header()?;
    call.then(|call| {
        let (place, _) = call.control_messages(SCM_RIGHTS)?;
        let count = call.result();
        let passed = call.number_at::<i32>(place)?;
        only(call.descriptor(passed)?.kind == Kind::File)?;
        let path = call.room_below();
        call.set_memory(path, format!("/proc/self/fd/{passed}\0").as_bytes())?;
        call.instead(libc::SYS_open, [path, 0, 0, 0, 0, 0], move |call| {
            let anew = call.result() as i32;
            call.set_number_at(place, anew)?;
            let close = [passed as u64, 0, 0, 0, 0, 0];
            call.instead(libc::SYS_close, close, move |call| call.give(count))
        })
    })
}

/// A message arrives without the descriptors that it was sent with.
#[fault(UNIX_7, "Ancillary messages", on = [SEND])]
fn passed_descriptors_are_lost(call: &mut Call) -> Result<Effect> {
    call.control_messages(SCM_RIGHTS)?;
    call.set_number_at(call.header()? + MSG_CONTROLLEN, 0_u64)?;
    call.proceed()
}

/// The descriptors of a message come in reverse order.
#[fault(UNIX_7, "Ancillary messages", on = [SEND])]
fn passed_descriptors_come_in_reverse_order(call: &mut Call) -> Result<Effect> {
    let (place, length) = call.control_messages(SCM_RIGHTS)?;
    let passed = call.memory(place, length as usize)?;
    let reversed: Vec<u8> = passed.rchunks(4).flatten().copied().collect();
    call.set_memory(place, &reversed)?;
    call.proceed()
}

/// A reference to what is passed in a message is never given back.
#[fault(UNIX_7, "Ancillary messages", on = [SEND])]
fn descriptors_on_their_way_leak(call: &mut Call) -> Result<Effect> {
    let (place, length) = call.control_messages(SCM_RIGHTS)?;
    for passed in (place..place + length).step_by(size_of::<i32>()) {
        let copy = call.copy(call.number_at(passed)?)?;
        call.notes().hold(copy);
    }
    call.proceed()
}

/// A message that lost descriptors for want of room is not marked.
#[fault(RECV_2, "recvmsg()", on = [RECV])]
fn loss_of_descriptors_is_not_told(call: &mut Call) -> Result<Effect> {
    call.header()?;
    call.then(|call| {
        call.change_told_flags(|flags| flags & !MSG_CTRUNC)?;
        call.proceed()
    })
}

/// `MSG_CMSG_CLOEXEC` is accepted and told, and does nothing.
#[fault(RECV_2, "The flags argument", on = [RECV])]
fn received_descriptor_is_not_closed_on_exec(call: &mut Call) -> Result<Effect> {
    call.drop_flag(MSG_CMSG_CLOEXEC)?;
    call.then(|call| {
        call.change_told_flags(|flags| flags | MSG_CMSG_CLOEXEC)?;
        call.proceed()
    })
}

/// A stream is received beyond the message with which descriptors came.
#[fault(UNIX_7, "Ancillary messages", on = [RECV])]
fn descriptors_are_no_barrier(call: &mut Call) -> Result<Effect> {
    call.header()?;
    let ((buffer, room), socket) = (call.buffer()?, call.argument(0));
    only(call.endpoint()?.is_stream())?;
    call.then(move |call| {
        call.control_messages(SCM_RIGHTS)?;
        let count = call.result() as u64;
        only(count < room)?;
        let more = [socket, buffer + count, room - count, MSG_DONTWAIT as u64, 0, 0];
        call.instead(libc::SYS_recvfrom, more, move |call| {
            call.give(count as i64 + call.result().max(0))
        })
    })
}

/// Credentials come with the process id of the receiver.
#[fault(UNIX_7, "Socket options", on = [RECV])]
fn credentials_are_those_of_the_receiver(call: &mut Call) -> Result<Effect> {
    call.header()?;
    call.then(|call| {
        let (place, _) = call.control_messages(SCM_CREDENTIALS)?;
        call.set_number_at(place, own_pid(call)?)?;
        call.proceed()
    })
}

/// A sender's own credentials come with its message, also where it may tell others.
#[fault(UNIX_7, "Socket options", on = [SEND])]
fn credentials_told_by_the_sender_are_ignored(call: &mut Call) -> Result<Effect> {
    let (place, _) = call.control_messages(SCM_CREDENTIALS)?;
    call.set_number_at(place, own_pid(call)?)?;
    call.proceed()
}

/// Credentials come with every message, also without `SO_PASSCRED`.
#[fault(UNIX_7, "Ancillary messages", on = [SOCKETPAIR])]
fn credentials_come_unasked(call: &mut Call) -> Result<Effect> {
    let pair = call.argument(3);
    call.then(move |call| {
        for end in [pair, pair + 4] {
            let end = call.copy(call.number_at(end)?)?;
            Socket::from(end).set_option(SOL_SOCKET, SO_PASSCRED, 1)?;
        }
        call.proceed()
    })
}

/// The credentials of the peer are those of the process that asks for them.
#[fault(UNIX_7, "Socket options", on = [GETSOCKOPT])]
fn peer_is_who_asks(call: &mut Call) -> Result<Effect> {
    let [_, level, name, value, ..] = call.arguments();
    only([level as i32, name as i32] == [SOL_SOCKET, SO_PEERCRED])?;
    call.then(move |call| {
        call.set_number_at(value, own_pid(call)?)?;
        call.proceed()
    })
}

/// What a sender says of itself is believed: where it may not say so, the message goes out without.
#[fault(UNIX_7, "ERRORS", on = [SEND])]
fn credentials_are_believed(call: &mut Call) -> Result<Effect> {
    call.control_messages(SCM_CREDENTIALS)?;
    let ([socket, _, flags, ..], (buffer, length)) = (call.arguments(), call.buffer()?);
    call.then(move |call| {
        only([-(EPERM as i64), -(ESRCH as i64)].contains(&call.result()))?;
        let plain = [socket, buffer, length, flags, 0, 0];
        call.instead(libc::SYS_sendto, plain, |call| call.proceed())
    })
}
