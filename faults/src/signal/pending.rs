//! Wrong queues: what is pending and how often, in which order it comes, and
//! what it tells of its sender.

use libc::c_int;

use super::view::{Task, bit, field, is_real_time};
use crate::prelude::*;

/// The faults of this module.
pub const FAULTS: &[Fault] = &[
    standard_signals_are_queued,
    later_sender_replaces_the_first,
    real_time_signals_do_not_queue,
    value_is_lost,
    sender_is_told_as_the_receiver,
    sender_is_told_as_another_user,
    siginfo_is_not_passed,
    highest_real_time_signal_is_accepted_first,
    newest_real_time_signal_is_accepted_first,
    real_time_signals_overtake_standard_ones,
    tgkill_is_told_as_kill,
    tgkill_reaches_the_whole_process,
    sigpending_forgets_the_process,
    sigpending_tells_of_other_threads,
    limit_stops_kill_too,
    sigqueue_at_the_limit_loses_its_value,
    accepted_signal_stays_pending,
    any_pending_signal_is_accepted,
    waiting_ends_early,
    waiting_ends_with_eintr,
    accepted_signal_tells_no_value,
];

/// The number under which a fault remembers this signal of this process.
fn key(process: Task, signal: c_int) -> u64 {
    (process.0.as_raw() as u64) << 8 | signal as u64
}

/// Whether the call sends a standard signal that is pending already.
fn is_one_more(call: &Call) -> bool {
    let (target, signal) = (call.receiver(0), call.signal(1));
    (1..32).contains(&signal) && target.pending_for_all() & bit(signal) != 0
}

/// A standard signal that was sent twice while it was blocked comes twice.
#[fault(SIGNAL_7, "Queueing and delivery semantics for standard signals", on = [KILL, SIGQUEUE], signals = come_twice)]
fn standard_signals_are_queued(call: &mut Call) -> Result<Effect> {
    if is_one_more(call) {
        call.notes().count(key(call.receiver(0), call.signal(1)));
    }
    call.proceed()
}

fn come_twice(signal: &mut Arrival) -> Fate {
    let key = key(Task(signal.process()), signal.signal());
    let was_sent_twice = signal.notes().of(key).take().is_some();
    if was_sent_twice { Fate::Twice } else { Fate::Deliver }
}

/// A standard signal that is sent again while it is pending tells of the last sender.
#[fault(SIGNAL_7, "Queueing and delivery semantics for standard signals", on = [KILL, SIGQUEUE], signals = tell_the_last)]
fn later_sender_replaces_the_first(call: &mut Call) -> Result<Effect> {
    if is_one_more(call) {
        let key = key(call.receiver(0), call.signal(1));
        *call.notes().of(key) = Some(i64::from(call.process().as_raw()));
    }
    call.proceed()
}

fn tell_the_last(signal: &mut Arrival) -> Fate {
    let key = key(Task(signal.process()), signal.signal());
    let last = signal.notes().of(key).take();
    if let Some(last) = last {
        signal.set_field(field::PID, last as i32);
    }
    Fate::Deliver
}

/// A real-time signal that is sent while one of its number is pending is lost.
#[fault(SIGNAL_7, "Real-time signals", on = [SIGQUEUE])]
fn real_time_signals_do_not_queue(call: &mut Call) -> Result<Effect> {
    let (target, signal) = (call.receiver(0), call.signal(1));
    let lost = is_real_time(signal) && target.pending_for_all() & bit(signal) != 0;
    if lost { call.give(0) } else { call.proceed() }
}

/// A handler is told 0 in the place of the value that came with sigqueue.
#[fault(SIGACTION_2, "The siginfo_t argument to a SA_SIGINFO handler", signals)]
fn value_is_lost(signal: &mut Arrival) -> Fate {
    if signal.info().si_code == libc::SI_QUEUE {
        signal.set_field(field::VALUE, 0_u64);
    }
    Fate::Deliver
}

/// A handler is told its own process as the sender.
#[fault(SIGACTION_2, "The siginfo_t argument to a SA_SIGINFO handler", signals)]
fn sender_is_told_as_the_receiver(signal: &mut Arrival) -> Fate {
    if signal.is_sent() && signal.info().si_code != libc::SI_TIMER {
        let me = signal.process().as_raw();
        signal.set_field(field::PID, me);
    }
    Fate::Deliver
}

/// A handler is told another user than the sender's.
#[fault(SIGACTION_2, "The siginfo_t argument to a SA_SIGINFO handler", signals)]
fn sender_is_told_as_another_user(signal: &mut Arrival) -> Fate {
    if signal.is_sent() && signal.info().si_code != libc::SI_TIMER {
        let user = signal.field::<u32>(field::UID);
        signal.set_field(field::UID, user + 1);
    }
    Fate::Deliver
}

/// SA_SIGINFO is accepted, and what is known of a signal is not passed to its handler.
#[fault(SIGACTION_2, "DESCRIPTION", on = [SIGACTION])]
fn siginfo_is_not_passed(call: &mut Call) -> Result<Effect> {
    call.change_action(|action| action.flags &= !libc::SA_SIGINFO)?;
    call.proceed()
}

/// Of several real-time signals sigtimedwait accepts the highest first.
#[fault(SIGNAL_7, "Real-time signals", on = [SIGTIMEDWAIT])]
fn highest_real_time_signal_is_accepted_first(call: &mut Call) -> Result<Effect> {
    let pending = call.task().pending() & call.signal_set(0)?;
    if let Some(highest @ 31..) = pending.checked_ilog2() {
        call.change_set(0, |_| 1 << highest)?;
    }
    call.proceed()
}

/// Of two real-time signals of one number sigtimedwait accepts the later one first.
#[fault(SIGNAL_7, "Real-time signals", on = [SIGTIMEDWAIT])]
fn newest_real_time_signal_is_accepted_first(call: &mut Call) -> Result<Effect> {
    let [set, info, ..] = call.arguments();
    let now = call.place(0, &[0; 16])?;
    call.then(move |call| {
        let signal = call.result() as c_int;
        if !is_real_time(signal) {
            return call.proceed();
        }
        let (first, whole) = (call.memory(info, 128)?, call.memory(set, 8)?);
        call.write(set, bit(signal))?;
        let later = [set, info, now, 8, 0, 0];
        call.instead(libc::SYS_rt_sigtimedwait, later, move |call| {
            let later = call.memory(info, 128)?;
            call.set_memory(set, &whole)?;
            call.set_memory(info, &first)?;
            if call.result() < 0 {
                return call.give(signal);
            }
            let me = call.process().as_raw() as u64;
            let back = [me, signal as u64, info, 0, 0, 0];
            call.instead(libc::SYS_rt_sigqueueinfo, back, move |call| {
                call.set_memory(info, &later)?;
                call.give(signal)
            })
        })
    })
}

/// A standard signal comes after the real-time ones that are pending.
#[fault(SIGNAL_7, "Real-time signals", signals)]
fn real_time_signals_overtake_standard_ones(signal: &mut Arrival) -> Fate {
    let (number, mask) = (signal.signal(), signal.task().mask());
    let held = key(Task(signal.thread()), 0);
    let real_time = signal.task().pending() & !mask & !0x7fff_ffff;
    if !is_real_time(number) && real_time != 0 && signal.is_caught() {
        // It is put back, and blocked until they have come.
        signal.put_mask(mask | bit(number));
        *signal.notes().of(held) = Some(bit(number) as i64);
        return Fate::Deliver;
    }
    let later = signal.notes().of(held).take();
    if let Some(later) = later {
        signal.put_mask(mask & !(later as u64));
    }
    Fate::Deliver
}

/// A signal of tgkill is told as one of kill.
#[fault(SIGACTION_2, "The si_code field", signals)]
fn tgkill_is_told_as_kill(signal: &mut Arrival) -> Fate {
    if signal.info().si_code == libc::SI_TKILL {
        signal.info().si_code = libc::SI_USER;
    }
    Fate::Deliver
}

/// What tgkill sends to one thread is pending for the whole process.
#[fault(SIGNAL_7, "Signal mask and pending signals", on = [TGKILL])]
fn tgkill_reaches_the_whole_process(call: &mut Call) -> Result<Effect> {
    let [process, _, signal, ..] = call.arguments();
    if call.number() != libc::SYS_tgkill {
        return call.proceed();
    }
    call.instead(libc::SYS_kill, [process, signal, 0, 0, 0, 0], |call| call.proceed())
}

/// sigpending tells what is pending for the thread, and nothing of the process.
#[fault(SIGNAL_7, "Signal mask and pending signals", on = [SIGPENDING])]
fn sigpending_forgets_the_process(call: &mut Call) -> Result<Effect> {
    call.then(|call| {
        let own = call.task().pending_for_itself();
        call.change_set(0, |set| set & own)?;
        call.proceed()
    })
}

/// sigpending tells a thread what was pending for another thread before.
#[fault(SIGNAL_7, "Signal mask and pending signals", on = [SIGPENDING])]
fn sigpending_tells_of_other_threads(call: &mut Call) -> Result<Effect> {
    call.then(|call| {
        let (me, own) = (call.process(), call.task().pending_for_itself());
        let all = call.notes().of(me.as_raw() as u64).unwrap_or(0) as u64 | own;
        *call.notes().of(me.as_raw() as u64) = Some(all as i64);
        call.change_set(0, |set| set | all)?;
        call.proceed()
    })
}

/// At the limit of queued signals kill fails as well as sigqueue.
#[fault(GETRLIMIT_2, "DESCRIPTION", on = [KILL])]
fn limit_stops_kill_too(call: &mut Call) -> Result<Effect> {
    if call.task().may_queue_nothing() { call.fail(EAGAIN) } else { call.proceed() }
}

/// At the limit of queued signals sigqueue succeeds, and its value is lost.
#[fault(SIGQUEUE_3, "ERRORS", on = [SIGQUEUE])]
fn sigqueue_at_the_limit_loses_its_value(call: &mut Call) -> Result<Effect> {
    let [process, signal, ..] = call.arguments();
    call.then(move |call| match call.result() {
        full if full == -(EAGAIN as i64) => {
            call.instead(libc::SYS_kill, [process, signal, 0, 0, 0, 0], |call| call.proceed())
        }
        _ => call.proceed(),
    })
}

/// A signal that sigtimedwait has accepted is pending still.
#[fault(SIGWAITINFO_2, "DESCRIPTION", on = [SIGTIMEDWAIT])]
fn accepted_signal_stays_pending(call: &mut Call) -> Result<Effect> {
    let info = call.argument(1);
    call.then(move |call| {
        let (signal, me) = (call.result(), call.process().as_raw() as u64);
        if signal <= 0 || info == 0 {
            return call.proceed();
        }
        let again = [me, signal as u64, info, 0, 0, 0];
        call.instead(libc::SYS_rt_sigqueueinfo, again, move |call| call.give(signal))
    })
}

/// sigtimedwait accepts whatever is pending, of its set or not.
#[fault(SIGWAITINFO_2, "DESCRIPTION", on = [SIGTIMEDWAIT])]
fn any_pending_signal_is_accepted(call: &mut Call) -> Result<Effect> {
    let blocked = call.task().mask();
    call.change_set(0, |set| set | blocked)?;
    call.proceed()
}

/// sigtimedwait gives up after half of its time.
#[fault(SIGWAITINFO_2, "ERRORS", on = [SIGTIMEDWAIT])]
fn waiting_ends_early(call: &mut Call) -> Result<Effect> {
    let limit = call.argument(2);
    for half in [limit, limit + 8] {
        let whole = call.number_at::<i64>(half)?;
        call.set_number_at(half, whole / 2)?;
    }
    call.proceed()
}

/// sigtimedwait fails with EINTR when its time is over.
#[fault(SIGWAITINFO_2, "ERRORS", on = [SIGTIMEDWAIT])]
fn waiting_ends_with_eintr(call: &mut Call) -> Result<Effect> {
    call.then(
        |call| if call.result() == -(EAGAIN as i64) { call.fail(EINTR) } else { call.proceed() },
    )
}

/// A signal that sigtimedwait had to wait for tells no value.
#[fault(SIGWAITINFO_2, "DESCRIPTION", on = [SIGTIMEDWAIT])]
fn accepted_signal_tells_no_value(call: &mut Call) -> Result<Effect> {
    if call.task().pending() & call.signal_set(0)? != 0 {
        return call.proceed();
    }
    call.then(|call| {
        if call.told::<i32>(field::CODE)? == libc::SI_QUEUE {
            call.tell(field::VALUE, 0_u64)?;
        }
        call.proceed()
    })
}
