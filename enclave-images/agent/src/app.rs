//! The app: started as the image says, reaped with everything it left behind.
#![forbid(unsafe_code)]

use crate::companions::Companions;
use crate::event::Event;
use crate::failure::{Failure, Step};
use crate::logs::{Drain, Outlet};
use crate::manifest::Manifest;
use crate::{kernel, program, surroundings};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};
use std::sync::{Arc, Mutex, PoisonError};

/// The app's first process, which leads its session and process group.
pub struct App {
    pid: u32,
    /// False once the process is reaped: its number may then be another's.
    exists: Mutex<bool>,
    companions: Arc<Companions>,
}

impl App {
    /// Starts the app with the environment, working directory and user of the manifest.
    /// What may leave of its streams goes through `outlet`; without one they are the agent's own.
    pub fn start(
        manifest: &Manifest,
        mut outlet: Option<Outlet>,
        companions: Arc<Companions>,
    ) -> Result<(Arc<Self>, Option<Drain>), Failure> {
        let workdir = &manifest.workdir;
        let enter = format!("enter the workdir {}", workdir.display());
        surroundings::make_workdir(workdir).step(&enter)?;
        let program = &manifest.argv[0];
        let mut command = Command::new(program);
        command
            .args(&manifest.argv[1..])
            .env_clear()
            .envs(manifest.variables())
            .current_dir(workdir);
        if let Some(outlet) = &mut outlet {
            let attached = outlet.attach(&mut command, manifest.user.uid);
            attached.step("make the app's streams")?;
        }
        kernel::become_user_before_exec(&mut command, &manifest.user);
        let child = command.spawn().map_err(|error| {
            let why = program::explain(program, &manifest.variable("PATH"), workdir);
            let why = why.unwrap_or_else(|| error.to_string());
            Failure::new(format!("start {}", program.display()), why)
        })?;
        // The pipes end with the app only when nothing of the agent holds their other ends.
        drop(command);
        let logs = outlet.map(Outlet::start).transpose();
        let app = Arc::new(Self {
            pid: child.id(),
            exists: Mutex::new(true),
            companions,
        });
        Ok((app, logs.step("read the app's streams")?))
    }

    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Signals the app's process group; without effect once the app is gone.
    pub fn signal(&self, signal: u8) {
        let exists = self.exists.lock().unwrap_or_else(PoisonError::into_inner);
        if *exists {
            kernel::signal_group(self.pid, signal);
        }
    }

    /// Reaps every child until the app's first process ends; says how it ended.
    pub fn wait(&self) -> Result<Event, Failure> {
        loop {
            let pid = kernel::wait_for_any_child().step("wait for the app")?;
            let mut exists = self.exists.lock().unwrap_or_else(PoisonError::into_inner);
            // Fails for a process that is gone already: one that a companion's start has reaped itself.
            let status = self.companions.reap(pid, kernel::reap);
            if pid == self.pid {
                *exists = false;
                return Ok(end_of(status.step("reap the app")?));
            }
        }
    }
}

/// Statuses and signals are numbers from 0 to 255.
fn end_of(status: ExitStatus) -> Event {
    match status.signal() {
        Some(signal) => Event::Signaled {
            signal: signal.unsigned_abs(),
        },
        None => Event::Exited {
            code: status.code().unwrap_or_default().unsigned_abs(),
        },
    }
}
