//! The runs as a report in the KCIDB I/O schema, version 5.3: a checkout and
//! a build for each kernel, and a test for each case.

use ipcspec_harness::Outcome;
use serde_json::{Value, json};

use super::Run;
use crate::record::CaseRecord;

/// Who made the objects.
const ORIGIN: &str = "ipcspec";

/// One JSON object.
pub fn render(runs: &[Run]) -> String {
    let ids: Vec<_> = runs.iter().map(|run| format!("{ORIGIN}:{}", run.name)).collect();
    let each = |make: fn(&Run, &str) -> Value| -> Vec<Value> {
        runs.iter().zip(&ids).map(|(run, id)| make(run, id)).collect()
    };
    let tests: Vec<_> = runs
        .iter()
        .zip(&ids)
        .flat_map(|(run, id)| {
            let tests = run.recorded.cases.iter().map(move |record| test(run, id, record));
            tests.chain(run.not_run().into_iter().map(move |name| not_run(id, name)))
        })
        .collect();
    let report = json!({
        "version": { "major": 5, "minor": 3 },
        "checkouts": each(|run, id| json!({
            "id": id,
            "origin": ORIGIN,
            "comment": run.recorded.start.target.release,
        })),
        "builds": each(|run, id| json!({
            "id": id,
            "checkout_id": id,
            "origin": ORIGIN,
            "architecture": run.recorded.start.target.machine,
            "comment": run.recorded.start.target.version,
        })),
        "tests": tests,
    });
    report.to_string() + "\n"
}

/// A planned case that the run did not come to.
fn not_run(build: &str, name: &str) -> Value {
    json!({
        "id": format!("{build}:{name}"),
        "build_id": build,
        "origin": ORIGIN,
        "path": path(name),
        "status": "MISS",
    })
}

fn path(name: &str) -> String {
    format!("{ORIGIN}.{}", name.replace("::", "."))
}

fn test(run: &Run, build: &str, record: &CaseRecord) -> Value {
    let told: Vec<_> = match record.verdict {
        Outcome::Held => vec![],
        _ => record.lines(),
    };
    let told: Vec<_> = told.iter().map(|(word, text)| format!("{word}: {text}")).collect();
    let mut test = json!({
        "id": format!("{build}:{}", record.name),
        "build_id": build,
        "origin": ORIGIN,
        "environment": { "comment": run.name },
        "path": path(&record.name),
        "comment": record.claim,
        "status": status(record.verdict),
        "duration": record.micros as f64 / 1e6,
        "misc": { "verdict": record.verdict, "sources": record.sources },
    });
    if !told.is_empty() {
        // Longer ones are refused, and so is NUL.
        let told = told.join("\n");
        let excerpt: String = told.chars().filter(|it| *it != '\0').take(16384).collect();
        test["log_excerpt"] = excerpt.into();
    }
    test
}

/// *Absent* is not asked, as in JUnit and KTAP: the kernel need not have it.
fn status(verdict: Outcome) -> &'static str {
    match verdict {
        Outcome::Held => "PASS",
        Outcome::Violated | Outcome::Killed => "FAIL",
        Outcome::Broken => "ERROR",
        Outcome::Absent | Outcome::Skipped => "SKIP",
    }
}
