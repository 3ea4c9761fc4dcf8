//! What sends signals: other processes, the processor, children, pipes and
//! timers.

use std::fs::File;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use nix::sys::mman::ProtFlags;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::wait::{Id, WaitPidFlag, waitid, waitpid};
use nix::unistd::{Uid, setpgid, setresuid};

use super::idle;
use crate::prelude::*;
use crate::sys::signals::faults::{Pages, divide_by_zero, illegal_instruction, load, store};
use crate::sys::signals::{
    Action, Sig, Timer, accept, accept_pending, block, code, delivered, deliveries, exit, handled,
    interval_timer, pause, probe, queue, send, send_thread, suspend,
};

/// The cases of this module.
pub const CASES: &[Case] = &[
    kill_runs_the_handler_of_another_process,
    kill_of_a_group_reaches_its_members,
    signal_0_only_asks_for_existence,
    another_users_process_takes_only_sigcont,
    a_division_by_zero_raises_sigfpe,
    a_forbidden_access_raises_sigsegv,
    an_access_beyond_a_mapped_file_raises_sigbus,
    faults_without_a_handler_end_the_process,
    sigchld_tells_how_the_child_fared,
    sigchld_tells_of_a_core,
    nocldstop_leaves_only_the_end,
    ignoring_sigchld_leaves_no_zombie,
    a_pipe_without_readers_raises_sigpipe,
    interval_timers_count_their_own_time,
    an_interval_timer_goes_on_until_it_is_disarmed,
    a_posix_timer_tells_its_value,
];

/// More than a signal takes to come on a busy machine, less than a deadline.
const SOON: Duration = Duration::from_secs(4);

/// kill runs the handler in the process that it names, and in no other that has one.
#[case(KILL_2, "DESCRIPTION", settles = ["A36", "A39"])]
fn kill_runs_the_handler_of_another_process() -> Verdict {
    let me = getpid();
    Action::record().on(SIGUSR1)?;
    let child = Child::spawn(|| {
        check!(pause() == Err(EINTR));
        check!(handled() == 1);
        check!((deliveries()[0].code, deliveries()[0].pid) == (code::SI_USER, me));
        Ok(())
    })?;
    child.blocked_in(PAUSE)?;
    send(child.pid(), SIGUSR1)?;
    child.join()?;
    check!(delivered().is_empty());
    Ok(())
}

/// kill of a process group, by its number or as one's own, reaches every member and nobody else.
#[case(KILL_2, "DESCRIPTION", settles = ["A36"])]
fn kill_of_a_group_reaches_its_members() -> Verdict {
    for own in [false, true] {
        let (leader, outsider, joined) = (idle()?, idle()?, Latch::new()?);
        let group = leader.pid();
        let member = Child::spawn(|| {
            setpgid(getpid(), group)?;
            if own {
                send(Pid::from_raw(0), SIGTERM)?;
            }
            joined.open();
            Ok(pause()?)
        })?;
        if !own {
            member.reaches(joined)?;
            send(Pid::from_raw(-group.as_raw()), SIGTERM)?;
        }
        check!(leader.wait()? == End::Killed(libc::SIGTERM), "own group: {own}");
        check!(member.wait()? == End::Killed(libc::SIGTERM), "own group: {own}");
        // SIGTERM would be delivered before the higher number.
        outsider.kill(SIGPROF)?;
        check!(outsider.wait()? == End::Killed(libc::SIGPROF), "own group: {own}");
    }
    Ok(())
}

/// Signal 0 only asks whether there is a process, which a zombie is until it is waited for.
#[case(KILL_2, "DESCRIPTION", settles = ["kill.2 ESRCH", "sigqueue.3 ESRCH", "tkill.2 ESRCH"], also = [(KILL_2, "ERRORS")])]
fn signal_0_only_asks_for_existence() -> Verdict {
    let child = idle()?;
    let pid = child.pid();
    check!(probe(pid) == Ok(()));
    child.blocked_in(PAUSE)?;
    child.kill(SIGTERM)?;
    waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT)?;
    check!(probe(pid) == Ok(()));
    check!(send(pid, SIGUSR1) == Ok(()));
    check!(child.wait()? == End::Killed(libc::SIGTERM));
    check!(probe(pid) == Err(ESRCH));
    check!(send(pid, SIGTERM) == Err(ESRCH));
    check!(queue(pid, SIGTERM, 0) == Err(ESRCH));
    check!(send_thread(pid, pid, SIGTERM) == Err(ESRCH));
    check!(send(Pid::from_raw(-pid.as_raw()), SIGTERM) == Err(ESRCH));
    Ok(())
}

/// An ordinary user may not signal a process of another user, except with SIGCONT within the session.
#[case(KILL_2, "DESCRIPTION", settles = ["kill.2 EPERM"], needs = [Need::OtherUsers], also = [(KILL_2, "ERRORS")])]
fn another_users_process_takes_only_sigcont() -> Verdict {
    let target = idle()?;
    Child::spawn(|| {
        let user = Uid::from_raw(65534);
        setresuid(user, user, user)?;
        for signal in [SIGTERM, SIGKILL, SIGSTOP] {
            check!(target.kill(signal) == Err(EPERM), "{signal}");
        }
        check!(probe(target.pid()) == Err(EPERM));
        check!(target.kill(SIGCONT) == Ok(()));
        Ok(())
    })?
    .join()?;
    target.kill(SIGPROF)?;
    check!(target.wait()? == End::Killed(libc::SIGPROF));
    Ok(())
}

/// An integer division by zero raises SIGFPE with FPE_INTDIV and the address of the instruction.
#[case(SIGACTION_2, "The si_code field", settles = ["A32", "sigaction.2 FPE_INTDIV"], needs = [Need::Arch(&["x86_64", "x86"])], also = [(SIGACTION_2, "The siginfo_t argument to a SA_SIGINFO handler")])]
fn a_division_by_zero_raises_sigfpe() -> Verdict {
    static INSTRUCTION: AtomicUsize = AtomicUsize::new(0);
    let (told, at) = (Counter::new()?, Counter::new()?);
    let child = Child::spawn(|| {
        Action::run(move |delivery| {
            told.set(delivery.code as u64);
            at.set((delivery.address - INSTRUCTION.load(SeqCst)) as u64);
            exit(7)
        })
        .on(SIGFPE)?;
        at.set(u64::MAX);
        divide_by_zero(&INSTRUCTION);
        Ok(())
    })?;
    check!(child.wait()? == End::Exited(7));
    check!(told.get() == code::FPE_INTDIV as u64);
    check!(at.get() == 0, "from the instruction to si_addr");
    Ok(())
}

/// An access where nothing is mapped raises SIGSEGV with SEGV_MAPERR, one that the protection forbids with SEGV_ACCERR, each with its address.
#[case(SIGACTION_2, "The si_code field", settles = ["A33", "sigaction.2 SEGV_MAPERR", "sigaction.2 SEGV_ACCERR"], also = [(SIGACTION_2, "The siginfo_t argument to a SA_SIGINFO handler")])]
fn a_forbidden_access_raises_sigsegv() -> Verdict {
    type Access = fn(usize);
    let (to_load, to_store): (Access, Access) = (|at| _ = load(at), |at| store(at, 1));
    let rows = [
        ("load from PROT_NONE", Some(ProtFlags::PROT_NONE), to_load, code::SEGV_ACCERR),
        ("store to PROT_NONE", Some(ProtFlags::PROT_NONE), to_store, code::SEGV_ACCERR),
        ("store to PROT_READ", Some(ProtFlags::PROT_READ), to_store, code::SEGV_ACCERR),
        ("load from nothing", None, to_load, code::SEGV_MAPERR),
        ("store to nothing", None, to_store, code::SEGV_MAPERR),
    ];
    for (count, (row, protection, access, wanted)) in rows.into_iter().enumerate() {
        let page = Pages::new(protection.unwrap_or(ProtFlags::PROT_NONE))?;
        let base = page.address();
        if protection.is_none() {
            page.unmap()?;
        }
        Action::run(move |_| _ = Pages::map_again(base)).on(SIGSEGV)?;
        access(base + 123);
        check!(handled() == count + 1, "{row}");
        let told = deliveries()[count];
        check!((told.code, told.address) == (wanted, base + 123), "{row}");
    }
    Ok(())
}

/// An access to a page of a mapping that lies beyond the end of the file raises SIGBUS with BUS_ADRERR and its address.
#[case(MMAP_2, "ERRORS", settles = ["sigaction.2 BUS_ADRERR"], also = [(SIGACTION_2, "The si_code field")])]
fn an_access_beyond_a_mapped_file_raises_sigbus() -> Verdict {
    File::create("empty")?;
    let page = Pages::of_file(&File::open("empty")?)?;
    let base = page.address();
    Action::run(move |_| _ = Pages::map_again(base)).on(SIGBUS)?;
    check!(load(base + 9) == 0);
    check!(handled() == 1);
    check!((deliveries()[0].code, deliveries()[0].address) == (code::BUS_ADRERR, base + 9));
    Ok(())
}

/// A division by zero, an access to nothing and an unknown instruction end a process without a handler, by SIGFPE, SIGSEGV and SIGILL.
#[case(SIGNAL_7, "Standard signals", settles = ["A32", "A33", "signal.7 SIGFPE", "signal.7 SIGSEGV", "signal.7 SIGILL"], needs = [Need::Arch(&["x86_64", "x86"])])]
fn faults_without_a_handler_end_the_process() -> Verdict {
    let page = Pages::new(ProtFlags::PROT_NONE)?;
    page.unmap()?;
    let rows: [(Signal, &dyn Fn()); 3] = [
        (SIGFPE, &|| divide_by_zero(&AtomicUsize::new(0))),
        (SIGSEGV, &|| _ = load(page.address())),
        (SIGILL, &illegal_instruction),
    ];
    for (signal, fault) in rows {
        let child = Child::spawn(|| {
            fault();
            Ok(())
        })?;
        check!(child.wait()?.signal() == Some(signal as i32));
    }
    Ok(())
}

/// A child that exits, is killed, stops or goes on makes SIGCHLD come to its parent, which tells the child and what befell it.
#[case(SIGACTION_2, "The si_code field", settles = [
    "A35", "sigaction.2 CLD_EXITED", "sigaction.2 CLD_KILLED", "sigaction.2 CLD_STOPPED",
    "sigaction.2 CLD_CONTINUED", "wait.2 WIFEXITED", "wait.2 WEXITSTATUS",
], also = [(SIGACTION_2, "The siginfo_t argument to a SA_SIGINFO handler")])]
fn sigchld_tells_how_the_child_fared() -> Verdict {
    Action::record().on(SIGCHLD)?;
    block(SIGCHLD)?;
    let user = Uid::current().as_raw();
    let next =
        || accept(SIGCHLD, Some(SOON)).map(|told| (told.pid, told.uid, told.code, told.status));
    let child = idle()?;
    for (signal, wanted) in
        [(SIGSTOP, code::CLD_STOPPED), (SIGCONT, code::CLD_CONTINUED), (SIGKILL, code::CLD_KILLED)]
    {
        child.kill(signal)?;
        check!(next() == Ok((child.pid(), user, wanted, signal as i32)));
    }
    let child = Child::spawn(|| exit(7))?;
    check!(next() == Ok((child.pid(), user, code::CLD_EXITED, 7)));
    check!(child.wait()? == End::Exited(7));
    Ok(())
}

/// SIGCHLD says CLD_DUMPED of a child that left a core.
#[case(SIGACTION_2, "The si_code field", settles = ["A38", "sigaction.2 CLD_DUMPED"], needs = [Need::CoreFiles])]
fn sigchld_tells_of_a_core() -> Verdict {
    Action::record().on(SIGCHLD)?;
    block(SIGCHLD)?;
    let (_, hard) = getrlimit(Resource::RLIMIT_CORE)?;
    setrlimit(Resource::RLIMIT_CORE, hard, hard)?;
    let child = idle()?;
    child.kill(SIGABRT)?;
    let told = accept(SIGCHLD, Some(SOON)).map(|told| (told.pid, told.code, told.status));
    check!(told == Ok((child.pid(), code::CLD_DUMPED, libc::SIGABRT)));
    Ok(())
}

/// With SA_NOCLDSTOP no SIGCHLD comes when a child stops or goes on, but still one when it ends.
#[case(SIGACTION_2, "DESCRIPTION", settles = ["sigaction.2 SA_NOCLDSTOP"])]
fn nocldstop_leaves_only_the_end() -> Verdict {
    Action::record().flags(libc::SA_NOCLDSTOP).on(SIGCHLD)?;
    let child = idle()?;
    child.kill(SIGSTOP)?;
    child.wait_stopped()?;
    child.kill(SIGCONT)?;
    child.wait_continued()?;
    child.blocked_in(PAUSE)?;
    child.kill(SIGKILL)?;
    check!(child.wait()? == End::Killed(libc::SIGKILL));
    let codes: Vec<_> = deliveries().iter().map(|told| told.code).collect();
    check!(codes == [code::CLD_KILLED]);
    Ok(())
}

/// Where SIGCHLD is explicitly ignored or has SA_NOCLDWAIT, a child that ends leaves no zombie, and waiting for it fails once it is gone.
#[case(WAIT_2, "NOTES", settles = ["sigaction.2 SA_NOCLDWAIT", "wait.2 ECHILD 2"], also = [(SIGACTION_2, "DESCRIPTION"), (WAIT_2, "ERRORS")])]
fn ignoring_sigchld_leaves_no_zombie() -> Verdict {
    let silent = libc::SA_NOCLDWAIT;
    let caught = Action::record().flags(silent | libc::SA_RESTART);
    for (count, action) in
        [(0, Action::ignore()), (0, Action::default().flags(silent)), (1, caught)]
    {
        action.on(SIGCHLD)?;
        let child = Child::spawn(|| Ok(()))?;
        check!(waitpid(child.pid(), None) == Err(ECHILD));
        // The wait may end a moment before the process is gone for others.
        let asked = Instant::now();
        while probe(child.pid()) == Ok(()) && asked.elapsed() < SOON {}
        check!(probe(child.pid()) == Err(ESRCH));
        check!(handled() == count);
    }
    Ok(())
}

/// A write to a pipe without readers raises SIGPIPE: it ends the process, or runs the handler, and the write fails with EPIPE.
#[case(PIPE_7, "I/O on pipes and FIFOs", settles = ["A34", "signal.7 SIGPIPE"], also = [(SIGNAL_7, "Standard signals")])]
fn a_pipe_without_readers_raises_sigpipe() -> Verdict {
    let (r, w) = pipe()?;
    drop(r);
    let child = Child::spawn(|| Ok(write(&w, b".").map(drop)?))?;
    check!(child.wait()? == End::Killed(libc::SIGPIPE));
    Action::record().on(SIGPIPE)?;
    check!(write(&w, b".") == Err(EPIPE));
    check!(delivered() == [SIGPIPE]);
    Action::ignore().on(SIGPIPE)?;
    check!(write(&w, b".") == Err(EPIPE));
    check!(delivered() == [SIGPIPE]);
    Ok(())
}

/// The three interval timers send SIGALRM, SIGVTALRM and SIGPROF, none before its time, and only the first counts while the process sleeps.
#[case(GETITIMER_2, "DESCRIPTION", settles = [
    "getitimer.2 ITIMER_REAL", "getitimer.2 ITIMER_VIRTUAL", "getitimer.2 ITIMER_PROF",
    "signal.7 SIGALRM", "signal.7 SIGVTALRM", "signal.7 SIGPROF",
], deadline = 30)]
fn interval_timers_count_their_own_time() -> Verdict {
    for signal in [SIGALRM, SIGVTALRM, SIGPROF] {
        Action::record().on(signal)?;
    }
    let (short, long) = (Duration::from_millis(50), Duration::from_millis(100));
    interval_timer(libc::ITIMER_VIRTUAL, short, Duration::ZERO)?;
    interval_timer(libc::ITIMER_PROF, short, Duration::ZERO)?;
    let open = block(SIGALRM)?;
    let start = Instant::now();
    interval_timer(libc::ITIMER_REAL, long, Duration::ZERO)?;
    check!(suspend(open) == Err(EINTR));
    check!(start.elapsed() >= long);
    check!(delivered() == [SIGALRM]);
    while handled() < 3 && start.elapsed() < Duration::from_secs(20) {}
    let mut others = delivered().split_off(1);
    others.sort();
    check!(others == [SIGVTALRM.into(), SIGPROF.into()] as [Sig; 2]);
    Ok(())
}

/// An interval timer expires again after each interval, and no more when it has been disarmed.
#[case(GETITIMER_2, "DESCRIPTION", also = [(GETITIMER_2, "setitimer()")])]
fn an_interval_timer_goes_on_until_it_is_disarmed() -> Verdict {
    let (first, interval) = (Duration::from_millis(5), Duration::from_millis(10));
    block(SIGALRM)?;
    let start = Instant::now();
    interval_timer(libc::ITIMER_REAL, first, interval)?;
    for round in 0..3 {
        check!(accept(SIGALRM, Some(SOON)).is_ok(), "round {round}");
        check!(start.elapsed() >= first + interval * round);
    }
    interval_timer(libc::ITIMER_REAL, Duration::ZERO, Duration::ZERO)?;
    let _ = accept_pending(SIGALRM);
    check!(accept(SIGALRM, Some(interval * 3)) == Err(EAGAIN));
    Ok(())
}

/// A POSIX timer sends the signal and the value that it was made with, with SI_TIMER, and not before its time.
#[case(SIGEVENT_3TYPE, "sigevent", settles = ["sigaction.2 SI_TIMER", "sigevent.3type SIGEV_SIGNAL", "sigevent.3type si_signo", "sigevent.3type si_value"], also = [(SIGACTION_2, "The si_code field")])]
fn a_posix_timer_tells_its_value() -> Verdict {
    let signal = Sig::rt(2);
    Action::record().on(signal)?;
    // Blocked until the process sleeps for it, however late that is.
    let open = block(signal)?;
    let (timer, time) = (Timer::new(signal, 42)?, Duration::from_millis(30));
    let start = Instant::now();
    timer.set(time, Duration::ZERO)?;
    check!(suspend(open) == Err(EINTR));
    check!(start.elapsed() >= time);
    let told = deliveries()[0];
    check!((told.number, told.code, told.value) == (signal.0, code::SI_TIMER, 42));
    Ok(())
}
