//! Things of which tests need one.

use std::sync::Arc;

use super::{Alarm, Kind, On, Target, Told};
use crate::job::JobName;

pub fn target(name: &str) -> Arc<Target> {
    Arc::new(Target { name: name.into(), kind: Kind::Command(vec![format!("/bin/{name}")]) })
}

pub fn alarm(job: &str, on: On) -> Alarm {
    let at = "2026-11-20T10:00:00Z".parse().unwrap();
    Alarm {
        job: JobName::parse(job).unwrap(),
        on,
        at,
        reason: "failed with exit code 7".into(),
        told: Some(Told {
            run: "0000000000001".into(),
            slot: Some(at),
            outcome: "failure",
            code: Some(7),
            reason: "failed with exit code 7".into(),
            ..Told::default()
        }),
        slot: Some(at),
        since: Some(at),
        count: 1,
        next_slot: None,
        tail: "boom\n".into(),
    }
}
