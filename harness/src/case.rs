//! What a case is: a claim, where it is documented, and the function that
//! asks the kernel.

use std::fmt;
use std::time::Duration;

use crate::{Need, Verdict};

/// A page of the documentation, in the form `NAME.SECTION` (`pipe.7`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page(pub &'static str);

impl fmt::Display for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&crate::show::page(self.0))
    }
}

/// A place in the documentation: a page and the heading that the sentence
/// stands under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source {
    /// The page.
    pub page: Page,
    /// The heading, as the page spells it.
    pub section: &'static str,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.page, self.section)
    }
}

/// One claim about the kernel and the function that decides it. Written with
/// `#[case]`, never by hand.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// The module path, the crate's name included.
    pub module: &'static str,
    /// The function's name, which says the outcome.
    pub name: &'static str,
    /// The claim: one sentence that could be false.
    pub claim: &'static str,
    /// Where it is documented; the first is the one that is cited.
    pub sources: &'static [Source],
    /// Claims (`A03`) and documented items (`pipe.2 EMFILE`) that it decides.
    pub settles: &'static [&'static str],
    /// What the run must provide.
    pub needs: &'static [Need],
    /// Seconds until the case counts as hanging, before any factor.
    pub deadline_seconds: u32,
    /// Source file, relative to the workspace.
    pub file: &'static str,
    /// Line of the name of the function.
    pub line: u32,
    /// The body.
    pub run: fn() -> Verdict,
}

impl Case {
    /// The deadline of a case that names none, in seconds.
    pub const DEADLINE_SECONDS: u32 = 10;

    /// The path by which a case is selected and reported:
    /// `sem::sysv::undo_rolls_back_at_exit`.
    pub fn path(&self) -> String {
        match self.module.split_once("::") {
            Some((_, folders)) => format!("{folders}::{}", self.name),
            None => self.name.to_owned(),
        }
    }

    /// The first folder of the path: `sem`.
    pub fn mechanism(&self) -> &'static str {
        self.module.split("::").nth(1).unwrap_or(self.module)
    }

    /// The deadline, before any factor.
    pub fn deadline(&self) -> Duration {
        Duration::from_secs(self.deadline_seconds.into())
    }
}
