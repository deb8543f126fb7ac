//! From a program's request to the response it gets. What KMS refuses is passed on as it came; what fails here is
//! an error in AWS's shape, so that an SDK reports it.
#![forbid(unsafe_code)]

use super::authenticate::{Caller, authenticate};
use super::key_pool::KeyPool;
use crate::attested;
use crate::credentials::Credentials;
use crate::document::Attester;
use crate::endpoint::Route;
use crate::failure::{Code, Failure};
use crate::http::{Request, Response};
use crate::outgoing::{CONTENT_TYPE, CREATE_NONCE, Outgoing, TARGET_PREFIX};
use crate::strict_json;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

const USER_AGENT: &str = concat!("cloister-kms-proxy/", env!("CARGO_PKG_VERSION"));
const MAX_OPERATION_BYTES: usize = 64;

/// What the requests of all programs share.
pub struct Proxy {
    pub route: Route,
    pub credentials: Credentials,
    pub attester: Box<dyn Attester>,
    pub keys: KeyPool,
    /// Asks for attested signatures, which only Cloister's broker makes.
    pub attests_sign: bool,
    /// Gets a nonce from Cloister's broker for every document.
    pub uses_nonces: bool,
    /// Gets what failed here, for the proxy's standard error.
    pub report: fn(&Failure),
}

/// A response to a program.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// Of KMS, when it was asked.
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
}

/// An error in AWS's shape.
#[derive(Debug)]
pub struct Refusal {
    status: u16,
    kind: &'static str,
    message: String,
}

impl Refusal {
    pub fn new(kind: &'static str, message: &str) -> Self {
        Self {
            status: 400,
            kind,
            message: message.into(),
        }
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        let (status, kind) = match failure.code {
            Code::Request => (400, "ValidationException"),
            // SDKs try these again: the parent's forwarder may be restarting.
            Code::Connect => (503, "ServiceUnavailableException"),
            _ => (500, "KMSInternalException"),
        };
        Self {
            status,
            kind,
            message: failure.to_string(),
        }
    }
}

/// Headers of KMS that clients use: the id for support, the clock.
const PASSED_ON: [&str; 2] = ["x-amzn-requestid", "date"];

impl Proxy {
    /// Answers one request, whatever it is.
    pub fn answer(&self, request: &Request) -> Answer {
        self.try_answer(request).unwrap_or_else(|refusal| {
            let body = json!({ "__type": refusal.kind, "message": refusal.message });
            Answer {
                status: refusal.status,
                headers: Vec::new(),
                body: body.to_string().into_bytes(),
            }
        })
    }

    fn try_answer(&self, request: &Request) -> Result<Answer, Refusal> {
        let operation = operation_of(request)?;
        let caller = authenticate(request, &self.credentials)?;
        self.exchange(operation, &caller, &request.body)
            .map_err(|failure| {
                if failure.code != Code::Request {
                    (self.report)(&failure);
                }
                failure.into()
            })
    }

    fn exchange(&self, operation: &str, caller: &Caller, body: &[u8]) -> Result<Answer, Failure> {
        let field =
            attested::plain_field(operation).filter(|_| operation != "Sign" || self.attests_sign);
        let Some(field) = field else {
            return self.pass(operation, caller, body);
        };
        let mut fields = strict_json::parse_object(body)
            .map_err(|error| Failure::new(Code::Request, format!("the body: {error}")))?;
        if attested::has_recipient(&fields) {
            return self.pass(operation, caller, body);
        }
        let nonce = match self.nonce(caller)? {
            Ok(nonce) => nonce,
            Err(refusal) => return Ok(passed_on(refusal)),
        };
        let key = self.keys.take()?;
        let document = self.attester.attest(key.spki(), nonce.as_deref())?;
        attested::add_recipient(&mut fields, &document);
        let body = serde_json::to_vec(&fields)
            .map_err(|error| Failure::new(Code::Internal, error.to_string()))?;
        let target = format!("{TARGET_PREFIX}{operation}");
        let response = self.send(&target, caller, (&body, true))?;
        if response.status == 200 {
            let form = self.route.form();
            opened(response, field, |cms| key.open(cms, form))
        } else {
            Ok(passed_on(response))
        }
    }

    /// A request as the program made it.
    fn pass(&self, operation: &str, caller: &Caller, body: &[u8]) -> Result<Answer, Failure> {
        let target = format!("{TARGET_PREFIX}{operation}");
        self.send(&target, caller, (body, false)).map(passed_on)
    }

    /// A nonce for the document, if one is wanted, or KMS's refusal.
    fn nonce(&self, caller: &Caller) -> Result<Result<Option<Vec<u8>>, Response>, Failure> {
        if !self.uses_nonces {
            return Ok(Ok(None));
        }
        let response = self.send(CREATE_NONCE, caller, (b"{}", false))?;
        if response.status != 200 {
            return Ok(Err(response));
        }
        let fields = parsed(&response)?;
        attested::nonce_of(&fields).map(|nonce| Ok(Some(nonce)))
    }

    /// Sends a body, which has a document of this proxy or has not.
    fn send(
        &self,
        target: &str,
        caller: &Caller,
        (body, is_attested): (&[u8], bool),
    ) -> Result<Response, Failure> {
        let url = self.route.url(&caller.scope.region);
        let outgoing = Outgoing {
            url: &url,
            target,
            time: &caller.time,
            scope: &caller.scope,
            user_agent: USER_AGENT,
            body,
            is_attested,
        };
        let response = self.route.send(&outgoing, &caller.key)?;
        check_status(response.status)?;
        Ok(response)
    }
}

/// The operation's name; requests that are not of AWS JSON 1.1 are refused.
fn operation_of(request: &Request) -> Result<&str, Refusal> {
    if request.method != "POST" || request.target != "/" {
        return Err(Refusal::new("UnknownOperationException", "expected POST /"));
    }
    let content_type = request.headers.get("content-type").unwrap_or_default();
    if content_type != CONTENT_TYPE {
        let message = format!("Content-Type is not {CONTENT_TYPE}");
        return Err(Refusal::new("UnknownOperationException", &message));
    }
    let target = request.headers.get("x-amz-target").unwrap_or_default();
    let is_name = |name: &&str| {
        (1..=MAX_OPERATION_BYTES).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    target
        .strip_prefix(TARGET_PREFIX)
        .filter(is_name)
        .ok_or_else(|| {
            let message = "X-Amz-Target is not an operation of AWS KMS";
            Refusal::new("UnknownOperationException", message)
        })
}

/// KMS answers with 200 or an error. An SDK takes every other status below 300 for success too, so that what came
/// with it would seem to be attested.
fn check_status(status: u16) -> Result<(), Failure> {
    if status == 200 || status >= 400 {
        return Ok(());
    }
    let message = format!("the status is {status}, which KMS does not use");
    Err(Failure::new(Code::Response, message))
}

fn opened(
    response: Response,
    field: &str,
    decrypt: impl FnOnce(&[u8]) -> Result<Zeroizing<Vec<u8>>, Failure>,
) -> Result<Answer, Failure> {
    let mut fields = parsed(&response)?;
    attested::replace(&mut fields, field, decrypt)?;
    let body = serde_json::to_vec(&fields)
        .map_err(|error| Failure::new(Code::Internal, error.to_string()))?;
    Ok(Answer {
        body,
        ..passed_on(response)
    })
}

fn parsed(response: &Response) -> Result<Map<String, Value>, Failure> {
    strict_json::parse_object(&response.body)
        .map_err(|error| Failure::new(Code::Response, format!("the response: {error}")))
}

fn passed_on(response: Response) -> Answer {
    let headers = PASSED_ON.into_iter().filter_map(|name| {
        let value = response.headers.get(name)?;
        Some((name, value.to_string()))
    });
    Answer {
        status: response.status,
        headers: headers.collect(),
        body: response.body,
    }
}
