use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::alarm::{Call, Kind};
use crate::conf::Secret;
use crate::engine::TargetView;

/// A server that counts connections, and answers `status`; 0: never.
fn server(status: u16) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    std::thread::spawn(move || {
        let mut held = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            counted.fetch_add(1, Ordering::SeqCst);
            if status == 0 {
                held.push(stream);
                continue;
            }
            let _ = stream.read(&mut [0; 4096]);
            let _ = write!(stream, "HTTP/1.1 {status} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
    });
    (url, count)
}

fn to(url: &str, name: &str) -> (Arc<Target>, Request) {
    let call = Call { url: Secret(format!("{url}/{name}")), headers: vec![], timeout: Duration::from_secs(1) };
    let target = Arc::new(Target { name: name.into(), kind: Kind::Ping(call.clone()) });
    (target, Request { call, content_type: "text/plain", extra: None, body: "x".into(), only_200: false })
}

fn deliver() -> (Deliver, Books) {
    let books = Books::default();
    let backoff = [Duration::from_millis(20); 3];
    (Deliver { backoff, ..Deliver::new(books.clone()) }, books)
}

fn view(books: &Books, name: &str) -> TargetView {
    books.views().into_iter().find(|view| view.name == name).unwrap_or_default()
}

fn until(what: &str, mut ready: impl FnMut() -> bool) {
    let start = Instant::now();
    while !ready() {
        assert!(start.elapsed() < Duration::from_secs(30), "waited in vain: {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

#[test]
fn i116_a_failing_target_is_tried_again_and_given_up() {
    let ((bad, tries), (deliver, books)) = (server(500), deliver());
    let (target, request) = to(&bad, "a");
    books.name(&target);
    deliver.send(&target, request);
    until("it is given up", || view(&books, "a").given_up == 1);
    let view = view(&books, "a");
    assert_eq!((tries.load(Ordering::SeqCst), view.failed, view.failing.as_deref()), (4, 4, Some("it answered 500")));
    let (gone, tries) = server(404);
    let (target, request) = to(&gone, "b");
    books.name(&target);
    deliver.send(&target, request);
    until("it is given up", || super::tests::view(&books, "b").given_up == 1);
    assert_eq!(tries.load(Ordering::SeqCst), 1, "what is wrong is not tried again");
}

#[test]
fn i116_hosts_that_hang_delay_no_other() {
    let (deliver, books) = deliver();
    let hanging: Vec<String> = (0..6).map(|_| server(0).0).collect();
    for (n, url) in hanging.iter().cycle().take(60).enumerate() {
        let (target, request) = to(url, &format!("hang{n}"));
        deliver.send(&target, request);
    }
    // All threads may wait for hosts that were good until now; not for longer than one request takes.
    until("some have failed", || books.views().len() >= 4);
    let (good, count) = server(200);
    for n in 0..20 {
        let (target, request) = to(&good, &format!("good{n}"));
        deliver.send(&target, request);
    }
    let start = Instant::now();
    until("all are sent", || count.load(Ordering::SeqCst) == 20);
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
    assert!(deliver.shared.queue().threads <= THREADS);
}

#[test]
fn i117_what_waits_is_bounded() {
    let ((bad, _tries), (deliver, books)) = (server(0), deliver());
    let (target, request) = to(&bad, "a");
    books.name(&target);
    (0..WAITING).for_each(|_| deliver.send(&target, request.clone()));
    assert!(deliver.shared.queue().waiting.len() <= WAITING_PROGRAMS);
    assert!(view(&books, "a").dropped >= (WAITING - WAITING_PROGRAMS - 1) as u64);
    let (people, message) = to("http://127.0.0.1:9", "people");
    let people =
        Arc::new(Target { kind: Kind::Webhook { call: message.call.clone(), template: None }, ..(*people).clone() });
    deliver.send(&people, message);
    assert_eq!(view(&books, "people").dropped, 0, "people's have a place of their own");
    until("it is known to fail", || deliver.shared.queue().waiting.len() <= WAITING_FAILING + 1);
    let large = Request { body: "x".repeat(WAITING_BYTES), ..to("http://127.0.0.1:9", "b").1 };
    let (other, _) = to("http://127.0.0.1:9", "b");
    books.name(&other);
    deliver.send(&other, large);
    assert_eq!(view(&books, "b").dropped, 1);
    let start = Instant::now();
    deliver.finish(Duration::from_millis(100));
    assert!(start.elapsed() < Duration::from_secs(1), "the end waits no longer than it may");
}

#[test]
fn the_end_waits_for_what_can_be_sent() {
    let ((good, count), (deliver, _)) = (server(200), deliver());
    for n in 0..5 {
        let (target, request) = to(&good, &format!("a{n}"));
        deliver.send(&target, request);
    }
    deliver.finish(Duration::from_secs(20));
    assert_eq!(count.load(Ordering::SeqCst), 5);
}

#[test]
fn hosts() {
    for (url, found) in [("https://a:1/x", "https://a:1"), ("http://a", "http://a"), ("http://a?x/y", "http://a")] {
        assert_eq!(host(url), found);
    }
}
