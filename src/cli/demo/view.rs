//! What the screen looks like: a snapshot goes in, cells come out.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Cell, Paragraph, Row as TableRow, Table};

use super::board::Row;
use crate::metrics::Totals;

/// Everything that is shown, at one moment.
pub(super) struct Snapshot<'a> {
    pub(super) topology: &'a str,
    pub(super) threads: usize,
    pub(super) http: SocketAddr,
    pub(super) elapsed: Duration,
    pub(super) records_a_second: f64,
    pub(super) totals: Totals,
    pub(super) rank_by: &'a str,
    pub(super) columns: &'a [&'a str],
    pub(super) rows: Vec<Row>,
}

/// Records a second over the last few seconds.
#[derive(Default)]
pub(super) struct Pace {
    seen: VecDeque<(Duration, u64)>,
}

impl Pace {
    const SPAN: Duration = Duration::from_secs(3);

    /// Takes in how many there are now and gives the rate.
    #[expect(clippy::cast_precision_loss, reason = "a figure to look at")]
    pub(super) fn of(&mut self, now: Duration, records: u64) -> f64 {
        self.seen.push_back((now, records));
        while self.seen.get(1).is_some_and(|(time, _)| now.saturating_sub(*time) >= Self::SPAN) {
            self.seen.pop_front();
        }
        match self.seen.front() {
            Some((time, before)) if *time < now => {
                records.saturating_sub(*before) as f64 / now.saturating_sub(*time).as_secs_f64()
            }
            _ => 0.0,
        }
    }
}

const BAR: usize = 24;
const DIM: Style = Style::new().add_modifier(Modifier::DIM);

/// Draws the whole screen.
pub(super) fn draw(frame: &mut Frame<'_>, snapshot: &Snapshot<'_>) {
    let [head, figures, body, foot] =
        Layout::vertical([Constraint::Length(1), Constraint::Length(3), Constraint::Min(3), Constraint::Length(1)])
            .areas(frame.area());
    frame.render_widget(Paragraph::new(title(snapshot)), head);
    draw_figures(frame, figures, snapshot);
    draw_table(frame, body, snapshot);
    let page = Line::from(vec![Span::raw(" http://"), Span::raw(snapshot.http.to_string())]).cyan();
    frame.render_widget(Paragraph::new(page), foot);
    frame.render_widget(Paragraph::new(Span::styled("q quits ", DIM)).alignment(Alignment::Right), foot);
}

fn title<'a>(snapshot: &Snapshot<'a>) -> Line<'a> {
    let about = format!("  {} threads, broker in this process, {}s", snapshot.threads, snapshot.elapsed.as_secs());
    Line::from(vec![
        " millstream ".black().on_cyan().bold(),
        Span::raw(" "),
        snapshot.topology.bold(),
        Span::styled(about, DIM),
    ])
}

fn draw_figures(frame: &mut Frame<'_>, area: Rect, snapshot: &Snapshot<'_>) {
    let Totals { lag, committed, dropped, dead_letters, .. } = snapshot.totals;
    let lost = |count: u64| if count > 0 { Color::Yellow } else { Color::Reset };
    let figures = [
        ("records/s", format!("{:.1}", snapshot.records_a_second), Color::Green),
        ("lag", lag.to_string(), Color::Reset),
        ("commits", committed.to_string(), Color::Reset),
        ("dropped", dropped.to_string(), lost(dropped)),
        ("dead letters", dead_letters.to_string(), lost(dead_letters)),
    ];
    let areas = Layout::horizontal([Constraint::Ratio(1, 5); 5]).split(area);
    for ((name, figure, color), area) in figures.into_iter().zip(areas.iter()) {
        let block = Block::new().borders(Borders::ALL).border_style(DIM).title(name);
        frame.render_widget(Paragraph::new(figure.fg(color).bold()).alignment(Alignment::Center).block(block), *area);
    }
}

fn draw_table(frame: &mut Frame<'_>, area: Rect, snapshot: &Snapshot<'_>) {
    if snapshot.rows.is_empty() {
        frame.render_widget(Paragraph::new(Span::styled(" waiting for the first commit …", DIM)), area);
        return;
    }
    let largest = snapshot.rows.first().map_or(0.0, |row| row.weight);
    let rows = snapshot.rows.iter().enumerate().map(|(place, row)| table_row(place + 1, row, largest));
    let titles =
        ["#".to_owned(), "key".to_owned()].into_iter().chain(snapshot.columns.iter().map(|name| (*name).to_owned()));
    let header = titles.chain([snapshot.rank_by.to_owned(), String::new()]).map(right).collect::<TableRow<'_>>();
    let columns = snapshot.columns.iter().map(|name| Constraint::Length(width(name.len())));
    let widths = [Constraint::Length(3), Constraint::Length(10)].into_iter().chain(columns);
    let widths = widths.chain([Constraint::Length(12), Constraint::Length(width(BAR))]);
    frame.render_widget(Table::new(rows, widths).header(header.style(DIM)), area);
}

fn width(cells: usize) -> u16 {
    u16::try_from(cells.max(8)).unwrap_or(u16::MAX)
}

fn right(text: String) -> Cell<'static> {
    Cell::from(Line::from(text).alignment(Alignment::Right))
}

fn table_row(place: usize, row: &Row, largest: f64) -> TableRow<'static> {
    let first = [right(place.to_string()), right(row.key.clone()).bold()];
    let columns = row.columns.iter().cloned().map(right);
    let last = [right(row.ranked.clone()).green(), Cell::from(bar(row.weight, largest)).cyan()];
    first.into_iter().chain(columns).chain(last).collect()
}

/// A bar in proportion to the largest, to an eighth of a cell.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "clamped before"
)]
fn bar(weight: f64, largest: f64) -> String {
    const EIGHTHS: [char; 7] = ['▏', '▎', '▍', '▌', '▋', '▊', '▉'];
    let share = if largest > 0.0 { (weight / largest).clamp(0.0, 1.0) } else { 0.0 };
    let eighths = (share * (BAR * 8) as f64).round() as usize;
    let rest = (eighths % 8).checked_sub(1).and_then(|rest| EIGHTHS.get(rest));
    "█".repeat(eighths / 8).chars().chain(rest.copied()).collect()
}

#[cfg(test)]
#[path = "view_tests.rs"]
mod tests;
