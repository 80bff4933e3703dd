//! Charging stations that connect to us: OCPP 1.6 over a WebSocket.
//!
//! The socket is here, its meaning in the engine: text frames go in and out through two channels.
//! A station proves itself by `Basic` authorization; nobody else learns which stations exist.

use std::time::Duration;

use axum::{
    extract::{
        FromRequestParts, Request, State,
        ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code},
    },
    response::Response,
};
use livewatt_domain::id::AccountId;
use livewatt_vendors::Secret;
use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval, timeout},
};

use crate::{
    attempts::{Door, address_of},
    error::{ApiError, ApiResult},
    extract::{PathArg, basic_credentials},
    state::ApiState,
};

const SUBPROTOCOL: &str = "ocpp1.6";
/// Largest frame and largest message, bytes: above what the session reads, so that it can answer a
/// station whose message is too long for it instead of losing the connection over it.
const MAX_FRAME: usize = 512 * 1024;
/// Between two pings.
const PING: Duration = Duration::from_secs(30);
/// A peer not heard of for so long is gone.
const SILENCE: Duration = Duration::from_secs(75);
/// Longest time to write a frame: a peer that does not read must not hold us up.
const WRITE: Duration = Duration::from_secs(20);
/// Frames waiting in either direction.
const QUEUE: usize = 16;
/// Longest ID of a station.
const MAX_STATION_ID: usize = 64;

/// `GET /ocpp/{stationId}`
pub(crate) async fn connect(
    State(state): State<ApiState>,
    PathArg(station_id): PathArg,
    request: Request,
) -> ApiResult<Response> {
    let (user, password) =
        basic_credentials(request.headers()).ok_or(ApiError::StationUnauthorized)?;
    if user != station_id || station_id.len() > MAX_STATION_ID || station_id.is_empty() {
        return Err(ApiError::StationUnauthorized);
    }
    let (mut parts, _) = request.into_parts();
    let attempts = state.attempts();
    let claim = attempts.claim(Door::Station, &station_id, &password, address_of(&parts));
    let engine = state.engine();
    let admission = attempts.admit(claim, || engine.now()).await?;
    let found = engine
        .authenticate_station(&station_id, Secret::new(password))
        .await;
    match &found {
        Ok(Some(_)) => admission.was_right(),
        Ok(None) => admission.was_wrong(engine.now()),
        Err(_) => admission.was_unknown(),
    }
    let account = found?.ok_or(ApiError::StationUnauthorized)?;
    let upgrade = WebSocketUpgrade::from_request_parts(&mut parts, &state)
        .await
        .map_err(|_| ApiError::Unreadable("This address speaks WebSocket only.".to_owned()))?
        .protocols([SUBPROTOCOL])
        .max_frame_size(MAX_FRAME)
        .max_message_size(MAX_FRAME)
        .max_write_buffer_size(4 * MAX_FRAME);
    if upgrade.selected_protocol().is_none() {
        return Err(ApiError::Unreadable(format!(
            "The subprotocol must be {SUBPROTOCOL}, and be asked for."
        )));
    }
    Ok(upgrade.on_upgrade(move |socket| serve(state, account, station_id, socket)))
}

/// Moves frames until the station, the engine or the server has had enough.
async fn serve(state: ApiState, account: AccountId, station_id: String, mut socket: WebSocket) {
    let (to_engine, inbound) = mpsc::channel(QUEUE);
    let (outbound, mut from_engine) = mpsc::channel(QUEUE);
    let engine = state.engine().clone();
    tokio::spawn(engine.serve_station(account, station_id, inbound, outbound));
    let stop = state.options().stop.clone();
    let mut pings = interval(PING);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut heard_at = Instant::now();
    let mut permit = None;
    let code = loop {
        tokio::select! {
            // Read only what the engine has room for. Waiting for room while a frame is in hand
            // would stop the other direction too, and the engine could be waiting for that.
            room = to_engine.reserve(), if permit.is_none() => match room {
                Ok(room) => {
                    permit = Some(room);
                    heard_at = Instant::now();
                }
                Err(_) => break close_code::NORMAL,
            },
            frame = socket.recv(), if permit.is_some() => {
                heard_at = Instant::now();
                match frame {
                    Some(Ok(Message::Text(text))) => {
                        if let Some(room) = permit.take() {
                            room.send(text.as_str().to_owned());
                        }
                    }
                    Some(Ok(Message::Binary(_))) => break close_code::UNSUPPORTED,
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                    // The peer has closed, or the connection broke: nothing is left to say.
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                }
            }
            frame = from_engine.recv() => match frame {
                Some(text) => {
                    if !write(&mut socket, Message::text(text)).await {
                        return;
                    }
                }
                None => break close_code::NORMAL,
            },
            _ = pings.tick() => {
                if (permit.is_some() && heard_at.elapsed() > SILENCE)
                    || !write(&mut socket, Message::Ping(bytes::Bytes::new())).await
                {
                    return;
                }
            }
            () = stop.cancelled() => break close_code::AWAY,
        }
    };
    let close = CloseFrame {
        code,
        reason: "".into(),
    };
    write(&mut socket, Message::Close(Some(close))).await;
}

/// Writes a frame; false if the peer does not take it.
async fn write(socket: &mut WebSocket, message: Message) -> bool {
    matches!(timeout(WRITE, socket.send(message)).await, Ok(Ok(())))
}
