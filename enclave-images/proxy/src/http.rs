//! A client that speaks HTTP/1.1: CONNECT makes a tunnel, a request in absolute form is passed on. Each request has a
//! connection to its server of its own.
#![forbid(unsafe_code)]

use crate::problem::{refused, request as malformed, server as broken};
use crate::target::{Host, Target};
use crate::way::{Stream, Way};
use cloister_edge::headers::end_hop;
use cloister_guest_api::problem::Problem;
use cloister_guest_api::reply::refusal;
use http_body_util::{Either, Empty, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1 as client;
use hyper::header::{EXPECT, HOST, HeaderValue, VIA};
use hyper::http::uri::{PathAndQuery, Scheme, Uri};
use hyper::server::conn::http1 as server;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, Version};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::copy_bidirectional;
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;

/// For the head of a request, and between requests.
const IDLE: Duration = Duration::from_secs(60);
const MAX_HEAD_BYTES: usize = 32 * 1024;
const HTTP_PORT: u16 = 80;
const NAME: HeaderValue = HeaderValue::from_static("1.1 cloister");

type Body = Either<Full<Bytes>, Either<Empty<Bytes>, Incoming>>;

pub async fn serve(
    client: TcpStream,
    way: Arc<Way>,
    place: OwnedSemaphorePermit,
) -> Result<(), hyper::Error> {
    let place = Arc::new(place);
    let service = service_fn(move |request| {
        let (way, place) = (Arc::clone(&way), Arc::clone(&place));
        async move { Ok::<_, Infallible>(answer(request, &way, place).await) }
    });
    server::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(client), service)
        .with_upgrades()
        .await
}

async fn answer(
    request: Request<Incoming>,
    way: &Way,
    place: Arc<OwnedSemaphorePermit>,
) -> Response<Body> {
    let answered = if request.method() == Method::CONNECT {
        tunnel(request, way, place).await
    } else {
        pass_on(request, way).await
    };
    answered.unwrap_or_else(|problem| refusal(&problem).map(Either::Left))
}

/// The place of the client is kept until the tunnel ends.
async fn tunnel(
    request: Request<Incoming>,
    way: &Way,
    place: Arc<OwnedSemaphorePermit>,
) -> Result<Response<Body>, Problem> {
    let target = target_of(request.uri(), None)?;
    let mut server = connect(way, &target).await?;
    tokio::spawn(async move {
        if let Ok(client) = hyper::upgrade::on(request).await {
            let _ = copy_bidirectional(&mut TokioIo::new(client), &mut server).await;
        }
        drop(place);
    });
    Ok(Response::new(Either::Right(Either::Left(Empty::new()))))
}

async fn pass_on(request: Request<Incoming>, way: &Way) -> Result<Response<Body>, Problem> {
    if request.uri().scheme() != Some(&Scheme::HTTP) {
        return Err(malformed("the request is for no http:// URL"));
    }
    let target = target_of(request.uri(), Some(HTTP_PORT))?;
    let request = for_server(request)?;
    let server = connect(way, &target).await?;
    let handshake = client::Builder::new()
        .max_buf_size(MAX_HEAD_BYTES)
        .handshake(TokioIo::new(server));
    let (mut sender, connection) = handshake.await.map_err(|_| failed(&target))?;
    tokio::spawn(connection);
    let answered = sender.send_request(request).await;
    let mut response = answered.map_err(|_| failed(&target))?;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return Err(broken(format!("{target} changed the protocol unasked")));
    }
    end_hop(response.headers_mut());
    response.headers_mut().append(VIA, NAME);
    *response.version_mut() = Version::HTTP_11;
    Ok(response.map(|body| Either::Right(Either::Right(body))))
}

async fn connect(way: &Way, target: &Target) -> Result<Box<dyn Stream>, Problem> {
    let connected = way.connect(target).await;
    connected.map_err(|refusal| refused(target, &refusal))
}

fn failed(target: &Target) -> Problem {
    broken(format!("{target} broke off, or does not speak HTTP"))
}

/// # Errors
/// Also when there is no port, where none is implied.
fn target_of(uri: &Uri, implied: Option<u16>) -> Result<Target, Problem> {
    let authority = uri.authority();
    let authority = authority.ok_or_else(|| malformed("the request names no host"))?;
    if authority.as_str().contains('@') {
        return Err(malformed("the host has a user in front of it"));
    }
    let port = match authority.port() {
        Some(port) => Some(port.as_u16()),
        None if authority.as_str().ends_with(':') => None,
        None => implied,
    };
    let host = Host::parse(authority.host());
    let target = host
        .zip(port)
        .and_then(|(host, port)| Target::new(host, port));
    target.ok_or_else(|| malformed(format!("{authority} is not HOST:PORT")))
}

/// Makes of a client's request one to the server: the path alone, and Host as the URL says (RFC 9112 section 3.2.2).
fn for_server(mut request: Request<Incoming>) -> Result<Request<Incoming>, Problem> {
    let uri = request.uri();
    let host = uri.authority().map(|it| HeaderValue::from_str(it.as_str()));
    let host = host.and_then(Result::ok);
    let host = host.ok_or_else(|| malformed("the host is malformed"))?;
    let path = uri.path_and_query().cloned();
    let path = path.unwrap_or_else(|| PathAndQuery::from_static("/"));
    *request.uri_mut() = Uri::from(path);
    *request.version_mut() = Version::HTTP_11;
    let headers = request.headers_mut();
    end_hop(headers);
    headers.remove(EXPECT);
    headers.insert(HOST, host);
    headers.append(VIA, NAME);
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(uri: &str, implied: Option<u16>) -> Option<String> {
        let uri: Uri = uri.parse().unwrap();
        target_of(&uri, implied).ok().map(|it| it.to_string())
    }

    #[test]
    fn a_tunnel_needs_a_port_and_an_http_url_has_one() {
        assert_eq!(shown("a.example:443", None), Some("a.example:443".into()));
        assert_eq!(shown("[::1]:443", None), Some("[::1]:443".into()));
        assert_eq!(shown("a.example", None), None);
        assert_eq!(
            shown("http://a.example/x", Some(80)),
            Some("a.example:80".into())
        );
    }

    #[test]
    fn refuses_users_and_what_is_no_host() {
        for uri in [
            "http://user@a.example/",
            "http://127.1/",
            "http://a.example:0/",
            "http://a..b/",
        ] {
            assert_eq!(shown(uri, Some(80)), None, "{uri}");
        }
    }
}
