//! Signals as they are not.

use super::{Alone, Op, Pending, Process, Sig};
use crate::{Act, Canary, Step, Twist};

pub(super) const CANARIES: &[Canary<Alone>] = &[
    Canary {
        says: "The second real-time signal of one number overtakes the first.",
        twist: |twist| {
            if let Some((before, after)) = receiver(twist)
                && after.pending.len() > before.pending.len()
                && let Some((new, old)) = after.pending.split_last_mut()
                && new.signal.is_real_time()
                && let Some(first) = old.iter_mut().find(|old| is_like(old, new))
            {
                std::mem::swap(first, new);
            }
        },
    },
    Canary {
        says: "A standard signal queues twice.",
        twist: |twist| {
            if let Some((before, after, signal)) = sent(twist)
                && !signal.is_real_time()
                && before.pending == after.pending
                && let Some(old) = before.pending.iter().find(|old| old.signal == signal)
            {
                after.pending.push(*old);
            }
        },
    },
    Canary {
        says: "A standard signal that is pending tells of who sent it last.",
        twist: |twist| {
            let sender = match &twist {
                Twist::After { actor, .. } => *actor as i64,
                _ => return,
            };
            if let Some((before, after, signal)) = sent(twist)
                && !signal.is_real_time()
                && before.pending == after.pending
                && let Some(old) = after.pending.iter_mut().find(|old| old.signal == signal)
            {
                old.info.from = sender;
            }
        },
    },
    Canary {
        says: "A forked actor inherits what is pending.",
        twist: |twist| {
            if let Twist::After { before, world, actor, act: Act::Fork, .. } = twist
                && let Some(child) = before.room()
            {
                let pending = before.signals.processes[actor].pending.clone();
                world.signals.processes[child].pending = pending;
            }
        },
    },
    Canary {
        says: "SIGCONT does not continue who blocks it.",
        twist: |twist| {
            if let Some((before, after, Sig::Cont)) = sent(twist)
                && before.blocked.has(Sig::Cont)
            {
                after.stopped = before.stopped;
            }
        },
    },
    Canary {
        says: "A stop that is pending survives SIGCONT.",
        twist: |twist| {
            if let Some((before, after, Sig::Cont)) = sent(twist) {
                let stops = before.pending.iter().filter(|old| old.signal == Sig::Stop);
                after.pending.extend(stops);
            }
        },
    },
    Canary {
        says: "The mask of sigsuspend stays.",
        twist: |twist| {
            if let Twist::After { world, actor, act: Act::Signal(Op::Suspend { .. }), .. } = twist {
                let process = &mut world.signals.processes[actor];
                process.replaced = Some(process.blocked);
            }
        },
    },
    Canary {
        says: "A signal that was waited for is delivered, too.",
        twist: |twist| {
            if let Twist::After { before, world, actor, step: Step::Returns(answer, _), act } =
                twist
                && matches!(act, Act::Signal(Op::Wait { .. }))
                && answer.result.is_ok()
            {
                let pending = before.signals.processes[actor].pending.clone();
                world.signals.processes[actor].pending = pending;
            }
        },
    },
];

fn is_like(one: &Pending, other: &Pending) -> bool {
    (one.signal, one.to_thread) == (other.signal, other.to_thread)
}

/// After something was sent: its receiver before and now.
fn receiver(twist: Twist<'_, Alone>) -> Option<(&Process, &mut Process)> {
    sent(twist).map(|(before, after, _)| (before, after))
}

/// As above, and the signal.
fn sent(twist: Twist<'_, Alone>) -> Option<(&Process, &mut Process, Sig)> {
    let Twist::After { before, world, act: Act::Signal(op), .. } = twist else { return None };
    let (Op::Kill { to, signal } | Op::Queue { to, signal, .. } | Op::Thread { to, signal }) = *op
    else {
        return None;
    };
    let (before, after) =
        (&before.signals.processes[usize::from(to)], &mut world.signals.processes[usize::from(to)]);
    before.alive.then_some((before, after, signal))
}
