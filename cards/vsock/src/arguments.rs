//! The command line.

use std::os::fd::RawFd;
use std::path::PathBuf;
use std::str::FromStr;

use cloister_confine::inherited::parse_descriptor;

use crate::limits::Limits;
use crate::policy::{Policy, PortSet, PortSetError, Ports};

pub const USAGE: &str = "\
usage: cloister-vsock --guest-cid N --vhost-user PATH|fd=N --uds-path PATH [option...]
  --guest-cid N               the guest's CID, 4 to 4294967294
  --vhost-user PATH|fd=N      where the VMM connects: a path to listen at, or a listening socket
  --uds-path PATH             where the host connects; it listens for port P at PATH_P
  --channel fd=N              stream socket to the keeper: JSON lines; the card exits at its end
  --reserved-ports PORTS      parent ports that stay open (default 9000-9002)
  --reserved-guest-ports PORTS  guest ports that stay open (default none)
  --parent-ports PORTS        further ports the guest may dial (default none)
  --guest-ports PORTS         ports the host may dial (default none)
                              PORTS: all, none, or a list such as 9000-9002,8080
  --max-connections N         open at once (default 2048)
  --max-connections-per-second N  new ones, each direction (default 4096)
  --max-buffer-bytes N        held for slow readers on the host (default 134217728)
  --host-vsock                dial a parent port without a listener at PATH_P at the host's AF_VSOCK
  --kernel fd=N               an open /dev/vhost-vsock: the guest's CID becomes one of this host
  --exit-on-disconnect        exit once the VMM has gone, instead of waiting for the next
";

/// Where the VMM connects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    Path(PathBuf),
    Descriptor(RawFd),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arguments {
    pub guest_cid: u64,
    pub vhost_user: Endpoint,
    pub uds_path: PathBuf,
    pub channel: Option<RawFd>,
    pub policy: Policy,
    pub limits: Limits,
    pub host_vsock: bool,
    pub kernel: Option<RawFd>,
    pub exit_on_disconnect: bool,
}

impl Arguments {
    /// # Errors
    /// A sentence for the user when an option is unknown, missing or out of range.
    pub fn parse(words: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut words = words.into_iter();
        let mut draft = Draft::new();
        while let Some(option) = words.next() {
            match option.as_str() {
                "--exit-on-disconnect" => draft.exit_on_disconnect = true,
                "--host-vsock" => draft.host_vsock = true,
                _ => draft.take(&option, words.next())?,
            }
        }
        draft.finish()
    }
}

struct Draft {
    guest_cid: Option<u64>,
    vhost_user: Option<Endpoint>,
    uds_path: Option<PathBuf>,
    channel: Option<RawFd>,
    reserved: Option<PortSet>,
    reserved_guest_ports: PortSet,
    open: Ports,
    limits: Limits,
    host_vsock: bool,
    kernel: Option<RawFd>,
    exit_on_disconnect: bool,
}

impl Draft {
    fn new() -> Self {
        Self {
            guest_cid: None,
            vhost_user: None,
            uds_path: None,
            channel: None,
            reserved: None,
            reserved_guest_ports: PortSet::none(),
            open: Ports::none(),
            limits: Limits::default(),
            host_vsock: false,
            kernel: None,
            exit_on_disconnect: false,
        }
    }

    fn policy(&self) -> Result<Policy, PortSetError> {
        let closed = self
            .reserved
            .clone()
            .map_or_else(Policy::default, Policy::closed);
        closed
            .with_reserved_guest_ports(&self.reserved_guest_ports)?
            .with_open(&self.open)
    }

    fn take(&mut self, option: &str, value: Option<String>) -> Result<(), String> {
        let value = value.ok_or_else(|| format!("{option} needs a value"))?;
        self.set(option, &value)
            .map_err(|()| format!("{option} {value}: no such option or value"))
    }

    fn set(&mut self, option: &str, value: &str) -> Result<(), ()> {
        match option {
            "--guest-cid" => self.guest_cid = Some(parse_guest_cid(value)?),
            "--vhost-user" => self.vhost_user = Some(parse_endpoint(value)?),
            "--uds-path" => self.uds_path = Some(value.into()),
            "--channel" => self.channel = Some(parse_descriptor(value).map_err(|_| ())?),
            "--kernel" => self.kernel = Some(parse_descriptor(value).map_err(|_| ())?),
            "--reserved-ports" => self.reserved = Some(parse(value)?),
            "--reserved-guest-ports" => self.reserved_guest_ports = parse(value)?,
            "--parent-ports" => self.open.parent_ports = parse(value)?,
            "--guest-ports" => self.open.guest_ports = parse(value)?,
            "--max-connections" => self.limits.connections = parse(value)?,
            "--max-connections-per-second" => self.limits.connections_per_second = parse(value)?,
            "--max-buffer-bytes" => self.limits.buffer_bytes = parse(value)?,
            _ => return Err(()),
        }
        Ok(())
    }

    fn finish(self) -> Result<Arguments, String> {
        let missing = |option: &str| format!("{option} is missing");
        let policy = self.policy().map_err(|error| error.to_string())?;
        if self.host_vsock && self.kernel.is_some() {
            return Err("--host-vsock and --kernel exclude each other".to_owned());
        }
        Ok(Arguments {
            guest_cid: self.guest_cid.ok_or_else(|| missing("--guest-cid"))?,
            vhost_user: self.vhost_user.ok_or_else(|| missing("--vhost-user"))?,
            uds_path: self.uds_path.ok_or_else(|| missing("--uds-path"))?,
            channel: self.channel,
            policy,
            limits: self.limits,
            host_vsock: self.host_vsock,
            kernel: self.kernel,
            exit_on_disconnect: self.exit_on_disconnect,
        })
    }
}

fn parse<T: FromStr>(value: &str) -> Result<T, ()> {
    value.parse().map_err(|_| ())
}

/// 0 to 3 are taken (any, local, host, parent), and the last one means any.
fn parse_guest_cid(value: &str) -> Result<u64, ()> {
    let cid: u32 = parse(value)?;
    (4..u32::MAX)
        .contains(&cid)
        .then_some(u64::from(cid))
        .ok_or(())
}

fn parse_endpoint(value: &str) -> Result<Endpoint, ()> {
    if value.starts_with("fd=") {
        return parse_descriptor(value)
            .map(Endpoint::Descriptor)
            .map_err(|_| ());
    }
    Ok(Endpoint::Path(value.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_line(line: &str) -> Result<Arguments, String> {
        Arguments::parse(line.split(' ').map(str::to_owned))
    }

    #[test]
    fn takes_paths_and_descriptors() {
        let arguments =
            parse_line("--guest-cid 16 --vhost-user fd=5 --uds-path v.sock --channel fd=3")
                .unwrap();
        assert_eq!(arguments.vhost_user, Endpoint::Descriptor(5));
        assert_eq!(arguments.channel, Some(3));
        assert_eq!(arguments.policy, Policy::default());
    }

    #[test]
    fn refuses_reserved_cids_and_standard_streams() {
        for bad in [
            "--guest-cid 3",
            "--guest-cid 4294967295",
            "--channel fd=2",
            "--vhost-user fd=0",
        ] {
            let line = format!("--guest-cid 16 --vhost-user v --uds-path u {bad}");
            assert!(parse_line(&line).is_err(), "{bad}");
        }
    }

    #[test]
    fn takes_one_vsock_of_the_host_at_most() {
        let line = "--guest-cid 16 --vhost-user v --uds-path u --kernel fd=5";
        assert_eq!(parse_line(line).unwrap().kernel, Some(5));
        assert!(parse_line(&format!("{line} --host-vsock")).is_err());
    }

    #[test]
    fn refuses_what_is_missing_or_unknown() {
        for line in ["--guest-cid 16", "--guest-cid", "--frobnicate 1"] {
            assert!(parse_line(line).is_err(), "{line}");
        }
    }
}
