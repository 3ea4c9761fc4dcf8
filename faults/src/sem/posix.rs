//! Wrong futexes and files under POSIX semaphores. What the C library decides
//! without a call is out of reach.

use libc::{
    FUTEX_CLOCK_REALTIME, FUTEX_CMD_MASK, FUTEX_WAIT_BITSET, FUTEX_WAKE, MAP_ANONYMOUS,
    MAP_PRIVATE, MAP_TYPE, O_CREAT, RLIMIT_NOFILE,
};

use crate::prelude::*;

/// The faults of this module.
pub const FAULTS: &[Fault] = &[
    post_wakes_nobody,
    first_post_alone_wakes,
    changed_value_sends_the_waiter_to_sleep,
    handler_never_ends_a_wait,
    handler_always_ends_a_wait,
    timed_wait_is_never_interrupted,
    timed_wait_gives_up_early,
    time_that_has_passed_never_comes,
    every_process_has_its_own_named_semaphore,
    unlink_leaves_the_name,
    new_name_takes_the_place_of_an_old_one,
    open_makes_what_is_missing,
    owner_opens_past_the_mode,
    limit_of_descriptors_binds_nobody,
];

/// The operation of a futex call.
fn operation(call: &Call) -> i32 {
    call.argument(1) as i32 & FUTEX_CMD_MASK
}

/// Whether it is sem_wait or sem_timedwait, which count on a clock that
/// nothing else counts on.
fn waits(call: &Call) -> bool {
    let on = call.argument(1) as i32 & FUTEX_CLOCK_REALTIME;
    operation(call) == FUTEX_WAIT_BITSET && on != 0
}

/// Whether it is sem_post.
fn posts(call: &Call) -> bool {
    operation(call) == FUTEX_WAKE && call.argument(2) == 1
}

/// A post wakes nobody.
#[fault(SEM_POST_3, "DESCRIPTION", on = [FUTEX])]
fn post_wakes_nobody(call: &mut Call) -> Result<Effect> {
    if posts(call) { call.give(0) } else { call.proceed() }
}

/// Of all posts of a semaphore the first alone wakes.
#[fault(SEM_POST_3, "DESCRIPTION", on = [FUTEX])]
fn first_post_alone_wakes(call: &mut Call) -> Result<Effect> {
    let lost = posts(call) && call.notes().count(call.argument(0)) > 0;
    if lost { call.give(0) } else { call.proceed() }
}

/// Who asks to sleep after the value has changed sleeps all the same.
#[fault(SEM_WAIT_3, "DESCRIPTION", on = [FUTEX])]
fn changed_value_sends_the_waiter_to_sleep(call: &mut Call) -> Result<Effect> {
    if !waits(call) {
        return call.proceed();
    }
    call.then(|call| if call.result() == -(EAGAIN as i64) { call.sleep() } else { call.proceed() })
}

/// Interrupted, and restarted where a handler has SA_RESTART, or where a time
/// limit is to be kept.
const INTERRUPTED: [i64; 2] = [-512, -516];

/// A wait goes on after every handler, with SA_RESTART or without.
#[fault(SEM_WAIT_3, "ERRORS", on = [FUTEX])]
fn handler_never_ends_a_wait(call: &mut Call) -> Result<Effect> {
    if !waits(call) {
        return call.proceed();
    }
    call.then_always(|call| match call.result() {
        result if INTERRUPTED.contains(&result) => call.give(-513),
        _ => call.proceed(),
    })
}

/// A wait ends with EINTR after every handler, with SA_RESTART or without.
#[fault(SIGNAL_7, "Interruption of system calls and library functions by signal handlers", on = [FUTEX])]
fn handler_always_ends_a_wait(call: &mut Call) -> Result<Effect> {
    if !waits(call) {
        return call.proceed();
    }
    call.then_always(|call| match call.result() {
        result if INTERRUPTED.contains(&result) => call.fail(EINTR),
        _ => call.proceed(),
    })
}

/// A wait with a time limit goes on after a handler without SA_RESTART.
#[fault(SEM_WAIT_3, "ERRORS", on = [FUTEX])]
fn timed_wait_is_never_interrupted(call: &mut Call) -> Result<Effect> {
    if !waits(call) || call.argument(3) == 0 {
        return call.proceed();
    }
    call.then_always(|call| match call.result() {
        result if INTERRUPTED.contains(&result) => call.give(-513),
        _ => call.proceed(),
    })
}

/// A wait with a time limit gives up 30 ms before it.
#[fault(SEM_WAIT_3, "DESCRIPTION", on = [FUTEX])]
fn timed_wait_gives_up_early(call: &mut Call) -> Result<Effect> {
    let limit = call.argument(3);
    if !waits(call) || limit == 0 {
        return call.proceed();
    }
    let (seconds, nanoseconds) = (call.number_at::<i64>(limit)?, call.number_at::<i64>(limit + 8)?);
    let early = seconds * 1_000_000_000 + nanoseconds - 30_000_000;
    call.set_number_at(limit, early / 1_000_000_000)?;
    call.set_number_at(limit + 8, early % 1_000_000_000)?;
    call.proceed()
}

/// A wait until a time that has passed sleeps until it is posted.
#[fault(SEM_WAIT_3, "DESCRIPTION", on = [FUTEX])]
fn time_that_has_passed_never_comes(call: &mut Call) -> Result<Effect> {
    let limit = call.argument(3);
    if waits(call) && limit != 0 && call.number_at::<i64>(limit)? <= 1 {
        call.set_argument(3, 0);
    }
    call.proceed()
}

/// Whether this path is that of a named semaphore.
fn is_semaphore(call: &Call, address: u64) -> Result<bool> {
    call.text(address).map(|path| path.starts_with("/dev/shm/sem."))
}

/// Where the path stands among the arguments: there are two calls of each kind.
fn path(call: &Call) -> usize {
    usize::from([libc::SYS_openat, libc::SYS_unlinkat].contains(&call.number()))
}

/// What is mapped of the file of a semaphore is a copy of this process's own.
#[fault(SEM_OPEN_3, "DESCRIPTION", on = [MMAP])]
fn every_process_has_its_own_named_semaphore(call: &mut Call) -> Result<Effect> {
    let flags = call.argument(3) as i32;
    if flags & MAP_ANONYMOUS == 0 {
        call.set_argument(3, (flags & !MAP_TYPE | MAP_PRIVATE) as u64);
    }
    call.proceed()
}

/// Unlinking a semaphore is told as done, whoever asks, and the name stays.
#[fault(SEM_UNLINK_3, "DESCRIPTION", on = [UNLINK])]
fn unlink_leaves_the_name(call: &mut Call) -> Result<Effect> {
    if is_semaphore(call, call.argument(path(call)))? { call.give(0) } else { call.proceed() }
}

/// A new semaphore takes the name of one that exists, in spite of O_EXCL.
#[fault(SEM_OPEN_3, "ERRORS", on = [LINK])]
fn new_name_takes_the_place_of_an_old_one(call: &mut Call) -> Result<Effect> {
    let all = call.arguments();
    let (from, to) =
        if call.number() == libc::SYS_link { (all[0], all[1]) } else { (all[1], all[3]) };
    call.then(move |call| {
        if call.result() != -(EEXIST as i64) {
            return call.proceed();
        }
        call.instead(libc::SYS_rename, [from, to, 0, 0, 0, 0], |call| call.proceed())
    })
}

/// A semaphore that is missing is made, O_CREAT or not.
#[fault(SEM_OPEN_3, "ERRORS", on = [OPEN])]
fn open_makes_what_is_missing(call: &mut Call) -> Result<Effect> {
    let at = path(call);
    if is_semaphore(call, call.argument(at))? {
        call.set_argument(at + 1, call.argument(at + 1) | O_CREAT as u64);
    }
    call.proceed()
}

/// Who owns a semaphore opens it whatever its mode.
#[fault(SEM_OPEN_3, "ERRORS", on = [OPEN])]
fn owner_opens_past_the_mode(call: &mut Call) -> Result<Effect> {
    let name = call.argument(path(call));
    if !is_semaphore(call, name)? {
        return call.proceed();
    }
    call.then(move |call| {
        if call.result() != -(EACCES as i64) {
            return call.proceed();
        }
        call.instead(libc::SYS_chmod, [name, 0o600, 0, 0, 0, 0], |call| {
            call.once_more(|call| call.proceed())
        })
    })
}

/// RLIMIT_NOFILE is set and binds nobody.
#[fault(SEM_OPEN_3, "ERRORS", on = [PRLIMIT])]
fn limit_of_descriptors_binds_nobody(call: &mut Call) -> Result<Effect> {
    let [first, second, new, ..] = call.arguments();
    let (resource, sets) =
        if call.number() == libc::SYS_prlimit64 { (second, new != 0) } else { (first, true) };
    if sets && resource == u64::from(RLIMIT_NOFILE) { call.give(0) } else { call.proceed() }
}
