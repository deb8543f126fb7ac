//! The guest agent: PID 1 of an enclave. The order follows AWS's init
//! (aws-nitro-enclaves-sdk-bootstrap), with what that leaves out: completeness, `lo`, entropy,
//! surroundings, user, exit status.
//!
//! `unsafe` lives in `kernel` alone, which holds the calls that have no safe wrapper.
#![deny(unsafe_code)]
// std's own start-up aborts when descriptors 0 to 2 are closed and /dev/null cannot be opened,
// which is how the kernel starts PID 1 when there is no console. So the agent has its own entry.
#![cfg_attr(not(test), no_main)]

mod api;
mod app;
mod channel;
mod clock;
mod companions;
mod completeness;
mod config;
mod console;
mod cuse;
mod declared;
mod entropy;
mod event;
mod failure;
mod frame;
mod heartbeat;
mod image;
mod ingress;
#[allow(unsafe_code)]
mod kernel;
mod logs;
mod manifest;
mod mounts;
mod network;
mod nsm;
mod parent;
mod power;
mod program;
mod proxy;
mod rootfs;
mod surroundings;
mod tls;
mod volumes;
mod vsock_listener;

use app::App;
use cloister_roles::nsm as nsm_device;
use companions::Companions;
use config::Register;
use declared::Declared;
use event::Event;
use failure::{Failure, Step};
use logs::{Drain, Outlet};
use manifest::Manifest;
use std::panic;
use std::sync::Arc;

/// Called by the entry point in `kernel`; never returns in an enclave.
fn run() -> i32 {
    if std::process::id() != 1 {
        eprintln!("cloister-agent is the init process of an enclave; it does nothing elsewhere");
        return 64;
    }
    panic::set_hook(Box::new(|panic| {
        end(&Event::failed("agent", &panic.to_string()))
    }));
    let (app, logs) = boot().unwrap_or_else(|failure| end(&failure.into()));
    let event = app.wait().unwrap_or_else(|failure| failure.into());
    if let Some(logs) = logs {
        logs.wait();
    }
    end(&event)
}

/// From nothing to a running app. The agent channel comes first: from then on a failing step
/// reaches the parent in words. AWS's parent has no such port; the app then runs on its own.
fn boot() -> Result<(Arc<App>, Option<Drain>), Failure> {
    let channel = channel::connect();
    mounts::mount_devices().step("mount /dev")?;
    console::attach().step("open the standard streams")?;
    if let Err(error) = &channel {
        console::say(&format!(
            "no agent channel, so the app's exit status will not be reported: {error}"
        ));
    }
    let image_bytes = completeness::check()?;
    let mut manifest = Manifest::read().step("read cloister.yaml")?;
    let program = companions::open_program().step("open the companions' program")?;
    if let Some(bytes) = image_bytes {
        image::mount_root(bytes).step("mount the root file system's image")?;
    }
    rootfs::enter().step("enter /rootfs")?;
    mounts::mount_all()?;
    volumes::mount_all(&manifest.volumes)?;
    kernel::bring_up_loopback().step("bring up lo")?;
    heartbeat::exchange().step("heartbeat on the parent's port 9000")?;
    let register = offer_nsm()?;
    surroundings::prepare(&mut manifest);
    config::take(&register, channel.as_ref().ok().copied()).step("take the configuration")?;
    if let Ok(channel) = &channel {
        clock::set(channel).step("set the clock")?;
    }
    let companions = Companions::of(program);
    start_companions(&companions, manifest.declared.as_ref(), manifest.user.uid)?;
    proxy::name(&mut manifest);
    let outlet = Outlet::open(manifest.declared.as_ref().map(|it| &it.logs));
    let (app, logs) = App::start(&manifest, outlet, companions)?;
    if let Ok(channel) = channel {
        channel.send(&Event::Started { pid: app.pid() });
        channel::serve(channel, Arc::clone(&app)).step("serve the agent channel")?;
        clock::keep(channel).step("keep the clock")?;
    }
    Ok((app, logs))
}

/// What the manifest asks for beside the app.
fn start_companions(
    companions: &Arc<Companions>,
    declared: Option<&Declared>,
    app_uid: u32,
) -> Result<(), Failure> {
    let Some(declared) = declared else {
        return Ok(());
    };
    if let Some(policy) = &declared.egress {
        let started = network::prepare(policy, app_uid).and_then(|it| companions.start(it));
        started.step("start the network")?;
        if declared.proxy {
            let started = proxy::prepare(policy, app_uid).and_then(|it| companions.start(it));
            started.step("start the proxy")?;
        }
    }
    if declared.api {
        let started = api::prepare(app_uid).and_then(|it| companions.start(it));
        started.step("start the guest's API")?;
    }
    if !declared.tls.is_empty() {
        let started = tls::prepare(&declared.tls, app_uid).and_then(|it| companions.start(it));
        started.step("start attested TLS")?;
    }
    let published = ingress::published(declared);
    if !published.ports.is_empty() {
        let started = ingress::prepare(&published, app_uid).and_then(|it| companions.start(it));
        started.step("start the way in to published ports")?;
    }
    Ok(())
}

/// The kernel's NSM where the machine has one, else the parent's behind a device of ours. Returns PCR16
/// as it was before the app could reach it.
fn offer_nsm() -> Result<Register, Failure> {
    const SEED: &str = "get entropy from the NSM";
    const READ: &str = "read PCR16 from the NSM";
    if let Some(device) = nsm_device::open().step("open /dev/nsm")? {
        entropy::seed(|request| nsm_device::call(&device, request)).step(SEED)?;
        entropy::select_generator().step("choose the random number generator")?;
        return Register::read(|request| nsm_device::call(&device, request)).step(READ);
    }
    let mut nsm = nsm::Channel::default();
    entropy::seed(|request| nsm.call(request)).step(SEED)?;
    let register = Register::read(|request| nsm.call(request)).step(READ)?;
    cuse::offer(nsm).step("offer /dev/nsm")?;
    Ok(register)
}

/// Says how the enclave ends, on the console and to the parent, and powers off: within seconds,
/// whatever the parent does.
fn end(event: &Event) -> ! {
    console::say(&event.to_string());
    console::drain();
    channel::report_end(event);
    power::off()
}
