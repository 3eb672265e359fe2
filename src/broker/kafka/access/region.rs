//! In which AWS region a cluster is.

use crate::error::{Error, ErrorKind, Result};

/// The region that is given, or that the brokers' names hold, or that the environment names: a process may run elsewhere
/// than the cluster, so the names come first.
pub(super) fn find(given: Option<&str>, bootstrap: &str, variable: impl Fn(&str) -> Option<String>) -> Result<String> {
    let environment = || ["AWS_REGION", "AWS_DEFAULT_REGION"].into_iter().find_map(&variable);
    let region = given.map(str::to_owned).or_else(|| in_names(bootstrap)).or_else(environment);
    let region = region.ok_or_else(|| {
        let text =
            format!("the AWS region of the cluster is not known: the brokers at {bootstrap} are not called by it");
        Error::new(ErrorKind::Config, text).remedy("give --region (Security::MskIam's), or set AWS_REGION")
    })?;
    // It becomes part of a host's name.
    if region.is_empty()
        || !region.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    {
        let text = format!("{region:?} is not an AWS region");
        return Err(Error::new(ErrorKind::Config, text).remedy("write it as eu-west-1"));
    }
    Ok(region)
}

/// The region in a broker's name: `….kafka.REGION.amazonaws.com`, `….kafka-serverless.REGION.amazonaws.com`.
fn in_names(bootstrap: &str) -> Option<String> {
    bootstrap.split(',').find_map(|address| {
        let host = address.trim().rsplit("://").next()?.split(':').next()?;
        let labels: Vec<&str> = host.split('.').collect();
        let found = labels.windows(3).find(|of| matches!(of[0], "kafka" | "kafka-serverless") && of[2] == "amazonaws");
        found.map(|of| of[1].to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nothing(_: &str) -> Option<String> {
        None
    }

    #[test]
    fn the_brokers_names_tell_the_region() {
        for (bootstrap, region) in [
            (
                "b-1.shop.a1b2c3.c2.kafka.eu-west-1.amazonaws.com:9098,b-2.shop.a1b2c3.c2.kafka.eu-west-1.amazonaws.com:9098",
                "eu-west-1",
            ),
            ("boot-a1b2c3d4.c2.kafka-serverless.us-east-1.amazonaws.com:9098", "us-east-1"),
            ("b-1.shop.a1b2c3.c2.kafka.cn-north-1.amazonaws.com.cn:9098", "cn-north-1"),
            ("10.0.0.1:9098, SASL_SSL://b-1.shop.a1b2c3.c2.kafka.ap-south-2.amazonaws.com:9098", "ap-south-2"),
        ] {
            assert_eq!(find(None, bootstrap, nothing).unwrap(), region);
        }
    }

    #[test]
    fn what_is_given_beats_the_names_and_the_names_beat_the_environment() {
        let environment = |name: &str| (name == "AWS_REGION").then(|| "us-west-2".to_owned());
        let named = "b-1.shop.a1b2c3.c2.kafka.eu-west-1.amazonaws.com:9098";
        assert_eq!(find(Some("us-east-2"), named, environment).unwrap(), "us-east-2");
        assert_eq!(find(None, named, environment).unwrap(), "eu-west-1");
        assert_eq!(find(None, "kafka.shop.example:9098", environment).unwrap(), "us-west-2");
    }

    #[test]
    fn a_region_that_nobody_tells_is_an_error_with_what_to_do() {
        let error = find(None, "kafka.shop.example:9098", nothing).unwrap_err().to_string();
        assert!(error.contains("kafka.shop.example:9098") && error.contains("--region"), "{error}");
        let error = find(Some("evil.example/"), "", nothing).unwrap_err().to_string();
        assert!(error.contains("is not an AWS region"), "{error}");
    }
}
