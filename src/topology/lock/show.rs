//! A comparison as text: a line a part, with what has changed below it.

use std::fmt;

use super::compare::{Comparison, Difference, PartKind, Verdict};

impl Comparison {
    /// One line on what becomes of the whole.
    #[must_use]
    pub fn summary(&self) -> String {
        let count = |verdict| self.differences.iter().filter(|difference| difference.verdict == verdict).count();
        match &self.locked_fingerprint {
            None => "not locked yet, so all of it is new".into(),
            Some(_) if self.is_same() => "nothing changes".into(),
            Some(_) => format!(
                "{} kept, {} created, {} changed, {} orphaned; members of the old version refuse to run beside it",
                count(Verdict::Keep),
                count(Verdict::Create),
                count(Verdict::Change),
                count(Verdict::Orphan)
            ),
        }
    }
}

impl fmt::Display for Comparison {
    /// The table that `millstream plan` shows: `=` is kept, `+` created, `~` changed, `-` left behind.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.topology, self.summary())?;
        let width = self.differences.iter().map(|difference| difference.name.chars().count()).max().unwrap_or(0);
        for difference in &self.differences {
            line(difference, width, f)?;
        }
        Ok(())
    }
}

fn line(difference: &Difference, width: usize, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let Difference { verdict, kind, name, part, changes, hint } = difference;
    let sign = match verdict {
        Verdict::Keep => '=',
        Verdict::Create => '+',
        Verdict::Orphan => '-',
        Verdict::Change => '~',
    };
    let mut words = Vec::new();
    if *kind != PartKind::Terms {
        words.push(format!("{} → {}", part.key, part.value));
    }
    if matches!(kind, PartKind::Store | PartKind::Repartition) {
        words.push(format!("{} in {}", part.operator, part.sub_topology));
    }
    words.extend(part.terms.iter().cloned());
    writeln!(f, "  {sign} {:<11}  {name:<width$}  {}", kind.name(), words.join(", "))?;
    for change in changes {
        writeln!(f, "      {}: {} → {}: {}", change.what, change.was, change.now, change.meaning)?;
    }
    if *verdict == Verdict::Orphan && matches!(kind, PartKind::Store | PartKind::Repartition) {
        let what = if *kind == PartKind::Store { "its changelog" } else { "the topic" };
        writeln!(f, "      {what} stays on the broker, and nobody reads it")?;
    }
    hint.iter().try_for_each(|hint| writeln!(f, "      {hint}"))
}
