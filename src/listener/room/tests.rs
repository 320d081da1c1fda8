#![expect(clippy::unwrap_used, reason = "tests")]
use super::*;
use std::future::pending;

fn room(most: usize) -> Arc<Room> {
    let counter = || IntCounter::new("n", "n").unwrap();
    let counters = Counters {
        open: IntGauge::new("n", "n").unwrap(),
        gave_way: counter(),
        closed: counter(),
    };
    Room::new(most, counters)
}

fn from(room: &Arc<Room>, network: u8) -> Entry {
    room.enter(IpAddr::from([192, 0, 2, network]))
}

/// A connection that asks for nothing and is served for ever.
fn idles(room: &Arc<Room>, network: u8) -> tokio::task::JoinHandle<()> {
    let Entry::Welcome(place) = from(room, network) else {
        return tokio::spawn(async {});
    };
    tokio::spawn(async move { place.attend(pending()).await })
}

async fn until(mut what: impl FnMut() -> bool) {
    while !what() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn in_line(room: &Room, count: usize) {
    let length = || room.lock().line.values().map(BTreeMap::len).sum::<usize>();
    until(|| length() == count).await;
}

fn assert_untouched(room: &Room) {
    let state = room.lock();
    assert_eq!((state.open, state.leaving, state.told), (0, 0, 0));
    assert!(state.line.is_empty() && state.lengths.is_empty() && state.each.is_empty());
    assert_eq!(room.counters.open.get(), 0);
}

#[test]
fn t87_room_is_for_so_many() {
    let room = room(2);
    let _first = from(&room, 1);
    let second = from(&room, 2);
    assert!(matches!(second, Entry::Welcome(_)));
    let told: Vec<Entry> = (2..room.most_told).map(|_| from(&room, 3)).collect();
    assert!(!told.is_empty());
    assert!(told.iter().all(|entry| matches!(entry, Entry::Told(_))));
    assert!(matches!(from(&room, 3), Entry::Closed));
    drop(told);
    assert!(matches!(from(&room, 3), Entry::Told(_)));
    drop(second);
    assert!(matches!(from(&room, 3), Entry::Welcome(_)));
    assert_eq!(room.counters.open.get(), 1);
}

#[test]
fn t87_no_network_has_every_place_however_busy_it_is() {
    let room = room(100);
    let mut held = Vec::new();
    let mut has = |network| {
        let mut count = 0;
        while let entry @ Entry::Welcome(_) = from(&room, network) {
            held.push(entry);
            count += 1;
        }
        count
    };
    assert_eq!(has(1), 75);
    assert_eq!(has(1), 0);
    // As many as three times what is left beside them.
    assert_eq!(has(2), 19);
    assert!(has(3) > 0 && has(4) > 0);
    assert_eq!(room.why_not(), None);
    drop(held);
    let state = room.lock();
    assert!(state.open == 0 && state.each.is_empty());
}

#[tokio::test]
async fn t87_the_longest_idle_gives_way() {
    let room = room(4);
    let first = idles(&room, 1);
    in_line(&room, 1).await;
    let second = idles(&room, 1);
    in_line(&room, 2).await;
    let others = [2, 3].map(|network| from(&room, network));
    let third = from(&room, 4);
    assert!(matches!(third, Entry::Welcome(_)));
    first.await.unwrap();
    assert!(!second.is_finished());
    assert_eq!(room.lock().open, 4);
    second.abort();
    drop((second.await, third, others));
    assert_untouched(&room);
}

/// A network that fills the room with connections that ask for nothing pushes out nobody else's.
#[tokio::test]
async fn t87_the_largest_crowd_gives_way_first() {
    let room = room(8);
    let one = idles(&room, 1);
    in_line(&room, 1).await;
    let crowd: Vec<_> = (0..5).map(|_| idles(&room, 2)).collect();
    in_line(&room, 6).await;
    let busy = [4, 5].map(|network| from(&room, network));
    for _ in 0..20 {
        let another = from(&room, 3);
        assert!(matches!(another, Entry::Welcome(_)));
        drop(another);
        until(|| room.lock().leaving == 0).await;
    }
    assert!(!one.is_finished());
    let gone = crowd.iter().filter(|guest| guest.is_finished()).count();
    assert!(gone >= 1, "nobody gave way");
    drop(busy);
}

#[tokio::test]
async fn t87_who_is_answered_stays() {
    let room = room(1);
    let entry = from(&room, 1);
    assert!(matches!(entry, Entry::Welcome(_)));
    let Entry::Welcome(place) = entry else { return };
    let guest = Arc::clone(place.guest());
    let served = tokio::spawn(async move { place.attend(pending()).await });
    let busy = guest.begins();
    tokio::time::sleep(GRACE * 4).await;
    assert!(matches!(from(&room, 2), Entry::Told(_)));
    drop(busy);
    in_line(&room, 1).await;
    // A request steps out of the line, and one that comes with the word that it should leave is
    // answered.
    let busy = guest.begins();
    in_line(&room, 0).await;
    drop(busy);
    in_line(&room, 1).await;
    room.make_way();
    let busy = guest.begins();
    until(|| room.lock().leaving == 0).await;
    assert!(!served.is_finished());
    drop(busy);
    in_line(&room, 1).await;
    room.make_way();
    served.await.unwrap();
    assert_untouched(&room);
}

#[test]
fn t124_a_room_that_lets_nobody_in_says_so() {
    let room = room(1);
    let held = from(&room, 1);
    assert!(matches!(from(&room, 1), Entry::Told(_)));
    assert_eq!(room.why_not(), None);
    // As if it had begun to refuse some time ago.
    let room = Room {
        opened: Instant::now() - FULL * 2,
        refused: Default::default(),
        most: 1,
        most_told: 2,
        state: Mutex::default(),
        counters: room.counters.clone(),
    };
    room.refuses(true);
    room.refused[0].store(1, SeqCst);
    assert!(room.why_not().unwrap().contains("all 1 connections"));
    room.refuses(false);
    assert_eq!(room.why_not(), None);
    drop(held);
}
