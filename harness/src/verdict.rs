//! The five verdicts, and what a case says when it does not hold.

use std::fmt;
use std::panic::Location;

use nix::errno::Errno;
use serde::{Deserialize, Serialize};

use crate::show;

/// What a case, a child or a helper of theirs returns: `Ok` when every check
/// held.
pub type Verdict<T = ()> = Result<T, Failure>;

/// The verdict of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Every check of the case held.
    Held,
    /// The kernel did something else than the documentation says.
    Violated,
    /// The kernel does not have the documented facility at all.
    Absent,
    /// This run could not ask.
    Skipped,
    /// The case itself could not do its work.
    Broken,
    /// The target died while the case ran, and again when it was tried again.
    /// Nobody on the target could tell: whoever started it does.
    Killed,
}

impl Outcome {
    /// All, in the order in which they are counted.
    pub const ALL: [Self; 6] =
        [Self::Held, Self::Violated, Self::Absent, Self::Skipped, Self::Broken, Self::Killed];

    /// The word for it, as in events and expectations.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Violated => "violated",
            Self::Absent => "absent",
            Self::Skipped => "skipped",
            Self::Broken => "broken",
            Self::Killed => "killed",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// Why a case did not hold. Made by `check!`, by `?` and by the constructors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure(Box<Details>);

/// The parts of a [`Failure`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Details {
    /// Never [`Outcome::Held`].
    pub outcome: Outcome,
    /// The call or expression that is spoken of; empty when there is none.
    pub call: String,
    /// What was wanted; empty when nothing was promised.
    pub expected: String,
    /// What came.
    pub observed: String,
    /// `file:line`; empty when no line of the case is to blame.
    pub at: String,
    /// Requirements that were not met.
    pub missing: Vec<String>,
}

impl Failure {
    #[track_caller]
    fn new(outcome: Outcome, call: &str, expected: String, observed: &str) -> Self {
        let at = Location::caller();
        // A method handed over by name is called from the standard library:
        // the place of the case says more.
        let ours = !at.file().starts_with('/');
        Self(Box::new(Details {
            outcome,
            call: show::shorten(call, 200),
            expected,
            observed: show::shorten(observed, 2000),
            at: if ours { format!("{}:{}", at.file(), at.line()) } else { String::new() },
            missing: vec![],
        }))
    }

    /// The kernel did something else than documented. `call` and `context`
    /// say where in the case, `expected` and `observed` are already rendered.
    #[track_caller]
    pub fn violated(
        call: &str,
        context: impl fmt::Display,
        expected: impl Into<String>,
        observed: impl Into<String>,
    ) -> Self {
        let mut observed = observed.into();
        let context = context.to_string();
        if !context.is_empty() {
            observed = format!("{observed} ({context})");
        }
        Self::new(Outcome::Violated, call, expected.into(), &observed)
    }

    /// The case could not do its work.
    #[track_caller]
    pub fn broken(observed: impl fmt::Display) -> Self {
        Self::new(Outcome::Broken, "", String::new(), &observed.to_string())
    }

    /// The kernel does not have `facility`; `observed` says how it answered.
    #[track_caller]
    pub fn absent(facility: &str, observed: impl fmt::Display) -> Self {
        let mut failure =
            Self::new(Outcome::Absent, "", facility.to_owned(), &observed.to_string());
        failure.0.missing = vec![facility.to_owned()];
        failure
    }

    /// This run cannot ask, and here is all that is missing.
    #[track_caller]
    pub fn skipped(missing: Vec<String>) -> Self {
        let mut failure = Self::new(Outcome::Skipped, "", String::new(), "");
        failure.0.missing = missing;
        failure
    }

    /// The verdict that this failure stands for.
    pub fn outcome(&self) -> Outcome {
        self.0.outcome
    }

    /// The parts.
    pub fn details(&self) -> &Details {
        &self.0
    }

    /// The parts, to change them.
    pub(crate) fn details_mut(&mut self) -> &mut Details {
        &mut self.0
    }

    /// Tells the place of the case instead of the line that made the failure.
    #[must_use]
    pub fn at_the_case(mut self) -> Self {
        self.0.at.clear();
        self
    }

    /// Names the process that failed, unless the failure names one already.
    #[must_use]
    pub fn in_process(mut self, name: &str) -> Self {
        if !self.0.observed.starts_with("in ") {
            self.0.observed = format!("in {name}: {}", self.0.observed);
        }
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Details { outcome, call, expected, observed, at, missing } = &*self.0;
        write!(f, "{outcome}: {call}: wanted {expected}, got {observed} at {at}")?;
        if missing.is_empty() { Ok(()) } else { write!(f, "; missing: {}", missing.join(", ")) }
    }
}

/// An error that a case did not expect, so that it is broken by it.
pub trait Mishap {
    /// The failure that this error makes of the case. `call` is the text of
    /// the expression that gave it, or empty.
    #[track_caller]
    fn into_failure(self, call: &str) -> Failure;
}

impl Mishap for Failure {
    fn into_failure(self, _: &str) -> Failure {
        self
    }
}

impl Mishap for Errno {
    #[track_caller]
    fn into_failure(self, call: &str) -> Failure {
        Failure::new(
            Outcome::Broken,
            call,
            String::new(),
            &format!("unexpected {}", show::errno(self)),
        )
    }
}

impl Mishap for std::io::Error {
    #[track_caller]
    fn into_failure(self, call: &str) -> Failure {
        match self.raw_os_error() {
            Some(number) => Errno::from_raw(number).into_failure(call),
            None => Failure::new(Outcome::Broken, call, String::new(), &self.to_string()),
        }
    }
}

/// What `?` needs of an error that is a [`Mishap`].
macro_rules! from_mishaps {
    ($($error:ty),* $(,)?) => { $(
        impl From<$error> for Failure {
            #[track_caller]
            fn from(error: $error) -> Self {
                error.into_failure("")
            }
        }
    )* };
}

/// Errors that are told by what they say of themselves.
macro_rules! plain_mishaps {
    ($($error:ty),* $(,)?) => { $(
        impl Mishap for $error {
            #[track_caller]
            fn into_failure(self, call: &str) -> Failure {
                Failure::new(Outcome::Broken, call, String::new(), &self.to_string())
            }
        }
        from_mishaps!($error);
    )* };
}

from_mishaps!(Errno, std::io::Error);
plain_mishaps!(
    String,
    &str,
    std::ffi::NulError,
    std::num::ParseIntError,
    std::num::TryFromIntError,
    std::str::Utf8Error,
    std::string::FromUtf8Error,
    std::array::TryFromSliceError,
);

/// Gives an unexpected error the text of the call it came from. `#[case]`
/// puts this around every `?` of a case.
#[track_caller]
pub fn told<T, E: Mishap>(result: Result<T, E>, call: &str) -> Verdict<T> {
    match result {
        Ok(value) => Ok(value),
        Err(error) => Err(error.into_failure(call)),
    }
}
