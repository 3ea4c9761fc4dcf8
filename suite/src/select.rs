//! Which cases a pattern means.

use globset::GlobBuilder;
use ipcspec_harness::Case;

use crate::{Result, Trouble};

/// A case and its place in the list of all.
pub type Selected = (usize, &'static Case);

/// The cases that at least one of `patterns` matches, in the order of the
/// list; all of them when there is no pattern. A pattern that matches none is
/// trouble.
pub fn select(cases: &[&'static Case], patterns: &[String]) -> Result<Vec<Selected>> {
    let patterns = patterns.iter().map(|text| Pattern::new(text)).collect::<Result<Vec<_>>>()?;
    for pattern in &patterns {
        if !cases.iter().any(|case| pattern.matches(&case.path())) {
            return Err(pattern.unmatched(cases));
        }
    }
    let wanted = |case: &Case| {
        patterns.is_empty() || patterns.iter().any(|pattern| pattern.matches(&case.path()))
    };
    Ok(cases.iter().copied().enumerate().filter(|(_, case)| wanted(case)).collect())
}

/// A path (`sem::sysv::undo_rolls_back_at_exit`), a prefix of one up to a
/// `::` (`sem::sysv`), or a glob over the whole path (`*::undo_*`).
#[derive(Debug)]
pub struct Pattern {
    text: String,
    glob: Option<globset::GlobMatcher>,
}

impl std::fmt::Display for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.text)
    }
}

impl Pattern {
    /// Reads a pattern; a malformed glob is trouble.
    pub fn new(text: &str) -> Result<Self> {
        let text = text.trim_end_matches("::").to_owned();
        let glob = if text.contains(['*', '?', '[', '{']) {
            let glob = GlobBuilder::new(&text)
                .build()
                .map_err(|error| Trouble::with(format!("pattern {text:?}"), error.kind()))?;
            Some(glob.compile_matcher())
        } else {
            None
        };
        Ok(Self { text, glob })
    }

    /// Whether it means the case with this path.
    pub fn matches(&self, path: &str) -> bool {
        match &self.glob {
            Some(glob) => glob.is_match(path),
            None => path
                .strip_prefix(&self.text)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with("::")),
        }
    }

    fn unmatched(&self, cases: &[&'static Case]) -> Trouble {
        let last = self.text.rsplit("::").next().unwrap_or_default();
        let near = cases
            .iter()
            .map(|case| case.path())
            .find(|path| self.glob.is_none() && !last.is_empty() && path.contains(last));
        let hint = near.map_or_else(
            || "`ipcspec list` names them all".to_owned(),
            |path| format!("did you mean {path}?"),
        );
        Trouble(format!("no case matches {:?}; {hint}", self.text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_end_at_a_separator() {
        let pattern = Pattern::new("sem::sysv").unwrap();
        assert!(pattern.matches("sem::sysv::p_blocks"));
        assert!(!pattern.matches("sem::sysvx::p_blocks"));
        assert!(Pattern::new("sem::").unwrap().matches("sem::sysv::p_blocks"));
    }

    #[test]
    fn globs_cross_separators() {
        assert!(Pattern::new("*undo*").unwrap().matches("sem::sysv::undo_rolls_back"));
        assert!(Pattern::new("sem::[").is_err());
    }
}
