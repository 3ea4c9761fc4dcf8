//! The lab on targets that die, hang, print garbage or cannot be had: each is
//! told in a line, and the results of the others are whole. The targets are
//! commands on this kernel that do to the real program what a machine may do.
#![forbid(unsafe_code)]

#[path = "../../suite/tests/scratch/mod.rs"]
mod scratch;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output};

use ipcspec_harness::Outcome;
use ipcspec_suite::record::Recorded;
use scratch::Scratch;

const LAB: &str = env!("CARGO_BIN_EXE_ipcspec-lab");
/// A few cases that hold everywhere.
const CASES: &str = "pipe::ends::{each_end_works_one_way,two_pipes_*,child_inherits_both_ends}";
/// The second of them.
const SECOND: &str = "pipe::ends::two_pipes_carry_both_directions";

/// The program beside the lab's: cargo builds both for the tests of all.
fn program() -> String {
    let program = Path::new(LAB).with_file_name("ipcspec");
    assert!(program.is_file(), "{}: not there: cargo build", program.display());
    program.display().to_string()
}

fn lab(scratch: &Scratch, arguments: &[&str]) -> Output {
    let cache = scratch.path("cache");
    Command::new(LAB).args(["--cache", &cache]).args(arguments).output().unwrap()
}

/// Runs [`CASES`] on the targets of a file, each `name` and a shell script
/// that gets the program and its arguments.
fn run(scratch: &Scratch, targets: &[(&str, &str)], expected: i32) -> (String, String) {
    let mut text = String::new();
    for (name, script) in targets {
        text += &format!(
            "[start.{name}]\nsilence = 2\ncommand = ['sh', '-c', '''{script}''', '{{program}}', '{{arguments}}']\n[[target]]\nname = '{name}'\nstart = '{name}'\n"
        );
    }
    let file = scratch.file("targets.toml", &text);
    let (program, output) = (program(), scratch.path("out"));
    let names: Vec<_> = targets.iter().map(|(name, _)| *name).collect();
    let options = ["run", "--targets", &file, "--program", &program, "--output", &output];
    let output = lab(scratch, &[&options[..], &names, &["--", CASES]].concat());
    let told = String::from_utf8(output.stderr).unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(expected), "{told}{said}");
    (told, said)
}

fn recorded(scratch: &Scratch, name: &str) -> Recorded {
    Recorded::read(&scratch.path(&format!("out/{name}.jsonl"))).unwrap()
}

fn whole(scratch: &Scratch, name: &str) {
    let recorded = recorded(scratch, name);
    let end = recorded.end.expect("an end record");
    assert_eq!((end.counts.held, end.not_run), (recorded.start.plan.len(), 0));
    assert_eq!(recorded.cases.len(), 3);
}

/// The record of the case before [`SECOND`], as a pattern of the shell.
const FIRST_ENDS: &str = r#"*'"name":"pipe::ends::each_end_'*"#;

/// Lets the stream through, and kills everybody at a line like this where
/// the condition holds.
fn dies_at(pattern: &str, condition: &str) -> String {
    format!(
        r#""$0" "$@" 2>&1 | while read -r line; do printf '%s\n' "$line"; case $line in {pattern}) {condition} && kill -KILL 0;; esac; done"#
    )
}

#[test]
fn a_target_that_dies_once_goes_on() {
    let scratch = Scratch::new();
    let mark = scratch.path("mark");
    let dies = dies_at(FIRST_ENDS, &format!("mkdir {mark}"));
    let (_, said) = run(&scratch, &[("once", &dies)], 0);
    assert!(said.contains(&format!("died during {SECOND}: signal: 9")), "{said}");
    whole(&scratch, "once");
}

#[test]
fn a_case_that_kills_its_target_is_passed_by() {
    let scratch = Scratch::new();
    // Also when the stream begins with it.
    let in_flight = format!(r#"{FIRST_ENDS}|*'"plan":["{SECOND}"'*"#);
    let dies = dies_at(&in_flight, "true");
    let (_, said) = run(&scratch, &[("always", &dies), ("sound", r#"exec "$0" "$@""#)], 1);
    assert!(said.contains(&format!("unexpected: {SECOND}")), "{said}");
    whole(&scratch, "sound");
    let recorded = recorded(&scratch, "always");
    let verdicts: Vec<_> = recorded.cases.iter().map(|case| case.verdict).collect();
    assert_eq!(verdicts, [Outcome::Held, Outcome::Killed, Outcome::Held]);
    let end = recorded.end.expect("an end record");
    assert_eq!((end.counts.killed, end.status), (1, 1));
}

#[test]
fn garbage_among_the_events_is_passed_by() {
    let scratch = Scratch::new();
    let noisy = r#"echo '{"event":"nonsense"}'; head -c 3000 /dev/urandom; echo; "$0" "$@""#;
    run(&scratch, &[("noisy", noisy)], 0);
    whole(&scratch, "noisy");
}

/// A line that never comes is the target's doing, not that of its case.
#[test]
fn a_lost_line_is_asked_for_again_and_kills_nobody() {
    let scratch = Scratch::new();
    let mark = scratch.path("mark");
    let drops = format!(r#""$0" "$@" 2>&1 | grep -v '"name":"{SECOND}"'"#);
    let once = format!(r#"if mkdir {mark} 2>/dev/null; then {drops}; else exec "$0" "$@"; fi"#);
    let (told, said) = run(&scratch, &[("once", &once), ("always", &drops)], 2);
    assert!(said.contains("came too early: a line is lost"), "{said}");
    assert!(told.contains("always: incomplete (1 cases): pipe::ends::child_inherits"), "{told}");
    whole(&scratch, "once");
}

#[test]
fn targets_that_come_to_nothing_leave_the_others_whole() {
    let scratch = Scratch::new();
    let targets = [
        ("silent", "sleep 1000"),
        ("babble", "echo Kernel panic; echo not syncing >&2; exit 3"),
        ("sound", r#"exec "$0" "$@""#),
    ];
    let (told, _) = run(&scratch, &targets, 2);
    for line in [
        "ipcspec-lab: silent: not run (0 cases): came to no case: nothing came for 2 s",
        "ipcspec-lab: babble: not run (0 cases): came to no case: exit status: 3; last: ",
    ] {
        assert!(told.contains(line), "{told}");
    }
    assert_eq!(told.lines().count(), 2, "{told}");
    whole(&scratch, "sound");
}

#[test]
fn a_full_disk_is_told_and_the_others_are_whole() {
    let scratch = Scratch::new();
    fs::create_dir_all(scratch.path("out")).unwrap();
    symlink("/dev/full", scratch.path("out/full.jsonl")).unwrap();
    let sound = r#"exec "$0" "$@""#;
    let (told, _) = run(&scratch, &[("full", sound), ("sound", sound)], 2);
    assert_eq!(told, "ipcspec-lab: full: full.jsonl: No space left on device (os error 28)\n");
    whole(&scratch, "sound");
}

#[test]
fn expectations_are_held_against_the_stream() {
    let scratch = Scratch::new();
    let entry = format!("[[expect]]\ntest = '{SECOND}'\noutcome = 'violated'\nreason = 'x'\n");
    scratch.file("command.toml", &entry);
    let (program, output) = (program(), scratch.path("out"));
    let place = scratch.place().display().to_string();
    let options = ["run", "--command", "{program} {arguments}", "--program", &program];
    let more = ["--output", &output, "--expectations", &place, "--", CASES];
    let output = lab(&scratch, &[&options[..], &more].concat());
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("stale expectation: pipe::ends::two_pipes"), "{said}");
}

#[test]
fn what_is_missing_is_told_in_a_line() {
    let scratch = Scratch::new();
    let file = scratch.file(
        "targets.toml",
        "[start.x]\nneeds = { no-such-command = 'no-such-package' }\ncommand = ['{arguments}']\n\
         [[target]]\nname = 'bare'\nstart = 'x'\n\
         [[target]]\nname = 'apart'\nstart = 'here'\nsuite = 'nowhere'\npackages = ['p']\n",
    );
    let refused = |arguments: &[&str]| {
        let output = lab(&scratch, arguments);
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {told}");
        assert_eq!(told.lines().count(), 1, "{arguments:?}: {told}");
        told
    };
    let program = program();
    let output = scratch.path("out");
    let run = ["run", "--targets", &file, "--program", &program, "--output", &output];
    let with = |more: &[&str]| refused(&[&run[..], more].concat());
    assert!(with(&["bare"]).contains("no-such-command (apt-get install no-such-package)"));
    assert!(with(&["apart"]).contains("apart: not fetched (ipcspec-lab fetch apart)"));
    assert!(with(&["nobody"]).contains("no target \"nobody\""));
    assert!(with(&["here", "--", "no::such"]).contains("no case matches"));
    assert!(with(&["--kernel", "/no/kernel"]).contains("/no/kernel"));
    assert!(with(&["here", "--program", "/no/program"]).contains("/no/program"));
    assert!(with(&["here", "--program", &program]).contains("a second --program for "));
    assert!(with(&["here", "--program", "/bin/sh/.."]).contains("/bin/sh/.."));
    assert!(with(&["here", "--program", &file]).contains("no ELF program"));
    assert!(with(&["--command", "ssh board"]).contains("no {arguments}"));
    assert!(refused(&["list", "--targets", "/no/file"]).contains("/no/file"));
    let mirror = format!("file:{}", scratch.place().display());
    let keyring = scratch.file("keyring.gpg", "");
    let told = refused(&[
        "fetch",
        "apart",
        "--targets",
        &file,
        "--mirror",
        &mirror,
        "--keyring",
        &keyring,
    ]);
    assert!(told.starts_with("ipcspec-lab: apart: apt-get"), "{told}");
}

#[test]
fn what_a_killed_run_left_is_swept() {
    let scratch = Scratch::new();
    // No process has a number like this.
    let left = scratch.place().join("cache/run-4194305");
    fs::create_dir_all(&left).unwrap();
    run(&scratch, &[("sound", r#"exec "$0" "$@""#)], 0);
    assert!(!left.exists());
    assert_eq!(fs::read_dir(scratch.place().join("cache")).unwrap().count(), 0);
}

/// One command on a target of one's own, its exit status, and what is said of
/// it.
fn exec(command: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let scratch = Scratch::new();
    let program = program();
    let own = ["exec", "--program", &program, "--command", command, "command", "--"];
    let output = lab(&scratch, &[&own[..], arguments].concat());
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_command_hands_over_its_exit_status() {
    assert_eq!(exec("{program} {arguments}", &["list", "pipe"]).0, Some(0));
    let found = ["fuzz", "eventfd", "--programs", "400", "--canary", "0"];
    assert_eq!(exec("{program} {arguments}", &found).0, Some(1));
    let (status, said) = exec("{program} {arguments}", &["list", "nothing"]);
    assert!(status == Some(2) && said.contains("nothing"), "{status:?}: {said}");
    let (status, said) = exec("sh -c 'kill -KILL $$' {arguments}", &["list"]);
    assert!(status == Some(2) && said.contains("did not come to its end"), "{status:?}: {said}");
}
