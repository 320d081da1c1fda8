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
    let put = policies.put(&bucket(), text.as_bytes(), block).await;
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
            .configure_public_access(&bucket(), configured)
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
        .put(&bucket(), PUBLIC.as_bytes(), none)
        .await
        .unwrap();
    policies.forget(&bucket()).await.unwrap();
    same(&policies, all, Some(all));
    assert_eq!(public(&policies), None);
    let again = BucketPolicies::open(state.path()).unwrap();
    same(&again, all, Some(all));
    assert_eq!(public(&again), None);
    policies.forget(&bucket()).await.unwrap();
}

#[tokio::test]
async fn t44_what_cannot_be_read_blocks_everything() {
    let state = tempfile::tempdir().unwrap();
    let policies = BucketPolicies::open(state.path()).unwrap();
    policies
        .configure_public_access(&bucket(), None)
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
            .configure_public_access(&bucket(), None)
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
