//! A table of text: columns as wide as they must be, the last one cut to the terminal's width.

use super::term::{Colour, Term};

/// A cell: text without colour codes, and its colour.
pub type Cell = (String, Colour);

/// Space between two columns.
const GAP: usize = 2;

/// `rows` below `head`, one line each.
pub fn table<const N: usize>(term: &Term, head: [&str; N], rows: Vec<[Cell; N]>) -> String {
    let head = head.map(|title| (title.to_owned(), Colour::Dim));
    let rows: Vec<[Cell; N]> = std::iter::once(head).chain(rows).collect();
    let widths: [usize; N] =
        std::array::from_fn(|column| rows.iter().map(|row| length(&row[column].0)).max().unwrap_or_default());
    let mut text = String::new();
    for row in rows {
        let mut at = 0;
        let mut line = String::new();
        for (column, (cell, colour)) in row.iter().enumerate() {
            let left = term.width.map(|width| width.saturating_sub(at));
            let cell = if column + 1 == N { cut(cell, left) } else { cell.clone() };
            line.push_str(&term.paint(*colour, &cell));
            if column + 1 < N {
                line.push_str(&" ".repeat(widths[column] + GAP - length(&cell)));
                at += widths[column] + GAP;
            }
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// `text` in at most `width` characters.
fn cut(text: &str, width: Option<usize>) -> String {
    match width {
        Some(width) if length(text) > width.max(1) => text.chars().take(width.saturating_sub(1)).chain(['…']).collect(),
        _ => text.to_owned(),
    }
}

fn length(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<[Cell; 2]> {
        vec![
            [("backup".into(), Colour::Plain), ("0 3 * * *".into(), Colour::Plain)],
            [("ü".into(), Colour::Red), (String::new(), Colour::Plain)],
        ]
    }

    #[test]
    fn columns_stand_below_each_other_and_the_last_is_cut() {
        let pipe = Term { terminal: false, colour: false, width: None };
        assert_eq!(table(&pipe, ["JOB", "SCHEDULE"], rows()), "JOB     SCHEDULE\nbackup  0 3 * * *\nü\n");
        let narrow = Term { terminal: true, colour: false, width: Some(14) };
        assert_eq!(table(&narrow, ["JOB", "SCHEDULE"], rows()), "JOB     SCHED…\nbackup  0 3 *…\nü\n");
        let tiny = Term { terminal: true, colour: false, width: Some(1) };
        assert!(table(&tiny, ["JOB", "SCHEDULE"], rows()).contains("backup"));
    }
}
