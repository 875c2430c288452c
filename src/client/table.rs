/// Columns of text that are as wide as they need to be.
#[derive(Debug)]
pub(super) struct Table {
    headings: Vec<String>,
    /// Whether a column is of numbers, which end below each other.
    right: Vec<bool>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A heading that begins with `>` is that of a column of numbers.
    pub fn new(headings: &[&str]) -> Self {
        Self {
            headings: headings
                .iter()
                .map(|heading| heading.trim_start_matches('>').to_owned())
                .collect(),
            right: headings
                .iter()
                .map(|heading| heading.starts_with('>'))
                .collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// The table in lines that are cut at a width in characters.
    pub fn render(&self, columns: usize) -> String {
        let lines = || std::iter::once(&self.headings).chain(&self.rows);
        let widths: Vec<usize> = (0..self.headings.len())
            .map(|column| {
                lines()
                    .filter_map(|cells| cells.get(column))
                    .map(|cell| cell.chars().count())
                    .max()
                    .unwrap_or(0)
            })
            .collect();
        let mut text = String::new();
        for cells in lines() {
            let padded = cells.iter().zip(&widths).zip(&self.right).map(
                |((cell, width), right)| match right {
                    true => format!("{cell:>width$}"),
                    false => format!("{cell:<width$}"),
                },
            );
            let line = padded.collect::<Vec<_>>().join("  ");
            text.extend(line.trim_end().chars().take(columns));
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_lines_cut() {
        let mut table = Table::new(&["NAME", ">SIZE", "UNIT"]);
        table.row(["größe", "1 B", "a.service"].map(str::to_owned));
        table.row(["x", "100 MiB", "b"].map(str::to_owned));
        assert_eq!(
            table.render(usize::MAX),
            "NAME      SIZE  UNIT\ngröße      1 B  a.service\nx      100 MiB  b\n"
        );
        assert_eq!(
            table.render(5),
            "NAME\ngröße\nx\n"
                .replace("NAME", "NAME ")
                .replace("x", "x    ")
        );
    }
}
