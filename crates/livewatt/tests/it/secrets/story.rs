//! A story in which every secret is used, and what is learned of them on the way.

use std::{collections::BTreeSet, sync::Mutex};

use livewatt_sandbox::Cloud;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite;

use super::CANARY;
use crate::support::{
    browser::{Browser, between},
    integration,
    station::{Credentials, Station},
};

/// What a story has come to know.
pub(super) struct Story {
    pub(super) base: String,
    pub(super) token: String,
    /// Secrets that are shown to nobody, ever.
    pub(super) hidden: BTreeSet<String>,
    /// Secrets that were shown to their owner, once.
    pub(super) shown_once: BTreeSet<String>,
    /// All answers but those.
    pub(super) answers: Mutex<Vec<String>>,
}

impl Story {
    pub(super) async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> (u16, Value) {
        let url = format!("{}{path}", self.base);
        let mut request = reqwest::Client::new()
            .request(method, url)
            .bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let (status, text) = self.send(request).await;
        self.answers.lock().unwrap().push(text.clone());
        (
            status,
            serde_json::from_str(&text).unwrap_or(Value::String(text)),
        )
    }

    pub(super) async fn send(&self, request: RequestBuilder) -> (u16, String) {
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let headers = format!("{:?}", answer.headers());
        self.answers.lock().unwrap().push(headers);
        (status, answer.text().await.unwrap())
    }

    /// Starts a link session for `user`, chooses the first brand of an integration in a browser, and
    /// says where to sign in.
    pub(super) async fn begin(&mut self, user: &str, integration: &str) -> (Browser, String) {
        let body = json!({
            "scopes": ["vehicle:read:data", "charger:read:data", "inverter:read:data"],
            "language": "en-US", "redirectUri": "https://app.example/done",
        });
        let request = reqwest::Client::new()
            .post(format!("{}/users/{user}/link", self.base))
            .bearer_auth(&self.token)
            .json(&body);
        let (status, text) = self.send(request).await;
        assert_eq!(status, 200, "{text}");
        let started: Value = serde_json::from_str(&text).unwrap();
        let token = started["linkToken"].as_str().unwrap();
        self.shown_once.insert(token.to_owned());
        let link = started["linkUrl"].as_str().unwrap().to_owned();
        let browser = Browser::default();
        let sign_in = browser.choose(&link, integration).await;
        (browser, sign_in)
    }

    /// Links an account of the sandbox by hand, after a wrong password.
    pub(super) async fn link(&mut self, cloud: Cloud, username: &str, password: &str) {
        let (browser, sign_in) = self.begin("ann", integration(cloud)).await;
        let page = browser.get(&sign_in).await;
        assert_eq!(page.status, 200, "{}", page.text);
        let wrong = format!("{CANARY}-mistyped");
        if cloud == Cloud::Volta {
            let there = between(&page.text, "href=\"http", "\"");
            let there = there.replace("&amp;", "&").replace("&#38;", "&");
            let there: url::Url = format!("http{there}").parse().unwrap();
            let asked: Vec<(String, String)> = there.query_pairs().into_owned().collect();
            let mut fields: Vec<(&str, &str)> = asked
                .iter()
                .map(|(k, v)| (k.as_str(), v.as_str()))
                .collect();
            fields.extend([
                ("email", username),
                ("password", password),
                ("decision", "allow"),
            ]);
            let mut address = there.clone();
            address.set_query(None);
            // The vendor's own page, and the way back with a code in the address.
            let outside = Browser::default();
            let back = outside.call(Method::POST, address.as_str(), &fields).await;
            let told = format!("{}: {}", back.status, back.text);
            let back = back.location.unwrap_or_else(|| panic!("{told}"));
            let code: url::Url = back.parse().unwrap();
            let code = code
                .query_pairs()
                .find(|(name, _)| name == "code")
                .unwrap()
                .1;
            self.hidden.insert(code.into_owned());
            let done = browser.get(&back).await;
            assert!(done.location.unwrap().ends_with("/done"));
        } else {
            let [first, second] = &page.fields()[..] else {
                panic!("not two fields: {}", page.text)
            };
            let again = browser
                .submit(&sign_in, &page, &[(first, username), (second, &wrong)])
                .await;
            assert_eq!(again.status, 200);
            let done = browser
                .submit(&sign_in, &again, &[(first, username), (second, password)])
                .await;
            assert!(done.location.is_some(), "{}", done.text);
        }
        self.hidden.insert(wrong);
        self.keep(&browser);
    }

    /// Pages may show their own link, which is its owner's; nothing else.
    pub(super) fn keep(&self, browser: &Browser) {
        let mut shown = browser.shown.lock().unwrap().clone();
        for page in &mut shown {
            for token in &self.shown_once {
                *page = page.replace(token.as_str(), "");
            }
        }
        self.answers.lock().unwrap().append(&mut shown);
    }

    /// Links a charging station and connects it, with a wrong password and with its own.
    pub(super) async fn link_station(&mut self) {
        let (browser, sign_in) = self.begin("bob", "ocpp").await;
        let page = browser.get(&sign_in).await;
        let credentials = Credentials::on(&page);
        assert_ne!(credentials.id, credentials.password);
        self.shown_once.insert(credentials.password.clone());
        self.keep(&browser);
        let wrong = Credentials {
            id: credentials.id.clone(),
            password: format!("{CANARY}-station"),
        };
        let refused = Station::connect(&self.base, &wrong).await.err().unwrap();
        assert!(matches!(*refused, tungstenite::Error::Http(answer) if answer.status() == 401));
        self.hidden.extend([wrong.basic(), wrong.password]);
        self.hidden.insert(credentials.basic());
        let mut station = Station::connect(&self.base, &credentials).await.unwrap();
        let boot = json!({ "chargePointVendor": "Acme", "chargePointModel": "One" });
        let answer = station.call("1", "BootNotification", boot).await;
        assert_eq!(answer.unwrap()["status"], "Accepted");
        station.close().await;
    }
}
