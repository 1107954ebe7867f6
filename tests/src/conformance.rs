//! What every broker and every result backend must do.
//!
//! A suite is a list of behaviours, each an async function over a bench that opens
//! implementations. What an implementation does not claim in its capabilities is not
//! asked of it. One line in the integration tests runs a whole suite:
//!
//! ```
//! mod memory {
//!     use celeriac_tests::conformance::broker::MemoryBench;
//!
//!     celeriac_tests::broker_suite!(MemoryBench::new());
//! }
//! ```

pub mod backend;
pub mod broker;

/// Makes a test of each behaviour of a suite.
#[macro_export]
#[doc(hidden)]
macro_rules! behaviours {
    ($suite:ident, $bench:expr, [$($group:ident: $($name:ident)*;)*]) => {
        $(mod $group {
            #[allow(unused_imports, reason = "the bench may name what the caller imports")]
            use super::*;
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    let bench = $bench;
                    $crate::conformance::$suite::$group::$name(&bench).await;
                }
            )*
        })*
    };
}
