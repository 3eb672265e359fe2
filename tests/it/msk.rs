//! `docs/msk.md`: its policies are JSON, and its commands are what the tests of ACLs run.
#![cfg(feature = "cli")]

use std::collections::BTreeSet;

use serde_json::Value;

/// The page.
const PAGE: &str = include_str!("../../docs/msk.md");

/// The blocks of the page in this language.
fn blocks(language: &str) -> Vec<String> {
    let open = format!("```{language}\n");
    PAGE.split(&open).skip(1).map(|rest| rest.split("\n```").next().expect("it is closed").to_owned()).collect()
}

/// The arguments of the page's `kafka-acls.sh` commands that say what the user may do.
pub fn acl_commands() -> Vec<Vec<String>> {
    let joined = blocks("sh").join("\n").replace("\\\n", " ");
    let lines = joined.lines().filter_map(|line| line.trim().strip_prefix("kafka-acls.sh "));
    lines.map(|line| line.split_whitespace().map(str::to_owned).collect()).collect()
}

fn policies() -> Vec<Value> {
    let read = |block: &String| serde_json::from_str(block).unwrap_or_else(|error| panic!("{error}:\n{block}"));
    blocks("json").iter().map(read).filter(|block: &Value| block.get("Statement").is_some()).collect()
}

fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(texts) => texts.iter().map(|text| text.as_str().expect("a text")).collect(),
        other => panic!("{other} is neither a text nor a list of them"),
    }
}

/// The actions that Amazon's list of them says belong to a kind of resource.
fn kind_of(action: &str) -> &'static str {
    match action.strip_prefix("kafka-cluster:").expect("an action of a cluster") {
        "Connect" | "DescribeCluster" | "WriteDataIdempotently" => "cluster",
        "DescribeTopic"
        | "CreateTopic"
        | "DeleteTopic"
        | "ReadData"
        | "WriteData"
        | "DescribeTopicDynamicConfiguration" => "topic",
        "DescribeGroup" | "AlterGroup" => "group",
        "DescribeTransactionalId" | "AlterTransactionalId" => "transactional-id",
        other => panic!("{other} is not an action that the page should need"),
    }
}

#[test]
fn the_policies_of_the_page_are_policies() {
    let (policies, mut allowed) = (policies(), BTreeSet::new());
    assert!(!policies.is_empty());
    for policy in &policies {
        assert_eq!(policy["Version"], "2012-10-17");
        for statement in policy["Statement"].as_array().expect("statements") {
            assert_eq!(statement["Effect"], "Allow");
            if statement.get("Principal").is_some() {
                continue;
            }
            for action in texts(&statement["Action"]).into_iter().filter(|action| action.starts_with("kafka-cluster:"))
            {
                for resource in texts(&statement["Resource"]) {
                    let parts: Vec<&str> = resource.splitn(6, ':').collect();
                    assert_eq!(parts[..3], ["arn", "aws", "kafka"], "{resource}");
                    let kind = parts[5].split('/').next().expect("a kind");
                    assert_eq!(kind, kind_of(action), "{action} on {resource}");
                    // A cluster's name and id come first, and a topic's or a group's name after them.
                    assert_eq!(parts[5].split('/').count(), if kind == "cluster" { 3 } else { 4 }, "{resource}");
                    allowed.insert((kind, parts[5].rsplit('/').next().expect("a name")));
                }
            }
        }
    }
    for (kind, name) in [
        ("topic", "demo.purchases"),
        ("topic", "demo.running.totals"),
        ("topic", "millstream-running-totals-*"),
        ("group", "millstream-running-totals"),
        ("group", "millstream-reader"),
        ("transactional-id", "millstream-running-totals-*"),
    ] {
        assert!(allowed.contains(&(kind, name)), "{kind} {name} is in no policy: {allowed:?}");
    }
}

#[test]
fn the_commands_of_the_page_name_what_the_policies_name() {
    let commands = acl_commands();
    let after = |flag: &str| -> BTreeSet<String> {
        let pairs = commands.iter().flat_map(|command| command.windows(2));
        pairs.filter(|pair| pair[0] == flag).map(|pair| pair[1].clone()).collect()
    };
    assert_eq!(after("--topic").len(), 3, "{commands:?}");
    assert!(after("--group").contains("millstream-running-totals"), "{commands:?}");
    assert!(after("--transactional-id").contains("millstream-running-totals-"), "{commands:?}");
}
