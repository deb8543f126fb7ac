//! Answers the program's calls until it ends: one thread, one event loop; nothing here blocks.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify;
use rustix::fs::{FileType, fstat};
use rustix::io::Errno;
use rustix::net::SocketFlags;

use crate::accept::{Accepts, Peers};
use crate::address::{Address, CID_PARENT};
use crate::call::{Answer, Call, DONE, Outcome};
use crate::caller::{read_address, share_descriptor, write_address};
use crate::dial::{Dial, Dialler};
use crate::kernel::{Reports, write_memory};
use crate::options;
use crate::ports::Ports;
use crate::registry::Registry;
use crate::sockets::{Phase, Sockets};

/// How often calls that wait are checked on, and ports that were closed are looked for.
const TICK: Duration = Duration::from_secs(1);
/// How often a full backlog is tried again, and an enclave that just starts is looked at.
const SHORT_TICK: Duration = Duration::from_millis(20);
/// An enclave makes its directory of sockets at once; one that does not within this time never will.
const STARTING_TIME: Duration = Duration::from_secs(60);

pub struct Supervisor {
    reports: Reports,
    registry: Registry,
    sockets: Sockets,
    ports: Ports,
    cards: HashMap<i32, u32>,
    accepts: Accepts,
    dials: Vec<Dial>,
    /// Tells when an enclave's directory appears.
    watch: OwnedFd,
    last_tick: Instant,
    /// While an enclave has no directory of sockets yet.
    linking_until: Option<Instant>,
    is_orphaned: bool,
}

impl Supervisor {
    /// # Errors
    /// When the registry cannot be watched.
    pub fn new(reports: Reports, runtime: &Path, chosen: Vec<String>) -> io::Result<Self> {
        let registry = Registry::new(runtime, chosen);
        fs::create_dir_all(registry.directory())?;
        let watch = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
        let appears = inotify::WatchFlags::CREATE | inotify::WatchFlags::MOVED_TO;
        inotify::add_watch(&watch, registry.directory(), appears)?;
        Ok(Self {
            reports,
            registry,
            sockets: Sockets::default(),
            ports: Ports::new(runtime),
            cards: HashMap::new(),
            accepts: Accepts::default(),
            dials: Vec::new(),
            watch,
            last_tick: Instant::now(),
            linking_until: None,
            is_orphaned: false,
        })
    }

    /// Waits for work, or for `other` to be readable, and does the work there is.
    ///
    /// # Errors
    /// When waiting fails.
    pub fn work(&mut self, other: impl AsFd) -> io::Result<()> {
        let timeout = self
            .timeout()
            .map(|it| Timespec::try_from(it).unwrap_or_default());
        let wanted = if self.is_orphaned {
            PollFlags::empty()
        } else {
            PollFlags::IN
        };
        let mut fds = vec![
            PollFd::new(&self.watch, PollFlags::IN),
            PollFd::new(&other, PollFlags::IN),
        ];
        fds.extend(
            self.accepts
                .waiting
                .iter()
                .map(|it| PollFd::new(&it.listener, PollFlags::IN)),
        );
        fds.extend(self.dials.iter().map(|it| {
            PollFd::new(
                &it.socket,
                if it.is_asked {
                    PollFlags::IN
                } else {
                    PollFlags::empty()
                },
            )
        }));
        if !self.is_orphaned {
            fds.push(PollFd::new(&self.reports, wanted));
        }
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let has_changed = !fds[0].revents().is_empty();
        let report = fds.last().map_or(PollFlags::empty(), PollFd::revents);
        drop(fds);
        if has_changed {
            self.on_registry_change();
        }
        self.proceed();
        if !self.is_orphaned {
            self.is_orphaned = report.contains(PollFlags::HUP);
            if report.contains(PollFlags::IN) {
                self.take_report()?;
            }
        }
        Ok(())
    }

    fn timeout(&self) -> Option<Duration> {
        let is_short = self.linking_until.is_some() || self.dials.iter().any(|dial| !dial.is_asked);
        let is_idle =
            self.accepts.waiting.is_empty() && self.dials.is_empty() && self.ports.is_empty();
        let tick = if is_short { SHORT_TICK } else { TICK };
        let waits = self.accepts.waiting.iter().filter_map(|it| it.deadline);
        let next = waits.chain(self.dials.iter().map(|it| it.deadline)).min();
        let until = next.map_or(tick, |at| {
            at.saturating_duration_since(Instant::now()).min(tick)
        });
        (!is_idle).then_some(until + Duration::from_micros(100))
    }

    fn take_report(&mut self) -> io::Result<()> {
        let Some(call) = self.reports.next()? else {
            return Ok(());
        };
        let outcome = self.handle(&call);
        if let Some(connection) = self.finish(&call, outcome)
            && call.number != libc::SYS_socket
            && let Ok(listener) = share_descriptor(&call)
        {
            self.accepts.keep(listener.as_fd(), connection);
        }
        Ok(())
    }

    /// Gives the answer, and returns a descriptor that the caller did not get.
    fn finish(&self, call: &Call, outcome: Outcome) -> Option<OwnedFd> {
        // A caller that has gone is not our error.
        match outcome {
            Ok(Answer::Wait) => {}
            Ok(Answer::Pass) => {
                let _ = self.reports.pass(call.id);
            }
            Ok(Answer::Value(value)) => {
                let _ = self.reports.answer(call.id, Ok(value));
            }
            Err(error) => {
                let _ = self.reports.answer(call.id, Err(error));
            }
            Ok(Answer::Descriptor {
                socket,
                close_on_exec,
            }) => {
                let result = self
                    .reports
                    .answer_with(call.id, socket.as_fd(), close_on_exec);
                let Err(error) = result else { return None };
                let _ = self.reports.answer(call.id, Err(error));
                return Some(socket);
            }
        }
        None
    }

    fn handle(&mut self, call: &Call) -> Outcome {
        match call.number {
            libc::SYS_socket => self.socket(call),
            libc::SYS_ioctl => local_cid(call),
            libc::SYS_connect => {
                read_address(call).map_or(Ok(Answer::Pass), |peer| self.dialler().begin(call, peer))
            }
            _ if self.sockets.is_empty() => Ok(Answer::Pass),
            libc::SYS_bind => self.bind(call),
            libc::SYS_listen => self.listen(call),
            libc::SYS_accept | libc::SYS_accept4 => {
                let mut peers = Peers {
                    registry: &self.registry,
                    cards: &mut self.cards,
                };
                self.accepts.begin(call, &mut self.sockets, &mut peers)
            }
            libc::SYS_getsockname | libc::SYS_getpeername => self.name(call),
            libc::SYS_getsockopt => options::get(call, &mut self.sockets, &self.ports),
            libc::SYS_setsockopt => options::set(call, &mut self.sockets, &self.ports),
            _ => Ok(Answer::Pass),
        }
    }

    /// socket(2) of `AF_VSOCK`. The vsock card has streams and nothing else.
    fn socket(&mut self, call: &Call) -> Outcome {
        const KIND: i32 = 0xf;
        let flags = SocketFlags::from_bits((call.int(1) & !KIND) as u32).ok_or(Errno::INVAL)?;
        if ![0, libc::AF_VSOCK].contains(&call.int(2)) {
            return Err(Errno::PROTONOSUPPORT);
        }
        match call.int(1) & KIND {
            libc::SOCK_STREAM => {}
            libc::SOCK_DGRAM => return Err(Errno::NODEV),
            _ => return Err(Errno::SOCKTNOSUPPORT),
        }
        Ok(Answer::Descriptor {
            socket: self.sockets.make(flags & SocketFlags::NONBLOCK)?,
            close_on_exec: flags.contains(SocketFlags::CLOEXEC),
        })
    }

    fn bind(&mut self, call: &Call) -> Outcome {
        let (Some(wanted), Ok(fd)) = (read_address(call), share_descriptor(call)) else {
            return Ok(Answer::Pass);
        };
        self.drop_interrupted();
        let Some(socket) = self.sockets.find(fd.as_fd()) else {
            return Ok(Answer::Pass);
        };
        if socket.local != Address::UNBOUND {
            return Err(Errno::INVAL);
        }
        socket.local = self.ports.bind(&self.registry, wanted, socket.inode)?;
        DONE
    }

    fn listen(&mut self, call: &Call) -> Outcome {
        let Ok(fd) = share_descriptor(call) else {
            return Ok(Answer::Pass);
        };
        let Some(socket) = self.sockets.find(fd.as_fd()) else {
            return Ok(Answer::Pass);
        };
        let may_listen = [Phase::Fresh, Phase::Listening].contains(&socket.phase);
        if socket.local == Address::UNBOUND || !may_listen {
            return Err(Errno::INVAL);
        }
        self.ports
            .listen(socket.local.port, fd.as_fd(), call.int(1))?;
        socket.phase = Phase::Listening;
        self.serve_enclaves();
        DONE
    }

    /// getsockname(2) and getpeername(2).
    fn name(&mut self, call: &Call) -> Outcome {
        let Ok(fd) = share_descriptor(call) else {
            return Ok(Answer::Pass);
        };
        let is_local = call.number == libc::SYS_getsockname;
        let address = match (self.sockets.find(fd.as_fd()), is_local) {
            (Some(socket), true) => socket.local,
            (Some(socket), false) => match socket.phase {
                Phase::Connected { peer } => peer,
                _ => return Err(Errno::NOTCONN),
            },
            (None, _) => match (self.ports.accepted(fd.as_fd()), is_local) {
                (Some(port), true) => Address {
                    cid: CID_PARENT,
                    port,
                },
                (Some(_), false) => {
                    let mut peers = Peers {
                        registry: &self.registry,
                        cards: &mut self.cards,
                    };
                    peers.address_of(fd.as_fd())
                }
                (None, _) => return Ok(Answer::Pass),
            },
        };
        write_address(call, address)?;
        DONE
    }

    fn dialler(&mut self) -> Dialler<'_> {
        Dialler {
            reports: &self.reports,
            registry: &self.registry,
            ports: &self.ports,
            sockets: &mut self.sockets,
            dials: &mut self.dials,
        }
    }

    /// Goes on with everything that waits.
    fn proceed(&mut self) {
        let now = Instant::now();
        if now.duration_since(self.last_tick) >= TICK {
            self.last_tick = now;
            self.drop_interrupted();
            self.serve_enclaves();
        } else if self.linking_until.is_some() {
            self.serve_enclaves();
        }
        self.proceed_accepts(now);
        self.proceed_dials(now);
    }

    fn proceed_accepts(&mut self, now: Instant) {
        for waiting in std::mem::take(&mut self.accepts.waiting) {
            // Interrupted, or its process is gone and its number may be another's by now: nothing may be
            // written there, and the connection is for the next call.
            if !self.reports.is_waiting(waiting.call.id) {
                continue;
            }
            let mut peers = Peers {
                registry: &self.registry,
                cards: &mut self.cards,
            };
            let outcome = match self.accepts.proceed(&waiting, &mut peers) {
                Ok(Answer::Wait) if waiting.deadline.is_some_and(|at| now >= at) => {
                    Err(Errno::AGAIN)
                }
                outcome => outcome,
            };
            if matches!(outcome, Ok(Answer::Wait)) {
                self.accepts.waiting.push(waiting);
            } else if let Some(connection) = self.finish(&waiting.call, outcome) {
                self.accepts.keep(waiting.listener.as_fd(), connection);
            }
        }
    }

    fn proceed_dials(&mut self, now: Instant) {
        for mut dial in std::mem::take(&mut self.dials) {
            let Some(result) = dial.proceed(now) else {
                self.dials.push(dial);
                continue;
            };
            let is_told = self.reports.answer(dial.call.id, result.map(|_| 0)).is_ok();
            if let Some(socket) = self.sockets.find(dial.socket.as_fd()) {
                dial.end(socket, result, is_told);
            }
        }
    }

    /// A program that was interrupted or killed no longer waits; what it waited on may then close.
    fn drop_interrupted(&mut self) {
        let reports = &self.reports;
        self.accepts
            .waiting
            .retain(|waiting| reports.is_waiting(waiting.call.id));
    }

    fn on_registry_change(&mut self) {
        while rustix::io::read(&self.watch, &mut [0_u8; 4096]).is_ok_and(|count| count > 0) {}
        self.cards.clear();
        self.linking_until = Some(Instant::now() + STARTING_TIME);
        self.serve_enclaves();
    }

    fn serve_enclaves(&mut self) {
        let is_complete = self.ports.serve(&self.registry);
        if is_complete
            || self
                .linking_until
                .is_some_and(|until| Instant::now() > until)
        {
            self.linking_until = None;
        } else if self.linking_until.is_none() {
            self.linking_until = Some(Instant::now() + STARTING_TIME);
        }
    }
}

/// `IOCTL_VM_SOCKETS_GET_LOCAL_CID` of /dev/vsock.
fn local_cid(call: &Call) -> Outcome {
    let is_device = share_descriptor(call)
        .and_then(fstat)
        .is_ok_and(|file| FileType::from_raw_mode(file.st_mode) == FileType::CharacterDevice);
    if !is_device {
        return Ok(Answer::Pass);
    }
    write_memory(call.thread, call.pointer(2), &CID_PARENT.to_ne_bytes())?;
    DONE
}
