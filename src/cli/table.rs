//! Tables on standard output, as wide as the terminal.
//!
//! On a terminal columns that do not fit are left out, cut or broken into lines, as their [`Fit`] says; where standard output
//! is no terminal a row is one line and every value is whole, for `grep` and `awk`. JSON always has everything.

use std::io::IsTerminal;

use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Row, TableStyle, Width};
use unicode_width::UnicodeWidthStr;

use super::Output;
use super::output::Style;
use crate::text;

/// The width of a terminal that does not say its own.
const DEFAULT_WIDTH: u16 = 80;

/// Columns between two cells.
const GAP: usize = 2;

/// What becomes of a column for which a terminal has too little space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fit {
    /// It is always shown, and whole.
    Whole,
    /// It is cut, down to this width; then it is left out.
    Cut(u16),
    /// It is shown whole or not at all.
    Optional,
    /// It is broken into lines between words, down to this width. No column of the same table is cut then.
    Wrap(u16),
}

/// A column's heading and how it is shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    head: &'static str,
    fit: Fit,
    is_number: bool,
}

impl Column {
    /// A column of text.
    pub(super) const fn text(head: &'static str, fit: Fit) -> Self {
        Self { head, fit, is_number: false }
    }

    /// A column of numbers, aligned at the right.
    pub(super) const fn number(head: &'static str) -> Self {
        Self { head, fit: Fit::Whole, is_number: true }
    }
}

/// A table to be printed.
#[derive(Debug)]
pub(super) struct Table<'a> {
    columns: &'a [Column],
    rows: Vec<(Vec<String>, Option<Style>)>,
}

impl<'a> Table<'a> {
    /// A table without rows.
    pub(super) const fn new(columns: &'a [Column]) -> Self {
        Self { columns, rows: Vec::new() }
    }

    /// Adds a row, with as many cells as there are columns.
    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = String>, style: Option<Style>) {
        // Escaped before they are measured and cut.
        self.rows.push((cells.into_iter().map(|cell| text::escaped(&cell).into_owned()).collect(), style));
    }

    /// Prints it on standard output, unless that is silent.
    pub(super) fn print(&self, out: &Output) {
        // Where a row may take several lines, rows have no styles.
        let rows = self.rows.iter().map(|(_, style)| *style).chain(std::iter::repeat(None));
        let styles = std::iter::once(Some(Style::Bold)).chain(rows);
        let painted = self.lines(terminal_width()).into_iter().zip(styles).map(|(line, style)| match style {
            Some(style) => out.paint(line, style),
            None => line,
        });
        out.lines(painted);
    }

    /// Its heading and rows within `width` where there is one.
    fn lines(&self, width: Option<u16>) -> Vec<String> {
        let shown = self.shown(width);
        let mut table = comfy_table::Table::new();
        table.load_style(TableStyle::new());
        if let Some(width) = width {
            table.set_content_arrangement(ContentArrangement::Dynamic);
            // The gap behind the last column is blank.
            table.set_width(width.saturating_add(GAP as u16));
        } else {
            table.set_content_arrangement(ContentArrangement::Disabled);
        }
        let pick = |cells: &[String]| {
            let mut row = Row::from(shown.iter().map(|&at| cells[at].clone()).collect::<Vec<_>>());
            if !self.wraps() {
                row.max_height(1);
            }
            row
        };
        let heads: Vec<String> = self.columns.iter().map(|column| column.head.to_owned()).collect();
        table.add_row(pick(&heads));
        for (cells, _) in &self.rows {
            table.add_row(pick(cells));
        }
        for (column, &at) in table.column_iter_mut().zip(&shown) {
            column.set_padding((0, GAP as u16));
            if self.columns[at].is_number {
                column.set_cell_alignment(CellAlignment::Right);
            }
            match self.columns[at].fit {
                Fit::Whole | Fit::Optional => column.set_constraint(ColumnConstraint::ContentWidth),
                Fit::Cut(_) | Fit::Wrap(_) => {
                    let least = self.least(at) + GAP;
                    let least = u16::try_from(least).unwrap_or(u16::MAX);
                    column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(least)))
                }
            };
        }
        table.lines().map(|line| line.trim_end().to_owned()).collect()
    }

    /// The columns that fit: first optional ones are left out, then those that would have to be cut too short, each from the
    /// right.
    fn shown(&self, width: Option<u16>) -> Vec<usize> {
        let mut shown: Vec<usize> = (0..self.columns.len()).collect();
        let Some(width) = width.map(usize::from) else { return shown };
        let total = |shown: &[usize], needs: &dyn Fn(usize) -> usize| {
            shown.iter().map(|&at| needs(at) + GAP).sum::<usize>().saturating_sub(GAP)
        };
        let last =
            |shown: &[usize], fits: fn(Fit) -> bool| shown.iter().rposition(|&at| fits(self.columns[at].fit));
        while total(&shown, &|at| self.content(at)) > width {
            let Some(at) = last(&shown, |fit| fit == Fit::Optional) else { break };
            shown.remove(at);
        }
        while total(&shown, &|at| self.least(at)) > width {
            let Some(at) = last(&shown, |fit| matches!(fit, Fit::Cut(_))) else { break };
            shown.remove(at);
        }
        shown
    }

    fn wraps(&self) -> bool {
        self.columns.iter().any(|column| matches!(column.fit, Fit::Wrap(_)))
    }

    /// The least width of a column.
    fn least(&self, at: usize) -> usize {
        match self.columns[at].fit {
            Fit::Cut(least) | Fit::Wrap(least) => usize::from(least).min(self.content(at)),
            Fit::Whole | Fit::Optional => self.content(at),
        }
    }

    /// The width of a column's longest cell.
    fn content(&self, at: usize) -> usize {
        let cells = self.rows.iter().map(|(cells, _)| cells[at].width());
        cells.max().unwrap_or(0).max(self.columns[at].head.width())
    }
}

/// The width of the terminal that standard output is; `None` where it is none. `COLUMNS` comes first, as in other tools.
pub(super) fn terminal_width() -> Option<u16> {
    let stdout = std::io::stdout();
    if !stdout.is_terminal() {
        return None;
    }
    let is_set = |width: &u16| *width > 0;
    let variable = std::env::var("COLUMNS").ok().and_then(|text| text.trim().parse().ok()).filter(is_set);
    let own = || rustix::termios::tcgetwinsize(&stdout).ok().map(|size| size.ws_col).filter(is_set);
    Some(variable.or_else(own).unwrap_or(DEFAULT_WIDTH))
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 5] = [
        Column::text("NAME", Fit::Whole),
        Column::number("DAYS"),
        Column::text("ISSUER", Fit::Cut(8)),
        Column::text("NAMES", Fit::Cut(12)),
        Column::text("SERIAL", Fit::Optional),
    ];

    fn lines(width: Option<u16>) -> Vec<String> {
        let mut table = Table::new(&COLUMNS);
        let serial = "0123456789abcdef0123456789abcdef01234567";
        let row = ["server1", "364", "etcd CA", "DNS:server1 DNS:localhost IP:127.0.0.1", serial];
        table.row(row.map(str::to_owned), None);
        let row = ["東京\u{202e}", "-1", "an authority with a long name", "IP:10.0.0.1", serial];
        table.row(row.map(str::to_owned), None);
        table.lines(width)
    }

    #[test]
    fn without_a_terminal_every_value_is_whole() {
        let all = lines(None).join("\n");
        assert_eq!(all.lines().count(), 3, "{all}");
        for value in ["an authority with a long name", "DNS:localhost IP:127.0.0.1", "cdef01234567"] {
            assert!(all.contains(value), "{value}: {all}");
        }
        assert!(all.contains("東京\\u{202e}"), "{all}");
    }

    #[test]
    fn what_wraps_is_broken_between_words_and_nothing_is_lost() {
        let columns = [Column::text("MEMBER", Fit::Whole), Column::text("ACTIONS", Fit::Wrap(20))];
        let mut table = Table::new(&columns);
        let actions = "place certificates, settings, restart → certificates in force, HTTP still served";
        table.row(["server1".to_owned(), actions.to_owned()], None);
        assert_eq!(table.lines(None)[1], format!("server1  {actions}"));
        for width in 30..110 {
            let lines = table.lines(Some(width));
            assert!(lines.iter().all(|line| line.width() <= usize::from(width)), "{width}: {lines:#?}");
            let text = lines[1..].join(" ");
            assert_eq!(text.split_whitespace().skip(1).collect::<Vec<_>>().join(" "), actions, "{width}");
        }
    }

    #[test]
    fn a_row_is_one_line_within_the_width() {
        for width in 20..160 {
            let lines = lines(Some(width));
            assert_eq!(lines.len(), 3, "{width}: {lines:#?}");
            for line in &lines {
                assert!(line.width() <= usize::from(width), "{width}: {} {line:?}", line.width());
            }
        }
        let of = |width| lines(Some(width))[1].clone();
        assert_eq!(of(20), "server1        364");
        assert!(of(80).ends_with('…') && !of(80).contains("01234567"), "{}", of(80));
        assert!(of(140).ends_with("01234567"), "{}", of(140));
        assert!(of(140).contains("IP:127.0.0.1"), "{}", of(140));
    }
}
