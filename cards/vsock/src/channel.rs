//! The card channel: JSON lines over an inherited stream socket. The keeper is trusted, but a
//! line is bounded, and no further request is read while an answer waits to be taken.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::device::Device;
use crate::limits::Limits;
use crate::policy::{Policy, PortSet, PortSetError, Ports};
use crate::reactor::{EventFlags, Reactor};

const MAX_REQUEST_BYTES: usize = 64 * 1024;

/// `{"id": any, "request": ..., ...}`; the answer repeats the id.
#[derive(Deserialize)]
struct Request {
    #[serde(default)]
    id: Value,
    #[serde(flatten)]
    body: RequestBody,
}

#[derive(Deserialize)]
#[serde(
    tag = "request",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
enum RequestBody {
    /// Counters, limits, policy and totals.
    Status,
    /// Every connection.
    Connections,
    /// Opens ports beside those that are open.
    OpenPorts(PortLists),
    /// Closes ports; the reserved ones stay open.
    ClosePorts(PortLists),
    SetLimits {
        limits: Limits,
    },
}

/// Ports as their owner writes them; what is left out is `none`.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PortLists {
    parent_ports: Option<String>,
    guest_ports: Option<String>,
}

impl PortLists {
    fn parse(&self) -> Result<Ports, PortSetError> {
        let set = |text: &Option<String>| text.as_deref().map_or(Ok(PortSet::none()), str::parse);
        Ok(Ports {
            parent_ports: set(&self.parent_ports)?,
            guest_ports: set(&self.guest_ports)?,
        })
    }
}

/// The channel's end; `Gone` once the keeper has closed its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeper {
    Present,
    Gone,
}

pub struct Channel {
    socket: UnixStream,
    inbox: Vec<u8>,
    outbox: Vec<u8>,
}

impl Channel {
    pub const TOKEN: u64 = u64::MAX - 17;

    /// # Errors
    /// When the socket cannot be watched.
    pub fn new(socket: UnixStream, reactor: &Reactor) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let events = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        reactor.add(socket.as_fd(), Self::TOKEN, events)?;
        Ok(Self {
            socket,
            inbox: Vec::new(),
            outbox: Vec::new(),
        })
    }

    /// Tells the keeper something it did not ask for: `{"event": ..., ...}`.
    pub fn tell(&mut self, event: &impl Serialize) {
        self.queue(event);
        self.flush();
    }

    /// Answers what the keeper has asked, as far as it takes the answers.
    pub fn on_ready(&mut self, device: &mut Device) -> Keeper {
        loop {
            self.flush();
            if !self.outbox.is_empty() {
                return Keeper::Present;
            }
            if let Some(line) = self.take_line() {
                let answer = answer(&line, device);
                self.queue(&answer);
                continue;
            }
            let mut bytes = [0; 4096];
            match recv(&self.socket, &mut bytes, RecvFlags::DONTWAIT) {
                Ok((_, 0)) => return Keeper::Gone,
                Ok((_, count)) => self.inbox.extend_from_slice(&bytes[..count]),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Keeper::Present,
                Err(_) => return Keeper::Gone,
            }
            if self.inbox.len() > MAX_REQUEST_BYTES {
                return Keeper::Gone; // not our keeper
            }
        }
    }

    fn take_line(&mut self) -> Option<Vec<u8>> {
        let end = self.inbox.iter().position(|byte| *byte == b'\n')?;
        Some(self.inbox.drain(..=end).collect())
    }

    fn queue(&mut self, message: &impl Serialize) {
        // Writing plain data to memory does not fail.
        if serde_json::to_writer(&mut self.outbox, message).is_ok() {
            self.outbox.push(b'\n');
        }
    }

    fn flush(&mut self) {
        while !self.outbox.is_empty() {
            match send(
                &self.socket,
                &self.outbox,
                SendFlags::NOSIGNAL | SendFlags::DONTWAIT,
            ) {
                Ok(count) => drop(self.outbox.drain(..count)),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                Err(_) => self.outbox.clear(), // gone; reading says so next
            }
        }
    }
}

/// The answer to one line without its line feed.
#[must_use]
pub fn answer(line: &[u8], device: &mut Device) -> Value {
    match serde_json::from_slice::<Request>(line) {
        Ok(request) => {
            let id = request.id;
            match perform(request.body, device) {
                Ok(result) => json!({ "id": id, "result": result }),
                Err(error) => json!({ "id": id, "error": error }),
            }
        }
        Err(error) => json!({
            "id": id_of(line),
            "error": { "code": "ERR_VSOCK_CONTROL", "message": error.to_string() },
        }),
    }
}

/// The id of a line that is not a valid request, when it has one.
fn id_of(line: &[u8]) -> Value {
    let value: Option<Value> = serde_json::from_slice(line).ok();
    value
        .and_then(|value| value.get("id").cloned())
        .unwrap_or_default()
}

/// An error as the keeper reads it: `ERR_VSOCK_PORTS` for a bad port list.
#[derive(Serialize)]
struct Failure {
    code: &'static str,
    message: String,
}

fn perform(body: RequestBody, device: &mut Device) -> Result<Value, Failure> {
    match body {
        RequestBody::Status => {}
        RequestBody::Connections => return Ok(json!(device.connections())),
        RequestBody::OpenPorts(lists) => change(device, &lists, Policy::with_open)?,
        RequestBody::ClosePorts(lists) => change(device, &lists, Policy::with_closed)?,
        RequestBody::SetLimits { limits } => device.set_limits(limits),
    }
    Ok(status(device))
}

fn change(
    device: &mut Device,
    lists: &PortLists,
    apply: fn(&Policy, &Ports) -> Result<Policy, PortSetError>,
) -> Result<(), Failure> {
    let changed = lists
        .parse()
        .and_then(|ports| apply(device.policy(), &ports));
    let policy = changed.map_err(|error| Failure {
        code: "ERR_VSOCK_PORTS",
        message: error.to_string(),
    })?;
    device.set_policy(policy);
    Ok(())
}

fn status(device: &Device) -> Value {
    json!({
        "guestCid": device.guest_cid(),
        "parentPorts": device.policy().open().parent_ports.to_string(),
        "guestPorts": device.policy().open().guest_ports.to_string(),
        "limits": device.limits(),
        "connections": device.connection_count(),
        "bufferedBytes": device.buffered_bytes(),
        "counters": device.counters(),
    })
}
