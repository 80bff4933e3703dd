//! The running sandbox: the world behind a lock, the routes in front of it, and the tasks that let
//! time pass.

use std::{
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{Router, extract::State, response::Html, routing::get};
use tokio::{net::TcpListener, sync::Notify};
use tokio_util::sync::CancellationToken;

use crate::{
    clock::Millis,
    clouds::{helios, rivoli, volta},
    control, push,
    world::{STEP, World},
};

/// Real time between two looks at a running clock.
const TICK: Duration = Duration::from_millis(250);
/// Grid points lived through before others get the lock.
const STRIDE: u32 = 60;

#[derive(Debug)]
pub(crate) struct Shared {
    world: Mutex<World>,
    pub(crate) http: reqwest::Client,
    pub(crate) stop: CancellationToken,
    /// One mover of time at a time.
    driver: tokio::sync::Mutex<()>,
    /// A running clock may have made pushes due.
    pushes: Notify,
}

impl Shared {
    pub(crate) fn new(world: World) -> Self {
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(push::PATIENCE)
            .no_proxy()
            .build()
            .expect("a plain client can be built");
        Self {
            world: Mutex::new(world),
            http,
            stop: CancellationToken::new(),
            driver: tokio::sync::Mutex::new(()),
            pushes: Notify::new(),
        }
    }

    /// The world. Never held over an await.
    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) async fn unless_stopped(&self, work: impl Future<Output = ()>) {
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = work => {}
        }
    }

    /// Moves time by `by` milliseconds from wherever it is; all pushes due on the way are
    /// delivered, and their answers awaited.
    pub(crate) async fn advance(&self, by: Millis) {
        let _driver = self.driver.lock().await;
        let target = self.world().now().saturating_add(by);
        self.move_to(target).await;
    }

    /// Moves time to `target`, if that is not past.
    pub(crate) async fn advance_to(&self, target: Millis) -> bool {
        let _driver = self.driver.lock().await;
        if target < self.world().now() {
            return false;
        }
        self.move_to(target).await;
        true
    }

    /// Delivers what an outside change has made due.
    pub(crate) async fn flush_pushes(&self) {
        let due = {
            let world = self.world();
            world.outbox.has_due(world.now())
        };
        if due {
            push::deliver_due(self).await;
        }
    }

    async fn move_to(&self, target: Millis) {
        let manual = {
            let mut world = self.world();
            if !world.clock.is_manual() {
                world.clock.set_now(target);
            }
            world.clock.is_manual()
        };
        self.flush_pushes().await;
        while self.stride(target, manual) {
            self.flush_pushes().await;
            tokio::task::yield_now().await;
        }
        if manual {
            self.world().clock.set_now(target);
        }
        self.flush_pushes().await;
    }

    /// Lives towards `target` until a push is due or others should have the lock. Whether there is
    /// more to live.
    fn stride(&self, target: Millis, manual: bool) -> bool {
        let mut world = self.world();
        for _ in 0..STRIDE {
            let next = (world.tick + STEP) * 1000;
            if next > target {
                return false;
            }
            if manual {
                world.clock.set_now(next);
            }
            world.step();
            if manual && world.outbox.has_due(next) {
                return true;
            }
        }
        true
    }

    /// Lets a running clock run.
    async fn run_clock(&self) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let target = {
                let world = self.world();
                (!world.clock.is_manual()).then(|| world.now())
            };
            let Some(target) = target else { continue };
            {
                let _driver = self.driver.lock().await;
                while self.stride(target, false) {
                    tokio::task::yield_now().await;
                }
            }
            self.pushes.notify_one();
        }
    }

    async fn run_pushes(&self) {
        loop {
            self.pushes.notified().await;
            self.flush_pushes().await;
        }
    }
}

/// Serves until stopped.
pub(crate) async fn run(shared: Arc<Shared>, listener: TcpListener) {
    let stop = shared.stop.clone();
    let routes = router(Arc::clone(&shared));
    let server =
        axum::serve(listener, routes).with_graceful_shutdown(stop.clone().cancelled_owned());
    let time = async {
        tokio::select! {
            () = stop.cancelled() => {}
            () = shared.run_clock() => {}
            () = shared.run_pushes() => {}
        }
    };
    let (served, ()) = tokio::join!(server, time);
    if let Err(error) = served {
        tracing::error!(%error, "the sandbox server ended");
    }
}

fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/", get(show_front))
        .nest("/volta", volta::routes())
        .nest("/rivoli", rivoli::routes())
        .nest("/helios", helios::routes())
        .nest("/control", control::routes())
        .with_state(shared)
}

async fn show_front(State(shared): State<Arc<Shared>>) -> Html<String> {
    const SHOWN: usize = 12;
    let world = shared.world();
    let accounts: Vec<_> = world
        .accounts
        .values()
        .take(SHOWN)
        .map(|account| {
            (
                account.cloud.name(),
                account.username.clone(),
                account.password.clone(),
            )
        })
        .collect();
    Html(volta::page::front(&accounts))
}
