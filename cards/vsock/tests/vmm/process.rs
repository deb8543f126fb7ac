//! The card as a process, with its keeper's channel in our hands.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::{FdFlags, fcntl_setfd};
use serde_json::Value;

/// Longer than anything takes that is not stuck.
pub const PATIENCE: Duration = Duration::from_secs(20);
static CARDS: AtomicU32 = AtomicU32::new(0);

pub struct CardProcess {
    child: Child,
    keeper: BufReader<UnixStream>,
    directory: PathBuf,
}

impl CardProcess {
    pub fn start(options: &[&str]) -> Self {
        let number = CARDS.fetch_add(1, Ordering::Relaxed);
        let name = format!("vsock-vmm-{}-{number}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        fs::create_dir(&directory).unwrap();
        let (keeper, end) = UnixStream::pair().unwrap();
        fcntl_setfd(&end, FdFlags::empty()).unwrap(); // the card inherits it
        let child = Command::new(env!("CARGO_BIN_EXE_cloister-vsock"))
            .current_dir(&directory)
            .args([
                "--guest-cid",
                "16",
                "--vhost-user",
                "vmm",
                "--uds-path",
                "v",
            ])
            .args(["--channel", &format!("fd={}", end.as_raw_fd())])
            .args(options)
            .stderr(fs::File::create(directory.join("stderr")).unwrap())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        keeper.set_read_timeout(Some(PATIENCE)).unwrap();
        let keeper = BufReader::new(keeper);
        let mut card = Self {
            child,
            keeper,
            directory,
        };
        card.await_event("ready");
        card
    }

    pub fn vmm_socket(&self) -> PathBuf {
        self.directory.join("vmm")
    }

    fn next_message(&mut self) -> Value {
        let mut line = String::new();
        self.keeper
            .read_line(&mut line)
            .expect("a line of the card");
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("the card ended: {}", self.stderr()))
    }

    /// The next such event; others are passed over.
    pub fn await_event(&mut self, name: &str) -> Value {
        loop {
            let message = self.next_message();
            if message["event"] == name {
                return message;
            }
        }
    }

    pub fn status(&mut self) -> Value {
        let request = b"{\"id\":0,\"request\":\"status\"}\n";
        self.keeper.get_ref().write_all(request).unwrap();
        loop {
            let message = self.next_message();
            if message.get("id").is_some() {
                return message["result"].clone();
            }
        }
    }

    pub fn stderr(&self) -> String {
        fs::read_to_string(self.directory.join("stderr")).unwrap()
    }

    /// Open descriptors and threads.
    pub fn counts(&self) -> [usize; 2] {
        ["fd", "task"].map(|name| self.proc_entries(name))
    }

    /// Waits until there are no more than these: a thread that has ended is listed for a moment longer.
    pub fn await_counts(&self, most: [usize; 2]) {
        let deadline = Instant::now() + PATIENCE;
        while (0..2).any(|kind| self.counts()[kind] > most[kind]) {
            let counts = self.counts();
            assert!(Instant::now() < deadline, "{counts:?} are left of {most:?}");
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn proc_entries(&self, name: &str) -> usize {
        let path = Path::new("/proc").join(self.child.id().to_string());
        fs::read_dir(path.join(name)).unwrap().count()
    }

    /// How the card ends by itself; one that does not is a failure.
    pub fn end(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            thread::sleep(Duration::from_millis(5));
        }
        panic!("the card goes on");
    }
}

impl Drop for CardProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let stderr = self.stderr();
        let _ = fs::remove_dir_all(&self.directory);
        assert!(
            thread::panicking() || !stderr.contains("panicked"),
            "{stderr}"
        );
    }
}
