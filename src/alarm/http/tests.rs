//! Against real servers that misbehave.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::Duration;

use super::*;
use crate::conf::Secret;

/// A server that answers each connection as `answer` does; what it read comes out.
fn server(answer: impl Fn(&mut TcpStream) + Send + 'static) -> (String, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook/s3cret?x=1", listener.local_addr().unwrap());
    let (told, heard) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let (mut head, mut length) = (String::new(), 0);
            while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).unwrap() > 0 {}
            for line in head.lines() {
                if let Some((name, value)) = line.split_once(": ")
                    && name.eq_ignore_ascii_case("content-length")
                {
                    length = value.parse().unwrap();
                }
            }
            let mut body = vec![0; length];
            std::io::Read::read_exact(&mut reader, &mut body).unwrap();
            told.send(head + &String::from_utf8(body).unwrap()).unwrap();
            answer(&mut stream);
        }
    });
    (url, heard)
}

fn says(text: &'static str) -> impl Fn(&mut TcpStream) + Send + 'static {
    move |stream| stream.write_all(text.as_bytes()).unwrap()
}

fn request(url: &str) -> Request {
    let headers = vec![("X-Key".into(), Secret("k3y".into()))];
    let call = Call { url: Secret(url.into()), headers, timeout: Duration::from_millis(500) };
    Request {
        call,
        content_type: "application/json",
        extra: Some(("Report-Type", "x")),
        body: "{}".into(),
        only_200: false,
    }
}

fn call(url: &str) -> Result<(), Failed> {
    Caller::new(Lookups::default()).call(&request(url))
}

#[test]
fn a_request_is_what_it_should_be() {
    let (url, heard) = server(says("HTTP/1.1 204 No Content\r\n\r\n"));
    call(&url).unwrap();
    let heard = heard.recv().unwrap().to_ascii_lowercase();
    assert!(heard.starts_with("post /hook/s3cret?x=1 http/1.1\r\n"), "{heard}");
    for line in
        ["content-type: application/json", "x-key: k3y", "report-type: x", "user-agent: rotad/", "content-length: 2"]
    {
        assert!(heard.contains(line), "{line} in {heard}");
    }
    assert!(heard.ends_with("\r\n\r\n{}"));
    let only_200 = Request { only_200: true, ..request(&url) };
    assert!(Caller::new(Lookups::default()).call(&only_200).is_err(), "GopherCron takes 200 alone");
}

#[test]
fn i116_no_redirect_is_followed_wherever_it_leads() {
    let (other, followed) = server(says("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
    for to in ["file:///etc/passwd", "http://169.254.169.254/latest/meta-data/", &other, "//evil/", "gopher://x/"] {
        let answer = format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n");
        let (url, _heard) = server(move |stream| stream.write_all(answer.as_bytes()).unwrap());
        let failed = call(&url).unwrap_err();
        assert_eq!((failed.why.as_str(), failed.again), ("it answered 302: no redirect is followed", false), "{to}");
    }
    assert!(followed.try_recv().is_err());
}

#[test]
fn i116_whatever_the_answer_is_it_takes_no_longer_than_it_may() {
    let hang = |_: &mut TcpStream| std::thread::sleep(Duration::from_secs(30));
    let (url, _heard) = server(hang);
    let start = Instant::now();
    assert_eq!(call(&url).unwrap_err(), Failed { why: "no answer within 0 s".into(), again: true });
    // A body that drips for ever, and one that has no end: the status has said it all.
    let drip = |stream: &mut TcpStream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n").unwrap();
        while stream.write_all(b"x").is_ok() {
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    let (url, _heard) = server(drip);
    assert_eq!(call(&url), Ok(()));
    let flood = |stream: &mut TcpStream| {
        let chunk = vec![b'x'; 1 << 16];
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        while stream.write_all(&chunk).is_ok() {}
    };
    let (url, _heard) = server(flood);
    assert_eq!(call(&url), Ok(()));
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}

#[test]
fn i116_what_fails_is_said_without_the_url() {
    for (answer, why, again) in [
        ("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", "it answered 500", true),
        ("HTTP/1.1 429 Slow\r\nContent-Length: 0\r\n\r\n", "it answered 429", true),
        ("HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", "it answered 404", false),
        ("", "", true),
        ("nonsense\r\n\r\n", "", true),
        ("HTTP/1.1 200", "", true),
    ] {
        let (url, _heard) = server(says(answer));
        let failed = call(&url).unwrap_err();
        assert!(failed.why.contains(why) && !failed.why.contains("s3cret") && !failed.why.is_empty(), "{failed:?}");
        assert_eq!(failed.again, again, "{answer:?}");
    }
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert!(call(&format!("http://{closed}/s3cret")).unwrap_err().why.contains("refused"));
    // A server that speaks no TLS.
    let (url, _heard) = server(says("x"));
    let failed = call(&url.replace("http:", "https:")).unwrap_err();
    assert!(failed.again && !failed.why.contains("s3cret"), "{failed:?}");
}
