//! Memory that a case's whole process tree shares with its keeper: where
//! verdicts are written, processes meet, and clean-up is remembered.
//!
//! It is mapped once per worker and inherited over fork, so it costs a case
//! no descriptor and survives a case that closes all of them.
#![allow(unsafe_code)]

use std::num::NonZeroUsize;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, AtomicUsize, Ordering::SeqCst};

use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous};

use crate::{Failure, Verdict};

/// Bytes of a serialized failure.
const TEXT: usize = 8192;
/// Processes of one case that can be under way at once, the first included.
const SLOTS: usize = 128;
/// Shared words of one case.
const WORDS: usize = 1024;
/// Clean-up actions of one case.
const CLEANUPS: usize = 1024;
/// Marks that a companion may leave: numbers below this.
const MARKS: usize = 1024;

/// Where one process of a case leaves its verdict.
#[repr(C)]
pub(crate) struct Slot {
    state: AtomicU32,
    length: AtomicU32,
    text: std::cell::UnsafeCell<[u8; TEXT]>,
}

const FREE: u32 = 0;
const RUNNING: u32 = 1;
const HELD: u32 = 2;
const FAILED: u32 = 3;

#[repr(C)]
struct Cleanup {
    action: AtomicUsize,
    argument: AtomicI64,
}

#[repr(C)]
pub(crate) struct Arena {
    words_used: AtomicU32,
    slots_used: AtomicU32,
    cleanups_used: AtomicU32,
    evidence: AtomicU32,
    factor_percent: AtomicU32,
    deadline_millis: AtomicU64,
    seed: AtomicU64,
    marks: [AtomicU64; MARKS / 64],
    words: [AtomicU64; WORDS],
    cleanups: [Cleanup; CLEANUPS],
    slots: [Slot; SLOTS],
}

// SAFETY: every field is atomic but `text`, which only the process that owns
// the slot writes, before it releases `state`.
unsafe impl Sync for Arena {}

static ARENA: OnceLock<&'static Arena> = OnceLock::new();

/// Maps the arena of this worker. Call once, before the first fork.
pub(crate) fn map() -> nix::Result<&'static Arena> {
    let length = NonZeroUsize::new(size_of::<Arena>()).expect("an arena has a size");
    // SAFETY: a fresh anonymous mapping, never unmapped; all-zero bytes are a
    // valid Arena.
    let arena = unsafe {
        let pages = mmap_anonymous(
            None,
            length,
            ProtFlags::PROT_READ | ProtFlags::PROT_WRITE,
            MapFlags::MAP_SHARED,
        )?;
        pages.cast::<Arena>().as_ref()
    };
    Ok(ARENA.get_or_init(|| arena))
}

/// The arena of this worker.
///
/// # Panics
/// Outside a worker.
pub(crate) fn arena() -> &'static Arena {
    ARENA.get().expect("cases run in a keeper's process tree")
}

/// The arena of this worker, if this is one.
pub(crate) fn arena_if_any() -> Option<&'static Arena> {
    ARENA.get().copied()
}

impl Arena {
    /// Makes ready for the next case: no words, no slots, no evidence, no
    /// clean-up.
    pub(crate) fn reset(&self, deadline_millis: u64, factor: f64, seed: u64) {
        for word in &self.words[..(self.words_used.swap(0, SeqCst) as usize).min(WORDS)] {
            word.store(0, SeqCst);
        }
        for slot in &self.slots[..(self.slots_used.swap(0, SeqCst) as usize).min(SLOTS)] {
            slot.free();
        }
        for bits in &self.marks {
            bits.store(0, SeqCst);
        }
        self.cleanups_used.store(0, SeqCst);
        self.evidence.store(0, SeqCst);
        self.deadline_millis.store(deadline_millis, SeqCst);
        self.factor_percent.store((factor * 100.0) as u32, SeqCst);
        self.seed.store(seed, SeqCst);
    }

    pub(crate) fn deadline_millis(&self) -> u64 {
        self.deadline_millis.load(SeqCst)
    }

    pub(crate) fn factor(&self) -> f64 {
        f64::from(self.factor_percent.load(SeqCst)) / 100.0
    }

    pub(crate) fn seed(&self) -> u64 {
        self.seed.load(SeqCst)
    }

    /// A word that no other part of the case uses, at 0.
    pub(crate) fn word(&self) -> Verdict<&AtomicU64> {
        let index = self.words_used.fetch_add(1, SeqCst) as usize;
        self.words
            .get(index)
            .ok_or_else(|| Failure::broken(format!("more than {WORDS} shared words in one case")))
    }

    /// A slot for one more process.
    pub(crate) fn slot(&self) -> Verdict<&Slot> {
        let free = |slot: &Slot| slot.state.compare_exchange(FREE, RUNNING, SeqCst, SeqCst).is_ok();
        self.slots
            .iter()
            .enumerate()
            .find(|(_, slot)| free(slot))
            .map(|(index, slot)| {
                self.slots_used.fetch_max(index as u32 + 1, SeqCst);
                slot
            })
            .ok_or_else(|| Failure::broken(format!("more than {SLOTS} processes in one case")))
    }

    /// Leaves the mark of this number. Numbers from 1024 on leave none.
    pub(crate) fn mark(&self, number: usize) {
        if let Some(bits) = self.marks.get(number / 64) {
            bits.fetch_or(1 << (number % 64), SeqCst);
        }
    }

    /// The numbers whose marks were left, in order.
    pub(crate) fn marks(&self) -> Vec<usize> {
        let is_marked = |n: &usize| self.marks[n / 64].load(SeqCst) & 1 << (n % 64) != 0;
        (0..MARKS).filter(is_marked).collect()
    }

    /// What a process of the case found, if one found that something failed.
    pub(crate) fn failure(&self) -> Option<Failure> {
        let used = (self.slots_used.load(SeqCst) as usize).min(SLOTS);
        self.slots[..used].iter().find_map(|slot| slot.taken()?.err())
    }

    pub(crate) fn weaken_evidence(&self, level: u32) {
        self.evidence.fetch_max(level, SeqCst);
    }

    pub(crate) fn evidence(&self) -> u32 {
        self.evidence.load(SeqCst)
    }

    pub(crate) fn remember(&self, action: fn(i64), argument: i64) -> Verdict {
        let index = self.cleanups_used.fetch_add(1, SeqCst) as usize;
        let entry = self
            .cleanups
            .get(index)
            .ok_or_else(|| Failure::broken(format!("more than {CLEANUPS} objects in one case")))?;
        entry.argument.store(argument, SeqCst);
        entry.action.store(action as usize, SeqCst);
        Ok(())
    }

    /// Runs and forgets what was remembered, the latest first.
    pub(crate) fn clean_up(&self) {
        let used = (self.cleanups_used.swap(0, SeqCst) as usize).min(CLEANUPS);
        for entry in self.cleanups[..used].iter().rev() {
            let action = entry.action.swap(0, SeqCst);
            if action != 0 {
                // SAFETY: `remember` stored a `fn(i64)`, and every process of
                // a worker is a fork of one image, so the address is good here.
                let action = unsafe { std::mem::transmute::<usize, fn(i64)>(action) };
                action(entry.argument.load(SeqCst));
            }
        }
    }
}

impl Slot {
    /// Leaves the verdict of this process.
    pub(crate) fn leave(&self, verdict: &Verdict) {
        match verdict {
            Ok(()) => self.state.store(HELD, SeqCst),
            Err(failure) => {
                let mut failure = failure.clone();
                let mut text = serde_json::to_vec(&failure).unwrap_or_default();
                if text.len() > TEXT {
                    let details = failure.details_mut();
                    for field in [&mut details.observed, &mut details.expected, &mut details.call] {
                        *field = crate::show::shorten(field, 300);
                    }
                    details.missing.truncate(8);
                    text = serde_json::to_vec(&failure).unwrap_or_default();
                    text.truncate(TEXT);
                }
                // SAFETY: this process owns the slot; readers wait for `state`.
                unsafe { (&mut *self.text.get())[..text.len()].copy_from_slice(&text) };
                self.length.store(text.len() as u32, SeqCst);
                self.state.store(FAILED, SeqCst);
            }
        }
    }

    /// The verdict that was left, if one was.
    pub(crate) fn taken(&self) -> Option<Verdict> {
        match self.state.load(SeqCst) {
            HELD => Some(Ok(())),
            FAILED => {
                let length = (self.length.load(SeqCst) as usize).min(TEXT);
                // SAFETY: the writer released `state` after its last write.
                let text = unsafe { &(&*self.text.get())[..length] };
                Some(Err(serde_json::from_slice(text).unwrap_or_else(|error| {
                    Failure::broken(format!("unreadable verdict: {error}"))
                })))
            }
            _ => None,
        }
    }

    /// Gives the slot back; its process is gone.
    pub(crate) fn free(&self) {
        self.state.store(FREE, SeqCst);
    }
}

/// Remembers how to remove an object that would outlive the case: `action`
/// is called with `argument` when the case is over, however it ended, unless
/// the isolation already takes the object away. It must do no harm when the
/// object is gone.
pub fn remember(action: fn(i64), argument: i64) -> Verdict {
    arena().remember(action, argument)
}

/// The seed of this run, for cases that draw random numbers.
pub fn seed() -> u64 {
    arena().seed()
}
