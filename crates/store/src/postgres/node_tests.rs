//! What nodes on one database promise each other.

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use livewatt_domain::{
    id::{ClientId, PARTITIONS, WebhookId},
    partition::Partitions,
};
use uuid::Uuid;

use super::{PostgresOptions, PostgresStore, open::Schema};
use crate::{
    Cluster, Fence, Letter, Node, PresenceFlush, StationSocket, Store, StoreError, UnitOfWork,
    Wake,
    contract::private_postgres::{PrivateDatabase, PrivatePostgres},
};

const LONG: SignedDuration = SignedDuration::from_secs(60);
/// Over at once.
const SHORT: SignedDuration = SignedDuration::from_millis(1);

struct Stage {
    /// Outlives the stores.
    database: PrivateDatabase<'static>,
}

struct Member {
    store: Arc<PostgresStore>,
    cluster: Arc<dyn Cluster>,
    node: Node,
}

impl Stage {
    fn new() -> Self {
        Self {
            database: PrivatePostgres::shared().database(),
        }
    }

    async fn node(&self, name: &str, run: u128) -> Member {
        let options = PostgresOptions::new(self.database.url());
        let store = Arc::new(PostgresStore::open(&options).await.unwrap());
        let cluster = store.cluster().unwrap();
        let node = Node {
            name: name.to_owned(),
            incarnation: Uuid::from_u128(run),
            version: "1.0".to_owned(),
            address: "127.0.0.1:1".to_owned(),
            started_at: Timestamp::UNIX_EPOCH,
        };
        cluster.join(&node).await.unwrap();
        Member {
            store,
            cluster,
            node,
        }
    }
}

impl Member {
    async fn claim(&self, partitions: Partitions, lease: SignedDuration) -> Vec<Fence> {
        let claimed = self.cluster.claim(&self.node, partitions, lease).await;
        claimed.unwrap()
    }

    async fn flush_budget(&self, fence: Fence, spent: u64) {
        let flush = PresenceFlush {
            budgets: vec![crate::BudgetUsage {
                key: "acme".to_owned(),
                partition: fence.partition,
                window_start: Timestamp::UNIX_EPOCH,
                spent,
            }],
            fences: Some(vec![fence]),
            ..PresenceFlush::default()
        };
        self.store.flush_presence(flush).await.unwrap();
    }

    async fn spent(&self) -> Vec<u64> {
        let usage = self.store.budget_usage(Partitions::ALL).await.unwrap();
        usage.into_iter().map(|usage| usage.spent).collect()
    }
}

fn some(partitions: impl IntoIterator<Item = u16>) -> Partitions {
    partitions.into_iter().collect()
}

#[tokio::test]
async fn a_partition_belongs_to_one_node_until_its_lease_ends() {
    let stage = Stage::new();
    let (a, b) = (stage.node("a", 1).await, stage.node("b", 2).await);
    let first = a.claim(Partitions::ALL, LONG).await;
    assert_eq!(first.len(), usize::from(PARTITIONS));
    assert_eq!(b.claim(Partitions::ALL, LONG).await, []);

    // Let go of, it is the next one's, with a higher fence.
    a.cluster.release(&a.node, vec![first[3]]).await.unwrap();
    let second = b.claim(Partitions::ALL, SHORT).await;
    assert_eq!(second.len(), 1);
    assert_eq!(second[0].partition, 3);
    assert!(second[0].number > first[3].number);

    // So is one whose lease has ended.
    tokio::time::sleep(Duration::from_millis(20)).await;
    let third = a.claim(some([3]), LONG).await;
    assert!(third[0].number > second[0].number);
    let view = b.cluster.view().await.unwrap();
    assert_eq!(view.nodes.len(), 2);
    let lease = &view.leases[3];
    assert_eq!(lease.fence, third[0]);
    assert_eq!(lease.owner, Some(("a".to_owned(), Uuid::from_u128(1))));
    assert!(lease.left > SignedDuration::from_secs(30));
}

#[tokio::test]
async fn two_that_claim_at_the_same_time_never_both_get_one() {
    let stage = Stage::new();
    let (a, b) = (stage.node("a", 1).await, stage.node("b", 2).await);
    for _ in 0..10 {
        let (of_a, of_b) = tokio::join!(
            a.claim(Partitions::ALL, LONG),
            b.claim(Partitions::ALL, LONG)
        );
        assert_eq!(of_a.len() + of_b.len(), usize::from(PARTITIONS));
        a.cluster.release(&a.node, of_a).await.unwrap();
        b.cluster.release(&b.node, of_b).await.unwrap();
    }
}

#[tokio::test]
async fn who_was_fenced_off_writes_nothing() {
    let stage = Stage::new();
    let (a, b) = (stage.node("a", 1).await, stage.node("b", 2).await);
    let old = a.claim(some([5]), SHORT).await[0];
    a.flush_budget(old, 1).await;
    assert_eq!(a.spent().await, [1]);
    tokio::time::sleep(Duration::from_millis(20)).await;
    let new = b.claim(some([5]), LONG).await[0];

    a.flush_budget(old, 7).await;
    assert_eq!(b.spent().await, [1]);
    b.flush_budget(new, 2).await;
    assert_eq!(b.spent().await, [2]);
    let letter = || Letter {
        partition: 5,
        body: "late".to_owned(),
    };
    let mut unit = UnitOfWork::new(Some(old));
    unit.letter = Some(letter());
    let refused = a.store.commit(unit).await;
    assert!(
        matches!(refused, Err(StoreError::Fenced { partition: 5 })),
        "{refused:?}"
    );
    let mut unit = UnitOfWork::new(Some(new));
    unit.letter = Some(letter());
    b.store.commit(unit).await.unwrap();
    assert_eq!(b.cluster.letters(some([5]), 10).await.unwrap().len(), 1);
}

/// A claim waits for what was begun with the old fence, so that it never lands after the claim.
#[tokio::test]
async fn a_claim_comes_after_everything_begun_before_it() {
    let stage = Stage::new();
    let (a, b) = (stage.node("a", 1).await, stage.node("b", 2).await);
    let old = a.claim(some([5]), SHORT).await[0];
    tokio::time::sleep(Duration::from_millis(20)).await;
    let writing = async {
        for spent in 0..200 {
            a.flush_budget(old, spent).await;
        }
    };
    let claiming = async {
        let new = b.claim(some([5]), LONG).await[0];
        b.flush_budget(new, 1_000_000).await;
    };
    tokio::join!(writing, claiming);
    assert_eq!(b.spent().await, [1_000_000]);
}

#[tokio::test]
async fn a_node_that_starts_again_need_not_wait_for_its_own_leases() {
    let stage = Stage::new();
    let before = stage.node("a", 1).await;
    let old = before.claim(Partitions::ALL, LONG).await;
    let after = stage.node("a", 2).await;
    let new = after.claim(Partitions::ALL, LONG).await;
    assert_eq!(new.len(), old.len());
    assert!(
        old.iter()
            .zip(&new)
            .all(|(old, new)| new.number > old.number)
    );
    // The run of before, should it still be there, is told to stop, and renews nothing.
    let beat = before.cluster.beat(&before.node, LONG).await.unwrap();
    assert_eq!(beat, None);
    assert!(
        after
            .cluster
            .beat(&after.node, LONG)
            .await
            .unwrap()
            .is_some()
    );
    after.cluster.leave(&after.node).await.unwrap();
    let view = before.cluster.view().await.unwrap();
    assert!(view.nodes.is_empty() && view.leases.iter().all(|lease| lease.owner.is_none()));
}

#[tokio::test]
async fn letters_wait_for_the_owner_of_their_partition() {
    let stage = Stage::new();
    let (a, b) = (stage.node("a", 1).await, stage.node("b", 2).await);
    let letter = |partition, body: &str| Letter {
        partition,
        body: body.to_owned(),
    };
    let first = a.cluster.post(letter(1, "first")).await.unwrap();
    let second = a.cluster.post(letter(1, "second")).await.unwrap();
    a.cluster.post(letter(2, "other")).await.unwrap();
    let read = b.cluster.letters(some([1]), 10).await.unwrap();
    let bodies: Vec<_> = read
        .iter()
        .map(|stored| stored.letter.body.as_str())
        .collect();
    assert_eq!(bodies, ["first", "second"]);
    b.cluster.forget_letters(vec![first]).await.unwrap();
    assert!(!a.cluster.is_waiting(first).await.unwrap());
    assert!(a.cluster.is_waiting(second).await.unwrap());
    assert_eq!(
        b.cluster.letters(Partitions::ALL, 10).await.unwrap().len(),
        2
    );
}

#[tokio::test]
async fn wake_ups_reach_all_nodes() {
    let stage = Stage::new();
    let (a, b) = (stage.node("a", 1).await, stage.node("b", 2).await);
    let id = Uuid::from_u128(9);
    let sent = vec![
        Wake::Events(ClientId(id)),
        Wake::Letter(7),
        Wake::Released,
        Wake::Webhook(WebhookId(id)),
    ];
    let mut heard = b.cluster.wakes();
    // Whoever begins to listen hears nothing of before: told until it is heard.
    let mut first = None;
    while first.is_none() {
        a.cluster.wake(sent.clone()).await.unwrap();
        let wait = tokio::time::timeout(Duration::from_millis(100), heard.recv());
        first = wait.await.ok().flatten();
    }
    let mut all = vec![first.unwrap()];
    while all.len() < sent.len() {
        all.push(heard.recv().await.unwrap());
    }
    assert_eq!(all, sent);
}

#[tokio::test]
async fn a_station_is_known_where_its_newest_socket_ends() {
    let stage = Stage::new();
    let (a, b) = (stage.node("a", 1).await, stage.node("b", 2).await);
    let socket = |member: &Member, number| StationSocket {
        station_id: "CP-1".to_owned(),
        incarnation: member.node.incarnation,
        number,
    };
    let find = async || b.cluster.socket_of("CP-1", LONG).await.unwrap();
    assert_eq!(find().await, None);
    a.cluster.open_socket(socket(&a, 3)).await.unwrap();
    assert_eq!(find().await, Some(socket(&a, 3)));
    b.cluster.open_socket(socket(&b, 4)).await.unwrap();
    a.cluster.close_socket(socket(&a, 3)).await.unwrap();
    assert_eq!(find().await, Some(socket(&b, 4)));
    a.cluster.forget_socket("CP-1").await.unwrap();
    assert_eq!(find().await, None);
    b.cluster.open_socket(socket(&b, 4)).await.unwrap();
    // A node that is silent holds no sockets.
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(b.cluster.socket_of("CP-1", SHORT).await.unwrap(), None);
    b.cluster.close_socket(socket(&b, 4)).await.unwrap();
    assert_eq!(find().await, None);
}

/// The number of this program's schema.
fn ours() -> i64 {
    Schema::ours().number() as i64
}

/// What a later release does to the schema: it adds, and in the end takes away.
const FURTHER: [(&str, bool); 2] = [
    ("alter table nodes add column room text", false),
    ("alter table nodes drop column room", true),
];

#[tokio::test]
async fn older_programs_go_on_beside_what_only_adds() {
    let stage = Stage::new();
    let options = PostgresOptions::new(stage.database.url());
    let a = stage.node("a", 1).await;
    let fences = a.claim(Partitions::ALL, LONG).await;
    let later = PostgresStore::open_later(&options, &FURTHER[..1]).await;
    later.unwrap();
    assert!(a.cluster.beat(&a.node, LONG).await.unwrap().is_some());
    a.flush_budget(fences[0], 7).await;
    assert_eq!(a.spent().await, [7]);
    // It may also be started now.
    let b = stage.node("b", 2).await;
    assert!(b.cluster.beat(&b.node, LONG).await.unwrap().is_some());
    assert_eq!(
        stage
            .database
            .ask("select version, oldest from livewatt_schema"),
        format!("{}|2", ours() + 1)
    );
}

#[tokio::test]
async fn older_programs_stop_before_what_takes_away() {
    let stage = Stage::new();
    let options = PostgresOptions::new(stage.database.url());
    let a = stage.node("a", 1).await;
    let fences = a.claim(Partitions::ALL, LONG).await;
    PostgresStore::open_later(&options, &FURTHER).await.unwrap();
    assert_eq!(
        stage
            .database
            .ask("select version, oldest from livewatt_schema"),
        format!("{0}|{0}", ours() + 2)
    );
    // What it still writes is void, and it gets nothing back.
    a.flush_budget(fences[0], 7).await;
    assert_eq!(a.spent().await, [0_u64; 0]);
    let is_refused = |error: &StoreError| {
        matches!(error, StoreError::NewerSchema { found, known }
            if (*found, *known) == (ours() + 2, ours()))
    };
    assert!(is_refused(
        &a.cluster.beat(&a.node, LONG).await.unwrap_err()
    ));
    let claimed = a.cluster.claim(&a.node, Partitions::ALL, LONG).await;
    assert!(is_refused(&claimed.unwrap_err()));
    assert!(is_refused(
        &PostgresStore::open(&options).await.unwrap_err()
    ));
    // A program that knows the step in between as well is as old.
    let between = PostgresStore::open_later(&options, &FURTHER[..1]).await;
    assert!(matches!(
        between.unwrap_err(),
        StoreError::NewerSchema { found, known } if (found, known) == (ours() + 2, ours() + 1)
    ));
    PostgresStore::open_later(&options, &FURTHER).await.unwrap();
}
