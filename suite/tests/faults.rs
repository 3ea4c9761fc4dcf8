//! Kernels that are wrong on purpose, as the program puts cases and other
//! programs under them.
#![forbid(unsafe_code)]

use std::process::{Command, Output};

use ipcspec_suite::faults::Matrix;

fn ipcspec(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ipcspec")).args(arguments).output().expect("ipcspec starts")
}

fn matrix(arguments: &[&str]) -> Matrix {
    let file = std::env::temp_dir().join(format!("ipcspec-matrix-{}", std::process::id()));
    let name = file.display().to_string();
    let output = ipcspec(&[&["faults", "--json", &name], arguments].concat());
    let text = std::fs::read_to_string(&file).expect("the matrix is written");
    let _ = std::fs::remove_file(&file);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

#[test]
fn interposition_changes_no_verdict() {
    let matrix = matrix(&["--all", "--jobs", "4", "none"]);
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
