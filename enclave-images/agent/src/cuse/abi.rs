//! The binary interface of FUSE and CUSE (Linux include/uapi/linux/fuse.h), as far as one ioctl
//! needs it. Native byte order: little-endian here, and both ends are the same machine.
#![forbid(unsafe_code)]

/// Protocol version 7.31; the kernel speaks every older one.
pub const KERNEL_VERSION: u32 = 7;
pub const KERNEL_MINOR_VERSION: u32 = 31;

pub const OPEN: u32 = 14;
pub const RELEASE: u32 = 18;
pub const INTERRUPT: u32 = 36;
pub const IOCTL: u32 = 39;
pub const CUSE_INIT: u32 = 4096;

/// The ioctl's argument may point anywhere: the kernel copies what we ask for (ioctl retries).
pub const CUSE_UNRESTRICTED_IOCTL: u32 = 1;
pub const FOPEN_DIRECT_IO: u32 = 1;
pub const FOPEN_NONSEEKABLE: u32 = 1 << 2;
pub const FUSE_IOCTL_RETRY: u32 = 1 << 2;

/// Largest read or write that we announce; an NSM exchange is far below.
pub const MAX_TRANSFER_BYTES: u32 = 131_072;

/// `struct fuse_in_header` is 40 bytes; only these fields matter here.
#[derive(Debug, PartialEq, Eq)]
pub struct InHeader {
    pub opcode: u32,
    pub unique: u64,
}

/// `struct fuse_ioctl_in` without its file handle and flags.
#[derive(Debug, PartialEq, Eq)]
pub struct IoctlIn {
    pub command: u32,
    /// The ioctl's argument: an address in the caller.
    pub argument: u64,
    /// Bytes that follow, as copied from the caller.
    pub in_size: u32,
    /// Bytes that may be returned.
    pub out_size: u32,
}

/// `struct fuse_ioctl_iovec`: memory of the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Iovec {
    pub base: u64,
    pub len: u64,
}

/// Reads fields from the front of a message; `None` when it is too short.
pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (front, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*front)
    }

    pub fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_ne_bytes)
    }

    pub fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_ne_bytes)
    }

    /// The header of a message, whose length field must tell the truth.
    pub fn header(&mut self) -> Option<InHeader> {
        let total = self.0.len();
        let length = self.u32()?;
        let header = InHeader {
            opcode: self.u32()?,
            unique: self.u64()?,
        };
        self.array::<24>()?; // nodeid, uid, gid, pid, total_extlen, padding
        (length as usize == total).then_some(header)
    }

    pub fn ioctl_in(&mut self) -> Option<IoctlIn> {
        self.array::<12>()?; // fh, flags
        Some(IoctlIn {
            command: self.u32()?,
            argument: self.u64()?,
            in_size: self.u32()?,
            out_size: self.u32()?,
        })
    }
}

/// `struct fuse_out_header` and a body. `error` is zero or a negative errno.
pub fn reply(unique: u64, error: i32, body: &[&[u8]]) -> Vec<u8> {
    const HEADER_BYTES: usize = 16;
    let length = HEADER_BYTES + body.iter().map(|part| part.len()).sum::<usize>();
    let mut message = Vec::with_capacity(length);
    message.extend((length as u32).to_ne_bytes());
    message.extend(error.to_ne_bytes());
    message.extend(unique.to_ne_bytes());
    body.iter().for_each(|part| message.extend(*part));
    message
}

/// A sequence of 32-bit fields.
pub fn words(fields: &[u32]) -> Vec<u8> {
    fields
        .iter()
        .flat_map(|field| field.to_ne_bytes())
        .collect()
}

/// `struct fuse_ioctl_out`: the ioctl returned 0.
pub fn ioctl_done() -> Vec<u8> {
    words(&[0, 0, 0, 0])
}

/// `struct fuse_ioctl_out` that asks the kernel to call again with the caller's memory `inputs`
/// copied in and `outputs` to be copied back.
pub fn ioctl_retry(inputs: &[Iovec], outputs: &[Iovec]) -> Vec<u8> {
    let mut body = words(&[
        0,
        FUSE_IOCTL_RETRY,
        inputs.len() as u32,
        outputs.len() as u32,
    ]);
    for iovec in inputs.iter().chain(outputs) {
        body.extend(iovec.base.to_ne_bytes());
        body.extend(iovec.len.to_ne_bytes());
    }
    body
}
