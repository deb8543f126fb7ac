//! Processes beside the app, each as a user of its own without privileges, and started again whenever it
//! ends. Their program is another one (`cloister-companion`), which is in an image whose manifest asks for
//! any of them.
#![forbid(unsafe_code)]

use crate::manifest::User;
use crate::surroundings::attempt;
use crate::{console, kernel};
use nix::sys::memfd::{MFdFlags, memfd_create};
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, ErrorKind, Seek, Write};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// In the initramfs, beside the application's files.
const PROGRAM: &str = "/companion";
/// How long a companion stays away after its end, doubled each time it ends soon.
const MIN_PAUSE: Duration = Duration::from_millis(100);
const MAX_PAUSE: Duration = Duration::from_secs(10);

/// Gives a new process what it is to have.
type Equip = Box<dyn Fn(&mut Command) -> io::Result<()> + Send>;

/// What one companion is, and how it starts.
pub struct Companion {
    /// Its first argument, by which it knows its role.
    pub name: &'static str,
    pub user: User,
    /// What the console says when it has ended.
    pub farewell: &'static str,
    /// Gives a new process its descriptors.
    pub equip: Equip,
}

/// User and group of a companion: `id`, or the next one where the app has that. No image has either, as
/// distributions give out smaller numbers.
pub fn user(id: u32, app_uid: u32) -> User {
    let id = if app_uid == id { id + 1 } else { id };
    User {
        uid: id,
        gid: id,
        groups: Vec::new(),
    }
}

/// Bytes for a companion to read, in a file without a name, at its beginning.
pub fn file_of(name: &str, bytes: &[u8]) -> io::Result<File> {
    let mut file = File::from(memfd_create(name, MFdFlags::MFD_CLOEXEC)?);
    file.write_all(bytes)?;
    file.rewind()?;
    Ok(file)
}

/// Opens the companions' program, where the image has it. To be called in the initramfs, which the app's
/// root hides.
pub fn open_program() -> io::Result<Option<File>> {
    match File::open(PROGRAM) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        result => result.map(Some),
    }
}

/// The companions that run, by name, while they are not reaped.
pub struct Companions {
    program: Option<File>,
    processes: Mutex<HashMap<&'static str, u32>>,
    ended: Condvar,
}

impl Companions {
    /// None yet.
    pub fn of(program: Option<File>) -> Arc<Self> {
        Arc::new(Self {
            program,
            processes: Mutex::default(),
            ended: Condvar::default(),
        })
    }

    /// Starts a companion, and a thread that starts it again.
    pub fn start(self: &Arc<Self>, companion: Companion) -> io::Result<()> {
        self.start_process(&companion)?;
        let companions = Arc::clone(self);
        thread::Builder::new()
            .name(companion.name.trim_start_matches("cloister-").into())
            .spawn(move || companions.supervise(&companion))?;
        Ok(())
    }

    /// Nothing is reaped meanwhile.
    fn start_process(&self, companion: &Companion) -> io::Result<()> {
        let mut processes = self.lock();
        let program = self.program.as_ref().ok_or_else(no_program)?;
        let mut command = Command::new(format!("/proc/self/fd/{}", program.as_raw_fd()));
        command.arg0(companion.name).env_clear().current_dir("/");
        (companion.equip)(&mut command)?;
        kernel::become_user_before_exec(&mut command, &companion.user);
        processes.insert(companion.name, command.spawn()?.id());
        Ok(())
    }

    fn supervise(&self, companion: &Companion) {
        let mut pause = MIN_PAUSE;
        loop {
            let started = Instant::now();
            self.wait_for_end(companion.name);
            console::say(companion.farewell);
            pause = if started.elapsed() > MAX_PAUSE {
                MIN_PAUSE
            } else {
                pause
            };
            thread::sleep(pause);
            pause = (2 * pause).min(MAX_PAUSE);
            let what = format!("start {} again", companion.name);
            attempt(&what, self.start_process(companion));
        }
    }

    fn wait_for_end(&self, name: &str) {
        let mut processes = self.lock();
        while processes.contains_key(name) {
            processes = self
                .ended
                .wait(processes)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Has `reap` reap a process that has ended, while none is being started.
    pub fn reap<R>(&self, pid: u32, reap: impl FnOnce(u32) -> R) -> R {
        let mut processes = self.lock();
        let result = reap(pid);
        processes.retain(|_, process| *process != pid);
        self.ended.notify_all();
        result
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<&'static str, u32>> {
        self.processes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn no_program() -> io::Error {
    io::Error::new(
        ErrorKind::NotFound,
        format!("the image has no {PROGRAM}, which its manifest asks for"),
    )
}
