//! The card as a process, sandbox and all, with a VMM's end of vhost-user and a keeper's end of its
//! stream in the test.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use rustix::io::{FdFlags, fcntl_setfd};
use vhost::vhost_user::message::VhostUserVirtioFeatures;
use vhost::vhost_user::{Frontend, VhostUserFrontend};
use vhost::{VhostBackend, VhostUserMemoryRegionInfo, VringConfigData};
use virtio_bindings::bindings::virtio_config::VIRTIO_F_VERSION_1;
use virtio_bindings::bindings::virtio_ring::VIRTIO_RING_F_EVENT_IDX;
use vm_memory::{FileOffset, GuestAddress, GuestMemoryMmap};
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

use crate::driver::{AVAILABLE, Driver, MEMORY_BYTES, QUEUE_SIZE, TABLE, USED};

const FEATURES: u64 = 1 << VIRTIO_F_VERSION_1
    | 1 << VIRTIO_RING_F_EVENT_IDX
    | VhostUserVirtioFeatures::PROTOCOL_FEATURES.bits();
/// Where the VMM has the guest's memory, by its own word.
const VMM_BASE: u64 = 1 << 40;
const HANG_GUARD: Duration = Duration::from_secs(20);
static CARDS: AtomicU32 = AtomicU32::new(0);

pub struct CardProcess {
    child: Child,
    pub keeper: BufReader<UnixStream>,
    pub ready: String,
    directory: PathBuf,
}

impl CardProcess {
    pub fn start() -> Self {
        let number = CARDS.fetch_add(1, Ordering::Relaxed);
        let directory =
            std::env::temp_dir().join(format!("nsm-card-{}-{number}", std::process::id()));
        std::fs::create_dir(&directory).unwrap();
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_read_timeout(Some(HANG_GUARD)).unwrap();
        let listener = UnixListener::bind(directory.join("v")).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_cloister-nsm"))
            .args(["--channel", &inherited(&theirs)])
            .args(["--vhost-user", &inherited(&listener)])
            .current_dir(&directory)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let mut keeper = BufReader::new(ours);
        let mut ready = String::new();
        keeper.read_line(&mut ready).unwrap();
        Self {
            child,
            keeper,
            ready,
            directory,
        }
    }

    /// A connection whose bytes the test writes.
    pub fn connect_bare(&self) -> UnixStream {
        let stream = UnixStream::connect(self.directory.join("v")).unwrap();
        stream.set_read_timeout(Some(HANG_GUARD)).unwrap();
        stream
    }

    pub fn connect(&self) -> Vmm {
        Vmm::connect(self.directory.join("v"))
    }

    /// The next request, as the keeper gets it.
    pub fn request(&mut self) -> Vec<u8> {
        let mut length = [0; 4];
        self.keeper.read_exact(&mut length).unwrap();
        let mut request = vec![0; u32::from_be_bytes(length) as usize];
        self.keeper.read_exact(&mut request).unwrap();
        request
    }

    pub fn answer(&mut self, response: &[u8]) {
        let length = u32::try_from(response.len()).unwrap().to_be_bytes();
        let frame = [&length, response].concat();
        self.keeper.get_mut().write_all(&frame).unwrap();
    }

    pub fn close_keeper(&mut self) {
        let stream = self.keeper.get_ref();
        stream.shutdown(std::net::Shutdown::Both).unwrap();
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    pub fn end(&mut self) -> ExitStatus {
        let deadline = Instant::now() + HANG_GUARD;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "the card goes on");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// An option's value for a descriptor that the next process inherits.
fn inherited(fd: &(impl AsFd + AsRawFd)) -> String {
    fcntl_setfd(fd, FdFlags::empty()).unwrap();
    format!("fd={}", fd.as_raw_fd())
}

impl Drop for CardProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// A VMM with a guest whose driver has set up its queue.
pub struct Vmm {
    pub driver: Driver,
    pub frontend: Frontend,
    kick: EventFd,
    call: EventFd,
    memory: File,
}

impl Vmm {
    fn connect(path: PathBuf) -> Self {
        let memory = File::from(memfd_create("guest", MemfdFlags::CLOEXEC).unwrap());
        ftruncate(&memory, MEMORY_BYTES as u64).unwrap();
        let file = FileOffset::new(memory.try_clone().unwrap(), 0);
        let ranges = [(GuestAddress(0), MEMORY_BYTES, Some(file))];
        let mut vmm = Self {
            driver: Driver::new(GuestMemoryMmap::from_ranges_with_files(ranges).unwrap()),
            frontend: Frontend::connect(path, 1).unwrap(),
            kick: EventFd::new(EFD_NONBLOCK).unwrap(),
            call: EventFd::new(EFD_NONBLOCK).unwrap(),
            memory,
        };
        vmm.negotiate();
        vmm.start_queue();
        vmm
    }

    fn negotiate(&mut self) {
        let frontend = &mut self.frontend;
        frontend.set_owner().unwrap();
        assert_eq!(frontend.get_features().unwrap() & FEATURES, FEATURES);
        let offered = frontend.get_protocol_features().unwrap();
        frontend.set_protocol_features(offered).unwrap();
        frontend.set_features(FEATURES).unwrap();
        assert!(self.offer_memory(MEMORY_BYTES as u64));
    }

    fn offer_memory(&mut self, memory_size: u64) -> bool {
        let region = VhostUserMemoryRegionInfo {
            guest_phys_addr: 0,
            memory_size,
            userspace_addr: VMM_BASE,
            mmap_offset: 0,
            mmap_handle: self.memory.as_raw_fd(),
        };
        self.frontend.set_mem_table(&[region]).is_ok()
    }

    pub fn offer_more_memory_than_there_is(&mut self) -> bool {
        self.offer_memory(2 * MEMORY_BYTES as u64)
    }

    /// A doorbell that blocks, in place of the one that the worker watches.
    pub fn put_silent_doorbell(&mut self) {
        let silent = EventFd::new(0).unwrap();
        self.frontend.set_vring_kick(0, &silent).unwrap();
        self.frontend.get_features().unwrap(); // it has been heard by now
    }

    fn start_queue(&mut self) {
        let addresses = VringConfigData {
            queue_max_size: QUEUE_SIZE,
            queue_size: QUEUE_SIZE,
            flags: 0,
            desc_table_addr: VMM_BASE + TABLE,
            used_ring_addr: VMM_BASE + USED,
            avail_ring_addr: VMM_BASE + AVAILABLE,
            log_addr: None,
        };
        let frontend = &mut self.frontend;
        frontend.set_vring_num(0, QUEUE_SIZE).unwrap();
        frontend.set_vring_addr(0, &addresses).unwrap();
        frontend.set_vring_base(0, 0).unwrap();
        frontend.set_vring_call(0, &self.call).unwrap();
        frontend.set_vring_kick(0, &self.kick).unwrap();
        frontend.set_vring_enable(0, true).unwrap();
    }

    /// The driver is unloaded and loaded again.
    pub fn restart_queue(&mut self) {
        self.frontend.get_vring_base(0).unwrap();
        self.driver.restart();
        self.start_queue();
    }

    pub fn kick(&self) {
        self.kick.write(1).unwrap();
    }

    /// Whether the device has interrupted since the last call.
    pub fn is_interrupted(&self) -> bool {
        self.call.read().is_ok()
    }

    pub fn wait_for_interrupt(&self) {
        let deadline = Instant::now() + HANG_GUARD;
        while !self.is_interrupted() {
            assert!(Instant::now() < deadline, "no interrupt comes");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// What AWS's driver does for one ioctl, with the keeper's answer in between.
    pub fn exchange(&mut self, card: &mut CardProcess, request: &[u8], response: &[u8]) -> Vec<u8> {
        self.driver.ask((0, 1), request);
        self.kick();
        assert_eq!(card.request(), request);
        assert!(!self.is_interrupted(), "an interrupt before both are back");
        card.answer(response);
        self.wait_for_interrupt();
        self.driver
            .driver_reads(1)
            .expect("two chains by the interrupt")
    }
}
