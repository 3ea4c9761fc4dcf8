//! Real processes that do what they are told, and the one that directs them.
//!
//! The director hands an actor something to do through shared memory and
//! wakes it. It runs under SCHED_RR at a priority below that of the actors,
//! all on one processor: when it runs again, everybody has finished or
//! sleeps. Where that is refused, or does not keep its promise, it looks at
//! every actor until nobody moves.
#![allow(unsafe_code)]

use std::cell::UnsafeCell;
use std::io::{IoSlice, IoSliceMut};
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU32, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use ipcspec_cases::sys::calls::FUTEX;
use ipcspec_harness::{Evidence, Failure, Look, Observer, Verdict, show};
use nix::errno::Errno;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity, sched_yield};
use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, munmap};
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, recvmsg,
    sendmsg, socketpair,
};
use nix::unistd::Pid;

use crate::cover::Cover;
use crate::model::{ACTORS, DIRECTOR};
use crate::signal::Info;
use crate::world::{Act, End, Handled, Place, Sight, Sights};
use crate::{Actor, Answer, Cast, Model, Op, Props, signal};

/// Things to do that an actor takes at once.
pub const LIST: usize = 128;
/// Bytes of answers of one list.
const BODIES: usize = 1 << 20;
/// Most bytes of one answer.
const BODY: usize = BODIES / 2;
/// Handled signals of one step.
const HANDLED: usize = 64;
/// Numbers beside one answer.
const FACTS: usize = 16;
/// How long, and how often, the end of a race is waited for before the actors
/// are looked at.
const FINISHING: Duration = Duration::from_micros(100);
const LOOKS_AT_FINISH: usize = 2;
/// How long the director waits to be told that somebody rests before it looks.
const SHORT: Duration = Duration::from_micros(300);
/// How long nobody may come to rest.
const RESTLESS: Duration = Duration::from_secs(20);
/// How long an actor sleeps where it has no business to, until it counts as
/// asleep.
const STRANGE: Duration = Duration::from_millis(300);
/// How long the director leaves the processor to processes of no priority,
/// when somebody waits for what one of them holds.
const BREAK: Duration = Duration::from_micros(20);

/// How it is known that nobody moves any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheduling {
    /// The director is scheduled only when no actor can run.
    Priority,
    /// The director looks until nobody moves.
    Polling,
}

#[derive(Clone, Copy)]
#[repr(C)]
struct RawAnswer {
    result: i64,
    errno: i32,
    facts: u32,
    body_at: u32,
    body: u32,
    numbers: [i64; FACTS],
    /// When it was called and when it came back, by a clock that all actors
    /// share and that ticks at each of these moments.
    called: u64,
    back: u64,
}

/// The moment of a call that was not made yet.
const NEVER: u64 = 0;

const REST: u32 = 0;
const PLAY: u32 = 1;
const BEGIN: u32 = 2;
const FINISH: u32 = 3;
const ENTER: u32 = 4;

/// What one actor and the director share.
#[repr(C)]
struct Desk<O> {
    bell: AtomicU32,
    orders: AtomicU32,
    count: AtomicU32,
    done: AtomicU32,
    pid: AtomicI32,
    handled: AtomicU32,
    bodies: AtomicU32,
    /// Whether a race is on: then moments are noted.
    race: AtomicBool,
    numbers: UnsafeCell<[i64; 4]>,
    signals: UnsafeCell<[Info; HANDLED]>,
    acts: UnsafeCell<[MaybeUninit<Act<O>>; LIST]>,
    answers: UnsafeCell<[RawAnswer; LIST]>,
    body: UnsafeCell<[u8; BODIES]>,
}

#[repr(C)]
struct Board<O> {
    clock: AtomicU64,
    /// How many are not at the start of a race yet, and how many not at its
    /// end.
    to_start: AtomicU32,
    to_finish: AtomicU32,
    /// Whether the director waits to be told that an actor rests, and how
    /// often one told it.
    told: AtomicBool,
    rests: AtomicU32,
    desks: [Desk<O>; ACTORS],
}

/// The actors of one program after the other.
#[derive(Debug)]
pub struct Stage<M: Model> {
    board: NonNull<Board<M::Op>>,
    scheduling: Scheduling,
    /// The processors that were allowed before one was taken.
    allowed: Option<CpuSet>,
    actors: [Option<Player>; ACTORS],
    places: [Place; ACTORS],
    props: Option<Props>,
    /// Whether a program did more than operations of its mechanism.
    company: bool,
    /// Whether this step did: then somebody may be on the way out.
    thorough: bool,
    evidence: Evidence,
    /// Where the kernel notes what actors run of it, by actor.
    covers: Option<[Cover; ACTORS]>,
    /// A tracer looks at the actors: then a signal wakes a sleeper that it is
    /// ignored by, too.
    pub traced: bool,
    plays: PhantomData<M>,
}

#[derive(Debug)]
struct Player {
    pid: Pid,
    observer: Observer,
    /// The way for descriptors; none for who was forked by an actor.
    socket: Option<OwnedFd>,
}

/// Set by SIGCHLD: somebody ended, stopped or went on.
static CHANGED: AtomicBool = AtomicBool::new(false);

extern "C" fn on_child(_: libc::c_int) {
    CHANGED.store(true, SeqCst);
}

/// Where handlers of this process leave what they were told.
static NOTES: AtomicPtr<Notes> = AtomicPtr::new(std::ptr::null_mut());

/// The part of a desk and of the cast that a handler needs.
struct Notes {
    count: *const AtomicU32,
    list: *mut Info,
    pids: [*const AtomicI32; ACTORS],
}

impl Notes {
    /// The actor that has this process id by now, or [`Cast::NOBODY`].
    fn actor(&self, pid: i32) -> i64 {
        // SAFETY: on the board, which lives as long as this process.
        let pids = self.pids.map(|pid| unsafe { (*pid).load(SeqCst) });
        Cast { pids, me: 0 }.actor(pid)
    }
}

/// The actor that has this process id by now, though it may have been forked
/// since the caller was told who plays.
pub(crate) fn actor_by_now(pid: i32) -> i64 {
    let notes = NOTES.load(SeqCst);
    // SAFETY: set by this process to what lives as long as it.
    if notes.is_null() { Cast::NOBODY } else { unsafe { (*notes).actor(pid) } }
}

/// Notes a signal that a handler was told of. Async-signal-safe.
pub(crate) fn note_handled(info: Info) {
    let notes = NOTES.load(SeqCst);
    if notes.is_null() {
        return;
    }
    // SAFETY: set by this process to what lives as long as it.
    unsafe {
        let notes = &*notes;
        let place = (*notes.count).fetch_add(1, SeqCst) as usize;
        if place < HANDLED {
            notes.list.add(place).write(info);
        }
    }
}

fn futex(word: &AtomicU32, operation: i32, value: u32) {
    // SAFETY: the word is live; no timeout.
    unsafe {
        let none = std::ptr::null::<libc::timespec>();
        libc::syscall(libc::SYS_futex, word.as_ptr(), operation, value, none);
    }
}

/// Waits on a word for so long at most.
fn futex_for(word: &AtomicU32, value: u32, time: Duration) {
    let time =
        libc::timespec { tv_sec: 0, tv_nsec: libc::c_long::from(time.subsec_nanos() as i32) };
    // SAFETY: the word and the time are live.
    unsafe {
        libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAIT, value, &raw const time);
    }
}

/// Waits until all are here. Who finds no processor of its own for it is let
/// through by the others, which give theirs away now and then.
fn start_together(missing: &AtomicU32) {
    missing.fetch_sub(1, SeqCst);
    let mut looks = 0_u32;
    while missing.load(SeqCst) != 0 {
        looks += 1;
        if looks.is_multiple_of(1024) {
            let _ = sched_yield();
        }
        std::hint::spin_loop();
    }
}

impl<O: Op> Board<O> {
    fn cast(&self, me: Actor) -> Cast {
        Cast { pids: std::array::from_fn(|actor| self.desks[actor].pid.load(SeqCst)), me }
    }
}

impl<M: Model> Stage<M> {
    /// A stage without actors. `place` is the number of the processor to use,
    /// among those that this process may use; with none, actors run wherever
    /// they are put, and the director looks until they rest.
    pub fn new(place: Option<usize>) -> Verdict<Self> {
        let length = size_of::<Board<M::Op>>().try_into().expect("a board has a size");
        // SAFETY: a fresh mapping; all zeroes are a valid board.
        let board = unsafe {
            let flags = MapFlags::MAP_SHARED | MapFlags::MAP_NORESERVE;
            mmap_anonymous(None, length, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE, flags)?
        };
        // SAFETY: the handler stores one flag.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = on_child as *const () as usize;
            action.sa_flags = libc::SA_RESTART;
            Errno::result(libc::sigaction(libc::SIGCHLD, &raw const action, std::ptr::null_mut()))?;
            // Some kernels take the actors' group for orphaned when one ends
            // while another is stopped. It is the director's group too.
            libc::signal(libc::SIGHUP, libc::SIG_IGN);
        }
        let mut stage = Self {
            board: board.cast(),
            scheduling: Scheduling::Polling,
            allowed: None,
            actors: Default::default(),
            places: [Place::Absent; ACTORS],
            props: None,
            company: false,
            thorough: false,
            evidence: Evidence::Syscall,
            covers: None,
            traced: false,
            plays: PhantomData,
        };
        if let Some(place) = place
            && let Ok(allowed) = take_processor(place)
        {
            stage.allowed = Some(allowed);
            stage.scheduling = Scheduling::Priority;
            stage.fill(0)?;
            if !stage.keeps_promise() {
                stage.dismiss(0);
                stage.scheduling = Scheduling::Polling;
                stage.leave_processor();
            }
        }
        // By priority, an actor that rests is noticed without being told.
        stage.board().told.store(stage.scheduling == Scheduling::Polling, SeqCst);
        Ok(stage)
    }

    /// Lets this process run wherever it was allowed to.
    fn leave_processor(&mut self) {
        if let Some(allowed) = self.allowed.take() {
            let _ = leave_priority();
            let _ = sched_setaffinity(Pid::from_raw(0), &allowed);
        }
    }

    /// Has the kernel note which of its code the actors run, from the next
    /// program on. ENOENT where it has no KCOV, or no debugfs is mounted.
    pub fn cover(&mut self) -> nix::Result<()> {
        let covers: nix::Result<Vec<_>> = (0..ACTORS).map(|_| Cover::new()).collect();
        self.covers = covers?.try_into().ok();
        // Those who are there already do not have it.
        (0..ACTORS).for_each(|actor| self.dismiss(actor));
        Ok(())
    }

    /// Addresses of the kernel that an actor passed in this program, or the
    /// last one, in order.
    pub fn covered(&self, actor: Actor) -> impl Iterator<Item = u64> {
        self.covers.iter().flat_map(move |covers| covers[actor].addresses())
    }

    /// How it is known that nobody moves any more.
    pub fn scheduling(&self) -> Scheduling {
        self.scheduling
    }

    /// The weakest evidence of sleep that was used.
    pub fn evidence(&self) -> Evidence {
        self.evidence
    }

    fn board(&self) -> &'static Board<M::Op> {
        // SAFETY: mapped until the stage is dropped; no reference outlives a
        // call.
        unsafe { self.board.as_ref() }
    }

    /// Whether an actor that is woken has always answered when the director
    /// runs again.
    fn keeps_promise(&self) -> bool {
        let desk = &self.board().desks[0];
        (0..64).all(|_| {
            desk.count.store(0, SeqCst);
            desk.orders.store(PLAY, SeqCst);
            desk.ring();
            desk.orders.load(SeqCst) == REST
        })
    }

    /// Forks the actor of this place.
    fn fill(&mut self, actor: Actor) -> Verdict {
        let (ours, theirs) =
            socketpair(AddressFamily::Unix, SockType::Datagram, None, SockFlag::SOCK_CLOEXEC)?;
        let board = self.board();
        let desk = &board.desks[actor];
        desk.orders.store(ENTER, SeqCst);
        desk.handled.store(0, SeqCst);
        let priority = self.scheduling == Scheduling::Priority;
        let director = Pid::this();
        // SAFETY: this process has one thread.
        match unsafe { nix::unistd::fork() }? {
            nix::unistd::ForkResult::Child => {
                let _ = nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL);
                if Pid::parent() != director {
                    leave();
                }
                signal::sys::reset();
                default_child_action();
                if priority {
                    let _ = set_priority(ACTOR_PRIORITY);
                }
                drop(ours);
                let covers = self.covers.take();
                Playing::<M> { board, me: actor, socket: theirs, covers }.play()
            }
            nix::unistd::ForkResult::Parent { child } => {
                desk.pid.store(child.as_raw(), SeqCst);
                let observer = Observer::new(child);
                self.actors[actor] = Some(Player { pid: child, observer, socket: Some(ours) });
                self.until_rest(actor)
            }
        }
    }

    /// Makes an object of this shape and gives it to so many actors. It is
    /// absent where the kernel has none like it.
    pub fn begin(&mut self, shape: &M::Shape, actors: usize) -> Verdict {
        self.company = false;
        for actor in 0..ACTORS {
            match (actor < actors, self.actors[actor].is_some()) {
                (true, false) => self.fill(actor)?,
                // Its desk may be given to a forked actor.
                (false, true) => self.dismiss(actor),
                _ => {}
            }
        }
        self.covers.iter().flatten().for_each(Cover::clear);
        let props = M::make(shape).map_err(|errno| match errno {
            Errno::EINVAL | Errno::ENOSYS | Errno::EOPNOTSUPP => {
                Failure::absent(&shape.to_string(), show::errno(errno))
            }
            _ => Failure::broken(format!("{shape}: {}", show::errno(errno))),
        })?;
        let files: Vec<RawFd> = props.files.iter().map(AsRawFd::as_raw_fd).collect();
        for actor in 0..ACTORS {
            let desk = &self.board().desks[actor];
            desk.handled.store(0, SeqCst);
            if actor >= actors {
                self.places[actor] = Place::Absent;
                desk.pid.store(0, SeqCst);
                continue;
            }
            let player = self.actors[actor].as_ref().expect("filled above");
            desk.pid.store(player.pid.as_raw(), SeqCst);
            self.places[actor] = Place::Idle;
            if let (false, Some(socket)) = (files.is_empty(), &player.socket) {
                let rights = [ControlMessage::ScmRights(&files)];
                let byte = [IoSlice::new(&[0])];
                sendmsg::<()>(socket.as_raw_fd(), &byte, &rights, MsgFlags::empty(), None)?;
            }
            // SAFETY: the actor rests.
            unsafe { *desk.numbers.get() = props.numbers };
            desk.orders.store(BEGIN, SeqCst);
            desk.ring();
        }
        self.props = Some(Props { numbers: props.numbers, files: vec![] });
        drop(props);
        self.rest()
    }

    /// Has an actor do all of this, one after the other, and waits until
    /// nobody moves any more. How much of it has an answer: an actor that
    /// sleeps does not go on to what follows.
    pub fn run(&mut self, actor: Actor, acts: &[Act<M::Op>]) -> Verdict<usize> {
        self.thorough = acts.iter().any(|act| !matches!(act, Act::Own(_)));
        self.company |= self.thorough;
        let desk = &self.board().desks[actor];
        desk.give(acts, false);
        desk.ring();
        self.rest()?;
        let done = desk.done.load(SeqCst) as usize;
        // Whoever sleeps has no more to do when it wakes.
        desk.count.store((done + 1).min(acts.len()) as u32, SeqCst);
        Ok(done)
    }

    /// Does something with signals in the director's own name, and waits until
    /// nobody moves any more.
    pub fn direct(&mut self, act: &Act<M::Op>) -> Verdict {
        (self.company, self.thorough) = (true, true);
        if let Act::Signal(op) = act {
            op.perform(&mut (), &self.board().cast(DIRECTOR));
        }
        self.rest()
    }

    /// Has all actors do all of this at the same time, and waits until nobody
    /// moves any more. Only where actors run wherever they are put: on one
    /// processor, those at the start would keep the others from it.
    pub fn race(&mut self, lists: &[Vec<Act<M::Op>>]) -> Verdict {
        if self.scheduling == Scheduling::Priority {
            return Err(Failure::broken("a race under priorities on one processor"));
        }
        self.thorough = lists.iter().flatten().any(|act| !matches!(act, Act::Own(_)));
        self.company |= self.thorough;
        let board = self.board();
        board.clock.store(NEVER + 1, SeqCst);
        board.to_start.store(lists.len() as u32, SeqCst);
        board.to_finish.store(lists.len() as u32, SeqCst);
        for (actor, list) in lists.iter().enumerate() {
            board.desks[actor].give(list, true);
            board.desks[actor].ring();
        }
        // Leaves the processors to the actors. Whoever sleeps, or dies, does
        // not come to the finish.
        for _ in 0..LOOKS_AT_FINISH {
            let left = board.to_finish.load(SeqCst);
            if left == 0 {
                break;
            }
            futex_for(&board.to_finish, left, FINISHING);
        }
        self.rest()?;
        for (desk, list) in board.desks.iter().zip(lists) {
            // Whoever sleeps has no more to do when it wakes.
            let done = desk.done.load(SeqCst) as usize;
            desk.count.store((done + 1).min(list.len()) as u32, SeqCst);
        }
        Ok(())
    }

    /// The answers of an actor to what it was last told to do, in order, each
    /// with the moments of call and return.
    pub fn answers(&self, actor: Actor) -> impl Iterator<Item = (Answer, u64, u64)> + use<M> {
        let desk = &self.board().desks[actor];
        let done = desk.done.load(SeqCst) as usize;
        (0..done).map(|index| desk.answer(index))
    }

    /// When the call was made in which an actor sleeps, or ended.
    pub fn called(&self, actor: Actor) -> Option<u64> {
        let desk = &self.board().desks[actor];
        let done = desk.done.load(SeqCst);
        if done >= desk.count.load(SeqCst) {
            return None;
        }
        // SAFETY: the actor is behind the note of the moment.
        let called = unsafe { (*desk.answers.get()).get(done as usize)?.called };
        (called != NEVER).then_some(called)
    }

    /// Where an actor was when nobody moved any more.
    pub fn place(&self, actor: Actor) -> Place {
        self.places[actor]
    }

    /// What is to be seen of all actors: the answer is the last one of its
    /// list, and only there when it was given since the last look.
    pub fn sights(&mut self, fresh: &[bool; ACTORS]) -> Sights {
        let board = self.board();
        std::array::from_fn(|actor| {
            let desk = &board.desks[actor];
            if self.places[actor] == Place::Absent {
                return Sight::absent();
            }
            let count = (desk.handled.swap(0, SeqCst) as usize).min(HANDLED);
            // SAFETY: handlers of a resting actor do not run.
            let handled = Handled::from_slice(unsafe { &(&*desk.signals.get())[..count] });
            let done = desk.done.load(SeqCst) as usize;
            let back = fresh[actor] && self.places[actor] == Place::Idle && done > 0;
            let answer = back.then(|| desk.answer(done - 1).0);
            Sight { place: self.places[actor], answer, handled }
        })
    }

    /// Whether an actor waits for something to do.
    pub fn is_idle(&self, actor: Actor) -> bool {
        self.places[actor] == Place::Idle
    }

    /// Waits until nobody moves any more, and notes where everybody is.
    fn rest(&mut self) -> Verdict {
        match self.scheduling {
            Scheduling::Priority => self.rest_by_priority(),
            Scheduling::Polling => self.rest_by_polling(),
        }
    }

    fn rest_by_priority(&mut self) -> Verdict {
        let mut limit = None;
        loop {
            self.meet_children();
            // Who is killed while it is stopped may take its time to end.
            let stopped = self.thorough && self.places.contains(&Place::Stopped);
            if CHANGED.swap(false, SeqCst) || limit.is_some() || stopped {
                self.look_for_ends();
            }
            let mut restless = None;
            for actor in 0..ACTORS {
                let was = self.places[actor];
                if matches!(was, Place::Absent | Place::Stopped | Place::Ended(_)) {
                    continue;
                }
                let desk = &self.board().desks[actor];
                if desk.orders.load(SeqCst) == REST {
                    self.places[actor] = Place::Idle;
                    // Who was killed may be on the way out, and sleep there.
                    if self.thorough && !self.waits(actor) {
                        restless = Some(actor);
                    }
                    continue;
                }
                match self.sleeping(actor, limit) {
                    Sleeping::Soundly => self.places[actor] = Place::Asleep,
                    Sleeping::For(time) => {
                        std::thread::sleep(time);
                        restless = Some(actor);
                    }
                    Sleeping::No => restless = Some(actor),
                }
            }
            match restless {
                Some(actor) => self.restless(actor, &mut limit)?,
                // Somebody may have moved while the others were looked at.
                None if CHANGED.load(SeqCst) || self.meet_children() => {}
                None => return Ok(()),
            }
        }
    }

    fn rest_by_polling(&mut self) -> Verdict {
        let mut limit = None;
        let mut before = None;
        let mut same = 0;
        let mut since = Instant::now();
        let mut first = true;
        loop {
            self.meet_children();
            let rests = self.board().rests.load(SeqCst);
            if !self.thorough && self.all_rest() {
                // Who waits for the director is moved by nothing but signals.
                return Ok(());
            }
            if !self.thorough && std::mem::take(&mut first) {
                // A look costs more than what most operations take.
                futex_for(&self.board().rests, rests, SHORT);
                continue;
            }
            self.look_for_ends();
            let mut restless = None;
            let mut weakest = Evidence::Syscall;
            for actor in 0..ACTORS {
                if matches!(self.places[actor], Place::Absent | Place::Stopped | Place::Ended(_)) {
                    continue;
                }
                let desk = &self.board().desks[actor];
                let player = self.actors[actor].as_ref().expect("who is there was filled");
                if desk.orders.load(SeqCst) == REST {
                    self.places[actor] = Place::Idle;
                    match player.observer.look(FUTEX.numbers) {
                        Look::Asleep(evidence) => weakest = weakest.max(evidence),
                        Look::Elsewhere => restless = Some(actor),
                    }
                    continue;
                }
                match self.sleeping(actor, limit) {
                    Sleeping::Soundly => {
                        self.places[actor] = Place::Asleep;
                        weakest = weakest.max(self.evidence);
                    }
                    Sleeping::For(_) | Sleeping::No => restless = Some(actor),
                }
            }
            let now = restless.is_none().then(|| {
                let desks = &self.board().desks;
                let progress = |desk: &Desk<M::Op>| {
                    (desk.done.load(SeqCst), desk.handled.load(SeqCst), desk.orders.load(SeqCst))
                };
                (self.places, desks.each_ref().map(progress))
            });
            if now.is_some() && now == before {
                same += 1;
            } else {
                (before, same, since) = (now, 0, Instant::now());
            }
            let enough = match weakest {
                Evidence::Syscall => same >= 2,
                Evidence::State => same >= 5,
                Evidence::Wait => since.elapsed() > Duration::from_millis(20) && same > 2,
            };
            if before.is_some() && enough {
                self.evidence = self.evidence.max(weakest);
                return Ok(());
            }
            if let Some(actor) = restless {
                self.restless(actor, &mut limit)?;
            }
            let _ = sched_yield();
        }
    }

    fn restless(&self, actor: Actor, limit: &mut Option<Instant>) -> Verdict {
        let now = Instant::now();
        if self.scheduling == Scheduling::Priority {
            // What it waits for may be held by a process of no priority, which
            // does not run while this one does. More time for it, the longer
            // it takes.
            let waited = limit.map_or(BREAK, |limit| (now + RESTLESS).duration_since(limit));
            std::thread::sleep(waited.clamp(BREAK, 50 * BREAK));
        }
        if now > *limit.get_or_insert(now + RESTLESS) {
            let doing = self.actors[actor].as_ref().map(|player| player.observer.doing());
            return Err(Failure::broken(format!(
                "actor {actor} does not come to rest: {}",
                doing.unwrap_or_default()
            )));
        }
        Ok(())
    }

    /// Whether everybody who is there has done what it was told, and is told
    /// to be idle.
    fn all_rest(&mut self) -> bool {
        let desks = &self.board().desks;
        let rests = |actor: Actor| match self.places[actor] {
            Place::Absent => true,
            Place::Idle | Place::Asleep => desks[actor].orders.load(SeqCst) == REST,
            Place::Stopped | Place::Ended(_) => false,
        };
        if !(0..ACTORS).all(rests) {
            return false;
        }
        for place in &mut self.places {
            if *place == Place::Asleep {
                *place = Place::Idle;
            }
        }
        true
    }

    /// Whether an actor sleeps until the director wakes it.
    fn waits(&self, actor: Actor) -> bool {
        let player = self.actors[actor].as_ref().expect("who is there was filled");
        player.observer.look(FUTEX.numbers) != Look::Elsewhere
    }

    /// Whether an actor sleeps in the call that it was told to make.
    fn sleeping(&mut self, actor: Actor, limit: Option<Instant>) -> Sleeping {
        let desk = &self.board().desks[actor];
        let player = self.actors[actor].as_ref().expect("who is there was filled");
        let done = desk.done.load(SeqCst) as usize;
        if done >= LIST || desk.orders.load(SeqCst) != PLAY {
            return Sleeping::No;
        }
        // SAFETY: written by the director before the actor was woken.
        let act = unsafe { (&*desk.acts.get())[done].assume_init_ref() };
        let numbers = act.sleeps_in().numbers;
        let look = match self.scheduling {
            Scheduling::Priority if !self.thorough && !act.may_end() => {
                player.observer.glance(numbers)
            }
            _ => player.observer.look(numbers),
        };
        match look {
            Look::Asleep(evidence) => match act.timeout() {
                Some(time) => Sleeping::For(time / 8),
                None => {
                    self.evidence = self.evidence.max(evidence);
                    Sleeping::Soundly
                }
            },
            // A wrong kernel may have it sleep in another call than the one it
            // made; nothing else keeps it asleep so long.
            Look::Elsewhere => {
                let now = Instant::now();
                let long = limit.is_some_and(|limit| now + RESTLESS > limit + STRANGE);
                if long && player.observer.sleeps() {
                    self.evidence = self.evidence.max(Evidence::State);
                    return Sleeping::Soundly;
                }
                Sleeping::No
            }
        }
    }

    /// Takes note of actors that were forked by actors; whether there are any
    /// new ones.
    fn meet_children(&mut self) -> bool {
        let mut new = false;
        for actor in 0..ACTORS {
            let pid = self.board().desks[actor].pid.load(SeqCst);
            if self.places[actor] == Place::Absent && pid != 0 {
                let pid = Pid::from_raw(pid);
                let observer = Observer::new(pid);
                self.actors[actor] = Some(Player { pid, observer, socket: None });
                self.places[actor] = Place::Idle;
                new = true;
            }
        }
        new
    }

    /// Takes note of who ended, stopped or went on.
    fn look_for_ends(&mut self) {
        for actor in 0..ACTORS {
            let Some(player) = &self.actors[actor] else { continue };
            if matches!(self.places[actor], Place::Absent | Place::Ended(_)) {
                continue;
            }
            self.places[actor] = match state(player.pid) {
                Some(place) => place,
                // Some kernels do not make the director the parent of a process
                // that an actor forked, and tell it nothing of its end.
                None if player.socket.is_none() && player.observer.is_gone() => {
                    Place::Ended(End::Unknown)
                }
                None if self.places[actor] == Place::Stopped => Place::Idle,
                None => self.places[actor],
            };
        }
    }

    /// Ends the program: takes the object away, and sends home who cannot
    /// play in another one.
    pub fn end(&mut self) -> Verdict {
        let Some(props) = self.props.take() else { return Ok(()) };
        let fit = |actor: &Actor| self.places[*actor] == Place::Idle;
        for actor in (0..ACTORS).filter(fit) {
            let desk = &self.board().desks[actor];
            desk.count.store(u32::from(self.company), SeqCst);
            desk.orders.store(FINISH, SeqCst);
            desk.ring();
        }
        M::remove(&props);
        for actor in 0..ACTORS {
            let Some(player) = &self.actors[actor] else { continue };
            let reusable = player.socket.is_some() && self.places[actor] == Place::Idle;
            if !reusable && self.places[actor] != Place::Absent {
                self.dismiss(actor);
            }
        }
        self.rest_from_finish()
    }

    fn rest_from_finish(&mut self) -> Verdict {
        for actor in 0..ACTORS {
            if self.actors[actor].is_some() {
                self.until_rest(actor)?;
            }
        }
        Ok(())
    }

    /// Waits until an actor that does not sleep in anything has done what it
    /// was told; one that was killed meanwhile is dismissed.
    fn until_rest(&mut self, actor: Actor) -> Verdict {
        let limit = Instant::now() + RESTLESS;
        let mut tries = 0;
        loop {
            let rests = self.board().rests.load(SeqCst);
            if self.board().desks[actor].orders.load(SeqCst) == REST {
                break;
            }
            if self.actors[actor].as_ref().is_some_and(|player| state(player.pid).is_some()) {
                self.dismiss(actor);
                break;
            }
            if Instant::now() > limit {
                return Err(Failure::broken(format!("actor {actor} does not do as it is told")));
            }
            tries += 1;
            if self.scheduling == Scheduling::Polling {
                futex_for(&self.board().rests, rests, SHORT);
            } else if tries < 64 {
                // To those of its own priority, too.
                let _ = sched_yield();
            } else {
                std::thread::sleep(BREAK);
            }
        }
        Ok(())
    }

    /// Kills and reaps one actor.
    fn dismiss(&mut self, actor: Actor) {
        if let Some(player) = self.actors[actor].take() {
            let _ = signal::sys::kill(player.pid, libc::SIGKILL);
            while nix::sys::wait::waitpid(player.pid, None) == Err(Errno::EINTR) {}
        }
        self.board().desks[actor].pid.store(0, SeqCst);
        self.places[actor] = Place::Absent;
    }
}

impl<M: Model> Drop for Stage<M> {
    fn drop(&mut self) {
        let _ = self.end();
        for actor in 0..ACTORS {
            self.dismiss(actor);
        }
        self.leave_processor();
        // SAFETY: nobody else refers to it any more.
        let _ = unsafe { munmap(self.board.cast(), size_of::<Board<M::Op>>()) };
    }
}

enum Sleeping {
    No,
    Soundly,
    /// In a call that ends by itself after a time like this.
    For(Duration),
}

/// Whether a child has ended or is stopped. It stays to be reaped.
fn state(pid: Pid) -> Option<Place> {
    let flags = libc::WEXITED | libc::WSTOPPED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: one siginfo_t is written.
    unsafe {
        let mut info: libc::siginfo_t = std::mem::zeroed();
        let got =
            libc::waitid(libc::P_PID, pid.as_raw() as u32, &raw mut info, flags | libc::__WALL);
        if got != 0 || info.si_pid() == 0 {
            return None;
        }
        // As a status of waitpid would tell of a stop; no signal has that
        // number.
        let stopped = info.si_status() == 0x7f && info.si_code != libc::CLD_EXITED;
        Some(match info.si_code {
            _ if stopped => Place::Stopped,
            libc::CLD_EXITED => Place::Ended(End::Exited(info.si_status())),
            libc::CLD_KILLED | libc::CLD_DUMPED => Place::Ended(End::Killed(info.si_status())),
            _ => Place::Stopped,
        })
    }
}

impl<O: Op> Desk<O> {
    fn ring(&self) {
        self.bell.fetch_add(1, SeqCst);
        futex(&self.bell, libc::FUTEX_WAKE, 1);
    }

    /// Puts a list on the desk of a resting actor.
    fn give(&self, acts: &[Act<O>], race: bool) {
        assert!(acts.len() <= LIST, "a list of {} is too long", acts.len());
        // SAFETY: the actor rests.
        unsafe {
            let list = &mut *self.acts.get();
            for (place, act) in list.iter_mut().zip(acts) {
                place.write(*act);
            }
            if race {
                for answer in &mut (&mut *self.answers.get())[..acts.len()] {
                    answer.called = NEVER;
                }
            }
        }
        self.count.store(acts.len() as u32, SeqCst);
        self.done.store(0, SeqCst);
        self.bodies.store(0, SeqCst);
        self.race.store(race, SeqCst);
        self.orders.store(PLAY, SeqCst);
    }

    fn answer(&self, index: usize) -> (Answer, u64, u64) {
        // SAFETY: this answer was given, and the next list has not been.
        let (raw, bodies) = unsafe { (&(&*self.answers.get())[index], &*self.body.get()) };
        let body = &bodies[raw.body_at as usize..][..raw.body as usize];
        let answer = Answer {
            result: if raw.errno == 0 { Ok(raw.result) } else { Err(raw.errno) },
            facts: crate::answer::Facts::from_slice(&raw.numbers[..raw.facts as usize]),
            body: crate::answer::Body::from_slice(body),
        };
        (answer, raw.called, raw.back)
    }
}

/// One actor, in its own process.
struct Playing<M: Model> {
    board: &'static Board<M::Op>,
    me: Actor,
    socket: OwnedFd,
    covers: Option<[Cover; ACTORS]>,
}

impl<M: Model> Playing<M> {
    fn desk(&self) -> &'static Desk<M::Op> {
        &self.board.desks[self.me]
    }

    /// Has handlers leave their notes on this actor's desk, and the kernel its
    /// own.
    fn take_notes(&self) {
        if let Some(covers) = &self.covers {
            let _ = covers[self.me].begin();
        }
        let desk = self.desk();
        let notes = Box::new(Notes {
            count: &raw const desk.handled,
            list: desk.signals.get().cast(),
            pids: std::array::from_fn(|actor| &raw const self.board.desks[actor].pid),
        });
        NOTES.store(Box::into_raw(notes), SeqCst);
    }

    fn play(mut self) -> ! {
        self.take_notes();
        let mut hands: Option<M::Hands> = None;
        let mut heard = self.desk().bell.load(SeqCst);
        self.desk().orders.store(REST, SeqCst);
        loop {
            let desk = self.desk();
            while desk.bell.load(SeqCst) == heard {
                futex(&desk.bell, libc::FUTEX_WAIT, heard);
            }
            heard = desk.bell.load(SeqCst);
            match desk.orders.load(SeqCst) {
                BEGIN => {
                    // SAFETY: the director wrote it before the bell.
                    let numbers = unsafe { *desk.numbers.get() };
                    hands = Some(M::take(Props { numbers, files: self.receive() }));
                }
                FINISH => {
                    hands = None;
                    if desk.count.load(SeqCst) != 0 {
                        signal::sys::reset();
                    }
                }
                PLAY => {
                    if let Some((place, bell)) = self.play_list(hands.as_mut()) {
                        (self.me, heard) = (place, bell);
                        self.take_notes();
                        continue;
                    }
                }
                _ => {}
            }
            desk.orders.store(REST, SeqCst);
            if self.board.told.load(SeqCst) && !desk.race.load(SeqCst) {
                self.board.rests.fetch_add(1, SeqCst);
                futex(&self.board.rests, libc::FUTEX_WAKE, 1);
            }
        }
    }

    /// Does what is on the desk. In a forked actor, the place that it has, and
    /// the bell as it was before anybody could ring it.
    fn play_list(&self, mut hands: Option<&mut M::Hands>) -> Option<(Actor, u32)> {
        let desk = self.desk();
        let race = desk.race.load(SeqCst);
        if race {
            start_together(&self.board.to_start);
        }
        let cast = self.board.cast(self.me);
        let mut done = 0;
        while done < desk.count.load(SeqCst) {
            // SAFETY: written before the bell; at most LIST.
            let act = unsafe { (&*desk.acts.get())[done as usize].assume_init_ref() };
            // SAFETY: this actor alone writes answers until it has answered.
            let raw = unsafe { &mut (&mut *desk.answers.get())[done as usize] };
            if race {
                raw.called = self.board.clock.fetch_add(1, SeqCst);
            }
            let answer = match act {
                Act::Own(op) => op.perform(hands.as_deref_mut()?, &cast),
                Act::Signal(op) => op.perform(&mut (), &cast),
                Act::Exit => leave(),
                Act::Fork => match fork_actor(self.board) {
                    Ok(Forked::Child(place, bell)) => return Some((place, bell)),
                    Ok(Forked::Parent(place)) => Answer::number(place),
                    Err(errno) => Answer::error(errno),
                },
            };
            if race {
                raw.back = self.board.clock.fetch_add(1, SeqCst);
            }
            (raw.result, raw.errno) = answer.result.map_or_else(|e| (0, e), |n| (n, 0));
            raw.facts = answer.facts.len().min(FACTS) as u32;
            raw.numbers[..raw.facts as usize].copy_from_slice(&answer.facts[..raw.facts as usize]);
            raw.body_at = desk.bodies.load(SeqCst);
            raw.body = answer.body.len().min(BODY) as u32;
            if raw.body > 0 {
                let used = raw.body_at as usize;
                let end = used + raw.body as usize;
                // SAFETY: as above.
                let bodies = unsafe { &mut *desk.body.get() };
                bodies[used..end].copy_from_slice(&answer.body[..raw.body as usize]);
                desk.bodies.store(end as u32, SeqCst);
            }
            done += 1;
            desk.done.store(done, SeqCst);
            if desk.bodies.load(SeqCst) as usize > BODIES - BODY {
                break;
            }
        }
        if race && self.board.to_finish.fetch_sub(1, SeqCst) == 1 {
            futex(&self.board.to_finish, libc::FUTEX_WAKE, 1);
        }
        None
    }

    /// The descriptors that the director sent along.
    fn receive(&self) -> Vec<OwnedFd> {
        let mut byte = [0];
        let mut space = nix::cmsg_space!([RawFd; 8]);
        let mut files = vec![];
        let mut parts = [IoSliceMut::new(&mut byte)];
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
        let got = recvmsg::<()>(self.socket.as_raw_fd(), &mut parts, Some(&mut space), flags);
        if let Ok(messages) = got.as_ref().map(nix::sys::socket::RecvMsg::cmsgs)
            && let Ok(messages) = messages
        {
            for message in messages {
                if let ControlMessageOwned::ScmRights(list) = message {
                    // SAFETY: fresh descriptors that nothing else owns.
                    files.extend(list.iter().map(|fd| unsafe { OwnedFd::from_raw_fd(*fd) }));
                }
            }
        }
        files
    }
}

enum Forked {
    Parent(i64),
    Child(Actor, u32),
}

/// Forks the calling actor; the child is a child of the director too.
fn fork_actor<O: Op>(board: &Board<O>) -> nix::Result<Forked> {
    let free = board.desks.iter().position(|desk| desk.pid.load(SeqCst) == 0);
    let Some(place) = free else { return Ok(Forked::Parent(Cast::NOBODY)) };
    let bell = board.desks[place].bell.load(SeqCst);
    let flags = libc::CLONE_PARENT | libc::SIGCHLD;
    // SAFETY: as fork, of a process of one thread.
    match Errno::result(unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) })? {
        0 => {
            let _ = nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL);
            Ok(Forked::Child(place, bell))
        }
        child => {
            board.desks[place].orders.store(REST, SeqCst);
            board.desks[place].handled.store(0, SeqCst);
            board.desks[place].pid.store(child as i32, SeqCst);
            Ok(Forked::Parent(place as i64))
        }
    }
}

fn leave() -> ! {
    // SAFETY: ends this process at once.
    unsafe { libc::_exit(0) }
}

fn default_child_action() {
    // SAFETY: the default action.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
}

const DIRECTOR_PRIORITY: i32 = 10;
const ACTOR_PRIORITY: i32 = 20;

fn set_priority(priority: i32) -> nix::Result<()> {
    // SAFETY: a complete structure of plain data.
    unsafe {
        let mut parameters: libc::sched_param = std::mem::zeroed();
        parameters.sched_priority = priority;
        // Not SCHED_FIFO: two of one priority on one processor can wait in the
        // kernel for each other, and neither would ever give way.
        Errno::result(libc::sched_setscheduler(0, libc::SCHED_RR, &raw const parameters))
    }
    .map(drop)
}

fn leave_priority() -> nix::Result<()> {
    // SAFETY: as above.
    unsafe {
        let parameters: libc::sched_param = std::mem::zeroed();
        Errno::result(libc::sched_setscheduler(0, libc::SCHED_OTHER, &raw const parameters))
    }
    .map(drop)
}

/// Puts this process, and all that it forks, on one processor, and below the
/// priority of actors. The processors that were allowed before.
fn take_processor(place: usize) -> nix::Result<CpuSet> {
    let allowed = sched_getaffinity(Pid::from_raw(0))?;
    let processors: Vec<usize> =
        (0..CpuSet::count()).filter(|cpu| allowed.is_set(*cpu).unwrap_or(false)).collect();
    let mut one = CpuSet::new();
    one.set(*processors.get(place % processors.len().max(1)).ok_or(Errno::EINVAL)?)?;
    set_priority(DIRECTOR_PRIORITY)?;
    sched_setaffinity(Pid::from_raw(0), &one)?;
    Ok(allowed)
}
