//! The store as a client sees it: listings against a model, damage against every byte, names, speed.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::fixtures::{delete, fresh, get, listing, md5, object_file, put, runtime};
use super::*;
use crate::authz::Granted;
use crate::backend::Backend;
use crate::s3::call::ListObjects;

/// Every page of a listing, one after the other.
async fn listed(disk: &Disk, prefix: &str, delimiter: Option<&str>, max: u32) -> Vec<String> {
    let mut after = None;
    let mut all = Vec::new();
    loop {
        let call = ListObjects {
            after,
            ..listing(prefix, delimiter, max)
        };
        let page = disk.list_objects(Granted::for_test(&call)).await.unwrap();
        let mut names: Vec<String> = page.objects.into_iter().map(|o| o.key).collect();
        names.extend(page.common_prefixes);
        names.sort();
        assert!(names.len() <= max as usize);
        all.extend(names);
        match page.next {
            Some(next) => after = Some(next),
            None => return all,
        }
    }
}

fn expected(keys: &BTreeSet<String>, prefix: &str, delimiter: Option<&str>) -> Vec<String> {
    let mut all = BTreeSet::new();
    for key in keys.iter().filter(|key| key.starts_with(prefix)) {
        let rest = &key.as_bytes()[prefix.len()..];
        let at =
            delimiter.and_then(|d| memchr::memmem::find(rest, d.as_bytes()).map(|at| at + d.len()));
        all.insert(match at {
            Some(end) => String::from_utf8(key.as_bytes()[..prefix.len() + end].to_vec()).unwrap(),
            None => key.clone(),
        });
    }
    all.into_iter().collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn t77_listing_is_that_of_a_model(
        keys in prop::collection::btree_set("[ab/!~@%\u{e9}]{1,6}|a{79,82}[/ab]{0,3}", 1..25),
        prefix in "[ab/]{0,2}", delimiter in prop::option::of("[/ab]|//"), max in 1_u32..6,
    ) {
        let directory = tempfile::tempdir().unwrap();
        runtime().block_on(async {
            let disk = fresh(directory.path(), Durability::Relaxed).await;
            for key in &keys {
                put(&disk, key, key.as_bytes()).await.unwrap();
            }
            let got = listed(&disk, &prefix, delimiter.as_deref(), max).await;
            prop_assert_eq!(got, expected(&keys, &prefix, delimiter.as_deref()));
            for key in &keys {
                prop_assert_eq!(&get(&disk, key).await.unwrap().1, key.as_bytes());
            }
            for key in &keys {
                delete(&disk, key).await.unwrap();
            }
            let left = std::fs::read_dir(directory.path().join("buckets/bucket/objects")).unwrap();
            prop_assert_eq!(left.count(), 0, "empty directories stay behind");
            Ok(())
        })?;
    }
}

#[tokio::test]
async fn t75_no_flipped_or_missing_byte_gives_wrong_bytes() {
    let directory = tempfile::tempdir().unwrap();
    let disk = fresh(directory.path(), Durability::Relaxed).await;
    let body = vec![7_u8; 300];
    put(&disk, "k", &body).await.unwrap();
    let file = object_file(directory.path(), "k@");
    let sound = std::fs::read(&file).unwrap();
    let mut unnoticed = BTreeMap::new();
    for at in 0..sound.len() {
        let mut damaged = sound.clone();
        damaged[at] ^= 1;
        std::fs::write(&file, &damaged).unwrap();
        match get(&disk, "k").await {
            Err(error) => assert_eq!(error.code(), ErrorCode::InternalError, "byte {at}"),
            Ok((etag, bytes)) => {
                assert_eq!((etag, &bytes), (md5(&body), &body), "byte {at}");
                unnoticed.insert(at, sound.len() - at);
            }
        }
        std::fs::write(&file, &sound[..at]).unwrap();
        assert_eq!(
            get(&disk, "k").await.unwrap_err().code(),
            ErrorCode::InternalError,
            "cut to {at}"
        );
    }
    std::fs::write(&file, &sound).unwrap();
    assert_eq!(get(&disk, "k").await.unwrap().1, body);
    assert!(
        unnoticed.is_empty(),
        "offsets whose flip nothing notices: {unnoticed:?}"
    );
}

#[tokio::test]
async fn t77_the_deepest_keys_come_back_and_are_listed() {
    let directory = tempfile::tempdir().unwrap();
    let disk = fresh(directory.path(), Durability::Relaxed).await;
    let keys = BTreeSet::from([
        "/".repeat(1024),
        "x".repeat(1024),
        "\u{e9}".repeat(512),
        "a/".repeat(512),
    ]);
    for key in &keys {
        put(&disk, key, key.as_bytes()).await.unwrap();
        assert_eq!(get(&disk, key).await.unwrap().1, key.as_bytes());
    }
    assert_eq!(listed(&disk, "", None, 3).await, expected(&keys, "", None));
}

/// What a thread was waited for is asked again before anything is done, and a refusal is no fault.
#[tokio::test]
async fn t109_what_is_no_longer_granted_is_not_done() {
    let root = tempfile::tempdir().unwrap();
    let disk = fresh(root.path(), Durability::Strict).await;
    put(&disk, "key", b"x").await.unwrap();
    let long_ago = std::time::Instant::now().checked_sub(std::time::Duration::from_secs(60));
    let during = |answer: fn() -> Result<(), Error>| {
        let standing = crate::authz::Standing::new(long_ago.unwrap(), answer);
        standing.during(delete(&disk, "key"))
    };
    for code in [ErrorCode::AccessDenied, ErrorCode::ServiceUnavailable] {
        let refused = match code {
            ErrorCode::AccessDenied => during(|| Err(ErrorCode::AccessDenied.into())).await,
            _ => during(|| Err(ErrorCode::ServiceUnavailable.into())).await,
        };
        assert_eq!(refused.unwrap_err().code(), code);
        assert_eq!(get(&disk, "key").await.unwrap().1, b"x");
    }
    assert!(disk.health().await.is_ok());
    during(|| Ok(())).await.unwrap();
    assert!(get(&disk, "key").await.is_err());
}
