//! The screen in a terminal of cells.

use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::*;

pub(in crate::cli::demo) fn around() -> Around<'static> {
    Around {
        names: vec!["running-totals", "sensors"],
        threads: 2,
        http: ([127, 0, 0, 1], 8080).into(),
        elapsed: Duration::from_secs(7),
    }
}

pub(in crate::cli::demo) fn snapshot<'a>(around: &'a Around<'a>, rows: Vec<Row>) -> Snapshot<'a> {
    Snapshot {
        around,
        place: 0,
        speed: 1.0,
        records_a_second: 49.96,
        totals: Totals { records_in: 350, lag: 3, committed: 70, dropped: 1, ..Totals::default() },
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

pub(in crate::cli::demo) fn row(key: &str, sales: &str) -> Row {
    let weight = sales.parse().unwrap();
    Row { key: key.into(), weight, ranked: sales.into(), columns: vec!["5".into(), "6".into()] }
}

#[test]
fn the_screen_shows_the_totals_and_how_the_topology_is_doing() {
    let around = Around { names: vec!["running-totals"], ..around() };
    let text = drawn(100, 24, &snapshot(&around, vec![row("CS01", "204.71"), row("SF07", "102.36")]));
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
        "  q quits",
    ] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
    assert!(!text.contains("Tab") && !text.contains("as fast"), "{text}");
}

#[test]
fn several_demos_are_named_in_a_line_and_the_one_that_is_shown_in_the_title() {
    let around = around();
    let second = Snapshot { place: 1, speed: 60.0, ..snapshot(&around, vec![row("a", "1")]) };
    let text = drawn(100, 24, &second);
    assert!(text.contains(" 1 running-totals  2 sensors "), "{text}");
    assert!(text.contains("millstream  sensors  event time"), "{text}");
    assert!(text.contains("event time runs 60 times as fast"), "{text}");
    assert!(text.contains("Tab or a number shows another, q quits"), "{text}");
}

#[test]
fn without_room_for_all_names_the_others_are_numbers() {
    let around = Around { names: vec!["running-totals", "sensors", "device-counts"], ..around() };
    let second = Snapshot { place: 1, ..snapshot(&around, Vec::new()) };
    let text = drawn(40, 24, &second);
    assert!(text.contains(" 1  2 sensors  3 "), "{text}");
}

#[test]
fn a_column_is_as_wide_as_what_stands_in_it_and_the_bar_takes_the_rest() {
    let around = around();
    let end = "2016-03-25 01:01:20.000";
    let wide = Row { columns: vec![end.into(), "6".into()], ..row("stackoverflow", "1") };
    for width in [80, 100] {
        let text = drawn(width, 24, &snapshot(&around, vec![wide.clone(), row("a", "0.5")]));
        assert!(text.contains(end) && text.contains("stackoverflow"), "{text}");
        let bars: Vec<usize> = text.lines().map(|line| line.matches('█').count()).filter(|bar| *bar > 0).collect();
        assert_eq!(bars[0], bars[1] * 2, "{text}");
    }
}

#[test]
fn a_small_or_an_empty_screen_is_drawn_without_harm() {
    let around = around();
    for (width, height) in [(1, 1), (20, 5), (300, 3)] {
        drawn(width, height, &snapshot(&around, vec![row("CS01", "1")]));
    }
    assert!(drawn(100, 24, &snapshot(&around, Vec::new())).contains("waiting for the first result"));
}

#[test]
fn a_bar_is_in_proportion_to_the_largest() {
    assert_eq!(bar(1.0, 1.0, BAR), "█".repeat(24));
    assert_eq!(bar(0.5, 1.0, BAR), "█".repeat(12));
    assert_eq!(bar(1.0, 192.0, BAR), "▏");
    assert_eq!(bar(0.0, 0.0, BAR), "");
    assert_eq!(bar(-1.0, 1.0, BAR), "");
    assert_eq!(bar(0.5, 1.0, 3), "█▌");
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
