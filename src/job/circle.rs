//! Jobs that follow each other in a circle: pure, and linear in the number of jobs and of what they follow.

use std::collections::{BTreeMap, HashMap};

use super::{After, JobName};

/// The jobs that are in a circle, each with the number of its circle: all that can be come to from each other have the same.
/// What follows a circle without being followed by it is in none. An upstream job need not be defined.
pub fn circles<'a>(jobs: impl Iterator<Item = (&'a JobName, &'a After)>) -> BTreeMap<JobName, usize> {
    let jobs: Vec<(&JobName, &After)> = jobs.collect();
    let places: HashMap<&JobName, usize> = jobs.iter().enumerate().map(|(at, (name, _))| (*name, at)).collect();
    // What follows nothing is in no circle.
    let edges = |(_, after): &(&JobName, &After)| after.keys().filter_map(|name| places.get(name).copied()).collect();
    let edges: Vec<Vec<usize>> = jobs.iter().map(edges).collect();
    let mut found = BTreeMap::new();
    for (number, circle) in components(&edges).into_iter().enumerate() {
        let own = |at: &usize| edges[*at].contains(at);
        if circle.len() > 1 || circle.iter().any(own) {
            found.extend(circle.into_iter().map(|at| (jobs[at].0.clone(), number)));
        }
    }
    found
}

/// Strongly connected components (Tarjan's way, with a stack of its own: a chain of jobs may be as long as there are jobs).
fn components(edges: &[Vec<usize>]) -> Vec<Vec<usize>> {
    const UNSEEN: usize = usize::MAX;
    let (mut seen, mut low) = (vec![UNSEEN; edges.len()], vec![0; edges.len()]);
    let (mut path, mut on_path) = (Vec::new(), vec![false; edges.len()]);
    let (mut count, mut found) = (0, Vec::new());
    for root in 0..edges.len() {
        let mut work: Vec<(usize, usize)> = vec![(root, 0)];
        while let Some((at, next)) = work.pop() {
            if next == 0 {
                if seen[at] != UNSEEN {
                    continue;
                }
                (seen[at], low[at], on_path[at]) = (count, count, true);
                count += 1;
                path.push(at);
            }
            if let Some(&to) = next.checked_sub(1).and_then(|last| edges[at].get(last))
                && on_path[to]
            {
                low[at] = low[at].min(low[to]);
            }
            if let Some(&to) = edges[at].get(next) {
                work.push((at, next + 1));
                if seen[to] == UNSEEN {
                    work.push((to, 0));
                }
            } else if low[at] == seen[at] {
                let from = path.iter().rposition(|other| *other == at).unwrap_or_default();
                let component = path.split_off(from);
                component.iter().for_each(|other| on_path[*other] = false);
                found.push(component);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::AfterEnd;
    use proptest::prelude::*;

    fn found(edges: &[(usize, usize)]) -> BTreeMap<JobName, usize> {
        let mut jobs: BTreeMap<JobName, After> = BTreeMap::new();
        for (job, upstream) in edges {
            jobs.entry(name(*job)).or_default().insert(name(*upstream), AfterEnd::Any);
        }
        circles(jobs.iter())
    }

    fn name(at: usize) -> JobName {
        JobName::parse(&format!("job{at:05}")).unwrap()
    }

    #[test]
    fn a_long_chain_is_no_circle_and_a_long_circle_is_one() {
        let mut edges: Vec<(usize, usize)> = (1..10_000).map(|at| (at, at - 1)).collect();
        assert!(found(&edges).is_empty());
        edges.push((0, 9_999));
        assert_eq!(found(&edges).len(), 10_000);
        assert_eq!(found(&[(1, 0), (2, 1), (1, 2), (3, 2)]).len(), 2);
        assert_eq!(found(&[(1, 1)]).len(), 1);
    }

    proptest! {
        /// Two jobs are in one circle if and only if there is a way from each to the other.
        #[test]
        fn circles_are_where_a_way_leads_back(edges in prop::collection::vec((0..8usize, 0..8usize), 0..20)) {
            let mut way = [[false; 8]; 8];
            for (job, upstream) in &edges {
                way[*job][*upstream] = true;
            }
            for (over, from, to) in (0..8).flat_map(|o| (0..8).flat_map(move |f| (0..8).map(move |t| (o, f, t)))) {
                way[from][to] |= way[from][over] && way[over][to];
            }
            let found = found(&edges);
            for (one, other) in (0..8).flat_map(|one| (0..8).map(move |other| (one, other))) {
                let numbers = (found.get(&name(one)), found.get(&name(other)));
                let same = numbers.0.is_some() && numbers.0 == numbers.1;
                prop_assert_eq!(same, way[one][other] && way[other][one], "{} {}", one, other);
            }
        }
    }
}
