//! eventfd: a counter to wait for.

use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::prelude::*;
use crate::sys::poll::{IN, OUT, now};

/// The cases of this module.
pub const CASES: &[Case] = &[eventfd_is_ready_as_its_counter_says];

/// An eventfd is readable while its counter is above 0, and writable while 1 can be added.
#[case(EVENTFD_2, "DESCRIPTION")]
fn eventfd_is_ready_as_its_counter_says() -> Verdict {
    let event = EventFd::from_flags(EfdFlags::EFD_NONBLOCK)?;
    check!(now(&event, IN | OUT) == Ok(OUT));
    event.write(1)?;
    check!(now(&event, IN | OUT) == Ok(IN | OUT));
    event.write(u64::MAX - 2)?;
    check!(now(&event, IN | OUT) == Ok(IN));
    check!(event.write(1) == Err(EAGAIN));
    check!(event.read() == Ok(u64::MAX - 1));
    check!(now(&event, IN | OUT) == Ok(OUT));
    Ok(())
}
