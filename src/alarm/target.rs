//! Targets: where alarms go. What of them is secret (addresses, headers) no log line, no finding and no answer shows.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use ureq::http::Uri;

use super::template::Template;
use crate::conf::Secret;

/// How long one request may take in all, unless the target says otherwise.
pub const TIMEOUT: Duration = Duration::from_secs(5);
/// Longest `timeout`.
pub const MAX_TIMEOUT: Duration = Duration::from_secs(60);
/// Most headers of a target, and most bytes of them.
pub const MAX_HEADERS: (usize, usize) = (32, 8 << 10);
/// Most addresses of a mail.
pub const MAX_ADDRESSES: usize = 16;
/// Longest URL, in bytes.
const MAX_URL: usize = 2048;
/// Longest mail address, in bytes (RFC 5321, 4.5.3.1.3).
const MAX_ADDRESS: usize = 254;

/// Where alarms go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Its name in rotad.yaml; for one that stands in a rule what it is called: `ping of backup`.
    pub name: String,
    /// How it is told.
    pub kind: Kind,
}

/// How a target is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// An HTTP request with a text of one's own making.
    Webhook {
        /// Where and how.
        call: Call,
        /// The text; absent: the alarms as JSON.
        template: Option<Template>,
    },
    /// A program, run as `jobs_user`: with its arguments.
    Command(Vec<String>),
    /// A mail to these addresses, by sendmail.
    Mail(Vec<String>),
    /// An event to bk-monitor.
    Beat,
    /// What GopherCron sends to its `report_addr`.
    Report(Call),
    /// The ping URLs of healthchecks.io.
    Ping(Call),
}

/// An HTTP request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// `http` or `https`, without user or password.
    pub url: Secret,
    /// Besides its own.
    pub headers: Vec<(String, Secret)>,
    /// For all of it, from looking up the host to the last byte of the answer.
    pub timeout: Duration,
}

/// Under which a target is known: equal ones are one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TargetId(pub u64);

impl Target {
    /// Its identity.
    pub fn id(&self) -> TargetId {
        let mut hasher = DefaultHasher::new();
        let call = |call: &Call, hasher: &mut DefaultHasher| {
            call.url.0.hash(hasher);
            call.headers.iter().for_each(|(name, value)| (name, &value.0).hash(hasher));
        };
        self.kind.word().hash(&mut hasher);
        match &self.kind {
            Kind::Webhook { call: to, template } => {
                call(to, &mut hasher);
                template.as_ref().map(Template::text).hash(&mut hasher);
            }
            Kind::Command(words) | Kind::Mail(words) => words.hash(&mut hasher),
            Kind::Beat => {}
            Kind::Report(to) | Kind::Ping(to) => call(to, &mut hasher),
        }
        TargetId(hasher.finish())
    }

    /// A program reads it, which must hear of every run; people are told of changes.
    pub fn is_program(&self) -> bool {
        matches!(self.kind, Kind::Beat | Kind::Report(_) | Kind::Ping(_))
    }
}

impl Kind {
    /// The stable word: the key that makes it.
    pub fn word(&self) -> &'static str {
        match self {
            Kind::Webhook { .. } => "webhook",
            Kind::Command(_) => "command",
            Kind::Mail(_) => "mail",
            Kind::Beat => "beat",
            Kind::Report(_) => "report",
            Kind::Ping(_) => "ping",
        }
    }
}

/// Reads a URL. Its text is in no error: it may hold a secret.
pub fn url(text: &str) -> Result<Secret, String> {
    if text.len() > MAX_URL {
        return Err(format!("a URL has at most {MAX_URL} bytes"));
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("a URL has no blanks, no control characters and only ASCII\nwrite %XX for other characters".into());
    }
    let uri: Uri = text.parse().map_err(|_| "an http:// or https:// URL is expected".to_owned())?;
    match uri.scheme_str() {
        Some("http" | "https") => {}
        Some(_) => return Err("only http:// and https:// are spoken".into()),
        None => return Err("an http:// or https:// URL is expected".into()),
    }
    let authority = uri.authority().ok_or("the URL names no host")?;
    if authority.as_str().contains('@') {
        return Err("a URL holds no user and no password\nput them into headers: {Authorization: Basic …}".into());
    }
    // What the parser takes for no port at all.
    let after = authority.as_str().rsplit_once(']').map_or(authority.as_str(), |(_, after)| after);
    if uri.host().is_none_or(str::is_empty) || (after.contains(':') && !matches!(uri.port_u16(), Some(1..))) {
        return Err("the URL's host or port is no good".into());
    }
    if text.contains('#') {
        return Err("a URL that is called has no '#' part".into());
    }
    Ok(Secret(text.to_owned()))
}

/// Reads a mail address: one plain address, that is no option of sendmail's and ends no header line (I118).
pub fn address(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+/=?^_`{|}~.-".contains(c);
    let (local, domain) = text.rsplit_once('@').unwrap_or((text, "localhost"));
    let good = !local.is_empty()
        && !text.starts_with('-')
        && local.chars().all(plain)
        && !domain.is_empty()
        && !domain.starts_with(['-', '.'])
        && domain.chars().all(|c| c.is_ascii_alphanumeric() || ".-_".contains(c));
    match good && text.len() <= MAX_ADDRESS {
        true => Ok(text.to_owned()),
        false => Err("a mail address like dba@example.com is expected, or the name of a local user".into()),
    }
}

/// Reads the name of a header. Those that frame the request are its own.
pub fn header_name(text: &str) -> Result<(), String> {
    let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    if text.is_empty() || text.len() > 128 || !text.chars().all(token) {
        return Err("no header name".into());
    }
    let own = ["host", "content-length", "transfer-encoding", "connection", "expect", "upgrade", "te", "trailer"];
    match own.contains(&text.to_ascii_lowercase().as_str()) {
        true => Err("a header that rotad itself writes".into()),
        false => Ok(()),
    }
}

/// Reads the value of a header: visible ASCII and blanks, so that it is one line.
pub fn header_value(text: &str) -> Result<Secret, String> {
    match text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) && text.trim() == text {
        true => Ok(Secret(text.to_owned())),
        false => Err("one line of ASCII without control characters is expected".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i116_only_http_and_nothing_hidden_in_the_url() {
        for good in ["https://a/x?y=1", "http://127.0.0.1:6306/report", "http://[::1]:80/", "https://hc-ping.com/1-2"] {
            assert_eq!(url(good).unwrap().0, good);
        }
        let long = format!("http://a/{}", "x".repeat(3000));
        for bad in [
            "",
            "a",
            "/x",
            "file:///etc/passwd",
            "ftp://a/",
            "gopher://a/",
            "http://",
            "http:///x",
            "http://u:p@a/",
            "http://u@a/",
            "http://a b/",
            "http://a/\r\nX: y",
            "http://é/",
            "http://a:99999/",
            "http://a:/",
            "http://a:0/",
            "http://a/#x",
            "http://a:x/",
            "javascript:x",
            "//a/b",
            &long,
        ] {
            let why = url(bad).unwrap_err();
            assert!(!why.contains("passwd") && !why.contains("u:p"), "{why}");
        }
    }

    #[test]
    fn i118_an_address_is_no_option_and_no_line() {
        for good in ["dba@example.com", "root", "a.b+c@x-y.org", "ops@localhost"] {
            assert_eq!(address(good).as_deref(), Ok(good));
        }
        for bad in [
            "",
            "-oQ/tmp",
            "-oQ/tmp@x",
            "a@",
            "@x",
            "a b@x",
            "a@x\r\nBcc: b@y",
            "a@x,b@y",
            "<a@x>",
            "a@-x",
            "a@x y",
            "é@x",
            "|sh@x y",
        ] {
            assert!(address(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn headers_are_one_line_and_frame_nothing() {
        assert!(header_name("X-Key").is_ok() && header_name("Authorization").is_ok());
        for bad in ["", "a b", "a:", "Host", "content-length", "x\r\ny"] {
            assert!(header_name(bad).is_err(), "{bad:?}");
        }
        assert!(header_value("Bearer x").is_ok());
        for bad in ["a\r\nb", "a\n", " a", "é", "\0"] {
            assert!(header_value(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn no_secret_is_shown() {
        let call = Call {
            url: Secret("http://s3cret/".into()),
            headers: vec![("K".into(), Secret("s3cret".into()))],
            timeout: TIMEOUT,
        };
        let target = Target { name: "a".into(), kind: Kind::Ping(call) };
        assert!(!format!("{target:?}").contains("s3cret"));
    }
}
