//! Nodes and their leases. Whether a lease has ended is decided by the server's clock, read while
//! the row is locked (`clock_timestamp()`; `now()` would be the time at which the transaction began).

use std::sync::Arc;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use livewatt_domain::{id::ClientId, partition::Partitions, webhook::Position};
use sqlx::PgConnection;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::{
    commit::Context,
    fences::{self, some_of},
    letters, open,
    statement::{begin, commit, execute, query_all, query_one, signed, sql},
    wakes,
};
use crate::{
    cluster::{
        Cluster, ClusterView, Lease, Letter, Node, NodeStatus, StationSocket, StoredLetter, Wake,
    },
    error::StoreResult,
    types::Fence,
};

/// The nodes on a database.
#[derive(Debug)]
pub(super) struct Nodes(pub(super) Arc<Context>);

#[async_trait]
impl Cluster for Nodes {
    async fn join(&self, node: &Node) -> StoreResult<()> {
        let mut work = begin(&self.0.pool).await?;
        fences::lock(&mut work).await?;
        let note = sql(
            "insert into nodes (name, incarnation, version, address, started_at, seen_at)
             values ($1, $2, $3, $4, $5, clock_timestamp())
             on conflict (name) do update set
                 incarnation = excluded.incarnation, version = excluded.version,
                 address = excluded.address, started_at = excluded.started_at,
                 seen_at = excluded.seen_at",
        )
        .bind(node.name.clone())
        .bind(node.incarnation)
        .bind(node.version.clone())
        .bind(node.address.clone())
        .bind(node.started_at.as_millisecond());
        execute(&mut work, note).await?;
        let free = sql("update partitions set expires_at = '-infinity'
             where owner = $1 and incarnation <> $2")
        .bind(node.name.clone())
        .bind(node.incarnation);
        execute(&mut work, free).await?;
        commit(work).await
    }

    async fn beat(&self, node: &Node, lease: SignedDuration) -> StoreResult<Option<ClusterView>> {
        let mut work = begin(&self.0.pool).await?;
        // A later release may have taken away what this one needs.
        open::check_known(&mut work, self.0.known_schema).await?;
        let beat = sql("update nodes set seen_at = clock_timestamp()
             where name = $1 and incarnation = $2")
        .bind(node.name.clone())
        .bind(node.incarnation);
        if execute(&mut work, beat).await? == 0 {
            // Forgotten as one long dead, or replaced.
            let other = sql("select 1 from nodes where name = $1").bind(node.name.clone());
            if query_one(&mut work, other, |_| Ok(())).await?.is_some() {
                return Ok(None);
            }
            drop(work);
            self.join(node).await?;
            work = begin(&self.0.pool).await?;
        }
        let renew = sql(
            "update partitions set expires_at = clock_timestamp() + $2 * interval '1 ms'
             where incarnation = $1",
        )
        .bind(node.incarnation)
        .bind(lease.as_millis() as f64);
        execute(&mut work, renew).await?;
        // Nodes that have been silent for a day are of no interest to anybody.
        let forget = sql("delete from nodes
             where seen_at < clock_timestamp() - interval '1 day'
                 and not exists (select 1 from partitions where owner = name)");
        execute(&mut work, forget).await?;
        let view = view(&mut work).await?;
        commit(work).await?;
        Ok(Some(view))
    }

    async fn view(&self) -> StoreResult<ClusterView> {
        let mut connection = self.0.pool.acquire().await?;
        view(&mut connection).await
    }

    async fn claim(
        &self,
        node: &Node,
        partitions: Partitions,
        lease: SignedDuration,
    ) -> StoreResult<Vec<Fence>> {
        let mut work = begin(&self.0.pool).await?;
        fences::lock(&mut work).await?;
        open::check_known(&mut work, self.0.known_schema).await?;
        let claim = sql("update partitions
             set owner = $1, incarnation = $2, fence = fence + 1,
                 expires_at = clock_timestamp() + $4 * interval '1 ms'
             where ($3 is null or partition = any($3))
                 and (owner is null or expires_at <= clock_timestamp())
             returning partition::bigint, fence")
        .bind(node.name.clone())
        .bind(node.incarnation)
        .bind(some_of(&partitions))
        .bind(lease.as_millis() as f64);
        let claimed = query_all(&mut work, claim, |columns| {
            Ok(Fence {
                partition: columns.number()?,
                number: columns.number()?,
            })
        })
        .await?;
        commit(work).await?;
        Ok(claimed)
    }

    async fn release(&self, node: &Node, fences: Vec<Fence>) -> StoreResult<()> {
        let mut work = begin(&self.0.pool).await?;
        fences::lock(&mut work).await?;
        let release = sql("update partitions set owner = null, incarnation = null,
                 expires_at = '-infinity'
             from unnest($1::smallint[], $2::bigint[]) as row (partition, fence)
             where partitions.partition = row.partition and partitions.fence = row.fence
                 and incarnation = $3")
        .bind(
            fences
                .iter()
                .map(|fence| fence.partition as i16)
                .collect::<Vec<_>>(),
        )
        .bind(
            fences
                .iter()
                .map(|fence| signed(fence.number))
                .collect::<Vec<_>>(),
        )
        .bind(node.incarnation);
        execute(&mut work, release).await?;
        commit(work).await
    }

    async fn leave(&self, node: &Node) -> StoreResult<()> {
        let mut work = begin(&self.0.pool).await?;
        fences::lock(&mut work).await?;
        for statement in [
            sql(
                "update partitions set owner = null, incarnation = null, expires_at = '-infinity'
                 where incarnation = $1",
            ),
            sql("delete from station_sockets where incarnation = $1"),
            sql("delete from nodes where incarnation = $1"),
        ] {
            execute(&mut work, statement.bind(node.incarnation)).await?;
        }
        commit(work).await
    }

    async fn post(&self, letter: Letter) -> StoreResult<i64> {
        let mut connection = self.0.pool.acquire().await?;
        letters::post(&mut connection, &letter).await
    }

    async fn letters(&self, partitions: Partitions, limit: u32) -> StoreResult<Vec<StoredLetter>> {
        let mut connection = self.0.pool.acquire().await?;
        letters::read(&mut connection, &partitions, limit).await
    }

    async fn forget_letters(&self, numbers: Vec<i64>) -> StoreResult<()> {
        if numbers.is_empty() {
            return Ok(());
        }
        let mut connection = self.0.pool.acquire().await?;
        letters::forget(&mut connection, numbers).await
    }

    async fn is_waiting(&self, number: i64) -> StoreResult<bool> {
        let mut connection = self.0.pool.acquire().await?;
        letters::is_waiting(&mut connection, number).await
    }

    async fn heads(&self, clients: Vec<ClientId>) -> StoreResult<Vec<(ClientId, Position)>> {
        let mut connection = self.0.pool.acquire().await?;
        let clients: Vec<Uuid> = clients.into_iter().map(|client| client.0).collect();
        let heads = sql("select client_id, position from log_heads where client_id = any($1)");
        query_all(&mut connection, heads.bind(clients), |columns| {
            Ok((ClientId(columns.uuid()?), Position(columns.take()?)))
        })
        .await
    }

    async fn open_socket(&self, socket: StationSocket) -> StoreResult<()> {
        let mut connection = self.0.pool.acquire().await?;
        let open = sql(
            "insert into station_sockets (station_id, incarnation, number) values ($1, $2, $3)
             on conflict (station_id) do update set
                 incarnation = excluded.incarnation, number = excluded.number",
        )
        .bind(socket.station_id)
        .bind(socket.incarnation)
        .bind(signed(socket.number));
        execute(&mut connection, open).await?;
        Ok(())
    }

    async fn close_socket(&self, socket: StationSocket) -> StoreResult<()> {
        let mut connection = self.0.pool.acquire().await?;
        let close = sql("delete from station_sockets
             where station_id = $1 and incarnation = $2 and number = $3")
        .bind(socket.station_id)
        .bind(socket.incarnation)
        .bind(signed(socket.number));
        execute(&mut connection, close).await?;
        Ok(())
    }

    async fn forget_socket(&self, station_id: &str) -> StoreResult<()> {
        let mut connection = self.0.pool.acquire().await?;
        let forget = sql("delete from station_sockets where station_id = $1");
        execute(&mut connection, forget.bind(station_id.to_owned())).await?;
        Ok(())
    }

    async fn socket_of(
        &self,
        station_id: &str,
        lease: SignedDuration,
    ) -> StoreResult<Option<StationSocket>> {
        let mut connection = self.0.pool.acquire().await?;
        let socket = sql("select station_id, station_sockets.incarnation, number
             from station_sockets join nodes on nodes.incarnation = station_sockets.incarnation
             where station_id = $1 and seen_at > clock_timestamp() - $2 * interval '1 ms'")
        .bind(station_id.to_owned())
        .bind(lease.as_millis() as f64);
        query_one(&mut connection, socket, |columns| {
            Ok(StationSocket {
                station_id: columns.take()?,
                incarnation: columns.uuid()?,
                number: columns.number()?,
            })
        })
        .await
    }

    async fn wake(&self, wakes: Vec<Wake>) -> StoreResult<()> {
        let mut connection = self.0.pool.acquire().await?;
        wakes::notify(&mut connection, &wakes).await
    }

    fn wakes(&self) -> mpsc::Receiver<Wake> {
        wakes::listen(&self.0.pool)
    }
}

/// All nodes and partitions. Times are told as spans, so that nobody compares clocks.
pub(super) async fn view(connection: &mut PgConnection) -> StoreResult<ClusterView> {
    let nodes = sql("select name, incarnation, version, address, started_at,
             (extract(epoch from clock_timestamp() - seen_at) * 1000)::bigint
         from nodes order by name");
    let nodes = query_all(connection, nodes, |columns| {
        Ok(NodeStatus {
            node: Node {
                name: columns.take()?,
                incarnation: columns.uuid()?,
                version: columns.take()?,
                address: columns.take()?,
                started_at: columns.time()?,
            },
            silent_for: SignedDuration::from_millis(columns.take()?),
        })
    })
    .await?;
    let leases = sql("select partition::bigint, fence, owner, incarnation,
             case when isfinite(expires_at)
                 then (extract(epoch from expires_at - clock_timestamp()) * 1000)::bigint
                 else -1 end
         from partitions order by partition");
    let leases = query_all(connection, leases, |columns| {
        let fence = Fence {
            partition: columns.number()?,
            number: columns.number()?,
        };
        let (owner, incarnation): (Option<String>, Option<Uuid>) =
            (columns.take()?, columns.take()?);
        Ok(Lease {
            fence,
            owner: owner.zip(incarnation),
            left: SignedDuration::from_millis(columns.take()?),
        })
    })
    .await?;
    let time = sql("select (extract(epoch from clock_timestamp()) * 1000)::bigint");
    let time = query_one(connection, time, |columns| columns.time()).await?;
    Ok(ClusterView {
        nodes,
        leases,
        database_time: time.unwrap_or(Timestamp::UNIX_EPOCH),
    })
}
