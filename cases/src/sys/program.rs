//! A program to execute that needs no file of the target.

use std::ffi::CString;
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;

use ipcspec_harness::{Child, End, Failure, Need, Verdict};
use nix::fcntl::OFlag;
use nix::unistd::{Pid, dup2_stdin, dup2_stdout, execv, pipe2, read, write};

/// Whether there is a program of our own for this architecture.
const OWN: bool = cfg!(any(target_arch = "x86_64", target_arch = "x86"));

/// What a case that executes a program needs: our own where we have one for
/// the architecture, else `cat`.
pub const A_PROGRAM: Need =
    if OWN { Need::Arch(&["x86_64", "x86"]) } else { Need::File("/bin/cat") };

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
    if !OWN {
        return Ok(c"/bin/cat".to_owned());
    }
    fs::write("program", executable())?;
    fs::set_permissions("program", fs::Permissions::from_mode(0o755))?;
    Ok(c"./program".to_owned())
}

#[cfg(not(target_arch = "x86"))]
const CODE: &[u8] = &[
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
#[cfg(target_arch = "x86")]
const CODE: &[u8] = &[
    0xb8, 3, 0, 0, 0, // mov eax, read
    0x31, 0xdb, // xor ebx, ebx
    0x89, 0xe1, // mov ecx, esp
    0xba, 1, 0, 0, 0, // mov edx, 1
    0xcd, 0x80, // int 0x80
    0x85, 0xc0, // test eax, eax
    0x7e, 14, // jle to the exit
    0xb8, 4, 0, 0, 0, // mov eax, write
    0xbb, 1, 0, 0, 0, // mov ebx, 1
    0xcd, 0x80, // int 0x80
    0xeb, 0xde, // jmp to the start
    0xb8, 1, 0, 0, 0, // mov eax, exit
    0x31, 0xdb, // xor ebx, ebx
    0xcd, 0x80, // int 0x80
];

/// An executable file for Linux on x86-64 or i386, without a library.
fn executable() -> Vec<u8> {
    const BASE: u64 = 0x40_0000;
    const WORD: usize = size_of::<usize>();
    const WIDE: bool = WORD == 8;
    // What class it is for, EM_X86_64 or EM_386, and the sizes of two headers.
    let (class, machine, header, segment) = if WIDE { (2, 62, 64, 56) } else { (1, 3, 52, 32) };
    let size = header + segment + CODE.len() as u64;
    // Readable and executable.
    let flags = [(5, 4)];
    let place = [(0, WORD), (BASE, WORD), (BASE, WORD), (size, WORD), (size, WORD)];
    let [before, behind] = if WIDE { [&flags[..], &[]] } else { [&[], &flags[..]] };
    let fields = [
        // ET_EXEC, version 1; entry, program headers, no sections, no flags.
        &[(2, 2), (machine, 2), (1, 4), (BASE + header + segment, WORD), (header, WORD)][..],
        &[(0, WORD), (0, 4)],
        // Sizes and counts of the headers.
        &[(header, 2), (segment, 2), (1, 2), (0, 2), (0, 2), (0, 2)],
        // PT_LOAD: the whole file at BASE.
        &[(1, 4)],
        before,
        &place,
        behind,
        &[(4096, WORD)],
    ];
    let mut file = [b"\x7fELF", &[class, 1, 1][..], &[0; 9]].concat();
    for (value, width) in fields.concat() {
        file.extend(&u64::to_le_bytes(value)[..width]);
    }
    file.extend(CODE);
    file
}
