//! Settings of a topology's own: declared as typed constants, given by name.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::catalog::{TopologyEntry, unknown};
use super::failure::Failure;
use super::parse;
use crate::error::{Error, ErrorKind, Result};

/// A setting of a topology, with its type, its default and what it is for.
///
/// ```
/// use std::time::Duration;
/// use millstream::cli::{Setting, Settings};
/// const WINDOW: Setting<Duration> = Setting::new("window", Duration::from_secs(10), "How far back is counted");
/// assert_eq!(Settings::default().get(&WINDOW), Duration::from_secs(10));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Setting<T> {
    name: &'static str,
    default: T,
    about: &'static str,
}

impl<T> Setting<T> {
    /// The setting `name`, which is `default` unless it is given; `about` says in one line what it is for.
    #[must_use]
    pub const fn new(name: &'static str, default: T, about: &'static str) -> Self {
        Self { name, default, about }
    }
}

/// What a setting can be: a `Duration`, written as `10s`, or a whole number.
pub trait SettingValue: Copy + fmt::Debug + Send + Sync + 'static {
    /// Reads it as it is written on a command line.
    ///
    /// # Errors
    /// When it is something else, with how to write it.
    fn read(text: &str) -> Result<Self, String>;

    /// Writes it so that [`read`](Self::read) gives it again.
    fn write(self) -> String;
}

impl SettingValue for Duration {
    fn read(text: &str) -> Result<Self, String> {
        parse::duration(text)
    }

    fn write(self) -> String {
        humantime::format_duration(self).to_string()
    }
}

impl SettingValue for u64 {
    fn read(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| "expected a whole number, such as 100".into())
    }

    fn write(self) -> String {
        self.to_string()
    }
}

/// A setting of any type: what a list of them holds.
pub trait Declared: fmt::Debug + Send + Sync {
    /// Its name.
    fn name(&self) -> &'static str;
    /// What it is for, in one line.
    fn about(&self) -> &'static str;
    /// Its default, as it is written.
    fn default(&self) -> String;
    /// Whether `text` is a value of it.
    ///
    /// # Errors
    /// When it is not, with how to write one.
    fn check(&self, text: &str) -> Result<(), String>;
}

impl<T: SettingValue> Declared for Setting<T> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn about(&self) -> &'static str {
        self.about
    }

    fn default(&self) -> String {
        self.default.write()
    }

    fn check(&self, text: &str) -> Result<(), String> {
        T::read(text).map(|_| ())
    }
}

/// The values that settings of one topology were given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings(BTreeMap<&'static str, String>);

impl Settings {
    /// Settings of `declared` by name and value, as they are written: for tests, and for programs that read them from
    /// somewhere else.
    ///
    /// # Errors
    /// When there is no such setting, or the value cannot be read.
    pub fn of(declared: &[&'static dyn Declared], given: &BTreeMap<String, String>) -> Result<Self> {
        let mut settings = Self::default();
        for (name, value) in given {
            let wrong = |message: String| Error::new(ErrorKind::Config, format!("setting {name}={value}: {message}"));
            let known = declared.iter().find(|setting| setting.name() == name);
            let setting = known.ok_or_else(|| wrong("there is no such setting".into()))?;
            setting.check(value).map_err(wrong)?;
            settings.0.insert(setting.name(), value.clone());
        }
        Ok(settings)
    }

    /// The value of a setting: what was given, else its default.
    #[must_use]
    pub fn get<T: SettingValue>(&self, setting: &Setting<T>) -> T {
        // What is here has been read once already, when it was given.
        self.0.get(setting.name).and_then(|text| T::read(text).ok()).unwrap_or(setting.default)
    }
}

impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<String> = self.0.iter().map(|(name, value)| format!("{name}={value}")).collect();
        f.write_str(&texts.join(" "))
    }
}

/// Gives each of the topologies its settings: `NAME` goes to the only one that has it, `TOPOLOGY.NAME` to that topology,
/// and counts more.
pub(super) fn assign(entries: &[&TopologyEntry], given: &BTreeMap<String, String>) -> Result<Vec<Settings>, Failure> {
    let mut all = vec![Settings::default(); entries.len()];
    let (addressed, bare): (Vec<_>, Vec<_>) = given.iter().partition(|(name, _)| name.contains('.'));
    for (name, value) in bare.into_iter().chain(addressed) {
        let (place, setting) = find(entries, name)?;
        setting.check(value).map_err(|message| Failure::Usage(format!("--set {name}={value}: {message}")))?;
        all[place].0.insert(setting.name(), value.clone());
    }
    Ok(all)
}

/// The topology that a name is for, and its setting.
fn find(entries: &[&TopologyEntry], name: &str) -> Result<(usize, &'static dyn Declared), Failure> {
    let (candidates, setting): (Vec<usize>, &str) = match name.rsplit_once('.') {
        None => ((0..entries.len()).collect(), name),
        Some((topology, setting)) => match entries.iter().position(|entry| entry.name == topology) {
            Some(place) => (vec![place], setting),
            None => return Err(unknown("topology here", topology, entries.iter().map(|entry| entry.name))),
        },
    };
    let of = |place: &usize| entries[*place].settings.iter().find(|known| known.name() == setting);
    let found: Vec<(usize, &'static dyn Declared)> =
        candidates.iter().filter_map(|place| of(place).map(|known| (*place, *known))).collect();
    match found[..] {
        [one] => Ok(one),
        [] => Err(no_setting(&candidates.iter().map(|place| entries[*place]).collect::<Vec<_>>(), setting)),
        [(place, _), ..] => {
            let those: Vec<&str> = found.iter().map(|(place, _)| entries[*place].name).collect();
            Err(Failure::Usage(format!(
                "--set {name}: {} have it; say which is meant, as in --set {}.{name}=VALUE",
                those.join(" and "),
                entries[place].name
            )))
        }
    }
}

fn no_setting(entries: &[&TopologyEntry], setting: &str) -> Failure {
    let topologies: Vec<&str> = entries.iter().map(|entry| entry.name).collect();
    let known: Vec<&str> = entries.iter().flat_map(|entry| entry.settings).map(|known| known.name()).collect();
    if known.is_empty() {
        return Failure::Usage(format!("--set {setting}: {} has no settings", topologies.join(" and ")));
    }
    unknown(&format!("setting of {}", topologies.join(" and ")), setting, known.into_iter())
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Setting<Duration> = Setting::new("window", Duration::from_secs(10), "How far back");
    const MOST: Setting<u64> = Setting::new("most", 100, "How many");

    fn entry(name: &'static str, settings: &'static [&'static dyn Declared]) -> TopologyEntry {
        let build = |_, _: &Settings| Err(Error::new(ErrorKind::Config, "only for its settings"));
        TopologyEntry { name, about: "", build, settings, inputs: &[], outputs: &[], report: None, redis: &[] }
    }

    fn given(pairs: &[(&str, &str)]) -> Result<Vec<Settings>, String> {
        let entries = [entry("clicks", &[&WINDOW, &MOST]), entry("sales", &[&WINDOW]), entry("plain", &[])];
        let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        assign(&entries.iter().collect::<Vec<_>>(), &pairs).map_err(|failure| failure.to_string())
    }

    #[test]
    fn a_setting_has_its_default_until_it_is_given() {
        let [clicks, sales, plain] = given(&[("most", "7"), ("sales.window", "1m")]).unwrap().try_into().unwrap();
        assert_eq!((clicks.get(&WINDOW), clicks.get(&MOST)), (Duration::from_secs(10), 7));
        assert_eq!(sales.get(&WINDOW), Duration::from_mins(1));
        assert_eq!((clicks.to_string(), plain.to_string()), ("most=7".into(), String::new()));
    }

    #[test]
    fn a_name_that_several_have_must_say_whose_it_is() {
        let error = given(&[("window", "1m")]).unwrap_err();
        let expected = "--set window: clicks and sales have it; say which is meant, as in --set clicks.window=VALUE";
        assert_eq!(error, expected);
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones_and_a_near_miss() {
        let error = given(&[("clicks.winow", "1m")]).unwrap_err();
        let expected = "there is no setting of clicks called \"winow\"; did you mean window? Known are: window, most";
        assert_eq!(error, expected);
        assert!(given(&[("mots", "1")]).unwrap_err().contains("did you mean most?"));
        assert_eq!(given(&[("plain.window", "1m")]).unwrap_err(), "--set window: plain has no settings");
        let error = given(&[("click.window", "1m")]).unwrap_err();
        let expected =
            "there is no topology here called \"click\"; did you mean clicks? Known are: clicks, sales, plain";
        assert_eq!(error, expected);
    }

    #[test]
    fn a_value_of_another_kind_says_how_to_write_it() {
        assert!(given(&[("most", "many")]).unwrap_err().starts_with("--set most=many: expected a whole number"));
        let error = given(&[("sales.window", "soon")]).unwrap_err();
        assert!(error.starts_with("--set sales.window=soon: ") && error.contains("10s"), "{error}");
    }

    #[test]
    fn what_is_written_can_be_read() {
        for duration in [Duration::ZERO, Duration::from_millis(200), Duration::from_mins(10)] {
            assert_eq!(Duration::read(&duration.write()), Ok(duration));
        }
        assert_eq!(u64::read(&100_u64.write()), Ok(100));
    }
}
