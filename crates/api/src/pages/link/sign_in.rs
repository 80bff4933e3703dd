//! Signing in: in a form, at the vendor's own page, or by setting up a device.

use std::collections::BTreeMap;

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
    response::Response,
};
use livewatt_domain::link::{LinkSession, LinkState};
use livewatt_engine::link::LinkStep;
use livewatt_vendors::{LinkInput, LinkProblem, Secret};

use super::{
    templates::{DevicePage, FailedPage, Field, FormPage, RedirectPage},
    visit::{Posted, Stop, Visit},
};
use crate::{
    error::{ApiError, LinkTrouble},
    extract::QueryArgs,
    pages::{Loads, page},
    state::ApiState,
};

/// Seconds between two looks whether a device has come.
const LOOK_AGAIN: u32 = 5;

/// `GET /link/{token}/sign-in`
pub(super) async fn begin(visit: Visit) -> Result<Response, Stop> {
    let session = visit.any_session().await?;
    if matches!(session.state, LinkState::Done { .. }) && visit.is_known_browser() {
        return Err(visit.go("/done"));
    }
    let session = visit.session_here().await?;
    if !session.progress.consented {
        return Err(visit.go(""));
    }
    if visit.chosen(&session).is_none() {
        return Err(visit.go("/vendor"));
    }
    step(&visit, &session, LinkInput::Begin, &BTreeMap::new()).await
}

/// `POST /link/{token}/sign-in`
pub(super) async fn submit(Posted { visit, request }: Posted) -> Result<Response, Stop> {
    let fields = visit.form(request, "sign-in").await?;
    let session = visit.session().await?;
    let secrets = fields
        .iter()
        .map(|(name, text)| (name.clone(), Secret::new(text.clone())));
    step(
        &visit,
        &session,
        LinkInput::Form(secrets.collect()),
        &fields,
    )
    .await
}

/// `GET /link/callback`: where vendors send the browser back to.
pub(super) async fn callback(
    State(state): State<ApiState>,
    args: QueryArgs,
    headers: HeaderMap,
) -> Result<Response, Stop> {
    let visit = Visit::of_callback(&state, &headers);
    if visit.token.is_empty() {
        return Err(visit.stop(LinkTrouble::OtherBrowser));
    }
    let session = visit.any_session().await?;
    // The same page loaded again.
    if matches!(session.state, LinkState::Done { .. }) {
        return Err(visit.go("/done"));
    }
    let session = visit.session().await?;
    step(
        &visit,
        &session,
        LinkInput::Callback(args.into_map()),
        &BTreeMap::new(),
    )
    .await
}

async fn step(
    visit: &Visit,
    session: &LinkSession,
    input: LinkInput,
    entered: &BTreeMap<String, String>,
) -> Result<Response, Stop> {
    let token = visit.token.clone();
    let taken = visit
        .state
        .to_the_end(|engine| async move { engine.link_step(&token, input).await })
        .await;
    let taken = taken.map_err(|error| match error {
        ApiError::Engine(error) => visit.failed(error),
        other => {
            other.log();
            visit.stop(LinkTrouble::Internal)
        }
    })?;
    let t = visit.texts_of(session);
    let can_choose = visit.state.engine().link_choices(session).len() > 1;
    match taken {
        LinkStep::Redirect(url) => {
            let shown = RedirectPage {
                f: visit.frame(session, t.redirect_title).await?,
                host: url.host_str().unwrap_or_default().to_owned(),
                url: url.into(),
            };
            Ok(page(StatusCode::OK, &shown, Loads::Styles))
        }
        LinkStep::Form { fields, problem } => {
            let fields = fields.into_iter().map(|field| {
                let before = entered.get(field.name);
                Field::of(field, before)
            });
            let shown = FormPage {
                f: visit.frame(session, t.form_title).await?,
                code: visit.form_code("sign-in"),
                fields: fields.collect(),
                problem,
            };
            Ok(page(StatusCode::OK, &shown, Loads::Styles))
        }
        LinkStep::Instructions { rows } => {
            let mut frame = visit.frame(session, t.device_title).await?;
            frame.refresh = Some((LOOK_AGAIN, "/sign-in"));
            let shown = DevicePage {
                f: frame,
                rows,
                can_choose,
            };
            Ok(page(StatusCode::OK, &shown, Loads::Styles))
        }
        LinkStep::Done => Err(visit.go("/done")),
        LinkStep::Failed(problem) => {
            let text = match problem {
                LinkProblem::Denied => t.denied,
                LinkProblem::VendorUnavailable => t.unavailable,
                LinkProblem::Mismatch => t.mismatch,
                LinkProblem::Unexpected(_) => t.unexpected,
            };
            let shown = FailedPage {
                f: visit.frame(session, t.failed_title).await?,
                text,
                can_choose,
            };
            Ok(page(StatusCode::OK, &shown, Loads::Styles))
        }
    }
}
