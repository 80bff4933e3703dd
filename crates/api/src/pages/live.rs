//! The live page: all devices of one client with their ages, and their events as they happen.
//! Served without a token, and only where the options say so: for demos.

use askama::Template;
use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use livewatt_domain::{
    device::{Device, Document},
    id::ClientId,
    kind::DeviceKind,
    time::wire,
};
use livewatt_engine::freshness::Freshness;
use livewatt_store::{PageFrom, PageRequest};
use serde::Serialize;

use super::{Loads, page};
use crate::{error::ApiResult, handlers::events, state::ApiState};

/// Devices of a kind that the page shows.
const SHOWN: u32 = 24;

#[derive(Template)]
#[template(path = "live.html")]
struct LivePage<'a> {
    base: &'a str,
    kinds: [DeviceKind; 6],
}

/// What the page is drawn from.
#[derive(Debug, Serialize)]
struct Picture {
    now: String,
    devices: Vec<Shown>,
}

/// A device on the page.
#[derive(Debug, Serialize)]
struct Shown {
    kind: DeviceKind,
    device: Document,
    freshness: Option<Freshness>,
}

/// The page of a client's devices.
pub(super) fn routes(client: ClientId) -> Router<ApiState> {
    Router::new()
        .route("/live", get(show))
        .route("/live/devices.json", get(move |state| devices(client, state)))
        .route("/live/stream", get(move |state| stream(client, state)))
}

async fn show(State(state): State<ApiState>) -> Response {
    page(
        StatusCode::OK,
        &LivePage { base: state.base(), kinds: DeviceKind::ALL },
        Loads::Scripts,
    )
}

async fn devices(client: ClientId, State(state): State<ApiState>) -> ApiResult<Response> {
    let engine = state.engine();
    let mut devices = Vec::new();
    for kind in DeviceKind::ALL {
        let newest = PageRequest { from: PageFrom::Start, size: SHOWN };
        for device in engine.list_devices(client, None, kind, newest).await?.items {
            devices.push(shown(&state, client, device).await);
        }
    }
    Ok(Json(Picture { now: wire(engine.now()), devices }).into_response())
}

async fn shown(state: &ApiState, client: ClientId, device: Device) -> Shown {
    let id = device.id.to_string();
    Shown {
        kind: device.kind(),
        // A device that went away in between is shown this once more, without its why.
        freshness: state.engine().freshness(client, device.kind(), &id).await.ok(),
        device: device.current_document(),
    }
}

async fn stream(client: ClientId, State(state): State<ApiState>) -> ApiResult<Response> {
    Ok(events::open_stream(&state, client, None).await?.into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_renders() {
        let html = LivePage { base: "/b", kinds: DeviceKind::ALL }.render().unwrap();
        assert!(html.contains("/b/assets/live.js"));
        assert!(html.contains("vehicle"));
    }
}
