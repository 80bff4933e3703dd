//! The target of a copy from SQLite: what tables there are, how rows are written, and the note of
//! how far the copy has come.
//!
//! The note is a table that is there only while a copy is not finished; no server opens the database
//! as long as it is.

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, raw_sql};

use super::{
    PostgresOptions,
    open::{self, LOCKS, Schema, TRANSFER_LOCK},
    sample_days::SampleDays,
    slices,
    statement::{Columns, Statement, composed, execute, query_all, query_one, signed, sql},
};
use crate::{
    error::{StoreResult, unusable},
    transfer::{Beginning, Column, Kind, Mark, Row, Table, TableSum, Value},
};

/// Tables that are not copied.
const NOT_COPIED: [&str; 7] = [
    // About this database.
    "livewatt_schema",
    "livewatt_transfer",
    // Fences belong to those who write here; nobody does yet.
    "partitions",
    // What a health check writes to.
    "write_checks",
    // Of several nodes, which the source does not have.
    "nodes",
    "letters",
    "station_sockets",
];

/// Not copied, and empty as long as no server has used the database.
const OF_NODES: [&str; 3] = ["nodes", "letters", "station_sockets"];

/// Has rows from the start, which the copied ones replace.
const SEEDED: &str = "age_clocks";

/// Rows compared at a time.
const COMPARED_AT_ONCE: u32 = 2_000;

/// What the connection of a copy says: large tables take long, but nobody else is to be waited for.
const PATIENCE: &str = "set statement_timeout = 0; set idle_in_transaction_session_timeout = 0;
    set lock_timeout = '3s'";

/// A database that nobody else copies into.
#[derive(Debug)]
pub(crate) struct Target {
    connection: PgConnection,
    place: String,
    sample_days: SampleDays,
}

impl Target {
    pub(crate) async fn open(options: &PostgresOptions) -> StoreResult<Self> {
        let connect_options = options.connect_options()?;
        let mut connection = open::connect(&connect_options).await?;
        open::check_version(&mut connection, &connect_options).await?;
        connection.execute(raw_sql(PATIENCE)).await?;
        // Kept as long as the connection. That of a copy that was killed is found dead a moment later.
        let lock = sql("select pg_advisory_lock($1, $2)");
        let lock = lock.bind(LOCKS).bind(TRANSFER_LOCK);
        if let Err(error) = connection.execute(lock).await {
            let code = error.as_database_error().and_then(|error| error.code());
            return Err(match code.as_deref() {
                Some("55P03") => unusable("filled")("another copy into it is under way"),
                _ => error.into(),
            });
        }
        open::migrate(&mut connection, &Schema::ours()).await?;
        Ok(Self {
            connection,
            place: open::place(&connect_options),
            sample_days: SampleDays::default(),
        })
    }

    /// Where it is, for people.
    pub(crate) fn place(&self) -> &str {
        &self.place
    }

    /// The tables that are copied.
    pub(crate) async fn tables(&mut self) -> StoreResult<Vec<Table>> {
        let tables = sql("select table_.relname::text,
                array(select attname::text from pg_attribute where attrelid = table_.oid
                      and attnum > 0 and not attisdropped order by attnum),
                array(select format_type(atttypid, null) from pg_attribute
                      where attrelid = table_.oid and attnum > 0 and not attisdropped
                      order by attnum),
                array(select attidentity <> '' from pg_attribute where attrelid = table_.oid
                      and attnum > 0 and not attisdropped order by attnum),
                array(select attname::text
                      from pg_index
                      cross join unnest(indkey::int2[]) with ordinality as part (number, place)
                      join pg_attribute on attrelid = table_.oid and attnum = number
                      where indrelid = table_.oid and indisprimary order by place),
                array(select distinct other.relname::text
                      from pg_constraint join pg_class other on other.oid = confrelid
                      where conrelid = table_.oid and contype = 'f' and confrelid <> conrelid)
             from pg_class table_
             where relkind in ('r', 'p') and not relispartition and relname <> all($1)
                 and relnamespace = (select relnamespace from pg_class
                                     where oid = 'livewatt_schema'::regclass)
             order by table_.relname");
        let not_copied: Vec<_> = NOT_COPIED.iter().map(ToString::to_string).collect();
        query_all(&mut self.connection, tables.bind(not_copied), |columns| {
            let name = columns.take()?;
            let names: Vec<String> = columns.take()?;
            let types: Vec<String> = columns.take()?;
            let counted: Vec<bool> = columns.take()?;
            let all = names.into_iter().zip(types).zip(counted);
            let column = |((name, kind), is_counted): ((String, String), bool)| {
                let kind = Kind::named(&kind)?;
                Ok(Column {
                    name,
                    kind,
                    is_counted,
                })
            };
            Ok(Table {
                name,
                columns: all.map(column).collect::<StoreResult<_>>()?,
                key: columns.take()?,
                needs: columns.take()?,
            })
        })
        .await
    }

    pub(crate) async fn begin(
        &mut self,
        installation: &str,
        state: &str,
        tables: &[&str],
    ) -> StoreResult<Beginning> {
        // The order of tables is that of this schema.
        let state = format!("{} {state}", Schema::ours().number());
        let mut transaction = self.connection.begin().await?;
        let Some((before, its_state)) = noted(&mut transaction).await? else {
            check_empty(&mut transaction, installation, tables).await?;
            let note = "create table livewatt_transfer (
                    installation text not null,
                    state        text not null,
                    part         bigint not null,
                    rows         bigint not null
                )";
            transaction.execute(raw_sql(note)).await?;
            clear(&mut transaction, tables).await?;
            let begin = sql("insert into livewatt_transfer values ($1, $2, 0, 0)");
            let begin = begin.bind(installation.to_owned()).bind(state);
            execute(&mut transaction, begin).await?;
            transaction.commit().await?;
            return Ok(Beginning::New);
        };
        if before != installation {
            return Err(unusable("filled")(
                "it holds part of another installation, whose copy is not finished",
            ));
        }
        if its_state == state {
            return Ok(Beginning::GoesOn);
        }
        clear(&mut transaction, tables).await?;
        let begin = sql("update livewatt_transfer set state = $1, part = 0, rows = 0");
        execute(&mut transaction, begin.bind(state)).await?;
        transaction.commit().await?;
        Ok(Beginning::StartsOver)
    }

    /// How far the copy has come.
    pub(crate) async fn mark(&mut self) -> StoreResult<Mark> {
        let mark = sql("select part, rows from livewatt_transfer");
        let mark = query_one(&mut self.connection, mark, |columns| {
            Ok(Mark {
                part: columns.number()?,
                rows: columns.number()?,
            })
        });
        Ok(mark.await?.unwrap_or_default())
    }

    pub(crate) async fn save_mark(&mut self, mark: Mark) -> StoreResult<()> {
        save_mark(&mut self.connection, mark).await
    }

    /// Makes the partitions of the slices that were copied.
    pub(crate) async fn make_slices(&mut self) -> StoreResult<()> {
        let missing = sql("select slice from event_slices
             where to_regclass('events_' || slice) is null order by slice");
        let missing = query_all(&mut self.connection, missing, |columns| columns.take());
        for slice in missing.await? {
            let mut transaction = self.connection.begin().await?;
            slices::make(&mut transaction, slice).await?;
            transaction.commit().await?;
        }
        Ok(())
    }

    /// Makes the partitions that samples go into: one for each day that rows are of.
    pub(crate) async fn make_sample_days(
        &mut self,
        table: &Table,
        rows: &[Row],
    ) -> StoreResult<()> {
        let hour = table.columns.iter().position(|c| c.name == "hour");
        let hours = rows.iter().filter_map(|row| match row.get(hour?) {
            Some(Value::Number(hour)) => Some(*hour),
            _ => None,
        });
        let connection = &mut self.connection;
        self.sample_days.make_for(connection, hours).await
    }

    /// Writes rows, and how far the copy is thereby.
    pub(crate) async fn write(
        &mut self,
        table: &Table,
        mut rows: Vec<Row>,
        mark: Mark,
    ) -> StoreResult<()> {
        let kinds = table.columns.iter().enumerate();
        let arrays: Vec<_> = kinds
            .map(|(index, column)| format!("${}::{}[]", index + 1, column.kind.name()))
            .collect();
        // Numbers stay as they were, also where a sequence gives them out.
        let mut insert = composed(format!(
            "insert into {} ({}) overriding system value select * from unnest({})",
            table.name,
            table.column_list(),
            arrays.join(", ")
        ));
        for (index, column) in table.columns.iter().enumerate() {
            let values = rows.iter_mut().map(|row| std::mem::take(&mut row[index]));
            insert = bind(insert, column.kind, values);
        }
        let mut transaction = self.connection.begin().await?;
        execute(&mut transaction, insert).await?;
        save_mark(&mut transaction, mark).await?;
        Ok(transaction.commit().await?)
    }

    /// Reads a whole table.
    pub(crate) async fn sum(&mut self, table: &Table) -> StoreResult<TableSum> {
        let mut sum = TableSum::default();
        let mut transaction = self.connection.begin().await?;
        let (name, columns) = (&table.name, table.column_list());
        let declare =
            format!("declare all_{name} no scroll cursor for select {columns} from {name}");
        transaction.execute(raw_sql(AssertSqlSafe(declare))).await?;
        loop {
            let fetch = composed(format!("fetch {COMPARED_AT_ONCE} from all_{name}"));
            let rows = query_all(&mut transaction, fetch, |columns| {
                let values = table
                    .columns
                    .iter()
                    .map(|column| value(columns, column.kind));
                values.collect::<StoreResult<Row>>()
            });
            let rows = rows.await?;
            if rows.is_empty() {
                return Ok(sum);
            }
            rows.iter().for_each(|row| sum.add(row));
        }
    }

    /// Ends the copy: sequences go on after what was copied, and servers may open the database.
    pub(crate) async fn open_for_servers(&mut self, tables: Vec<&Table>) -> StoreResult<()> {
        let mut transaction = self.connection.begin().await?;
        for table in tables {
            for Column { name: column, .. } in table.columns.iter().filter(|c| c.is_counted) {
                let table = &table.name;
                let go_on = composed(format!(
                    "select setval(pg_get_serial_sequence('{table}', '{column}'),
                         coalesce(max({column}), 1), max({column}) is not null) from {table}"
                ));
                execute(&mut transaction, go_on).await?;
            }
        }
        execute(&mut transaction, sql("drop table livewatt_transfer")).await?;
        transaction.commit().await?;
        // So that the first plans are good ones; the server would do it by itself a minute later.
        self.connection.execute(raw_sql("analyze")).await?;
        Ok(())
    }

    pub(crate) async fn start_over_next_time(&mut self) -> StoreResult<()> {
        let void = sql("update livewatt_transfer set state = ''");
        execute(&mut self.connection, void).await?;
        Ok(())
    }
}

/// The installation that an unfinished copy is of, and the state in which it was.
async fn noted(connection: &mut PgConnection) -> StoreResult<Option<(String, String)>> {
    let is_there = sql("select to_regclass('livewatt_transfer') is not null");
    let is_there = query_one(connection, is_there, |columns| columns.take::<bool>());
    if is_there.await? != Some(true) {
        return Ok(None);
    }
    let note = sql("select installation, state from livewatt_transfer");
    query_one(connection, note, |columns| {
        Ok((columns.take()?, columns.take()?))
    })
    .await
}

async fn check_empty(
    connection: &mut PgConnection,
    installation: &str,
    tables: &[&str],
) -> StoreResult<()> {
    let tables = tables.iter().chain(&OF_NODES);
    for table in tables.filter(|table| **table != SEEDED) {
        let any = composed(format!("select exists (select 1 from {table})"));
        if query_one(connection, any, |columns| columns.take::<bool>()).await? != Some(true) {
            continue;
        }
        let same = sql("select exists (select 1 from settings where value = $1)");
        let same = same.bind(installation.to_owned());
        let same = query_one(connection, same, |columns| columns.take::<bool>()).await?;
        return Err(unusable("filled")(match same {
            Some(true) => "it holds this very installation already".to_owned(),
            _ => format!("it is not empty: there are rows in {table}"),
        }));
    }
    Ok(())
}

/// Empties the tables that are copied.
async fn clear(connection: &mut PgConnection, tables: &[&str]) -> StoreResult<()> {
    let mut tables = tables.to_vec();
    tables.dedup();
    let clear = format!("truncate {}", tables.join(", "));
    let slices = sql(
        "select relname::text from pg_class join pg_inherits on inhrelid = pg_class.oid
         where inhparent = 'events'::regclass",
    );
    let slices = query_all(connection, slices, |columns| columns.take::<String>()).await?;
    execute(connection, composed(clear)).await?;
    for slice in slices {
        execute(connection, composed(format!("drop table {slice}"))).await?;
    }
    Ok(())
}

async fn save_mark(connection: &mut PgConnection, mark: Mark) -> StoreResult<()> {
    let save = sql("update livewatt_transfer set part = $1, rows = $2");
    let save = save.bind(signed(mark.part as u64)).bind(signed(mark.rows));
    execute(connection, save).await?;
    Ok(())
}

/// Binds the values of a column.
fn bind(insert: Statement, kind: Kind, values: impl Iterator<Item = Value>) -> Statement {
    let number = |value| match value {
        Value::Number(number) => Some(number),
        _ => None,
    };
    let text = |value| match value {
        Value::Text(text) => Some(text),
        _ => None,
    };
    let double = |value| match value {
        Value::Double(number) => Some(number),
        _ => None,
    };
    let bytes = |value| match value {
        Value::Bytes(bytes) => Some(bytes),
        _ => None,
    };
    match kind {
        Kind::Boolean => insert.bind(
            values
                .map(|value| number(value).map(|number| number != 0))
                .collect::<Vec<_>>(),
        ),
        Kind::SmallInt => insert.bind(
            values
                .map(|value| number(value).map(|number| number as i16))
                .collect::<Vec<_>>(),
        ),
        Kind::BigInt => insert.bind(values.map(number).collect::<Vec<_>>()),
        Kind::Double => insert.bind(values.map(double).collect::<Vec<_>>()),
        Kind::Text => insert.bind(values.map(text).collect::<Vec<_>>()),
        Kind::Bytes => insert.bind(values.map(bytes).collect::<Vec<_>>()),
        Kind::Uuid => insert.bind(
            values
                .map(|value| uuid::Uuid::from_slice(&bytes(value)?).ok())
                .collect::<Vec<_>>(),
        ),
    }
}

/// The next value of a row.
fn value(columns: &mut Columns<'_>, kind: Kind) -> StoreResult<Value> {
    let value = match kind {
        Kind::Boolean => {
            let value = columns.take::<Option<bool>>()?;
            value.map(|value| Value::Number(value.into()))
        }
        Kind::SmallInt => {
            let value = columns.take::<Option<i16>>()?;
            value.map(|value| Value::Number(value.into()))
        }
        Kind::BigInt => columns.take::<Option<i64>>()?.map(Value::Number),
        Kind::Double => columns.take::<Option<f64>>()?.map(Value::Double),
        Kind::Text => columns.take::<Option<String>>()?.map(Value::Text),
        Kind::Bytes => columns.take::<Option<Vec<u8>>>()?.map(Value::Bytes),
        Kind::Uuid => {
            let value = columns.take::<Option<uuid::Uuid>>()?;
            value.map(|value| Value::Bytes(value.as_bytes().to_vec()))
        }
    };
    Ok(value.unwrap_or_default())
}
