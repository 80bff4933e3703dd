//! A server without a socket, and what is asked of it.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use axum::{
    Router,
    body::{Body, to_bytes},
    http::{HeaderMap, Method, Request, StatusCode, header},
};
use livewatt_api::{ApiOptions, router};
use livewatt_domain::{
    cadence::CadencePolicy,
    clock::ManualClock,
    device::{VendorDevice, Via, vehicle},
    fact::{Completeness, Observation},
    id::ClientId,
    kind::DeviceKind,
    scope::Scope,
};
use livewatt_engine::{Engine, EngineOptions, EngineParts, SystemEntropy, Vault};
use livewatt_store::{SqliteOptions, SqliteStore};
use livewatt_vendors::{
    AccountContext, AccountOutcome, Brand, FormField, FormFieldKind, Harvest, Inventory,
    LinkContext, LinkInput, LinkOutcome, LinkProblem, LinkedAccount, Manifest, ReadShape,
    RefreshOutcome, Registry, Secret, Vendor, Wanted, ocpp::Ocpp,
};
use serde_json::Value;
use tempfile::TempDir;
use tower::ServiceExt as _;

pub(crate) const PASSWORD: &str = "hunter2";

/// A made-up vendor of vehicles: with a form (`TESLA`) or with a page of its own (`BMW`).
#[derive(Debug)]
struct MadeUp {
    manifest: Manifest,
    has_form: bool,
}

impl MadeUp {
    fn shared(id: &'static str, vendor: &'static str, has_form: bool) -> Arc<dyn Vendor> {
        let manifest = Manifest {
            id,
            brands: vec![Brand {
                vendor,
                display_name: format!("Brand {vendor}"),
                portal_name: format!("My {vendor}"),
                kinds: vec![DeviceKind::Vehicle],
            }],
            is_one_brand_per_account: true,
            reads: ReadShape::WholeAccount,
            actions: livewatt_domain::action::Timing::default(),
            cadence: CadencePolicy {
                shortest: None,
                reconcile: None,
            },
            budgets: Vec::new(),
            scopes: vec![Scope::VehicleReadData, Scope::VehicleReadLocation],
        };
        Arc::new(Self { manifest, has_form })
    }

    fn form(problem: Option<&str>) -> LinkOutcome {
        let field = |name, label, kind| FormField {
            name,
            label,
            kind,
            autocomplete: "off",
        };
        LinkOutcome::Form {
            fields: vec![
                field("email", "Email", FormFieldKind::Email),
                field("password", "Password", FormFieldKind::Password),
            ],
            problem: problem.map(str::to_owned),
        }
    }
}

#[async_trait]
impl Vendor for MadeUp {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    async fn link(
        &self,
        cx: LinkContext<'_>,
        input: LinkInput,
    ) -> Result<LinkOutcome, LinkProblem> {
        let account = |name: &str| {
            LinkOutcome::Done(LinkedAccount {
                vendor_account_id: name.to_owned(),
                credentials: Secret::new("token".to_owned()),
            })
        };
        match input {
            LinkInput::Begin if self.has_form => Ok(Self::form(None)),
            LinkInput::Begin => {
                let mut url: url::Url = "https://login.brand.example/authorize".parse().unwrap();
                url.query_pairs_mut()
                    .append_pair("redirect_uri", cx.callback_url.as_str());
                let memory = Secret::new("state-1".to_owned());
                Ok(LinkOutcome::Redirect { url, memory })
            }
            LinkInput::Form(fields) => {
                let given = |name| fields.get(name).map(|s| s.reveal().to_owned());
                match given("password").as_deref() {
                    Some(PASSWORD) => Ok(account(&given("email").unwrap_or_default())),
                    _ => Ok(Self::form(Some("Wrong e-mail address or password"))),
                }
            }
            LinkInput::Callback(query) => match query.get("state").map(String::as_str) {
                _ if query.contains_key("error") => Err(LinkProblem::Denied),
                Some("state-1") if cx.memory.is_some() => Ok(account("by-callback")),
                _ => Err(LinkProblem::Mismatch),
            },
        }
    }

    async fn refresh(&self, _: AccountContext<'_>) -> RefreshOutcome {
        RefreshOutcome::Failed(AccountOutcome::Unreachable("never asked".to_owned()))
    }

    async fn read(&self, cx: AccountContext<'_>, _: &Wanted) -> Harvest {
        let now = cx.clock.now();
        let car = VendorDevice {
            kind: DeviceKind::Vehicle,
            id: format!("car of {}", cx.vendor_account_id),
        };
        let mut seen = Observation::new(car.clone(), Completeness::Complete, Via::Poll, now, now);
        seen.tell(vehicle::BATTERY_LEVEL, Some(61.0), None);
        Harvest {
            observations: vec![seen],
            inventory: Some(Inventory::Complete(vec![car])),
            ..Harvest::barren(AccountOutcome::Ok)
        }
    }
}

/// A running API without a socket.
pub(crate) struct Api {
    pub(crate) router: Router,
    pub(crate) engine: Arc<Engine>,
    pub(crate) clock: ManualClock,
    pub(crate) client: ClientId,
    pub(crate) secret: Secret,
    /// Access token of the client.
    pub token: String,
    _directory: TempDir,
}

/// What was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }

    pub(crate) fn header(&self, name: impl header::AsHeaderName) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// The value of the first `name="…"` after `from`.
    #[track_caller]
    pub(crate) fn attribute(&self, from: &str, name: &str) -> String {
        let start = self
            .body
            .find(from)
            .unwrap_or_else(|| panic!("no {from} in {}", self.body));
        let rest = &self.body[start..];
        let start = rest
            .find(&format!("{name}=\""))
            .expect("the attribute is there");
        let rest = &rest[start + name.len() + 2..];
        rest[..rest.find('"').expect("it ends")]
            .replace("&amp;", "&")
            .replace("&#38;", "&")
    }
}

impl Api {
    pub(crate) async fn start() -> Self {
        Self::start_with(ApiOptions::default()).await
    }

    pub(crate) async fn start_with(options: ApiOptions) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clock = ManualClock::starting_at("2024-06-01T12:00:00Z".parse().unwrap());
        let entropy = Arc::new(SystemEntropy);
        let vault = Vault::from_text(&Vault::generate_key(entropy.as_ref())).unwrap();
        let engine = Engine::start(EngineParts {
            store: Arc::new(SqliteStore::open(&SqliteOptions::new(directory.path())).unwrap()),
            vendors: Registry::new(vec![
                MadeUp::shared("form", "TESLA", true),
                MadeUp::shared("page", "BMW", false),
                Arc::new(Ocpp),
            ]),
            clock: Arc::new(clock.clone()),
            entropy,
            vault,
            options: EngineOptions::new("https://energy.example".parse().unwrap()),
        })
        .await
        .unwrap();
        let (client, secret) = engine.create_client("Sunny app", None).await.unwrap();
        let issued = engine
            .issue_token(&client.id.to_string(), secret.clone())
            .await
            .unwrap()
            .unwrap();
        let options = ApiOptions {
            live_client: Some(client.id),
            ..options
        };
        Self {
            router: router(engine.clone(), options),
            engine,
            clock,
            client: client.id,
            secret,
            token: issued.token.reveal().to_owned(),
            _directory: directory,
        }
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, 10 * 1024 * 1024).await.unwrap();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body: String::from_utf8(bytes.to_vec()).unwrap(),
        }
    }

    /// Calls as the client.
    pub(crate) async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token));
        let request = match body {
            Some(body) => request
                .header(header::CONTENT_TYPE, "application/json")
                .body(Body::from(body.to_string())),
            None => request.body(Body::empty()),
        };
        self.send(request.unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.call(Method::POST, path, Some(body)).await
    }
}

/// A browser on the pages of linking: keeps the cookie, follows redirects on this server.
pub(crate) struct Browser<'a> {
    pub(crate) api: &'a Api,
    pub(crate) cookie: Option<String>,
    pub(crate) languages: &'static str,
}

impl<'a> Browser<'a> {
    pub(crate) fn of(api: &'a Api) -> Self {
        Self {
            api,
            cookie: None,
            languages: "en",
        }
    }

    pub(crate) async fn open(&mut self, address: &str) -> Answer {
        self.go(Method::GET, address, Body::empty()).await
    }

    /// Sends the form of a page: its hidden code and these fields.
    pub(crate) async fn submit(
        &mut self,
        page: &Answer,
        action: &str,
        fields: &[(&str, &str)],
    ) -> Answer {
        let code = page.attribute("name=\"code\"", "value");
        let form = page.attribute("method=\"post\"", "action");
        assert!(form.ends_with(action), "{form} is not {action}");
        let fields: BTreeMap<&str, &str> = fields
            .iter()
            .copied()
            .chain([("code", code.as_str())])
            .collect();
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        self.go(Method::POST, &form, Body::from(body)).await
    }

    async fn go(&mut self, method: Method, address: &str, body: Body) -> Answer {
        let mut request = Some((method, address.to_owned(), body));
        loop {
            let (method, address, body) = request.take().expect("one at a time");
            let path = address.trim_start_matches("https://energy.example");
            let mut built = Request::builder()
                .method(method)
                .uri(path)
                .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                .header(header::ACCEPT_LANGUAGE, self.languages);
            if let Some(cookie) = &self.cookie {
                built = built.header(header::COOKIE, cookie);
            }
            let answer = self.api.send(built.body(body).unwrap()).await;
            if let Some(cookie) = answer.headers.get(header::SET_COOKIE) {
                let pair = cookie.to_str().unwrap().split(';').next().unwrap();
                self.cookie = Some(pair.to_owned());
            }
            let location = answer.header(header::LOCATION).to_owned();
            if answer.status == StatusCode::SEE_OTHER && location.starts_with('/') {
                request = Some((Method::GET, location, Body::empty()));
            } else {
                return answer;
            }
        }
    }
}
