//! Message queues as they are not.

use nix::errno::Errno;

use super::{IS_GONE, Length, Op, Queue, SENDER_SLEEPS, SENDS, Sent};
use crate::{ACTORS, Act, Canary, Step, Twist};

pub(super) const CANARIES: &[Canary<Queue>] = &[
    Canary {
        says: "A negative type takes the first message up to its absolute value, not the lowest.",
        twist: |twist| {
            if let Twist::Before { world, act: Act::Own(Op::Receive { kind, .. }), .. } = twist
                && let up_to @ ..0 = *kind
                && let Some(first) = world
                    .model
                    .messages
                    .iter()
                    .find(|sent| sent.kind.unsigned_abs() <= up_to.unsigned_abs())
            {
                *kind = first.kind;
            }
        },
    },
    Canary {
        says: "A message that is too long for its receiver is lost.",
        twist: |twist| {
            if let Twist::After {
                world, act: Act::Own(Op::Receive { kind, flags, .. }), step, ..
            } = twist
                && fails(step, Errno::E2BIG)
                && let Some(place) = world.model.find(*kind, flags.except)
            {
                world.model.messages.remove(place);
            }
        },
    },
    Canary {
        says: "There may be any number of empty messages.",
        twist: |twist| {
            if let Twist::After { world, actor, act: Act::Own(op), step, .. } = twist
                && let Op::Send { kind: kind @ 1.., length: Length::Bytes(0), mark, .. } = *op
                && world.model.messages.len() as u64 >= world.model.capacity
                && world.model.bytes() <= world.model.capacity
                && (fails(step, Errno::EAGAIN) || matches!(step, Step::Sleeps(_)))
            {
                world.model.messages.push(Sent { kind, length: 0, mark, from: actor as u8 });
                world.model.last_sender = Some(actor);
                *step = SENDS.succeeds();
            }
        },
    },
    Canary {
        says: "The message of a sender that slept goes to the front of the queue.",
        twist: |twist| {
            if let Twist::After { before, world, actor, act, step } = twist
                && matches!(act, Act::Own(Op::Send { .. }))
                && matches!(step, Step::Returns(..))
                && before.model.asleep[actor]
                && world.model.messages.len() > before.model.messages.len()
            {
                let last = world.model.messages.pop().expect("there is one more than before");
                world.model.messages.insert(0, last);
            }
        },
    },
    Canary {
        says: "A receiver that slept is not told as the last one.",
        twist: |twist| {
            if let Twist::After { before, world, actor, act, .. } = twist
                && matches!(act, Act::Own(Op::Receive { .. }))
                && before.model.asleep[actor]
            {
                world.model.last_receiver = before.model.last_receiver;
            }
        },
    },
    Canary {
        says: "The message of a sender that is killed asleep is sent all the same.",
        twist: |twist| {
            if let Twist::Ended { before, world, actor } = twist
                && before.model.asleep[actor]
                && let Some(Act::Own(op)) = before.call_of(actor)
                && let Op::Send { kind, length: Length::Bytes(length), mark, .. } = *op
            {
                world.model.messages.push(Sent { kind, length, mark, from: actor as u8 });
            }
        },
    },
    Canary {
        says: "A message may not pass a longer one whose sender sleeps.",
        twist: |twist| {
            if let Twist::After { before, world, actor, act: Act::Own(op), step } = twist
                && let Op::Send { length: Length::Bytes(length), .. } = *op
                && matches!(step, Step::Returns(..))
                && world.model.messages.len() > before.model.messages.len()
                && (0..ACTORS).any(|other| {
                    before.model.asleep[other] && waits_with_more(before.call_of(other), length)
                })
            {
                world.model = before.model.clone();
                world.model.asleep[actor] = true;
                *step = SENDER_SLEEPS.sleeps();
            }
        },
    },
    Canary {
        says: "Who sleeps when the queue is removed finds its identifier invalid.",
        twist: |twist| {
            if let Twist::After { before, actor, step, .. } = twist
                && before.model.asleep[actor]
                && fails(step, Errno::EIDRM)
            {
                *step = IS_GONE.fails(Errno::EINVAL);
            }
        },
    },
];

fn waits_with_more(call: Option<&Act<Op>>, than: u16) -> bool {
    matches!(
        call,
        Some(Act::Own(Op::Send { length: Length::Bytes(length), .. })) if *length > than
    )
}

fn fails(step: &Step, errno: Errno) -> bool {
    matches!(step, Step::Returns(answer, _) if answer.result == Err(errno as i32))
}
