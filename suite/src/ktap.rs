//! The run as KTAP, version 1: mechanisms, and their cases as subtests.

use ipcspec_harness::Outcome;

use crate::human;
use crate::record::CaseRecord;

/// The whole report; `place` says where the run was.
pub fn render(place: &str, records: &[CaseRecord]) -> String {
    let mechanisms = human::by_mechanism(records);
    let mut text = format!("KTAP version 1\n# {place}\n1..{}\n", mechanisms.len());
    for (index, (mechanism, cases)) in mechanisms.iter().enumerate() {
        text += &format!("  KTAP version 1\n  # Subtest: {mechanism}\n  1..{}\n", cases.len());
        for (index, record) in cases.iter().enumerate() {
            text += &case(index + 1, record);
        }
        let unexpected = cases.iter().any(|record| record.is_unexpected());
        let all_skipped =
            cases.iter().all(|record| matches!(record.verdict, Outcome::Skipped | Outcome::Absent));
        let directive =
            if all_skipped && !unexpected { " # SKIP no case could be asked" } else { "" };
        text += &format!("{} {} {mechanism}{directive}\n", word(!unexpected), index + 1);
    }
    text
}

fn word(ok: bool) -> &'static str {
    if ok { "ok" } else { "not ok" }
}

fn case(number: usize, record: &CaseRecord) -> String {
    let mut text = String::new();
    let unexpected = record.is_unexpected();
    if unexpected {
        for (word, line) in record.lines() {
            for line in line.lines() {
                text += &format!("  # {word}: {line}\n");
            }
        }
    }
    let directive = match (record.verdict, unexpected) {
        (Outcome::Broken, true) => " # ERROR".to_owned(),
        (Outcome::Skipped, false) => format!(" # SKIP {}", record.missing_line()),
        (Outcome::Absent, false) => format!(" # SKIP absent: {}", record.missing_line()),
        (Outcome::Violated | Outcome::Broken | Outcome::Killed, false) => {
            let reason = record.expectation.as_ref().map_or("", |expected| &expected.reason);
            format!(" # XFAIL {reason}")
        }
        _ => String::new(),
    };
    let name = record.name.split_once("::").map_or(record.name.as_str(), |(_, rest)| rest);
    // A directive is one line, and starts at the first number sign.
    let directive = directive.replace('\n', " ");
    text + &format!("  {} {number} {name}{directive}\n", word(!unexpected))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::human::tests::{expecting, record};

    #[test]
    fn verdicts_become_results_and_directives() {
        use Outcome::{Absent, Broken, Held, Skipped, Violated};
        let records = [
            record(Held),
            record(Violated),
            record(Broken),
            record(Skipped),
            record(Absent),
            expecting(Violated, Violated),
            expecting(Held, Violated),
        ];
        let text = render("here", &records);
        let results: Vec<_> = text.lines().filter(|line| line.contains("ok ")).collect();
        assert_eq!(
            results,
            [
                "  ok 1 sysv::undo_rolls_back",
                "  not ok 2 sysv::undo_rolls_back",
                "  not ok 3 sysv::undo_rolls_back # ERROR",
                "  ok 4 sysv::undo_rolls_back # SKIP root; #2",
                "  ok 5 sysv::undo_rolls_back # SKIP absent: root; #2",
                "  ok 6 sysv::undo_rolls_back # XFAIL known",
                "  not ok 7 sysv::undo_rolls_back",
                "not ok 1 sem",
            ]
        );
        assert!(text.contains("\n  # output: line 2\n"));
    }
}
