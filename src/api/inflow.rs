//! A request as it comes in: head and body, each within bounds and a time.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use super::answer::Problem;
use super::head::Head;

/// Longest request head in bytes. A job name takes at most 3 × 128 of them.
const MAX_HEAD: usize = 16 << 10;
/// Longest time in which the head must be complete.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// Longest body that is read for who may send one.
pub const MAX_BODY: u64 = 1 << 20;
/// Longest body that is read to be thrown away.
const MAX_DROPPED: u64 = 64 << 10;
/// Longest time in which the body must be complete.
const BODY_TIME: Duration = Duration::from_secs(30);

/// The head without the empty line at its end, and what came behind that; or why it is refused.
pub async fn head(client: &mut (impl AsyncRead + Unpin)) -> io::Result<Result<(Vec<u8>, Vec<u8>), Problem>> {
    let reading = async {
        let mut head = Vec::with_capacity(1024);
        loop {
            let seen = head.len().saturating_sub(3);
            if client.read_buf(&mut head).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if let Some(at) = memchr::memmem::find(&head[seen..], b"\r\n\r\n").filter(|at| seen + at <= MAX_HEAD) {
                let behind = head.split_off(seen + at + 4);
                head.truncate(seen + at);
                return Ok(Ok((head, behind)));
            }
            if head.len() > MAX_HEAD {
                return Ok(Err(Problem::new(431, "head-too-long", "the head of a request has at most 16 KiB")));
            }
        }
    };
    timeout(HEAD_TIME, reading).await.unwrap_or_else(|_| Ok(Err(too_slow("10 s"))))
}

/// The whole body, of which `begun` has already come; or why it is refused. Where nobody wants it (`keep` is false) it
/// is read all the same: a client may send `null` with a `GET`.
pub async fn body(
    client: &mut (impl AsyncRead + AsyncWrite + Unpin),
    head: &Head<'_>,
    mut begun: Vec<u8>,
    keep: bool,
) -> io::Result<Result<Vec<u8>, Problem>> {
    let most = if keep { MAX_BODY } else { MAX_DROPPED };
    let length = match usize::try_from(head.length) {
        Ok(length) if head.length <= most => length,
        _ => {
            let message = format!("the body of this request may have {} KiB", most >> 10);
            return Ok(Err(Problem::new(413, "body-too-long", message)));
        }
    };
    let reading = async {
        if head.expects && head.version == "HTTP/1.1" && begun.len() < length {
            client.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        // What comes behind it would be another request: one is all that a connection carries.
        begun.truncate(length);
        let missing = (length - begun.len()) as u64;
        let more = client.take(missing).read_to_end(&mut begun).await? as u64;
        if more < missing { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    };
    match timeout(BODY_TIME, reading).await {
        Ok(read) => read.map(|()| Ok(if keep { begun } else { Vec::new() })),
        Err(_) => Ok(Err(too_slow("30 s"))),
    }
}

fn too_slow(time: &str) -> Problem {
    Problem::new(408, "too-slow", format!("the request was not complete in {time}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::io::duplex;

    use super::*;

    fn run<F: Future>(future: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    /// Head and body, or why not; or the connection was lost.
    type Taken = io::Result<Result<(Vec<u8>, Vec<u8>), Problem>>;

    /// What is taken of these bytes, sent in pieces.
    fn take(pieces: &[&[u8]], keep: bool) -> Taken {
        run(async {
            let (mut near, mut far) = duplex(4 << 20);
            for piece in pieces {
                far.write_all(piece).await?;
            }
            far.shutdown().await?;
            let (head, behind) = match head(&mut near).await? {
                Ok(read) => read,
                Err(problem) => return Ok(Err(problem)),
            };
            let parsed = match Head::parse(&head) {
                Ok(parsed) => parsed,
                Err(problem) => return Ok(Err(problem)),
            };
            Ok(body(&mut near, &parsed, behind, keep).await?.map(|body| (head.clone(), body)))
        })
    }

    #[test]
    fn g98_a_body_is_as_long_as_its_head_says() {
        let whole = b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello";
        for at in 0..whole.len() {
            let (one, two) = whole.split_at(at);
            assert_eq!(take(&[one, two], true).unwrap().unwrap().1, b"hello", "{at}");
        }
        let behind = [&whole[..], b"GET / HTTP/1.1\r\n\r\n"].concat();
        assert_eq!(take(&[&behind], true).unwrap().unwrap().1, b"hello", "what is behind it is nothing");
        assert_eq!(take(&[whole], false).unwrap().unwrap().1, b"", "nobody wants it");
        assert!(take(&[&whole[..whole.len() - 1]], true).is_err(), "cut short");
    }

    #[test]
    fn g98_bounds() {
        let head = |length: u64| format!("POST / HTTP/1.1\r\nContent-Length: {length}\r\n\r\n").into_bytes();
        let code = |pieces: &[&[u8]], keep| take(pieces, keep).unwrap().map(|_| ()).map_err(|p| p.code().to_owned());
        let whole = [head(MAX_BODY), vec![b'x'; MAX_BODY as usize]].concat();
        assert_eq!(code(&[&whole], true), Ok(()));
        for (length, keep) in [(MAX_BODY + 1, true), (u64::MAX / 2, true), (MAX_DROPPED + 1, false)] {
            assert_eq!(code(&[&head(length)], keep), Err("body-too-long".into()), "{length}");
        }
        let long = [b"GET / HTTP/1.1\r\nX: ", &vec![b'x'; MAX_HEAD][..]].concat();
        assert_eq!(code(&[&long], true), Err("head-too-long".into()));
        assert_eq!(code(&[&long, b"\r\n\r\n"], true), Err("head-too-long".into()));
    }

    proptest! {
        /// Whatever is sent, at most one request comes of it: its head has no end in it, its body the length that it says.
        #[test]
        fn g98_one_connection_one_request(bytes in "(GET|POST) /x HTTP/1.1\r\n(Content-Length: [0-9]{1,2}\r\n)?\r\n[ -~\r\n]{0,200}") {
            if let Ok(Ok((head, body))) = take(&[bytes.as_bytes()], true) {
                prop_assert!(memchr::memmem::find(&head, b"\r\n\r\n").is_none());
                prop_assert_eq!(body.len() as u64, Head::parse(&head).unwrap().length);
            }
        }
    }
}
