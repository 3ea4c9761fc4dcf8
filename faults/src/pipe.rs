//! Wrong pipes.

use ipcspec_cases::pages::PIPE_7;
use ipcspec_cases::sys::calls::{READ, WRITE};
use ipcspec_harness::fault;
use nix::Result;

use crate::{Call, Effect, Fault};

/// The faults of this mechanism.
pub const FAULTS: &[Fault] = &[end_of_file_never_comes, last_byte_of_a_page_is_lost];

/// A reader that has seen the last byte sleeps on when the last writer has gone.
#[fault(PIPE_7, "I/O on pipes and FIFOs", on = [READ])]
fn end_of_file_never_comes(call: &mut Call) -> Result<Effect> {
    call.pipe(0)?;
    if call.argument(2) == 0 {
        return call.proceed();
    }
    call.then(|call| if call.result() == 0 { call.sleep() } else { call.proceed() })
}

/// A write that ends at the end of a page loses its last byte and does not tell.
#[fault(PIPE_7, "I/O on pipes and FIFOs", on = [WRITE])]
fn last_byte_of_a_page_is_lost(call: &mut Call) -> Result<Effect> {
    let (_, length) = (call.pipe(0)?, call.argument(2));
    if length == 0 || length % 4096 != 0 {
        return call.proceed();
    }
    call.set_argument(2, length - 1);
    call.then(move |call| call.give(call.result() + i64::from(call.result() == length as i64 - 1)))
}
