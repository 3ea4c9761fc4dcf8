//! `ipcspec faults`: which case notices which wrong kernel.

use std::fmt::Write;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{Result, Trouble};

#[cfg_attr(not(target_arch = "x86_64"), path = "faults/elsewhere.rs")]
mod run;

pub use run::{Options, run};

/// What one fault did.
#[derive(Debug, Serialize, Deserialize)]
pub struct FaultRow {
    /// Its path.
    pub name: String,
    /// What this kernel does wrong.
    pub says: String,
    /// The sentence that it violates: page and heading.
    pub violates: String,
    /// The cases that it made fail.
    pub noticed_by: Vec<String>,
    /// The first line of one of those failures.
    pub failure: String,
    /// Each case that noticed, with the first line of its failure.
    #[serde(skip)]
    pub failures: Vec<(String, String)>,
    /// Cases that were broken by it: they noticed nothing.
    pub broke: Vec<String>,
    /// The same, with the reasons.
    #[serde(skip)]
    pub breaks: Vec<(String, String)>,
}

/// What one case noticed.
#[derive(Debug, Serialize, Deserialize)]
pub struct CaseRow {
    /// Its path.
    pub name: String,
    /// The faults that made it fail.
    pub failed_by: Vec<String>,
}

/// Who noticed what.
#[derive(Debug, Serialize, Deserialize)]
pub struct Matrix {
    /// Every fault that was tried.
    pub faults: Vec<FaultRow>,
    /// Every case that was tried and held without a fault.
    pub cases: Vec<CaseRow>,
}

/// The lines of `beyond.tsv`: the path of a case, and why no fault fails it.
pub fn beyond() -> impl Iterator<Item = (&'static str, &'static str)> {
    pairs(include_str!("../../faults/data/beyond.tsv"))
}

/// The lines of `unseen.tsv`: the path of a fault, and why no random program
/// shows it, though programs meet it.
pub fn unseen() -> impl Iterator<Item = (&'static str, &'static str)> {
    pairs(include_str!("../../faults/data/unseen.tsv"))
}

/// The lines below the heading.
fn pairs(table: &'static str) -> impl Iterator<Item = (&'static str, &'static str)> {
    table.lines().skip(1).filter_map(|line| line.split_once('\t'))
}

/// The matrix that was recorded in this directory, as `faults.json`.
pub fn recorded(directory: &Path) -> Result<Matrix> {
    let file = directory.join("faults.json");
    let text = std::fs::read_to_string(&file);
    let text = text.map_err(|error| Trouble::with(file.display(), error))?;
    serde_json::from_str(&text).map_err(|error| Trouble::with(file.display(), error))
}

impl Matrix {
    /// Faults that no case noticed.
    pub fn unnoticed(&self) -> Vec<&str> {
        let rows = self.faults.iter().filter(|row| row.noticed_by.is_empty());
        let rows = rows.filter(|row| !row.name.starts_with("none::"));
        rows.map(|row| row.name.as_str()).collect()
    }

    /// Cases that no fault failed, without a reason why none could.
    pub fn unfailed(&self) -> Vec<&str> {
        let rows = self.cases.iter().filter(|row| row.failed_by.is_empty());
        let names = rows.map(|row| row.name.as_str());
        names.filter(|name| !beyond().any(|(case, _)| case == *name)).collect()
    }

    /// Cases that are said to be beyond any fault, and failed all the same.
    pub fn not_beyond(&self) -> Vec<&str> {
        let rows = self.cases.iter().filter(|row| !row.failed_by.is_empty());
        let names = rows.map(|row| row.name.as_str());
        names.filter(|name| beyond().any(|(case, _)| case == *name)).collect()
    }
}

/// The matrix as a document.
pub fn markdown(matrix: &Matrix) -> String {
    let mut text = String::from(
        "# Faults\n\nKernels that are wrong on purpose, and the cases that notice. Made by \
         `ipcspec faults --json suite/results/faults.json` and `ipcspec document`; do not edit.\n",
    );
    let failed = matrix.cases.iter().filter(|row| !row.failed_by.is_empty()).count();
    let _ = writeln!(
        text,
        "\n{} faults, {} of them noticed. {} cases, {failed} of them failed by at least one fault.",
        matrix.faults.len(),
        matrix.faults.len() - matrix.unnoticed().len(),
        matrix.cases.len(),
    );
    let cell = |text: &str| text.replace('|', "\\|").replace('<', "&lt;");
    let mut group = "";
    for row in &matrix.faults {
        let (folder, name) = row.name.rsplit_once("::").unwrap_or(("", &row.name));
        if folder != group {
            group = folder;
            let _ = writeln!(
                text,
                "\n## {folder}\n\n| fault | what this kernel does | violates | noticed by | for example |\n|---|---|---|---|---|"
            );
        }
        let first = row.noticed_by.first().map_or("nobody", String::as_str);
        let _ = writeln!(
            text,
            "| {name} | {} | {} | {} | {first}: `{}` |",
            cell(&row.says),
            cell(&row.violates),
            row.noticed_by.len(),
            cell(&row.failure).replace('`', "'"),
        );
    }
    let _ = writeln!(text, "\n## Cases that no fault can fail\n\n| case | reason |\n|---|---|");
    for (case, reason) in beyond() {
        let _ = writeln!(text, "| {case} | {reason} |");
    }
    text
}
