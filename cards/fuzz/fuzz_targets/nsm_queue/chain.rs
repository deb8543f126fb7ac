//! What a chain is by the card's README, read from a copy of guest memory.

pub const NEXT: u16 = 1;
pub const WRITE: u16 = 2;
pub const INDIRECT: u16 = 4;
pub const DESCRIPTOR_BYTES: u64 = 16;
const MAX_DESCRIPTORS: usize = 64;
const MAX_REQUEST_BYTES: u64 = 0x1000;

#[derive(Clone, Copy)]
pub struct Descriptor {
    pub address: u64,
    pub length: u32,
    pub flags: u16,
    pub next: u16,
}

pub enum Chain {
    /// Nothing of one that is too large.
    Request(Option<Vec<u8>>),
    /// Addresses and lengths.
    Room(Vec<(u64, u32)>),
    Malformed,
}

impl Descriptor {
    pub fn bytes(self) -> [u8; DESCRIPTOR_BYTES as usize] {
        let mut bytes = [0; DESCRIPTOR_BYTES as usize];
        bytes[..8].copy_from_slice(&self.address.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.length.to_le_bytes());
        bytes[12..14].copy_from_slice(&self.flags.to_le_bytes());
        bytes[14..].copy_from_slice(&self.next.to_le_bytes());
        bytes
    }

    fn read(memory: &[u8], at: u64) -> Option<Self> {
        let bytes = slice(memory, at, DESCRIPTOR_BYTES)?;
        Some(Self {
            address: u64::from_le_bytes(bytes[..8].try_into().ok()?),
            length: u32::from_le_bytes(bytes[8..12].try_into().ok()?),
            flags: u16::from_le_bytes(bytes[12..14].try_into().ok()?),
            next: u16::from_le_bytes(bytes[14..].try_into().ok()?),
        })
    }
}

impl Chain {
    pub fn read(memory: &[u8], table: u64, size: u16, head: u16) -> Self {
        Self::of(memory, table, size, head).unwrap_or(Self::Malformed)
    }

    fn of(memory: &[u8], table: u64, size: u16, head: u16) -> Option<Self> {
        let chain = descriptors(memory, table, size, head)?;
        let writable = chain.iter().filter(|it| it.flags & WRITE != 0).count();
        if writable == chain.len() {
            let room = chain.iter().map(|it| (it.address, it.length)).collect();
            return Some(Self::Room(room));
        }
        if writable > 0 {
            return None;
        }
        if chain.iter().map(|it| u64::from(it.length)).sum::<u64>() > MAX_REQUEST_BYTES {
            return Some(Self::Request(None));
        }
        let mut bytes = Vec::new();
        for descriptor in &chain {
            let length = u64::from(descriptor.length);
            bytes.extend_from_slice(slice(memory, descriptor.address, length)?);
        }
        Some(Self::Request(Some(bytes)))
    }
}

/// Nothing when it loops or leads nowhere.
fn descriptors(memory: &[u8], table: u64, size: u16, head: u16) -> Option<Vec<Descriptor>> {
    let (mut table, mut entries, mut index) = (table, u32::from(size), u32::from(head));
    let mut is_indirect = false;
    let mut chain: Vec<Descriptor> = Vec::new();
    let mut length = 0_u32;
    while index < entries && chain.len() < MAX_DESCRIPTORS {
        let at = table.checked_add(DESCRIPTOR_BYTES * u64::from(index))?;
        let descriptor = Descriptor::read(memory, at)?;
        if descriptor.flags & INDIRECT != 0 {
            let is_table = descriptor.length % DESCRIPTOR_BYTES as u32 == 0;
            (table, entries, index) = (descriptor.address, descriptor.length / 16, 0);
            if is_indirect || !is_table || entries > u32::from(u16::MAX) {
                return None;
            }
            is_indirect = true;
            continue;
        }
        length = length.checked_add(descriptor.length)?;
        chain.push(descriptor);
        if descriptor.flags & NEXT == 0 {
            return Some(chain);
        }
        index = u32::from(descriptor.next);
    }
    None
}

/// No bytes are in no memory: they may be anywhere.
fn slice(memory: &[u8], at: u64, length: u64) -> Option<&[u8]> {
    if length == 0 {
        return Some(&[]);
    }
    let end = at.checked_add(length)?;
    memory.get(usize::try_from(at).ok()?..usize::try_from(end).ok()?)
}
