//! Operations on the service and on a bucket.

use super::super::call::{CreateBucket, DeleteObjects, GetConfiguration, ListBuckets, OnBucket};
use super::super::{BucketName, Call, Error, Head, Operation};
use super::{invalid, unanswered};

/// The longest page of ListBuckets.
const MAX_BUCKETS: u32 = 10_000;

pub(super) fn service(head: &Head, operation: Operation) -> Result<Call, Error> {
    if operation != Operation::ListBuckets {
        return Err(unanswered(operation));
    }
    let max_buckets = match head.query.get("max-buckets") {
        None => None,
        Some(text) => match text.parse::<u32>() {
            Ok(n @ 1..=MAX_BUCKETS) => Some(n),
            _ => {
                let message = "Argument max-buckets must be an integer between 1 and 10000";
                return Err(invalid("max-buckets", text, message));
            }
        },
    };
    let after = match head.query.get("continuation-token") {
        None => None,
        Some(token) => Some(super::listing::read_token(token)?),
    };
    let prefix = head.query.get("prefix").unwrap_or_default().to_owned();
    Ok(Call::ListBuckets(ListBuckets {
        prefix,
        max_buckets,
        after,
    }))
}

pub(super) fn create(_head: &Head, bucket: &BucketName) -> Result<Call, Error> {
    Ok(Call::CreateBucket(CreateBucket {
        bucket: bucket.clone(),
    }))
}

pub(super) fn on(bucket: &BucketName) -> OnBucket {
    OnBucket {
        bucket: bucket.clone(),
    }
}

/// Whether an operation reads what is the same for every bucket.
pub(super) fn is_configuration(operation: Operation) -> bool {
    use Operation as O;
    matches!(
        operation,
        O::GetBucketAccelerateConfiguration
            | O::GetBucketAcl
            | O::GetBucketAnalyticsConfiguration
            | O::GetBucketCors
            | O::GetBucketEncryption
            | O::GetBucketIntelligentTieringConfiguration
            | O::GetBucketInventoryConfiguration
            | O::GetBucketLifecycleConfiguration
            | O::GetBucketLogging
            | O::GetBucketMetricsConfiguration
            | O::GetBucketNotificationConfiguration
            | O::GetBucketOwnershipControls
            | O::GetBucketReplication
            | O::GetBucketRequestPayment
            | O::GetBucketTagging
            | O::GetBucketWebsite
            | O::GetObjectLockConfiguration
            | O::ListBucketAnalyticsConfigurations
            | O::ListBucketIntelligentTieringConfigurations
            | O::ListBucketInventoryConfigurations
            | O::ListBucketMetricsConfigurations
    )
}

pub(super) fn configuration(bucket: &BucketName, operation: Operation) -> GetConfiguration {
    GetConfiguration {
        bucket: bucket.clone(),
        operation,
    }
}

pub(super) fn delete_objects(bucket: &BucketName) -> DeleteObjects {
    DeleteObjects {
        bucket: bucket.clone(),
    }
}
