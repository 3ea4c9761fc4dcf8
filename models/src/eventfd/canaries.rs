//! Event counters as they are not.

use super::{Event, Op, Value};
use crate::{Act, Answer, Canary, Step, Twist};

pub(super) const CANARIES: &[Canary<Event>] = &[
    Canary {
        says: "A read of a count above 2 leaves 1.",
        twist: |twist| {
            if let Twist::After { before, world, act: Act::Own(Op::Read), .. } = twist
                && before.model.count > 2
                && world.model.count == 0
            {
                world.model.count = 1;
            }
        },
    },
    Canary {
        says: "A semaphore whose count is above 2 gives 2 at once.",
        twist: |twist| {
            if let Twist::After { before, world, act: Act::Own(Op::Read), step, .. } = twist
                && before.model.shape.semaphore
                && before.model.count > 2
                && let Step::Returns(answer, _) = step
            {
                *answer = Answer::number(2);
                world.model.count -= 1;
            }
        },
    },
    Canary {
        says: "The highest count cannot be reached.",
        twist: |twist| {
            if let Twist::Before { act, .. } = twist
                && *act == Act::Own(Op::Write(Value::Highest(0)))
            {
                *act = Act::Own(Op::Write(Value::Highest(1)));
            }
        },
    },
    Canary {
        says: "A write that had to sleep is lost when it wakes.",
        twist: |twist| {
            if let Twist::After { before, world, actor, act: Act::Own(Op::Write(_)), .. } = twist
                && before.call_of(actor).is_some()
            {
                world.model.count = before.model.count;
            }
        },
    },
    Canary {
        says: "An actor that ends while others live takes the count with it.",
        twist: |twist| {
            if let Twist::Ended { world, .. } = twist {
                world.model.count = 0;
            }
        },
    },
];
