//! The README's tour, line by line, so that it stays true.

use std::{path::Path, process::Stdio};

use serde_json::Value;
use tokio::process::Command;

use crate::support::start_demo;

/// The shell blocks between the README's markers.
fn blocks() -> Vec<String> {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
    let text = std::fs::read_to_string(readme).unwrap();
    let tour = text
        .split_once("<!-- tour -->")
        .unwrap()
        .1
        .split_once("<!-- /tour -->")
        .unwrap()
        .0;
    let blocks = tour.split("```sh\n").skip(1);
    blocks
        .map(|rest| rest.split_once("```").unwrap().0.to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_line_of_the_readmes_tour_works() {
    let demo = start_demo().await;
    let blocks = blocks();
    assert_eq!(
        blocks.len(),
        6,
        "the tour has changed: check what is expected below"
    );
    // Between two blocks a line that no block prints.
    let script = format!(
        "set -euo pipefail\n{}",
        blocks.join("\nprintf '\\n=====\\n'\n")
    );
    let (id, secret) = &demo.client;
    let output = Command::new("bash")
        .arg("-c")
        .arg(script)
        .env("LIVEWATT", format!("http://{}", demo.server.address))
        .env("CLIENT_ID", id)
        .env("CLIENT_SECRET", secret)
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{errors}");

    let parts: Vec<Vec<Value>> = said
        .split("\n=====\n")
        .map(|part| {
            let answers = serde_json::Deserializer::from_str(part).into_iter();
            answers
                .collect::<Result<_, _>>()
                .unwrap_or_else(|error| panic!("{error}: {part}"))
        })
        .collect();
    let [token, link, devices, freshness, webhooks, events] = &parts[..] else {
        panic!("{} parts: {said}", parts.len());
    };
    assert!(token.is_empty());
    assert!(
        link[0]["linkUrl"].as_str().unwrap().contains("/link/"),
        "{link:?}"
    );
    let [user, vehicles, batteries, vehicle] = &devices[..] else {
        panic!("{devices:?}")
    };
    assert_eq!(user["linkedVendors"].as_array().unwrap().len(), 8);
    assert_eq!(vehicles["data"].as_array().unwrap().len(), 4);
    assert_eq!(batteries["data"].as_array().unwrap().len(), 1);
    assert!(vehicle["chargeState"].is_object(), "{vehicle}");
    assert_eq!(freshness[0]["deviceId"], vehicle["id"], "{freshness:?}");
    assert_eq!(webhooks[0]["isActive"], true, "{webhooks:?}");
    assert_eq!(
        webhooks[1]["data"].as_array().unwrap().len(),
        2,
        "the demo's own and this one"
    );
    let [first, next] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(first["data"].as_array().unwrap().len(), 2);
    assert_ne!(first["data"][0]["id"], next["data"][0]["id"]);
    demo.shut_down().await.unwrap();
}
