//! The card as vhost-user-backend sees it, which owns the protocol with the VMM, maps its memory
//! and runs one worker thread; that does all of the card's work.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use cloister_vhost_user::watchdog::Pulse;
use cloister_vhost_user::{FEATURES, Memory, check_files};
use rustix::event::{EventfdFlags, eventfd};
use vhost::vhost_user::message::VhostUserProtocolFeatures;
use vhost_user_backend::{VhostUserBackendMut, VhostUserDaemon, VringRwLock, VringT};
use virtio_queue::QueueT;
use vm_memory::{GuestAddressSpace, GuestMemoryAtomic, GuestMemoryMmap};
use vmm_sys_util::epoll::EventSet;
use vmm_sys_util::event::{
    EventConsumer, EventFlag, EventNotifier, new_event_consumer_and_notifier,
};

use crate::channel::{Channel, Heard};
use crate::device::Device;

const QUEUES: usize = 1;
const MAX_QUEUE_SIZE: usize = 64;
/// Our numbers in the worker's epoll set, after the queue and vhost-user-backend's exit event.
const CHANNEL_EVENT: u16 = QUEUES as u16 + 1;
const AGAIN_EVENT: u16 = QUEUES as u16 + 2;

/// One enclave's card.
pub struct Card {
    device: Device,
    channel: Channel,
    memory: Option<Memory>,
    /// Wakes the worker for work that was left over.
    again: OwnedFd,
    pulse: Pulse,
    when_keeper_goes: fn(),
}

impl Card {
    /// # Errors
    /// When there are no descriptors left.
    pub fn new(channel: Channel, when_keeper_goes: fn()) -> io::Result<Self> {
        Ok(Self {
            device: Device::default(),
            channel,
            memory: None,
            again: eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?,
            pulse: Pulse::default(),
            when_keeper_goes,
        })
    }

    /// What shows that the worker works, and an event that it answers with a beat.
    ///
    /// # Errors
    /// When there are no descriptors left.
    pub fn pulse_and_bell(&self) -> io::Result<(Pulse, OwnedFd)> {
        Ok((self.pulse.clone(), self.again.try_clone()?))
    }

    fn hear(&mut self, vring: &VringRwLock) {
        let is_told = match self.channel.listen() {
            Heard::Nothing => true,
            Heard::Response(response) => self.answer(vring, &response),
            Heard::Gone => false,
        };
        if !is_told {
            (self.when_keeper_goes)();
        }
    }

    /// Whether it was an answer to anything.
    fn answer(&mut self, vring: &VringRwLock, response: &[u8]) -> bool {
        let Some(memory) = &self.memory else {
            return false;
        };
        let memory = memory.memory();
        let mut ring = vring.get_mut();
        let outcome = self
            .device
            .answer(&memory, ring.get_queue_mut(), response, Instant::now());
        outcome.is_ok()
    }

    /// Takes requests, asks the keeper, and tells the driver what is back.
    fn serve(&mut self, vring: &VringRwLock) {
        let Some(memory) = &self.memory else {
            return;
        };
        let memory = memory.memory();
        let mut ring = vring.get_mut();
        if !ring.is_enabled() || !ring.get_queue().ready() {
            return;
        }
        let queue = ring.get_queue_mut();
        let turn = self.device.serve(&memory, queue, Instant::now());
        if turn.is_unfinished {
            let _ = rustix::io::write(&self.again, &1_u64.to_ne_bytes()); // full: ready already
        }
        if let Some(request) = turn.request
            && self.channel.ask(&request).is_err()
        {
            (self.when_keeper_goes)();
        }
        if self.device.take_is_used() && queue.needs_notification(&*memory).unwrap_or(false) {
            // A VMM that has closed its end of the event is about to go.
            let _ = ring.signal_used_queue();
        }
    }
}

impl VhostUserBackendMut for Card {
    type Bitmap = ();
    type Vring = VringRwLock;

    fn num_queues(&self) -> usize {
        QUEUES
    }

    fn max_queue_size(&self) -> usize {
        MAX_QUEUE_SIZE
    }

    /// The device type has no features of its own.
    fn features(&self) -> u64 {
        FEATURES
    }

    /// No `CONFIG`: the device type has no configuration space.
    fn protocol_features(&self) -> VhostUserProtocolFeatures {
        VhostUserProtocolFeatures::REPLY_ACK
    }

    fn set_event_idx(&mut self, _enabled: bool) {} // the queue has been told

    fn update_memory(&mut self, memory: Memory) -> io::Result<()> {
        check_files(&memory.memory())?;
        self.memory = Some(memory);
        Ok(())
    }

    fn reset_device(&mut self) {
        self.device.forget_queue();
    }

    fn stop_vring(&mut self, _index: u32) -> io::Result<()> {
        self.device.forget_queue();
        Ok(())
    }

    fn exit_event(&self, _thread_index: usize) -> Option<(EventConsumer, EventNotifier)> {
        new_event_consumer_and_notifier(EventFlag::NONBLOCK | EventFlag::CLOEXEC).ok()
    }

    fn handle_event(
        &mut self,
        device_event: u16,
        _events: EventSet,
        vrings: &[VringRwLock],
        _thread_id: usize,
    ) -> io::Result<()> {
        self.pulse.beat();
        let [vring] = vrings else {
            return Ok(());
        };
        match device_event {
            CHANNEL_EVENT => self.hear(vring),
            AGAIN_EVENT => drop(rustix::io::read(&self.again, &mut [0; 8])),
            _ => {}
        }
        self.serve(vring);
        Ok(())
    }
}

/// A daemon for the VMM, whose worker hears the keeper too.
///
/// # Errors
/// When its worker cannot be started.
pub fn start_daemon(card: &Arc<Mutex<Card>>) -> io::Result<VhostUserDaemon<Arc<Mutex<Card>>>> {
    let memory = GuestMemoryAtomic::new(GuestMemoryMmap::new());
    let daemon = VhostUserDaemon::new("vhost-user".to_owned(), Arc::clone(card), memory)
        .map_err(|error| io::Error::other(error.to_string()))?;
    let descriptors = {
        let card = card.lock().map_err(|_| io::ErrorKind::Other)?;
        [
            (card.channel.as_raw_fd(), CHANNEL_EVENT),
            (card.again.as_raw_fd(), AGAIN_EVENT),
        ]
    };
    for worker in daemon.get_epoll_handlers() {
        for (fd, event) in descriptors {
            worker.register_listener(fd, EventSet::IN, u64::from(event))?;
        }
    }
    Ok(daemon)
}
