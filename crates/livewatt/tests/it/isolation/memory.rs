//! Answers of 50 MB from many accounts at the same moment must not add up in memory.

use livewatt::serve::{ServeOptions, Server};
use livewatt_domain::{
    clock::{Clock as _, SystemClock},
    id::UserId,
};
use livewatt_sandbox::{Cloud, FaultKind, FaultSpec, Garbage, Sandbox, SandboxConfig};
use tempfile::TempDir;

use super::program::Program;
use crate::support::{eventually, link_in_sandbox, loopback, settings, still};

/// Accounts whose answers are all on their way at once.
const ACCOUNTS: usize = 100;
/// What a server may need for them on top of what it needs anyway, MiB.
const MOST_MIB: u64 = 192;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn huge_answers_at_the_same_moment_do_not_add_up() {
    let config = SandboxConfig {
        start: SystemClock.now(),
        speed: 1.0,
        ..SandboxConfig::default()
    };
    let sandbox = Sandbox::start(config, loopback().await);
    let directory = TempDir::new().unwrap();
    let settings = settings(&directory, &sandbox);
    let mut server = Server::start(&settings, loopback().await, ServeOptions::default())
        .await
        .unwrap();
    let address = server.address;
    let (client, secret) = server.first_client.take().unwrap();
    let user: UserId = "ann".parse().unwrap();
    for _ in 0..ACCOUNTS {
        let account = sandbox.create_account(Cloud::Volta, still()).unwrap();
        link_in_sandbox(&server, client, &user, &account)
            .await
            .unwrap();
    }
    server.shut_down().await.unwrap();

    let program = Program::start(&settings.store.directory, address, sandbox.base_url()).await;
    let token = program.token(&client.to_string(), secret.reveal()).await;
    // Held back until all have asked; then all are answered at once.
    let huge = FaultKind::Garbage {
        variant: Garbage::HugeBody,
    };
    sandbox
        .add_fault(Cloud::Volta, FaultSpec::new(huge).endpoints(&["account"]))
        .await
        .unwrap();
    let held = FaultSpec::new(FaultKind::Hang { seconds: None }).endpoints(&["account"]);
    let held = sandbox.add_fault(Cloud::Volta, held).await.unwrap();
    let page = program.get(&token, "/vehicles?pageSize=100").await;
    let ids: Vec<&str> = page["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|car| car["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids.len(), ACCOUNTS);
    let (before, _) = program.memory();
    for id in ids {
        assert_eq!(
            program
                .post(&token, &format!("/vehicles/{id}/refresh-hint"))
                .await,
            204
        );
    }
    let parallel = settings.vendors.parallel.min(ACCOUNTS) as u64;
    let hits = |id: &str| {
        sandbox
            .faults()
            .into_iter()
            .find(|fault| fault.id == id)
            .unwrap()
            .hits
    };
    eventually("all have asked", async || hits(&held.id) >= parallel).await;
    sandbox.drop_fault(&held.id).await.unwrap();
    let state = async || {
        let why = program
            .get(
                &token,
                &format!(
                    "/vehicles/{}/freshness",
                    page["data"][0]["id"].as_str().unwrap()
                ),
            )
            .await;
        why["lastAttempts"][0]["outcome"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    let outcome = async || state().await == "malformed";
    eventually("the first huge answer is refused", outcome).await;
    let all = async || sandbox.faults()[0].hits >= ACCOUNTS as u64;
    eventually("all were answered", all).await;
    // What is refused is let go of: once more, and the peak stays where it is.
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let (after, peak) = program.memory();
    println!(
        "{ACCOUNTS} answers of 50 MB at once: {before} MiB before, {peak} MiB at the peak, {after} MiB after"
    );
    assert!(peak <= before + MOST_MIB, "{before} MiB became {peak} MiB");
    program.stop().await;
    sandbox.shutdown().await;
}
