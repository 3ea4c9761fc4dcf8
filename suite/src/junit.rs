//! The run as JUnit XML: a test suite per mechanism or per target. *Violated* is a failure,
//! *broken* an error, *absent* and *skipped* are skipped.

use std::time::Duration;

use ipcspec_harness::Outcome;
use quick_junit::{NonSuccessKind, Property, Report, TestCase, TestCaseStatus, TestSuite};

use crate::record::{CaseRecord, Start};
use crate::report::Run;
use crate::{Result, Trouble, human};

/// Writes a run to `file`, with a test suite a mechanism.
pub fn write(file: &str, start: &Start, records: &[CaseRecord]) -> Result {
    let suites = human::by_mechanism(records)
        .into_iter()
        .map(|(mechanism, cases)| suite(mechanism, start, cases));
    let text = text(suites)?;
    std::fs::write(file, text).map_err(|error| Trouble::with(file, error))
}

/// Several runs, with a test suite a target.
pub fn targets(runs: &[Run]) -> Result<String> {
    text(runs.iter().map(|run| {
        let mut suite = suite(&run.name, &run.recorded.start, &run.recorded.cases);
        suite.add_test_cases(run.not_run().into_iter().map(not_run));
        suite
    }))
}

fn text(suites: impl Iterator<Item = TestSuite>) -> Result<String> {
    let mut report = Report::new("ipcspec");
    report.add_test_suites(suites);
    let text = report.to_string().map_err(|error| Trouble::with("JUnit", error))?;
    // The schema (Jenkins's junit-10.xsd) knows it of a test suite alone.
    Ok(text.replacen(&format!(" skipped=\"{}\"", report.skipped), "", 1))
}

fn suite<'a>(
    name: &str,
    start: &Start,
    cases: impl IntoIterator<Item = &'a CaseRecord>,
) -> TestSuite {
    let mut suite = TestSuite::new(name);
    let target = &start.target;
    for (name, value) in [
        ("release", target.release.as_str()),
        ("version", &target.version),
        ("machine", &target.machine),
        ("distribution", &target.distribution),
        ("isolation", &start.isolation.level),
    ] {
        suite.add_property(Property::new(name, value));
    }
    let mut micros = 0;
    for record in cases {
        micros += record.micros;
        suite.add_test_case(test_case(record));
    }
    suite.set_time(Duration::from_micros(micros));
    suite
}

/// A planned case that the run did not come to.
fn not_run(name: &str) -> TestCase {
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
    status.set_message("not run: the run ended before it").set_type("not run");
    named(name, status)
}

fn named(path: &str, status: TestCaseStatus) -> TestCase {
    let (class, name) = path.rsplit_once("::").unwrap_or(("", path));
    let mut case = TestCase::new(name, status);
    case.set_classname(class);
    case
}

fn test_case(record: &CaseRecord) -> TestCase {
    let expected = !record.is_unexpected();
    let mut status = match record.verdict {
        Outcome::Held if expected => TestCaseStatus::success(),
        // An expected violation is known, and not passed.
        _ if expected => TestCaseStatus::skipped(),
        Outcome::Broken => TestCaseStatus::non_success(NonSuccessKind::Error),
        _ => TestCaseStatus::non_success(NonSuccessKind::Failure),
    };
    if record.verdict != Outcome::Held || !expected {
        let lines = record.lines();
        let told: Vec<_> = lines.iter().map(|(word, text)| format!("{word}: {text}")).collect();
        let message = match record.verdict {
            Outcome::Absent | Outcome::Skipped => record.missing_line(),
            _ => record.claim.clone(),
        };
        status.set_message(format!("{}: {message}", record.verdict));
        status.set_type(record.verdict.word());
        status.set_description(told.join("\n"));
    }
    let mut case = named(&record.name, status);
    case.set_time(Duration::from_micros(record.micros));
    if !record.output.is_empty() {
        case.set_system_out(&record.output);
    }
    case
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::human::tests::{expecting, record};

    #[test]
    fn verdicts_become_elements() {
        use Outcome::{Absent, Broken, Held, Skipped, Violated};
        let count = |records: &[CaseRecord]| {
            let mut suite = TestSuite::new("sem");
            suite.add_test_cases(records.iter().map(test_case));
            (suite.tests, suite.failures, suite.errors, suite.skipped)
        };
        let records =
            [record(Held), record(Violated), record(Broken), record(Skipped), record(Absent)];
        assert_eq!(count(&records), (5, 1, 1, 2));
        let records = [expecting(Violated, Violated), expecting(Held, Violated)];
        assert_eq!(count(&records), (2, 1, 0, 1));
    }
}
