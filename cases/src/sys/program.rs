//! A program to execute that needs no file of the target.

use std::ffi::CString;
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;

use ipcspec_harness::{Child, End, Failure, Need, Verdict};
use nix::fcntl::OFlag;
use nix::unistd::{Pid, dup2_stdin, dup2_stdout, execv, pipe2, read, write};

/// What a case that executes a program needs: our own where we have one for
/// the architecture, else `cat`.
pub const A_PROGRAM: Need =
    if cfg!(target_arch = "x86_64") { Need::Arch(&["x86_64"]) } else { Need::File("/bin/cat") };

/// A process that has executed a program, which copies its input to its
/// output and exits with 0 at the end of the input.
#[derive(Debug)]
pub struct Program {
    process: Child,
    input: OwnedFd,
}

impl Program {
    /// Forks; the child runs `before` and then executes the program. Returns
    /// when the program runs.
    pub fn start(before: impl FnOnce() -> Verdict) -> Verdict<Self> {
        let path = install()?;
        // Its own copy of the far end would keep it from seeing the end.
        let (stdin, input) = pipe2(OFlag::O_CLOEXEC)?;
        let (output, stdout) = pipe2(OFlag::O_CLOEXEC)?;
        let process = Child::spawn(move || {
            before()?;
            dup2_stdin(&stdin)?;
            dup2_stdout(&stdout)?;
            execv(&path, &[&path])?;
            Ok(())
        })?;
        write(&input, b"x")?;
        if read(&output, &mut [0])? == 1 {
            return Ok(Self { process, input });
        }
        process.join()?;
        Err(Failure::broken("the program did not start"))
    }

    /// Its process id.
    pub fn pid(&self) -> Pid {
        self.process.pid()
    }

    /// Waits for its end, of whatever kind, without letting it exit by itself.
    pub fn wait(self) -> Verdict<End> {
        let Self { process, input: _input } = self;
        process.wait()
    }

    /// Lets the program exit, and waits for that.
    pub fn finish(self) -> Verdict {
        drop(self.input);
        match self.process.wait()? {
            End::Exited(0) => Ok(()),
            end => Err(Failure::broken(format!("the program {end:?}"))),
        }
    }
}

/// The program's path, in the working directory or on the target.
fn install() -> Verdict<CString> {
    if !cfg!(target_arch = "x86_64") {
        return Ok(c"/bin/cat".to_owned());
    }
    fs::write("program", executable())?;
    fs::set_permissions("program", fs::Permissions::from_mode(0o755))?;
    Ok(c"./program".to_owned())
}

/// An executable file for Linux on x86-64, without a library.
fn executable() -> Vec<u8> {
    const CODE: [u8; 41] = [
        0x31, 0xc0, // xor eax, eax: read
        0x31, 0xff, // xor edi, edi
        0x48, 0x89, 0xe6, // mov rsi, rsp
        0xba, 1, 0, 0, 0, // mov edx, 1
        0x0f, 0x05, // syscall
        0x85, 0xc0, // test eax, eax
        0x7e, 14, // jle to the exit
        0xb8, 1, 0, 0, 0, // mov eax, write
        0xbf, 1, 0, 0, 0, // mov edi, 1
        0x0f, 0x05, // syscall
        0xeb, 0xe0, // jmp to the start
        0xb8, 60, 0, 0, 0, // mov eax, exit
        0x31, 0xff, // xor edi, edi
        0x0f, 0x05, // syscall
    ];
    const BASE: u64 = 0x40_0000;
    const HEADERS: u64 = 64 + 56;
    let size = HEADERS + CODE.len() as u64;
    let fields = [
        // ET_EXEC, EM_X86_64, version 1; entry, program headers, no sections.
        &[(2, 2), (62, 2), (1, 4), (BASE + HEADERS, 8), (64, 8), (0, 8), (0, 4)][..],
        // Sizes and counts of the headers.
        &[(64, 2), (56, 2), (1, 2), (64, 2), (0, 2), (0, 2)],
        // PT_LOAD, readable and executable: the whole file at BASE.
        &[(1, 4), (5, 4), (0, 8), (BASE, 8), (BASE, 8), (size, 8), (size, 8), (4096, 8)],
    ];
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    for (value, width) in fields.concat() {
        file.extend(&u64::to_le_bytes(value)[..width]);
    }
    file.extend(CODE);
    file
}
