//! The head of a request: checked byte for byte, and of its headers only those kept that decide something. What goes on
//! to the HTTP library is written anew from this.

use super::answer::Problem;

/// Longest value that is kept of a header, in bytes: hosts and origins are shorter.
const MAX_VALUE: usize = 300;

/// A head, as far as it matters.
#[derive(Debug, PartialEq, Eq)]
pub struct Head<'a> {
    /// Upper-case letters.
    pub method: &'a str,
    /// Path and query, beginning with `/`.
    pub target: &'a str,
    /// `HTTP/1.0` or `HTTP/1.1`.
    pub version: &'a str,
    /// `Host`.
    pub host: Option<&'a str>,
    /// `Origin`: a browser sends this.
    pub origin: Option<&'a str>,
    /// `Sec-Fetch-Site`: likewise.
    pub fetch_site: Option<&'a str>,
    /// Bytes of the body; 0 where nothing is said.
    pub length: u64,
    /// `Expect: 100-continue`: the client waits for a word before it sends the body.
    pub expects: bool,
}

impl<'a> Head<'a> {
    /// Reads a head, without the empty line at its end.
    pub fn parse(head: &'a [u8]) -> Result<Head<'a>, Problem> {
        let lines = memchr::memmem::find_iter(head, b"\r\n").chain([head.len()]);
        let mut lines = lines.scan(0, |from, to| {
            let line = &head[*from..to];
            *from = to + 2;
            Some(line)
        });
        let mut head = Self::request_line(lines.next().unwrap_or_default())?;
        let (mut length, mut coded) = (None, false);
        for line in lines {
            let (name, value) = header(line)?;
            let place = match &name.to_ascii_lowercase()[..] {
                "host" => &mut head.host,
                "origin" => &mut head.origin,
                "sec-fetch-site" => &mut head.fetch_site,
                "content-length" => &mut length,
                "transfer-encoding" => {
                    coded = true;
                    continue;
                }
                "expect" => {
                    head.expects = value.eq_ignore_ascii_case(b"100-continue");
                    continue;
                }
                _ => continue,
            };
            // Two that differ are read as one by some and as the other by others: that is how requests are smuggled.
            if place.is_some() {
                return Err(bad(format!("there are two headers {name}")));
            }
            let plain = value.len() <= MAX_VALUE && value.iter().all(|byte| matches!(byte, 0x20..=0x7e));
            let text = std::str::from_utf8(value).ok().filter(|_| plain);
            *place = Some(text.ok_or_else(|| bad(format!("the value of {name} makes no sense")))?);
        }
        if coded {
            return Err(Problem::new(411, "length-required", "a body comes with its length, not in chunks")
                .hint("send Content-Length; with curl: --data-binary @FILE, not -T -"));
        }
        if let Some(text) = length {
            let plain = (1..=20).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
            let length = text.parse().ok().filter(|_| plain);
            head.length = length.ok_or_else(|| bad("Content-Length is no plain number"))?;
        }
        Ok(head)
    }

    fn request_line(line: &'a [u8]) -> Result<Self, Problem> {
        let line = std::str::from_utf8(line).map_err(|_| bad("the request line is not ASCII"))?;
        let parts: Vec<&str> = line.split(' ').collect();
        let [method, target, version] = parts[..] else { return Err(bad("the request line has not three parts")) };
        if method.is_empty() || method.len() > 16 || !method.bytes().all(|byte| byte.is_ascii_uppercase()) {
            return Err(bad("that is no method"));
        }
        if !target.starts_with('/') || !target.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(bad("that is no path"));
        }
        if !matches!(version, "HTTP/1.0" | "HTTP/1.1") {
            return Err(Problem::new(505, "http-version", "only HTTP/1.0 and HTTP/1.1 are spoken here"));
        }
        let nothing = (None, None, None);
        let (host, origin, fetch_site) = nothing;
        Ok(Self { method, target, version, host, origin, fetch_site, length: 0, expects: false })
    }
}

/// A name, which is a token straight before the colon, and its value without the blanks around it.
fn header(line: &[u8]) -> Result<(&str, &[u8]), Problem> {
    let colon = memchr::memchr(b':', line).ok_or_else(|| bad("a header has no colon"))?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    let token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    let name = std::str::from_utf8(name).ok().filter(|name| !name.is_empty() && name.as_bytes().iter().all(token));
    let name = name.ok_or_else(|| bad("that is no name of a header"))?;
    if value.iter().any(|byte| matches!(byte, 0..=8 | 10..=31 | 127)) {
        return Err(bad("a header has a control character"));
    }
    Ok((name, value.trim_ascii()))
}

fn bad(what: impl Into<String>) -> Problem {
    Problem::new(400, "bad-request", what)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn g98_what_is_kept_of_a_head() {
        let text =
            b"POST /x?y=%20 HTTP/1.1\r\nHOST:  a:1 \r\nRotad-Peer: 0 change\r\nOrigin: http://a:1\r\nX: \xff\r\n\
            Sec-Fetch-Site: none\r\nContent-Length: 12\r\nExpect: 100-Continue";
        let head = Head::parse(text).unwrap();
        assert_eq!((head.method, head.target, head.version), ("POST", "/x?y=%20", "HTTP/1.1"));
        assert_eq!((head.host, head.origin, head.fetch_site), (Some("a:1"), Some("http://a:1"), Some("none")));
        assert_eq!((head.length, head.expects), (12, true));
    }

    #[test]
    fn g93_g98_heads_that_are_refused() {
        for (head, code) in [
            (&b""[..], "bad-request"),
            (b"GET /x", "bad-request"),
            (b"GET  /x HTTP/1.1", "bad-request"),
            (b" GET /x HTTP/1.1", "bad-request"),
            (b"get /x HTTP/1.1", "bad-request"),
            (b"GET http://127.0.0.1:9999/x HTTP/1.1", "bad-request"),
            (b"GET * HTTP/1.1", "bad-request"),
            (b"GET /\x00 HTTP/1.1", "bad-request"),
            (b"GET /\n HTTP/1.1", "bad-request"),
            (b"GET /\xff HTTP/1.1", "bad-request"),
            (b"GET /x HTTP/2.0", "http-version"),
            (b"GET /x HTTP/1.1\nHost:a", "http-version"),
            (b"GET /x HTTP/1.1\r\nnonsense", "bad-request"),
            (b"GET /x HTTP/1.1\r\n: x", "bad-request"),
            (b"GET /x HTTP/1.1\r\nHost : a", "bad-request"),
            (b"GET /x HTTP/1.1\r\nX: a\r\n folded: b", "bad-request"),
            (b"GET /x HTTP/1.1\r\nX: a\nHost: b", "bad-request"),
            (b"GET /x HTTP/1.1\r\nX: a\rHost: b", "bad-request"),
            (b"GET /x HTTP/1.1\r\nHost: a\r\nHost: a", "bad-request"),
            (b"GET /x HTTP/1.1\r\nHost: a\r\nhOST: b", "bad-request"),
            (b"GET /x HTTP/1.1\r\nHost: \xc3\xa4", "bad-request"),
            (b"GET /x HTTP/1.1\r\nOrigin: a\r\nOrigin: b", "bad-request"),
            (b"POST /x HTTP/1.1\r\nContent-Length: 18446744073709551616", "bad-request"),
            (b"POST /x HTTP/1.1\r\nContent-Length: -5", "bad-request"),
            (b"POST /x HTTP/1.1\r\nContent-Length: +5", "bad-request"),
            (b"POST /x HTTP/1.1\r\nContent-Length: 5, 5", "bad-request"),
            (b"POST /x HTTP/1.1\r\nContent-Length: 0x5", "bad-request"),
            (b"POST /x HTTP/1.1\r\nContent-Length:", "bad-request"),
            (b"POST /x HTTP/1.1\r\nContent-Length: 5\r\ncontent-length: 5", "bad-request"),
            (b"POST /x HTTP/1.1\r\nTransfer-Encoding: chunked", "length-required"),
            (b"POST /x HTTP/1.1\r\nTransfer-Encoding: xchunked", "length-required"),
            (b"POST /x HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked", "length-required"),
        ] {
            assert_eq!(Head::parse(head).unwrap_err().code(), code, "{:?}", String::from_utf8_lossy(head));
        }
    }

    proptest! {
        #[test]
        fn g98_whatever_passes_is_one_line(head in "(GET|POST|x)? ?/?[ -~\r\n]{0,200}( HTTP/1.1)?[ -~\r\n:]{0,80}") {
            if let Ok(head) = Head::parse(head.as_bytes()) {
                for part in [head.method, head.target, head.version] {
                    prop_assert!(!part.is_empty() && part.bytes().all(|byte| byte.is_ascii_graphic()));
                }
            }
        }

        #[test]
        fn g98_no_bytes_break_it(head in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _either = Head::parse(&head);
        }
    }
}
