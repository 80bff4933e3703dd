//! Charging stations on a real socket.

use axum::http::StatusCode;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use futures::{SinkExt as _, StreamExt as _};
use serde_json::json;
use tokio_tungstenite::tungstenite::{
    Error, Message, client::IntoClientRequest as _, handshake::client::Request,
};

use crate::fixture::{Answer, Api, Browser};

/// Links a station, which stays to be set up; returns the page that says how, and the link.
async fn instructions<'a>(api: &'a Api) -> (Browser<'a>, String, Answer) {
    let body = json!({
        "scopes": ["charger:read:data"], "language": "en-US", "redirectUri": "https://a.example/",
    });
    let link = api.post("/users/ann/link", body).await.json()["linkUrl"]
        .as_str()
        .unwrap()
        .to_owned();
    let mut browser = Browser::of(api);
    let page = browser.open(&link).await;
    let page = browser.submit(&page, "consent", &[]).await;
    let choice = page.attribute("value=\"ocpp/", "value");
    let page = browser
        .submit(&page, "vendor", &[("choice", &choice)])
        .await;
    (browser, link, page)
}

fn value_of(page: &Answer, label: &str) -> String {
    let rest = page
        .body
        .split(&format!("<dt>{label}</dt><dd><code>"))
        .nth(1)
        .unwrap();
    rest.split("</code>").next().unwrap().to_owned()
}

fn request(address: &str, id: &str, password: &str, protocol: Option<&str>) -> Request {
    let mut request = format!("ws://{address}/ocpp/{id}")
        .into_client_request()
        .unwrap();
    let basic = BASE64_STANDARD.encode(format!("{id}:{password}"));
    let headers = request.headers_mut();
    headers.insert("authorization", format!("Basic {basic}").parse().unwrap());
    if let Some(protocol) = protocol {
        headers.insert("sec-websocket-protocol", protocol.parse().unwrap());
    }
    request
}

async fn refusal(request: Request) -> StatusCode {
    match tokio_tungstenite::connect_async(request).await {
        Err(Error::Http(response)) => response.status(),
        other => panic!("expected a refusal: {other:?}"),
    }
}

#[tokio::test]
async fn a_station_connects_with_what_the_page_says() {
    let api = Api::start().await;
    let (mut browser, link, page) = instructions(&api).await;
    assert!(
        page.body
            .contains("http-equiv=\"refresh\" content=\"5;url=/link/"),
        "{page:?}"
    );
    let (id, password) = (
        value_of(&page, "Charge point ID"),
        value_of(&page, "Password"),
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let router = api.router.clone();
    tokio::spawn(async move { axum::serve(listener, router).await });

    let unknown = refusal(request(&address, "nobody", &password, Some("ocpp1.6"))).await;
    let wrong = refusal(request(&address, &id, "wrong", Some("ocpp1.6"))).await;
    assert_eq!(
        (unknown, wrong),
        (StatusCode::UNAUTHORIZED, StatusCode::UNAUTHORIZED)
    );
    assert_eq!(
        refusal(request(&address, &id, &password, None)).await,
        StatusCode::BAD_REQUEST
    );

    let good = request(&address, &id, &password, Some("ocpp2.0.1, ocpp1.6"));
    let (mut socket, response) = tokio_tungstenite::connect_async(good).await.unwrap();
    assert_eq!(response.headers()["sec-websocket-protocol"], "ocpp1.6");
    let boot = json!([2, "1", "BootNotification", {
        "chargePointVendor": "Acme", "chargePointModel": "Wall",
    }]);
    socket.send(Message::text(boot.to_string())).await.unwrap();
    let answer = loop {
        match socket.next().await.unwrap().unwrap() {
            Message::Text(text) if text.starts_with("[3") => break text,
            _ => {}
        }
    };
    assert!(answer.contains("Accepted"), "{answer}");
    // The page goes on by itself.
    let done = browser.open(&format!("{link}/sign-in")).await;
    assert!(done.body.contains("Connected"), "{done:?}");
    let chargers = api.get("/users/ann/chargers").await.json();
    assert_eq!(chargers["data"].as_array().unwrap().len(), 1, "{chargers}");
    socket.close(None).await.unwrap();
}

#[tokio::test]
async fn the_device_can_be_set_up_later() {
    let api = Api::start().await;
    let (mut browser, link, _) = instructions(&api).await;
    let back = browser.open(&format!("{link}/return")).await;
    assert_eq!(back.header("location"), "https://a.example/");
}
