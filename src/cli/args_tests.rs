//! The names that scripts rely on.

use clap::CommandFactory;

use super::*;

fn parsed(line: &str) -> Arguments {
    Arguments::try_parse_from(line.split(' ')).unwrap_or_else(|error| panic!("{line}: {error}"))
}

fn refused(line: &str) -> String {
    Arguments::try_parse_from(line.split(' ')).err().map(|error| error.to_string()).unwrap_or_default()
}

#[test]
fn the_command_line_is_sound() {
    Arguments::command().debug_assert();
    ServeArguments::command().debug_assert();
}

#[test]
fn no_command_is_the_demo() {
    let arguments = parsed("millstream --rate 200 --for 10s --seed 3");
    assert!(arguments.command.is_none());
    assert_eq!(arguments.demo.rate, Some(200.0));
    assert_eq!(arguments.demo.duration, Some(Duration::from_secs(10)));
    assert!(arguments.demo.must_be_empty().unwrap_err().to_string().contains("--rate"));
}

#[test]
fn the_demo_takes_names_and_flags_of_its_own() {
    let arguments = parsed("millstream demo sensors device-counts --rate 5");
    arguments.demo.must_be_empty().unwrap();
    let Some(Command::Demo(demo)) = arguments.command else { panic!("not demo") };
    assert_eq!((demo.topologies, demo.demo.rate), (vec!["sensors".to_owned(), "device-counts".to_owned()], Some(5.0)));
    let Some(Command::Demo(all)) = parsed("millstream demo").command else { panic!("not demo") };
    assert!(all.topologies.is_empty());
}

#[test]
fn run_takes_all_its_flags() {
    let line = "millstream run running-totals low-stock --bootstrap-servers a:9092,b:9092 --application-id shop --threads 4 \
                --state-dir /tmp/s --guarantee at-least-once --commit-interval 20ms --until-end --http 127.0.0.1:0 \
                --http-token-file t --topic demo.purchases=p --topic a=b --property sasl.password=x=y --config c.toml --log json";
    let Some(Command::Run(run)) = parsed(&line.split_whitespace().collect::<Vec<_>>().join(" ")).command else {
        panic!("not run")
    };
    assert_eq!(run.topologies, ["running-totals", "low-stock"]);
    let layer = run.settings.layer();
    assert_eq!(layer.threads, Some(4));
    assert_eq!(layer.guarantee, Some(GuaranteeName::AtLeastOnce));
    assert_eq!(layer.commit_interval, Some(Duration::from_millis(20)));
    assert_eq!(layer.until_end, Some(true));
    assert_eq!(layer.topic["demo.purchases"], "p");
    assert_eq!(layer.property.get("sasl.password"), Some("x=y"));
}

#[test]
fn no_threads_at_all_are_a_misuse_of_the_command_line() {
    let error = Arguments::try_parse_from(["millstream", "run", "t", "--threads", "0"]).unwrap_err();
    assert_eq!(error.exit_code(), 2);
    assert!(error.to_string().contains("--threads <N>") && error.to_string().contains('0'), "{error}");
}

#[test]
fn settings_of_a_topology_may_be_given_wherever_one_is_named() {
    let set = |command: &str| match parsed(command).command {
        Some(Command::Run(run)) => run.own.set,
        Some(Command::Local(local)) => local.own.set,
        Some(Command::Describe(describe)) => describe.own.set,
        Some(Command::Plan(plan)) => plan.own.set,
        Some(Command::Reset(reset)) => reset.own.set,
        _ => panic!("no topology is named"),
    };
    let expected = [("a".to_owned(), "1".to_owned()), ("t.b".to_owned(), "2s".to_owned())];
    for command in ["run t u", "local t --input x=-", "describe t", "plan t u", "reset t"] {
        assert_eq!(set(&format!("millstream {command} --set a=1 --set t.b=2s")), expected, "{command}");
    }
    assert!(refused("millstream describe t --set a").contains("NAME=VALUE"));
}

#[test]
fn run_needs_a_topology() {
    assert!(refused("millstream run").contains("<TOPOLOGY>"));
}

#[test]
fn a_reset_is_a_dry_run_unless_it_is_told_otherwise_and_begins_in_one_place() {
    let reset = |flags: &str| match parsed(&format!("millstream reset t {flags}")).command {
        Some(Command::Reset(reset)) => reset,
        _ => panic!("not reset"),
    };
    assert!(!reset("--dry-run").execute && !reset("--to-earliest").execute && reset("--execute").execute);
    assert_eq!(reset("--shift-by -10").start.shift_by, Some(-10));
    assert_eq!(reset("--by-duration 1h").start.by_duration, Some(Duration::from_hours(1)));
    for flags in ["--execute --dry-run", "--to-latest --to-earliest", "--shift-by 1 --to-offsets f", "--wait 5s"] {
        assert!(!refused(&format!("millstream reset t {flags}")).is_empty(), "{flags}");
    }
    assert!(refused("millstream reset t --keep-internal --state-dir d").contains("--state-dir"));
}

#[test]
fn a_program_of_ones_own_shows_its_plan_where_it_has_a_lock_file() {
    let serve = |line: &str| ServeArguments::try_parse_from(line.split(' '));
    assert!(serve("shop --plan --write --lock l").is_ok_and(|arguments| arguments.plan && arguments.write));
    for line in ["shop --plan", "shop --write --lock l"] {
        assert!(serve(line).is_err(), "{line}");
    }
}

#[test]
fn plan_takes_all_its_flags() {
    let line =
        "millstream plan t --lock l --write --format json --bootstrap-servers a:1 --application-id shop --topic a=b";
    let Some(Command::Plan(plan)) = parsed(line).command else { panic!("not plan") };
    assert_eq!((plan.lock, plan.write, plan.format), (Some("l".into()), true, PlanFormat::Json));
    let layer = plan.kafka.layer();
    assert_eq!((layer.application(), layer.bootstrap_servers.as_deref()), ("shop", Some("a:1")));
    assert_eq!(layer.topic["a"], "b");
    let Some(Command::Run(run)) = parsed("millstream run t --lock l").command else { panic!("not run") };
    assert_eq!(run.settings.layer().lock, Some("l".into()));
}

#[test]
fn local_takes_all_its_flags() {
    let line = "millstream local running-totals --input demo.purchases=- --input b=f --output o --records --every-update --partitions 4";
    let Some(Command::Local(local)) = parsed(line).command else { panic!("not local") };
    assert_eq!(local.inputs, [("demo.purchases".into(), "-".into()), ("b".into(), "f".into())]);
    assert!(local.records && local.every_update);
    assert_eq!((local.outputs, local.partitions), (vec!["o".to_owned()], 4));
    let Some(Command::Local(local)) = parsed("millstream local t --input-records a --input-records -").command else {
        panic!("not local")
    };
    assert_eq!(local.input_records, ["a", "-"].map(std::path::PathBuf::from));
    assert!(refused("millstream local t").contains("--input <TOPIC=FILE>"));
    assert!(refused("millstream local t --input nofile").contains("TOPIC=FILE"));
    assert!(refused("millstream local t --input a=b --partitions 0").contains("1..=1024"));
}

#[test]
fn generate_takes_all_its_flags() {
    let line = "millstream generate sales --bootstrap-servers a:1 --rate 5 --count 9 --seed 2 --late-rate 0.1 --late-by 1m \
                --duplicate-rate 0.2 --null-key-rate 0.3 --broken-rate 0.4 --skew 0.5 --partitions 3 \
                --start 2022-08-31T08:00:00Z --unpaced";
    let Some(Command::Generate(generate)) = parsed(&line.split_whitespace().collect::<Vec<_>>().join(" ")).command
    else {
        panic!("not generate")
    };
    assert_eq!(generate.start, Some(Timestamp::from_millis(1_661_932_800_000)));
    assert_eq!((generate.count, generate.faults.skew), (Some(9), 0.5));
    assert!(refused("millstream generate sales --bootstrap-servers a:1 --late-rate 2").contains("0 to 1"));
    assert!(refused("millstream generate sales").contains("--bootstrap-servers"));
    let Some(Command::Generate(generate)) = parsed("millstream generate sales --stdout --only a --only b").command
    else {
        panic!("not generate")
    };
    assert!(generate.stdout && generate.only == ["a", "b"]);
    assert!(refused("millstream generate sales --bootstrap-servers a:1 --only a").contains("--stdout"));
}

#[test]
fn describe_shows_text_unless_told_otherwise() {
    let Some(Command::Describe(plain)) = parsed("millstream describe t").command else { panic!("not describe") };
    assert_eq!(plain.format, Format::Text);
    let Some(Command::Describe(mermaid)) = parsed("millstream describe t --format mermaid").command else {
        panic!("not describe")
    };
    assert_eq!(mermaid.format, Format::Mermaid);
    assert!(matches!(parsed("millstream topologies").command, Some(Command::Topologies)));
}

#[test]
fn the_help_names_every_command() {
    let help = Arguments::command().render_long_help().to_string();
    for command in
        ["demo", "run", "local", "describe", "topologies", "generate", "--rate", "--for", "--seed", "--log-level"]
    {
        assert!(help.contains(command), "{command} is missing in:\n{help}");
    }
}

#[test]
fn a_program_without_demos_and_generators_does_not_show_them_in_its_help() {
    let help = |catalog: &Catalog| command(catalog).render_help().to_string();
    let own = help(&Catalog::of([TopologyEntry::new("own", "", |_, _| unreachable!("it is not built"))]));
    for hidden in ["Watch topologies", "made-up", "--rate", "--for"] {
        assert!(!own.contains(hidden), "{own}");
    }
    assert!(own.contains("local") && own.contains("--log-level"), "{own}");
    let demo = crate::cli::Demo {
        topology: "t",
        generator: "g",
        topic: "t",
        rank_by: "n",
        columns: &[],
        rate: 1.0,
        speed: 1.0,
    };
    assert!(help(&Catalog { demos: vec![demo], ..Catalog::default() }).contains("Watch topologies"));
}

#[test]
fn how_the_brokers_are_reached_may_be_said_wherever_there_are_brokers() {
    let security = |command: &str| match parsed(command).command {
        Some(Command::Run(run)) => run.settings.layer(),
        Some(Command::Plan(plan)) => plan.kafka.layer(),
        Some(Command::Reset(reset)) => reset.kafka.layer(),
        Some(Command::Generate(generate)) => generate.security.layer(),
        _ => panic!("no broker is named"),
    };
    for command in ["run t", "plan t", "reset t", "generate g --bootstrap-servers b:9096"] {
        let line = format!("millstream {command} --security sasl-scram --username alice --password-file secret");
        let layer = security(&line);
        assert_eq!(layer.username.as_deref(), Some("alice"), "{command}");
        assert!(layer.security.is_some() && layer.password_file.is_some(), "{command}");
    }
    assert!(refused("millstream run t --password hunter2").contains("--password"));
}

#[test]
fn a_redis_is_named_by_its_url_or_by_a_file() {
    let refusal = refused("millstream run a --redis redis://:hunter2@x --redis-file f");
    assert!(refusal.contains("cannot be used with") && !refusal.contains("hunter2"), "{refusal}");
    let demo = parsed("millstream --redis redis://x").demo;
    assert!(demo.redis.is_some() && demo.must_be_empty().unwrap_err().to_string().contains("--redis"));
}
