//! Wrong System V queues: messages lost, doubled, cut or taken for others,
//! wake-ups that never come.

use libc::{
    IPC_CREAT, IPC_NOWAIT, IPC_RMID, IPC_SET, IPC_STAT, MSG_COPY, MSG_EXCEPT, MSG_NOERROR, c_long,
};

use super::view::TYPE;
use crate::prelude::*;

/// The faults of this module.
pub const FAULTS: &[Fault] = &[
    send_waits_for_a_receiver,
    byte_behind_the_first_page_is_lost,
    long_body_is_taken_when_it_is_received,
    receive_goes_on_into_the_next_message,
    woken_receiver_leaves_its_message,
    message_of_a_type_stays,
    sleeping_receiver_takes_any_type,
    sleeping_receiver_never_cuts,
    sleeping_receiver_of_low_types_takes_any,
    sleeping_receiver_forgets_except,
    sleeping_receiver_cuts_what_is_too_long,
    negative_type_takes_the_highest_first,
    most_negative_type_matches_nothing,
    except_is_ignored,
    copies_are_counted_from_one,
    copy_takes_the_message_out,
    message_too_long_for_its_receiver_is_lost,
    truncation_ends_with_a_nul,
    truncated_message_stays,
    receive_wakes_no_sender,
    second_message_wakes_no_receiver,
    raised_capacity_wakes_no_sender,
    receive_wakes_one_sender,
    message_passes_no_sleeper,
    nowait_is_ignored,
    empty_messages_take_no_room,
    too_long_a_body_is_cut,
    msgmax_is_a_constant,
    msgmax_once_met_holds_everywhere,
    qbytes_can_only_be_lowered,
    full_table_stays_full,
    removal_wakes_the_first_sleeper_only,
    handler_with_sa_restart_restarts_a_call,
    stop_and_continue_end_a_receive,
    stop_and_continue_end_a_send,
    queue_goes_with_its_creator,
    exclusive_creation_finds_what_is_there,
    key_leads_past_the_permissions,
    msgsnd_refuses_nothing,
    msgrcv_refuses_nothing,
];

/// Kernels keep a long message in pieces of a page: the first byte of the second piece is lost.
#[fault(MSGOP_2, "msgsnd()", on = [MSGSND])]
fn byte_behind_the_first_page_is_lost(call: &mut Call) -> Result<Effect> {
    let (body, first) = (call.argument(1) + TYPE, page_size() as u64 - 48);
    if call.argument(2) > first {
        call.set_number_at(body + first, 0_u8)?;
    }
    call.proceed()
}

/// A body longer than a page is not copied until it is received.
#[fault(MSGOP_2, "msgsnd()", on = [MSGSND, MSGRCV])]
fn long_body_is_taken_when_it_is_received(call: &mut Call) -> Result<Effect> {
    let [queue, message, ..] = call.arguments();
    if call.number() == libc::SYS_msgsnd {
        let long = call.argument(2) > page_size() as u64;
        *call.notes().of(queue) = long.then_some(message as i64);
        return call.proceed();
    }
    let sent = call.notes().of(queue).take();
    call.then(move |call| {
        let (length, Some(sent)) = (call.result(), sent) else { return call.proceed() };
        if length > page_size() as i64 {
            let body = call.memory(sent as u64 + TYPE, length as usize)?;
            call.set_memory(message + TYPE, &body)?;
        }
        call.proceed()
    })
}

/// Waits until the queue is empty, looking every 700 ms.
fn until_empty(call: &mut Call, queue: u64, status: u64, pause: u64) -> Result<Effect> {
    let stat = [queue, IPC_STAT as u64, status, 0, 0, 0];
    call.instead(libc::SYS_msgctl, stat, move |call| {
        if call.result() != 0 || call.number_at::<u64>(status + 80)? == 0 {
            return call.give(0);
        }
        call.instead(libc::SYS_nanosleep, [pause, 0, 0, 0, 0, 0], move |call| {
            if call.result() == 0 { until_empty(call, queue, status, pause) } else { call.give(0) }
        })
    })
}

/// A send returns only when the message has been received.
#[fault(MSGOP_2, "msgsnd()", on = [MSGSND])]
fn send_waits_for_a_receiver(call: &mut Call) -> Result<Effect> {
    let (queue, status) = (call.queue(), call.scratch(&[0; 128])?);
    let pause: Vec<_> = [0, 700_000_000_i64].into_iter().flat_map(i64::to_ne_bytes).collect();
    let pause = call.scratch(&pause)?;
    call.then(move |call| {
        if call.result() == 0 { until_empty(call, queue, status, pause) } else { call.proceed() }
    })
}

/// A receive with room to spare takes the next message too.
#[fault(MSGOP_2, "msgrcv()", on = [MSGRCV])]
fn receive_goes_on_into_the_next_message(call: &mut Call) -> Result<Effect> {
    let [queue, buffer, size, kind, ..] = call.arguments();
    if call.has_flag(MSG_COPY) {
        return call.proceed();
    }
    call.then(move |call| {
        let got = call.result();
        if got < 0 || got as u64 >= size {
            return call.proceed();
        }
        // The type of the next one comes over the end of the first.
        let (next, end) = (buffer + got as u64, call.memory(buffer + got as u64, 8)?);
        let rest = [queue, next, size - got as u64, kind, IPC_NOWAIT as u64, 0];
        call.instead(libc::SYS_msgrcv, rest, move |call| {
            call.set_memory(next, &end)?;
            call.give(got + call.result().max(0))
        })
    })
}

/// The message in the buffer of a msgrcv goes back to the queue; then `length` is told.
fn put_back(call: &Call, length: i64) -> Result<Effect> {
    let [queue, buffer, ..] = call.arguments();
    let send = [queue, buffer, length as u64, IPC_NOWAIT as u64, 0, 0];
    call.instead(libc::SYS_msgsnd, send, move |call| call.give(length))
}

/// A message that a sleeping receiver was woken for is not taken off the queue.
#[fault(MSGOP_2, "msgrcv()", on = [MSGRCV])]
fn woken_receiver_leaves_its_message(call: &mut Call) -> Result<Effect> {
    call.message_telling_sleep(|call, slept| {
        if slept && call.result() >= 0 { put_back(call, call.result()) } else { call.proceed() }
    })
}

/// A message that was asked for by its type stays in the queue.
#[fault(MSGOP_2, "msgrcv()", on = [MSGRCV])]
fn message_of_a_type_stays(call: &mut Call) -> Result<Effect> {
    if call.argument(3) as c_long <= 0 || call.has_flag(MSG_COPY) {
        return call.proceed();
    }
    call.then(|call| if call.result() < 0 { call.proceed() } else { put_back(call, call.result()) })
}

/// A msgrcv happens; where it would sleep, it sleeps with this type and these flags.
fn sleeping_for(call: &mut Call, kind: c_long, flags: i32) -> Result<Effect> {
    let [queue, buffer, size, ..] = call.arguments();
    let mut arguments = call.arguments();
    arguments[4] |= IPC_NOWAIT as u64;
    call.instead(libc::SYS_msgrcv, arguments, move |call| {
        if call.result() != -(ENOMSG as i64) {
            return call.proceed();
        }
        let sleep = [queue, buffer, size, kind as u64, flags as u64, 0];
        call.instead(libc::SYS_msgrcv, sleep, |call| call.proceed())
    })
}

/// The type and the flags of a msgrcv that may sleep.
fn wanted(call: &Call) -> Result<(c_long, i32)> {
    let (kind, flags) = (call.argument(3) as c_long, call.argument(4) as i32);
    if flags & (IPC_NOWAIT | MSG_COPY) == 0 { Ok((kind, flags)) } else { Err(EINVAL) }
}

/// A receiver that sleeps for a type takes the first message that comes.
#[fault(MSGOP_2, "msgrcv()", on = [MSGRCV])]
fn sleeping_receiver_takes_any_type(call: &mut Call) -> Result<Effect> {
    let (kind, flags) = wanted(call)?;
    if kind > 0 && flags & MSG_EXCEPT == 0 { sleeping_for(call, 0, flags) } else { call.proceed() }
}

/// A receiver that sleeps for a low type takes the first message that comes.
#[fault(MSGOP_2, "msgrcv()", on = [MSGRCV])]
fn sleeping_receiver_of_low_types_takes_any(call: &mut Call) -> Result<Effect> {
    let (kind, flags) = wanted(call)?;
    if kind < 0 { sleeping_for(call, 0, flags) } else { call.proceed() }
}

/// A receiver that sleeps for all types but one takes that one.
#[fault(MSGOP_2, "msgrcv()", on = [MSGRCV])]
fn sleeping_receiver_forgets_except(call: &mut Call) -> Result<Effect> {
    let (kind, flags) = wanted(call)?;
    if flags & MSG_EXCEPT != 0 {
        sleeping_for(call, kind, flags & !MSG_EXCEPT)
    } else {
        call.proceed()
    }
}

/// A message that comes to a sleeping receiver and is too long for it is cut, and the rest is lost.
#[fault(MSGOP_2, "msgrcv()", on = [MSGRCV])]
fn sleeping_receiver_cuts_what_is_too_long(call: &mut Call) -> Result<Effect> {
    let (kind, flags) = wanted(call)?;
    sleeping_for(call, kind, flags | MSG_NOERROR)
}

/// A message that comes to a sleeping receiver and is too long for it is refused, with MSG_NOERROR too.
#[fault(MSGOP_2, "msgrcv()", on = [MSGRCV])]
fn sleeping_receiver_never_cuts(call: &mut Call) -> Result<Effect> {
    let (kind, flags) = wanted(call)?;
    sleeping_for(call, kind, flags & !MSG_NOERROR)
}

/// Tries the types from `kind` down to 1.
fn downwards(call: &mut Call, kind: u64) -> Result<Effect> {
    let mut arguments = call.arguments();
    arguments[3] = kind;
    arguments[4] |= IPC_NOWAIT as u64;
    call.instead(libc::SYS_msgrcv, arguments, move |call| {
        let none = call.result() == -(ENOMSG as i64);
        if none && kind > 1 { downwards(call, kind - 1) } else { call.proceed() }
    })
}

/// A negative type takes the highest type up to its absolute value first.
#[fault(MSGOP_2, "msgrcv()", on = [MSGRCV])]
fn negative_type_takes_the_highest_first(call: &mut Call) -> Result<Effect> {
    let kind = call.argument(3) as c_long;
    let tried = (-16..0).contains(&kind) && call.has_flag(IPC_NOWAIT);
    if tried { downwards(call, kind.unsigned_abs()) } else { call.proceed() }
}

/// The absolute value of the most negative type overflows, and no message has a type so low.
#[fault(MSGOP_2, "msgrcv()", on = [MSGRCV])]
fn most_negative_type_matches_nothing(call: &mut Call) -> Result<Effect> {
    if call.argument(3) as c_long == c_long::MIN { call.fail(ENOMSG) } else { call.proceed() }
}

/// MSG_EXCEPT is accepted and ignored.
#[fault(MSGOP_2, "msgrcv()", on = [MSGRCV])]
fn except_is_ignored(call: &mut Call) -> Result<Effect> {
    call.clear_flags(MSG_EXCEPT);
    call.proceed()
}

/// MSG_COPY counts the messages from 1.
#[fault(MSGOP_2, "msgrcv()", on = [MSGRCV])]
fn copies_are_counted_from_one(call: &mut Call) -> Result<Effect> {
    if call.has_flag(MSG_COPY) {
        call.set_argument(3, call.argument(3).saturating_sub(1));
    }
    call.proceed()
}

/// MSG_COPY of the first message takes it out of the queue.
#[fault(MSGOP_2, "msgrcv()", on = [MSGRCV])]
fn copy_takes_the_message_out(call: &mut Call) -> Result<Effect> {
    if !call.has_flag(MSG_COPY) || call.argument(3) != 0 {
        return call.proceed();
    }
    call.clear_flags(MSG_COPY);
    call.proceed()
}

/// A message that is too long for its receiver is refused with E2BIG, and gone.
#[fault(MSGOP_2, "msgrcv()", on = [MSGRCV])]
fn message_too_long_for_its_receiver_is_lost(call: &mut Call) -> Result<Effect> {
    let [queue, .., size, kind, flags, _] = call.arguments();
    let buffer = call.scratch(&[0; 1024])?;
    call.then(move |call| {
        if call.result() != -(E2BIG as i64) || size > 1000 {
            return call.proceed();
        }
        let flags = flags | MSG_NOERROR as u64;
        call.instead(libc::SYS_msgrcv, [queue, buffer, size, kind, flags, 0], |call| {
            call.fail(E2BIG)
        })
    })
}

/// A message that is cut by MSG_NOERROR gets a NUL behind it, where the buffer ends.
#[fault(MSGOP_2, "msgrcv()", on = [MSGRCV])]
fn truncation_ends_with_a_nul(call: &mut Call) -> Result<Effect> {
    let [_, buffer, size, ..] = call.arguments();
    let cuts = call.has_flag(MSG_NOERROR);
    call.then(move |call| {
        if cuts && call.result() == size as i64 {
            call.set_number_at(buffer + TYPE + size, 0_u8)?;
        }
        call.proceed()
    })
}

/// A message that is cut by MSG_NOERROR stays in the queue, cut.
#[fault(MSGOP_2, "msgrcv()", on = [MSGRCV])]
fn truncated_message_stays(call: &mut Call) -> Result<Effect> {
    let size = call.argument(2) as i64;
    let cuts = call.has_flag(MSG_NOERROR);
    call.then(
        move |call| {
            if cuts && call.result() == size { put_back(call, size) } else { call.proceed() }
        },
    )
}

/// A sender that sleeps until there is room is never told of it.
#[fault(MSGOP_2, "msgsnd()", on = [MSGSND])]
fn receive_wakes_no_sender(call: &mut Call) -> Result<Effect> {
    call.message_telling_sleep(|call, slept| {
        if slept && call.result() == 0 { call.sleep() } else { call.proceed() }
    })
}

/// The first message wakes the receiver that sleeps for it; the second wakes nobody.
#[fault(MSGOP_2, "msgrcv()", on = [MSGRCV])]
fn second_message_wakes_no_receiver(call: &mut Call) -> Result<Effect> {
    let queue = call.queue();
    call.message_telling_sleep(move |call, slept| {
        let second = slept && call.result() >= 0 && call.notes().count(queue) > 0;
        if second { call.sleep() } else { call.proceed() }
    })
}

/// A sender that sleeps is not told when IPC_SET makes room for it.
#[fault(MSGOP_2, "msgsnd()", on = [MSGSND, MSGRCV, MSGCTL])]
fn raised_capacity_wakes_no_sender(call: &mut Call) -> Result<Effect> {
    let queue = call.queue();
    if call.number() != libc::SYS_msgsnd {
        let raised = call.number() == libc::SYS_msgctl && call.command() == IPC_SET;
        *call.notes().of(queue) = raised.then_some(1);
        return call.proceed();
    }
    call.message_telling_sleep(move |call, slept| {
        let raised = call.notes().has(queue);
        if slept && raised && call.result() == 0 { call.sleep() } else { call.proceed() }
    })
}

/// A receive wakes one sender, also where it makes room for two.
#[fault(MSGOP_2, "msgsnd()", on = [MSGSND, MSGRCV])]
fn receive_wakes_one_sender(call: &mut Call) -> Result<Effect> {
    let queue = call.queue();
    if call.number() == libc::SYS_msgrcv {
        *call.notes().of(queue) = Some(0);
        return call.proceed();
    }
    call.message_telling_sleep(move |call, slept| {
        let second = slept && call.result() == 0 && call.notes().count(queue) > 0;
        if second { call.sleep() } else { call.proceed() }
    })
}

/// A message does not reach who sleeps for its type while an older sleeper wants another.
#[fault(MSGOP_2, "msgrcv()", on = [MSGRCV])]
fn message_passes_no_sleeper(call: &mut Call) -> Result<Effect> {
    let queue = call.queue();
    let (_, flags) = wanted(call)?;
    let mut arguments = call.arguments();
    arguments[4] = (flags | IPC_NOWAIT) as u64;
    call.instead(libc::SYS_msgrcv, arguments, move |call| {
        if call.result() != -(ENOMSG as i64) {
            return call.proceed();
        }
        let me = i64::from(call.thread().as_raw());
        call.notes().list(queue).push(me);
        call.once_more(move |call| {
            let oldest = call.notes().list(queue).first() == Some(&me);
            call.notes().list(queue).retain(|it| *it != me);
            if call.result() >= 0 && !oldest { call.sleep() } else { call.proceed() }
        })
    })
}

/// IPC_NOWAIT is ignored: the call sleeps.
#[fault(MSGOP_2, "DESCRIPTION", on = [MSGSND, MSGRCV])]
fn nowait_is_ignored(call: &mut Call) -> Result<Effect> {
    call.clear_flags(IPC_NOWAIT);
    call.proceed()
}

/// A message without a body is taken and forgotten where the queue is full.
#[fault(MSGOP_2, "msgsnd()", on = [MSGSND])]
fn empty_messages_take_no_room(call: &mut Call) -> Result<Effect> {
    let empty = call.argument(2) == 0;
    call.then(move |call| {
        if empty && call.result() == -(EAGAIN as i64) { call.give(0) } else { call.proceed() }
    })
}

/// Of a body of one byte too many all but that is sent.
#[fault(MSGOP_2, "NOTES", on = [MSGSND])]
fn too_long_a_body_is_cut(call: &mut Call) -> Result<Effect> {
    let mut arguments = call.arguments();
    call.then(move |call| {
        if call.result() != -(EINVAL as i64) || !(1..1 << 20).contains(&arguments[2]) {
            return call.proceed();
        }
        arguments[2] -= 1;
        call.instead(libc::SYS_msgsnd, arguments, |call| call.proceed())
    })
}

/// No body is longer than 8192 bytes, whatever is written to msgmax.
#[fault(MSGOP_2, "NOTES", on = [MSGSND])]
fn msgmax_is_a_constant(call: &mut Call) -> Result<Effect> {
    if call.argument(2) > 8192 { call.fail(EINVAL) } else { call.proceed() }
}

/// A length that was beyond msgmax once is beyond it for everybody from then on.
#[fault(IPC_NAMESPACES_7, "DESCRIPTION", on = [MSGSND])]
fn msgmax_once_met_holds_everywhere(call: &mut Call) -> Result<Effect> {
    let length = call.argument(2) as i64;
    if call.notes().of(0).is_some_and(|least| length >= least) {
        return call.fail(EINVAL);
    }
    call.then(move |call| {
        if call.result() == -(EINVAL as i64) && length > 0 {
            *call.notes().of(0) = Some(length);
        }
        call.proceed()
    })
}

/// msg_qbytes can be lowered, and never raised again.
#[fault(MSGCTL_2, "DESCRIPTION", on = [MSGCTL])]
fn qbytes_can_only_be_lowered(call: &mut Call) -> Result<Effect> {
    if call.command() != IPC_SET {
        return call.proceed();
    }
    let (queue, asked) = (call.queue(), call.number_at::<i64>(call.argument(2) + 88)?);
    let least = call.notes().of(queue).unwrap_or(16384);
    if asked > least {
        return call.fail(EPERM);
    }
    *call.notes().of(queue) = Some(asked);
    call.proceed()
}

/// Once msgget has found no room for a queue there is none, whatever is removed.
#[fault(MSGGET_2, "ERRORS", on = [MSGGET])]
fn full_table_stays_full(call: &mut Call) -> Result<Effect> {
    if call.notes().has(0) {
        return call.fail(ENOSPC);
    }
    call.then(|call| {
        if call.result() == -(ENOSPC as i64) {
            call.notes().count(0);
        }
        call.proceed()
    })
}

/// Removal ends the sleep of one sleeper; the others sleep on.
#[fault(MSGCTL_2, "DESCRIPTION", on = [MSGSND, MSGRCV])]
fn removal_wakes_the_first_sleeper_only(call: &mut Call) -> Result<Effect> {
    let queue = call.queue();
    call.then_always(move |call| {
        let second = call.result() == -(EIDRM as i64) && call.notes().count(queue) > 0;
        if second { call.sleep() } else { call.proceed() }
    })
}

/// How the kernel notes that a msgsnd or a msgrcv was interrupted: it is
/// restarted, but not after a handler.
const INTERRUPTED: i64 = -514;

/// After a handler with SA_RESTART a send or a receive goes on.
#[fault(MSGOP_2, "msgrcv()", on = [MSGSND, MSGRCV])]
fn handler_with_sa_restart_restarts_a_call(call: &mut Call) -> Result<Effect> {
    call.then_always(
        |call| {
            if call.result() == INTERRUPTED { call.restart() } else { call.proceed() }
        },
    )
}

/// A receiver that is stopped and continued returns EINTR.
#[fault(SIGNAL_7, "Interruption of system calls and library functions by stop signals", on = [MSGRCV])]
fn stop_and_continue_end_a_receive(call: &mut Call) -> Result<Effect> {
    call.then_interrupted()
}

/// A sender that is stopped and continued returns EINTR.
#[fault(SIGNAL_7, "Interruption of system calls and library functions by stop signals", on = [MSGSND])]
fn stop_and_continue_end_a_send(call: &mut Call) -> Result<Effect> {
    call.then_interrupted()
}

/// A queue is removed when the process that made it exits.
#[fault(IPC_NAMESPACES_7, "DESCRIPTION", on = [MSGGET, EXIT_GROUP])]
fn queue_goes_with_its_creator(call: &mut Call) -> Result<Effect> {
    let me = call.process().as_raw() as u64;
    if call.number() == libc::SYS_msgget {
        let created = call.argument(1) & IPC_CREAT as u64 != 0;
        return call.then(move |call| {
            let queue = call.result();
            if created && queue >= 0 {
                call.notes().list(me).push(queue);
            }
            call.proceed()
        });
    }
    let queues = call.notes().list(me).clone();
    let remove = |queue: i64| (libc::SYS_msgctl, [queue as u64, IPC_RMID as u64, 0, 0, 0, 0]);
    let mut calls: Vec<_> = queues.into_iter().map(remove).collect();
    calls.push((call.number(), call.arguments()));
    call.instead_all(calls, |call| call.proceed())
}

/// IPC_EXCL is ignored: the queue that exists is found.
#[fault(MSGGET_2, "DESCRIPTION", on = [MSGGET])]
fn exclusive_creation_finds_what_is_there(call: &mut Call) -> Result<Effect> {
    call.set_argument(1, call.argument(1) & !(libc::IPC_EXCL as u64));
    call.proceed()
}

/// msgget gives the identifier of a queue to who may not access it.
#[fault(MSGGET_2, "DESCRIPTION", on = [MSGGET])]
fn key_leads_past_the_permissions(call: &mut Call) -> Result<Effect> {
    let key = call.argument(0);
    call.then(move |call| match call.result() {
        refused if refused == -(EACCES as i64) => {
            call.instead(libc::SYS_msgget, [key, 0, 0, 0, 0, 0], |call| call.proceed())
        }
        _ => call.proceed(),
    })
}

/// What msgsnd should refuse is dropped and told as sent.
#[fault(MSGOP_2, "ERRORS", on = [MSGSND])]
fn msgsnd_refuses_nothing(call: &mut Call) -> Result<Effect> {
    call.then(|call| if call.result() < 0 { call.give(0) } else { call.proceed() })
}

/// What msgrcv should refuse is told as an empty message.
#[fault(MSGOP_2, "ERRORS", on = [MSGRCV])]
fn msgrcv_refuses_nothing(call: &mut Call) -> Result<Effect> {
    call.then(|call| if call.result() < 0 { call.give(0) } else { call.proceed() })
}
