//! What a fault sees of signals: sets, actions, what comes with a signal, the
//! frame under a handler, and the call that a signal interrupts.

use std::fs;

use ipcspec_cases::sys::signals::Sig;
use libc::{c_int, c_long};
use nix::Result;
use nix::errno::Errno;
use nix::unistd::Pid;

use crate::call::signals_in_status;
use crate::tracer::{leave_no_core, poke, registers, set_mask, set_registers};
use crate::{Arrival, Call, Number};

/// The kernel's results for a call that a signal interrupts, before it is
/// decided how the call goes on.
pub mod restart {
    /// ERESTARTSYS: it begins anew, unless a handler without SA_RESTART runs.
    pub const UNLESS_CAUGHT: i64 = -512;
    /// ERESTARTNOINTR: it begins anew.
    pub const ALWAYS: i64 = -513;
    /// ERESTARTNOHAND: it begins anew, unless a handler runs.
    pub const WITHOUT_HANDLER: i64 = -514;
    /// ERESTART_RESTARTBLOCK: it goes on, unless a handler runs.
    pub const THE_REST: i64 = -516;
}

/// Offsets in a `siginfo_t`.
pub mod field {
    /// `si_code`.
    pub const CODE: usize = 8;
    /// `si_pid`.
    pub const PID: usize = 16;
    /// `si_uid`.
    pub const UID: usize = 20;
    /// `si_status`.
    pub const STATUS: usize = 24;
    /// `si_value`.
    pub const VALUE: usize = 24;
    /// `si_addr`.
    pub const ADDRESS: usize = 16;
}

/// Offsets in the `ucontext_t` that a handler's return brings back.
pub mod saved {
    /// The register r11.
    pub const R11: u64 = 64;
    /// The register rcx.
    pub const RCX: u64 = 152;
    /// The instruction pointer.
    pub const RIP: u64 = 168;
    /// The flags.
    pub const FLAGS: u64 = 176;
    /// Where the floating-point state is.
    pub const FLOATING: u64 = 224;
    /// The mask.
    pub const MASK: u64 = 296;
}

/// The signals that can be neither caught nor blocked.
pub const UNBLOCKABLE: u64 = bit(libc::SIGKILL) | bit(libc::SIGSTOP);

/// The set of this signal alone; of none, where there is no such signal.
pub const fn bit(signal: c_int) -> u64 {
    if signal >= 1 && signal <= 64 { 1 << (signal - 1) } else { 0 }
}

/// Whether it is a real-time signal.
pub fn is_real_time(signal: c_int) -> bool {
    signal >= 32
}

/// A process or thread, as its `/proc/PID/status` tells of it.
#[derive(Debug, Clone, Copy)]
pub struct Task(pub Pid);

impl Task {
    /// What is pending for the process as a whole.
    pub fn pending_for_all(self) -> u64 {
        signals_in_status(self.0, "ShdPnd")
    }

    /// What is pending for this thread alone.
    pub fn pending_for_itself(self) -> u64 {
        signals_in_status(self.0, "SigPnd")
    }

    /// What is pending for it in either way.
    pub fn pending(self) -> u64 {
        self.pending_for_all() | self.pending_for_itself()
    }

    /// What it blocks.
    pub fn mask(self) -> u64 {
        signals_in_status(self.0, "SigBlk")
    }

    /// What it has handlers for.
    pub fn caught(self) -> u64 {
        signals_in_status(self.0, "SigCgt")
    }

    /// What it was told to ignore.
    pub fn ignored(self) -> u64 {
        signals_in_status(self.0, "SigIgn")
    }

    /// A field of `/proc/PID/stat` behind the name: 0 is the state, 1 the
    /// parent, 2 the process group.
    fn stat(self, index: usize) -> Result<String> {
        let text =
            fs::read_to_string(format!("/proc/{}/stat", self.0)).map_err(|_| Errno::ESRCH)?;
        let (_, fields) = text.rsplit_once(") ").ok_or(Errno::ESRCH)?;
        fields.split(' ').nth(index).map(str::to_owned).ok_or(Errno::ESRCH)
    }

    /// Whether it has ended and not been waited for.
    pub fn is_zombie(self) -> bool {
        self.stat(0).is_ok_and(|state| state == "Z")
    }

    /// Its parent.
    pub fn parent(self) -> Result<Self> {
        self.stat(1)?.parse().map(|parent| Self(Pid::from_raw(parent))).map_err(|_| Errno::ESRCH)
    }

    /// Its process group.
    pub fn group(self) -> Result<i32> {
        self.stat(2)?.parse().map_err(|_| Errno::ESRCH)
    }

    /// Whether it may have no signal queued.
    pub fn may_queue_nothing(self) -> bool {
        let limits = fs::read_to_string(format!("/proc/{}/limits", self.0)).unwrap_or_default();
        let line = limits.lines().find_map(|line| line.strip_prefix("Max pending signals"));
        line.and_then(|line| line.split_whitespace().next()) == Some("0")
    }
}

/// What a process wants done about a signal, as the kernel has it.
#[derive(Debug, Clone, Copy)]
pub struct KernelAction {
    /// SIG_DFL, SIG_IGN or the address of a handler.
    pub handler: usize,
    /// `sa_flags`.
    pub flags: c_int,
    /// `sa_mask`.
    pub mask: u64,
}

impl KernelAction {
    /// Whether it is a handler.
    pub fn is_caught(&self) -> bool {
        ![libc::SIG_DFL, libc::SIG_IGN].contains(&self.handler)
    }

    /// Whether it has this flag.
    pub fn has(&self, flag: c_int) -> bool {
        self.flags & flag != 0
    }
}

impl Call {
    /// The thread that makes it.
    pub fn task(&self) -> Task {
        Task(self.thread())
    }

    /// The process in this argument.
    pub fn receiver(&self, index: usize) -> Task {
        Task(Pid::from_raw(self.argument(index) as i32))
    }

    /// The signal in this argument.
    pub fn signal(&self, index: usize) -> c_int {
        self.argument(index) as c_int
    }

    /// The action that `sigaction` is to set; else the fault has nothing to do.
    pub fn action(&self) -> Result<KernelAction> {
        let at = self.argument(1);
        Ok(KernelAction {
            handler: self.number_at::<u64>(at)? as usize,
            flags: self.number_at::<u64>(at + 8)? as c_int,
            mask: self.number_at(at + 24)?,
        })
    }

    /// Changes the action that `sigaction` is to set.
    pub fn change_action(&mut self, change: impl FnOnce(&mut KernelAction)) -> Result<()> {
        let (mut action, at) = (self.action()?, self.argument(1));
        change(&mut action);
        self.set_number_at(at, action.handler as u64)?;
        let flags = self.number_at::<u64>(at + 8)? & !0xffff_ffff | u64::from(action.flags as u32);
        self.set_number_at(at + 8, flags)?;
        self.set_number_at(at + 24, action.mask)
    }

    /// The set at the address in this argument; else the fault has nothing to
    /// do.
    pub fn signal_set(&self, index: usize) -> Result<u64> {
        self.number_at(self.argument(index))
    }

    /// Changes that.
    pub fn change_set(&mut self, index: usize, change: impl FnOnce(u64) -> u64) -> Result<()> {
        let set = self.signal_set(index)?;
        self.set_number_at(self.argument(index), change(set))
    }

    /// Changes the mask of the thread, before it goes on.
    pub fn put_mask(&self, mask: u64) -> Result<()> {
        set_mask(self.thread(), mask)
    }

    /// Of the siginfo_t that `sigtimedwait` has written, this field.
    pub fn told<N: Number>(&self, field: usize) -> Result<N> {
        self.number_at(self.argument(1) + field as u64)
    }

    /// Changes that.
    pub fn tell<N: Number>(&mut self, field: usize, number: N) -> Result<()> {
        self.set_number_at(self.argument(1) + field as u64, number)
    }

    /// Of the frame that `sigreturn` is about to bring back, this number.
    pub fn saved<N: Number>(&self, field: u64) -> Result<N> {
        self.number_at(registers(self.thread())?.rsp + field)
    }

    /// Changes that, for good.
    pub fn save<N: Number>(&self, field: u64, number: N) -> Result<()> {
        poke(self.thread(), registers(self.thread())?.rsp + field, &number.bytes())
    }

    /// Writes to the memory of the thread, for good.
    pub fn write<N: Number>(&self, address: u64, number: N) -> Result<()> {
        poke(self.thread(), address, &number.bytes())
    }

    /// A place for the arguments of another call, `below` the stack by so many
    /// bytes, with these bytes in it.
    pub fn place(&mut self, below: u64, bytes: &[u8]) -> Result<u64> {
        let address = (registers(self.thread())?.rsp - 1024 - below) & !15;
        self.set_memory(address, bytes)?;
        Ok(address)
    }
}

impl Arrival {
    /// The thread that gets it.
    pub fn task(&self) -> Task {
        Task(self.thread())
    }

    /// Whether it is a standard or real-time signal that a process sent.
    pub fn is_sent(&mut self) -> bool {
        self.info().si_code <= 0
    }

    /// Whether the kernel sent it, for a key or the like.
    pub fn is_of_the_kernel(&mut self) -> bool {
        self.info().si_code == libc::SI_KERNEL
    }

    /// Whether an instruction raised it.
    pub fn is_fault(&mut self) -> bool {
        let faults = [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGTRAP];
        let code = self.info().si_code;
        faults.contains(&self.signal()) && code > 0 && code != libc::SI_KERNEL
    }

    /// Whether this is the signal, and its action the default.
    pub fn is_by_default(&self, signal: impl Into<Sig>) -> bool {
        self.signal() == signal.into().0 && !self.is_caught()
    }

    /// The call that it interrupts, with its result so far.
    pub fn interrupted_call(&self) -> Option<(c_long, i64)> {
        let registers = registers(self.thread()).ok()?;
        let number = registers.orig_rax as c_long;
        (number >= 0).then_some((number, registers.rax as i64))
    }

    /// Gives the call that it interrupts another result.
    pub fn end_call(&self, result: i64) {
        if let Ok(mut registers) = registers(self.thread()) {
            registers.rax = result as u64;
            // A thread that was killed meanwhile has no result.
            let _ = set_registers(self.thread(), &registers);
        }
    }

    /// An argument of the call that it interrupts.
    pub fn argument(&self, index: usize) -> u64 {
        registers(self.thread()).map_or(0, |r| [r.rdi, r.rsi, r.rdx, r.r10, r.r8, r.r9][index])
    }

    /// Writes to the memory of the thread.
    pub fn write(&self, address: u64, bytes: &[u8]) -> Result<()> {
        poke(self.thread(), address, bytes)
    }

    /// Changes the mask under the handler: what it is put back to afterwards,
    /// and whether this signal comes now or waits.
    pub fn put_mask(&self, mask: u64) {
        let _ = set_mask(self.thread(), mask);
    }

    /// Lets the process leave no core.
    pub fn leave_no_core(&self) {
        let _ = leave_no_core(self.process());
    }
}
