//! A plan of what runs by itself, and when that is: `cargo run -p celeriac-examples --example schedules`

use std::error::Error;
use std::time::{Duration, UNIX_EPOCH};

use celeriac::schedule::{Misfire, SunEvent, tick_id};
use celeriac::{App, Entry, clock};
use celeriac_examples::broker;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let app = App::builder("schedules")
        .broker(broker())
        .schedule(
            Entry::every(Duration::from_secs(300), "stock.count")?.jitter(Duration::from_secs(20)),
        )
        .schedule(
            Entry::crontab("30 2 * * mon-fri", "reports.nightly")?
                .named("reports")
                .zone("Europe/Berlin")?
                .args(["all"])
                .queue("slow")
                .misfire(Misfire::Once)
                .deadline(Duration::from_secs(6 * 3600)),
        )
        .schedule(Entry::solar(SunEvent::Sunset, 52.52, 13.405, "lamps.on")?)
        .schedule(Entry::once("2026-03-29T02:30:00", "party.start")?.zone("Europe/Berlin")?)
        .build()?;

    let now = clock::now();
    for entry in app.schedules() {
        println!("{entry}");
        for tick in entry.schedule.upcoming(now, 3) {
            let id = tick_id(&entry.name, tick);
            println!("  {} as task {id}", entry.schedule.civil(tick));
        }
    }

    // On that night the clocks went from 02:00 to 03:00: half past two was skipped.
    let party = &app.schedules()[3].schedule;
    let at = party.next_after(UNIX_EPOCH).expect("it has one tick");
    assert_eq!(party.civil(at), "2026-03-29T03:00:00+02:00");

    // What is wrong is said where it is.
    let error = Entry::crontab("30 24 * * *", "reports.nightly").expect_err("there is no hour 24");
    println!("{error}");
    assert!(error.to_string().contains("hour at column 4"));
    app.close().await;
    Ok(())
}
