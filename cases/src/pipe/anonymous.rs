//! Anonymous pipes: end of life, blocking, capacity.

use crate::prelude::*;

/// The cases of this module.
pub const CASES: &[Case] = &[eof_after_last_writer_closes];

/// Once every write end is closed, a read drains the pipe and then returns 0.
#[case(PIPE_7, "I/O on pipes and FIFOs", settles = ["A03", "A14"])]
fn eof_after_last_writer_closes() -> Verdict {
    let (r, w) = pipe()?;
    write(&w, b"tail")?;
    drop(w);

    let mut buf = [0; 8];
    check!(read(&r, &mut buf) == Ok(4));
    check!(buf[..4] == *b"tail");
    check!(read(&r, &mut buf) == Ok(0));
    Ok(())
}
