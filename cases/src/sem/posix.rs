//! POSIX semaphores: named and unnamed.

use nix::sched::sched_yield;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_gettime};
use nix::unistd::{Gid, Uid, setresgid, setresuid};

use crate::prelude::*;
use crate::sys::posix_sem::{Semaphore, highest_value, new_name, unlink};
use crate::sys::signals::{Action, catch};

/// Where the C library keeps named semaphores.
const NAMES: Need = Need::Directory("/dev/shm");

/// The cases of this module.
pub const CASES: &[Case] = &[
    // Waiting and posting.
    sem_wait_at_zero_blocks_until_a_post,
    post_lets_one_waiter_through,
    mutex_admits_one_process_at_a_time,
    handler_without_sa_restart_ends_a_wait,
    wait_goes_on_after_a_handler_with_sa_restart,
    handler_may_post_for_the_wait_that_it_interrupts,
    timed_wait_gives_up_not_before_its_time,
    timed_wait_on_a_free_semaphore_never_times_out,
    post_beyond_the_maximum_is_refused,
    // Names.
    name_leads_every_process_to_one_semaphore,
    named_semaphore_outlives_its_creator,
    unlinked_name_is_free_while_the_semaphore_lives,
    open_without_permission_is_refused,
    open_without_free_descriptors_is_refused,
    stranger_may_not_unlink,
    // Refused calls.
    try_wait_at_zero_is_refused,
    timed_wait_with_invalid_nanoseconds_is_refused,
    initial_value_beyond_the_maximum_is_refused,
    existing_name_is_refused_with_excl,
    named_value_beyond_the_maximum_is_refused,
    empty_name_is_refused,
    unknown_name_is_refused,
    unlink_of_an_unknown_name_is_refused,
];

/// A process that sleeps in sem_wait, and ends once it has its unit.
fn sleeper(sem: &Semaphore) -> Verdict<Child> {
    let sleeper = Child::spawn(|| Ok(sem.wait()?))?;
    sleeper.blocked_in(FUTEX)?;
    Ok(sleeper)
}

/// The time of `CLOCK_REALTIME`, so much later.
fn later(by: Duration) -> Verdict<TimeSpec> {
    Ok(clock_gettime(ClockId::CLOCK_REALTIME)? + by.into())
}

/// sem_wait at zero sleeps until another process posts, and the value is 0, not less, meanwhile.
#[case(SEM_WAIT_3, "DESCRIPTION", also = [(SEM_POST_3, "DESCRIPTION"), (SEM_GETVALUE_3, "DESCRIPTION")], settles = ["A22", "A23", "A26"])]
fn sem_wait_at_zero_blocks_until_a_post() -> Verdict {
    let sem = Semaphore::shared(0)?;
    let waiter = sleeper(&sem)?;
    check!(sem.value() == Ok(0));
    sem.post()?;
    waiter.join()?;
    check!(sem.value() == Ok(0));
    Ok(())
}

/// One post lets one of two waiters through; the other sleeps on until the next.
#[case(SEM_POST_3, "DESCRIPTION", settles = ["A23"])]
fn post_lets_one_waiter_through() -> Verdict {
    let sem = Semaphore::shared(0)?;
    let through = Semaphore::shared(0)?;
    let waiters = Children::spawn(2, |_| {
        sem.wait()?;
        Ok(through.post()?)
    })?;
    waiters.blocked_in(FUTEX)?;
    sem.post()?;
    through.wait()?;
    check!(sem.try_wait() == Err(EAGAIN));
    check!(through.try_wait() == Err(EAGAIN));
    sem.post()?;
    waiters.join()?;
    check!((sem.value(), through.value()) == (Ok(0), Ok(1)));
    Ok(())
}

/// Between sem_wait and sem_post on a semaphore that started at 1 there is never more than one process.
#[case(SEM_OVERVIEW_7, "DESCRIPTION", settles = ["A25", "A24"], deadline = 60)]
fn mutex_admits_one_process_at_a_time() -> Verdict {
    const ROUNDS: u64 = 5000;
    let sem = Semaphore::shared(1)?;
    let (inside, total, start) = (Counter::new()?, Counter::new()?, Latch::new()?);
    let worker = || {
        start.wait()?;
        for _ in 0..ROUNDS {
            sem.wait()?;
            check!(inside.add(1) == 0);
            let before = total.get();
            sched_yield()?;
            total.set(before + 1);
            inside.set(0);
            sem.post()?;
        }
        Ok(())
    };
    let workers = Children::spawn(3, |_| worker())?;
    start.open();
    workers.join()?;
    check!(total.get() == 3 * ROUNDS);
    check!(sem.value() == Ok(1));
    Ok(())
}

/// A handler set up without SA_RESTART ends a wait, timed or not, with EINTR, and takes nothing.
#[case(SEM_WAIT_3, "ERRORS", also = [(SIGNAL_7, "Interruption of system calls and library functions by signal handlers")], settles = ["sem_wait.3 EINTR"])]
fn handler_without_sa_restart_ends_a_wait() -> Verdict {
    let sem = Semaphore::shared(0)?;
    let interrupted = |wait: &dyn Fn() -> nix::Result<()>| {
        let waiter = Child::spawn(|| {
            catch(SIGUSR1)?;
            check!(wait() == Err(EINTR));
            Ok(())
        })?;
        waiter.interrupt_in(FUTEX, SIGUSR1)
    };
    let until = later(Duration::from_hours(1))?;
    interrupted(&|| sem.wait())?;
    interrupted(&|| sem.timed_wait(until))?;
    sem.post()?;
    check!(sem.value() == Ok(1));
    Ok(())
}

/// After a handler set up with SA_RESTART, sem_wait sleeps on until a post.
#[case(SIGNAL_7, "Interruption of system calls and library functions by signal handlers")]
fn wait_goes_on_after_a_handler_with_sa_restart() -> Verdict {
    let sem = Semaphore::shared(0)?;
    goes_on(&sem, || sem.wait())
}

/// Checks that `wait` goes on after a handler has run in the middle of it.
fn goes_on(sem: &Semaphore, wait: impl FnOnce() -> nix::Result<()>) -> Verdict {
    let waiter = Child::spawn(|| {
        Action::record().flags(libc::SA_RESTART).on(SIGUSR1)?;
        check!(wait() == Ok(()));
        Ok(())
    })?;
    waiter.blocked_in(FUTEX)?;
    waiter.kill(SIGUSR1)?;
    waiter.blocked_in(FUTEX)?;
    sem.post()?;
    waiter.join()
}

/// A handler may post the semaphore whose wait it interrupts, and the wait goes through.
#[case(SEM_POST_3, "NOTES", also = [(SEM_WAIT_3, "EXAMPLES")])]
fn handler_may_post_for_the_wait_that_it_interrupts() -> Verdict {
    let sem = Semaphore::shared(0)?;
    let waiter = Child::spawn(|| {
        sem.post_on(SIGUSR1, libc::SA_RESTART)?;
        check!(sem.wait() == Ok(()));
        check!(sem.value() == Ok(0));
        Ok(())
    })?;
    waiter.interrupt_in(FUTEX, SIGUSR1)
}

/// sem_timedwait returns ETIMEDOUT when its time has come, not earlier, and at once when it has passed.
#[case(SEM_WAIT_3, "DESCRIPTION", settles = ["sem_wait.3 ETIMEDOUT"])]
fn timed_wait_gives_up_not_before_its_time() -> Verdict {
    let sem = Semaphore::shared(0)?;
    let until = later(Duration::from_millis(60))?;
    check!(sem.timed_wait(until) == Err(ETIMEDOUT));
    check!(clock_gettime(ClockId::CLOCK_REALTIME)? >= until);
    check!(sem.timed_wait(TimeSpec::new(1, 0)) == Err(ETIMEDOUT));
    check!(sem.value() == Ok(0));
    Ok(())
}

/// sem_timedwait takes what is free though its time has passed.
#[case(SEM_WAIT_3, "DESCRIPTION")]
fn timed_wait_on_a_free_semaphore_never_times_out() -> Verdict {
    let sem = Semaphore::shared(1)?;
    check!(sem.timed_wait(TimeSpec::new(1, 0)) == Ok(()));
    check!(sem.value() == Ok(0));
    Ok(())
}

/// A post that would take the value beyond SEM_VALUE_MAX is refused and changes nothing.
#[case(SEM_POST_3, "ERRORS", settles = ["sem_post.3 EOVERFLOW"])]
fn post_beyond_the_maximum_is_refused() -> Verdict {
    let most = highest_value()?;
    let sem = Semaphore::shared(most - 1)?;
    check!(sem.post() == Ok(()));
    check!(sem.post() == Err(EOVERFLOW));
    check!(sem.value() == Ok(most as i32));
    Ok(())
}

/// Processes that open one name have one semaphore; O_CREAT on an existing name leaves its value alone.
#[case(SEM_OPEN_3, "DESCRIPTION", also = [(SEM_OVERVIEW_7, "DESCRIPTION")], settles = ["A27"], needs = [NAMES])]
fn name_leads_every_process_to_one_semaphore() -> Verdict {
    let name = new_name()?;
    let made = Latch::new()?;
    let waiter = Child::spawn(|| {
        made.wait()?;
        let same = Semaphore::open(&name, OFlag::O_CREAT, 0o600, 9)?;
        check!(same.try_wait() == Err(EAGAIN));
        same.wait()?;
        Ok(())
    })?;
    let sem = Semaphore::open(&name, OFlag::O_CREAT | OFlag::O_EXCL, 0o600, 0)?;
    made.open();
    waiter.blocked_in(FUTEX)?;
    sem.post()?;
    waiter.join()?;
    check!(sem.value() == Ok(0));
    Ok(())
}

/// A named semaphore keeps its value when every process that had it open is gone.
#[case(SEM_OVERVIEW_7, "Persistence", settles = ["A27"], needs = [NAMES])]
fn named_semaphore_outlives_its_creator() -> Verdict {
    let name = new_name()?;
    let creator = Child::spawn(|| {
        let sem = Semaphore::open(&name, OFlag::O_CREAT | OFlag::O_EXCL, 0o600, 5)?;
        sem.wait()?;
        Ok(())
    })?;
    creator.join()?;
    check!(Semaphore::open(&name, OFlag::empty(), 0, 0)?.value() == Ok(4));
    Ok(())
}

/// An unlinked name is free at once for a new semaphore, while the old one goes on for those that have it.
#[case(SEM_UNLINK_3, "DESCRIPTION", needs = [NAMES])]
fn unlinked_name_is_free_while_the_semaphore_lives() -> Verdict {
    let (old, name) = Semaphore::named(0)?;
    let waiter = sleeper(&old)?;
    check!(unlink(&name) == Ok(()));
    check!(Semaphore::open(&name, OFlag::empty(), 0, 0).map(drop) == Err(ENOENT));
    let new = Semaphore::open(&name, OFlag::O_CREAT | OFlag::O_EXCL, 0o600, 7)?;
    old.post()?;
    waiter.join()?;
    check!((old.value(), new.value()) == (Ok(0), Ok(7)));
    Ok(())
}

/// A semaphore whose mode grants nothing is open to who creates it, and cannot be opened afterwards.
#[case(SEM_OPEN_3, "ERRORS", needs = [NAMES, Need::Unprivileged], settles = ["sem_open.3 EACCES"])]
fn open_without_permission_is_refused() -> Verdict {
    let name = new_name()?;
    let sem = Semaphore::open(&name, OFlag::O_CREAT | OFlag::O_EXCL, 0, 1);
    check!(sem.and_then(Semaphore::close) == Ok(()));
    check!(Semaphore::open(&name, OFlag::empty(), 0, 0).map(drop) == Err(EACCES));
    Ok(())
}

/// sem_open needs a free descriptor, and fails without one.
#[case(SEM_OPEN_3, "ERRORS", settles = ["sem_open.3 EMFILE"], needs = [NAMES])]
fn open_without_free_descriptors_is_refused() -> Verdict {
    let (sem, name) = Semaphore::named(1)?;
    sem.close()?;
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, 0, hard)?;
    check!(Semaphore::open(&name, OFlag::empty(), 0, 0).map(drop) == Err(EMFILE));
    Ok(())
}

/// Who does not own a named semaphore may not unlink it, whatever its mode.
#[case(SEM_UNLINK_3, "ERRORS", needs = [NAMES, Need::OtherUsers], settles = ["sem_unlink.3 EACCES"])]
fn stranger_may_not_unlink() -> Verdict {
    let name = new_name()?;
    let sem = Semaphore::open(&name, OFlag::O_CREAT | OFlag::O_EXCL, 0o666, 1)?;
    let stranger = Child::spawn(|| {
        let (user, group) = (Uid::from_raw(54321), Gid::from_raw(54321));
        setresgid(group, group, group)?;
        setresuid(user, user, user)?;
        check!(unlink(&name) == Err(EACCES));
        Ok(())
    })?;
    stranger.join()?;
    sem.close()?;
    check!(Semaphore::open(&name, OFlag::empty(), 0, 0).is_ok());
    Ok(())
}

refusals! {
    SEM_WAIT_3, "ERRORS";

    /// sem_trywait at zero is refused.
    ["sem_wait.3 EAGAIN"] try_wait_at_zero_is_refused => EAGAIN: Semaphore::shared(0)?.try_wait();

    /// sem_timedwait that would sleep is refused when its time has a second or more of nanoseconds.
    ["sem_wait.3 EINVAL 2"] timed_wait_with_invalid_nanoseconds_is_refused => EINVAL: Semaphore::shared(0)?.timed_wait(TimeSpec::new(1, 1_000_000_000));
}

refusals! {
    SEM_INIT_3, "ERRORS";

    /// An unnamed semaphore cannot start above SEM_VALUE_MAX.
    ["sem_init.3 EINVAL"] initial_value_beyond_the_maximum_is_refused => EINVAL: Semaphore::shared(highest_value()? + 1);
}

refusals! {
    SEM_OPEN_3, "ERRORS", needs = [NAMES];

    /// With O_CREAT and O_EXCL, a name that exists is refused.
    ["sem_open.3 EEXIST"] existing_name_is_refused_with_excl => EEXIST: {
        let (_, name) = Semaphore::named(0)?;
        Semaphore::open(&name, OFlag::O_CREAT | OFlag::O_EXCL, 0o600, 0)
    };

    /// A named semaphore cannot start above SEM_VALUE_MAX.
    ["sem_open.3 EINVAL 1"] named_value_beyond_the_maximum_is_refused => EINVAL: Semaphore::open(&new_name()?, OFlag::O_CREAT, 0o600, highest_value()? + 1);

    /// A name of a slash alone is invalid.
    ["sem_open.3 EINVAL 2"] empty_name_is_refused => EINVAL: Semaphore::open("/", OFlag::O_CREAT, 0o600, 0);

    /// Without O_CREAT, a name that does not exist is refused.
    ["sem_open.3 ENOENT"] unknown_name_is_refused => ENOENT: Semaphore::open(&new_name()?, OFlag::empty(), 0, 0);
}

refusals! {
    SEM_UNLINK_3, "ERRORS", needs = [NAMES];

    /// A name that does not exist cannot be unlinked.
    ["sem_unlink.3 ENOENT"] unlink_of_an_unknown_name_is_refused => ENOENT: unlink(&new_name()?);
}
