//! A charge point whose word could not be stored: it gets no answer, which would have acknowledged
//! it, and says it again when it is back.

use serde_json::{Value, json};
use tempfile::TempDir;

use super::full::Server;
use crate::support::{
    browser::Browser,
    eventually,
    station::{Credentials, Station},
};

impl Server {
    async fn json(&self, path: &str, token: &str) -> Value {
        let url = format!("{}{path}", self.base);
        let request = reqwest::Client::new().get(url).bearer_auth(token);
        request.send().await.unwrap().json().await.unwrap()
    }

    /// Starts to link a station for a user, as far as the page that says how to set it up.
    async fn link_station(&self, token: &str) -> Credentials {
        let body = json!({
            "scopes": ["charger:read:data"], "language": "en-US",
            "redirectUri": "https://app.example/done",
        });
        let url = format!("{}/users/ann/link", self.base);
        let request = reqwest::Client::new().post(url).bearer_auth(token);
        let started: Value = request
            .json(&body)
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        let browser = Browser::default();
        let link = started["linkUrl"].as_str().unwrap();
        let sign_in = browser.choose(link, "ocpp").await;
        Credentials::on(&browser.get(&sign_in).await)
    }

    /// The state of the only charger.
    async fn state(&self, token: &str) -> Value {
        let page = self.json("/chargers", token).await;
        page["data"][0]["chargeState"]["powerDeliveryState"].clone()
    }

    /// How many events tell that the charger came into a state.
    async fn times(&self, token: &str, state: &str) -> usize {
        let page = self.json("/events?pageSize=500", token).await;
        let events = page["data"].as_array().unwrap();
        let changed = json!("chargeState.powerDeliveryState");
        let tells = |entry: &&Value| {
            entry["event"]["charger"]["chargeState"]["powerDeliveryState"] == state
                && entry["event"]["updatedFields"]
                    .as_array()
                    .is_some_and(|f| f.contains(&changed))
        };
        events.iter().filter(tells).count()
    }
}

fn status(status: &str) -> Value {
    json!({ "connectorId": 1, "errorCode": "NoError", "status": status })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_stored_is_not_answered_and_is_stored_once_when_it_is_said_again() {
    const CAR_CAME: &str = "PLUGGED_IN:INITIALIZING";
    let directory = TempDir::new().unwrap();
    let (data, log) = (directory.path().join("data"), directory.path().join("log"));
    let server = Server::start(&data, &log);
    let token = server.token().await.unwrap();
    let credentials = server.link_station(&token).await;
    let boot = json!({ "chargePointVendor": "Acme", "chargePointModel": "One" });
    let mut station = Station::connect(&server.base, &credentials).await.unwrap();
    let accepted = station.call("1", "BootNotification", boot).await.unwrap();
    assert_eq!(accepted["status"], "Accepted");
    let answer = station
        .call("2", "StatusNotification", status("Available"))
        .await;
    assert_eq!(answer, Some(json!({})));
    assert_eq!(server.state(&token).await, "UNPLUGGED");

    // No file may have a second byte.
    server.limit("1");
    let answer = station
        .call("3", "StatusNotification", status("Preparing"))
        .await;
    assert_eq!(answer, None, "an answer says that it is kept");
    assert_eq!(server.state(&token).await, "UNPLUGGED");
    assert_eq!(server.times(&token, CAR_CAME).await, 0);
    // Again and again, as such stations do.
    let mut again = Station::connect(&server.base, &credentials).await.unwrap();
    let answer = again
        .call("3", "StatusNotification", status("Preparing"))
        .await;
    assert_eq!(answer, None);

    server.limit("unlimited");
    eventually("it writes again", async || {
        server.get("/health/ready", &token).await == 204
    })
    .await;
    let mut back = Station::connect(&server.base, &credentials).await.unwrap();
    for _ in 0..2 {
        // The second time it does not know that the first was heard.
        let answer = back
            .call("3", "StatusNotification", status("Preparing"))
            .await;
        assert_eq!(answer, Some(json!({})));
        assert_eq!(server.state(&token).await, CAR_CAME);
        assert_eq!(server.times(&token, CAR_CAME).await, 1);
    }
    back.close().await;
}
