//! Whether the memory that a VMM offers is there.

use std::io;

use vm_memory::{GuestMemoryBackend, GuestMemoryMmap, GuestMemoryRegion};

/// Refuses memory beyond the end of its file: touching it would end the card (SIGBUS). A VMM that
/// shortens the file later still does so, to its own card.
///
/// # Errors
/// When a region is longer than the rest of its file, or the file cannot be asked.
pub fn check_files(memory: &GuestMemoryMmap) -> io::Result<()> {
    for region in memory.iter() {
        let Some(place) = region.file_offset() else {
            continue;
        };
        let file = place.file().metadata()?;
        let end = place.start().saturating_add(region.len());
        if file.is_file() && file.len() < end {
            return Err(io::Error::other("memory beyond the end of its file"));
        }
    }
    Ok(())
}
