//! An end user on the pages of linking.

use axum::http::StatusCode;
use livewatt_domain::SignedDuration;
use serde_json::{Value, json};

use crate::fixture::{Api, Browser, PASSWORD};

async fn start(api: &Api, extra: Value) -> String {
    let mut body = json!({
        "scopes": ["vehicle:read:data", "charger:read:data"], "language": "browser",
        "redirectUri": "myapp://done?x=1",
    });
    body.as_object_mut()
        .unwrap()
        .extend(extra.as_object().unwrap().clone());
    let answer = api.post("/users/ann/link", body).await;
    answer.json()["linkUrl"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_form_leads_to_the_app() {
    let api = Api::start().await;
    let link = start(&api, json!({})).await;
    let mut browser = Browser::of(&api);
    let consent = browser.open(&link).await;
    assert_eq!(consent.status, 200);
    for (header, value) in [
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
    ] {
        assert_eq!(consent.header(header), value);
    }
    let cookie = consent.header("set-cookie");
    for part in ["HttpOnly", "SameSite=Lax", "Secure", "Path=/link;"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(consent.body.contains("Sunny app") && consent.body.contains("see where your vehicles"));

    let choose = browser.submit(&consent, "consent", &[]).await;
    assert!(choose.body.contains("Brand BMW") && choose.body.contains("Brand TESLA"));
    let found = browser
        .open(&format!("{link}/vendor?q=tes&kind=vehicle"))
        .await;
    assert!(!found.body.contains("Brand BMW") && found.body.contains("Brand TESLA"));
    let form = browser
        .submit(&choose, "vendor", &[("choice", "form/TESLA")])
        .await;
    assert!(form.body.contains("type=\"password\""), "{form:?}");
    let fields = [("email", "ann@example.com"), ("password", "wrong")];
    let again = browser.submit(&form, "sign-in", &fields).await;
    assert!(again.body.contains("Wrong e-mail") && again.body.contains("ann@example.com"));
    assert!(!again.body.contains("value=\"wrong\""));
    let fields = [("email", "ann@example.com"), ("password", PASSWORD)];
    let done = browser.submit(&again, "sign-in", &fields).await;
    assert!(
        done.body.contains("Connected") && done.body.contains("/return"),
        "{done:?}"
    );
    let back = browser.open(&format!("{link}/return")).await;
    assert_eq!(back.status, StatusCode::SEE_OTHER);
    assert_eq!(back.header("location"), "myapp://done?x=1");
    // Used: neither this browser nor another gets in again.
    let again = Browser::of(&api).open(&link).await;
    assert_eq!(again.status, StatusCode::GONE);
    assert_eq!(
        api.get("/users/ann/vehicles").await.json()["data"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
async fn the_vendors_own_page_leads_back() {
    let api = Api::start().await;
    let link = start(&api, json!({"vendor": "BMW", "language": "de-DE"})).await;
    let mut browser = Browser::of(&api);
    let consent = browser.open(&link).await;
    assert!(consent.body.contains("<html lang=\"de\""));
    // The app has chosen the brand: nothing to choose.
    let away = browser.submit(&consent, "consent", &[]).await;
    assert!(away.body.contains("login.brand.example"), "{away:?}");
    let url = away.attribute("class=\"button\"", "href");
    assert!(
        url.contains("redirect_uri=https%3A%2F%2Fenergy.example%2Flink%2Fcallback"),
        "{url}"
    );

    // Another browser has no part in it.
    let stranger = Browser::of(&api).open("/link/callback?state=state-1").await;
    assert_eq!(stranger.status, StatusCode::FORBIDDEN);
    let denied = browser.open("/link/callback?error=access_denied").await;
    assert!(denied.body.contains("nicht erlaubt") && denied.body.contains("/give-up"));
    let gave_up = Browser {
        cookie: browser.cookie.clone(),
        ..Browser::of(&api)
    }
    .open(&format!("{link}/give-up"))
    .await;
    assert!(
        gave_up
            .header("location")
            .starts_with("myapp://done?x=1&error=server_error&")
    );
    browser.open(&link).await;
    let done = browser.open("/link/callback?state=state-1&code=c").await;
    assert!(done.body.contains("Verbunden"), "{done:?}");
    // Loaded again.
    assert!(
        browser
            .open("/link/callback?state=state-1&code=c")
            .await
            .body
            .contains("Verbunden")
    );
}

#[tokio::test]
async fn leaving_early_tells_the_app_and_keeps_the_link() {
    let api = Api::start().await;
    let link = start(&api, json!({})).await;
    let mut browser = Browser::of(&api);
    let consent = browser.open(&link).await;
    let cancel = browser
        .open(&consent.attribute("class=\"quiet\"", "href"))
        .await;
    assert_eq!(cancel.status, StatusCode::SEE_OTHER);
    let location = cancel.header("location");
    assert!(location.starts_with("myapp://done?x=1&error=access_denied&error_message="));
    assert_eq!(browser.open(&link).await.status, 200);
}

#[tokio::test]
async fn forms_of_others_are_refused() {
    let api = Api::start().await;
    let link = start(&api, json!({})).await;
    let other_link = start(&api, json!({})).await;
    let mut browser = Browser::of(&api);
    let consent = browser.open(&link).await;
    let mut without = Browser::of(&api);
    let refused = without.submit(&consent, "consent", &[]).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    let mut other = Browser::of(&api);
    other.open(&other_link).await;
    assert_eq!(
        other.submit(&consent, "consent", &[]).await.status,
        StatusCode::FORBIDDEN
    );
    let mut wrong = consent;
    wrong.body = wrong
        .body
        .replace("name=\"code\" value=\"", "name=\"code\" value=\"00");
    assert_eq!(
        browser.submit(&wrong, "consent", &[]).await.status,
        StatusCode::FORBIDDEN
    );
    // Steps cannot be left out.
    let early = browser.open(&format!("{link}/sign-in")).await;
    assert!(
        early.body.contains("/consent\""),
        "sent to the beginning: {early:?}"
    );
}

#[tokio::test]
async fn sessions_that_are_over_get_a_friendly_page() {
    let api = Api::start().await;
    let link = start(&api, json!({})).await;
    api.clock.advance(SignedDuration::from_hours(25));
    let mut browser = Browser {
        languages: "de",
        ..Browser::of(&api)
    };
    let expired = browser.open(&link).await;
    assert_eq!(expired.status, StatusCode::GONE);
    assert!(expired.body.contains("abgelaufen"));
    let unknown = Browser::of(&api).open("/link/x").await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    assert!(unknown.body.contains("ask it for a new link"));
}
