//! The runs as Markdown: the matrix, and every divergence.

use std::fmt::Write;

use ipcspec_harness::Outcome;

use super::{Row, Table, counts, is_divergence};
use crate::human;
use crate::record::CaseRecord;

/// The page of `ipcspec report --markdown`.
pub fn page(table: &Table) -> String {
    let mut text = String::from("# What each target keeps\n\n");
    for run in table.runs {
        let incomplete = if run.recorded.end.is_none() { " **Incomplete.**" } else { "" };
        let _ = writeln!(
            text,
            "- **{}**: {}. {}.{incomplete}",
            run.name,
            human::place(&run.recorded.start),
            run.counts()
        );
    }
    let _ = write!(text, "\n## Matrix\n\n{}\n## Divergences\n\n", matrix(table));
    text + &divergences(table, "###", &reason)
}

/// Targets by mechanisms: how many cases held, and what the others did.
pub fn matrix(table: &Table) -> String {
    let groups = table.by_mechanism();
    let mut text = String::from("| |");
    for (mechanism, rows) in &groups {
        let _ = write!(text, " {mechanism} ({}) |", rows.len());
    }
    let _ = writeln!(text, "\n|---|{}", "---|".repeat(groups.len()));
    for (column, run) in table.runs.iter().enumerate() {
        let _ = write!(text, "| **{}** |", run.name);
        for (_, rows) in &groups {
            let counts = counts(rows, column);
            let mut told: Vec<_> = Outcome::ALL
                .into_iter()
                .filter(|verdict| counts.get(*verdict) > 0)
                .map(|verdict| format!("{} {verdict}", counts.get(verdict)))
                .collect();
            let not_run = rows.iter().filter(|row| row.records[column].is_none()).count();
            if not_run > 0 {
                told.push(format!("{not_run} not run"));
            }
            let _ = write!(text, " {} |", told.join("<br>"));
        }
        text.push('\n');
    }
    text
}

/// Every behaviour that a target does not keep, once: by mechanism, and then
/// by who stands on which side. `reading` says of a row who is right, or
/// nothing.
pub fn divergences(table: &Table, heading: &str, reading: &dyn Fn(&Row) -> String) -> String {
    let mut text = String::new();
    for (mechanism, rows) in table.by_mechanism() {
        let mut groups: Vec<(String, Vec<&Row>)> = vec![];
        for row in rows.iter().filter(|row| row.diverges()) {
            let sides = sides(table, row);
            match groups.iter_mut().find(|(known, _)| *known == sides) {
                Some((_, rows)) => rows.push(row),
                None => groups.push((sides, vec![row])),
            }
        }
        if groups.is_empty() {
            continue;
        }
        let behaviours: usize = groups.iter().map(|(_, rows)| rows.len()).sum();
        let _ = writeln!(text, "{heading} {mechanism} ({behaviours})\n");
        for (sides, rows) in groups {
            let readings: Vec<_> = rows.iter().map(|row| cell(&reading(row))).collect();
            let read = readings.iter().any(|reading| !reading.is_empty());
            let (heading, line) = if read { (" reading |", "---|") } else { ("", "") };
            let _ = writeln!(
                text,
                "{sides}\n\n| behaviour | source | what came |{heading}\n|---|---|---|{line}"
            );
            for (row, reading) in rows.into_iter().zip(readings) {
                let sources: Vec<_> = row.case.sources.iter().map(ToString::to_string).collect();
                let _ = write!(
                    text,
                    "| {}<br>`{}` | {} | {} |",
                    cell(&row.case.claim),
                    row.case.name,
                    cell(&sources.join("; ")),
                    came(table, row)
                );
                let _ = if read { writeln!(text, " {reading} |") } else { writeln!(text) };
            }
            text.push('\n');
        }
    }
    if text.is_empty() { "None.\n".to_owned() } else { text }
}

/// What the expectations say of it, with the reference.
pub fn reason(row: &Row) -> String {
    let mut reasons: Vec<String> = vec![];
    for expectation in row.records.iter().flatten().filter_map(|record| record.expectation.as_ref())
    {
        let reference = match expectation.reference.as_str() {
            "" => String::new(),
            reference => format!(" ({reference})"),
        };
        let told = format!("{}{reference}", expectation.reason);
        if !reasons.contains(&told) {
            reasons.push(told);
        }
    }
    reasons.join("; ")
}

/// Who said what: `**violated** on a, b; **held** on the others`.
fn sides(table: &Table, row: &Row) -> String {
    let with = |wanted: Option<Outcome>| -> Vec<&str> {
        let columns = table.runs.iter().zip(&row.records);
        columns
            .filter(|(_, record)| record.map(|record| record.verdict) == wanted)
            .map(|(run, _)| run.name.as_str())
            .collect()
    };
    let told = |verdict: Outcome| {
        let names = with(Some(verdict));
        (!names.is_empty()).then(|| format!("**{verdict}** on {}", names.join(", ")))
    };
    let mut parts: Vec<_> =
        Outcome::ALL.into_iter().filter(|it| is_divergence(*it)).filter_map(told).collect();
    parts.extend([Outcome::Held, Outcome::Skipped].into_iter().filter_map(told));
    let not_run = with(None);
    if !not_run.is_empty() {
        parts.push(format!("not run on {}", not_run.join(", ")));
    }
    parts.join("; ") + ":"
}

/// What the targets did instead, each answer once; with names where there is
/// more than one.
fn came(table: &Table, row: &Row) -> String {
    let mut answers: Vec<(String, Vec<&str>)> = vec![];
    for (run, record) in table.runs.iter().zip(&row.records) {
        let Some(record) = record.filter(|record| is_divergence(record.verdict)) else { continue };
        let told = answer(record);
        match answers.iter_mut().find(|(known, _)| *known == told) {
            Some((_, names)) => names.push(&run.name),
            None => answers.push((told, vec![&run.name])),
        }
    }
    let told = match &answers[..] {
        [(told, _)] => vec![told.clone()],
        several => {
            several.iter().map(|(told, names)| format!("{}: {told}", names.join(", "))).collect()
        }
    };
    told.join("<br>")
}

fn answer(record: &CaseRecord) -> String {
    if !record.missing.is_empty() {
        return cell(&record.missing_line());
    }
    let parts = [("", &record.call), ("wanted ", &record.expected), ("got ", &record.observed)];
    let told: Vec<_> = parts
        .into_iter()
        .filter(|(_, text)| !text.is_empty())
        .map(|(word, text)| format!("{word}{}", code(text)))
        .collect();
    told.join(", ")
}

/// Text in a cell: one line, nothing of it markup of a table or of HTML.
pub fn cell(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    text.replace('|', "\\|").replace('<', "&lt;")
}

/// The longest text that is told in full in a cell, in characters.
const LONG: usize = 160;

fn code(text: &str) -> String {
    let mut text = text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|");
    if let Some((end, _)) = text.char_indices().nth(LONG) {
        text.truncate(end);
        text.push('…');
    }
    if text.contains('`') { format!("`` {text} ``") } else { format!("`{text}`") }
}
