//! What a browser must not be talked into: a page of a foreign site may have it send requests to this machine, in the
//! name of the user who sits before it. A name that a foreign site has made resolve to 127.0.0.1 shows in `Host`, a foreign
//! page in `Origin` and `Sec-Fetch-Site`; programs that are no browsers send neither of these two.

use super::answer::Problem;
use super::head::Head;

/// By which way a request came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// The unix socket, which no browser reaches: any `Host`.
    Unix,
    /// This port of 127.0.0.1.
    Tcp(u16),
}

impl Way {
    /// Refuses what a foreign page may have sent.
    pub fn guard(self, head: &Head<'_>) -> Result<(), Problem> {
        if let Self::Tcp(port) = self {
            match head.host {
                Some(host) if is_ours(host, port) => {}
                None if head.version == "HTTP/1.0" => {}
                _ => {
                    return Err(Problem::new(421, "wrong-host", "the Host of this request is not this daemon")
                        .hint(format!("ask for http://127.0.0.1:{port} or http://localhost:{port}")));
                }
            }
        }
        let ours = |origin: &str| match (self, origin.strip_prefix("http://")) {
            (Self::Tcp(port), Some(host)) => is_ours(host, port),
            _ => false,
        };
        if head.origin.is_some_and(|origin| !ours(origin))
            || head.fetch_site.is_some_and(|site| !matches!(site, "same-origin" | "none"))
        {
            return Err(Problem::new(403, "cross-site", "a page of another site has sent this request"));
        }
        Ok(())
    }
}

/// Exactly one of our own names, with our port.
fn is_ours(host: &str, port: u16) -> bool {
    let (name, given) = match host.rsplit_once(':') {
        Some((name, given)) => (name, given),
        // http's own port is left out.
        None => (host, "80"),
    };
    given == port.to_string() && (name == "127.0.0.1" || name.eq_ignore_ascii_case("localhost"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(way: Way, head: &str) -> Result<(), String> {
        let head = Head::parse(head.as_bytes()).unwrap();
        way.guard(&head).map_err(|problem| problem.code().to_owned())
    }

    #[test]
    fn g93_hosts() {
        let is = |host: &str| guard(Way::Tcp(9999), &format!("GET / HTTP/1.1\r\nHost: {host}"));
        for good in ["127.0.0.1:9999", "localhost:9999", "LocalHost:9999"] {
            assert_eq!(is(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "evil.com",
            "evil.com:9999",
            "localhost.evil.com:9999",
            "127.0.0.1.evil.com:9999",
            "evil.com#127.0.0.1:9999",
            "evil@127.0.0.1:9999",
            "127.0.0.1",
            "localhost",
            "127.0.0.1:80",
            "127.0.0.1:9999:9999",
            "127.0.0.1:09999",
            "127.0.0.1:+9999",
            "127.0.0.1:",
            "127.1:9999",
            "127.0.0.2:9999",
            "0.0.0.0:9999",
            "2130706433:9999",
            "0x7f.0.0.1:9999",
            "localhost.:9999",
            "[::1]:9999",
            "::1",
            "[::ffff:127.0.0.1]:9999",
            ":9999",
            "127.0.0.1:9999, evil.com",
            "127.0.0.1:9999/",
        ] {
            assert_eq!(is(bad), Err("wrong-host".into()), "{bad}");
        }
        assert_eq!(guard(Way::Tcp(80), "GET / HTTP/1.1\r\nHost: localhost"), Ok(()));
    }

    #[test]
    fn g93_no_host_is_for_http_1_0_alone() {
        assert_eq!(guard(Way::Tcp(9999), "GET / HTTP/1.0"), Ok(()));
        assert_eq!(guard(Way::Tcp(9999), "GET / HTTP/1.1"), Err("wrong-host".into()));
        assert_eq!(guard(Way::Tcp(9999), "GET / HTTP/1.0\r\nHost: evil.com"), Err("wrong-host".into()));
        assert_eq!(guard(Way::Unix, "GET / HTTP/1.1"), Ok(()));
        assert_eq!(guard(Way::Unix, "GET / HTTP/1.1\r\nHost: rotad"), Ok(()));
    }

    #[test]
    fn g94_g97_what_foreign_pages_send() {
        for (headers, refused) in [
            ("", false),
            ("Origin: http://127.0.0.1:9999", false),
            ("Origin: http://localhost:9999\r\nSec-Fetch-Site: same-origin", false),
            ("Sec-Fetch-Site: none", false),
            ("Origin: http://evil.com", true),
            ("Origin: http://evil.com:9999", true),
            ("Origin: null", true),
            ("Origin:", true),
            ("Origin: https://127.0.0.1:9999", true),
            ("Origin: http://127.0.0.1:8080", true),
            ("Origin: http://127.0.0.1:9999.evil.com", true),
            ("Origin: http://127.0.0.1:9999 http://evil.com", true),
            ("Sec-Fetch-Site: cross-site", true),
            ("Sec-Fetch-Site: same-site", true),
            ("Sec-Fetch-Site: None", true),
            ("Sec-Fetch-Site:", true),
            ("Origin: http://127.0.0.1:9999\r\nSec-Fetch-Site: cross-site", true),
        ] {
            for method in ["GET", "POST"] {
                let head = format!("{method} / HTTP/1.1\r\nHost: 127.0.0.1:9999\r\n{headers}");
                let expected = if refused { Err("cross-site".to_owned()) } else { Ok(()) };
                assert_eq!(guard(Way::Tcp(9999), head.trim_end()), expected, "{method} {headers}");
            }
        }
        assert!(guard(Way::Unix, "GET / HTTP/1.1\r\nOrigin: http://evil.com").is_err());
        assert!(guard(Way::Unix, "GET / HTTP/1.1\r\nSec-Fetch-Site: cross-site").is_err());
    }
}
