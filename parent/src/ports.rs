//! Ports of the parent that the program serves. One listening unix socket serves a port for every
//! enclave: it is bound below `<runtime>/parents/<pid>/`, and each enclave's vsock card finds it by a
//! hard link, also the card of an enclave that starts later.

use std::collections::HashMap;
use std::fs::{self, DirBuilder, File, Metadata, Permissions};
use std::io::{self, ErrorKind};
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use rustix::net::{SocketAddrUnix, bind, getsockname, listen};

use crate::address::{ANY, Address, CID_HOST, CID_LOCAL, CID_PARENT};
use crate::live_sockets::live_unix_sockets;
use crate::registry::{Enclave, Registry};

/// The keeper's own (docs/protocols.md).
const RESERVED: std::ops::RangeInclusive<u32> = 9000..=9003;
/// Given to programs that leave the choice to us; Linux takes a random one above 1023.
const FIRST_CHOSEN: u32 = 0x4000_0000;

struct Port {
    /// Of the socket that is bound to it.
    inode: u64,
    is_listening: bool,
}

pub struct Ports {
    parents: PathBuf,
    staging: Option<Staging>,
    bound: HashMap<u32, Port>,
    next_chosen: u32,
}

impl Ports {
    #[must_use]
    pub fn new(runtime: &Path) -> Self {
        Self {
            parents: runtime.join("parents"),
            staging: None,
            bound: HashMap::new(),
            next_chosen: FIRST_CHOSEN,
        }
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bound.is_empty()
    }

    /// Gives a port to a socket, as bind(2) of vsock does.
    ///
    /// # Errors
    /// `EADDRNOTAVAIL` for a CID that is not the parent's, `EADDRINUSE`
    pub fn bind(
        &mut self,
        registry: &Registry,
        wanted: Address,
        inode: u64,
    ) -> Result<Address, Errno> {
        if ![ANY, CID_LOCAL, CID_HOST, CID_PARENT].contains(&wanted.cid) {
            return Err(Errno::ADDRNOTAVAIL);
        }
        self.forget_closed();
        let port = if wanted.port == ANY {
            self.choose()
        } else {
            wanted.port
        };
        if self.bound.contains_key(&port) || RESERVED.contains(&port) {
            return Err(Errno::ADDRINUSE);
        }
        self.open_staging().map_err(|error| errno_of(&error))?;
        let is_served = |enclave: &Enclave| enclave.is_chosen && enclave.port_path(port).exists();
        if registry.enclaves().iter().any(is_served) {
            return Err(Errno::ADDRINUSE);
        }
        self.bound.insert(
            port,
            Port {
                inode,
                is_listening: false,
            },
        );
        Ok(Address { port, ..wanted })
    }

    /// Serves a port that was bound, for the enclaves of now and of later.
    ///
    /// # Errors
    /// As bind(2) and listen(2) of unix sockets.
    pub fn listen(&mut self, port: u32, socket: BorrowedFd<'_>, backlog: i32) -> Result<(), Errno> {
        let staging = self.staging.as_ref().ok_or(Errno::INVAL)?;
        let bound = self.bound.get_mut(&port).ok_or(Errno::INVAL)?;
        if !bound.is_listening {
            let path = staging.path(port);
            bind(socket, &SocketAddrUnix::new(&*path)?)?;
            // The card is a user of its own; the directories above let nobody else in.
            fs::set_permissions(&path, Permissions::from_mode(0o666))
                .map_err(|error| errno_of(&error))?;
            bound.is_listening = true;
        }
        listen(socket, backlog)
    }

    /// Links the ports to the enclaves that have none of the links yet; whether every enclave had a
    /// directory for them.
    pub fn serve(&mut self, registry: &Registry) -> bool {
        self.forget_closed();
        let Some(staging) = &self.staging else {
            return true;
        };
        let ports: Vec<_> = self.listening().collect();
        let enclaves = if ports.is_empty() {
            Vec::new()
        } else {
            registry.enclaves()
        };
        let chosen = enclaves.iter().filter(|enclave| enclave.is_chosen);
        let links = chosen.flat_map(|enclave| ports.iter().map(move |port| (enclave, *port)));
        links.fold(true, |all, (enclave, port)| {
            staging.link(port, enclave) && all
        })
    }

    /// Where a program of ours listens on that port.
    #[must_use]
    pub fn listener(&self, port: u32) -> Option<PathBuf> {
        let is_listening = self
            .bound
            .get(&port)
            .is_some_and(|bound| bound.is_listening);
        is_listening.then(|| self.staging.as_ref().map(|staging| staging.path(port)))?
    }

    /// The port on which a connection was accepted.
    #[must_use]
    pub fn accepted(&self, fd: BorrowedFd<'_>) -> Option<u32> {
        let staging = self.staging.as_ref()?;
        let name = SocketAddrUnix::try_from(getsockname(fd).ok()?).ok()?;
        let path = name.path()?;
        let rest = path
            .to_bytes()
            .strip_prefix(staging.directory.as_os_str().as_bytes())?;
        std::str::from_utf8(rest.strip_prefix(b"/")?)
            .ok()?
            .parse()
            .ok()
    }

    #[must_use]
    pub fn is_accepted(&self, fd: BorrowedFd<'_>) -> bool {
        self.accepted(fd).is_some()
    }

    fn listening(&self) -> impl Iterator<Item = u32> {
        let listening = self.bound.iter().filter(|(_, port)| port.is_listening);
        listening.map(|(port, _)| *port)
    }

    fn choose(&mut self) -> u32 {
        while self.bound.contains_key(&self.next_chosen) {
            self.next_chosen += 1;
        }
        self.next_chosen
    }

    /// Frees the ports whose sockets were closed.
    fn forget_closed(&mut self) {
        if self.bound.is_empty() {
            return;
        }
        let (Some(live), Some(staging)) = (live_unix_sockets(), &self.staging) else {
            return;
        };
        self.bound.retain(|number, port| {
            let is_open = live.contains(&port.inode);
            if !is_open && port.is_listening {
                staging.unlink(*number);
            }
            is_open
        });
    }

    fn open_staging(&mut self) -> io::Result<()> {
        if self.staging.is_none() {
            make_private(&self.parents)?;
            remove_abandoned(&self.parents);
            self.staging = Some(Staging::open(&self.parents)?);
        }
        Ok(())
    }
}

/// The directory of one supervisor's sockets, locked while it lives.
struct Staging {
    directory: PathBuf,
    enclaves: PathBuf,
    _lock: File,
}

impl Staging {
    fn open(parents: &Path) -> io::Result<Self> {
        let directory = parents.join(std::process::id().to_string());
        loop {
            make_private(&directory)?;
            let lock = File::open(&directory)?;
            flock(&lock, FlockOperation::LockExclusive)?;
            // Another supervisor may have taken it for abandoned before it was locked.
            let is_there = |found: Metadata| same_file(&found, &lock.metadata().ok());
            if fs::metadata(&directory).is_ok_and(is_there) {
                return Ok(Self {
                    directory,
                    enclaves: enclaves_beside(parents),
                    _lock: lock,
                });
            }
        }
    }

    fn path(&self, port: u32) -> PathBuf {
        self.directory.join(port.to_string())
    }

    /// Whether the enclave's directory was there. A port that another program serves stays its own.
    fn link(&self, port: u32, enclave: &Enclave) -> bool {
        match fs::hard_link(self.path(port), enclave.port_path(port)) {
            Err(error) => error.kind() != ErrorKind::NotFound,
            Ok(()) => true,
        }
    }

    fn unlink(&self, port: u32) {
        remove_links(&self.path(port), &self.enclaves);
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        remove_directory(&self.directory, &self.enclaves);
    }
}

/// Removes what killed supervisors left.
fn remove_abandoned(parents: &Path) {
    let entries = fs::read_dir(parents).into_iter().flatten().flatten();
    for directory in entries.map(|entry| entry.path()) {
        let Ok(lock) = File::open(&directory) else {
            continue;
        };
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok() {
            remove_directory(&directory, &enclaves_beside(parents));
        }
    }
}

fn remove_directory(directory: &Path, enclaves: &Path) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        remove_links(&entry.path(), enclaves);
    }
    let _ = fs::remove_dir(directory); // gone already, or another port was put there meanwhile
}

/// Removes a socket and its links in the enclaves' directories.
fn remove_links(socket: &Path, enclaves: &Path) {
    let port = socket.file_name().unwrap_or_default().to_string_lossy();
    let original = fs::symlink_metadata(socket).ok();
    for enclave in fs::read_dir(enclaves).into_iter().flatten().flatten() {
        let link = enclave
            .path()
            .join("vsock")
            .join(format!("vsock.sock_{port}"));
        if fs::symlink_metadata(&link).is_ok_and(|found| same_file(&found, &original)) {
            let _ = fs::remove_file(link); // the enclave ends by itself
        }
    }
    let _ = fs::remove_file(socket);
}

fn enclaves_beside(parents: &Path) -> PathBuf {
    parents.with_file_name("enclaves")
}

fn same_file(one: &Metadata, other: &Option<Metadata>) -> bool {
    let id = |file: &Metadata| (file.dev(), file.ino());
    other.as_ref().is_some_and(|other| id(one) == id(other))
}

fn make_private(directory: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

fn errno_of(error: &io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}
