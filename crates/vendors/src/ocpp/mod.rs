//! OCPP 1.6J: charge points that connect to us, whatever their brand.
//!
//! Here the usual roles are turned round: the device is the client, we are its central system.
//! Nothing is ever polled; linking means showing the user an address, a charge point ID and a
//! password to enter in the charger, and the account is that one station.
//!
//! [`Session`] is everything that happens on one WebSocket connection, without the socket: text
//! frames and times go in, frames to send and observations come out. Whoever owns the socket checks
//! [`password_matches`] first, carries frames to and fro, calls [`Session::tick`] about once a
//! second, and feeds [`Step::observations`] to the merge.
//!
//! Rules:
//! - Strict in what is sent, lenient in what is accepted: a charger that is refused reconnects and
//!   repeats itself forever.
//! - The state of a connector is what its last StatusNotification said and nothing else: neither
//!   StopTransaction nor the answer to a command says that a plug was pulled or that power flows.
//! - The order of arrival within a session is the order of truth; a station's clock may only add
//!   when something was so, never make a newer word lose against an older one.

mod connector;
mod convert;
mod order;
mod outbox;
mod session;
mod station;
mod wire;

#[cfg(test)]
mod tests;

use std::sync::LazyLock;

use async_trait::async_trait;
use livewatt_domain::{
    action::Timing, cadence::CadencePolicy, entropy::Entropy, kind::DeviceKind, scope::Scope,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use url::Url;

use crate::{
    harvest::{AccountOutcome, Harvest},
    link::{Credentials, LinkInput, LinkOutcome, LinkProblem, LinkedAccount},
    manifest::{Brand, Manifest, ReadShape},
    secret::Secret,
    vendor::{AccountContext, LinkContext, RefreshOutcome, Vendor, Wanted},
};

pub use order::told;
pub use outbox::CallFailure;
pub use session::{Answer, Session, Step};

/// Chargers that speak OCPP. One account is one charge point.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ocpp;

/// Brands whose chargers can be pointed at a central system of the owner's choice.
/// Alfen's can too, but its name was added to the contract later: clients of before refuse every
/// answer that holds it.
const BRANDS: [(&str, &str); 11] = [
    ("EASEE", "Easee"),
    ("WALLBOX", "Wallbox"),
    ("ZAPTEC", "Zaptec"),
    ("CHARGEAMPS", "Charge Amps"),
    ("EVBOX", "EVBox"),
    ("GOE", "go-e"),
    ("GARO", "GARO"),
    ("SCHNEIDER", "Schneider Electric"),
    ("KEBA", "KEBA"),
    ("HEIDELBERG", "Heidelberg"),
    ("ENELX", "Enel X"),
];

static MANIFEST: LazyLock<Manifest> = LazyLock::new(|| Manifest {
    id: "ocpp",
    brands: BRANDS
        .into_iter()
        .map(|(vendor, display_name)| Brand {
            vendor,
            display_name: display_name.to_owned(),
            portal_name: "OCPP".to_owned(),
            kinds: vec![DeviceKind::Charger],
        })
        .collect(),
    is_one_brand_per_account: true,
    reads: ReadShape::PushOnly,
    cadence: CadencePolicy {
        shortest: None,
        reconcile: None,
    },
    actions: Timing::default(),
    budgets: Vec::new(),
    scopes: vec![Scope::ChargerReadData, Scope::ChargerControlCharging],
});

#[async_trait]
impl Vendor for Ocpp {
    fn manifest(&self) -> &Manifest {
        &MANIFEST
    }

    async fn link(
        &self,
        cx: LinkContext<'_>,
        input: LinkInput,
    ) -> Result<LinkOutcome, LinkProblem> {
        match input {
            LinkInput::Begin => begin(cx.public_url, cx.entropy, cx.known_account_id),
            LinkInput::Form(_) | LinkInput::Callback(_) => Err(LinkProblem::Mismatch),
        }
    }

    /// The password of a charge point never expires: it stays as it is.
    async fn refresh(&self, cx: AccountContext<'_>) -> RefreshOutcome {
        RefreshOutcome::Refreshed(cx.credentials.clone())
    }

    /// There is nothing to ask: what there is to know has come by the session.
    async fn read(&self, _cx: AccountContext<'_>, _wanted: &Wanted) -> Harvest {
        Harvest::barren(AccountOutcome::Ok)
    }

    fn calls_per_read(&self, _devices: usize) -> u32 {
        0
    }
}

/// What is kept of a charge point's password: enough to recognise it, not to know it. It is random
/// and long, so that a fast hash is as good as a slow one.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kept {
    password_sha256: String,
}

/// Whether `password` is the one that was shown to the user when the account was linked.
pub fn password_matches(credentials: &Credentials, password: &str) -> bool {
    let Ok(kept) = serde_json::from_str::<Kept>(credentials.reveal()) else {
        return false;
    };
    let Ok(expected) = hex::decode(&kept.password_sha256) else {
        return false;
    };
    let given = Sha256::digest(password.as_bytes());
    given[..].ct_eq(expected.as_slice()).into()
}

/// A charge point that was linked before keeps its ID, and so do its devices; its password is new.
fn begin(
    public_url: &Url,
    entropy: &dyn Entropy,
    known_id: Option<&str>,
) -> Result<LinkOutcome, LinkProblem> {
    let address = server_address(public_url)
        .ok_or_else(|| LinkProblem::Unexpected("the public address is not http(s)".to_owned()))?;
    let station_id = match known_id {
        Some(id) => id.to_owned(),
        None => format!("LW-{}-{}", random_word(entropy, 4), random_word(entropy, 4)),
    };
    let password = random_word(entropy, PASSWORD_LENGTH);
    let kept = Kept {
        password_sha256: hex::encode(Sha256::digest(password.as_bytes())),
    };
    let kept = serde_json::to_string(&kept).map_err(|e| LinkProblem::Unexpected(e.to_string()))?;
    Ok(LinkOutcome::Instructions {
        account: LinkedAccount {
            vendor_account_id: station_id.clone(),
            credentials: Secret::new(kept),
        },
        rows: vec![
            ("Server address (URL)", address),
            ("Charge point ID", station_id),
            ("Password", password),
        ],
    })
}

/// Where charge points connect to; they append `/` and their ID themselves.
fn server_address(public_url: &Url) -> Option<String> {
    let scheme = match public_url.scheme() {
        "http" | "ws" => "ws",
        "https" | "wss" => "wss",
        _ => return None,
    };
    let mut url = public_url.clone();
    url.set_scheme(scheme).ok()?;
    url.set_query(None);
    url.set_fragment(None);
    let path = format!("{}/ocpp", url.path().trim_end_matches('/'));
    url.set_path(&path);
    Some(url.into())
}

/// Letters and digits that cannot be mistaken for one another when typed off a screen. There are 32
/// of them, so each stands for five random bits.
const ALPHABET: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";

/// A hundred bits, and within the 16 to 20 characters that every charge point can store.
const PASSWORD_LENGTH: usize = 20;

fn random_word(entropy: &dyn Entropy, length: usize) -> String {
    let mut bytes = vec![0; length];
    entropy.fill(&mut bytes);
    bytes
        .into_iter()
        .map(|byte| char::from(ALPHABET[usize::from(byte % 32)]))
        .collect()
}
