//! Expectations: what a kernel is known to do otherwise, as data.

use globset::{Glob, GlobMatcher};
use ipcspec_harness::{Case, Outcome};
use serde::Deserialize;

use crate::one_or_more::OneOrMore;
use crate::record::{CaseRecord, Expectation, Start};
use crate::select::Pattern;
use crate::{Result, Trouble};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    expect: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    /// Patterns, each of which is expected to come out so for this reason.
    test: OneOrMore<String>,
    #[serde(default)]
    when: toml::Table,
    outcome: OneOrMore<Outcome>,
    reason: String,
    #[serde(default)]
    reference: String,
}

/// The entries of a file that apply to one run.
#[derive(Debug, Default)]
pub struct Expectations {
    entries: Vec<(Pattern, Expectation)>,
    stale: Vec<String>,
}

impl Expectations {
    /// Reads `file` and keeps the entries whose conditions hold for `start`.
    /// An entry that matches no case at all is stale already.
    pub fn read(file: &str, cases: &[&'static Case], start: &Start) -> Result<Self> {
        let text = std::fs::read_to_string(file).map_err(|error| Trouble::with(file, error))?;
        let parsed: File = toml::from_str(&text).map_err(|error| {
            let line = error.span().map_or(0, |span| text[..span.start].matches('\n').count() + 1);
            Trouble::with(format!("{file}, line {line}"), error.message())
        })?;
        let facts = serde_json::to_value(start).expect("a start record can be serialized");
        let mut read = Self::default();
        for entry in parsed.expect {
            let Entry { test, when, outcome, reason, reference } = entry;
            let expectation = Expectation { outcome, reason, reference };
            for test in test.as_slice() {
                let place = format!("{file}: entry {test:?}");
                let pattern =
                    Pattern::new(test).map_err(|trouble| Trouble::with(&place, trouble))?;
                if !applies(&when, &facts).map_err(|trouble| Trouble::with(&place, trouble))? {
                    continue;
                }
                if !cases.iter().any(|case| pattern.matches(&case.path())) {
                    read.stale.push(format!("{test:?} matches no case"));
                }
                read.entries.push((pattern, expectation.clone()));
            }
        }
        Ok(read)
    }

    /// What is expected of this case; the last entry that matches decides.
    pub fn of(&self, path: &str) -> Option<&Expectation> {
        let matching = self.entries.iter().filter(|(pattern, _)| pattern.matches(path));
        matching.map(|(_, expectation)| expectation).next_back()
    }

    /// Expectations that no longer apply, each in a line.
    pub fn stale(&self, records: &[CaseRecord]) -> Vec<String> {
        let unmet = records.iter().filter(|record| record.is_stale()).filter_map(|record| {
            let expected = record.expectation.as_ref()?;
            Some(format!(
                "{}: expected {}, came {} ({})",
                record.name, expected.outcome, record.verdict, expected.reason
            ))
        });
        self.stale.iter().cloned().chain(unmet).collect()
    }
}

/// Whether all conditions hold: keys are dotted paths into the start record,
/// values are globs (for text) or numbers and booleans.
fn applies(when: &toml::Table, facts: &serde_json::Value) -> Result<bool> {
    let mut all = true;
    for (key, wanted) in when {
        let fact = key.split('.').try_fold(facts, |value, part| value.get(part));
        let fact = match fact {
            Some(fact) => fact,
            // A sysctl that this kernel does not have is no typing error.
            None if key.starts_with("target.sysctls.") => {
                all = false;
                continue;
            }
            None => return Err(Trouble(format!("the start record has no {key:?}"))),
        };
        let told = fact.as_str().map_or_else(|| fact.to_string(), str::to_owned);
        let wanted = wanted.as_str().map_or_else(|| wanted.to_string(), str::to_owned);
        let glob: GlobMatcher = Glob::new(&wanted)
            .map_err(|error| Trouble::with(format!("condition {key:?}"), error.kind()))?
            .compile_matcher();
        all &= glob.is_match(&told);
    }
    Ok(all)
}
