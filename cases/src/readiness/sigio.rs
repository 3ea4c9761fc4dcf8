//! O_ASYNC: signals that tell of readiness, who gets them and what they say.

use crate::prelude::*;
use crate::sys::sigio::signal_input;
use crate::sys::signals::{block, pending};

/// The cases of this module.
pub const CASES: &[Case] = &[new_input_raises_sigio];

/// With O_ASYNC on the read end, new input raises SIGIO for the owner that F_SETOWN set.
#[case(PIPE_7, "Open file status flags")]
fn new_input_raises_sigio() -> Verdict {
    let (r, w) = pipe()?;
    block(SIGIO)?;
    signal_input(&r)?;
    check!(!pending()?.has(SIGIO));
    Child::spawn(|| say(&w, "x"))?.join()?;
    check!(pending()?.has(SIGIO));
    Ok(())
}
