//! The search for an order is compared with two others: the checker of
//! another project, which knows no sleepers, and one that tries every order
//! of a counter that is written anew here. Histories are simulated, and half
//! of them spoilt.

use ipcspec_models::eventfd::{Event, Op, Shape, Value};
use ipcspec_models::race::{Call, MOST_STATES};
use ipcspec_models::{Act, Answer, Explained, History, Judge, Place, explain};
use nix::errno::Errno;
use todc_utils::History as Actions;
use todc_utils::linearizability::WGLChecker;
use todc_utils::linearizability::history::Action::{Call as Called, Response};
use todc_utils::specifications::Specification;

/// The counter once more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Counter {
    count: u64,
    semaphore: bool,
    nonblocking: bool,
}

impl Counter {
    /// What a call answers; none when it sleeps.
    fn apply(&mut self, op: Op) -> Option<Answer> {
        let highest = u64::MAX - 1;
        let sleeps = self.nonblocking.then(|| Answer::error(Errno::EAGAIN));
        let value = match op {
            Op::Read if self.count == 0 => return sleeps,
            Op::Read => {
                let taken = if self.semaphore { 1 } else { self.count };
                self.count -= taken;
                return Some(Answer::number(taken as i64));
            }
            Op::ReadSeven | Op::Write(Value::Forbidden) => {
                return Some(Answer::error(Errno::EINVAL));
            }
            Op::Poll => {
                let ready = i64::from(self.count > 0) + 4 * i64::from(self.count < highest);
                return Some(Answer::number(ready));
            }
            Op::Write(Value::Small(value)) => u64::from(value),
            Op::Write(Value::Highest(less)) => highest - u64::from(less),
        };
        match self.count.checked_add(value) {
            Some(sum) if sum <= highest => {
                self.count = sum;
                Some(Answer::zero())
            }
            _ => sleeps,
        }
    }
}

/// The counter as the other checker wants it: at 0 in the beginning.
struct Specified<const SEMAPHORE: bool, const NONBLOCKING: bool>;

impl<const SEMAPHORE: bool, const NONBLOCKING: bool> Specification
    for Specified<SEMAPHORE, NONBLOCKING>
{
    type State = Counter;
    type Operation = (Op, Answer);

    fn init() -> Counter {
        Counter { count: 0, semaphore: SEMAPHORE, nonblocking: NONBLOCKING }
    }

    fn apply((op, answer): &(Op, Answer), state: &Counter) -> (bool, Counter) {
        let mut next = *state;
        let fits = next.apply(*op).as_ref() == Some(answer);
        (fits, if fits { next } else { *state })
    }
}

type Calls = Vec<Vec<Call<Op>>>;

fn own(call: &Call<Op>) -> Op {
    let Act::Own(op) = call.act else { panic!("only operations of the mechanism") };
    op
}

fn any_op(random: &mut fastrand::Rng) -> Op {
    match random.usize(..12) {
        0..5 => Op::Read,
        5..9 => Op::Write(Value::Small(random.u8(..4))),
        9 => Op::Write(Value::Highest(random.u8(..2))),
        10 => Op::Poll,
        _ if random.bool() => Op::Write(Value::Forbidden),
        _ => Op::ReadSeven,
    }
}

/// Calls, effects and returns of so many actors in any order; moments are
/// multiples of 10. Who sleeps in the end never came back.
fn simulate(random: &mut fastrand::Rng, mut counter: Counter, actors: usize, most: usize) -> Calls {
    let mut calls: Calls = vec![vec![]; actors];
    let mut left: Vec<usize> = (0..actors).map(|_| random.usize(1..=most)).collect();
    let mut effects: Vec<Option<Answer>> = vec![None; actors];
    let mut now = 10;
    let mut idle_rounds = 0;
    while idle_rounds < 200 {
        let actor = random.usize(..actors);
        let under_way = calls[actor].last().is_some_and(|call| call.back.is_none());
        idle_rounds += 1;
        if !under_way && left[actor] > 0 {
            left[actor] -= 1;
            let act = Act::Own(any_op(random));
            calls[actor].push(Call { act, called: now, back: None });
        } else if under_way && let Some(answer) = effects[actor].take() {
            calls[actor].last_mut().expect("under way").back = Some((answer, now));
        } else if under_way {
            effects[actor] = counter.apply(own(calls[actor].last().expect("under way")));
            if effects[actor].is_none() {
                continue;
            }
        } else {
            continue;
        }
        now += 10;
        idle_rounds = 0;
    }
    calls
}

/// Changes an answer, or makes an interval so short that it may no longer
/// contain the moment of the effect, or the last call one that does not come
/// back.
fn spoil(random: &mut fastrand::Rng, calls: &mut Calls, sleepers: bool) {
    let actor = random.usize(..calls.len());
    let length = calls[actor].len();
    let Some(call) = calls[actor].get_mut(random.usize(..length.max(1))) else { return };
    let called = call.called;
    let Some((answer, back)) = &mut call.back else { return };
    match random.usize(..if sleepers { 5 } else { 4 }) {
        0 => {
            *answer = match random.usize(..6) {
                0 => Answer::error(Errno::EAGAIN),
                number => Answer::number(number as i64 - 1),
            }
        }
        1 => *back = called + 1,
        2 => call.called = *back - 1,
        3 => {
            if let Ok(number @ 1..8) = &mut answer.result {
                *number += if random.bool() { 1 } else { -1 };
            }
        }
        _ => calls[actor].last_mut().expect("not empty").back = None,
    }
}

fn places(calls: &Calls) -> Vec<Place> {
    let asleep = |calls: &Vec<Call<Op>>| calls.last().is_some_and(|call| call.back.is_none());
    calls.iter().map(|list| if asleep(list) { Place::Asleep } else { Place::Idle }).collect()
}

fn ours(shape: Shape, calls: &Calls) -> bool {
    let history = History::<Event> { shape, calls: calls.clone(), places: places(calls) };
    match explain(&Judge { canary: None }, &history, MOST_STATES) {
        Explained::Yes => true,
        Explained::No(unexplained) => {
            // What is told of it can be told.
            assert!(unexplained.tell(&history).lines().count() > 2);
            false
        }
        Explained::Undecided => panic!("too many states for so few calls:\n{history}"),
    }
}

/// As the other project has it; every call has come back.
fn theirs(shape: Shape, calls: &Calls) -> bool {
    let mut actions = vec![];
    for (actor, list) in calls.iter().enumerate() {
        for call in list {
            let (answer, back) = call.back.clone().expect("every call has come back");
            let operation = (own(call), answer);
            actions.push((call.called, (actor, Called(operation.clone()))));
            actions.push((back, (actor, Response(operation))));
        }
    }
    actions.sort_by_key(|(moment, _)| *moment);
    let actions = Actions::from_actions(actions.into_iter().map(|(_, action)| action).collect());
    match (shape.semaphore, shape.nonblocking) {
        (false, false) => WGLChecker::<Specified<false, false>>::is_linearizable(actions),
        (false, true) => WGLChecker::<Specified<false, true>>::is_linearizable(actions),
        (true, false) => WGLChecker::<Specified<true, false>>::is_linearizable(actions),
        (true, true) => WGLChecker::<Specified<true, true>>::is_linearizable(actions),
    }
}

/// Every order of the calls that came back, without a thought. Who did not
/// sleeps in the end.
fn by_every_order(counter: Counter, calls: &Calls, placed: &mut Vec<Vec<bool>>) -> bool {
    let mut all: Vec<(usize, usize)> = vec![];
    for (actor, list) in calls.iter().enumerate() {
        all.extend((0..list.len()).map(|call| (actor, call)));
    }
    all.retain(|(actor, call)| !placed[*actor][*call]);
    let back = |(actor, call): &(usize, usize)| calls[*actor][*call].back.as_ref();
    if all.iter().all(|which| back(which).is_none()) {
        return all
            .iter()
            .all(|(actor, call)| counter.clone().apply(own(&calls[*actor][*call])).is_none());
    }
    all.iter().filter_map(|which| Some((which, &back(which)?.0))).any(|(which, answer)| {
        let call = &calls[which.0][which.1];
        let first = all.iter().all(|other| back(other).is_none_or(|(_, back)| *back > call.called));
        let mut next = counter;
        if !first || next.apply(own(call)).as_ref() != Some(answer) {
            return false;
        }
        placed[which.0][which.1] = true;
        let explains = by_every_order(next, calls, placed);
        placed[which.0][which.1] = false;
        explains
    })
}

fn shape(random: &mut fastrand::Rng) -> (Shape, Counter) {
    let (semaphore, nonblocking) = (random.bool(), random.bool());
    (Shape { count: 0, semaphore, nonblocking }, Counter { count: 0, semaphore, nonblocking })
}

#[test]
fn agrees_with_another_checker_where_all_calls_come_back() {
    let mut random = fastrand::Rng::with_seed(7);
    let mut verdicts = [0; 2];
    for round in 0..60_000 {
        let (shape, counter) = shape(&mut random);
        let actors = random.usize(2..=4);
        let mut calls = simulate(&mut random, counter, actors, 5);
        // It knows no sleepers.
        for list in &mut calls {
            list.retain(|call| call.back.is_some());
        }
        calls.retain(|list| !list.is_empty());
        if calls.is_empty() {
            continue;
        }
        let spoilt = round % 2 == 1;
        for _ in 0..if spoilt { random.usize(1..4) } else { 0 } {
            spoil(&mut random, &mut calls, false);
        }
        let explained = ours(shape, &calls);
        let history = History::<Event> { shape, calls: calls.clone(), places: places(&calls) };
        assert_eq!(explained, theirs(shape, &calls), "round {round}:\n{history}");
        assert!(spoilt || explained, "a history that happened, round {round}:\n{history}");
        verdicts[usize::from(explained)] += 1;
    }
    println!("{} explained, {} not", verdicts[1], verdicts[0]);
    assert!(verdicts[0] > 5_000 && verdicts[1] > 30_000, "{verdicts:?}");
}

#[test]
fn agrees_with_every_order_tried_where_some_sleep() {
    let mut random = fastrand::Rng::with_seed(8);
    let mut verdicts = [[0; 2]; 2];
    for round in 0..60_000 {
        let (mut shape, mut counter) = shape(&mut random);
        (shape.nonblocking, counter.nonblocking) = (false, false);
        (shape.count, counter.count) = (1, 1);
        let actors = random.usize(2..=4);
        let mut calls = simulate(&mut random, counter, actors, 3);
        let spoilt = round % 2 == 1;
        for _ in 0..if spoilt { random.usize(1..3) } else { 0 } {
            spoil(&mut random, &mut calls, true);
        }
        let sleepers = places(&calls).contains(&Place::Asleep);
        let explained = ours(shape, &calls);
        let mut placed = calls.iter().map(|list| vec![false; list.len()]).collect();
        let tried = by_every_order(counter, &calls, &mut placed);
        let history = History::<Event> { shape, calls: calls.clone(), places: places(&calls) };
        assert_eq!(explained, tried, "round {round}:\n{history}");
        assert!(spoilt || explained, "a history that happened, round {round}:\n{history}");
        verdicts[usize::from(sleepers)][usize::from(explained)] += 1;
    }
    let [[_, _], [not, explained]] = verdicts;
    println!("with sleepers: {explained} explained, {not} not; without: {:?}", verdicts[0]);
    assert!(not > 2_000 && explained > 10_000, "{verdicts:?}");
}

/// Calls of pipes, and what they answer.
mod pipes {
    use ipcspec_models::pipe::{End, Op};
    use ipcspec_models::race::Call;
    use ipcspec_models::{Act, Answer};

    pub const PAGE: u32 = 4096;

    pub fn put(tag: u8, bytes: u32) -> Op {
        assert_eq!(ipcspec_cases::sys::memory::page_size(), PAGE as usize);
        Op::Write { end: End::Writing, bytes, tag }
    }

    pub fn get(bytes: u32) -> Op {
        Op::Read { end: End::Reading, bytes }
    }

    /// As the model has it that writes are made of.
    pub fn data(tag: u8, from: u32, to: u32) -> impl Iterator<Item = u8> {
        (from..to).map(move |at| tag ^ (at as u8).wrapping_mul(0x9d) ^ (at >> 8) as u8)
    }

    pub fn bytes(body: Vec<u8>) -> Answer {
        let count = body.len() as i64;
        Answer { body: body.into(), ..Answer::number(count) }
    }

    pub fn call(op: Op, called: u64, answer: Answer, back: u64) -> Call<Op> {
        Call { act: Act::Own(op), called, back: Some((answer, back)) }
    }
}

/// A write that went on in part, and slept again, before others got in
/// between: its answer in the end does not tell of that.
#[test]
fn a_write_may_go_on_in_part_more_than_once() {
    use ipcspec_models::pipe::{Kind, Pipe, Shape};
    use pipes::{PAGE, bytes, call, data, get, put};
    let history = |rest: u32| History::<Pipe> {
        shape: Shape { kind: Kind::Pipe, pages: 2, nonblocking: false },
        calls: vec![
            vec![call(put(7, PAGE + 1), 2, Answer::number(i64::from(PAGE) + 1), 10)],
            vec![
                call(put(0, 2 * PAGE + 1), 1, Answer::number(2 * i64::from(PAGE) + 1), 6),
                // The last byte of its own write, and what the other had room
                // for behind it.
                call(
                    get(16 * PAGE),
                    8,
                    bytes(data(0, 2 * PAGE, 2 * PAGE + 1).chain(data(7, 0, rest)).collect()),
                    11,
                ),
            ],
            vec![call(get(16 * PAGE), 4, bytes(data(0, 0, 2 * PAGE).collect()), 5)],
        ],
        places: vec![Place::Idle; 3],
    };
    let explained = |rest| explain(&Judge { canary: None }, &history(rest), MOST_STATES);
    assert_eq!(explained(PAGE), Explained::Yes);
    assert_eq!(explained(PAGE + 1), Explained::Yes);
    assert!(matches!(explained(PAGE - 1), Explained::No(_)));
}

/// Poll may find a part of a large write, and what is left of a read, where
/// it can be under way at the same time; and nothing of either where it
/// cannot. Nobody else reads in the middle of a read.
#[test]
fn a_poll_may_come_in_the_middle_of_a_call() {
    use ipcspec_models::pipe::{End, Kind, Op, Pipe, Shape};
    use pipes::{PAGE, bytes, call, data, get, put};
    const IN: i64 = libc::POLLIN as i64;
    const OUT: i64 = libc::POLLOUT as i64;
    let explained = |pages, nonblocking, calls: Vec<Vec<Call<Op>>>| {
        let places = calls
            .iter()
            .map(|list| {
                if list.iter().any(|call| call.back.is_none()) {
                    Place::Asleep
                } else {
                    Place::Idle
                }
            })
            .collect();
        // One description that is both ends: poll tells of both.
        let shape = Shape { kind: Kind::FifoBoth, pages, nonblocking };
        let history = History::<Pipe> { shape, calls, places };
        explain(&Judge { canary: None }, &history, MOST_STATES) == Explained::Yes
    };
    let poll =
        |called, told, back| call(Op::Poll(End::Reading), called, Answer::number(told), back);
    let (two, told) = (2 * PAGE, Answer::number(2 * i64::from(PAGE)));

    // Of what is empty before, and full afterwards.
    for bytes in [two, two + 1] {
        let write = |back| call(put(7, bytes), 1, told.clone(), back);
        assert!(explained(2, true, vec![vec![write(9)], vec![poll(2, IN | OUT, 3)]]));
        assert!(explained(2, true, vec![vec![write(9)], vec![poll(2, OUT, 3), poll(4, IN, 5)]]));
        assert!(!explained(2, true, vec![vec![write(2)], vec![poll(3, IN | OUT, 4)]]));
        assert!(!explained(2, true, vec![vec![write(9)], vec![poll(2, IN, 3), poll(4, OUT, 5)]]));
    }
    // One that sleeps for ever.
    let sleeps = Call { back: None, ..call(put(7, two + 1), 1, told.clone(), 9) };
    assert!(explained(2, false, vec![vec![sleeps], vec![poll(2, IN | OUT, 3), poll(4, IN, 5)]]));

    // Full before, and empty afterwards.
    let write = call(put(7, two), 1, told, 2);
    let read = |from, to, back| call(get(two), 3, bytes(data(7, from, to).collect()), back);
    let seen = |from, to, told, back| {
        explained(2, false, vec![vec![write.clone(), read(from, to, back)], vec![poll(4, told, 6)]])
    };
    assert!(seen(0, two, IN | OUT, 9));
    assert!(seen(0, two, OUT, 9));
    assert!(!seen(0, two, IN | OUT, 3));
    assert!(!seen(0, PAGE, IN | OUT, 9));
    // Two who read two pages each do not take turns.
    let write = call(put(7, 4 * PAGE), 1, Answer::number(4 * i64::from(PAGE)), 2);
    let read = |pages: [u32; 2]| {
        let page = |page: u32| data(7, page * PAGE, (page + 1) * PAGE);
        call(get(two), 3, bytes(pages.into_iter().flat_map(page).collect()), 9)
    };
    let both = |first, second| {
        explained(4, true, vec![vec![write.clone(), read(first)], vec![read(second)]])
    };
    assert!(both([0, 1], [2, 3]));
    assert!(!both([0, 2], [1, 3]));
}
