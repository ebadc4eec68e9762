//! One HTTP request to a target. It goes where the URL says and nowhere else: no redirect is followed, no proxy asked, and of the
//! answer only the status counts (I116).
//!
//! Certificates are judged as the machine does it: a chat server within the house has the house's own authority, which the
//! administrator has put into the system's store, and what a distribution withdraws is withdrawn here too.

use std::io::Read;
use std::time::{Duration, Instant};

use ureq::tls::{RootCerts, TlsConfig};
use ureq::unversioned::transport::DefaultConnector;
use ureq::{Agent, Error};

use super::lookup::Lookups;
use super::target::Call;

/// Bytes of an answer that are read; the rest of it is not waited for.
const ANSWER: u64 = 64 << 10;
/// Certificates are read anew after this.
const AGENT_AGE: Duration = Duration::from_secs(3600);
/// Longest reason, in characters.
const REASON: usize = 300;

/// A request, ready to go: always a `POST`.
#[derive(Debug, Clone)]
pub struct Request {
    /// Where to; its URL already has what belongs behind it.
    pub call: Call,
    /// Of its body.
    pub content_type: &'static str,
    /// Of its own: name and value.
    pub extra: Option<(&'static str, &'static str)>,
    /// The body.
    pub body: String,
    /// Success is 200, and not any status from 200 to 299.
    pub only_200: bool,
}

/// Why a request failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// A part of a sentence, without any part of the URL.
    pub why: String,
    /// Another try may help.
    pub again: bool,
}

/// What makes requests, one at a time.
#[derive(Debug)]
pub struct Caller {
    agent: Agent,
    made: Instant,
    lookups: Lookups,
}

impl Caller {
    /// Looks hosts up within the bounds that all callers have together.
    pub fn new(lookups: Lookups) -> Self {
        let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build();
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .max_idle_connections(0)
            .max_response_header_size(16 << 10)
            .user_agent(concat!("rotad/", env!("CARGO_PKG_VERSION")))
            .tls_config(tls)
            .build();
        let agent = Agent::with_parts(config, DefaultConnector::default(), lookups.clone());
        Self { agent, made: Instant::now(), lookups }
    }

    /// Makes a request, within the time of its call.
    pub fn call(&mut self, request: &Request) -> Result<(), Failed> {
        if self.made.elapsed() > AGENT_AGE {
            *self = Self::new(self.lookups.clone());
        }
        let Request { call, content_type, extra, body, only_200 } = request;
        let mut made = self.agent.post(&call.url.0);
        let own = call.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        if !own {
            made = made.header("Content-Type", *content_type);
        }
        if let Some((name, value)) = extra {
            made = made.header(*name, *value);
        }
        for (name, value) in &call.headers {
            made = made.header(name, &value.0);
        }
        let made = made.config().timeout_global(Some(call.timeout)).build();
        let mut answer = made.send(body.as_bytes()).map_err(|error| failed(&error, call))?;
        let status = answer.status().as_u16();
        // Read for the peer's sake: it may think the request lost otherwise. What it says means nothing.
        let _ = std::io::copy(&mut answer.body_mut().as_reader().take(ANSWER), &mut std::io::sink());
        match status {
            200 => Ok(()),
            200..300 if !only_200 => Ok(()),
            300..400 => Err(Failed { why: format!("it answered {status}: no redirect is followed"), again: false }),
            400..500 if ![408, 425, 429].contains(&status) => {
                Err(Failed { why: format!("it answered {status}"), again: false })
            }
            _ => Err(Failed { why: format!("it answered {status}"), again: true }),
        }
    }
}

fn failed(error: &Error, call: &Call) -> Failed {
    let why = match error {
        Error::Timeout(_) => format!("no answer within {} s", call.timeout.as_secs()),
        Error::HostNotFound => "its host is not known".into(),
        Error::ConnectionFailed => "it cannot be connected to".into(),
        error => {
            let mut said = error.to_string();
            let (_, place) = call.url.0.split_once("://").unwrap_or_default();
            let path = place.find('/').and_then(|at| place.get(at..)).filter(|path| path.len() > 1);
            let values = call.headers.iter().map(|(_, value)| value.0.as_str());
            for secret in [call.url.0.as_str(), place].into_iter().chain(path).chain(values) {
                if !secret.is_empty() {
                    said = said.replace(secret, "(secret)");
                }
            }
            super::text::one_line(&said, REASON)
        }
    };
    Failed { why, again: true }
}

#[cfg(test)]
mod tests;
