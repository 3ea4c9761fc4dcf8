//! The ports of a PC's devices: how a virtual machine is told an exit status.
#![allow(unsafe_code)]

use std::io;

/// Writes a byte to a port. Needs CAP_SYS_RAWIO, and a processor that has
/// ports.
#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
pub fn write_port(port: u16, value: u8) -> io::Result<()> {
    // SAFETY: lets this thread use one port.
    nix::errno::Errno::result(unsafe { libc::ioperm(port.into(), 1, 1) })?;
    // SAFETY: no memory is touched; what the device does is the caller's wish.
    unsafe {
        std::arch::asm!("out dx, al", in("dx") port, in("al") value, options(nomem, nostack, preserves_flags));
    }
    Ok(())
}

/// Writes a byte to a port: there are none.
#[cfg(not(any(target_arch = "x86", target_arch = "x86_64")))]
pub fn write_port(_port: u16, _value: u8) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
