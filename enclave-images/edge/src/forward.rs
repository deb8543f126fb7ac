//! Requests to the program, over HTTP/1.1 on the guest's loopback, and its answers. Bodies are streamed both
//! ways, as fast as the slower end takes them.
#![forbid(unsafe_code)]

use crate::headers;
use crate::idle::{Activity, Tunnel, Watched, while_active};
use crate::problem::{program, request as refuse};
use cloister_guest_api::problem::Problem;
use hyper::body::Incoming;
use hyper::header::{HOST, HeaderValue};
use hyper::http::uri::{Authority, PathAndQuery, Scheme, Uri};
use hyper::upgrade::OnUpgrade;
use hyper::{Method, Request, Response, StatusCode, Version};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::net::Ipv4Addr;
use std::pin::pin;
use std::time::Duration;
use tokio::io::copy_bidirectional;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Shorter than servers keep an idle connection (Node: 5 s).
const IDLE: Duration = Duration::from_secs(3);
const MAX_IDLE: usize = 32;
const MAX_HEAD_BYTES: usize = 16 * 1024;

/// The way to one program.
#[derive(Clone)]
pub struct Program {
    client: Client<HttpConnector, Watched<Incoming>>,
    authority: Authority,
}

impl Program {
    pub fn new(port: u16) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(MAX_IDLE)
            .http1_max_buf_size(MAX_HEAD_BYTES)
            .set_host(false)
            .build(connector);
        let authority = format!("{}:{port}", Ipv4Addr::LOCALHOST);
        let authority = authority.parse().expect("an address is an authority");
        Self { client, authority }
    }

    /// Passes a request on. `tunnel` is called with the two ends of a connection that changes its protocol.
    pub async fn answer<F>(
        &self,
        mut request: Request<Watched<Incoming>>,
        tunnel: F,
    ) -> Result<Response<Incoming>, Problem>
    where
        F: FnOnce(OnUpgrade, OnUpgrade),
    {
        let upgrade = headers::upgrade_of(request.headers());
        let upgrade = upgrade.filter(|_| request.version() == Version::HTTP_11);
        let client_end = upgrade.is_some().then(|| hyper::upgrade::on(&mut request));
        self.redirect(&mut request)?;
        if let Some(protocol) = upgrade {
            headers::ask_upgrade(request.headers_mut(), protocol);
        }
        let answered = self.client.request(request).await;
        let mut response = answered.map_err(|error| {
            program(if error.is_connect() {
                format!("nothing answers on {}", self.authority)
            } else {
                "the program broke off".into()
            })
        })?;
        let is_changed = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        let changed = headers::upgrade_of(response.headers()).filter(|_| is_changed);
        headers::end_hop(response.headers_mut());
        *response.version_mut() = Version::HTTP_11;
        match (client_end, changed) {
            (Some(client_end), Some(protocol)) => {
                headers::ask_upgrade(response.headers_mut(), protocol);
                tunnel(client_end, hyper::upgrade::on(&mut response));
            }
            _ if is_changed => return Err(program("the program changed the protocol unasked")),
            _ => {}
        }
        Ok(response)
    }

    /// Makes of a client's request one to the program, with the same path and Host.
    fn redirect<B>(&self, request: &mut Request<B>) -> Result<(), Problem> {
        if request.method() == Method::CONNECT {
            return Err(refuse("CONNECT is not passed on"));
        }
        let path = request.uri().path_and_query().cloned();
        let path = path.unwrap_or_else(|| PathAndQuery::from_static("/"));
        // Of an HTTP/2 request, or of HTTP/1.1's absolute form: it wins over Host (RFC 9112 section 3.2.2).
        let authority = request.uri().authority().map(|it| it.as_str().to_owned());
        let headers = request.headers_mut();
        headers::end_hop(headers);
        headers::introduce(headers);
        headers::join_cookies(headers);
        if let Some(authority) = authority {
            let host = HeaderValue::from_str(&authority);
            headers.insert(
                HOST,
                host.map_err(|_| refuse("the authority is malformed"))?,
            );
        }
        if headers.get_all(HOST).iter().count() != 1 {
            return Err(refuse("the request has no Host, or several"));
        }
        let uri = Uri::builder()
            .scheme(Scheme::HTTP)
            .authority(self.authority.clone())
            .path_and_query(path);
        *request.uri_mut() = uri.build().map_err(|_| refuse("the path is malformed"))?;
        *request.version_mut() = Version::HTTP_11;
        Ok(())
    }
}

/// Carries bytes between the two ends until both have ended, or nothing has moved for as long as the limit.
pub async fn carry(client: OnUpgrade, program: OnUpgrade, idle_limit: Duration) {
    if let (Ok(client), Ok(program)) = (client.await, program.await) {
        let activity = Activity::new();
        let mut client = Tunnel::new(TokioIo::new(client), &activity);
        let mut program = TokioIo::new(program);
        let both = pin!(copy_bidirectional(&mut client, &mut program));
        let _ = while_active(both, &activity, idle_limit).await;
    }
}
