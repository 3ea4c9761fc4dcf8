//! POSIX message queues: bodies, priorities, limits, sleep, notification, names.

use std::fs;

use libc::{O_EXCL, O_NONBLOCK, O_RDONLY, O_RDWR, O_WRONLY, SI_MESGQ, c_long};
use nix::mount::{MsFlags, mount};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};
use nix::sys::signal::SigSet;
use nix::sys::stat::{Mode, fstat, umask};
use nix::sys::time::{TimeSpec, TimeValLike};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::{SysconfVar, Uid, getegid, geteuid, getuid, mkdir, setresuid, sysconf};

use crate::prelude::*;
use crate::sys::files::own_mounts;
use crate::sys::mq::{
    ATTRIBUTES, Attr, CEILINGS, Letter, Mq, NOTIFICATION, Notify, QUEUES, RESOURCE_LIMIT, TRANSFER,
    queue_name,
};
use crate::sys::privilege::give_up;
use crate::sys::signals::{Action, accept_pending};
use crate::sys::sysctl::{set_sysctl, sysctl};

/// The cases of this module.
pub const CASES: &[Case] = &[
    send_returns_with_no_receiver_about,
    each_receive_takes_one_whole_message,
    sender_may_overwrite_its_buffer,
    queue_outlives_every_process_that_used_it,
    highest_priority_comes_first_then_the_oldest,
    priority_beyond_the_highest_is_refused,
    full_queue_holds_the_sender_until_a_receive,
    each_receive_lets_one_sender_go_on,
    receiver_sleeps_until_a_message_comes,
    each_message_goes_to_one_receiver,
    nonblocking_queue_refuses_to_wait,
    nonblocking_flag_can_be_set_and_cleared,
    flags_are_shared_after_fork,
    only_the_nonblocking_flag_can_be_set,
    body_beyond_msgsize_is_refused,
    buffer_below_msgsize_is_refused,
    attributes_beyond_the_ceilings_are_refused,
    ceilings_can_be_moved,
    privileged_process_may_exceed_the_ceilings,
    new_queue_has_the_default_attributes,
    queues_max_limits_the_number_of_queues,
    resource_limit_bounds_all_queues_together,
    removed_queue_no_longer_counts,
    expired_time_ends_only_a_call_that_would_wait,
    wait_ends_no_earlier_than_told,
    invalid_time_to_wait_until_is_refused,
    caught_signal_ends_a_receive,
    caught_signal_ends_a_send,
    restarting_signal_does_not_end_a_receive,
    restarting_signal_does_not_end_a_send,
    notification_comes_once,
    notification_waits_for_an_empty_queue,
    sleeping_receiver_comes_before_a_notification,
    null_notification_uses_up_the_registration,
    one_process_at_a_time_is_registered,
    closing_ends_the_registration,
    unlinked_queue_works_on_and_frees_its_name,
    exclusive_creation_has_one_winner,
    each_direction_is_opened_for,
    new_queue_is_its_creators,
    mode_binds_the_owner,
    stranger_cannot_unlink,
    descriptor_tells_readiness,
    use_wakes_sleeping_pollers,
    descriptor_is_closed_on_exec,
    file_tells_size_and_registration,
    missing_queue_is_not_opened,
    name_of_a_mere_slash_is_refused,
    name_with_two_slashes_is_refused,
    name_without_a_slash_is_refused,
    too_long_a_name_is_not_opened,
    missing_queue_is_not_unlinked,
    too_long_a_name_is_not_unlinked,
    process_without_free_descriptor_opens_no_queue,
    attributes_of_a_pipe_are_refused,
    notification_of_a_pipe_is_refused,
    unknown_kind_of_notification_is_refused,
    unknown_signal_of_notification_is_refused,
];

/// Four messages of up to 16 bytes.
const SMALL: Attr = Attr::new(4, 16);

/// A send returns although nobody receives, and the message is there for whoever asks later.
#[case(MQ_SEND_3, "DESCRIPTION", settles = ["A08"], needs = [TRANSFER])]
fn send_returns_with_no_receiver_about() -> Verdict {
    let (mq, _) = Mq::create(SMALL)?;
    let sender = Child::spawn(|| Ok(mq.send(b"later", 1)?))?;
    sender.join()?;
    check!(mq.receive(16) == Ok(Letter::new(b"later", 1)));
    Ok(())
}

/// A receive takes one whole message out of the queue, of any length from nothing to mq_msgsize.
#[case(MQ_RECEIVE_3, "DESCRIPTION", settles = ["A09", "A10", "A12", "B12"], needs = [TRANSFER, ATTRIBUTES])]
fn each_receive_takes_one_whole_message() -> Verdict {
    let (mq, _) = Mq::create(SMALL)?;
    let bodies: [&[u8]; 4] = [b"one", b"", b"sixteen letters.", b"one"];
    for body in bodies {
        check!(mq.send(body, 0) == Ok(()), "{} bytes", body.len());
    }
    for (taken, body) in bodies.into_iter().enumerate() {
        check!(mq.attr()?.curmsgs == (bodies.len() - taken) as c_long);
        check!(mq.receive(16) == Ok(Letter::new(body, 0)), "message {taken}");
    }
    check!(mq.attr()?.curmsgs == 0);
    Ok(())
}

/// The queue holds a copy: what the sender writes into its buffer afterwards does not reach the receiver.
#[case(MQ_SEND_3, "DESCRIPTION", settles = ["A17"], needs = [TRANSFER, CEILINGS])]
fn sender_may_overwrite_its_buffer() -> Verdict {
    let longest = sysctl("fs/mqueue/msgsize_max")? as usize;
    let (mq, _) = Mq::create(Attr::new(1, longest as c_long))?;
    let mut body = vec![b'a'; longest];
    mq.send(&body, 0)?;
    body.fill(b'b');
    check!(mq.receive(longest) == Ok(Letter::new(&vec![b'a'; longest], 0)));
    Ok(())
}

/// A queue and its messages stay when every process that used them is gone, until the queue is unlinked.
#[case(MQ_OVERVIEW_7, "Persistence", settles = ["A13", "mq_unlink.3 ENOENT"], needs = [TRANSFER])]
fn queue_outlives_every_process_that_used_it() -> Verdict {
    let name = queue_name()?;
    let user = Child::spawn(|| {
        let mq = Mq::open_with(&name, O_WRONLY | O_EXCL, 0o600, Some(SMALL))?;
        Ok(mq.send(b"testament", 3)?)
    })?;
    user.join()?;
    check!(
        Mq::open(&name, O_RDONLY).and_then(|mq| mq.receive(16)) == Ok(Letter::new(b"testament", 3))
    );
    check!(Mq::unlink(&name) == Ok(()));
    check!(Mq::unlink(&name) == Err(ENOENT));
    Ok(())
}

/// The highest priority is received first, and of equals the oldest.
#[case(MQ_SEND_3, "DESCRIPTION", needs = [TRANSFER])]
fn highest_priority_comes_first_then_the_oldest() -> Verdict {
    let (mq, _) = Mq::create(Attr::new(6, 16))?;
    for (body, priority) in [(b"a", 1), (b"b", 7), (b"c", 0), (b"d", 7), (b"e", 1), (b"f", 9)] {
        mq.send(body, priority)?;
    }
    for (body, priority) in [(b"f", 9), (b"b", 7), (b"d", 7), (b"a", 1), (b"e", 1), (b"c", 0)] {
        check!(mq.receive(16) == Ok(Letter::new(body, priority)));
    }
    Ok(())
}

/// Priorities go up to one below what sysconf tells, and no further.
#[case(MQ_OVERVIEW_7, "DESCRIPTION", needs = [TRANSFER])]
fn priority_beyond_the_highest_is_refused() -> Verdict {
    let (mq, _) = Mq::create(SMALL)?;
    let bound = sysconf(SysconfVar::MQ_PRIO_MAX)?.ok_or("no bound of priorities")? as u32;
    check!(mq.send(b"above", bound) == Err(EINVAL));
    check!(mq.send(b"highest", bound - 1) == Ok(()));
    check!(mq.receive(16) == Ok(Letter::new(b"highest", bound - 1)));
    Ok(())
}

/// A queue takes mq_maxmsg messages; then a send sleeps until a receive makes room, and keeps its priority.
#[case(MQ_SEND_3, "DESCRIPTION", settles = ["A08", "A16"], needs = [TRANSFER])]
fn full_queue_holds_the_sender_until_a_receive() -> Verdict {
    let (mq, _) = Mq::create(Attr::new(2, 16))?;
    mq.send(b"first", 0)?;
    mq.send(b"second", 0)?;
    let sender = Child::spawn(|| Ok(mq.send(b"third", 5)?))?;
    sender.blocked_in(MQ_SEND)?;
    check!(mq.receive(16) == Ok(Letter::new(b"first", 0)));
    sender.join()?;
    check!(mq.receive(16) == Ok(Letter::new(b"third", 5)));
    check!(mq.receive(16) == Ok(Letter::new(b"second", 0)));
    Ok(())
}

/// Of several senders that wait, each receive lets one go on.
#[case(MQ_SEND_3, "DESCRIPTION", settles = ["A16"], needs = [TRANSFER])]
fn each_receive_lets_one_sender_go_on() -> Verdict {
    let (mq, _) = Mq::create(Attr::new(1, 16))?;
    mq.send(b"first", 0)?;
    let senders = Children::spawn(3, |_| Ok(mq.send(b"later", 0)?))?;
    senders.blocked_in(MQ_SEND)?;
    check!(mq.receive(16) == Ok(Letter::new(b"first", 0)));
    for _ in 0..3 {
        check!(mq.receive(16) == Ok(Letter::new(b"later", 0)));
    }
    senders.join()
}

/// A receive from an empty queue sleeps until a message comes, and returns it.
#[case(MQ_RECEIVE_3, "DESCRIPTION", needs = [TRANSFER])]
fn receiver_sleeps_until_a_message_comes() -> Verdict {
    let (mq, name) = Mq::create(SMALL)?;
    let receiver = Child::spawn(|| holds!(mq.receive(16) == Ok(Letter::new(b"at last", 2))))?;
    receiver.blocked_in(MQ_RECEIVE)?;
    Mq::open(&name, O_WRONLY)?.send(b"at last", 2)?;
    receiver.join()
}

/// Of several receivers that wait, each message reaches exactly one.
#[case(MQ_RECEIVE_3, "DESCRIPTION", settles = ["A12"], needs = [TRANSFER])]
fn each_message_goes_to_one_receiver() -> Verdict {
    let (mq, _) = Mq::create(SMALL)?;
    let sum = Counter::new()?;
    let receivers = Children::spawn(3, |_| {
        sum.add(mq.receive(16)?.body.iter().map(|byte| u64::from(*byte)).sum());
        Ok(())
    })?;
    receivers.blocked_in(MQ_RECEIVE)?;
    for body in [1, 10, 100] {
        mq.send(&[body], 0)?;
    }
    receivers.join()?;
    check!(sum.get() == 111);
    Ok(())
}

/// With O_NONBLOCK a send to a full queue and a receive from an empty one fail with EAGAIN.
#[case(MQ_OPEN_3, "DESCRIPTION", settles = ["A16", "mq_open.3 O_NONBLOCK", "mq_send.3 EAGAIN", "mq_receive.3 EAGAIN"], needs = [TRANSFER])]
fn nonblocking_queue_refuses_to_wait() -> Verdict {
    let (_, name) = Mq::create(Attr::new(1, 16))?;
    let user = Child::spawn(|| {
        let mq = Mq::open(&name, O_RDWR | O_NONBLOCK)?;
        check!(mq.receive(16) == Err(EAGAIN));
        check!(mq.send(b"x", 0) == Ok(()));
        check!(mq.send(b"y", 9) == Err(EAGAIN));
        check!(mq.receive(16) == Ok(Letter::new(b"x", 0)));
        check!(mq.receive(16) == Err(EAGAIN));
        Ok(())
    })?;
    user.join()
}

/// O_NONBLOCK that mq_setattr sets keeps a receive from waiting, until it is cleared.
#[case(MQ_GETATTR_3, "DESCRIPTION", needs = [TRANSFER, ATTRIBUTES])]
fn nonblocking_flag_can_be_set_and_cleared() -> Verdict {
    let (mq, name) = Mq::create(SMALL)?;
    let user = Child::spawn(|| {
        mq.set_attr(Attr { flags: c_long::from(O_NONBLOCK), ..SMALL })?;
        check!(mq.receive(16) == Err(EAGAIN));
        mq.set_attr(SMALL)?;
        check!(mq.receive(16) == Ok(Letter::new(b"waited for", 0)));
        Ok(())
    })?;
    user.blocked_in(MQ_RECEIVE)?;
    Mq::open(&name, O_WRONLY)?.send(b"waited for", 0)?;
    user.join()
}

/// O_NONBLOCK, set by a child, holds for the descriptor it inherited and not for another of the same queue.
#[case(MQ_OVERVIEW_7, "DESCRIPTION", needs = [ATTRIBUTES])]
fn flags_are_shared_after_fork() -> Verdict {
    let (mq, name) = Mq::create(SMALL)?;
    let other = Mq::open(&name, O_RDONLY)?;
    let nonblocking = Attr { flags: c_long::from(O_NONBLOCK), ..SMALL };
    let child = Child::spawn(|| Ok(mq.set_attr(nonblocking).map(drop)?))?;
    child.join()?;
    check!(mq.attr() == Ok(nonblocking));
    check!(other.attr() == Ok(SMALL));
    Ok(())
}

/// mq_setattr sets O_NONBLOCK alone, returns what was, and refuses other flags.
#[case(MQ_GETATTR_3, "DESCRIPTION", settles = ["mq_getattr.3 EINVAL"], needs = [ATTRIBUTES])]
fn only_the_nonblocking_flag_can_be_set() -> Verdict {
    let (mq, _) = Mq::create(SMALL)?;
    let flags = c_long::from(O_NONBLOCK);
    let nonblocking = Attr { flags, ..SMALL };
    check!(mq.set_attr(Attr { flags, maxmsg: 9, msgsize: 8, curmsgs: 7 }) == Ok(SMALL));
    check!(mq.set_attr(Attr { flags: c_long::from(libc::O_APPEND), ..SMALL }) == Err(EINVAL));
    check!(mq.attr() == Ok(nonblocking));
    check!(mq.set_attr(SMALL) == Ok(nonblocking));
    check!(mq.attr() == Ok(SMALL));
    Ok(())
}

/// A body may be as long as mq_msgsize, not a byte longer.
#[case(MQ_SEND_3, "DESCRIPTION", settles = ["A15", "mq_send.3 EMSGSIZE"], needs = [TRANSFER, ATTRIBUTES])]
fn body_beyond_msgsize_is_refused() -> Verdict {
    let (mq, _) = Mq::create(SMALL)?;
    check!(mq.send(&[b'x'; 17], 0) == Err(EMSGSIZE));
    check!(mq.attr()?.curmsgs == 0);
    check!(mq.send(&[b'x'; 16], 0) == Ok(()));
    check!(mq.receive(16) == Ok(Letter::new(&[b'x'; 16], 0)));
    Ok(())
}

/// A buffer smaller than mq_msgsize is refused even for a message that would fit, and the message stays.
#[case(MQ_RECEIVE_3, "DESCRIPTION", settles = ["mq_receive.3 EMSGSIZE"], needs = [TRANSFER])]
fn buffer_below_msgsize_is_refused() -> Verdict {
    let (mq, _) = Mq::create(SMALL)?;
    mq.send(b"short", 0)?;
    check!(mq.receive(15) == Err(EMSGSIZE));
    check!(mq.receive(16) == Ok(Letter::new(b"short", 0)));
    Ok(())
}

/// Creates a queue with these attributes under a name of its own; the name stays.
fn make(maxmsg: u64, msgsize: u64) -> Verdict<nix::Result<()>> {
    let attr = Attr::new(maxmsg as c_long, msgsize as c_long);
    Ok(Mq::open_with(&queue_name()?, O_RDWR | O_EXCL, 0o600, Some(attr)).map(drop))
}

/// Without privilege mq_maxmsg and mq_msgsize go from 1 to the ceilings of /proc/sys/fs/mqueue.
#[case(MQ_OPEN_3, "ERRORS", settles = ["A15", "A16", "mq_open.3 EINVAL 2"], needs = [QUEUES, CEILINGS, Need::Unprivileged, Need::Own(Namespaces::IPC)])]
fn attributes_beyond_the_ceilings_are_refused() -> Verdict {
    let (number, size) = (sysctl("fs/mqueue/msg_max")?, sysctl("fs/mqueue/msgsize_max")?);
    check!(make(0, 1)? == Err(EINVAL));
    check!(make(1, 0)? == Err(EINVAL));
    check!(make(number + 1, 1)? == Err(EINVAL), "{} messages", number + 1);
    check!(make(1, size + 1)? == Err(EINVAL), "{} bytes", size + 1);
    check!(make(number, 1)? == Ok(()), "{number} messages");
    check!(make(1, size)? == Ok(()), "{size} bytes");
    Ok(())
}

/// Writing msg_max and msgsize_max lowers and raises what a process without privilege may ask for.
#[case(MQ_OVERVIEW_7, "/proc interfaces", settles = ["A15", "A16", "mq_overview.7 /proc/sys/fs/mqueue/msg_max", "mq_overview.7 /proc/sys/fs/mqueue/msgsize_max"], needs = [QUEUES, CEILINGS, Need::Sysctl("fs/mqueue/msg_max"), Need::Sysctl("fs/mqueue/msgsize_max")])]
fn ceilings_can_be_moved() -> Verdict {
    let higher = (sysctl("fs/mqueue/msg_max")? + 1, sysctl("fs/mqueue/msgsize_max")? + 1);
    give_up(Cap::SysResource)?;
    for (number, size) in [(2, 200), higher] {
        set_sysctl("fs/mqueue/msg_max", number)?;
        set_sysctl("fs/mqueue/msgsize_max", size)?;
        check!(make(number + 1, 1)? == Err(EINVAL), "{} of {number} messages", number + 1);
        check!(make(1, size + 1)? == Err(EINVAL), "{} of {size} bytes", size + 1);
        check!(make(number, 1)? == Ok(()), "{number} messages");
        check!(make(1, size)? == Ok(()), "{size} bytes");
    }
    Ok(())
}

/// With CAP_SYS_RESOURCE the ceilings of /proc/sys/fs/mqueue do not bind.
#[case(MQ_OVERVIEW_7, "/proc interfaces", needs = [QUEUES, CEILINGS, Need::Cap(Cap::SysResource), Need::Own(Namespaces::IPC)])]
fn privileged_process_may_exceed_the_ceilings() -> Verdict {
    let (number, size) = (sysctl("fs/mqueue/msg_max")?, sysctl("fs/mqueue/msgsize_max")?);
    check!(make(number + 1, 1)? == Ok(()));
    check!(make(1, size + 1)? == Ok(()));
    Ok(())
}

/// A queue made without attributes gets msg_default and msgsize_default, or the ceilings where those are lower.
#[case(MQ_OVERVIEW_7, "/proc interfaces", settles = ["mq_overview.7 /proc/sys/fs/mqueue/msg_default", "mq_overview.7 /proc/sys/fs/mqueue/msgsize_default"], needs = [ATTRIBUTES, CEILINGS, Need::Sysctl("fs/mqueue/msg_default"), Need::Sysctl("fs/mqueue/msgsize_default"), Need::Sysctl("fs/mqueue/msg_max"), Need::Sysctl("fs/mqueue/msgsize_max")])]
fn new_queue_has_the_default_attributes() -> Verdict {
    set_sysctl("fs/mqueue/msg_default", 3)?;
    set_sysctl("fs/mqueue/msgsize_default", 200)?;
    let mq = Mq::open_with(&queue_name()?, O_RDWR, 0o600, None)?;
    check!(mq.attr() == Ok(Attr::new(3, 200)));
    set_sysctl("fs/mqueue/msg_max", 2)?;
    set_sysctl("fs/mqueue/msgsize_max", 150)?;
    let capped = Mq::open_with(&queue_name()?, O_RDWR, 0o600, None)?;
    check!(capped.attr() == Ok(Attr::new(2, 150)));
    check!(mq.attr() == Ok(Attr::new(3, 200)));
    Ok(())
}

/// Without privilege as many queues exist as queues_max allows; the next needs one to go.
#[case(MQ_OVERVIEW_7, "/proc interfaces", settles = ["mq_open.3 ENOSPC", "mq_overview.7 /proc/sys/fs/mqueue/queues_max"], needs = [QUEUES, CEILINGS, Need::Sysctl("fs/mqueue/queues_max")])]
fn queues_max_limits_the_number_of_queues() -> Verdict {
    set_sysctl("fs/mqueue/queues_max", 2)?;
    give_up(Cap::SysResource)?;
    let (first, name) = Mq::create(SMALL)?;
    check!(make(1, 1)? == Ok(()));
    check!(make(1, 1)? == Err(ENOSPC));
    drop(first);
    Mq::unlink(&name)?;
    check!(make(1, 1)? == Ok(()));
    Ok(())
}

/// The queues of a user together take no more bytes than RLIMIT_MSGQUEUE, also when nobody has them open.
#[case(GETRLIMIT_2, "DESCRIPTION", settles = ["A16"], also = [(MQ_OVERVIEW_7, "Resource limit")], needs = [QUEUES, RESOURCE_LIMIT])]
fn resource_limit_bounds_all_queues_together() -> Verdict {
    let (soft, hard) = getrlimit(Resource::RLIMIT_MSGQUEUE)?;
    let (limit, size) = (hard.min(32 << 10), 4_u16 << 10);
    setrlimit(Resource::RLIMIT_MSGQUEUE, limit, hard)?;
    let mut taken = 0;
    while taken <= limit && make(1, size.into())?.is_ok() {
        taken += rlim_t::from(size);
    }
    check!(taken <= limit);
    setrlimit(Resource::RLIMIT_MSGQUEUE, soft, hard)?;
    check!(make(1, size.into())? == Ok(()));
    Ok(())
}

/// A queue counts against RLIMIT_MSGQUEUE only until it is removed.
#[case(GETRLIMIT_2, "DESCRIPTION", needs = [QUEUES, RESOURCE_LIMIT])]
fn removed_queue_no_longer_counts() -> Verdict {
    let (soft, hard) = getrlimit(Resource::RLIMIT_MSGQUEUE)?;
    let limit = soft.min(1 << 20);
    let size = (limit / 4).min(32 << 10);
    setrlimit(Resource::RLIMIT_MSGQUEUE, limit, hard)?;
    for made in 0..=limit / size {
        let name = queue_name()?;
        let attr = Attr::new(8, size as c_long / 8);
        let mq = Mq::open_with(&name, O_RDWR | O_EXCL, 0o600, Some(attr));
        check!(mq.map(drop) == Ok(()), "after {made} queues of {size} bytes were removed");
        Mq::unlink(&name)?;
    }
    Ok(())
}

/// A time that has passed ends a call that would have to wait, at once, and no other.
#[case(MQ_RECEIVE_3, "DESCRIPTION", settles = ["mq_send.3 ETIMEDOUT", "mq_receive.3 ETIMEDOUT"], also = [(MQ_SEND_3, "DESCRIPTION")], needs = [TRANSFER])]
fn expired_time_ends_only_a_call_that_would_wait() -> Verdict {
    let (mq, _) = Mq::create(Attr::new(1, 16))?;
    let long_ago = TimeSpec::seconds(1);
    let user = Child::spawn(|| {
        check!(mq.receive_until(16, long_ago) == Err(ETIMEDOUT));
        check!(mq.send_until(b"x", 5, long_ago) == Ok(()));
        check!(mq.send_until(b"y", 6, long_ago) == Err(ETIMEDOUT));
        check!(mq.receive_until(16, long_ago) == Ok(Letter::new(b"x", 5)));
        check!(mq.receive_until(16, long_ago) == Err(ETIMEDOUT));
        Ok(())
    })?;
    user.join()
}

/// A wait with a limit ends no earlier than that time of the realtime clock.
#[case(MQ_RECEIVE_3, "DESCRIPTION", also = [(MQ_SEND_3, "DESCRIPTION")], needs = [TRANSFER])]
fn wait_ends_no_earlier_than_told() -> Verdict {
    let (mq, _) = Mq::create(Attr::new(1, 16))?;
    let soon =
        || clock_gettime(ClockId::CLOCK_REALTIME).map(|now| now + TimeSpec::milliseconds(20));
    let limit = soon()?;
    check!(mq.receive_until(16, limit) == Err(ETIMEDOUT));
    check!(clock_gettime(ClockId::CLOCK_REALTIME)? >= limit);
    mq.send(b"full", 0)?;
    let limit = soon()?;
    check!(mq.send_until(b"more", 0, limit) == Err(ETIMEDOUT));
    check!(clock_gettime(ClockId::CLOCK_REALTIME)? >= limit);
    Ok(())
}

/// A call that would wait until a time with a negative part or too many nanoseconds is refused.
#[case(MQ_RECEIVE_3, "ERRORS", settles = ["mq_send.3 EINVAL", "mq_receive.3 EINVAL"], also = [(MQ_SEND_3, "ERRORS")], needs = [TRANSFER])]
fn invalid_time_to_wait_until_is_refused() -> Verdict {
    let (empty, _) = Mq::create(SMALL)?;
    let (full, _) = Mq::create(Attr::new(1, 16))?;
    full.send(b"full", 0)?;
    for (seconds, nanoseconds) in [(-1, 0), (1, -1), (1, 1_000_000_001)] {
        let time = TimeSpec::new(seconds, nanoseconds);
        check!(empty.receive_until(16, time) == Err(EINVAL), "{seconds} s {nanoseconds} ns");
        check!(full.send_until(b"more", 0, time) == Err(EINVAL), "{seconds} s {nanoseconds} ns");
    }
    Ok(())
}

/// A caught signal ends the wait for a message with EINTR, when SA_RESTART is not set.
#[case(MQ_RECEIVE_3, "ERRORS", settles = ["mq_receive.3 EINTR"], needs = [TRANSFER])]
fn caught_signal_ends_a_receive() -> Verdict {
    let (mq, _) = Mq::create(SMALL)?;
    let caught = Latch::new()?;
    let receiver = Child::spawn(|| {
        Action::run(move |_| caught.open()).on(SIGUSR1)?;
        check!(mq.receive(16) == Err(EINTR));
        check!(caught.is_open());
        Ok(())
    })?;
    receiver.interrupt_in(MQ_RECEIVE, SIGUSR1)
}

/// A caught signal ends the wait for room with EINTR, when SA_RESTART is not set, and nothing is sent.
#[case(MQ_SEND_3, "ERRORS", settles = ["mq_send.3 EINTR"], needs = [TRANSFER])]
fn caught_signal_ends_a_send() -> Verdict {
    let (mq, name) = Mq::create(Attr::new(1, 16))?;
    mq.send(b"full", 0)?;
    let caught = Latch::new()?;
    let sender = Child::spawn(|| {
        Action::run(move |_| caught.open()).on(SIGUSR1)?;
        check!(mq.send(b"more", 0) == Err(EINTR));
        check!(caught.is_open());
        Ok(())
    })?;
    sender.interrupt_in(MQ_SEND, SIGUSR1)?;
    check!(mq.receive(16) == Ok(Letter::new(b"full", 0)));
    check!(Mq::open(&name, O_RDONLY | O_NONBLOCK)?.receive(16) == Err(EAGAIN));
    Ok(())
}

/// After a signal caught with SA_RESTART a receiver goes on waiting, and gets its message.
#[case(SIGNAL_7, "Interruption of system calls and library functions by signal handlers", needs = [TRANSFER])]
fn restarting_signal_does_not_end_a_receive() -> Verdict {
    let (mq, _) = Mq::create(SMALL)?;
    let caught = Latch::new()?;
    let receiver = Child::spawn(|| {
        Action::run(move |_| caught.open()).flags(libc::SA_RESTART).on(SIGUSR1)?;
        check!(mq.receive(16) == Ok(Letter::new(b"patience", 0)));
        Ok(())
    })?;
    receiver.blocked_in(MQ_RECEIVE)?;
    receiver.kill(SIGUSR1)?;
    receiver.reaches(caught)?;
    receiver.blocked_in(MQ_RECEIVE)?;
    mq.send(b"patience", 0)?;
    receiver.join()
}

/// After a signal caught with SA_RESTART a sender goes on waiting, and sends its message.
#[case(SIGNAL_7, "Interruption of system calls and library functions by signal handlers", needs = [TRANSFER])]
fn restarting_signal_does_not_end_a_send() -> Verdict {
    let (mq, _) = Mq::create(Attr::new(1, 16))?;
    mq.send(b"full", 0)?;
    let caught = Latch::new()?;
    let sender = Child::spawn(|| {
        Action::run(move |_| caught.open()).flags(libc::SA_RESTART).on(SIGUSR1)?;
        check!(mq.send(b"patience", 0) == Ok(()));
        Ok(())
    })?;
    sender.blocked_in(MQ_SEND)?;
    sender.kill(SIGUSR1)?;
    sender.reaches(caught)?;
    sender.blocked_in(MQ_SEND)?;
    mq.receive(16)?;
    sender.join()?;
    check!(mq.receive(16) == Ok(Letter::new(b"patience", 0)));
    Ok(())
}

/// A queue, and SIGUSR1 blocked, so that it stays pending where it comes.
fn queue_to_be_told_of() -> Verdict<(Mq, String)> {
    SigSet::from(SIGUSR1).thread_block()?;
    Mq::create(SMALL)
}

/// Asks for SIGUSR1.
const BY_SIGNAL: Notify = Notify::Signal(libc::SIGUSR1, 0x5eed);

/// The first message to an empty queue brings one signal that names the sender; the next brings none.
#[case(MQ_NOTIFY_3, "DESCRIPTION", settles = ["mq_notify.3 SIGEV_SIGNAL"], needs = [TRANSFER, NOTIFICATION])]
fn notification_comes_once() -> Verdict {
    let (mq, _) = queue_to_be_told_of()?;
    mq.notify(BY_SIGNAL)?;
    check!(accept_pending(SIGUSR1).map(drop) == Err(EAGAIN));
    let sender = Child::spawn(|| Ok(mq.send(b"news", 0)?))?;
    let (pid, uid) = (sender.pid(), getuid().as_raw());
    sender.join()?;
    let told = accept_pending(SIGUSR1)?;
    check!((told.code, told.pid, told.uid, told.value) == (SI_MESGQ, pid, uid, 0x5eed));
    mq.receive(16)?;
    mq.send(b"more", 0)?;
    check!(accept_pending(SIGUSR1).map(drop) == Err(EAGAIN));
    Ok(())
}

/// Whoever registers while there are messages is told only after the queue was emptied.
#[case(MQ_NOTIFY_3, "DESCRIPTION", needs = [TRANSFER, NOTIFICATION])]
fn notification_waits_for_an_empty_queue() -> Verdict {
    let (mq, _) = queue_to_be_told_of()?;
    mq.send(b"old", 0)?;
    mq.notify(BY_SIGNAL)?;
    mq.send(b"more", 0)?;
    check!(accept_pending(SIGUSR1).map(drop) == Err(EAGAIN));
    mq.receive(16)?;
    mq.receive(16)?;
    check!(accept_pending(SIGUSR1).map(drop) == Err(EAGAIN));
    mq.send(b"new", 0)?;
    check!(accept_pending(SIGUSR1).map(|told| told.pid) == Ok(getpid()));
    Ok(())
}

/// A message that a sleeping receiver takes brings no notification; the registration stays for the next.
#[case(MQ_NOTIFY_3, "DESCRIPTION", needs = [TRANSFER, NOTIFICATION])]
fn sleeping_receiver_comes_before_a_notification() -> Verdict {
    let (mq, _) = queue_to_be_told_of()?;
    mq.notify(BY_SIGNAL)?;
    let receiver = Child::spawn(|| holds!(mq.receive(16) == Ok(Letter::new(b"taken", 0))))?;
    receiver.blocked_in(MQ_RECEIVE)?;
    mq.send(b"taken", 0)?;
    receiver.join()?;
    check!(accept_pending(SIGUSR1).map(drop) == Err(EAGAIN));
    mq.send(b"left", 0)?;
    check!(accept_pending(SIGUSR1).map(|told| told.code) == Ok(SI_MESGQ));
    Ok(())
}

/// What another process is told when it tries to register.
fn other_registers(mq: &Mq, answer: nix::Result<()>) -> Verdict {
    let other = Child::spawn(|| holds!(mq.notify(Notify::Nothing) == answer))?;
    other.join()
}

/// A message uses up a SIGEV_NONE registration like any other, and tells nobody.
#[case(MQ_NOTIFY_3, "DESCRIPTION", settles = ["mq_notify.3 SIGEV_NONE"], needs = [TRANSFER, NOTIFICATION])]
fn null_notification_uses_up_the_registration() -> Verdict {
    let (mq, _) = queue_to_be_told_of()?;
    mq.notify(Notify::Nothing)?;
    other_registers(&mq, Err(EBUSY))?;
    mq.send(b"x", 0)?;
    check!(accept_pending(SIGUSR1).map(drop) == Err(EAGAIN));
    other_registers(&mq, Ok(()))
}

/// While one process is registered no other can be; it can again when that one unregisters or ends.
#[case(MQ_NOTIFY_3, "DESCRIPTION", settles = ["mq_notify.3 EBUSY"], needs = [QUEUES, NOTIFICATION])]
fn one_process_at_a_time_is_registered() -> Verdict {
    let (mq, _) = queue_to_be_told_of()?;
    check!(mq.notify(BY_SIGNAL) == Ok(()));
    other_registers(&mq, Err(EBUSY))?;
    check!(mq.notify_no_more() == Ok(()));
    other_registers(&mq, Ok(()))?;
    check!(mq.notify(BY_SIGNAL) == Ok(()));
    Ok(())
}

/// Closing the descriptor that it was asked through ends a registration.
#[case(MQ_CLOSE_3, "DESCRIPTION", needs = [QUEUES, NOTIFICATION])]
fn closing_ends_the_registration() -> Verdict {
    let (mq, name) = Mq::create(SMALL)?;
    let second = Mq::open(&name, O_RDONLY)?;
    second.notify(Notify::Nothing)?;
    other_registers(&mq, Err(EBUSY))?;
    drop(second);
    other_registers(&mq, Ok(()))
}

/// An unlinked queue works on for those who have it open; its name is free at once for another.
#[case(MQ_UNLINK_3, "DESCRIPTION", needs = [TRANSFER])]
fn unlinked_queue_works_on_and_frees_its_name() -> Verdict {
    let (old, name) = Mq::create(SMALL)?;
    old.send(b"before", 0)?;
    check!(Mq::unlink(&name) == Ok(()));
    check!(Mq::open(&name, O_RDWR).map(drop) == Err(ENOENT));
    let new = Mq::open_with(&name, O_RDWR | O_EXCL, 0o600, Some(SMALL))?;
    old.send(b"after", 0)?;
    new.send(b"elsewhere", 0)?;
    check!(new.receive(16) == Ok(Letter::new(b"elsewhere", 0)));
    check!(old.receive(16) == Ok(Letter::new(b"before", 0)));
    check!(old.receive(16) == Ok(Letter::new(b"after", 0)));
    Ok(())
}

/// Of processes that create a queue with O_EXCL at the same time, one makes it and the others get EEXIST.
#[case(MQ_OPEN_3, "DESCRIPTION", settles = ["mq_open.3 O_EXCL", "mq_open.3 EEXIST"], needs = [QUEUES])]
fn exclusive_creation_has_one_winner() -> Verdict {
    let names = (0..8).map(|_| queue_name()).collect::<Verdict<Vec<_>>>()?;
    let (start, made) = (Latch::new()?, Counter::new()?);
    let race = || {
        start.wait()?;
        for name in &names {
            match Mq::open_with(name, O_RDWR | O_EXCL, 0o600, Some(Attr::new(1, 1))) {
                Ok(_) => drop(made.add(1)),
                Err(errno) => check!(errno == EEXIST),
            }
        }
        Ok(())
    };
    let racers = Children::spawn(3, |_| race())?;
    start.open();
    racers.join()?;
    check!(made.get() == names.len() as u64);
    Ok(())
}

/// A queue opened to receive only cannot be sent to, one opened to send only cannot be received from, and O_RDWR can do both.
#[case(MQ_OPEN_3, "DESCRIPTION", settles = ["mq_open.3 O_RDONLY", "mq_open.3 O_WRONLY", "mq_open.3 O_RDWR", "mq_send.3 EBADF", "mq_receive.3 EBADF"], needs = [TRANSFER])]
fn each_direction_is_opened_for() -> Verdict {
    let (_, name) = Mq::create(SMALL)?;
    let (reader, writer) = (Mq::open(&name, O_RDONLY)?, Mq::open(&name, O_WRONLY)?);
    check!(reader.send(b"x", 0) == Err(EBADF));
    check!(writer.send(b"x", 0) == Ok(()));
    check!(writer.receive(16) == Err(EBADF));
    check!(reader.receive(16) == Ok(Letter::new(b"x", 0)));
    let both = Mq::open(&name, O_RDWR)?;
    check!(both.send(b"y", 0) == Ok(()));
    check!(both.receive(16) == Ok(Letter::new(b"y", 0)));
    Ok(())
}

/// A new queue belongs to the effective user and group of its creator, and has the mode asked for but for the umask.
#[case(MQ_OPEN_3, "DESCRIPTION", settles = ["mq_open.3 O_CREAT"], needs = [QUEUES])]
fn new_queue_is_its_creators() -> Verdict {
    umask(Mode::from_bits_truncate(0o027));
    let stat = fstat(Mq::open_with(&queue_name()?, O_RDWR | O_EXCL, 0o664, Some(SMALL))?)?;
    check!((stat.st_uid, stat.st_gid) == (geteuid().as_raw(), getegid().as_raw()));
    check!(stat.st_mode & 0o777 == 0o640);
    Ok(())
}

/// Without privilege the mode of a queue binds its owner, for each direction.
#[case(MQ_OPEN_3, "ERRORS", settles = ["mq_open.3 EACCES 1"], needs = [QUEUES, Need::Unprivileged])]
fn mode_binds_the_owner() -> Verdict {
    for (mode, allowed, refused) in [(0o400, O_RDONLY, O_WRONLY), (0o200, O_WRONLY, O_RDONLY)] {
        let name = queue_name()?;
        Mq::open_with(&name, allowed | O_EXCL, mode, Some(SMALL))?;
        check!(Mq::open(&name, allowed).map(drop) == Ok(()), "mode {mode:o}");
        check!(Mq::open(&name, refused).map(drop) == Err(EACCES), "mode {mode:o}");
        check!(Mq::open(&name, O_RDWR).map(drop) == Err(EACCES), "mode {mode:o}");
    }
    Ok(())
}

/// A user who does not own a queue cannot unlink it, even one that everybody may use.
#[case(MQ_UNLINK_3, "ERRORS", settles = ["mq_unlink.3 EACCES"], needs = [QUEUES, Need::OtherUsers])]
fn stranger_cannot_unlink() -> Verdict {
    umask(Mode::empty());
    let name = queue_name()?;
    let _mq = Mq::open_with(&name, O_RDWR | O_EXCL, 0o666, Some(SMALL))?;
    let stranger = Child::spawn(|| {
        let user = Uid::from_raw(1);
        setresuid(user, user, user)?;
        check!(Mq::open(&name, O_RDWR).map(drop) == Ok(()));
        check!(Mq::unlink(&name) == Err(EACCES));
        Ok(())
    })?;
    stranger.join()?;
    check!(Mq::unlink(&name) == Ok(()));
    Ok(())
}

/// poll finds a queue readable when it holds a message, and writable when it is not full.
#[case(MQ_OVERVIEW_7, "Linux implementation of message queue descriptors", needs = [TRANSFER])]
fn descriptor_tells_readiness() -> Verdict {
    let (mq, _) = Mq::create(Attr::new(2, 16))?;
    for ready in [PollFlags::POLLOUT, PollFlags::POLLIN | PollFlags::POLLOUT, PollFlags::POLLIN] {
        let mut fds = [PollFd::new(mq.as_fd(), PollFlags::POLLIN | PollFlags::POLLOUT)];
        check!(poll(&mut fds, PollTimeout::ZERO) == Ok(1));
        check!(fds[0].revents() == Some(ready));
        if ready.contains(PollFlags::POLLOUT) {
            mq.send(b"x", 0)?;
        }
    }
    Ok(())
}

/// A message wakes who sleeps in poll until there is one, and a receive who sleeps until there is room.
#[case(MQ_OVERVIEW_7, "Linux implementation of message queue descriptors", needs = [TRANSFER])]
fn use_wakes_sleeping_pollers() -> Verdict {
    let (mq, _) = Mq::create(Attr::new(1, 16))?;
    let poller = |events| {
        let poller = Child::spawn(|| {
            let mut fds = [PollFd::new(mq.as_fd(), events)];
            check!(poll(&mut fds, PollTimeout::NONE) == Ok(1));
            check!(fds[0].revents() == Some(events));
            Ok(())
        })?;
        poller.blocked_in(POLL)?;
        Verdict::Ok(poller)
    };
    let reader = poller(PollFlags::POLLIN)?;
    mq.send(b"x", 0)?;
    reader.join()?;
    let writer = poller(PollFlags::POLLOUT)?;
    mq.receive(16)?;
    writer.join()
}

/// mq_open sets close-on-exec, whether or not O_CLOEXEC asks for it.
#[case(MQ_OVERVIEW_7, "Linux implementation of message queue descriptors", settles = ["mq_open.3 O_CLOEXEC"], needs = [QUEUES])]
fn descriptor_is_closed_on_exec() -> Verdict {
    let (mq, name) = Mq::create(SMALL)?;
    check!(fcntl(&mq, FcntlArg::F_GETFD) == Ok(libc::FD_CLOEXEC));
    for flags in [O_RDONLY, O_RDONLY | libc::O_CLOEXEC] {
        let mq = Mq::open(&name, flags)?;
        check!(fcntl(&mq, FcntlArg::F_GETFD) == Ok(libc::FD_CLOEXEC), "flags {flags:#x}");
    }
    Ok(())
}

/// The file of a queue tells the bytes of all its messages, and who is to be notified and how.
#[case(MQ_OVERVIEW_7, "Mounting the message queue filesystem", settles = ["mq_overview.7 QSIZE", "mq_overview.7 NOTIFY_PID", "mq_overview.7 NOTIFY", "mq_overview.7 SIGNO"], needs = [TRANSFER, NOTIFICATION, Need::CanUnshare(Namespaces::MOUNT)])]
fn file_tells_size_and_registration() -> Verdict {
    own_mounts()?;
    mkdir("queues", Mode::S_IRWXU)?;
    mount(Some("none"), "queues", Some("mqueue"), MsFlags::empty(), None::<&str>)?;
    let (mq, name) = Mq::create(SMALL)?;
    let file = || fs::read_to_string(format!("queues{name}"));
    let words = |text: &str| text.split_ascii_whitespace().map(str::to_owned).collect::<Vec<_>>();

    mq.send(b"abc", 0)?;
    mq.send(b"de", 9)?;
    check!(words(&file()?) == words("QSIZE:5 NOTIFY:0 SIGNO:0 NOTIFY_PID:0"));
    let (pid, signal) = (getpid(), libc::SIGUSR1);
    mq.notify(BY_SIGNAL)?;
    check!(words(&file()?) == words(&format!("QSIZE:5 NOTIFY:0 SIGNO:{signal} NOTIFY_PID:{pid}")));
    mq.notify_no_more()?;
    mq.notify(Notify::Nothing)?;
    mq.receive(16)?;
    check!(words(&file()?) == words(&format!("QSIZE:3 NOTIFY:1 SIGNO:0 NOTIFY_PID:{pid}")));
    Ok(())
}

/// A name of one byte more than a file name may have, after the slash.
fn too_long() -> String {
    format!("/{}", "x".repeat(libc::NAME_MAX as usize + 1))
}

refusals! {
    MQ_OPEN_3, "ERRORS", needs = [QUEUES];

    /// A queue that does not exist is not opened without O_CREAT.
    ["mq_open.3 ENOENT 1"] missing_queue_is_not_opened => ENOENT: Mq::open(&queue_name()?, O_RDWR);

    /// A name that is a slash and nothing else is refused.
    ["mq_open.3 ENOENT 2"] name_of_a_mere_slash_is_refused => ENOENT:
        Mq::open_with("/", O_RDWR, 0o600, Some(SMALL));

    /// A name with more than one slash is refused.
    ["mq_open.3 EACCES 2"] name_with_two_slashes_is_refused => EACCES:
        Mq::open_with(&format!("{}/x", queue_name()?), O_RDWR, 0o600, Some(SMALL));

    /// A name that does not begin with a slash is refused.
    ["mq_open.3 EINVAL 1"] name_without_a_slash_is_refused => EINVAL:
        Mq::open_with(&queue_name()?[1..], O_RDWR, 0o600, Some(SMALL));

    /// A name longer than a file name may be is not opened.
    ["mq_open.3 ENAMETOOLONG"] too_long_a_name_is_not_opened => ENAMETOOLONG: Mq::open(&too_long(), O_RDWR);

    /// A process that has as many descriptors as it may have opens no queue.
    ["mq_open.3 EMFILE"] process_without_free_descriptor_opens_no_queue => EMFILE: {
        let (mq, name) = Mq::create(SMALL)?;
        setrlimit(Resource::RLIMIT_NOFILE, mq.as_fd().as_raw_fd() as rlim_t + 1, 64)?;
        Mq::open(&name, O_RDWR)
    };
}

refusals! {
    MQ_UNLINK_3, "ERRORS", needs = [QUEUES];

    /// A queue that does not exist is not unlinked.
    ["mq_unlink.3 ENOENT"] missing_queue_is_not_unlinked => ENOENT: Mq::unlink(&queue_name()?);

    /// A name longer than a file name may be is not unlinked.
    ["mq_unlink.3 ENAMETOOLONG"] too_long_a_name_is_not_unlinked => ENAMETOOLONG: Mq::unlink(&too_long());
}

refusals! {
    MQ_GETATTR_3, "ERRORS", needs = [ATTRIBUTES];

    /// A descriptor that is not of a queue has no attributes.
    ["mq_getattr.3 EBADF"] attributes_of_a_pipe_are_refused => EBADF: Mq::from(pipe()?.0).attr();
}

refusals! {
    MQ_NOTIFY_3, "ERRORS", needs = [QUEUES, NOTIFICATION];

    /// A descriptor that is not of a queue brings no notification.
    ["mq_notify.3 EBADF"] notification_of_a_pipe_is_refused => EBADF: Mq::from(pipe()?.0).notify(BY_SIGNAL);

    /// A sigev_notify that does not exist is refused.
    ["mq_notify.3 EINVAL"] unknown_kind_of_notification_is_refused => EINVAL:
        Mq::create(SMALL)?.0.notify(Notify::Unknown);

    /// A signal number that does not exist is refused.
    ["mq_notify.3 EINVAL"] unknown_signal_of_notification_is_refused => EINVAL:
        Mq::create(SMALL)?.0.notify(Notify::Signal(libc::SIGRTMAX() + 1, 0));
}
