//! What raises signals by itself: wrong accesses to memory and machine
//! instructions; and the registers that a handler must leave alone.

use std::ptr::null_mut;
use std::sync::atomic::AtomicUsize;
#[cfg(target_arch = "x86_64")]
use std::sync::atomic::Ordering::SeqCst;

use libc::c_void;
use nix::Result;
use nix::errno::Errno;
use nix::sys::mman::ProtFlags;

use crate::sys::answer;

/// Pages of memory that are there to be touched wrongly.
#[derive(Debug)]
pub struct Pages {
    base: *mut c_void,
    bytes: usize,
}

impl Pages {
    /// One private page with this protection.
    pub fn new(protection: ProtFlags) -> Result<Self> {
        let bytes = page_size();
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: the kernel chooses the place.
        let base = unsafe { libc::mmap(null_mut(), bytes, protection.bits(), flags, -1, 0) };
        if base == libc::MAP_FAILED { Err(Errno::last()) } else { Ok(Self { base, bytes }) }
    }

    /// One shared page of `file`, which may end before it.
    pub fn of_file(file: &std::fs::File) -> Result<Self> {
        use std::os::fd::AsRawFd;
        let bytes = page_size();
        let (protection, flags) = (libc::PROT_READ, libc::MAP_SHARED);
        // SAFETY: the kernel chooses the place.
        let base = unsafe { libc::mmap(null_mut(), bytes, protection, flags, file.as_raw_fd(), 0) };
        if base == libc::MAP_FAILED { Err(Errno::last()) } else { Ok(Self { base, bytes }) }
    }

    /// Its first address.
    pub fn address(&self) -> usize {
        self.base as usize
    }

    /// `munmap`: it keeps the address, with nothing there.
    pub fn unmap(&self) -> Result<()> {
        // SAFETY: nothing of Rust lives there.
        answer(unsafe { libc::munmap(self.base, self.bytes) }).map(drop)
    }

    /// Maps a fresh page of zeros there again. Async-signal-safe.
    pub fn map_again(base: usize) -> Result<()> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: the page was this case's own.
        let got = unsafe { libc::mmap(base as *mut c_void, page_size(), protection, flags, -1, 0) };
        if got == libc::MAP_FAILED { Err(Errno::last()) } else { Ok(()) }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        let _ = self.unmap();
    }
}

fn page_size() -> usize {
    // SAFETY: takes no pointer.
    unsafe { libc::sysconf(libc::_SC_PAGESIZE) as usize }
}

/// Reads a byte, wherever that is. The case has a handler for what comes of it.
pub fn load(address: usize) -> u8 {
    // SAFETY: a fault is what the case is about.
    unsafe { (address as *const u8).read_volatile() }
}

/// Writes a byte, wherever that is. The case has a handler for what comes of it.
pub fn store(address: usize, byte: u8) {
    // SAFETY: a fault is what the case is about.
    unsafe { (address as *mut u8).write_volatile(byte) }
}

/// Divides by zero. `at` gets the address of the instruction before it runs.
#[cfg(target_arch = "x86_64")]
pub fn divide_by_zero(at: &AtomicUsize) {
    // SAFETY: the registers are told; the fault is what the case is about.
    unsafe {
        std::arch::asm!(
            "lea {place}, [rip + 2f]",
            "mov [{at}], {place}",
            "2: div {zero:e}",
            at = in(reg) at.as_ptr(),
            place = out(reg) _,
            zero = in(reg) 0,
            inout("eax") 1 => _,
            inout("edx") 0 => _,
        );
    }
}

/// Divides by zero. `at` gets the address of the instruction before it runs.
#[cfg(target_arch = "x86")]
pub fn divide_by_zero(at: &AtomicUsize) {
    // SAFETY: as above; the call is popped at once.
    unsafe {
        std::arch::asm!(
            "call 3f",
            "3: pop {place}",
            "leal 2f-3b({place}), {place}",
            "movl {place}, ({at})",
            "2: divl {zero}",
            at = in(reg) at.as_ptr(),
            place = out(reg) _,
            zero = in(reg) 0,
            inout("eax") 1 => _,
            inout("edx") 0 => _,
            options(att_syntax),
        );
    }
}

/// An instruction that does not exist.
#[cfg(any(target_arch = "x86_64", target_arch = "x86"))]
pub fn illegal_instruction() {
    // SAFETY: touches nothing.
    unsafe { std::arch::asm!("ud2") };
}

/// Handlers that have to interrupt [`registers_across_handlers`].
#[cfg(target_arch = "x86_64")]
const HANDLERS: u32 = 10;
#[cfg(target_arch = "x86_64")]
static ROUNDS: AtomicUsize = AtomicUsize::new(0);
#[cfg(target_arch = "x86_64")]
static INSIDE: AtomicUsize = AtomicUsize::new(0);

/// The registers of an x86-64 processor, as [`registers_across_handlers`] saw them.
#[derive(Debug, Clone, PartialEq)]
pub struct Registers {
    /// rax, rcx, rdx, rsi, rdi, r8 to r15, rsp (against its value before).
    pub general: [u64; 14],
    /// xmm0 to xmm15, the low half of each.
    pub vector: [u64; 16],
    /// rbp.
    pub base: u64,
    /// The control and status register of SSE.
    pub mxcsr: u32,
    /// Whether the direction flag was set.
    pub direction: bool,
    /// The double at the top of the x87 stack.
    pub top: f64,
}

/// Loads known values into the registers, goes round in user mode until
/// several handlers that call [`scramble`] have interrupted it there, and tells
/// what was loaded and what the registers hold then.
#[cfg(target_arch = "x86_64")]
pub fn registers_across_handlers() -> (Registers, Registers) {
    use std::arch::asm;
    #[repr(C, align(16))]
    struct Frame {
        general: [u64; 14],
        vector: [u64; 16],
        mxcsr: u32,
        saved_mxcsr: u32,
        flags: u64,
        top: f64,
        base: u64,
    }
    const BASE: u64 = 0xbbbb_bbbb_bbbb_bbbb;
    let general = std::array::from_fn(|n| 0x0101_0101_0101_0101 * (n as u64 + 1));
    let vector = std::array::from_fn(|n| 0x1111_1111_1111_1111 ^ (n as u64) << 56);
    let mut frame = Frame {
        general,
        vector,
        mxcsr: 0x7f80,
        saved_mxcsr: 0,
        flags: 0,
        top: 1.0 / 3.0,
        base: BASE,
    };
    ROUNDS.store(0, SeqCst);
    INSIDE.store(0, SeqCst);
    // SAFETY: the frame is as laid out; all that is changed is told or put
    // back. rbx holds the frame that the registers are compared with.
    unsafe {
        asm!(
            "push rbx",
            "push rbp",
            "mov rbx, rax",
            "mov [rbx + 104], rsp",
            "stmxcsr [rbx + 244]",
            "ldmxcsr [rbx + 240]",
            "fld qword ptr [rbx + 256]",
            "movq xmm0, [rbx + 112]", "movq xmm1, [rbx + 120]",
            "movq xmm2, [rbx + 128]", "movq xmm3, [rbx + 136]",
            "movq xmm4, [rbx + 144]", "movq xmm5, [rbx + 152]",
            "movq xmm6, [rbx + 160]", "movq xmm7, [rbx + 168]",
            "movq xmm8, [rbx + 176]", "movq xmm9, [rbx + 184]",
            "movq xmm10, [rbx + 192]", "movq xmm11, [rbx + 200]",
            "movq xmm12, [rbx + 208]", "movq xmm13, [rbx + 216]",
            "movq xmm14, [rbx + 224]", "movq xmm15, [rbx + 232]",
            "mov rax, [rbx]", "mov rcx, [rbx + 8]", "mov rdx, [rbx + 16]",
            "mov rsi, [rbx + 24]", "mov rdi, [rbx + 32]", "mov r8, [rbx + 40]",
            "mov r9, [rbx + 48]", "mov r10, [rbx + 56]", "mov r11, [rbx + 64]",
            "mov r12, [rbx + 72]", "mov r13, [rbx + 80]", "mov r14, [rbx + 88]",
            "mov r15, [rbx + 96]",
            "mov rbp, [rbx + 264]",
            "std",
            "mov qword ptr [rip + {inside}], 1",
            "2: cmp qword ptr [rip + {rounds}], {handlers}",
            "jb 2b",
            "mov qword ptr [rip + {inside}], 0",
            "mov [rbx], rax",
            "pushfq", "pop rax", "mov [rbx + 248], rax",
            "cld",
            "mov [rbx + 8], rcx", "mov [rbx + 16], rdx",
            "mov [rbx + 24], rsi", "mov [rbx + 32], rdi", "mov [rbx + 40], r8",
            "mov [rbx + 48], r9", "mov [rbx + 56], r10", "mov [rbx + 64], r11",
            "mov [rbx + 72], r12", "mov [rbx + 80], r13", "mov [rbx + 88], r14",
            "mov [rbx + 96], r15",
            "sub [rbx + 104], rsp",
            "movq [rbx + 112], xmm0", "movq [rbx + 120], xmm1",
            "movq [rbx + 128], xmm2", "movq [rbx + 136], xmm3",
            "movq [rbx + 144], xmm4", "movq [rbx + 152], xmm5",
            "movq [rbx + 160], xmm6", "movq [rbx + 168], xmm7",
            "movq [rbx + 176], xmm8", "movq [rbx + 184], xmm9",
            "movq [rbx + 192], xmm10", "movq [rbx + 200], xmm11",
            "movq [rbx + 208], xmm12", "movq [rbx + 216], xmm13",
            "movq [rbx + 224], xmm14", "movq [rbx + 232], xmm15",
            "mov [rbx + 264], rbp",
            "fstp qword ptr [rbx + 256]",
            "stmxcsr [rbx + 240]",
            "ldmxcsr [rbx + 244]",
            "pop rbp",
            "pop rbx",
            inside = sym INSIDE,
            rounds = sym ROUNDS,
            handlers = const HANDLERS,
            inout("rax") &raw mut frame => _,
            out("rcx") _, out("rdx") _, out("rsi") _, out("rdi") _, out("r8") _, out("r9") _,
            out("r10") _, out("r11") _, out("r12") _, out("r13") _, out("r14") _, out("r15") _,
            out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _, out("xmm4") _,
            out("xmm5") _, out("xmm6") _, out("xmm7") _, out("xmm8") _, out("xmm9") _,
            out("xmm10") _, out("xmm11") _, out("xmm12") _, out("xmm13") _, out("xmm14") _,
            out("xmm15") _, out("st(0)") _, out("st(1)") _, out("st(2)") _, out("st(3)") _,
            out("st(4)") _, out("st(5)") _, out("st(6)") _, out("st(7)") _,
        );
    }
    let mut loaded = general;
    loaded[13] = 0;
    let before = Registers {
        general: loaded,
        vector,
        base: BASE,
        mxcsr: 0x7f80,
        direction: true,
        top: 1.0 / 3.0,
    };
    let after = Registers {
        general: frame.general,
        vector: frame.vector,
        base: frame.base,
        mxcsr: frame.mxcsr,
        direction: frame.flags >> 10 & 1 == 1,
        top: frame.top,
    };
    (before, after)
}

/// In a handler: overwrites every register that a function may overwrite, and
/// counts when it has interrupted [`registers_across_handlers`] in its loop.
#[cfg(target_arch = "x86_64")]
pub fn scramble() {
    use std::arch::asm;
    let mxcsr = 0x1f80_u32;
    // SAFETY: all that is overwritten is told; 0x1f80 is what Rust expects.
    unsafe {
        asm!(
            "ldmxcsr [{mxcsr}]",
            "fldz", "fstp st(0)",
            "pcmpeqd xmm0, xmm0", "movdqa xmm1, xmm0", "movdqa xmm2, xmm0",
            "movdqa xmm3, xmm0", "movdqa xmm4, xmm0", "movdqa xmm5, xmm0",
            "movdqa xmm6, xmm0", "movdqa xmm7, xmm0", "movdqa xmm8, xmm0",
            "movdqa xmm9, xmm0", "movdqa xmm10, xmm0", "movdqa xmm11, xmm0",
            "movdqa xmm12, xmm0", "movdqa xmm13, xmm0", "movdqa xmm14, xmm0",
            "movdqa xmm15, xmm0",
            "xor ecx, ecx", "xor edx, edx", "xor esi, esi", "xor edi, edi",
            "xor r8d, r8d", "xor r9d, r9d", "xor r10d, r10d", "xor r11d, r11d",
            "xor r12d, r12d", "xor r13d, r13d", "xor r14d, r14d", "xor r15d, r15d",
            mxcsr = in(reg) &raw const mxcsr,
            out("rcx") _, out("rdx") _, out("rsi") _, out("rdi") _, out("r8") _, out("r9") _,
            out("r10") _, out("r11") _, out("r12") _, out("r13") _, out("r14") _, out("r15") _,
            out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _, out("xmm4") _,
            out("xmm5") _, out("xmm6") _, out("xmm7") _, out("xmm8") _, out("xmm9") _,
            out("xmm10") _, out("xmm11") _, out("xmm12") _, out("xmm13") _, out("xmm14") _,
            out("xmm15") _, out("st(0)") _, out("st(1)") _, out("st(2)") _, out("st(3)") _,
            out("st(4)") _, out("st(5)") _, out("st(6)") _, out("st(7)") _,
        );
    }
    if INSIDE.load(SeqCst) == 1 {
        ROUNDS.fetch_add(1, SeqCst);
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod elsewhere {
    //! Cases that call these need an x86-64, or an x86 of any kind.
    #![allow(missing_docs)]

    #[cfg(not(target_arch = "x86"))]
    pub fn divide_by_zero(_: &super::AtomicUsize) {}
    #[cfg(not(target_arch = "x86"))]
    pub fn illegal_instruction() {}
    pub fn scramble() {}
    pub fn registers_across_handlers() -> (super::Registers, super::Registers) {
        unreachable!("the case needs an x86-64")
    }
}
#[cfg(not(target_arch = "x86_64"))]
pub use elsewhere::*;
