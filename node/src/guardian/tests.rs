#![allow(clippy::unwrap_used, clippy::panic)]

use actix::{Actor, Addr, Context, Handler};
use tokio::sync::mpsc;

use super::*;

/// A child that counts, and panics when it is told to.
struct Counting {
    count: u32,
    told: mpsc::UnboundedSender<(u64, u32)>,
    guard: Guard,
}

impl Actor for Counting {
    type Context = Context<Self>;
}

struct Count {
    panic: bool,
}

impl Message for Count {
    type Result = ();
}

impl Handler<Count> for Counting {
    type Result = ();

    fn handle(&mut self, message: Count, _: &mut Self::Context) {
        if message.panic {
            panic!("told to");
        }
        self.count += 1;
        self.told.send((self.guard.life, self.count)).unwrap();
    }
}

impl Handler<Stop> for Counting {
    type Result = ();

    fn handle(&mut self, _: Stop, ctx: &mut Self::Context) {
        use actix::ActorContext as _;
        ctx.stop();
    }
}

/// A parent that only passes on what it hears.
struct Parent(mpsc::UnboundedSender<Ended>);

impl Actor for Parent {
    type Context = Context<Self>;
}

impl Handler<Ended> for Parent {
    type Result = ();

    fn handle(&mut self, ended: Ended, _: &mut Self::Context) {
        self.0.send(ended).unwrap();
    }
}

struct Family {
    guardian: Guardian,
    ended: mpsc::UnboundedReceiver<Ended>,
    told: mpsc::UnboundedReceiver<(u64, u32)>,
    addresses: mpsc::UnboundedReceiver<Addr<Counting>>,
}

fn family(restarts: usize) -> Family {
    let (hear, ended) = mpsc::unbounded_channel();
    let (tell, told) = mpsc::unbounded_channel();
    let (give, addresses) = mpsc::unbounded_channel();
    let parent = Parent(hear).start().recipient();
    let mut guardian = Guardian::new(parent, Budget { restarts, ..BUDGET });
    let factory = move |guard| {
        let address = Counting {
            count: 0,
            told: tell.clone(),
            guard,
        }
        .start();
        give.send(address.clone()).unwrap();
        address.recipient()
    };
    guardian.start("counting", Box::new(factory));
    Family {
        guardian,
        ended,
        told,
        addresses,
    }
}

#[actix::test]
async fn a_panicking_child_comes_back_with_fresh_state() {
    let mut family = family(5);
    let first = family.addresses.recv().await.unwrap();
    for _ in 0..2 {
        first.send(Count { panic: false }).await.unwrap();
    }
    assert!(first.send(Count { panic: true }).await.is_err());

    let ended = family.ended.recv().await.unwrap();
    assert_eq!(
        ended,
        Ended {
            child: "counting".into(),
            life: 1,
            panicked: true
        }
    );
    let verdict = family.guardian.ended(&ended, Instant::now());
    assert_eq!(verdict, Verdict::Restart(Duration::from_millis(50)));
    family.guardian.revive("counting");
    let second = family.addresses.recv().await.unwrap();
    second.send(Count { panic: false }).await.unwrap();

    family.told.close();
    let mut told = Vec::new();
    while let Some(pair) = family.told.recv().await {
        told.push(pair);
    }
    assert_eq!(told, [(1, 1), (1, 2), (2, 1)]);
    assert_eq!(family.guardian.restarts("counting"), 1);
}

#[actix::test]
async fn an_exhausted_budget_gives_the_child_up_and_time_restores_it() {
    let mut family = family(2);
    let start = Instant::now();
    let end = |life| Ended {
        child: "counting".into(),
        life,
        panicked: false,
    };
    for (life, after, verdict) in [
        (1, 0, Verdict::Restart(Duration::from_millis(50))),
        (1, 1, Verdict::Expected),
        (2, 1, Verdict::Restart(Duration::from_millis(100))),
        (3, 2, Verdict::GiveUp),
    ] {
        assert_eq!(
            family
                .guardian
                .ended(&end(life), start + Duration::from_secs(after)),
            verdict
        );
        family.guardian.revive("counting");
    }
    let later = start + Duration::from_secs(120);
    assert_eq!(
        family.guardian.ended(&end(4), later),
        Verdict::Restart(Duration::from_millis(50))
    );
}

#[actix::test]
async fn a_released_child_may_end() {
    let mut family = family(5);
    family
        .guardian
        .release("counting")
        .unwrap()
        .send(Stop)
        .await
        .unwrap();
    let ended = family.ended.recv().await.unwrap();
    assert!(!ended.panicked);
    assert_eq!(
        family.guardian.ended(&ended, Instant::now()),
        Verdict::Expected
    );
}

#[actix::test]
async fn the_end_of_a_released_child_is_not_that_of_its_namesake() {
    let mut family = family(5);
    let old = family.guardian.release("counting").unwrap();
    let (give, mut addresses) = mpsc::unbounded_channel();
    let factory = move |guard| {
        let (told, _) = mpsc::unbounded_channel();
        let count = 0;
        let address = Counting { count, told, guard }.start();
        give.send(address.clone()).unwrap();
        address.recipient()
    };
    family.guardian.start("counting", Box::new(factory));
    assert!(addresses.recv().await.is_some());
    old.send(Stop).await.unwrap();
    let ended = family.ended.recv().await.unwrap();
    assert_eq!(
        family.guardian.ended(&ended, Instant::now()),
        Verdict::Expected
    );
    assert!(family.guardian.release("counting").is_some());
}
