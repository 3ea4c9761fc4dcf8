//! A seccomp filter: what the kernel makes of a call, told by its number alone.
#![allow(unsafe_code)]

use libc::c_long;
use nix::Result;
use nix::errno::Errno;

/// `AUDIT_ARCH_…`: a call by the conventions of another architecture has
/// another number. Where it is not known, numbers are compared without it.
const ARCHITECTURE: Option<u32> = if cfg!(target_arch = "x86_64") {
    Some(libc::EM_X86_64 as u32 | LITTLE_ENDIAN_64)
} else if cfg!(all(target_arch = "aarch64", target_endian = "little")) {
    Some(libc::EM_AARCH64 as u32 | LITTLE_ENDIAN_64)
} else {
    None
};
const LITTLE_ENDIAN_64: u32 = 0xc000_0000;

/// What becomes of the calls of a process and of all that come from it.
#[derive(Debug, Clone)]
pub struct Filter(Vec<libc::sock_filter>);

impl Filter {
    /// `action` for the calls with these numbers, `others` for all others;
    /// each is a `SECCOMP_RET_…`.
    pub fn new(numbers: impl IntoIterator<Item = c_long>, action: u32, others: u32) -> Self {
        const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
        const EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
        const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
        const NUMBER: u32 = std::mem::offset_of!(libc::seccomp_data, nr) as u32;
        const ARCH: u32 = std::mem::offset_of!(libc::seccomp_data, arch) as u32;
        let step = |code, k, jt, jf| libc::sock_filter { code, jt, jf, k };
        let mut program = vec![];
        if let Some(architecture) = ARCHITECTURE {
            program.push(step(LOAD, ARCH, 0, 0));
            program.push(step(EQUAL, architecture, 1, 0));
            program.push(step(RETURN, others, 0, 0));
        }
        program.push(step(LOAD, NUMBER, 0, 0));
        for number in numbers {
            program.push(step(EQUAL, number as u32, 0, 1));
            program.push(step(RETURN, action, 0, 0));
        }
        program.push(step(RETURN, others, 0, 0));
        Self(program)
    }

    /// Puts this process under it. Allocates nothing, so that it may be called
    /// between fork and exec.
    pub fn install(&self) -> Result<()> {
        let all = libc::sock_fprog { len: self.0.len() as u16, filter: self.0.as_ptr().cast_mut() };
        // SAFETY: the program outlives the call, which copies it.
        let set = || unsafe {
            Errno::result(libc::prctl(
                libc::PR_SET_SECCOMP,
                libc::SECCOMP_MODE_FILTER,
                &raw const all,
            ))
        };
        if set().is_err() {
            // Without privilege, only for who promises to gain none.
            // SAFETY: takes numbers only.
            Errno::result(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) })?;
            set()?;
        }
        Ok(())
    }
}
