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

/// What all demos have in common, at one moment.
pub(super) struct Around<'a> {
    /// The topologies, in the order of their places.
    pub(super) names: Vec<&'a str>,
    /// Stream threads of each.
    pub(super) threads: usize,
    pub(super) http: SocketAddr,
    pub(super) elapsed: Duration,
}

/// Everything that is shown of one demo, at one moment.
pub(super) struct Snapshot<'a> {
    pub(super) around: &'a Around<'a>,
    /// Which of them it is.
    pub(super) place: usize,
    /// Seconds of event time a second of the clock.
    pub(super) speed: f64,
    pub(super) records_a_second: f64,
    pub(super) totals: Totals,
    pub(super) rank_by: &'a str,
    pub(super) columns: &'a [&'a str],
    pub(super) rows: Vec<Row>,
}

impl<'a> Snapshot<'a> {
    /// The topology's name.
    pub(super) fn topology(&self) -> &'a str {
        self.around.names.get(self.place).copied().unwrap_or_default()
    }
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

/// Draws the whole screen. Where there are several demos a line names them.
pub(super) fn draw(frame: &mut Frame<'_>, snapshot: &Snapshot<'_>) {
    let several = snapshot.around.names.len() > 1;
    let rows = [1, u16::from(several), 3].map(Constraint::Length);
    let [head, names, figures, body, foot] =
        Layout::vertical(rows.into_iter().chain([Constraint::Min(3), Constraint::Length(1)])).areas(frame.area());
    frame.render_widget(Paragraph::new(title(snapshot)), head);
    if several {
        frame.render_widget(Paragraph::new(tabs(snapshot, usize::from(names.width))), names);
    }
    draw_figures(frame, figures, snapshot);
    draw_table(frame, body, snapshot);
    let page = Line::from(vec![Span::raw(" http://"), Span::raw(snapshot.around.http.to_string())]).cyan();
    frame.render_widget(Paragraph::new(page), foot);
    let keys = if several { "Tab or a number shows another, q quits " } else { "q quits " };
    frame.render_widget(Paragraph::new(Span::styled(keys, DIM)).alignment(Alignment::Right), foot);
}

fn title<'a>(snapshot: &Snapshot<'a>) -> Line<'a> {
    let Around { threads, elapsed, .. } = snapshot.around;
    let about = format!("  {threads} threads, broker in this process, {}s", elapsed.as_secs());
    #[expect(clippy::float_cmp, reason = "as it was declared")]
    let fast = if snapshot.speed == 1.0 {
        String::new()
    } else {
        format!("  event time runs {} times as fast", snapshot.speed)
    };
    Line::from(vec![
        " millstream ".black().on_cyan().bold(),
        Span::raw(" "),
        snapshot.topology().bold(),
        Span::from(fast).yellow(),
        Span::styled(about, DIM),
    ])
}

/// The demos by number and name; where there is no room for all names, only that of the one that is shown.
fn tabs<'a>(snapshot: &Snapshot<'a>, width: usize) -> Line<'a> {
    let names = &snapshot.around.names;
    let all: usize = names.iter().map(|name| name.len() + 4).sum();
    let tab = |(place, name): (usize, &&'a str)| {
        let shown = place == snapshot.place;
        let number = place + 1;
        let text = if shown || all < width { format!(" {number} {name} ") } else { format!(" {number} ") };
        if shown { text.bold().reversed() } else { Span::styled(text, DIM) }
    };
    std::iter::once(Span::raw(" ")).chain(names.iter().enumerate().map(tab)).collect()
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
        frame.render_widget(Paragraph::new(Span::styled(" waiting for the first result …", DIM)), area);
        return;
    }
    let (widths, bar) = widths(snapshot, usize::from(area.width));
    let largest = snapshot.rows.first().map_or(0.0, |row| row.weight);
    let rows = snapshot.rows.iter().enumerate().map(|(place, row)| table_row(place + 1, row, largest, bar));
    let titles = ["#", "key"].iter().chain(snapshot.columns).chain([&snapshot.rank_by, &""]);
    let header = titles.map(|title| right((*title).to_owned())).collect::<TableRow<'_>>();
    let widths =
        widths.into_iter().chain([bar]).map(|cells| Constraint::Length(u16::try_from(cells).unwrap_or(u16::MAX)));
    frame.render_widget(Table::new(rows, widths).header(header.style(DIM)), area);
}

/// How wide the columns are, and the bar after them: as wide as what stands in them, and not narrower than usual, so that
/// they do not move with every digit. Where there is little room the bar is shorter.
fn widths(snapshot: &Snapshot<'_>, room: usize) -> (Vec<usize>, usize) {
    let longest = |title: &str, usual: usize, cell: &dyn Fn(&Row) -> Option<&str>| {
        let cells = snapshot.rows.iter().filter_map(cell).map(|text| text.chars().count());
        cells.chain([title.len(), usual]).max().unwrap_or(usual)
    };
    let mut widths = vec![3, longest("key", 10, &|row| Some(&row.key))];
    for (place, title) in snapshot.columns.iter().enumerate() {
        widths.push(longest(title, 8, &|row| row.columns.get(place).map(String::as_str)));
    }
    widths.push(longest(snapshot.rank_by, 12, &|row| Some(&row.ranked)));
    let taken: usize = widths.iter().map(|cells| cells + 1).sum();
    (widths, room.saturating_sub(taken).min(BAR))
}

fn right(text: String) -> Cell<'static> {
    Cell::from(Line::from(text).alignment(Alignment::Right))
}

fn table_row(place: usize, row: &Row, largest: f64, longest: usize) -> TableRow<'static> {
    let first = [right(place.to_string()), right(row.key.clone()).bold()];
    let columns = row.columns.iter().cloned().map(right);
    let last = [right(row.ranked.clone()).green(), Cell::from(bar(row.weight, largest, longest)).cyan()];
    first.into_iter().chain(columns).chain(last).collect()
}

/// A bar in proportion to the largest, which is `longest` cells long, to an eighth of a cell.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "clamped before"
)]
fn bar(weight: f64, largest: f64, longest: usize) -> String {
    const EIGHTHS: [char; 7] = ['▏', '▎', '▍', '▌', '▋', '▊', '▉'];
    let share = if largest > 0.0 { (weight / largest).clamp(0.0, 1.0) } else { 0.0 };
    let eighths = (share * (longest * 8) as f64).round() as usize;
    let rest = (eighths % 8).checked_sub(1).and_then(|rest| EIGHTHS.get(rest));
    "█".repeat(eighths / 8).chars().chain(rest.copied()).collect()
}

#[cfg(test)]
#[path = "view_tests.rs"]
pub(super) mod tests;
