//! The card as vhost-user-backend sees it: features, configuration space and the event loop's
//! hand-over to the device. vhost-user-backend owns the protocol with the VMM, maps its memory and
//! runs one worker thread, which does all of the device's work.

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

use cloister_vhost_user::watchdog::Pulse;
use cloister_vhost_user::{FEATURES, Memory, check_files};
use serde::Serialize;
use vhost::vhost_user::message::VhostUserProtocolFeatures;
use vhost_user_backend::{VhostUserBackendMut, VhostUserDaemon, VringRwLock, VringState, VringT};
use virtio_queue::QueueT;
use vm_memory::{GuestAddressSpace, GuestMemoryAtomic, GuestMemoryMmap};
use vmm_sys_util::epoll::EventSet;
use vmm_sys_util::event::{
    EventConsumer, EventFlag, EventNotifier, new_event_consumer_and_notifier,
};

use crate::channel::{Channel, Keeper};
use crate::device::Device;
use crate::inherited::take_back;
use crate::patience::Patience;
use crate::reactor::{Event, Reactor};
use crate::refusals::Refusal;

const RECEIVE_QUEUE: usize = 0;
const TRANSMIT_QUEUE: usize = 1;
const QUEUES: usize = 3; // the third, for events, is never used: nothing migrates
const MAX_QUEUE_SIZE: usize = 1024;
/// The reactor's number in vhost-user-backend's epoll set: after the queues and its own exit event.
pub const REACTOR_EVENT: u16 = QUEUES as u16 + 1;
/// Rounds of work before the worker looks at its own events again.
const MAX_ROUNDS: usize = 32;

/// Something the keeper did not ask for.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "camelCase")]
enum Told {
    Refused(Refusal),
}

/// One enclave's card, for as long as its keeper lives; VMMs may come and go.
pub struct Card {
    device: Device,
    reactor: Reactor,
    channel: Option<Channel>,
    memory: Option<Memory>,
    events: Vec<Event>,
    pulse: Pulse,
    patience: Patience,
    /// Exit events of daemons, which vhost-user-backend 0.24 gives up without closing them.
    exit_events: Mutex<Vec<RawFd>>,
    when_keeper_goes: fn(),
}

impl Card {
    #[must_use]
    pub fn new(
        device: Device,
        reactor: Reactor,
        channel: Option<Channel>,
        when_keeper_goes: fn(),
    ) -> Self {
        Self {
            device,
            reactor,
            channel,
            memory: None,
            events: Vec::new(),
            pulse: Pulse::default(),
            patience: Patience::default(),
            exit_events: Mutex::default(),
            when_keeper_goes,
        }
    }

    /// What shows that the worker works, for the watchdog.
    #[must_use]
    pub fn pulse(&self) -> Pulse {
        self.pulse.clone()
    }

    /// Tells the keeper something; nothing happens without one.
    pub fn tell(&mut self, event: &impl Serialize) {
        if let Some(channel) = &mut self.channel {
            channel.tell(event);
        }
    }

    /// The VMM is gone; what it has sent is still passed on.
    pub fn disconnect_vmm(&mut self) {
        self.memory = None;
        self.device.disconnect_guest();
        self.device.forget_queue();
    }

    /// The daemon and its worker have ended: what they left open is closed.
    pub fn forget_daemon(&mut self) {
        if let Ok(numbers) = self.exit_events.get_mut() {
            numbers.drain(..).map(take_back).for_each(drop);
        }
    }

    /// Whether bytes of the last guest are still held for the host.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.device.has_orphans()
    }

    fn work(&mut self, vrings: &[VringRwLock], is_reactor_ready: bool) {
        self.work_rounds(vrings, is_reactor_ready);
        for refusal in self.device.take_refusals() {
            self.tell(&Told::Refused(refusal));
        }
    }

    fn work_rounds(&mut self, vrings: &[VringRwLock], is_reactor_ready: bool) {
        self.pulse.beat();
        self.patience.on_wake(Instant::now());
        if is_reactor_ready {
            self.handle_events();
        }
        let mut rounds = 0;
        while rounds < MAX_ROUNDS {
            let is_idle = !self.serve(vrings) && self.events.is_empty();
            let now = Instant::now();
            if is_idle && self.patience.may_wait(now) {
                thread::yield_now();
                self.patience.on_return(now, Instant::now());
            } else if is_idle && self.may_rest(vrings) {
                self.reactor.set_period(self.device.timer_period());
                self.patience.on_sleep(now);
                return;
            } else {
                rounds += 1;
                self.patience.on_work();
            }
            self.handle_events();
        }
        self.reactor.wake();
    }

    fn handle_events(&mut self) {
        let mut events = std::mem::take(&mut self.events);
        self.reactor.poll(&mut events);
        for event in &events {
            self.handle(*event);
        }
        self.events = events;
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Timer => self.device.on_timer(&self.reactor),
            Event::Descriptor { token, .. } if token == Device::LISTENER => {
                self.device.on_listener(&self.reactor);
            }
            // That it is awake is all there is to it: every round looks at the kernel's rings.
            Event::Descriptor { token, .. } if token == Device::KERNEL => {}
            Event::Descriptor { token, .. } if token == Channel::TOKEN => {
                let channel = self.channel.as_mut();
                let keeper = channel.map_or(Keeper::Present, |it| it.on_ready(&mut self.device));
                if keeper == Keeper::Gone {
                    (self.when_keeper_goes)();
                }
            }
            Event::Descriptor { token, flags } => {
                self.device.on_socket(token as usize, flags, &self.reactor);
            }
        }
    }

    /// One round over the queues; whether another one is due at once.
    fn serve(&mut self, vrings: &[VringRwLock]) -> bool {
        let Some(memory) = &self.memory else {
            return false;
        };
        let memory = memory.memory();
        let mut receive = vrings[RECEIVE_QUEUE].get_mut();
        let mut transmit = vrings[TRANSMIT_QUEUE].get_mut();
        if ![&*receive, &*transmit].into_iter().all(is_running) {
            return false;
        }
        let notify = self.device.serve(
            &memory,
            receive.get_queue_mut(),
            transmit.get_queue_mut(),
            &self.reactor,
        );
        // A VMM that has closed its end of an event is about to go.
        if notify.receive {
            let _ = receive.signal_used_queue();
        }
        if notify.transmit {
            let _ = transmit.signal_used_queue();
        }
        notify.is_busy
    }

    /// Whether the worker may wait for events; from then on the driver causes one with a packet.
    fn may_rest(&mut self, vrings: &[VringRwLock]) -> bool {
        let Some(memory) = &self.memory else {
            return true;
        };
        let mut transmit = vrings[TRANSMIT_QUEUE].get_mut();
        if !is_running(&transmit) {
            return true;
        }
        self.device
            .may_rest(&memory.memory(), transmit.get_queue_mut())
    }
}

/// Whether the driver has set the queue up.
fn is_running(ring: &VringState<Memory>) -> bool {
    ring.is_enabled() && ring.get_queue().ready()
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

    /// No `VIRTIO_VSOCK_F_SEQPACKET`: a driver then refuses such sockets by itself.
    fn features(&self) -> u64 {
        FEATURES
    }

    fn protocol_features(&self) -> VhostUserProtocolFeatures {
        VhostUserProtocolFeatures::MQ
            | VhostUserProtocolFeatures::CONFIG
            | VhostUserProtocolFeatures::REPLY_ACK
    }

    fn set_event_idx(&mut self, _enabled: bool) {} // the queues have been told

    /// `struct virtio_vsock_config`: the guest's CID, 8 bytes little-endian.
    fn get_config(&self, offset: u32, size: u32) -> Vec<u8> {
        let config = self.device.guest_cid().to_le_bytes();
        let wanted = config.iter().skip(offset as usize).take(size as usize);
        wanted.copied().collect()
    }

    fn update_memory(&mut self, memory: Memory) -> io::Result<()> {
        check_files(&memory.memory())?;
        self.memory = Some(memory);
        Ok(())
    }

    fn exit_event(&self, _thread_index: usize) -> Option<(EventConsumer, EventNotifier)> {
        let flags = EventFlag::NONBLOCK | EventFlag::CLOEXEC;
        let (consumer, notifier) = new_event_consumer_and_notifier(flags).ok()?;
        self.exit_events.lock().ok()?.push(consumer.as_raw_fd());
        Some((consumer, notifier))
    }

    fn handle_event(
        &mut self,
        device_event: u16,
        _events: EventSet,
        vrings: &[VringRwLock],
        _thread_id: usize,
    ) -> io::Result<()> {
        self.work(vrings, device_event == REACTOR_EVENT);
        Ok(())
    }
}

/// A daemon for the next VMM, whose worker already does the card's other work.
///
/// # Errors
/// When its worker cannot be started.
pub fn start_daemon(
    card: &Arc<Mutex<Card>>,
    reactor_fd: &impl AsRawFd,
) -> io::Result<VhostUserDaemon<Arc<Mutex<Card>>>> {
    let memory = GuestMemoryAtomic::new(GuestMemoryMmap::new());
    let daemon = VhostUserDaemon::new("vhost-user".to_owned(), Arc::clone(card), memory)
        .map_err(|error| io::Error::other(error.to_string()))?;
    for worker in daemon.get_epoll_handlers() {
        worker.register_listener(
            reactor_fd.as_raw_fd(),
            EventSet::IN,
            u64::from(REACTOR_EVENT),
        )?;
    }
    Ok(daemon)
}
