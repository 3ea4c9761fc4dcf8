//! System V message queues: bodies, types, limits, sleep, removal, rights.

use libc::{
    IPC_CREAT, IPC_EXCL, IPC_INFO, IPC_NOWAIT, IPC_PRIVATE, IPC_STAT, MSG_COPY, MSG_EXCEPT,
    MSG_INFO, MSG_NOERROR, MSG_STAT, c_long, time_t,
};
use nix::sched::{CloneFlags, unshare};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::{Uid, getegid, geteuid, setresuid};

use crate::prelude::*;
use crate::sys::msg::{COPIES, MSG_STAT_ANY, Message, POISON, Queue, Stat};
use crate::sys::signals::Action;
use crate::sys::sysctl::{set_sysctl, sysctl};
use crate::sys::unique_key;

/// The cases of this module.
pub const CASES: &[Case] = &[
    send_returns_with_no_receiver_about,
    each_receive_takes_one_whole_message,
    bodies_of_any_length_share_a_queue,
    sender_may_overwrite_its_buffer,
    queue_outlives_every_process_that_used_it,
    each_message_goes_to_one_receiver,
    type_selects_the_message,
    negative_type_takes_the_lowest_first,
    most_negative_type_takes_any_message,
    except_takes_the_first_of_another_type,
    sleeping_receiver_ignores_other_types,
    message_reaches_its_receiver_past_an_older_one,
    copy_leaves_the_message_in_the_queue,
    too_small_a_buffer_leaves_the_message,
    too_long_a_message_ends_the_sleep_and_stays,
    truncation_removes_the_whole_message,
    sleeping_receiver_gets_what_fits,
    full_queue_holds_the_sender_until_a_receive,
    nowait_keeps_a_call_from_sleeping,
    sender_sleeps_until_all_of_its_message_fits,
    room_for_two_wakes_both_senders,
    more_room_lets_a_sleeping_sender_go_on,
    empty_messages_fill_a_queue_by_number,
    body_beyond_msgmax_is_refused,
    msgmax_can_be_moved,
    msgmax_belongs_to_one_namespace,
    msgmnb_is_the_capacity_of_new_queues,
    unprivileged_owner_cannot_exceed_msgmnb,
    privileged_owner_may_exceed_msgmnb,
    msgmni_limits_the_number_of_queues,
    removal_wakes_every_sleeper,
    caught_signal_ends_a_receive,
    caught_signal_ends_a_send,
    stop_and_continue_do_not_end_a_receive,
    stop_and_continue_do_not_end_a_send,
    new_queue_is_empty_and_its_creators,
    stat_tells_content_and_last_users,
    message_handed_to_a_sleeper_is_recorded,
    stat_tells_times_of_last_use,
    stat_tells_time_of_last_change,
    mode_binds_the_owner,
    opening_checks_the_access_asked_for,
    stranger_can_neither_change_nor_remove,
    new_owner_may_use_and_remove_the_queue,
    info_tells_the_limits,
    info_tells_the_total_use,
    index_leads_to_the_queue,
    stat_any_ignores_the_mode,
    type_zero_is_refused,
    negative_type_is_refused,
    negative_length_to_send_is_refused,
    negative_length_to_receive_is_refused,
    copy_that_could_wait_is_refused,
    copy_of_all_but_a_type_is_refused,
    unreadable_message_is_refused,
    unwritable_buffer_is_refused,
    exclusive_creation_of_an_existing_queue_is_refused,
    unknown_command_is_refused,
    unwritable_status_buffer_is_refused,
];

/// A send returns although nobody receives, and the message is there for whoever asks later.
#[case(MSGOP_2, "msgsnd()", settles = ["A08"])]
fn send_returns_with_no_receiver_about() -> Verdict {
    let queue = Queue::private()?;
    let sender = Child::spawn(|| Ok(queue.send(1, b"later", 0)?))?;
    sender.join()?;
    check!(queue.receive(16, 0, IPC_NOWAIT) == Ok(Message::new(1, b"later")));
    Ok(())
}

/// A receive takes one whole message out of the queue, never more, however much room it offers.
#[case(MSGOP_2, "msgrcv()", settles = ["A09", "A12", "B12"])]
fn each_receive_takes_one_whole_message() -> Verdict {
    let queue = Queue::private()?;
    let bodies: [&[u8]; 4] = [b"one", b"", b"three", b"three"];
    for body in bodies {
        queue.send(1, body, 0)?;
    }
    for (taken, body) in bodies.into_iter().enumerate() {
        check!(queue.stat()?.qnum == (bodies.len() - taken) as u64);
        check!(queue.receive(64, 0, IPC_NOWAIT) == Ok(Message::new(1, body)), "message {taken}");
    }
    check!(queue.receive(64, 0, IPC_NOWAIT) == Err(ENOMSG));
    Ok(())
}

/// Bodies of every length from nothing to the limit can stand in one queue, and keep their lengths.
#[case(MSGOP_2, "DESCRIPTION", settles = ["A10"])]
fn bodies_of_any_length_share_a_queue() -> Verdict {
    let queue = Queue::private()?;
    let longest = sysctl("kernel/msgmax")?.min(queue.stat()?.qbytes) as usize;
    let bodies = [1, 0, longest - 8, 7].map(|length| vec![length as u8; length]);
    for body in &bodies {
        check!(queue.send(1, body, IPC_NOWAIT) == Ok(()), "{} bytes", body.len());
    }
    for body in &bodies {
        check!(queue.receive(longest, 0, IPC_NOWAIT) == Ok(Message::new(1, body)));
    }
    Ok(())
}

/// The queue holds a copy: what the sender writes into its buffer afterwards does not reach the receiver.
#[case(MSGOP_2, "msgsnd()", settles = ["A17"])]
fn sender_may_overwrite_its_buffer() -> Verdict {
    let queue = Queue::private()?;
    let longest = sysctl("kernel/msgmax")?.min(queue.stat()?.qbytes) as usize;
    let mut message = Message::new(1, &vec![b'a'; longest]);
    let sent = message.clone();
    queue.send_message(&message, longest as isize, 0)?;
    message.body_mut().fill(b'b');
    check!(queue.receive(longest, 0, IPC_NOWAIT) == Ok(sent));
    Ok(())
}

/// A queue and its messages stay when every process that used them is gone, until the queue is removed.
#[case(IPC_NAMESPACES_7, "DESCRIPTION", settles = ["A13", "msgget.2 ENOENT"], also = [(SYSVIPC_7, "Message queues")])]
fn queue_outlives_every_process_that_used_it() -> Verdict {
    let key = unique_key();
    let user = Child::spawn(|| {
        let queue = Queue::open(key, IPC_CREAT | IPC_EXCL | 0o600)?;
        Ok(queue.send(1, b"testament", 0)?)
    })?;
    user.join()?;
    let found = Queue::open(key, 0);
    check!(
        found.and_then(|queue| queue.receive(16, 0, IPC_NOWAIT))
            == Ok(Message::new(1, b"testament"))
    );
    found?.remove()?;
    check!(Queue::open(key, 0) == Err(ENOENT));
    Ok(())
}

/// Of several receivers that wait, each message reaches exactly one.
#[case(MSGOP_2, "msgrcv()", settles = ["A12"])]
fn each_message_goes_to_one_receiver() -> Verdict {
    let queue = Queue::private()?;
    let sum = Counter::new()?;
    let receive = || {
        sum.add(queue.receive(1, 0, 0)?.body().iter().map(|byte| u64::from(*byte)).sum());
        Ok(())
    };
    let receivers = Children::spawn(3, |_| receive())?;
    receivers.blocked_in(MSGRCV)?;
    for body in [1, 10, 100] {
        queue.send(1, &[body], 0)?;
    }
    receivers.join()?;
    check!(sum.get() == 111);
    check!(queue.receive(1, 0, IPC_NOWAIT) == Err(ENOMSG));
    Ok(())
}

/// A queue with these messages, of one letter each.
fn queue_of(messages: &[(c_long, u8)]) -> Verdict<Queue> {
    let queue = Queue::private()?;
    for (kind, letter) in messages {
        queue.send(*kind, &[*letter], 0)?;
    }
    Ok(queue)
}

/// The letter of the message that this type and these flags select; `-` where
/// it has none.
fn letter(queue: Queue, kind: c_long, flags: i32) -> nix::Result<char> {
    let message = queue.receive(1, kind, flags | IPC_NOWAIT)?;
    Ok(char::from(*message.body().first().unwrap_or(&b'-')))
}

/// A receiver that asks for a type gets its messages in the order of sending, and no other.
#[case(MSGOP_2, "msgrcv()", settles = ["A11", "msgop.2 ENOMSG 1"])]
fn type_selects_the_message() -> Verdict {
    let queue = queue_of(&[(1, b'a'), (2, b'b'), (1, b'c'), (2, b'd')])?;
    check!(letter(queue, 2, 0) == Ok('b'));
    check!(letter(queue, 2, 0) == Ok('d'));
    check!(letter(queue, 2, 0) == Err(ENOMSG));
    check!(letter(queue, 0, 0) == Ok('a'));
    check!(letter(queue, 1, 0) == Ok('c'));
    Ok(())
}

/// A negative type takes the lowest type up to its absolute value, and of that the oldest.
#[case(MSGOP_2, "msgrcv()", settles = ["A11"])]
fn negative_type_takes_the_lowest_first() -> Verdict {
    let queue = queue_of(&[(5, b'a'), (4, b'b'), (3, b'c'), (3, b'd')])?;
    check!(letter(queue, -2, 0) == Err(ENOMSG));
    check!(letter(queue, -4, 0) == Ok('c'));
    check!(letter(queue, -4, 0) == Ok('d'));
    check!(letter(queue, -4, 0) == Ok('b'));
    check!(letter(queue, -4, 0) == Err(ENOMSG));
    check!(letter(queue, -5, 0) == Ok('a'));
    Ok(())
}

/// The most negative type, whose absolute value no type exceeds, takes the lowest of all types.
#[case(MSGOP_2, "msgrcv()")]
fn most_negative_type_takes_any_message() -> Verdict {
    let queue = queue_of(&[(c_long::MAX, b'a'), (7, b'b')])?;
    check!(letter(queue, c_long::MIN, 0) == Ok('b'));
    check!(letter(queue, c_long::MIN, 0) == Ok('a'));
    Ok(())
}

/// With MSG_EXCEPT the first message of any other type is taken.
#[case(MSGOP_2, "msgrcv()", settles = ["msgop.2 MSG_EXCEPT"])]
fn except_takes_the_first_of_another_type() -> Verdict {
    let queue = queue_of(&[(1, b'a'), (3, b'b'), (2, b'c'), (1, b'd')])?;
    check!(letter(queue, 1, MSG_EXCEPT) == Ok('b'));
    check!(letter(queue, 1, MSG_EXCEPT) == Ok('c'));
    check!(letter(queue, 1, MSG_EXCEPT) == Err(ENOMSG));
    check!(queue.stat()?.qnum == 2);
    Ok(())
}

/// A receiver that sleeps for a type, for low types or for all but one sleeps on when another comes.
#[case(MSGOP_2, "msgrcv()", settles = ["A11"])]
fn sleeping_receiver_ignores_other_types() -> Verdict {
    for (kind, flags, other, wanted) in [(2, 0, 1, 2), (-2, 0, 3, 2), (1, MSG_EXCEPT, 1, 2)] {
        let queue = Queue::private()?;
        let receiver = Child::spawn(|| {
            holds!(queue.receive(16, kind, flags) == Ok(Message::new(wanted, b"wanted")))
        })?;
        receiver.blocked_in(MSGRCV)?;
        queue.send(other, b"other", 0)?;
        receiver.blocked_in(MSGRCV)?;
        queue.send(wanted, b"wanted", 0)?;
        receiver.join()?;
        check!(queue.receive(16, 0, IPC_NOWAIT) == Ok(Message::new(other, b"other")));
    }
    Ok(())
}

/// A message goes to the receiver that sleeps for its type, past one that has slept longer for another.
#[case(MSGOP_2, "msgrcv()", settles = ["A11"])]
fn message_reaches_its_receiver_past_an_older_one() -> Verdict {
    let queue = Queue::private()?;
    let receiver = |kind| -> Verdict<Child> {
        let receiver =
            Child::spawn(|| holds!(queue.receive(16, kind, 0) == Ok(Message::new(kind, b"mine"))))?;
        receiver.blocked_in(MSGRCV)?;
        Ok(receiver)
    };
    let (older, younger) = (receiver(2)?, receiver(1)?);
    queue.send(1, b"mine", 0)?;
    younger.join()?;
    older.blocked_in(MSGRCV)?;
    queue.send(2, b"mine", 0)?;
    older.join()
}

/// MSG_COPY fetches the message at a place, counted from 0, and leaves it in the queue.
#[case(MSGOP_2, "msgrcv()", settles = ["A12", "msgop.2 MSG_COPY", "msgop.2 ENOMSG 2"], needs = [COPIES])]
fn copy_leaves_the_message_in_the_queue() -> Verdict {
    let queue = queue_of(&[(7, b'a'), (7, b'b')])?;
    check!(letter(queue, 1, MSG_COPY) == Ok('b'));
    check!(letter(queue, 0, MSG_COPY) == Ok('a'));
    check!(letter(queue, 2, MSG_COPY) == Err(ENOMSG));
    check!(letter(queue, 3, MSG_COPY) == Err(ENOMSG));
    check!(queue.stat()?.qnum == 2);
    check!(letter(queue, 0, 0) == Ok('a'));
    check!(letter(queue, 0, MSG_COPY) == Ok('b'));
    Ok(())
}

/// A message longer than the buffer is refused with E2BIG and stays, whole.
#[case(MSGOP_2, "msgrcv()", settles = ["msgop.2 E2BIG"])]
fn too_small_a_buffer_leaves_the_message() -> Verdict {
    let queue = Queue::private()?;
    queue.send(1, b"longer", 0)?;
    check!(queue.receive(5, 0, IPC_NOWAIT) == Err(E2BIG));
    check!(queue.receive(6, 0, IPC_NOWAIT) == Ok(Message::new(1, b"longer")));
    Ok(())
}

/// A message too long for the receiver that sleeps for it ends the sleep with E2BIG and stays, whole.
#[case(MSGOP_2, "msgrcv()", settles = ["msgop.2 E2BIG"])]
fn too_long_a_message_ends_the_sleep_and_stays() -> Verdict {
    let queue = Queue::private()?;
    let receiver = Child::spawn(|| holds!(queue.receive(5, 0, 0) == Err(E2BIG)))?;
    receiver.blocked_in(MSGRCV)?;
    queue.send(1, b"longer", 0)?;
    receiver.join()?;
    check!(queue.receive(6, 0, IPC_NOWAIT) == Ok(Message::new(1, b"longer")));
    Ok(())
}

/// With MSG_NOERROR as much as fits is delivered, nothing behind it is touched, and the rest is lost.
#[case(MSGOP_2, "msgrcv()", settles = ["msgop.2 MSG_NOERROR"])]
fn truncation_removes_the_whole_message() -> Verdict {
    let queue = Queue::private()?;
    queue.send(1, b"longer", 0)?;
    let mut message = Message::room(16);
    check!(queue.receive_into(&mut message, 3, 0, IPC_NOWAIT | MSG_NOERROR) == Ok(3));
    check!(message == Message::new(1, b"lon"));
    check!(message.bytes()[3..] == [POISON; 13]);
    let stat = queue.stat()?;
    check!((stat.qnum, stat.cbytes) == (0, 0));
    Ok(())
}

/// A receiver that sleeps with MSG_NOERROR gets what fits of a longer message, and the rest is lost.
#[case(MSGOP_2, "msgrcv()", settles = ["msgop.2 MSG_NOERROR"])]
fn sleeping_receiver_gets_what_fits() -> Verdict {
    let queue = Queue::private()?;
    let part = Message::new(1, b"lon");
    let receiver = Child::spawn(|| holds!(queue.receive(3, 0, MSG_NOERROR) == Ok(part)))?;
    receiver.blocked_in(MSGRCV)?;
    queue.send(1, b"longer", 0)?;
    receiver.join()?;
    let stat = queue.stat()?;
    check!((stat.qnum, stat.cbytes) == (0, 0));
    Ok(())
}

/// A queue takes msg_qbytes bytes; then a send fails or sleeps until a receive makes room.
#[case(MSGOP_2, "msgsnd()", settles = ["A08", "A16", "msgop.2 EAGAIN", "msgctl.2 msg_qbytes"])]
fn full_queue_holds_the_sender_until_a_receive() -> Verdict {
    let queue = Queue::with_qbytes(8)?;
    check!(queue.send(1, b"1234", IPC_NOWAIT) == Ok(()));
    check!(queue.send(1, b"5678", IPC_NOWAIT) == Ok(()));
    check!(queue.send(1, b"9", IPC_NOWAIT) == Err(EAGAIN));
    let sender = Child::spawn(|| Ok(queue.send(1, b"9", 0)?))?;
    sender.blocked_in(MSGSND)?;
    check!(queue.receive(8, 0, IPC_NOWAIT) == Ok(Message::new(1, b"1234")));
    sender.join()?;
    check!(queue.receive(8, 0, IPC_NOWAIT) == Ok(Message::new(1, b"5678")));
    check!(queue.receive(8, 0, IPC_NOWAIT) == Ok(Message::new(1, b"9")));
    Ok(())
}

/// With IPC_NOWAIT neither a receive from an empty queue nor a send to a full one sleeps.
#[case(MSGOP_2, "DESCRIPTION", settles = ["msgop.2 IPC_NOWAIT", "msgop.2 EAGAIN", "msgop.2 ENOMSG 1"])]
fn nowait_keeps_a_call_from_sleeping() -> Verdict {
    let queue = Queue::with_qbytes(1)?;
    let user = Child::spawn(|| {
        check!(queue.receive(1, 0, IPC_NOWAIT) == Err(ENOMSG));
        check!(queue.send(1, b"x", IPC_NOWAIT) == Ok(()));
        check!(queue.receive(1, 2, IPC_NOWAIT) == Err(ENOMSG));
        check!(queue.send(1, b"y", IPC_NOWAIT) == Err(EAGAIN));
        check!(queue.send(1, b"", IPC_NOWAIT) == Err(EAGAIN));
        Ok(())
    })?;
    user.join()
}

/// A sender that needs more room than a receive has made sleeps on, and sends nothing yet.
#[case(MSGOP_2, "msgsnd()", settles = ["A16"])]
fn sender_sleeps_until_all_of_its_message_fits() -> Verdict {
    let queue = Queue::with_qbytes(8)?;
    queue.send(1, b"12", 0)?;
    queue.send(2, b"345678", 0)?;
    let sender = Child::spawn(|| Ok(queue.send(3, b"abcd", 0)?))?;
    sender.blocked_in(MSGSND)?;
    queue.receive(8, 1, IPC_NOWAIT)?;
    sender.blocked_in(MSGSND)?;
    check!(queue.receive(8, 3, IPC_NOWAIT) == Err(ENOMSG));
    queue.receive(8, 2, IPC_NOWAIT)?;
    sender.join()?;
    check!(queue.receive(8, 3, IPC_NOWAIT) == Ok(Message::new(3, b"abcd")));
    Ok(())
}

/// One receive wakes every sleeping sender for whose message it makes room.
#[case(MSGOP_2, "msgsnd()", settles = ["A16"])]
fn room_for_two_wakes_both_senders() -> Verdict {
    let queue = Queue::with_qbytes(8)?;
    queue.send(1, b"all of 8", 0)?;
    let senders = Children::spawn(2, |_| Ok(queue.send(1, b"half", 0)?))?;
    senders.blocked_in(MSGSND)?;
    queue.receive(8, 0, IPC_NOWAIT)?;
    senders.join()?;
    check!(queue.stat()?.qnum == 2);
    Ok(())
}

/// A sender that sleeps goes on when IPC_SET raises msg_qbytes so that its message fits.
#[case(MSGOP_2, "msgsnd()", settles = ["A16"])]
fn more_room_lets_a_sleeping_sender_go_on() -> Verdict {
    let queue = Queue::with_qbytes(1)?;
    queue.send(1, b"x", 0)?;
    let sender = Child::spawn(|| Ok(queue.send(1, b"y", 0)?))?;
    sender.blocked_in(MSGSND)?;
    check!(queue.set_qbytes(2) == Ok(()));
    sender.join()?;
    check!(queue.stat()?.qnum == 2);
    Ok(())
}

/// Messages without a body fill a queue too, when there are as many as msg_qbytes.
#[case(MSGOP_2, "msgsnd()", settles = ["A16"])]
fn empty_messages_fill_a_queue_by_number() -> Verdict {
    let queue = Queue::with_qbytes(3)?;
    for number in 0..3 {
        check!(queue.send(1, b"", IPC_NOWAIT) == Ok(()), "message {number}");
    }
    check!(queue.send(1, b"", IPC_NOWAIT) == Err(EAGAIN));
    check!(queue.stat()?.cbytes == 0);
    Ok(())
}

/// A body may be as long as msgmax, not a byte longer.
#[case(MSGOP_2, "NOTES", settles = ["A15", "B13", "msgop.2 EINVAL 1"])]
fn body_beyond_msgmax_is_refused() -> Verdict {
    let queue = Queue::private()?;
    let limit = sysctl("kernel/msgmax")?;
    let body = vec![b'x'; limit as usize + 1];
    check!(queue.send(1, &body, IPC_NOWAIT) == Err(EINVAL));
    check!(queue.stat()?.qnum == 0);
    let fits = limit.min(queue.stat()?.qbytes) as usize;
    check!(queue.send(1, &body[..fits], IPC_NOWAIT) == Ok(()));
    Ok(())
}

/// Writing msgmax lowers and raises the greatest length of a message, also for a queue that exists.
#[case(MSGOP_2, "NOTES", settles = ["A15", "B13", "msgop.2 MSGMAX"], needs = [Need::Sysctl("kernel/msgmax")])]
fn msgmax_can_be_moved() -> Verdict {
    let queue = Queue::private()?;
    for limit in [100, sysctl("kernel/msgmax")? as usize + 100] {
        set_sysctl("kernel/msgmax", limit)?;
        let body = vec![b'x'; limit + 1];
        check!(queue.send(1, &body, IPC_NOWAIT) == Err(EINVAL), "{} of {limit} bytes", limit + 1);
        check!(queue.send(1, &body[1..], IPC_NOWAIT) == Ok(()), "{limit} of {limit} bytes");
        check!(queue.receive(limit, 0, IPC_NOWAIT) == Ok(Message::new(1, &body[1..])));
    }
    Ok(())
}

/// msgmax of one IPC namespace binds nobody in another.
#[case(IPC_NAMESPACES_7, "DESCRIPTION", settles = ["B13"], needs = [Need::Sysctl("kernel/msgmax"), Need::CanUnshare(Namespaces::IPC)])]
fn msgmax_belongs_to_one_namespace() -> Verdict {
    let limit = sysctl("kernel/msgmax")?;
    let body = vec![b'x'; limit as usize];
    let elsewhere = Child::spawn(|| {
        unshare(CloneFlags::CLONE_NEWIPC)?;
        set_sysctl("kernel/msgmax", body.len() - 1)?;
        check!(Queue::private()?.send(1, &body, IPC_NOWAIT) == Err(EINVAL));
        Ok(())
    })?;
    elsewhere.join()?;
    check!(sysctl("kernel/msgmax")? == limit);
    check!(Queue::private()?.send(1, &body, IPC_NOWAIT) == Ok(()));
    Ok(())
}

/// A new queue holds msgmnb bytes; one that exists keeps the capacity that it was made with.
#[case(MSGOP_2, "NOTES", settles = ["A16", "B13", "msgop.2 MSGMNB"], needs = [Need::Sysctl("kernel/msgmnb")])]
fn msgmnb_is_the_capacity_of_new_queues() -> Verdict {
    let (old, before) = (Queue::private()?, sysctl("kernel/msgmnb")?);
    set_sysctl("kernel/msgmnb", 20)?;
    let new = Queue::private()?;
    check!(old.stat()?.qbytes == before);
    check!(new.stat()?.qbytes == 20);
    check!(new.send(1, &[0; 21], IPC_NOWAIT) == Err(EAGAIN));
    check!(new.send(1, &[0; 20], IPC_NOWAIT) == Ok(()));
    Ok(())
}

/// Without privilege the owner may lower msg_qbytes and raise it again, up to msgmnb.
#[case(MSGCTL_2, "DESCRIPTION", settles = ["msgctl.2 EPERM 2"], needs = [Need::Unprivileged])]
fn unprivileged_owner_cannot_exceed_msgmnb() -> Verdict {
    let queue = Queue::private()?;
    let limit = sysctl("kernel/msgmnb")?;
    for (asked, answer, now) in [
        (limit + 1, Err(EPERM), limit),
        (limit - 1, Ok(()), limit - 1),
        (limit + 1, Err(EPERM), limit - 1),
        (limit, Ok(()), limit),
    ] {
        check!(queue.set_qbytes(asked) == answer, "{asked} of {limit}");
        check!(queue.stat()?.qbytes == now);
    }
    Ok(())
}

/// With CAP_SYS_RESOURCE a queue can be made to hold more than msgmnb.
#[case(MSGOP_2, "NOTES", settles = ["A16"], needs = [Need::Cap(Cap::SysResource)])]
fn privileged_owner_may_exceed_msgmnb() -> Verdict {
    let queue = Queue::private()?;
    let limit = sysctl("kernel/msgmnb")?;
    check!(queue.set_qbytes(limit + 1) == Ok(()));
    let half = vec![b'x'; limit as usize / 2];
    check!(queue.send(1, &half, IPC_NOWAIT) == Ok(()));
    check!(queue.send(1, &half, IPC_NOWAIT) == Ok(()));
    check!(queue.send(1, &vec![b'x'; limit as usize % 2 + 1], IPC_NOWAIT) == Ok(()));
    check!(queue.send(1, b"x", IPC_NOWAIT) == Err(EAGAIN));
    Ok(())
}

/// As many queues exist as msgmni allows; the next needs one to go.
#[case(MSGGET_2, "NOTES", settles = ["msgget.2 ENOSPC", "msgget.2 MSGMNI"], needs = [Need::Sysctl("kernel/msgmni")])]
fn msgmni_limits_the_number_of_queues() -> Verdict {
    set_sysctl("kernel/msgmni", 2)?;
    let first = Queue::private()?;
    check!(Queue::open(IPC_PRIVATE, 0o600).is_ok());
    check!(Queue::open(IPC_PRIVATE, 0o600) == Err(ENOSPC));
    first.remove()?;
    check!(Queue::open(IPC_PRIVATE, 0o600).is_ok());
    Ok(())
}

/// Removing a queue wakes every sender and receiver that sleeps on it, with EIDRM.
#[case(MSGCTL_2, "DESCRIPTION", settles = ["msgctl.2 IPC_RMID", "msgop.2 EIDRM 1", "msgop.2 EIDRM 2"])]
fn removal_wakes_every_sleeper() -> Verdict {
    let queue = Queue::with_qbytes(1)?;
    queue.send(1, b"x", 0)?;
    let send = || holds!(queue.send(1, b"y", 0) == Err(EIDRM));
    let receive = || holds!(queue.receive(1, 2, 0) == Err(EIDRM));
    let senders = Children::spawn(2, |_| send())?;
    let receivers = Children::spawn(2, |_| receive())?;
    senders.blocked_in(MSGSND)?;
    receivers.blocked_in(MSGRCV)?;
    queue.remove()?;
    senders.into_iter().chain(receivers).try_for_each(Child::join)
}

/// A caught signal ends the wait for a message with EINTR, whether or not SA_RESTART is set.
#[case(MSGOP_2, "msgrcv()", settles = ["msgop.2 EINTR 2"])]
fn caught_signal_ends_a_receive() -> Verdict {
    let queue = Queue::private()?;
    for flags in [0, libc::SA_RESTART] {
        let caught = Latch::new()?;
        let receiver = Child::spawn(|| {
            Action::run(move |_| caught.open()).flags(flags).on(SIGUSR1)?;
            check!(queue.receive(1, 0, 0) == Err(EINTR));
            check!(caught.is_open());
            Ok(())
        })?;
        receiver.interrupt_in(MSGRCV, SIGUSR1)?;
    }
    Ok(())
}

/// A caught signal ends the wait for room with EINTR, whether or not SA_RESTART is set, and nothing is sent.
#[case(MSGOP_2, "msgsnd()", settles = ["msgop.2 EINTR 1"])]
fn caught_signal_ends_a_send() -> Verdict {
    let queue = Queue::with_qbytes(1)?;
    queue.send(1, b"x", 0)?;
    for flags in [0, libc::SA_RESTART] {
        let caught = Latch::new()?;
        let sender = Child::spawn(|| {
            Action::run(move |_| caught.open()).flags(flags).on(SIGUSR1)?;
            check!(queue.send(1, b"y", 0) == Err(EINTR));
            check!(caught.is_open());
            Ok(())
        })?;
        sender.interrupt_in(MSGSND, SIGUSR1)?;
    }
    check!(queue.receive(1, 0, IPC_NOWAIT) == Ok(Message::new(1, b"x")));
    check!(queue.receive(1, 0, IPC_NOWAIT) == Err(ENOMSG));
    Ok(())
}

/// A receiver that is stopped and continued while it sleeps still gets its message.
#[case(SIGNAL_7, "Interruption of system calls and library functions by stop signals")]
fn stop_and_continue_do_not_end_a_receive() -> Verdict {
    let queue = Queue::private()?;
    let receiver =
        Child::spawn(|| holds!(queue.receive(16, 0, 0) == Ok(Message::new(1, b"patience"))))?;
    receiver.blocked_in(MSGRCV)?;
    receiver.kill(SIGSTOP)?;
    receiver.wait_stopped()?;
    receiver.kill(SIGCONT)?;
    receiver.wait_continued()?;
    receiver.blocked_in(MSGRCV)?;
    queue.send(1, b"patience", 0)?;
    receiver.join()
}

/// A sender that is stopped and continued while it sleeps still sends its message.
#[case(SIGNAL_7, "Interruption of system calls and library functions by stop signals")]
fn stop_and_continue_do_not_end_a_send() -> Verdict {
    let queue = Queue::with_qbytes(1)?;
    queue.send(1, b"x", 0)?;
    let sender = Child::spawn(|| holds!(queue.send(1, b"y", 0) == Ok(())))?;
    sender.blocked_in(MSGSND)?;
    sender.kill(SIGSTOP)?;
    sender.wait_stopped()?;
    sender.kill(SIGCONT)?;
    sender.wait_continued()?;
    sender.blocked_in(MSGSND)?;
    queue.receive(1, 0, IPC_NOWAIT)?;
    sender.join()?;
    check!(queue.receive(1, 0, IPC_NOWAIT) == Ok(Message::new(1, b"y")));
    Ok(())
}

/// A new queue is empty and unused, belongs to its creator, has the mode asked for and msgmnb bytes of room.
#[case(MSGGET_2, "DESCRIPTION", settles = ["msgctl.2 msg_perm"])]
fn new_queue_is_empty_and_its_creators() -> Verdict {
    let stat = Queue::open(IPC_PRIVATE, 0o642)?.stat()?;
    check!((stat.uid, stat.cuid) == (geteuid().as_raw(), geteuid().as_raw()));
    check!((stat.gid, stat.cgid) == (getegid().as_raw(), getegid().as_raw()));
    check!(stat.mode & 0o777 == 0o642);
    check!((stat.qnum, stat.cbytes) == (0, 0));
    check!((stat.lspid, stat.lrpid) == (0, 0));
    check!((stat.stime, stat.rtime) == (0, 0));
    check!(stat.qbytes == sysctl("kernel/msgmnb")?);
    Ok(())
}

/// IPC_STAT tells how many messages and bytes a queue holds, and which processes sent and received last.
#[case(MSGCTL_2, "DESCRIPTION", settles = ["msgctl.2 IPC_STAT", "msgctl.2 msg_qnum", "msgctl.2 msg_cbytes", "msgctl.2 msg_lspid", "msgctl.2 msg_lrpid"])]
fn stat_tells_content_and_last_users() -> Verdict {
    let queue = Queue::private()?;
    queue.send(1, b"abc", 0)?;
    let sender = Child::spawn(|| Ok(queue.send(1, b"de", 0)?))?;
    let sent_by = sender.pid().as_raw();
    sender.join()?;
    let stat = queue.stat()?;
    check!((stat.qnum, stat.cbytes) == (2, 5));
    check!((stat.lspid, stat.lrpid) == (sent_by, 0));

    let receiver = Child::spawn(|| Ok(queue.receive(8, 0, IPC_NOWAIT).map(drop)?))?;
    let received_by = receiver.pid().as_raw();
    receiver.join()?;
    let stat = queue.stat()?;
    check!((stat.qnum, stat.cbytes) == (1, 2));
    check!((stat.lspid, stat.lrpid) == (sent_by, received_by));
    Ok(())
}

/// A message that went straight to a sleeping receiver was sent and received like any other.
#[case(MSGOP_2, "msgrcv()", settles = ["msgctl.2 msg_lrpid", "msgctl.2 msg_rtime"])]
fn message_handed_to_a_sleeper_is_recorded() -> Verdict {
    let (queue, start) = (Queue::private()?, now()?);
    let receiver = Child::spawn(|| Ok(queue.receive(8, 0, 0).map(drop)?))?;
    let received_by = receiver.pid().as_raw();
    receiver.blocked_in(MSGRCV)?;
    queue.send(1, b"abc", 0)?;
    receiver.join()?;
    let stat = queue.stat()?;
    check!((stat.qnum, stat.cbytes) == (0, 0));
    check!((stat.lspid, stat.lrpid) == (getpid().as_raw(), received_by));
    check!(stat.stime >= start && stat.rtime >= start);
    Ok(())
}

/// The second that the kernel would stamp now: that of its last tick.
fn now() -> nix::Result<time_t> {
    Ok(clock_gettime(ClockId::CLOCK_REALTIME_COARSE)?.tv_sec())
}

/// IPC_STAT tells when the last send and the last receive were.
#[case(MSGCTL_2, "DESCRIPTION", settles = ["msgctl.2 msg_stime", "msgctl.2 msg_rtime"])]
fn stat_tells_times_of_last_use() -> Verdict {
    let queue = Queue::private()?;
    let start = now()?;
    queue.send(1, b"", 0)?;
    let sent = queue.stat()?;
    check!((start..=now()?).contains(&sent.stime), "{} of {start}", sent.stime);
    check!(sent.rtime == 0);
    queue.receive(1, 0, 0)?;
    let received = queue.stat()?;
    check!((start..=now()?).contains(&received.rtime), "{} of {start}", received.rtime);
    check!(received.stime == sent.stime);
    Ok(())
}

/// IPC_STAT tells when a queue was made or last changed by IPC_SET; use does not count.
#[case(MSGCTL_2, "DESCRIPTION", settles = ["msgctl.2 msg_ctime"])]
fn stat_tells_time_of_last_change() -> Verdict {
    let start = now()?;
    let queue = Queue::private()?;
    let made = queue.stat()?.ctime;
    check!((start..=now()?).contains(&made), "{made} of {start}");
    while now()? == made {
        std::thread::sleep(Duration::from_millis(10));
    }
    queue.send(1, b"x", 0)?;
    queue.receive(1, 0, 0)?;
    check!(queue.stat()?.ctime == made);
    queue.set_qbytes(1)?;
    let changed = queue.stat()?.ctime;
    check!((made + 1..=now()?).contains(&changed), "{changed}, made at {made}");
    Ok(())
}

/// Without privilege the permission bits bind the owner of a queue too.
#[case(MSGOP_2, "ERRORS", settles = ["msgop.2 EACCES 1", "msgop.2 EACCES 2", "msgctl.2 EACCES"], needs = [Need::Unprivileged])]
fn mode_binds_the_owner() -> Verdict {
    let write_only = Queue::open(IPC_PRIVATE, 0o200)?;
    check!(write_only.send(1, b"x", IPC_NOWAIT) == Ok(()));
    check!(write_only.receive(1, 0, IPC_NOWAIT) == Err(EACCES));
    check!(write_only.stat() == Err(EACCES));
    let read_only = Queue::open(IPC_PRIVATE, 0o400)?;
    check!(read_only.send(1, b"x", IPC_NOWAIT) == Err(EACCES));
    check!(read_only.receive(1, 0, IPC_NOWAIT) == Err(ENOMSG));
    check!(read_only.stat().map(|stat| stat.qnum) == Ok(0));
    Ok(())
}

/// Opening a queue by its key verifies the access that the call asks for.
#[case(MSGGET_2, "DESCRIPTION", settles = ["msgget.2 EACCES"], needs = [Need::Unprivileged])]
fn opening_checks_the_access_asked_for() -> Verdict {
    let key = unique_key();
    let queue = Queue::open(key, IPC_CREAT | IPC_EXCL | 0o400)?;
    check!(Queue::open(key, 0o400) == Ok(queue));
    check!(Queue::open(key, 0o600) == Err(EACCES));
    check!(Queue::open(key, IPC_CREAT | 0o200) == Err(EACCES));
    Ok(())
}

/// A user who is neither owner nor creator nor privileged can neither change nor remove a queue.
#[case(MSGCTL_2, "DESCRIPTION", settles = ["msgctl.2 EPERM 1"], needs = [Need::OtherUsers])]
fn stranger_can_neither_change_nor_remove() -> Verdict {
    let queue = Queue::open(IPC_PRIVATE, 0o666)?;
    let stranger = Child::spawn(|| {
        let user = Uid::from_raw(1);
        setresuid(user, user, user)?;
        check!(queue.send(1, b"hello", IPC_NOWAIT) == Ok(()));
        check!(queue.set_mode(0) == Err(EPERM));
        check!(queue.remove() == Err(EPERM));
        Ok(())
    })?;
    stranger.join()?;
    check!(queue.stat()?.mode & 0o777 == 0o666);
    check!(queue.receive(16, 0, IPC_NOWAIT) == Ok(Message::new(1, b"hello")));
    Ok(())
}

/// IPC_SET gives a queue to another user, who may then use it and remove it; of the mode it sets the permission bits alone.
#[case(MSGCTL_2, "DESCRIPTION", settles = ["msgctl.2 IPC_SET"], needs = [Need::OtherUsers])]
fn new_owner_may_use_and_remove_the_queue() -> Verdict {
    let queue = Queue::open(IPC_PRIVATE, 0)?;
    let before = queue.stat()?;
    check!(queue.set_owner(1, 2) == Ok(()));
    check!(queue.set_mode(0o7600) == Ok(()));
    check!(queue.set_qbytes(8) == Ok(()));
    let after = queue.stat()?;
    check!(after == Stat { uid: 1, gid: 2, mode: 0o600, qbytes: 8, ctime: after.ctime, ..before });
    let owner = Child::spawn(|| {
        let user = Uid::from_raw(1);
        setresuid(user, user, user)?;
        check!(queue.send(1, b"mine", IPC_NOWAIT) == Ok(()));
        check!(queue.remove() == Ok(()));
        Ok(())
    })?;
    owner.join()?;
    check!(queue.stat() == Err(EINVAL));
    Ok(())
}

/// IPC_INFO tells the limits that /proc tells.
#[case(MSGCTL_2, "DESCRIPTION", settles = ["msgctl.2 IPC_INFO"])]
fn info_tells_the_limits() -> Verdict {
    let info = Queue::info(IPC_INFO)?;
    check!(info.msgmax as u64 == sysctl("kernel/msgmax")?);
    check!(info.msgmnb as u64 == sysctl("kernel/msgmnb")?);
    check!(info.msgmni as u64 == sysctl("kernel/msgmni")?);
    Ok(())
}

/// MSG_INFO tells how many queues, messages and bytes of messages there are in all.
#[case(MSGCTL_2, "DESCRIPTION", settles = ["msgctl.2 MSG_INFO"], needs = [Need::Own(Namespaces::IPC)])]
fn info_tells_the_total_use() -> Verdict {
    let queues = [Queue::private()?, Queue::private()?];
    queues[0].send(1, b"abc", 0)?;
    queues[0].send(1, b"", 0)?;
    queues[1].send(1, b"defg", 0)?;
    let info = Queue::info(MSG_INFO)?;
    check!((info.msgpool, info.msgmap, info.msgtql) == (2, 3, 7));
    queues[0].remove()?;
    let info = Queue::info(MSG_INFO)?;
    check!((info.msgpool, info.msgmap, info.msgtql) == (1, 1, 4));
    Ok(())
}

/// The highest index that IPC_INFO gives leads MSG_STAT to the queue, its identifier and its status.
#[case(MSGCTL_2, "RETURN VALUE", settles = ["msgctl.2 MSG_STAT"], needs = [Need::Own(Namespaces::IPC)])]
fn index_leads_to_the_queue() -> Verdict {
    // Until an index is used again, Linux gives identifiers that are indexes.
    for _ in 0..100 {
        Queue::private()?.remove()?;
    }
    let queues = [Queue::private()?, Queue::private()?];
    queues[1].send(1, b"abc", 0)?;
    let index = Queue::info(IPC_INFO)?.highest_index;
    check!(Queue::stat_of_index(index, MSG_STAT) == Ok((queues[1], queues[1].stat()?)));
    Ok(())
}

/// MSG_STAT_ANY tells of a queue whose mode forbids it; MSG_STAT does not.
#[case(MSGCTL_2, "DESCRIPTION", settles = ["msgctl.2 MSG_STAT_ANY"], needs = [Need::Unprivileged, Need::Own(Namespaces::IPC)])]
fn stat_any_ignores_the_mode() -> Verdict {
    let queue = Queue::open(IPC_PRIVATE, 0)?;
    let index = Queue::info(IPC_INFO)?.highest_index;
    check!(Queue::stat_of_index(index, MSG_STAT) == Err(EACCES));
    let any = Queue::stat_of_index(index, MSG_STAT_ANY);
    check!(any.map(|(found, stat)| (found, stat.mode & 0o777)) == Ok((queue, 0)));
    Ok(())
}

refusals! {
    MSGOP_2, "ERRORS";

    /// A message of type 0 is refused.
    ["msgop.2 EINVAL 1"] type_zero_is_refused => EINVAL: Queue::private()?.send(0, b"", 0);

    /// A message of a negative type is refused.
    ["msgop.2 EINVAL 1"] negative_type_is_refused => EINVAL: Queue::private()?.send(-1, b"", 0);

    /// A message of negative length is refused.
    ["msgop.2 EINVAL 1"] negative_length_to_send_is_refused => EINVAL:
        Queue::private()?.send_message(&Message::new(1, b""), -1, 0);

    /// A buffer of negative length is refused.
    ["msgop.2 EINVAL 2"] negative_length_to_receive_is_refused => EINVAL:
        queue_of(&[(1, b'a')])?.receive_into(&mut Message::room(1), -1, 0, IPC_NOWAIT);

    /// MSG_COPY without IPC_NOWAIT is refused.
    ["msgop.2 EINVAL 3"] copy_that_could_wait_is_refused => EINVAL:
        queue_of(&[(1, b'a')])?.receive(1, 0, MSG_COPY);

    /// MSG_COPY together with MSG_EXCEPT is refused.
    ["msgop.2 EINVAL 4"] copy_of_all_but_a_type_is_refused => EINVAL:
        queue_of(&[(1, b'a')])?.receive(1, 0, MSG_COPY | MSG_EXCEPT | IPC_NOWAIT);

    /// A message that the sender cannot read is refused.
    ["msgop.2 EFAULT 1"] unreadable_message_is_refused => EFAULT: Queue::private()?.send_from_nowhere();

    /// A buffer that the receiver cannot write is refused.
    ["msgop.2 EFAULT 2"] unwritable_buffer_is_refused => EFAULT:
        queue_of(&[(1, b'a')])?.receive_to_nowhere();
}

refusals! {
    MSGGET_2, "ERRORS";

    /// IPC_CREAT with IPC_EXCL is refused when the key has a queue.
    ["msgget.2 EEXIST"] exclusive_creation_of_an_existing_queue_is_refused => EEXIST: {
        let (_, key) = Queue::keyed()?;
        Queue::open(key, IPC_CREAT | IPC_EXCL | 0o600)
    };
}

refusals! {
    MSGCTL_2, "ERRORS";

    /// A command that does not exist is refused.
    ["msgctl.2 EINVAL"] unknown_command_is_refused => EINVAL: Queue::private()?.ctl_without_buffer(0xff);

    /// A status buffer that cannot be written is refused.
    ["msgctl.2 EFAULT"] unwritable_status_buffer_is_refused => EFAULT:
        Queue::private()?.ctl_without_buffer(IPC_STAT);
}
