//! Floods and nonsense: what comes in too often, too slowly, too large or in no form at all gets a
//! refusal that says why, soon, and costs nobody else anything.

use std::time::Duration;

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use super::{answer, assert_problem, raw};
use crate::support::World;

/// Longest time that any refusal may take here.
const SOON: Duration = Duration::from_secs(20);

fn token_request(world: &World, id: &str, secret: &str) -> RequestBuilder {
    raw(world, &Method::POST, "/oauth2/token")
        .form(&[("grant_type", "client_credentials")])
        .basic_auth(id, Some(secret))
}

/// Sends a request and returns its status, its `Retry-After` and its body.
async fn refusal(request: RequestBuilder) -> (u16, Option<u64>, Value) {
    let response = timeout(SOON, request.send()).await.unwrap().unwrap();
    let wait = response.headers().get("retry-after");
    let wait = wait.map(|value| value.to_str().unwrap().parse().unwrap());
    let status = response.status().as_u16();
    (status, wait, response.json().await.unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_is_slowed_down_and_locks_nobody_out() {
    let world = World::new().await;
    let id = world.client.to_string();
    let guess = |number: u32| token_request(&world, &id, &format!("guess-{number}"));
    let mut statuses = Vec::new();
    let mut refused = None;
    for number in 0..12 {
        let (status, wait, body) = refusal(guess(number)).await;
        statuses.push(status);
        if status == 429 {
            assert_problem(&body, "too-many-requests");
            refused = wait;
        }
    }
    assert_eq!(statuses[..10], [401; 10]);
    assert_eq!(statuses[10..], [429; 2]);
    // The owner has been here before, and comes from the same address.
    let (status, _) = answer(token_request(&world, &id, &world.secret)).await;
    assert_eq!(status, 200);
    // Everybody may come again when they were told to.
    let wait = i64::try_from(refused.unwrap()).unwrap();
    world
        .clock
        .advance(livewatt_domain::SignedDuration::from_secs(wait));
    assert_eq!(refusal(guess(99)).await.0, 401);
    assert_eq!(refusal(guess(100)).await.0, 429);
    // Clients that do not exist are refused as those that do, and in the end by their address.
    let mut statuses = Vec::new();
    for number in 0..40 {
        let unknown = format!("00000000-0000-7000-8000-{number:012}");
        statuses.push(refusal(token_request(&world, &unknown, "guess")).await.0);
    }
    assert_eq!((statuses[0], statuses[39]), (401, 429), "{statuses:?}");
    let (status, _) = answer(token_request(&world, &id, &world.secret)).await;
    assert_eq!(status, 200);

    // A station is one too.
    let station = |password: &str| {
        raw(&world, &Method::GET, "/ocpp/LW-AAAA-AAAA").basic_auth("LW-AAAA-AAAA", Some(password))
    };
    let mut statuses = Vec::new();
    for number in 0..11 {
        statuses.push(refusal(station(&format!("guess-{number}"))).await.0);
    }
    assert_eq!(statuses[..10], [401; 10]);
    let (status, wait, body) = refusal(station("another")).await;
    assert_eq!((status, wait.is_some()), (429, true));
    assert_problem(&body, "too-many-requests");
    world.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_logins_do_not_starve_the_api() {
    let world = World::new().await;
    let id = world.client.to_string();
    let flood: Vec<_> = (0..200)
        .map(|number| {
            let request = token_request(&world, &id, &format!("guess-{number}"));
            tokio::spawn(refusal(request))
        })
        .collect();
    for _ in 0..20 {
        let users = timeout(SOON, world.api.get("/users")).await.unwrap();
        users.expect_status(200);
    }
    let owner = timeout(SOON, answer(token_request(&world, &id, &world.secret)));
    assert_eq!(owner.await.unwrap().0, 200);
    let (mut wrong, mut many) = (0, 0);
    for guess in flood {
        match guess.await.unwrap().0 {
            401 => wrong += 1,
            429 => many += 1,
            other => panic!("{other}"),
        }
    }
    assert!((1..=10).contains(&wrong) && many >= 190, "{wrong} {many}");
    world.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_has_so_many_event_streams_and_no_more() {
    let world = World::with(|settings| settings.server.event_streams_per_client = 3).await;
    let stranger = world.other_client(None).await;
    let open = async |token: &str| {
        let request = raw(&world, &Method::GET, "/events/stream").bearer_auth(token);
        timeout(SOON, request.send()).await.unwrap().unwrap()
    };
    let mut streams = Vec::new();
    for _ in 0..3 {
        streams.push(open(&world.api.token).await);
    }
    assert!(streams.iter().all(|stream| stream.status() == 200));
    let refused = open(&world.api.token).await;
    assert_eq!(refused.status(), 429);
    assert!(refused.headers().contains_key("retry-after"));
    assert_problem(&refused.json().await.unwrap(), "too-many-requests");
    assert_eq!(open(&stranger.token).await.status(), 200);
    // One that is closed makes room.
    streams.pop();
    crate::support::eventually("room for a stream", async || {
        open(&world.api.token).await.status() == 200
    })
    .await;
    world.shut_down().await;
}

/// Writes bytes to the server and returns the first line of what it says; nothing if it hangs up.
async fn write(world: &World, bytes: &[u8]) -> String {
    let mut socket = TcpStream::connect(world.server.address).await.unwrap();
    // The server may refuse, and close, before it has read everything.
    let _ = socket.write_all(bytes).await;
    let mut said = vec![0; 4096];
    let length = timeout(SOON, socket.read(&mut said)).await.unwrap();
    let said = String::from_utf8_lossy(&said[..length.unwrap_or(0)]).into_owned();
    said.lines().next().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_request_is_refused_at_once() {
    let world = World::new().await;
    let token = &world.api.token;
    let headers: String = (0..10_000).map(|n| format!("x-{n}: {n}\r\n")).collect();
    let head = |line: &str, rest: &str| {
        format!("{line}\r\nhost: a\r\nauthorization: Bearer {token}\r\n{rest}\r\n").into_bytes()
    };
    let long = "a".repeat(1 << 20);
    for (what, bytes) in [
        ("many headers", head("GET /users HTTP/1.1", &headers)),
        (
            "a long header",
            head("GET /users HTTP/1.1", &format!("x: {long}\r\n")),
        ),
        ("a long path", head(&format!("GET /{long} HTTP/1.1"), "")),
        (
            "a long query",
            head(&format!("GET /users?after={long} HTTP/1.1"), ""),
        ),
        ("no HTTP", vec![0; 100]),
        (
            "TLS",
            vec![
                0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3, b'\r', b'\n', b'\r', b'\n',
            ],
        ),
        (
            "two lengths",
            head(
                "POST /webhooks HTTP/1.1",
                "content-length: 1\r\ncontent-length: 2\r\n",
            ),
        ),
        (
            "a wrong length",
            head("POST /webhooks HTTP/1.1", "content-length: -1\r\n"),
        ),
    ] {
        let said = write(&world, &bytes).await;
        assert!(said.starts_with("HTTP/1.1 4"), "{what}: {said:?}");
    }
    // 100 MB that are announced, and sent as far as they are read.
    let mut socket = TcpStream::connect(world.server.address).await.unwrap();
    let announced = head("POST /webhooks HTTP/1.1", "content-length: 100000000\r\n");
    socket.write_all(&announced).await.unwrap();
    let mut said = [0; 12];
    let sending = async {
        let piece = vec![b' '; 1 << 16];
        let (mut reader, mut writer) = socket.split();
        let send = async {
            while writer.write_all(&piece).await.is_ok() {}
            std::future::pending::<()>().await;
        };
        tokio::select! {
            read = reader.read_exact(&mut said) => read.map(|_| ()),
            () = send => Ok(()),
        }
    };
    timeout(SOON, sending).await.unwrap().unwrap();
    assert_eq!(&said, b"HTTP/1.1 413");
    world.api.get("/users").await.expect_status(200);
    world.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nonsense_in_a_body_or_a_query_is_named() {
    let world = World::new().await;
    let post = async |body: Vec<u8>| {
        let request = raw(&world, &Method::POST, "/webhooks")
            .bearer_auth(&world.api.token)
            .body(body);
        let (status, body) = timeout(SOON, answer(request)).await.unwrap();
        assert_eq!(status, 400, "{body}");
        super::check_schema("Problem", &body);
        let path = |issue: &Value| issue["path"].as_str().unwrap().to_owned();
        let issues = body["issues"].as_array().unwrap();
        issues.iter().map(path).collect::<Vec<_>>()
    };
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    for (body, fields) in [
        (nested(30_000).into_bytes(), &[""][..]),
        (br#"{"url":1e400,"secret":"secret"}"#.to_vec(), &[""]),
        (br#"{"url":1e300,"secret":-0}"#.to_vec(), &["url", "secret"]),
        (b"{\"url\":\"\xff\xfe\",\"secret\":\"secret\"}".to_vec(), &[""]),
        (br#"{"url":"https://a.example/","secret":"secret","secret":"other1"}"#.to_vec(), &["secret"]),
        (br#"{"url":"https://a.example/","secret":"secret","events":[{"a":1,"a":2}]}"#.to_vec(), &["events.0.a"]),
        (b"{\"url\":\"https://a.example/\",\"secret\":\"secret\"}{}".to_vec(), &[""]),
        (br#"{"url":"https://a.example/","secret":"\ud800ecret"}"#.to_vec(), &[""]),
        (br#"{"url":"https://a.example/","secret":"secret","authentication":{"headerName":"x","headerValue":"a\r\nb: c"}}"#.to_vec(), &["authentication.headerValue"]),
    ] {
        let text = String::from_utf8_lossy(&body[..body.len().min(100)]).into_owned();
        assert_eq!(post(body).await, fields, "{text}");
    }
    for query in [
        "after=%00",
        "after=%ff%fe",
        "pageSize=1e400",
        "pageSize=99999999999999999999",
    ] {
        let name = query.split('=').next().unwrap();
        for list in ["users", "vehicles", "events", "webhooks"] {
            let refused = world.api.get(&format!("/{list}?{query}")).await;
            assert_eq!(refused.expect_issues(), [name], "{list}?{query}");
        }
    }
    for id in [
        "%00",
        "%ff",
        "%F0%9F%98%80",
        "..%2f..",
        "a%0d%0ab",
        "'%20or%201=1--",
    ] {
        for path in ["users", "vehicles", "webhooks"] {
            let (status, body) = timeout(
                SOON,
                answer(
                    raw(&world, &Method::GET, &format!("/{path}/{id}"))
                        .bearer_auth(&world.api.token),
                ),
            )
            .await
            .unwrap();
            assert!(matches!(status, 400 | 404), "{path}/{id}: {status} {body}");
            super::check_schema("Problem", &body);
        }
    }
    let huge = json!({ "url": format!("https://a.example/{}", "a".repeat(60_000)), "secret": "a" });
    let refused = world.api.post("/webhooks", Some(huge)).await;
    assert_eq!(refused.expect_issues(), ["url", "secret"]);
    world.shut_down().await;
}
