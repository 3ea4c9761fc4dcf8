//! The program as its users call it.
#![forbid(unsafe_code)]

mod program;
mod scratch;

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use program::{ipcspec, refused, text, told};
use scratch::Scratch;

/// Standard output of a call that ends well.
fn well(arguments: &[&str]) -> String {
    told(arguments, 0)
}

const EOF: &str = "pipe::end_of_life::eof_after_last_writer_closes";

fn lines(stream: &str) -> Vec<Value> {
    stream.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
}

#[test]
fn events_keep_their_schema() {
    let schema: Value = serde_json::from_str(include_str!("../../docs/events.schema.json"))
        .expect("the schema is JSON");
    let schema = jsonschema::validator_for(&schema).expect("the schema is one");
    let output = ipcspec(&["run", "--events", "-"]);
    let events = lines(&text(&output.stdout));
    for event in &events {
        if let Err(error) = schema.validate(event) {
            panic!("{error}: {event}");
        }
    }
    let count = |kind| events.iter().filter(|event| event["event"] == kind).count();
    let plan = events[0]["plan"].as_array().expect("a plan").len();
    assert_eq!((count("start"), count("case"), count("end")), (1, plan, 1));
    assert_eq!(events.last().unwrap()["event"], "end");
    assert!(text(&output.stderr).contains("mechanism"), "the summary goes to standard error");
}

#[test]
fn patterns_select() {
    let names = |arguments: &[&str]| -> Vec<String> {
        let mut all = vec!["list", "--json"];
        all.extend(arguments);
        let listed: Value = serde_json::from_str(&well(&all)).expect("a list is JSON");
        let name = |case: &Value| case["name"].as_str().unwrap().to_owned();
        listed.as_array().unwrap().iter().map(name).collect()
    };
    assert_eq!(names(&[EOF]), [EOF]);
    assert!(names(&["pipe"]).iter().all(|name| name.starts_with("pipe::")));
    let both = names(&["pipe::end_of_life", "*::undo_rolls_back_at_exit"]);
    assert!(both.contains(&EOF.to_owned()));
    assert!(both.contains(&"sem::sysv::undo_rolls_back_at_exit".to_owned()));
    assert!(names(&[]).len() > both.len());
}

#[test]
fn names_are_unique() {
    let mut names: Vec<_> = ipcspec_cases::all().iter().map(|case| case.path()).collect();
    let count = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), count);
}

#[test]
fn bad_input_gets_one_line_and_status_2() {
    let scratch = Scratch::new();
    assert!(refused(&["run", "pipe::anonymus"]).contains("no case matches \"pipe::anonymus\""));
    assert!(refused(&["run", "pipe::["]).contains("pattern"));
    assert!(refused(&["run", "--timeout-factor", "0"]).contains("--timeout-factor"));
    assert!(refused(&["run", "--jobs", "0"]).contains("--jobs"));
    assert!(refused(&["run", "--isolation", "some"]).contains("--isolation"));
    assert!(refused(&["--what"]).contains("--what"));
    assert!(refused(&["run", "--ktap", "--events", "-"]).contains("standard output"));
    assert!(refused(&["run", "--events", "/nowhere/events"]).contains("/nowhere/events"));
    assert!(refused(&["run", "--junit", "/nowhere/junit"]).contains("/nowhere/junit"));
    assert!(refused(&["show", "pipe"]).contains("pipe"));
    assert!(refused(&["document", "--results", "/nowhere"]).contains("/nowhere"));
    for (content, word) in [
        ("[[expect]]\ntest = 1", "line 2"),
        ("[[expect]]\ntest = 'pipe'\noutcome = 'green'\nreason = ''", "line 3"),
        ("[[expect]]\ntest = 'pipe'\noutcome = ['held', 'green']\nreason = ''", "green"),
        ("[[expect]]\ntest = 'pipe'\noutcome = []\nreason = ''", "empty"),
        ("[[expect]]\ntest = 'pipe'\noutcome = 'held'", "reason"),
        ("[[expect]]\ntest = 'pipe'\noutcome = 'held'\nreason = ''\ncolour = 1", "colour"),
        (
            "[[expect]]\ntest = 'pipe'\noutcome = 'held'\nreason = ''\nwhen = { kernel = '6' }",
            "kernel",
        ),
    ] {
        let file = scratch.file("expect.toml", content);
        let told = refused(&["run", "--expect", &file, EOF]);
        assert!(told.contains("expect.toml") && told.contains(word), "{told}");
    }
}

#[test]
fn stale_expectations_are_loud() {
    let scratch = Scratch::new();
    let entry = |test: &str, when: &str, outcome: &str| {
        format!(
            "[[expect]]\ntest = '{test}'\nwhen = {{ {when} }}\noutcome = '{outcome}'\nreason = 'because'\n"
        )
    };
    let run = |content: &str| {
        let file = scratch.file("expect.toml", content);
        let output = ipcspec(&["run", "--expect", &file, EOF]);
        (output.status.code(), text(&output.stdout))
    };
    let (status, told) = run(&entry("pipe::*", "", "violated"));
    assert_eq!(status, Some(1));
    assert!(
        told.contains("STALE EXPECTATION") && told.contains("expected violated, came held"),
        "{told}"
    );
    let (status, told) = run(&entry("pipe::nothing::*", "", "violated"));
    assert_eq!(status, Some(1));
    assert!(told.contains("matches no case"), "{told}");
    let (status, _) = run(&entry("pipe::*", "\"target.sysname\" = 'Plan*'", "violated"));
    assert_eq!(status, Some(0));
    let (status, _) = run(&entry("pipe::*", "\"target.sysname\" = 'Lin*', jobs = 1", "held"));
    assert_eq!(status, Some(0));
}

#[test]
fn an_expectation_may_name_several_tests() {
    let scratch = Scratch::new();
    let content = "[[expect]]\ntest = ['pipe::nothing', 'pipe']\noutcome = 'held'\nreason = ''\n";
    let output = ipcspec(&["run", "--expect", &scratch.file("expect.toml", content), EOF]);
    assert_eq!(output.status.code(), Some(1));
    let told = text(&output.stdout);
    assert!(told.contains("\"pipe::nothing\" matches no case"), "{told}");
    assert!(!told.contains("\"pipe\" matches no case"), "{told}");
}

#[test]
fn an_expectation_may_name_several_outcomes() {
    let scratch = Scratch::new();
    for (outcomes, status) in [("['violated', 'held']", 0), ("['violated', 'absent']", 1)] {
        let entry = format!("[[expect]]\ntest = 'pipe'\noutcome = {outcomes}\nreason = ''\n");
        let told = told(&["run", "--expect", &scratch.file("expect.toml", &entry), EOF], status);
        assert_eq!(told.contains("expected violated or absent, came held"), status == 1, "{told}");
    }
}

#[test]
fn shipped_expectations_name_cases_that_exist_and_their_references() {
    let shipped = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/expectations"));
    let mut files = 0;
    for file in shipped.expect("the directory is there") {
        let file = file.expect("a file").path();
        let content = std::fs::read_to_string(&file).expect("a file is text");
        let entries = content.matches("[[expect]]").count();
        assert_eq!(content.matches("\nreference = \"").count(), entries, "{file:?}");
        // This case holds on every target.
        well(&["run", "--expect", &file.display().to_string(), EOF]);
        files += 1;
    }
    assert!(files >= 12, "{files} files");
}

#[test]
fn the_first_unexpected_verdict_ends_a_run_that_fails_fast() {
    let scratch = Scratch::new();
    let content = "[[expect]]\ntest = 'pipe'\noutcome = 'violated'\nreason = 'because'\n";
    let file = scratch.file("expect.toml", content);
    let output =
        ipcspec(&["run", "--fail-fast", "-j1", "--expect", &file, "--events", "-", "pipe"]);
    assert_eq!(output.status.code(), Some(1));
    let events = lines(&text(&output.stdout));
    let plan = events[0]["plan"].as_array().unwrap().len();
    let end = events.last().unwrap();
    assert_eq!(end["not_run"], plan - (events.len() - 2));
    assert!(events.len() < plan, "{} of {plan} cases were run", events.len() - 2);
}

#[test]
fn what_could_not_be_asked_is_told_to_a_bisection() {
    // Without namespaces of its own, no case may write a sysctl.
    let case = "msgqueue::sysv::msgmax_can_be_moved";
    let status = |more: &[&str]| {
        let arguments = [&["run", "-q", "--isolation", "process-group"], more].concat();
        ipcspec(&arguments).status.code()
    };
    assert_eq!(status(&[case]), Some(0));
    assert_eq!(status(&["--bisect", case]), Some(125));
    assert_eq!(status(&["--bisect", EOF]), Some(0));
}

#[test]
fn a_run_is_told_in_every_form() {
    let scratch = Scratch::new();
    let junit = scratch.path("junit.xml");
    let events = scratch.path("events.jsonl");
    let ktap = well(&["run", "--ktap", "--junit", &junit, "--events", &events, EOF]);
    let (first, rest) = ktap.split_once("\n# Linux ").expect("the target is told");
    assert_eq!(first, "KTAP version 1");
    assert_eq!(
        rest.split_once('\n').unwrap().1,
        "1..1\n  KTAP version 1\n  # Subtest: pipe\n  1..1\n  ok 1 end_of_life::eof_after_last_writer_closes\nok 1 pipe\n"
    );
    let junit = std::fs::read_to_string(junit).unwrap();
    assert!(junit.contains("<testsuite name=\"pipe\" tests=\"1\""), "{junit}");
    assert_eq!(lines(&std::fs::read_to_string(events).unwrap()).len(), 3);
    assert!(well(&["-q", EOF]).starts_with("1 held, 0 violated"));
    assert!(well(&["show", EOF]).contains("A03: data in an anonymous pipe is buffered"));
}

#[test]
fn coverage_counts_everything_once() {
    let totals: Value = serde_json::from_str(&well(&["coverage", "--json"])).unwrap();
    let sum = |totals: &Value| {
        let part = |name: &str| totals[name].as_u64().unwrap();
        assert_eq!(part("total"), part("settled") + part("excluded") + part("open"));
        part("total")
    };
    assert_eq!(sum(&totals["claims"]), 81);
    let mechanisms = totals["mechanisms"].as_object().unwrap();
    assert_eq!(sum(&totals["items"]), mechanisms.values().map(sum).sum::<u64>());
    let open =
        totals["claims"]["open"].as_u64().unwrap() + totals["items"]["open"].as_u64().unwrap();
    assert_eq!(well(&["coverage", "--open"]).lines().count() as u64, open);
}

#[test]
fn every_claim_is_settled() {
    let totals: Value = serde_json::from_str(&well(&["coverage", "--json"])).unwrap();
    assert_eq!(totals["claims"]["open"], 0, "{}", well(&["coverage", "--open"]));
}

#[test]
fn the_document_is_not_stale() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let results = root.join("suite/results").display().to_string();
    let rendered = well(&["document", "--results", &results, "--output", "-"]);
    let written = std::fs::read_to_string(root.join("CONFORMANCE.md")).unwrap();
    assert!(rendered == written, "CONFORMANCE.md is stale: run `cargo run -- document`");
}

#[test]
fn the_matrix_of_faults_is_not_stale() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let matrix = ipcspec_suite::faults::recorded(&root.join("suite/results")).unwrap();
    let written = std::fs::read_to_string(root.join("docs/faults.md")).unwrap();
    let rendered = ipcspec_suite::faults::markdown(&matrix);
    assert!(rendered == written, "docs/faults.md is stale: run `cargo run -- document`");
    let tried: Vec<_> = matrix.faults.iter().map(|row| row.name.clone()).collect();
    let all: Vec<_> = ipcspec_faults::all().iter().map(|fault| fault.path()).collect();
    let stale =
        "suite/results/faults.json is stale: run `cargo run --release -- faults --json` anew";
    assert!(tried == all, "{stale}");
}

#[test]
fn the_readme_tells_how_many_cases_there_are() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let told = format!("Each of its {} cases", ipcspec_cases::all().len());
    assert!(readme.contains(&told), "README.md does not say {told:?}");
}

#[test]
fn a_worker_takes_no_arguments_of_the_runner() {
    // rusty-fork would stop at flags that it does not know.
    well(&["run", "--seed", "7", "--timeout-factor=2", "-j1", "-q", EOF]);
    assert!(refused(&["run", "--nocapture", EOF]).contains("--nocapture"));
}

#[test]
fn runs_without_a_writable_directory() {
    let output = Command::new(env!("CARGO_BIN_EXE_ipcspec"))
        .args(["-q", EOF])
        .env("TMPDIR", "/nowhere")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}
