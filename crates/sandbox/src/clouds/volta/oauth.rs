//! Volta's login: OAuth2 authorization code with PKCE. The user's browser meets `show_login` and
//! `decide`; the app's server meets `token`.

use std::sync::Arc;

use axum::{
    body::Bytes,
    extract::{Query, State},
    http::{StatusCode, header},
    response::{Html, IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest, Sha256};
use url::Url;

use crate::{
    clouds::{
        Cloud, Refusal,
        gate::{self, Reply},
        login,
        volta::{call, page},
    },
    config::OAuthClient,
    server::Shared,
    world::{World, tokens::Grant},
};

/// What an app asks for.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Ask {
    pub(crate) response_type: String,
    pub(crate) client_id: String,
    pub(crate) redirect_uri: String,
    pub(crate) state: String,
    pub(crate) code_challenge: String,
    pub(crate) code_challenge_method: String,
    pub(crate) scope: String,
}

/// What the user answers.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Answer {
    email: String,
    password: String,
    decision: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct TokenForm {
    grant_type: String,
    client_id: String,
    client_secret: String,
    code: String,
    redirect_uri: String,
    code_verifier: String,
    refresh_token: String,
}

pub(crate) async fn show_login(
    State(shared): State<Arc<Shared>>,
    Query(ask): Query<Ask>,
) -> Response {
    if let Err(refusal) = gate::pass_login(&shared, &call("authorize"), None).await {
        return gate::refuse(Cloud::Volta, &refusal);
    }
    match check(&shared, &ask) {
        Ok((client, _)) => {
            Html(page::login(&client, &ask, "", &users(&shared), None)).into_response()
        }
        Err(response) => *response,
    }
}

pub(crate) async fn decide(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    let ask: Ask = form(&body);
    let answer: Answer = form(&body);
    let (client, redirect) = match check(&shared, &ask) {
        Ok(checked) => checked,
        Err(response) => return *response,
    };
    if answer.decision != "allow" {
        return send_back(redirect, &ask.state, "error", "access_denied");
    }
    let account = shared
        .world()
        .find_account(Cloud::Volta, &answer.email)
        .map(|a| a.id.clone());
    let passed = gate::pass_login(&shared, &call("authorize"), account.as_deref()).await;
    if let Err(refusal) = passed {
        return gate::refuse(Cloud::Volta, &refusal);
    }
    let code = {
        let mut world = shared.world();
        login::check_password(&mut world, Cloud::Volta, &answer.email, &answer.password).map(
            |account| {
                // Who signs in anew leaves all boxes ticked.
                if let Some(owner) = world.accounts.get_mut(&account) {
                    owner.forbids_commands = false;
                }
                let grant = Grant {
                    account,
                    client: Some(client.client_id.clone()),
                };
                world
                    .tokens
                    .issue_code(grant, &ask.redirect_uri, &ask.code_challenge)
            },
        )
    };
    match code {
        Ok(code) => send_back(redirect, &ask.state, "code", &code),
        Err(_) => {
            let sorry = Some("That e-mail and password do not fit together.");
            let page = page::login(&client, &ask, &answer.email, &users(&shared), sorry);
            (StatusCode::UNAUTHORIZED, Html(page)).into_response()
        }
    }
}

pub(crate) async fn token(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    let form: TokenForm = form(&body);
    let account = shared
        .world()
        .tokens
        .refresh(&form.refresh_token)
        .map(|grant| grant.account);
    gate::serve_login(&shared, call("token"), account, |world| {
        exchange(world, &form)
    })
    .await
}

fn exchange(world: &mut World, form: &TokenForm) -> Result<Reply, Refusal> {
    let known = world.clients.iter().any(|client| {
        client.client_id == form.client_id && client.client_secret == form.client_secret
    });
    if !known {
        return Err(Refusal::OAuth(401, "invalid_client"));
    }
    let grant = match form.grant_type.as_str() {
        "authorization_code" => redeem(world, form)?,
        "refresh_token" => {
            let grant = login::check_refresh(world, Cloud::Volta, &form.refresh_token)?;
            if grant.client.as_ref() != Some(&form.client_id) {
                return Err(Refusal::BadLogin);
            }
            world.tokens.drop_refresh(&form.refresh_token);
            grant
        }
        "" => return Err(Refusal::OAuth(400, "invalid_request")),
        _ => return Err(Refusal::OAuth(400, "unsupported_grant_type")),
    };
    let account = grant.account.clone();
    if form.grant_type == "authorization_code" {
        let now = world.now();
        if let Some(account) = world.accounts.get_mut(&account) {
            account.stats.count("token", now);
        }
    }
    let tokens = login::grant(world, Cloud::Volta, grant);
    Reply::ok(json!({
        "access_token": tokens.access_token,
        "refresh_token": tokens.refresh_token,
        "token_type": "Bearer",
        "expires_in": tokens.expires_in,
        "account_id": account,
    }))
}

fn redeem(world: &mut World, form: &TokenForm) -> Result<Grant, Refusal> {
    let code = world
        .tokens
        .take_code(&form.code)
        .ok_or(Refusal::BadLogin)?;
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(form.code_verifier.as_bytes()));
    let fits = code.grant.client.as_ref() == Some(&form.client_id)
        && code.redirect_uri == form.redirect_uri
        && code.challenge == challenge;
    if fits {
        Ok(code.grant)
    } else {
        Err(Refusal::BadLogin)
    }
}

/// The client and where to send the user back, or the response that says what is wrong.
fn check(shared: &Shared, ask: &Ask) -> Result<(OAuthClient, Url), Box<Response>> {
    let stop =
        |why: &str| Box::new((StatusCode::BAD_REQUEST, Html(page::error(why))).into_response());
    let client = {
        let world = shared.world();
        world
            .clients
            .iter()
            .find(|client| client.client_id == ask.client_id)
            .cloned()
    };
    let client = client.ok_or_else(|| stop("This app is not registered with Volta."))?;
    let redirect = Url::parse(&ask.redirect_uri)
        .ok()
        .filter(|url| may_redirect(&client, &ask.redirect_uri, url))
        .ok_or_else(|| stop("This app wants to send you to an address it has not registered."))?;
    let complete = ask.response_type == "code"
        && !ask.state.is_empty()
        && ask.code_challenge_method == "S256"
        && ask.code_challenge.len() == 43;
    if complete {
        Ok((client, redirect))
    } else {
        Err(Box::new(send_back(
            redirect,
            &ask.state,
            "error",
            "invalid_request",
        )))
    }
}

fn may_redirect(client: &OAuthClient, given: &str, url: &Url) -> bool {
    if client.redirect_uris.is_empty() {
        let loopback = ["localhost", "127.0.0.1", "[::1]"];
        url.scheme() == "http" && url.host_str().is_some_and(|host| loopback.contains(&host))
    } else {
        client.redirect_uris.iter().any(|allowed| allowed == given)
    }
}

fn send_back(mut redirect: Url, state: &str, key: &str, value: &str) -> Response {
    redirect.query_pairs_mut().append_pair(key, value);
    if !state.is_empty() {
        redirect.query_pairs_mut().append_pair("state", state);
    }
    (
        StatusCode::SEE_OTHER,
        [(header::LOCATION, String::from(redirect))],
    )
        .into_response()
}

/// A form body; what is not there is empty, and so refused where it is needed.
fn form<T: for<'de> Deserialize<'de> + Default>(body: &Bytes) -> T {
    let pairs = url::form_urlencoded::parse(body)
        .map(|(key, value)| (key.into_owned(), json!(value)))
        .collect();
    serde_json::from_value(serde_json::Value::Object(pairs)).unwrap_or_default()
}

/// Users to name on the login page.
fn users(shared: &Shared) -> Vec<(String, String)> {
    const SHOWN: usize = 5;
    let world = shared.world();
    let volta = world
        .accounts
        .values()
        .filter(|account| account.cloud == Cloud::Volta);
    volta
        .take(SHOWN)
        .map(|a| (a.username.clone(), a.password.clone()))
        .collect()
}
