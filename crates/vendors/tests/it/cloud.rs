//! A cloud that gives the answers it was told to give, in order, whatever is asked.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri},
    response::{IntoResponse as _, Response},
};
use futures::{StreamExt as _, stream};
use url::Url;

/// An answer of the cloud.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// This, at once.
    Reply {
        status: u16,
        headers: Vec<(&'static str, String)>,
        body: String,
    },
    /// These bytes, whatever they are, with status 200.
    Raw(Vec<u8>),
    /// None, ever.
    Hang,
    /// 50 MB of something that begins like JSON.
    Huge,
}

impl Answer {
    pub(crate) fn ok(body: &str) -> Self {
        Self::status(200, body)
    }

    pub(crate) fn status(status: u16, body: &str) -> Self {
        Self::Reply {
            status,
            headers: Vec::new(),
            body: body.to_owned(),
        }
    }

    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        if let Self::Reply { headers, .. } = &mut self {
            headers.push((name, value.to_owned()));
        }
        self
    }
}

/// What the cloud was asked.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

#[derive(Debug, Default)]
pub(crate) struct Cloud {
    answers: Mutex<VecDeque<Answer>>,
    asked: Mutex<Vec<Asked>>,
    streamed: AtomicUsize,
}

impl Cloud {
    /// Starts a cloud on a free port.
    pub(crate) async fn start() -> (Arc<Self>, Url) {
        let cloud = Arc::new(Self::default());
        let router = Router::new().fallback(answer).with_state(cloud.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/cloud", listener.local_addr().unwrap())
            .parse()
            .unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        (cloud, url)
    }

    /// Replaces what is left of the script.
    pub(crate) fn script(&self, answers: impl IntoIterator<Item = Answer>) {
        *self.answers.lock().unwrap() = answers.into_iter().collect();
        self.asked.lock().unwrap().clear();
    }

    /// What was asked since the script was set.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// Bytes of huge answers that were taken.
    pub(crate) fn streamed(&self) -> usize {
        self.streamed.load(Ordering::SeqCst)
    }
}

async fn answer(
    State(cloud): State<Arc<Cloud>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: String,
) -> Response {
    let path = uri.path().trim_start_matches("/cloud").to_owned();
    cloud.asked.lock().unwrap().push(Asked {
        method,
        path,
        headers,
        body,
    });
    let next = cloud.answers.lock().unwrap().pop_front();
    match next {
        None => StatusCode::IM_A_TEAPOT.into_response(),
        Some(Answer::Raw(body)) => body.into_response(),
        Some(Answer::Hang) => std::future::pending().await,
        Some(Answer::Huge) => {
            let chunk = Bytes::from(vec![b'['; 64 * 1024]);
            let chunks = stream::iter(0..800).map(move |_| {
                cloud.streamed.fetch_add(chunk.len(), Ordering::SeqCst);
                Ok::<_, std::io::Error>(chunk.clone())
            });
            Body::from_stream(chunks).into_response()
        }
        Some(Answer::Reply {
            status,
            headers,
            body,
        }) => {
            let mut response = (StatusCode::from_u16(status).unwrap(), body).into_response();
            for (name, value) in headers {
                response.headers_mut().insert(name, value.parse().unwrap());
            }
            response
        }
    }
}
