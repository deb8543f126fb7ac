//! What a driver, a keeper and a VMM may do, one step each.

use std::time::Duration;

use arbitrary::Arbitrary;

use crate::chain::{Descriptor, WRITE};
use crate::guest::{DATA, MEMORY_BYTES};
use crate::model::PATIENCE;
use crate::rig::Rig;

const MAX_REQUEST_BYTES: u16 = 0x1000;
const MAX_RESPONSE_BYTES: u16 = 0x3000;

#[derive(Arbitrary, Debug)]
pub enum Place {
    Data(u16),
    /// So many bytes before memory ends.
    End(u8),
    Anywhere(u64),
}

#[derive(Arbitrary, Debug)]
pub enum Length {
    Few(u8),
    /// So many descriptors.
    Table(u8),
    Request,
    Excess,
    Response,
    Any(u32),
}

#[derive(Arbitrary, Debug)]
pub struct Described {
    place: Place,
    length: Length,
    /// Next, write, indirect.
    flags: u8,
    next: u8,
}

#[derive(Arbitrary, Debug)]
pub enum Pause {
    Seconds(u8),
    /// A moment less than makes an answer late.
    AlmostLate,
    /// Just as much.
    Late,
}

impl Pause {
    fn time(&self) -> Duration {
        match *self {
            Self::Seconds(count) => Duration::from_secs(u64::from(count)),
            Self::AlmostLate => PATIENCE - Duration::from_millis(1),
            Self::Late => PATIENCE,
        }
    }
}

#[derive(Arbitrary, Debug)]
pub enum Action {
    Describe(u8, Described),
    /// A descriptor of an indirect table, wherever that is.
    DescribeAt(u16, Described),
    Offer(u8),
    /// As AWS's driver.
    Ask {
        heads: (u8, u8),
        places: (u16, u16),
        request: u16,
        room: u16,
    },
    /// The same two chains over and over, though they are not back yet.
    Flood(u8, u8),
    Jump(u16),
    Poke(u16, u16),
    Notify,
    Answer(u16),
    Wait(Pause),
    Stop,
    Restart,
}

impl Place {
    fn address(&self, rig: &Rig) -> u64 {
        match *self {
            Self::Data(offset) => rig.place(offset),
            Self::End(before) => MEMORY_BYTES as u64 - u64::from(before),
            // The model's guest has no room over its own rings.
            Self::Anywhere(address) if rig.is_modelled() => address | MEMORY_BYTES as u64,
            Self::Anywhere(address) => address,
        }
    }
}

impl Length {
    fn bytes(&self) -> u32 {
        match *self {
            Self::Few(count) => u32::from(count),
            Self::Table(count) => 16 * u32::from(count),
            Self::Request => u32::from(MAX_REQUEST_BYTES),
            Self::Excess => u32::from(MAX_REQUEST_BYTES) + 1,
            Self::Response => u32::from(MAX_RESPONSE_BYTES),
            Self::Any(count) => count,
        }
    }
}

impl Described {
    fn descriptor(&self, rig: &Rig) -> Descriptor {
        Descriptor {
            address: self.place.address(rig),
            length: self.length.bytes(),
            flags: u16::from(self.flags & 7),
            next: u16::from(self.next),
        }
    }
}

impl Action {
    pub fn perform(&self, rig: &mut Rig) {
        match self {
            Self::Describe(index, it) => rig.describe(u16::from(*index), it.descriptor(rig)),
            Self::DescribeAt(offset, it) => {
                rig.write(rig.place(*offset), &it.descriptor(rig).bytes());
            }
            Self::Offer(head) => rig.offer(u16::from(*head)),
            Self::Ask { .. } => self.ask(rig),
            Self::Flood(first, count) => {
                for _ in 0..count % 33 {
                    rig.offer(u16::from(*first));
                    rig.offer(u16::from(*first) + 1);
                }
            }
            Self::Jump(by) => rig.jump(*by),
            Self::Poke(offset, value) => rig.write(rig.place(*offset), &value.to_le_bytes()),
            Self::Notify => rig.serve(),
            Self::Answer(length) => {
                rig.answer(usize::from(length % (MAX_RESPONSE_BYTES + 1)));
                rig.serve();
            }
            Self::Wait(pause) => rig.wait(pause.time()),
            Self::Stop => rig.stop(),
            Self::Restart => rig.restart(),
        }
    }

    fn ask(&self, rig: &mut Rig) {
        let Self::Ask {
            heads,
            places,
            request,
            room,
        } = self
        else {
            return;
        };
        let parts = [
            (heads.0, places.0, request % (MAX_REQUEST_BYTES + 2), 0),
            (heads.1, places.1, room % (MAX_RESPONSE_BYTES + 1), WRITE),
        ];
        for (head, place, length, flags) in parts {
            let descriptor = Descriptor {
                address: DATA + u64::from(place) / 2,
                length: u32::from(length),
                flags,
                next: 0,
            };
            rig.describe(u16::from(head), descriptor);
            rig.offer(u16::from(head));
        }
    }
}
