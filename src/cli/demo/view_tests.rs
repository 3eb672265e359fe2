//! The screen in a terminal of cells.

use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::*;

fn snapshot(rows: Vec<Row>) -> Snapshot<'static> {
    Snapshot {
        topology: "running-totals",
        threads: 2,
        http: ([127, 0, 0, 1], 8080).into(),
        elapsed: Duration::from_secs(7),
        records_a_second: 49.96,
        totals: Totals { lag: 3, committed: 70, dropped: 1, ..Totals::default() },
        rank_by: "sales",
        columns: &["transactions", "quantities"],
        rows,
    }
}

fn drawn(width: u16, height: u16, snapshot: &Snapshot<'_>) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, snapshot)).unwrap();
    terminal.backend().to_string()
}

fn row(key: &str, sales: &str) -> Row {
    let weight = sales.parse().unwrap();
    Row { key: key.into(), weight, ranked: sales.into(), columns: vec!["5".into(), "6".into()] }
}

#[test]
fn the_screen_shows_the_totals_and_how_the_topology_is_doing() {
    let text = drawn(100, 24, &snapshot(vec![row("CS01", "204.71"), row("SF07", "102.36")]));
    for part in [
        "running-totals",
        "2 threads",
        "50.0",
        "commits",
        "dead letters",
        "204.71",
        "SF07",
        "quantities",
        "127.0.0.1:8080",
        "q quits",
    ] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
}

#[test]
fn a_small_or_an_empty_screen_is_drawn_without_harm() {
    for (width, height) in [(1, 1), (20, 5), (300, 3)] {
        drawn(width, height, &snapshot(vec![row("CS01", "1")]));
    }
    assert!(drawn(100, 24, &snapshot(Vec::new())).contains("waiting for the first commit"));
}

#[test]
fn a_bar_is_in_proportion_to_the_largest() {
    assert_eq!(bar(1.0, 1.0), "█".repeat(24));
    assert_eq!(bar(0.5, 1.0), "█".repeat(12));
    assert_eq!(bar(1.0, 192.0), "▏");
    assert_eq!(bar(0.0, 0.0), "");
    assert_eq!(bar(-1.0, 1.0), "");
}

#[test]
fn the_pace_is_that_of_the_last_seconds() {
    let mut pace = Pace::default();
    assert_eq!(format!("{:.1}", pace.of(Duration::ZERO, 0)), "0.0");
    for second in 1..=10 {
        pace.of(Duration::from_secs(second), second * 50);
    }
    assert_eq!(format!("{:.1}", pace.of(Duration::from_secs(11), 550 + 150)), "100.0");
}
