//! Kernels that are wrong on purpose, as the program puts cases and other
//! programs under them.
#![cfg(target_arch = "x86_64")]
#![forbid(unsafe_code)]

mod program;
mod scratch;

use std::process::Command;

use ipcspec_suite::faults::{Matrix, beyond, unseen};

use program::ipcspec;
use scratch::Scratch;

fn matrix(arguments: &[&str]) -> Matrix {
    let scratch = Scratch::new();
    let output = ipcspec(&[&["faults", "--json", &scratch.path("matrix")], arguments].concat());
    serde_json::from_str(&scratch.read("matrix"))
        .unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

#[test]
fn interposition_changes_no_verdict() {
    let matrix = matrix(&["--all", "--jobs", "4", "--timeout-factor", "3", "none"]);
    assert!(matrix.faults.len() >= 3);
    for row in &matrix.faults {
        assert!(row.noticed_by.is_empty() && row.broke.is_empty(), "{row:?}");
    }
}

#[test]
fn a_shell_pipeline_runs_under_a_fault() {
    let doubled = "pipe::stream::one_byte_is_written_twice";
    let line = "printf x | wc -c; exit 3";
    let output = ipcspec(&["faults", "exec", doubled, "--", "sh", "-c", line]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "2");
}

#[test]
fn a_signal_that_ends_the_program_is_told() {
    let output = ipcspec(&["faults", "exec", "none::nothing", "--", "sh", "-c", "kill -9 $$"]);
    assert_eq!(output.status.code(), Some(137), "{output:?}");
}

#[test]
fn what_cannot_be_is_told_in_one_line() {
    for (arguments, told) in [
        (&["faults", "show", "pipe::nonsense"][..], "no fault \"pipe::nonsense\""),
        (&["faults", "nonsense"], "no fault matches \"nonsense\""),
        (&["faults", "exec", "none::nothing"], "COMMAND"),
        (&["faults", "--json", "/nonsense/file"], "/nonsense/file"),
    ] {
        let output = ipcspec(arguments);
        let line = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {output:?}");
        assert!(line.lines().count() == 1 && line.contains(told), "{arguments:?}: {line}");
    }
}

/// Takes a unit of a semaphore in a child that exits, and tells what is left.
const UNDONE: &str = r#"
#include <stdio.h>
#include <sys/ipc.h>
#include <sys/sem.h>
#include <sys/wait.h>
#include <unistd.h>
union semun { int val; };
int main(void) {
    int set = semget(IPC_PRIVATE, 1, 0600);
    semctl(set, 0, SETVAL, (union semun){ .val = 5 });
    if (fork() == 0) {
        struct sembuf take = { 0, -2, SEM_UNDO };
        _exit(semop(set, &take, 1) != 0);
    }
    wait(NULL);
    printf("%d\n", semctl(set, 0, GETVAL));
    return semctl(set, 0, IPC_RMID);
}
"#;

#[test]
fn a_program_in_c_runs_under_a_fault() {
    let scratch = Scratch::new();
    let (source, program) = (scratch.file("undone.c", UNDONE), scratch.path("undone"));
    let compiled = Command::new("cc").arg("-o").arg(&program).arg(&source).status();
    let told = ["none::nothing", "sem::undo::undo_is_forgotten"].map(|fault| {
        let output = ipcspec(&["faults", "exec", fault, "--", &program]);
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    });
    match compiled {
        Ok(status) => assert!(status.success(), "the C compiler refuses"),
        Err(error) => return eprintln!("not asked, for want of a C compiler: {error}"),
    }
    assert_eq!(told, ["5", "3"]);
}

#[test]
fn what_the_lists_name_is_there() {
    let faults: Vec<_> = ipcspec_faults::all().iter().map(|fault| fault.path()).collect();
    for (fault, reason) in unseen() {
        assert!(faults.iter().any(|known| known == fault) && !reason.is_empty(), "{fault}");
    }
    let cases: Vec<_> = ipcspec_cases::all().iter().map(|case| case.path()).collect();
    for (case, reason) in beyond() {
        assert!(cases.iter().any(|known| known == case) && !reason.is_empty(), "{case}");
    }
}
