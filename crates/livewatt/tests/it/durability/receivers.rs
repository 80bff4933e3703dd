//! Receivers that fail in every way they can, beside one that does not.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Instant,
};

use livewatt_domain::SignedDuration;
use livewatt_sandbox::Cloud;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use super::records::{by_device, taken_once};
use crate::support::{
    STEP, World, loopback,
    receiver::{Delivery, Receiver, SECRET},
    still,
};

/// How a receiver treats those who call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// Takes what comes.
    Polite,
    /// Reads and never answers.
    Hangs,
    /// Drops the connection unread: a reset.
    Resets,
    /// Stops in the middle of the status line.
    BreaksOff,
    /// Sends elsewhere.
    Redirects,
    Fails,
    /// Takes it, and breaks off in the body of the answer.
    TakesAndBreaksOff,
    /// Takes it, with a body that never ends.
    TakesEndlessly,
    /// Takes it, after a while.
    TakesSlowly,
}

impl Manner {
    const fn takes(self) -> bool {
        matches!(
            self,
            Self::Polite | Self::TakesAndBreaksOff | Self::TakesEndlessly | Self::TakesSlowly
        )
    }
}

/// A receiver with manners, close to the wire.
#[derive(Clone)]
struct Crooked {
    url: String,
    book: Arc<Mutex<Book>>,
}

struct Book {
    manner: Manner,
    attempts: Vec<Attempt>,
}

struct Attempt {
    id: String,
    body: String,
    is_taken: bool,
}

impl Crooked {
    fn start(listener: TcpListener, elsewhere: String) -> Self {
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let book = Arc::new(Mutex::new(Book {
            manner: Manner::Polite,
            attempts: Vec::new(),
        }));
        let crooked = Self { url, book };
        let own = crooked.clone();
        tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let (own, elsewhere) = (own.clone(), elsewhere.clone());
                tokio::spawn(async move { own.treat(socket, &elsewhere).await });
            }
        });
        crooked
    }

    fn behave(&self, manner: Manner) {
        self.book.lock().unwrap().manner = manner;
    }

    /// The events it took, leaving out deliveries it knew, and the number of attempts.
    fn taken(&self) -> (Vec<Value>, usize) {
        let book = self.book.lock().unwrap();
        let (mut ids, mut events) = (BTreeSet::new(), Vec::new());
        for attempt in &book.attempts {
            let mut same = book.attempts.iter().filter(|other| other.id == attempt.id);
            assert!(
                same.all(|other| other.body == attempt.body),
                "two deliveries under one ID"
            );
            if attempt.is_taken && ids.insert(&attempt.id) {
                let body: Value = serde_json::from_str(&attempt.body).unwrap();
                events.extend(body.as_array().unwrap().clone());
            }
        }
        events.retain(|event| event.get("user").is_some());
        (events, book.attempts.len())
    }

    async fn treat(&self, mut socket: TcpStream, elsewhere: &str) -> Option<()> {
        let manner = self.book.lock().unwrap().manner;
        if manner == Manner::Resets {
            // Something must have come, so that dropping it unread resets the connection.
            socket.readable().await.ok()?;
            return None;
        }
        let (id, body) = read_delivery(&mut socket).await?;
        self.book.lock().unwrap().attempts.push(Attempt {
            id,
            body,
            is_taken: manner.takes(),
        });
        let answer = match manner {
            Manner::Hangs => return std::future::pending().await,
            Manner::BreaksOff | Manner::Resets => "HTTP/1.1 2".to_owned(),
            Manner::Redirects => {
                format!("HTTP/1.1 307 Go\r\nlocation: {elsewhere}\r\ncontent-length: 0\r\n\r\n")
            }
            Manner::Fails => "HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n".to_owned(),
            Manner::Polite | Manner::TakesSlowly => {
                "HTTP/1.1 204 Yes\r\nconnection: close\r\n\r\n".to_owned()
            }
            Manner::TakesAndBreaksOff => {
                "HTTP/1.1 200 Yes\r\ncontent-length: 100\r\n\r\nha".to_owned()
            }
            Manner::TakesEndlessly => "HTTP/1.1 200 Yes\r\n\r\n".to_owned(),
        };
        if manner == Manner::TakesSlowly {
            tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        }
        socket.write_all(answer.as_bytes()).await.ok()?;
        if manner == Manner::TakesEndlessly {
            loop {
                socket.write_all(&[b'x'; 1024]).await.ok()?;
            }
        }
        Some(())
    }
}

async fn read_delivery(socket: &mut TcpStream) -> Option<(String, String)> {
    let mut seen = Vec::new();
    loop {
        if socket.read_buf(&mut seen).await.ok()? == 0 {
            return None;
        }
        let text = String::from_utf8_lossy(&seen).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let header = |name: &str| {
            let line = head
                .lines()
                .find_map(|line| line.strip_prefix(&format!("{name}: ")));
            line.unwrap().to_owned()
        };
        let length: usize = header("content-length").parse().unwrap();
        if body.len() >= length {
            return Some((header("webhook-id"), body.to_owned()));
        }
    }
}

async fn subscribe(world: &World, url: &str) -> String {
    let body = json!({ "url": url, "secret": SECRET });
    let made = world.api.post("/webhooks", Some(body)).await;
    let made = made.expect_status(200);
    format!("/webhooks/{}", made["id"].as_str().unwrap())
}

async fn vehicle(world: &World, user: &str) -> String {
    let account = world.link(user, Cloud::Volta, still()).await;
    world.advance(SignedDuration::from_mins(1)).await;
    account.devices[0].id.clone()
}

/// Makes events about a vehicle.
async fn replug(world: &World, vehicle: &str) {
    for is_plugged in [false, true] {
        world.plug(vehicle, is_plugged).await;
        world.advance(STEP).await;
    }
}

async fn is_active(world: &World, webhook: &str) -> bool {
    let webhook = world.api.get(webhook).await.expect_status(200);
    webhook["isActive"].as_bool().unwrap()
}

/// A healthy receiver has the whole log already, and nothing twice.
async fn assert_undisturbed(world: &World) -> usize {
    let (taken, figures) = taken_once(&world.receiver);
    assert_eq!(figures.attempts, figures.distinct);
    let log = world.api.log_for_all().await;
    assert_eq!(by_device(&taken), by_device(&log));
    log.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_manner_of_failing_loses_or_reorders_anything_or_disturbs_others() {
    let mut world = World::with(|settings| settings.webhooks.timeout_secs = 1).await;
    world.subscribe().await;
    let crooked = Crooked::start(loopback().await, world.receiver.any_url());
    let webhook = subscribe(&world, &crooked.url).await;
    let mut vehicles = Vec::new();
    for user in 0..3 {
        vehicles.push(vehicle(&world, &format!("user-{user}")).await);
    }
    for manner in [
        Manner::Hangs,
        Manner::TakesAndBreaksOff,
        Manner::Resets,
        Manner::BreaksOff,
        Manner::TakesEndlessly,
        Manner::Redirects,
        Manner::Fails,
        Manner::TakesSlowly,
    ] {
        crooked.behave(manner);
        let (before, _) = crooked.taken();
        for vehicle in &vehicles {
            replug(&world, vehicle).await;
        }
        // Also across a restart in the middle of it.
        world = world.restart(SignedDuration::from_secs(30), |_| {}).await;
        world.advance(SignedDuration::from_secs(30)).await;
        assert_undisturbed(&world).await;
        let (after, _) = crooked.taken();
        if !manner.takes() {
            assert_eq!(after.len(), before.len(), "{manner:?} took something");
        }
    }
    crooked.behave(Manner::Polite);
    world.advance(SignedDuration::from_mins(30)).await;
    let events = assert_undisturbed(&world).await;
    let (taken, attempts) = crooked.taken();
    assert_eq!(by_device(&taken), by_device(&world.api.log_for_all().await));
    assert!(is_active(&world, &webhook).await);
    println!("eight manners of failing: {events} events, {attempts} attempts that were read");
    world.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn thirty_hours_of_outage_lose_nothing_and_keep_the_delivery() {
    let began = Instant::now();
    let world = World::new().await;
    world.subscribe().await;
    let down = Receiver::start(loopback().await);
    let webhook = subscribe(&world, &down.url).await;
    down.answer_with(503);
    let mut vehicles = Vec::new();
    for user in 0..4 {
        vehicles.push(vehicle(&world, &format!("user-{user}")).await);
    }
    for _ in 0..30 {
        for vehicle in &vehicles {
            replug(&world, vehicle).await;
        }
        for _ in 0..6 {
            world.clock.advance(SignedDuration::from_mins(10));
            world.sandbox.set_now(world.now()).await.unwrap();
            world.settle().await;
        }
    }
    assert!(!is_active(&world, &webhook).await);
    let refused: Vec<Delivery> = of_log(&down);
    let last_try = refused.last().unwrap().clone();
    assert!(refused.iter().all(|attempt| !attempt.is_taken));
    down.answer_with(204);
    world
        .api
        .patch(&webhook, json!({}))
        .await
        .expect_status(200);
    world.advance(STEP).await;
    let events = assert_undisturbed(&world).await;
    let (taken, figures) = taken_once(&down);
    assert_eq!(by_device(&taken), by_device(&world.api.log_for_all().await));
    // The delivery that was under way is still the same.
    let again = of_log(&down);
    let again = again.iter().find(|a| a.is_taken && a.id == last_try.id);
    assert_eq!(again.map(|attempt| &attempt.body), Some(&last_try.body));
    assert!(is_active(&world, &webhook).await);
    println!(
        "30 h of outage in {:?}: {events} events, {} attempts in vain, {} deliveries afterwards",
        began.elapsed(),
        refused.len(),
        figures.distinct
    );
    world.shut_down().await;
}

fn of_log(receiver: &Receiver) -> Vec<Delivery> {
    let mut attempts = receiver.attempts();
    attempts.retain(Delivery::is_of_log);
    attempts
}

#[tokio::test(flavor = "multi_thread")]
async fn one_delivery_that_is_refused_for_days_does_not_switch_off_the_rest() {
    let world = World::new().await;
    let webhook = subscribe(&world, &world.receiver.url).await;
    let mut vehicles = Vec::new();
    for user in 0..6 {
        vehicles.push(vehicle(&world, &format!("user-{user}")).await);
    }
    let poisoned = world.api.get("/users/user-0/vehicles").await;
    let poisoned = poisoned.expect_status(200)["data"][0]["id"].clone();
    world.receiver.refuse(Some(poisoned.as_str().unwrap()));
    for _ in 0..30 {
        for vehicle in &vehicles {
            replug(&world, vehicle).await;
        }
        world.clock.advance(SignedDuration::from_hours(1));
        world.sandbox.set_now(world.now()).await.unwrap();
        world.settle().await;
    }
    assert!(is_active(&world, &webhook).await);
    let waiting = world.api.log_for_all().await.len() - world.receiver.events().len();
    // The vehicle's own, and those that share its lane; the others have theirs.
    assert!(waiting >= 60, "{waiting} wait");
    assert!(world.receiver.events().len() > 100);
    world.receiver.refuse(None);
    world.advance(SignedDuration::from_mins(140)).await;
    let (taken, _) = taken_once(&world.receiver);
    assert_eq!(by_device(&taken), by_device(&world.api.log_for_all().await));
    // Nothing at all taken for a day switches it off.
    world.receiver.answer_with(500);
    for _ in 0..30 {
        replug(&world, &vehicles[1]).await;
        world.clock.advance(SignedDuration::from_hours(1));
        world.sandbox.set_now(world.now()).await.unwrap();
        world.settle().await;
    }
    assert!(!is_active(&world, &webhook).await);
    world.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wish_to_be_left_alone_may_be_a_date() {
    let world = World::with(|settings| settings.webhooks.lanes = 1).await;
    world.subscribe().await;
    let until = world
        .now()
        .checked_add(SignedDuration::from_hours(1))
        .unwrap();
    let date = until.strftime("%a, %d %b %Y %H:%M:%S GMT");
    world.receiver.answer_with(503);
    world.receiver.retry_after(date);
    world.link("ann", Cloud::Volta, still()).await;
    world.advance(SignedDuration::from_mins(59)).await;
    assert_eq!(of_log(&world.receiver).len(), 1);
    world.receiver.answer_with(204);
    world.advance(SignedDuration::from_mins(2)).await;
    assert_eq!(of_log(&world.receiver).len(), 2);
    assert!(of_log(&world.receiver)[1].is_taken);
    world.shut_down().await;
}
