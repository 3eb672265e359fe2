//! The name that a referrer is told under.

use std::net::Ipv4Addr;

/// Who came without a referrer: typed the address, used a bookmark.
pub const DIRECT: &str = "direct";
/// Who came from something in which no host can be found.
pub const UNKNOWN: &str = "unknown";

/// The longest name that a host can have.
const LONGEST_HOST: usize = 253;

/// The host without `www.` and without its public suffix: `amazon` for `http://www.amazon.com`, `google` for
/// `https://www.google.co.uk/search`, `news.ycombinator` for `https://news.ycombinator.com`.
///
/// - No referrer, and an empty one: [`DIRECT`].
/// - A host without a known public suffix, or that is one itself, and an address: as it is (`localhost`, `10.0.0.7`,
///   `wiki.internal`). So is that of another scheme than http and https, whose names are no domains
///   (`android-app://com.google.android.gm`).
/// - A text without a scheme is taken for a host and what follows it.
/// - Anything else: [`UNKNOWN`], one name for all of it, so that no garbage makes a name of its own.
pub fn name_of(referrer: Option<&str>) -> String {
    let referrer = referrer.map_or("", str::trim);
    if referrer.is_empty() {
        return DIRECT.to_owned();
    }
    let (scheme, rest) = referrer.split_once("://").unwrap_or(("", referrer.trim_start_matches('/')));
    let Some(host) = host(rest) else { return UNKNOWN.to_owned() };
    let is_web = ["", "http", "https"].iter().any(|web| scheme.eq_ignore_ascii_case(web));
    if is_web { without_suffix(&host).to_owned() } else { host }
}

/// The host at the beginning of what follows a scheme, in lower case; none where it cannot be one.
fn host(text: &str) -> Option<String> {
    let authority = text.split(['/', '?', '#', '\\']).next()?;
    let after_user = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    if let Some((address, _)) = after_user.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return address.parse::<std::net::Ipv6Addr>().ok().map(|address| format!("[{address}]"));
    }
    let host = match after_user.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        Some(_) => return None,
        None => after_user,
    };
    let host = host.strip_suffix('.').unwrap_or(host).to_lowercase();
    let is_label = |label: &str| {
        let is_letter = |letter: char| letter.is_alphanumeric() || letter == '-' || letter == '_';
        !label.is_empty() && label.chars().all(is_letter)
    };
    (host.len() <= LONGEST_HOST && host.split('.').all(is_label)).then_some(host)
}

/// A host without `www.` and without its public suffix, as far as something is left.
fn without_suffix(host: &str) -> &str {
    let whole = cut(host);
    match host.strip_prefix("www.").map(|rest| (rest, cut(rest))) {
        // Not of `www.com`, whose `www` is all that it is called by.
        Some((_, Some(name))) => name,
        Some((rest, None)) if whole.is_none() => rest,
        _ => whole.unwrap_or(host),
    }
}

/// What stands before the public suffix; none where no suffix is known, or nothing stands before it.
fn cut(host: &str) -> Option<&str> {
    if host.parse::<Ipv4Addr>().is_ok() {
        return None;
    }
    let suffix = psl::suffix(host.as_bytes()).filter(psl::Suffix::is_known)?;
    let name = host.len().checked_sub(suffix.as_bytes().len())?.checked_sub(1)?;
    host.get(..name).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_the_host_without_www_and_public_suffix() {
        for (referrer, name) in [
            ("http://www.amazon.com", "amazon"),
            ("http://www.google.com/", "google"),
            ("https://WWW.Google.co.uk:443/search?q=http://x.com", "google"),
            ("http://stackoverflow.com/questions/1", "stackoverflow"),
            ("https://news.ycombinator.com.", "news.ycombinator"),
            ("https://user:pass@www.reddit.com#top", "reddit"),
            ("https://someone.github.io/blog", "someone"),
            ("www.bing.com/search", "bing"),
            ("//yahoo.com/x", "yahoo"),
            ("https://www.müller.de", "müller"),
        ] {
            assert_eq!(name_of(Some(referrer)), name, "{referrer}");
        }
    }

    #[test]
    fn a_host_that_is_no_domain_stays_as_it_is() {
        for (referrer, name) in [
            ("http://localhost:8080/x", "localhost"),
            ("http://10.0.0.7/", "10.0.0.7"),
            ("http://[::1]:80/", "[::1]"),
            ("http://wiki.internal/page", "wiki.internal"),
            ("http://www.wiki.internal/page", "wiki.internal"),
            ("https://github.io", "github.io"),
            ("http://www.com", "www"),
            ("http://com", "com"),
            ("android-app://com.google.android.gm", "com.google.android.gm"),
        ] {
            assert_eq!(name_of(Some(referrer)), name, "{referrer}");
        }
    }

    #[test]
    fn nobody_is_left_without_a_name() {
        assert_eq!(name_of(None), DIRECT);
        for referrer in ["", "  "] {
            assert_eq!(name_of(Some(referrer)), DIRECT);
        }
        let long = format!("http://{}.com", "a".repeat(LONGEST_HOST));
        for referrer in
            ["http://", "about:blank", "http://a b.com", "http://..", "???", "-> here", "http://[x]/", &long]
        {
            assert_eq!(name_of(Some(referrer)), UNKNOWN, "{referrer}");
        }
    }
}
