//! The API as a client sees it. Every answer is checked against the contract's schema.

use livewatt::serve::Server;
use reqwest::{Method, StatusCode};
use serde_json::Value;

use super::{contract, log::is_for_all};

/// A client of the API with its token.
#[derive(Debug, Clone)]
pub struct Api {
    pub base: String,
    pub token: String,
    http: reqwest::Client,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub what: String,
    pub status: StatusCode,
    pub headers: reqwest::header::HeaderMap,
    pub body: Value,
}

impl Answer {
    /// The fields that a refusal names.
    #[track_caller]
    pub fn expect_issues(self) -> Vec<String> {
        let body = self.expect_status(400);
        let issues = body["issues"].as_array().unwrap();
        let path = |issue: &Value| issue["path"].as_str().unwrap().to_owned();
        issues.iter().map(path).collect()
    }

    /// The body, if the status is this one.
    #[track_caller]
    pub fn expect_status(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}: {}", self.what, self.body);
        self.body
    }
}

impl Api {
    /// Gets a token for a client.
    pub async fn log_in(server: &Server, id: &str, secret: &str) -> Self {
        Self::log_in_at(&format!("http://{}", server.address), id, secret).await
    }

    /// Gets a token for a client of the server at `base`.
    pub async fn log_in_at(base: &str, id: &str, secret: &str) -> Self {
        let (base, http) = (base.to_owned(), reqwest::Client::new());
        let answer = http
            .post(format!("{base}/oauth2/token"))
            .basic_auth(id, Some(secret))
            .form(&[("grant_type", "client_credentials")])
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 200);
        let body: Value = answer.json().await.unwrap();
        contract::check_schema("TokenResponse", &body);
        let token = body["access_token"].as_str().unwrap().to_owned();
        Self { base, token, http }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, None).await
    }

    pub async fn post(&self, path: &str, body: Option<Value>) -> Answer {
        self.call(Method::POST, path, body).await
    }

    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        self.call(Method::PATCH, path, Some(body)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.call(Method::DELETE, path, None).await
    }

    pub async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        self.send(method, path, |request| match body {
            Some(body) => request.json(&body),
            None => request,
        })
        .await
    }

    /// Puts a text of another type than JSON.
    pub async fn put_text(&self, path: &str, content_type: &str, text: &str) -> Answer {
        self.send(Method::PUT, path, |request| {
            request
                .header("content-type", content_type)
                .body(text.to_owned())
        })
        .await
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        fill: impl FnOnce(reqwest::RequestBuilder) -> reqwest::RequestBuilder,
    ) -> Answer {
        let what = format!("{method} {path}");
        let request = self
            .http
            .request(method.clone(), format!("{}{path}", self.base))
            .bearer_auth(&self.token);
        let request = fill(request);
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await.unwrap();
        let body = match text.is_empty() {
            true => Value::Null,
            false => serde_json::from_str(&text).unwrap_or(Value::String(text)),
        };
        contract::check_answer(&method, path, status.as_u16(), &headers, &body);
        Answer {
            what,
            status,
            headers,
            body,
        }
    }

    /// The whole event log, oldest first.
    pub async fn log(&self) -> Vec<Value> {
        let mut events = Vec::new();
        let mut path = "/events?pageSize=500".to_owned();
        loop {
            let page = self.get(&path).await.expect_status(200);
            let entries = page["data"].as_array().unwrap();
            if entries.is_empty() {
                return events;
            }
            events.extend(entries.iter().map(|entry| entry["event"].clone()));
            let after = page["pagination"]["after"].as_str().unwrap();
            path = format!("/events?pageSize=500&after={after}");
        }
    }

    /// The part of the log that a webhook for all events gets.
    pub async fn log_for_all(&self) -> Vec<Value> {
        let mut log = self.log().await;
        log.retain(is_for_all);
        log
    }

    /// All devices of a kind (given by its plural), page after page.
    pub async fn all(&self, plural: &str) -> Vec<Value> {
        let mut devices = Vec::new();
        let mut path = format!("/{plural}?pageSize=100");
        loop {
            let page = self.get(&path).await.expect_status(200);
            devices.extend(page["data"].as_array().unwrap().iter().cloned());
            match page["pagination"]["after"].as_str() {
                Some(after) => path = format!("/{plural}?pageSize=100&after={after}"),
                None => return devices,
            }
        }
    }
}
