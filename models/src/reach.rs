//! What programs have reached: operations, what they came to, and kinds of
//! state.

use std::collections::BTreeMap;

use nix::errno::Errno;

/// What came of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It succeeded.
    Ok,
    /// It failed with this error.
    Error(i32),
    /// It slept.
    Sleeps,
}

impl Outcome {
    /// 0, the number of the error, or 1 << 16.
    pub fn number(self) -> u32 {
        match self {
            Self::Ok => 0,
            Self::Error(errno) => errno as u32,
            Self::Sleeps => 1 << 16,
        }
    }

    fn of(number: u32) -> String {
        match number {
            0 => "ok".to_owned(),
            n if n == 1 << 16 => "sleeps".to_owned(),
            errno => format!("{:?}", Errno::from_raw(errno as i32)),
        }
    }
}

/// Counts of operations by outcome, and who else wants to know.
#[derive(Debug)]
pub struct Reach {
    // Few enough to be looked through: 20 operations with 4 outcomes each.
    counts: Vec<(&'static str, u32, u64)>,
    listener: Option<fn(&'static str, Outcome, u32)>,
}

impl Default for Reach {
    fn default() -> Self {
        Self { counts: Vec::with_capacity(64), listener: None }
    }
}

impl Reach {
    /// Counts, and tells `listener` of every operation: its name, what it came
    /// to, and the class of the state before it.
    pub fn telling(listener: fn(&'static str, Outcome, u32)) -> Self {
        Self { listener: Some(listener), ..Self::default() }
    }

    pub(crate) fn note(&mut self, name: &'static str, outcome: Outcome, class: u32) {
        let number = outcome.number();
        let known = |(known, out, _): &(&'static str, u32, u64)| {
            std::ptr::eq(*known, name) && *out == number
        };
        let place = match self.counts.iter().position(known) {
            Some(place) => place,
            None => {
                self.counts.push((name, number, 0));
                self.counts.len() - 1
            }
        };
        self.counts[place].2 += 1;
        if let Some(listener) = self.listener {
            listener(name, outcome, class);
        }
    }

    /// How often each operation came to each outcome.
    pub fn table(&self) -> BTreeMap<(String, String), u64> {
        let mut table = BTreeMap::new();
        for (name, outcome, count) in &self.counts {
            *table.entry(((*name).to_owned(), Outcome::of(*outcome))).or_insert(0) += count;
        }
        table
    }

    /// How many operations there were.
    pub fn operations(&self) -> u64 {
        let slept =
            |(_, outcome, count): &(_, u32, u64)| if *outcome == 1 << 16 { 0 } else { *count };
        self.counts.iter().map(slept).sum()
    }
}
