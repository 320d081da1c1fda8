#![expect(clippy::unwrap_used, reason = "tests")]
use super::*;

const PUBLIC: &str = r#"{"Statement":{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::bucket/*"}}"#;
const PRIVATE: &str = r#"{"Statement":{"Effect":"Allow","Principal":{"AWS":"123456789012"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::bucket/*"}}"#;
const ONLY_POLICY: PublicAccessBlock = PublicAccessBlock {
    block_public_policy: true,
    ..PublicAccessBlock::NONE
};

fn bucket() -> BucketName {
    BucketName::parse("bucket").unwrap()
}

async fn put(policies: &BucketPolicies, text: &str, block: PublicAccessBlock) -> Option<ErrorCode> {
    let put = policies
        .hold(&bucket())
        .await
        .unwrap()
        .put(text.as_bytes(), block)
        .await;
    put.err().map(|error| error.code())
}

fn public(policies: &BucketPolicies) -> Option<bool> {
    let policy = policies.policy(&bucket()).unwrap();
    policy.map(|policy| policy.is_public())
}

#[tokio::test]
async fn a_public_policy_is_refused_where_it_is_blocked() {
    let state = tempfile::tempdir().unwrap();
    let policies = BucketPolicies::open(state.path()).unwrap();
    let none = PublicAccessBlock::NONE;
    let but_policy = PublicAccessBlock {
        block_public_policy: false,
        ..PublicAccessBlock::ALL
    };
    assert_eq!(
        put(&policies, PUBLIC, ONLY_POLICY).await,
        Some(ErrorCode::AccessDenied)
    );
    assert_eq!(public(&policies), None);
    assert_eq!(put(&policies, PRIVATE, PublicAccessBlock::ALL).await, None);
    assert_eq!(public(&policies), Some(false));
    assert_eq!(
        put(&policies, PUBLIC, ONLY_POLICY).await,
        Some(ErrorCode::AccessDenied)
    );
    assert_eq!(public(&policies), Some(false));
    assert_eq!(put(&policies, PUBLIC, but_policy).await, None);
    assert_eq!(public(&policies), Some(true));
    // One that is none is told so, public or not.
    let broken = PUBLIC.replace("GetObject", "Nope");
    assert_eq!(
        put(&policies, &broken, PublicAccessBlock::ALL).await,
        Some(ErrorCode::MalformedPolicy)
    );
    let again = BucketPolicies::open(state.path()).unwrap();
    assert_eq!(public(&again), Some(true));
    assert_eq!(put(&policies, PRIVATE, none).await, None);
    assert_eq!(public(&policies), Some(false));
}

#[tokio::test]
async fn what_is_blocked_is_kept_and_told_apart() {
    let state = tempfile::tempdir().unwrap();
    let policies = BucketPolicies::open(state.path()).unwrap();
    let same = |policies: &BucketPolicies, block, configured| {
        assert_eq!(policies.public_access_block(&bucket()), block);
        assert_eq!(
            policies.public_access_configuration(&bucket()).unwrap(),
            configured
        );
    };
    let (all, none) = (PublicAccessBlock::ALL, PublicAccessBlock::NONE);
    same(&policies, all, Some(all));
    for (configured, block) in [
        (Some(ONLY_POLICY), ONLY_POLICY),
        (None, none),
        (Some(none), none),
    ] {
        policies
            .hold(&bucket())
            .await
            .unwrap()
            .configure_public_access(configured)
            .await
            .unwrap();
        same(&policies, block, configured);
        same(
            &BucketPolicies::open(state.path()).unwrap(),
            block,
            configured,
        );
    }
    policies
        .hold(&bucket())
        .await
        .unwrap()
        .put(PUBLIC.as_bytes(), none)
        .await
        .unwrap();
    policies
        .hold(&bucket())
        .await
        .unwrap()
        .forget()
        .await
        .unwrap();
    same(&policies, all, Some(all));
    assert_eq!(public(&policies), None);
    let again = BucketPolicies::open(state.path()).unwrap();
    same(&again, all, Some(all));
    assert_eq!(public(&again), None);
    policies
        .hold(&bucket())
        .await
        .unwrap()
        .forget()
        .await
        .unwrap();
}

#[tokio::test]
async fn t44_what_cannot_be_read_blocks_everything() {
    let state = tempfile::tempdir().unwrap();
    let policies = BucketPolicies::open(state.path()).unwrap();
    policies
        .hold(&bucket())
        .await
        .unwrap()
        .configure_public_access(None)
        .await
        .unwrap();
    let kept = state.path().join("public-access-blocks/bucket.json");
    let whole = PublicAccessBlock::ALL;
    for broken in [
        "",
        "{}",
        "nul",
        "false",
        r#"{"block_public_acls":false,"ignore_public_acls":false,"block_public_policy":false}"#,
        r#"{"block_public_acls":false,"ignore_public_acls":false,"block_public_policy":false,"restrict_public_buckets":"no"}"#,
        r#"{"block_public_acls":false,"ignore_public_acls":false,"block_public_policy":false,"restrict_public_buckets":false,"more":1}"#,
    ] {
        std::fs::write(&kept, broken).unwrap();
        let opened = BucketPolicies::open(state.path()).unwrap();
        assert_eq!(opened.public_access_block(&bucket()), whole, "{broken}");
        let told = opened.public_access_configuration(&bucket());
        assert_eq!(
            told.map_err(|e| e.code()),
            Err(ErrorCode::AccessDenied),
            "{broken}"
        );
        // It can be mended, and forgotten.
        opened
            .hold(&bucket())
            .await
            .unwrap()
            .configure_public_access(None)
            .await
            .unwrap();
        assert_eq!(
            opened.public_access_block(&bucket()),
            PublicAccessBlock::NONE
        );
    }
    // Another gateway's change is seen, its removal too.
    std::fs::remove_file(&kept).unwrap();
    policies.refresh().unwrap();
    assert_eq!(policies.public_access_block(&bucket()), whole);
}

#[tokio::test]
async fn what_was_stored_before_a_check_existed_is_still_read() {
    let state = tempfile::tempdir().unwrap();
    let policies = BucketPolicies::open(state.path()).unwrap();
    let old = PRIVATE.replace("s3:GetObject", "iam:GetUser");
    assert_eq!(
        put(&policies, &old, PublicAccessBlock::NONE).await,
        Some(ErrorCode::MalformedPolicy)
    );
    std::fs::write(
        state.path().join("bucket-policies/bucket.json"),
        format!("\n{old}"),
    )
    .unwrap();
    policies.refresh().unwrap();
    assert_eq!(public(&policies), Some(false));
}

/// What the system cannot tell for the moment is neither unchanged nor absent: the bucket is closed, and
/// told to be so for the moment, until it can be read again.
#[tokio::test]
async fn what_cannot_be_looked_at_is_neither_unchanged_nor_absent() {
    let state = tempfile::tempdir().unwrap();
    let policies = BucketPolicies::open(state.path()).unwrap();
    assert_eq!(put(&policies, PRIVATE, PublicAccessBlock::NONE).await, None);
    let file = state.path().join("bucket-policies/bucket.json");
    let aside = state.path().join("aside.json");
    std::fs::rename(&file, &aside).unwrap();
    // A link that leads to itself: there, and no metadata can be had of what it stands for.
    std::os::unix::fs::symlink("bucket.json", &file).unwrap();
    policies.refresh().unwrap();
    let told = policies.policy(&bucket());
    assert_eq!(
        told.map(|_| ()).map_err(|e| e.code()),
        Err(ErrorCode::ServiceUnavailable)
    );
    // One that leads nowhere, as on a share that is not mounted at the moment.
    std::fs::remove_file(&file).unwrap();
    std::os::unix::fs::symlink(state.path().join("not-yet"), &file).unwrap();
    for _ in 0..2 {
        policies.refresh().unwrap();
        let told = policies.policy(&bucket());
        assert_eq!(
            told.map(|_| ()).map_err(|e| e.code()),
            Err(ErrorCode::ServiceUnavailable)
        );
        assert_eq!(
            policies.public_access_block(&bucket()),
            PublicAccessBlock::ALL
        );
    }
    std::fs::rename(&aside, &file).unwrap();
    policies.refresh().unwrap();
    assert_eq!(public(&policies), Some(false));
}

/// A directory that cannot be read takes nothing away.
#[tokio::test]
async fn a_directory_that_cannot_be_read_leaves_what_is_known() {
    let state = tempfile::tempdir().unwrap();
    let policies = BucketPolicies::open(state.path()).unwrap();
    assert_eq!(put(&policies, PRIVATE, PublicAccessBlock::NONE).await, None);
    let directory = state.path().join("bucket-policies");
    std::fs::rename(&directory, state.path().join("aside")).unwrap();
    std::fs::write(&directory, b"no directory").unwrap();
    assert!(policies.refresh().is_err());
    assert_eq!(public(&policies), Some(false));
    // Nor is anything acknowledged that could not be written or removed.
    let held = policies.hold(&bucket()).await.unwrap();
    assert!(held.delete().await.is_err());
    let put = held.put(PUBLIC.as_bytes(), PublicAccessBlock::NONE).await;
    assert!(put.is_err());
}

/// What is no policy of a bucket's stays as it is, and in nobody's way.
#[tokio::test]
async fn foreign_files_are_left_alone() {
    let state = tempfile::tempdir().unwrap();
    drop(BucketPolicies::open(state.path()).unwrap());
    let directory = state.path().join("bucket-policies");
    let names = [
        ".DS_Store",
        ".nfs000000000001",
        "README",
        "Not A Bucket.json",
        "bucket.tmp",
    ];
    for name in names {
        std::fs::write(directory.join(name), b"foreign").unwrap();
    }
    std::fs::create_dir(directory.join("lost+found")).unwrap();
    let policies = BucketPolicies::open(state.path()).unwrap();
    assert_eq!(put(&policies, PRIVATE, PublicAccessBlock::NONE).await, None);
    policies.refresh().unwrap();
    assert_eq!(public(&policies), Some(false));
    policies
        .hold(&bucket())
        .await
        .unwrap()
        .forget()
        .await
        .unwrap();
    for name in names {
        assert_eq!(std::fs::read(directory.join(name)).unwrap(), b"foreign");
    }
    assert_eq!(
        std::fs::read_dir(&directory).unwrap().count(),
        names.len() + 1
    );
}

/// A special file where a policy should be blocks nobody.
#[tokio::test]
async fn a_fifo_is_no_policy() {
    let state = tempfile::tempdir().unwrap();
    drop(BucketPolicies::open(state.path()).unwrap());
    let fifo = state.path().join("bucket-policies/bucket.json");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &fifo,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    let policies = BucketPolicies::open(state.path()).unwrap();
    let told = policies.policy(&bucket());
    assert_eq!(
        told.map(|_| ()).map_err(|e| e.code()),
        Err(ErrorCode::AccessDenied)
    );
}

/// Whoever only asks changes nothing.
#[test]
fn asking_makes_no_directory() {
    let state = tempfile::tempdir().unwrap();
    let policies = BucketPolicies::existing(state.path()).unwrap();
    assert_eq!(public(&policies), None);
    assert_eq!(std::fs::read_dir(state.path()).unwrap().count(), 0);
}
