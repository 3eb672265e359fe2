//! Which layer wins, and that no secret is shown.

use super::*;

fn file(text: &str) -> Result<Layer> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("run.toml");
    std::fs::write(&path, text).unwrap();
    Layer::file(&path)
}

fn environment(variables: &[(&str, &str)]) -> Result<Layer> {
    Layer::environment(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
}

#[test]
fn a_flag_beats_the_file_and_the_file_beats_the_environment() {
    let environment = environment(&[
        ("MILLSTREAM_THREADS", "1"),
        ("MILLSTREAM_APPLICATION_ID", "environment"),
        ("MILLSTREAM_GUARANTEE", "at-least-once"),
        ("MILLSTREAM_PROPERTY_SASL_PASSWORD", "environment"),
        ("HOME", "elsewhere"),
    ]);
    let file = file(
        "threads = 2\napplication-id = \"file\"\ncommit-interval = \"20ms\"\n[property]\n\"sasl.password\" = \"file\"\n\"a\" = 1\n[topic]\nx = \"file\"\ny = \"file\"\n",
    );
    let flags = Layer { threads: Some(3), topic: [("x".into(), "flag".into())].into(), ..Layer::default() };
    let settings = flags.over(file.unwrap()).over(environment.unwrap());
    assert_eq!(settings.threads, Some(3));
    assert_eq!(settings.application_id.as_deref(), Some("file"));
    assert_eq!(settings.guarantee, Some(GuaranteeName::AtLeastOnce));
    assert_eq!(settings.commit_interval, Some(Duration::from_millis(20)));
    assert_eq!(settings.property.get("sasl.password"), Some("file"));
    assert_eq!(settings.property.get("a"), Some("1"));
    assert_eq!(settings.topic, [("x".into(), "flag".into()), ("y".into(), "file".into())].into());
}

#[test]
fn an_unknown_key_is_an_error_with_its_line() {
    let error = file("threads = 2\ntreads = 3\n").unwrap_err().to_string();
    assert!(error.contains("run.toml:2: unknown field `treads`"), "{error}");
    let error = file("threads = \"many\"\n").unwrap_err().to_string();
    assert!(error.contains("run.toml:1: "), "{error}");
    let error = file("threads = 2\ncommit-interval = \"soon\"\n").unwrap_err().to_string();
    assert!(error.contains("run.toml:2: ") && error.contains("100ms"), "{error}");
}

#[test]
fn settings_of_a_topology_come_from_every_layer() {
    let environment = environment(&[("MILLSTREAM_SET_SILENT_FOR", "1m"), ("MILLSTREAM_SET_TOP", "7")]).unwrap();
    let file = file("[set]\ntop = 5\n\"a.window\" = \"1s\"\n[set.b]\nwindow = \"2s\"\n").unwrap();
    let set: Vec<(String, String)> = file.over(environment).set.0.into_iter().collect();
    let expected = [("a.window", "1s"), ("b.window", "2s"), ("silent-for", "1m"), ("top", "5")];
    assert_eq!(set, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let error = self::file("[set]\ntop = [1]\n").unwrap_err().to_string();
    assert!(error.contains("the setting top must be a text"), "{error}");
}

#[test]
fn a_missing_file_is_an_error_with_its_name() {
    let error = Layer::file(Path::new("/nowhere/run.toml")).unwrap_err().to_string();
    assert!(error.contains("/nowhere/run.toml") && error.contains("--config"), "{error}");
}

#[test]
fn a_secret_is_never_shown() {
    let settings = environment(&[("MILLSTREAM_PROPERTY_SASL_PASSWORD", "hunter2")]).unwrap();
    let shown = format!("{settings:?}");
    assert!(shown.contains("sasl.password") && !shown.contains("hunter2"), "{shown}");
    let broken = file("[property]\n\"sasl.password\" = \"hunter2\" hunter2\n").unwrap_err().to_string();
    assert!(!broken.contains("hunter2"), "{broken}");
}

#[test]
fn the_upper_layer_alone_says_where_redis_is_and_its_url_is_not_shown() {
    let lower = environment(&[("MILLSTREAM_REDIS", "redis://:hunter2@a"), ("MILLSTREAM_THREADS", "1")]).unwrap();
    assert!(!format!("{lower:?}").contains("hunter2"), "{lower:?}");
    let url = RedisUrl::from("redis://:hunter2@a".to_owned());
    assert_eq!(Layer::default().over(lower.clone()).redis_place(), Some(Place::Url(&url)));
    let upper = file("redis-file = \"secret\"\n").unwrap().over(lower);
    assert_eq!(upper.redis_place(), Some(Place::File(&PathBuf::from("secret"))));
    let url = RedisUrl::from("redis://b".to_owned());
    let flags = Layer { redis: Some(url.clone()), ..Layer::default() };
    assert_eq!(flags.over(upper).redis_place(), Some(Place::Url(&url)));
    assert_eq!(Layer::default().redis_place(), None);
}

#[test]
fn a_variable_that_cannot_be_read_says_which() {
    let error = environment(&[("MILLSTREAM_THREADS", "many")]).unwrap_err().to_string();
    assert!(error.contains("MILLSTREAM_THREADS"), "{error}");
}

#[test]
fn how_the_brokers_are_reached_comes_from_every_layer() {
    let variables =
        [("MILLSTREAM_SECURITY", "msk-iam"), ("MILLSTREAM_USERNAME", "bob"), ("MILLSTREAM_REGION", "eu-west-1")];
    let file = file("security = \"sasl-scram\"\nusername = \"alice\"\npassword-file = \"secret\"\n").unwrap();
    let settings = file.over(environment(&variables).unwrap());
    assert_eq!(settings.security, Some(SecurityName::SaslScram));
    assert_eq!((settings.username.as_deref(), settings.region.as_deref()), (Some("alice"), Some("eu-west-1")));
    assert_eq!(settings.password_file.as_deref(), Some(Path::new("secret")));
    let error = self::file("security = \"magic\"\n").unwrap_err().to_string();
    assert!(error.contains("run.toml:1: ") && error.contains("sasl-scram"), "{error}");
    // A file that is read by many is no place for it.
    let error = self::file("password = \"hunter2\"\n").unwrap_err().to_string();
    assert!(error.contains("password-file") && !error.contains("hunter2"), "{error}");
    let error = environment(&[("MILLSTREAM_SECURITY", "magic")]).unwrap_err().to_string();
    assert!(error.contains("MILLSTREAM_SECURITY"), "{error}");
}
