//! `ipcspec list` and `ipcspec show`.

use std::fmt::Write;

use ipcspec_harness::{Case, Need};
use serde::Serialize;

use crate::coverage::{Data, Settled};
use crate::record::SourceRecord;
use crate::select::select;
use crate::{Result, Trouble, print};

/// What to list.
#[derive(Debug, clap::Args)]
pub struct ListOptions {
    /// Cases to list: paths, prefixes of paths, or globs; all when there is none
    #[arg(value_name = "PATTERN")]
    patterns: Vec<String>,
    /// Print one JSON array
    #[arg(long)]
    json: bool,
}

/// Which case to show.
#[derive(Debug, clap::Args)]
pub struct ShowOptions {
    /// The path of the case, or a pattern that means one case
    #[arg(value_name = "CASE")]
    case: String,
}

#[derive(Serialize)]
struct Listed {
    name: String,
    mechanism: &'static str,
    claim: &'static str,
    sources: Vec<SourceRecord>,
    settles: &'static [&'static str],
    needs: Vec<String>,
    deadline_seconds: u32,
    file: &'static str,
    line: u32,
}

impl Listed {
    fn new(case: &'static Case) -> Self {
        Self {
            name: case.path(),
            mechanism: case.mechanism(),
            claim: case.claim,
            sources: case.sources.iter().map(SourceRecord::from).collect(),
            settles: case.settles,
            needs: case.needs.iter().map(Need::to_string).collect(),
            deadline_seconds: case.deadline_seconds,
            file: case.file,
            line: case.line,
        }
    }
}

/// Prints the list.
pub fn list(cases: &[&'static Case], options: &ListOptions) -> Result {
    let listed: Vec<_> =
        select(cases, &options.patterns)?.into_iter().map(|(_, case)| Listed::new(case)).collect();
    if options.json {
        let text = serde_json::to_string_pretty(&listed).expect("a list can be serialized");
        return print(&(text + "\n"));
    }
    let mut text = String::new();
    for case in listed {
        let _ = writeln!(text, "{}\n    {}\n    {}\n", case.name, case.claim, case.sources[0]);
    }
    print(&text)
}

/// Prints all that is known of one case.
pub fn show(cases: &[&'static Case], options: &ShowOptions) -> Result {
    let found = select(cases, std::slice::from_ref(&options.case))?;
    let [(_, case)] = found[..] else {
        return Err(Trouble(format!(
            "{:?} means {} cases; show tells one",
            options.case,
            found.len()
        )));
    };
    let data = Data::project()?;
    let listed = Listed::new(case);
    let mut text = format!("{}\n", listed.name);
    let mut tell = |word: &str, told: &str| {
        let _ = writeln!(text, "  {word:<9}{told}");
    };
    tell("claim", listed.claim);
    for source in &listed.sources {
        tell("source", &source.to_string());
    }
    for settled in listed.settles {
        let told = match data.resolve(settled)? {
            Settled::Claim(index) => format!("{settled}: {}", data.claims[index].text),
            Settled::Item(index) => {
                let item = &data.items[index];
                format!("{settled}: {} under {} of {}", item.item, item.section, item.page)
            }
        };
        tell("settles", &told);
    }
    if listed.needs.is_empty() {
        tell("needs", "nothing");
    }
    for need in &listed.needs {
        tell("needs", need);
    }
    tell("deadline", &format!("{} s", listed.deadline_seconds));
    tell("at", &format!("{}:{}", listed.file, listed.line));
    tell("alone", &format!("ipcspec run {}", listed.name));
    print(&text)
}
