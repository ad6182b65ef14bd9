//! Tables of text.

/// A table: a head, and rows of as many cells. Columns that hold numbers are to the right.
#[must_use]
pub(super) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let head: Vec<String> = head.iter().map(|cell| (*cell).to_owned()).collect();
    let cells = |column: usize| rows.iter().filter_map(move |row| row.get(column));
    let layout: Vec<(usize, bool)> = head
        .iter()
        .enumerate()
        .map(|(column, name)| {
            let width = cells(column).chain([name]).map(|cell| cell.chars().count()).max().unwrap_or(0);
            let number =
                |cell: &String| cell.starts_with(|first: char| first.is_ascii_digit()) || cell == "-";
            (width, rows.iter().len() > 0 && cells(column).all(number))
        })
        .collect();
    let line = |row: &Vec<String>| {
        let padded = row.iter().zip(&layout).map(|(cell, (width, number))| {
            if *number { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        });
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    std::iter::once(&head).chain(rows).map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_to_the_right_and_nothing_trails() {
        let rows = [vec!["a".to_owned(), "5 MiB".to_owned()], vec!["long".to_owned(), "17 MiB".to_owned()]];
        assert_eq!(table(&["NAME", "HAS"], &rows), "NAME     HAS\na      5 MiB\nlong  17 MiB");
        assert_eq!(table(&["NAME", "HAS"], &[]), "NAME  HAS");
    }
}
