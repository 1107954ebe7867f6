#![allow(clippy::unwrap_used)]

use celeriac::broker::{Broker, MemoryBroker, QueueStatus};

use super::*;
use crate::cluster::Beat;
use crate::store::{PauseRow, Place, Store};

/// A supervisor's memory, with time as it is told.
struct Room {
    scale: Scale,
    board: Arc<Board>,
    start: Instant,
}

impl Room {
    async fn new() -> Self {
        let broker = MemoryBroker::new();
        let app = App::builder("test").broker_value(Arc::new(broker.clone()));
        let app = app.backend("memory://").build().unwrap();
        // The link of a broker that was never asked may not be up yet.
        broker.queue("celery").await.unwrap();
        let board = Arc::new(Board::new(10, Store::open(&Place::Memory).await.unwrap()));
        let scale = Scale::new(app, Arc::clone(&board), &Config::default());
        let start = Instant::now();
        Self {
            scale,
            board,
            start,
        }
    }

    fn queue(&self, name: &str, ready: u64, consumers: u64) {
        let status = QueueStatus {
            ready,
            consumers,
            ..QueueStatus::default()
        };
        let mut depth = Depth::default();
        depth.hear(Some(status), self.start);
        self.board.queues.insert(name.to_owned(), depth);
    }

    fn node(&self, name: &str, beat: &Beat, queues: Option<&[&str]>) {
        let mut node = Node::new(name, self.start);
        node.beat(beat, true, self.start);
        self.board.nodes.insert(name.to_owned(), node);
        if let Some(queues) = queues {
            let facts = Facts {
                queues: queues.iter().map(|&queue| queue.to_owned()).collect(),
                concurrency: Some(4),
                ..Facts::default()
            };
            self.board.facts.insert(name.to_owned(), facts);
        }
    }

    fn told(&self, queues: &str) -> Result<Told, Unsure> {
        self.scale.look(&QueueSet::parse(queues).unwrap())
    }

    fn figures(&self, queues: &str) -> Figures {
        self.told(queues).unwrap().figures
    }
}

fn beat(active: u64, reserved: u64) -> Beat {
    Beat {
        clock: 1,
        active: Some(active),
        slots: Some(4),
        reserved: Some(reserved),
        ..Beat::default()
    }
}

// S55: a supervisor that knows too little says so, and never zero.
#[tokio::test]
async fn what_is_not_known_is_refused() {
    let room = Room::new().await;
    room.queue("celery", 0, 0);
    assert_eq!(
        room.told("celery"),
        Err(Unsure::Deaf),
        "it has heard nobody"
    );
    room.board.set_hearing(true, room.start);
    assert_eq!(room.figures("celery").tasks(), 0);
    assert_eq!(room.told("mail"), Err(Unsure::Unread("mail".to_owned())));

    // The broker has a consumer that no node is known for: it may hold messages.
    room.queue("celery", 0, 1);
    let strangers = Unsure::Strangers {
        queue: "celery".to_owned(),
        consumers: 1,
        known: 0,
    };
    assert_eq!(room.told("celery"), Err(strangers.clone()));
    assert!(
        strangers
            .to_string()
            .contains("1 consumers at the broker and 0 nodes")
    );
    room.node("a@h", &beat(2, 3), Some(&["celery"]));
    assert_eq!(room.figures("celery").tasks(), 5);
    room.board.set_hearing(false, room.start);
    assert_eq!(room.told("celery"), Err(Unsure::Deaf));
}

#[tokio::test]
async fn a_reading_that_is_old_is_none() {
    let room = Room::new().await;
    room.board.set_hearing(true, room.start);
    room.queue("celery", 7, 0);
    let queues = QueueSet::parse("celery").unwrap();
    assert_eq!(
        room.scale
            .told(&queues, Duration::MAX)
            .unwrap()
            .figures
            .ready,
        7
    );
    let unread = Err(Unsure::Unread("celery".to_owned()));
    assert_eq!(room.scale.told(&queues, Duration::ZERO), unread);
}

#[tokio::test]
async fn a_node_counts_once_for_a_set_and_whole_for_each_queue() {
    let room = Room::new().await;
    room.board.set_hearing(true, room.start);
    room.queue("a", 1, 2);
    room.queue("b", 2, 1);
    room.node("both@h", &beat(3, 1), Some(&["a", "b"]));
    room.node("one@h", &beat(0, 0), Some(&["a"]));
    room.node("else@h", &beat(4, 9), Some(&["c"]));
    let both = room.figures("a,b");
    assert_eq!((both.tasks(), both.slots, both.nodes), (7, 8, 2));
    let alone = room.figures("b");
    assert_eq!((alone.tasks(), alone.slots), (6, 4));
    let each = room.scale.each();
    assert_eq!(each["a"].tasks(), 5);
    assert_eq!(each["b"], alone);
    let fleet = room.scale.fleet();
    assert_eq!((fleet.tasks(), fleet.slots), (3 + 7 + 10, 12));
}

#[tokio::test]
async fn a_node_that_has_not_said_what_it_consumes_counts_as_work_not_as_places() {
    let room = Room::new().await;
    room.board.set_hearing(true, room.start);
    room.queue("celery", 0, 0);
    room.node("new@h", &beat(1, 2), None);
    let figures = room.figures("celery");
    assert_eq!((figures.tasks(), figures.slots, figures.nodes), (3, 0, 0));
}

#[tokio::test]
async fn a_paused_queue_wants_no_nodes_and_keeps_those_that_stopped_for_it() {
    let room = Room::new().await;
    room.board.set_hearing(true, room.start);
    room.queue("mail", 500, 0);
    room.node("a@h", &beat(2, 0), Some(&[]));
    let row = |node: Option<&str>| PauseRow {
        queue: "mail".to_owned(),
        node: node.map(str::to_owned),
        since: 1,
    };
    room.board.pauses.restore(vec![row(None), row(Some("a@h"))]);
    let figures = room.figures("mail");
    assert_eq!(
        (figures.tasks(), figures.paused, figures.nodes),
        (2, 500, 1)
    );
}

#[tokio::test]
async fn what_went_from_a_queue_just_now_may_be_with_a_node_that_has_not_said_so() {
    let room = Room::new().await;
    room.board.set_hearing(true, room.start);
    room.queue("celery", 3, 1);
    room.node("a@h", &beat(0, 0), Some(&["celery"]));
    let mut depth = room.board.depth("celery").unwrap();
    depth.hear(
        Some(QueueStatus {
            consumers: 1,
            ..QueueStatus::default()
        }),
        room.start,
    );
    room.board.put_depth("celery", depth);
    let figures = room.figures("celery");
    assert_eq!((figures.tasks(), figures.recent), (0, true));
    assert!(figures.is_active(0.0));
}

// S55: of Celery's workers events tell what they took, their prefetch at most.
#[tokio::test]
async fn a_worker_that_does_not_tell_is_believed_by_its_events() {
    let room = Room::new().await;
    room.board.set_hearing(true, room.start);
    room.queue("celery", 0, 1);
    let python = Beat {
        active: Some(4),
        ..Beat::default()
    };
    room.node("py@h", &python, Some(&["celery"]));
    room.board.set_held([("py@h".into(), 3)].into());
    assert_eq!(room.figures("celery").tasks(), 7);
    room.board.facts.get_mut("py@h").unwrap().prefetch = Some(2);
    assert_eq!(room.figures("celery").tasks(), 6);
}

// S55: a question reads the queue once, and who asks again is answered from memory.
#[tokio::test]
async fn a_question_waits_for_one_reading() {
    let room = Room::new().await;
    room.board.set_hearing(true, room.start);
    let queues = QueueSet::parse("asked").unwrap();
    let (board, mut readings) = (Arc::clone(&room.board), 0);
    let survey = tokio::spawn(async move {
        loop {
            board.demand.wanted().await;
            for name in board.demand.due(Instant::now()) {
                let mut depth = Depth::default();
                depth.hear(None, Instant::now());
                board.put_depth(&name, depth);
                readings += 1;
            }
            assert_eq!(readings, 1);
            board.demand.tell();
        }
    });
    let told = room.scale.ask(&queues).await.unwrap();
    assert_eq!(
        (told.figures.tasks(), told.missing),
        (0, vec!["asked".to_owned()])
    );
    for _ in 0..100 {
        room.scale.ask(&queues).await.unwrap();
    }
    assert!(!survey.is_finished());
    survey.abort();
    assert!(room.board.queues.is_empty(), "nobody else is shown it");
}
