//! `ipcspec report` and `ipcspec diff` as their users call them.
#![forbid(unsafe_code)]

mod program;
mod scratch;

use serde_json::{Value, json};

use program::{ipcspec, text};
use scratch::Scratch;

/// Exit status, standard output, standard error.
fn told(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = ipcspec(arguments);
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

const PLAN: [&str; 4] = [
    "pipe::end_of_life::eof_after_last_writer_closes",
    "pipe::a_new_module::of_another_version",
    "sem::sysv::undo_rolls_back_at_exit",
    "sem::sysv::gone",
];

fn start(release: &str) -> Value {
    json!({
        "event": "start", "schema": 1, "suite": "0",
        "target": {
            "sysname": "Linux", "release": release, "version": "#1", "machine": "x86_64",
            "distribution": "", "uid": 0, "gid": 0, "capabilities": [], "processors": 1,
            "sysctls": {},
        },
        "isolation": {
            "level": "full", "namespaces": [], "user_namespace": false, "refused": [],
        },
        "seed": 0, "jobs": 1, "timeout_factor": 1.0, "plan": PLAN,
    })
}

fn case(place: usize, verdict: &str) -> Value {
    let mut case = json!({
        "event": "case", "name": PLAN[place], "mechanism": PLAN[place].split("::").next(),
        "verdict": verdict, "claim": format!("Claim | {place}."),
        "sources": [{ "page": "pipe.7", "section": "NOTES" }], "settles": [], "micros": 7,
    });
    if verdict == "violated" {
        case["call"] = "read(&r)".into();
        case["expected"] = "Ok(0)".into();
        case["observed"] = "Err(EAGAIN)".into();
        case["output"] = "</script>\u{0}]]>".into();
    }
    case
}

/// A whole stream of these verdicts, in the order of the plan.
fn stream(release: &str, verdicts: &[&str]) -> String {
    let mut lines = vec![start(release)];
    lines.extend(verdicts.iter().enumerate().map(|(place, verdict)| case(place, verdict)));
    let count = |wanted| verdicts.iter().filter(|verdict| **verdict == wanted).count();
    lines.push(json!({
        "event": "end",
        "counts": {
            "held": count("held"), "violated": count("violated"), "absent": count("absent"),
            "skipped": count("skipped"), "broken": count("broken"),
        },
        "not_run": 0, "unexpected": [], "stale": [], "micros": 28, "status": 0,
    }));
    lines.iter().map(|line| format!("{line}\n")).collect()
}

#[test]
fn a_target_that_cannot_be_read_leaves_the_others_whole() {
    let scratch = Scratch::new();
    let good = scratch.file("good.jsonl", &stream("6.1", &["held"; 4]));
    let whole = stream("6.1", &["held"; 4]);
    for (content, line, what) in [
        ("", 1, "no start record"),
        ("\n", 1, "not an event"),
        ("kernel panic\n", 1, "not an event"),
        ("{\"level\":\"info\"}\n", 1, "missing field `event`"),
        (&whole.replace("\"micros\":28", "\"micros\":-28"), 6, "not an event"),
        (
            &whole.replacen("\"verdict\":\"held\"", "\"verdict\":\"hel\u{e9}\"", 1),
            2,
            "not an event",
        ),
        (&whole.replacen("\n{", "\nBUG: {", 1), 2, "not an event"),
        (&whole.replace("\"held\":4", "\"held\":3"), 6, "counts other cases"),
        (&format!("{whole}{whole}"), 7, "a second start record"),
    ] {
        let bad = scratch.file("bad.jsonl", content);
        let markdown = scratch.path("report.md");
        let (status, out, err) = told(&["report", &bad, &good, "--markdown", &markdown]);
        assert_eq!((status, err.lines().count()), (Some(2), 1), "{err}");
        let place = format!("ipcspec: {bad}, line {line}: ");
        assert!(err.starts_with(&place) && err.contains(what), "{err}");
        assert_eq!(out, "good: 4 held, 0 violated, 0 absent, 0 skipped, 0 broken\n");
        assert!(scratch.read("report.md").contains("| **good** | 2 held | 2 held |"));
        assert_eq!(told(&["diff", &good, &bad]).0, Some(2));
    }
    let latin = scratch.path("latin.jsonl");
    std::fs::write(&latin, b"\xff\xfe\n").unwrap();
    for file in [latin, scratch.path("nowhere"), scratch.path("")] {
        let (status, _, err) = told(&["report", &file]);
        assert_eq!((status, err.lines().count()), (Some(2), 1), "{err}");
    }
    let (status, _, err) = told(&["report", &good, &good]);
    assert_eq!(status, Some(2));
    assert!(err.contains("a second target named good"), "{err}");
    assert_eq!(told(&["report"]).0, Some(2));
    assert_eq!(told(&["report", &good, "--html", "/nowhere/page"]).0, Some(2));
}

#[test]
fn a_stream_that_was_cut_short_is_told_as_incomplete() {
    let scratch = Scratch::new();
    let whole = stream("6.1", &["held"; 4]);
    // In the middle of the third case.
    let cut = whole.match_indices('\n').nth(3).unwrap().0 - 20;
    let file = scratch.file("cut.jsonl", &whole[..cut]);
    let [html, markdown, junit, kcidb] =
        ["html", "markdown", "junit", "kcidb"].map(|name| scratch.path(name));
    let (status, out, err) = told(&[
        "report",
        &file,
        "--html",
        &html,
        "--markdown",
        &markdown,
        "--junit",
        &junit,
        "--kcidb",
        &kcidb,
    ]);
    assert_eq!((status, err.as_str()), (Some(0), ""));
    assert_eq!(out, "cut: 2 held, 0 violated, 0 absent, 0 skipped, 0 broken, incomplete\n");
    assert!(scratch.read("markdown").contains("**Incomplete.**"));
    assert!(scratch.read("html").contains("\"complete\":false,\"not_run\":2"));
    assert_eq!(scratch.read("junit").matches("type=\"not run\"").count(), 2);
    assert_eq!(scratch.read("kcidb").matches("\"MISS\"").count(), 2);
    // What nobody asked cannot be said to be as it was.
    let before = scratch.file("before.jsonl", &whole);
    assert_eq!(told(&["diff", &before, &file]).0, Some(2));
    assert_eq!(told(&["diff", &file, &before]).0, Some(0));
}

#[test]
fn every_form_tells_every_target() {
    let scratch = Scratch::new();
    let first = ["held", "held", "violated", "held"];
    let old = scratch.file("5.10.jsonl", &stream("5.10", &first));
    let new = scratch.file("new.jsonl", &stream("7.3", &["held", "absent", "violated", "skipped"]));
    let [html, markdown, junit, kcidb] =
        ["html", "markdown", "junit", "kcidb"].map(|name| scratch.path(name));
    let (status, ..) = told(&[
        "report",
        &new,
        &old,
        "--html",
        &html,
        "--markdown",
        &markdown,
        "--junit",
        &junit,
        "--kcidb",
        &kcidb,
    ]);
    assert_eq!(status, Some(0));

    let markdown = scratch.read("markdown");
    let matrix = "\
| | pipe (2) | sem (2) |
|---|---|---|
| **new** | 1 held<br>1 absent | 1 violated<br>1 skipped |
| **5.10** | 2 held | 1 held<br>1 violated |
";
    assert!(markdown.contains(matrix), "{markdown}");
    let sides = "\n**absent** on new; **held** on 5.10:\n";
    assert!(markdown.contains(sides), "{markdown}");
    let row = "| Claim \\| 2.<br>`sem::sysv::undo_rolls_back_at_exit` | pipe(7), NOTES | `read(&r)`, wanted `Ok(0)`, got `Err(EAGAIN)` |\n";
    assert!(markdown.contains(row), "{markdown}");

    let html = scratch.read("html");
    let (_, data) = html.split_once("<script type=\"application/json\" id=\"data\">").unwrap();
    let data: Value = serde_json::from_str(data.split_once("</script>").unwrap().0).unwrap();
    assert_eq!(data["targets"][0]["name"], "new");
    assert_eq!(data["cases"][2][4], "11");
    assert_eq!(data["cases"].as_array().unwrap().len(), 4);
    assert_eq!(html.matches("</script>").count(), 2);

    let junit = scratch.read("junit");
    assert!(junit.contains("<testsuite name=\"new\" tests=\"4\" skipped=\"2\""), "{junit}");
    assert!(junit.starts_with("<?xml") && !junit.contains('\0'));

    let kcidb: Value = serde_json::from_str(&scratch.read("kcidb")).unwrap();
    let statuses: Vec<_> =
        kcidb["tests"].as_array().unwrap().iter().map(|test| test["status"].as_str()).collect();
    let wanted = ["PASS", "SKIP", "FAIL", "SKIP", "PASS", "PASS", "FAIL", "PASS"];
    assert_eq!(statuses, wanted.map(Some));
    assert!(!kcidb.to_string().contains("\\u0000"));
}

#[test]
fn the_compact_form_is_taken_for_the_whole() {
    let scratch = Scratch::new();
    let file = scratch.path("run.jsonl");
    std::fs::create_dir(scratch.path("small")).unwrap();
    let run = ["run", "-q", "--events", &file, "sem::sysv", "pipe::end_of_life"];
    assert_eq!(told(&run).0, Some(0));
    let (whole, compact) = (scratch.path("whole.md"), scratch.path("compact.md"));
    let small = scratch.path("small");
    let report = ["report", &file, "--compact", &small, "--markdown", &whole];
    assert_eq!(told(&report).0, Some(0));
    let small = scratch.path("small/run.jsonl");
    assert_eq!(told(&["report", &small, "--markdown", &compact]).0, Some(0));
    assert_eq!(scratch.read("whole.md"), scratch.read("compact.md"));
    let (status, out, _) = told(&["diff", &file, &small]);
    let same = "0 newly violated, 0 newly held, 0 new, 0 gone, 0 other verdict";
    assert_eq!((status, out.lines().last()), (Some(0), Some(same)), "{out}");

    let schema: Value =
        serde_json::from_str(include_str!("../../docs/events.schema.json")).unwrap();
    let schema = jsonschema::validator_for(&schema).unwrap();
    for line in scratch.read("small/run.jsonl").lines() {
        let event = serde_json::from_str(line).unwrap();
        if let Err(error) = schema.validate(&event) {
            panic!("{error}: {event}");
        }
    }
    assert!(scratch.read("small/run.jsonl").lines().count() < 10);
}

#[test]
fn only_what_held_and_no_longer_does_is_status_1() {
    let scratch = Scratch::new();
    let diff = |from: &[&str], to: &[&str]| {
        let from = scratch.file("from.jsonl", &stream("5.10", from));
        let to = scratch.file("to.jsonl", &stream("7.3", to));
        let (status, out, _) = told(&["diff", &from, &to]);
        (status, out.lines().last().unwrap().to_owned(), out)
    };
    for (from, to, status, totals) in [
        ("held", "violated", 1, [1, 0, 0, 0, 0]),
        ("held", "broken", 1, [0, 0, 0, 0, 1]),
        ("held", "absent", 1, [0, 0, 0, 0, 1]),
        ("held", "skipped", 0, [0, 0, 0, 0, 1]),
        ("absent", "violated", 0, [1, 0, 0, 0, 0]),
        ("violated", "held", 0, [0, 1, 0, 0, 0]),
        ("violated", "violated", 0, [0, 0, 0, 0, 0]),
    ] {
        let [violated, held, new, gone, other] = totals;
        let line = format!(
            "{violated} newly violated, {held} newly held, {new} new, {gone} gone, {other} other verdict"
        );
        let got = diff(&[from], &[to]);
        assert_eq!((got.0, got.1), (Some(status), line), "{from} {to}");
    }
    let (status, _, out) = diff(&["held", "held"], &["held"]);
    assert!(out.contains("\ngone\n  pipe::a_new_module::of_another_version (held)\n"), "{out}");
    assert_eq!(status, Some(0));
    let (_, _, out) = diff(&["held"], &["violated"]);
    let wanted = "\nnewly violated\n  pipe::end_of_life::eof_after_last_writer_closes (held → violated)\n    Claim | 0.\n    call     read(&r)\n    wanted   Ok(0)\n    got      Err(EAGAIN)\n";
    assert!(out.contains(wanted), "{out}");
}
