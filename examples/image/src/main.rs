//! A shop's worker: its tasks, with the whole command line of celeriac.

use std::process::ExitCode;

use celeriac::task;

/// Many threads free what others made; the allocator of the C library pays for that.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Adds up a basket, in cents.
#[task(name = "shop.total", queue = "shop")]
async fn total(prices: Vec<u64>) -> u64 {
    prices.iter().sum()
}

/// Renders a receipt in a process of its own, which a bug cannot take the node along with.
#[task(name = "shop.receipt", queue = "shop", isolated, time_limit = "10s")]
fn receipt(order: u64, total: u64) -> String {
    format!("order {order}: {}.{:02}", total / 100, total % 100)
}

fn main() -> ExitCode {
    celeriac_cli::main(|app, _settings| app.task(total).task(receipt))
}
