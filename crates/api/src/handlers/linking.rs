//! Link and relink sessions.

use axum::{Json, extract::State};
use livewatt_domain::{kind::DeviceKind, scope::Scope};
use livewatt_engine::{
    EngineError, Issue,
    link::{LinkRequest, LinkStarted},
};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::{
    error::{ApiError, ApiResult},
    extract::{Caller, Fields, FromField, JsonBody, PathArg, Payload, user_arg},
    state::ApiState,
};

/// Languages that may be asked for; those without texts of their own are shown in English.
pub(crate) const LANGUAGES: [&str; 19] = [
    "browser", "da-DK", "de-DE", "en-US", "en-GB", "es-ES", "fi-FI", "fr-FR", "it-IT", "ja-JP",
    "lv-LV", "lt-LT", "nb-NO", "nl-NL", "nl-BE", "pl-PL", "pt-PT", "ro-RO", "sv-SE",
];

/// What to link, and how to ask for it.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct LinkUserPayload {
    /// What to ask consent for; without `<type>:read:data` no device of a type is linked.
    #[schema(min_items = 1)]
    scopes: Vec<Scope>,
    /// Language of the pages; `browser` is that of the browser.
    #[schema(value_type = Language)]
    language: Language,
    /// Where the browser goes at the end.
    #[schema(format = "uri", max_length = 500)]
    redirect_uri: String,
    /// Skips the choice of a brand.
    #[schema(nullable = false)]
    vendor: Option<String>,
    /// Restricts the choice to one kind of device.
    #[schema(nullable = false)]
    vendor_type: Option<DeviceKind>,
    /// Colours of the pages; `system` if absent.
    #[schema(nullable = false)]
    color_scheme: Option<ColorScheme>,
}

/// How to ask for linking again.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct RelinkUserPayload {
    /// Language of the pages; `browser` is that of the browser.
    language: Language,
    /// Where the browser goes at the end.
    #[schema(format = "uri", max_length = 500)]
    redirect_uri: String,
    /// Colours of the pages; `system` if absent.
    #[schema(nullable = false)]
    color_scheme: Option<ColorScheme>,
}

/// Language of the pages of linking.
#[derive(Debug)]
pub(crate) struct Language(&'static str);

impl utoipa::ToSchema for Language {}
impl utoipa::PartialSchema for Language {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        crate::openapi::text_enum("Language of the pages of linking.", &LANGUAGES)
    }
}

/// Colours of the pages of linking.
#[derive(Debug, Clone, Copy, ToSchema)]
#[schema(rename_all = "lowercase")]
pub(crate) enum ColorScheme {
    /// What the device prefers.
    System,
    /// Dark on light.
    Light,
    /// Light on dark.
    Dark,
}

impl ColorScheme {
    const fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }
}

/// A link session just made.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LinkUserResponse {
    /// For the user's browser.
    link_url: String,
    /// For an app; stands for the same session.
    link_token: String,
}

impl From<LinkStarted> for LinkUserResponse {
    fn from(started: LinkStarted) -> Self {
        Self {
            link_url: started.link_url,
            link_token: started.link_token,
        }
    }
}

impl FromField for Language {
    fn from_field(value: Value, path: &str, issues: &mut Vec<Issue>) -> Option<Self> {
        let text = value.as_str().unwrap_or_default();
        let known = LANGUAGES.into_iter().find(|known| *known == text);
        if known.is_none() {
            issues.push(Issue::new(
                path,
                format!("must be one of {}", LANGUAGES.join(", ")),
            ));
        }
        known.map(Self)
    }
}

impl FromField for ColorScheme {
    fn from_field(value: Value, path: &str, issues: &mut Vec<Issue>) -> Option<Self> {
        let text = value.as_str().unwrap_or_default();
        let known = [Self::System, Self::Light, Self::Dark]
            .into_iter()
            .find(|known| known.name() == text);
        if known.is_none() {
            issues.push(Issue::new(path, "must be system, light or dark"));
        }
        known
    }
}

impl Payload for LinkUserPayload {
    fn read(fields: &mut Fields) -> Option<Self> {
        let scopes = fields.required("scopes");
        let language = fields.required("language");
        let redirect_uri = fields.required("redirectUri");
        let vendor = fields.optional("vendor");
        let vendor_type = fields.optional("vendorType");
        let color_scheme = fields.optional("colorScheme");
        Some(Self {
            scopes: scopes?,
            language: language?,
            redirect_uri: redirect_uri?,
            vendor,
            vendor_type,
            color_scheme,
        })
    }
}

impl Payload for RelinkUserPayload {
    fn read(fields: &mut Fields) -> Option<Self> {
        let language = fields.required("language");
        let redirect_uri = fields.required("redirectUri");
        let color_scheme = fields.optional("colorScheme");
        Some(Self {
            language: language?,
            redirect_uri: redirect_uri?,
            color_scheme,
        })
    }
}

fn scheme_name(scheme: Option<ColorScheme>) -> String {
    scheme.unwrap_or(ColorScheme::System).name().to_owned()
}

/// `POST /users/{userId}/link`
pub(crate) async fn link(
    State(state): State<ApiState>,
    caller: Caller,
    PathArg(user): PathArg,
    JsonBody(payload): JsonBody<LinkUserPayload>,
) -> ApiResult<Json<LinkUserResponse>> {
    let request = LinkRequest {
        scopes: payload.scopes,
        language: payload.language.0.to_owned(),
        redirect_uri: payload.redirect_uri,
        vendor: payload.vendor,
        kind: payload.vendor_type,
        color_scheme: scheme_name(payload.color_scheme),
    };
    let user = user_arg(user)?;
    match state
        .engine()
        .create_link_session(caller.client_id, user, request)
        .await
    {
        Ok(started) => Ok(Json(started.into())),
        Err(EngineError::ConnectionLimit) => Err(ApiError::ConnectionLimit(caller.client_id)),
        Err(error) => Err(error.into()),
    }
}

/// `POST /assets/{assetId}/relink`
pub(crate) async fn relink(
    State(state): State<ApiState>,
    caller: Caller,
    PathArg(asset): PathArg,
    JsonBody(payload): JsonBody<RelinkUserPayload>,
) -> ApiResult<Json<LinkUserResponse>> {
    let started = state
        .engine()
        .create_relink_session(
            caller.client_id,
            &asset,
            payload.language.0.to_owned(),
            payload.redirect_uri,
            scheme_name(payload.color_scheme),
        )
        .await?;
    Ok(Json(started.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_payload_is_read_and_its_defaults_are_those_of_the_contract() {
        let json =
            br#"{"scopes":["vehicle:read:data"],"language":"browser","redirectUri":"a://b"}"#;
        let payload = Fields::parse::<LinkUserPayload>(json).unwrap();
        assert_eq!(payload.language.0, "browser");
        assert_eq!(scheme_name(payload.color_scheme), "system");
        let issues = Fields::parse::<LinkUserPayload>(
            br#"{"scopes":"x","language":"xx","redirectUri":1,"colorScheme":"red","user":2}"#,
        )
        .unwrap_err();
        let paths: Vec<&str> = issues.iter().map(|issue| issue.path.as_str()).collect();
        assert_eq!(
            paths,
            ["scopes", "language", "redirectUri", "colorScheme", "user"]
        );
    }
}
