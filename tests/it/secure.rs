//! The program at a real broker that asks who comes: TLS, users with passwords, and what ACLs allow them.
#![cfg(feature = "cli")]

use std::path::Path;
use std::process::Output;
use std::time::Duration;

use millstream::{Clock, SystemClock};

use crate::broker::{Doors, RealBroker, unique};
use crate::msk::acl_commands;
use crate::process::command;
use crate::shop::{Shop, purchase, sums_of};
use crate::tools::{ACLS, CONFIGS, Tools};

const PASSWORD: &str = "correct-horse-battery";

/// A user of the broker's, with a file that holds the password.
struct User {
    name: String,
    password: tempfile::NamedTempFile,
}

impl User {
    fn create(real: &RealBroker, tools: &mut Tools) -> Self {
        let name = unique("alice");
        let secret = format!("SCRAM-SHA-512=[iterations=4096,password={PASSWORD}]");
        let arguments = ["--bootstrap-server", real.bootstrap, "--alter", "--add-config", &secret];
        tools.run(CONFIGS, &[&arguments[..], &["--entity-type", "users", "--entity-name", &name]].concat());
        Self { name, password: file_of(PASSWORD) }
    }

    /// The flags with which a process comes as this user.
    fn flags<'a>(&'a self, ca: &'a str) -> Vec<&'a str> {
        let file = self.password.path().to_str().expect("a text");
        vec!["--security", "sasl-scram", "--username", &self.name, "--password-file", file, "--property", ca]
    }
}

fn file_of(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), text).expect("written");
    file
}

fn ca(doors: &Doors) -> String {
    format!("ssl.ca.location={}", doors.ca)
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Runs the program, which must fail within `longest`, and gives the line with the error.
fn fails(arguments: &[&str], longest: Duration) -> String {
    let clock = SystemClock::new();
    let output = command(arguments).output().expect("the program starts");
    let (log, took) = (text(&output), clock.elapsed());
    assert_eq!(output.status.code(), Some(1), "{log}");
    assert!(took < longest, "it took {took:?}\n{log}");
    let line = log.lines().last().unwrap_or_default().to_owned();
    println!("after {took:.1?}: {line}");
    assert!(line.starts_with("error: "), "{log}");
    line
}

/// An application with topics of its own and three purchases.
fn shop(real: &RealBroker) -> (Shop<'_>, Vec<String>) {
    let mut shop = Shop::new(real, 2);
    let purchases = vec![purchase("CS01", 2, "11.5"), purchase("CS01", 1, "0.25"), purchase("SF07", 1, "7.98")];
    shop.write(&purchases);
    (shop, purchases)
}

/// What the page's commands allow, for this application, its topics and this user.
fn documented(real: &RealBroker, shop: &Shop<'_>, user: &str) -> Vec<Vec<String>> {
    let named = |word: &String| match word.as_str() {
        "$BROKERS" => real.bootstrap.to_owned(),
        "User:millstream" => format!("User:{user}"),
        "demo.purchases" => shop.input.clone(),
        "demo.running.totals" => shop.totals.clone(),
        _ => word.replace("millstream-running-totals", &format!("{}-running-totals", shop.application)),
    };
    let commands = acl_commands();
    let without_file = |command: &Vec<String>| {
        let at = command.iter().position(|word| word == "--command-config").expect("the administrator's own file");
        [&command[..at], &command[at + 2..]].concat()
    };
    commands.iter().map(without_file).map(|command| command.iter().map(named).collect()).collect()
}

fn words(command: &[String]) -> Vec<&str> {
    command.iter().map(String::as_str).collect()
}

/// One of the page's commands for one of its operations alone.
fn only(command: &[String], operation: &str) -> Vec<String> {
    let mut words = command.iter().cloned();
    let mut kept = Vec::new();
    while let Some(word) = words.next() {
        if word == "--operation" {
            words.next().expect("an operation");
        } else {
            kept.push(word);
        }
    }
    kept.extend(["--operation".to_owned(), operation.to_owned()]);
    kept
}

/// The command that takes back what this one has allowed.
fn taken_back(command: &[String]) -> Vec<String> {
    let word = |word: &String| if word == "--add" { "--remove".to_owned() } else { word.clone() };
    command.iter().map(word).chain(["--force".to_owned()]).collect()
}

#[test]
fn over_tls_the_brokers_certificate_is_checked() {
    let Some((real, doors)) = RealBroker::secured() else { return };
    let (shop, purchases) = shop(&real);
    let ca = ca(&doors);
    let trusting = ["--until-end", "--security", "tls", "--property", &ca];
    let output = command(&shop.arguments_at(&doors.tls, &trusting)).output().expect("the program starts");
    assert!(output.status.success(), "{}", text(&output));
    assert_eq!(shop.totals(), sums_of(&purchases));

    let strangers = shop.arguments_at(&doors.tls, &["--until-end", "--security", "tls"]);
    let error = fails(&strangers, Duration::from_secs(20));
    assert!(error.contains("do not let this process in") && error.contains("certificate"), "{error}");
    assert!(error.contains("ssl.ca.location"), "{error}");
    // An authority is trusted, and not for this name.
    let port = doors.tls.rsplit(':').next().expect("a port");
    let otherwise = format!("localhost:{port}");
    let error = fails(&shop.arguments_at(&otherwise, &trusting), Duration::from_secs(20));
    assert!(error.contains("do not let this process in") && error.contains("certificate"), "{error}");
}

#[test]
fn tls_where_there_is_none_and_none_where_there_is_tls_are_told() {
    let Some((real, doors)) = RealBroker::secured() else { return };
    let shop = Shop::new(&real, 1);
    let ca = ca(&doors);
    let error = fails(&shop.arguments(&["--security", "tls", "--property", &ca]), Duration::from_mins(1));
    assert!(error.contains("SSL"), "{error}");
    let error = fails(&shop.arguments_at(&doors.tls, &[]), Duration::from_mins(1));
    assert!(error.contains("that the security is that of the port"), "{error}");
}

#[test]
fn a_wrong_password_is_told_at_once_and_no_password_is_shown() {
    let Some((real, doors)) = RealBroker::secured() else { return };
    let shop = Shop::new(&real, 1);
    let (ca, wrong) = (ca(&doors), file_of("hunter2-hunter2\n"));
    let file = wrong.path().to_str().expect("a text");
    let scram = ["--security", "sasl-scram", "--username", "nobody", "--password-file", file, "--property", &ca];
    let loud = ["--log-level", "debug", "--property", "debug=security,broker,conf,generic"];
    let commands = [
        shop.arguments_at(&doors.scram, &[&scram[..], &loud[..]].concat()),
        [
            &["plan", "running-totals", "--lock", "/nowhere/lock", "--bootstrap-servers", &doors.scram],
            &scram[..],
            &loud[..],
        ]
        .concat(),
        [&["generate", "sales", "--count", "1", "--bootstrap-servers", &doors.scram], &scram[..], &loud[..]].concat(),
    ];
    for arguments in commands {
        let clock = SystemClock::new();
        let output = command(&arguments).output().expect("the program starts");
        let (log, took) = (text(&output), clock.elapsed());
        assert_eq!(output.status.code(), Some(1), "{log}");
        println!("{} after {took:.1?}: {}", arguments[0], log.lines().last().unwrap_or_default());
        assert!(took < Duration::from_secs(20), "{took:?}");
        let error = log.lines().last().unwrap_or_default();
        assert!(error.contains("do not let this process in") && error.contains("check the user's name"), "{log}");
        assert!(!log.contains("hunter2"), "{log}");
        assert!(!String::from_utf8_lossy(&output.stdout).contains("hunter2"));
    }
}

#[test]
fn with_the_documented_acls_a_topology_runs_is_planned_and_is_reset() {
    let Some((real, doors)) = RealBroker::secured() else { return };
    let mut tools = Tools::start();
    let user = User::create(&real, &mut tools);
    let (shop, purchases) = shop(&real);
    let commands = documented(&real, &shop, &user.name);
    for command in &commands {
        tools.run(ACLS, &words(command));
    }
    let ca = ca(&doors);
    let flags = user.flags(&ca);
    let run = shop.arguments_at(&doors.scram, &[&flags[..], &["--until-end", "--threads", "2"]].concat());
    let output = command(&run).output().expect("the program starts");
    let log = text(&output);
    assert!(output.status.success(), "{log}");
    assert_eq!(shop.totals(), sums_of(&purchases));
    // A reader that is closed while it connects says so.
    let warns = |line: &&str| line.contains(" WARN ") && !line.contains("Broker transport failure");
    assert_eq!(log.lines().find(warns), None);
    assert!(!log.contains(PASSWORD), "{log}");

    let directory = tempfile::tempdir().expect("a directory");
    let lock = directory.path().join("lock");
    let lock = lock.to_str().expect("a text");
    let name = ["--application-id", &shop.application, "--topic", &shop.renames[0], "--topic", &shop.renames[1]];
    let at = ["--bootstrap-servers", &doors.scram];
    let plan = [&["plan", "running-totals", "--lock", lock, "--write"], &at[..], &name[..], &flags[..]].concat();
    let output = command(&plan).output().expect("the program starts");
    assert!(output.status.success(), "{}", text(&output));
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(shown.contains("-totals-changelog") && shown.contains("offsets"), "{shown}");
    assert!(
        !shown.contains(PASSWORD)
            && !Path::new(lock)
                .metadata()
                .is_ok_and(|_| { std::fs::read_to_string(lock).is_ok_and(|text| text.contains(PASSWORD)) })
    );

    let reset = [&["reset", "running-totals", "--execute", "--wait", "30s"], &at[..], &name[..], &flags[..]].concat();
    let output = command(&reset).output().expect("the program starts");
    assert!(output.status.success(), "{}", text(&output));
    // Read from the start again, into topics that were made anew.
    let output = command(&run).output().expect("the program starts");
    assert!(output.status.success(), "{}", text(&output));
    assert_eq!(shop.totals(), sums_of(&purchases));
}

#[test]
fn a_missing_acl_is_named() {
    let Some((real, doors)) = RealBroker::secured() else { return };
    let mut tools = Tools::start();
    let user = User::create(&real, &mut tools);
    let (shop, _) = shop(&real);
    let commands = documented(&real, &shop, &user.name);
    let ca = ca(&doors);
    let flags = user.flags(&ca);
    let group = format!("{}-running-totals", shop.application);
    let internal = format!("{group}-");
    for command in &commands {
        tools.run(ACLS, &words(command));
    }
    // What is missing, and the right that the error must name beside the resource. Create comes before the topics are there.
    let missing = [
        ("--topic", &shop.input, "Read", "READ"),
        ("--topic", &shop.totals, "Write", "WRITE"),
        ("--topic", &internal, "Create", "CREATE"),
        ("--topic", &internal, "Write", "WRITE"),
        ("--topic", &internal, "Read", "READ"),
        ("--group", &group, "Read", "READ"),
        ("--transactional-id", &internal, "Write", "WRITE"),
    ];
    for (flag, resource, operation, right) in missing {
        let names = |command: &&Vec<String>| command.windows(2).any(|pair| pair[0] == flag && pair[1] == **resource);
        let command = commands.iter().find(names).expect("the page has a command for it");
        let one = only(command, operation);
        tools.run(ACLS, &words(&taken_back(&one)));
        println!("without {operation} on {flag} {resource}");
        let run = shop.arguments_at(&doors.scram, &[&flags[..], &["--until-end"]].concat());
        let error = fails(&run, Duration::from_mins(1));
        assert!(error.contains(resource.as_str()) && error.contains(right), "{error}");
        tools.run(ACLS, &words(&one));
    }
}
