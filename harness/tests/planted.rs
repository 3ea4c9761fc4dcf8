//! Cases that fail on purpose, one for every way of failing: each must be
//! reported as what it is, and the run must go on. They run at every level of
//! isolation that this machine has.
#![allow(unsafe_code, missing_docs)]

use std::io::Write;
use std::sync::{Arc, OnceLock};

use ipcspec_harness::{
    Case, Child, LEVELS, Latch, Need, Outcome, Page, Pool, Report, Settings, Syscalls, Verdict,
    case, check, serve_if_asked,
};
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal, kill, raise};
use nix::unistd::{getppid, pause, setsid};

const PLANTED: Page = Page("planted.7");

const PAUSE: Syscalls = Syscalls {
    name: "pause",
    numbers: &[
        #[cfg(not(target_arch = "aarch64"))]
        libc::SYS_pause,
        libc::SYS_ppoll,
    ],
};

/// Two and two make five.
#[case(PLANTED, "ARITHMETIC", settles = ["A01"])]
fn false_claim() -> Verdict {
    let two = 2;
    check!(two + two == 5);
    Ok(())
}

/// Descriptor 99 can be closed.
#[case(PLANTED, "ERRORS")]
fn error_through_question_mark() -> Verdict {
    nix::unistd::close(99)?;
    Ok(())
}

/// Nothing panics.
#[case(PLANTED, "PANICS")]
fn panic() -> Verdict {
    panic!("planted")
}

/// Half of a case is a whole one.
#[case(PLANTED, "EXITS")]
fn exit_half_way() -> Verdict {
    std::process::exit(0)
}

/// Waiting for nothing ends.
#[case(PLANTED, "HANGS", deadline = 1)]
fn hang() -> Verdict {
    loop {
        pause();
    }
}

/// Waiting for nothing ends, even when no signal can end it.
#[case(PLANTED, "HANGS", deadline = 1)]
fn hang_with_signals_blocked() -> Verdict {
    SigSet::all().thread_block()?;
    loop {
        pause();
    }
}

/// A processor that never rests is no hang.
#[case(PLANTED, "HANGS", deadline = 1)]
fn busy_hang() -> Verdict {
    loop {
        std::hint::spin_loop();
    }
}

/// What a case starts may outlive it.
#[case(PLANTED, "LEAKS")]
fn leaked_child_in_a_session_of_its_own() -> Verdict {
    let gone = Latch::new()?;
    let child = Child::spawn(move || {
        setsid()?;
        gone.open();
        loop {
            pause();
        }
    })?;
    gone.wait()?;
    std::mem::forget(child);
    Ok(())
}

/// What a case opens may stay open.
#[case(PLANTED, "LEAKS")]
fn leaked_descriptor() -> Verdict {
    std::mem::forget(nix::unistd::pipe()?);
    Ok(())
}

/// A child's failure is its own affair.
#[case(PLANTED, "CHILDREN")]
fn failing_child() -> Verdict {
    Child::spawn(|| {
        check!("got" == "wanted");
        Ok(())
    })?
    .join()
}

/// A child that is expected to sleep ends instead.
#[case(PLANTED, "CHILDREN")]
fn child_that_does_not_block() -> Verdict {
    Child::spawn(|| Ok(()))?.blocked_in(PAUSE)
}

/// A child that nobody wakes ends.
#[case(PLANTED, "CHILDREN", deadline = 1)]
fn child_that_never_wakes() -> Verdict {
    Child::spawn(|| {
        pause();
        Ok(())
    })?
    .join()
}

/// A program may abort.
#[case(PLANTED, "CRASHES")]
fn abort() -> Verdict {
    std::process::abort()
}

/// There is something at address 8.
#[case(PLANTED, "CRASHES")]
fn wild_pointer() -> Verdict {
    // SAFETY: none; this is the plant.
    let byte = unsafe { std::ptr::read_volatile(std::hint::black_box(8) as *const u8) };
    check!(byte == 0);
    Ok(())
}

/// All that is written is kept.
#[case(PLANTED, "OUTPUT", deadline = 1)]
fn output_without_end() -> Verdict {
    loop {
        let _ = std::io::stdout().write_all(&[b'x'; 4096]);
    }
}

/// A case without descriptors has no voice.
#[case(PLANTED, "DESCRIPTORS")]
fn closes_every_descriptor() -> Verdict {
    // SAFETY: nothing here owns one of them.
    unsafe { libc::close_range(0, u32::MAX, 0) };
    check!(
        nix::fcntl::open("/dev/null", nix::fcntl::OFlag::O_RDONLY, nix::sys::stat::Mode::empty())
            .map(std::os::fd::IntoRawFd::into_raw_fd)
            == Ok(1)
    );
    Ok(())
}

/// A limit of the whole machine is a case's to change.
#[case(PLANTED, "SYSCTLS", needs = [Need::File("/proc/sys/fs/pipe-max-size")])]
fn changes_a_sysctl_of_the_machine() -> Verdict {
    // Writes what is there already: this must be refused all the same.
    let value = std::fs::read_to_string("/proc/sys/fs/pipe-max-size")?;
    std::fs::write("/proc/sys/fs/pipe-max-size", value)?;
    Ok(())
}

/// A limit of the case's own namespace can be changed.
#[case(PLANTED, "SYSCTLS", needs = [Need::Sysctl("kernel/msgmax")])]
fn changes_a_sysctl_of_its_own() -> Verdict {
    std::fs::write("/proc/sys/kernel/msgmax", "1234")?;
    check!(std::fs::read_to_string("/proc/sys/kernel/msgmax")?.trim() == "1234");
    Ok(())
}

/// The limit that another case changed is as it was.
#[case(PLANTED, "SYSCTLS", needs = [Need::Sysctl("kernel/msgmax")])]
fn sees_no_sysctl_of_another() -> Verdict {
    check!(std::fs::read_to_string("/proc/sys/kernel/msgmax")?.trim() != "1234");
    Ok(())
}

/// Memory has no limit.
#[case(PLANTED, "MEMORY", deadline = 60)]
fn eats_memory() -> Verdict {
    let mut kept = vec![];
    loop {
        kept.push(vec![1_u8; 16 << 20]);
    }
}

/// The keeper is only a process.
#[case(PLANTED, "KEEPERS")]
fn kills_its_keeper() -> Verdict {
    kill(getppid(), Signal::SIGKILL)?;
    Ok(())
}

/// A stopped process ends.
#[case(PLANTED, "KEEPERS", deadline = 1)]
fn stops_itself() -> Verdict {
    raise(Signal::SIGSTOP)?;
    Ok(())
}

/// Files that a case leaves are there for the next.
#[case(PLANTED, "LEAKS")]
fn leaves_files() -> Verdict {
    std::fs::create_dir_all("a/b/c")?;
    std::fs::write("a/b/c/file", "left")?;
    Ok(())
}

/// The directory in which a case works is empty.
#[case(PLANTED, "LEAKS")]
fn finds_no_files() -> Verdict {
    check!(std::fs::read_dir(".")?.count() == 0);
    Ok(())
}

/// Nothing is there that is nowhere.
#[case(PLANTED, "NEEDS", needs = [Need::File("/nowhere"), Need::Arch(&["pdp11"])])]
fn needs_what_is_not_there() -> Verdict {
    Ok(())
}

fn refuse() -> Result<(), Errno> {
    Err(Errno::ENOSYS)
}

/// The kernel has everything.
#[case(PLANTED, "NEEDS", needs = [Need::Facility(ipcspec_harness::Facility { name: "everything", probe: refuse })])]
fn facility_that_is_missing() -> Verdict {
    Ok(())
}

/// What follows a failure is not touched by it.
#[case(PLANTED, "AFTERWARDS")]
fn nothing() -> Verdict {
    Ok(())
}

/// What each plant must be reported as, with a word of its report.
const EXPECTED: &[(&Case, Outcome, &str)] = &[
    (&false_claim, Outcome::Violated, "5"),
    (&error_through_question_mark, Outcome::Broken, "EBADF"),
    (&panic, Outcome::Broken, "panicked: planted"),
    (&exit_half_way, Outcome::Broken, "without a verdict: exited with status 0"),
    (&hang, Outcome::Violated, "no end after 1 s"),
    (&hang_with_signals_blocked, Outcome::Violated, "no end after 1 s"),
    (&busy_hang, Outcome::Broken, "running"),
    (&leaked_child_in_a_session_of_its_own, Outcome::Broken, "left processes behind"),
    (&leaked_descriptor, Outcome::Broken, "left descriptors open: 3 (pipe:"),
    (&failing_child, Outcome::Violated, "got"),
    (
        &child_that_does_not_block,
        Outcome::Violated,
        "exited with status 0\", at: \"harness/tests/planted.rs:",
    ),
    (&child_that_never_wakes, Outcome::Violated, "asleep in"),
    (&abort, Outcome::Broken, "killed by SIGABRT"),
    (&wild_pointer, Outcome::Broken, "killed by SIGSEGV"),
    (&output_without_end, Outcome::Broken, "no end after 1 s"),
    (&closes_every_descriptor, Outcome::Violated, "Ok(0)"),
    (&changes_a_sysctl_of_its_own, Outcome::Held, ""),
    (&sees_no_sysctl_of_another, Outcome::Held, ""),
    (&eats_memory, Outcome::Broken, "killed by SIGABRT"),
    (&stops_itself, Outcome::Broken, "no end after"),
    (&leaves_files, Outcome::Held, ""),
    (&finds_no_files, Outcome::Held, ""),
    (&needs_what_is_not_there, Outcome::Skipped, "/nowhere"),
    (&facility_that_is_missing, Outcome::Absent, "everything"),
    (&nothing, Outcome::Held, ""),
];

/// Plants whose report depends on the isolation.
const DEPENDENT: &[&Case] = &[&kills_its_keeper, &changes_a_sysctl_of_the_machine];

fn all() -> Vec<&'static Case> {
    EXPECTED.iter().map(|(case, ..)| *case).chain(DEPENDENT.iter().copied()).collect()
}

fn told(report: &Report) -> String {
    let details = report.details.as_ref();
    details.map_or_else(String::new, |details| format!("{details:?}"))
}

fn expect(report: &Report, outcome: Outcome, word: &str) -> Result<(), Failed> {
    if report.outcome == outcome && told(report).contains(word) {
        return Ok(());
    }
    Err(format!("wanted {outcome} with {word:?}, got {report:?}").into())
}

fn plant(pool: &Pool, index: usize, case: &'static Case) -> Result<(), Failed> {
    let report = pool.run(index, case);
    let isolated = |kind| pool.isolation().namespaces.contains(kind);
    if let Some((_, outcome, word)) = EXPECTED.get(index) {
        // A level without the namespace cannot ask about its sysctl.
        if report.outcome == Outcome::Skipped && told(&report).contains("own namespaces for") {
            return Ok(());
        }
        expect(&report, *outcome, word)?;
    } else if case.name == kills_its_keeper.name {
        if isolated(ipcspec_harness::Namespaces::PID) {
            // The init of a namespace is out of the reach of those in it.
            expect(&report, Outcome::Held, "")?;
        } else {
            expect(&report, Outcome::Broken, "the keeper died during this case")?;
        }
    } else if isolated(ipcspec_harness::Namespaces::MOUNT) {
        expect(&report, Outcome::Broken, "EROFS")?;
    }
    // The run goes on.
    let last = EXPECTED.len() - 1;
    expect(&pool.run(last, EXPECTED[last].0), Outcome::Held, "")
}

/// A level of isolation and its pool, started when the first trial wants it.
struct Level {
    name: &'static str,
    pool: OnceLock<Result<Pool, String>>,
}

impl Level {
    fn new(name: &'static str) -> Arc<Self> {
        Arc::new(Self { name, pool: OnceLock::new() })
    }

    /// The pool, or why this machine refuses the level.
    fn pool(&self) -> Result<Result<&Pool, String>, Failed> {
        let settings =
            Settings { workers: 1, isolation: self.name.to_owned(), ..Settings::default() };
        let pool = self.pool.get_or_init(|| Pool::start(&settings).map_err(|e| e.to_string()));
        let pool = pool.as_ref().map_err(Failed::from)?;
        let isolation = pool.isolation();
        Ok(if isolation.level == self.name { Ok(pool) } else { Err(isolation.refused.join("; ")) })
    }
}

fn main() -> std::process::ExitCode {
    let all = all();
    serve_if_asked(&all, None);
    let mut arguments = Arguments::from_args();
    // Hangs are idle: every level has a thread of its own.
    arguments.test_threads.get_or_insert(LEVELS.len());
    let pools: Vec<_> = LEVELS.iter().map(|(level, _)| Level::new(level)).collect();
    let mut trials = vec![];
    for (index, case) in all.into_iter().enumerate() {
        for level in &pools {
            let level = Arc::clone(level);
            let name = format!("{}::{}", level.name, case.name);
            trials.push(Trial::ignorable_test(name, move || match level.pool()? {
                Ok(pool) => plant(pool, index, case).map(|()| Completion::Completed),
                Err(refused) => Ok(Completion::ignored_with(refused)),
            }));
        }
    }
    drop(pools);
    trials.push(Trial::test("a_failure_is_told_with_call_wanted_got_and_place", || {
        let failure = (false_claim.run)().expect_err("a false claim does not hold");
        let details = failure.details();
        let told = (&*details.call, &*details.expected, &*details.observed);
        if told == ("two + two", "5", "4") && details.at.starts_with("harness/tests/planted.rs:") {
            Ok(())
        } else {
            Err(format!("{details:?}").into())
        }
    }));
    libtest_mimic::run(&arguments, trials).exit_code()
}
