//! The way to a target, if the rules allow it. A name is looked up and decided here, and its connection is asked of the
//! network card by name, which decides again. An address goes through the guest's network like any program's: which
//! names gave it is netd's knowledge.
#![forbid(unsafe_code)]

use crate::lookup;
use crate::target::{Host, Target};
use cloister_egress_policy::decision::Explanation;
use cloister_egress_policy::dns::Answer;
use cloister_egress_policy::wire::{Request, Status};
use cloister_egress_policy::{
    Decision, Flow, GUEST_ADDRESS, GUEST_ADDRESS_V6, LearnedNames, Name, PARENT_PORT, Policy,
    Protocol,
};
use std::collections::HashSet;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_vsock::{VsockAddr, VsockStream};

/// The parent of an enclave, as AWS counts.
const PARENT_CID: u32 = 3;
/// As long as the network card tries.
const PATIENCE: Duration = Duration::from_secs(60);
/// Of one name that are tried.
const MAX_ADDRESSES: usize = 8;
/// Refusals that the network card is told of, for the operator to read; it keeps as many.
const MAX_TOLD: usize = 256;

pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Why there is no way.
#[derive(Debug)]
pub enum Refusal {
    /// By the measured rules, and what would allow it.
    Denied(Option<Explanation>),
    /// By the operator's rules.
    DeniedByHost,
    /// The name has no address.
    Unknown,
    Refused,
    Unreachable,
    TimedOut,
}

pub struct Way {
    policy: Policy,
    learned: Mutex<LearnedNames>,
    told: Mutex<HashSet<String>>,
}

impl Way {
    pub fn new(policy: Policy) -> Self {
        Self {
            policy,
            learned: Mutex::default(),
            told: Mutex::default(),
        }
    }

    /// Connects to the target over TCP.
    pub async fn connect(&self, target: &Target) -> Result<Box<dyn Stream>, Refusal> {
        let connected = async {
            match &target.host {
                Host::Name(name) => self.connect_name(name, target.port).await,
                Host::Address(address) => connect_address(*address, target.port).await,
            }
        };
        timeout(PATIENCE, connected)
            .await
            .unwrap_or(Err(Refusal::TimedOut))
    }

    async fn connect_name(&self, name: &Name, port: u16) -> Result<Box<dyn Stream>, Refusal> {
        if let Decision::Denied(reason) = self.policy.decide_question(name) {
            let explanation = self.policy.explain_question(name, reason);
            if self.is_new(name.to_string()) {
                // Denied there too, and in the journal then.
                let _ =
                    lookup::look_up(name, dial().await.map_err(|error| refusal_of(&error))?).await;
            }
            return Err(Refusal::Denied(Some(explanation)));
        }
        let stream = dial().await.map_err(|error| refusal_of(&error))?;
        let answers = lookup::look_up(name, stream).await;
        let answers = answers.map_err(|_| Refusal::Unknown)?;
        self.learn(&answers);
        let addresses = answers.iter().flat_map(|answer| &answer.addresses);
        let mut last = Refusal::Unknown;
        for (address, _) in addresses.take(MAX_ADDRESSES) {
            match self.ask(name, *address, port).await {
                Ok(stream) => return Ok(stream),
                Err(refusal) => last = refusal,
            }
        }
        Err(last)
    }

    fn learn(&self, answers: &[Answer]) {
        let (mut learned, now) = (self.lock(), Instant::now());
        answers.iter().for_each(|answer| learned.learn(answer, now));
    }

    /// Asks the network card for a connection to one address of a name.
    async fn ask(
        &self,
        name: &Name,
        address: IpAddr,
        port: u16,
    ) -> Result<Box<dyn Stream>, Refusal> {
        let denial = self.decide(name, address, port);
        if denial.is_some() && !self.is_new(format!("{name}:{port}")) {
            return Err(Refusal::Denied(denial));
        }
        let request = Request::Flow {
            protocol: Protocol::Tcp,
            address,
            port,
            name: Some(name.clone()),
        };
        let asked = request_flow(&request).await;
        if denial.is_some() {
            return Err(Refusal::Denied(denial)); // whatever was answered
        }
        asked.map(|stream| Box::new(stream) as Box<dyn Stream>)
    }

    /// Why the measured rules deny it, if they do.
    fn decide(&self, name: &Name, address: IpAddr, port: u16) -> Option<Explanation> {
        let learned = self.lock();
        let names = learned.find(address, name, Instant::now());
        let flow = Flow {
            protocol: Protocol::Tcp,
            address: Some(address),
            port,
            names: names.unwrap_or_default(),
        };
        let decision = self.policy.decide(&flow);
        (!decision.is_allowed()).then(|| self.policy.explain(&flow, decision))
    }

    fn is_new(&self, destination: String) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.len() < MAX_TOLD && told.insert(destination)
    }

    fn lock(&self) -> MutexGuard<'_, LearnedNames> {
        self.learned.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn dial() -> io::Result<VsockStream> {
    VsockStream::connect(VsockAddr::new(PARENT_CID, PARENT_PORT)).await
}

async fn request_flow(request: &Request) -> Result<VsockStream, Refusal> {
    let asked: io::Result<_> = async {
        let mut stream = dial().await?;
        stream.write_all(&request.encode()).await?;
        Ok((stream.read_u8().await?, stream))
    }
    .await;
    let (status, stream) = asked.map_err(|error| refusal_of(&error))?;
    match Status::from_byte(status) {
        Some(Status::Ok) => Ok(stream),
        Some(Status::DeniedByImage) => Err(Refusal::Denied(None)),
        Some(Status::DeniedByHost) => Err(Refusal::DeniedByHost),
        Some(Status::ConnectionRefused) => Err(Refusal::Refused),
        Some(Status::TimedOut) => Err(Refusal::TimedOut),
        _ => Err(Refusal::Unreachable),
    }
}

/// Not to the guest itself: a proxy would make whoever asks it a local program.
async fn connect_address(address: IpAddr, port: u16) -> Result<Box<dyn Stream>, Refusal> {
    let is_guest = [GUEST_ADDRESS.into(), GUEST_ADDRESS_V6.into()].contains(&address);
    if is_guest || address.is_loopback() || address.is_unspecified() {
        return Err(Refusal::Denied(None));
    }
    let connected = TcpStream::connect(SocketAddr::new(address, port)).await;
    let stream = connected.map_err(|error| refusal_of(&error))?;
    let _ = stream.set_nodelay(true);
    Ok(Box::new(stream))
}

/// What netd denies is EACCES with IPv6, and ECONNREFUSED with IPv4, like what a server refuses (docs/network.md).
fn refusal_of(error: &io::Error) -> Refusal {
    match error.kind() {
        ErrorKind::PermissionDenied => Refusal::Denied(None),
        ErrorKind::ConnectionRefused => Refusal::Refused,
        ErrorKind::TimedOut => Refusal::TimedOut,
        _ => Refusal::Unreachable,
    }
}
