//! Wrong notifications: too often, too early, to the wrong one, or told
//! wrong.

use libc::{SI_MESGQ, SIGEV_NONE, SIGEV_SIGNAL, c_long};

use crate::prelude::*;

/// The faults of this module.
pub const FAULTS: &[Fault] = &[
    receive_renews_the_registration,
    registration_is_told_of_what_is_there,
    sleeping_receiver_uses_up_the_registration,
    null_notification_sends_its_signal,
    null_notification_registers_nobody,
    two_processes_may_be_registered,
    unregistering_does_nothing,
    close_keeps_the_registration,
    exit_keeps_the_registration,
    notification_names_its_receiver,
    notification_loses_its_value,
    anything_can_be_registered,
    size_counts_what_the_kernel_adds,
    file_hides_a_null_notification,
];

/// The size of a sigevent.
const EVENT: usize = 64;

/// Whose registration at which queue.
fn key(call: &Call) -> Result<u64> {
    Ok(call.fd(0)?.inode << 24 | call.process().as_raw() as u64)
}

/// Notes what a process registers with; whether it is an mq_notify.
fn noting(call: &mut Call) -> Result<Option<Effect>> {
    if call.number() != libc::SYS_mq_notify {
        return Ok(None);
    }
    let (key, event) = (key(call)?, call.argument(1));
    let event = if event == 0 { vec![] } else { call.memory(event, EVENT)? };
    call.then(move |call| {
        if call.result() == 0 {
            *call.notes().list(key) = event.into_iter().map(i64::from).collect();
        }
        call.proceed()
    })
    .map(Some)
}

/// The sigevent with which this process has registered, in scratch memory.
fn registered(call: &mut Call) -> Result<u64> {
    let key = key(call)?;
    let event: Vec<_> = call.notes().list(key).iter().map(|byte| *byte as u8).collect();
    if event.is_empty() { Err(ENOENT) } else { call.scratch(&event) }
}

/// A receive registers the process once more that had registered before.
#[fault(MQ_NOTIFY_3, "DESCRIPTION", on = [MQ_NOTIFY, MQ_RECEIVE])]
fn receive_renews_the_registration(call: &mut Call) -> Result<Effect> {
    if let Some(effect) = noting(call)? {
        return Ok(effect);
    }
    let (queue, event) = (call.argument(0), registered(call)?);
    call.then(move |call| {
        let length = call.result();
        let again = [queue, event, 0, 0, 0, 0];
        call.instead(libc::SYS_mq_notify, again, move |call| call.give(length))
    })
}

/// Who registers while there are messages is told at once.
#[fault(MQ_NOTIFY_3, "DESCRIPTION", on = [MQ_NOTIFY])]
fn registration_is_told_of_what_is_there(call: &mut Call) -> Result<Effect> {
    let [queue, event, ..] = call.arguments();
    let signal = call.number_at::<i32>(event + 8)?;
    let attributes = call.scratch(&[0; 64])?;
    let me = call.process().as_raw() as u64;
    call.then(move |call| {
        if call.result() != 0 {
            return call.proceed();
        }
        let get = [queue, 0, attributes, 0, 0, 0];
        call.instead(libc::SYS_mq_getsetattr, get, move |call| {
            if call.number_at::<c_long>(attributes + 24)? == 0 {
                return call.give(0);
            }
            let kill = [me, signal as u64, 0, 0, 0, 0];
            call.instead(libc::SYS_kill, kill, |call| call.give(0))
        })
    })
}

/// A message that a sleeping receiver takes uses up the registration of the sender.
#[fault(MQ_NOTIFY_3, "DESCRIPTION", on = [MQ_NOTIFY, MQ_SEND, MQ_RECEIVE])]
fn sleeping_receiver_uses_up_the_registration(call: &mut Call) -> Result<Effect> {
    if let Some(effect) = noting(call)? {
        return Ok(effect);
    }
    let (queue, number) = (call.fd(0)?, call.argument(0));
    if call.number() == libc::SYS_mq_timedreceive {
        *call.notes().of(queue.inode) = Some(1);
        return call.proceed();
    }
    let taken = call.notes().of(queue.inode).take();
    if taken.is_none() || registered(call).is_err() {
        return call.proceed();
    }
    call.then(move |call| {
        let remove = [number, 0, 0, 0, 0, 0];
        call.instead(libc::SYS_mq_notify, remove, |call| call.give(0))
    })
}

/// SIGEV_NONE sends the signal that stands in the sigevent.
#[fault(MQ_NOTIFY_3, "DESCRIPTION", on = [MQ_NOTIFY])]
fn null_notification_sends_its_signal(call: &mut Call) -> Result<Effect> {
    let kind = call.argument(1) + 12;
    if call.number_at::<i32>(kind)? == SIGEV_NONE {
        call.set_number_at(kind, SIGEV_SIGNAL)?;
    }
    call.proceed()
}

/// SIGEV_NONE is accepted, and registers nobody.
#[fault(MQ_NOTIFY_3, "DESCRIPTION", on = [MQ_NOTIFY])]
fn null_notification_registers_nobody(call: &mut Call) -> Result<Effect> {
    let none = call.number_at::<i32>(call.argument(1) + 12)? == SIGEV_NONE;
    if none { call.give(0) } else { call.proceed() }
}

/// A second process that registers is told that it is.
#[fault(MQ_NOTIFY_3, "DESCRIPTION", on = [MQ_NOTIFY])]
fn two_processes_may_be_registered(call: &mut Call) -> Result<Effect> {
    call.then(|call| if call.result() == -(EBUSY as i64) { call.give(0) } else { call.proceed() })
}

/// mq_notify with no event leaves the registration.
#[fault(MQ_NOTIFY_3, "DESCRIPTION", on = [MQ_NOTIFY])]
fn unregistering_does_nothing(call: &mut Call) -> Result<Effect> {
    if call.argument(1) == 0 { call.give(0) } else { call.proceed() }
}

/// The registration outlives the descriptor that it was asked through, while the process has another.
#[fault(MQ_CLOSE_3, "DESCRIPTION", on = [MQ_NOTIFY, CLOSE])]
fn close_keeps_the_registration(call: &mut Call) -> Result<Effect> {
    if let Some(effect) = noting(call)? {
        return Ok(effect);
    }
    let (closed, event) = (call.fd(0)?, registered(call)?);
    let same = |number: &i32| {
        let other = call.descriptor(*number);
        other.is_ok_and(|other| other.inode == closed.inode && other.number != closed.number)
    };
    let Some(other) = (3..16).find(same) else { return call.proceed() };
    call.then(move |call| {
        let again = [other as u64, event, 0, 0, 0, 0];
        call.instead(libc::SYS_mq_notify, again, |call| call.give(0))
    })
}

/// A process that exits stays registered.
#[fault(MQ_NOTIFY_3, "DESCRIPTION", on = [MQ_NOTIFY])]
fn exit_keeps_the_registration(call: &mut Call) -> Result<Effect> {
    let [number, event, ..] = call.arguments();
    let (queue, me) = (call.fd(0)?.inode, i64::from(call.process().as_raw()));
    call.then(move |call| {
        let before = *call.notes().of(queue);
        if call.result() != 0 {
            return call.proceed();
        }
        if event == 0 {
            *call.notes().of(queue) = None;
            return call.proceed();
        }
        if before.is_none_or(|before| before == me) {
            *call.notes().of(queue) = Some(me);
            return call.proceed();
        }
        call.instead(libc::SYS_mq_notify, [number, 0, 0, 0, 0, 0], |call| call.fail(EBUSY))
    })
}

/// A signal that was accepted; then `change` is given the address of what came with it.
fn accepted(
    call: &mut Call,
    change: impl FnOnce(&mut Call, u64) -> Result<()> + 'static,
) -> Result<Effect> {
    let info = call.argument(1);
    call.then(move |call| {
        if call.result() > 0 && call.number_at::<i32>(info + 8)? == SI_MESGQ {
            change(call, info)?;
        }
        call.proceed()
    })
}

/// The notification names the process that gets it, not the one that sent the message.
#[fault(MQ_NOTIFY_3, "DESCRIPTION", on = [SIGTIMEDWAIT])]
fn notification_names_its_receiver(call: &mut Call) -> Result<Effect> {
    accepted(call, |call, info| {
        let me = call.process().as_raw();
        call.set_number_at(info + 16, me)
    })
}

/// Of the value that comes with the notification the low byte alone arrives.
#[fault(MQ_NOTIFY_3, "DESCRIPTION", on = [SIGTIMEDWAIT])]
fn notification_loses_its_value(call: &mut Call) -> Result<Effect> {
    accepted(call, |call, info| {
        let value = call.number_at::<u64>(info + 24)?;
        call.set_number_at(info + 24, value & 0xff)
    })
}

/// mq_notify accepts every descriptor, every kind and every signal, and registers nobody for them.
#[fault(MQ_NOTIFY_3, "ERRORS", on = [MQ_NOTIFY])]
fn anything_can_be_registered(call: &mut Call) -> Result<Effect> {
    call.then(|call| {
        let refused = [EBADF, EINVAL].map(|errno| -(errno as i64)).contains(&call.result());
        if refused { call.give(0) } else { call.proceed() }
    })
}

/// What is read from the file of a queue; then `change` gives what is told.
fn told(call: &mut Call, change: impl FnOnce(&str) -> Option<String> + 'static) -> Result<Effect> {
    let [_, buffer, size, ..] = call.arguments();
    call.then(move |call| {
        let length = call.result().max(0) as usize;
        let text = String::from_utf8(call.memory(buffer, length)?).map_err(|_| EILSEQ)?;
        let text = text.starts_with("QSIZE:").then(|| change(&text)).flatten();
        match text {
            Some(text) if text.len() as u64 <= size => {
                call.set_memory(buffer, text.as_bytes())?;
                call.give(text.len() as i64)
            }
            _ => call.proceed(),
        }
    })
}

/// QSIZE counts what the kernel keeps beside the messages.
#[fault(MQ_OVERVIEW_7, "BUGS", on = [READ])]
fn size_counts_what_the_kernel_adds(call: &mut Call) -> Result<Effect> {
    told(call, |text| {
        let (size, rest) = text.strip_prefix("QSIZE:")?.split_once(' ')?;
        let size: u64 = size.trim().parse().ok()?;
        Some(format!("QSIZE:{} {rest}", size + 48))
    })
}

/// NOTIFY_PID tells 0 where nobody is to get a signal.
#[fault(MQ_OVERVIEW_7, "Mounting the message queue filesystem", on = [READ])]
fn file_hides_a_null_notification(call: &mut Call) -> Result<Effect> {
    told(call, |text| {
        let (before, _) = text.split_once("NOTIFY_PID:")?;
        before.contains("NOTIFY:1").then(|| format!("{before}NOTIFY_PID:0\n"))
    })
}
