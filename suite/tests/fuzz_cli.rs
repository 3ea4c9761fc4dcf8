//! `ipcspec fuzz` and `ipcspec replay` as their users call them.
#![forbid(unsafe_code)]

mod program;
mod scratch;

use program::{refused, told};
use scratch::Scratch;

/// A saved program of one step.
fn program(mechanism: &str, shape: &str, act: &str) -> String {
    format!(
        r#"{{"schema": 1, "mechanism": "{mechanism}", "shape": {shape}, "actors": 2,
"steps": [{{"actor": 0, "act": {act}}}]}}"#
    )
}

const EVENT: &str = r#"{"count": 0, "semaphore": false, "nonblocking": false}"#;
const SET: &str = r#"{"count": 1, "values": [{"Few": 0}, {"Few": 0}, {"Few": 0}, {"Few": 0}]}"#;
const QUEUE: &str = r#"{"capacity": 8}"#;
const PIPE: &str = r#"{"kind": "Pipe", "pages": 1, "nonblocking": false}"#;

#[test]
fn files_that_mean_nothing_are_refused_in_one_line() {
    let scratch = Scratch::new();
    let good = program("eventfd", EVENT, r#"{"Own": "Poll"}"#);
    for (content, says) in [
        (String::new(), "EOF while parsing"),
        ("{".to_owned(), "EOF while parsing"),
        ("[1, 2]".to_owned(), ":1:"),
        (good.replace("eventfd", "telepathy"), "unknown mechanism \"telepathy\", not one of pipe"),
        (good.replace("\"actor\": 0", "\"actor\": 7"), "actor 7 is out of range"),
        (good.replace("Poll", "Pull"), "unknown variant `Pull`"),
        (good.replace("\"schema\": 1", "\"schema\": 3"), "schema 3, where 1 can be read"),
    ] {
        let file = scratch.file("bad.json", &content);
        let line = refused(&["replay", &file]);
        assert!(line.contains(&file) && line.contains(says), "{line:?} does not say {says:?}");
    }
    let missing = scratch.path("missing.json");
    assert!(refused(&["replay", &missing]).contains(&missing));
}

#[test]
fn what_is_beyond_its_limits_is_refused_in_one_line() {
    let scratch = Scratch::new();
    let set_of = |count: &str| SET.replacen("\"count\": 1", count, 1);
    let stat = r#"{"Own": "Stat"}"#;
    let send = |mark: u8, length: u16| {
        let length = format!(r#"{{"Bytes": {length}}}"#);
        format!(
            r#"{{"Own": {{"Send": {{"kind": 1, "length": {length}, "wait": false, "mark": {mark}}}}}}}"#
        )
    };
    for (content, says) in [
        (program("sem", &set_of("\"count\": 5"), stat), "5 semaphores, where 1 to 4 can be"),
        (program("sem", &set_of("\"count\": 0"), stat), "0 semaphores, where 1 to 4 can be"),
        (program("sem", &SET.replacen("{\"Few\": 0}", "\"Negative\"", 1), stat), "begin at -1"),
        (program("msgqueue", QUEUE, &send(26, 1)), "step 1: a mark above 25"),
        (program("msgqueue", QUEUE, &send(0, 9000)), "step 1: a body of 9000 bytes"),
        (
            program(
                "pipe",
                &PIPE.replace("\"pages\": 1", "\"pages\": 3"),
                r#"{"Own": {"Poll": "Reading"}}"#,
            ),
            "3 pages",
        ),
        (
            program("pipe", PIPE, r#"{"Own": {"Read": {"end": "Reading", "bytes": 4000000000}}}"#),
            "step 1: 4000000000 bytes",
        ),
        (
            program("sem", SET, r#"{"Signal": {"Kill": {"to": 4, "signal": "Usr1"}}}"#),
            "a signal to actor 4",
        ),
    ] {
        let file = scratch.file("beyond.json", &content);
        let line = refused(&["replay", &file]);
        assert!(line.contains(says), "{line:?} does not say {says:?}");
    }
}

/// A semaphore that the set does not have is something to ask about.
#[test]
fn numbers_that_the_object_does_not_have_are_played() {
    let scratch = Scratch::new();
    for (mechanism, shape, act) in [
        ("sem", SET, r#"{"Own": {"GetVal": 255}}"#),
        ("sem", SET, r#"{"Own": {"SetVal": [200, {"Few": 1}]}}"#),
        (
            "msgqueue",
            QUEUE,
            r#"{"Own": {"Receive": {"kind": -9223372036854775808, "room": -32768, "flags": {"wait": false, "truncate": true, "except": true}}}}"#,
        ),
        ("eventfd", EVENT, r#"{"Own": {"Write": {"Highest": 255}}}"#),
    ] {
        let file = scratch.file("number.json", &program(mechanism, shape, act));
        let table = told(&["replay", &file], 0);
        assert!(table.ends_with("The model agrees with every step.\n"), "{table}");
    }
}

#[test]
fn unknown_names_and_numbers_are_refused() {
    let scratch = Scratch::new();
    let file = scratch.file("good.json", &program("eventfd", EVENT, r#"{"Own": "Poll"}"#));
    assert!(refused(&["replay", "--canary", "99", &file]).contains("--canary 99: eventfd has"));
    assert!(refused(&["fuzz", "eventfd", "--canary", "99"]).contains("--canary 99: eventfd has"));
    assert!(refused(&["fuzz", "all", "--canary", "99"]).contains("--canary 99: pipe has"));
    assert!(refused(&["fuzz", "telepathy"]).contains("no model of telepathy; there are pipe,"));
    let below = format!("{file}/findings");
    assert!(refused(&["fuzz", "eventfd", "--programs", "1", "--save", &below]).contains(&below));
    for wrong in [
        &["fuzz"][..],
        &["fuzz", "eventfd", "--jobs", "0"],
        &["fuzz", "eventfd", "--programs", "0"],
        &["fuzz", "eventfd", "--actors", "5"],
        &["replay"],
        &["replay", "--c", "--rust", &file],
    ] {
        refused(wrong);
    }
}

/// Findings, and only they, make it 1; what is saved of them shows the same.
#[test]
fn the_status_tells_of_findings() {
    let scratch = Scratch::new();
    let none = told(&["fuzz", "eventfd", "--programs", "100", "--jobs", "1"], 0);
    assert!(none.contains(" 0 found\n"), "{none}");
    let directory = scratch.path("findings");
    let canary = ["--canary", "0"];
    let fuzz = ["fuzz", "eventfd", "--seconds", "5", "--jobs", "1", "--save", &directory];
    let found = told(&[&fuzz[..], &canary].concat(), 1);
    assert!(found.contains("FOUND  eventfd"), "{found}");
    let file = scratch.path("findings/eventfd-0.json");
    for form in [&[][..], &["--c"], &["--rust"]] {
        told(&[&["replay", &file][..], form, &canary].concat(), 1);
        told(&[&["replay", &file][..], form].concat(), 0);
    }
}
