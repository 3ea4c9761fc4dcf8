//! No case waits for another process by sleeping: the kernel kills whoever
//! calls nanosleep. A seccomp filter changes nothing else; under a tracer,
//! signals that a process ignores would interrupt its calls.
#![allow(unsafe_code)]

use std::os::unix::process::CommandExt;
use std::process::{Command, Output};

use ipcspec_cases::sys::calls::NANOSLEEP;
use ipcspec_faults::filter::Filter;
use nix::libc::{SECCOMP_RET_ALLOW, SECCOMP_RET_KILL_PROCESS};

/// The only cases that sleep: three about time stamps, which differ only when
/// time has passed, and two about nanosleep itself.
const SLEEPERS: [&str; 5] = [
    "msgqueue::sysv::stat_tells_time_of_last_change",
    "sem::sysv::semop_and_semctl_set_their_own_times",
    "shm::sysv::each_change_sets_its_own_time",
    "signal::interruption::a_sleeping_process_wakes_for_its_handler",
    "signal::interruption::waiting_calls_fail_with_eintr_in_spite_of_sa_restart",
];

/// Runs these cases where whoever sleeps is killed.
fn run_sleepless(cases: &[String]) -> Output {
    let numbers = NANOSLEEP.numbers.iter().copied();
    let filter = Filter::new(numbers, SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_ALLOW);
    let mut command = Command::new(env!("CARGO_BIN_EXE_ipcspec"));
    command.arg("-q").args(cases);
    // SAFETY: `install` only calls `prctl`, and allocates nothing.
    unsafe { command.pre_exec(move || Ok(filter.install()?)) };
    command.output().expect("ipcspec starts")
}

#[test]
fn nothing_else_sleeps() {
    let all = ipcspec_cases::all();
    let paths = all.iter().map(|case| case.path());
    let cases: Vec<_> = paths.filter(|case| !SLEEPERS.contains(&case.as_str())).collect();
    let output = run_sleepless(&cases);
    let told = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{told}{output:?}");
}

#[test]
fn each_case_that_sleeps_is_caught() {
    let output = run_sleepless(&SLEEPERS.map(String::from));
    let told = String::from_utf8_lossy(&output.stdout);
    assert_ne!(output.status.code(), Some(0), "{told}{output:?}");
    assert_eq!(told.matches("killed by SIGSYS").count(), SLEEPERS.len(), "{told}{output:?}");
}
