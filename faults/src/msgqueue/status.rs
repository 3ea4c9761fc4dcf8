//! Wrong answers of msgctl: what a System V queue tells of itself.

use libc::{IPC_INFO, IPC_RMID, IPC_SET, IPC_STAT, MSG_INFO, MSG_STAT};

use crate::prelude::*;
use ipcspec_cases::sys::msg::MSG_STAT_ANY;

/// The faults of this module.
pub const FAULTS: &[Fault] = &[
    bytes_in_a_queue_count_the_types,
    last_receiver_is_told_as_last_sender,
    send_sets_the_time_of_receiving,
    receive_sets_no_time,
    handed_over_message_leaves_no_trace,
    use_sets_the_time_of_change,
    capacity_is_told_as_the_default,
    new_queue_obeys_the_umask,
    ipc_set_forgets_the_group,
    ipc_set_needs_no_permission,
    ipc_info_tells_one_limit_for_two,
    msg_info_tells_the_limits,
    msg_info_counts_removed_queues,
    highest_index_is_told_as_a_number_of_queues,
    msg_stat_gives_the_index,
    msg_stat_any_asks_for_permission,
    removal_needs_no_permission,
    msgctl_refuses_nothing,
];

/// In `msqid64_ds`: the effective group of the owner.
const GROUP: u64 = 8;
/// In `msqid64_ds`: the effective group of the creator.
const CREATOR_GROUP: u64 = 16;
/// In `msqid64_ds`: the time of the last msgsnd.
const STIME: u64 = 48;
/// In `msqid64_ds`: the time of the last msgrcv.
const RTIME: u64 = 56;
/// In `msqid64_ds`: the time of the last change.
const CTIME: u64 = 64;
/// In `msqid64_ds`: the bytes in the queue.
const CBYTES: u64 = 72;
/// In `msqid64_ds`: the messages in the queue.
const QNUM: u64 = 80;
/// In `msqid64_ds`: the bytes that may be in the queue.
const QBYTES: u64 = 88;
/// In `msqid64_ds`: who sent last.
const LSPID: u64 = 96;
/// In `msqid64_ds`: who received last.
const LRPID: u64 = 100;

/// A msgctl of one of these commands happens; then `look` is given the
/// address of what it told.
fn told(
    call: &mut Call,
    commands: &[i32],
    look: impl FnOnce(&mut Call, u64) -> Result<()> + 'static,
) -> Result<Effect> {
    let address = call.argument(2);
    if !commands.contains(&call.command()) {
        return call.proceed();
    }
    call.then(move |call| {
        if call.result() >= 0 {
            look(call, address)?;
        }
        call.proceed()
    })
}

/// msg_cbytes counts the type of a message with its body.
#[fault(MSGCTL_2, "DESCRIPTION", on = [MSGCTL])]
fn bytes_in_a_queue_count_the_types(call: &mut Call) -> Result<Effect> {
    told(call, &[IPC_STAT], |call, at| {
        let all = call.number_at::<u64>(at + CBYTES)? + 8 * call.number_at::<u64>(at + QNUM)?;
        call.set_number_at(at + CBYTES, all)
    })
}

/// A receive sets msg_lspid too.
#[fault(MSGCTL_2, "DESCRIPTION", on = [MSGCTL])]
fn last_receiver_is_told_as_last_sender(call: &mut Call) -> Result<Effect> {
    told(call, &[IPC_STAT], |call, at| {
        let receiver = call.number_at::<i32>(at + LRPID)?;
        if receiver == 0 { Ok(()) } else { call.set_number_at(at + LSPID, receiver) }
    })
}

/// msg_rtime is set by a send, as msg_stime is.
#[fault(MSGCTL_2, "DESCRIPTION", on = [MSGCTL])]
fn send_sets_the_time_of_receiving(call: &mut Call) -> Result<Effect> {
    told(call, &[IPC_STAT], |call, at| {
        let sent = call.number_at::<i64>(at + STIME)?;
        call.set_number_at(at + RTIME, sent)
    })
}

/// msg_rtime stays 0.
#[fault(MSGCTL_2, "DESCRIPTION", on = [MSGCTL])]
fn receive_sets_no_time(call: &mut Call) -> Result<Effect> {
    told(call, &[IPC_STAT], |call, at| call.set_number_at(at + RTIME, 0_i64))
}

/// A message that is handed to a sleeping receiver leaves no time and no pid of its receipt.
#[fault(MSGOP_2, "msgrcv()", on = [MSGRCV, MSGCTL])]
fn handed_over_message_leaves_no_trace(call: &mut Call) -> Result<Effect> {
    let queue = call.queue();
    if call.number() == libc::SYS_msgrcv {
        return call.message_telling_sleep(move |call, slept| {
            if call.result() >= 0 {
                *call.notes().of(queue) = slept.then_some(1);
            }
            call.proceed()
        });
    }
    if !call.notes().has(queue) {
        return call.proceed();
    }
    told(call, &[IPC_STAT], |call, at| {
        call.set_number_at(at + RTIME, 0_i64)?;
        call.set_number_at(at + LRPID, 0_i32)
    })
}

/// A send or a receive sets msg_ctime too.
#[fault(MSGCTL_2, "DESCRIPTION", on = [MSGCTL])]
fn use_sets_the_time_of_change(call: &mut Call) -> Result<Effect> {
    told(call, &[IPC_STAT], |call, at| {
        let mut latest = 0;
        for time in [STIME, RTIME, CTIME] {
            latest = call.number_at::<i64>(at + time)?.max(latest);
        }
        call.set_number_at(at + CTIME, latest)
    })
}

/// A queue is told to hold 16384 bytes until IPC_SET says otherwise, whatever msgmnb was.
#[fault(MSGOP_2, "NOTES", on = [MSGCTL])]
fn capacity_is_told_as_the_default(call: &mut Call) -> Result<Effect> {
    let queue = call.argument(0);
    if call.command() == IPC_SET {
        call.notes().count(queue);
    }
    if call.notes().has(queue) {
        return call.proceed();
    }
    told(call, &[IPC_STAT], |call, at| call.set_number_at(at + QBYTES, 16384_u64))
}

/// The mode of a new queue is masked by the umask, as that of a file is.
#[fault(MSGGET_2, "DESCRIPTION", on = [MSGGET])]
fn new_queue_obeys_the_umask(call: &mut Call) -> Result<Effect> {
    call.set_argument(1, call.argument(1) & !call.umask()?);
    call.proceed()
}

/// IPC_SET gives a queue to another user and leaves the group.
#[fault(MSGCTL_2, "DESCRIPTION", on = [MSGCTL])]
fn ipc_set_forgets_the_group(call: &mut Call) -> Result<Effect> {
    let at = call.argument(2);
    if call.command() == IPC_SET {
        let group = call.number_at::<u32>(at + CREATOR_GROUP)?;
        call.set_number_at(at + GROUP, group)?;
    }
    call.proceed()
}

/// IPC_SET by who is neither owner nor creator is told as done.
#[fault(MSGCTL_2, "ERRORS", on = [MSGCTL])]
fn ipc_set_needs_no_permission(call: &mut Call) -> Result<Effect> {
    let sets = call.command() == IPC_SET;
    call.then(
        move |call| {
            if sets && call.result() == -(EPERM as i64) { call.give(0) } else { call.proceed() }
        },
    )
}

/// IPC_INFO tells msgmnb as msgmax.
#[fault(MSGCTL_2, "DESCRIPTION", on = [MSGCTL])]
fn ipc_info_tells_one_limit_for_two(call: &mut Call) -> Result<Effect> {
    told(call, &[IPC_INFO], |call, at| {
        let msgmnb = call.number_at::<i32>(at + 12)?;
        call.set_number_at(at + 8, msgmnb)
    })
}

/// MSG_INFO tells what IPC_INFO does.
#[fault(MSGCTL_2, "DESCRIPTION", on = [MSGCTL])]
fn msg_info_tells_the_limits(call: &mut Call) -> Result<Effect> {
    if call.command() == MSG_INFO {
        call.set_argument(1, IPC_INFO as u64);
    }
    call.proceed()
}

/// MSG_INFO still counts the messages of a queue that was removed.
#[fault(MSGCTL_2, "DESCRIPTION", on = [MSGCTL])]
fn msg_info_counts_removed_queues(call: &mut Call) -> Result<Effect> {
    if call.command() == IPC_RMID {
        call.notes().count(0);
    }
    if !call.notes().has(0) {
        return told(call, &[MSG_INFO], |call, at| {
            let messages = call.number_at::<i32>(at + 4)?;
            *call.notes().of(1) = Some(messages.into());
            Ok(())
        });
    }
    told(call, &[MSG_INFO], |call, at| {
        let before = call.notes().of(1).unwrap_or(0) as i32;
        call.set_number_at(at + 4, before)
    })
}

/// IPC_INFO and MSG_INFO give one more than the highest index.
#[fault(MSGCTL_2, "RETURN VALUE", on = [MSGCTL])]
fn highest_index_is_told_as_a_number_of_queues(call: &mut Call) -> Result<Effect> {
    let asked = [IPC_INFO, MSG_INFO].contains(&call.command());
    call.then(move |call| match call.result() {
        highest if asked && highest >= 0 => call.give(highest + 1),
        _ => call.proceed(),
    })
}

/// MSG_STAT gives the index that it was asked about, not the identifier.
#[fault(MSGCTL_2, "RETURN VALUE", on = [MSGCTL])]
fn msg_stat_gives_the_index(call: &mut Call) -> Result<Effect> {
    let (index, asked) = (call.argument(0) as i64, call.command() == MSG_STAT);
    call.then(
        move |call| {
            if asked && call.result() >= 0 { call.give(index) } else { call.proceed() }
        },
    )
}

/// MSG_STAT_ANY needs read permission, as MSG_STAT does.
#[fault(MSGCTL_2, "DESCRIPTION", on = [MSGCTL])]
fn msg_stat_any_asks_for_permission(call: &mut Call) -> Result<Effect> {
    if call.command() == MSG_STAT_ANY {
        call.set_argument(1, MSG_STAT as u64);
    }
    call.proceed()
}

/// IPC_RMID by who is neither owner nor creator is told as done.
#[fault(MSGCTL_2, "ERRORS", on = [MSGCTL])]
fn removal_needs_no_permission(call: &mut Call) -> Result<Effect> {
    let removes = call.command() == IPC_RMID;
    call.then(move |call| {
        if removes && call.result() == -(EPERM as i64) { call.give(0) } else { call.proceed() }
    })
}

/// What msgctl should refuse does nothing and is told as done.
#[fault(MSGCTL_2, "ERRORS", on = [MSGCTL])]
fn msgctl_refuses_nothing(call: &mut Call) -> Result<Effect> {
    call.then(|call| if call.result() < 0 { call.give(0) } else { call.proceed() })
}
