//! What a person reads: violations in full, a summary by mechanism.

use std::fmt::Write;

use ipcspec_harness::Outcome;

use crate::record::{CaseRecord, Counts, End, Start};

/// Mechanisms in the order in which they come, each with its cases.
pub fn by_mechanism(records: &[CaseRecord]) -> Vec<(&str, Vec<&CaseRecord>)> {
    let mut groups: Vec<(&str, Vec<&CaseRecord>)> = vec![];
    for record in records {
        match groups.iter_mut().find(|(name, _)| *name == record.mechanism) {
            Some((_, group)) => group.push(record),
            None => groups.push((&record.mechanism, vec![record])),
        }
    }
    groups
}

/// One case that did not hold: verdict and name, then a line for each part.
pub fn tell(record: &CaseRecord) -> String {
    let mut text = format!("{} {}\n", record.verdict.word().to_uppercase(), record.name);
    for (word, told) in record.lines() {
        let mut lines = told.lines();
        let _ = writeln!(text, "  {word:<9}{}", lines.next().unwrap_or_default());
        for line in lines {
            let _ = writeln!(text, "  {:<9}{line}", "");
        }
    }
    text
}

/// `12 µs`, `3.4 ms`, `1.2 s`.
pub fn duration(micros: u64) -> String {
    match micros {
        0..1_000 => format!("{micros} µs"),
        1_000..1_000_000 => format!("{:.1} ms", micros as f64 / 1e3),
        _ => format!("{:.2} s", micros as f64 / 1e6),
    }
}

/// Where the run is: kernel, privilege, isolation.
pub fn place(start: &Start) -> String {
    let target = &start.target;
    let who = if target.uid == 0 { "root".to_owned() } else { format!("user {}", target.uid) };
    let isolation = &start.isolation;
    let through = if isolation.user_namespace { " in a user namespace" } else { "" };
    let namespaces = if isolation.namespaces.is_empty() {
        "no namespaces".to_owned()
    } else {
        isolation.namespaces.join(", ")
    };
    let built = if start.architecture.is_empty() || start.architecture == target.machine {
        String::new()
    } else {
        format!(", program for {}", start.architecture)
    };
    format!(
        "{} {} {}{built}, {who}, isolation {} ({namespaces}{through}), {} at a time",
        target.sysname, target.release, target.machine, isolation.level, start.jobs
    )
}

/// Everything that is said at the end of a run.
pub fn summary(start: &Start, records: &[CaseRecord], end: &End, quiet: bool) -> String {
    let mut text = String::new();
    let unexpected = records.iter().filter(|record| record.is_unexpected());
    for record in unexpected {
        let _ = writeln!(text, "{}", tell(record));
    }
    for stale in &end.stale {
        let _ = writeln!(text, "STALE EXPECTATION {stale}\n");
    }
    if !quiet {
        let _ = writeln!(text, "{}\n", place(start));
        text += &table(records);
        for outcome in [Outcome::Absent, Outcome::Skipped] {
            text += &reasons(records, outcome);
        }
        let known = records.iter().filter(|record| {
            let red = [Outcome::Violated, Outcome::Broken, Outcome::Killed];
            !record.is_unexpected() && red.contains(&record.verdict)
        });
        for record in known {
            let reason = record.expectation.as_ref().map_or("", |expected| &expected.reason);
            let _ = writeln!(text, "expected: {} {} ({reason})", record.verdict, record.name);
        }
        text.push('\n');
    }
    text += &end.counts.to_string();
    if end.not_run > 0 {
        let _ = write!(text, ", {} not run", end.not_run);
    }
    let _ = writeln!(text, " in {}", duration(end.micros));
    text
}

fn table(records: &[CaseRecord]) -> String {
    let columns = Counts::of(records).told();
    let mut text = format!("{:<12}", "mechanism");
    for outcome in &columns {
        let _ = write!(text, "{:>10}", outcome.word());
    }
    let _ = writeln!(text, "{:>12}", "time");
    for (mechanism, cases) in by_mechanism(records) {
        let counts = Counts::of(cases.iter().copied());
        let _ = write!(text, "{mechanism:<12}");
        for outcome in &columns {
            let _ = write!(text, "{:>10}", counts.get(*outcome));
        }
        let micros = cases.iter().map(|record| record.micros).sum();
        let _ = writeln!(text, "{:>12}", duration(micros));
    }
    text
}

/// Each reason once, with the cases that it stopped.
fn reasons(records: &[CaseRecord], outcome: Outcome) -> String {
    let mut groups: Vec<(String, Vec<&str>)> = vec![];
    for record in records.iter().filter(|record| record.verdict == outcome) {
        let reason = record.missing_line();
        match groups.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, names)) => names.push(&record.name),
            None => groups.push((reason, vec![&record.name])),
        }
    }
    let mut text = String::new();
    for (reason, names) in groups {
        let _ = writeln!(text, "\n{outcome}: {reason}");
        for name in names {
            let _ = writeln!(text, "  {name}");
        }
    }
    text
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::record::{Expectation, SourceRecord};

    /// A record of a case that came out as `verdict`.
    pub(crate) fn record(verdict: Outcome) -> CaseRecord {
        let told = matches!(verdict, Outcome::Violated | Outcome::Broken);
        let text = |text: &str| if told { text.to_owned() } else { String::new() };
        CaseRecord {
            name: "sem::sysv::undo_rolls_back".to_owned(),
            mechanism: "sem".to_owned(),
            verdict,
            claim: "What was done is undone.".to_owned(),
            sources: vec![SourceRecord { page: "semop.2".into(), section: "DESCRIPTION".into() }],
            settles: vec![],
            micros: 1500,
            evidence: None,
            call: text("sem.get(0)"),
            expected: text("Ok(2)"),
            observed: text("Ok(0)"),
            at: text("cases/src/sem/sysv.rs:42"),
            missing: match verdict {
                Outcome::Skipped | Outcome::Absent => vec!["root".to_owned(), "#2".to_owned()],
                _ => vec![],
            },
            kernel: vec![],
            output: text("line 1\nline 2\n"),
            expectation: None,
        }
    }

    /// The same, with an expectation.
    pub(crate) fn expecting(verdict: Outcome, outcome: Outcome) -> CaseRecord {
        let reason = "known".to_owned();
        let expectation =
            Some(Expectation { outcome: outcome.into(), reason, reference: String::new() });
        CaseRecord { expectation, ..record(verdict) }
    }

    #[test]
    fn a_violation_is_told_in_a_fixed_order() {
        let told = tell(&record(Outcome::Violated));
        let expected = "\
VIOLATED sem::sysv::undo_rolls_back
  claim    What was done is undone.
  source   semop(2), DESCRIPTION
  call     sem.get(0)
  wanted   Ok(2)
  got      Ok(0)
  at       cases/src/sem/sysv.rs:42
  output   line 1
           line 2
  alone    ipcspec run sem::sysv::undo_rolls_back
";
        assert_eq!(told, expected);
    }

    #[test]
    fn expectations_decide_what_is_unexpected() {
        use Outcome::{Absent, Broken, Held, Skipped, Violated};
        for (verdict, expected, unexpected, stale) in [
            (Held, None, false, false),
            (Violated, None, true, false),
            (Absent, None, false, false),
            (Skipped, None, false, false),
            (Broken, None, true, false),
            (Violated, Some(Violated), false, false),
            (Held, Some(Violated), true, true),
            (Absent, Some(Violated), true, true),
            (Skipped, Some(Violated), false, false),
            (Broken, Some(Violated), true, false),
            (Broken, Some(Broken), false, false),
        ] {
            let record =
                expected.map_or_else(|| record(verdict), |outcome| expecting(verdict, outcome));
            let got = (record.is_unexpected(), record.is_stale());
            assert_eq!(got, (unexpected, stale), "{verdict}, expected {expected:?}");
        }
    }

    #[test]
    fn durations_have_a_fitting_unit() {
        assert_eq!(
            [duration(12), duration(3_400), duration(1_200_000)],
            ["12 µs", "3.4 ms", "1.20 s"]
        );
    }
}
