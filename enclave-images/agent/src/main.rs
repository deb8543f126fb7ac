//! The guest agent: PID 1 of an enclave. The order follows AWS's init
//! (aws-nitro-enclaves-sdk-bootstrap), with what that leaves out: `lo`, entropy, working directory, user, exit status).
//!
//! `unsafe` lives in `kernel` alone, which holds the calls that have no safe wrapper.
#![deny(unsafe_code)]
// std's own start-up aborts when descriptors 0 to 2 are closed and /dev/null cannot be opened,
// which is how the kernel starts PID 1 when there is no console. So the agent has its own entry.
#![cfg_attr(not(test), no_main)]

mod app;
mod console;
mod control;
mod cuse;
mod entropy;
mod event;
mod failure;
mod frame;
mod heartbeat;
#[allow(unsafe_code)]
mod kernel;
mod manifest;
mod mounts;
mod nsm;
mod parent;
mod power;
mod rootfs;

use app::App;
use event::Event;
use failure::{Failure, Step};
use manifest::Manifest;
use std::panic;
use std::sync::Arc;

/// Called by the entry point in `kernel`; never returns in an enclave.
fn run() -> i32 {
    if std::process::id() != 1 {
        console::say("cloister-agent is the init process of an enclave; it does nothing elsewhere");
        return 64;
    }
    panic::set_hook(Box::new(|panic| {
        end(&Event::failed("agent", &panic.to_string()))
    }));
    let app = boot().unwrap_or_else(|failure| end(&failure.into()));
    end(&app.wait().unwrap_or_else(|failure| failure.into()))
}

/// From nothing to a running app. Control comes as early as it can: from then on a failing step
/// reaches the parent in words.
fn boot() -> Result<Arc<App>, Failure> {
    mounts::mount_devices().step("mount /dev")?;
    console::attach().step("open the standard streams")?;
    let control = control::connect().step("connect to the parent's control port 9002")?;
    let manifest = Manifest::read().step("read cloister.yaml")?;
    rootfs::enter().step("enter /rootfs")?;
    mounts::mount_all()?;
    kernel::bring_up_loopback().step("bring up lo")?;
    heartbeat::exchange().step("heartbeat on the parent's port 9000")?;
    let mut nsm = nsm::Channel::default();
    entropy::seed(&mut nsm).step("get entropy from the NSM")?;
    if !nsm::is_offered_by_kernel() {
        cuse::offer(nsm).step("offer /dev/nsm")?;
    }
    let app = App::start(&manifest)?;
    control.send(&Event::Started { pid: app.pid() });
    control::serve(control, Arc::clone(&app)).step("serve the control port")?;
    Ok(app)
}

/// Tells the parent how the enclave ends, waits until the parent has it, and powers off.
fn end(event: &Event) -> ! {
    console::say(&event.to_string());
    control::report_end(event);
    power::off()
}
