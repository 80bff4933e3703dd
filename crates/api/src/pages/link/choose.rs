//! The choice of a brand.

use axum::{http::StatusCode, response::Response};
use livewatt_domain::kind::DeviceKind;
use livewatt_engine::link::LinkChoice;

use super::{
    templates::ChoosePage,
    visit::{Posted, Stop, Visit},
};
use crate::{
    error::LinkTrouble,
    extract::QueryArgs,
    pages::{Loads, page},
};

/// Longest search.
const MAX_QUERY: usize = 64;

/// `GET /link/{token}/vendor?q=&kind=`. With the brand fixed by the app and one way to it, there is
/// nothing to choose.
pub(super) async fn show(visit: Visit, args: QueryArgs) -> Result<Response, Stop> {
    let session = visit.session_here().await?;
    if !session.progress.consented {
        return Err(visit.go(""));
    }
    let engine = visit.state.engine();
    let mut choices = engine.link_choices(&session);
    if session.vendor.is_some()
        && let [only] = choices.as_slice()
    {
        engine
            .link_choose(&visit.token, only.integration, only.vendor)
            .await
            .map_err(|error| visit.failed(error))?;
        return Err(visit.go("/sign-in"));
    }
    let args = args.into_map();
    let query: String = args
        .get("q")
        .map(|q| q.trim().chars().take(MAX_QUERY).collect())
        .unwrap_or_default();
    let kind: Option<DeviceKind> = args.get("kind").and_then(|kind| kind.parse().ok());
    let all = choices.len();
    choices.retain(|choice| fits(choice, &query, kind));
    choices.sort_by_key(|choice| choice.display_name.to_lowercase());
    let chosen = ChoosePage {
        f: visit
            .frame(&session, visit.texts_of(&session).choose_title)
            .await?,
        code: visit.form_code("vendor"),
        query,
        kind,
        kinds: session.kinds(),
        is_filtered: choices.len() < all,
        choices,
    };
    Ok(page(StatusCode::OK, &chosen, Loads::Styles))
}

/// `POST /link/{token}/vendor`
pub(super) async fn choose(Posted { visit, request }: Posted) -> Result<Response, Stop> {
    let mut fields = visit.form(request, "vendor").await?;
    let chosen = fields.remove("choice").unwrap_or_default();
    let Some((integration, vendor)) = chosen.split_once('/') else {
        return Err(visit.stop(LinkTrouble::Unreadable));
    };
    let engine = visit.state.engine();
    engine
        .link_choose(&visit.token, integration, vendor)
        .await
        .map_err(|error| visit.failed(error))?;
    Err(visit.go("/sign-in"))
}

fn fits(choice: &LinkChoice, query: &str, kind: Option<DeviceKind>) -> bool {
    let query = query.to_lowercase();
    let names = [
        choice.display_name.as_str(),
        &choice.portal_name,
        choice.vendor,
    ];
    kind.is_none_or(|kind| choice.kinds.contains(&kind))
        && names
            .iter()
            .any(|name| name.to_lowercase().contains(&query))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brands_are_found_by_any_of_their_names() {
        let choice = LinkChoice {
            integration: "acme",
            vendor: "ACME_SOLAR",
            display_name: "Ácme".to_owned(),
            portal_name: "My Acme".to_owned(),
            kinds: vec![DeviceKind::Inverter],
        };
        for query in ["", "ác", "my", "_sol"] {
            assert!(fits(&choice, query, None), "{query}");
        }
        assert!(!fits(&choice, "other", None));
        assert!(!fits(&choice, "", Some(DeviceKind::Vehicle)));
        assert!(fits(&choice, "", Some(DeviceKind::Inverter)));
    }
}
