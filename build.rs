//! Takes plotly.js out of the crate that carries it, compressed, for the live page to serve.

#[cfg(feature = "cli")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    charts::write()
}

/// Without the page there is nothing to take out.
#[cfg(not(feature = "cli"))]
fn main() {
    println!("cargo::rerun-if-changed=build.rs");
}

#[cfg(feature = "cli")]
mod charts {
    use std::error::Error;
    use std::fs;
    use std::io::Write as _;
    use std::path::Path;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    /// What a line before its version says.
    const HEAD: &str = "plotly.js v";

    /// Writes `plotly.js.gz`, and `plotly.version`, which stands in its address.
    pub(super) fn write() -> Result<(), Box<dyn Error>> {
        let sources = plotly::Plot::offline_js_sources();
        let library = library(&sources).ok_or("the plotly crate has no plotly.js where it was")?;
        let version = version(library).ok_or("plotly.js does not say its version where it did")?;
        let out = std::env::var("OUT_DIR")?;
        let mut packed = GzEncoder::new(Vec::new(), Compression::default());
        packed.write_all(library.as_bytes())?;
        fs::write(Path::new(&out).join("plotly.js.gz"), packed.finish()?)?;
        fs::write(Path::new(&out).join("plotly.version"), version)?;
        Ok(())
    }

    /// The text of the first script: `MathJax` is the second, and not needed.
    fn library(sources: &str) -> Option<&str> {
        let (_, rest) = sources.split_once('>')?;
        let (library, _) = rest.split_once("</script>")?;
        library.contains(HEAD).then_some(library)
    }

    fn version(library: &str) -> Option<&str> {
        let (_, rest) = library.split_once(HEAD)?;
        let version = rest.split(|c: char| !c.is_ascii_digit() && c != '.').next()?;
        (!version.is_empty()).then_some(version)
    }
}
