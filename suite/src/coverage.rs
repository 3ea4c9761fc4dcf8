//! What of the documentation is settled, by which cases: `ipcspec coverage`.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;

use ipcspec_harness::Case;
use serde::Serialize;

use crate::{Result, Trouble};

/// What to print.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Print only what is open
    #[arg(long)]
    open: bool,
    /// Print one JSON object with totals
    #[arg(long, conflicts_with = "open")]
    json: bool,
}

/// A claim of the two source documents.
#[derive(Debug, Clone)]
pub struct Claim {
    /// `A03`.
    pub id: String,
    /// The document that makes it.
    pub document: String,
    /// The claim.
    pub text: String,
    /// What we expect the kernel to say of it.
    pub expect: String,
}

/// One item that a man page documents.
#[derive(Debug, Clone)]
pub struct Item {
    /// The mechanism that it is counted under.
    pub mechanism: String,
    /// `pipe.2`.
    pub page: String,
    /// The heading.
    pub section: String,
    /// A flag, option, command, errno, limit or signal.
    pub item: String,
    /// Which occurrence on that page and section, from 1.
    pub occurrence: String,
}

/// What an entry of `settles` means: an index into the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Settled {
    /// A claim.
    Claim(usize),
    /// A documented item.
    Item(usize),
}

/// The project's data about the documentation.
#[derive(Debug)]
pub struct Data {
    /// The claims, in order.
    pub claims: Vec<Claim>,
    /// The items, in order.
    pub items: Vec<Item>,
    /// Reasons why no case can settle them, by item index.
    pub excluded: HashMap<usize, String>,
    forms: HashMap<String, Vec<usize>>,
}

impl Data {
    /// The data that is part of the project.
    pub fn project() -> Result<Self> {
        Self::parse(ipcspec_cases::CLAIMS, ipcspec_cases::DOCUMENTED, ipcspec_cases::EXCLUDED)
    }

    fn parse(claims: &str, documented: &str, excluded: &str) -> Result<Self> {
        let claims = rows("claims.tsv", claims)?
            .into_iter()
            .map(|[id, document, _, text, expect]| Claim { id, document, text, expect })
            .collect();
        let items: Vec<Item> = rows("documented.tsv", documented)?
            .into_iter()
            .map(|[mechanism, page, section, item, occurrence]| Item {
                mechanism,
                page,
                section,
                item,
                occurrence,
            })
            .collect();
        let mut forms: HashMap<String, Vec<usize>> = HashMap::new();
        for (index, Item { page, section, item, occurrence, .. }) in items.iter().enumerate() {
            for place in [page.clone(), format!("{page}/{section}")] {
                forms.entry(format!("{place} {item}")).or_default().push(index);
                forms.entry(format!("{place} {item} {occurrence}")).or_default().push(index);
            }
        }
        let mut data = Self { claims, items, excluded: HashMap::new(), forms };
        for [item, reason] in rows("excluded.tsv", excluded)? {
            match data.resolve(&item)? {
                Settled::Item(index) => data.excluded.insert(index, reason),
                Settled::Claim(_) => {
                    return Err(Trouble(format!("excluded.tsv: {item} is a claim, and decided")));
                }
            };
        }
        Ok(data)
    }

    /// What `text` means: the id of a claim, or `PAGE ITEM`, with `/SECTION`
    /// and the number of the occurrence where it takes them to mean one.
    pub fn resolve(&self, text: &str) -> Result<Settled> {
        if let Some(index) = self.claims.iter().position(|claim| claim.id == text) {
            return Ok(Settled::Claim(index));
        }
        match self.forms.get(text).map(Vec::as_slice) {
            Some([index]) => Ok(Settled::Item(*index)),
            Some(several) => {
                let places: Vec<_> = several
                    .iter()
                    .map(|index| &self.items[*index])
                    .map(|item| {
                        format!("{}/{} {} {}", item.page, item.section, item.item, item.occurrence)
                    })
                    .collect();
                Err(Trouble(format!(
                    "{text:?} means {} items: {}",
                    several.len(),
                    places.join(", ")
                )))
            }
            None => Err(Trouble(format!("{text:?} is neither a claim nor a documented item"))),
        }
    }
}

/// The rows below the heading of a table with `N` columns.
fn rows<const N: usize>(name: &str, text: &str) -> Result<Vec<[String; N]>> {
    text.lines()
        .enumerate()
        .skip(1)
        .map(|(index, line)| {
            let cells: Vec<String> = line.split('\t').map(str::to_owned).collect();
            let count = cells.len();
            cells.try_into().map_err(|_| {
                Trouble(format!("{name}, line {}: {count} columns instead of {N}", index + 1))
            })
        })
        .collect()
}

/// Counts of one part of the documentation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// All.
    pub total: usize,
    /// Decided by at least one case.
    pub settled: usize,
    /// Not decided, with a reason.
    pub excluded: usize,
    /// Neither.
    pub open: usize,
}

impl Totals {
    fn count(&mut self, settled: bool, excluded: bool) {
        self.total += 1;
        if settled {
            self.settled += 1;
        } else if excluded {
            self.excluded += 1;
        } else {
            self.open += 1;
        }
    }
}

/// Which cases settle what.
#[derive(Debug)]
pub struct Coverage {
    /// The data.
    pub data: Data,
    by: HashMap<Settled, Vec<&'static Case>>,
}

#[derive(Serialize)]
struct Json {
    claims: Totals,
    items: Totals,
    mechanisms: BTreeMap<String, Totals>,
}

impl Coverage {
    /// Resolves what every case settles.
    pub fn of(cases: &[&'static Case]) -> Result<Self> {
        let data = Data::project()?;
        let mut by: HashMap<Settled, Vec<&'static Case>> = HashMap::new();
        for case in cases {
            for text in case.settles {
                let settled = data.resolve(text).map_err(|trouble| {
                    Trouble::with(format!("{}: settles", case.path()), trouble)
                })?;
                by.entry(settled).or_default().push(case);
            }
        }
        Ok(Self { data, by })
    }

    /// The cases that settle it, in order.
    pub fn witnesses(&self, settled: Settled) -> &[&'static Case] {
        self.by.get(&settled).map_or(&[], Vec::as_slice)
    }

    /// Totals of the claims.
    pub fn claims(&self) -> Totals {
        let mut totals = Totals::default();
        for index in 0..self.data.claims.len() {
            totals.count(!self.witnesses(Settled::Claim(index)).is_empty(), false);
        }
        totals
    }

    /// Totals of the items, grouped by `key`, in the order of the data.
    pub fn items<'a>(&'a self, key: impl Fn(&'a Item) -> &'a str) -> Vec<(&'a str, Totals)> {
        let mut groups: Vec<(&str, Totals)> = vec![];
        for (index, item) in self.data.items.iter().enumerate() {
            let name = key(item);
            let position =
                groups.iter().position(|(known, _)| *known == name).unwrap_or_else(|| {
                    groups.push((name, Totals::default()));
                    groups.len() - 1
                });
            let settled = !self.witnesses(Settled::Item(index)).is_empty();
            groups[position].1.count(settled, self.data.excluded.contains_key(&index));
        }
        groups
    }

    fn json(&self) -> String {
        let all = self.items(|_| "").first().map(|(_, totals)| *totals).unwrap_or_default();
        let mechanisms = self
            .items(|item| &item.mechanism)
            .into_iter()
            .map(|(name, totals)| (name.to_owned(), totals))
            .collect();
        let json = Json { claims: self.claims(), items: all, mechanisms };
        serde_json::to_string_pretty(&json).expect("totals can be serialized") + "\n"
    }

    fn open(&self) -> String {
        let mut text = String::new();
        for (index, claim) in self.data.claims.iter().enumerate() {
            if self.witnesses(Settled::Claim(index)).is_empty() {
                let _ = writeln!(text, "{} {}", claim.id, claim.text);
            }
        }
        for (index, item) in self.data.items.iter().enumerate() {
            let settled = !self.witnesses(Settled::Item(index)).is_empty();
            if !settled && !self.data.excluded.contains_key(&index) {
                let Item { page, section, item, occurrence, .. } = item;
                let _ = writeln!(text, "{page}/{section} {item} {occurrence}");
            }
        }
        text
    }

    fn full(&self) -> String {
        let mut text = String::new();
        for (index, claim) in self.data.claims.iter().enumerate() {
            let _ = writeln!(text, "{} {}", claim.id, claim.text);
            text += &witnesses(self.witnesses(Settled::Claim(index)), None);
        }
        let mut page = "";
        for (index, item) in self.data.items.iter().enumerate() {
            if item.page != page {
                page = &item.page;
                let _ = writeln!(text, "\n{page}");
            }
            let _ = writeln!(text, "{}/{} {} {}", page, item.section, item.item, item.occurrence);
            let reason = self.data.excluded.get(&index);
            text += &witnesses(self.witnesses(Settled::Item(index)), reason);
        }
        text.push('\n');
        text += &self.totals();
        text
    }

    fn totals(&self) -> String {
        let mut text = format!(
            "{:<28}{:>8}{:>9}{:>10}{:>7}\n",
            "page", "total", "settled", "excluded", "open"
        );
        let mut tell = |name: &str, totals: Totals| {
            let Totals { total, settled, excluded, open } = totals;
            let _ = writeln!(text, "{name:<28}{total:>8}{settled:>9}{excluded:>10}{open:>7}");
        };
        for (page, totals) in self.items(|item| &item.page) {
            tell(page, totals);
        }
        for (_, totals) in self.items(|_| "") {
            tell("all documented items", totals);
        }
        tell("all claims", self.claims());
        text
    }
}

fn witnesses(cases: &[&Case], reason: Option<&String>) -> String {
    if cases.is_empty() {
        return reason
            .map_or_else(|| "    open\n".to_owned(), |reason| format!("    excluded: {reason}\n"));
    }
    cases.iter().map(|case| format!("    {}\n", case.path())).collect()
}

/// Prints it.
pub fn print(cases: &[&'static Case], options: &Options) -> Result {
    let coverage = Coverage::of(cases)?;
    crate::print(&if options.json {
        coverage.json()
    } else if options.open {
        coverage.open()
    } else {
        coverage.full()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_settled_item_means_one() {
        Coverage::of(&ipcspec_cases::all()).map_err(|trouble| trouble.0).unwrap();
    }

    #[test]
    fn items_are_told_apart_by_section_and_occurrence() {
        let heading = "mechanism\tpage\tsection\titem\tn\n";
        let table = "pipe\tp.2\tERRORS\tEINVAL\t1\npipe\tp.2\tERRORS\tEINVAL\t2\npipe\tp.2\tNOTES\tEINVAL\t1\n";
        let data = Data::parse("id\n", &format!("{heading}{table}"), "item\treason\n").unwrap();
        assert_eq!(data.resolve("p.2/NOTES EINVAL").unwrap(), Settled::Item(2));
        assert_eq!(data.resolve("p.2 EINVAL 2").unwrap(), Settled::Item(1));
        assert!(data.resolve("p.2 EINVAL").is_err());
        assert!(data.resolve("p.2 EPERM").is_err());
    }

    #[test]
    fn rows_with_other_columns_are_named() {
        let error = Data::parse("id\nA01\n", "", "").unwrap_err().0;
        assert_eq!(error, "claims.tsv, line 2: 1 columns instead of 5");
    }
}
