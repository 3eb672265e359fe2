//! The demos: generators and topologies on a broker inside the process, and a screen that shows what comes out.

mod board;
mod exhibit;
mod feeds;
mod keys;
mod market;
mod plain;
mod screen;
mod view;

use std::collections::BTreeSet;
use std::time::Duration;

use super::args::DemoArguments;
use super::catalog::{Catalog, Demo, unknown};
use super::failure::{Failure, print};
use super::signals;
use keys::Wish;
use market::Market;
use view::Around;

/// Runs the demos that are named, or all.
pub(super) fn demo(
    catalog: &Catalog,
    names: &[String],
    arguments: &DemoArguments,
    screen: bool,
) -> Result<(), Failure> {
    let demos = chosen(catalog, names)?;
    let stop = signals::listen(move || {
        if screen {
            ratatui::restore();
        }
    })?;
    let mut market = Market::open(catalog, &demos, arguments, stop)?;
    let shown = show(&mut market, arguments.duration, screen);
    market.close(shown)
}

/// The demos of these names, in their order; all where none is named.
fn chosen<'a>(catalog: &'a Catalog, names: &[String]) -> Result<Vec<&'a Demo>, Failure> {
    if catalog.demos.is_empty() {
        return Err(Failure::Usage("this program has no demo: `run` or `local` runs its topologies".into()));
    }
    let mut seen = BTreeSet::new();
    if let Some(twice) = names.iter().find(|name| !seen.insert(*name)) {
        return Err(Failure::Usage(format!("{twice} is named twice")));
    }
    let all = || catalog.demos.iter();
    let find = |name: &String| {
        let found = all().find(|demo| demo.topology == name);
        found.ok_or_else(|| unknown("demo", name, all().map(|demo| demo.topology)))
    };
    if names.is_empty() { Ok(all().collect()) } else { names.iter().map(find).collect() }
}

/// Shows what goes on until the time is over, somebody wants to leave, or something has ended.
fn show(market: &mut Market, duration: Option<Duration>, screen: bool) -> Result<(), Failure> {
    let start = market.clock.elapsed();
    let names: Vec<&str> = market.exhibits.iter().map(|exhibit| exhibit.demo.topology).collect();
    let mut around = Around { names, threads: market::THREADS, http: market.http.addr(), elapsed: Duration::ZERO };
    let mut surface = screen::Surface::new(screen, &plain::welcome(&around))?;
    let mut shown = 0;
    loop {
        around.elapsed = market.clock.elapsed().saturating_sub(start);
        for exhibit in &mut market.exhibits {
            exhibit.update(around.elapsed)?;
        }
        let snapshot = |place: usize| market.exhibits[place].snapshot(&around, place);
        let over = duration.is_some_and(|duration| around.elapsed >= duration);
        let wish = if over || market.ended() { Wish::Leave } else { surface.show(&snapshot, shown, &market.stop)? };
        if wish == Wish::Leave {
            drop(surface);
            return (0..around.names.len()).try_for_each(|place| print(&plain::line(&snapshot(place))));
        }
        shown = wish.go(shown, around.names.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalog() -> Catalog {
        let demo = |topology| Demo {
            topology,
            generator: "sales",
            topic: "totals",
            rank_by: "sales",
            columns: &[],
            rate: 1.0,
            speed: 1.0,
        };
        Catalog { topologies: Vec::new(), generators: Vec::new(), demos: vec![demo("running-totals"), demo("sensors")] }
    }

    fn names(names: &[&str]) -> Result<Vec<&'static str>, String> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let catalog = catalog();
        let demos = chosen(&catalog, &names).map_err(|failure| failure.to_string())?;
        Ok(demos.into_iter().map(|demo| demo.topology).collect())
    }

    #[test]
    fn without_a_name_all_run_and_else_those_that_are_named() {
        assert_eq!(names(&[]).unwrap(), ["running-totals", "sensors"]);
        assert_eq!(names(&["sensors"]).unwrap(), ["sensors"]);
        assert_eq!(names(&["sensors", "running-totals"]).unwrap(), ["sensors", "running-totals"]);
    }

    #[test]
    fn an_unknown_demo_and_one_that_is_named_twice_are_refused() {
        assert!(names(&["sensor"]).unwrap_err().contains("no demo called \"sensor\"; did you mean sensors?"));
        assert!(names(&["sensors", "sensors"]).unwrap_err().contains("named twice"));
    }
}
