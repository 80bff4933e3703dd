//! An installation that moves from its directory to PostgreSQL, by the program as people run it: its
//! customers notice nothing.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Output, Stdio},
};

use livewatt_domain::SignedDuration;
use livewatt_sandbox::Cloud;
use livewatt_store::{
    PostgresOptions, PostgresStore,
    contract::private_postgres::{PrivateDatabase, PrivatePostgres},
};
use livewatt_vendors::Secret;

use crate::{
    cli::PROGRAM,
    support::{START, World, still},
    webhooks::{assert_complete, of_log, replug, vehicle},
};

/// The program that copies.
fn copy(data: &Path, to: &str) -> Command {
    let mut command = Command::new(PROGRAM);
    command
        .args(["migrate", "copy", "--batch-rows", "1", "--data"])
        .arg(data)
        .env("LIVEWATT_STORE__URL", to)
        .stdin(Stdio::null());
    command
}

/// What it says of the result and of its progress, if it succeeds.
fn succeeded(output: Output) -> (String, String) {
    let (result, progress) = (output.stdout, output.stderr);
    let (result, progress) = (
        String::from_utf8(result).unwrap(),
        String::from_utf8(progress).unwrap(),
    );
    assert!(output.status.success(), "{result}{progress}");
    (result, progress)
}

/// What it says against it.
fn refused(output: Output) -> String {
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(!errors.contains("panicked"), "{errors}");
    errors
}

/// Runs SQL with the client that belongs to the server.
fn run_sql(database: &PrivateDatabase<'_>, sql: &str) {
    let ran = Command::new("psql")
        .args([
            "-q",
            "-v",
            "ON_ERROR_STOP=1",
            "-d",
            &database.url(),
            "-c",
            sql,
        ])
        .status();
    assert!(ran.unwrap().success(), "{sql}");
}

/// Starts a copy, and kills it in the middle of the event log. The target takes its time, so that it
/// cannot get to the end before.
fn copy_and_kill(data: &Path, database: &PrivateDatabase<'_>) {
    run_sql(
        database,
        "create function take_time() returns trigger language plpgsql as
             'begin perform pg_sleep(0.05); return null; end';
         create trigger take_time before insert on events execute function take_time()",
    );
    let mut command = copy(data, &database.url());
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let said = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut said = said.map_while(Result::ok);
    let third = said.find(|line| line.starts_with("events_") && line.contains(": 3 of "));
    assert!(third.is_some(), "it ended before");
    child.kill().unwrap();
    assert!(!child.wait().unwrap().success());
    run_sql(database, "drop function take_time() cascade");
}

/// The bodies of answers as they are sent.
async fn texts(world: &World, paths: &[String]) -> Vec<String> {
    let http = reqwest::Client::new();
    let mut texts = Vec::new();
    for path in paths {
        let request = http.get(format!("{}{path}", world.api.base));
        let answer = request.bearer_auth(&world.api.token).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        texts.push(answer.text().await.unwrap());
    }
    texts
}

/// What a customer may ask: lists and their pages, single devices, the log from every cursor.
async fn questions(world: &World) -> Vec<String> {
    let mut paths: Vec<String> = Vec::new();
    for kind in [
        "vehicles",
        "chargers",
        "inverters",
        "batteries",
        "meters",
        "hvacs",
    ] {
        paths.push(format!("/{kind}"));
        paths.push(format!("/{kind}?pageSize=1"));
        for device in world.api.all(kind).await {
            let id = device["id"].as_str().unwrap();
            paths.push(format!("/{kind}/{id}"));
        }
    }
    let lists = ["/users", "/webhooks", "/users/ann/vehicles", "/hem-systems"];
    paths.extend(lists.map(str::to_owned));
    let mut path = "/events?pageSize=7".to_owned();
    loop {
        let page = world.api.get(&path).await.expect_status(200);
        paths.push(path);
        if page["data"].as_array().unwrap().is_empty() {
            return paths;
        }
        let after = page["pagination"]["after"].as_str().unwrap();
        path = format!("/events?pageSize=7&after={after}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_installation_moves_and_nobody_notices() {
    let minutes = SignedDuration::from_mins;
    let mut world = World::starting_at(START, |settings| {
        settings.store.url = Secret::new(String::new());
        settings.webhooks.lanes = 2;
    })
    .await;
    let webhook = world.subscribe().await;
    let car = vehicle(&world, "ann").await;
    for user in ["ann", "bob", "cem"] {
        world.link(user, Cloud::Helios, still()).await;
        world.link(user, Cloud::Rivoli, still()).await;
    }
    // Over midnight, so that the log has two days.
    world.advance(minutes(18 * 60 + 30)).await;
    let taken_before = world.receiver.events().len();
    assert!(taken_before > 0);
    // The receiver goes away: a delivery is under way, and behind it there is more.
    world.receiver.answer_with(503);
    for _ in 0..5 {
        replug(&world, &car).await;
    }
    world.settle().await;
    let tried: Vec<String> = of_log(&world.receiver)
        .iter()
        .filter(|attempt| !attempt.is_taken)
        .map(|attempt| attempt.id.clone())
        .collect();
    assert!(!tried.is_empty());

    let database = PrivatePostgres::shared().database();
    // The schema is there already: a server was started on it once, and nothing was made.
    drop(
        PostgresStore::open(&PostgresOptions::new(database.url()))
            .await
            .unwrap(),
    );
    let data = world.directory.path().join("data");
    let told = refused(copy(&data, &database.url()).output().unwrap());
    assert!(told.contains("in use by another process"), "{told}");

    let questions = questions(&world).await;
    let answers = texts(&world, &questions).await;
    assert!(questions.len() > 30, "{questions:?}");
    world = world
        .restart(SignedDuration::ZERO, |settings| {
            let mut with_other_key = copy(&data, &database.url());
            let key = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
            with_other_key.env("LIVEWATT_SECRETS__KEYS", key);
            let told = refused(with_other_key.output().unwrap());
            assert!(told.contains("the key is not that of"), "{told}");

            copy_and_kill(&data, &database);
            let (result, progress) = succeeded(copy(&data, &database.url()).output().unwrap());
            assert!(progress.starts_with("going on with the copy"), "{progress}");
            assert!(!progress.contains("clients: "), "it was there: {progress}");
            assert!(result.contains("secret.key"), "{result}");
            let same = result.lines().filter(|line| line.ends_with("  yes"));
            assert!(same.count() > 15, "{result}");
            assert!(!result.contains("  NO"), "{result}");
            settings.store.url = Secret::new(database.url());
        })
        .await;
    assert_eq!(texts(&world, &questions).await, answers);

    // Whoever starts the old one by mistake is told so.
    let old = Command::new(PROGRAM)
        .args(["serve", "--listen", "127.0.0.1:0", "--data"])
        .arg(&data)
        .output();
    let told = refused(old.unwrap());
    assert!(told.contains("was moved to PostgreSQL"), "{told}");

    // The receiver is back: the delivery under way comes again under its ID, then all the rest.
    world.receiver.answer_with(204);
    let attempts = world.receiver.attempts().len();
    world.advance(minutes(20)).await;
    let again = &world.receiver.attempts()[attempts..];
    let again: Vec<_> = again.iter().filter(|attempt| attempt.is_of_log()).collect();
    assert!(
        again[..tried.len().min(2)]
            .iter()
            .any(|attempt| tried.contains(&attempt.id))
    );
    assert_complete(&world, &world.receiver).await;

    // And life goes on: pushes, fetches, deliveries, for the same webhook.
    let before = world.api.log().await.len();
    replug(&world, &car).await;
    world.advance(minutes(6 * 60)).await;
    assert!(world.api.log().await.len() > before + 20);
    assert_complete(&world, &world.receiver).await;
    let shown = world.api.get(&format!("/webhooks/{webhook}")).await;
    assert_eq!(shown.expect_status(200)["isActive"], true);
    world.shut_down().await;
}
