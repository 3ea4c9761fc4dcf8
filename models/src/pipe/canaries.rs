//! Pipes as they are not.

use nix::errno::Errno;

use super::buffer::Buffer;
use super::{Access, Call, End, Kind, Op, Pipe, READS, WRITES_WHOLE, number};
use crate::{Act, Answer, Canary, Step, Twist};

pub(super) const CANARIES: &[Canary<Pipe>] = &[
    Canary {
        says: "A short read of a packet leaves its rest to the next read.",
        twist: |twist| {
            if let Twist::After { before, world, act: Act::Own(Op::Read { bytes, .. }), .. } = twist
                && before.model.kind == Kind::Packets
                && before.model.buffer.runs.first().is_some_and(|run| run.length > *bytes as usize)
                && world.model.buffer.unread < before.model.buffer.unread
            {
                world.model.buffer = before.model.buffer.clone();
                world.model.buffer.take(*bytes as usize);
            }
        },
    },
    Canary {
        says: "A read gives bytes of one write only.",
        twist: |twist| {
            if let Twist::After {
                before, world, act: Act::Own(Op::Read { bytes, .. }), step, ..
            } = twist
                && before.model.buffer.runs.len() > 1
                && let Step::Returns(answer, _) = step
                && answer.body.len() > before.model.buffer.runs[0].length
            {
                world.model.buffer = before.model.buffer.clone();
                let first = before.model.buffer.runs[0].length.min(*bytes as usize);
                let body = world.model.buffer.take(first);
                *step = READS.returns(Answer { body, ..number(first) });
            }
        },
    },
    Canary {
        says: "Who closes the write end closes it for everybody.",
        twist: |twist| {
            if let Twist::After {
                before, world, actor, act: Act::Own(Op::Close(End::Writing)), ..
            } = twist
                && let closed @ Some(_) = before.model.hands[actor][End::Writing as usize]
            {
                for hands in &mut world.model.hands {
                    hands[1] = hands[1].filter(|hand| Some(*hand) != closed);
                }
                world.model.tidy();
            }
        },
    },
    Canary {
        says: "A forked actor inherits the read end alone.",
        twist: |twist| {
            if let Twist::After { before, world, act: Act::Fork, .. } = twist
                && let Some(child) = before.room()
            {
                world.model.hands[child][End::Writing as usize] = None;
            }
        },
    },
    Canary {
        says: "What is unread is lost when the last writer ends.",
        twist: |twist| {
            if let Twist::Ended { before, world, .. } = twist
                && before.model.is_open(End::Writing)
                && !world.model.is_open(End::Writing)
            {
                world.model.buffer = Buffer::default();
            }
        },
    },
    Canary {
        says: "A page that has been read in part has room again for as much.",
        twist: |twist| {
            if let Twist::After {
                before,
                world,
                actor,
                act: Act::Own(Op::Write { bytes: bytes @ 1..=2048, tag, .. }),
                step,
            } = twist
                && before.model.may_hold(*bytes as usize)
                && before.model.buffer.unread > 0
                && (matches!(step, Step::Sleeps(_))
                    || *step == super::WRITE_WOULD_SLEEP.fails(Errno::EAGAIN))
            {
                world.model.calls[actor] = Call::None;
                world.model.buffer.put_in_new_page(*tag, 0, *bytes as usize);
                *step = WRITES_WHOLE.returns(number(*bytes as usize));
            }
        },
    },
    Canary {
        says: "O_NONBLOCK belongs to the pipe, not to one of its ends.",
        twist: |twist| {
            if let Twist::After { world, act: Act::Own(Op::Nonblocking { on, .. }), step, .. } =
                twist
                && matches!(step, Step::Returns(answer, _) if answer.result == Ok(0))
            {
                for open in world.model.descriptions.iter_mut().flatten() {
                    open.nonblocking = *on;
                }
            }
        },
    },
    Canary {
        says: "A reader that opens a FIFO with O_NONBLOCK does not release writers that wait.",
        twist: |twist| {
            if let Twist::After { before, world, actor, step, .. } = twist
                && before.model.calls[actor] == Call::Opens(Access::Writing)
                && let mut readers = before.model.descriptions.iter().flatten()
                && readers.all(|open| open.nonblocking)
            {
                world.model = before.model.clone();
                *step = super::OPEN_SLEEPS.sleeps();
            }
        },
    },
    Canary {
        says: "A FIFO keeps what is unread when nobody has it open.",
        twist: |twist| {
            if let Twist::After { before, world, act: Act::Own(Op::Close(_)), .. }
            | Twist::Ended { before, world, .. } = twist
                && before.model.kind.is_fifo()
            {
                world.model.buffer = before.model.buffer.clone();
            }
        },
    },
];
