//! The known word nearest to a mistyped one.

/// The nearest of `known`, if it is near enough to be meant: a third of its letters wrong, or one a mere matter of case or
/// of `-` for `_`.
pub fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    if word.len() > 64 {
        return None;
    }
    let plain: String = word.to_lowercase().replace('-', "_");
    let (distance, near) = known.iter().map(|known| (distance(&plain, known), *known)).min_by_key(|(d, _)| *d)?;
    (distance <= near.chars().count().max(3) / 3).then_some(near)
}

/// Damerau's distance: letters inserted, left out, exchanged, or swapped with their neighbour.
fn distance(one: &str, other: &str) -> usize {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let mut rows = vec![vec![0; other.len() + 1]; one.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    rows[0] = (0..=other.len()).collect();
    for i in 1..=one.len() {
        for j in 1..=other.len() {
            let same = usize::from(one[i - 1] != other[j - 1]);
            let mut best = (rows[i - 1][j] + 1).min(rows[i][j - 1] + 1).min(rows[i - 1][j - 1] + same);
            if i > 1 && j > 1 && one[i - 1] == other[j - 2] && one[i - 2] == other[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[one.len()][other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_meant() {
        let known = ["schedule", "timeout", "user", "kill_after", "args"];
        for (word, meant) in [
            ("shedule", Some("schedule")),
            ("scheduel", Some("schedule")),
            ("Timeout", Some("timeout")),
            ("kill-after", Some("kill_after")),
            ("usr", Some("user")),
            ("arg", Some("args")),
            ("retries", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, &known), meant, "{word}");
        }
    }
}
