//! Terms: who leads, by numbers that only grow.

use super::{Statement, Store, StoreError};

/// The statements that make the table.
pub(super) const SCHEMA: &[&str] = &["CREATE TABLE term (
    name {key} PRIMARY KEY,
    term BIGINT NOT NULL,
    holder TEXT NOT NULL,
    since BIGINT NOT NULL
)"];

/// Begins a term that is greater than every other one that this store has seen, and at
/// least `least`.
///
/// # Errors
///
/// Any [`StoreError`]; [`StoreError::Unmet`] when somebody else began a later one at the
/// same moment.
pub(crate) async fn begin(
    store: &Store,
    name: &str,
    holder: &str,
    least: u64,
    now: i64,
) -> Result<u64, StoreError> {
    let take = Statement::new(
        "INSERT INTO term (name, term, holder, since) VALUES ($1, $2, $3, $4)
         ON CONFLICT (name) DO UPDATE SET
             term = CASE WHEN term.term >= excluded.term THEN term.term + 1 ELSE excluded.term END,
             holder = excluded.holder, since = excluded.since",
    );
    let take = take.bind(name).bind(least).bind(holder).bind(now);
    store.write(vec![take]).await?;
    let read = Statement::new("SELECT term FROM term WHERE name = $1 AND holder = $2");
    let rows = store.read(read.bind(name).bind(holder)).await?;
    let row = rows.first().ok_or(StoreError::Unmet(0))?;
    Ok(u64::try_from(row.integer(0)?).unwrap_or_default())
}

/// Makes a transaction fail with [`StoreError::Unmet`] unless `term` is the latest one. It
/// also makes it wait for who begins one: what is written under a term is there before the
/// next one begins.
pub(crate) fn guard(name: &str, term: u64) -> Statement {
    let hold = "UPDATE term SET since = since WHERE name = $1 AND term = $2";
    Statement::new(hold).bind(name).bind(term).guarded()
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    pub(in crate::store) async fn terms_only_grow(store: Store) {
        assert_eq!(begin(&store, "beat", "a", 100, 1).await.unwrap(), 100);
        assert_eq!(begin(&store, "beat", "b", 100, 2).await.unwrap(), 101);
        assert_eq!(begin(&store, "beat", "c", 7, 3).await.unwrap(), 102);
        assert_eq!(begin(&store, "other", "c", 7, 3).await.unwrap(), 7);
        let begin = async |holder: String| begin(&store, "beat", &holder, 1, 4).await;
        let all = (0..8).map(|number| begin(format!("h{number}")));
        let mut terms: Vec<_> = futures_util::future::join_all(all)
            .await
            .into_iter()
            .flatten()
            .collect();
        // Who was overtaken before it could read its own has none.
        let count = terms.len();
        terms.sort_unstable();
        terms.dedup();
        assert_eq!(terms.len(), count, "{terms:?}");
        assert_eq!(terms.last(), Some(&110), "{terms:?}");
    }

    // S41: what a stale leader writes changes nothing.
    pub(in crate::store) async fn only_the_latest_term_may_write(store: Store) {
        let old = begin(&store, "beat", "a", 1, 1).await.unwrap();
        store.write(vec![guard("beat", old)]).await.unwrap();
        let new = begin(&store, "beat", "b", 1, 2).await.unwrap();
        let write = |term| {
            let change = Statement::new("UPDATE term SET holder = 'stale' WHERE name = 'beat'");
            store.write(vec![guard("beat", term), change])
        };
        assert_eq!(write(old).await, Err(StoreError::Unmet(0)));
        let kept = Statement::new("SELECT holder FROM term");
        let rows = store.read(kept).await.unwrap();
        assert_eq!(rows[0].text(0).unwrap(), "b");
        write(new).await.unwrap();
    }
}
