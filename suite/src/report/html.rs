//! The runs as one page for a browser: `page.html` with `page.css`, `page.js`
//! and the data, in which every string and every detail stands once.

use std::collections::{BTreeMap, HashMap};

use ipcspec_harness::Outcome;
use minijinja::{Environment, Value, context};
use serde::Serialize;

use super::{Run, Table, counts};
use crate::human;
use crate::record::CaseRecord;

/// The page. It loads nothing, and its policy forbids that it could.
pub fn html(table: &Table) -> String {
    let json = serde_json::to_string(&Data::new(table)).expect("data can be serialized");
    // Nothing in a script ends it but `</`, and nothing opens a comment but `<`.
    let json = json.replace('<', "\\u003c");
    let matrix: Vec<_> = table
        .by_mechanism()
        .into_iter()
        .map(|(mechanism, rows)| {
            let cells: Vec<_> =
                (0..table.runs.len()).map(|column| counts(rows, column).to_string()).collect();
            context! { mechanism, cells }
        })
        .collect();
    let mut environment = Environment::new();
    environment.add_template("page.html", include_str!("page.html")).expect("a template");
    let page = environment.get_template("page.html").expect("the template");
    page.render(context! {
        css => Value::from_safe_string(include_str!("page.css").to_owned()),
        js => Value::from_safe_string(include_str!("page.js").to_owned()),
        data => Value::from_safe_string(json),
        version => env!("CARGO_PKG_VERSION"),
        names => table.runs.iter().map(|run| run.name.clone()).collect::<Vec<_>>(),
        cases => table.rows.len(),
        matrix,
    })
    .expect("the template has what it needs")
}

/// What `page.js` reads. Every number but counts is an index.
#[derive(Serialize)]
struct Data<'a> {
    verdicts: [&'static str; Outcome::ALL.len()],
    strings: Vec<&'a str>,
    targets: Vec<Target<'a>>,
    modules: Vec<&'a str>,
    /// Pairs of a label and a text, both in `strings`.
    details: Vec<Vec<usize>>,
    cases: Vec<Case<'a>>,
}

#[derive(Serialize)]
struct Target<'a> {
    name: &'a str,
    place: String,
    version: &'a str,
    distribution: &'a str,
    refused: &'a [String],
    sysctls: &'a BTreeMap<String, String>,
    complete: bool,
    not_run: usize,
    unexpected: usize,
    stale: &'a [String],
}

/// Module, last part of the name, claim, pairs of page and section, a digit a
/// target (`.` where it was not run), pairs of target and detail.
#[derive(Serialize)]
struct Case<'a>(usize, &'a str, usize, Vec<usize>, String, Vec<usize>);

/// Values in the order in which they came first.
struct Dictionary<T>(HashMap<T, usize>);

impl<T: std::hash::Hash + Eq> Dictionary<T> {
    fn new() -> Self {
        Self(HashMap::new())
    }

    fn index(&mut self, value: T) -> usize {
        let next = self.0.len();
        *self.0.entry(value).or_insert(next)
    }

    fn values(self) -> Vec<T> {
        let mut values: Vec<_> = self.0.into_iter().collect();
        values.sort_by_key(|(_, index)| *index);
        values.into_iter().map(|(value, _)| value).collect()
    }
}

impl<'a> Data<'a> {
    fn new(table: &Table<'a>) -> Self {
        let mut strings = Dictionary::new();
        let mut modules = Dictionary::new();
        let mut details = Dictionary::new();
        let mut cases = vec![];
        for row in &table.rows {
            let name = row.case.name.rsplit("::").next().unwrap_or_default();
            let sources = row.case.sources.iter();
            let sources = sources.flat_map(|it| [it.page.as_str(), it.section.as_str()]);
            let mut verdicts = String::new();
            let mut told = vec![];
            for (column, record) in row.records.iter().enumerate() {
                let Some(record) = record else {
                    verdicts.push('.');
                    continue;
                };
                let digit = Outcome::ALL.iter().position(|known| *known == record.verdict);
                verdicts += &digit.expect("a verdict is one of all").to_string();
                let detail: Vec<_> =
                    detail(record).into_iter().map(|text| strings.index(text)).collect();
                if !detail.is_empty() {
                    told.extend([column, details.index(detail)]);
                }
            }
            cases.push(Case(
                modules.index(row.module()),
                name,
                strings.index(row.case.claim.as_str()),
                sources.map(|text| strings.index(text)).collect(),
                verdicts,
                told,
            ));
        }
        Self {
            verdicts: Outcome::ALL.map(Outcome::word),
            strings: strings.values(),
            targets: table.runs.iter().map(target).collect(),
            modules: modules.values(),
            details: details.values(),
            cases,
        }
    }
}

fn target(run: &Run) -> Target<'_> {
    let start = &run.recorded.start;
    let end = run.recorded.end.as_ref();
    Target {
        name: &run.name,
        place: human::place(start),
        version: &start.target.version,
        distribution: &start.target.distribution,
        refused: &start.isolation.refused,
        sysctls: &start.target.sysctls,
        complete: end.is_some(),
        not_run: run.not_run().len(),
        unexpected: run.recorded.cases.iter().filter(|record| record.is_unexpected()).count(),
        stale: end.map_or(&[], |end| &end.stale),
    }
}

/// Labels and texts, in turns.
fn detail(record: &CaseRecord) -> Vec<&str> {
    let expectation = record.expectation.as_ref();
    let mut pairs = vec![
        ("call", record.call.as_str()),
        ("wanted", &record.expected),
        ("got", &record.observed),
        ("at", &record.at),
    ];
    pairs.extend(record.kernel.iter().map(|text| ("kernel", text.as_str())));
    pairs.push(("output", record.output.trim_end()));
    pairs.extend(record.missing.iter().map(|text| ("missing", text.as_str())));
    if let Some(expectation) = expectation {
        let outcomes = expectation.outcome.as_slice();
        pairs.extend(outcomes.iter().map(|outcome| ("expected", outcome.word())));
        pairs.extend([
            ("reason", expectation.reason.as_str()),
            ("reference", &expectation.reference),
        ]);
    }
    pairs.retain(|(_, text)| !text.is_empty());
    pairs.into_iter().flat_map(|(label, text)| [label, text]).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn style_and_script_cannot_end_their_elements() {
        assert!(!include_str!("page.css").contains("</"));
        assert!(!include_str!("page.js").contains("</"));
    }
}
