//! Semaphores as they are not.

use nix::errno::Errno;

use super::{Change, List, Op, Set, Want};
use crate::{Act, Actor, Answer, Canary, Step, Twist, World};

/// Whether this is a call that has slept until now.
fn slept(before: &World<Set>, actor: Actor) -> bool {
    before.model.place_of(actor).is_some()
}

fn is_over(step: &Step) -> bool {
    matches!(step, Step::Returns(answer, _) if answer.result.is_ok())
}

pub(super) const CANARIES: &[Canary<Set>] = &[
    Canary {
        says: "What would have to be undone of the first operation stays when a later one fails.",
        twist: |twist| {
            if let Twist::After { world, actor, act: Act::Own(Op::Operate(list, _)), step, .. } =
                twist
                && matches!(step, Step::Returns(answer, _) if answer.result == Err(Errno::EAGAIN as i32))
                && let Some(first) = list.iter().next()
                && first.undo
                && list.iter().count() > 1
            {
                let number = usize::from(first.number);
                world.model.adjustments[actor][number] -= first.change();
            }
        },
    },
    Canary {
        says: "What a call did that had to sleep is not undone.",
        twist: |twist| {
            if let Twist::After { before, world, actor, act: Act::Own(Op::Operate(..)), step } =
                twist
                && slept(before, actor)
                && is_over(step)
            {
                world.model.adjustments[actor] = before.model.adjustments[actor];
            }
        },
    },
    Canary {
        says: "An undo that would take a value below zero is left out.",
        twist: |twist| {
            if let Twist::Ended { before, world, actor } = twist {
                let (before, after) = (&before.model, &mut world.model);
                for (number, value) in after.values.iter_mut().enumerate() {
                    if before.values[number] + before.adjustments[actor][number] < 0 {
                        *value = before.values[number];
                    }
                }
            }
        },
    },
    Canary {
        says: "SETVAL clears what is to be undone for its caller only.",
        twist: |twist| {
            if let Twist::After { before, world, actor, act: Act::Own(Op::SetVal(..)), .. } = twist
            {
                let own = world.model.adjustments[actor];
                world.model.adjustments = before.model.adjustments;
                world.model.adjustments[actor] = own;
            }
        },
    },
    Canary {
        says: "Of two sleepers that want the same, the younger is served first.",
        twist: |twist| {
            if let Twist::After { before, world, actor, act: Act::Own(Op::Operate(..)), step } =
                twist
                && !slept(before, actor)
                && matches!(step, Step::Sleeps(_))
                && let Some(youngest) = world.model.asleep.pop()
            {
                world.model.asleep.insert(0, youngest);
            }
        },
    },
    Canary {
        says: "A sleeper is counted at every semaphore that it wants something of.",
        twist: |twist| {
            if let Twist::After {
                world,
                act: Act::Own(Op::Count(number, want @ Want::More)),
                step: Step::Returns(answer, _),
                ..
            } = twist
                && answer.result.is_ok()
            {
                let wants = |list: &List| list.iter().any(|one| one.wants(*number, *want));
                let sleepers = world.model.asleep.iter();
                let all = sleepers.filter(|sleeper| wants(&sleeper.list)).count();
                *answer = Answer::number(all as i64);
            }
        },
    },
    Canary {
        says: "Who waited for zero has not operated, for GETPID.",
        twist: |twist| {
            if let Twist::After { before, world, act: Act::Own(Op::Operate(list, _)), step, .. } =
                twist
                && is_over(step)
                && list.iter().all(|one| one.change == Change::Zero)
            {
                world.model.last = before.model.last;
            }
        },
    },
    Canary {
        says: "A child of fork has what its parent did to undo.",
        twist: |twist| {
            if let Twist::After { before, world, actor, act: Act::Fork, .. } = twist
                && let Some(child) = before.room()
            {
                world.model.adjustments[child] = before.model.adjustments[actor];
            }
        },
    },
];
