//! How it goes with each target: counts, and a word to people when one stops working or works again (I119).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::target::{Target, TargetId};
use crate::engine::TargetView;

/// Targets that stand in rules and are remembered while they fail.
const MAX_INLINE: usize = 1000;
/// Of those, so many are shown.
const SHOWN: usize = 50;

/// All targets. Clones share one book; nobody holds it for longer than a look takes.
#[derive(Debug, Clone, Default)]
pub struct Books(Arc<Mutex<BTreeMap<TargetId, Book>>>);

#[derive(Debug)]
struct Book {
    /// It has a name in rotad.yaml, and is shown always.
    named: bool,
    view: TargetView,
    /// Given up or dropped since it began to fail.
    lost: u64,
    /// It was told that alarms are dropped.
    dropping: bool,
}

impl Books {
    /// A target of rotad.yaml.
    pub fn name(&self, target: &Target) {
        let book = Book { named: true, ..Book::of(target) };
        self.all().insert(target.id(), book);
    }

    /// An alarm was taken.
    pub fn sent(&self, target: &Target) {
        let mut all = self.all();
        let Some(book) = all.get_mut(&target.id()) else { return };
        book.view.sent += 1;
        book.dropping = false;
        let works = book.view.failing.take().map(|_| std::mem::take(&mut book.lost));
        if !book.named {
            all.remove(&target.id());
        }
        drop(all);
        if let Some(lost) = works {
            let (name, kind) = (&target.name, target.kind.word());
            tracing::info!(code = "alarms", "alarms to {name} ({kind}) go out again; {lost} were lost meanwhile");
        }
    }

    /// A try failed; without `again` the alarm is given up.
    pub fn failed(&self, target: &Target, why: &str, again: bool) {
        let first = self.book(target, |book| {
            book.view.failed += 1;
            if !again {
                book.view.given_up += 1;
                book.lost += 1;
            }
            book.view.failing.replace(why.to_owned()).is_none()
        });
        if first == Some(true) {
            let (name, kind) = (&target.name, target.kind.word());
            tracing::warn!(
                code = "alarm-failed",
                "alarms to {name} ({kind}) do not go out: {why} (hint: see rota status)"
            );
        }
    }

    /// There was no room for an alarm.
    pub fn dropped(&self, target: &Target) {
        let first = self.book(target, |book| {
            book.view.dropped += 1;
            book.lost += 1;
            !std::mem::replace(&mut book.dropping, true)
        });
        if first == Some(true) {
            let (name, kind) = (&target.name, target.kind.word());
            tracing::warn!(code = "alarm-dropped", "as many alarms to {name} ({kind}) wait as may: more are dropped");
        }
    }

    /// As people see them: those of rotad.yaml, and others that fail.
    pub fn views(&self) -> Vec<TargetView> {
        let all = self.all();
        let (mut named, mut others): (Vec<&Book>, Vec<&Book>) = all.values().partition(|book| book.named);
        named.sort_by(|one, other| one.view.name.cmp(&other.view.name));
        others.sort_by(|one, other| one.view.name.cmp(&other.view.name));
        named.into_iter().chain(others.into_iter().take(SHOWN)).map(|book| book.view.clone()).collect()
    }

    fn book<T>(&self, target: &Target, write: impl FnOnce(&mut Book) -> T) -> Option<T> {
        let mut all = self.all();
        let room = all.len() < MAX_INLINE || all.contains_key(&target.id());
        room.then(|| write(all.entry(target.id()).or_insert_with(|| Book::of(target))))
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<TargetId, Book>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    fn of(target: &Target) -> Book {
        let (name, kind) = (target.name.clone(), target.kind.word().to_owned());
        Book { named: false, view: TargetView { name, kind, ..TargetView::default() }, lost: 0, dropping: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alarm::tests::target;

    #[test]
    fn i119_a_target_that_fails_is_an_item_of_its_own() {
        let (books, named, inline) = (Books::default(), target("ops"), target("other"));
        books.name(&named);
        books.sent(&named);
        books.failed(&inline, "it answered 500", true);
        books.failed(&named, "no answer within 5 s", true);
        books.failed(&named, "no answer within 5 s", false);
        books.dropped(&named);
        let views = books.views();
        let [ops, other] = views.as_slice() else { panic!("{views:?}") };
        assert_eq!((ops.name.as_str(), ops.kind.as_str(), ops.sent, ops.failed), ("ops", "command", 1, 2));
        assert_eq!((ops.given_up, ops.dropped, ops.failing.as_deref()), (1, 1, Some("no answer within 5 s")));
        assert_eq!((other.name.as_str(), other.failed), ("other", 1));
        books.sent(&named);
        books.sent(&inline);
        let views = books.views();
        assert_eq!((views.len(), &views[0].failing, views[0].sent), (1, &None, 2), "one that works again is no item");
    }
}
