//! A vendor that tells everything: it passes requests on to the sandbox and remembers every secret
//! it sees. When told to, it answers by itself instead, with all that it was sent.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
};
use serde_json::Value;
use tokio::net::TcpListener;

/// How it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// As the sandbox does.
    Honest,
    /// With this status and all that it was sent, in JSON.
    Telling(u16),
    /// With 200 and JSON that stops in the middle of what it was sent.
    Broken,
}

#[derive(Debug)]
struct Book {
    target: String,
    mood: Mood,
    /// Secrets that went by.
    seen: BTreeSet<String>,
    /// Answers that held secrets.
    told: usize,
}

#[derive(Debug, Clone)]
pub struct Relay {
    pub url: String,
    book: Arc<Mutex<Book>>,
}

/// Names of what is secret in bodies of the clouds.
const SECRET_KEYS: [&str; 7] = [
    "access_token",
    "refresh_token",
    "token",
    "accessToken",
    "refreshToken",
    "access",
    "refresh",
];

impl Relay {
    pub fn start(listener: TcpListener, target: &str) -> Self {
        let url = format!("http://{}", listener.local_addr().unwrap());
        let book = Arc::new(Mutex::new(Book {
            target: target.to_owned(),
            mood: Mood::Honest,
            seen: BTreeSet::new(),
            told: 0,
        }));
        let router = Router::new().fallback(relay).with_state(book.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, book }
    }

    pub fn be(&self, mood: Mood) {
        self.book.lock().unwrap().mood = mood;
    }

    pub fn seen(&self) -> BTreeSet<String> {
        self.book.lock().unwrap().seen.clone()
    }

    /// How often it told secrets back.
    pub fn told(&self) -> usize {
        self.book.lock().unwrap().told
    }
}

async fn relay(State(book): State<Arc<Mutex<Book>>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let (target, mood) = {
        let mut book = book.lock().unwrap();
        let authorization = parts.headers.get(header::AUTHORIZATION);
        if let Some(token) = authorization.and_then(|value| value.to_str().ok()) {
            let token = token.split(' ').next_back().unwrap();
            book.seen.insert(token.to_owned());
        }
        (book.target.clone(), book.mood)
    };
    match mood {
        Mood::Honest => {
            let url = format!("{target}{}", parts.uri);
            let (status, headers, answer) = pass_on(&parts, url, body).await;
            remember(&mut book.lock().unwrap().seen, &answer);
            (status, headers, Body::from(answer)).into_response()
        }
        Mood::Telling(status) => {
            book.lock().unwrap().told += 1;
            let all = tell(&parts, &body);
            let status = StatusCode::from_u16(status).unwrap();
            let text = serde_json::json!({ "error": all, "error_description": all }).to_string();
            (status, [(header::CONTENT_TYPE, "application/json")], text).into_response()
        }
        Mood::Broken => {
            book.lock().unwrap().told += 1;
            let text = format!("{{\"access_token\": \"{}", tell(&parts, &body));
            ([(header::CONTENT_TYPE, "application/json")], text).into_response()
        }
    }
}

fn tell(parts: &axum::http::request::Parts, body: &Bytes) -> String {
    let headers: Vec<String> = parts
        .headers
        .iter()
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
        .collect();
    format!(
        "{} {} {}",
        parts.uri,
        headers.join(" "),
        String::from_utf8_lossy(body)
    )
}

async fn pass_on(
    parts: &axum::http::request::Parts,
    url: String,
    body: Bytes,
) -> (StatusCode, axum::http::HeaderMap, Bytes) {
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap();
    let mut headers = parts.headers.clone();
    headers.remove(header::HOST);
    headers.remove(header::ACCEPT_ENCODING);
    let request = client.request(parts.method.clone(), url).headers(headers);
    let answer = request.body(body).send().await.unwrap();
    let (status, mut headers) = (answer.status(), answer.headers().clone());
    headers.remove(header::TRANSFER_ENCODING);
    headers.remove(header::CONTENT_LENGTH);
    (status, headers, answer.bytes().await.unwrap())
}

/// Notes all secrets in a JSON answer.
fn remember(seen: &mut BTreeSet<String>, answer: &[u8]) {
    fn walk(seen: &mut BTreeSet<String>, value: &Value) {
        match value {
            Value::Object(map) => map.iter().for_each(|(key, inner)| match inner {
                Value::String(text) if SECRET_KEYS.contains(&key.as_str()) => {
                    seen.insert(text.clone());
                }
                inner => walk(seen, inner),
            }),
            Value::Array(items) => items.iter().for_each(|inner| walk(seen, inner)),
            _ => {}
        }
    }
    if let Ok(value) = serde_json::from_slice(answer) {
        walk(seen, &value);
    }
}
