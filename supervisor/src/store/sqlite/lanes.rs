//! The threads that own the connections.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::connection::Connection;
use crate::store::error::StoreError;
use crate::store::row::Row;
use crate::store::statement::Statement;

/// What the writing thread is asked to do.
#[derive(Debug)]
pub(super) enum Write {
    Transaction {
        statements: Vec<Statement>,
        within: Duration,
        deadline: Instant,
        answer: oneshot::Sender<Result<Vec<u64>, StoreError>>,
    },
    Tidy(oneshot::Sender<Result<(), StoreError>>),
    Close,
}

/// What a reading thread is asked to do.
#[derive(Debug)]
pub(super) enum Read {
    Query {
        statement: Statement,
        within: Duration,
        deadline: Instant,
        answer: oneshot::Sender<Result<Vec<Row>, StoreError>>,
    },
    Close,
}

/// Runs transactions, one after the other, until told to close.
pub(super) fn write(mut connection: Connection, mut calls: mpsc::Receiver<Write>) {
    while let Some(call) = calls.blocking_recv() {
        match call {
            Write::Transaction {
                statements,
                within,
                deadline,
                answer,
            } => {
                let done = connection.transaction(&statements, deadline, within);
                // Who asked may have gone; what was asked is done all the same.
                let _ = answer.send(done);
            }
            Write::Tidy(answer) => {
                let _ = answer.send(connection.tidy());
            }
            Write::Close => calls.close(),
        }
    }
    connection.finish();
}

/// Runs queries until told to close.
pub(super) fn read(mut connection: Connection, calls: &Mutex<mpsc::Receiver<Read>>) {
    loop {
        // The one that waits holds the lock; the others wait for it, and take turns.
        let call = calls
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .blocking_recv();
        let Some(Read::Query {
            statement,
            within,
            deadline,
            answer,
        }) = call
        else {
            return;
        };
        // A query that nobody waits for any more would only delay the next.
        if !answer.is_closed() {
            let _ = answer.send(connection.query(&statement, deadline, within));
        }
    }
}
