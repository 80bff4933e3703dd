//! What the database itself notes, by triggers of the tests: which node wrote which device, who
//! owned its partition at that moment, and how partitions moved. Nodes are told by the name under
//! which they connect, so nothing that the program believes of itself is asked.

use std::collections::{BTreeMap, HashMap};

use livewatt_store::contract::private_postgres::PrivateDatabase;

const TRIGGERS: &str = "
    create table drill_moves (
        number bigint generated always as identity, partition smallint, fence bigint,
        owner text, was text, micros bigint);
    create table drill_writes (
        number bigint generated always as identity, device uuid, partition smallint,
        version bigint, was bigint, node text, owner text);
    create function drill_note_write() returns trigger language plpgsql as $$ begin
        insert into drill_writes (device, partition, version, was, node, owner)
            select new.id, new.partition, new.version,
                case when tg_op = 'UPDATE' then old.version else 0 end,
                current_setting('application_name'),
                -- Until somebody takes it, what its last owner began may end.
                coalesce(owner, (select was from drill_moves as move
                    where move.partition = new.partition order by number desc limit 1))
            from partitions where partition = new.partition;
        return null;
    end $$;
    create trigger drill_note_write after insert or update on devices
        for each row execute function drill_note_write();
    create function drill_note_move() returns trigger language plpgsql as $$ begin
        insert into drill_moves (partition, fence, owner, was, micros)
            values (new.partition, new.fence, new.owner, old.owner,
                (extract(epoch from clock_timestamp()) * 1000000)::bigint);
        return null;
    end $$;
    create trigger drill_note_move after update on partitions for each row
        when (old.fence is distinct from new.fence or old.incarnation is distinct from new.incarnation)
        execute function drill_note_move();";

/// A partition that changed hands.
#[derive(Debug, Clone)]
pub struct Move {
    pub partition: u16,
    pub fence: u64,
    /// Who owned it from then on.
    pub owner: Option<String>,
    pub was: Option<String>,
    /// When, by the database's clock, in microseconds.
    pub micros: i64,
}

/// Begins to take notes; the tables must be there.
pub fn begin(database: &PrivateDatabase<'_>) {
    database.ask(TRIGGERS);
}

/// Lets the nodes that start together know of each other, so that each takes its own share at once.
pub fn announce(database: &PrivateDatabase<'_>, names: &[&str]) {
    for name in names {
        database.ask(&format!(
            "insert into nodes (name, incarnation, version, address, started_at, seen_at)
             values ('{name}', gen_random_uuid(), '', '', 0, clock_timestamp() + interval '5 s')"
        ));
    }
}

/// The database's time in microseconds.
pub fn now(database: &PrivateDatabase<'_>) -> i64 {
    let now = database.ask("select (extract(epoch from clock_timestamp()) * 1000000)::bigint");
    now.parse().unwrap()
}

/// All moves since a time, in order.
pub fn moves_since(database: &PrivateDatabase<'_>, since: i64) -> Vec<Move> {
    let rows = database.ask(&format!(
        "select partition, fence, coalesce(owner, ''), coalesce(was, ''), micros
         from drill_moves where micros >= {since} order by number"
    ));
    let owner = |name: &str| (!name.is_empty()).then(|| name.to_owned());
    let row = |line: &str| {
        let columns: Vec<&str> = line.split('|').collect();
        Move {
            partition: columns[0].parse().unwrap(),
            fence: columns[1].parse().unwrap(),
            owner: owner(columns[2]),
            was: owner(columns[3]),
            micros: columns[4].parse().unwrap(),
        }
    };
    rows.lines().map(row).collect()
}

/// How many partitions each node owns now.
pub fn owned(database: &PrivateDatabase<'_>) -> BTreeMap<String, usize> {
    let rows = database.ask(
        "select owner, count(*) from partitions where expires_at > clock_timestamp()
         group by owner",
    );
    let row = |line: &str| {
        let (owner, count) = line.split_once('|').unwrap();
        (owner.to_owned(), count.parse().unwrap())
    };
    rows.lines().map(row).collect()
}

/// The vendor's accounts in partitions that a node owns.
pub fn accounts_of(database: &PrivateDatabase<'_>, node: &str) -> Vec<String> {
    let rows = database.ask(&format!(
        "select vendor_account_id from accounts join partitions using (partition)
         where owner = '{node}'"
    ));
    rows.lines().map(str::to_owned).collect()
}

/// What the notes prove.
#[derive(Debug)]
pub struct Proven {
    pub writes: usize,
    pub moves: usize,
}

/// Nobody wrote a device whose partition was another's; each write found the version that the one
/// before had left; and a partition never changed hands without a higher fence.
pub fn check(database: &PrivateDatabase<'_>) -> Proven {
    let foreign = database.ask(
        "select node, owner, device, version from drill_writes
         where node is distinct from owner order by number limit 5",
    );
    assert!(
        foreign.is_empty(),
        "written by a node that did not own it: {foreign}"
    );
    let rows = database.ask("select device, was, version from drill_writes order by number");
    let mut versions: HashMap<&str, u64> = HashMap::new();
    let mut writes = 0;
    for line in rows.lines() {
        let columns: Vec<&str> = line.split('|').collect();
        let (was, version): (u64, u64) = (columns[1].parse().unwrap(), columns[2].parse().unwrap());
        let before = versions.insert(columns[0], version);
        // Quiet writes leave the version as it is; the notes may have begun after the device.
        assert!(
            before.is_none_or(|before| before == was),
            "{line}: it was {before:?}"
        );
        assert!(version >= was, "{line}: a version fell");
        writes += 1;
    }
    let moves = moves_since(database, 0);
    let mut fences: HashMap<u16, (u64, Option<String>)> = HashMap::new();
    for change in &moves {
        if let Some((fence, owner)) = fences.get(&change.partition) {
            assert!(
                change.fence >= *fence,
                "a fence fell: {change:?} after {fence}"
            );
            let is_taken = change.owner.is_some() && change.owner != *owner;
            assert!(
                !is_taken || change.fence > *fence,
                "taken under the old fence: {change:?}"
            );
        }
        fences.insert(change.partition, (change.fence, change.owner.clone()));
    }
    Proven {
        writes,
        moves: moves.len(),
    }
}
