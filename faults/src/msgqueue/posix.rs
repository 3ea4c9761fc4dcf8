//! Wrong POSIX queues: order, limits, time, names, attributes.

use std::fs;

use libc::{
    F_SETFD, FD_CLOEXEC, O_ACCMODE, O_CREAT, O_EXCL, O_NONBLOCK, O_RDONLY, O_RDWR, O_WRONLY,
    POLLOUT, RLIMIT_MSGQUEUE, RLIMIT_NOFILE,
};

use crate::prelude::*;

/// The faults of this module.
pub const FAULTS: &[Fault] = &[
    byte_behind_the_first_page_is_lost,
    long_body_is_taken_when_it_is_received,
    received_message_stays,
    empty_message_is_lost,
    priorities_above_seven_are_one,
    priority_beyond_the_highest_is_the_highest,
    send_waits_for_a_receiver,
    woken_sender_loses_its_priority,
    receive_wakes_no_sender,
    second_receive_wakes_no_sender,
    send_wakes_no_receiver,
    second_send_wakes_no_receiver,
    nonblocking_flag_of_setattr_is_told_alone,
    nonblocking_flag_of_open_is_ignored,
    nonblocking_flag_belongs_to_the_queue,
    setattr_tells_what_is_new,
    setattr_takes_any_flag,
    too_long_a_body_is_cut,
    too_small_a_buffer_loses_the_message,
    attributes_beyond_the_ceilings_are_made_one,
    ceilings_are_constants,
    defaults_are_constants,
    full_table_stays_full,
    queues_count_against_the_limit_for_ever,
    resource_limits_bind_nobody,
    time_that_has_passed_never_comes,
    time_that_has_passed_refuses_everything,
    wait_gives_up_early,
    invalid_time_has_passed,
    handler_never_ends_a_wait,
    handler_always_ends_a_wait,
    handler_always_ends_a_send,
    queue_goes_with_its_creator,
    unlink_leaves_the_name,
    unlink_empties_the_queue,
    exclusive_creation_has_two_winners,
    every_queue_is_open_for_both_directions,
    open_grants_what_the_mode_allows,
    umask_is_ignored,
    send_wakes_no_poller,
    full_queue_is_ready_to_be_written,
    empty_queue_is_ready_to_be_read,
    descriptor_stays_open_on_exec,
    open_makes_what_is_missing,
    impossible_name_is_taken_for_another,
    attributes_of_anything_are_told,
];

fn sends(call: &Call) -> bool {
    call.number() == libc::SYS_mq_timedsend
}

/// Kernels keep a long message in pieces of a page: the first byte of the second piece is lost.
#[fault(MQ_SEND_3, "DESCRIPTION", on = [MQ_SEND])]
fn byte_behind_the_first_page_is_lost(call: &mut Call) -> Result<Effect> {
    let (body, first) = (call.argument(1), page_size() as u64 - 48);
    if call.argument(2) > first {
        call.set_number_at(body + first, 0_u8)?;
    }
    call.proceed()
}

/// A body longer than a page is not copied until it is received.
#[fault(MQ_SEND_3, "DESCRIPTION", on = [MQ_SEND, MQ_RECEIVE])]
fn long_body_is_taken_when_it_is_received(call: &mut Call) -> Result<Effect> {
    let (queue, body) = (call.fd(0)?.inode, call.argument(1));
    if sends(call) {
        let long = call.argument(2) > page_size() as u64;
        *call.notes().of(queue) = long.then_some(body as i64);
        return call.proceed();
    }
    let sent = call.notes().of(queue).take();
    call.then(move |call| {
        let (length, Some(sent)) = (call.result(), sent) else { return call.proceed() };
        if length > page_size() as i64 {
            let late = call.memory(sent as u64, length as usize)?;
            call.set_memory(body, &late)?;
        }
        call.proceed()
    })
}

/// A message that is received stays in the queue.
#[fault(MQ_RECEIVE_3, "DESCRIPTION", on = [MQ_RECEIVE])]
fn received_message_stays(call: &mut Call) -> Result<Effect> {
    let [queue, body, _, priority, ..] = call.arguments();
    // Not for ever, or the queue is never empty.
    if call.notes().count(call.fd(0)?.inode) % 2 == 1 {
        return call.proceed();
    }
    call.then(move |call| {
        let length = call.result();
        if length < 0 {
            return call.proceed();
        }
        let priority = call.number_at::<u32>(priority)?;
        let again = [queue, body, length as u64, priority.into(), 0, 0];
        call.instead(libc::SYS_mq_timedsend, again, move |call| call.give(length))
    })
}

/// A message without a body is told as sent, and is not there.
#[fault(MQ_SEND_3, "DESCRIPTION", on = [MQ_SEND])]
fn empty_message_is_lost(call: &mut Call) -> Result<Effect> {
    if call.argument(2) == 0 { call.give(0) } else { call.proceed() }
}

/// All priorities above 7 are the same.
#[fault(MQ_OVERVIEW_7, "DESCRIPTION", on = [MQ_SEND])]
fn priorities_above_seven_are_one(call: &mut Call) -> Result<Effect> {
    call.set_argument(3, call.argument(3).min(7));
    call.proceed()
}

/// A priority that is too high is taken for the highest.
#[fault(MQ_OVERVIEW_7, "DESCRIPTION", on = [MQ_SEND])]
fn priority_beyond_the_highest_is_the_highest(call: &mut Call) -> Result<Effect> {
    call.set_argument(3, call.argument(3).min(32767));
    call.proceed()
}

/// Waits until the queue is empty, looking every 700 ms.
fn until_empty(call: &mut Call, queue: u64, attributes: u64, pause: u64) -> Result<Effect> {
    let get = [queue, 0, attributes, 0, 0, 0];
    call.instead(libc::SYS_mq_getsetattr, get, move |call| {
        if call.result() != 0 || call.number_at::<i64>(attributes + 24)? == 0 {
            return call.give(0);
        }
        call.instead(libc::SYS_nanosleep, [pause, 0, 0, 0, 0, 0], move |call| {
            let slept = call.result() == 0;
            if slept { until_empty(call, queue, attributes, pause) } else { call.give(0) }
        })
    })
}

/// A send returns only when the message has been received.
#[fault(MQ_SEND_3, "DESCRIPTION", on = [MQ_SEND])]
fn send_waits_for_a_receiver(call: &mut Call) -> Result<Effect> {
    let (queue, told) = (call.argument(0), call.scratch(&[0; 64])?);
    let pause: Vec<_> = [0, 700_000_000_i64].into_iter().flat_map(i64::to_ne_bytes).collect();
    let pause = call.scratch(&pause)?;
    call.then(move |call| {
        if call.result() == 0 { until_empty(call, queue, told, pause) } else { call.proceed() }
    })
}

/// A message whose sender had to sleep has the lowest priority.
#[fault(MQ_SEND_3, "DESCRIPTION", on = [MQ_SEND])]
fn woken_sender_loses_its_priority(call: &mut Call) -> Result<Effect> {
    let mut arguments = call.arguments();
    if arguments[4] != 0 {
        return call.proceed();
    }
    arguments[4] = call.scratch(&[0; 16])?;
    call.instead(libc::SYS_mq_timedsend, arguments, move |call| {
        if call.result() != -(ETIMEDOUT as i64) {
            return call.proceed();
        }
        arguments[3..5].copy_from_slice(&[0, 0]);
        call.instead(libc::SYS_mq_timedsend, arguments, |call| call.proceed())
    })
}

/// A sender that sleeps until there is room is never told of it.
#[fault(MQ_SEND_3, "DESCRIPTION", on = [MQ_SEND])]
fn receive_wakes_no_sender(call: &mut Call) -> Result<Effect> {
    call.mq_telling_sleep(
        |call, slept| {
            if slept && call.result() == 0 { call.sleep() } else { call.proceed() }
        },
    )
}

/// The first receive wakes a sender that sleeps for room; the second wakes nobody.
#[fault(MQ_SEND_3, "DESCRIPTION", on = [MQ_SEND])]
fn second_receive_wakes_no_sender(call: &mut Call) -> Result<Effect> {
    let queue = call.fd(0)?.inode;
    call.mq_telling_sleep(move |call, slept| {
        let second = slept && call.result() == 0 && call.notes().count(queue) > 0;
        if second { call.sleep() } else { call.proceed() }
    })
}

/// A receiver that sleeps until a message comes is never told of it.
#[fault(MQ_RECEIVE_3, "DESCRIPTION", on = [MQ_RECEIVE])]
fn send_wakes_no_receiver(call: &mut Call) -> Result<Effect> {
    call.mq_telling_sleep(
        |call, slept| {
            if slept && call.result() >= 0 { call.sleep() } else { call.proceed() }
        },
    )
}

/// The first message to come wakes the receiver that sleeps for it; the second wakes nobody.
#[fault(MQ_RECEIVE_3, "DESCRIPTION", on = [MQ_RECEIVE])]
fn second_send_wakes_no_receiver(call: &mut Call) -> Result<Effect> {
    let queue = call.fd(0)?.inode;
    call.mq_telling_sleep(move |call, slept| {
        let second = slept && call.result() >= 0 && call.notes().count(queue) > 0;
        if second { call.sleep() } else { call.proceed() }
    })
}

/// O_NONBLOCK that mq_setattr sets is told by mq_getattr, and does nothing.
#[fault(MQ_GETATTR_3, "DESCRIPTION", on = [MQ_GETSETATTR, MQ_SEND, MQ_RECEIVE])]
fn nonblocking_flag_of_setattr_is_told_alone(call: &mut Call) -> Result<Effect> {
    let queue = call.fd(0)?.inode;
    if call.number() == libc::SYS_mq_getsetattr {
        if call.argument(1) != 0 {
            call.notes().count(queue);
        }
        return call.proceed();
    }
    call.then(move |call| {
        let set = call.notes().has(queue);
        if set && call.result() == -(EAGAIN as i64) { call.sleep() } else { call.proceed() }
    })
}

/// O_NONBLOCK of mq_open is ignored.
#[fault(MQ_OPEN_3, "DESCRIPTION", on = [MQ_OPEN])]
fn nonblocking_flag_of_open_is_ignored(call: &mut Call) -> Result<Effect> {
    call.set_argument(1, call.argument(1) & !(O_NONBLOCK as u64));
    call.proceed()
}

/// O_NONBLOCK that is set through one descriptor holds for all of the queue.
#[fault(MQ_OVERVIEW_7, "DESCRIPTION", on = [MQ_GETSETATTR])]
fn nonblocking_flag_belongs_to_the_queue(call: &mut Call) -> Result<Effect> {
    let [_, new, old, ..] = call.arguments();
    let queue = call.fd(0)?.inode;
    if new != 0 {
        let flags = call.number_at::<i64>(new)?;
        *call.notes().of(queue) = Some(flags);
        return call.proceed();
    }
    call.then(move |call| {
        let flags = *call.notes().of(queue);
        if let (0, Some(flags)) = (call.result(), flags) {
            call.set_number_at(old, flags)?;
        }
        call.proceed()
    })
}

/// mq_setattr tells the attributes that it has set, not those before.
#[fault(MQ_GETATTR_3, "DESCRIPTION", on = [MQ_GETSETATTR])]
fn setattr_tells_what_is_new(call: &mut Call) -> Result<Effect> {
    let [_, new, old, ..] = call.arguments();
    let flags = call.number_at::<i64>(new)?;
    call.then(move |call| {
        if call.result() == 0 && old != 0 {
            call.set_number_at(old, flags)?;
        }
        call.proceed()
    })
}

/// mq_setattr ignores flags that it does not know.
#[fault(MQ_GETATTR_3, "ERRORS", on = [MQ_GETSETATTR])]
fn setattr_takes_any_flag(call: &mut Call) -> Result<Effect> {
    let new = call.argument(1);
    let flags = call.number_at::<i64>(new)?;
    call.set_number_at(new, flags & i64::from(O_NONBLOCK))?;
    call.proceed()
}

/// Of a body of one byte too many all but that is sent.
#[fault(MQ_SEND_3, "DESCRIPTION", on = [MQ_SEND])]
fn too_long_a_body_is_cut(call: &mut Call) -> Result<Effect> {
    let mut arguments = call.arguments();
    call.then(move |call| {
        if call.result() != -(EMSGSIZE as i64) {
            return call.proceed();
        }
        arguments[2] -= 1;
        call.instead(libc::SYS_mq_timedsend, arguments, |call| call.proceed())
    })
}

/// A buffer that is too small is refused with EMSGSIZE, and the message is gone.
#[fault(MQ_RECEIVE_3, "DESCRIPTION", on = [MQ_RECEIVE])]
fn too_small_a_buffer_loses_the_message(call: &mut Call) -> Result<Effect> {
    let (queue, room) = (call.argument(0), call.scratch(&[0; 1024])?);
    call.then(move |call| {
        if call.result() != -(EMSGSIZE as i64) {
            return call.proceed();
        }
        let lose = [queue, room, 1024, 0, 0, 0];
        call.instead(libc::SYS_mq_timedreceive, lose, |call| call.fail(EMSGSIZE))
    })
}

/// Attributes for mq_open, in scratch memory.
fn attributes(call: &mut Call, messages: i64, size: i64) -> Result<u64> {
    let bytes: Vec<_> = [0, messages, size, 0].into_iter().flat_map(i64::to_ne_bytes).collect();
    call.scratch(&bytes)
}

/// Attributes that are refused are made 1.
#[fault(MQ_OPEN_3, "ERRORS", on = [MQ_OPEN])]
fn attributes_beyond_the_ceilings_are_made_one(call: &mut Call) -> Result<Effect> {
    let mut arguments = call.arguments();
    let least = attributes(call, 1, 1)?;
    call.then(move |call| {
        if call.result() != -(EINVAL as i64) || arguments[3] == 0 {
            return call.proceed();
        }
        arguments[3] = least;
        call.instead(libc::SYS_mq_open, arguments, |call| call.proceed())
    })
}

/// The ceilings are 10 and 8192, whatever is written to /proc, and bind the privileged too.
#[fault(MQ_OVERVIEW_7, "/proc interfaces", on = [MQ_OPEN])]
fn ceilings_are_constants(call: &mut Call) -> Result<Effect> {
    let attr = call.argument(3);
    let beyond = call.number_at::<i64>(attr + 8)? > 10 || call.number_at::<i64>(attr + 16)? > 8192;
    if beyond { call.fail(EINVAL) } else { call.proceed() }
}

/// The defaults are 10 and 8192, whatever is written to /proc.
#[fault(MQ_OVERVIEW_7, "/proc interfaces", on = [MQ_OPEN])]
fn defaults_are_constants(call: &mut Call) -> Result<Effect> {
    if call.argument(3) == 0 && call.argument(1) & O_CREAT as u64 != 0 {
        let defaults = attributes(call, 10, 8192)?;
        call.set_argument(3, defaults);
    }
    call.proceed()
}

/// Once mq_open has found no room for a queue there is none, whatever is removed.
#[fault(MQ_OPEN_3, "ERRORS", on = [MQ_OPEN])]
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

/// A queue that was removed still counts against RLIMIT_MSGQUEUE.
#[fault(GETRLIMIT_2, "DESCRIPTION", on = [MQ_OPEN])]
fn queues_count_against_the_limit_for_ever(call: &mut Call) -> Result<Effect> {
    let attr = call.argument(3);
    let size = call.number_at::<i64>(attr + 8)? * call.number_at::<i64>(attr + 16)?;
    let taken = call.notes().of(0).unwrap_or(0) + size;
    *call.notes().of(0) = Some(taken);
    let limits = fs::read_to_string(format!("/proc/{}/limits", call.thread()));
    let limits = limits.map_err(|_| ESRCH)?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max msgqueue size"));
    let soft = line.and_then(|line| line.split_whitespace().next()?.parse::<i64>().ok());
    if soft.is_some_and(|soft| taken > soft) { call.fail(EMFILE) } else { call.proceed() }
}

/// RLIMIT_MSGQUEUE and RLIMIT_NOFILE are set and bind nobody.
#[fault(GETRLIMIT_2, "DESCRIPTION", on = [PRLIMIT])]
fn resource_limits_bind_nobody(call: &mut Call) -> Result<Effect> {
    let [first, second, new, ..] = call.arguments();
    let (resource, sets) =
        if call.number() == libc::SYS_prlimit64 { (second, new != 0) } else { (first, true) };
    let ignored = [RLIMIT_MSGQUEUE, RLIMIT_NOFILE].map(u64::from).contains(&resource);
    if sets && ignored { call.give(0) } else { call.proceed() }
}

/// A call with a time that has passed waits as if it had none.
#[fault(MQ_RECEIVE_3, "DESCRIPTION", on = [MQ_SEND, MQ_RECEIVE])]
fn time_that_has_passed_never_comes(call: &mut Call) -> Result<Effect> {
    if call.number_at::<i64>(call.argument(4))? == 1 {
        call.set_argument(4, 0);
    }
    call.proceed()
}

/// A time that has passed ends also a call that need not wait.
#[fault(MQ_RECEIVE_3, "DESCRIPTION", on = [MQ_SEND, MQ_RECEIVE])]
fn time_that_has_passed_refuses_everything(call: &mut Call) -> Result<Effect> {
    let past = call.number_at::<i64>(call.argument(4))? == 1;
    if past { call.fail(ETIMEDOUT) } else { call.proceed() }
}

/// A wait with a limit gives up 10 ms before it.
#[fault(MQ_RECEIVE_3, "DESCRIPTION", on = [MQ_SEND, MQ_RECEIVE])]
fn wait_gives_up_early(call: &mut Call) -> Result<Effect> {
    let limit = call.argument(4);
    let (seconds, nanoseconds) = (call.number_at::<i64>(limit)?, call.number_at::<i64>(limit + 8)?);
    if seconds > 1 {
        let early = seconds * 1_000_000_000 + nanoseconds - 10_000_000;
        call.set_number_at(limit, early / 1_000_000_000)?;
        call.set_number_at(limit + 8, early % 1_000_000_000)?;
    }
    call.proceed()
}

/// A time that cannot be is taken for one that has passed.
#[fault(MQ_RECEIVE_3, "ERRORS", on = [MQ_SEND, MQ_RECEIVE])]
fn invalid_time_has_passed(call: &mut Call) -> Result<Effect> {
    let timed = call.argument(4) != 0;
    call.then(move |call| {
        let refused = timed && call.result() == -(EINVAL as i64);
        if refused { call.fail(ETIMEDOUT) } else { call.proceed() }
    })
}

/// How the kernel notes that the call was interrupted: it is restarted where a
/// handler has SA_RESTART.
const INTERRUPTED: i64 = -512;

/// A send or a receive goes on after every handler, with SA_RESTART or without.
#[fault(MQ_RECEIVE_3, "ERRORS", on = [MQ_SEND, MQ_RECEIVE])]
fn handler_never_ends_a_wait(call: &mut Call) -> Result<Effect> {
    call.then_always(
        |call| {
            if call.result() == INTERRUPTED { call.give(-513) } else { call.proceed() }
        },
    )
}

/// A send or a receive ends with EINTR after every handler, with SA_RESTART or without.
#[fault(SIGNAL_7, "Interruption of system calls and library functions by signal handlers", on = [MQ_SEND, MQ_RECEIVE])]
fn handler_always_ends_a_wait(call: &mut Call) -> Result<Effect> {
    call.then_interrupted()
}

/// A send ends with EINTR after every handler, with SA_RESTART or without.
#[fault(SIGNAL_7, "Interruption of system calls and library functions by signal handlers", on = [MQ_SEND])]
fn handler_always_ends_a_send(call: &mut Call) -> Result<Effect> {
    call.then_interrupted()
}

/// A queue is removed when the process that made it exits.
#[fault(MQ_OVERVIEW_7, "Persistence", on = [MQ_OPEN, EXIT_GROUP])]
fn queue_goes_with_its_creator(call: &mut Call) -> Result<Effect> {
    let me = call.process().as_raw() as u64;
    if call.number() == libc::SYS_mq_open {
        let (name, created) = (call.argument(0), call.argument(1) & O_CREAT as u64 != 0);
        let name = call.text(name)?;
        return call.then(move |call| {
            if created && call.result() >= 0 {
                *call.notes().list(me) = name.bytes().map(i64::from).collect();
            }
            call.proceed()
        });
    }
    let name: Vec<_> = call.notes().list(me).iter().map(|byte| *byte as u8).chain([0]).collect();
    if name.len() == 1 {
        return call.proceed();
    }
    let name = call.scratch(&name)?;
    let calls =
        vec![(libc::SYS_mq_unlink, [name, 0, 0, 0, 0, 0]), (call.number(), call.arguments())];
    call.instead_all(calls, |call| call.proceed())
}

/// mq_unlink is told as done, whoever asks and whatever the name, and the name stays.
#[fault(MQ_UNLINK_3, "DESCRIPTION", on = [MQ_UNLINK])]
fn unlink_leaves_the_name(call: &mut Call) -> Result<Effect> {
    call.give(0)
}

/// Once a queue is unlinked there is nothing left in it to receive.
#[fault(MQ_UNLINK_3, "DESCRIPTION", on = [MQ_UNLINK, MQ_RECEIVE])]
fn unlink_empties_the_queue(call: &mut Call) -> Result<Effect> {
    if call.number() == libc::SYS_mq_unlink {
        return call.proceed();
    }
    let link = format!("/proc/{}/fd/{}", call.thread(), call.argument(0));
    let name = fs::read_link(link).map_err(|_| EBADF)?;
    let gone = name.to_string_lossy().ends_with(" (deleted)");
    if gone { call.fail(EAGAIN) } else { call.proceed() }
}

/// O_EXCL is ignored.
#[fault(MQ_OPEN_3, "DESCRIPTION", on = [MQ_OPEN])]
fn exclusive_creation_has_two_winners(call: &mut Call) -> Result<Effect> {
    call.set_argument(1, call.argument(1) & !(O_EXCL as u64));
    call.proceed()
}

/// mq_open with this access mode.
fn with_access(call: &Call, access: i32) -> [u64; 6] {
    let mut arguments = call.arguments();
    arguments[1] = (arguments[1] as i32 & !O_ACCMODE | access) as u64;
    arguments
}

/// A queue is open for both directions, whatever was asked for.
#[fault(MQ_OPEN_3, "DESCRIPTION", on = [MQ_OPEN])]
fn every_queue_is_open_for_both_directions(call: &mut Call) -> Result<Effect> {
    call.set_argument(1, with_access(call, O_RDWR)[1]);
    call.proceed()
}

/// mq_open of what the mode forbids opens for what it allows.
#[fault(MQ_OPEN_3, "ERRORS", on = [MQ_OPEN])]
fn open_grants_what_the_mode_allows(call: &mut Call) -> Result<Effect> {
    call.then(|call| {
        if call.result() != -(EACCES as i64) {
            return call.proceed();
        }
        call.instead(libc::SYS_mq_open, with_access(call, O_RDONLY), |call| {
            if call.result() != -(EACCES as i64) {
                return call.proceed();
            }
            call.instead(libc::SYS_mq_open, with_access(call, O_WRONLY), |call| call.proceed())
        })
    })
}

/// mq_open makes a queue; then a call on its descriptor follows.
fn then_on_it(call: &Call, number: i64, first: u64, second: u64) -> Result<Effect> {
    call.then(move |call| {
        let fd = call.result();
        if fd < 0 {
            return call.proceed();
        }
        let arguments = [fd as u64, first, second, 0, 0, 0];
        call.instead(number, arguments, move |call| call.give(fd))
    })
}

/// The mode of a new queue is not masked by the umask.
#[fault(MQ_OPEN_3, "DESCRIPTION", on = [MQ_OPEN])]
fn umask_is_ignored(call: &mut Call) -> Result<Effect> {
    let [_, flags, mode, ..] = call.arguments();
    if flags & O_CREAT as u64 == 0 {
        return call.proceed();
    }
    then_on_it(call, libc::SYS_fchmod, mode, 0)
}

/// poll of one descriptor happens; then `events` are there too, where they were asked for.
fn always(call: &mut Call, events: i16) -> Result<Effect> {
    let fds = call.argument(0);
    let asked = call.number_at::<i16>(fds + 4)? & events;
    call.then(move |call| {
        if asked == 0 || call.result() < 0 {
            return call.proceed();
        }
        let ready = call.number_at::<i16>(fds + 6)? | asked;
        call.set_number_at(fds + 6, ready)?;
        call.give(1)
    })
}

/// A message does not wake who sleeps in poll for it.
#[fault(MQ_OVERVIEW_7, "Linux implementation of message queue descriptors", on = [POLL])]
fn send_wakes_no_poller(call: &mut Call) -> Result<Effect> {
    let [fds, count, timeout, ..] = call.arguments();
    let queue = call.descriptor(call.number_at(fds)?)?;
    // A queue is a regular file by its kind.
    if call.number() != libc::SYS_poll || count != 1 || timeout == 0 || queue.kind != Kind::File {
        return call.proceed();
    }
    call.instead(libc::SYS_poll, [fds, count, 0, 0, 0, 0], |call| match call.result() {
        0 => call.once_more(|call| call.sleep()),
        _ => call.proceed(),
    })
}

/// poll finds a full queue writable.
#[fault(MQ_OVERVIEW_7, "Linux implementation of message queue descriptors", on = [POLL])]
fn full_queue_is_ready_to_be_written(call: &mut Call) -> Result<Effect> {
    always(call, POLLOUT)
}

/// poll finds an empty queue readable, where it is asked for that and more.
#[fault(MQ_OVERVIEW_7, "Linux implementation of message queue descriptors", on = [POLL])]
fn empty_queue_is_ready_to_be_read(call: &mut Call) -> Result<Effect> {
    let both = libc::POLLIN | POLLOUT;
    let asked = call.number_at::<i16>(call.argument(0) + 4)?;
    if asked == both { always(call, libc::POLLIN) } else { call.proceed() }
}

/// mq_open sets close-on-exec where O_CLOEXEC asks for it, and not else.
#[fault(MQ_OVERVIEW_7, "Linux implementation of message queue descriptors", on = [MQ_OPEN])]
fn descriptor_stays_open_on_exec(call: &mut Call) -> Result<Effect> {
    let asked = call.argument(1) & libc::O_CLOEXEC as u64 != 0;
    then_on_it(call, libc::SYS_fcntl, F_SETFD as u64, if asked { FD_CLOEXEC as u64 } else { 0 })
}

/// A queue that is missing is made, O_CREAT or not.
#[fault(MQ_OPEN_3, "ERRORS", on = [MQ_OPEN])]
fn open_makes_what_is_missing(call: &mut Call) -> Result<Effect> {
    if call.argument(1) & O_CREAT as u64 == 0 {
        call.set_argument(1, call.argument(1) | O_CREAT as u64);
        call.set_argument(2, 0o600);
        call.set_argument(3, 0);
    }
    call.proceed()
}

/// A name that no queue can have is taken for another.
#[fault(MQ_OPEN_3, "ERRORS", on = [MQ_OPEN])]
fn impossible_name_is_taken_for_another(call: &mut Call) -> Result<Effect> {
    let mut arguments = call.arguments();
    let name = call.text(arguments[0])?;
    let impossible = name.is_empty() || name.contains('/') || name.len() > 255;
    arguments[0] = call.scratch(b"ipcspec-other\0")?;
    arguments[1] |= O_CREAT as u64;
    if !impossible {
        return call.proceed();
    }
    arguments[2..4].copy_from_slice(&[0o600, 0]);
    call.instead(libc::SYS_mq_open, arguments, |call| call.proceed())
}

/// mq_getattr of a descriptor that is not of a queue tells nothing, and is told as done.
#[fault(MQ_GETATTR_3, "ERRORS", on = [MQ_GETSETATTR])]
fn attributes_of_anything_are_told(call: &mut Call) -> Result<Effect> {
    call.then(|call| if call.result() == -(EBADF as i64) { call.give(0) } else { call.proceed() })
}
