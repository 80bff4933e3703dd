//! A charging station on its socket, and how its owner learns what it needs for that.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use futures::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{self, Message, client::IntoClientRequest as _},
};

use super::browser::Page;

/// What a page tells the owner of a station to set it up with.
pub struct Credentials {
    pub id: String,
    pub password: String,
}

impl Credentials {
    /// As they stand on a page.
    pub fn on(page: &Page) -> Self {
        let values = page.text.split("<dd><code>").skip(1);
        let value = |rest: &str| rest.split("</code>").next().unwrap().to_owned();
        let values: Vec<String> = values.map(value).collect();
        let id = values.iter().find(|value| value.starts_with("LW-"));
        Self {
            id: id.unwrap().clone(),
            password: values.last().unwrap().clone(),
        }
    }

    /// As they go over the wire.
    pub fn basic(&self) -> String {
        BASE64_STANDARD.encode(format!("{}:{}", self.id, self.password))
    }
}

/// A station that is connected.
pub struct Station(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Station {
    /// Connects to the server at `base`.
    pub async fn connect(
        base: &str,
        credentials: &Credentials,
    ) -> Result<Self, Box<tungstenite::Error>> {
        let address = base.replace("http://", "ws://");
        let mut request = format!("{address}/ocpp/{}", credentials.id)
            .into_client_request()
            .unwrap();
        let headers = request.headers_mut();
        let basic = format!("Basic {}", credentials.basic());
        headers.insert("authorization", basic.parse().unwrap());
        headers.insert("sec-websocket-protocol", "ocpp1.6".parse().unwrap());
        let (socket, _) = connect_async(request).await?;
        Ok(Self(socket))
    }

    /// Calls the server; the answer's payload, or `None` if the socket ends without one.
    pub async fn call(&mut self, id: &str, action: &str, payload: Value) -> Option<Value> {
        let frame = serde_json::json!([2, id, action, payload]).to_string();
        self.0.send(Message::text(frame)).await.ok()?;
        loop {
            let Some(Ok(message)) = self.0.next().await else {
                return None;
            };
            let Message::Text(text) = message else {
                continue;
            };
            let frame: Value = serde_json::from_str(&text).unwrap();
            // Calls of the server are for others to answer.
            if frame[0] == 3 && frame[1] == id {
                return Some(frame[2].clone());
            }
            assert_ne!(frame[0], 4, "refused: {frame}");
        }
    }

    pub async fn close(mut self) {
        self.0.close(None).await.unwrap();
    }
}
