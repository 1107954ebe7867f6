//! One connection to PostgreSQL.

use std::collections::HashMap;
use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, MaybeDone, maybe_done};
use tokio::time::Instant;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::failure::{failure, refused};
use super::values::cell;
use crate::store::error::StoreError;
use crate::store::row::Row;
use crate::store::schema::{self, Dialect, Step};
use crate::store::statement::Statement;

/// Where and how to connect.
pub(super) struct Target {
    config: Config,
    tls: Option<MakeRustlsConnect>,
    steps: &'static [Step],
}

/// One connection, whose I/O is a task that ends with it.
pub(super) struct Link {
    client: Client,
    prepared: HashMap<String, tokio_postgres::Statement>,
    io: tokio::task::JoinHandle<()>,
}

const DIALECT: Dialect = Dialect {
    bytes: "BYTEA",
    serial: "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
    key: "TEXT COLLATE \"C\"",
};

/// How long making one connection may take.
const CONNECT: Duration = Duration::from_secs(5);
/// For how long the server may leave what was sent unacknowledged.
const SILENCE: Duration = Duration::from_secs(15);
/// The server stops statements a little later than we give up, and by itself.
const MARGIN: Duration = Duration::from_secs(1);
/// How many prepared statements a connection keeps.
const STATEMENTS: usize = 64;
/// How many statements of a transaction are sent ahead of their answers.
const AHEAD: usize = 64;
/// The lock under which one replica at a time changes the schema: "celeriac" as a number.
const LOCK: i64 = 0x6365_6c65_7269_6163;
const SSL: &str = "sslmode of disable, require or verify-full";

impl Target {
    /// Reads a URL: without `sslmode` it is `require`, and on this machine `disable`.
    pub(super) fn new(url: &str, steps: &'static [Step]) -> Result<Self, StoreError> {
        let wrong = |expected, found: String| StoreError::Place { expected, found };
        let mode = url.split_once('?').and_then(|(_, query)| {
            query
                .split('&')
                .find_map(|pair| pair.strip_prefix("sslmode="))
        });
        // Certificates are always verified, so these are one.
        let plain = url
            .replace("sslmode=verify-full", "sslmode=require")
            .replace("sslmode=verify-ca", "sslmode=require");
        let mut config: Config = plain.parse().map_err(|error: tokio_postgres::Error| {
            // Never the URL: it may hold a password.
            wrong(
                "a URL like postgres://user:password@host/database",
                error.to_string(),
            )
        })?;
        let local = config.get_hosts().iter().all(|host| match host {
            Host::Tcp(name) => {
                name == "localhost"
                    || name
                        .parse::<std::net::IpAddr>()
                        .is_ok_and(|ip| ip.is_loopback())
            }
            #[cfg(unix)]
            Host::Unix(_) => true,
        });
        let secure = match mode {
            None => !local,
            Some("disable") => false,
            Some("require" | "verify-ca" | "verify-full") => true,
            Some(other) => return Err(wrong(SSL, other.to_owned())),
        };
        config
            .ssl_mode(if secure {
                SslMode::Require
            } else {
                SslMode::Disable
            })
            .application_name("celeriac")
            .connect_timeout(CONNECT)
            .tcp_user_timeout(SILENCE)
            .keepalives(true)
            .keepalives_idle(Duration::from_secs(15))
            .keepalives_interval(Duration::from_secs(5))
            .keepalives_retries(3);
        let tls = if secure { Some(tls()?) } else { None };
        Ok(Self { config, tls, steps })
    }

    /// Connects and brings the schema up to date; waits for a server that cannot be
    /// reached yet.
    pub(super) async fn patiently(&self, patience: Duration) -> Result<Link, StoreError> {
        let until = Instant::now() + patience;
        loop {
            match self.connect(true).await {
                Err(StoreError::Unavailable(_)) if Instant::now() < until => {
                    tokio::time::sleep(Duration::from_millis(500)).await;
                }
                connected => return connected,
            }
        }
    }

    /// Makes a connection. One that writes makes sure of the schema first: the database
    /// may be another one since the last time.
    pub(super) async fn connect(&self, writes: bool) -> Result<Link, StoreError> {
        let (client, io) = match &self.tls {
            None => {
                let (client, io) = self.config.connect(NoTls).await.map_err(refused)?;
                (client, io.map(drop).boxed())
            }
            Some(tls) => {
                let (client, io) = self.config.connect(tls.clone()).await.map_err(refused)?;
                (client, io.map(drop).boxed())
            }
        };
        let mut link = Link {
            client,
            prepared: HashMap::new(),
            io: tokio::spawn(io),
        };
        let setup = async {
            if writes {
                link.migrate(self.steps).await?;
            }
            link.set_up(writes).await?;
            Ok(link)
        };
        match tokio::time::timeout(CONNECT * 4, setup).await {
            Ok(link) => link,
            Err(_) => Err(StoreError::unavailable("the server does not answer")),
        }
    }
}

impl Link {
    pub(super) fn is_open(&self) -> bool {
        !self.client.is_closed()
    }

    async fn set_up(&self, writes: bool) -> Result<(), StoreError> {
        let (longest, read_only) = match writes {
            true => (crate::store::WRITE, "off"),
            false => (crate::store::READ, "on"),
        };
        let setup = format!(
            "SET search_path TO celeriac; SET statement_timeout = {};
             SET default_transaction_read_only = {read_only}",
            (longest + MARGIN).as_millis()
        );
        let done = self.client.batch_execute(&setup).await;
        done.map_err(|error| failure(&error, longest))
    }

    /// Brings the schema up to date, one replica at a time and in one transaction.
    async fn migrate(&mut self, steps: &'static [Step]) -> Result<(), StoreError> {
        let fail = |error: tokio_postgres::Error| failure(&error, CONNECT);
        let transaction = self.client.transaction().await.map_err(fail)?;
        let lock = format!("SELECT pg_advisory_xact_lock({LOCK})");
        transaction.batch_execute(&lock).await.map_err(fail)?;
        // Making a schema asks for more rights than using one.
        let known = "SELECT 1 FROM pg_namespace WHERE nspname = 'celeriac'";
        if transaction
            .query_opt(known, &[])
            .await
            .map_err(fail)?
            .is_none()
        {
            let make = "CREATE SCHEMA celeriac";
            transaction.batch_execute(make).await.map_err(fail)?;
        }
        let table = format!(
            "SET LOCAL client_min_messages = warning; SET LOCAL search_path TO celeriac; {}",
            schema::VERSION_TABLE
        );
        transaction.batch_execute(&table).await.map_err(fail)?;
        let found = transaction
            .query_one(schema::VERSION, &[])
            .await
            .map_err(fail)?;
        let found: Option<i64> = found.try_get(0).map_err(fail)?;
        let due: Vec<_> = schema::due(steps, found.unwrap_or(0))?.collect();
        for (number, step) in due {
            let sql: Vec<_> = step
                .iter()
                .copied()
                .flatten()
                .map(|sql| DIALECT.render(sql))
                .collect();
            transaction
                .batch_execute(&sql.join(";\n"))
                .await
                .map_err(fail)?;
            transaction
                .execute(schema::TAKEN, &[&number])
                .await
                .map_err(fail)?;
        }
        transaction.commit().await.map_err(fail)
    }

    /// Runs the statements in one transaction; `committing` tells from when on its end is
    /// not known unless the server says it.
    pub(super) async fn transaction(
        &mut self,
        statements: &[Statement],
        within: Duration,
        committing: &mut bool,
    ) -> Result<Vec<u64>, StoreError> {
        let fail = |error: tokio_postgres::Error| failure(&error, within);
        for statement in statements {
            self.prepare(&statement.sql).await.map_err(fail)?;
        }
        self.client.batch_execute("BEGIN").await.map_err(fail)?;
        match self.run(statements, within).await {
            Ok(changed) => {
                *committing = true;
                let committed = self.client.batch_execute("COMMIT").await;
                // What the server itself says is known.
                *committing = committed
                    .as_ref()
                    .is_err_and(|error| error.as_db_error().is_none());
                committed.map_err(fail)?;
                Ok(changed)
            }
            Err(error) => {
                if error.is_transient() {
                    // The connection is thrown away, and the server takes it back.
                    return Err(error);
                }
                self.client.batch_execute("ROLLBACK").await.map_err(fail)?;
                Err(error)
            }
        }
    }

    async fn run(
        &self,
        statements: &[Statement],
        within: Duration,
    ) -> Result<Vec<u64>, StoreError> {
        let mut changed = Vec::with_capacity(statements.len());
        for (chunk, part) in statements.chunks(AHEAD).enumerate() {
            let runs = part.iter().map(|statement| self.execute(statement).boxed());
            for (at, (statement, done)) in
                part.iter().zip(in_order(runs.collect()).await).enumerate()
            {
                // After the first error the server refuses the rest of the transaction.
                let count = done.map_err(|error| failure(&error, within))?;
                if count == 0 && statement.guarded {
                    return Err(StoreError::Unmet(chunk * AHEAD + at));
                }
                changed.push(count);
            }
        }
        Ok(changed)
    }

    async fn execute(&self, statement: &Statement) -> Result<u64, tokio_postgres::Error> {
        let values = values(statement);
        match self.prepared.get(&*statement.sql) {
            Some(prepared) => self.client.execute(prepared, &values).await,
            None => self.client.execute(&*statement.sql, &values).await,
        }
    }

    /// Runs a query.
    pub(super) async fn query(
        &mut self,
        statement: &Statement,
        within: Duration,
    ) -> Result<Vec<Row>, StoreError> {
        let fail = |error: tokio_postgres::Error| failure(&error, within);
        self.prepare(&statement.sql).await.map_err(fail)?;
        let values = values(statement);
        let rows = match self.prepared.get(&*statement.sql) {
            Some(prepared) => self.client.query(prepared, &values).await,
            None => self.client.query(&*statement.sql, &values).await,
        };
        let row = |row: &tokio_postgres::Row| {
            let cells = (0..row.len()).map(|at| cell(row, at));
            cells.collect::<Result<_, _>>().map(Row).map_err(fail)
        };
        rows.map_err(fail)?.iter().map(row).collect()
    }

    async fn prepare(&mut self, sql: &str) -> Result<(), tokio_postgres::Error> {
        if self.prepared.contains_key(sql) {
            return Ok(());
        }
        if self.prepared.len() >= STATEMENTS {
            // Dropped ones are closed on the server, too.
            self.prepared.clear();
        }
        let statement = self.client.prepare(sql).await?;
        self.prepared.insert(sql.to_owned(), statement);
        Ok(())
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.io.abort();
    }
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Target").finish_non_exhaustive()
    }
}

/// Polls futures in their order: what is polled first is sent first.
async fn in_order<T: Send>(futures: Vec<BoxFuture<'_, T>>) -> Vec<T> {
    let mut futures: Vec<MaybeDone<BoxFuture<'_, T>>> =
        futures.into_iter().map(maybe_done).collect();
    poll_fn(|context| {
        let mut pending = false;
        for future in &mut futures {
            pending |= future.poll_unpin(context).is_pending();
        }
        if pending {
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    })
    .await;
    let done = futures
        .iter_mut()
        .filter_map(|future| std::pin::Pin::new(future).take_output());
    done.collect()
}

fn values(statement: &Statement) -> Vec<&(dyn ToSql + Sync)> {
    let values = statement.values.iter();
    values.map(|value| value as &(dyn ToSql + Sync)).collect()
}

/// Makes what speaks TLS.
fn tls() -> Result<MakeRustlsConnect, StoreError> {
    let config = crate::tls::system().map_err(StoreError::unavailable)?;
    Ok(MakeRustlsConnect::new(config))
}
