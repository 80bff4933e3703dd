//! The live page: all devices of one client with their ages, and their events as they happen.
//! Served without a token, and only where the options say so: for demos.

use askama::Template;
use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::get,
};
use livewatt_domain::{
    device::{Device, Document},
    id::ClientId,
    kind::DeviceKind,
    time::wire,
    webhook::Position,
};
use livewatt_engine::freshness::Freshness;
use livewatt_store::{PageFrom, PageRequest};
use serde::Serialize;

use super::{Loads, page};
use crate::{
    error::{ApiError, ApiResult},
    extract::QueryArgs,
    handlers::events,
    state::ApiState,
};

/// Devices of a kind that the page shows.
const SHOWN: u32 = 24;
/// Positions of the log that a page just opened goes back by.
const RECENT: i64 = 30;

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
        .route(
            "/live/devices.json",
            get(move |state| devices(client, state)),
        )
        .route("/live/stream", get(move |s, h, q| stream(client, s, h, q)))
}

async fn show(State(state): State<ApiState>) -> Response {
    page(
        StatusCode::OK,
        &LivePage {
            base: state.base(),
            kinds: DeviceKind::ALL,
        },
        Loads::Scripts,
    )
}

async fn devices(client: ClientId, State(state): State<ApiState>) -> ApiResult<Response> {
    let engine = state.engine();
    let mut devices = Vec::new();
    for kind in DeviceKind::ALL {
        let newest = PageRequest {
            from: PageFrom::Start,
            size: SHOWN,
        };
        for device in engine.list_devices(client, None, kind, newest).await?.items {
            devices.push(shown(&state, client, device).await);
        }
    }
    Ok(Json(Picture {
        now: wire(engine.now()),
        devices,
    })
    .into_response())
}

async fn shown(state: &ApiState, client: ClientId, device: Device) -> Shown {
    let id = device.id.to_string();
    Shown {
        kind: device.kind(),
        // A device that went away in between is shown this once more, without its why.
        freshness: state
            .engine()
            .freshness(client, device.kind(), &id)
            .await
            .ok(),
        device: device.current_document(),
    }
}

async fn stream(
    client: ClientId,
    State(state): State<ApiState>,
    headers: HeaderMap,
    args: QueryArgs,
) -> ApiResult<Response> {
    let resumed = events::resume_point(&headers, &args)?;
    let newest = state.engine().last_position(client).await?;
    // A page just opened shows what happened of late, as far as it is kept.
    let recent = Position((newest.0 - RECENT).max(0));
    let stream = match events::open_stream(&state, client, resumed.or(Some(recent))).await {
        Err(ApiError::EventsGone) => events::open_stream(&state, client, None).await?,
        stream => stream?,
    };
    Ok(stream.into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_renders() {
        let html = LivePage {
            base: "/b",
            kinds: DeviceKind::ALL,
        }
        .render()
        .unwrap();
        assert!(html.contains("/b/assets/live.js"));
        assert!(html.contains("vehicle"));
    }
}
