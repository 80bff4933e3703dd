//! What energy costs at a Location.

use livewatt_domain::SignedDuration;
use livewatt_sandbox::Cloud;
use serde_json::{Value, json};

use super::{place, put};
use crate::support::{World, still};

async fn prices(world: &World, home: &str, from: &str, to: &str) -> Vec<Value> {
    let path = format!("/locations/{home}/prices?from={from}&to={to}");
    let list = world.api.get(&path).await.expect_status(200);
    assert_eq!(list["timezoneName"], "Europe/Oslo");
    list["prices"].as_array().unwrap().clone()
}

fn amounts(prices: &[Value]) -> Vec<Option<&str>> {
    prices.iter().map(|price| price["price"].as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tariff_prices_the_quarter_hours_of_its_location_by_its_own_clock() {
    let world = World::starting_at("2026-03-28T12:05:00Z", |_| {}).await;
    world.link("ann", Cloud::Helios, still()).await;
    let api = &world.api;
    let home = place(api, "ann", 59.9, 10.7, "Europe/Oslo").await;
    put(
        api,
        "/tariffs/home",
        json!([{ "name": "night", "cost": "0.10" }, { "name": "day", "cost": "0.30" }]),
    )
    .await
    .expect_status(204);
    let week = json!({ "tariffId": "home", "tariffIntervals": [
        { "name": "night", "from": "00:00", "to": "06:00" },
        { "name": "day", "from": "06:00", "to": "22:00", "weekdays": [0, 1, 2, 3, 4] },
        { "name": "day", "from": "08:00", "to": "24:00", "weekdays": [6, 5] },
    ] });
    put(api, &format!("/locations/{home}/tariff"), week)
        .await
        .expect_status(204);
    let shown = api.get(&format!("/locations/{home}/tariff")).await;
    let shown = shown.expect_status(200);
    let rows = shown.as_array().unwrap();
    assert_eq!(rows.len(), 7 + 5 + 2);
    assert_eq!(
        rows[13],
        json!({
            "weekday": 6, "fromHourMinute": "08:00", "toHourMinute": "24:00",
            "tariffId": "home", "tariffName": "day",
        })
    );

    // The night in which the clock skips an hour: midnight to six are five hours.
    let night = prices(
        &world,
        &home,
        "2026-03-28T23:00:00Z",
        "2026-03-29T06:15:00Z",
    )
    .await;
    let amount = |price: &str, count: usize| vec![Some(price.to_owned()); count];
    let expected = [amount("0.1", 20), vec![None; 8], amount("0.3", 1)].concat();
    let expected: Vec<Option<&str>> = expected.iter().map(Option::as_deref).collect();
    assert_eq!(amounts(&night), expected);
    assert_eq!(
        night[0],
        json!({
            "start": "2026-03-28T23:00:00.000Z", "price": "0.1", "currency": null,
            "source": { "kind": "tariff", "id": "home", "rate": "night" },
        })
    );
    assert_eq!(
        night[20],
        json!({ "start": "2026-03-29T04:00:00.000Z", "price": null, "currency": null, "source": null })
    );

    // The currency is the client's, or the place's own.
    put(api, "/pricing", json!({ "currency": "EUR" }))
        .await
        .expect_status(204);
    let first = async || {
        prices(
            &world,
            &home,
            "2026-03-28T12:00:00Z",
            "2026-03-28T12:01:00Z",
        )
        .await
    };
    assert_eq!(first().await[0]["currency"], "EUR");
    let own = json!({ "currency": "NOK", "priceArea": null });
    put(api, &format!("/locations/{home}/pricing"), own.clone())
        .await
        .expect_status(204);
    assert_eq!(first().await[0]["currency"], "NOK");
    assert_eq!(
        api.get(&format!("/locations/{home}/pricing"))
            .await
            .expect_status(200),
        own
    );

    // New rates hold from the quarter hour in which they come; what was before keeps its price.
    world.advance(SignedDuration::from_mins(30)).await;
    put(
        api,
        "/tariffs/home",
        json!([{ "name": "day", "cost": "0.45" }]),
    )
    .await
    .expect_status(204);
    let day = prices(
        &world,
        &home,
        "2026-03-28T11:45:00Z",
        "2026-03-28T13:00:00Z",
    )
    .await;
    assert_eq!(
        amounts(&day),
        [None, Some("0.3"), Some("0.3"), Some("0.45"), Some("0.45")]
    );
    // So does taking the tariff away.
    let nothing = json!({ "tariffId": "home", "tariffIntervals": [] });
    world.advance(SignedDuration::from_mins(15)).await;
    put(api, &format!("/locations/{home}/tariff"), nothing)
        .await
        .expect_status(204);
    let day = prices(
        &world,
        &home,
        "2026-03-28T12:15:00Z",
        "2026-03-28T13:00:00Z",
    )
    .await;
    assert_eq!(amounts(&day), [Some("0.3"), Some("0.45"), None]);
    world.shut_down().await;
}

/// Prices of an hour of the afternoon, quarter hour by quarter hour.
const AFTERNOON: [&str; 2] = ["2026-03-28T14:00:00Z", "2026-03-28T15:00:00Z"];

fn line(from: &str, to: &str, price: &str) -> String {
    format!("2026-03-28T{from}Z,2026-03-28T{to}Z,{price},NOK\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_tariff_says_anything_the_market_does_and_else_nobody() {
    let files = tempfile::TempDir::new().unwrap();
    let directory = files.path().to_owned();
    let world = World::starting_at("2026-03-28T12:05:00Z", move |settings| {
        settings.prices.directory = directory;
        settings.prices.order = ["spot", "upload"].map(str::to_owned).to_vec();
    })
    .await;
    world.link("ann", Cloud::Helios, still()).await;
    let api = &world.api;
    let home = place(api, "ann", 59.9, 10.7, "Europe/Oslo").await;
    let area = json!({ "currency": null, "priceArea": "NO1" });
    put(api, &format!("/locations/{home}/pricing"), area)
        .await
        .expect_status(204);
    let [from, to] = AFTERNOON;
    let told = async || -> Vec<(Option<String>, Option<String>)> {
        let told = prices(&world, &home, from, to).await;
        let text = |value: &Value| value.as_str().map(str::to_owned);
        told.iter()
            .map(|price| (text(&price["price"]), text(&price["source"]["id"])))
            .collect()
    };
    let is = |price: &str, source: &str| (Some(price.to_owned()), Some(source.to_owned()));
    let nothing = (None, None);
    assert_eq!(
        told().await,
        vec![nothing.clone(); 4],
        "nobody says anything"
    );

    let head = "from,to,price,currency\n";
    let csv = format!("{head}{}", line("14:00", "14:30", "0.5"));
    let upload = async |source: &str, text: &str| {
        let path = format!("/market-prices/NO1{source}");
        api.put_text(&path, "text/csv", text).await
    };
    upload("", &csv).await.expect_status(204);
    assert_eq!(
        told().await,
        [
            is("0.5", "upload"),
            is("0.5", "upload"),
            nothing.clone(),
            nothing.clone()
        ]
    );
    let xml = "<Publication_MarketDocument><TimeSeries><currency_Unit.name>NOK</currency_Unit.name>\
        <price_Measure_Unit.name>MWH</price_Measure_Unit.name><Period><timeInterval>\
        <start>2026-03-28T14:15Z</start><end>2026-03-28T14:45Z</end></timeInterval>\
        <resolution>PT15M</resolution><Point><position>1</position>\
        <price.amount>-12.5</price.amount></Point></Period></TimeSeries>\
        </Publication_MarketDocument>";
    let spot = "/market-prices/NO1?source=spot";
    api.put_text(spot, "application/xml; charset=utf-8", xml)
        .await
        .expect_status(204);
    let of_file = format!("{head}{}", line("14:00", "15:00", "9"));
    std::fs::write(files.path().join("NO1.csv"), of_file).unwrap();
    let expected = [
        is("0.5", "upload"),
        is("-0.0125", "spot"),
        is("-0.0125", "spot"),
    ];
    // What a file says counts from when it was written, which is long after this world's day.
    assert_eq!(
        told().await,
        [expected.to_vec(), vec![is("9", "file")]].concat()
    );
    let list = api
        .get(&format!("/market-prices/NO1?from={from}&to={to}"))
        .await;
    let list = list.expect_status(200);
    assert_eq!(list.as_array().unwrap().len(), 4, "{list:#}");
    assert_eq!(list[1]["source"], "spot");
    assert_eq!(list[1]["receivedAt"], "2026-03-28T12:05:00.000Z");

    // The tariff goes first, where it says anything.
    put(api, "/tariffs/t", json!([{ "name": "all", "cost": "0.2" }]))
        .await
        .expect_status(204);
    let week = json!({ "tariffId": "t", "tariffIntervals": [
        { "name": "all", "from": "15:00", "to": "15:15" },
    ] });
    put(api, &format!("/locations/{home}/tariff"), week)
        .await
        .expect_status(204);
    put(api, "/pricing", json!({ "currency": "NOK" }))
        .await
        .expect_status(204);
    assert_eq!(told().await[0], is("0.2", "t"));
    assert_eq!(told().await[1], is("-0.0125", "spot"));

    // A correction takes the place of what the same source said before.
    let corrected = format!("{head}{}", line("14:15", "14:30", "0.7"));
    upload("?source=spot", &corrected).await.expect_status(204);
    let after = told().await;
    assert_eq!(after[1..3], [is("0.7", "spot"), is("-0.0125", "spot")]);

    for (path, content_type, text, field) in [
        ("/market-prices/NO1", "text/csv", "from,to\n", ""),
        ("/market-prices/NO1", "text/xml", &csv, ""),
        (
            "/market-prices/a%20b?source=c%20d",
            "text/csv",
            &csv,
            "area source",
        ),
    ] {
        let refused = api.put_text(path, content_type, text).await.expect_issues();
        assert_eq!(refused.join(" "), field, "{path}");
    }
    api.put_text("/market-prices/NO1", "application/json", "{}")
        .await
        .expect_status(400);
    let other = world.other_client(None).await;
    let theirs = other
        .get(&format!("/market-prices/NO1?from={from}&to={to}"))
        .await;
    let theirs = theirs.expect_status(200);
    assert_eq!(
        theirs[0]["source"], "file",
        "files are for all, uploads are not"
    );
    assert_eq!(theirs.as_array().unwrap().len(), 1);
    world.shut_down().await;
}
