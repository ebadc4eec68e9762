//! Asking the engine, with an end to patience: a thread that waits for an answer waits at most ten seconds.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use super::answer::Problem;
use crate::engine::{Reply, Request};

/// Longest wait for an answer of the engine.
const PATIENCE: Duration = Duration::from_secs(10);

/// The engine, as seen from a thread of the endpoint.
pub struct Engine {
    requests: mpsc::Sender<Request>,
    patience: Duration,
}

impl Engine {
    /// The engine behind `requests`.
    pub fn new(requests: mpsc::Sender<Request>) -> Self {
        Self { requests, patience: PATIENCE }
    }

    /// Sends the request that `make` makes of the place for its answer, and waits for that. The engine's refusals come
    /// with their status; an engine that takes no request or gives no answer in time is `engine-busy`.
    pub fn ask<T>(&self, make: impl FnOnce(Reply<T>) -> Request) -> Result<T, Problem> {
        let (reply, answer) = oneshot::channel();
        let exchange = async {
            self.requests.send(make(reply)).await.ok()?;
            answer.await.ok()
        };
        match wait(exchange, self.patience) {
            Some(Some(answer)) => answer.map_err(Problem::from),
            Some(None) => Err(busy("the engine is stopping")),
            None => Err(busy("the engine did not answer in 10 s")),
        }
    }
}

fn busy(message: &str) -> Problem {
    Problem::new(503, "engine-busy", message).hint("see journalctl -u rotad")
}

/// Runs a future on this thread until it is ready or `patience` is over. (The runtime's `blocking_recv` knows no time.)
pub(super) fn wait<F: Future>(future: F, patience: Duration) -> Option<F::Output> {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let deadline = Instant::now() + patience;
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return Some(output);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return None;
        }
        thread::park_timeout(left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Refusal;

    fn engine(capacity: usize) -> (Engine, mpsc::Receiver<Request>) {
        let (requests, inbox) = mpsc::channel(capacity);
        (Engine { requests, patience: Duration::from_millis(50) }, inbox)
    }

    #[test]
    fn h107_an_engine_that_does_not_answer_is_busy() {
        let (engine, inbox) = engine(1);
        let problem = engine.ask(Request::Status).unwrap_err();
        assert_eq!((problem.status(), problem.code()), (503, "engine-busy"));
        let problem = engine.ask(Request::Status).unwrap_err();
        assert_eq!(problem.code(), "engine-busy", "its inbox is full");
        drop(inbox);
        assert_eq!(engine.ask(Request::Status).unwrap_err().code(), "engine-busy", "it is gone");
    }

    #[test]
    fn refusals_come_with_their_status() {
        for (code, status) in [("no-such-job", 404), ("overlap", 409), ("stopping", 503), ("never heard of", 409)] {
            let (engine, mut inbox) = engine(1);
            let engine = Engine { patience: PATIENCE, ..engine };
            let answering = thread::spawn(move || match inbox.blocking_recv() {
                Some(Request::Status(reply)) => {
                    reply.send(Err(Refusal { code: code.into(), message: "no".into(), hint: None })).is_ok()
                }
                other => panic!("{other:?}"),
            });
            let problem = engine.ask(Request::Status).unwrap_err();
            assert_eq!((problem.status(), problem.code()), (status, code));
            assert!(answering.join().unwrap());
        }
    }
}
