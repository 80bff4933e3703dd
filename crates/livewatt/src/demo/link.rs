//! Linking sandbox accounts without a browser: the steps a user would take.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use livewatt_domain::{
    id::{ClientId, UserId},
    scope::Scope,
};
use livewatt_engine::{
    Engine,
    link::{LinkRequest, LinkStep},
};
use livewatt_vendors::{LinkInput, Secret};
use url::Url;

/// An account of the sandbox.
#[derive(Debug, Clone)]
pub struct SandboxAccount {
    /// The integration.
    pub integration: &'static str,
    /// The vendor name to choose.
    pub vendor: &'static str,
    /// User name or e-mail.
    pub username: String,
    /// Password.
    pub password: String,
}

/// A cloud of the sandbox with its demo account.
#[derive(Debug, Clone, Copy)]
pub struct Cloud {
    /// The integration.
    pub integration: &'static str,
    /// The vendor name to choose.
    pub vendor: &'static str,
    /// User name of the demo account.
    pub username: &'static str,
}

/// The clouds of the sandbox.
pub const CLOUDS: [Cloud; 3] = [
    Cloud {
        integration: "volta",
        vendor: "TESLA",
        username: "demo@volta.example",
    },
    Cloud {
        integration: "rivoli",
        vendor: "RENAULT",
        username: "demo@rivoli.example",
    },
    Cloud {
        integration: "helios",
        vendor: "SOLAREDGE",
        username: "demo@helios.example",
    },
];

impl From<&Cloud> for SandboxAccount {
    fn from(cloud: &Cloud) -> Self {
        Self {
            integration: cloud.integration,
            vendor: cloud.vendor,
            username: cloud.username.to_owned(),
            password: "demo".to_owned(),
        }
    }
}

/// Links an account of the sandbox for a user.
///
/// # Errors
/// If the account cannot be linked.
pub async fn link(
    engine: &Engine,
    client: ClientId,
    user: &UserId,
    account: impl Into<SandboxAccount>,
) -> anyhow::Result<()> {
    let account = account.into();
    let request = LinkRequest {
        scopes: Scope::ALL.to_vec(),
        language: "en-US".to_owned(),
        redirect_uri: "https://example.com/linked".to_owned(),
        vendor: None,
        kind: None,
        color_scheme: "system".to_owned(),
    };
    let session = engine
        .create_link_session(client, user.clone(), request)
        .await?;
    let token = session.link_token;
    walk(engine, &token, &account).await
}

/// Walks a link session to its end.
///
/// # Errors
/// If the account cannot be linked.
pub async fn walk(engine: &Engine, token: &str, account: &SandboxAccount) -> anyhow::Result<()> {
    engine.link_consent(token).await?;
    engine
        .link_choose(token, account.integration, account.vendor)
        .await?;
    let mut input = LinkInput::Begin;
    // Begin, and one answer to whatever was asked.
    for _ in 0..2 {
        input = match engine.link_step(token, input).await? {
            LinkStep::Done => return Ok(()),
            LinkStep::Redirect(url) => LinkInput::Callback(sign_in(url, account).await?),
            LinkStep::Form {
                fields,
                problem: None,
            } => {
                let names = fields.iter().map(|field| field.name);
                let values = [&account.username, &account.password];
                let filled = names.zip(values.map(|value| Secret::new(value.clone())));
                LinkInput::Form(
                    filled
                        .map(|(name, value)| (name.to_owned(), value))
                        .collect(),
                )
            }
            LinkStep::Form {
                problem: Some(problem),
                ..
            } => bail!("the vendor says: {problem}"),
            LinkStep::Instructions { .. } => bail!("a device would have to come"),
            LinkStep::Failed(problem) => bail!("signing in failed: {problem}"),
        };
    }
    match engine.link_step(token, input).await? {
        LinkStep::Done => Ok(()),
        LinkStep::Form { problem, .. } => bail!("the vendor says: {}", problem.unwrap_or_default()),
        step => bail!("signing in did not end: {step:?}"),
    }
}

/// Fills in the vendor's login page and returns what it sends back with the browser.
async fn sign_in(url: Url, account: &SandboxAccount) -> anyhow::Result<BTreeMap<String, String>> {
    let http = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .context("no HTTP client")?;
    let mut form: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    form.push(("email".to_owned(), account.username.clone()));
    form.push(("password".to_owned(), account.password.clone()));
    form.push(("decision".to_owned(), "allow".to_owned()));
    let mut page = url;
    page.set_query(None);
    let response = http.post(page).form(&form).send().await?;
    let location = response
        .headers()
        .get("location")
        .and_then(|value| value.to_str().ok())
        .with_context(|| format!("the login page answered {}", response.status()))?;
    Ok(Url::parse(location)?.query_pairs().into_owned().collect())
}
