#![expect(clippy::unwrap_used, reason = "tests")]
use super::super::upstream::{CredentialsSource, Payload, Timeouts};
use super::*;
use crate::crypto::Secret;

fn upstream(name: &str) -> (String, Store) {
    let config = upstream::Config {
        name: name.to_owned(),
        endpoint: "http://127.0.0.1:9".to_owned(),
        region: "us-east-1".to_owned(),
        ca: None,
        path_style: true,
        payload: Payload::Auto,
        keys: upstream::Keys::default(),
        checksums: false,
        credentials: CredentialsSource::Static {
            access_key_id: "AKIA".to_owned(),
            secret_access_key: Secret::new("secret".to_owned()),
            session_token: None,
        },
        timeouts: Timeouts::default(),
        max_connections: 1,
        max_connections_per_caller: None,
    };
    (name.to_owned(), Store::Upstream(Box::new(config)))
}

fn route(pattern: &str, store: &str, rename: Option<&str>) -> Route {
    Route {
        pattern: BucketPattern::parse(pattern).unwrap(),
        store: store.to_owned(),
        mapping: Mapping {
            rename: rename.map(str::to_owned),
            key_prefix: String::new(),
        },
        shared: false,
    }
}

fn placed(pattern: &str, store: &str, rename: Option<&str>, prefix: &str) -> Route {
    let mut route = route(pattern, store, rename);
    route.mapping.key_prefix = prefix.to_owned();
    route
}

#[test]
fn t104_routes_that_lead_to_the_same_keys_are_refused() {
    let made = |routes: Vec<Route>| {
        let stores = ["a", "b", "c"].map(|name| {
            let (name, mut store) = upstream(name);
            if let (Store::Upstream(config), "c") = (&mut store, name.as_str()) {
                config.endpoint = "http://127.0.0.1:10".to_owned();
            }
            (name, store)
        });
        Backends::new(stores.into(), routes, None).map(drop)
    };
    let all = |store| route("*", store, None);
    // `a` and `b` are one store, `c` is another.
    for (routes, apart) in [
        (vec![route("one", "a", Some("other"))], true),
        (vec![route("one", "a", Some("other")), all("a")], false),
        (vec![route("one", "a", Some("other")), all("b")], false),
        (vec![route("one", "a", Some("other")), all("c")], true),
        (vec![route("one", "a", Some("Other")), all("a")], false),
        (
            vec![route("one", "a", Some("other")), route("oth*", "a", None)],
            false,
        ),
        (
            vec![route("one", "a", Some("other")), route("not*", "a", None)],
            true,
        ),
        (
            vec![
                route("one", "a", Some("other")),
                route("other", "c", None),
                all("a"),
            ],
            true,
        ),
        (
            vec![
                route("one", "a", Some("two")),
                route("two", "a", Some("one")),
            ],
            true,
        ),
        (
            vec![
                route("one", "a", Some("x-1")),
                route("two", "b", Some("x-1")),
            ],
            false,
        ),
        (
            vec![
                route("one", "a", Some("x-1")),
                route("two", "c", Some("x-1")),
            ],
            true,
        ),
        // A route that is never reached leads nowhere.
        (
            vec![
                all("c"),
                route("one", "a", Some("x-1")),
                route("two", "a", Some("x-1")),
            ],
            true,
        ),
        // By the prefix of its keys.
        (
            vec![
                placed("one", "a", Some("x-1"), "a/"),
                placed("two", "a", Some("x-1"), "b/"),
            ],
            true,
        ),
        (
            vec![
                placed("one", "a", Some("x-1"), "a/"),
                placed("two", "a", Some("x-1"), "a/b/"),
            ],
            false,
        ),
        (
            vec![
                placed("one", "a", Some("x-1"), "a"),
                placed("two", "a", Some("x-1"), "ab/"),
            ],
            false,
        ),
        (
            vec![
                placed("one", "a", Some("x-1"), "a/"),
                route("x-1", "a", None),
            ],
            false,
        ),
        (vec![placed("one", "a", None, "a/"), all("a")], true),
    ] {
        let shown = format!("{routes:?}");
        assert_eq!(made(routes.clone()).is_ok(), apart, "{shown}");
        let mut shared = routes;
        shared.iter_mut().for_each(|route| route.shared = true);
        assert!(made(shared.clone()).is_ok(), "{shown}");
        if !apart && let Some(first) = shared.first_mut() {
            first.shared = false;
            assert!(made(shared).is_err(), "one word is not two: {shown}");
        }
    }
}

#[test]
fn t104_a_part_of_a_bucket_is_neither_made_nor_removed() {
    let routes = vec![
        placed("part", "a", Some("shared"), "p/"),
        route("whole", "a", None),
    ];
    let backends = Backends::new(vec![upstream("a")], routes, None).unwrap();
    let of = |name: &str| {
        let bucket = BucketName::parse(name).unwrap();
        let found = backends.of_whole(&bucket, "CreateBucket");
        found.map(|_| ()).map_err(|error| error.code())
    };
    assert_eq!(of("whole"), Ok(()));
    assert_eq!(of("part"), Err(ErrorCode::NotImplemented));
    assert_eq!(of("nowhere"), Err(ErrorCode::NoSuchBucket));
}

#[test]
fn the_first_route_that_matches_decides() {
    let stores = vec![upstream("a"), upstream("b"), upstream("c")];
    let routes = vec![
        route("one", "a", None),
        route("logs-*", "b", None),
        route("logs-app", "a", None),
        route("two", "b", Some("other")),
        route("two", "a", None),
        route("*-tmp", "a", None),
    ];
    let backends = Backends::new(stores, routes, Some("c")).unwrap();
    let bucket = |name| BucketName::parse(name).unwrap();
    for (name, store) in [
        ("one", "a"),
        ("logs-x", "b"),
        ("logs-app", "b"),
        ("logs-tmp", "b"),
        ("two", "b"),
        ("x-tmp", "a"),
        ("three", "c"),
    ] {
        assert_eq!(backends.name_of(&bucket(name)), Some(store), "{name}");
    }
    assert!(backends.same_store(&bucket("one"), &bucket("x-tmp")));
    assert!(!backends.same_store(&bucket("one"), &bucket("two")));
    assert_eq!(backends.upstreams().count(), 3);
}

#[test]
fn a_store_behind_a_route_for_everything_is_out_of_reach() {
    let routed = |routes| {
        let stores = vec![upstream("a"), upstream("b"), upstream("c")];
        let backends = Backends::new(stores, routes, Some("c")).unwrap();
        let routed: String = backends
            .all()
            .filter(|checked| checked.routed)
            .map(|checked| checked.name.to_owned())
            .collect();
        routed
    };
    assert_eq!(routed(vec![]), "c");
    assert_eq!(routed(vec![route("x-*", "a", None)]), "ac");
    assert_eq!(
        routed(vec![route("*", "a", None), route("x-*", "b", None)]),
        "a"
    );
    assert_eq!(
        routed(vec![route("one", "b", None), route("*", "a", None)]),
        "ab"
    );
}

#[test]
fn without_a_default_unrouted_buckets_are_nowhere() {
    let backends = Backends::new(vec![upstream("a")], vec![route("one", "a", None)], None);
    let backends = backends.unwrap();
    let (one, two) = (
        BucketName::parse("one").unwrap(),
        BucketName::parse("two").unwrap(),
    );
    assert!(backends.of(&one).is_ok());
    assert_eq!(
        backends.of(&two).unwrap_err().code(),
        ErrorCode::NoSuchBucket
    );
    assert!(!backends.same_store(&two, &two));
}

#[test]
fn senseless_definitions_are_refused() {
    let one = || vec![upstream("a")];
    let two = vec![upstream("a"), upstream("a")];
    for (stores, routes, default) in [
        (two, vec![], None),
        (one(), vec![route("one", "b", None)], None),
        (one(), vec![], Some("b")),
        (one(), vec![route("x-*", "a", Some("other"))], None),
    ] {
        assert!(Backends::new(stores, routes, default).is_err());
    }
    let inner: Arc<dyn Backend> = {
        let made = Backends::new(one(), vec![], Some("a")).unwrap();
        Arc::clone(made.of(&BucketName::parse("abc").unwrap()).unwrap())
    };
    let local = |rename| {
        let stores = vec![("disk".to_owned(), Store::Local(Arc::clone(&inner)))];
        Backends::new(stores, vec![route("abc", "disk", rename)], None)
    };
    assert!(local(None).is_ok());
    assert!(local(Some("other")).is_err());
}
