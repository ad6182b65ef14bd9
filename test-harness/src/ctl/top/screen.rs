//! How it looks on a terminal.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Cell, Gauge, Paragraph, Row, Table};

use super::sample::Rates;

/// From this share of its time on a core is shown as hot.
const HOT: f64 = 90.0;

/// Draws everything.
pub(super) fn draw(frame: &mut Frame<'_>, rates: &Rates) {
    let [first, second] = rates.cells();
    let height = |rows: usize| u16::try_from(rows + 3).unwrap_or(u16::MAX);
    let parts = [
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(height(first.1.len())),
        Constraint::Min(4),
        Constraint::Length(1),
    ];
    let [title, memory, suboses, cores, keys] = Layout::vertical(parts).areas(frame.area());
    frame.render_widget(Paragraph::new(Line::styled(rates.title(), Modifier::BOLD)), title);
    frame.render_widget(gauge(rates), memory);
    frame.render_widget(list(" subOSes ", &first, |_| Style::default()), suboses);
    let hot = |index: usize| {
        let mut rows: Vec<_> = rates.rows.iter().collect();
        rows.sort_by_key(|row| row.core);
        let hot = rows.get(index).is_some_and(|row| row.busy >= HOT);
        if hot { Style::default().fg(Color::Yellow) } else { Style::default() }
    };
    frame.render_widget(list(" cores ", &second, hot), cores);
    let help = [Span::styled("q", Modifier::BOLD), Span::raw(" ends this view; the machine goes on")];
    frame.render_widget(Paragraph::new(Line::from_iter(help)), keys);
}

/// How much of the memory somebody has.
fn gauge(rates: &Rates) -> Gauge<'static> {
    let used = rates.memory.saturating_sub(rates.free);
    let share = if rates.memory == 0 { 0.0 } else { used as f64 / rates.memory as f64 };
    let label = format!("{used} of {} MiB are in use", rates.memory);
    Gauge::default().ratio(share.clamp(0.0, 1.0)).label(label).gauge_style(Style::default().fg(Color::Cyan))
}

fn list<'a>(
    title: &'a str,
    (head, rows): &'a (Vec<&'static str>, Vec<Vec<String>>),
    style: impl Fn(usize) -> Style,
) -> Table<'a> {
    let widths = head.iter().enumerate().map(|(column, name)| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        Constraint::Length(u16::try_from(cells.chain([name.len()]).max().unwrap_or(0)).unwrap_or(u16::MAX))
    });
    let body = rows
        .iter()
        .enumerate()
        .map(|(index, row)| Row::new(row.iter().map(|cell| Cell::from(cell.as_str()))).style(style(index)));
    Table::new(body, widths)
        .header(Row::new(head.clone()).style(Modifier::BOLD))
        .column_spacing(2)
        .block(Block::default().borders(Borders::TOP).title(title))
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::super::sample::{Row, Whole};
    use super::*;

    fn rates() -> Rates {
        let whole = |name: &str| Whole { subos: name.to_owned(), state: "alive", ..Whole::default() };
        let row = |subos: &str, core, busy| Row { subos: subos.to_owned(), core, busy, ..Row::default() };
        Rates {
            cores: 4,
            memory: 512,
            free: 128,
            suboses: vec![whole("echo"), whole("batch")],
            rows: vec![row("echo", 3, 95.5), row("batch", 1, 2.0)],
            ..Rates::default()
        }
    }

    fn drawn(width: u16, height: u16) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, &rates())).unwrap();
        let buffer = terminal.backend().buffer().clone();
        let line = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>();
        (0..height).map(line).collect()
    }

    #[test]
    fn everything_is_on_the_screen() {
        let lines = drawn(120, 30);
        let has = |words: &[&str]| lines.iter().any(|line| words.iter().all(|word| line.contains(word)));
        assert!(has(&["4 cores, 512 MiB of memory, 128 MiB free"]), "{lines:#?}");
        assert!(has(&["384 of 512 MiB are in use"]), "{lines:#?}");
        assert!(has(&["SUBOS", "STATE", "MEMORY", "PROGRESS/s"]) && has(&["echo", "alive"]), "{lines:#?}");
        assert!(has(&["3", "echo", "95.5 %"]) && has(&["1", "batch", "2.0 %"]), "{lines:#?}");
        let place = |word: &str| lines.iter().position(|line| line.contains(word)).unwrap();
        assert!(place("2.0 %") < place("95.5 %"), "cores are in their order: {lines:#?}");
        assert!(has(&["q ends this view"]), "{lines:#?}");
    }

    #[test]
    fn a_small_terminal_is_no_failure() {
        for (width, height) in [(1, 1), (10, 3), (40, 8), (200, 2)] {
            drawn(width, height);
        }
    }
}
